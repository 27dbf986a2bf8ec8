//! CloudWatch's part: lines go to the log, filters count them, alarms look at what was counted, and topics are told.
//!
//! What there is (filters, alarms, their actions) is read from the account; what it does is done here, on a clock of
//! our own, because moto does none of it.

use std::collections::BTreeMap;

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::lambda::{Invocation, Lambda};
use crate::alarms::{
    Actions, Alarms, Change, Comparison, CompositeAlarm, Message, MetricAlarm, Rule, State,
    Suppressor,
};
use crate::aws::{Aws, Role};
use crate::deployment::{Deployment, MetricFilter};
use crate::embedded_metrics::{Point, embedded};
use crate::filter_pattern::FilterPattern;
use crate::metric_math::Expression;
use crate::metrics::{MINUTE, Metrics, Series, Statistic, Time};

/// The log and what is made of it.
pub(super) struct Watch {
    log_group: String,
    stream: String,
    role: Role,
    filters: Vec<MetricFilter>,
    metrics: Metrics,
    alarms: Alarms,
    /// The alarms as they are defined, by name.
    defined: (Vec<MetricAlarm>, Vec<CompositeAlarm>),
    /// What the clock says, which starts with the real time and is moved on by the minute.
    now: Time,
}

impl Watch {
    /// What the account has for this function: its log's filters, and every alarm.
    pub(super) fn new(aws: &Aws, lambda: &Lambda) -> Result<Self, String> {
        let log_group = lambda.log_group().to_owned();
        let stream = format!("[{}]harness", lambda.configuration["Version"]);
        let role = lambda.role.clone();
        aws.json(
            Some(&role),
            "logs",
            "Logs_20140328.CreateLogStream",
            &json!({ "logGroupName": log_group, "logStreamName": stream }),
        )?;
        let filters = aws.json(
            None,
            "logs",
            "Logs_20140328.DescribeMetricFilters",
            &json!({ "logGroupName": log_group }),
        )?;
        let filters = list(&filters["metricFilters"]).iter();
        let filters = filters.map(|found| filter(found, lambda.name()));
        let filters = filters.collect::<Result<_, _>>()?;
        let (mut metric, mut composite) = alarms(aws)?;
        metric.sort_by(|a, b| a.name.cmp(&b.name));
        composite.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            log_group,
            stream,
            role,
            filters,
            metrics: Metrics::default(),
            alarms: Alarms::new(metric.clone(), composite.clone())?,
            defined: (metric, composite),
            now: Timestamp::now().as_second(),
        })
    }

    /// How many filters there are.
    pub(super) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// What Terraform made otherwise than `deployment` says; nothing where the two agree.
    pub(super) fn differences(&self, deployment: &Deployment) -> Vec<String> {
        let filters = |all: &[MetricFilter]| {
            let all = all.iter().filter(|filter| filter.log == "function");
            let mut all: Vec<_> = all
                .map(|filter| (filter.name.clone(), format!("{filter:?}")))
                .collect();
            all.sort();
            all
        };
        let (mut metric, mut composite) =
            (deployment.metric_alarms(), deployment.composite_alarms());
        metric.sort_by(|a, b| a.name.cmp(&b.name));
        composite.sort_by(|a, b| a.name.cmp(&b.name));
        let named = |metric: &[MetricAlarm], composite: &[CompositeAlarm]| {
            let metric = metric
                .iter()
                .map(|alarm| (alarm.name.clone(), format!("{:?}", by_one_id(alarm))));
            let composite = composite
                .iter()
                .map(|alarm| (alarm.name.clone(), format!("{alarm:?}")));
            metric.chain(composite).collect::<Vec<_>>()
        };
        let expected = [filters(&deployment.filters()), named(&metric, &composite)].concat();
        let found = [
            filters(&self.filters),
            named(&self.defined.0, &self.defined.1),
        ]
        .concat();
        let missing = expected.iter().filter(|one| !found.contains(one));
        let foreign = found.iter().filter(|one| !expected.contains(one));
        let missing = missing.map(|(name, all)| format!("{name} should be {all}"));
        missing
            .chain(foreign.map(|(name, all)| format!("{name} is {all}")))
            .collect()
    }

    /// The state of every alarm, by name.
    pub(super) fn states(&self) -> &BTreeMap<String, State> {
        self.alarms.states()
    }

    /// The time by the harness's clock.
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// An invocation's lines go to the log in the role's name, and are counted; and what Lambda itself counts.
    pub(super) fn invocation(
        &mut self,
        aws: &Aws,
        lambda: &Lambda,
        done: &Invocation,
    ) -> Result<(), String> {
        let at = Timestamp::now().as_millisecond();
        let events = done.lines.iter();
        let events = events.map(|line| json!({ "timestamp": at, "message": line }));
        aws.json(
            Some(&self.role),
            "logs",
            "Logs_20140328.PutLogEvents",
            &json!({
                "logGroupName": self.log_group,
                "logStreamName": self.stream,
                "logEvents": events.collect::<Vec<_>>(),
            }),
        )?;
        let mut points = Vec::new();
        for line in &done.lines {
            for filter in &self.filters {
                points.extend(filter.count(line).map(|(series, value)| Point {
                    series,
                    value,
                    unit: filter.unit.clone(),
                }));
            }
            points.extend(embedded(line));
        }
        let of_lambda = [
            ("Invocations", 1.0, "Count"),
            ("Errors", f64::from(u8::from(done.answer.is_err())), "Count"),
            ("Throttles", 0.0, "Count"),
            ("ConcurrentExecutions", 1.0, "Count"),
            ("Duration", done.took.as_secs_f64() * 1e3, "Milliseconds"),
        ];
        points.extend(of_lambda.map(|(metric, value, unit)| Point {
            series: Series::new("AWS/Lambda", metric, [("FunctionName", lambda.name())]),
            value,
            unit: unit.to_owned(),
        }));
        self.record(aws, points)
    }

    /// Something that a service of AWS counts about itself.
    pub(super) fn count(
        &mut self,
        aws: &Aws,
        namespace: &str,
        metric: &str,
        dimension: (&str, &str),
        value: f64,
    ) -> Result<(), String> {
        let point = Point {
            series: Series::new(namespace, metric, [dimension]),
            value,
            unit: "Count".to_owned(),
        };
        self.record(aws, vec![point])
    }

    /// Into the store that alarms look at, and into moto's, where anybody can ask for it.
    fn record(&mut self, aws: &Aws, points: Vec<Point>) -> Result<(), String> {
        let mut data: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let timestamp = Timestamp::now().as_second();
        for point in points {
            self.metrics
                .record(&point.series, self.now, self.now, point.value);
            let dimensions = point.series.dimensions.iter();
            let dimensions =
                dimensions.map(|(name, value)| json!({ "Name": name, "Value": value }));
            data.entry(point.series.namespace).or_default().push(json!({
                "MetricName": point.series.metric,
                "Dimensions": dimensions.collect::<Vec<_>>(),
                "Value": point.value,
                "Unit": point.unit,
                "Timestamp": timestamp,
            }));
        }
        for (namespace, data) in data {
            aws.json(
                None,
                "monitoring",
                "GraniteServiceVersion20100801.PutMetricData",
                &json!({ "Namespace": namespace, "MetricData": data }),
            )?;
        }
        Ok(())
    }

    /// The next full minute: alarms are evaluated, their states set, and whoever they tell is told.
    pub(super) fn minute(&mut self, aws: &Aws) -> Result<(Vec<Change>, Vec<Message>), String> {
        let before = self.alarms.states().clone();
        self.now = (self.now.div_euclid(MINUTE) + 1) * MINUTE;
        let news = self.alarms.evaluate(self.now, &self.metrics);
        for change in &news.changes {
            aws.json(
                None,
                "monitoring",
                "GraniteServiceVersion20100801.SetAlarmState",
                &json!({
                    "AlarmName": change.alarm,
                    "StateValue": change.state.to_string(),
                    "StateReason": change.reason,
                }),
            )?;
        }
        for message in &news.messages {
            let old = before.get(&message.alarm).copied().unwrap_or_default();
            let subject = format!(
                "{}: \"{}\" in US East (N. Virginia)",
                message.state, message.alarm
            );
            aws.form(
                "sns",
                &[
                    ("Action", "Publish"),
                    ("Version", "2010-03-31"),
                    ("TopicArn", &message.to),
                    ("Subject", &subject),
                    ("Message", &as_told(message, old).to_string()),
                ],
            )?;
            let told = format!("/harness/told/{}/{}", message.alarm, message.to);
            aws.path(None, "monitoring", Method::GET, &told, "")?;
        }
        Ok((news.changes, news.messages))
    }
}

