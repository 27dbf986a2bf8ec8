//! Bytes and a recipe to renditions: pure, synchronous, and the same bytes at any number of threads.
//!
//! The way of a picture: sniff, read the header, hold it against the limits, plan every rendition,
//! decode once, convert colors, turn upright, then draw and encode each variant from those pixels.
//! This is the one place that fences panics in: decoders do panic on hostile files.

mod animate;
mod parallel;
mod predict;

use std::cell::Cell;
use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use predict::{Prediction, predict};

use crate::error::{Error, ImageError, Limit, Stage};
use crate::image::decode::{self, Header};
use crate::image::encode::Encoded;
use crate::image::geometry::{self, Placement};
use crate::image::left_behind::left_behind;
use crate::image::metadata::{self, Carried, Done};
use crate::image::picture::Picture;
use crate::image::scale::Scale;
use crate::image::{ColorModel, Format, Info, Warning, WarningCode};
use crate::image::{attention, color, encode, orient, placeholder, probe as header, resize, sniff};
use crate::manifest::{EngineRecord, Placeholder};
use crate::recipe::{
    Color, ColorRule, DamageRule, DepthRule, Fit, Focus, IfLarger, MetadataRule, OrientationRule,
    OutputFormat, Recipe, Variant,
};

/// Rises when the bytes of any rendition change for the same source and recipe; guarded by golden hashes.
pub const RENDER_REVISION: u32 = 4;

/// The Rust codecs that rendition bytes depend on; a test holds them against `Cargo.lock`.
const CODECS: [(&str, &str, bool); 10] = [
    ("fast_image_resize", "6.1.0", true),
    ("gif", "0.14.2", cfg!(feature = "gif")),
    (
        "image",
        "0.25.10",
        cfg!(any(
            feature = "bmp",
            feature = "gif",
            feature = "ico",
            feature = "pnm",
            feature = "qoi",
            feature = "tga",
            feature = "webp"
        )),
    ),
    ("image-webp", "0.2.4", cfg!(feature = "webp")),
    ("moxcms", "0.8.1", true),
    ("png", "0.18.1", cfg!(feature = "png")),
    ("qoi", "0.4.1", cfg!(feature = "qoi")),
    ("rav1e", "0.8.1", cfg!(feature = "avif")),
    ("ravif", "0.13.0", cfg!(feature = "avif")),
    ("tiff", "0.11.3", cfg!(feature = "tiff")),
];

/// What makes the renditions: the render revision, and every codec with its version.
pub fn engine() -> EngineRecord {
    let linked = pixmill_codecs::versions()
        .into_iter()
        .map(|(name, version)| (name.to_owned(), version));
    // Only what is built in: an engine that learns a format is another engine.
    let pure = CODECS.into_iter().filter(|(.., is_built_in)| *is_built_in);
    let pure = pure.map(|(name, version, _)| (name.to_owned(), version.to_owned()));
    EngineRecord {
        render_revision: RENDER_REVISION,
        codecs: linked.chain(pure).collect(),
    }
}

/// When to give up: a flag that someone raises, a deadline, both or (by default) neither.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flag: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Stops once `flag` is `true`.
    pub fn on(flag: Arc<AtomicBool>) -> Self {
        Self {
            flag: Some(flag),
            deadline: None,
        }
    }

    /// Stops once `deadline` has passed.
    pub fn at(deadline: Instant) -> Self {
        Self {
            flag: None,
            deadline: Some(deadline),
        }
    }

    /// The same, and also once `deadline` has passed.
    #[must_use]
    pub fn or_at(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |other| other.min(deadline)));
        self
    }

    /// Whether it is time to give up.
    pub fn requested(&self) -> bool {
        self.flag
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Time until the deadline; none without a deadline.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether it is the deadline, and nobody's wish, that ends the work.
    fn is_out_of_time(&self) -> bool {
        let raised = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        !self.flag.as_ref().is_some_and(raised) && self.time_left() == Some(Duration::ZERO)
    }

    fn check(&self) -> Result<(), ImageError> {
        if self.requested() {
            Err(ImageError::Stopped)
        } else {
            Ok(())
        }
    }
}

/// What rendering may use. The bytes that come out don't depend on it.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// The most threads at work, the caller's own included.
    pub threads: NonZeroUsize,
    /// When to give up; looked at between stages, variants and frames, and within WebP encoding.
    pub stop: Stop,
    /// Bytes of memory; a source whose prediction is above it is refused before it is decoded,
    /// with [`ImageError::OutOfMemory`]. None: no bound.
    pub memory: Option<u64>,
    /// How fast one thread is, as a share of the processor core that [`Prediction::processor_time`]
    /// is meant for: 0.5 takes twice as long. Only a deadline in `stop` makes use of it.
    pub speed: f64,
}

