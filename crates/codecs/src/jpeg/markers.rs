//! The markers of a JPEG file, walked without decoding: to take out what libjpeg only warns about,
//! so that a second look can tell whether anything worse is behind it.

use super::message::Warning;
use crate::Error;

const SOI: u8 = 0xD8;
pub(super) const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;

/// One marker of a file and what it carries.
struct Segment<'a> {
    marker: u8,
    /// Bytes between the end of the segment before and this marker: a scan's data after an SOS,
    /// else nothing of use.
    before: &'a [u8],
    /// What follows the marker and its length; empty for a marker without a length.
    body: &'a [u8],
}

/// Yields the segments in file order, to the first EOI or to where the bytes run out.
struct Walk<'a> {
    bytes: &'a [u8],
    in_scan: bool,
    done: bool,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            in_scan: false,
            done: false,
        }
    }

    /// Where the next marker starts. FF 00 is an escaped data byte, FF FF a fill byte, and restart
    /// markers belong to the scan they are in.
    fn next_marker(&self) -> Option<usize> {
        self.bytes.windows(2).position(|pair| {
            pair[0] == 0xFF
                && !matches!(pair[1], 0x00 | 0xFF)
                && !(self.in_scan && matches!(pair[1], 0xD0..=0xD7))
        })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if self.done {
            return None;
        }
        let start = self.next_marker()?;
        let (before, rest) = self.bytes.split_at(start);
        let (marker, rest) = (rest[1], &rest[2..]);
        self.done = marker == EOI;
        if matches!(marker, 0x01 | 0xD0..=EOI) {
            self.bytes = rest;
            return Some(Segment {
                marker,
                before,
                body: &[],
            });
        }
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let body = rest.get(2..length)?;
        self.bytes = &rest[length..];
        self.in_scan = marker == SOS;
        Some(Segment {
            marker,
            before,
            body,
        })
    }
}

/// Whether the file goes on to its end marker.
pub(super) fn has_end(jpeg: &[u8]) -> bool {
    Walk::new(jpeg).any(|segment| segment.marker == EOI)
}

/// The `count` bytes that libjpeg skipped before the end marker, fill bytes not counted; fewer or
/// none if they aren't in the last scan's data.
pub(super) fn before_end(jpeg: &[u8], count: usize) -> &[u8] {
    let mut in_scan = false;
    for segment in Walk::new(jpeg) {
        if segment.marker == EOI && in_scan {
            let data = without_fill(segment.before);
            return &data[data.len().saturating_sub(count)..];
        }
        in_scan = segment.marker == SOS;
    }
    &[]
}

/// Whether bytes left over at the end of a scan are picture data, which is then corrupt, and not
/// padding: that is short or the same byte over and over.
///
/// For sequential files this is the best sign there is: libjpeg-turbo's fast Huffman decoder takes
/// bad codes without a word, and what comes of it is that the picture is full too early.
pub(super) fn is_picture_data(left_over: &[u8]) -> bool {
    left_over.len() > 16 && left_over.iter().any(|byte| *byte != left_over[0])
}

/// Without the FF bytes that may precede a marker.
fn without_fill(data: &[u8]) -> &[u8] {
    &data[..data
        .iter()
        .rposition(|byte| *byte != 0xFF)
        .map_or(0, |last| last + 1)]
}

/// The start of `jpeg` up to the segment that its end cuts through, which libjpeg would make
/// nonsense of; all of it if there is none such.
pub(super) fn before_cut(jpeg: &[u8]) -> &[u8] {
    let mut walk = Walk::new(jpeg);
    walk.by_ref().for_each(drop);
    let start = jpeg.len() - walk.bytes.len();
    match walk.next_marker() {
        Some(marker) if !walk.done => &jpeg[..start + marker],
        _ => jpeg,
    }
}

/// A copy of `jpeg` without what makes libjpeg give harmless warnings, `warning` among them: bytes
/// between segments, header fields that it can do without, and the bytes it counted before the end
/// marker. Scan data stays as it is, and where the walk ends early the rest is left as it is.
pub(super) fn mended(jpeg: &[u8], warning: &Warning) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    // Every segment comes out no longer than it went in.
    out.try_reserve_exact(jpeg.len())
        .map_err(|_| Error::Memory)?;
    let mut walk = Walk::new(jpeg);
    let (mut in_scan, mut sequential) = (false, true);
    for segment in walk.by_ref() {
        if in_scan {
            let data = match warning {
                Warning::StrayBytes { count, marker: EOI } if segment.marker == EOI => {
                    let data = without_fill(segment.before);
                    &data[..data.len().saturating_sub(*count)]
                }
                _ => segment.before,
            };
            out.extend_from_slice(data);
        }
        out.extend_from_slice(&[0xFF, segment.marker]);
        in_scan = segment.marker == SOS;
        if matches!(segment.marker, 0x01 | SOI | EOI | 0xD0..=0xD7) {
            continue;
        }
        let length = u16::try_from(segment.body.len() + 2).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        let body = out.len();
        out.extend_from_slice(segment.body);
        let body = &mut out[body..];
        match segment.marker {
            // SOF0, SOF1 and SOF9 are sequential, SOF2 and SOF10 progressive.
            0xC0..=0xC3 | 0xC9..=0xCB => sequential = matches!(segment.marker, 0xC0 | 0xC1 | 0xC9),
            APP0 if body.starts_with(b"JFIF\0") && body.len() > 5 => body[5] = 1,
            // An unknown transform is taken for 1 with three components and for 2 with four.
            APP14 if body.starts_with(b"Adobe") && body.len() > 11 && body[11] > 2 => {
                body[11] = if components(jpeg) == 4 { 2 } else { 1 };
            }
            SOS if sequential && body.len() >= 3 => {
                let parameters = body.len() - 3;
                body[parameters..].copy_from_slice(&[0, 63, 0]);
            }
            _ => {}
        }
    }
    if !walk.done {
        out.extend_from_slice(walk.bytes);
    }
    Ok(out)
}

/// The number of components in the frame header; 0 without one.
fn components(jpeg: &[u8]) -> u8 {
    Walk::new(jpeg)
        .find(|segment| matches!(segment.marker, 0xC0..=0xC3 | 0xC9..=0xCB))
        .and_then(|frame| frame.body.get(5).copied())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x08JFIF\0\x01\xFF\xC0\x00\x03x\xFF\xDA\x00\x05\x00\x3F\x00ab\xFF\x00\xFF\xD0c\xFF\xD9";

    #[test]
    fn a_plain_file_is_mended_to_itself() {
        assert_eq!(mended(PLAIN, &Warning::OddField).unwrap(), PLAIN);
        assert!(has_end(PLAIN));
    }

    #[test]
    fn a_file_that_ends_early_keeps_its_rest() {
        for end in 0..PLAIN.len() {
            let cut = &PLAIN[..end];
            assert_eq!(
                mended(cut, &Warning::OddField).unwrap(),
                cut,
                "cut at {end}"
            );
            assert!(!has_end(cut), "cut at {end}");
        }
    }

    #[test]
    fn bytes_between_segments_and_after_the_end_go_and_odd_fields_become_usual() {
        let odd = b"\xFF\xD8xx\xFF\xE0\x00\x08JFIF\0\x07\xFF\x00\xFF\xC0\x00\x03x\xFF\xFF\xDA\x00\x05\x00\x00\x00ab\xFF\x00\xFF\xD0czz\xFF\xD9tail";
        let warning = Warning::StrayBytes {
            count: 2,
            marker: EOI,
        };
        assert_eq!(mended(odd, &warning).unwrap(), PLAIN);
    }
}
