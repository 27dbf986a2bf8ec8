//! CloudWatch's alarms, evaluated here: whether an alarm would fire, when, and whom it would tell can't
//! otherwise be known before something goes wrong in an account.
//!
//! After the Amazon CloudWatch User Guide:
//!
//! - "Alarm evaluation": an alarm is evaluated every minute over the periods that end then, so that a period of five
//!   minutes slides by the minute. It is on when enough of its data points breach ("M out of N").
//! - "Configuring how CloudWatch alarms treat missing data": a few more periods are looked at than asked for (the
//!   evaluation range). Are there enough real data points among them, the newest ones decide and nothing is filled in;
//!   otherwise all real ones count, and what is lacking is filled in. The guide's example looks at two more periods,
//!   and so does this. Only `breaching` and `notBreaching` are known here.
//! - "Suppressing composite alarm actions": a composite that goes on first waits for its suppressor; what is held back
//!   is told after the suppressor has been off for the extension, if it still holds then.

use std::collections::BTreeMap;
use std::fmt;

use crate::metric_math::Expression;
use crate::metrics::{MINUTE, Metrics, Series, Statistic, Time};

/// How many periods more than asked for are looked at: the guide's examples look at five for three.
const FURTHER_BACK: usize = 2;

/// An alarm over one metric or an expression, in the words of `PutMetricAlarm`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricAlarm {
    /// Its name.
    pub name: String,
    /// What it means and what to do.
    pub description: String,
    /// What it looks at, by id.
    pub series: BTreeMap<String, (Series, Statistic)>,
    /// What is made of them. An alarm over one metric has its id here.
    pub expression: Expression,
    /// Seconds.
    pub period: Time,
    /// How many periods are looked at.
    pub evaluation_periods: usize,
    /// How many of them must breach.
    pub datapoints_to_alarm: usize,
    /// How values are held against the threshold.
    pub comparison: Comparison,
    /// What values are held against.
    pub threshold: f64,
    /// Whether a missing data point counts as a breaching one.
    pub missing_breaches: bool,
    /// Who is told.
    pub actions: Actions,
}

/// Whom an alarm tells, by the ARN of a topic or whatever else names one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Whether anybody is told at all.
    pub enabled: bool,
    /// Told when it goes on.
    pub alarm: Vec<String>,
    /// Told when it goes off.
    pub ok: Vec<String>,
}

/// An alarm over the states of others, in the words of `PutCompositeAlarm`.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeAlarm {
    /// Its name.
    pub name: String,
    /// What it means and what to do.
    pub description: String,
    /// When it is on.
    pub rule: Rule,
    /// Who is told.
    pub actions: Actions,
    /// What holds its actions back.
    pub suppressor: Option<Suppressor>,
}

/// What holds a composite's actions back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressor {
    /// The alarm that does while it is on.
    pub alarm: String,
    /// Seconds that are waited for it to go on.
    pub wait: Time,
    /// Seconds for which it still holds back after it went off.
    pub extension: Time,
}

/// How values are held against a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// More than the threshold.
    GreaterThanThreshold,
    /// The threshold or more.
    GreaterThanOrEqualToThreshold,
    /// Less than the threshold.
    LessThanThreshold,
    /// The threshold or less.
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Reads CloudWatch's word for it.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "GreaterThanThreshold" => Self::GreaterThanThreshold,
            "GreaterThanOrEqualToThreshold" => Self::GreaterThanOrEqualToThreshold,
            "LessThanThreshold" => Self::LessThanThreshold,
            "LessThanOrEqualToThreshold" => Self::LessThanOrEqualToThreshold,
            _ => return None,
        })
    }

    fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanThreshold => value > threshold,
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::GreaterThanThreshold => "greater than",
            Self::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Self::LessThanThreshold => "less than",
            Self::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// The state of an alarm. One that was just made would be without enough data; here it begins as OK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// It is on.
    Alarm,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
        })
    }
}

