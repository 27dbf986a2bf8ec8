//! The fates of all files as a page of text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use bytesize::ByteSize;

use crate::{Ending, Fate};

/// How many of the slowest and of the largest are named.
const NAMED: usize = 10;

pub(crate) fn of(fates: &[Fate], folder: &Path) -> String {
    let mut text = String::new();
    let name = |fate: &Fate| {
        let path = fate.path.strip_prefix(folder).unwrap_or(&fate.path);
        path.display().to_string()
    };
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "{} files\n\noutcome                       files",
        fates.len()
    );
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for fate in fates {
        *outcomes.entry(label(&fate.ending)).or_default() += 1;
    }
    for (outcome, files) in &outcomes {
        let _ = writeln!(text, "{outcome:<28}{files:>7}");
    }

    let _ = writeln!(text, "\nending       files   accepted");
    for (ending, (all, accepted)) in by_ending(fates) {
        #[expect(clippy::cast_precision_loss, reason = "counts of files")]
        let share = 100.0 * accepted as f64 / all as f64;
        let _ = writeln!(text, "{ending:<11}{all:>7}{accepted:>11} {share:>6.1} %");
    }

    let mut slowest: Vec<_> = fates.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let _ = writeln!(text, "\nslowest");
    for fate in slowest.iter().take(NAMED) {
        let _ = writeln!(text, "{:>9.3} s   {}", fate.seconds, name(fate));
    }
    let mut largest: Vec<_> = fates.iter().collect();
    largest.sort_by_key(|fate| std::cmp::Reverse(fate.peak));
    let _ = writeln!(text, "\nmost memory");
    for fate in largest.iter().take(NAMED) {
        let _ = writeln!(
            text,
            "{:>11}   {}",
            ByteSize(fate.peak).to_string(),
            name(fate)
        );
    }

    let faults: Vec<_> = fates
        .iter()
        .filter_map(|fate| Some((fate.ending.fault()?, name(fate))))
        .collect();
    let _ = writeln!(text, "\nfaults: {}", faults.len());
    for (fault, name) in faults {
        let _ = writeln!(text, "  {name}: {fault}");
    }
    text
}

fn label(ending: &Ending) -> String {
    match ending {
        Ending::Told {
            outcome,
            code: Some(code),
            ..
        } => format!("{outcome} ({code})"),
        Ending::Told { outcome, .. } => outcome.clone(),
        Ending::Aborted(_) => "ABORTED".to_owned(),
        Ending::Hung => "HUNG".to_owned(),
    }
}

/// Files by the ending of their names: all, and those that were done.
fn by_ending(fates: &[Fate]) -> BTreeMap<String, (usize, usize)> {
    let mut endings: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for fate in fates {
        let ending = fate.path.extension().map_or_else(
            || "(none)".to_owned(),
            |ending| ending.to_string_lossy().to_lowercase(),
        );
        // Names of fuzzers' seeds have no endings that mean anything.
        let ending = if ending.len() > 9 {
            "(other)".to_owned()
        } else {
            ending
        };
        let (all, accepted) = endings.entry(ending).or_default();
        *all += 1;
        let is_done = matches!(&fate.ending, Ending::Told { outcome, .. } if outcome == "done");
        *accepted += usize::from(is_done);
    }
    endings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_counted_once_and_faults_are_named() {
        let fate = |path: &str, ending, seconds, peak| Fate {
            path: path.into(),
            ending,
            seconds,
            peak,
        };
        let done = Ending::Told {
            outcome: "done".to_owned(),
            code: None,
            error: None,
        };
        let fates = [
            fate("a/1.PNG", done.clone(), 0.5, 10 << 20),
            fate("a/2.png", Ending::Hung, 30.0, 20 << 20),
            fate(
                "a/b/3",
                Ending::Aborted("signal: 6".to_owned()),
                0.1,
                1 << 20,
            ),
        ];
        let text = of(&fates, Path::new("a"));
        for line in [
            "3 files",
            "done                              1",
            "HUNG                              1",
            "ABORTED                           1",
            "png              2          1   50.0 %",
            "   30.000 s   2.png",
            "   20.0 MiB   2.png",
            "faults: 2",
            "  b/3: signal: 6",
        ] {
            assert!(
                text.lines().any(|known| known == line),
                "{line:?} in\n{text}"
            );
        }
    }
}
