//! What a run would do: the recipe times the sources, held against what is there.
//!
//! A survey reads records, listings and headers, never whole pictures (but for a source that was
//! touched without changing its size: its content decides). What follows from it is decided by
//! pure functions, and a run does exactly what its plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::lock::Mutex;
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::error::{Cause, Error, Stage};
use crate::image::{Format, Info, Sniffed, WarningCode};
use crate::key::KeyTemplate;
use crate::manifest::{FailureRecord, Manifest, State};
use crate::outcome::SkipReason;
use crate::ports::{BlobStore, Etag, Listed};
use crate::process::{
    CALLS_AT_ONCE, Foreign, Processor, SMALL_READ, foreign_file, known_failure, probe_source,
    still_fails,
};
use crate::recipe::{FocusPoint, Recipe};
use crate::render::{RENDER_REVISION, admissible, predict};

/// A source that may be processed.
#[derive(Clone)]
pub struct Candidate {
    /// What people call it: a path, most likely.
    pub name: String,
    /// Its key, size and etag in its store.
    pub listed: Listed,
    /// Its store.
    pub sources: Arc<dyn BlobStore>,
    /// Whether somebody named it, rather than found it in a folder: then it is never skipped for
    /// not being a picture, but refused.
    pub named: bool,
    /// The key that it has in the output, where the output holds the inputs too.
    pub key_in_output: Option<String>,
}

/// What is to be done about one source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Nothing is there yet.
    Create,
    /// Something is there and is not what it should be.
    Update(Reason),
    /// Everything is in place.
    Keep {
        /// Whether its manifest has to take note of changed circumstances (a touched source, a
        /// new recipe revision); no picture is made.
        refresh: bool,
    },
    /// Not ours to do.
    Skip(SkipReason),
    /// Another source would write one of its paths: neither is done.
    Collision(Error),
    /// It can't be done, as its name, its header or an earlier attempt shows.
    Refused(Error),
}

/// Why something has to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The source changed.
    Source,
    /// The recipe changed.
    Recipe,
    /// The engine makes other bytes than the one that was here.
    Engine,
    /// A rendition is missing or was changed by someone else.
    Missing,
    /// A run was cut off.
    Unfinished,
    /// Time or memory did not allow for all variants the last time.
    Deferred,
    /// The caller wants it.
    Forced,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "the source changed",
            Self::Recipe => "the recipe changed",
            Self::Engine => "the engine changed",
            Self::Missing => "a rendition is missing or was changed",
            Self::Unfinished => "an earlier run was cut off",
            Self::Deferred => "some variants were put off for want of time or memory",
            Self::Forced => "forced",
        })
    }
}

impl Reason {
    /// The bounded word for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Recipe => "recipe",
            Self::Engine => "engine",
            Self::Missing => "missing",
            Self::Unfinished => "unfinished",
            Self::Deferred => "deferred",
            Self::Forced => "forced",
        }
    }
}

impl Action {
    /// The action's one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update(_) => "update",
            Self::Keep { .. } => "keep",
            Self::Skip(_) => "skip",
            Self::Collision(_) => "collision",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether pictures are made.
    pub fn renders(&self) -> bool {
        matches!(self, Self::Create | Self::Update(_))
    }
}

/// One source of a plan.
pub struct Item {
    /// The source.
    pub candidate: Candidate,
    /// What is to be done about it.
    pub action: Action,
    /// What its header says, where it was looked at.
    pub info: Option<Info>,
    /// The predicted peak of memory for making it, in bytes; of what its header refuses or could not be read of, what the
    /// file alone takes. 0 where nothing is made, or no header was looked at.
    pub memory_bytes: u64,
}

/// What was made from a source that is not among the inputs, or tells of one that could not be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The source's key, as its manifest or failure record says.
    pub source: String,
    /// The manifest's key; none where there is a failure record alone.
    pub manifest: Option<String>,
    /// The failure record's key.
    pub failure: Option<String>,
    /// What lies under the keys that the manifest claims, in the order of their keys.
    pub renditions: Vec<String>,
    /// The size of all of these, in bytes.
    pub bytes: u64,
    /// One of the claimed keys that the manifest of another source claims too: then it is not known whose it is.
    pub shared: Option<String>,
}

