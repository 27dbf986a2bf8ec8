//! TIFF in: the first page, through the `tiff` crate itself, because `image` flattens CMYK without
//! its profile and reads no YCbCr.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use tiff::decoder::{BufferLayoutPreference, ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::{Header, cut_short};
use crate::error::ImageError;
use crate::image::picture::{Layout, Picture, byte_len, narrowed, zeroed};
use crate::image::probe::ColorModel;

/// Profiles and lists of strips may take this much each.
const TAG_BYTES: usize = 16 << 20;
const XMP: Tag = Tag::Unknown(700);
const JPEG_COMPRESSION: u16 = 7;
const ASSOCIATED_ALPHA: u16 = 1;
/// Pixels by which a tile may be larger than its picture: one of 4,096 x 4,096 holds any small one.
const LARGEST_TILE: u64 = 4096 * 4096;
/// A value of the tag `PlanarConfiguration`: one plane after the other.
const IN_PLANES: u16 = 2;
/// Values of the tag `PhotometricInterpretation`.
const BLACK_IS_ZERO: usize = 1;
const PALETTE: usize = 3;

/// How a page stores its pixels.
struct Kind {
    samples: usize,
    bits: u8,
    layout: Layout,
    luma_and_differences: bool,
    /// Colors are stored already multiplied by alpha.
    premultiplied: bool,
    /// What each of 256 samples stands for, once they are spread to 8 bits.
    palette: Option<Box<[[u8; 3]; 256]>>,
}

type Source<'a> = Decoder<PalettePassedForGray<'a>>;

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let mut decoder = open(bytes, Limits::default())?;
    let (width, height) = decoder.dimensions().map_err(|e| refusal(&e))?;
    let kind = kind(&mut decoder)?;
    let orientation = decoder
        .find_tag_unsigned::<u16>(Tag::Orientation)
        .ok()
        .flatten();
    let pixels = u64::from(width) * u64::from(height);
    // A header can claim so many pixels that their bytes overflow.
    let stored = pixels.saturating_mul(kind.samples as u64 * u64::from(kind.bits.div_ceil(8)));
    let tile = tile_of_planes(&mut decoder, &kind)?;
    // Planes are put together beside the picture, and a tile of them beside both.
    let beside = if kind.is_ready() && tile.is_none() {
        0
    } else {
        stored
    };
    Ok(Header {
        width,
        height,
        orientation: orientation
            .and_then(|value| u8::try_from(value).ok())
            .unwrap_or(1),
        frames: pages(bytes),
        alpha: kind.layout.has_alpha(),
        color: match kind.layout {
            Layout::Cmyk => ColorModel::Cmyk,
            layout if layout.is_gray() => ColorModel::Gray,
            _ => ColorModel::Rgb,
        },
        bits: kind.bits,
        icc: decoder.get_tag_u8_vec(Tag::IccProfile).ok(),
        exif: None,
        xmp: decoder.get_tag_u8_vec(XMP).ok(),
        // Every TIFF is a set of tags.
        has_metadata: true,
        lossy: kind.luma_and_differences,
        decode_memory: beside
            .saturating_add(tile.unwrap_or(0))
            .saturating_add(stored.min(16 << 20) + (1 << 20)),
        channels: u8::try_from(kind.layout.channels()).unwrap_or(4),
    })
}

/// Whether the first page has this tag.
pub(crate) fn has(bytes: &[u8], tag: u16) -> bool {
    let found = open(bytes, Limits::default()).map(|mut decoder| {
        let found = decoder.find_tag(Tag::from_u16_exhaustive(tag));
        found.is_ok_and(|found| found.is_some())
    });
    found.unwrap_or(false)
}