impl Default for RenderOptions {
    /// The caller's thread alone, no stop, no bound on memory.
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            stop: Stop::default(),
            memory: None,
            speed: 1.0,
        }
    }
}

/// What came of one source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renditions {
    /// What the source says about itself.
    pub info: Info,
    /// What can be shown until the picture is there; none where nothing was decoded.
    pub placeholder: Option<Placeholder>,
    /// One entry per variant asked for, in that order.
    pub renditions: Vec<Rendition>,
    /// Every loss and oddity: those of the source first, then each variant's.
    pub warnings: Vec<Warning>,
    /// How long decoding and rendering took, in this order.
    pub stages: Vec<(Stage, Duration)>,
}

/// What came of one variant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rendition {
    /// The variant's name.
    pub variant: String,
    /// The file, or why there is none.
    pub result: RenditionResult,
}

/// The file of one variant, or why there is none.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a rendition is there, or it is not, or not yet: callers should match all"
)]
pub enum RenditionResult {
    /// It was made.
    Made(Made),
    /// The recipe leaves it out for this source, for good; in words.
    Skipped(String),
    /// It is optional, and time or memory did not allow for it now; in words.
    Deferred(String),
}

/// A file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Made {
    /// The file's bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: &'static str,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoder's quality, 1 to 100; none where nothing was lost, and for a kept original.
    pub quality: Option<u8>,
}

/// What `bytes` say about their picture; no pixel is decoded. `bytes` may be the first part of a
/// file: when the header is not whole, this fails with [`ImageError::Truncated`], and the caller can
/// come back with more. Fails with [`ImageError::Unsupported`] when this is no picture that is read
/// here, with a sentence that says what to do. The stage of every failure is [`Stage::Probe`].
pub fn probe(bytes: &[u8]) -> Result<Info, Error> {
    fenced(&Cell::new(Stage::Probe), || {
        header::examine(bytes).map(|(info, _)| info)
    })
}

/// Whether a source with this header may be rendered at all: held against the recipe's limits and
/// the longest sides that its required variants' formats hold. Fails with
/// [`ImageError::TooLarge`] or [`ImageError::Unsupported`] at [`Stage::Probe`], just as
/// [`render_variants`] would.
pub fn admissible(info: &Info, recipe: &Recipe) -> Result<(), Error> {
    let checked = within_limits(info, recipe).and_then(|()| {
        let mut variants = recipe.variants.iter();
        variants.try_for_each(|variant| plan(recipe, variant, info).map(drop))
    });
    checked.map_err(|error| Error::new(Stage::Probe, error))
}

/// The size in pixels (width, height) that each variant of `recipe` would have, in the recipe's
/// order, or in words why this source can't have it.
pub fn outline(info: &Info, recipe: &Recipe) -> Vec<Result<(u32, u32), String>> {
    let sizes = recipe.variants.iter().map(|variant| {
        let plan = plan(recipe, variant, info).map_err(|error| error.to_string())?;
        match plan.left_out {
            None => Ok(plan.placement.canvas),
            Some(LeftOut::ForGood(why) | LeftOut::ForNow(why)) => Err(why),
        }
    });
    sizes.collect()
}

/// Makes every variant of `recipe` from the picture in `bytes`, on the caller's thread alone.
///
/// Fails as [`render_variants`] does.
pub fn render(bytes: &[u8], recipe: &Recipe) -> Result<Renditions, Error> {
    let variants: Vec<_> = recipe.variants.iter().collect();
    render_variants(bytes, recipe, &variants, &RenderOptions::default())
}

