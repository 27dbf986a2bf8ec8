//! What renditions carry beside their pixels: the resolution, and the part of the source's EXIF,
//! XMP and IPTC that the recipe keeps.
//!
//! EXIF is written anew, field by field: the embedded thumbnail never survives, nor does what is no
//! longer true (the orientation once it is applied), and pixel dimensions become the rendition's. XMP
//! and IPTC are read and written anew in `xmp.rs` and `beside.rs`.
//!
//! Under `no-location`, maker's notes go too, and with them every field that isn't known: both can hold
//! anything, and cameras do write places there.

use std::collections::HashSet;
use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Context, Exif, Field, In, Reader, Tag, Value};

use super::beside::{Density, Iptc};
use super::{Format, Warning, WarningCode, beside, xmp};
use crate::recipe::MetadataRule;

/// What every rendition of a source carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) icc: Option<Vec<u8>>,
    /// EXIF without any container's prefix.
    pub(crate) exif: Option<Vec<u8>>,
    /// Whether the source's EXIF states its pixel dimensions, so that a rendition's does.
    pub(crate) states_size: bool,
    pub(crate) xmp: Option<Vec<u8>>,
    /// Written into JPEG alone; no other format has a place for it that programs look at.
    pub(crate) iptc: Iptc,
    #[cfg_attr(
        not(any(feature = "jpeg", feature = "png")),
        expect(dead_code, reason = "WebP has no place for it outside of EXIF")
    )]
    pub(crate) density: Option<Density>,
}

/// What a source has beside its pixels.
pub(crate) struct Beside<'a> {
    pub(crate) format: Format,
    pub(crate) bytes: &'a [u8],
    pub(crate) exif: Option<&'a [u8]>,
    pub(crate) xmp: Option<Vec<u8>>,
}

/// The part of it that `rule` keeps, without the profile, and what was lost that it would have kept.
pub(crate) fn carried(
    rule: MetadataRule,
    beside: Beside<'_>,
    done: Done,
) -> (Carried, Vec<Warning>) {
    let Beside {
        format,
        bytes,
        exif,
        xmp,
    } = beside;
    let mut warnings = Vec::new();
    let mut carried = Carried {
        density: beside::density(format, bytes).or_else(|| exif.and_then(density_of_exif)),
        ..Carried::default()
    };
    if rule == MetadataRule::None {
        return (carried, warnings);
    }
    if let Some(exif) = exif {
        let kept;
        (kept, warnings) = kept_exif(rule, exif, done);
        (carried.exif, carried.states_size) = (kept.bytes, kept.states_size);
    }
    let (mut xmp, mut deflated) = (xmp, false);
    if format == Format::Png {
        (xmp, deflated) = beside::png_xmp(bytes);
    }
    if deflated {
        warnings.push(dropped("XMP can't be read (it is deflated)".to_owned()));
    }
    if let Some(packet) = xmp {
        match xmp::kept(rule, &packet, done.turned) {
            Ok(kept) => carried.xmp = kept,
            Err(why) => warnings.push(dropped(format!("XMP can't be read ({why})"))),
        }
    }
    if format == Format::Gif && bytes.windows(XMP_IN_GIF.len()).any(|at| at == XMP_IN_GIF) {
        warnings.push(dropped("XMP in a GIF is not read".to_owned()));
    }
    if format == Format::Jpeg {
        carried.iptc = Iptc::of_jpeg(bytes).kept(rule);
        if carried.xmp.is_none() {
            carried.xmp = carried.iptc.as_xmp();
        }
    }
    (carried, warnings)
}

/// The resolution that `exif` (or a whole TIFF file) states.
fn density_of_exif(exif: &[u8]) -> Option<Density> {
    let read = Reader::new()
        .continue_on_error(true)
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(drop))
        .ok()?;
    let dots = |tag| match &read.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(values) => values.first().map(exif::Rational::to_f64),
        _ => None,
    };
    let unit = read.get_field(Tag::ResolutionUnit, In::PRIMARY);
    let per_inch = match unit.and_then(|unit| unit.value.get_uint(0)) {
        None | Some(2) => 1.0,
        Some(3) => 2.54,
        Some(_) => return None,
    };
    let (x, y) = (dots(Tag::XResolution)?, dots(Tag::YResolution)?);
    Density::new(x * per_inch, y * per_inch)
}

impl Carried {
    /// The same for a rendition of this size.
    pub(crate) fn for_size(&self, size: (u32, u32)) -> Self {
        let mut sized = self.clone();
        if let Some(exif) = self.exif.as_ref().filter(|_| self.states_size) {
            // It was written here, so it can be read; what can't be written stays without dimensions.
            if let Some(with_size) = with_size(exif, size) {
                sized.exif = Some(with_size);
            }
        }
        sized
    }
}

