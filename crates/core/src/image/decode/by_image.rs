//! What the formats that the `image` crate decodes have in common.

use image::{ColorType, ImageDecoder, ImageError as Cause, Limits};

use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::{Layout, Picture, zeroed};

/// The pixels of `decoder`, 8 bits a sample; 16 where it has them and `keep_depth` says so.
pub(super) fn read(
    format: Format,
    mut decoder: impl ImageDecoder,
    keep_depth: bool,
) -> Result<Picture, ImageError> {
    let color = decoder.color_type();
    let layout = layout(format, color)?;
    let (width, height) = decoder.dimensions();
    let total = decoder.total_bytes();
    let mut limits = Limits::no_limits();
    // The pixels, as much again for the decoder's own, and something for small pictures.
    limits.max_alloc = Some(total.saturating_mul(2).saturating_add(64 << 20));
    decoder
        .set_limits(limits)
        .map_err(|error| refusal(format, &error))?;
    let mut data = zeroed(total)?;
    decoder
        .read_image(&mut data)
        .map_err(|error| refusal(format, &error))?;
    let picture = Picture {
        width,
        height,
        layout,
        data,
    };
    if keep_depth || !layout.is_deep() {
        return Ok(picture);
    }
    picture.narrowed().map(std::borrow::Cow::into_owned)
}

/// The layout of `color`.
pub(super) fn layout(format: Format, color: ColorType) -> Result<Layout, ImageError> {
    match color {
        ColorType::L8 => Ok(Layout::Gray),
        ColorType::La8 => Ok(Layout::GrayAlpha),
        ColorType::Rgb8 => Ok(Layout::Rgb),
        ColorType::Rgba8 => Ok(Layout::Rgba),
        ColorType::L16 => Ok(Layout::Gray16),
        ColorType::La16 => Ok(Layout::GrayAlpha16),
        ColorType::Rgb16 => Ok(Layout::Rgb16),
        ColorType::Rgba16 => Ok(Layout::Rgba16),
        other => Err(ImageError::Unsupported {
            what: format!(
                "this {format} stores its pixels as {other:?}, which is not decoded here"
            ),
            remedy: "save it with 8 or 16 bits a channel".to_owned(),
        }),
    }
}

/// `image`'s error in words for the person with the file.
pub(super) fn refusal(format: Format, error: &Cause) -> ImageError {
    let ends_early = |error: &std::io::Error| error.kind() == std::io::ErrorKind::UnexpectedEof;
    match error {
        Cause::IoError(io) if ends_early(io) => early(format),
        Cause::Decoding(decoding) => {
            let mut source = std::error::Error::source(decoding);
            while let Some(cause) = source {
                if cause
                    .downcast_ref::<std::io::Error>()
                    .is_some_and(ends_early)
                {
                    return early(format);
                }
                source = cause.source();
            }
            ImageError::Corrupt {
                detail: decoding.to_string(),
            }
        }
        Cause::Unsupported(what) => ImageError::Unsupported {
            what: format!("this kind of {format} is not decoded here: {what}"),
            remedy: "save it again as PNG, or as JPEG".to_owned(),
        },
        Cause::Limits(_) => ImageError::Corrupt {
            detail: format!("decoding this {format} would take more memory than its size explains"),
        },
        other => ImageError::Corrupt {
            detail: other.to_string(),
        },
    }
}

fn early(format: Format) -> ImageError {
    ImageError::Truncated {
        detail: format!("the {format} data ends early"),
    }
}
