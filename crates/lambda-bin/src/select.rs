//! Which objects are ours: from an event to a job, or to the reason why there is none.

use globset::{Glob, GlobSet, GlobSetBuilder};
use pixmill::job::Job;
use pixmill::outcome::SkipReason;

use crate::bounded::one_line;
use crate::event::{Change, ObjectEvent};

/// How tools that know only files make a folder show.
const FOLDER_MARKERS: [&str; 2] = ["/", "_$folder$"];

/// Where uploads lie, where renditions go, and which uploads are meant.
///
/// Whatever lies below `processed_prefix` of the processed bucket is taken for our own output, so
/// that the output can never feed the function, whatever the other settings say. Without a
/// prefix that is the whole bucket. Failure records lie below it too.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The only bucket whose events are taken; absent: any bucket's.
    pub upload_bucket: Option<String>,
    /// What an upload's key begins with; not part of the job's key.
    pub upload_prefix: String,
    /// Where everything is written.
    pub processed_bucket: String,
    /// What the key of everything that is written begins with.
    pub processed_prefix: String,
    /// The uploads that are meant, by their keys below the prefix; without patterns: all.
    pub include: Patterns,
    /// Those that are not meant after all.
    pub exclude: Patterns,
}

/// What an event comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Something to do; the key is relative to the upload prefix.
    Job(Job),
    /// Nothing to do.
    Skip(SkipReason),
}

/// An event that should never have come: the notifications or the settings are wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// From a bucket that is not the upload bucket.
    #[error(
        "the event is from bucket {bucket:?}, but UPLOAD_BUCKET is {expected:?}; take this function out of the other bucket's notifications, or set UPLOAD_BUCKET to it"
    )]
    ForeignBucket {
        /// The event's bucket, bounded.
        bucket: String,
        /// The upload bucket.
        expected: String,
    },
}

impl Refusal {
    /// The bounded word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ForeignBucket { .. } => "foreign-bucket",
        }
    }
}

impl Rules {
    /// What `event` comes to. Removals are chosen as creations are: what was never made from a key
    /// need not be removed.
    pub fn choose(&self, event: &ObjectEvent) -> Result<Choice, Refusal> {
        if let Some(expected) = self.upload_bucket.as_ref().filter(|b| **b != event.bucket) {
            return Err(Refusal::ForeignBucket {
                bucket: one_line(&event.bucket, 63),
                expected: expected.clone(),
            });
        }
        if self.is_own_output(&event.bucket, &event.key) {
            return Ok(Choice::Skip(SkipReason::OwnOutput));
        }
        let Some(key) = event.key.strip_prefix(&self.upload_prefix) else {
            return Ok(Choice::Skip(SkipReason::Excluded));
        };
        // With the prefix: the marker of the upload folder itself has nothing left without it.
        if is_folder_marker(&event.key) {
            return Ok(Choice::Skip(SkipReason::FolderMarker));
        }
        let is_meant = self.include.is_empty() || self.include.matches(key);
        if !is_meant || self.exclude.matches(key) {
            return Ok(Choice::Skip(SkipReason::Excluded));
        }
        Ok(Choice::Job(match event.change {
            Change::Created => Job::new(key),
            Change::Removed => Job::removal(key),
        }))
    }

    /// Whether `key` could be something that this function wrote.
    fn is_own_output(&self, bucket: &str, key: &str) -> bool {
        bucket == self.processed_bucket && key.starts_with(&self.processed_prefix)
    }
}

/// Whether a key, its prefix included, is that of an object which only makes a folder show.
pub fn is_folder_marker(key: &str) -> bool {
    FOLDER_MARKERS.iter().any(|end| key.ends_with(end))
}

/// Glob patterns over keys; `*` matches slashes too, as in the command.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    set: GlobSet,
}

impl Patterns {
    /// Reads patterns with commas between them; commas within braces or brackets belong to
    /// their pattern (`*.{jpg,png}`). Fails with the first bad one and what is wrong with it.
    pub fn parse(list: &str) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in split_outside_braces(list) {
            set.add(Glob::new(pattern)?);
        }
        Ok(Self { set: set.build()? })
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether any pattern matches `key`.
    pub fn matches(&self, key: &str) -> bool {
        self.set.is_match(key)
    }
}

