//! From a payload to records: every form in which an S3 event reaches a function.
//!
//! | form | what holds the key | the key is |
//! | --- | --- | --- |
//! | S3 notification | `Records[].s3.object.key` | form-encoded |
//! | S3 Batch Operations, schemas 1.0 and 2.0 | `tasks[].s3Key` | form-encoded |
//! | `EventBridge` | `detail.object.key` | as it is |
//! | by hand: `{"bucket": …, "key": …, "version": …}` | `key` | as it is |
//!
//! Each of them may come alone or inside others: an SQS message, as a function receives it or as
//! `aws sqs receive-message` prints it; an SNS notification; the record that a failed asynchronous
//! invocation leaves at its destination.
//!
//! The payload is read field by field, each record for itself, and not into the types of the
//! `aws_lambda_events` crate: those refuse a whole payload for one odd record, and for fields that
//! are not needed here (emulators leave out versions and sequencers, and write other times), and
//! an event that is refused as a whole takes its neighbours with it.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// How many wrappers may lie around a record. The deepest honest payload has six: a list of
/// printed queue messages, in one a failed invocation, in it a list of notifications by SNS, in one
/// the list of S3's records.
const MAX_DEPTH: usize = 10;

/// The longest key that S3 knows, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// The most characters of an event's own word that are kept.
const MAX_WORD_CHARS: usize = 64;

/// A payload, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who asks, and so how the reply must look.
    pub form: Form,
    /// What can succeed or fail on its own.
    pub messages: Vec<Message>,
}

/// Who asks, and so how the reply must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// S3, SNS, `EventBridge`, or a person: it succeeds or fails as a whole.
    Direct,
    /// A queue: the failed messages are named.
    Sqs,
    /// S3 Batch Operations: every task has its result.
    Batch {
        /// Given back as it came.
        invocation_schema_version: String,
        /// Given back as it came.
        invocation_id: String,
    },
}

/// What can succeed or fail on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue's message id, the task's id, or the record's position in a direct delivery.
    ///
    /// Empty where a message or task has none. In a queue's reply that is a name that does not
    /// exist, upon which Lambda takes the whole batch for failed: nothing is lost.
    pub id: String,
    /// What it holds; one that can't be read never hides its neighbours.
    pub entries: Vec<Result<Entry, EventError>>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something happened to an object.
    Object(ObjectEvent),
    /// S3 says that it can reach us (`s3:TestEvent`): nothing to do.
    Test,
    /// Nothing that changes an object's content: a restore, a tag, another service's event.
    Other {
        /// The event's own word, bounded.
        word: String,
    },
}

/// Something happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
    /// The object's version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The object's etag, without quotes.
    pub etag: Option<String>,
    /// The object's size, in bytes.
    pub size: Option<u64>,
    /// S3's mark for the order of events about one key; compared right-padded with zeros.
    pub sequencer: Option<String>,
    /// The event's own word, bounded: `ObjectCreated:Put`, `Object Deleted`, …
    pub word: String,
    /// What happened.
    pub change: Change,
}

/// What happened to an object. A hint: the object is looked at before anything is done, because a
/// removal may have taken an old version only, and events come late and in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was written, or shall be processed.
    Created,
    /// It, or a version of it, was removed.
    Removed,
}

/// Why a record can't be read. Says where, by the names of fields; never what the payload holds,
/// since people's addresses and names are in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A field is missing or of another type.
    #[error("{at} is missing or is not {expected}")]
    Missing {
        /// The field.
        at: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A message's text is not JSON.
    #[error("{at} is not JSON (line {line}, column {column})")]
    NotJson {
        /// The field.
        at: String,
        /// Where in the text.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A key is not encoded as S3 does it.
    #[error(
        "{at} is not a form-encoded key: {why}; S3 writes a space as `+` and other bytes of UTF-8 as `%` and two hexadecimal digits"
    )]
    Encoding {
        /// The field.
        at: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A key that S3 can't have.
    #[error("{at} has {bytes} bytes; keys have 1 to {MAX_KEY_BYTES}")]
    KeyLength {
        /// The field.
        at: String,
        /// The key's length, in bytes.
        bytes: usize,
    },
    /// A bucket's ARN that names no bucket.
    #[error("{at} does not name a bucket; it should look like arn:aws:s3:::name")]
    BucketArn {
        /// The field.
        at: String,
    },
    /// None of the known forms.
    #[error(
        "{at} is in no known form; expected an S3 notification (alone, or in SQS or SNS), an EventBridge event, an S3 Batch Operations task, or {{\"bucket\": …, \"key\": …}}"
    )]
    UnknownForm {
        /// The field, or the payload.
        at: String,
    },
    /// Wrappers around wrappers.
    #[error("{at} lies within more than {MAX_DEPTH} wrappers; send the event itself")]
    TooDeep {
        /// The field.
        at: String,
    },
}

