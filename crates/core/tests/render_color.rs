//! Colors are shown as the file means them, samples keep their depth where they may, and resampling
//! puts every pixel where it belongs. Expected values are computed here, by formulas of their own.
#![cfg(all(feature = "jpeg", feature = "png", feature = "webp", feature = "tiff"))]

use std::io::Cursor;

use image::ImageDecoder;
use moxcms::{ColorProfile, ProfileText};
use pixmill::image::WarningCode;
use pixmill::recipe::Recipe;
use pixmill::render::{Made, RenditionResult, Renditions, render, render_variants};
use pixmill_testkit::pictures::{Drawing, Png, decoded, exif, fields};

fn rendered(source: &[u8], recipe: &str) -> Renditions {
    let recipe = Recipe::from_toml(&format!("version = 1\n{recipe}")).unwrap();
    render(source, &recipe).unwrap()
}

fn made(all: &Renditions, at: usize) -> &Made {
    match &all.renditions[at].result {
        RenditionResult::Made(made) => made,
        other => panic!("{other:?}"),
    }
}

const PNG: &str = "[[variant]]\nname = \"png\"\nformat = \"png\"\n";

/// The one pixel of the PNG rendition of `source`, and the codes of all warnings.
fn shown(source: &[u8]) -> ([u8; 3], Vec<WarningCode>) {
    let all = rendered(source, PNG);
    let pixels = decoded(&made(&all, 0).bytes);
    let pixel = match *pixels.at(0, 0) {
        [v] => [v; 3],
        [r, g, b, ..] => [r, g, b],
        _ => panic!("gray and alpha"),
    };
    (pixel, all.warnings.iter().map(|w| w.code).collect())
}

fn one_pixel(chunks: &[([u8; 4], Vec<u8>)], pixel: [u8; 3]) -> Vec<u8> {
    let png = chunks
        .iter()
        .fold(Png::new(1, 1, 8, 2), |png, (kind, body)| {
            png.chunk(*kind, body)
        });
    png.rows(std::iter::once(&pixel[..]))
}

type Point = (f64, f64);

const WHITE: Point = (0.3127, 0.3290);
const SRGB: [Point; 3] = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)];
const P3: [Point; 3] = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)];

/// Solves three equations by Cramer's rule; columns first.
fn solved(columns: [[f64; 3]; 3], right: [f64; 3]) -> [f64; 3] {
    let det = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[2][1] * m[1][2])
            - m[1][0] * (m[0][1] * m[2][2] - m[2][1] * m[0][2])
            + m[2][0] * (m[0][1] * m[1][2] - m[1][1] * m[0][2])
    };
    std::array::from_fn(|at| {
        let mut replaced = columns;
        replaced[at] = right;
        det(replaced) / det(columns)
    })
}

fn xyz((x, y): Point) -> [f64; 3] {
    [x / y, 1.0, (1.0 - x - y) / y]
}

/// The XYZ of each primary at full light.
fn columns(primaries: [Point; 3]) -> [[f64; 3]; 3] {
    let unscaled = primaries.map(xyz);
    let scale = solved(unscaled, xyz(WHITE));
    std::array::from_fn(|at| unscaled[at].map(|v| v * scale[at]))
}

fn srgb_light(sample: f64) -> f64 {
    if sample <= 0.04045 {
        sample / 12.92
    } else {
        ((sample + 0.055) / 1.055).powf(2.4)
    }
}

fn srgb_sample(light: f64) -> f64 {
    let light = light.clamp(0.0, 1.0);
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

/// What a pixel of these primaries (white is D65) and this curve is in sRGB, 0 to 255.
fn expected(pixel: [u8; 3], primaries: [Point; 3], light: impl Fn(f64) -> f64) -> [f64; 3] {
    let lights = pixel.map(|v| light(f64::from(v) / 255.0));
    let from = columns(primaries);
    let xyz = std::array::from_fn(|row| (0..3).map(|at| from[at][row] * lights[at]).sum());
    solved(columns(SRGB), xyz).map(|light| srgb_sample(light) * 255.0)
}

#[track_caller]
fn assert_near(pixel: [u8; 3], expected: [f64; 3]) {
    let far = pixel
        .iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - b).abs());
    assert!(
        far.fold(0.0, f64::max) <= 1.5,
        "{pixel:?} and not {expected:?}"
    );
}

