//! The handler on stores in memory: what is delivered twice, late, in the wrong order or onto stores
//! that fail, what nobody can decode, and what a name may look like.

#[cfg(feature = "runtime")]
mod on_s3;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use pixmill::alert::Channel;
use pixmill::error::StoreErrorKind;
use pixmill::manifest::{FailureRecord, Manifest, State};
use pixmill::memory::{MemoryStore, RecordingAlerts};
use pixmill::ports::{BlobStore, Condition};
use pixmill::process::{ProcessOptions, Processor, Removals};
use pixmill::recipe::Recipe;
use pixmill::render::{RenditionResult, render};
use pixmill_lambda::handler::{Handler, Invocation};
use pixmill_lambda::log::Log;
use pixmill_lambda::reply::Unsettled;
use pixmill_lambda::select::Rules;
use pixmill_lambda::settings::LogLevel;
use pixmill_testkit::faulty_store::FaultyStore;
use pixmill_testkit::names::awkward;
use pixmill_testkit::pictures::{Drawing, photo};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const RECIPE: &str = "
version = 1
[[variant]]
name = \"small\"
format = \"png\"
width = 2
[[variant]]
name = \"same\"
format = \"png\"
";

/// Written to by the log, read by the test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Every line, which must be one JSON object each.
    fn all(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines
            .collect::<Result<_, _>>()
            .expect("one JSON object a line")
    }
}

struct World {
    uploads: FaultyStore<MemoryStore>,
    output: FaultyStore<MemoryStore>,
    alerts: Arc<RecordingAlerts>,
    lines: Lines,
    handler: Handler,
}

impl World {
    fn new() -> Self {
        Self::with(RECIPE, ProcessOptions::default())
    }

    fn with(recipe: &str, options: ProcessOptions) -> Self {
        let uploads = FaultyStore::new(MemoryStore::new());
        let output = FaultyStore::new(MemoryStore::new());
        let alerts = Arc::new(RecordingAlerts::new());
        let lines = Lines::default();
        let sources = Arc::new(uploads.clone());
        let recipe = Recipe::from_toml(recipe).expect("a good recipe");
        let processor =
            Processor::new(sources.clone(), Arc::new(output.clone()), recipe).with_options(options);
        let handler = Handler {
            rules: Rules {
                upload_bucket: Some("uploads".to_owned()),
                processed_bucket: "processed".to_owned(),
                ..Rules::default()
            },
            processor,
            sources: Box::new(move |_| sources.clone()),
            log: Arc::new(
                Log::new(lines.clone(), LogLevel::Critical).of_function(Some("mill".to_owned())),
            ),
            metrics: None,
            alerts: Some(alerts.clone()),
            timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        };
        Self {
            uploads,
            output,
            alerts,
            lines,
            handler,
        }
    }

    fn upload(&self, key: &str, bytes: Vec<u8>) {
        self.uploads.inner().insert(key, bytes);
    }

    async fn handle(&self, payload: &Value) -> Result<Value, Unsettled> {
        self.handler.handle(payload, &invocation("r")).await
    }

    fn manifest(&self, source: &str) -> Option<Manifest> {
        let key = self.handler.processor.recipe().output.manifest_key(source);
        let blob = self.output.inner().read(&key)?;
        Some(Manifest::from_json(&key, &blob.bytes).expect("a good manifest"))
    }

    fn failure(&self, source: &str) -> Option<FailureRecord> {
        let key = self.handler.processor.recipe().output.failed_key(source);
        let blob = self.output.inner().read(&key)?;
        Some(FailureRecord::from_json(&key, &blob.bytes).expect("a good record"))
    }

