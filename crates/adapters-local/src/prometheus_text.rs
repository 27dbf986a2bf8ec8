//! A run's figures as Prometheus text, for the node exporter's textfile collector and its like.

use std::io;
use std::path::Path;

use pixmill::ports::MetricSink;
use pixmill::signal::Signal;
// The `prometheus` crate rather than `prometheus-client`, whose text is OpenMetrics and in no fixed
// order; without its default features it is small, and its escaping and sums are well tried.
use prometheus::{
    CounterVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::whole_file::replace_file;

/// Upper bounds of the buckets of `pixmill_processing_seconds`.
const SECONDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Upper bounds of the buckets of `pixmill_image_size_bytes`: 16 KiB to 256 MiB, by four.
const BYTES: [f64; 8] = [
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
];

/// A metric sink that counts, and writes its counts as Prometheus text (format 0.0.4). Clones
/// share their counts.
///
/// | metric | type | labels |
/// | --- | --- | --- |
/// | `pixmill_jobs_total` | counter | `outcome`, `code` (empty where there is no reason to give) |
/// | `pixmill_processing_seconds` | histogram, buckets 0.01 to 60 s | |
/// | `pixmill_stage_seconds_total` | counter | `stage` |
/// | `pixmill_image_size_bytes` | histogram, buckets 16 KiB to 256 MiB | |
/// | `pixmill_written_bytes_total` | counter | |
/// | `pixmill_large_images_total` | counter | |
/// | `pixmill_restarts_total` | counter | `stage` |
#[derive(Clone, Debug)]
pub struct PrometheusText {
    registry: Registry,
    jobs: IntCounterVec,
    seconds: Histogram,
    stage_seconds: CounterVec,
    image_size: Histogram,
    written: IntCounter,
    large: IntCounter,
    restarts: IntCounterVec,
}

impl PrometheusText {
    /// Nothing counted yet.
    ///
    /// # Panics
    ///
    /// Never: the names are constants, and each is registered once.
    pub fn new() -> Self {
        let valid = "a constant, valid metric name";
        let counter = |name, help| IntCounter::new(name, help).expect(valid);
        let histogram = |name, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            Histogram::with_opts(options).expect(valid)
        };
        let counters =
            |name, help, labels| IntCounterVec::new(Opts::new(name, help), labels).expect(valid);
        let metrics = Self {
            registry: Registry::new(),
            jobs: counters(
                "pixmill_jobs_total",
                "Jobs that have ended, by outcome and reason.",
                &["outcome", "code"],
            ),
            seconds: histogram(
                "pixmill_processing_seconds",
                "Time from a job's start to its end.",
                &SECONDS,
            ),
            stage_seconds: CounterVec::new(
                Opts::new("pixmill_stage_seconds_total", "Time spent in each stage."),
                &["stage"],
            )
            .expect(valid),
            image_size: histogram(
                "pixmill_image_size_bytes",
                "Size of the sources that were read.",
                &BYTES,
            ),
            written: counter(
                "pixmill_written_bytes_total",
                "Bytes of all renditions written.",
            ),
            large: counter(
                "pixmill_large_images_total",
                "Sources above the recipe's large_bytes.",
            ),
            restarts: counters(
                "pixmill_restarts_total",
                "Times a job began again because somebody else wrote meanwhile.",
                &["stage"],
            ),
        };
        let all: [Box<dyn prometheus::core::Collector>; 7] = [
            Box::new(metrics.jobs.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.stage_seconds.clone()),
            Box::new(metrics.image_size.clone()),
            Box::new(metrics.written.clone()),
            Box::new(metrics.large.clone()),
            Box::new(metrics.restarts.clone()),
        ];
        for metric in all {
            metrics.registry.register(metric).expect(valid);
        }
        metrics
    }

    /// The counts as text: metrics by name, series by label.
    pub fn text(&self) -> String {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        // Only a metric without a series fails, and those are left out by `gather`.
        text.unwrap_or_default()
    }

    /// Writes the counts to the file `path`, whole: a collector that reads meanwhile sees the old
    /// text or the new one.
    pub fn write(&self, path: impl AsRef<Path>) -> io::Result<()> {
        replace_file(path, self.text().as_bytes())
    }
}

