//! Buffers whose allocation can fail instead of aborting.

use crate::Error;

/// `len` zero bytes, straight from the allocator: pages that nobody writes cost nothing. A picture's worth
/// of them lies in large pages where the system has some to give. Fails with [`Error::Memory`].
pub fn zeroed(len: usize) -> Result<Vec<u8>, Error> {
    let layout = std::alloc::Layout::array::<u8>(len).map_err(|_| Error::Memory)?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout's size is not zero.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    if start.is_null() {
        return Err(Error::Memory);
    }
    let bytes = std::ptr::slice_from_raw_parts_mut(start, len);
    // SAFETY: the block comes from the global allocator with the layout of a `[u8; len]`, which is
    // the one that its box gives back, and all its bytes are initialised.
    let bytes = unsafe { Box::from_raw(bytes) }.into_vec();
    want_large_pages(&bytes);
    Ok(bytes)
}

/// Below this many bytes, a buffer has little of the system's large pages (2 MiB on most machines).
#[cfg(target_os = "linux")]
const LARGE: usize = 8 << 20;

/// Asks for large pages under what of `bytes` has none yet: a picture of 12 megapixels is then taken
/// into use in some 20 steps instead of 9,000. Only a wish, which changes no byte.
fn want_large_pages(bytes: &[u8]) {
    #[cfg(target_os = "linux")]
    if bytes.len() >= LARGE {
        // The smallest pages that there are; where they are larger, the wish is refused.
        const PAGE: usize = 4096;
        let before = bytes.as_ptr().align_offset(PAGE);
        let inside = &bytes[before.min(bytes.len())..];
        let length = inside.len() / PAGE * PAGE;
        // SAFETY: whole pages of a block that is ours, of which only the kind of memory may change.
        unsafe {
            libc::madvise(
                inside.as_ptr().cast_mut().cast(),
                length,
                libc::MADV_HUGEPAGE,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

/// A copy of `parts`, one after the other.
#[cfg(feature = "webp")]
pub(crate) fn concat(parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    all.try_reserve_exact(parts.iter().map(|part| part.len()).sum())
        .map_err(|_| Error::Memory)?;
    for part in parts {
        all.extend_from_slice(part);
    }
    Ok(all)
}

/// Checks that `data` is exactly `width` x `height` pixels of `bytes_per_pixel`, with sides within `max`.
#[cfg(any(feature = "jpeg", feature = "webp"))]
pub(crate) fn check_pixels(
    data: &[u8],
    (width, height): (u32, u32),
    bytes_per_pixel: usize,
    (format, max): (&'static str, u32),
) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(Error::Input(format!(
            "a picture of {width} x {height} pixels is empty"
        )));
    }
    let side = width.max(height);
    if side > max {
        return Err(Error::TooLarge { format, side, max });
    }
    let expected = u64::from(width) * u64::from(height) * bytes_per_pixel as u64;
    if data.len() as u64 != expected {
        return Err(Error::Input(format!(
            "{width} x {height} pixels take {expected} bytes, not {}",
            data.len()
        )));
    }
    Ok(())
}
