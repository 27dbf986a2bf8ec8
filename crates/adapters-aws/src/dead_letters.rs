//! A dead-letter queue's messages: looked at, sent on to another queue, and only then deleted.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName,
};

use crate::sdk_error::Said;

/// The most messages that one call receives or releases: SQS's own number.
const BATCH: usize = 10;
/// How long a receive waits for messages, in seconds: an answer at once may pass some of them over.
const WAIT_SECONDS: i32 = 1;

/// A queue whose messages are looked at, and sent on.
///
/// What is received is out of others' sight until it is deleted, released, or the time is over for which it was
/// received. Receiving counts: where the queue itself has a dead-letter queue, a message moves on after its
/// `maxReceiveCount`; a dead-letter queue has none, as a rule.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    url: String,
}

/// A message, received.
#[derive(Clone, Debug)]
pub struct Letter {
    /// SQS's id: the same each time that the message is received.
    pub id: String,
    /// Its text.
    pub body: String,
    /// When it was first sent; on the way to a dead-letter queue that stays as it was.
    pub sent: Option<SystemTime>,
    receipt: Receipt,
    attributes: HashMap<String, MessageAttributeValue>,
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// About how many messages wait to be received.
    pub waiting: Option<u64>,
    /// Whether it has a dead-letter queue of its own: then each receipt is an attempt, and the last one moves
    /// the message there.
    pub gives_up: bool,
}

/// By what a received message is deleted or released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(String);

/// A call to SQS that failed, in one sentence.
#[derive(Debug)]
pub struct QueueError {
    operation: &'static str,
    words: String,
}

impl QueueError {
    fn of_call<E>(operation: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let words = Said::by(error).to_string();
        Self { operation, words }
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQS {}: {}", self.operation, self.words)
    }
}

impl StdError for QueueError {}

impl Letter {
    /// By what it is deleted or released.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    fn of(message: Message) -> Self {
        let sent = message.attributes.as_ref().and_then(|attributes| {
            let sent = attributes.get(&MessageSystemAttributeName::SentTimestamp)?;
            let since = Duration::from_millis(sent.parse().ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        });
        Self {
            id: message.message_id.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            sent,
            receipt: Receipt(message.receipt_handle.unwrap_or_default()),
            attributes: message.message_attributes.unwrap_or_default(),
        }
    }
}

impl DeadLetters {
    /// The queue of this URL; `client` comes from [`sqs_client`](crate::sqs_client).
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        let url = url.into();
        Self { client, url }
    }

    /// How the queue stands.
    pub async fn standing(&self) -> Result<Standing, QueueError> {
        let (number, policy) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::RedrivePolicy,
        );
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(number.clone())
            .attribute_names(policy.clone())
            .send()
            .await
            .map_err(|error| QueueError::of_call("GetQueueAttributes", &error))?;
        let found = |name| answer.attributes()?.get(name);
        Ok(Standing {
            waiting: found(&number).and_then(|text| text.parse().ok()),
            gives_up: found(&policy).is_some_and(|policy| !policy.is_empty()),
        })
    }

    /// The URLs of the queues whose messages come here when they are given up.
    pub async fn source_queues(&self) -> Result<Vec<String>, QueueError> {
        let call = self.client.list_dead_letter_source_queues();
        let mut pages = call.queue_url(&self.url).into_paginator().send();
        let mut urls = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| QueueError::of_call("ListDeadLetterSourceQueues", &error))?;
            urls.extend(page.queue_urls);
        }
        Ok(urls)
    }

    /// Up to ten messages, which nobody else sees for so long (in whole seconds, twelve hours at most). None: the
    /// queue is empty, or what is in it is out of sight.
    pub async fn receive(&self, out_of_sight: Duration) -> Result<Vec<Letter>, QueueError> {
        let seconds = out_of_sight.as_secs().min(12 * 60 * 60);
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(BATCH).expect("ten"))
            .visibility_timeout(i32::try_from(seconds).expect("twelve hours at most"))
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| QueueError::of_call("ReceiveMessage", &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages.into_iter().map(Letter::of).collect())
    }

    /// Sends the same text and attributes to the queue `to`, as a new message. The letter stays here until it is
    /// [deleted](DeadLetters::delete).
    pub async fn send_on(&self, letter: &Letter, to: &str) -> Result<(), QueueError> {
        let attributes = Some(letter.attributes.clone()).filter(|all| !all.is_empty());
        self.send(to, &letter.body, attributes).await
    }

    /// Sends a text to the queue `to`.
    pub async fn send_text(&self, text: &str, to: &str) -> Result<(), QueueError> {
        self.send(to, text, None).await
    }

    async fn send(
        &self,
        to: &str,
        body: &str,
        attributes: Option<HashMap<String, MessageAttributeValue>>,
    ) -> Result<(), QueueError> {
        let call = self.client.send_message().queue_url(to);
        let call = call.message_body(body).set_message_attributes(attributes);
        let sent = call.send().await;
        sent.map(drop)
            .map_err(|error| QueueError::of_call("SendMessage", &error))
    }

    /// Removes a message for good.
    pub async fn delete(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let call = self.client.delete_message().queue_url(&self.url);
        let deleted = call.receipt_handle(&receipt.0).send().await;
        deleted
            .map(drop)
            .map_err(|error| QueueError::of_call("DeleteMessage", &error))
    }

    /// Keeps a message out of others' sight for so long from now on (twelve hours after its receipt at most).
    pub async fn keep(&self, receipt: &Receipt, out_of_sight: Duration) -> Result<(), QueueError> {
        let seconds = i32::try_from(out_of_sight.as_secs()).unwrap_or(i32::MAX);
        let call = self.client.change_message_visibility().queue_url(&self.url);
        let call = call.receipt_handle(&receipt.0).visibility_timeout(seconds);
        let kept = call.send().await;
        kept.map(drop)
            .map_err(|error| QueueError::of_call("ChangeMessageVisibility", &error))
    }

    /// Puts messages back in sight at once, and says how many could not be: those come back when their time is
    /// over.
    pub async fn release(&self, receipts: &[Receipt]) -> usize {
        let mut left = 0;
        for batch in receipts.chunks(BATCH) {
            let entries: Vec<_> = batch
                .iter()
                .enumerate()
                .filter_map(|(at, receipt)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(at.to_string())
                        .receipt_handle(&receipt.0)
                        .visibility_timeout(0)
                        .build()
                        .ok()
                })
                .collect();
            let call = self.client.change_message_visibility_batch();
            let call = call.queue_url(&self.url).set_entries(Some(entries));
            left += match call.send().await {
                Ok(answer) => answer.failed.len(),
                Err(_) => batch.len(),
            };
        }
        left
    }
}
