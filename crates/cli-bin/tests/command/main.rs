//! The `pixmill` command from end to end: every test runs the binary on folders of its own and
//! looks at what a person would see: exit code, standard output, and files.

#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod trees;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
const VARIANTS: [&str; 5] = ["compressed", "low", "webp", "png", "thumbnail"];
/// The pictures among the samples; the README is the ninth file.
const PICTURES: u64 = 8;
/// Two variants, quick to make, whose second one is changed by a test.
const RECIPE: &str = r#"version = 1

[output]
key = "{path}/{variant}.{ext}"
manifest = "{path}/manifest.json"
failed = "failed/{path}.json"

[[variant]]
name = "large"
format = "jpeg"
quality = 85

[[variant]]
name = "small"
format = "webp"
quality = 70
width = 100
"#;

fn pixmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixmill"));
    command.stdin(Stdio::null());
    command
}

/// Runs the command to its end.
fn run<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    pixmill().args(args).output().expect("the command starts")
}

fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    stdin.write_all(input).expect("the command reads");
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

/// What `--json` printed: a line per source by its key, and the summary line.
struct Lines {
    sources: BTreeMap<String, Value>,
    summary: Value,
}

impl Lines {
    fn of(output: &Output) -> Self {
        let text = stdout(output);
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let summary = lines.pop().expect("there is a summary");
        assert!(summary["summary"].is_object(), "{summary}");
        let mut sources = BTreeMap::new();
        for line in lines {
            let source = line["source"].as_str().expect("a source").to_owned();
            let before = sources.insert(source, line);
            assert_eq!(before, None, "a source has one line");
        }
        Self { sources, summary }
    }

    fn count(&self, outcome: &str) -> u64 {
        self.summary["summary"][outcome].as_u64().expect(outcome)
    }

    fn outcome(&self, source: &str) -> &str {
        let line = self.sources.get(source).expect(source);
        line["outcome"].as_str().expect("an outcome")
    }

    /// The summary counts every input once, and its counts are those of the lines.
    fn assert_adds_up(&self) {
        let counts = self.summary["summary"].as_object().expect("counts");
        let sum: u64 = counts.values().map(|n| n.as_u64().expect("a count")).sum();
        assert_eq!(Some(sum), self.summary["inputs"].as_u64());
        assert_eq!(sum, self.sources.len() as u64);
        for (outcome, count) in counts {
            let lines = self.sources.values();
            let lines = lines.filter(|line| line["outcome"] == outcome.as_str());
            assert_eq!(Some(lines.count() as u64), count.as_u64(), "{outcome}");
        }
    }
}

/// `convert INPUT -o OUT --json` and `more`.
fn convert(input: &Path, out: &Path, more: &[&str]) -> (i32, Lines) {
    let mut command = pixmill();
    command.arg("convert").arg(input).arg("-o").arg(out);
    let output = command.arg("--json").args(more).output();
    let output = output.expect("the command starts");
    let lines = Lines::of(&output);
    lines.assert_adds_up();
    (code(&output), lines)
}

/// Every file below `root`, by its path with `/`, and its bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).expect("below the root");
                let key = key.to_str().expect("UTF-8").to_owned();
                found.insert(key, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// The files that a run leaves, comparable between stores: without Pixmill's own folder, and
/// manifests without what only their store can know.
fn made(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(out);
    files.retain(|key, _| !key.starts_with(".pixmill/"));
    for (key, bytes) in &mut files {
        if key.ends_with("manifest.json") {
            *bytes = without_store(key, bytes);
        }
    }
    files
}

fn without_store(key: &str, manifest: &[u8]) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(manifest).expect(key);
    manifest.as_object_mut().expect(key).remove("store");
    manifest.to_string().into_bytes()
}

fn sample(name: &str) -> PathBuf {
    Path::new(SAMPLES).join(name)
}

fn copy(name: &str, to: &Path) {
    fs::copy(sample(name), to).expect("a sample is copied");
}

/// How often, in a hurry and with time (`PIXMILL_LONG`).
#[cfg(unix)]
fn times(short: u32, long: u32) -> u32 {
    if std::env::var_os("PIXMILL_LONG").is_some() {
        long
    } else {
        short
    }
}

