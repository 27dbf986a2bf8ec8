//! PNG out: the pixels that were asked for, in the smallest kind of PNG that holds them. A picture of
//! few colors becomes a palette, one of gray tones gray, an opaque one loses its alpha.

use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use png::{BitDepth, ColorType, DeflateCompression, Filter};

use super::animation::{File, Film};
use super::{Encoded, failure, fitting};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Effort, Variant};

/// Bytes of picture data between two looks at `stop`, and in one chunk of a PNG.
const PIECE: usize = 1 << 20;

pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let stored = Stored::of(picture, carried.icc.is_some())?;
    let write = |compression, filter| {
        let mut bytes = Vec::new();
        match write_png(&mut bytes, &stored, carried, (compression, filter), stop) {
            Ok(()) => Ok(bytes),
            Err(_) if stop() => Err(ImageError::Stopped),
            Err(error) => Err(failure(variant, &error)),
        }
    };
    let mut bytes = if stored.is_packed() {
        // Fast deflate is made for the differences that filters leave, which say little here.
        let level = match variant.effort {
            Effort::Fast => 1,
            Effort::Balanced => 6,
            Effort::Best => 9,
        };
        write(DeflateCompression::Level(level), Filter::NoFilter)?
    } else {
        let (compression, filter) = compression(variant);
        write(compression, filter)?
    };
    if bytes.len() > stored.data.len() + stored.height as usize + stored.palette.len() * 4 {
        // Fast deflate makes noise longer than it is.
        drop(std::mem::take(&mut bytes));
        bytes = write(DeflateCompression::NoCompression, Filter::NoFilter)?;
    }
    Ok(Encoded {
        bytes,
        lost: Vec::new(),
    })
}

/// For samples as they are.
fn compression(variant: &Variant) -> (DeflateCompression, Filter) {
    match variant.effort {
        Effort::Fast => (DeflateCompression::FdeflateUltraFast, Filter::Up),
        Effort::Balanced => (DeflateCompression::FdeflateUltraFast, Filter::Adaptive),
        Effort::Best => (DeflateCompression::Level(9), Filter::Adaptive),
    }
}

/// Pixels as a PNG stores them: rows of whole bytes.
struct Stored<'a> {
    width: u32,
    height: u32,
    color: ColorType,
    depth: BitDepth,
    /// Red, green, blue, alpha; those that let something shine through come first.
    palette: Vec<[u8; 4]>,
    data: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// The smallest kind that holds every pixel of `picture` as it is. A `profiled` picture stays gray
    /// or colored as it is, because its profile speaks of the one or the other.
    fn of(picture: &'a Picture, profiled: bool) -> Result<Self, ImageError> {
        let found = Found::in_picture(picture);
        let layout = picture.layout.shallow();
        let gray = layout.is_gray() || (found.gray && !profiled);
        if let Some(colors) = found.colors {
            let by_palette = Palette::of(colors);
            let gray_bits = by_palette.gray_bits().filter(|_| gray);
            let palette_fits = !(profiled && layout.is_gray());
            if let Some(bits) = gray_bits.filter(|bits| !palette_fits || *bits <= by_palette.bits) {
                let sample = |color: [u8; 4]| color[0] >> (8 - bits);
                return packed(picture, (ColorType::Grayscale, bits), sample);
            }
            let pixels = u64::from(picture.width) * u64::from(picture.height);
            let channels = if gray { 1 } else { 3 } + u64::from(!found.opaque);
            let palette_bytes = 24 + 4 * by_palette.colors.len() as u64;
            if palette_fits
                && pixels * channels > pixels * u64::from(by_palette.bits) / 8 + palette_bytes
            {
                let bits = by_palette.bits;
                let mut numbers = Colors::default();
                for color in &by_palette.colors {
                    numbers.number(*color);
                }
                let index = |color| numbers.number(color).unwrap_or(0);
                let stored = packed(picture, (ColorType::Indexed, bits), index);
                return stored.map(|stored| Stored {
                    palette: by_palette.colors.clone(),
                    ..stored
                });
            }
        }
        Ok(samples(picture, gray, found.opaque))
    }

    /// Whether pixels are numbers of a palette, or several in a byte.
    fn is_packed(&self) -> bool {
        self.color == ColorType::Indexed || (self.depth as u8) < 8
    }
}

