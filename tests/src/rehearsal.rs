//! Alarms, rehearsed: scenes in which something goes wrong, or nothing does, played on a virtual clock with the real
//! function's lines, until every alarm has had its say.
//!
//! Each scene names the alarms that must tell somebody, the channel, and how soon. A scene fails when one of them is
//! late, silent, on another channel or doesn't end, and when anybody is told anything else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::alarms::{Alarms, Change, Message, State};
use crate::deployment::{Deployment, Mode};
use crate::metrics::{MINUTE, Metrics, Time};
use crate::repertoire::{Act, Performance, play_all};
use crate::simulation::{BEGIN, Counts, Delay, Logged, Phase, Simulation, Trouble, Upload};

const HOUR: Time = 60 * MINUTE;
const DAY: Time = 24 * HOUR;

/// How long everything was deployed and watched before anybody looks at what is told: an alarm that is minutes old
/// would look back at a time without a function.
const WARM_UP: Time = 20 * MINUTE;

/// CloudWatch has what was logged or measured a minute later, typically.
pub const TYPICAL: Delay = Delay(60);

/// The delays that every scene must stand: none, the typical one, and a bad day's.
pub const DELAYS: [Delay; 3] = [Delay(0), TYPICAL, Delay(150)];

/// One thing that must be told.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The alarm that tells, without the function's name.
    pub alarm: &'static str,
    /// The channel that is told.
    pub channel: &'static str,
    /// Minutes from the begin of the scene's trouble until it must have been told.
    pub within: Time,
    /// How often at least and at most, and as often that it is over.
    pub times: (usize, usize),
}

/// A scene.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// How uploads reach the function.
    pub mode: Mode,
    /// The variables of `infra` that switch something on.
    pub switches: &'static [&'static str],
    /// Whether uploads are to be processed at all.
    pub ingest_enabled: bool,
    /// How long it goes on, in seconds.
    pub length: Time,
    /// What is uploaded, and when in seconds since the begin.
    pub uploads: Vec<(Time, Upload)>,
    /// What is wrong.
    pub phases: Vec<Phase>,
    /// What somebody asks of the buckets: when, the name of the request, and the error that comes of it.
    pub requests: Vec<(Time, &'static str, Option<&'static str>)>,
    /// When that begins which must be told, in seconds since the begin.
    pub trouble: Time,
    /// What must be told; nothing else may be.
    pub expected: Vec<Expected>,
}

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Performed {
    /// Alarms that went on or off.
    pub changes: Vec<Change>,
    /// What was told.
    pub messages: Vec<Message>,
    /// Every metric.
    pub metrics: Metrics,
    /// Lines that a person would look for.
    pub errors: Vec<Logged>,
    /// What happened, in numbers.
    pub counts: Counts,
    /// The states at the end.
    pub states: BTreeMap<String, State>,
}

/// One row of the table: what was expected, and when it was told.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was expected.
    pub expected: Expected,
    /// Seconds from the begin of the trouble until it was told.
    pub after: Option<Time>,
    /// How often it was told.
    pub times: usize,
}

/// One upload every so many seconds, from the first number until before the second.
fn every(seconds: Time, from: Time, until: Time, upload: Upload) -> Vec<(Time, Upload)> {
    let count = (until - from + seconds - 1) / seconds;
    (0..count)
        .map(|nth| (from + nth * seconds, upload))
        .collect()
}

fn phase(from: Time, until: Time, trouble: Trouble) -> Phase {
    Phase {
        from,
        until,
        trouble,
    }
}

fn told(alarm: &'static str, channel: &'static str, within: Time) -> Expected {
    Expected {
        alarm,
        channel,
        within,
        times: (1, 1),
    }
}

impl Expected {
    fn times(mut self, times: usize) -> Self {
        self.times = (times, times);
        self
    }

    /// A value that creeps over the threshold goes to and fro about it.
    fn up_to(mut self, times: usize) -> Self {
        self.times.1 = times;
        self
    }
}

