//! A folder as a blob store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cap_fs_ext::{MetadataExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::key::MAX_PART_BYTES;
use pixmill::ports::{Blob, BlobStore, Condition, Fetched, Head, Listed};

use crate::etag::Stamp;
use crate::listing::Listing;
use crate::os_error::{denied, not_a_file, reading_error, writing_error};
use crate::sidecar;
use crate::store_lock::{LOCK_FILE, StoreLock};
use crate::temporary::{Temporary, is_temporary_name, remove_leftovers};

/// How often a put makes its parent folders again when somebody keeps removing them.
const FOLDER_ATTEMPTS: u32 = 1000;

/// How often a file is written anew that is removed, with its folder or the root, before it has its name.
const FILE_ATTEMPTS: u32 = 10;

/// A blob store in one folder: the key `trip/cat.png` is the file `trip/cat.png` under its root.
///
/// # What it promises beyond the port
///
/// - *Confined*: nothing outside the root is read or written, whatever the keys are and wherever
///   links lead. Links to files inside the root can be read; a put replaces the link, never what
///   it points to.
/// - *Reading leaves no trace*: only a write makes anything under the root, so a folder of sources
///   may be read-only.
/// - *Across processes*: conditions hold between all writers that use this type on the same
///   folder, by a file lock on `.pixmill/lock`, held only while a condition is checked and the file
///   is put in place. Writers that know nothing of the lock are outside of it. A file system
///   without file locks can be read, not written.
///
/// # What a folder can't do
///
/// - Etags are weak: size and modification time. Two puts always differ; but a file changed in
///   place by others, within one tick of their clock and with its size kept, looks unchanged.
/// - Content type, cache control and metadata are dropped; there are no versions. Of metadata only a
///   focus point can be given: `cat.jpg.focus-point`, a file beside `cat.jpg`, holds it where
///   [`FolderStore::with_focus_points`] asks for it.
/// - A file and a folder can't share a name: what is in the way is said in a `Denied`.
/// - `Denied` too: keys with an empty, `.` or `..` part, with a NUL or with a part of more than
///   255 bytes, and the names that the store itself uses (`.pixmill/lock`, `.pixmill-*.tmp`).
/// - Where names differ only by case or by Unicode form, the file system decides whether they are
///   one file.
/// - A listing gives an `Other` in the place of a name that is not UTF-8, and goes on; links to
///   folders are not followed.
///
/// # Runtime
///
/// File calls run on tokio's blocking threads: use it inside a tokio runtime. A call whose future
/// is dropped may still take effect, whole or not at all.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Root>,
    durable: bool,
    focus_points: bool,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    folder: Mutex<Option<Arc<Dir>>>,
    lock: StoreLock,
}

