//! S3's events, SQS and Lambda on a virtual clock, and the metrics that come of them: what AWS measures by itself,
//! and what the metric filters make of the real function's lines.
//!
//! After the AWS Lambda Developer Guide ("Types of metrics for Lambda functions", "Using Lambda with Amazon SQS",
//! "Error handling for asynchronous invocation") and the Amazon SQS Developer Guide ("Available CloudWatch metrics"):
//!
//! - A message that was received is out of sight for the visibility timeout; given back or lost with its invocation it
//!   comes again after that, and goes to the dead letters instead of being received once too often. A throttled
//!   invocation uses up a receive too.
//! - Events that S3 sends directly are tried again after one and two minutes, throttled ones with growing pauses, and
//!   dropped with their failure record in the dead-letter queue when the attempts or the hours are used up.
//! - Queues measure themselves every minute while they hold messages or were touched within six hours. A mapping that is
//!   enabled touches its queue all the time. What was received three times and more doesn't count for the oldest age.
//! - A start is cold when no process of the last ten minutes is idle.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde_json::{Value, json};

use crate::deployment::{Deployment, MetricFilter, Mode};
use crate::embedded_metrics::embedded;
use crate::metrics::{MINUTE, Metrics, Series, Time};
use crate::repertoire::{Act, End, Performance};

/// Monday, the 5th of January 2026, midnight UTC: where every rehearsal begins.
pub const BEGIN: Time = 1_767_571_200;

// The defaults of `infra`'s variables.
const TIMEOUT: Time = 60;
const VISIBILITY: Time = 6 * TIMEOUT;
const MAX_RECEIVES: u32 = 5;
const MAX_CONCURRENCY: usize = 100;
const RETRIES: u32 = 2;
const MAX_EVENT_AGE: Time = 6 * 3600;

/// How long a process stays without work; AWS promises no number.
const WARM: Time = 600;

/// CloudTrail tells of a request within about five minutes on average, says its user guide.
const TRAIL: Time = 300;

/// How long a queue that nobody touches still measures itself.
const ACTIVE: Time = 6 * 3600;

/// What is uploaded, or put on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// A good picture.
    Good,
    /// A good picture of many bytes.
    Large,
    /// The canary.
    Canary,
    /// A picture that is cut short.
    Corrupt,
    /// Something on the queue that is no event.
    Poison,
    /// An event of a bucket that isn't the function's.
    Foreign,
}

/// What is wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Every invocation goes like this one.
    Like(Act),
    /// One invocation of so many is refused for want of concurrency.
    ThrottledOneIn(u64),
    /// Nothing is invoked: the mapping is disabled, or the function may not run.
    Stopped,
    /// The bucket tells nobody of uploads.
    NoNotification,
    /// Invocations take this many milliseconds, from the first number at its begin to the second at its end.
    Slow(u64, u64),
    /// A start takes this many milliseconds.
    SlowStarts(u64),
    /// Every process is gone: what a deploy does.
    NewVersion,
    /// What was given up can't be put into the dead-letter queue.
    NoDestination,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| ms / 1000;
        match self {
            Self::Like(Act::DeniedReading) => f.write_str("S3 refuses to give uploads"),
            Self::Like(Act::DeniedWriting) => f.write_str("S3 refuses to take renditions"),
            Self::Like(Act::Unavailable) => f.write_str("S3 answers 503"),
            Self::Like(Act::OutOfTime) => f.write_str("S3 doesn't answer"),
            Self::Like(Act::OutOfMemory) => f.write_str("pictures need more memory than there is"),
            Self::Like(Act::Hung) => f.write_str("the function hangs"),
            Self::Like(Act::Killed) => f.write_str("the function's process is killed"),
            Self::Like(act) => write!(f, "every invocation is like {act:?}"),
            Self::ThrottledOneIn(share) => write!(f, "one invocation in {share} is refused"),
            Self::Stopped => f.write_str("nothing is invoked"),
            Self::NoNotification => f.write_str("the bucket tells nobody"),
            Self::Slow(first, last) if first == last => {
                write!(f, "invocations take up to {} s", seconds(*first))
            }
            Self::Slow(first, last) => {
                let (first, last) = (seconds(*first), seconds(*last));
                write!(
                    f,
                    "invocations take up to {first} s, and more and more, up to {last} s"
                )
            }
            Self::SlowStarts(ms) => write!(f, "a start takes {ms} ms"),
            Self::NewVersion => f.write_str("a deploy: every process is new"),
            Self::NoDestination => f.write_str("the dead-letter queue takes nothing"),
        }
    }
}

