//! What the tests of the whole need: the programs as cargo built them, Lambda around the function, and the events
//! that reach it.

pub mod events;
pub mod output;
pub mod programs;
pub mod runtime_api;