/// The command as somebody whom permissions bind, also where this is root. None where nobody can tell who this is.
#[cfg(unix)]
fn without_privileges(command: &mut Command) -> Option<&mut Command> {
    use std::os::unix::process::CommandExt;
    let id = Command::new("id").arg("-u").output().ok()?;
    if stdout(&id).trim() == "0" {
        command.uid(65534).gid(65534);
    }
    Some(command)
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A folder `in` with `count` copies of the cat, a recipe file, and an `out` that is not there yet.
struct Desk {
    folder: TempDir,
    input: PathBuf,
    out: PathBuf,
    recipe: String,
}

impl Desk {
    fn with_cats(count: usize) -> Self {
        let folder = temporary();
        let input = folder.path().join("in");
        fs::create_dir(&input).expect("a folder");
        for number in 0..count {
            copy("cat.jpg", &input.join(format!("{number:03}.jpg")));
        }
        let recipe = folder.path().join("two.toml");
        fs::write(&recipe, RECIPE).expect("a recipe");
        Self {
            input,
            out: folder.path().join("out"),
            recipe: recipe.to_str().expect("UTF-8").to_owned(),
            folder,
        }
    }

    fn convert(&self, more: &[&str]) -> (i32, Lines) {
        let mut args = vec!["--recipe", &self.recipe];
        args.extend(more);
        convert(&self.input, &self.out, &args)
    }
}

#[test]
fn the_default_recipe_makes_five_renditions_and_a_manifest_of_each_sample() {
    let folder = temporary();
    let out = folder.path().join("out");
    let (code, lines) = convert(Path::new(SAMPLES), &out, &[]);
    assert_eq!(code, 0);
    assert_eq!(lines.count("done"), PICTURES);
    assert_eq!(lines.count("skipped"), 1, "the README");
    assert_eq!(lines.summary["renditions"], PICTURES * 5);
    let made = made(&out);
    assert_eq!(made.len() as u64, PICTURES * 6, "nothing else is left");
    let mut bytes = 0;
    for (source, line) in &lines.sources {
        if line["outcome"] == "skipped" {
            continue;
        }
        assert_eq!(line["rendered"], serde_json::json!(VARIANTS), "{source}");
        let manifest = format!("{source}/manifest.json");
        let manifest: Value = serde_json::from_slice(&made[&manifest]).expect("a manifest");
        assert_eq!(manifest["source"]["key"], source.as_str());
        for variant in manifest["variants"].as_array().expect("variants") {
            let rendition = &variant["rendition"];
            let file = &made[rendition["key"].as_str().expect("a key")];
            assert_eq!(rendition["bytes"], file.len());
            bytes += file.len();
        }
    }
    assert_eq!(lines.summary["written_bytes"], bytes);
}

#[test]
fn a_second_convert_does_nothing_and_leaves_every_byte() {
    let folder = temporary();
    let out = folder.path().join("out");
    convert(Path::new(SAMPLES), &out, &[]);
    let before = files(&out);
    let (code, lines) = convert(Path::new(SAMPLES), &out, &[]);
    assert_eq!(code, 0);
    assert_eq!(lines.count("unchanged"), PICTURES);
    assert_eq!(lines.count("skipped"), 1);
    assert_eq!(lines.summary["renditions"], 0);
    assert!(before == files(&out), "a byte changed");
}

#[test]
fn only_files_whose_bytes_changed_are_made_again() {
    let desk = Desk::with_cats(6);
    assert_eq!(desk.convert(&[]).1.count("done"), 6);
    let touched = fs::File::options()
        .append(true)
        .open(desk.input.join("000.jpg"))
        .expect("a file");
    let later = SystemTime::now() + Duration::from_secs(5);
    touched.set_modified(later).expect("a new time");
    let (_, lines) = desk.convert(&[]);
    assert_eq!(lines.count("unchanged"), 6, "touched is not changed");

    copy("café menu/coffee.jpg", &desk.input.join("002.jpg"));
    copy("galaxies.jpg", &desk.input.join("005.jpg"));
    let (_, lines) = desk.convert(&[]);
    assert_eq!((lines.count("done"), lines.count("unchanged")), (2, 4));
    assert_eq!(lines.outcome("002.jpg"), "done");
    assert_eq!(lines.outcome("005.jpg"), "done");
}

#[test]
fn changing_one_variant_makes_that_variant_only() {
    let desk = Desk::with_cats(2);
    desk.convert(&[]);
    let large = fs::read(desk.out.join("000.jpg/large.jpg")).expect("a rendition");
    let small = fs::read(desk.out.join("000.jpg/small.webp")).expect("a rendition");
    let changed = RECIPE.replace("quality = 70", "quality = 30");
    fs::write(&desk.recipe, changed).expect("a recipe");
    let (code, lines) = desk.convert(&[]);
    assert_eq!((code, lines.count("done")), (0, 2));
    for line in lines.sources.values() {
        assert_eq!(line["rendered"], serde_json::json!(["small"]));
    }
    let read = |name| fs::read(desk.out.join(name)).expect("a rendition");
    assert_eq!(read("000.jpg/large.jpg"), large);
    assert_ne!(read("000.jpg/small.webp"), small);
}

#[test]
fn plan_says_what_convert_then_does_and_writes_nothing() {
    let desk = Desk::with_cats(2);
    fs::write(desk.input.join("notes.txt"), "no picture").expect("a file");
    let plan = || {
        let mut command = pixmill();
        command.arg("plan").arg(&desk.input).arg("-o");
        command.arg(&desk.out).args(["--json", "-r", &desk.recipe]);
        Lines::of(&command.output().expect("the command starts"))
    };
    let planned = plan();
    assert!(!desk.out.exists(), "plan wrote something");
    assert_eq!((planned.count("create"), planned.count("skip")), (2, 1));
    desk.convert(&[]);

    copy("cat.jpg", &desk.input.join("new.jpg"));
    copy("galaxies.jpg", &desk.input.join("001.jpg"));
    let before = files(&desk.out);
    let planned = plan();
    assert!(before == files(&desk.out), "plan wrote something");
    let (_, lines) = desk.convert(&[]);
    assert_eq!(lines.sources.len(), planned.sources.len());
    for (source, line) in &planned.sources {
        let expected = match line["action"].as_str().expect("an action") {
            "create" | "update" => "done",
            "keep" => "unchanged",
            "skip" => "skipped",
            other => panic!("{source} was not expected to be {other}"),
        };
        assert_eq!(lines.outcome(source), expected, "{source}");
    }
    assert_eq!((lines.count("done"), lines.count("unchanged")), (2, 1));
}

#[test]
fn two_inputs_that_would_write_one_file_are_refused_and_both_are_named() {
    let folder = temporary();
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&input).expect("a folder");
    copy("cat.jpg", &input.join("a.jpg"));
    copy("logo.png", &input.join("a.png"));
    copy("logo.png", &input.join("b.png"));
    let (code, lines) = convert(&input, &out, &["--format", "webp"]);
    assert_eq!(code, 1);
    assert_eq!((lines.count("rejected"), lines.count("done")), (2, 1));
    for (one, other) in [("a.jpg", "a.png"), ("a.png", "a.jpg")] {
        let message = lines.sources[one]["message"].as_str().expect("a message");
        assert!(message.contains(other), "{message}");
    }
    assert!(out.join("b.webp").is_file());
    assert!(!out.join("a.webp").exists());
}

