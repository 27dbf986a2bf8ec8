//! Where to look: the part of a picture in which most differs.
//!
//! The measure is the collision entropy (Rényi's of order 2) of the brightness within a window: the
//! less likely two of its points are alike, the more there is to see. It is Shannon's entropy without
//! its logarithms, so that it is counted in whole numbers and comes out the same on every machine.

use super::geometry::{Crop, Placement};
use super::picture::Picture;
use super::placeholder::Cells;

/// The longest side of what is looked at, in cells.
const SIDE: u32 = 256;

/// Samples taken along each side of a cell.
const SAMPLES: u32 = 3;

/// Shades that are told apart.
const SHADES: usize = 32;

/// `placement` with its crop, as large as it is, moved to where most differs.
pub(crate) fn moved(placement: Placement, picture: &Picture) -> Placement {
    let crop = placement.crop;
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    let cells = Cells::of(picture, SIDE, SAMPLES);
    let shades = Shades::of(&cells);
    let (left, top) = if crop.width < width {
        let columns = (0..cells.width).map(|x| shades.line(x, cells.width, cells.height));
        (
            best(&columns.collect::<Vec<_>>(), crop.width / width) * width,
            crop.top,
        )
    } else if crop.height < height {
        let rows = (0..cells.height).map(|y| shades.line(y * cells.width, 1, cells.width));
        (
            crop.left,
            best(&rows.collect::<Vec<_>>(), crop.height / height) * height,
        )
    } else {
        return placement;
    };
    // Where nothing is resampled, the crop begins at a whole pixel.
    let whole = |at: f64| {
        if placement.resamples() {
            at
        } else {
            at.round()
        }
    };
    Placement {
        crop: Crop {
            left: whole(left).clamp(0.0, width - crop.width),
            top: whole(top).clamp(0.0, height - crop.height),
            ..crop
        },
        ..placement
    }
}

/// A shade for each cell.
struct Shades(Vec<usize>);

impl Shades {
    fn of(cells: &Cells) -> Self {
        let shade = |[r, g, b, alpha]: [u8; 4]| {
            // Rec. 709, in thousandths; what can't be seen is dark.
            let light = 213 * u32::from(r) + 715 * u32::from(g) + 72 * u32::from(b);
            (light * u32::from(alpha) / 255 * 32 / 255_001) as usize
        };
        Self(cells.pixels().into_iter().map(shade).collect())
    }

    /// How often each shade is among `count` cells from `start` on, `step` apart.
    fn line(&self, start: usize, step: usize, count: usize) -> [u32; SHADES] {
        let mut line = [0; SHADES];
        for shade in self.0.iter().skip(start).step_by(step).take(count) {
            line[*shade] += 1;
        }
        line
    }
}

/// Where the window begins, as a share of the whole, that is `share` of `lines` long and has the
/// most in it; of equal ones the one nearest to the middle.
fn best(lines: &[[u32; SHADES]], share: f64) -> f64 {
    let all = lines.len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of at most 256 lines"
    )]
    let window = ((share * all as f64).round() as usize).clamp(1, all);
    let mut counts = [0_u32; SHADES];
    for line in &lines[..window] {
        add(&mut counts, line);
    }
    let free = all - window;
    let mut found = (u64::MAX, usize::MAX, 0);
    for start in 0..=free {
        if start > 0 {
            for (count, gone) in counts.iter_mut().zip(&lines[start - 1]) {
                *count -= gone;
            }
            add(&mut counts, &lines[start + window - 1]);
        }
        // Pairs that are alike; the number of all pairs is the same in every window.
        let alike = counts
            .iter()
            .map(|count| u64::from(*count) * u64::from(*count))
            .sum();
        found = found.min((alike, (2 * start).abs_diff(free), start));
    }
    if found.1 <= 1 {
        // The middle exactly, not to the nearest cell.
        return (1.0 - share) / 2.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 256 lines")]
    let start = found.2 as f64 / all as f64;
    start
}

fn add(counts: &mut [u32; SHADES], line: &[u32; SHADES]) {
    for (count, more) in counts.iter_mut().zip(line) {
        *count += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::geometry::place;
    use crate::image::picture::Layout;
    use crate::recipe::{Fit, Focus, OutputFormat, Variant};

    fn gray(width: u32, height: u32, pixel: impl Fn(u32, u32) -> u8) -> Picture {
        let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Picture {
            width,
            height,
            layout: Layout::Gray,
            data: rows.map(|(x, y)| pixel(x, y)).collect(),
        }
    }

    fn square(side: u32) -> Variant {
        let mut variant = Variant::new("v", OutputFormat::Png);
        (variant.width, variant.height) = (Some(side), Some(side));
        (variant.fit, variant.focus) = (Fit::Cover, Focus::Entropy);
        variant
    }

    fn crop(picture: &Picture, side: u32) -> Crop {
        moved(place(picture.size(), &square(side), 0), picture).crop
    }

    #[test]
    fn the_crop_goes_where_something_is() {
        let busy = |x: u32, y: u32| (x * 37 + y * 91 + x * y).to_le_bytes()[0];
        let right = gray(600, 200, |x, y| if x > 400 { busy(x, y) } else { 40 });
        let found = crop(&right, 100);
        assert!(found.left > 380.0, "{found:?}");
        assert!((found.width - 200.0).abs() < 1e-9 && found.left + 200.0 <= 600.0);
        let top = gray(200, 500, |x, y| if y < 200 { busy(x, y) } else { 200 });
        assert!(crop(&top, 100).top < 10.0);
    }

    #[test]
    fn where_all_is_alike_the_middle_is_kept_and_whole_pixels_stay_whole() {
        for width in [601, 300, 257, 1000] {
            let flat = gray(width, 200, |_, _| 7);
            let found = crop(&flat, 100);
            assert!((found.left - (f64::from(width) - 200.0) / 2.0).abs() < 1e-9);
        }
        // Too small to be resampled.
        let small = gray(
            90,
            41,
            |x, y| if x > 45 { (x * y).to_le_bytes()[0] } else { 0 },
        );
        let placed = moved(place(small.size(), &square(100), 0), &small);
        assert!(!placed.resamples() && placed.crop.left > 30.0, "{placed:?}");
    }
}