impl Scene {
    fn new(name: &'static str, mode: Mode, about: &'static str) -> Self {
        Self {
            name,
            about,
            mode,
            switches: &[],
            ingest_enabled: true,
            length: 3 * HOUR,
            uploads: Vec::new(),
            phases: Vec::new(),
            requests: Vec::new(),
            trouble: HOUR,
            expected: Vec::new(),
        }
    }

    /// Uploads of good pictures throughout, so many seconds apart.
    fn with_traffic(mut self, seconds: Time) -> Self {
        self.uploads
            .extend(every(seconds, 7, self.length, Upload::Good));
        self
    }

    fn with(mut self, uploads: impl IntoIterator<Item = (Time, Upload)>) -> Self {
        self.uploads.extend(uploads);
        self
    }

    fn lasting(mut self, length: Time) -> Self {
        self.length = length;
        self
    }

    fn during(mut self, from: Time, until: Time, trouble: Trouble) -> Self {
        self.phases.push(phase(from, until, trouble));
        self
    }

    fn expecting(mut self, expected: impl IntoIterator<Item = Expected>) -> Self {
        self.expected.extend(expected);
        self
    }

    fn deployment(&self) -> Deployment {
        let mut deployment = Deployment::new(self.mode);
        let switches = self.switches.iter();
        deployment.switches = switches.map(|name| ((*name).to_owned(), true)).collect();
        deployment.ingest_enabled = self.ingest_enabled;
        deployment
    }
}

/// Every scene, those of the queue first.
pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    scenes.extend(bad_pictures());
    scenes.extend(function_in_trouble());
    scenes.extend(storage_in_trouble());
    scenes.extend(nothing_gets_through());
    scenes.extend(slow());
    scenes.extend(quiet());
    scenes.extend(direct());
    scenes
}

fn bad_pictures() -> Vec<Scene> {
    let at = HOUR;
    vec![
        Scene::new(
            "corrupt-burst",
            Mode::Queue,
            "eight pictures that are cut short within two minutes, among good ones",
        )
        .with_traffic(10)
        .with(every(15, at, at + 2 * MINUTE, Upload::Corrupt))
        .expecting([
            told("log-errors", "logs", 5),
            told("image-processing-errors", "logs", 6),
        ]),
        Scene::new(
            "single-corrupt",
            Mode::Queue,
            "one picture that is cut short, on a quiet afternoon",
        )
        .with([(at, Upload::Corrupt)])
        .expecting([told("log-errors", "logs", 5)]),
        Scene::new(
            "corrupt-trickle",
            Mode::Queue,
            "one bad picture every hour and a half: no burst, but ten a day",
        )
        .lasting(40 * HOUR)
        .with_traffic(120)
        .with(every(
            90 * MINUTE,
            at,
            at + 14 * HOUR + 30 * MINUTE,
            Upload::Corrupt,
        ))
        .expecting([
            told("log-errors", "logs", 5).times(10),
            told("failure-records", "logs", 14 * 60),
        ]),
        Scene::new(
            "bad-client",
            Mode::Queue,
            "for forty minutes somebody uploads as many bad pictures as good ones come in",
        )
        .lasting(26 * HOUR)
        .with_traffic(20)
        .with(every(20, at, at + 40 * MINUTE, Upload::Corrupt))
        .expecting([
            told("log-errors", "logs", 5),
            told("image-processing-errors", "logs", 6),
            told("failure-records", "logs", 10),
            told("low-success-rate-notice", "performance", 16),
        ]),
        Scene::new(
            "poison",
            Mode::Queue,
            "a message that is no event lies on the queue until its attempts are used up",
        )
        .with_traffic(30)
        .with([(at, Upload::Poison)])
        .expecting([
            told("log-errors", "logs", 5),
            told("dead-letters", "critical", 35),
        ]),
        Scene::new(
            "foreign-bucket",
            Mode::Queue,
            "another bucket sends its events to the queue",
        )
        .with_traffic(30)
        .with([(at, Upload::Foreign)])
        .expecting([
            told("critical-errors", "critical", 5),
            told("dead-letters", "critical", 35),
        ]),
        Scene::new(
            "nothing-good",
            Mode::Queue,
            "for forty minutes nothing but bad pictures comes in",
        )
        .lasting(26 * HOUR)
        .with(every(20, at, at + 40 * MINUTE, Upload::Corrupt))
        .expecting([
            told("log-errors", "logs", 5),
            told("image-processing-errors", "logs", 6),
            told("failure-records", "logs", 10),
            told("low-success-rate-notice", "performance", 16),
            told("low-success-count-notice", "performance", 25),
        ]),
        Scene::new("large-uploads", Mode::Queue, "an album of large pictures")
            .with_traffic(30)
            .with(every(4, at, at + MINUTE, Upload::Large))
            .expecting([told("large-images", "performance", 6)]),
    ]
}

