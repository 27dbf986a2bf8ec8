//! `cargo xtask test` and `cargo xtask lint`: what must hold before a change is in.

use std::fmt;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use crate::machine::{self, cargo, is_there};
use crate::{Failure, Task, cloud, conformance, infra, python, refuse_arguments};

pub(crate) const TEST: Task = Task {
    name: "test",
    about: "Check everything: format, lints, features, documentation, doc tests, tests",
    usage: "",
    details: "\
Each step is announced, and the first that fails ends the run and says how to repeat it alone.
Tests run under cargo-nextest where it is installed, else under `cargo test`. The build machine
calls this and nothing else.

Some tests talk to moto, an emulator of AWS in Python: it is put into a virtual environment below the
target folder, which takes Python 3 and, the first time, a network. A bare `cargo test` leaves these out.
Terraform checks infra where it is installed, and at the end deploys it to moto (`cargo xtask cloud`); where it
isn't, that is said (and where CI is set, it fails).",
    start: |words| {
        refuse_arguments(&words)?;
        // First, so that what is missing is said before minutes of work.
        machine::get_ready()?;
        let moto = python::get_ready()?;
        // It compiles nothing, so it comes before what does.
        infra::check_if_possible()?;
        conformance::check_itself_if_possible()?;
        let passed = in_order(&[lint_steps(), feature_steps(), fuzz_steps(), test_steps(moto)].concat())?;
        // Of programs that the tests have built.
        cloud::both_if_possible()?;
        Ok(passed)
    },
};

pub(crate) const LINT: Task = Task {
    name: "lint",
    about: "The quick half of `test`: format, lints, documentation",
    usage: "",
    details: "Formats nothing and mends nothing: `cargo fmt --all` and `cargo clippy --fix` do.",
    start: |words| {
        refuse_arguments(&words)?;
        in_order(&lint_steps())
    },
};

/// One cargo command, and what it is for.
#[derive(Clone)]
struct Step {
    what: &'static str,
    variable: Option<(&'static str, String)>,
    arguments: Vec<&'static str>,
}

impl Step {
    fn new(what: &'static str, arguments: &'static str) -> Self {
        Self {
            what,
            variable: None,
            arguments: arguments.split(' ').collect(),
        }
    }
}

/// As a person would type it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = &self.variable {
            write!(f, "{name}='{value}' ")?;
        }
        write!(f, "cargo {}", self.arguments.join(" "))
    }
}

// `--workspace --all-features` everywhere: cargo builds a dependency once for each set of features
// that is asked of it, so one set means one build.
//
// What compiles nothing comes first, and the tests last, so that their count is the last thing said.

fn lint_steps() -> Vec<Step> {
    vec![
        Step::new("format", "fmt --all --check"),
        Step::new(
            "lints",
            "clippy --workspace --all-targets --all-features -- -D warnings",
        ),
        Step {
            variable: Some(("RUSTDOCFLAGS", "-D warnings".to_owned())),
            ..Step::new("documentation", "doc --workspace --no-deps --all-features")
        },
    ]
}

/// A workspace of its own, which a change of the library's interface would break unnoticed.
fn fuzz_steps() -> Vec<Step> {
    vec![Step::new(
        "fuzz targets",
        "clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --all-targets -- -D warnings",
    )]
}

/// The library without its codecs, and with a few sets that embedders are likely to choose.
fn feature_steps() -> Vec<Step> {
    vec![
        Step::new(
            "no features",
            "clippy --package pixmill --no-default-features -- -D warnings",
        ),
        Step::new(
            "JPEG only",
            "clippy --package pixmill --no-default-features --features jpeg -- -D warnings",
        ),
        Step::new(
            "PNG only",
            "clippy --package pixmill --no-default-features --features png -- -D warnings",
        ),
        Step::new(
            "AVIF and icons only",
            "clippy --package pixmill --no-default-features --features avif,ico -- -D warnings",
        ),
        Step::new(
            "PNM, QOI and TGA only",
            "clippy --package pixmill --no-default-features --features pnm,qoi,tga -- -D warnings",
        ),
        Step::new(
            "WebP and GIF only",
            "clippy --package pixmill --no-default-features --features webp,gif -- -D warnings",
        ),
        // In the workspace its tests may lean on features that only others ask for.
        Step::new(
            "the library's tests by themselves",
            "clippy --package pixmill --all-targets --all-features -- -D warnings",
        ),
    ]
}

/// Ignored tests are those that need moto.
fn test_steps(moto: String) -> Vec<Step> {
    let tests = if is_there("cargo-nextest") {
        "nextest run --workspace --all-features --run-ignored all"
    } else {
        "test --workspace --all-features --lib --bins --tests --examples --no-fail-fast -- --include-ignored"
    };
    vec![
        Step::new("doc tests", "test --workspace --all-features --doc"),
        Step {
            variable: Some(("PIXMILL_MOTO_SERVER", moto)),
            ..Step::new("tests", tests)
        },
    ]
}

/// Stops at the first step that fails.
fn in_order(steps: &[Step]) -> Result<ExitCode, Failure> {
    machine::get_ready()?;
    let begin = Instant::now();
    let count = steps.len();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n[{}/{count}] {}: {step}", index + 1, step.what);
        let status = cargo()
            .args(&step.arguments)
            .envs(step.variable.clone())
            .stdin(Stdio::null())
            .status()
            .map_err(|error| Failure::Task(format!("cargo could not be started: {error}")))?;
        if !status.success() {
            return Err(Failure::Task(format!(
                "\nFailed: {}. To repeat this step alone:\n\n  {step}\n",
                step.what
            )));
        }
    }
    let seconds = begin.elapsed().as_secs();
    eprintln!(
        "\nAll {count} steps passed, in {} min {} s.",
        seconds / 60,
        seconds % 60
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::{feature_steps, lint_steps, test_steps};

    #[test]
    fn a_step_reads_as_it_would_be_typed() {
        let moto = "target/python/bin/moto_server".to_owned();
        let steps = [lint_steps(), feature_steps(), test_steps(moto)].concat();
        assert_eq!(steps[0].to_string(), "cargo fmt --all --check");
        assert_eq!(
            steps[2].to_string(),
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features"
        );
    }
}
