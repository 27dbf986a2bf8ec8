//! What is there, held against its records and against what would be made again.
#![cfg(all(feature = "jpeg", feature = "png", feature = "webp"))]

use std::sync::Arc;

use futures_util::FutureExt;
use pixmill::error::{Cause, StoreErrorKind};
use pixmill::job::Job;
use pixmill::manifest::{FailureRecord, MANIFEST_VERSION, Manifest, State};
use pixmill::memory::MemoryStore;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill::process::{ProcessOptions, Processor};
use pixmill::recipe::{FOCUS_POINT, Recipe};
use pixmill::verify::{Changed, Kept, Verified};
use pixmill_testkit::faulty_store::{Fault, FaultyStore};
use pixmill_testkit::pictures::photo;

const RECIPE: &str = "
version = 1
[[variant]]
name = \"small\"
format = \"jpeg\"
width = 8
[[variant]]
name = \"square\"
format = \"webp\"
width = 6
height = 6
fit = \"cover\"
";

struct World {
    sources: MemoryStore,
    output: MemoryStore,
    recipe: Recipe,
}

impl World {
    /// `a.png`, and all that the recipe makes of it.
    fn made() -> Self {
        let world = Self {
            sources: MemoryStore::new(),
            output: MemoryStore::new(),
            recipe: Recipe::from_toml(RECIPE).expect("a good recipe"),
        };
        world.sources.insert("a.png", photo(20, 10).png());
        assert_eq!(world.process("a.png"), "done");
        world
    }

    fn processor(&self) -> Processor {
        let (sources, output) = (
            Arc::new(self.sources.clone()),
            Arc::new(self.output.clone()),
        );
        Processor::new(sources, output, self.recipe.clone())
    }

    fn process(&self, source: &str) -> &'static str {
        let job = Job::new(source);
        let outcome = self.processor().process(&job).now_or_never();
        outcome.expect("nothing waits here").word()
    }

    fn manifest(&self) -> Manifest {
        match self.kept("a.png/manifest.json") {
            Ok(Some(Kept::Manifest(manifest))) => *manifest,
            other => panic!("{other:?}"),
        }
    }

    fn kept(&self, key: &str) -> Result<Option<Kept>, pixmill::Error> {
        let kept = self.processor().kept(key).now_or_never();
        kept.expect("nothing waits here")
    }

    fn rewrite(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        let store = &self.output;
        store.insert("a.png/manifest.json", manifest.to_json());
    }

    fn verified(&self, with_source: bool) -> Verified {
        let before = self.output.writes();
        let manifest = self.manifest();
        let verified = self
            .processor()
            .verify(&manifest, with_source)
            .now_or_never();
        let verified = verified.expect("nothing waits here");
        assert_eq!(self.output.writes(), before, "nothing is written");
        verified.expect("the manifest can be read")
    }

    /// What differs, each with its variant.
    fn differences(&self) -> Vec<(Changed, Option<String>)> {
        let differences = self.verified(true).differences.into_iter();
        differences.map(|d| (d.what, d.variant)).collect()
    }
}

fn of(what: Changed, variant: &str) -> (Changed, Option<String>) {
    (what, Some(variant.to_owned()))
}

#[test]
fn what_was_just_made_is_the_same_and_comes_out_the_same_again() {
    let verified = World::made().verified(true);
    let expected = Verified {
        objects: 2,
        made_again: 2,
        ..Verified::default()
    };
    assert_eq!(verified, expected);
}

#[test]
fn without_the_source_only_objects_are_looked_at() {
    let mut world = World::made();
    world.sources.insert("a.png", photo(30, 10).png());
    world.recipe.variants[0].width = Some(9);
    let verified = world.verified(false);
    assert_eq!((verified.objects, verified.made_again), (2, 0));
    assert_eq!(verified.differences, []);
}

#[test]
fn a_changed_object_a_missing_one_and_a_longer_one_differ_in_their_bytes() {
    let world = World::made();
    let store = world.output.clone();
    let small = store.read("a.png/small.jpg").expect("a rendition");
    let mut other = small.bytes.to_vec();
    *other.last_mut().expect("bytes") ^= 1;
    store.insert("a.png/small.jpg", other);
    assert_eq!(world.differences(), [of(Changed::Bytes, "small")]);
    store.insert("a.png/small.jpg", [&small.bytes[..], b"x"].concat());
    assert_eq!(world.differences(), [of(Changed::Bytes, "small")]);
    let deleted = store.delete("a.png/small.jpg", Condition::Always);
    deleted.now_or_never().expect("no wait").expect("a delete");
    assert_eq!(world.differences(), [of(Changed::Bytes, "small")]);
}

