//! WebP out, read back with another decoder, on pictures drawn here.
#![cfg(feature = "webp")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder};
use pixmill_codecs::Error;
use pixmill_codecs::webp::reference::{Film, film as film_in};
use pixmill_codecs::webp::{self, EncodeOptions, Layout, Metadata, Mode};

const LOSSY: EncodeOptions = EncodeOptions {
    mode: Mode::Lossy { quality: 80.0 },
    method: 4,
    exact: false,
    sharp_yuv: false,
    alpha_quality: 100,
};
const EXACT: EncodeOptions = EncodeOptions {
    mode: Mode::Lossless,
    exact: true,
    ..LOSSY
};

/// Smooth colours; the alpha, if any, goes over the whole range, with a fully transparent corner.
fn drawn(width: u32, height: u32, layout: Layout) -> Vec<u8> {
    let byte = |value: u32| u8::try_from(value % 256).unwrap();
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let alpha = if x < 8 && y < 8 {
                0
            } else {
                byte((x + y) % 256)
            };
            let wave = |at: u32| {
                byte(if at % 400 < 200 {
                    at % 400
                } else {
                    400 - at % 400
                })
            };
            [wave(x * 2 + y), wave(x + y * 2), wave(x + y), alpha]
                .into_iter()
                .take(layout.bytes_per_pixel())
        })
        .collect()
}

fn encode(width: u32, height: u32, layout: Layout, options: &EncodeOptions) -> Vec<u8> {
    webp::encode(
        &drawn(width, height, layout),
        width,
        height,
        layout,
        options,
        &|| false,
    )
    .unwrap()
}

fn decode(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

/// Name and content of every chunk.
fn chunks(webp: &[u8]) -> Vec<(String, Vec<u8>)> {
    assert_eq!(
        (&webp[..4], &webp[8..12]),
        (b"RIFF".as_slice(), b"WEBP".as_slice())
    );
    assert_eq!(
        u32::from_le_bytes(webp[4..8].try_into().unwrap()) as usize,
        webp.len() - 8
    );
    let (mut all, mut rest) = (Vec::new(), &webp[12..]);
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        all.push((
            String::from_utf8(rest[..4].to_vec()).unwrap(),
            rest[8..8 + len].to_vec(),
        ));
        rest = &rest[8 + len + len % 2..];
    }
    all
}

fn names(webp: &[u8]) -> Vec<String> {
    chunks(webp).into_iter().map(|(name, _)| name).collect()
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(a.len()).unwrap())
}

#[test]
fn a_lossy_round_trip_stays_close() {
    for sharp_yuv in [false, true] {
        let options = EncodeOptions { sharp_yuv, ..LOSSY };
        let decoded = decode(&encode(150, 99, Layout::Rgb, &options));
        let difference = mean_difference(&drawn(150, 99, Layout::Rgb), &decoded.to_rgb8());
        assert!(difference < 3.0, "{difference}");
    }
}

#[test]
fn lossless_alpha_survives_lossy_colours() {
    let decoded = decode(&encode(150, 99, Layout::Rgba, &LOSSY)).to_rgba8();
    let alpha = |pixels: &[u8]| {
        pixels
            .iter()
            .skip(3)
            .step_by(4)
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(alpha(&decoded), alpha(&drawn(150, 99, Layout::Rgba)));
}

#[test]
fn lossless_is_exact_under_transparent_pixels_too_when_asked() {
    for method in 0..=6 {
        let options = EncodeOptions { method, ..EXACT };
        let decoded = decode(&encode(70, 50, Layout::Rgba, &options)).into_rgba8();
        assert_eq!(
            decoded.into_raw(),
            drawn(70, 50, Layout::Rgba),
            "method {method}"
        );
        let decoded = decode(&encode(70, 50, Layout::Rgb, &options)).into_rgb8();
        assert_eq!(
            decoded.into_raw(),
            drawn(70, 50, Layout::Rgb),
            "method {method}"
        );
    }
    let loose = decode(&encode(
        70,
        50,
        Layout::Rgba,
        &EncodeOptions {
            exact: false,
            ..EXACT
        },
    ));
    let (loose, original) = (loose.into_rgba8().into_raw(), drawn(70, 50, Layout::Rgba));
    assert_ne!(loose, original);
    for (kept, pixel) in loose.chunks(4).zip(original.chunks(4)) {
        assert!(kept == pixel || pixel[3] == 0);
    }
}

#[test]
fn near_lossless_stays_near() {
    let options = EncodeOptions {
        mode: Mode::NearLossless { level: 60 },
        ..EXACT
    };
    let decoded = decode(&encode(150, 99, Layout::Rgb, &options)).into_rgb8();
    assert!(mean_difference(&drawn(150, 99, Layout::Rgb), &decoded) < 3.0);
    let all = EncodeOptions {
        mode: Mode::NearLossless { level: 100 },
        ..EXACT
    };
    assert_eq!(
        encode(150, 99, Layout::Rgb, &all),
        encode(150, 99, Layout::Rgb, &EXACT)
    );
}

#[test]
fn an_opaque_rgba_picture_gives_a_file_without_alpha() {
    let rgb = drawn(40, 30, Layout::Rgb);
    let rgba: Vec<u8> = rgb
        .chunks(3)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255])
        .collect();
    for options in [LOSSY, EXACT] {
        let bytes = webp::encode(&rgba, 40, 30, Layout::Rgba, &options, &|| false).unwrap();
        assert!(!decode(&bytes).color().has_alpha());
    }
}

