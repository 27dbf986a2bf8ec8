//! Pixmill on AWS: an S3 bucket as a blob store, metrics for CloudWatch, alerts by SNS.

mod client;
mod s3_store;

mod cloudwatch_metrics;
mod embedded_metrics;
mod figures;
mod sns_alerts;

mod metadata;
mod s3_error;
mod sdk_error;

pub use aws_config::SdkConfig;
pub use client::{Patience, cloudwatch_client, load, load_at, load_with, s3_client, sns_client};
pub use cloudwatch_metrics::CloudWatchMetrics;
pub use embedded_metrics::EmbeddedMetrics;
pub use figures::NAMESPACE;
pub use s3_store::S3Store;
pub use sns_alerts::{SnsAlerts, Topics};
