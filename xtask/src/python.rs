//! What comes from Python, each in a virtual environment of its own below the target folder: moto, an
//! emulator of AWS, for the tests; Pillow and libvips, for the conformance run.

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
pub(crate) const PYTHON: (&str, &str) = ("python3", "bin");
#[cfg(windows)]
pub(crate) const PYTHON: (&str, &str) = ("python", "Scripts");

/// Makes sure that moto is there, and says where.
pub(crate) fn get_ready() -> Result<String, Failure> {
    let wanted = fs::read_to_string(REQUIREMENTS).map_err(|error| {
        Failure::Task(format!(
            "{REQUIREMENTS} can't be read ({error}): call this from the root of the repository."
        ))
    })?;
    let programs = environment("python", &wanted).inspect_err(|_| {
        eprintln!("Without moto, `cargo nextest run` (or `cargo test`) runs everything else.");
    })?;
    let moto = programs.join(format!("moto_server{}", env::consts::EXE_SUFFIX));
    Ok(moto.to_string_lossy().into_owned())
}

/// A virtual environment below the target folder with the packages that `wanted` names, one a line or
/// with spaces between them; returns the folder of its programs.
pub(crate) fn environment(name: &str, wanted: &str) -> Result<PathBuf, Failure> {
    let folder = target_folder()?.join(name);
    let programs = folder.join(PYTHON.1);
    // Written last, so that an installation that was cut off begins again.
    let done = folder.join("requirements.txt");
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(programs);
    }
    eprintln!("Installing into {} ...", folder.display());
    make_environment(&folder)?;
    let packages = wanted
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace);
    let mut command = Command::new(programs.join(PYTHON.0));
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(packages);
    if !works(&mut command) {
        return Err(Failure::Task(
            "pip could not install it; its own words are above.".to_owned(),
        ));
    }
    fs::write(&done, wanted)
        .map_err(|error| Failure::Task(format!("{} can't be written: {error}", done.display())))?;
    Ok(programs)
}

/// The folder in which this program lies as `debug/xtask`.
pub(crate) fn target_folder() -> Result<PathBuf, Failure> {
    let this = env::current_exe()
        .map_err(|error| Failure::Task(format!("This program cannot find itself: {error}")))?;
    let target = this.ancestors().nth(2);
    let target = target.ok_or_else(|| Failure::Task("There is no target folder.".to_owned()))?;
    Ok(target.to_owned())
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
        eprintln!("Python 3 with venv is needed. Installing: {packages}");
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
        "Python 3 with its module venv is not on this machine, and some of the tools used here run on it.\n{how}"
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
pub(crate) fn works(command: &mut Command) -> bool {
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
