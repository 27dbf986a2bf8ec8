//! The frames of an animation, one after the other: each a whole picture, as a player shows it.
//!
//! Formats store parts of frames and say how to lay them over what is there. That is done here, once
//! for all formats and without rounding twice, because the decoders differ in what they get right.

use std::time::Duration;

use super::Header;
use crate::error::ImageError;
use crate::image::Format;
use crate::image::picture::{Layout, Picture};

/// One frame as it is shown.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The whole canvas, with alpha.
    pub(crate) picture: Picture,
    pub(crate) delay: Duration,
}

/// An animation that is decoded as it goes: never more than a few pictures of it are in memory.
pub(crate) struct Frames<'a> {
    parts: Box<dyn Parts + 'a>,
    canvas: Canvas,
    /// How often it is played; 0: for ever.
    pub(crate) plays: u32,
    /// A PNG's picture for programs that don't show animations, where it is not a frame of it.
    pub(crate) poster: Option<Picture>,
}

/// What a format stores: one implementation for each that has animations.
pub(super) trait Parts {
    /// The next part; none after the last one. Fails where the file is damaged or cut short.
    fn next(&mut self) -> Result<Option<Part>, ImageError>;
}

/// The parts of a file, how often they are played, and the picture that stands in for them.
type Opened<'a> = (Box<dyn Parts + 'a>, u32, Option<Picture>);

fn open(format: Format, bytes: &[u8]) -> Result<Opened<'_>, ImageError> {
    match format {
        #[cfg(feature = "gif")]
        Format::Gif => {
            let parts = super::gif::GifParts::open(bytes)?;
            let plays = parts.plays();
            Ok((Box::new(parts), plays, None))
        }
        #[cfg(feature = "png")]
        Format::Png => {
            let (parts, poster) = super::png::PngParts::open(bytes)?;
            let plays = parts.plays();
            Ok((Box::new(parts), plays, poster))
        }
        #[cfg(feature = "webp")]
        Format::Webp => {
            let parts = super::webp::WebpParts::open(bytes);
            let plays = parts.plays();
            Ok((Box::new(parts), plays, None))
        }
        other => {
            let _ = bytes;
            Err(ImageError::Corrupt {
                detail: format!("{other} has no frames"),
            })
        }
    }
}

/// Whether files of `format` can be animated.
pub(crate) fn are_in(format: Format) -> bool {
    matches!(format, Format::Gif | Format::Png | Format::Webp)
}

/// What is drawn on the canvas for one frame.
pub(super) struct Part {
    pub(super) at: (u32, u32),
    /// In the canvas's own layout.
    pub(super) pixels: Picture,
    pub(super) blend: bool,
    /// What becomes of the part's place before the next frame is drawn.
    pub(super) after: After,
    pub(super) delay: Duration,
}

/// What becomes of a frame's place when its time is over.
#[cfg_attr(
    not(any(test, feature = "gif", feature = "png")),
    expect(dead_code, reason = "WebP does not know them all")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It stays.
    Stays,
    /// It is cleared, to transparent: that is what browsers do in all three formats.
    Cleared,
    /// What was there before comes back.
    Before,
}

impl<'a> Frames<'a> {
    /// The frames of `bytes`, whose `header` has been held against the limits.
    pub(crate) fn open(
        format: Format,
        bytes: &'a [u8],
        header: &Header,
    ) -> Result<Self, ImageError> {
        let size = (header.width, header.height);
        let layout = match header.color {
            crate::image::ColorModel::Gray => Layout::GrayAlpha,
            _ => Layout::Rgba,
        };
        let (parts, plays, poster) = open(format, bytes)?;
        Ok(Self {
            parts,
            canvas: Canvas::new(size, layout)?,
            plays,
            poster,
        })
    }

    /// The next frame; none after the last one. Fails where the file is damaged or cut short, and
    /// then there is nothing more to be had.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, ImageError> {
        let Some(part) = self.parts.next()? else {
            return Ok(None);
        };
        let delay = part.delay;
        self.canvas.draw(&part)?;
        Ok(Some(Frame {
            picture: self.canvas.picture.clone(),
            delay,
        }))
    }
}

