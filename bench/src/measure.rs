//! One run of one program, and what it took of the machine.
//!
//! Each run is started by a process of its own, which does nothing else: what the system says of ended
//! children is then about this one, and a child's peak memory begins with that of whoever started it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

use crate::figures::Usage;

/// What this program is called with to be that process.
pub(crate) const WORD: &str = "measure-one";

/// Runs `program`, its words going to the file `log`; on one core alone if asked for. Fails in words.
pub(crate) fn run(
    program: &OsStr,
    words: &[OsString],
    environment: &[(&str, &str)],
    one_core: bool,
    log: &Path,
) -> Result<Usage, String> {
    let this =
        std::env::current_exe().map_err(|error| format!("no way to this program: {error}"))?;
    let output = Command::new(this)
        .arg(WORD)
        .arg(if one_core { "one-core" } else { "all-cores" })
        .arg(log)
        .arg(program)
        .args(words)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("a run could not be started: {error}"))?;
    if !output.status.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let end = said.len().saturating_sub(2000);
        let end = (end..said.len()).find(|at| said.is_char_boundary(*at));
        return Err(format!(
            "{} failed:\n{}",
            program.display(),
            end.map_or("", |end| &said[end..]).trim_end()
        ));
    }
    parsed(&output.stdout).ok_or_else(|| "a run told nothing of itself".to_owned())
}

fn parsed(line: &[u8]) -> Option<Usage> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let number = |name: &str| value.get(name)?.as_f64();
    Some(Usage {
        processor: number("user")? + number("system")?,
        wall: number("wall")?,
        peak: number("peak")?,
    })
}

/// This program as the process that starts one run: prints a line of JSON.
pub(crate) fn one(words: &[OsString]) -> ExitCode {
    match measured(words) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn measured(words: &[OsString]) -> Result<Value, String> {
    let [cores, log, program, words @ ..] = words else {
        return Err("this is called by the benchmark itself".to_owned());
    };
    if cores == "one-core" {
        keep_to_one_core()?;
    }
    let told = |error: std::io::Error| format!("{}: {error}", program.display());
    let log = File::create(log).map_err(told)?;
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(told)?)
        .stderr(log);
    let began = Instant::now();
    let status = command.status().map_err(told)?;
    let wall = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{} ended with {status}", program.display()));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    // Kibibytes, but for Apple's systems, which say bytes.
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    Ok(json!({
        "user": seconds(usage.user_time()),
        "system": seconds(usage.system_time()),
        "wall": wall,
        "peak": usage.max_rss() * unit,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "times of programs")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

#[cfg(target_os = "linux")]
fn keep_to_one_core() -> Result<(), String> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let own = Pid::from_raw(0);
    let told = |error: nix::Error| format!("this process can't be kept to one core: {error}");
    let allowed = sched_getaffinity(own).map_err(told)?;
    // The last one: the first is where most systems answer their interrupts.
    let last = (0..CpuSet::count()).rfind(|core| allowed.is_set(*core) == Ok(true));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or(0)).map_err(told)?;
    sched_setaffinity(own, &one).map_err(told)
}

#[cfg(not(target_os = "linux"))]
fn keep_to_one_core() -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_line_becomes_what_it_took() {
        let usage = parsed(br#"{"user":1.5,"system":0.25,"wall":2,"peak":4096}"#).unwrap();
        let expected = [1.75, 2.0, 4096.0];
        let pairs = usage.three().into_iter().zip(expected);
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9));
        assert_eq!(parsed(b""), None);
        assert_eq!(parsed(br#"{"user":1}"#), None);
    }
}
