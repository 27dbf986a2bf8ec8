//! Fetch, render, publish, record: what happens to one source, and the only code that calls ports.
//!
//! The protocol (on any store with conditional writes; events are only hints, what counts is the
//! source as it is now):
//!
//! 1. Read the manifest, and look at what lies under the keys that it claims or that the recipe
//!    will give. That is what every later write expects to replace.
//! 2. Then get the source. Same source, recipe and engine, and everything in place: unchanged.
//! 3. Render everything that is missing or old. Nothing is written unless all of it rendered.
//! 4. If anything is there already, write the manifest as `replacing`, if it is still the one
//!    that was read: of two jobs one goes on, the other begins again.
//! 5. Put every rendition, each only in place of what step 1 saw; remove what is no longer made.
//! 6. Write the manifest as `complete`, if it is still the one of step 4.
//! 7. Look at the source once more. Changed: begin again. Gone: treat it as removed.
//!
//! Whoever meets a conflict begins again, and from then on looks at everything that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, Either, join_all, select};
use futures_util::lock::Mutex;
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::error::{Cause, Error, ImageError, Limit, Stage, StoreError, StoreErrorKind};
use crate::image::{Info, Sniffed, Warning, WarningCode, sniff};
use crate::job::{Job, comes_before};
use crate::manifest::{
    BadSource, FAILURE_VERSION, FailureRecord, MANIFEST_VERSION, Manifest, ObjectRecord,
    RecipeRecord, RenditionRecord, ReplacingFor, SourceRecord, State, StoreRecord, VariantRecord,
    has_newer_layout,
};
use crate::outcome::{Done, Outcome, SkipReason};
use crate::ports::{Blob, BlobStore, Condition, Etag, Fetched, Head, Listed, MetricSink};
use crate::recipe::{FOCUS_POINT, FocusPoint, Recipe, Variant};
use crate::render::{
    Made, RENDER_REVISION, RenderOptions, RenditionResult, Renditions, Stop, engine, hold_to,
    probe, render_variants,
};
use crate::signal::{Finished, Signal};

/// How often a job begins again before it fails as a conflict. Each restart means that somebody
/// else made progress, so this many in one job is a store that lies or a storm of events.
const MAX_RESTARTS: u32 = 16;

/// The largest manifest or failure record that is read, in bytes.
pub const MAX_RECORD_BYTES: u64 = 4 << 20;

/// So many bytes of a source are little, however many are read at once.
pub(crate) const SMALL_READ: u64 = 1 << 20;

/// How many small calls to a store (records, listings, headers) a survey keeps under way at once.
pub(crate) const CALLS_AT_ONCE: usize = 16;

/// Work that must not run on an async executor's own threads.
pub type Work = Box<dyn FnOnce() + Send>;

/// The caller's way of running such work somewhere else.
pub type RunBlocking = Arc<dyn Fn(Work) + Send + Sync>;

/// The caller's timer: what it gives is ready once so much time has passed.
pub type Timer = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The most that work which was asked to stop is waited for before it is left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long work that may take `limit` can keep its caller waiting: a stop is looked at between stages, variants and
/// frames, and what is then still at work is left behind.
pub fn given_up_after(limit: Duration) -> Duration {
    limit.saturating_add(limit.min(PATIENCE))
}

/// What happens where something lies that no manifest of ours claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreign {
    /// It is replaced: the output is ours alone.
    #[default]
    Replace,
    /// The source is refused before anything is written.
    Refuse,
}

/// What happens to renditions whose source is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removals {
    /// They stay.
    #[default]
    Keep,
    /// What the manifest lists is removed, and the manifest with it.
    Delete,
}

/// How a processor goes about it.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Threads that one job may use for rendering.
    pub threads: NonZeroUsize,
    /// When to stop.
    pub stop: Stop,
    /// How long rendering one picture may take by the clock, from when its work begins: waiting for a turn does not
    /// count. After that it has failed with [`ImageError::TookTooLong`]. None: as long as it takes.
    pub time_limit: Option<Duration>,
    /// The most memory that one job may need, in bytes.
    pub memory: Option<u64>,
    /// How fast one thread is: see [`RenderOptions::speed`].
    pub speed: f64,
    /// Whether everything is made again, also where nothing changed or a newer engine was here.
    pub force: bool,
    /// Whether a source that failed before is tried again although neither it nor the recipe nor the engine
    /// has changed since: a release that changes no byte can still mend a fault.
    pub retry: bool,
    /// What happens to files that aren't ours.
    pub foreign: Foreign,
    /// What happens when the source is gone.
    pub removals: Removals,
    /// Whether a plan reads the headers of what would be made. Without, it is quicker by a call for each, and does not
    /// know what will be refused, what is no picture, and what memory it takes.
    pub headers: bool,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            stop: Stop::default(),
            time_limit: None,
            memory: None,
            speed: 1.0,
            force: false,
            retry: false,
            foreign: Foreign::default(),
            removals: Removals::default(),
            headers: true,
        }
    }
}

/// Makes and publishes the renditions of one source at a time, from one store to another (or to
/// the same one). Cheap to clone; one value serves any number of jobs at once.
#[derive(Clone)]
pub struct Processor {
    pub(crate) sources: Arc<dyn BlobStore>,
    pub(crate) output: Arc<dyn BlobStore>,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) options: ProcessOptions,
    metrics: Arc<dyn MetricSink>,
    blocking: RunBlocking,
    timer: Option<Timer>,
}

/// What one job remembers from one pass to the next.
pub(crate) struct Memory {
    started: Instant,
    /// Where the job is now.
    at: Stage,
    restarts: u32,
    /// Keys that rendering gave, for templates whose keys are not known before.
    keys: BTreeSet<String>,
    /// What it has put so far.
    put: BTreeMap<String, Etag>,
    /// The renditions made so far, with the SHA-256 of the source they were made from and the digests
    /// of their variants.
    rendered: Option<(String, Vec<String>, Arc<Renditions>)>,
    image_size: Option<u64>,
    written_bytes: u64,
    large_reported: bool,
    stages: Vec<(Stage, Duration)>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            at: Stage::Plan,
            restarts: 0,
            keys: BTreeSet::new(),
            put: BTreeMap::new(),
            rendered: None,
            image_size: None,
            written_bytes: 0,
            large_reported: false,
            stages: Vec::new(),
        }
    }

    fn spent(&mut self, stage: Stage, time: Duration) {
        match self.stages.iter_mut().find(|(s, _)| *s == stage) {
            Some((_, sum)) => *sum += time,
            None => self.stages.push((stage, time)),
        }
    }
}

/// How one pass over the protocol ended.
enum Pass {
    Settled(Outcome),
    /// Somebody else wrote meanwhile.
    Again(Stage),
}

/// What step 1 saw.
struct Before {
    /// The manifest, when there is one that can be read.
    manifest: Option<Manifest>,
    /// The etag of whatever lies under the manifest's key.
    manifest_etag: Option<Etag>,
    /// What lies under the keys that are ours.
    present: BTreeMap<String, Listed>,
}

impl Before {
    fn claims(&self, key: &str) -> bool {
        self.manifest.as_ref().is_some_and(|m| m.claims(key))
    }