impl FolderStore {
    /// The store in the folder `root`, which must exist.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let store = Self::open_lazily(root)?;
        store.root.for_reading()?;
        Ok(store)
    }

    /// The store in the folder `root`, which need not exist yet: until then it is empty, and the
    /// first put makes it.
    pub fn open_lazily(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            root: Arc::new(Root {
                // The program may change its current folder later.
                path: std::path::absolute(root)?,
                folder: Mutex::default(),
                lock: StoreLock::default(),
            }),
            durable: false,
            focus_points: false,
        })
    }

    /// Whether a put or delete returns only after the disk has it (fsync of file and folder).
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Looks for a file with a focus point beside each that is read or looked at, for a store of
    /// sources. What is given is in the head's metadata.
    #[must_use]
    pub fn with_focus_points(mut self) -> Self {
        self.focus_points = true;
        self
    }

    /// The folder, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root.path
    }

    /// Removes the temporary files of writers that are no longer alive and says how many there
    /// were; for the start of a run. Files of living writers are locked by them, and kept. What
    /// can't be read or removed is passed over.
    pub async fn clean_leftovers(&self) -> Result<u64, StoreError> {
        let store = self.clone();
        blocking("", move || match store.root.for_reading() {
            Ok(root) => Ok(remove_leftovers(&root)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(reading_error("", e)),
        })
        .await
    }

    fn read(&self, key: &str, max: u64, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        let failed = |e: io::Error| reading_error(key, e);
        self.stamp(key)?;
        let root = self.root.for_reading().map_err(failed)?;
        let mut options = OpenOptions::new();
        // Should a pipe have taken the file's place since, opening it must not wait for a writer.
        options.read(true).nonblock(true);
        let file = root.open_with(key, &options).map_err(failed)?.into_std();
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(not_a_file(key));
        }
        let stamp = Stamp::of(&metadata).map_err(failed)?;
        let range = range.unwrap_or(0..stamp.size);
        let end = range.end.min(stamp.size);
        let start = range.start.min(end);
        if end - start > max {
            let size = Some(stamp.size);
            return Err(StoreError::new(StoreErrorKind::TooLarge { size, max }, key));
        }
        let bytes = read_part(&file, start..end, stamp).map_err(failed)?;
        Ok(Fetched {
            bytes: bytes.into(),
            head: Head {
                metadata: self.beside(&root, key).map_err(failed)?,
                ..stamp.head()
            },
        })
    }

    fn look(&self, key: &str) -> Result<Head, StoreError> {
        let stamp = self.stamp(key)?;
        let failed = |e: io::Error| reading_error(key, e);
        let root = self.root.for_reading().map_err(failed)?;
        Ok(Head {
            metadata: self.beside(&root, key).map_err(failed)?,
            ..stamp.head()
        })
    }

    fn beside(&self, root: &Dir, key: &str) -> io::Result<BTreeMap<String, String>> {
        if self.focus_points {
            sidecar::beside(root, key)
        } else {
            Ok(BTreeMap::new())
        }
    }

    /// The state of the object, which must be a regular file (or lead to one inside the root).
    fn stamp(&self, key: &str) -> Result<Stamp, StoreError> {
        check_key(key)?;
        let failed = |e: io::Error| reading_error(key, e);
        let root = self.root.for_reading().map_err(failed)?;
        let metadata = root.metadata(key).map_err(failed)?;
        if metadata.is_dir() {
            // A folder is no object, so that names mean the same as in a bucket.
            return Err(StoreError::new(StoreErrorKind::NotFound, key));
        }
        if !metadata.is_file() {
            return Err(not_a_file(key));
        }
        Stamp::of_entry(&metadata).map_err(failed)
    }

    fn write(&self, key: &str, bytes: &Bytes, condition: &Condition) -> Result<Head, StoreError> {
        check_key(key)?;
        let (parent, _) = key.rsplit_once('/').unwrap_or(("", key));
        // Given up at once, the key's own set would be left half done, perhaps without the record that says whose it is.
        for _ in 0..FILE_ATTEMPTS {
            let made = self.root.for_writing().and_then(|root| {
                let new = self.temporary(&root, parent)?;
                Ok((root, new))
            });
            match made {
                Ok((root, new)) => {
                    if let Some(head) = self.fill_and_place(&root, new, key, bytes, condition)? {
                        return Ok(head);
                    }
                }
                // The root itself is another one by now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(writing_error(key, e)),
            }
        }
        Err(writing_error(key, io::ErrorKind::NotFound.into()))
    }

    /// None, and nothing happened: somebody removed the file before it had its name, with its folder or the root.
    fn fill_and_place(
        &self,
        root: &Dir,
        mut new: Temporary,
        key: &str,
        bytes: &Bytes,
        condition: &Condition,
    ) -> Result<Option<Head>, StoreError> {
        let failed = |e: io::Error| writing_error(key, e);
        new.file.write_all(bytes).map_err(failed)?;
        // The file system's own clock ticks every few milliseconds; this one tells apart what was
        // put, deleted and put again within a tick.
        let now = SystemTime::now();
        new.file.set_modified(now).map_err(failed)?;
        if self.durable {
            new.file.sync_all().map_err(failed)?;
        }

        let held = match self.root.lock.hold(root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            held => held.map_err(failed)?,
        };
        if let Some(old) = replaceable(root, key, condition)? {
            let changed = new.make_newer_than(old.modified).map_err(failed)?;
            if changed && self.durable {
                new.file.sync_all().map_err(failed)?;
            }
        }
        let metadata = new.file.metadata().map_err(failed)?;
        let stamp = Stamp::of(&metadata).map_err(failed)?;
        let (_, name) = key.rsplit_once('/').unwrap_or(("", key));
        match new.place(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            placed => placed.map_err(failed)?,
        }
        drop(held);

        if self.durable {
            sync_folder(&new.folder).map_err(failed)?;
        }
        Ok(Some(stamp.head()))
    }

    /// A temporary file in the folder `parent`, which is made if it isn't there.
    fn temporary(&self, root: &Dir, parent: &str) -> io::Result<Temporary> {
        if parent.is_empty() {
            return Temporary::new(root);
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            // A delete may remove the folder, empty as it is, before our file is in it.
            match root
                .open_dir(parent)
                .and_then(|folder| Temporary::new(&folder))
            {
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempts < FOLDER_ATTEMPTS => {}
                made => return made,
            }
            match root.create_dir_all(parent) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempts < FOLDER_ATTEMPTS => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                made => made?,
            }
            if self.durable {
                sync_folders_above(root, parent)?;
            }
        }
    }

    fn remove(&self, key: &str, condition: &Condition) -> Result<(), StoreError> {
        // Looking first keeps a delete of nothing from writing anything, even the lock's file.
        match self.removable(key, condition)? {
            Removable::Nothing => return Ok(()),
            Removable::File => {}
        }
        let failed = |e: io::Error| writing_error(key, e);
        let root = self.root.for_reading().map_err(failed)?;
        let _held = self.root.lock.hold(&root).map_err(failed)?;
        match self.removable(key, condition)? {
            Removable::Nothing => return Ok(()),
            Removable::File => {}
        }
        match root.remove_file(key) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(failed)?,
        }
        let mut folder = key;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            // Not empty, or not ours to remove: the folders above it stay too.
            if root.remove_dir(parent).is_err() {
                if self.durable {
                    let parent = root.open_dir(parent).map_err(failed)?;
                    return sync_folder(&parent).map_err(failed);
                }
                return Ok(());
            }
            folder = parent;
        }
        if self.durable {
            sync_folder(&root).map_err(failed)?;
        }
        Ok(())
    }

    fn removable(&self, key: &str, condition: &Condition) -> Result<Removable, StoreError> {
        let there = match self.stamp(key) {
            Err(e) if e.kind() == StoreErrorKind::NotFound => return Ok(Removable::Nothing),
            there => there?,
        };
        let holds = match condition {
            Condition::Always => true,
            Condition::IfAbsent => false,
            Condition::IfMatch(etag) => there.etag() == *etag,
        };
        if holds {
            Ok(Removable::File)
        } else {
            Err(StoreError::new(StoreErrorKind::Conflict, key))
        }
    }
}

