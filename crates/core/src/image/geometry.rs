//! Where a picture goes in its rendition: pure arithmetic on sizes.
//!
//! Without `enlarge`, no pixel of a rendition shows less than a pixel of the source, and each fit
//! treats a source that is too small for the box in its own way:
//!
//! - `inside` and `outside`: the picture stays as it is;
//! - `cover`: the largest part of the picture with the box's proportions, at its own size;
//! - `contain`: the box in full, the picture in it at its own size, the rest background;
//! - `fill`: each side on its own is at most the source's.

use crate::recipe::{Fit, Focus, Variant};

/// A part of the source, in source pixels; may begin and end between two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// How a rendition is made of a source: `crop` of it, resampled to `picture`, put on a `canvas` at `at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    pub(crate) crop: Crop,
    pub(crate) picture: (u32, u32),
    /// The rendition's size: larger than `picture` only where `contain` pads.
    pub(crate) canvas: (u32, u32),
    pub(crate) at: (u32, u32),
    /// Whether the cap on sides made the rendition smaller than asked.
    pub(crate) capped: bool,
}

impl Placement {
    /// Whether pixels have to be computed, not only copied.
    #[expect(
        clippy::float_cmp,
        reason = "whole numbers are exact, and anything else is to be resampled"
    )]
    pub(crate) fn resamples(&self) -> bool {
        self.crop.width != f64::from(self.picture.0)
            || self.crop.height != f64::from(self.picture.1)
            || self.crop.left.fract() != 0.0
            || self.crop.top.fract() != 0.0
    }

    /// Whether the rendition is the source, pixel for pixel.
    pub(crate) fn keeps_all(&self, source: (u32, u32)) -> bool {
        !self.resamples() && self.picture == source && self.canvas == source
    }
}

/// Where `source` (width and height as shown, at least 1) goes in `variant`'s rendition, no side of
/// which is longer than `max_side` (0: no cap).
pub(crate) fn place(source: (u32, u32), variant: &Variant, max_side: u32) -> Placement {
    let wanted = (
        variant.width.unwrap_or(source.0),
        variant.height.unwrap_or(source.1),
    );
    match variant.fit {
        Fit::Inside | Fit::Outside => scaled(source, variant, max_side),
        Fit::Cover => {
            let (bounds, capped) = cap(wanted, max_side);
            let covered = cover(source, bounds, variant.focus, variant.enlarge);
            // A source too small for the box is not made smaller by a cap above its own size.
            let asked = cover(source, wanted, variant.focus, variant.enlarge).canvas;
            Placement {
                capped: capped && covered.canvas != asked,
                ..covered
            }
        }
        Fit::Contain => {
            let (canvas, capped) = cap(wanted, max_side);
            let fitted = inside(source, canvas);
            let picture = if grows(source, fitted) && !variant.enlarge {
                source
            } else {
                fitted
            };
            let (fx, fy) = focus_of(variant.focus);
            Placement {
                crop: whole(source),
                picture,
                canvas,
                at: (
                    share(canvas.0 - picture.0, fx),
                    share(canvas.1 - picture.1, fy),
                ),
                capped,
            }
        }
        Fit::Fill => {
            let asked = if variant.enlarge {
                wanted
            } else {
                (wanted.0.min(source.0), wanted.1.min(source.1))
            };
            let (picture, capped) = cap(asked, max_side);
            uncropped(source, picture, capped)
        }
    }
}

/// Why the member of a family of widths is left out: it would hardly be wider than a smaller one.
pub(crate) fn near_duplicate(
    source: (u32, u32),
    variant: &Variant,
    max_side: u32,
) -> Option<String> {
    let mut kept: Option<u32> = None;
    for width in &variant.widths {
        let member = Variant {
            width: Some(*width),
            ..variant.clone()
        };
        let real = place(source, &member, max_side).canvas.0;
        match kept {
            // Less than a tenth wider.
            Some(last) if u64::from(real) * 10 < u64::from(last) * 11 => {
                if variant.width == Some(*width) {
                    return Some(format!(
                        "it would be {real} pixels wide, and one of {last} pixels is there already"
                    ));
                }
            }
            _ => kept = Some(real),
        }
    }
    None
}