#[test]
fn an_input_is_never_overwritten() {
    for force in [&[][..], &["--force"][..]] {
        let desk = Desk::with_cats(1);
        copy("logo.png", &desk.input.join("000.png"));
        copy("logo.png", &desk.input.join("logo.png"));
        let before = files(&desk.input);
        let args = [&["--format", "jpeg"][..], force].concat();
        let (code, lines) = convert(&desk.input, &desk.input, &args);
        assert_eq!(code, 1);
        assert_eq!(lines.count("rejected"), 2, "{force:?}");
        assert_eq!(lines.outcome("logo.png"), "done");
        let after = files(&desk.input);
        for (key, bytes) in before {
            assert!(after[&key] == bytes, "{key} changed with {force:?}");
        }
    }
}

#[test]
fn an_input_in_the_way_is_called_one_and_force_is_not_advised() {
    let desk = Desk::with_cats(1);
    let (code, lines) = convert(&desk.input, &desk.input, &["--format", "jpeg"]);
    assert_eq!((code, lines.outcome("000.jpg")), (1, "rejected"));
    let words = lines.sources["000.jpg"]["message"].as_str();
    let words = words.expect("words");
    assert!(words.contains("is never overwritten"), "{words}");
    assert!(!words.contains("--force"), "{words}");
}

