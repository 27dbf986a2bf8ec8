//! Small files that ask for much: each is refused, or rendered, in little memory.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{sample, temporary};

/// What a file at `path` comes to in a process with this much address space: its outcome, its code, and
/// the seconds that it took.
fn outcome_within(path: &Path, mib: u64, recipe: &str) -> (String, String, Duration) {
    let folder = temporary();
    let recipe_file = folder.path().join("recipe.toml");
    fs::write(&recipe_file, recipe).expect("a recipe");
    let script = "ulimit -v \"$0\"; exec \"$@\"";
    let began = Instant::now();
    let output = Command::new("sh")
        .args(["-c", script, &(mib * 1024).to_string()])
        .arg(env!("CARGO_BIN_EXE_pixmill"))
        .args(["convert", "--json", "--jobs", "1", "--recipe"])
        .arg(&recipe_file)
        .arg("-o")
        .arg(folder.path().join("out"))
        .arg(path)
        // Arenas are address space that nobody uses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let took = began.elapsed();
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (word("outcome"), word("code"), took)
}

const KEEPING: &str = "version = 1
[source]
metadata = \"keep\"
color = \"keep\"
[[variant]]
name = \"png\"
format = \"png\"
animation = \"keep\"
width = 64
[[variant]]
name = \"jpeg\"
format = \"jpeg\"
width = 64
";

fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(body) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    let length = u32::try_from(body.len()).expect("small").to_be_bytes();
    [&length[..], &kind, body, &(!crc).to_be_bytes()].concat()
}

fn png_header(side: u32) -> Vec<u8> {
    let side = side.to_be_bytes();
    let header = [&side[..], &side, &[8, 0, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(*b"IHDR", &header)].concat()
}

/// A zlib stream of `matches` x 258 zeros and a few more, in the 13 bits for each match that the fixed
/// codes of deflate take (RFC 1951, 3.2.6), without a checksum.
fn zeros(matches: usize) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let (mut bits, mut count) = (0_u32, 0);
    let mut put = |out: &mut Vec<u8>, value: u32, length: u32| {
        bits |= value << count;
        count += length;
        while count >= 8 {
            out.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            count -= 8;
        }
    };
    // Last block, fixed codes; then a zero, whose code is 00110000, highest bit first.
    put(&mut out, 0b011, 3);
    put(&mut out, 0b0000_1100, 8);
    for _ in 0..matches {
        // Length 258 is 11000101, distance 1 is 00000.
        put(&mut out, 0b1010_0011, 8);
        put(&mut out, 0, 5);
    }
    put(&mut out, 0, 7);
    put(&mut out, 0, 8);
    out
}

/// One gray pixel, with one more chunk before it.
fn png_with(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let pixel = [0x78, 0x01, 1, 2, 0, 0xFD, 0xFF, 0, 7, 0, 9, 0, 8];
    [
        png_header(1),
        chunk(kind, body),
        chunk(*b"IDAT", &pixel),
        chunk(*b"IEND", &[]),
    ]
    .concat()
}

/// A GIF with this canvas and so many frames of one pixel.
fn gif(side: u16, frames: usize) -> Vec<u8> {
    let side = side.to_le_bytes();
    let mut file = [
        &b"GIF89a"[..],
        &side,
        &side,
        &[0x80, 0, 0, 0, 0, 0, 255, 255, 255],
    ]
    .concat();
    for _ in 0..frames {
        file.extend(b"\x21\xF9\x04\0\x02\0\0\0");
        file.extend(b"\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
    }
    file.push(0x3B);
    file
}

/// A TIFF of one gray pixel whose list of pages leads back to itself.
fn tiff_in_a_circle() -> Vec<u8> {
    let entries: [(u16, u16, u32); 8] = [
        (256, 3, 1),
        (257, 3, 1),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, 1),
    ];
    let mut file = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend(8_u32.to_le_bytes());
    file
}

/// The cat, with `count` segments of 64 KiB of EXIF before its picture.
fn jpeg_with_exif(count: usize, body: &[u8]) -> Vec<u8> {
    let cat = fs::read(sample("cat.jpg")).expect("a sample");
    let mut segment = vec![0xFF, 0xE1];
    segment.extend(
        u16::try_from(body.len() + 2)
            .expect("one segment")
            .to_be_bytes(),
    );
    segment.extend_from_slice(body);
    [&cat[..2], &segment.repeat(count), &cat[2..]].concat()
}

#[test]
fn files_that_ask_for_much_get_little() {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08".to_vec();
    exif.resize(65_000, 0x41);
    // A directory whose sub-directories and whose next one are itself.
    let circle = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\x88\x25\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08";
    // 4.2 million matches are a gibibyte.
    let gibibyte = zeros(4_200_000);
    let named = |name: &[u8], rest: &[u8]| [name, rest, &gibibyte].concat();
    let folder = temporary();
    for (name, file, mib, expected) in [
        ("huge.png", png_header(25_500), 128, "rejected"),
        ("huge.gif", gif(65_500, 1), 128, "rejected"),
        ("frames.gif", gif(8, 100_000), 160, "done"),
        (
            "profile.png",
            png_with(*b"iCCP", &named(b"x\0", b"\0")),
            192,
            "done",
        ),
        (
            "text.png",
            png_with(*b"zTXt", &named(b"x\0", b"\0")),
            192,
            "done",
        ),
        (
            "long.png",
            png_with(*b"iTXt", &named(b"x\0", b"\x01\0\0\0")),
            192,
            "done",
        ),
        (
            "xmp.png",
            png_with(*b"iTXt", &named(b"XML:com.adobe.xmp\0", b"\x01\0\0\0")),
            192,
            "done",
        ),
        ("circle.tif", tiff_in_a_circle(), 128, "rejected"),
        ("circle.jpg", jpeg_with_exif(1, circle), 160, "done"),
        ("exif.jpg", jpeg_with_exif(960, &exif), 320, "done"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, file).expect("a file");
        let (outcome, code, took) = outcome_within(&path, mib, KEEPING);
        eprintln!("{name}: {outcome} {code} in {} ms", took.as_millis());
        assert_eq!(outcome, expected, "{name}: {code}");
        assert_ne!(code, "decoder-panic", "{name}");
        // Two seconds are promised; a busy machine may take longer.
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
}
