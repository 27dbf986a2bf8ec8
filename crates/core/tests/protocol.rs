//! The processing protocol under every interleaving: the real code on the in-memory store, with
//! jobs, a writer and a crash taking turns call by call, in every order that differs.

use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use pixmill::error::StoreError;
use pixmill::job::Job;
use pixmill::manifest::{FailureRecord, Manifest, State};
use pixmill::memory::MemoryStore;
use pixmill::outcome::Outcome;
use pixmill::ports::{Blob, BlobStore, Condition, Fetched, Head, Listed};
use pixmill::process::{Foreign, ProcessOptions, Processor, Removals};
use pixmill::recipe::{OutputFormat, Recipe, Variant};
use sha2::{Digest, Sha256};

const KEY: &str = "cat.png";

/// One job's leave to make one call, and what it has been told so far.
#[derive(Default)]
struct Turn {
    granted: AtomicBool,
    told: AtomicU64,
    calls: AtomicU64,
}

/// Two jobs that always interrupt each other could go on for ever; in earnest one of them gives
/// up after some restarts and comes back later. Paths in which a job needs more calls than about
/// four passes are not followed further.
const MOST_CALLS: u64 = 40;

impl Turn {
    async fn wait(&self) {
        std::future::poll_fn(|_| {
            if self.granted.swap(false, Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn tell(&self, what: &impl std::fmt::Debug) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut hash = DefaultHasher::new();
        self.told.load(Ordering::Relaxed).hash(&mut hash);
        format!("{what:?}").hash(&mut hash);
        self.told.store(hash.finish(), Ordering::Relaxed);
    }
}

/// A store that makes each call wait for its job's turn.
struct Stepped {
    store: MemoryStore,
    turn: Arc<Turn>,
}

#[async_trait]
impl BlobStore for Stepped {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        self.turn.wait().await;
        let result = self.store.get(key, max_bytes, range).await;
        self.turn.tell(
            &result
                .as_ref()
                .map(|f| &f.head.etag)
                .map_err(StoreError::kind),
        );
        result
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        self.turn.wait().await;
        let result = self.store.head(key).await;
        self.turn
            .tell(&result.as_ref().map(|h| &h.etag).map_err(StoreError::kind));
        result
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        self.turn.wait().await;
        let result = self.store.put(key, blob, condition).await;
        self.turn.tell(&(
            key,
            result.as_ref().map(|h| &h.etag).map_err(StoreError::kind),
        ));
        result
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let (store, turn, prefix) = (self.store.clone(), self.turn.clone(), prefix.to_owned());
        stream::once(async move {
            turn.wait().await;
            let lines: Vec<_> = store.list(&prefix).collect().await;
            let told: Vec<_> = lines.iter().flatten().map(|l| (&l.key, &l.etag)).collect();
            turn.tell(&told);
            stream::iter(lines)
        })
        .flatten()
        .boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        self.turn.wait().await;
        let result = self.store.delete(key, condition).await;
        self.turn
            .tell(&(key, result.as_ref().map_err(StoreError::kind)));
        result
    }
}

/// What a writer does to the source, one step at a time. Each step sends an event.
#[derive(Clone, Copy)]
enum Write {
    Put(&'static [u8]),
    Delete,
}

/// A small world: what is written, and how many jobs may crash (each crash is delivered again).
struct World {
    /// What was there before the first event, and processed.
    settled: Option<&'static [u8]>,
    /// Each is an event; the first has happened already when the jobs begin.
    writes: &'static [Write],
    /// How many of the events are delivered twice.
    duplicates: usize,
    crashes: usize,
    foreign: Foreign,
    removals: Removals,
    /// Whether contents return, so that etags which speak of content do too. Then a slow job can
    /// spoil a set for a moment; it must be whole again when all events have been handled.
    contents_return: bool,
    /// How often a job that could go on is made to wait for another: most faults show with two
    /// or three such switches, and small worlds need no bound at all.
    switches: usize,
}

impl World {
    const PLAIN: Self = Self {
        settled: None,
        writes: &[],
        duplicates: 0,
        crashes: 0,
        foreign: Foreign::Replace,
        removals: Removals::Keep,
        contents_return: false,
        switches: 2,
    };
}

struct Task {
    turn: Arc<Turn>,
    job: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    ended: bool,
}

fn recipe() -> Recipe {
    let mut recipe = Recipe::single(Variant::new("a", OutputFormat::Png)).expect("a good recipe");
    recipe.output = pixmill::recipe::Output::default();
    recipe.check().expect("a good recipe");
    recipe
}

/// One run of the world along a list of choices.
struct Run<'a> {
    world: &'a World,
    sources: MemoryStore,
    output: MemoryStore,
    tasks: Vec<Task>,
    written: usize,
    crashed: usize,
    /// The job that made the last call, and how often it was made to wait so far.
    current: usize,
    switched: usize,
}

impl<'a> Run<'a> {
    fn new(world: &'a World) -> Self {
        let mut run = Run {
            world,
            sources: MemoryStore::new(),
            output: MemoryStore::new(),
            tasks: Vec::new(),
            written: 0,
            crashed: 0,
            current: 0,
            switched: 0,
        };
        if let Some(bytes) = world.settled {
            run.sources.insert(KEY, bytes);
            run.deliver();
            while !run.tasks[0].ended {
                run.step(0);
            }
            run.tasks.clear();
        }
        run.write();
        for _ in 0..world.duplicates {
            run.deliver();
        }
        run
    }

    fn write(&mut self) {
        match self.world.writes[self.written] {
            Write::Put(bytes) => {
                self.sources.insert(KEY, bytes);
            }
            Write::Delete => {
                let delete = self.sources.delete(KEY, Condition::Always);
                ready(delete).expect("the memory store deletes");
            }
        }
        self.written += 1;
        self.deliver();
    }

    fn deliver(&mut self) {
        let turn = Arc::new(Turn::default());
        let stepped = |store: &MemoryStore| {
            Arc::new(Stepped {
                store: store.clone(),
                turn: turn.clone(),
            })
        };
        let options = ProcessOptions {
            foreign: self.world.foreign,
            removals: self.world.removals,
            ..ProcessOptions::default()
        };
        let processor = Processor::new(stepped(&self.sources), stepped(&self.output), recipe())
            .with_options(options);
        // Requests have names of their own, as they do in a deployment.
        let job = Job::new(KEY).with_request(format!("request {}", self.tasks.len()));
        self.tasks.push(Task {
            turn: turn.clone(),
            job: Box::pin(async move { processor.process(&job).await }),
            ended: false,
        });
        let last = self.tasks.len() - 1;
        self.poll(last);
    }

    fn poll(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = task.job.as_mut().poll(&mut context) {
            task.ended = true;
            assert!(
                !matches!(outcome, Outcome::Failed(_)),
                "no job may fail here: {outcome:?}"
            );
        }
    }

    fn step(&mut self, at: usize) {
        self.tasks[at].turn.granted.store(true, Ordering::Relaxed);
        self.poll(at);
    }

    /// What can happen next: a step of a live job, the next write, a crash of a live job.
    fn choices(&self) -> Vec<Choice> {
        let live = |at: &usize| !self.tasks[*at].ended;
        let mut steps: Vec<usize> = (0..self.tasks.len()).filter(live).collect();
        if self.switched >= self.world.switches && steps.contains(&self.current) {
            steps = vec![self.current];
        }
        let mut choices: Vec<_> = steps.iter().map(|at| Choice::Step(*at)).collect();
        if self.written < self.world.writes.len() {
            choices.push(Choice::Write);
        }
        if self.crashed < self.world.crashes {
            choices.extend(steps.iter().map(|at| Choice::Crash(*at)));
        }
        choices
    }

    fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Step(at) => {
                if at != self.current && !self.tasks[self.current].ended {
                    self.switched += 1;
                }
                self.current = at;
                self.step(at);
            }
            Choice::Write => self.write(),
            Choice::Crash(at) => {
                self.crashed += 1;
                self.tasks[at].ended = true;
                // Whoever keeps the queue delivers it again.
                self.deliver();
            }
        }
    }

