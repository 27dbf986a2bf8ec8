//! Cropping, resampling (Lanczos with three lobes) and padding: always from the source's own pixels.

use fast_image_resize::images::{Image, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U8x3, U8x4, U16, U16x2, U16x3, U16x4};
use fast_image_resize::{
    FilterType, MulDiv, PixelTrait, PixelType, ResizeAlg, ResizeOptions, Resizer,
};

use super::geometry::{Crop, Placement};
use super::picture::{Layout, Picture, deepened};
use crate::error::ImageError;
use crate::recipe::Color;

fn pixel_type(layout: Layout) -> PixelType {
    match layout {
        Layout::Gray => PixelType::U8,
        Layout::GrayAlpha => PixelType::U8x2,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba | Layout::Cmyk => PixelType::U8x4,
        Layout::Gray16 => PixelType::U16,
        Layout::GrayAlpha16 => PixelType::U16x2,
        Layout::Rgb16 => PixelType::U16x3,
        Layout::Rgba16 => PixelType::U16x4,
    }
}

/// Multiplies colors by alpha, in place: what `draw` wants before it resamples. Done once for all
/// variants; transparent pixels' hidden colors must not bleed into their neighbors.
pub(crate) fn premultiply(picture: &mut Picture) {
    if !picture.layout.has_alpha() {
        return;
    }
    let kind = pixel_type(picture.layout);
    let mut view = Image::from_slice_u8(picture.width, picture.height, &mut picture.data, kind)
        .expect("a buffer of the picture's size, which allocators align for 16 bits");
    MulDiv::new()
        .multiply_alpha_inplace(&mut view)
        .expect("gray and RGB with alpha can be multiplied");
}

/// The rendition's pixels. `source` is premultiplied exactly if `placement` resamples.
pub(crate) fn draw(
    source: &Picture,
    placement: &Placement,
    background: Color,
    alpha_allowed: bool,
) -> Result<Picture, ImageError> {
    let picture = if placement.resamples() {
        resampled(source, placement)?
    } else {
        cropped(source, placement)?
    };
    if placement.canvas == placement.picture {
        return Ok(picture);
    }
    padded(&picture, placement, background, alpha_allowed)
}

fn resampled(source: &Picture, placement: &Placement) -> Result<Picture, ImageError> {
    let mut picture = Picture::blank(placement.picture, source.layout)?;
    let resample = match source.layout {
        Layout::Gray => resample::<U8>,
        Layout::GrayAlpha => resample::<U8x2>,
        Layout::Rgb => resample::<U8x3>,
        Layout::Rgba | Layout::Cmyk => resample::<U8x4>,
        Layout::Gray16 => resample::<U16>,
        Layout::GrayAlpha16 => resample::<U16x2>,
        Layout::Rgb16 => resample::<U16x3>,
        Layout::Rgba16 => resample::<U16x4>,
    };
    resample(source, placement.crop, &mut picture);
    Ok(picture)
}

/// By the type of the pixels. `Resizer::resize` would choose it by itself, and bring in floating point, which no picture
/// has here: code that is never run, and of which LLVM (22.1) doesn't make the same bytes twice.
fn resample<P: PixelTrait>(source: &Picture, crop: Crop, picture: &mut Picture) {
    let from = TypedImageRef::<P>::from_buffer(source.width, source.height, &source.data)
        .expect("a buffer of the picture's size, which allocators align for 16 bits");
    let mut to = TypedImage::<P>::from_buffer(picture.width, picture.height, &mut picture.data)
        .expect("a buffer of the picture's size, which allocators align for 16 bits");
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(crop.left, crop.top, crop.width, crop.height)
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&from, &mut to, &options)
        .expect("a placement lies within its source");
    if source.layout.has_alpha() {
        MulDiv::new()
            .divide_alpha_inplace_typed(&mut to)
            .expect("gray and RGB with alpha can be divided");
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a placement that doesn't resample begins at a whole pixel within the source"
)]
fn cropped(source: &Picture, placement: &Placement) -> Result<Picture, ImageError> {
    let (left, top) = (placement.crop.left as usize, placement.crop.top as usize);
    let mut part = Picture::blank(placement.picture, source.layout)?;
    let (from_stride, to_stride) = (source.stride(), part.stride());
    let start = left * source.layout.bytes_per_pixel();
    let rows = source.data.chunks_exact(from_stride).skip(top);
    for (to, from) in part.data.chunks_exact_mut(to_stride).zip(rows) {
        to.copy_from_slice(&from[start..start + to_stride]);
    }
    Ok(part)
}