    fn condition(&self, key: &str) -> Condition {
        match self.present.get(key) {
            Some(listed) => Condition::IfMatch(listed.etag.clone()),
            None => Condition::IfAbsent,
        }
    }

    fn manifest_condition(&self) -> Condition {
        match &self.manifest_etag {
            Some(etag) => Condition::IfMatch(etag.clone()),
            None => Condition::IfAbsent,
        }
    }

    /// Whether the rendition lies there as it was recorded. An etag that speaks of content is
    /// compared too: the size alone would let a same-sized stranger pass.
    fn is_in_place(&self, manifest: &Manifest, rendition: &RenditionRecord) -> bool {
        let recorded = manifest.store.renditions.get(&rendition.key);
        self.present.get(&rendition.key).is_some_and(|listed| {
            listed.size == rendition.bytes && recorded.is_none_or(|etag| *etag == listed.etag)
        })
    }
}

/// A source that was read.
pub(crate) struct Source {
    pub(crate) bytes: Bytes,
    pub(crate) head: Head,
    pub(crate) sha256: String,
}

impl Processor {
    /// A processor that reads from `sources` and writes to `output`. Rendering runs on the
    /// calling thread until [`Processor::with_blocking`] says otherwise; nothing is measured
    /// until [`Processor::with_metrics`] does.
    pub fn new(sources: Arc<dyn BlobStore>, output: Arc<dyn BlobStore>, recipe: Recipe) -> Self {
        Self {
            sources,
            output,
            recipe: Arc::new(recipe),
            options: ProcessOptions::default(),
            metrics: Arc::new(crate::memory::NoMetrics),
            blocking: Arc::new(|work| work()),
            timer: None,
        }
    }

    /// Runs rendering and hashing through `run`, which must call the work once, on a thread that
    /// may be busy for seconds. With tokio: `|work| { tokio::task::spawn_blocking(work); }`.
    #[must_use]
    pub fn with_blocking(mut self, run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        self.blocking = Arc::new(run);
        self
    }

    /// Leaves work behind that is still going on some seconds after [`ProcessOptions::time_limit`] (see
    /// [`given_up_after`]): no decoder can be interrupted, and what can't be must not keep its job waiting for ever. The
    /// thread runs on to its own end, and nobody wants its result. With tokio:
    /// `|time| Box::pin(tokio::time::sleep(time))`.
    #[must_use]
    pub fn with_timer(
        mut self,
        timer: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.timer = Some(Arc::new(timer));
        self
    }

    /// Records signals in `metrics`.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<dyn MetricSink>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Goes about it as `options` say.
    #[must_use]
    pub fn with_options(mut self, options: ProcessOptions) -> Self {
        self.options = options;
        self
    }

