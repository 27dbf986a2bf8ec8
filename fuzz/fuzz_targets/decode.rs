//! One decoder at a time: `PIXMILL_FUZZ_FORMAT` names the format, and what is told as another is not kept, so
//! that each decoder grows a corpus of its own. Without the variable every format is taken.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use pixmill::image::{Sniffed, sniff};
use pixmill::{Recipe, render};

static FORMAT: LazyLock<Option<String>> = LazyLock::new(|| env::var("PIXMILL_FUZZ_FORMAT").ok());

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

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Sniffed::Picture(format) = sniff(bytes) else {
        return Corpus::Reject;
    };
    let name = format!("{format:?}").to_lowercase();
    if FORMAT.as_ref().is_some_and(|wanted| *wanted != name) {
        return Corpus::Reject;
    }
    // What is whole to the strict decoder must be whole to the lenient one.
    let strict = render(bytes, &STRICT).is_ok();
    let lenient = render(bytes, &LENIENT);
    assert!(!strict || lenient.is_ok(), "{}", lenient.unwrap_err());
    Corpus::Keep
});
