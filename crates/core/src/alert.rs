//! What a person is told, and the one rule that turns a run's counts into an alert.

use std::fmt;

use crate::outcome::Counts;

/// Who needs to hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// Somebody must act now.
    Critical,
    /// Slower or larger than it should be.
    Performance,
    /// Worth reading in the logs.
    Logs,
}

impl Channel {
    /// The channel's one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Performance => "performance",
            Self::Logs => "logs",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One message to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who needs to hear it.
    pub channel: Channel,
    /// What happened, in one line.
    pub subject: String,
    /// What it means and what to do, in plain words; lines separated by `\n`.
    pub body: String,
}

/// The alert that a finished run deserves, if any: when rejected and failed jobs make up more
/// than `threshold` (a share, 0 to 1) of the jobs that were ours to do.
///
/// Skipped jobs are left out of the sum: a folder full of text files must not hide a broken camera.
pub fn after_run(counts: &Counts, threshold: f64) -> Option<Alert> {
    let bad = counts.rejected + counts.failed;
    let ours = counts.total() - counts.skipped;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of counts far below 2^52"
    )]
    let share = if ours == 0 {
        0.0
    } else {
        bad as f64 / ours as f64
    };
    (bad > 0 && share > threshold).then(|| Alert {
        channel: Channel::Critical,
        subject: format!("{bad} of {ours} pictures were not made"),
        body: format!(
            "{} rejected (the files themselves are the trouble), {} failed (may work when run again).\n\
             That is {:.1} % of the pictures; the alert threshold is {:.1} %.\n\
             What to do: read the errors above, mend or remove the files they name, and run the same command again; \
             what is done already stays done.",
            counts.rejected,
            counts.failed,
            share * 100.0,
            threshold * 100.0,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_trouble_raises_no_alert() {
        let counts = Counts {
            done: 10,
            ..Counts::default()
        };
        assert_eq!(after_run(&counts, 0.0), None);
        assert_eq!(after_run(&Counts::default(), 0.0), None);
    }

    #[test]
    fn an_alert_is_raised_above_the_threshold_and_not_at_it() {
        let counts = Counts {
            done: 9,
            rejected: 1,
            skipped: 1000,
            ..Counts::default()
        };
        assert_eq!(after_run(&counts, 0.1), None);
        let alert = after_run(&counts, 0.09).expect("10 % is above 9 %");
        assert_eq!(alert.channel, Channel::Critical);
        assert!(alert.subject.contains("1 of 10"), "{}", alert.subject);
    }
}
