//! `cargo xtask deploy` and `cargo xtask destroy`: infra into an account, and out of it.

use std::ffi::OsString;
use std::io::{self, Write as _};

use std::process::{Command, ExitCode, Stdio};

use crate::machine::is_there;
use crate::{Failure, Task, package, python};

pub(crate) const DEPLOY: Task = Task {
    name: "deploy",
    about: "Package the function and apply infra to the account that AWS's variables name",
    usage: " [--yes] [--arm64] [--no-package] [-- TERRAFORM ARGUMENTS]",
    details: "\
Builds the package, runs terraform init and plan, shows the plan, asks, applies it, and says what was made and
who has to confirm an email. Each command is printed before it runs. Settings come from infra/terraform.tfvars
(see infra/terraform.tfvars.example); credentials from where AWS's own tools take them.

  --yes         doesn't ask
  --arm64       packages for Graviton, and says so to Terraform
  --no-package  takes the package that lies there
  -- ...        goes to terraform plan: -var ingest_mode=direct

Afterwards `cargo xtask smoke` tries it out.",
    start: deploy,
};

pub(crate) const DESTROY: Task = Task {
    name: "destroy",
    about: "Take out of the account what `deploy` made",
    usage: " [--with-pictures] [--yes] [-- TERRAFORM ARGUMENTS]",
    details: "\
Shows what goes, asks, and destroys it. Buckets with something in them stop it before anything is destroyed,
unless --with-pictures says that every picture, rendition and old version goes too. To look into them it takes
the aws command.

  --yes  doesn't ask
  -- ... goes to terraform: the -var arguments that deploy was given",
    start: destroy,
};

/// What a task was told.
struct Wanted {
    switches: Vec<String>,
    /// What goes to terraform.
    more: Vec<String>,
}

impl Wanted {
    fn has(&self, switch: &str) -> bool {
        self.switches.iter().any(|one| one == switch)
    }
}

fn read(words: Vec<OsString>, known: &[&str]) -> Result<Wanted, Failure> {
    let words = words.into_iter().map(|w| w.to_string_lossy().into_owned());
    let mut switches: Vec<String> = words.collect();
    let mut more = Vec::new();
    if let Some(at) = switches.iter().position(|word| word == "--") {
        more = switches.split_off(at);
        more.remove(0);
    }
    let unknown = switches.iter().find(|word| !known.contains(&word.as_str()));
    if let Some(word) = unknown {
        return Err(Failure::Usage(format!(
            "'{word}' is not something that this task takes; arguments for terraform follow `--`."
        )));
    }
    Ok(Wanted { switches, more })
}

fn deploy(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let wanted = read(words, &["--yes", "--arm64", "--no-package"])?;
    terraform_is_there()?;
    if !wanted.has("--no-package") {
        let how: &[&str] = if wanted.has("--arm64") {
            &["--arm64"]
        } else {
            &[]
        };
        eprintln!("\ncargo xtask package {}", how.join(" "));
        (package::TASK.start)(how.iter().map(OsString::from).collect())?;
    }
    let plan = python::target_folder()?.join("deploy.tfplan");
    let plan = plan.display();
    run("terraform", &["-chdir=infra", "init", "-input=false"])?;
    let mut planning = vec!["-chdir=infra", "plan", "-input=false"];
    let out = format!("-out={plan}");
    planning.push(&out);
    if wanted.has("--arm64") {
        planning.extend(["-var", "architecture=arm64"]);
    }
    planning.extend(wanted.more.iter().map(String::as_str));
    run("terraform", &planning)?;
    if !wanted.has("--yes") && !agreed("Make it so?")? {
        return Err(task("Nothing was changed."));
    }
    let plan = plan.to_string();
    let mut applying = vec!["-chdir=infra", "apply", "-input=false"];
    applying.extend(wanted.about_state());
    applying.push(&plan);
    run("terraform", &applying)?;
    eprintln!("\nDeployed. {}", output(&wanted, "sns_subscription_note")?);
    eprintln!("To see whether all of it works: cargo xtask smoke");
    Ok(ExitCode::SUCCESS)
}

