//! Frames to an animated file: WebP by libwebp, PNG by the `png` crate.

use std::time::Duration;

use super::Encoded;
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::Picture;
use crate::recipe::{OutputFormat, Variant};

/// What all frames of a file have in common.
pub(crate) struct Film {
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// The most frames that will come.
    pub(crate) frames: u32,
    /// How often it is played; 0: for ever.
    pub(crate) plays: u32,
    /// Whether every frame is gray.
    pub(crate) gray: bool,
}

/// An animated file in the making.
pub(crate) enum Animation<'a> {
    #[cfg(feature = "png")]
    Png(Box<super::png::Animation>),
    #[cfg(feature = "webp")]
    Webp(Box<super::webp::Animation<'a>>),
    #[expect(dead_code, reason = "keeps the lifetime where WebP is not built in")]
    None(std::marker::PhantomData<&'a ()>),
}

impl<'a> Animation<'a> {
    /// Begins `variant`'s file. `stop` is asked between frames, and within them where an encoder
    /// allows it.
    pub(crate) fn new(
        variant: &Variant,
        film: &Film,
        carried: &Carried,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self, ImageError> {
        match variant.format {
            #[cfg(feature = "png")]
            OutputFormat::Png => {
                let _ = stop;
                super::png::Animation::new(variant, film, carried)
                    .map(|animation| Self::Png(Box::new(animation)))
            }
            #[cfg(feature = "webp")]
            OutputFormat::Webp => super::webp::Animation::new(variant, film, carried, stop)
                .map(|animation| Self::Webp(Box::new(animation))),
            _ => {
                let _ = (film, carried, stop);
                Err(super::failure(variant, &"its format holds no animation"))
            }
        }
    }

    /// Adds a frame that is shown from `at` to `until`, counted from the first one.
    pub(crate) fn add(
        &mut self,
        variant: &Variant,
        picture: &Picture,
        at: Duration,
        until: Duration,
    ) -> Result<(), ImageError> {
        let (at, until) = (milliseconds(at), milliseconds(until));
        match self {
            #[cfg(feature = "png")]
            Self::Png(animation) => animation.add(variant, picture, until - at),
            #[cfg(feature = "webp")]
            Self::Webp(animation) => animation.add(variant, picture, (at, until)),
            Self::None(_) => {
                let _ = (variant, picture, at, until);
                Ok(())
            }
        }
    }

    /// The file.
    pub(crate) fn finish(self, variant: &Variant) -> Result<Encoded, ImageError> {
        match self {
            #[cfg(feature = "png")]
            Self::Png(animation) => animation.finish(variant),
            #[cfg(feature = "webp")]
            Self::Webp(animation) => animation.finish(variant),
            Self::None(_) => Err(super::failure(variant, &"its format holds no animation")),
        }
    }
}

/// Points in time are rounded, not delays: many thirds of a second don't add up to a lag.
fn milliseconds(time: Duration) -> u32 {
    let rounded = (time + Duration::from_micros(500)).as_millis();
    // Some 24 days, the most that libwebp can say.
    u32::try_from(rounded).map_or(MAX_TIME, |time| time.min(MAX_TIME))
}

const MAX_TIME: u32 = i32::MAX as u32;
