//! CloudWatch's embedded-metric format: values that a log line says are metrics.
//!
//! After "Specification: Embedded metric format" in the Amazon CloudWatch User Guide.

use serde_json::Value;

use crate::metrics::Series;

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The metric.
    pub series: Series,
    /// The value.
    pub value: f64,
    /// Its unit, in CloudWatch's words.
    pub unit: String,
}

/// What a line holds; nothing where it is not of that format.
pub fn embedded(line: &str) -> Vec<Point> {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let mut points = Vec::new();
    for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
        let namespace = directive["Namespace"].as_str().unwrap_or_default();
        for set in list(&directive["Dimensions"]) {
            let names = list(set).iter().filter_map(Value::as_str);
            let dimensions: Vec<_> = names
                .map(|name| (name, line[name].as_str().unwrap_or_default()))
                .collect();
            for metric in list(&directive["Metrics"]) {
                let name = metric["Name"].as_str().unwrap_or_default();
                let values = match &line[name] {
                    Value::Array(values) => values.clone(),
                    value => vec![value.clone()],
                };
                points.extend(values.iter().filter_map(Value::as_f64).map(|value| Point {
                    series: Series::new(namespace, name, dimensions.iter().copied()),
                    value,
                    unit: metric["Unit"].as_str().unwrap_or("None").to_owned(),
                }));
            }
        }
    }
    points
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::embedded;
    use crate::metrics::Series;

    #[test]
    fn every_value_counts_under_every_set_of_dimensions() {
        let line = r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["A"],["A","B"]],
            "Metrics":[{"Name":"m","Unit":"Count"}]}]},"A":"a","B":"b","m":[1,2]}"#;
        let points = embedded(line);
        let found: Vec<_> = points.iter().map(|p| (&p.series, p.value)).collect();
        let one = Series::new("N", "m", [("A", "a")]);
        let two = Series::new("N", "m", [("A", "a"), ("B", "b")]);
        assert_eq!(found, [(&one, 1.0), (&one, 2.0), (&two, 1.0), (&two, 2.0)]);
        assert!(embedded("{}").is_empty());
        assert!(embedded("no JSON").is_empty());
    }
}
