//! Metrics by `PutMetricData`, for the command and for embedders, who have no log group that
//! CloudWatch reads.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use pixmill::error::BoxError;
use pixmill::ports::MetricSink;
use pixmill::signal::Signal;

use crate::figures::{
    DIMENSION, Figures, IMAGES_PROCESSED, PROCESSING_FAILURE, PROCESSING_SUCCESS, PROCESSING_TIME,
    milliseconds,
};
use crate::sdk_error::Said;

/// Jobs that are kept until the next flush: 24 bytes each. More are counted as dropped.
const KEPT_JOBS: usize = 100_000;
/// CloudWatch's limit on the different values of one datum.
const VALUES_IN_A_DATUM: usize = 150;
/// CloudWatch's limit on the data of one call.
const DATA_IN_A_CALL: usize = 1000;
/// Below CloudWatch's limit of 1 MB on a call, by a rough estimate that errs upward.
const BYTES_IN_A_CALL: usize = 900_000;
/// What a datum without values may take in a call: names, dimension (at most 1,024 bytes), time.
const BYTES_OF_A_DATUM: usize = 1500;
/// What a value with its count may take.
const BYTES_OF_A_VALUE: usize = 40;

/// A metric sink that keeps figures in memory and sends them when it is flushed.
///
/// `ProcessingTime` (Milliseconds), `ImagesProcessed`, `ProcessingSuccess` and `ProcessingFailure` (Count), with the
/// dimension `FunctionName`, at the minute in which each job ended; skipped and stale jobs don't count. Recording
/// never waits for the network. It keeps the figures of 100,000 jobs; of what comes beyond, the next flush says how
/// much it was.
#[derive(Debug)]
pub struct CloudWatchMetrics {
    client: Client,
    namespace: String,
    function: String,
    clock: fn() -> SystemTime,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    dropped: u64,
}

#[derive(Debug)]
struct Job {
    /// Whole minutes since 1970: CloudWatch keeps no finer time.
    minute: u64,
    figures: Figures,
}

impl CloudWatchMetrics {
    /// Figures go to `namespace`; `function_name` is the value of the dimension `FunctionName`. The client comes
    /// from [`cloudwatch_client`](crate::cloudwatch_client).
    pub fn new(
        client: Client,
        namespace: impl Into<String>,
        function_name: impl Into<String>,
    ) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            function: function_name.into(),
            clock: SystemTime::now,
            waiting: Mutex::default(),
        }
    }

    /// Another way to tell the time, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// Sends what has been recorded since the last flush.
    ///
    /// An error says how much was not delivered and why. It is not kept for the next flush: a call whose
    /// answer got lost may have been counted, and sending it again would count it twice.
    pub async fn flush(&self) -> Result<(), BoxError> {
        let waiting = std::mem::take(&mut *self.waiting());
        let data = self.data(&waiting.jobs);
        let (all, mut lost, mut reason) = (data.len(), 0, None);
        for call in in_calls(data) {
            let count = call.len();
            let put = self
                .client
                .put_metric_data()
                .namespace(&self.namespace)
                .set_metric_data(Some(call));
            if let Err(error) = put.send().await {
                lost += count;
                reason = Some(Said::by(&error).to_string());
            }
        }
        if lost == 0 && waiting.dropped == 0 {
            return Ok(());
        }
        Err(Box::new(NotDelivered {
            lost,
            all,
            reason,
            dropped: waiting.dropped,
        }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Four metrics a minute, each in as many data as its different values need.
    fn data(&self, jobs: &[Job]) -> Vec<MetricDatum> {
        let mut minutes: BTreeMap<u64, Vec<Figures>> = BTreeMap::new();
        for job in jobs {
            minutes.entry(job.minute).or_default().push(job.figures);
        }
        let mut data = Vec::new();
        for (minute, figures) in minutes {
            let ones = |counts: fn(&Figures) -> bool| {
                figures
                    .iter()
                    .map(move |job| u64::from(counts(job)) * 1000)
                    .collect::<Vec<_>>()
            };
            let times: Vec<_> = figures.iter().map(|job| job.micros).collect();
            let milliseconds = StandardUnit::Milliseconds;
            let count = StandardUnit::Count;
            for (name, unit, values) in [
                (PROCESSING_TIME, milliseconds, times),
                (IMAGES_PROCESSED, count.clone(), ones(|_| true)),
                (PROCESSING_SUCCESS, count.clone(), ones(|job| job.success)),
                (PROCESSING_FAILURE, count, ones(|job| !job.success)),
            ] {
                data.extend(self.metric(minute, name, &unit, values));
            }
        }
        data
    }

    /// `values` are thousandths.
    fn metric(
        &self,
        minute: u64,
        name: &str,
        unit: &StandardUnit,
        values: Vec<u64>,
    ) -> Vec<MetricDatum> {
        let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
        for value in values {
            *counts.entry(value).or_default() += 1.0;
        }
        let counts: Vec<_> = counts.into_iter().collect();
        let chunks = counts.chunks(VALUES_IN_A_DATUM).map(|chunk| {
            let (values, counts) = chunk.iter().map(|(v, n)| (milliseconds(*v), *n)).unzip();
            MetricDatum::builder()
                .metric_name(name)
                .unit(unit.clone())
                .dimensions(
                    Dimension::builder()
                        .name(DIMENSION)
                        .value(&self.function)
                        .build(),
                )
                .timestamp(DateTime::from_secs(
                    i64::try_from(minute * 60).unwrap_or_default(),
                ))
                .set_values(Some(values))
                .set_counts(Some(counts))
                .build()
        });
        chunks.collect()
    }
}

impl MetricSink for CloudWatchMetrics {
    fn record(&self, signal: &Signal<'_>) {
        let Some(figures) = Figures::of(signal) else {
            return;
        };
        let since = (self.clock)().duration_since(UNIX_EPOCH);
        let minute = since.map_or(0, |since| since.as_secs() / 60);
        let mut waiting = self.waiting();
        if waiting.jobs.len() < KEPT_JOBS {
            waiting.jobs.push(Job { minute, figures });
        } else {
            waiting.dropped += 1;
        }
    }
}

/// The data in as few calls as the limits allow.
fn in_calls(data: Vec<MetricDatum>) -> Vec<Vec<MetricDatum>> {
    let mut calls: Vec<Vec<MetricDatum>> = Vec::new();
    let mut left = 0;
    for datum in data {
        let size = BYTES_OF_A_DATUM + BYTES_OF_A_VALUE * datum.values().len();
        match calls.last_mut() {
            Some(call) if call.len() < DATA_IN_A_CALL && size <= left => {
                call.push(datum);
                left -= size;
            }
            _ => {
                calls.push(vec![datum]);
                left = BYTES_IN_A_CALL - size;
            }
        }
    }
    calls
}

#[derive(Debug)]
struct NotDelivered {
    lost: usize,
    all: usize,
    reason: Option<String>,
    dropped: u64,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(reason) = &self.reason {
            let (lost, all) = (self.lost, self.all);
            write!(
                f,
                "{lost} of {all} metric data were not delivered to CloudWatch: PutMetricData: {reason}"
            )?;
            between = "; ";
        }
        if self.dropped > 0 {
            let dropped = self.dropped;
            write!(
                f,
                "{between}the figures of {dropped} jobs were dropped, because {KEPT_JOBS} were waiting already"
            )?;
        }
        Ok(())
    }
}

impl StdError for NotDelivered {}
