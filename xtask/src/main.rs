//! `cargo xtask`: the menu of tasks. A person and the build machine call the same ones.

mod bench;
mod checks;
mod cloud;
mod conformance;
mod deploy;
mod fuzz;
mod infra;
mod machine;
mod package;
mod python;
mod rehearse;
mod run;
mod smoke;
mod supply_chain;
mod sweep;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

/// One entry of the menu.
struct Task {
    name: &'static str,
    /// One line, for the menu.
    about: &'static str,
    /// What follows the name on the command line.
    usage: &'static str,
    /// The rest of what `--help` says.
    details: &'static str,
    start: fn(Vec<OsString>) -> Result<ExitCode, Failure>,
}

/// In the order in which a newcomer meets them.
const TASKS: &[Task] = &[
    run::TASK,
    checks::TEST,
    checks::LINT,
    infra::TASK,
    conformance::TASK,
    rehearse::TASK,
    cloud::TASK,
    sweep::TASK,
    fuzz::TASK,
    bench::TASK,
    supply_chain::TASK,
    package::TASK,
    deploy::DEPLOY,
    smoke::TASK,
    deploy::DESTROY,
];

/// Why a task ended early.
enum Failure {
    /// The task was called wrongly.
    Usage(String),
    /// It was called well and something went wrong; the text says what, and what to do.
    Task(String),
}

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(first) = words.next() else {
        print!("{}", menu());
        return ExitCode::SUCCESS;
    };
    let rest: Vec<OsString> = words.collect();

    if is_help(&first) {
        print!("{}", menu());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| first == task.name) else {
        eprintln!("There is no task '{}'.\n", first.to_string_lossy());
        eprint!("{}", menu());
        return ExitCode::from(2);
    };
    if rest.first().is_some_and(is_help) {
        print!("{}", manual(task));
        return ExitCode::SUCCESS;
    }
    match (task.start)(rest) {
        Ok(code) => code,
        Err(Failure::Usage(what)) => {
            eprintln!("{what}\n");
            eprint!("{}", manual(task));
            ExitCode::from(2)
        }
        Err(Failure::Task(what)) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn is_help(word: &OsString) -> bool {
    word == "--help" || word == "-h" || word == "help"
}

fn menu() -> String {
    let lines: Vec<String> = TASKS
        .iter()
        .map(|task| format!("  {:<11}  {}", task.name, task.about))
        .collect();
    format!(
        "Usage: cargo xtask TASK\n\nTasks:\n{}\n\n`cargo xtask TASK --help` says more about one.\n",
        lines.join("\n")
    )
}

fn manual(task: &Task) -> String {
    format!(
        "{}\n\nUsage: cargo xtask {}{}\n\n{}\n",
        task.about, task.name, task.usage, task.details
    )
}

/// For tasks that take nothing more than their name.
fn refuse_arguments(words: &[OsString]) -> Result<(), Failure> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(Failure::Usage(format!(
            "'{}' is not something that this task takes.",
            word.to_string_lossy()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{TASKS, menu};

    #[test]
    fn the_menu_gives_every_task_one_line_that_fits_a_terminal() {
        for task in TASKS {
            let menu = menu();
            let line = menu
                .lines()
                .find(|line| line.trim_start().starts_with(task.name));
            assert!(line.is_some_and(|line| line.contains(task.about) && line.len() <= 100));
        }
    }
}
