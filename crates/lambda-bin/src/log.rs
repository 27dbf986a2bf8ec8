//! The function's log: one JSON object a line, written whole.
//!
//! Signals are always written, whatever `LOG_LEVEL` says: metrics are counted from them. Every
//! line has `timestamp`, `level` and `message`; `message` is one of a few fixed phrases, so that
//! it can be searched and counted, and everything that comes from outside (keys, decoders' words) is in
//! fields of its own, as JSON strings: no object's name can forge a line.
//!
//! | field | meaning |
//! | --- | --- |
//! | `signal` | `finished`, `large-image` or `restarted`: a fact about one picture |
//! | `function` | the function's name, in every line where it has one |
//! | `request_id`, `cold_start` | the invocation |
//! | `bucket`, `key`, `version`, `event` | the object, and the event's own word |
//! | `outcome`, `code`, `stage`, `error` | what became of it, and why |
//! | `processing_time` | milliseconds, a number |
//! | `stages` | milliseconds by stage, numbers |
//! | `image_size` | the source's bytes, a number |
//! | `written_bytes`, `sizes` | bytes written now, in all and by variant, numbers |
//! | `deferred` | the variants for which time or memory did not suffice |
//! | `threshold` | from so many bytes on an image is called large |
//! | `times` | how often a job has begun again |
//! | `records` | how many records an event has (a detail) |

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use pixmill::error::{Cause, Error, StoreErrorKind};
use pixmill::outcome::{Done, Outcome};
use pixmill::ports::MetricSink;
use pixmill::signal::{Finished, Signal};
use serde::Serialize;

use crate::bounded::one_line;
use crate::settings::LogLevel;

/// The most characters of an error's words.
const MAX_ERROR_CHARS: usize = 1_000;

/// Where lines go.
pub struct Log {
    writer: Mutex<Box<dyn Write + Send>>,
    detail: LogLevel,
    function: Option<String>,
    clock: fn() -> SystemTime,
}

/// One line. What is none is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// One of a few fixed phrases.
    pub message: &'static str,
    /// Which fact about a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<&'static str>,
    /// Of what the line speaks.
    #[serde(flatten)]
    pub subject: Option<Subject>,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The bounded word for the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// The reason in words, with what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often the job has begun again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How many records an event has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<usize>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_time: Option<f64>,
    /// Milliseconds by stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<BTreeMap<&'static str, f64>>,
    /// The source's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u64>,
    /// From this many bytes on a source is called large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// Bytes written now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Bytes of each rendition, by variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<BTreeMap<String, u64>>,
    /// Variants that were put off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<String>,
    /// The word of every loss that the manifest warns of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct Stamped<'a> {
    timestamp: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(flatten)]
    line: &'a Line,
}

/// Of what a line speaks: the invocation, and the object if there is one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Subject {
    /// The invocation's id.
    pub request_id: String,
    /// Whether it is the first invocation of this process.
    pub cold_start: bool,
    /// The object's bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object's whole key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The object's version, as the event has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The event's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

impl Log {
    /// Lines go to `writer`, each with one `write_all`; detail lines from the level `detail` on.
    pub fn new(writer: impl Write + Send + 'static, detail: LogLevel) -> Self {
        Self::with_clock(writer, detail, SystemTime::now)
    }

    /// The same, by another clock.
    pub fn with_clock(
        writer: impl Write + Send + 'static,
        detail: LogLevel,
        clock: fn() -> SystemTime,
    ) -> Self {
        Self {
            writer: Mutex::new(Box::new(writer)),
            detail,
            function: None,
            clock,
        }
    }

    /// Every line names the function: by that field the metrics of two deployments are kept apart.
    #[must_use]
    pub fn of_function(mut self, function: Option<String>) -> Self {
        self.function = function;
        self
    }

    /// Writes a line, whatever the level of detail.
    pub fn always(&self, level: LogLevel, line: &Line) {
        let now = jiff::Timestamp::try_from((self.clock)());
        let line = Stamped {
            timestamp: now.map(|now| format!("{now:.3}")).unwrap_or_default(),
            level: name(level),
            function: self.function.as_deref(),
            line,
        };
        let Ok(mut bytes) = serde_json::to_vec(&line) else {
            return;
        };
        bytes.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere else to say that the log can't be written.
        let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
    }

