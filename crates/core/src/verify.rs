//! What is there, held against its record and against what would be made again; and one try at a
//! source, in memory alone. Nothing here writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::error::{Cause, Error, ImageError, Stage, StoreErrorKind};
use crate::manifest::{
    EngineRecord, FAILURE_VERSION, FailureRecord, Manifest, RenditionRecord, State, VariantRecord,
    has_newer_layout,
};
use crate::ports::Head;
use crate::process::{Memory, Processor, Source, fetch_part, probe_source};
use crate::recipe::{Recipe, Variant};
use crate::render::{RENDER_REVISION, RenditionResult, Renditions, engine, predict};

/// How often a set is looked at that keeps being replaced meanwhile.
const LOOKS: u32 = 3;

/// A source that was read and rendered, and not written anywhere.
pub struct Attempt {
    /// What the store says of the source.
    pub head: Head,
    /// Its content.
    pub bytes: Bytes,
    /// What was made of it, or why nothing was.
    pub renditions: Result<Arc<Renditions>, Error>,
}

/// A record, told by its content.
#[derive(Debug)]
pub enum Kept {
    /// What was made from one source.
    Manifest(Box<Manifest>),
    /// A source that can't be processed.
    Failure(Box<FailureRecord>),
}

/// What lies in an output, by its names alone.
#[derive(Debug, Default)]
pub struct Holdings {
    /// The keys that a manifest or a failure record of this recipe could have, in order.
    pub records: Vec<String>,
    /// Every other key.
    pub others: BTreeSet<String>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Changed {
    /// The source is gone, has other content, or another focus point.
    Source,
    /// The recipe asks for something else.
    Recipe,
    /// The engine is another one and makes, or may make, other bytes.
    Engine,
    /// An object is missing or is not what was recorded; or the same source, recipe and engine make
    /// other bytes.
    Bytes,
    /// The record does not vouch for a whole set.
    Record,
    /// Nothing is known: it could not be looked at, or not be made again.
    Unchecked,
}

impl Changed {
    /// The bounded word for JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Recipe => "recipe",
            Self::Engine => "engine",
            Self::Bytes => "bytes",
            Self::Record => "record",
            Self::Unchecked => "unchecked",
        }
    }
}

/// One thing that is not as the manifest says, or not as it would be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What changed.
    pub what: Changed,
    /// The variant that it concerns; none where it concerns the whole source.
    pub variant: Option<String>,
    /// In words.
    pub detail: String,
}

/// What came of looking at one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Everything that differs, in the order of the recipe's variants.
    pub differences: Vec<Difference>,
    /// Other codecs than those recorded, where they made the same bytes: `png 0.18.0, now 0.18.1`.
    pub codecs: Vec<String>,
    /// How many objects had the recorded content.
    pub objects: u64,
    /// How many renditions were made again with the recorded content.
    pub made_again: u64,
}

impl Verified {
    fn add(&mut self, what: Changed, variant: Option<&str>, detail: impl Into<String>) {
        self.differences.push(Difference {
            what,
            variant: variant.map(str::to_owned),
            detail: detail.into(),
        });
    }
}

impl Processor {
    /// Reads and renders `source` as [`Processor::process`] would, and writes nothing; earlier records
    /// are not asked. Fails where the source can't be read, or has too many bytes.
    pub async fn attempt(&self, source: &str) -> Result<Attempt, Error> {
        let mut memory = Memory::new();
        let source = self.fetch(source, &mut memory).await?;
        let own = self.around_point_of(&source.head);
        let rendered = own.render(&source, &BTreeMap::new(), &mut memory).await;
        Ok(Attempt {
            renditions: rendered
                .map(|made| made.expect("a recipe has variants, and none was made before")),
            head: source.head,
            bytes: source.bytes,
        })
    }

    /// What lies in the output, by one listing. Fails where it can't be listed.
    pub async fn holdings(&self) -> Result<Holdings, Error> {
        let output = &self.recipe.output;
        let mut holdings = Holdings::default();
        let mut listing = self.output.list("");
        let fail = |error| Error::new(Stage::Plan, error);
        while let Some(line) = listing.try_next().await.map_err(fail)? {
            if output.manifest.could_have_made(&line.key)
                || output.failed.could_have_made(&line.key)
            {
                holdings.records.push(line.key);
            } else {
                holdings.others.insert(line.key);
            }
        }
        holdings.records.sort();
        Ok(holdings)
    }

