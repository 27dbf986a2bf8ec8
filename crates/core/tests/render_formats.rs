//! What is read and written beside the great formats, and the settings that one format has alone.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "ico",
    feature = "pnm",
    feature = "qoi"
))]

use pixmill::image::{Format, Sniffed, WarningCode, sniff};
use pixmill::recipe::Recipe;
use pixmill::render::{Made, RenditionResult, Renditions, probe, render};
use pixmill_testkit::pictures::{Drawing, RED, decoded, fading, fields, photo};

const PNG: &str = "[[variant]]\nname = \"png\"\nformat = \"png\"\n";

fn rendered(source: &[u8], recipe: &str) -> Renditions {
    let recipe = Recipe::from_toml(&format!("version = 1\n{recipe}")).unwrap();
    render(source, &recipe).unwrap()
}

fn made(all: &Renditions) -> &Made {
    match &all.renditions[0].result {
        RenditionResult::Made(made) => made,
        other => panic!("{other:?}"),
    }
}

/// The file that one variant with these settings is.
fn file(source: &[u8], settings: &str) -> Vec<u8> {
    let all = rendered(source, &format!("[[variant]]\nname = \"v\"\n{settings}\n"));
    made(&all).bytes.to_vec()
}

fn pixels(source: &[u8]) -> Drawing {
    decoded(&made(&rendered(source, PNG)).bytes)
}

/// An icon of these pictures: width, height, bits, file.
fn icon(pictures: &[(u8, u8, u8, Vec<u8>)]) -> Vec<u8> {
    let count = u8::try_from(pictures.len()).unwrap();
    let mut out = vec![0, 0, 1, 0, count, 0];
    let mut offset = 6 + 16 * u32::from(count);
    for (width, height, bits, file) in pictures {
        out.extend([*width, *height, 0, 0, 1, 0, *bits, 0]);
        let length = u32::try_from(file.len()).unwrap();
        out.extend(length.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += length;
    }
    for (.., file) in pictures {
        out.extend_from_slice(file);
    }
    out
}

/// A picture of an icon in the old way: a BMP without its first header, twice as high, bottom-up, with
/// a mask that hides nothing.
fn bitmap(drawing: &Drawing) -> Vec<u8> {
    let (width, height) = (drawing.width, drawing.height);
    let mut out = Vec::new();
    for field in [40, width, height * 2, 0x20_0001, 0, 0, 0, 0, 0, 0] {
        out.extend(field.to_le_bytes());
    }
    for y in (0..height).rev() {
        for x in 0..width {
            let pixel = drawing.at(x, y);
            out.extend([pixel[2], pixel[1], pixel[0], 255]);
        }
    }
    let row = width.div_ceil(32) * 4;
    out.resize(out.len() + (row * height) as usize, 0);
    out
}

#[test]
fn of_an_icon_the_largest_picture_is_used_with_a_warning() {
    let (small, large) = (fields(16, 16), photo(48, 32));
    let pictures = |large: Vec<u8>| {
        icon(&[
            (16, 16, 32, small.png()),
            (48, 32, 24, large),
            (8, 8, 32, bitmap(&fields(8, 8))),
        ])
    };
    for source in [pictures(large.png()), pictures(bitmap(&large))] {
        let all = rendered(&source, PNG);
        assert_eq!((all.info.format, all.info.frames), (Format::Ico, 3));
        let codes: Vec<_> = all.warnings.iter().map(|w| w.code).collect();
        assert_eq!(codes, [WarningCode::PagesDropped]);
        assert_eq!(decoded(&made(&all).bytes), large);
    }
}

#[test]
fn an_icon_whose_directory_lies_about_its_picture_is_refused() {
    let lie = icon(&[(16, 16, 32, photo(48, 32).png())]);
    let recipe = Recipe::from_toml(&format!("version = 1\n{PNG}")).unwrap();
    let error = render(&lie, &recipe).unwrap_err();
    assert!(error.to_string().contains("16 x 16"), "{error}");
}

#[test]
fn anymaps_are_read_in_every_kind_and_scaled_to_their_full_range() {
    for (source, expected) in [
        (&b"P1\n# a comment\n3 2\n1 0 1\n0 1 0"[..], &[0, 255, 0, 255, 0, 255][..]),
        (b"P4\n3 2\n\xA0\x40", &[0, 255, 0, 255, 0, 255]),
        (b"P2 2 2 15 0 5 10 15", &[0, 85, 170, 255]),
        (b"P5\n2 2\n255\n\x00\x40\x80\xFF", &[0, 64, 128, 255]),
        (b"P5\n1 2\n65535\n\x00\x00\x80\x00", &[0, 128]),
        (b"P3 1 2 255 9 8 7 1 2 3", &[9, 8, 7, 1, 2, 3]),
        (b"P6\n1 2\n255\n\x09\x08\x07\x01\x02\x03", &[9, 8, 7, 1, 2, 3]),
        (
            b"P7\nWIDTH 1\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\x09\x08\x07\x80\x01\x02\x03\x04",
            &[9, 8, 7, 128, 1, 2, 3, 4],
        ),
    ] {
        let name = source[..2].escape_ascii();
        assert_eq!(sniff(source), Sniffed::Picture(Format::Pnm), "{name}");
        assert_eq!(pixels(source).data, expected, "{name}");
    }
}

/// A QOI with every pixel spelled out.
fn qoi(drawing: &Drawing) -> Vec<u8> {
    let channels = u8::try_from(drawing.channels).unwrap();
    let mut out = b"qoif".to_vec();
    out.extend(drawing.width.to_be_bytes());
    out.extend(drawing.height.to_be_bytes());
    out.extend([channels, 0]);
    for pixel in drawing.data.chunks_exact(drawing.channels) {
        out.push(if channels == 4 { 0xFF } else { 0xFE });
        out.extend_from_slice(pixel);
    }
    out.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    out
}

#[test]
fn qoi_keeps_every_pixel() {
    for drawing in [photo(31, 17), fading(30, 8)] {
        let all = rendered(&qoi(&drawing), PNG);
        assert_eq!(all.info.format, Format::Qoi);
        assert_eq!(decoded(&made(&all).bytes), drawing);
    }
}

#[cfg(feature = "tga")]
#[test]
fn a_tga_is_told_by_a_header_that_makes_sense() {
    let drawing = photo(5, 3);
    let mut source = vec![0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 3, 0, 24, 0x20];
    for [r, g, b] in drawing.data.as_chunks::<3>().0 {
        source.extend([b, g, r]);
    }
    assert_eq!(sniff(&source), Sniffed::Picture(Format::Tga));
    assert_eq!(pixels(&source), drawing);
    source[16] = 23;
    assert_eq!(sniff(&source), Sniffed::Unknown);
}

#[test]
fn what_is_cut_short_is_refused_wherever_it_is_cut() {
    let recipe = Recipe::from_toml(&format!("version = 1\n{PNG}")).unwrap();
    for whole in [
        icon(&[(16, 12, 24, photo(16, 12).png())]),
        icon(&[(16, 12, 32, bitmap(&photo(16, 12)))]),
        qoi(&photo(16, 12)),
        [b"P6 16 12 255\n", &photo(16, 12).data[..]].concat(),
    ] {
        assert!(render(&whole, &recipe).is_ok());
        // What ends a QOI says nothing of its pixels.
        for end in 0..whole.len() - 8 {
            let error = render(&whole[..end], &recipe).expect_err("it is cut short");
            assert_ne!(error.code(), "decoder-panic", "cut at {end}: {error}");
        }
    }
}

#[test]
fn pictures_that_are_known_and_not_read_are_refused_with_what_to_do() {
    for (source, words) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC"),
        (b"\0\0\0\x1Cftypavif\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\0", "JPEG XL"),
    ] {
        let error = probe(source).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(
            error.contains("as JPEG") || error.contains("as PNG"),
            "{error}"
        );
    }
}

