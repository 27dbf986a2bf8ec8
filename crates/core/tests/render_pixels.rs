//! What comes out shows what went in: turning, color, depth, transparency, frames.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "gif",
    feature = "bmp",
    feature = "tiff"
))]

use pixmill::image::{Warning, WarningCode};
use pixmill::recipe::Recipe;
use pixmill::render::{Made, RenditionResult, Renditions, render};
use pixmill_testkit::pictures::{
    self, BLUE, Drawing, GREEN, Png, RED, YELLOW, decoded, fading, fields, photo,
};

/// One rendition of each kind that shows every pixel of the source.
const EACH: &str = r#"
version = 1
[[variant]]
name = "jpeg"
format = "jpeg"
quality = 95
[[variant]]
name = "png"
format = "png"
[[variant]]
name = "webp"
format = "webp"
lossless = true
"#;

fn recipe(text: &str) -> Recipe {
    Recipe::from_toml(text).unwrap()
}

fn each(source: &[u8]) -> Renditions {
    render(source, &recipe(EACH)).unwrap()
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

fn pixels(all: &Renditions, variant: &str) -> Drawing {
    let made = made(all, variant);
    let pixels = decoded(&made.bytes);
    assert_eq!((pixels.width, pixels.height), (made.width, made.height));
    pixels
}

/// The codes of the warnings, and the variant that each is about.
fn codes(warnings: &[Warning]) -> Vec<(WarningCode, Option<&str>)> {
    let pairs = warnings.iter().map(|w| (w.code, w.variant.as_deref()));
    pairs.collect()
}

fn assert_shows_fields(shown: &Drawing, what: &str) {
    let (right, bottom) = (shown.width - 4, shown.height - 4);
    for (at, color) in [
        ((3, 3), RED),
        ((right, 3), GREEN),
        ((3, bottom), BLUE),
        ((right, bottom), YELLOW),
    ] {
        assert!(
            shown.is_about(at, &color),
            "{what}: {at:?} is {:?}",
            shown.at(at.0, at.1)
        );
    }
}

#[test]
fn all_eight_orientations_of_a_jpeg_end_upright_and_are_not_told_again() {
    let upright = fields(48, 32);
    for orientation in 1..=8 {
        let stored = upright.stored_for(orientation).jpeg(95);
        let all = each(&pictures::with_exif(&stored, &pictures::exif(orientation)));
        assert_eq!((all.info.width, all.info.height), (48, 32), "{orientation}");
        assert_eq!(all.info.orientation, orientation);
        for variant in ["jpeg", "png", "webp"] {
            let shown = pixels(&all, variant);
            assert_eq!((shown.width, shown.height), (48, 32), "{orientation}");
            assert_shows_fields(&shown, &format!("{variant}, orientation {orientation}"));
            let bytes = &made(&all, variant).bytes;
            assert!(!bytes.windows(4).any(|w| w == b"Exif" || w == b"EXIF"));
        }
    }
}

#[test]
fn orientation_in_a_png_and_in_a_webp_is_applied_too() {
    let stored = fields(48, 32).stored_for(6);
    let png = Png::new(stored.width, stored.height, 8, 2)
        .chunk(*b"eXIf", &pictures::exif(6))
        .rows(stored.data.chunks_exact(stored.width as usize * 3));
    assert_shows_fields(&pixels(&each(&png), "png"), "png");

    let exif = pictures::exif(6);
    let metadata = pixmill_codecs::webp::Metadata {
        exif: Some(&exif),
        ..Default::default()
    };
    let webp = pixmill_codecs::webp::with_metadata(&stored.webp(), &metadata).unwrap();
    assert_shows_fields(&pixels(&each(&webp), "png"), "webp");
}

#[test]
fn orientation_that_is_to_be_ignored_leaves_pixels_as_they_are_stored() {
    let stored = fields(48, 32).stored_for(6);
    let source = pictures::with_exif(&stored.jpeg(95), &pictures::exif(6));
    let ignoring = EACH.replacen(
        "[[variant]]",
        "[source]\norientation = \"ignore\"\n[[variant]]",
        1,
    );
    let all = render(&source, &recipe(&ignoring)).unwrap();
    let shown = pixels(&all, "png");
    assert_eq!((shown.width, shown.height), (32, 48));
    assert!(shown.is_about((3, 3), &GREEN), "{:?}", shown.at(3, 3));
}

#[test]
fn gray_stays_gray() {
    let gray = Drawing::new(40, 30, |x, y| [u8::try_from(x * 4 + y).unwrap()]);
    for source in [gray.png(), gray.jpeg(100)] {
        let all = each(&source);
        assert_eq!(pixels(&all, "jpeg").channels, 1);
        assert_eq!(pixels(&all, "png").channels, 1);
        for pixel in pixels(&all, "webp").data.as_chunks::<3>().0 {
            assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2], "{pixel:?}");
        }
    }
    assert_eq!(pixels(&each(&gray.png()), "png"), gray);
}