    /// Writes a line that nothing is counted from, if such detail is wanted.
    pub fn detail(&self, level: LogLevel, line: &Line) {
        if level >= self.detail {
            self.always(level, line);
        }
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARN",
        LogLevel::Error => "ERROR",
        LogLevel::Critical => "CRITICAL",
    }
}

/// Signals about one object as lines.
pub struct JobLog {
    /// Where the lines go.
    pub log: Arc<Log>,
    /// The object.
    pub subject: Arc<Subject>,
}

impl MetricSink for JobLog {
    fn record(&self, signal: &Signal<'_>) {
        let subject = Some(Subject::clone(&self.subject));
        match signal {
            Signal::LargeImage {
                image_size,
                threshold,
                ..
            } => self.log.always(
                LogLevel::Warning,
                &Line {
                    message: "Large image detected",
                    signal: Some("large-image"),
                    subject,
                    image_size: Some(*image_size),
                    threshold: Some(*threshold),
                    ..Line::default()
                },
            ),
            Signal::Restarted { stage, times, .. } => self.log.always(
                LogLevel::Info,
                &Line {
                    message: "Began again: somebody else wrote meanwhile",
                    signal: Some("restarted"),
                    subject,
                    stage: Some(stage.name()),
                    times: Some(*times),
                    ..Line::default()
                },
            ),
            Signal::Finished(job) => {
                let (level, mut line) = finished(job);
                line.subject = subject;
                self.log.always(level, &line);
            }
            // Core may learn to tell more; what is not known here is not counted here.
            _ => {}
        }
    }
}

fn finished(job: &Finished<'_>) -> (LogLevel, Line) {
    let (level, message) = match job.outcome {
        Outcome::Done(done) if !deferred(done).is_empty() => {
            (LogLevel::Warning, "Processed in part")
        }
        Outcome::Done(_) => (LogLevel::Info, "Successfully processed"),
        Outcome::Unchanged => (LogLevel::Info, "Already processed"),
        Outcome::Stale => (LogLevel::Info, "Overtaken by a newer event"),
        Outcome::Skipped(_) => (LogLevel::Info, "Skipped"),
        outcome if outcome.error().is_some_and(needs_a_person) => {
            (LogLevel::Critical, "Error processing image")
        }
        _ => (LogLevel::Error, "Error processing image"),
    };
    let error = job.outcome.error();
    let mut line = Line {
        message,
        signal: Some("finished"),
        outcome: Some(job.outcome.word()),
        code: job.outcome.code().map(str::to_owned),
        stage: error.map(|error| error.stage().name()),
        error: error.map(|error| one_line(&error.cause().to_string(), MAX_ERROR_CHARS)),
        processing_time: Some(milliseconds(job.processing_time)),
        image_size: job.image_size,
        ..Line::default()
    };
    if let Outcome::Skipped(reason) = job.outcome {
        line.error = Some(reason.to_string());
    }
    if !job.stages.is_empty() {
        let stages = job.stages.iter();
        line.stages = Some(
            stages
                .map(|(stage, time)| (stage.name(), milliseconds(*time)))
                .collect(),
        );
    }
    if let Outcome::Done(done) = job.outcome {
        line.written_bytes = Some(job.written_bytes);
        let variants = done.manifest.variants.iter();
        let sizes = variants.filter_map(|v| Some((v.name.clone(), v.rendition.as_ref()?.bytes)));
        line.sizes = Some(sizes.collect());
        line.deferred = deferred(done);
        line.warnings = done.manifest.warning_words();
    }
    (level, line)
}

fn deferred(done: &Done) -> Vec<String> {
    let variants = done.manifest.variants.iter();
    let deferred = variants.filter(|variant| variant.deferred.is_some());
    deferred.map(|variant| variant.name.clone()).collect()
}

/// Whether trying again does not help until somebody has set something right: access, names,
/// records that an older engine can't read, a store that answers what nobody foresaw.
pub fn needs_a_person(error: &Error) -> bool {
    match error.cause() {
        Cause::Store(e) => matches!(e.kind(), StoreErrorKind::Denied | StoreErrorKind::Other),
        Cause::Name(_) | Cause::Record(_) => true,
        _ => false,
    }
}

/// Milliseconds to three places.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
