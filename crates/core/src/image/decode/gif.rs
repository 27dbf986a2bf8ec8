//! GIF in: the first frame on its canvas, or all of them.

use std::io::Cursor;
use std::time::Duration;

use gif::{ColorOutput, DecodeOptions, DecodingError, DisposalMethod, Repeat};
use image::codecs::gif::GifDecoder;

use super::frames::{After, Part, Parts};
use super::{Header, by_image, cut_short};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::{Layout, Picture, zeroed};
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

/// The parts that its frames are made of.
pub(super) struct GifParts<'a> {
    decoder: gif::Decoder<&'a [u8]>,
    /// Frames that are still to come, as far as the file goes.
    left: u32,
    complete: bool,
    /// The most bytes that a frame's pixels may take.
    room: u64,
}

impl<'a> GifParts<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        let decoder = options.read_info(bytes).map_err(|error| refusal(&error))?;
        let blocks = Blocks::of(bytes);
        let canvas = u64::from(decoder.width()) * u64::from(decoder.height());
        Ok(Self {
            decoder,
            left: blocks.frames,
            complete: blocks.complete,
            room: canvas * 8 + (64 << 20),
        })
    }

    /// A GIF says how often it is repeated after the first time; one that says nothing is played once.
    pub(super) fn plays(&self) -> u32 {
        match self.decoder.repeat() {
            Repeat::Infinite => 0,
            Repeat::Finite(times) => u32::from(times) + 1,
        }
    }
}

impl Parts for GifParts<'_> {
    fn next(&mut self) -> Result<Option<Part>, ImageError> {
        if self.left == 0 {
            // Many files lack their trailer, so the decoder is not asked what it thinks of that.
            return if self.complete {
                Ok(None)
            } else {
                Err(cut_short("a frame of the GIF"))
            };
        }
        self.left -= 1;
        let info = self
            .decoder
            .next_frame_info()
            .map_err(|error| refusal(&error))?;
        let Some(frame) = info else {
            return Err(ImageError::Corrupt {
                detail: "a frame that the GIF announces is not there".to_owned(),
            });
        };
        let at = (u32::from(frame.left), u32::from(frame.top));
        let (width, height) = (u32::from(frame.width), u32::from(frame.height));
        let after = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => After::Stays,
            DisposalMethod::Background => After::Cleared,
            DisposalMethod::Previous => After::Before,
        };
        let delay = Duration::from_millis(u64::from(frame.delay) * 10);
        let bytes = u64::from(width) * u64::from(height) * 4;
        if width == 0 || height == 0 || bytes > self.room {
            return Err(ImageError::Corrupt {
                detail: format!("a frame of the GIF says that it is {width} x {height} pixels"),
            });
        }
        let mut data = zeroed(bytes)?;
        self.decoder
            .read_into_buffer(&mut data)
            .map_err(|error| refusal(&error))?;
        Ok(Some(Part {
            at,
            pixels: Picture {
                width,
                height,
                layout: Layout::Rgba,
                data,
            },
            // Pixels are opaque, or let everything through.
            blend: true,
            after,
            delay,
        }))
    }
}

fn refusal(error: &DecodingError) -> ImageError {
    match error {
        DecodingError::UnexpectedEof => cut_short("a frame of the GIF"),
        DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            cut_short("a frame of the GIF")
        }
        error => ImageError::Corrupt {
            detail: error.to_string(),
        },
    }
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
