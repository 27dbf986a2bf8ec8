//! Writes the seeds: `cargo run --package pixmill-properties --example seeds -- FOLDER` gives FOLDER a folder for each target.

#[path = "../tests/hold/seeds.rs"]
mod seeds;

use std::env;
use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("Which folder?"))?;
    for (target, files) in seeds::all() {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (number, file) in files.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), file)?;
        }
        println!("{}: {} seeds", folder.display(), files.len());
    }
    Ok(())
}
