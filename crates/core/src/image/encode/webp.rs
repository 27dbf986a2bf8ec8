//! WebP out, by libwebp.

use pixmill_codecs::webp::{self, EncodeOptions, Layout as WebpLayout, Metadata, Mode};

use super::animation::{File, Film};
use super::{Encoded, codec_failure as failed, fitting};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Effort, Variant};

pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let options = options(variant);
    let failed = |error| failed(variant, picture.data.len() as u64, &error);
    let bytes = with_samples(picture, |layout, data| {
        webp::encode(data, picture.width, picture.height, layout, &options, stop).map_err(failed)
    })?;
    Ok(Encoded {
        bytes: with_metadata(bytes, carried).map_err(failed)?,
        lost: Vec::new(),
    })
}

fn options(variant: &Variant) -> EncodeOptions {
    EncodeOptions {
        mode: match (variant.near_lossless, variant.encoder_quality()) {
            (Some(level), _) => Mode::NearLossless { level },
            (None, Some(quality)) => Mode::Lossy {
                quality: f32::from(quality),
            },
            (None, None) => Mode::Lossless,
        },
        method: match variant.effort {
            Effort::Fast => 2,
            Effort::Balanced => 4,
            Effort::Best => 6,
        },
        // Lossless keeps every pixel, also those that can't be seen, unless told otherwise.
        exact: variant.exact.unwrap_or(variant.lossless),
        sharp_yuv: variant.sharp_yuv,
        ..EncodeOptions::default()
    }
}

/// Hands over `picture` as libwebp takes it.
fn with_samples<T>(
    picture: &Picture,
    take: impl FnOnce(WebpLayout, &[u8]) -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    match picture.layout {
        Layout::Rgb => take(WebpLayout::Rgb, &picture.data),
        Layout::Rgba => take(WebpLayout::Rgba, &picture.data),
        Layout::GrayAlpha => take(WebpLayout::Rgba, &picture.widened(Layout::Rgba)?.data),
        _ => take(WebpLayout::Rgb, &picture.widened(Layout::Rgb)?.data),
    }
}

fn with_metadata(bytes: Vec<u8>, carried: &Carried) -> Result<Vec<u8>, pixmill_codecs::Error> {
    let metadata = Metadata {
        icc: carried.icc.as_deref(),
        exif: carried.exif.as_deref(),
        xmp: carried.xmp.as_deref(),
    };
    if metadata == Metadata::default() {
        Ok(bytes)
    } else {
        webp::with_metadata(&bytes, &metadata)
    }
}

/// An animated WebP in the making.
pub(super) struct WebpAnimation<'a> {
    file: webp::Animation<'a>,
    carried: Carried,
    lost: Vec<String>,
    /// Whether anything can be seen through on any frame.
    has_alpha: bool,
    /// When the latest frame is shown no longer, in milliseconds.
    end: u32,
    bytes_of_frame: u64,
}

/// The longest time that a frame can be shown, in milliseconds: 24 bits.
const MAX_DELAY: u32 = (1 << 24) - 1;

impl<'a> WebpAnimation<'a> {
    pub(super) fn new(
        variant: &Variant,
        film: &Film,
        carried: &Carried,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self, ImageError> {
        let layout = if film.gray { Layout::Gray } else { Layout::Rgb };
        let (carried, lost) = fitting(carried, variant, layout, film.size);
        // A file has 16 bits for it; nobody will count.
        let plays = u16::try_from(film.plays).unwrap_or(u16::MAX);
        let begun = webp::Animation::new(film.size, plays, &options(variant), stop);
        let bytes_of_frame = u64::from(film.size.0) * u64::from(film.size.1) * 4;
        Ok(Self {
            file: begun.map_err(|error| failed(variant, bytes_of_frame, &error))?,
            carried,
            lost,
            has_alpha: false,
            end: 0,
            bytes_of_frame,
        })
    }
}

impl File for WebpAnimation<'_> {
    fn add(
        &mut self,
        variant: &Variant,
        picture: &Picture,
        (at, until): (u32, u32),
    ) -> Result<(), ImageError> {
        let bytes = self.bytes_of_frame;
        self.has_alpha = self.has_alpha || !picture.is_opaque();
        // What was cut off one delay is cut off all later times.
        let from = self.end;
        self.end = from.saturating_add((until - at).min(MAX_DELAY));
        with_samples(picture, |layout, data| {
            let added = self.file.add(data, layout, from);
            added.map_err(|error| failed(variant, bytes, &error))
        })
    }

    fn finish(self: Box<Self>, variant: &Variant) -> Result<Encoded, ImageError> {
        let bytes = self.file.finish(self.end);
        let bytes = bytes.and_then(|bytes| with_metadata(bytes, &self.carried));
        let mut bytes = bytes.map_err(|error| failed(variant, self.bytes_of_frame, &error))?;
        if self.has_alpha {
            state_alpha(&mut bytes);
        }
        Ok(Encoded {
            bytes,
            lost: self.lost,
        })
    }
}

/// Says in the header of an animated `file` that it has transparency. libwebp says so only where a frame's
/// own pixels have: opaque frames that leave parts of the canvas bare would be shown on black by readers that
/// trust the header.
fn state_alpha(file: &mut [u8]) {
    const ANIMATED: u8 = 0x02;
    const ALPHA: u8 = 0x10;
    if file.get(12..16) == Some(b"VP8X")
        && let Some(flags) = file.get_mut(20)
        && *flags & ANIMATED != 0
    {
        *flags |= ALPHA;
    }
}
