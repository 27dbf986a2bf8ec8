//! `pixmill watch` from end to end: the binary on a folder of its own, while a test does to the folder what people and
//! their programs do. Tests wait for lines of its output, with a bound on the time, and never just for time to pass.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");

/// More than any step takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long files must stand still in these tests, in seconds.
const SETTLE: &str = "0.3";

/// One small variant, quick to make; where it crops, it goes by the focus point.
const RECIPE: &str = r#"version = 1

[output]
key = "{path}/{variant}.{ext}"
manifest = "{path}/manifest.json"
failed = "failed/{path}.json"

[[variant]]
name = "small"
format = "jpeg"
width = 40
height = 40
fit = "cover"
"#;

/// A folder `in`, a recipe, and an `out` beside it.
struct Desk {
    folder: TempDir,
    input: PathBuf,
    out: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = folder.path().join("in");
        fs::create_dir(&input).expect("a folder");
        fs::write(folder.path().join("recipe.toml"), RECIPE).expect("a recipe");
        Self {
            out: folder.path().join("out"),
            input,
            folder,
        }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pixmill"));
        command
            .arg("watch")
            .arg(&self.input)
            .arg("-o")
            .arg(&self.out);
        command
            .arg("--recipe")
            .arg(self.folder.path().join("recipe.toml"));
        command.arg("--json").args(more);
        if !more.contains(&"--settle") {
            command.args(["--settle", SETTLE]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Begins a watch, and waits until all that is there already is done.
    fn watch(&self, more: &[&str]) -> Watch {
        let mut watch = self.begin(more);
        watch.caught_up();
        watch
    }

    fn begin(&self, more: &[&str]) -> Watch {
        Watch::begin(self.command(more))
    }

    fn copy(&self, sample: &str, to: &str) {
        fs::copy(Path::new(SAMPLES).join(sample), self.input.join(to)).expect("a copy");
    }

    fn rendition(&self, source: &str) -> PathBuf {
        self.out.join(source).join("small.jpg")
    }

    fn manifest(&self, source: &str) -> Value {
        let text = fs::read(self.out.join(source).join("manifest.json")).expect("a manifest");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// A watch under way, with its lines.
struct Watch {
    child: Child,
    lines: Receiver<Value>,
    /// Lines that came while another was waited for.
    earlier: Vec<Value>,
}

impl Watch {
    fn begin(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.expect("UTF-8");
                let line = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            earlier: Vec::new(),
        }
    }

    /// The next line that fits, which may have come already. Each line is given once.
    fn line(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.earlier.iter().position(&fits) {
            return self.earlier.remove(at);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line about {what}, only {:#?}", self.earlier);
            };
            if fits(&line) {
                return line;
            }
            self.earlier.push(line);
        }
    }

    fn caught_up(&mut self) -> Value {
        self.line("the start", |line| line["caught_up"].is_object())["caught_up"].clone()
    }

    /// Waits for this outcome of this source.
    fn outcome(&mut self, source: &str, outcome: &str) -> Value {
        let words = format!("{source} as {outcome}");
        self.line(&words, |line| {
            line["source"] == source && line["outcome"] == outcome
        })
    }

    /// Whether a line about this source has come that nobody waited for.
    fn has_more_about(&self, source: &str) -> bool {
        self.earlier.iter().any(|line| line["source"] == source)
    }

    /// A picture that comes after everything that a test has done: once it is through, so is all before it.
    fn until_another_is_through(&mut self, desk: &Desk) {
        desk.copy("cat.jpg", "after all.jpg");
        self.outcome("after all.jpg", "done");
    }

    fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Ends it as Ctrl-C does, and returns the lines that nobody waited for.
    fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        self.signal("-INT");
        self.line("the end", |line| line["stopped"].is_object());
        let status = self.child.wait().expect("it ends");
        let mut left = std::mem::take(&mut self.earlier);
        left.extend(self.lines.iter());
        (status.code(), left)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_picture_that_is_copied_in_is_processed_and_one_that_is_there_is_processed_at_the_start() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "before.jpg");
    let mut watch = desk.begin(&[]);
    let counts = watch.caught_up();
    assert_eq!((&counts["done"], &counts["failed"]), (&json!(1), &json!(0)));
    watch.outcome("before.jpg", "done");
    desk.copy("dusk.png", "new.png");
    let line = watch.outcome("new.png", "done");
    assert!(line["milliseconds"].is_u64());
    assert!(desk.rendition("before.jpg").is_file());
    assert!(desk.rendition("new.png").is_file());
    let (code, left) = watch.stop();
    assert_eq!(code, Some(0));
    assert_eq!(left.len(), 1, "one line a picture, and the first: {left:?}");
}

#[test]
fn a_slow_writer_s_picture_is_taken_once_and_whole() {
    let desk = Desk::new();
    let mut watch = desk.watch(&["--settle", "2"]);
    let picture = fs::read(Path::new(SAMPLES).join("cat.jpg")).expect("a sample");
    let mut file = File::create(desk.input.join("slow.jpg")).expect("a file");
    // Never as still as a settled file is, for longer than one has to be. These rests are what is tested.
    let parts = 30;
    for part in picture.chunks(picture.len().div_ceil(parts)) {
        file.write_all(part).expect("room");
        file.flush().expect("room");
        thread::park_timeout(Duration::from_millis(100));
    }
    drop(file);
    watch.outcome("slow.jpg", "done");
    assert_eq!(desk.manifest("slow.jpg")["source"]["bytes"], picture.len());
    watch.until_another_is_through(&desk);
    assert!(!watch.has_more_about("slow.jpg"), "{:?}", watch.earlier);
    assert!(!desk.out.join("failed").exists(), "never seen cut short");
}

#[test]
fn a_picture_that_is_renamed_in_is_processed_under_its_new_name() {
    let desk = Desk::new();
    let mut watch = desk.watch(&[]);
    let aside = desk.folder.path().join("aside.jpg");
    fs::copy(Path::new(SAMPLES).join("cat.jpg"), &aside).expect("a copy");
    fs::rename(&aside, desk.input.join("in.jpg")).expect("renamed");
    watch.outcome("in.jpg", "done");
    // As downloads come: under another name first, in the same folder.
    desk.copy("dusk.png", ".dusk.png.part");
    fs::rename(
        desk.input.join(".dusk.png.part"),
        desk.input.join("dusk.png"),
    )
    .expect("renamed");
    watch.outcome("dusk.png", "done");
    assert!(!desk.out.join(".dusk.png.part").exists());
}

#[test]
fn a_picture_that_is_overwritten_is_made_again() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&[]);
    watch.outcome("a.jpg", "done");
    let before = fs::read(desk.rendition("a.jpg")).expect("a rendition");
    desk.copy("galaxies.jpg", "a.jpg");
    watch.outcome("a.jpg", "done");
    assert_ne!(
        fs::read(desk.rendition("a.jpg")).expect("a rendition"),
        before
    );
    // Touched is not changed.
    let file = File::options()
        .append(true)
        .open(desk.input.join("a.jpg"))
        .expect("a file");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .expect("a new time");
    watch.outcome("a.jpg", "unchanged");
}

