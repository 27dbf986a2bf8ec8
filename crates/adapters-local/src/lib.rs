//! Pixmill on one machine: a folder as a blob store, a walk over a folder of sources, metrics as
//! JSON lines or Prometheus text, and alerts on the console.
//!
//! [`FolderStore`] runs its file calls on tokio's blocking threads, so it must be used inside a
//! tokio runtime. Nothing else here needs one.

mod folder_store;
mod walk;

mod console_alerts;
mod json_lines;
mod prometheus_text;

mod etag;
mod listing;
mod os_error;
mod sidecar;
mod store_lock;
mod temporary;
mod whole_file;

pub use console_alerts::ConsoleAlerts;
pub use etag::stamp;
pub use folder_store::FolderStore;
pub use json_lines::JsonLines;
pub use prometheus_text::PrometheusText;
pub use walk::{Entry, Kind, Walk, walk, walk_below};
pub use whole_file::replace_file;
