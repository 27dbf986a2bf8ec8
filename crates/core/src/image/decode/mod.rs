//! Bytes to pixels, one file per format. Each has a `header` that decodes nothing and takes a
//! prefix of a file, and a `decode` that is strict: what is damaged is refused.

#[cfg(feature = "bmp")]
mod bmp;
#[cfg(any(
    feature = "bmp",
    feature = "gif",
    feature = "ico",
    feature = "pnm",
    feature = "qoi",
    feature = "tga",
    feature = "webp"
))]
mod by_image;
pub(crate) mod frames;
#[cfg(feature = "gif")]
mod gif;
#[cfg(feature = "ico")]
mod ico;
#[cfg(feature = "jpeg")]
pub(crate) mod jpeg;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "pnm")]
mod pnm;
#[cfg(feature = "qoi")]
mod qoi;
#[cfg(any(
    feature = "bmp",
    feature = "ico",
    feature = "pnm",
    feature = "qoi",
    feature = "tga"
))]
mod still;
#[cfg(feature = "tga")]
mod tga;
#[cfg(feature = "tiff")]
pub(crate) mod tiff;
#[cfg(feature = "webp")]
mod webp;

use super::picture::Picture;
use super::probe::ColorModel;
use super::scale::Scale;
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
        #[cfg(feature = "ico")]
        Format::Ico => ico::header(bytes),
        #[cfg(feature = "pnm")]
        Format::Pnm => pnm::header(bytes),
        #[cfg(feature = "qoi")]
        Format::Qoi => qoi::header(bytes),
        #[cfg(feature = "tga")]
        Format::Tga => tga::header(bytes),
        other => Err(sniff::refusal(Sniffed::Picture(other), bytes)),
    }
}

/// How a picture is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Damaged pictures are decoded as far as that goes.
    pub(crate) accept_damage: bool,
    /// More than 8 bits a sample become 16 and not 8 (but for inks).
    pub(crate) keep_depth: bool,
    /// At which size; anything but the full one is for JPEGs that lose something.
    pub(crate) scale: Scale,
}

/// The first picture of `bytes`, whose `header` has been held against the limits.
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    header: &Header,
    wanted: Wanted,
) -> Result<Decoded, ImageError> {
    let Wanted {
        accept_damage,
        keep_depth,
        scale,
    } = wanted;
    let decoded: Result<Decoded, ImageError> = match format {
        #[cfg(feature = "jpeg")]
        Format::Jpeg => jpeg::decode(bytes, accept_damage, scale),
        #[cfg(feature = "png")]
        Format::Png => png::decode(bytes, wanted),
        #[cfg(feature = "webp")]
        Format::Webp => webp::decode(bytes, header).map(Decoded::whole),
        #[cfg(feature = "gif")]
        Format::Gif => gif::decode(bytes).map(Decoded::whole),
        #[cfg(feature = "bmp")]
        Format::Bmp => bmp::decode(bytes).map(Decoded::whole),
        #[cfg(feature = "tiff")]
        Format::Tiff => tiff::decode(bytes, keep_depth).map(Decoded::whole),
        #[cfg(feature = "ico")]
        Format::Ico => ico::decode(bytes, wanted),
        #[cfg(feature = "pnm")]
        Format::Pnm => pnm::decode(bytes, keep_depth).map(Decoded::whole),
        #[cfg(feature = "qoi")]
        Format::Qoi => qoi::decode(bytes).map(Decoded::whole),
        #[cfg(feature = "tga")]
        Format::Tga => tga::decode(bytes).map(Decoded::whole),
        other => {
            let _ = (accept_damage, keep_depth);
            Err(sniff::refusal(Sniffed::Picture(other), bytes))
        }
    };
    let decoded = decoded?;
    // The limits were held against the header: a decoder that sees another size is not believed.
    if decoded.picture.size() != scale.size((header.width, header.height)) {
        return Err(ImageError::Corrupt {
            detail: "its headers contradict each other about its size".to_owned(),
        });
    }
    Ok(decoded)
}

impl Decoded {
    #[cfg(any(
        feature = "bmp",
        feature = "gif",
        feature = "ico",
        feature = "pnm",
        feature = "qoi",
        feature = "tga",
        feature = "tiff",
        feature = "webp"
    ))]
    fn whole(picture: Picture) -> Self {
        Self {
            picture,
            damage: None,
        }
    }
}

/// What is lost already by the way in which a file of `format` is decoded here.
pub(crate) fn losses(format: Format, header: &Header, keep_depth: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, detail| {
        warnings.push(Warning {
            code,
            detail,
            variant: None,
        });
    };
    if header.frames > 1 && !frames::are_in(format) {
        let count = header.frames;
        let detail = match format {
            Format::Ico => format!("the largest of {count} pictures was used"),
            _ => format!("the first of {count} pages was used"),
        };
        warn(WarningCode::PagesDropped, detail);
    }
    // Inks become light at once, with 8 bits.
    let kept = if keep_depth && header.color != ColorModel::Cmyk {
        16
    } else {
        8
    };
    if header.bits > kept {
        warn(
            WarningCode::DepthReduced,
            format!("{} bits a channel became {kept}", header.bits),
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

#[cfg(any(feature = "png", feature = "webp", feature = "gif", feature = "tiff"))]
fn cut_short(what: &str) -> ImageError {
    ImageError::Truncated {
        detail: format!("it ends within {what}"),
    }
}
