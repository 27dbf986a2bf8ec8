//! From what was typed to candidates: every input, once, with the store that holds it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use futures_util::future::Either;
use futures_util::{StreamExt, stream};
use globset::{Glob, GlobSet, GlobSetBuilder};
use pixmill::error::{Cause, Error, Stage, StoreError, StoreErrorKind};
use pixmill::memory::MemoryStore;
use pixmill::outcome::{Outcome, SkipReason};
use pixmill::plan::Candidate;
use pixmill::ports::{BlobStore, Head, Listed};
use pixmill_lambda::select::is_folder_marker;
use pixmill_local::{FolderStore, Kind, walk};

use crate::args::Work;
use crate::inventory;
use crate::place::{Address, Buckets, Place, SCHEME, told_of_input};

/// The name that standard input gets: its renditions need one.
const STDIN_KEY: &str = "stdin";

/// How many listed objects are asked for at once.
const LOOKS_AT_ONCE: usize = 16;

/// Everything that was named or found.
#[derive(Default)]
pub(crate) struct Inputs {
    /// What may be processed.
    pub(crate) candidates: Vec<Candidate>,
    /// What is settled already, by name: not a file, left out, can't be read.
    pub(crate) settled: Vec<(String, Outcome)>,
}

struct Collector<'a> {
    found: Inputs,
    output: &'a Place,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
    stores: BTreeMap<PathBuf, Arc<dyn BlobStore>>,
    max_bytes: u64,
}

/// Collects what `work` names, for a run that writes to `output`. Fails on patterns and lists that can't be
/// read, and where buckets are named and there is nothing to sign with; what is wrong with one input is its
/// outcome.
pub(crate) async fn collect(
    work: &Work,
    output: &Place,
    buckets: &Buckets,
    max_bytes: u64,
) -> anyhow::Result<Inputs> {
    let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
    let readers = work.inputs.iter().chain(&work.files_from);
    if readers.filter(is_stdin).count() > 1 {
        bail!("standard input can be read only once; name `-` once");
    }
    let mut collector = Collector {
        found: Inputs::default(),
        output,
        include: globs(&work.include)?,
        exclude: globs(&work.exclude)?,
        stores: BTreeMap::new(),
        max_bytes,
    };
    let listed = match &work.files_from {
        Some(list) => listed_paths(list)?,
        None => Vec::new(),
    };
    let named = places(&work.inputs)?;
    let listed = places(&listed)?;
    if let Some(file) = &work.inventory {
        let below = match named.as_slice() {
            [] => None,
            [Place::Bucket(address)] => Some(address),
            _ => bail!(
                "--inventory lists the objects of a bucket; beside it, name nothing but one s3://bucket/prefix/ that they lie below"
            ),
        };
        let rows = inventory::read(file)?;
        buckets.check().await?;
        let looked = looked_up(buckets, rows, below).await;
        if let (true, Some(below)) = (looked.is_empty(), below) {
            bail!("{} lists nothing below {below}", file.display());
        }
        for looked in looked {
            collector.address(looked);
        }
        return Ok(collector.found);
    }
    if named.iter().chain(&listed).any(|p| p.bucket().is_some()) {
        buckets.check().await?;
    }
    for place in named {
        match place {
            Place::Folder(path) if path.as_os_str() == "-" => collector.standard_input()?,
            Place::Folder(path) => collector.path(&path, None),
            Place::Bucket(address) => {
                collector.address(look(buckets, &address, false).await);
            }
        }
    }
    // Objects of a list are asked for side by side, and come back in its order.
    let mut looks = stream::iter(listed)
        .map(async |place| match place {
            Place::Folder(path) => Either::Left(path),
            // As a listed relative path does, a listed key stays whole.
            Place::Bucket(address) => Either::Right(look(buckets, &address, true).await),
        })
        .buffered(LOOKS_AT_ONCE);
    while let Some(look) = looks.next().await {
        match look {
            Either::Left(path) => {
                let key = key_of_listed(&path);
                collector.path(&path, key);
            }
            Either::Right(looked) => collector.address(looked),
        }
    }
    drop(looks);
    Ok(collector.found)
}

fn places(typed: &[PathBuf]) -> anyhow::Result<Vec<Place>> {
    let places = typed.iter().map(|path| Place::try_from(path.as_path()));
    places.collect::<Result<_, _>>().map_err(anyhow::Error::msg)
}