/// When something is wrong, in seconds since the begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// From here on,
    pub from: Time,
    /// until before this.
    pub until: Time,
    /// What it is.
    pub trouble: Trouble,
}

/// How late CloudWatch sees what was logged or measured, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(pub Time);

#[derive(Clone, Copy, Debug)]
struct Message {
    id: u64,
    upload: Upload,
    sent: Time,
    tries: u32,
    throttled: u32,
}

#[derive(Clone, Debug)]
enum Event {
    Uploaded(Upload),
    Visible(Message),
    Ended { message: Message, end: End },
    Look,
}

/// A line that a person would look for: its time and its text.
#[derive(Clone, Debug)]
pub struct Logged {
    /// When.
    pub at: Time,
    /// The line.
    pub line: Value,
}

/// Everything around the function, on its clock.
pub struct Simulation<'a> {
    deployment: &'a Deployment,
    filters: Vec<MetricFilter>,
    performances: &'a BTreeMap<Act, Performance>,
    phases: &'a [Phase],
    delay: Delay,
    /// What is to come, in order; the number keeps what comes at once in the order in which it was planned.
    agenda: BTreeMap<(Time, u64), Event>,
    planned: u64,
    now: Time,
    queue: VecDeque<Message>,
    in_flight: Vec<Message>,
    dead: Vec<Time>,
    sent: u64,
    touched: Time,
    dead_touched: Option<Time>,
    running: usize,
    invocations: u64,
    /// When each idle process was last at work.
    idle: Vec<Time>,
    /// The metrics that came of it.
    pub metrics: Metrics,
    /// Lines of level ERROR and CRITICAL, in order.
    pub errors: Vec<Logged>,
    /// How many uploads, invocations and settled records there were.
    pub counts: Counts,
    /// What the filters make of a line, by what tells lines apart.
    counted: BTreeMap<(Act, u64, u64), Vec<(Series, f64)>>,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects that were uploaded, and messages that were put on the queue.
    pub uploads: u64,
    /// Attempts that began.
    pub invocations: u64,
    /// Records that need not come again.
    pub settled: u64,
    /// Records that were given up.
    pub dead: u64,
}

impl<'a> Simulation<'a> {
    /// Uploads at seconds since the begin, and phases in which something is wrong.
    pub fn new(
        deployment: &'a Deployment,
        performances: &'a BTreeMap<Act, Performance>,
        uploads: &[(Time, Upload)],
        phases: &'a [Phase],
        delay: Delay,
    ) -> Self {
        let filters = deployment.filters();
        let mut simulation = Self {
            deployment,
            filters: filters
                .into_iter()
                .filter(|f| f.log == "function")
                .collect(),
            performances,
            phases,
            delay,
            agenda: BTreeMap::new(),
            planned: 0,
            now: 0,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            dead: Vec::new(),
            sent: 0,
            touched: 0,
            dead_touched: None,
            running: 0,
            invocations: 0,
            idle: Vec::new(),
            metrics: Metrics::default(),
            errors: Vec::new(),
            counts: Counts::default(),
            counted: BTreeMap::new(),
        };
        for (at, upload) in uploads {
            simulation.plan(*at, Event::Uploaded(*upload));
        }
        for phase in phases {
            // What waits begins to move, or has its processes taken away, without anything else happening.
            simulation.plan(phase.from, Event::Look);
            simulation.plan(phase.until, Event::Look);
        }
        simulation
    }

    /// Lives through the minute that ends at `until`, seconds since the begin.
    pub fn minute(&mut self, until: Time) {
        while let Some(entry) = self.agenda.first_entry() {
            let (at, _) = *entry.key();
            if at >= until {
                break;
            }
            let event = entry.remove();
            self.now = at;
            self.happen(event);
        }
        self.now = until - 1;
        self.measure_queues();
    }

