//! The watched folder: what the kernel says of it, which is only a hint, and what a look at it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use pixmill::recipe::FOCUS_POINT;
use pixmill_local::{Kind, stamp, walk_below};

use crate::watch::settling::{Odd, Seen};

/// The system's own watch takes in all folders below, so that one is enough. Elsewhere each folder is watched by
/// itself, and hidden ones and the output are left out.
const ONE_WATCH_FOR_ALL: bool = cfg!(any(target_os = "macos", windows));

/// The folder, as it was when the watch began.
pub(crate) struct Folder {
    /// As it was typed.
    pub(crate) typed: PathBuf,
    /// Without links.
    pub(crate) root: PathBuf,
    /// The output, relative to the root, where it lies in it.
    output: Option<PathBuf>,
    /// Device and number: another folder may take its place.
    identity: (u64, u64),
}

/// What a look at a part of the folder found.
#[derive(Default)]
pub(crate) struct Looked {
    pub(crate) found: BTreeMap<String, Seen>,
    /// Folders that were entered, relative to the root.
    pub(crate) folders: Vec<PathBuf>,
}

impl Folder {
    /// Opens the input folder, and makes the output's, if it is a folder.
    pub(crate) fn open(input: &Path, output: Option<&Path>) -> anyhow::Result<Self> {
        if input.starts_with("s3:/") && !input.exists() {
            bail!(
                "{} is a bucket, and only folders are watched; deploy the function, or run `pixmill convert` every so often",
                input.display()
            );
        }
        let root = input
            .canonicalize()
            .with_context(|| format!("{} can't be watched", input.display()))?;
        let metadata = root.metadata()?;
        if !metadata.is_dir() {
            bail!(
                "{} is not a folder; for one picture there is `pixmill convert`",
                input.display()
            );
        }
        let mut below = None;
        if let Some(output) = output {
            let made = std::fs::create_dir_all(output).and_then(|()| output.canonicalize());
            let real =
                made.with_context(|| format!("the output {} can't be made", output.display()))?;
            if root.starts_with(&real) {
                bail!(
                    "the output {} holds the input, so renditions could be taken for pictures; choose a folder beside the input, or one in it",
                    output.display()
                );
            }
            below = real.strip_prefix(&root).map(Path::to_owned).ok();
        }
        Ok(Self {
            typed: input.to_owned(),
            identity: identity(&metadata),
            output: below,
            root,
        })
    }

    /// Whether the folder is still the one that it was.
    pub(crate) fn is_still_there(&self) -> bool {
        let now = self.root.metadata();
        now.is_ok_and(|now| now.is_dir() && identity(&now) == self.identity)
    }

    /// Whether a path relative to the root could be, or hold, a source.
    fn concerns(&self, below: &Path) -> bool {
        let hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
        !below.iter().any(hidden)
            && !self
                .output
                .as_ref()
                .is_some_and(|output| below.starts_with(output))
    }