#[test]
fn the_smallest_and_the_longest_pictures_go_through() {
    for (width, height) in [(1, 1), (3, 1), (webp::MAX_SIDE, 1), (1, webp::MAX_SIDE)] {
        for options in [&LOSSY, &EXACT] {
            for layout in [Layout::Rgb, Layout::Rgba] {
                let decoded = decode(&encode(width, height, layout, options));
                assert_eq!((decoded.width(), decoded.height()), (width, height));
            }
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_before_the_library_sees_it() {
    let encode = |len, width, height, options| {
        webp::encode(&vec![0; len], width, height, Layout::Rgb, options, &|| {
            false
        })
    };
    let side = webp::MAX_SIDE + 1;
    let too_large = Err(Error::TooLarge {
        format: "WebP",
        side,
        max: webp::MAX_SIDE,
    });
    assert_eq!(encode(3 * 16_384, side, 1, &LOSSY), too_large);
    assert_eq!(encode(3 * 16_384, 1, side, &LOSSY), too_large);
    for result in [
        encode(0, 0, 5, &LOSSY),
        encode(11, 2, 2, &LOSSY),
        encode(13, 2, 2, &LOSSY),
        encode(12, 2, 2, &EncodeOptions { method: 7, ..LOSSY }),
        encode(
            12,
            2,
            2,
            &EncodeOptions {
                alpha_quality: 101,
                ..LOSSY
            },
        ),
        encode(
            12,
            2,
            2,
            &EncodeOptions {
                mode: Mode::Lossy { quality: 100.5 },
                ..LOSSY
            },
        ),
        encode(
            12,
            2,
            2,
            &EncodeOptions {
                mode: Mode::Lossy { quality: f32::NAN },
                ..LOSSY
            },
        ),
        encode(
            12,
            2,
            2,
            &EncodeOptions {
                mode: Mode::NearLossless { level: 101 },
                ..LOSSY
            },
        ),
    ] {
        assert!(matches!(result, Err(Error::Input(_))), "{result:?}");
    }
}

#[test]
fn the_encoder_stops_when_told_whenever_that_is() {
    let data = drawn(300, 200, Layout::Rgba);
    for options in [LOSSY, EXACT] {
        let encode =
            |stop: &dyn Fn() -> bool| webp::encode(&data, 300, 200, Layout::Rgba, &options, stop);
        assert_eq!(encode(&|| true), Err(Error::Stopped));
        let asked = Cell::new(0);
        let count = || asked.replace(asked.get() + 1);
        assert!(
            encode(&|| {
                count();
                false
            })
            .is_ok()
        );
        let total = asked.replace(0);
        assert!(total > 3, "asked {total} times");
        for patience in 1..total {
            asked.set(0);
            assert_eq!(
                encode(&|| count() >= patience),
                Err(Error::Stopped),
                "after {patience} times"
            );
        }
    }
}

#[test]
fn a_panic_in_the_hook_comes_out_on_the_other_side() {
    let data = drawn(64, 64, Layout::Rgb);
    let asked = Cell::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        webp::encode(&data, 64, 64, Layout::Rgb, &LOSSY, &|| {
            assert!(asked.replace(asked.get() + 1) < 2, "enough");
            false
        })
    }));
    assert!(result.is_err());
    assert_eq!(asked.get(), 3);
}

