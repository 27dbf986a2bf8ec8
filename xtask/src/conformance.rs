//! `cargo xtask conformance`: renditions held against what other programs make of the same pictures.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

use crate::machine::{self, is_there};
use crate::{Failure, Task, python};

pub(crate) const TASK: Task = Task {
    name: "conformance",
    about: "Hold renditions of a folder against Pillow's and libvips's own",
    usage: " FOLDER [--page FOLDER] [--json FILE] [--worst N] | --self-check",
    details: "\
Runs the command over every picture in FOLDER, and compares each rendition's pixels with what Pillow and libvips
make of the same source: color, orientation, alpha, depth, resampling, animations; and looks for metadata that
should be gone. Prints a table; fails when something is off and no reason for it is known.

  --page FOLDER   write a page with the worst sources side by side (index.html)
  --json FILE     write everything that was found, one entry a source
  --worst N       how many the page shows [default: 10]
  --self-check    make mistakes on purpose, and see that each is noticed; needs no pictures

Takes Python 3 with venv; Pillow, libvips and NumPy are put below the target folder (140 MB), which needs a
network the first time. Where exiftool is installed, it looks at the metadata too. Bounds and their reasons
are in tests/conformance/judgement.py, single exceptions in tests/conformance/exceptions.json.",
    start,
};

/// What is installed, every version pinned.
const REQUIREMENTS: &str = "tests/conformance/requirements.txt";
const PROGRAM: &str = "tests/conformance/compare.py";

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    if words.is_empty() {
        let what = "Which folder? The sample pictures are in `samples`.".to_owned();
        return Err(Failure::Usage(what));
    }
    let checks_itself = words.iter().any(|word| word == "--self-check");
    let pixmill = if checks_itself {
        "pixmill".into()
    } else {
        machine::get_ready()?;
        machine::build(&["--bin", "pixmill"])?;
        machine::built("pixmill")?
    };
    let mut compare = program()?;
    machine::run(compare.arg("--pixmill").arg(pixmill).args(words))
}

/// As a part of `cargo xtask test`: that the comparer notices what it is there for.
pub(crate) fn check_itself_if_possible() -> Result<(), Failure> {
    if !is_there(python::PYTHON.0) && env::var_os("CI").is_none() {
        eprintln!(
            "\nLEFT OUT: the conformance run's check of itself, because Python is not there."
        );
        return Ok(());
    }
    eprintln!("\nconformance: cargo xtask conformance --self-check");
    let mut compare = program()?;
    if python::works(compare.args(["--pixmill", "pixmill", "--self-check"])) {
        return Ok(());
    }
    Err(Failure::Task(
        "\nFailed: the comparer overlooks a mistake. To repeat this step alone:\n\n  \
         cargo xtask conformance --self-check\n"
            .to_owned(),
    ))
}

/// The comparing program, to be given its arguments.
fn program() -> Result<Command, Failure> {
    let wanted = fs::read_to_string(REQUIREMENTS).map_err(|error| {
        Failure::Task(format!(
            "{REQUIREMENTS} can't be read ({error}): call this from the root of the repository."
        ))
    })?;
    let programs = python::environment("conformance", &wanted)?;
    let mut command = Command::new(programs.join(python::PYTHON.0));
    // No compiled modules in the tree.
    command.args(["-B", PROGRAM]);
    Ok(command)
}