/// The first page. More than 8 bits a sample become 16 where `keep_depth` says so, else 8.
pub(super) fn decode(bytes: &[u8], keep_depth: bool) -> Result<Picture, ImageError> {
    let mut decoder = open(bytes, Limits::default())?;
    let size = decoder.dimensions().map_err(|e| refusal(&e))?;
    let mut kind = kind(&mut decoder)?;
    if keep_depth && kind.bits > 8 {
        kind.layout = kind.layout.deep();
    }
    // Enough for every honest file of this size, whose header has been held against the limits.
    let needed = size.0 as usize * size.1 as usize * kind.samples * 4;
    let mut limits = Limits::default();
    let tile = tile_of_planes(&mut decoder, &kind)?;
    let tile_bytes = usize::try_from(tile.unwrap_or(0)).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = needed.max(tile_bytes) + (1 << 20);
    limits.intermediate_buffer_size = needed + (64 << 20);
    limits.ifd_value_size = TAG_BYTES;
    decoder = decoder.with_limits(limits);
    if tile.is_some() {
        let samples = planes_of_tiles(&mut decoder, &kind, size)?;
        return finish(interleaved(&samples, &kind, size)?, &kind, size);
    }
    let mut raw = DecodingResult::U8(Vec::new());
    let planes = decoder
        .read_image_to_buffer(&mut raw)
        .map_err(|e| refusal(&e))?;
    drop(decoder);
    let samples = to_bytes(raw, &planes, &kind, size)?;
    let samples = if planes.planes > 1 {
        interleaved(&samples, &kind, size)?
    } else {
        samples
    };
    finish(samples, &kind, size)
}

/// The bytes of a tile once decoded, where each sample has tiles of its own. Fails where such a tile is far larger than
/// the picture: it would be unpacked all the same.
fn tile_of_planes(decoder: &mut Source<'_>, kind: &Kind) -> Result<Option<u64>, ImageError> {
    let planes = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration);
    let is_planar = matches!(planes, Ok(Some(IN_PLANES)));
    if kind.samples < 2 || !is_planar || decoder.get_chunk_type() != ChunkType::Tile {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions().map_err(|e| refusal(&e))?;
    let (tile_width, tile_height) = decoder.chunk_dimensions();
    // What is beside the picture is left out, and what is below it is not.
    let pixels = u64::from(width.min(tile_width)) * u64::from(tile_height);
    if pixels > (u64::from(width) * u64::from(height)).saturating_add(LARGEST_TILE) {
        return Err(ImageError::Corrupt {
            detail: format!("it has tiles of {tile_width} x {tile_height} pixels"),
        });
    }
    let bytes = u64::from(kind.bits.div_ceil(8));
    Ok(Some(pixels.saturating_mul(bytes)))
}

/// The samples, one plane after the other, put together tile by tile.
///
/// The decoder's own way takes the tiles of all planes for those of one, and panics at the last row of the second
/// (image-rs/image-tiff, issue 403, in `tiff` 0.11.3). Tile by tile it hands out what is below the picture too.
fn planes_of_tiles(
    decoder: &mut Source<'_>,
    kind: &Kind,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, ImageError> {
    let (tile_width, tile_height) = decoder.chunk_dimensions();
    let (across, down) = (width.div_ceil(tile_width), height.div_ceil(tile_height));
    let bytes = kind.sample_bytes();
    let (row, plane) = (
        width as usize * bytes,
        width as usize * height as usize * bytes,
    );
    let mut samples = zeroed((plane * kind.samples) as u64)?;
    let mut number = 0;
    for plane in samples.chunks_exact_mut(plane) {
        for top in (0..down).map(|y| y * tile_height) {
            for left in (0..across).map(|x| x * tile_width) {
                let tile = decoder.read_chunk(number).map_err(|e| refusal(&e))?;
                number += 1;
                let tile = converted(tile, kind)?;
                let wide = tile_width.min(width - left) as usize * bytes;
                let rows = plane[top as usize * row..].chunks_exact_mut(row);
                let rows = rows.take(tile_height.min(height - top) as usize);
                for (to, from) in rows.zip(tile.chunks_exact(wide)) {
                    to[left as usize * bytes..][..wide].copy_from_slice(from);
                }
            }
        }
    }
    Ok(samples)
}

fn open(bytes: &[u8], mut limits: Limits) -> Result<Source<'_>, ImageError> {
    limits.ifd_value_size = TAG_BYTES;
    Ok(Decoder::new(PalettePassedForGray::new(bytes))
        .map_err(|e| refusal(&e))?
        .with_limits(limits))
}

