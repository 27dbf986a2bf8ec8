//! What a file is, by its first bytes.

use super::Format;
use crate::error::ImageError;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sniffed {
    /// A picture of this format, readable here or not.
    Picture(Format),
    /// Plain text of some kind.
    Text,
    /// No bytes at all.
    Empty,
    /// Anything else.
    Unknown,
}

/// How far into a file an `<svg` is looked for: comments and a DOCTYPE may come first.
const SVG_WINDOW: usize = 4096;
/// How many bytes must look like text.
const TEXT_WINDOW: usize = 512;

/// Says what `bytes` are, by content alone; the first 4 KiB of a file are enough.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    if bytes.is_empty() {
        return Sniffed::Empty;
    }
    if let Some(format) = by_magic(bytes) {
        return Sniffed::Picture(format);
    }
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if is_svg(text) {
        return Sniffed::Picture(Format::Svg);
    }
    if is_text(&text[..text.len().min(TEXT_WINDOW)]) {
        return Sniffed::Text;
    }
    #[cfg(feature = "tga")]
    if is_tga(bytes) {
        return Sniffed::Picture(Format::Tga);
    }
    Sniffed::Unknown
}

fn by_magic(bytes: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"\xFF\xD8\xFF") {
        Some(Format::Jpeg)
    } else if starts(b"\x89PNG\r\n\x1A\n") {
        Some(Format::Png)
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Format::Webp)
    } else if starts(b"GIF87a") || starts(b"GIF89a") {
        Some(Format::Gif)
    } else if [
        &b"II*\0"[..],
        b"MM\0*",
        b"II+\0\x08\0\0\0",
        b"MM\0+\0\x08\0\0",
    ]
    .iter()
    .any(|magic| starts(magic))
    {
        Some(Format::Tiff)
    } else if starts(b"\xFF\x0A") || starts(b"\0\0\0\x0CJXL \r\n\x87\n") {
        Some(Format::JpegXl)
    } else if starts(b"%PDF-") {
        Some(Format::Pdf)
    } else if starts(b"BM") && is_bmp(bytes) {
        Some(Format::Bmp)
    } else if starts(b"qoif")
        && bytes
            .get(12)
            .is_none_or(|channels| matches!(channels, 3 | 4))
        && bytes.get(13).is_none_or(|space| *space < 2)
    {
        Some(Format::Qoi)
    } else if starts(b"\0\0\x01\0") && is_ico(bytes) {
        Some(Format::Ico)
    } else if is_pnm(bytes) {
        Some(Format::Pnm)
    } else {
        by_brand(bytes)
    }
}

/// "BM" alone begins many a text; the size of the header that follows does not.
fn is_bmp(bytes: &[u8]) -> bool {
    match bytes.get(14..18) {
        Some(size) => matches!(
            u32::from_le_bytes([size[0], size[1], size[2], size[3]]),
            12 | 16 | 40 | 52 | 56 | 64 | 108 | 124
        ),
        // Too short to tell from text by this; a control byte is telling enough.
        None => bytes.iter().any(|byte| *byte < 9),
    }
}

/// Four common bytes and a directory of at least one entry, whose reserved byte and first picture's
/// place make sense.
fn is_ico(bytes: &[u8]) -> bool {
    let Some(&[low, high, _, _, _, reserved]) = bytes.get(4..10).and_then(|b| b.first_chunk())
    else {
        return false;
    };
    let pictures = u32::from(u16::from_le_bytes([low, high]));
    let offset = bytes.get(18..22).and_then(|b| b.first_chunk::<4>());
    // Some programs write 255 there.
    pictures > 0
        && matches!(reserved, 0 | 255)
        && offset.is_none_or(|offset| u32::from_le_bytes(*offset) >= 6 + 16 * pictures)
}

