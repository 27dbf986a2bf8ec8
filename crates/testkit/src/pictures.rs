//! Pictures drawn in code, files made of them, and the way back from a file to its pixels.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use image::codecs::bmp::BmpEncoder;
use image::codecs::gif::GifEncoder;
use image::codecs::webp::WebPDecoder;
use image::{ExtendedColorType, ImageDecoder, RgbaImage};
use pixmill_codecs::{jpeg, webp};
use tiff::encoder::{TiffEncoder, colortype};

/// A picture: rows top-down, 8 bits a sample, nothing between rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Samples a pixel: 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA.
    pub channels: usize,
    /// The samples.
    pub data: Vec<u8>,
}

/// Red.
pub const RED: [u8; 3] = [230, 20, 20];
/// Green.
pub const GREEN: [u8; 3] = [20, 200, 20];
/// Blue.
pub const BLUE: [u8; 3] = [20, 20, 230];
/// Yellow.
pub const YELLOW: [u8; 3] = [240, 220, 10];

/// Smooth waves with some grain: compresses like a photograph, and looks the same from no two sides.
pub fn photo(width: u32, height: u32) -> Drawing {
    let mut grain = 12_345_u32;
    Drawing::new(width, height, |x, y| {
        grain = grain.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let noise = (grain >> 28).to_le_bytes()[0];
        let wave = |step: u32, shift: u32| {
            let at = (x * step + y * shift) % 400;
            u8::try_from(if at < 200 { at } else { 400 - at }).unwrap_or(0) + noise
        };
        [wave(3, 2), wave(1, 3), wave(2, 1)]
    })
}

/// Four fields: red at the top left, green at the top right, blue at the bottom left, yellow at the
/// bottom right.
pub fn fields(width: u32, height: u32) -> Drawing {
    Drawing::new(width, height, |x, y| {
        match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        }
    })
}

/// Red, opaque on the left, half transparent in the middle, not to be seen on the right.
pub fn fading(width: u32, height: u32) -> Drawing {
    Drawing::new(width, height, |x, _| {
        let alpha = [255, 128, 0][(x * 3 / width) as usize];
        [RED[0], RED[1], RED[2], alpha]
    })
}

impl Drawing {
    /// The picture whose pixel at column `x` and row `y` is `pixel(x, y)`.
    pub fn new<const N: usize>(
        width: u32,
        height: u32,
        mut pixel: impl FnMut(u32, u32) -> [u8; N],
    ) -> Self {
        let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self {
            width,
            height,
            channels: N,
            data: rows.flat_map(|(x, y)| pixel(x, y)).collect(),
        }
    }

    /// The pixel at column `x` and row `y`.
    pub fn at(&self, x: u32, y: u32) -> &[u8] {
        let pixel = y as usize * self.width as usize + x as usize;
        &self.data[pixel * self.channels..][..self.channels]
    }

    /// Whether the pixel at column `x` and row `y` is `color`, but for at most 12 in each sample.
    pub fn is_about(&self, (x, y): (u32, u32), color: &[u8]) -> bool {
        let pixel = self.at(x, y);
        pixel.len() == color.len() && pixel.iter().zip(color).all(|(a, b)| a.abs_diff(*b) <= 12)
    }

    /// The picture as it has to be stored for a viewer that obeys `orientation` (1 to 8) to show
    /// this one.
    #[must_use]
    pub fn stored_for(&self, orientation: u8) -> Self {
        let (width, height) = (self.width, self.height);
        let (stored_width, stored_height) = if orientation > 4 {
            (height, width)
        } else {
            (width, height)
        };
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..stored_height {
            for x in 0..stored_width {
                // What EXIF says of the stored row 0 and the stored column 0.
                let (shown_x, shown_y) = match orientation {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (width - 1 - y, x),
                    7 => (width - 1 - y, height - 1 - x),
                    8 => (y, height - 1 - x),
                    _ => (x, y),
                };
                data.extend_from_slice(self.at(shown_x, shown_y));
            }
        }
        Self {
            width: stored_width,
            height: stored_height,
            channels: self.channels,
            data,
        }
    }

