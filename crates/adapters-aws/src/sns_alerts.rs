//! Alerts by SNS: one topic for each channel, so that people choose what reaches them.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use pixmill::alert::{Alert, Channel};
use pixmill::error::BoxError;
use pixmill::ports::AlertSink;

use crate::sdk_error::Said;

/// A subject has fewer than 100 characters.
const SUBJECT: usize = 99;
/// What a subject that was cut ends with.
const CUT: &str = "...";
/// Well below SNS's limit of 256 KB on a message with its attributes, in bytes.
const BODY: usize = 200_000;
/// The last line of a body that was cut.
const BODY_CUT: &str = "\n(The rest was too long for a message: see the logs.)";

/// The topics' ARNs, one for each channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Somebody must act now.
    pub critical: String,
    /// Slower or larger than it should be.
    pub performance: String,
    /// Worth reading in the logs.
    pub logs: String,
}

/// An alert sink that publishes each alert to its channel's topic.
///
/// SNS takes subjects of printable ASCII and less than 100 characters: other characters become `?`, runs of white space
/// one space, and a longer subject is cut at a word and ends with `...`. The message's attribute `channel` is the channel's
/// word, for subscriptions that filter.
#[derive(Clone, Debug)]
pub struct SnsAlerts {
    client: Client,
    topics: Topics,
}

impl SnsAlerts {
    /// The client comes from [`sns_client`](crate::sns_client).
    pub fn new(client: Client, topics: Topics) -> Self {
        Self { client, topics }
    }

    fn topic(&self, channel: Channel) -> &str {
        match channel {
            Channel::Performance => &self.topics.performance,
            Channel::Logs => &self.topics.logs,
            // A channel that is newer than this adapter had better be heard.
            _ => &self.topics.critical,
        }
    }
}

#[async_trait]
impl AlertSink for SnsAlerts {
    async fn send(&self, alert: &Alert) -> Result<(), BoxError> {
        let (channel, topic) = (alert.channel, self.topic(alert.channel));
        let subject = subject(&alert.subject, channel);
        let attribute = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(channel.word())
            .build()?;
        let sent = self
            .client
            .publish()
            .topic_arn(topic)
            .message(body(&alert.body, &subject))
            .subject(subject)
            .message_attributes("channel", attribute)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => {
                let said = Said::by(&error);
                Err(format!(
                    "nobody was told on the channel {channel} ({topic}): SNS Publish: {said}"
                )
                .into())
            }
        }
    }
}

/// The subject as SNS takes it; it never comes out empty.
fn subject(text: &str, channel: Channel) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let ascii: String = line
        .chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect();
    if ascii.is_empty() {
        return format!("Pixmill: {channel}");
    }
    if ascii.len() <= SUBJECT {
        return ascii;
    }
    let room = &ascii[..=SUBJECT - CUT.len()];
    let end = room.rfind(' ').filter(|end| *end > SUBJECT / 2);
    let kept = &room[..end.unwrap_or(SUBJECT - CUT.len())];
    format!("{kept}{CUT}")
}

/// The body as SNS takes it: not empty, not too long, and nothing that plays with a terminal.
fn body(text: &str, subject: &str) -> String {
    if text.trim().is_empty() {
        return subject.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if plain.len() > BODY {
            return plain + BODY_CUT;
        }
        if c.is_control() && c != '\n' && c != '\t' {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_that_sns_takes_is_left_alone() {
        let plain = "3 of 10 pictures were not made";
        assert_eq!(subject(plain, Channel::Critical), plain);
    }

    #[test]
    fn a_subject_is_one_line_of_ascii() {
        let odd = " 1 of 2\r\nM\u{e4}use \u{1b}[2J\tlost ";
        assert_eq!(subject(odd, Channel::Logs), "1 of 2 M?use [2J lost");
        assert_eq!(subject("\n", Channel::Logs), "Pixmill: logs");
    }

    #[test]
    fn a_long_subject_is_cut_at_a_word_and_says_so() {
        let long = "word ".repeat(30);
        let cut = subject(&long, Channel::Critical);
        assert!(cut.ends_with("word...") && cut.len() <= 99, "{cut}");
        let one_word = "x".repeat(200);
        assert_eq!(subject(&one_word, Channel::Critical).len(), 99);
        let exact = "y".repeat(99);
        assert_eq!(subject(&exact, Channel::Critical), exact);
    }

    #[test]
    fn a_body_is_never_empty_nor_too_long() {
        assert_eq!(body(" \n", "subject"), "subject");
        assert_eq!(body("a\nb\u{1b}", "s"), "a\nb\\u{1b}");
        let long = body(&"é".repeat(200_000), "s");
        assert!(long.len() < 256 * 1024 && long.ends_with(BODY_CUT));
    }

    proptest! {
        #[test]
        fn any_subject_fits_sns(text in "(?s).{0,200}") {
            let subject = subject(&text, Channel::Critical);
            prop_assert!((1..100).contains(&subject.len()));
            prop_assert!(subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
            prop_assert!(!subject.starts_with(' '));
        }
    }
}