fn scaled(source: (u32, u32), variant: &Variant, max_side: u32) -> Placement {
    let bounds = match (variant.width, variant.height) {
        (None, None) => source,
        (Some(width), None) => (width, u32::MAX),
        (None, Some(height)) => (u32::MAX, height),
        (Some(width), Some(height)) => (width, height),
    };
    let one_bound = variant.width.is_none() || variant.height.is_none();
    let fitted = if variant.fit == Fit::Outside && !one_bound {
        outside(source, bounds)
    } else {
        inside(source, bounds)
    };
    let asked = if grows(source, fitted) && !variant.enlarge {
        source
    } else {
        fitted
    };
    if max_side > 0 && asked.0.max(asked.1) > max_side {
        uncropped(source, inside(source, (max_side, max_side)), true)
    } else {
        uncropped(source, asked, false)
    }
}

/// The largest part of `source` with the proportions of `bounds`, at that size or, if it is
/// smaller and may not grow, at its own.
fn cover(source: (u32, u32), bounds: (u32, u32), focus: Focus, enlarge: bool) -> Placement {
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    if !enlarge && (bounds.0 > source.0 || bounds.1 > source.1) {
        // Whole pixels, so that nothing is resampled.
        let part = inside(bounds, source);
        let size = (f64::from(part.0), f64::from(part.1));
        let (left, top) = corner((width, height), size, focus);
        return Placement {
            crop: Crop {
                left: left.floor(),
                top: top.floor(),
                width: size.0,
                height: size.1,
            },
            picture: part,
            canvas: part,
            at: (0, 0),
            capped: false,
        };
    }
    let ratio = f64::from(bounds.0) / f64::from(bounds.1);
    let too_wide =
        u64::from(source.0) * u64::from(bounds.1) > u64::from(source.1) * u64::from(bounds.0);
    let (part_width, part_height) = if too_wide {
        ((height * ratio).clamp(1.0, width), height)
    } else {
        (width, (width / ratio).clamp(1.0, height))
    };
    let (left, top) = corner((width, height), (part_width, part_height), focus);
    Placement {
        crop: Crop {
            left,
            top,
            // Rounding must not carry the far edge out of the source.
            width: part_width.min(width - left),
            height: part_height.min(height - top),
        },
        picture: bounds,
        canvas: bounds,
        at: (0, 0),
        capped: false,
    }
}

/// The left and the top edge of a part of a picture, both sizes in pixels.
fn corner(whole: (f64, f64), part: (f64, f64), focus: Focus) -> (f64, f64) {
    let room = (whole.0 - part.0, whole.1 - part.1);
    if let Focus::Point(point) = focus {
        let edge = |at: f64, part: f64, room: f64| (at - part / 2.0).clamp(0.0, room);
        return (
            edge(whole.0 * point.x(), part.0, room.0),
            edge(whole.1 * point.y(), part.1, room.1),
        );
    }
    let (fx, fy) = focus_of(focus);
    (room.0 * f64::from(fx) / 2.0, room.1 * f64::from(fy) / 2.0)
}

fn uncropped(source: (u32, u32), picture: (u32, u32), capped: bool) -> Placement {
    Placement {
        crop: whole(source),
        picture,
        canvas: picture,
        at: (0, 0),
        capped,
    }
}

fn whole(source: (u32, u32)) -> Crop {
    Crop {
        left: 0.0,
        top: 0.0,
        width: f64::from(source.0),
        height: f64::from(source.1),
    }
}

/// The size with the proportions of `size` that is as large as `bounds` allow.
fn inside(size: (u32, u32), bounds: (u32, u32)) -> (u32, u32) {
    if is_wider(size, bounds) {
        (bounds.0, proportional(size.1, bounds.0, size.0))
    } else {
        (proportional(size.0, bounds.1, size.1), bounds.1)
    }
}

/// The size with the proportions of `size` that is as small as `bounds` allow.
fn outside(size: (u32, u32), bounds: (u32, u32)) -> (u32, u32) {
    if is_wider(size, bounds) {
        (proportional(size.0, bounds.1, size.1), bounds.1)
    } else {
        (bounds.0, proportional(size.1, bounds.0, size.0))
    }
}

fn is_wider(size: (u32, u32), bounds: (u32, u32)) -> bool {
    u64::from(size.0) * u64::from(bounds.1) >= u64::from(size.1) * u64::from(bounds.0)
}

fn grows(source: (u32, u32), size: (u32, u32)) -> bool {
    size.0 > source.0 || size.1 > source.1
}

/// `bounds` with the longest side at most `max_side`, and whether that changed them.
fn cap(bounds: (u32, u32), max_side: u32) -> ((u32, u32), bool) {
    if max_side > 0 && bounds.0.max(bounds.1) > max_side {
        (inside(bounds, (max_side, max_side)), true)
    } else {
        (bounds, false)
    }
}

