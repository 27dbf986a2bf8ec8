//! What the build needs from the machine, apart from Rust.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Failure;

/// A program that a build script calls.
struct Tool {
    program: &'static str,
    package: &'static str,
}

/// libjpeg-turbo is built from source: cmake writes makefiles, cc compiles, nasm assembles the SIMD
/// routines (elsewhere than on x86 the C compiler assembles them itself).
const TOOLS: &[Tool] = &[
    Tool {
        program: "cmake",
        package: "cmake",
    },
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Tool {
        program: "nasm",
        package: "nasm",
    },
    #[cfg(unix)]
    Tool {
        program: "make",
        package: "make",
    },
    #[cfg(unix)]
    Tool {
        program: "cc",
        package: "gcc",
    },
];

/// How each system installs packages: the program that tells which system it is, then the command.
const INSTALLERS: &[(&str, &str, NeedsRoot)] = &[
    (
        "apt-get",
        "apt-get install -y --no-install-recommends",
        NeedsRoot::Yes,
    ),
    ("dnf", "dnf install -y", NeedsRoot::Yes),
    ("pacman", "pacman -S --needed --noconfirm", NeedsRoot::Yes),
    ("zypper", "zypper install -y", NeedsRoot::Yes),
    ("apk", "apk add", NeedsRoot::Yes),
    ("brew", "brew install", NeedsRoot::No),
];

#[derive(Clone, Copy, PartialEq)]
enum NeedsRoot {
    Yes,
    No,
}

/// The cargo that called us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What it told us about this package; build scripts look at it, and would be run again because of it.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Builds programs of the workspace in the dev profile, which optimises what touches pixels, and with the features of all
/// of it: `cargo run --package pixmill-cli` would settle on fewer, and the tests would then build core and half of its
/// dependencies a second time.
pub(crate) fn build(what: &[&str]) -> Result<(), Failure> {
    let status = cargo()
        .args(["build", "--workspace", "--all-features"])
        .args(what)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .map_err(|error| Failure::Task(format!("cargo could not be started: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Task("It could not be built.".to_owned()))
    }
}

/// The program of this name, which [`build`] has put beside this one: both are of one profile.
pub(crate) fn built(name: &str) -> Result<PathBuf, Failure> {
    let here = env::current_exe()
        .map_err(|error| Failure::Task(format!("This program cannot find itself: {error}")))?;
    Ok(here.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// Runs `command` to its end, in the foreground, and gives back its exit code.
pub(crate) fn run(command: &mut Command) -> Result<ExitCode, Failure> {
    let program = command.get_program().to_owned();
    let status = command.stdin(Stdio::null()).status().map_err(|error| {
        Failure::Task(format!(
            "{} could not be started: {error}",
            program.display()
        ))
    })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Makes sure that the build can work, or says what the person has to do first.
pub(crate) fn get_ready() -> Result<(), Failure> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let programs = join(&missing, ", ", |tool| tool.program);
    let packages = join(&missing, " ", |tool| tool.package);

    if is_root() && is_there("apt-get") {
        eprintln!(
            "Not on this machine, and needed to build libjpeg-turbo: {programs}. Installing: {packages}"
        );
        return install(&packages);
    }
    let how = installer(&packages, is_there, is_root()).map_or_else(
        || "Install them with your system's package manager, then try again.".to_owned(),
        |command| format!("This installs them:\n\n  {command}\n"),
    );
    Err(Failure::Task(format!(
        "Not on this machine, and needed to build libjpeg-turbo: {programs}.\n{how}"
    )))
}

fn missing() -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| !is_there(tool.program))
        .collect()
}

/// The one command for this system.
pub(crate) fn installer(
    packages: &str,
    is_there: impl Fn(&str) -> bool,
    root: bool,
) -> Option<String> {
    let (_, command, needs_root) = INSTALLERS.iter().find(|(program, ..)| is_there(program))?;
    let sudo = if *needs_root == NeedsRoot::Yes && !root {
        "sudo "
    } else {
        ""
    };
    Some(format!("{sudo}{command} {packages}"))
}

/// On Debian and its relatives. A fresh container has no package lists, or old ones: they are fetched
/// only if the first try fails.
pub(crate) fn install(packages: &str) -> Result<(), Failure> {
    let fetch = || apt_get("update");
    let take = || apt_get(&format!("install -y --no-install-recommends {packages}"));
    if (take() || (fetch() && take())) && missing().is_empty() {
        Ok(())
    } else {
        Err(Failure::Task(format!(
            "apt-get could not install them. Install these yourself, then try again: {packages}"
        )))
    }
}

/// Its output goes to standard error: standard output belongs to what the person asked for.
fn apt_get(arguments: &str) -> bool {
    Command::new("apt-get")
        .args(arguments.split(' '))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program is in one of the folders where programs are looked for.
pub(crate) fn is_there(program: &str) -> bool {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| is_program(&folder.join(&file))))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn join(tools: &[&Tool], between: &str, name: impl Fn(&Tool) -> &str) -> String {
    tools
        .iter()
        .map(|tool| name(tool))
        .collect::<Vec<_>>()
        .join(between)
}

#[cfg(test)]
mod tests {
    use super::installer;

    #[test]
    fn every_system_is_told_its_one_command() {
        let command =
            |system: &str, root| installer("cmake nasm", |program| program == system, root);
        assert_eq!(
            command("apt-get", false).as_deref(),
            Some("sudo apt-get install -y --no-install-recommends cmake nasm")
        );
        assert_eq!(
            command("dnf", true).as_deref(),
            Some("dnf install -y cmake nasm")
        );
        assert_eq!(
            command("apk", false).as_deref(),
            Some("sudo apk add cmake nasm")
        );
        assert_eq!(
            command("brew", false).as_deref(),
            Some("brew install cmake nasm")
        );
        assert_eq!(command("emerge", false), None);
    }
}
