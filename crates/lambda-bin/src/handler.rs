//! What the function does with one payload: read it, choose the jobs, do them one after the other,
//! and say what became of each. It knows stores by the ports only, so that the same code answers in Lambda and
//! replays an event on a laptop.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use pixmill::alert::{Alert, Channel};
use pixmill::job::Job;
use pixmill::manifest::State;
use pixmill::outcome::Outcome;
use pixmill::ports::{AlertSink, BlobStore, MetricSink};
use pixmill::process::Processor;
use pixmill::render::Stop;
use pixmill::signal::Signal;
use serde_json::Value;

use crate::bounded::one_line;
use crate::event::{Delivery, Entry, EventError, ObjectEvent, read};
use crate::log::{JobLog, Line, Log, Subject, needs_a_person};
use crate::reply::{Answered, Unsettled, Verdict, reply};
use crate::select::{Choice, Refusal, Rules};
use crate::settings::LogLevel;

/// What is kept free before the runtime would end the process: the answer has to reach it.
pub const ANSWER_RESERVE: Duration = Duration::from_millis(600);

/// What is kept free for the answer where alerts are still being sent.
const ALERT_RESERVE: Duration = Duration::from_millis(300);

/// What is kept free beyond that for writing what was rendered: a tenth of the time, within these.
const PUBLISH_RESERVE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(3));

/// One call of the function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its id.
    pub request_id: String,
    /// When the runtime ends the process; none where nobody does.
    pub deadline: Option<Instant>,
    /// Whether it is the first one of this process.
    pub cold_start: bool,
}

/// Gives the store of sources for a bucket's name.
pub type OpenSources = Box<dyn Fn(&str) -> Arc<dyn BlobStore> + Send + Sync>;

/// Everything that stays the same from one payload to the next.
pub struct Handler {
    /// Which objects are ours.
    pub rules: Rules,
    /// Does the jobs: what to make, where it goes, and what one job may use. Each job brings its own
    /// store of sources, its own line in the log, and its invocation's deadline.
    pub processor: Processor,
    /// The store of sources for a bucket, its prefix taken into account.
    pub sources: OpenSources,
    /// The log.
    pub log: Arc<Log>,
    /// A second reader of signals beside the log.
    pub metrics: Option<Arc<dyn MetricSink>>,
    /// Who tells a person; none where alarms do.
    pub alerts: Option<Arc<dyn AlertSink>>,
    /// A timer: ready once an instant has passed.
    pub timer: Timer,
}

