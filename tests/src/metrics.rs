//! CloudWatch's metrics: values under a namespace, a name and dimensions, and the statistics of a period.
//!
//! After the Amazon CloudWatch User Guide, "Metrics concepts": a metric is identified by namespace, name and all of its
//! dimensions together; values are kept by the minute. A percentile is taken by nearest rank over the values of
//! the period; CloudWatch doesn't say how it interpolates, so no test should rest on a percentile of few values.

use std::collections::BTreeMap;

/// Seconds since 1970, on whatever clock the caller keeps.
pub type Time = i64;

/// The seconds between two evaluations of an alarm, and what values are kept by.
pub const MINUTE: Time = 60;

/// What identifies a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// `AWS/Lambda`, or our own.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Every dimension, by name. A metric with another set of them is another metric.
    pub dimensions: BTreeMap<String, String>,
}

impl Series {
    /// A metric with these dimensions (name, value).
    pub fn new<'a>(
        namespace: &str,
        metric: &str,
        dimensions: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let dimensions = dimensions.into_iter();
        Self {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            dimensions: dimensions
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// What is made of the values of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The sum.
    Sum,
    /// The mean.
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// How many there are.
    SampleCount,
    /// The value that this share, in percent, of the values doesn't exceed.
    Percentile(f64),
}

impl Statistic {
    /// Reads a statistic as CloudWatch writes it: `Sum`, `p99`, `p99.9`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "SampleCount" => Self::SampleCount,
            _ => {
                let percent: f64 = word.strip_prefix('p')?.parse().ok()?;
                (0.0..=100.0)
                    .contains(&percent)
                    .then_some(Self::Percentile(percent))?
            }
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer values than 2^53")]
    fn of(self, mut values: Vec<f64>) -> Option<f64> {
        let count = values.len() as f64;
        let sum = || values.iter().sum::<f64>();
        match self {
            Self::SampleCount if !values.is_empty() => Some(count),
            Self::Sum if !values.is_empty() => Some(sum()),
            Self::Average if !values.is_empty() => Some(sum() / count),
            Self::Minimum => values.into_iter().min_by(f64::total_cmp),
            Self::Maximum => values.into_iter().max_by(f64::total_cmp),
            Self::Percentile(percent) => {
                values.sort_by(f64::total_cmp);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a share of the count"
                )]
                let rank = (percent / 100.0 * count).ceil() as usize;
                values.get(rank.max(1) - 1).copied()
            }
            _ => None,
        }
    }
}

/// A value, and when CloudWatch has it.
#[derive(Clone, Copy, Debug)]
struct Value {
    value: f64,
    arrives: Time,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By the minute that the values are of.
    recorded: BTreeMap<Series, BTreeMap<Time, Vec<Value>>>,
}

impl Metrics {
    /// A value of the time `at`, that nobody can see before `arrives`.
    pub fn record(&mut self, series: &Series, at: Time, arrives: Time, value: f64) {
        if !self.recorded.contains_key(series) {
            self.recorded.insert(series.clone(), BTreeMap::new());
        }
        let minutes = self.recorded.get_mut(series);
        let minutes = minutes.expect("it was put there if it wasn't there");
        let minute = at.div_euclid(MINUTE) * MINUTE;
        let value = Value { value, arrives };
        minutes.entry(minute).or_default().push(value);
    }

    /// The statistic over the values from `from` until before `until`, as it can be seen `now`; none without values.
    pub fn statistic(
        &self,
        series: &Series,
        statistic: Statistic,
        (from, until): (Time, Time),
        now: Time,
    ) -> Option<f64> {
        let minutes = self.recorded.get(series)?;
        let values = minutes.range(from..until).flat_map(|(_, values)| values);
        let seen = values.filter(|value| value.arrives <= now);
        statistic.of(seen.map(|value| value.value).collect())
    }

    /// Every series that has a value.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.recorded.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, Series, Statistic};

    fn statistic(word: &str, values: &[f64]) -> Option<f64> {
        let series = Series::new("N", "m", []);
        let mut metrics = Metrics::default();
        for value in values {
            metrics.record(&series, 30, 30, *value);
        }
        let statistic = Statistic::parse(word).expect("a statistic");
        metrics.statistic(&series, statistic, (0, 60), 60)
    }

    #[test]
    fn statistics_are_what_they_are_called() {
        let values = [3.0, 1.0, 2.0, 10.0];
        for (word, expected) in [
            ("Sum", 16.0),
            ("Average", 4.0),
            ("Minimum", 1.0),
            ("Maximum", 10.0),
            ("SampleCount", 4.0),
            ("p50", 2.0),
            ("p75", 3.0),
            ("p99", 10.0),
            ("p0", 1.0),
        ] {
            assert_eq!(statistic(word, &values), Some(expected), "{word}");
            assert_eq!(statistic(word, &[]), None, "{word} of nothing");
        }
        assert_eq!(Statistic::parse("p101"), None);
        assert_eq!(Statistic::parse("Median"), None);
    }

    #[test]
    fn a_value_counts_in_its_minute_once_it_has_arrived_under_all_its_dimensions() {
        let series = Series::new("N", "m", [("FunctionName", "a")]);
        let mut metrics = Metrics::default();
        metrics.record(&series, 119, 180, 5.0);
        let sum =
            |series: &Series, range, now| metrics.statistic(series, Statistic::Sum, range, now);
        assert_eq!(sum(&series, (60, 120), 179), None);
        assert_eq!(sum(&series, (60, 120), 180), Some(5.0));
        assert_eq!(sum(&series, (120, 180), 300), None);
        for other in [
            Series::new("N", "m", []),
            Series::new("N", "m", [("FunctionName", "b")]),
            Series::new("M", "m", [("FunctionName", "a")]),
        ] {
            assert_eq!(sum(&other, (60, 120), 300), None);
        }
    }
}