/// The picture's samples, without those that say nothing; 16 bits in PNG's byte order.
fn samples(picture: &Picture, gray: bool, opaque: bool) -> Stored<'_> {
    let color = match (gray, opaque) {
        (true, true) => ColorType::Grayscale,
        (true, false) => ColorType::GrayscaleAlpha,
        (false, true) => ColorType::Rgb,
        (false, false) => ColorType::Rgba,
    };
    let layout = picture.layout;
    let bytes = if layout.is_deep() { 2 } else { 1 };
    let colors = if gray { bytes } else { 3 * bytes };
    let pixel = layout.bytes_per_pixel();
    let alpha = if opaque { pixel } else { pixel - bytes };
    let is_whole = colors + (pixel - alpha) == pixel;
    let mut data: Cow<'_, [u8]> = if is_whole {
        Cow::Borrowed(&picture.data)
    } else {
        let pixels = picture.data.chunks_exact(pixel);
        let kept = pixels.flat_map(|pixel| pixel[..colors].iter().chain(&pixel[alpha..]));
        Cow::Owned(kept.copied().collect())
    };
    if layout.is_deep() {
        for sample in data.to_mut().as_chunks_mut::<2>().0 {
            *sample = u16::from_ne_bytes(*sample).to_be_bytes();
        }
    }
    Stored {
        width: picture.width,
        height: picture.height,
        color,
        depth: if layout.is_deep() {
            BitDepth::Sixteen
        } else {
            BitDepth::Eight
        },
        palette: Vec::new(),
        data,
    }
}

/// What is in a picture.
struct Found {
    /// Every pixel has three equal samples.
    gray: bool,
    opaque: bool,
    /// Its colors, if it has 8 bits a sample and not more than 256 of them.
    colors: Option<Vec<[u8; 4]>>,
}

impl Found {
    fn in_picture(picture: &Picture) -> Self {
        let opaque = picture.is_opaque();
        if picture.layout.is_deep() {
            let pixels = picture.data.as_chunks::<2>().0;
            let channels = picture.layout.channels();
            let gray = channels < 3
                || pixels
                    .chunks_exact(channels)
                    .all(|p| p[0] == p[1] && p[1] == p[2]);
            return Self {
                gray,
                opaque,
                colors: None,
            };
        }
        let mut colors = Colors::default();
        let mut few = true;
        let mut gray = true;
        let mut last = None;
        for pixel in picture.data.chunks_exact(picture.layout.channels()) {
            // Neighbors are often alike.
            if last == Some(pixel) {
                continue;
            }
            last = Some(pixel);
            let color = rgba(pixel);
            gray &= color[0] == color[1] && color[1] == color[2];
            if few {
                few = colors.number(color).is_some();
            } else if !gray {
                break;
            }
        }
        Self {
            gray,
            opaque,
            colors: few.then_some(colors.found),
        }
    }
}

fn rgba(pixel: &[u8]) -> [u8; 4] {
    match *pixel {
        [v] => [v, v, v, 255],
        [v, a] => [v, v, v, a],
        [r, g, b] => [r, g, b, 255],
        [r, g, b, a, ..] => [r, g, b, a],
        [] => [0; 4],
    }
}

/// At most 256 colors, each with the number of those that came before it. Looked up for every other
/// pixel, so by a table of its own: open addressing in four times the room that is needed.
struct Colors {
    found: Vec<[u8; 4]>,
    /// A number and one, or 0 for none.
    slots: [u16; 1024],
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            found: Vec::with_capacity(256),
            slots: [0; 1024],
        }
    }
}