/// Holds `condition` against what is there and returns it, if anything is; refuses what a put
/// may not replace. The lock must be held.
fn replaceable(root: &Dir, key: &str, condition: &Condition) -> Result<Option<Stamp>, StoreError> {
    let there = match root.metadata(key) {
        Ok(there) if there.is_dir() => {
            return Err(denied(key, "a folder is in the way"));
        }
        Ok(there) if !there.is_file() => {
            return Err(denied(
                key,
                "something that is not a regular file is in the way",
            ));
        }
        Ok(there) => Some(Stamp::of_entry(&there).map_err(|e| reading_error(key, e))?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        // A link that leads out of the root or in circles: it may be replaced, not compared.
        Err(_) if *condition == Condition::Always => None,
        Err(e) => return Err(writing_error(key, e)),
    };
    let holds = match condition {
        Condition::Always => true,
        Condition::IfAbsent => there.is_none(),
        Condition::IfMatch(etag) => there.is_some_and(|stamp| stamp.etag() == *etag),
    };
    if holds {
        Ok(there)
    } else {
        Err(StoreError::new(StoreErrorKind::Conflict, key))
    }
}

/// What a delete finds.
enum Removable {
    Nothing,
    File,
}

impl Root {
    /// The open root. It is opened once, so that a store stays with its folder while disks come
    /// and go; again only when that folder was deleted.
    fn for_reading(&self) -> io::Result<Arc<Dir>> {
        let mut opened = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*opened
            && folder.dir_metadata()?.nlink() > 0
        {
            return Ok(Arc::clone(folder));
        }
        let folder = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        Ok(Arc::clone(opened.insert(Arc::new(folder))))
    }

    /// The same, made if it isn't there.
    fn for_writing(&self) -> io::Result<Arc<Dir>> {
        match self.for_reading() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Dir::create_ambient_dir_all(&self.path, ambient_authority())?;
                self.for_reading()
            }
            folder => folder,
        }
    }
}

