//! The size at which a source is decoded. A JPEG gives an eighth or a quarter of its size for less than
//! half the work, and that is enough for what will be small.
//!
//! Which variant is drawn from which size depends on that variant and the source alone, so that a
//! rendition is the same whatever is made beside it.

use super::geometry::{Crop, Placement};
use super::{Format, Info};
use crate::recipe::{Fit, Focus, Variant};

/// A size to decode at, the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scale {
    Eighth,
    Quarter,
    Full,
}

/// Pixels of the decoded picture that there are at least for each of the rendition, along each side:
/// resampling then sees to it that nothing of the blocks shows.
const LEAST: f64 = 2.5;

impl Scale {
    /// The smallest first.
    pub(crate) const ALL: [Self; 3] = [Self::Eighth, Self::Quarter, Self::Full];

    /// How many pixels of the source, side by side, become one.
    pub(crate) const fn divisor(self) -> u32 {
        match self {
            Self::Eighth => 8,
            Self::Quarter => 4,
            Self::Full => 1,
        }
    }

    /// The smallest one that `variant`, placed so, can be drawn from.
    pub(crate) fn of(variant: &Variant, placement: &Placement, info: &Info) -> Self {
        // Where to look is decided on the full picture.
        let looks = variant.fit == Fit::Cover && variant.focus == Focus::Entropy;
        if info.format != Format::Jpeg || !info.lossy || looks {
            return Self::Full;
        }
        let (width, height) = placement.picture;
        let crop = placement.crop;
        let shrinks = (crop.width / f64::from(width)).min(crop.height / f64::from(height));
        let fits = |scale: &Self| shrinks >= LEAST * f64::from(scale.divisor());
        [Self::Eighth, Self::Quarter]
            .into_iter()
            .find(fits)
            .unwrap_or(Self::Full)
    }

    /// Width and height of a picture of `size` at this scale.
    pub(crate) fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        (
            width.div_ceil(self.divisor()),
            height.div_ceil(self.divisor()),
        )
    }

    /// `placement`, meant for the upright picture of `size`, on that picture at this scale.
    pub(crate) fn placed(
        self,
        placement: &Placement,
        size: (u32, u32),
        orientation: u8,
    ) -> Placement {
        if self == Self::Full {
            return *placement;
        }
        let divisor = f64::from(self.divisor());
        // The last pixel of a row or column may stand for less than the others. As stored it is at the
        // right and at the bottom; turning may have brought it to the left or to the top.
        let (from_left, from_top) = match orientation {
            2 | 6 => (true, false),
            3 | 7 => (true, true),
            4 | 8 => (false, true),
            _ => (false, false),
        };
        let missing =
            |side: u32| f64::from(side.div_ceil(self.divisor())) - f64::from(side) / divisor;
        let before = |is_before: bool, side: u32| if is_before { missing(side) } else { 0.0 };
        let crop = placement.crop;
        Placement {
            crop: Crop {
                left: crop.left / divisor + before(from_left, size.0),
                top: crop.top / divisor + before(from_top, size.1),
                width: crop.width / divisor,
                height: crop.height / divisor,
            },
            ..*placement
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::geometry::place;
    use crate::recipe::OutputFormat;

    fn within(width: u32, height: u32) -> Variant {
        Variant {
            width: Some(width),
            height: Some(height),
            ..Variant::new("v", OutputFormat::Jpeg)
        }
    }

    #[test]
    fn a_crop_keeps_to_its_place_where_the_last_pixel_is_cut() {
        // 17 columns are 3 pixels at an eighth, the last of which stands for one column only.
        let placement = place((17, 16), &within(2, 2), 0);
        let at = |orientation| {
            let placed = Scale::Eighth.placed(&placement, (17, 16), orientation);
            (placed.crop.left, placed.crop.top, placed.crop.width)
        };
        assert_eq!(at(1), (0.0, 0.0, 2.125));
        assert_eq!(at(3), (0.875, 0.0, 2.125));
        assert_eq!(at(8), (0.0, 0.0, 2.125));
        assert_eq!(Scale::Eighth.size((17, 16)), (3, 2));
        assert_eq!(Scale::Full.placed(&placement, (17, 16), 3), placement);
    }
}
