//! The in-memory store keeps every promise of the port.

use pixmill::memory::MemoryStore;
use pixmill_testkit::store_contract::Subject;

pixmill_testkit::blob_store_contract!(Subject::new(MemoryStore::new()));