    /// One complete set of the source as it is now, each rendition as it was recorded.
    fn assert_complete(&self, source: &str) {
        let manifest = self
            .manifest(source)
            .unwrap_or_else(|| panic!("{source:?} has no manifest"));
        assert_eq!(manifest.state, State::Complete, "{source:?}");
        assert_eq!(manifest.source.key, source);
        let upload = self.uploads.inner().read(source).expect("it is there");
        assert_eq!(
            manifest.source.sha256,
            hash(&upload.bytes),
            "{source:?} is not the newest"
        );
        assert_eq!(manifest.renditions().count(), 2);
        for rendition in manifest.renditions() {
            let blob = self.output.inner().read(&rendition.key);
            let blob = blob.unwrap_or_else(|| panic!("{:?} is missing", rendition.key));
            assert_eq!(hash(&blob.bytes), rendition.sha256, "{:?}", rendition.key);
        }
        assert!(
            self.failure(source).is_none(),
            "{source:?} has a failure record"
        );
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn invocation(id: &str) -> Invocation {
    Invocation {
        request_id: id.to_owned(),
        deadline: Some(Instant::now() + Duration::from_mins(5)),
        cold_start: false,
    }
}

/// What S3 sends when an object was written.
fn created(key: &str, sequencer: &str) -> Value {
    let mut encoded = form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
    encoded = encoded.replace("%2F", "/");
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:secret-principal" },
        "requestParameters": { "sourceIPAddress": "192.0.2.77" },
        "s3": {
            "bucket": { "name": "uploads", "arn": "arn:aws:s3:::uploads" },
            "object": { "key": encoded, "size": 1, "sequencer": sequencer },
        },
    })
}

/// A batch from a queue, one record in each message.
fn batch(records: &[(String, Value)]) -> Value {
    let messages = records.iter().map(|(id, record)| {
        json!({
            "eventSource": "aws:sqs",
            "messageId": id,
            "body": json!({ "Records": [record] }).to_string(),
        })
    });
    json!({ "Records": messages.collect::<Vec<_>>() })
}

fn failed_ids(reply: &Value) -> BTreeSet<String> {
    let failures = reply["batchItemFailures"]
        .as_array()
        .expect("a batch's reply");
    let ids = failures
        .iter()
        .map(|f| f["itemIdentifier"].as_str().expect("an id").to_owned());
    ids.collect()
}

/// A tiny picture that differs from all others.
fn tiny(number: usize) -> Vec<u8> {
    let [_, _, _, _, _, r, g, b] = number.to_be_bytes();
    Drawing::new(4, 4, move |x, _| [r, g, b ^ u8::from(x == 0)]).png()
}

/// The same order every time, without any pattern in it.
fn shuffled<T>(mut items: Vec<T>, mut seed: u64) -> Vec<T> {
    for last in (1..items.len()).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from((seed >> 33) % (last as u64 + 1)).expect("it is small");
        items.swap(last, at);
    }
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_objects_delivered_three_times_each_end_with_one_complete_set_each() {
    let world = World::new();
    let keys: Vec<String> = (0..1_000).map(|n| format!("photos/{n}.png")).collect();
    for (n, key) in keys.iter().enumerate() {
        world.upload(key, tiny(n));
    }
    let deliveries = shuffled([keys.clone(), keys.clone(), keys.clone()].concat(), 1);
    // Half of them one after the other, half of them eight at a time.
    let (alone, together) = deliveries.split_at(1_500);
    let deliver = async |key: &String| {
        let reply = world
            .handle(&batch(&[(key.clone(), created(key, "01"))]))
            .await;
        assert!(failed_ids(&reply.expect("a batch always gets a reply")).is_empty());
    };
    let ((), ()) = futures_util::join!(
        async {
            for key in alone {
                deliver(key).await;
            }
        },
        stream::iter(together).for_each_concurrent(8, deliver),
    );
    for key in &keys {
        world.assert_complete(key);
    }
    assert_eq!(
        world.output.inner().keys().len(),
        3 * keys.len(),
        "nothing else lies about"
    );
}

