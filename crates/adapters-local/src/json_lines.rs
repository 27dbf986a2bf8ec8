//! Signals as JSON, one object a line.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pixmill::outcome::Outcome;
use pixmill::ports::MetricSink;
use pixmill::signal::Signal;
use serde::Serialize;

/// A metric sink that writes each signal as one line of JSON.
///
/// Every line has `level` and `signal` (`large-image`, `restarted` or `finished`). `image_size` and
/// `written_bytes` are bytes, `processing_time` and the times under `stages` milliseconds, all of
/// them numbers. Keys are JSON strings, so no file name can forge a line. Lines are written whole,
/// one at a time.
#[derive(Debug)]
pub struct JsonLines<W> {
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W> {
    writer: W,
    /// The first error; after it nothing more is written.
    failed: Option<io::Error>,
}

#[derive(Default, Serialize)]
struct Line<'a> {
    level: &'a str,
    signal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processing_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<BTreeMap<&'a str, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Lines go to `writer`, each with one `write_all`; it may buffer.
    pub fn new(writer: W) -> Self {
        let failed = None;
        Self {
            state: Mutex::new(State { writer, failed }),
        }
    }

    /// Flushes and returns the writer, or the first error that any line met.
    pub fn finish(self) -> io::Result<W> {
        let state = self.state.into_inner();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(e) => Err(e),
            None => state.writer.flush().map(|()| state.writer),
        }
    }
}

impl<W: Write + Send> MetricSink for JsonLines<W> {
    fn record(&self, signal: &Signal<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.is_some() {
            return;
        }
        let written = serde_json::to_vec(&line(signal))
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                state.writer.write_all(&line)
            });
        state.failed = written.err();
    }
}

fn line<'a>(signal: &'a Signal<'_>) -> Line<'a> {
    match signal {
        Signal::LargeImage {
            source,
            image_size,
            threshold,
        } => Line {
            level: "WARN",
            signal: "large-image",
            source: Some(source),
            image_size: Some(*image_size),
            threshold: Some(*threshold),
            ..Line::default()
        },
        Signal::Restarted {
            source,
            stage,
            times,
        } => Line {
            level: "INFO",
            signal: "restarted",
            source: Some(source),
            stage: Some(stage.name()),
            times: Some(*times),
            ..Line::default()
        },
        Signal::Finished(job) => {
            let error = job.outcome.error();
            let stages = job.stages.iter();
            Line {
                level: match job.outcome {
                    Outcome::Rejected(_) | Outcome::Failed(_) => "ERROR",
                    _ => "INFO",
                },
                signal: "finished",
                source: Some(job.source),
                outcome: Some(job.outcome.word()),
                code: job.outcome.code(),
                stage: error.map(|e| e.stage().name()),
                error: error.map(ToString::to_string),
                image_size: job.image_size,
                written_bytes: Some(job.written_bytes),
                processing_time: Some(milliseconds(job.processing_time)),
                stages: Some(stages.map(|(s, t)| (s.name(), milliseconds(*t))).collect()),
                rendered: match job.outcome {
                    Outcome::Done(done) => Some(&done.rendered),
                    _ => None,
                },
                warnings: match job.outcome {
                    Outcome::Done(done) => done.manifest.warning_words(),
                    _ => Vec::new(),
                },
                ..Line::default()
            }
        }
        // A fact that is newer than this adapter is still a line.
        _ => Line {
            level: "INFO",
            signal: "unknown",
            ..Line::default()
        },
    }
}

/// To the microsecond: more digits would be noise.
fn milliseconds(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "durations far below 2^52 µs")]
    let micros = time.as_micros() as f64;
    micros / 1000.0
}

#[cfg(test)]
mod tests {
    use pixmill::error::{Error, Stage, StoreError, StoreErrorKind};
    use pixmill::signal::Finished;

    use super::*;

    fn lines(signals: &[Signal<'_>]) -> String {
        let sink = JsonLines::new(Vec::new());
        for signal in signals {
            sink.record(signal);
        }
        let bytes = sink.finish().expect("a vector takes everything");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn each_signal_is_one_line_and_figures_are_numbers() {
        let store = StoreError::new(StoreErrorKind::Denied, "cat.png");
        let outcome = Outcome::Failed(Error::new(Stage::Fetch, store));
        let text = lines(&[
            Signal::LargeImage {
                source: "cat.png",
                image_size: 20,
                threshold: 10,
            },
            Signal::Restarted {
                source: "cat.png",
                stage: Stage::Publish,
                times: 2,
            },
            Signal::Finished(Finished {
                source: "cat.png",
                outcome: &outcome,
                image_size: Some(20),
                written_bytes: 0,
                processing_time: Duration::from_micros(1500),
                stages: &[(Stage::Fetch, Duration::from_millis(1))],
            }),
        ]);
        let expected = [
            r#"{"level":"WARN","signal":"large-image","source":"cat.png","image_size":20,"threshold":10}"#,
            r#"{"level":"INFO","signal":"restarted","source":"cat.png","stage":"publish","times":2}"#,
            r#"{"level":"ERROR","signal":"finished","source":"cat.png","outcome":"failed","code":"denied","stage":"fetch","error":"fetch: access to \"cat.png\" was refused","image_size":20,"written_bytes":0,"processing_time":1.5,"stages":{"fetch":1.0}}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_name_can_forge_a_line() {
        let source = "a\n{\"level\":\"ERROR\"}\r\u{2028}\u{1b}[2J\".png";
        let text = lines(&[Signal::Restarted {
            source,
            stage: Stage::Fetch,
            times: 1,
        }]);
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}'));
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["source"], source);
    }

    #[test]
    fn a_writer_that_fails_fails_no_job_and_says_so_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = JsonLines::new(Full);
        for times in [1, 2] {
            sink.record(&Signal::Restarted {
                source: "a",
                stage: Stage::Fetch,
                times,
            });
        }
        let error = sink.finish().map(|_| ()).expect_err("the disk was full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
