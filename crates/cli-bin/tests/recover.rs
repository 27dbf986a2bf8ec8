//! `verify`, `replay` and `redrive`: the binary on folders, on buckets of a server in this process, and,
//! where there is moto, on queues.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pixmill_testkit::pictures::photo;
use pixmill_testkit::s3_server::S3Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two variants, quick to make.
const RECIPE: &str = r#"version = 1

[[variant]]
name = "small"
format = "jpeg"
width = 8

[[variant]]
name = "same"
format = "png"
"#;

fn pixmill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pixmill"))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

/// What `--json` printed: a line for each thing, and the summary.
fn lines(output: &Output) -> (Vec<Value>, Value) {
    let text = String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8");
    let lines = text.lines().map(serde_json::from_str);
    let mut lines: Vec<Value> = lines
        .collect::<Result<_, _>>()
        .unwrap_or_else(|e| panic!("{e}: {text}\n{}", stderr(output)));
    let summary = lines
        .pop()
        .unwrap_or_else(|| panic!("no summary: {}", stderr(output)));
    (lines, summary)
}

/// Two good pictures and a bad one, and what `convert` made of them.
struct Converted {
    folder: TempDir,
}

impl Converted {
    fn new() -> Self {
        let converted = Self {
            folder: TempDir::new().expect("a folder"),
        };
        fs::create_dir_all(converted.path("in/trip")).expect("a folder");
        fs::write(converted.path("recipe.toml"), RECIPE).expect("a file");
        fs::write(converted.path("in/a.png"), photo(20, 10).png()).expect("a file");
        fs::write(converted.path("in/trip/b.png"), photo(12, 18).png()).expect("a file");
        fs::write(converted.path("in/bad.png"), &photo(20, 10).png()[..60]).expect("a file");
        let output = converted.run(&["convert", "in", "-o", "out", "-r", "recipe.toml"]);
        assert_eq!(code(&output), 1, "one is bad: {}", stderr(&output));
        converted
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], settings: &[(&str, String)]) -> Output {
        let mut command = pixmill();
        command.current_dir(self.folder.path()).args(args);
        command.envs(settings.iter().map(|(name, value)| (*name, value)));
        command.output().expect("the command starts")
    }

    fn verify(&self, more: &[&str]) -> (i32, Vec<Value>, Value) {
        let args = ["verify", "out", "-r", "recipe.toml", "--json"];
        let output = self.run(&[&args, more].concat());
        let (lines, summary) = lines(&output);
        (code(&output), lines, summary)
    }

    /// The same files as objects behind `prefix`.
    fn upload(&self, folder: &str, server: &S3Server, bucket: &str, prefix: &str) {
        let root = self.path(folder);
        let bucket = server.bucket(bucket);
        for file in files(&root) {
            let key = file.strip_prefix(&root).expect("below it");
            let key = format!("{prefix}{}", key.to_str().expect("plain"));
            bucket.insert(&key, fs::read(&file).expect("a file"));
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.components().any(|part| part.as_os_str() == ".pixmill") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All files and their bytes, to see that nothing was written.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("a file"));
    files(folder).into_iter().map(read).collect()
}

fn settings(server: &S3Server) -> Vec<(&'static str, String)> {
    account(&server.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY)
}

fn account(url: &str, key: &str, secret: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", url.to_owned()),
        ("AWS_ACCESS_KEY_ID", key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// The line about this source.
fn about<'l>(lines: &'l [Value], source: &str) -> &'l Value {
    let mut found = lines.iter().filter(|line| line["source"] == source);
    let line = found
        .next()
        .unwrap_or_else(|| panic!("{source}: {lines:?}"));
    assert_eq!(found.next(), None, "a source has one line");
    line
}

#[test]
fn what_convert_made_verifies_and_a_failure_record_is_told_of() {
    let converted = Converted::new();
    let before = snapshot(&converted.path("out"));
    let (status, lines, summary) = converted.verify(&["--sources", "in"]);
    assert_eq!(status, 0, "{lines:?}");
    assert_eq!(about(&lines, "a.png")["outcome"], "same");
    assert_eq!(about(&lines, "bad.png")["outcome"], "failed");
    assert_eq!(summary["summary"]["same"], 2);
    assert_eq!(summary["made_again"], 4);
    assert_eq!(
        snapshot(&converted.path("out")),
        before,
        "nothing is written"
    );
}

