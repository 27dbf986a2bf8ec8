//! BMP in.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;

use super::{Header, by_image, still};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    still::header(Format::Bmp, &open(bytes)?)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    by_image::read(Format::Bmp, open(bytes)?, false)
}

fn open(bytes: &[u8]) -> Result<BmpDecoder<Cursor<&[u8]>>, ImageError> {
    BmpDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Bmp, &error))
}
