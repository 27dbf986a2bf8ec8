//! Which files have stood still for long enough: keys and moments in, settled keys out. It looks at nothing by
//! itself and knows no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use pixmill::ports::Etag;

/// How long a source that failed waits for its second try; each further one waits twice as long, up to
/// [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_mins(10);

/// What a look found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    Gone,
    /// A regular file.
    File {
        size: u64,
        etag: Etag,
        /// The etag of the focus point beside it.
        beside: Option<Etag>,
    },
    /// Something that can't be a source.
    Odd(Odd),
}

/// Why it can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    NotAFile,
    NotUtf8,
    Unreadable(std::io::ErrorKind, String),
}

#[derive(Debug)]
struct Waiting {
    seen: Seen,
    due: Instant,
}

/// Every key that is there, as it was when it was last taken, and those that have changed since. A key waits at
/// most once, so that a file that is written a thousand times takes as much memory as one that is written once.
#[derive(Debug)]
pub(crate) struct Settling {
    settle: Duration,
    taken: BTreeMap<String, Seen>,
    waiting: BTreeMap<String, Waiting>,
    /// The waiting keys, by when they are to be looked at.
    schedule: BTreeSet<(Instant, String)>,
    /// Keys whose jobs are under way: they are not taken a second time.
    at_work: BTreeSet<String>,
    /// How often keys have failed in a row.
    failed: BTreeMap<String, u32>,
}

impl Settling {
    pub(crate) fn new(settle: Duration) -> Self {
        Self {
            settle,
            taken: BTreeMap::new(),
            waiting: BTreeMap::new(),
            schedule: BTreeSet::new(),
            at_work: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Takes note of what a look at `key` found. What differs from what was taken waits until it has stood still.
    pub(crate) fn saw(&mut self, key: &str, seen: Seen, now: Instant) {
        match self.waiting.get(key) {
            Some(waiting) if waiting.seen == seen => {}
            None if self.is_as_taken(key, &seen) => {}
            _ => self.wait(key, seen, now + self.settle),
        }
    }

    fn is_as_taken(&self, key: &str, seen: &Seen) -> bool {
        self.taken.get(key).unwrap_or(&Seen::Gone) == seen
    }

    fn wait(&mut self, key: &str, seen: Seen, due: Instant) {
        let waiting = Waiting { seen, due };
        if let Some(before) = self.waiting.insert(key.to_owned(), waiting) {
            self.schedule.remove(&(before.due, key.to_owned()));
        }
        self.schedule.insert((due, key.to_owned()));
    }

    /// When the next key is to be looked at.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.schedule.first().map(|(due, _)| *due)
    }

    /// The keys that are to be looked at now.
    pub(crate) fn due(&self, now: Instant) -> Vec<String> {
        let due = self.schedule.iter().take_while(|(due, _)| *due <= now);
        due.map(|(_, key)| key.clone()).collect()
    }

    /// Takes note of a look at a key that was due, and says whether it is settled: as it was when its wait began. It
    /// is at work then, until it has [`ended`](Self::ended).
    pub(crate) fn is_settled(&mut self, key: &str, seen: &Seen, now: Instant) -> bool {
        let Some(waiting) = self.waiting.get(key) else {
            return false;
        };
        if waiting.seen != *seen || self.at_work.contains(key) {
            self.wait(key, seen.clone(), now + self.settle);
            return false;
        }
        let due = waiting.due;
        self.waiting.remove(key);
        self.schedule.remove(&(due, key.to_owned()));
        let was_there = match seen {
            Seen::Gone => self.taken.remove(key).is_some(),
            seen => self.taken.insert(key.to_owned(), seen.clone()).is_some(),
        };
        // What came and went between two looks, and was never taken, was never there.
        let counts = *seen != Seen::Gone || was_there || self.failed.contains_key(key);
        if counts {
            self.at_work.insert(key.to_owned());
        }
        counts
    }

    /// The job for `key` has ended; one that failed will be tried again.
    pub(crate) fn ended(&mut self, key: &str, failed: bool, now: Instant) {
        self.at_work.remove(key);
        if !failed {
            self.failed.remove(key);
            return;
        }
        let times = self.failed.entry(key.to_owned()).or_default();
        *times += 1;
        let rest = FIRST_REST
            .saturating_mul(2_u32.saturating_pow(*times - 1))
            .min(LONGEST_REST);
        let seen = self.taken.remove(key).unwrap_or(Seen::Gone);
        if !self.waiting.contains_key(key) {
            self.wait(key, seen, now + rest);
        }
    }

    /// Takes what needs no settling, and says whether it was not taken like this before.
    pub(crate) fn is_new(&mut self, key: &str, seen: &Seen) -> bool {
        if let Some(waiting) = self.waiting.remove(key) {
            self.schedule.remove(&(waiting.due, key.to_owned()));
        }
        self.taken.insert(key.to_owned(), seen.clone()).as_ref() != Some(seen)
    }

    /// A job for `key` begins that no wait came before. False where one is under way.
    pub(crate) fn begins(&mut self, key: &str) -> bool {
        self.at_work.insert(key.to_owned())
    }

    /// Every key below the folder `folder` that was taken or waits.
    pub(crate) fn below(&self, folder: &str) -> BTreeSet<String> {
        let prefix = format!("{folder}/");
        let range = (Bound::Included(prefix.clone()), Bound::Unbounded);
        let taken = self.taken.range(range.clone()).map(|(key, _)| key);
        let waiting = self.waiting.range(range).map(|(key, _)| key);
        let taken = taken.take_while(|key| key.starts_with(&prefix));
        let waiting = waiting.take_while(|key| key.starts_with(&prefix));
        taken.chain(waiting).cloned().collect()
    }

    /// Every key that was taken or waits.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let both = self.taken.keys().chain(self.waiting.keys());
        both.cloned().collect()
    }