    /// Looks at what `below` names, and at all in it. Fails where the folder itself can't be looked at.
    pub(crate) fn look(&self, below: &Path) -> io::Result<Looked> {
        let mut looked = Looked::default();
        let output = self.output.as_ref().map(|output| self.root.join(output));
        for entry in walk_below(&self.root, below, output.as_deref())?.telling_folders() {
            let seen = match entry.kind {
                Kind::Folder => {
                    let below = entry.path.strip_prefix(&self.root);
                    looked.folders.extend(below.map(Path::to_owned));
                    continue;
                }
                Kind::Hidden => continue,
                Kind::File { size, etag } => {
                    let sidecar = self.root.join(format!("{}.{FOCUS_POINT}", entry.key));
                    Seen::File {
                        size,
                        etag,
                        beside: stamp(sidecar).ok().map(|(_, etag)| etag),
                    }
                }
                Kind::NotUtf8 => Seen::Odd(Odd::NotUtf8),
                Kind::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Kind::Unreadable(error) => {
                    Seen::Odd(Odd::Unreadable(error.kind(), error.to_string()))
                }
                _ => Seen::Odd(Odd::NotAFile),
            };
            looked.found.insert(entry.key, seen);
        }
        Ok(looked)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The key of a path relative to the root; the nearest likeness of one that can't be a key.
pub(crate) fn key_of(below: &Path) -> String {
    let parts: Vec<_> = below.iter().map(std::ffi::OsStr::to_string_lossy).collect();
    parts.join("/")
}

/// What the kernel has said since it was last asked. It is a set, so that it grows with the files that change and
/// not with how often they do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Paths relative to the root.
    pub(crate) changed: BTreeSet<PathBuf>,
    /// Hints were lost: everything has to be looked at.
    pub(crate) rescan: bool,
    /// The kernel watches no more folders.
    pub(crate) limit: bool,
    /// What else went wrong.
    pub(crate) trouble: BTreeSet<String>,
}

#[derive(Default)]
struct Heard {
    hints: Mutex<Hints>,
    any: tokio::sync::Notify,
}

impl Heard {
    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's watches on a folder.
pub(crate) struct Watches {
    watcher: RecommendedWatcher,
    heard: Arc<Heard>,
}

/// No more folders can be watched.
pub(crate) struct LimitReached;

impl Watches {
    pub(crate) fn begin(folder: &Arc<Folder>) -> anyhow::Result<Self> {
        let heard = Arc::new(Heard::default());
        let config = notify::Config::default().with_follow_symlinks(false);
        let begun = {
            let (heard, folder) = (heard.clone(), folder.clone());
            let hear = move |event| {
                if take_note(&mut heard.hints(), &folder, event) {
                    heard.any.notify_one();
                }
            };
            RecommendedWatcher::new(hear, config)
        };
        let watcher = begun.context(
            "the system watches no further folders for this user (on Linux, fs.inotify.max_user_instances says how many programs may); end another program that does, or use --poll 5",
        )?;
        let mut begun = Self { watcher, heard };
        let root = begun.watch(folder, &[PathBuf::new()]);
        root.map_err(|LimitReached| anyhow::anyhow!("{LIMIT_WORDS}"))?;
        Ok(begun)
    }

    /// Watches further folders. One that is gone again is no trouble, and one that can't be read is told of by whoever
    /// looks at it.
    pub(crate) fn watch(
        &mut self,
        folder: &Folder,
        folders: &[PathBuf],
    ) -> Result<(), LimitReached> {
        let mode = if ONE_WATCH_FOR_ALL {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        for below in folders {
            let whole = below.as_os_str().is_empty();
            if ONE_WATCH_FOR_ALL && !whole {
                continue;
            }
            // `join` with nothing would add a slash.
            let path = if whole {
                folder.root.clone()
            } else {
                folder.root.join(below)
            };
            if let Err(error) = self.watcher.watch(&path, mode)
                && matches!(error.kind, ErrorKind::MaxFilesWatch)
            {
                return Err(LimitReached);
            }
        }
        Ok(())
    }

    /// Ends when there are hints.
    pub(crate) async fn heard(&self) {
        self.heard.any.notified().await;
    }

    /// All hints since the last call.
    pub(crate) fn take(&self) -> Hints {
        std::mem::take(&mut *self.heard.hints())
    }
}

/// What to do when the kernel's watches run out.
pub(crate) const LIMIT_WORDS: &str = "the system watches no more folders for this user; on Linux, \
`sysctl fs.inotify.max_user_watches` says how many, and `sudo sysctl fs.inotify.max_user_watches=524288` allows more; \
or look at the folder in steps, with --poll 30";

/// Takes note of what the kernel says, and says whether anything was to be noted.
fn take_note(hints: &mut Hints, folder: &Folder, event: notify::Result<Event>) -> bool {
    let event = match event {
        Ok(event) => event,
        Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
            hints.limit = true;
            return true;
        }
        // A path that is gone again is no trouble.
        Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => return false,
        Err(error) => {
            hints.trouble.insert(error.to_string());
            hints.rescan = true;
            return true;
        }
    };
    if event.need_rescan() {
        hints.rescan = true;
        return true;
    }
    // That somebody reads, ourselves for the most part, changes nothing.
    if let EventKind::Access(access) = event.kind
        && access != AccessKind::Close(AccessMode::Write)
    {
        return false;
    }
    let mut noted = false;
    for path in &event.paths {
        let Ok(below) = path.strip_prefix(&folder.root) else {
            continue;
        };
        if !folder.concerns(below) {
            continue;
        }
        noted = true;
        if below.as_os_str().is_empty() {
            hints.rescan = true;
            continue;
        }
        // A focus point speaks of the picture beside it.
        let name = below.file_name().and_then(|name| name.to_str());
        let picture = name.and_then(|name| name.strip_suffix(FOCUS_POINT)?.strip_suffix('.'));
        if let Some(picture) = picture.filter(|picture| !picture.is_empty()) {
            hints.changed.insert(below.with_file_name(picture));
        }
        hints.changed.insert(below.to_owned());
    }
    noted
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, ModifyKind};