/// Makes `variants`, all or some of `recipe`'s, from the picture in `bytes`. A rendition's bytes
/// depend neither on the other variants nor on `options`.
///
/// Fails with an [`ImageError`] and the stage it was met in: [`Stage::Probe`] before any pixel was
/// decoded (not a known picture, a limit exceeded, a side too long for a required variant's format,
/// too little memory or time), [`Stage::Decode`] (damaged, cut short), [`Stage::Render`] (encoding).
/// Either every required variant is made, and every optional one is made, skipped for a permanent
/// reason or deferred for want of time or memory, or nothing is returned.
pub fn render_variants(
    bytes: &[u8],
    recipe: &Recipe,
    variants: &[&Variant],
    options: &RenderOptions,
) -> Result<Renditions, Error> {
    let stage = Cell::new(Stage::Probe);
    fenced(&stage, || {
        let Admitted {
            info,
            header,
            mut plans,
        } = admit(bytes, recipe, variants, options)?;

        if !plans.is_empty() && plans.iter().all(Plan::is_put_off) {
            return Ok(nothing_but_put_off(info, &plans));
        }
        stage.set(Stage::Decode);
        let wanted = decode::Wanted {
            accept_damage: recipe.source.damaged == DamageRule::Accept,
            // Frames are laid over each other with 8 bits, also where only the first is asked for.
            keep_depth: recipe.source.depth == DepthRule::Keep
                && !(info.frames > 1 && decode::frames::are_in(info.format)),
            scale: Scale::Full,
        };
        let mut warnings = decode::losses(info.format, &header, wanted.keep_depth);
        warnings.extend(left_behind(info.format, bytes));
        hold_to(recipe, &warnings)?;
        let scales = scales(&info, recipe, &plans);
        let mut source = Source {
            bytes,
            recipe,
            info: &info,
            finest: scales.last().copied().unwrap_or(Scale::Full),
            original: None,
        };
        let mut made: Vec<Option<Output>> = plans.iter().map(Plan::undrawn).collect();
        let (mut decoding, mut rendering) = (Duration::ZERO, Duration::ZERO);
        let mut finest = None;
        for &scale in &scales {
            stage.set(Stage::Decode);
            options.stop.check()?;
            let wanted = decode::Wanted { scale, ..wanted };
            let drawn = drawn_at(&mut source, &header, wanted, &mut plans, options, &stage)?;
            for (output, of_scale) in made.iter_mut().zip(drawn.outputs) {
                if of_scale.is_some() {
                    *output = of_scale;
                }
            }
            decoding += drawn.decoding;
            rendering += drawn.rendering;
            finest = Some((drawn.placeholder, drawn.found, drawn.damage));
        }
        // What is told of the source is told of its finest decoding.
        let (placeholder, found, damage) = finest.expect("there is a scale to decode at");
        warnings.extend(found);
        warnings.extend(damage.map(|damage| Warning {
            code: WarningCode::DamageAccepted,
            detail: format!("{damage}; the rest was rendered"),
            variant: None,
        }));
        let mut renditions = Vec::with_capacity(plans.len());
        for (output, plan) in made.into_iter().zip(&plans) {
            let output = output.expect("every plan is drawn or keeps its frames");
            warnings.extend(animate::dropped(plan, &info));
            warnings.extend(output.warnings);
            renditions.push(output.rendition);
        }
        hold_to(recipe, &warnings)?;
        Ok(Renditions {
            info,
            placeholder,
            renditions,
            warnings,
            stages: vec![(Stage::Decode, decoding), (Stage::Render, rendering)],
        })
    })
}

/// Fails with [`ImageError::LossRefused`] when the recipe does not take one of these losses.
pub(crate) fn hold_to<'w>(
    recipe: &Recipe,
    warnings: impl IntoIterator<Item = &'w Warning>,
) -> Result<(), ImageError> {
    let mut warnings = warnings.into_iter();
    match warnings.find(|warning| recipe.strict.contains(&warning.code)) {
        None => Ok(()),
        Some(warning) => Err(ImageError::LossRefused {
            loss: warning.code.word(),
            detail: match &warning.variant {
                Some(variant) => format!("variant {variant:?}: {}", warning.detail),
                None => warning.detail.clone(),
            },
        }),
    }
}

/// Whether a variant may come later, or not at all, for want of time or memory.
fn may_be_put_off(variant: &Variant, recipe: &Recipe) -> bool {
    !variant.required && !recipe.strict.contains(&WarningCode::VariantDeferred)
}