/// What an address turned out to be.
struct Looked {
    address: Address,
    store: Arc<dyn BlobStore>,
    /// What the store puts before each key.
    prefix: String,
    lines: Vec<Listed>,
    /// Whether it is the one object of that name.
    named: bool,
    /// What became of that which can't be read, by its name.
    settled: Vec<(String, Outcome)>,
}

/// The objects of a list, by their buckets, below an address where there is one. What the list doesn't say of an
/// object is asked for.
async fn looked_up(
    buckets: &Buckets,
    rows: Vec<inventory::Row>,
    below: Option<&Address>,
) -> Vec<Looked> {
    let mut by_bucket: BTreeMap<String, Vec<inventory::Row>> = BTreeMap::new();
    let prefix = below.map(Address::prefix).unwrap_or_default();
    for mut row in rows {
        if below.is_some_and(|below| below.bucket != row.bucket) {
            continue;
        }
        // The prefix itself is the marker of a folder, and has no name below it.
        if !row.key.starts_with(&prefix) || row.key.len() == prefix.len() {
            continue;
        }
        row.key.drain(..prefix.len());
        by_bucket.entry(row.bucket.clone()).or_default().push(row);
    }
    let mut all = Vec::new();
    for (bucket, mut rows) in by_bucket {
        // A list of versions names an object more than once.
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.dedup_by(|a, b| a.key == b.key);
        let store = buckets.open_at(&bucket, prefix.clone()).await;
        let mut found: Vec<Result<Listed, StoreError>> = stream::iter(rows)
            .map(async |row| match (row.size, row.etag) {
                (Some(size), Some(etag)) => Ok(Listed {
                    key: row.key,
                    size,
                    etag,
                }),
                _ => store.head(&row.key).await.map(|head| Listed {
                    key: row.key,
                    size: head.size,
                    etag: head.etag,
                }),
            })
            .buffered(LOOKS_AT_ONCE)
            .collect()
            .await;
        let mut looked = Looked {
            address: Address {
                bucket,
                key: prefix.clone(),
            },
            store: Arc::new(store),
            prefix: prefix.clone(),
            lines: Vec::new(),
            named: false,
            settled: Vec::new(),
        };
        for found in found.drain(..) {
            match found {
                Ok(line) => looked.lines.push(line),
                Err(error) => {
                    let name = format!("{}{}", looked.address, error.key());
                    let outcome = if error.kind() == StoreErrorKind::NotFound {
                        Outcome::Skipped(SkipReason::Gone)
                    } else {
                        unreadable(told_of_input(&error, &name))
                    };
                    looked.settled.push((name, outcome));
                }
            }
        }
        all.push(looked);
    }
    all
}

/// Looks for the object of this name, and else for what lies below it. Keys are counted from the object's
/// folder, or from the prefix; with `whole_keys` from the bucket.
async fn look(buckets: &Buckets, address: &Address, whole_keys: bool) -> Looked {
    let name = address.to_string();
    let told = |error: &StoreError| (name.clone(), unreadable(told_of_input(error, &name)));
    let root = |prefix: &str| if whole_keys { "" } else { prefix }.to_owned();
    let below = address.prefix();
    let prefix = root(&below);
    let store = buckets.open_at(&address.bucket, prefix.clone()).await;
    let mut looked = Looked {
        address: address.clone(),
        store: Arc::new(store.clone()),
        lines: Vec::new(),
        prefix,
        named: false,
        settled: Vec::new(),
    };
    let mut refused = None;
    if !address.is_prefix() {
        let slash = address.key.rfind('/').map_or(0, |slash| slash + 1);
        let prefix = root(&address.key[..slash]);
        let key = address.key[prefix.len()..].to_owned();
        let folder = buckets.open_at(&address.bucket, prefix.clone()).await;
        match folder.head(&key).await {
            Ok(Head { size, etag, .. }) => {
                return Looked {
                    store: Arc::new(folder),
                    prefix,
                    lines: vec![Listed { key, size, etag }],
                    named: true,
                    ..looked
                };
            }
            Err(error) if error.kind() == StoreErrorKind::NotFound => {}
            // About a missing object, S3 says "denied" to those who may not list.
            Err(error) => refused = Some(error),
        }
    }
    let mut listing = store.list(&below[looked.prefix.len()..]);
    while let Some(line) = listing.next().await {
        match line {
            Ok(line) => looked.lines.push(line),
            Err(error) => {
                looked.settled.push(told(&error));
                return looked;
            }
        }
    }
    if looked.lines.is_empty() {
        let words = match refused {
            Some(error) => {
                looked.settled.push(told(&error));
                return looked;
            }
            None if address.key.is_empty() => return looked,
            None if address.is_prefix() => "nothing lies below this prefix",
            None => "there is no object of this name, and nothing lies below it",
        };
        let error = StoreError::new(StoreErrorKind::NotFound, &name).because(words);
        looked.settled.push((name, unreadable(error)));
    }
    looked
}