/// 8 x 8 pixels of cyan ink and no other, stored upside down with an Adobe marker.
/// Made with Pillow: `Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(out, "JPEG", quality=90, optimize=True)`.
const CYAN: &str = "\
    ffd8ffee000e41646f626500640000000000ffdb0043000302020302020303030304030304050805050404050a070706\
    080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc000140800080008\
    044311004d11005911004b1100ffc40014000100000000000000000000000000000009ffc40014100100000000000000\
    000000000000000000ffda000e0443004d0059004b00003f002a8a99532a6fffd9";

#[test]
fn inks_become_their_colors_however_they_are_stored() {
    let adobe = hex::decode(CYAN).unwrap();
    let all = each(&adobe);
    assert_eq!(all.info.color, pixmill::image::ColorModel::Cmyk);
    for variant in ["jpeg", "png", "webp"] {
        let shown = pixels(&all, variant);
        assert!(shown.is_about((4, 4), &[0, 255, 255]), "{variant}");
    }
    // The same samples without Adobe's marker: no cyan, and all of the others, black included.
    let plain = [&adobe[..2], &adobe[18..]].concat();
    assert!(pixels(&each(&plain), "png").is_about((4, 4), &[0]));
}

#[test]
fn sixteen_bits_are_scaled_to_eight_with_a_warning() {
    let samples: [u16; 6] = [0, 257, 0x7FFF, 0x8000, 0xFFFF, 200 * 257];
    let row: Vec<u8> = samples.iter().flat_map(|v| v.to_be_bytes()).collect();
    let source = Png::new(2, 1, 16, 2).rows(std::iter::once(&row[..]));
    let all = each(&source);
    assert_eq!(pixels(&all, "png").data, [0, 1, 127, 128, 255, 200]);
    assert_eq!(codes(&all.warnings), [(WarningCode::DepthReduced, None)]);
}

#[test]
fn a_palette_with_transparency_shows_its_colors_and_its_holes() {
    let palette = [RED, GREEN, BLUE].concat();
    let rows = [[0b00_01_10_00_u8], [0b10_10_01_00]];
    let plain = Png::new(3, 2, 2, 3).chunk(*b"PLTE", &palette);
    let opaque = pixels(
        &each(&plain.clone().rows(rows.iter().map(|r| &r[..]))),
        "png",
    );
    assert_eq!(opaque.data, [RED, GREEN, BLUE, BLUE, BLUE, GREEN].concat());

    let holes = plain.chunk(*b"tRNS", &[255, 0, 128]);
    let all = each(&holes.rows(rows.iter().map(|r| &r[..])));
    let shown = pixels(&all, "png");
    assert_eq!(shown.channels, 4);
    let alphas: Vec<u8> = shown.data.iter().skip(3).step_by(4).copied().collect();
    assert_eq!(alphas, [255, 0, 128, 128, 128, 0]);
    assert_eq!(shown.at(2, 0), [BLUE[0], BLUE[1], BLUE[2], 128]);
}

#[test]
fn one_gray_declared_transparent_is_transparent() {
    let source = Png::new(3, 1, 8, 0)
        .chunk(*b"tRNS", &[0, 77])
        .rows(std::iter::once(&[5, 77, 200][..]));
    let shown = pixels(&each(&source), "png");
    assert_eq!(shown.channels, 2);
    assert_eq!(shown.data, [5, 255, 77, 0, 200, 255]);
}

#[test]
fn an_interlaced_png_is_put_together() {
    for (width, height) in [(1, 2), (3, 2), (8, 8), (21, 13)] {
        let drawing = photo(width, height);
        let source = Png::new(width, height, 8, 2).in_seven_passes(&drawing);
        assert_eq!(pixels(&each(&source), "png"), drawing, "{width} x {height}");
    }
}