#[test]
fn each_difference_is_named_by_what_changed() {
    let converted = Converted::new();
    fs::write(converted.path("in/a.png"), photo(21, 10).png()).expect("a file");
    fs::remove_file(converted.path("out/trip/b.png/same.png")).expect("it was made");
    fs::write(converted.path("out/stray.txt"), "mine").expect("a file");
    let (status, lines, summary) = converted.verify(&["--sources", "in"]);
    assert_eq!(status, 1);
    assert_eq!(about(&lines, "a.png")["differences"][0]["what"], "source");
    let of_b = &about(&lines, "trip/b.png")["differences"];
    assert_eq!(of_b[0]["what"], "bytes");
    assert_eq!(of_b[0]["variant"], "same");
    assert_eq!(summary["by_what"], json!({"bytes": 1, "source": 1}));
    let foreign: Vec<_> = lines.iter().filter(|l| l["outcome"] == "foreign").collect();
    assert_eq!(foreign.len(), 1);
    assert_eq!(foreign[0]["key"], "stray.txt");

    let other = RECIPE.replace("width = 8", "width = 9");
    fs::write(converted.path("recipe.toml"), other).expect("a file");
    let (_, lines, _) = converted.verify(&["--sources", "in"]);
    let of_b = about(&lines, "trip/b.png")["differences"].as_array();
    let whats: Vec<_> = of_b.expect("a list").iter().map(|d| &d["what"]).collect();
    assert_eq!(whats, ["bytes", "recipe"]);
}

#[test]
fn without_sources_only_objects_are_looked_at_and_that_is_said() {
    let converted = Converted::new();
    fs::remove_dir_all(converted.path("in")).expect("it was there");
    let (status, _, summary) = converted.verify(&[]);
    assert_eq!(status, 0);
    assert_eq!(summary["with_sources"], false);
    assert_eq!(
        (&summary["objects"], &summary["made_again"]),
        (&json!(4), &json!(0))
    );
    let told = converted.run(&["verify", "out", "-r", "recipe.toml"]);
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    assert!(told.contains("for want of --sources"), "{told}");
}

#[test]
fn a_manifest_that_can_not_be_read_is_trouble_and_its_renditions_are_no_strangers() {
    let converted = Converted::new();
    fs::write(converted.path("out/a.png/manifest.json"), "{").expect("a file");
    let (status, lines, summary) = converted.verify(&[]);
    assert_eq!(status, 1);
    assert_eq!(summary["summary"]["unreadable"], 1);
    assert_eq!(summary["summary"]["foreign"], 0, "{lines:?}");
}

