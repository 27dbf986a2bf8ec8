//! PNM in: PBM, PGM, PPM and PAM. Samples are scaled to their full range.

use std::io::Cursor;

use image::codecs::pnm::PnmDecoder;

use super::{Header, by_image, still};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    still::header(Format::Pnm, &open(bytes)?)
}

pub(super) fn decode(bytes: &[u8], keep_depth: bool) -> Result<Picture, ImageError> {
    by_image::read(Format::Pnm, open(bytes)?, keep_depth)
}

fn open(bytes: &[u8]) -> Result<PnmDecoder<Cursor<&[u8]>>, ImageError> {
    PnmDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Pnm, &error))
}
