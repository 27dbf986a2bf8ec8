//! What to make, and the limits: `recipe.toml`, the same file for all three guises.

mod focus;

use std::collections::BTreeMap;
use std::fmt;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use focus::{Focus, FocusPoint};

use crate::image::WarningCode;
use crate::key::{KeyTemplate, Names};

/// The version of the recipe's layout that this engine reads.
pub const RECIPE_VERSION: u32 = 1;

/// The default recipe's text, comments included.
pub const DEFAULT_RECIPE: &str = include_str!("../../../recipe.toml");

/// The longest side that a JPEG can have, in pixels (ITU T.81 has 16-bit fields for both sides; libjpeg stops at 65,500).
pub const JPEG_MAX_SIDE: u32 = 65_500;
/// The longest side that an AVIF can have, in pixels (AV1 specification, 5.5.1: 16-bit fields; rav1e stops one earlier).
pub const AVIF_MAX_SIDE: u32 = 65_535;
/// The longest side that a WebP can have, in pixels (RFC 9649: 14-bit fields).
pub const WEBP_MAX_SIDE: u32 = 16_383;
/// The longest side that a PNG can have, in pixels (PNG specification, 11.2.2: 31-bit fields).
pub const PNG_MAX_SIDE: u32 = 0x7fff_ffff;

/// What to make from every source, and what to refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// The layout's version: 1.
    pub version: u32,
    /// The owner's own number, rising with every change: an older one never overwrites a newer one's work.
    #[serde(default = "one")]
    pub revision: u32,
    /// Losses that are not taken: a source that would meet one of them is rejected instead. It is asked
    /// when renditions are made; what is there already stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strict: Vec<WarningCode>,
    /// What is refused.
    #[serde(default)]
    pub limits: Limits,
    /// How the source is treated before any variant is made.
    #[serde(default)]
    pub source: Treatment,
    /// Where things go.
    #[serde(default)]
    pub output: Output,
    /// What is made, in this order.
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
}

/// What is refused, checked before any pixel is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Limits {
    /// The largest source, in bytes: a number, or text such as "64 MiB".
    #[serde(deserialize_with = "byte_size", serialize_with = "write_byte_size")]
    #[cfg_attr(feature = "schema", schemars(with = "ByteSizeText"))]
    pub input_bytes: u64,
    /// The most pixels to decode: width x height x frames.
    pub pixels: u64,
    /// The most frames; a source with more is treated as a still of its first one, with a warning.
    /// So is one whose frames together have more pixels than `pixels`.
    pub frames: u32,
    /// Sources above this many bytes are reported as large.
    #[serde(deserialize_with = "byte_size", serialize_with = "write_byte_size")]
    #[cfg_attr(feature = "schema", schemars(with = "ByteSizeText"))]
    pub large_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 64 << 20,
            pixels: 50_000_000,
            frames: 500,
            large_bytes: 10 << 20,
        }
    }
}

/// How the source is treated before any variant is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Treatment {
    /// The longest side of any rendition, in pixels; 0 for no cap.
    pub max_side: u32,
    /// Whether the EXIF orientation is applied.
    pub orientation: OrientationRule,
    /// What happens to colors.
    pub color: ColorRule,
    /// What happens to more than 8 bits a channel.
    #[serde(skip_serializing_if = "is_default")]
    pub depth: DepthRule,
    /// What happens to EXIF, XMP and the like.
    pub metadata: MetadataRule,
    /// The color behind transparency where a format has none, and around `contain`.
    pub background: Color,
    /// What happens to damaged sources.
    pub damaged: DamageRule,
    /// What becomes of a point that was given with the source.
    #[serde(skip_serializing_if = "is_default")]
    pub focus_point: FocusPointRule,
}

/// What becomes of a point that was given with the source, as `focus-point` in its store's metadata
/// ([`FOCUS_POINT`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FocusPointRule {
    /// Variants with `fit = "cover"` keep what is around it, whatever their `focus`.
    #[default]
    Use,
    /// Nobody looks for it.
    Ignore,
}

/// The name by which a store's metadata holds a source's [`FocusPoint`].
pub const FOCUS_POINT: &str = "focus-point";

/// Whether the EXIF orientation is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OrientationRule {
    /// The picture is turned as its EXIF says, and renditions carry no orientation.
    #[default]
    Apply,
    /// Pixels stay as they are stored.
    Ignore,
}

/// What happens to colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColorRule {
    /// Converted to sRGB by the embedded profile (relative colorimetric); renditions carry no profile.
    #[default]
    Srgb,
    /// Numbers stay as they are and the profile is embedded in every rendition. Inks (CMYK) become
    /// sRGB all the same, and so does every AVIF, whose encoder takes no profile.
    Keep,
}

/// What happens to more than 8 bits a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum DepthRule {
    /// They are scaled to 8, whatever the format, before anything else is done.
    #[default]
    #[serde(rename = "8-bit")]
    EightBit,
    /// 16 bits are kept from decoding to encoding, and stay in PNG; other formats get 8 bits at the
    /// end. Takes twice the memory, and twice the time for what isn't encoding.
    #[serde(rename = "keep")]
    Keep,
}

/// What happens to EXIF, XMP and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MetadataRule {
    /// Nothing is kept. The resolution is, where a format states it beside its size (JPEG, PNG).
    #[default]
    None,
    /// Artist, copyright and credit are kept, of EXIF, XMP and IPTC.
    Copyright,
    /// All but places is kept: no GPS, no city or country of XMP and IPTC, and nothing that could
    /// hide one (maker notes, unknown fields, properties of unknown XMP namespaces).
    NoLocation,
    /// All EXIF, XMP and IPTC is kept but embedded thumbnails and what no longer holds: orientation is
    /// dropped once applied, pixel dimensions become the rendition's. Maker notes pass as they are, small
    /// pictures in them included. Comments, and whatever else programs put beside a picture, are never
    /// carried; nor is what a TIFF or GIF has beside EXIF.
    Keep,
}

/// What happens to damaged sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DamageRule {
    /// Rejected as corrupt or truncated.
    #[default]
    Reject,
    /// Rendered as far as the decoder gets (JPEG, PNG, and the whole frames of an animation), with a
    /// warning.
    Accept,
}

/// Where things go: templates over the source's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Output {
    /// The renditions' keys.
    pub key: KeyTemplate,
    /// The manifest's key; only `{path}`, `{dir}` and `{stem}` have a meaning here.
    pub manifest: KeyTemplate,
    /// The failure record's key; the same tokens.
    pub failed: KeyTemplate,
}

impl Default for Output {
    /// One folder per source, with its manifest in it.
    fn default() -> Self {
        let template = |text: &str| text.parse().expect("a good template");
        Self {
            key: template("{path}/{variant}.{ext}"),
            manifest: template("{path}/manifest.json"),
            failed: template("failed/{path}.json"),
        }
    }
}