/// A future that is ready once the instant has passed; the executor's own.
pub type Timer = Box<dyn Fn(Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What one record came to, for the reply and for those who are told.
struct Told {
    verdict: Verdict,
    trouble: Option<Trouble>,
}

/// What a person may have to hear of.
struct Trouble {
    channel: Channel,
    object: String,
    code: String,
    words: String,
}

impl Handler {
    /// Answers one payload. Fails where the caller should try the whole of it again.
    pub async fn handle(
        &self,
        payload: &Value,
        invocation: &Invocation,
    ) -> Result<Value, Unsettled> {
        let Delivery { form, messages } = read(payload);
        let records: usize = messages.iter().map(|message| message.entries.len()).sum();
        self.log.detail(
            LogLevel::Debug,
            &Line {
                message: "Received an event",
                subject: Some(subject(invocation, None)),
                records: Some(records),
                ..Line::default()
            },
        );
        let mut answered = Vec::with_capacity(messages.len());
        let mut troubles = Vec::new();
        let mut number = 0;
        for message in messages {
            let mut verdicts = Vec::with_capacity(message.entries.len());
            for entry in &message.entries {
                let request = if records == 1 {
                    invocation.request_id.clone()
                } else {
                    format!("{}/{number}", invocation.request_id)
                };
                let told = self.settle(entry, invocation, request, number).await;
                verdicts.push(told.verdict);
                troubles.extend(told.trouble);
                number += 1;
            }
            answered.push(Answered {
                id: message.id,
                verdicts,
            });
        }
        let telling = pin!(self.tell(&troubles, invocation));
        match invocation.deadline {
            None => telling.await,
            // The reply is worth more than the alert: without it the whole batch would come again.
            Some(deadline) => {
                let last = deadline.checked_sub(ALERT_RESERVE).unwrap_or(deadline);
                if let Either::Right(_) = select(telling, (self.timer)(last)).await {
                    self.log_untold(invocation, "there was no time left for it");
                }
            }
        }
        reply(&form, &answered)
    }

    /// One record, by itself: whatever it is, its neighbours are none the worse for it.
    async fn settle(
        &self,
        entry: &Result<Entry, EventError>,
        invocation: &Invocation,
        request: String,
        number: usize,
    ) -> Told {
        let event = match entry {
            Ok(Entry::Object(event)) => event,
            Ok(Entry::Test) => return self.pass_over("s3:TestEvent", "test-event", invocation),
            Ok(Entry::Other { word }) => {
                return self.pass_over(word, "other-event", invocation);
            }
            Err(error) => return self.unreadable(error, invocation),
        };
        let subject = Arc::new(subject(invocation, Some(event)));
        match self.rules.choose(event) {
            Err(refusal) => self.refuse(&refusal, &subject),
            Ok(Choice::Skip(reason)) => {
                let outcome = Outcome::Skipped(reason);
                self.processor(event, &subject, invocation)
                    .settle(&event.key, None, &outcome);
                Told::of(&outcome, event)
            }
            Ok(Choice::Job(job)) => {
                let mut job = job.with_request(request);
                job.sequencer.clone_from(&event.sequencer);
                let outcome = self.process(&job, event, &subject, invocation).await;
                let mut told = Told::of(&outcome, event);
                if number > 0 && is_put_off(&outcome) {
                    // Its neighbours had used the time: alone it may have enough.
                    told.verdict = Verdict::Retry {
                        reason: "some variants were put off for want of time".to_owned(),
                    };
                }
                told
            }
        }
    }

    async fn process(
        &self,
        job: &Job,
        event: &ObjectEvent,
        subject: &Arc<Subject>,
        invocation: &Invocation,
    ) -> Outcome {
        let processor = self.processor(event, subject, invocation);
        let Some(deadline) = invocation.deadline else {
            return processor.process(job).await;
        };
        let last = deadline.checked_sub(ANSWER_RESERVE).unwrap_or(deadline);
        processor.process_until(job, (self.timer)(last)).await
    }

    fn processor(
        &self,
        event: &ObjectEvent,
        subject: &Arc<Subject>,
        invocation: &Invocation,
    ) -> Processor {
        let log = JobLog {
            log: self.log.clone(),
            subject: subject.clone(),
        };
        let processor = self
            .processor
            .clone()
            .with_sources((self.sources)(&event.bucket))
            .with_metrics(Arc::new(LogAndMetrics {
                log,
                metrics: self.metrics.clone(),
            }));
        match invocation.deadline {
            Some(deadline) => processor.with_stop(stop_before(deadline)),
            None => processor,
        }
    }

    /// What is acknowledged and nothing more.
    fn pass_over(&self, word: &str, code: &str, invocation: &Invocation) -> Told {
        let mut subject = subject(invocation, None);
        subject.event = Some(word.to_owned());
        self.log.always(
            LogLevel::Info,
            &Line {
                message: "Skipped",
                subject: Some(subject),
                outcome: Some("skipped"),
                code: Some(code.to_owned()),
                ..Line::default()
            },
        );
        let reason = format!("{word} asks for nothing");
        Told {
            verdict: Verdict::skipped(reason),
            trouble: None,
        }
    }

    fn unreadable(&self, error: &EventError, invocation: &Invocation) -> Told {
        let subject = subject(invocation, None);
        let (code, words) = (error.code(), error.to_string());
        self.log_refused(LogLevel::Error, subject, code, &words);
        Told {
            verdict: Verdict::from(error),
            trouble: Some(Trouble {
                channel: Channel::Logs,
                object: "an event".to_owned(),
                code: code.to_owned(),
                words,
            }),
        }
    }

    fn refuse(&self, refusal: &Refusal, subject: &Subject) -> Told {
        let (code, words) = (refusal.code(), refusal.to_string());
        let object = subject.key.clone().unwrap_or_default();
        self.log_refused(LogLevel::Critical, subject.clone(), code, &words);
        Told {
            verdict: Verdict::from(refusal),
            trouble: Some(Trouble {
                channel: Channel::Critical,
                object,
                code: code.to_owned(),
                words,
            }),
        }
    }

    fn log_refused(&self, level: LogLevel, subject: Subject, code: &str, words: &str) {
        self.log.always(
            level,
            &Line {
                message: "Error reading event",
                subject: Some(subject),
                outcome: Some("refused"),
                code: Some(code.to_owned()),
                error: Some(words.to_owned()),
                ..Line::default()
            },
        );
    }

    /// One message for each channel at most, however much went wrong in one invocation.
    async fn tell(&self, troubles: &[Trouble], invocation: &Invocation) {
        let Some(alerts) = &self.alerts else { return };
        let mut by_channel: BTreeMap<&str, Vec<&Trouble>> = BTreeMap::new();
        for trouble in troubles {
            let of_channel = by_channel.entry(trouble.channel.word());
            of_channel.or_default().push(trouble);
        }
        for troubles in by_channel.values() {
            let alert = alert(troubles, invocation);
            if let Err(error) = alerts.send(&alert).await {
                self.log_untold(invocation, &error.to_string());
            }
        }
    }

    fn log_untold(&self, invocation: &Invocation, words: &str) {
        self.log.always(
            LogLevel::Error,
            &Line {
                message: "Error sending alert",
                subject: Some(subject(invocation, None)),
                code: Some("alert".to_owned()),
                error: Some(one_line(words, 300)),
                ..Line::default()
            },
        );
    }
}

/// What a line about this invocation, and this object, speaks of.
fn subject(invocation: &Invocation, event: Option<&ObjectEvent>) -> Subject {
    Subject {
        request_id: invocation.request_id.clone(),
        cold_start: invocation.cold_start,
        bucket: event.map(|event| event.bucket.clone()),
        key: event.map(|event| event.key.clone()),
        version: event.and_then(|event| event.version.clone()),
        event: event.map(|event| event.word.clone()),
    }
}

impl Told {
    fn of(outcome: &Outcome, event: &ObjectEvent) -> Self {
        let trouble = outcome.error().map(|error| Trouble {
            channel: if needs_a_person(error) {
                Channel::Critical
            } else {
                Channel::Logs
            },
            object: format!("s3://{}/{}", event.bucket, event.key),
            code: error.code().to_owned(),
            words: error.to_string(),
        });
        Self {
            verdict: Verdict::from(outcome),
            trouble,
        }
    }
}

/// What, how many, which, why, and where to read on.
fn alert(troubles: &[&Trouble], invocation: &Invocation) -> Alert {
    const SHOWN: usize = 10;
    let first = troubles[0];
    let subject = match troubles.len() {
        1 => format!("1 picture was not processed ({})", first.code),
        count => format!(
            "{count} pictures were not processed ({} and others)",
            first.code
        ),
    };
    let mut lines = Vec::new();
    for trouble in troubles.iter().take(SHOWN) {
        let (object, words) = (
            one_line(&trouble.object, 300),
            one_line(&trouble.words, 500),
        );
        lines.push(object);
        lines.push(format!("  {} ({words})", trouble.code));
    }
    if let Some(more) = troubles.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    lines.push("Read on in the function's log with CloudWatch Logs Insights:".to_owned());
    lines.push(format!(
        "  fields @timestamp, level, key, code, error | filter request_id = \"{}\"",
        invocation.request_id
    ));
    Alert {
        channel: first.channel,
        subject,
        body: lines.join("\n"),
    }
}

fn is_put_off(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Done(done) => done.manifest.state == State::Incomplete,
        _ => false,
    }
}

/// When rendering has to stop, so that what is ready can still be written.
fn stop_before(deadline: Instant) -> Stop {
    let left = deadline.saturating_duration_since(Instant::now());
    let (least, most) = PUBLISH_RESERVE;
    let reserve = ANSWER_RESERVE + (left / 10).clamp(least, most);
    Stop::at(deadline.checked_sub(reserve).unwrap_or(deadline))
}

/// Signals go to the log, and to the metrics if there are any.
struct LogAndMetrics {
    log: JobLog,
    metrics: Option<Arc<dyn MetricSink>>,
}

impl MetricSink for LogAndMetrics {
    fn record(&self, signal: &Signal<'_>) {
        self.log.record(signal);
        if let Some(metrics) = &self.metrics {
            metrics.record(signal);
        }
    }
}
