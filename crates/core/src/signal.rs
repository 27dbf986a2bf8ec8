//! The closed list of facts that can be observed. Each becomes one log line and its metrics, in
//! whichever sink the binary chose; only `process.rs` records them.

use std::time::Duration;

use crate::error::Stage;
use crate::outcome::Outcome;

/// One observable fact.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal<'a> {
    /// A source is larger than the recipe's `limits.large_bytes`. It is processed all the same.
    LargeImage {
        /// The source's key.
        source: &'a str,
        /// Its size, in bytes.
        image_size: u64,
        /// The recipe's threshold, in bytes.
        threshold: u64,
    },
    /// Somebody else wrote meanwhile, so the job began again.
    Restarted {
        /// The source's key.
        source: &'a str,
        /// Where it was noticed.
        stage: Stage,
        /// How often this job has begun again, this time included.
        times: u32,
    },
    /// The job has ended.
    Finished(Finished<'a>),
}

/// How a job ended, with its figures.
#[derive(Debug)]
pub struct Finished<'a> {
    /// The source's key.
    pub source: &'a str,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The source's size in bytes; none when it was never read.
    pub image_size: Option<u64>,
    /// Bytes of all renditions written now.
    pub written_bytes: u64,
    /// From the job's start to its end.
    pub processing_time: Duration,
    /// How long each stage took, in the order in which they ran; a stage that ran again is added up.
    pub stages: &'a [(Stage, Duration)],
}
