//! What Terraform makes of `infra/observability.json`: filters, alarms and the dashboard of one deployment, in
//! CloudWatch's own terms.
//!
//! This repeats the modules of `infra` in Rust, so that alarms can be rehearsed without Terraform; the run against
//! the emulated cloud holds the two against each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::alarms::{Actions, Comparison, CompositeAlarm, MetricAlarm, Rule, Suppressor};
use crate::filter_pattern::{FilterPattern, select};
use crate::metric_math::Expression;
use crate::metrics::{Series, Statistic};

/// How uploads reach the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// S3, a queue, the function.
    Queue,
    /// S3, the function.
    Direct,
}

impl Mode {
    /// As `ingest_mode` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Direct => "direct",
        }
    }
}

/// One deployment: the variables of `infra` that matter here, and the table.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// `{project_name}-{environment}-processor`.
    pub function_name: String,
    /// `metric_namespace`.
    pub namespace: String,
    /// `ingest_mode`.
    pub mode: Mode,
    /// `ingest_enabled`.
    pub ingest_enabled: bool,
    /// The variables that switch something on, by name; those that are not here are off.
    pub switches: BTreeMap<String, bool>,
    /// Where a channel's messages go: a topic's ARN, or (by default) the channel's own name.
    pub topics: BTreeMap<String, String>,
    /// `runbook_url`.
    pub runbook_url: String,
    /// The upload bucket's name.
    pub upload_bucket: String,
    /// The canary's key.
    pub canary_key: String,
    /// `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:`.
    pub alarm_arn: String,
    /// `aws_region`.
    pub region: String,
    table: Value,
}

/// A metric filter.
#[derive(Clone, Debug)]
pub struct MetricFilter {
    /// Its name, without the function's.
    pub name: String,
    /// `function`, or `audit`.
    pub log: String,
    /// Which lines it counts.
    pub pattern: FilterPattern,
    /// The pattern as it is written.
    pub text: String,
    /// `1`, or the field that holds the number.
    pub value: String,
    /// The metric's unit.
    pub unit: String,
    /// The metric, without the dimension that a line brings.
    pub series: Series,
    /// The dimension's name and the field that holds its value.
    pub dimension: Option<(String, String)>,
}

impl MetricFilter {
    /// What it makes of a line: the metric and the value, or nothing.
    pub fn count(&self, line: &str) -> Option<(Series, f64)> {
        if !self.pattern.matches(line) {
            return None;
        }
        let value = self.pattern.published(&self.value, line).ok()??;
        let mut series = self.series.clone();
        if let Some((name, field)) = &self.dimension {
            let json: Value = serde_json::from_str(line).ok()?;
            let found = select(field, &json).ok()?;
            let of = found.first()?.as_str()?;
            series.dimensions.insert(name.clone(), of.to_owned());
        }
        Some((series, value))
    }
}

