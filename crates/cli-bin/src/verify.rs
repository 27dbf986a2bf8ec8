//! `verify`: what is there, held against its manifests, and against what would be made again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use futures_util::{StreamExt, stream};
use pixmill::error::Error;
use pixmill::manifest::{FailureRecord, Manifest};
use pixmill::ports::BlobStore;
use pixmill::process::Processor;
use pixmill::verify::{Changed, Difference, Holdings, Kept, Verified};
use serde_json::{Value, json};

use crate::admission::{Admission, Budget, ON_THEIR_WAY};
use crate::args::{RecipeChoice, Share};
use crate::place::{Buckets, Place, told_of_output};
use crate::progress::Progress;
use crate::run::{Ended, shown};

#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct Verify {
    /// What was written to: a folder, or `s3://bucket/prefix`
    output: PathBuf,
    /// Where the sources lie, folder or `s3://bucket/prefix` (several: the first that has it); without it objects are
    /// only held against their manifests
    #[arg(short, long, value_name = "PLACE")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    choice: RecipeChoice,
    #[command(flatten)]
    share: Share,
    /// Print one JSON object per record and per foreign object, then a summary object
    #[arg(long)]
    json: bool,
    /// Name what is the same too, and codecs that differ without making other bytes
    #[arg(short, long)]
    verbose: bool,
}

const VERIFY_HELP: &str = "\
What a difference is about:
  source     it is gone, has other content, or another focus point
  recipe     it asks for something else (which recipe: --recipe)
  engine     its render revision differs, or its codecs do and make other bytes
  bytes      an object is missing or is not what its manifest says; or what is made now differs
             although source, recipe and engine are the same
  record     the manifest does not vouch for a whole set: a run was cut off, or put something off
  unchecked  it could not be read, or not be made again

Failure records and foreign objects are named and counted; they are no differences. Nothing is written.

Exit codes:
  0    all is as the manifests say and, with --sources, as it would be made now
  1    something differs, or could not be checked
  2    wrong arguments, or nothing to verify

Examples:
  pixmill verify renditions
  pixmill verify renditions --sources photos --recipe recipe.toml
  pixmill verify s3://processed --sources s3://uploads --json";

/// What came of looking at one key that a record could have.
enum Looked {
    /// It has gone meanwhile.
    Gone,
    Manifest(Box<Manifest>, Verified),
    Failure(Box<FailureRecord>),
    Unreadable(Error),
}

/// `pixmill verify`
pub(crate) async fn verify(args: &Verify) -> anyhow::Result<Ended> {
    let recipe = args.choice.load()?;
    let place = |path: &PathBuf| Place::try_from(path.as_path()).map_err(anyhow::Error::msg);
    let output = Place::of_output(&args.output)?;
    let places: Vec<_> = args.sources.iter().map(place).collect::<Result<_, _>>()?;
    let buckets = Buckets::default();
    let store = buckets.output(&output, false).await?;
    let mut sources = Vec::new();
    for place in &places {
        sources.push(buckets.sources(place).await?);
    }
    let mut processor = Processor::new(store.clone(), store, recipe);
    let Holdings { records, others } = told_of_output(processor.holdings().await, &output)?;
    if records.is_empty() {
        bail!(
            "there is no manifest in {output}, so there is nothing to verify; where another recipe or --format made it, name that too"
        );
    }
    let budget = Budget::of(&args.share, records.len());
    processor = budget
        .turns()
        .given_to(processor.with_options(budget.options()));
    let from_afar = [&output].into_iter().chain(&places);
    let from_afar = from_afar.into_iter().any(|p| matches!(p, Place::Bucket(_)));
    let at_once = budget.jobs + if from_afar { ON_THEIR_WAY } else { 0 };

    let mut report = Report::new(args, others, records.len());
    for place in &places {
        report.leave_out_sources(place, &output);
    }
    let admission = Admission::of(budget.memory);
    let looks = stream::iter(records).map(|key| {
        let (processor, sources, admission) = (&processor, &sources, &admission);
        async move {
            let looked = look(processor, sources, admission, &key).await;
            (key, looked)
        }
    });
    // In the order of their keys, whichever ends first.
    let mut looks = std::pin::pin!(looks.buffered(at_once));
    while let Some((key, looked)) = looks.next().await {
        report.take(&key, looked)?;
    }
    report.finish(&processor)
}

