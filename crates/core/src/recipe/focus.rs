//! Which part of a picture matters: by a word, by a point, or as its content says.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which part of the picture matters. Written as a word (`top-left`) or as a point (`0.25,0.4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Focus {
    #[default]
    Center,
    Top,
    Bottom,
    Left,
    Right,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
    /// Where most differs: the window in which two points are least likely to have the same
    /// brightness (the greatest collision entropy, Rényi's of order 2, over 32 shades). For `cover`;
    /// `contain` takes it for the center.
    Entropy,
    /// Around this point, as near to the middle as the edges allow. For `cover`; `contain` takes it
    /// for the center.
    Point(FocusPoint),
}

/// Every focus that has a word.
const WORDS: [(&str, Focus); 10] = [
    ("center", Focus::Center),
    ("top", Focus::Top),
    ("bottom", Focus::Bottom),
    ("left", Focus::Left),
    ("right", Focus::Right),
    ("top-left", Focus::TopLeft),
    ("top-right", Focus::TopRight),
    ("bottom-left", Focus::BottomLeft),
    ("bottom-right", Focus::BottomRight),
    ("entropy", Focus::Entropy),
];

impl fmt::Display for Focus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Point(point) = self {
            return point.fmt(f);
        }
        let word = WORDS.iter().find(|(_, focus)| focus == self);
        f.write_str(word.map(|(word, _)| *word).unwrap_or_default())
    }
}

impl FromStr for Focus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, focus)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*focus);
        }
        text.parse().map(Self::Point).map_err(|_| {
            let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
            format!(
                "{text:?} is no focus; write {} or a point such as \"0.25,0.4\"",
                words.join(", ")
            )
        })
    }
}

impl Serialize for Focus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Focus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Focus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Focus".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words = WORDS.map(|(word, _)| word);
        let point = generator.subschema_for::<FocusPoint>();
        schemars::json_schema!({
            "description": "Which part of the picture matters: a word, or a point.",
            "anyOf": [{ "type": "string", "enum": words }, point],
        })
    }
}

/// A point of a picture as its renditions show it (upright), in shares of its width and height:
/// `0,0` is the top left corner, `1,1` the bottom right one. Written `x,y`, kept to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FocusPoint {
    /// In ten-thousandths.
    x: u16,
    y: u16,
}

/// What a coordinate of 1 is kept as.
const WHOLE: u16 = 10_000;

impl FocusPoint {
    /// From the left edge: 0 to 1.
    pub fn x(self) -> f64 {
        f64::from(self.x) / f64::from(WHOLE)
    }

    /// From the top edge: 0 to 1.
    pub fn y(self) -> f64 {
        f64::from(self.y) / f64::from(WHOLE)
    }
}

impl fmt::Display for FocusPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.x(), self.y())
    }
}

impl FromStr for FocusPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |text: &str| {
            let share: f64 = text.trim().parse().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 10,000"
            )]
            (0.0..=1.0)
                .contains(&share)
                .then(|| (share * f64::from(WHOLE)).round() as u16)
        };
        let point = text.split_once(',').and_then(|(x, y)| {
            Some(Self {
                x: share(x)?,
                y: share(y)?,
            })
        });
        point.ok_or_else(|| {
            format!(
                "{text:?} is no point; write two numbers from 0 to 1 with a comma between them, \
                 from the left and from the top, such as \"0.25,0.4\""
            )
        })
    }
}

impl Serialize for FocusPoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FocusPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for FocusPoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FocusPoint".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A point as shares of width and height from the top left corner of the upright picture: \"0.25,0.4\".",
            "type": "string",
            "pattern": r"^\s*(0|1|0?\.[0-9]+|1\.0+)\s*,\s*(0|1|0?\.[0-9]+|1\.0+)\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_focus_reads_back_as_it_was_written() {
        for (word, focus) in WORDS {
            assert_eq!(word.parse(), Ok(focus));
            assert_eq!(focus.to_string(), word);
        }
        for point in ["0.25,0.4", "0,0", "1,1", "0.0001,0.9999"] {
            assert_eq!(
                point.parse::<Focus>().map(|f| f.to_string()),
                Ok(point.to_owned())
            );
        }
        let spaced: FocusPoint = " 0.33333 , .5\n".parse().expect("a point");
        assert_eq!(spaced.to_string(), "0.3333,0.5");
    }

    #[test]
    fn what_is_neither_word_nor_point_is_refused_with_both_ways_to_write_it() {
        for text in [
            "topp", "", "0.5", "0.5,", "1.01,0", "-0.1,0", "NaN,0", "50%,50%", "1,2,3",
        ] {
            let refused = text.parse::<Focus>().expect_err(text);
            assert!(
                refused.contains("top-left") && refused.contains("0.25,0.4"),
                "{refused}"
            );
        }
    }
}
