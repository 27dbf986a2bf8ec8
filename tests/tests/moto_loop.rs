//! The whole loop with S3 and SQS by moto: an upload, the event that S3 itself puts on the queue, a poller in
//! place of Lambda's event source mapping, the real `bootstrap`, renditions, and what stays in the queues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use futures_util::StreamExt;
use pixmill::ports::{Blob, BlobStore, Condition};
use pixmill_aws::{S3Store, load_at, s3_client};
use pixmill_testkit::moto_server::MotoServer;
use pixmill_testkit::pictures::photo;
use pixmill_tests::aws::Aws;
use pixmill_tests::events::{created, given_back, notification, received};
use pixmill_tests::output::assert_same_output;
use pixmill_tests::programs::{convert, sample_pictures};
use pixmill_tests::runtime_api::Function;
use serde_json::{Value, json};

/// More than anything here takes on a busy machine, and less than the runner's patience.
const LONG: Duration = Duration::from_mins(1);

/// The account that moto plays.
const ARN: &str = "arn:aws:sqs:us-east-1:123456789012";

/// How often a message is received before it goes to the dead-letter queue.
const RECEIVES: usize = 3;

/// The buckets, the queue between them and the function, its dead letters, and the function.
struct Cloud {
    moto: MotoServer,
    aws: Aws,
    uploads: S3Store,
    processed: S3Store,
    function: Function,
}

impl Cloud {
    fn new() -> Self {
        let moto = MotoServer::start();
        let aws = Aws::at(moto.url());
        let load = load_at(moto.url(), "test", "test");
        let client = s3_client(&aws.runtime().block_on(load));
        let function = Function::new([
            ("AWS_ENDPOINT_URL", moto.url()),
            ("UPLOAD_BUCKET", "uploads"),
            ("PROCESSED_BUCKET", "processed"),
        ]);
        let cloud = Self {
            uploads: S3Store::new(client.clone(), "uploads", ""),
            processed: S3Store::new(client, "processed", ""),
            moto,
            aws,
            function,
        };
        cloud.s3(Method::PUT, "/uploads", String::new());
        cloud.s3(Method::PUT, "/processed", String::new());
        cloud.sqs("CreateQueue", &json!({ "QueueName": "dead" }));
        let redrive = json!({
            "deadLetterTargetArn": format!("{ARN}:dead"),
            "maxReceiveCount": RECEIVES,
        });
        // Long enough that nothing comes back by itself: what comes back is given back.
        let attributes = json!({
            "VisibilityTimeout": "600",
            "RedrivePolicy": redrive.to_string(),
        });
        cloud.sqs(
            "CreateQueue",
            &json!({ "QueueName": "uploads", "Attributes": attributes }),
        );
        cloud.s3(
            Method::PUT,
            "/uploads?notification",
            format!(
                "<NotificationConfiguration><QueueConfiguration><Queue>{ARN}:uploads</Queue>\
                 <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"
            ),
        );
        cloud
    }

    fn s3(&self, method: Method, path: &str, body: String) {
        self.aws
            .path(None, "s3", method, path, body)
            .expect("S3 takes it");
    }

    fn sqs(&self, action: &str, input: &Value) -> Value {
        let target = format!("AmazonSQS.{action}");
        let answer = self.aws.json(None, "sqs", &target, input);
        answer.expect("SQS takes it")
    }

    /// S3 puts the event on the queue by itself.
    fn upload(&self, key: &str, bytes: impl Into<Bytes>) {
        let blob = Blob {
            bytes: bytes.into(),
            content_type: "application/octet-stream".to_owned(),
            ..Blob::default()
        };
        let put = self.uploads.put(key, blob, Condition::Always);
        self.aws.runtime().block_on(put).expect("it is uploaded");
    }

    fn send(&self, body: &str) {
        let url = self.queue("uploads");
        self.sqs(
            "SendMessage",
            &json!({ "QueueUrl": url, "MessageBody": body }),
        );
    }

