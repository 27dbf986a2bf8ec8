//! A CloudWatch dashboard: its body held against the documented structure, and drawn from metrics as a page.
//!
//! After "Dashboard body structure and syntax" in the Amazon CloudWatch API Reference. What it allows and this project
//! doesn't use is a fault here too, so that nothing is drawn wrongly in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use plotters::prelude::*;
use serde_json::Value;

use crate::alarms::State;
use crate::metric_math::Expression;
use crate::metrics::{Metrics, Series, Statistic, Time};
use crate::simulation::Logged;

/// The documented bounds: widgets in a dashboard, columns of the grid, its rows, alarms in a widget.
const MAX_WIDGETS: usize = 500;
const COLUMNS: u64 = 24;
const MAX_HEIGHT: u64 = 1000;
const MAX_ALARMS: usize = 100;

/// What is not as the documentation has it, each with the widget that it is about.
pub fn faults(body: &Value) -> Vec<String> {
    let Some(widgets) = body["widgets"].as_array() else {
        return vec!["there is no list of widgets".to_owned()];
    };
    let mut faults = Vec::new();
    if widgets.len() > MAX_WIDGETS {
        faults.push(format!("{} widgets, at most {MAX_WIDGETS}", widgets.len()));
    }
    let mut taken = BTreeSet::new();
    for (index, widget) in widgets.iter().enumerate() {
        let title = widget["properties"]["title"].as_str().unwrap_or("untitled");
        let mut fault = |what: String| faults.push(format!("widget {index}, {title}: {what}"));
        let whole = |key: &str| widget[key].as_u64();
        let (Some(x), Some(y), Some(width), Some(height)) =
            (whole("x"), whole("y"), whole("width"), whole("height"))
        else {
            fault("x, y, width and height are whole numbers".to_owned());
            continue;
        };
        if width == 0 || x + width > COLUMNS || height == 0 || height > MAX_HEIGHT {
            fault(format!(
                "{width} x {height} at {x}, {y} is not within the grid"
            ));
        }
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            if !taken.insert(cell) {
                fault(format!("another widget lies at {cell:?}"));
                break;
            }
        }
        let properties = &widget["properties"];
        match widget["type"].as_str() {
            Some("metric") => metric_faults(properties, &mut fault),
            Some("alarm") => {
                let arns = properties["alarms"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice);
                if arns.is_empty() || arns.len() > MAX_ALARMS {
                    fault(format!("{} alarms, 1 to {MAX_ALARMS}", arns.len()));
                }
                let is_arn = |arn: &Value| {
                    let parts: Vec<_> = arn.as_str().unwrap_or_default().split(':').collect();
                    matches!(parts[..], ["arn", _, "cloudwatch", _, _, "alarm", _])
                };
                if !arns.iter().all(is_arn) {
                    fault("an alarm is named by its ARN".to_owned());
                }
            }
            Some("log") => {
                let query = properties["query"].as_str().unwrap_or_default();
                if !query.starts_with("SOURCE '") {
                    fault("a query begins with its SOURCE".to_owned());
                }
                if properties["region"].as_str().is_none() {
                    fault("a log widget has a region".to_owned());
                }
                if properties["view"] != "table" {
                    fault("its view is a table".to_owned());
                }
            }
            other => fault(format!("a widget of type {other:?}")),
        }
    }
    faults
}

