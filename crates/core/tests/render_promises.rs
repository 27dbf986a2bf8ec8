//! What is refused, what is told, what is left out, and that the same comes out every time.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "gif",
    feature = "bmp",
    feature = "tiff"
))]

use std::num::NonZeroUsize;

use pixmill::error::{Cause, Error, ImageError, Limit, Stage};
use pixmill::image::{Warning, WarningCode};
use pixmill::recipe::Recipe;
use pixmill::render::{
    Made, RENDER_REVISION, RenderOptions, RenditionResult, Renditions, render, render_variants,
};
use pixmill_testkit::films::{self, After, Piece};
use pixmill_testkit::pictures::{self, Drawing, Png, RED, decoded, fading, fields, photo};
use sha2::{Digest, Sha256};

const PLAIN: &str = "
version = 1
[[variant]]
name = \"png\"
format = \"png\"
";

/// A recipe with these lines under `[source]` and one variant of each format.
fn treating(source: &str) -> Recipe {
    recipe(&format!(
        "version = 1\n[source]\n{source}\n
        [[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\n
        [[variant]]\nname = \"png\"\nformat = \"png\"\n
        [[variant]]\nname = \"webp\"\nformat = \"webp\"\n"
    ))
}

fn recipe(text: &str) -> Recipe {
    Recipe::from_toml(text).unwrap()
}

fn refused(source: &[u8], recipe: &Recipe) -> (Stage, ImageError) {
    let error: Error = render(source, recipe).expect_err("it should be refused");
    match error.cause() {
        Cause::Image(cause) => (error.stage(), cause.clone()),
        other => panic!("{other}"),
    }
}

fn made<'a>(all: &'a Renditions, variant: &str) -> &'a Made {
    let rendition = all.renditions.iter().find(|r| r.variant == variant);
    match &rendition.expect("it was asked for").result {
        RenditionResult::Made(made) => made,
        RenditionResult::Skipped(why) | RenditionResult::Deferred(why) => {
            panic!("{variant} was skipped: {why}")
        }
    }
}

fn skipped<'a>(all: &'a Renditions, variant: &str) -> &'a str {
    let rendition = all.renditions.iter().find(|r| r.variant == variant);
    match &rendition.expect("it was asked for").result {
        RenditionResult::Made(_) => panic!("{variant} was made"),
        RenditionResult::Skipped(why) => why,
        RenditionResult::Deferred(why) => panic!("{variant} was deferred: {why}"),
    }
}

