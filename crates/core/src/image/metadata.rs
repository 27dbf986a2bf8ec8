//! What renditions carry beside their pixels: nothing, or the part of the source's EXIF and XMP
//! that the recipe keeps.
//!
//! EXIF is written anew, field by field: the embedded thumbnail never survives, nor does what is no
//! longer true (orientation once applied, pixel dimensions). XMP may hold places and history in
//! forms that can't be told apart, so that it passes whole under `keep` and not at all otherwise.

use std::collections::HashSet;
use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Context, Exif, Field, In, Reader, Tag, Value};

use super::{Warning, WarningCode};
use crate::recipe::MetadataRule;

/// What every rendition of a source carries.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) icc: Option<Vec<u8>>,
    /// EXIF without any container's prefix.
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) xmp: Option<Vec<u8>>,
}

/// What happened to the pixels that metadata could still speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// The orientation was applied.
    pub(crate) turned: bool,
    /// Colors are sRGB now.
    pub(crate) srgb: bool,
}

/// The part of `exif` that `rule` keeps, and what was lost that it would have kept. `exif` may be a
/// whole TIFF file, of which only what describes the picture is taken.
pub(crate) fn kept_exif(
    rule: MetadataRule,
    exif: &[u8],
    done: Done,
) -> (Option<Vec<u8>>, Option<Warning>) {
    if rule == MetadataRule::None {
        return (None, None);
    }
    let mut broken = 0;
    let read = Reader::new()
        .continue_on_error(true)
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(|errors| broken = errors.len()));
    let read = match read {
        Ok(read) => read,
        Err(error) => return (None, Some(dropped(format!("EXIF can't be read ({error})")))),
    };
    let fields = kept_fields(rule, &read, done);
    if fields.is_empty() {
        return (None, None);
    }
    let mut writer = Writer::new();
    for field in &fields {
        writer.push_field(field);
    }
    let mut out = Cursor::new(Vec::new());
    match writer.write(&mut out, read.little_endian()) {
        Ok(()) if broken == 0 => (Some(out.into_inner()), None),
        Ok(()) => (
            Some(out.into_inner()),
            Some(dropped(format!("{broken} parts of EXIF can't be read"))),
        ),
        Err(error) => (
            None,
            Some(dropped(format!("EXIF can't be written ({error})"))),
        ),
    }
}

pub(crate) fn dropped(detail: String) -> Warning {
    Warning {
        code: WarningCode::MetadataDropped,
        detail,
        variant: None,
    }
}

fn kept_fields(rule: MetadataRule, exif: &Exif, done: Done) -> Vec<Field> {
    let mut seen = HashSet::new();
    exif.fields()
        .filter(|field| field.ifd_num == In::PRIMARY && is_kept(rule, field.tag, done))
        // The writer refuses what the reader could not make out, and writes doubles twice.
        .filter(|field| !matches!(field.value, Value::Unknown(..)) && seen.insert(field.tag))
        .map(|field| {
            let mut field = field.clone();
            if done.srgb && field.tag == Tag::ColorSpace {
                field.value = Value::Short(vec![1]);
            }
            field
        })
        .collect()
}

fn is_kept(rule: MetadataRule, tag: Tag, done: Done) -> bool {
    match rule {
        MetadataRule::None => return false,
        MetadataRule::Copyright => return matches!(tag, Tag::Artist | Tag::Copyright),
        MetadataRule::NoLocation if tag.context() == Context::Gps || tag == Tag::MakerNote => {
            return false;
        }
        MetadataRule::NoLocation | MetadataRule::Keep => {}
    }
    match tag.context() {
        Context::Tiff => match tag {
            Tag::Orientation => !done.turned,
            // Of the directory that describes how a TIFF stores its pixels, only what describes
            // the picture itself.
            Tag::ImageDescription
            | Tag::Make
            | Tag::Model
            | Tag::Software
            | Tag::DateTime
            | Tag::Artist
            | Tag::Copyright
            | Tag::XResolution
            | Tag::YResolution
            | Tag::ResolutionUnit
            // Windows' title, comment, author, keywords, subject.
            | Tag(_, 0x9C9B..=0x9C9F) => true,
            _ => false,
        },
        _ => !matches!(tag, Tag::PixelXDimension | Tag::PixelYDimension),
    }
}

/// The longest body of a JPEG segment: 65,535 with the two bytes that say so.
#[cfg(feature = "jpeg")]
const SEGMENT: usize = 65_533;

/// `jpeg`, which begins with its JFIF header, with `carried` in it; and what did not fit.
#[cfg(feature = "jpeg")]
pub(crate) fn into_jpeg(jpeg: Vec<u8>, carried: &Carried) -> (Vec<u8>, Vec<String>) {
    const EXIF: &[u8] = b"Exif\0\0";
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    const ICC: &[u8] = b"ICC_PROFILE\0";
    let mut segments = Vec::new();
    let mut lost = Vec::new();
    for (prefix, data, name) in [(EXIF, &carried.exif, "EXIF"), (XMP, &carried.xmp, "XMP")] {
        let Some(data) = data else { continue };
        if prefix.len() + data.len() > SEGMENT {
            lost.push(format!(
                "{} bytes of {name} don't fit into a JPEG, which holds 64 KiB of it",
                data.len()
            ));
        } else {
            push_segment(&mut segments, 0xE1, &[prefix, data]);
        }
    }
    if let Some(icc) = &carried.icc {
        let room = SEGMENT - ICC.len() - 2;
        match u8::try_from(icc.len().div_ceil(room)) {
            Ok(count) => {
                for (number, chunk) in (1..=count).zip(icc.chunks(room)) {
                    push_segment(&mut segments, 0xE2, &[ICC, &[number, count], chunk]);
                }
            }
            Err(_) => lost.push(format!("a profile of {} bytes is too large", icc.len())),
        }
    }
    if segments.is_empty() {
        return (jpeg, lost);
    }
    // After the start marker and, where there is one, the JFIF header, which wants to be first.
    let at = match jpeg.get(2..6) {
        Some(&[0xFF, 0xE0, high, low]) => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => 2,
    };
    let (before, after) = jpeg.split_at(at.min(jpeg.len()));
    ([before, &segments, after].concat(), lost)
}