/// A file whose first page, where it has a palette, says that its indices are shades of gray: the decoder
/// refuses palettes, and needs to know no more of them.
struct PalettePassedForGray<'a> {
    file: Cursor<&'a [u8]>,
    /// Where the byte that says so stands.
    interpretation: Option<usize>,
}

impl<'a> PalettePassedForGray<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            file: Cursor::new(bytes),
            interpretation: Directories::of(bytes).and_then(|mut all| all.palette()),
        }
    }
}

impl Read for PalettePassedForGray<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let start = self.file.position();
        let read = self.file.read(into)?;
        let place = self.interpretation.map(|place| place as u64);
        if let Some(place) = place.filter(|place| (start..start + read as u64).contains(place)) {
            let index = usize::try_from(place - start).unwrap_or_default();
            into[index] = BLACK_IS_ZERO.to_le_bytes()[0];
        }
        Ok(read)
    }
}

impl Seek for PalettePassedForGray<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The colors of `bits`, by samples spread to 8 bits. Of 16 bits the upper 8 are taken, as every program
/// does: some write 255 as 65,280 and some as 65,535.
fn palette(decoder: &mut Source<'_>, bits: u8) -> Result<Box<[[u8; 3]; 256]>, ImageError> {
    let map = decoder
        .get_tag_u16_vec(Tag::ColorMap)
        .map_err(|e| refusal(&e))?;
    let colors = 1_usize << bits;
    if map.len() != 3 * colors {
        return Err(ImageError::Corrupt {
            detail: format!("a palette of {} numbers and not {}", map.len(), 3 * colors),
        });
    }
    // Old programs wrote 8 bits.
    let shift = if map.iter().all(|value| *value < 256) {
        0
    } else {
        8
    };
    let mut palette = Box::new([[0; 3]; 256]);
    for index in 0..colors {
        let channel = |plane: usize| (map[plane * colors + index] >> shift).to_le_bytes()[0];
        palette[index * (255 / (colors - 1))] = [channel(0), channel(1), channel(2)];
    }
    Ok(palette)
}

fn kind(decoder: &mut Source<'_>) -> Result<Kind, ImageError> {
    let color = decoder.colortype().map_err(|e| refusal(&e))?;
    let mut tag = |tag| decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten();
    let extra = tag(Tag::ExtraSamples)
        .and_then(|extra| extra.first().copied())
        .unwrap_or(0);
    let is_jpeg = tag(Tag::Compression).is_some_and(|c| c.first() == Some(&JPEG_COMPRESSION));
    let has_palette = decoder.inner().interpretation.is_some();
    let (samples, bits, layout) = match color {
        ColorType::Gray(bits @ (1 | 2 | 4 | 8)) if has_palette => (1, bits, Layout::Rgb),
        other if has_palette => return Err(unsupported(&format!("a palette with {other:?}"))),
        ColorType::Gray(bits) => (1, bits, Layout::Gray),
        ColorType::GrayA(bits) => (2, bits, Layout::GrayAlpha),
        ColorType::Multiband {
            bit_depth,
            num_samples: 2,
        } if matches!(extra, 1 | 2) => (2, bit_depth, Layout::GrayAlpha),
        ColorType::Multiband {
            bit_depth,
            num_samples,
        } => (usize::from(num_samples.max(1)), bit_depth, Layout::Gray),
        ColorType::RGB(bits) => (3, bits, Layout::Rgb),
        ColorType::RGBA(bits) => (4, bits, Layout::Rgba),
        ColorType::CMYK(bits) => (4, bits, Layout::Cmyk),
        ColorType::CMYKA(bits) => (5, bits, Layout::Cmyk),
        ColorType::YCbCr(8) if is_jpeg => (3, 8, Layout::Rgb),
        other => return Err(unsupported(&format!("pixels are stored as {other:?}"))),
    };
    if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 32) || (bits < 8 && samples > 1) {
        return Err(unsupported(&format!("{samples} samples of {bits} bits")));
    }
    Ok(Kind {
        samples,
        bits,
        layout,
        luma_and_differences: matches!(color, ColorType::YCbCr(_)),
        premultiplied: layout.has_alpha() && extra == ASSOCIATED_ALPHA,
        palette: has_palette.then(|| palette(decoder, bits)).transpose()?,
    })
}

