//! From verdicts to what the caller is told.
//!
//! | who asks | transient failure | the event itself can't be taken | rejected picture |
//! | --- | --- | --- | --- |
//! | a queue | its message is named as failed | its message is named as failed | settled |
//! | direct | an error | an error | settled |
//! | Batch Operations | `TemporaryFailure` | `PermanentFailure` | `PermanentFailure` |
//!
//! A rejected picture is settled, because a failure record tells of it and trying again changes
//! nothing. An event that can't be taken (unreadable, or of a bucket that isn't ours) is permanent
//! too, but nothing else in the world tells of it: so a queue's message goes the way to the
//! dead-letter queue, by as many receives as the queue allows, and a direct call to its failure
//! destination. Either can be sent again when the reason is mended.

use std::collections::BTreeMap;

use pixmill::outcome::Outcome;
use serde_json::{Value, json};

use crate::bounded::one_line;
use crate::event::{EventError, Form};
use crate::select::Refusal;

/// The most characters of a task's result that S3 Batch Operations shows in its report.
const MAX_RESULT_CHARS: usize = 1024;

/// The most characters of one reason in an error.
const MAX_REASON_CHARS: usize = 300;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Made now.
    Done,
    /// In place already.
    Unchanged,
    /// Overtaken by a newer event.
    Stale,
    /// Not ours to do.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The picture will not succeed however often it is tried; a failure record says so.
    Rejected {
        /// Why.
        reason: String,
    },
    /// May succeed when tried again.
    Retry {
        /// Why it did not now.
        reason: String,
    },
    /// The event itself can't be taken, and nothing but the event tells of it.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Not ours to do, because of `reason`.
    pub fn skipped(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Skipped { reason }
    }

    /// The verdict's one word: an outcome's, or `refused`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Skipped { .. } => "skipped",
            Self::Rejected { .. } => "rejected",
            Self::Retry { .. } => "failed",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether the event has done its duty and may be forgotten.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Retry { .. } | Self::Refused { .. })
    }

    fn reason(&self) -> &str {
        match self {
            Self::Skipped { reason }
            | Self::Rejected { reason }
            | Self::Retry { reason }
            | Self::Refused { reason } => reason,
            Self::Done => "the renditions are in place",
            Self::Unchanged => "the renditions were in place already",
            Self::Stale => "a newer event about the same object has been handled already",
        }
    }
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done(_) => Self::Done,
            Outcome::Unchanged => Self::Unchanged,
            Outcome::Stale => Self::Stale,
            Outcome::Skipped(reason) => Self::skipped(reason.to_string()),
            Outcome::Rejected(error) => Self::Rejected {
                reason: error.to_string(),
            },
            Outcome::Failed(error) => Self::Retry {
                reason: error.to_string(),
            },
            // Outcomes may be added to core; one that is unknown here must not be forgotten.
            other => Self::Retry {
                reason: format!("the outcome {:?} is not known here", other.word()),
            },
        }
    }
}

impl From<&EventError> for Verdict {
    fn from(error: &EventError) -> Self {
        Self::Refused {
            reason: error.to_string(),
        }
    }
}

impl From<&Refusal> for Verdict {
    fn from(refusal: &Refusal) -> Self {
        Self::Refused {
            reason: refusal.to_string(),
        }
    }
}

/// A message with the verdicts on all its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message's id.
    pub id: String,
    /// One for each entry; a message without any is settled.
    pub verdicts: Vec<Verdict>,
}

/// A direct call that must not count as a success, so that Lambda tries it again and then hands it
/// to the failure destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{unsettled} of {records} records are not settled; the first one: {reason}")]
pub struct Unsettled {
    /// How many records were not settled.
    pub unsettled: usize,
    /// How many there were.
    pub records: usize,
    /// Why the first one was not, bounded.
    pub reason: String,
}

/// What the caller is told. Only a direct call can fail as a whole.
pub fn reply(form: &Form, answered: &[Answered]) -> Result<Value, Unsettled> {
    match form {
        Form::Direct => summary(answered),
        Form::Sqs => Ok(failed_messages(answered)),
        Form::Batch {
            invocation_schema_version,
            invocation_id,
        } => Ok(json!({
            "invocationSchemaVersion": invocation_schema_version,
            // A task without a result here would be a mistake of ours, and must show as one.
            "treatMissingKeysAs": "PermanentFailure",
            "invocationId": invocation_id,
            "results": answered.iter().map(task_result).collect::<Vec<_>>(),
        })),
    }
}

fn summary(answered: &[Answered]) -> Result<Value, Unsettled> {
    let verdicts: Vec<&Verdict> = answered.iter().flat_map(|a| &a.verdicts).collect();
    let unsettled = verdicts.iter().filter(|verdict| !verdict.is_settled());
    if let Some(first) = unsettled.clone().next() {
        return Err(Unsettled {
            unsettled: unsettled.count(),
            records: verdicts.len(),
            reason: one_line(first.reason(), MAX_REASON_CHARS),
        });
    }
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for verdict in &verdicts {
        *outcomes.entry(verdict.word()).or_default() += 1;
    }
    Ok(json!({ "records": verdicts.len(), "outcomes": outcomes }))
}

fn failed_messages(answered: &[Answered]) -> Value {
    let failed = answered
        .iter()
        .filter(|message| !message.verdicts.iter().all(Verdict::is_settled));
    let failures: Vec<Value> = failed
        .map(|message| json!({ "itemIdentifier": message.id }))
        .collect();
    json!({ "batchItemFailures": failures })
}

