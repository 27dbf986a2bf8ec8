//! What one job does beside making renditions: answering from records, putting off, giving up.
#![cfg(all(feature = "jpeg", feature = "png", feature = "webp", feature = "tiff"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use pixmill::error::{ImageError, Stage, StoreError, StoreErrorKind};
use pixmill::job::Job;
use pixmill::manifest::{Manifest, State};
use pixmill::memory::MemoryStore;
use pixmill::outcome::{Outcome, SkipReason};
use pixmill::plan::Candidate;
use pixmill::ports::{Blob, BlobStore, Condition, Etag, Fetched, Head, Listed};
use pixmill::process::{Foreign, MARKER, ProcessOptions, Processor};
use pixmill::recipe::{FOCUS_POINT, Recipe};
use pixmill::render::Stop;
use pixmill_testkit::faulty_store::{Fault, FaultyStore};
use pixmill_testkit::pictures::{Png, decoded, photo, tiff};

const RECIPE: &str = "
version = 1
[[variant]]
name = \"small\"
format = \"jpeg\"
width = 8
[[variant]]
name = \"big\"
format = \"webp\"
required = false
";

struct World {
    sources: FaultyStore<MemoryStore>,
    output: FaultyStore<MemoryStore>,
}

impl World {
    fn new() -> Self {
        Self {
            sources: FaultyStore::new(MemoryStore::new()),
            output: FaultyStore::new(MemoryStore::new()),
        }
    }

    fn processor(&self, options: ProcessOptions) -> Processor {
        let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
        let (sources, output) = (self.sources.clone(), self.output.clone());
        Processor::new(Arc::new(sources), Arc::new(output), recipe).with_options(options)
    }

    fn process(&self, job: &Job) -> Outcome {
        self.process_with(job, ProcessOptions::default())
    }

    fn process_with(&self, job: &Job, options: ProcessOptions) -> Outcome {
        let processor = self.processor(options);
        let done = processor.process(job).now_or_never();
        done.expect("nothing waits here")
    }

    fn manifest(&self, source: &str) -> Manifest {
        let key = format!("{source}/manifest.json");
        let blob = self.output.inner().read(&key).expect("a manifest");
        Manifest::from_json(&key, &blob.bytes).expect("a good manifest")
    }

    fn gets_of(&self, key: &str) -> usize {
        let calls = self.sources.calls();
        let gets = calls.iter().filter(|c| c.function == "get" && c.key == key);
        gets.count()
    }
}

#[test]
fn a_duplicated_event_neither_reads_the_source_nor_writes_anything() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    assert_eq!(world.process(&Job::new("a.png")).word(), "done");
    let writes = world.output.inner().writes();
    for _ in 0..3 {
        assert_eq!(world.process(&Job::new("a.png")).word(), "unchanged");
    }
    assert_eq!(world.gets_of("a.png"), 1);
    assert_eq!(world.output.inner().writes(), writes);
}

#[test]
fn a_duplicated_event_still_notices_a_rendition_that_is_missing() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    world.process(&Job::new("a.png"));
    let gone = world
        .output
        .inner()
        .delete("a.png/big.webp", Condition::Always);
    gone.now_or_never().expect("an answer").expect("it deletes");
    let Outcome::Done(done) = world.process(&Job::new("a.png")) else {
        panic!("it should be made again");
    };
    assert_eq!(done.rendered, ["big"]);
}

#[test]
fn a_manifest_of_a_later_layout_is_never_replaced_but_by_force() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    let key = "a.png/manifest.json";
    let later = r#"{ "manifest_version": 2, "renditions": { "in": "another way" } }"#;
    world.output.inner().insert(key, later);
    let outcome = world.process(&Job::new("a.png"));
    assert_eq!(
        (outcome.word(), outcome.code()),
        ("failed", Some("newer-work"))
    );
    let blob = world.output.inner().read(key).expect("it is there");
    assert_eq!(blob.bytes, later);
    assert_eq!(world.output.inner().keys(), [key]);
    let force = ProcessOptions {
        force: true,
        ..ProcessOptions::default()
    };
    assert_eq!(world.process_with(&Job::new("a.png"), force).word(), "done");
}