impl Kind {
    /// Bytes of a sample once decoded.
    fn sample_bytes(&self) -> usize {
        if self.layout.is_deep() { 2 } else { 1 }
    }

    /// Bytes of all samples of a pixel, those that are no color included.
    fn bytes_per_pixel(&self) -> usize {
        self.samples * self.sample_bytes()
    }

    /// Samples of 16 bits as this kind's layout has them.
    fn stored(&self, samples: impl Iterator<Item = u16>) -> Vec<u8> {
        if self.layout.is_deep() {
            samples.flat_map(u16::to_ne_bytes).collect()
        } else {
            samples.map(narrowed).collect()
        }
    }

    /// Whether the stored bytes are the pixels.
    fn is_ready(&self) -> bool {
        self.bits == 8 && self.samples == self.layout.channels()
    }
}

/// The samples in their stored order, 8 bits each.
fn to_bytes(
    raw: DecodingResult,
    planes: &BufferLayoutPreference,
    kind: &Kind,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, ImageError> {
    let samples = match raw {
        DecodingResult::U8(v) if kind.bits < 8 => {
            let row = planes.row_stride.map_or(v.len(), std::num::NonZero::get);
            return unpacked(&v, row, kind.bits, (width, height));
        }
        raw => converted(raw, kind)?,
    };
    let expected = byte_len((width, height), Layout::Gray) * kind.bytes_per_pixel() as u64;
    if samples.len() as u64 != expected {
        return Err(ImageError::Corrupt {
            detail: format!("{} bytes of pixels and not {expected}", samples.len()),
        });
    }
    Ok(samples)
}

/// Samples of 8 bits or more as the kind's layout has them.
fn converted(raw: DecodingResult, kind: &Kind) -> Result<Vec<u8>, ImageError> {
    Ok(match raw {
        DecodingResult::U8(v) => v,
        DecodingResult::U16(v) => kind.stored(v.into_iter()),
        DecodingResult::U32(v) => {
            // Of 32 bits the upper 8 or 16 are kept, which is not the same as scaling and rounding.
            if kind.layout.is_deep() {
                kind.stored(v.iter().map(|v| u16::try_from(v >> 16).unwrap_or(u16::MAX)))
            } else {
                v.iter().map(|v| v.to_be_bytes()[0]).collect()
            }
        }
        DecodingResult::F32(v) if kind.layout.is_deep() => {
            kind.stored(v.iter().map(|v| from_float(*v, 65_535.0)))
        }
        DecodingResult::F32(v) => v
            .iter()
            .map(|v| u8::try_from(from_float(*v, 255.0)).unwrap_or(255))
            .collect(),
        _ => return Err(unsupported("samples are signed, or of an unusual size")),
    })
}

/// Gray samples of 1, 2 or 4 bits, each row beginning at a byte, spread to 8 bits.
fn unpacked(packed: &[u8], row: usize, bits: u8, size: (u32, u32)) -> Result<Vec<u8>, ImageError> {
    let mut samples = zeroed(byte_len(size, Layout::Gray))?;
    let width = size.0 as usize;
    let per_byte = usize::from(8 / bits);
    let most = 255 >> (8 - bits);
    for (from, to) in packed
        .chunks_exact(row.max(1))
        .zip(samples.chunks_exact_mut(width))
    {
        for (x, sample) in to.iter_mut().enumerate() {
            let shift = 8 - usize::from(bits) * (x % per_byte + 1);
            *sample = ((from[x / per_byte] >> shift) & most) * (255 / most);
        }
    }
    Ok(samples)
}

/// One plane after the other becomes one pixel after the other.
fn interleaved(planes: &[u8], kind: &Kind, size: (u32, u32)) -> Result<Vec<u8>, ImageError> {
    let (bytes, pixel) = (kind.sample_bytes(), kind.bytes_per_pixel());
    let plane = size.0 as usize * size.1 as usize * bytes;
    let mut pixels = zeroed((plane * kind.samples) as u64)?;
    for (sample, plane) in planes.chunks_exact(plane).enumerate() {
        for (pixel, value) in pixels
            .chunks_exact_mut(pixel)
            .zip(plane.chunks_exact(bytes))
        {
            pixel[sample * bytes..][..bytes].copy_from_slice(value);
        }
    }
    Ok(pixels)
}

/// 0 to 1 becomes 0 to `most`; what lies outside is clipped, and no number is black.
fn from_float(value: f32, most: f32) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=65535 first, and NaN casts to 0"
    )]
    let sample = (value.clamp(0.0, 1.0) * most + 0.5) as u16;
    sample
}

