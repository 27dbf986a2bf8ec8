//! The user guide is true: every command on the pages of `docs/guide` is run, in a folder with a copy of the samples, and
//! prints what the page shows. Each page has an S3 server of its own, in this process, with the samples in the bucket `uploads` and an
//! empty bucket `processed`.
//!
//! In a block of `console`, what follows `$ ` is run and the lines below it must be among what it prints, `…` standing for
//! anything. A block of `toml file NAME` is written to that file, one of `sh` is a script. What follows the language says more:
//! `exit 1` (of the block's last command), `until Ctrl-C` (its last command is stopped by one, once all its lines have come),
//! or `not run: WHY`.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use pixmill_testkit::s3_server::S3Server;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// More than any command of the guide takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(2);

struct Block {
    /// The line of the page on which it begins.
    line: usize,
    /// What follows the fence: the language, and more.
    info: String,
    text: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block {
                    line: at + 1,
                    info: info.trim().to_owned(),
                    text: Vec::new(),
                });
            }
            (None, Some(block)) => block.text.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The commands of a block, each with the lines that it is to print.
fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut goes_on = false;
    for line in &block.text {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (None, Some((command, _))) if goes_on => {
                command.push('\n');
                command.push_str(line);
            }
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.clone()),
            (None, None) => panic!("line {}: a block begins with `$ `", block.line),
        }
        let command = &commands.last().expect("one is there").0;
        goes_on = commands.last().expect("one is there").1.is_empty() && command.ends_with('\\');
    }
    commands
}

/// Whether a line is as the page shows it.
fn fits(shown: &str, line: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else {
        return shown == line;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.into_iter().any(|at| fits(rest, &line[at..]))
}

/// Where a page's commands are run.
struct Place {
    folder: tempfile::TempDir,
    server: S3Server,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = S3Server::start(&["uploads", "processed"]);
        let samples = folder.path().join("samples");
        for key in copy_samples(&samples) {
            let bytes = fs::read(samples.join(&key)).expect("a sample");
            server.bucket("uploads").insert(&key, bytes);
        }
        Self { folder, server }
    }
}

fn shell(command: &str, place: &Place) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_pixmill"));
    let mut path = vec![built.parent().expect("a folder").to_owned()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let folder = place.folder.path();
    let mut shell = Command::new("bash");
    shell
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", place.server.url().as_ref()),
        ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ] {
        shell.env(name, value);
    }
    shell.env("PATH", env::join_paths(path).expect("plain folders"));
    shell.env("HOME", folder);
    shell
}

/// Runs a command to its end: its exit code and all that it printed.
fn run(command: &str, place: &Place) -> (Option<i32>, Vec<String>) {
    let output = shell(command, place).output().expect("bash is there");
    let mut text = output.stdout;
    text.extend(output.stderr);
    let text = String::from_utf8(text).expect("UTF-8");
    (
        output.status.code(),
        text.lines().map(str::to_owned).collect(),
    )
}

/// Runs a command until it has printed all that is shown, and stops it as Ctrl-C does.
fn run_until_shown(command: &str, shown: &[String], place: &Place) -> (Option<i32>, Vec<String>) {
    let mut shell = shell(&format!("exec {command}"), place);
    let mut child = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("a pipe")),
        Box::new(child.stderr.take().expect("a pipe")),
    ];
    let (send, lines) = channel();
    for stream in streams {
        let send = send.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let _ = send.send(line.expect("UTF-8"));
            }
        });
    }
    drop(send);
    let mut printed = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while missing(shown, &printed).is_some() {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => printed.push(line),
            Err(_) => break,
        }
    }
    let process = child.id().to_string();
    let _ = Command::new("kill").args(["-INT", &process]).status();
    let status = child.wait().expect("it ends");
    printed.extend(lines);
    (status.code(), printed)
}

/// The first line that is shown and was not printed.
fn missing<'a>(shown: &'a [String], printed: &[String]) -> Option<&'a String> {
    let is_there = |shown: &&String| printed.iter().any(|line| fits(shown, line));
    shown.iter().find(|shown| *shown != "…" && !is_there(shown))
}