/// The rule of a composite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whether this alarm is on.
    Alarm(String),
    /// Whether this alarm is OK.
    Ok(String),
    /// Whether the inner one isn't.
    Not(Box<Rule>),
    /// Whether all are.
    And(Vec<Rule>),
    /// Whether any is.
    Or(Vec<Rule>),
}

impl Rule {
    /// Reads a rule as CloudWatch takes it: `ALARM("a") OR (OK(b) AND NOT ALARM(c))`. Fails with where it isn't one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let rule = Self::any(&mut rest)?;
        if rest.trim().is_empty() {
            Ok(rule)
        } else {
            Err(format!("the rule goes on with {rest:?}"))
        }
    }

    fn any(rest: &mut &str) -> Result<Self, String> {
        let mut parts = vec![Self::all(rest)?];
        while take(rest, "OR") {
            parts.push(Self::all(rest)?);
        }
        Ok(one_or(parts, Self::Or))
    }

    fn all(rest: &mut &str) -> Result<Self, String> {
        let mut parts = vec![Self::single(rest)?];
        while take(rest, "AND") {
            parts.push(Self::single(rest)?);
        }
        Ok(one_or(parts, Self::And))
    }

    fn single(rest: &mut &str) -> Result<Self, String> {
        if take(rest, "NOT") {
            return Ok(Self::Not(Box::new(Self::single(rest)?)));
        }
        let kind: Option<fn(String) -> Self> = if take(rest, "ALARM") {
            Some(Self::Alarm)
        } else if take(rest, "OK") {
            Some(Self::Ok)
        } else {
            None
        };
        if !take(rest, "(") {
            return Err(format!("ALARM, OK, NOT or '(' is expected before {rest:?}"));
        }
        let Some(kind) = kind else {
            let inner = Self::any(rest)?;
            if take(rest, ")") {
                return Ok(inner);
            }
            return Err(format!("')' is expected before {rest:?}"));
        };
        let Some((name, after)) = rest.split_once(')') else {
            return Err(format!("')' is expected after {rest:?}"));
        };
        *rest = after;
        Ok(kind(name.trim().trim_matches('"').to_owned()))
    }

    fn holds(&self, state: &impl Fn(&str) -> State) -> bool {
        match self {
            Self::Alarm(name) => state(name) == State::Alarm,
            Self::Ok(name) => state(name) == State::Ok,
            Self::Not(inner) => !inner.holds(state),
            Self::And(parts) => parts.iter().all(|part| part.holds(state)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(state)),
        }
    }

    /// The alarms that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Alarm(name) | Self::Ok(name) => vec![name],
            Self::Not(inner) => inner.names(),
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::names).collect(),
        }
    }
}

fn take(rest: &mut &str, word: &str) -> bool {
    match rest.trim_start().strip_prefix(word) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn one_or(mut parts: Vec<Rule>, many: fn(Vec<Rule>) -> Rule) -> Rule {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        many(parts)
    }
}

/// What a channel is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// When.
    pub at: Time,
    /// The topic that it goes to.
    pub to: String,
    /// The alarm that it is about.
    pub alarm: String,
    /// What the alarm means and what to do.
    pub description: String,
    /// The alarm's new state.
    pub state: State,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

/// An alarm went on or off.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Time,
    /// The alarm.
    pub alarm: String,
    /// Its new state.
    pub state: State,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

/// What one evaluation brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// Alarms that went on or off.
    pub changes: Vec<Change>,
    /// What was told.
    pub messages: Vec<Message>,
}

/// The alarms of a deployment and their states.
#[derive(Clone, Debug)]
pub struct Alarms {
    metric: Vec<MetricAlarm>,
    composite: Vec<CompositeAlarm>,
    states: BTreeMap<String, State>,
    /// By the composite that something holds back, or may.
    held: BTreeMap<String, Held>,
    /// When each alarm last went off.
    off_since: BTreeMap<String, Time>,
}