#[test]
fn every_lossless_way_in_and_out_keeps_every_pixel() {
    let drawing = photo(61, 37);
    for source in [
        drawing.png(),
        drawing.webp(),
        drawing.bmp(),
        pictures::tiff(std::slice::from_ref(&drawing)),
    ] {
        let all = each(&source);
        assert_eq!(all.warnings, []);
        assert_eq!(pixels(&all, "png"), drawing, "{}", all.info.format);
        assert_eq!(pixels(&all, "webp"), drawing, "{}", all.info.format);
    }
}

#[test]
fn transparency_is_kept_where_it_can_be_and_else_laid_over_the_background() {
    let drawing = fading(48, 16);
    let over_blue = EACH.replacen(
        "[[variant]]",
        "[source]\nbackground = \"#0000ff\"\n[[variant]]",
        1,
    );
    for source in [drawing.png(), drawing.webp()] {
        let all = render(&source, &recipe(&over_blue)).unwrap();
        assert_eq!(pixels(&all, "png"), drawing);
        assert_eq!(pixels(&all, "webp"), drawing);
        let flat = pixels(&all, "jpeg");
        assert!(flat.is_about((4, 8), &RED));
        assert!(flat.is_about((24, 8), &[115, 10, 137]));
        assert!(flat.is_about((44, 8), &[0, 0, 255]));
        assert_eq!(
            codes(&all.warnings),
            [(WarningCode::AlphaFlattened, Some("jpeg"))]
        );
    }
}

#[test]
fn what_can_not_be_seen_does_not_bleed_into_its_neighbors_when_resized() {
    // Green that is not there beside red that is.
    let drawing = Drawing::new(64, 64, |x, _| {
        if x < 32 {
            [255, 0, 0, 255]
        } else {
            [0, 255, 0, 0]
        }
    });
    let small = "version = 1\n[[variant]]\nname = \"png\"\nformat = \"png\"\nwidth = 10\n";
    let all = render(&drawing.png(), &recipe(small)).unwrap();
    for pixel in pixels(&all, "png").data.as_chunks::<4>().0 {
        assert!(pixel[3] == 0 || pixel[1] <= 2, "{pixel:?}");
    }
}

#[test]
fn of_an_animation_stills_are_the_first_frame_with_a_warning() {
    let frame = |color: [u8; 3]| Drawing::new(20, 10, |_, _| [color[0], color[1], color[2], 255]);
    let all = each(&pictures::gif(&[frame(RED), frame(GREEN), frame(BLUE)]));
    assert_eq!(all.info.frames, 3);
    assert!(pixels(&all, "png").is_about((10, 5), &RED));
    let dropped = |name| (WarningCode::FramesDropped, Some(name));
    assert_eq!(codes(&all.warnings), [dropped("jpeg"), dropped("png")]);
    let still = each(&pictures::gif(&[frame(GREEN)]));
    assert!(pixels(&still, "png").is_about((10, 5), &GREEN));
    assert_eq!(still.warnings, []);
}

#[test]
fn of_several_pages_the_first_is_used_with_a_warning() {
    let page = |color: [u8; 3]| Drawing::new(20, 10, |_, _| color);
    let all = each(&pictures::tiff(&[page(BLUE), page(RED)]));
    assert_eq!(all.info.frames, 2);
    assert_eq!(pixels(&all, "png"), page(BLUE));
    assert_eq!(codes(&all.warnings), [(WarningCode::PagesDropped, None)]);
}

#[test]
fn a_thumbnail_of_something_very_flat_is_one_pixel_high() {
    let all = render(
        &Drawing::new(20_000, 2, |_, _| RED).png(),
        &Recipe::from_toml(
            "version = 1\n[[variant]]\nname = \"thumbnail\"\nformat = \"jpeg\"\nwidth = 300\nheight = 300\n",
        )
        .unwrap(),
    )
    .unwrap();
    let thumbnail = pixels(&all, "thumbnail");
    assert_eq!((thumbnail.width, thumbnail.height), (300, 1));
    assert!(thumbnail.is_about((150, 0), &RED));
}

// ---- Several widths, and where to look

