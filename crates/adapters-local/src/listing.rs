//! The files of a folder, a chunk at a time: what is kept in memory is one chunk and the names of
//! the folders still to be visited.

use std::io;

use cap_std::fs::{Dir, DirEntry, ReadDir};
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::ports::Listed;

use crate::etag::Stamp;
use crate::os_error::reading_error;
use crate::store_lock::LOCK_FILE;
use crate::temporary::is_temporary_name;

const CHUNK: usize = 256;

/// A listing under way.
pub(crate) struct Listing {
    root: Dir,
    prefix: String,
    /// Folders to visit: keys that end with a slash, or nothing for the root.
    pending: Vec<String>,
    current: Option<(String, ReadDir)>,
}

impl Listing {
    pub(crate) fn new(root: Dir, prefix: &str) -> Self {
        let folder_end = prefix.rfind('/').map_or(0, |slash| slash + 1);
        Self {
            root,
            prefix: prefix.to_owned(),
            pending: vec![prefix[..folder_end].to_owned()],
            current: None,
        }
    }

    /// The next files, at least one until there are no more.
    pub(crate) fn next_chunk(&mut self) -> Vec<Result<Listed, StoreError>> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let Some((folder, mut entries)) = self.current.take() else {
                let Some(folder) = self.pending.pop() else {
                    break;
                };
                match self.open(&folder) {
                    Ok(entries) => self.current = Some((folder, entries)),
                    Err(e) if is_gone(&e) => {}
                    Err(e) => chunk.push(Err(reading_error(&folder, e))),
                }
                continue;
            };
            // A folder that can't be read on is given up, or it might fail forever.
            if let Some(entry) = entries.next() {
                match entry {
                    Err(e) => chunk.push(Err(reading_error(&folder, e))),
                    Ok(entry) => {
                        chunk.extend(self.take(&folder, &entry).transpose());
                        self.current = Some((folder, entries));
                    }
                }
            }
        }
        chunk
    }

    fn open(&self, folder: &str) -> io::Result<ReadDir> {
        if folder.is_empty() {
            self.root.entries()
        } else {
            self.root.read_dir(folder)
        }
    }

    /// One entry: a file to report, a folder to visit later, or nothing of ours.
    fn take(&mut self, folder: &str, entry: &DirEntry) -> Result<Option<Listed>, StoreError> {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return self.not_utf8(folder, entry);
        };
        let key = format!("{folder}{name}");
        let failed = |e: io::Error| reading_error(&key, e);
        let kind = match entry.file_type() {
            Err(e) if is_gone(&e) => return Ok(None),
            kind => kind.map_err(failed)?,
        };
        if kind.is_dir() {
            let folder = key + "/";
            if folder.starts_with(&self.prefix) || self.prefix.starts_with(&folder) {
                self.pending.push(folder);
            }
            return Ok(None);
        }
        if !key.starts_with(&self.prefix) || is_temporary_name(name) || key == LOCK_FILE {
            return Ok(None);
        }
        let metadata = if kind.is_symlink() {
            match self.root.metadata(&key) {
                Ok(metadata) => metadata,
                // A link that leads nowhere, in circles or out of the root: no object.
                Err(_) => return Ok(None),
            }
        } else {
            match entry.metadata() {
                Err(e) if is_gone(&e) => return Ok(None),
                metadata => metadata.map_err(failed)?,
            }
        };
        if !metadata.is_file() {
            return Ok(None);
        }
        let stamp = Stamp::of_entry(&metadata).map_err(failed)?;
        Ok(Some(Listed {
            etag: stamp.etag(),
            size: stamp.size,
            key,
        }))
    }

    /// A name that can't be a key is an error in its place; the listing goes on after it.
    fn not_utf8(&self, folder: &str, entry: &DirEntry) -> Result<Option<Listed>, StoreError> {
        let name = entry.file_name();
        let of_prefix = match self.prefix.strip_prefix(folder) {
            Some(rest) => name.as_encoded_bytes().starts_with(rest.as_bytes()),
            None => true,
        };
        if !of_prefix {
            return Ok(None);
        }
        let key = format!("{folder}{}", name.to_string_lossy());
        let words = "its name is not UTF-8, so no key can say it; rename it";
        Err(StoreError::new(StoreErrorKind::Other, key).because(words))
    }
}

/// What was there when its folder was read can be gone a moment later: not an error.
fn is_gone(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
