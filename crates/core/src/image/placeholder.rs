//! What stands in for a picture until it is there: a ThumbHash, one color, the proportions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::picture::{Layout, Picture, narrowed};
use crate::manifest::Placeholder;

/// The longest side of what a ThumbHash is made of, in pixels. Its author allows 100; it keeps waves of
/// which at most seven fit into the picture, and half as many pixels tell them as well.
const HASHED_SIDE: u32 = 50;

/// Samples taken along each side of a cell; more of them change nothing that can be seen.
const SAMPLES: u32 = 5;

/// The placeholder of `picture`, as it is shown.
pub(crate) fn of(picture: &Picture) -> Placeholder {
    let (width, height) = picture.size();
    let divisor = greatest_divisor(width, height);
    let small = Cells::of(picture, HASHED_SIDE, SAMPLES);
    let pixels = small.pixels();
    let hash = thumbhash::rgba_to_thumb_hash(small.width, small.height, pixels.as_flattened());
    Placeholder {
        thumbhash: STANDARD.encode(hash),
        color: dominant(&pixels).map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")),
        aspect_ratio: format!("{}:{}", width / divisor, height / divisor),
    }
}

fn greatest_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a.max(1)
    } else {
        greatest_divisor(b, a % b)
    }
}

/// The color that most of the picture has: of 16 x 16 x 16 boxes, the mean of the fullest one.
/// Pixels that are more than half transparent don't count.
fn dominant(pixels: &[[u8; 4]]) -> Option<[u8; 3]> {
    let mut boxes = vec![[0_u64; 4]; 4096];
    for [r, g, b, alpha] in pixels.iter().copied() {
        if alpha >= 128 {
            let at = usize::from(r >> 4) << 8 | usize::from(g >> 4) << 4 | usize::from(b >> 4);
            for (sum, sample) in boxes[at].iter_mut().zip([r, g, b, 1]) {
                *sum += u64::from(sample);
            }
        }
    }
    // Of equally full ones the first, so that the answer is one.
    let fullest = boxes.iter().rev().max_by_key(|sums| sums[3])?;
    let [r, g, b, count] = *fullest;
    let mean = |sum: u64| u8::try_from((sum + count / 2) / count).unwrap_or(255);
    (count > 0).then(|| [mean(r), mean(g), mean(b)])
}

/// A picture made small by averaging, in whole numbers and thus the same everywhere.
pub(crate) struct Cells {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// For each cell the sums of red, green and blue times alpha, of alpha, and the samples.
    sums: Vec<[u64; 5]>,
}

impl Cells {
    /// `picture` in at most `side` x `side` cells, none smaller than a pixel, from some `samples` x `samples`
    /// pixels in each.
    pub(crate) fn of(picture: &Picture, side: u32, samples: u32) -> Self {
        let (width, height) = picture.size();
        let longer = width.max(height);
        let fit = |own: u32| {
            let scaled = u64::from(own) * u64::from(side.min(longer)) / u64::from(longer);
            usize::try_from(scaled.max(1)).unwrap_or(1)
        };
        let (wide, high) = (fit(width), fit(height));
        let mut sums = vec![[0; 5]; wide * high];
        let step = (longer / (side * samples)).max(1) as usize;
        let pixel_bytes = picture.layout.bytes_per_pixel();
        // Divided once for all rows.
        let columns = (0..width as usize).step_by(step);
        let columns: Vec<_> = columns.map(|x| x * wide / width as usize).collect();
        let rows = picture.data.chunks_exact(picture.stride()).enumerate();
        for (y, row) in rows.step_by(step) {
            let line = y * high / height as usize * wide;
            let pixels = row.chunks_exact(pixel_bytes).step_by(step);
            for (column, pixel) in columns.iter().zip(pixels) {
                let mut narrow = [0; 4];
                let pixel = if picture.layout.is_deep() {
                    let samples = pixel.as_chunks::<2>().0;
                    for (to, from) in narrow.iter_mut().zip(samples) {
                        *to = narrowed(u16::from_ne_bytes(*from));
                    }
                    &narrow[..samples.len()]
                } else {
                    pixel
                };
                let ([r, g, b], alpha) = match (picture.layout.shallow(), pixel) {
                    (Layout::Gray, &[v]) => ([v; 3], 255),
                    (Layout::GrayAlpha, &[v, alpha]) => ([v; 3], alpha),
                    (Layout::Rgba, &[r, g, b, alpha]) => ([r, g, b], alpha),
                    (_, &[r, g, b, ..]) => ([r, g, b], 255),
                    _ => ([0; 3], 0),
                };
                let cell = &mut sums[line + column];
                for (sum, sample) in cell.iter_mut().zip([r, g, b, 255]) {
                    *sum += u64::from(sample) * u64::from(alpha);
                }
                cell[4] += 1;
            }
        }
        Self {
            width: wide,
            height: high,
            sums,
        }
    }

