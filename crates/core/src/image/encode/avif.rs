//! AVIF out, by ravif (rav1e): 10 bits a sample, full color resolution, on the caller's thread alone.

use ravif::{AlphaColorMode, BitDepth, Encoder, Img, RGB8, RGBA8};

use super::{Encoded, failure};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::{Layout, Picture};
use crate::image::{color, picture};
use crate::recipe::{ColorRule, Effort, Variant};

/// The encoder can't be stopped once it has begun: what it will take is foretold instead.
pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    if stop() {
        return Err(ImageError::Stopped);
    }
    let mut lost = Vec::new();
    let converted;
    let mut picture = picture;
    if let Some(icc) = &carried.icc {
        // The encoder says sRGB in every file and takes no profile.
        let icc = Some(icc.clone());
        converted = color::treat(ColorRule::Srgb, picture.clone(), icc, 1).picture;
        picture = &converted;
        lost.push(
            "AVIF is written without a profile; its colors were converted to sRGB".to_owned(),
        );
    }
    if carried.xmp.is_some() {
        lost.push("XMP is not written into AVIF".to_owned());
    }
    let quality = f32::from(variant.encoder_quality().unwrap_or(100));
    let mut encoder = Encoder::new()
        .with_quality(quality)
        .with_alpha_quality(quality)
        .with_bit_depth(BitDepth::Ten)
        .with_alpha_color_mode(AlphaColorMode::UnassociatedClean)
        .with_speed(match variant.effort {
            Effort::Fast => 9,
            Effort::Balanced => 6,
            Effort::Best => 3,
        })
        .with_num_threads(Some(1));
    if let Some(exif) = &carried.exif {
        encoder = encoder.with_exif(&exif[..]);
    }
    let (width, height) = (picture.width as usize, picture.height as usize);
    let wanted = if picture.layout.has_alpha() {
        Layout::Rgba
    } else {
        Layout::Rgb
    };
    let wide;
    let data = if picture.layout == wanted {
        &picture.data
    } else {
        wide = picture.widened(wanted)?;
        &wide.data
    };
    let written = if wanted == Layout::Rgba {
        let mut pixels = reserved(data.len(), 4)?;
        let quads = data.as_chunks::<4>().0.iter();
        pixels.extend(quads.map(|&[r, g, b, a]| RGBA8::new(r, g, b, a)));
        encoder.encode_rgba(Img::new(&pixels, width, height))
    } else {
        let mut pixels = reserved(data.len(), 3)?;
        let triples = data.as_chunks::<3>().0.iter();
        pixels.extend(triples.map(|&[r, g, b]| RGB8::new(r, g, b)));
        encoder.encode_rgb(Img::new(&pixels, width, height))
    };
    match written {
        Ok(image) => Ok(Encoded {
            bytes: image.avif_file,
            lost,
        }),
        Err(error) => Err(failure(variant, &error)),
    }
}

/// Room for the pixels of `bytes` bytes.
fn reserved<T>(bytes: usize, bytes_per_pixel: usize) -> Result<Vec<T>, ImageError> {
    let mut pixels = Vec::new();
    pixels
        .try_reserve_exact(bytes / bytes_per_pixel)
        .map_err(|_| picture::no_memory(bytes as u64))?;
    Ok(pixels)
}
