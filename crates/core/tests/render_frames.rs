//! Animations, held against players that we did not write: the `image` crate for GIF and PNG, libwebp
//! for WebP.
#![cfg(all(
    feature = "jpeg",
    feature = "png",
    feature = "webp",
    feature = "gif",
    feature = "bmp",
    feature = "tiff"
))]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pixmill::error::{Cause, Error, ImageError, Stage};
use pixmill::image::WarningCode;
use pixmill::recipe::Recipe;
use pixmill::render::{
    RenderOptions, RenditionResult, Renditions, Stop, predict, probe, render, render_variants,
};
use pixmill_testkit::films::{self, After, Film, Piece, shown};
use pixmill_testkit::pictures::{self, BLUE, Drawing, GREEN, RED, YELLOW, decoded, exif};

const BOTH: &str = "
[[variant]]
name = \"webp\"
format = \"webp\"
lossless = true
[[variant]]
name = \"apng\"
format = \"png\"
animation = \"keep\"
";

fn recipe(text: &str) -> Recipe {
    Recipe::from_toml(&format!("version = 1\n{text}")).unwrap()
}

fn made<'a>(all: &'a Renditions, variant: &str) -> &'a [u8] {
    let found = all.renditions.iter().find(|r| r.variant == variant);
    match &found.unwrap().result {
        RenditionResult::Made(made) => &made.bytes,
        RenditionResult::Skipped(why) | RenditionResult::Deferred(why) => {
            panic!("{variant} was left out: {why}")
        }
    }
}

fn refused(source: &[u8], recipe: &Recipe) -> (Stage, ImageError) {
    let error: Error = render(source, recipe).expect_err("it should be refused");
    match error.cause() {
        Cause::Image(cause) => (error.stage(), cause.clone()),
        other => panic!("{other}"),
    }
}

fn full(color: [u8; 3], alpha: u8, size: (u32, u32)) -> Drawing {
    Drawing::new(size.0, size.1, |_, _| [color[0], color[1], color[2], alpha])
}

/// A ground, and pieces on it that use every way to go and, in the middle of some, nothing at all.
fn pieces(alpha: u8) -> Vec<Piece> {
    let with_hole = |color: [u8; 3], size: (u32, u32)| {
        Drawing::new(size.0, size.1, |x, y| {
            let hole = x > 2 && y > 2 && x < 6 && y < 6;
            let alpha = if hole { 0 } else { alpha };
            [color[0], color[1], color[2], alpha]
        })
    };
    let piece = |at, drawing, delay, after| Piece {
        at,
        drawing,
        delay,
        blend: true,
        after,
    };
    vec![
        piece((0, 0), full(RED, 255, (40, 30)), 50, After::Stays),
        piece((4, 6), with_hole(GREEN, (12, 10)), 120, After::Cleared),
        piece((10, 8), with_hole(BLUE, (14, 16)), 70, After::Before),
        piece((20, 2), with_hole(YELLOW, (9, 9)), 0, After::Stays),
        piece((30, 20), with_hole(GREEN, (10, 10)), 1000, After::Cleared),
        piece((2, 2), with_hole(BLUE, (8, 8)), 330, After::Stays),
    ]
}

/// The visible pixels of two films, their times and how often they are played are the same, but for
/// `tolerance` in each sample. Neighbours that are alike may have become one.
#[track_caller]
fn assert_same(one: &Film, other: &Film, tolerance: u8) {
    let merged = |film: &Film| {
        let mut frames: Vec<(Vec<u8>, u32)> = Vec::new();
        for (pixels, delay) in &film.frames {
            match frames.last_mut() {
                Some((last, sum)) if last == pixels => *sum += delay,
                _ => frames.push((pixels.clone(), *delay)),
            }
        }
        frames
    };
    assert_eq!((one.width, one.height), (other.width, other.height));
    assert_eq!(one.plays, other.plays, "how often it is played");
    let (one, other) = (merged(one), merged(other));
    assert_eq!(one.len(), other.len(), "frames");
    for (at, ((one, time), (other, other_time))) in one.iter().zip(&other).enumerate() {
        assert_eq!(time, other_time, "the time of frame {at}");
        let pixels = one.as_chunks::<4>().0.iter().zip(other.as_chunks::<4>().0);
        for (pixel, (one, other)) in pixels.enumerate() {
            let near = one
                .iter()
                .zip(other)
                .all(|(a, b)| a.abs_diff(*b) <= tolerance);
            let unseen = one[3] <= tolerance && other[3] <= tolerance;
            assert!(
                near || unseen,
                "frame {at}, pixel {pixel}: {one:?} and {other:?}"
            );
        }
    }
}

