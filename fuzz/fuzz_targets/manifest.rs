//! Manifests and failure records: see the crate `pixmill-properties` for what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pixmill_properties::manifest(bytes));
