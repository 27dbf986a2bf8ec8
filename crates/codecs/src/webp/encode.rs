//! Pixels to a WebP file.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use libwebp_sys as wp;

use super::{Layout, MAX_SIDE};
use crate::{Error, buffer};

/// What may get lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// What the eye sees least.
    Lossy {
        /// 0 (smallest) to 100 (best), on libwebp's scale.
        quality: f32,
    },
    /// Nothing, but see [`EncodeOptions::exact`].
    Lossless,
    /// A little of each pixel's value, to make lossless compression shorter.
    NearLossless {
        /// 0 (most is lost) to 100 (nothing is).
        level: u8,
    },
}

/// How to write a WebP file.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodeOptions {
    /// What may get lost.
    pub mode: Mode,
    /// How hard to try: 0 (fast) to 6 (small).
    ///
    /// Lossless modes have a second dial for that, libwebp's "quality", which follows this one as in
    /// libwebp's own lossless presets: 0, 20, 25, 50, 75, 90, 100 for methods 0 to 6.
    pub method: u8,
    /// Whether to keep the colour under fully transparent pixels, which is otherwise changed to
    /// what compresses best.
    pub exact: bool,
    /// Whether to halve the colour components of a lossy picture with care for sharp edges: slower,
    /// and twice the memory.
    pub sharp_yuv: bool,
    /// 0 (smallest) to 100 (lossless) for the alpha of a lossy picture.
    pub alpha_quality: u8,
}

impl Default for EncodeOptions {
    /// libwebp's own defaults: lossy at quality 75, method 4, lossless alpha.
    fn default() -> Self {
        Self {
            mode: Mode::Lossy { quality: 75.0 },
            method: 4,
            exact: false,
            sharp_yuv: false,
            alpha_quality: 100,
        }
    }
}

/// Encodes `width` x `height` pixels of `layout`. `stop` is asked now and then, on this thread;
/// once it says `true` the encoder gives up.
///
/// An opaque RGBA picture gives a file without alpha. Sides go up to [`MAX_SIDE`]. A panic in `stop`
/// comes out of here after libwebp has cleaned up.
///
/// Fails with [`Error::Stopped`], [`Error::TooLarge`], [`Error::Input`] if the options are out of
/// range or `data` is not exactly of that size, [`Error::Memory`], or [`Error::Encode`].
pub fn encode(
    data: &[u8],
    width: u32,
    height: u32,
    layout: Layout,
    options: &EncodeOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, Error> {
    // A lossy picture is converted while it is taken in, which needs half the memory of keeping it
    // as ARGB first; only the sharp conversion and the lossless coder work on ARGB.
    let keep_argb = options.sharp_yuv || !matches!(options.mode, Mode::Lossy { .. });
    encode_by_way_of(keep_argb, data, (width, height), layout, options, stop)
}

fn encode_by_way_of(
    argb: bool,
    data: &[u8],
    (width, height): (u32, u32),
    layout: Layout,
    options: &EncodeOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, Error> {
    let bytes_per_pixel = layout.bytes_per_pixel();
    buffer::check_pixels(data, (width, height), bytes_per_pixel, ("WebP", MAX_SIDE))?;
    let config = config(options)?;
    if stop() {
        return Err(Error::Stopped);
    }

    let mut out = Out::default();
    let mut hook = Hook::new(stop);
    let mut picture = Picture::new()?;
    picture.import(data, (width, height), layout, argb)?;
    picture.0.writer = Some(write);
    picture.0.custom_ptr = (&raw mut out).cast::<c_void>();
    picture.0.progress_hook = Some(report);
    picture.0.user_data = (&raw mut hook).cast::<c_void>();
    // SAFETY: the configuration and the picture were set up by libwebp. `writer` and
    // `progress_hook` get their values through pointers that nothing else uses meanwhile, and don't unwind.
    let encoded = unsafe { wp::WebPEncode(&raw const config, &raw mut picture.0) } != 0;
    let failure = picture.0.error_code;
    drop(picture);

    if let Some(payload) = hook.panic {
        resume_unwind(payload);
    }
    if encoded {
        return Ok(out.bytes);
    }
    Err(match failure {
        wp::WebPEncodingError::VP8_ENC_ERROR_USER_ABORT => Error::Stopped,
        _ if out.out_of_memory => Error::Memory,
        wp::WebPEncodingError::VP8_ENC_ERROR_OUT_OF_MEMORY
        | wp::WebPEncodingError::VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY => Error::Memory,
        wp::WebPEncodingError::VP8_ENC_ERROR_PARTITION0_OVERFLOW
        | wp::WebPEncodingError::VP8_ENC_ERROR_PARTITION_OVERFLOW => Error::Encode(
            "a part of the picture doesn't fit into the format; try a lower quality".to_owned(),
        ),
        other => Error::Encode(format!("libwebp says {other:?}")),
    })
}

pub(super) fn config(options: &EncodeOptions) -> Result<wp::WebPConfig, Error> {
    if options.method > 6 {
        return Err(Error::Input(format!(
            "a method of {} is not within 0 to 6",
            options.method
        )));
    }
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if !std::arch::is_x86_feature_detected!("sse4.1") {
        return Err(Error::Encode(
            "this processor lacks SSE4.1, which libwebp is built for here".to_owned(),
        ));
    }
    let mut config = wp::WebPConfig::new().map_err(|()| {
        Error::Encode("libwebp is of another version than its declarations".to_owned())
    })?;
    config.method = c_int::from(options.method);
    config.exact = c_int::from(options.exact);
    config.use_sharp_yuv = c_int::from(options.sharp_yuv);
    config.alpha_quality = c_int::from(options.alpha_quality);
    match options.mode {
        // libwebp's own check lets a NaN through.
        Mode::Lossy { quality } if quality.is_nan() => {
            return Err(Error::Input("a quality that is no number".to_owned()));
        }
        Mode::Lossy { quality } => config.quality = quality,
        Mode::Lossless => config.lossless = 1,
        Mode::NearLossless { level } => {
            config.lossless = 1;
            config.near_lossless = c_int::from(level);
        }
    }
    if config.lossless == 1 {
        const EFFORT: [f32; 7] = [0.0, 20.0, 25.0, 50.0, 75.0, 90.0, 100.0];
        config.quality = EFFORT[usize::from(options.method)];
    }
    // SAFETY: reads a configuration that is fully set.
    match unsafe { wp::WebPValidateConfig(&raw const config) } {
        0 => Err(Error::Input("a WebP option is out of its range".to_owned())),
        _ => Ok(config),
    }
}

/// A picture whose memory is always freed.
pub(super) struct Picture(pub(super) wp::WebPPicture);

impl Picture {
    pub(super) fn new() -> Result<Self, Error> {
        wp::WebPPicture::new().map(Self).map_err(|()| {
            Error::Encode("libwebp is of another version than its declarations".to_owned())
        })
    }

    /// Takes in `data`, checked to be `width` x `height` pixels of `layout`: as ARGB, or as YUV.
    pub(super) fn import(
        &mut self,
        data: &[u8],
        (width, height): (u32, u32),
        layout: Layout,
        argb: bool,
    ) -> Result<(), Error> {
        let side = |pixels: u32| c_int::try_from(pixels).map_err(|_| Error::Memory);
        let stride = side(width)? * if layout == Layout::Rgb { 3 } else { 4 };
        buffer::check_pixels(
            data,
            (width, height),
            layout.bytes_per_pixel(),
            ("WebP", MAX_SIDE),
        )?;
        self.0.use_argb = c_int::from(argb);
        self.0.width = side(width)?;
        self.0.height = side(height)?;
        // SAFETY: `data` holds `height` rows of `stride` bytes, checked above, and the call copies
        // them. What memory the picture had is freed by the call, and the new one when it is dropped.
        let imported = unsafe {
            match layout {
                Layout::Rgb => wp::WebPPictureImportRGB(&raw mut self.0, data.as_ptr(), stride),
                Layout::Rgba => wp::WebPPictureImportRGBA(&raw mut self.0, data.as_ptr(), stride),
            }
        };
        if imported == 0 {
            return Err(Error::Memory);
        }
        Ok(())
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: set up by libwebp, and freed only here; it may have no memory.
        unsafe { wp::WebPPictureFree(&raw mut self.0) }
    }
}

/// What the writer fills.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    out_of_memory: bool,
}

/// What the progress hook asks, and what came of it.
pub(super) struct Hook<'a> {
    pub(super) stop: &'a (dyn Fn() -> bool + 'a),
    pub(super) stopped: bool,
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