    /// The record under `key`; none where there is none any more. Fails with [`Cause::Record`] where it
    /// can't be read, is of a later layout, or lies where this recipe would not have put it.
    pub async fn kept(&self, key: &str) -> Result<Option<Kept>, Error> {
        let Some(fetched) = self.read_record(key).await? else {
            return Ok(None);
        };
        let bytes = &fetched.bytes;
        let output = &self.recipe.output;
        let (manifest, failure) = (
            Manifest::from_json(key, bytes),
            FailureRecord::from_json(key, bytes),
        );
        let wrong = |words: String| Err(Error::new(Stage::Record, Cause::Record(words)));
        let is_newer = has_newer_layout(bytes)
            || failure
                .as_ref()
                .is_ok_and(|record| record.failure_version > FAILURE_VERSION);
        if is_newer {
            return wrong(format!(
                "{key:?} was written by a newer engine; update this one"
            ));
        }
        let elsewhere = |source: &str| {
            wrong(format!(
                "{key:?} speaks of {source:?}, whose record lies elsewhere by this recipe; give the recipe that made it, or move it away"
            ))
        };
        match (manifest, failure) {
            (Ok(manifest), _) if output.manifest_key(&manifest.source.key) == key => {
                Ok(Some(Kept::Manifest(Box::new(manifest))))
            }
            (Ok(manifest), _) => elsewhere(&manifest.source.key),
            (_, Ok(record)) if output.failed_key(&record.source) == key => {
                Ok(Some(Kept::Failure(Box::new(record))))
            }
            (_, Ok(record)) => elsewhere(&record.source),
            (Err(error), _) if output.manifest.could_have_made(key) => Err(error),
            (_, Err(error)) => Err(error),
        }
    }

    /// The memory that one try at a source of so many bytes will need, in bytes, told from its header.
    pub async fn memory_to_render(&self, source: &str, bytes: u64) -> u64 {
        let sources = self.sources.as_ref();
        match probe_source(sources, source, bytes, bytes, None).await {
            Ok((_, Ok(info))) => {
                let threads = self.options.threads.get();
                predict(&info, bytes, &self.recipe, threads).memory_bytes
            }
            // Whatever is wrong with it will be found when it is looked at.
            _ => bytes,
        }
    }

    /// The memory that [`Processor::verify`] will need for this manifest, in bytes.
    pub async fn memory_to_verify(&self, manifest: &Manifest, with_source: bool) -> u64 {
        let source = &manifest.source;
        let rendered = if with_source {
            self.memory_to_render(&source.key, source.bytes).await
        } else {
            0
        };
        let largest = manifest.renditions().map(|made| made.bytes).max();
        rendered.max(largest.unwrap_or(0))
    }

    /// Holds the objects against the manifest; `with_source` also the source, the recipe and the
    /// engine, and what they make now. Writes nothing. Fails only where the manifest
    /// itself can't be read once more.
    ///
    /// Where something differs, the manifest is read again: a set that was replaced meanwhile is looked at
    /// anew.
    pub async fn verify(&self, manifest: &Manifest, with_source: bool) -> Result<Verified, Error> {
        let key = self.recipe.output.manifest_key(&manifest.source.key);
        let mut manifest = manifest.clone();
        for _ in 0..LOOKS {
            let verified = self.look_at(&manifest, with_source).await;
            if verified.differences.is_empty() {
                return Ok(verified);
            }
            match self.kept(&key).await? {
                Some(Kept::Manifest(now)) if *now != manifest => manifest = *now,
                _ => return Ok(verified),
            }
        }
        let mut verified = Verified::default();
        let words = "the set kept being replaced while it was looked at; try again later";
        verified.add(Changed::Unchecked, None, words);
        Ok(verified)
    }

    async fn look_at(&self, manifest: &Manifest, with_source: bool) -> Verified {
        let mut verified = Verified::default();
        if manifest.state == State::Replacing {
            let words = "a run is replacing this set, or was cut off; another run finishes it";
            verified.add(Changed::Record, None, words);
            return verified;
        }
        for record in &manifest.variants {
            if let Some(why) = &record.deferred {
                let words = format!("was put off ({why}); another run makes it");
                verified.add(Changed::Record, Some(&record.name), words);
            }
            if let Some(rendition) = &record.rendition {
                match self.look_at_object(rendition).await {
                    Ok(()) => verified.objects += 1,
                    Err((what, detail)) => verified.add(what, Some(&record.name), detail),
                }
            }
        }
        if with_source {
            self.look_at_source(manifest, &mut verified).await;
        }
        verified
    }

