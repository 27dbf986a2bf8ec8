//! What the guises write, held side by side.

use std::collections::BTreeMap;

use serde_json::Value;

/// The same files byte by byte, but for what the stores themselves said of their objects.
pub fn assert_same_output(made: BTreeMap<String, Vec<u8>>, expected: BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&expected));
    for ((key, made), expected) in made.into_iter().zip(expected.into_values()) {
        if key.ends_with("/manifest.json") {
            assert_eq!(without_store(&made), without_store(&expected), "{key}");
        } else {
            assert!(made == expected, "{key} differs");
        }
    }
}

fn without_store(manifest: &[u8]) -> Value {
    let mut manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    let store = manifest.as_object_mut().and_then(|all| all.remove("store"));
    assert!(store.is_some_and(|store| store.is_object()));
    manifest
}
