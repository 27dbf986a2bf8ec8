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
}

impl Job {
    /// The source is there, or was a moment ago.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            request: None,
            removal: false,
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
}
