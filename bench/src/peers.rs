//! How each program is called, and what it says of its version.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::figures::Usage;
use crate::job::{Make, Way};
use crate::measure;

/// One way to make one set of renditions.
pub(crate) struct Call {
    program: OsString,
    words: Vec<OsString>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Call {
    pub(crate) fn run(&self, one_core: bool, log: &Path) -> Result<Usage, String> {
        measure::run(&self.program, &self.words, &self.environment, one_core, log)
    }
}

/// Whether `way` can be run here.
pub(crate) fn is_there(arguments: &Arguments, way: Way) -> bool {
    match way {
        Way::Pixmill | Way::PixmillFast => true,
        Way::Sharp | Way::SharpFast => arguments.node.is_some(),
        Way::Pyvips | Way::Pillow => arguments.python.is_some(),
    }
}

/// The call that makes `make` of every picture in `input` below `output`; none where it can't be run.
pub(crate) fn call(
    arguments: &Arguments,
    way: Way,
    make: Make,
    (input, output): (&Path, &Path),
    one_core: bool,
) -> Option<Call> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = if one_core { 1 } else { cores }.to_string();
    let (program, first, effort): (OsString, PathBuf, _) = match way {
        Way::Pixmill | Way::PixmillFast => {
            let recipe = arguments.home.join("recipes").join(make.recipe(way));
            return Some(pixmill(arguments, (input, output), &recipe, &[]));
        }
        Way::Sharp | Way::SharpFast => {
            let script = arguments.node.as_ref()?.join("sharp.mjs");
            (
                "node".into(),
                script,
                if way == Way::Sharp { "4" } else { "2" },
            )
        }
        Way::Pyvips | Way::Pillow => {
            let script = match way {
                Way::Pyvips => "pyvips_job.py",
                _ => "pillow_job.py",
            };
            let python = arguments.python.as_ref()?.join("python");
            (
                python.into(),
                arguments.home.join("peers").join(script),
                "4",
            )
        }
    };
    let mut words: Vec<OsString> = vec![first.into(), make.word().into()];
    words.extend([input.into(), output.into(), effort.into(), at_once.into()]);
    words.push(if one_core { "1" } else { "0" }.into());
    let environment = match (way, one_core) {
        (Way::Sharp | Way::SharpFast, true) => vec![("UV_THREADPOOL_SIZE", "1")],
        (Way::Pyvips, true) => vec![("VIPS_CONCURRENCY", "1")],
        _ => Vec::new(),
    };
    Some(Call {
        program,
        words,
        environment,
    })
}

/// The `pixmill` command over a folder or a file, with `more` options.
pub(crate) fn pixmill(
    arguments: &Arguments,
    (input, output): (&Path, &Path),
    recipe: &Path,
    more: &[&str],
) -> Call {
    let mut words: Vec<OsString> = vec!["convert".into(), input.into()];
    words.extend([
        "--output".into(),
        output.into(),
        "--recipe".into(),
        recipe.into(),
    ]);
    words.push("--quiet".into());
    words.extend(more.iter().map(OsString::from));
    Call {
        program: arguments.pixmill.clone().into(),
        words,
        environment: Vec::new(),
    }
}

/// What each program says of itself and of what it is built from.
pub(crate) fn versions(arguments: &Arguments) -> Value {
    let said = |program: &Path, words: &[OsString]| {
        let output = Command::new(program).args(words).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let parsed = |text: Option<String>| {
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null)
    };
    let script = |file: &str| -> [OsString; 2] {
        [
            arguments.home.join("peers").join(file).into(),
            "versions".into(),
        ]
    };
    let python = |file: &str| {
        let python = arguments.python.as_ref()?.join("python");
        said(&python, &script(file))
    };
    let node = arguments.node.as_ref().and_then(|folder| {
        let script = folder.join("sharp.mjs").into();
        said(Path::new("node"), &[script, "versions".into()])
    });
    let pixmill = said(&arguments.pixmill, &["--version".into()]);
    json!({
        "pixmill": pixmill.map(|text| text.trim().replace("pixmill ", "")),
        "sharp": parsed(node),
        "pyvips": parsed(python("pyvips_job.py")),
        "pillow": parsed(python("pillow_job.py")),
    })
}
