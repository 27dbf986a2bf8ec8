//! PNG out.

use std::io::Write;

use png::{Compression, Filter};

use super::{Encoded, failure};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Effort, Variant};

/// Bytes of picture data between two looks at `stop`, and in one chunk of a PNG.
const PIECE: usize = 1 << 20;

pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let opaque;
    let picture = if picture.layout.has_alpha() && picture.is_opaque() {
        opaque = picture.clone().without_idle_alpha();
        &opaque
    } else {
        picture
    };
    let (compression, filter) = match variant.effort {
        Effort::Fast => (Compression::Fast, Filter::Up),
        Effort::Balanced => (Compression::Fast, Filter::Adaptive),
        Effort::Best => (Compression::High, Filter::Adaptive),
    };
    let write = |compression, filter| {
        let mut bytes = Vec::new();
        match write_png(&mut bytes, picture, carried, (compression, filter), stop) {
            Ok(()) => Ok(bytes),
            Err(_) if stop() => Err(ImageError::Stopped),
            Err(error) => Err(failure(variant, &error)),
        }
    };
    let mut bytes = write(compression, filter)?;
    if bytes.len() > picture.data.len() + picture.height as usize {
        // Fast deflate makes noise longer than it is.
        drop(std::mem::take(&mut bytes));
        bytes = write(Compression::NoCompression, Filter::NoFilter)?;
    }
    let xmp = carried.xmp.is_some();
    Ok(Encoded {
        bytes,
        lost: if xmp {
            vec!["XMP is not written into PNG".to_owned()]
        } else {
            Vec::new()
        },
    })
}

/// Writes row by row, so that the deflated stream is never there twice.
fn write_png(
    out: &mut Vec<u8>,
    picture: &Picture,
    carried: &Carried,
    (compression, filter): (png::Compression, png::Filter),
    stop: &dyn Fn() -> bool,
) -> Result<(), png::EncodingError> {
    let mut info = png::Info::with_size(picture.width, picture.height);
    info.bit_depth = png::BitDepth::Eight;
    info.color_type = match picture.layout {
        Layout::Gray => png::ColorType::Grayscale,
        Layout::GrayAlpha => png::ColorType::GrayscaleAlpha,
        Layout::Rgb | Layout::Cmyk => png::ColorType::Rgb,
        Layout::Rgba => png::ColorType::Rgba,
    };
    info.icc_profile = carried.icc.as_deref().map(Into::into);
    info.exif_metadata = carried.exif.as_deref().map(Into::into);
    let mut encoder = png::Encoder::with_info(out, info)?;
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer_with_size(PIECE)?;
    for piece in picture.data.chunks(PIECE) {
        if stop() {
            return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
        }
        stream.write_all(piece)?;
    }
    stream.finish()?;
    writer.finish()
}