impl EventError {
    /// The bounded word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "event-field",
            Self::NotJson { .. } => "event-not-json",
            Self::Encoding { .. } | Self::KeyLength { .. } => "event-key",
            Self::BucketArn { .. } => "event-bucket",
            Self::UnknownForm { .. } => "event-unknown",
            Self::TooDeep { .. } => "event-too-deep",
        }
    }
}

/// Reads a payload. Whatever it is, there is an answer: what can't be read is an error in its place.
pub fn read(payload: &Value) -> Delivery {
    if let Some((name, records)) = records_of(payload)
        && records.iter().any(is_queue_record)
    {
        let messages = records.iter().enumerate().map(|(n, record)| Message {
            id: text(record, "messageId").unwrap_or_default().to_owned(),
            entries: entries(record, &Place::default().item(name, n), 1),
        });
        return Delivery {
            form: Form::Sqs,
            messages: messages.collect(),
        };
    }
    if let Some(tasks) = tasks_of(payload) {
        let messages = tasks.iter().enumerate().map(|(n, task)| Message {
            id: text(task, "taskId").unwrap_or_default().to_owned(),
            entries: vec![batch_task(task, &Place::default().item("tasks", n))],
        });
        return Delivery {
            form: Form::Batch {
                invocation_schema_version: text(payload, "invocationSchemaVersion")
                    .unwrap_or("1.0")
                    .to_owned(),
                invocation_id: text(payload, "invocationId").unwrap_or_default().to_owned(),
            },
            messages: messages.collect(),
        };
    }
    let entries = entries(payload, &Place::default(), 0);
    let messages = entries.into_iter().enumerate().map(|(n, entry)| Message {
        id: n.to_string(),
        entries: vec![entry],
    });
    Delivery {
        form: Form::Direct,
        messages: messages.collect(),
    }
}

/// A place in the payload, by the names of fields: `Records[0].body.Records[1]`.
#[derive(Clone, Default)]
struct Place(String);

impl Place {
    fn field(&self, name: &str) -> Self {
        let dot = if self.0.is_empty() || name.is_empty() {
            ""
        } else {
            "."
        };
        Self(format!("{}{dot}{name}", self.0))
    }

    fn item(&self, name: &str, number: usize) -> Self {
        Self(format!("{}[{number}]", self.field(name).0))
    }

    fn name(&self) -> String {
        if self.0.is_empty() {
            "the payload".to_owned()
        } else {
            self.0.clone()
        }
    }

    fn missing(&self, expected: &'static str) -> EventError {
        EventError::Missing {
            at: self.name(),
            expected,
        }
    }
}

type Entries = Vec<Result<Entry, EventError>>;

/// All records in `value`, whatever wraps them.
fn entries(value: &Value, at: &Place, depth: usize) -> Entries {
    if depth > MAX_DEPTH {
        return vec![Err(EventError::TooDeep { at: at.name() })];
    }
    if let Some((name, records)) = records_of(value) {
        return all_of(records, name, at, depth);
    }
    if let Some(tasks) = tasks_of(value) {
        let tasks = tasks.iter().enumerate();
        return tasks
            .map(|(n, task)| batch_task(task, &at.item("tasks", n)))
            .collect();
    }
    if let Some(messages) = value["Messages"].as_array() {
        return all_of(messages, "Messages", at, depth);
    }
    if value["s3"].is_object() || text(value, "eventSource") == Some("aws:s3") {
        return vec![notification(value, at)];
    }
    if is_queue_record(value) || (value.get("messageId").is_some() && value["body"].is_string()) {
        return inside_text(value, "body", at, depth);
    }
    if value.get("MessageId").is_some() && value["Body"].is_string() {
        return inside_text(value, "Body", at, depth);
    }
    if value["Sns"].is_object() || text(value, "EventSource") == Some("aws:sns") {
        return inside_text(&value["Sns"], "Message", &at.field("Sns"), depth);
    }
    match text(value, "Type") {
        Some("Notification") => return inside_text(value, "Message", at, depth),
        Some(word @ ("SubscriptionConfirmation" | "UnsubscribeConfirmation")) => {
            return vec![Ok(other(word))];
        }
        _ => {}
    }
    if let Some(original) = value.get("requestPayload") {
        return entries(original, &at.field("requestPayload"), depth + 1);
    }
    if let Some(original) = value["detail"].get("requestPayload") {
        return entries(original, &at.field("detail.requestPayload"), depth + 1);
    }
    if text(value, "Event") == Some("s3:TestEvent") {
        return vec![Ok(Entry::Test)];
    }
    if let Some(word) = text(value, "detail-type") {
        return vec![from_event_bridge(value, word, at)];
    }
    if value.get("bucket").is_some() || value.get("key").is_some() {
        return vec![by_hand(value, at)];
    }
    vec![Err(EventError::UnknownForm { at: at.name() })]
}

