//! What some tests need from Python: moto, an emulator of AWS, in a virtual environment of its own.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::machine::{install, installer, is_root, is_there};

/// What is installed, every version pinned.
const REQUIREMENTS: &str = "tests/requirements.txt";

#[cfg(not(windows))]
const PYTHON: (&str, &str) = ("python3", "bin");
#[cfg(windows)]
const PYTHON: (&str, &str) = ("python", "Scripts");

/// Makes sure that moto is there, and says where.
pub(crate) fn get_ready() -> Result<String, Failure> {
    let wanted = fs::read_to_string(REQUIREMENTS).map_err(|error| {
        Failure::Task(format!(
            "{REQUIREMENTS} can't be read ({error}): call this from the root of the repository."
        ))
    })?;
    let folder = environment()?;
    let programs = folder.join(PYTHON.1);
    let moto = programs.join(format!("moto_server{}", env::consts::EXE_SUFFIX));
    let moto_path = moto.to_string_lossy().into_owned();

    // Written last, so that an installation that was cut off begins again.
    let done = folder.join("requirements.txt");
    if moto.is_file() && fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(moto_path);
    }
    eprintln!(
        "Installing moto for the tests, into {} ...",
        folder.display()
    );
    make_environment(&folder)?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let mut command = Command::new(programs.join(PYTHON.0));
    command.args(pip).arg("--requirement").arg(REQUIREMENTS);
    if !works(&mut command) {
        return Err(Failure::Task(format!(
            "pip could not install what {REQUIREMENTS} names; its own words are above. \
             Without moto, `cargo nextest run` (or `cargo test`) runs everything else."
        )));
    }
    fs::write(&done, wanted)
        .map_err(|error| Failure::Task(format!("{} can't be written: {error}", done.display())))?;
    Ok(moto_path)
}

/// Below the target folder, in which this program lies as `debug/xtask`.
fn environment() -> Result<PathBuf, Failure> {
    let this = env::current_exe()
        .map_err(|error| Failure::Task(format!("This program cannot find itself: {error}")))?;
    let target = this.ancestors().nth(2);
    let target = target.ok_or_else(|| Failure::Task("There is no target folder.".to_owned()))?;
    Ok(target.join("python"))
}

fn make_environment(folder: &Path) -> Result<(), Failure> {
    let make = || {
        let mut command = Command::new(PYTHON.0);
        // Anew: what is left of another Python or of an interrupted run would only be in the way.
        works(command.args(["-m", "venv", "--clear"]).arg(folder))
    };
    if make() {
        return Ok(());
    }
    let packages = packages(is_there);
    if is_root() && is_there("apt-get") {
        eprintln!("Python 3 with venv is needed for the tests. Installing: {packages}");
        install(packages)?;
        if make() {
            return Ok(());
        }
    }
    let how = installer(packages, is_there, is_root()).map_or_else(
        || "Install it with your system's package manager, then try again.".to_owned(),
        |command| format!("This installs it:\n\n  {command}\n"),
    );
    Err(Failure::Task(format!(
        "Python 3 with its module venv is not on this machine, and moto, which the tests need, runs on it.\n{how}"
    )))
}

/// What the systems' packages are called: Debian and its relatives keep venv in one of its own.
fn packages(is_there: impl Fn(&str) -> bool) -> &'static str {
    if is_there("apt-get") {
        "python3-venv"
    } else if is_there("pacman") {
        "python"
    } else {
        "python3"
    }
}

/// Its output goes to standard error: standard output belongs to what the person asked for.
fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn every_system_has_its_name_for_python() {
        assert_eq!(packages(|program| program == "apt-get"), "python3-venv");
        assert_eq!(packages(|program| program == "pacman"), "python");
        assert_eq!(packages(|program| program == "dnf"), "python3");
    }
}
