//! What must hold of any bytes that strangers can send, one function for each thing that reads them. They panic where it
//! doesn't hold. `cargo xtask fuzz` gives them what libFuzzer makes up, and the tests of this crate what becomes of the
//! same seeds by chance, a few thousand times.

mod decode;
mod event;
mod key;
mod manifest;
mod probe;
mod recipe;
mod render;

pub use decode::decode;
pub use event::event;
pub use key::key;
pub use manifest::manifest;
pub use probe::probe;
pub use recipe::recipe;
pub use render::render;
