//! `cargo xtask rehearse`: alarms on a virtual clock.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::machine;
use crate::{Failure, Task};

pub(crate) const TASK: Task = Task {
    name: "rehearse",
    about: "Let things go wrong on a virtual clock: which alarm tells whom, and when",
    usage: " [SCENE]... [--dashboard FOLDER]",
    details: "\
The real function's log lines, the metric filters, CloudWatch's rules for alarms: each scene's timeline, the
messages that each channel gets, and a table of how soon. Without names, every scene. Fails when an alarm is
late, silent or on the wrong channel, or when one tells that shouldn't.

With --dashboard, each scene's dashboard is drawn as a page into that folder.",
    start,
};

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    machine::get_ready()?;
    machine::build(&["--bins"])?;
    machine::run(Command::new(machine::built("rehearse")?).args(words))
}