#[test]
fn metadata_goes_in_and_comes_out_with_the_right_flags() {
    const ICC: u8 = 0x20;
    const ALPHA: u8 = 0x10;
    const EXIF: u8 = 0x08;
    const XMP: u8 = 0x04;
    let (icc, exif, xmp) = (
        [7_u8; 301],
        b"II*\0\x08\0\0\0\0\0".as_slice(),
        b"<x:xmpmeta/>".as_slice(),
    );
    for (layout, alpha) in [(Layout::Rgb, 0), (Layout::Rgba, ALPHA)] {
        for options in [LOSSY, EXACT] {
            let plain = encode(61, 33, layout, &options);
            for bits in 1..8_u8 {
                let metadata = Metadata {
                    icc: (bits & 1 != 0).then_some(icc.as_slice()),
                    exif: (bits & 2 != 0).then_some(exif),
                    xmp: (bits & 4 != 0).then_some(xmp),
                };
                let tagged = webp::with_metadata(&plain, &metadata).unwrap();
                let flag = |part: Option<&[u8]>, flag| if part.is_some() { flag } else { 0 };
                let header = &chunks(&tagged)[0];
                assert_eq!(header.0, "VP8X");
                assert_eq!(
                    header.1[0],
                    alpha
                        | flag(metadata.icc, ICC)
                        | flag(metadata.exif, EXIF)
                        | flag(metadata.xmp, XMP)
                );
                assert_eq!((header.1[4], header.1[7]), (60, 32));
                let mut decoder = WebPDecoder::new(std::io::Cursor::new(&tagged)).unwrap();
                assert_eq!(decoder.icc_profile().unwrap().as_deref(), metadata.icc);
                assert_eq!(decoder.exif_metadata().unwrap().as_deref(), metadata.exif);
                assert_eq!(decoder.xmp_metadata().unwrap().as_deref(), metadata.xmp);
                assert_eq!(decode(&tagged), decode(&plain));
            }
        }
    }
}

#[test]
fn metadata_is_added_to_what_is_there() {
    let plain = encode(20, 20, Layout::Rgb, &LOSSY);
    let icc = Metadata {
        icc: Some(&[1; 30]),
        ..Metadata::default()
    };
    let xmp = Metadata {
        xmp: Some(b"<x/>"),
        ..Metadata::default()
    };
    let both = webp::with_metadata(&webp::with_metadata(&plain, &icc).unwrap(), &xmp).unwrap();
    assert_eq!(names(&both), ["VP8X", "ICCP", "VP8 ", "XMP "]);
}

#[test]
fn no_metadata_changes_nothing() {
    let plain = encode(20, 20, Layout::Rgb, &LOSSY);
    assert_eq!(
        webp::with_metadata(&plain, &Metadata::default()).unwrap(),
        plain
    );
    let empty = Metadata {
        icc: Some(&[]),
        exif: Some(&[]),
        xmp: Some(&[]),
    };
    assert_eq!(webp::with_metadata(&plain, &empty).unwrap(), plain);
}

#[test]
fn metadata_does_not_go_into_what_is_no_webp_file() {
    let plain = encode(20, 20, Layout::Rgb, &LOSSY);
    let metadata = Metadata {
        xmp: Some(b"<x/>"),
        ..Metadata::default()
    };
    for bytes in [b"".as_slice(), b"RIFF", b"\xFF\xD8\xFF\xD9", &plain[..40]] {
        assert!(matches!(
            webp::with_metadata(bytes, &metadata),
            Err(Error::Corrupt(_))
        ));
    }
}

#[test]
fn the_library_tells_its_version() {
    let versions = pixmill_codecs::versions();
    let (_, version) = versions
        .iter()
        .find(|(name, _)| *name == "libwebp")
        .unwrap();
    let parts: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert_eq!((parts.len(), parts[0]), (3, 1));
}

// ---- Animations

/// A square on a calm ground that goes from left to right; frame `at` of a film.
fn square_at(at: u32) -> Vec<u8> {
    (0..40 * 30)
        .flat_map(|i| {
            let (x, y) = (i % 40, i / 40);
            let inside = (at * 3..at * 3 + 8).contains(&x) && (10..20).contains(&y);
            if inside {
                [250, 10, 10, 255]
            } else {
                [30, 90, 40, u8::from(x > 1) * 255]
            }
        })
        .collect()
}

fn film(options: &EncodeOptions, plays: u16, times: &[u32], end: u32) -> Vec<u8> {
    let go_on = || false;
    let mut film = webp::Animation::new((40, 30), plays, options, &go_on).unwrap();
    for (frame, at) in (0..).zip(times) {
        film.add(&square_at(frame), Layout::Rgba, *at).unwrap();
    }
    film.finish(end).unwrap()
}