fn sizes(all: &Renditions) -> Vec<(String, Option<(u32, u32)>)> {
    let each = all.renditions.iter().map(|rendition| {
        let size = match &rendition.result {
            RenditionResult::Made(made) => Some((made.width, made.height)),
            _ => None,
        };
        (rendition.variant.clone(), size)
    });
    each.collect()
}

#[test]
fn several_widths_make_one_rendition_each_none_enlarged_and_none_twice() {
    let recipe = recipe(
        "version = 1\n[[variant]]\nname = \"hero\"\nformat = \"webp\"\nwidths = [1280, 320, 640, 320]\n",
    );
    let names: Vec<_> = recipe.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["hero-320", "hero-640", "hero-1280"]);
    let made =
        |width| sizes(&render(&Drawing::new(width, 100, |_, _| RED).png(), &recipe).unwrap());
    let [small, middle, large] = ["hero-320", "hero-640", "hero-1280"].map(str::to_owned);
    assert_eq!(
        made(2560),
        [
            (small.clone(), Some((320, 13))),
            (middle.clone(), Some((640, 25))),
            (large.clone(), Some((1280, 50)))
        ]
    );
    // Less than a tenth wider than the one before: left out. A tenth: made, at the source's own width.
    for (width, largest) in [(703, None), (704, Some((704, 100)))] {
        assert_eq!(made(width)[2], (large.clone(), largest), "{width}");
    }
    assert_eq!(
        made(200),
        [(small, Some((200, 100))), (middle, None), (large, None)]
    );
}

#[test]
fn widths_that_contradict_the_rest_are_refused() {
    for wrong in [
        "width = 320\nwidths = [320, 640]",
        "widths = [0, 5]",
        "widths = [300]\nheight = 300",
        "widths = [300]\nenlarge = true",
        "widths = [300]\nfit = \"cover\"",
    ] {
        let text = format!("version = 1\n[[variant]]\nname = \"a\"\nformat = \"png\"\n{wrong}\n");
        assert!(Recipe::from_toml(&text).is_err(), "{wrong}");
    }
    let two = "version = 1\n[[variant]]\nname = \"a\"\nformat = \"png\"\nwidths = [5]\n[[variant]]\nname = \"a-5\"\nformat = \"png\"\n";
    assert!(Recipe::from_toml(two).is_err(), "a name that is taken");
    let good = Recipe::from_toml(&two.replace("a-5", "b")).unwrap();
    assert_eq!(Recipe::from_toml(&good.to_toml()), Ok(good));
}

#[test]
fn a_crop_by_entropy_keeps_what_there_is_to_see() {
    // A plain sky, and something on the right.
    let drawing = Drawing::new(300, 100, |x, y| {
        if x > 210 {
            [
                (x * 31).to_le_bytes()[0],
                (y * 57).to_le_bytes()[0],
                (x * y).to_le_bytes()[0],
            ]
        } else {
            [90, 150, 250]
        }
    });
    let crop = |focus: &str| {
        let text = format!(
            "version = 1\n[[variant]]\nname = \"png\"\nformat = \"png\"\nfit = \"cover\"\nwidth = 50\nheight = 50\nfocus = \"{focus}\"\n"
        );
        pixels(&render(&drawing.png(), &recipe(&text)).unwrap(), "png")
    };
    let sky = |crop: &Drawing| {
        let pixels = crop.data.as_chunks::<3>().0.iter();
        pixels.filter(|pixel| **pixel == [90, 150, 250]).count()
    };
    assert!(sky(&crop("center")) > 2400);
    assert!(sky(&crop("entropy")) < 500);
}

#[test]
fn a_placeholder_is_of_the_picture_as_it_is_shown() {
    let upright = fields(60, 40);
    let stored = pictures::with_exif(&upright.stored_for(6).jpeg(95), &pictures::exif(6));
    let placeholder = |source: &[u8]| each(source).placeholder.unwrap();
    let (turned, straight) = (placeholder(&stored), placeholder(&upright.png()));
    assert_eq!(turned.aspect_ratio, "3:2");
    assert_eq!(straight.aspect_ratio, "3:2");
    assert_eq!(straight.thumbhash.len(), turned.thumbhash.len());
    let animated = pictures::gif(&[
        Drawing::new(20, 10, |_, _| [0, 0, 255, 255]),
        Drawing::new(20, 10, |_, _| [255, 0, 0, 255]),
    ]);
    assert_eq!(placeholder(&animated).color.as_deref(), Some("#0000ff"));
}