impl Output {
    /// One file per source beside its siblings, manifests out of sight under `.pixmill/`.
    pub fn flat() -> Self {
        let template = |text: &str| text.parse().expect("a good template");
        Self {
            key: template("{dir}{stem}.{ext}"),
            manifest: template(".pixmill/manifests/{path}.json"),
            failed: template(".pixmill/failed/{path}.json"),
        }
    }

    /// The manifest's key for `source`.
    pub fn manifest_key(&self, source: &str) -> String {
        self.manifest.expand(source, &Names::default())
    }

    /// The failure record's key for `source`.
    pub fn failed_key(&self, source: &str) -> String {
        self.failed.expand(source, &Names::default())
    }
}

/// One thing to make from every source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own in the file"
)]
pub struct Variant {
    /// Its name: lower-case letters, digits, `-` and `_`, at most 64.
    #[serde(deserialize_with = "variant_name")]
    pub name: String,
    /// What it is encoded as.
    pub format: OutputFormat,
    /// The encoder's quality, 1 to 100. JPEG, lossy WebP and AVIF only; 80 when left out. Each
    /// encoder has its own scale.
    #[serde(
        default,
        deserialize_with = "quality",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub quality: Option<u8>,
    /// Whether a WebP keeps every pixel as it is. PNG always does, JPEG never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lossless: bool,
    /// Speed against size; see [`Effort`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub effort: Effort,
    /// Whether a JPEG shows itself coarse at first and then finer; left out: with `effort = "best"`.
    /// Some 2 % smaller than with optimised tables alone, for twice the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressive: Option<bool>,
    /// How many color samples a JPEG stores; see [`Chroma`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub subsampling: Chroma,
    /// A WebP that is coded as lossless ones are, after values were changed a little so that this
    /// takes fewer bytes: 0 (most is changed) to 100 (nothing is). In place of `quality` and `lossless`.
    /// On photos half of a lossless one's size, for three times its time.
    #[serde(
        default,
        deserialize_with = "near_lossless",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(max = 100)))]
    pub near_lossless: Option<u8>,
    /// Whether a WebP keeps the colors of pixels that are fully transparent; left out: if it is
    /// `lossless`. Costs bytes that nobody sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
    /// Whether a lossy WebP, which stores colors at half the width and height, halves them with care
    /// for sharp edges: less bleeding in drawings and red text, for half as much time again, a tenth more
    /// bytes and more memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sharp_yuv: bool,
    /// The width of the box to fit, in pixels; left out: no bound.
    #[serde(
        default,
        deserialize_with = "side",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub width: Option<u32>,
    /// Several widths in place of one, in pixels: the variant stands for as many, called by its name
    /// and the width (`hero-640`). None is enlarged; one that would be less than 10 % wider than the
    /// next smaller one is left out, with the reason in the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widths: Vec<u32>,
    /// The height of the box to fit, in pixels; left out: no bound.
    #[serde(
        default,
        deserialize_with = "side",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub height: Option<u32>,
    /// How the picture meets the box.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fit: Fit,
    /// What becomes of animations (GIF, WebP, PNG); see [`Animation`]. Left out: `keep` for WebP,
    /// `first-frame` for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub animation: Option<Animation>,
    /// Which part `cover` keeps, and where `contain` puts the picture. A point given with the source
    /// goes first: see [`Treatment::focus_point`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub focus: Focus,
    /// Whether a picture smaller than the box is enlarged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enlarge: bool,
    /// What happens when the rendition would have more bytes than the source.
    #[serde(default, skip_serializing_if = "is_default")]
    pub if_larger: IfLarger,
    /// The `Cache-Control` header for stores that serve what they hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Whether a source without this rendition is rejected. An optional variant that a source
    /// can't have (a side too long for its format) is left out, with the reason in the manifest.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub required: bool,
}

/// What a variant is encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OutputFormat {
    /// AVIF, by rav1e: 10 bits, 4:4:4, sRGB. Only where the cargo feature `avif` is on, as in the
    /// `pixmill` command and the function. By far the slowest; see [`Effort`].
    Avif,
    /// JPEG, by libjpeg-turbo; see [`Chroma`] for its colors.
    Jpeg,
    /// PNG: always lossless. Few colors become a palette, gray tones gray, an opaque picture has no alpha.
    Png,
    /// WebP, by libwebp.
    Webp,
}

impl OutputFormat {
    /// The usual extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Avif => "image/avif",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// The longest side that the format can hold, in pixels.
    pub fn max_side(self) -> u32 {
        match self {
            Self::Avif => AVIF_MAX_SIDE,
            Self::Jpeg => JPEG_MAX_SIDE,
            Self::Png => PNG_MAX_SIDE,
            Self::Webp => WEBP_MAX_SIDE,
        }
    }

    /// Whether 16 bits a channel are written where the recipe keeps them.
    pub fn has_depth(self) -> bool {
        self == Self::Png
    }

    /// Whether the format holds transparency.
    pub fn has_alpha(self) -> bool {
        self != Self::Jpeg
    }

    /// Whether animations are written in this format.
    pub fn has_frames(self) -> bool {
        matches!(self, Self::Png | Self::Webp)
    }
}

/// Speed against size.
///
/// | effort | JPEG | WebP | AVIF | PNG | PNG of few colors |
/// | --- | --- | --- | --- | --- | --- |
/// | `fast` | standard Huffman tables | method 2 | speed 9 | fast deflate, one filter | zlib at 1, no filter |
/// | `balanced` | optimised Huffman tables | method 4 | speed 6 | fast deflate, adaptive filters | zlib at 6, no filter |
/// | `best` | progressive, optimised tables | method 6 | speed 3 | zlib at 9, adaptive filters | zlib at 9, no filter |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effort {
    /// Least processor time.
    Fast,
    /// What most people want.
    #[default]
    Balanced,
    /// Fewest bytes, whatever the time.
    Best,
}

/// How many color samples a JPEG stores for each of brightness. Fewer are smaller and faster (a photo at
/// quality 80 takes 40 % more bytes and nearly twice the time in 4:4:4 than in 4:2:0, and 14 % more in
/// 4:2:2); what is lost shows at sharp edges between colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Chroma {
    /// 4:2:0 below quality 90, 4:4:4 from there on.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// As many.
    #[serde(rename = "4:4:4")]
    Full,
    /// Half as many to each side.
    #[serde(rename = "4:2:2")]
    HalfWidth,
    /// Half as many to each side and downwards.
    #[serde(rename = "4:2:0")]
    Quarter,
}

/// What becomes of an animation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Animation {
    /// Every frame is kept, with its delay, and played as often as in the source: an animated WebP, or
    /// an animated PNG. Costs the time of a still for each frame. Beyond `limits.frames`, or when all
    /// frames together have more pixels than `limits.pixels`, it is the first frame after all.
    Keep,
    /// The rendition is a still of the first frame (of a PNG's own still picture, where that is not
    /// part of the animation), with a warning.
    FirstFrame,
}