/// What a run would do.
pub struct Plan {
    /// One item per source, in the order given.
    pub items: Vec<Item>,
    /// What was made from other sources, in the order of their keys.
    pub orphans: Vec<Orphan>,
}

/// How many sources get which action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "each counts the action of its name")]
pub struct PlanCounts {
    pub create: u64,
    pub update: u64,
    pub keep: u64,
    pub skip: u64,
    pub collision: u64,
    pub refused: u64,
    pub orphans: u64,
}

impl Plan {
    /// How many sources are made again for which reason, by the reason's code.
    pub fn updates(&self) -> BTreeMap<&'static str, u64> {
        let mut updates = BTreeMap::new();
        for item in &self.items {
            if let Action::Update(reason) = item.action {
                *updates.entry(reason.code()).or_default() += 1;
            }
        }
        updates
    }

    /// How many sources get which action.
    pub fn counts(&self) -> PlanCounts {
        let mut counts = PlanCounts {
            orphans: self.orphans.len() as u64,
            ..PlanCounts::default()
        };
        for item in &self.items {
            *match item.action {
                Action::Create => &mut counts.create,
                Action::Update(_) => &mut counts.update,
                Action::Keep { .. } => &mut counts.keep,
                Action::Skip(_) => &mut counts.skip,
                Action::Collision(_) => &mut counts.collision,
                Action::Refused(_) => &mut counts.refused,
            } += 1;
        }
        counts
    }
}

/// What lies in the output, by key.
type Listing = BTreeMap<String, There>;

/// A line of the output's listing without its key.
struct There {
    size: u64,
    etag: Etag,
}

/// What the survey found of one source.
#[derive(Default)]
struct Found {
    manifest: Option<Result<Manifest, Error>>,
    failure: Option<FailureRecord>,
    /// The store's etag differs from the manifest's, and yet the content is the same.
    same_content: bool,
    /// The point that was given with the source, where it could decide, or why it is none.
    point: Option<Result<FocusPoint, String>>,
}

impl Processor {
    /// Plans a run over `candidates`, whose keys must differ. `fold_case` says that the output
    /// takes names that differ by case for one name. Nothing is written.
    ///
    /// Fails only where the output itself can't be read; what is wrong with one source is in its item.
    pub async fn plan(&self, candidates: Vec<Candidate>, fold_case: bool) -> Result<Plan, Error> {
        let listing = self.list_output().await?;
        let orphans = self.orphans(&candidates, &listing).await?;
        self.plan_against(candidates, &listing, orphans, fold_case)
            .await
    }

    /// Plans a part of a run: some of the sources, as after a change to them. It looks under their own keys
    /// only, so that it costs what they cost, however much the output holds. It finds no orphans, and
    /// collisions among the candidates alone; where a template doesn't keep sources apart
    /// ([`Recipe::check_for_events`]), plan all of them.
    ///
    /// Fails as [`Processor::plan`] does.
    pub async fn plan_part(
        &self,
        candidates: Vec<Candidate>,
        fold_case: bool,
    ) -> Result<Plan, Error> {
        let keys: Vec<String> = candidates.iter().map(|c| c.listed.key.clone()).collect();
        let listed = futures_util::stream::iter(keys)
            .map(async |key| self.list_output_of(&key).await)
            .buffered(CALLS_AT_ONCE);
        let listings: Vec<Listing> = listed.try_collect().await?;
        let listing = listings.into_iter().flatten().collect();
        self.plan_against(candidates, &listing, Vec::new(), fold_case)
            .await
    }

