//! `cargo xtask sweep DIR`: the command over every file below a folder, one process each under a cap of
//! memory and time, and what became of them. One outcome per file is what it asks for; an abort, a
//! hang, a panic that had to be fenced or a file without an outcome makes it fail.

mod one;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;
use clap::Parser;
use serde_json::json;
use walkdir::WalkDir;

/// Run the command over every file below a folder, one process each
#[derive(Debug, Parser)]
#[command(name = "sweep", bin_name = "cargo xtask sweep")]
struct Arguments {
    /// The folder of files, good and bad
    folder: PathBuf,
    /// The most address space that a process may have
    #[arg(long, default_value = "512MiB", value_name = "SIZE")]
    memory: ByteSize,
    /// The most seconds that a process may take
    #[arg(long, default_value_t = 30, value_name = "N")]
    seconds: u64,
    /// Processes at once [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Another recipe than the default one
    #[arg(short, long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Write one JSON object a file to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The command
    #[arg(long, hide = true)]
    program: PathBuf,
}

/// What became of one file.
struct Fate {
    path: PathBuf,
    ending: Ending,
    /// Seconds by the clock.
    seconds: f64,
    /// The most memory in use, in bytes.
    peak: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// It told an outcome: its word, its code, and the reason where there is one.
    Told {
        outcome: String,
        code: Option<String>,
        error: Option<String>,
    },
    /// It was ended, or ended itself, without one: by a signal, or by an exit code of its own.
    Aborted(String),
    /// It was still at work when its time was over.
    Hung,
}

impl Ending {
    /// What must never happen, in words.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Hung => Some("hung".to_owned()),
            Self::Aborted(how) => Some(how.clone()),
            Self::Told {
                code: Some(code), ..
            } if code == "decoder-panic" => Some("a decoder panicked and was fenced in".to_owned()),
            Self::Told { .. } => None,
        }
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == one::WORD) {
        return one::start(&words.collect::<Vec<_>>());
    }
    match sweep(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::from(2)
        }
    }
}

fn sweep(arguments: &Arguments) -> Result<bool, String> {
    let files = files_below(&arguments.folder)?;
    if files.is_empty() {
        return Err(format!(
            "There is no file below {}.",
            arguments.folder.display()
        ));
    }
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = arguments.jobs.unwrap_or(cores).get();
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = one::fate(path, arguments);
                    let mut fates = fates
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    fates.push(fate);
                    tell_progress(fates.len(), files.len());
                }
            });
        }
    });
    let mut fates = fates
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    fates.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(file) = &arguments.json {
        write_lines(file, &fates).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    print!("{}", table::of(&fates, &arguments.folder));
    Ok(fates.iter().all(|fate| fate.ending.fault().is_none()))
}

/// Every regular file, in the order of their paths.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| format!("The folder can't be read: {error}"))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn tell_progress(done: usize, all: usize) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let end = if done == all { "\n" } else { "" };
        // Nobody is to be told when nobody can be.
        let _ = write!(terminal, "\r{done} of {all} files{end}");
    }
}

fn write_lines(file: &Path, fates: &[Fate]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for fate in fates {
        let (outcome, code, error) = match &fate.ending {
            Ending::Told {
                outcome,
                code,
                error,
            } => (outcome.as_str(), code.as_deref(), error.as_deref()),
            Ending::Aborted(how) => ("aborted", None, Some(how.as_str())),
            Ending::Hung => ("hung", None, None),
        };
        let line: BTreeMap<_, _> = [
            ("path", json!(fate.path.to_string_lossy())),
            ("outcome", json!(outcome)),
            ("code", json!(code)),
            ("error", json!(error)),
            ("seconds", json!(fate.seconds)),
            ("peak_bytes", json!(fate.peak)),
        ]
        .into();
        writeln!(out, "{}", json!(line))?;
    }
    out.flush()
}
