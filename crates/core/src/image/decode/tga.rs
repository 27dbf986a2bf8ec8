//! TGA in. Nothing in its first bytes says that it is one: see the feature's note.

use std::io::Cursor;

use image::codecs::tga::TgaDecoder;

use super::{Header, by_image, still};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    still::header(Format::Tga, &open(bytes)?)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    by_image::read(Format::Tga, open(bytes)?, false)
}

fn open(bytes: &[u8]) -> Result<TgaDecoder<Cursor<&[u8]>>, ImageError> {
    TgaDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Tga, &error))
}
