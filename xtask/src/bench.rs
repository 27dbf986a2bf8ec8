//! `cargo xtask bench`: time and memory beside sharp, pyvips and Pillow.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::machine::{self, cargo, is_there};
use crate::{Failure, Task, python};

pub(crate) const TASK: Task = Task {
    name: "bench",
    about: "Measure time, memory, bytes and quality beside sharp, pyvips and Pillow",
    usage: " [JOB]... [--pictures DIR] [--runs N] [--json FILE] [--page] [--skip-quality]",
    details: "\
Builds the command for release, installs the others below the target folder (sharp by npm, pyvips and Pillow by
pip), lets all take turns at the same work, and looks at what they made. Fails when something can't be run, never
because of a figure.

Jobs: five, thumbnails, one-core, without-webp, small, large, scaling, prediction. Without names, every one.

  --pictures DIR   the photos; without it, samples, which are few and small
  --runs N         rounds (5)
  --json FILE      every figure of every run
  --page           write docs/benchmarks.md
  --skip-quality   leave out SSIMULACRA2, which takes longer than all the rest",
    start,
};

/// What is measured beside us, and how it is called.
const PEERS: &str = "bench/peers";

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    machine::get_ready()?;
    // One after the other: what is measured has no feature that only the benchmark asked for.
    for package in ["pixmill-cli", "pixmill-bench"] {
        let status = cargo()
            .args(["build", "--release", "--package", package])
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .status()
            .map_err(|error| Failure::Task(format!("cargo could not be started: {error}")))?;
        if !status.success() {
            return Err(Failure::Task(format!("{package} could not be built.")));
        }
    }
    let target = python::target_folder()?;
    let built = |name: &str| {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        target.join("release").join(file)
    };
    let mut command = Command::new(built("pixmill-bench"));
    command
        .arg("--with-pixmill")
        .arg(built("pixmill"))
        .arg("--with-scratch")
        .arg(target.join("bench"));
    match with_node(&target) {
        Ok(folder) => command.arg("--with-node").arg(folder),
        Err(why) => command
            .arg("--without")
            .arg(format!("sharp is not measured: {why}")),
    };
    match with_python() {
        Ok(programs) => command.arg("--with-python").arg(programs),
        Err(Failure::Task(why) | Failure::Usage(why)) => command
            .arg("--without")
            .arg(format!("pyvips and Pillow are not measured: {why}")),
    };
    machine::run(command.args(words))
}

/// sharp and its script in a folder of their own; or why not.
fn with_node(target: &Path) -> Result<PathBuf, String> {
    if !is_there("node") || !is_there("npm") {
        return Err("node and npm are not on this machine".to_owned());
    }
    let folder = target.join("bench-node");
    let told = |error: io::Error| format!("{} can't be filled: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(told)?;
    let lock = fs::read_to_string(Path::new(PEERS).join("package-lock.json")).map_err(told)?;
    for file in ["package.json", "package-lock.json", "sharp.mjs"] {
        fs::copy(Path::new(PEERS).join(file), folder.join(file)).map_err(told)?;
    }
    // Written last, so that an installation that was cut off begins again.
    let done = folder.join("installed.json");
    if fs::read_to_string(&done).is_ok_and(|there| there == lock) {
        return Ok(folder);
    }
    eprintln!("Installing sharp into {} ...", folder.display());
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder);
    if !python::works(&mut npm) {
        return Err("npm could not install it; its own words are above".to_owned());
    }
    fs::write(&done, lock).map_err(told)?;
    Ok(folder)
}

fn with_python() -> Result<PathBuf, Failure> {
    let wanted = fs::read_to_string(Path::new(PEERS).join("requirements.txt"));
    let wanted = wanted.map_err(|error| {
        Failure::Task(format!(
            "{PEERS}/requirements.txt can't be read ({error}): call this from the root of the repository."
        ))
    })?;
    python::environment("bench-python", &wanted)
}
