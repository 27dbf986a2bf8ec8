//! One file in one process, started by a process of its own: what the system says of ended children is
//! then about this one alone.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use serde_json::{Value, json};

use crate::{Arguments, Ending, Fate};

/// What this program is called with to be that process.
pub(crate) const WORD: &str = "sweep-one";

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What the command makes of the file at `path`.
pub(crate) fn fate(path: &Path, arguments: &Arguments) -> Fate {
    let measured = measured(path, arguments);
    let (ending, seconds, peak) =
        measured.unwrap_or_else(|what| (Ending::Aborted(format!("not started: {what}")), 0.0, 0));
    Fate {
        path: path.to_owned(),
        ending,
        seconds,
        peak,
    }
}

fn measured(path: &Path, arguments: &Arguments) -> Result<(Ending, f64, u64), String> {
    let output = tempfile::tempdir().map_err(|error| error.to_string())?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command
        .arg(WORD)
        .arg(arguments.memory.as_u64().to_string())
        .arg(arguments.seconds.to_string())
        .arg(&arguments.program)
        .args(["convert", "--json", "--jobs", "1", "--quiet"])
        .arg("--output")
        .arg(output.path());
    if let Some(recipe) = &arguments.recipe {
        command.arg("--recipe").arg(recipe);
    }
    let done = command
        .arg("--")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let told: Value = serde_json::from_slice(&done.stdout)
        .map_err(|_| String::from_utf8_lossy(&done.stderr).trim().to_owned())?;
    let seconds = told["seconds"].as_f64().unwrap_or_default();
    let peak = told["peak"].as_u64().unwrap_or_default();
    Ok((ending(&told), seconds, peak))
}

fn ending(told: &Value) -> Ending {
    if told["hung"] == true {
        return Ending::Hung;
    }
    let lines = told["said"].as_str().unwrap_or_default().lines();
    let mut objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let outcome = objects.find_map(|object| {
        Some(Ending::Told {
            outcome: text(&object["outcome"])?,
            code: text(&object["code"]),
            error: text(&object["message"]),
        })
    });
    let how = text(&told["status"]).unwrap_or_default();
    match (outcome, told["usual"] == true) {
        (Some(outcome), true) => outcome,
        (Some(_), false) => Ending::Aborted(format!("told an outcome, then ended with {how}")),
        (None, _) => Ending::Aborted(format!("no outcome; ended with {how}")),
    }
}

/// This program as the process that starts one: prints one JSON object.
pub(crate) fn start(words: &[OsString]) -> ExitCode {
    match watch(words) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn watch(words: &[OsString]) -> Result<Value, String> {
    let number = |word: &OsStr| word.to_str().and_then(|word| word.parse::<u64>().ok());
    let [memory, seconds, program, words @ ..] = words else {
        return Err("this is called by the sweep itself".to_owned());
    };
    let (memory, seconds) = number(memory)
        .zip(number(seconds))
        .ok_or("two numbers are needed")?;
    // Handed on to the child; this process itself needs next to nothing.
    setrlimit(Resource::RLIMIT_AS, memory, memory).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut output = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).map(|_| said)
    });
    let deadline = began + Duration::from_secs(seconds);
    let mut hung = false;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if Instant::now() >= deadline {
            hung = true;
            child.kill().map_err(|error| error.to_string())?;
            break child.wait().map_err(|error| error.to_string())?;
        }
        std::thread::sleep(LOOK);
    };
    let took = began.elapsed().as_secs_f64();
    let said = reader.join().map_err(|_| "the reader is gone")?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    // Kibibytes, but for Apple's systems, which say bytes.
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    Ok(json!({
        "hung": hung,
        "usual": is_usual(status),
        "status": status.to_string(),
        "said": said.map_err(|error| error.to_string())?,
        "seconds": took,
        "peak": usage.max_rss() * unit,
    }))
}

/// The command says 0 when all is done, and 1 when something was rejected or failed.
fn is_usual(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_counts_only_where_the_process_ended_as_it_should() {
        let told = |said: &str, usual: bool| {
            ending(&json!({ "hung": false, "usual": usual, "status": "signal: 6", "said": said }))
        };
        let line = r#"{"outcome":"rejected","code":"corrupt","message":"why"}"#;
        assert_eq!(
            told(line, true),
            Ending::Told {
                outcome: "rejected".to_owned(),
                code: Some("corrupt".to_owned()),
                error: Some("why".to_owned()),
            }
        );
        assert!(matches!(told(line, false), Ending::Aborted(how) if how.contains("signal: 6")));
        assert!(matches!(told("{\"sources\":1}", true), Ending::Aborted(_)));
        assert_eq!(ending(&json!({ "hung": true })), Ending::Hung);
        assert!(ending(&json!({ "hung": true })).fault().is_some());
        let panicked = r#"{"outcome":"rejected","code":"decoder-panic"}"#;
        assert!(told(panicked, true).fault().is_some());
        assert_eq!(told(line, true).fault(), None);
    }
}
