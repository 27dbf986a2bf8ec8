//! ICO in: the largest picture of an icon, by the PNG decoder here or, for the others, by `image`.

use std::io::Cursor;

use image::codecs::ico::IcoDecoder;

use super::{Decoded, Header, Wanted, by_image, cut_short, png, still};
use crate::error::ImageError;
use crate::image::Format;

/// Bytes of the file's header, and of each entry of its directory.
const HEAD: usize = 6;
const ENTRY: usize = 16;

const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let largest = Largest::of(bytes)?;
    let mut header = if largest.is_png() {
        png::header(largest.body)?
    } else {
        let decoder = open(&largest.alone())?;
        still::header(Format::Ico, &decoder)?
    };
    largest.check((header.width, header.height))?;
    header.frames = largest.pictures;
    Ok(header)
}

pub(super) fn decode(bytes: &[u8], wanted: Wanted) -> Result<Decoded, ImageError> {
    let largest = Largest::of(bytes)?;
    if largest.is_png() {
        return png::decode(largest.body, wanted);
    }
    if largest.body.len() < largest.length {
        return Err(cut_short("a picture of the icon"));
    }
    let decoder = open(&largest.alone())?;
    by_image::read(Format::Ico, decoder, false).map(Decoded::whole)
}

fn open(alone: &[u8]) -> Result<IcoDecoder<Cursor<Vec<u8>>>, ImageError> {
    IcoDecoder::new(Cursor::new(alone.to_vec()))
        .map_err(|error| by_image::refusal(Format::Ico, &error))
}

/// The largest picture of an icon; among equals the one with most bits, then the first.
struct Largest<'a> {
    entry: &'a [u8; ENTRY],
    /// What is there of its bytes.
    body: &'a [u8],
    /// How many bytes it should have.
    length: usize,
    /// How many pictures the icon has.
    pictures: u32,
}

impl<'a> Largest<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let head = bytes
            .first_chunk::<HEAD>()
            .ok_or_else(|| cut_short("the icon's header"))?;
        let pictures = u16::from_le_bytes([head[4], head[5]]);
        let directory = bytes
            .get(HEAD..HEAD + ENTRY * usize::from(pictures))
            .ok_or_else(|| cut_short("the icon's directory"))?;
        let entries = directory.as_chunks::<ENTRY>().0;
        let rank = |entry: &[u8; ENTRY]| {
            let (width, height) = size(entry);
            (width * height, u16::from_le_bytes([entry[6], entry[7]]))
        };
        // Of equals `max_by_key` takes the last.
        let entry = entries.iter().rev().max_by_key(|entry| rank(entry));
        let entry = entry.ok_or_else(|| ImageError::Corrupt {
            detail: "there is no picture in this icon".to_owned(),
        })?;
        let number = |at: usize| {
            let bytes = [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        let (length, start) = (number(8), number(12));
        let body = bytes
            .get(start..)
            .filter(|body| body.len() >= 64.min(length))
            .ok_or_else(|| cut_short("the icon's pictures"))?;
        Ok(Self {
            entry,
            body: &body[..length.min(body.len())],
            length,
            pictures: u32::from(pictures),
        })
    }

    fn is_png(&self) -> bool {
        self.body.starts_with(PNG)
    }

    /// An icon with this picture alone, 22 bytes from its start.
    fn alone(&self) -> Vec<u8> {
        let mut icon = vec![0, 0, 1, 0, 1, 0];
        icon.extend_from_slice(&self.entry[..12]);
        icon.extend([22, 0, 0, 0]);
        icon.extend_from_slice(self.body);
        icon
    }

    /// Whether a picture of this `size` is the one that the directory speaks of.
    fn check(&self, size: (u32, u32)) -> Result<(), ImageError> {
        let stated = self::size(self.entry);
        // A directory can't say more than 256.
        if stated == (size.0.min(256), size.1.min(256)) {
            return Ok(());
        }
        Err(ImageError::Corrupt {
            detail: format!(
                "its directory says {} x {} pixels, the picture has {} x {}",
                stated.0, stated.1, size.0, size.1
            ),
        })
    }
}

/// Width and height in pixels; 0 stands for 256.
fn size(entry: &[u8; ENTRY]) -> (u32, u32) {
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    (side(entry[0]), side(entry[1]))
}
