//! The contract of [`BlobStore`], one function per promise, for every adapter there is.
//!
//! [`blob_store_contract!`](crate::blob_store_contract) turns each function into a test of that
//! name. The promises assume nothing of files or of a service: an adapter may refuse odd names
//! with `Denied` and may drop metadata, but whatever it accepts it must keep.

#![expect(
    clippy::missing_panics_doc,
    reason = "a promise panics when it is broken: that is all it is for"
)]

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use pixmill::error::{StoreError, StoreErrorKind};
use pixmill::ports::{Blob, BlobStore, Condition, Etag, Listed};

/// How many tasks race for one object.
const RACERS: usize = 8;
/// How often a race is run: one alone seldom hits the moment between a check and its write.
const ROUNDS: usize = 60;

/// A fresh, empty store to hold against the contract, with what must outlive it.
pub struct Subject {
    store: Arc<dyn BlobStore>,
    excused: &'static [&'static str],
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// The store alone.
    pub fn new(store: impl BlobStore + 'static) -> Self {
        Self {
            store: Arc::new(store),
            excused: &[],
            _kept: None,
        }
    }

    /// The store and something to be dropped after it: a temporary folder, a server.
    pub fn keeping(store: impl BlobStore + 'static, kept: impl Any + Send + Sync) -> Self {
        Self {
            store: Arc::new(store),
            excused: &[],
            _kept: Some(Box::new(kept)),
        }
    }

    /// The same, not held to these promises: for emulators, which are not ours to mend. Say why beside the list.
    ///
    /// They are not tried at all, because what an emulator breaks, it often breaks only by chance.
    #[must_use]
    pub fn excused(mut self, promises: &'static [&'static str]) -> Self {
        self.excused = promises;
        self
    }
}

