//! Buffers whose allocation can fail instead of aborting.

#[cfg(any(feature = "jpeg", feature = "webp"))]
use crate::Error;

/// `len` zero bytes, straight from the allocator: pages that nobody writes cost nothing.
#[cfg(feature = "jpeg")]
pub(crate) fn zeroed(len: usize) -> Result<Vec<u8>, Error> {
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
    Ok(unsafe { Box::from_raw(bytes) }.into_vec())
}

/// A copy of `parts`, one after the other.
#[cfg(any(feature = "jpeg", feature = "webp"))]
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
