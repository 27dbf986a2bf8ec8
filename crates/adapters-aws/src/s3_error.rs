//! What S3's answers mean to the pipeline: the one place that knows its error codes.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use pixmill::error::StoreErrorKind;

use crate::sdk_error::{Reached, Said};

/// A call's failure in one sentence, for the `source` of a [`StoreError`](pixmill::error::StoreError).
#[derive(Debug)]
pub(crate) struct S3Error {
    pub(crate) kind: StoreErrorKind,
    operation: &'static str,
    words: String,
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 {}: {}", self.operation, self.words)
    }
}

impl StdError for S3Error {}

impl S3Error {
    /// A failure that S3 itself did not report.
    pub(crate) fn new(
        kind: StoreErrorKind,
        operation: &'static str,
        words: impl Into<String>,
    ) -> Self {
        let words = words.into();
        Self {
            kind,
            operation,
            words,
        }
    }

    /// A call's failure, as the SDK reports it.
    pub(crate) fn of_call<E>(operation: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let said = Said::by(error);
        let kind = match said.reached {
            // What is no HEAD has a body that says what is missing; without one it isn't S3 who speaks.
            Reached::Service(404) if said.code.is_none() && !operation.starts_with("Head") => {
                StoreErrorKind::Other
            }
            Reached::Service(status) => kind_of(said.code.as_deref(), status),
            // Whatever a proxy says: never that the object is gone, or has changed.
            Reached::Something(status) => match kind_of(None, status) {
                StoreErrorKind::NotFound | StoreErrorKind::Conflict => StoreErrorKind::Other,
                kind => kind,
            },
            Reached::Nobody => StoreErrorKind::Unavailable,
            Reached::NoCredentials => StoreErrorKind::Denied,
            Reached::NotSent => StoreErrorKind::Other,
        };
        Self::new(kind, operation, said.to_string())
    }
}

/// The meaning of S3's code, or of the bare status where there is none (the answer to a HEAD).
fn kind_of(code: Option<&str>, status: u16) -> StoreErrorKind {
    match (code, status) {
        (Some("NoSuchKey" | "NoSuchVersion" | "NotFound"), _) | (None, 404) => {
            StoreErrorKind::NotFound
        }
        // A misnamed bucket must not look as if every source in it were gone.
        (Some("NoSuchBucket"), _) => StoreErrorKind::Other,
        (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, 412) => {
            StoreErrorKind::Conflict
        }
        // S3's word for an upload that came too slowly, with HTTP 400; then, that two writers met, or that
        // the service is busy.
        (Some("RequestTimeout"), _) | (_, 408 | 409 | 429 | 500..) => StoreErrorKind::Unavailable,
        // Credentials that are not good come with HTTP 400 or 403. 403 is also the answer about a missing
        // object to those who may not list: that is not the same as "gone".
        (Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired"), _) | (_, 401 | 403) => {
            StoreErrorKind::Denied
        }
        _ => StoreErrorKind::Other,
    }
}