    fn plan(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), event);
    }

    fn troubles(&self) -> impl Iterator<Item = &'a Phase> + use<'a> {
        let now = self.now;
        let phases = self.phases.iter();
        phases.filter(move |phase| (phase.from..phase.until).contains(&now))
    }

    fn is(&self, trouble: Trouble) -> bool {
        self.troubles().any(|phase| phase.trouble == trouble)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Uploaded(upload) => {
                self.counts.uploads += 1;
                if self.is(Trouble::NoNotification) {
                    return;
                }
                let message = Message {
                    id: self.counts.uploads,
                    upload,
                    sent: self.now,
                    tries: 0,
                    throttled: 0,
                };
                match self.deployment.mode {
                    Mode::Queue => {
                        self.sent += 1;
                        self.touched = self.now;
                        self.queue.push_back(message);
                    }
                    Mode::Direct => {
                        self.measure("AsyncEventsReceived", 1.0, self.now);
                        self.attempt(message);
                    }
                }
            }
            Event::Visible(message) => match self.deployment.mode {
                Mode::Queue => {
                    self.in_flight.retain(|other| other.id != message.id);
                    self.queue.push_back(message);
                }
                Mode::Direct => self.attempt(message),
            },
            Event::Ended { message, end } => self.ended(message, &end),
            Event::Look => {
                if self.is(Trouble::NewVersion) {
                    self.idle.clear();
                }
            }
        }
        self.poll();
    }

    /// Lambda's pollers: a batch of one for each free invocation.
    fn poll(&mut self) {
        if self.deployment.mode == Mode::Direct
            || self.is(Trouble::Stopped)
            || !self.deployment.ingest_enabled
        {
            return;
        }
        self.touched = self.now;
        while self.running < MAX_CONCURRENCY {
            let Some(mut message) = self.queue.pop_front() else {
                return;
            };
            if message.tries >= MAX_RECEIVES {
                self.give_up();
                continue;
            }
            message.tries += 1;
            self.in_flight.push(message);
            self.attempt(message);
        }
    }

    fn attempt(&mut self, mut message: Message) {
        let is_direct = self.deployment.mode == Mode::Direct;
        if is_direct {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a week")]
            let age = (self.now - message.sent) as f64 * 1e3;
            self.measure("AsyncEventAge", age, self.now);
        }
        self.invocations += 1;
        let refused = self.troubles().any(|phase| match phase.trouble {
            Trouble::ThrottledOneIn(share) => self.invocations.is_multiple_of(share),
            Trouble::Stopped => true,
            _ => false,
        }) || (is_direct && !self.deployment.ingest_enabled);
        if refused {
            self.measure("Throttles", 1.0, self.now);
            if !is_direct {
                self.plan(self.now + VISIBILITY, Event::Visible(message));
            } else if self.now - message.sent > MAX_EVENT_AGE {
                self.drop_event();
            } else {
                message.throttled += 1;
                let pause = 1_i64 << message.throttled.min(8);
                self.plan(self.now + pause, Event::Visible(message));
            }
            return;
        }
        if is_direct {
            message.tries += 1;
        }
        self.invoke(message);
    }

    fn invoke(&mut self, message: Message) {
        self.counts.invocations += 1;
        self.running += 1;
        let act = self.act(message.upload);
        let performance = &self.performances[&act];
        let took_ms = self.milliseconds(act);
        let start_ms = self.start_ms();
        #[expect(clippy::cast_possible_wrap, reason = "a minute at most")]
        let ends = self.now + took_ms.div_ceil(1000).max(1) as Time;

        let is_error = !matches!(performance.end, End::Settled | End::GivenBack);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        for (metric, value) in [
            ("Invocations", 1.0),
            ("Throttles", 0.0),
            ("ConcurrentExecutions", self.running as f64),
        ] {
            self.measure(metric, value, self.now);
        }
        #[expect(clippy::cast_precision_loss, reason = "a minute at most")]
        let took = took_ms as f64;
        self.measure("Errors", f64::from(u8::from(is_error)), ends);
        self.measure("Duration", took, ends);
        self.log(act, took_ms, start_ms, ends);
        let end = performance.end.clone();
        self.plan(ends, Event::Ended { message, end });
    }

    /// What becomes of an upload now.
    fn act(&self, upload: Upload) -> Act {
        let by_trouble = self.troubles().find_map(|phase| match phase.trouble {
            Trouble::Like(act) => Some(act),
            Trouble::Slow(..)
                if self
                    .slowness()
                    .is_some_and(|ms| ms >= TIMEOUT.unsigned_abs() * 1000) =>
            {
                Some(Act::Hung)
            }
            _ => None,
        });
        match upload {
            Upload::Poison => Act::Unreadable,
            Upload::Foreign => Act::Foreign,
            _ if by_trouble.is_some() => by_trouble.unwrap_or(Act::Good),
            Upload::Good => Act::Good,
            Upload::Large => Act::Large,
            Upload::Canary => Act::Canary,
            Upload::Corrupt => Act::Corrupt,
        }
    }

    fn slowness(&self) -> Option<u64> {
        self.troubles().find_map(|phase| {
            let Trouble::Slow(first, last) = phase.trouble else {
                return None;
            };
            let whole = (phase.until - phase.from).unsigned_abs();
            let part = (self.now - phase.from).unsigned_abs();
            // Pictures differ: from 60 to 100 in a hundred of what the slowest takes.
            let slowest = first + (last.saturating_sub(first)) * part / whole.max(1);
            Some(slowest * (60 + self.invocations * 7 % 41) / 100)
        })
    }

    /// How long it takes to Lambda. The real function's own time here, on another machine, would be beside the point.
    fn milliseconds(&self, act: Act) -> u64 {
        match act {
            Act::Hung => TIMEOUT.unsigned_abs() * 1000,
            Act::OutOfTime => 57_000,
            Act::Killed => 3_200,
            _ if self.slowness().is_some() => self.slowness().unwrap_or_default(),
            Act::Good => 600 + self.invocations * 37 % 700,
            Act::Large => 4_000 + self.invocations * 37 % 900,
            Act::Unavailable => 2_500,
            _ => 180,
        }
    }

    /// Milliseconds of a cold start, where this is one.
    fn start_ms(&mut self) -> Option<u64> {
        self.idle.retain(|since| self.now - since < WARM);
        if self.idle.pop().is_some() {
            return None;
        }
        let slow = self.troubles().find_map(|phase| match phase.trouble {
            Trouble::SlowStarts(ms) => Some(ms),
            _ => None,
        });
        Some(slow.unwrap_or(90 + self.invocations * 13 % 60))
    }

    fn ended(&mut self, message: Message, end: &End) {
        self.running -= 1;
        if !matches!(end, End::TimedOut | End::Killed) {
            self.idle.push(self.now);
        }
        let is_settled = *end == End::Settled;
        self.counts.settled += u64::from(is_settled);
        match self.deployment.mode {
            Mode::Queue if is_settled => {
                self.in_flight.retain(|other| other.id != message.id);
            }
            Mode::Queue => self.plan(self.now + VISIBILITY, Event::Visible(message)),
            Mode::Direct if is_settled => {}
            Mode::Direct if message.tries > RETRIES => self.drop_event(),
            Mode::Direct => {
                let pause = MINUTE * Time::from(message.tries);
                self.plan(self.now + pause, Event::Visible(message));
            }
        }
    }

    fn drop_event(&mut self) {
        self.measure("AsyncEventsDropped", 1.0, self.now);
        if self.is(Trouble::NoDestination) {
            self.measure("DestinationDeliveryFailures", 1.0, self.now);
            self.counts.dead += 1;
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.counts.dead += 1;
        self.dead.push(self.now);
        self.dead_touched = Some(self.now);
    }

    /// One of Lambda's own metrics.
    fn measure(&mut self, metric: &str, value: f64, known: Time) {
        let dimension = ("FunctionName", self.deployment.function_name.as_str());
        let series = Series::new("AWS/Lambda", metric, [dimension]);
        self.record(&series, self.now, known, value);
    }

    fn record(&mut self, series: &Series, at: Time, known: Time, value: f64) {
        let arrives = BEGIN + known + self.delay.0;
        self.metrics.record(series, BEGIN + at, arrives, value);
    }

    /// Every queue measures itself once a minute.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn measure_queues(&mut self) {
        let now = self.now;
        let enabled = self.deployment.ingest_enabled && !self.is(Trouble::Stopped);
        let holds = !self.queue.is_empty() || !self.in_flight.is_empty();
        if self.deployment.mode == Mode::Queue && (enabled || holds || now - self.touched < ACTIVE)
        {
            let waiting = self.queue.iter().chain(&self.in_flight);
            let oldest = waiting
                .filter(|message| message.tries < 3)
                .map(|message| message.sent)
                .min();
            let sent = std::mem::take(&mut self.sent);
            let queue = self.deployment.queue();
            for (metric, value) in [
                ("NumberOfMessagesSent", sent as f64),
                (
                    "ApproximateNumberOfMessagesVisible",
                    self.queue.len() as f64,
                ),
                (
                    "ApproximateAgeOfOldestMessage",
                    oldest.map_or(0.0, |sent| (now - sent) as f64),
                ),
            ] {
                let series = Series::new("AWS/SQS", metric, [("QueueName", queue.as_str())]);
                self.record(&series, now, now, value);
            }
        }
        let is_active = self
            .dead_touched
            .is_some_and(|touched| now - touched < ACTIVE);
        if is_active || !self.dead.is_empty() {
            let queue = self.deployment.dead_letters();
            let series = Series::new(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                [("QueueName", queue.as_str())],
            );
            self.record(&series, now, now, self.dead.len() as f64);
        }
    }

    /// A request of somebody's to one of the buckets, as CloudTrail tells it some minutes later.
    pub fn audited(&mut self, at: Time, event: &str, error: Option<&str>) {
        let mut line = json!({
            "eventSource": "s3.amazonaws.com",
            "eventName": event,
            "requestParameters": { "bucketName": self.deployment.upload_bucket },
        });
        if let Some(error) = error {
            line["errorCode"] = json!(error);
        }
        let filters = self
            .deployment
            .filters()
            .into_iter()
            .filter(|f| f.log == "audit");
        for (series, value) in filters.filter_map(|filter| filter.count(&line.to_string())) {
            self.record(&series, at, at + TRAIL, value);
        }
    }

    /// The lines of an invocation, and what is counted of them.
    fn log(&mut self, act: Act, took_ms: u64, start_ms: Option<u64>, at: Time) {
        let lines = lines(&self.performances[&act], took_ms, start_ms);
        let serious = lines
            .iter()
            .filter(|line| line["level"] == "ERROR" || line["level"] == "CRITICAL");
        let serious = serious.map(|line| Logged {
            at: BEGIN + at,
            line: line.clone(),
        });
        self.errors.extend(serious);
        let key = (act, took_ms, start_ms.unwrap_or_default());
        if !self.counted.contains_key(&key) {
            let points = lines.iter().flat_map(|line| {
                let text = line.to_string();
                let filtered = self.filters.iter().filter_map(|filter| filter.count(&text));
                let embedded = embedded(&text).into_iter();
                let embedded = embedded.map(|point| (point.series, point.value));
                filtered.chain(embedded).collect::<Vec<_>>()
            });
            let points: Vec<_> = points.collect();
            self.counted.insert(key, points);
        }
        let points = self.counted.get(&key).cloned().unwrap_or_default();
        for (series, value) in points {
            self.record(&series, at, at, value);
        }
    }
}