#[test]
fn frames_in_seven_passes_come_out_as_those_in_rows_do() {
    let frames = [
        pictures::fields(21, 13),
        pictures::photo(21, 13),
        pictures::fields(21, 13),
    ];
    let source = pictures::Png::new(21, 13, 8, 2).film_in_seven_passes(&frames);
    let all = render(&source, &recipe(BOTH)).unwrap();
    assert_eq!((all.info.frames, &all.warnings[..]), (3, &[][..]));
    for variant in ["webp", "apng"] {
        let film = shown(made(&all, variant));
        assert_eq!(film.frames.len(), 3, "{variant}");
        for ((pixels, delay), frame) in film.frames.iter().zip(&frames) {
            let opaque = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2], 255];
            let expected: Vec<u8> = frame.data.chunks_exact(3).flat_map(opaque).collect();
            assert_eq!((pixels, *delay), (&expected, 100), "{variant}");
        }
    }
}

#[test]
fn a_gif_comes_out_as_players_show_it_with_its_times_and_its_plays() {
    for (repeat, plays) in [(Some(0), 0), (Some(2), 3), (None, 1)] {
        let source = films::gif((40, 30), &pieces(255), repeat);
        let expected = Film {
            plays,
            ..shown(&source)
        };
        assert_eq!(expected.frames.len(), 6);
        let all = render(&source, &recipe(BOTH)).unwrap();
        assert_eq!(all.info.frames, 6);
        assert_eq!(all.warnings, []);
        assert_same(&shown(made(&all, "webp")), &expected, 0);
        assert_same(&shown(made(&all, "apng")), &expected, 0);
    }
}

#[test]
fn an_animated_png_is_blended_or_replaced_as_it_says() {
    for blend in [true, false] {
        let mut pieces = pieces(130);
        // Where what was cleared comes back, the other player brings back what was there before that.
        pieces[1].after = After::Stays;
        for piece in &mut pieces[1..] {
            piece.blend = blend;
        }
        let source = films::png((40, 30), None, &pieces, 7);
        let expected = shown(&source);
        let all = render(&source, &recipe(BOTH)).unwrap();
        assert_eq!(all.warnings, []);
        // The other player rounds differently.
        assert_same(&shown(made(&all, "apng")), &expected, 1);
        assert_same(&shown(made(&all, "webp")), &shown(made(&all, "apng")), 0);
    }
}

#[test]
fn the_same_pieces_make_the_same_film_in_a_gif_and_in_a_png() {
    let film = |source: &[u8]| shown(made(&render(source, &recipe(BOTH)).unwrap(), "apng"));
    let gif = films::gif((40, 30), &pieces(255), Some(0));
    let png = films::png((40, 30), None, &pieces(255), 0);
    assert_same(&film(&gif), &film(&png), 0);
}

#[test]
fn the_picture_in_place_of_an_animation_is_no_frame_of_it_and_is_what_stills_show() {
    let poster = full(YELLOW, 255, (40, 30));
    let mut frames = pieces(255);
    frames[1].after = After::Stays;
    let source = films::png((40, 30), Some(&poster), &frames, 0);
    let text = format!("{BOTH}[[variant]]\nname = \"still\"\nformat = \"png\"\n");
    let all = render(&source, &recipe(&text)).unwrap();
    assert_same(&shown(made(&all, "webp")), &shown(&source), 1);
    assert!(decoded(made(&all, "still")).is_about((3, 3), &YELLOW));
    assert_eq!(all.warnings.len(), 1);
    assert_eq!(all.warnings[0].code, WarningCode::FramesDropped);
    assert_eq!(all.warnings[0].variant.as_deref(), Some("still"));
}

