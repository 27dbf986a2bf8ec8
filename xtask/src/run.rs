//! `cargo xtask run`: from a fresh clone to a picture, in one command.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::machine;
use crate::{Failure, Task};

pub(crate) const TASK: Task = Task {
    name: "run",
    about: "Build the `pixmill` command and run it: cargo xtask run -- ARGS",
    usage: " -- ARGS",
    details: "\
Everything after `--` goes to `pixmill`; its output and its exit code come back untouched.
The first run builds everything, which takes five to ten minutes; later runs start at once.

Example:
  cargo xtask run -- convert samples -o out

C libraries are built on the way, which takes cmake and nasm. Where they are missing, they are
installed (as root, on a system with apt-get), or you are told the one command that installs them.",
    start,
};

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let mut words = words.into_iter();
    if let Some(first) = words.next()
        && first != "--"
    {
        return Err(Failure::Usage(format!(
            "Put `--` before what is meant for pixmill: cargo xtask run -- {} ...",
            first.to_string_lossy()
        )));
    }
    machine::get_ready()?;

    machine::build(&["--bin", "pixmill"])?;
    let mut command = Command::new(machine::built("pixmill")?);
    command.args(words);
    become_it(command)
}

/// Turns this process into the command, so that Ctrl-C and kill reach `pixmill` itself and nobody
/// returns to the prompt while it is still tidying up.
#[cfg(unix)]
fn become_it(mut command: Command) -> Result<ExitCode, Failure> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(Failure::Task(format!(
        "pixmill could not be started: {error}"
    )))
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> Result<ExitCode, Failure> {
    let status = command
        .status()
        .map_err(|error| Failure::Task(format!("pixmill could not be started: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