#[cfg(feature = "jpeg")]
fn push_segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 2;
    out.extend([0xFF, marker]);
    out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascii(tag: Tag, text: &str) -> Field {
        Field {
            tag,
            ifd_num: In::PRIMARY,
            value: Value::Ascii(vec![text.as_bytes().to_vec()]),
        }
    }

    fn sample() -> Vec<u8> {
        let short = |tag, value| Field {
            tag,
            ifd_num: In::PRIMARY,
            value: Value::Short(vec![value]),
        };
        let fields = [
            ascii(Tag::Artist, "Ada"),
            ascii(Tag::Copyright, "(c) Ada"),
            ascii(Tag::Model, "Camera"),
            ascii(Tag::GPSLatitudeRef, "N"),
            short(Tag::Orientation, 6),
            short(Tag::PixelXDimension, 4000),
            short(Tag::ColorSpace, 65_535),
            short(Tag::ISOSpeed, 100),
            Field {
                tag: Tag::MakerNote,
                ifd_num: In::PRIMARY,
                value: Value::Undefined(b"serial 1234".to_vec(), 0),
            },
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
        writer.set_jpeg(b"a small picture", In::THUMBNAIL);
        let mut out = Cursor::new(Vec::new());
        writer.write(&mut out, false).unwrap();
        out.into_inner()
    }

    const DONE: Done = Done {
        turned: true,
        srgb: true,
    };

    fn tags(rule: MetadataRule) -> Vec<Tag> {
        let (kept, warning) = kept_exif(rule, &sample(), DONE);
        assert_eq!(warning, None);
        let read = Reader::new().read_raw(kept.unwrap()).unwrap();
        let mut tags: Vec<_> = read.fields().map(|field| field.tag).collect();
        tags.sort_by_key(|tag| tag.number());
        tags
    }

    #[test]
    fn each_rule_keeps_what_it_says() {
        assert_eq!(tags(MetadataRule::Copyright), [Tag::Artist, Tag::Copyright]);
        let without_places = tags(MetadataRule::NoLocation);
        for tag in [Tag::Artist, Tag::Model, Tag::ISOSpeed, Tag::ColorSpace] {
            assert!(without_places.contains(&tag), "{tag}");
        }
        for tag in [
            Tag::GPSLatitudeRef,
            Tag::MakerNote,
            Tag::Orientation,
            Tag::PixelXDimension,
            Tag::JPEGInterchangeFormat,
        ] {
            assert!(!without_places.contains(&tag), "{tag}");
        }
        let all = tags(MetadataRule::Keep);
        assert!(all.contains(&Tag::GPSLatitudeRef) && all.contains(&Tag::MakerNote));
        assert!(!all.contains(&Tag::Orientation) && !all.contains(&Tag::Compression));
        assert_eq!(kept_exif(MetadataRule::None, &sample(), DONE), (None, None));
    }

    #[test]
    fn what_is_written_says_srgb_once_colors_are() {
        let (kept, _) = kept_exif(MetadataRule::Keep, &sample(), DONE);
        let read = Reader::new().read_raw(kept.unwrap()).unwrap();
        let space = read.get_field(Tag::ColorSpace, In::PRIMARY).unwrap();
        assert_eq!(space.value.get_uint(0), Some(1));
    }

    #[test]
    fn nothing_of_a_thumbnail_survives() {
        let (kept, _) = kept_exif(MetadataRule::Keep, &sample(), DONE);
        let kept = kept.unwrap();
        assert!(!kept.windows(7).any(|window| window == b"picture"));
    }

    #[test]
    fn exif_that_makes_no_sense_is_dropped_and_told() {
        let (kept, warning) = kept_exif(MetadataRule::Keep, b"nonsense", DONE);
        assert_eq!(kept, None);
        assert_eq!(warning.unwrap().code, WarningCode::MetadataDropped);
    }

    #[cfg(feature = "jpeg")]
    #[test]
    fn a_large_profile_is_spread_over_segments_behind_the_first_header() {
        let jpeg = b"\xFF\xD8\xFF\xE0\x00\x04hi\xFF\xDA".to_vec();
        let carried = Carried {
            icc: Some(vec![7; 100_000]),
            exif: Some(vec![0; 70_000]),
            xmp: None,
        };
        let (out, lost) = into_jpeg(jpeg, &carried);
        assert_eq!(lost.len(), 1);
        assert!(
            out.starts_with(b"\xFF\xD8\xFF\xE0\x00\x04hi\xFF\xE2\xFF\xFFICC_PROFILE\0\x01\x02")
        );
        assert!(out.ends_with(b"\xFF\xDA"));
        assert_eq!(out.len(), 10 + 100_000 + 2 * (2 + 2 + 12 + 2));
    }
}
