//! `pixmill convert` and `plan` on buckets: an S3 server in this process, the command as a child.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pixmill::Recipe;
use pixmill::memory::MemoryStore;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill::process::Processor;
use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_lambda::handler::{Handler, Invocation};
use pixmill_lambda::log::Log;
use pixmill_lambda::select::Rules;
use pixmill_lambda::settings::LogLevel;
use pixmill_testkit::moto_server::MotoServer;
use pixmill_testkit::names::awkward;
use pixmill_testkit::pictures::photo;
use pixmill_testkit::s3_server::S3Server;
use serde_json::{Value, json};
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);
const RECIPE: &str = r#"version = 1

[[variant]]
name = "large"
format = "jpeg"

[[variant]]
name = "small"
format = "webp"
width = 60
"#;

/// A server with the buckets `uploads` and `processed`, and a folder for everything else.
struct Cloud {
    server: S3Server,
    folder: TempDir,
}

impl Cloud {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("two.toml"), RECIPE).expect("a recipe");
        Self {
            server: S3Server::start(&["uploads", "processed", "theirs"]),
            folder,
        }
    }

    /// The same with the cat under these keys.
    fn with_cats(keys: &[&str]) -> Self {
        let cloud = Self::new();
        for key in keys {
            cloud.uploads().insert(key, cat());
        }
        cloud
    }

    fn uploads(&self) -> MemoryStore {
        self.server.bucket("uploads")
    }

    fn processed(&self) -> MemoryStore {
        self.server.bucket("processed")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = without_settings();
        command
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY)
            .env("AWS_REGION", "us-east-1")
            .args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command starts")
    }

    /// `convert INPUT -o s3://processed -r two.toml` and `more`.
    fn convert(&self, input: &str, more: &[&str]) -> Output {
        let args = ["convert", input, "-o", "s3://processed", "-r", "two.toml"];
        self.run(&[&args, more].concat())
    }

    /// `plan INPUT -o s3://processed -r two.toml --json` and `more`, as its lines.
    fn plan(&self, input: &str, more: &[&str]) -> Vec<Value> {
        let args = ["plan", input, "-o", "s3://processed", "-r", "two.toml"];
        let output = self.run(&[&args, ["--json"].as_slice(), more].concat());
        json_lines(&output)
    }
}

/// The command, as if nobody had configured anything.
fn without_settings() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixmill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::null());
    command
}

fn cat() -> Vec<u8> {
    fs::read(Path::new(SAMPLES).join("cat.jpg")).expect("the cat")
}

/// Every sample picture by its path.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let mut files = files(Path::new(SAMPLES));
    files.remove("README.md");
    files
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = stdout(output);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let lines: Vec<Value> = lines.collect();
    assert!(!lines.is_empty(), "{}", stderr(output));
    lines
}

#[track_caller]
fn assert_ended(output: &Output, expected: i32) {
    assert_eq!(
        code(output),
        expected,
        "{}{}",
        stdout(output),
        stderr(output)
    );
}