impl Colors {
    /// The color's number, new or known; none for a color too many.
    fn number(&mut self, color: [u8; 4]) -> Option<u8> {
        // Multiplicative hashing: the upper ten bits.
        let mut slot = u32::from_ne_bytes(color).wrapping_mul(0x9E37_79B1) as usize >> 22;
        loop {
            let Some(number) = self.slots[slot].checked_sub(1) else {
                let number = u8::try_from(self.found.len()).ok()?;
                self.found.push(color);
                self.slots[slot] = u16::from(number) + 1;
                return Some(number);
            };
            if self.found[usize::from(number)] == color {
                return u8::try_from(number).ok();
            }
            slot = (slot + 1) % self.slots.len();
        }
    }
}

/// Colors with numbers.
struct Palette {
    colors: Vec<[u8; 4]>,
    /// Bits for a number: 1, 2, 4 or 8.
    bits: u8,
}

impl Palette {
    /// In a fixed order, whatever the order of `colors`: what shines through first, so that the list
    /// of alphas is short, and then from dark to light.
    fn of(mut colors: Vec<[u8; 4]>) -> Self {
        let light =
            |[r, g, b, _]: [u8; 4]| u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114;
        colors.sort_unstable_by_key(|color| (color[3] == 255, light(*color), *color));
        Self {
            bits: match colors.len() {
                0..=2 => 1,
                3..=4 => 2,
                5..=16 => 4,
                _ => 8,
            },
            colors,
        }
    }

    /// The fewest bits in which all colors are gray and opaque, if they are.
    fn gray_bits(&self) -> Option<u8> {
        let is_gray = |[r, g, b, a]: &[u8; 4]| r == g && g == b && *a == 255;
        let fits = |bits: u8| {
            let step = 255 / (255 >> (8 - bits));
            self.colors.iter().all(|color| color[0] % step == 0)
        };
        let all_gray = self.colors.iter().all(is_gray);
        all_gray.then(|| [1, 2, 4].into_iter().find(|bits| fits(*bits)).unwrap_or(8))
    }
}

/// `picture` with `number(color)` of `bits` bits for each pixel, rows beginning at a byte.
fn packed(
    picture: &Picture,
    (color, bits): (ColorType, u8),
    mut number: impl FnMut([u8; 4]) -> u8,
) -> Result<Stored<'_>, ImageError> {
    let depth = match bits {
        1 => BitDepth::One,
        2 => BitDepth::Two,
        4 => BitDepth::Four,
        _ => BitDepth::Eight,
    };
    let channels = picture.layout.channels();
    let width = picture.width as usize;
    let stride = (width * usize::from(bits)).div_ceil(8);
    let length = stride as u64 * u64::from(picture.height);
    let mut data = crate::image::picture::zeroed(length)?;
    let per_byte = usize::from(8 / bits);
    let mut last = (rgba(&picture.data[..channels]), 0);
    last.1 = number(last.0);
    let rows = picture.data.chunks_exact(picture.stride());
    for (to, from) in data.chunks_exact_mut(stride).zip(rows) {
        for (x, pixel) in from.chunks_exact(channels).enumerate() {
            let color = rgba(pixel);
            if color != last.0 {
                last = (color, number(color));
            }
            let shift = 8 - usize::from(bits) * (x % per_byte + 1);
            to[x / per_byte] |= last.1 << shift;
        }
    }
    Ok(Stored {
        width: picture.width,
        height: picture.height,
        color,
        depth,
        palette: Vec::new(),
        data: Cow::Owned(data),
    })
}

