//! `watch`: a folder whose new, changed and removed pictures are taken as they come.
//!
//! Events of the kernel are only hints, as those of a bucket are: they say where to look. What is done follows from what
//! a look finds, and the start is the same thing as an event about everything.

mod folder;
mod settling;

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytesize::ByteSize;
use futures_util::future::{Either, select};
use globset::GlobSet;
use pixmill::error::{Cause, Error, ImageError, Stage, StoreError, StoreErrorKind};
use pixmill::job::Job;
use pixmill::outcome::{Counts, Outcome, SkipReason};
use pixmill::plan::{Candidate, Item, Plan};
use pixmill::ports::{BlobStore, Etag, Listed};
use pixmill::process::{Foreign, ProcessOptions, Processor, Removals};
use pixmill_local::FolderStore;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::admission::{Admission, Budget};
use crate::args::Watch;
use crate::inputs::{globs, not_utf8};
use crate::place::{Buckets, Place, told_of_output};
use crate::progress::Progress;
use crate::run::{
    Ended, Ran, admitted, deferred, made_now, milliseconds_since, outcome_line, shown,
    shown_warning, watch_for_signals,
};
use crate::watch::folder::{Folder, LIMIT_WORDS, LimitReached, Looked, Watches, key_of};
use crate::watch::settling::{Odd, Seen, Settling};

/// Hints come in bursts: after the first one, this long is waited for others.
const BURST: Duration = Duration::from_millis(50);

/// How often the folder is looked at once the kernel watches no more of it.
const POLL_AT_LIMIT: Duration = Duration::from_secs(30);

/// Most pictures that are planned at once after the start.
const PLANNED_AT_ONCE: usize = 64;

/// One thing to do.
enum Task {
    /// A picture that is there.
    Picture(Box<Item>),
    /// One that is there no more.
    Removal(String),
}

/// What became of a task.
struct Finished {
    key: String,
    ran: Ran,
    /// For a source that is gone: whether there is, or was, anything of it in the output.
    had_renditions: bool,
}

/// `pixmill watch`
pub(crate) async fn watch(args: &Watch) -> anyhow::Result<Ended> {
    let (input, output) = (args.work.input()?, &args.work.output);
    if output.as_os_str() == "-" {
        bail!("-o - is for one picture; name a folder");
    }
    let recipe = args.work.choice.load()?;
    let place = Place::of_output(output)?;
    let folder = Arc::new(Folder::open(input, place.folder())?);
    // Before the first look, so that nothing falls between the two.
    let watches = match args.poll {
        Some(_) => None,
        None => Some(Watches::begin(&folder)?),
    };
    if let Some(output) = place.folder() {
        FolderStore::open_lazily(output)?.clean_leftovers().await?;
    }
    let store = Buckets::default().output(&place, args.durable).await?;
    let sources: Arc<dyn BlobStore> =
        Arc::new(FolderStore::open(&folder.root)?.with_focus_points());
    let budget = Budget::of(&args.work.share, 1);
    let options = ProcessOptions {
        foreign: Foreign::Refuse,
        removals: if args.remove {
            Removals::Delete
        } else {
            Removals::Keep
        },
        force: args.work.force,
        ..budget.options()
    };
    let plans_whole = recipe.check_for_events().is_err();
    let processor =
        Processor::new(sources.clone(), store.clone(), recipe).with_options(options.clone());
    let processor = budget.turns().given_to(processor);
    // The second signal ends the process; the first one is this loop's to hear.
    tokio::spawn(watch_for_signals(Arc::default(), Arc::default()));
    let watching = Watching {
        args,
        fold_case: place.folds_case(),
        place,
        include: globs(&args.work.include)?,
        exclude: globs(&args.work.exclude)?,
        folder,
        watches,
        poll: args.poll,
        sources,
        output: store,
        processor,
        options,
        plans_whole,
        settling: Settling::new(args.settle),
        second_looks: VecDeque::new(),
        tasks: VecDeque::new(),
        running: JoinSet::new(),
        jobs: budget.jobs,
        memory: Admission::of(budget.memory),
        start: Some(Counts::default()),
    };
    watching.run().await
}