    async fn plan_against(
        &self,
        candidates: Vec<Candidate>,
        listing: &Listing,
        mut orphans: Vec<Orphan>,
        fold_case: bool,
    ) -> Result<Plan, Error> {
        let orphaned: BTreeSet<String> = orphans
            .iter()
            .flat_map(|orphan| orphan.renditions.iter().cloned())
            .collect();
        let overlaps = candidates.iter().any(|c| c.key_in_output.is_some());
        let whole = self.whole_reads(&candidates);
        let whole = whole.as_ref();
        // What a record holds is let go as soon as it has decided, but for the keys that concern others too.
        let (mut ours, mut shared) = (orphaned.clone(), BTreeSet::new());
        let mut items: Vec<Item> = Vec::with_capacity(candidates.len());
        let mut decided = futures_util::stream::iter(candidates)
            .map(async |candidate| {
                let found = self.survey(&candidate, listing, whole).await?;
                let action = self.decide(&candidate.listed, &found, listing);
                let mut claimed = Vec::new();
                if let Some(Ok(manifest)) = &found.manifest {
                    let keys = manifest.claimed_keys();
                    let keys = keys.filter(|key| overlaps || orphaned.contains(*key));
                    claimed.extend(keys.map(str::to_owned));
                }
                let item = Item {
                    candidate,
                    action,
                    info: None,
                    memory_bytes: 0,
                };
                Ok::<_, Error>((item, claimed))
            })
            .buffered(CALLS_AT_ONCE);
        while let Some((item, claimed)) = decided.try_next().await? {
            items.push(item);
            for key in claimed {
                if orphaned.contains(&key) {
                    shared.insert(key.clone());
                }
                ours.insert(key);
            }
        }
        drop(decided);
        for item in &mut items {
            let own = item.candidate.key_in_output.as_deref();
            if own.is_some_and(|key| ours.contains(key)) {
                item.action = Action::Skip(SkipReason::OwnOutput);
            }
        }
        for orphan in &mut orphans {
            let claimed_twice = orphan.renditions.iter().find(|key| shared.contains(*key));
            orphan.shared = claimed_twice.cloned();
        }
        if self.options.headers {
            let looks = futures_util::stream::iter(items.iter_mut())
                .map(|item| self.look_at_header(item, whole))
                .buffer_unordered(CALLS_AT_ONCE);
            looks.collect::<()>().await;
        }
        refuse_collisions(&self.recipe, &mut items, fold_case);
        refuse_overwriting_inputs(&self.recipe, &mut items, fold_case);
        Ok(Plan { items, orphans })
    }

    async fn list_output(&self) -> Result<Listing, Error> {
        let lines = self.output.list("").map_ok(|line| {
            let Listed { key, size, etag } = line;
            (key, There { size, etag })
        });
        let listing = lines.try_collect().await;
        listing.map_err(|error| Error::new(Stage::Plan, error))
    }

    /// What lies under the keys that one source's renditions and records have, or had.
    async fn list_output_of(&self, source: &str) -> Result<Listing, Error> {
        let manifest_key = self.recipe.output.manifest_key(source);
        let mut keys: BTreeSet<String> = self
            .recipe
            .early_keys(source)
            .into_iter()
            .flatten()
            .collect();
        if let Some(bytes) = self.record(&manifest_key).await?
            && let Ok(manifest) = Manifest::from_json(&manifest_key, &bytes)
        {
            keys.extend(manifest.claimed_keys().map(str::to_owned));
        }
        keys.insert(manifest_key);
        let mut listing = self.present(source, keys).await?;
        let failed = BTreeSet::from([self.recipe.output.failed_key(source)]);
        listing.extend(self.present(source, failed).await?);
        let lines = listing.into_values().map(|line| {
            let Listed { key, size, etag } = line;
            (key, There { size, etag })
        });
        Ok(lines.collect())
    }

    async fn survey(
        &self,
        candidate: &Candidate,
        listing: &Listing,
        whole: Option<&Mutex<()>>,
    ) -> Result<Found, Error> {
        let source = &candidate.listed;
        let mut found = Found::default();
        let manifest_key = self.recipe.output.manifest_key(&source.key);
        let early = self.recipe.early_keys(&source.key).unwrap_or_default();
        // A listing takes its time: another run may have claimed what was listed after its record was not.
        let listed = |key: &String| listing.contains_key(key);
        if (listed(&manifest_key) || early.iter().any(listed))
            && let Some(bytes) = self.record(&manifest_key).await?
        {
            found.manifest = Some(Manifest::from_json(&manifest_key, &bytes));
        }
        let failed_key = self.recipe.output.failed_key(&source.key);
        if listing.contains_key(&failed_key)
            && let Some(bytes) = self.record(&failed_key).await?
        {
            found.failure = FailureRecord::from_json(&failed_key, &bytes).ok();
        }
        if let Some(Ok(manifest)) = &found.manifest
            && manifest.source.bytes == source.size
            && !is_same_object(manifest, source)
        {
            let sha256 = &manifest.source.sha256;
            found.same_content = self.has_content(candidate, sha256, whole).await?;
        }
        if let Some(Ok(_)) = &found.manifest
            && self.recipe.takes_focus_points()
            // Whatever is wrong with it will be said where it is processed.
            && let Ok(head) = candidate.sources.head(&source.key).await
        {
            found.point = self.recipe.focus_point(&head.metadata);
        }
        Ok(found)
    }

