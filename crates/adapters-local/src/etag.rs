//! A file's etag: one derivation for the store, its listings and the walk.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use pixmill::ports::{Etag, Head};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> io::Result<Self> {
        Ok(Self {
            size: metadata.len(),
            modified: metadata.modified()?,
        })
    }

    pub(crate) fn of_entry(metadata: &cap_std::fs::Metadata) -> io::Result<Self> {
        Ok(Self {
            size: metadata.len(),
            modified: metadata.modified()?.into_std(),
        })
    }

    /// Weak: it speaks of the file on this disk, not of its content.
    pub(crate) fn etag(self) -> Etag {
        let nanos = match self.modified.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos().to_string(),
            Err(before) => format!("-{}", before.duration().as_nanos()),
        };
        Etag::new(format!("W/\"{}-{nanos}\"", self.size))
    }

    pub(crate) fn head(self) -> Head {
        Head {
            size: self.size,
            etag: self.etag(),
            version: None,
            metadata: std::collections::BTreeMap::new(),
        }
    }
}

/// The size in bytes and the etag that a [`FolderStore`](crate::FolderStore) gives the file at
/// `path`, links followed.
pub fn stamp(path: impl AsRef<std::path::Path>) -> io::Result<(u64, Etag)> {
    let stamp = Stamp::of(&std::fs::metadata(path)?)?;
    Ok((stamp.size, stamp.etag()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_etag_is_weak_and_tells_size_and_nanoseconds() {
        let stamp = Stamp {
            size: 7,
            modified: UNIX_EPOCH + Duration::new(1, 2),
        };
        assert_eq!(stamp.etag().as_str(), "W/\"7-1000000002\"");
        assert!(stamp.etag().is_weak());
    }

    #[test]
    fn a_time_before_1970_is_not_mistaken_for_one_after() {
        let stamp = |modified| Stamp { size: 7, modified };
        let second = Duration::from_secs(1);
        assert_ne!(
            stamp(UNIX_EPOCH - second).etag(),
            stamp(UNIX_EPOCH + second).etag()
        );
    }
}
