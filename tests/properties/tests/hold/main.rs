//! What must hold of any bytes, tried on seeds that were damaged by chance, the same way on every run. libFuzzer tries more
//! (`cargo xtask fuzz`); this is what every change goes through.

mod seeds;

use std::collections::BTreeMap;

use pixmill_properties::{decode, event, key, manifest, probe, recipe, render};
use pixmill_testkit::damage::{Dice, KINDS, damaged};

/// How many damaged files each target gets; with `PIXMILL_LONG` set, as many as it takes to find what is rare.
fn rounds() -> usize {
    if std::env::var_os("PIXMILL_LONG").is_some() {
        200_000
    } else {
        2_000
    }
}

/// Tries the target on its seeds, whole and damaged, and on what two of them give together.
fn try_out(target: &str, holds: impl Fn(&[u8])) {
    let all: BTreeMap<_, _> = seeds::all().into_iter().collect();
    let seeds = &all[target];
    assert!(!seeds.is_empty());
    for seed in seeds {
        holds(seed);
    }
    let mut dice = Dice::new(0x5EED);
    for round in 0..rounds() {
        let mut bytes = seeds[dice.roll(seeds.len())].clone();
        if dice.roll(8) == 0 {
            let other = &seeds[dice.roll(seeds.len())];
            let (from, to) = (dice.roll(bytes.len()), dice.roll(other.len()));
            bytes.truncate(from);
            bytes.extend_from_slice(&other[to..]);
        }
        for _ in 0..=dice.roll(3) {
            bytes = damaged(&bytes, dice.roll(KINDS), &mut dice);
        }
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(&bytes)));
        assert!(held.is_ok(), "{target}, round {round}: {bytes:?}");
    }
}

/// What is told as another format proves nothing, and must hold all the same.
fn as_format(format: &str) -> impl Fn(&[u8]) {
    move |bytes| {
        let _ = decode(bytes, Some(format));
    }
}

macro_rules! targets {
    ($($test:ident: $target:literal, $holds:expr;)*) => {
        const TARGETS: &[&str] = &[$($target),*];

        $(
            #[test]
            fn $test() {
                try_out($target, $holds);
            }
        )*
    };
}

targets! {
    any_jpeg_is_read_or_refused: "decode-jpeg", as_format("jpeg");
    any_png_is_read_or_refused: "decode-png", as_format("png");
    any_webp_is_read_or_refused: "decode-webp", as_format("webp");
    any_gif_is_read_or_refused: "decode-gif", as_format("gif");
    any_bmp_is_read_or_refused: "decode-bmp", as_format("bmp");
    any_tiff_is_read_or_refused: "decode-tiff", as_format("tiff");
    any_ico_is_read_or_refused: "decode-ico", as_format("ico");
    any_pnm_is_read_or_refused: "decode-pnm", as_format("pnm");
    any_qoi_is_read_or_refused: "decode-qoi", as_format("qoi");
    any_file_is_rendered_as_it_is_told_or_refused: "render", render;
    any_header_tells_of_a_picture_or_is_refused: "probe", probe;
    any_recipe_is_the_same_when_read_again: "recipe", recipe;
    any_event_has_an_answer: "event", event;
    any_name_becomes_a_key_of_its_own: "key", key;
    any_record_is_the_same_when_read_again: "manifest", manifest;
}

#[test]
fn every_target_has_a_test() {
    let all: Vec<_> = seeds::all().into_iter().map(|(target, _)| target).collect();
    let mut missing = all
        .iter()
        .filter(|target| !TARGETS.contains(&target.as_str()));
    assert_eq!((missing.next(), all.len()), (None, TARGETS.len()));
}