#[test]
fn a_bad_source_is_tried_once_however_often_it_is_asked_for() {
    let world = World::new();
    let whole = photo(20, 10).png();
    let cut = whole[..whole.len() / 2].to_vec();
    world.sources.inner().insert("bad.png", cut);
    for _ in 0..3 {
        let outcome = world.process(&Job::new("bad.png"));
        assert_eq!(outcome.word(), "rejected");
        assert_eq!(outcome.code(), Some("truncated"));
    }
    assert_eq!(world.gets_of("bad.png"), 1);
    let forced = ProcessOptions {
        force: true,
        ..ProcessOptions::default()
    };
    world.process_with(&Job::new("bad.png"), forced);
    assert_eq!(world.gets_of("bad.png"), 2);
    // Another content is another source.
    world.sources.inner().insert("bad.png", photo(20, 10).png());
    assert_eq!(world.process(&Job::new("bad.png")).word(), "done");
    assert_eq!(world.output.inner().read("failed/bad.png.json"), None);
}

#[test]
fn an_event_that_was_overtaken_is_called_stale_and_changes_nothing() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    let newer = Job::new("a.png").with_sequencer("0055AED6DCD90281E5");
    assert_eq!(world.process(&newer).word(), "done");
    let writes = world.output.inner().writes();
    let older = Job::new("a.png").with_sequencer("0055AED6DCD90281E4");
    assert_eq!(world.process(&older).word(), "stale");
    assert_eq!(world.process(&newer).word(), "unchanged");
    assert_eq!(world.output.inner().writes(), writes);
    // The source counts and not the event: what is there now is made, and the latest is remembered.
    world.sources.inner().insert("a.png", photo(10, 20).png());
    assert_eq!(world.process(&older).word(), "done");
    let latest = world.manifest("a.png").store.source.expect("recorded");
    assert_eq!(latest.sequencer, newer.sequencer);
}

#[test]
fn what_carries_our_marker_is_never_taken_for_a_source() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    world.process(&Job::new("a.png").with_request("r-1"));
    let mut rendition = world.output.inner().read("a.png/small.jpg").expect("made");
    assert_eq!(rendition.metadata[MARKER.0], MARKER.1);
    assert_eq!(rendition.metadata["original-key"], "a.png");
    assert_eq!(rendition.metadata["request-id"], "r-1");
    assert!(
        rendition.metadata["processing-time-ms"]
            .parse::<u64>()
            .is_ok()
    );
    let put = |blob: Blob| {
        let put = world.sources.put("back.jpg", blob, Condition::Always);
        put.now_or_never().expect("an answer").expect("it writes");
    };
    put(rendition.clone());
    let outcome = world.process(&Job::new("back.jpg"));
    assert!(
        matches!(outcome, Outcome::Skipped(SkipReason::OwnOutput)),
        "{outcome:?}"
    );
    rendition.metadata.clear();
    put(rendition);
    assert_eq!(world.process(&Job::new("back.jpg")).word(), "done");
}

#[test]
fn what_there_is_no_time_for_is_put_off_and_made_by_the_next_job() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(400, 400).png());
    // A thread so slow that the large variant can't be made within the hour, but the small one can.
    let hurried = ProcessOptions {
        stop: Stop::at(Instant::now() + Duration::from_hours(1)),
        speed: 0.000_005,
        ..ProcessOptions::default()
    };
    let outcome = world.process_with(&Job::new("a.png"), hurried.clone());
    assert_eq!(outcome.word(), "done", "{outcome:?}");
    let manifest = world.manifest("a.png");
    assert_eq!(manifest.state, State::Incomplete);
    assert_eq!(manifest.variants[1].rendition, None);
    let why = manifest.variants[1]
        .deferred
        .as_deref()
        .expect("the reason");
    assert_eq!(
        why, "there was not enough time for it",
        "no figures: they hold a clock"
    );
    assert_eq!(manifest.warnings.len(), 1);

    // Nothing has changed, and there is not even time to decode it: nothing is touched.
    let writes = world.output.inner().writes();
    let hopeless = ProcessOptions {
        speed: 0.000_000_1,
        ..hurried
    };
    let Outcome::Done(again) = world.process_with(&Job::new("a.png"), hopeless) else {
        panic!("nothing that is required is missing");
    };
    assert!(again.rendered.is_empty(), "{:?}", again.rendered);
    assert_eq!(world.manifest("a.png"), manifest);
    assert_eq!(world.output.inner().writes(), writes);

    let Outcome::Done(done) = world.process(&Job::new("a.png")) else {
        panic!("there is time now");
    };
    assert_eq!(done.rendered, ["big"]);
    let manifest = world.manifest("a.png");
    assert_eq!(manifest.state, State::Complete);
    assert!(manifest.warnings.is_empty(), "{:?}", manifest.warnings);
    // The same as if there had been time at once.
    let straight = World::new();
    straight
        .sources
        .inner()
        .insert("a.png", photo(400, 400).png());
    straight.process(&Job::new("a.png"));
    assert_eq!(straight.manifest("a.png").variants, manifest.variants);
}