#[test]
fn a_film_comes_back_frame_by_frame_with_every_delay_the_last_one_included() {
    let times = [0, 40, 140, 1140, 1140, 1200, 1300, 1400, 1500, 1600, 1700];
    let file = film(&EXACT, 3, &times, 4700);
    // The pure-Rust decoder does not clear what a frame asks to be cleared, so libwebp reads it back.
    let Film { frames, plays, .. } = film_in(&file).unwrap();
    assert_eq!(frames.len(), times.len());
    let ends = times.iter().skip(1).chain([&4700]);
    for ((at, (pixels, delay)), (from, to)) in (0..).zip(&frames).zip(times.iter().zip(ends)) {
        assert_eq!(*delay, to - from, "frame {at}");
        for (shown, drawn) in pixels.chunks(4).zip(square_at(at).chunks(4)) {
            assert!(
                shown == drawn || (shown[3] == 0 && drawn[3] == 0),
                "frame {at}"
            );
        }
    }
    assert_eq!(plays, 3);
    assert!(
        file.len() < 2000,
        "only what changed is stored: {} bytes",
        file.len()
    );
}

#[test]
fn a_lossy_film_stays_near_its_frames() {
    let file = film(&LOSSY, 0, &[0, 50, 100, 150], 200);
    let Film { frames, plays, .. } = film_in(&file).unwrap();
    assert_eq!((frames.len(), plays), (4, 0));
    for (at, (pixels, _)) in (0..).zip(&frames) {
        let drawn = square_at(at);
        let sum: u32 = pixels
            .iter()
            .zip(&drawn)
            .map(|(a, b)| u32::from(a.abs_diff(*b)))
            .sum();
        assert!(sum / 4800 < 8, "frame {at}: {}", sum / 4800);
    }
}

#[test]
fn equal_frames_are_shown_as_one_and_one_frame_is_a_still() {
    let go_on = || false;
    let mut film = webp::Animation::new((40, 30), 0, &EXACT, &go_on).unwrap();
    for at in [0, 100, 200] {
        film.add(&square_at(1), Layout::Rgba, at).unwrap();
    }
    let bytes = film.finish(300).unwrap();
    let decoder = WebPDecoder::new(std::io::Cursor::new(&bytes[..])).unwrap();
    assert!(!decoder.has_animation());
}

#[test]
fn a_film_that_makes_no_sense_is_refused_and_a_wish_to_stop_is_obeyed_anywhere() {
    let go_on = || false;
    let new = |size| webp::Animation::new(size, 0, &LOSSY, &go_on).map(drop);
    assert!(matches!(new((0, 3)), Err(Error::Input(_))));
    assert!(matches!(new((16_384, 3)), Err(Error::TooLarge { .. })));
    let mut film = webp::Animation::new((40, 30), 0, &LOSSY, &go_on).unwrap();
    let mut add = |data: &[u8], at| film.add(data, Layout::Rgba, at);
    assert!(matches!(add(&[0; 12], 0), Err(Error::Input(_))));
    add(&square_at(0), 100).unwrap();
    assert!(matches!(add(&square_at(1), 99), Err(Error::Input(_))));
    assert!(matches!(
        add(&square_at(1), 100 + (1 << 24)),
        Err(Error::Input(_))
    ));
    let empty = webp::Animation::new((4, 3), 0, &LOSSY, &go_on).unwrap();
    assert!(matches!(empty.finish(5), Err(Error::Input(_))));

    // Counted on, the wish comes before, within and after frames, and while all is put together.
    for allowed in 0..60 {
        let left = std::sync::atomic::AtomicI32::new(allowed);
        let stop = || left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0;
        let mut film = webp::Animation::new((40, 30), 0, &EXACT, &stop).unwrap();
        // The same picture three times: it is encoded once more as a still at the end.
        let added = (0..3).try_for_each(|at| film.add(&square_at(0), Layout::Rgba, at * 10));
        let ended = added.and_then(|()| film.finish(30).map(drop));
        assert!(
            matches!(ended, Ok(()) | Err(Error::Stopped)),
            "{allowed}: {ended:?}"
        );
        assert_eq!(
            ended.is_err(),
            left.into_inner() < 0,
            "after {allowed} looks"
        );
    }
}

#[test]
fn a_panic_in_the_wish_to_stop_comes_out_of_a_film_too() {
    let looks = std::sync::atomic::AtomicU32::new(0);
    let stop = || {
        assert!(
            looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2,
            "enough"
        );
        false
    };
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut film = webp::Animation::new((40, 30), 0, &LOSSY, &stop).unwrap();
        film.add(&square_at(0), Layout::Rgba, 0)
    }));
    assert!(panic.is_err());
}