fn split_outside_braces(list: &str) -> impl Iterator<Item = &str> {
    let mut open = 0_u32;
    let patterns = list.split(move |c: char| {
        match c {
            '{' | '[' => open += 1,
            '}' | ']' => open = open.saturating_sub(1),
            _ => {}
        }
        c == ',' && open == 0
    });
    patterns
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            upload_bucket: Some("uploads".to_owned()),
            processed_bucket: "processed".to_owned(),
            ..Rules::default()
        }
    }

    fn one_bucket(upload_prefix: &str, processed_prefix: &str) -> Rules {
        Rules {
            upload_bucket: None,
            upload_prefix: upload_prefix.to_owned(),
            processed_bucket: "both".to_owned(),
            processed_prefix: processed_prefix.to_owned(),
            ..Rules::default()
        }
    }

    fn event(bucket: &str, key: &str) -> ObjectEvent {
        ObjectEvent {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: None,
            etag: None,
            size: Some(0),
            sequencer: None,
            word: "ObjectCreated:Put".to_owned(),
            change: Change::Created,
        }
    }

    fn chosen(rules: &Rules, bucket: &str, key: &str) -> Choice {
        let choice = rules.choose(&event(bucket, key));
        choice.expect("the bucket is ours")
    }

    fn job(key: &str) -> Choice {
        Choice::Job(Job::new(key))
    }

    fn skip(reason: SkipReason) -> Choice {
        Choice::Skip(reason)
    }

    #[test]
    fn an_upload_becomes_a_job_and_a_removal_a_removal() {
        assert_eq!(chosen(&rules(), "uploads", "a/cat.png"), job("a/cat.png"));
        let removed = ObjectEvent {
            change: Change::Removed,
            ..event("uploads", "cat.png")
        };
        let choice = rules().choose(&removed);
        assert_eq!(choice, Ok(Choice::Job(Job::removal("cat.png"))));
    }

    #[test]
    fn a_foreign_bucket_is_refused_with_both_names() {
        let refusal = rules().choose(&event("elsewhere", "cat.png"));
        let refusal = refusal.expect_err("it is not the upload bucket");
        let words = refusal.to_string();
        assert!(words.contains("\"elsewhere\"") && words.contains("\"uploads\""));
        assert_eq!(refusal.code(), "foreign-bucket");
    }

    #[test]
    fn without_an_upload_bucket_any_bucket_is_taken_except_for_our_own_output() {
        let rules = Rules {
            upload_bucket: None,
            ..rules()
        };
        assert_eq!(chosen(&rules, "anything", "cat.png"), job("cat.png"));
        let own = skip(SkipReason::OwnOutput);
        assert_eq!(chosen(&rules, "processed", "cat.png/thumbnail.jpg"), own);
        assert_eq!(chosen(&rules, "processed", "failed/cat.png.json"), own);
    }

    #[test]
    fn in_one_bucket_the_prefixes_tell_uploads_from_output() {
        let rules = one_bucket("in/", "out/");
        assert_eq!(chosen(&rules, "both", "in/a/cat.png"), job("a/cat.png"));
        assert_eq!(
            chosen(&rules, "both", "out/a/cat.png/low.jpg"),
            skip(SkipReason::OwnOutput)
        );
        assert_eq!(
            chosen(&rules, "both", "else/cat.png"),
            skip(SkipReason::Excluded)
        );
    }

    #[test]
    fn whatever_the_prefixes_the_output_of_a_job_is_never_a_job() {
        for (upload, processed) in [
            ("", ""),
            ("", "out/"),
            ("in/", ""),
            ("in/", "in/"),
            ("in/", "in/out/"),
            ("in/deep/", "in/"),
        ] {
            let rules = one_bucket(upload, processed);
            for key in [
                "cat.png",
                "in/cat.png",
                "in/deep/cat.png",
                "out/cat.png",
                "in/out/cat.png",
            ] {
                if let Choice::Job(job) = chosen(&rules, "both", key) {
                    let output = format!("{processed}{}/thumbnail.jpg", job.source);
                    assert_eq!(
                        chosen(&rules, "both", &output),
                        skip(SkipReason::OwnOutput),
                        "{upload:?} {processed:?} {key:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn markers_of_folders_are_skipped_whatever_their_size() {
        let rules = Rules {
            upload_prefix: "in/".to_owned(),
            ..rules()
        };
        for key in ["in/", "in/album/", "in/album_$folder$"] {
            assert_eq!(
                chosen(&rules, "uploads", key),
                skip(SkipReason::FolderMarker),
                "{key}"
            );
        }
    }

    #[test]
    fn patterns_see_the_key_below_the_prefix() {
        let rules = Rules {
            upload_prefix: "in/".to_owned(),
            include: Patterns::parse("*.{jpg,png}, raw/**").expect("good patterns"),
            exclude: Patterns::parse("drafts/*").expect("good patterns"),
            ..rules()
        };
        for key in ["cat.jpg", "a/b/cat.png", "raw/x.tif"] {
            assert_eq!(chosen(&rules, "uploads", &format!("in/{key}")), job(key));
        }
        for key in ["in/cat.gif", "in/drafts/cat.jpg", "cat.jpg"] {
            assert_eq!(
                chosen(&rules, "uploads", key),
                skip(SkipReason::Excluded),
                "{key}"
            );
        }
    }

    #[test]
    fn commas_within_braces_do_not_split_patterns() {
        let split: Vec<&str> = split_outside_braces("*.{jpg,png},[a,b]*, ,x").collect();
        assert_eq!(split, ["*.{jpg,png}", "[a,b]*", "x"]);
    }
}
