//! What the engine says about itself and about sources, when it stops, and what it does to colors.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "gif",
    feature = "bmp",
    feature = "tiff"
))]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use moxcms::ColorProfile;
use pixmill::error::{ImageError, Stage};
use pixmill::image::{ColorModel, Format, WarningCode};
use pixmill::recipe::Recipe;
use pixmill::render::{
    Made, RenderOptions, RenditionResult, Renditions, Stop, engine, predict, probe, render,
    render_variants,
};
use pixmill_testkit::pictures::{self, Drawing, decoded, exif, fields, photo, with_segment};

fn recipe(source: &str) -> Recipe {
    let text = format!(
        "version = 1\n[source]\n{source}\n{}",
        ["jpeg", "png", "webp"]
            .map(|format| {
                let lossless = if format == "webp" {
                    "lossless = true"
                } else {
                    ""
                };
                format!("[[variant]]\nname = {format:?}\nformat = {format:?}\n{lossless}\n")
            })
            .concat()
    );
    Recipe::from_toml(&text).unwrap()
}

fn made<'a>(all: &'a Renditions, variant: &str) -> &'a Made {
    let found = all.renditions.iter().find(|r| r.variant == variant);
    match &found.unwrap().result {
        RenditionResult::Made(made) => made,
        RenditionResult::Skipped(why) | RenditionResult::Deferred(why) => {
            panic!("{variant} was left out: {why}")
        }
    }
}

// ---- Who made it

#[test]
fn the_engine_names_every_codec_in_the_version_that_is_built_in() {
    let lock: toml::Table = include_str!("../../../Cargo.lock").parse().unwrap();
    let mut locked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let version = package["version"].as_str().unwrap();
        locked.entry(name).or_default().push(version);
    }
    let codecs = engine().codecs;
    for name in ["libjpeg-turbo", "libwebp", "png", "image", "moxcms"] {
        assert!(codecs.contains_key(name), "{name} is not named");
    }
    for (name, version) in &codecs {
        if !name.starts_with("lib") {
            assert_eq!(
                locked.get(name.as_str()),
                Some(&vec![version.as_str()]),
                "{name}"
            );
        }
    }
}

// ---- What a header tells

fn files() -> Vec<(Format, Vec<u8>)> {
    let drawing = photo(60, 40);
    let jpeg = pictures::with_exif(&drawing.jpeg(90), &exif(6));
    let frame = Drawing::new(60, 40, |x, y| {
        [(x * 4).to_le_bytes()[0], y.to_le_bytes()[0], 9, 255]
    });
    vec![
        (Format::Jpeg, jpeg),
        (Format::Png, drawing.png()),
        (Format::Webp, drawing.webp()),
        (Format::Gif, pictures::gif(&[frame.clone(), frame])),
        (Format::Bmp, drawing.bmp()),
        (Format::Tiff, pictures::tiff(&[drawing.clone(), drawing])),
    ]
}

#[test]
fn the_first_part_of_a_file_tells_the_same_as_the_whole_or_asks_for_more() {
    for (format, whole) in files() {
        let info = probe(&whole).unwrap();
        assert_eq!(info.format, format);
        assert_eq!((info.stored_width, info.stored_height), (60, 40));
        for end in 26..whole.len() {
            match probe(&whole[..end]) {
                Ok(early) => {
                    assert_eq!((early.width, early.height), (info.width, info.height));
                    assert_eq!(early.orientation, info.orientation, "{format} at {end}");
                    assert_eq!(early.profile, info.profile);
                    assert!(early.frames <= info.frames);
                }
                Err(error) => {
                    assert_eq!(error.code(), "truncated", "{format} at {end}: {error}");
                    assert_eq!(error.stage(), Stage::Probe);
                }
            }
        }
    }
}

#[test]
fn a_header_tells_orientation_frames_depth_and_colors() {
    let told: BTreeMap<_, _> = files()
        .into_iter()
        .map(|(format, file)| (format.to_string(), probe(&file).unwrap()))
        .collect();
    let jpeg = &told["JPEG"];
    assert_eq!((jpeg.orientation, jpeg.width, jpeg.height), (6, 40, 60));
    assert!(jpeg.has_metadata && !told["PNG"].has_metadata);
    assert_eq!((told["GIF"].frames, told["TIFF"].frames), (2, 2));
    assert_eq!((jpeg.bits, jpeg.color), (8, ColorModel::Rgb));
    assert!(told["GIF"].alpha && !jpeg.alpha);
}