/// The sizes to decode at, the smallest first: those that `plans` are drawn from, and the finest that
/// any variant of the recipe is, so that what a manifest says of the source does not depend on
/// which of them are made this time.
fn scales(info: &Info, recipe: &Recipe, plans: &[Plan<'_>]) -> Vec<Scale> {
    let all = recipe.variants.iter();
    let all = all.filter_map(|variant| plan(recipe, variant, info).ok());
    let possible = all.filter(|plan| plan.left_out.is_none());
    let finest = possible.map(|plan| plan.scale).max();
    let finest = finest.unwrap_or(Scale::Full);
    let asked = |scale: &Scale| {
        let mut made = plans.iter().filter(|plan| plan.left_out.is_none());
        *scale == finest || made.any(|plan| plan.scale == *scale)
    };
    Scale::ALL.into_iter().filter(asked).collect()
}

/// What came of one decoding.
struct Drawn {
    /// By plan; none for those that are drawn from another scale.
    outputs: Vec<Option<Output>>,
    /// None where a finer decoding follows.
    placeholder: Option<Placeholder>,
    /// What was found to be lost on the way.
    found: Vec<Warning>,
    damage: Option<String>,
    decoding: Duration,
    rendering: Duration,
}

/// Decodes at the scale that is wanted, and makes of it what is drawn from there.
fn drawn_at(
    source: &mut Source<'_>,
    header: &Header,
    wanted: decode::Wanted,
    plans: &mut [Plan<'_>],
    options: &RenderOptions,
    stage: &Cell<Stage>,
) -> Result<Drawn, ImageError> {
    let (info, bytes, recipe) = (source.info, source.bytes, source.recipe);
    let began = Instant::now();
    let animate::Begun {
        still,
        film,
        mut decoding,
    } = if animate::is_asked_for(plans) {
        animate::begin(info, bytes, header, wanted)?
    } else {
        animate::still(info, bytes, header, wanted, began)?
    };
    if film.is_none() {
        animate::only_stills(plans);
    }
    let mut damage = still.damage;

    stage.set(Stage::Render);
    options.stop.check()?;
    let began = Instant::now();
    source.original = original(info, header, recipe, damage.is_some());
    let treating = animate::Treating {
        info,
        icc: header.icc.clone(),
        turned: applies_orientation(recipe),
    };
    let (picture, carried, found) = prepare(source, still.picture, header, options)?;
    for plan in &mut *plans {
        let looks = plan.variant.focus == Focus::Entropy && plan.variant.fit == Fit::Cover;
        if looks && plan.scale == wanted.scale {
            plan.placement = attention::moved(plan.placement, &picture);
        }
    }
    let placeholder = (source.finest == wanted.scale).then(|| placeholder::of(&picture));
    let mut outputs = draw_all(source, picture, plans, wanted.scale, &carried, options)?;
    let mut frames_decoding = Duration::ZERO;
    if let Some(film) = film {
        let all = animate::all_frames(source, film, &treating, plans, &carried, options, stage)?;
        frames_decoding = all.decoding;
        damage = damage.or(all.damage);
        for (output, of_frames) in outputs.iter_mut().zip(all.outputs) {
            if let Some(of_frames) = of_frames {
                *output = Some(of_frames?);
            }
        }
    }
    decoding += frames_decoding;
    Ok(Drawn {
        outputs,
        placeholder,
        found,
        damage,
        decoding,
        rendering: began.elapsed().saturating_sub(frames_decoding),
    })
}

/// The one fence: what panics within `work` is a picture's fault until shown otherwise, and costs
/// this picture only.
fn fenced<T>(
    stage: &Cell<Stage>,
    work: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, Error> {
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(ImageError::DecoderPanic {
            detail: text.unwrap_or("no message").to_owned(),
        })
    });
    result.map_err(|error| Error::new(stage.get(), error))
}

/// A source that may be decoded, and what is to be made of it.
struct Admitted<'a> {
    info: Info,
    header: Header,
    plans: Vec<Plan<'a>>,
}

/// What is to become of one variant.
struct Plan<'a> {
    variant: &'a Variant,
    placement: Placement,
    /// The size of the source that it is drawn from.
    scale: Scale,
    left_out: Option<LeftOut>,
    /// Whether every frame of the source is kept.
    animated: bool,
    /// Why not, where the recipe wants it.
    frames_refused: Option<String>,
}

impl Plan<'_> {
    fn is_put_off(&self) -> bool {
        matches!(self.left_out, Some(LeftOut::ForNow(_)))
    }

    /// What there is to say where nothing is drawn.
    fn undrawn(&self) -> Option<Output> {
        Some(match self.left_out.as_ref()? {
            LeftOut::ForGood(why) => skipped(self.variant, why.clone()),
            LeftOut::ForNow(why) => deferred(self.variant, why.clone()),
        })
    }
}

/// Why a variant is not made.
enum LeftOut {
    /// This source can't have it.
    ForGood(String),
    /// Time or memory don't allow for it.
    ForNow(String),
}

/// Holds the header against every limit, and plans every rendition: nothing is decoded here.
fn admit<'a>(
    bytes: &[u8],
    recipe: &Recipe,
    variants: &[&'a Variant],
    options: &RenderOptions,
) -> Result<Admitted<'a>, ImageError> {
    options.stop.check()?;
    let limits = &recipe.limits;
    let size = bytes.len() as u64;
    if size > limits.input_bytes {
        return Err(ImageError::TooLarge {
            what: Limit::InputBytes,
            actual: size,
            max: limits.input_bytes,
            remedy: "make the file smaller, or raise `limits.input_bytes`".to_owned(),
        });
    }
    let (info, header) = header::examine(bytes)?;
    within_limits(&info, recipe)?;
    let mut plans = variants
        .iter()
        .map(|variant| plan(recipe, variant, &info))
        .collect::<Result<Vec<_>, _>>()?;
    // What is optional goes first, the costliest of it before the rest.
    while let Err(short) = within_means(&info, size, recipe, &plans, options) {
        let optional = plans
            .iter_mut()
            .filter(|plan| plan.left_out.is_none() && may_be_put_off(plan.variant, recipe));
        let costliest = optional.max_by_key(|plan| predict::encoding_time(plan, &info));
        let why = put_off_for(&short);
        costliest.ok_or(short)?.left_out = Some(LeftOut::ForNow(why));
    }
    Ok(Admitted {
        info,
        header,
        plans,
    })
}