fn function_in_trouble() -> Vec<Scene> {
    let at = HOUR;
    let one = |act| (at, at + 20, Trouble::Like(act));
    let scene = |name, about, act: Act, expected: &[Expected]| {
        let (from, until, trouble) = one(act);
        Scene::new(name, Mode::Queue, about)
            .with_traffic(30)
            .during(from, until, trouble)
            .expecting(expected.iter().copied())
    };
    vec![
        scene(
            "single-timeout",
            "one picture makes the function hang, and Lambda ends it",
            Act::Hung,
            &[told("timeout-errors", "critical", 5)],
        ),
        scene(
            "foreseen-timeout",
            "storage doesn't answer once; the function gives the picture back before its time is up",
            Act::OutOfTime,
            &[
                told("timeout-errors", "critical", 5),
                told("log-errors", "logs", 5),
            ],
        ),
        scene(
            "out-of-memory",
            "one picture needs more memory than Lambda gives, and the process is killed",
            Act::Killed,
            &[told("memory-errors", "critical", 5)],
        ),
        scene(
            "foreseen-memory",
            "one picture would need more memory than there is, and is given back",
            Act::OutOfMemory,
            &[
                told("memory-errors", "critical", 5),
                told("log-errors", "logs", 5),
            ],
        ),
        Scene::new(
            "throttling",
            Mode::Queue,
            "half of all invocations are refused for twenty minutes: somebody else uses the account's concurrency",
        )
        .with_traffic(10)
        .during(at, at + 20 * MINUTE, Trouble::ThrottledOneIn(2))
        .expecting([told("throttles-notice", "critical", 9)]),
        Scene::new(
            "burst",
            Mode::Queue,
            "three thousand pictures at once: more than usual at a time, and nothing is lost",
        )
        .lasting(4 * HOUR)
        .with(std::iter::repeat_n((at, Upload::Large), 3_000))
        .expecting([
            told("high-concurrency", "performance", 6),
            told("large-images", "performance", 6),
        ]),
        Scene::new(
            "slow-starts",
            Mode::Queue,
            "since a deploy every start takes two and a half seconds",
        )
        .lasting(4 * HOUR)
        .with_traffic(60)
        .during(at, at + 30 * MINUTE, Trouble::SlowStarts(2_500))
        .during(at, at + 1, Trouble::NewVersion)
        .expecting([told("cold-start", "performance", 5)]),
    ]
}

fn storage_in_trouble() -> Vec<Scene> {
    let at = HOUR;
    vec![
        Scene::new(
            "single-denied",
            Mode::Queue,
            "S3 refuses one upload to be read, once",
        )
        .with_traffic(30)
        .during(at, at + 20, Trouble::Like(Act::DeniedReading))
        .expecting([told("s3-permission-errors", "critical", 5)]),
        Scene::new(
            "denied-writing",
            Mode::Queue,
            "a policy that takes the right to write away, until somebody mends it twenty minutes later",
        )
        .with_traffic(30)
        .during(at, at + 20 * MINUTE, Trouble::Like(Act::DeniedWriting))
        .expecting([
            told("s3-permission-errors", "critical", 5),
            told("high-error-rate-notice", "critical", 9),
            told("pipeline-down", "critical", 25),
            told("low-success-rate-notice", "performance", 20),
        ]),
        Scene::new(
            "storage-down",
            Mode::Queue,
            "S3 answers nothing but 503 for two hours: pictures are tried until they are given up",
        )
        .lasting(8 * HOUR)
        .with_traffic(60)
        .during(at, at + 2 * HOUR, Trouble::Like(Act::Unavailable))
        .expecting([
            told("log-errors", "logs", 5),
            told("high-error-rate-notice", "critical", 10),
            told("pipeline-down", "critical", 25),
            told("dead-letters", "critical", 45),
        ]),
    ]
}