#[test]
fn a_picture_that_is_broken_is_rejected_and_done_once_it_is_mended() {
    let desk = Desk::new();
    let mut watch = desk.watch(&[]);
    let picture = fs::read(Path::new(SAMPLES).join("cat.jpg")).expect("a sample");
    fs::write(desk.input.join("a.jpg"), &picture[..picture.len() / 2]).expect("a file");
    let line = watch.outcome("a.jpg", "rejected");
    assert_eq!(line["code"], "truncated");
    assert!(desk.out.join("failed/a.jpg.json").is_file());
    fs::write(desk.input.join("a.jpg"), &picture).expect("a file");
    watch.outcome("a.jpg", "done");
    assert!(!desk.out.join("failed/a.jpg.json").exists());
}

#[test]
fn with_remove_the_renditions_go_when_their_source_goes() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    desk.copy("cat.jpg", "b.jpg");
    let mut watch = desk.watch(&["--remove"]);
    fs::remove_file(desk.input.join("a.jpg")).expect("removed");
    let line = watch.outcome("a.jpg", "skipped");
    assert_eq!(
        (&line["code"], &line["removed"]),
        (&json!("gone"), &json!(true))
    );
    assert!(!desk.out.join("a.jpg").exists());
    // A move is a removal and a new picture.
    fs::rename(desk.input.join("b.jpg"), desk.input.join("c.jpg")).expect("renamed");
    watch.outcome("b.jpg", "skipped");
    watch.outcome("c.jpg", "done");
    assert!(!desk.out.join("b.jpg").exists());
    assert!(desk.rendition("c.jpg").is_file());
}

