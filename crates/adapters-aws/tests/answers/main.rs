//! What AWS may answer and no emulator does, and what it is asked.

mod metrics_and_alerts;
mod network;
mod s3;