fn nothing_gets_through() -> Vec<Scene> {
    let at = HOUR;
    let mut paused = Scene::new(
        "pause",
        Mode::Queue,
        "somebody pauses the function for a day while uploads go on",
    )
    .lasting(DAY)
    .with_traffic(300);
    paused.ingest_enabled = false;
    let mut audited = Scene::new(
        "audit",
        Mode::Queue,
        "somebody tries keys of the upload bucket, and deletes what can be deleted",
    )
    .expecting([
        told("audit-access-denied", "critical", 15),
        told("audit-upload-deletions", "critical", 15),
    ]);
    audited.switches = &["enable_access_audit"];
    audited.requests = vec![
        (at, "GetObject", Some("AccessDenied")),
        (at + 5, "ListObjects", None),
        (at + 9, "DeleteObject", None),
        (at + 12, "DeleteObjects", None),
    ];
    let mut never_rests = Scene::new(
        "broken-notification",
        Mode::Queue,
        "the bucket tells nobody of uploads any more, where a deployment never rests",
    )
    .with_traffic(60)
    .during(at, at + HOUR, Trouble::NoNotification)
    .expecting([told("no-invocations", "performance", 25)]);
    never_rests.switches = &["enable_no_invocation_alarm"];
    let mut canary = Scene::new(
        "canary",
        Mode::Queue,
        "the bucket tells nobody of uploads any more for three hours, and a canary is uploaded every quarter of an hour",
    )
    .lasting(8 * HOUR)
    .with_traffic(300)
    .with(every(15 * MINUTE, 1, 8 * HOUR, Upload::Canary))
    .during(2 * HOUR, 5 * HOUR, Trouble::NoNotification)
    .expecting([told("canary-silent-notice", "critical", 70)]);
    canary.switches = &["enable_canary"];
    canary.trouble = 2 * HOUR;
    vec![
        canary,
        Scene::new(
            "silent-stop",
            Mode::Queue,
            "the function stops being invoked for an hour and a half while uploads go on",
        )
        .lasting(5 * HOUR)
        .with_traffic(60)
        .during(at, at + 90 * MINUTE, Trouble::Stopped)
        .expecting([told("pipeline-down", "critical", 22)]),
        paused,
        audited,
        never_rests,
    ]
}

fn slow() -> Vec<Scene> {
    let at = HOUR;
    vec![
        Scene::new(
            "slow-drift",
            Mode::Queue,
            "pictures take longer and longer: from two to fifty-nine seconds within eight hours",
        )
        .lasting(12 * HOUR)
        .with_traffic(20)
        .during(at, at + 8 * HOUR, Trouble::Slow(2_000, 59_000))
        .expecting([
            told("high-duration", "performance", 8 * 60 + 10).up_to(2),
            told("high-duration-p99", "performance", 7 * 60 + 30).up_to(2),
        ]),
        Scene::new(
            "backlog",
            Mode::Queue,
            "for two hours more comes in than a hundred at once can do",
        )
        .lasting(8 * HOUR)
        .with(every(1, at, at + 2 * HOUR, Upload::Good))
        .with(every(1, at, at + 2 * HOUR, Upload::Good))
        .with(every(1, at, at + 2 * HOUR, Upload::Good))
        .with(every(1, at, at + 2 * HOUR, Upload::Good))
        .during(at, at + 4 * HOUR, Trouble::Slow(42_000, 42_000))
        .expecting([
            told("high-concurrency", "performance", 6),
            told("queue-age-notice", "performance", 110),
        ]),
    ]
}