fn destroy(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    const FORCE: [&str; 2] = ["-var", "force_destroy_buckets=true"];
    let wanted = read(words, &["--yes", "--with-pictures"])?;
    terraform_is_there()?;
    run("terraform", &["-chdir=infra", "init", "-input=false"])?;
    let full = full_buckets(&wanted)?;
    if !full.is_empty() && !wanted.has("--with-pictures") {
        return Err(task(&format!(
            "There is something in {}. Nothing was destroyed. To delete it too, with every old version:\n\n  \
             cargo xtask destroy --with-pictures\n",
            full.join(" and in ")
        )));
    }
    let mut planning = vec!["-chdir=infra", "plan", "-destroy", "-input=false"];
    planning.extend(wanted.more.iter().map(String::as_str));
    run("terraform", &planning)?;
    let question = if full.is_empty() {
        "Destroy all of this?".to_owned()
    } else {
        format!(
            "Destroy all of this, and everything in {}?",
            full.join(" and in ")
        )
    };
    if !wanted.has("--yes") && !agreed(&question)? {
        return Err(task("Nothing was changed."));
    }
    let more: Vec<&str> = wanted.more.iter().map(String::as_str).collect();
    let mut destroying = vec!["-chdir=infra", "destroy", "-auto-approve", "-input=false"];
    if wanted.has("--with-pictures") {
        // Terraform goes by what a bucket was told before.
        let buckets = "-target=module.s3_buckets.aws_s3_bucket.this";
        let telling = [
            "-chdir=infra",
            "apply",
            "-auto-approve",
            "-input=false",
            buckets,
        ];
        run("terraform", &[&telling[..], &FORCE, &more].concat())?;
        destroying.extend(FORCE);
    }
    run("terraform", &[&destroying[..], &more].concat())?;
    Ok(ExitCode::SUCCESS)
}

impl Wanted {
    /// What also goes to commands that take no variables.
    fn about_state(&self) -> impl Iterator<Item = &str> {
        let kept = |word: &&str| word.starts_with("-state") || word.starts_with("-lock");
        self.more.iter().map(String::as_str).filter(kept)
    }
}

/// The buckets that hold something, also if it is only old versions.
fn full_buckets(wanted: &Wanted) -> Result<Vec<String>, Failure> {
    if !is_there("aws") {
        eprintln!(
            "The aws command is not on this machine: whether buckets are empty is not looked at."
        );
        return Ok(Vec::new());
    }
    let mut full = Vec::new();
    for name in ["upload_bucket_name", "processed_bucket_name"] {
        let Ok(bucket) = output(wanted, name) else {
            // Half destroyed already, or never made.
            continue;
        };
        let words = [
            "s3api",
            "list-object-versions",
            "--bucket",
            &bucket,
            "--max-items",
            "1",
            "--query",
            "[Versions,DeleteMarkers][]|length(@)",
            "--output",
            "text",
        ];
        let count = answer("aws", &words)?;
        if count.lines().next().is_some_and(|count| count != "0") {
            full.push(bucket);
        }
    }
    Ok(full)
}

fn output(wanted: &Wanted, name: &str) -> Result<String, Failure> {
    let mut words = vec!["-chdir=infra", "output", "-raw"];
    words.extend(wanted.about_state());
    words.push(name);
    answer("terraform", &words)
}

pub(crate) fn terraform_is_there() -> Result<(), Failure> {
    if is_there("terraform") {
        return Ok(());
    }
    Err(task(
        "terraform is not on this machine; version 1.9 or later is needed: https://developer.hashicorp.com/terraform/install",
    ))
}

/// Prints a command, runs it, and stops where it fails.
fn run(program: &str, words: &[&str]) -> Result<(), Failure> {
    say(program, words);
    let status = Command::new(program)
        .args(words)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(task(&format!(
            "\n{program} failed; its own words are above."
        ))),
        Err(error) => Err(task(&format!("{program} could not be started: {error}"))),
    }
}

/// Prints a command and gives what it says, without the line's end.
pub(crate) fn answer(program: &str, words: &[&str]) -> Result<String, Failure> {
    say(program, words);
    let said = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let said = said.map_err(|error| task(&format!("{program} could not be started: {error}")))?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
    }
    Err(task(String::from_utf8_lossy(&said.stderr).trim()))
}

/// As a person would type it.
pub(crate) fn say(program: &str, words: &[&str]) {
    let quoted = words.iter().map(|word| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@".contains(c);
        if word.chars().all(is_plain) {
            (*word).to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    eprintln!("\n$ {program} {}", quoted.collect::<Vec<_>>().join(" "));
}

/// Whether somebody says yes. Where nobody is there to ask, nobody does.
fn agreed(question: &str) -> Result<bool, Failure> {
    eprint!("\n{question} Only `yes` is a yes: ");
    let mut said = String::new();
    let read = io::stderr()
        .flush()
        .and_then(|()| io::stdin().read_line(&mut said));
    read.map_err(|error| task(&format!("no answer: {error}")))?;
    Ok(said.trim() == "yes")
}

pub(crate) fn task(words: &str) -> Failure {
    Failure::Task(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_follows_two_hyphens_goes_to_terraform_and_the_rest_is_known_or_refused() {
        let words = |words: &[&str]| words.iter().map(Into::into).collect();
        let wanted = read(
            words(&["--yes", "--", "-var", "a=b", "--arm64"]),
            &["--yes"],
        );
        let wanted = wanted.ok().expect("good words");
        assert!(wanted.has("--yes") && !wanted.has("--arm64"));
        assert_eq!(wanted.more, ["-var", "a=b", "--arm64"]);
        assert!(read(words(&["--with-pictures"]), &["--yes"]).is_err());
        assert!(read(words(&["-var"]), &["--yes"]).is_err());
    }
}