    async fn record(&self, key: &str) -> Result<Option<bytes::Bytes>, Error> {
        let fetched = self.read_record(key).await?;
        Ok(fetched.map(|fetched| fetched.bytes))
    }

    async fn has_content(
        &self,
        candidate: &Candidate,
        sha256: &str,
        whole: Option<&Mutex<()>>,
    ) -> Result<bool, Error> {
        let limit = self.recipe.limits.input_bytes;
        let _alone = match whole.filter(|_| candidate.listed.size > SMALL_READ) {
            Some(whole) => Some(whole.lock().await),
            None => None,
        };
        match candidate
            .sources
            .get(&candidate.listed.key, limit, None)
            .await
        {
            Ok(fetched) => {
                let hash = move || hex::encode(Sha256::digest(fetched.bytes));
                Ok(self.run(hash).await? == sha256)
            }
            // Whatever is wrong with it will be said where it is processed.
            Err(_) => Ok(false),
        }
    }

    /// Manifests and failure records of sources that are not among the candidates, in the order of the sources.
    async fn orphans(
        &self,
        candidates: &[Candidate],
        listing: &Listing,
    ) -> Result<Vec<Orphan>, Error> {
        let output = &self.recipe.output;
        let there = |key: &String| listing.contains_key(key);
        let mut known: BTreeSet<String> = candidates
            .iter()
            .map(|c| output.manifest_key(&c.listed.key))
            .filter(there)
            .collect();
        let strangers = |template: &KeyTemplate, known: &BTreeSet<String>| {
            let keys = listing.keys();
            let strange = |key: &&String| template.could_have_made(key) && !known.contains(*key);
            keys.filter(strange).cloned().collect::<Vec<_>>()
        };
        let mut orphans: BTreeMap<String, Orphan> = BTreeMap::new();
        let mut read = futures_util::stream::iter(strangers(&output.manifest, &known))
            .map(async |key: String| {
                let bytes = self.record(&key).await?;
                // Whatever else ends in this name is somebody else's.
                let manifest = bytes.and_then(|bytes| Manifest::from_json(&key, &bytes).ok());
                let ours = manifest.filter(|m| output.manifest_key(&m.source.key) == key);
                Ok::<_, Error>(ours.map(|manifest| (key, manifest)))
            })
            .buffered(CALLS_AT_ONCE);
        while let Some(found) = read.try_next().await? {
            let Some((key, manifest)) = found else {
                continue;
            };
            let claimed: BTreeSet<&str> = manifest.claimed_keys().collect();
            let lying = claimed
                .into_iter()
                .filter_map(|key| Some((key, listing.get(key)?)));
            let (renditions, sizes): (Vec<_>, Vec<_>) = lying
                .map(|(key, there)| (key.to_owned(), there.size))
                .unzip();
            let failed_key = output.failed_key(&manifest.source.key);
            let failure = Some(failed_key).filter(|key| listing.contains_key(key));
            let orphan = Orphan {
                source: manifest.source.key,
                manifest: Some(key),
                failure,
                renditions,
                bytes: sizes.into_iter().sum(),
                shared: None,
            };
            orphans.insert(orphan.source.clone(), orphan);
        }
        drop(read);
        known = candidates
            .iter()
            .map(|c| output.failed_key(&c.listed.key))
            .filter(there)
            .collect();
        let failures = orphans.values().filter_map(|orphan| orphan.failure.clone());
        known.extend(failures);
        let mut read = futures_util::stream::iter(strangers(&output.failed, &known))
            .map(async |key: String| {
                let bytes = self.record(&key).await?;
                let record = bytes.and_then(|bytes| FailureRecord::from_json(&key, &bytes).ok());
                let ours = record.filter(|record| output.failed_key(&record.source) == key);
                Ok::<_, Error>(ours.map(|record| (key, record.source)))
            })
            .buffered(CALLS_AT_ONCE);
        while let Some(found) = read.try_next().await? {
            let Some((key, source)) = found else {
                continue;
            };
            orphans.entry(source.clone()).or_insert(Orphan {
                source,
                manifest: None,
                failure: Some(key),
                renditions: Vec::new(),
                bytes: 0,
                shared: None,
            });
        }
        Ok(orphans.into_values().collect())
    }

