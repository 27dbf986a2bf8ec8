//! What libjpeg's messages mean. `TurboJPEG` gives their text only; the texts are fixed in libjpeg's
//! `jerror.h`.

use super::{Damage, MAX_SIDE};
use crate::Error;

/// Why a call into the library didn't end well.
#[derive(Debug)]
pub(super) enum Failure {
    /// It gave up.
    Fatal(Error),
    /// It warned: at the first warning it stopped if told to, else it went on to the end.
    Warning(Warning),
}

/// The first warning of a call; the library counts the others without telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Warning {
    /// Part of the picture is missing or wrong.
    Damaging(Damage, String),
    /// Bytes that belong to nothing lie before a marker.
    StrayBytes { count: usize, marker: u8 },
    /// A header field has a value that libjpeg can do without.
    OddField,
}

const EOF: &str = "Premature end of JPEG file";

/// Sorts a message of a failed call.
///
/// The text and not the library's error code decides: after a warning the code stays "warning" even
/// if the library then gives up.
pub(super) fn failure(text: String) -> Failure {
    if let Some(warning) = warning(&text) {
        return Failure::Warning(warning);
    }
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    Failure::Fatal(
        if has(&["Insufficient memory", "Memory allocation failure"]) {
            Error::Memory
        } else if has(&["Memory limit exceeded"]) {
            Error::LimitExceeded("libjpeg's working memory for this picture".to_owned())
        } else if has(&["image has more than"]) {
            Error::LimitExceeded(text)
        } else if has(&["Maximum supported image dimension", "Image too wide"]) {
            Error::TooLarge {
                format: "JPEG",
                side: 0,
                max: MAX_SIDE,
            }
        } else if has(&["Empty input file", "Premature end of input file"]) {
            Error::Truncated
        } else if has(&[
            "Unsupported JPEG",
            "Unsupported color",
            "Unsupported marker",
            "not implemented",
            "not supported",
            "Could not determine colorspace",
            "Too many color components",
            "omitted at compile time",
        ]) {
            Error::Unsupported(text)
        } else {
            Error::Corrupt(text)
        },
    )
}

fn warning(text: &str) -> Option<Warning> {
    if text == EOF {
        return Some(Warning::Damaging(Damage::Truncated, text.to_owned()));
    }
    if let Some(stray) = stray_bytes(text) {
        return Some(match stray {
            // Inside a scan: entropy-coded data and restart markers no longer agree.
            Warning::StrayBytes {
                marker: 0xD0..=0xD7,
                ..
            } => Warning::Damaging(Damage::Corrupt, text.to_owned()),
            stray => stray,
        });
    }
    let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    if starts(&[
        "Unknown Adobe color transform code",
        "Warning: unknown JFIF revision number",
        "Corrupt JPEG data: bad ICC marker",
        // "There are some baseline files out there with all zeroes in these bytes" (jdhuff.c).
        "Invalid SOS parameters for sequential JPEG",
    ]) {
        return Some(Warning::OddField);
    }
    // Bad Huffman and arithmetic codes, a data segment cut short, restart markers out of order,
    // scans that contradict each other.
    starts(&["Corrupt JPEG data", "Inconsistent progression sequence"])
        .then(|| Warning::Damaging(Damage::Corrupt, text.to_owned()))
}

/// Reads "Corrupt JPEG data: 3 extraneous bytes before marker 0xd9".
pub(super) fn stray_bytes(text: &str) -> Option<Warning> {
    let rest = text.strip_prefix("Corrupt JPEG data: ")?;
    let (count, marker) = rest.split_once(" extraneous bytes before marker 0x")?;
    Some(Warning::StrayBytes {
        count: count.parse().ok()?,
        marker: u8::from_str_radix(marker, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted_by_what_they_mean_for_the_picture() {
        for (text, expected) in [
            (
                "Corrupt JPEG data: 12 extraneous bytes before marker 0xd9",
                Some(Warning::StrayBytes {
                    count: 12,
                    marker: 0xD9,
                }),
            ),
            (
                "Unknown Adobe color transform code 7",
                Some(Warning::OddField),
            ),
            (
                "Warning: unknown JFIF revision number 2.01",
                Some(Warning::OddField),
            ),
            ("Sorry, there is no such message", None),
        ] {
            assert_eq!(warning(text), expected, "{text}");
        }
        for text in [
            "Corrupt JPEG data: bad Huffman code",
            "Corrupt JPEG data: premature end of data segment",
            "Corrupt JPEG data: found marker 0xd4 instead of RST3",
            "Corrupt JPEG data: 4 extraneous bytes before marker 0xd3",
            "Inconsistent progression sequence for component 0 coefficient 1",
        ] {
            assert!(
                matches!(warning(text), Some(Warning::Damaging(Damage::Corrupt, _))),
                "{text}"
            );
        }
        assert!(matches!(
            warning(EOF),
            Some(Warning::Damaging(Damage::Truncated, _))
        ));
    }
}
