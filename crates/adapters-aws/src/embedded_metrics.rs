//! Metrics as log lines that CloudWatch reads by itself: no call, no cost while a job runs.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pixmill::ports::MetricSink;
use pixmill::signal::Signal;
use serde::Serialize;

use crate::figures::{
    DIMENSION, Figures, IMAGES_PROCESSED, PROCESSING_FAILURE, PROCESSING_SUCCESS, PROCESSING_TIME,
    milliseconds,
};

/// A metric sink that writes one line for each job that counts, in CloudWatch's embedded metric
/// format.
///
/// Each line carries `ProcessingTime` (Milliseconds), `ImagesProcessed`, `ProcessingSuccess` and
/// `ProcessingFailure` (Count), with the dimension `FunctionName`; skipped and stale jobs write none. It has a
/// `level`, without which Lambda's log filter takes it for something else, and nothing that
/// comes from a source, so no file name can make a log filter count it.
///
/// Lines are written whole, with one `write_all` each.
pub struct EmbeddedMetrics<W> {
    state: Mutex<State<W>>,
    namespace: String,
    function: String,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

struct State<W> {
    writer: W,
    /// The first error; after it nothing more is written.
    failed: Option<io::Error>,
}

impl<W: Write + Send> EmbeddedMetrics<W> {
    /// Lines go to `writer`, standard output in a function. `clock` says what time it is:
    /// `SystemTime::now`, but for tests.
    pub fn new(
        writer: W,
        namespace: impl Into<String>,
        function_name: impl Into<String>,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let failed = None;
        Self {
            state: Mutex::new(State { writer, failed }),
            namespace: namespace.into(),
            function: function_name.into(),
            clock: Box::new(clock),
        }
    }

    /// Flushes and returns the writer, or the first error that any line met.
    pub fn finish(self) -> io::Result<W> {
        let state = self.state.into_inner();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(error) => Err(error),
            None => state.writer.flush().map(|()| state.writer),
        }
    }

    fn line(&self, figures: Figures) -> io::Result<Vec<u8>> {
        let since = (self.clock)().duration_since(UNIX_EPOCH);
        let since = since.map(|since| since.as_millis());
        let count = |name| Metric {
            name,
            unit: "Count",
        };
        let line = Line {
            level: "INFO",
            aws: Aws {
                timestamp: since
                    .ok()
                    .and_then(|ms| u64::try_from(ms).ok())
                    .unwrap_or(0),
                metrics: [Directive {
                    namespace: &self.namespace,
                    dimensions: [[DIMENSION]],
                    metrics: [
                        Metric {
                            name: PROCESSING_TIME,
                            unit: "Milliseconds",
                        },
                        count(IMAGES_PROCESSED),
                        count(PROCESSING_SUCCESS),
                        count(PROCESSING_FAILURE),
                    ],
                }],
            },
            function: &self.function,
            processing_time: milliseconds(figures.micros),
            images_processed: 1,
            processing_success: u8::from(figures.success),
            processing_failure: u8::from(!figures.success),
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        Ok(line)
    }
}

impl<W: Write + Send> MetricSink for EmbeddedMetrics<W> {
    fn record(&self, signal: &Signal<'_>) {
        let Some(figures) = Figures::of(signal) else {
            return;
        };
        let line = self.line(figures);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.is_none() {
            let written = line.and_then(|line| state.writer.write_all(&line));
            state.failed = written.err();
        }
    }
}

impl<W> fmt::Debug for EmbeddedMetrics<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedMetrics")
            .field("namespace", &self.namespace)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    #[serde(rename = "_aws")]
    aws: Aws<'a>,
    #[serde(rename = "FunctionName")]
    function: &'a str,
    #[serde(rename = "ProcessingTime")]
    processing_time: f64,
    #[serde(rename = "ImagesProcessed")]
    images_processed: u8,
    #[serde(rename = "ProcessingSuccess")]
    processing_success: u8,
    #[serde(rename = "ProcessingFailure")]
    processing_failure: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws<'a> {
    timestamp: u64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Directive<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: [[&'a str; 1]; 1],
    metrics: [Metric<'a>; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric<'a> {
    name: &'a str,
    unit: &'a str,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pixmill::error::StoreErrorKind;
    use pixmill::outcome::{Outcome, SkipReason};

    use super::*;
    use crate::figures::NAMESPACE;
    use crate::figures::tests::{failure, finished};

    /// Keeps each call of `write` apart.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
            self.0.push(text.to_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(outcomes: &[Outcome]) -> Vec<String> {
        let noon = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let sink = EmbeddedMetrics::new(Writes::default(), NAMESPACE, "mill", move || noon);
        for outcome in outcomes {
            sink.record(&finished(outcome, 1500));
        }
        sink.finish().expect("a vector takes everything").0
    }

    #[test]
    fn a_job_is_one_line_written_at_once_in_the_embedded_metric_format() {
        let lines = lines(&[Outcome::Unchanged, failure(StoreErrorKind::Denied)]);
        let line = |success, failure| {
            format!(
                concat!(
                    r#"{{"level":"INFO","_aws":{{"Timestamp":1700000000123,"CloudWatchMetrics":[{{"#,
                    r#""Namespace":"ImageProcessor/Lambda","Dimensions":[["FunctionName"]],"Metrics":["#,
                    r#"{{"Name":"ProcessingTime","Unit":"Milliseconds"}},{{"Name":"ImagesProcessed","Unit":"Count"}},"#,
                    r#"{{"Name":"ProcessingSuccess","Unit":"Count"}},{{"Name":"ProcessingFailure","Unit":"Count"}}]}}]}},"#,
                    r#""FunctionName":"mill","ProcessingTime":1500.0,"ImagesProcessed":1,"#,
                    r#""ProcessingSuccess":{},"ProcessingFailure":{}}}"#,
                    "\n"
                ),
                success, failure
            )
        };
        assert_eq!(lines, [line(1, 0), line(0, 1)]);
    }

    #[test]
    fn every_metric_that_is_declared_has_its_figure_in_the_same_line() {
        let lines = lines(&[Outcome::Unchanged]);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        let metrics = declared["Metrics"].as_array().expect("a list");
        assert_eq!(metrics.len(), 4);
        for metric in metrics {
            let name = metric["Name"].as_str().expect("a name");
            assert!(line[name].is_number(), "{name}");
        }
        let dimension = declared["Dimensions"][0][0].as_str().expect("a name");
        assert_eq!(line[dimension], "mill");
    }

    #[test]
    fn no_log_filter_can_count_a_line_a_second_time() {
        let all = lines(&[Outcome::Unchanged, failure(StoreErrorKind::Unavailable)]).concat();
        for matched in [
            "Successfully processed",
            "Large image detected",
            "processing_time",
            "image_size",
            "ERROR",
            "WARN",
            "png",
        ] {
            assert!(!all.contains(matched), "{matched} in {all}");
        }
    }

    #[test]
    fn a_job_that_was_not_ours_writes_nothing() {
        let skipped = Outcome::Skipped(SkipReason::OwnOutput);
        assert!(lines(&[skipped, Outcome::Stale]).is_empty());
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
        let sink = EmbeddedMetrics::new(Full, NAMESPACE, "mill", SystemTime::now);
        sink.record(&finished(&Outcome::Unchanged, 1));
        let error = sink.finish().map(|_| ()).expect_err("the disk was full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