#[test]
fn a_file_that_pixmill_did_not_make_is_replaced_with_force_only() {
    let desk = Desk::with_cats(2);
    let mine = desk.out.join("000.jpg/small.webp");
    fs::create_dir_all(mine.parent().expect("a folder")).expect("a folder");
    fs::write(&mine, "mine").expect("a file");
    let (code, lines) = desk.convert(&[]);
    assert_eq!((code, lines.outcome("000.jpg")), (1, "rejected"));
    assert_eq!(lines.outcome("001.jpg"), "done");
    assert_eq!(fs::read(&mine).expect("a file"), b"mine");
    let (code, lines) = desk.convert(&["--force"]);
    assert_eq!((code, lines.outcome("000.jpg")), (0, "done"));
    assert!(fs::read(&mine).expect("a file").starts_with(b"RIFF"));
}

#[test]
fn a_truncated_jpeg_is_rejected_and_remembered_and_the_others_are_made() {
    let desk = Desk::with_cats(2);
    let whole = fs::read(sample("galaxies.jpg")).expect("a sample");
    fs::write(desk.input.join("cut.jpg"), &whole[..9000]).expect("a file");
    let (code, lines) = desk.convert(&[]);
    assert_eq!((code, lines.count("done")), (1, 2));
    assert_eq!(lines.outcome("cut.jpg"), "rejected");
    assert_eq!(lines.sources["cut.jpg"]["code"], "truncated");
    let record = desk.out.join("failed/cut.jpg.json");
    let record = fs::read(record).expect("a failure record");
    serde_json::from_slice::<Value>(&record).expect("the record is JSON");

    let (code, lines) = desk.convert(&[]);
    assert_eq!((code, lines.outcome("cut.jpg")), (1, "rejected"));
    assert_eq!(lines.count("unchanged"), 2);
}

#[test]
fn a_text_file_is_skipped_in_a_folder_and_refused_when_named() {
    let desk = Desk::with_cats(1);
    let text = desk.input.join("notes.txt");
    fs::write(&text, "no picture").expect("a file");
    let (code, lines) = desk.convert(&[]);
    assert_eq!((code, lines.outcome("notes.txt")), (0, "skipped"));
    let (code, lines) = convert(&text, &desk.out, &[]);
    assert_eq!((code, lines.outcome("notes.txt")), (1, "rejected"));
}

#[cfg(unix)]
#[test]
fn a_link_in_the_output_folder_that_leads_elsewhere_is_not_followed() {
    let desk = Desk::with_cats(2);
    let elsewhere = desk.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::create_dir(&desk.out).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, desk.out.join("000.jpg")).expect("a link");
    let (code, lines) = desk.convert(&["--force"]);
    assert_eq!(code, 1);
    assert_ne!(lines.outcome("000.jpg"), "done");
    assert_eq!(lines.outcome("001.jpg"), "done");
    assert!(files(&elsewhere).is_empty(), "something was written there");
}

/// Whether a manifest says that its renditions are there; before, it says what is to be written.
fn is_complete(manifest: &[u8]) -> bool {
    let manifest: Value = serde_json::from_slice(manifest).expect("a manifest is whole");
    manifest["state"] == "complete"
}