fn with_size(exif: &[u8], (width, height): (u32, u32)) -> Option<Vec<u8>> {
    let read = Reader::new().read_raw(exif.to_vec()).ok()?;
    let side = |tag, side| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Long(vec![side]),
    };
    let sides = [
        side(Tag::PixelXDimension, width),
        side(Tag::PixelYDimension, height),
    ];
    let mut writer = Writer::new();
    for field in read.fields().chain(&sides) {
        writer.push_field(field);
    }
    let mut out = Cursor::new(Vec::new());
    writer.write(&mut out, read.little_endian()).ok()?;
    Some(out.into_inner())
}

/// What happened to the pixels that metadata could still speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// The orientation was applied.
    pub(crate) turned: bool,
    /// Colors are sRGB now.
    pub(crate) srgb: bool,
}

/// Where a TIFF has its IPTC (XMP specification, part 3).
const IPTC_IN_TIFF: Tag = Tag(Context::Tiff, 33_723);
/// The name of the extension that holds a GIF's XMP (the same).
const XMP_IN_GIF: &[u8] = b"XMP DataXMP";

/// EXIF without its pixel dimensions.
#[derive(Default)]
struct KeptExif {
    bytes: Option<Vec<u8>>,
    /// Whether the source stated them.
    states_size: bool,
}