    /// What follows for one source from what was found.
    fn decide(&self, source: &Listed, found: &Found, listing: &Listing) -> Action {
        let force = self.options.force;
        let careful = self.options.foreign == Foreign::Refuse && !force;
        if let Some(failure) = &found.failure
            && !force
            && still_fails(&self.recipe, failure, &source.etag)
        {
            return Action::Refused(known_failure(failure));
        }
        let manifest = match &found.manifest {
            Some(Ok(manifest)) => Some(manifest),
            Some(Err(error)) if careful => {
                let words = Cause::Record(error.cause().to_string());
                return Action::Refused(Error::new(Stage::Plan, words));
            }
            _ => None,
        };
        if careful {
            let keys = self.recipe.early_keys(&source.key).unwrap_or_default();
            let claimed = |key: &String| manifest.is_some_and(|m| m.claims(key));
            if let Some(key) = keys
                .iter()
                .find(|k| listing.contains_key(*k) && !claimed(k))
            {
                return Action::Refused(Error::new(Stage::Plan, foreign_file(key)));
            }
        }
        let Some(manifest) = manifest else {
            return Action::Create;
        };
        if force {
            return Action::Update(Reason::Forced);
        }
        if self.is_newer_work(manifest) {
            return Action::Skip(SkipReason::NewerWork);
        }
        let same_source = is_same_object(manifest, source) || found.same_content;
        let point = found.point.as_ref().and_then(|point| point.as_ref().ok());
        let around = point.map(|point| self.recipe.around(*point));
        let recipe = around.as_ref().unwrap_or(&self.recipe);
        match why_update(recipe, manifest, same_source, listing) {
            Some(reason) => Action::Update(reason),
            None => Action::Keep {
                refresh: !is_same_object(manifest, source)
                    || manifest.recipe.revision != self.recipe.revision
                    || manifest.replaced_by.is_some()
                    || found.failure.is_some()
                    || warns_of_point(manifest) != matches!(found.point, Some(Err(_))),
            },
        }
    }

    /// Where sources that have to be read whole, or nearly so, could take more memory than there is, if many of them were read
    /// at once: they take turns by this. One that was touched is read whole, and so is one whose header is at its
    /// end or nowhere.
    fn whole_reads(&self, candidates: &[Candidate]) -> Option<Mutex<()>> {
        let sizes = candidates.iter().map(|candidate| candidate.listed.size);
        let largest = sizes.max().unwrap_or(0).min(self.recipe.limits.input_bytes);
        let at_worst = largest.saturating_mul(CALLS_AT_ONCE as u64);
        let is_scarce = self.options.memory.is_some_and(|memory| memory < at_worst);
        is_scarce.then(Mutex::default)
    }

