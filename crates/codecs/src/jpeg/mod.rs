//! JPEG in and out, through libjpeg-turbo: in by its `TurboJPEG` interface, but for files with nothing odd in
//! them, whose Huffman codes are read here; out by libjpeg's own interface, which takes Huffman tables.
//!
//! Always the accurate integer transforms and smooth chroma upsampling, so the same file gives the
//! same pixels on every processor, with and without SIMD.

mod decode;
mod encode;
mod handle;
mod markers;
mod message;
mod read;
mod scan;
mod write;

pub use decode::{Damage, DecodeOptions, Decoded, Header, decode, header};
pub use encode::{EncodeOptions, Tables, encode};

/// The longest side in pixels that libjpeg-turbo reads or writes (its `JPEG_MAX_DIMENSION`, a little
/// under the 65535 that the format could state).
pub const MAX_SIDE: u32 = 65_500;

/// libjpeg-turbo has no function that tells its version. Belongs to `turbojpeg-sys` 1.2.0; a test
/// fails when that dependency moves.
pub(crate) const LIBRARY_VERSION: &str = "3.1.0";

/// The size at which a file is decoded: a whole number of its own pixels becomes one.
///
/// Smaller sizes come from each block's lower frequencies, so that most of the work is never done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// As it is.
    #[default]
    Full,
    /// A quarter of its width and height, rounded up.
    Quarter,
    /// An eighth of its width and height, rounded up.
    Eighth,
}

impl Scale {
    /// How many pixels of the file, side by side, become one.
    pub const fn divisor(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }
}

/// How a file stores its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorSpace {
    /// One component.
    Gray,
    /// Luma and two colour differences: nearly every colour JPEG.
    YCbCr,
    /// Red, green, blue as they are.
    Rgb,
    /// Four inks as they are.
    Cmyk,
    /// Four inks, the first three turned into luma and colour differences.
    Ycck,
}

/// How much smaller the colour components are than the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsampling {
    /// As large.
    S444,
    /// Half the width.
    S422,
    /// Half the width and half the height.
    S420,
    /// Half the height.
    S440,
    /// A quarter of the width.
    S411,
    /// A quarter of the height.
    S441,
    /// There are no colour components.
    Gray,
    /// Anything else. Can be read, never written.
    Other,
}

/// How 8-bit pixels lie in memory: interleaved, rows top-down, nothing between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One byte per pixel.
    Gray,
    /// Three bytes per pixel: red, green, blue.
    Rgb,
    /// Four bytes per pixel: cyan, magenta, yellow, black exactly as libjpeg gives them. YCCK is
    /// converted; whether 255 means no ink (as Adobe writes) or all of it is for the caller to know.
    Cmyk,
}

impl Layout {
    /// Bytes per pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }
}