/// The part of `exif` that `rule` keeps, and what was lost that it would have kept. `exif` may be a whole TIFF file, of which only what describes the
/// picture is taken.
fn kept_exif(rule: MetadataRule, exif: &[u8], done: Done) -> (KeptExif, Vec<Warning>) {
    let mut broken = 0;
    let read = Reader::new()
        .continue_on_error(true)
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(|errors| broken = errors.len()));
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            let warning = dropped(format!("EXIF can't be read ({error})"));
            return (KeptExif::default(), vec![warning]);
        }
    };
    let mut warnings = Vec::new();
    if read.get_field(IPTC_IN_TIFF, In::PRIMARY).is_some() {
        warnings.push(dropped("IPTC in a TIFF is not read".to_owned()));
    }
    let fields = kept_fields(rule, &read, done);
    if fields.is_empty() {
        return (KeptExif::default(), warnings);
    }
    let mut writer = Writer::new();
    for field in &fields {
        writer.push_field(field);
    }
    let mut out = Cursor::new(Vec::new());
    if let Err(error) = writer.write(&mut out, read.little_endian()) {
        warnings.push(dropped(format!("EXIF can't be written ({error})")));
        return (KeptExif::default(), warnings);
    }
    let states_size = rule != MetadataRule::Copyright
        && read.get_field(Tag::PixelXDimension, In::PRIMARY).is_some();
    if broken > 0 {
        warnings.push(dropped(format!("{broken} parts of EXIF can't be read")));
    }
    let kept = KeptExif {
        bytes: Some(out.into_inner()),
        states_size,
    };
    (kept, warnings)
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
        MetadataRule::NoLocation
            if tag.context() == Context::Gps
                || tag == Tag::MakerNote
                || tag.description().is_none() =>
        {
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
    match carried.iptc.for_jpeg() {
        Some(iptc) if iptc.len() <= SEGMENT => push_segment(&mut segments, 0xED, &[&iptc]),
        None if carried.iptc.is_empty() => {}
        _ => lost.push("IPTC doesn't fit into a JPEG, which holds 64 KiB of it".to_owned()),
    }
    let mut jpeg = jpeg;
    if let (Some(density), Some(place)) = (carried.density, jpeg.get_mut(..18))
        && place[2..4] == [0xFF, 0xE0]
        && place[6..11] == *b"JFIF\0"
    {
        place[13..].copy_from_slice(&density.for_jpeg());
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

    fn kept(rule: MetadataRule, exif: &[u8]) -> (Option<Vec<u8>>, Vec<Warning>) {
        let beside = Beside {
            format: Format::Webp,
            bytes: b"",
            exif: Some(exif),
            xmp: None,
        };
        let (carried, warnings) = carried(rule, beside, DONE);
        (carried.exif, warnings)
    }

    fn tags(rule: MetadataRule) -> Vec<Tag> {
        let (kept, warnings) = kept(rule, &sample());
        assert_eq!(warnings, []);
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
        assert_eq!(kept(MetadataRule::None, &sample()), (None, Vec::new()));
    }

    #[test]
    fn what_is_written_says_srgb_once_colors_are() {
        let (kept, _) = kept(MetadataRule::Keep, &sample());
        let read = Reader::new().read_raw(kept.unwrap()).unwrap();
        let space = read.get_field(Tag::ColorSpace, In::PRIMARY).unwrap();
        assert_eq!(space.value.get_uint(0), Some(1));
    }

    #[test]
    fn nothing_of_a_thumbnail_survives() {
        let (kept, _) = kept(MetadataRule::Keep, &sample());
        let kept = kept.unwrap();
        assert!(!kept.windows(7).any(|window| window == b"picture"));
    }

    #[test]
    fn exif_that_makes_no_sense_is_dropped_and_told() {
        let (kept, warnings) = kept(MetadataRule::Keep, b"nonsense");
        assert_eq!(kept, None);
        assert_eq!(warnings[0].code, WarningCode::MetadataDropped);
    }

    #[test]
    fn pixel_dimensions_become_those_of_the_rendition_where_the_source_stated_its_own() {
        let with = |exif: Vec<u8>| {
            let beside = Beside {
                format: Format::Webp,
                bytes: b"",
                exif: Some(&exif),
                xmp: None,
            };
            let (carried, _) = carried(MetadataRule::NoLocation, beside, DONE);
            let sized = carried.for_size((300, 200)).exif.unwrap();
            let read = Reader::new().read_raw(sized).unwrap();
            let side = |tag| read.get_field(tag, In::PRIMARY)?.value.get_uint(0);
            assert!(read.get_field(Tag::Model, In::PRIMARY).is_some());
            (side(Tag::PixelXDimension), side(Tag::PixelYDimension))
        };
        assert_eq!(with(sample()), (Some(300), Some(200)));
        let mut writer = Writer::new();
        let model = ascii(Tag::Model, "Box");
        writer.push_field(&model);
        let mut without = Cursor::new(Vec::new());
        writer.write(&mut without, false).unwrap();
        assert_eq!(with(without.into_inner()), (None, None));
    }

    #[test]
    fn resolution_is_read_from_exif_in_both_units() {
        for (unit, dots, expected) in [(2, 300, 300.0), (3, 100, 254.0)] {
            let per = |tag| Field {
                tag,
                ifd_num: In::PRIMARY,
                value: Value::Rational(vec![exif::Rational {
                    num: dots,
                    denom: 1,
                }]),
            };
            let unit = Field {
                tag: Tag::ResolutionUnit,
                ifd_num: In::PRIMARY,
                value: Value::Short(vec![unit]),
            };
            let fields = [per(Tag::XResolution), per(Tag::YResolution), unit];
            let mut writer = Writer::new();
            for field in &fields {
                writer.push_field(field);
            }
            let mut out = Cursor::new(Vec::new());
            writer.write(&mut out, true).unwrap();
            let found = density_of_exif(&out.into_inner()).unwrap();
            assert!((found.x - expected).abs() < 1e-9 && (found.y - expected).abs() < 1e-9);
        }
    }

    proptest::proptest! {
        /// However EXIF is spoiled: no panic, and where places must not get out none does.
        #[test]
        fn spoiled_exif_neither_panics_nor_leaks_a_place(
            at in 0..400_usize,
            with in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..12),
        ) {
            let mut exif = sample();
            let at = at % exif.len();
            let end = (at + with.len()).min(exif.len());
            exif[at..end].copy_from_slice(&with[..end - at]);
            for rule in [MetadataRule::Copyright, MetadataRule::NoLocation, MetadataRule::Keep] {
                let (kept, _) = kept(rule, &exif);
                let Some(kept) = kept else { continue };
                let read = Reader::new().continue_on_error(true).read_raw(kept);
                let Ok(read) = read.or_else(|error| error.distill_partial_result(drop)) else {
                    continue;
                };
                let places = read.fields().filter(|field| field.tag.context() == Context::Gps);
                proptest::prop_assert!(rule == MetadataRule::Keep || places.count() == 0);
            }
        }

        #[test]
        fn any_bytes_are_no_reason_to_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            for start in [&b""[..], b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"] {
                let _ = kept(MetadataRule::Keep, &[start, &bytes].concat());
            }
        }
    }

    #[cfg(feature = "jpeg")]
    #[test]
    fn a_large_profile_is_spread_over_segments_behind_the_first_header() {
        let jpeg = b"\xFF\xD8\xFF\xE0\x00\x04hi\xFF\xDA".to_vec();
        let carried = Carried {
            icc: Some(vec![7; 100_000]),
            exif: Some(vec![0; 70_000]),
            ..Carried::default()
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
