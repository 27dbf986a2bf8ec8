//! Metadata into a WebP file that is already encoded.

use std::ptr::{self, NonNull};

use libwebp_sys as wp;

use crate::{Error, buffer};

/// What to put into a WebP file beside its picture; an empty slice is as good as `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// An ICC profile.
    pub icc: Option<&'a [u8]>,
    /// Exif: the TIFF structure itself, without the `Exif\0\0` that JPEG puts before it.
    pub exif: Option<&'a [u8]>,
    /// An XMP packet.
    pub xmp: Option<&'a [u8]>,
}

/// A copy of the WebP file `webp` with `metadata` in it, in the extended format with the right
/// flags. What `metadata` leaves out stays as it is in `webp`; with nothing to add, this is a plain copy.
///
/// Fails with [`Error::Corrupt`] if `webp` is no WebP file, and with [`Error::Memory`].
pub fn with_metadata(webp: &[u8], metadata: &Metadata<'_>) -> Result<Vec<u8>, Error> {
    let chunks = [
        (c"ICCP", metadata.icc),
        (c"EXIF", metadata.exif),
        (c"XMP ", metadata.xmp),
    ];
    if chunks
        .iter()
        .all(|(_, data)| data.is_none_or(<[u8]>::is_empty))
    {
        return buffer::concat(&[webp]);
    }
    let source = data(webp);
    // SAFETY: `source` points to `webp`, which outlives the mux; nothing is copied (the 0).
    let mux = unsafe { wp::WebPMuxCreateInternal(&raw const source, 0, abi()) };
    let mux = Mux(NonNull::new(mux)
        .ok_or_else(|| Error::Corrupt("no WebP file that metadata could go into".to_owned()))?);
    for (name, chunk) in chunks {
        let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else {
            continue;
        };
        let chunk = data(chunk);
        // SAFETY: the mux is alive, the name has its four characters, and the chunk's bytes (not
        // copied: the 0) outlive the mux.
        check(unsafe { wp::WebPMuxSetChunk(mux.0.as_ptr(), name.as_ptr(), &raw const chunk, 0) })?;
    }
    let mut assembled = Assembled::empty();
    // SAFETY: the mux is alive; it allocates the result, which is freed when dropped.
    check(unsafe { wp::WebPMuxAssemble(mux.0.as_ptr(), &raw mut assembled.0) })?;
    assembled.bytes()
}

pub(super) fn data(bytes: &[u8]) -> wp::WebPData {
    wp::WebPData {
        bytes: bytes.as_ptr(),
        size: bytes.len(),
    }
}

pub(super) fn abi() -> std::ffi::c_int {
    wp::WebPGetMuxABIVersion()
}

fn check(code: wp::WebPMuxError) -> Result<(), Error> {
    match code {
        wp::WebPMuxError::WEBP_MUX_OK => Ok(()),
        wp::WebPMuxError::WEBP_MUX_MEMORY_ERROR => Err(Error::Memory),
        wp::WebPMuxError::WEBP_MUX_BAD_DATA | wp::WebPMuxError::WEBP_MUX_NOT_ENOUGH_DATA => Err(
            Error::Corrupt("a WebP file that metadata can't go into".to_owned()),
        ),
        other => Err(Error::Encode(format!("libwebp's mux says {other:?}"))),
    }
}

/// A mux that is always deleted.
struct Mux(NonNull<wp::WebPMux>);

impl Drop for Mux {
    fn drop(&mut self) {
        // SAFETY: made by `WebPMuxCreateInternal`, deleted only here.
        unsafe { wp::WebPMuxDelete(self.0.as_ptr()) }
    }
}

/// A buffer of libwebp's, or none yet.
pub(super) struct Assembled(pub(super) wp::WebPData);

impl Assembled {
    pub(super) fn empty() -> Self {
        Self(wp::WebPData {
            bytes: ptr::null(),
            size: 0,
        })
    }

    /// A copy of what libwebp has put there.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Error> {
        if self.0.bytes.is_null() {
            return Err(Error::Memory);
        }
        // SAFETY: where `bytes` is not null it points to `size` bytes that only `self` owns.
        buffer::concat(&[unsafe { std::slice::from_raw_parts(self.0.bytes, self.0.size) }])
    }
}

impl Drop for Assembled {
    fn drop(&mut self) {
        // SAFETY: null, or a block of libwebp's that is freed only here.
        unsafe { wp::WebPFree(self.0.bytes.cast_mut().cast()) }
    }
}
