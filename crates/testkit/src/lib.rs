//! What Pixmill's own tests share, and what an embedder may hold an adapter of their own against.

pub mod damage;
pub mod faulty_store;
pub mod films;
pub mod gated_store;
pub mod moto_server;
pub mod names;
pub mod pictures;
#[cfg(feature = "s3")]
pub mod s3_server;
pub mod store_contract;