/// Runs one promise against a fresh store, on a tokio runtime with real threads.
pub fn hold<F: Future<Output = ()>>(
    name: &str,
    subject: impl Future<Output = Subject>,
    promise: impl FnOnce(Arc<dyn BlobStore>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a tokio runtime");
    runtime.block_on(async {
        let subject = subject.await;
        if subject.excused.contains(&name) {
            println!("not tried: {name}");
        } else {
            promise(Arc::clone(&subject.store)).await;
        }
    });
}

/// One `#[test]` per promise of the [`BlobStore`](pixmill::ports::BlobStore) contract.
///
/// The expression makes a [`Subject`] with a fresh, empty store; it may `.await`. An attribute before it is put
/// on every test (`#[ignore = "needs a server"]`).
///
/// ```
/// # mod tests {
/// use pixmill::memory::MemoryStore;
/// use pixmill_testkit::store_contract::Subject;
///
/// pixmill_testkit::blob_store_contract!(Subject::new(MemoryStore::new()));
/// # }
/// ```
#[macro_export]
macro_rules! blob_store_contract {
    (@all $attributes:tt $subject:expr) => {
        $crate::blob_store_contract! { @each $attributes $subject;
            what_is_put_is_found_under_exactly_that_key
            an_object_without_bytes_is_an_object
            put_head_get_and_list_agree_on_size_and_etag
            a_second_put_replaces_the_first_whole
            other_content_of_the_same_size_has_another_etag_however_fast_it_is_put
            a_missing_object_is_not_found_and_the_error_names_it
            unusual_names_are_kept_as_they_are
            a_name_that_a_store_cannot_hold_is_denied_and_never_bent
            a_name_below_another_object_is_kept_or_denied
            a_name_that_only_begins_like_an_object_is_no_object
            metadata_comes_back_as_it_was_put_or_not_at_all
            a_get_refuses_what_is_larger_than_the_limit
            a_range_gives_its_bytes_and_the_head_of_the_whole
            a_range_is_cut_at_the_end_and_empty_after_it
            a_limit_counts_only_the_part_of_a_range_that_exists
            put_if_absent_writes_once_and_then_conflicts
            put_if_absent_writes_again_after_a_delete
            put_if_match_replaces_the_matched_object_only
            put_if_match_conflicts_where_nothing_is
            put_if_match_conflicts_after_delete_and_rewrite
            a_put_that_conflicts_changes_nothing
            an_empty_store_lists_nothing
            a_prefix_is_text_and_not_a_folder
            a_listing_shows_every_object_once_however_many_there_are
            a_listing_outlives_the_call_and_may_be_dropped_early
            a_listing_shows_each_untouched_object_once_while_others_come_and_go
            a_deleted_object_is_gone_from_every_call
            deleting_what_is_not_there_succeeds_under_every_condition
            delete_if_match_removes_the_matched_object_only
            delete_if_absent_conflicts_where_an_object_is
            a_delete_leaves_its_neighbours_alone
            of_racing_put_if_absent_exactly_one_wins
            of_racing_put_if_match_exactly_one_wins
            of_a_racing_put_and_delete_if_match_exactly_one_wins
            racing_read_and_put_if_match_loses_no_update
            a_reader_sees_whole_objects_while_they_are_replaced
            objects_come_and_go_in_one_place_without_disturbing_each_other
        }
    };
    (@each $attributes:tt $subject:expr; $($promise:ident)+) => {
        $( $crate::blob_store_contract! { @one $attributes $promise $subject } )+
    };
    (@one [$($attributes:tt)*] $promise:ident $subject:expr) => {
        #[test]
        $($attributes)*
        fn $promise() {
            $crate::store_contract::hold(
                stringify!($promise),
                async { $subject },
                $crate::store_contract::$promise,
            );
        }
    };
    (#[$attribute:meta] $subject:expr) => {
        $crate::blob_store_contract! { @all [#[$attribute]] $subject }
    };
    ($subject:expr) => {
        $crate::blob_store_contract! { @all [] $subject }
    };
}

fn blob(bytes: impl Into<Bytes>) -> Blob {
    Blob {
        bytes: bytes.into(),
        content_type: "application/octet-stream".to_owned(),
        ..Blob::default()
    }
}

async fn put(store: &dyn BlobStore, key: &str, bytes: impl Into<Bytes>) -> Etag {
    let put = store.put(key, blob(bytes), Condition::Always).await;
    put.expect("a put without condition").etag
}

async fn read(store: &dyn BlobStore, key: &str) -> Bytes {
    let fetched = store.get(key, u64::MAX, None).await;
    fetched.expect("an object that was put").bytes
}

async fn list(store: &dyn BlobStore, prefix: &str) -> Vec<Listed> {
    let listed: Result<Vec<_>, _> = store.list(prefix).try_collect().await;
    listed.expect("a listing")
}

async fn keys(store: &dyn BlobStore, prefix: &str) -> Vec<String> {
    let listed = list(store, prefix).await;
    let mut keys: Vec<_> = listed.into_iter().map(|line| line.key).collect();
    keys.sort();
    keys
}

/// Asserts that the call failed with `kind` and that the error names `key`.
#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: StoreErrorKind, key: &str) {
    let error = result.expect_err("this call must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.key(), key, "{error}");
}

/// An object is found under its key, byte for byte.
pub async fn what_is_put_is_found_under_exactly_that_key(store: Arc<dyn BlobStore>) {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    put(&*store, "trip/day 1/cat.png", bytes.clone()).await;
    assert_eq!(read(&*store, "trip/day 1/cat.png").await, bytes);
    assert_eq!(keys(&*store, "").await, ["trip/day 1/cat.png"]);
}

/// Nothing is something: an object of no bytes can be put, found and listed.
pub async fn an_object_without_bytes_is_an_object(store: Arc<dyn BlobStore>) {
    put(&*store, "empty", Bytes::new()).await;
    let fetched = store.get("empty", 0, None).await.expect("an empty object");
    assert_eq!((fetched.bytes.len(), fetched.head.size), (0, 0));
    assert_eq!(keys(&*store, "").await, ["empty"]);
}

/// Every call describes the same object in the same way.
pub async fn put_head_get_and_list_agree_on_size_and_etag(store: Arc<dyn BlobStore>) {
    let put = store
        .put("a/b", blob("twelve bytes"), Condition::Always)
        .await;
    let put = put.expect("a put");
    let head = store.head("a/b").await.expect("a head");
    let got = store.get("a/b", 12, None).await.expect("a get").head;
    assert_eq!(put.size, 12);
    assert_eq!(head, put);
    assert_eq!(got, put);
    let line = Listed {
        key: "a/b".to_owned(),
        size: put.size,
        etag: put.etag,
    };
    assert_eq!(list(&*store, "").await, [line]);
}

/// Also when the second is shorter: nothing of the first shines through.
pub async fn a_second_put_replaces_the_first_whole(store: Arc<dyn BlobStore>) {
    let first = put(&*store, "a", "the first and longer").await;
    let second = put(&*store, "a", "the second").await;
    assert_ne!(first, second);
    assert_eq!(read(&*store, "a").await, "the second");
    assert_eq!(list(&*store, "").await.len(), 1);
}

/// No clock is coarse enough to hide a change of content.
pub async fn other_content_of_the_same_size_has_another_etag_however_fast_it_is_put(
    store: Arc<dyn BlobStore>,
) {
    let mut seen = BTreeSet::new();
    for n in 0..50_u8 {
        let etag = put(&*store, "a", vec![n; 16]).await;
        assert!(
            seen.insert(etag),
            "content {n} has the etag of an earlier one"
        );
        if n % 5 == 0 {
            let delete = store.delete("a", Condition::Always).await;
            delete.expect("a delete");
        }
    }
}

/// Reading what is not there fails with `NotFound`.
pub async fn a_missing_object_is_not_found_and_the_error_names_it(store: Arc<dyn BlobStore>) {
    put(&*store, "a/other", "x").await;
    for key in ["missing", "a/missing", "no/such/place"] {
        fails(store.head(key).await, StoreErrorKind::NotFound, key);
        let get = store.get(key, 10, None).await;
        fails(get, StoreErrorKind::NotFound, key);
        let get = store.get(key, 10, Some(0..1)).await;
        fails(get, StoreErrorKind::NotFound, key);
    }
}

/// Names that any store can hold, and that careless encoding would bend.
const UNUSUAL: [&str; 14] = [
    "with space",
    " leading and trailing ",
    "plus+percent%20hash#question?ampersand&equals=semicolon;",
    "%2e%2e",
    "quote\"apostrophe'`$(id)",
    "tab\there",
    "line\nbreak",
    "ünïcödé-日本語-🐈",
    ".hidden/.file",
    "...",
    "a.b..c",
    "-dash/--flag",
    "*[x]{y}<z>|",
    "trailing.",
];

/// What is put under a key is found, listed and deleted under that key, character for character.
pub async fn unusual_names_are_kept_as_they_are(store: Arc<dyn BlobStore>) {
    for key in UNUSUAL {
        put(&*store, key, key).await;
    }
    for key in UNUSUAL {
        assert_eq!(read(&*store, key).await, key, "{key:?}");
        assert_eq!(keys(&*store, key).await, [key]);
    }
    let all: BTreeSet<_> = keys(&*store, "").await.into_iter().collect();
    assert_eq!(all, UNUSUAL.map(str::to_owned).into_iter().collect());
    for key in UNUSUAL {
        let delete = store.delete(key, Condition::Always).await;
        delete.expect("a delete of what was put");
    }
    assert_eq!(list(&*store, "").await, []);
}

/// Names that some stores can't hold: there they are refused, elsewhere kept like any other.
pub async fn a_name_that_a_store_cannot_hold_is_denied_and_never_bent(store: Arc<dyn BlobStore>) {
    let long = "x".repeat(300);
    put(&*store, "a", "untouched").await;
    for key in [
        "",
        "/",
        ".",
        "..",
        "../a",
        "./a",
        "b/../a",
        "b/./a",
        "/a",
        "b//a",
        "a/",
        "b/",
        "nul\0",
        long.as_str(),
    ] {
        match store.put(key, blob("odd"), Condition::Always).await {
            Ok(_) => {
                assert_eq!(read(&*store, key).await, "odd", "{key:?}");
                let listed = keys(&*store, key).await;
                assert!(listed.iter().any(|k| k == key), "{key:?} is not listed");
                let delete = store.delete(key, Condition::Always).await;
                delete.expect("a delete of what was put");
            }
            error => fails(error, StoreErrorKind::Denied, key),
        }
        assert_eq!(read(&*store, "a").await, "untouched", "after {key:?}");
        assert_eq!(keys(&*store, "").await, ["a"], "after {key:?}");
    }
}

/// `a` and `a/b` live side by side in a bucket; a folder may refuse the second.
pub async fn a_name_below_another_object_is_kept_or_denied(store: Arc<dyn BlobStore>) {
    for (first, second) in [("a", "a/b"), ("c/d", "c")] {
        put(&*store, first, "first").await;
        match store.put(second, blob("second"), Condition::Always).await {
            Ok(_) => assert_eq!(read(&*store, second).await, "second"),
            error => {
                fails(error, StoreErrorKind::Denied, second);
                fails(store.head(second).await, StoreErrorKind::NotFound, second);
                let delete = store.delete(second, Condition::Always).await;
                delete.expect("a delete of what is not there");
            }
        }
        assert_eq!(read(&*store, first).await, "first");
    }
}

/// Neither a part of a name nor a name with more behind it finds anything.
pub async fn a_name_that_only_begins_like_an_object_is_no_object(store: Arc<dyn BlobStore>) {
    put(&*store, "trip/cat.png", "cat").await;
    for key in ["trip", "trip/cat", "trip/cat.png/small", "cat.png"] {
        fails(store.head(key).await, StoreErrorKind::NotFound, key);
        fails(store.get(key, 9, None).await, StoreErrorKind::NotFound, key);
        let delete = store.delete(key, Condition::Always).await;
        delete.expect("a delete of what is not there");
    }
    assert_eq!(keys(&*store, "").await, ["trip/cat.png"]);
}

/// A store that keeps metadata keeps all of it, in any script; a second put replaces it.
pub async fn metadata_comes_back_as_it_was_put_or_not_at_all(store: Arc<dyn BlobStore>) {
    let facts = [("source", "fotos/Mäuschen 🐭 \"x\".jpg"), ("plain", "a b")];
    let metadata: BTreeMap<_, _> = facts.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let with_facts = Blob {
        metadata: metadata.clone(),
        cache_control: Some("public, max-age=60".to_owned()),
        ..blob("x")
    };
    let put_one = store.put("a", with_facts, Condition::Always).await;
    let back = put_one.expect("a put with metadata").metadata;
    assert!(back.is_empty() || back == metadata, "{back:?}");
    assert_eq!(store.head("a").await.expect("a head").metadata, back);
    let got = store.get("a", 1, None).await.expect("a get");
    assert_eq!(got.head.metadata, back);
    put(&*store, "a", "y").await;
    let head = store.head("a").await.expect("a head");
    assert_eq!(head.metadata, BTreeMap::new());
}

/// At the limit it is given, one byte above it is refused.
pub async fn a_get_refuses_what_is_larger_than_the_limit(store: Arc<dyn BlobStore>) {
    put(&*store, "a", vec![7; 1000]).await;
    let fetched = store.get("a", 1000, None).await.expect("at the limit");
    assert_eq!(fetched.bytes.len(), 1000);
    for max in [0, 999] {
        let error = store.get("a", max, None).await.expect_err("over the limit");
        assert_eq!(error.key(), "a");
        let StoreErrorKind::TooLarge { size, max: said } = error.kind() else {
            panic!("not the kind for a large object: {error}");
        };
        assert_eq!(said, max);
        assert!(size.is_none_or(|size| size == 1000), "{error}");
    }
}

/// Part of the bytes, but size, etag and all of the object that they belong to.
pub async fn a_range_gives_its_bytes_and_the_head_of_the_whole(store: Arc<dyn BlobStore>) {
    put(&*store, "a", "0123456789").await;
    let head = store.head("a").await.expect("a head");
    for range in [0..1, 0..10, 3..7, 9..10] {
        let part = store.get("a", 10, Some(range.clone())).await;
        let part = part.expect("a range inside the object");
        let expected: String = range.map(|digit| digit.to_string()).collect();
        assert_eq!(part.bytes, expected);
        assert_eq!(part.head, head);
    }
}

/// A range may ask for more than there is.
pub async fn a_range_is_cut_at_the_end_and_empty_after_it(store: Arc<dyn BlobStore>) {
    put(&*store, "a", "0123456789").await;
    put(&*store, "empty", "").await;
    for (key, range, expected) in [
        ("a", 8..20, "89"),
        ("a", 0..u64::MAX, "0123456789"),
        ("a", 10..11, ""),
        ("a", 500..600, ""),
        ("a", 4..4, ""),
        ("empty", 0..16, ""),
    ] {
        let part = store.get(key, 100, Some(range.clone())).await;
        let part = part.expect("a range is never out of bounds");
        assert_eq!(part.bytes, expected, "{range:?}");
        assert_eq!(part.head.size, if key == "a" { 10 } else { 0 });
    }
}

/// Reading the header of a large picture needs no large limit.
pub async fn a_limit_counts_only_the_part_of_a_range_that_exists(store: Arc<dyn BlobStore>) {
    put(&*store, "a", vec![7; 1000]).await;
    let part = store.get("a", 10, Some(5..15)).await.expect("ten bytes");
    assert_eq!(part.bytes.len(), 10);
    let part = store.get("a", 10, Some(990..5000)).await;
    assert_eq!(part.expect("the ten that exist").bytes.len(), 10);
    let error = store.get("a", 10, Some(0..11)).await;
    let error = error.expect_err("eleven bytes are more than ten");
    let is_limit = matches!(error.kind(), StoreErrorKind::TooLarge { max: 10, .. });
    assert!(is_limit, "{error}");
}

/// `IfAbsent`: the first creates, the second is told.
pub async fn put_if_absent_writes_once_and_then_conflicts(store: Arc<dyn BlobStore>) {
    let first = store.put("a/b", blob("first"), Condition::IfAbsent).await;
    first.expect("nothing was there");
    let second = store.put("a/b", blob("second"), Condition::IfAbsent).await;
    fails(second, StoreErrorKind::Conflict, "a/b");
    assert_eq!(read(&*store, "a/b").await, "first");
}

/// `IfAbsent` speaks of now, not of ever.
pub async fn put_if_absent_writes_again_after_a_delete(store: Arc<dyn BlobStore>) {
    put(&*store, "a/b", "first").await;
    let delete = store.delete("a/b", Condition::Always).await;
    delete.expect("a delete");
    let again = store.put("a/b", blob("again"), Condition::IfAbsent).await;
    again.expect("nothing is there any more");
    assert_eq!(read(&*store, "a/b").await, "again");
}

/// `IfMatch`: the current etag replaces, an old one conflicts.
pub async fn put_if_match_replaces_the_matched_object_only(store: Arc<dyn BlobStore>) {
    let first = put(&*store, "a", "first").await;
    let matched = Condition::IfMatch(first.clone());
    let second = store.put("a", blob("second"), matched).await;
    let second = second.expect("the etag is the current one").etag;
    let late = store
        .put("a", blob("late"), Condition::IfMatch(first))
        .await;
    fails(late, StoreErrorKind::Conflict, "a");
    let third = store
        .put("a", blob("third"), Condition::IfMatch(second))
        .await;
    third.expect("the etag that a put returned is good for the next one");
    assert_eq!(read(&*store, "a").await, "third");
}

/// A missing object matches no etag: neither one that never was nor the one it had.
pub async fn put_if_match_conflicts_where_nothing_is(store: Arc<dyn BlobStore>) {
    let other = put(&*store, "other", "x").await;
    let never = store.put("a", blob("x"), Condition::IfMatch(other)).await;
    fails(never, StoreErrorKind::Conflict, "a");
    let had = put(&*store, "a", "x").await;
    let delete = store.delete("a", Condition::Always).await;
    delete.expect("a delete");
    let gone = store.put("a", blob("x"), Condition::IfMatch(had)).await;
    fails(gone, StoreErrorKind::Conflict, "a");
    assert_eq!(keys(&*store, "").await, ["other"]);
}

/// The etag of an object's former life does not match its next one.
pub async fn put_if_match_conflicts_after_delete_and_rewrite(store: Arc<dyn BlobStore>) {
    let first = put(&*store, "a", "first life").await;
    let delete = store.delete("a", Condition::Always).await;
    delete.expect("a delete");
    put(&*store, "a", "other life").await;
    let late = store
        .put("a", blob("late"), Condition::IfMatch(first))
        .await;
    fails(late, StoreErrorKind::Conflict, "a");
    assert_eq!(read(&*store, "a").await, "other life");
}

/// After a conflict everything is as it was, the etag too.
pub async fn a_put_that_conflicts_changes_nothing(store: Arc<dyn BlobStore>) {
    let stale = put(&*store, "a/b", "old").await;
    put(&*store, "a/b", "current").await;
    let before = list(&*store, "").await;
    for condition in [Condition::IfAbsent, Condition::IfMatch(stale)] {
        let refused = store.put("a/b", blob("refused"), condition).await;
        fails(refused, StoreErrorKind::Conflict, "a/b");
        assert_eq!(list(&*store, "").await, before);
        assert_eq!(read(&*store, "a/b").await, "current");
    }
}

/// Under no prefix.
pub async fn an_empty_store_lists_nothing(store: Arc<dyn BlobStore>) {
    for prefix in ["", "a", "a/", "a/b/c", "/", "../", "a//b"] {
        assert_eq!(list(&*store, prefix).await, [], "{prefix:?}");
    }
}

/// `a` finds `ab` and `a/b`; `a/` finds what is in the folder, however deep.
pub async fn a_prefix_is_text_and_not_a_folder(store: Arc<dyn BlobStore>) {
    let all = ["Z", "a-b", "a/b", "a/bc", "a/c/d/e", "ab", "b/a"];
    for key in all {
        put(&*store, key, key).await;
    }
    for (prefix, expected) in [
        ("", &all[..]),
        ("a", &all[1..6]),
        ("a/", &all[2..5]),
        ("a/b", &all[2..4]),
        ("a/bc", &all[3..4]),
        ("a/bcd", &[]),
        ("a/c", &all[4..5]),
        ("a/c/d/", &all[4..5]),
        ("ab", &all[5..6]),
        ("ab/", &[]),
        ("/a", &[]),
        ("b", &all[6..]),
        ("z", &[]),
    ] {
        assert_eq!(keys(&*store, prefix).await, expected, "{prefix:?}");
    }
}

/// More objects than a page of any store holds.
pub async fn a_listing_shows_every_object_once_however_many_there_are(store: Arc<dyn BlobStore>) {
    let names = (0..1100).map(|n| format!("many/{}/{n:04}", n % 3));
    let names: BTreeSet<String> = names.collect();
    let puts = futures_util::stream::iter(names.clone());
    let puts = puts.map(|key| {
        let store = Arc::clone(&store);
        async move { put(&*store, &key, "x").await }
    });
    puts.buffer_unordered(RACERS).count().await;
    let listed = keys(&*store, "many/").await;
    assert_eq!(listed.len(), names.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
}

/// The stream owns what it needs, and nobody has to read it to its end.
pub async fn a_listing_outlives_the_call_and_may_be_dropped_early(store: Arc<dyn BlobStore>) {
    put(&*store, "a", "x").await;
    put(&*store, "b", "x").await;
    let mut listing = {
        let prefix = String::new();
        store.list(&prefix)
    };
    listing.next().await.expect("a line").expect("no error");
    drop(listing);
    assert_eq!(keys(&*store, "").await, ["a", "b"]);
}

/// What is written meanwhile may or may not show; what stays must.
pub async fn a_listing_shows_each_untouched_object_once_while_others_come_and_go(
    store: Arc<dyn BlobStore>,
) {
    let staying: Vec<_> = (0..20).map(|n| format!("p/{n:02}/stays")).collect();
    for key in &staying {
        put(&*store, key, "x").await;
    }
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for n in 0..200 {
                let key = format!("p/{:02}/moves-{n}", n % 20);
                put(&*store, &key, "x").await;
                let delete = store.delete(&key, Condition::Always).await;
                delete.expect("a delete");
            }
        }
    });
    loop {
        let last = writer.is_finished();
        let mut listed = keys(&*store, "p/").await;
        listed.retain(|key| key.ends_with("stays"));
        assert_eq!(listed, staying);
        if last {
            break;
        }
    }
    writer.await.expect("the writer finished");
}

/// Head, get, list: none of them sees it any more.
pub async fn a_deleted_object_is_gone_from_every_call(store: Arc<dyn BlobStore>) {
    put(&*store, "a/b", "x").await;
    let delete = store.delete("a/b", Condition::Always).await;
    delete.expect("a delete");
    fails(store.head("a/b").await, StoreErrorKind::NotFound, "a/b");
    let get = store.get("a/b", 1, None).await;
    fails(get, StoreErrorKind::NotFound, "a/b");
    assert_eq!(list(&*store, "").await, []);
}

/// So that a delete can be tried again.
pub async fn deleting_what_is_not_there_succeeds_under_every_condition(store: Arc<dyn BlobStore>) {
    let other = put(&*store, "other/x", "x").await;
    for condition in [
        Condition::Always,
        Condition::IfAbsent,
        Condition::IfMatch(other),
    ] {
        for key in ["missing", "other/missing", "no/such/place"] {
            let delete = store.delete(key, condition.clone()).await;
            delete.expect("nothing to delete is a success");
        }
    }
    assert_eq!(keys(&*store, "").await, ["other/x"]);
}

/// `IfMatch`: an old etag conflicts and leaves the object, the current one removes it.
pub async fn delete_if_match_removes_the_matched_object_only(store: Arc<dyn BlobStore>) {
    let old = put(&*store, "a", "old").await;
    let current = put(&*store, "a", "current").await;
    let stale = store.delete("a", Condition::IfMatch(old)).await;
    fails(stale, StoreErrorKind::Conflict, "a");
    assert_eq!(read(&*store, "a").await, "current");
    let matched = store.delete("a", Condition::IfMatch(current)).await;
    matched.expect("the etag is the current one");
    assert_eq!(list(&*store, "").await, []);
}

/// A condition that can't hold where there is something to delete.
pub async fn delete_if_absent_conflicts_where_an_object_is(store: Arc<dyn BlobStore>) {
    put(&*store, "a", "x").await;
    let delete = store.delete("a", Condition::IfAbsent).await;
    fails(delete, StoreErrorKind::Conflict, "a");
    assert_eq!(read(&*store, "a").await, "x");
}

/// Not those in the same folder, not those whose names begin the same.
pub async fn a_delete_leaves_its_neighbours_alone(store: Arc<dyn BlobStore>) {
    for key in ["a/b/c", "a/b/cd", "a/bc", "ab"] {
        put(&*store, key, key).await;
    }
    let delete = store.delete("a/b/c", Condition::Always).await;
    delete.expect("a delete");
    assert_eq!(keys(&*store, "").await, ["a/b/cd", "a/bc", "ab"]);
    let delete = store.delete("a/b/cd", Condition::Always).await;
    delete.expect("a delete");
    assert_eq!(keys(&*store, "").await, ["a/bc", "ab"]);
    assert_eq!(read(&*store, "a/bc").await, "a/bc");
}

/// Starts all racers at once and returns what became of each, in their order.
async fn race<T, F>(racers: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let racers: Vec<_> = racers.into_iter().collect();
    let start = Arc::new(tokio::sync::Barrier::new(racers.len()));
    let tasks = racers.into_iter().map(|racer| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            racer.await
        })
    });
    let done = futures_util::future::join_all(tasks.collect::<Vec<_>>()).await;
    let done = done.into_iter().map(|task| task.expect("a racer finished"));
    done.collect()
}