/// `gAMA` and `cHRM` of D65 and these primaries, in PNG's hundred-thousandths.
fn gamma(value: u32) -> ([u8; 4], Vec<u8>) {
    (*b"gAMA", value.to_be_bytes().to_vec())
}

fn chromaticities(primaries: [Point; 3]) -> ([u8; 4], Vec<u8>) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1 before scaling"
    )]
    let number = |v: f64| ((v * 100_000.0).round() as u32).to_be_bytes();
    let points = [WHITE, primaries[0], primaries[1], primaries[2]];
    let body = points.iter().flat_map(|(x, y)| [number(*x), number(*y)]);
    (*b"cHRM", body.flatten().collect())
}

const PIXEL: [u8; 3] = [200, 100, 50];
const CICP_P3: [u8; 4] = [12, 13, 0, 1];
const CICP_PQ: [u8; 4] = [9, 16, 0, 1];

#[test]
fn colors_that_srgb_lacks_are_told_and_others_are_not() {
    for (chunks, told) in [
        (vec![(*b"cICP", CICP_P3.to_vec())], true),
        (vec![(*b"sRGB", vec![0])], false),
        (vec![gamma(45_455), chromaticities(SRGB)], false),
        (vec![gamma(100_000), chromaticities(SRGB)], false),
        (vec![gamma(45_455), chromaticities(P3)], true),
    ] {
        let (_, warnings) = shown(&one_pixel(&chunks, PIXEL));
        assert_eq!(
            warnings.contains(&WarningCode::GamutConverted),
            told,
            "{chunks:?}"
        );
    }
}

#[test]
fn a_png_is_read_by_its_code_points_before_all_else_it_says_of_its_colors() {
    let as_p3 = expected(PIXEL, P3, srgb_light);
    let source = one_pixel(
        &[
            (*b"cICP", CICP_P3.to_vec()),
            (*b"sRGB", vec![0]),
            gamma(100_000),
            chromaticities(SRGB),
        ],
        PIXEL,
    );
    let (pixel, warnings) = shown(&source);
    assert_near(pixel, as_p3);
    assert_eq!(warnings, [WarningCode::GamutConverted]);
    // High dynamic range can't be shown: what comes next in line counts, or else it is told.
    let next = one_pixel(&[(*b"cICP", CICP_PQ.to_vec()), (*b"sRGB", vec![0])], PIXEL);
    assert_eq!(shown(&next), (PIXEL, vec![]));
    let alone = one_pixel(&[(*b"cICP", CICP_PQ.to_vec())], PIXEL);
    assert_eq!(shown(&alone), (PIXEL, vec![WarningCode::ProfileBroken]));
}

#[test]
fn a_png_that_says_srgb_is_srgb_whatever_gamma_it_states() {
    let source = one_pixel(
        &[gamma(100_000), chromaticities(P3), (*b"sRGB", vec![1])],
        PIXEL,
    );
    assert_eq!(shown(&source), (PIXEL, vec![]));
}

#[test]
fn a_gamma_counts_with_its_primaries_and_not_alone() {
    let both = one_pixel(&[gamma(55_556), chromaticities(P3)], PIXEL);
    assert_near(shown(&both).0, expected(PIXEL, P3, |v| v.powf(1.8)));
    // What programs write beside sRGB, as PNG tells them to, is sRGB.
    let usual = one_pixel(&[gamma(45_455), chromaticities(SRGB)], PIXEL);
    assert_eq!(shown(&usual), (PIXEL, vec![]));
    for alone in [gamma(100_000), chromaticities(P3)] {
        assert_eq!(shown(&one_pixel(&[alone], PIXEL)), (PIXEL, vec![]));
    }
    let nonsense = one_pixel(&[gamma(55_556), chromaticities([WHITE; 3])], PIXEL);
    assert_eq!(shown(&nonsense), (PIXEL, vec![WarningCode::ProfileBroken]));
}

/// Display P3, as large as is asked: a description takes the room.
fn p3(bytes: usize) -> Vec<u8> {
    let mut profile = ColorProfile::new_display_p3();
    let text = "P3 ".repeat(bytes / 6);
    profile.copyright = Some(ProfileText::PlainString(text));
    let mut icc = profile.encode().unwrap();
    icc.resize(icc.len().max(bytes), 0);
    let length = u32::try_from(icc.len()).unwrap();
    icc[..4].copy_from_slice(&length.to_be_bytes());
    icc
}