/// An alarm's going on that hasn't been told.
#[derive(Clone, Debug)]
struct Held {
    since: Time,
    reason: String,
}

impl Alarms {
    /// All of them, OK. Fails with the name of one that a composite refers to and that isn't there.
    pub fn new(metric: Vec<MetricAlarm>, composite: Vec<CompositeAlarm>) -> Result<Self, String> {
        let names = metric.iter().map(|alarm| &alarm.name);
        let names = names.chain(composite.iter().map(|alarm| &alarm.name));
        let states: BTreeMap<_, _> = names.map(|name| (name.clone(), State::Ok)).collect();
        for alarm in &composite {
            let suppressor = alarm.suppressor.as_ref().map(|s| s.alarm.as_str());
            for name in alarm.rule.names().into_iter().chain(suppressor) {
                if !states.contains_key(name) {
                    return Err(format!(
                        "{} refers to {name}, which isn't there",
                        alarm.name
                    ));
                }
            }
        }
        Ok(Self {
            metric,
            composite,
            states,
            held: BTreeMap::new(),
            off_since: BTreeMap::new(),
        })
    }

    /// The state of every alarm, by name.
    pub fn states(&self) -> &BTreeMap<String, State> {
        &self.states
    }

    /// One evaluation of every alarm, to be called at every full minute: what changed, and who is told.
    pub fn evaluate(&mut self, now: Time, metrics: &Metrics) -> News {
        let mut news = News::default();
        for alarm in &self.metric {
            let (state, reason) = alarm.verdict(now, metrics);
            if self.states.insert(alarm.name.clone(), state) == Some(state) {
                continue;
            }
            if state == State::Ok {
                self.off_since.insert(alarm.name.clone(), now);
            }
            tell(
                &alarm.actions,
                &alarm.description,
                &alarm.name,
                state,
                now,
                &reason,
                &mut news,
            );
            news.changes.push(change(now, &alarm.name, state, reason));
        }
        self.composites_follow(now, &mut news);
        self.tell_or_hold_back(now, &mut news);
        news
    }

    /// Composites may be made of composites: until nothing changes any more.
    fn composites_follow(&mut self, now: Time, news: &mut News) {
        for _ in 0..=self.composite.len() {
            let mut changed = false;
            for alarm in &self.composite {
                let state = |name: &str| self.states.get(name).copied().unwrap_or_default();
                let new = if alarm.rule.holds(&state) {
                    State::Alarm
                } else {
                    State::Ok
                };
                if state(&alarm.name) == new {
                    continue;
                }
                let parts: Vec<_> = alarm.rule.names();
                let on = parts.iter().filter(|part| state(part) == State::Alarm);
                let on: Vec<_> = on.map(|name| format!("\"{name}\"")).collect();
                let reason = match new {
                    State::Alarm => format!("On: {}", on.join(", ")),
                    State::Ok => "Its rule doesn't hold any more".to_owned(),
                };
                self.states.insert(alarm.name.clone(), new);
                changed = true;
                match new {
                    State::Alarm => {
                        let held = Held {
                            since: now,
                            reason: reason.clone(),
                        };
                        self.held.insert(alarm.name.clone(), held);
                    }
                    State::Ok => {
                        self.off_since.insert(alarm.name.clone(), now);
                        // What nobody was told of nobody is told the end of.
                        if self.held.remove(&alarm.name).is_none() && !self.is_held_back(alarm, now)
                        {
                            tell(
                                &alarm.actions,
                                &alarm.description,
                                &alarm.name,
                                new,
                                now,
                                &reason,
                                news,
                            );
                        }
                    }
                }
                news.changes.push(change(now, &alarm.name, new, reason));
            }
            if !changed {
                return;
            }
        }
    }

