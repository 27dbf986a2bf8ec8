//! Animations: decoded once, frame by frame, and each frame drawn and encoded for every variant that
//! keeps them before the next one is decoded. Never more than a few frames are in memory.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{
    Output, Plan, RenderOptions, Shares, Source, deferred, draw, may_be_put_off, parallel, settle,
};
use crate::error::{ImageError, Stage};
use crate::image::decode::frames::{self, Frame, Frames};
use crate::image::decode::{self, Decoded, Header, Wanted};
use crate::image::encode::animation::{Animation, Film};
use crate::image::metadata::Carried;
use crate::image::picture::Picture;
use crate::image::{Info, Warning, WarningCode, color, orient, resize};
use crate::recipe::{Recipe, Variant};

/// Whether `variant`'s rendition, `canvas` in size, keeps the frames of the source; if it would and
/// can't, why, in words.
pub(super) fn keeps_frames(
    recipe: &Recipe,
    variant: &Variant,
    info: &Info,
    canvas: (u32, u32),
) -> Result<bool, String> {
    if info.frames <= 1 || !frames::are_in(info.format) || !variant.keeps_animation() {
        return Ok(false);
    }
    let limits = &recipe.limits;
    if info.frames > limits.frames {
        return Err(format!("`limits.frames` is {}", limits.frames));
    }
    let drawn = u64::from(canvas.0) * u64::from(canvas.1);
    let pixels = info.pixels().max(drawn).saturating_mul(info.frames.into());
    if pixels > limits.pixels {
        let max = limits.pixels;
        return Err(format!(
            "together they have {pixels} pixels, `limits.pixels` is {max}"
        ));
    }
    Ok(true)
}

/// What is lost where a rendition doesn't keep the frames of its source.
pub(super) fn dropped(plan: &Plan<'_>, info: &Info) -> Option<Warning> {
    let has_frames = info.frames > 1 && frames::are_in(info.format);
    if !has_frames || plan.animated || plan.left_out.is_some() {
        return None;
    }
    let because = plan.frames_refused.as_ref();
    let because = because.map(|why| format!(": {why}")).unwrap_or_default();
    Some(Warning {
        code: WarningCode::FramesDropped,
        detail: format!("the first of {} frames was used{because}", info.frames),
        variant: Some(plan.variant.name.clone()),
    })
}

/// An animation whose first frames are decoded.
pub(super) struct Begun<'a> {
    /// What stills are made of.
    pub(super) still: Decoded,
    /// None where it turned out to be a still.
    pub(super) film: Option<Rest<'a>>,
    /// The time that went into decoding.
    pub(super) decoding: Duration,
}

/// The frames of an animation of at least two.
pub(super) struct Rest<'a> {
    frames: Frames<'a>,
    first: Frame,
    second: Frame,
    accept_damage: bool,
}

/// Decodes the first two frames: with one alone, there is no animation.
pub(super) fn begin<'a>(
    info: &Info,
    bytes: &'a [u8],
    header: &Header,
    wanted: Wanted,
) -> Result<Begun<'a>, ImageError> {
    let began = Instant::now();
    let accept_damage = wanted.accept_damage;
    let opened = Frames::open(info.format, bytes, header).and_then(|mut frames| {
        let first = frames.next()?;
        Ok((frames, first))
    });
    let (mut frames, first) = match opened {
        Ok((frames, Some(first))) => (frames, first),
        // What can be had of a damaged first frame, a still has too.
        Ok((_, None)) => return still(info, bytes, header, wanted, began),
        Err(error) if accept_damage && is_damage(&error) => {
            return still(info, bytes, header, wanted, began);
        }
        Err(error) => return Err(error),
    };
    let (second, damage) = match frames.next() {
        Ok(second) => (second, None),
        Err(error) if accept_damage && is_damage(&error) => (None, Some(lost_from(2, &error))),
        Err(error) => return Err(error),
    };
    let picture = match frames.poster.take() {
        Some(poster) => poster,
        None => first.picture.clone(),
    };
    Ok(Begun {
        still: Decoded { picture, damage },
        film: second.map(|second| Rest {
            frames,
            first,
            second,
            accept_damage,
        }),
        decoding: began.elapsed(),
    })
}