/// `source` with this profile, by libwebp's mux, which the readers below share no code with.
fn with_profile(webp: &[u8], icc: &[u8]) -> Vec<u8> {
    let metadata = pixmill_codecs::webp::Metadata {
        icc: Some(icc),
        ..Default::default()
    };
    pixmill_codecs::webp::with_metadata(webp, &metadata).unwrap()
}

const KEEP: &str = "[source]\ncolor = \"keep\"\n\
    [[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\nquality = 95\n\
    [[variant]]\nname = \"png\"\nformat = \"png\"\n\
    [[variant]]\nname = \"webp\"\nformat = \"webp\"\nlossless = true\n";

/// The profile in a JPEG: its numbered pieces in order.
fn profile_in_jpeg(jpeg: &[u8]) -> Vec<u8> {
    let mut rest = &jpeg[2..];
    let mut icc = Vec::new();
    while let [0xFF, marker, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xE2 {
            icc.extend_from_slice(&rest[2 + 2 + 14..2 + length]);
        }
        if marker == 0xDA {
            break;
        }
        rest = &rest[2 + length..];
    }
    icc
}

fn profiles(all: &Renditions) -> [Vec<u8>; 3] {
    let png = png::Decoder::new(Cursor::new(&made(all, 1).bytes));
    let png = png.read_info().unwrap();
    let mut webp = image::codecs::webp::WebPDecoder::new(Cursor::new(&made(all, 2).bytes)).unwrap();
    [
        profile_in_jpeg(&made(all, 0).bytes),
        png.info()
            .icc_profile
            .as_deref()
            .unwrap_or_default()
            .to_vec(),
        webp.icc_profile().unwrap().unwrap_or_default(),
    ]
}

#[test]
fn a_kept_profile_is_in_every_rendition_whole_and_numbers_stay() {
    let drawing = fields(48, 32);
    for size in [600, 200_000] {
        let icc = p3(size);
        let all = rendered(&with_profile(&drawing.webp(), &icc), KEEP);
        assert_eq!(all.warnings, []);
        assert_eq!(decoded(&made(&all, 1).bytes), drawing);
        for (found, format) in profiles(&all).iter().zip(["jpeg", "png", "webp"]) {
            assert!(*found == icc, "{format}: {} bytes", found.len());
        }
    }
}

#[test]
fn what_a_png_says_in_other_chunks_is_kept_as_a_profile() {
    let source = one_pixel(&[(*b"cICP", CICP_P3.to_vec())], PIXEL);
    let all = rendered(&source, KEEP);
    assert_eq!(decoded(&made(&all, 1).bytes).at(0, 0), PIXEL);
    let found = profiles(&all);
    for (icc, format) in found.iter().zip(["jpeg", "png", "webp"]) {
        // Shown by its profile, it is what the conversion gives.
        let profile = ColorProfile::new_from_slice(icc).expect(format);
        let to = profile
            .create_transform_8bit(
                moxcms::Layout::Rgb,
                &ColorProfile::new_srgb(),
                moxcms::Layout::Rgb,
                moxcms::TransformOptions::default(),
            )
            .unwrap();
        let mut pixel = [0; 3];
        to.transform(&PIXEL, &mut pixel).unwrap();
        assert_near(pixel, expected(PIXEL, P3, srgb_light));
    }
}

#[test]
fn a_gray_picture_keeps_its_tones_in_a_webp_which_stores_no_gray() {
    let gray = Drawing::new(40, 30, |x, y| [u8::try_from(x * 4 + y * 2).unwrap()]);
    let icc = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let jpeg = pixmill_testkit::pictures::with_segment(
        &gray.jpeg(100),
        0xE2,
        &[b"ICC_PROFILE\0\x01\x01", &icc[..]].concat(),
    );
    let all = rendered(&jpeg, KEEP);
    assert_eq!(all.warnings, []);
    let [in_jpeg, in_png, in_webp] = profiles(&all);
    assert!(in_jpeg == icc && in_png == icc);
    assert_eq!(decoded(&made(&all, 1).bytes).channels, 1);
    let twin = ColorProfile::new_from_slice(&in_webp).unwrap();
    assert_eq!(twin.color_space, moxcms::DataColorSpace::Rgb);
    let to = twin
        .create_transform_8bit(
            moxcms::Layout::Rgb,
            &ColorProfile::new_srgb(),
            moxcms::Layout::Rgb,
            moxcms::TransformOptions::default(),
        )
        .unwrap();
    let mut pixel = [0; 3];
    to.transform(&[128; 3], &mut pixel).unwrap();
    let light = srgb_sample(128.0 / 255.0) * 255.0;
    assert_near(pixel, [light; 3]);
}

