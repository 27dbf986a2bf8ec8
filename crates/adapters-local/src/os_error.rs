//! What the operating system says, in the words of the store's port.

use std::io;

use pixmill::error::{BoxError, StoreError, StoreErrorKind};

pub(crate) fn denied(key: &str, words: impl Into<BoxError>) -> StoreError {
    StoreError::new(StoreErrorKind::Denied, key).because(words)
}

pub(crate) fn not_a_file(key: &str) -> StoreError {
    denied(key, "it is not a regular file")
}

/// What the operating system said, as a store's error: for calls that only read.
pub(crate) fn reading_error(key: &str, e: io::Error) -> StoreError {
    use io::ErrorKind as Os;
    let kind = match e.kind() {
        // `a/b` where `a` is a file: nothing has that name.
        Os::NotFound | Os::NotADirectory => return StoreError::new(StoreErrorKind::NotFound, key),
        // `cap-std` refuses ways out of the root with `PermissionDenied` too.
        Os::PermissionDenied | Os::ReadOnlyFilesystem | Os::InvalidFilename => {
            StoreErrorKind::Denied
        }
        // A full disk may get room.
        Os::StorageFull
        | Os::QuotaExceeded
        | Os::Interrupted
        | Os::TimedOut
        | Os::WouldBlock
        | Os::ResourceBusy
        | Os::StaleNetworkFileHandle
        | Os::HostUnreachable
        | Os::NetworkDown
        | Os::NetworkUnreachable => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind, key).because(e)
}

/// The same for calls that write: there, a name in the way is a refusal, and a folder that is gone
/// was removed by somebody else meanwhile.
pub(crate) fn writing_error(key: &str, e: io::Error) -> StoreError {
    use io::ErrorKind as Os;
    match e.kind() {
        Os::NotADirectory => denied(key, "a file is in the way where its folder should be"),
        Os::IsADirectory => denied(key, "a folder is in the way"),
        Os::NotFound => StoreError::new(StoreErrorKind::Unavailable, key)
            .because("its folder was removed while it was being written"),
        _ => reading_error(key, e),
    }
}