#[test]
fn an_animated_webp_is_cleared_and_blended_as_libwebp_does_it() {
    for (alpha, blend) in [(255, true), (130, true), (130, false)] {
        let mut pieces = pieces(alpha);
        for piece in &mut pieces {
            piece.blend = blend;
            if piece.after == After::Before {
                piece.after = After::Cleared;
            }
        }
        let source = films::webp((40, 30), &pieces, 5, &[]);
        let all = render(&source, &recipe(BOTH)).unwrap();
        assert_eq!(all.warnings, []);
        // libwebp takes a short cut where alpha is blended.
        assert_same(&shown(made(&all, "webp")), &shown(&source), 2);
        assert_same(&shown(made(&all, "webp")), &shown(made(&all, "apng")), 0);
    }
}

/// Nothing of a frame is left standing in the next one: each is what a still of it would be.
#[test]
fn a_resized_animation_has_no_ghosts() {
    let pieces: Vec<_> = (0..6)
        .map(|at| Piece {
            at: (0, 0),
            drawing: Drawing::new(48, 36, |x, y| {
                let inside = x / 8 == at && (8..28).contains(&y);
                if inside {
                    [250, 240, 10, 255]
                } else {
                    [20, 30, 90, 255]
                }
            }),
            delay: 40,
            blend: true,
            after: After::Stays,
        })
        .collect();
    let source = films::gif((48, 36), &pieces, Some(0));
    let small = |animation: &str| {
        recipe(&format!(
            "[[variant]]\nname = \"a\"\nformat = \"png\"\nwidth = 19\n{animation}\n"
        ))
    };
    let all = render(&source, &small("animation = \"keep\"")).unwrap();
    let film = shown(made(&all, "a"));
    assert_eq!((film.width, film.height, film.frames.len()), (19, 14, 6));
    for (piece, (frame, _)) in pieces.iter().zip(&film.frames) {
        let still = render(&piece.drawing.png(), &small("")).unwrap();
        let still = decoded(made(&still, "a"));
        for (shown, drawn) in frame.chunks(4).zip(still.data.chunks(3)) {
            assert_eq!(&shown[..3], drawn);
            assert_eq!(shown[3], 255);
        }
    }
}

#[test]
fn every_frame_is_turned_upright_and_padded_like_a_still() {
    let upright = pictures::fields(30, 40);
    let piece = |drawing: &Drawing, delay| Piece {
        at: (0, 0),
        drawing: Drawing::new(drawing.width, drawing.height, |x, y| {
            let pixel = drawing.at(x, y);
            [pixel[0], pixel[1], pixel[2], 255]
        }),
        delay,
        blend: false,
        after: After::Stays,
    };
    let stored = upright.stored_for(6);
    let dark = Drawing::new(40, 30, |x, y| {
        let pixel = stored.at(x, y);
        [pixel[0] / 2, pixel[1] / 2, pixel[2] / 2]
    });
    let exif = exif(6);
    let source = films::webp(
        (40, 30),
        &[piece(&stored, 100), piece(&dark, 200)],
        0,
        &[(*b"EXIF", &exif)],
    );
    let text = "[source]\nbackground = \"#0000ff\"\n[[variant]]\nname = \"a\"\nformat = \"png\"\nanimation = \"keep\"\nwidth = 40\nheight = 40\nfit = \"contain\"\n";
    let all = render(&source, &recipe(text)).unwrap();
    let film = shown(made(&all, "a"));
    assert_eq!((film.width, film.height), (40, 40));
    for (part, (frame, _)) in [1, 2].into_iter().zip(&film.frames) {
        let at = |x: usize, y: usize| frame[(y * 40 + x) * 4..][..4].to_vec();
        let color = |[r, g, b]: [u8; 3]| vec![r / part, g / part, b / part, 255];
        assert_eq!(at(10, 5), color(RED));
        assert_eq!(at(30, 5), color(GREEN));
        assert_eq!(at(10, 35), color(BLUE));
        assert_eq!(at(30, 35), color(YELLOW));
        assert_eq!(at(1, 1), [0, 0, 255, 255]);
    }
}

