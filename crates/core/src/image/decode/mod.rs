//! Bytes to pixels, one file per format. Each has a `header` that decodes nothing and takes a
//! prefix of a file, and a `decode` that is strict: what is damaged is refused.

#[cfg(feature = "bmp")]
mod bmp;
#[cfg(any(feature = "bmp", feature = "gif", feature = "webp"))]
mod by_image;
pub(crate) mod frames;
#[cfg(feature = "gif")]
mod gif;
#[cfg(feature = "jpeg")]
pub(crate) mod jpeg;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "tiff")]
mod tiff;
#[cfg(feature = "webp")]
mod webp;

use super::picture::Picture;
use super::probe::ColorModel;
use super::{Format, Sniffed, Warning, WarningCode, sniff};
use crate::error::ImageError;

/// What stands in a file before its pixels, and beside them.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// EXIF orientation as found, not checked.
    pub(crate) orientation: u8,
    pub(crate) frames: u32,
    pub(crate) alpha: bool,
    pub(crate) color: ColorModel,
    pub(crate) bits: u8,
    pub(crate) icc: Option<Vec<u8>>,
    /// The EXIF structure: a TIFF file without pixels.
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) xmp: Option<Vec<u8>>,
    /// Whether there is anything beside picture and profile.
    pub(crate) has_metadata: bool,
    pub(crate) decode_memory: u64,
    pub(crate) lossy: bool,
    pub(crate) channels: u8,
}

/// A picture as stored: not oriented, not converted.
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    /// What was wrong with it, when damage was accepted.
    pub(crate) damage: Option<String>,
}

/// The header of `bytes`, a file of `format` or the first part of one. Fails with
/// [`ImageError::Truncated`] when more bytes are needed.
pub(crate) fn header(format: Format, bytes: &[u8]) -> Result<Header, ImageError> {
    match format {
        #[cfg(feature = "jpeg")]
        Format::Jpeg => jpeg::header(bytes),
        #[cfg(feature = "png")]
        Format::Png => png::header(bytes),
        #[cfg(feature = "webp")]
        Format::Webp => webp::header(bytes),
        #[cfg(feature = "gif")]
        Format::Gif => gif::header(bytes),
        #[cfg(feature = "bmp")]
        Format::Bmp => bmp::header(bytes),
        #[cfg(feature = "tiff")]
        Format::Tiff => tiff::header(bytes),
        other => Err(sniff::refusal(Sniffed::Picture(other), bytes)),
    }
}

/// The first picture of `bytes`, whose `header` has been held against the limits.
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    header: &Header,
    accept_damage: bool,
) -> Result<Decoded, ImageError> {
    let decoded: Result<Decoded, ImageError> = match format {
        #[cfg(feature = "jpeg")]
        Format::Jpeg => jpeg::decode(bytes, accept_damage),
        #[cfg(feature = "png")]
        Format::Png => png::decode(bytes, accept_damage),
        #[cfg(feature = "webp")]
        Format::Webp => webp::decode(bytes, header).map(Decoded::whole),
        #[cfg(feature = "gif")]
        Format::Gif => gif::decode(bytes).map(Decoded::whole),
        #[cfg(feature = "bmp")]
        Format::Bmp => bmp::decode(bytes).map(Decoded::whole),
        #[cfg(feature = "tiff")]
        Format::Tiff => tiff::decode(bytes).map(Decoded::whole),
        other => {
            let _ = accept_damage;
            Err(sniff::refusal(Sniffed::Picture(other), bytes))
        }
    };
    let decoded = decoded?;
    // The limits were held against the header: a decoder that sees another size is not believed.
    if decoded.picture.size() != (header.width, header.height) {
        return Err(ImageError::Corrupt {
            detail: "its headers contradict each other about its size".to_owned(),
        });
    }
    Ok(decoded)
}

impl Decoded {
    #[cfg(any(feature = "bmp", feature = "gif", feature = "tiff", feature = "webp"))]
    fn whole(picture: Picture) -> Self {
        Self {
            picture,
            damage: None,
        }
    }
}

/// What is lost already by the way in which a file of `format` is decoded here.
pub(crate) fn losses(format: Format, header: &Header) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, detail| {
        warnings.push(Warning {
            code,
            detail,
            variant: None,
        });
    };
    if header.frames > 1 && !frames::are_in(format) {
        let pages = header.frames;
        warn(
            WarningCode::PagesDropped,
            format!("the first of {pages} pages was used"),
        );
    }
    if header.bits > 8 {
        warn(
            WarningCode::DepthReduced,
            format!("{} bits a channel became 8", header.bits),
        );
    }
    warnings
}

/// The orientation that an EXIF structure names; 1 when it names none.
#[cfg(any(feature = "jpeg", feature = "png", feature = "webp"))]
fn orientation(exif: Option<&[u8]>) -> u8 {
    exif.and_then(image::metadata::Orientation::from_exif_chunk)
        .map_or(1, image::metadata::Orientation::to_exif)
}

/// 16 bits to 8, scaled and rounded to nearest.
#[cfg(any(feature = "png", feature = "tiff"))]
fn narrowed(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) * 255 + 32_767) / 65_535).unwrap_or(255)
}

#[cfg(feature = "tiff")]
/// 0 to 1 becomes 0 to 255; what lies outside is clipped, and no number is black.
fn from_float(value: f32) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=255 first, and NaN casts to 0"
    )]
    let sample = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    sample
}

#[cfg(any(feature = "png", feature = "webp", feature = "gif", feature = "tiff"))]
fn cut_short(what: &str) -> ImageError {
    ImageError::Truncated {
        detail: format!("it ends within {what}"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "png")]
    #[test]
    fn sixteen_bits_are_scaled_to_eight_and_rounded() {
        assert_eq!(super::narrowed(0), 0);
        assert_eq!(super::narrowed(128), 0);
        assert_eq!(super::narrowed(129), 1);
        assert_eq!(super::narrowed(32_767), 127);
        assert_eq!(super::narrowed(32_768), 128);
        assert_eq!(super::narrowed(65_535), 255);
        for v in 0..=255u8 {
            assert_eq!(super::narrowed(u16::from(v) * 257), v);
        }
    }
}
