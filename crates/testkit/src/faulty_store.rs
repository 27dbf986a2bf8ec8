//! A store that fails or stops on cue: for crashes and retries, the same way every time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, future};
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::ports::{Blob, BlobStore, Condition, Fetched, Head, Listed};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has no effect: the request never arrived.
    FailBefore(StoreErrorKind),
    /// It takes effect and fails all the same: the answer was lost on the way.
    FailAfter(StoreErrorKind),
    /// Neither this call nor any later one ever returns, and this one has no effect: a crash
    /// just before it.
    StopBefore,
    /// Neither this call nor any later one ever returns, and this one took effect: a crash just
    /// after it.
    StopAfter,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which function of the port: `get`, `head`, `put`, `list` or `delete`.
    pub function: &'static str,
    /// Its key, or a listing's prefix.
    pub key: String,
}

/// Any store, with faults at chosen calls. Clones share the count, the plan and the store.
///
/// Calls are counted from 1, all functions together, in the order in which they are first polled
/// (a listing: when its first line is asked for). To crash a job, let it stop, and drop its future
/// once [`FaultyStore::has_stopped`] says so.
///
/// ```
/// use pixmill::error::StoreErrorKind;
/// use pixmill::memory::MemoryStore;
/// use pixmill::ports::BlobStore;
/// use pixmill_testkit::faulty_store::{Fault, FaultyStore};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let store = FaultyStore::new(MemoryStore::new());
/// store.plan(2, Fault::FailBefore(StoreErrorKind::Unavailable));
/// let first = store.head("a").await.unwrap_err();
/// assert_eq!(first.kind(), StoreErrorKind::NotFound);
/// let second = store.head("a").await.unwrap_err();
/// assert_eq!(second.kind(), StoreErrorKind::Unavailable);
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: Arc<S>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    plan: BTreeMap<usize, Fault>,
    random: Option<Random>,
    stopped: bool,
}

#[derive(Debug)]
struct Random {
    seed: u64,
    one_in: u64,
    kind: StoreErrorKind,
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S: BlobStore> FaultyStore<S> {
    /// `inner` without any faults yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
        }
    }

    /// The `nth` call from the beginning (the first is 1) meets `fault`.
    pub fn plan(&self, nth: usize, fault: Fault) {
        self.lock().plan.insert(nth, fault);
    }

    /// From now on about one call in `one_in` fails with `kind`, half of these after it took
    /// effect. The same seed and the same calls give the same failures; planned faults go first.
    pub fn fail_at_random(&self, seed: u64, one_in: u64, kind: StoreErrorKind) {
        self.lock().random = Some(Random { seed, one_in, kind });
    }

    /// No more faults, planned or random, and calls return again.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.plan.clear();
        state.random = None;
        state.stopped = false;
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Whether a planned stop was reached.
    pub fn has_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// The store underneath, to look at what a crash left.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what happens to it.
    fn next(&self, function: &'static str, key: &str) -> Option<Fault> {
        let mut state = self.lock();
        if state.stopped {
            // A process that has crashed makes no calls.
            return Some(Fault::StopBefore);
        }
        state.calls.push(Call {
            function,
            key: key.to_owned(),
        });
        let nth = state.calls.len();
        let fault = state.plan.get(&nth).copied();
        let fault = fault.or_else(|| state.random.as_mut().and_then(Random::next));
        state.stopped = matches!(fault, Some(Fault::StopBefore | Fault::StopAfter));
        fault
    }

    /// Runs `call` as the plan says.
    async fn run<T>(
        &self,
        function: &'static str,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let failure = |kind| Err(StoreError::new(kind, key).because("this call fails on cue"));
        match self.next(function, key) {
            None => call.await,
            Some(Fault::FailBefore(kind)) => failure(kind),
            Some(Fault::FailAfter(kind)) => {
                // A call that failed by itself had no effect, and its own answer is what is lost.
                let _ = call.await;
                failure(kind)
            }
            Some(Fault::StopBefore) => future::pending().await,
            Some(Fault::StopAfter) => {
                let _ = call.await;
                future::pending().await
            }
        }
    }
}

impl Random {
    fn next(&mut self) -> Option<Fault> {
        // SplitMix64: one addition and a good mixing are all the randomness that is needed.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if !(z >> 1).is_multiple_of(self.one_in) {
            None
        } else if z & 1 == 0 {
            Some(Fault::FailBefore(self.kind))
        } else {
            Some(Fault::FailAfter(self.kind))
        }
    }
}

