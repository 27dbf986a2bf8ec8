//! What belongs to a picture's file and can't come along: gain maps, which describe a brighter copy of
//! these very pixels, and content credentials, which vouch for these very bytes.

use memchr::memmem;

use super::{Format, Warning, WarningCode, beside};

/// Names by which gain maps are told: Ultra HDR 1 (Google and Adobe, in XMP), ISO 21496-1 (in APP2), and
/// Apple's (in the XMP of a second picture).
const GAIN_MAPS: [&[u8]; 3] = [
    b"hdrgm:Version",
    b"urn:iso:std:iso:ts:21496:-1",
    b"HDRGainMap",
];

/// One warning for each thing in `bytes`, a file of `format`, that no rendition can have.
pub(crate) fn left_behind(format: Format, bytes: &[u8]) -> Vec<Warning> {
    let warning = |code, detail: &str| Warning {
        code,
        detail: detail.to_owned(),
        variant: None,
    };
    let mut warnings = Vec::new();
    if has_gain_map(format, bytes) {
        warnings.push(warning(
            WarningCode::GainMapDropped,
            "its gain map (HDR) was left behind: renditions show the standard range",
        ));
    }
    if has_credentials(format, bytes) {
        warnings.push(warning(
            WarningCode::CredentialsRemoved,
            "its content credentials (C2PA) were left behind: they vouch for no other bytes",
        ));
    }
    warnings
}

/// Only a JPEG with a second picture behind the first (CIPA DC-007, "MPF") has somewhere to keep one.
fn has_gain_map(format: Format, bytes: &[u8]) -> bool {
    format == Format::Jpeg
        && beside::segments(bytes)
            .any(|(marker, body)| marker == 0xE2 && body.starts_with(b"MPF\0"))
        && GAIN_MAPS
            .iter()
            .any(|name| memmem::find(bytes, name).is_some())
}

/// Where each format keeps them: C2PA specification 2.1, A.3.
fn has_credentials(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Jpeg => beside::segments(bytes).any(|(marker, body)| {
            marker == 0xEB && body.starts_with(b"JP") && memmem::find(body, b"c2pa").is_some()
        }),
        Format::Png => beside::png_chunks(bytes).any(|(kind, _)| &kind == b"caBX"),
        Format::Webp => beside::riff_chunks(bytes).any(|(kind, _)| &kind == b"C2PA"),
        Format::Gif => memmem::find(bytes, b"\x21\xFF\x0BC2PA_GIF").is_some(),
        #[cfg(feature = "tiff")]
        Format::Tiff => super::decode::tiff::has(bytes, 52_545),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(segments: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8];
        for (marker, body) in segments {
            let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
            bytes.extend([0xFF, *marker, length[0], length[1]]);
            bytes.extend_from_slice(body);
        }
        bytes.extend([0xFF, 0xDA, 0, 2, 1, 2, 3, 0xFF, 0xD9]);
        bytes
    }

    fn png(kind: [u8; 4]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x02".to_vec();
        bytes.extend(kind);
        bytes.extend_from_slice(b"ab\0\0\0\0");
        bytes
    }

    fn webp(kind: [u8; 4]) -> Vec<u8> {
        let mut bytes = b"RIFF\x18\0\0\0WEBPVP8L\x01\0\0\0x\0".to_vec();
        bytes.extend(kind);
        bytes.extend_from_slice(b"\x01\0\0\0y\0");
        bytes
    }

    fn codes(format: Format, bytes: &[u8]) -> Vec<WarningCode> {
        let warnings = left_behind(format, bytes);
        warnings.into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn a_gain_map_is_told_by_a_second_picture_and_one_of_its_names() {
        let second = jpeg(&[(
            0xE1,
            b"http://ns.adobe.com/xap/1.0/\0<x HDRGainMap:HDRGainMapVersion='1'/>",
        )]);
        let apple = [jpeg(&[(0xE2, b"MPF\0MM")]), second.clone()].concat();
        assert_eq!(codes(Format::Jpeg, &apple), [WarningCode::GainMapDropped]);
        let ultra = jpeg(&[(0xE1, b"..hdrgm:Version=\"1.0\""), (0xE2, b"MPF\0MM")]);
        assert_eq!(codes(Format::Jpeg, &ultra), [WarningCode::GainMapDropped]);
        let preview = [jpeg(&[(0xE2, b"MPF\0MM")]), jpeg(&[])].concat();
        assert_eq!(codes(Format::Jpeg, &preview), []);
        assert_eq!(codes(Format::Jpeg, &[jpeg(&[]), second].concat()), []);
    }

    #[test]
    fn content_credentials_are_told_in_every_format_that_keeps_them() {
        let jumbf = b"JP\0\x01\0\0\0\x01\0\0\x01\0jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10";
        for (format, with, without) in [
            (
                Format::Jpeg,
                jpeg(&[(0xEB, jumbf)]),
                jpeg(&[(0xEB, b"JP\0\x01other")]),
            ),
            (Format::Png, png(*b"caBX"), png(*b"tEXt")),
            (Format::Webp, webp(*b"C2PA"), webp(*b"XMP ")),
            (
                Format::Gif,
                b"GIF89a......\x21\xFF\x0BC2PA_GIF\x01\0\0".to_vec(),
                b"GIF89a......\x21\xFF\x0BNETSCAPE2.0".to_vec(),
            ),
        ] {
            assert_eq!(
                codes(format, &with),
                [WarningCode::CredentialsRemoved],
                "{format}"
            );
            assert_eq!(codes(format, &without), [], "{format}");
        }
    }
}