fn metric_faults(properties: &Value, fault: &mut impl FnMut(String)) {
    if properties["region"].as_str().is_none() {
        fault("a metric widget has a region".to_owned());
    }
    if properties["view"] != "timeSeries" || !properties["stacked"].is_boolean() {
        fault("its view is timeSeries, stacked or not".to_owned());
    }
    let period = properties["period"].as_u64().unwrap_or_default();
    if period == 0 || !period.is_multiple_of(60) {
        fault("its period is a multiple of a minute".to_owned());
    }
    let lines = properties["metrics"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if lines.is_empty() {
        fault("it has no metrics".to_owned());
    }
    let mut ids = BTreeSet::new();
    let read: Vec<_> = lines.iter().map(Line::read).collect();
    for line in &read {
        match line {
            Ok(line) if !ids.insert(line.id.as_str()) => {
                fault(format!("two lines are {}", line.id));
            }
            Ok(_) => {}
            Err(why) => fault(why.clone()),
        }
    }
    for line in read.iter().flatten() {
        if let Drawn::Expression(expression) = &line.drawn {
            for id in expression.ids() {
                if !ids.contains(id) {
                    fault(format!("{} uses {id}, which isn't there", line.id));
                }
            }
        }
    }
    let marks = properties["annotations"]["horizontal"].as_array();
    for mark in marks.into_iter().flatten() {
        if !mark["value"].is_number() || !mark["label"].is_string() {
            fault(format!("a threshold has a value and a label: {mark}"));
        }
    }
}

/// One entry of a widget's `metrics`.
struct Line {
    id: String,
    label: String,
    is_right: bool,
    drawn: Drawn,
}

enum Drawn {
    Series(Series, Statistic),
    Expression(Expression),
}

impl Line {
    fn read(entry: &Value) -> Result<Self, String> {
        let words = entry.as_array().map_or(&[][..], Vec::as_slice);
        let Some((options, words)) = words.split_last() else {
            return Err(format!("an entry is a list: {entry}"));
        };
        let option = |name: &str| options[name].as_str();
        let Some(id) = option("id") else {
            return Err(format!(
                "an entry ends with its options, an id among them: {entry}"
            ));
        };
        let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !id.chars().all(is_good) {
            return Err(format!("an id begins with a small letter: {id}"));
        }
        let drawn = if let Some(expression) = option("expression") {
            if !words.is_empty() {
                return Err(format!("an expression stands alone: {entry}"));
            }
            let expression = Expression::parse(expression);
            Drawn::Expression(expression.map_err(|error| error.to_string())?)
        } else {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            let words = words.ok_or_else(|| format!("names are text: {entry}"))?;
            let [namespace, metric, dimensions @ ..] = words.as_slice() else {
                return Err(format!("a metric has a namespace and a name: {entry}"));
            };
            let (pairs, rest) = dimensions.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(format!("a dimension has a name and a value: {entry}"));
            }
            let statistic = option("stat").and_then(Statistic::parse);
            let statistic = statistic.ok_or_else(|| format!("no known stat: {entry}"))?;
            let pairs = pairs.iter().map(|[name, value]| (*name, *value));
            Drawn::Series(Series::new(namespace, metric, pairs), statistic)
        };
        Ok(Self {
            id: id.to_owned(),
            label: option("label").unwrap_or(id).to_owned(),
            is_right: match option("yAxis") {
                None | Some("left") => false,
                Some("right") => true,
                Some(other) => return Err(format!("an axis is left or right: {other}")),
            },
            drawn,
        })
    }
}

/// What a dashboard is drawn from.
pub struct Scene<'a> {
    /// What the page is called.
    pub title: &'a str,
    /// A sentence below the title.
    pub about: &'a str,
    /// Every metric.
    pub metrics: &'a Metrics,
    /// The states of all alarms, by name.
    pub states: &'a BTreeMap<String, State>,
    /// The alarms that were on at some time.
    pub were_on: &'a BTreeSet<String>,
    /// Lines of level ERROR and CRITICAL, in order.
    pub errors: &'a [Logged],
    /// The time that is shown: from and until, in seconds since 1970.
    pub range: (Time, Time),
}