/// What a player shows.
struct Canvas {
    picture: Picture,
    is_blank: bool,
    /// The latest part's place, what becomes of it, and what was there before if that comes back.
    latest: Option<(Place, After, Option<Picture>)>,
}

/// A rectangle that lies on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    fn new(size: (u32, u32), layout: Layout) -> Result<Self, ImageError> {
        Ok(Self {
            picture: Picture::blank(size, layout)?,
            is_blank: true,
            latest: None,
        })
    }

    fn draw(&mut self, part: &Part) -> Result<(), ImageError> {
        match self.latest.take() {
            Some((place, After::Cleared, _)) => self.rows(place).for_each(|row| row.fill(0)),
            Some((place, After::Before, Some(before))) => {
                let stride = before.stride();
                let from = before.data.chunks_exact(stride);
                for (to, from) in self.rows(place).zip(from) {
                    to.copy_from_slice(from);
                }
            }
            _ => {}
        }
        let place = self.place(part);
        let before = match part.after {
            After::Before if place.width > 0 && place.height > 0 => Some(self.copy(place)?),
            _ => None,
        };
        let (stride, channels) = (part.pixels.stride(), part.pixels.layout.channels());
        // On a blank canvas there is nothing to blend with, and hidden colors stay as they are stored.
        let blend = part.blend && !self.is_blank;
        for (to, from) in self.rows(place).zip(part.pixels.data.chunks_exact(stride)) {
            let from = &from[..to.len()];
            if blend {
                let pixels = to.chunks_exact_mut(channels);
                for (below, over) in pixels.zip(from.chunks_exact(channels)) {
                    lay_over(below, over);
                }
            } else {
                to.copy_from_slice(from);
            }
        }
        self.is_blank = false;
        self.latest = Some((place, part.after, before));
        Ok(())
    }

    /// Where `part` lies; what sticks out is cut off.
    fn place(&self, part: &Part) -> Place {
        let (width, height) = self.picture.size();
        let ((left, top), (wide, high)) = (part.at, part.pixels.size());
        Place {
            left: left.min(width) as usize,
            top: top.min(height) as usize,
            width: wide.min(width.saturating_sub(left)) as usize,
            height: high.min(height.saturating_sub(top)) as usize,
        }
    }

    /// The rows of `place`, none where it is empty.
    fn rows(&mut self, place: Place) -> impl Iterator<Item = &mut [u8]> {
        let (stride, channels) = (self.picture.stride(), self.picture.layout.channels());
        let from = place.left * channels..(place.left + place.width) * channels;
        let rows = self.picture.data.chunks_exact_mut(stride);
        let rows = rows.skip(place.top).take(place.height);
        rows.map(move |row| &mut row[from.clone()])
    }

    fn copy(&mut self, place: Place) -> Result<Picture, ImageError> {
        let pixels = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let size = (pixels(place.width), pixels(place.height));
        let mut copy = Picture::blank(size, self.picture.layout)?;
        let stride = copy.stride();
        for (to, from) in copy.data.chunks_exact_mut(stride).zip(self.rows(place)) {
            to.copy_from_slice(from);
        }
        Ok(copy)
    }
}

