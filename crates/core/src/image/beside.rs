//! What lies beside a picture in its file and is neither EXIF nor profile: resolution, IPTC, and the
//! places of both in JPEG and PNG.

use super::Format;
use crate::recipe::MetadataRule;

/// Pixels per inch, across and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Density {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

const INCH: f64 = 0.0254;

impl Density {
    /// None where a number makes no sense: zero, or beyond what a JPEG can say.
    pub(crate) fn new(x: f64, y: f64) -> Option<Self> {
        let good = |dots: f64| (0.5..65_535.0).contains(&dots);
        (good(x) && good(y)).then_some(Self { x, y })
    }

    fn of_jpeg(bytes: &[u8]) -> Option<Self> {
        let (0xE0, body) = segments(bytes).next()? else {
            return None;
        };
        let &[units, a, b, c, d, ..] = body.strip_prefix(b"JFIF\0")?.get(2..)? else {
            return None;
        };
        let dots = [[a, b], [c, d]].map(|pair| f64::from(u16::from_be_bytes(pair)));
        match units {
            1 => Self::new(dots[0], dots[1]),
            2 => Self::new(dots[0] * 2.54, dots[1] * 2.54),
            _ => None,
        }
    }

    fn of_png(bytes: &[u8]) -> Option<Self> {
        let (_, body) = png_chunks(bytes).find(|(kind, _)| kind == b"pHYs")?;
        let (x, rest) = body.split_first_chunk::<4>()?;
        let (y, unit) = rest.split_first_chunk::<4>()?;
        let per_metre = |bytes: &[u8; 4]| f64::from(u32::from_be_bytes(*bytes)) * INCH;
        if unit == [1] {
            Self::new(per_metre(x), per_metre(y))
        } else {
            None
        }
    }

    /// What a JPEG says in its first segment: units, and dots across and down.
    #[cfg(feature = "jpeg")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held within 16 bits when it was made"
    )]
    pub(crate) fn for_jpeg(self) -> [u8; 5] {
        let [x, y] = [self.x, self.y].map(|dots| (dots.round().max(1.0) as u16).to_be_bytes());
        [1, x[0], x[1], y[0], y[1]]
    }

    /// Pixels per metre, across and down, as a PNG says them.
    #[cfg(feature = "png")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held within 16 bits of dots per inch when it was made"
    )]
    pub(crate) fn for_png(self) -> (u32, u32) {
        let per_metre = |dots: f64| (dots / INCH).round() as u32;
        (per_metre(self.x), per_metre(self.y))
    }
}

/// The resolution that a file of `format` states outside its EXIF.
pub(crate) fn density(format: Format, bytes: &[u8]) -> Option<Density> {
    match format {
        Format::Jpeg => Density::of_jpeg(bytes),
        Format::Png => Density::of_png(bytes),
        _ => None,
    }
}

/// The XMP packet of a PNG, and whether there is one that can't be read here (deflated).
pub(crate) fn png_xmp(bytes: &[u8]) -> (Option<Vec<u8>>, bool) {
    const KEYWORD: &[u8] = b"XML:com.adobe.xmp\0";
    let mut found = png_chunks(bytes)
        .filter(|(kind, _)| kind == b"iTXt")
        .filter_map(|(_, body)| body.strip_prefix(KEYWORD));
    match found.next() {
        // Not deflated: two flags, then a language and a translated keyword, each with a zero behind.
        Some([0, _, rest @ ..]) => {
            let mut parts = rest.splitn(3, |byte| *byte == 0);
            (parts.nth(2).map(<[u8]>::to_vec), false)
        }
        Some(_) => (None, true),
        None => (None, false),
    }
}

/// The chunks of a PNG: kind and body.
pub(super) fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (body, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after.get(4..).unwrap_or_default();
        Some((*kind, body))
    })
}

/// The chunks of a WebP: kind and body.
pub(super) fn riff_chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (body, after) = after.split_at_checked(length)?;
        rest = after.get(length % 2..).unwrap_or_default();
        Some((*kind, body))
    })
}

/// The segments of a JPEG before its first scan: marker and body.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let &[0xFF, marker, high, low, ..] = rest else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (segment, after) = rest.split_at_checked(length + 2)?;
        rest = after;
        (marker != 0xDA).then(|| (marker, segment.get(4..).unwrap_or_default()))
    })
}