#[test]
fn a_source_that_there_is_no_time_for_fails_before_it_is_decoded_and_writes_nothing() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(400, 400).png());
    let slow = ProcessOptions {
        stop: Stop::at(Instant::now() + Duration::from_mins(1)),
        speed: 0.000_001,
        ..ProcessOptions::default()
    };
    let outcome = world.process_with(&Job::new("a.png"), slow);
    let error = outcome.error().expect("a failure");
    assert_eq!((error.stage(), error.code()), (Stage::Probe, "out-of-time"));
    assert!(error.is_transient());
    assert_eq!(world.output.inner().writes(), 0);
}

#[test]
fn a_picture_that_takes_longer_than_one_may_fails_with_the_limit_and_is_made_by_the_next_job() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(800, 800).png());
    // Told to be so fast that nothing is refused beforehand.
    let hurried = ProcessOptions {
        time_limit: Some(Duration::from_millis(1)),
        speed: f64::INFINITY,
        ..ProcessOptions::default()
    };
    let outcome = world.process_with(&Job::new("a.png"), hurried);
    let error = outcome.error().expect("a failure");
    assert_eq!((outcome.word(), error.code()), ("failed", "out-of-time"));
    let words = error.to_string();
    assert!(words.contains("within 1 ms"), "{words}");
    assert_eq!(world.output.inner().writes(), 0);
    let patient = ProcessOptions {
        time_limit: Some(Duration::from_hours(1)),
        ..ProcessOptions::default()
    };
    let outcome = world.process_with(&Job::new("a.png"), patient);
    assert_eq!(outcome.word(), "done", "{outcome:?}");
}

