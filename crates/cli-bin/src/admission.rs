//! What pictures at work may have of the machine: memory, handed out before they are read, turns at
//! its cores, and time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use pixmill::process::{ProcessOptions, Processor, given_up_after};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::args::Share;
use crate::machine;

/// How long one picture may be rendered, unless somebody says otherwise: above what the dearest picture of the default
/// limits takes in AVIF, at its best effort, on one slow core.
pub(crate) const TIME_LIMIT: Duration = Duration::from_mins(30);

/// Memory is handed out in pieces of this many bytes.
const PIECE: u64 = 1 << 20;

/// How many pictures are on their way between buckets beside those that are rendered. A small picture is rendered in
/// a tenth of a second and waits for eight answers, one after the other.
pub(crate) const ON_THEIR_WAY: usize = 16;

/// The machine's share: how many pictures are rendered at once, how many threads each, how much memory in all, and how
/// long one may take.
pub(crate) struct Budget {
    pub(crate) jobs: usize,
    pub(crate) threads: NonZeroUsize,
    pub(crate) memory: u64,
    time_limit: Duration,
}

impl Budget {
    /// The share of so many pictures, within what was asked for.
    pub(crate) fn of(share: &Share, pictures: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let jobs = share.jobs.map_or(cores, usize::from);
        // Jobs times threads is the number of cores: fewer pictures than jobs get more threads each.
        let busy = jobs.min(pictures).max(1);
        let threads = NonZeroUsize::new(cores / busy).unwrap_or(NonZeroUsize::MIN);
        let memory = share.memory.map(|size| size.as_u64());
        Self {
            jobs,
            threads,
            memory: memory.unwrap_or_else(|| machine::memory_to_spare(busy + cores)),
            time_limit: share.time_limit.unwrap_or(TIME_LIMIT),
        }
    }

    /// What a job may have of it.
    pub(crate) fn options(&self) -> ProcessOptions {
        ProcessOptions {
            threads: self.threads,
            memory: Some(self.memory),
            time_limit: Some(self.time_limit),
            ..ProcessOptions::default()
        }
    }

    /// Turns for the jobs.
    pub(crate) fn turns(&self) -> Turns {
        Turns {
            free: Arc::new(Semaphore::new(self.jobs.max(1))),
            time_limit: self.time_limit,
        }
    }
}

/// So much memory, in bytes, for all pictures at work together.
#[derive(Clone)]
pub(crate) struct Admission {
    pieces: usize,
    left: Arc<Semaphore>,
}

impl Admission {
    pub(crate) fn of(memory: u64) -> Self {
        let pieces = usize::try_from(memory / PIECE).unwrap_or(usize::MAX);
        let pieces = pieces.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            pieces,
            left: Arc::new(Semaphore::new(pieces)),
        }
    }

    /// Waits until there is so much, and keeps it until the answer is dropped. Who needs more than there is
    /// works alone.
    pub(crate) async fn admit(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let wanted = usize::try_from(bytes / PIECE).unwrap_or(usize::MAX);
        let wanted = u32::try_from(wanted.clamp(1, self.pieces)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.left.clone().acquire_many_owned(wanted).await.ok()
    }
}

/// Turns at blocking work: more pictures than that may be on their way to and from buckets.
#[derive(Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    time_limit: Duration,
}

impl Turns {
    /// The processor, whose blocking work goes by these turns.
    pub(crate) fn given_to(self, processor: Processor) -> Processor {
        processor
            .with_blocking(move |work| self.run(work))
            .with_timer(|time| Box::pin(tokio::time::sleep(time)))
    }

    /// Does the work on a thread of its own, once it is its turn.
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let (free, patience) = (self.free.clone(), given_up_after(self.time_limit));
        tokio::spawn(async move {
            let _turn = free.acquire_owned().await;
            // A panic in there has dropped its answer, which tells the one who waits for it. What outlasts its time was
            // given up by its job, and must not keep its turn from the others.
            let work = tokio::task::spawn_blocking(work);
            let _ = tokio::time::timeout(patience, work).await;
        });
    }
}