/// Copies the samples, and names them.
fn copy_samples(to: &Path) -> Vec<String> {
    let mut keys = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        fs::create_dir(to.join(&below)).expect("a folder");
        for entry in fs::read_dir(Path::new(ROOT).join("samples").join(&below)).expect("samples") {
            let entry = entry.expect("an entry");
            let below = below.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(below);
            } else {
                fs::copy(entry.path(), to.join(&below)).expect("a copy");
                keys.push(below.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    keys
}

/// What a page came to: how many commands were run, and why others were not.
struct Told {
    run: usize,
    wrong: Vec<String>,
    not_run: Vec<String>,
}

fn try_page(name: &str, page: &str) -> Told {
    let here = Place::new();
    let mut told = Told {
        run: 0,
        wrong: Vec::new(),
        not_run: Vec::new(),
    };
    for block in blocks(page) {
        let (language, more) = block.info.split_once(' ').unwrap_or((&block.info, ""));
        let place = format!("{name}, line {}", block.line);
        let todo = match language {
            "toml" => {
                if let Some(file) = more.strip_prefix("file ") {
                    let text = block.text.join("\n") + "\n";
                    fs::write(here.folder.path().join(file), text).expect("a file");
                }
                continue;
            }
            "console" => commands(&block),
            "sh" => vec![(block.text.join("\n"), Vec::new())],
            _ => continue,
        };
        if let Some(why) = more.strip_prefix("not run: ") {
            told.not_run.push(format!("{place}: {why}"));
            continue;
        }
        let last = todo.len() - 1;
        for (at, (command, shown)) in todo.iter().enumerate() {
            let is_last = at == last;
            let (until, exit) = match more {
                "until Ctrl-C" => (command.starts_with("pixmill watch"), 0),
                "" => (false, 0),
                more => {
                    let code = more
                        .strip_prefix("exit ")
                        .and_then(|code| code.parse().ok());
                    let code = code.unwrap_or_else(|| panic!("{place}: {more:?} says nothing"));
                    (false, if is_last { code } else { 0 })
                }
            };
            let (code, printed) = if until {
                run_until_shown(command, shown, &here)
            } else {
                run(command, &here)
            };
            told.run += 1;
            let trouble = if code == Some(exit) {
                missing(shown, &printed).map(|line| format!("nothing fits {line:?}"))
            } else {
                Some(format!("exit code {code:?} and not {exit}"))
            };
            if let Some(trouble) = trouble {
                let printed = printed.join("\n");
                told.wrong
                    .push(format!("{place}: `{command}`: {trouble} in\n{printed}\n"));
            }
        }
    }
    told
}

fn pages() -> BTreeMap<String, String> {
    let folder = Path::new(ROOT).join("docs/guide");
    let pages = fs::read_dir(folder).expect("the guide").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        (name.to_owned(), fs::read_to_string(&path).expect("a page"))
    });
    pages.collect()
}

#[test]
fn every_command_of_the_guide_prints_what_its_page_shows() {
    let pages = pages();
    let told: Vec<Told> = thread::scope(|scope| {
        let pages = pages.iter();
        let under_way = pages.map(|(name, page)| scope.spawn(move || try_page(name, page)));
        let under_way: Vec<_> = under_way.collect();
        let ended = under_way
            .into_iter()
            .map(|page| page.join().expect("a page"));
        ended.collect()
    });
    let run: usize = told.iter().map(|told| told.run).sum();
    let not_run: Vec<&String> = told.iter().flat_map(|told| &told.not_run).collect();
    println!(
        "{run} commands were run; {} blocks were not:",
        not_run.len()
    );
    for why in not_run {
        println!("  {why}");
    }
    let wrong: Vec<&str> = told
        .iter()
        .flat_map(|told| &told.wrong)
        .map(String::as_str)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 20, "the pages were not read");
}

#[test]
fn every_page_of_the_guide_is_in_its_table_and_begins_with_a_heading() {
    let pages = pages();
    for (name, page) in &pages {
        assert!(page.starts_with("# "), "{name}");
        let is_listed = pages["README.md"].contains(&format!("]({name})"));
        assert!(is_listed || name == "README.md", "{name}");
    }
}

#[test]
fn what_is_shown_fits_with_dots_for_whatever_differs() {
    assert!(fits("done a: …, … ms", "done a: 5 renditions, 12 ms"));
    assert!(fits("…a…", "banana"));
    assert!(fits("…", ""));
    assert!(!fits("done …", "undone a"));
    assert!(!fits("… ms", "12 ms!"));
    assert!(!fits("done", "done a"));
}
