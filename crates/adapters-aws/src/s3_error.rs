//! What S3 said, and what it means to the pipeline: the one place that knows S3's error codes.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use pixmill::error::StoreErrorKind;

/// A call's failure in one sentence, for the `source` of a [`StoreError`](pixmill::error::StoreError).
#[derive(Debug)]
pub(crate) struct S3Error {
    pub(crate) kind: StoreErrorKind,
    operation: &'static str,
    code: Option<String>,
    words: String,
    request_id: Option<String>,
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 {}: ", self.operation)?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.words)?;
        match &self.request_id {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
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
        Self {
            kind,
            operation,
            code: None,
            words: words.into(),
            request_id: None,
        }
    }

    /// Reads the SDK's error for what the pipeline and a person need to know.
    pub(crate) fn from_sdk<E>(operation: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let said = |kind, words: &str| Self::new(kind, operation, words);
        match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let code = answer.err().code().map(str::to_owned);
                let words = match answer.err().message() {
                    Some(message) => message.trim_end().to_owned(),
                    // The answer to a HEAD has no body.
                    None => format!("the answer was HTTP {status}"),
                };
                Self {
                    kind: kind_of(code.as_deref(), status),
                    operation,
                    code,
                    words,
                    request_id: error.request_id().map(str::to_owned),
                }
            }
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                let reason = innermost(error);
                let words = format!("the answer (HTTP {status}) makes no sense: {reason}");
                // Whatever a broken proxy says: never "not found".
                let kind = match kind_of(None, status) {
                    StoreErrorKind::NotFound => StoreErrorKind::Other,
                    kind => kind,
                };
                said(kind, &words)
            }
            SdkError::TimeoutError(_) => said(
                StoreErrorKind::Unavailable,
                "there was no answer in the time allowed",
            ),
            SdkError::DispatchFailure(_) if lacks_credentials(error) => {
                let words = format!("no usable credentials were found: {}", innermost(error));
                said(StoreErrorKind::Denied, &words)
            }
            SdkError::DispatchFailure(failure) => {
                let kind = if failure.is_user() {
                    StoreErrorKind::Other
                } else {
                    StoreErrorKind::Unavailable
                };
                let words = format!("the request did not get through: {}", innermost(error));
                said(kind, &words)
            }
            _ => said(StoreErrorKind::Other, &innermost(error)),
        }
    }
}

/// The meaning of S3's code, or of the bare status where there is none (the answer to a HEAD).
fn kind_of(code: Option<&str>, status: u16) -> StoreErrorKind {
    match (code, status) {
        (Some("NoSuchKey" | "NotFound"), _) | (None, 404) => StoreErrorKind::NotFound,
        // A misnamed bucket must not look as if every source in it were gone.
        (Some("NoSuchBucket"), _) => StoreErrorKind::Other,
        (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, 412) => {
            StoreErrorKind::Conflict
        }
        // S3's word for an upload that came too slowly, with HTTP 400.
        (Some("RequestTimeout"), _)
        // Two writers met, or the service is busy.
        | (_, 408 | 409 | 429 | 500..) => StoreErrorKind::Unavailable,
        // These come with HTTP 400 too.
        (Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId"), _)
        // 403 is also S3's answer about a missing object to those who may not list: not the same as "gone".
        | (_, 401 | 403) => StoreErrorKind::Denied,
        _ => StoreErrorKind::Other,
    }
}

fn lacks_credentials<E: StdError + 'static>(error: &E) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            )
        )
    })
}

/// The last cause in the chain: the others only say which layer it passed through.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let last = causes(error).last();
    last.map_or_else(String::new, ToString::to_string)
}

fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}
