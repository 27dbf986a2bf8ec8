//! What can go wrong in a codec.

/// Why a codec gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file ends before its picture does.
    #[error("the file ends before its picture does")]
    Truncated,
    /// The file breaks the rules of its format; the library's own words.
    #[error("the file is corrupt: {0}")]
    Corrupt(String),
    /// The file is of a kind that is not handled here.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A side of the picture is longer than the format can hold.
    #[error("a side of {side} pixels is too long: {format} holds at most {max}")]
    TooLarge {
        /// The format's name.
        format: &'static str,
        /// The longer side, in pixels; 0 when the library refused it without saying.
        side: u32,
        /// The longest side that the format holds, in pixels.
        max: u32,
    },
    /// A limit that the caller set was reached: scans or working memory.
    #[error("over the limit: {0}")]
    LimitExceeded(String),
    /// The system gave no more memory.
    #[error("out of memory")]
    Memory,
    /// The caller asked to stop.
    #[error("stopped on request")]
    Stopped,
    /// The pixels or the options handed over make no sense; a mistake of the caller.
    #[error("bad input: {0}")]
    Input(String),
    /// The encoder failed.
    #[error("encoding failed: {0}")]
    Encode(String),
}
