//! Headers: whatever the bytes are, the answer is a size within the format or an error.

use pixmill::Recipe;
use pixmill::render::{admissible, outline, predict};

/// A header tells of a picture, or it is refused.
///
/// # Panics
///
/// Where it tells of none.
pub fn probe(bytes: &[u8]) {
    // What a listing reads of a file first: its beginning.
    let _ = pixmill::render::probe(&bytes[..bytes.len().min(64)]);
    let Ok(info) = pixmill::render::probe(bytes) else {
        return;
    };
    assert!(
        info.width > 0 && info.height > 0 && info.frames > 0,
        "{info:?}"
    );
    let recipe = Recipe::default_recipe();
    let _ = predict(&info, bytes.len() as u64, &recipe, 2);
    if admissible(&info, &recipe).is_ok() {
        assert_eq!(outline(&info, &recipe).len(), recipe.variants.len());
    }
}
