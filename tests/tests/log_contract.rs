//! What `infra/observability.json` counts, held against what the real `bootstrap` writes: each metric filter matches
//! exactly the lines that it should, with a number in its unit, and whatever an alarm or the dashboard looks at is
//! something that somebody emits.
//!
//! Lambda's own lines are written here as the AWS Lambda Developer Guide documents them ("Lambda Telemetry API
//! `Event` schema reference"), and CloudTrail's as its user guide does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pixmill::error::{Cause, Error, ImageError, Stage, StoreError, StoreErrorKind};
use pixmill::memory::MemoryStore;
use pixmill::outcome::Outcome;
use pixmill::ports::MetricSink;
use pixmill::signal::{Finished, Signal};
use pixmill_lambda::log::{JobLog, Log, Subject};
use pixmill_lambda::settings::LogLevel;
use pixmill_testkit::names::awkward;
use pixmill_testkit::pictures::{Png, fading, photo};
use pixmill_testkit::s3_server::S3Server;
use pixmill_tests::deployment::{Deployment, MetricFilter, Mode};
use pixmill_tests::events::{created, notification, queue_message};
use pixmill_tests::filter_pattern::select;
use pixmill_tests::runtime_api::Function;
use serde_json::{Value, json};

/// More than anything here takes on a busy machine, and less than the runner's patience.
const LONG: Duration = Duration::from_mins(1);

const UPLOADS: &str = "uploads";
const PROCESSED: &str = "processed";
const CANARY: &str = "canary/canary.png";

const SMALL: &str = "
version = 1
[[variant]]
name = \"small\"
format = \"jpeg\"
width = 16
";

// ---- The table: what is counted by what

const DONE: &[&str] = &[
    "image-processing-time",
    "image-size",
    "outcomes-settled",
    "successful-processes",
];
const CANARY_DONE: &[&str] = &[
    "canary",
    "image-processing-time",
    "image-size",
    "outcomes-settled",
    "successful-processes",
];
const SETTLED: &[&str] = &["outcomes-settled"];
const REJECTED: &[&str] = &[
    "image-processing-errors",
    "lambda-errors",
    "outcomes-settled",
];
const FAILED: &[&str] = &["lambda-errors", "outcomes-failed"];
const OUT_OF_TIME: &[&str] = &[
    "lambda-errors",
    "outcomes-failed",
    "timeout-errors-foreseen",
];
const NOTHING: &[&str] = &[];

/// Every kind of line that the function, or Lambda about it, is known to write, and the filters that count it. A line
/// of another kind is a fault, and so is a kind that no line is of.
const TABLE: &[(&str, &[&str])] = &[
    ("finished done", DONE),
    ("finished unchanged", SETTLED),
    ("finished done, the canary", CANARY_DONE),
    (
        "finished unchanged, the canary",
        &["canary", "outcomes-settled"],
    ),
    ("finished stale", SETTLED),
    ("finished skipped excluded", SETTLED),
    ("finished skipped folder-marker", SETTLED),
    ("finished skipped gone", SETTLED),
    ("finished skipped newer-work", SETTLED),
    ("finished skipped own-output", SETTLED),
    ("Skipped skipped other-event", SETTLED),
    ("Skipped skipped test-event", SETTLED),
    ("finished rejected corrupt", REJECTED),
    ("finished rejected too-large", REJECTED),
    ("finished rejected truncated", REJECTED),
    ("finished rejected unsupported", REJECTED),
    (
        "finished failed denied at fetch",
        &["critical-errors", "outcomes-failed", "s3-access-denied"],
    ),
    (
        "finished failed denied at plan",
        &["critical-errors", "outcomes-failed", "s3-access-denied"],
    ),
    (
        "finished failed denied at publish",
        &["critical-errors", "outcomes-failed", "s3-permission-errors"],
    ),
    (
        "finished failed denied at record",
        &["critical-errors", "outcomes-failed", "s3-permission-errors"],
    ),
    (
        "finished rejected name",
        &[
            "critical-errors",
            "image-processing-errors",
            "outcomes-settled",
        ],
    ),
    (
        "finished rejected record",
        &[
            "critical-errors",
            "image-processing-errors",
            "outcomes-settled",
        ],
    ),
    ("finished rejected decoder-panic", REJECTED),
    ("finished rejected encode", REJECTED),
    ("finished rejected loss-refused", REJECTED),
    ("finished failed worker-gone", FAILED),
    ("finished failed not-found", FAILED),
    ("finished failed conflict", FAILED),
    ("finished failed newer-work", FAILED),
    (
        "finished failed store",
        &["critical-errors", "outcomes-failed"],
    ),
    ("finished failed unavailable", FAILED),
    ("finished failed out-of-time", OUT_OF_TIME),
    ("finished failed stopped", OUT_OF_TIME),
    (
        "finished failed out-of-memory",
        &["lambda-errors", "memory-errors-foreseen", "outcomes-failed"],
    ),
    ("Error reading event refused event-bucket", FAILED),
    ("Error reading event refused event-field", FAILED),
    ("Error reading event refused event-key", FAILED),
    ("Error reading event refused event-not-json", FAILED),
    ("Error reading event refused event-too-deep", FAILED),
    ("Error reading event refused event-unknown", FAILED),
    (
        "Error reading event refused foreign-bucket",
        &["critical-errors", "outcomes-failed"],
    ),
    ("Error sending alert alert", &["lambda-errors"]),
    ("Error starting the function settings", &["critical-errors"]),
    ("large-image", &["large-images"]),
    ("restarted", NOTHING),
    ("Received an event", NOTHING),
    ("metrics", NOTHING),
    ("platform.initReport", NOTHING),
    ("platform.start", NOTHING),
    ("platform.runtimeDone timeout", NOTHING),
    ("platform.report success", NOTHING),
    ("platform.report success, cold", &["cold-start"]),
    ("platform.report timeout", &["timeout-errors"]),
    (
        "platform.report timeout, cold",
        &["cold-start", "timeout-errors"],
    ),
    (
        "platform.report error Runtime.OutOfMemory",
        &["memory-errors"],
    ),
    (
        "platform.report error Runtime.ExitError",
        &["memory-errors"],
    ),
    ("platform.report error Pixmill.Unsettled", NOTHING),
];

