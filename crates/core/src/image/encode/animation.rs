//! Frames to an animated file: WebP by libwebp, PNG by the `png` crate.

use std::time::Duration;

use super::Encoded;
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::Picture;
use crate::recipe::Variant;

/// What all frames of a file have in common.
#[cfg_attr(
    not(feature = "png"),
    expect(dead_code, reason = "only a PNG says how many frames there are")
)]
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
pub(crate) struct Animation<'a>(Box<dyn File + Send + 'a>);

/// One implementation for each format that holds animations.
pub(super) trait File {
    /// Adds a frame that is shown from one point in time to the other, in milliseconds.
    fn add(
        &mut self,
        variant: &Variant,
        picture: &Picture,
        shown: (u32, u32),
    ) -> Result<(), ImageError>;

    /// The file.
    fn finish(self: Box<Self>, variant: &Variant) -> Result<Encoded, ImageError>;
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
            crate::recipe::OutputFormat::Png => {
                let animation = super::png::PngAnimation::new(variant, film, carried)?;
                Ok(Self(Box::new(animation)))
            }
            #[cfg(feature = "webp")]
            crate::recipe::OutputFormat::Webp => {
                let animation = super::webp::WebpAnimation::new(variant, film, carried, stop)?;
                Ok(Self(Box::new(animation)))
            }
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
        let shown = (milliseconds(at), milliseconds(until));
        self.0.add(variant, picture, shown)
    }

    /// The file.
    pub(crate) fn finish(self, variant: &Variant) -> Result<Encoded, ImageError> {
        self.0.finish(variant)
    }
}

/// Points in time are rounded, not delays: many thirds of a second don't add up to a lag.
fn milliseconds(time: Duration) -> u32 {
    let rounded = (time + Duration::from_micros(500)).as_millis();
    // Some 24 days, the most that libwebp can say.
    u32::try_from(rounded).map_or(MAX_TIME, |time| time.min(MAX_TIME))
}

const MAX_TIME: u32 = i32::MAX as u32;