/// The header of a file of this `size`, and what it says beside its pixels.
fn info(
    size: (u32, u32),
    (color, depth): (ColorType, BitDepth),
    carried: &Carried,
) -> png::Info<'static> {
    let mut info = png::Info::with_size(size.0, size.1);
    info.bit_depth = depth;
    info.color_type = color;
    info.icc_profile = carried.icc.clone().map(Into::into);
    info.exif_metadata = carried.exif.clone().map(Into::into);
    info.pixel_dims = carried.density.map(|density| {
        let (xppu, yppu) = density.for_png();
        png::PixelDimensions {
            xppu,
            yppu,
            unit: png::Unit::Meter,
        }
    });
    if let Some(xmp) = &carried.xmp {
        // It was written here, as UTF-8.
        let text = String::from_utf8_lossy(xmp).into_owned();
        let chunk = png::text_metadata::ITXtChunk::new("XML:com.adobe.xmp", text);
        info.utf8_text.push(chunk);
    }
    info
}

/// An animated PNG in the making. Of each frame, the part that changed is stored.
pub(super) struct PngAnimation {
    writer: png::Writer<Shared>,
    out: Shared,
    layout: Layout,
    /// The latest frame.
    shown: Option<Picture>,
    frames: u32,
    expected: u32,
    lost: Vec<String>,
}

/// Bytes that the writer, which keeps what it writes to, and its owner both see.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl PngAnimation {
    pub(super) fn new(
        variant: &Variant,
        film: &Film,
        carried: &Carried,
    ) -> Result<Self, ImageError> {
        // What a frame leaves bare is transparent, so there is always alpha.
        let (layout, color) = if film.gray {
            (Layout::GrayAlpha, ColorType::GrayscaleAlpha)
        } else {
            (Layout::Rgba, ColorType::Rgba)
        };
        let (carried, lost) = fitting(carried, variant, layout, film.size);
        let out = Shared::default();
        let begin = || {
            let mut encoder = png::Encoder::with_info(
                out.clone(),
                info(film.size, (color, BitDepth::Eight), &carried),
            )?;
            let (compression, filter) = compression(variant);
            encoder.set_deflate_compression(compression);
            encoder.set_filter(filter);
            // Put right at the end, should there be fewer.
            encoder.set_animated(film.frames, film.plays)?;
            encoder.write_header()
        };
        Ok(Self {
            writer: begin().map_err(|error| failure(variant, &error))?,
            out: out.clone(),
            layout,
            shown: None,
            frames: 0,
            expected: film.frames,
            lost,
        })
    }
}

impl File for PngAnimation {
    fn add(
        &mut self,
        variant: &Variant,
        picture: &Picture,
        (at, until): (u32, u32),
    ) -> Result<(), ImageError> {
        let milliseconds = until - at;
        let picture = picture.widened(self.layout)?;
        let changed = match &self.shown {
            None => Changed {
                left: 0,
                top: 0,
                width: picture.width,
                height: picture.height,
            },
            Some(shown) => Changed::between(shown, &picture),
        };
        let pixels = changed.of(&picture)?;
        // Thousandths as long as they fit into 16 bits, then hundredths, then seconds.
        let delay = [(1, 1000), (10, 100), (1000, 1)]
            .into_iter()
            .find_map(|(each, parts)| {
                let number = (milliseconds + each / 2) / each;
                u16::try_from(number).ok().map(|number| (number, parts))
            });
        let (number, parts) = delay.unwrap_or((u16::MAX, 1));
        let writer = &mut self.writer;
        let mut write = || {
            writer.set_frame_delay(number, parts)?;
            writer.set_blend_op(png::BlendOp::Source)?;
            writer.set_dispose_op(png::DisposeOp::None)?;
            writer.reset_frame_position()?;
            writer.set_frame_dimension(changed.width, changed.height)?;
            writer.set_frame_position(changed.left, changed.top)?;
            writer.write_image_data(&pixels.data)
        };
        write().map_err(|error| failure(variant, &error))?;
        self.frames += 1;
        self.shown = Some(picture);
        Ok(())
    }

