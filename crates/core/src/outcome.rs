//! What became of a job, and the report of a run.

use std::fmt;

use crate::error::Error;
use crate::manifest::Manifest;

/// Why a job was not ours to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// Found in a folder, and neither its content nor its name says that it is a picture.
    NotAPicture,
    /// One of our own renditions or records.
    OwnOutput,
    /// A name that begins with a dot.
    Hidden,
    /// Left out by the caller's patterns.
    Excluded,
    /// A socket, a device, a pipe, or a link that leads nowhere or to a folder.
    NotAFile,
    /// An empty object that a tool left to make a folder show.
    FolderMarker,
    /// The source was there and is not any more.
    Gone,
    /// A newer engine or a newer revision of the recipe made what is there: an older one keeps off.
    NewerWork,
}

impl SkipReason {
    /// The bounded word for logs, metrics and JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAPicture => "not-a-picture",
            Self::OwnOutput => "own-output",
            Self::Hidden => "hidden",
            Self::Excluded => "excluded",
            Self::NotAFile => "not-a-file",
            Self::FolderMarker => "folder-marker",
            Self::Gone => "gone",
            Self::NewerWork => "newer-work",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAPicture => "not a picture",
            Self::OwnOutput => "made by Pixmill itself",
            Self::Hidden => "hidden (its name begins with a dot)",
            Self::Excluded => "left out by the patterns",
            Self::NotAFile => "not a regular file",
            Self::FolderMarker => "only marks a folder",
            Self::Gone => "the source is gone",
            Self::NewerWork => {
                "made by a newer engine or a newer recipe revision; update this one, or force it"
            }
        })
    }
}

/// What became of a job. Every job ends in exactly one of these.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Everything that was missing or old has been made and is in place.
    Done(Box<Done>),
    /// What is in place was made from this very source by this recipe and engine.
    Unchanged,
    /// A newer event about the same source has been handled already.
    Stale,
    /// Not ours to do.
    Skipped(SkipReason),
    /// Will not succeed however often it is tried.
    Rejected(Error),
    /// May succeed when tried again.
    Failed(Error),
}

/// What a finished job left in place.
#[derive(Debug)]
pub struct Done {
    /// The manifest as it was written.
    pub manifest: Manifest,
    /// The variants that were rendered now, by name; the others were in place already.
    pub rendered: Vec<String>,
}

impl Outcome {
    /// The outcome's one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Skipped(_) => "skipped",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
        }
    }

    /// The bounded word for the reason; none for outcomes that need no reason.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Skipped(reason) => Some(reason.code()),
            Self::Rejected(error) | Self::Failed(error) => Some(error.code()),
            _ => None,
        }
    }

    /// The error of a rejected or failed job.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Rejected(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Outcome {
    /// A transient error is a failure, a permanent one a rejection.
    fn from(error: Error) -> Self {
        if error.is_transient() {
            Self::Failed(error)
        } else {
            Self::Rejected(error)
        }
    }
}

/// How many jobs of a run ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Made now.
    pub done: u64,
    /// In place already.
    pub unchanged: u64,
    /// Overtaken by a newer event.
    pub stale: u64,
    /// Not ours to do.
    pub skipped: u64,
    /// Permanently refused.
    pub rejected: u64,
    /// Failed for now.
    pub failed: u64,
}

impl Counts {
    /// Counts one more outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Done(_) => &mut self.done,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Stale => &mut self.stale,
            Outcome::Skipped(_) => &mut self.skipped,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Failed(_) => &mut self.failed,
        } += 1;
    }

    /// All of them: equals the number of inputs.
    pub fn total(&self) -> u64 {
        self.done + self.unchanged + self.stale + self.skipped + self.rejected + self.failed
    }
}