    fn goes_on_for_ever(&self) -> bool {
        let calls = |task: &Task| task.turn.calls.load(Ordering::Relaxed);
        self.tasks.iter().any(|task| calls(task) > MOST_CALLS)
    }

    fn state(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for store in [&self.sources, &self.output] {
            for key in store.keys() {
                (&key, store.read(&key).map(|b| b.bytes)).hash(&mut hash);
            }
        }
        for task in &self.tasks {
            (task.ended, task.turn.told.load(Ordering::Relaxed)).hash(&mut hash);
        }
        (self.written, self.crashed, self.current, self.switched).hash(&mut hash);
        hash.finish()
    }

    fn manifest(&self) -> Option<Manifest> {
        let blob = self.output.read("cat.png/manifest.json")?;
        Some(Manifest::from_json("manifest", &blob.bytes).expect("what we wrote can be read"))
    }

    fn failure(&self) -> Option<FailureRecord> {
        let blob = self.output.read("failed/cat.png.json")?;
        Some(FailureRecord::from_json("record", &blob.bytes).expect("what we wrote can be read"))
    }

    /// Whether everything that a complete manifest lists is there as listed.
    fn vouches_truly(&self) -> bool {
        let Some(manifest) = self.manifest().filter(|m| m.state == State::Complete) else {
            return true;
        };
        manifest.renditions().all(|r| {
            let blob = self.output.read(&r.key);
            blob.is_some_and(|blob| hex::encode(Sha256::digest(&blob.bytes)) == r.sha256)
        })
    }

