//! Pixmill as an AWS Lambda function. The parts here are pure: [`settings`] from the environment,
//! [`event`] from a payload to records, [`select`] from a record to a job, [`reply`] from verdicts
//! to what the caller is told. None of them does any input or output, so all of them are tested
//! without a cloud.

mod bounded;
pub mod event;
pub mod reply;
pub mod select;
pub mod settings;
