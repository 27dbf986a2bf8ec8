//! What pictures at work may have of the machine: memory, handed out before they are read, and turns at
//! its cores.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is handed out in pieces of this many bytes.
const PIECE: u64 = 1 << 20;

/// How many pictures are on their way between buckets beside those that are rendered. A small picture is rendered in
/// a tenth of a second and waits for eight answers, one after the other.
pub(crate) const ON_THEIR_WAY: usize = 16;

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
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn of(jobs: usize) -> Self {
        Self(Arc::new(Semaphore::new(jobs.max(1))))
    }

    /// Does the work on a thread of its own, once it is its turn.
    pub(crate) fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let turns = self.0.clone();
        tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            // A panic in there has dropped its answer, which tells the one who waits for it.
            let _ = tokio::task::spawn_blocking(work).await;
        });
    }
}
