//! What Pixmill's own tests share, and what an embedder may hold an adapter of their own against.

pub mod faulty_store;
pub mod gated_store;
pub mod pictures;
pub mod store_contract;