/// Without figures: a manifest must not hold what the clock said.
fn put_off_for(short: &ImageError) -> String {
    let what = match short {
        ImageError::OutOfMemory { .. } => "memory",
        _ => "time",
    };
    format!("there was not enough {what} for it")
}

/// Whether the memory and the time that are left will do for these plans, as far as can be foretold.
fn within_means(
    info: &Info,
    source_bytes: u64,
    recipe: &Recipe,
    plans: &[Plan<'_>],
    options: &RenderOptions,
) -> Result<(), ImageError> {
    if plans.iter().all(Plan::is_put_off) {
        // Nothing is left to make, so nothing is needed.
        return Ok(());
    }
    let threads = options.threads.get();
    let prediction = predict::of_plans(info, source_bytes, recipe, threads, plans);
    if let Some(max) = options.memory
        && prediction.memory_bytes > max
    {
        return Err(ImageError::OutOfMemory {
            needed: prediction.memory_bytes,
            max,
        });
    }
    if let Some(left) = options.stop.time_left() {
        let needed = prediction.wall_time(threads, options.speed);
        if needed > left {
            let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            return Err(ImageError::OutOfTime {
                needed_ms: milliseconds(needed),
                left_ms: milliseconds(left),
            });
        }
    }
    Ok(())
}

fn within_limits(info: &Info, recipe: &Recipe) -> Result<(), ImageError> {
    let limits = &recipe.limits;
    if info.pixels() > limits.pixels {
        return Err(ImageError::TooLarge {
            what: Limit::Pixels,
            actual: info.pixels(),
            max: limits.pixels,
            remedy: format!(
                "the picture is {} x {} pixels: make it smaller, or raise `limits.pixels`",
                info.stored_width, info.stored_height
            ),
        });
    }
    Ok(())
}

fn applies_orientation(recipe: &Recipe) -> bool {
    recipe.source.orientation == OrientationRule::Apply
}

fn plan<'a>(recipe: &Recipe, variant: &'a Variant, info: &Info) -> Result<Plan<'a>, ImageError> {
    if let Some(format) = encode::missing(variant.format) {
        return Err(sniff::built_without(format));
    }
    let source = info.size(applies_orientation(recipe));
    let placement = geometry::place(source, variant, recipe.source.max_side);
    if let Some(why) = geometry::near_duplicate(source, variant, recipe.source.max_side) {
        return Ok(Plan {
            variant,
            placement,
            scale: Scale::Full,
            left_out: Some(LeftOut::ForGood(why)),
            animated: false,
            frames_refused: None,
        });
    }
    let (width, height) = placement.canvas;
    let (side, max_side) = (width.max(height), variant.format.max_side());
    let pixels = u64::from(width) * u64::from(height);
    let name = &variant.name;
    let error = if side > max_side {
        let extension = variant.format.extension();
        Some(ImageError::TooLarge {
            what: Limit::FormatSide,
            actual: u64::from(side),
            max: u64::from(max_side),
            remedy: format!(
                "variant {name:?} is a {extension}, which can't hold that: give it a width and a height, set `source.max_side`, or make it optional with `required = false`"
            ),
        })
    } else if pixels > recipe.limits.pixels {
        // Only enlarging gets here: the source itself is within the limit.
        Some(ImageError::TooLarge {
            what: Limit::Pixels,
            actual: pixels,
            max: recipe.limits.pixels,
            remedy: format!(
                "variant {name:?} would enlarge the picture to {width} x {height}: give it a smaller box, or set `source.max_side`"
            ),
        })
    } else {
        None
    };
    match error {
        Some(error) if variant.required => Err(error),
        error => {
            let kept = animate::keeps_frames(recipe, variant, info, placement.canvas);
            Ok(Plan {
                variant,
                placement,
                scale: Scale::of(variant, &placement, info),
                left_out: error.map(|error| LeftOut::ForGood(error.to_string())),
                animated: kept == Ok(true),
                frames_refused: kept.err(),
            })
        }
    }
}