#[test]
fn an_animated_webp_is_rendered_by_its_first_frame_with_a_warning() {
    let still = |color: [u8; 3]| Drawing::new(32, 32, |_, _| color).webp();
    let mut body = b"VP8X\x0A\0\0\0\x02\0\0\0\x1F\0\0\x1F\0\0ANIM\x06\0\0\0\0\0\0\0\0\0".to_vec();
    for file in [still([200, 0, 0]), still([0, 0, 200])] {
        // The picture's own chunk follows the file's header.
        let chunk = &file[12..];
        let size = u32::try_from(16 + chunk.len()).unwrap();
        body.extend_from_slice(b"ANMF");
        body.extend(size.to_le_bytes());
        body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 31, 0, 0, 31, 0, 0, 100, 0, 0, 0]);
        body.extend_from_slice(chunk);
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(body.len() + 4).unwrap().to_le_bytes());
    file.extend_from_slice(b"WEBP");
    file.extend(body);
    assert_eq!(probe(&file).unwrap().frames, 2);
    let all = render(&file, &recipe("")).unwrap();
    assert_eq!(all.warnings[0].code, WarningCode::FramesDropped);
    let shown = decoded(&made(&all, "png").bytes);
    assert!(
        shown.is_about((16, 16), &[200, 0, 0]),
        "{:?}",
        shown.at(16, 16)
    );
}

// ---- When it stops, and what it asks for

#[test]
fn a_raised_flag_and_a_passed_deadline_stop_the_work_and_blame_nobody() {
    let source = photo(60, 40).jpeg(90);
    let recipe = recipe("");
    let variants: Vec<_> = recipe.variants.iter().collect();
    let flag = Arc::new(AtomicBool::new(true));
    let late = Instant::now()
        .checked_sub(Duration::from_millis(1))
        .unwrap();
    let soon = Instant::now() + Duration::from_mins(10);
    for stop in [Stop::on(flag), Stop::at(late), Stop::at(soon).or_at(late)] {
        assert!(stop.requested());
        let options = RenderOptions {
            stop,
            ..RenderOptions::default()
        };
        let error = render_variants(&source, &recipe, &variants, &options).unwrap_err();
        assert_eq!(error.code(), "stopped");
        assert!(error.is_transient());
    }
    assert!(!Stop::default().requested() && !Stop::at(soon).requested());
}

#[test]
fn more_threads_larger_pictures_and_more_variants_are_predicted_to_take_more() {
    let recipe = recipe("");
    let mut fewer = recipe.clone();
    fewer.variants.truncate(1);
    let source = photo(600, 400).jpeg(90);
    let info = probe(&source).unwrap();
    let bytes = source.len() as u64;
    let of = |recipe, threads| predict(&info, bytes, recipe, threads).memory_bytes;
    assert!(of(&recipe, 2) > of(&recipe, 1));
    assert!(of(&recipe, 1) > of(&fewer, 1));
    // No less than the pixels themselves, and every file that comes out.
    assert!(of(&fewer, 1) > 600 * 400 * 3 + bytes);
    let options = RenderOptions {
        threads: NonZeroUsize::MIN,
        memory: Some(of(&recipe, 1)),
        ..RenderOptions::default()
    };
    let variants: Vec<_> = recipe.variants.iter().collect();
    render_variants(&source, &recipe, &variants, &options).unwrap();
}

#[test]
fn noise_is_stored_in_a_png_and_not_made_longer() {
    let mut state = 1_u32;
    let noise = Drawing::new(300, 200, |_, _| {
        [(); 3].map(|()| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
    });
    let all = render(&noise.bmp(), &recipe("")).unwrap();
    let png = &made(&all, "png").bytes;
    assert!(png.len() < noise.data.len() + 1_000, "{}", png.len());
    assert_eq!(decoded(png), noise);
}

// ---- Colors

fn with_profile(jpeg: &[u8], profile: &[u8]) -> Vec<u8> {
    with_segment(jpeg, 0xE2, &[b"ICC_PROFILE\0\x01\x01", profile].concat())
}

#[test]
fn a_wide_profile_is_converted_to_srgb_and_not_embedded() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let source = with_profile(&fields(64, 64).jpeg(95), &profile);
    let told = probe(&source).unwrap().profile.unwrap();
    assert!(told.contains("P3"), "{told}");
    let all = render(&source, &recipe("")).unwrap();
    assert_eq!(all.warnings.len(), 1, "{:?}", all.warnings);
    assert_eq!(all.warnings[0].code, WarningCode::GamutConverted);
    // Green reads more saturated in the narrower space: less red and blue for the same light.
    let plain = render(&fields(64, 64).jpeg(95), &recipe("")).unwrap();
    let green = |all: &Renditions| decoded(&made(all, "png").bytes).at(48, 16).to_vec();
    assert!(green(&all)[0] < green(&plain)[0], "{:?}", green(&all));
    for variant in ["jpeg", "png", "webp"] {
        assert_eq!(probe(&made(&all, variant).bytes).unwrap().profile, None);
    }
}