fn quiet() -> Vec<Scene> {
    // A curve over the day: most at seven in the evening, little at seven in the morning.
    let weights = [
        3, 2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 10, 9, 9, 10, 11, 12, 14, 15, 13, 10, 7, 5,
    ];
    let mut week = Vec::new();
    for day in 0..7 {
        for (hour, weight) in (0..).zip(weights) {
            let from = day * DAY + hour * HOUR;
            let apart = HOUR / (weight * 10);
            let uploads = every(apart, from, from + HOUR, Upload::Good).into_iter();
            // One in forty is large.
            let uploads = uploads.enumerate().map(|(nth, (at, upload))| {
                let upload = if nth % 40 == 39 {
                    Upload::Large
                } else {
                    upload
                };
                (at, upload)
            });
            week.extend(uploads);
        }
    }
    vec![
        Scene::new("quiet-week", Mode::Queue, "seven days without a single upload").lasting(7 * DAY),
        Scene::new(
            "busy-week",
            Mode::Queue,
            "a normal week: thousands of pictures, busy evenings, two deploys, one hiccup of storage, two bad pictures",
        )
        .lasting(7 * DAY)
        .with(week)
        .with([(2 * DAY + 9 * HOUR, Upload::Corrupt), (5 * DAY + 20 * HOUR, Upload::Corrupt)])
        .during(DAY + 10 * HOUR, DAY + 10 * HOUR + 1, Trouble::NewVersion)
        .during(3 * DAY + 15 * HOUR, 3 * DAY + 15 * HOUR + 1, Trouble::NewVersion)
        .during(4 * DAY + 3 * HOUR, 4 * DAY + 3 * HOUR + 300, Trouble::Like(Act::Unavailable))
        .expecting([told("log-errors", "logs", 8 * 24 * 60).times(3)]),
    ]
}

fn direct() -> Vec<Scene> {
    let at = HOUR;
    vec![
        Scene::new("direct-quiet-week", Mode::Direct, "seven days without a single upload").lasting(7 * DAY),
        Scene::new(
            "direct-single-timeout",
            Mode::Direct,
            "one picture makes the function hang, and Lambda ends it",
        )
        .with_traffic(30)
        .during(at, at + 20, Trouble::Like(Act::Hung))
        .expecting([told("timeout-errors", "critical", 5)]),
        Scene::new(
            "direct-denied",
            Mode::Direct,
            "a policy that takes the right to read away for half an hour: events are given up after three attempts",
        )
        .with_traffic(30)
        .during(at, at + 30 * MINUTE, Trouble::Like(Act::DeniedReading))
        .expecting([
            told("s3-permission-errors", "critical", 5),
            told("high-error-rate-notice", "critical", 9),
            told("async-dropped", "critical", 10),
            told("dead-letters", "critical", 10),
            told("pipeline-down", "critical", 25),
            told("low-success-rate-notice", "performance", 20),
        ]),
        Scene::new(
            "direct-no-destination",
            Mode::Direct,
            "one event is given up, and the dead-letter queue can't be written to",
        )
        .with_traffic(300)
        .during(at, at + 300, Trouble::Like(Act::Unavailable))
        .during(at, at + HOUR, Trouble::NoDestination)
        .expecting([
            told("log-errors", "logs", 10),
            told("async-dropped", "critical", 12),
            told("destination-failures", "critical", 12),
        ]),
        Scene::new(
            "direct-stop",
            Mode::Direct,
            "somebody sets the function's concurrency to nothing for an hour and a half",
        )
        .lasting(5 * HOUR)
        .with_traffic(60)
        .during(at, at + 90 * MINUTE, Trouble::Stopped)
        .expecting([
            told("throttles-notice", "critical", 9),
            told("pipeline-down", "critical", 22),
            // Held back until it runs again; what waited longest is tried again last.
            told("event-age-notice", "performance", 110),
        ]),
    ]
}

