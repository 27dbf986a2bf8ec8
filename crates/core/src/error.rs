//! What can go wrong, for three readers: [`StoreError`] for the pipeline, [`ImageError`] for the
//! person with a bad file, and [`Error`] (stage + cause) for the caller that retries or reports.

use std::error::Error as StdError;
use std::fmt;

/// Any error, boxed: how adapters hand over their own errors without showing their types.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What kind of trouble a store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// The store refused: permissions, or a place that may not be written.
    Denied,
    /// The object holds more bytes than the caller allowed.
    TooLarge {
        /// The size that the store states, in bytes, when it states one.
        size: Option<u64>,
        /// The caller's limit, in bytes.
        max: u64,
    },
    /// A condition was not met: the object is not as the caller expected it.
    Conflict,
    /// Throttled, timed out, or out of reach: may work later.
    Unavailable,
    /// Anything else; the source says what.
    Other,
}

/// A store's failure: its kind, the key it was about, and the adapter's own error as source.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    key: String,
    source: Option<BoxError>,
}

impl StoreError {
    /// A failure of `kind` about `key`.
    pub fn new(kind: StoreErrorKind, key: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.into(),
            source: None,
        }
    }

    /// The same, with the adapter's own error kept as source.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of trouble it was.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The key that the call was about (a prefix for a listing).
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A listing of everything has no name of its own.
        let key = match self.key.as_str() {
            "" => "the listing".to_owned(),
            key => format!("{key:?}"),
        };
        match self.kind {
            StoreErrorKind::NotFound => write!(f, "{key} is not there")?,
            StoreErrorKind::Denied => write!(f, "access to {key} was refused")?,
            StoreErrorKind::TooLarge {
                size: Some(size),
                max,
            } => write!(
                f,
                "{key} holds {size} bytes, more than the limit of {max} bytes"
            )?,
            StoreErrorKind::TooLarge { size: None, max } => {
                write!(f, "{key} holds more than the limit of {max} bytes")?;
            }
            StoreErrorKind::Conflict => {
                write!(f, "{key} was changed by someone else meanwhile")?;
            }
            StoreErrorKind::Unavailable => {
                write!(f, "the store could not be reached for {key}")?;
            }
            StoreErrorKind::Other => write!(f, "the store failed on {key}")?,
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Which limit a picture exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// The source's size, in bytes (`limits.input_bytes`).
    InputBytes,
    /// Width x height x frames to be decoded, in pixels (`limits.pixels`).
    Pixels,
    /// The longest side that a rendition's format can hold, in pixels.
    FormatSide,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InputBytes => "bytes of input",
            Self::Pixels => "pixels to decode",
            Self::FormatSide => "pixels on the longest side",
        })
    }
}

/// What is wrong with a picture, in words for the person who has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Not a picture, or a kind of picture that this engine does not read.
    #[error("{what}; {remedy}")]
    Unsupported {
        /// What it is ("this is a HEIC picture, which is not decoded here").
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// The bytes break their own format's rules.
    #[error(
        "the file is damaged: {detail}; export it again (of a JPEG, a PNG or an animation, `damaged = \"accept\"` renders what can be decoded)"
    )]
    Corrupt {
        /// What the decoder found.
        detail: String,
    },
    /// The file ends before its picture does.
    #[error(
        "the file is cut short: {detail}; upload it again (of a JPEG, a PNG or an animation, `damaged = \"accept\"` renders what can be decoded)"
    )]
    Truncated {
        /// What the decoder found.
        detail: String,
    },
    /// A limit of the recipe or of a format is exceeded; nothing was decoded.
    #[error("{actual} {what}, the limit is {max}; {remedy}")]
    TooLarge {
        /// Which limit.
        what: Limit,
        /// What the picture has.
        actual: u64,
        /// What is allowed.
        max: u64,
        /// What to do about it.
        remedy: String,
    },
    /// A decoder panicked; the fence in `render` caught it and the process lives.
    #[error(
        "the decoder gave up in a way it should not ({detail}); the file is most likely hostile or damaged"
    )]
    DecoderPanic {
        /// The panic's message.
        detail: String,
    },
    /// A rendition could not be encoded.
    #[error("variant {variant:?} could not be encoded: {detail}")]
    Encode {
        /// The variant's name.
        variant: String,
        /// What the encoder said.
        detail: String,
    },
    /// The picture would lose what the recipe's `strict` does not let it lose.
    #[error(
        "{detail}; the recipe does not take that: change the source, or take \"{loss}\" out of `strict`"
    )]
    LossRefused {
        /// The loss's one word.
        loss: &'static str,
        /// What would be lost, in words and numbers.
        detail: String,
    },
    /// The caller asked to stop, or its deadline passed; the picture itself may be fine.
    #[error("the stop flag was raised or the deadline passed before the work was done")]
    Stopped,
    /// The predicted time is more than is left until the caller's deadline.
    #[error(
        "rendering would take about {needed_ms} ms, {left_ms} ms are left; allow more time or a faster processor, or make variants optional with `required = false`"
    )]
    OutOfTime {
        /// Predicted time, in milliseconds.
        needed_ms: u64,
        /// Time left, in milliseconds.
        left_ms: u64,
    },
    /// Rendering took longer than one picture may; what could not be stopped was left behind.
    #[error(
        "it was not rendered within {limit_ms} ms, which is all that one picture may take; allow more time, or look at the file before you try it again"
    )]
    TookTooLong {
        /// What it was allowed, in milliseconds.
        limit_ms: u64,
    },
    /// The predicted memory is more than the caller has.
    #[error(
        "rendering would need about {needed} bytes of memory, {max} are allowed; raise the memory or lower `limits.pixels`"
    )]
    OutOfMemory {
        /// Predicted peak, in bytes.
        needed: u64,
        /// Allowed, in bytes.
        max: u64,
    },
}

