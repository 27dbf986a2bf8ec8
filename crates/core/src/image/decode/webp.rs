//! WebP in, by the pure-Rust decoder; this file walks the chunks.
//!
//! Of an animation, each frame's part is given to the decoder as a file of its own: what the decoder
//! makes of whole animations differs from what players show.

use std::io::Cursor;
use std::time::Duration;

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;

use super::frames::{After, Frames, Part, Parts};
use super::{Header, by_image, cut_short, orientation};
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::{Layout, Picture};
use crate::image::probe::ColorModel;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let mut header = Header {
        width: 0,
        height: 0,
        orientation: 1,
        frames: 0,
        alpha: false,
        color: ColorModel::Rgb,
        bits: 8,
        icc: None,
        exif: None,
        xmp: None,
        has_metadata: stated_length(bytes).is_some_and(|stated| stated < bytes.len() as u64),
        lossy: true,
        decode_memory: 0,
        channels: 3,
    };
    let mut flags = None;
    for Chunk { kind, body, whole } in Chunks::of(bytes) {
        match &kind {
            b"VP8X" => {
                let body = body.get(..10).ok_or_else(|| cut_short("the WebP header"))?;
                flags = Some(body[0]);
                header.alpha = body[0] & 0x10 != 0;
                header.width = 1 + u24(&body[4..]);
                header.height = 1 + u24(&body[7..]);
            }
            b"VP8 " if flags.is_none() => {
                let body = body.get(..10).ok_or_else(|| cut_short("the WebP header"))?;
                header.width = u32::from(u16::from_le_bytes([body[6], body[7]]) & 0x3FFF);
                header.height = u32::from(u16::from_le_bytes([body[8], body[9]]) & 0x3FFF);
            }
            b"VP8L" => {
                header.lossy = false;
                let body = body.get(..5).ok_or_else(|| cut_short("the WebP header"))?;
                if flags.is_none() {
                    let bits = u32::from_le_bytes([body[1], body[2], body[3], body[4]]);
                    header.width = 1 + (bits & 0x3FFF);
                    header.height = 1 + ((bits >> 14) & 0x3FFF);
                    header.alpha = bits >> 28 & 1 == 1;
                }
            }
            b"ANMF" => header.frames = header.frames.saturating_add(1),
            b"ICCP" if whole && header.icc.is_none() => header.icc = Some(body.to_vec()),
            b"EXIF" if whole && header.exif.is_none() => {
                // Some writers put JPEG's prefix before it.
                let exif = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
                header.exif = Some(exif.to_vec());
            }
            b"XMP " if whole && header.xmp.is_none() => header.xmp = Some(body.to_vec()),
            _ => {}
        }
        header.has_metadata |= !matches!(
            &kind,
            b"VP8X" | b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP"
        );
    }
    if header.width == 0 || header.height == 0 {
        if stated_length(bytes).is_some_and(|stated| stated <= bytes.len() as u64) {
            return Err(ImageError::Corrupt {
                detail: "there is no picture in this WebP file".to_owned(),
            });
        }
        return Err(cut_short("the WebP header"));
    }
    // Metadata lies behind the pixels: a prefix that ends before it can't tell the orientation.
    let needs_more = flags.is_some_and(|flags| flags & 0x08 != 0) && header.exif.is_none();
    if needs_more && stated_length(bytes).is_some_and(|stated| stated > bytes.len() as u64) {
        return Err(cut_short("the chunks before its metadata"));
    }
    header.frames = header.frames.max(1);
    header.channels = if header.alpha { 4 } else { 3 };
    header.orientation = orientation(header.exif.as_deref());
    let pixels = u64::from(header.width) * u64::from(header.height);
    header.decode_memory = pixels * if !header.lossy || header.alpha { 5 } else { 2 } + (2 << 20);
    if header.frames > 1 {
        // Frames are laid over each other with alpha, whatever the file says of itself.
        header.channels = 4;
        header.decode_memory += pixels * 8;
    }
    Ok(header)
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Picture, ImageError> {
    // The decoder reads only what it needs and would not notice that the rest is missing.
    check_length(bytes)?;
    if header.frames > 1 {
        let first = Frames::open(Format::Webp, bytes, header)?.next()?;
        let no_frame = || ImageError::Corrupt {
            detail: "there is no frame in this WebP file".to_owned(),
        };
        return first.map(|frame| frame.picture).ok_or_else(no_frame);
    }
    let decoder = WebPDecoder::new(Cursor::new(bytes))
        .map_err(|error| by_image::refusal(Format::Webp, &error))?;
    by_image::read(Format::Webp, decoder, false)
}

fn check_length(bytes: &[u8]) -> Result<(), ImageError> {
    if stated_length(bytes).is_none_or(|stated| stated > bytes.len() as u64) {
        return Err(cut_short("the WebP data"));
    }
    Ok(())
}

