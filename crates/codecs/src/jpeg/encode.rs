//! JPEG out.

use std::ffi::{c_int, c_uint};

use super::{Layout, MAX_SIDE, Subsampling, write};
use crate::{Error, buffer};

/// From this many pixels on, a part of a picture speaks for the whole: below, a second pass over all of
/// it is short, and a table that leaves out what doesn't occur is worth more.
const LARGE: u64 = 1 << 20;

/// The pixels that the tables of a large picture are fitted to are at least so many, ...
const SAMPLE: u64 = 1 << 18;

/// ... and of the largest ones one in so many.
const SPARSEST: u64 = 16;

/// How the Huffman tables of a JPEG come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// The ones that the standard gives as an example. Progressive files never have them.
    Standard,
    /// Fitted to the picture; of a large one (1,048,576 pixels), to evenly spread runs of its blocks: one
    /// pass instead of two and no copy of all coefficients, for two or three thousandths more bytes.
    Sampled,
    /// Fitted to the whole picture: a few percent smaller than the standard's, one more pass.
    Fitted,
}

impl Tables {
    /// Of how many pixels the coefficients are all in memory at one time, while `pixels` are encoded.
    pub fn pixels_in_memory(self, pixels: u64, progressive: bool) -> u64 {
        match self.every(pixels, progressive) {
            _ if progressive => pixels,
            _ if self == Self::Standard => 0,
            0 => pixels,
            every => pixels / u64::from(every),
        }
    }

    /// One block in so many is a sample of a picture; 0: none is taken.
    fn every(self, pixels: u64, progressive: bool) -> c_uint {
        if self == Self::Sampled && pixels >= LARGE && !progressive {
            c_uint::try_from((pixels / SAMPLE).min(SPARSEST)).unwrap_or(0)
        } else {
            0
        }
    }
}

/// How to write a JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// 1 (worst) to 100 (best), on libjpeg's scale.
    pub quality: u8,
    /// How much smaller to store the colour components. [`Subsampling::Gray`] drops them;
    /// [`Subsampling::Other`] can't be written. Gray pixels ignore it.
    pub subsampling: Subsampling,
    /// Whether to write scans that refine each other. Their Huffman tables are always fitted.
    pub progressive: bool,
    /// How the Huffman tables come about.
    pub tables: Tables,
}

/// Encodes `width` x `height` pixels of `layout`, which is [`Layout::Gray`] or [`Layout::Rgb`].
///
/// The file has a JFIF header with square pixels and no density, no thumbnail, no comment, no
/// profile. Sides go up to [`MAX_SIDE`](super::MAX_SIDE).
///
/// `stop` is asked every few rows.
///
/// Fails with [`Error::TooLarge`] over that, [`Error::Input`] if the options are out of range or
/// `data` is not exactly of that size, [`Error::Memory`], [`Error::Stopped`], or [`Error::Encode`] with
/// the library's words.
pub fn encode(
    data: &[u8],
    width: u32,
    height: u32,
    layout: Layout,
    options: &EncodeOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, Error> {
    if layout == Layout::Cmyk {
        return Err(Error::Input("CMYK is not written as JPEG".to_owned()));
    }
    if !(1..=100).contains(&options.quality) {
        return Err(Error::Input(format!(
            "a quality of {} is not within 1 to 100",
            options.quality
        )));
    }
    buffer::check_pixels(
        data,
        (width, height),
        layout.bytes_per_pixel(),
        ("JPEG", MAX_SIDE),
    )?;
    let (across, down) = match options.subsampling {
        Subsampling::S444 => (1, 1),
        Subsampling::S422 => (2, 1),
        Subsampling::S420 => (2, 2),
        Subsampling::S440 => (1, 2),
        Subsampling::S411 => (4, 1),
        Subsampling::S441 => (1, 4),
        Subsampling::Gray => (0, 0),
        Subsampling::Other => {
            return Err(Error::Input("that subsampling can't be written".to_owned()));
        }
    };
    let pixels = u64::from(width) * u64::from(height);
    let picture = write::Picture {
        pixels: data.as_ptr(),
        width,
        height,
        components: if layout == Layout::Gray { 1 } else { 3 },
        quality: c_int::from(options.quality),
        across,
        down,
        progressive: c_int::from(options.progressive),
        optimize: c_int::from(options.tables != Tables::Standard),
        sampled: options.tables.every(pixels, options.progressive),
    };
    // SAFETY: `data` was checked to be all the pixels, and lives until the call is over.
    unsafe { write::write(&picture, stop) }
}
