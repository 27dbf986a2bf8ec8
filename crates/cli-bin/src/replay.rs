//! `replay`: one failure, tried again in memory, with what has changed since.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use pixmill::Recipe;
use pixmill::error::{Cause, Error, ImageError};
use pixmill::key::{KeyTemplate, Names};
use pixmill::manifest::{FAILURE_VERSION, FailureRecord};
use pixmill::memory::MemoryStore;
use pixmill::ports::{Blob, BlobStore, Condition, Head};
use pixmill::process::{MAX_RECORD_BYTES, Processor};
use pixmill::render::engine;
use pixmill::verify::other_engine;
use pixmill_local::replace_file;
use serde_json::{Value, json};

use crate::admission::Budget;
use crate::args::{RecipeChoice, Share};
use crate::place::{Buckets, Place, told_of_input};
use crate::run::{Ended, shown, shown_warning};

#[derive(Debug, Args)]
#[command(after_help = REPLAY_HELP)]
pub(crate) struct Replay {
    /// The failure record: a file, or `s3://bucket/failed/KEY.json`
    record: PathBuf,
    /// Where the sources lie: a folder, or `s3://bucket/prefix`
    #[arg(short, long, value_name = "PLACE")]
    sources: PathBuf,
    #[command(flatten)]
    choice: RecipeChoice,
    /// Keep the source in DIR, for a report of the fault
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const REPLAY_HELP: &str = "\
Nothing is written but what --save asks for. Where the source has been replaced since, and the record names a \
version that the bucket still keeps, that version is tried.

Exit codes:
  0    it works now
  1    it fails again, in the same way or in another, or it could not be tried
  2    wrong arguments, or no failure record

Examples:
  pixmill replay renditions/failed/cat.jpg.json --sources photos
  pixmill replay renditions/failed/cat.jpg.json --sources photos --save report
  pixmill replay s3://processed/failed/cat.jpg.json --sources s3://uploads --recipe recipe.toml";

/// What is known of the source that is tried, against the one that failed.
enum Since {
    /// The store says that it is the same.
    Same,
    /// Another has taken its place, but the store has kept it.
    Kept { version: String },
    /// Another has taken its place.
    Another(String),
    /// The record is from another store, whose etags mean nothing here.
    Unknown(String),
}

/// How the try ended.
enum Now {
    Works {
        renditions: usize,
        warnings: Vec<String>,
    },
    Fails(Error),
    /// What stood in the way says nothing about the picture.
    NotTried(String),
}

/// `pixmill replay`
pub(crate) async fn replay(args: &Replay) -> anyhow::Result<Ended> {
    let recipe = args.choice.load()?;
    let buckets = Buckets::default();
    let record = read_record(&args.record, &buckets).await?;
    let place = Place::try_from(args.sources.as_path()).map_err(anyhow::Error::msg)?;
    let sources = buckets.sources(&place).await?;
    let (since, tried) = find_source(&record, &place, sources, &buckets).await;
    let budget = Budget::of(&Share::default(), 1);
    // The output is never touched by an attempt.
    let processor = Processor::new(tried, Arc::new(MemoryStore::new()), recipe.clone())
        .with_options(budget.options());
    let processor = budget.turns().given_to(processor);
    let mut saved = None;
    let now = match processor.attempt(&record.source).await {
        Ok(attempt) => {
            if let Some(folder) = &args.save {
                saved = Some(save(folder, &record.source, &attempt.bytes)?);
            }
            match attempt.renditions {
                Ok(made) => Now::Works {
                    renditions: made.renditions.len(),
                    warnings: made.warnings.iter().map(shown_warning).collect(),
                },
                Err(error) if error.is_transient() => Now::NotTried(error.to_string()),
                Err(error) => Now::Fails(error),
            }
        }
        Err(error) if is_of_picture(&error) => Now::Fails(error),
        Err(error) => Now::NotTried(error.to_string()),
    };
    let told = Told {
        record: &record,
        recipe: &recipe,
        since,
        now,
        saved,
    };
    if args.json {
        writeln!(io::stdout().lock(), "{}", told.as_json())?;
    } else {
        told.print()?;
    }
    Ok(match told.now {
        Now::Works { .. } => Ended::Well,
        _ => Ended::WithTrouble,
    })
}

/// Too many bytes to be read at all.
fn is_of_picture(error: &Error) -> bool {
    matches!(error.cause(), Cause::Image(ImageError::TooLarge { .. }))
}

async fn read_record(path: &Path, buckets: &Buckets) -> anyhow::Result<FailureRecord> {
    let place = Place::try_from(path).map_err(anyhow::Error::msg)?;
    let bytes = match &place {
        Place::Folder(path) => {
            let mut bytes = Vec::new();
            std::fs::File::open(path)
                .and_then(|file| file.take(MAX_RECORD_BYTES).read_to_end(&mut bytes))
                .with_context(|| format!("the failure record {place} can't be read"))?;
            bytes
        }
        Place::Bucket(address) => {
            buckets.check().await?;
            let store = buckets.open_at(&address.bucket, "").await;
            let fetched = store.get(&address.key, MAX_RECORD_BYTES, None).await;
            let fetched = fetched.map_err(|error| {
                let error = told_of_input(&error, &place.to_string());
                anyhow::anyhow!("the failure record can't be read: {error}")
            })?;
            fetched.bytes.to_vec()
        }
    };
    let record = FailureRecord::from_json(&place.to_string(), &bytes);
    let record = record.map_err(|error| {
        anyhow::anyhow!("{}", shown(&error.cause().to_string())).context(format!(
            "{place} is no failure record (those lie below failed/ in the output, as a rule)"
        ))
    })?;
    if record.failure_version > FAILURE_VERSION {
        bail!("{place} was written by a newer engine; update this one");
    }
    Ok(record)
}

/// The store to try the source from, and how that source stands to the one that failed.
async fn find_source(
    record: &FailureRecord,
    place: &Place,
    sources: Arc<dyn BlobStore>,
    buckets: &Buckets,
) -> (Since, Arc<dyn BlobStore>) {
    let Ok(head) = sources.head(&record.source).await else {
        // The attempt meets the same error and tells it.
        let since = kept_version(record, place, buckets).await;
        return match since {
            Some((version, store)) => (Since::Kept { version }, store),
            None => (Since::Unknown("it can't be looked at".to_owned()), sources),
        };
    };
    match stands(record, &head) {
        Since::Another(words) => match kept_version(record, place, buckets).await {
            Some((version, store)) => (Since::Kept { version }, store),
            None => (Since::Another(words), sources),
        },
        since => (since, sources),
    }
}

/// How a source with this head stands to the one that failed.
fn stands(record: &FailureRecord, head: &Head) -> Since {
    let other_size = record.bytes.filter(|bytes| *bytes != head.size);
    if let Some(bytes) = other_size {
        return Since::Another(format!("it had {bytes} bytes and has {}", head.size));
    }
    match &record.store {
        Some(object) if object.etag == head.etag => Since::Same,
        Some(object) if object.etag.is_weak() == head.etag.is_weak() => {
            Since::Another(format!("its etag was {} and is {}", object.etag, head.etag))
        }
        _ => Since::Unknown("perhaps the one that failed: the record is from another store, and the size is the same".to_owned()),
    }
}

/// The very version that failed, where the bucket still has it.
async fn kept_version(
    record: &FailureRecord,
    place: &Place,
    buckets: &Buckets,
) -> Option<(String, Arc<dyn BlobStore>)> {
    let Place::Bucket(address) = place else {
        return None;
    };
    let version = record.store.as_ref()?.version.clone()?;
    let bucket = buckets.open(address).await;
    let most = record.bytes.unwrap_or(u64::MAX);
    let fetched = bucket.get_version(&record.source, &version, most).await;
    let fetched = fetched.ok()?;
    let store = MemoryStore::new();
    let blob = Blob {
        bytes: fetched.bytes,
        metadata: fetched.head.metadata,
        ..Blob::default()
    };
    let put = store.put(&record.source, blob, Condition::Always).await;
    put.ok()?;
    Some((version, Arc::new(store)))
}

/// Keeps the source under the last part of its key. Another file of that name is never replaced.
fn save(folder: &Path, source: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let name = source.rsplit('/').find(|part| !part.is_empty());
    let template: KeyTemplate = "{path}".parse().expect("a good template");
    let file = folder.join(template.expand(name.unwrap_or("source"), &Names::default()));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    if let Ok(there) = std::fs::read(&file) {
        if there == bytes {
            return Ok(file);
        }
        bail!(
            "{} is there already and is another file; choose another folder for --save",
            file.display()
        );
    }
    replace_file(&file, bytes)
        .with_context(|| format!("the source can't be kept as {}", file.display()))?;
    Ok(file)
}

/// Everything that is told.
struct Told<'a> {
    record: &'a FailureRecord,
    recipe: &'a Recipe,
    since: Since,
    now: Now,
    saved: Option<PathBuf>,
}

