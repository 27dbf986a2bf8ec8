//! How much memory a source will take, told from its header: an upper bound that is not far off.

use std::time::Duration;

use super::{Plan, applies_orientation, plan};
use crate::image::encode::jpeg_pixels_in_memory;
use crate::image::geometry::Placement;
use crate::image::scale::Scale;
use crate::image::{ColorModel, Format, Info, orient};
use crate::recipe::{DepthRule, Effort, OutputFormat, Recipe};

/// What rendering will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// The most memory in use at one time, in bytes: the source's bytes and all renditions included, and 8 MiB
    /// for what runs. A process that holds much else has to add it.
    pub memory_bytes: u64,
    /// Processor time, all threads together, on one core of a server of about 2020 (an x86-64 at
    /// some 3 GHz); leaning to too much.
    pub processor_time: Duration,
    /// The part of it that comes before any variant, once for all: decoding, converting colors, turning.
    pub preparing_time: Duration,
    /// The part of it that no second thread can share: decoding, and the longest variant.
    pub longest_path: Duration,
}

impl Prediction {
    /// How long it takes by the clock on `threads` threads, each worth `speed` of such a core.
    pub fn wall_time(&self, threads: usize, speed: f64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a handful of threads")]
        let shared = self.processor_time.as_secs_f64() / threads.max(1) as f64;
        let seconds = shared.max(self.longest_path.as_secs_f64()) / speed.max(f64::MIN_POSITIVE);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Pixels, of all frames together, beyond which nothing is reckoned any more: no limit lets them in, and a header can
/// claim so many that numbers overflow. Below it, the dearest pixel there is leaves room in 64 bits.
const BEYOND_ALL: u64 = 1 << 42;

/// Predicts what rendering `recipe` from a source of `source_bytes` with this `info` will take on
/// `threads` threads. Variants that this source can't have count nothing. A source that claims more than four million
/// megapixels takes the largest numbers there are.
pub fn predict(info: &Info, source_bytes: u64, recipe: &Recipe, threads: usize) -> Prediction {
    let plans: Vec<_> = recipe
        .variants
        .iter()
        .filter_map(|variant| plan(recipe, variant, info).ok())
        .collect();
    of_plans(info, source_bytes, recipe, threads, &plans)
}

pub(super) fn of_plans(
    info: &Info,
    source_bytes: u64,
    recipe: &Recipe,
    threads: usize,
    plans: &[Plan<'_>],
) -> Prediction {
    let threads = threads.max(1);
    let size = info.size(applies_orientation(recipe));
    let canvases = plans.iter().map(|plan| area(plan.placement.canvas));
    let most = canvases.max().unwrap_or(0).max(info.pixels());
    let claims = [
        most.saturating_mul(u64::from(info.frames)),
        info.decode_memory,
        source_bytes,
    ];
    if claims.into_iter().any(|claim| claim > BEYOND_ALL) {
        return Prediction {
            memory_bytes: u64::MAX,
            processor_time: Duration::MAX,
            preparing_time: Duration::MAX,
            longest_path: Duration::MAX,
        };
    }
    let detail = Detail::of(info, source_bytes);
    let made = || plans.iter().filter(|plan| plan.left_out.is_none());
    let kept = made().map(
        |plan| match (encoding_cost(plan, info, detail).0, plan.animated) {
            (out, true) => out * u64::from(info.frames),
            (out, false) => out,
        },
    );
    let kept: u64 = kept.sum();
    let scales = super::scales(info, recipe, plans);
    let peaks = scales.iter().map(|scale| {
        let of_scale: Vec<_> = made().filter(|plan| plan.scale == *scale).collect();
        peak_at(*scale, info, recipe, threads, &of_scale, (detail, kept))
    });
    let peak = peaks.max().unwrap_or(0);
    let decoded = made().map(|plan| frames(plan, info)).max().unwrap_or(1);
    let preparing = scales
        .iter()
        .map(|scale| preparing_time(info, recipe, *scale));
    let preparing = preparing.sum::<Duration>() * decoded;
    let drawing: Vec<Duration> = made()
        .map(|plan| drawing_time(plan, size) * frames(plan, info) + encoding_time(plan, info))
        .collect();
    Prediction {
        memory_bytes: source_bytes + peak + threads as u64 * (256 << 10) + (8 << 20),
        processor_time: preparing + drawing.iter().sum::<Duration>(),
        preparing_time: preparing,
        longest_path: preparing + drawing.into_iter().max().unwrap_or_default(),
    }
}

/// Bytes in use at one time while `plans` are drawn from the source decoded at `scale`. `kept` is what
/// all renditions of all scales have.
fn peak_at(
    scale: Scale,
    info: &Info,
    recipe: &Recipe,
    threads: usize,
    plans: &[&Plan<'_>],
    (detail, kept): (Detail, u64),
) -> u64 {
    let turned = applies_orientation(recipe);
    let full = info.size(turned);
    let size = scale.size(full);
    let pixels = area(size);
    let stored = bytes_per_pixel(info, recipe);
    let picture = pixels
        * match info.color {
            ColorModel::Cmyk => 3,
            _ => stored,
        };
    let turning = if turned && orient::swaps_sides(info.orientation) {
        picture
    } else {
        0
    };
    let (mut encoding, mut drawing, mut halfway) = (Vec::new(), Vec::new(), 0);
    let mut drawn: Vec<&Placement> = Vec::new();
    let mut between_frames = 0;
    for plan in plans {
        let (out, work) = encoding_cost(plan, info, detail);
        if plan.animated {
            // Files are in the making all at once, each with what was shown last: libwebp keeps the
            // canvas in four states beside the frame that it takes in, and a few encoded frames.
            between_frames += area(plan.placement.canvas) * 20 + out * 18;
        }
        encoding.push(work);
        let placement = &plan.placement;
        if !placement.keeps_all(full) && !drawn.contains(&placement) {
            drawn.push(placement);
            drawing.push(area(placement.canvas) * stored);
            if placement.resamples() {
                // Resampling goes by way of the source's width and the rendition's height.
                let between = area((size.0, placement.picture.1)) * stored;
                halfway = halfway.max(between);
            }
        }
    }
    if plans.iter().any(|plan| plan.animated) {
        // The canvas, what is drawn on it, what it hides, and the frame before and after.
        between_frames += info.pixels() * 20 + info.decode_memory;
    }
    let passing = largest(encoding, threads) + largest(drawing, threads) + halfway + between_frames;
    (pixels * stored + info.decode_memory)
        .max(picture + turning)
        .max(picture + kept + passing)
}

/// Nanoseconds for each pixel, times `pixels`. The rates below are measured on photos and noise,
/// and rounded up by a third.
fn time(pixels: u64, nanoseconds: u64) -> Duration {
    Duration::from_nanos(pixels.saturating_mul(nanoseconds))
}

/// Decoding, converting colors, turning.
fn preparing_time(info: &Info, recipe: &Recipe, scale: Scale) -> Duration {
    let decoding = match info.format {
        // Each block's bits are read at any scale.
        Format::Jpeg if scale != Scale::Full => 5,
        Format::Jpeg => 8,
        Format::Bmp => 5,
        _ => 20,
    };
    let coloring = if info.profile.is_some() || info.color == ColorModel::Cmyk {
        15
    } else {
        0
    };
    let turning = if applies_orientation(recipe) && info.orientation != 1 {
        5
    } else {
        0
    };
    let pixels = area(scale.size((info.stored_width, info.stored_height)));
    Duration::from_millis(5) + time(info.pixels(), decoding) + time(pixels, coloring + turning)
}

/// Resampling: once over the source, and over what comes out.
fn drawing_time(plan: &Plan<'_>, source: (u32, u32)) -> Duration {
    if plan.placement.keeps_all(source) {
        return Duration::ZERO;
    }
    let pixels = area(plan.scale.size(source));
    time(pixels, 3) + time(area(plan.placement.canvas), 8)
}

/// How many frames are made for `plan`.
fn frames(plan: &Plan<'_>, info: &Info) -> u32 {
    if plan.animated { info.frames } else { 1 }
}

/// Encoding one variant, with all its frames. About every other frame is tried as a key frame too.
pub(super) fn encoding_time(plan: &Plan<'_>, info: &Info) -> Duration {
    let once = frame_time(plan, info);
    match frames(plan, info) {
        1 => once,
        frames => once * frames * 3 / 2,
    }
}

fn frame_time(plan: &Plan<'_>, info: &Info) -> Duration {
    let variant = plan.variant;
    let lossless = variant.encoder_quality().is_none();
    let nanoseconds = match (variant.format, variant.effort) {
        (OutputFormat::Avif, Effort::Fast) => 1_300,
        (OutputFormat::Avif, Effort::Balanced) => 3_000,
        (OutputFormat::Avif, Effort::Best) => 6_000,
        (OutputFormat::Jpeg, _) if variant.is_progressive() => 25,
        (OutputFormat::Jpeg, Effort::Fast) => 6,
        (OutputFormat::Jpeg, _) => 12,
        (OutputFormat::Png, Effort::Fast | Effort::Balanced) => 15,
        (OutputFormat::Png, Effort::Best) => 600,
        (OutputFormat::Webp, effort) => {
            let lossy = match effort {
                Effort::Fast => 45,
                Effort::Balanced => 110,
                Effort::Best => 200,
            };
            let sharp = if variant.sharp_yuv { 60 } else { 0 };
            match (lossless, variant.near_lossless) {
                (_, Some(_)) => lossy * 12,
                (true, None) => lossy * 8,
                (false, None) => lossy + sharp,
            }
        }
    };
    let alpha = if info.alpha { 2 } else { 1 };
    Duration::from_millis(1) + time(area(plan.placement.canvas), nanoseconds * alpha)
}

/// Bytes of a pixel from decoding to encoding.
fn bytes_per_pixel(info: &Info, recipe: &Recipe) -> u64 {
    let deep =
        recipe.source.depth == DepthRule::Keep && info.bits > 8 && info.color != ColorModel::Cmyk;
    u64::from(info.channels) * if deep { 2 } else { 1 }
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// The sum of the `count` largest.
fn largest(mut costs: Vec<u64>, count: usize) -> u64 {
    costs.sort_unstable_by(|a, b| b.cmp(a));
    costs.iter().take(count).sum()
}

/// How much detail a source has, in bytes that a good lossy file spends on 100 pixels: about 15
/// for a calm photo, above 100 for noise. A source's own size tells, since detail is what costs
/// bytes; encoders' outputs, and what some keep while at work, grow with it. The figures below are
/// fitted to photos and to noise, and lean to too much.
#[derive(Clone, Copy)]
struct Detail(u64);

impl Detail {
    fn of(info: &Info, source_bytes: u64) -> Self {
        let spent = source_bytes * 100 / info.pixels().max(1);
        let detail = if info.lossy {
            // The finer the file, the more it spends on the same detail.
            let spent = spent * 3 / u64::from(info.channels.max(3));
            // WebP spends less than JPEG on the same detail.
            let spent = match info.format {
                Format::Webp => spent * 5 / 4,
                _ => spent,
            };
            spent + spent * spent / 200
        } else {
            // Lossless: some 100 on a photo of three channels, 300 on noise.
            let samples = u64::from(info.channels) * u64::from(info.bits.max(8)) / 8;
            let spent = spent * 3 / samples.max(1);
            spent.min(100) / 4 + spent.saturating_sub(100) / 2
        };
        Self(detail.clamp(12, 125))
    }

    /// Bytes of `pixels`, at `flat` per 100 pixels, and `percent` of the detail more.
    fn bytes(self, pixels: u64, flat: u64, percent: u64) -> u64 {
        pixels * (100 * flat + percent * self.0) / 10_000
    }
}

/// Bytes of the file that comes out, and of what is in use beside it while it is made.
fn encoding_cost(plan: &Plan<'_>, info: &Info, detail: Detail) -> (u64, u64) {
    let pixels = area(plan.placement.canvas);
    let channels = u64::from(info.channels).min(4);
    let gray = info.color == ColorModel::Gray;
    let alpha = u64::from(info.alpha);
    let widened = if gray { pixels * (3 + alpha) } else { 0 };
    let variant = plan.variant;
    let (out, work) = match variant.format {
        OutputFormat::Avif => {
            let out = detail.bytes(pixels, 2, 80);
            (out, pixels * (60 + 30 * alpha) + widened)
        }
        OutputFormat::Jpeg => {
            let fine = variant.encoder_quality().is_some_and(|q| q >= 90);
            let samples_in_halves = match (gray, fine) {
                (true, _) => 2,
                (false, true) => 6,
                (false, false) => 3,
            };
            let coefficients = jpeg_pixels_in_memory(variant, pixels) * samples_in_halves;
            let out = detail.bytes(pixels, 4, if fine { 170 } else { 60 });
            // What it may grow into, beside itself.
            (out, coefficients + out + alpha * pixels * 3)
        }
        OutputFormat::Png => {
            let raw = pixels * channels;
            let out = detail.bytes(pixels, 30 * channels, 60 * channels);
            (raw.min(out), 2 << 20)
        }
        OutputFormat::Webp if variant.encoder_quality().is_none() => {
            let out = (pixels * channels).min(detail.bytes(pixels, 40, 250));
            (out, detail.bytes(pixels, 2_800, 400) + widened)
        }
        OutputFormat::Webp => {
            let out = detail.bytes(pixels, 2, 60);
            // The coder keeps its decisions: some twenty bytes for each that it will write.
            // Halving colors with care works on whole pixels, and on wider samples beside them.
            let sharp = if variant.sharp_yuv { pixels * 16 } else { 0 };
            (out, out * 18 + pixels * (3 + 13 * alpha) + widened + sharp)
        }
    };
    (out, work + (1 << 20))
}
