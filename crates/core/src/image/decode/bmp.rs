//! BMP in.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::bmp::BmpDecoder;

use super::{Header, by_image};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::{Layout, Picture};
use crate::image::probe::ColorModel;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let decoder = open(bytes)?;
    let layout = by_image::layout(Format::Bmp, decoder.color_type())?;
    let (width, height) = decoder.dimensions();
    Ok(Header {
        width,
        height,
        orientation: 1,
        frames: 1,
        alpha: layout == Layout::Rgba,
        color: ColorModel::Rgb,
        bits: 8,
        icc: None,
        exif: None,
        xmp: None,
        has_metadata: false,
        decode_memory: 1 << 20,
        channels: if layout == Layout::Rgba { 4 } else { 3 },
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    by_image::read(Format::Bmp, open(bytes)?)
}

fn open(bytes: &[u8]) -> Result<BmpDecoder<Cursor<&[u8]>>, ImageError> {
    BmpDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Bmp, &error))
}
