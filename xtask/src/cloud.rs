//! `cargo xtask cloud`: the real infra and the real function, deployed on this machine.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use crate::machine::{self, is_there};
use crate::{Failure, Task, infra, package, python};

pub(crate) const TASK: Task = Task {
    name: "cloud",
    about: "Deploy infra on this machine, and see pictures, alarms and messages through",
    usage: " [queue | direct]",
    details: "\
Terraform applies infra to moto, an emulator of AWS; pictures are uploaded, the deployed function makes its
renditions, bad ones become alarms and messages, and everything is destroyed. Each line says when, who did it
(Terraform, moto, the harness, the function) and what was seen. Without a word, both ingest modes beside each
other: about two and a half minutes, most of it the provider's own pauses.

Needs terraform and Python 3. Where one is missing, that is said (and where CI is set, it fails).
Everything is below target/cloud: state, logs of Terraform and of moto.",
    start: |words| {
        let modes: Vec<_> = words.iter().map(|word| word.to_str()).collect();
        match modes[..] {
            [] => run_if_possible(&MODES, build)?,
            [Some(mode)] if MODES.contains(&mode) => run_if_possible(&[mode], build)?,
            _ => {
                let words = "The modes are queue and direct.".to_owned();
                return Err(Failure::Usage(words));
            }
        }
        Ok(ExitCode::SUCCESS)
    },
};

fn build() -> Result<(), Failure> {
    machine::build(&["--bins"])
}

const MODES: [&str; 2] = ["queue", "direct"];

/// As the last part of `cargo xtask test`, whose tests have built the programs: building them by themselves would settle on
/// fewer features, and build half of everything once more.
pub(crate) fn both_if_possible() -> Result<(), Failure> {
    run_if_possible(&MODES, || Ok(()))
}

fn run_if_possible(modes: &[&str], build: fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let tools = ["terraform", python::PYTHON.0];
    let missing: Vec<_> = tools.into_iter().filter(|tool| !is_there(tool)).collect();
    if missing.is_empty() {
        return run(modes, build);
    }
    let missing = missing.join(" and ");
    if env::var_os("CI").is_some() {
        return Err(task(&format!(
            "{missing}: not on this machine, and needed to deploy infra on it."
        )));
    }
    eprintln!(
        "\nLEFT OUT: the deployment of infra on this machine in the modes {}, because {missing} is not there. \
         `cargo xtask cloud` runs it.",
        modes.join(" and ")
    );
    Ok(())
}

fn run(modes: &[&str], build: fn() -> Result<(), Failure>) -> Result<(), Failure> {
    machine::get_ready()?;
    let python = PathBuf::from(python::get_ready()?).with_file_name(python::PYTHON.0);
    build()?;
    let here = env::current_exe().map_err(|error| task(&error.to_string()))?;
    let target = python::target_folder()?.join("cloud");
    fs::create_dir_all(&target).map_err(|error| cannot(&target, &error))?;
    let zip = pack(&here, &target)?;

    let mut running = Vec::new();
    for mode in modes {
        let folder = target.join(mode);
        prepare(&folder)?;
        let program = here.with_file_name(format!("cloud{}", env::consts::EXE_SUFFIX));
        let mut story = Command::new(program);
        story.arg(mode).arg(&folder).arg(&zip).arg(&python);
        let story = story.stdin(Stdio::null()).spawn();
        let story = story.map_err(|error| task(&format!("cloud could not be started: {error}")));
        running.push((mode, Running(story?)));
    }
    let mut failed = Vec::new();
    for (mode, mut story) in running {
        let status = story.0.wait().map_err(|error| task(&error.to_string()))?;
        if !status.success() {
            failed.push(format!("cargo xtask cloud {mode}"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(task(&format!(
        "\nFailed; the logs are below {}. To repeat:\n\n  {}\n",
        target.display(),
        failed.join("\n  ")
    )))
}

/// Ended when we give up early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The function's package, of the binary that the tests use; without its symbols, where they can be taken out, because
/// it is uploaded and unpacked twice.
fn pack(here: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let (built, copy) = (here.with_file_name("bootstrap"), target.join("bootstrap"));
    fs::copy(&built, &copy).map_err(|error| cannot(&built, &error))?;
    let _ = Command::new("strip").arg(&copy).status();
    let zip = target.join("bootstrap.zip");
    package::pack(&zip, &copy, Path::new("recipe.toml"), 1)?;
    Ok(zip)
}

/// A folder with a copy of infra, initialised. Not infra itself: neither is anything left there, nor is somebody's own
/// `terraform.tfvars` read.
fn prepare(folder: &Path) -> Result<(), Failure> {
    let _ = fs::remove_dir_all(folder);
    let copy = folder.join("infra");
    copy_code(Path::new("infra"), &copy).map_err(|error| cannot(&copy, &error))?;
    infra::init(&copy, &folder.join("data"), &[])
}

fn copy_code(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_part = path
            .extension()
            .is_some_and(|end| end == "tf" || end == "json" || end == "png");
        let is_hidden = name.to_string_lossy().starts_with('.');
        if path.is_dir() && !is_hidden && name != "tests" {
            copy_code(&path, &to.join(name))?;
        } else if is_part {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    task(&format!("{}: {error}", path.display()))
}

fn task(words: &str) -> Failure {
    Failure::Task(words.to_owned())
}
