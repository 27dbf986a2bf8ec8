//! libwebp's own reading of an animation, for tests: a second opinion on what was written and on what
//! the engine's own decoder makes of it. Not built without the feature `reference`, because C code
//! should see no stranger's file that it need not see.

use std::ptr::{self, NonNull};

use libwebp_sys as wp;

use super::metadata::data;
use crate::{Error, buffer};

/// An animation as a player shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Film {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How often it is played; 0: for ever.
    pub plays: u32,
    /// Each frame: the whole canvas as RGBA, and for how long it is shown, in milliseconds.
    pub frames: Vec<(Vec<u8>, u32)>,
}

/// Reads `webp`, animated or not. Fails with [`Error::Corrupt`] if it can't, and with [`Error::Memory`].
pub fn film(webp: &[u8]) -> Result<Film, Error> {
    let corrupt = || Error::Corrupt("libwebp can't read this animation".to_owned());
    let source = data(webp);
    // SAFETY: `source` points to `webp`, which outlives the decoder; no options means the defaults.
    let decoder = unsafe {
        let version = wp::WebPGetDemuxABIVersion();
        wp::WebPAnimDecoderNewInternal(&raw const source, ptr::null(), version)
    };
    let decoder = Decoder(NonNull::new(decoder).ok_or_else(corrupt)?);
    let mut info = wp::WebPAnimInfo {
        canvas_width: 0,
        canvas_height: 0,
        loop_count: 0,
        bgcolor: 0,
        frame_count: 0,
        pad: [0; 4],
    };
    // SAFETY: the decoder is alive and fills the structure.
    if unsafe { wp::WebPAnimDecoderGetInfo(decoder.0.as_ptr(), &raw mut info) } == 0 {
        return Err(corrupt());
    }
    let size = info.canvas_width as usize * info.canvas_height as usize * 4;
    let mut frames = Vec::new();
    let mut before = 0;
    // SAFETY: the decoder is alive. After success `pixels` points to a canvas of RGBA that belongs to
    // the decoder and stays until the next call; it is copied before that.
    while unsafe { wp::WebPAnimDecoderHasMoreFrames(decoder.0.as_ptr()) } != 0 {
        let (mut pixels, mut end) = (ptr::null_mut(), 0);
        // SAFETY: as above.
        let canvas = unsafe {
            let (pixels, end) = (&raw mut pixels, &raw mut end);
            if wp::WebPAnimDecoderGetNext(decoder.0.as_ptr(), pixels, end) == 0 {
                return Err(corrupt());
            }
            buffer::concat(&[std::slice::from_raw_parts(*pixels, size)])?
        };
        frames.push((canvas, u32::try_from(end - before).map_err(|_| corrupt())?));
        before = end;
    }
    Ok(Film {
        width: info.canvas_width,
        height: info.canvas_height,
        plays: info.loop_count,
        frames,
    })
}

/// A decoder that is always deleted.
struct Decoder(NonNull<wp::WebPAnimDecoder>);

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimDecoderNewInternal`, deleted only here.
        unsafe { wp::WebPAnimDecoderDelete(self.0.as_ptr()) }
    }
}