/// What all variants of one source have in common.
struct Source<'a> {
    bytes: &'a [u8],
    recipe: &'a Recipe,
    info: &'a Info,
    /// The finest scale at which it is decoded.
    finest: Scale,
    /// The format under which the source's own bytes could stand in for a rendition.
    original: Option<OutputFormat>,
}

/// Whether the source's bytes could stand in for a rendition that changes no pixel: one still
/// picture with nothing to turn, to convert or to strip.
fn original(info: &Info, header: &Header, recipe: &Recipe, damaged: bool) -> Option<OutputFormat> {
    let treatment = &recipe.source;
    let format = match info.format {
        Format::Jpeg => OutputFormat::Jpeg,
        Format::Png => OutputFormat::Png,
        Format::Webp => OutputFormat::Webp,
        _ => return None,
    };
    // EXIF is always rewritten (its thumbnail goes), so a source with EXIF can't stand in.
    let nothing_to_strip =
        !info.has_metadata || (treatment.metadata == MetadataRule::Keep && header.exif.is_none());
    let colors_stay = info.color != ColorModel::Cmyk
        && (header.icc.is_none() || treatment.color == ColorRule::Keep);
    (nothing_to_strip && colors_stay && info.orientation == 1 && info.frames == 1 && !damaged)
        .then_some(format)
}

/// The pixels as the recipe wants them, whatever the variant; what every rendition carries; losses.
fn prepare(
    source: &Source<'_>,
    decoded: Picture,
    header: &Header,
    options: &RenderOptions,
) -> Result<(Picture, Carried, Vec<Warning>), ImageError> {
    let (treatment, info) = (&source.recipe.source, source.info);
    let done = Done {
        turned: applies_orientation(source.recipe),
        srgb: treatment.color == ColorRule::Srgb || info.color == ColorModel::Cmyk,
    };
    let beside = metadata::Beside {
        format: info.format,
        bytes: source.bytes,
        exif: match info.format {
            Format::Tiff => Some(source.bytes),
            _ => header.exif.as_deref(),
        },
        xmp: header.xmp.clone(),
    };
    let (mut carried, mut warnings) = metadata::carried(treatment.metadata, beside, done);
    let picture = decoded.without_idle_alpha();
    let colored = color::treat(
        treatment.color,
        picture,
        header.icc.clone(),
        options.threads.get(),
    );
    warnings.extend(colored.warnings);
    carried.icc = colored.profile;
    options.stop.check()?;
    let picture = if done.turned {
        orient::upright(colored.picture, info.orientation)?
    } else {
        colored.picture
    };
    Ok((picture, carried, warnings))
}

/// One variant's rendition and what was lost on the way.
struct Output {
    rendition: Rendition,
    warnings: Vec<Warning>,
}

/// Draws and encodes every plan of this scale but those that keep frames, in the order of the plans.
fn draw_all(
    source: &Source<'_>,
    mut picture: Picture,
    plans: &[Plan<'_>],
    scale: Scale,
    carried: &Carried,
    options: &RenderOptions,
) -> Result<Vec<Option<Output>>, ImageError> {
    let mut outputs: Vec<Option<Result<Output, ImageError>>> = Vec::new();
    outputs.resize_with(plans.len(), || None);
    let mut first: Vec<usize> = Vec::new();
    let mut second = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        if plan.left_out.is_some() || plan.animated || plan.scale != scale {
            // Never drawn, or frame by frame, or from another decoding.
        } else if plan.placement.resamples() && picture.layout.has_alpha() {
            // These want colors multiplied by alpha, the others must not see that.
            second.push(index);
        } else {
            first.push(index);
        }
    }
    for mut phase in [first, second] {
        let resampled_alpha = phase
            .first()
            .is_some_and(|index| plans[*index].placement.resamples() && picture.layout.has_alpha());
        if resampled_alpha {
            resize::premultiply(&mut picture);
        }
        // What is required before what a deadline may cut off; within that the longest work first,
        // so that no thread is left alone with it at the end.
        phase.sort_by_key(|index| {
            let plan = &plans[*index];
            let work = predict::encoding_time(plan, source.info);
            (!plan.variant.required, Reverse(work), *index)
        });
        let shares = Shares::of(&phase, plans);
        let done = parallel::run(phase.len(), options.threads.get(), |job| {
            let plan = &plans[phase[job]];
            options.stop.check()?;
            let drawn = shares.drawn(phase[job], || draw(source, &picture, plan));
            draw_one(source, &picture, plan, drawn, carried, &options.stop)
        });
        for (job, output) in done.into_iter().enumerate() {
            outputs[phase[job]] = Some(output);
        }
    }
    let mut stopped = false;
    let mut all = Vec::with_capacity(plans.len());
    for (output, plan) in outputs.into_iter().zip(plans) {
        all.push(match output.transpose() {
            Ok(output) => output,
            Err(ImageError::Stopped)
                if may_be_put_off(plan.variant, source.recipe) && options.stop.is_out_of_time() =>
            {
                let why = "the deadline came while it was being made";
                Some(deferred(plan.variant, why.to_owned()))
            }
            // Another variant's real trouble says more than that this one was stopped.
            Err(ImageError::Stopped) => {
                stopped = true;
                None
            }
            Err(error) => return Err(error),
        });
    }
    if stopped {
        return Err(ImageError::Stopped);
    }
    Ok(all)
}