fn task_result(task: &Answered) -> Value {
    let worst = task.verdicts.iter().max_by_key(|verdict| rank(verdict));
    let code = match worst.map(rank) {
        None | Some(0) => "Succeeded",
        Some(1) => "PermanentFailure",
        Some(_) => "TemporaryFailure",
    };
    let words = worst.map_or_else(
        || "nothing to do".to_owned(),
        |verdict| format!("{}: {}", verdict.word(), verdict.reason()),
    );
    json!({
        "taskId": task.id,
        "resultCode": code,
        "resultString": one_line(&words, MAX_RESULT_CHARS),
    })
}

/// What may still succeed is worth more than what never will: it is asked for again.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Retry { .. } => 2,
        Verdict::Rejected { .. } | Verdict::Refused { .. } => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, verdicts: Vec<Verdict>) -> Answered {
        Answered {
            id: id.to_owned(),
            verdicts,
        }
    }

    fn retry() -> Verdict {
        Verdict::Retry {
            reason: "the store could not be reached".to_owned(),
        }
    }

    fn rejected() -> Verdict {
        Verdict::Rejected {
            reason: "decode: the file is damaged".to_owned(),
        }
    }

    fn refused() -> Verdict {
        Verdict::from(&EventError::UnknownForm {
            at: "Records[0].body".to_owned(),
        })
    }

    #[test]
    fn a_queue_gets_back_exactly_the_messages_that_must_come_again() {
        let answered = [
            message("done", vec![Verdict::Done, Verdict::Unchanged]),
            message("half", vec![Verdict::Done, retry()]),
            message("bad picture", vec![rejected()]),
            message("garbage", vec![refused()]),
            message("empty", vec![]),
            message("test event", vec![Verdict::skipped("a test event")]),
        ];
        assert_eq!(
            reply(&Form::Sqs, &answered),
            Ok(json!({ "batchItemFailures": [
                { "itemIdentifier": "half" },
                { "itemIdentifier": "garbage" },
            ] }))
        );
    }

    #[test]
    fn a_queue_whose_messages_are_all_settled_gets_an_empty_list() {
        let answered = [message("a", vec![Verdict::Stale])];
        let empty = json!({ "batchItemFailures": [] });
        assert_eq!(reply(&Form::Sqs, &answered), Ok(empty));
    }

    #[test]
    fn a_direct_call_counts_what_became_of_its_records() {
        let answered = [
            message("0", vec![Verdict::Done]),
            message("1", vec![rejected()]),
            message("2", vec![Verdict::Done]),
        ];
        assert_eq!(
            reply(&Form::Direct, &answered),
            Ok(json!({ "records": 3, "outcomes": { "done": 2, "rejected": 1 } }))
        );
    }

    #[test]
    fn a_direct_call_fails_when_a_record_may_succeed_later() {
        let answered = [
            message("0", vec![Verdict::Done]),
            message("1", vec![retry()]),
        ];
        let error = reply(&Form::Direct, &answered).expect_err("it is not settled");
        assert_eq!(
            error.to_string(),
            "1 of 2 records are not settled; the first one: the store could not be reached"
        );
    }

    #[test]
    fn a_direct_call_that_can_not_be_read_fails_so_that_it_is_kept() {
        let answered = [message("0", vec![refused()])];
        assert!(reply(&Form::Direct, &answered).is_err());
    }

    #[test]
    fn batch_operations_learn_the_result_of_every_task() {
        let form = Form::Batch {
            invocation_schema_version: "2.0".to_owned(),
            invocation_id: "id".to_owned(),
        };
        let answered = [
            message("a", vec![Verdict::Done]),
            message("b", vec![Verdict::skipped("left out by the patterns")]),
            message("c", vec![rejected()]),
            message("d", vec![retry()]),
            message("e", vec![refused()]),
        ];
        let reply = reply(&form, &answered).expect("Batch Operations always get a reply");
        assert_eq!(reply["invocationSchemaVersion"], "2.0");
        assert_eq!(reply["invocationId"], "id");
        assert_eq!(reply["treatMissingKeysAs"], "PermanentFailure");
        let results = reply["results"].as_array().expect("a list");
        let codes: Vec<_> = results.iter().map(|r| &r["resultCode"]).collect();
        assert_eq!(
            codes,
            [
                "Succeeded",
                "Succeeded",
                "PermanentFailure",
                "TemporaryFailure",
                "PermanentFailure"
            ]
        );
        assert_eq!(results[1]["taskId"], "b");
        assert_eq!(
            results[1]["resultString"],
            "skipped: left out by the patterns"
        );
    }

    #[test]
    fn a_long_reason_is_cut_to_what_the_completion_report_shows() {
        let form = Form::Batch {
            invocation_schema_version: "1.0".to_owned(),
            invocation_id: String::new(),
        };
        let reason = "line\n".repeat(1000);
        let answered = [message("a", vec![Verdict::Rejected { reason }])];
        let reply = reply(&form, &answered).expect("Batch Operations always get a reply");
        let words = reply["results"][0]["resultString"].as_str().expect("text");
        assert_eq!(words.chars().count(), MAX_RESULT_CHARS);
        assert!(!words.contains('\n'));
    }
}