/// The dashboard as a page of its own, in one file. Fails with what is wrong with the body.
pub fn draw(body: &Value, scene: &Scene<'_>) -> Result<String, String> {
    let faults = faults(body);
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let mut widgets = String::new();
    for widget in body["widgets"].as_array().into_iter().flatten() {
        let properties = &widget["properties"];
        let inner = match widget["type"].as_str() {
            Some("alarm") => draw_alarms(properties, scene),
            Some("log") => draw_errors(properties, scene),
            _ => draw_chart(properties, scene)?,
        };
        let place = |key: &str| widget[key].as_u64().unwrap_or_default();
        let _ = writeln!(
            widgets,
            "<section style=\"grid-column:{}/span {};grid-row:{}/span {}\"><h2>{}</h2>{inner}</section>",
            place("x") + 1,
            place("width"),
            place("y") + 1,
            place("height"),
            escaped(properties["title"].as_str().unwrap_or_default()),
        );
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style>\n\
         <h1>{0}</h1><p>{1}</p>\n<main>\n{widgets}</main></html>\n",
        escaped(scene.title),
        escaped(scene.about),
    ))
}

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:1rem;background:#f4f5f7;color:#16191f}\
main{display:grid;grid-template-columns:repeat(24,1fr);grid-auto-rows:48px;gap:8px}\
section{background:#fff;border:1px solid #d5dbdb;border-radius:6px;padding:8px;overflow:auto}\
h1{font-size:20px;margin:0}h2{font-size:14px;margin:0 0 4px}svg{width:100%;height:auto}\
.alarms{display:flex;flex-wrap:wrap;gap:4px}.alarms span{padding:3px 8px;border-radius:4px;background:#d9f2e3}\
.alarms .on{background:#d13212;color:#fff}.alarms .was{background:#fbe3c0}.alarms .was::after{content:\" (was on)\"}\
.legend{display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12px}.legend i{display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle}table{border-collapse:collapse;font-size:12px}\
td,th{border-bottom:1px solid #eee;padding:2px 8px;text-align:left;white-space:nowrap}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn draw_alarms(properties: &Value, scene: &Scene<'_>) -> String {
    let arns = properties["alarms"].as_array().into_iter().flatten();
    let spans = arns.filter_map(Value::as_str).map(|arn| {
        let name = arn.rsplit(':').next().unwrap_or(arn);
        let class = match scene.states.get(name) {
            Some(State::Alarm) => " class=\"on\"",
            _ if scene.were_on.contains(name) => " class=\"was\"",
            _ => "",
        };
        format!("<span{class}>{}</span>", escaped(name))
    });
    format!("<div class=\"alarms\">{}</div>", spans.collect::<String>())
}

/// The saved query of recent errors: the fields that it names, the newest line first, as many as it limits itself to.
fn draw_errors(properties: &Value, scene: &Scene<'_>) -> String {
    let query = properties["query"].as_str().unwrap_or_default();
    let parts: Vec<&str> = query.split('|').map(str::trim).collect();
    let after = |word: &str| parts.iter().find_map(|part| part.strip_prefix(word));
    let fields = after("fields ")
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    let fields: Vec<&str> = fields.collect();
    let limit = after("limit ").and_then(|limit| limit.parse().ok());
    let mut rows = String::new();
    for logged in scene.errors.iter().rev().take(limit.unwrap_or(usize::MAX)) {
        let cells = fields.iter().map(|field| {
            let text = match (*field, &logged.line[*field]) {
                ("@timestamp", _) => time_of_day(logged.at),
                (_, Value::String(text)) => text.clone(),
                (_, Value::Null) => String::new(),
                (_, other) => other.to_string(),
            };
            format!("<td>{}</td>", escaped(&text))
        });
        let _ = write!(rows, "<tr>{}</tr>", cells.collect::<String>());
    }
    let heads = fields
        .iter()
        .map(|field| format!("<th>{}</th>", escaped(field)));
    format!(
        "<table><tr>{}</tr>{rows}</table>",
        heads.collect::<String>()
    )
}

fn time_of_day(at: Time) -> String {
    let seconds = at.rem_euclid(86_400);
    format!("{:02}:{:02}", seconds / 3600, seconds % 3600 / 60)
}

/// A line that is drawn: its points, each a time and a value where there is one.
struct Curve {
    label: String,
    color: RGBColor,
    is_right: bool,
    points: Vec<(Time, Option<f64>)>,
}

fn draw_chart(properties: &Value, scene: &Scene<'_>) -> Result<String, String> {
    let lines = properties["metrics"].as_array().into_iter().flatten();
    let lines: Vec<Line> = lines.map(Line::read).collect::<Result<_, _>>()?;
    let period = properties["period"].as_i64().unwrap_or(300);
    let curves = lines.iter().zip(COLORS.into_iter().cycle());
    let curves = curves.map(|(line, color)| Curve {
        label: line.label.clone(),
        color,
        is_right: line.is_right,
        points: points(line, &lines, scene, period),
    });
    let curves: Vec<Curve> = curves.collect();
    let marks = properties["annotations"]["horizontal"].as_array();
    let marks = marks.into_iter().flatten().map(|mark| {
        let label = mark["label"].as_str().unwrap_or_default().to_owned();
        (label, mark["value"].as_f64().unwrap_or_default())
    });
    let marks: Vec<(String, f64)> = marks.collect();
    let mut svg = String::new();
    chart(&mut svg, &curves, &marks, scene.range).map_err(|error| error.to_string())?;
    let _ = write!(svg, "<div class=\"legend\">");
    for curve in &curves {
        let RGBColor(red, green, blue) = curve.color;
        let side = if curve.is_right { " (right)" } else { "" };
        let _ = write!(
            svg,
            "<span><i style=\"background:rgb({red},{green},{blue})\"></i>{}{side}</span>",
            escaped(&curve.label)
        );
    }
    for (label, value) in &marks {
        let label = escaped(label);
        let _ = write!(
            svg,
            "<span><i style=\"background:red\"></i>{label} {}</span>",
            number(*value)
        );
    }
    svg.push_str("</div>");
    Ok(svg)
}

fn points(line: &Line, all: &[Line], scene: &Scene<'_>, period: Time) -> Vec<(Time, Option<f64>)> {
    let (from, until) = scene.range;
    let at = |line: &Line, range| match &line.drawn {
        Drawn::Series(series, statistic) => {
            scene
                .metrics
                .statistic(series, *statistic, range, Time::MAX)
        }
        Drawn::Expression(_) => None,
    };
    let point = |nth: Time| {
        let range = (from + nth * period, from + (nth + 1) * period);
        let value = match &line.drawn {
            Drawn::Series(..) => at(line, range),
            Drawn::Expression(expression) => {
                let points = all.iter().map(|line| (line.id.as_str(), at(line, range)));
                expression.evaluate(&points.collect())
            }
        };
        (range.0, value)
    };
    (0..(until - from) / period).map(point).collect()
}

const COLORS: [RGBColor; 7] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(23, 190, 207),
    RGBColor(227, 119, 194),
];

type Failed<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn chart<'a>(
    svg: &'a mut String,
    curves: &[Curve],
    marks: &[(String, f64)],
    (from, until): (Time, Time),
) -> Result<(), Failed<'a>> {
    let highest = |is_right: bool| {
        let curves = curves
            .iter()
            .filter(move |curve| curve.is_right == is_right);
        let values = curves.flat_map(|curve| curve.points.iter().filter_map(|(_, value)| *value));
        let marks = marks.iter().filter(|_| !is_right).map(|(_, value)| *value);
        values.chain(marks).fold(1.0, f64::max) * 1.08
    };
    let area = SVGBackend::with_string(svg, (720, 230)).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .x_label_area_size(22)
        .y_label_area_size(50)
        .right_y_label_area_size(50)
        .build_cartesian_2d(from..until, 0.0..highest(false))?
        .set_secondary_coord(from..until, 0.0..highest(true));
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(230, 230, 230))
        .x_labels(8)
        .x_label_formatter(&|at| time_of_day(*at))
        .y_labels(5)
        .y_label_formatter(&|value| number(*value))
        .label_style(("sans-serif", 12))
        .draw()?;
    if curves.iter().any(|curve| curve.is_right) {
        chart
            .configure_secondary_axes()
            .y_labels(5)
            .y_label_formatter(&|value| number(*value))
            .label_style(("sans-serif", 12))
            .draw()?;
    }
    for curve in curves {
        // A gap is a gap: each run of values is a line of its own.
        let runs = curve.points.split(|(_, value)| value.is_none());
        for run in runs.filter(|run| !run.is_empty()) {
            let run = run.iter().filter_map(|(at, value)| Some((*at, (*value)?)));
            let line = LineSeries::new(run, curve.color.stroke_width(2)).point_size(2);
            if curve.is_right {
                chart.draw_secondary_series(line)?;
            } else {
                chart.draw_series(line)?;
            }
        }
    }
    for (_, value) in marks {
        let ends = [(from, *value), (until, *value)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, RED.stroke_width(1)))?;
    }
    area.present()
}

