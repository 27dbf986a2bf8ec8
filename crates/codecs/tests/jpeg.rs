//! JPEG in and out, on pictures drawn here.
#![cfg(feature = "jpeg")]

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pixmill_codecs::Error;
use pixmill_codecs::jpeg::{
    self, ColorSpace, Damage, DecodeOptions, Decoded, EncodeOptions, Layout, Scale, Subsampling,
    Tables,
};

const STRICT: DecodeOptions = DecodeOptions {
    scan_limit: 500,
    memory_limit: 0,
    accept_damage: false,
    scale: Scale::Full,
};
const LENIENT: DecodeOptions = DecodeOptions {
    accept_damage: true,
    ..STRICT
};

const PLAIN: EncodeOptions = EncodeOptions {
    quality: 90,
    subsampling: Subsampling::S420,
    progressive: false,
    tables: Tables::Standard,
};
const PROGRESSIVE: EncodeOptions = EncodeOptions {
    progressive: true,
    ..PLAIN
};

/// Smooth waves with some grain: compresses like a photograph.
fn drawn(width: u32, height: u32, layout: Layout) -> Vec<u8> {
    let mut grain = 12_345_u32;
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            grain = grain.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let noise = (grain >> 28).to_le_bytes()[0];
            let wave = |step: u32, shift: u32| {
                let at = (x * step + y * shift) % 400;
                u8::try_from(if at < 200 { at } else { 400 - at }).unwrap() + noise
            };
            let pixel = [wave(3, 2), wave(1, 3), wave(2, 1)];
            pixel.into_iter().take(layout.bytes_per_pixel())
        })
        .collect()
}

fn encoded(width: u32, height: u32, layout: Layout, options: &EncodeOptions) -> Vec<u8> {
    jpeg::encode(
        &drawn(width, height, layout),
        width,
        height,
        layout,
        options,
        &|| false,
    )
    .unwrap()
}

fn photo(options: &EncodeOptions) -> Vec<u8> {
    encoded(200, 150, Layout::Rgb, options)
}

fn strict(bytes: &[u8]) -> Result<Decoded, Error> {
    jpeg::decode(bytes, &STRICT)
}

