//! One source to process, wherever the request came from.

/// One source to process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// The source's key.
    pub source: String,
    /// The request's own name, where requests have names that are never used twice. It enters
    /// failure records and the manifest of a set that is being replaced, never a rendition.
    pub request: Option<String>,
    /// Whether the request says that the source was removed. A hint: the source is looked at first.
    pub removal: bool,
    /// The event's place in the order of what happened to this source, as S3's `sequencer` says it.
    /// It labels an outcome `stale`; nothing else is decided by it.
    pub sequencer: Option<String>,
}

impl Job {
    /// The source is there, or was a moment ago.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            request: None,
            removal: false,
            sequencer: None,
        }
    }

    /// The source is said to be gone.
    pub fn removal(source: impl Into<String>) -> Self {
        Self {
            removal: true,
            ..Self::new(source)
        }
    }

    /// The same job, with its request's name.
    #[must_use]
    pub fn with_request(mut self, request: impl Into<String>) -> Self {
        self.request = Some(request.into());
        self
    }

    /// The same job, with its event's sequencer.
    #[must_use]
    pub fn with_sequencer(mut self, sequencer: impl Into<String>) -> Self {
        self.sequencer = Some(sequencer.into());
        self
    }
}

/// Whether sequencer `a` comes before `b`: the shorter one is padded with zeros on the right, then
/// both are compared as text (S3's rule for event notifications).
pub(crate) fn comes_before(a: &str, b: &str) -> bool {
    let length = a.len().max(b.len());
    let padded = |text: &str| format!("{:0<length$}", text.to_ascii_uppercase());
    padded(a) < padded(b)
}

#[cfg(test)]
mod tests {
    use super::comes_before;

    #[test]
    fn sequencers_are_padded_on_the_right_and_compared_as_text() {
        assert!(comes_before("0055AED6DCD90281E4", "0055AED6DCD90281E5"));
        assert!(comes_before("0055AED6DC", "0055AED6DCD9"));
        assert!(!comes_before("0056", "0055AED6DCD90281E5"));
        assert!(!comes_before("0055AE", "0055AE00"), "equal once padded");
        assert!(!comes_before("0055ae", "0055AE"));
    }
}
