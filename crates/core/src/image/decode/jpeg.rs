//! JPEG in: libjpeg-turbo decodes, this file reads what lies around the picture.

use pixmill_codecs::{Error as CodecError, jpeg};

use super::{Decoded, Header, orientation};
use crate::error::ImageError;
use crate::image::picture::{Layout, Picture};
use crate::image::probe::ColorModel;
use crate::image::scale::Scale;

/// Scans that a file may have. Progressive encoders write some ten; each costs a pass over the
/// whole picture, so that a small file with hundreds is an attack.
const MAX_SCANS: u32 = 100;

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let header = jpeg::header(bytes).map_err(|error| refusal(error, None))?;
    let around = Around::of(bytes);
    let color = match header.color_space {
        jpeg::ColorSpace::Gray => ColorModel::Gray,
        jpeg::ColorSpace::YCbCr | jpeg::ColorSpace::Rgb => ColorModel::Rgb,
        jpeg::ColorSpace::Cmyk | jpeg::ColorSpace::Ycck => ColorModel::Cmyk,
    };
    let pixels = u64::from(header.width) * u64::from(header.height);
    let samples_in_halves = match (color, header.subsampling) {
        (ColorModel::Gray, _) => 2,
        (ColorModel::Cmyk, _) => 8,
        (_, jpeg::Subsampling::S420 | jpeg::Subsampling::S411 | jpeg::Subsampling::S441) => 3,
        (_, jpeg::Subsampling::S422 | jpeg::Subsampling::S440) => 4,
        _ => 6,
    };
    Ok(Header {
        width: header.width,
        height: header.height,
        orientation: orientation(around.exif.as_deref()),
        frames: 1,
        alpha: false,
        color,
        bits: header.bits,
        // Progressive files keep two bytes per sample until the last scan.
        lossy: !header.lossless,
        decode_memory: if header.progressive {
            pixels * samples_in_halves
        } else {
            u64::from(header.width) * 64
        } + (1 << 20),
        channels: match color {
            ColorModel::Gray => 1,
            ColorModel::Rgb => 3,
            ColorModel::Cmyk => 4,
        },
        icc: around.icc,
        exif: around.exif,
        xmp: around.xmp,
        has_metadata: around.has_metadata,
    })
}

pub(super) fn decode(
    bytes: &[u8],
    accept_damage: bool,
    scale: Scale,
) -> Result<Decoded, ImageError> {
    let options = jpeg::DecodeOptions {
        scan_limit: MAX_SCANS,
        accept_damage,
        scale: match scale {
            Scale::Full => jpeg::Scale::Full,
            Scale::Quarter => jpeg::Scale::Quarter,
            Scale::Eighth => jpeg::Scale::Eighth,
        },
        ..jpeg::DecodeOptions::default()
    };
    let size = jpeg::header(bytes).ok().map(|h| (h.width, h.height));
    let mut decoded = jpeg::decode(bytes, &options).map_err(|error| refusal(error, size))?;
    let layout = match decoded.layout {
        jpeg::Layout::Gray => Layout::Gray,
        jpeg::Layout::Rgb => Layout::Rgb,
        jpeg::Layout::Cmyk => Layout::Cmyk,
    };
    // Adobe's programs store inks upside down and leave their marker; others do neither.
    if layout == Layout::Cmyk && Around::of(bytes).adobe {
        for sample in &mut decoded.data {
            *sample = !*sample;
        }
    }
    Ok(Decoded {
        picture: Picture {
            width: decoded.width,
            height: decoded.height,
            layout,
            data: decoded.data,
        },
        damage: decoded.damage.map(|damage| {
            match damage {
                jpeg::Damage::Truncated => "the file ends before its picture does",
                jpeg::Damage::Corrupt => "some of the picture's data makes no sense",
            }
            .to_owned()
        }),
    })
}

fn refusal(error: CodecError, size: Option<(u32, u32)>) -> ImageError {
    match error {
        CodecError::Truncated => ImageError::Truncated {
            detail: "the JPEG data ends early".to_owned(),
        },
        CodecError::Unsupported(what) => ImageError::Unsupported {
            what: format!("this kind of JPEG is not decoded here: {what}"),
            remedy: "save it again as an ordinary 8-bit JPEG, or as PNG".to_owned(),
        },
        CodecError::LimitExceeded(what) => ImageError::Unsupported {
            what: format!("this JPEG asks for too much work: {what}"),
            remedy: "save it again as a baseline (not progressive) JPEG".to_owned(),
        },
        CodecError::TooLarge { side, max, .. } => ImageError::TooLarge {
            what: crate::error::Limit::FormatSide,
            actual: u64::from(side),
            max: u64::from(max),
            remedy: "make it smaller, or save it as PNG".to_owned(),
        },
        CodecError::Memory => {
            let (width, height) = size.unwrap_or_default();
            let needed = u64::from(width) * u64::from(height) * 4;
            ImageError::OutOfMemory {
                needed,
                max: needed.saturating_sub(1),
            }
        }
        CodecError::Corrupt(detail) => ImageError::Corrupt { detail },
        other => ImageError::Corrupt {
            detail: other.to_string(),
        },
    }
}