/// Starts a convert of many pictures, one at a time, and comes back when the first is done.
fn started(desk: &Desk) -> Child {
    let mut command = pixmill();
    command.arg("convert").arg(&desk.input).arg("-o");
    command.arg(&desk.out).args(["--json", "--jobs", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the command starts");
    let began = Instant::now();
    let is_done = |entry: fs::DirEntry| {
        let manifest = fs::read(entry.path().join("manifest.json"));
        manifest.is_ok_and(|manifest| is_complete(&manifest))
    };
    loop {
        let entries = fs::read_dir(&desk.out).into_iter().flatten().flatten();
        if entries.into_iter().any(is_done) {
            return child;
        }
        let ended = child.try_wait().expect("the command can be asked");
        assert_eq!(ended, None, "the command ended before a manifest was seen");
        assert!(began.elapsed() < Duration::from_mins(1), "no manifest");
        std::thread::yield_now();
    }
}

/// What is there after an ended run is whole; the next run completes it to what `clean` holds.
fn assert_whole_and_completed(desk: &Desk, clean: &BTreeMap<String, Vec<u8>>) {
    let is_temporary = |key: &str| key.rsplit('/').next().is_some_and(|n| n.starts_with('.'));
    let ended = made(&desk.out);
    let ended: BTreeMap<_, _> = ended.iter().filter(|(k, _)| !is_temporary(k)).collect();
    assert!(ended.len() < clean.len(), "the run ended too late to tell");
    for (key, bytes) in ended {
        if key.ends_with("manifest.json") && !is_complete(bytes) {
            continue;
        }
        assert!(clean.get(key) == Some(bytes), "{key} is not whole");
    }
    let (code, lines) = convert(&desk.input, &desk.out, &[]);
    assert_eq!((code, lines.count("failed")), (0, 0));
    assert!(lines.count("done") > 0 && lines.count("unchanged") > 0);
    let completed = made(&desk.out);
    assert!(completed.keys().eq(clean.keys()), "files are left over");
    for (key, bytes) in &completed {
        assert!(clean[key] == *bytes, "{key} differs from a clean run");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_whole_files_and_the_next_run_completes_it() {
    let desk = Desk::with_cats(40);
    let clean = desk.folder.path().join("clean");
    convert(&desk.input, &clean, &[]);
    let mut child = started(&desk);
    child.kill().expect("the command is killed");
    let output = child.wait_with_output().expect("the command ended");
    assert_eq!(output.status.code(), None, "it was killed");
    assert_whole_and_completed(&desk, &made(&clean));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_exits_130_with_a_summary_and_the_next_run_completes_it() {
    let desk = Desk::with_cats(40);
    let clean = desk.folder.path().join("clean");
    convert(&desk.input, &clean, &[]);
    let child = started(&desk);
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill starts").success());
    let output = child.wait_with_output().expect("the command ended");
    assert_eq!(code(&output), 130);
    let lines = Lines::of(&output);
    lines.assert_adds_up();
    assert!(lines.count("done") > 0 && lines.count("failed") > 0);
    assert_whole_and_completed(&desk, &made(&clean));
}

#[test]
fn standard_output_takes_one_rendition() {
    let folder = temporary();
    let cat = sample("cat.jpg");
    let spot = ["--format", "webp", "--width", "64"];
    convert(&cat, folder.path(), &spot);
    let file = fs::read(folder.path().join("cat.webp")).expect("a rendition");
    let mut command = pixmill();
    command.arg("convert").arg(&cat).args(["-o", "-"]);
    let output = command.args(spot).output().expect("the command starts");
    assert_eq!(code(&output), 0);
    assert!(output.stdout == file, "not what a folder gets");

    let cat = cat.to_str().expect("UTF-8");
    let refused = run(["convert", cat, "-o", "-"]);
    assert_eq!(code(&refused), 2, "the default recipe makes five");
    assert!(refused.stdout.is_empty());
    let refused = run(["convert", cat, "-o", "-", "--format", "webp", "--json"]);
    assert_eq!(code(&refused), 2, "there is no place for the lines");
    let refused = run(["plan", cat, "-o", "-"]);
    assert_eq!(code(&refused), 2, "nothing is planned for a pipe");
}

#[test]
fn standard_output_without_a_rendition_is_trouble_and_no_usage_error() {
    let folder = temporary();
    let recipe = folder.path().join("recipe.toml");
    let text = "version = 1\n[[variant]]\nname = \"png\"\nformat = \"png\"\nif_larger = \"skip\"\n";
    fs::write(&recipe, text).expect("a file");
    let mut command = pixmill();
    command
        .arg("convert")
        .arg(sample("cat.jpg"))
        .args(["-o", "-", "--recipe"]);
    let output = command.arg(recipe).output().expect("the command starts");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn standard_input_named_twice_is_refused() {
    let folder = temporary();
    let mut command = pixmill();
    command.args(["convert", "-", "-", "-o"]).arg(folder.path());
    assert_eq!(code(&run_with_input(&mut command, b"")), 2);
}

#[test]
fn a_dash_reads_standard_input() {
    let folder = temporary();
    let cat = fs::read(sample("cat.jpg")).expect("a sample");
    let mut command = pixmill();
    command.args(["convert", "-", "-o"]).arg(folder.path());
    let output = run_with_input(command.arg("--json"), &cat);
    assert_eq!(code(&output), 0);
    assert_eq!(Lines::of(&output).outcome("stdin"), "done");
    assert_eq!(made(folder.path()).len(), 6);

    let mut command = pixmill();
    command.args(["convert", "-", "-o", "-", "--format", "png"]);
    let output = run_with_input(&mut command, &cat);
    assert_eq!(code(&output), 0);
    assert!(output.stdout.starts_with(b"\x89PNG"));
}

#[test]
fn a_list_of_files_is_separated_by_lines_or_by_nul() {
    let folder = temporary();
    for (name, separator) in [("lines", "\n"), ("windows", "\r\n"), ("nul", "\0")] {
        let list = folder.path().join(name).with_extension("txt");
        let paths = ["cat.jpg", "café menu/rocket.png", ""];
        fs::write(&list, paths.join(separator)).expect("a list");
        for from_stdin in [false, true] {
            let out = folder.path().join(format!("{name}-{from_stdin}"));
            let mut command = pixmill();
            command.current_dir(SAMPLES).args(["convert", "--json"]);
            command.args(["--format", "webp", "-o"]).arg(&out);
            command.arg("--files-from");
            let output = if from_stdin {
                run_with_input(command.arg("-"), &fs::read(&list).expect("a list"))
            } else {
                command.arg(&list).output().expect("the command starts")
            };
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            let lines = Lines::of(&output);
            lines.assert_adds_up();
            assert_eq!(lines.count("done"), 2);
            assert!(out.join("cat.webp").is_file());
            assert!(out.join("café menu/rocket.webp").is_file());
        }
    }
}

#[test]
fn patterns_choose_files() {
    let folder = temporary();
    let patterns = ["--include", "**/*.jpg", "--exclude", "café menu/**"];
    let args = [&patterns[..], &["--format", "webp"]].concat();
    let (code, lines) = convert(Path::new(SAMPLES), folder.path(), &args);
    assert_eq!(code, 0);
    let made = made(folder.path());
    for (key, is_made) in [
        ("cat.webp", true),
        ("galaxies.webp", true),
        ("logo.webp", false),
        ("café menu/coffee.webp", false),
    ] {
        assert_eq!(made.contains_key(key), is_made, "{key}");
    }
    assert_eq!(lines.count("done"), 2);
    assert_eq!(lines.count("skipped"), PICTURES + 1 - 2);
}

#[test]
fn the_output_folder_inside_the_input_folder_is_not_walked() {
    let desk = Desk::with_cats(2);
    let out = desk.input.join("out");
    let (_, first) = convert(&desk.input, &out, &[]);
    let (code, second) = convert(&desk.input, &out, &[]);
    assert_eq!((code, first.count("done")), (0, 2));
    assert_eq!(second.count("unchanged"), 2);
    assert_eq!(second.summary["inputs"], 2);
}

#[test]
fn the_number_of_jobs_changes_no_byte() {
    let folder = temporary();
    let (one, four) = (folder.path().join("1"), folder.path().join("4"));
    convert(Path::new(SAMPLES), &one, &["--jobs", "1"]);
    convert(Path::new(SAMPLES), &four, &["--jobs", "4"]);
    let (one, four) = (made(&one), made(&four));
    assert!(one.keys().eq(four.keys()));
    for (key, bytes) in &one {
        assert!(four[key] == *bytes, "{key} differs");
    }
}

#[test]
fn the_metrics_file_holds_the_counts_of_the_summary() {
    let desk = Desk::with_cats(2);
    fs::write(desk.input.join("notes.txt"), "no picture").expect("a file");
    let file = desk.folder.path().join("metrics.txt");
    let (_, lines) = desk.convert(&["--metrics", file.to_str().expect("UTF-8")]);
    let metrics = fs::read_to_string(file).expect("metrics");
    let bytes = &lines.summary["written_bytes"];
    for line in [
        "pixmill_jobs_total{code=\"\",outcome=\"done\"} 2".to_owned(),
        "pixmill_jobs_total{code=\"not-a-picture\",outcome=\"skipped\"} 1".to_owned(),
        format!("pixmill_written_bytes_total {bytes}"),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn inspect_prints_one_json_object() {
    let cat = sample("cat.jpg");
    let output = run(["inspect", cat.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(code(&output), 0);
    let cat: Value = serde_json::from_str(&stdout(&output)).expect("an object");
    assert_eq!(cat["format"], "jpeg");
    assert_eq!(cat["orientation"], 6);
    assert_eq!(
        (&cat["stored_width"], &cat["width"]),
        (&300.into(), &451.into())
    );
    assert_eq!(cat["refused"], Value::Null);
    let variants = cat["variants"].as_array().expect("variants");
    let names: Vec<_> = variants.iter().map(|v| &v["name"]).collect();
    assert_eq!(names, VARIANTS);
}

#[test]
fn a_misspelt_recipe_is_told_its_line_and_the_right_word() {
    let folder = temporary();
    let file = folder.path().join("recipe.toml");
    fs::write(&file, RECIPE.replace("quality = 85", "qualty = 85")).expect("a recipe");
    let file = file.to_str().expect("UTF-8");
    let out = folder.path().join("out");
    let out = out.to_str().expect("UTF-8");
    let check = run(["recipe", "check", file]);
    let convert = run(["convert", SAMPLES, "-o", out, "--recipe", file]);
    for output in [check, convert] {
        assert_eq!(code(&output), 2);
        let words = stderr(&output);
        assert!(words.contains("line 11"), "{words}");
        assert!(words.contains("did you mean `quality`?"), "{words}");
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn the_shown_recipe_is_good_and_init_never_overwrites() {
    let folder = temporary();
    let shown = run(["recipe", "show"]);
    let file = folder.path().join("shown.toml");
    fs::write(&file, &shown.stdout).expect("a recipe");
    let file = file.to_str().expect("UTF-8");
    assert_eq!(code(&run(["recipe", "check", file])), 0);

    let new = folder.path().join("new.toml");
    let new_name = new.to_str().expect("UTF-8");
    assert_eq!(code(&run(["recipe", "init", new_name])), 0);
    assert_eq!(fs::read(&new).expect("a recipe"), shown.stdout);
    fs::write(&new, "mine").expect("a file");
    assert_eq!(code(&run(["recipe", "init", new_name])), 2);
    assert_eq!(fs::read(&new).expect("a file"), b"mine");
}

#[test]
fn completions_manual_and_schema_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("files-from"), "{shell}");
    }
    let man = run(["man"]);
    assert_eq!(code(&man), 0);
    assert!(stdout(&man).contains(".TH pixmill"));
    let schema = run(["recipe", "schema"]);
    serde_json::from_str::<Value>(&stdout(&schema)).expect("the schema is JSON");
}

#[test]
fn help_documents_the_exit_codes() {
    for args in [&["--help"][..], &["convert", "--help"], &["plan", "--help"]] {
        let output = run(args);
        assert_eq!(code(&output), 0);
        let help = stdout(&output);
        let codes = help.split("Exit codes:").nth(1).expect("exit codes");
        for code in ["  0 ", "  1 ", "  2 ", "  130 "] {
            assert!(codes.contains(code), "{code} in {args:?}");
        }
    }
}

#[test]
fn wrong_arguments_exit_2() {
    let wrong: [&[&str]; 4] = [
        &["convert", SAMPLES, "-o", "never", "--nosuch"],
        &["convert", SAMPLES],
        &["convert", SAMPLES, "-o", "never", "--quality", "80"],
        &["nosuch"],
    ];
    let folder = temporary();
    for args in wrong {
        let output = pixmill().current_dir(&folder).args(args).output();
        assert_eq!(code(&output.expect("the command starts")), 2, "{args:?}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn html_prints_a_picture_for_each_source_in_the_order_of_their_names_and_again_when_nothing_changed()
 {
    let folder = TempDir::new().expect("a folder");
    let recipe = folder.path().join("recipe.toml");
    fs::write(
        &recipe,
        "version = 1\n[[variant]]\nname = \"w\"\nformat = \"webp\"\nwidths = [40, 80]\n
        [[variant]]\nname = \"j\"\nformat = \"jpeg\"\nwidth = 80\n",
    )
    .expect("it can be written");
    let out = folder.path().join("out");
    let convert = || {
        pixmill()
            .args([
                "convert",
                SAMPLES,
                "--html",
                "--html-base",
                "https://cdn.example.com/",
                "-r",
            ])
            .arg(&recipe)
            .arg("-o")
            .arg(&out)
            .output()
            .expect("the command starts")
    };
    let first = convert();
    assert_eq!(code(&first), 0, "{}", stderr(&first));
    let html = stdout(&first);
    assert_eq!(html.matches("<picture>").count() as u64, PICTURES, "{html}");
    assert!(html.contains(
        "<source type=\"image/webp\" srcset=\"https://cdn.example.com/cat.jpg/w-40.webp 40w, https://cdn.example.com/cat.jpg/w-80.webp 80w\" sizes=\"100vw\">"
    ), "{html}");
    assert!(
        html.contains("<img src=\"https://cdn.example.com/cat.jpg/j.jpg\" width=\"80\""),
        "{html}"
    );
    assert!(
        stderr(&first).contains("renditions"),
        "the summary is beside it"
    );
    assert_eq!(stdout(&convert()), html);
}

/// Every subcommand, as `pixmill SUBCOMMAND` or `pixmill recipe SUBCOMMAND` has it, from the manual's own folder of pages.
fn pages_of_the_manual() -> BTreeMap<String, String> {
    let folder = temporary();
    let to = folder.path().to_str().expect("UTF-8");
    assert_eq!(code(&run(["man", "--to", to])), 0);
    let files = files(folder.path()).into_iter();
    let pages = files.map(|(name, page)| (name, String::from_utf8(page).expect("UTF-8")));
    pages.collect()
}

#[test]
fn every_subcommand_has_a_manual_page_and_help_that_ends_with_examples() {
    let pages = pages_of_the_manual();
    for name in [
        "convert",
        "plan",
        "watch",
        "inspect",
        "invoke",
        "verify",
        "replay",
        "redrive",
        "recipe",
        "completions",
        "man",
    ] {
        let page = &pages[&format!("pixmill-{name}.1")];
        let printed = stdout(&run(["man", name]));
        assert!(
            page.contains(".SH NAME") && printed.contains(".SH NAME"),
            "{name}"
        );
        let help = stdout(&run([name, "--help"]));
        let examples = help.split_once("Examples:\n").expect(name).1;
        assert!(examples.contains(&format!("pixmill {name}")), "{help}");
        assert!(
            examples.lines().all(|line| line.starts_with("  ")),
            "{help}"
        );
        // A line that doesn't fit is broken, and half a command is typed.
        assert!(!examples.contains("\n  --"), "{help}");
    }
    assert!(pages.contains_key("pixmill.1") && pages.contains_key("pixmill-recipe-check.1"));
    assert!(stdout(&run(["man", "recipe", "check"])).contains("The recipe"));
    assert_eq!(code(&run(["man", "nothing"])), 2);
}
