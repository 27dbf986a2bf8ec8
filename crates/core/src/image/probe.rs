//! What a file says about its picture, before any pixel is decoded.

use serde::{Deserialize, Serialize};

use super::decode::{self, Header};
use super::{Format, Sniffed, color, orient, sniff};
use crate::error::ImageError;

/// Which samples a source stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColorModel {
    /// One sample of light.
    Gray,
    /// Red, green and blue, or a palette of them, or luma and color differences.
    Rgb,
    /// Four inks.
    Cmyk,
}

/// What a file says about its picture. Nothing of it is proven: a short file can state a huge size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The format, as the content says.
    pub format: Format,
    /// Width as stored, in pixels, at least 1.
    pub stored_width: u32,
    /// Height as stored, in pixels, at least 1.
    pub stored_height: u32,
    /// Width as shown (after orientation), in pixels.
    pub width: u32,
    /// Height as shown (after orientation), in pixels.
    pub height: u32,
    /// The EXIF orientation, 1 to 8; 1 when the file names none or nonsense.
    pub orientation: u8,
    /// Frames or pages, counted as far as the bytes go; at least 1. A PNG's default image that is
    /// not part of its animation counts as a frame.
    pub frames: u32,
    /// Whether the file can hold transparency.
    pub alpha: bool,
    /// Which samples it stores.
    pub color: ColorModel,
    /// Bits per sample as stored: 1 to 32.
    pub bits: u8,
    /// The embedded color profile's description ("a profile without a name" if it has none, "a
    /// broken profile" if it can't be read); none when there is no profile.
    pub profile: Option<String>,
    /// Whether the file holds EXIF, XMP, comments or anything else beside the picture and its profile.
    pub has_metadata: bool,
    /// Bytes that decoding takes beside the pixels, estimated.
    pub(crate) decode_memory: u64,
    /// Bytes per pixel once decoded.
    pub(crate) channels: u8,
}

/// [`Info`] of `bytes`, which may be only the first part of a file, and what stands beside it.
pub(crate) fn examine(bytes: &[u8]) -> Result<(Info, Header), ImageError> {
    let sniffed = sniff(bytes);
    let Sniffed::Picture(format) = sniffed else {
        return Err(sniff::refusal(sniffed, bytes));
    };
    let header = decode::header(format, bytes)?;
    let Header { width, height, .. } = header;
    if width == 0 || height == 0 {
        return Err(ImageError::Corrupt {
            detail: format!("it says that it is {width} x {height} pixels"),
        });
    }
    let orientation = match header.orientation {
        known @ 1..=8 => known,
        _ => 1,
    };
    let (shown_width, shown_height) = if orient::swaps_sides(orientation) {
        (height, width)
    } else {
        (width, height)
    };
    let info = Info {
        format,
        stored_width: width,
        stored_height: height,
        width: shown_width,
        height: shown_height,
        orientation,
        frames: header.frames.max(1),
        alpha: header.alpha,
        color: header.color,
        bits: header.bits,
        profile: header.icc.as_deref().map(color::describe),
        has_metadata: header.has_metadata,
        decode_memory: header.decode_memory,
        channels: header.channels,
    };
    Ok((info, header))
}

impl Info {
    /// Width and height as shown, or as stored where orientation is not `applied`.
    pub(crate) fn size(&self, applied: bool) -> (u32, u32) {
        if applied {
            (self.width, self.height)
        } else {
            (self.stored_width, self.stored_height)
        }
    }

    /// Width x height, in pixels.
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.stored_width) * u64::from(self.stored_height)
    }
}