    fn tell_or_hold_back(&mut self, now: Time, news: &mut News) {
        for alarm in &self.composite {
            let Some(held) = self.held.get(&alarm.name) else {
                continue;
            };
            let wait = alarm.suppressor.as_ref().map_or(0, |s| s.wait);
            if now < held.since + wait || self.is_held_back(alarm, now) {
                continue;
            }
            let reason = held.reason.clone();
            self.held.remove(&alarm.name);
            let state = State::Alarm;
            tell(
                &alarm.actions,
                &alarm.description,
                &alarm.name,
                state,
                now,
                &reason,
                news,
            );
        }
    }

    fn is_held_back(&self, alarm: &CompositeAlarm, now: Time) -> bool {
        alarm.suppressor.as_ref().is_some_and(|suppressor| {
            let is_on = self.states.get(&suppressor.alarm) == Some(&State::Alarm);
            let off_since = self.off_since.get(&suppressor.alarm);
            is_on || off_since.is_some_and(|off| now < off + suppressor.extension)
        })
    }
}

fn change(at: Time, alarm: &str, state: State, reason: String) -> Change {
    let alarm = alarm.to_owned();
    Change {
        at,
        alarm,
        state,
        reason,
    }
}

fn tell(
    actions: &Actions,
    description: &str,
    alarm: &str,
    state: State,
    at: Time,
    reason: &str,
    news: &mut News,
) {
    let topics = match state {
        State::Alarm => &actions.alarm,
        State::Ok => &actions.ok,
    };
    for to in topics.iter().filter(|_| actions.enabled) {
        news.messages.push(Message {
            at,
            to: to.clone(),
            alarm: alarm.to_owned(),
            description: description.to_owned(),
            state,
            reason: reason.to_owned(),
        });
    }
}

impl MetricAlarm {
    /// The data points of the last periods, the newest first.
    fn points(&self, now: Time, metrics: &Metrics) -> Vec<Option<f64>> {
        let end = now.div_euclid(MINUTE) * MINUTE;
        let point = |nth: usize| {
            let until = end - self.period * Time::try_from(nth).unwrap_or(Time::MAX / self.period);
            let range = (until - self.period, until);
            let points = self.series.iter().map(|(id, (series, statistic))| {
                let point = metrics.statistic(series, *statistic, range, now);
                (id.as_str(), point)
            });
            self.expression.evaluate(&points.collect())
        };
        (0..self.evaluation_periods + FURTHER_BACK)
            .map(point)
            .collect()
    }

    fn verdict(&self, now: Time, metrics: &Metrics) -> (State, String) {
        self.judge(&self.points(now, metrics))
    }

    fn judge(&self, points: &[Option<f64>]) -> (State, String) {
        let wanted = self.evaluation_periods;
        let real: Vec<f64> = points.iter().copied().flatten().take(wanted).collect();
        let breaching: Vec<f64> = real
            .iter()
            .copied()
            .filter(|value| self.comparison.breaches(*value, self.threshold))
            .collect();
        let filled_in = if self.missing_breaches {
            wanted - real.len()
        } else {
            0
        };
        let state = if breaching.len() + filled_in >= self.datapoints_to_alarm {
            State::Alarm
        } else {
            State::Ok
        };
        (state, self.reason(state, &real, &breaching))
    }