fn padded(
    picture: &Picture,
    placement: &Placement,
    background: Color,
    alpha_allowed: bool,
) -> Result<Picture, ImageError> {
    let Color([red, green, blue, alpha]) = background;
    let alpha = if alpha_allowed { alpha } else { 255 };
    let gray = picture.layout.is_gray() && red == green && green == blue;
    let layout = match (gray, picture.layout.has_alpha() || alpha < 255) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let fill = match layout {
        Layout::Gray | Layout::GrayAlpha => [red, alpha, 0, 0],
        _ => [red, green, blue, alpha],
    };
    let fill = &fill[..layout.channels()];
    let (layout, fill) = if picture.layout.is_deep() {
        let bytes = fill.iter().flat_map(|v| deepened(*v).to_ne_bytes());
        (layout.deep(), bytes.collect::<Vec<u8>>())
    } else {
        (layout, fill.to_vec())
    };
    let mut canvas = Picture::blank(placement.canvas, layout)?;
    for pixel in canvas.data.chunks_exact_mut(fill.len()) {
        pixel.copy_from_slice(&fill);
    }
    let widened;
    let picture = if picture.layout == layout {
        picture
    } else {
        widened = picture.widened(layout)?;
        &widened
    };
    let (stride, part) = (canvas.stride(), picture.stride());
    let start = placement.at.0 as usize * fill.len();
    let rows = canvas
        .data
        .chunks_exact_mut(stride)
        .skip(placement.at.1 as usize);
    for (to, from) in rows.zip(picture.data.chunks_exact(part)) {
        to[start..start + part].copy_from_slice(from);
    }
    Ok(canvas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::geometry::place;
    use crate::recipe::{Fit, OutputFormat, Variant};

    fn variant(width: u32, height: u32, fit: Fit) -> Variant {
        Variant {
            width: Some(width),
            height: Some(height),
            fit,
            ..Variant::new("v", OutputFormat::Png)
        }
    }

    #[test]
    fn hidden_colors_do_not_bleed_into_their_neighbors() {
        let mut source = Picture::blank((64, 64), Layout::Rgba).unwrap();
        for (at, pixel) in source.data.chunks_exact_mut(4).enumerate() {
            let hidden = at % 64 < 32;
            pixel.copy_from_slice(if hidden {
                &[0, 255, 0, 0]
            } else {
                &[255, 0, 0, 255]
            });
        }
        premultiply(&mut source);
        let placed = place((64, 64), &variant(10, 10, Fit::Inside), 0);
        let small = draw(&source, &placed, Color::default(), true).unwrap();
        for pixel in small.data.chunks_exact(4).filter(|pixel| pixel[3] > 0) {
            assert!(pixel[0] > 250 && pixel[1] < 5, "{pixel:?}");
        }
    }

    #[test]
    fn padding_is_the_background_and_see_through_where_the_format_allows() {
        let source = Picture {
            width: 2,
            height: 2,
            layout: Layout::Gray,
            data: vec![9; 4],
        };
        let placed = place((2, 2), &variant(4, 2, Fit::Contain), 0);
        let draw = |color: [u8; 4], alpha| draw(&source, &placed, Color(color), alpha).unwrap();
        assert_eq!(draw([7; 4], false).data, [7, 9, 9, 7, 7, 9, 9, 7]);
        let clear = draw([0, 0, 0, 0], true);
        assert_eq!(clear.layout, Layout::GrayAlpha);
        assert_eq!(clear.data[..4], [0, 0, 9, 255]);
        let red = draw([255, 0, 0, 255], true);
        assert_eq!(red.data[..6], [255, 0, 0, 9, 9, 9]);
    }

    #[test]
    fn a_crop_without_resampling_copies_pixels() {
        let source = Picture {
            width: 4,
            height: 2,
            layout: Layout::Gray,
            data: vec![0, 1, 2, 3, 4, 5, 6, 7],
        };
        let placed = place((4, 2), &variant(9, 9, Fit::Cover), 0);
        let part = draw(&source, &placed, Color::default(), true).unwrap();
        assert_eq!((part.size(), part.data), ((2, 2), vec![1, 2, 5, 6]));
    }
}