/// `side * up / down`, rounded to nearest, at least 1.
fn proportional(side: u32, up: u32, down: u32) -> u32 {
    let (side, up, down) = (u128::from(side), u128::from(up), u128::from(down));
    let rounded = (2 * side * up + down) / (2 * down);
    u32::try_from(rounded.max(1)).unwrap_or(u32::MAX)
}

/// Where the focus lies, left to right and top to bottom, in halves.
pub(crate) fn focus_of(focus: Focus) -> (u8, u8) {
    match focus {
        // Entropy is looked for once there are pixels; until then, and without any, it is the center.
        Focus::Center | Focus::Entropy | Focus::Point(_) => (1, 1),
        Focus::Top => (1, 0),
        Focus::Bottom => (1, 2),
        Focus::Left => (0, 1),
        Focus::Right => (2, 1),
        Focus::TopLeft => (0, 0),
        Focus::TopRight => (2, 0),
        Focus::BottomLeft => (0, 2),
        Focus::BottomRight => (2, 2),
    }
}

/// What of `room` comes before: nothing, half (rounded down) or all of it.
fn share(room: u32, halves: u8) -> u32 {
    match halves {
        0 => 0,
        1 => room / 2,
        _ => room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::OutputFormat;
    use proptest::prelude::*;

    fn variant(width: Option<u32>, height: Option<u32>, fit: Fit) -> Variant {
        Variant {
            width,
            height,
            fit,
            ..Variant::new("v", OutputFormat::Png)
        }
    }

    fn size(source: (u32, u32), variant: &Variant) -> (u32, u32) {
        place(source, variant, 0).canvas
    }

    #[test]
    fn inside_and_outside_keep_proportions_and_never_enlarge_unasked() {
        let inside = variant(Some(300), Some(300), Fit::Inside);
        assert_eq!(size((4000, 3000), &inside), (300, 225));
        assert_eq!(size((3000, 4000), &inside), (225, 300));
        assert_eq!(size((200, 100), &inside), (200, 100));
        let grown = Variant {
            enlarge: true,
            ..inside
        };
        assert_eq!(size((200, 100), &grown), (300, 150));
        let outside = variant(Some(300), Some(300), Fit::Outside);
        assert_eq!(size((4000, 3000), &outside), (400, 300));
        assert_eq!(size((400, 200), &outside), (400, 200));
        assert_eq!(
            size((1000, 500), &variant(Some(100), None, Fit::Outside)),
            (100, 50)
        );
        assert_eq!(
            size((1000, 500), &variant(None, Some(100), Fit::Inside)),
            (200, 100)
        );
    }

    #[test]
    fn a_very_thin_picture_still_has_a_row() {
        let thumbnail = variant(Some(300), Some(300), Fit::Inside);
        assert_eq!(size((20000, 2), &thumbnail), (300, 1));
        assert_eq!(size((2, 20000), &thumbnail), (1, 300));
        for fit in [Fit::Cover, Fit::Contain, Fit::Fill, Fit::Outside] {
            for enlarge in [false, true] {
                let variant = Variant {
                    enlarge,
                    ..variant(Some(1), Some(300), fit)
                };
                let placed = place((20000, 2), &variant, 0);
                assert!(placed.picture.0 > 0 && placed.picture.1 > 0, "{placed:?}");
            }
        }
    }

    #[test]
    fn cover_keeps_the_part_in_focus() {
        let box_of = |focus| Variant {
            focus,
            ..variant(Some(100), Some(100), Fit::Cover)
        };
        let left = |focus| place((400, 200), &box_of(focus), 0).crop.left;
        assert!((left(Focus::Center) - 100.0).abs() < 1e-9);
        assert!(left(Focus::TopLeft).abs() < 1e-9);
        assert!((left(Focus::Right) - 200.0).abs() < 1e-9);
        let top = |focus| place((200, 400), &box_of(focus), 0).crop.top;
        assert!(top(Focus::Top).abs() < 1e-9);
        assert!((top(Focus::Bottom) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn a_source_too_small_to_cover_is_cropped_to_the_proportions_at_its_own_size() {
        let square = variant(Some(300), Some(300), Fit::Cover);
        let placed = place((400, 100), &square, 0);
        assert_eq!(placed.canvas, (100, 100));
        assert!(!placed.resamples());
        assert!((placed.crop.left - 150.0).abs() < 1e-9);
    }

    #[test]
    fn contain_always_gives_the_whole_box_and_fill_its_sides() {
        let contain = variant(Some(300), Some(200), Fit::Contain);
        let placed = place((100, 50), &contain, 0);
        assert_eq!(
            (placed.canvas, placed.picture, placed.at),
            ((300, 200), (100, 50), (100, 75))
        );
        let placed = place((3000, 3000), &contain, 0);
        assert_eq!((placed.picture, placed.at), ((200, 200), (50, 0)));
        let fill = variant(Some(300), Some(200), Fit::Fill);
        assert_eq!(size((1000, 1000), &fill), (300, 200));
        assert_eq!(size((1000, 100), &fill), (300, 100));
    }

    #[test]
    fn the_cap_holds_for_every_rendition_and_is_told() {
        let plain = variant(None, None, Fit::Inside);
        let placed = place((6000, 4000), &plain, 4096);
        assert_eq!((placed.canvas, placed.capped), ((4096, 2731), true));
        assert!(!place((4096, 4000), &plain, 4096).capped);
        let small = variant(Some(300), Some(300), Fit::Inside);
        assert!(!place((6000, 4000), &small, 4096).capped);
        let cover = variant(Some(5000), Some(1000), Fit::Cover);
        let placed = place((6000, 4000), &cover, 1000);
        assert_eq!((placed.canvas, placed.capped), ((1000, 200), true));
        assert!(!place((200, 200), &cover, 1000).capped);
    }

    fn any_fit() -> impl Strategy<Value = Fit> {
        prop_oneof![
            Just(Fit::Inside),
            Just(Fit::Outside),
            Just(Fit::Cover),
            Just(Fit::Contain),
            Just(Fit::Fill)
        ]
    }

    fn any_focus() -> impl Strategy<Value = Focus> {
        prop_oneof![
            Just(Focus::Center),
            Just(Focus::TopLeft),
            Just(Focus::BottomRight),
            Just(Focus::Left)
        ]
    }

    fn any_side() -> impl Strategy<Value = u32> {
        prop_oneof![1..10u32, 1..3000u32, 1..0x7fff_ffffu32]
    }

    proptest! {
        #[test]
        fn every_placement_lies_within_its_source_and_its_canvas(
            source in (any_side(), any_side()),
            bounds in (any_side(), any_side()),
            fit in any_fit(),
            focus in any_focus(),
            enlarge: bool,
            max_side in prop_oneof![Just(0), 1..5000u32],
        ) {
            let variant = Variant { focus, enlarge, ..variant(Some(bounds.0), Some(bounds.1), fit) };
            let placed = place(source, &variant, max_side);
            let Placement { crop, picture, canvas, at, .. } = placed;
            prop_assert!(crop.left >= 0.0 && crop.top >= 0.0);
            prop_assert!(crop.width > 0.0 && crop.height > 0.0);
            prop_assert!(crop.left + crop.width <= f64::from(source.0));
            prop_assert!(crop.top + crop.height <= f64::from(source.1));
            prop_assert!(picture.0 >= 1 && picture.1 >= 1);
            prop_assert!(at.0 + picture.0 <= canvas.0 && at.1 + picture.1 <= canvas.1);
            if max_side > 0 {
                prop_assert!(canvas.0 <= max_side && canvas.1 <= max_side);
            }
            if !enlarge {
                prop_assert!(picture.0 <= source.0 && picture.1 <= source.1);
            }
            if fit != Fit::Outside && (fit != Fit::Inside || enlarge || placed.picture != source) {
                prop_assert!(canvas.0 <= bounds.0 && canvas.1 <= bounds.1);
            }
            if max_side == 0 && fit == Fit::Contain {
                prop_assert_eq!(canvas, bounds);
            }
        }

        #[test]
        fn proportions_hold_to_within_half_a_pixel(
            source in (1..5000u32, 1..5000u32),
            bounds in (1..5000u32, 1..5000u32),
        ) {
            let variant = variant(Some(bounds.0), Some(bounds.1), Fit::Inside);
            let (width, height) = size(source, &variant);
            let exact = f64::from(width) * f64::from(source.1) / f64::from(source.0);
            let other = f64::from(height) * f64::from(source.0) / f64::from(source.1);
            let near = |a: f64, b: u32| (a - f64::from(b)).abs() <= 0.5 + 1e-9 || b == 1;
            prop_assert!(near(exact, height) || near(other, width));
        }
    }
}