#[test]
fn a_changed_source_and_one_that_is_gone_differ_in_their_source_alone() {
    let world = World::made();
    world.sources.insert("a.png", photo(30, 10).png());
    assert_eq!(world.differences(), [(Changed::Source, None)]);
    let deleted = world.sources.delete("a.png", Condition::Always);
    deleted.now_or_never().expect("no wait").expect("a delete");
    assert_eq!(world.differences(), [(Changed::Source, None)]);
}

#[test]
fn a_moved_focus_point_is_the_sources_difference_and_hides_no_other() {
    let world = World::made();
    let blob = |point: &str| Blob {
        bytes: photo(20, 10).png().into(),
        metadata: [(FOCUS_POINT.to_owned(), point.to_owned())].into(),
        ..Blob::default()
    };
    let put = |point| world.sources.put("a.png", blob(point), Condition::Always);
    put("0.1,0.5")
        .now_or_never()
        .expect("no wait")
        .expect("a put");
    assert_eq!(world.process("a.png"), "done");
    let verified = world.verified(true);
    assert_eq!(verified.differences, [], "it was made around the point");
    assert_eq!(verified.made_again, 2);
    put("0.9,0.5")
        .now_or_never()
        .expect("no wait")
        .expect("a put");
    assert_eq!(world.differences(), [(Changed::Source, None)]);
    assert_eq!(world.verified(true).made_again, 2);
}

#[test]
fn changed_settings_a_new_variant_and_one_that_left_differ_in_the_recipe() {
    let mut world = World::made();
    world.recipe.variants[0].width = Some(9);
    assert_eq!(world.differences(), [of(Changed::Recipe, "small")]);
    assert_eq!(world.verified(true).made_again, 1, "the other is compared");
    world.recipe.variants[0].name = "smaller".to_owned();
    assert_eq!(
        world.differences(),
        [of(Changed::Recipe, "smaller"), of(Changed::Recipe, "small")]
    );
}

#[test]
fn an_older_engine_differs_and_other_codecs_only_where_the_bytes_do() {
    let world = World::made();
    world.rewrite(|manifest| {
        manifest
            .engine
            .codecs
            .insert("png".to_owned(), "0.1.0".to_owned());
    });
    let verified = world.verified(true);
    assert_eq!(verified.differences, []);
    assert_eq!(verified.codecs.len(), 1);
    assert!(
        verified.codecs[0].starts_with("png 0.1.0, now "),
        "{verified:?}"
    );

    let other = photo(20, 10).jpeg(3);
    world.output.insert("a.png/small.jpg", other.clone());
    world.rewrite(|manifest| {
        let made = manifest.variants[0]
            .rendition
            .as_mut()
            .expect("it was made");
        made.bytes = other.len() as u64;
        made.sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&other));
    });
    assert_eq!(world.differences(), [of(Changed::Engine, "small")]);
    world.rewrite(|manifest| manifest.engine = pixmill::render::engine());
    assert_eq!(
        world.differences(),
        [of(Changed::Bytes, "small")],
        "the same engine must make the same bytes"
    );
    world.rewrite(|manifest| manifest.engine.render_revision -= 1);
    assert_eq!(
        world.differences(),
        [(Changed::Engine, None), of(Changed::Engine, "small")]
    );
}

#[test]
fn a_newer_engines_work_is_not_judged_but_its_objects_are() {
    let world = World::made();
    world.rewrite(|manifest| manifest.engine.render_revision += 1);
    assert_eq!(world.differences(), [(Changed::Unchecked, None)]);
    world.output.insert("a.png/small.jpg", "x");
    assert_eq!(
        world.differences(),
        [of(Changed::Bytes, "small"), (Changed::Unchecked, None)]
    );
}

#[test]
fn a_set_that_is_being_replaced_and_a_variant_that_was_put_off_are_told_of() {
    let world = World::made();
    world.rewrite(|manifest| manifest.state = State::Replacing);
    assert_eq!(world.differences(), [(Changed::Record, None)]);
    world.rewrite(|manifest| {
        manifest.state = State::Incomplete;
        manifest.variants[1].rendition = None;
        manifest.variants[1].deferred = Some("there was no time".to_owned());
    });
    assert_eq!(world.differences(), [of(Changed::Record, "square")]);
}

#[test]
fn what_the_store_does_not_give_is_unchecked_and_never_called_changed() {
    let world = World::made();
    let manifest = world.manifest();
    let output = FaultyStore::new(world.output.clone());
    // The first call is for the first object.
    output.plan(1, Fault::FailBefore(StoreErrorKind::Denied));
    let sources = Arc::new(world.sources.clone());
    let processor = Processor::new(sources, Arc::new(output), world.recipe.clone());
    let verified = processor.verify(&manifest, true).now_or_never();
    let verified = verified
        .expect("no wait")
        .expect("the manifest can be read");
    let whats: Vec<_> = verified.differences.iter().map(|d| d.what).collect();
    assert_eq!(whats, [Changed::Unchecked]);
}

