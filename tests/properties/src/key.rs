//! Keys: a template, and two sources' names behind it, each parted by the byte 0xFF, which no text has. What
//! `key.rs` promises of random names holds of any, and a key comes through S3's way of writing it.

use std::str;

use pixmill::key::{KeyTemplate, MAX_KEY_BYTES, MAX_PART_BYTES, Names, safe_key};
use pixmill_lambda::event::{Entry, read};
use serde_json::json;

/// A template and two names of sources, each parted by 0xFF.
///
/// # Panics
///
/// Where a key is none, or two sources come to one.
pub fn key(bytes: &[u8]) {
    let mut texts = bytes.split(|byte| *byte == 0xFF).map(str::from_utf8);
    let (Some(Ok(template)), Some(Ok(one)), Some(Ok(other))) =
        (texts.next(), texts.next(), texts.next())
    else {
        return;
    };
    if one != other {
        assert_ne!(safe_key(one), safe_key(other));
    }
    comes_through(one);
    let Ok(parsed) = template.parse::<KeyTemplate>() else {
        return;
    };
    assert_eq!(parsed.to_string(), template);
    let names = Names {
        variant: "small",
        ext: "webp",
        width: 30,
        height: 20,
        sha256: "0123456789abcdef0123456789abcdef",
    };
    let keys = [one, other].map(|source| parsed.expand(source, &names));
    for key in &keys {
        assert!(key.len() <= MAX_KEY_BYTES, "{key:?}");
        for part in key.split('/') {
            assert!(part.len() <= MAX_PART_BYTES, "{part:?}");
            let holds = !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
            assert!(holds, "{part:?} of {key:?}");
        }
        assert!(parsed.could_have_made(key), "{key:?}");
    }
    if parsed.keeps_sources_apart() && one != other {
        assert_ne!(keys[0], keys[1]);
    }
}

/// S3 form-encodes the keys in its notifications.
fn comes_through(key: &str) {
    if key.is_empty() || key.len() > 1024 {
        return;
    }
    let encoded: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    let payload = json!({ "Records": [{
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "uploads-example" }, "object": { "key": encoded } },
    }] });
    for message in read(&payload).messages {
        for entry in message.entries {
            if let Ok(Entry::Object(event)) = entry {
                assert_eq!(event.key, key);
            }
        }
    }
    // As it came: any text.
    let payload = json!({ "Records": [{
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "uploads-example" }, "object": { "key": key } },
    }] });
    let _ = read(&payload);
}