    /// The same processor, that stops rendering when `stop` says so.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.options.stop = stop;
        self
    }

    /// The same processor with another source store.
    #[must_use]
    pub fn with_sources(mut self, sources: Arc<dyn BlobStore>) -> Self {
        self.sources = sources;
        self
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Does the job, whatever state an earlier one left behind, and says what became of it.
    pub async fn process(&self, job: &Job) -> Outcome {
        self.process_until(job, std::future::pending()).await
    }

    /// The same, but once `out_of_time` is over the job is dropped where it stands and has failed
    /// with [`ImageError::Stopped`], at the stage that it had reached. What it has begun, the next
    /// job for the same source finishes. Rendering that is under way ends only when
    /// [`ProcessOptions::stop`] says so, which should therefore be sooner.
    pub async fn process_until(&self, job: &Job, out_of_time: impl Future<Output = ()>) -> Outcome {
        let mut memory = Memory::new();
        let settled = {
            let work = pin!(self.pass_until_settled(job, &mut memory));
            match select(work, pin!(out_of_time)).await {
                Either::Left((settled, _)) => Some(settled),
                Either::Right(_) => None,
            }
        };
        let outcome = match settled {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Outcome::from(error),
            None => Outcome::Failed(Error::new(memory.at, ImageError::Stopped)),
        };
        self.metrics.record(&Signal::Finished(Finished {
            source: &job.source,
            outcome: &outcome,
            image_size: memory.image_size,
            written_bytes: memory.written_bytes,
            processing_time: memory.started.elapsed(),
            stages: &memory.stages,
        }));
        outcome
    }

    /// Removes what was made from a source that is gone: what its manifest claims, then the manifest, and its failure
    /// record; each only as it lies there now. The source is looked for first and once more at the end; false where it
    /// is there, and then nothing is removed. Whatever keeps the source from being looked for keeps everything.
    pub async fn prune(&self, source: &str) -> Result<bool, Error> {
        if !self.is_gone(source).await? {
            return Ok(false);
        }
        let mut removing = self.clone();
        removing.options.removals = Removals::Delete;
        match removing.process(&Job::removal(source)).await {
            Outcome::Skipped(SkipReason::Gone) => Ok(true),
            Outcome::Failed(error) | Outcome::Rejected(error) => Err(error),
            // It came back in this moment, and what was made of it is right.
            _ => Ok(false),
        }
    }

    /// Takes note of an outcome that a plan decided without any processing, so that every input
    /// of a run is observed in the same way.
    pub fn settle(&self, source: &str, image_size: Option<u64>, outcome: &Outcome) {
        self.metrics.record(&Signal::Finished(Finished {
            source,
            outcome,
            image_size,
            written_bytes: 0,
            processing_time: Duration::ZERO,
            stages: &[],
        }));
    }

    async fn pass_until_settled(&self, job: &Job, memory: &mut Memory) -> Result<Outcome, Error> {
        loop {
            let stage = match self.pass(job, memory).await {
                Ok(Pass::Settled(outcome)) => return Ok(outcome),
                Ok(Pass::Again(stage)) => stage,
                Err(error) if is_conflict(&error) => error.stage(),
                Err(error) => return Err(error),
            };
            memory.restarts += 1;
            self.metrics.record(&Signal::Restarted {
                source: &job.source,
                stage,
                times: memory.restarts,
            });
            if memory.restarts > MAX_RESTARTS {
                let conflict = StoreError::new(StoreErrorKind::Conflict, &job.source);
                return Err(Error::new(stage, conflict));
            }
            if self.options.stop.requested() {
                return Err(Error::new(stage, ImageError::Stopped));
            }
        }
    }

    async fn pass(&self, job: &Job, memory: &mut Memory) -> Result<Pass, Error> {
        memory.at = Stage::Plan;
        let before = self.look_before(&job.source, memory).await?;
        if let Some(manifest) = &before.manifest
            && !self.options.force
            && self.is_newer_work(manifest)
        {
            // Only what is finished may be left alone: a newer source is for the newer engine to make.
            let now = self.source_head(&job.source).await?;
            let made_from = manifest.store.source.as_ref().map(|object| &object.etag);
            let is_current = now.as_ref().map(|head| &head.etag) == made_from;
            return if is_current && manifest.state == State::Complete {
                Ok(Pass::Settled(Outcome::Skipped(SkipReason::NewerWork)))
            } else if now.is_none() && self.options.removals == Removals::Keep {
                Ok(Pass::Settled(Outcome::Skipped(SkipReason::Gone)))
            } else {
                Err(Error::new(Stage::Plan, Cause::NewerWork))
            };
        }
        if job.removal && self.is_gone(&job.source).await? {
            return self.remove(job, &before, memory).await;
        }
        if !self.options.force
            && let Some(known) = self.answer_from_records(job, &before, memory).await?
        {
            return Ok(known);
        }
        memory.at = Stage::Fetch;
        let source = match self.fetch(&job.source, memory).await {
            Ok(source) if is_our_output(&source.head) => {
                return Ok(Pass::Settled(Outcome::Skipped(SkipReason::OwnOutput)));
            }
            Ok(source) => source,
            Err(error) if is_not_found(&error) => return self.remove(job, &before, memory).await,
            Err(error) if !error.is_transient() => {
                return self.reject(job, &before, None, error).await;
            }
            Err(error) => return Err(error),
        };
        let own = self.around_point_of(&source.head);
        let records = match &before.manifest {
            Some(manifest) if !self.options.force => {
                own.still_good(manifest, &before, &source.sha256)
            }
            _ => BTreeMap::new(),
        };
        if let Some(manifest) = &before.manifest
            && own.is_all_there(manifest, &records)
        {
            return own
                .confirm_unchanged(job, &before, manifest, &source.head)
                .await;
        }
        memory.at = Stage::Render;
        let rendered = match own.render(&source, &records, memory).await {
            Ok(rendered) => rendered,
            Err(error) if !error.is_transient() => {
                return self.reject(job, &before, Some(&source), error).await;
            }
            Err(error) => return Err(error),
        };
        own.publish(job, &before, &source, records, rendered, memory)
            .await
    }

    /// The same processor for a source with a point of its own: what is made around it has another
    /// digest, so that a moved point is seen as a changed recipe is.
    pub(crate) fn around_point_of(&self, source: &Head) -> Self {
        let mut own = self.clone();
        if let Some(Ok(point)) = self.recipe.focus_point(&source.metadata) {
            own.recipe = Arc::new(self.recipe.around(point));
        }
        own
    }

    /// What the records and a look at the source tell without reading it: a duplicated event costs
    /// next to nothing. None when the source has to be read.
    async fn answer_from_records(
        &self,
        job: &Job,
        before: &Before,
        memory: &mut Memory,
    ) -> Result<Option<Pass>, Error> {
        let good = match &before.manifest {
            // No good set for the source as it is now, so it may be known as a bad one.
            None => return self.failed_before(job).await,
            Some(manifest) if manifest.replaced_by.is_some() => {
                return self.failed_before(job).await;
            }
            Some(manifest) => manifest,
        };
        let recorded = good.store.source.as_ref().map(|object| &object.etag);
        // A weak etag can stay the same although the content changed.
        let Some(recorded) = recorded.filter(|etag| !etag.is_weak()) else {
            return Ok(None);
        };
        let Some(head) = self.source_head(&job.source).await? else {
            return Ok(None);
        };
        if head.etag != *recorded {
            return Ok(None);
        }
        let own = self.around_point_of(&head);
        let records = own.still_good(good, before, &good.source.sha256);
        if !own.is_all_there(good, &records) {
            // What this recipe asks for beyond it may have been refused already.
            return self.failed_before(job).await;
        }
        memory.image_size = Some(head.size);
        own.confirm_unchanged(job, before, good, &head)
            .await
            .map(Some)
    }

    /// Whether this very source has failed before, by the same recipe and engine.
    async fn failed_before(&self, job: &Job) -> Result<Option<Pass>, Error> {
        if self.options.retry {
            return Ok(None);
        }
        let key = self.recipe.output.failed_key(&job.source);
        let Some(fetched) = self.read_record(&key).await? else {
            return Ok(None);
        };
        // A record that can't be read is replaced when the source fails again.
        let Ok(record) = FailureRecord::from_json(&key, &fetched.bytes) else {
            return Ok(None);
        };
        let head = self.source_head(&job.source).await?;
        // A weak etag can stay the same although the content changed.
        let same = head.is_some_and(|head| {
            !head.etag.is_weak() && still_fails(&self.recipe, &record, &head.etag)
        });
        Ok(same.then(|| Pass::Settled(Outcome::Rejected(known_failure(&record)))))
    }

    /// What the store says of the source; none when it is gone.
    async fn source_head(&self, source: &str) -> Result<Option<Head>, Error> {
        match self.sources.head(source).await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Stage::Fetch, error)),
        }
    }

    /// Whether a manifest with these good records leaves nothing to do.
    fn is_all_there(&self, manifest: &Manifest, good: &BTreeMap<String, VariantRecord>) -> bool {
        manifest.state == State::Complete
            && good.len() == self.recipe.variants.len()
            && manifest.variants.len() == good.len()
    }

    /// Step 1: the manifest first, then what lies under its keys and the recipe's.
    async fn look_before(&self, source: &str, memory: &Memory) -> Result<Before, Error> {
        let started = self.read_manifest(source).await?;
        let (manifest, manifest_etag) = started;
        let mut keys: BTreeSet<String> = memory.keys.clone();
        keys.extend(self.recipe.early_keys(source).into_iter().flatten());
        if let Some(manifest) = &manifest {
            keys.extend(manifest.claimed_keys().map(str::to_owned));
        }
        // Where nothing was ever made, nothing is expected; a first conflict shows otherwise.
        let first_set = manifest_etag.is_none() && memory.restarts == 0;
        let present = if first_set && self.options.foreign == Foreign::Replace {
            BTreeMap::new()
        } else {
            self.present(source, keys).await?
        };
        Ok(Before {
            manifest,
            manifest_etag,
            present,
        })
    }

    async fn read_manifest(&self, source: &str) -> Result<(Option<Manifest>, Option<Etag>), Error> {
        let key = self.recipe.output.manifest_key(source);
        let Some(fetched) = self.read_record(&key).await? else {
            return Ok((None, None));
        };
        let etag = Some(fetched.head.etag);
        match Manifest::from_json(&key, &fetched.bytes) {
            Ok(manifest) => Ok((Some(manifest), etag)),
            // The words that this engine doesn't know are a newer one's.
            Err(_) if !self.options.force && has_newer_layout(&fetched.bytes) => {
                Err(Error::new(Stage::Plan, Cause::NewerWork))
            }
            // Ours alone to write, so what can't be read is replaced.
            Err(_) if self.options.force || self.options.foreign == Foreign::Replace => {
                Ok((None, etag))
            }
            Err(error) => Err(error),
        }
    }

    /// A record's bytes; none where there is no record.
    pub(crate) async fn read_record(&self, key: &str) -> Result<Option<Fetched>, Error> {
        match self.output.get(key, MAX_RECORD_BYTES, None).await {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Stage::Plan, error)),
        }
    }

    /// What lies under `keys`: by one listing where they share a folder of their own.
    pub(crate) async fn present(
        &self,
        source: &str,
        keys: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Listed>, Error> {
        let fail = |error| Error::new(Stage::Plan, error);
        let prefix = self.recipe.output.key.lies_under_path().then(|| {
            let manifest = self.recipe.output.manifest_key(source);
            let folder = manifest.rsplit_once('/').map(|(folder, _)| folder);
            folder
                .map(|folder| format!("{folder}/"))
                .unwrap_or_default()
        });
        let prefix = prefix.filter(|p| !p.is_empty() && keys.iter().all(|key| key.starts_with(p)));
        if let Some(prefix) = prefix {
            let listed = self.output.list(&prefix);
            let ours = listed.try_filter(|line| std::future::ready(keys.contains(&line.key)));
            let pairs = ours.map_ok(|line| (line.key.clone(), line));
            return pairs.try_collect().await.map_err(fail);
        }
        let heads =
            futures_util::stream::iter(keys).map(async |key| match self.output.head(&key).await {
                Ok(head) => Ok(Some((
                    key.clone(),
                    Listed {
                        key,
                        size: head.size,
                        etag: head.etag,
                    },
                ))),
                Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
                Err(error) => Err(fail(error)),
            });
        let heads = heads.buffer_unordered(CALLS_AT_ONCE);
        heads
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await
    }

    /// An older engine or recipe never overwrites a newer one's work: a laptop and a deployment
    /// must not fight over one output.
    pub(crate) fn is_newer_work(&self, manifest: &Manifest) -> bool {
        manifest.manifest_version > MANIFEST_VERSION
            || manifest.engine.render_revision > RENDER_REVISION
            || manifest.recipe.revision > self.recipe.revision
    }

    /// Step 2.
    pub(crate) async fn fetch(&self, key: &str, memory: &mut Memory) -> Result<Source, Error> {
        let started = Instant::now();
        let limit = self.recipe.limits.input_bytes;
        let Fetched { bytes, head } = fetch_part(self.sources.as_ref(), key, limit, None).await?;
        memory.image_size = Some(head.size);
        let threshold = self.recipe.limits.large_bytes;
        if head.size > threshold && !std::mem::replace(&mut memory.large_reported, true) {
            self.metrics.record(&Signal::LargeImage {
                source: key,
                image_size: head.size,
                threshold,
            });
        }
        let hashed = bytes.clone();
        let sha256 = self
            .run(move || hex::encode(Sha256::digest(hashed)))
            .await?;
        memory.spent(Stage::Fetch, started.elapsed());
        Ok(Source {
            bytes,
            head,
            sha256,
        })
    }

    /// The records of `manifest` that hold for this source, recipe and engine, by variant name.
    fn still_good(
        &self,
        manifest: &Manifest,
        before: &Before,
        sha256: &str,
    ) -> BTreeMap<String, VariantRecord> {
        if manifest.state == State::Replacing
            || manifest.source.sha256 != sha256
            || manifest.engine.render_revision != RENDER_REVISION
        {
            return BTreeMap::new();
        }
        let good = self.recipe.variants.iter().filter_map(|variant| {
            let record = manifest.variants.iter().find(|r| r.name == variant.name)?;
            let in_place = match &record.rendition {
                Some(rendition) => before.is_in_place(manifest, rendition),
                // Left out because optional; not good enough once it is required, or only put off.
                None => variant.may_be_left_out() && record.deferred.is_none(),
            };
            let good = in_place && record.digest == self.recipe.variant_digest(variant);
            good.then(|| (variant.name.clone(), record.clone()))
        });
        good.collect()
    }

    /// Nothing is to be made. Where only circumstances changed (the source was touched, the
    /// recipe's revision rose, a bad upload was taken back), the manifest takes note of it.
    async fn confirm_unchanged(
        &self,
        job: &Job,
        before: &Before,
        manifest: &Manifest,
        source: &Head,
    ) -> Result<Pass, Error> {
        let mut fresh = Manifest {
            recipe: RecipeRecord {
                revision: self.recipe.revision,
            },
            replaced_by: None,
            warnings: told_of_point(manifest.warnings.clone(), self.point_warning(source)),
            ..manifest.clone()
        };
        fresh.store.source = Some(object_record(job, source, Some(manifest)));
        fresh.store.replaced_by = None;
        if fresh != *manifest {
            self.put_manifest(&job.source, &fresh, before.manifest_condition())
                .await?;
        }
        if !self.clear_failure(&job.source, Some(&source.etag)).await? {
            return Ok(Pass::Again(Stage::Record));
        }
        let handled = manifest.store.source.as_ref();
        let overtaken = match (&job.sequencer, handled.and_then(|s| s.sequencer.as_ref())) {
            (Some(this), Some(latest)) => comes_before(this, latest),
            _ => false,
        };
        Ok(Pass::Settled(if overtaken {
            Outcome::Stale
        } else {
            Outcome::Unchanged
        }))
    }

    /// Step 3. None when there is nothing to render.
    pub(crate) async fn render(
        &self,
        source: &Source,
        good: &BTreeMap<String, VariantRecord>,
        memory: &mut Memory,
    ) -> Result<Option<Arc<Renditions>>, Error> {
        let todo: Vec<Variant> = self
            .recipe
            .variants
            .iter()
            .filter(|v| !good.contains_key(&v.name))
            .cloned()
            .collect();
        if todo.is_empty() {
            return Ok(None);
        }
        hold_to(&self.recipe, &self.point_warning(&source.head))
            .map_err(|error| Error::new(Stage::Fetch, error))?;
        let digest = |variant| self.recipe.variant_digest(variant);
        let digests: Vec<_> = todo.iter().map(digest).collect();
        if let Some((sha256, made, renditions)) = &memory.rendered
            && *sha256 == source.sha256
            && *made == digests
        {
            return Ok(Some(renditions.clone()));
        }
        let (bytes, recipe) = (source.bytes.clone(), self.recipe.clone());
        let render = self.rendering();
        let renditions = self
            .run(move || {
                let todo: Vec<_> = todo.iter().collect();
                render(&bytes, &recipe, &todo)
            })
            .await??;
        for (stage, time) in &renditions.stages {
            memory.spent(*stage, *time);
        }
        let renditions = Arc::new(renditions);
        memory.rendered = Some((source.sha256.clone(), digests, renditions.clone()));
        Ok(Some(renditions))
    }

    /// The point that was given with a source.
    pub(crate) fn given_point(&self, source: &Head) -> Option<FocusPoint> {
        self.recipe.focus_point(&source.metadata)?.ok()
    }

    /// What is wrong with the point that was given with a source, if anything.
    fn point_warning(&self, source: &Head) -> Option<Warning> {
        let why = self.recipe.focus_point(&source.metadata)?.err()?;
        Some(Warning {
            code: WarningCode::FocusPointUnusable,
            detail: format!("the source's {FOCUS_POINT} can't be read: {why}"),
            variant: None,
        })
    }

    /// Steps 4 to 7.
    async fn publish(
        &self,
        job: &Job,
        before: &Before,
        source: &Source,
        good: BTreeMap<String, VariantRecord>,
        rendered: Option<Arc<Renditions>>,
        memory: &mut Memory,
    ) -> Result<Pass, Error> {
        memory.at = Stage::Publish;
        let set = self.compose(job, before, source, good, rendered.as_deref(), memory)?;
        memory
            .keys
            .extend(set.blobs.iter().map(|(key, _)| key.clone()));
        self.check_foreign(job, before, &set, memory).await?;
        if set.blobs.is_empty() && before.manifest.as_ref() == Some(&set.manifest) {
            // Put off once more: what is in place stays as it is.
            return Ok(Pass::Settled(Outcome::Done(Box::new(Done {
                manifest: set.manifest,
                rendered: set.rendered,
            }))));
        }
        let started = Instant::now();
        let mut manifest_condition = before.manifest_condition();
        let something_is_there = before.manifest_etag.is_some() || !before.present.is_empty();
        if something_is_there || self.options.foreign == Foreign::Refuse {
            let record = replacing(job, before, source, &set, memory.restarts);
            let head = self
                .put_manifest(&job.source, &record, manifest_condition)
                .await?;
            manifest_condition = Condition::IfMatch(head.etag);
        }
        let etags = self.put_renditions(before, &set, memory).await?;
        self.delete_superseded(before, &set).await?;
        memory.spent(Stage::Publish, started.elapsed());

        memory.at = Stage::Record;
        let started = Instant::now();
        let mut manifest = set.manifest;
        for (key, etag) in etags {
            if !etag.is_weak() {
                manifest.store.renditions.insert(key, etag);
            }
        }
        self.put_manifest(&job.source, &manifest, manifest_condition)
            .await?;
        let now = self.source_head(&job.source).await?.map(|head| head.etag);
        // With removals kept, what was made is the right last set.
        if now.is_none() && self.options.removals == Removals::Delete {
            return Ok(Pass::Again(Stage::Record));
        }
        let changed = now.as_ref().is_some_and(|etag| *etag != source.head.etag);
        if changed || !self.clear_failure(&job.source, now.as_ref()).await? {
            return Ok(Pass::Again(Stage::Record));
        }
        memory.spent(Stage::Record, started.elapsed());
        Ok(Pass::Settled(Outcome::Done(Box::new(Done {
            manifest,
            rendered: set.rendered,
        }))))
    }

    /// The new set, on paper: what to put where, and the manifest that will vouch for it.
    fn compose(
        &self,
        job: &Job,
        before: &Before,
        source: &Source,
        mut good: BTreeMap<String, VariantRecord>,
        rendered: Option<&Renditions>,
        memory: &Memory,
    ) -> Result<NewSet, Error> {
        let old = before.manifest.as_ref();
        let mut made: BTreeMap<&str, &crate::render::Rendition> = BTreeMap::new();
        if let Some(renditions) = rendered {
            made = renditions
                .renditions
                .iter()
                .map(|r| (r.variant.as_str(), r))
                .collect();
        }
        let mut blobs = Vec::new();
        let mut variants = Vec::new();
        let (mut tried, mut names) = (Vec::new(), Vec::new());
        let mut store = StoreRecord {
            source: Some(object_record(job, &source.head, old)),
            ..StoreRecord::default()
        };
        for variant in &self.recipe.variants {
            if let Some(record) = good.remove(&variant.name) {
                if let (Some(rendition), Some(old)) = (&record.rendition, old)
                    && let Some(etag) = old.store.renditions.get(&rendition.key)
                {
                    store.renditions.insert(rendition.key.clone(), etag.clone());
                }
                variants.push(record);
                continue;
            }
            let rendition = made[variant.name.as_str()];
            let digest = self.recipe.variant_digest(variant);
            tried.push(variant.name.clone());
            let mut record = VariantRecord {
                name: variant.name.clone(),
                digest,
                rendition: None,
                skipped: None,
                deferred: None,
            };
            match &rendition.result {
                RenditionResult::Skipped(reason) => record.skipped = Some(reason.clone()),
                RenditionResult::Deferred(reason) => record.deferred = Some(reason.clone()),
                RenditionResult::Made(made) => {
                    let made_record = self.rendition_record(job, variant, made);
                    let blob = rendition_blob(job, variant, made, memory);
                    blobs.push((made_record.key.clone(), blob));
                    record.rendition = Some(made_record);
                    names.push(variant.name.clone());
                }
            }
            variants.push(record);
        }
        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION,
            state: if variants.iter().any(|record| record.deferred.is_some()) {
                State::Incomplete
            } else {
                State::Complete
            },
            source: match (rendered, old) {
                (None, Some(old)) => SourceRecord {
                    focus_point: self.given_point(&source.head),
                    ..old.source.clone()
                },
                (Some(renditions), old) => {
                    let known = old.filter(|old| old.source.sha256 == source.sha256);
                    let known = known.and_then(|old| old.source.placeholder.clone());
                    SourceRecord {
                        placeholder: renditions.placeholder.clone().or(known),
                        focus_point: self.given_point(&source.head),
                        ..source_record(job, source, &renditions.info)
                    }
                }
                (None, None) => unreachable!("nothing is good without a manifest"),
            },
            recipe: RecipeRecord {
                revision: self.recipe.revision,
            },
            engine: engine(),
            warnings: told_of_point(
                merge_warnings(old, rendered, &tried, &self.recipe),
                self.point_warning(&source.head),
            ),
            variants,
            pending: Vec::new(),
            replacing_for: None,
            replaced_by: None,
            store,
        };
        let mut keys = BTreeSet::new();
        if let Some(twice) = manifest.renditions().find(|r| !keys.insert(&r.key)) {
            let words = format!(
                "two variants got one key, {:?}; put {{variant}} into output.key",
                twice.key
            );
            return Err(Error::new(Stage::Plan, Cause::Name(words)));
        }
        Ok(NewSet {
            blobs,
            manifest,
            rendered: names,
        })
    }

    fn rendition_record(&self, job: &Job, variant: &Variant, made: &Made) -> RenditionRecord {
        let sha256 = hex::encode(Sha256::digest(&made.bytes));
        let size = (made.width, made.height);
        RenditionRecord {
            key: self.recipe.key(variant, &job.source, size, &sha256),
            content_type: made.content_type.to_owned(),
            width: made.width,
            height: made.height,
            bytes: made.bytes.len() as u64,
            sha256,
            quality: made.quality,
        }
    }

    /// Refuses before the first write what would replace a file that isn't ours.
    async fn check_foreign(
        &self,
        job: &Job,
        before: &Before,
        set: &NewSet,
        memory: &Memory,
    ) -> Result<(), Error> {
        if self.options.foreign == Foreign::Replace || self.options.force {
            return Ok(());
        }
        let foreign = |key: &&String| {
            // What this job put before somebody took its record away is no stranger's.
            let strange = |listed: &Listed| memory.put.get(*key) != Some(&listed.etag);
            before.present.get(*key).is_some_and(strange) && !before.claims(key)
        };
        let Some(key) = set.blobs.iter().map(|(key, _)| key).find(foreign) else {
            return Ok(());
        };
        // Another run may have claimed and written it between our look at the record and that at the rest.
        let (_, now) = self.read_manifest(&job.source).await?;
        let cause = if now == before.manifest_etag {
            foreign_file(key)
        } else {
            StoreError::new(StoreErrorKind::Conflict, key).into()
        };
        Err(Error::new(Stage::Plan, cause))
    }

    /// Step 5: every rendition, each only in place of what was seen.
    async fn put_renditions(
        &self,
        before: &Before,
        set: &NewSet,
        memory: &mut Memory,
    ) -> Result<Vec<(String, Etag)>, Error> {
        let puts = set.blobs.iter().map(async |(key, blob)| {
            let condition = before.condition(key);
            let head = self.output.put(key, blob.clone(), condition).await?;
            Ok::<_, StoreError>((key.clone(), head.etag))
        });
        // All are awaited, also after a failure: none may land later behind our back.
        let mut etags = Vec::new();
        let mut failure = None;
        for (put, (_, blob)) in join_all(puts).await.into_iter().zip(&set.blobs) {
            match put {
                Ok((key, etag)) => {
                    memory.written_bytes += blob.bytes.len() as u64;
                    memory.put.insert(key.clone(), etag.clone());
                    etags.push((key, etag));
                }
                // A conflict is what matters: it says that the others are out of date too.
                Err(error) if failure.is_none() || error.kind() == StoreErrorKind::Conflict => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        match failure {
            None => Ok(etags),
            Some(error) => Err(Error::new(Stage::Publish, error)),
        }
    }

    /// Removes what earlier sets had and this one has not.
    async fn delete_superseded(&self, before: &Before, set: &NewSet) -> Result<(), Error> {
        let Some(old) = &before.manifest else {
            return Ok(());
        };
        for key in old.claimed_keys() {
            let kept = set.manifest.renditions().any(|r| r.key == key);
            if let (false, Some(listed)) = (kept, before.present.get(key)) {
                let condition = Condition::IfMatch(listed.etag.clone());
                let deleted = self.output.delete(key, condition).await;
                deleted.map_err(|error| Error::new(Stage::Publish, error))?;
            }
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        source: &str,
        manifest: &Manifest,
        condition: Condition,
    ) -> Result<Head, Error> {
        let key = self.recipe.output.manifest_key(source);
        let put = self
            .output
            .put(&key, json_blob(manifest.to_json()), condition);
        put.await.map_err(|error| Error::new(Stage::Record, error))
    }

    /// The source is permanently refused: leave a record, unless it is another source by now.
    async fn reject(
        &self,
        job: &Job,
        before: &Before,
        source: Option<&Source>,
        error: Error,
    ) -> Result<Pass, Error> {
        let leaves_no_record = match error.cause() {
            // The names are the trouble, not the picture.
            Cause::Name(_) => true,
            // What is wrong lies beside the picture, and setting it right changes no etag.
            Cause::Image(ImageError::LossRefused { loss, .. }) => {
                *loss == WarningCode::FocusPointUnusable.word()
            }
            _ => false,
        };
        if leaves_no_record {
            return Err(error);
        }
        let failed_key = self.recipe.output.failed_key(&job.source);
        let old = self.read_record(&failed_key).await?;
        let Some(now) = self.source_head(&job.source).await? else {
            return Ok(Pass::Again(Stage::Record));
        };
        let is_another = match source {
            Some(source) => source.head.etag != now.etag,
            // It was never read, because it is too large: if that is no longer so, it is another one.
            None => now.size <= self.recipe.limits.input_bytes,
        };
        if is_another {
            return Ok(Pass::Again(Stage::Record));
        }
        self.mark_replaced(job, before, source, &now, &error)
            .await?;
        let record = FailureRecord {
            failure_version: FAILURE_VERSION,
            source: job.source.clone(),
            bytes: Some(now.size),
            stage: error.stage(),
            code: error.code().to_owned(),
            message: error.cause().to_string(),
            format: source.and_then(|s| match sniff(&s.bytes) {
                Sniffed::Picture(format) => Some(format),
                _ => None,
            }),
            limits: self.recipe.limits.clone(),
            recipe: self.recipe.digest(),
            engine: engine(),
            request: job.request.clone(),
            store: Some(ObjectRecord::from(&now)),
        };
        let bytes = record.to_json();
        if old.as_ref().is_none_or(|old| old.bytes != bytes) {
            let condition = match old {
                Some(old) => Condition::IfMatch(old.head.etag),
                None => Condition::IfAbsent,
            };
            let put = self.output.put(&failed_key, json_blob(bytes), condition);
            let written = put.await.map_err(|e| Error::new(Stage::Record, e))?;
            // The source may have become good, and been processed, between our look and our write.
            let last = self.sources.head(&job.source).await;
            let same = last.as_ref().is_ok_and(|head| head.etag == now.etag);
            if !same {
                let condition = Condition::IfMatch(written.etag);
                let deleted = self.output.delete(&failed_key, condition).await;
                deleted.map_err(|e| Error::new(Stage::Record, e))?;
                return Ok(Pass::Again(Stage::Record));
            }
        }
        Ok(Pass::Settled(Outcome::Rejected(error)))
    }

    /// The last good renditions stay; their manifest says that their source has been replaced.
    async fn mark_replaced(
        &self,
        job: &Job,
        before: &Before,
        source: Option<&Source>,
        now: &Head,
        error: &Error,
    ) -> Result<(), Error> {
        let Some(manifest) = &before.manifest else {
            return Ok(());
        };
        let same_source = source.is_some_and(|s| s.sha256 == manifest.source.sha256);
        let mut marked = manifest.clone();
        marked.replaced_by = Some(BadSource {
            stage: error.stage(),
            code: error.code().to_owned(),
        });
        marked.store.replaced_by = Some(ObjectRecord::from(now));
        if same_source || marked == *manifest {
            return Ok(());
        }
        self.put_manifest(&job.source, &marked, before.manifest_condition())
            .await?;
        Ok(())
    }

    /// Removes the failure record of a source that has since succeeded (or, with no etag, is
    /// gone). The record is looked at first and the source after it: if the source is still the
    /// same, the record speaks of an older one. Says whether it is the same.
    async fn clear_failure(&self, source: &str, etag: Option<&Etag>) -> Result<bool, Error> {
        let key = self.recipe.output.failed_key(source);
        let old = match self.output.head(&key).await {
            Ok(head) => head,
            Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::new(Stage::Plan, error)),
        };
        let now = self.source_head(source).await?.map(|head| head.etag);
        if now.as_ref() != etag {
            return Ok(false);
        }
        match self.output.delete(&key, Condition::IfMatch(old.etag)).await {
            // A newer source failed meanwhile: that record stays.
            Err(error) if error.kind() != StoreErrorKind::Conflict => {
                Err(Error::new(Stage::Record, error))
            }
            _ => Ok(true),
        }
    }

    /// The source is gone: it was looked for after `before` was read.
    async fn remove(&self, job: &Job, before: &Before, memory: &Memory) -> Result<Pass, Error> {
        let fail = |error| Error::new(Stage::Record, error);
        let gone = || Ok(Pass::Settled(Outcome::Skipped(SkipReason::Gone)));
        if self.options.removals == Removals::Keep {
            return gone();
        }
        if let Some(manifest) = &before.manifest {
            let record = Manifest {
                state: State::Replacing,
                replacing_for: Some(ReplacingFor {
                    request: job.request.clone(),
                    restarts: memory.restarts,
                    sha256: None,
                }),
                ..manifest.clone()
            };
            let head = self
                .put_manifest(&job.source, &record, before.manifest_condition())
                .await?;
            for key in manifest.claimed_keys() {
                if let Some(listed) = before.present.get(key) {
                    let condition = Condition::IfMatch(listed.etag.clone());
                    self.output.delete(key, condition).await.map_err(fail)?;
                }
            }
            let key = self.recipe.output.manifest_key(&job.source);
            let condition = Condition::IfMatch(head.etag);
            self.output.delete(&key, condition).await.map_err(fail)?;
        }
        if !self.clear_failure(&job.source, None).await? {
            return Ok(Pass::Again(Stage::Record));
        }
        if self.is_gone(&job.source).await? {
            gone()
        } else {
            Ok(Pass::Again(Stage::Record))
        }
    }

    async fn is_gone(&self, source: &str) -> Result<bool, Error> {
        Ok(self.source_head(source).await?.is_none())
    }

    /// [`render_variants`] by these options, for a thread of blocking work: the time that one picture may take counts
    /// from the call.
    pub(crate) fn rendering(
        &self,
    ) -> impl FnOnce(&[u8], &Recipe, &[&Variant]) -> Result<Renditions, Error> + Send + 'static
    {
        let mut options = RenderOptions {
            threads: self.options.threads,
            stop: self.options.stop.clone(),
            memory: self.options.memory,
            speed: self.options.speed,
        };
        let limit = self.options.time_limit;
        move |bytes, recipe, variants| {
            let end = limit.and_then(|limit| Instant::now().checked_add(limit));
            if let Some(end) = end {
                options.stop = options.stop.or_at(end);
            }
            let rendered = render_variants(bytes, recipe, variants, &options);
            let is_over = end.is_some_and(|end| Instant::now() >= end);
            rendered.map_err(|error| match (error.cause(), limit) {
                (Cause::Image(ImageError::Stopped), Some(limit)) if is_over => {
                    Error::new(error.stage(), took_too_long(limit))
                }
                _ => error,
            })
        }
    }

    /// Runs `work` where the caller wants blocking work to run.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (send, receive) = oneshot::channel();
        let (started, has_started) = oneshot::channel();
        (self.blocking)(Box::new(move || {
            // Nobody listens when the job was dropped: then the result is not wanted either.
            let _ = started.send(());
            let _ = send.send(work());
        }));
        let gone = |_| Error::new(Stage::Render, Cause::WorkerGone);
        let Some((limit, timer)) = self.options.time_limit.zip(self.timer.as_ref()) else {
            return receive.await.map_err(gone);
        };
        let overdue = async {
            if has_started.await.is_err() {
                // It was dropped before it began, which the other end tells.
                std::future::pending::<()>().await;
            }
            timer(given_up_after(limit)).await;
        };
        match select(receive, pin!(overdue)).await {
            Either::Left((done, _)) => done.map_err(gone),
            Either::Right(_) => Err(Error::new(Stage::Render, took_too_long(limit))),
        }
    }
}