impl Default for PrometheusText {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricSink for PrometheusText {
    fn record(&self, signal: &Signal<'_>) {
        match signal {
            Signal::LargeImage { .. } => self.large.inc(),
            Signal::Restarted { stage, .. } => {
                self.restarts.with_label_values(&[stage.name()]).inc();
            }
            Signal::Finished(job) => {
                let labels = [job.outcome.word(), job.outcome.code().unwrap_or_default()];
                self.jobs.with_label_values(&labels).inc();
                self.seconds.observe(job.processing_time.as_secs_f64());
                for (stage, time) in job.stages {
                    let stage = self.stage_seconds.with_label_values(&[stage.name()]);
                    stage.inc_by(time.as_secs_f64());
                }
                if let Some(size) = job.image_size {
                    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
                    self.image_size.observe(size as f64);
                }
                self.written.inc_by(job.written_bytes);
            }
            // A fact that this version has no metric for.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::time::Duration;

    use pixmill::error::{Error, Stage, StoreError, StoreErrorKind};
    use pixmill::outcome::Outcome;
    use pixmill::signal::Finished;

    use super::*;

    const STAGES: [(Stage, Duration); 1] = [(Stage::Fetch, Duration::from_millis(10))];

    fn finished(outcome: &Outcome) -> Signal<'_> {
        Signal::Finished(Finished {
            source: "hostile\"} 1\npixmill_jobs_total 99",
            outcome,
            image_size: Some(20_000),
            written_bytes: 500,
            processing_time: Duration::from_millis(30),
            stages: &STAGES,
        })
    }

    #[test]
    fn the_text_counts_outcomes_and_fills_buckets_in_a_fixed_order() {
        let text = || {
            let metrics = PrometheusText::new();
            let store = StoreError::new(StoreErrorKind::Denied, "k");
            let failed = Outcome::Failed(Error::new(Stage::Fetch, store));
            for outcome in [&failed, &Outcome::Unchanged, &Outcome::Unchanged] {
                metrics.record(&finished(outcome));
            }
            metrics.text()
        };
        let lines = text();
        for line in [
            "# TYPE pixmill_jobs_total counter",
            "pixmill_jobs_total{code=\"\",outcome=\"unchanged\"} 2",
            "pixmill_jobs_total{code=\"denied\",outcome=\"failed\"} 1",
            "pixmill_processing_seconds_bucket{le=\"0.025\"} 0",
            "pixmill_processing_seconds_bucket{le=\"0.05\"} 3",
            "pixmill_processing_seconds_count 3",
            "pixmill_stage_seconds_total{stage=\"fetch\"} 0.03",
            "pixmill_image_size_bytes_bucket{le=\"16384\"} 0",
            "pixmill_image_size_bytes_bucket{le=\"65536\"} 3",
            "pixmill_image_size_bytes_sum 60000",
            "pixmill_written_bytes_total 1500",
        ] {
            assert!(lines.lines().any(|l| l == line), "{line}\nnot in\n{lines}");
        }
        assert!(!lines.contains("hostile"), "no key becomes a label");
        assert_eq!(lines, text());
    }

    #[test]
    fn a_written_file_is_whole_and_readable_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pixmill.prom");
        let metrics = PrometheusText::new();
        metrics.write(&path).expect("a first write");
        metrics.record(&finished(&Outcome::Stale));
        metrics.write(&path).expect("a second write");
        let text = fs::read_to_string(&path).expect("the file");
        assert_eq!(text, metrics.text());
        assert!(text.ends_with('\n'));
        let names = fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(names, 1);
        let error = metrics.write(folder.path()).expect_err("not a file");
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}
