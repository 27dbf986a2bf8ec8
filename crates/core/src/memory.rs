//! In-memory reference adapters: the ports' contracts in their plainest form, for documentation
//! examples and embedders' tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sha2::{Digest, Sha256};

use crate::alert::Alert;
use crate::error::{BoxError, StoreError, StoreErrorKind};
use crate::ports::{
    AlertSink, Blob, BlobStore, Condition, Etag, Fetched, Head, Listed, MetricSink,
};
use crate::signal::Signal;

/// A store that keeps everything in memory. Clones share their content.
///
/// Etags are derived from the content, as those of an S3 bucket are: writing the same bytes
/// again gives the same etag. Versions count the writes.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, Object>,
    writes: u64,
}

#[derive(Clone, Debug)]
struct Object {
    blob: Blob,
    head: Head,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `bytes` under `key` without conditions: for setting a scene in tests and examples.
    pub fn insert(&self, key: &str, bytes: impl Into<Bytes>) -> Head {
        let blob = Blob {
            bytes: bytes.into(),
            content_type: "application/octet-stream".to_owned(),
            ..Blob::default()
        };
        self.lock().write(key, blob)
    }

    /// The object's blob, if it is there.
    pub fn read(&self, key: &str) -> Option<Blob> {
        self.lock().objects.get(key).map(|o| o.blob.clone())
    }

    /// Every key, in byte order.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// How many times anything was written so far.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while holding the lock, and the map is whole between any two lines.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, key: &str, blob: Blob) -> Head {
        self.writes += 1;
        let head = Head {
            size: blob.bytes.len() as u64,
            etag: Etag::new(hex::encode(&Sha256::digest(&blob.bytes)[..16])),
            version: Some(self.writes.to_string()),
            metadata: blob.metadata.clone(),
        };
        let object = Object {
            blob,
            head: head.clone(),
        };
        self.objects.insert(key.to_owned(), object);
        head
    }

    fn check(&self, key: &str, condition: &Condition) -> Result<(), StoreError> {
        let there = self.objects.get(key).map(|o| &o.head.etag);
        let holds = match condition {
            Condition::Always => true,
            Condition::IfAbsent => there.is_none(),
            Condition::IfMatch(etag) => there == Some(etag),
        };
        if holds {
            Ok(())
        } else {
            Err(StoreError::new(StoreErrorKind::Conflict, key))
        }
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let object = self.lock().objects.get(key).cloned();
        let object = object.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, key))?;
        let size = object.head.size;
        let range = range.unwrap_or(0..size);
        let end = range.end.min(size);
        let start = range.start.min(end);
        if end - start > max_bytes {
            let kind = StoreErrorKind::TooLarge {
                size: Some(size),
                max: max_bytes,
            };
            return Err(StoreError::new(kind, key));
        }
        let as_index = |n: u64| usize::try_from(n).expect("within a slice held in memory");
        Ok(Fetched {
            bytes: object.blob.bytes.slice(as_index(start)..as_index(end)),
            head: object.head,
        })
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let head = self.lock().objects.get(key).map(|o| o.head.clone());
        head.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, key))
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        let mut inner = self.lock();
        inner.check(key, &condition)?;
        Ok(inner.write(key, blob))
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let inner = self.lock();
        let lines: Vec<_> = inner
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| {
                Ok(Listed {
                    key: key.clone(),
                    size: object.head.size,
                    etag: object.head.etag.clone(),
                })
            })
            .collect();
        stream::iter(lines).boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.objects.contains_key(key) {
            inner.check(key, &condition)?;
            inner.objects.remove(key);
        }
        Ok(())
    }
}

/// A metric sink that keeps each signal's debug text, in order. Clones share their notes.
#[derive(Clone, Debug, Default)]
pub struct RecordingMetrics {
    notes: Arc<Mutex<Vec<String>>>,
}

impl RecordingMetrics {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded so far.
    pub fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock();
        notes.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MetricSink for RecordingMetrics {
    fn record(&self, signal: &Signal<'_>) {
        let notes = self.notes.lock();
        let mut notes = notes.unwrap_or_else(PoisonError::into_inner);
        notes.push(format!("{signal:?}"));
    }
}

/// A metric sink that drops everything: for callers who measure elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl MetricSink for NoMetrics {
    fn record(&self, _signal: &Signal<'_>) {}
}

/// An alert sink that keeps what it was given. Clones share their notes.
#[derive(Clone, Debug, Default)]
pub struct RecordingAlerts {
    sent: Arc<Mutex<Vec<Alert>>>,
}

impl RecordingAlerts {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent so far.
    pub fn sent(&self) -> Vec<Alert> {
        let sent = self.sent.lock();
        sent.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl AlertSink for RecordingAlerts {
    async fn send(&self, alert: &Alert) -> Result<(), BoxError> {
        let sent = self.sent.lock();
        let mut sent = sent.unwrap_or_else(PoisonError::into_inner);
        sent.push(alert.clone());
        Ok(())
    }
}
