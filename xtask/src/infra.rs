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
    let infra = Path::new("infra");
    step(infra, &data, &["fmt", "-check", "-recursive"])?;
    init(infra, &data, &["-backend=false"])?;
    step(infra, &data, &["validate"])?;
    step(infra, &data, &["test"])
}

/// Gets the provider for the code in `folder`: from its registry, or from a mirror on this machine.
pub(crate) fn init(folder: &Path, data: &Path, words: &[&str]) -> Result<(), Failure> {
    let init = [&["init", "-input=false"], words].concat();
    if runs(terraform(folder, data).args(&init).stderr(Stdio::null())) {
        return Ok(());
    }
    let Some(mirror) = mirror() else {
        // Once more, for its words.
        return step(folder, data, &init);
    };
    eprintln!(
        "There is no network for the provider; it comes from {}.",
        mirror.display()
    );
    let mirror = format!("-plugin-dir={}", mirror.display());
    step(folder, data, &[&init[..], &[&mirror]].concat())
}

fn terraform(folder: &Path, data: &Path) -> Command {
    let mut command = Command::new("terraform");
    // The working tree stays as it is, but for the lock file, which is not tracked.
    command.arg(format!("-chdir={}", folder.display()));
    command.env("TF_DATA_DIR", data);
    command.env("CHECKPOINT_DISABLE", "1");
    command.stdin(Stdio::null()).stdout(io::stderr());
    command
}

fn runs(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

fn step(folder: &Path, data: &Path, words: &[&str]) -> Result<(), Failure> {
    let line = format!("terraform -chdir={} {}", folder.display(), words.join(" "));
    eprintln!("\n{line}");
    if runs(terraform(folder, data).args(words)) {
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
