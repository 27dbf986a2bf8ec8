//! WebP out, through libwebp: pixels to a file, frames to an animation, and metadata into a file.

mod animation;
mod encode;
mod metadata;
#[cfg(feature = "reference")]
pub mod reference;

pub use animation::Animation;
pub use encode::{EncodeOptions, Mode, encode};
pub use metadata::{Metadata, with_metadata};

/// The longest side in pixels that the format can state.
pub const MAX_SIDE: u32 = 16_383;

/// How 8-bit pixels lie in memory: interleaved, rows top-down, nothing between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Three bytes per pixel: red, green, blue.
    Rgb,
    /// Four bytes per pixel: red, green, blue, and alpha that is not multiplied into them.
    Rgba,
}

impl Layout {
    /// Bytes per pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// The version of the libwebp that is linked.
pub(crate) fn library_version() -> String {
    // SAFETY: takes nothing and returns a number.
    let [_, major, minor, revision] = unsafe { libwebp_sys::WebPGetEncoderVersion() }.to_be_bytes();
    format!("{major}.{minor}.{revision}")
}