async fn look(
    processor: &Processor,
    sources: &[Arc<dyn BlobStore>],
    admission: &Admission,
    key: &str,
) -> Looked {
    let manifest = match processor.kept(key).await {
        Ok(Some(Kept::Manifest(manifest))) => manifest,
        Ok(Some(Kept::Failure(record))) => return Looked::Failure(record),
        Ok(None) => return Looked::Gone,
        Err(error) => return Looked::Unreadable(error),
    };
    let with_source = !sources.is_empty();
    let mut processor = processor.clone();
    for store in sources {
        processor = processor.with_sources(store.clone());
        if sources.len() > 1 && store.head(&manifest.source.key).await.is_ok() {
            break;
        }
    }
    let memory = processor.memory_to_verify(&manifest, with_source).await;
    let _admitted = admission.admit(memory).await;
    match processor.verify(&manifest, with_source).await {
        Ok(verified) => Looked::Manifest(manifest, verified),
        Err(error) => Looked::Unreadable(error),
    }
}

/// Counts and prints what was found, as it comes.
struct Report<'a> {
    args: &'a Verify,
    progress: Progress,
    /// What no manifest has claimed so far.
    unclaimed: BTreeSet<String>,
    manifests: u64,
    same: u64,
    differ: u64,
    unchecked: u64,
    failures: u64,
    unreadable: u64,
    objects: u64,
    made_again: u64,
    /// How many sources differ by what.
    by_what: BTreeMap<Changed, u64>,
    /// Folders of manifests that could not be read: whose their files are isn't known.
    unknown: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(args: &'a Verify, mut others: BTreeSet<String>, records: usize) -> Self {
        // What is kept out of sight there is ours, if not a record.
        others.retain(|key| !key.starts_with(".pixmill/"));
        Self {
            args,
            progress: Progress::new(records, args.json),
            unclaimed: others,
            manifests: 0,
            same: 0,
            differ: 0,
            unchecked: 0,
            failures: 0,
            unreadable: 0,
            objects: 0,
            made_again: 0,
            by_what: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }

    /// Where the sources lie in the output too, they are no strangers there.
    fn leave_out_sources(&mut self, sources: &Place, output: &Place) {
        let inside = match (sources, output) {
            (Place::Folder(sources), Place::Folder(output)) => {
                match (sources.canonicalize(), output.canonicalize()) {
                    (Ok(sources), Ok(output)) => sources
                        .strip_prefix(output)
                        .ok()
                        .and_then(|inside| inside.to_str().map(str::to_owned))
                        .map(|inside| {
                            if inside.is_empty() {
                                inside
                            } else {
                                inside + "/"
                            }
                        }),
                    _ => None,
                }
            }
            (Place::Bucket(sources), Place::Bucket(output)) if sources.bucket == output.bucket => {
                let prefix = sources.prefix();
                prefix.strip_prefix(&output.prefix()).map(str::to_owned)
            }
            _ => None,
        };
        if let Some(inside) = inside {
            self.unclaimed.retain(|key| !key.starts_with(&inside));
        }
    }

    fn take(&mut self, key: &str, looked: Looked) -> io::Result<()> {
        self.progress.step();
        match looked {
            Looked::Gone => Ok(()),
            Looked::Manifest(manifest, verified) => self.take_manifest(key, &manifest, &verified),
            Looked::Failure(record) => {
                self.failures += 1;
                let line = json!({
                    "record": key, "source": record.source, "outcome": "failed", "stage": record.stage.name(),
                    "code": record.code, "message": record.message,
                });
                let words = format!(
                    "{}: {} ({}): {}",
                    shown(&record.source),
                    shown(&record.code),
                    record.stage,
                    shown(&record.message)
                );
                self.print(&line, "failed", &words)
            }
            Looked::Unreadable(error) => {
                self.unreadable += 1;
                if let Some((folder, _)) = key.rsplit_once('/') {
                    self.unknown.push(format!("{folder}/"));
                }
                let message = error.cause().to_string();
                let line = json!({"record": key, "outcome": "unreadable", "message": message});
                let words = format!("{}: {}", shown(key), shown(&message));
                self.print(&line, "unreadable", &words)
            }
        }
    }

    fn take_manifest(
        &mut self,
        key: &str,
        manifest: &Manifest,
        verified: &Verified,
    ) -> io::Result<()> {
        for claimed in manifest.claimed_keys() {
            self.unclaimed.remove(claimed);
        }
        self.manifests += 1;
        self.objects += verified.objects;
        self.made_again += verified.made_again;
        let whats: BTreeSet<_> = verified.differences.iter().map(|d| d.what).collect();
        for what in &whats {
            *self.by_what.entry(*what).or_default() += 1;
        }
        let outcome = if whats.is_empty() {
            self.same += 1;
            "same"
        } else if whats.iter().all(|what| *what == Changed::Unchecked) {
            self.unchecked += 1;
            "unchecked"
        } else {
            self.differ += 1;
            "differs"
        };
        let differences: Vec<Value> = verified
            .differences
            .iter()
            .map(|d| json!({"what": d.what.word(), "variant": d.variant, "detail": d.detail}))
            .collect();
        let line = json!({
            "record": key, "source": manifest.source.key, "outcome": outcome, "differences": differences,
            "codecs": verified.codecs, "objects": verified.objects, "made_again": verified.made_again,
        });
        let source = shown(&manifest.source.key);
        let words: Vec<String> = verified.differences.iter().map(in_words).collect();
        let mut words = words.join("; ");
        if self.args.verbose && !verified.codecs.is_empty() {
            let codecs = format!("other codecs: {}", verified.codecs.join(", "));
            words = [words, codecs].join(if outcome == "same" { "" } else { "; " });
        }
        if self.args.json || self.args.verbose || outcome != "same" {
            let colon = if words.is_empty() { "" } else { ": " };
            self.print(&line, outcome, &format!("{source}{colon}{}", shown(&words)))?;
        }
        Ok(())
    }

    fn print(&self, line: &Value, word: &str, words: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.args.json {
            writeln!(out, "{line}")
        } else {
            self.progress
                .suspended(|| writeln!(out, "{word:<10} {words}"))
        }
    }

    fn finish(mut self, processor: &Processor) -> anyhow::Result<Ended> {
        self.progress.clear();
        if processor.recipe().output.key.lies_under_path() {
            let unknown = std::mem::take(&mut self.unknown);
            let is_unknown = |key: &String| unknown.iter().any(|folder| key.starts_with(folder));
            self.unclaimed.retain(|key| !is_unknown(key));
        }
        for key in &self.unclaimed {
            let line = json!({"key": key, "outcome": "foreign"});
            self.print(&line, "foreign", &shown(key))?;
        }
        let foreign = self.unclaimed.len();
        let by_what = self.by_what.iter();
        let mut out = io::stdout().lock();
        if self.args.json {
            let by_what: BTreeMap<_, _> = by_what.map(|(what, n)| (what.word(), *n)).collect();
            let summary = json!({
                "summary": {
                    "manifests": self.manifests, "same": self.same, "differs": self.differ,
                    "unchecked": self.unchecked, "failed": self.failures,
                    "unreadable": self.unreadable, "foreign": foreign,
                },
                "by_what": by_what,
                "with_sources": !self.args.sources.is_empty(),
                "objects": self.objects,
                "made_again": self.made_again,
            });
            writeln!(out, "{summary}")?;
        } else {
            let by_what: Vec<_> = by_what
                .map(|(what, n)| format!("{n} {}", what.word()))
                .collect();
            let by_what = if by_what.is_empty() {
                String::new()
            } else {
                format!(" ({})", by_what.join(", "))
            };
            writeln!(
                out,
                "{} manifests: {} the same, {} differ, {} unchecked{by_what}; {} unreadable, {} failure records, {foreign} foreign",
                self.manifests,
                self.same,
                self.differ,
                self.unchecked,
                self.unreadable,
                self.failures,
            )?;
            write!(out, "{} objects are as recorded", self.objects)?;
            if self.args.sources.is_empty() {
                writeln!(
                    out,
                    "; source, recipe and engine were not looked at, for want of --sources"
                )?;
            } else {
                writeln!(
                    out,
                    ", {} renditions came out the same again",
                    self.made_again
                )?;
            }
        }
        Ok(if self.differ + self.unchecked + self.unreadable > 0 {
            Ended::WithTrouble
        } else {
            Ended::Well
        })
    }
}

fn in_words(difference: &Difference) -> String {
    let what = difference.what.word();
    match &difference.variant {
        Some(variant) => format!("{what}: {variant}: {}", difference.detail),
        None => format!("{what}: {}", difference.detail),
    }
}
