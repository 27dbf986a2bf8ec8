//! `plan` and `convert`: collect, plan, do exactly what the plan says, and report.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, TryStreamExt, stream};
use pixmill::Recipe;
use pixmill::alert::after_run;
use pixmill::error::{Error, ImageError, Stage};
use pixmill::html::{self, HtmlOptions};
use pixmill::image::Warning;
use pixmill::job::Job;
use pixmill::manifest::Manifest;
use pixmill::outcome::{Counts, Outcome};
use pixmill::plan::{Action, Item, Plan};
use pixmill::ports::{AlertSink, BlobStore, MetricSink};
use pixmill::process::{Foreign, MAX_RECORD_BYTES, ProcessOptions, Processor};
use pixmill::recipe::Output;
use pixmill::render::{RenditionResult, Stop, render};
use pixmill_local::{ConsoleAlerts, FolderStore, PrometheusText};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::admission::{Admission, Budget, ON_THEIR_WAY};
use crate::args::{Convert, Plan as PlanArgs, Work};
use crate::estimate::{Estimate, estimate, process_seconds};
use crate::inputs::{Inputs, collect};
use crate::inventory;
use crate::place::{Address, Buckets, Place, SCHEME, told_of_input, told_of_output};
use crate::progress::Progress;
use crate::prune;
use crate::report::{Entry, Sheet};

/// How a run ended; `main` makes an exit code of it.
pub(crate) enum Ended {
    Well,
    WithTrouble,
    Stopped,
}

/// `pixmill plan`
pub(crate) async fn plan(args: &PlanArgs) -> anyhow::Result<Ended> {
    if args.work.output.as_os_str() == "-" {
        bail!(
            "nothing is planned for standard output; name the folder that `convert` will write to"
        );
    }
    if args.prune {
        prune::check_arguments(&args.work)?;
    }
    let recipe = args.work.choice.load()?;
    let output = Place::of_output(&args.work.output)?;
    let buckets = Buckets::default();
    let store = buckets.output(&output, false).await?;
    let inputs = collect(&args.work, &output, &buckets, recipe.limits.input_bytes).await?;
    let budget = Budget::of(&args.work.share, inputs.candidates.len());
    if args.prune {
        prune::check_inputs(&inputs)?;
    }
    let processor = processor(
        &args.work,
        recipe,
        &budget,
        store,
        !args.no_headers,
        Stop::default(),
    );
    let Inputs {
        candidates,
        settled,
    } = inputs;
    let plan = processor.plan(candidates, output.folds_case()).await;
    let plan = told_of_output(plan, &output)?;
    let prunable = if args.prune {
        prune::check_plan(&plan, &args.work)?;
        prune::look(&plan.items[0].candidate.sources, plan.orphans.clone()).await
    } else {
        Vec::new()
    };
    let estimate = if args.estimate.is_asked {
        Some(estimate(&plan.items, processor.recipe()).await?)
    } else {
        None
    };
    print_plan(args, &plan, &settled, &prunable, estimate.as_ref())?;
    if let Some(file) = &args.emit_batch_manifest {
        emit_batch_manifest(file, &plan)?;
    }
    let bad = |outcome: &Outcome| outcome.error().is_some();
    let refused = |item: &Item| matches!(item.action, Action::Refused(_) | Action::Collision(_));
    let trouble = plan.items.iter().any(refused) || settled.iter().any(|(_, o)| bad(o));
    Ok(if trouble {
        Ended::WithTrouble
    } else {
        Ended::Well
    })
}

fn processor(
    work: &Work,
    recipe: Recipe,
    budget: &Budget,
    output: Arc<dyn BlobStore>,
    headers: bool,
    stop: Stop,
) -> Processor {
    let options = ProcessOptions {
        stop,
        force: work.force,
        foreign: Foreign::Refuse,
        headers,
        ..budget.options()
    };
    // Each item brings its own source store.
    let processor = Processor::new(output.clone(), output, recipe).with_options(options);
    budget.turns().given_to(processor)
}

