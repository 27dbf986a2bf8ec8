//! Small files that ask for much: each is refused, or rendered, in little memory. One test in a program of its own,
//! because what the system says of ended children is about the largest of all.
#![cfg(unix)]

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/cat.jpg");

/// What became of a file: its outcome, its code, how long it took, and the most memory that any process has had since
/// this program began, in bytes.
struct Fate {
    outcome: String,
    code: String,
    took: Duration,
    peak: u64,
}

/// What the command makes of the file at `path` by this recipe. The system counts what this program itself has in use
/// into the peak, so it keeps little.
fn fate(path: &Path, recipe: &str) -> Fate {
    let folder = TempDir::new().expect("a folder");
    let recipe_file = folder.path().join("recipe.toml");
    fs::write(&recipe_file, recipe).expect("a recipe");
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_pixmill"))
        .args(["convert", "--json", "--jobs", "1", "--recipe"])
        .arg(&recipe_file)
        .arg("-o")
        .arg(folder.path().join("out"))
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
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
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is known");
    // Kibibytes, but for Apple's systems, which say bytes.
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    Fate {
        outcome: word("outcome"),
        code: word("code"),
        took,
        peak: u64::try_from(usage.max_rss()).expect("it is something") * unit,
    }
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
    let mut sum = flate2::Crc::new();
    sum.update(&kind);
    sum.update(body);
    let length = u32::try_from(body.len()).expect("small").to_be_bytes();
    [&length[..], &kind, body, &sum.sum().to_be_bytes()].concat()
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

/// The cat as the command writes it in several scans.
fn progressive_cat() -> Vec<u8> {
    let folder = TempDir::new().expect("a folder");
    let recipe = "version = 1
        [output]
        key = \"{stem}.{ext}\"
        [[variant]]
        name = \"cat\"
        format = \"jpeg\"
        progressive = true";
    let recipe_file = folder.path().join("recipe.toml");
    fs::write(&recipe_file, recipe).expect("a recipe");
    let output = Command::new(env!("CARGO_BIN_EXE_pixmill"))
        .args(["convert", SAMPLE, "-o", "-", "--recipe"])
        .arg(&recipe_file)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// That cat, whose last scan comes so many times more, with the table before it.
fn jpeg_of_scans(times: usize) -> Vec<u8> {
    let cat = progressive_cat();
    let scan = cat.windows(2).rposition(|pair| pair == [0xFF, 0xDA]);
    let scan = scan.expect("it has scans");
    let (end, mark) = cat.split_at(cat.len() - 2);
    assert_eq!(mark, [0xFF, 0xD9]);
    [end, &end[scan..].repeat(times), mark].concat()
}

/// The cat, with `count` segments of EXIF like this before its picture. Written piece by piece: see [`fate`].
fn write_jpeg_with_exif(path: &Path, count: usize, body: &[u8]) {
    let cat = fs::read(SAMPLE).expect("a sample");
    let length = u16::try_from(body.len() + 2).expect("one segment");
    let segment = [&[0xFF, 0xE1][..], &length.to_be_bytes(), body].concat();
    let segments = std::iter::repeat_n(&segment[..], count);
    write(
        path,
        [&cat[..2]].into_iter().chain(segments).chain([&cat[2..]]),
    );
}

/// One gray pixel, with a chunk of EXIF that is this piece so many times.
fn write_png_with_exif(path: &Path, count: usize, piece: &[u8]) {
    let pixel = png_with(*b"eXIf", &[]);
    let (head, rest) = pixel.split_at(33);
    let length = u32::try_from(count * piece.len()).expect("some megabytes");
    let mut sum = flate2::Crc::new();
    sum.update(b"eXIf");
    (0..count).for_each(|_| sum.update(piece));
    let (length, sum) = (length.to_be_bytes(), sum.sum().to_be_bytes());
    let pieces = std::iter::repeat_n(piece, count);
    let begun = [head, &length, b"eXIf"].into_iter().chain(pieces);
    write(path, begun.chain([&sum[..], &rest[12..]]));
}

fn write<'a>(path: &Path, pieces: impl Iterator<Item = &'a [u8]>) {
    let mut file = BufWriter::new(fs::File::create(path).expect("a file"));
    for piece in pieces {
        file.write_all(piece).expect("there is room");
    }
    file.flush().expect("there is room");
}

/// Writes a bomb to that file.
type Writing<'a> = &'a dyn Fn(&Path);

#[test]
fn files_that_ask_for_much_get_little() {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08".to_vec();
    exif.resize(65_000, 0x41);
    // A directory whose sub-directories and whose next one are itself.
    let circle = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\x88\x25\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08";
    let is = |file: Vec<u8>| move |path: &Path| fs::write(path, &file).expect("a file");
    // 4.2 million matches are a gibibyte.
    let inflating = |kind, name: &'static [u8], rest: &'static [u8]| {
        move |path: &Path| {
            let chunk = [name, rest, &zeros(4_200_000)].concat();
            fs::write(path, png_with(kind, &chunk)).expect("a file");
        }
    };
    let bombs: [(&str, Writing<'_>, u64, &str); 12] = [
        // In the order of the memory that each may have; the last two are of 60 MiB themselves.
        ("huge.png", &is(png_header(25_500)), 32, "rejected"),
        ("huge.gif", &is(gif(65_500, 1)), 32, "rejected"),
        ("circle.tif", &is(tiff_in_a_circle()), 32, "rejected"),
        ("scans.jpg", &is(jpeg_of_scans(1000)), 64, "rejected"),
        (
            "circle.jpg",
            &|path| write_jpeg_with_exif(path, 1, circle),
            64,
            "done",
        ),
        ("frames.gif", &is(gif(8, 100_000)), 64, "done"),
        (
            "profile.png",
            &inflating(*b"iCCP", b"x\0", b"\0"),
            64,
            "done",
        ),
        ("text.png", &inflating(*b"zTXt", b"x\0", b"\0"), 64, "done"),
        (
            "long.png",
            &inflating(*b"iTXt", b"x\0", b"\x01\0\0\0"),
            64,
            "done",
        ),
        (
            "xmp.png",
            &inflating(*b"iTXt", b"XML:com.adobe.xmp\0", b"\x01\0\0\0"),
            64,
            "done",
        ),
        (
            "exif.jpg",
            &|path| write_jpeg_with_exif(path, 960, &exif),
            128,
            "done",
        ),
        (
            "exif.png",
            &|path| write_png_with_exif(path, 960, &exif),
            128,
            "rejected",
        ),
    ];
    let folder = TempDir::new().expect("a folder");
    for (name, write, mib, expected) in bombs {
        let path = folder.path().join(name);
        write(&path);
        let fate = fate(&path, KEEPING);
        let Fate { outcome, code, .. } = &fate;
        println!(
            "{name}: {outcome} {code}, {} ms with the process's start, {} KiB",
            fate.took.as_millis(),
            fate.peak / 1024,
        );
        assert_eq!(*outcome, expected, "{name}: {code}");
        assert_ne!(code, "decoder-panic", "{name}");
        assert!(fate.peak <= mib * MIB, "{name}: {} bytes", fate.peak);
        // Two seconds are promised; a busy machine may take longer.
        assert!(
            fate.took < Duration::from_secs(20),
            "{name} took {:?}",
            fate.took
        );
        fs::remove_file(&path).expect("it is ours");
    }
}
