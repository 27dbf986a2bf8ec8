//! `cargo xtask package`: what is handed to AWS Lambda.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::machine::{self, cargo, is_there};
use crate::{Failure, Task, python};

pub(crate) const TASK: Task = Task {
    name: "package",
    about: "Build the Lambda function's zip: target/lambda/x86-64/bootstrap.zip",
    usage: " [--zig | --arm64] [--recipe FILE]",
    details: "\
Builds `bootstrap` for the runtime `provided.al2023`, checks that it asks for no newer glibc than
Amazon Linux 2023 has (2.34), and packs it: the same sources, Rust and C compiler give the same zip, byte for byte,
in whatever folders they lie.

  --zig    link with zig against glibc 2.34 whatever this machine has: for systems with a newer one.
           It comes from PyPI, into a virtual environment below the target folder
  --arm64  for Graviton, by cargo-lambda, which must be installed together with Rust's standard library
           for that target
  --recipe FILE
           the recipe to put beside the binary, as recipe.toml (without it: the default one). The function
           reads it if its variable RECIPE says `recipe.toml`

Beside it lie THIRD-PARTY.md, the notices of everything that is linked into the binary, with the C libraries' own, and
bootstrap.cdx.json, its bill of materials (CycloneDX).

The zip's size and what is in it are the last line.",
    start,
};

/// Amazon Linux 2023's, on which the runtime `provided.al2023` is built.
const GLIBC: (u32, u32) = (2, 34);

/// Reproducible: one time for every file, and nothing of this machine.
const PACK: &str = "\
import sys, zipfile
target, binary, recipe, level = sys.argv[1:]
with zipfile.ZipFile(target, 'w') as archive:
    for name, source, mode in (('bootstrap', binary, 0o100755), ('recipe.toml', recipe, 0o100644)):
        about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        about.create_system, about.external_attr, about.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
        with open(source, 'rb') as file:
            archive.writestr(about, file.read(), compresslevel=int(level))
";

#[derive(Clone, Copy, PartialEq)]
enum How {
    Plain,
    Zig,
    Arm64,
}

impl How {
    fn architecture(self) -> &'static str {
        if self == Self::Arm64 {
            "arm64"
        } else {
            "x86-64"
        }
    }

    fn triple(self) -> &'static str {
        if self == Self::Arm64 {
            "aarch64-unknown-linux-gnu"
        } else {
            "x86_64-unknown-linux-gnu"
        }
    }
}

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let mut how = How::Plain;
    let mut recipe = OsString::from("recipe.toml");
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--recipe" {
            recipe = words
                .next()
                .ok_or_else(|| Failure::Usage("--recipe needs a file.".to_owned()))?;
            continue;
        }
        how = match word.to_str() {
            Some("--zig") => How::Zig,
            Some("--arm64") => How::Arm64,
            _ => {
                let word = word.to_string_lossy();
                let words = format!("'{word}' is not something that this task takes.");
                return Err(Failure::Usage(words));
            }
        };
    }
    // Said before minutes of work.
    if !Path::new(&recipe).is_file() {
        let recipe = recipe.to_string_lossy();
        return Err(task(&format!("There is no recipe {recipe}.")));
    }
    machine::get_ready()?;
    let binary = build(how)?;
    let needed = check_glibc(&binary)?;
    let folder = python::target_folder()?
        .join("lambda")
        .join(how.architecture());
    let zip = folder.join("bootstrap.zip");
    fs::create_dir_all(&folder).map_err(|error| task(&format!("{}: {error}", folder.display())))?;
    pack(&zip, &binary, Path::new(&recipe), 9)?;
    list_what_is_linked(&folder, how)?;
    let size = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{}: {:.1} MB, bootstrap {:.1} MB, {}, needs glibc {}.{} (Amazon Linux 2023 has {}.{})",
        zip.display(),
        megabytes(size(&zip)),
        megabytes(size(&binary)),
        how.architecture(),
        needed.0,
        needed.1,
        GLIBC.0,
        GLIBC.1,
    );
    Ok(ExitCode::SUCCESS)
}

/// The zip with the binary and the recipe, compressed as well as `level` (1 to 9) says.
pub(crate) fn pack(zip: &Path, binary: &Path, recipe: &Path, level: u8) -> Result<(), Failure> {
    let mut pack = Command::new(python::PYTHON.0);
    pack.args(["-c", PACK]).arg(zip).arg(binary).arg(recipe);
    if python::works(pack.arg(level.to_string())) {
        return Ok(());
    }
    Err(task(
        "The zip could not be written: Python 3 is needed for it.",
    ))
}

/// The notices and the bill of materials, beside the zip.
fn list_what_is_linked(folder: &Path, how: How) -> Result<(), Failure> {
    machine::build(&["--bin", "pixmill-sbom"])?;
    let mut list = Command::new(machine::built("pixmill-sbom")?);
    if python::works(list.arg(folder).arg(how.triple())) {
        return Ok(());
    }
    Err(task("What is linked could not be listed."))
}

fn task(words: &str) -> Failure {
    Failure::Task(words.to_owned())
}

const WHAT: [&str; 7] = [
    "--locked",
    "--profile",
    "lambda",
    "--package",
    "pixmill-lambda",
    "--bin",
    "bootstrap",
];