#[test]
fn inks_in_a_tiff_become_their_colors() {
    let mut file = Cursor::new(Vec::new());
    let inks: [u8; 16] = [255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0];
    tiff::encoder::TiffEncoder::new(&mut file)
        .unwrap()
        .write_image::<tiff::encoder::colortype::CMYK8>(4, 1, &inks)
        .unwrap();
    let all = rendered(&file.into_inner(), PNG);
    let pixels = decoded(&made(&all, 0).bytes);
    assert_eq!(
        pixels.data,
        [0, 255, 255, 255, 0, 0, 0, 0, 0, 255, 255, 255]
    );
}

/// 8 x 8 pixels of cyan ink and no other, upside down with an Adobe marker, as YCCK: what Photoshop
/// writes. Made with imagecodecs: `jpeg8_encode(a, level=95, colorspace="CMYK", outcolorspace="YCCK",
/// subsampling="444", optimize=True)`, where `a` has 8 x 8 pixels of `(0, 255, 255, 255)`.
const YCCK: &str = "\
    ffd8ffee000e41646f626500640000000002ffdb00430002010101010102010101020202020204030202020205040403\
    04060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affdb00430102020202\
    0202050303050a0706070a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\
    0a0a0a0a0a0a0a0a0a0a0a0affc00014080008000804012200021101031101042200ffc4001600010101000000000000\
    00000000000000000809ffc40014100100000000000000000000000000000000ffc40015010101000000000000000000\
    00000000000809ffc40014110100000000000000000000000000000000ffda000e040100021103110400003f008bc014\
    d7f1bf803fffd9";

#[test]
fn inks_stored_as_luma_and_differences_are_not_inverted() {
    let source = hex::decode(YCCK).unwrap();
    let all = rendered(&source, PNG);
    let pixels = decoded(&made(&all, 0).bytes);
    let cyan = [0, 255, 255];
    let near = |at| {
        pixels
            .at(at, 4)
            .iter()
            .zip(cyan)
            .all(|(a, b)| a.abs_diff(b) < 6)
    };
    assert!(near(0) && near(7), "{:?}", pixels.at(4, 4));
}

/// Rows of 16 bits a sample, in PNG's byte order.
fn deep_rows(width: u32, height: u32, channels: u32) -> Vec<Vec<u8>> {
    let sample = |x: u32, y: u32, c: u32| {
        let value = x * 1_201 + y * 977 + c * 20_011 + x * y * 13;
        u16::try_from(value % 65_536).unwrap().to_be_bytes()
    };
    let row = |y| {
        let samples = (0..width).flat_map(move |x| (0..channels).map(move |c| (x, c)));
        samples.flat_map(|(x, c)| sample(x, y, c)).collect()
    };
    (0..height).map(row).collect()
}

/// The raw samples of a PNG, and its bits a sample.
fn raw(png: &[u8]) -> (Vec<u8>, u8) {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    data.truncate(info.buffer_size());
    (data, info.bit_depth as u8)
}

const DEEP: &str = "[source]\ndepth = \"keep\"\n\
    [[variant]]\nname = \"png\"\nformat = \"png\"\n\
    [[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\nquality = 95\n\
    [[variant]]\nname = \"webp\"\nformat = \"webp\"\nlossless = true\n\
    [[variant]]\nname = \"small\"\nformat = \"png\"\nwidth = 10\n";