/// An alarm over one series itself, by one id: in the account it has none.
fn by_one_id(alarm: &MetricAlarm) -> MetricAlarm {
    let mut alarm = alarm.clone();
    let only = alarm.series.first_key_value();
    let only = only.filter(|(id, _)| Ok(&alarm.expression) == Expression::parse(id).as_ref());
    if let Some((_, series)) = only.filter(|_| alarm.series.len() == 1) {
        alarm.series = [("m".to_owned(), series.clone())].into();
        alarm.expression = Expression::parse("m").expect("an id");
    }
    alarm
}

/// What an alarm's message to a topic holds, as far as anybody here reads it.
fn as_told(message: &Message, old: State) -> Value {
    let at = Timestamp::from_second(message.at).unwrap_or(Timestamp::UNIX_EPOCH);
    json!({
        "AlarmName": message.alarm,
        "AlarmDescription": message.description,
        "AWSAccountId": "123456789012",
        "Region": "US East (N. Virginia)",
        "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:{}", message.alarm),
        "NewStateValue": message.state.to_string(),
        "OldStateValue": old.to_string(),
        "NewStateReason": message.reason,
        "StateChangeTime": format!("{at:.3}"),
    })
}

/// A filter as `DescribeMetricFilters` gives it; by its name without the function's, as the table has it.
fn filter(filter: &Value, function: &str) -> Result<MetricFilter, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pattern = text(&filter["filterPattern"]);
    let [made] = list(&filter["metricTransformations"]) else {
        return Err(format!("not one metric in {filter}"));
    };
    let name = text(&filter["filterName"]);
    let name = name.strip_prefix(&format!("{function}-")).unwrap_or(&name);
    let dimensions = made["dimensions"].as_object();
    let dimension = dimensions.and_then(|dimensions| dimensions.iter().next());
    Ok(MetricFilter {
        name: name.to_owned(),
        log: "function".to_owned(),
        pattern: FilterPattern::parse(&pattern).map_err(|error| format!("{name}: {error}"))?,
        text: pattern,
        value: text(&made["metricValue"]),
        unit: text(&made["unit"]),
        series: Series::new(
            &text(&made["metricNamespace"]),
            &text(&made["metricName"]),
            [],
        ),
        dimension: dimension.map(|(name, field)| (name.clone(), text(field))),
    })
}