/// The source as a still, for variants that all want nothing else.
pub(super) fn still<'a>(
    info: &Info,
    bytes: &[u8],
    header: &Header,
    wanted: Wanted,
    began: Instant,
) -> Result<Begun<'a>, ImageError> {
    let accept_damage = wanted.accept_damage;
    let still = match decode::decode(info.format, bytes, header, wanted) {
        Err(error) if accept_damage && is_damage(&error) && frames::are_in(info.format) => {
            // The first frame may be whole where the file is not.
            let first = Frames::open(info.format, bytes, header).and_then(|mut all| all.next());
            let Ok(Some(first)) = first else {
                return Err(error);
            };
            Decoded {
                picture: first.picture,
                damage: Some(lost_from(2, &error)),
            }
        }
        decoded => decoded?,
    };
    Ok(Begun {
        still,
        film: None,
        decoding: began.elapsed(),
    })
}

fn is_damage(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::Corrupt { .. } | ImageError::Truncated { .. }
    )
}

fn lost_from(frame: u32, error: &ImageError) -> String {
    let why = match error {
        ImageError::Corrupt { detail } | ImageError::Truncated { detail } => detail.clone(),
        other => other.to_string(),
    };
    format!("frame {frame} and what follows can't be used ({why})")
}

/// One variant's file in the making.
struct Track<'a> {
    plan: usize,
    file: Result<Animation<'a>, ImageError>,
}

/// What came of the variants that keep the frames.
pub(super) struct Made {
    /// By plan; none for those that make stills.
    pub(super) outputs: Vec<Option<Result<Output, ImageError>>>,
    pub(super) damage: Option<String>,
    pub(super) decoding: Duration,
}

/// How every frame is treated, as the first was.
pub(super) struct Treating<'a> {
    pub(super) info: &'a Info,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) turned: bool,
}

impl Treating<'_> {
    fn prepared(
        &self,
        source: &Source<'_>,
        frame: Picture,
        threads: usize,
    ) -> Result<Picture, ImageError> {
        let rule = source.recipe.source.color;
        let picture = frame.without_idle_alpha();
        // What is wrong with the profile was told of the first frame.
        let colored = color::treat(rule, picture, self.icc.clone(), threads);
        if self.turned {
            orient::upright(colored.picture, self.info.orientation)
        } else {
            Ok(colored.picture)
        }
    }
}

/// Draws and encodes every frame for every plan that keeps them.
pub(super) fn all_frames(
    source: &Source<'_>,
    rest: Rest<'_>,
    treating: &Treating<'_>,
    plans: &[Plan<'_>],
    carried: &Carried,
    options: &RenderOptions,
    stage: &Cell<Stage>,
) -> Result<Made, ImageError> {
    let Rest {
        mut frames,
        first,
        second,
        accept_damage,
    } = rest;
    let threads = options.threads.get();
    let stop = || options.stop.requested();
    let gray = first.picture.layout.is_gray();
    let mut tracks = Vec::new();
    let keeping = |plan: &Plan<'_>| plan.animated && plan.left_out.is_none();
    for (index, plan) in plans.iter().enumerate().filter(|(_, plan)| keeping(plan)) {
        let film = Film {
            size: plan.placement.canvas,
            frames: treating.info.frames,
            plays: frames.plays,
            gray: gray && !colors_padding(source, plan),
        };
        tracks.push(Mutex::new(Track {
            plan: index,
            file: Animation::new(plan.variant, &film, carried, &stop),
        }));
    }
    let (mut decoding, mut damage) = (Duration::ZERO, None);
    let (mut at, mut number) = (Duration::ZERO, 1);
    let (mut this, mut next) = (first, Some(second));
    loop {
        let until = at + this.delay;
        let picture = treating.prepared(source, this.picture, threads)?;
        one_frame(source, picture, (at, until), plans, &tracks, options)?;
        at = until;
        this = if let Some(second) = next.take() {
            second
        } else {
            let began = Instant::now();
            stage.set(Stage::Decode);
            let decoded = frames.next();
            decoding += began.elapsed();
            match decoded {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) if accept_damage && is_damage(&error) => {
                    damage = Some(lost_from(number + 1, &error));
                    break;
                }
                Err(error) => return Err(error),
            }
        };
        stage.set(Stage::Render);
        number += 1;
        if tracks.iter().all(|track| locked(track).file.is_err()) {
            break;
        }
    }
    stage.set(Stage::Render);
    let tracks: Vec<_> = tracks
        .into_iter()
        .map(|track| Mutex::new(Some(track)))
        .collect();
    let files = parallel::run(tracks.len(), threads, |job| {
        let track = tracks[job]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let track = track?.into_inner().unwrap_or_else(PoisonError::into_inner);
        let plan = &plans[track.plan];
        let encoded = track.file.and_then(|file| file.finish(plan.variant));
        let output = match encoded {
            Ok(encoded) => Ok(settle(source, plan, encoded, false, Vec::new())),
            Err(ImageError::Stopped)
                if may_be_put_off(plan.variant, source.recipe) && options.stop.is_out_of_time() =>
            {
                let why = "the deadline came while it was being made";
                Ok(deferred(plan.variant, why.to_owned()))
            }
            Err(error) => Err(error),
        };
        Some((track.plan, output))
    });
    let mut outputs = Vec::new();
    outputs.resize_with(plans.len(), || None);
    for (plan, output) in files.into_iter().flatten() {
        outputs[plan] = Some(output);
    }
    Ok(Made {
        outputs,
        damage,
        decoding,
    })
}