impl Deployment {
    /// The defaults of `infra`'s variables, and `infra/observability.json` as it is in the tree.
    pub fn new(mode: Mode) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/observability.json");
        let table = fs::read_to_string(&file).expect("infra/observability.json can be read");
        let table: Value = serde_json::from_str(&table).expect("it is JSON");
        let channels = list(&table, "channels").iter().map(|channel| {
            let channel = channel.as_str().expect("a name").to_owned();
            (channel.clone(), channel)
        });
        Self {
            function_name: "pixmill-dev-processor".to_owned(),
            namespace: "ImageProcessor/Lambda".to_owned(),
            mode,
            ingest_enabled: true,
            switches: BTreeMap::new(),
            topics: channels.collect(),
            runbook_url: "docs/runbook.md".to_owned(),
            upload_bucket: "uploads".to_owned(),
            canary_key: "canary/canary.png".to_owned(),
            alarm_arn: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:".to_owned(),
            region: "us-east-1".to_owned(),
            table,
        }
    }

    /// The name of the queue that uploads wait in.
    pub fn queue(&self) -> String {
        format!("{}-uploads", self.function_name)
    }

    /// The name of the queue that nothing takes anything out of.
    pub fn dead_letters(&self) -> String {
        format!("{}-dead-letters", self.function_name)
    }

    /// The name that an alarm of the table has in the account.
    pub fn alarm_name(&self, name: &str) -> String {
        format!("{}-{name}", self.function_name)
    }

    fn is_on(&self, entry: &Value) -> bool {
        let mode = entry["mode"].as_str().unwrap_or("any");
        let switch = entry["switch"].as_str();
        let is_switched_on = switch.is_none_or(|switch| self.switches.get(switch) == Some(&true));
        (mode == "any" || mode == self.mode.word()) && is_switched_on
    }

    fn is_of_mode(&self, entry: &Value) -> bool {
        ["any", self.mode.word()].contains(&text(entry, "mode"))
    }

    fn full_namespace(&self, word: &str) -> String {
        match word {
            "shared" => self.namespace.clone(),
            "deployment" => format!("{}/{}", self.namespace, self.function_name),
            amazons => amazons.to_owned(),
        }
    }

    fn series(&self, entry: &Value) -> (Series, Statistic) {
        let queue = match entry["dimension"].as_str() {
            Some("queue") => self.queue(),
            Some("dead_letters") => self.dead_letters(),
            _ => String::new(),
        };
        let dimension = match entry["dimension"].as_str() {
            None => None,
            Some("function") => Some(("FunctionName", self.function_name.as_str())),
            Some(_) => Some(("QueueName", queue.as_str())),
        };
        let namespace = self.full_namespace(text(entry, "namespace"));
        let series = Series::new(&namespace, text(entry, "metric"), dimension);
        let statistic = Statistic::parse(text(entry, "statistic"));
        (series, statistic.expect("a statistic"))
    }

    /// Every metric filter.
    pub fn filters(&self) -> Vec<MetricFilter> {
        let filters = list(&self.table, "filters").iter();
        let filters = filters.filter(|filter| self.is_on(filter)).map(|filter| {
            let pattern = text(filter, "pattern").replace("${upload_bucket}", &self.upload_bucket);
            let pattern = pattern.replace("${canary_key}", &self.canary_key);
            let namespace = self.full_namespace(text(filter, "namespace"));
            let field = filter["dimension"].as_str();
            let dimension = field.map(|field| {
                let name = text(&self.table, "dimension_name");
                (name.to_owned(), field.to_owned())
            });
            MetricFilter {
                name: text(filter, "name").to_owned(),
                log: text(filter, "log").to_owned(),
                pattern: FilterPattern::parse(&pattern).expect("a pattern"),
                text: pattern,
                value: text(filter, "value").to_owned(),
                unit: text(filter, "unit").to_owned(),
                series: Series::new(&namespace, text(filter, "metric"), None),
                dimension,
            }
        });
        filters.collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Value> {
        let alarms = list(&self.table, "alarms").iter();
        alarms.filter(|alarm| self.is_on(alarm))
    }

    /// The names of all alarms that may tell somebody, without the function's: `name`, `name-notice`.
    pub fn telling(&self) -> BTreeMap<String, String> {
        let alarms = self.entries().filter_map(|alarm| {
            let name = match text(alarm, "actions") {
                "own" => text(alarm, "name").to_owned(),
                "notice" => format!("{}-notice", text(alarm, "name")),
                _ => return None,
            };
            Some((name, text(alarm, "channel").to_owned()))
        });
        let composites = list(&self.table, "composites").iter();
        let composites = composites.map(|composite| {
            let channel = text(composite, "channel").to_owned();
            (text(composite, "name").to_owned(), channel)
        });
        alarms.chain(composites).collect()
    }

    /// Every metric alarm.
    pub fn metric_alarms(&self) -> Vec<MetricAlarm> {
        self.entries()
            .map(|alarm| self.metric_alarm(alarm))
            .collect()
    }

    fn metric_alarm(&self, alarm: &Value) -> MetricAlarm {
        let series = list(alarm, "series").iter();
        let series: BTreeMap<_, _> = series
            .map(|series| (text(series, "id").to_owned(), self.series(series)))
            .collect();
        let only = series.keys().next().expect("a series").as_str();
        let expression = alarm["expression"].as_str().unwrap_or(only);
        let quiet = !self.ingest_enabled && alarm["quiet_when_paused"] == true;
        let actions = if alarm["actions"] == "own" {
            self.actions(alarm, !quiet)
        } else {
            Actions {
                enabled: !quiet,
                ..Actions::default()
            }
        };
        let name = text(alarm, "name");
        MetricAlarm {
            name: self.alarm_name(name),
            description: self.description(alarm),
            expression: Expression::parse(expression)
                .unwrap_or_else(|error| panic!("{name}: {error}")),
            series,
            period: number(alarm, "period"),
            evaluation_periods: count(alarm, "evaluation_periods"),
            datapoints_to_alarm: count(alarm, "datapoints"),
            comparison: Comparison::parse(text(alarm, "comparison")).expect("a comparison"),
            threshold: alarm["threshold"].as_f64().expect("a number"),
            missing_breaches: match text(alarm, "missing") {
                "breaching" => true,
                "notBreaching" => false,
                other => panic!("{name}: {other} is not known here"),
            },
            actions,
        }
    }

    fn actions(&self, entry: &Value, enabled: bool) -> Actions {
        let topic = vec![self.topics[text(entry, "channel")].clone()];
        let ok = if entry["ok_notice"] == true {
            topic.clone()
        } else {
            Vec::new()
        };
        Actions {
            enabled,
            alarm: topic,
            ok,
        }
    }

    fn description(&self, entry: &Value) -> String {
        format!(
            "{} Do: {} Runbook: {}#{}",
            text(entry, "about"),
            text(entry, "todo"),
            self.runbook_url,
            text(entry, "runbook")
        )
    }

    /// Every composite alarm: those of the table, and a notice for each alarm that may be held back.
    pub fn composite_alarms(&self) -> Vec<CompositeAlarm> {
        let [composite] = list(&self.table, "composites") else {
            panic!("one composite holds the notices back");
        };
        let rule =
            text(composite, "rule").replace("ALARM(", &format!("ALARM({}-", self.function_name));
        let down = CompositeAlarm {
            name: self.alarm_name(text(composite, "name")),
            description: self.description(composite),
            rule: Rule::parse(&rule).expect("a rule"),
            actions: self.actions(composite, self.ingest_enabled),
            suppressor: None,
        };
        let suppressor = Suppressor {
            alarm: down.name.clone(),
            wait: number(composite, "wait_seconds"),
            extension: number(composite, "extension_seconds"),
        };
        let notices = self.entries().filter(|alarm| alarm["actions"] == "notice");
        let notices = notices.map(|alarm| {
            let name = self.alarm_name(text(alarm, "name"));
            let quiet = !self.ingest_enabled && alarm["quiet_when_paused"] == true;
            CompositeAlarm {
                name: format!("{name}-notice"),
                description: self.description(alarm),
                rule: Rule::Alarm(name),
                actions: self.actions(alarm, !quiet),
                suppressor: Some(suppressor.clone()),
            }
        });
        let notices: Vec<_> = notices.collect();
        [vec![down], notices].concat()
    }

    /// The dashboard's body, as `PutDashboard` takes it.
    pub fn dashboard(&self) -> Value {
        let widgets = list(&self.table, "dashboard").iter();
        let widgets = widgets.filter(|widget| self.is_of_mode(widget));
        let widgets = widgets.enumerate().map(|(index, widget)| {
            let (kind, properties) = match text(widget, "kind") {
                "alarms" => ("alarm", self.alarm_widget(widget)),
                "query" => ("log", self.log_widget(widget)),
                _ => ("metric", self.metric_widget(widget)),
            };
            json!({
                "type": kind,
                "x": index % 2 * 12, "y": index / 2 * 6, "width": 12, "height": 6,
                "properties": properties,
            })
        });
        json!({ "widgets": widgets.collect::<Vec<_>>() })
    }

    fn alarm_widget(&self, widget: &Value) -> Value {
        let composites = list(&self.table, "composites").iter();
        let names = composites
            .chain(self.entries())
            .map(|alarm| text(alarm, "name"));
        let arns = names.map(|name| format!("{}{}", self.alarm_arn, self.alarm_name(name)));
        json!({ "title": widget["title"], "alarms": arns.collect::<Vec<_>>() })
    }

    fn log_widget(&self, widget: &Value) -> Value {
        let mut queries = list(&self.table, "queries").iter();
        let query = queries.find(|query| query["name"] == widget["query"]);
        let query = text(query.expect("a saved query"), "query");
        json!({
            "title": widget["title"],
            "region": self.region,
            "view": "table",
            "query": format!("SOURCE '/aws/lambda/{}' | {query}", self.function_name),
        })
    }

    fn metric_widget(&self, widget: &Value) -> Value {
        let series = list(widget, "series").iter().map(|entry| {
            let (series, _) = self.series(entry);
            let mut words = vec![json!(series.namespace), json!(series.metric)];
            for (name, value) in &series.dimensions {
                words.extend([json!(name), json!(value)]);
            }
            let id = text(entry, "id");
            words.push(
                json!({ "id": id, "stat": entry["statistic"], "label": id.replace('_', " "), "yAxis": entry["axis"] }),
            );
            json!(words)
        });
        let expressions = list(widget, "expressions").iter().map(|entry| {
            json!([{ "id": entry["id"], "expression": entry["expression"], "label": entry["label"] }])
        });
        let lines = list(widget, "thresholds").iter().filter_map(|name| {
            let mut alarms = list(&self.table, "alarms").iter();
            let alarm = alarms.find(|alarm| alarm["name"] == *name && self.is_of_mode(alarm))?;
            let side = match text(alarm, "comparison") {
                "LessThanThreshold" => "below",
                "GreaterThanThreshold" => "above",
                _ => "from",
            };
            let label = format!("{} ({side})", text(alarm, "name"));
            Some(json!({ "label": label, "value": alarm["threshold"] }))
        });
        json!({
            "title": widget["title"],
            "region": self.region,
            "view": "timeSeries",
            "stacked": false,
            "period": 300,
            "metrics": series.chain(expressions).collect::<Vec<_>>(),
            "annotations": { "horizontal": lines.collect::<Vec<_>>() },
        })
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array();
    list.unwrap_or_else(|| panic!("{key:?} is not a list in {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("{key:?} is not text in {value}"))
}

fn number(value: &Value, key: &str) -> i64 {
    let number = value[key].as_i64();
    number.unwrap_or_else(|| panic!("{key:?} is not a whole number in {value}"))
}

fn count(value: &Value, key: &str) -> usize {
    usize::try_from(number(value, key)).expect("not below zero")
}

#[cfg(test)]
mod tests {
    use super::{Deployment, Mode};
    use crate::alarms::Alarms;

    #[test]
    fn both_modes_have_alarms_that_refer_to_each_other_well() {
        for mode in [Mode::Queue, Mode::Direct] {
            let deployment = Deployment::new(mode);
            let alarms = Alarms::new(deployment.metric_alarms(), deployment.composite_alarms());
            assert!(alarms.is_ok(), "{alarms:?}");
            assert!(!deployment.filters().is_empty());
            for (alarm, channel) in deployment.telling() {
                assert!(
                    deployment.topics.contains_key(&channel),
                    "{alarm}: {channel}"
                );
            }
        }
    }
}