#[test]
fn stills_are_the_same_whether_or_not_a_sibling_keeps_the_frames() {
    let stills = "[[variant]]\nname = \"png\"\nformat = \"png\"\n
        [[variant]]\nname = \"small\"\nformat = \"jpeg\"\nwidth = 21\n
        [[variant]]\nname = \"still\"\nformat = \"webp\"\nanimation = \"first-frame\"\nlossless = true\n";
    let mut holed = pieces(255);
    holed[0].drawing = pictures::fading(40, 30);
    holed[0].drawing.data.chunks_exact_mut(4).for_each(|pixel| {
        if pixel[3] < 255 {
            pixel[3] = 0;
        }
    });
    for source in [
        films::gif((40, 30), &holed, Some(0)),
        films::png((40, 30), None, &holed, 0),
        films::webp((40, 30), &holed, 0, &[]),
    ] {
        let alone = render(&source, &recipe(stills)).unwrap();
        let together = render(&source, &recipe(&format!("{stills}{BOTH}"))).unwrap();
        for name in ["png", "small", "still"] {
            assert_eq!(made(&alone, name), made(&together, name), "{name}");
        }
        let told = |all: &Renditions| {
            all.warnings
                .iter()
                .filter(|w| w.code == WarningCode::FramesDropped)
                .count()
        };
        assert_eq!((told(&alone), told(&together)), (3, 3));
    }
}

#[test]
fn an_animation_is_the_same_at_any_number_of_threads() {
    let source = films::gif((40, 30), &pieces(255), Some(0));
    let text = format!(
        "{BOTH}[[variant]]\nname = \"s\"\nformat = \"webp\"\nwidth = 17\n[[variant]]\nname = \"t\"\nformat = \"webp\"\nwidth = 17\nquality = 30\n"
    );
    let recipe = recipe(&text);
    let variants: Vec<_> = recipe.variants.iter().collect();
    let with = |threads| {
        let options = RenderOptions {
            threads: NonZeroUsize::new(threads).unwrap(),
            ..RenderOptions::default()
        };
        render_variants(&source, &recipe, &variants, &options).unwrap()
    };
    let (one, four) = (with(1), with(4));
    for name in ["webp", "apng", "s", "t"] {
        assert_eq!(made(&one, name), made(&four, name));
    }
}

#[test]
fn an_animation_beyond_the_limits_becomes_a_still_and_says_which_limit_it_was() {
    let source = films::gif((40, 30), &pieces(255), Some(0));
    for (limit, word) in [
        ("frames = 5", "limits.frames"),
        ("pixels = 7199", "limits.pixels"),
    ] {
        let all = render(&source, &recipe(&format!("[limits]\n{limit}\n{BOTH}"))).unwrap();
        for (warning, name) in all.warnings.iter().zip(["webp", "apng"]) {
            assert_eq!(warning.code, WarningCode::FramesDropped);
            assert_eq!(warning.variant.as_deref(), Some(name));
            assert!(warning.detail.contains(word), "{}", warning.detail);
            assert!(warning.detail.contains("first of 6"), "{}", warning.detail);
        }
        assert_eq!(all.warnings.len(), 2);
        assert!(decoded(made(&all, "webp")).is_about((20, 15), &RED));
        assert!(!made(&all, "webp").windows(4).any(|kind| kind == b"ANIM"));
        assert!(!made(&all, "apng").windows(4).any(|kind| kind == b"acTL"));
    }
    let enough = "[limits]\nframes = 6\npixels = 7200\n";
    let all = render(&source, &recipe(&format!("{enough}{BOTH}"))).unwrap();
    assert_eq!(all.warnings, []);
    assert_eq!(shown(made(&all, "apng")).frames.len(), 6);
}

#[test]
fn one_frame_is_a_still() {
    let one = &pieces(255)[..1];
    for source in [
        films::gif((40, 30), one, Some(0)),
        films::png((40, 30), None, one, 0),
        films::webp((40, 30), one, 0, &[]),
    ] {
        let all = render(&source, &recipe(BOTH)).unwrap();
        assert_eq!(all.warnings, []);
        assert!(!made(&all, "webp").windows(4).any(|kind| kind == b"ANIM"));
        assert!(!made(&all, "apng").windows(4).any(|kind| kind == b"acTL"));
    }
}

