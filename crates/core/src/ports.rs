//! The three places where the engine touches the world, and what each promises.
//!
//! No default methods, no SDK types: an adapter implements all of a port or none of it, and
//! `pixmill-testkit` holds the contract of [`BlobStore`] as one named test per promise.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::alert::Alert;
use crate::error::{BoxError, StoreError};
use crate::signal::Signal;

/// A store's word for "this very content": equal etags mean that nothing was written in between.
///
/// As in HTTP, an etag that begins with `W/` is *weak*: it was derived from circumstances (a
/// file's size and modification time), not from the content, so it means nothing on another
/// machine and must not enter a reproducible output.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Etag(String);

impl Etag {
    /// The store's text, kept as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The store's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it speaks of circumstances rather than of content.
    pub fn is_weak(&self) -> bool {
        self.0.starts_with("W/")
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Etag({})", self.0)
    }
}

/// What a put writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// The content.
    pub bytes: Bytes,
    /// Its media type (`image/webp`).
    pub content_type: String,
    /// A `Cache-Control` value for stores that serve what they hold.
    pub cache_control: Option<String>,
    /// Facts kept beside the content by stores that can; any UTF-8, encoding is the adapter's
    /// matter. Folders keep none.
    pub metadata: BTreeMap<String, String>,
}

/// What a store says of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The whole object's size, in bytes.
    pub size: u64,
    /// Its etag.
    pub etag: Etag,
    /// Its version, where the store keeps versions.
    pub version: Option<String>,
    /// What was put beside the content; empty where the store keeps none.
    pub metadata: BTreeMap<String, String>,
}

/// An object's content (or the part asked for) and what the store says of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The content, or the part of it that lies in the range asked for.
    pub bytes: Bytes,
    /// What the store says of the whole object that these bytes belong to.
    pub head: Head,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The object's key.
    pub key: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its etag: the same that `head` would give.
    pub etag: Etag,
}

/// When a put or a delete may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// Only where nothing is.
    IfAbsent,
    /// Only in place of the object that has this etag.
    IfMatch(Etag),
}

/// Named blobs: one value is one bucket (or a prefix of it), or one folder.
///
/// Keys are UTF-8, `/` separates their parts, and what is put under a key is found under exactly
/// that key. A key that an adapter cannot hold (`..` in a folder) is refused with `Denied`,
/// never bent.
///
/// Promises, each with a test in `pixmill-testkit`:
/// - *Whole*: a reader sees the old object or the new one, never a mixture or a part.
/// - *Read your writes*: after a put or delete returns, every call sees it.
/// - *Conditional*: of two puts that race under the same `IfAbsent` or `IfMatch`, one wins and
///   the other gets `Conflict`; a missing object never matches an `IfMatch` of a put.
/// - *Bounded*: a get holds no more than `max_bytes` of content before it refuses.
/// - *Honest errors*: each error carries the key and the kind that [`crate::error::StoreErrorKind`] defines.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// The object's bytes (all, or those in `range`, cut at the object's end) with its head.
    ///
    /// Errors: `NotFound`; `TooLarge` when the object (without a range) or the part of the range
    /// that exists has more than `max_bytes`; `Denied`, `Unavailable`, `Other`. A range that
    /// begins at or after the end gives no bytes.
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError>;

    /// What the store says of the object. Errors: `NotFound`, `Denied`, `Unavailable`, `Other`.
    async fn head(&self, key: &str) -> Result<Head, StoreError>;

    /// Writes the object, whole, if `condition` holds, and returns the new object's head.
    ///
    /// Errors: `Conflict` when the condition does not hold; `Denied`, `Unavailable`, `Other`.
    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError>;

    /// Every object whose key begins with `prefix` (text, not a folder: `a` finds `ab`), each
    /// once, in no promised order. Objects written or deleted meanwhile may or may not show.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>>;

    /// Removes the object if `condition` holds. An object that is not there is a success under
    /// every condition; `IfAbsent` therefore removes nothing and fails with `Conflict` when
    /// there is an object.
    ///
    /// Errors: `Conflict`, `Denied`, `Unavailable`, `Other`.
    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError>;
}

/// Where signals become log lines and metrics.
///
/// Recording cannot fail a job and must not block for long: a sink that writes elsewhere buffers.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait MetricSink: Send + Sync {
    /// Takes note of one fact.
    fn record<'a>(&self, signal: &Signal<'a>);
}

/// Where alerts reach a person.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait AlertSink: Send + Sync {
    /// Sends the alert on its channel; an error means that nobody was told.
    async fn send(&self, alert: &Alert) -> Result<(), BoxError>;
}