#[test]
fn sixteen_bits_stay_in_a_png_where_they_are_to_be_kept() {
    for (color, channels) in [(0, 1), (4, 2), (2, 3), (6, 4)] {
        let rows = deep_rows(40, 30, channels);
        let source = Png::new(40, 30, 16, color).rows(rows.iter().map(|row| &row[..]));
        let all = rendered(&source, DEEP);
        assert_eq!(raw(&made(&all, 0).bytes), (rows.concat(), 16), "{channels}");
        assert_eq!(raw(&made(&all, 3).bytes).1, 16, "{channels}");
        let reduced = all
            .warnings
            .iter()
            .filter(|w| w.code == WarningCode::DepthReduced);
        let variants: Vec<_> = reduced.map(|w| w.variant.as_deref()).collect();
        assert_eq!(variants, [Some("jpeg"), Some("webp")], "{channels}");
        // The other formats get what they would have got.
        let shallow = DEEP.replace("depth = \"keep\"\n", "");
        let shallow = rendered(&source, &shallow);
        assert_eq!(made(&all, 2).bytes, made(&shallow, 2).bytes, "{channels}");
        assert_eq!(raw(&made(&shallow, 0).bytes).1, 8, "{channels}");
    }
}

#[test]
fn deep_pictures_are_turned_and_come_from_tiff_too() {
    let rows = deep_rows(3, 2, 3);
    let source = Png::new(3, 2, 16, 2)
        .chunk(*b"eXIf", &exif(6))
        .rows(rows.iter().map(|row| &row[..]));
    let all = rendered(&source, &DEEP.replace("width = 10", "width = 1"));
    let (turned, bits) = raw(&made(&all, 0).bytes);
    assert_eq!(bits, 16);
    // The lower left corner comes to the upper left.
    assert_eq!(turned[..6], rows[1][..6]);
    assert_eq!(turned[6..12], rows[0][..6]);

    let samples: Vec<u16> = (0..48_u16).map(|v| v * 1_301).collect();
    let mut file = Cursor::new(Vec::new());
    tiff::encoder::TiffEncoder::new(&mut file)
        .unwrap()
        .write_image::<tiff::encoder::colortype::RGB16>(4, 4, &samples)
        .unwrap();
    let all = rendered(&file.into_inner(), &DEEP.replace("width = 10", "width = 2"));
    let expected: Vec<u8> = samples.iter().flat_map(|v| v.to_be_bytes()).collect();
    assert_eq!(raw(&made(&all, 0).bytes), (expected, 16));
}

/// Lanczos with three lobes, antialiased, as textbooks have it: in floating point, pixel by pixel, colors
/// multiplied by alpha.
fn resampled(source: &Drawing, width: u32, height: u32) -> Vec<[f64; 4]> {
    let sinc = |x: f64| {
        let angle = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { angle.sin() / angle }
    };
    let weight = |x: f64| {
        if x.abs() < 3.0 {
            sinc(x) * sinc(x / 3.0)
        } else {
            0.0
        }
    };
    let weights = |from: u32, to: u32, at: u32| {
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.0);
        let center = (f64::from(at) + 0.5) * scale;
        let all: Vec<f64> = (0..from)
            .map(|x| weight((f64::from(x) + 0.5 - center) / stretch))
            .collect();
        let sum: f64 = all.iter().sum();
        all.into_iter().map(|w| w / sum).collect::<Vec<_>>()
    };
    let across: Vec<_> = (0..width)
        .map(|x| weights(source.width, width, x))
        .collect();
    let down: Vec<_> = (0..height)
        .map(|y| weights(source.height, height, y))
        .collect();
    // Downwards first, what overshoots cut off on the way, as wherever samples have 8 bits.
    let mut halfway = Vec::new();
    for row in &down {
        for x in 0..source.width {
            let mut sum = [0.0; 4];
            for (y, weight) in (0..source.height).zip(row).filter(|(_, w)| **w != 0.0) {
                let pixel = source.at(x, y);
                let alpha = f64::from(pixel[3]) / 255.0;
                for (sum, color) in sum.iter_mut().zip(pixel.iter().take(3)) {
                    *sum += f64::from(*color) * alpha * weight;
                }
                sum[3] += 255.0 * alpha * weight;
            }
            halfway.push(sum.map(|v| v.clamp(0.0, 255.0)));
        }
    }
    let mut out = Vec::new();
    for row in halfway.chunks_exact(source.width as usize) {
        for column in &across {
            let mut sum = [0.0; 4];
            for (pixel, weight) in row.iter().zip(column).filter(|(_, w)| **w != 0.0) {
                for (sum, sample) in sum.iter_mut().zip(pixel) {
                    *sum += sample * weight;
                }
            }
            out.push(sum);
        }
    }
    out
}