/// Every alarm of the account.
fn alarms(aws: &Aws) -> Result<(Vec<MetricAlarm>, Vec<CompositeAlarm>), String> {
    let found = aws.json(
        None,
        "monitoring",
        "GraniteServiceVersion20100801.DescribeAlarms",
        &json!({ "AlarmTypes": ["MetricAlarm", "CompositeAlarm"] }),
    )?;
    let metric = list(&found["MetricAlarms"]).iter().map(metric_alarm);
    let composite = list(&found["CompositeAlarms"]).iter().map(composite_alarm);
    Ok((
        metric.collect::<Result<_, _>>()?,
        composite.collect::<Result<_, _>>()?,
    ))
}

fn metric_alarm(alarm: &Value) -> Result<MetricAlarm, String> {
    let name = alarm["AlarmName"].as_str().unwrap_or_default();
    let unknown = |what: &str| format!("{name}: {what} is not understood: {alarm}");
    let queries = list(&alarm["Metrics"]);
    let one = [json!({
        "Id": "m",
        "MetricStat": {
            "Metric": {
                "Namespace": alarm["Namespace"],
                "MetricName": alarm["MetricName"],
                "Dimensions": alarm["Dimensions"],
            },
            "Period": alarm["Period"],
            "Stat": alarm.get("Statistic").or(alarm.get("ExtendedStatistic")),
        },
    })];
    let measured = if queries.is_empty() { &one } else { queries };
    let measured = measured.iter().filter(|q| q["MetricStat"].is_object());
    let mut series = BTreeMap::new();
    let mut period = None;
    for query in measured {
        let (metric, stat) = (&query["MetricStat"]["Metric"], &query["MetricStat"]["Stat"]);
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        let dimensions = list(&metric["Dimensions"]).iter();
        let dimensions: Vec<_> = dimensions
            .map(|d| (text(&d["Name"]), text(&d["Value"])))
            .collect();
        let dimensions = dimensions.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let of = Series::new(
            &text(&metric["Namespace"]),
            &text(&metric["MetricName"]),
            dimensions,
        );
        let stat = Statistic::parse(&text(stat)).ok_or_else(|| unknown("the statistic"))?;
        series.insert(text(&query["Id"]), (of, stat));
        period = query["MetricStat"]["Period"].as_i64();
    }
    let result = queries.iter().find(|query| query["Expression"].is_string());
    let expression = result.and_then(|query| query["Expression"].as_str());
    let count = |field: &str| {
        let count = alarm[field].as_u64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| unknown(field))
    };
    Ok(MetricAlarm {
        name: name.to_owned(),
        description: alarm["AlarmDescription"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        series,
        expression: Expression::parse(expression.unwrap_or("m"))
            .map_err(|error| format!("{name}: {error}"))?,
        period: period.ok_or_else(|| unknown("the period"))?,
        evaluation_periods: count("EvaluationPeriods")?,
        datapoints_to_alarm: count("DatapointsToAlarm")?,
        comparison: alarm["ComparisonOperator"]
            .as_str()
            .and_then(Comparison::parse)
            .ok_or_else(|| unknown("the comparison"))?,
        threshold: alarm["Threshold"]
            .as_f64()
            .ok_or_else(|| unknown("the threshold"))?,
        missing_breaches: match alarm["TreatMissingData"].as_str() {
            Some("breaching") => true,
            Some("notBreaching") => false,
            _ => return Err(unknown("what missing data means")),
        },
        actions: actions(alarm),
    })
}