fn codes(warnings: &[Warning]) -> Vec<(WarningCode, Option<&str>)> {
    let pairs = warnings.iter().map(|w| (w.code, w.variant.as_deref()));
    pairs.collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn part(bytes: &[u8], percent: usize) -> &[u8] {
    &bytes[..bytes.len() * percent / 100]
}

/// The exact promise: a file of which any percent is missing at the end is refused as truncated or
/// corrupt, never rendered in part and never taken for something else.
#[test]
fn a_file_that_is_cut_short_is_refused_wherever_it_was_cut() {
    let drawing = photo(200, 150);
    let frame = Drawing::new(64, 48, |x, y| {
        [(x * 4).to_le_bytes()[0], y.to_le_bytes()[0], 9, 255]
    });
    for (name, whole) in [
        ("JPEG", drawing.jpeg(90)),
        ("PNG", drawing.png()),
        ("WebP", drawing.webp()),
        ("BMP", drawing.bmp()),
        ("GIF", pictures::gif(&[frame.clone(), frame])),
        ("TIFF", pictures::tiff(&[drawing])),
    ] {
        render(&whole, &recipe(PLAIN)).unwrap();
        for percent in [10, 25, 50, 75, 99] {
            let (_, error) = refused(part(&whole, percent), &recipe(PLAIN));
            assert!(
                matches!(error.code(), "truncated" | "corrupt"),
                "{name} at {percent} %: {error}"
            );
        }
    }
}

#[test]
fn a_jpeg_and_a_png_that_are_cut_short_are_rendered_where_damage_is_accepted() {
    let drawing = fields(200, 150);
    let lenient = treating("damaged = \"accept\"");
    for whole in [drawing.jpeg(90), drawing.png()] {
        for percent in [50, 75, 99] {
            let all = render(part(&whole, percent), &lenient).unwrap();
            assert_eq!(codes(&all.warnings)[0], (WarningCode::DamageAccepted, None));
            let shown = decoded(&made(&all, "png").bytes);
            assert_eq!((shown.width, shown.height), (200, 150));
            assert!(
                shown.at(3, 3)[..3]
                    .iter()
                    .zip(RED)
                    .all(|(a, b)| a.abs_diff(b) < 12)
            );
        }
    }
    let (_, error) = refused(part(&drawing.webp(), 50), &lenient);
    assert_eq!(error.code(), "truncated");
}

#[test]
fn what_is_no_picture_that_is_read_here_is_refused_by_its_name() {
    for (bytes, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\xFF\x0A\xFA\x7F\x01", "JPEG XL"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"Dear diary", "text"),
        (b"", "empty"),
        (b"\x7FELF\x02\x01\x01\0", "7f454c46"),
    ] {
        let (stage, error) = refused(bytes, &recipe(PLAIN));
        assert_eq!((stage, error.code()), (Stage::Probe, "unsupported"));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_small_file_that_claims_a_huge_picture_is_refused_by_its_header() {
    let bomb = Png::new(25_500, 25_500, 8, 2).without_pixels();
    assert_eq!(bomb.len(), 57);
    let (stage, error) = refused(&bomb, &recipe(PLAIN));
    assert_eq!(stage, Stage::Probe);
    let ImageError::TooLarge { what, actual, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((what, actual), (Limit::Pixels, 25_500 * 25_500));
}

#[test]
fn too_many_bytes_and_too_little_memory_are_refused_before_decoding() {
    let source = photo(64, 64).png();
    let tight = recipe(&PLAIN.replace("version = 1", "version = 1\n[limits]\ninput_bytes = 1000"));
    let (stage, error) = refused(&source, &tight);
    assert_eq!((stage, error.code()), (Stage::Probe, "too-large"));

    let all = recipe(PLAIN);
    let options = RenderOptions {
        memory: Some(10_000),
        ..RenderOptions::default()
    };
    let variants: Vec<_> = all.variants.iter().collect();
    let error = render_variants(&source, &all, &variants, &options).unwrap_err();
    assert_eq!(
        (error.stage(), error.code()),
        (Stage::Probe, "out-of-memory")
    );
}

#[test]
fn a_side_that_a_webp_can_not_hold_leaves_it_out_if_it_is_optional_and_else_refuses() {
    let source = Drawing::new(17_000, 1, |_, _| RED).png();
    let optional =
        format!("{PLAIN}[[variant]]\nname = \"webp\"\nformat = \"webp\"\nrequired = false\n");
    let all = render(&source, &recipe(&optional)).unwrap();
    assert!(
        skipped(&all, "webp").contains("16383"),
        "{}",
        skipped(&all, "webp")
    );
    assert_eq!(made(&all, "png").width, 17_000);
    assert_eq!(
        codes(&all.warnings),
        [(WarningCode::VariantSkipped, Some("webp"))]
    );

    let (stage, error) = refused(&source, &recipe(&optional.replace("required = false", "")));
    assert_eq!(stage, Stage::Probe, "before anything is decoded or encoded");
    assert!(
        matches!(
            error,
            ImageError::TooLarge {
                what: Limit::FormatSide,
                actual: 17_000,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_cap_on_sides_warns_once_for_each_variant_that_it_made_smaller() {
    let all = render(
        &photo(200, 100).png(),
        &recipe(
            "version = 1\n[source]\nmax_side = 120\n
            [[variant]]\nname = \"full\"\nformat = \"png\"\n
            [[variant]]\nname = \"small\"\nformat = \"png\"\nwidth = 50\n",
        ),
    )
    .unwrap();
    assert_eq!(
        (made(&all, "full").width, made(&all, "full").height),
        (120, 60)
    );
    assert_eq!(
        (made(&all, "small").width, made(&all, "small").height),
        (50, 25)
    );
    assert_eq!(
        codes(&all.warnings),
        [(WarningCode::SideCapped, Some("full"))]
    );
}

#[test]
fn a_rendition_larger_than_its_source_is_written_or_skipped_or_the_original_as_told() {
    let source = photo(100, 80).jpeg(30);
    let choosing = |rule: &str| {
        let text = format!(
            "version = 1\n[[variant]]\nname = \"big\"\nformat = \"jpeg\"\nquality = 95\nif_larger = \"{rule}\"\n"
        );
        render(&source, &recipe(&text)).unwrap()
    };
    let written = choosing("write");
    assert!(made(&written, "big").bytes.len() > source.len());
    assert_eq!(written.warnings, []);

    let left_out = choosing("skip");
    assert!(skipped(&left_out, "big").contains("bytes"));
    assert_eq!(
        codes(&left_out.warnings),
        [(WarningCode::VariantSkipped, Some("big"))]
    );

    let kept = choosing("original");
    assert_eq!(made(&kept, "big").bytes, source);
    assert_eq!(made(&kept, "big").quality, None);
    assert_eq!(
        codes(&kept.warnings),
        [(WarningCode::OriginalKept, Some("big"))]
    );
}

#[test]
fn an_original_with_anything_to_strip_or_to_turn_never_stands_in() {
    let original = "version = 1\n[[variant]]\nname = \"big\"\nformat = \"jpeg\"\nquality = 95\nif_larger = \"original\"\n";
    let plain = fields(100, 80).jpeg(30);
    for source in [
        pictures::with_exif(&plain, &pictures::exif(1)),
        pictures::with_exif(&plain, &pictures::exif(3)),
        pictures::with_segment(&plain, 0xFE, b"a comment"),
        [&plain[..], b"appended"].concat(),
    ] {
        let all = render(&source, &recipe(original)).unwrap();
        assert_ne!(made(&all, "big").bytes, source);
    }
}

fn many() -> Recipe {
    recipe(
        "version = 1\n[source]\nmetadata = \"copyright\"\nbackground = \"#123456\"\n
        [[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\nquality = 85\n
        [[variant]]\nname = \"best\"\nformat = \"jpeg\"\neffort = \"best\"\n
        [[variant]]\nname = \"webp\"\nformat = \"webp\"\n
        [[variant]]\nname = \"lossless\"\nformat = \"webp\"\nlossless = true\n
        [[variant]]\nname = \"png\"\nformat = \"png\"\n
        [[variant]]\nname = \"half\"\nformat = \"png\"\nwidth = 150\n
        [[variant]]\nname = \"half-webp\"\nformat = \"webp\"\nwidth = 150\n
        [[variant]]\nname = \"cover\"\nformat = \"jpeg\"\nwidth = 77\nheight = 77\nfit = \"cover\"\n
        [[variant]]\nname = \"contain\"\nformat = \"jpeg\"\nwidth = 90\nheight = 90\nfit = \"contain\"\n",
    )
}

fn sources() -> [(&'static str, Vec<u8>); 3] {
    [
        (
            "photo",
            pictures::with_exif(&photo(301, 203).jpeg(92), &pictures::exif(6)),
        ),
        ("alpha", fading(300, 200).png()),
        (
            "gray",
            Drawing::new(300, 200, |x, y| [(x ^ y).to_le_bytes()[0]]).png(),
        ),
    ]
}

#[test]
fn the_bytes_are_the_same_on_any_number_of_threads() {
    let many = many();
    let variants: Vec<_> = many.variants.iter().collect();
    for (name, source) in sources() {
        let alone = render(&source, &many).unwrap();
        for threads in [2, 3, 4, 16] {
            let options = RenderOptions {
                threads: NonZeroUsize::new(threads).unwrap(),
                ..RenderOptions::default()
            };
            let together = render_variants(&source, &many, &variants, &options).unwrap();
            for variant in &many.variants {
                assert_eq!(
                    made(&alone, &variant.name).bytes,
                    made(&together, &variant.name).bytes,
                    "{name}: {} on {threads} threads",
                    variant.name
                );
            }
            assert_eq!(alone.warnings, together.warnings);
        }
    }
}

#[test]
fn a_rendition_does_not_depend_on_its_siblings() {
    let many = many();
    for (name, source) in sources() {
        let all = render(&source, &many).unwrap();
        for variant in &many.variants {
            let options = RenderOptions::default();
            let alone = render_variants(&source, &many, &[variant], &options).unwrap();
            assert_eq!(
                made(&all, &variant.name).bytes,
                made(&alone, &variant.name).bytes,
                "{name}: {}",
                variant.name
            );
            let its_own = |w: &&Warning| w.variant.as_ref().is_none_or(|v| *v == variant.name);
            let expected: Vec<_> = all.warnings.iter().filter(its_own).cloned().collect();
            assert_eq!(expected, alone.warnings, "{name}: {}", variant.name);
        }
    }
}

/// Thumbnails of one photo, large enough for JPEG's smaller decodings, and the photo itself.
const THUMBNAILS: &str = "
version = 1
[[variant]]
name = \"tiny\"
format = \"png\"
width = 24
height = 24
[[variant]]
name = \"small\"
format = \"png\"
width = 48
[[variant]]
name = \"cut\"
format = \"png\"
width = 20
height = 36
fit = \"cover\"
[[variant]]
name = \"whole\"
format = \"jpeg\"
";

#[test]
fn thumbnails_of_a_jpeg_have_not_changed_since_the_render_revision_was_raised() {
    let all = render(&photo(501, 395).jpeg(90), &recipe(THUMBNAILS)).unwrap();
    let hash = |name| hex::encode(&Sha256::digest(&made(&all, name).bytes)[..16]);
    let found = [hash("tiny"), hash("small")];
    assert_eq!(
        found,
        [
            "7012d757c4e0a403afd9fdcba6c6d7a3",
            "365f6290b25cd2ceae9fa9530470aa33"
        ]
    );
}

#[test]
fn a_thumbnail_of_a_jpeg_does_not_depend_on_what_else_is_made() {
    // No side is a whole number of blocks.
    let source = photo(501, 395).jpeg(90);
    let all = recipe(THUMBNAILS);
    let together = render(&source, &all).unwrap();
    let mut alone = all.clone();
    alone.variants.retain(|variant| variant.name != "whole");
    for threads in [1, 3] {
        let options = RenderOptions {
            threads: NonZeroUsize::new(threads).unwrap(),
            ..RenderOptions::default()
        };
        let variants: Vec<_> = alone.variants.iter().collect();
        let without = render_variants(&source, &alone, &variants, &options).unwrap();
        for name in ["tiny", "small", "cut"] {
            assert_eq!(made(&together, name).bytes, made(&without, name).bytes);
        }
        // What the manifest says of the source is the same for every choice of the recipe's variants.
        for variant in &all.variants {
            let one = render_variants(&source, &all, &[variant], &options).unwrap();
            assert_eq!(
                made(&together, &variant.name).bytes,
                made(&one, &variant.name).bytes
            );
            assert_eq!(together.placeholder, one.placeholder, "{}", variant.name);
        }
    }
}

#[test]
fn a_thumbnail_of_a_jpeg_is_like_that_of_the_same_pixels_in_a_png_however_it_is_turned() {
    let upright = photo(501, 395);
    let all = recipe(THUMBNAILS);
    let expected = render(&decoded(&upright.jpeg(95)).png(), &all).unwrap();
    for orientation in 1..=8 {
        let stored = upright.stored_for(orientation).jpeg(95);
        let turned = pictures::with_exif(&stored, &pictures::exif(orientation));
        let found = render(&turned, &all).unwrap();
        for name in ["tiny", "small", "cut"] {
            let (a, b) = (&made(&expected, name).bytes, &made(&found, name).bytes);
            let (a, b) = (decoded(a), decoded(b));
            assert_eq!((a.width, a.height), (b.width, b.height));
            let pairs = a.data.iter().zip(&b.data);
            let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let mean = sum * 10 / a.data.len() as u64;
            assert!(
                mean < 25,
                "{name}, orientation {orientation}: {mean} tenths"
            );
        }
    }
}

#[test]
fn a_thumbnail_alone_is_foretold_to_take_little_memory() {
    let source = photo(1600, 1200).jpeg(90);
    let info = pixmill::render::probe(&source).unwrap();
    let all = recipe(THUMBNAILS);
    let mut alone = all.clone();
    alone.variants.retain(|variant| variant.name == "tiny");
    let foretold = |recipe: &Recipe| pixmill::render::predict(&info, 400_000, recipe, 1);
    let (small, large) = (foretold(&alone), foretold(&all));
    // Without most of the whole picture, which takes three bytes for each pixel.
    assert!(
        small.memory_bytes + 2 * 1600 * 1200 <= large.memory_bytes,
        "{} of {} bytes",
        small.memory_bytes,
        large.memory_bytes
    );
    assert!(small.processor_time < large.processor_time / 2);
}

/// XMP as programs write it: rights, a title, places as attribute and as element, an orientation.
const XMP: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" exif:GPSLatitude="48,12.5N" tiff:Orientation="6" photoshop:Credit="the credit in XMP"><photoshop:City>the city in XMP</photoshop:City><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">the rights in XMP</rdf:li></rdf:Alt></dc:rights><dc:title><rdf:Alt><rdf:li xml:lang="x-default">the title in XMP</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"#;

/// IPTC as Photoshop packs it: by-line, city, notice, caption.
fn iptc() -> Vec<u8> {
    let mut sets = Vec::new();
    for (number, text) in [
        (80, "the by-line in IPTC"),
        (90, "the city in IPTC"),
        (116, "the notice in IPTC"),
        (120, "the caption in IPTC"),
    ] {
        sets.extend([0x1C, 2, number, 0, u8::try_from(text.len()).unwrap()]);
        sets.extend_from_slice(text.as_bytes());
    }
    let length = u32::try_from(sets.len()).unwrap().to_be_bytes();
    [&b"Photoshop 3.0\08BIM\x04\x04\0\0"[..], &length, &sets].concat()
}

/// One picture with all of it, in every format that holds metadata.
fn sources_with_metadata() -> Vec<(&'static str, Vec<u8>)> {
    let drawing = fields(48, 32);
    let exif = pictures::exif(6);
    let in_jpeg = [b"http://ns.adobe.com/xap/1.0/\0", XMP.as_bytes()].concat();
    let jpeg = pictures::with_exif(&drawing.jpeg(90), &exif);
    let jpeg = pictures::with_segment(&jpeg, 0xFE, b"a comment");
    let jpeg = pictures::with_segment(&jpeg, 0xED, &iptc());
    let jpeg = pictures::with_segment(&jpeg, 0xE1, &in_jpeg);
    let jpeg = [&jpeg[..], b"something behind the end"].concat();
    let in_png = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], XMP.as_bytes()].concat();
    let png = Png::new(48, 32, 8, 2)
        .chunk(*b"eXIf", &exif)
        .chunk(*b"iTXt", &in_png)
        .chunk(*b"tEXt", b"Comment\0a comment")
        .rows(drawing.data.chunks(48 * 3));
    let webp = pixmill_codecs::webp::with_metadata(
        &drawing.webp(),
        &pixmill_codecs::webp::Metadata {
            icc: None,
            exif: Some(&exif),
            xmp: Some(XMP.as_bytes()),
        },
    )
    .unwrap();
    vec![("jpeg", jpeg), ("png", png), ("webp", webp)]
}

#[test]
fn each_metadata_rule_leaves_in_every_format_what_it_says_and_no_more() {
    const COPYRIGHT: u8 = 1;
    const NO_LOCATION: u8 = 2;
    const KEEP: u8 = 4;
    const ALL: u8 = COPYRIGHT | NO_LOCATION | KEEP;
    let words: [(&[u8], u8); 16] = [
        (b"(c) Ada", ALL),
        (b"Box Brownie", NO_LOCATION | KEEP),
        // The tag of the latitude, its type and its count.
        (b"\0\x02\0\x05\0\0\0\x03", KEEP),
        (b"serial number", KEEP),
        (b"thumbnail", 0),
        (b"a comment", 0),
        (b"something behind", 0),
        (b"Orientation", 0),
        (b"the rights in XMP", ALL),
        (b"the credit in XMP", ALL),
        (b"the title in XMP", NO_LOCATION | KEEP),
        (b"the city in XMP", KEEP),
        (b"48,12.5N", KEEP),
        // IPTC goes into JPEG alone, and only a JPEG has it.
        (b"the notice in IPTC", ALL),
        (b"the caption in IPTC", NO_LOCATION | KEEP),
        (b"the city in IPTC", KEEP),
    ];
    for (from, source) in sources_with_metadata() {
        for (rule, bit) in [
            ("none", 0),
            ("copyright", COPYRIGHT),
            ("no-location", NO_LOCATION),
            ("keep", KEEP),
        ] {
            let all = render(&source, &treating(&format!("metadata = \"{rule}\""))).unwrap();
            for variant in ["jpeg", "png", "webp"] {
                let bytes = &made(&all, variant).bytes;
                for (word, rules) in words {
                    let iptc = word.ends_with(b"in IPTC");
                    let kept = rules & bit != 0 && (!iptc || (from == "jpeg" && variant == "jpeg"));
                    let word_text = String::from_utf8_lossy(word);
                    assert_eq!(
                        holds(bytes, word),
                        kept,
                        "{rule}, from {from} to {variant}: {word_text:?}"
                    );
                }
            }
            let dropped = |variant| (WarningCode::MetadataDropped, Some(variant));
            let expected = if from == "jpeg" && rule != "none" {
                vec![dropped("png"), dropped("webp")]
            } else {
                vec![]
            };
            assert_eq!(codes(&all.warnings), expected, "{rule} from {from}");
        }
    }
}

#[test]
fn who_is_named_in_iptc_alone_is_named_in_every_format() {
    let source = pictures::with_segment(&fields(48, 32).jpeg(90), 0xED, &iptc());
    let all = render(&source, &treating("metadata = \"copyright\"")).unwrap();
    for variant in ["jpeg", "png", "webp"] {
        let bytes = &made(&all, variant).bytes;
        for word in [&b"the by-line in IPTC"[..], b"the notice in IPTC"] {
            assert!(holds(bytes, word), "{variant}");
        }
        assert!(!holds(bytes, b"the city in IPTC"));
        assert!(!holds(bytes, b"the caption in IPTC"));
    }
}

#[test]
fn the_resolution_is_kept_from_format_to_format_and_pixel_dimensions_are_the_renditions() {
    // 300 dots an inch, in the file's own header.
    let mut jpeg = fields(48, 32).jpeg(90);
    jpeg[13..18].copy_from_slice(&[1, 1, 0x2C, 1, 0x2C]);
    let png = Png::new(48, 32, 8, 2)
        .chunk(*b"pHYs", &[0, 0, 0x2E, 0x23, 0, 0, 0x2E, 0x23, 1])
        .rows(fields(48, 32).data.chunks(48 * 3));
    for source in [jpeg, png] {
        let all = render(&source, &treating("")).unwrap();
        let jpeg = &made(&all, "jpeg").bytes;
        assert_eq!(jpeg[13..18], [1, 1, 0x2C, 1, 0x2C]);
        let png = &made(&all, "png").bytes;
        assert!(holds(png, b"pHYs\0\0\x2E\x23\0\0\x2E\x23\x01"));
    }
    let plain = render(&fields(48, 32).jpeg(90), &treating("")).unwrap();
    assert_eq!(made(&plain, "jpeg").bytes[13], 0);
    assert!(!holds(&made(&plain, "png").bytes, b"pHYs"));
}

#[test]
fn an_original_with_anything_beside_its_picture_never_stands_in_for_a_rendition() {
    let recipe = |rule: &str| {
        recipe(&format!(
            "version = 1\n[source]\nmetadata = \"{rule}\"\norientation = \"ignore\"\n
            [[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\nquality = 100\nif_larger = \"original\"\n
            [[variant]]\nname = \"png\"\nformat = \"png\"\neffort = \"fast\"\nif_larger = \"original\"\n
            [[variant]]\nname = \"webp\"\nformat = \"webp\"\nquality = 100\nif_larger = \"original\"\n"
        ))
    };
    let plain = photo(64, 64).jpeg(20);
    let between_scans = {
        // A comment behind the first scan, where readers that stop at the pixels don't look.
        let end = plain.len() - 2;
        [&plain[..end], b"\xFF\xFE\0\x0Ba comment", &plain[end..]].concat()
    };
    let thumbnail = {
        let mut with = plain.clone();
        // The first segment with a small picture of one pixel in it.
        with[4..6].copy_from_slice(&[0, 19]);
        with[18..20].copy_from_slice(&[1, 1]);
        with.splice(20..20, *b"rgb");
        with
    };
    let mut sources = vec![
        ("between scans", between_scans),
        ("thumbnail", thumbnail),
        ("behind", [&plain[..], b"a comment"].concat()),
    ];
    sources.extend(sources_with_metadata());
    for (name, source) in sources {
        for rule in ["none", "copyright", "no-location"] {
            let all = render(&source, &recipe(rule)).unwrap();
            for variant in ["jpeg", "png", "webp"] {
                assert_ne!(made(&all, variant).bytes, source, "{name}, {rule}");
                assert!(!holds(&made(&all, variant).bytes, b"a comment"), "{name}");
            }
        }
    }
    let all = render(&plain, &recipe("none")).unwrap();
    assert_eq!(made(&all, "jpeg").bytes, plain);
}

#[test]
fn a_rendition_without_metadata_holds_nothing_but_its_picture() {
    let source = pictures::with_exif(&fields(48, 32).jpeg(90), &pictures::exif(1));
    let all = render(&source, &treating("")).unwrap();
    let jpeg = &made(&all, "jpeg").bytes;
    for marker in 0xE1..=0xEF {
        assert!(!holds(&jpeg[..200], &[0xFF, marker]), "{marker:x}");
    }
    let png = &made(&all, "png").bytes;
    for kind in [&b"eXIf"[..], b"tEXt", b"iTXt", b"zTXt", b"tIME", b"iCCP"] {
        assert!(!holds(png, kind));
    }
    // A simple file: the first chunk is the picture.
    assert_eq!(&made(&all, "webp").bytes[12..16], b"VP8 ");
}

#[test]
fn a_broken_profile_is_told_and_the_picture_is_taken_for_srgb() {
    let drawing = fields(48, 32);
    let source = pictures::with_segment(
        &drawing.jpeg(95),
        0xE2,
        b"ICC_PROFILE\0\x01\x01this is no profile",
    );
    for rule in ["srgb", "keep"] {
        let all = render(&source, &treating(&format!("color = \"{rule}\""))).unwrap();
        assert_eq!(codes(&all.warnings), [(WarningCode::ProfileBroken, None)]);
        let shown = decoded(&made(&all, "png").bytes);
        assert!(shown.is_about((3, 3), &RED));
        assert!(!holds(&made(&all, "jpeg").bytes, b"ICC_PROFILE"));
    }
}

#[test]
fn a_tiff_in_tiles_and_planes_is_shown_as_it_is_whatever_of_its_tiles_is_beside_the_picture() {
    for (width, height, side) in [
        (32, 32, 16),
        (40, 27, 16),
        (5, 3, 16),
        (16, 17, 16),
        (33, 16, 16),
        (60, 4, 512),
    ] {
        let drawing = photo(width, height);
        for bytes in [1, 2, 4] {
            let what = format!("{width} x {height} in tiles of {side}, {bytes} bytes a sample");
            let file = pictures::tiff_in_planes_of_tiles(&drawing, bytes, side);
            let all = render(&file, &recipe(PLAIN)).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(decoded(&made(&all, "png").bytes), drawing, "{what}");
        }
    }
}

#[test]
fn a_tiff_whose_tiles_are_far_larger_than_its_picture_is_refused_before_they_are_unpacked() {
    let mut file = pictures::tiff_in_planes_of_tiles(&photo(20, 18), 1, 16);
    // The length of a tile is the ninth field of twelve bytes, behind ten of the file and of the directory.
    let length = 10 + 8 * 12 + 8;
    assert_eq!(file[length..length + 4], [16, 0, 0, 0]);
    file[length..length + 4].copy_from_slice(&4_000_000_u32.to_le_bytes());
    // As many tiles as there are then.
    for count in [9, 10] {
        let at = 10 + count * 12 + 4;
        file[at..at + 4].copy_from_slice(&6_u32.to_le_bytes());
    }
    let (stage, error) = refused(&file, &recipe(PLAIN));
    assert_eq!((stage, error.code()), (Stage::Probe, "corrupt"), "{error}");
    assert!(error.to_string().contains("16 x 4000000"), "{error}");
}

#[test]
fn a_tiff_that_claims_as_many_pixels_as_numbers_can_say_is_refused_as_too_large() {
    let mut file = pictures::tiff_in_planes_of_tiles(&photo(16, 16), 1, 16);
    // Width, height, and the same for a tile: fields of twelve bytes behind ten.
    for field in [0, 1, 7, 8] {
        let value = 10 + field * 12 + 8;
        file[value..value + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    }
    let (stage, error) = refused(&file, &recipe(PLAIN));
    assert_eq!(
        (stage, error.code()),
        (Stage::Probe, "too-large"),
        "{error}"
    );
}

#[test]
fn a_loss_that_the_recipe_is_strict_about_is_a_rejection_that_says_which() {
    let strict = |loss: &str, rest: &str| {
        recipe(&format!(
            "version = 1\nstrict = [\"depth-reduced\", \"{loss}\"]\n{rest}"
        ))
    };
    let jpeg = "[[variant]]\nname = \"flat\"\nformat = \"jpeg\"\n";
    let transparent = fading(8, 8).png();
    let (stage, error) = refused(&transparent, &strict("alpha-flattened", jpeg));
    assert_eq!((stage, error.code()), (Stage::Render, "loss-refused"));
    let words = error.to_string();
    assert!(
        words.contains("variant \"flat\"") && words.contains("take \"alpha-flattened\" out"),
        "{words}"
    );
    let (_, error) = refused(
        &pictures::gif(&[fading(8, 8), fading(8, 8)]),
        &strict("frames-dropped", jpeg),
    );
    assert_eq!(error.code(), "loss-refused");
    // What the header tells is refused before anything is decoded.
    let deep = Png::new(1, 1, 16, 0).rows(std::iter::once(&[1_u8, 2][..]));
    let (stage, error) = refused(&deep, &strict("alpha-flattened", jpeg));
    assert_eq!((stage, error.code()), (Stage::Decode, "loss-refused"));
    // Other losses are still taken.
    let all = render(&transparent, &strict("frames-dropped", jpeg)).unwrap();
    assert_eq!(
        codes(&all.warnings),
        [(WarningCode::AlphaFlattened, Some("flat"))]
    );
}

#[test]
fn a_misspelt_loss_is_refused_with_the_ones_that_there_are() {
    let error = Recipe::from_toml(&format!("strict = [\"alpha\"]{PLAIN}")).unwrap_err();
    assert!(error.to_string().contains("alpha-flattened"), "{error}");
}

#[test]
fn what_is_put_off_is_waited_for_where_the_recipe_is_strict_about_it() {
    let optional = "[[variant]]\nname = \"small\"\nformat = \"png\"\nwidth = 8\n
        [[variant]]\nname = \"big\"\nformat = \"webp\"\nrequired = false\n";
    let render_in = |strict: &str| {
        let recipe = recipe(&format!("version = 1\n{strict}\n{optional}"));
        let variants: Vec<_> = recipe.variants.iter().collect();
        let info = pixmill::render::probe(&photo(400, 400).png()).unwrap();
        let mut alone = recipe.clone();
        alone.variants.truncate(1);
        let size = photo(400, 400).png().len() as u64;
        let options = RenderOptions {
            memory: Some(pixmill::render::predict(&info, size, &alone, 1).memory_bytes),
            ..RenderOptions::default()
        };
        render_variants(&photo(400, 400).png(), &recipe, &variants, &options)
    };
    let all = render_in("").unwrap();
    assert_eq!(
        codes(&all.warnings),
        [(WarningCode::VariantDeferred, Some("big"))]
    );
    let error = render_in("strict = [\"variant-deferred\"]").unwrap_err();
    assert_eq!(error.code(), "out-of-memory");
    assert!(error.is_transient());
}

/// The first half of the SHA-256 of renditions as this `RENDER_REVISION` makes them. When this fails because bytes were
/// meant to change, raise `RENDER_REVISION` and write down the new hashes; otherwise something
/// changed them that should not have.
#[test]
fn renditions_have_not_changed_since_the_render_revision_was_raised() {
    let golden: [(&str, &str, &str); 6] = [
        ("photo", "jpeg", "64409cc93293a8da10534ec5cdb52c42"),
        ("photo", "half", "7b3c107e4885b36a3bffbfb0dcc3b253"),
        ("photo", "webp", "ef77fb24bf1a452a2385b27b70ea8215"),
        ("alpha", "half-webp", "1ef896a688567f6fb53d3bd71258e2a2"),
        ("alpha", "contain", "4235aeb14dfd2479baa9446375a31d29"),
        ("gray", "png", "8aeb98f41b47959bb7efd2389f7e53f9"),
    ];
    assert_eq!(RENDER_REVISION, 4, "the hashes are those of revision 4");
    let many = many();
    let sources = sources();
    let found = golden.map(|(source, variant, _)| {
        let (_, bytes) = sources.iter().find(|(name, _)| *name == source).unwrap();
        let all = render(bytes, &many).unwrap();
        let hash = hex::encode(&Sha256::digest(&made(&all, variant).bytes)[..16]);
        (source, variant, hash)
    });
    let golden = golden.map(|(source, variant, hash)| (source, variant, hash.to_owned()));
    assert_eq!(found, golden);
}

/// The same for what came later: animations, palettes and AVIF.
#[test]
fn films_palettes_and_avif_have_not_changed_since_the_render_revision_was_raised() {
    let piece = |at, drawing, after| Piece {
        at,
        drawing,
        delay: 80,
        blend: true,
        after,
    };
    let ground = |color: [u8; 3]| {
        Drawing::new(40, 30, |x, y| {
            [
                color[0],
                x.to_le_bytes()[0] / 8 * 8,
                y.to_le_bytes()[0] / 8 * 8,
                255,
            ]
        })
    };
    let hole = |x: u32, y: u32| if (x + y).is_multiple_of(5) { 0 } else { 255 };
    let film = films::gif(
        (40, 30),
        &[
            piece((0, 0), ground(RED), After::Stays),
            piece(
                (4, 6),
                Drawing::new(12, 10, |x, y| [0, 200, 90, hole(x, y)]),
                After::Cleared,
            ),
            piece(
                (9, 3),
                Drawing::new(20, 20, |x, y| [10, 20, 220, hole(y, x)]),
                After::Before,
            ),
        ],
        Some(0),
    );
    let recipe = recipe(
        "version = 1
        [[variant]]\nname = \"webp\"\nformat = \"webp\"\nwidth = 30
        [[variant]]\nname = \"lossless\"\nformat = \"webp\"\nlossless = true
        [[variant]]\nname = \"apng\"\nformat = \"png\"\nanimation = \"keep\"
        [[variant]]\nname = \"palette\"\nformat = \"png\"",
    );
    let hash = |bytes: &[u8]| hex::encode(&Sha256::digest(bytes)[..16]);
    let all = render(&film, &recipe).unwrap();
    let found = ["webp", "lossless", "apng", "palette"].map(|name| hash(&made(&all, name).bytes));
    let golden = [
        "290417ef4093987e866a732e4fed85d3",
        "f7bddd961dcde65c4498c762723eedd9",
        "63bd15a9dcdcaeba6674d7e5469f7354",
        "05f154bd348cf85749b17f4a1afede8d",
    ];
    assert_eq!(found, golden.map(str::to_owned));
    #[cfg(feature = "avif")]
    {
        let avif = Recipe::from_toml(
            "version = 1\n[[variant]]\nname = \"avif\"\nformat = \"avif\"\neffort = \"fast\"\n",
        );
        let all = render(&fading(40, 30).png(), &avif.unwrap()).unwrap();
        assert_eq!(
            hash(&made(&all, "avif").bytes),
            "9a617a50c277c388c36700a7e5f0ed9c"
        );
    }
}

#[test]
fn what_is_beside_a_gif_or_a_tiff_and_not_read_is_said_unless_nothing_was_to_be_kept() {
    let mut gif = pictures::gif(&[Drawing::new(20, 20, |_, _| [9, 8, 7, 255])]);
    assert_eq!(gif.pop(), Some(0x3B));
    gif.extend(b"\x21\xFF\x0BXMP DataXMP<x:xmpmeta/>\x01");
    // The trailer that leads readers of blocks out of the packet, wherever they stand.
    gif.extend((0..=255).rev());
    gif.extend([0, 0x3B]);
    let mut tiff = std::io::Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut tiff).unwrap();
    let mut page = encoder
        .new_image::<tiff::encoder::colortype::Gray8>(20, 20)
        .unwrap();
    let iptc = tiff::tags::Tag::Unknown(33_723);
    page.encoder()
        .write_tag(iptc, &[28_u8, 2, 80, 0, 1, b'x'][..])
        .unwrap();
    page.write_data(&[7; 400]).unwrap();
    let sources = [
        (gif, "XMP in a GIF is not read"),
        (tiff.into_inner(), "IPTC in a TIFF is not read"),
    ];
    for (source, words) in sources {
        for rule in ["none", "copyright", "no-location", "keep"] {
            let all = render(&source, &treating(&format!("metadata = \"{rule}\""))).unwrap();
            let said: Vec<_> = all.warnings.iter().map(|w| w.detail.as_str()).collect();
            let expected = if rule == "none" { vec![] } else { vec![words] };
            assert_eq!(said, expected, "{rule}");
        }
    }
}