fn lenient(bytes: &[u8]) -> Result<Decoded, Error> {
    jpeg::decode(bytes, &LENIENT)
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

/// Marker and place of every segment of a file that libjpeg wrote; a scan's data belongs to its SOS.
fn segments(jpeg: &[u8]) -> Vec<(u8, Range<usize>)> {
    let mut all = vec![(0xD8, 0..2)];
    let mut start = 2;
    while start < jpeg.len() {
        let marker = jpeg[start + 1];
        let mut end = start + 2;
        if marker != 0xD9 {
            end += usize::from(u16::from_be_bytes([jpeg[end], jpeg[end + 1]]));
        }
        if marker == 0xDA {
            while jpeg[end] != 0xFF || jpeg[end + 1] == 0 {
                end += 1;
            }
        }
        all.push((marker, start..end));
        start = end;
    }
    all
}

fn place(jpeg: &[u8], marker: u8) -> Range<usize> {
    segments(jpeg)
        .into_iter()
        .find(|(found, _)| *found == marker)
        .unwrap()
        .1
}

fn inserted(jpeg: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    [&jpeg[..at], bytes, &jpeg[at..]].concat()
}

/// Breaks the first scan's data halfway: sixteen one bits are no code of any table.
fn corrupted(jpeg: &[u8]) -> Vec<u8> {
    let scan = place(jpeg, 0xDA);
    let mut at = scan.start.midpoint(scan.end);
    while jpeg[at - 1] == 0xFF {
        at += 1;
    }
    inserted(jpeg, at, &[0xFF, 0].repeat(12))
}

#[test]
fn a_round_trip_stays_close_at_every_subsampling_and_coding() {
    let original = drawn(200, 150, Layout::Rgb);
    for (subsampling, tolerance) in [
        (Subsampling::S444, 3.0),
        (Subsampling::S422, 5.0),
        (Subsampling::S420, 5.0),
        (Subsampling::S440, 5.0),
        (Subsampling::S411, 6.0),
        (Subsampling::S441, 6.0),
    ] {
        let kinds = [Tables::Standard, Tables::Sampled, Tables::Fitted];
        for (progressive, tables) in kinds.iter().flat_map(|t| [(false, *t), (true, *t)]) {
            let options = EncodeOptions {
                quality: 95,
                subsampling,
                progressive,
                tables,
            };
            let bytes =
                jpeg::encode(&original, 200, 150, Layout::Rgb, &options, &|| false).unwrap();
            let header = jpeg::header(&bytes).unwrap();
            assert_eq!((header.width, header.height, header.bits), (200, 150, 8));
            assert_eq!(
                (header.color_space, header.subsampling),
                (ColorSpace::YCbCr, subsampling)
            );
            assert_eq!(header.progressive, progressive);
            assert!(!header.lossless && !header.arithmetic);
            let decoded = strict(&bytes).unwrap();
            assert_eq!(
                (decoded.width, decoded.height, decoded.layout),
                (200, 150, Layout::Rgb)
            );
            assert_eq!(decoded.damage, None);
            let difference = mean_difference(&original, &decoded.data);
            assert!(difference < tolerance, "{options:?}: {difference}");
        }
    }
}

/// The mean of each square of `side` pixels; those at the right and at the bottom may be cut.
fn averaged(pixels: &[u8], (width, height): (usize, usize), side: usize) -> Vec<u8> {
    let mut means = Vec::new();
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            for channel in 0..3 {
                let rows = top..(top + side).min(height);
                let (mut sum, mut count) = (0, 0);
                for y in rows {
                    for x in left..(left + side).min(width) {
                        sum += usize::from(pixels[(y * width + x) * 3 + channel]);
                        count += 1;
                    }
                }
                means.push(u8::try_from(sum / count).unwrap());
            }
        }
    }
    means
}

#[test]
fn a_picture_decoded_small_is_the_whole_one_averaged() {
    for options in [PLAIN, PROGRESSIVE] {
        for size in [(203, 150), (64, 8), (5, 3)] {
            let file = encoded(size.0, size.1, Layout::Rgb, &options);
            let whole = strict(&file).unwrap();
            for scale in [Scale::Quarter, Scale::Eighth] {
                let small = jpeg::decode(&file, &DecodeOptions { scale, ..STRICT }).unwrap();
                let side = scale.divisor();
                let expected = (size.0.div_ceil(side), size.1.div_ceil(side));
                assert_eq!((small.width, small.height), expected, "{scale:?}");
                let sides = (whole.width as usize, whole.height as usize);
                let means = averaged(&whole.data, sides, side as usize);
                let difference = mean_difference(&small.data, &means);
                assert!(difference < 6.0, "{scale:?} of {size:?}: {difference}");
            }
        }
    }
}

#[test]
fn damage_is_noticed_at_every_scale() {
    let file = photo(&PLAIN);
    for scale in [Scale::Quarter, Scale::Eighth] {
        let strict = DecodeOptions { scale, ..STRICT };
        let cut = &file[..file.len() / 2];
        assert_eq!(jpeg::decode(cut, &strict), Err(Error::Truncated));
        let corrupt = corrupted(&file);
        assert!(matches!(
            jpeg::decode(&corrupt, &strict),
            Err(Error::Corrupt(_))
        ));
        let lenient = DecodeOptions { scale, ..LENIENT };
        let shown = jpeg::decode(cut, &lenient).unwrap();
        assert_eq!(shown.damage, Some(Damage::Truncated));
    }
}

#[test]
fn gray_stays_gray() {
    let original = drawn(101, 67, Layout::Gray);
    let bytes = jpeg::encode(&original, 101, 67, Layout::Gray, &PLAIN, &|| false).unwrap();
    let header = jpeg::header(&bytes).unwrap();
    assert_eq!(
        (header.color_space, header.subsampling),
        (ColorSpace::Gray, Subsampling::Gray)
    );
    let decoded = strict(&bytes).unwrap();
    assert_eq!(
        (decoded.layout, header.layout()),
        (Layout::Gray, Layout::Gray)
    );
    assert!(mean_difference(&original, &decoded.data) < 3.0);
}