/// How the picture meets the box of `width` and `height`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fit {
    /// As large as fits in the box, proportions kept.
    #[default]
    Inside,
    /// As small as covers the box, proportions kept.
    Outside,
    /// Fills the box, proportions kept, what sticks out is cut off.
    Cover,
    /// As large as fits in the box, proportions kept, the rest filled with the background.
    Contain,
    /// Exactly the box, proportions given up.
    Fill,
}

/// What happens when a rendition would have more bytes than the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum IfLarger {
    /// It is written all the same.
    #[default]
    Write,
    /// It is left out, and the manifest says so.
    Skip,
    /// The source's own bytes are stored under the promised key, and the manifest says what they
    /// are. Only where they could stand in for it: nothing was to be turned, resized, converted
    /// or stripped.
    Original,
}

/// A color: 8 bits each of red, green, blue and alpha, written `#rgb`, `#rrggbb` or `#rrggbbaa`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Color(pub [u8; 4]);

impl Default for Color {
    /// White.
    fn default() -> Self {
        Self([255; 4])
    }
}

impl Color {
    /// Red, green and blue.
    pub fn rgb(self) -> [u8; 3] {
        [self.0[0], self.0[1], self.0[2]]
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue, alpha] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")?;
        if alpha == 255 {
            Ok(())
        } else {
            write!(f, "{alpha:02x}")
        }
    }
}

impl fmt::Debug for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no color; write #rgb, #rrggbb or #rrggbbaa");
        let digits = text.strip_prefix('#').ok_or_else(refuse)?;
        let long = match digits.len() {
            3 => digits
                .chars()
                .flat_map(|c| [c, c])
                .chain(['f', 'f'])
                .collect(),
            6 => format!("{digits}ff"),
            _ => digits.to_owned(),
        };
        let mut color = [0; 4];
        hex::decode_to_slice(long, &mut color).map_err(|_| refuse())?;
        Ok(Self(color))
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Color {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Color".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"
        })
    }
}

/// Why a text is no recipe, with the place and, for a misspelt name, what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    message: String,
    place: Option<(usize, usize)>,
    suggestion: Option<String>,
}

impl RecipeError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            suggestion: None,
        }
    }

    /// The line, from 1, when the trouble has one.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|(line, _)| line)
    }

    /// The name that was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().map(|span| {
            let before = &text[..text.floor_char_boundary(span.start)];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            (line, before[line_start..].chars().count() + 1)
        });
        Self {
            message: error.message().trim_end().to_owned(),
            place,
            suggestion: suggest(error.message()),
        }
    }
}

