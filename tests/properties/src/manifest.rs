//! Manifests and failure records, which anybody could have put where ours lie.

use pixmill::manifest::{FailureRecord, Manifest};

/// What is read as a record is the same when written and read again.
///
/// # Panics
///
/// Where it isn't.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_json("manifest.json", bytes) {
        let json = manifest.to_json();
        let again = Manifest::from_json("manifest.json", &json).expect("what was written is read");
        assert_eq!(manifest, again);
        assert_eq!(json, again.to_json());
        for key in manifest.claimed_keys() {
            assert!(manifest.claims(key));
        }
        let _ = manifest.warning_words();
    }
    if let Ok(record) = FailureRecord::from_json("failed.json", bytes) {
        let again = FailureRecord::from_json("failed.json", &record.to_json());
        assert_eq!(record, again.expect("what was written is read"));
    }
}
