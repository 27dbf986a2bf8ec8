//! Jobs that go one store call at a time, so that a test decides which of them goes next.
//!
//! Each job gets a [`GatedStore`] over the shared store and is driven by a [`SteppedJob`]; the
//! order of the steps is the interleaving. No runtime, no threads, no clock: the same order gives
//! the same run.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use pixmill::error::StoreError;
use pixmill::ports::{Blob, BlobStore, Condition, Fetched, Head, Listed};

/// What a call waits at. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    waiting: Arc<Mutex<VecDeque<Arc<Visitor>>>>,
}

#[derive(Debug, Default)]
struct Visitor {
    may_pass: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    /// A gate that lets nobody pass yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits to be let pass.
    pub async fn pass(&self) {
        let visitor = Arc::new(Visitor::default());
        self.lock().push_back(Arc::clone(&visitor));
        let _leaves = Leaves {
            gate: self,
            visitor: &visitor,
        };
        poll_fn(|context| {
            if visitor.may_pass.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            let waker = visitor.waker.lock();
            *waker.unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How many calls wait here.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Lets the call pass that has waited longest; says whether there was one.
    pub fn let_one_pass(&self) -> bool {
        let Some(first) = self.lock().pop_front() else {
            return false;
        };
        first.may_pass.store(true, Ordering::SeqCst);
        let waker = first.waker.lock();
        if let Some(waker) = waker.unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Visitor>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is given up leaves the queue.
struct Leaves<'a> {
    gate: &'a Gate,
    visitor: &'a Arc<Visitor>,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut waiting = self.gate.lock();
        waiting.retain(|other| !Arc::ptr_eq(other, self.visitor));
    }
}

/// Any store, each call of which waits at a gate before it begins.
#[derive(Clone, Debug)]
pub struct GatedStore<S> {
    inner: S,
    gate: Gate,
}

impl<S> GatedStore<S> {
    /// `inner` behind `gate`.
    pub fn new(inner: S, gate: Gate) -> Self {
        Self { inner, gate }
    }
}

#[async_trait]
impl<S: BlobStore + Clone + 'static> BlobStore for GatedStore<S> {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        self.gate.pass().await;
        self.inner.get(key, max_bytes, range).await
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        self.gate.pass().await;
        self.inner.head(key).await
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        self.gate.pass().await;
        self.inner.put(key, blob, condition).await
    }

    /// The whole listing is one step.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let lines = async move {
            store.gate.pass().await;
            store.inner.list(&prefix)
        };
        stream::once(lines).flatten().boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        self.gate.pass().await;
        self.inner.delete(key, condition).await
    }
}

/// A job that goes from one store call to the next when it is told to.
///
/// The stores underneath must answer at once (the in-memory store does), and the job must do its
/// other work within its own polls. Dropping a job between two steps is a crash.
///
/// ```
/// use std::task::Poll;
/// use pixmill::memory::MemoryStore;
/// use pixmill::ports::{Blob, BlobStore, Condition};
/// use pixmill_testkit::gated_store::SteppedJob;
///
/// let store = MemoryStore::new();
/// let mut job = SteppedJob::new(store.clone(), |store| async move {
///     store.put("a", Blob::default(), Condition::Always).await.unwrap();
///     store.put("b", Blob::default(), Condition::Always).await.unwrap();
/// });
/// assert!(store.keys().is_empty());
/// assert_eq!(job.step(), Poll::Pending);
/// assert_eq!(store.keys(), ["a"]);
/// assert_eq!(job.step(), Poll::Ready(()));
/// assert_eq!(store.keys(), ["a", "b"]);
/// ```
pub struct SteppedJob<'a, T> {
    gate: Gate,
    job: Pin<Box<dyn Future<Output = T> + 'a>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'a, T> SteppedJob<'a, T> {
    /// The job that `make` makes of a store whose calls wait for this job's steps.
    pub fn new<S, F>(store: S, make: impl FnOnce(GatedStore<S>) -> F) -> Self
    where
        F: Future<Output = T> + 'a,
    {
        let gate = Gate::new();
        let job = make(GatedStore::new(store, gate.clone()));
        Self::behind(gate, job)
    }

    /// A job that uses several stores behind one `gate`.
    pub fn behind(gate: Gate, job: impl Future<Output = T> + 'a) -> Self {
        Self {
            gate,
            job: Box::pin(job),
            // It has never been polled.
            woken: Arc::new(Woken(AtomicBool::new(true))),
        }
    }

    /// Lets one store call happen, and the job go on to its next call or to its end.
    ///
    /// # Panics
    ///
    /// When the job waits for anything but its gate, or is stepped after its end.
    pub fn step(&mut self) -> Poll<T> {
        // The first time: to the first call.
        if let Poll::Ready(end) = self.settle() {
            return Poll::Ready(end);
        }
        assert!(self.gate.let_one_pass(), "the job waits, but for no call");
        self.settle()
    }

    /// Steps to the end.
    ///
    /// # Panics
    ///
    /// As [`SteppedJob::step`] does.
    pub fn finish(mut self) -> T {
        loop {
            if let Poll::Ready(end) = self.step() {
                return end;
            }
        }
    }

    /// Polls until the job has nothing to do but to wait.
    fn settle(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        while self.woken.0.swap(false, Ordering::SeqCst) {
            let polled = self.job.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pixmill::memory::MemoryStore;

    use super::*;

    async fn add_one(store: GatedStore<MemoryStore>) {
        let seen = store.get("n", 9, None).await.expect("a number").bytes;
        let bytes = vec![seen[0] + 1].into();
        let blob = Blob {
            bytes,
            ..Blob::default()
        };
        let put = store.put("n", blob, Condition::Always).await;
        put.expect("a put");
    }

    #[test]
    fn the_order_of_steps_is_the_interleaving() {
        let mut ends = BTreeSet::new();
        for order in [[0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1]] {
            let store = MemoryStore::new();
            store.insert("n", vec![0]);
            let mut jobs = [0, 1].map(|_| SteppedJob::new(store.clone(), add_one));
            for job in order {
                let _ = jobs[job].step();
            }
            ends.insert((order, store.read("n").expect("a number").bytes[0]));
        }
        let expected = [([0, 0, 1, 1], 2), ([0, 1, 0, 1], 1), ([1, 0, 0, 1], 1)];
        assert_eq!(ends, expected.into());
    }

    #[test]
    fn calls_made_together_go_one_by_one_too() {
        let store = MemoryStore::new();
        let mut job = SteppedJob::new(store.clone(), |store| async move {
            let puts = ["a", "b", "c"].map(|key| {
                let store = store.clone();
                async move { store.put(key, Blob::default(), Condition::Always).await }
            });
            futures_util::future::join_all(puts).await.len()
        });
        for written in 1..=2 {
            assert_eq!(job.step(), Poll::Pending);
            assert_eq!(store.keys().len(), written);
        }
        assert_eq!(job.step(), Poll::Ready(3));
    }

    #[test]
    fn a_call_that_is_given_up_no_longer_waits() {
        let gate = Gate::new();
        let store = GatedStore::new(MemoryStore::new(), gate.clone());
        let mut call = store.head("a");
        let waker = Waker::noop();
        let polled = call.as_mut().poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
        assert_eq!(gate.waiting(), 1);
        drop(call);
        assert_eq!(gate.waiting(), 0);
    }
}