    async fn look_at_object(&self, recorded: &RenditionRecord) -> Result<(), (Changed, String)> {
        let key = &recorded.key;
        match self.output.get(key, recorded.bytes, None).await {
            Ok(fetched) => {
                let size = fetched.bytes.len() as u64;
                match self.run(move || sha256(&fetched.bytes)).await {
                    Ok(found) if found == recorded.sha256 => Ok(()),
                    Ok(_) if size == recorded.bytes => Err((
                        Changed::Bytes,
                        format!("{key:?} has other content than was recorded"),
                    )),
                    Ok(_) => Err((Changed::Bytes, other_size(key, Some(size), recorded.bytes))),
                    Err(error) => Err((Changed::Unchecked, error.to_string())),
                }
            }
            Err(error) => Err(match error.kind() {
                StoreErrorKind::NotFound => (Changed::Bytes, format!("{key:?} is missing")),
                StoreErrorKind::TooLarge { size, .. } => {
                    (Changed::Bytes, other_size(key, size, recorded.bytes))
                }
                _ => (Changed::Unchecked, error.to_string()),
            }),
        }
    }

    async fn look_at_source(&self, manifest: &Manifest, verified: &mut Verified) {
        if self.is_newer_work(manifest) {
            let words = "a newer engine or a newer recipe revision made this, so only its objects were looked at; update this one";
            return verified.add(Changed::Unchecked, None, words);
        }
        let source = match self.source_now(manifest).await {
            Ok(source) => Some(source),
            Err((what, detail)) => {
                verified.add(what, None, detail);
                None
            }
        };
        let takes_points = self.recipe.takes_focus_points();
        let recorded_point = manifest.source.focus_point.filter(|_| takes_points);
        if let Some(source) = &source {
            let now = self.given_point(&source.head);
            if now != recorded_point {
                let word = |point: Option<crate::recipe::FocusPoint>| {
                    point.map_or("none".to_owned(), |point| point.to_string())
                };
                let words = format!(
                    "its focus point was {} and is {}",
                    word(recorded_point),
                    word(now)
                );
                verified.add(Changed::Source, None, words);
            }
        }
        // Around the point of then: a moved one is one difference, and must not hide others.
        let around = recorded_point.map(|point| self.recipe.around(point));
        let recipe = around.map_or_else(|| self.recipe.clone(), Arc::new);
        let same = look_at_recipe(&recipe, manifest, verified);
        let of_engine = other_engine(&manifest.engine, &engine());
        let is_old = manifest.engine.render_revision != RENDER_REVISION;
        if is_old {
            let words = format!(
                "made by render revision {}, this engine has {RENDER_REVISION}",
                manifest.engine.render_revision
            );
            verified.add(Changed::Engine, None, words);
        }
        if let Some(source) = source.filter(|_| !same.is_empty()) {
            let other = is_old || !of_engine.is_empty();
            self.make_again(source, recipe, same, other, verified).await;
        }
        verified.codecs = of_engine;
    }

    /// The source as it is now, if it is the recorded one.
    async fn source_now(&self, manifest: &Manifest) -> Result<Source, (Changed, String)> {
        let recorded = &manifest.source;
        let limit = self.input_limit(manifest);
        let fetched = match fetch_part(self.sources.as_ref(), &recorded.key, limit, None).await {
            Ok(fetched) => fetched,
            Err(error) => {
                return Err(match error.cause() {
                    Cause::Store(e) if e.kind() == StoreErrorKind::NotFound => {
                        (Changed::Source, "it is gone".to_owned())
                    }
                    Cause::Image(ImageError::TooLarge { actual, .. }) => {
                        let words =
                            format!("it had {} bytes and has {actual} or more", recorded.bytes);
                        (Changed::Source, words)
                    }
                    _ => (Changed::Unchecked, error.to_string()),
                });
            }
        };
        let hashed = fetched.bytes.clone();
        let sha256 = self.run(move || sha256(&hashed)).await;
        let sha256 = sha256.map_err(|error| (Changed::Unchecked, error.to_string()))?;
        if sha256 != recorded.sha256 {
            let bad = manifest.replaced_by.as_ref();
            let bad = bad.map(|bad| format!(" (one that can't be processed: {})", bad.code));
            let words = format!(
                "its content changed from {} bytes to {}{}",
                recorded.bytes,
                fetched.bytes.len(),
                bad.unwrap_or_default()
            );
            return Err((Changed::Source, words));
        }
        Ok(Source {
            bytes: fetched.bytes,
            head: fetched.head,
            sha256,
        })
    }