    /// The files that were taken, in the order of their keys, with their sizes and etags.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, u64, &Etag)> {
        self.taken.iter().filter_map(|(key, seen)| match seen {
            Seen::File { size, etag, .. } => Some((key.as_str(), *size, etag)),
            _ => None,
        })
    }

    /// How many keys wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn file(size: u64) -> Seen {
        Seen::File {
            size,
            etag: Etag::new(format!("W/\"{size}\"")),
            beside: None,
        }
    }

    /// A file that was taken at `now`, and whose job has ended.
    fn taken(key: &str, seen: &Seen, now: Instant) -> Settling {
        let mut settling = Settling::new(SETTLE);
        settling.saw(key, seen.clone(), now);
        assert!(settling.is_settled(key, seen, now + SETTLE));
        settling.ended(key, false, now + SETTLE);
        settling
    }

    #[test]
    fn a_file_that_grows_is_not_taken_before_it_has_stood_still() {
        let start = Instant::now();
        let mut settling = Settling::new(SETTLE);
        let mut now = start;
        for size in 0..50 {
            settling.saw("a", file(size), now);
            assert_eq!(settling.waiting(), 1, "a key waits once");
            assert_eq!(settling.next_due(), Some(now + SETTLE));
            now += SETTLE / 2;
            assert!(settling.due(now).is_empty());
        }
        let due = now + SETTLE / 2;
        assert_eq!(settling.due(due), ["a"]);
        assert!(settling.is_settled("a", &file(49), due));
        assert_eq!(settling.next_due(), None);
    }

    #[test]
    fn what_grew_without_a_word_waits_on() {
        let now = Instant::now();
        let mut settling = Settling::new(SETTLE);
        settling.saw("a", file(1), now);
        let due = now + SETTLE;
        assert!(!settling.is_settled("a", &file(2), due));
        assert!(settling.due(due).is_empty());
        assert!(settling.is_settled("a", &file(2), due + SETTLE));
    }

    #[test]
    fn what_is_as_it_was_taken_is_not_taken_again() {
        let now = Instant::now();
        let mut settling = taken("a", &file(1), now);
        settling.saw("a", file(1), now);
        settling.saw("never there", Seen::Gone, now);
        assert_eq!(settling.next_due(), None);
        settling.saw("a", file(2), now);
        assert_eq!(settling.next_due(), Some(now + SETTLE));
    }

    #[test]
    fn a_key_is_not_taken_while_its_job_is_under_way() {
        let now = Instant::now();
        let mut settling = Settling::new(SETTLE);
        settling.saw("a", file(1), now);
        assert!(settling.is_settled("a", &file(1), now + SETTLE));
        settling.saw("a", file(2), now + SETTLE);
        assert!(!settling.is_settled("a", &file(2), now + SETTLE * 2));
        settling.ended("a", false, now + SETTLE * 2);
        assert!(settling.is_settled("a", &file(2), now + SETTLE * 3));
    }

    #[test]
    fn what_came_and_went_between_two_looks_was_never_there() {
        let now = Instant::now();
        let mut settling = Settling::new(SETTLE);
        settling.saw("a", file(1), now);
        settling.saw("a", Seen::Gone, now);
        assert!(!settling.is_settled("a", &Seen::Gone, now + SETTLE));
        assert_eq!(settling.waiting(), 0);
        let mut settling = taken("a", &file(1), now);
        settling.saw("a", Seen::Gone, now);
        assert!(settling.is_settled("a", &Seen::Gone, now + SETTLE));
    }

    #[test]
    fn what_failed_is_tried_again_after_rests_that_grow_to_ten_minutes() {
        let now = Instant::now();
        let mut settling = Settling::new(SETTLE);
        settling.saw("a", file(1), now);
        assert!(settling.is_settled("a", &file(1), now));
        let mut rests = Vec::new();
        for _ in 0..8 {
            settling.ended("a", true, now);
            let due = settling.next_due().expect("it waits");
            rests.push((due - now).as_secs());
            assert!(settling.is_settled("a", &file(1), due));
        }
        assert_eq!(rests, [10, 20, 40, 80, 160, 320, 600, 600]);
        settling.ended("a", false, now);
        assert_eq!(settling.next_due(), None);
    }

    #[test]
    fn what_is_below_a_folder_is_found_and_nothing_beside_it() {
        let now = Instant::now();
        let mut settling = Settling::new(SETTLE);
        for key in ["trip", "trip/a", "trip/b/c", "trip2/a", "trip-", "a/trip/b"] {
            settling.saw(key, file(1), now);
        }
        assert!(settling.is_settled("trip/a", &file(1), now));
        let below = ["trip/a", "trip/b/c"].map(str::to_owned);
        assert_eq!(settling.below("trip"), below.into());
        assert_eq!(settling.files().count(), 1);
        assert_eq!(settling.keys().len(), 6);
    }
}