#[async_trait]
impl BlobStore for FolderStore {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let (store, name) = (self.clone(), key.to_owned());
        blocking(key, move || store.read(&name, max_bytes, range)).await
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let (store, name) = (self.clone(), key.to_owned());
        blocking(key, move || store.look(&name)).await
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        let (store, name) = (self.clone(), key.to_owned());
        blocking(key, move || store.write(&name, &blob.bytes, &condition)).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        stream::once(async move {
            let name = prefix.clone();
            let begun = blocking(&name, move || store.begin_listing(&prefix)).await;
            match begun {
                Ok(listing) => chunks(listing).left_stream(),
                Err(e) => stream::iter([Err(e)]).right_stream(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        let (store, name) = (self.clone(), key.to_owned());
        blocking(key, move || store.remove(&name, &condition)).await
    }
}

impl FolderStore {
    /// `None`: no key can begin like that, or the root isn't there yet.
    fn begin_listing(&self, prefix: &str) -> Result<Option<Listing>, StoreError> {
        let failed = |e: io::Error| reading_error(prefix, e);
        if let Some((folder, _)) = prefix.rsplit_once('/')
            && check_key(folder).is_err()
        {
            return Ok(None);
        }
        match self.root.for_reading() {
            Ok(root) => {
                let root = root.try_clone().map_err(failed)?;
                Ok(Some(Listing::new(root, prefix)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }
}

/// A listing's chunks, each read only when it is asked for: no thread waits for a slow reader.
fn chunks(listing: Option<Listing>) -> impl Stream<Item = Result<Listed, StoreError>> {
    stream::unfold(listing, |listing| async move {
        let mut listing = listing?;
        let read = blocking("", move || Ok((listing.next_chunk(), listing))).await;
        match read {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, listing)) => Some((stream::iter(chunk), Some(listing))),
            Err(e) => Some((stream::iter(vec![Err(e)]), None)),
        }
    })
    .flatten()
}

/// Runs blocking work on tokio's threads for it.
async fn blocking<T: Send + 'static>(
    key: &str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(e) => Err(StoreError::new(StoreErrorKind::Unavailable, key).because(e)),
        },
    }
}

/// Refuses what can't be a relative path below the root, and the names that are the store's own.
fn check_key(key: &str) -> Result<(), StoreError> {
    for part in key.split('/') {
        if part.is_empty() {
            return Err(denied(key, "a part of its name is empty"));
        }
        if part == "." || part == ".." {
            return Err(denied(key, "a folder can't hold the names `.` and `..`"));
        }
        if part.len() > MAX_PART_BYTES {
            let words = format!("a part of its name is longer than {MAX_PART_BYTES} bytes");
            return Err(denied(key, words));
        }
        if part.contains('\0') || (cfg!(windows) && part.contains(['\\', ':'])) {
            return Err(denied(
                key,
                "its name holds a character that no file name can",
            ));
        }
    }
    let name = key.rsplit('/').next().unwrap_or(key);
    let in_lock = key
        .strip_prefix(LOCK_FILE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_temporary_name(name) || in_lock {
        return Err(denied(key, "the store uses that name itself"));
    }
    Ok(())
}

/// Reads `range` of a file that was in the state `before` when it was opened, and makes sure that
/// it still is.
fn read_part(mut file: &File, range: Range<u64>, before: Stamp) -> io::Result<Vec<u8>> {
    let length = range.end - range.start;
    let mut bytes = Vec::new();
    let capacity = usize::try_from(length).map_err(io::Error::other)?;
    // A limit far above the memory must give an error, not an abort.
    bytes.try_reserve_exact(capacity)?;
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length || Stamp::of(&file.metadata()?)? != before {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "it was changed while it was being read",
        ));
    }
    Ok(bytes)
}

/// Makes the disk keep a folder's names.
fn sync_folder(folder: &Dir) -> io::Result<()> {
    // Windows offers no such call; it writes names through by itself.
    if cfg!(unix) {
        folder.open(".")?.sync_all()?;
    }
    Ok(())
}

/// After folders were made: the names of `parent` and of every folder above it.
fn sync_folders_above(root: &Dir, parent: &str) -> io::Result<()> {
    let mut path = parent;
    while let Some((above, _)) = path.rsplit_once('/') {
        sync_folder(&root.open_dir(above)?)?;
        path = above;
    }
    sync_folder(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(file: &File) -> Stamp {
        Stamp::of(&file.metadata().expect("metadata")).expect("a time")
    }

    #[test]
    fn a_file_that_is_changed_while_it_is_being_read_is_refused() {
        let grow = |mut file: &File| file.write_all(b"more");
        let shrink = |file: &File| file.set_len(3);
        let touch = |file: &File| file.set_modified(SystemTime::UNIX_EPOCH);
        for change in [grow, shrink, touch] as [fn(&File) -> io::Result<()>; 3] {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(b"0123456789").expect("room for it");
            let before = stamp(&file);
            assert_eq!(read_part(&file, 2..4, before).expect("steady"), b"23");
            change(&file).expect("a change");
            let error = read_part(&file, 0..10, before).expect_err("changed");
            let error = reading_error("a", error);
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let words = error.to_string();
            assert!(words.contains("changed while it was being read"), "{words}");
        }
    }

    #[test]
    fn a_file_that_is_removed_with_its_folder_or_the_root_before_it_has_its_name_was_never_put() {
        for removed in ["out/a", "out"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("out");
            let store = FolderStore::open_lazily(&path).expect("a store");
            let root = store.root.for_writing().expect("a root");
            let new = store.temporary(&root, "a").expect("room for it");
            std::fs::remove_dir_all(folder.path().join(removed)).expect("removed");
            let bytes = Bytes::from_static(b"new");
            let put = store.fill_and_place(&root, new, "a/b", &bytes, &Condition::IfAbsent);
            assert!(put.expect("no error").is_none(), "{removed}");
            assert!(!path.join("a").exists(), "nothing is there");
            let put = store.write("a/b", &bytes, &Condition::IfAbsent);
            assert!(put.is_ok(), "{removed}: the next attempt");
            let there = std::fs::read(path.join("a/b"));
            assert_eq!(there.expect("a file"), b"new");
        }
    }

    #[test]
    fn a_limit_beyond_all_memory_is_an_error_and_no_abort() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(1 << 62).ok();
        let before = stamp(&file);
        assert!(read_part(&file, 0..1 << 62, before).is_err());
    }
}