/// Whether the background around a gray picture isn't gray.
fn colors_padding(source: &Source<'_>, plan: &Plan<'_>) -> bool {
    let [red, green, blue] = source.recipe.source.background.rgb();
    plan.placement.canvas != plan.placement.picture && (red != green || green != blue)
}

fn locked<'a, 'b>(track: &'a Mutex<Track<'b>>) -> std::sync::MutexGuard<'a, Track<'b>> {
    track.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws and encodes one frame for every track that is still going on. A track whose file failed
/// keeps its error; one that is required ends everything.
fn one_frame(
    source: &Source<'_>,
    mut picture: Picture,
    (at, until): (Duration, Duration),
    plans: &[Plan<'_>],
    tracks: &[Mutex<Track<'_>>],
    options: &RenderOptions,
) -> Result<(), ImageError> {
    let resampled_alpha = |plan: &Plan<'_>, picture: &Picture| {
        plan.placement.resamples() && picture.layout.has_alpha()
    };
    let of_track = |track: &Mutex<Track<'_>>| locked(track).plan;
    // Those that want colors multiplied by alpha come second: the others must not see that.
    for second in [false, true] {
        let phase: Vec<_> = tracks
            .iter()
            .filter(|track| resampled_alpha(&plans[of_track(track)], &picture) == second)
            .filter(|track| locked(track).file.is_ok())
            .collect();
        if phase.is_empty() {
            continue;
        }
        if second {
            resize::premultiply(&mut picture);
        }
        let indexes: Vec<_> = phase.iter().map(|track| of_track(track)).collect();
        let shares = Shares::of(&indexes, plans);
        parallel::run(phase.len(), options.threads.get(), |job| {
            let plan = &plans[indexes[job]];
            let drawn = shares.drawn(indexes[job], || draw(source, &picture, plan));
            let mut track = locked(phase[job]);
            let added = options.stop.check().and_then(|()| {
                let drawn = drawn?;
                let picture = drawn.as_deref().unwrap_or(&picture);
                match &mut track.file {
                    Ok(file) => file.add(plan.variant, picture, at, until),
                    Err(_) => Ok(()),
                }
            });
            if let Err(error) = added {
                track.file = Err(error);
            }
        });
    }
    for track in tracks {
        let track = locked(track);
        if let Err(error) = &track.file
            && (!may_be_put_off(plans[track.plan].variant, source.recipe)
                || *error != ImageError::Stopped)
        {
            return Err(error.clone());
        }
    }
    Ok(())
}

/// Whether anything is to be kept of the frames.
pub(super) fn is_asked_for(plans: &[Plan<'_>]) -> bool {
    plans
        .iter()
        .any(|plan| plan.animated && plan.left_out.is_none())
}

/// For a source that turned out to have one frame.
pub(super) fn only_stills(plans: &mut [Plan<'_>]) {
    for plan in plans {
        plan.animated = false;
    }
}