/// The data sets of an IPTC record ("IIM"): record number, data set number, content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Iptc(Vec<(u8, u8, Vec<u8>)>);

const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
/// The resource that holds IPTC, without a name.
#[cfg(any(test, feature = "jpeg"))]
const RESOURCE: &[u8] = b"8BIM\x04\x04\0\0";

impl Iptc {
    /// What the JPEG `bytes` holds of it.
    pub(crate) fn of_jpeg(bytes: &[u8]) -> Self {
        // A long record goes on in the next segment.
        let bodies = segments(bytes).filter(|(marker, _)| *marker == 0xED);
        let bodies = bodies.filter_map(|(_, body)| body.strip_prefix(PHOTOSHOP));
        let resources: Vec<u8> = bodies.flatten().copied().collect();
        Self::of_resources(&resources).unwrap_or_default()
    }

    fn of_resources(mut rest: &[u8]) -> Option<Self> {
        loop {
            let after = rest.strip_prefix(b"8BIM")?;
            let (kind, after) = after.split_first_chunk::<2>()?;
            // A name with its length before it, padded to an even whole.
            let name = usize::from(*after.first()?) + 1;
            let after = after.get(name + name % 2..)?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let length = u32::from_be_bytes(*length) as usize;
            let body = after.get(..length)?;
            if kind == b"\x04\x04" {
                return Some(Self::of_sets(body));
            }
            rest = after.get(length.checked_add(length % 2)?..)?;
        }
    }

    fn of_sets(mut rest: &[u8]) -> Self {
        let mut sets = Vec::new();
        while let &[0x1C, record, set, high, low, ref after @ ..] = rest {
            // Longer ones say so in another way, and are no text.
            let length = usize::from(u16::from_be_bytes([high, low]));
            let Some((body, after)) = after.split_at_checked(length) else {
                break;
            };
            sets.push((record, set, body.to_vec()));
            rest = after;
        }
        Self(sets)
    }

