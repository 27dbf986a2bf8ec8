//! PNG in, strictly: a wrong checksum in any chunk, a missing end and missing rows are refused.

use std::io::Cursor;
use std::time::Duration;

use png::{BitDepth, BlendOp, ColorType, DecodingError, DisposeOp, Transformations};

use super::frames::{After, Part, Parts};
use super::{Decoded, Header, Wanted, cut_short, orientation};
use crate::error::ImageError;
use crate::image::picture::{Layout, Picture, narrowed, zeroed};
use crate::image::probe::ColorModel;
use crate::image::profile;

/// What the decoder may take beside the pixels and a few rows: profiles are inflated within this.
const MEMORY: usize = 16 << 20;

type Reader<'a> = png::Reader<Cursor<&'a [u8]>>;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let reader = open(bytes)?;
    let info = reader.info();
    let around = Around::of(bytes);
    let (color, depth) = reader.output_color_type();
    let layout = layout(color)?;
    let frames = match &info.animation_control {
        // A default image outside the animation is one more.
        Some(control) => control
            .num_frames
            .saturating_add(u32::from(info.frame_control.is_none())),
        None => 1,
    };
    let profile = color_space(info, around.has_profile);
    let row = u64::from(info.width) * layout.channels() as u64;
    Ok(Header {
        width: info.width,
        height: info.height,
        orientation: orientation(around.exif),
        frames,
        alpha: layout.has_alpha(),
        color: if layout.is_gray() {
            ColorModel::Gray
        } else {
            ColorModel::Rgb
        },
        bits: info.bit_depth as u8,
        icc: profile,
        exif: around.exif.map(<[u8]>::to_vec),
        xmp: None,
        has_metadata: around.has_metadata,
        lossy: false,
        decode_memory: row * if depth == BitDepth::Sixteen { 8 } else { 4 } + (1 << 20),
        channels: u8::try_from(layout.channels()).unwrap_or(4),
    })
}

/// What the file says about its colors, in the order that PNG (third edition, 4.3) gives: `cICP`, then
/// `iCCP`, then `sRGB`, then `gAMA` with `cHRM`; none where that is sRGB, or nothing. A `gAMA` alone says
/// nothing of the primaries, is often wrong, and is passed over.
fn color_space(info: &png::Info<'_>, has_profile: bool) -> Option<Vec<u8>> {
    let mut unreadable = None;
    if let Some(points) = &info.coding_independent_code_points {
        match profile::of_code_points(
            points.color_primaries,
            points.transfer_function,
            points.is_video_full_range_image,
        ) {
            Ok(profile) => return profile,
            // What can't be used is passed over, and told if nothing else says anything.
            Err(_) => unreadable = Some(Vec::new()),
        }
    }
    if let Some(profile) = &info.icc_profile {
        return Some(profile.to_vec());
    }
    if has_profile {
        // There is one, and it can't be inflated.
        return Some(Vec::new());
    }
    if info.srgb.is_some() {
        return None;
    }
    if let (Some(gamma), Some(primaries)) = (info.gama_chunk, info.chrm_chunk) {
        let pair = |(x, y): (png::ScaledFloat, png::ScaledFloat)| (x.into_value(), y.into_value());
        let made = profile::of_gamma(
            gamma.into_value(),
            pair(primaries.white),
            [primaries.red, primaries.green, primaries.blue].map(pair),
        );
        return made.unwrap_or_else(|_| Some(Vec::new()));
    }
    unreadable
}

pub(super) fn decode(bytes: &[u8], wanted: Wanted) -> Result<Decoded, ImageError> {
    let mut reader = open(bytes)?;
    let (color, depth) = reader.output_color_type();
    let size = reader.info().size();
    let mut layout = layout(color)?;
    if depth == BitDepth::Sixteen && wanted.keep_depth {
        layout = layout.deep();
    }
    let mut picture = Picture::blank(size, layout)?;
    let result = read_rows(&mut reader, &mut picture, depth)
        .and_then(|()| reader.finish())
        .map_err(|error| refusal(&error));
    let damage = match result {
        Ok(()) => None,
        Err(ImageError::Truncated { detail } | ImageError::Corrupt { detail })
            if wanted.accept_damage =>
        {
            Some(detail)
        }
        Err(error) => return Err(error),
    };
    Ok(Decoded { picture, damage })
}

