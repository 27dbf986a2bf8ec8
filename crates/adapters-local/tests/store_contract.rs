//! The folder store keeps every promise of the port.

use pixmill_local::FolderStore;
use pixmill_testkit::store_contract::Subject;

fn fresh_folder() -> Subject {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FolderStore::open(folder.path()).expect("the folder is there");
    Subject::keeping(store, folder)
}

pixmill_testkit::blob_store_contract!(fresh_folder());
