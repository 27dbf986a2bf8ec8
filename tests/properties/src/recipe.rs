//! Recipes: what is read and good is the same when written and read again.

use pixmill::Recipe;

/// What is read and good is the same when written and read again.
///
/// # Panics
///
/// Where it isn't, or where keys of two sources are one.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let recipe = match Recipe::from_toml(text) {
        Ok(recipe) => recipe,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    recipe.check().expect("what was read is good");
    let again = Recipe::from_toml(&recipe.to_toml()).expect("what was written can be read");
    assert_eq!(recipe, again);
    assert_eq!(recipe.digest(), again.digest());
    if recipe.check_for_events().is_ok() {
        let one = recipe.early_keys("a/cat.png");
        let other = recipe.early_keys("a/cat.jpg");
        assert!(one.is_none() || one != other);
    }
}
