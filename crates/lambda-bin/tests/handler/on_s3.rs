//! The handler on S3's wire protocol while everything goes wrong that may: errors of every class, connections that
//! are reset at any place, answers that never begin, stand still or state a wrong length.
//!
//! `PIXMILL_LONG=1` takes ten seeds of a thousand events each.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use pixmill::manifest::{FailureRecord, Manifest, State};
use pixmill::process::Processor;
use pixmill::recipe::Recipe;
use pixmill_aws::{Patience, S3Store, load_at, s3_client, with_patience};
use pixmill_lambda::handler::Handler;
use pixmill_lambda::log::Log;
use pixmill_lambda::select::Rules;
use pixmill_lambda::settings::LogLevel;
use pixmill_testkit::s3_server::S3Server;

use super::{Lines, RECIPE, batch, created, failed_ids, hash, invocation, shuffled, tiny};

/// A network on loopback needs less patience than one of AWS.
fn hurry() -> Patience {
    let mut patience = Patience::FUNCTION;
    patience.connect = Duration::from_millis(500);
    patience.answer = Duration::from_millis(400);
    patience.attempt = Duration::from_millis(400);
    patience.call = Duration::from_millis(1200);
    patience.stalled = Duration::from_millis(100);
    patience
}

struct Cloud {
    s3: S3Server,
    lines: Lines,
    handler: Handler,
    recipe: Recipe,
}

impl Cloud {
    async fn new() -> Self {
        let s3 = S3Server::start(&["uploads", "processed"]);
        let lines = Lines::default();
        let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
        let handler = Self::handler(&s3, &lines, &recipe, hurry()).await;
        Self {
            s3,
            lines,
            handler,
            recipe,
        }
    }

    /// From here on a call has the time that it has on AWS, and no connection is left of the time before.
    async fn have_patience(&mut self) {
        self.handler = Self::handler(&self.s3, &self.lines, &self.recipe, Patience::FUNCTION).await;
    }

    async fn handler(s3: &S3Server, lines: &Lines, recipe: &Recipe, patience: Patience) -> Handler {
        let config = load_at(&s3.url(), S3Server::ACCESS_KEY, S3Server::SECRET_KEY).await;
        let client = s3_client(&with_patience(config, patience));
        let open = |bucket: &str| Arc::new(S3Store::new(client.clone(), bucket, ""));
        let (sources, output) = (open("uploads"), open("processed"));
        Handler {
            rules: Rules {
                upload_bucket: Some("uploads".to_owned()),
                processed_bucket: "processed".to_owned(),
                ..Rules::default()
            },
            processor: Processor::new(sources.clone(), output, recipe.clone()),
            sources: Box::new(move |_| sources.clone()),
            log: Arc::new(Log::new(lines.clone(), LogLevel::Critical)),
            metrics: None,
            alerts: None,
            timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        }
    }

    /// Whether there is a manifest that says complete. If so, it must be true of this source and of every rendition.
    fn is_complete(&self, source: &str) -> bool {
        let processed = self.s3.bucket("processed");
        let key = self.recipe.output.manifest_key(source);
        let Some(blob) = processed.read(&key) else {
            return false;
        };
        let manifest = Manifest::from_json(&key, &blob.bytes).expect("a manifest is whole");
        if manifest.state != State::Complete {
            return false;
        }
        let upload = self.s3.bucket("uploads").read(source).expect("it is there");
        assert_eq!(manifest.source.sha256, hash(&upload.bytes), "{source}");
        assert_eq!(manifest.renditions().count(), 2, "{source}");
        for rendition in manifest.renditions() {
            let blob = processed.read(&rendition.key);
            let blob = blob.unwrap_or_else(|| panic!("{} is missing", rendition.key));
            assert_eq!(hash(&blob.bytes), rendition.sha256, "{}", rendition.key);
        }
        true
    }

    fn is_recorded_as_bad(&self, source: &str) -> bool {
        let key = self.recipe.output.failed_key(source);
        let blob = self.s3.bucket("processed").read(&key);
        blob.is_some_and(|blob| {
            let record = FailureRecord::from_json(&key, &blob.bytes).expect("a whole record");
            assert_eq!(record.code, "truncated", "{source}");
            true
        })
    }

    /// One batch: what comes back to the queue.
    async fn deliver(&self, keys: &[String]) -> BTreeSet<String> {
        let messages: Vec<_> = keys
            .iter()
            .map(|key| (key.clone(), created(key, "01")))
            .collect();
        let reply = self
            .handler
            .handle(&batch(&messages), &invocation("r"))
            .await;
        failed_ids(&reply.expect("a batch always gets a reply"))
    }

