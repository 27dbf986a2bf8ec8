//! Payloads of every form, as they are sent; and what holds for any key and any payload at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pixmill_lambda::event::{Change, Delivery, Entry, Form, ObjectEvent, read};
use proptest::prelude::*;
use serde_json::{Value, json};

// ---- The payloads in the folder beside this file

/// File, form, and for each message its id and its entries.
type Expected = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static [&'static str])],
);

const BATCH_ID: &str = "YXNkbGZqYWRmaiBhc2RmdW9hZHNmZGpmaGFzbGtkaGZza2RmaAo";

const RED_FLOWER: &str =
    "process uploads-example photos/red flower.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e";
const RAW_RED_FLOWER: &str =
    "process uploads-example photos/100% red+flower.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e";
const OLD: &str = "remove uploads-example old.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e";

const EXPECTED: &[Expected] = &[
    (
        "s3-created",
        "direct",
        &[
            ("0", &[RED_FLOWER]),
            (
                "1",
                &["process uploads-example München/a+b%.png @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
        ],
    ),
    (
        "s3-removed",
        "direct",
        &[
            ("0", &[OLD]),
            (
                "1",
                &["remove uploads-example hidden.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
            (
                "2",
                &["remove uploads-example expired.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
            (
                "3",
                &["remove uploads-example faded.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
        ],
    ),
    (
        "s3-other",
        "direct",
        &[
            ("0", &["other ObjectRestore:Completed"]),
            ("1", &["other ObjectTagging:Put"]),
            ("2", &["other ObjectAcl:Put"]),
            ("3", &["other LifecycleTransition"]),
            ("4", &["other ReducedRedundancyLostObject"]),
            ("5", &["other Replication:OperationFailedReplication"]),
        ],
    ),
    (
        "s3-from-an-emulator",
        "direct",
        &[("0", &["process uploads-example photos/cat.jpg"])],
    ),
    (
        "s3-from-a-look-alike",
        "direct",
        &[(
            "0",
            &["process uploads-example cat.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
        )],
    ),
    (
        "s3-with-bad-records",
        "direct",
        &[
            (
                "0",
                &[
                    "error: Records[0] is in no known form; expected an S3 notification (alone, or in SQS or SNS), an EventBridge event, an S3 Batch Operations task, or {\"bucket\": …, \"key\": …}",
                ],
            ),
            (
                "1",
                &["process uploads-example good.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
            (
                "2",
                &[
                    "error: Records[2].s3.object.key is not a form-encoded key: a `%` is not followed by two hexadecimal digits; S3 writes a space as `+` and other bytes of UTF-8 as `%` and two hexadecimal digits",
                ],
            ),
            (
                "3",
                &[
                    "error: Records[3].s3.object.key is not a form-encoded key: decoded, it is not UTF-8; S3 writes a space as `+` and other bytes of UTF-8 as `%` and two hexadecimal digits",
                ],
            ),
            (
                "4",
                &["error: Records[4].s3.object.key is missing or is not text"],
            ),
            (
                "5",
                &["error: Records[5].s3.bucket.name is missing or is not a bucket's name"],
            ),
            (
                "6",
                &[
                    "error: Records[6] is in no known form; expected an S3 notification (alone, or in SQS or SNS), an EventBridge event, an S3 Batch Operations task, or {\"bucket\": …, \"key\": …}",
                ],
            ),
            (
                "7",
                &["process uploads-example also-good.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
        ],
    ),
    ("s3-test-event", "direct", &[("0", &["test"])]),
    (
        "sqs-s3",
        "sqs",
        &[
            (
                "059f36b4-87a3-44ab-83d2-661975830a7d",
                &[
                    RED_FLOWER,
                    "process uploads-example second.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                ],
            ),
            ("2e1424d4-f796-459a-8184-9c92662be6da", &[OLD]),
            ("c0ffee00-0000-4000-8000-000000000003", &["test"]),
        ],
    ),
    (
        "sqs-with-garbage",
        "sqs",
        &[
            (
                "message-1",
                &["error: Records[0].body is not JSON (line 1, column 2)"],
            ),
            ("message-2", &[RED_FLOWER]),
            (
                "message-3",
                &[
                    "error: Records[2].body is in no known form; expected an S3 notification (alone, or in SQS or SNS), an EventBridge event, an S3 Batch Operations task, or {\"bucket\": …, \"key\": …}",
                ],
            ),
            (
                "message-4",
                &["error: Records[3].body is missing or is not text"],
            ),
            (
                "",
                &["process uploads-example nameless.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
            ),
        ],
    ),
    (
        "sqs-sns-s3",
        "sqs",
        &[("message-1", &[RED_FLOWER]), ("message-2", &["test"])],
    ),
    (
        "sqs-eventbridge",
        "sqs",
        &[("message-1", &[RAW_RED_FLOWER])],
    ),
    (
        "sqs-sns-eventbridge",
        "sqs",
        &[("message-1", &[RAW_RED_FLOWER])],
    ),
    (
        "sqs-by-hand",
        "sqs",
        &[("message-1", &["process uploads-example a+b.jpg"])],
    ),
    ("pipes-sqs-s3", "sqs", &[("message-1", &[RED_FLOWER])]),
    ("sns-s3", "direct", &[("0", &[RED_FLOWER])]),
    ("sns-eventbridge", "direct", &[("0", &[RAW_RED_FLOWER])]),
    ("sns-test-event", "direct", &[("0", &["test"])]),
    (
        "sqs-sns-subscription",
        "sqs",
        &[("message-1", &["other SubscriptionConfirmation"])],
    ),
    ("eventbridge-created", "direct", &[("0", &[RAW_RED_FLOWER])]),
    (
        "eventbridge-deleted",
        "direct",
        &[(
            "0",
            &["remove uploads-example old photo.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
        )],
    ),
    (
        "eventbridge-expired",
        "direct",
        &[(
            "0",
            &["remove uploads-example expired.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
        )],
    ),
    (
        "eventbridge-other",
        "direct",
        &[("0", &["other Object Restore Completed"])],
    ),
    (
        "eventbridge-scheduled",
        "direct",
        &[("0", &["other Scheduled Event"])],
    ),
    (
        "batch-1.0",
        "batch",
        &[(
            "dGFza2lkZ29lc2hlcmUK",
            &["process uploads-example photos/red flower+1.jpg @1"],
        )],
    ),
    (
        "batch-2.0",
        "batch",
        &[("task-1", &["process uploads-example München/a b.png"])],
    ),
    (
        "batch-with-bad-tasks",
        "batch",
        &[
            ("china", &["process uploads-example a.jpg"]),
            (
                "no-bucket",
                &["error: tasks[1].s3BucketArn is missing or is not text"],
            ),
            (
                "access-point",
                &[
                    "error: tasks[2].s3BucketArn does not name a bucket; it should look like arn:aws:s3:::name",
                ],
            ),
            (
                "bad-key",
                &[
                    "error: tasks[3].s3Key is not a form-encoded key: a `%` is not followed by two hexadecimal digits; S3 writes a space as `+` and other bytes of UTF-8 as `%` and two hexadecimal digits",
                ],
            ),
        ],
    ),
    (
        "by-hand",
        "direct",
        &[("0", &["process uploads-example photos/100% red+flower.jpg"])],
    ),
    (
        "by-hand-version",
        "direct",
        &[(
            "0",
            &["process uploads-example cat.jpg @IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"],
        )],
    ),
    (
        "by-hand-without-key",
        "direct",
        &[("0", &["error: key is missing or is not text"])],
    ),
    ("failure-destination", "direct", &[("0", &[RED_FLOWER])]),
    (
        "sqs-failure-destination",
        "sqs",
        &[("message-1", &[RED_FLOWER])],
    ),
    (
        "eventbridge-failure-destination",
        "direct",
        &[("0", &[RED_FLOWER])],
    ),
    (
        "receive-message",
        "direct",
        &[("0", &[RED_FLOWER]), ("1", &[OLD])],
    ),
    (
        "unknown",
        "direct",
        &[(
            "0",
            &[
                "error: the payload is in no known form; expected an S3 notification (alone, or in SQS or SNS), an EventBridge event, an S3 Batch Operations task, or {\"bucket\": …, \"key\": …}",
            ],
        )],
    ),
];

#[test]
fn every_payload_in_the_folder_is_read_as_it_should_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events");
    let mut names: BTreeSet<String> = BTreeSet::new();
    for file in fs::read_dir(&folder).expect("the folder is there") {
        let path = file.expect("the folder can be listed").path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        names.insert(name.expect("a UTF-8 name").to_owned());
    }
    let expected: BTreeSet<String> = EXPECTED.iter().map(|e| e.0.to_owned()).collect();
    assert_eq!(names, expected, "files and expectations");

    for (name, form, messages) in EXPECTED {
        let text = fs::read_to_string(folder.join(format!("{name}.json")));
        let payload = serde_json::from_str(&text.expect("text")).expect("JSON");
        let delivery = read(&payload);
        assert_eq!(form_of(&delivery), *form, "{name}");
        let found: Vec<(String, Vec<String>)> = described(&delivery);
        let wanted: Vec<(String, Vec<String>)> = messages
            .iter()
            .map(|(id, entries)| {
                let entries = entries.iter().map(|entry| (*entry).to_owned());
                ((*id).to_owned(), entries.collect())
            })
            .collect();
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn what_is_told_of_an_object_is_kept() {
    let text = include_str!("events/s3-created.json");
    let delivery = read(&serde_json::from_str(text).expect("JSON"));
    assert_eq!(
        delivery.messages[0].entries,
        [Ok(Entry::Object(ObjectEvent {
            bucket: "uploads-example".to_owned(),
            key: "photos/red flower.jpg".to_owned(),
            version: Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e".to_owned()),
            etag: Some("b1946ac92492d2347c6235b4d2611184".to_owned()),
            size: Some(184_523),
            sequencer: Some("0055AED6DCD90281E5".to_owned()),
            word: "ObjectCreated:Put".to_owned(),
            change: Change::Created,
        }))]
    );
}

#[test]
fn batch_operations_get_their_invocation_back() {
    let text = include_str!("events/batch-2.0.json");
    let delivery = read(&serde_json::from_str(text).expect("JSON"));
    let form = Form::Batch {
        invocation_schema_version: "2.0".to_owned(),
        invocation_id: BATCH_ID.to_owned(),
    };
    assert_eq!(delivery.form, form);
}

#[test]
fn errors_never_repeat_what_the_payload_holds() {
    let private = "192.0.2.99 AIDAEXAMPLE";
    for payload in [
        json!({ "httpMethod": private, private: private }),
        json!({ "Records": [{ "eventSource": "aws:sqs", "body": private }] }),
        json!({ "Records": [{ "eventName": "ObjectCreated:Put", "s3": { "bucket": { "name": 7, "x": private }, "object": { "key": private } } }] }),
        json!({ "Records": [s3_record(&format!("%zz{private}"))] }),
        json!({ "tasks": [{ "s3BucketArn": private, "s3Key": "x" }] }),
        json!({ "bucket": "b", "key": "k", "version": { "x": private } }),
    ] {
        for (_, entries) in described(&read(&payload)) {
            for entry in entries {
                assert!(entry.starts_with("error: "), "{entry}");
                assert!(
                    !entry.contains("192.0.2") && !entry.contains("AIDA"),
                    "{entry}"
                );
            }
        }
    }
}

#[test]
fn a_word_that_no_service_would_say_is_not_repeated() {
    for word in ["x".repeat(65), "line\nend".to_owned(), String::new()] {
        let delivery = read(&json!({ "detail-type": word }));
        assert_eq!(described(&delivery)[0].1, ["other unknown"]);
    }
}

#[test]
fn wrappers_end_somewhere() {
    let mut payload = json!({ "bucket": "b", "key": "k" });
    for _ in 0..10 {
        payload = json!({ "Records": [payload] });
    }
    assert_eq!(described(&read(&payload))[0].1, ["process b k"]);
    for _ in 0..100 {
        payload = json!({ "requestPayload": payload });
    }
    let entries = &described(&read(&payload))[0].1;
    assert!(entries[0].contains("more than 10 wrappers"), "{entries:?}");
    assert!(entries[0].len() < 1000);
}

#[test]
fn a_key_that_s3_can_not_have_is_an_error() {
    for key in [String::new(), "x".repeat(1025)] {
        let delivery = read(&json!({ "bucket": "b", "key": key }));
        let entries = &described(&delivery)[0].1;
        assert!(entries[0].contains("keys have 1 to 1024"), "{entries:?}");
    }
}

// ---- Any key, any payload

proptest! {
    #[test]
    fn any_key_comes_through_every_form(key in any_key(), slashes in any::<bool>()) {
        let encoded: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        // S3 leaves slashes as they are, other encoders don't.
        let encoded = if slashes { encoded.replace("%2F", "/") } else { encoded };
        let notification = json!({ "Records": [s3_record(&encoded)] });
        let event_bridge = json!({
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": { "bucket": { "name": "b" }, "object": { "key": key } },
        });
        let batch = |bucket: &str, name: &str| json!({
            "invocationSchemaVersion": "1.0",
            "invocationId": "id",
            "tasks": [{ "taskId": "t", "s3Key": encoded, bucket: name }],
        });
        for payload in [
            notification.clone(),
            event_bridge.clone(),
            in_sqs(&notification),
            in_sns(&notification),
            in_sqs(&in_sns(&notification)["Records"][0]["Sns"]),
            in_sqs(&event_bridge),
            in_sns(&event_bridge),
            json!({ "requestPayload": notification }),
            json!({ "Messages": [{ "MessageId": "m", "Body": notification.to_string() }] }),
            batch("s3BucketArn", "arn:aws:s3:::b"),
            batch("s3Bucket", "b"),
            json!({ "bucket": "b", "key": key }),
        ] {
            let delivery = read(&payload);
            let [message] = &delivery.messages[..] else {
                panic!("not one message: {delivery:?}");
            };
            let [Ok(Entry::Object(object))] = &message.entries[..] else {
                panic!("not one object: {delivery:?}");
            };
            prop_assert_eq!(&object.key, &key);
            prop_assert_eq!(&object.bucket, "b");
        }
    }

    #[test]
    fn any_payload_gets_an_answer_of_bounded_length(payload in any_payload()) {
        for (_, entries) in described(&read(&payload)) {
            for entry in entries.iter().filter(|entry| entry.starts_with("error")) {
                prop_assert!(entry.len() < 1000, "{}", entry);
            }
        }
    }

    #[test]
    fn garbage_never_hides_its_neighbours(garbage in any_payload(), text in ".{0,30}") {
        let good = s3_record("good.jpg");
        let is_good = |entry: &String| entry == "process b good.jpg";

        let direct = json!({ "Records": [garbage, good, text, garbage, good] });
        let entries: Vec<String> = described(&read(&direct)).into_iter().flat_map(|m| m.1).collect();
        prop_assert!(entries.iter().filter(|e| is_good(e)).count() >= 2);

        let queue = json!({ "Records": [
            { "eventSource": "aws:sqs", "messageId": "1", "body": text },
            { "eventSource": "aws:sqs", "messageId": "2", "body": garbage },
            { "eventSource": "aws:sqs", "messageId": "3", "body": json!({ "Records": [garbage, good] }).to_string() },
            garbage,
            { "eventSource": "aws:sqs", "messageId": "4", "body": json!({ "Records": [good] }).to_string() },
        ] });
        let messages = described(&read(&queue));
        prop_assert_eq!(messages.len(), 5);
        prop_assert!(messages[2].1.iter().any(is_good));
        prop_assert_eq!(&messages[4], &("4".to_owned(), vec!["process b good.jpg".to_owned()]));
    }
}

/// Awkward keys often, all others sometimes; at most as long as S3 allows.
fn any_key() -> impl Strategy<Value = String> {
    let awkward = prop::sample::select(vec![
        "+",
        "%",
        "%2B",
        "%25",
        " ",
        "/",
        "//",
        "\"",
        "'",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "&",
        "=",
        "?",
        "#",
        "é",
        "e\u{301}",
        "🖼",
        "👩‍👩‍👧",
        "\u{feff}",
        "日本",
        "..",
        "_$folder$",
        "{}",
        "a",
        ".jpg",
    ]);
    let piece = prop_oneof![awkward.prop_map(str::to_owned), ".{1,4}", "[a-z0-9]{1,8}"];
    prop::collection::vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

/// JSON with the field names that mean something, so that it gets past the first look.
fn any_payload() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "Records",
        "eventSource",
        "EventSource",
        "eventName",
        "s3",
        "bucket",
        "object",
        "name",
        "key",
        "version",
        "body",
        "Body",
        "messageId",
        "MessageId",
        "Messages",
        "Sns",
        "Message",
        "Type",
        "requestPayload",
        "detail",
        "detail-type",
        "source",
        "tasks",
        "taskId",
        "s3Key",
        "s3Bucket",
        "s3BucketArn",
        "Event",
        "size",
        "eTag",
        "x",
    ]);
    let words = prop::sample::select(vec![
        "aws:s3",
        "aws:sqs",
        "aws:sns",
        "ObjectCreated:Put",
        "ObjectRemoved:Delete",
        "s3:TestEvent",
        "Notification",
        "Object Created",
        "{}",
        "[]",
        "{\"Records\":[{}]}",
        "%",
        "%ff",
        "arn:aws:s3:::b",
        "arn:aws:s3",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        let fields = prop::collection::vec((names.clone(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            inner.prop_map(|inner| Value::from(inner.to_string())),
            fields.prop_map(|fields| {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(fields.collect())
            }),
        ]
    })
}

fn s3_record(encoded_key: &str) -> Value {
    json!({
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "b" }, "object": { "key": encoded_key } },
    })
}

fn in_sqs(inner: &Value) -> Value {
    json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "m", "body": inner.to_string() }] })
}

fn in_sns(inner: &Value) -> Value {
    json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Type": "Notification", "Message": inner.to_string() } }] })
}

fn form_of(delivery: &Delivery) -> &'static str {
    match delivery.form {
        Form::Direct => "direct",
        Form::Sqs => "sqs",
        Form::Batch { .. } => "batch",
    }
}

fn described(delivery: &Delivery) -> Vec<(String, Vec<String>)> {
    let messages = delivery.messages.iter();
    messages
        .map(|message| {
            let entries = message.entries.iter().map(|entry| match entry {
                Ok(Entry::Object(object)) => {
                    let verb = match object.change {
                        Change::Created => "process",
                        Change::Removed => "remove",
                    };
                    let version = object.version.as_ref();
                    let version = version.map_or(String::new(), |version| format!(" @{version}"));
                    format!("{verb} {} {}{version}", object.bucket, object.key)
                }
                Ok(Entry::Test) => "test".to_owned(),
                Ok(Entry::Other { word }) => format!("other {word}"),
                Err(error) => format!("error: {error}"),
            });
            (message.id.clone(), entries.collect())
        })
        .collect()
}
