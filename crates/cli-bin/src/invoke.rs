//! `pixmill invoke`: the function's own handler, with folders in the place of buckets.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use pixmill::Recipe;
use pixmill::ports::{BlobStore, MetricSink};
use pixmill::process::{Foreign, ProcessOptions, Processor, Removals};
use pixmill::signal::Signal;
use pixmill_lambda::handler::{Handler, Invocation};
use pixmill_lambda::log::Log;
use pixmill_lambda::select::Rules;
use pixmill_lambda::settings::LogLevel;
use pixmill_local::FolderStore;
use serde_json::Value;

use crate::admission::Budget;
use crate::args::{Invoke, Share, read_recipe};
use crate::run::Ended;

/// The largest event that Lambda takes, in bytes (6 MB, for a synchronous call), and some more for
/// what wraps it elsewhere.
const MAX_EVENT_BYTES: u64 = 16 << 20;

pub(crate) async fn invoke(args: &Invoke) -> anyhow::Result<Ended> {
    let event = read_event(&args.event)?;
    let recipe = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => Recipe::default_recipe(),
    };
    recipe
        .check_for_events()
        .context("the recipe can't be used for events")?;
    if !args.uploads.is_dir() {
        bail!("--uploads {} is not a folder", args.uploads.display());
    }
    if is_within(&args.output, &args.uploads) {
        bail!(
            "the output {} lies in the uploads, and renditions would be taken for uploads; choose another folder",
            args.output.display()
        );
    }
    let sources = FolderStore::open_lazily(&args.uploads)?.with_focus_points();
    let sources: Arc<dyn BlobStore> = Arc::new(sources);
    let output = FolderStore::open_lazily(&args.output)?;
    output.clean_leftovers().await?;
    let budget = Budget::of(&Share::default(), 1);
    let options = ProcessOptions {
        foreign: Foreign::Refuse,
        removals: if args.remove {
            Removals::Delete
        } else {
            Removals::Keep
        },
        ..budget.options()
    };
    let processor = Processor::new(sources.clone(), Arc::new(output), recipe).with_options(options);
    let processor = budget.turns().given_to(processor);
    let counter = Arc::new(Unwell::default());
    let handler = Handler {
        rules: Rules {
            upload_prefix: args.upload_prefix.clone(),
            ..Rules::default()
        },
        processor,
        sources: Box::new(move |_| sources.clone()),
        log: Arc::new(Log::new(io::stderr(), LogLevel::Info)),
        metrics: Some(counter.clone()),
        alerts: None,
        timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
    };
    let invocation = Invocation {
        request_id: "invoke".to_owned(),
        deadline: None,
        cold_start: true,
    };
    let answer = handler.handle(&event, &invocation).await;
    let mut out = io::stdout().lock();
    match answer {
        Ok(reply) => {
            writeln!(out, "{reply:#}")?;
            Ok(
                if is_all_well(&reply) && counter.0.load(Ordering::Relaxed) == 0 {
                    Ended::Well
                } else {
                    Ended::WithTrouble
                },
            )
        }
        // What Lambda would take for a failed invocation, and send again.
        Err(unsettled) => {
            eprintln!("pixmill: {unsettled}");
            Ok(Ended::WithTrouble)
        }
    }
}

/// Whether `inner`, which may not be there yet, is `outer` or lies below it.
fn is_within(inner: &Path, outer: &Path) -> bool {
    let Ok(outer) = outer.canonicalize() else {
        return false;
    };
    let there = std::path::absolute(inner).unwrap_or_else(|_| inner.to_owned());
    let nearest = there.ancestors().find_map(|path| path.canonicalize().ok());
    nearest.is_some_and(|nearest| nearest.starts_with(outer))
}

fn read_event(path: &Path) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin()
            .lock()
            .take(MAX_EVENT_BYTES)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_EVENT_BYTES).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("the event {} can't be read", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("the event {} is not JSON", path.display()))
}

/// Whether a reply of any form speaks of nothing that must come again.
pub(crate) fn is_all_well(reply: &Value) -> bool {
    let nothing_failed = |name: &str| reply[name].as_array().is_none_or(Vec::is_empty);
    let all_succeeded = reply["results"].as_array().is_none_or(|results| {
        results
            .iter()
            .all(|result| result["resultCode"] == "Succeeded")
    });
    nothing_failed("batchItemFailures") && all_succeeded
}

/// Counts pictures that were rejected or failed: a queue's reply is silent about the former.
#[derive(Default)]
pub(crate) struct Unwell(pub(crate) AtomicU64);

impl MetricSink for Unwell {
    fn record(&self, signal: &Signal<'_>) {
        if let Signal::Finished(job) = signal
            && job.outcome.error().is_some()
        {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