impl ImageError {
    /// The bounded word for logs, metrics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "unsupported",
            Self::Corrupt { .. } => "corrupt",
            Self::Truncated { .. } => "truncated",
            Self::TooLarge { .. } => "too-large",
            Self::DecoderPanic { .. } => "decoder-panic",
            Self::Encode { .. } => "encode",
            Self::LossRefused { .. } => "loss-refused",
            Self::Stopped => "stopped",
            Self::OutOfTime { .. } | Self::TookTooLong { .. } => "out-of-time",
            Self::OutOfMemory { .. } => "out-of-memory",
        }
    }

    /// Whether trying again later, or with more time or memory, can succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Stopped
                | Self::OutOfTime { .. }
                | Self::TookTooLong { .. }
                | Self::OutOfMemory { .. }
        )
    }
}

/// Where in a picture's way an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Working out what to do: names, collisions, reading the records and what is there already.
    Plan,
    /// Reading the source from its store, or looking whether it is still the same.
    Fetch,
    /// Reading the picture's header, and holding it against the limits.
    Probe,
    /// Turning bytes into pixels.
    Decode,
    /// Converting color, orienting, resizing and encoding.
    Render,
    /// Writing the renditions; nothing is read.
    Publish,
    /// Writing the manifest or the failure record; nothing is read.
    Record,
}

impl Stage {
    /// The stage's name, as logs and JSON write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Fetch => "fetch",
            Self::Probe => "probe",
            Self::Decode => "decode",
            Self::Render => "render",
            Self::Publish => "publish",
            Self::Record => "record",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A store did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The picture did.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The name did: it cannot be a key, or two sources claim one.
    #[error("{0}")]
    Name(String),
    /// The way of running blocking work that was injected dropped the work.
    #[error("the caller's worker pool dropped the work; is it shutting down?")]
    WorkerGone,
    /// A record in a store is not one that this engine can read.
    #[error("{0}")]
    Record(String),
    /// A newer engine or recipe made what is there, and the source has changed since: it is for them
    /// to make, and the request must reach them.
    #[error(
        "a newer engine or recipe revision made what is there, and the source has changed since; update this one, or make it anew with force"
    )]
    NewerWork,
    /// The same source failed before, by the same recipe and engine: it is not tried again.
    #[error("{message}")]
    FailedBefore {
        /// The code of that failure.
        code: String,
        /// Its words.
        message: String,
    },
}

/// A job's failure: the stage it happened in, and why.
#[derive(Debug, thiserror::Error)]
#[error("{stage}: {cause}")]
pub struct Error {
    stage: Stage,
    #[source]
    cause: Cause,
}

impl Error {
    /// `cause`, met in `stage`.
    pub fn new(stage: Stage, cause: impl Into<Cause>) -> Self {
        Self {
            stage,
            cause: cause.into(),
        }
    }

    /// Where it happened.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Why.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The bounded word for logs, metrics and JSON.
    pub fn code(&self) -> &str {
        match &self.cause {
            Cause::FailedBefore { code, .. } => code,
            Cause::Store(e) => match e.kind() {
                StoreErrorKind::NotFound => "not-found",
                StoreErrorKind::Denied => "denied",
                StoreErrorKind::TooLarge { .. } => "too-large",
                StoreErrorKind::Conflict => "conflict",
                StoreErrorKind::Unavailable => "unavailable",
                StoreErrorKind::Other => "store",
            },
            Cause::Image(e) => e.code(),
            Cause::Name(_) => "name",
            Cause::NewerWork => "newer-work",
            Cause::WorkerGone => "worker-gone",
            Cause::Record(_) => "record",
        }
    }

    /// Whether the same job may succeed when tried again. Denied access is transient: permissions
    /// get repaired, and a picture must not be given up because of them.
    pub fn is_transient(&self) -> bool {
        match &self.cause {
            Cause::Store(e) => !matches!(e.kind(), StoreErrorKind::TooLarge { .. }),
            Cause::Image(e) => e.is_transient(),
            Cause::Name(_) | Cause::Record(_) | Cause::FailedBefore { .. } => false,
            Cause::NewerWork | Cause::WorkerGone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreError, StoreErrorKind};

    #[test]
    fn a_store_s_error_names_the_key_or_the_listing_of_everything() {
        let words = |key: &str| StoreError::new(StoreErrorKind::Denied, key).to_string();
        assert_eq!(
            words("trip/cat.png"),
            r#"access to "trip/cat.png" was refused"#
        );
        assert_eq!(words(""), "access to the listing was refused");
    }
}
