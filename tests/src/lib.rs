//! What the tests of the whole need: the programs as cargo built them, Lambda around the function, and the events
//! that reach it, and CloudWatch's filter patterns.

pub mod alarms;
pub mod aws;
pub mod cloud;
pub mod dashboard;
pub mod deployment;
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