/// Races `RACERS` puts under one condition.
async fn race_puts(store: &Arc<dyn BlobStore>, key: &str, condition: &Condition) {
    let outcomes = race((0..RACERS).map(|n| {
        let (store, condition) = (Arc::clone(store), condition.clone());
        let (key, bytes) = (key.to_owned(), format!("racer {n}"));
        async move { store.put(&key, blob(bytes), condition).await }
    }))
    .await;
    let mut winners = Vec::new();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(head) => winners.push((n, head.etag)),
            conflict => fails(conflict, StoreErrorKind::Conflict, key),
        }
    }
    let [(winner, etag)] = &winners[..] else {
        panic!("exactly one racer must win: {winners:?}");
    };
    assert_eq!(read(&**store, key).await, format!("racer {winner}"));
    assert_eq!(store.head(key).await.expect("a head").etag, *etag);
}

/// Many create the same object at once: one succeeds, the others are told, and it stays the one's.
pub async fn of_racing_put_if_absent_exactly_one_wins(store: Arc<dyn BlobStore>) {
    for n in 0..ROUNDS {
        race_puts(&store, &format!("a/{n}"), &Condition::IfAbsent).await;
    }
}

/// Many replace the same object at once, each knowing the same state of it.
pub async fn of_racing_put_if_match_exactly_one_wins(store: Arc<dyn BlobStore>) {
    let mut etag = put(&*store, "a/b", "nobody").await;
    for _ in 0..ROUNDS {
        race_puts(&store, "a/b", &Condition::IfMatch(etag)).await;
        // A store may give the same content the same etag: move on to content of its own.
        etag = put(&*store, "a/b", "nobody").await;
    }
}