/// Every file below a folder but Pixmill's own, by its path.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let key = path.strip_prefix(root).expect("below");
            let key = key.to_str().expect("UTF-8").to_owned();
            if key.starts_with(".pixmill") {
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(key, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// Everything in a bucket, by key.
fn objects(bucket: &MemoryStore) -> BTreeMap<String, Vec<u8>> {
    let keys = bucket.keys().into_iter();
    keys.map(|key| {
        let blob = bucket.read(&key).expect("an object");
        (key, blob.bytes.to_vec())
    })
    .collect()
}

/// The renditions, and the manifests without what only their store can know.
fn comparable(mut objects: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    for (key, bytes) in &mut objects {
        if key.ends_with("manifest.json") {
            let mut manifest: Value = serde_json::from_slice(bytes).expect(key);
            manifest.as_object_mut().expect(key).remove("store");
            *bytes = manifest.to_string().into_bytes();
        }
    }
    objects
}

#[test]
fn buckets_and_folders_in_any_mix_get_the_same_bytes() {
    let cloud = Cloud::new();
    let input = cloud.path("in");
    for (key, bytes) in samples() {
        cloud
            .uploads()
            .insert(&format!("album/{key}"), bytes.clone());
        let file = input.join(key);
        fs::create_dir_all(file.parent().expect("below")).expect("a folder");
        fs::write(file, bytes).expect("a file");
    }
    let mut made = Vec::new();
    for (input, output) in [
        ("in", "out"),
        ("s3://uploads/album", "from-bucket"),
        ("in", "s3://processed/from folder"),
        ("s3://uploads/album/", "s3://processed/between"),
    ] {
        let args = ["convert", input, "-o", output, "-r", "two.toml"];
        assert_ended(&cloud.run(&args), 0);
        made.push(comparable(match output.strip_prefix("s3://processed/") {
            None => files(&cloud.path(output)),
            Some(prefix) => objects(&cloud.processed())
                .into_iter()
                .filter_map(|(key, bytes)| {
                    let key = key.strip_prefix(prefix)?.strip_prefix('/')?.to_owned();
                    Some((key, bytes))
                })
                .collect(),
        }));
        let writes = cloud.processed().writes();
        let again = cloud.run(&[args.as_slice(), &["--json"]].concat());
        assert_ended(&again, 0);
        let lines = json_lines(&again);
        let summary = &lines.last().expect("a summary")["summary"];
        assert_eq!(summary["unchanged"], 8, "{summary}");
        assert_eq!(cloud.processed().writes(), writes);
    }
    assert_eq!(made[0].len(), 8 * 3);
    for other in &made[1..] {
        assert_eq!(other, &made[0]);
    }
}

#[test]
fn what_the_command_leaves_in_a_bucket_is_what_the_function_leaves_there_manifests_and_all() {
    let cloud = Cloud::with_cats(&["a/cat.jpg", "a b+c%/cät.jpg"]);
    cloud.uploads().insert("broken.jpg", cat()[..1000].to_vec());
    let converted = cloud.run(&["convert", "s3://uploads", "-o", "s3://processed"]);
    assert_ended(&converted, 1);

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (url, key, secret) = (
        cloud.server.url(),
        S3Server::ACCESS_KEY,
        S3Server::SECRET_KEY,
    );
    runtime.block_on(async {
        let client = s3_client(&load_at(&url, key, secret).await);
        let theirs: Arc<dyn BlobStore> = Arc::new(S3Store::new(client.clone(), "theirs", ""));
        let unused: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
        let handler = Handler {
            rules: Rules {
                processed_bucket: "theirs".to_owned(),
                ..Rules::default()
            },
            processor: Processor::new(unused, theirs, Recipe::default_recipe()),
            sources: Box::new(move |bucket| Arc::new(S3Store::new(client.clone(), bucket, ""))),
            log: Arc::new(Log::new(std::io::sink(), LogLevel::Info)),
            metrics: None,
            alerts: None,
            timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        };
        for source in cloud.uploads().keys() {
            let invocation = Invocation {
                request_id: format!("request for {source}"),
                deadline: None,
                cold_start: false,
            };
            let event = json!({ "bucket": "uploads", "key": source });
            handler.handle(&event, &invocation).await.expect("a reply");
        }
    });
    let (mut ours, mut theirs) = (
        objects(&cloud.processed()),
        objects(&cloud.server.bucket("theirs")),
    );
    // A failure record names the request, which the command has not.
    for records in [&mut ours, &mut theirs] {
        let bytes = records.get_mut("failed/broken.jpg.json").expect("a record");
        let mut record: Value = serde_json::from_slice(bytes).expect("JSON");
        record.as_object_mut().expect("an object").remove("request");
        *bytes = record.to_string().into_bytes();
    }
    assert!(
        ours.contains_key("a b+c%/cät.jpg/manifest.json"),
        "{ours:?}"
    );
    assert_eq!(ours, theirs);
    // And each takes the other's for its own.
    let plan = cloud.run(&["plan", "s3://uploads", "-o", "s3://theirs", "--json"]);
    let summary = &json_lines(&plan)[3]["summary"];
    assert_eq!(
        (&summary["keep"], &summary["refused"]),
        (&json!(2), &json!(1))
    );
}

#[test]
fn an_address_is_an_object_or_a_prefix_and_a_list_keeps_whole_keys() {
    let cloud = Cloud::with_cats(&[
        "2024/a.jpg",
        "2024/b.jpg",
        "2024/a.jpg.bak/c.jpg",
        "other.jpg",
    ]);
    let sources = |lines: &[Value]| -> Vec<String> {
        let named = lines.iter().filter_map(|line| line["source"].as_str());
        named.map(str::to_owned).collect()
    };
    assert_eq!(
        sources(&cloud.plan("s3://uploads/2024/a.jpg", &[])),
        ["a.jpg"]
    );
    assert_eq!(
        sources(&cloud.plan("s3://uploads/2024", &["--exclude", "*.bak/*"])),
        ["a.jpg", "b.jpg", "s3://uploads/2024/a.jpg.bak/c.jpg"]
    );
    let list = "s3://uploads/2024/b.jpg\ns3://uploads/other.jpg\ns3://uploads/2024/a.jpg.bak/\n";
    fs::write(cloud.path("list"), list).expect("a list");
    let output = cloud.run(&["plan", "--files-from", "list", "-o", "out", "--json"]);
    assert_ended(&output, 0);
    assert_eq!(
        sources(&json_lines(&output)),
        ["2024/b.jpg", "other.jpg", "2024/a.jpg.bak/c.jpg"]
    );
    for missing in ["s3://uploads/nothing", "s3://uploads/nothing/"] {
        let output = cloud.convert(missing, &[]);
        assert_ended(&output, 1);
        let words = stderr(&output);
        assert!(
            words.contains(&format!("\"{missing}\" is not there")),
            "{words}"
        );
    }
}

#[test]
fn markers_of_folders_and_our_own_output_are_no_sources() {
    let cloud = Cloud::with_cats(&["in/cat.jpg"]);
    let uploads = cloud.uploads();
    uploads.insert("in/album/", "");
    uploads.insert("in/album_$folder$", "");
    let ours = Blob {
        bytes: cat().into(),
        metadata: BTreeMap::from([("processed-by".to_owned(), "pixmill".to_owned())]),
        ..Blob::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let put = uploads.put("in/copied.jpg", ours, Condition::Always);
    runtime.block_on(put).expect("a put");
    // The output lies in the input: it is not looked into. Then around it: its records tell.
    for (input, output) in [
        ("s3://uploads", "s3://uploads/out"),
        ("s3://uploads/in", "s3://uploads"),
    ] {
        for _ in 0..2 {
            let args = ["convert", input, "-o", output, "-r", "two.toml", "--json"];
            let ran = cloud.run(&args);
            assert_ended(&ran, 0);
            let lines = json_lines(&ran);
            let done = lines
                .iter()
                .filter(|line| line["outcome"] == "done")
                .count();
            let unchanged = lines
                .iter()
                .filter(|line| line["outcome"] == "unchanged")
                .count();
            assert_eq!(done + unchanged, 1, "{lines:?}");
            let copied = lines.iter().find(|line| {
                let path = line["path"].as_str();
                path == Some("s3://uploads/in/copied.jpg")
            });
            assert_eq!(copied.expect("a line")["code"], "own-output");
        }
    }
    assert_eq!(uploads.read("in/cat.jpg").expect("the source").bytes, cat());
}

#[test]
fn what_keeps_a_bucket_from_being_used_is_said_in_words_with_a_remedy() {
    let cloud = Cloud::with_cats(&["cat.jpg"]);
    let plain = |output: &Output| {
        let words = stderr(output) + &stdout(output);
        assert!(
            !words.contains("SdkError") && !words.contains("Debug"),
            "{words}"
        );
        words
    };
    let args = ["plan", "s3://uploads", "-o", "s3://processed"];
    let mut command = without_settings();
    let nobody = command.args(args).output().expect("the command starts");
    assert_ended(&nobody, 2);
    assert!(
        plain(&nobody).contains("set AWS_REGION"),
        "{}",
        plain(&nobody)
    );

    let mut command = without_settings();
    command.env("AWS_REGION", "us-east-1").args(args);
    let nobody = command.output().expect("the command starts");
    assert_ended(&nobody, 2);
    let words = plain(&nobody);
    assert!(words.contains("AWS_ACCESS_KEY_ID"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");

    let misnamed = cloud.run(&["convert", "s3://uploads", "-o", "s3://misnamed"]);
    assert_ended(&misnamed, 2);
    let words = plain(&misnamed);
    assert!(words.contains("s3://misnamed/ can't be read"), "{words}");
    assert!(words.contains("check the bucket's name"), "{words}");

    let misnamed = cloud.convert("s3://misnamed", &[]);
    assert_ended(&misnamed, 1);
    assert!(
        plain(&misnamed).contains("NoSuchBucket"),
        "{}",
        plain(&misnamed)
    );

    cloud.server.fail_next(1, "AccessDenied");
    let denied = cloud.convert("s3://uploads", &[]);
    assert_ended(&denied, 1);
    let words = plain(&denied);
    assert!(words.contains("s3:ListBucket"), "{words}");
    assert_eq!(cloud.processed().keys(), Vec::<String>::new());

    let long = format!("s3://processed/{}", "x".repeat(129));
    let output = cloud.run(&["convert", "s3://uploads", "-o", &long]);
    assert_ended(&output, 2);
    assert!(
        plain(&output).contains("choose a shorter one"),
        "{}",
        plain(&output)
    );
}

#[test]
fn hostile_keys_are_each_told_of_once_and_made_under_names_of_their_own() {
    let cloud = Cloud::new();
    let keys: BTreeSet<String> = awkward().into_iter().collect();
    for key in &keys {
        cloud.uploads().insert(key, photo(8, 6).png());
    }
    let convert = cloud.convert("s3://uploads", &["--json"]);
    let lines = json_lines(&convert);
    let (summary, lines) = lines.split_last().expect("a summary");
    let told: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect();
    let expected: Vec<String> = keys
        .iter()
        .map(|key| format!("s3://uploads/{key}"))
        .collect();
    assert_eq!(told, expected.iter().map(String::as_str).collect());
    assert_eq!(lines.len(), keys.len());
    for line in lines.iter().filter(|line| line["outcome"] != "done") {
        // Nothing has a name that is nothing but blanks.
        assert_eq!(line["path"], "s3://uploads/ ", "{line}");
    }
    assert_eq!(summary["renditions"], (lines.len() - 1) * 2);
    let writes = cloud.processed().writes();
    let again = json_lines(&cloud.convert("s3://uploads", &["--json"]));
    assert_eq!(
        again.last().expect("a summary")["summary"]["unchanged"],
        lines.len() - 1
    );
    assert_eq!(cloud.processed().writes(), writes);
}

#[test]
fn one_object_goes_to_standard_output() {
    let cloud = Cloud::with_cats(&["a/cat.jpg"]);
    let args = [
        "convert",
        "s3://uploads/a/cat.jpg",
        "-o",
        "-",
        "--format",
        "webp",
    ];
    let output = cloud.run(&args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(&output.stdout[8..12], b"WEBP");
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

#[test]
fn a_run_that_dies_at_any_call_is_made_good_by_the_next() {
    let keys = ["a.jpg", "b.jpg", "c.jpg"];
    let clean = Cloud::with_cats(&keys);
    assert_ended(&clean.convert("s3://uploads", &[]), 0);
    let calls = clean.server.calls().len();
    let clean = objects(&clean.processed());
    assert_eq!(clean.len(), 9);
    for dies_at in (1..calls).step_by(5) {
        let cloud = Cloud::with_cats(&keys);
        cloud.server.pass_next(dies_at);
        cloud.server.stall_next(100);
        let args = [
            "convert",
            "s3://uploads",
            "-o",
            "s3://processed",
            "-r",
            "two.toml",
        ];
        let mut child = spawn(&mut cloud.command(&args));
        assert!(
            cloud.server.wait_for_stall(LONG),
            "it came to call {dies_at}"
        );
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        cloud.server.heal();
        assert_ended(&cloud.convert("s3://uploads", &[]), 0);
        assert_eq!(objects(&cloud.processed()), clean, "after call {dies_at}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_plan_that_waits_for_a_bucket_at_once() {
    let cloud = Cloud::with_cats(&["a.jpg"]);
    cloud.server.stall_next(1);
    let args = ["convert", "s3://uploads", "-o", "s3://processed", "--json"];
    let child = spawn(&mut cloud.command(&args));
    assert!(cloud.server.wait_for_stall(LONG), "it lists");
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    sent.expect("kill starts");
    let output = child.wait_with_output().expect("it ends");
    assert_ended(&output, 130);
    assert_eq!(json_lines(&output)[0]["inputs"], 0);
    assert!(cloud.processed().keys().is_empty());
}

#[cfg(unix)]
#[test]
fn a_run_that_ctrl_c_stops_is_finished_by_the_same_command() {
    use std::io::{BufRead, BufReader, Read};

    let keys: Vec<String> = (0..40).map(|n| format!("{n:02}.jpg")).collect();
    let cloud = Cloud::with_cats(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let args = [
        "convert",
        "s3://uploads",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
        "--json",
    ];
    let mut child = spawn(&mut cloud.command(&args));
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    lines.read_line(&mut text).expect("a first picture");
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    sent.expect("kill starts");
    lines.read_to_string(&mut text).expect("the rest");
    let status = child.wait().expect("it ends");
    assert!(matches!(status.code(), Some(0 | 130)), "{status}: {text}");
    let finished = cloud.convert("s3://uploads", &[]);
    assert_ended(&finished, 0);
    assert_eq!(cloud.processed().keys().len(), 40 * 3);
    let lines = cloud.plan("s3://uploads", &[]);
    assert_eq!(lines.last().expect("a summary")["summary"]["keep"], 40);
}

#[test]
fn a_plan_counts_updates_by_their_reason_and_names_orphans() {
    let cloud = Cloud::with_cats(&["a.jpg", "b.jpg", "c.jpg", "gone.jpg"]);
    cloud.uploads().insert("bad.jpg", cat()[..500].to_vec());
    assert_ended(&cloud.convert("s3://uploads", &[]), 1);
    remove(&cloud.uploads(), "gone.jpg");
    remove(&cloud.uploads(), "bad.jpg");
    cloud.uploads().insert(
        "a.jpg",
        fs::read(Path::new(SAMPLES).join("galaxies.jpg")).expect("a sample"),
    );
    let key = "b.jpg/manifest.json";
    let manifest = cloud.processed().read(key).expect("a manifest").bytes;
    let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["engine"]["render_revision"] = json!(0);
    cloud.processed().insert(key, manifest.to_string());
    let lines = cloud.plan("s3://uploads", &[]);
    let summary = lines.last().expect("a summary");
    assert_eq!(
        summary["updates"],
        json!({ "engine": 1, "source": 1 }),
        "{summary}"
    );
    let orphans: Vec<&Value> = lines
        .iter()
        .filter(|line| line["orphan"].is_string())
        .collect();
    assert_eq!(orphans.len(), 2, "{lines:?}");
    assert_eq!(orphans[0]["failure"], "failed/bad.jpg.json");
    assert_eq!(orphans[1]["orphan"], "gone.jpg");
    assert_eq!(
        orphans[1]["renditions"],
        json!(["gone.jpg/large.jpg", "gone.jpg/small.webp"])
    );
    let words = cloud.run(&[
        "plan",
        "s3://uploads",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
    ]);
    assert!(
        stdout(&words).contains("2 update (1 engine, 1 source)"),
        "{}",
        stdout(&words)
    );
}

fn remove(bucket: &MemoryStore, key: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let deleted = runtime.block_on(bucket.delete(key, Condition::Always));
    deleted.expect("a delete");
}

#[test]
fn pruning_removes_what_was_made_from_sources_that_are_gone_and_nothing_else() {
    let cloud = Cloud::with_cats(&["a.jpg", "gone.jpg", "dir/gone.jpg"]);
    cloud.uploads().insert("bad.jpg", cat()[..500].to_vec());
    assert_ended(&cloud.convert("s3://uploads", &[]), 1);
    cloud.processed().insert("gone.jpg/notes.txt", "somebody's");
    cloud.processed().insert("other/manifest.json", "{}");
    for key in ["gone.jpg", "dir/gone.jpg", "bad.jpg"] {
        remove(&cloud.uploads(), key);
    }
    let all = cloud.processed().keys();

    let shown = cloud.run(&[
        "plan",
        "s3://uploads",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
        "--prune",
    ]);
    assert_ended(&shown, 0);
    assert!(
        stdout(&shown).contains("prune      gone.jpg: 2 renditions"),
        "{}",
        stdout(&shown)
    );
    let unasked = cloud.convert("s3://uploads", &["--prune"]);
    assert_ended(&unasked, 2);
    assert!(
        stderr(&unasked).contains("add --yes"),
        "{}",
        stderr(&unasked)
    );
    assert_eq!(cloud.processed().keys(), all);

    let pruned = cloud.convert("s3://uploads", &["--prune", "--yes"]);
    assert_ended(&pruned, 0);
    assert!(
        stdout(&pruned).contains("3 pruned, 0 kept"),
        "{}",
        stdout(&pruned)
    );
    assert_eq!(
        cloud.processed().keys(),
        [
            "a.jpg/large.jpg",
            "a.jpg/manifest.json",
            "a.jpg/small.webp",
            "gone.jpg/notes.txt",
            "other/manifest.json"
        ]
    );
    let writes = cloud.processed().writes();
    assert_ended(&cloud.convert("s3://uploads", &["--prune", "--yes"]), 0);
    assert_eq!(cloud.processed().writes(), writes);
}

#[test]
fn a_folder_is_pruned_as_a_bucket_is() {
    let cloud = Cloud::new();
    let input = cloud.path("in");
    fs::create_dir(&input).expect("a folder");
    for name in ["a.jpg", "b.jpg"] {
        fs::write(input.join(name), cat()).expect("a file");
    }
    let args = ["convert", "in", "-o", "out", "-r", "two.toml"];
    assert_ended(&cloud.run(&args), 0);
    fs::remove_file(input.join("b.jpg")).expect("a file");
    let output = cloud.run(&[args.as_slice(), &["--prune", "--yes"]].concat());
    assert_ended(&output, 0);
    let left: Vec<String> = files(&cloud.path("out")).into_keys().collect();
    assert_eq!(
        left,
        ["a.jpg/large.jpg", "a.jpg/manifest.json", "a.jpg/small.webp"]
    );
}

#[test]
fn what_a_renamed_source_makes_is_not_pruned_with_what_was_made_before() {
    let cloud = Cloud::new();
    let input = cloud.path("in");
    fs::create_dir(&input).expect("a folder");
    for name in ["a.jpg", "b.jpg"] {
        fs::write(input.join(name), cat()).expect("a file");
    }
    // Of a name with another ending, the rendition has the same name.
    let args = [
        "convert", "in", "-o", "out", "--format", "webp", "--width", "60",
    ];
    assert_ended(&cloud.run(&args), 0);
    fs::rename(input.join("a.jpg"), input.join("a.jpeg")).expect("a file");
    let output = cloud.run(&[args.as_slice(), &["--force", "--prune", "--yes"]].concat());
    assert_ended(&output, 0);
    assert!(stdout(&output).contains("1 pruned"), "{}", stdout(&output));
    let left: Vec<String> = files(&cloud.path("out")).into_keys().collect();
    assert_eq!(left, ["a.webp", "b.webp"]);
    let plan = cloud.run(&[
        "plan", "in", "-o", "out", "--format", "webp", "--width", "60", "--json",
    ]);
    let lines = json_lines(&plan);
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!(
        (&summary["keep"], &summary["orphans"]),
        (&json!(2), &json!(0))
    );
}

#[test]
fn pruning_is_refused_where_the_inputs_may_not_be_all_there_is() {
    let cloud = Cloud::with_cats(&["a.jpg", "sub/b.jpg", "b.jpg"]);
    assert_ended(&cloud.convert("s3://uploads", &[]), 0);
    fs::write(cloud.path("list"), "s3://uploads/a.jpg\n").expect("a list");
    fs::write(cloud.path("rows.csv"), "uploads,a.jpg\n").expect("a list");
    fs::create_dir(cloud.path("empty")).expect("a folder");
    let all = cloud.processed().keys();
    let base = [
        "convert",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
        "--prune",
        "--yes",
    ];
    for (more, words) in [
        (&["s3://uploads/a.jpg"][..], "not one picture"),
        (&["s3://uploads", "empty"], "exactly one input"),
        (&["s3://uploads", "--include", "a*"], "--include"),
        (&["s3://uploads", "--exclude", "a*"], "--exclude"),
        (&["--files-from", "list"], "exactly one input"),
        (&["--inventory", "rows.csv"], "snapshot of the past"),
        (&["s3://misnamed"], "can't be read"),
        (&["empty"], "is it mounted"),
    ] {
        let output = cloud.run(&[&base, more].concat());
        assert_ended(&output, 2);
        assert!(
            stderr(&output).contains(words),
            "{more:?}: {}",
            stderr(&output)
        );
        assert_eq!(cloud.processed().keys(), all, "{more:?}");
    }
    // Another folder than the one that it was made from.
    fs::write(cloud.path("empty/new.jpg"), cat()).expect("a file");
    let output = cloud.run(&[&base, ["empty"].as_slice()].concat());
    assert_ended(&output, 2);
    assert!(
        stderr(&output).contains("was made from empty"),
        "{}",
        stderr(&output)
    );
    assert_eq!(cloud.processed().keys(), all);
}

#[test]
fn a_source_that_can_not_be_looked_for_keeps_its_renditions() {
    let cloud = Cloud::with_cats(&["a.jpg", "gone.jpg"]);
    assert_ended(&cloud.convert("s3://uploads", &[]), 0);
    remove(&cloud.uploads(), "gone.jpg");
    let all = cloud.processed().keys();
    // Everything passes but the look at the source.
    let args = [
        "plan",
        "s3://uploads",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
        "--prune",
        "--json",
    ];
    let before = cloud.server.calls().len();
    assert_ended(&cloud.run(&args), 0);
    let calls = cloud.server.calls();
    let look = calls[before..]
        .iter()
        .position(|call| call == "HeadObject uploads/gone.jpg");
    cloud.server.pass_next(look.expect("a look"));
    cloud.server.fail_next(1, "AccessDenied");
    let output = cloud.convert("s3://uploads", &["--prune", "--yes"]);
    assert_ended(&output, 0);
    assert!(
        stderr(&output).contains("keep       gone.jpg"),
        "{}",
        stderr(&output)
    );
    assert_eq!(cloud.processed().keys(), all);
}

#[test]
fn an_inventory_names_the_sources_and_a_batch_manifest_what_is_to_be_made() {
    let keys = ["in/a.jpg", "in/b c+d%.jpg", "in/old.jpg", "elsewhere.jpg"];
    let cloud = Cloud::with_cats(&keys);
    let list = "uploads,in/\nuploads,in/old.jpg\nuploads,in/b+c%2Bd%25.jpg\nuploads,in/a.jpg\nuploads,elsewhere.jpg\nuploads,in/deleted.jpg\nuploads,in/a.jpg,older\n";
    fs::write(cloud.path("rows.csv"), list).expect("a list");
    let old = cloud.run(&[
        "convert",
        "s3://uploads/in/old.jpg",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
    ]);
    assert_ended(&old, 0);
    let more = [
        "--inventory",
        "rows.csv",
        "--emit-batch-manifest",
        "manifest.csv",
    ];
    let lines = cloud.plan("s3://uploads/in/", &more);
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!(
        (&summary["create"], &summary["keep"]),
        (&json!(2), &json!(1)),
        "{lines:?}"
    );
    let manifest = fs::read_to_string(cloud.path("manifest.csv")).expect("a manifest");
    assert_eq!(manifest, "uploads,in/a.jpg\nuploads,in/b%20c%2Bd%25.jpg\n");
    // It is itself a list of what is to be made.
    let args = [
        "convert",
        "s3://uploads/in/",
        "--inventory",
        "manifest.csv",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
    ];
    assert_ended(&cloud.run(&args), 0);
    let lines = cloud.plan("s3://uploads/in/", &more);
    assert_eq!(lines.last().expect("a summary")["summary"]["keep"], 3);
    assert_eq!(
        fs::read_to_string(cloud.path("manifest.csv")).expect("a manifest"),
        ""
    );

    let args = [
        "plan",
        "s3://theirs/",
        "--inventory",
        "rows.csv",
        "-o",
        "out",
    ];
    let elsewhere = cloud.run(&args);
    assert_ended(&elsewhere, 2);
    assert!(
        stderr(&elsewhere).contains("lists nothing below s3://theirs/"),
        "{}",
        stderr(&elsewhere)
    );
    let parquet = cloud.path("rows.parquet");
    fs::write(&parquet, "PAR1 and more").expect("a file");
    let output = cloud.run(&["plan", "--inventory", "rows.parquet", "-o", "out"]);
    assert_ended(&output, 2);
    assert!(
        stderr(&output).contains("choose CSV"),
        "{}",
        stderr(&output)
    );
    let folder = cloud.run(&[
        "plan",
        SAMPLES,
        "-o",
        "out",
        "--emit-batch-manifest",
        "m.csv",
    ]);
    assert_ended(&folder, 2);
    assert!(
        stderr(&folder).contains("no object of a bucket"),
        "{}",
        stderr(&folder)
    );
}

#[test]
fn without_headers_a_plan_reads_no_source() {
    let cloud = Cloud::with_cats(&["a.jpg", "b.jpg"]);
    let lines = cloud.plan("s3://uploads", &["--no-headers"]);
    assert_eq!(lines.last().expect("a summary")["summary"]["create"], 2);
    let calls = cloud.server.calls();
    assert!(
        !calls
            .iter()
            .any(|call| call.starts_with("GetObject uploads")),
        "{calls:?}"
    );
}

#[test]
fn a_contact_sheet_of_a_bucket_links_nowhere_or_behind_the_given_url() {
    let cloud = Cloud::with_cats(&["a b.jpg"]);
    let data = |file: &str| -> Value {
        let page = fs::read_to_string(cloud.path(file)).expect("a page");
        let (_, block) = page
            .split_once("<script type=\"application/json\" id=\"data\">")
            .expect("the block begins");
        let (block, _) = block.split_once("</script>").expect("the block ends");
        serde_json::from_str(block).expect("JSON")
    };
    assert_ended(
        &cloud.convert("s3://uploads", &["--report", "plain.html"]),
        0,
    );
    let source = &data("plain.html")["sources"][0];
    assert_eq!(source["renditions"][0]["href"], Value::Null);
    assert_eq!(source["href"], Value::Null);
    // Again, when nothing changed: the manifest is read from the bucket.
    let base = [
        "--report",
        "linked.html",
        "--html-base",
        "https://cdn.example.com/r/",
    ];
    assert_ended(&cloud.convert("s3://uploads", &base), 0);
    let source = &data("linked.html")["sources"][0];
    assert_eq!(source["outcome"], "unchanged");
    assert_eq!(
        source["renditions"][0]["href"],
        "https://cdn.example.com/r/a%20b.jpg/large.jpg"
    );
    let page = fs::read_to_string(cloud.path("linked.html")).expect("a page");
    assert!(
        page.contains("img-src 'self' file: https://cdn.example.com;"),
        "the policy lets them in"
    );
    let alone = cloud.convert("s3://uploads", &["--html-base", "https://cdn.example.com/"]);
    assert_ended(&alone, 2);
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn moto_s_buckets_are_converted_planned_and_pruned() {
    let moto = MotoServer::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = runtime.block_on(async {
        let client = s3_client(&load_at(moto.url(), "test", "test").await);
        for bucket in ["uploads", "processed"] {
            let made = client.create_bucket().bucket(bucket).send().await;
            made.expect("a bucket");
        }
        client
    });
    let uploads = S3Store::new(client, "uploads", "");
    for (key, bytes) in samples() {
        let blob = Blob {
            bytes: bytes.into(),
            ..Blob::default()
        };
        let put = runtime.block_on(uploads.put(&key, blob, Condition::IfAbsent));
        put.expect("an upload");
    }
    let run = |args: &[&str]| {
        let mut command = without_settings();
        command
            .env("AWS_ENDPOINT_URL", moto.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1");
        command.args(args).output().expect("the command starts")
    };
    let count = |output: &Output, what: &str| {
        let lines = json_lines(output);
        lines.last().expect("a summary")["summary"][what].clone()
    };
    let convert = [
        "convert",
        "s3://uploads",
        "-o",
        "s3://processed/out",
        "--json",
    ];
    let first = run(&convert);
    assert_ended(&first, 0);
    assert_eq!(count(&first, "done"), 8);
    assert_eq!(count(&run(&convert), "unchanged"), 8);
    let deleted = runtime.block_on(uploads.delete("cat.jpg", Condition::Always));
    deleted.expect("a delete");
    let plan = ["plan", "s3://uploads", "-o", "s3://processed/out", "--json"];
    assert_eq!(count(&run(&plan), "orphans"), 1);
    assert_ended(
        &run(&[convert.as_slice(), &["--prune", "--yes"]].concat()),
        0,
    );
    assert_eq!(count(&run(&plan), "orphans"), 0);
    assert_eq!(count(&run(&plan), "keep"), 7);
}

/// The peak memory of a plan of the uploads, in bytes: read while it is written out, and so complete.
#[cfg(target_os = "linux")]
fn memory_of_plan(cloud: &Cloud) -> u64 {
    use std::io::{BufRead, BufReader, Read};

    let args = [
        "plan",
        "s3://uploads",
        "-o",
        "s3://processed",
        "-r",
        "two.toml",
        "--no-headers",
    ];
    let mut child = spawn(&mut cloud.command(&args));
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("it waits for its reader");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.expect("a peak").trim_end_matches("kB").trim();
    lines.read_to_string(&mut line).expect("the rest");
    assert!(child.wait().expect("it ends").success(), "{line}");
    peak.parse::<u64>().expect("a number") << 10
}

/// With `PIXMILL_LONG=1` and `--nocapture`: of 50,000 sources.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_takes_little_memory_for_each_object_that_it_knows_of() {
    let count = if std::env::var_os("PIXMILL_LONG").is_some() {
        50_000
    } else {
        5_000
    };
    let cloud = Cloud::with_cats(&["cat.jpg"]);
    assert_ended(&cloud.convert("s3://uploads", &[]), 0);
    let manifest = cloud
        .processed()
        .read("cat.jpg/manifest.json")
        .expect("a manifest");
    let manifest = String::from_utf8(manifest.bytes.to_vec()).expect("JSON");
    // More than a pipe holds, so that a reader's pause stops the plan.
    let keys = |count: usize| {
        (0..count).map(|n| format!("albums/2024/spring in the mountains/{n:07}.jpg"))
    };
    for key in keys(1_000) {
        cloud.uploads().insert(&key, "x");
    }
    let base = memory_of_plan(&cloud);
    for key in keys(count) {
        cloud.uploads().insert(&key, "x");
    }
    let sources = memory_of_plan(&cloud);
    for key in keys(count) {
        for name in ["large.jpg", "small.webp"] {
            cloud.processed().insert(&format!("{key}/{name}"), "x");
        }
        let manifest = manifest.replace("cat.jpg", &key);
        cloud
            .processed()
            .insert(&format!("{key}/manifest.json"), manifest);
    }
    let both = memory_of_plan(&cloud);
    let each = |peak: u64, objects: usize| peak.saturating_sub(base) / (objects as u64);
    let (per_source, per_object) = (each(sources, count - 1_000), each(both, 4 * count - 1_000));
    println!(
        "base {base}, {per_source} bytes for a source, {per_object} for an object of both buckets"
    );
    assert!(
        per_source < 1_500 && per_object < 1_000,
        "{per_source}, {per_object}"
    );
}