impl<'a> Hook<'a> {
    pub(super) fn new(stop: &'a dyn Fn() -> bool) -> Self {
        Self {
            stop,
            stopped: false,
            panic: None,
        }
    }
}

/// libwebp's writer: appends `len` bytes to the output.
unsafe extern "C" fn write(bytes: *const u8, len: usize, picture: *const wp::WebPPicture) -> c_int {
    // SAFETY: `custom_ptr` is the output of the `encode_by_way_of` that is running, which nothing
    // else touches before libwebp returns.
    let out = unsafe { &mut *(*picture).custom_ptr.cast::<Out>() };
    if len == 0 {
        return 1;
    }
    if out.bytes.try_reserve(len).is_err() {
        out.out_of_memory = true;
        return 0;
    }
    // SAFETY: libwebp hands over `len` readable bytes.
    out.bytes
        .extend_from_slice(unsafe { std::slice::from_raw_parts(bytes, len) });
    1
}

/// libwebp's progress hook: 0 makes it give up.
pub(super) unsafe extern "C" fn report(_percent: c_int, picture: *const wp::WebPPicture) -> c_int {
    // SAFETY: `user_data` is the hook of whoever is encoding, which outlives the call and which
    // nothing else touches before libwebp returns.
    let hook = unsafe { &mut *(*picture).user_data.cast::<Hook<'_>>() };
    // A panic must not cross C: it is kept and raised again on the other side.
    match catch_unwind(AssertUnwindSafe(|| (hook.stop)())) {
        Ok(stop) => {
            hook.stopped |= stop;
            c_int::from(!stop)
        }
        Err(payload) => {
            hook.panic = Some(payload);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_lossy_picture_straight_to_yuv_changes_no_byte() {
        let (width, height) = (61, 47);
        for layout in [Layout::Rgb, Layout::Rgba] {
            let data: Vec<u8> = (0..width * height)
                .flat_map(|i: u32| [i * 7, i / 5, i ^ (i >> 3), i * 3])
                .enumerate()
                .filter(|(i, _)| layout == Layout::Rgba || i % 4 != 3)
                .map(|(_, value)| value.to_le_bytes()[0])
                .collect();
            for exact in [false, true] {
                let options = EncodeOptions {
                    exact,
                    ..EncodeOptions::default()
                };
                let by = |argb| {
                    encode_by_way_of(argb, &data, (width, height), layout, &options, &|| false)
                        .unwrap()
                };
                assert_eq!(by(false), by(true), "{layout:?}, exact {exact}");
            }
        }
    }
}