/// What a day without trouble may raise.
const HEALTHY: &[&str] = &[
    "canary",
    "cold-start",
    "image-processing-time",
    "image-size",
    "outcomes-settled",
    "successful-processes",
];

/// What kind of line it is, by the words that the function promises.
fn kind(line: &Value) -> String {
    if line.get("_aws").is_some() {
        return "metrics".to_owned();
    }
    let word = |field: &str| line[field].as_str();
    if let Some(kind) = word("type") {
        let record = &line["record"];
        let mut words = vec![kind];
        words.extend(record["status"].as_str());
        words.extend(record["errorType"].as_str());
        let cold = record["metrics"].get("initDurationMs").is_some();
        return format!("{}{}", words.join(" "), if cold { ", cold" } else { "" });
    }
    let mut words = vec![word("signal").or(word("message")).unwrap_or("-")];
    words.extend(word("outcome"));
    words.extend(word("code"));
    if word("code") == Some("denied") {
        words.push("at");
        words.push(word("stage").unwrap_or("no stage"));
    }
    let canary = if word("key") == Some(CANARY) {
        ", the canary"
    } else {
        ""
    };
    format!("{}{canary}", words.join(" "))
}

// ---- The file

fn observability() -> Value {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("../infra/observability.json");
    let text = fs::read_to_string(&file).expect("infra/observability.json can be read");
    serde_json::from_str(&text).expect("it is JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array();
    list.unwrap_or_else(|| panic!("{key:?} is not a list in {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("{key:?} is not text in {value}"))
}

/// The filters over one log, those by choice among them.
fn filters(log: &str) -> Vec<MetricFilter> {
    let mut deployment = Deployment::new(Mode::Queue);
    let file = observability();
    let switches = list(&file, "filters")
        .iter()
        .filter_map(|filter| filter["switch"].as_str());
    deployment.switches = switches.map(|name| (name.to_owned(), true)).collect();
    UPLOADS.clone_into(&mut deployment.upload_bucket);
    CANARY.clone_into(&mut deployment.canary_key);
    let filters = deployment.filters().into_iter();
    filters.filter(|filter| filter.log == log).collect()
}

// ---- The capture

/// One line, and what the test knows beside it.
struct Captured {
    scene: &'static str,
    line: String,
    json: Value,
    /// How long the invocation took, by the test's clock.
    took: Duration,
    /// The bytes of the uploads that lay there, by key.
    uploads: BTreeMap<String, u64>,
    /// The call that was refused.
    denied: Option<String>,
}

/// Buckets, and a function that reads from one and writes to the other.
struct Scene {
    name: &'static str,
    s3: S3Server,
    function: Function,
    seen: usize,
    captured: Vec<Captured>,
}

impl Scene {
    fn new(name: &'static str, variables: &[(&str, &str)]) -> Self {
        let s3 = S3Server::start(&[UPLOADS, PROCESSED]);
        Self::on(s3, name, variables)
    }

    fn on(s3: S3Server, name: &'static str, variables: &[(&str, &str)]) -> Self {
        let url = s3.url();
        let ours = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
            ("UPLOAD_BUCKET", UPLOADS),
            ("PROCESSED_BUCKET", PROCESSED),
            ("RECIPE", SMALL),
        ];
        let function = Function::new(ours.iter().chain(variables).copied());
        Self {
            name,
            s3,
            function,
            seen: 0,
            captured: Vec::new(),
        }
    }

    fn uploads(&self) -> MemoryStore {
        self.s3.bucket(UPLOADS)
    }

    fn upload(&self, key: &str, bytes: impl Into<bytes::Bytes>) {
        self.uploads().insert(key, bytes);
    }

    /// One invocation, and its lines. What it answers is tested elsewhere.
    fn send_as(&mut self, id: Option<&str>, event: &Value, timeout: Duration) {
        let begin = Instant::now();
        let answer = match id {
            Some(id) => self.function.invoke_as(id, event, timeout),
            None => self.function.invoke(event, timeout),
        };
        let took = begin.elapsed();
        if let Err(error) = answer {
            assert_eq!(error["errorType"], "Pixmill.Unsettled", "{}", self.name);
        }
        self.collect(took, None);
    }

    fn send(&mut self, event: &Value) {
        self.send_as(None, event, LONG);
    }

    fn event(&mut self, key: &str, sequencer: &str) {
        self.send(&notification(&[created(UPLOADS, key, sequencer)]));
    }

    /// An upload, and its event.
    fn picture(&mut self, key: &str, bytes: impl Into<bytes::Bytes>) {
        self.upload(key, bytes);
        self.event(key, "01");
    }

    fn collect(&mut self, took: Duration, denied: Option<&str>) {
        let store = self.uploads();
        let length = |key: String| {
            let blob = store.read(&key)?;
            Some((key, blob.bytes.len() as u64))
        };
        let uploads: BTreeMap<_, _> = store.keys().into_iter().filter_map(length).collect();
        let lines = self.function.lines();
        for line in &lines[self.seen..] {
            self.captured.push(Captured {
                scene: self.name,
                json: serde_json::from_str(line).expect("JSON"),
                line: line.clone(),
                took,
                uploads: uploads.clone(),
                denied: denied.map(str::to_owned),
            });
        }
        self.seen = lines.len();
    }

    /// The same job again and again, each time with another of its calls refused.
    fn deny_each_call(&mut self, prepare: impl Fn(&mut Self, &str), event: impl Fn(&str) -> Value) {
        for nth in 0..40 {
            let key = format!("{}-{nth}.png", self.name.replace(' ', "-"));
            prepare(self, &key);
            let before = self.s3.calls().len();
            self.s3.pass_next(nth);
            self.s3.fail_next(1, "AccessDenied");
            let begin = Instant::now();
            let _ = self.function.invoke(&event(&key), LONG);
            self.s3.heal();
            let calls = self.s3.calls();
            let denied = calls.get(before + nth);
            self.collect(begin.elapsed(), denied.map(String::as_str));
            if denied.is_none() {
                return;
            }
        }
        panic!("{}: it never comes to an end", self.name);
    }
}

fn truncated() -> Vec<u8> {
    let whole = photo(64, 48).png();
    whole[..whole.len() / 2].to_vec()
}

/// The whole length, with a wrong sum over its pixels.
fn corrupt() -> Vec<u8> {
    let mut bytes = photo(64, 48).png();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 8] {
        *byte ^= 0x55;
    }
    bytes
}

/// Keys that would forge a line or a word, if anything could.
const HOSTILE: [&str; 9] = [
    "403",
    "ERROR 403 AccessDenied.png",
    "Task timed out after 60.00 seconds",
    "\",\"level\":\"CRITICAL",
    "x\n{\"level\":\"CRITICAL\",\"signal\":\"finished\",\"code\":\"denied\"}\n",
    "{\"type\":\"platform.report\",\"record\":{\"status\":\"timeout\"}}",
    "Runtime.OutOfMemory",
    "Error processing image PIL.png",
    "outcome=failed code=out-of-memory",
];

/// Good pictures only, whatever they and their requests are called.
fn good_day() -> Vec<Captured> {
    let mut scene = Scene::new("a good day", &[]);
    for (n, key) in HOSTILE.iter().enumerate() {
        scene.upload(key, photo(20, 10).png());
        let id = format!("00000403-0403-4403-8403-ERROR{n:07}");
        let event = notification(&[created(UPLOADS, key, "02")]);
        scene.send_as(Some(&id), &event, LONG);
    }
    // Duplicates, an event that was overtaken, and what S3 sends beside them.
    scene.event(HOSTILE[0], "02");
    scene.event(HOSTILE[0], "01");
    scene.event("gone 403.png", "01");
    scene.picture(CANARY, photo(20, 10).png());
    scene.event(CANARY, "02");
    scene.send(&json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": UPLOADS }));
    scene.captured
}

/// Everything that an event and a picture can provoke.
fn bad_days() -> Vec<Captured> {
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let scenes: [fn() -> Vec<Captured>; 12] = [
            bad_pictures,
            skipped,
            newer_work,
            too_little_memory,
            too_little_time,
            denied_for_a_good_picture,
            denied_for_a_second_source,
            denied_for_a_bad_picture,
            denied_for_a_removal,
            store_in_trouble,
            bad_events,
            bad_settings,
        ];
        let running = scenes.map(|scene| scope.spawn(scene));
        for scene in running {
            all.extend(scene.join().expect("no panic"));
        }
    });
    all
}

