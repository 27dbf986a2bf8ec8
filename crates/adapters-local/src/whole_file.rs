//! A file that is replaced as a whole: who reads meanwhile sees the old text or the new one.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to the file `path`, whole. Fails where something other than a file has that name.
pub fn replace_file(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    // A rename would replace `/dev/stdout` itself.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let words = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = OsString::from(".");
    new.push(name);
    // A metrics collector reads only names that end in `.prom`.
    new.push(format!(".{}.tmp", std::process::id()));
    let new = path.with_file_name(new);
    // A leftover of a killed process with our number is overwritten.
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&new);
    let written = options.and_then(|mut file| file.write_all(bytes));
    let placed = written.and_then(|()| fs::rename(&new, path));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed
}
