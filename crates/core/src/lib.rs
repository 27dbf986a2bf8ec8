#![doc = include_str!("../README.md")]

pub mod error;
pub mod key;
pub mod recipe;

pub mod image;
pub mod render;

pub mod job;
pub mod plan;
pub mod process;
pub mod verify;

pub mod alert;
pub mod html;
pub mod manifest;
pub mod memory;
pub mod outcome;
pub mod ports;
pub mod signal;

pub use error::{Error, ImageError, StoreError};
pub use process::Processor;
pub use recipe::Recipe;
pub use render::render;

/// The programs of the user guide, compiled and run as the examples of the documentation are.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/embed-the-crate.md")]
mod guide {}
