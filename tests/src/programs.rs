//! The programs as cargo built them, and what the command makes of a folder.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of this workspace, beside the tests in the target folder.
///
/// `CARGO_BIN_EXE_…` is set for the tests of a program's own package only.
pub fn program(name: &str) -> PathBuf {
    let this = env::current_exe().expect("a test knows where it lies");
    let folder = this.parent().expect("a file lies in a folder");
    // Tests lie one folder deeper than programs.
    let folder = match folder.parent() {
        Some(above) if folder.ends_with("deps") => above,
        _ => folder,
    };
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let program = folder.join(file);
    assert!(
        program.is_file(),
        "{} is not built. `cargo xtask test` builds it, and so do `cargo nextest run --workspace` and `cargo build --workspace`; \
         with `--package pixmill-tests` alone, cargo builds no program.",
        program.display()
    );
    program
}

/// The folder of sample pictures.
pub fn samples() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("this package lies in the workspace's root")
        .join("samples")
}

/// Every picture among the samples, by its path with `/`.
pub fn sample_pictures() -> BTreeMap<String, Vec<u8>> {
    let mut files = files(&samples());
    files.remove("README.md");
    files
}

/// What `pixmill convert` writes for these sources with the default recipe, by key.
pub fn convert(sources: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    for (key, bytes) in sources {
        let file = input.join(key);
        fs::create_dir_all(file.parent().expect("below the folder")).expect("a folder");
        fs::write(file, bytes).expect("a file");
    }
    let status = Command::new(program("pixmill"))
        .arg("convert")
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .stdin(Stdio::null())
        .output()
        .expect("pixmill starts");
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    files(&output)
}

/// Every file below a folder that isn't hidden, by its path with `/`, and its bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                // The command's own lock lies in there.
            } else if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).expect("below the root");
                let key = key.to_str().expect("UTF-8").replace('\\', "/");
                found.insert(key, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}