fn composite_alarm(alarm: &Value) -> Result<CompositeAlarm, String> {
    let text = |field: &str| alarm[field].as_str().unwrap_or_default().to_owned();
    let seconds = |field: &str| alarm[field].as_i64().unwrap_or(0);
    let suppressor = alarm["ActionsSuppressor"].as_str();
    Ok(CompositeAlarm {
        name: text("AlarmName"),
        description: text("AlarmDescription"),
        rule: Rule::parse(&text("AlarmRule"))?,
        actions: actions(alarm),
        suppressor: suppressor.map(|name| Suppressor {
            alarm: name.to_owned(),
            wait: seconds("ActionsSuppressorWaitPeriod"),
            extension: seconds("ActionsSuppressorExtensionPeriod"),
        }),
    })
}

fn actions(alarm: &Value) -> Actions {
    let topics = |field: &str| {
        let topics = list(&alarm[field]).iter().filter_map(Value::as_str);
        topics.map(str::to_owned).collect()
    };
    Actions {
        enabled: alarm["ActionsEnabled"] == true,
        alarm: topics("AlarmActions"),
        ok: topics("OKActions"),
    }
}

/// What is no list has nothing in it.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::embedded;

    #[test]
    fn an_embedded_metric_line_gives_its_values_under_its_dimensions() {
        let line = r#"{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["F"]],
            "Metrics":[{"Name":"a","Unit":"Count"},{"Name":"b","Unit":"Milliseconds"}]}]},"F":"mill","a":1,"b":[2.5,3]}"#;
        let points = embedded(line);
        let values: Vec<_> = points
            .iter()
            .map(|p| (p.series.metric.as_str(), p.value, p.unit.as_str()))
            .collect();
        assert_eq!(
            values,
            [
                ("a", 1.0, "Count"),
                ("b", 2.5, "Milliseconds"),
                ("b", 3.0, "Milliseconds")
            ]
        );
        assert_eq!(points[0].series.dimensions["F"], "mill");
        assert!(embedded("{}").is_empty());
        assert!(embedded("no JSON").is_empty());
    }
}
