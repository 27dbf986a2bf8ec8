//! What everything begins with, for each target: drawn in code and small, because libFuzzer is quickest where a file has a few
//! hundred bytes.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use pixmill::job::Job;
use pixmill::memory::MemoryStore;
use pixmill::{Processor, Recipe};
use pixmill_testkit::films::{self, After, Piece};
use pixmill_testkit::names::awkward;
use pixmill_testkit::pictures::{self, Drawing, Png, fading, fields, photo};

/// Every target with its seeds.
pub(crate) fn all() -> Vec<(String, Vec<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut every_picture = Vec::new();
    for (format, files) in pictures() {
        every_picture.extend(files.clone());
        all.push((format!("decode-{format}"), files));
    }
    let for_recipes = (0..4_u8).flat_map(|recipe| {
        let with_recipe = move |file: &Vec<u8>| [&[recipe], &file[..]].concat();
        every_picture.iter().map(with_recipe).collect::<Vec<_>>()
    });
    all.push(("render".to_owned(), for_recipes.collect()));
    all.push(("probe".to_owned(), every_picture));
    all.push(("recipe".to_owned(), recipes()));
    all.push(("event".to_owned(), events()));
    all.push(("key".to_owned(), keys()));
    all.push(("manifest".to_owned(), records()));
    all
}

fn pictures() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let film = film();
    let jpeg = fields(16, 12).jpeg(80);
    let jpegs = vec![
        jpeg.clone(),
        photo(24, 18).jpeg(30),
        gray(&photo(9, 17)).jpeg(70),
        pictures::with_exif(&jpeg, &pictures::exif(6)),
        pictures::with_segment(&jpeg, 0xE2, b"ICC_PROFILE\0\x01\x01not a profile"),
        pictures::with_segment(&jpeg, 0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
        pictures::with_segment(&jpeg, 0xFE, b"a comment"),
    ];
    let pngs = vec![
        fields(16, 12).png(),
        fading(9, 7).png(),
        gray(&photo(8, 8)).png(),
        Png::new(16, 12, 8, 2).in_seven_passes(&fields(16, 12)),
        Png::new(8, 2, 16, 0).rows([&[7; 16][..], &[200; 16]].into_iter()),
        Png::new(8, 2, 1, 3)
            .chunk(*b"PLTE", &[0, 0, 0, 255, 0, 0])
            .chunk(*b"tRNS", &[0])
            .rows([&[0xAA][..], &[0x55]].into_iter()),
        Png::new(25_500, 25_500, 8, 2).without_pixels(),
        films::png((8, 6), None, &film, 0),
        films::png((8, 6), Some(&fading(8, 6)), &film, 2),
    ];
    let webps = vec![
        fading(9, 7).webp(),
        fields(16, 12).webp(),
        films::webp((8, 6), &film[..2], 0, &[]),
        films::webp(
            (8, 6),
            &film[..2],
            3,
            &[(*b"EXIF", &pictures::exif(3)), (*b"XMP ", b"<x/>")],
        ),
    ];
    let gifs = vec![
        pictures::gif(&[fading(8, 6)]),
        films::gif((8, 6), &film, Some(0)),
        films::gif((8, 6), &film[..1], None),
    ];
    let rgb = fields(16, 12);
    let mut bmps = vec![rgb.bmp()];
    bmps.push(written(&rgba(&fading(7, 5)), ImageFormat::Bmp));
    let tiffs = vec![
        pictures::tiff(&[fields(8, 6)]),
        pictures::tiff(&[fields(8, 6), photo(5, 5)]),
        pictures::tiff_in_planes_of_tiles(&fields(20, 18), 1, 16),
        pictures::tiff_in_planes_of_tiles(&photo(17, 5), 2, 16),
        b"MM\0*\0\0\0\x08\0\0\0\0\0\0".to_vec(),
    ];
    vec![
        ("jpeg", jpegs),
        ("png", pngs),
        ("webp", webps),
        ("gif", gifs),
        ("bmp", bmps),
        ("tiff", tiffs),
        (
            "ico",
            vec![
                written(&rgba(&fading(16, 16)), ImageFormat::Ico),
                icon_of_bmp(),
            ],
        ),
        (
            "pnm",
            vec![
                b"P1 3 2\n1 0 1 0 1 0\n".to_vec(),
                b"P2 3 2 15\n1 2 3 4 5 15\n".to_vec(),
                b"P3 2 1 255\n1 2 3 4 5 6\n".to_vec(),
                b"P4 9 2\nabcd".to_vec(),
                b"P5 3 2 255\nabcdef".to_vec(),
                b"P6 # note\n2 1 65535\nabcdefghijkl".to_vec(),
                b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabcdefgh"
                    .to_vec(),
            ],
        ),
        (
            "qoi",
            vec![
                written(&rgba(&fading(7, 5)), ImageFormat::Qoi),
                written(
                    &DynamicImage::ImageRgb8(RgbImage::from_raw(16, 12, rgb.data).expect("RGB")),
                    ImageFormat::Qoi,
                ),
            ],
        ),
    ]
}