/// A list of records, and the name it goes by: none where the payload itself is the list, as
/// `EventBridge` Pipes send it.
fn records_of(value: &Value) -> Option<(&'static str, &[Value])> {
    match value {
        Value::Array(records) => Some(("", records)),
        _ => Some(("Records", value["Records"].as_array()?)),
    }
}

fn tasks_of(value: &Value) -> Option<&[Value]> {
    value["tasks"].as_array().map(Vec::as_slice)
}

fn is_queue_record(record: &Value) -> bool {
    text(record, "eventSource") == Some("aws:sqs")
}

fn all_of(values: &[Value], name: &str, at: &Place, depth: usize) -> Entries {
    let values = values.iter().enumerate();
    values
        .flat_map(|(n, value)| entries(value, &at.item(name, n), depth + 1))
        .collect()
}

/// The records in the JSON that a field holds as text.
fn inside_text(value: &Value, name: &str, at: &Place, depth: usize) -> Entries {
    let at = at.field(name);
    let Some(inner) = text(value, name) else {
        return vec![Err(at.missing("text"))];
    };
    match serde_json::from_str(inner) {
        Ok(inner) => entries(&inner, &at, depth + 1),
        Err(error) => vec![Err(EventError::NotJson {
            at: at.name(),
            line: error.line(),
            column: error.column(),
        })],
    }
}

fn notification(record: &Value, at: &Place) -> Result<Entry, EventError> {
    let name = text(record, "eventName").ok_or_else(|| at.field("eventName").missing("text"))?;
    // S3's own records leave the prefix out, those of look-alikes don't.
    let name = name.strip_prefix("s3:").unwrap_or(name);
    let change = match name.split(':').next() {
        Some("ObjectCreated") => Change::Created,
        Some("ObjectRemoved" | "LifecycleExpiration") => Change::Removed,
        Some("TestEvent") => return Ok(Entry::Test),
        _ => return Ok(other(name)),
    };
    let (bucket, object) = (&record["s3"]["bucket"], &record["s3"]["object"]);
    let (bucket_at, object_at) = (at.field("s3.bucket"), at.field("s3.object"));
    Ok(Entry::Object(ObjectEvent {
        bucket: name_of_bucket(bucket, "name", &bucket_at)?,
        key: form_encoded_key(object, "key", &object_at)?,
        version: optional(object, "versionId"),
        etag: etag(object, "eTag"),
        size: object["size"].as_u64(),
        sequencer: sequencer(object),
        word: bounded_word(name),
        change,
    }))
}

/// Told by its type alone: the same event sent on by somebody else has another source.
fn from_event_bridge(event: &Value, word: &str, at: &Place) -> Result<Entry, EventError> {
    let change = match word {
        "Object Created" => Change::Created,
        "Object Deleted" => Change::Removed,
        _ => return Ok(other(word)),
    };
    let (bucket, object) = (&event["detail"]["bucket"], &event["detail"]["object"]);
    let (bucket_at, object_at) = (at.field("detail.bucket"), at.field("detail.object"));
    Ok(Entry::Object(ObjectEvent {
        bucket: name_of_bucket(bucket, "name", &bucket_at)?,
        key: plain_key(object, "key", &object_at)?,
        version: optional(object, "version-id"),
        etag: etag(object, "etag"),
        size: object["size"].as_u64(),
        sequencer: sequencer(object),
        word: bounded_word(word),
        change,
    }))
}

