//! Headers: whatever the bytes are, the answer is a size within the format or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pixmill::Recipe;
use pixmill::render::{admissible, outline, predict, probe};

fuzz_target!(|bytes: &[u8]| {
    // What a listing reads of a file first: its beginning.
    let _ = probe(&bytes[..bytes.len().min(64)]);
    let Ok(info) = probe(bytes) else { return };
    assert!(
        info.width > 0 && info.height > 0 && info.frames > 0,
        "{info:?}"
    );
    let recipe = Recipe::default_recipe();
    let _ = predict(&info, bytes.len() as u64, &recipe, 2);
    if admissible(&info, &recipe).is_ok() {
        assert_eq!(outline(&info, &recipe).len(), recipe.variants.len());
    }
});
