//! The whole way from a file to renditions: the first byte chooses the recipe, the others are the file.

use std::sync::LazyLock;

use pixmill::Recipe;
use pixmill::render::{RenditionResult, probe};

const LIMITS: &str = "
version = 1
[limits]
input_bytes = \"1 MiB\"
pixels = 250_000
frames = 10
";

const RECIPES: [&str; 4] = [
    "
[[variant]]
name = \"thumbnail\"
format = \"jpeg\"
width = 20
[[variant]]
name = \"webp\"
format = \"webp\"
effort = \"fast\"
width = 32
animation = \"keep\"
[[variant]]
name = \"png\"
format = \"png\"
effort = \"fast\"
width = 24
animation = \"keep\"
",
    "
[source]
damaged = \"accept\"
depth = \"keep\"
color = \"keep\"
metadata = \"keep\"
[[variant]]
name = \"png\"
format = \"png\"
effort = \"fast\"
width = 64
[[variant]]
name = \"jpeg\"
format = \"jpeg\"
progressive = true
width = 64
",
    "
[source]
metadata = \"no-location\"
[[variant]]
name = \"square\"
format = \"webp\"
effort = \"fast\"
lossless = true
width = 16
height = 16
fit = \"cover\"
focus = \"entropy\"
[[variant]]
name = \"boxed\"
format = \"jpeg\"
width = 30
height = 10
fit = \"contain\"
",
    "
[source]
orientation = \"ignore\"
metadata = \"copyright\"
[[variant]]
name = \"large\"
format = \"png\"
effort = \"fast\"
width = 50
height = 40
fit = \"fill\"
enlarge = true
[[variant]]
name = \"kept\"
format = \"jpeg\"
width = 200
if_larger = \"original\"
",
];

static PARSED: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let parse = |text: &&str| Recipe::from_toml(&format!("{LIMITS}{text}")).expect("a good recipe");
    RECIPES.iter().map(parse).collect()
});

/// The first byte chooses the recipe, the others are the file.
///
/// # Panics
///
/// Where a decoder did, or where a rendition is not what is told of it.
pub fn render(bytes: &[u8]) {
    let Some((first, file)) = bytes.split_first() else {
        return;
    };
    let recipe = &PARSED[usize::from(*first) % PARSED.len()];
    let made = match pixmill::render(file, recipe) {
        Ok(made) => made,
        Err(error) => {
            assert_ne!(error.code(), "decoder-panic", "{error}");
            return;
        }
    };
    assert_eq!(made.renditions.len(), recipe.variants.len());
    for rendition in &made.renditions {
        if let RenditionResult::Made(made) = &rendition.result {
            let info = probe(&made.bytes).expect("what was written can be read");
            let size = (info.width, info.height);
            // A kept original may lie on its side: its EXIF turns it.
            assert!(
                size == (made.width, made.height) || (size.1, size.0) == (made.width, made.height),
                "{rendition:?} is {info:?}"
            );
        }
    }
}
