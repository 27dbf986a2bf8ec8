//! Pixmill on AWS: an S3 bucket as a blob store, metrics for CloudWatch, alerts by SNS, and a queue of dead
//! letters.
//!
//! ```no_run
//! # async fn example() {
//! use pixmill_aws::{S3Store, load, s3_client};
//!
//! let config = load().await;
//! let uploads = S3Store::new(s3_client(&config), "uploads", "");
//! let processed = S3Store::new(s3_client(&config), "processed", "renditions/");
//! # }
//! ```
//!
//! Everything here must be used inside a tokio runtime, except [`EmbeddedMetrics`], which only writes.
//!
//! # What it may do in the account
//!
//! | what | actions |
//! | --- | --- |
//! | [`S3Store`], to read | `s3:GetObject`; `s3:ListBucket`, without which a missing object is "access denied" |
//! | [`S3Store`], to write | `s3:PutObject`, and `s3:GetObject` for writes with conditions |
//! | [`S3Store`], to delete | `s3:DeleteObject`, and `s3:GetObject` for deletes with conditions |
//! | objects encrypted with a key of one's own | `kms:Decrypt` to read, `kms:GenerateDataKey` to write |
//! | [`CloudWatchMetrics`] | `cloudwatch:PutMetricData` |
//! | [`EmbeddedMetrics`] | none: the function's log group does it |
//! | [`SnsAlerts`] | `sns:Publish` on the three topics |
//! | `DeadLetters` | `sqs:ReceiveMessage`, `sqs:ChangeMessageVisibility`, `sqs:GetQueueAttributes` and `sqs:ListDeadLetterSourceQueues` on the queue; to send on, `sqs:SendMessage` on the other one and `sqs:DeleteMessage` |
//!
//! # Retries and timeouts
//!
//! A call is tried three times: at once, after up to 0.2 s, and after up to 0.4 s more (S3's throttling and lost
//! connections pass that quickly or not at all; the job's own retry waits longer). A refusal is not tried again.
//!
//! | how long | [`Patience::FUNCTION`] | [`Patience::LAPTOP`] | why |
//! | --- | --- | --- | --- |
//! | a connection | 2 s | 5 s | beside the bucket it takes milliseconds |
//! | until the answer begins, an upload's content included | 10 s | 120 s | a large rendition through a thin line |
//! | one try | 12 s | 130 s | both, and fetching credentials |
//! | the whole call | 30 s | 300 s | a function with 60 s can still say what went wrong |
//! | a stream that stands still | 5 s | 5 s | less than one byte a second |
//!
//! A download's content is not under the first four: it takes as long as it flows.
//!
//! # What was tested where
//!
//! The contract of the port, promise by promise, against three services. Nothing was run against AWS itself: there,
//! the last column is what its documentation says.
//!
//! | promise | S3 server in the test's process (`s3s`) | moto 5.2.1 | AWS |
//! | --- | --- | --- | --- |
//! | bytes, ranges, limits, metadata, listing, names | tested | tested | documented |
//! | names with line breaks | tested | not tried: its routing has no place for them | documented |
//! | put if absent, put if match, one after another | tested | tested | documented |
//! | of racing writes exactly one wins | tested | not tried: it looks and then writes | documented |
//! | delete if match, one after another | tested | tested | documented, for general purpose buckets since 2025 |
//! | delete if absent removes nothing | tested (a look only) | tested | follows |
//! | a reader sees whole objects | tested | tested | documented |
//! | error codes, throttling, timeouts, missing bucket | with canned answers | | as documented |
//!
//! S3 itself has two ways to say that a conditional write lost (409 and 412) and a third where there is nothing to replace
//! (404): all are `Conflict`.
//!
//! # The features
//!
//! - `sso`: credentials that a person's machine has and a function has not (`aws sso login`, `credential_process`).
//! - `queues`: `DeadLetters`, a queue of messages that were given up.

mod client;
#[cfg(feature = "queues")]
mod dead_letters;
mod s3_store;

mod cloudwatch_metrics;
mod embedded_metrics;
mod figures;
mod sns_alerts;

mod metadata;
mod s3_error;
mod sdk_error;

pub use aws_config::SdkConfig;
pub use aws_sdk_s3::Client as S3Client;
#[cfg(feature = "queues")]
pub use aws_sdk_sqs::Client as SqsClient;
#[cfg(feature = "queues")]
pub use aws_sdk_sqs::types::QueueAttributeName;
#[cfg(feature = "queues")]
pub use client::sqs_client;
pub use client::{
    Patience, cloudwatch_client, load, load_at, load_with, s3_client, sns_client,
    what_is_missing_to_sign, with_patience,
};
pub use cloudwatch_metrics::CloudWatchMetrics;
#[cfg(feature = "queues")]
pub use dead_letters::{DeadLetters, Letter, QueueError, Receipt, Standing};
pub use embedded_metrics::EmbeddedMetrics;
pub use figures::NAMESPACE;
pub use s3_store::S3Store;
pub use sns_alerts::{SnsAlerts, Topics};