/// A watch under way.
struct Watching<'a> {
    args: &'a Watch,
    place: Place,
    fold_case: bool,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
    folder: Arc<Folder>,
    /// The kernel's hints; none where it is not asked for them.
    watches: Option<Watches>,
    /// How often everything is looked at.
    poll: Option<Duration>,
    sources: Arc<dyn BlobStore>,
    output: Arc<dyn BlobStore>,
    processor: Processor,
    options: ProcessOptions,
    /// The recipe's keys don't keep sources apart, so that collisions show only in a plan of everything.
    plans_whole: bool,
    settling: Settling,
    /// Folders that have come, and when they are looked at once more: files may have come into them before they were
    /// watched.
    second_looks: VecDeque<(Instant, PathBuf)>,
    tasks: VecDeque<Task>,
    running: JoinSet<Finished>,
    jobs: usize,
    memory: Admission,
    /// What became of what was there at the start, until all of it is done.
    start: Option<Counts>,
}

/// Why the loop goes on.
enum Woken {
    /// It is time for a look.
    Time,
    Hints,
    Finished(Box<Finished>),
    Signal,
}

impl Watching<'_> {
    async fn run(mut self) -> anyhow::Result<Ended> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        self.look_at(Path::new(""), true)?;
        self.say_that_it_begins()?;
        // What is there now is planned as a whole, once it has stood still.
        let mut first_plan = Some(Instant::now() + self.args.settle);
        let mut next_poll = None;
        let mut hints_at = None;
        loop {
            let now = Instant::now();
            next_poll = next_poll.or(self.poll.map(|every| now + every));
            let settled = match first_plan {
                Some(_) => first_plan,
                None => self.settling.next_due(),
            };
            let second_look = self.second_looks.front().map(|(due, _)| *due);
            let due = [settled, second_look, next_poll, hints_at];
            // Nothing more is taken on before what is queued has begun.
            let due = due.into_iter().flatten().min();
            let due = due.filter(|_| self.tasks.is_empty());
            let (int, term) = (pin!(interrupt.recv()), pin!(terminate.recv()));
            match self.wait(due, hints_at.is_none(), select(int, term)).await {
                Woken::Signal => return self.end().await,
                Woken::Finished(finished) => self.take(&finished)?,
                Woken::Hints => hints_at = Some(Instant::now() + BURST),
                Woken::Time => {}
            }

            let now = Instant::now();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if is_due(hints_at) {
                hints_at = None;
                self.take_hints()?;
            }
            if is_due(next_poll) {
                next_poll = None;
                self.look_at(Path::new(""), false)?;
            }
            while is_due(self.second_looks.front().map(|(due, _)| *due)) {
                let (_, below) = self.second_looks.pop_front().expect("looked at just now");
                self.look_at(&below, false)?;
            }
            if is_due(first_plan) {
                first_plan = None;
                self.take_what_is_there(now).await?;
            } else if first_plan.is_none() && self.tasks.is_empty() {
                self.take_settled(now).await?;
            }
            self.begin_tasks();
            if first_plan.is_none() && self.tasks.is_empty() && self.running.is_empty() {
                self.say_that_the_start_is_done()?;
            }
        }
    }

    /// Waits until something is to be done.
    async fn wait(
        &mut self,
        due: Option<Instant>,
        listens: bool,
        signals: impl Future + Unpin,
    ) -> Woken {
        let (watches, running) = (&self.watches, &mut self.running);
        let time = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let hints = async {
            match watches {
                Some(watches) if listens => watches.heard().await,
                _ => std::future::pending().await,
            }
        };
        let finished = async {
            match running.join_next().await {
                Some(finished) => finished,
                None => std::future::pending().await,
            }
        };
        let (time, hints, finished) = (pin!(time), pin!(hints), pin!(finished));
        match select(select(signals, finished), select(hints, time)).await {
            Either::Left((Either::Left(_), _)) => Woken::Signal,
            Either::Left((Either::Right((finished, _)), _)) => {
                Woken::Finished(Box::new(ended_well(finished)))
            }
            Either::Right((Either::Left(_), _)) => Woken::Hints,
            Either::Right((Either::Right(_), _)) => Woken::Time,
        }
    }

    /// Looks at a part of the folder, and takes note of all that is not as it was. What is new may still be
    /// filling, and is looked at once more if the caller says so.
    fn look_at(&mut self, below: &Path, and_again: bool) -> anyhow::Result<()> {
        let looked = self.folder.look(below);
        let looked = looked.ok().filter(|_| self.folder.is_still_there());
        let Some(Looked { found, folders }) = looked else {
            bail!(
                "the folder {} is not there any more, or another one is in its place; nothing was removed from the output; start again when it is back",
                self.folder.typed.display()
            );
        };
        if let Some(watches) = &mut self.watches
            && let Err(LimitReached) = watches.watch(&self.folder, &folders)
        {
            self.fall_back_to_polling();
        }
        let now = Instant::now();
        let is_whole = below.as_os_str().is_empty();
        let here = key_of(below);
        let before = if is_whole {
            self.settling.keys()
        } else {
            let mut before = self.settling.below(&here);
            before.insert(here);
            before
        };
        for key in before.iter().filter(|key| !found.contains_key(*key)) {
            self.settling.saw(key, Seen::Gone, now);
        }
        for (key, seen) in found {
            match seen {
                Seen::Odd(odd) => {
                    if self.settling.is_new(&key, &Seen::Odd(odd.clone())) {
                        self.say_what_is_odd(&key, &odd)?;
                    }
                }
                seen => self.settling.saw(&key, seen, now),
            }
        }
        if and_again && (is_whole || !folders.is_empty()) {
            let due = now + self.args.settle;
            self.second_looks.push_back((due, below.to_owned()));
        }
        Ok(())
    }

    fn take_hints(&mut self) -> anyhow::Result<()> {
        let Some(watches) = &self.watches else {
            return Ok(());
        };
        let hints = watches.take();
        for words in &hints.trouble {
            eprintln!("the system's watch has trouble: {words}");
        }
        if hints.limit {
            self.fall_back_to_polling();
        }
        if hints.rescan {
            return self.look_at(Path::new(""), true);
        }
        for below in &hints.changed {
            self.look_at(below, true)?;
        }
        Ok(())
    }

    fn fall_back_to_polling(&mut self) {
        if self.poll.is_none() {
            self.poll = Some(POLL_AT_LIMIT);
            let seconds = POLL_AT_LIMIT.as_secs();
            eprintln!("{LIMIT_WORDS}; until then, everything is looked at every {seconds} s");
        }
    }

    /// The start: a plan of everything that is there and stands still, as `convert` makes it.
    async fn take_what_is_there(&mut self, now: Instant) -> anyhow::Result<()> {
        let settled = self.settled(usize::MAX, now);
        let plan = self.processor.plan(settled, self.fold_case).await;
        let Plan { items, orphans } = told_of_output(plan, &self.place)?;
        self.tasks.extend(items.into_iter().map(Task::picture));
        let there = self.settling.keys();
        let gone = orphans.into_iter().map(|orphan| orphan.source);
        let gone: Vec<String> = gone.filter(|source| !there.contains(source)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let (many, typed) = (gone.len(), self.folder.typed.display());
        if !self.args.remove {
            eprintln!(
                "{many} sources of renditions in {} are not in {typed}; their renditions stay (--remove takes such away)",
                self.args.work.output.display()
            );
        } else if there.is_empty() {
            eprintln!(
                "{typed} is empty, so the renditions of {many} sources stay: is a disk missing?"
            );
        } else {
            for source in gone {
                self.settling.begins(&source);
                self.tasks.push_back(Task::Removal(source));
            }
        }
        Ok(())
    }

    /// Takes what has stood still, a few pictures at a time.
    async fn take_settled(&mut self, now: Instant) -> anyhow::Result<()> {
        let settled = self.settled(PLANNED_AT_ONCE, now);
        if settled.is_empty() {
            return Ok(());
        }
        let keys: BTreeSet<String> = settled.iter().map(|c| c.listed.key.clone()).collect();
        let plan = if self.plans_whole {
            let all = self.settling.files();
            let all = all.filter(|(key, ..)| !self.is_left_out(key));
            let all = all.map(|(key, size, etag)| self.candidate(key, size, etag));
            self.processor.plan(all.collect(), self.fold_case).await
        } else {
            self.processor.plan_part(settled, self.fold_case).await
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                eprintln!("the output can't be read: {error}; it is tried again");
                for key in keys {
                    self.settling.ended(&key, true, now);
                }
                return Ok(());
            }
        };
        for item in plan.items {
            let key = &item.candidate.listed.key;
            // What a plan of everything finds beside it: a collision that is none any more.
            if keys.contains(key) || (item.action.renders() && self.settling.begins(key)) {
                self.tasks.push_back(Task::picture(item));
            }
        }
        Ok(())
    }

    /// What has stood still, at most so many: pictures as candidates, the rest becomes what it is.
    fn settled(&mut self, most: usize, now: Instant) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for key in self.settling.due(now).into_iter().take(most) {
            let looked = self.folder.look(Path::new(&key));
            let looked = looked.ok().and_then(|mut looked| looked.found.remove(&key));
            let seen = looked.unwrap_or(Seen::Gone);
            if !self.settling.is_settled(&key, &seen, now) {
                continue;
            }
            match seen {
                Seen::Gone if self.folder.is_still_there() => {
                    self.tasks.push_back(Task::Removal(key));
                }
                Seen::File { size, etag, .. } if !self.is_left_out(&key) => {
                    candidates.push(self.candidate(&key, size, &etag));
                }
                // Left out, or without its folder, which the next look tells of.
                _ => self.settling.ended(&key, false, now),
            }
        }
        candidates
    }

    fn is_left_out(&self, key: &str) -> bool {
        self.include.as_ref().is_some_and(|set| !set.is_match(key))
            || self.exclude.as_ref().is_some_and(|set| set.is_match(key))
    }

    fn candidate(&self, key: &str, size: u64, etag: &Etag) -> Candidate {
        Candidate {
            name: self.name(key),
            listed: Listed {
                key: key.to_owned(),
                size,
                etag: etag.clone(),
            },
            sources: self.sources.clone(),
            named: false,
            // The output is left out of all looks.
            key_in_output: None,
        }
    }

    fn name(&self, key: &str) -> String {
        self.folder.typed.join(key).display().to_string()
    }

    /// Begins as many tasks as may be under way at once.
    fn begin_tasks(&mut self) {
        while self.running.len() < self.jobs
            && let Some(task) = self.tasks.pop_front()
        {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let busy = (self.running.len() + 1 + self.tasks.len()).min(self.jobs);
            let options = ProcessOptions {
                threads: NonZeroUsize::new(cores / busy).unwrap_or(NonZeroUsize::MIN),
                ..self.options.clone()
            };
            let processor = self.processor.clone().with_options(options);
            match task {
                Task::Picture(item) => {
                    let memory = self.memory.clone();
                    self.running.spawn(picture(processor, *item, memory));
                }
                Task::Removal(key) => {
                    let name = self.name(&key);
                    let output = self.output.clone();
                    self.running.spawn(removal(processor, key, name, output));
                }
            }
        }
    }

    fn take(&mut self, finished: &Finished) -> io::Result<()> {
        // What was left behind once would be left behind again, and each time a thread more would be at it: it waits for
        // another file of that name.
        let comes_again = match &finished.ran.outcome {
            Outcome::Failed(error) => {
                !matches!(error.cause(), Cause::Image(ImageError::TookTooLong { .. }))
            }
            _ => false,
        };
        self.settling
            .ended(&finished.key, comes_again, Instant::now());
        let verbose = self.args.verbose;
        let at_start = self.start.is_some();
        if let Some(counts) = &mut self.start {
            counts.add(&finished.ran.outcome);
        }
        let Finished { key, ran, .. } = finished;
        let Ran { outcome, .. } = ran;
        let mut out = io::stdout().lock();
        let is_gone = matches!(outcome, Outcome::Skipped(SkipReason::Gone));
        let tells = match outcome {
            Outcome::Skipped(SkipReason::Gone) => finished.had_renditions,
            Outcome::Skipped(_) => false,
            Outcome::Unchanged => !at_start,
            _ => true,
        };
        if !tells && !verbose {
            return Ok(());
        }
        if self.args.work.json {
            let mut line = outcome_line(key, outcome, Some(ran.milliseconds));
            line["path"] = json!(ran.name);
            if is_gone {
                line["removed"] = json!(finished.had_renditions && self.args.remove);
            }
            return writeln!(out, "{line}");
        }
        let (name, milliseconds) = (shown(&ran.name), ran.milliseconds);
        match outcome {
            Outcome::Done(done) => {
                let (renditions, bytes) = made_now(outcome);
                let size = ByteSize(bytes).display().iec();
                writeln!(
                    out,
                    "done {name}: {renditions} renditions, {size}, {milliseconds} ms"
                )?;
                for (variant, why) in deferred(outcome) {
                    writeln!(
                        out,
                        "put off {name} ({variant}): {why}; start again with more --memory, fewer --jobs or a higher --time-limit"
                    )?;
                }
                if verbose {
                    for warning in &done.manifest.warnings {
                        writeln!(out, "warning {name}: {}", shown_warning(warning))?;
                    }
                }
                Ok(())
            }
            Outcome::Skipped(SkipReason::Gone) if !finished.had_renditions => {
                writeln!(out, "gone {name}: nothing was made of it")
            }
            Outcome::Skipped(SkipReason::Gone) if self.args.remove => {
                writeln!(
                    out,
                    "removed {name}: its renditions are gone too, {milliseconds} ms"
                )
            }
            Outcome::Skipped(SkipReason::Gone) => {
                writeln!(
                    out,
                    "gone {name}: its renditions stay (--remove takes such away)"
                )
            }
            Outcome::Skipped(reason) => writeln!(out, "skipped {name}: {reason}"),
            outcome => match outcome.error() {
                Some(error) => {
                    writeln!(out, "{} {name}: {error}, {milliseconds} ms", outcome.word())
                }
                None => writeln!(out, "{} {name}, {milliseconds} ms", outcome.word()),
            },
        }
    }

    /// Tells of what can't be a source.
    fn say_what_is_odd(&mut self, key: &str, odd: &Odd) -> io::Result<()> {
        let name = self.name(key);
        let outcome = match odd {
            Odd::NotAFile => Outcome::Skipped(SkipReason::NotAFile),
            Odd::NotUtf8 => not_utf8(),
            Odd::Unreadable(kind, words) => {
                let kind = match kind {
                    io::ErrorKind::PermissionDenied => StoreErrorKind::Denied,
                    _ => StoreErrorKind::Other,
                };
                let error = StoreError::new(kind, &name).because(words.clone());
                Outcome::Failed(Error::new(Stage::Fetch, Cause::Store(error)))
            }
        };
        // It is no job, so nothing ends: the line is all.
        let finished = Finished {
            key: key.to_owned(),
            ran: Ran::settled(name, outcome),
            had_renditions: false,
        };
        self.take(&finished)
    }

    fn say_that_it_begins(&self) -> io::Result<()> {
        let (typed, output) = (self.folder.typed.display(), self.args.work.output.display());
        let mut out = io::stdout().lock();
        if self.args.work.json {
            let line = json!({"watching": typed.to_string(), "output": output.to_string()});
            writeln!(out, "{line}")
        } else {
            writeln!(out, "watching {typed}; renditions go to {output}")
        }
    }

    /// Says once that all that was there at the start is done.
    fn say_that_the_start_is_done(&mut self) -> io::Result<()> {
        let Some(counts) = self.start.take() else {
            return Ok(());
        };
        let mut out = io::stdout().lock();
        if self.args.work.json {
            return writeln!(out, "{}", json!({ "caught_up": counts }));
        }
        writeln!(
            out,
            "caught up: {} done, {} unchanged, {} skipped, {} rejected, {} failed; now waiting for changes",
            counts.done, counts.unchanged, counts.skipped, counts.rejected, counts.failed
        )
    }

    /// The first signal: what is at work is finished, and nothing else begun.
    async fn end(mut self) -> anyhow::Result<Ended> {
        let left = self.settling.waiting() + self.tasks.len();
        self.tasks.clear();
        while let Some(finished) = self.running.join_next().await {
            self.take(&ended_well(finished))?;
        }
        let mut out = io::stdout().lock();
        if self.args.work.json {
            writeln!(out, "{}", json!({"stopped": {"left": left}}))?;
        } else {
            let left = match left {
                0 => String::new(),
                left => format!("; the next start takes up the {left} that were not begun"),
            };
            writeln!(out, "stopped{left}")?;
        }
        Ok(Ended::Well)
    }
}