    /// RGBA, alpha not multiplied into the colors.
    pub(crate) fn pixels(&self) -> Vec<[u8; 4]> {
        let byte = |sum: u64, count: u64| u8::try_from((sum + count / 2) / count).unwrap_or(255);
        let mut latest = [0; 4];
        let pixels = self.sums.iter().map(|[r, g, b, weight, count]| {
            // Steps may pass over a narrow cell, which is then like its neighbour.
            if *count > 0 {
                let alpha = weight / 255;
                latest = match alpha {
                    0 => [0; 4],
                    alpha => [
                        byte(*r, alpha),
                        byte(*g, alpha),
                        byte(*b, alpha),
                        byte(alpha, *count),
                    ],
                };
            }
            latest
        });
        pixels.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Picture {
        let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Picture {
            width,
            height,
            layout: Layout::Rgba,
            data: rows.flat_map(|(x, y)| pixel(x, y)).collect(),
        }
    }

    #[test]
    fn a_placeholder_tells_proportions_the_main_color_and_roughly_what_is_where() {
        let sunset = picture(300, 200, |_, y| {
            if y < 120 {
                [250, 120, 30, 255]
            } else {
                [10, 20, 90, 255]
            }
        });
        let made = of(&sunset);
        assert_eq!(made.aspect_ratio, "3:2");
        assert_eq!(made.color.as_deref(), Some("#fa781e"));
        let hash = STANDARD.decode(&made.thumbhash).unwrap();
        let (width, height, rgba) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
        let at = |y: usize| &rgba[(y * width + width / 2) * 4..][..4];
        assert!(at(2)[0] > 200 && at(2)[2] < 90, "{:?}", at(2));
        assert!(
            at(height - 3)[0] < 60 && at(height - 3)[2] > 60,
            "{:?}",
            at(height - 3)
        );
        assert_eq!(of(&sunset), made);
    }

    #[test]
    fn what_can_not_be_seen_colors_no_placeholder() {
        let made = of(&picture(64, 64, |x, _| {
            if x < 16 {
                [0, 200, 0, 255]
            } else {
                [255, 0, 0, 0]
            }
        }));
        assert_eq!(made.color.as_deref(), Some("#00c800"));
        assert_eq!(of(&picture(5, 5, |_, _| [255, 0, 0, 0])).color, None);
        for (width, height) in [(1, 1), (3000, 1), (1, 3000), (801, 799)] {
            let made = of(&picture(width, height, |_, _| [9, 9, 9, 255]));
            assert_eq!(made.color.as_deref(), Some("#090909"), "{width} x {height}");
        }
    }

    #[test]
    fn gray_and_opaque_pictures_have_the_placeholder_of_the_same_in_color() {
        let wide = picture(40, 30, |x, y| {
            let v = (x * 3 + y).to_le_bytes()[0];
            [v, v, v, 255]
        });
        let gray = Picture {
            layout: Layout::Gray,
            data: wide.data.chunks(4).map(|pixel| pixel[0]).collect(),
            ..wide.clone()
        };
        assert_eq!(of(&gray), of(&wide));
        assert_eq!(of(&wide.clone().without_idle_alpha()), of(&wide));
    }
}