fn unreadable(error: StoreError) -> Outcome {
    Outcome::Failed(Error::new(Stage::Fetch, error))
}

impl Collector<'_> {
    fn standard_input(&mut self) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        let read = io::stdin()
            .lock()
            .take(self.max_bytes + 1)
            .read_to_end(&mut bytes);
        read.context("standard input can't be read")?;
        let store = MemoryStore::new();
        let head = store.insert(STDIN_KEY, bytes);
        self.found.candidates.push(Candidate {
            name: "standard input".to_owned(),
            listed: Listed {
                key: STDIN_KEY.to_owned(),
                size: head.size,
                etag: head.etag,
            },
            sources: Arc::new(store),
            named: true,
            key_in_output: None,
        });
        Ok(())
    }

    /// An object that somebody named, or everything below a prefix.
    fn address(&mut self, looked: Looked) {
        let Looked {
            address,
            store,
            prefix,
            lines,
            named,
            settled,
        } = looked;
        let out = self.output.bucket();
        let out = out.filter(|out| out.bucket == address.bucket);
        let out = out.map(Address::prefix);
        // As an output folder inside an input: not walked. One that lies around the inputs leaves nothing out.
        let own = out.as_ref().filter(|out| {
            let below = address.prefix();
            !named && out.starts_with(&below) && **out != below
        });
        self.found.candidates.reserve(lines.len());
        for line in lines {
            let place = format!("{prefix}{}", line.key);
            if own.is_some_and(|own| place.starts_with(own)) {
                continue;
            }
            let name = format!("{SCHEME}{}/{place}", address.bucket);
            if is_folder_marker(&place) {
                self.settle(&name, Outcome::Skipped(SkipReason::FolderMarker));
                continue;
            }
            let inside = out.as_ref().and_then(|out| place.strip_prefix(out));
            let key_in_output = inside.map(str::to_owned);
            self.candidate(name, line, store.clone(), named, key_in_output);
        }
        self.found.settled.extend(settled);
    }

    /// A path that somebody named: a folder with all in it, or one file.
    fn path(&mut self, path: &Path, key: Option<String>) {
        let name = path.display().to_string();
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.unreadable(&name, error),
        };
        match real.metadata() {
            Err(error) => self.unreadable(&name, error),
            Ok(metadata) if metadata.is_dir() => self.folder(path, &real),
            Ok(metadata) if metadata.is_file() => self.file(&name, &real, key),
            Ok(_) => self.settle(&name, Outcome::Skipped(SkipReason::NotAFile)),
        }
    }

    fn file(&mut self, name: &str, real: &Path, key: Option<String>) {
        let (Some(folder), Some(file_name)) = (real.parent(), real.file_name()) else {
            return self.settle(name, Outcome::Skipped(SkipReason::NotAFile));
        };
        let Some(file_name) = file_name.to_str() else {
            return self.settle(name, not_utf8());
        };
        // A listed file keeps its relative path if that is where it really lies.
        let (root, key) = match key.filter(|key| real.ends_with(key)) {
            Some(key) => {
                let depth = Path::new(&key).components().count();
                let root = real.ancestors().nth(depth).unwrap_or(folder);
                (root.to_owned(), key)
            }
            None => (folder.to_owned(), file_name.to_owned()),
        };
        let stamp = match pixmill_local::stamp(real) {
            Ok(stamp) => stamp,
            Err(error) => return self.unreadable(name, error),
        };
        self.file_candidate(name, &root, &root, key, stamp, true);
    }

    fn folder(&mut self, path: &Path, real: &Path) {
        let entries = match walk(path, self.output.folder()) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(&path.display().to_string(), error),
        };
        for entry in entries {
            let name = entry.path.display().to_string();
            match entry.kind {
                Kind::File { size, etag } => {
                    self.file_candidate(&name, path, real, entry.key, (size, etag), false);
                }
                Kind::Hidden => self.settle(&name, Outcome::Skipped(SkipReason::Hidden)),
                Kind::NotUtf8 => self.settle(&name, not_utf8()),
                Kind::Unreadable(error) => self.unreadable(&name, error),
                _ => self.settle(&name, Outcome::Skipped(SkipReason::NotAFile)),
            }
        }
    }

    fn file_candidate(
        &mut self,
        name: &str,
        root: &Path,
        real_root: &Path,
        key: String,
        (size, etag): (u64, pixmill::ports::Etag),
        named: bool,
    ) {
        let sources = match self.stores.get(real_root) {
            Some(store) => store.clone(),
            None => match FolderStore::open(root) {
                Ok(store) => {
                    let store: Arc<dyn BlobStore> = Arc::new(store.with_focus_points());
                    self.stores.insert(real_root.to_owned(), store.clone());
                    store
                }
                Err(error) => return self.unreadable(name, error),
            },
        };
        let output = self.output.folder().and_then(|out| out.canonicalize().ok());
        let key_in_output = output.and_then(|output| {
            let inside = real_root.join(&key);
            let inside = inside.strip_prefix(output).ok()?;
            inside.to_str().map(str::to_owned)
        });
        let listed = Listed { key, size, etag };
        self.candidate(name.to_owned(), listed, sources, named, key_in_output);
    }

    fn candidate(
        &mut self,
        name: String,
        listed: Listed,
        sources: Arc<dyn BlobStore>,
        named: bool,
        key_in_output: Option<String>,
    ) {
        let key = &listed.key;
        let left_out = self.include.as_ref().is_some_and(|set| !set.is_match(key))
            || self.exclude.as_ref().is_some_and(|set| set.is_match(key));
        if left_out {
            return self.settle(&name, Outcome::Skipped(SkipReason::Excluded));
        }
        self.found.candidates.push(Candidate {
            name,
            listed,
            sources,
            named,
            key_in_output,
        });
    }

    fn unreadable(&mut self, name: &str, error: io::Error) {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => StoreErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => StoreErrorKind::Denied,
            _ => StoreErrorKind::Other,
        };
        self.settle(name, unreadable(StoreError::new(kind, name).because(error)));
    }

    fn settle(&mut self, name: &str, outcome: Outcome) {
        self.found.settled.push((name.to_owned(), outcome));
    }
}

