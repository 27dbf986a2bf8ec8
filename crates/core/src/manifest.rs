//! The record per source of what was made, from what, by which recipe and engine; and the record
//! of a source that cannot be processed.
//!
//! Both are JSON, indented, with a final newline, and hold no times and no host names: the same
//! source, recipe and engine write the same bytes on every machine. Only what the store said
//! (etags and versions) differs between stores, and it lies in one object of its own, `store`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Stage};
use crate::image::{Format, Warning, WarningCode};
use crate::ports::{Etag, Head};
use crate::recipe::FocusPoint;

/// The version of the manifest's own layout that this engine writes.
pub const MANIFEST_VERSION: u32 = 1;

/// The record of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Manifest {
    /// The version of this layout.
    pub manifest_version: u32,
    /// Whether what is listed is in place.
    pub state: State,
    /// The picture that the renditions were made from.
    pub source: SourceRecord,
    /// The recipe that asked for them.
    pub recipe: RecipeRecord,
    /// The engine that made them.
    pub engine: EngineRecord,
    /// One entry per variant, in the recipe's order.
    pub variants: Vec<VariantRecord>,
    /// Keys that a run under way may have written beside those of `variants`; empty when complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// Which job is replacing them; none when complete. It keeps two jobs that replace the same
    /// set from taking each other's record for their own on stores whose etags speak of content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacing_for: Option<ReplacingFor>,
    /// Every loss and every oddity, in the order in which the picture met them.
    pub warnings: Vec<Warning>,
    /// Set when the source has since been replaced by one that cannot be processed: what is
    /// listed is the last good set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<BadSource>,
    /// What the stores said: the only part that differs between stores.
    pub store: StoreRecord,
}

/// Whether what a manifest lists is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Renditions are being replaced: what lies under the listed keys may be old, new or mixed.
    Replacing,
    /// What is listed is in place, but time or memory did not allow for all variants: those with a
    /// `deferred` are still to be made.
    Incomplete,
    /// Everything listed is in place.
    Complete,
}

/// A job that is replacing a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplacingFor {
    /// The request's name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How often the job had begun again.
    pub restarts: u32,
    /// The SHA-256 of the source that the new set is made from; none when the set is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What is known of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceRecord {
    /// Its whole key, however the renditions' keys were shortened.
    pub key: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Its format, as its content says.
    pub format: Format,
    /// Width as shown (after orientation), in pixels.
    pub width: u32,
    /// Height as shown (after orientation), in pixels.
    pub height: u32,
    /// How many frames or pages it has.
    pub frames: u32,
    /// Whether any of it can be transparent.
    pub alpha: bool,
    /// The embedded color profile's description; none when there is no profile.
    pub profile: Option<String>,
    /// The point that was given with it, where a variant makes use of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focus_point: Option<FocusPoint>,
    /// What a page can show until the picture is there. Older engines made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<Placeholder>,
}

/// What a page can show until a picture is there: made from the picture as it is shown, of an
/// animation from its still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Placeholder {
    /// Its ThumbHash (<https://evanw.github.io/thumbhash/>) in base64: some 25 bytes that a page turns
    /// into a blurred picture.
    pub thumbhash: String,
    /// The color that most of it has, as `#rrggbb`: of 16 x 16 x 16 equal boxes of colors, the mean of
    /// the fullest one. None where nothing can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Width to height as shown, in lowest terms: `3:2`.
    pub aspect_ratio: String,
}

/// Which recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecipeRecord {
    /// The recipe's `revision`.
    pub revision: u32,
}

/// Which engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngineRecord {
    /// Rises when the bytes of any rendition change for the same source and recipe.
    pub render_revision: u32,
    /// The codecs and their versions.
    pub codecs: BTreeMap<String, String>,
}

/// What became of one variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariantRecord {
    /// The variant's name.
    pub name: String,
    /// SHA-256 over every setting that this variant's bytes, key or headers depend on.
    pub digest: String,
    /// What was made; none for an optional variant that this source cannot have, or not yet.
    pub rendition: Option<RenditionRecord>,
    /// Why there is no rendition: permanent, so the manifest is complete without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why there is no rendition yet: time or memory did not allow for it, so the manifest is
    /// incomplete and the next job makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
}