    fn finish(self: Box<Self>, variant: &Variant) -> Result<Encoded, ImageError> {
        self.writer
            .finish()
            .map_err(|error| failure(variant, &error))?;
        let mut bytes = std::mem::take(&mut *self.out.bytes());
        if self.frames < self.expected {
            count_frames(&mut bytes, self.frames)
                .ok_or_else(|| failure(variant, &"the file lacks its number of frames"))?;
        }
        Ok(Encoded {
            bytes,
            lost: self.lost,
        })
    }
}

/// Writes the number of frames into the `acTL` chunk of `file`, which is not known before a damaged source ends.
fn count_frames(file: &mut [u8], frames: u32) -> Option<()> {
    let at = file.windows(4).position(|kind| kind == b"acTL")?;
    let chunk = file.get_mut(at..at + 16)?;
    chunk[4..8].copy_from_slice(&frames.to_be_bytes());
    let sum = crc32fast::hash(&chunk[..12]);
    chunk[12..].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Where a frame differs from the one before it; one pixel where it doesn't.
struct Changed {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

impl Changed {
    fn between(one: &Picture, other: &Picture) -> Self {
        let (stride, pixel) = (other.stride(), other.layout.bytes_per_pixel());
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        let rows = one
            .data
            .chunks_exact(stride)
            .zip(other.data.chunks_exact(stride));
        for (y, (one, other)) in rows.enumerate().filter(|(_, (one, other))| one != other) {
            let differ = |x: &usize| one[*x] != other[*x];
            let first = (0..stride).find(differ).unwrap_or(0);
            let last = (0..stride).rev().find(differ).unwrap_or(0);
            left = left.min(first / pixel);
            right = right.max(last / pixel);
            top = top.min(y);
            bottom = y;
        }
        if top == usize::MAX {
            (left, top) = (0, 0);
        }
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Self {
            left: side(left),
            top: side(top),
            width: side(right - left + 1),
            height: side(bottom - top + 1),
        }
    }

    fn of(&self, picture: &Picture) -> Result<Picture, ImageError> {
        let mut part = Picture::blank((self.width, self.height), picture.layout)?;
        let (from_stride, to_stride) = (picture.stride(), part.stride());
        let start = self.left as usize * picture.layout.bytes_per_pixel();
        let rows = picture
            .data
            .chunks_exact(from_stride)
            .skip(self.top as usize);
        for (to, from) in part.data.chunks_exact_mut(to_stride).zip(rows) {
            to.copy_from_slice(&from[start..start + to_stride]);
        }
        Ok(part)
    }
}

/// Writes row by row, so that the deflated stream is never there twice.
fn write_png(
    out: &mut Vec<u8>,
    stored: &Stored<'_>,
    carried: &Carried,
    (compression, filter): (DeflateCompression, Filter),
    stop: &dyn Fn() -> bool,
) -> Result<(), png::EncodingError> {
    let size = (stored.width, stored.height);
    let mut info = info(size, (stored.color, stored.depth), carried);
    if stored.color == ColorType::Indexed {
        let colors = stored.palette.iter().flat_map(|color| &color[..3]);
        info.palette = Some(colors.copied().collect());
        let alphas = stored.palette.iter().map(|color| color[3]);
        let alphas: Vec<u8> = alphas.take_while(|alpha| *alpha < 255).collect();
        info.trns = (!alphas.is_empty()).then(|| alphas.into());
    }
    let mut encoder = png::Encoder::with_info(out, info)?;
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer_with_size(PIECE)?;
    for piece in stored.data.chunks(PIECE) {
        if stop() {
            return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
        }
        stream.write_all(piece)?;
    }
    stream.finish()?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::OutputFormat;

    fn picture(layout: Layout, width: u32, data: Vec<u8>) -> Picture {
        let height = data.len() / layout.bytes_per_pixel() / width as usize;
        Picture {
            width,
            height: u32::try_from(height).unwrap(),
            layout,
            data,
        }
    }

    /// How the file stores its pixels, and the pixels themselves as RGBA.
    fn written(picture: &Picture) -> ((ColorType, u8), Vec<u8>) {
        let variant = Variant::new("png", OutputFormat::Png);
        let file = encode(picture, &variant, &Carried::default(), &|| false).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(&file.bytes));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::ALPHA);
        let mut reader = decoder.read_info().unwrap();
        let kind = (reader.info().color_type, reader.info().bit_depth as u8);
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut data).unwrap();
        let channels = frame.color_type.samples();
        let pixels = data.chunks_exact(channels).flat_map(rgba);
        (kind, pixels.collect())
    }

    #[track_caller]
    fn assert_stored(picture: &Picture, kind: (ColorType, u8)) {
        let (found, pixels) = written(picture);
        assert_eq!(found, kind);
        let channels = picture.layout.channels();
        let expected: Vec<u8> = picture.data.chunks_exact(channels).flat_map(rgba).collect();
        assert_eq!(pixels, expected);
    }

    #[test]
    fn few_colors_become_a_palette_of_as_few_bits_as_will_do() {
        for (colors, bits) in [(2_u8, 1), (4, 2), (5, 4), (16, 4), (17, 8), (255, 8)] {
            // An odd width, so that rows end within a byte.
            let pixels = (0..99 * 61_u32).flat_map(|at| {
                let color = u8::try_from(at * 7 % u32::from(colors)).unwrap();
                [color, 255 - color, 90]
            });
            let picture = picture(Layout::Rgb, 99, pixels.collect());
            assert_stored(&picture, (ColorType::Indexed, bits));
        }
    }

    #[test]
    fn gray_tones_are_stored_as_gray_of_as_few_bits_as_will_do() {
        for (step, bits) in [(255_u32, 1), (85, 2), (17, 4), (1, 8)] {
            let tones = 255 / step + 1;
            let pixels = (0..99 * 61_u32).flat_map(|at| {
                let tone = u8::try_from(at * 11 % tones * step).unwrap();
                [tone; 3]
            });
            let picture = picture(Layout::Rgb, 99, pixels.collect());
            assert_stored(&picture, (ColorType::Grayscale, bits));
        }
        // Two tones that no gray of one bit has.
        let pixels = (0..99 * 61_u32).map(|at| [77, 200][at as usize % 2]);
        let picture = picture(Layout::Gray, 99, pixels.collect());
        assert_stored(&picture, (ColorType::Indexed, 1));
    }

    #[test]
    fn alpha_that_says_something_stays_and_alpha_that_does_not_goes() {
        let noise = |alpha: fn(u32) -> u8| {
            let pixels = (0..64 * 64_u32).flat_map(|at| {
                let [r, g, b, _] = at.wrapping_mul(2_654_435_761).to_le_bytes();
                [r, g, b, alpha(at)]
            });
            picture(Layout::Rgba, 64, pixels.collect())
        };
        assert_stored(&noise(|_| 255), (ColorType::Rgb, 8));
        assert_stored(&noise(|at| at.to_le_bytes()[0]), (ColorType::Rgba, 8));
        let holes = (0..64 * 64_u32).flat_map(|at| [9, 9, 9, [0, 128, 255][at as usize % 3]]);
        let holes = picture(Layout::Rgba, 64, holes.collect());
        assert_stored(&holes, (ColorType::Indexed, 2));
        let smoke = (0..64 * 64_u32).flat_map(|at| {
            let [tone, alpha, ..] = at.wrapping_mul(40_503).to_le_bytes();
            [tone, tone, tone, alpha]
        });
        let smoke = picture(Layout::Rgba, 64, smoke.collect());
        assert_stored(&smoke, (ColorType::GrayscaleAlpha, 8));
    }

    #[test]
    fn a_picture_too_small_for_a_palette_gets_none() {
        let tiny = picture(Layout::Rgb, 2, vec![1, 2, 3, 4, 5, 6]);
        assert_stored(&tiny, (ColorType::Rgb, 8));
    }
}