/// The parts that its frames are made of.
pub(super) struct WebpParts<'a> {
    bytes: &'a [u8],
    chunks: Chunks<'a>,
    plays: u32,
    size: (u32, u32),
}

impl<'a> WebpParts<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Self {
        let mut parts = Self {
            bytes,
            chunks: Chunks::of(bytes),
            plays: 1,
            size: (0, 0),
        };
        for Chunk { kind, body, .. } in Chunks::of(bytes) {
            match (&kind, body) {
                (b"VP8X", body) if body.len() >= 10 => {
                    parts.size = (1 + u24(&body[4..]), 1 + u24(&body[7..]));
                }
                (b"ANIM", &[_, _, _, _, low, high, ..]) => {
                    parts.plays = u32::from(u16::from_le_bytes([low, high]));
                }
                _ => {}
            }
        }
        parts
    }

    pub(super) fn plays(&self) -> u32 {
        self.plays
    }
}

impl Parts for WebpParts<'_> {
    fn next(&mut self) -> Result<Option<Part>, ImageError> {
        let Some(chunk) = self.chunks.find(|chunk| chunk.kind == *b"ANMF") else {
            check_length(self.bytes)?;
            return Ok(None);
        };
        let corrupt = |detail: &str| ImageError::Corrupt {
            detail: format!("a frame of the WebP file {detail}"),
        };
        if !chunk.whole {
            return Err(cut_short("a frame of the WebP file"));
        }
        let Some((about, body)) = chunk.body.split_at_checked(16) else {
            return Err(corrupt("is too short"));
        };
        let at = (u24(about) * 2, u24(&about[3..]) * 2);
        let size = (u24(&about[6..]) + 1, u24(&about[9..]) + 1);
        if at.0 + size.0 > self.size.0 || at.1 + size.1 > self.size.1 {
            return Err(corrupt("lies outside its canvas"));
        }
        let file = file_of_frame(body, size).ok_or_else(|| corrupt("holds no picture"))?;
        let decoder = WebPDecoder::new(Cursor::new(&file[..]))
            .map_err(|error| by_image::refusal(Format::Webp, &error))?;
        // Before memory is taken for what it says.
        if decoder.dimensions() != size {
            return Err(corrupt("contradicts itself about its size"));
        }
        let pixels = by_image::read(Format::Webp, decoder, false)?;
        Ok(Some(Part {
            at,
            pixels: pixels.widened(Layout::Rgba)?,
            blend: about[15] & 2 == 0,
            after: if about[15] & 1 == 0 {
                After::Stays
            } else {
                After::Cleared
            },
            delay: Duration::from_millis(u64::from(u24(&about[12..]))),
        }))
    }
}

/// The picture among a frame's chunks, as a file of its own.
fn file_of_frame(body: &[u8], (width, height): (u32, u32)) -> Option<Vec<u8>> {
    let mut alpha = None;
    for Chunk { kind, body, whole } in Chunks(body) {
        match &kind {
            b"ALPH" if whole => alpha = Some(body),
            b"VP8 " | b"VP8L" => {
                let mut chunks = Vec::new();
                if let Some(alpha) = alpha.filter(|_| kind == *b"VP8 ") {
                    let mut extended = vec![0x10, 0, 0, 0];
                    for side in [width, height] {
                        extended.extend(&(side - 1).to_le_bytes()[..3]);
                    }
                    push_chunk(&mut chunks, *b"VP8X", &extended)?;
                    push_chunk(&mut chunks, *b"ALPH", alpha)?;
                }
                push_chunk(&mut chunks, kind, body)?;
                let length = u32::try_from(chunks.len() + 4).ok()?.to_le_bytes();
                return Some([b"RIFF", &length[..], b"WEBP", &chunks].concat());
            }
            _ => {}
        }
    }
    None
}

fn push_chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> Option<()> {
    file.extend(kind);
    file.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    file.extend_from_slice(body);
    if body.len() % 2 == 1 {
        file.push(0);
    }
    Some(())
}

/// How long the file says it is, in bytes.
fn stated_length(bytes: &[u8]) -> Option<u64> {
    let size = bytes.get(4..8)?.first_chunk::<4>()?;
    Some(u64::from(u32::from_le_bytes(*size)) + 8)
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

/// One chunk, or what is there of it.
struct Chunk<'a> {
    kind: [u8; 4],
    body: &'a [u8],
    whole: bool,
}

struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    fn of(file: &'a [u8]) -> Self {
        let end = stated_length(file).map_or(file.len(), |stated| {
            usize::try_from(stated).map_or(file.len(), |stated| stated.min(file.len()))
        });
        Self(file.get(12..end).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (kind, after) = self.0.split_first_chunk::<4>()?;
        let (size, after) = after.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize;
        let body = &after[..size.min(after.len())];
        let padded = size.saturating_add(size & 1);
        self.0 = after.get(padded..).unwrap_or_default();
        Some(Chunk {
            kind: *kind,
            body,
            whole: body.len() == size,
        })
    }
}
