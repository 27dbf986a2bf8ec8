//! An SDK error in words: the SDK's own `Display` says "service error" and keeps the rest for `Debug`.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// What went wrong with one call, as one sentence without the call's name.
#[derive(Debug)]
pub(crate) struct Said {
    /// How far the call got.
    pub(crate) reached: Reached,
    /// The service's word for it, where it said one.
    pub(crate) code: Option<String>,
    words: String,
    request_id: Option<String>,
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The service answered with this HTTP status.
    Service(u16),
    /// Something answered with this HTTP status, but not in the service's language.
    Something(u16),
    /// No answer came.
    Nobody,
    /// There were no credentials to ask with.
    NoCredentials,
    /// The request could not even be written.
    NotSent,
}

impl Said {
    pub(crate) fn by<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (reached, words) = match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let words = match answer.err().message() {
                    Some(message) => message.trim_end().to_owned(),
                    // The answer to a HEAD has no body.
                    None => format!("the answer was HTTP {status}"),
                };
                (Reached::Service(status), words)
            }
            SdkError::ResponseError(_) if broke_off(error) => {
                let words = format!("the answer broke off: {}", innermost(error));
                (Reached::Nobody, words)
            }
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                let reason = innermost(error);
                let words = format!("the answer (HTTP {status}) makes no sense: {reason}");
                (Reached::Something(status), words)
            }
            SdkError::TimeoutError(_) => {
                let words = "there was no answer in the time allowed".to_owned();
                (Reached::Nobody, words)
            }
            SdkError::DispatchFailure(_) if lacks_credentials(error) => {
                let words = format!("no usable credentials were found: {}", innermost(error));
                (Reached::NoCredentials, words)
            }
            SdkError::DispatchFailure(failure) => {
                let words = format!("the request did not get through: {}", innermost(error));
                if failure.is_user() {
                    (Reached::NotSent, words)
                } else {
                    (Reached::Nobody, words)
                }
            }
            _ => (Reached::NotSent, innermost(error)),
        };
        Self {
            reached,
            code: error.code().map(str::to_owned),
            words,
            request_id: error.request_id().map(str::to_owned),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Whether it was the connection that failed: what came of the answer says nothing then.
fn broke_off<E: StdError + 'static>(error: &E) -> bool {
    causes(error).any(<dyn StdError>::is::<std::io::Error>)
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