#[test]
fn a_profile_that_is_kept_is_in_every_rendition_and_no_number_changes() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let drawing = fields(64, 64);
    let plain = render(&drawing.jpeg(95), &recipe("")).unwrap();
    let source = with_profile(&drawing.jpeg(95), &profile);
    let all = render(&source, &recipe("color = \"keep\"")).unwrap();
    assert!(all.warnings.is_empty(), "{:?}", all.warnings);
    for variant in ["jpeg", "png", "webp"] {
        let (kept, plain) = (&made(&all, variant).bytes, &made(&plain, variant).bytes);
        let told = probe(kept).unwrap().profile;
        assert!(told.is_some_and(|told| told.contains("P3")), "{variant}");
        assert_eq!(decoded(kept), decoded(plain), "{variant}");
    }
}

#[test]
fn inks_are_shown_by_their_profile_and_without_it_multiplied() {
    let cyan = [255, 0, 0, 0].repeat(16 * 16);
    let tiff = |profile: Option<&[u8]>| {
        let mut out = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut out).unwrap();
        let mut image = encoder
            .new_image::<tiff::encoder::colortype::CMYK8>(16, 16)
            .unwrap();
        if let Some(profile) = profile {
            let tag = tiff::tags::Tag::IccProfile;
            image.encoder().write_tag(tag, profile).unwrap();
        }
        image.write_data(&cyan).unwrap();
        out.into_inner()
    };
    for rule in ["srgb", "keep"] {
        let recipe = recipe(&format!("color = {rule:?}"));
        let plain = render(&tiff(None), &recipe).unwrap();
        assert_eq!(decoded(&made(&plain, "png").bytes).at(8, 8), [0, 255, 255]);
        // No press prints this: where cyan is, it shows red. So it is the profile that was asked.
        let odd = inks_where_cyan_is_red();
        let all = render(&tiff(Some(&odd)), &recipe).unwrap();
        assert_eq!(all.warnings.len(), 1, "{:?}", all.warnings);
        assert_eq!(all.warnings[0].code, WarningCode::GamutConverted);
        let shown = decoded(&made(&all, "png").bytes);
        assert!(shown.is_about((8, 8), &[255, 0, 0]), "{:?}", shown.at(8, 8));
        assert_eq!(probe(&made(&all, "png").bytes).unwrap().profile, None);
    }
    let rgb = ColorProfile::new_srgb().encode().unwrap();
    let all = render(&tiff(Some(&rgb)), &recipe("")).unwrap();
    assert_eq!(all.warnings[0].code, WarningCode::ProfileBroken);
    assert_eq!(decoded(&made(&all, "png").bytes).at(8, 8), [0, 255, 255]);
}

/// A CMYK profile of the simplest kind: a table with two points a side, from inks to Lab.
fn inks_where_cyan_is_red() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for number in [1, 0, 0, 0, 1, 0, 0, 0, 1] {
        table.extend((number * 0x1_0000_u32).to_be_bytes());
    }
    let ramp: Vec<u8> = (0..=255).collect();
    table.extend(ramp.repeat(4));
    for corner in 0..16 {
        let (cyan, black) = (corner & 8 != 0, corner & 1 != 0);
        // L, a and b of black, of a strong red, of white.
        table.extend(match (cyan, black) {
            (_, true) => [0, 128, 128],
            (true, false) => [138, 209, 198],
            (false, false) => [255, 128, 128],
        });
    }
    table.extend(ramp.repeat(3));
    let white = *b"XYZ \0\0\0\0\0\0\xF6\xD6\0\x01\0\0\0\0\xD3\x2D";
    let description = b"desc\0\0\0\0\0\0\0\x05Inks\0\0\0\0".to_vec();
    let parts: [(&[u8; 4], &[u8]); 3] = [
        (b"A2B0", &table),
        (b"wtpt", &white),
        (b"desc", &description),
    ];
    let mut body = u32::try_from(parts.len()).unwrap().to_be_bytes().to_vec();
    let mut at = 128 + 4 + 12 * parts.len();
    for (name, part) in parts {
        body.extend_from_slice(name);
        body.extend(u32::try_from(at).unwrap().to_be_bytes());
        body.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        at += part.len().next_multiple_of(4);
    }
    for (_, part) in parts {
        body.extend_from_slice(part);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut header = vec![0; 128];
    let size = u32::try_from(128 + body.len()).unwrap();
    header[..4].copy_from_slice(&size.to_be_bytes());
    header[8] = 2;
    header[12..24].copy_from_slice(b"prtrCMYKLab ");
    header[36..40].copy_from_slice(b"acsp");
    header[68..80].copy_from_slice(&white[8..]);
    [header, body].concat()
}

#[test]
fn what_fails_says_what_to_do_next() {
    let mut small = recipe("");
    small.limits.pixels = 100;
    let error = render(&photo(60, 40).png(), &small).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("2400") && text.contains("100"), "{text}");
    assert!(text.contains("`limits.pixels`"), "{text}");
    let pixmill::error::Cause::Image(cause) = error.cause() else {
        panic!("{error}");
    };
    assert!(matches!(cause, ImageError::TooLarge { .. }));
}
