//! Time, memory, bytes and quality on the same pictures, beside sharp, pyvips and Pillow:
//! `cargo xtask bench` builds this, installs the others and calls it.

mod arguments;
mod cost;
mod figures;
mod job;
mod machine;
mod measure;
mod page;
mod peers;
mod pictures;
mod quality;
mod run;
mod scaling;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == measure::WORD) {
        return measure::one(&words[1..]);
    }
    let text = words.into_iter().map(std::ffi::OsString::into_string);
    let result = match text.collect::<Result<Vec<_>, _>>() {
        Ok(words) => arguments::Arguments::of(&words),
        Err(word) => Err(format!("{} is not Unicode.", word.display())),
    };
    match result {
        Ok(arguments) => match run::all(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => {
                eprintln!("{what}");
                ExitCode::FAILURE
            }
        },
        Err(what) => {
            eprintln!("{what}\n\n{}", arguments::USAGE);
            ExitCode::from(2)
        }
    }
}
