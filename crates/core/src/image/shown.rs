//! What a rendition shows of its source, told afterwards from their sizes.

use super::geometry::{Placement, focus_of, place};
use crate::manifest::{RenditionRecord, SourceRecord};
use crate::recipe::{Focus, OrientationRule, Recipe, Variant};

/// A part of a picture, in shares of its width and height: the whole is 0, 0, 1, 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// From the left edge to the part's left edge: 0 to 1.
    pub left: f64,
    /// From the top edge to the part's top edge: 0 to 1.
    pub top: f64,
    /// Of the picture's width: more than 0, at most 1.
    pub width: f64,
    /// Of the picture's height: more than 0, at most 1.
    pub height: f64,
}

impl Part {
    /// All of the picture.
    pub const WHOLE: Self = Self {
        left: 0.0,
        top: 0.0,
        width: 1.0,
        height: 1.0,
    };
}

/// What a rendition shows of its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The part of the upright source that is seen: less than the whole where `cover` cropped it.
    pub source: Part,
    /// Where it lies in the rendition: less than the whole where `contain` put background around it.
    pub rendition: Part,
    /// The point of the source, as shares from the left and the top, that the crop lies around; none where nothing
    /// is cropped.
    pub focus: Option<(f64, f64)>,
}

/// What `rendition` shows of `source`, if `variant` of `recipe` is what it was made by.
///
/// None where sizes alone don't tell: the content decided (`focus = "entropy"`), the sizes are not those that this
/// recipe gives, or the source's orientation was ignored and it is not known which way it lies.
pub fn shown(
    recipe: &Recipe,
    variant: &Variant,
    source: &SourceRecord,
    rendition: &RenditionRecord,
) -> Option<Shown> {
    let mut variant = variant.clone();
    if let Some(point) = source.focus_point {
        variant.turn_to(point);
    }
    let upright = (source.width, source.height);
    let mut ways = vec![upright];
    if recipe.source.orientation == OrientationRule::Ignore {
        ways.push((upright.1, upright.0));
    }
    let mut found = None;
    for size in ways {
        let placement = place(size, &variant, recipe.source.max_side);
        if placement.canvas != (rendition.width, rendition.height) {
            continue;
        }
        let shown = of_placement(&placement, size, variant.focus)?;
        if found.is_some_and(|other| other != shown) {
            return None;
        }
        found = Some(shown);
    }
    found
}

fn of_placement(placement: &Placement, source: (u32, u32), focus: Focus) -> Option<Shown> {
    let crop = placement.crop;
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    let is_cropped = crop.width < width || crop.height < height;
    let focus = match focus {
        _ if !is_cropped => None,
        Focus::Entropy => return None,
        Focus::Point(point) => Some((point.x(), point.y())),
        word => {
            let (x, y) = focus_of(word);
            Some((f64::from(x) / 2.0, f64::from(y) / 2.0))
        }
    };
    let canvas = (f64::from(placement.canvas.0), f64::from(placement.canvas.1));
    Some(Shown {
        source: Part {
            left: crop.left / width,
            top: crop.top / height,
            width: crop.width / width,
            height: crop.height / height,
        },
        rendition: Part {
            left: f64::from(placement.at.0) / canvas.0,
            top: f64::from(placement.at.1) / canvas.1,
            width: f64::from(placement.picture.0) / canvas.0,
            height: f64::from(placement.picture.1) / canvas.1,
        },
        focus,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Format;
    use crate::recipe::{Fit, OutputFormat};

    fn source(width: u32, height: u32) -> SourceRecord {
        SourceRecord {
            key: "k".to_owned(),
            bytes: 1,
            sha256: String::new(),
            format: Format::Jpeg,
            width,
            height,
            frames: 1,
            alpha: false,
            profile: None,
            focus_point: None,
            placeholder: None,
        }
    }

    fn rendition(width: u32, height: u32) -> RenditionRecord {
        RenditionRecord {
            key: "k/v.png".to_owned(),
            content_type: "image/png".to_owned(),
            width,
            height,
            bytes: 1,
            sha256: String::new(),
            quality: None,
        }
    }

    fn square(fit: Fit, focus: Focus) -> (Recipe, Variant) {
        let variant = Variant {
            width: Some(100),
            height: Some(100),
            fit,
            focus,
            ..Variant::new("v", OutputFormat::Png)
        };
        let recipe = Recipe::single(variant.clone()).expect("a recipe");
        (recipe, variant)
    }

    #[test]
    fn a_cover_crop_is_told_with_the_point_that_it_lies_around() {
        let part = |focus, record: &SourceRecord| {
            let (recipe, variant) = square(Fit::Cover, focus);
            let shown = shown(&recipe, &variant, record, &rendition(100, 100)).expect("a crop");
            assert_eq!(shown.rendition, Part::WHOLE);
            (shown.source.left, shown.source.width, shown.focus)
        };
        let wide = source(400, 200);
        assert_eq!(part(Focus::Left, &wide), (0.0, 0.5, Some((0.0, 0.5))));
        assert_eq!(part(Focus::Center, &wide), (0.25, 0.5, Some((0.5, 0.5))));
        let mut pointed = wide;
        pointed.focus_point = "0.6,0.4".parse().ok();
        // The point that came with the source goes before the recipe's word.
        let (left, width, focus) = part(Focus::Left, &pointed);
        assert!((left - 0.35).abs() < 1e-9 && (width - 0.5).abs() < 1e-9);
        assert_eq!(focus, Some((0.6, 0.4)));
    }

    #[test]
    fn contain_shows_the_whole_in_a_part_of_the_rendition() {
        let (recipe, variant) = square(Fit::Contain, Focus::Center);
        let shown = shown(&recipe, &variant, &source(400, 200), &rendition(100, 100));
        let shown = shown.expect("it is known");
        assert_eq!((shown.source, shown.focus), (Part::WHOLE, None));
        let middle = Part {
            top: 0.25,
            height: 0.5,
            ..Part::WHOLE
        };
        assert_eq!(shown.rendition, middle);
    }

    #[test]
    fn what_sizes_do_not_tell_is_not_guessed() {
        let (recipe, variant) = square(Fit::Cover, Focus::Entropy);
        let known = |source: &SourceRecord, rendition: &RenditionRecord| {
            shown(&recipe, &variant, source, rendition)
        };
        assert_eq!(known(&source(400, 200), &rendition(100, 100)), None);
        assert_eq!(known(&source(200, 200), &rendition(90, 90)), None);
        let whole = known(&source(200, 200), &rendition(100, 100));
        assert_eq!(whole.map(|shown| shown.source), Some(Part::WHOLE));
    }

    #[test]
    fn an_ignored_orientation_is_tried_both_ways() {
        let (mut recipe, variant) = square(Fit::Cover, Focus::Left);
        recipe.source.orientation = OrientationRule::Ignore;
        // A square of either way: from the left, or from the middle of the height.
        let both = shown(&recipe, &variant, &source(400, 200), &rendition(100, 100));
        assert_eq!(both, None);
        let plain = Variant::new("v", OutputFormat::Png);
        let lying = shown(&recipe, &plain, &source(400, 200), &rendition(200, 400));
        assert_eq!(lying.map(|shown| shown.source), Some(Part::WHOLE));
    }
}
