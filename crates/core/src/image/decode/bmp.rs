//! BMP in.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;

use super::{Header, by_image, still};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let mut header = still::header(Format::Bmp, &open(bytes)?)?;
    header.icc = profile(bytes);
    Ok(header)
}

/// The profile that a header of version 5 (`BITMAPV5HEADER`, 124 bytes behind the file's 14) places behind the
/// pixels; none as long as the bytes don't reach that far.
fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    const FILE_HEADER: usize = 14;
    const VERSION_5: usize = 124;
    /// `PROFILE_EMBEDDED`: "MBED", its first letter last.
    const EMBEDDED: usize = 0x4D42_4544;
    const LARGEST: usize = 16 << 20;
    let number = |at: usize| {
        let field = bytes.get(FILE_HEADER + at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*field)).ok()
    };
    if number(0)? != VERSION_5 || number(56)? != EMBEDDED {
        return None;
    }
    let (start, size) = (number(112)?.checked_add(FILE_HEADER)?, number(116)?);
    let profile = bytes.get(start..start.checked_add(size)?)?;
    (1..=LARGEST).contains(&size).then(|| profile.to_vec())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    by_image::read(Format::Bmp, open(bytes)?, false)
}

fn open(bytes: &[u8]) -> Result<BmpDecoder<Cursor<&[u8]>>, ImageError> {
    BmpDecoder::new(Cursor::new(bytes)).map_err(|error| by_image::refusal(Format::Bmp, &error))
}