/// "P5" alone begins many a text; white space and two numbers behind it begin hardly any. PAM writes its
/// fields by name.
fn is_pnm(bytes: &[u8]) -> bool {
    let Some((&[b'P', kind, space], mut rest)) = bytes.split_first_chunk::<3>() else {
        return false;
    };
    if kind == b'7' {
        return space == b'\n'
            && [
                &b"WIDTH "[..],
                b"HEIGHT ",
                b"DEPTH ",
                b"MAXVAL ",
                b"TUPLTYPE ",
                b"#",
            ]
            .iter()
            .any(|field| rest.starts_with(field));
    }
    if !matches!(kind, b'1'..=b'6') || !space.is_ascii_whitespace() {
        return false;
    }
    for number in 0..2 {
        rest = rest.trim_ascii_start();
        while rest.first() == Some(&b'#') {
            let line = rest.iter().position(|byte| *byte == b'\n');
            rest = rest[line.unwrap_or(rest.len())..].trim_ascii_start();
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = &rest[digits..];
        let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
        if digits == 0 || !ends {
            // All of a prefix may be one long comment.
            return number == 0 && digits == 0 && rest.is_empty() && bytes.contains(&b'#');
        }
    }
    true
}

/// TGA has no sign of its own: this takes every header whose fields make sense together.
#[cfg(feature = "tga")]
fn is_tga(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<18>() else {
        return false;
    };
    let mapped = matches!(header[2], 1 | 9);
    let side = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]) > 0;
    let alpha = header[17] & 15;
    matches!(header[2], 1..=3 | 9..=11)
        && header[1] == u8::from(mapped)
        && (if mapped {
            matches!(header[7], 15 | 16 | 24 | 32) && matches!(header[16], 8 | 16)
        } else {
            header[3..8] == [0; 5] && matches!(header[16], 8 | 15 | 16 | 24 | 32)
        })
        && side(12)
        && side(14)
        && matches!(alpha, 0 | 1 | 8)
        && header[17] & 0xC0 == 0
}

/// HEIC and AVIF share a container and name themselves by brands in its first box.
fn by_brand(bytes: &[u8]) -> Option<Format> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let size = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let end = bytes.len().min(usize::try_from(size).ok()?).min(256);
    let major = bytes.get(8..12)?;
    let others = bytes.get(16..end).unwrap_or_default().chunks_exact(4);
    let brands = || std::iter::once(major).chain(others.clone());
    if brands().any(|brand| matches!(brand, b"avif" | b"avis")) {
        Some(Format::Avif)
    } else if brands().any(|brand| {
        matches!(
            brand,
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"
        )
    }) {
        Some(Format::Heic)
    } else {
        None
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(SVG_WINDOW)];
    let start = head.trim_ascii_start();
    start.starts_with(b"<")
        && head.windows(4).any(|window| window == b"<svg")
        && !start[..start.len().min(14)].eq_ignore_ascii_case(b"<!doctype html")
        && !start[..start.len().min(5)].eq_ignore_ascii_case(b"<html")
}

fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character cut in two by the window's end.
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    let control = |byte: &u8| {
        (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C)) || *byte == 0x7F
    };
    valid && !head.iter().any(control)
}

/// Why something is not rendered, and what to do: for every format that is known but not read,
/// and for everything that is no picture.
pub(crate) fn refusal(sniffed: Sniffed, bytes: &[u8]) -> ImageError {
    let (what, remedy) = match sniffed {
        Sniffed::Empty => (
            "the file is empty".to_owned(),
            "upload it again: 0 bytes arrived",
        ),
        Sniffed::Text => (
            "this is text, not a picture".to_owned(),
            "upload the picture itself: a JPEG, PNG, WebP, GIF, BMP or TIFF file",
        ),
        Sniffed::Unknown => (
            format!(
                "this is not a picture that is known here (it begins with the bytes {})",
                hex::encode(&bytes[..bytes.len().min(8)])
            ),
            "send a JPEG, PNG, WebP, GIF, BMP or TIFF file",
        ),
        Sniffed::Picture(format) => match format {
            Format::Heic => (
                "this is a HEIC picture, which is not decoded here".to_owned(),
                "export it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)",
            ),
            Format::Avif => (
                "this is an AVIF picture, which is not decoded here".to_owned(),
                "save it as PNG, WebP or JPEG first",
            ),
            Format::JpegXl => (
                "this is a JPEG XL picture, which is not decoded here".to_owned(),
                "save it as PNG or JPEG first (`djxl in.jxl out.png`)",
            ),
            Format::Svg => (
                "this is an SVG drawing, which is not rendered here".to_owned(),
                "serve it as it is, or export it as PNG at the size you need",
            ),
            Format::Pdf => (
                "this is a PDF document, which is not rendered here".to_owned(),
                "export the page you need as PNG or JPEG",
            ),
            format => return built_without(format),
        },
    };
    ImageError::Unsupported {
        what,
        remedy: remedy.to_owned(),
    }
}