    /// Much as CloudWatch words it.
    fn reason(&self, state: State, real: &[f64], breaching: &[f64]) -> String {
        let (values, verb) = match state {
            State::Alarm => (breaching, "was"),
            State::Ok => (real, "was not"),
        };
        let values: Vec<_> = values.iter().map(|value| format!("{value:.1}")).collect();
        if values.is_empty() {
            return format!(
                "no data points were received for {} periods",
                self.evaluation_periods
            );
        }
        format!(
            "Threshold Crossed: {} out of the last {} datapoints [{}] {verb} {} the threshold ({:.1})",
            values.len(),
            self.evaluation_periods,
            values.join(", "),
            self.comparison.words(),
            self.threshold,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Actions, Alarms, Comparison, CompositeAlarm, MetricAlarm, Rule, State, Suppressor,
    };
    use crate::metric_math::Expression;
    use crate::metrics::{MINUTE, Metrics, Series, Statistic, Time};

    fn alarm(
        name: &str,
        (datapoints, periods): (usize, usize),
        missing_breaches: bool,
    ) -> MetricAlarm {
        let series = Series::new("N", name, []);
        MetricAlarm {
            name: name.to_owned(),
            description: String::new(),
            series: [("m".to_owned(), (series, Statistic::Sum))].into(),
            expression: Expression::parse("m").expect("good"),
            period: MINUTE,
            evaluation_periods: periods,
            datapoints_to_alarm: datapoints,
            comparison: Comparison::GreaterThanOrEqualToThreshold,
            threshold: 1.0,
            missing_breaches,
            actions: actions(),
        }
    }

    fn actions() -> Actions {
        let topic = vec!["topic".to_owned()];
        Actions {
            enabled: true,
            alarm: topic.clone(),
            ok: topic,
        }
    }

    /// The guide's tables: data points with the newest last; `X` breaches, `0` doesn't, `-` is missing. Then the state
    /// where missing ones breach, and where they don't.
    #[test]
    fn missing_data_is_treated_as_the_guides_tables_say() {
        let three_of_three = [
            ("0-X-X", State::Ok, State::Ok),
            ("----0", State::Ok, State::Ok),
            ("-----", State::Alarm, State::Ok),
            ("0XX-X", State::Alarm, State::Alarm),
            ("--X--", State::Alarm, State::Ok),
        ];
        let two_of_three = [
            ("0-X-X", State::Alarm, State::Alarm),
            ("00X0X", State::Alarm, State::Alarm),
            ("0-X--", State::Alarm, State::Ok),
            ("----0", State::Alarm, State::Ok),
            ("---X-", State::Alarm, State::Ok),
        ];
        for (of, table) in [((3, 3), three_of_three), ((2, 3), two_of_three)] {
            for (points, breaching, not_breaching) in table {
                let newest_first = points.chars().rev().map(|point| match point {
                    'X' => Some(1.0),
                    '0' => Some(0.0),
                    _ => None,
                });
                let newest_first: Vec<_> = newest_first.collect();
                for (breaches, expected) in [(true, breaching), (false, not_breaching)] {
                    let (state, reason) = alarm("a", of, breaches).judge(&newest_first);
                    assert_eq!(state, expected, "{points} {of:?} {breaches}: {reason}");
                }
            }
        }
    }

    #[test]
    fn a_period_of_five_minutes_slides_by_the_minute() {
        let mut alarm = alarm("a", (1, 1), false);
        alarm.period = 5 * MINUTE;
        alarm.threshold = 3.0;
        let mut metrics = Metrics::default();
        let series = Series::new("N", "a", []);
        // Two before and one after a multiple of five minutes.
        for minute in [8, 9, 11] {
            metrics.record(&series, minute * MINUTE, minute * MINUTE, 1.0);
        }
        let on = |minute: Time| alarm.verdict(minute * MINUTE, &metrics).0 == State::Alarm;
        assert!(!on(11), "the third isn't over");
        assert!(on(12));
        assert!(on(13));
        assert!(!on(14), "the first is out of the window");
    }

    #[test]
    fn a_filled_series_hides_a_late_value_from_an_alarm_that_looks_at_one_minute() {
        let mut one = alarm("a", (1, 1), false);
        one.expression = Expression::parse("FILL(m, 0)").expect("good");
        let mut some = one.clone();
        some.evaluation_periods = 3;
        let mut metrics = Metrics::default();
        metrics.record(&Series::new("N", "a", []), 60, 160, 1.0);
        let ever = |alarm: &MetricAlarm| {
            (1..9).any(|minute| alarm.verdict(minute * MINUTE, &metrics).0 == State::Alarm)
        };
        assert!(!ever(&one));
        assert!(ever(&some));
    }

    #[test]
    fn rules_are_read_as_cloudwatch_takes_them() {
        let on = ["a", "c"];
        let state = |name: &str| {
            if on.contains(&name) {
                State::Alarm
            } else {
                State::Ok
            }
        };
        for (text, expected) in [
            ("ALARM(a)", true),
            ("ALARM(\"b\")", false),
            ("OK(b)", true),
            ("NOT ALARM(b) AND ALARM(a)", true),
            ("ALARM(b) OR (ALARM(a) AND ALARM(c))", true),
            ("ALARM(b) AND ALARM(a) OR ALARM(c)", true),
            ("ALARM(b) AND (ALARM(a) OR ALARM(c))", false),
        ] {
            let rule = Rule::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rule.holds(&state), expected, "{text}");
        }
        for text in [
            "",
            "ALARM",
            "ALARM(a",
            "ALARM(a) ALARM(b)",
            "(ALARM(a)",
            "a",
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }

    /// The composite `notice` follows `part`, and `big` holds it back. Which minutes something is told, and what.
    fn told(part: &[Time], big: &[Time]) -> Vec<(Time, String)> {
        let quiet = Actions::default();
        let mut part_alarm = alarm("part", (1, 1), false);
        let mut big_alarm = alarm("big", (1, 1), false);
        for alarm in [&mut part_alarm, &mut big_alarm] {
            alarm.actions = quiet.clone();
            alarm.expression = Expression::parse("FILL(m, 0)").expect("good");
        }
        let notice = CompositeAlarm {
            name: "notice".to_owned(),
            description: String::new(),
            rule: Rule::parse("ALARM(part)").expect("good"),
            actions: actions(),
            suppressor: Some(Suppressor {
                alarm: "big".to_owned(),
                wait: 2 * MINUTE,
                extension: 3 * MINUTE,
            }),
        };
        let mut metrics = Metrics::default();
        for (name, minutes) in [("part", part), ("big", big)] {
            for minute in minutes {
                let at = minute * MINUTE;
                metrics.record(&Series::new("N", name, []), at - 1, at - 1, 1.0);
            }
        }
        let mut alarms = Alarms::new(vec![part_alarm, big_alarm], vec![notice]).expect("good");
        let mut told = Vec::new();
        for minute in 1..30 {
            let news = alarms.evaluate(minute * MINUTE, &metrics);
            let messages = news.messages.into_iter();
            told.extend(messages.map(|message| (minute, message.state.to_string())));
        }
        told
    }

    #[test]
    fn a_composite_waits_for_its_suppressor_and_is_held_back_by_it() {
        let minutes = |from, until| (from..until).collect::<Vec<Time>>();
        let both = |on: Time, off: Time| vec![(on, "ALARM".to_owned()), (off, "OK".to_owned())];
        assert_eq!(
            told(&minutes(5, 10), &[]),
            both(7, 10),
            "nothing holds it back"
        );
        assert_eq!(told(&minutes(5, 6), &[]), [], "over before the wait is");
        assert_eq!(
            told(&minutes(5, 10), &minutes(6, 12)),
            [],
            "all of it is held back"
        );
        assert_eq!(
            told(&minutes(5, 20), &minutes(6, 10)),
            both(13, 20),
            "told after the extension, for it still holds"
        );
        assert_eq!(
            told(&minutes(5, 12), &minutes(6, 10)),
            [],
            "over within the extension"
        );
    }

    #[test]
    fn what_a_composite_refers_to_must_be_there() {
        let composite = CompositeAlarm {
            name: "c".to_owned(),
            description: String::new(),
            rule: Rule::parse("ALARM(missing)").expect("good"),
            actions: actions(),
            suppressor: None,
        };
        let error = Alarms::new(vec![], vec![composite]).expect_err("it isn't there");
        assert!(error.contains("missing"), "{error}");
    }
}
