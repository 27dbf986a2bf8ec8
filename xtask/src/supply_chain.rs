//! `cargo xtask supply-chain`: what comes in from outside, held against deny.toml and known holes.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use crate::machine::{cargo, is_there};
use crate::{Failure, Task, refuse_arguments};

pub(crate) const TASK: Task = Task {
    name: "supply-chain",
    about: "Hold every dependency against deny.toml and against known vulnerabilities",
    usage: "",
    details: "\
Runs cargo-deny (licences, crates that come in twice, sources) and cargo-audit (the advisories of RustSec), and says how
to install what is missing. cargo-audit fetches its advisories from the network, so this is no part of `test`: there,
the tests hold the licences, the sources and the versions against the same deny.toml.",
    start: |words: Vec<OsString>| {
        refuse_arguments(&words)?;
        // All of them, so that one failure doesn't hide another, nor a missing program what the other one says.
        let mut failed = Vec::new();
        for (program, arguments) in CHECKS {
            if !is_there(program) {
                failed.push(format!(
                    "  {program} is not installed. This installs it: cargo install --locked {program}"
                ));
                continue;
            }
            eprintln!("\n{program}: cargo {}", arguments.join(" "));
            let status = cargo().args(arguments).stdin(Stdio::null()).status();
            if !status.is_ok_and(|status| status.success()) {
                failed.push(format!("  cargo {}", arguments.join(" ")));
            }
        }
        if failed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let failed = failed.join("\n");
        Err(Failure::Task(format!("\nFailed:\n\n{failed}\n")))
    },
};

/// The program, and what cargo is called with.
const CHECKS: [(&str, &[&str]); 2] = [
    (
        "cargo-deny",
        &["deny", "--locked", "check", "licenses", "bans", "sources"],
    ),
    ("cargo-audit", &["audit"]),
];
