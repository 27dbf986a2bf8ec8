//! The headers of formats that hold one picture and nothing about it.

use image::{ExtendedColorType, ImageDecoder};

use super::{Header, by_image};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::probe::ColorModel;

/// The header of a still picture without metadata, of which `decoder` has read the file's own.
pub(super) fn header(format: Format, decoder: &impl ImageDecoder) -> Result<Header, ImageError> {
    let layout = by_image::layout(format, decoder.color_type())?;
    let (width, height) = decoder.dimensions();
    let bits = match decoder.original_color_type() {
        ExtendedColorType::L1 | ExtendedColorType::La1 => 1,
        _ if layout.is_deep() => 16,
        _ => 8,
    };
    let deep = if layout.is_deep() {
        decoder.total_bytes()
    } else {
        0
    };
    Ok(Header {
        width,
        height,
        orientation: 1,
        frames: 1,
        alpha: layout.has_alpha(),
        color: if layout.is_gray() {
            ColorModel::Gray
        } else {
            ColorModel::Rgb
        },
        bits,
        icc: None,
        exif: None,
        xmp: None,
        has_metadata: false,
        lossy: false,
        decode_memory: deep + (1 << 20),
        channels: u8::try_from(layout.channels()).unwrap_or(4),
    })
}