/// serde names the unknown word first and the known ones after it, each between backticks.
fn suggest(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    words
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .min()
        .map(|(_, known)| known.to_owned())
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RecipeError {}

impl Recipe {
    /// Reads and checks a recipe. Fails with the line of what is wrong and, for an unknown name,
    /// a suggestion.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        let mut recipe: Self =
            toml::from_str(text).map_err(|error| RecipeError::from_toml(text, &error))?;
        let variants = recipe.variants.into_iter();
        recipe.variants = variants.flat_map(Variant::of_each_width).collect();
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe that is used when none is given: five variants of every source.
    pub fn default_recipe() -> Self {
        Self::from_toml(DEFAULT_RECIPE).expect("the embedded recipe is checked by a test")
    }

    /// A recipe for one rendition per source, at `{dir}{stem}.{ext}`, with no cap on its size and
    /// its manifests under `.pixmill/`. Fails as [`Recipe::check`] does.
    pub fn single(variant: Variant) -> Result<Self, RecipeError> {
        let recipe = Self {
            strict: Vec::new(),
            version: RECIPE_VERSION,
            revision: 1,
            limits: Limits::default(),
            source: Treatment::default(),
            output: Output::flat(),
            variants: vec![variant],
        };
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe as TOML text; read again, it is the same recipe.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe holds nothing that TOML cannot say")
    }

    /// What the parser alone can't see: names used twice, settings that contradict each other.
    pub fn check(&self) -> Result<(), RecipeError> {
        if self.version != RECIPE_VERSION {
            return Err(RecipeError::new(format!(
                "version = {} is not known here; this engine reads version {RECIPE_VERSION}",
                self.version
            )));
        }
        if self.variants.is_empty() {
            return Err(RecipeError::new(
                "there is no variant, so nothing would be made; add a [[variant]]",
            ));
        }
        for (at, variant) in self.variants.iter().enumerate() {
            variant
                .check()
                .map_err(|why| RecipeError::new(format!("variant {:?}: {why}", variant.name)))?;
            if self.variants[..at].iter().any(|v| v.name == variant.name) {
                return Err(RecipeError::new(format!(
                    "there are two variants called {:?}; rename one",
                    variant.name
                )));
            }
        }
        self.check_output()
    }

    fn check_output(&self) -> Result<(), RecipeError> {
        let output = &self.output;
        if !output.key.names_the_variant() && self.variants.len() > 1 {
            let mut formats: Vec<_> = self.variants.iter().map(|v| v.format.extension()).collect();
            formats.sort_unstable();
            formats.dedup();
            if !output.key.names_the_extension() || formats.len() < self.variants.len() {
                return Err(RecipeError::new(format!(
                    "output.key = {:?} gives several variants one key; put {{variant}} into it",
                    output.key.to_string()
                )));
            }
        }
        for (field, template) in [("manifest", &output.manifest), ("failed", &output.failed)] {
            if !template.keeps_sources_apart() {
                return Err(RecipeError::new(format!(
                    "output.{field} = {:?} could give two sources one key; use {{path}} in it, as in {:?}",
                    template.to_string(),
                    "{path}/manifest.json"
                )));
            }
            if !template.is_known_early()
                || template.names_the_variant()
                || template.names_the_extension()
            {
                return Err(RecipeError::new(format!(
                    "output.{field} = {:?} speaks of a whole source, so it can only use {{path}}, {{dir}} and {{stem}}",
                    template.to_string()
                )));
            }
        }
        let probe = "s";
        let mut keys = vec![output.manifest_key(probe), output.failed_key(probe)];
        keys.extend(
            self.variants
                .iter()
                .map(|v| self.key(v, probe, (1, 1), "0")),
        );
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(RecipeError::new(format!(
                "two of the output templates give the same key ({:?} for a source {probe:?}); tell them apart",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    /// Fails unless the rendition keys of different sources can never meet: needed wherever
    /// sources come one by one (events), so that no plan can look for real collisions.
    pub fn check_for_events(&self) -> Result<(), RecipeError> {
        if self.output.key.keeps_sources_apart() {
            return Ok(());
        }
        Err(RecipeError::new(format!(
            "output.key = {:?} could give two sources one key; use the whole {{path}}, as in {:?}",
            self.output.key.to_string(),
            "{path}/{variant}.{ext}"
        )))
    }

    /// The key of `variant`'s rendition of `source`, given the rendition's size in pixels and the
    /// SHA-256 of its bytes in hexadecimal (used only by templates that ask for them).
    pub fn key(&self, variant: &Variant, source: &str, size: (u32, u32), sha256: &str) -> String {
        let names = Names {
            variant: &variant.name,
            ext: variant.format.extension(),
            width: size.0,
            height: size.1,
            sha256,
        };
        self.output.key.expand(source, &names)
    }

    /// The keys of all renditions of `source`, in the recipe's order, when they are known before
    /// rendering (the template asks for no width, height or hash).
    pub fn early_keys(&self, source: &str) -> Option<Vec<String>> {
        self.output.key.is_known_early().then(|| {
            let keys = self
                .variants
                .iter()
                .map(|v| self.key(v, source, (0, 0), ""));
            keys.collect()
        })
    }

    /// SHA-256, in hexadecimal, over every setting that `variant`'s bytes, key or headers depend
    /// on; not over its siblings, so that changing one variant remakes one.
    pub fn variant_digest(&self, variant: &Variant) -> String {
        #[derive(Serialize)]
        struct DependsOn<'a> {
            source: &'a Treatment,
            key: &'a KeyTemplate,
            variant: Variant,
            #[serde(skip_serializing_if = "Option::is_none")]
            frames: Option<(u64, u32)>,
        }
        // These limits decide how much of an animation is kept; the usual ones go without saying.
        let (limits, usual) = (&self.limits, Limits::default());
        let frames = (limits.pixels, limits.frames);
        let unusual = frames != (usual.pixels, usual.frames);
        let depends_on = DependsOn {
            source: &self.source,
            key: &self.output.key,
            // Whether it may be left out changes no byte of what is made.
            variant: Variant {
                required: true,
                ..variant.clone()
            },
            frames: (variant.keeps_animation() && unusual).then_some(frames),
        };
        let json = serde_json::to_vec(&depends_on).expect("settings are plain values");
        hex::encode(Sha256::digest(json))
    }
}

impl Recipe {
    /// Whether anything in this recipe depends on a point given with the source.
    pub(crate) fn takes_focus_points(&self) -> bool {
        self.source.focus_point == FocusPointRule::Use
            && self.variants.iter().any(|v| v.fit == Fit::Cover)
    }

    /// The point that was given with a source, if this recipe can use it; the error says why a text
    /// is none.
    pub(crate) fn focus_point(
        &self,
        metadata: &BTreeMap<String, String>,
    ) -> Option<Result<FocusPoint, String>> {
        let text = metadata.get(FOCUS_POINT)?;
        self.takes_focus_points().then(|| text.parse())
    }

    /// The recipe for a source with this point.
    pub(crate) fn around(&self, point: FocusPoint) -> Self {
        let mut recipe = self.clone();
        for variant in &mut recipe.variants {
            variant.turn_to(point);
        }
        recipe
    }

    /// SHA-256, in hexadecimal, over everything that decides whether a source is accepted and what
    /// is made of it.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&self.limits).expect("limits are plain values"));
        for variant in &self.variants {
            hash.update(self.variant_digest(variant));
            hash.update([u8::from(variant.required)]);
        }
        for code in &self.strict {
            hash.update(code.word());
        }
        hex::encode(hash.finalize())
    }
}

/// The most widths that one variant can stand for.
const MAX_WIDTHS: usize = 16;

/// Quality when a recipe names none.
pub const DEFAULT_QUALITY: u8 = 80;

impl Variant {
    /// A point that was given with the source wins over the focus, where the picture is cropped.
    pub(crate) fn turn_to(&mut self, point: FocusPoint) {
        if self.fit == Fit::Cover {
            self.focus = Focus::Point(point);
        }
    }

    /// A variant with everything else at its default. [`Recipe::check`] checks the name.
    pub fn new(name: impl Into<String>, format: OutputFormat) -> Self {
        Self {
            name: name.into(),
            format,
            quality: None,
            lossless: false,
            effort: Effort::default(),
            progressive: None,
            subsampling: Chroma::default(),
            near_lossless: None,
            exact: None,
            sharp_yuv: false,
            width: None,
            widths: Vec::new(),
            height: None,
            fit: Fit::default(),
            animation: None,
            focus: Focus::default(),
            enlarge: false,
            if_larger: IfLarger::default(),
            cache_control: None,
            required: true,
        }
    }

    /// The quality to encode with, 1 to 100; none where the rendition is lossless or nearly so.
    pub fn encoder_quality(&self) -> Option<u8> {
        let lossless =
            self.lossless || self.near_lossless.is_some() || self.format == OutputFormat::Png;
        (!lossless).then(|| self.quality.unwrap_or(DEFAULT_QUALITY))
    }

    /// Whether a JPEG is written progressive.
    pub fn is_progressive(&self) -> bool {
        self.progressive.unwrap_or(self.effort == Effort::Best)
    }

    /// Settings that mean nothing to this format or to each other.
    fn check_encoding(&self) -> Result<(), String> {
        let (jpeg, webp) = (OutputFormat::Jpeg, OutputFormat::Webp);
        for (is_set, name, format) in [
            (self.progressive.is_some(), "progressive", jpeg),
            (self.subsampling != Chroma::Auto, "subsampling", jpeg),
            (self.near_lossless.is_some(), "near_lossless", webp),
            (self.exact.is_some(), "exact", webp),
            (self.sharp_yuv, "sharp_yuv", webp),
        ] {
            if is_set && self.format != format {
                return Err(format!(
                    "{name} is for {} only, and this is {}; leave it out",
                    format.extension(),
                    self.format.extension()
                ));
            }
        }
        match self.format {
            OutputFormat::Jpeg if self.lossless => {
                return Err("a JPEG can't be lossless; use format = \"webp\" or \"png\"".to_owned());
            }
            OutputFormat::Avif if self.lossless => {
                return Err(
                    "an AVIF isn't written lossless here; use format = \"webp\" or \"png\""
                        .to_owned(),
                );
            }
            _ => {}
        }
        if self.near_lossless.is_some_and(|level| level > 100) {
            return Err("near_lossless goes from 0 to 100".to_owned());
        }
        if self.near_lossless.is_some() && self.lossless {
            return Err("lossless and near_lossless exclude each other; leave one out".to_owned());
        }
        if self.encoder_quality().is_none() {
            if self.quality.is_some() {
                return Err("it is lossless, so quality has no meaning; leave it out".to_owned());
            }
            if self.sharp_yuv {
                return Err("it is lossless, so sharp_yuv has no meaning; leave it out".to_owned());
            }
        }
        Ok(())
    }

    /// The variants that a list of widths stands for, from the smallest; others stand for themselves.
    fn of_each_width(self) -> Vec<Self> {
        if self.widths.is_empty() || self.width.is_some() {
            return vec![self];
        }
        let mut widths = self.widths.clone();
        widths.sort_unstable();
        widths.dedup();
        let each = widths.iter().map(|width| Self {
            name: format!("{}-{width}", self.name),
            width: Some(*width),
            widths: widths.clone(),
            ..self.clone()
        });
        each.collect()
    }

    /// Whether a source can lack this rendition for good and yet be complete.
    pub(crate) fn may_be_left_out(&self) -> bool {
        !self.required || self.if_larger == IfLarger::Skip || !self.widths.is_empty()
    }

    fn check_widths(&self) -> Result<(), String> {
        if self.widths.is_empty() {
            return Ok(());
        }
        let written = self.width.is_some_and(|width| {
            self.widths.contains(&width) && self.name.ends_with(&format!("-{width}"))
        });
        if !written {
            return Err("widths stands in place of width; leave width out".to_owned());
        }
        if self.widths.contains(&0) || self.widths.len() > MAX_WIDTHS {
            return Err(format!("widths takes up to {MAX_WIDTHS} numbers from 1 on"));
        }
        if self.fit != Fit::Inside || self.height.is_some() || self.enlarge {
            return Err("widths goes with fit = \"inside\", without height and enlarge".to_owned());
        }
        Ok(())
    }

    /// Whether animations stay animations.
    pub fn keeps_animation(&self) -> bool {
        match self.animation {
            Some(rule) => rule == Animation::Keep,
            None => self.format == OutputFormat::Webp,
        }
    }

    fn check(&self) -> Result<(), String> {
        check_variant_name(&self.name)?;
        if self.quality.is_some_and(|q| !(1..=100).contains(&q)) {
            return Err("quality goes from 1 to 100".to_owned());
        }
        if self.width == Some(0) || self.height == Some(0) {
            return Err("width and height begin at 1; leave one out for no bound".to_owned());
        }
        self.check_widths()?;
        let both = self.width.is_some() && self.height.is_some();
        if !both && matches!(self.fit, Fit::Cover | Fit::Contain | Fit::Fill) {
            return Err(format!(
                "fit = {:?} needs both width and height",
                format!("{:?}", self.fit).to_lowercase()
            ));
        }
        self.check_encoding()?;
        if self.animation == Some(Animation::Keep) && !self.format.has_frames() {
            return Err(format!(
                "no animation is written as {}; use format = \"webp\" or \"png\", or animation = \"first-frame\"",
                self.format.extension()
            ));
        }
        let longest = self.width.max(self.height).unwrap_or(0);
        if longest > self.format.max_side() {
            return Err(format!(
                "a side of {longest} pixels, but {} holds at most {}",
                self.format.extension(),
                self.format.max_side()
            ));
        }
        if let Some(value) = &self.cache_control
            && (value.is_empty() || !value.chars().all(|c| matches!(c, ' '..='~')))
        {
            return Err("cache_control is an HTTP header: printable ASCII, not empty".to_owned());
        }
        Ok(())
    }
}

fn check_variant_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        return Err(format!(
            "{name:?} is no variant name; use 1 to 64 lower-case letters, digits, `-` and `_`"
        ));
    }
    Ok(())
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn variant_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_variant_name(&name).map_err(serde::de::Error::custom)?;
    Ok(name)
}

fn quality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    match i64::deserialize(deserializer)? {
        q @ 1..=100 => Ok(u8::try_from(q).ok()),
        q => Err(serde::de::Error::custom(format!(
            "quality = {q}: quality goes from 1 (smallest file) to 100 (best picture)"
        ))),
    }
}