/// The parts that the frames of an animated PNG are made of.
pub(super) struct PngParts<'a> {
    reader: Reader<'a>,
    plays: u32,
    /// Frames that are still to come.
    left: u32,
    is_first: bool,
}

impl<'a> PngParts<'a> {
    /// The parts, and the picture that is none of them but stands in for them all elsewhere.
    pub(super) fn open(bytes: &'a [u8]) -> Result<(Self, Option<Picture>), ImageError> {
        let reader = open(bytes)?;
        let info = reader.info();
        let Some(control) = info.animation_control else {
            return Err(ImageError::Corrupt {
                detail: "this PNG has no frames".to_owned(),
            });
        };
        let has_poster = info.frame_control.is_none();
        let mut parts = Self {
            reader,
            plays: control.num_plays,
            left: control.num_frames,
            is_first: true,
        };
        let poster = if has_poster {
            Some(parts.pixels()?)
        } else {
            None
        };
        Ok((parts, poster))
    }

    pub(super) fn plays(&self) -> u32 {
        self.plays
    }

    /// The pixels of the next picture in the file, with as many channels as the file's pixels have.
    fn pixels(&mut self) -> Result<Picture, ImageError> {
        let no_memory = || ImageError::OutOfMemory {
            needed: u64::MAX,
            max: 0,
        };
        let size = self.reader.output_buffer_size().ok_or_else(no_memory)?;
        let mut data = zeroed(size as u64)?;
        let frame = self
            .reader
            .next_frame(&mut data)
            .map_err(|error| refusal(&error))?;
        let layout = layout(frame.color_type)?;
        // Rows of seven passes are put together at the width of the whole picture.
        let interlaced = self.reader.info().interlaced;
        let stride = match self.reader.output_line_size(self.reader.info().width) {
            Some(whole) if interlaced => whole,
            _ => frame.line_size,
        };
        let mut pixels = Picture::blank((frame.width, frame.height), layout)?;
        let row = pixels.stride();
        for (to, from) in pixels.data.chunks_exact_mut(row).zip(data.chunks(stride)) {
            if frame.bit_depth == BitDepth::Sixteen {
                for (to, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                    *to = narrowed(u16::from_be_bytes(*pair));
                }
            } else {
                to.copy_from_slice(&from[..row]);
            }
        }
        Ok(pixels)
    }
}

impl Parts for PngParts<'_> {
    fn next(&mut self) -> Result<Option<Part>, ImageError> {
        if self.left == 0 {
            // What follows is checked like the rest.
            self.reader.finish().map_err(|error| refusal(&error))?;
            return Ok(None);
        }
        self.left -= 1;
        let pixels = self.pixels()?;
        let pixels = pixels.widened(if pixels.layout.is_gray() {
            Layout::GrayAlpha
        } else {
            Layout::Rgba
        })?;
        let Some(frame) = self.reader.info().frame_control else {
            return Err(ImageError::Corrupt {
                detail: "a frame of the PNG lacks its description".to_owned(),
            });
        };
        // The specification: hundredths where the denominator is 0.
        let parts = match frame.delay_den {
            0 => 100,
            parts => u64::from(parts),
        };
        let is_first = std::mem::take(&mut self.is_first);
        Ok(Some(Part {
            at: (frame.x_offset, frame.y_offset),
            pixels,
            blend: frame.blend_op == BlendOp::Over,
            after: match frame.dispose_op {
                DisposeOp::None => After::Stays,
                DisposeOp::Background => After::Cleared,
                // The specification: before the first frame, there was nothing.
                DisposeOp::Previous if is_first => After::Cleared,
                DisposeOp::Previous => After::Before,
            },
            delay: Duration::from_nanos(u64::from(frame.delay_num) * 1_000_000_000 / parts),
        }))
    }
}

fn open(bytes: &[u8]) -> Result<Reader<'_>, ImageError> {
    let mut options = png::DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_skip_ancillary_crc_failures(false);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_transformations(Transformations::EXPAND);
    let width = decoder
        .read_header_info()
        .map_err(|error| refusal(&error))?
        .width;
    let row = usize::try_from(width).unwrap_or(usize::MAX);
    decoder.set_limits(png::Limits {
        bytes: MEMORY.saturating_add(row.saturating_mul(16)),
    });
    decoder.read_info().map_err(|error| refusal(&error))
}