#[test]
fn without_remove_the_renditions_stay_and_a_line_says_so() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&[]);
    fs::remove_file(desk.input.join("a.jpg")).expect("removed");
    let line = watch.outcome("a.jpg", "skipped");
    assert_eq!(
        (&line["code"], &line["removed"]),
        (&json!("gone"), &json!(false))
    );
    assert!(desk.rendition("a.jpg").is_file());
    // It comes back.
    desk.copy("cat.jpg", "a.jpg");
    watch.outcome("a.jpg", "unchanged");
}

#[test]
fn a_picture_that_is_removed_and_made_anew_at_once_is_only_made_again() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&["--remove"]);
    watch.outcome("a.jpg", "done");
    fs::remove_file(desk.input.join("a.jpg")).expect("removed");
    desk.copy("galaxies.jpg", "a.jpg");
    watch.outcome("a.jpg", "done");
    watch.until_another_is_through(&desk);
    assert!(!watch.has_more_about("a.jpg"), "{:?}", watch.earlier);
}

#[test]
fn folders_that_come_move_and_go_take_their_pictures_along() {
    let desk = Desk::new();
    let mut watch = desk.watch(&["--remove"]);
    // A tree that is there with all in it at once.
    let aside = desk.folder.path().join("aside");
    fs::create_dir_all(aside.join("deep/er")).expect("folders");
    for at in ["1.jpg", "deep/2.jpg", "deep/er/3.jpg"] {
        fs::copy(Path::new(SAMPLES).join("cat.jpg"), aside.join(at)).expect("a copy");
    }
    fs::rename(&aside, desk.input.join("trip")).expect("moved in");
    for source in ["trip/1.jpg", "trip/deep/2.jpg", "trip/deep/er/3.jpg"] {
        watch.outcome(source, "done");
    }
    // What came with it is watched too.
    desk.copy("cat.jpg", "trip/deep/er/4.jpg");
    watch.outcome("trip/deep/er/4.jpg", "done");
    // Folders and files in them, one after the other without a pause.
    fs::create_dir_all(desk.input.join("a/b/c")).expect("folders");
    desk.copy("cat.jpg", "a/b/c/5.jpg");
    watch.outcome("a/b/c/5.jpg", "done");

    fs::rename(desk.input.join("trip"), desk.input.join("journey")).expect("renamed");
    for name in ["1.jpg", "deep/2.jpg", "deep/er/3.jpg", "deep/er/4.jpg"] {
        watch.outcome(&format!("trip/{name}"), "skipped");
        watch.outcome(&format!("journey/{name}"), "done");
    }
    assert!(!desk.out.join("trip").exists());
    desk.copy("cat.jpg", "journey/deep/6.jpg");
    watch.outcome("journey/deep/6.jpg", "done");
    // Out of the folder, and removed.
    fs::rename(desk.input.join("journey"), &aside).expect("moved out");
    fs::remove_dir_all(desk.input.join("a")).expect("removed");
    watch.outcome("journey/deep/er/4.jpg", "skipped");
    watch.outcome("journey/deep/6.jpg", "skipped");
    watch.outcome("a/b/c/5.jpg", "skipped");
    watch.until_another_is_through(&desk);
    let left: Vec<_> = fs::read_dir(&desk.out).expect("a folder").collect();
    let left = left
        .into_iter()
        .map(|entry| entry.expect("an entry").file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, [".pixmill", "after all.jpg"]);
}

#[test]
fn a_restart_takes_up_what_changed_while_nobody_watched() {
    let desk = Desk::new();
    for name in ["same.jpg", "changed.jpg", "removed.jpg"] {
        desk.copy("cat.jpg", name);
    }
    let mut watch = desk.begin(&["--remove"]);
    assert_eq!(watch.caught_up()["done"], 3);
    assert_eq!(watch.stop().0, Some(0));
    desk.copy("galaxies.jpg", "changed.jpg");
    desk.copy("cat.jpg", "new.jpg");
    fs::remove_file(desk.input.join("removed.jpg")).expect("removed");
    let mut watch = desk.begin(&["--remove"]);
    let counts = watch.caught_up();
    assert_eq!(
        (&counts["done"], &counts["unchanged"]),
        (&json!(2), &json!(1))
    );
    watch.outcome("removed.jpg", "skipped");
    assert!(!desk.out.join("removed.jpg").exists());
    assert!(desk.rendition("same.jpg").is_file());
    assert_eq!(watch.stop().0, Some(0));
}