fn near_lossless<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    match i64::deserialize(deserializer)? {
        level @ 0..=100 => Ok(u8::try_from(level).ok()),
        level => Err(serde::de::Error::custom(format!(
            "near_lossless = {level}: it goes from 0 (most is changed) to 100 (nothing is)"
        ))),
    }
}

fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let side = i64::deserialize(deserializer)?;
    match u32::try_from(side) {
        Ok(side) if side > 0 => Ok(Some(side)),
        _ => Err(serde::de::Error::custom(format!(
            "{side} is no number of pixels; sides begin at 1, leave it out for no bound"
        ))),
    }
}

/// Stands for both ways of writing a byte size in the JSON Schema.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged, rename = "ByteSize")]
#[expect(dead_code, reason = "only its shape is used, by the schema")]
enum ByteSizeText {
    /// A number of bytes.
    Bytes(u64),
    /// A number with a unit, such as "64 MiB" (1,048,576 bytes each) or "64 MB" (1,000,000 bytes each).
    Text(String),
}

fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of bytes, or text such as \"64 MiB\"")
        }

        fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<u64, E> {
            Ok(bytes)
        }

        fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::custom("a size can't be negative"))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            let size: ByteSize = text
                .parse()
                .map_err(|_| E::custom(format!("{text:?} is no size; write \"64 MiB\"")))?;
            Ok(size.as_u64())
        }
    }
    deserializer.deserialize_any(Visitor)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn write_byte_size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let whole = |shift: u32, unit: &str| {
        (*bytes > 0 && bytes.trailing_zeros() >= shift)
            .then(|| format!("{} {unit}", bytes >> shift))
    };
    match whole(30, "GiB")
        .or_else(|| whole(20, "MiB"))
        .or_else(|| whole(10, "KiB"))
    {
        Some(text) => serializer.serialize_str(&text),
        None => serializer.serialize_u64(*bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipe with `rest` after its version: line 1 is the version, `rest` begins on line 2.
    fn read(rest: &str) -> Result<Recipe, RecipeError> {
        Recipe::from_toml(&format!("version = 1\n{rest}"))
    }

    /// One variant with `settings`, which begin on line 5.
    fn variant(settings: &str) -> Result<Variant, RecipeError> {
        let recipe = read(&format!(
            "[[variant]]\nname = \"a\"\nformat = \"webp\"\n{settings}"
        ))?;
        Ok(recipe.variants.into_iter().next().expect("it has one"))
    }

    /// A recipe with one PNG and `rest` before it.
    fn around(rest: &str) -> Result<Recipe, RecipeError> {
        read(&format!(
            "{rest}\n[[variant]]\nname = \"a\"\nformat = \"png\"\n"
        ))
    }

    #[track_caller]
    fn refused<T: fmt::Debug>(result: Result<T, RecipeError>, words: &str) -> RecipeError {
        let error = result.expect_err("it should be refused");
        assert!(error.to_string().contains(words), "{error}");
        error
    }

    fn digests(recipe: &Recipe) -> Vec<String> {
        let variants = recipe.variants.iter();
        variants.map(|v| recipe.variant_digest(v)).collect()
    }

    #[test]
    fn the_default_recipe_makes_five_variants_with_these_qualities() {
        let recipe = Recipe::default_recipe();
        let made: Vec<_> = recipe
            .variants
            .iter()
            .map(|v| (v.name.as_str(), v.format, v.quality, v.width, v.height))
            .collect();
        assert_eq!(
            made,
            [
                ("compressed", OutputFormat::Jpeg, Some(85), None, None),
                ("low", OutputFormat::Jpeg, Some(60), None, None),
                ("webp", OutputFormat::Webp, Some(85), None, None),
                ("png", OutputFormat::Png, None, None, None),
                (
                    "thumbnail",
                    OutputFormat::Jpeg,
                    Some(80),
                    Some(300),
                    Some(300)
                ),
            ]
        );
        assert!(recipe.variants.iter().all(|v| v.required && !v.enlarge));
        assert_eq!((recipe.version, recipe.revision), (RECIPE_VERSION, 1));
        assert_eq!(recipe.check_for_events(), Ok(()));
    }

    #[test]
    fn the_default_recipe_says_what_holds_when_nothing_is_said() {
        let recipe = Recipe::default_recipe();
        assert_eq!(recipe.limits, Limits::default());
        assert_eq!(recipe.output, Output::default());
        // The cap alone is a choice of this recipe.
        let uncapped = Treatment {
            max_side: 0,
            ..recipe.source.clone()
        };
        assert_eq!(
            (uncapped, recipe.source.max_side),
            (Treatment::default(), 4096)
        );
    }

    #[test]
    fn a_misspelt_setting_is_refused_with_its_line_and_what_was_meant() {
        let error = refused(variant("qualty = 80\n"), "did you mean `quality`?");
        assert_eq!(
            (error.line(), error.suggestion()),
            (Some(5), Some("quality"))
        );
        assert!(
            error.to_string().starts_with("line 5, column 1: "),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_table_is_refused_with_what_was_meant() {
        let error = refused(
            read("[[variants]]\nname = \"a\"\nformat = \"png\"\n"),
            "variants",
        );
        assert_eq!(
            (error.line(), error.suggestion()),
            (Some(2), Some("variant"))
        );
        let error = refused(around("[limit]\npixels = 1"), "limit");
        assert_eq!(
            (error.line(), error.suggestion()),
            (Some(2), Some("limits"))
        );
    }

    #[test]
    fn a_misspelt_value_is_refused_with_what_was_meant() {
        let error = refused(variant("fit = \"insde\"\n"), "insde");
        assert_eq!(
            (error.line(), error.suggestion()),
            (Some(5), Some("inside"))
        );
    }

    #[test]
    fn a_word_that_resembles_nothing_known_gets_no_suggestion() {
        let error = refused(variant("watermark = true\n"), "watermark");
        assert_eq!((error.line(), error.suggestion()), (Some(5), None));
    }

    #[test]
    fn every_setting_survives_being_written_and_read_again() {
        let text = r##"
            version = 1
            revision = 7
            [limits]
            input_bytes = "3 KiB"
            pixels = 12
            frames = 3
            large_bytes = 1001
            [source]
            max_side = 9
            orientation = "ignore"
            color = "keep"
            metadata = "no-location"
            depth = "keep"
            background = "#01020304"
            damaged = "accept"
            [output]
            key = "a/{path}/{variant}-{width}x{height}-{hash}.{ext}"
            manifest = "b/{path}.json"
            failed = "c/{path}.json"
            [[variant]]
            name = "all"
            format = "webp"
            quality = 33
            effort = "best"
            exact = true
            sharp_yuv = true
            width = 10
            height = 20
            fit = "cover"
            focus = "bottom-right"
            enlarge = true
            if_larger = "skip"
            cache_control = "max-age=60"
            required = false
            [[variant]]
            name = "exact"
            format = "webp"
            lossless = true
            [[variant]]
            name = "near"
            format = "webp"
            near_lossless = 0
            [[variant]]
            name = "jpeg"
            format = "jpeg"
            progressive = false
            subsampling = "4:2:2"
        "##;
        let recipe = Recipe::from_toml(text).expect("a good recipe");
        // Nothing of it is at its default, so that nothing passes by being left out.
        let usual = Variant::new("all", OutputFormat::Webp);
        let all = &recipe.variants[0];
        assert_eq!((recipe.revision, all.quality), (7, Some(33)));
        assert_ne!(
            (all.effort, all.fit, all.focus),
            (usual.effort, usual.fit, usual.focus)
        );
        assert_ne!((all.enlarge, all.required), (usual.enlarge, usual.required));
        assert_ne!(all.if_larger, usual.if_larger);
        assert!(recipe.variants[1].lossless);
        assert_eq!((all.exact, all.sharp_yuv), (Some(true), true));
        assert_eq!(recipe.variants[2].near_lossless, Some(0));
        assert_eq!(recipe.variants[3].progressive, Some(false));
        assert_eq!(recipe.variants[3].subsampling, Chroma::HalfWidth);
        assert_eq!(recipe.source.depth, DepthRule::Keep);
        assert_eq!(
            (recipe.limits.input_bytes, recipe.limits.large_bytes),
            (3072, 1001)
        );

        let written = recipe.to_toml();
        assert_eq!(
            Recipe::from_toml(&written).as_ref(),
            Ok(&recipe),
            "{written}"
        );
        let default = Recipe::default_recipe();
        assert_eq!(Recipe::from_toml(&default.to_toml()), Ok(default));
    }

    #[test]
    fn a_quality_outside_1_to_100_is_refused_with_its_line() {
        for quality in ["0", "101", "-1", "1000"] {
            let error = refused(variant(&format!("quality = {quality}\n")), quality);
            assert_eq!(error.line(), Some(5), "{error}");
        }
        for quality in [1, 100] {
            let made = variant(&format!("quality = {quality}\n")).expect("a good quality");
            assert_eq!(made.encoder_quality(), Some(quality));
        }
        // Built in code, there is no line, and it is refused all the same.
        let mut wrong = Variant::new("a", OutputFormat::Jpeg);
        wrong.quality = Some(101);
        assert_eq!(refused(Recipe::single(wrong), "1 to 100").line(), None);
    }

    #[test]
    fn quality_has_a_meaning_only_where_something_is_lost() {
        assert_eq!(
            variant("").map(|v| v.encoder_quality()),
            Ok(Some(DEFAULT_QUALITY))
        );
        assert_eq!(
            variant("lossless = true").map(|v| v.encoder_quality()),
            Ok(None)
        );
        refused(variant("lossless = true\nquality = 80"), "no meaning");
        let mut png = Variant::new("a", OutputFormat::Png);
        assert_eq!(png.encoder_quality(), None);
        png.quality = Some(80);
        refused(Recipe::single(png), "no meaning");
    }

    #[test]
    fn a_side_of_no_pixels_is_refused_with_its_line() {
        for side in ["width = 0", "height = -3", "width = 4294967296"] {
            assert_eq!(refused(variant(side), "pixels").line(), Some(5), "{side}");
        }
    }

    #[test]
    fn a_side_beyond_what_the_format_holds_is_refused() {
        refused(variant("width = 16384"), "holds at most 16383");
        assert_eq!(variant("width = 16383").map(|v| v.width), Ok(Some(16_383)));
    }

    #[test]
    fn two_variants_of_one_name_are_refused() {
        let twice = "[[variant]]\nname = \"a\"\nformat = \"png\"\n".repeat(2);
        refused(read(&twice), "two variants called \"a\"");
    }

    #[test]
    fn a_name_that_would_be_trouble_in_a_key_is_refused() {
        for name in ["", "A", "a b", "a/b", "..", "\u{e4}", &"a".repeat(65)] {
            let text = format!("[[variant]]\nname = \"{name}\"\nformat = \"png\"\n");
            assert_eq!(refused(read(&text), "no variant name").line(), Some(3));
        }
        assert!(Recipe::single(Variant::new("a".repeat(64), OutputFormat::Png)).is_ok());
    }

    #[test]
    fn a_lossless_jpeg_is_refused() {
        let text = "[[variant]]\nname = \"a\"\nformat = \"jpeg\"\nlossless = true\n";
        refused(read(text), "a JPEG can't be lossless");
    }

    #[test]
    fn a_setting_that_its_format_does_not_know_is_refused_by_name() {
        for (setting, format) in [
            ("progressive = true", "webp"),
            ("subsampling = \"4:4:4\"", "png"),
            ("near_lossless = 60", "jpeg"),
            ("exact = true", "avif"),
            ("sharp_yuv = true", "jpeg"),
        ] {
            let text = format!("[[variant]]\nname = \"a\"\nformat = \"{format}\"\n{setting}\n");
            let name = setting.split(' ').next().unwrap_or_default();
            refused(read(&text), &format!("{name} is for "));
        }
        let avif = "[[variant]]\nname = \"a\"\nformat = \"avif\"\nlossless = true\n";
        refused(read(avif), "isn't written lossless");
        refused(
            variant("near_lossless = 60\nlossless = true"),
            "exclude each other",
        );
        refused(variant("near_lossless = 60\nquality = 60"), "no meaning");
        refused(variant("lossless = true\nsharp_yuv = true"), "no meaning");
        assert_eq!(
            refused(variant("near_lossless = 101"), "0 (most").line(),
            Some(5)
        );
        refused(variant("subsampling = \"4:1:0\""), "4:1:0");
    }

    #[test]
    fn settings_at_their_defaults_leave_digests_as_they_were_before_there_were_such_settings() {
        let recipe = Recipe::default_recipe();
        let json = serde_json::to_string(&recipe.variants[2]).expect("plain values");
        assert_eq!(json, r#"{"name":"webp","format":"webp","quality":85}"#);
        let json = serde_json::to_string(&recipe.source).expect("plain values");
        assert!(!json.contains("depth"), "{json}");
    }

    #[test]
    fn a_fit_that_needs_a_whole_box_is_refused_without_one() {
        for fit in ["cover", "contain", "fill"] {
            for sides in ["", "width = 10", "height = 10"] {
                let half = format!("fit = \"{fit}\"\n{sides}");
                refused(variant(&half), &format!("fit = \"{fit}\" needs both"));
            }
            let whole = format!("fit = \"{fit}\"\nwidth = 10\nheight = 10");
            assert!(variant(&whole).is_ok(), "{fit}");
        }
        for fit in ["inside", "outside"] {
            assert!(
                variant(&format!("fit = \"{fit}\"\nwidth = 10")).is_ok(),
                "{fit}"
            );
        }
    }

    #[test]
    fn a_header_that_http_cannot_carry_is_refused() {
        for value in ["", "a\\nb", "\u{e4}"] {
            refused(
                variant(&format!("cache_control = \"{value}\"")),
                "HTTP header",
            );
        }
    }

    #[test]
    fn byte_sizes_are_numbers_or_text_with_a_unit() {
        for (written, bytes) in [
            ("1234", 1234),
            ("\"64 MiB\"", 64 << 20),
            ("\"64 MB\"", 64_000_000),
            ("\"2GiB\"", 2 << 30),
            ("\"10 kB\"", 10_000),
            ("0", 0),
        ] {
            let recipe = around(&format!("[limits]\ninput_bytes = {written}"));
            assert_eq!(recipe.map(|r| r.limits.input_bytes), Ok(bytes), "{written}");
        }
        for wrong in ["-1", "\"many\"", "1.5", "true"] {
            let recipe = around(&format!("[limits]\ninput_bytes = {wrong}"));
            assert_eq!(refused(recipe, "").line(), Some(3), "{wrong}");
        }
    }

    #[test]
    fn byte_sizes_are_written_in_the_largest_unit_that_loses_nothing() {
        let mut recipe = Recipe::default_recipe();
        for (bytes, written) in [
            (3 << 30, "\"3 GiB\""),
            (1025 << 20, "\"1025 MiB\""),
            (1 << 10, "\"1 KiB\""),
            (1025, "1025"),
            (0, "0"),
        ] {
            recipe.limits.input_bytes = bytes;
            let text = recipe.to_toml();
            assert!(
                text.contains(&format!("input_bytes = {written}\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn colors_are_read_in_their_three_lengths_and_nothing_else() {
        for (text, color) in [
            ("#fff", [255, 255, 255, 255]),
            ("#1a2", [0x11, 0xaa, 0x22, 255]),
            ("#0a0B0c", [10, 11, 12, 255]),
            ("#0a0b0c0d", [10, 11, 12, 13]),
        ] {
            assert_eq!(text.parse(), Ok(Color(color)), "{text}");
            let back: Result<Color, _> = Color(color).to_string().parse();
            assert_eq!(back, Ok(Color(color)), "{text}");
        }
        for text in [
            "", "#", "white", "fff", "#ff", "#ffff", "#ggg", "#fffffff", "#\u{e4}a",
        ] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
        assert_eq!(Color::default().to_string(), "#ffffff");
        let error = refused(around("[source]\nbackground = \"white\""), "no color");
        assert_eq!(error.line(), Some(3));
    }

    #[test]
    fn an_output_key_that_gives_variants_one_key_is_refused() {
        let with = |key: &str, formats: &[&str]| {
            let mut text = format!("[output]\nkey = \"{key}\"\n");
            for (at, format) in formats.iter().enumerate() {
                let variant = format!("[[variant]]\nname = \"v{at}\"\nformat = \"{format}\"\n");
                text.push_str(&variant);
            }
            read(&text)
        };
        refused(with("{path}/x", &["png", "webp"]), "put {variant} into it");
        refused(
            with("{path}/x.{ext}", &["png", "png"]),
            "put {variant} into it",
        );
        refused(
            with("{path}/{width}.{ext}", &["png", "png"]),
            "put {variant} into it",
        );
        assert!(with("{path}/x.{ext}", &["png", "webp"]).is_ok());
        assert!(with("{path}/x", &["png"]).is_ok());
        assert!(with("{path}/{variant}", &["png", "png"]).is_ok());
    }

    #[test]
    fn records_need_a_key_of_their_own_for_every_source() {
        refused(
            around("[output]\nmanifest = \"{stem}.json\""),
            "two sources one key",
        );
        refused(
            around("[output]\nfailed = \"{path}/{hash}\""),
            "speaks of a whole source",
        );
        refused(
            around("[output]\nmanifest = \"{path}/{variant}\""),
            "speaks of a whole source",
        );
        refused(
            around("[output]\nfailed = \"{path}/manifest.json\""),
            "the same key",
        );
        refused(
            around("[output]\nkey = \"{path}/manifest.json\""),
            "the same key",
        );
    }

    #[test]
    fn a_template_that_leaves_the_output_is_refused_with_its_line() {
        for key in ["", "/{path}", "../{path}", "{path}/{nothing}", "{path"] {
            let error = refused(around(&format!("[output]\nkey = \"{key}\"")), "");
            assert_eq!(error.line(), Some(3), "{error}");
        }
    }

    #[test]
    fn events_need_keys_in_which_no_two_sources_can_meet() {
        let flat = around("[output]\nkey = \"{dir}{stem}.{ext}\"").expect("good for a batch");
        refused(flat.check_for_events().map(|()| ""), "use the whole {path}");
        let apart = around("[output]\nkey = \"{path}.{ext}\"").expect("good for all");
        assert_eq!(apart.check_for_events(), Ok(()));
    }

    #[test]
    fn another_layout_and_a_recipe_for_nothing_are_refused() {
        refused(
            Recipe::from_toml("version = 2\nvariant = []"),
            "version = 2 is not known",
        );
        refused(read("variant = []"), "there is no variant");
        refused(read(""), "variant");
        refused(Recipe::from_toml("variant = []"), "version");
    }

    #[test]
    fn changing_one_variant_leaves_the_digests_of_the_others() {
        let recipe = Recipe::default_recipe();
        let mut changed = recipe.clone();
        changed.variants[1].quality = Some(61);
        changed.variants.rotate_left(1);
        changed
            .variants
            .push(Variant::new("new", OutputFormat::Png));

        let (before, after) = (digests(&recipe), digests(&changed));
        assert_ne!(before[1], after[0]);
        assert_eq!(before[2..], after[1..4]);
        assert_eq!(before[0], after[4]);
        assert_ne!(recipe.digest(), changed.digest());
    }

    #[test]
    fn a_digest_notices_every_setting_of_its_variant_but_required() {
        let base = Recipe::default_recipe();
        let digest = |change: fn(&mut Variant)| {
            let mut variant = base.variants[4].clone();
            change(&mut variant);
            base.variant_digest(&variant)
        };
        let unchanged = digest(|_| {});
        assert_eq!(digest(|v| v.required = false), unchanged);
        let changes: [fn(&mut Variant); 17] = [
            |v| v.name = "other".to_owned(),
            |v| v.format = OutputFormat::Webp,
            |v| v.quality = Some(81),
            |v| v.lossless = true,
            |v| v.effort = Effort::Best,
            |v| v.progressive = Some(false),
            |v| v.subsampling = Chroma::Full,
            |v| v.near_lossless = Some(60),
            |v| v.exact = Some(false),
            |v| v.sharp_yuv = true,
            |v| v.width = None,
            |v| v.height = Some(301),
            |v| v.fit = Fit::Outside,
            |v| v.focus = Focus::Top,
            |v| v.enlarge = true,
            |v| v.if_larger = IfLarger::Skip,
            |v| v.cache_control = Some("no-store".to_owned()),
        ];
        let mut all: Vec<_> = changes.into_iter().map(digest).collect();
        all.push(unchanged);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), changes.len() + 1, "two settings give one digest");
    }

    #[test]
    fn whether_a_variant_is_required_is_for_the_recipes_digest_alone() {
        let recipe = Recipe::default_recipe();
        let mut changed = recipe.clone();
        changed.variants[3].required = false;
        assert_eq!(digests(&changed), digests(&recipe));
        assert_ne!(changed.digest(), recipe.digest());
    }

    #[test]
    fn a_change_of_treatment_or_keys_changes_every_digest() {
        let recipe = Recipe::default_recipe();
        let changes: [fn(&mut Recipe); 8] = [
            |r| r.source.max_side = 4095,
            |r| r.source.orientation = OrientationRule::Ignore,
            |r| r.source.color = ColorRule::Keep,
            |r| r.source.depth = DepthRule::Keep,
            |r| r.source.metadata = MetadataRule::Copyright,
            |r| r.source.background = Color([0; 4]),
            |r| r.source.damaged = DamageRule::Accept,
            |r| r.output.key = "{path}/{variant}".parse().expect("a good template"),
        ];
        for change in changes {
            let mut other = recipe.clone();
            change(&mut other);
            let (before, after) = (digests(&recipe), digests(&other));
            assert!(before.iter().zip(&after).all(|(b, a)| b != a), "{other:?}");
        }
    }

    #[test]
    fn limits_and_revision_leave_what_is_made_alone() {
        let recipe = Recipe::default_recipe();
        let mut changed = recipe.clone();
        changed.revision = 2;
        assert_eq!(changed.digest(), recipe.digest());
        changed.limits.input_bytes -= 1;
        assert_eq!(digests(&changed), digests(&recipe));
        assert_ne!(changed.digest(), recipe.digest());
    }

    #[test]
    fn the_limits_on_frames_count_for_what_keeps_frames_and_for_nothing_else() {
        let recipe = Recipe::default_recipe();
        let mut changed = recipe.clone();
        changed.limits.frames += 1;
        for (variant, (one, other)) in recipe
            .variants
            .iter()
            .zip(digests(&changed).into_iter().zip(digests(&recipe)))
        {
            assert_eq!(one != other, variant.keeps_animation(), "{}", variant.name);
        }
    }

    #[test]
    fn a_single_variant_has_no_cap_and_its_records_are_out_of_sight() {
        let recipe = Recipe::single(Variant::new("small", OutputFormat::Webp))
            .expect("one variant is a recipe");
        assert_eq!(recipe.source.max_side, 0);
        assert_eq!(
            recipe.early_keys("trip/cat.png"),
            Some(vec!["trip/cat.webp".to_owned()])
        );
        assert_eq!(
            recipe.output.manifest_key("trip/cat.png"),
            ".pixmill/manifests/trip/cat.png.json"
        );
        assert_eq!(
            recipe.output.failed_key("trip/cat.png"),
            ".pixmill/failed/trip/cat.png.json"
        );
        assert_eq!(Recipe::from_toml(&recipe.to_toml()), Ok(recipe));
    }
}