    /// Reads the header of what would be made: what is refused by it is known before the run, and
    /// so is the memory that the rest will need.
    async fn look_at_header(&self, item: &mut Item, whole: Option<&Mutex<()>>) {
        if !item.action.renders() {
            return;
        }
        let source = &item.candidate.listed;
        // The run reads it also where its header is refused here: that leaves its failure record.
        item.memory_bytes = source.size.min(self.recipe.limits.input_bytes);
        let sources = item.candidate.sources.as_ref();
        let limits = &self.recipe.limits;
        let (key, size) = (&source.key, source.size);
        let probed = probe_source(sources, key, size, limits.input_bytes, whole).await;
        let (sniffed, info) = match probed {
            Ok(probed) => probed,
            Err(error) => {
                // A store that fails now may answer later: the run itself will see.
                if !error.is_transient() {
                    item.action = Action::Refused(error);
                }
                return;
            }
        };
        match info.and_then(|info| admissible(&info, &self.recipe).map(|()| info)) {
            Ok(info) => {
                let threads = self.options.threads.get();
                let prediction = predict(&info, source.size, &self.recipe, threads);
                item.memory_bytes = prediction.memory_bytes;
                item.info = Some(info);
            }
            Err(_) if !item.candidate.named && !is_meant_as_picture(&source.key, sniffed) => {
                item.action = Action::Skip(SkipReason::NotAPicture);
                item.memory_bytes = 0;
            }
            Err(error) => item.action = Action::Refused(error),
        }
    }
}

fn warns_of_point(manifest: &Manifest) -> bool {
    let mut codes = manifest.warnings.iter().map(|warning| warning.code);
    codes.any(|code| code == WarningCode::FocusPointUnusable)
}

fn is_same_object(manifest: &Manifest, source: &Listed) -> bool {
    let recorded = manifest.store.source.as_ref();
    recorded.is_some_and(|object| object.etag == source.etag)
}

fn why_update(
    recipe: &Recipe,
    manifest: &Manifest,
    same_source: bool,
    listing: &Listing,
) -> Option<Reason> {
    if manifest.state == State::Replacing {
        return Some(Reason::Unfinished);
    }
    if !same_source {
        return Some(Reason::Source);
    }
    if manifest.state == State::Incomplete {
        return Some(Reason::Deferred);
    }
    if manifest.engine.render_revision != RENDER_REVISION {
        return Some(Reason::Engine);
    }
    let recorded = manifest.variants.iter().map(|v| (v.name.as_str(), v));
    let recorded: BTreeMap<_, _> = recorded.collect();
    let as_asked = |variant: &crate::recipe::Variant| {
        let record = recorded.get(variant.name.as_str());
        record.is_some_and(|r| {
            r.digest == recipe.variant_digest(variant)
                && (r.skipped.is_none() || variant.may_be_left_out())
        })
    };
    if recorded.len() != recipe.variants.len() || !recipe.variants.iter().all(as_asked) {
        return Some(Reason::Recipe);
    }
    let in_place = manifest.renditions().all(|rendition| {
        let etag = manifest.store.renditions.get(&rendition.key);
        listing.get(&rendition.key).is_some_and(|line| {
            line.size == rendition.bytes && etag.is_none_or(|etag| *etag == line.etag)
        })
    });
    (!in_place).then_some(Reason::Missing)
}

/// Whether somebody will miss it when it is passed over: its content or its name says picture.
fn is_meant_as_picture(key: &str, sniffed: Sniffed) -> bool {
    const EXTENSIONS: [&str; 18] = [
        "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff",
        "heic", "heif", "avif", "jxl", "svg", "svgz",
    ];
    match sniffed {
        // A document among pictures is no picture that went missing.
        Sniffed::Picture(Format::Pdf) => false,
        Sniffed::Picture(_) => true,
        _ => key.rsplit_once('.').is_some_and(|(_, ext)| {
            EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(ext))
        }),
    }
}

/// The keys that an item may write.
fn keys_of(recipe: &Recipe, item: &Item) -> Vec<String> {
    let source = &item.candidate.listed.key;
    let mut keys = recipe.early_keys(source).unwrap_or_default();
    keys.push(recipe.output.manifest_key(source));
    keys.push(recipe.output.failed_key(source));
    keys
}

fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(slash, _)| &key[..slash])
}