fn took_too_long(limit: Duration) -> ImageError {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    ImageError::TookTooLong { limit_ms }
}

/// A set that is ready to be put in place.
struct NewSet {
    blobs: Vec<(String, Blob)>,
    manifest: Manifest,
    rendered: Vec<String>,
}

/// The manifest while the set is being replaced: the old list, the claim on the new keys, and
/// for whom.
fn replacing(job: &Job, before: &Before, source: &Source, set: &NewSet, restarts: u32) -> Manifest {
    let mut record = before.manifest.clone().unwrap_or_else(|| Manifest {
        variants: Vec::new(),
        warnings: Vec::new(),
        ..set.manifest.clone()
    });
    record.state = State::Replacing;
    record.engine = engine();
    record.recipe = set.manifest.recipe;
    let mut pending: BTreeSet<String> = record.pending.drain(..).collect();
    pending.extend(set.blobs.iter().map(|(key, _)| key.clone()));
    pending.retain(|key| !record.renditions().any(|r| r.key == *key));
    record.pending = pending.into_iter().collect();
    record.replacing_for = Some(ReplacingFor {
        request: job.request.clone(),
        restarts,
        sha256: Some(source.sha256.clone()),
    });
    record
}

pub(crate) fn foreign_file(key: &str) -> Cause {
    Cause::Name(format!(
        "{key:?} is there already and was not made from this source by Pixmill; \
         move it away, choose another output, or replace it with --force"
    ))
}