/// Drops what is no color and turns colors into those of the layout.
fn finish(
    mut data: Vec<u8>,
    kind: &Kind,
    (width, height): (u32, u32),
) -> Result<Picture, ImageError> {
    if let Some(palette) = &kind.palette {
        let mut colors = zeroed(byte_len((width, height), kind.layout))?;
        for (color, index) in colors.as_chunks_mut::<3>().0.iter_mut().zip(&data) {
            *color = palette[usize::from(*index)];
        }
        data = colors;
    }
    let (from_bytes, to_bytes) = (kind.bytes_per_pixel(), kind.layout.bytes_per_pixel());
    if from_bytes > to_bytes {
        for pixel in 0..data.len() / from_bytes {
            let from = pixel * from_bytes;
            data.copy_within(from..from + to_bytes, pixel * to_bytes);
        }
        data.truncate(data.len() / from_bytes * to_bytes);
    }
    if kind.luma_and_differences {
        for pixel in data.as_chunks_mut::<3>().0 {
            *pixel = rgb(*pixel);
        }
    }
    if kind.premultiplied && kind.layout.is_deep() {
        for pixel in data.chunks_exact_mut(to_bytes) {
            let Some((alpha, colors)) = pixel.as_chunks_mut::<2>().0.split_last_mut() else {
                continue;
            };
            let alpha = u64::from(u16::from_ne_bytes(*alpha)).max(1);
            for color in colors {
                let value = u64::from(u16::from_ne_bytes(*color));
                let divided = (value * 65_535 + alpha / 2) / alpha;
                *color = u16::try_from(divided).unwrap_or(u16::MAX).to_ne_bytes();
            }
        }
    } else if kind.premultiplied {
        for pixel in data.chunks_exact_mut(to_bytes) {
            let Some((alpha, colors)) = pixel.split_last_mut() else {
                continue;
            };
            let alpha = u32::from(*alpha).max(1);
            for color in colors {
                let divided = (u32::from(*color) * 255 + alpha / 2) / alpha;
                *color = u8::try_from(divided).unwrap_or(255);
            }
        }
    }
    if data.len() as u64 != byte_len((width, height), kind.layout) {
        return Err(ImageError::Corrupt {
            detail: "its pixels are not as many as its size says".to_owned(),
        });
    }
    Ok(Picture {
        width,
        height,
        layout: kind.layout,
        data,
    })
}

