//! `cargo xtask sweep`: the command over every file of a folder.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::machine;
use crate::{Failure, Task};

pub(crate) const TASK: Task = Task {
    name: "sweep",
    about: "Run the command over any folder of files, one process each: no abort, no hang",
    usage: " DIR [--memory SIZE] [--seconds N] [--jobs N] [--recipe FILE] [--json FILE]",
    details: "\
Every file below DIR goes through a process of its own, under a cap of memory (512 MiB of address space) and time
(30 s). Prints how many came out how, by code and by the ending of their names, the slowest, those that took
the most memory, and every fault: an abort, a hang, a panic that had to be fenced in, no outcome. Fails if
there is one. For folders of odd files: the more hostile, the better.",
    start,
};

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    machine::get_ready()?;
    machine::build(&["--bin", "pixmill", "--bin", "pixmill-sweep"])?;
    machine::run(
        Command::new(machine::built("pixmill-sweep")?)
            .arg("--program")
            .arg(machine::built("pixmill")?)
            .args(words),
    )
}