    /// A JPEG of this gray or RGB picture, with full color resolution.
    ///
    /// # Panics
    ///
    /// When the picture has alpha.
    pub fn jpeg(&self, quality: u8) -> Vec<u8> {
        let layout = match self.channels {
            1 => jpeg::Layout::Gray,
            3 => jpeg::Layout::Rgb,
            _ => panic!("a JPEG holds no alpha"),
        };
        let options = jpeg::EncodeOptions {
            quality,
            subsampling: jpeg::Subsampling::S444,
            progressive: false,
            tables: jpeg::Tables::Standard,
        };
        let never = || false;
        jpeg::encode(
            &self.data,
            self.width,
            self.height,
            layout,
            &options,
            &never,
        )
        .expect("good pixels")
    }

    /// A lossless PNG.
    pub fn png(&self) -> Vec<u8> {
        let color = [0, 4, 2, 6][self.channels - 1];
        let stride = self.width as usize * self.channels;
        Png::new(self.width, self.height, 8, color).rows(self.data.chunks_exact(stride))
    }

    /// A lossless WebP of this RGB or RGBA picture.
    ///
    /// # Panics
    ///
    /// When the picture is gray.
    pub fn webp(&self) -> Vec<u8> {
        let layout = match self.channels {
            3 => webp::Layout::Rgb,
            4 => webp::Layout::Rgba,
            _ => panic!("a WebP holds no gray"),
        };
        let options = webp::EncodeOptions {
            mode: webp::Mode::Lossless,
            exact: true,
            ..webp::EncodeOptions::default()
        };
        webp::encode(
            &self.data,
            self.width,
            self.height,
            layout,
            &options,
            &|| false,
        )
        .expect("good pixels")
    }

    /// A BMP of this RGB picture.
    ///
    /// # Panics
    ///
    /// When the picture is not RGB.
    pub fn bmp(&self) -> Vec<u8> {
        assert_eq!(self.channels, 3, "only RGB is written as BMP");
        let mut out = Vec::new();
        BmpEncoder::new(&mut out)
            .encode(&self.data, self.width, self.height, ExtendedColorType::Rgb8)
            .expect("good pixels");
        out
    }
}

/// A GIF with these RGBA frames.
///
/// # Panics
///
/// When a frame is not RGBA.
pub fn gif(frames: &[Drawing]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut out, 10);
    for frame in frames {
        let pixels = RgbaImage::from_raw(frame.width, frame.height, frame.data.clone())
            .expect("frames are RGBA");
        encoder
            .encode_frame(image::Frame::new(pixels))
            .expect("good pixels");
    }
    drop(encoder);
    out
}

/// The drawing as a TIFF in square tiles of `side` pixels, each color in tiles of its own, with this many bytes a sample.
///
/// # Panics
///
/// Never, of a drawing with three samples a pixel.
pub fn tiff_in_planes_of_tiles(drawing: &Drawing, bytes: usize, side: u32) -> Vec<u8> {
    let across = drawing.width.div_ceil(side);
    let down = drawing.height.div_ceil(side);
    let tiles = across * down * 3;
    let tile_bytes = side * side * u32::try_from(bytes).expect("a few");
    let bits = u16::try_from(8 * bytes).expect("a few");
    let entries: [(u16, u16, u32, u32); 12] = [
        (256, 4, 1, drawing.width),
        (257, 4, 1, drawing.height),
        (258, 3, 3, 158),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (284, 3, 1, 2),
        (322, 4, 1, side),
        (323, 4, 1, side),
        (324, 4, tiles, 164),
        (325, 4, tiles, 164 + tiles * 4),
        (339, 3, 3, 164 + tiles * 8),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0C\0".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    (0..3).for_each(|_| file.extend(bits.to_le_bytes()));
    let pixels = 164 + tiles * 8 + 6;
    for tile in 0..tiles {
        file.extend((pixels + tile * tile_bytes).to_le_bytes());
    }
    for _ in 0..tiles {
        file.extend(tile_bytes.to_le_bytes());
    }
    file.extend([1, 0, 1, 0, 1, 0]);
    for plane in 0..3 {
        for (top, left) in (0..down).flat_map(|y| (0..across).map(move |x| (y * side, x * side))) {
            for (y, x) in (top..top + side).flat_map(|y| (left..left + side).map(move |x| (y, x))) {
                // Below and beside the picture is what must not be seen.
                let inside = x < drawing.width && y < drawing.height;
                let sample = if inside {
                    drawing.at(x, y)[plane]
                } else {
                    0xEE
                };
                file.extend([sample; 4].iter().take(bytes));
            }
        }
    }
    file
}

/// A TIFF with these RGB pages.
///
/// # Panics
///
/// When a page is not RGB.
pub fn tiff(pages: &[Drawing]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut out).expect("memory can be written");
    for page in pages {
        encoder
            .write_image::<colortype::RGB8>(page.width, page.height, &page.data)
            .expect("pages are RGB");
    }
    out.into_inner()
}

