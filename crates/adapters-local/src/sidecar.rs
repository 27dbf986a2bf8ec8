//! What a bucket keeps in an object's metadata, a folder keeps in a small file beside it:
//! `cat.jpg.focus-point` holds the focus point of `cat.jpg`.

use std::collections::BTreeMap;
use std::io::{self, Read};

use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::fs::{Dir, OpenOptions};
use pixmill::recipe::FOCUS_POINT;

/// More than any point needs, in bytes. What is longer is cut, and then no point.
const MOST: u64 = 256;

/// What lies beside the file `key` of `root`. A file that can't be read is an error: what it says
/// would be missed without a word.
pub(crate) fn beside(root: &Dir, key: &str) -> io::Result<BTreeMap<String, String>> {
    let mut options = OpenOptions::new();
    // Opening a pipe must not wait for a writer.
    options.read(true).nonblock(true);
    let file = match root.open_with(format!("{key}.{FOCUS_POINT}"), &options) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(BTreeMap::new()),
        // A name too long for the disk is no file either.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename
            ) =>
        {
            return Ok(BTreeMap::new());
        }
        Err(e) => {
            let words = format!("{key}.{FOCUS_POINT} can't be read: {e}");
            return Err(io::Error::new(e.kind(), words));
        }
    };
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(BTreeMap::from([(FOCUS_POINT.to_owned(), text)]))
}

/// The name of the file that `name` lies beside, if it is a sidecar's.
pub(crate) fn belongs_to(name: &str) -> Option<&str> {
    let file = name.strip_suffix(FOCUS_POINT)?.strip_suffix('.')?;
    (!file.is_empty()).then_some(file)
}