/// Three frames, each left behind in another way.
fn film() -> Vec<Piece> {
    [After::Stays, After::Cleared, After::Stays]
        .into_iter()
        .zip([(0, 0), (2, 2), (4, 0)])
        .map(|(after, at)| Piece {
            at,
            drawing: fading(4, 4),
            delay: 50,
            blend: true,
            after,
        })
        .map(|mut piece| {
            // A GIF is either there or not.
            piece
                .drawing
                .data
                .chunks_exact_mut(4)
                .for_each(|pixel| pixel[3] = if pixel[3] > 127 { 255 } else { 0 });
            piece
        })
        .collect()
}

fn gray(drawing: &Drawing) -> Drawing {
    Drawing::new(drawing.width, drawing.height, |x, y| [drawing.at(x, y)[1]])
}

fn rgba(drawing: &Drawing) -> DynamicImage {
    let pixels = RgbaImage::from_raw(drawing.width, drawing.height, drawing.data.clone());
    DynamicImage::ImageRgba8(pixels.expect("RGBA"))
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture
        .write_to(&mut file, format)
        .expect("memory can be written");
    file.into_inner()
}

/// An icon of two by two pixels with 32 bits each, as a BMP without its file header.
fn icon_of_bmp() -> Vec<u8> {
    let mut file = b"\0\0\x01\0\x01\0\x02\x02\0\0\x01\0\x20\0".to_vec();
    file.extend(64_u32.to_le_bytes());
    file.extend(22_u32.to_le_bytes());
    for number in [40_u32, 2, 4, 1 | 32 << 16, 0, 24, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend([200; 16]);
    file.extend([0; 8]);
    file
}

fn recipes() -> Vec<Vec<u8>> {
    let mut files = vec![Recipe::default_recipe().to_toml().into_bytes()];
    files.push(include_bytes!("../../../../recipe.toml").to_vec());
    files.extend(
        [
            "version = 1\n[[variant]]\nname = \"a\"\nformat = \"webp\"\nwidths = [1, 20]\n",
            "version = 1\nstrict = []\n[limits]\ninput_bytes = \"1 KiB\"\n[[variant]]\nname = \"a\"\nformat = \"png\"\nfit = \"cover\"\nwidth = 3\nheight = 4\nfocus = \"entropy\"\n",
            "version = 1\n[output]\nkey = \"{dir}{stem}-{width}x{height}.{hash}.{ext}\"\n[[variant]]\nname = \"a\"\nformat = \"jpeg\"\nquality = 1\nanimation = \"first\"\n",
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    files
}

/// The saved events of the function's own tests.
fn events() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/lambda-bin/tests/events");
    let entries = fs::read_dir(folder).expect("the events are there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an event").path())
        .collect();
    paths.sort();
    let files = paths.into_iter().map(fs::read);
    files.map(|file| file.expect("an event")).collect()
}

fn keys() -> Vec<Vec<u8>> {
    const TEMPLATES: [&str; 6] = [
        "{path}/{variant}.{ext}",
        "{dir}{stem}.{ext}",
        "{variant}/{path}",
        "x/{stem}-{width}x{height}.{hash}.{ext}",
        "{path}.{variant}",
        "failed/{path}.json",
    ];
    let names = awkward();
    let pairs = names.iter().zip(names.iter().skip(1));
    let lines = pairs
        .zip(TEMPLATES.iter().cycle())
        .map(|((one, other), template)| {
            [template.as_bytes(), one.as_bytes(), other.as_bytes()].join(&0xFF)
        });
    lines.take(120).collect()
}

/// What the engine itself writes: of a picture, of a film, and of a file that is none.
fn records() -> Vec<Vec<u8>> {
    let sources = MemoryStore::new();
    let output = MemoryStore::new();
    sources.insert("a/photo.png", fading(9, 7).png());
    sources.insert("film.gif", films::gif((8, 6), &film(), Some(0)));
    sources.insert("cut.jpg", fields(16, 12).jpeg(80)[..200].to_vec());
    let stores = (Arc::new(sources.clone()), Arc::new(output.clone()));
    let processor = Processor::new(stores.0, stores.1, Recipe::default_recipe());
    for key in sources.keys() {
        let job = Job::new(key);
        let outcome = processor.process(&job);
        outcome.now_or_never().expect("a MemoryStore never waits");
    }
    let keys = output.keys().into_iter();
    let is_json = |key: &String| Path::new(key).extension() == Some("json".as_ref());
    let records = keys.filter(is_json);
    records
        .filter_map(|key| Some(output.read(&key)?.bytes.to_vec()))
        .collect()
}