/// Luma and color differences as JPEG defines them (full range, BT.601), in 16.16 fixed point.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let byte = |v: i32| u8::try_from(((v + 32_768) >> 16).clamp(0, 255)).unwrap_or(0);
    [
        byte(y + 91_881 * cr),
        byte(y - 22_554 * cb - 46_802 * cr),
        byte(y + 116_130 * cb),
    ]
}

fn unsupported(what: &str) -> ImageError {
    ImageError::Unsupported {
        what: format!("this kind of TIFF is not decoded here: {what}"),
        remedy: "save it again as RGB with 8 or 16 bits a channel, or as PNG".to_owned(),
    }
}

fn refusal(error: &TiffError) -> ImageError {
    match error {
        TiffError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            cut_short("the TIFF data")
        }
        TiffError::UnsupportedError(what) => unsupported(&what.to_string()),
        TiffError::LimitsExceeded => ImageError::Corrupt {
            detail: "decoding it would take more memory than its size explains".to_owned(),
        },
        other => ImageError::Corrupt {
            detail: other.to_string(),
        },
    }
}

/// The most pages that are counted.
const MAX_PAGES: u32 = 65_535;

/// How many pages there are, counted as far as the bytes go; at least 1.
fn pages(bytes: &[u8]) -> u32 {
    let mut count = 0;
    let mut directories = Directories::of(bytes);
    let mut seen = std::collections::HashSet::new();
    while let Some(offset) = directories.as_mut().and_then(Directories::next) {
        // A chain that bites its tail ends there.
        if !seen.insert(offset) || count == MAX_PAGES {
            break;
        }
        count += 1;
    }
    count.max(1)
}

/// The chain of directories: one a page.
struct Directories<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    big: bool,
    /// Where the next directory's offset stands.
    link: usize,
}

impl<'a> Directories<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let big = matches!(bytes.get(2..4)?, b"+\0" | b"\0+");
        Some(Self {
            bytes,
            little_endian: bytes.starts_with(b"II"),
            big,
            link: if big { 8 } else { 4 },
        })
    }

    fn next(&mut self) -> Option<usize> {
        let offset = self.number(self.link, if self.big { 8 } else { 4 })?;
        if offset == 0 {
            return None;
        }
        let (count_bytes, entry_bytes) = if self.big { (8, 20) } else { (2, 12) };
        let entries = self.number(offset, count_bytes)?;
        self.link = offset
            .checked_add(count_bytes)?
            .checked_add(entries.checked_mul(entry_bytes)?)?;
        Some(offset)
    }

    /// Where the byte stands that says that the first page has a palette, if it has one.
    fn palette(&mut self) -> Option<usize> {
        const INTERPRETATION: usize = 262;
        let first = self.next()?;
        let (count_bytes, entry_bytes, value) = if self.big { (8, 20, 12) } else { (2, 12, 8) };
        let entries = self.number(first, count_bytes)?;
        let entry = (0..entries)
            .map_while(|index| first.checked_add(count_bytes + index.checked_mul(entry_bytes)?))
            .take_while(|entry| *entry < self.bytes.len())
            .find(|entry| self.number(*entry, 2) == Some(INTERPRETATION))?;
        let place = entry + value;
        let low_byte = if self.little_endian { place } else { place + 1 };
        (self.number(place, 2)? == PALETTE).then_some(low_byte)
    }

    fn number(&self, at: usize, bytes: usize) -> Option<usize> {
        let field = self.bytes.get(at..at.checked_add(bytes)?)?;
        let mut value = 0u64;
        for index in 0..bytes {
            let byte = if self.little_endian {
                field[bytes - 1 - index]
            } else {
                field[index]
            };
            value = value << 8 | u64::from(byte);
        }
        usize::try_from(value).ok()
    }
}