/// Writes the manifest of what would be created or updated.
fn emit_batch_manifest(file: &Path, plan: &Plan) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    for item in plan.items.iter().filter(|item| item.action.renders()) {
        let name = &item.candidate.name;
        let Ok(address) = name.parse::<Address>() else {
            bail!(
                "{} is no object of a bucket, and S3 Batch Operations takes nothing else; plan a bucket for --emit-batch-manifest",
                shown(name)
            );
        };
        objects.push(address);
    }
    let manifest = inventory::batch_manifest(&objects)?;
    pixmill_local::replace_file(file, manifest.as_bytes())
        .with_context(|| format!("the manifest {} can't be written", file.display()))?;
    let (objects, file) = (objects.len(), file.display());
    if objects == 0 {
        eprintln!(
            "{file} is empty, because nothing is to be made; S3 Batch Operations refuses such a manifest"
        );
    } else {
        eprintln!("{file} lists {objects} objects for S3 Batch Operations");
    }
    Ok(())
}

fn print_plan(
    args: &PlanArgs,
    plan: &Plan,
    settled: &[(String, Outcome)],
    prunable: &[prune::Found],
    estimate: Option<&Estimate>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let made = plan.items.iter().filter(|item| item.action.renders());
    let largest = made.map(|item| item.memory_bytes).max().unwrap_or(0);
    let counts = plan.counts();
    if args.work.json {
        for item in &plan.items {
            writeln!(out, "{}", plan_line(item))?;
        }
        for (name, outcome) in settled {
            writeln!(out, "{}", outcome_line(name, outcome, None))?;
        }
        for (at, orphan) in plan.orphans.iter().enumerate() {
            let mut line = prune::orphan_line(orphan);
            // In the same order, or none at all.
            if let Some(found) = prunable.get(at) {
                line["kept"] = json!(found.kept);
            }
            writeln!(out, "{line}")?;
        }
        let mut summary = json!({
            "summary": counts,
            "updates": plan.updates(),
            "settled": settled.len(),
            "largest_memory_bytes": largest,
        });
        if let Some(estimate) = estimate {
            summary["estimate"] = estimate.to_json();
        }
        return writeln!(out, "{summary}");
    }
    for item in &plan.items {
        let name = shown(&item.candidate.name);
        match &item.action {
            Action::Keep { .. } | Action::Skip(_) if !args.verbose => {}
            Action::Update(reason) => writeln!(out, "update     {name} ({reason})")?,
            Action::Skip(reason) => writeln!(out, "skip       {name} ({reason})")?,
            Action::Collision(e) | Action::Refused(e) => {
                writeln!(out, "{:<10} {name}: {e}", item.action.word())?;
            }
            action => writeln!(out, "{:<10} {name}", action.word())?,
        }
    }
    for (name, outcome) in settled {
        match (outcome, outcome.error()) {
            (_, Some(error)) => writeln!(out, "{:<10} {}: {error}", outcome.word(), shown(name))?,
            (Outcome::Skipped(reason), None) if args.verbose => {
                writeln!(out, "skip       {} ({reason})", shown(name))?;
            }
            _ => {}
        }
    }
    if args.prune {
        prune::show(prunable, &mut out)?;
    } else {
        for orphan in &plan.orphans {
            let (name, what) = (shown(&orphan.source), prune::describe(orphan));
            writeln!(
                out,
                "orphan     {name}: {what} (its source is not among these inputs)"
            )?;
        }
    }
    let skipped = counts.skip + settled.iter().filter(|(_, o)| o.error().is_none()).count() as u64;
    let unreadable = settled.iter().filter(|(_, o)| o.error().is_some()).count();
    writeln!(
        out,
        "{} create, {} update{}, {} keep, {} collision, {} refused, {skipped} skipped, {unreadable} unreadable, {} orphans",
        counts.create,
        counts.update,
        by_reason(plan),
        counts.keep,
        counts.collision,
        counts.refused,
        counts.orphans,
    )?;
    if largest > 0 {
        let size = ByteSize(largest).display().iec();
        writeln!(out, "the largest picture will need about {size} of memory")?;
    }
    for line in estimate.iter().flat_map(|estimate| estimate.lines()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// ` (2 engine, 1 source)`, where anything is updated.
fn by_reason(plan: &Plan) -> String {
    let updates = plan.updates();
    let reasons = updates
        .iter()
        .map(|(code, count)| format!("{count} {code}"));
    let reasons: Vec<String> = reasons.collect();
    if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    }
}

fn plan_line(item: &Item) -> Value {
    let code = match &item.action {
        Action::Update(reason) => Some(reason.code()),
        Action::Skip(reason) => Some(reason.code()),
        Action::Collision(error) | Action::Refused(error) => Some(error.code()),
        _ => None,
    };
    let reason = match &item.action {
        Action::Update(reason) => Some(reason.to_string()),
        Action::Skip(reason) => Some(reason.to_string()),
        Action::Collision(error) | Action::Refused(error) => Some(error.to_string()),
        _ => None,
    };
    json!({
        "source": item.candidate.listed.key,
        "path": item.candidate.name,
        "action": item.action.word(),
        "code": code,
        "reason": reason,
        "memory_bytes": item.memory_bytes,
    })
}

/// `pixmill convert`
pub(crate) async fn convert(args: &Convert) -> anyhow::Result<Ended> {
    let recipe = args.work.choice.load()?;
    check_arguments(args)?;
    if args.work.output.as_os_str() == "-" {
        return convert_to_stdout(&args.work, &recipe).await;
    }
    let output = Place::of_output(&args.work.output)?;
    let sheet = args.report.as_ref();
    let sheet = sheet.map(|file| Sheet::new(file, &output, &args.page.html_base, &recipe));
    let sheet = sheet.transpose()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let first_signal = Arc::new(Notify::new());
    tokio::spawn(watch_for_signals(interrupted.clone(), first_signal.clone()));

    let buckets = Buckets::default();
    let store = buckets.output(&output, args.durable).await?;
    let metrics = Arc::new(PrometheusText::new());
    let records = Records {
        store: store.clone(),
        places: recipe.output.clone(),
    };
    let stop = Stop::on(interrupted.clone());
    let (preparing, stopped) = (
        prepare(args, &output, &buckets, store, recipe, sheet.as_ref(), stop),
        first_signal.notified(),
    );
    let prepared = match select(pin!(preparing), pin!(stopped)).await {
        Either::Left((prepared, _)) => prepared?,
        // Nothing has been written, and a long listing need not end.
        Either::Right(_) => {
            Report::new(args, 0).finish()?;
            return Ok(Ended::Stopped);
        }
    };
    let Prepared {
        processor,
        at_once,
        memory,
        plan,
        settled,
        prunable,
    } = prepared;
    let processor = processor.with_metrics(metrics.clone() as Arc<dyn MetricSink>);
    let estimate = said_before(args, &plan, processor.recipe()).await?;
    let mut report = Report::new(args, plan.items.len() + settled.len());
    let shows_pictures = args.page.html || sheet.is_some();
    report.sheet = sheet;
    for (name, outcome) in settled {
        processor.settle(&name, None, &outcome);
        report.take(&Ran::settled(name, outcome))?;
    }
    // Before anything is made: what an orphan claims may be what another source takes next.
    if let Some((sources, found)) = prunable {
        let processor = processor.clone().with_sources(sources);
        let mut removing = pin!(prune::carry_out(&processor, found, &interrupted));
        while let Some(removed) = removing.next().await {
            report.take_removed(&removed)?;
        }
    }
    let progress = report.progress.clone();
    let work = carry_out(
        &processor,
        plan.items,
        memory,
        at_once,
        shows_pictures.then_some(&records),
        &interrupted,
        &progress,
    );
    let mut work = pin!(work);
    while let Some(ran) = work.try_next().await? {
        report.take(&ran)?;
    }
    if let Some(path) = &args.metrics {
        let written = metrics.write(path);
        written.with_context(|| format!("metrics can't be written to {}", path.display()))?;
    }
    report.estimate = estimate.map(|(estimate, before)| (estimate, process_seconds() - before));
    let sheet = report.sheet.take();
    let unremoved = report.pruned.map_or(0, |pruned| pruned.failed);
    let (counts, deferred) = report.finish()?;
    if let Some(sheet) = sheet {
        sheet.write()?;
    }
    if let Some(alert) = after_run(&counts, args.alert_above) {
        let sent = ConsoleAlerts::new(io::stderr()).send(&alert).await;
        sent.map_err(|error| anyhow::anyhow!("the alert can't be printed: {error}"))?;
    }
    Ok(if interrupted.load(Ordering::Relaxed) {
        Ended::Stopped
    } else if counts.rejected + counts.failed + unremoved > 0 || deferred > 0 {
        Ended::WithTrouble
    } else {
        Ended::Well
    })
}

/// Says what the run will take, where that is asked, and looks at the process's clock.
async fn said_before(
    args: &Convert,
    plan: &Plan,
    recipe: &Recipe,
) -> anyhow::Result<Option<(Estimate, f64)>> {
    if !args.estimate.is_asked {
        return Ok(None);
    }
    let estimate = estimate(&plan.items, recipe).await?;
    for line in estimate.lines() {
        eprintln!("{line}");
    }
    Ok(Some((estimate, process_seconds())))
}

/// Refuses options that contradict each other.
fn check_arguments(args: &Convert) -> anyhow::Result<()> {
    let prints_more = args.work.json || args.page.html;
    let does_more = args.metrics.is_some() || args.report.is_some() || args.prune.is_asked;
    if args.work.output.as_os_str() == "-" && (prints_more || does_more) {
        bail!(
            "-o - writes nothing but the rendition; leave out --json, --html, --metrics, --report and --prune"
        );
    }
    if !args.page.html_base.is_empty() && !args.page.html && args.report.is_none() {
        bail!("--html-base says where --html and --report find the renditions; add one of them");
    }
    if args.prune.is_asked {
        prune::check_arguments(&args.work)?;
        if !args.prune.yes && !prune::can_ask() {
            bail!(
                "--prune asks before it removes anything, and there is no terminal; look at `plan --prune`, and add --yes"
            );
        }
    }
    Ok(())
}

/// What `convert` has before it begins to work.
struct Prepared {
    processor: Processor,
    /// How many pictures may be under way.
    at_once: usize,
    /// How much memory they may take, in bytes.
    memory: u64,
    plan: Plan,
    settled: Vec<(String, Outcome)>,
    /// What will be removed, and where its sources are looked for; none where nothing is pruned.
    prunable: Option<(Arc<dyn BlobStore>, Vec<prune::Found>)>,
}

/// Collects, plans, and asks what has to be asked.
async fn prepare(
    args: &Convert,
    output: &Place,
    buckets: &Buckets,
    store: Arc<dyn BlobStore>,
    recipe: Recipe,
    sheet: Option<&Sheet>,
    stop: Stop,
) -> anyhow::Result<Prepared> {
    let mut inputs = collect(&args.work, output, buckets, recipe.limits.input_bytes).await?;
    if let Some(sheet) = sheet {
        // An older sheet among the pictures is no input, as no record of ours is.
        let is_other = |path: &str| !sheet.is_own_file(Path::new(path));
        inputs.candidates.retain(|found| is_other(&found.name));
    }
    if args.prune.is_asked {
        prune::check_inputs(&inputs)?;
    }
    let budget = Budget::of(&args.work.share, inputs.candidates.len());
    if let Some(folder) = output.folder() {
        FolderStore::open_lazily(folder)?.clean_leftovers().await?;
    }
    let processor = processor(&args.work, recipe, &budget, store, true, stop);
    let Inputs {
        candidates,
        settled,
    } = inputs;
    let plan = processor.plan(candidates, output.folds_case()).await;
    let plan = told_of_output(plan, output)?;
    let prunable = if args.prune.is_asked {
        prune::check_plan(&plan, &args.work)?;
        let sources = plan.items[0].candidate.sources.clone();
        let found = prune::look(&sources, plan.orphans.clone()).await;
        prune::show(&found, &mut io::stderr().lock())?;
        let is_agreed = prune::is_agreed(&found, args.prune.yes, output).await?;
        if !is_agreed {
            eprintln!("nothing is pruned");
        }
        is_agreed.then_some((sources, found))
    } else {
        None
    };
    let mut at_once = budget.jobs;
    let is_in_bucket = |item: &Item| item.candidate.name.starts_with(SCHEME);
    if output.bucket().is_some() || plan.items.iter().any(is_in_bucket) {
        at_once += ON_THEIR_WAY;
    }
    Ok(Prepared {
        processor,
        at_once,
        memory: budget.memory,
        plan,
        settled,
        prunable,
    })
}

/// SIGXFSZ: the same number on Linux, on Apple's systems and on the BSDs.
const FILE_TOO_LARGE: i32 = 25;

/// The first signal asks the jobs to end, the second ends the process: nothing at a final name is
/// ever half written.
pub(crate) async fn watch_for_signals(interrupted: Arc<AtomicBool>, first: Arc<Notify>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    // What is above a limit on the size of files is then an error of its own write, and not the end of
    // the process.
    let _limit = signal(SignalKind::from_raw(FILE_TOO_LARGE));
    loop {
        select(pin!(int.recv()), pin!(term.recv())).await;
        if interrupted.swap(true, Ordering::Relaxed) {
            std::process::exit(crate::STOPPED.into());
        }
        first.notify_one();
    }
}

/// What became of one input.
pub(crate) struct Ran {
    /// What people call it.
    pub(crate) name: String,
    /// Its key; none where it never got one.
    pub(crate) key: Option<String>,
    pub(crate) outcome: Outcome,
    /// Of what was in place already, where the report shows it.
    pub(crate) manifest: Option<Manifest>,
    /// Its size, where it was looked at.
    pub(crate) bytes: Option<u64>,
    pub(crate) milliseconds: u64,
}

impl Ran {
    pub(crate) fn settled(name: String, outcome: Outcome) -> Self {
        Self {
            name,
            key: None,
            outcome,
            manifest: None,
            bytes: None,
            milliseconds: 0,
        }
    }
}

/// The manifests of an output.
struct Records {
    store: Arc<dyn BlobStore>,
    places: Output,
}

impl Records {
    async fn manifest(&self, source: &str) -> anyhow::Result<Manifest> {
        let key = self.places.manifest_key(source);
        let record = self.store.get(&key, MAX_RECORD_BYTES, None).await?;
        Ok(Manifest::from_json(&key, &record.bytes)?)
    }
}

/// Does what the plan says, this many items at once and as many as the memory allows. Items come back in the
/// order in which they end.
fn carry_out<'a>(
    processor: &'a Processor,
    items: Vec<Item>,
    memory_bytes: u64,
    at_once: usize,
    records: Option<&'a Records>,
    interrupted: &'a AtomicBool,
    progress: &'a Progress,
) -> impl futures_util::Stream<Item = anyhow::Result<Ran>> + 'a {
    let memory = Admission::of(memory_bytes);
    stream::iter(items)
        .map(move |item| {
            let memory = memory.clone();
            async move {
                let mut ran = admitted(processor, item, &memory, interrupted, progress).await;
                if let (Outcome::Unchanged, Some(records), Some(key)) =
                    (&ran.outcome, records, &ran.key)
                {
                    ran.manifest = Some(records.manifest(key).await?);
                }
                Ok(ran)
            }
        })
        .buffer_unordered(at_once)
}