/// Removing and replacing exclude each other.
pub async fn of_a_racing_put_and_delete_if_match_exactly_one_wins(store: Arc<dyn BlobStore>) {
    for n in 0..ROUNDS {
        let etag = put(&*store, "a/b", format!("round {n}")).await;
        let matched = Condition::IfMatch(etag);
        let outcomes = race([true, false].map(|is_put| {
            let (store, matched) = (Arc::clone(&store), matched.clone());
            async move {
                if is_put {
                    let put = store.put("a/b", blob("new"), matched).await;
                    put.map(|_| ())
                } else {
                    store.delete("a/b", matched).await
                }
            }
        }))
        .await;
        match &outcomes[..] {
            [Ok(()), Err(late)] => {
                assert_eq!(late.kind(), StoreErrorKind::Conflict, "{late}");
                assert_eq!(read(&*store, "a/b").await, "new");
            }
            [Err(late), Ok(())] => {
                assert_eq!(late.kind(), StoreErrorKind::Conflict, "{late}");
                let head = store.head("a/b").await;
                fails(head, StoreErrorKind::NotFound, "a/b");
            }
            both => panic!("exactly one must win: {both:?}"),
        }
    }
}

/// A counter kept by compare-and-put counts every increment.
pub async fn racing_read_and_put_if_match_loses_no_update(store: Arc<dyn BlobStore>) {
    const EACH: usize = 15;
    put(&*store, "count", "0").await;
    race((0..RACERS).map(|_| {
        let store = Arc::clone(&store);
        async move {
            let mut done = 0;
            while done < EACH {
                let seen = store.get("count", 100, None).await.expect("the counter");
                let text = std::str::from_utf8(&seen.bytes).expect("digits");
                let next: usize = text.parse::<usize>().expect("a number") + 1;
                let matched = Condition::IfMatch(seen.head.etag);
                match store.put("count", blob(next.to_string()), matched).await {
                    Ok(_) => done += 1,
                    conflict => fails(conflict, StoreErrorKind::Conflict, "count"),
                }
            }
        }
    }))
    .await;
    assert_eq!(read(&*store, "count").await, (RACERS * EACH).to_string());
}

