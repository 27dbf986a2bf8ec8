//! Files that were changed byte by byte: each is rendered or refused, none takes the process with it, and
//! what is cut short is noticed.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "gif",
    feature = "bmp",
    feature = "tiff"
))]

use std::collections::BTreeMap;

use pixmill::recipe::Recipe;
use pixmill::render::{predict, probe, render};
use pixmill_testkit::damage::{Dice, KINDS, damaged};
use pixmill_testkit::films::{self, After, Piece};
use pixmill_testkit::pictures::{self, Drawing, Png, fading, fields, photo};

const RECIPE: &str = "
version = 1
[limits]
pixels = 2_000_000
frames = 50
[source]
metadata = \"no-location\"
[[variant]]
name = \"thumbnail\"
format = \"jpeg\"
width = 20
[[variant]]
name = \"webp\"
format = \"webp\"
effort = \"fast\"
width = 32
[[variant]]
name = \"png\"
format = \"png\"
animation = \"keep\"
";

fn film() -> Vec<Piece> {
    let ground = |color: [u8; 3], (width, height)| {
        Drawing::new(width, height, |x, _| {
            [
                color[0],
                color[1],
                color[2],
                if x % 5 == 0 { 0 } else { 255 },
            ]
        })
    };
    let piece = |at, drawing, after| Piece {
        at,
        drawing,
        delay: 50,
        blend: true,
        after,
    };
    vec![
        piece((0, 0), ground(pictures::RED, (24, 18)), After::Stays),
        piece((4, 2), ground(pictures::BLUE, (12, 10)), After::Cleared),
        piece((8, 6), ground(pictures::GREEN, (10, 8)), After::Stays),
    ]
}

fn drawn() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = photo(40, 28);
    let exif = pictures::exif(6);
    let gray = Drawing::new(40, 28, |x, y| [(x * 5 + y * 3).to_le_bytes()[0]]);
    let mut raw = b"P6 40 28 255\n".to_vec();
    raw.extend_from_slice(&rgb.data);
    vec![
        ("jpeg", pictures::with_exif(&rgb.jpeg(85), &exif)),
        ("gray jpeg", gray.jpeg(60)),
        ("png", fading(40, 28).png()),
        (
            "interlaced png",
            Png::new(40, 28, 8, 2).in_seven_passes(&rgb),
        ),
        (
            "interlaced apng",
            Png::new(40, 28, 8, 2).film_in_seven_passes(&[rgb.clone(), fields(40, 28)]),
        ),
        ("apng", films::png((24, 18), None, &film(), 0)),
        ("webp", fading(40, 28).webp()),
        ("animated webp", films::webp((24, 18), &film(), 0, &[])),
        ("gif", films::gif((24, 18), &film(), Some(0))),
        ("bmp", rgb.bmp()),
        ("tiff", pictures::tiff(&[rgb.clone(), fields(40, 28)])),
        ("pnm", raw),
    ]
}

/// Codes and how often each came.
fn sweep(name: &str, file: &[u8], rounds: usize, seed: u64) -> BTreeMap<String, usize> {
    let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
    assert!(render(file, &recipe).is_ok(), "{name} is good as it is");
    let mut dice = Dice::new(seed);
    let mut codes = BTreeMap::new();
    for round in 0..rounds {
        for kind in 0..KINDS {
            let bytes = damaged(file, kind, &mut dice);
            let code = match render(&bytes, &recipe) {
                Ok(_) => "rendered".to_owned(),
                Err(error) => {
                    assert_ne!(
                        error.code(),
                        "decoder-panic",
                        "{name}, round {round}, kind {kind}: {error}"
                    );
                    assert!(!error.to_string().is_empty());
                    error.code().to_owned()
                }
            };
            *codes.entry(code).or_default() += 1;
        }
    }
    codes
}

#[test]
fn thousands_of_damaged_files_are_rendered_or_refused_and_no_decoder_panics() {
    for (seed, (name, file)) in (0x5EED_0001..).zip(drawn()) {
        let codes = sweep(name, &file, 100, seed);
        let refused: usize = codes
            .iter()
            .filter(|(c, _)| *c != "rendered")
            .map(|(_, n)| n)
            .sum();
        assert!(
            refused > 0,
            "{name}: damage must be noticed at all: {codes:?}"
        );
        assert_eq!(codes.values().sum::<usize>(), 100 * KINDS, "{name}");
    }
}

#[test]
fn damaged_samples_are_rendered_or_refused_and_no_decoder_panics() {
    let samples: [(&str, &[u8]); 5] = [
        ("cat.jpg", include_bytes!("../../../samples/cat.jpg")),
        (
            "galaxies.jpg",
            include_bytes!("../../../samples/galaxies.jpg"),
        ),
        ("logo.png", include_bytes!("../../../samples/logo.png")),
        ("mill.gif", include_bytes!("../../../samples/mill.gif")),
        (
            "astronaut.webp",
            include_bytes!("../../../samples/astronaut.webp"),
        ),
    ];
    for (seed, (name, file)) in (0x00C0_FFEE..).zip(samples) {
        sweep(name, file, 6, seed);
    }
}

#[test]
fn half_a_picture_is_noticed_in_every_format() {
    let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
    for (name, least, file) in [
        (
            "jpeg",
            98,
            (|drawing, at| drawing.jpeg(40 + (at % 60).to_le_bytes()[0]))
                as fn(&Drawing, u32) -> Vec<u8>,
        ),
        ("png", 97, |drawing, _| drawing.png()),
        ("webp", 100, |drawing, _| drawing.webp()),
        ("bmp", 100, |drawing, _| drawing.bmp()),
    ] {
        let noticed = (0..100_u32).filter(|at| {
            let bytes = file(&photo(24 + at, 16 + at % 37), *at);
            let half = &bytes[..bytes.len() / 2];
            render(half, &recipe).is_err()
        });
        let noticed = noticed.count();
        assert!(
            noticed >= least,
            "{name}: {noticed} of 100, at least {least}"
        );
    }
}

#[cfg(feature = "pnm")]
#[test]
fn whatever_size_a_header_claims_it_is_foretold_without_numbers_that_overflow() {
    let recipe = Recipe::default_recipe();
    for claim in ["P2 4160805467 2160802734 7734 7", "P4 4294967295 1 "] {
        let info = probe(claim.as_bytes()).expect("a header");
        let prediction = predict(&info, claim.len() as u64, &recipe, 2);
        assert!(prediction.memory_bytes > 1 << 30, "{claim}: {prediction:?}");
    }
}

#[test]
fn a_part_of_a_png_that_is_wrong_is_called_what_png_calls_it() {
    let file = photo(20, 10).png();
    // The last byte of the header's checksum, and of the pixels'.
    let end = file.windows(4).position(|four| four == b"IEND");
    let end = end.expect("it has an end");
    for (at, chunk) in [(32, "IHDR"), (end - 5, "IDAT")] {
        let mut file = file.clone();
        file[at] ^= 1;
        let recipe = Recipe::from_toml(RECIPE).expect("a good recipe");
        let error = render(&file, &recipe).expect_err("it is damaged");
        let words = error.to_string();
        assert!(
            words.contains(chunk) && !words.contains("ChunkType"),
            "{words}"
        );
    }
}
