//! Files on their way into a folder, and what is left of them when a process is killed.
//!
//! A temporary file is locked by its writer for as long as the writer lives: the operating system
//! lets go of the lock when the process ends, however it ends. So a temporary file that can be
//! locked by somebody else is a leftover, whatever process numbers or clocks say, on other
//! machines and in other containers too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};

const PREFIX: &str = ".pixmill-";
const SUFFIX: &str = ".tmp";

/// Whether a file's name is one that only our temporary files have; no key may claim it.
pub(crate) fn is_temporary_name(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// A temporary file, locked, beside its target; removed when dropped before it was placed.
pub(crate) struct Temporary {
    pub(crate) folder: Dir,
    pub(crate) file: std::fs::File,
    name: String,
    placed: bool,
}

impl Temporary {
    /// Makes an empty one in `folder`. `NotFound`: the folder was removed meanwhile.
    pub(crate) fn new(folder: &Dir) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        loop {
            let (name, folder) = (next_name(), folder.try_clone()?);
            let file = match folder.open_with(&name, &options) {
                Ok(file) => file.into_std(),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let temporary = Self {
                folder,
                file,
                name,
                placed: false,
            };
            temporary.file.lock()?;
            // A cleaner may have come between the file's birth and its lock; then begin again.
            if temporary.folder.try_exists(&temporary.name)? {
                return Ok(temporary);
            }
        }
    }

    /// Makes the file's time later than `other`'s, by as little as the file system can tell.
    /// Says whether anything was changed.
    pub(crate) fn make_newer_than(&self, other: SystemTime) -> io::Result<bool> {
        if self.file.metadata()?.modified()? > other {
            return Ok(false);
        }
        // From ext4 (1 ns) over NTFS (100 ns) and exFAT (10 ms) to FAT (2 s).
        for step in [1, 100, 1_000, 1_000_000, 10_000_000, 2_000_000_000] {
            self.file.set_modified(other + Duration::from_nanos(step))?;
            if self.file.metadata()?.modified()? > other {
                return Ok(true);
            }
        }
        Err(io::Error::other(
            "the file system does not keep modification times, so changes could not be told",
        ))
    }

    /// Gives the file its name, in place of whatever file or link had it.
    pub(crate) fn place(&mut self, name: &str) -> io::Result<()> {
        self.folder.rename(&self.name, &self.folder, name)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // What can't be removed now is a leftover for the next `clean_leftovers`.
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

/// A name never given before: process, moment of the process's first write, count. The moment
/// keeps two containers apart that share a folder and have the same process number.
fn next_name() -> String {
    static BEGUN: LazyLock<u128> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |d| d.as_nanos())
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    format!("{PREFIX}{process}-{:x}-{count}{SUFFIX}", *BEGUN)
}

/// Removes what dead writers left anywhere below `root` and says how many files that were. What
/// can't be read or removed is passed over.
pub(crate) fn remove_leftovers(root: &Dir) -> u64 {
    let mut removed = 0;
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let folder = if path.as_os_str().is_empty() {
            root.try_clone()
        } else {
            root.open_dir(&path)
        };
        let Ok(folder) = folder else { continue };
        let Ok(entries) = folder.entries() else {
            continue;
        };
        for entry in entries.map_while(Result::ok) {
            let name = entry.file_name();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(path.join(name)),
                Ok(kind) if kind.is_file() && name.to_str().is_some_and(is_temporary_name) => {
                    let done = remove_if_left_over(&folder, Path::new(&name));
                    removed += u64::from(done.unwrap_or(false));
                }
                _ => {}
            }
        }
    }
    removed
}

/// Removes `name` in `folder` if it is a temporary file whose writer is dead.
fn remove_if_left_over(folder: &Dir, name: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.read(true);
    options.follow(FollowSymlinks::No).nonblock(true);
    let file = folder.open_with(name, &options)?.into_std();
    if !file.metadata()?.is_file() || file.try_lock().is_err() {
        return Ok(false);
    }
    // Names are never given twice, so what has this name now is what is locked, or nothing
    // (its writer has just placed it).
    folder.remove_file(name)?;
    Ok(true)
}
