//! Turning a picture upright: EXIF orientations 1 to 8.

use super::picture::{Layout, Picture};
use crate::error::ImageError;

/// Whether `orientation` swaps width and height.
pub(crate) const fn swaps_sides(orientation: u8) -> bool {
    matches!(orientation, 5..=8)
}

/// The picture as EXIF `orientation` (1 to 8, anything else is 1) says it is to be shown. Flips and
/// half turns happen in place, the others need a second buffer for a moment.
pub(crate) fn upright(mut picture: Picture, orientation: u8) -> Result<Picture, ImageError> {
    match orientation {
        2 => {
            mirror_rows(&mut picture);
            Ok(picture)
        }
        3 => {
            reverse_pixels(&mut picture.data, picture.layout);
            Ok(picture)
        }
        4 => {
            flip_upside_down(&mut picture);
            Ok(picture)
        }
        5..=8 => transposed(&picture, orientation),
        _ => Ok(picture),
    }
}

fn mirror_rows(picture: &mut Picture) {
    let (stride, layout) = (picture.stride(), picture.layout);
    for row in picture.data.chunks_exact_mut(stride) {
        reverse_pixels(row, layout);
    }
}

/// Reversing every byte and then each pixel's bytes is reversing the pixels.
fn reverse_pixels(pixels: &mut [u8], layout: Layout) {
    pixels.reverse();
    for pixel in pixels.chunks_exact_mut(layout.bytes_per_pixel()) {
        pixel.reverse();
    }
}

fn flip_upside_down(picture: &mut Picture) {
    let (stride, height) = (picture.stride(), picture.height as usize);
    let (top, bottom) = picture.data.split_at_mut(height / 2 * stride);
    let from_below = bottom.chunks_exact_mut(stride).rev();
    for (above, below) in top.chunks_exact_mut(stride).zip(from_below) {
        above.swap_with_slice(below);
    }
}

fn transposed(picture: &Picture, orientation: u8) -> Result<Picture, ImageError> {
    let mut turned = Picture::blank((picture.height, picture.width), picture.layout)?;
    match picture.layout.bytes_per_pixel() {
        1 => transpose::<1>(picture, &mut turned.data, orientation),
        2 => transpose::<2>(picture, &mut turned.data, orientation),
        3 => transpose::<3>(picture, &mut turned.data, orientation),
        4 => transpose::<4>(picture, &mut turned.data, orientation),
        6 => transpose::<6>(picture, &mut turned.data, orientation),
        _ => transpose::<8>(picture, &mut turned.data, orientation),
    }
    Ok(turned)
}

/// Small squares at a time, so that neither side's rows fall out of the cache.
const TILE: usize = 32;

fn transpose<const N: usize>(picture: &Picture, out: &mut [u8], orientation: u8) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    // The turned picture is `height` wide and `width` high; its pixel (x, y) comes from here.
    let (from_right, from_below) = match orientation {
        6 => (false, true),
        7 => (true, true),
        8 => (true, false),
        _ => (false, false),
    };
    let (source, _) = picture.data.as_chunks::<N>();
    let (target, _) = out.as_chunks_mut::<N>();
    for tile_y in (0..width).step_by(TILE) {
        for tile_x in (0..height).step_by(TILE) {
            for y in tile_y..(tile_y + TILE).min(width) {
                let column = if from_right { width - 1 - y } else { y };
                for x in tile_x..(tile_x + TILE).min(height) {
                    let row = if from_below { height - 1 - x } else { x };
                    target[y * height + x] = source[row * width + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each orientation shows of a picture stored as `abc / def`.
    const SHOWN: [(u8, u32, &[u8; 6]); 8] = [
        (1, 3, b"abcdef"),
        (2, 3, b"cbafed"),
        (3, 3, b"fedcba"),
        (4, 3, b"defabc"),
        (5, 2, b"adbecf"),
        (6, 2, b"daebfc"),
        (7, 2, b"fcebda"),
        (8, 2, b"cfbead"),
    ];

    #[test]
    fn all_eight_orientations_come_out_upright() {
        for layout in [
            Layout::Gray,
            Layout::GrayAlpha,
            Layout::Rgb,
            Layout::Rgba,
            Layout::Rgb16,
            Layout::Rgba16,
        ] {
            let spread = |samples: &[u8]| {
                let channels = u8::try_from(layout.bytes_per_pixel()).unwrap();
                let pixel = |v: &u8| (0..channels).map(|c| *v + 20 * c).collect::<Vec<_>>();
                samples.iter().flat_map(pixel).collect::<Vec<u8>>()
            };
            for (orientation, width, samples) in SHOWN {
                let stored = Picture {
                    width: 3,
                    height: 2,
                    layout,
                    data: spread(b"abcdef"),
                };
                let shown = upright(stored, orientation).unwrap();
                assert_eq!(shown.size(), (width, 6 / width), "{orientation}");
                assert_eq!(shown.data, spread(samples), "{orientation} {layout:?}");
            }
        }
    }

    #[test]
    fn turning_there_and_back_is_no_turn() {
        let stored = Picture {
            width: 67,
            height: 41,
            layout: Layout::Rgb,
            data: (0..67 * 41 * 3u32).map(|v| (v % 251) as u8).collect(),
        };
        for (there, back) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)] {
            let turned = upright(stored.clone(), there).unwrap();
            assert_eq!(upright(turned, back).unwrap(), stored, "{there}");
        }
    }
}
