//! PNG out.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use png::{Compression, Filter};

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
    let opaque;
    let picture = if picture.layout.has_alpha() && picture.is_opaque() {
        opaque = picture.clone().without_idle_alpha();
        &opaque
    } else {
        picture
    };
    let (compression, filter) = compression(variant);
    let write = |compression, filter| {
        let mut bytes = Vec::new();
        match write_png(&mut bytes, picture, carried, (compression, filter), stop) {
            Ok(()) => Ok(bytes),
            Err(_) if stop() => Err(ImageError::Stopped),
            Err(error) => Err(failure(variant, &error)),
        }
    };
    let mut bytes = write(compression, filter)?;
    if bytes.len() > picture.data.len() + picture.height as usize {
        // Fast deflate makes noise longer than it is.
        drop(std::mem::take(&mut bytes));
        bytes = write(Compression::NoCompression, Filter::NoFilter)?;
    }
    Ok(Encoded {
        bytes,
        lost: Vec::new(),
    })
}

fn compression(variant: &Variant) -> (Compression, Filter) {
    match variant.effort {
        Effort::Fast => (Compression::Fast, Filter::Up),
        Effort::Balanced => (Compression::Fast, Filter::Adaptive),
        Effort::Best => (Compression::High, Filter::Adaptive),
    }
}

fn info(size: (u32, u32), layout: Layout, carried: &Carried) -> png::Info<'static> {
    let mut info = png::Info::with_size(size.0, size.1);
    info.bit_depth = png::BitDepth::Eight;
    info.color_type = match layout {
        Layout::Gray => png::ColorType::Grayscale,
        Layout::GrayAlpha => png::ColorType::GrayscaleAlpha,
        Layout::Rgb | Layout::Cmyk => png::ColorType::Rgb,
        Layout::Rgba => png::ColorType::Rgba,
    };
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
        let layout = if film.gray {
            Layout::GrayAlpha
        } else {
            Layout::Rgba
        };
        let (carried, lost) = fitting(carried, variant, layout, film.size);
        let out = Shared::default();
        let begin = || {
            let mut encoder =
                png::Encoder::with_info(out.clone(), info(film.size, layout, &carried))?;
            let (compression, filter) = compression(variant);
            encoder.set_compression(compression);
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
        let (stride, channels) = (other.stride(), other.layout.channels());
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        let rows = one
            .data
            .chunks_exact(stride)
            .zip(other.data.chunks_exact(stride));
        for (y, (one, other)) in rows.enumerate().filter(|(_, (one, other))| one != other) {
            let differ = |x: &usize| one[*x] != other[*x];
            let first = (0..stride).find(differ).unwrap_or(0);
            let last = (0..stride).rev().find(differ).unwrap_or(0);
            left = left.min(first / channels);
            right = right.max(last / channels);
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
        let start = self.left as usize * picture.layout.channels();
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
    picture: &Picture,
    carried: &Carried,
    (compression, filter): (png::Compression, png::Filter),
    stop: &dyn Fn() -> bool,
) -> Result<(), png::EncodingError> {
    let info = info(picture.size(), picture.layout, carried);
    let mut encoder = png::Encoder::with_info(out, info)?;
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer_with_size(PIECE)?;
    for piece in picture.data.chunks(PIECE) {
        if stop() {
            return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
        }
        stream.write_all(piece)?;
    }
    stream.finish()?;
    writer.finish()
}