    fn queue(&self, name: &str) -> String {
        format!("{}/123456789012/{name}", self.moto.url())
    }

    /// What is in a queue and may be received now, which counts as a receive.
    fn receive(&self, queue: &str) -> Vec<Value> {
        let answer = self.sqs(
            "ReceiveMessage",
            &json!({
                "QueueUrl": self.queue(queue),
                "MaxNumberOfMessages": 10,
                "AttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            }),
        );
        let messages = answer["Messages"].as_array();
        messages.cloned().unwrap_or_default()
    }

    /// One turn of the event source mapping: a batch to the function; what it settled is deleted, and what it names
    /// comes back at once. Says how many messages there were, and the bodies of those that come back.
    fn deliver(&mut self) -> (usize, Vec<String>) {
        let messages = self.receive("uploads");
        self.deliver_these(&messages)
    }

    fn deliver_these(&mut self, messages: &[Value]) -> (usize, Vec<String>) {
        if messages.is_empty() {
            return (0, Vec::new());
        }
        let arn = format!("{ARN}:uploads");
        let records = messages.iter().map(|message| received(message, &arn));
        let records: Vec<Value> = records.collect();
        let reply = self.function.invoke(&json!({ "Records": records }), LONG);
        let reply = reply.expect("a batch always gets a reply");
        let back: BTreeSet<&str> = given_back(&reply).into_iter().collect();
        let mut bodies = Vec::new();
        for message in messages {
            let mut input = json!({
                "QueueUrl": self.queue("uploads"),
                "ReceiptHandle": message["ReceiptHandle"],
            });
            if back.contains(message["MessageId"].as_str().expect("an id")) {
                bodies.push(message["Body"].as_str().expect("text").to_owned());
                input["VisibilityTimeout"] = json!(0);
                self.sqs("ChangeMessageVisibility", &input);
            } else {
                self.sqs("DeleteMessage", &input);
            }
        }
        (messages.len(), bodies)
    }

    /// Every object of the processed bucket, by key.
    fn made(&self) -> BTreeMap<String, Vec<u8>> {
        self.aws.runtime().block_on(async {
            let mut made = BTreeMap::new();
            let mut list = self.processed.list("");
            while let Some(line) = list.next().await {
                let key = line.expect("it can be listed").key;
                let got = self.processed.get(&key, u64::MAX, None).await;
                made.insert(key, got.expect("it is there").bytes.to_vec());
            }
            made
        })
    }

    /// What became of each picture so far, in order.
    fn outcomes(&self) -> Vec<String> {
        let lines = self.function.log();
        let signals = lines.iter().filter(|line| line["signal"] == "finished");
        signals
            .map(|line| line["outcome"].as_str().expect("an outcome").to_owned())
            .collect()
    }
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn an_upload_becomes_by_itself_what_the_command_makes_of_a_file() {
    let mut cloud = Cloud::new();
    let pictures = sample_pictures();
    for (key, bytes) in &pictures {
        cloud.upload(key, bytes.clone());
    }
    // S3's test event is one more.
    let (mut received, expected) = (0, pictures.len() + 1);
    while received < expected {
        let (messages, back) = cloud.deliver();
        assert!(messages > 0 && back.is_empty(), "{messages} {back:?}");
        received += messages;
    }
    assert_eq!(cloud.deliver().0, 0, "the queue is empty");
    assert_same_output(cloud.made(), convert(&pictures));
    assert_eq!(cloud.outcomes(), vec!["done"; pictures.len()]);
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn a_poisoned_batch_leaves_what_nobody_can_read_to_the_dead_letters() {
    let mut cloud = Cloud::new();
    let whole = photo(64, 48).png();
    cloud.upload("good.png", whole.clone());
    cloud.upload("bad.png", whole[..whole.len() / 2].to_vec());
    cloud.send("{{{");
    let mut turns = 0;
    // The first turn settles all but the garbage, which comes back until the queue has had enough of it.
    while let (received @ 1.., back) = cloud.deliver() {
        turns += 1;
        assert_eq!(received, if turns == 1 { 4 } else { 1 });
        assert_eq!(back, ["{{{"]);
        assert!(turns <= RECEIVES, "it comes back for ever");
    }
    assert_eq!(turns, RECEIVES);
    let dead = cloud.receive("dead");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["Body"], "{{{");
    let mut outcomes = cloud.outcomes();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["done", "rejected"]);
    let made = cloud.made();
    let record = &made["failed/bad.png.json"];
    let record: Value = serde_json::from_slice(record).expect("JSON");
    assert_eq!(record["code"], "truncated");
    assert!(made.contains_key("good.png/manifest.json"));
    assert!(!made.contains_key("bad.png/manifest.json"));
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn a_bucket_that_denies_is_critical_and_the_upload_is_made_once_it_is_mended() {
    let mut cloud = Cloud::new();
    let picture = BTreeMap::from([("a.png".to_owned(), photo(64, 48).png())]);
    cloud.upload("a.png", picture["a.png"].clone());
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Principal": { "AWS": "*" },
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::processed/*",
        }],
    });
    cloud.s3(Method::PUT, "/processed?policy", policy.to_string());
    let (received, back) = cloud.deliver();
    // The test event is settled; the upload isn't.
    assert_eq!((received, back.len()), (2, 1));
    let lines = cloud.function.log();
    let line = lines.iter().find(|line| line["signal"] == "finished");
    let line = line.expect("a line of the picture");
    assert_eq!(line["level"], "CRITICAL", "{line}");
    assert_eq!(line["code"], "denied", "{line}");

    cloud.s3(Method::DELETE, "/processed?policy", String::new());
    assert_eq!(cloud.deliver(), (1, Vec::new()));
    assert_same_output(cloud.made(), convert(&picture));
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn a_processed_bucket_that_is_not_there_is_critical_and_nothing_is_lost() {
    let mut cloud = Cloud::new();
    cloud.upload("a.png", photo(64, 48).png());
    cloud.s3(Method::DELETE, "/processed", String::new());
    let (received, back) = cloud.deliver();
    assert_eq!((received, back.len()), (2, 1));
    let lines = cloud.function.log();
    let line = lines.iter().find(|line| line["signal"] == "finished");
    let line = line.expect("a line of the picture");
    assert_eq!(line["level"], "CRITICAL", "{line}");

    cloud.s3(Method::PUT, "/processed", String::new());
    assert_eq!(cloud.deliver(), (1, Vec::new()));
    assert!(cloud.made().contains_key("a.png/manifest.json"));
}

#[test]
#[ignore = "needs moto: cargo xtask test runs it"]
fn duplicates_and_events_in_the_wrong_order_end_with_the_newest_upload() {
    let mut cloud = Cloud::new();
    cloud.upload("a.png", photo(64, 48).png());
    let newest = BTreeMap::from([("a.png".to_owned(), photo(80, 40).png())]);
    cloud.upload("a.png", newest["a.png"].clone());
    let mut messages = cloud.receive("uploads");
    messages.reverse();
    assert_eq!(cloud.deliver_these(&messages), (3, Vec::new()));
    // moto writes no sequencers: the older event finds all in place.
    assert_eq!(cloud.outcomes(), ["done", "unchanged"]);

    let event = |sequencer| notification(&[created("uploads", "a.png", sequencer)]).to_string();
    cloud.upload("a.png", newest["a.png"].clone());
    cloud.send(&event("0055AED6DCD90282"));
    cloud.send(&event("0055AED6DCD90281"));
    cloud.send(&event("0055AED6DCD90282"));
    assert_eq!(cloud.deliver(), (4, Vec::new()));
    assert_same_output(cloud.made(), convert(&newest));
    // What was there when an event came later is nothing new; what was overtaken is called so.
    assert_eq!(
        cloud.outcomes()[2..],
        ["unchanged", "unchanged", "stale", "unchanged"]
    );
}