#[test]
fn a_job_that_runs_out_of_time_fails_at_the_stage_that_it_had_reached() {
    let stages = [
        (&["get", "a.png"], Stage::Fetch),
        (&["put", "a.png/small.jpg"], Stage::Publish),
        (&["put", "a.png/manifest.json"], Stage::Record),
    ];
    for (call, stage) in stages {
        let world = World::new();
        world.sources.inner().insert("a.png", photo(20, 10).png());
        let done = World::new();
        done.sources.inner().insert("a.png", photo(20, 10).png());
        done.process(&Job::new("a.png"));
        for (store, plain) in [
            (&world.sources, &done.sources),
            (&world.output, &done.output),
        ] {
            let calls = plain.calls();
            if let Some(at) = calls.iter().position(|c| [c.function, &c.key] == *call) {
                store.plan(at + 1, Fault::StopBefore);
            }
        }
        let processor = world.processor(ProcessOptions::default());
        // Ready only once the job has come as far as it can.
        let mut looks = 0;
        let later = std::future::poll_fn(|context| {
            looks += 1;
            context.waker().wake_by_ref();
            if looks > 3 {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let outcome = runtime
            .expect("a runtime")
            .block_on(processor.process_until(&Job::new("a.png"), later));
        let error = outcome.error().expect("a failure");
        assert_eq!((error.stage(), error.code()), (stage, "stopped"));
        assert!(error.is_transient());
        // The next one finishes it.
        world.sources.heal();
        world.output.heal();
        assert_eq!(world.process(&Job::new("a.png")).word(), "done");
    }
    let words = ImageError::Stopped.to_string();
    assert!(words.contains("deadline"), "{words}");
}

/// A store in which something else happens right after its n-th call.
struct Interrupted<F> {
    store: MemoryStore,
    calls: AtomicUsize,
    after: usize,
    then: F,
}

#[async_trait::async_trait]
impl<F: Fn(&MemoryStore) + Send + Sync> BlobStore for Interrupted<F> {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let result = self.store.get(key, max_bytes, range).await;
        self.count();
        result
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let result = self.store.head(key).await;
        self.count();
        result
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        let result = self.store.put(key, blob, condition).await;
        self.count();
        result
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let result = self.store.list(prefix);
        self.count();
        result
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        self.store.delete(key, condition).await
    }
}

impl<F: Fn(&MemoryStore)> Interrupted<F> {
    fn new(store: &MemoryStore, after: usize, then: F) -> Self {
        Self {
            store: store.clone(),
            calls: 0.into(),
            after,
            then,
        }
    }

    fn count(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.after {
            (self.then)(&self.store);
        }
    }
}

/// A run that replaces nothing that isn't ours, interrupted after each of its calls to the output in
/// turn; how it ended, and how the next run did.
fn careful_runs_interrupted(
    then: impl Fn(&MemoryStore) + Clone + Send + Sync + 'static,
) -> Vec<(Outcome, Outcome, Manifest)> {
    let sources = MemoryStore::new();
    sources.insert("a.png", photo(20, 10).png());
    let interrupted = (1..=12).map(|after| {
        let output = MemoryStore::new();
        let one = careful(&sources, Interrupted::new(&output, after, then.clone()));
        let outcome = one.process(&Job::new("a.png")).now_or_never();
        let next = careful(&sources, output.clone());
        let next = next.process(&Job::new("a.png")).now_or_never();
        let key = "a.png/manifest.json";
        let manifest = output.read(key).expect("a manifest");
        let manifest = Manifest::from_json(key, &manifest.bytes).expect("a good manifest");
        (
            outcome.expect("nothing waits here"),
            next.expect("nothing waits here"),
            manifest,
        )
    });
    interrupted.collect()
}

fn careful(sources: &MemoryStore, output: impl BlobStore + 'static) -> Processor {
    let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
    let options = ProcessOptions {
        foreign: Foreign::Refuse,
        ..ProcessOptions::default()
    };
    Processor::new(Arc::new(sources.clone()), Arc::new(output), recipe).with_options(options)
}

#[test]
fn what_another_run_writes_meanwhile_is_never_taken_for_a_strangers() {
    let sources = MemoryStore::new();
    sources.insert("a.png", photo(20, 10).png());
    let other_run = move |output: &MemoryStore| {
        let other = careful(&sources, output.clone());
        let done = other.process(&Job::new("a.png")).now_or_never();
        done.expect("nothing waits here");
    };
    for (at, (outcome, next, manifest)) in careful_runs_interrupted(other_run).iter().enumerate() {
        assert!(
            matches!(outcome.word(), "done" | "unchanged"),
            "{at}: {outcome:?}"
        );
        assert_eq!(next.word(), "unchanged", "{at}: {next:?}");
        assert_eq!(manifest.state, State::Complete, "{at}");
    }
}

#[test]
fn an_output_that_is_emptied_meanwhile_is_filled_again_and_nothing_in_it_is_a_strangers() {
    let emptied = |output: &MemoryStore| {
        for key in output.keys() {
            let deleted = output.delete(&key, Condition::Always).now_or_never();
            deleted.expect("nothing waits here").expect("a delete");
        }
    };
    for (at, (outcome, next, manifest)) in careful_runs_interrupted(emptied).iter().enumerate() {
        assert_eq!(outcome.word(), "done", "{at}: {outcome:?}");
        assert!(
            matches!(next.word(), "done" | "unchanged"),
            "{at}: {next:?}"
        );
        assert_eq!(manifest.state, State::Complete, "{at}");
    }
}

#[test]
fn a_good_source_that_takes_the_place_of_one_too_large_is_never_called_too_large() {
    for after in 1..=3 {
        let sources = MemoryStore::new();
        sources.insert("a.png", vec![0; 5_000]);
        let good = photo(20, 10).png();
        let with = good.clone();
        let replaced = Interrupted::new(&sources, after, move |store| {
            store.insert("a.png", with.clone());
        });
        let output = MemoryStore::new();
        let limited = RECIPE.replace("version = 1", "version = 1\n[limits]\ninput_bytes = 4000");
        assert!(good.len() < 4_000);
        let recipe = Recipe::from_toml(&limited).expect("a good recipe");
        let processor = Processor::new(Arc::new(replaced), Arc::new(output.clone()), recipe);
        // The event of the first source, then that of the second.
        for _ in 0..2 {
            let done = processor.process(&Job::new("a.png")).now_or_never();
            done.expect("nothing waits here");
        }
        let manifest = output
            .read("a.png/manifest.json")
            .expect("a good source is made");
        let manifest = Manifest::from_json("a.png", &manifest.bytes).expect("a good manifest");
        assert_eq!(
            (manifest.state, manifest.replaced_by),
            (State::Complete, None)
        );
        assert_eq!(output.read("failed/a.png.json"), None, "after call {after}");
    }
}

#[test]
fn an_older_recipe_leaves_finished_work_alone_and_gives_back_what_is_newer() {
    let world = World::new();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    let (sources, output) = (world.sources.clone(), world.output.clone());
    let newer = RECIPE.replace("version = 1", "version = 1\nrevision = 2");
    let newer = Recipe::from_toml(&newer).expect("a good recipe");
    let newer = Processor::new(Arc::new(sources), Arc::new(output), newer);
    let made = newer.process(&Job::new("a.png")).now_or_never();
    assert_eq!(made.expect("an answer").word(), "done");
    // An old sandbox gets a duplicate, then the event of a new upload.
    let outcome = world.process(&Job::new("a.png"));
    assert!(
        matches!(outcome, Outcome::Skipped(SkipReason::NewerWork)),
        "{outcome:?}"
    );
    world.sources.inner().insert("a.png", photo(10, 20).png());
    let outcome = world.process(&Job::new("a.png"));
    assert_eq!(
        (outcome.word(), outcome.code()),
        ("failed", Some("newer-work"))
    );
}

#[test]
fn what_is_left_out_for_good_is_not_asked_for_again_and_the_source_has_its_placeholder() {
    let (sources, output) = (MemoryStore::new(), MemoryStore::new());
    sources.insert("a.png", photo(100, 80).png());
    let recipe = Recipe::from_toml(
        "version = 1\n[[variant]]\nname = \"hero\"\nformat = \"jpeg\"\nwidths = [50, 100, 200]\n
        [[variant]]\nname = \"png\"\nformat = \"webp\"\nlossless = true\nif_larger = \"skip\"\nwidth = 20\nfit = \"inside\"\n",
    )
    .expect("a good recipe");
    let processor = Processor::new(Arc::new(sources), Arc::new(output.clone()), recipe);
    let process = || {
        let job = Job::new("a.png");
        let done = processor.process(&job).now_or_never();
        done.expect("nothing waits here").word()
    };
    assert_eq!(process(), "done");
    let key = "a.png/manifest.json";
    let blob = output.read(key).expect("a manifest");
    let manifest = Manifest::from_json(key, &blob.bytes).expect("a good manifest");
    assert_eq!(manifest.state, State::Complete);
    let large = &manifest.variants[2];
    assert_eq!(large.name, "hero-200");
    let why = large.skipped.as_deref().expect("the reason");
    assert!(why.contains("100 pixels"), "{why}");
    let placeholder = manifest.source.placeholder.as_ref().expect("it is made");
    assert_eq!(placeholder.aspect_ratio, "5:4");
    assert!(
        placeholder
            .color
            .as_ref()
            .is_some_and(|color| color.starts_with('#'))
    );
    let writes = output.writes();
    assert_eq!(process(), "unchanged");
    assert_eq!(output.writes(), writes);
}

const COVERING: &str = "
version = 1
[[variant]]
name = \"square\"
format = \"png\"
fit = \"cover\"
width = 10
height = 10
[[variant]]
name = \"whole\"
format = \"png\"
";

/// One job over a source that was put with this focus point, as by a copy onto itself: the etag, which
/// speaks of content, stays the same.
fn process_with_point(store: &MemoryStore, recipe: &str, point: Option<&str>) -> Outcome {
    let metadata = point.map(|point| (FOCUS_POINT.to_owned(), point.to_owned()));
    let blob = Blob {
        bytes: photo(30, 10).png().into(),
        metadata: metadata.into_iter().collect(),
        ..Blob::default()
    };
    let put = store.put("a.png", blob, Condition::Always).now_or_never();
    put.expect("nothing waits here").expect("a put");
    let recipe = Recipe::from_toml(recipe).expect("a good recipe");
    let output = Arc::new(store.clone());
    let done = Processor::new(output.clone(), output, recipe)
        .process(&Job::new("a.png"))
        .now_or_never();
    done.expect("nothing waits here")
}

#[test]
fn a_point_given_with_the_source_moves_the_crop_and_remakes_only_what_is_cropped() {
    let store = MemoryStore::new();
    let left_edge = || {
        let square = store.read("a.png/square.png").expect("a square");
        let square = decoded(&square.bytes);
        let all = photo(30, 10);
        let at = (0..=20).find(|left| (0..10).all(|x| square.at(x, 5) == all.at(left + x, 5)));
        at.expect("a part of the source")
    };
    let outcome = process_with_point(&store, COVERING, None);
    assert_eq!((outcome.word(), left_edge()), ("done", 10));
    for (point, left) in [("0.5,0.5", 10), ("0,0", 0), ("0.9,0.5", 20), ("0.4, 1", 7)] {
        let outcome = process_with_point(&store, COVERING, Some(point));
        let Outcome::Done(done) = &outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(done.rendered, ["square"], "{point}");
        assert_eq!(left_edge(), left, "{point}");
        let recorded = done.manifest.source.focus_point.map(|p| p.to_string());
        assert_eq!(recorded, Some(point.replace(' ', "")));
        let again = process_with_point(&store, COVERING, Some(point));
        assert_eq!(again.word(), "unchanged", "{point}");
    }
    let outcome = process_with_point(&store, COVERING, None);
    let Outcome::Done(done) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((left_edge(), done.manifest.source.focus_point), (10, None));
}

#[test]
fn a_point_makes_no_difference_where_nothing_is_cropped_or_the_recipe_ignores_it() {
    for recipe in [
        COVERING.replace("cover", "inside"),
        COVERING.replace(
            "[[variant]]\nname = \"square\"",
            "[source]\nfocus_point = \"ignore\"\n[[variant]]\nname = \"square\"",
        ),
    ] {
        let store = MemoryStore::new();
        assert_eq!(process_with_point(&store, &recipe, None).word(), "done");
        let outcome = process_with_point(&store, &recipe, Some("0,0"));
        assert_eq!(outcome.word(), "unchanged", "{recipe}");
    }
}

#[test]
fn a_point_that_is_none_is_a_warning_or_where_the_recipe_is_strict_a_rejection() {
    let store = MemoryStore::new();
    let outcome = process_with_point(&store, COVERING, Some("left"));
    let Outcome::Done(done) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(done.manifest.warning_words(), ["focus-point-unusable"]);
    assert!(done.manifest.warnings[0].detail.contains("\"left\""));
    let again = process_with_point(&store, COVERING, Some("left"));
    assert_eq!(again.word(), "unchanged");
    let strict = format!("strict = [\"focus-point-unusable\"]\n{COVERING}");
    let store = MemoryStore::new();
    let outcome = process_with_point(&store, &strict, Some("left"));
    // Set right, it is done, although the picture and its etag are the same.
    let mended = process_with_point(&store, &strict, Some("0,0"));
    assert_eq!(mended.word(), "done", "{mended:?}");
    assert_eq!(
        (outcome.word(), outcome.code()),
        ("rejected", Some("loss-refused"))
    );
}

#[test]
fn a_plan_sees_that_a_point_was_moved() {
    let store = MemoryStore::new();
    process_with_point(&store, COVERING, Some("0,0"));
    let recipe = Recipe::from_toml(COVERING).expect("a good recipe");
    for (point, word) in [("0,0", "keep"), ("1,1", "update")] {
        let blob = Blob {
            bytes: photo(30, 10).png().into(),
            metadata: [(FOCUS_POINT.to_owned(), point.to_owned())].into(),
            ..Blob::default()
        };
        let put = store.put("a.png", blob, Condition::Always).now_or_never();
        let head = put.expect("nothing waits here").expect("a put");
        let both = Arc::new(store.clone());
        let candidate = Candidate {
            name: "a.png".to_owned(),
            listed: Listed {
                key: "a.png".to_owned(),
                size: head.size,
                etag: head.etag,
            },
            sources: both.clone(),
            named: true,
            key_in_output: None,
        };
        let processor = Processor::new(both.clone(), both, recipe.clone());
        let plan = processor.plan(vec![candidate], false).now_or_never();
        let plan = plan.expect("nothing waits here").expect("a plan");
        assert_eq!(plan.items[0].action.word(), word, "{point}");
    }
}

#[test]
fn what_a_manifest_says_of_a_point_is_what_holds_now_whatever_was_before() {
    let store = MemoryStore::new();
    let words = |store: &MemoryStore| {
        let key = "a.png/manifest.json";
        let manifest = store.read(key).expect("a manifest");
        let manifest = Manifest::from_json(key, &manifest.bytes).expect("a good manifest");
        manifest.warning_words()
    };
    for (point, outcome, told) in [
        (None, "done", &[][..]),
        (Some("abc"), "unchanged", &["focus-point-unusable"]),
        (None, "unchanged", &[]),
        (Some("0,0"), "done", &[]),
        (Some("abc"), "done", &["focus-point-unusable"]),
    ] {
        let found = process_with_point(&store, COVERING, point);
        assert_eq!(found.word(), outcome, "{point:?}");
        assert_eq!(words(&store), told, "{point:?}");
    }
}

#[test]
fn what_was_told_of_the_whole_picture_stays_told_where_nothing_is_decoded() {
    let world = World::new();
    let deep = Png::new(400, 300, 16, 0).rows(std::iter::repeat_n(&[7_u8; 800][..], 300));
    world.sources.inner().insert("a.png", deep.clone());
    let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
    let mut alone = recipe.clone();
    alone.variants.truncate(1);
    let info = pixmill::render::probe(&deep).expect("a good header");
    let needed = pixmill::render::predict(&info, deep.len() as u64, &alone, 1);
    let short = || ProcessOptions {
        memory: Some(needed.memory_bytes),
        ..ProcessOptions::default()
    };
    for _ in 0..3 {
        world.process_with(&Job::new("a.png"), short());
        let words = world.manifest("a.png").warning_words();
        assert_eq!(words, ["depth-reduced", "variant-deferred"]);
    }
}

#[test]
fn pruning_needs_a_source_that_is_proven_gone_and_a_crash_anywhere_is_made_good() {
    let prune = |world: &World| {
        let processor = world.processor(ProcessOptions::default());
        processor.prune("a.png").now_or_never()
    };
    let orphaned = || {
        let world = World::new();
        world.sources.inner().insert("a.png", photo(20, 10).png());
        assert_eq!(world.process(&Job::new("a.png")).word(), "done");
        world.output.inner().insert("a.png/mine.txt", "somebody's");
        let deleted = world.sources.inner().delete("a.png", Condition::Always);
        deleted.now_or_never().expect("at once").expect("a delete");
        world
    };

    let world = orphaned();
    let all = world.output.inner().keys();
    world.sources.inner().insert("a.png", photo(20, 10).png());
    let there = prune(&world).expect("nothing waits here");
    assert!(!there.expect("it was looked for"));
    assert_eq!(world.output.inner().keys(), all);

    let world = orphaned();
    let next = world.sources.calls().len() + 1;
    world
        .sources
        .plan(next, Fault::FailBefore(StoreErrorKind::Denied));
    let unknown = prune(&world).expect("nothing waits here");
    unknown.expect_err("nobody knows whether it is there");
    assert_eq!(world.output.inner().keys(), all);

    let world = orphaned();
    let before = world.output.calls().len();
    let pruned = prune(&world).expect("nothing waits here");
    assert!(pruned.expect("it is gone"));
    assert_eq!(world.output.inner().keys(), ["a.png/mine.txt"]);
    let calls = world.output.calls().len() - before;
    assert!(calls > 4, "{calls}");

    for crash in 1..=calls {
        for fault in [Fault::StopBefore, Fault::StopAfter] {
            let world = orphaned();
            world.output.plan(world.output.calls().len() + crash, fault);
            assert!(prune(&world).is_none(), "it stops at call {crash}");
            world.output.heal();
            let plan = world.processor(ProcessOptions::default());
            let plan = plan.plan(Vec::new(), false).now_or_never();
            let orphans = plan.expect("nothing waits here").expect("a plan").orphans;
            // Whatever is left is still known by its manifest.
            if orphans.is_empty() {
                assert_eq!(world.output.inner().keys(), ["a.png/mine.txt"]);
            }
            let again = prune(&world).expect("nothing waits here");
            assert!(again.expect("it is gone"));
            assert_eq!(world.output.inner().keys(), ["a.png/mine.txt"]);
        }
    }
}

#[test]
fn an_orphan_that_claims_what_another_source_has_says_so() {
    let store = MemoryStore::new();
    for source in ["kept.png", "gone.png"] {
        store.insert(source, photo(20, 10).png());
    }
    let output = MemoryStore::new();
    let processor = careful(&store, output.clone());
    for source in ["kept.png", "gone.png"] {
        let done = processor.process(&Job::new(source)).now_or_never();
        assert_eq!(done.expect("nothing waits here").word(), "done");
    }
    // As a template that has changed since could have left it.
    let key = "gone.png/manifest.json";
    let manifest = output.read(key).expect("a manifest").bytes;
    let text = String::from_utf8(manifest.to_vec()).expect("JSON");
    output.insert(
        key,
        text.replace("gone.png/small.jpg", "kept.png/small.jpg"),
    );
    let listed = store.head("kept.png").now_or_never().expect("at once");
    let listed = listed.expect("it is there");
    let candidate = Candidate {
        name: "kept.png".to_owned(),
        listed: Listed {
            key: "kept.png".to_owned(),
            size: listed.size,
            etag: listed.etag,
        },
        sources: Arc::new(store),
        named: false,
        key_in_output: None,
    };
    let plan = processor.plan(vec![candidate], false).now_or_never();
    let plan = plan.expect("nothing waits here").expect("a plan");
    let [orphan] = plan.orphans.as_slice() else {
        panic!("{:?}", plan.orphans);
    };
    assert_eq!(orphan.source, "gone.png");
    assert_eq!(orphan.shared.as_deref(), Some("kept.png/small.jpg"));
}

/// A store that tells how many large reads were held at once. Nobody goes on with what it gave before all who could
/// ask have asked.
#[derive(Clone)]
struct Weighed {
    store: MemoryStore,
    held: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// A large read, for as long as somebody has it.
struct Held(bytes::Bytes, Arc<AtomicUsize>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl BlobStore for Weighed {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let mut fetched = self.store.get(key, max_bytes, range).await?;
        if fetched.bytes.len() > 1 << 20 {
            let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(held, Ordering::Relaxed);
            fetched.bytes = bytes::Bytes::from_owner(Held(fetched.bytes, Arc::clone(&self.held)));
        }
        tokio::task::yield_now().await;
        Ok(fetched)
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        self.store.head(key).await
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        self.store.put(key, blob, condition).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        self.store.list(prefix)
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        self.store.delete(key, condition).await
    }
}

/// How many large reads a plan over twenty TIFFs of 1.2 MB held at once, and what it said of each. Their headers are at
/// their ends; those that were done before look touched since, so that their content decides.
fn plan_of_large(done_before: bool, memory: Option<u64>) -> (usize, Vec<&'static str>) {
    let recipe = "version = 1\n[[variant]]\nname = \"small\"\nformat = \"jpeg\"\nwidth = 8\n";
    let recipe = Recipe::from_toml(recipe).expect("a good recipe");
    let sources = Weighed {
        store: MemoryStore::new(),
        held: Arc::default(),
        most: Arc::default(),
    };
    let processor = Processor::new(
        Arc::new(sources.clone()),
        Arc::new(MemoryStore::new()),
        recipe,
    )
    .with_options(ProcessOptions {
        memory,
        ..ProcessOptions::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let file = tiff(&[photo(640, 640)]);
    let candidates = (0..20).map(|n| {
        let key = format!("{n:02}.tif");
        sources.store.insert(&key, file.clone());
        if done_before {
            let outcome = runtime.block_on(processor.process(&Job::new(&key)));
            assert_eq!(outcome.word(), "done");
        }
        Candidate {
            name: key.clone(),
            listed: Listed {
                key,
                size: file.len() as u64,
                etag: Etag::new("touched"),
            },
            sources: Arc::new(sources.clone()),
            named: false,
            key_in_output: None,
        }
    });
    let candidates = candidates.collect();
    sources.most.store(0, Ordering::Relaxed);
    let plan = runtime.block_on(processor.plan(candidates, false));
    let words = plan.expect("a plan").items;
    let words = words.iter().map(|item| item.action.word()).collect();
    assert_eq!(sources.held.load(Ordering::Relaxed), 0);
    (sources.most.load(Ordering::Relaxed), words)
}

#[test]
fn what_a_plan_must_read_whole_takes_turns_where_memory_is_scarce_and_only_there() {
    for (done_before, word) in [(false, "create"), (true, "keep")] {
        let (most, words) = plan_of_large(done_before, Some(16 << 20));
        assert_eq!((most, words), (1, vec![word; 20]));
        for plenty in [Some(64 << 20), None] {
            let (most, words) = plan_of_large(done_before, plenty);
            assert_eq!((most, words), (16, vec![word; 20]));
        }
    }
}