/// A PNG written chunk by chunk, for what encoders don't write: its pixels are not compressed.
#[derive(Clone, Debug)]
pub struct Png {
    width: u32,
    height: u32,
    depth: u8,
    color: u8,
    interlaced: bool,
    before_pixels: Vec<u8>,
}

impl Png {
    /// One of this size, with `depth` bits a sample and this color type (0 gray, 2 RGB, 3 palette,
    /// 4 gray and alpha, 6 RGBA).
    pub fn new(width: u32, height: u32, depth: u8, color: u8) -> Self {
        Self {
            width,
            height,
            depth,
            color,
            interlaced: false,
            before_pixels: Vec::new(),
        }
    }

    /// The same, with one more chunk between the header and the pixels.
    #[must_use]
    pub fn chunk(mut self, kind: [u8; 4], body: &[u8]) -> Self {
        push_chunk(&mut self.before_pixels, kind, body);
        self
    }

    /// The file with these rows.
    pub fn rows<'a>(self, rows: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut raw = Vec::new();
        for row in rows {
            raw.push(0);
            raw.extend_from_slice(row);
        }
        self.around(&stored(&raw))
    }

    /// The file with the pixels of `drawing` in seven passes.
    ///
    /// # Panics
    ///
    /// When this PNG does not have 8 bits a sample.
    pub fn in_seven_passes(mut self, drawing: &Drawing) -> Vec<u8> {
        assert_eq!(self.depth, 8);
        self.interlaced = true;
        self.around(&stored(&seven_passes(drawing)))
    }

    /// An animation with these frames, each of the whole size, in seven passes, shown for 100 ms.
    ///
    /// # Panics
    ///
    /// When this PNG does not have 8 bits a sample.
    pub fn film_in_seven_passes(mut self, frames: &[Drawing]) -> Vec<u8> {
        assert_eq!(self.depth, 8);
        self.interlaced = true;
        let count = u32::try_from(frames.len()).expect("few frames");
        let mut file = self.head();
        push_chunk(&mut file, *b"acTL", &[count.to_be_bytes(), [0; 4]].concat());
        let mut number = 0_u32;
        for frame in frames {
            let mut control = number.to_be_bytes().to_vec();
            control.extend(self.width.to_be_bytes());
            control.extend(self.height.to_be_bytes());
            // At the corner, a tenth of a second, kept, and in place of what was there.
            control.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 10, 0, 0]);
            push_chunk(&mut file, *b"fcTL", &control);
            let stream = stored(&seven_passes(frame));
            if number == 0 {
                push_chunk(&mut file, *b"IDAT", &stream);
                number += 1;
            } else {
                let body = [&(number + 1).to_be_bytes()[..], &stream].concat();
                push_chunk(&mut file, *b"fdAT", &body);
                number += 2;
            }
        }
        push_chunk(&mut file, *b"IEND", &[]);
        file
    }

    /// A file whose header promises its pixels and that holds none.
    pub fn without_pixels(&self) -> Vec<u8> {
        self.around(&[])
    }

    fn around(&self, stream: &[u8]) -> Vec<u8> {
        let mut file = self.head();
        push_chunk(&mut file, *b"IDAT", stream);
        push_chunk(&mut file, *b"IEND", &[]);
        file
    }

    fn head(&self) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
        let mut header = Vec::new();
        header.extend(self.width.to_be_bytes());
        header.extend(self.height.to_be_bytes());
        header.extend([self.depth, self.color, 0, 0, u8::from(self.interlaced)]);
        push_chunk(&mut file, *b"IHDR", &header);
        file.extend_from_slice(&self.before_pixels);
        file
    }
}