#[tokio::test]
async fn versions_delivered_newest_first_all_end_with_the_newest() {
    let world = World::new();
    let mut deliveries = Vec::new();
    for n in 0..500 {
        let key = format!("{n}.png");
        for version in 0..3 {
            world.upload(&key, tiny(n * 3 + version));
        }
        // The source is the newest already when the newest event comes, and the others come later.
        deliveries.extend((0..3).rev().map(|version| (key.clone(), version)));
    }
    let mut words: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for (key, version) in &deliveries {
        let event = created(key, &format!("0055AED6DCD9028{version}"));
        let before = world.lines.all().len();
        let reply = world.handle(&event).await.expect("nothing fails");
        assert_eq!(reply["records"], 1);
        let line = &world.lines.all()[before];
        let outcome = line["outcome"].as_str().expect("an outcome").to_owned();
        *words.entry((*version, outcome)).or_default() += 1;
        world.lines.0.lock().expect("no panic").clear();
    }
    for n in 0..500 {
        world.assert_complete(&format!("{n}.png"));
    }
    let expected = [
        ((0, "stale".to_owned()), 500),
        ((1, "stale".to_owned()), 500),
        ((2, "done".to_owned()), 500),
    ];
    assert_eq!(words, BTreeMap::from(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_events_on_failing_stores_none_is_lost_and_poison_is_tried_once() {
    let world = World::new();
    let poison = |n: usize| n.is_multiple_of(100);
    let key = |n: usize| format!("{}/{n}.png", n % 7);
    for n in 0..10_000 {
        let whole = tiny(n);
        let bytes = if poison(n) {
            whole[..whole.len() / 2].to_vec()
        } else {
            whole
        };
        world.upload(&key(n), bytes);
    }
    world
        .uploads
        .fail_at_random(11, 5, StoreErrorKind::Unavailable);
    world
        .output
        .fail_at_random(12, 5, StoreErrorKind::Unavailable);
    let mut queue: Vec<usize> = shuffled((0..10_000).collect(), 2);
    let mut rounds = 0;
    while !queue.is_empty() {
        rounds += 1;
        assert!(rounds < 100, "{} events come back for ever", queue.len());
        let returned = stream::iter(queue.chunks(10).map(<[usize]>::to_vec)).map(async |chunk| {
            let messages: Vec<_> = chunk
                .iter()
                .map(|n| (n.to_string(), created(&key(*n), "01")))
                .collect();
            let reply = world.handle(&batch(&messages)).await.expect("a reply");
            let failed = failed_ids(&reply);
            for n in &chunk {
                // Whatever is not given back to the queue must be in place, or on record.
                if !failed.contains(&n.to_string()) && !poison(*n) {
                    world.assert_complete(&key(*n));
                }
                if !failed.contains(&n.to_string()) && poison(*n) {
                    let record = world.failure(&key(*n)).expect("a failure record");
                    assert_eq!(record.code, "truncated");
                }
            }
            failed
                .into_iter()
                .map(|id| id.parse().expect("a number"))
                .collect::<Vec<usize>>()
        });
        queue = returned.buffer_unordered(4).concat().await;
    }
    for n in (0..10_000).filter(|n| !poison(*n)) {
        world.assert_complete(&key(n));
    }
    // Once it is known as bad it is never read again, however often it is delivered.
    world.uploads.heal();
    world.output.heal();
    let reads = || {
        let calls = world.uploads.calls();
        calls.iter().filter(|call| call.function == "get").count()
    };
    let before = reads();
    for n in (0..10_000).filter(|n| poison(*n)) {
        let event = created(&key(n), "02");
        let reply = world
            .handle(&event)
            .await
            .expect("a rejected picture is settled");
        assert_eq!(reply["outcomes"]["rejected"], 1);
    }
    assert_eq!(reads(), before);
}

#[tokio::test]
async fn poison_on_a_healthy_store_is_read_once_leaves_a_record_and_one_line() {
    let world = World::new();
    for n in 0..100 {
        let whole = tiny(n);
        world.upload(&format!("{n}.png"), whole[..whole.len() / 2].to_vec());
    }
    for n in 0..100 {
        let reply = world.handle(&created(&format!("{n}.png"), "01")).await;
        assert_eq!(
            reply.expect("settled")["outcomes"],
            json!({ "rejected": 1 })
        );
    }
    let calls = world.uploads.calls();
    let gets: Vec<_> = calls.iter().filter(|call| call.function == "get").collect();
    assert_eq!(gets.len(), 100);
    let lines = world.lines.all();
    assert_eq!(lines.len(), 100);
    for line in &lines {
        assert_eq!(
            (&line["level"], &line["code"]),
            (&json!("ERROR"), &json!("truncated"))
        );
        let words = line["error"].as_str().expect("words");
        assert!(
            words.contains("upload it again"),
            "the remedy is missing: {words}"
        );
    }
    assert!(world.failure("7.png").is_some());
    assert!(
        world.uploads.inner().read("7.png").is_some(),
        "nothing is deleted"
    );
}

#[tokio::test]
async fn access_denied_is_loud_and_comes_again() {
    let world = World::new();
    world.upload("a.png", tiny(1));
    world.upload("b.png", tiny(2));
    world.output.plan(
        1,
        pixmill_testkit::faulty_store::Fault::FailBefore(StoreErrorKind::Denied),
    );
    let messages = [
        ("a".to_owned(), created("a.png", "01")),
        ("b".to_owned(), created("b.png", "01")),
    ];
    let reply = world.handle(&batch(&messages)).await.expect("a reply");
    assert_eq!(failed_ids(&reply), BTreeSet::from(["a".to_owned()]));
    world.assert_complete("b.png");
    let line = &world.lines.all()[0];
    assert_eq!(
        (&line["level"], &line["code"]),
        (&json!("CRITICAL"), &json!("denied"))
    );
    let sent = world.alerts.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].channel, Channel::Critical);
    assert!(
        sent[0].body.contains("s3://uploads/a.png"),
        "{}",
        sent[0].body
    );
    // A direct call fails as a whole, so that Lambda tries again.
    world.output.plan(
        world.output.calls().len() + 1,
        pixmill_testkit::faulty_store::Fault::FailBefore(StoreErrorKind::Denied),
    );
    let error = world
        .handle(&created("a.png", "01"))
        .await
        .expect_err("not settled");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn one_bad_record_never_drops_its_neighbours() {
    let world = World::new();
    world.upload("good.png", tiny(1));
    world.upload("also good.png", tiny(2));
    let payload = json!({ "Records": [
        { "eventSource": "aws:sqs", "messageId": "garbage", "body": "{{{" },
        { "eventSource": "aws:sqs", "messageId": "good",
          "body": json!({ "Records": [created("good.png", "01")] }).to_string() },
        { "eventSource": "aws:sqs", "messageId": "test",
          "body": json!({ "Service": "Amazon S3", "Event": "s3:TestEvent" }).to_string() },
        { "eventSource": "aws:sqs", "messageId": "gone",
          "body": json!({ "Records": [created("gone.png", "01")] }).to_string() },
        { "eventSource": "aws:sqs", "messageId": "folder",
          "body": json!({ "Records": [created("folder/", "01")] }).to_string() },
        { "eventSource": "aws:sqs", "messageId": "good too",
          "body": json!({ "Records": [created("also good.png", "01")] }).to_string() },
    ] });
    let reply = world.handle(&payload).await.expect("a reply");
    assert_eq!(failed_ids(&reply), BTreeSet::from(["garbage".to_owned()]));
    world.assert_complete("good.png");
    world.assert_complete("also good.png");
    let lines = world.lines.all();
    let codes: Vec<_> = lines
        .iter()
        .map(|line| line["code"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(
        codes,
        [
            "event-not-json",
            "-",
            "test-event",
            "gone",
            "folder-marker",
            "-"
        ]
    );
    assert!(lines.iter().all(|line| line["request_id"] == "r"));
}

#[tokio::test]
async fn a_foreign_bucket_is_critical_and_nothing_is_written() {
    let world = World::new();
    world.upload("a.png", tiny(1));
    let error = world
        .handle(&json!({ "bucket": "elsewhere", "key": "a.png" }))
        .await;
    let error = error.expect_err("it must not count as a success");
    assert!(error.to_string().contains("UPLOAD_BUCKET"), "{error}");
    assert_eq!(world.lines.all()[0]["level"], "CRITICAL");
    assert_eq!(world.output.inner().writes(), 0);
}

#[tokio::test]
async fn a_removed_source_takes_its_renditions_with_it_if_that_is_wanted() {
    for (removals, left) in [(Removals::Keep, 3), (Removals::Delete, 0)] {
        let options = ProcessOptions {
            removals,
            ..ProcessOptions::default()
        };
        let world = World::with(RECIPE, options);
        world.upload("a.png", tiny(1));
        world.handle(&created("a.png", "01")).await.expect("done");
        let gone = world.uploads.inner().delete("a.png", Condition::Always);
        gone.await.expect("it is removed");
        let mut event = created("a.png", "02");
        event["eventName"] = json!("ObjectRemoved:Delete");
        world.handle(&event).await.expect("settled");
        assert_eq!(world.output.inner().keys().len(), left);
        // Said to be removed, but it is back: it is made.
        world.upload("a.png", tiny(2));
        world.handle(&event).await.expect("settled");
        world.assert_complete("a.png");
    }
}

#[tokio::test]
async fn awkward_names_are_processed_and_traceable_to_their_source() {
    let world = World::new();
    let keys = awkward();
    assert!(keys.len() >= 300, "{}", keys.len());
    let mut lines_before = 0;
    for (n, key) in keys.iter().enumerate() {
        world.upload(key, tiny(n));
        let reply = world
            .handle(&batch(&[("m".to_owned(), created(key, "01"))]))
            .await;
        assert!(failed_ids(&reply.expect("a reply")).is_empty(), "{key:?}");
        let lines = world.lines.all();
        assert_eq!(lines.len(), lines_before + 1, "{key:?} forged a line");
        lines_before = lines.len();
        let line = &lines[lines.len() - 1];
        assert_eq!(line["key"].as_str(), Some(key.as_str()));
        assert_eq!(line["level"], "INFO", "{key:?}: {line}");
        assert_eq!(line["message"], "Successfully processed");
    }
    for key in &keys {
        world.assert_complete(key);
        for rendition in world.manifest(key).expect("complete").renditions() {
            assert!(rendition.key.len() <= 1024, "{key:?}");
            let blob = world.output.inner().read(&rendition.key).expect("in place");
            assert_eq!(blob.metadata["original-key"], *key);
        }
    }
    assert_eq!(
        world.output.inner().keys().len(),
        3 * keys.len(),
        "no two share a name"
    );
}

#[tokio::test]
async fn lines_hold_figures_as_numbers_and_nothing_of_the_event_itself() {
    let world = World::new();
    world.upload("a.png", photo(40, 30).png());
    world.handle(&created("a.png", "01")).await.expect("done");
    let lines = world.lines.all();
    let line = &lines[0];
    for field in ["processing_time", "image_size", "written_bytes"] {
        assert!(line[field].is_number(), "{field}: {line}");
    }
    assert!(line["sizes"]["small"].is_u64() && line["stages"]["fetch"].is_number());
    assert_eq!(line["bucket"], "uploads");
    assert_eq!(line["event"], "ObjectCreated:Put");
    assert_eq!(line["function"], "mill");
    assert_eq!(line["cold_start"], false);
    let timestamp = line["timestamp"].as_str().expect("text");
    assert!(
        timestamp.ends_with('Z') && timestamp.len() == 24,
        "{timestamp}"
    );
    let text = line.to_string();
    assert!(
        !text.contains("192.0.2.77") && !text.contains("secret-principal"),
        "{text}"
    );
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up_before_the_runtime_ends_the_process() {
    let world = World::new();
    world.upload("a.png", tiny(1));
    world
        .uploads
        .plan(1, pixmill_testkit::faulty_store::Fault::StopBefore);
    let invocation = Invocation {
        deadline: Some(Instant::now() + Duration::from_millis(700)),
        ..invocation("late")
    };
    let error = world
        .handler
        .handle(&created("a.png", "01"), &invocation)
        .await;
    let error = error.expect_err("it is not settled");
    assert!(error.to_string().contains("deadline"), "{error}");
    let left = invocation
        .deadline
        .expect("one")
        .saturating_duration_since(Instant::now());
    assert!(left >= Duration::from_millis(500), "{left:?} are left");
    let line = &world.lines.all()[0];
    assert_eq!(
        (&line["outcome"], &line["stage"]),
        (&json!("failed"), &json!("fetch"))
    );
}

#[tokio::test]
async fn in_a_batch_what_its_neighbours_left_no_time_for_comes_again_and_alone_it_is_settled() {
    let recipe = RECIPE.replace("width = 2", "width = 2\n").replace(
        "name = \"same\"\nformat = \"png\"",
        "name = \"same\"\nformat = \"webp\"\nrequired = false",
    );
    // So slow that minutes do for the small variant and not for the other.
    let slow = ProcessOptions {
        speed: 0.000_07,
        ..ProcessOptions::default()
    };
    let world = World::with(&recipe, slow);
    for key in ["a.png", "b.png"] {
        world.upload(key, photo(400, 400).png());
    }
    let messages = ["a", "b"].map(|id| (id.to_owned(), created(&format!("{id}.png"), "01")));
    let reply = world.handle(&batch(&messages)).await.expect("a reply");
    assert_eq!(failed_ids(&reply), BTreeSet::from(["b".to_owned()]));
    let lines = world.lines.all();
    assert_eq!(lines[0]["message"], "Processed in part", "{}", lines[0]);
    assert_eq!(
        (&lines[0]["level"], &lines[0]["deferred"]),
        (&json!("WARN"), &json!(["same"]))
    );
    for key in ["a.png", "b.png"] {
        let manifest = world.manifest(key).expect("what could be made is there");
        assert_eq!(
            (manifest.state, manifest.renditions().count()),
            (State::Incomplete, 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invocations_at_once_in_one_process_never_mix_pictures() {
    let mut world = World::new();
    world.handler.processor = world.handler.processor.clone().with_blocking(|work| {
        tokio::task::spawn_blocking(work);
    });
    let pixels = |n: usize| u32::try_from(n).expect("a small number");
    let size = |n: usize| (20 + pixels(n % 13), 10 + pixels(n % 7));
    let key = |n: usize| format!("{n}.png");
    for n in 0..96 {
        let (width, height) = size(n);
        let [_, _, _, _, _, _, g, b] = n.to_be_bytes();
        let drawing = Drawing::new(width, height, move |x, y| {
            [u8::from((x + y) % 2 == 0) * 200, g, b]
        });
        world.upload(&key(n), drawing.png());
    }
    // Every source three times, all of them at once.
    let world = Arc::new(world);
    let tasks = shuffled((0..288).collect(), 5).into_iter().map(|n: usize| {
        let world = world.clone();
        tokio::spawn(async move { world.handle(&created(&key(n % 96), "01")).await.map(|_| ()) })
    });
    let settled = futures_util::future::join_all(tasks.collect::<Vec<_>>()).await;
    for settled in settled {
        // Of three that race for one source, one may be told to come again.
        let _ = settled.expect("no panic");
    }
    for n in 0..96 {
        world.assert_complete(&key(n));
        let upload = world.uploads.inner().read(&key(n)).expect("it is there");
        let alone = render(&upload.bytes, world.handler.processor.recipe()).expect("a picture");
        for rendition in alone.renditions {
            let RenditionResult::Made(made) = rendition.result else {
                panic!("{n} can be made");
            };
            let place = format!("{}/{}.png", key(n), rendition.variant);
            let published = world.output.inner().read(&place).expect("in place");
            assert!(
                published.bytes == made.bytes,
                "{place} shows another picture"
            );
        }
    }
}

/// Nobody is ever told.
struct Hanging;

#[async_trait::async_trait]
impl pixmill::ports::AlertSink for Hanging {
    async fn send(&self, _: &pixmill::alert::Alert) -> Result<(), pixmill::error::BoxError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_alert_that_hangs_never_costs_the_reply() {
    let mut world = World::new();
    world.handler.alerts = Some(Arc::new(Hanging));
    world.upload("bad.png", b"not a picture".to_vec());
    let invocation = Invocation {
        deadline: Some(Instant::now() + Duration::from_millis(900)),
        ..invocation("r")
    };
    let event = batch(&[("m".to_owned(), created("bad.png", "01"))]);
    let reply = world
        .handler
        .handle(&event, &invocation)
        .await
        .expect("a reply");
    assert!(failed_ids(&reply).is_empty());
    assert!(Instant::now() < invocation.deadline.expect("one"));
    let lines = world.lines.all();
    assert_eq!(lines[1]["message"], "Error sending alert");
}