impl Task {
    fn picture(item: Item) -> Self {
        Self::Picture(Box::new(item))
    }
}

fn ended_well(finished: Result<Finished, tokio::task::JoinError>) -> Finished {
    match finished {
        Ok(finished) => finished,
        // Tasks are never cancelled.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn picture(processor: Processor, item: Item, memory: Admission) -> Finished {
    let key = item.candidate.listed.key.clone();
    // A signal lets it finish, so nothing ever interrupts it.
    let (never, hidden) = (AtomicBool::new(false), Progress::new(0, true));
    let ran = admitted(&processor, item, &memory, &never, &hidden).await;
    Finished {
        key,
        ran,
        had_renditions: false,
    }
}

async fn removal(
    processor: Processor,
    key: String,
    name: String,
    output: Arc<dyn BlobStore>,
) -> Finished {
    let began = Instant::now();
    let manifest = processor.recipe().output.manifest_key(&key);
    let had_renditions = output.head(&manifest).await.is_ok();
    // The hint may be old: the engine looks at the source before anything is removed.
    let outcome = processor.process(&Job::removal(&key)).await;
    let ran = Ran {
        milliseconds: milliseconds_since(began),
        key: Some(key.clone()),
        ..Ran::settled(name, outcome)
    };
    Finished {
        key,
        ran,
        had_renditions,
    }
}
