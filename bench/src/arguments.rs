//! What the task was called with, and what `cargo xtask bench` adds to it.

use std::path::PathBuf;

use crate::job::{JOBS, Job};

pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench [JOB...] [--pictures DIR] [--runs N] [--json FILE] [--page] [--skip-quality]";

/// What the task was called with.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) jobs: Vec<&'static Job>,
    pub(crate) pictures: PathBuf,
    pub(crate) runs: usize,
    pub(crate) json: Option<PathBuf>,
    /// Where the page goes, if it is wanted.
    pub(crate) page: Option<PathBuf>,
    pub(crate) quality: bool,
    /// The `pixmill` command.
    pub(crate) pixmill: PathBuf,
    /// For everything that is made on the way.
    pub(crate) scratch: PathBuf,
    /// The folder with sharp and its script; none where it could not be installed.
    pub(crate) node: Option<PathBuf>,
    /// The folder of the virtual environment's programs, and the one of the scripts.
    pub(crate) python: Option<PathBuf>,
    /// The folder of recipes and scripts: `bench`.
    pub(crate) home: PathBuf,
    /// Why peers are missing, in sentences.
    pub(crate) missing: Vec<String>,
}

impl Arguments {
    /// Fails with what is wrong, in words.
    pub(crate) fn of(words: &[String]) -> Result<Self, String> {
        let mut arguments = Self {
            jobs: Vec::new(),
            pictures: PathBuf::from("samples"),
            runs: 5,
            json: None,
            page: None,
            quality: true,
            pixmill: PathBuf::new(),
            scratch: PathBuf::new(),
            node: None,
            python: None,
            home: PathBuf::from("bench"),
            missing: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().cloned();
                value.ok_or_else(|| format!("{word} needs a value."))
            };
            match word.as_str() {
                "--pictures" => arguments.pictures = value()?.into(),
                "--runs" => {
                    let text = value()?;
                    let runs = text.parse().ok().filter(|runs| *runs > 0);
                    arguments.runs =
                        runs.ok_or_else(|| format!("'{text}' is no number of runs."))?;
                }
                "--json" => arguments.json = Some(value()?.into()),
                "--page" => arguments.page = Some("docs/benchmarks.md".into()),
                "--skip-quality" => arguments.quality = false,
                "--with-pixmill" => arguments.pixmill = value()?.into(),
                "--with-scratch" => arguments.scratch = value()?.into(),
                "--with-node" => arguments.node = Some(value()?.into()),
                "--with-python" => arguments.python = Some(value()?.into()),
                "--without" => arguments.missing.push(value()?),
                name => {
                    let job = JOBS.iter().find(|job| job.name == name);
                    arguments.jobs.push(job.ok_or_else(|| {
                        let names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
                        format!("There is no job '{name}'. There are: {}", names.join(", "))
                    })?);
                }
            }
        }
        if arguments.jobs.is_empty() {
            arguments.jobs = JOBS.iter().collect();
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Arguments, String> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::of(&words)
    }

    #[test]
    fn without_names_every_job_runs_and_with_names_these() {
        assert_eq!(of("").unwrap().jobs.len(), JOBS.len());
        let some = of("thumbnails five --runs 3 --page").unwrap();
        let names: Vec<_> = some.jobs.iter().map(|job| job.name).collect();
        assert_eq!((names, some.runs), (vec!["thumbnails", "five"], 3));
        assert!(some.page.is_some() && some.json.is_none());
    }

    #[test]
    fn what_can_not_be_understood_is_said() {
        for (line, part) in [
            ("--runs 0", "'0'"),
            ("--runs", "--runs needs"),
            ("fife", "There is no job 'fife'"),
        ] {
            assert!(of(line).unwrap_err().contains(part), "{line}");
        }
    }
}