/// The real function's acts in both modes, which every scene plays.
pub struct Company {
    queue: BTreeMap<Act, Performance>,
    direct: BTreeMap<Act, Performance>,
}

impl Company {
    /// Runs the real `bootstrap` through every act.
    pub fn gather() -> Self {
        Self {
            queue: play_all(&Deployment::new(Mode::Queue)),
            direct: play_all(&Deployment::new(Mode::Direct)),
        }
    }

    /// What the function did, by act.
    pub fn acts(&self, mode: Mode) -> &BTreeMap<Act, Performance> {
        match mode {
            Mode::Queue => &self.queue,
            Mode::Direct => &self.direct,
        }
    }

    /// Plays a scene from its begin to its end.
    pub fn perform(&self, scene: &Scene, delay: Delay) -> Performed {
        let deployment = scene.deployment();
        let mut alarms = Alarms::new(deployment.metric_alarms(), deployment.composite_alarms())
            .expect("every alarm that is referred to is there");
        let mut simulation = Simulation::new(
            &deployment,
            self.acts(scene.mode),
            &scene.uploads,
            &scene.phases,
            delay,
        );
        for (at, request, error) in &scene.requests {
            simulation.audited(*at, request, *error);
        }
        let mut changes = Vec::new();
        let mut messages = Vec::new();
        for minute in 1..=scene.length / MINUTE {
            let now = minute * MINUTE;
            simulation.minute(now);
            if now < WARM_UP {
                continue;
            }
            let news = alarms.evaluate(BEGIN + now, &simulation.metrics);
            changes.extend(news.changes);
            messages.extend(news.messages);
        }
        Performed {
            changes,
            messages,
            states: alarms.states().clone(),
            metrics: simulation.metrics,
            errors: simulation.errors,
            counts: simulation.counts,
        }
    }
}

impl Performed {
    /// When each expected alarm told, and everything that is not as it should be, in words.
    pub fn judge(&self, scene: &Scene) -> (Vec<Row>, Vec<String>) {
        let deployment = scene.deployment();
        let mut faults = Vec::new();
        let mut rows = Vec::new();
        for expected in &scene.expected {
            let name = deployment.alarm_name(expected.alarm);
            let of = |state| self.messages.iter().filter(move |m| m.state == state);
            let on: Vec<_> = of(State::Alarm).filter(|m| m.alarm == name).collect();
            let off = of(State::Ok).filter(|m| m.alarm == name).count();
            let first = on.first().map(|message| message.at - BEGIN - scene.trouble);
            let says = expected.alarm;
            match first {
                None => faults.push(format!("{says} says nothing")),
                Some(after) if after < 0 => {
                    faults.push(format!("{says} tells before anything is wrong"));
                }
                Some(after) if after > expected.within * MINUTE => {
                    faults.push(format!(
                        "{says} is late: {} for {}",
                        clock(after),
                        expected.within
                    ));
                }
                Some(_) => {}
            }
            for message in &on {
                if message.to != expected.channel {
                    faults.push(format!(
                        "{says} tells {} for {}",
                        message.to, expected.channel
                    ));
                }
            }
            let (least, most) = expected.times;
            if !(least..=most).contains(&on.len()) {
                faults.push(format!(
                    "{says} tells {} times for {least} to {most}",
                    on.len()
                ));
            }
            if off != on.len() && !self.end_may_be_silent(expected.alarm, &deployment) {
                faults.push(format!(
                    "{says} went on {} times and off {off} times",
                    on.len()
                ));
            }
            rows.push(Row {
                expected: *expected,
                after: first,
                times: on.len(),
            });
        }
        for (alarm, state) in &self.states {
            let stays = *alarm == deployment.alarm_name("dead-letters") && self.counts.dead > 0;
            // In a pause an alarm may well be on: it has no actions.
            if *state == State::Alarm && !stays && scene.ingest_enabled {
                faults.push(format!("{alarm} is still on at the end"));
            }
        }
        for message in &self.messages {
            let is_expected = scene
                .expected
                .iter()
                .any(|expected| deployment.alarm_name(expected.alarm) == message.alarm);
            if !is_expected {
                faults.push(format!(
                    "{} tells {} at {}: {} {}",
                    message.alarm,
                    message.to,
                    clock(message.at - BEGIN),
                    message.state,
                    message.reason
                ));
            }
        }
        (rows, faults)
    }

