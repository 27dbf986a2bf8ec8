//! `pixmill invoke`: events answered on folders, as the function would answer them on buckets.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");

fn pixmill(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixmill"));
    command.args(args).output().expect("the command starts")
}

/// Answers `event` with the samples as uploads.
fn invoke(folder: &Path, event: &Value, more: &[&str]) -> Output {
    let (file, out) = (folder.join("event.json"), folder.join("out"));
    fs::write(&file, event.to_string()).expect("a file can be written");
    let path = |path: &Path| path.to_str().expect("plain").to_owned();
    let (file, out) = (path(&file), path(&out));
    let args = ["invoke", "--event", &file, "--uploads", SAMPLES, "-o", &out];
    pixmill(&[&args, more].concat())
}

fn reply(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("the reply is JSON")
}

fn message(id: &str, body: &Value) -> Value {
    json!({ "eventSource": "aws:sqs", "messageId": id, "body": body.to_string() })
}

#[test]
fn an_event_is_answered_with_the_bytes_that_convert_makes() {
    let folder = TempDir::new().expect("a folder");
    let event = json!({ "bucket": "uploads", "key": "café menu/rocket.png" });
    let first = invoke(folder.path(), &event, &[]);
    assert_eq!(first.status.code(), Some(0));
    assert_eq!(reply(&first)["outcomes"], json!({ "done": 1 }));
    let log = String::from_utf8(first.stderr).expect("UTF-8");
    let line: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!(line["message"], "Successfully processed");
    assert_eq!(line["key"], "café menu/rocket.png");
    let again = invoke(folder.path(), &event, &[]);
    assert_eq!(reply(&again)["outcomes"], json!({ "unchanged": 1 }));

    let converted = folder.path().join("converted");
    let picture = format!("{SAMPLES}/café menu/rocket.png");
    let output = converted.to_str().expect("plain");
    assert!(
        pixmill(&["convert", &picture, "-o", output])
            .status
            .success()
    );
    for file in [
        "compressed.jpg",
        "low.jpg",
        "webp.webp",
        "png.png",
        "thumbnail.jpg",
    ] {
        let ours = fs::read(folder.path().join("out/café menu/rocket.png").join(file));
        let theirs = fs::read(converted.join("rocket.png").join(file));
        assert_eq!(ours.expect(file), theirs.expect(file), "{file}");
    }
}

#[test]
fn a_batch_from_a_dead_letter_queue_says_which_messages_must_come_again() {
    let folder = TempDir::new().expect("a folder");
    let event = json!({ "Records": [
        message("good", &json!({ "bucket": "b", "key": "logo.png" })),
        message("gone", &json!({ "bucket": "b", "key": "nowhere.png" })),
        message("garbage", &json!({ "what": "is this" })),
    ] });
    let output = invoke(folder.path(), &event, &[]);
    assert_eq!(output.status.code(), Some(1));
    let failed = json!([{ "itemIdentifier": "garbage" }]);
    assert_eq!(reply(&output)["batchItemFailures"], failed);
    assert!(folder.path().join("out/logo.png/thumbnail.jpg").is_file());
}

#[test]
fn a_rejected_picture_is_settled_on_record_and_exits_1() {
    let folder = TempDir::new().expect("a folder");
    let event = json!({ "bucket": "b", "key": "README.md" });
    let output = invoke(folder.path(), &event, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(reply(&output)["outcomes"], json!({ "rejected": 1 }));
    assert!(folder.path().join("out/failed/README.md.json").is_file());
    // A queue's reply is silent about it; the exit code is not.
    let batch = json!({ "Records": [message("m", &event)] });
    let output = invoke(folder.path(), &batch, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(reply(&output), json!({ "batchItemFailures": [] }));
}

#[test]
fn a_stranger_s_file_is_never_replaced() {
    let folder = TempDir::new().expect("a folder");
    let stranger = folder.path().join("out/logo.png/thumbnail.jpg");
    fs::create_dir_all(stranger.parent().expect("a folder")).expect("a folder");
    fs::write(&stranger, "mine").expect("a file can be written");
    let output = invoke(
        folder.path(),
        &json!({ "bucket": "b", "key": "logo.png" }),
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(&stranger).expect("still there"), b"mine");
}

#[test]
fn what_can_not_be_used_exits_2_and_says_why() {
    let folder = TempDir::new().expect("a folder");
    let not_json = folder.path().join("event.json");
    fs::write(&not_json, "{").expect("a file can be written");
    let out = folder.path().join("out");
    let (event, out) = (
        not_json.to_str().expect("plain"),
        out.to_str().expect("plain"),
    );
    let output = pixmill(&["invoke", "--event", event, "--uploads", SAMPLES, "-o", out]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(words.contains("is not JSON"), "{words}");

    let uploads = folder.path().join("uploads");
    fs::create_dir(&uploads).expect("a folder");
    let inside = uploads.join("out");
    let (uploads, inside) = (
        uploads.to_str().expect("plain"),
        inside.to_str().expect("plain"),
    );
    fs::write(&not_json, "{}").expect("a file can be written");
    let output = pixmill(&[
        "invoke",
        "--event",
        event,
        "--uploads",
        uploads,
        "-o",
        inside,
    ]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(words.contains("lies in the uploads"), "{words}");

    // A recipe by which two uploads could meet under one name.
    let recipe = folder.path().join("recipe.toml");
    let text = "version = 1\n[output]\nkey = \"{dir}{stem}.{ext}\"\nmanifest = \".pixmill/{path}.json\"\n[[variant]]\nname = \"a\"\nformat = \"jpeg\"\n";
    fs::write(&recipe, text).expect("a file can be written");
    let recipe = recipe.to_str().expect("plain");
    let event = json!({ "bucket": "b", "key": "logo.png" });
    let output = invoke(folder.path(), &event, &["--recipe", recipe]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let words = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(words.contains("can't be used for events"), "{words}");
}
