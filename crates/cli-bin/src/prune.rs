//! `--prune`: what was made from sources that are gone is shown, asked about, and removed.
//!
//! A manifest says of which key a rendition was made, and not from which folder or bucket. So an orphan may be
//! one of another folder that was converted to the same place; what is done about that is to refuse whatever
//! shows that the inputs are not all there is, and to show everything first.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use bytesize::ByteSize;
use futures_util::{StreamExt, stream};
use pixmill::error::{Error, StoreErrorKind};
use pixmill::plan::{Action, Orphan, Plan};
use pixmill::ports::BlobStore;
use pixmill::process::Processor;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::args::Work;
use crate::inputs::Inputs;
use crate::place::Place;
use crate::run::shown;

/// How many sources are looked for, or orphans removed, at once.
const AT_ONCE: usize = 16;

/// One orphan, and why it has to stay if it has to.
pub(crate) struct Found {
    pub(crate) orphan: Orphan,
    /// None where its source is gone and nothing else speaks for keeping it.
    pub(crate) kept: Option<String>,
}

/// Refuses arguments under which something that is there would look as if it were gone.
pub(crate) fn check_arguments(work: &Work) -> anyhow::Result<()> {
    if work.inventory.is_some() {
        bail!(
            "--prune can't be used with --inventory: an inventory is a snapshot of the past; name the bucket itself"
        );
    }
    let [_] = work.inputs.as_slice() else {
        bail!(
            "--prune takes exactly one input, the whole folder or prefix that the output is made from; everything \
             that is not in it would be removed"
        );
    };
    if !(work.include.is_empty() && work.exclude.is_empty() && work.files_from.is_none()) {
        bail!(
            "--prune can't be used with --include, --exclude or --files-from: what they leave out would look as if \
             it were gone"
        );
    }
    Ok(())
}

/// Refuses inputs under which something that is there would look as if it were gone.
pub(crate) fn check_inputs(inputs: &Inputs) -> anyhow::Result<()> {
    if inputs.candidates.iter().any(|candidate| candidate.named) {
        bail!(
            "--prune takes a folder or a prefix, not one picture: everything else would be removed"
        );
    }
    let mut settled = inputs.settled.iter();
    if let Some((name, _)) = settled.find(|(_, outcome)| outcome.error().is_some()) {
        bail!(
            "nothing is pruned, because {} can't be read: what lies in it would look as if it were gone",
            shown(name)
        );
    }
    if inputs.candidates.is_empty() {
        bail!(
            "nothing is pruned, because the input is empty; is it the right one, and is it mounted?"
        );
    }
    Ok(())
}

/// Refuses an output of which nothing was made from these inputs: they are the wrong ones.
pub(crate) fn check_plan(plan: &Plan, work: &Work) -> anyhow::Result<()> {
    let is_known = |action: &Action| matches!(action, Action::Update(_) | Action::Keep { .. });
    if !plan.orphans.is_empty() && !plan.items.iter().any(|item| is_known(&item.action)) {
        bail!(
            "nothing is pruned, because nothing in {} was made from {}; is that the folder or prefix that it was made from?",
            work.output.display(),
            work.inputs[0].display()
        );
    }
    Ok(())
}

/// Looks for the source of each orphan where the inputs lie.
pub(crate) async fn look(sources: &Arc<dyn BlobStore>, orphans: Vec<Orphan>) -> Vec<Found> {
    let looks = stream::iter(orphans).map(async |orphan| {
        let kept = match (&orphan.shared, sources.head(&orphan.source).await) {
            (Some(key), _) => Some(format!("{key:?} belongs to another source too")),
            (None, Ok(_)) => Some("its source is there".to_owned()),
            (None, Err(error)) if error.kind() == StoreErrorKind::NotFound => None,
            (None, Err(error)) => Some(format!("its source can't be looked for: {error}")),
        };
        Found { orphan, kept }
    });
    looks.buffered(AT_ONCE).collect().await
}

/// What there is of an orphan, in words.
pub(crate) fn describe(orphan: &Orphan) -> String {
    let size = ByteSize(orphan.bytes).display().iec();
    let mut parts = Vec::new();
    if orphan.manifest.is_some() {
        parts.push(format!("{} renditions, {size}", orphan.renditions.len()));
    }
    if orphan.failure.is_some() {
        parts.push("a failure record".to_owned());
    }
    parts.join(" and ")
}

/// Shows what would be removed and what stays.
pub(crate) fn show(found: &[Found], out: &mut dyn Write) -> io::Result<()> {
    for Found { orphan, kept } in found {
        let (name, what) = (shown(&orphan.source), describe(orphan));
        match kept {
            None => writeln!(out, "prune      {name}: {what}")?,
            Some(why) => writeln!(out, "keep       {name}: {}", shown(why))?,
        }
    }
    Ok(())
}

/// Whether the person agrees; `--yes` has agreed already. Where there is nothing to remove, nobody is asked.
pub(crate) async fn is_agreed(found: &[Found], yes: bool, output: &Place) -> io::Result<bool> {
    let prunable = found.iter().filter(|found| found.kept.is_none());
    let (sources, bytes) = prunable.fold((0, 0), |(sources, bytes), found| {
        (sources + 1, bytes + found.orphan.bytes)
    });
    if yes || sources == 0 {
        return Ok(sources > 0);
    }
    let size = ByteSize(bytes).display().iec();
    eprint!("Remove from {output} what was made from these {sources} sources ({size})? [y/N] ");
    io::stderr().flush()?;
    // On a thread of its own, which nobody waits for: Ctrl-C must end the question.
    let (send, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| line);
        let _ = send.send(read);
    });
    let line = answer.await.map_err(io::Error::other)??;
    let word = line.trim().to_ascii_lowercase();
    Ok(matches!(word.as_str(), "y" | "yes"))
}

/// Whether there is a person to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What became of one orphan: removed, or its source is there after all.
pub(crate) type Removed = (Orphan, Result<bool, Error>);

/// Removes what may be removed, until interrupted. Each source is looked for again, before and after.
pub(crate) fn carry_out<'a>(
    processor: &'a Processor,
    found: Vec<Found>,
    interrupted: &'a AtomicBool,
) -> impl stream::Stream<Item = Removed> + 'a {
    let prunable = found.into_iter().filter(|found| found.kept.is_none());
    let prunable = prunable.take_while(|_| !interrupted.load(Ordering::Relaxed));
    stream::iter(prunable)
        .map(async |Found { orphan, .. }| {
            let removed = processor.prune(&orphan.source).await;
            (orphan, removed)
        })
        .buffered(AT_ONCE)
}

/// An orphan as one line of JSON.
pub(crate) fn orphan_line(orphan: &Orphan) -> Value {
    json!({
        "orphan": orphan.source,
        "manifest": orphan.manifest,
        "failure": orphan.failure,
        "renditions": orphan.renditions,
        "bytes": orphan.bytes,
    })
}