#[test]
fn optimised_tables_change_the_size_and_not_the_pixels() {
    let plain = photo(&PLAIN);
    let optimized = photo(&EncodeOptions {
        tables: Tables::Fitted,
        ..PLAIN
    });
    assert!(optimized.len() < plain.len());
    assert_eq!(strict(&plain), strict(&optimized));
    assert_eq!(strict(&plain), strict(&photo(&PROGRESSIVE)));
}

/// Both ways to fit tables to a picture: sampled and whole.
fn fitted_both_ways(data: &[u8], width: u32, height: u32, options: &EncodeOptions) -> [Vec<u8>; 2] {
    [Tables::Sampled, Tables::Fitted].map(|tables| {
        let layout = if data.len() as u64 == u64::from(width) * u64::from(height) {
            Layout::Gray
        } else {
            Layout::Rgb
        };
        let options = EncodeOptions {
            tables,
            ..options.clone()
        };
        jpeg::encode(data, width, height, layout, &options, &|| false).unwrap()
    })
}

#[test]
fn a_part_of_a_large_picture_speaks_for_the_whole() {
    for (layout, subsampling) in [
        (Layout::Gray, Subsampling::S420),
        (Layout::Rgb, Subsampling::Gray),
        (Layout::Rgb, Subsampling::S444),
        (Layout::Rgb, Subsampling::S422),
        (Layout::Rgb, Subsampling::S420),
        (Layout::Rgb, Subsampling::S440),
    ] {
        let options = EncodeOptions {
            subsampling,
            ..PLAIN
        };
        let data = drawn(1501, 1003, layout);
        let [sampled, fitted] = fitted_both_ways(&data, 1501, 1003, &options);
        assert_eq!(strict(&sampled), strict(&fitted), "the pixels are the same");
        assert_ne!(sampled, fitted);
        assert!(
            sampled.len() * 1000 <= fitted.len() * 1005,
            "{} instead of {} bytes",
            sampled.len(),
            fitted.len()
        );
    }
}

#[test]
fn what_the_sampled_part_does_not_have_is_written_all_the_same() {
    // Flat where the tables are fitted and noise elsewhere, and the other way round.
    for noisy in [false, true] {
        let (width, height) = (1024_u32, 1024_u32);
        let mut grain = 1_u32;
        let mut data = Vec::new();
        for y in 0..height {
            let sampled = (y / 16) % 2 == 1;
            for _ in 0..width * 3 {
                grain = grain.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                let noise = if (grain >> 24) & 1 == 0 { 0 } else { 255 };
                data.push(if sampled == noisy { noise } else { 90 });
            }
        }
        let options = EncodeOptions {
            quality: 100,
            ..PLAIN
        };
        let [sampled, fitted] = fitted_both_ways(&data, width, height, &options);
        assert_ne!(sampled, fitted);
        assert_eq!(strict(&sampled), strict(&fitted));
    }
}

#[test]
fn a_small_picture_has_tables_of_its_own() {
    let data = drawn(1024, 1023, Layout::Rgb);
    let [sampled, fitted] = fitted_both_ways(&data, 1024, 1023, &PLAIN);
    assert!(sampled == fitted, "one row below a megapixel");
    // Not one whole row of blocks to take a sample of.
    let flat = drawn(60_000, 20, Layout::Rgb);
    let [sampled, fitted] = fitted_both_ways(&flat, 60_000, 20, &PLAIN);
    assert!(sampled == fitted);
}

#[test]
fn the_encoder_stops_when_told_whenever_that_is() {
    let data = drawn(1100, 1000, Layout::Rgb);
    for tables in [Tables::Standard, Tables::Sampled, Tables::Fitted] {
        let options = EncodeOptions { tables, ..PLAIN };
        let encode =
            |stop: &dyn Fn() -> bool| jpeg::encode(&data, 1100, 1000, Layout::Rgb, &options, stop);
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
        assert!(total > 10, "asked {total} times");
        for patience in 0..total {
            asked.set(0);
            let stopped = encode(&|| count() >= patience);
            assert_eq!(stopped, Err(Error::Stopped), "after {patience} times");
        }
    }
}