fn layout(color: ColorType) -> Result<Layout, ImageError> {
    match color {
        ColorType::Grayscale => Ok(Layout::Gray),
        ColorType::GrayscaleAlpha => Ok(Layout::GrayAlpha),
        ColorType::Rgb => Ok(Layout::Rgb),
        ColorType::Rgba => Ok(Layout::Rgba),
        ColorType::Indexed => Err(ImageError::Corrupt {
            detail: "it has a palette picture without a palette".to_owned(),
        }),
    }
}

fn read_rows(
    reader: &mut Reader<'_>,
    picture: &mut Picture,
    depth: BitDepth,
) -> Result<(), DecodingError> {
    let stride = picture.stride();
    if reader.info().interlaced {
        let bits_per_pixel = u8::try_from(picture.layout.bytes_per_pixel() * 8).unwrap_or(64);
        let mut converted = Vec::new();
        while let Some(row) = reader.next_interlaced_row()? {
            let samples = if depth == BitDepth::Sixteen {
                converted.resize(picture.stride(), 0);
                let length = sixteen(row.data(), &mut converted, picture.layout);
                &converted[..length]
            } else {
                row.data()
            };
            if let png::InterlaceInfo::Adam7(place) = row.interlace() {
                png::expand_interlaced_row(
                    &mut picture.data,
                    stride,
                    samples,
                    place,
                    bits_per_pixel,
                );
            }
        }
        return Ok(());
    }
    for line in picture.data.chunks_exact_mut(stride) {
        if depth == BitDepth::Sixteen {
            let Some(row) = reader.next_row()? else { break };
            sixteen(row.data(), line, picture.layout);
        } else if reader.read_row(line)?.is_none() {
            break;
        }
    }
    // Asking once more checks what follows the last row: the stream's end and its checksum.
    reader.next_row().map(|_| ())
}

/// Samples of 16 bits in PNG's byte order to those of `layout`; gives the bytes written.
fn sixteen(row: &[u8], line: &mut [u8], layout: Layout) -> usize {
    let samples = row.as_chunks::<2>().0;
    if layout.is_deep() {
        for (to, from) in line.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
            *to = u16::from_be_bytes(*from).to_ne_bytes();
        }
        samples.len() * 2
    } else {
        for (to, from) in line.iter_mut().zip(samples) {
            *to = narrowed(u16::from_be_bytes(*from));
        }
        samples.len()
    }
}

fn refusal(error: &DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            cut_short("the PNG data")
        }
        DecodingError::LimitsExceeded => ImageError::Corrupt {
            detail: "one of its chunks unpacks to more than any honest file needs".to_owned(),
        },
        error => ImageError::Corrupt {
            detail: with_short_names(&error.to_string()),
        },
    }
}

/// The decoder's words, in which a chunk is called what PNG calls it, and not `ChunkType { type: IDAT, critical: … }`.
fn with_short_names(words: &str) -> String {
    let name = |rest: &str| {
        let (name, rest) = rest.split_once(',')?;
        let (_, rest) = rest.split_once('}')?;
        Some(format!("{name}{rest}"))
    };
    let mut parts = words.split("ChunkType { type: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| {
        said + &name(part).unwrap_or_else(|| part.to_owned())
    })
}

/// What lies around the picture, before or after it.
#[derive(Default)]
struct Around<'a> {
    exif: Option<&'a [u8]>,
    has_profile: bool,
    has_metadata: bool,
}

impl<'a> Around<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut around = Self::default();
        let mut rest = bytes.get(8..).unwrap_or_default();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((kind, after)) = after.split_first_chunk::<4>() else {
                break;
            };
            match kind {
                b"iCCP" => around.has_profile = true,
                // These say how to show the pixels.
                b"IHDR" | b"PLTE" | b"IDAT" | b"IEND" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB"
                | b"sBIT" | b"bKGD" | b"pHYs" | b"hIST" | b"acTL" | b"fcTL" | b"fdAT" => {}
                _ => around.has_metadata = true,
            }
            let Some(body) = after.get(..length) else {
                break;
            };
            if kind == b"eXIf" && around.exif.is_none() {
                around.exif = Some(body);
            }
            rest = after.get(length.saturating_add(4)..).unwrap_or_default();
            if kind == b"IEND" {
                around.has_metadata |= !rest.is_empty();
                break;
            }
        }
        around
    }
}