    /// How often each source was settled as rejected.
    fn rejections(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.lines.all() {
            if line["outcome"] == "rejected" {
                let key = line["key"].as_str().expect("a key").to_owned();
                *counts.entry(key).or_default() += 1;
            }
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_s3_in_every_kind_of_trouble_no_event_is_lost_none_falsely_complete_and_poison_is_settled_once()
 {
    let (seeds, events) = match env::var_os("PIXMILL_LONG") {
        Some(_) => (10, 1000),
        None => (2, 60),
    };
    for seed in 1..=seeds {
        let mut cloud = Cloud::new().await;
        let is_poison = |n: usize| n % 20 == 7;
        let key = |n: usize| format!("{}/{n}.png", n % 3);
        for n in 0..events {
            let mut picture = tiny(n);
            if is_poison(n) {
                picture.truncate(picture.len() / 2);
            }
            cloud.s3.bucket("uploads").insert(&key(n), picture);
        }
        let poison: BTreeSet<String> = (0..events).filter(|n| is_poison(*n)).map(key).collect();
        cloud.s3.trouble_at_random(seed, 6);
        let mut queue: Vec<String> = shuffled((0..events).collect(), seed)
            .into_iter()
            .map(key)
            .collect();
        let (mut rounds, mut deliveries) = (0, 0);
        while !queue.is_empty() {
            rounds += 1;
            assert!(rounds < 60, "{} events come back for ever", queue.len());
            deliveries += queue.len();
            let batches: Vec<Vec<String>> = queue.chunks(10).map(<[_]>::to_vec).collect();
            let returned = stream::iter(batches).map(async |keys| {
                let returned = cloud.deliver(&keys).await;
                for key in keys.iter().filter(|key| !returned.contains(*key)) {
                    if poison.contains(key) {
                        assert!(cloud.is_recorded_as_bad(key), "seed {seed}: {key} is lost");
                    } else {
                        assert!(cloud.is_complete(key), "seed {seed}: {key} is lost");
                    }
                }
                returned.into_iter().collect::<Vec<_>>()
            });
            queue = returned.buffer_unordered(8).concat().await;
            // Also what is not settled yet is never said to be complete unless it is.
            for n in (0..events).filter(|n| !is_poison(*n)) {
                cloud.is_complete(&key(n));
            }
        }
        let once: BTreeMap<String, usize> = poison.iter().map(|key| (key.clone(), 1)).collect();
        assert_eq!(cloud.rejections(), once, "seed {seed}");
        let downloads = |cloud: &Cloud| {
            let calls = cloud.s3.calls();
            calls
                .iter()
                .filter(|call| call.starts_with("GetObject uploads/"))
                .count()
        };
        println!(
            "seed {seed}: {events} events, {deliveries} deliveries in {rounds} rounds, {} calls: none lost, none \
             falsely complete, {} poison files settled once each",
            cloud.s3.calls().len(),
            poison.len(),
        );
        // On a healthy S3, everything delivered once more costs no download. A busy machine is no reason to give back.
        cloud.s3.heal();
        cloud.have_patience().await;
        let before = downloads(&cloud);
        let all: Vec<String> = (0..events).map(key).collect();
        for keys in all.chunks(10) {
            assert_eq!(cloud.deliver(keys).await, BTreeSet::new());
        }
        assert_eq!(downloads(&cloud), before, "seed {seed}");
    }
}

#[tokio::test]
async fn credentials_that_expired_give_the_event_back_and_new_ones_settle_it() {
    let cloud = Cloud::new().await;
    cloud.s3.bucket("uploads").insert("a.png", tiny(1));
    cloud.s3.fail_next(1, "ExpiredToken");
    let keys = ["a.png".to_owned()];
    assert_eq!(cloud.deliver(&keys).await, BTreeSet::from(keys.clone()));
    assert_eq!(
        cloud.s3.calls().len(),
        1,
        "asking again with the same would change nothing"
    );
    let line = &cloud.lines.all()[0];
    assert_eq!(
        (&line["level"], &line["code"]),
        (&"CRITICAL".into(), &"denied".into())
    );
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|words| words.contains("ExpiredToken")),
        "{line}"
    );
    assert_eq!(cloud.deliver(&keys).await, BTreeSet::new());
    assert!(cloud.is_complete("a.png"));
}
