//! How far a run is: a bar on a terminal, lines elsewhere, both on standard error.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The progress of one run. Clones share the bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A run over `inputs` inputs. Nothing is drawn when quiet, or off a terminal.
    pub(crate) fn new(inputs: usize, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
            };
        }
        let style = ProgressStyle::with_template(
            "{bar:30.cyan/blue} {pos}/{len}  {rate}/s  {eta} left  {wide_msg:.dim}",
        );
        let bar = ProgressBar::new(inputs as u64);
        let style = style.expect("the template is written above");
        // Four decimals would flicker and say nothing.
        let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{:.1}", state.per_sec());
        });
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Whether there is a bar.
    pub(crate) fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// A line for the person, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Does `print` while the bar is out of the way.
    pub(crate) fn suspended<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Names the picture at work.
    pub(crate) fn working_on(&self, name: &str) {
        if self.is_drawn() {
            let plain: String = name.chars().filter(|c| !c.is_control()).collect();
            self.bar.set_message(plain);
        }
    }

    /// One more input has ended.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