/// Does what the plan says about one item, once there is memory for it.
pub(crate) async fn admitted(
    processor: &Processor,
    item: Item,
    memory: &Admission,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Ran {
    let name = item.candidate.name.clone();
    let key = item.candidate.listed.key.clone();
    let bytes = Some(item.candidate.listed.size);
    let _admitted = memory.admit(item.memory_bytes).await;
    // Waiting for memory says nothing about this picture.
    let began = Instant::now();
    let outcome = one_item(processor, item, interrupted, progress).await;
    Ran {
        key: Some(key),
        bytes,
        milliseconds: milliseconds_since(began),
        ..Ran::settled(name, outcome)
    }
}

pub(crate) fn milliseconds_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn one_item(
    processor: &Processor,
    item: Item,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Outcome {
    let source = item.candidate.listed;
    let settle = |outcome: Outcome| {
        processor.settle(&source.key, Some(source.size), &outcome);
        outcome
    };
    match item.action {
        Action::Keep { refresh: false } => settle(Outcome::Unchanged),
        Action::Skip(reason) => settle(Outcome::Skipped(reason)),
        Action::Collision(error) => settle(Outcome::Rejected(error)),
        Action::Refused(error) if is_no_fresh_look(&error) => settle(Outcome::Rejected(error)),
        _ if interrupted.load(Ordering::Relaxed) => settle(Outcome::Failed(Error::new(
            Stage::Fetch,
            ImageError::Stopped,
        ))),
        // What the header refuses is processed all the same: that leaves its failure record.
        _ => {
            progress.working_on(&item.candidate.name);
            let processor = processor.clone().with_sources(item.candidate.sources);
            let job = Job::new(source.key);
            processor.process(&job).await
        }
    }
}

/// Refused for its name or by an earlier attempt: looking at the picture would change nothing.
fn is_no_fresh_look(error: &Error) -> bool {
    use pixmill::error::Cause;
    matches!(
        error.cause(),
        Cause::Name(_) | Cause::FailedBefore { .. } | Cause::Record(_)
    )
}

/// Counts and prints outcomes as they come.
struct Report<'a> {
    args: &'a Convert,
    /// Elements for a page, by the inputs' names: printed in this order, whichever ended first.
    pictures: BTreeMap<String, String>,
    /// The page of everything, where one is asked for.
    sheet: Option<Sheet>,
    progress: Progress,
    counts: Counts,
    inputs: usize,
    renditions: u64,
    bytes: u64,
    /// Variants that memory did not allow for.
    deferred: usize,
    /// What became of orphans, where any were to be removed.
    pruned: Option<Pruned>,
    /// What was foretold, and the seconds of processor time that it took.
    estimate: Option<(Estimate, f64)>,
    began: Instant,
}

/// How many sources' renditions were removed, stayed because the source was back, and couldn't be removed.
#[derive(Clone, Copy, Default, serde::Serialize)]
struct Pruned {
    removed: u64,
    kept: u64,
    failed: u64,
}

impl<'a> Report<'a> {
    fn new(args: &'a Convert, inputs: usize) -> Self {
        Self {
            args,
            pictures: BTreeMap::new(),
            sheet: None,
            progress: Progress::new(inputs, args.quiet),
            counts: Counts::default(),
            inputs,
            renditions: 0,
            bytes: 0,
            deferred: 0,
            pruned: None,
            estimate: None,
            began: Instant::now(),
        }
    }

    fn take_removed(&mut self, (orphan, removed): &prune::Removed) -> io::Result<()> {
        let pruned = self.pruned.get_or_insert_default();
        let (word, why) = match removed {
            Ok(true) => ("pruned", prune::describe(orphan)),
            Ok(false) => ("kept", "its source is there again".to_owned()),
            Err(error) => ("failed", format!("it can't be removed: {error}")),
        };
        *match removed {
            Ok(true) => &mut pruned.removed,
            Ok(false) => &mut pruned.kept,
            Err(_) => &mut pruned.failed,
        } += 1;
        if self.args.work.json {
            let line = json!({ "orphan": orphan.source, "outcome": word, "message": why });
            writeln!(io::stdout().lock(), "{line}")?;
        }
        if removed.is_err() || !self.args.quiet {
            let name = shown(&orphan.source);
            self.progress.say(&format!("{word} {name}: {why}"));
        }
        Ok(())
    }

    fn take(&mut self, ran: &Ran) -> io::Result<()> {
        self.counts.add(&ran.outcome);
        let made = made_now(&ran.outcome);
        self.renditions += made.0;
        self.bytes += made.1;
        let deferred = deferred(&ran.outcome);
        self.deferred += deferred.len();
        if self.args.work.json {
            let key = ran.key.as_deref().unwrap_or(&ran.name);
            let mut line = outcome_line(key, &ran.outcome, Some(ran.milliseconds));
            line["path"] = json!(ran.name);
            writeln!(io::stdout().lock(), "{line}")?;
        }
        if self.args.page.html || self.sheet.is_some() {
            self.take_for_pages(ran);
        }
        let name = shown(&ran.name);
        match &ran.outcome {
            outcome if outcome.error().is_some() => {
                let error = outcome.error().expect("asked just now");
                self.progress
                    .say(&format!("{} {name}: {error}", outcome.word()));
            }
            Outcome::Done(done) => {
                if !self.args.quiet && (!self.progress.is_drawn() || self.args.verbose) {
                    let size = ByteSize(made.1).display().iec();
                    self.progress.say(&format!(
                        "done {name}: {} renditions, {size}, {} ms",
                        made.0, ran.milliseconds
                    ));
                }
                for (variant, why) in &deferred {
                    self.progress.say(&format!(
                        "put off {name} ({variant}): {why}; try again with more --memory, fewer --jobs or a higher --time-limit"
                    ));
                }
                if self.args.verbose {
                    for warning in &done.manifest.warnings {
                        self.progress
                            .say(&format!("warning {name}: {}", shown_warning(warning)));
                    }
                }
            }
            Outcome::Skipped(reason) if self.args.verbose => {
                self.progress.say(&format!("skipped {name}: {reason}"));
            }
            outcome if self.args.verbose => {
                self.progress.say(&format!("{} {name}", outcome.word()));
            }
            _ => {}
        }
        self.progress.step();
        Ok(())
    }

    /// Keeps what the page of `--html` and the contact sheet need of an input.
    fn take_for_pages(&mut self, ran: &Ran) {
        let manifest = match &ran.outcome {
            Outcome::Done(done) => Some(&done.manifest),
            _ => ran.manifest.as_ref(),
        };
        if let Some(sheet) = &mut self.sheet {
            let was_worked_on = !matches!(ran.outcome, Outcome::Unchanged | Outcome::Skipped(_));
            sheet.add(&Entry {
                name: &ran.name,
                bytes: ran.bytes,
                outcome: &ran.outcome,
                manifest,
                milliseconds: (was_worked_on && ran.key.is_some()).then_some(ran.milliseconds),
            });
        }
        if let (true, Some(manifest)) = (self.args.page.html, manifest) {
            self.take_picture(ran, manifest);
        }
    }

    /// Keeps the element for a page, where there is something to show.
    fn take_picture(&mut self, ran: &Ran, manifest: &Manifest) {
        let mut options = HtmlOptions::default();
        options.base.clone_from(&self.args.page.html_base);
        options.sizes.clone_from(&self.args.page.html_sizes);
        if let Some(picture) = html::picture(manifest, &options) {
            self.pictures.insert(ran.name.clone(), picture);
        } else {
            let name = shown(&ran.name);
            self.progress.say(&format!(
                "no rendition of {name} shows the whole picture, so there is no <picture> for it"
            ));
        }
    }

    fn finish(self) -> io::Result<(Counts, usize)> {
        self.progress.clear();
        for picture in self.pictures.values() {
            io::stdout().lock().write_all(picture.as_bytes())?;
        }
        // With --html, standard output is for the page alone.
        let mut out: Box<dyn Write> = if self.args.page.html {
            Box::new(io::stderr().lock())
        } else {
            Box::new(io::stdout().lock())
        };
        let counts = self.counts;
        if self.args.work.json {
            let mut summary = json!({
                "summary": counts,
                "inputs": self.inputs,
                "renditions": self.renditions,
                "written_bytes": self.bytes,
                "deferred": self.deferred,
                "pruned": self.pruned,
            });
            if let Some((estimate, taken)) = &self.estimate {
                summary["estimate"] = estimate.to_json();
                summary["estimate"]["taken_processor_seconds"] = json!(taken);
            }
            writeln!(out, "{summary}")?;
        } else {
            writeln!(
                out,
                "{} inputs: {} done, {} unchanged, {} stale, {} skipped, {} rejected, {} failed",
                self.inputs,
                counts.done,
                counts.unchanged,
                counts.stale,
                counts.skipped,
                counts.rejected,
                counts.failed,
            )?;
            let seconds = self.began.elapsed().as_secs_f64();
            let size = ByteSize(self.bytes).display().iec();
            writeln!(
                out,
                "{} renditions, {size}, in {seconds:.1} s",
                self.renditions
            )?;
            if let Some(pruned) = self.pruned {
                writeln!(
                    out,
                    "{} pruned, {} kept because their source is back, {} could not be removed",
                    pruned.removed, pruned.kept, pruned.failed
                )?;
            }
            if let Some((estimate, taken)) = &self.estimate {
                writeln!(out, "{}", estimate.beside(*taken))?;
            }
            if self.deferred > 0 {
                writeln!(
                    out,
                    "{} renditions were put off for want of memory or time",
                    self.deferred
                )?;
            }
        }
        Ok((counts, self.deferred))
    }
}

/// How many renditions a job has made, and how many bytes they have.
pub(crate) fn made_now(outcome: &Outcome) -> (u64, u64) {
    let Outcome::Done(done) = outcome else {
        return (0, 0);
    };
    let variants = done.manifest.variants.iter();
    let new = variants.filter(|v| done.rendered.contains(&v.name));
    let new = new.filter_map(|v| v.rendition.as_ref());
    new.fold((0, 0), |made, new| (made.0 + 1, made.1 + new.bytes))
}

/// The variants of a finished job that were put off, and why.
pub(crate) fn deferred(outcome: &Outcome) -> Vec<(&str, &str)> {
    let Outcome::Done(done) = outcome else {
        return Vec::new();
    };
    let variants = done.manifest.variants.iter();
    variants
        .filter_map(|variant| Some((variant.name.as_str(), variant.deferred.as_deref()?)))
        .collect()
}

pub(crate) fn shown_warning(warning: &Warning) -> String {
    let variant = warning.variant.as_ref().map(|v| format!(" ({v})"));
    format!(
        "{}{}: {}",
        warning.code.word(),
        variant.unwrap_or_default(),
        warning.detail
    )
}

pub(crate) fn outcome_line(source: &str, outcome: &Outcome, milliseconds: Option<u64>) -> Value {
    let mut line = json!({
        "source": source,
        "outcome": outcome.word(),
        "code": outcome.code(),
    });
    if let Outcome::Done(done) = outcome {
        line["rendered"] = json!(done.rendered);
        line["variants"] = json!(done.manifest.variants);
        line["warnings"] = json!(done.manifest.warnings);
    }
    if let Some(error) = outcome.error() {
        line["stage"] = json!(error.stage().name());
        line["message"] = json!(error.cause().to_string());
    }
    if let Some(milliseconds) = milliseconds {
        line["milliseconds"] = json!(milliseconds);
    }
    line
}

/// A name as it may be shown on a terminal: control characters are escaped.
pub(crate) fn shown(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect()
}

/// `-o -`: one picture in, one rendition to standard output, nothing else written.
async fn convert_to_stdout(work: &Work, recipe: &Recipe) -> anyhow::Result<Ended> {
    let [input] = work.inputs.as_slice() else {
        bail!("-o - takes exactly one picture");
    };
    if recipe.variants.len() != 1 {
        bail!(
            "-o - writes one rendition; choose it with --format, or with a recipe of one variant"
        );
    }
    if io::stdout().is_terminal() {
        bail!("standard output is a terminal; send it to a file or a pipe");
    }
    let bytes = match Place::try_from(input.as_path()).map_err(anyhow::Error::msg)? {
        Place::Folder(path) => read_one(&path, recipe.limits.input_bytes)?,
        Place::Bucket(address) => {
            let buckets = Buckets::default();
            buckets.check().await?;
            let bucket = buckets.open_at(&address.bucket, "").await;
            let fetched = bucket.get(&address.key, recipe.limits.input_bytes, None);
            let fetched = fetched
                .await
                .map_err(|error| anyhow::anyhow!(told_of_input(&error, &address.to_string())))?;
            fetched.bytes.to_vec()
        }
    };
    let rendered = render(&bytes, recipe)
        .map_err(|error| anyhow::anyhow!("{}: {error}", shown(&input.display().to_string())));
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(error) => {
            eprintln!("rejected {error}");
            return Ok(Ended::WithTrouble);
        }
    };
    for warning in &rendered.warnings {
        eprintln!("warning {}", shown_warning(warning));
    }
    match &rendered.renditions[0].result {
        RenditionResult::Made(made) => io::stdout().lock().write_all(&made.bytes)?,
        RenditionResult::Skipped(reason) | RenditionResult::Deferred(reason) => {
            eprintln!("there is no rendition: {reason}");
            return Ok(Ended::WithTrouble);
        }
    }
    Ok(Ended::Well)
}

/// A file's bytes, or standard input's, up to one more than `max_bytes`.
pub(crate) fn read_one(input: &Path, max_bytes: u64) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let limit = max_bytes.saturating_add(1);
    let read = if input.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(input).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("{} can't be read", input.display()))?;
    Ok(bytes)
}