#[test]
fn a_jpeg_has_the_chroma_and_the_scans_that_the_recipe_asks_for() {
    use pixmill_codecs::jpeg::{Subsampling, header};
    let source = photo(64, 48).png();
    for (settings, subsampling, progressive) in [
        ("", Subsampling::S420, false),
        ("quality = 89", Subsampling::S420, false),
        ("quality = 90", Subsampling::S444, false),
        (
            "quality = 95\nsubsampling = \"4:2:0\"",
            Subsampling::S420,
            false,
        ),
        ("subsampling = \"4:2:2\"", Subsampling::S422, false),
        ("subsampling = \"4:4:4\"", Subsampling::S444, false),
        ("progressive = true", Subsampling::S420, true),
        ("effort = \"best\"", Subsampling::S420, true),
        (
            "effort = \"best\"\nprogressive = false",
            Subsampling::S420,
            false,
        ),
    ] {
        let jpeg = file(&source, &format!("format = \"jpeg\"\n{settings}"));
        let header = header(&jpeg).unwrap();
        assert_eq!(
            (header.subsampling, header.progressive),
            (subsampling, progressive),
            "{settings}"
        );
    }
    let size = |settings: &str| file(&source, &format!("format = \"jpeg\"\n{settings}")).len();
    // Tables are fitted by default.
    assert!(size("") < size("effort = \"fast\""));
}

#[test]
fn a_nearly_lossless_webp_is_smaller_and_nearly_the_same() {
    let drawing = photo(160, 120);
    let lossless = file(&drawing.png(), "format = \"webp\"\nlossless = true");
    let near = file(&drawing.png(), "format = \"webp\"\nnear_lossless = 40");
    assert!(
        near.len() < lossless.len(),
        "{} {}",
        near.len(),
        lossless.len()
    );
    assert_eq!(decoded(&lossless), drawing);
    let shown = decoded(&near);
    let far = shown.data.iter().zip(&drawing.data);
    let far = far.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!((1..=8).contains(&far), "{far}");
}

