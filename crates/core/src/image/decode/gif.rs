//! GIF in: the first frame on its canvas.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;

use super::{Header, by_image, cut_short};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::Picture;
use crate::image::probe::ColorModel;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let Some(&[a, b, c, d]) = bytes.get(6..10).and_then(|b| b.first_chunk::<4>()) else {
        return Err(cut_short("the GIF header"));
    };
    let (width, height) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
    let pixels = u64::from(width) * u64::from(height);
    Ok(Header {
        width: u32::from(width),
        height: u32::from(height),
        orientation: 1,
        frames: Blocks::of(bytes).frames,
        // Any frame may leave parts of the canvas bare.
        alpha: true,
        color: ColorModel::Rgb,
        bits: 8,
        icc: None,
        exif: None,
        xmp: None,
        has_metadata: false,
        lossy: false,
        decode_memory: pixels * 4 + (1 << 20),
        channels: 4,
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    // The decoder stops after the first frame and would not notice that a later one is cut.
    if !Blocks::of(bytes).complete {
        return Err(cut_short("a frame of the GIF"));
    }
    let decoder = GifDecoder::new(Cursor::new(bytes))
        .map_err(|error| by_image::refusal(Format::Gif, &error))?;
    by_image::read(Format::Gif, decoder, false)
}

/// The blocks of a file, walked without decoding.
struct Blocks {
    frames: u32,
    /// Whether the bytes end between two blocks or at the trailer. Many files lack the trailer.
    complete: bool,
}

impl Blocks {
    fn of(bytes: &[u8]) -> Self {
        let mut blocks = Self {
            frames: 0,
            complete: false,
        };
        // An early end is what `complete` says.
        let _ = blocks.walk(bytes);
        blocks
    }

    fn walk(&mut self, bytes: &[u8]) -> Option<()> {
        let flags = *bytes.get(10)?;
        let mut rest = bytes.get(13 + color_table(flags)..)?;
        loop {
            let Some((&kind, after)) = rest.split_first() else {
                self.complete = self.frames > 0;
                return Some(());
            };
            rest = match kind {
                0x21 => after.get(1..)?,
                0x2C => {
                    let table = color_table(*after.get(8)?);
                    self.frames = self.frames.saturating_add(1);
                    // The byte after the color table is the code size.
                    after.get(9 + table + 1..)?
                }
                // The trailer, or rubbish that the decoder is to judge.
                _ => {
                    self.complete = true;
                    return Some(());
                }
            };
            loop {
                let (&length, after) = rest.split_first()?;
                rest = after.get(usize::from(length)..)?;
                if length == 0 {
                    break;
                }
            }
        }
    }
}

fn color_table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}
