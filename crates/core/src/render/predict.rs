//! How much memory a source will take, told from its header: an upper bound that is not far off.

use super::{Plan, applies_orientation, plan};
use crate::image::{ColorModel, Info, orient};
use crate::recipe::{Effort, OutputFormat, Recipe};

/// What rendering will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// The most memory in use at one time beyond the process's own, in bytes; the source's bytes
    /// and all renditions included.
    pub memory_bytes: u64,
}

/// Predicts what rendering `recipe` from a source of `source_bytes` with this `info` will take on
/// `threads` threads. Variants that this source can't have count nothing.
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
    let pixels = info.pixels();
    let decoded = pixels * u64::from(info.channels);
    let channels = match info.color {
        ColorModel::Cmyk => 3,
        _ => u64::from(info.channels),
    };
    let picture = pixels * channels;
    let turning = if applies_orientation(recipe) && orient::swaps_sides(info.orientation) {
        picture
    } else {
        0
    };
    let mut kept = 0;
    let mut passing = Vec::new();
    for plan in plans.iter().filter(|plan| plan.skip.is_none()) {
        let (out, work) = cost(plan, info, channels);
        kept += out;
        passing.push(work);
    }
    passing.sort_unstable_by(|a, b| b.cmp(a));
    let passing: u64 = passing.iter().take(threads.max(1)).sum();
    let decoding = decoded + info.decode_memory;
    let drawing = picture + kept + passing;
    let threads_own = threads as u64 * (256 << 10);
    Prediction {
        memory_bytes: source_bytes
            + decoding.max(picture + turning).max(drawing)
            + threads_own
            + (4 << 20),
    }
}

/// Bytes of the file that comes out, and of what is in use beside it while it is made.
fn cost(plan: &Plan<'_>, info: &Info, channels: u64) -> (u64, u64) {
    let placement = &plan.placement;
    let pixels = u64::from(placement.canvas.0) * u64::from(placement.canvas.1);
    let drawn = if placement.keeps_all((info.width, info.height)) {
        0
    } else {
        // Resampling goes by way of the source's width and the rendition's height.
        let halfway = u64::from(info.width.max(info.height)) * u64::from(placement.picture.1);
        pixels * channels
            + if placement.resamples() {
                halfway * channels
            } else {
                0
            }
    };
    let gray = channels <= 2;
    let alpha = u64::from(info.alpha);
    let variant = plan.variant;
    let (out, work) = match variant.format {
        OutputFormat::Jpeg => {
            let fine = variant.encoder_quality().is_some_and(|q| q >= 90);
            let samples_in_halves = match (gray, fine) {
                (true, _) => 2,
                (false, true) => 6,
                (false, false) => 3,
            };
            let coefficients = if variant.effort == Effort::Fast {
                0
            } else {
                pixels * samples_in_halves
            };
            let flattened = alpha * pixels * 3;
            (pixels * samples_in_halves / 6, coefficients + flattened)
        }
        // The deflated stream is there twice: on its own and in its file.
        OutputFormat::Png => (pixels * channels * 3 / 4, pixels * channels * 3 / 4),
        OutputFormat::Webp if variant.lossless => {
            (pixels * 2, pixels * (14 + if gray { 3 } else { 0 }))
        }
        OutputFormat::Webp => (
            pixels / 2,
            pixels * (3 + alpha * 2 + if gray { 3 } else { 0 }),
        ),
    };
    (out, drawn + work + (1 << 20))
}