#[test]
fn resized_pixels_are_where_and_what_the_textbook_says() {
    // Saturated and transparent next to opaque, fine lines, and no symmetry that hides a shift.
    let source = Drawing::new(61, 47, |x, y| match (x * 7 + y * 3) % 29 {
        0..9 => [0, 255, 0, 0],
        9..15 => [250, 20, 10, 255],
        15..20 => [10, 10, 240, 128],
        _ => [(x * 4).to_le_bytes()[0], (y * 5).to_le_bytes()[0], 90, 255],
    });
    for (width, height) in [(20, 15), (37, 29), (60, 46), (122, 94)] {
        let recipe =
            format!("{PNG}width = {width}\nheight = {height}\nfit = \"fill\"\nenlarge = true\n");
        let all = rendered(&source.png(), &recipe);
        let found = decoded(&made(&all, 0).bytes);
        let expected = resampled(&source, width, height);
        let mut worst = 0.0_f64;
        for (pixel, expected) in found.data.as_chunks::<4>().0.iter().zip(&expected) {
            let alpha = f64::from(pixel[3]);
            worst = worst.max((alpha - expected[3].clamp(0.0, 255.0)).abs());
            for (color, expected) in pixel.iter().zip(expected).take(3) {
                // What is seen: the color times its alpha. No color is brighter than its alpha allows.
                let seen = f64::from(*color) * alpha / 255.0;
                worst = worst.max((seen - expected.clamp(0.0, alpha)).abs());
            }
        }
        assert!(worst <= 4.0, "{width} x {height}: {worst}");
    }
}

#[test]
fn threads_and_siblings_change_no_byte_of_a_deep_rendition() {
    let rows = deep_rows(300, 200, 3);
    let icc = (*b"cICP", CICP_P3.to_vec());
    let source = Png::new(300, 200, 16, 2)
        .chunk(icc.0, &icc.1)
        .rows(rows.iter().map(|row| &row[..]));
    let recipe = Recipe::from_toml(&format!("version = 1\n{DEEP}")).unwrap();
    let all = render(&source, &recipe).unwrap();
    for threads in [1, 3, 8] {
        for (at, variant) in recipe.variants.iter().enumerate() {
            let options = pixmill::render::RenderOptions {
                threads: threads.try_into().unwrap(),
                ..Default::default()
            };
            let alone = render_variants(&source, &recipe, &[variant], &options).unwrap();
            assert_eq!(made(&alone, 0).bytes, made(&all, at).bytes, "{threads}");
        }
    }
}