/// What the store says of a source, with the latest event about it: this one, or the one that an
/// earlier manifest knew.
fn object_record(job: &Job, head: &Head, old: Option<&Manifest>) -> ObjectRecord {
    let known = old.and_then(|manifest| manifest.store.source.as_ref()?.sequencer.clone());
    let sequencer = match (job.sequencer.clone(), known) {
        (Some(this), Some(known)) if comes_before(&this, &known) => Some(known),
        (this, known) => this.or(known),
    };
    ObjectRecord {
        sequencer,
        ..ObjectRecord::from(head)
    }
}

/// Whether a failure record speaks of the source with this etag, this recipe and this engine.
pub(crate) fn still_fails(recipe: &Recipe, record: &FailureRecord, etag: &Etag) -> bool {
    let recorded = record.store.as_ref();
    recorded.is_some_and(|object| object.etag == *etag)
        && record.recipe == recipe.digest()
        && record.engine == engine()
}

/// The failure that a record tells of, told again.
pub(crate) fn known_failure(record: &FailureRecord) -> Error {
    let cause = Cause::FailedBefore {
        code: record.code.clone(),
        message: record.message.clone(),
    };
    Error::new(record.stage, cause)
}

fn is_conflict(error: &Error) -> bool {
    matches!(error.cause(), Cause::Store(e) if e.kind() == StoreErrorKind::Conflict)
}

