//! Frames to an animated WebP file, by libwebp's own `AnimEncoder`.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::resume_unwind;
use std::ptr::{self, NonNull};

use libwebp_sys as wp;

use super::encode::{Hook, Picture, config, report};
use super::metadata::{Assembled, abi};
use super::{EncodeOptions, Layout, MAX_SIDE, Mode};
use crate::{Error, buffer};

/// One more than the longest time that a frame can be shown, in milliseconds: a 24-bit field (RFC 9649).
const MAX_DURATION: u32 = 1 << 24;

/// An animated WebP file in the making. Each frame is a whole picture; what changed since the one
/// before it is found, and only that is stored. Equal neighbours become one frame that is shown as
/// long as both, and a file of one frame is a still one.
pub struct Animation<'a> {
    encoder: NonNull<wp::WebPAnimEncoder>,
    config: wp::WebPConfig,
    size: (u32, u32),
    /// When the latest frame is first shown, in milliseconds; none before the first.
    latest: Option<u32>,
    /// Owned, but by a pointer: libwebp keeps a copy of it from the first frame to the end.
    hook: NonNull<Hook<'a>>,
}

// SAFETY: the encoder is a block of memory with no ties to a thread, owned here alone; all else is
// `Send` (the hook's function is `Sync`, so that its reference may go to another thread).
unsafe impl Send for Animation<'_> {}