#[test]
fn colors_below_full_transparency_stay_in_a_webp_where_they_are_asked_for() {
    let drawing = fading(48, 16);
    let hidden = |settings: &str| {
        let webp = file(&drawing.png(), &format!("format = \"webp\"\n{settings}"));
        decoded(&webp).at(46, 8).to_vec()
    };
    assert_eq!(hidden("lossless = true"), drawing.at(46, 8));
    assert_ne!(hidden("lossless = true\nexact = false"), drawing.at(46, 8));
    let kept = hidden("quality = 95\nexact = true");
    assert!(kept[0] > 200 && kept[3] == 0, "{kept:?}");
}

#[test]
fn sharp_yuv_keeps_edges_between_colors_closer_to_what_they_are() {
    let lines = Drawing::new(64, 64, |x, y| if (x + y) % 5 < 2 { RED } else { [255; 3] });
    let far = |settings: &str| {
        let webp = file(
            &lines.png(),
            &format!("format = \"webp\"\nquality = 95\n{settings}"),
        );
        let shown = decoded(&webp);
        let far = shown.data.iter().zip(&lines.data);
        far.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    };
    assert!(far("sharp_yuv = true") < far(""));
}

#[cfg(feature = "avif")]
mod avif {
    use super::*;
    use pixmill::render::{RenderOptions, Stop, predict, render_variants};
    use pixmill_testkit::pictures::with_exif;

    /// Width and height as the file's `ispe` box states them.
    fn stated(avif: &[u8]) -> (u32, u32) {
        let at = avif.windows(4).position(|w| w == b"ispe").expect("a size");
        let number = |at: usize| u32::from_be_bytes(avif[at..at + 4].try_into().unwrap());
        (number(at + 8), number(at + 12))
    }

    #[test]
    fn an_avif_is_the_same_at_any_number_of_threads() {
        let recipe = "version = 1\n[[variant]]\nname = \"a\"\nformat = \"avif\"\neffort = \"fast\"\n\
            [[variant]]\nname = \"b\"\nformat = \"avif\"\neffort = \"fast\"\nwidth = 20\n";
        let recipe = Recipe::from_toml(recipe).unwrap();
        for source in [photo(97, 61).png(), fading(96, 60).png()] {
            let variants: Vec<_> = recipe.variants.iter().collect();
            let mut before: Option<Vec<Vec<u8>>> = None;
            for threads in [1, 2, 5] {
                let options = RenderOptions {
                    threads: threads.try_into().unwrap(),
                    ..RenderOptions::default()
                };
                let all = render_variants(&source, &recipe, &variants, &options).unwrap();
                let files: Vec<_> = all
                    .renditions
                    .iter()
                    .map(|r| match &r.result {
                        RenditionResult::Made(made) => {
                            assert_eq!(made.content_type, "image/avif");
                            assert_eq!(stated(&made.bytes), (made.width, made.height));
                            made.bytes.to_vec()
                        }
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(sniff(&files[0]), Sniffed::Picture(Format::Avif));
                assert!(before.is_none_or(|before| before == files), "{threads}");
                before = Some(files);
            }
        }
    }

    #[test]
    fn what_an_avif_can_not_carry_is_told() {
        let mut icc = moxcms::ColorProfile::new_display_p3().encode().unwrap();
        icc.truncate(65_000);
        let segment = [b"ICC_PROFILE\0\x01\x01", &icc[..]].concat();
        let jpeg = pixmill_testkit::pictures::with_segment(&photo(32, 24).jpeg(95), 0xE2, &segment);
        let source = with_exif(&jpeg, &pixmill_testkit::pictures::exif(1));
        let all = rendered(
            &source,
            "[source]\ncolor = \"keep\"\nmetadata = \"copyright\"\n\
             [[variant]]\nname = \"a\"\nformat = \"avif\"\neffort = \"fast\"\n",
        );
        let codes: Vec<_> = all.warnings.iter().map(|w| w.code).collect();
        assert_eq!(codes, [WarningCode::MetadataDropped]);
        assert!(made(&all).bytes.windows(7).any(|w| w == b"(c) Ada"));
    }

    #[test]
    fn an_avif_that_would_take_too_long_is_put_off() {
        let recipe = "version = 1\n[[variant]]\nname = \"a\"\nformat = \"avif\"\nrequired = false\n\
            [[variant]]\nname = \"p\"\nformat = \"jpeg\"\n";
        let recipe = Recipe::from_toml(recipe).unwrap();
        let source = fields(900, 700).png();
        let info = probe(&source).unwrap();
        let needed = predict(&info, source.len() as u64, &recipe, 1).wall_time(1, 1.0);
        let options = RenderOptions {
            stop: Stop::at(std::time::Instant::now() + needed / 2),
            ..RenderOptions::default()
        };
        let variants: Vec<_> = recipe.variants.iter().collect();
        let all = render_variants(&source, &recipe, &variants, &options).unwrap();
        assert!(matches!(
            all.renditions[0].result,
            RenditionResult::Deferred(_)
        ));
        assert!(matches!(all.renditions[1].result, RenditionResult::Made(_)));
    }
}
