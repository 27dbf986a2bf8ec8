//! The events that reach the function, in the forms that AWS documents.

use serde_json::{Value, json};

/// One record of S3's: an object was written.
pub fn created(bucket: &str, key: &str, sequencer: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:AIDAEXAMPLE" },
        "requestParameters": { "sourceIPAddress": "192.0.2.77" },
        "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "abcdefgh" },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {
                "name": bucket,
                "ownerIdentity": { "principalId": "A3NL1KOZZKExample" },
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": { "key": form_encoded(key), "size": 1, "eTag": "0", "sequencer": sequencer },
        },
    })
}

/// As S3 writes keys in events: a space is `+`, a slash stays.
fn form_encoded(key: &str) -> String {
    let written = key.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'*' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    written.collect()
}

/// Records as S3 sends them: to the function itself, or as a message's body.
pub fn notification(records: &[Value]) -> Value {
    json!({ "Records": records })
}

/// One message of a queue, as an event source mapping hands it over.
pub fn queue_message(id: &str, body: &str) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": format!("receipt of {id}"),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767323045678",
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": "1767323045700",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
        "awsRegion": "us-east-1",
    })
}

/// A message as SQS gave it, as an event source mapping of the queue with this ARN hands it over.
pub fn received(message: &Value, arn: &str) -> Value {
    json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-1",
    })
}

/// The messages that a reply gives back to the queue.
pub fn given_back(reply: &Value) -> Vec<&str> {
    let failures = reply["batchItemFailures"].as_array();
    let failures = failures.unwrap_or_else(|| panic!("not a batch's reply: {reply}"));
    let ids = failures.iter().map(|f| f["itemIdentifier"].as_str());
    ids.map(|id| id.expect("an id")).collect()
}
