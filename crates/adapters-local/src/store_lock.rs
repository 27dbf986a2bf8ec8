//! The one lock of a folder: held while a condition is checked and the file is put in place.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};

/// Our own folder inside the root.
pub(crate) const OWN_FOLDER: &str = ".pixmill";
/// The lock's name inside the root; no key may claim it.
pub(crate) const LOCK_FILE: &str = ".pixmill/lock";

/// Two locks, because neither is enough: the mutex keeps the threads of this process apart even
/// where file locks belong to processes (NFS), the file lock keeps processes apart.
#[derive(Debug, Default)]
pub(crate) struct StoreLock {
    in_process: Mutex<()>,
}

/// The lock, held until dropped; a process that dies lets go of it too.
pub(crate) struct Held<'a> {
    // Dropped in this order: the file lock first.
    _file: std::fs::File,
    _in_process: MutexGuard<'a, ()>,
}

impl StoreLock {
    /// Waits for the lock; makes its file if this is the first write ever.
    pub(crate) fn hold(&self, root: &Dir) -> io::Result<Held<'_>> {
        // The mutex guards no data that a panic could have left half-done.
        let in_process = self
            .in_process
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let file = open_lock_file(root)?;
            match file.lock() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                locked => locked?,
            }
            // Somebody may have removed `.pixmill` meanwhile; a lock on a file that the next
            // writer can't see would protect nothing.
            let ours = file.metadata()?;
            match root.symlink_metadata(LOCK_FILE) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {
                    return Ok(Held {
                        _file: file,
                        _in_process: in_process,
                    });
                }
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
}

fn open_lock_file(root: &Dir) -> io::Result<std::fs::File> {
    // Neither a link nor a pipe planted at the lock's name may lead astray or block.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    options.follow(FollowSymlinks::No).nonblock(true);
    loop {
        match root.create_dir(OWN_FOLDER) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        match root.open_with(LOCK_FILE, &options) {
            Ok(file) if file.metadata()?.is_file() => return Ok(file.into_std()),
            Ok(_) => {
                let words = "`.pixmill/lock` is not a regular file";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
            }
            // The folder was removed between the two calls; but a dangling link in its place
            // would look the same forever.
            Err(e)
                if e.kind() == io::ErrorKind::NotFound
                    && root
                        .symlink_metadata(OWN_FOLDER)
                        .is_err_and(|e| e.kind() == io::ErrorKind::NotFound) => {}
            Err(e) => return Err(e),
        }
    }
}