/// Lays one pixel over another, the last sample of each being alpha that is not multiplied into the
/// others. Each sample is rounded once, to nearest.
fn lay_over(below: &mut [u8], over: &[u8]) {
    let alpha = |pixel: &[u8]| u32::from(pixel[pixel.len() - 1]);
    let (top, bottom) = (alpha(over), alpha(below));
    match (top, bottom) {
        (0, _) => return,
        (255, _) | (_, 0) => return below.copy_from_slice(over),
        _ => {}
    }
    // In 255ths of 255ths: what the upper pixel gives, what of the lower one shines through.
    let (from_top, from_bottom) = (top * 255, bottom * (255 - top));
    let all = from_top + from_bottom;
    let last = below.len() - 1;
    for (below, over) in below[..last].iter_mut().zip(over) {
        let sum = u32::from(*over) * from_top + u32::from(*below) * from_bottom;
        *below = u8::try_from((sum + all / 2) / all).unwrap_or(255);
    }
    below[last] = u8::try_from((all + 127) / 255).unwrap_or(255);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, gray: u8, alpha: u8) -> Picture {
        Picture {
            width,
            height,
            layout: Layout::GrayAlpha,
            data: [gray, alpha].repeat((width * height) as usize),
        }
    }

    fn part(at: (u32, u32), pixels: Picture, blend: bool, after: After) -> Part {
        Part {
            at,
            pixels,
            blend,
            after,
            delay: Duration::ZERO,
        }
    }

    fn shown(canvas: &Canvas) -> Vec<(u8, u8)> {
        let pixels = canvas.picture.data.chunks_exact(2);
        pixels.map(|pixel| (pixel[0], pixel[1])).collect()
    }

    #[test]
    fn a_part_stays_is_cleared_or_gives_way_to_what_was_before() {
        let mut canvas = Canvas::new((3, 1), Layout::GrayAlpha).unwrap();
        let mut draw = |at, gray, after| {
            canvas
                .draw(&part((at, 0), picture(1, 1, gray, 255), true, after))
                .unwrap();
            shown(&canvas)
        };
        let none = (0, 0);
        assert_eq!(draw(0, 10, After::Stays), [(10, 255), none, none]);
        assert_eq!(draw(0, 20, After::Before), [(20, 255), none, none]);
        assert_eq!(draw(1, 30, After::Cleared), [(10, 255), (30, 255), none]);
        assert_eq!(draw(2, 40, After::Before), [(10, 255), none, (40, 255)]);
        assert_eq!(draw(1, 50, After::Stays), [(10, 255), (50, 255), none]);
    }

    #[test]
    fn what_sticks_out_of_the_canvas_is_cut_off_and_what_lies_outside_is_not_drawn() {
        let mut canvas = Canvas::new((2, 2), Layout::GrayAlpha).unwrap();
        for after in [After::Before, After::Cleared, After::Stays] {
            canvas
                .draw(&part((9, 9), picture(5, 5, 1, 255), true, after))
                .unwrap();
        }
        assert_eq!(shown(&canvas), [(0, 0); 4]);
        canvas
            .draw(&part((1, 1), picture(5, 5, 7, 255), false, After::Cleared))
            .unwrap();
        assert_eq!(shown(&canvas)[3], (7, 255));
        canvas
            .draw(&part((0, 0), picture(1, 1, 9, 255), false, After::Stays))
            .unwrap();
        assert_eq!(shown(&canvas), [(9, 255), (0, 0), (0, 0), (0, 0)]);
    }

    #[test]
    fn blending_follows_the_formula_and_copying_does_not_look_at_what_is_there() {
        for (below, over, expected) in [
            ((100, 255), (200, 128), (150, 255)),
            ((100, 128), (200, 128), (167, 192)),
            ((100, 0), (200, 1), (200, 1)),
            ((100, 77), (200, 0), (100, 77)),
            ((0, 1), (255, 254), (255, 254)),
        ] {
            let (below, over): ((u8, u8), (u8, u8)) = (below, over);
            let mut pixel = [below.0, below.1];
            lay_over(&mut pixel, &[over.0, over.1]);
            assert_eq!((pixel[0], pixel[1]), expected, "{over:?} over {below:?}");
        }
        let mut canvas = Canvas::new((1, 1), Layout::GrayAlpha).unwrap();
        for (gray, alpha) in [(9, 255), (200, 0)] {
            canvas
                .draw(&part(
                    (0, 0),
                    picture(1, 1, gray, alpha),
                    false,
                    After::Stays,
                ))
                .unwrap();
        }
        assert_eq!(shown(&canvas), [(200, 0)]);
    }
}