    /// The part that `rule` keeps.
    #[must_use]
    pub(crate) fn kept(mut self, rule: MetadataRule) -> Self {
        self.0.retain(|(record, set, _)| match (rule, record, set) {
            (MetadataRule::None, ..) => false,
            // The character set, and the version.
            (_, 1, 90) | (_, 2, 0) => true,
            // By-line, credit, copyright notice.
            (MetadataRule::Copyright, 2, set) => matches!(set, 80 | 110 | 116),
            // Content location, city, sublocation, province, country; a small picture.
            (MetadataRule::NoLocation, 2, set) => {
                !matches!(set, 26 | 27 | 90 | 92 | 95 | 100 | 101 | 200..=202)
            }
            (MetadataRule::Keep, 2, set) => !matches!(set, 200..=202),
            _ => false,
        });
        // The first two alone say nothing.
        if self
            .0
            .iter()
            .all(|(record, set, _)| *record == 1 || *set == 0)
        {
            self.0.clear();
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who made the picture, whose it is, whom to thank, as an XMP packet.
    pub(crate) fn as_xmp(&self) -> Option<Vec<u8>> {
        let texts = |number: u8| -> Vec<String> {
            let found = self.0.iter().filter(|(_, set, _)| *set == number);
            let found = found.filter(|(record, ..)| *record == 2);
            found
                .map(|(_, _, text)| text_of(text))
                .filter(|text| !text.is_empty())
                .collect()
        };
        super::xmp::of_rights(&texts(80), &texts(116).join("\n"), &texts(110).join("\n"))
    }

    /// The body of a JPEG's segment that holds it; none where there is nothing, or too much.
    #[cfg(feature = "jpeg")]
    pub(crate) fn for_jpeg(&self) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let mut sets = Vec::new();
        for (record, set, body) in &self.0 {
            sets.extend([0x1C, *record, *set]);
            sets.extend(u16::try_from(body.len()).ok()?.to_be_bytes());
            sets.extend_from_slice(body);
        }
        let length = u32::try_from(sets.len()).ok()?.to_be_bytes();
        if sets.len() % 2 == 1 {
            sets.push(0);
        }
        Some([PHOTOSHOP, RESOURCE, &length, &sets].concat())
    }
}

/// IPTC's text: UTF-8 where it is, and otherwise taken for Latin-1. Control characters go.
fn text_of(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    text.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jpeg(marker: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [
            b"\xFF\xD8\xFF",
            &[marker][..],
            &length,
            body,
            b"\xFF\xDA\0\x02",
        ]
        .concat()
    }

    #[cfg(all(feature = "jpeg", feature = "png"))]
    #[test]
    fn resolution_survives_the_way_from_format_to_format() {
        let inches = jpeg(0xE0, b"JFIF\0\x01\x02\x01\x01\x2C\0\x48\0\0");
        let found = density(Format::Jpeg, &inches).unwrap();
        assert_eq!(found, Density { x: 300.0, y: 72.0 });
        assert_eq!(found.for_png(), (11_811, 2_835));
        assert_eq!(found.for_jpeg(), [1, 1, 0x2C, 0, 0x48]);
        let png = [
            b"\x89PNG\r\n\x1A\n\0\0\0\x09pHYs",
            &11_811_u32.to_be_bytes()[..],
            &2_835_u32.to_be_bytes(),
            b"\x01crc!",
        ]
        .concat();
        let found = density(Format::Png, &png).unwrap();
        assert_eq!(found.for_jpeg(), [1, 1, 0x2C, 0, 0x48]);
        let centimetres = jpeg(0xE0, b"JFIF\0\x01\x02\x02\0\x76\0\x76\0\0");
        let found = density(Format::Jpeg, &centimetres).unwrap();
        assert_eq!(found.for_jpeg(), [1, 1, 0x2C, 1, 0x2C]);
        let none = jpeg(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0");
        assert_eq!(density(Format::Jpeg, &none), None);
        let zero = jpeg(0xE0, b"JFIF\0\x01\x02\x01\0\0\0\0\0\0");
        assert_eq!(density(Format::Jpeg, &zero), None);
    }

    fn iptc() -> Iptc {
        let set = |number, text: &str| (2, number, text.as_bytes().to_vec());
        Iptc(vec![
            (1, 90, b"\x1B%G".to_vec()),
            set(0, "\0\x04"),
            set(80, "Ada"),
            set(90, "Atlantis"),
            set(110, "Agency"),
            set(116, "(c) Ada"),
            set(120, "A mill"),
        ])
    }

    #[cfg(feature = "jpeg")]
    #[test]
    fn each_rule_keeps_its_part_of_iptc_and_it_is_read_as_it_was_written() {
        let file = jpeg(0xED, &iptc().for_jpeg().unwrap());
        assert_eq!(Iptc::of_jpeg(&file), iptc());
        let numbers = |rule| -> Vec<u8> {
            let kept = iptc().kept(rule);
            kept.0.iter().map(|(_, set, _)| *set).collect()
        };
        assert_eq!(numbers(MetadataRule::None).len(), 0);
        assert_eq!(numbers(MetadataRule::Copyright), [90, 0, 80, 110, 116]);
        assert_eq!(
            numbers(MetadataRule::NoLocation),
            [90, 0, 80, 110, 116, 120]
        );
        assert_eq!(numbers(MetadataRule::Keep).len(), 7);
        let nobody = Iptc(vec![(2, 120, b"A mill".to_vec()), (2, 0, vec![0, 4])]);
        assert!(nobody.kept(MetadataRule::Copyright).is_empty());
        let xmp = String::from_utf8(iptc().as_xmp().unwrap()).unwrap();
        for word in ["Ada", "Agency", "(c) Ada"] {
            assert!(xmp.contains(word), "{xmp}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_lies_beside_a_picture_makes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = jpeg(0xED, &[PHOTOSHOP, RESOURCE, &body].concat());
            let _ = Iptc::of_jpeg(&file).as_xmp();
            let _ = Iptc::of_jpeg(&jpeg(0xED, &[PHOTOSHOP, &body].concat()));
            for format in [Format::Jpeg, Format::Png] {
                let _ = density(format, &body);
                let _ = density(format, &[b"\x89PNG\r\n\x1A\n", &body[..]].concat());
            }
            let _ = png_xmp(&[b"\x89PNG\r\n\x1A\n\0\0\0\x30iTXtXML:com.adobe.xmp\0", &body[..]].concat());
        }
    }
}
