//! A walk over a folder of sources: every name in it, once, with what it is.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use pixmill::ports::Etag;
use walkdir::{DirEntry, WalkDir};

use crate::etag::Stamp;
use crate::sidecar;
use crate::store_lock::OWN_FOLDER;
use crate::temporary::is_temporary_name;

/// One name below the root. Folders appear only when they are not entered, or when they are asked for.
#[derive(Debug)]
pub struct Entry {
    /// The key under which a [`FolderStore`](crate::FolderStore) on the same root finds it; for a
    /// name that is not UTF-8, its nearest likeness.
    pub key: String,
    /// Where it is: the root as it was given, and what is below it.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What a name turned out to be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file, or a link to one inside the root: a source, perhaps.
    File {
        /// Its size, in bytes.
        size: u64,
        /// The etag that a [`FolderStore`](crate::FolderStore) gives it.
        etag: Etag,
    },
    /// A folder that is entered, where [`Walk::telling_folders`] asks for them.
    Folder,
    /// A name that begins with a dot; a folder of such a name is not entered.
    Hidden,
    /// A link that can't be followed, a pipe, a socket, a device; the words say which.
    NotAFile(&'static str),
    /// A name that can't be a key; a folder of such a name is not entered.
    NotUtf8,
    /// A folder that can't be listed, or a file that can't be looked at.
    Unreadable(io::Error),
}

/// Walks the folder `root`: recursive, in the byte order of the keys, each name once.
///
/// - Links to files are taken if a [`FolderStore`](crate::FolderStore) could read them, that is if
///   they lead to a regular file inside `root`. Links to folders are reported, not followed, so
///   there are no cycles.
/// - What Pixmill keeps for itself (`.pixmill`, temporary files) is not reported at all, nor is a file
///   that holds the focus point of another (`cat.jpg.focus-point` beside `cat.jpg`).
/// - The folder `leave_out` and all below it is not reported either: an output folder inside the
///   input. It may be spelled in any way, and need not exist yet. One that is `root` itself or
///   lies around it leaves nothing out.
///
/// The error is about `root` itself; errors below it are entries.
pub fn walk(root: impl AsRef<Path>, leave_out: Option<&Path>) -> io::Result<Walk> {
    walk_below(root, Path::new(""), leave_out)
}

/// Walks a part of the folder `root`, by the same rules: what `below` names, relative to the root, and if that is
/// a folder all in it; what is not there is an [`Kind::Unreadable`] of that kind. Folders on the way to it are not looked at: whether one of them is
/// hidden is the caller's to know.
pub fn walk_below(
    root: impl AsRef<Path>,
    below: &Path,
    leave_out: Option<&Path>,
) -> io::Result<Walk> {
    let root = root.as_ref();
    let folder = Dir::open_ambient_dir(root, ambient_authority())?;
    let leave_out = match leave_out {
        Some(path) => {
            let left_out = resolve(path)?;
            let below = left_out.strip_prefix(root.canonicalize()?);
            below.map(Path::to_owned).ok()
        }
        None => None,
    };
    let whole = below.as_os_str().is_empty();
    let start = if whole {
        root.to_owned()
    } else {
        root.join(below)
    };
    let entries = WalkDir::new(start)
        .min_depth(usize::from(whole))
        // A link that is named is a link, as it is where it is found.
        .follow_root_links(whole)
        .sort_by(by_key);
    Ok(Walk {
        root: root.to_owned(),
        folder,
        leave_out,
        tells_folders: false,
        entries: entries.into_iter(),
    })
}

/// The iterator that [`walk`] returns.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    folder: Dir,
    /// Relative to the root.
    leave_out: Option<PathBuf>,
    tells_folders: bool,
    entries: walkdir::IntoIter,
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(e) => {
                    let path = e.path().unwrap_or(&self.root).to_owned();
                    let error = e.into();
                    return Some(self.entry(path, Kind::Unreadable(error)));
                }
            };
            let is_folder = entry.file_type().is_dir();
            let kind =
                if is_ours(&entry) || self.is_left_out(entry.path()) || self.is_sidecar(&entry) {
                    None
                } else if entry.file_name().to_str().is_none() {
                    Some(Kind::NotUtf8)
                } else if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    Some(Kind::Hidden)
                } else if is_folder {
                    if !self.tells_folders {
                        continue;
                    }
                    return Some(self.entry(entry.into_path(), Kind::Folder));
                } else {
                    Some(self.look_at(&entry).unwrap_or_else(Kind::Unreadable))
                };
            if is_folder {
                self.entries.skip_current_dir();
            }
            if let Some(kind) = kind {
                return Some(self.entry(entry.into_path(), kind));
            }
        }
    }
}

impl Walk {
    /// Reports the folders that are entered too, each before what is in it; not the root.
    #[must_use]
    pub fn telling_folders(mut self) -> Self {
        self.tells_folders = true;
        self
    }

    fn entry(&self, path: PathBuf, kind: Kind) -> Entry {
        let parts = self.below_root(&path).iter();
        let parts: Vec<_> = parts.map(OsStr::to_string_lossy).collect();
        Entry {
            key: parts.join("/"),
            path,
            kind,
        }
    }

    fn below_root<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.leave_out.as_deref() == Some(self.below_root(path))
    }

    /// Whether it says something of a file that is there: alone it is a file like any other.
    fn is_sidecar(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name().to_str().and_then(sidecar::belongs_to);
        name.is_some_and(|name| {
            let below = self.below_root(entry.path()).with_file_name(name);
            self.folder.symlink_metadata(below).is_ok()
        })
    }

    fn look_at(&self, entry: &DirEntry) -> io::Result<Kind> {
        let metadata = if entry.path_is_symlink() {
            match self.folder.metadata(self.below_root(entry.path())) {
                Ok(there) if there.is_dir() => return Ok(Kind::NotAFile("a link to a folder")),
                Ok(there) if there.is_file() => there,
                Ok(_) => return Ok(Kind::NotAFile("a link to something that is not a file")),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Ok(Kind::NotAFile("a link that leads nowhere"));
                }
                // Refused by the folder's confinement, or by permissions on the way.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    return Ok(Kind::NotAFile("a link that leads out of the folder"));
                }
                Err(_) => return Ok(Kind::NotAFile("a link that leads in circles")),
            }
        } else if entry.file_type().is_file() {
            self.folder
                .symlink_metadata(self.below_root(entry.path()))?
        } else {
            return Ok(Kind::NotAFile("a pipe, a socket or a device"));
        };
        let stamp = Stamp::of_entry(&metadata)?;
        Ok(Kind::File {
            size: stamp.size,
            etag: stamp.etag(),
        })
    }
}

fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_str();
    name.is_some_and(|name| {
        name == OWN_FOLDER || (is_temporary_name(name) && !entry.file_type().is_dir())
    })
}

/// In the order of keys: a folder counts with the slash that follows its name in every key.
fn by_key(a: &DirEntry, b: &DirEntry) -> Ordering {
    fn bytes(entry: &DirEntry) -> impl Iterator<Item = &u8> {
        let slash: &[u8] = if entry.file_type().is_dir() {
            b"/"
        } else {
            b""
        };
        entry.file_name().as_encoded_bytes().iter().chain(slash)
    }
    bytes(a).cmp(bytes(b))
}

/// The path without links and detours, as far as it exists.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            resolved => {
                let rest = path.strip_prefix(existing).map_err(io::Error::other)?;
                let resolved = resolved?;
                // `join` with nothing would add a slash.
                let whole = rest.iter().fold(resolved, |path, part| path.join(part));
                return Ok(whole);
            }
        }
    }
    Ok(path)
}
