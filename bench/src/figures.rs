//! The arithmetic: medians of what was measured, and of ratios within each round.

/// What one run of a program took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of processor time, user and system, all threads and child processes.
    pub(crate) processor: f64,
    /// Seconds by the clock.
    pub(crate) wall: f64,
    /// The most bytes resident at one time.
    pub(crate) peak: f64,
}

/// Processor time, wall time and peak memory, in this order everywhere.
pub(crate) type Three = [f64; 3];

impl Usage {
    pub(crate) fn three(self) -> Three {
        [self.processor, self.wall, self.peak]
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, half) if count % 2 == 1 => values[half],
        (_, half) => f64::midpoint(values[half - 1], values[half]),
    }
}

/// The median of each figure over all runs.
pub(crate) fn medians(runs: &[Usage]) -> Three {
    [0, 1, 2].map(|figure| median(runs.iter().map(|run| run.three()[figure])))
}

/// The median of each figure's ratio within a round: what slows a round down slows both sides, and so
/// falls out. Rounds that only one side has don't count.
pub(crate) fn paired(ours: &[Usage], theirs: &[Usage]) -> Three {
    [0, 1, 2].map(|figure| {
        let pairs = ours.iter().zip(theirs);
        median(pairs.map(|(a, b)| a.three()[figure] / b.three()[figure]))
    })
}

/// How far `value` is from a bar that it may reach, as a share of the bar: negative is under it.
pub(crate) fn over(value: f64, bar: f64) -> f64 {
    value / bar - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(processor: f64) -> Usage {
        Usage {
            processor,
            wall: processor / 2.0,
            peak: 1.0,
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_median_is_the_middle_one_or_lies_between_two() {
        assert!(close(median([3.0, 1.0, 2.0]), 2.0));
        assert!(close(median([4.0, 1.0, 2.0, 3.0]), 2.5));
        assert!(close(median([]), 0.0));
    }

    #[test]
    fn a_slow_round_slows_both_sides_and_falls_out_of_the_ratio() {
        let ours = [1.0, 5.0, 1.1].map(usage);
        let theirs = [2.0, 10.0, 2.2].map(usage);
        let [processor, wall, peak] = paired(&ours, &theirs);
        assert!(close(processor, 0.5) && close(wall, 0.5) && close(peak, 1.0));
        // The ratio of medians would be the same here; with rounds that differ it is not.
        let uneven = [4.0, 10.0, 2.2].map(usage);
        assert!(close(paired(&ours, &uneven)[0], 0.5));
        assert!(close(medians(&ours)[0] / medians(&uneven)[0], 1.1 / 4.0));
    }

    #[test]
    fn a_bar_is_met_from_below() {
        assert!(close(over(0.5, 0.5), 0.0));
        assert!(over(0.4, 0.5) < 0.0 && close(over(0.75, 0.5), 0.5));
    }
}
