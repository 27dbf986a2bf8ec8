//! Safe wrappers over the two C codecs that Pixmill uses: libjpeg-turbo for JPEG in and out, and
//! libwebp for WebP out.
//!
//! This is the one crate of the workspace with `unsafe` in it. Nothing here allocates from a number
//! that a file states without being able to fail, unwinds through C, or aborts on hostile input.
//! It decides nothing about pictures: sizes, limits, colour and orientation are the caller's.

mod buffer;
mod error;
mod heap;

#[cfg(feature = "jpeg")]
pub mod jpeg;
#[cfg(feature = "webp")]
pub mod webp;

pub use buffer::zeroed;
pub use error::Error;
pub use heap::{return_large_buffers, use_one_heap};

/// The C libraries that this build holds and their versions, in a fixed order.
///
/// The bytes of a rendition depend on them, so the engine's identity names them. Features that are
/// off are left out.
pub fn versions() -> Vec<(&'static str, String)> {
    vec![
        #[cfg(feature = "jpeg")]
        ("libjpeg-turbo", jpeg::LIBRARY_VERSION.to_owned()),
        #[cfg(feature = "webp")]
        ("libwebp", webp::library_version()),
    ]
}
