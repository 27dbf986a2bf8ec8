//! Pixmill as an AWS Lambda function: [`settings`] from the environment, [`event`] from a payload to
//! records, [`select`] from a record to a job, [`handler`] from a payload to what became of it,
//! [`reply`] to what the caller is told, [`log`] to one JSON object a line.
//!
//! Nothing here knows AWS: stores, metrics and alerts come in by the ports of `pixmill`. The binary
//! `bootstrap` puts S3, the log and the Runtime API to it; `pixmill invoke` does the same with folders.

mod bounded;
pub mod event;
pub mod handler;
pub mod log;
pub mod reply;
pub mod select;
pub mod settings;
