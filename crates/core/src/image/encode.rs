//! Pixels to a file.

use super::color;
use super::metadata::Carried;
#[cfg(any(feature = "jpeg", feature = "png", feature = "webp"))]
use super::picture::Layout;
use super::picture::Picture;
use crate::error::ImageError;
#[cfg(any(feature = "jpeg", feature = "png", feature = "webp"))]
use crate::recipe::Effort;
use crate::recipe::{OutputFormat, Variant};

/// A file, and what of the metadata it could not hold.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lost: Vec<String>,
}

/// The format that can't be written because its cargo feature is off.
pub(crate) fn missing(format: OutputFormat) -> Option<super::Format> {
    match format {
        OutputFormat::Jpeg => (!cfg!(feature = "jpeg")).then_some(super::Format::Jpeg),
        OutputFormat::Png => (!cfg!(feature = "png")).then_some(super::Format::Png),
        OutputFormat::Webp => (!cfg!(feature = "webp")).then_some(super::Format::Webp),
    }
}

/// Encodes `picture`, which has no alpha if `variant`'s format has none. `stop` is asked where an
/// encoder allows it. Fails with [`ImageError::Encode`], [`ImageError::Stopped`] or [`ImageError::OutOfMemory`].
pub(crate) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let mut lost = Vec::new();
    let icc = carried.icc.clone().filter(|icc| {
        // WebP stores gray as RGB; padding may have colored a gray picture.
        let fits = color::describes(icc, picture.layout)
            && !(variant.format == OutputFormat::Webp && picture.layout.is_gray());
        if !fits {
            lost.push("the color profile describes other samples than this file stores".to_owned());
        }
        fits
    });
    let carried = Carried {
        icc,
        exif: carried.exif.clone(),
        xmp: carried.xmp.clone(),
    };
    let bytes: Vec<u8> = match variant.format {
        #[cfg(feature = "jpeg")]
        OutputFormat::Jpeg => {
            let (bytes, unfit) = super::metadata::into_jpeg(jpeg(picture, variant)?, &carried);
            lost.extend(unfit);
            bytes
        }
        #[cfg(feature = "png")]
        OutputFormat::Png => {
            if carried.xmp.is_some() {
                lost.push("XMP is not written into PNG".to_owned());
            }
            png(picture, variant, &carried)?
        }
        #[cfg(feature = "webp")]
        OutputFormat::Webp => webp(picture, variant, &carried, stop)?,
        #[cfg(not(all(feature = "jpeg", feature = "png", feature = "webp")))]
        other => {
            let _ = (stop, &carried);
            Err(failure(variant, &format!("built without {other:?}")))?
        }
    };
    Ok(Encoded { bytes, lost })
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
    picture: &Picture,
    error: &pixmill_codecs::Error,
) -> ImageError {
    match error {
        pixmill_codecs::Error::Stopped => ImageError::Stopped,
        pixmill_codecs::Error::Memory => {
            let needed = picture.data.len() as u64 * 2;
            ImageError::OutOfMemory {
                needed,
                max: needed.saturating_sub(1),
            }
        }
        other => failure(variant, other),
    }
}

#[cfg(feature = "jpeg")]
fn jpeg(picture: &Picture, variant: &Variant) -> Result<Vec<u8>, ImageError> {
    use pixmill_codecs::jpeg::{EncodeOptions, Layout as JpegLayout, Subsampling, encode};
    let quality = variant.encoder_quality().unwrap_or(100);
    let options = EncodeOptions {
        quality,
        subsampling: if quality < 90 {
            Subsampling::S420
        } else {
            Subsampling::S444
        },
        progressive: variant.effort == Effort::Best,
        optimize: variant.effort != Effort::Fast,
    };
    let layout = match picture.layout {
        Layout::Gray => JpegLayout::Gray,
        Layout::Rgb => JpegLayout::Rgb,
        other => return Err(failure(variant, &format!("{other:?} in a JPEG"))),
    };
    encode(
        &picture.data,
        picture.width,
        picture.height,
        layout,
        &options,
    )
    .map_err(|error| codec_failure(variant, picture, &error))
}

#[cfg(feature = "webp")]
fn webp(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, ImageError> {
    use pixmill_codecs::webp::{
        EncodeOptions, Layout as WebpLayout, Metadata, Mode, encode, with_metadata,
    };
    let options = EncodeOptions {
        mode: match variant.encoder_quality() {
            Some(quality) => Mode::Lossy {
                quality: f32::from(quality),
            },
            None => Mode::Lossless,
        },
        method: match variant.effort {
            Effort::Fast => 2,
            Effort::Balanced => 4,
            Effort::Best => 6,
        },
        // Lossless keeps every pixel, also those that can't be seen.
        exact: variant.lossless,
        ..EncodeOptions::default()
    };
    let wide;
    let (layout, data) = match picture.layout {
        Layout::Rgb => (WebpLayout::Rgb, &picture.data),
        Layout::Rgba => (WebpLayout::Rgba, &picture.data),
        Layout::GrayAlpha => {
            wide = picture.widened(Layout::Rgba)?;
            (WebpLayout::Rgba, &wide.data)
        }
        Layout::Gray | Layout::Cmyk => {
            wide = picture.widened(Layout::Rgb)?;
            (WebpLayout::Rgb, &wide.data)
        }
    };
    let failed = |error| codec_failure(variant, picture, &error);
    let bytes =
        encode(data, picture.width, picture.height, layout, &options, stop).map_err(failed)?;
    let metadata = Metadata {
        icc: carried.icc.as_deref(),
        exif: carried.exif.as_deref(),
        xmp: carried.xmp.as_deref(),
    };
    if metadata == Metadata::default() {
        return Ok(bytes);
    }
    with_metadata(&bytes, &metadata).map_err(failed)
}

#[cfg(feature = "png")]
fn png(picture: &Picture, variant: &Variant, carried: &Carried) -> Result<Vec<u8>, ImageError> {
    use png::{BitDepth, ColorType, Compression, Encoder, Filter, Info};
    let opaque;
    let picture = if picture.layout.has_alpha() && picture.is_opaque() {
        opaque = picture.clone().without_idle_alpha();
        &opaque
    } else {
        picture
    };
    let mut info = Info::with_size(picture.width, picture.height);
    info.bit_depth = BitDepth::Eight;
    info.color_type = match picture.layout {
        Layout::Gray => ColorType::Grayscale,
        Layout::GrayAlpha => ColorType::GrayscaleAlpha,
        Layout::Rgb | Layout::Cmyk => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
    };
    info.icc_profile = carried.icc.as_deref().map(Into::into);
    info.exif_metadata = carried.exif.as_deref().map(Into::into);
    let mut bytes = Vec::new();
    let write = || {
        let mut encoder = Encoder::with_info(&mut bytes, info)?;
        encoder.set_compression(match variant.effort {
            Effort::Fast | Effort::Balanced => Compression::Fast,
            Effort::Best => Compression::High,
        });
        encoder.set_filter(match variant.effort {
            Effort::Fast => Filter::Up,
            Effort::Balanced | Effort::Best => Filter::Adaptive,
        });
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&picture.data)?;
        writer.finish()
    };
    let written: Result<(), png::EncodingError> = write();
    written.map_err(|error| failure(variant, &error))?;
    Ok(bytes)
}
