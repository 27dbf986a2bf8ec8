//! QOI in. What it says of linear light is, by its own specification, for information only.

use std::io::Cursor;

use image::codecs::qoi::QoiDecoder;

use super::{Header, by_image, still};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    still::header(Format::Qoi, &open(bytes)?)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    by_image::read(Format::Qoi, open(bytes)?, false)
}

fn open(bytes: &[u8]) -> Result<QoiDecoder<Cursor<&[u8]>>, ImageError> {
    QoiDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Qoi, &error))
}
