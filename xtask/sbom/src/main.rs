//! What is linked into the function: `pixmill-sbom FOLDER TRIPLE` writes THIRD-PARTY.md and bootstrap.cdx.json.
//!
//! Both follow from Cargo.lock, the crates' own packages and the C libraries alone: the same tree gives the same bytes.

mod cyclonedx;
mod linked;
mod third_party;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), String> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [folder, triple] = words.as_slice() else {
        return Err("usage: pixmill-sbom FOLDER TRIPLE".to_owned());
    };
    let linked = linked::linked("pixmill-lambda", triple)?;
    let notices = third_party::notices(&linked)?;
    let folder = Path::new(folder);
    for (name, text) in [
        ("THIRD-PARTY.md", notices),
        ("bootstrap.cdx.json", cyclonedx::bill(&linked)),
    ] {
        let file = folder.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