/// The function's lines with this duration, and Lambda's own about the invocation.
fn lines(performance: &Performance, took_ms: u64, start_ms: Option<u64>) -> Vec<Value> {
    let mut lines = performance.lines.clone();
    for line in &mut lines {
        for field in ["processing_time", "ProcessingTime"] {
            if line[field].is_number() {
                line[field] = json!(took_ms);
            }
        }
    }
    let (status, error) = match &performance.end {
        End::Settled | End::GivenBack => ("success", None),
        End::Error(kind) => ("error", Some(kind.as_str())),
        End::TimedOut => ("timeout", None),
        // What Lambda says where the memory is used up.
        End::Killed => ("error", Some("Runtime.OutOfMemory")),
    };
    let mut record = json!({
        "requestId": "00000000-0000-4000-8000-000000000001",
        "status": status,
        "metrics": {
            "durationMs": took_ms, "billedDurationMs": took_ms, "memorySizeMB": 1769, "maxMemoryUsedMB": 400,
        },
    });
    if let Some(error) = error {
        record["errorType"] = json!(error);
    }
    if let Some(start_ms) = start_ms {
        record["metrics"]["initDurationMs"] = json!(start_ms);
    }
    lines.push(json!({ "type": "platform.report", "record": record }));
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_taken_for_the_defaults_of_infra_is_what_infra_has() {
        let infra = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra");
        let read = |file: &str| fs::read_to_string(infra.join(file)).expect("it can be read");
        let root = read("variables.tf");
        let function = read("modules/lambda_function/variables.tf");
        let default = |text: &str, variable: &str| -> i64 {
            let (_, after) = text
                .split_once(&format!("variable \"{variable}\" {{"))
                .unwrap_or_else(|| panic!("there is no {variable}"));
            let (_, after) = after.split_once("default     = ").expect("a default");
            let word = after.lines().next().expect("a number");
            word.parse()
                .unwrap_or_else(|_| panic!("{variable}: {word}"))
        };
        assert_eq!(default(&root, "lambda_timeout"), TIMEOUT);
        assert_eq!(default(&root, "max_receive_count"), i64::from(MAX_RECEIVES));
        let at_once = i64::try_from(MAX_CONCURRENCY).expect("few");
        assert_eq!(default(&root, "maximum_concurrency"), at_once);
        assert_eq!(default(&function, "direct_retries"), i64::from(RETRIES));
        assert_eq!(
            default(&function, "direct_event_age_seconds"),
            MAX_EVENT_AGE
        );
    }
}