    /// Dead letters stay until somebody takes them out. And the end of a notice is held back like its begin, while the
    /// whole pipeline is down: its own end is told then.
    fn end_may_be_silent(&self, alarm: &str, deployment: &Deployment) -> bool {
        let down = deployment.alarm_name("pipeline-down");
        let mut over = self
            .messages
            .iter()
            .filter(|m| m.alarm == down && m.state == State::Ok);
        let is_held_back = alarm.ends_with("-notice") && over.next().is_some();
        is_held_back || (alarm == "dead-letters" && self.counts.dead > 0)
    }

    /// The scene as a person would have lived through it.
    pub fn timeline(&self, scene: &Scene) -> String {
        let mut lines: Vec<(Time, String)> = Vec::new();
        for phase in &scene.phases {
            lines.push((phase.from, format!("begins: {}", phase.trouble)));
            lines.push((phase.until, format!("ends:   {}", phase.trouble)));
        }
        for change in &self.changes {
            let words = format!("{} is {}: {}", change.alarm, change.state, change.reason);
            lines.push((change.at - BEGIN, words));
        }
        for message in &self.messages {
            let words = format!(
                "  -> {}: {}: \"{}\"",
                message.to, message.state, message.alarm
            );
            lines.push((message.at - BEGIN, words));
            if message.state == State::Alarm {
                lines.push((message.at - BEGIN, format!("     {}", message.description)));
            }
        }
        lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        let _ = writeln!(text, "{}: {}", scene.name, scene.about);
        let Counts {
            uploads,
            invocations,
            settled,
            dead,
        } = self.counts;
        let _ = writeln!(
            text,
            "{} in {} mode: {uploads} uploads, {invocations} invocations, {settled} settled, {dead} dead letters",
            clock(scene.length),
            scene.mode.word(),
        );
        for (at, words) in lines {
            let _ = writeln!(text, "  {}  {words}", clock(at));
        }
        text
    }
}

/// `1d 02:03:04`, or without the days.
pub fn clock(seconds: Time) -> String {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let time = format!(
        "{:02}:{:02}:{:02}",
        rest / HOUR,
        rest % HOUR / MINUTE,
        rest % MINUTE
    );
    if days == 0 {
        time
    } else {
        format!("{days}d {time}")
    }
}

/// The table: scenes, alarms, channels, and minutes until they told.
pub fn table(rows: &[(&Scene, Vec<Row>)]) -> String {
    let mut text = format!(
        "{:<22} {:<6} {:<24} {:<12} {:>8} {:>8} {:>6}\n",
        "scene", "mode", "alarm", "channel", "minutes", "at most", "times"
    );
    for (scene, rows) in rows {
        if rows.is_empty() {
            let _ = writeln!(
                text,
                "{:<22} {:<6} {:<24} {:<12} {:>8} {:>8} {:>6}",
                scene.name,
                scene.mode.word(),
                "(nobody is told)",
                "",
                "",
                "",
                0
            );
        }
        for row in rows {
            let minutes = row.after.map_or("never".to_owned(), |after| {
                format!("{}:{:02}", after / MINUTE, after % MINUTE)
            });
            let _ = writeln!(
                text,
                "{:<22} {:<6} {:<24} {:<12} {minutes:>8} {:>8} {:>6}",
                scene.name,
                scene.mode.word(),
                row.expected.alarm,
                row.expected.channel,
                row.expected.within,
                row.times,
            );
        }
    }
    text
}