fn is_not_found(error: &Error) -> bool {
    matches!(error.cause(), Cause::Store(e) if e.kind() == StoreErrorKind::NotFound)
}

fn json_blob(bytes: Vec<u8>) -> Blob {
    Blob {
        bytes: Bytes::from(bytes),
        content_type: "application/json".to_owned(),
        cache_control: None,
        metadata: marker(),
    }
}

/// What everything that we write carries where the store keeps it: our own output must never be
/// taken for a source.
pub const MARKER: (&str, &str) = ("processed-by", "pixmill");

fn marker() -> BTreeMap<String, String> {
    BTreeMap::from([(MARKER.0.to_owned(), MARKER.1.to_owned())])
}

/// Whether the store says that we wrote it ourselves.
fn is_our_output(head: &Head) -> bool {
    head.metadata.get(MARKER.0).is_some_and(|by| by == MARKER.1)
}

fn rendition_blob(job: &Job, variant: &Variant, made: &Made, memory: &Memory) -> Blob {
    let mut metadata = marker();
    metadata.insert("original-key".to_owned(), job.source.clone());
    // Beside the bytes, never within them: they would differ from run to run.
    if let Some(request) = &job.request {
        let time = memory.started.elapsed().as_millis().to_string();
        metadata.insert("request-id".to_owned(), request.clone());
        metadata.insert("processing-time-ms".to_owned(), time);
    }
    Blob {
        bytes: made.bytes.clone(),
        content_type: made.content_type.to_owned(),
        cache_control: variant.cache_control.clone(),
        metadata,
    }
}