#[test]
fn an_output_without_manifests_is_not_called_verified() {
    let converted = Converted::new();
    let output = converted.run(&["verify", "in"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("nothing to verify"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn buckets_verify_as_folders_do() {
    let converted = Converted::new();
    let server = S3Server::start(&["uploads", "processed"]);
    converted.upload("in", &server, "uploads", "shop/");
    converted.upload("out", &server, "processed", "made/");
    let args = [
        "verify",
        "s3://processed/made",
        "-s",
        "s3://uploads/shop/",
        "-r",
        "recipe.toml",
        "--json",
    ];
    let output = converted.run_with(&args, &settings(&server));
    let (_, summary) = lines(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        (&summary["objects"], &summary["made_again"]),
        (&json!(4), &json!(4))
    );
    server
        .bucket("processed")
        .insert("made/a.png/small.jpg", "other");
    let output = converted.run_with(&args, &settings(&server));
    let (lines, _) = lines(&output);
    assert_eq!(code(&output), 1);
    assert_eq!(about(&lines, "a.png")["differences"][0]["what"], "bytes");
}

#[test]
fn a_failure_is_replayed_and_works_once_the_source_is_good() {
    let converted = Converted::new();
    let args = [
        "replay",
        "out/failed/bad.png.json",
        "-s",
        "in",
        "-r",
        "recipe.toml",
        "--json",
    ];
    let before = snapshot(&converted.path("out"));
    let output = converted.run(&[&args[..], &["--save", "kept"]].concat());
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 1);
    assert_eq!(told["verdict"], "fails-again");
    assert_eq!(told["source_since"], "same");
    assert_eq!(told["then"]["code"], told["now"]["code"]);
    let kept = fs::read(converted.path("kept/bad.png")).expect("it was kept");
    assert_eq!(
        kept,
        fs::read(converted.path("in/bad.png")).expect("a file")
    );

    fs::write(converted.path("in/bad.png"), photo(20, 10).png()).expect("a file");
    let output = converted.run(&args);
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 0);
    assert_eq!(told["verdict"], "works-now");
    assert_eq!(told["source_since"], "another");
    assert_eq!(
        snapshot(&converted.path("out")),
        before,
        "nothing is written"
    );

    let output = converted.run(&[&args[..], &["--save", "kept"]].concat());
    assert_eq!(
        code(&output),
        2,
        "another file of that name is never replaced"
    );
    assert_eq!(
        fs::read(converted.path("kept/bad.png")).expect("a file"),
        kept
    );
}

#[test]
fn another_limit_makes_another_failure_or_none() {
    let converted = Converted::new();
    let small = RECIPE.replace("version = 1", "version = 1\n[limits]\npixels = 150");
    fs::write(converted.path("strict.toml"), small).expect("a file");
    converted.run(&["convert", "in/a.png", "-o", "strict", "-r", "strict.toml"]);
    let args = ["replay", "strict/failed/a.png.json", "-s", "in", "--json"];
    let output = converted.run(&[&args[..], &["-r", "strict.toml"]].concat());
    assert_eq!(lines(&output).1["verdict"], "fails-again");
    let output = converted.run(&[&args[..], &["-r", "recipe.toml"]].concat());
    let (_, told) = lines(&output);
    assert_eq!(told["verdict"], "works-now");
    assert_eq!(told["same_recipe"], false);
    let args = [
        "replay",
        "strict/failed/a.png.json",
        "-s",
        "in",
        "-r",
        "recipe.toml",
    ];
    let words = String::from_utf8(converted.run(&args).stdout).expect("UTF-8");
    assert!(words.contains("limits.pixels was 150 and is"), "{words}");
}

#[test]
fn what_is_no_failure_record_is_not_replayed() {
    let converted = Converted::new();
    for record in ["out/a.png/manifest.json", "in/a.png", "nowhere.json"] {
        let output = converted.run(&["replay", record, "-s", "in"]);
        assert_eq!(code(&output), 2, "{record}");
        assert!(stderr(&output).contains(record), "{}", stderr(&output));
    }
}

#[test]
fn failure_records_are_listed_and_nothing_goes_through_without_yes() {
    let converted = Converted::new();
    let before = snapshot(&converted.path("out"));
    fs::write(converted.path("in/bad.png"), photo(20, 10).png()).expect("a file");
    let args = [
        "redrive",
        "--output",
        "out",
        "-r",
        "recipe.toml",
        "--here",
        "-s",
        "in",
        "--json",
    ];
    let output = converted.run(&args);
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 0);
    assert_eq!(told["codes"]["failure-record"]["truncated"]["found"], 1);
    assert_eq!(
        (&told["summary"]["chosen"], &told["summary"]["through"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(snapshot(&converted.path("out")), before);

    let output = converted.run(&[&args[..], &["--yes", "--code", "corrupt"]].concat());
    assert_eq!(lines(&output).1["summary"]["chosen"], 0, "another code");
    let output = converted.run(&[&args[..], &["--yes", "--key", "*.jpg"]].concat());
    assert_eq!(lines(&output).1["summary"]["chosen"], 0, "another key");
    assert_eq!(snapshot(&converted.path("out")), before);

    let output = converted.run(&[&args[..], &["--yes", "--key", "bad*"]].concat());
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        (&told["summary"]["through"], &told["summary"]["left"]),
        (&json!(1), &json!(0))
    );
    assert!(!converted.path("out/failed/bad.png.json").exists());
    assert_eq!(converted.verify(&["--sources", "in"]).0, 0);
}

#[test]
fn a_source_that_fails_again_keeps_its_record() {
    let converted = Converted::new();
    let before = snapshot(&converted.path("out"));
    let args = [
        "redrive",
        "--output",
        "out",
        "-r",
        "recipe.toml",
        "--here",
        "-s",
        "in",
        "--yes",
        "--json",
    ];
    let output = converted.run(&args);
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 1);
    assert_eq!(
        (&told["summary"]["failed"], &told["summary"]["left"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(snapshot(&converted.path("out")), before);
}

#[test]
fn what_failed_in_a_bucket_goes_through_from_bucket_to_bucket() {
    let converted = Converted::new();
    let server = S3Server::start(&["uploads", "processed"]);
    converted.upload("in", &server, "uploads", "shop/");
    converted.upload("out", &server, "processed", "made/");
    server
        .bucket("uploads")
        .insert("shop/bad.png", photo(20, 10).png());
    let (to, from) = ("s3://processed/made", "s3://uploads/shop");
    let args = [
        "redrive",
        "--output",
        to,
        "-s",
        from,
        "-r",
        "recipe.toml",
        "--here",
        "--yes",
        "--json",
    ];
    let output = converted.run_with(&args, &settings(&server));
    let (_, told) = lines(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(told["summary"]["through"], 1);
    let processed = server.bucket("processed");
    assert!(processed.read("made/bad.png/small.jpg").is_some());
    assert!(processed.read("made/failed/bad.png.json").is_none());
}

#[test]
fn without_a_way_nothing_is_sent_and_the_ways_are_told() {
    let converted = Converted::new();
    let output = converted.run(&["redrive", "--output", "out", "-r", "recipe.toml", "--yes"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--here"), "{}", stderr(&output));
    for url in [
        "images-dead-letters",
        "https://sqs.eu-west-1.amazonaws.com/1/dead.fifo",
    ] {
        let output = converted.run(&["redrive", "--dead-letters", url]);
        assert_eq!(code(&output), 2, "{url}");
        assert!(stderr(&output).contains(url), "{}", stderr(&output));
    }
}

mod queues {
    use pixmill_aws::{SqsClient, load_at, sqs_client};
    use pixmill_testkit::moto_server::MotoServer;

    use super::*;

    /// A queue of uploads, and the one where its dead letters go.
    struct Queues {
        moto: MotoServer,
        client: SqsClient,
        runtime: tokio::runtime::Runtime,
        uploads: String,
        dead: String,
    }

    impl Queues {
        fn new() -> Self {
            let moto = MotoServer::start();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let client =
                runtime.block_on(async { sqs_client(&load_at(moto.url(), "test", "test").await) });
            let mut queues = Self {
                moto,
                client,
                runtime,
                uploads: String::new(),
                dead: String::new(),
            };
            queues.dead = queues.make("dead-letters", None);
            let policy = json!({
                "deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead-letters", "maxReceiveCount": 5,
            });
            queues.uploads = queues.make("uploads", Some(policy.to_string()));
            queues
        }

        fn make(&self, name: &str, redrive_policy: Option<String>) -> String {
            let policy = redrive_policy
                .map(|policy| [(pixmill_aws::QueueAttributeName::RedrivePolicy, policy)].into());
            let made = self
                .client
                .create_queue()
                .queue_name(name)
                .set_attributes(policy)
                .send();
            let made = self.runtime.block_on(made).expect("a new queue");
            made.queue_url().expect("its URL").to_owned()
        }

        fn send(&self, body: &str) {
            let sent = self
                .client
                .send_message()
                .queue_url(&self.dead)
                .message_body(body)
                .send();
            self.runtime.block_on(sent).expect("it is sent");
        }

        /// The texts of all messages that are in sight, and takes them away.
        fn take_all(&self, url: &str) -> Vec<String> {
            let mut bodies = Vec::new();
            loop {
                let received = self
                    .client
                    .receive_message()
                    .queue_url(url)
                    .max_number_of_messages(10);
                let received = self.runtime.block_on(received.send()).expect("an answer");
                let messages = received.messages.unwrap_or_default();
                if messages.is_empty() {
                    bodies.sort();
                    return bodies;
                }
                for message in messages {
                    bodies.push(message.body.expect("a text"));
                    let receipt = message.receipt_handle.expect("a receipt");
                    let deleted = self
                        .client
                        .delete_message()
                        .queue_url(url)
                        .receipt_handle(receipt);
                    self.runtime
                        .block_on(deleted.send())
                        .expect("it is deleted");
                }
            }
        }

        fn redrive(&self, converted: &Converted, more: &[&str]) -> (i32, Vec<Value>, Value) {
            let args = [
                "redrive",
                "--dead-letters",
                &self.dead,
                "-r",
                "recipe.toml",
                "--json",
            ];
            let settings = account(self.moto.url(), "test", "test");
            let output = converted.run_with(&[&args, more].concat(), &settings);
            let (lines, summary) = lines(&output);
            (code(&output), lines, summary)
        }
    }

    fn upload(key: &str) -> String {
        let object = json!({"bucket": {"name": "uploads"}, "object": {"key": key, "size": 1}});
        json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": object}]}).to_string()
    }

    fn given_up_by_lambda(event: &str) -> String {
        let event: Value = serde_json::from_str(event).expect("JSON");
        json!({
            "version": "1.0",
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": event,
            "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
            "responsePayload": {"errorType": "Pixmill.Unsettled", "errorMessage": "denied"},
        })
        .to_string()
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn dead_letters_are_listed_and_stay_where_they_are() {
        let (converted, queues) = (Converted::new(), Queues::new());
        let bodies = [
            upload("a.png"),
            given_up_by_lambda(&upload("b.png")),
            "no JSON".to_owned(),
        ];
        for body in &bodies {
            queues.send(body);
        }
        let (status, lines, told) = queues.redrive(&converted, &[]);
        assert_eq!(status, 0);
        assert_eq!(lines.len(), 3);
        let codes = told["codes"]["message"].as_object().expect("codes");
        let codes: Vec<_> = codes.keys().collect();
        assert_eq!(codes, ["Pixmill.Unsettled", "event-not-json", "given-up"]);
        assert_eq!(
            (&told["summary"]["left"], &told["summary"]["through"]),
            (&json!(3), &json!(0))
        );
        assert_eq!(
            queues.take_all(&queues.dead).len(),
            3,
            "all are in sight again"
        );
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn what_is_chosen_goes_to_the_queue_as_it_is_and_the_rest_stays() {
        let (converted, queues) = (Converted::new(), Queues::new());
        let chosen = [
            upload("shop/a.png"),
            given_up_by_lambda(&upload("shop/b.png")),
        ];
        let others = [upload("blog/c.png"), "no JSON".to_owned()];
        for body in chosen.iter().chain(&others) {
            queues.send(body);
        }
        let (status, _, told) = queues.redrive(&converted, &["--key", "shop/**", "--yes"]);
        assert_eq!(status, 0);
        let summary = &told["summary"];
        assert_eq!(
            (&summary["through"], &summary["left"]),
            (&json!(2), &json!(2))
        );
        let sorted = |bodies: &[String]| {
            let mut bodies = bodies.to_vec();
            bodies.sort();
            bodies
        };
        assert_eq!(queues.take_all(&queues.uploads), sorted(&chosen));
        assert_eq!(queues.take_all(&queues.dead), sorted(&others));
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn what_can_not_be_sent_is_not_deleted() {
        let (converted, queues) = (Converted::new(), Queues::new());
        queues.send(&upload("a.png"));
        let nowhere = queues.uploads.replace("uploads", "nowhere");
        let (status, lines, told) = queues.redrive(&converted, &["--queue", &nowhere, "--yes"]);
        assert_eq!(status, 1);
        assert_eq!(lines[0]["result"], "failed");
        assert_eq!(told["summary"]["left"], 1);
        assert_eq!(queues.take_all(&queues.dead), [upload("a.png")]);
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn messages_are_answered_on_this_machine_and_only_settled_ones_are_deleted() {
        let (converted, queues) = (Converted::new(), Queues::new());
        queues.send(&given_up_by_lambda(&upload("a.png")));
        queues.send(&upload("gone.png"));
        queues.send("no JSON");
        queues.send(&upload("a.png").replace("ObjectCreated:Put", "ObjectRemoved:Delete"));
        let more = ["--here", "-s", "in", "--output", "fresh", "--yes"];
        let (status, _, told) = queues.redrive(&converted, &more);
        assert_eq!(status, 1, "two can't be answered here");
        let summary = &told["summary"];
        assert_eq!(
            (&summary["through"], &summary["failed"]),
            (&json!(2), &json!(2))
        );
        assert!(converted.path("fresh/a.png/small.jpg").exists());
        assert_eq!(queues.take_all(&queues.dead).len(), 2);
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn a_queue_that_gives_up_messages_itself_is_not_looked_at() {
        let (converted, queues) = (Converted::new(), Queues::new());
        let args = ["redrive", "--dead-letters", &queues.uploads];
        let output = converted.run_with(&args, &account(queues.moto.url(), "test", "test"));
        assert_eq!(code(&output), 2);
        let words = stderr(&output);
        assert!(words.contains("a dead-letter queue of its own"), "{words}");
    }

    #[test]
    #[ignore = "needs moto: cargo xtask test runs it"]
    fn an_event_for_each_failure_record_goes_to_the_queue_and_the_record_stays() {
        let (converted, queues) = (Converted::new(), Queues::new());
        let settings = account(queues.moto.url(), "test", "test");
        let args = [
            "redrive",
            "--output",
            "out",
            "-r",
            "recipe.toml",
            "-s",
            "s3://uploads/shop",
            "--queue",
            &queues.uploads,
            "--yes",
            "--json",
        ];
        let output = converted.run_with(&args, &settings);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let sent = queues.take_all(&queues.uploads);
        let event = json!({"bucket": "uploads", "key": "shop/bad.png"});
        assert_eq!(sent, [event.to_string()]);
        assert!(converted.path("out/failed/bad.png.json").exists());
    }
}