/// A file that ends within its last frame, or whose last frame is spoiled.
fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let grain = Drawing::new(40, 30, |x, y| {
        let v = (x * 7919 + y * 104_729 + x * y * 31).to_le_bytes();
        [v[0] & 0xF0, v[1] & 0x40, 9, 255]
    });
    let mut pieces = pieces(255);
    pieces[5].at = (0, 0);
    pieces[5].drawing = grain;
    for piece in &mut pieces {
        if piece.after == After::Before {
            piece.after = After::Stays;
        }
    }
    let files = [
        ("GIF", films::gif((40, 30), &pieces, Some(0))),
        ("PNG", films::png((40, 30), None, &pieces, 0)),
        ("WebP", films::webp((40, 30), &pieces, 0, &[])),
    ];
    let mut damaged = Vec::new();
    for (name, file) in files {
        damaged.push((name, file[..file.len() - 150].to_vec()));
        let mut spoiled = file;
        let from = spoiled.len() - 200;
        for (at, byte) in spoiled[from..from + 60].iter_mut().enumerate() {
            *byte = byte.wrapping_add(u8::try_from(at).unwrap() | 1);
        }
        // The other two take nearly all bytes for something; a PNG has sums.
        if name == "PNG" {
            damaged.push((name, spoiled));
        }
    }
    damaged
}

#[test]
fn a_damaged_later_frame_is_refused_or_ends_the_animation_where_damage_is_accepted() {
    for (name, file) in damaged() {
        let (stage, error) = refused(&file, &recipe(BOTH));
        assert!(
            matches!(error.code(), "corrupt" | "truncated"),
            "{name}: {error}"
        );
        assert_eq!(stage, Stage::Decode, "{name}");
        let lenient = recipe(&format!("[source]\ndamaged = \"accept\"\n{BOTH}"));
        let all = render(&file, &lenient).unwrap();
        assert_eq!(all.warnings.len(), 1, "{name}");
        assert_eq!(all.warnings[0].code, WarningCode::DamageAccepted);
        assert!(
            all.warnings[0].detail.contains("frame 6"),
            "{:?}",
            all.warnings
        );
        assert_eq!(shown(made(&all, "webp")).frames.len(), 5, "{name}");
        assert_same(&shown(made(&all, "webp")), &shown(made(&all, "apng")), 0);
        // Stills alone are accepted just the same.
        let stills =
            "[source]\ndamaged = \"accept\"\n[[variant]]\nname = \"png\"\nformat = \"png\"\n";
        let all = render(&file, &recipe(stills)).unwrap();
        let codes: Vec<_> = all.warnings.iter().map(|warning| warning.code).collect();
        assert!(
            codes.contains(&WarningCode::DamageAccepted),
            "{name}: {codes:?}"
        );
        assert!(decoded(made(&all, "png")).is_about((1, 1), &RED), "{name}");
    }
}

#[test]
fn many_thirds_of_a_second_add_up_to_whole_ones() {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 4, 4);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(30, 0).unwrap();
    encoder.set_frame_delay(1, 30).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for frame in 0..30_u8 {
        writer.write_image_data(&[frame; 64]).unwrap();
    }
    writer.finish().unwrap();
    let all = render(&out, &recipe(BOTH)).unwrap();
    for name in ["webp", "apng"] {
        let film = shown(made(&all, name));
        assert_eq!(film.frames.len(), 30);
        assert_eq!(
            film.frames.iter().map(|(_, delay)| delay).sum::<u32>(),
            1000
        );
        assert!(
            film.frames
                .iter()
                .all(|(_, delay)| matches!(delay, 33 | 34))
        );
    }
}