pub(crate) fn not_utf8() -> Outcome {
    let words = "the name is not UTF-8, so it can't be a key; rename the file".to_owned();
    Outcome::Rejected(Error::new(Stage::Plan, Cause::Name(words)))
}

pub(crate) fn globs(patterns: &[String]) -> anyhow::Result<Option<GlobSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).with_context(|| format!("{pattern:?} is no pattern"))?);
    }
    Ok(Some(set.build()?))
}

/// The paths in a list: one a line, or separated by NUL where there is one.
fn listed_paths(list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    if list.as_os_str() == "-" {
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("standard input can't be read")?;
    } else {
        bytes = std::fs::read(list)
            .with_context(|| format!("the list {} can't be read", list.display()))?;
    }
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == separator);
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut paths = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match std::str::from_utf8(line) {
            Ok(path) => paths.push(PathBuf::from(path)),
            Err(_) => bail!("the list {} holds a name that is not UTF-8", list.display()),
        }
    }
    Ok(paths)
}

/// A listed relative path stays what it is; one that climbs out, or is absolute, keeps its name only.
fn key_of_listed(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::Normal(part) => parts.push(part.to_str()?),
            std::path::Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Whether names that differ by case are one name where `path` lies: told by looking for the
/// nearest existing folder under a name of the other case, so that nothing is written.
pub(crate) fn folds_case(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else {
        return false;
    };
    for folder in path.ancestors() {
        let (Some(name), Ok(real)) = (folder.file_name(), folder.canonicalize()) else {
            continue;
        };
        let name = name.to_string_lossy();
        let swapped: String = name
            .chars()
            .map(|c| {
                if c.is_lowercase() {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect();
        if swapped != name {
            let other = folder.with_file_name(swapped).canonicalize();
            // A case-folding system gives back the one name it keeps, or at least the same file.
            return other.is_ok_and(|other| other == real);
        }
    }
    false
}