impl<'a> Animation<'a> {
    /// Begins a file of `width` x `height` pixels that is played `plays` times (0: for ever). `stop` is
    /// asked now and then while a frame is encoded and while the file is put together.
    ///
    /// Key frames, from which a player can start, come as often as `gif2webp` makes them. They also
    /// end the small differences that lossy frames leave standing.
    ///
    /// Fails with [`Error::TooLarge`], [`Error::Input`] if a side is zero or the options are out of
    /// range, or [`Error::Memory`].
    pub fn new(
        (width, height): (u32, u32),
        plays: u16,
        options: &EncodeOptions,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self, Error> {
        let side = width.max(height);
        if side > MAX_SIDE {
            return Err(Error::TooLarge {
                format: "WebP",
                side,
                max: MAX_SIDE,
            });
        }
        if width == 0 || height == 0 {
            return Err(Error::Input(format!(
                "an animation of {width} x {height} pixels is empty"
            )));
        }
        let config = config(options)?;
        let mut settings = MaybeUninit::<wp::WebPAnimEncoderOptions>::uninit();
        // SAFETY: the call fills the whole structure, or says that it is of another version.
        let mut settings = unsafe {
            if wp::WebPAnimEncoderOptionsInitInternal(settings.as_mut_ptr(), abi()) == 0 {
                return Err(Error::Encode(
                    "libwebp is of another version than its declarations".to_owned(),
                ));
            }
            settings.assume_init()
        };
        settings.anim_params.loop_count = c_int::from(plays);
        settings.anim_params.bgcolor = 0;
        (settings.kmin, settings.kmax) = match options.mode {
            Mode::Lossy { .. } => (9, 17),
            Mode::Lossless | Mode::NearLossless { .. } => (3, 5),
        };
        let c = |side: u32| c_int::try_from(side).map_err(|_| Error::Memory);
        // SAFETY: the sides are positive and small, and the settings are copied.
        let encoder = unsafe {
            wp::WebPAnimEncoderNewInternal(c(width)?, c(height)?, &raw const settings, abi())
        };
        Ok(Self {
            encoder: NonNull::new(encoder).ok_or(Error::Memory)?,
            config,
            size: (width, height),
            latest: None,
            hook: NonNull::from(Box::leak(Box::new(Hook::new(stop)))),
        })
    }

    /// Adds the frame that is shown from `at` on, in milliseconds since the first one.
    ///
    /// Fails with [`Error::Stopped`], with [`Error::Input`] if `data` is not a picture of the file's
    /// size or `at` is before the latest frame or 2^24 ms after it, with [`Error::Memory`] or
    /// [`Error::Encode`]. After a failure the file can't be finished. A panic in `stop` comes out of here.
    pub fn add(&mut self, data: &[u8], layout: Layout, at: u32) -> Result<(), Error> {
        buffer::check_pixels(
            data,
            self.size,
            layout.bytes_per_pixel(),
            ("WebP", MAX_SIDE),
        )?;
        let time = self.time(at)?;
        self.check_stop()?;
        let mut picture = Picture::new()?;
        picture.import(data, self.size, layout, true)?;
        picture.0.progress_hook = Some(report);
        picture.0.user_data = self.hook.as_ptr().cast::<c_void>();
        // SAFETY: the encoder is alive and the picture is filled; libwebp copies its pixels, and the
        // pointer to the hook, which lives in a box of its own as long as the encoder does.
        let added = unsafe {
            wp::WebPAnimEncoderAdd(
                self.encoder.as_ptr(),
                &raw mut picture.0,
                time,
                &raw const self.config,
            )
        };
        let failure = picture.0.error_code;
        drop(picture);
        self.raise_panic();
        if added != 0 {
            self.latest = Some(at);
            return Ok(());
        }
        Err(match failure {
            wp::WebPEncodingError::VP8_ENC_ERROR_USER_ABORT => Error::Stopped,
            wp::WebPEncodingError::VP8_ENC_ERROR_OUT_OF_MEMORY
            | wp::WebPEncodingError::VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY => Error::Memory,
            other => Error::Encode(format!("libwebp says {other:?} of a frame")),
        })
    }

    /// The file. The last frame is shown until `end`, in milliseconds since the first one.
    ///
    /// Fails as [`Animation::add`] does, and with [`Error::Input`] if there is no frame.
    pub fn finish(mut self, end: u32) -> Result<Vec<u8>, Error> {
        if self.latest.is_none() {
            return Err(Error::Input("an animation without frames".to_owned()));
        }
        let time = self.time(end)?;
        self.check_stop()?;
        let mut assembled = Assembled::empty();
        // SAFETY: the encoder is alive, no frame means the end, and the result is freed when dropped.
        // Putting together may encode once more, with the hook of the last frame, which is alive.
        let done = unsafe {
            wp::WebPAnimEncoderAdd(self.encoder.as_ptr(), ptr::null_mut(), time, ptr::null()) != 0
                && wp::WebPAnimEncoderAssemble(self.encoder.as_ptr(), &raw mut assembled.0) != 0
        };
        self.raise_panic();
        if done {
            return assembled.bytes();
        }
        // SAFETY: as in `check_stop`.
        Err(if unsafe { self.hook.as_ref() }.stopped {
            Error::Stopped
        } else {
            Error::Encode("libwebp could not put the frames together".to_owned())
        })
    }

    fn check_stop(&self) -> Result<(), Error> {
        // SAFETY: the hook lives as long as `self`, and libwebp uses it only within its own calls.
        let stop = unsafe { self.hook.as_ref() }.stop;
        if stop() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Raises again what panicked within libwebp's call.
    fn raise_panic(&mut self) {
        // SAFETY: as in `check_stop`.
        if let Some(payload) = unsafe { self.hook.as_mut() }.panic.take() {
            resume_unwind(payload);
        }
    }

    fn time(&self, at: u32) -> Result<c_int, Error> {
        let since = at.checked_sub(self.latest.unwrap_or(at));
        match c_int::try_from(at) {
            Ok(time) if since.is_some_and(|since| since < MAX_DURATION) => Ok(time),
            _ => Err(Error::Input(format!(
                "a frame at {at} ms after one at {:?} ms: frames come in order, and less than {MAX_DURATION} ms apart",
                self.latest
            ))),
        }
    }
}

impl Drop for Animation<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimEncoderNewInternal` and leaked from a box, deleted only here; the
        // encoder, which has a copy of the pointer, goes first.
        unsafe {
            wp::WebPAnimEncoderDelete(self.encoder.as_ptr());
            drop(Box::from_raw(self.hook.as_ptr()));
        }
    }
}
