//! One decoder at a time.

use std::sync::LazyLock;

use pixmill::image::{Sniffed, sniff};
use pixmill::{Recipe, render};

static STRICT: LazyLock<Recipe> = LazyLock::new(|| recipe("reject", ""));

/// Also every frame, all depth and all metadata, from as much as can be decoded.
static LENIENT: LazyLock<Recipe> = LazyLock::new(|| recipe("accept", "animation = \"keep\""));

fn recipe(damaged: &str, more: &str) -> Recipe {
    let text = format!(
        "version = 1
        [limits]
        pixels = 1_000_000
        frames = 20
        [source]
        damaged = \"{damaged}\"
        depth = \"keep\"
        metadata = \"keep\"
        [[variant]]
        name = \"small\"
        format = \"png\"
        effort = \"fast\"
        width = 8
        {more}"
    );
    Recipe::from_toml(&text).expect("a good recipe")
}

/// Whether these bytes are told as the format, if one is `wanted`: jpeg, png and so on. What is whole to the strict decoder
/// must be whole to the lenient one.
///
/// # Panics
///
/// Where it isn't.
pub fn decode(bytes: &[u8], wanted: Option<&str>) -> bool {
    let Sniffed::Picture(format) = sniff(bytes) else {
        return false;
    };
    let name = format!("{format:?}").to_lowercase();
    if wanted.is_some_and(|wanted| *wanted != name) {
        return false;
    }
    let strict = render(bytes, &STRICT);
    let lenient = render(bytes, &LENIENT);
    for result in [&strict, &lenient] {
        let panicked = result
            .as_ref()
            .is_err_and(|error| error.code() == "decoder-panic");
        assert!(!panicked, "{result:?}");
    }
    if strict.is_ok() {
        assert!(lenient.is_ok(), "{}", lenient.unwrap_err());
    }
    true
}