fn batch_task(task: &Value, at: &Place) -> Result<Entry, EventError> {
    // Schema 2.0 has the bucket's name, 1.0 its ARN.
    let bucket = if task.get("s3Bucket").is_some() {
        name_of_bucket(task, "s3Bucket", at)?
    } else {
        let at = at.field("s3BucketArn");
        let arn = text(task, "s3BucketArn").ok_or_else(|| at.missing("text"))?;
        let name = bucket_in_arn(arn).ok_or_else(|| EventError::BucketArn { at: at.name() })?;
        name.to_owned()
    };
    Ok(Entry::Object(ObjectEvent {
        bucket,
        key: form_encoded_key(task, "s3Key", at)?,
        version: optional(task, "s3VersionId"),
        etag: None,
        size: None,
        sequencer: None,
        word: "BatchOperations".to_owned(),
        change: Change::Created,
    }))
}

fn by_hand(request: &Value, at: &Place) -> Result<Entry, EventError> {
    let version = match &request["version"] {
        Value::Null => None,
        Value::String(version) if !version.is_empty() => Some(version.clone()),
        // A person who writes a version means it; leaving it out would process another one.
        _ => return Err(at.field("version").missing("text")),
    };
    Ok(Entry::Object(ObjectEvent {
        bucket: name_of_bucket(request, "bucket", at)?,
        key: plain_key(request, "key", at)?,
        version,
        etag: None,
        size: None,
        sequencer: None,
        word: "ByHand".to_owned(),
        change: Change::Created,
    }))
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// For what is good to know and not needed: anything but text counts as absent.
fn optional(value: &Value, name: &str) -> Option<String> {
    let is_fit = |text: &&str| !text.is_empty() && text.len() <= MAX_KEY_BYTES;
    let text = text(value, name).filter(is_fit);
    text.map(str::to_owned)
}

/// Hexadecimal digits, as S3 writes it; anything else is no place in an order.
fn sequencer(object: &Value) -> Option<String> {
    let is_fit = |text: &String| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    optional(object, "sequencer").filter(is_fit)
}

fn etag(object: &Value, name: &str) -> Option<String> {
    let etag = optional(object, name)?;
    Some(etag.trim_matches('"').to_owned())
}

fn name_of_bucket(value: &Value, name: &str, at: &Place) -> Result<String, EventError> {
    // 255 characters were possible once; longer ones never were.
    let bucket = text(value, name).filter(|bucket| (1..=255).contains(&bucket.len()));
    let bucket = bucket.ok_or_else(|| at.field(name).missing("a bucket's name"))?;
    Ok(bucket.to_owned())
}

/// The bucket in `arn:aws:s3:::name`, of any partition; region and account may be filled in.
fn bucket_in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_s3 = parts.next() == Some("arn")
        && parts.next().is_some_and(|part| part.starts_with("aws"))
        && parts.next().is_some_and(|part| part.starts_with("s3"));
    // Access points have a slash or a further colon.
    let name = parts.nth(2).filter(|_| is_s3)?;
    let is_name = (1..=255).contains(&name.len()) && !name.contains(['/', ':']);
    is_name.then_some(name)
}

fn plain_key(value: &Value, name: &str, at: &Place) -> Result<String, EventError> {
    let at = at.field(name);
    let key = text(value, name).ok_or_else(|| at.missing("text"))?;
    of_possible_length(key, &at)
}

fn form_encoded_key(value: &Value, name: &str, at: &Place) -> Result<String, EventError> {
    let at = at.field(name);
    let key = text(value, name).ok_or_else(|| at.missing("text"))?;
    let decoded = form_decoded(key);
    let decoded = decoded.map_err(|why| EventError::Encoding { at: at.name(), why })?;
    of_possible_length(&decoded, &at)
}

/// A key as S3 writes it in notifications, inventories and the tasks of S3 Batch Operations, decoded: a space is `+` or
/// `%20`, other bytes are `%` and two hexadecimal digits. Fails with what is wrong.
pub fn form_decoded(key: &str) -> Result<String, &'static str> {
    // The decoder lets a lone `%` pass, and then two different keys would read alike.
    let is_complete = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !key.split('%').skip(1).all(is_complete) {
        return Err("a `%` is not followed by two hexadecimal digits");
    }
    // Before decoding: a plus in the key itself comes as `%2B`.
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| "decoded, it is not UTF-8")?;
    Ok(decoded.into_owned())
}

fn of_possible_length(key: &str, at: &Place) -> Result<String, EventError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(EventError::KeyLength {
            at: at.name(),
            bytes: key.len(),
        });
    }
    Ok(key.to_owned())
}

fn other(word: &str) -> Entry {
    Entry::Other {
        word: bounded_word(word),
    }
}

/// Words go into logs: what no AWS service would say isn't repeated there.
fn bounded_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " :-_.*".contains(c);
    if !word.is_empty() && word.len() <= MAX_WORD_CHARS && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        "unknown".to_owned()
    }
}