    /// What must hold when every event has been handled.
    fn check_settled(&self, when: &str) {
        assert!(
            self.vouches_truly(),
            "the manifest lists what is not there {when}"
        );
        let manifest = self.manifest();
        let Some(source) = self.sources.read(KEY) else {
            if self.world.removals == Removals::Delete {
                assert_eq!(
                    self.output.keys(),
                    Vec::<String>::new(),
                    "the source is gone {when}"
                );
            }
            return;
        };
        let sha256 = hex::encode(Sha256::digest(&source.bytes));
        if is_bad(&source.bytes) {
            assert!(
                self.failure().is_some(),
                "a bad source leaves a record {when}"
            );
            if let Some(manifest) = manifest {
                assert_ne!(manifest.source.sha256, sha256, "{when}");
                assert!(
                    manifest.replaced_by.is_some(),
                    "the old set is marked {when}"
                );
            }
            return;
        }
        let manifest = manifest.expect("a good source has a manifest");
        assert_eq!(manifest.state, State::Complete, "{when}");
        assert_eq!(
            manifest.source.sha256, sha256,
            "the newest source wins {when}"
        );
        assert_eq!(manifest.replaced_by, None, "{when}");
        assert!(
            self.failure().is_none(),
            "a good source has no failure record {when}"
        );
        let expected: BTreeSet<String> = manifest
            .renditions()
            .map(|r| r.key.clone())
            .chain(["cat.png/manifest.json".to_owned()])
            .collect();
        let there: BTreeSet<String> = self.output.keys().into_iter().collect();
        assert_eq!(there, expected, "nothing else lies about {when}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Step(usize),
    Write,
    Crash(usize),
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it should not wait"),
    }
}

/// Runs the world along every order of choices that leads to a state not seen before.
/// Returns the number of different states.
fn explore(world: &World) -> usize {
    let mut seen = HashSet::new();
    let mut open: Vec<Vec<usize>> = vec![Vec::new()];
    let trail = Mutex::new(Vec::new());
    while let Some(path) = open.pop() {
        let mut run = Run::new(world);
        trail.lock().expect("one thread").clear();
        let mut path_so_far = path.clone();
        for index in &path {
            let choice = run.choices()[*index];
            trail.lock().expect("one thread").push(choice);
            run.take(choice);
        }
        loop {
            if run.goes_on_for_ever() || !seen.insert(run.state()) {
                break;
            }
            let context = || format!("after {:?}", trail.lock().expect("one thread"));
            if !world.contents_return {
                assert!(
                    run.vouches_truly(),
                    "a mixed set is vouched for {}",
                    context()
                );
            }
            let choices = run.choices();
            if choices.is_empty() {
                run.check_settled(&context());
                break;
            }
            for other in 1..choices.len() {
                let mut branch = path_so_far.clone();
                branch.push(other);
                open.push(branch);
            }
            trail.lock().expect("one thread").push(choices[0]);
            path_so_far.push(0);
            run.take(choices[0]);
        }
    }
    seen.len()
}

const V0: &[u8] = include_bytes!("protocol/red.png");
const V1: &[u8] = include_bytes!("protocol/green.png");
const V2: &[u8] = include_bytes!("protocol/blue.png");
/// A PNG that ends in the middle.
const BAD: &[u8] = include_bytes!("protocol/cut.png");

fn is_bad(bytes: &[u8]) -> bool {
    bytes == BAD
}

#[test]
fn a_duplicated_event_makes_one_complete_set() {
    let states = explore(&World {
        writes: &[Write::Put(V1)],
        duplicates: 1,
        switches: usize::MAX,
        ..World::PLAIN
    });
    assert!(states > 50, "only {states} states were seen");
}

#[test]
fn three_deliveries_of_one_event_make_one_complete_set() {
    explore(&World {
        writes: &[Write::Put(V1)],
        duplicates: 2,
        ..World::PLAIN
    });
}

#[test]
fn a_newer_source_wins_over_a_slow_job() {
    explore(&World {
        writes: &[Write::Put(V1), Write::Put(V2)],
        ..World::PLAIN
    });
}

#[test]
fn a_newer_source_wins_where_a_set_was_there_before() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(V1), Write::Put(V2)],
        ..World::PLAIN
    });
}