#[test]
fn a_wish_to_stop_ends_an_animation_and_what_is_optional_is_put_off_at_the_deadline() {
    let source = films::gif((40, 30), &pieces(255), Some(0));
    let all = recipe(BOTH);
    let variants: Vec<_> = all.variants.iter().collect();
    let options = RenderOptions {
        stop: Stop::on(Arc::new(AtomicBool::new(true))),
        ..RenderOptions::default()
    };
    let error = render_variants(&source, &all, &variants, &options).unwrap_err();
    assert_eq!(error.code(), "stopped");

    // An animation takes many times as long as a still: that is foreseen.
    let frame = Drawing::new(400, 300, |x, y| {
        [x.to_le_bytes()[0] & 0xF0, y.to_le_bytes()[0] & 0xC0, 9, 255]
    });
    let mut pieces = Vec::new();
    for _ in 0..40 {
        pieces.push(Piece {
            at: (0, 0),
            drawing: frame.clone(),
            delay: 50,
            blend: true,
            after: After::Stays,
        });
    }
    let source = films::gif((400, 300), &pieces, None);
    let info = probe(&source).unwrap();
    let optional = recipe(
        "[[variant]]\nname = \"jpeg\"\nformat = \"jpeg\"\n
        [[variant]]\nname = \"webp\"\nformat = \"webp\"\nrequired = false\n",
    );
    let predicted = |recipe: &Recipe| predict(&info, source.len() as u64, recipe, 1);
    let mut stills = optional.clone();
    stills.variants.pop();
    let (with, without) = (predicted(&optional), predicted(&stills));
    assert!(with.processor_time > without.processor_time * 20);
    assert!(with.memory_bytes > without.memory_bytes + 400 * 300 * 20);
    let variants: Vec<_> = optional.variants.iter().collect();
    let between = (with.processor_time + without.processor_time) / 2;
    let options = RenderOptions {
        stop: Stop::at(Instant::now() + between + Duration::from_millis(50)),
        ..RenderOptions::default()
    };
    let rendered = render_variants(&source, &optional, &variants, &options).unwrap();
    assert!(matches!(
        rendered.renditions[1].result,
        RenditionResult::Deferred(_)
    ));
    assert!(decoded(made(&rendered, "jpeg")).width == 400);

    // Where nothing may be put off, a deadline that nobody foresaw is a matter of time, and of no loss.
    let mut strict = optional.clone();
    strict.strict = vec![WarningCode::VariantDeferred];
    let hopeful = RenderOptions {
        stop: Stop::at(Instant::now() + Duration::from_millis(40)),
        speed: 1e9,
        ..RenderOptions::default()
    };
    if let Err(error) = render_variants(&source, &strict, &variants, &hopeful) {
        assert!(error.is_transient(), "{error}");
    }
}

#[test]
fn a_format_without_frames_can_not_be_told_to_keep_them() {
    for format in ["jpeg", "avif"] {
        let variant = format!("name = \"a\"\nformat = \"{format}\"\nanimation = \"keep\"\n");
        let recipe = Recipe::from_toml(&format!("version = 1\n[[variant]]\n{variant}"));
        let error = recipe.expect_err(format).to_string();
        assert!(error.contains("first-frame"), "{error}");
    }
}

/// Opaque frames on a bare canvas: a reader that trusts the header must learn of the transparency.
#[test]
fn an_animation_on_a_bare_canvas_says_that_it_is_transparent() {
    let piece = |at, color| Piece {
        at,
        drawing: full(color, 255, (20, 10)),
        delay: 100,
        blend: true,
        after: After::Stays,
    };
    let bare = [piece((4, 4), RED), piece((10, 12), GREEN)];
    let all = render(&films::gif((40, 30), &bare, Some(0)), &recipe(BOTH)).unwrap();
    let webp = made(&all, "webp");
    assert_eq!(&webp[12..16], b"VP8X");
    assert_eq!(webp[20] & 0x12, 0x12);
    assert_eq!(shown(webp).frames[0].0[..4], [0; 4]);
    let ground = [piece((0, 0), RED), piece((10, 12), GREEN)];
    let covered = [
        Piece {
            drawing: full(BLUE, 255, (40, 30)),
            ..ground[0].clone()
        },
        ground[1].clone(),
    ];
    let all = render(&films::gif((40, 30), &covered, Some(0)), &recipe(BOTH)).unwrap();
    assert_eq!(made(&all, "webp")[20] & 0x12, 0x02);
}