/// Each reader gets one object that was put, all of it, with the head that belongs to it.
pub async fn a_reader_sees_whole_objects_while_they_are_replaced(store: Arc<dyn BlobStore>) {
    // Sizes that differ, so that a mixture would show in the length as well.
    let content = |n: usize| vec![u8::try_from(n % 26).expect("small") + b'a'; 200_000 + n * 1000];
    put(&*store, "a", content(0)).await;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for n in 1..40 {
                put(&*store, "a", content(n)).await;
            }
        }
    });
    loop {
        let last = writer.is_finished();
        let seen = store
            .get("a", u64::MAX, None)
            .await
            .expect("a whole object");
        let n = (seen.bytes.len() - 200_000) / 1000;
        assert!(
            seen.bytes == content(n),
            "a mixture of {} bytes",
            seen.bytes.len()
        );
        assert_eq!(seen.head.size, seen.bytes.len() as u64);
        if last {
            assert_eq!(n, 39, "after the last put every call sees it");
            break;
        }
    }
    writer.await.expect("the writer finished");
}

/// Writers and deleters of different keys, in the same folders, never hinder each other.
pub async fn objects_come_and_go_in_one_place_without_disturbing_each_other(
    store: Arc<dyn BlobStore>,
) {
    race((0..RACERS).map(|n| {
        let store = Arc::clone(&store);
        async move {
            let key = format!("deep/folder/{n}");
            for _ in 0..20 {
                put(&*store, &key, key.clone()).await;
                assert_eq!(read(&*store, &key).await, key);
                let delete = store.delete(&key, Condition::Always).await;
                delete.expect("a delete");
                fails(store.head(&key).await, StoreErrorKind::NotFound, &key);
            }
        }
    }))
    .await;
    assert_eq!(list(&*store, "").await, []);
}