    /// Renders what the recipe still asks for, and compares.
    async fn make_again(
        &self,
        source: Source,
        recipe: Arc<Recipe>,
        same: Vec<(Variant, VariantRecord)>,
        other_engine: bool,
        verified: &mut Verified,
    ) {
        let render = self.rendering();
        let work = move || {
            let variants: Vec<_> = same.iter().map(|(variant, _)| variant).collect();
            let rendered = render(&source.bytes, &recipe, &variants)?;
            let results = rendered.renditions.into_iter().map(|r| match r.result {
                RenditionResult::Made(made) => Again::Made(sha256(&made.bytes)),
                RenditionResult::Skipped(why) => Again::LeftOut(why),
                RenditionResult::Deferred(why) => Again::PutOff(why),
            });
            let records = same.iter().map(|(_, record)| record.clone());
            Ok::<_, Error>(records.zip(results).collect::<Vec<_>>())
        };
        let what = if other_engine {
            Changed::Engine
        } else {
            Changed::Bytes
        };
        let compared = match self.run(work).await {
            Ok(Ok(compared)) => compared,
            Ok(Err(error)) if other_engine && !error.is_transient() => {
                return verified.add(what, None, format!("it can't be made again: {error}"));
            }
            Ok(Err(error)) | Err(error) => {
                let words = format!("it can't be made again: {error}");
                return verified.add(Changed::Unchecked, None, words);
            }
        };
        for (record, again) in compared {
            match compare(&record, &again, what) {
                Ok(made) => verified.made_again += u64::from(made),
                Err((what, detail)) => verified.add(what, Some(&record.name), detail),
            }
        }
    }

    /// What was made before may be looked at, whatever today's limit is.
    fn input_limit(&self, manifest: &Manifest) -> u64 {
        self.recipe.limits.input_bytes.max(manifest.source.bytes)
    }
}

/// A rendition that was made again.
enum Again {
    /// The SHA-256 of its bytes.
    Made(String),
    /// Why this source can't have it.
    LeftOut(String),
    /// Why not now.
    PutOff(String),
}

/// Whether a rendition was made again as it was recorded, or what differs.
fn compare(
    record: &VariantRecord,
    again: &Again,
    what: Changed,
) -> Result<bool, (Changed, String)> {
    match (&record.rendition, again) {
        (Some(made), Again::Made(sha256)) if made.sha256 == *sha256 => Ok(true),
        (Some(_), Again::Made(_)) => {
            let words = match what {
                Changed::Engine => "comes out otherwise",
                _ => "comes out otherwise, from the same source, recipe and engine",
            };
            Err((what, words.to_owned()))
        }
        (Some(_), Again::LeftOut(why)) => Err((what, format!("would be left out now: {why}"))),
        (Some(_), Again::PutOff(why)) => Err((
            Changed::Unchecked,
            format!("was not made again ({why}); allow more memory"),
        )),
        // What was put off has been told.
        (None, _) if record.deferred.is_some() => Ok(false),
        (None, Again::Made(_)) => Err((
            what,
            "was left out, and can be made now; another run makes it".to_owned(),
        )),
        (None, _) => Ok(false),
    }
}

/// The variants that the recipe still asks for as they were made, with their records; what else is
/// different is told.
fn look_at_recipe(
    recipe: &Recipe,
    manifest: &Manifest,
    verified: &mut Verified,
) -> Vec<(Variant, VariantRecord)> {
    let mut same = Vec::new();
    for variant in &recipe.variants {
        let name = Some(variant.name.as_str());
        let record = manifest.variants.iter().find(|r| r.name == variant.name);
        match record {
            None => verified.add(Changed::Recipe, name, "is new in the recipe"),
            Some(record) if record.digest != recipe.variant_digest(variant) => {
                verified.add(Changed::Recipe, name, "was made by other settings");
            }
            Some(record) if record.skipped.is_some() && !variant.may_be_left_out() => {
                let words = "was left out and is required now";
                verified.add(Changed::Recipe, name, words);
            }
            Some(record) => same.push((variant.clone(), record.clone())),
        }
    }
    for record in &manifest.variants {
        if recipe.variants.iter().all(|v| v.name != record.name) {
            let words = "is no longer in the recipe";
            verified.add(Changed::Recipe, Some(&record.name), words);
        }
    }
    same
}

/// The codecs that differ, in words.
pub fn other_engine(then: &EngineRecord, now: &EngineRecord) -> Vec<String> {
    let names: BTreeSet<_> = then.codecs.keys().chain(now.codecs.keys()).collect();
    let differing = names.into_iter().filter_map(|name| {
        let (then, now) = (then.codecs.get(name), now.codecs.get(name));
        let word = |version: Option<&String>| version.map_or("none".to_owned(), Clone::clone);
        (then != now).then(|| format!("{name} {}, now {}", word(then), word(now)))
    });
    differing.collect()
}

fn other_size(key: &str, size: Option<u64>, recorded: u64) -> String {
    match size {
        Some(size) => format!("{key:?} has {size} bytes, {recorded} were recorded"),
        None => format!("{key:?} has more than the {recorded} bytes that were recorded"),
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
