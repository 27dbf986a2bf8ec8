//! WebP out, by libwebp.

use pixmill_codecs::webp::{self, EncodeOptions, Layout as WebpLayout, Metadata, Mode};

use super::{Encoded, codec_failure};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Effort, Variant};

pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let options = EncodeOptions {
        mode: match (variant.near_lossless, variant.encoder_quality()) {
            (Some(level), _) => Mode::NearLossless { level },
            (None, Some(quality)) => Mode::Lossy {
                quality: f32::from(quality),
            },
            (None, None) => Mode::Lossless,
        },
        method: match variant.effort {
            Effort::Fast => 2,
            Effort::Balanced => 4,
            Effort::Best => 6,
        },
        // Lossless keeps every pixel, also those that can't be seen, unless told otherwise.
        exact: variant.exact.unwrap_or(variant.lossless),
        sharp_yuv: variant.sharp_yuv,
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
        _ => {
            wide = picture.widened(Layout::Rgb)?;
            (WebpLayout::Rgb, &wide.data)
        }
    };
    let failed = |error| codec_failure(variant, picture, &error);
    let bytes = webp::encode(data, picture.width, picture.height, layout, &options, stop)
        .map_err(failed)?;
    let metadata = Metadata {
        icc: carried.icc.as_deref(),
        exif: carried.exif.as_deref(),
        xmp: carried.xmp.as_deref(),
    };
    let bytes = if metadata == Metadata::default() {
        bytes
    } else {
        webp::with_metadata(&bytes, &metadata).map_err(failed)?
    };
    Ok(Encoded {
        bytes,
        lost: Vec::new(),
    })
}