fn source_record(job: &Job, source: &Source, info: &Info) -> SourceRecord {
    SourceRecord {
        key: job.source.clone(),
        bytes: source.bytes.len() as u64,
        sha256: source.sha256.clone(),
        format: info.format,
        width: info.width,
        height: info.height,
        frames: info.frames,
        alpha: info.alpha,
        profile: info.profile.clone(),
        focus_point: None,
        placeholder: None,
    }
}

/// `warnings` with what is to be said of the source's point as it is now: it can change without
/// anything having to be made again.
fn told_of_point(mut warnings: Vec<Warning>, now: Option<Warning>) -> Vec<Warning> {
    warnings.retain(|warning| warning.code != WarningCode::FocusPointUnusable);
    // The last of those that concern the whole picture.
    let of_all = warnings.iter().take_while(|w| w.variant.is_none()).count();
    warnings.splice(of_all..of_all, now);
    warnings
}

/// Warnings of what was made now, and those of the records that were kept.
fn merge_warnings(
    old: Option<&Manifest>,
    rendered: Option<&Renditions>,
    names: &[String],
    recipe: &Recipe,
) -> Vec<Warning> {
    // Where nothing was decoded, nothing was found out about the whole picture.
    let decoded = rendered.is_some_and(|r| r.placeholder.is_some());
    let is_new = |w: &Warning| w.variant.as_ref().map_or(decoded, |v| names.contains(v));
    let is_asked = |w: &Warning| {
        let variant = w.variant.as_ref();
        variant.is_none_or(|name| recipe.variants.iter().any(|v| v.name == *name))
    };
    let kept = match (old, rendered) {
        (Some(old), Some(_)) if names.len() < recipe.variants.len() => old
            .warnings
            .iter()
            .filter(|w| !is_new(w))
            .cloned()
            .collect(),
        (Some(old), None) => old.warnings.clone(),
        _ => Vec::new(),
    };
    let new = rendered.map(|r| r.warnings.clone()).unwrap_or_default();
    let mut all: Vec<Warning> = new.into_iter().chain(kept).filter(is_asked).collect();
    // In one order whichever was made when: the whole picture's first, then the recipe's order.
    all.sort_by_key(|w| {
        let at = |name: &String| recipe.variants.iter().position(|v| v.name == *name);
        (w.variant.as_ref().and_then(at), w.code)
    });
    all
}