#[test]
fn an_input_that_is_empty_at_the_start_removes_nothing() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    assert_eq!(desk.watch(&["--remove"]).stop().0, Some(0));
    fs::remove_file(desk.input.join("a.jpg")).expect("removed");
    assert_eq!(desk.watch(&["--remove"]).stop().0, Some(0));
    assert!(desk.rendition("a.jpg").is_file());
}

#[test]
fn a_watch_that_is_killed_is_made_good_by_the_next() {
    let desk = Desk::new();
    for number in 0..40 {
        desk.copy("cat.jpg", &format!("{number:02}.jpg"));
    }
    let mut watch = desk.begin(&[]);
    watch.line("a picture", |line| line["outcome"] == "done");
    watch.signal("-KILL");
    watch.child.wait().expect("it ends");
    let mut watch = desk.begin(&[]);
    let counts = watch.caught_up();
    let sum = counts["done"].as_u64().zip(counts["unchanged"].as_u64());
    assert_eq!(sum.map(|(done, unchanged)| done + unchanged), Some(40));
    for number in 0..40 {
        assert_eq!(
            desk.manifest(&format!("{number:02}.jpg"))["state"],
            "complete"
        );
    }
}

#[test]
fn five_hundred_pictures_at_once_have_one_line_each() {
    let desk = Desk::new();
    let mut watch = desk.watch(&[]);
    let cat = fs::read(Path::new(SAMPLES).join("logo.png")).expect("a sample");
    for number in 0..500 {
        fs::write(desk.input.join(format!("{number:03}.png")), &cat).expect("a file");
    }
    let mut lines = BTreeMap::new();
    for _ in 0..500 {
        let line = watch.line("a picture", |line| line["source"].is_string());
        assert_eq!(line["outcome"], "done", "{line}");
        let source = line["source"].as_str().expect("a key").to_owned();
        assert_eq!(lines.insert(source, line), None, "one line each");
    }
    assert_eq!(lines.len(), 500);
    assert!(lines.keys().all(|source| desk.rendition(source).is_file()));
}

#[test]
fn an_output_within_the_input_never_feeds_it() {
    let mut desk = Desk::new();
    desk.out = desk.input.join("made");
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&["--verbose"]);
    watch.outcome("a.jpg", "done");
    desk.copy("cat.jpg", "b.jpg");
    watch.outcome("b.jpg", "done");
    watch.until_another_is_through(&desk);
    let (code, left) = watch.stop();
    assert_eq!(code, Some(0));
    let fed = left.iter().filter(|line| line["source"].is_string());
    assert_eq!(fed.count(), 0, "{left:?}");
    assert!(!desk.out.join("made").exists());
}

#[test]
fn an_output_that_is_the_input_or_holds_it_is_refused() {
    let mut desk = Desk::new();
    for out in [desk.input.clone(), desk.folder.path().to_owned()] {
        desk.out = out;
        let output = desk.command(&[]).stderr(Stdio::piped()).output();
        let output = output.expect("the command starts");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(words.contains("holds the input"), "{words}");
    }
}

#[test]
fn a_focus_point_that_comes_changes_or_goes_makes_its_picture_again() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&[]);
    watch.outcome("a.jpg", "done");
    let centre = fs::read(desk.rendition("a.jpg")).expect("a rendition");
    let point = desk.input.join("a.jpg.focus-point");
    let mut last = centre.clone();
    for words in ["0,0", "1,1"] {
        fs::write(&point, words).expect("a file");
        watch.outcome("a.jpg", "done");
        let now = fs::read(desk.rendition("a.jpg")).expect("a rendition");
        assert!(now != last, "{words}");
        last = now;
    }
    fs::remove_file(&point).expect("removed");
    watch.outcome("a.jpg", "done");
    assert_eq!(
        fs::read(desk.rendition("a.jpg")).expect("a rendition"),
        centre
    );
    watch.until_another_is_through(&desk);
    assert!(
        !watch.has_more_about("a.jpg.focus-point"),
        "{:?}",
        watch.earlier
    );
}