    use super::*;

    fn folder(output: Option<&str>) -> Folder {
        Folder {
            typed: PathBuf::from("in"),
            root: PathBuf::from("/in"),
            output: output.map(PathBuf::from),
            identity: (0, 0),
        }
    }

    fn note(folder: &Folder, hints: &mut Hints, kind: EventKind, path: &str) -> bool {
        take_note(hints, folder, Ok(Event::new(kind).add_path(path.into())))
    }

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

    #[test]
    fn a_file_that_is_written_a_thousand_times_is_one_hint() {
        let (folder, mut hints) = (folder(None), Hints::default());
        for _ in 0..1000 {
            assert!(note(&folder, &mut hints, WRITTEN, "/in/a/b.jpg"));
        }
        assert_eq!(hints.changed, [PathBuf::from("a/b.jpg")].into());
        assert!(!hints.rescan);
    }

    #[test]
    fn reading_the_output_and_hidden_files_are_no_hints() {
        let (folder, mut hints) = (folder(Some("out")), Hints::default());
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        assert!(!note(&folder, &mut hints, read, "/in/a.jpg"));
        for path in [
            "/in/out/a.jpg/b.jpg",
            "/in/out",
            "/in/.git/a.jpg",
            "/in/.a.jpg.tmp",
        ] {
            assert!(!note(&folder, &mut hints, WRITTEN, path), "{path}");
        }
        assert_eq!(hints, Hints::default());
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(note(&folder, &mut hints, closed, "/in/outer.jpg"));
    }

    #[test]
    fn a_focus_point_is_a_hint_about_its_picture() {
        let (folder, mut hints) = (folder(None), Hints::default());
        let made = EventKind::Create(CreateKind::File);
        assert!(note(&folder, &mut hints, made, "/in/a/b.jpg.focus-point"));
        let both = ["a/b.jpg", "a/b.jpg.focus-point"].map(PathBuf::from);
        assert_eq!(hints.changed, both.into());
    }

    #[test]
    fn hints_that_were_lost_ask_for_a_look_at_everything() {
        let (folder, mut hints) = (folder(None), Hints::default());
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(take_note(&mut hints, &folder, Ok(lost)));
        assert!(hints.rescan);
        let mut hints = Hints::default();
        assert!(
            note(&folder, &mut hints, WRITTEN, "/in"),
            "the folder itself"
        );
        assert!(hints.rescan);
    }

    #[test]
    fn a_limit_of_the_kernel_is_told() {
        let (folder, mut hints) = (folder(None), Hints::default());
        let limit = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(take_note(&mut hints, &folder, Err(limit)));
        assert!(hints.limit && !hints.rescan);
        let gone = notify::Error::new(ErrorKind::PathNotFound);
        assert!(!take_note(&mut hints, &folder, Err(gone)));
    }
}
