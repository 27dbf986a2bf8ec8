//! `cargo xtask infra`: Terraform's own checks of `infra`, without an account.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::machine::is_there;
use crate::{Failure, Task, python, refuse_arguments};

pub(crate) const TASK: Task = Task {
    name: "infra",
    about: "Check the Terraform code: format, validity, tests with a mocked provider",
    usage: "",
    details: "\
Needs terraform and, the first time, a network for the AWS provider. Without a network, a mirror of
providers on this machine is looked for. No account is needed, and nothing is made anywhere.",
    start: |words| {
        refuse_arguments(&words)?;
        check()?;
        Ok(ExitCode::SUCCESS)
    },
};

/// As part of `cargo xtask test`: where terraform is missing, that is said, and on a build machine (which sets
/// `CI`) it is a failure.
pub(crate) fn check_if_possible() -> Result<(), Failure> {
    if is_there("terraform") || env::var_os("CI").is_some() {
        return check();
    }
    eprintln!(
        "\nLEFT OUT: the checks of infra, because terraform is not on this machine. `cargo xtask infra` runs them."
    );
    Ok(())
}

fn check() -> Result<(), Failure> {
    if !is_there("terraform") {
        return Err(Failure::Task(
            "terraform is not on this machine, and is needed to check infra; version 1.9 or later will do."
                .to_owned(),
        ));
    }
    let data = python::target_folder()?.join("terraform");
    step(&data, &["fmt", "-check", "-recursive"])?;
    let init = ["init", "-backend=false", "-input=false"];
    if !runs(terraform(&data).args(init).stderr(Stdio::null())) {
        let Some(mirror) = mirror() else {
            // Once more, for its words.
            return step(&data, &init);
        };
        eprintln!(
            "There is no network for the provider; it comes from {}.",
            mirror.display()
        );
        let mirror = format!("-plugin-dir={}", mirror.display());
        step(&data, &[&init[..], &[&mirror]].concat())?;
    }
    step(&data, &["validate"])?;
    step(&data, &["test"])
}

fn terraform(data: &Path) -> Command {
    let mut command = Command::new("terraform");
    // The working tree stays as it is, but for the lock file, which is not tracked.
    command.arg("-chdir=infra").env("TF_DATA_DIR", data);
    command.env("CHECKPOINT_DISABLE", "1");
    command.stdin(Stdio::null()).stdout(io::stderr());
    command
}

fn runs(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

fn step(data: &Path, words: &[&str]) -> Result<(), Failure> {
    let line = format!("terraform -chdir=infra {}", words.join(" "));
    eprintln!("\n{line}");
    if runs(terraform(data).args(words)) {
        return Ok(());
    }
    Err(Failure::Task(format!(
        "\nFailed. To repeat this step alone:\n\n  {line}\n"
    )))
}

/// A folder of providers as Terraform lays mirrors out: host, namespace, name, version, platform, binary.
fn mirror() -> Option<PathBuf> {
    let found = Command::new("find")
        .args(["/", "-xdev", "-path", "*/hashicorp/aws/*"])
        .args(["-name", "terraform-provider-aws_v*", "-print", "-quit"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(found.stdout).ok()?;
    let binary = Path::new(text.lines().next()?);
    Some(binary.ancestors().nth(6)?.to_owned())
}
