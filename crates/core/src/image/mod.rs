//! From bytes to pixels to bytes, one small step a file, in the order in which a picture meets
//! them: sniff, probe, decode, color, orient, geometry, resize, encode. Each takes a value and
//! returns a value; [`mod@crate::render`] strings them together.

pub(crate) mod attention;
pub(crate) mod beside;
pub(crate) mod color;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod geometry;
pub(crate) mod left_behind;
pub(crate) mod metadata;
pub(crate) mod orient;
pub(crate) mod picture;
pub(crate) mod placeholder;
pub(crate) mod probe;
pub(crate) mod profile;
pub(crate) mod resize;
pub(crate) mod scale;
pub(crate) mod shown;
pub(crate) mod sniff;
pub(crate) mod xmp;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use probe::{ColorModel, Info};
pub use shown::{Part, Shown, shown};
pub use sniff::{Sniffed, sniff};

/// What a file is, as its first bytes say; never its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// JPEG (ITU T.81).
    Jpeg,
    /// PNG, animated or not.
    Png,
    /// WebP, animated or not.
    Webp,
    /// GIF.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF, classic or big.
    Tiff,
    /// Windows icon: one picture in several sizes.
    Ico,
    /// Portable anymap: PBM, PGM, PPM, PAM.
    Pnm,
    /// Quite OK Image.
    Qoi,
    /// Truevision TGA.
    Tga,
    /// HEIF with HEVC: recognised, not decoded.
    Heic,
    /// AVIF: recognised, not decoded.
    Avif,
    /// JPEG XL: recognised, not decoded.
    JpegXl,
    /// SVG: recognised, not rendered.
    Svg,
    /// PDF: recognised, not rendered.
    Pdf,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Ico => "ICO",
            Self::Pnm => "PNM",
            Self::Qoi => "QOI",
            Self::Tga => "TGA",
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::JpegXl => "JPEG XL",
            Self::Svg => "SVG",
            Self::Pdf => "PDF",
        })
    }
}

/// One loss or oddity, said out loud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Warning {
    /// Which of the known losses.
    pub code: WarningCode,
    /// What happened, in words and numbers.
    pub detail: String,
    /// The variant that it concerns; none when it concerns them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The closed list of losses and oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WarningCode {
    /// Only the first of several frames was used.
    FramesDropped,
    /// Only the first of several pages, or the largest of an icon's pictures, was used.
    PagesDropped,
    /// Damaged input was rendered as far as it could be decoded.
    DamageAccepted,
    /// The embedded profile could not be used; sRGB was assumed.
    ProfileBroken,
    /// More than 8 bits a channel became 8.
    DepthReduced,
    /// Transparency was laid over the background, because the format has none.
    AlphaFlattened,
    /// The recipe's `max_side` made a rendition smaller than asked for.
    SideCapped,
    /// An optional variant was left out.
    VariantSkipped,
    /// Time or memory did not allow for a variant; another run makes it.
    VariantDeferred,
    /// The source's own bytes stand in for a rendition that would have been larger.
    OriginalKept,
    /// Metadata that should have been kept could not be read or written.
    MetadataDropped,
    /// Colors may lie outside of what sRGB can show: they were moved to the nearest that it can.
    GamutConverted,
    /// A gain map (Ultra HDR) was left behind: renditions show the picture's standard range.
    GainMapDropped,
    /// Content credentials (C2PA) were left behind: they vouch for the source's bytes, not for others.
    CredentialsRemoved,
    /// A point was given with the source that can't be read; the variants' own focus was used.
    FocusPointUnusable,
}

impl WarningCode {
    /// The bounded word for logs, metrics and JSON: the same as in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::FramesDropped => "frames-dropped",
            Self::PagesDropped => "pages-dropped",
            Self::DamageAccepted => "damage-accepted",
            Self::ProfileBroken => "profile-broken",
            Self::DepthReduced => "depth-reduced",
            Self::AlphaFlattened => "alpha-flattened",
            Self::SideCapped => "side-capped",
            Self::VariantSkipped => "variant-skipped",
            Self::VariantDeferred => "variant-deferred",
            Self::OriginalKept => "original-kept",
            Self::MetadataDropped => "metadata-dropped",
            Self::GamutConverted => "gamut-converted",
            Self::GainMapDropped => "gain-map-dropped",
            Self::CredentialsRemoved => "credentials-removed",
            Self::FocusPointUnusable => "focus-point-unusable",
        }
    }
}