#[test]
fn too_little_memory_leaves_unchecked_and_never_changed() {
    let world = World::made();
    let options = ProcessOptions {
        memory: Some(1),
        ..ProcessOptions::default()
    };
    let processor = world.processor().with_options(options);
    let verified = processor.verify(&world.manifest(), true).now_or_never();
    let verified = verified
        .expect("no wait")
        .expect("the manifest can be read");
    let whats: Vec<_> = verified.differences.iter().map(|d| d.what).collect();
    assert_eq!(whats, [Changed::Unchecked]);
}

#[test]
fn a_set_that_was_replaced_while_it_was_looked_at_is_looked_at_anew() {
    let world = World::made();
    let old = world.manifest();
    world.sources.insert("a.png", photo(30, 20).png());
    assert_eq!(world.process("a.png"), "done");
    // As read before the other run.
    let verified = world.processor().verify(&old, true).now_or_never();
    let verified = verified
        .expect("no wait")
        .expect("the manifest can be read");
    assert_eq!(verified.differences, []);
    assert_eq!(verified.made_again, 2);
}

#[test]
fn records_are_told_by_their_content_and_later_layouts_are_refused() {
    let world = World::made();
    world.sources.insert("bad.png", "no picture");
    assert_eq!(world.process("bad.png"), "rejected");
    let kept = world.kept("failed/bad.png.json");
    assert!(matches!(kept, Ok(Some(Kept::Failure(_)))), "{kept:?}");
    assert!(matches!(world.kept("nowhere/manifest.json"), Ok(None)));
    let holdings = world.processor().holdings().now_or_never();
    let holdings = holdings.expect("no wait").expect("a listing");
    assert_eq!(
        holdings.records,
        ["a.png/manifest.json", "failed/bad.png.json"]
    );
    assert_eq!(holdings.others.len(), 2);

    let store = world.output.clone();
    let moved = store.read("a.png/manifest.json").expect("a manifest").bytes;
    store.insert("b.png/manifest.json", moved.clone());
    store.insert("cut/manifest.json", moved.slice(..100));
    let mut newer = world.manifest();
    newer.manifest_version = MANIFEST_VERSION + 1;
    store.insert("new/manifest.json", newer.to_json());
    let failure = store.read("failed/bad.png.json").expect("a record").bytes;
    let mut failure = FailureRecord::from_json("", &failure).expect("a good record");
    failure.failure_version += 1;
    store.insert("failed/new.json", failure.to_json());
    for key in [
        "b.png/manifest.json",
        "cut/manifest.json",
        "new/manifest.json",
        "failed/new.json",
    ] {
        let error = world.kept(key).expect_err(key);
        assert!(
            matches!(error.cause(), Cause::Record(words) if words.contains(key)),
            "{error}"
        );
    }
}

#[test]
fn an_attempt_fails_as_the_job_did_and_writes_nothing() {
    let world = World::made();
    let cut = photo(20, 10).png()[..60].to_vec();
    world.sources.insert("bad.png", cut);
    assert_eq!(world.process("bad.png"), "rejected");
    let Ok(Some(Kept::Failure(record))) = world.kept("failed/bad.png.json") else {
        panic!("there is a record");
    };
    let before = world.output.writes();
    let attempt = world.processor().attempt("bad.png").now_or_never();
    let attempt = attempt.expect("no wait").expect("the source can be read");
    let Err(error) = attempt.renditions else {
        panic!("it is cut short");
    };
    assert_eq!(
        (error.stage(), error.code()),
        (record.stage, record.code.as_str())
    );
    let good = world.processor().attempt("a.png").now_or_never();
    let good = good.expect("no wait").expect("the source can be read");
    assert_eq!(good.renditions.expect("it is good").renditions.len(), 2);
    assert_eq!(world.output.writes(), before);
}

#[test]
fn a_source_that_failed_before_is_tried_again_when_that_is_asked_for() {
    let world = World::made();
    world.sources.insert("b.png", photo(20, 10).png());
    world.sources.insert("bad.png", "no picture");
    assert_eq!(world.process("bad.png"), "rejected");
    // As a fault that was mended since would have left it.
    let head = world.sources.head("b.png").now_or_never();
    let head = head.expect("no wait").expect("it is there");
    let store = &world.output;
    let record = store.read("failed/bad.png.json").expect("a record");
    let mut record = FailureRecord::from_json("", &record.bytes).expect("a good record");
    record.source = "b.png".to_owned();
    record.store = Some((&head).into());
    store.insert("failed/b.png.json", record.to_json());
    assert_eq!(
        world.process("b.png"),
        "rejected",
        "answered from its record"
    );
    let options = ProcessOptions {
        retry: true,
        ..ProcessOptions::default()
    };
    let processor = world.processor().with_options(options);
    let outcome = processor.process(&Job::new("b.png")).now_or_never();
    assert_eq!(outcome.expect("no wait").word(), "done");
    assert_eq!(store.read("failed/b.png.json"), None, "the record is gone");
}