#[test]
fn a_crash_between_any_two_calls_is_made_good_by_the_next_delivery() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(V1)],
        crashes: 2,
        ..World::PLAIN
    });
}

#[test]
fn a_crash_beside_a_newer_source_is_made_good() {
    explore(&World {
        writes: &[Write::Put(V1), Write::Put(V2)],
        crashes: 1,
        ..World::PLAIN
    });
}

#[test]
fn contents_that_return_end_as_they_are_now() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(V1), Write::Put(V0)],
        crashes: 1,
        contents_return: true,
        ..World::PLAIN
    });
}

#[test]
fn a_bad_source_keeps_the_last_good_set_and_leaves_a_record() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(BAD)],
        duplicates: 1,
        crashes: 1,
        ..World::PLAIN
    });
}

#[test]
fn a_good_source_after_a_bad_one_leaves_no_record() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(BAD), Write::Put(V1)],
        crashes: 1,
        ..World::PLAIN
    });
}

#[test]
fn a_bad_source_after_a_good_one_is_recorded() {
    explore(&World {
        writes: &[Write::Put(V1), Write::Put(BAD)],
        ..World::PLAIN
    });
}

#[test]
fn a_removed_source_takes_its_renditions_with_it() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Put(V1), Write::Delete],
        removals: Removals::Delete,
        ..World::PLAIN
    });
}

#[test]
fn a_source_that_comes_back_is_made_again() {
    explore(&World {
        settled: Some(V0),
        writes: &[Write::Delete, Write::Put(V1)],
        removals: Removals::Delete,
        crashes: 1,
        ..World::PLAIN
    });
}

#[test]
fn a_cut_off_first_set_is_known_as_ours_where_strangers_are_refused() {
    explore(&World {
        writes: &[Write::Put(V1)],
        crashes: 2,
        foreign: Foreign::Refuse,
        ..World::PLAIN
    });
}