/// The refusal of a format whose cargo feature is off.
pub(crate) fn built_without(format: Format) -> ImageError {
    let feature = format!("{format}").to_lowercase();
    ImageError::Unsupported {
        what: format!("this engine was built without {format}"),
        remedy: format!("build it with the cargo feature {feature:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_kind_of_file_is_told_by_its_first_bytes() {
        for (bytes, expected) in [
            (&b""[..], Sniffed::Empty),
            (b"\xFF\xD8\xFF\xE0", Sniffed::Picture(Format::Jpeg)),
            (b"\x89PNG\r\n\x1A\n", Sniffed::Picture(Format::Png)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Sniffed::Picture(Format::Webp)),
            (b"GIF89a\x01\0\x01\0", Sniffed::Picture(Format::Gif)),
            (b"II*\0\x08\0\0\0", Sniffed::Picture(Format::Tiff)),
            (b"MM\0*\0\0\0\x08", Sniffed::Picture(Format::Tiff)),
            (
                b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
                Sniffed::Picture(Format::Bmp),
            ),
            (b"\xFF\x0A\xFA", Sniffed::Picture(Format::JpegXl)),
            (b"%PDF-1.7\n", Sniffed::Picture(Format::Pdf)),
            (
                b"qoif\0\0\0\x05\0\0\0\x05\x03\0",
                Sniffed::Picture(Format::Qoi),
            ),
            (b"qoif is no word", Sniffed::Text),
            (
                b"\0\0\x01\0\x02\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x26\0\0\0",
                Sniffed::Picture(Format::Ico),
            ),
            (b"\0\0\x01\0\0\0\0\0\0\0\0\0\0\0", Sniffed::Unknown),
            (b"P6 7 8\n255\n", Sniffed::Picture(Format::Pnm)),
            (b"P1\n# by hand\n2 2 0 1 1 0", Sniffed::Picture(Format::Pnm)),
            (b"P7\nWIDTH 2\n", Sniffed::Picture(Format::Pnm)),
            (b"P5 is a rating, 12 of them", Sniffed::Text),
            (b"P5 12 of them", Sniffed::Text),
            (
                b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
                Sniffed::Picture(Format::Heic),
            ),
            (
                b"\0\0\0\x1Cftypmif1\0\0\0\0mif1avifmiaf",
                Sniffed::Picture(Format::Avif),
            ),
            (
                b"<?xml version=\"1.0\"?>\n<!-- hm -->\n<svg xmlns=\"\">",
                Sniffed::Picture(Format::Svg),
            ),
            (b"\xEF\xBB\xBF<svg/>", Sniffed::Picture(Format::Svg)),
            (b"<!DOCTYPE html><p><svg/>", Sniffed::Text),
            (b"BM is how this note begins", Sniffed::Text),
            ("caf\u{e9}".as_bytes(), Sniffed::Text),
            (b"\0\0\0\x18ftypisom\0\0\0\0", Sniffed::Unknown),
            (b"\x7FELF\x02\x01", Sniffed::Unknown),
        ] {
            assert_eq!(sniff(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