/// A TIFF of five indices in each of two rows, of `bits` each, and its palette.
fn tiff_with_palette(bits: u16, little_endian: bool, palette: &[u16]) -> Vec<u8> {
    let two = |value: u16| {
        if little_endian {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    };
    let four = |value: u32| {
        if little_endian {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    };
    let rows: Vec<u8> = indices(bits)
        .chunks_exact(5)
        .flat_map(|row| {
            let mut packed = vec![0; (5 * usize::from(bits)).div_ceil(8)];
            for (x, index) in row.iter().enumerate() {
                let bit = x * usize::from(bits);
                packed[bit / 8] |= index << (8 - usize::from(bits) - bit % 8);
            }
            packed
        })
        .collect();
    let colors = u32::try_from(palette.len()).unwrap();
    let directory = 8 + u32::try_from(rows.len()).unwrap() + colors * 2;
    let mut file = if little_endian { *b"II*\0" } else { *b"MM\0*" }.to_vec();
    file.extend(four(directory));
    file.extend(palette.iter().copied().flat_map(two));
    file.extend(&rows);
    let short = |value: u16| [two(value), two(0)].concat();
    let entries = [
        (256, 3, 1, short(5)),
        (257, 3, 1, short(2)),
        (258, 3, 1, short(bits)),
        (259, 3, 1, short(1)),
        (262, 3, 1, short(3)),
        (273, 4, 1, four(8 + colors * 2).to_vec()),
        (277, 3, 1, short(1)),
        (278, 3, 1, short(2)),
        (279, 4, 1, four(u32::try_from(rows.len()).unwrap()).to_vec()),
        (320, 3, colors, four(8).to_vec()),
    ];
    file.extend(two(u16::try_from(entries.len()).unwrap()));
    for (tag, kind, count, value) in entries {
        file.extend(two(tag));
        file.extend(two(kind));
        file.extend(four(count));
        file.extend(value);
    }
    file.extend(four(0));
    file
}

/// Ten indices that fit `bits`, the highest among them.
fn indices(bits: u16) -> Vec<u8> {
    let most = u8::try_from((1_u16 << bits) - 1).unwrap();
    (0..10)
        .map(|n| if n == 1 { most } else { (n * 25) & most })
        .collect()
}

/// Red rises with the index, green falls, blue is what is left: as planes of 8 bits.
fn planes(bits: u16) -> [Vec<u8>; 3] {
    let colors = 1_u16 << bits;
    let step = 255 / (colors - 1);
    let rising = |index: u16| u8::try_from(index * step).unwrap();
    [
        (0..colors).map(rising).collect(),
        (0..colors).map(|index| 255 - rising(index)).collect(),
        (0..colors).map(|index| rising(index) ^ 0x55).collect(),
    ]
}

#[test]
fn a_palette_in_a_tiff_is_its_colors_at_every_depth_in_either_byte_order() {
    for (bits, little_endian) in [1, 2, 4, 8]
        .into_iter()
        .flat_map(|b| [(b, true), (b, false)])
    {
        let planes = planes(bits);
        let expected: Vec<u8> = indices(bits)
            .iter()
            .flat_map(|index| [0, 1, 2].map(|plane: usize| planes[plane][usize::from(*index)]))
            .collect();
        // As programs write them: 8 bits repeated, 8 bits and nothing, and (old ones) 8 bits alone.
        for widened in [|v: u8| u16::from(v) * 257, |v| u16::from(v) << 8, u16::from] {
            let palette: Vec<u16> = planes.concat().into_iter().map(widened).collect();
            let all = rendered(&tiff_with_palette(bits, little_endian, &palette), PNG);
            assert_eq!(decoded(&made(&all, 0).bytes).data, expected, "{bits} bits");
            assert_eq!(all.warnings, []);
        }
    }
}

#[test]
fn a_palette_in_a_tiff_that_lacks_colors_is_refused() {
    let recipe = Recipe::from_toml(&format!("version = 1\n{PNG}")).unwrap();
    let error = render(&tiff_with_palette(8, true, &[0; 30]), &recipe).unwrap_err();
    assert_eq!(error.code(), "corrupt");
    assert!(
        error
            .to_string()
            .contains("a palette of 30 numbers and not 768")
    );
}

/// A BMP of one pixel whose header of version 5 places this profile behind it.
fn bmp_with_profile([red, green, blue]: [u8; 3], icc: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 14 + 124];
    let mut put = |at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let size = u32::try_from(icc.len()).unwrap();
    put(2, 14 + 124 + 4 + size);
    put(10, 14 + 124);
    put(14, 124);
    put(18, 1);
    put(22, 1);
    // One plane, 24 bits.
    put(26, 1 | (24 << 16));
    put(34, 4);
    put(14 + 56, u32::from_be_bytes(*b"MBED"));
    put(14 + 112, 124 + 4);
    put(14 + 116, size);
    file[..2].copy_from_slice(b"BM");
    file.extend([blue, green, red, 0]);
    file.extend(icc);
    file
}

#[test]
fn a_profile_in_a_bmp_is_used_and_kept_like_any_other() {
    let icc = p3(0);
    let bmp = bmp_with_profile(PIXEL, &icc);
    let (pixel, warnings) = shown(&bmp);
    assert_near(pixel, expected(PIXEL, P3, srgb_light));
    assert_eq!(warnings, [WarningCode::GamutConverted]);
    assert_eq!(
        profiles(&rendered(&bmp, KEEP)),
        [icc.clone(), icc.clone(), icc.clone()]
    );
    // Cut off, it is as if it weren't there.
    assert_eq!(shown(&bmp[..bmp.len() - 1]), (PIXEL, vec![]));
}