#[test]
fn links_hidden_files_and_other_files_are_what_they_are_to_convert() {
    let desk = Desk::new();
    let mut watch = desk.watch(&["--verbose", "--exclude", "*.gif"]);
    desk.copy("cat.jpg", ".hidden.jpg");
    desk.copy("mill.gif", "left out.gif");
    desk.copy("README.md", "README.md");
    fs::write(desk.input.join("broken.jpg"), "no picture").expect("a file");
    desk.copy("cat.jpg", "cat.jpg");
    symlink("cat.jpg", desk.input.join("link.jpg")).expect("a link");
    symlink(SAMPLES, desk.input.join("linked")).expect("a link");
    watch.outcome("cat.jpg", "done");
    watch.outcome("link.jpg", "done");
    watch.outcome("broken.jpg", "rejected");
    assert_eq!(
        watch.outcome("README.md", "skipped")["code"],
        "not-a-picture"
    );
    assert_eq!(watch.outcome("linked", "skipped")["code"], "not-a-file");
    watch.until_another_is_through(&desk);
    assert!(!watch.has_more_about(".hidden.jpg"));
    assert!(!desk.out.join("left out.gif").exists());
}

#[test]
fn looking_in_steps_finds_what_the_system_does_not_tell() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut watch = desk.watch(&["--poll", "0.2", "--remove"]);
    fs::create_dir(desk.input.join("deep")).expect("a folder");
    desk.copy("cat.jpg", "deep/b.jpg");
    watch.outcome("deep/b.jpg", "done");
    fs::remove_file(desk.input.join("a.jpg")).expect("removed");
    watch.outcome("a.jpg", "skipped");
    assert!(!desk.out.join("a.jpg").exists());
}

#[test]
fn two_sources_of_one_name_are_refused_both_as_convert_refuses_them() {
    let desk = Desk::new();
    let flat = RECIPE
        .replace("{path}/{variant}.{ext}", "{dir}{stem}.{ext}")
        .replace("{path}/manifest.json", ".pixmill/{path}.json")
        .replace("failed/{path}.json", ".pixmill/failed/{path}.json");
    fs::write(desk.folder.path().join("recipe.toml"), flat).expect("a recipe");
    let mut watch = desk.watch(&[]);
    desk.copy("cat.jpg", "a.jpg");
    watch.outcome("a.jpg", "done");
    let before = fs::read(desk.out.join("a.jpg")).expect("a rendition");
    desk.copy("dusk.png", "a.png");
    assert_eq!(watch.outcome("a.png", "rejected")["stage"], "plan");
    assert_eq!(
        fs::read(desk.out.join("a.jpg")).expect("a rendition"),
        before
    );
}

#[test]
fn an_input_that_is_taken_away_ends_the_watch_and_removes_nothing() {
    let desk = Desk::new();
    desk.copy("cat.jpg", "a.jpg");
    let mut command = desk.command(&["--remove"]);
    command.stderr(Stdio::piped());
    let mut watch = Watch::begin(command);
    watch.caught_up();
    fs::rename(&desk.input, desk.folder.path().join("elsewhere")).expect("renamed");
    fs::create_dir(&desk.input).expect("another one");
    assert_eq!(watch.child.wait().expect("it ends").code(), Some(2));
    let stderr = watch.child.stderr.take().expect("a pipe");
    let words = std::io::read_to_string(stderr).expect("UTF-8");
    assert!(words.contains("is not there any more"), "{words}");
    assert!(desk.rendition("a.jpg").is_file());
}

#[test]
fn a_signal_lets_the_pictures_at_work_finish() {
    let desk = Desk::new();
    for number in 0..60 {
        desk.copy("cat.jpg", &format!("{number:02}.jpg"));
    }
    let mut watch = desk.begin(&["--jobs", "2"]);
    watch.line("a picture", |line| line["outcome"] == "done");
    watch.signal("-TERM");
    let end = watch.line("the end", |line| line["stopped"].is_object());
    assert_eq!(watch.child.wait().expect("it ends").code(), Some(0));
    let done = watch
        .earlier
        .iter()
        .chain(&watch.lines.iter().collect::<Vec<_>>())
        .filter(|line| line["source"].is_string())
        .count()
        + 1;
    let left = end["stopped"]["left"].as_u64().expect("a number");
    assert!(left > 0, "the signal came before the end");
    assert_eq!(
        done as u64 + left,
        60,
        "every picture is done, or has not begun"
    );
    for number in 0..60 {
        let folder = desk.out.join(format!("{number:02}.jpg"));
        if folder.exists() {
            assert_eq!(
                desk.manifest(&format!("{number:02}.jpg"))["state"],
                "complete"
            );
        }
    }
}