/// Reads a source, or a part of it; what is too large is the picture's fault, not the store's.
pub(crate) async fn fetch_part(
    sources: &dyn BlobStore,
    key: &str,
    limit: u64,
    range: Option<Range<u64>>,
) -> Result<Fetched, Error> {
    let fetched = sources.get(key, limit, range).await;
    fetched.map_err(|error| match error.kind() {
        StoreErrorKind::TooLarge { size, max } => {
            let too_large = ImageError::TooLarge {
                what: Limit::InputBytes,
                actual: size.unwrap_or(max.saturating_add(1)),
                max,
                remedy: "make the file smaller, or raise `limits.input_bytes`".to_owned(),
            };
            Error::new(Stage::Fetch, too_large)
        }
        _ => Error::new(Stage::Fetch, error),
    })
}

/// What a source is and what its header says, reading no more of it than needed. Where there is a lock, it is taken for
/// what is read beyond [`SMALL_READ`]. Fails only where the store does.
pub(crate) async fn probe_source(
    sources: &dyn BlobStore,
    key: &str,
    size: u64,
    max_bytes: u64,
    whole: Option<&Mutex<()>>,
) -> Result<(Sniffed, Result<Info, Error>), Error> {
    let mut length = 64 << 10;
    let mut alone = None;
    loop {
        if let (Some(whole), None) = (whole, &alone)
            && length.min(size) > SMALL_READ
        {
            alone = Some(whole.lock().await);
        }
        let range = (length < size).then_some(0..length);
        let limit = if range.is_some() { length } else { max_bytes };
        let Fetched { bytes, .. } = fetch_part(sources, key, limit, range.clone()).await?;
        match probe(&bytes) {
            // The header goes on beyond what was read: large EXIF blocks, TIFF directories at the end.
            Err(_) if range.is_some() && matches!(sniff(&bytes), Sniffed::Picture(_)) => {
                length *= 16;
            }
            result => return Ok((sniff(&bytes), result)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Poll;
    use std::thread;

    use super::*;
    use crate::memory::MemoryStore;

    fn at_work(limit: Option<Duration>) -> Processor {
        let store = Arc::new(MemoryStore::new());
        Processor::new(store.clone(), store, Recipe::default_recipe())
            .with_options(ProcessOptions {
                time_limit: limit,
                ..ProcessOptions::default()
            })
            .with_blocking(|work| drop(thread::spawn(work)))
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(work)
    }

    #[test]
    fn work_that_never_ends_is_left_behind_and_its_job_fails_with_the_limit() {
        let (end, hanging) = mpsc::channel::<()>();
        let (tell, waited) = mpsc::channel();
        let processor = at_work(Some(Duration::from_millis(7))).with_timer(move |time| {
            tell.send(time).expect("the test listens");
            Box::pin(std::future::ready(()))
        });
        let error = wait(processor.run(move || hanging.recv())).expect_err("its time is over");
        assert!(
            matches!(
                error.cause(),
                Cause::Image(ImageError::TookTooLong { limit_ms: 7 })
            ),
            "{error}"
        );
        assert_eq!((error.code(), error.is_transient()), ("out-of-time", true));
        assert_eq!(waited.recv(), Ok(Duration::from_millis(14)));
        // It is still at work, and ends when it can: nobody minds.
        end.send(()).expect("it hangs still");
    }

    #[test]
    fn work_that_waits_for_its_turn_has_not_begun_and_loses_no_time() {
        let (tell, waiting) = mpsc::channel();
        let processor = at_work(Some(Duration::ZERO))
            .with_blocking(move |work| tell.send(work).expect("the test listens"))
            .with_timer(|_| Box::pin(std::future::ready(())));
        let mut done = pin!(processor.run(|| 7));
        wait(async {
            let begun = poll_fn(|cx| Poll::Ready(done.as_mut().poll(cx).is_pending()));
            assert!(begun.await);
            waiting.recv().expect("it was handed over")();
            assert_eq!(done.await.expect("it was done at once"), 7);
        });
        // What is thrown away before its turn says so.
        let thrown_away = at_work(Some(Duration::ZERO))
            .with_blocking(drop)
            .with_timer(|_| Box::pin(std::future::ready(())));
        let error = wait(thrown_away.run(|| ())).expect_err("nobody did it");
        assert_eq!(error.code(), "worker-gone");
    }

    #[test]
    fn however_long_the_limit_no_clock_overflows() {
        assert_eq!(given_up_after(Duration::MAX), Duration::MAX);
        let processor = at_work(Some(Duration::MAX));
        let recipe = Recipe::default_recipe();
        let error = processor.rendering()(b"no picture", &recipe, &[]).expect_err("it is none");
        assert_eq!(error.code(), "unsupported");
    }
}