/// Drawn pixels that several variants share, each kept until the last of them has it.
struct Shares {
    /// By plan: which slot it shares, if any.
    slot_of: Vec<Option<usize>>,
    slots: Vec<Mutex<Slot>>,
}

struct Slot {
    drawn: Option<Arc<Picture>>,
    users: usize,
}

impl Shares {
    fn of(phase: &[usize], plans: &[Plan<'_>]) -> Self {
        let alike = |a: &Plan<'_>, b: &Plan<'_>| {
            a.placement == b.placement
                && (a.placement.canvas == a.placement.picture
                    || a.variant.format.has_alpha() == b.variant.format.has_alpha())
        };
        let mut slot_of = vec![None; plans.len()];
        let mut slots = Vec::new();
        for (at, &index) in phase.iter().enumerate() {
            if slot_of[index].is_some() {
                continue;
            }
            let same = phase[at..]
                .iter()
                .filter(|other| alike(&plans[index], &plans[**other]));
            let same: Vec<usize> = same.copied().collect();
            if same.len() > 1 {
                for other in &same {
                    slot_of[*other] = Some(slots.len());
                }
                slots.push(Mutex::new(Slot {
                    drawn: None,
                    users: same.len(),
                }));
            }
        }
        Self { slot_of, slots }
    }

    /// The pixels of plan `index`: drawn now, or by another plan that shares them.
    fn drawn(
        &self,
        index: usize,
        draw: impl FnOnce() -> Result<Option<Picture>, ImageError>,
    ) -> Result<Option<Arc<Picture>>, ImageError> {
        let Some(slot) = self.slot_of[index] else {
            return Ok(draw()?.map(Arc::new));
        };
        // Whoever comes first draws while the others wait. A panic there reaches the fence, so that
        // what it leaves behind is not used.
        let mut slot = self.slots[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if slot.drawn.is_none() {
            slot.drawn = draw()?.map(Arc::new);
        }
        slot.users -= 1;
        Ok(if slot.users == 0 {
            slot.drawn.take()
        } else {
            slot.drawn.clone()
        })
    }
}

/// The rendition's pixels; none when they are the source's own.
fn draw(
    source: &Source<'_>,
    picture: &Picture,
    plan: &Plan<'_>,
) -> Result<Option<Picture>, ImageError> {
    if plan.placement.keeps_all(picture.size()) {
        return Ok(None);
    }
    let turned = if applies_orientation(source.recipe) {
        source.info.orientation
    } else {
        1
    };
    let full = source.info.size(applies_orientation(source.recipe));
    resize::draw(
        picture,
        &plan.scale.placed(&plan.placement, full, turned),
        source.recipe.source.background,
        plan.variant.format.has_alpha(),
    )
    .map(Some)
}

fn draw_one(
    source: &Source<'_>,
    picture: &Picture,
    plan: &Plan<'_>,
    drawn: Result<Option<Arc<Picture>>, ImageError>,
    carried: &Carried,
    stop: &Stop,
) -> Result<Output, ImageError> {
    stop.check()?;
    let variant = plan.variant;
    let mut warnings = Vec::new();
    let mut warn = |code, detail| {
        warnings.push(Warning {
            code,
            detail,
            variant: Some(variant.name.clone()),
        });
    };
    let drawn = drawn?;
    let mut pixels = drawn.as_deref().unwrap_or(picture);
    let flat;
    if !variant.format.has_alpha() && pixels.layout.has_alpha() {
        if !pixels.is_opaque() {
            let Color([red, green, blue, _]) = source.recipe.source.background;
            warn(
                WarningCode::AlphaFlattened,
                format!("transparency was laid over #{red:02x}{green:02x}{blue:02x}"),
            );
        }
        flat = pixels.flattened(source.recipe.source.background.rgb())?;
        pixels = &flat;
    }
    if pixels.layout.is_deep() && !variant.format.has_depth() {
        warn(
            WarningCode::DepthReduced,
            "16 bits a channel became 8".to_owned(),
        );
    }
    let encoded = encode::encode(pixels, variant, carried, &|| stop.requested())?;
    let same = plan.placement.keeps_all(picture.size());
    Ok(settle(source, plan, encoded, same, warnings))
}

/// The file as it is handed out, and what was lost. `same` says that it shows the source's own pixels.
fn settle(
    source: &Source<'_>,
    plan: &Plan<'_>,
    encoded: Encoded,
    same: bool,
    mut warnings: Vec<Warning>,
) -> Output {
    let variant = plan.variant;
    let mut warn = |code, detail| {
        warnings.push(Warning {
            code,
            detail,
            variant: Some(variant.name.clone()),
        });
    };
    let (width, height) = plan.placement.canvas;
    if plan.placement.capped {
        warn(
            WarningCode::SideCapped,
            format!("`source.max_side` made it {width} x {height} pixels"),
        );
    }
    for lost in encoded.lost {
        warn(WarningCode::MetadataDropped, lost);
    }
    let mut made = Made {
        bytes: Bytes::from(encoded.bytes),
        content_type: variant.format.content_type(),
        width,
        height,
        quality: variant.encoder_quality(),
    };
    let (size, source_size) = (made.bytes.len(), source.bytes.len());
    if size > source_size {
        let larger = format!("it would have {size} bytes, the source has {source_size}");
        match variant.if_larger {
            IfLarger::Skip => return skipped(variant, larger),
            IfLarger::Original if same && source.original == Some(variant.format) => {
                warn(
                    WarningCode::OriginalKept,
                    format!("{larger}: the source's own bytes stand in for it"),
                );
                made.bytes = Bytes::copy_from_slice(source.bytes);
                made.quality = None;
            }
            IfLarger::Original | IfLarger::Write => {}
        }
    }
    Output {
        rendition: Rendition {
            variant: variant.name.clone(),
            result: RenditionResult::Made(made),
        },
        warnings,
    }
}

fn skipped(variant: &Variant, why: String) -> Output {
    Output {
        warnings: vec![Warning {
            code: WarningCode::VariantSkipped,
            detail: why.clone(),
            variant: Some(variant.name.clone()),
        }],
        rendition: Rendition {
            variant: variant.name.clone(),
            result: RenditionResult::Skipped(why),
        },
    }
}

/// A picture that need not be decoded: there is no time or memory for anything of it.
fn nothing_but_put_off(info: Info, plans: &[Plan<'_>]) -> Renditions {
    let outputs = plans.iter().filter_map(|plan| match &plan.left_out {
        Some(LeftOut::ForNow(why)) => Some(deferred(plan.variant, why.clone())),
        _ => None,
    });
    let (renditions, warnings): (Vec<_>, Vec<_>) = outputs
        .map(|output| (output.rendition, output.warnings))
        .unzip();
    Renditions {
        info,
        placeholder: None,
        renditions,
        warnings: warnings.concat(),
        stages: Vec::new(),
    }
}

fn deferred(variant: &Variant, why: String) -> Output {
    Output {
        warnings: vec![Warning {
            code: WarningCode::VariantDeferred,
            detail: why.clone(),
            variant: Some(variant.name.clone()),
        }],
        rendition: Rendition {
            variant: variant.name.clone(),
            result: RenditionResult::Deferred(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_fenced_in_and_told_with_its_stage_and_its_message() {
        let stage = Cell::new(Stage::Probe);
        let panicking = |at, panic: fn() -> u8| {
            fenced(&stage, || {
                stage.set(at);
                Ok(panic())
            })
            .unwrap_err()
        };
        let index = 7;
        let error = panicking(Stage::Decode, || panic!("a decoder's index"));
        assert_eq!(
            (error.stage(), error.code()),
            (Stage::Decode, "decoder-panic")
        );
        assert!(error.to_string().contains("a decoder's index"), "{error}");
        assert!(!error.is_transient());
        let error = fenced::<()>(&stage, || panic!("index {index} is out of range")).unwrap_err();
        assert!(error.to_string().contains("index 7"), "{error}");
        let error = panicking(Stage::Render, || std::panic::panic_any(5_u8));
        assert_eq!(error.stage(), Stage::Render);
        assert!(error.to_string().contains("no message"), "{error}");
    }

    #[test]
    fn a_panic_on_a_helping_thread_reaches_the_fence() {
        let stage = Cell::new(Stage::Render);
        let error = fenced(&stage, || {
            parallel::run(4, 4, |job| assert_ne!(job, 3, "an encoder's fault"));
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.code(), "decoder-panic");
        assert!(error.to_string().contains("an encoder's fault"), "{error}");
    }
}