/// A key as the output tells it from others. Where case doesn't count, letter by letter and in full (`ß` is `ss`, a
/// final sigma a sigma): rather one name too many refused than one file over another.
fn folded(key: &str, fold_case: bool) -> String {
    if !fold_case {
        return key.to_owned();
    }
    let upper = key.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

/// Refuses every source that would write a path which another one writes, or needs as a folder.
fn refuse_collisions(recipe: &Recipe, items: &mut [Item], fold_case: bool) {
    let fold = |key: &str| folded(key, fold_case);
    let keys = |item: &Item| {
        // What is refused or skipped writes nothing.
        let writes = item.action.renders() || matches!(item.action, Action::Keep { .. });
        if writes {
            keys_of(recipe, item)
        } else {
            Vec::new()
        }
    };
    // Hashes in the place of keys: of millions of sources, all keys would take more memory than anything else here.
    // Where two hashes meet, the keys themselves are looked at.
    let hash = |key: &str| {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    };
    let mut owners: Vec<(u64, usize)> =
        Vec::with_capacity(items.len() * (recipe.variants.len() + 2));
    for (at, item) in items.iter().enumerate() {
        owners.extend(keys(item).iter().map(|key| (hash(&fold(key)), at)));
    }
    owners.sort_unstable();
    owners.dedup();
    let owners_of = |folded: &str, but_for: usize| {
        let hash = hash(folded);
        let first = owners.partition_point(|(other, _)| *other < hash);
        let same = owners[first..]
            .iter()
            .take_while(|(other, _)| *other == hash);
        let others = same.map(|(_, at)| *at).filter(|at| *at != but_for);
        let is_owner = |at: &usize| keys(&items[*at]).iter().any(|key| fold(key) == folded);
        others.filter(is_owner).collect::<Vec<_>>()
    };
    let is_both = |item: &Item| {
        let files: BTreeSet<String> = keys(item).iter().map(|key| fold(key)).collect();
        let mut folders = files.iter().flat_map(|key| ancestors(key));
        let both = folders.find(|folder| files.contains(*folder));
        both.map(|key| format!("its own files would need {key:?} as a file and a folder at once"))
    };
    let mut found: Vec<Option<String>> = items.iter().map(is_both).collect();
    let mut clash = |one: usize, other: usize, words: &str| {
        for (here, there) in [(one, other), (other, one)] {
            let there = &items[there].candidate.name;
            found[here].get_or_insert_with(|| format!("{there:?} would {words}"));
        }
    };
    for (at, item) in items.iter().enumerate() {
        for key in keys(item) {
            let folded = fold(&key);
            for other in owners_of(&folded, at) {
                clash(at, other, &format!("write {key:?} too"));
            }
            for ancestor in ancestors(&folded) {
                for other in owners_of(ancestor, at) {
                    let words =
                        format!("need {ancestor:?} as a file and a folder at once with this one");
                    clash(at, other, &words);
                }
            }
        }
    }
    for (item, words) in items.iter_mut().zip(found) {
        if let Some(words) = words {
            let words =
                format!("{words}; rename one, or use an output.key with the whole {{path}} in it");
            item.action = Action::Collision(Error::new(Stage::Plan, Cause::Name(words)));
            item.memory_bytes = 0;
        }
    }
}

/// An input is never overwritten, nor made a folder of.
fn refuse_overwriting_inputs(recipe: &Recipe, items: &mut [Item], fold_case: bool) {
    let is_input = |item: &Item| !matches!(item.action, Action::Skip(SkipReason::OwnOutput));
    let inputs: BTreeMap<String, String> = items
        .iter()
        .filter(|item| is_input(item))
        .filter_map(|item| item.candidate.key_in_output.clone())
        .map(|key| (folded(&key, fold_case), key))
        .collect();
    // A file in the way that is an input must not be called one that --force replaces.
    let concerned = |item: &Item| match &item.action {
        Action::Refused(error) => matches!(error.cause(), Cause::Name(_)),
        action => action.renders(),
    };
    for item in items.iter_mut().filter(|item| concerned(item)) {
        let keys = keys_of(recipe, item);
        let hit = keys.iter().find_map(|key| {
            let key = folded(key, fold_case);
            let mut paths = ancestors(&key).chain([key.as_str()]);
            paths.find_map(|path| inputs.get(path)).cloned()
        });
        if let Some(input) = hit {
            let words = format!(
                "{input:?} is an input and is never overwritten; choose another output folder or another output.key"
            );
            item.action = Action::Refused(Error::new(Stage::Plan, Cause::Name(words)));
            item.memory_bytes = 0;
        }
    }
}