/// One rendition in its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenditionRecord {
    /// Its key.
    pub key: String,
    /// Its media type.
    pub content_type: String,
    /// Its width, in pixels.
    pub width: u32,
    /// Its height, in pixels.
    pub height: u32,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// The encoder's quality, 1 to 100; none for lossless renditions and kept originals.
    pub quality: Option<u8>,
}

/// What cannot be processed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BadSource {
    /// Where it failed.
    pub stage: Stage,
    /// The failure's code.
    pub code: String,
}

/// What the stores said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreRecord {
    /// Of the source that the renditions were made from.
    pub source: Option<ObjectRecord>,
    /// Of the source that replaced it and cannot be processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<ObjectRecord>,
    /// The etag of each rendition, by key. Weak etags (a file's times) are not recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renditions: BTreeMap<String, Etag>,
}

/// What a store said of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectRecord {
    /// Its etag.
    pub etag: Etag,
    /// Its version, where the store keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The sequencer of the latest event about it that was handled, where events have sequencers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
}

impl From<&Head> for ObjectRecord {
    fn from(head: &Head) -> Self {
        Self {
            etag: head.etag.clone(),
            version: head.version.clone(),
            sequencer: None,
        }
    }
}

/// Whether this is a manifest of a later layout, which this engine may not be able to read as a whole.
pub(crate) fn has_newer_layout(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        manifest_version: u32,
    }
    serde_json::from_slice(bytes)
        .is_ok_and(|Version { manifest_version }| manifest_version > MANIFEST_VERSION)
}

impl Manifest {
    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Reads a manifest. Fails with [`Cause::Record`] when it is not one.
    pub fn from_json(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        from_json(key, "manifest", bytes)
    }

    /// The word of every loss that it warns of, each once.
    pub fn warning_words(&self) -> Vec<&'static str> {
        let codes: BTreeSet<_> = self.warnings.iter().map(|warning| warning.code).collect();
        codes.into_iter().map(WarningCode::word).collect()
    }

    /// The renditions listed, in the recipe's order.
    pub fn renditions(&self) -> impl Iterator<Item = &RenditionRecord> {
        self.variants.iter().filter_map(|v| v.rendition.as_ref())
    }

    /// Whether this record speaks of a key as one of ours: listed, or possibly written by a run
    /// that was cut off.
    pub fn claims(&self, key: &str) -> bool {
        self.renditions().any(|r| r.key == key) || self.pending.iter().any(|k| k == key)
    }

    /// Every key that this record claims.
    pub fn claimed_keys(&self) -> impl Iterator<Item = &str> {
        let listed = self.renditions().map(|r| r.key.as_str());
        listed.chain(self.pending.iter().map(String::as_str))
    }
}

/// The version of the failure record's own layout that this engine writes.
pub const FAILURE_VERSION: u32 = 1;

/// The record of a source that cannot be processed: written where the recipe's `output.failed`
/// says, and removed when the source later succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureRecord {
    /// The version of this layout.
    pub failure_version: u32,
    /// The source's key.
    pub source: String,
    /// Its size in bytes, when it was read.
    pub bytes: Option<u64>,
    /// Where it failed.
    pub stage: Stage,
    /// The failure's code.
    pub code: String,
    /// The failure in words, with what to do.
    pub message: String,
    /// The format that the content shows, when it shows one.
    pub format: Option<Format>,
    /// The recipe's limits as they were applied.
    pub limits: crate::recipe::Limits,
    /// SHA-256 over the limits and every variant's digest: another recipe may accept the source.
    pub recipe: String,
    /// The engine that refused it.
    pub engine: EngineRecord,
    /// The request that asked for it, where requests have names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What the store said of the source.
    pub store: Option<ObjectRecord>,
}

impl FailureRecord {
    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Reads a failure record. Fails with [`Cause::Record`] when it is not one.
    pub fn from_json(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        from_json(key, "failure record", bytes)
    }
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(record).expect("records hold nothing that JSON cannot say");
    bytes.push(b'\n');
    bytes
}

fn from_json<T: for<'a> Deserialize<'a>>(key: &str, what: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| {
        let words = format!(
            "{key:?} is not a {what} that this engine can read ({e}); move it away, or choose another output"
        );
        Error::new(Stage::Record, Cause::Record(words))
    })
}