fn build(how: How) -> Result<PathBuf, Failure> {
    let target = python::target_folder()?;
    let (mut command, binary) = match how {
        How::Plain => {
            let mut command = cargo();
            command.arg("build");
            (command, target.join("lambda/bootstrap"))
        }
        How::Zig => {
            let programs = python::environment("zig", "cargo-zigbuild==0.24.0 ziglang==0.17.1")?;
            let mut command = Command::new(programs.join("cargo-zigbuild"));
            let triple = format!("x86_64-unknown-linux-gnu.{}.{}", GLIBC.0, GLIBC.1);
            command.args(["zigbuild", "--target", &triple]);
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)));
            command.env("PATH", path.map_err(|error| task(&error.to_string()))?);
            (
                command,
                target.join("x86_64-unknown-linux-gnu/lambda/bootstrap"),
            )
        }
        How::Arm64 => {
            check_arm64()?;
            let mut command = cargo();
            // Without the flag it would install a target by itself: that is the person's own business.
            command.args(["lambda", "build", "--arm64", "--skip-target-check"]);
            // Its own default is where the other build's binary lies.
            let folder = target.join("lambda-arm64");
            command.arg("--lambda-dir").arg(&folder);
            (command, folder.join("bootstrap/bootstrap"))
        }
    };
    command.args(WHAT).arg("--config").arg(nameless_folders()?);
    let status = command.stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(binary),
        Ok(_) => Err(task("The function could not be built.")),
        Err(error) => Err(task(&format!("The build could not be started: {error}"))),
    }
}

/// A setting of cargo's by which no panic's place tells of this machine's folders: the zip is the same wherever it is built.
fn nameless_folders() -> Result<String, Failure> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let home =
        home.ok_or_else(|| task("Neither CARGO_HOME nor HOME says where cargo keeps its crates."))?;
    let flag = format!("--remap-path-prefix={}=/cargo", home.display());
    Ok(format!("build.rustflags=[{flag:?}]"))
}

fn check_arm64() -> Result<(), Failure> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    let folder = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let is_installed = folder.is_ok_and(|printed| {
        let path = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
        !path.is_empty() && Path::new(&path).is_dir()
    });
    if !is_installed {
        return Err(task(&format!(
            "Rust's standard library for {TARGET} is not installed. This installs it:\n\n  rustup target add {TARGET}\n"
        )));
    }
    if !is_there("cargo-lambda") {
        return Err(task(
            "cargo-lambda is not installed. This installs it, with the linker that it needs:\n\n  pip install cargo-lambda\n",
        ));
    }
    Ok(())
}

/// The newest glibc that the binary asks for; fails where Lambda has none so new.
fn check_glibc(binary: &Path) -> Result<(u32, u32), Failure> {
    let printed = Command::new("objdump").arg("-T").arg(binary).output();
    let printed = printed.map_err(|error| {
        task(&format!(
            "objdump (package binutils) could not be started, and is needed to check the binary: {error}"
        ))
    })?;
    let symbols = String::from_utf8_lossy(&printed.stdout);
    let Some(newest) = newest_glibc(&symbols) else {
        return Err(task(&format!(
            "objdump shows no glibc symbol in {}: is it a Linux binary?",
            binary.display()
        )));
    };
    if newest > GLIBC {
        return Err(task(&format!(
            "The binary asks for glibc {}.{}, and Amazon Linux 2023 has {}.{}: this machine's system is newer. Try:\n\n  cargo xtask package --zig\n",
            newest.0, newest.1, GLIBC.0, GLIBC.1
        )));
    }
    Ok(newest)
}

/// The highest `GLIBC_x.y` among what `objdump -T` prints.
fn newest_glibc(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (major, minor) = rest[..end].split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::process;

    use super::{newest_glibc, pack};

    #[test]
    fn the_same_binary_and_recipe_give_the_same_zip_byte_for_byte() {
        let folder = env::temp_dir().join(format!("pixmill-package-{}", process::id()));
        // Two places and two times of change.
        let zips = ["one", "other"].map(|name| {
            let place = folder.join(name);
            fs::create_dir_all(&place).expect("a folder for the test");
            let (binary, recipe) = (place.join(name), place.join("recipe.toml"));
            fs::write(&binary, b"a program".repeat(1000)).expect("it can be written");
            fs::write(&recipe, "version = 1").expect("it can be written");
            let long_ago = std::time::SystemTime::UNIX_EPOCH;
            let file = fs::File::options().write(true).open(&binary);
            if name == "one" {
                let file = file.expect("it is there");
                file.set_modified(long_ago).expect("it has a time");
            }
            let zip = place.join("bootstrap.zip");
            assert!(pack(&zip, &binary, &recipe, 9).is_ok());
            fs::read(&zip).expect("it was written")
        });
        fs::remove_dir_all(&folder).expect("it is ours");
        assert!(zips[0].starts_with(b"PK") && zips[0].len() < 9000);
        assert_eq!(zips[0], zips[1]);
    }

    #[test]
    fn the_newest_glibc_is_found_by_number_and_not_by_text() {
        let symbols = "\
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.2.5) strlen
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.34) pthread_create
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.9)  pipe2
0000000000000000      DF *UND*\t0000000000000000 (GCC_4.2.0)  _Unwind_Resume
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_PRIVATE) x
";
        assert_eq!(newest_glibc(symbols), Some((2, 34)));
        assert_eq!(newest_glibc("nothing"), None);
    }
}
