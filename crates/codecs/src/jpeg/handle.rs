//! A `TurboJPEG` handle that is always destroyed, and the calls made on it.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use turbojpeg_sys as tj;

use super::message::{self, Failure};
use super::{Layout, Scale};
use crate::Error;

/// One use of libjpeg-turbo. Never reused after a failure: the library doesn't reset its parser then.
pub(super) struct Handle(NonNull<std::ffi::c_void>);

impl Handle {
    pub(super) fn for_reading() -> Result<Self, Error> {
        Self::new(tj::TJINIT_TJINIT_DECOMPRESS)
    }

    #[cfg(test)]
    pub(super) fn for_writing() -> Result<Self, Error> {
        Self::new(tj::TJINIT_TJINIT_COMPRESS)
    }

    fn new(kind: tj::TJINIT) -> Result<Self, Error> {
        // SAFETY: takes no pointers. It only fails for want of memory, as the kind is a valid one.
        let handle = unsafe { tj::tj3Init(kind.cast_signed()) };
        NonNull::new(handle).map(Self).ok_or(Error::Memory)
    }

    pub(super) fn set(&mut self, parameter: tj::TJPARAM, value: c_int) -> Result<(), Error> {
        // SAFETY: the handle is alive; an unknown parameter or value is an error, not undefined.
        match unsafe { tj::tj3Set(self.0.as_ptr(), parameter.cast_signed(), value) } {
            0 => Ok(()),
            _ => Err(Error::Input(self.message())),
        }
    }

    pub(super) fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: the handle is alive; an unknown parameter gives -1.
        unsafe { tj::tj3Get(self.0.as_ptr(), parameter.cast_signed()) }
    }

    /// Reads `jpeg` up to its first scan. The parameters then describe the picture; the width is
    /// below 1 when there is none.
    pub(super) fn read_header(&mut self, jpeg: &[u8]) -> Result<(), Failure> {
        if jpeg.is_empty() {
            return Err(Failure::Fatal(Error::Truncated));
        }
        // SAFETY: the handle is alive and made for reading; `jpeg` outlives the call, which keeps
        // no pointer that a later call would follow before setting it anew.
        match unsafe {
            tj::tj3DecompressHeader(self.0.as_ptr(), jpeg.as_ptr(), jpeg.len() as tj::size_t)
        } {
            0 => Ok(()),
            _ => Err(message::failure(self.message())),
        }
    }

    /// The size at which the next picture is decoded.
    pub(super) fn scale(&mut self, scale: Scale) -> Result<(), Error> {
        let factor = tj::tjscalingfactor {
            num: 1,
            denom: c_int::try_from(scale.divisor()).unwrap_or(1),
        };
        // SAFETY: the handle is alive and made for reading; a factor that is not among the library's
        // is an error, not undefined.
        match unsafe { tj::tj3SetScalingFactor(self.0.as_ptr(), factor) } {
            0 => Ok(()),
            _ => Err(Error::Input(self.message())),
        }
    }

    /// Decodes `jpeg`, whose header this handle has just read without failing (a warning aside),
    /// into `pixels`, at the `scale` that the handle was set to: not for lossless files if that is
    /// smaller. After a warning that it was not told to stop at, `pixels` is complete.
    pub(super) fn read_pixels(
        &mut self,
        jpeg: &[u8],
        layout: Layout,
        scale: Scale,
        pixels: &mut [u8],
    ) -> Result<(), Failure> {
        let lossless = self.get(tj::TJPARAM_TJPARAM_LOSSLESS) == 1;
        assert!(
            scale == Scale::Full || !lossless,
            "a lossless picture comes in full"
        );
        let divisor = scale.divisor() as usize;
        let width = usize::try_from(self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH)).unwrap_or(0);
        let height = usize::try_from(self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT)).unwrap_or(0);
        let (width, height) = (width.div_ceil(divisor), height.div_ceil(divisor));
        let row = width * layout.bytes_per_pixel();
        assert!(
            row > 0 && row * height == pixels.len(),
            "the buffer is of the picture's size"
        );
        let row = c_int::try_from(row).map_err(|_| Failure::Fatal(Error::Memory))?;
        // SAFETY: the handle is alive and made for reading. The library writes rows of the stated
        // pitch from the start of `pixels`, as many as the picture is high: the sizes were read by
        // `read_header` from the same bytes and divided as the library does (rounding up), no cropping
        // is set, and the assertion above says that they fit.
        let code = unsafe {
            tj::tj3Decompress8(
                self.0.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as tj::size_t,
                pixels.as_mut_ptr(),
                row,
                pixel_format(layout),
            )
        };
        match code {
            0 => Ok(()),
            _ => Err(message::failure(self.message())),
        }
    }

    /// Encodes `pixels`, which must be exactly `width` x `height` of `layout`, in ways that
    /// [`encode`](super::encode) doesn't have.
    #[cfg(test)]
    pub(super) fn write(
        &mut self,
        pixels: &[u8],
        (width, height): (u32, u32),
        layout: Layout,
    ) -> Vec<u8> {
        let side = |pixels: u32| c_int::try_from(pixels).unwrap();
        assert_eq!(
            pixels.len(),
            (width * height) as usize * layout.bytes_per_pixel()
        );
        let mut start = std::ptr::null_mut();
        let mut length = 0;
        // SAFETY: the handle is alive and made for writing; `pixels` has just been checked to hold
        // all rows (pitch 0: nothing between them); the library allocates the output, as `start`
        // is null.
        let code = unsafe {
            tj::tj3Compress8(
                self.0.as_ptr(),
                pixels.as_ptr(),
                side(width),
                0,
                side(height),
                pixel_format(layout),
                &raw mut start,
                &raw mut length,
            )
        };
        assert_eq!(code, 0, "{}", self.message());
        let length = usize::try_from(length).unwrap();
        // SAFETY: the call has written `length` bytes from `start`, which is freed only here.
        unsafe {
            let jpeg = std::slice::from_raw_parts(start, length).to_vec();
            tj::tj3Free(start.cast());
            jpeg
        }
    }

    /// The text of the error or of the first warning of the last call, which must have failed.
    fn message(&self) -> String {
        // SAFETY: the handle is alive; the answer is a string with a final NUL in the handle or in
        // this thread's storage, copied before anything can overwrite it.
        unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.0.as_ptr())) }
            .to_string_lossy()
            .into_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `tj3Init`, destroyed only here.
        unsafe { tj::tj3Destroy(self.0.as_ptr()) }
    }
}

fn pixel_format(layout: Layout) -> c_int {
    match layout {
        Layout::Gray => tj::TJPF_TJPF_GRAY,
        Layout::Rgb => tj::TJPF_TJPF_RGB,
        Layout::Cmyk => tj::TJPF_TJPF_CMYK,
    }
}
