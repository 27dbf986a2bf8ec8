//! One decoder at a time: `PIXMILL_FUZZ_FORMAT` names the format, and what is told as another is not kept, so
//! that each decoder grows a corpus of its own. Without the variable every format is taken.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};

static FORMAT: LazyLock<Option<String>> = LazyLock::new(|| env::var("PIXMILL_FUZZ_FORMAT").ok());

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if pixmill_properties::decode(bytes, FORMAT.as_deref()) {
        Corpus::Keep
    } else {
        Corpus::Reject
    }
});