#[async_trait]
impl<S: BlobStore + 'static> BlobStore for FaultyStore<S> {
    async fn get(
        &self,
        key: &str,
        max_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        let call = self.inner.get(key, max_bytes, range);
        self.run("get", key, call).await
    }

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        self.run("head", key, self.inner.head(key)).await
    }

    async fn put(&self, key: &str, blob: Blob, condition: Condition) -> Result<Head, StoreError> {
        let call = self.inner.put(key, blob, condition);
        self.run("put", key, call).await
    }

    /// A fault *before* comes in the place of the first line, a fault *after* behind the last.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed, StoreError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let lines = async move {
            let failure = |kind| {
                let error = StoreError::new(kind, prefix.clone());
                stream::iter([Err(error.because("this call fails on cue"))])
            };
            match store.next("list", &prefix) {
                None => store.inner.list(&prefix),
                Some(Fault::FailBefore(kind)) => failure(kind).boxed(),
                Some(Fault::FailAfter(kind)) => {
                    store.inner.list(&prefix).chain(failure(kind)).boxed()
                }
                Some(Fault::StopBefore) => stream::pending().boxed(),
                Some(Fault::StopAfter) => {
                    store.inner.list(&prefix).chain(stream::pending()).boxed()
                }
            }
        };
        stream::once(lines).flatten().boxed()
    }

    async fn delete(&self, key: &str, condition: Condition) -> Result<(), StoreError> {
        let call = self.inner.delete(key, condition);
        self.run("delete", key, call).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use pixmill::memory::MemoryStore;

    use super::*;

    const DOWN: StoreErrorKind = StoreErrorKind::Unavailable;

    fn put(store: &FaultyStore<MemoryStore>) -> Option<Result<Head, StoreError>> {
        let put = store.put("a", Blob::default(), Condition::Always);
        put.now_or_never()
    }

    #[test]
    fn a_failure_before_has_no_effect_and_a_failure_after_has() {
        let store = FaultyStore::new(MemoryStore::new());
        store.plan(1, Fault::FailBefore(DOWN));
        store.plan(2, Fault::FailAfter(DOWN));
        let error = put(&store).expect("an answer").expect_err("it fails");
        assert_eq!(error.kind(), DOWN);
        assert!(store.inner().keys().is_empty());
        put(&store).expect("an answer").expect_err("it fails");
        assert_eq!(store.inner().keys(), ["a"]);
        put(&store)
            .expect("an answer")
            .expect("no fault is planned");
    }

    #[test]
    fn after_a_stop_no_call_returns_or_has_effect_until_it_is_healed() {
        let store = FaultyStore::new(MemoryStore::new());
        store.plan(1, Fault::StopAfter);
        assert!(put(&store).is_none());
        assert!(store.has_stopped());
        assert_eq!(store.inner().writes(), 1);
        assert!(put(&store).is_none());
        assert!(store.list("").next().now_or_never().is_none());
        assert_eq!(store.inner().writes(), 1);
        assert_eq!(store.calls().len(), 1);
        store.heal();
        put(&store).expect("an answer").expect("healed");
    }

    #[test]
    fn a_listing_can_break_at_its_beginning_and_at_its_end() {
        let store = FaultyStore::new(MemoryStore::new());
        store.inner().insert("a", "x");
        store.plan(1, Fault::FailBefore(DOWN));
        store.plan(2, Fault::FailAfter(DOWN));
        let lines = |store: &FaultyStore<MemoryStore>| -> Vec<bool> {
            let lines = store.list("").map(|line| line.is_ok());
            lines.collect().now_or_never().expect("a listing")
        };
        assert_eq!(lines(&store), [false]);
        assert_eq!(lines(&store), [true, false]);
        assert_eq!(lines(&store), [true]);
    }

    #[test]
    fn the_same_seed_fails_the_same_calls_and_about_as_many_as_asked_for() {
        let failures = |seed| -> Vec<bool> {
            let store = FaultyStore::new(MemoryStore::new());
            store.fail_at_random(seed, 4, DOWN);
            let puts = (0..400).map(|_| put(&store).expect("an answer").is_err());
            puts.collect()
        };
        assert_eq!(failures(7), failures(7));
        assert_ne!(failures(7), failures(8));
        let failed = failures(7).into_iter().filter(|failed| *failed).count();
        assert!((60..140).contains(&failed), "{failed} of 400");
    }
}
