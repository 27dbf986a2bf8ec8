//! `cargo xtask rehearse`: alarms on a virtual clock.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

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
    let here = env::current_exe()
        .map_err(|error| Failure::Task(format!("This program cannot find itself: {error}")))?;
    let rehearse = format!("rehearse{}", env::consts::EXE_SUFFIX);
    let status = Command::new(here.with_file_name(rehearse))
        .args(words)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Failure::Task(format!("The rehearsal could not be started: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
