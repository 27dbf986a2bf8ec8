//! The four metrics that come from code, and the one rule by which an outcome counts.

use pixmill::outcome::Outcome;
use pixmill::signal::Signal;

/// The namespace, unless a deployment chooses another.
pub const NAMESPACE: &str = "ImageProcessor/Lambda";

/// The only dimension: which function, or which program.
pub(crate) const DIMENSION: &str = "FunctionName";

/// From a job's start to its end, in milliseconds.
pub(crate) const PROCESSING_TIME: &str = "ProcessingTime";
/// Jobs that counted, one each.
pub(crate) const IMAGES_PROCESSED: &str = "ImagesProcessed";
/// 1 for a job that left everything in place, else 0.
pub(crate) const PROCESSING_SUCCESS: &str = "ProcessingSuccess";
/// 1 for a job that did not, else 0.
pub(crate) const PROCESSING_FAILURE: &str = "ProcessingFailure";

/// What a job that counts adds to the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Everything is in place; else something is wrong with the picture or with the world.
    pub(crate) success: bool,
    /// From the job's start to its end, in microseconds.
    pub(crate) micros: u64,
}

impl Figures {
    /// Done and unchanged are successes, rejected and failed are failures. Skipped and stale jobs were not
    /// ours to do, or done already: they are neither, and don't count as processed.
    ///
    /// All other signals are counted elsewhere, from their log lines: none here.
    pub(crate) fn of(signal: &Signal<'_>) -> Option<Self> {
        let Signal::Finished(job) = signal else {
            return None;
        };
        let success = match job.outcome {
            Outcome::Done(_) | Outcome::Unchanged => true,
            Outcome::Rejected(_) | Outcome::Failed(_) => false,
            // Stale, skipped, and whatever is newer than this adapter.
            _ => return None,
        };
        let micros = u64::try_from(job.processing_time.as_micros());
        Some(Self {
            success,
            micros: micros.unwrap_or(u64::MAX),
        })
    }
}

/// To the microsecond: more digits would be noise.
pub(crate) fn milliseconds(micros: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "durations far below 2^52 µs")]
    let micros = micros as f64;
    micros / 1000.0
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use pixmill::error::{Error, Stage, StoreError, StoreErrorKind};
    use pixmill::outcome::SkipReason;
    use pixmill::signal::Finished;

    use super::*;

    pub(crate) fn failure(kind: StoreErrorKind) -> Outcome {
        Outcome::from(Error::new(Stage::Fetch, StoreError::new(kind, "cat.png")))
    }

    pub(crate) fn finished(outcome: &Outcome, millis: u64) -> Signal<'_> {
        Signal::Finished(Finished {
            source: "Successfully processed\n{\"level\":\"ERROR\"}.png",
            outcome,
            image_size: Some(20),
            written_bytes: 10,
            processing_time: Duration::from_millis(millis),
            stages: &[],
        })
    }

    #[test]
    fn done_and_unchanged_succeed_rejected_and_failed_fail_and_the_rest_does_not_count() {
        let too_large = StoreErrorKind::TooLarge { size: None, max: 1 };
        for (outcome, success) in [
            (Outcome::Unchanged, Some(true)),
            (failure(too_large), Some(false)),
            (failure(StoreErrorKind::Denied), Some(false)),
            (Outcome::Stale, None),
            (Outcome::Skipped(SkipReason::Hidden), None),
        ] {
            let figures = Figures::of(&finished(&outcome, 7));
            assert_eq!(figures.map(|f| f.success), success, "{outcome:?}");
            assert!(figures.is_none_or(|f| f.micros == 7000));
        }
    }

    #[test]
    fn only_the_end_of_a_job_counts() {
        let restarted = Signal::Restarted {
            source: "cat.png",
            stage: Stage::Publish,
            times: 1,
        };
        assert_eq!(Figures::of(&restarted), None);
    }
}