#[test]
fn a_panic_in_the_hook_comes_out_on_the_other_side() {
    let data = drawn(64, 640, Layout::Rgb);
    let asked = Cell::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        jpeg::encode(&data, 64, 640, Layout::Rgb, &PLAIN, &|| {
            assert!(asked.replace(asked.get() + 1) < 2, "enough");
            false
        })
    }));
    assert!(result.is_err());
    assert_eq!(asked.get(), 3);
}

#[test]
fn nothing_but_a_bare_jfif_header_is_written() {
    for options in [PLAIN, PROGRESSIVE] {
        let bytes = photo(&options);
        assert_eq!(
            bytes[..20],
            *b"\xFF\xD8\xFF\xE0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
        );
        for (marker, _) in segments(&bytes) {
            assert!(matches!(
                marker,
                0xD8 | 0xE0 | 0xDB | 0xC0 | 0xC2 | 0xC4 | 0xDA | 0xD9
            ));
        }
    }
}

#[test]
fn the_smallest_and_the_longest_pictures_go_through() {
    for (width, height) in [(1, 1), (1, 17), (jpeg::MAX_SIDE, 1), (1, jpeg::MAX_SIDE)] {
        for layout in [Layout::Gray, Layout::Rgb] {
            let decoded = strict(&encoded(width, height, layout, &PLAIN)).unwrap();
            assert_eq!(
                (decoded.width, decoded.height, decoded.layout),
                (width, height, layout)
            );
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_before_the_library_sees_it() {
    let encode = |len, width, height, layout, options| {
        jpeg::encode(&vec![0; len], width, height, layout, options, &|| false)
    };
    let side = jpeg::MAX_SIDE + 1;
    assert_eq!(
        encode(3 * 65_501, side, 1, Layout::Rgb, &PLAIN),
        Err(Error::TooLarge {
            format: "JPEG",
            side,
            max: jpeg::MAX_SIDE
        })
    );
    for result in [
        encode(0, 0, 5, Layout::Rgb, &PLAIN),
        encode(11, 2, 2, Layout::Rgb, &PLAIN),
        encode(13, 2, 2, Layout::Rgb, &PLAIN),
        encode(16, 2, 2, Layout::Cmyk, &PLAIN),
        encode(
            12,
            2,
            2,
            Layout::Rgb,
            &EncodeOptions {
                quality: 0,
                ..PLAIN
            },
        ),
        encode(
            12,
            2,
            2,
            Layout::Rgb,
            &EncodeOptions {
                quality: 101,
                ..PLAIN
            },
        ),
        encode(
            12,
            2,
            2,
            Layout::Rgb,
            &EncodeOptions {
                subsampling: Subsampling::Other,
                ..PLAIN
            },
        ),
    ] {
        assert!(matches!(result, Err(Error::Input(_))), "{result:?}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_and_shown_with_its_damage_when_asked() {
    for options in [PLAIN, PROGRESSIVE] {
        let whole = photo(&options);
        let data = place(&whole, 0xDA).start + 14;
        for end in (0..whole.len()).filter(|end| end % 7 == 0 || end + 40 > whole.len()) {
            let cut = &whole[..end];
            assert_eq!(
                strict(cut),
                Err(Error::Truncated),
                "cut at {end} of {}",
                whole.len()
            );
            if end < data {
                assert!(lenient(cut).is_err() || lenient(cut).unwrap().damage.is_some());
            } else {
                let shown = lenient(cut).unwrap();
                assert_eq!(shown.damage, Some(Damage::Truncated), "cut at {end}");
                assert_eq!(shown.data.len(), 200 * 150 * 3);
            }
        }
    }
}

#[test]
fn a_file_without_its_end_marker_is_truncated_but_loses_nothing() {
    for options in [PLAIN, PROGRESSIVE] {
        let whole = photo(&options);
        let cut = &whole[..whole.len() - 2];
        assert_eq!(strict(cut), Err(Error::Truncated));
        assert_eq!(lenient(cut).unwrap().data, strict(&whole).unwrap().data);
    }
}

#[test]
fn a_progressive_file_cut_between_scans_is_truncated() {
    let whole = photo(&PROGRESSIVE);
    for (_, scan) in segments(&whole)
        .iter()
        .filter(|(marker, _)| *marker == 0xDA)
    {
        let cut = &whole[..scan.end];
        assert_eq!(strict(cut), Err(Error::Truncated));
        assert_eq!(lenient(cut).unwrap().damage, Some(Damage::Truncated));
    }
}

#[test]
fn a_header_cut_short_is_truncated() {
    let whole = photo(&PLAIN);
    for end in 0..place(&whole, 0xDA).start {
        assert_eq!(
            jpeg::header(&whole[..end]),
            Err(Error::Truncated),
            "cut at {end}"
        );
    }
}

#[test]
fn corrupt_data_is_refused_and_shown_with_its_damage_when_asked() {
    for options in [PLAIN, PROGRESSIVE] {
        let bad = corrupted(&photo(&options));
        assert!(
            matches!(strict(&bad), Err(Error::Corrupt(_))),
            "{options:?}: {:?}",
            strict(&bad).map(|d| d.damage)
        );
        let shown = lenient(&bad).unwrap();
        assert_eq!(shown.damage, Some(Damage::Corrupt));
        assert_eq!((shown.width, shown.height), (200, 150));
    }
}

#[test]
fn an_end_marker_in_the_middle_of_the_picture_is_corrupt() {
    let whole = photo(&PLAIN);
    let bad = [&whole[..whole.len() / 2], &[0xFF, 0xD9]].concat();
    assert!(matches!(strict(&bad), Err(Error::Corrupt(_))));
    assert_eq!(lenient(&bad).unwrap().damage, Some(Damage::Corrupt));
}

/// Files with something odd in them that costs no pixel.
fn odd_but_whole(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut odd = vec![
        (
            "trailing bytes".to_owned(),
            [whole, b"\0\0trailer\xFF\xD8\xFF".as_slice()].concat(),
        ),
        ("a second picture".to_owned(), [whole, whole].concat()),
    ];
    for count in [1, 2, 3, 7, 8, 9, 40, 5000] {
        let end = whole.len() - 2;
        odd.push((
            format!("{count} bytes before the end"),
            inserted(whole, end, &vec![0x5A; count]),
        ));
        odd.push((
            format!("{count} fills before the end"),
            inserted(whole, end, &vec![0xFF; count]),
        ));
    }
    for (marker, place) in segments(whole).into_iter().skip(1) {
        let bytes = inserted(whole, place.start, b"stray\xFF\x00");
        odd.push((format!("stray bytes before marker {marker:02x}"), bytes));
    }
    // Such as the rest of a segment whose length is wrong. Once a scan has begun it would be damage.
    let all = segments(whole);
    let header = all.iter().position(|(marker, _)| *marker == 0xDA);
    for (marker, place) in &all[1..=header.unwrap()] {
        let bytes = inserted(whole, place.start, b"stray\xFF\xD0and\xFF\xD7more");
        odd.push((format!("restart markers before marker {marker:02x}"), bytes));
    }
    let mut version = whole.to_vec();
    version[11] = 2;
    odd.push(("JFIF 2".to_owned(), version));
    let app0 = place(whole, 0xE0);
    let adobe = [
        &whole[..2],
        b"\xFF\xEE\x00\x0EAdobe\x00\x64\0\0\0\0\x07",
        &whole[app0.end..],
    ];
    odd.push(("an unknown Adobe transform".to_owned(), adobe.concat()));
    odd
}

#[test]
fn odd_but_whole_files_are_accepted_unchanged() {
    for options in [PLAIN, PROGRESSIVE] {
        let whole = photo(&options);
        let expected = strict(&whole).unwrap();
        for (what, bytes) in odd_but_whole(&whole) {
            assert_eq!(jpeg::header(&bytes), jpeg::header(&whole), "{what}");
            assert_eq!(strict(&bytes).as_ref(), Ok(&expected), "{what}");
            assert_eq!(lenient(&bytes).as_ref(), Ok(&expected), "{what}");
        }
    }
}

#[test]
fn a_baseline_file_with_zeroes_for_scan_parameters_is_accepted() {
    let whole = photo(&PLAIN);
    let parameters = place(&whole, 0xDA).start + 2 + 12 - 3;
    assert_eq!(whole[parameters..parameters + 3], [0, 63, 0]);
    let mut odd = whole.clone();
    odd[parameters + 1] = 0;
    assert_eq!(strict(&odd), strict(&whole));
}

#[test]
fn an_oddity_does_not_hide_the_damage_behind_it() {
    let photo = photo(&PLAIN);
    for (what, bytes) in odd_but_whole(&corrupted(&photo)) {
        assert!(
            matches!(strict(&bytes), Err(Error::Corrupt(_))),
            "{what}: {:?}",
            strict(&bytes).err()
        );
        assert_eq!(
            lenient(&bytes).unwrap().damage,
            Some(Damage::Corrupt),
            "{what}"
        );
    }
    let scan = place(&photo, 0xDA);
    for (what, bytes) in odd_but_whole(
        &photo[..scan.end - 20]
            .iter()
            .chain(&[0xFF, 0xD9])
            .copied()
            .collect::<Vec<_>>(),
    ) {
        if !what.contains("before the end") && !what.ends_with("d9") {
            assert!(matches!(strict(&bytes), Err(Error::Corrupt(_))), "{what}");
        }
    }
    let progressive = crate::photo(&PROGRESSIVE);
    for (marker, place) in segments(&progressive).into_iter().skip(1) {
        let stray = inserted(&progressive, place.start, b"stray");
        let cut = &stray[..stray.len() - 30];
        if marker != 0xD9 {
            assert_eq!(
                strict(cut),
                Err(Error::Truncated),
                "behind marker {marker:02x}"
            );
            assert_eq!(lenient(cut).unwrap().damage, Some(Damage::Truncated));
        }
    }
}

/// A progressive file in which one valid scan comes `times` more.
fn scan_bomb(times: usize) -> Vec<u8> {
    let whole = photo(&PROGRESSIVE);
    let all = segments(&whole);
    let (at, scan) = all
        .iter()
        .enumerate()
        .find(|(_, (marker, place))| {
            *marker == 0xDA && whole[place.start + 4] == 1 && whole[place.start + 8] == 63
        })
        .map(|(at, (_, place))| (at, place.clone()))
        .unwrap();
    // With its table, and stated as all bits in one go, which contradicts no scan before it.
    let mut again = whole[all[at - 1].1.start..scan.end].to_vec();
    let parameters = scan.start - all[at - 1].1.start + 7;
    again[parameters + 2] = 0;
    inserted(&whole, whole.len() - 2, &again.repeat(times))
}

#[test]
fn a_scan_bomb_is_refused_at_the_limit() {
    let bomb = scan_bomb(300);
    for accept_damage in [false, true] {
        let decode = |scan_limit| {
            jpeg::decode(
                &bomb,
                &DecodeOptions {
                    scan_limit,
                    accept_damage,
                    ..STRICT
                },
            )
        };
        assert!(
            matches!(decode(100), Err(Error::LimitExceeded(_))),
            "{:?}",
            decode(100).err()
        );
        assert!(decode(400).is_ok());
        assert!(decode(0).is_ok());
    }
}

#[test]
fn working_memory_is_limited() {
    let decode = |options, memory_limit| {
        let bytes = encoded(1500, 1000, Layout::Rgb, options);
        jpeg::decode(
            &bytes,
            &DecodeOptions {
                memory_limit,
                ..STRICT
            },
        )
    };
    assert!(matches!(
        decode(&PROGRESSIVE, 1 << 20),
        Err(Error::LimitExceeded(_))
    ));
    assert!(matches!(
        decode(&PROGRESSIVE, 1),
        Err(Error::LimitExceeded(_))
    ));
    assert!(decode(&PROGRESSIVE, 16 << 20).is_ok());
    assert!(
        decode(&PLAIN, 1 << 20).is_ok(),
        "a baseline file needs a few rows only"
    );
}

fn claiming(width: u16, height: u16, options: &EncodeOptions) -> Vec<u8> {
    let mut bytes = encoded(16, 16, Layout::Rgb, options);
    let frame = place(&bytes, if options.progressive { 0xC2 } else { 0xC0 }).start;
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn a_huge_claim_with_a_tiny_body_is_reported_and_refused() {
    for options in [PLAIN, PROGRESSIVE] {
        let bytes = claiming(65_500, 65_500, &options);
        let header = jpeg::header(&bytes).unwrap();
        assert_eq!((header.width, header.height), (65_500, 65_500));
        let limited = DecodeOptions {
            memory_limit: 1 << 26,
            ..STRICT
        };
        assert!(jpeg::decode(&bytes, &limited).is_err());
        let too_large = claiming(65_535, 1, &options);
        assert!(matches!(
            jpeg::header(&too_large),
            Err(Error::TooLarge {
                max: jpeg::MAX_SIDE,
                ..
            })
        ));
        assert!(matches!(strict(&too_large), Err(Error::TooLarge { .. })));
        assert!(jpeg::header(&claiming(0, 10, &options)).is_err());
        assert!(jpeg::header(&claiming(10, 0, &options)).is_err());
    }
}

#[test]
fn more_than_eight_bits_is_told_and_not_decoded() {
    let mut bytes = photo(&PLAIN);
    let frame = place(&bytes, 0xC0).start;
    bytes[frame + 1] = 0xC1;
    bytes[frame + 4] = 12;
    assert_eq!(jpeg::header(&bytes).unwrap().bits, 12);
    assert!(matches!(strict(&bytes), Err(Error::Unsupported(_))));
}

#[test]
fn what_is_no_jpeg_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"\xFF",
        b"\xFF\xD8",
        b"GIF89a",
        b"\xFF\xD8\xFF\xD9",
        &[0; 5000],
    ] {
        assert!(jpeg::header(bytes).is_err());
        assert!(strict(bytes).is_err());
        assert!(lenient(bytes).is_err());
    }
    assert!(matches!(
        jpeg::header(b"\xFF\xD8\xFF\xD9"),
        Err(Error::Corrupt(_))
    ));
    assert!(matches!(jpeg::header(b"GIF89a"), Err(Error::Corrupt(_))));
}

#[test]
fn no_changed_byte_makes_it_crash() {
    let mut random = 1_u32;
    for options in [PLAIN, PROGRESSIVE] {
        let whole = encoded(40, 30, Layout::Rgb, &options);
        for at in 0..whole.len() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut bad = whole.clone();
            bad[at] = random.to_be_bytes()[0];
            let small =
                jpeg::header(&bad).is_ok_and(|header| header.width * header.height < 1 << 20);
            for accept_damage in [false, true] {
                let options = DecodeOptions {
                    memory_limit: 1 << 24,
                    accept_damage,
                    ..STRICT
                };
                if small && let Ok(decoded) = jpeg::decode(&bad, &options) {
                    assert!(accept_damage || decoded.damage.is_none());
                }
            }
        }
    }
}

#[test]
fn the_library_is_named_and_its_version_belongs_to_the_dependency() {
    let versions = pixmill_codecs::versions();
    assert!(versions.contains(&("libjpeg-turbo", "3.1.0".to_owned())));
    // The version is a constant: when this fails, look up which libjpeg-turbo the new one brings.
    assert!(
        include_str!("../../../Cargo.lock")
            .contains("name = \"turbojpeg-sys\"\nversion = \"1.2.0\"")
    );
}