fn number(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.1}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{:.0}k", value / 1e3)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::faults;
    use crate::deployment::{Deployment, Mode};

    #[test]
    fn the_dashboards_of_both_modes_are_as_documented() {
        for mode in [Mode::Queue, Mode::Direct] {
            let body = Deployment::new(mode).dashboard();
            assert_eq!(faults(&body), [""; 0], "{mode:?}");
        }
    }

    #[test]
    fn a_body_that_is_not_as_documented_is_told_apart() {
        let good = Deployment::new(Mode::Queue).dashboard();
        let changed = |pointer: &str, value: serde_json::Value| {
            let mut body = good.clone();
            *body
                .pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{pointer}")) = value;
            faults(&body).join("; ")
        };
        for (pointer, value, words) in [
            ("/widgets", json!({}), "no list of widgets"),
            ("/widgets/1/x", json!(20), "not within the grid"),
            ("/widgets/1/x", json!("0"), "whole numbers"),
            ("/widgets/1/x", json!(0), "another widget lies"),
            ("/widgets/1/type", json!("chart"), "of type"),
            ("/widgets/0/properties/alarms", json!([]), "0 alarms"),
            ("/widgets/0/properties/alarms/0", json!("name"), "ARN"),
            ("/widgets/1/properties/region", json!(null), "region"),
            (
                "/widgets/1/properties/period",
                json!(45),
                "multiple of a minute",
            ),
            ("/widgets/1/properties/metrics", json!([]), "no metrics"),
            (
                "/widgets/1/properties/metrics/0",
                json!(["AWS/Lambda", {"id": "a", "stat": "Sum"}]),
                "a name",
            ),
            (
                "/widgets/1/properties/metrics/0/4/stat",
                json!("Median"),
                "no known stat",
            ),
            (
                "/widgets/1/properties/metrics/0/4/id",
                json!("errors"),
                "two lines are errors",
            ),
            (
                "/widgets/1/properties/metrics/0/4/id",
                json!("Errors"),
                "small letter",
            ),
            (
                "/widgets/7/properties/metrics/0/4/id",
                json!("other"),
                "which isn't there",
            ),
            (
                "/widgets/1/properties/annotations/horizontal/0/value",
                json!("3"),
                "a value and a label",
            ),
        ] {
            let faults = changed(pointer, value);
            assert!(faults.contains(words), "{pointer}: {words}: {faults}");
        }
    }
}
