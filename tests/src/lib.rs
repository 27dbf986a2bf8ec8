//! What the tests of the whole need: the programs as cargo built them; Lambda around the function and the events that
//! reach it; CloudWatch's filter patterns, metrics, alarms and dashboards; alarms rehearsed on a virtual clock; and a
//! deployment on an emulator of AWS.

pub mod alarms;
pub mod aws;
pub mod cloud;
pub mod dashboard;
pub mod deployment;
pub mod embedded_metrics;
pub mod events;
pub mod filter_pattern;
pub mod metric_math;
pub mod metrics;
pub mod output;
pub mod programs;
pub mod rehearsal;
pub mod repertoire;
pub mod runtime_api;
pub mod simulation;
