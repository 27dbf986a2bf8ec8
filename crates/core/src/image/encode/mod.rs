//! Pixels to a file, one file per format.

pub(crate) mod animation;
#[cfg(feature = "avif")]
mod avif;
#[cfg(feature = "jpeg")]
mod jpeg;
#[cfg(not(all(feature = "avif", feature = "jpeg", feature = "png", feature = "webp")))]
mod off;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "webp")]
mod webp;

#[cfg(not(feature = "avif"))]
use off as avif;
#[cfg(not(feature = "jpeg"))]
use off as jpeg;
#[cfg(not(feature = "png"))]
use off as png;
#[cfg(not(feature = "webp"))]
use off as webp;

use super::metadata::Carried;
use super::picture::{Layout, Picture};
use super::profile;
use crate::error::ImageError;
use crate::recipe::{OutputFormat, Variant};

/// A file, and what of the metadata it could not hold.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lost: Vec<String>,
}

/// The format that can't be written because its cargo feature is off.
pub(crate) fn missing(format: OutputFormat) -> Option<super::Format> {
    match format {
        OutputFormat::Avif => (!cfg!(feature = "avif")).then_some(super::Format::Avif),
        OutputFormat::Jpeg => (!cfg!(feature = "jpeg")).then_some(super::Format::Jpeg),
        OutputFormat::Png => (!cfg!(feature = "png")).then_some(super::Format::Png),
        OutputFormat::Webp => (!cfg!(feature = "webp")).then_some(super::Format::Webp),
    }
}

/// Of how many pixels a JPEG's coefficients are in memory at one time while `variant` is made of `pixels`.
pub(crate) fn jpeg_pixels_in_memory(variant: &Variant, pixels: u64) -> u64 {
    #[cfg(feature = "jpeg")]
    return jpeg::pixels_in_memory(variant, pixels);
    #[cfg(not(feature = "jpeg"))]
    return if variant.format == OutputFormat::Jpeg {
        pixels
    } else {
        0
    };
}

/// Encodes `picture`, which has no alpha if `variant`'s format has none. `stop` is asked where an
/// encoder allows it. Fails with [`ImageError::Encode`], [`ImageError::Stopped`] or [`ImageError::OutOfMemory`].
pub(crate) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let narrow;
    let picture = if variant.format.has_depth() {
        picture
    } else {
        narrow = picture.narrowed()?;
        &*narrow
    };
    let (carried, unfit) = fitting(carried, variant, picture.layout, picture.size());
    let encode = match variant.format {
        OutputFormat::Avif => avif::encode,
        OutputFormat::Jpeg => jpeg::encode,
        OutputFormat::Png => png::encode,
        OutputFormat::Webp => webp::encode,
    };
    let mut encoded = encode(picture, variant, &carried, stop)?;
    encoded.lost.extend(unfit);
    Ok(encoded)
}

/// What of `carried` a file of `size` with pixels of `layout` can say of itself, and what is lost.
fn fitting(
    carried: &Carried,
    variant: &Variant,
    layout: Layout,
    size: (u32, u32),
) -> (Carried, Vec<String>) {
    let mut fitting = carried.for_size(size);
    let mut lost = Vec::new();
    // WebP stores gray as RGB; padding may have colored a gray picture. AVIF takes no profile, and needs
    // it as it is to get rid of it.
    let stored = match variant.format {
        OutputFormat::Webp => Layout::Rgb,
        _ => layout,
    };
    if variant.format != OutputFormat::Avif {
        let icc = fitting.icc.take();
        fitting.icc = icc.and_then(|icc| profile::for_layout(&icc, stored));
    }
    if carried.icc.is_some() && fitting.icc.is_none() {
        lost.push("the color profile describes other samples than this file stores".to_owned());
    }
    if !carried.iptc.is_empty() && variant.format != OutputFormat::Jpeg {
        let extension = variant.format.extension();
        lost.push(format!(
            "IPTC is not written into {extension}, but for creator, rights and credit as XMP"
        ));
    }
    (fitting, lost)
}

fn failure(variant: &Variant, detail: &dyn std::fmt::Display) -> ImageError {
    ImageError::Encode {
        variant: variant.name.clone(),
        detail: detail.to_string(),
    }
}

#[cfg(any(feature = "jpeg", feature = "webp"))]
fn codec_failure(
    variant: &Variant,
    picture_bytes: u64,
    error: &pixmill_codecs::Error,
) -> ImageError {
    match error {
        pixmill_codecs::Error::Stopped => ImageError::Stopped,
        pixmill_codecs::Error::Memory => {
            let needed = picture_bytes * 2;
            ImageError::OutOfMemory {
                needed,
                max: needed.saturating_sub(1),
            }
        }
        other => failure(variant, other),
    }
}
