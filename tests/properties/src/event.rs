//! Payloads of the function: whatever the JSON is, there is an answer, and its own output is never a job.

use std::sync::LazyLock;

use pixmill_lambda::event::{Entry, read};
use pixmill_lambda::select::{Choice, Patterns, Rules};
use serde_json::Value;

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    upload_bucket: None,
    upload_prefix: "in/".to_owned(),
    processed_bucket: "uploads-example".to_owned(),
    processed_prefix: "in/out/".to_owned(),
    include: Patterns::parse("*.{jpg,png,webp}").expect("good patterns"),
    exclude: Patterns::default(),
});

/// Any payload has an answer.
///
/// # Panics
///
/// Where one of our own outputs became a job, or an error's words are no line of a log.
pub fn event(bytes: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for message in read(&payload).messages {
        for entry in message.entries {
            match entry {
                Ok(Entry::Object(event)) => {
                    let own = event.bucket == "uploads-example" && event.key.starts_with("in/out/");
                    if let Ok(Choice::Job(job)) = RULES.choose(&event) {
                        assert!(
                            !own && event.key == format!("in/{}", job.source),
                            "{event:?}"
                        );
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    // One line of the log, of a size that can be borne.
                    let words = error.to_string();
                    assert!(
                        !words.contains(char::is_control) && words.len() < 4096,
                        "{words:?}"
                    );
                }
            }
        }
    }
}