fn bad_pictures() -> Vec<Captured> {
    let recipe = format!(
        "strict = [\"alpha-flattened\"]\n{SMALL}[limits]\nlarge_bytes = 1000\ninput_bytes = \"100 KiB\"\n"
    );
    let variables = [("RECIPE", recipe.as_str()), ("LOG_LEVEL", "DEBUG")];
    let mut scene = Scene::new("bad pictures", &variables);
    scene.picture("large.png", photo(200, 100).png());
    for key in HOSTILE {
        scene.picture(key, truncated());
    }
    // Known from before.
    scene.event(HOSTILE[0], "02");
    scene.picture("corrupt.png", corrupt());
    scene.picture("fading.png", fading(20, 10).png());
    scene.picture("text.png", "no picture at all");
    scene.picture("wide.png", Png::new(10_000, 10_000, 8, 2).without_pixels());
    scene.picture("long.png", vec![0; 200 << 10]);
    scene.captured
}

/// What no picture and no store is known to provoke: the function's own lines about it.
fn never_seen() -> Vec<Captured> {
    let missing = StoreError::new(StoreErrorKind::NotFound, "a.png");
    let detail = "403 AccessDenied".to_owned();
    let variant = "small".to_owned();
    let encode = ImageError::Encode {
        variant,
        detail: detail.clone(),
    };
    let outcomes = [
        Outcome::Rejected(Error::new(Stage::Render, encode)),
        Outcome::Rejected(Error::new(
            Stage::Decode,
            ImageError::DecoderPanic { detail },
        )),
        // A template that could give one is refused at the start.
        Outcome::Rejected(Error::new(
            Stage::Plan,
            Cause::Name("one name for two".to_owned()),
        )),
        // The output is the function's own: what can't be read is made anew.
        Outcome::Rejected(Error::new(
            Stage::Record,
            Cause::Record("no manifest".to_owned()),
        )),
        Outcome::Failed(Error::new(Stage::Render, Cause::WorkerGone)),
        Outcome::Failed(Error::new(Stage::Publish, missing)),
    ];
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Log::new(Shared(written.clone()), LogLevel::Info);
    let log = JobLog {
        log: Arc::new(log.of_function(Some("mill".to_owned()))),
        subject: Arc::default(),
    };
    for outcome in &outcomes {
        log.record(&Signal::Finished(Finished {
            source: "a.png",
            outcome,
            image_size: Some(1),
            written_bytes: 0,
            processing_time: Duration::from_millis(3),
            stages: &[],
        }));
    }
    let text = String::from_utf8(written.lock().expect("no panic").clone()).expect("text");
    let captured = text.lines().map(|line| Captured {
        scene: "never seen",
        line: line.to_owned(),
        json: serde_json::from_str(line).expect("JSON"),
        took: LONG,
        uploads: BTreeMap::new(),
        denied: None,
    });
    captured.collect()
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn skipped() -> Vec<Captured> {
    let variables = [
        ("UPLOAD_BUCKET", PROCESSED),
        ("UPLOAD_PREFIX", "in/"),
        ("PROCESSED_PREFIX", "out/"),
        ("EXCLUDE", "*.gif"),
    ];
    let mut scene = Scene::new("skipped", &variables);
    for key in ["in/a.gif", "in/album/", "out/a.png/small.jpg", "else.png"] {
        scene.send(&notification(&[created(PROCESSED, key, "01")]));
    }
    let mut restored = created(PROCESSED, "in/a.png", "01");
    restored["eventName"] = json!("ObjectRestore:Completed");
    scene.send(&notification(&[restored]));
    scene.captured
}

fn newer_work() -> Vec<Captured> {
    let newer = SMALL.replace("version = 1", "version = 1\nrevision = 7");
    let mut ahead = Scene::new("newer work", &[("RECIPE", newer.as_str())]);
    ahead.picture("a.png", photo(20, 10).png());
    let Scene {
        s3, mut captured, ..
    } = ahead;
    let mut behind = Scene::on(s3, "older work", &[]);
    behind.event("a.png", "02");
    behind.upload("a.png", photo(30, 10).png());
    behind.event("a.png", "03");
    captured.extend(behind.captured);
    captured
}

fn too_little_memory() -> Vec<Captured> {
    let optional = "
[[variant]]
name = \"whole\"
format = \"webp\"
required = false
";
    let recipe = format!("{SMALL}{optional}");
    let variables = [
        ("RECIPE", recipe.as_str()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ];
    let mut scene = Scene::new("too little memory", &variables);
    // By its header alone: nothing is decoded.
    scene.picture("huge.png", Png::new(7000, 7000, 8, 2).without_pixels());
    scene.picture("part.jpg", photo(4000, 4000).jpeg(80));
    let part = scene.captured.iter().find(|c| c.json["key"] == "part.jpg");
    let part = &part.expect("a line").json;
    assert_eq!(part["message"], "Processed in part", "{part}");
    scene.captured
}

fn too_little_time() -> Vec<Captured> {
    // Far more work than the seconds hold, on any machine.
    let whole = "[[variant]]\nname = \"whole\"\nformat = \"webp\"\n";
    let other = whole.replace("whole", "other");
    let recipe = format!("{SMALL}{whole}{other}[source]\nmax_side = 0\n");
    let variables = [
        ("RECIPE", recipe.as_str()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "10240"),
    ];
    let mut scene = Scene::new("too little time", &variables);
    scene.function.start().expect("it starts");
    scene.upload("slow.png", Png::new(7000, 7000, 8, 2).without_pixels());
    let event = notification(&[created(UPLOADS, "slow.png", "01")]);
    scene.send_as(None, &event, Duration::from_secs(3));
    scene.upload("stalled.png", photo(20, 10).png());
    scene.s3.stall_next(1_000);
    let event = notification(&[created(UPLOADS, "stalled.png", "01")]);
    scene.send_as(None, &event, Duration::from_secs(2));
    scene.captured
}

fn created_event(key: &str) -> Value {
    notification(&[created(UPLOADS, key, "02")])
}

fn denied_for_a_good_picture() -> Vec<Captured> {
    let mut scene = Scene::new("a good picture", &[]);
    let prepare = |scene: &mut Scene, key: &str| scene.upload(key, photo(20, 10).png());
    scene.deny_each_call(prepare, created_event);
    scene.captured
}

fn denied_for_a_second_source() -> Vec<Captured> {
    let mut scene = Scene::new("a second source", &[]);
    let prepare = |scene: &mut Scene, key: &str| {
        scene.picture(key, photo(20, 10).png());
        scene.upload(key, photo(30, 10).png());
    };
    scene.deny_each_call(prepare, created_event);
    scene.captured
}

fn denied_for_a_bad_picture() -> Vec<Captured> {
    let mut scene = Scene::new("a bad picture", &[]);
    let prepare = |scene: &mut Scene, key: &str| {
        scene.picture(key, photo(20, 10).png());
        scene.upload(key, truncated());
    };
    scene.deny_each_call(prepare, created_event);
    scene.captured
}

fn denied_for_a_removal() -> Vec<Captured> {
    let mut scene = Scene::new("a removal", &[("REMOVALS", "delete")]);
    let prepare = |scene: &mut Scene, key: &str| {
        scene.picture(key, photo(20, 10).png());
        // The event was late: nothing is there any more.
        let store = scene.uploads();
        let removed =
            pixmill::ports::BlobStore::delete(&store, key, pixmill::ports::Condition::Always);
        let removed = futures_util::FutureExt::now_or_never(removed);
        removed.expect("an answer").expect("it is removed");
    };
    scene.deny_each_call(prepare, |key| {
        let mut record = created(UPLOADS, key, "02");
        record["eventName"] = json!("ObjectRemoved:Delete");
        notification(&[record])
    });
    scene.captured
}

fn store_in_trouble() -> Vec<Captured> {
    let mut scene = Scene::new("a store in trouble", &[]);
    for (key, code) in [
        ("throttled.png", "SlowDown"),
        ("conflict.png", "PreconditionFailed"),
        ("unforeseen.png", "MethodNotAllowed"),
    ] {
        // The manifest is read first; from the source on everything goes wrong.
        scene.s3.pass_next(2);
        scene.s3.fail_next(1_000, code);
        scene.picture(key, photo(20, 10).png());
        scene.s3.heal();
    }
    // Somebody else writes meanwhile, once.
    scene.s3.pass_next(2);
    scene.s3.fail_next(1, "PreconditionFailed");
    scene.picture("raced.png", photo(20, 10).png());
    let mut captured = scene.captured;
    // The bucket is not there at all.
    let mut scene = Scene::new("no such bucket", &[("PROCESSED_BUCKET", "missing-403")]);
    scene.picture("nowhere.png", photo(20, 10).png());
    captured.append(&mut scene.captured);
    captured
}

fn bad_events() -> Vec<Captured> {
    let topic = "arn:aws:sns:us-east-1:123456789012:topic";
    let variables = [
        ("CRITICAL_TOPIC_ARN", topic),
        ("PERFORMANCE_TOPIC_ARN", topic),
        ("LOGS_TOPIC_ARN", topic),
    ];
    // There is no SNS behind this address.
    let mut scene = Scene::new("bad events", &variables);
    scene.send(&json!({ "Records": [queue_message("1", "{{{")] }));
    scene.send(&json!({ "403": "ERROR" }));
    let mut record = created(UPLOADS, "a.png", "01");
    record["s3"]["object"]["key"] = json!("%zz");
    scene.send(&notification(&[record.clone()]));
    record["s3"]["object"] = json!({});
    scene.send(&notification(&[record]));
    scene.send(&notification(&[created("elsewhere", "a.png", "01")]));
    let mut wrapped = json!({ "bucket": UPLOADS, "key": "a.png" }).to_string();
    for _ in 0..15 {
        wrapped = json!({ "Records": [queue_message("1", &wrapped)] }).to_string();
    }
    scene.send(&serde_json::from_str(&wrapped).expect("JSON"));
    scene.send(&json!({
        "invocationSchemaVersion": "1.0",
        "invocationId": "YXNkbGZqYWRmaiBhc2RmdW9hZHNmZGpmaGFzbGtkaGZza2RmaAo",
        "job": { "id": "f3cc4f60-61f6-4a2b-8a21-d07600c373ce" },
        "tasks": [{ "taskId": "1", "s3Key": "a.png", "s3VersionId": null, "s3BucketArn": "403" }],
    }));
    scene.captured
}

fn bad_settings() -> Vec<Captured> {
    let mut scene = Scene::new("bad settings", &[("LOG_LEVEL", "LOUD"), ("METRICS", "403")]);
    scene.function.start_in_vain();
    scene.collect(LONG, None);
    scene.captured
}

/// Lambda's own lines, as they are documented.
fn platform() -> Vec<Captured> {
    const REQUEST: &str = "00000403-0403-4403-8403-000000000403";
    let time = "2026-01-02T03:04:05.678Z";
    let report = |status: &str, error: Option<&str>, init: Option<f64>| {
        let mut record = json!({
            "requestId": REQUEST,
            "status": status,
            "metrics": {
                "durationMs": 60000.0, "billedDurationMs": 60000, "memorySizeMB": 3008, "maxMemoryUsedMB": 403,
            },
            "tracing": { "spanId": "54565fb41ac79632", "type": "X-Amzn-Trace-Id", "value": "Root=1-62e900b2;Sampled=0" },
        });
        if let Some(error) = error {
            record["errorType"] = json!(error);
        }
        if let Some(init) = init {
            record["metrics"]["initDurationMs"] = json!(init);
        }
        json!({ "time": time, "type": "platform.report", "record": record })
    };
    let lines = [
        json!({ "time": time, "type": "platform.initReport", "record": {
            "initializationType": "on-demand", "phase": "init", "metrics": { "durationMs": 125.33 } } }),
        json!({ "time": time, "type": "platform.start", "record": { "requestId": REQUEST, "version": "403" } }),
        json!({ "time": time, "type": "platform.runtimeDone", "record": {
            "requestId": REQUEST, "status": "timeout", "metrics": { "durationMs": 60000.0, "producedBytes": 0 } } }),
        report("success", None, None),
        report("success", None, Some(125.33)),
        report("timeout", None, None),
        report("timeout", None, Some(125.33)),
        report("error", Some("Runtime.OutOfMemory"), None),
        report("error", Some("Runtime.ExitError"), None),
        report("error", Some("Pixmill.Unsettled"), None),
    ];
    let captured = lines.into_iter().map(|json| Captured {
        scene: "Lambda's own lines",
        line: json.to_string(),
        json,
        took: LONG,
        uploads: BTreeMap::new(),
        denied: None,
    });
    captured.collect()
}

// ---- Filters against lines

/// What is wrong with `filter` on a line that it counts.
fn wrong_with_value(filter: &MetricFilter, captured: &Captured) -> Option<String> {
    let published = filter.pattern.published(&filter.value, &captured.line);
    let Ok(Some(value)) = published else {
        return Some(format!("publishes {published:?}"));
    };
    let json = &captured.json;
    if let Some((_, field)) = &filter.dimension {
        let found = select(field, json).expect("a selector");
        if !matches!(found[..], [Value::String(name)] if name == "mill") {
            return Some(format!("has the dimension {found:?}"));
        }
    }
    let expected = match (&*filter.unit, &*filter.value) {
        ("Count", "1") => value.total_cmp(&1.0).is_eq(),
        ("Milliseconds", "$.record.metrics.initDurationMs") => value.total_cmp(&125.33).is_eq(),
        ("Milliseconds", _) => value >= 0.0 && value <= captured.took.as_secs_f64() * 1e3,
        #[expect(clippy::cast_precision_loss, reason = "small files")]
        ("Bytes", _) => {
            let length = json["key"]
                .as_str()
                .and_then(|key| captured.uploads.get(key));
            length.is_some_and(|length| value.total_cmp(&(*length as f64)).is_eq())
        }
        _ => false,
    };
    (!expected).then(|| format!("publishes {value} {}", filter.unit))
}

#[test]
fn each_filter_counts_exactly_its_lines_with_a_number_in_its_unit() {
    let file = observability();
    let filters = filters("function");
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    assert_eq!(table.len(), TABLE.len(), "a kind stands there twice");
    let mut lines = good_day();
    lines.extend(bad_days());
    lines.extend(never_seen());
    lines.extend(platform());

    let mut faults = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    let mut counted = BTreeMap::new();
    for captured in &lines {
        let kind = kind(&captured.json);
        let Some(expected) = table.get(kind.as_str()) else {
            faults.insert(format!("{kind}: not in the table: {}", captured.line));
            continue;
        };
        let mut by_metric = BTreeMap::new();
        for filter in &filters {
            let name = &filter.name;
            let Some(verdict) = filter.pattern.verdict(&captured.line) else {
                faults.insert(format!(
                    "{kind}: {name} rests on what AWS does not document"
                ));
                continue;
            };
            if verdict != expected.contains(&name.as_str()) {
                let words = if verdict {
                    "should not count"
                } else {
                    "should count"
                };
                faults.insert(format!("{kind} ({}): {name} {words} it", captured.scene));
            }
            if !verdict {
                continue;
            }
            *counted.entry(name.clone()).or_insert(0) += 1;
            if let Some(wrong) = wrong_with_value(filter, captured) {
                faults.insert(format!("{kind}: {name} {wrong}: {}", captured.line));
            }
            if let Some(other) = by_metric.insert(&filter.series.metric, name) {
                faults.insert(format!(
                    "{kind}: {other} and {name} both count it as {}",
                    filter.series.metric
                ));
            }
        }
        kinds.insert(kind);
    }
    for filter in &filters {
        if !counted.contains_key(&filter.name) {
            faults.insert(format!("{} can never match", filter.name));
        }
    }
    for (kind, names) in TABLE {
        if !kinds.contains(*kind) {
            faults.insert(format!("{kind}: no line is of this kind"));
        }
        for name in *names {
            if !filters.iter().any(|filter| filter.name == *name) {
                faults.insert(format!("{kind}: there is no filter {name}"));
            }
        }
    }
    println!(
        "{} lines of {} kinds; {counted:?}",
        lines.len(),
        kinds.len()
    );
    assert!(faults.is_empty(), "{faults:#?}");

    embedded_metrics_are_as_declared(&file, &lines);
    large_images_tell_their_size(&lines);
    reads_and_writes_that_were_denied(&lines);
}

fn embedded_metrics_are_as_declared(file: &Value, lines: &[Captured]) {
    let declared: BTreeSet<(&str, &str)> = list(file, "code_metrics")
        .iter()
        .map(|metric| (text(metric, "metric"), text(metric, "unit")))
        .collect();
    let dimension = text(file, "dimension_name");
    for captured in lines {
        let Some(directives) = captured.json.get("_aws") else {
            continue;
        };
        let [directive] = list(directives, "CloudWatchMetrics") else {
            panic!("not one directive: {}", captured.line);
        };
        let emitted: BTreeSet<(&str, &str)> = list(directive, "Metrics")
            .iter()
            .map(|metric| (text(metric, "Name"), text(metric, "Unit")))
            .collect();
        assert_eq!(emitted, declared, "{}", captured.line);
        assert_eq!(directive["Dimensions"], json!([[dimension]]));
        assert_eq!(captured.json[dimension], "mill");
        for (name, unit) in emitted {
            let value = captured.json[name].as_f64();
            let value = value.unwrap_or_else(|| panic!("{name} in {}", captured.line));
            let most = match unit {
                "Milliseconds" => captured.took.as_secs_f64() * 1e3,
                _ => 1.0,
            };
            assert!((0.0..=most).contains(&value), "{name}: {value} {unit}");
        }
    }
}

fn large_images_tell_their_size(lines: &[Captured]) {
    let mut large = lines.iter().filter(|c| c.json["signal"] == "large-image");
    let first = large.next().expect("a large one");
    assert_eq!(first.json["image_size"], first.uploads["large.png"]);
    assert_eq!(first.json["level"], "WARN");
}

/// What the filters make of the stage, held against the very call that was refused.
fn reads_and_writes_that_were_denied(lines: &[Captured]) {
    let mut both = BTreeSet::new();
    let mut mistaken = BTreeSet::new();
    for captured in lines {
        let (Some(call), "denied") = (
            &captured.denied,
            captured.json["code"].as_str().unwrap_or(""),
        ) else {
            continue;
        };
        let operation = call.split(' ').next().unwrap_or_default();
        let stage = text(&captured.json, "stage");
        let writes = ["PutObject", "DeleteObject"].contains(&operation);
        both.insert(writes);
        if writes != ["publish", "record"].contains(&stage) {
            mistaken.insert((operation, stage));
        }
    }
    assert_eq!(both.len(), 2, "reads and writes were denied");
    assert_eq!(
        mistaken,
        BTreeSet::new(),
        "a read counted as a write, or the reverse"
    );
}

#[test]
fn a_day_of_good_pictures_raises_no_error_metric_whatever_they_are_called() {
    let filters = filters("function");
    let mut lines = good_day();
    let starts = platform().into_iter();
    lines.extend(starts.filter(|c| kind(&c.json).starts_with("platform.report success")));
    let outcomes = lines.iter().filter(|c| c.json["outcome"] == "done");
    assert_eq!(outcomes.count(), HOSTILE.len() + 1, "and the canary");
    for captured in &lines {
        for filter in &filters {
            let is_healthy = HEALTHY.contains(&filter.name.as_str());
            let verdict = filter.pattern.verdict(&captured.line);
            assert!(
                is_healthy || verdict == Some(false),
                "{} counts {}",
                filter.name,
                captured.line
            );
        }
    }
}

#[test]
fn what_cloudtrail_says_of_the_buckets_is_counted() {
    let filters = filters("audit");
    let record = |name: &str, bucket: &str, error: Option<&str>| {
        let mut record = json!({
            "eventVersion": "1.11",
            "eventTime": "2026-01-02T03:04:05Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": name,
            "awsRegion": "us-east-1",
            "sourceIPAddress": "192.0.2.77",
            "requestParameters": { "bucketName": bucket, "key": "AccessDenied 403.png" },
            "eventCategory": "Data",
        });
        if let Some(error) = error {
            record["errorCode"] = json!(error);
        }
        record.to_string()
    };
    let denied = Some("AccessDenied");
    let mut counted = BTreeSet::new();
    for (line, expected) in [
        (record("GetObject", UPLOADS, None), None),
        (
            record("GetObject", UPLOADS, denied),
            Some("audit-access-denied"),
        ),
        (record("GetObject", UPLOADS, Some("NoSuchKey")), None),
        (
            record("DeleteObject", UPLOADS, None),
            Some("audit-upload-deletions"),
        ),
        (
            record("DeleteObjects", UPLOADS, None),
            Some("audit-upload-deletions"),
        ),
        (
            record("DeleteObject", UPLOADS, denied),
            Some("audit-access-denied"),
        ),
        (record("DeleteObject", PROCESSED, None), None),
    ] {
        for filter in &filters {
            let is_expected = expected == Some(filter.name.as_str());
            let verdict = filter.pattern.verdict(&line);
            assert_eq!(verdict, Some(is_expected), "{} on {line}", filter.name);
        }
        counted.extend(expected);
    }
    assert_eq!(counted.len(), filters.len(), "each counts something");
}

// ---- What is looked at is emitted

/// Namespace, metric and dimension of everything that somebody emits.
fn emitted(file: &Value) -> BTreeSet<(String, String, Option<String>)> {
    let own = |namespace: &str, metric: &str, dimension: Option<&str>| {
        let dimension = dimension.map(str::to_owned);
        (namespace.to_owned(), metric.to_owned(), dimension)
    };
    let mut all = BTreeSet::new();
    for filter in list(file, "filters") {
        let dimension = match filter["dimension"].as_str() {
            None => None,
            Some("$.function") => Some("function"),
            Some(other) => panic!("a dimension that no alarm can name: {other}"),
        };
        let namespace = text(filter, "namespace");
        all.insert(own(namespace, text(filter, "metric"), dimension));
    }
    for metric in list(file, "code_metrics") {
        all.insert(own("shared", text(metric, "metric"), Some("function")));
    }
    for (namespace, metrics) in file["aws_metrics"].as_object().expect("an object") {
        let dimensions: &[&str] = match namespace.as_str() {
            "AWS/Lambda" => &["function"],
            "AWS/SQS" => &["queue", "dead_letters"],
            other => panic!("unknown: {other}"),
        };
        for metric in metrics.as_array().expect("a list") {
            let metric = metric.as_str().expect("a name");
            let each = dimensions.iter();
            all.extend(each.map(|dimension| own(namespace, metric, Some(dimension))));
        }
    }
    all
}

/// The names in an expression that are not functions or operators.
fn names_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn what_alarms_and_dashboard_look_at_is_emitted_by_somebody() {
    let file = observability();
    let emitted = emitted(&file);
    let mut faults = Vec::new();
    for shown in list(&file, "alarms").iter().chain(list(&file, "dashboard")) {
        let name = shown["name"]
            .as_str()
            .or(shown["title"].as_str())
            .expect("a name");
        let mut known = BTreeSet::new();
        for series in list(shown, "series") {
            let metric = (
                text(series, "namespace").to_owned(),
                text(series, "metric").to_owned(),
                series["dimension"].as_str().map(str::to_owned),
            );
            if !emitted.contains(&metric) {
                faults.push(format!("{name}: nobody emits {metric:?}"));
            }
            if !["Sum", "Average", "Minimum", "Maximum", "p99"].contains(&text(series, "statistic"))
            {
                faults.push(format!("{name}: unknown statistic in {series}"));
            }
            if !known.insert(text(series, "id")) {
                faults.push(format!("{name}: two series have one id in {series}"));
            }
        }
        let of_widget = shown.get("expressions").and_then(Value::as_array);
        let of_widget = of_widget.into_iter().flatten();
        let expressions = of_widget.filter_map(|e| e["expression"].as_str());
        let expressions: Vec<&str> = expressions.chain(shown["expression"].as_str()).collect();
        for expression in &expressions {
            for unknown in names_in(expression).difference(&known) {
                faults.push(format!("{name}: {unknown} in {expression} is no series"));
            }
        }
        if shown.get("channel").is_some() {
            let used: BTreeSet<&str> = expressions.iter().flat_map(|e| names_in(e)).collect();
            let fits = match expressions[..] {
                [] => known.len() == 1,
                _ => used == known,
            };
            if !fits {
                faults.push(format!("{name}: {known:?} and {expressions:?} don't fit"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn channels_and_names_that_are_referred_to_exist() {
    let file = observability();
    let channels = list(&file, "channels");
    let alarms: BTreeSet<&str> = list(&file, "alarms")
        .iter()
        .map(|a| text(a, "name"))
        .collect();
    let queries: BTreeSet<&str> = list(&file, "queries")
        .iter()
        .map(|q| text(q, "name"))
        .collect();
    for alarm in list(&file, "alarms")
        .iter()
        .chain(list(&file, "composites"))
    {
        assert!(channels.contains(&alarm["channel"]), "{alarm}");
        let is_critical = alarm["severity"] == "critical";
        assert!(!is_critical || alarm["channel"] == "critical", "{alarm}");
    }
    for composite in list(&file, "composites") {
        for part in text(composite, "rule").split("ALARM(").skip(1) {
            let name = part.split(')').next().unwrap_or_default();
            assert!(alarms.contains(name), "{name} in {composite}");
        }
    }
    for widget in list(&file, "dashboard") {
        for name in list(widget, "thresholds") {
            let name = name.as_str().expect("a name");
            assert!(alarms.contains(name), "{name} in {}", text(widget, "title"));
        }
        if widget["kind"] == "query" {
            assert!(queries.contains(text(widget, "query")), "{widget}");
        }
    }
    let names: Vec<&str> = list(&file, "filters")
        .iter()
        .map(|f| text(f, "name"))
        .collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len(), "two filters have one name");
}

#[test]
fn ten_thousand_hostile_names_forge_no_line_and_move_no_metric() {
    let filters = filters("function");
    let mut pieces: Vec<String> = HOSTILE.map(str::to_owned).into();
    pieces.extend(awkward().into_iter().filter(|key| key.len() < 100));
    // What the filters look for, as near to their own words as can be.
    for filter in &filters {
        pieces.extend(filter.text.split('"').map(str::to_owned));
    }
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::new(Log::new(Shared(written.clone()), LogLevel::Info));
    let line_of = |key: &str| {
        let log = JobLog {
            log: log.clone(),
            subject: Arc::new(Subject {
                key: Some(key.to_owned()),
                ..Subject::default()
            }),
        };
        log.record(&Signal::Finished(Finished {
            source: key,
            outcome: &Outcome::Unchanged,
            image_size: Some(1),
            written_bytes: 0,
            processing_time: Duration::from_millis(3),
            stages: &[],
        }));
        let bytes = std::mem::take(&mut *written.lock().expect("no panic"));
        String::from_utf8(bytes).expect("text")
    };
    let counts = |line: &str| -> Vec<Option<f64>> {
        let counts = filters.iter().map(|filter| filter.count(line));
        counts.map(|count| count.map(|(_, value)| value)).collect()
    };
    let plain = counts(line_of("cat.png").trim_end());
    let mut seed = 403_usize;
    for _ in 0..10_000 {
        let mut key = String::new();
        for _ in 0..=seed % 4 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            key.push_str(&pieces[(seed >> 33) % pieces.len()]);
        }
        let line = line_of(&key);
        let one = line.strip_suffix('\n').expect("a whole line");
        assert!(!one.contains(['\n', '\r']), "{one}");
        let json: Value = serde_json::from_str(one).expect("one JSON object");
        assert_eq!(json["key"], key.as_str());
        assert_eq!(counts(one), plain, "{key:?}");
    }
}