/// What lies around the picture.
#[derive(Default)]
struct Around {
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    adobe: bool,
    has_metadata: bool,
}

impl Around {
    fn of(bytes: &[u8]) -> Self {
        let mut around = Self::default();
        let mut chunks: Vec<(u8, u8, &[u8])> = Vec::new();
        let mut segments = Segments { rest: bytes };
        for (marker, body) in segments.by_ref() {
            match marker {
                0xE1 if body.starts_with(EXIF) && around.exif.is_none() => {
                    around.exif = Some(body[EXIF.len()..].to_vec());
                }
                0xE1 if body.starts_with(XMP) && around.xmp.is_none() => {
                    around.xmp = Some(body[XMP.len()..].to_vec());
                }
                0xE2 if body.starts_with(ICC) && body.len() > ICC.len() + 2 => {
                    let (numbers, data) = body[ICC.len()..].split_at(2);
                    chunks.push((numbers[0], numbers[1], data));
                    continue;
                }
                0xEE if body.starts_with(b"Adobe") => {
                    around.adobe = true;
                    // Adobe's marker has twelve bytes; what is longer says more.
                    around.has_metadata |= body.len() > 12;
                    continue;
                }
                0xE0 if body.starts_with(b"JFIF\0") && body.len() <= 14 => continue,
                0xE0..=0xEF | 0xFE => {}
                _ => continue,
            }
            around.has_metadata = true;
        }
        // Phones append whole further pictures, films and maker's data.
        around.has_metadata |= !ends_with_its_picture(segments.rest);
        around.icc = joined(chunks);
        around
    }
}

/// The profile whose numbered chunks these are. One that is not whole is handed on as empty: there
/// is a profile, and it is broken.
fn joined(mut chunks: Vec<(u8, u8, &[u8])>) -> Option<Vec<u8>> {
    let &(_, count, _) = chunks.first()?;
    chunks.sort_by_key(|(number, _, _)| *number);
    let complete = chunks.len() == usize::from(count)
        && (1..=count).zip(&chunks).all(|(n, chunk)| chunk.0 == n);
    let data = chunks.iter().flat_map(|(_, _, data)| data.iter().copied());
    Some(if complete { data.collect() } else { Vec::new() })
}

/// Whether nothing follows the end marker. `scans` begins at the first scan.
fn ends_with_its_picture(scans: &[u8]) -> bool {
    // Within scans, FF D9 can only be the end marker: data bytes FF are followed by 00. Comments and
    // programs' own segments may stand between scans, too.
    let is_marker = |second: u8| matches!(second, 0xD9 | 0xE0..=0xEF | 0xFE);
    let mut found = memchr::memchr_iter(0xFF, scans);
    let end = found.find(|at| scans.get(at + 1).is_some_and(|second| is_marker(*second)));
    end.is_some_and(|at| at + 2 == scans.len() && scans[at + 1] == 0xD9)
}

/// The segments before the first scan: marker and body.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self
                .rest
                .windows(2)
                .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
            let marker = self.rest[start + 1];
            let after = &self.rest[start + 2..];
            match marker {
                // Markers without a body.
                0x01 | 0xD0..=0xD8 => self.rest = after,
                0xD9 | 0xDA => {
                    self.rest = &self.rest[start..];
                    return None;
                }
                _ => {
                    let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
                    let body = after.get(2..length)?;
                    self.rest = &after[length..];
                    return Some((marker, body));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_in_several_chunks_is_put_together_and_a_gap_is_noticed() {
        let two = vec![(2, 2, &b"cd"[..]), (1, 2, &b"ab"[..])];
        assert_eq!(joined(two).as_deref(), Some(&b"abcd"[..]));
        assert_eq!(joined(vec![(1, 2, &b"ab"[..])]).as_deref(), Some(&b""[..]));
        assert_eq!(joined(Vec::new()), None);
    }

    #[test]
    fn what_lies_around_a_picture_is_found_and_what_follows_it_is_noticed() {
        let file =
            b"\xFF\xD8\xFF\xE1\x00\x0AExif\0\0II\xFF\xFE\x00\x04hi\xFF\xDA\x00\x02ab\xFF\xD9";
        let around = Around::of(file);
        assert_eq!(around.exif.as_deref(), Some(&b"II"[..]));
        assert!(around.has_metadata && !around.adobe);
        let plain = b"\xFF\xD8\xFF\xEE\x00\x07Adobe\xFF\xDA\x00\x02ab\xFF\xD9";
        assert!(!Around::of(plain).has_metadata);
        assert!(Around::of(plain).adobe);
        let followed = [&plain[..], b"more"].concat();
        assert!(Around::of(&followed).has_metadata);
        let between = b"\xFF\xD8\xFF\xDA\x00\x02ab\xFF\xFE\x00\x04hi\xFF\xDA\x00\x02ab\xFF\xD9";
        assert!(Around::of(between).has_metadata);
    }
}