impl Told<'_> {
    fn verdict(&self) -> &'static str {
        match &self.now {
            Now::Works { .. } => "works-now",
            Now::Fails(error) if self.is_the_same(error) => "fails-again",
            Now::Fails(_) => "fails-otherwise",
            Now::NotTried(_) => "not-tried",
        }
    }

    fn is_the_same(&self, error: &Error) -> bool {
        error.stage() == self.record.stage && error.code() == self.record.code
    }

    /// Each limit that differs: its name, then, now.
    fn other_limits(&self) -> Vec<(String, Value, Value)> {
        let value = |limits| serde_json::to_value(limits).unwrap_or_default();
        let (then, now) = (value(&self.record.limits), value(&self.recipe.limits));
        let Value::Object(then) = then else {
            return Vec::new();
        };
        let differing = then.into_iter().filter_map(|(name, then)| {
            let now = now[&name].clone();
            (then != now).then_some((name, then, now))
        });
        differing.collect()
    }

    fn other_engine(&self) -> Vec<String> {
        let (then, now) = (&self.record.engine, engine());
        let mut other = other_engine(then, &now);
        if then.render_revision != now.render_revision {
            let words = format!(
                "render revision {}, now {}",
                then.render_revision, now.render_revision
            );
            other.insert(0, words);
        }
        other
    }

    fn as_json(&self) -> Value {
        let (since, version) = match &self.since {
            Since::Same => ("same", None),
            Since::Kept { version } => ("kept-version", Some(version)),
            Since::Another(_) => ("another", None),
            Since::Unknown(_) => ("unknown", None),
        };
        let now = match &self.now {
            Now::Works {
                renditions,
                warnings,
            } => json!({"renditions": renditions, "warnings": warnings}),
            Now::Fails(error) => json!({
                "stage": error.stage().name(), "code": error.code(), "message": error.cause().to_string(),
            }),
            Now::NotTried(words) => json!({"message": words}),
        };
        let record = self.record;
        json!({
            "source": record.source,
            "verdict": self.verdict(),
            "source_since": since,
            "version": version,
            "then": {
                "stage": record.stage.name(), "code": record.code, "message": record.message,
                "limits": record.limits, "engine": record.engine, "store": record.store,
            },
            "now": now,
            "same_recipe": record.recipe == self.recipe.digest(),
            "limits": self.recipe.limits,
            "engine": engine(),
            "saved": self.saved,
        })
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let record = self.record;
        let since = match &self.since {
            Since::Same => "the one that failed".to_owned(),
            Since::Kept { version } => {
                format!("replaced since; what failed is tried, version {version}")
            }
            Since::Another(words) => format!("replaced since: {words}"),
            Since::Unknown(words) => words.clone(),
        };
        writeln!(out, "source  {}: {}", shown(&record.source), shown(&since))?;
        let limits = self.other_limits();
        let recipe = if record.recipe == self.recipe.digest() {
            "the same as then".to_owned()
        } else if limits.is_empty() {
            "another than then; its limits are the same".to_owned()
        } else {
            let limits = limits.iter().map(|(name, then, now)| {
                let plain = |value: &Value| value.to_string();
                format!("limits.{name} was {} and is {}", plain(then), plain(now))
            });
            let limits: Vec<_> = limits.collect();
            format!("another than then: {}", limits.join(", "))
        };
        writeln!(out, "recipe  {recipe}")?;
        let engine = self.other_engine();
        if engine.is_empty() {
            writeln!(out, "engine  the same as then")?;
        } else {
            let engine = shown(&engine.join(", "));
            writeln!(out, "engine  another than then: {engine}")?;
        }
        writeln!(
            out,
            "then    {} ({}): {}",
            shown(&record.code),
            record.stage,
            shown(&record.message)
        )?;
        match &self.now {
            Now::Works {
                renditions,
                warnings,
            } => {
                writeln!(out, "now     {renditions} renditions")?;
                for warning in warnings {
                    writeln!(out, "warning {}", shown(warning))?;
                }
            }
            Now::Fails(error) => writeln!(
                out,
                "now     {} ({}): {}",
                error.code(),
                error.stage(),
                shown(&error.cause().to_string())
            )?,
            Now::NotTried(words) => writeln!(out, "now     {}", shown(words))?,
        }
        if let Some(saved) = &self.saved {
            writeln!(out, "saved   {}", saved.display())?;
        }
        writeln!(
            out,
            "{}",
            match self.verdict() {
                "works-now" => "it works now: another run, or `pixmill redrive`, makes it",
                "fails-again" => "it fails again in the same way",
                "fails-otherwise" => "it fails in another way now",
                _ => "it could not be tried",
            }
        )
    }
}