/// The rows of an interlaced PNG (PNG specification, 8.2), each after its filter, which is none.
fn seven_passes(drawing: &Drawing) -> Vec<u8> {
    let mut raw = Vec::new();
    for (x0, y0, dx, dy) in [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ] {
        if x0 >= drawing.width {
            continue;
        }
        for y in (y0..drawing.height).step_by(dy) {
            raw.push(0);
            for x in (x0..drawing.width).step_by(dx) {
                raw.extend_from_slice(drawing.at(x, y));
            }
        }
    }
    raw
}

/// `raw` as a zlib stream that compresses nothing.
fn stored(raw: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = raw.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("at most 0xFFFF");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend(adler32(raw).to_be_bytes());
    stream
}

fn push_chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    let length = u32::try_from(body.len()).expect("drawings are small");
    file.extend(length.to_be_bytes());
    let from = file.len();
    file.extend(kind);
    file.extend_from_slice(body);
    let sum = crc32(&file[from..]);
    file.extend(sum.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 * (sum & 1))
        })
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// EXIF as a camera writes it, with this orientation: an artist, a copyright, a camera, a place, a
/// maker's note and a small picture, which is the word "thumbnail".
#[expect(
    clippy::missing_panics_doc,
    reason = "every field is one that can be written"
)]
pub fn exif(orientation: u8) -> Vec<u8> {
    let field = |tag, value| Field {
        tag,
        ifd_num: In::PRIMARY,
        value,
    };
    let text = |text: &str| Value::Ascii(vec![text.as_bytes().to_vec()]);
    let degrees = [(48, 1), (12, 1), (30, 1)].map(|(num, denom)| Rational { num, denom });
    let fields = [
        field(Tag::Artist, text("Ada")),
        field(Tag::Copyright, text("(c) Ada")),
        field(Tag::Model, text("Box Brownie")),
        field(Tag::Orientation, Value::Short(vec![orientation.into()])),
        field(Tag::GPSLatitudeRef, text("N")),
        field(Tag::GPSLatitude, Value::Rational(degrees.to_vec())),
        field(
            Tag::MakerNote,
            Value::Undefined(b"serial number 1234".to_vec(), 0),
        ),
        Field {
            tag: Tag::Compression,
            ifd_num: In::THUMBNAIL,
            value: Value::Short(vec![6]),
        },
    ];
    let mut writer = Writer::new();
    for field in &fields {
        writer.push_field(field);
    }
    writer.set_jpeg(b"thumbnail", In::THUMBNAIL);
    let mut out = Cursor::new(Vec::new());
    writer.write(&mut out, false).expect("good fields");
    out.into_inner()
}

/// `jpeg` with one more segment after its start marker.
///
/// # Panics
///
/// When `body` has more than 65,533 bytes.
pub fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).expect("segments are small");
    let mut out = jpeg[..2].to_vec();
    out.extend([0xFF, marker]);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&jpeg[2..]);
    out
}

/// `jpeg` with this EXIF.
pub fn with_exif(jpeg: &[u8], exif: &[u8]) -> Vec<u8> {
    with_segment(jpeg, 0xE1, &[b"Exif\0\0", exif].concat())
}

/// The pixels of a JPEG, a PNG with at most 8 bits a sample or a WebP. A palette becomes its colors.
///
/// # Panics
///
/// When `file` is none of them, or damaged.
pub fn decoded(file: &[u8]) -> Drawing {
    if file.starts_with(b"\xFF\xD8") {
        let options = jpeg::DecodeOptions::default();
        let picture = jpeg::decode(file, &options).expect("a whole JPEG");
        return Drawing {
            width: picture.width,
            height: picture.height,
            channels: picture.layout.bytes_per_pixel(),
            data: picture.data,
        };
    }
    if file.starts_with(b"RIFF") {
        let decoder = WebPDecoder::new(Cursor::new(file)).expect("a WebP");
        let (width, height) = decoder.dimensions();
        let channels = usize::from(decoder.color_type().channel_count());
        let mut data = vec![0; width as usize * height as usize * channels];
        decoder.read_image(&mut data).expect("a whole WebP");
        return Drawing {
            width,
            height,
            channels,
            data,
        };
    }
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a JPEG, a PNG or a WebP");
    let mut data = vec![0; reader.output_buffer_size().expect("drawings are small")];
    let info = reader.next_frame(&mut data).expect("a whole PNG");
    assert_eq!(info.bit_depth, png::BitDepth::Eight);
    Drawing {
        width: info.width,
        height: info.height,
        channels: info.color_type.samples(),
        data,
    }
}
