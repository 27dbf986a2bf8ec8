//! What `write.c` exports.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Error;

/// libjpeg's `JMSG_LENGTH_MAX`, its final NUL included.
const LONGEST_MESSAGE: usize = 200;

/// The same as `struct picture` in write.c.
#[repr(C)]
pub(super) struct Picture {
    /// `width` x `height` pixels of `components` bytes.
    pub(super) pixels: *const u8,
    pub(super) width: c_uint,
    pub(super) height: c_uint,
    /// 1 gray, 3 red, green, blue.
    pub(super) components: c_int,
    /// 1 to 100.
    pub(super) quality: c_int,
    /// Luma samples for one of colour, across and down; 0 and 0: no colour.
    pub(super) across: c_int,
    pub(super) down: c_int,
    pub(super) progressive: c_int,
    pub(super) optimize: c_int,
    /// One block in so many decides about the Huffman tables; 0: all.
    pub(super) sampled: c_uint,
}

#[repr(C)]
struct Owner {
    this: *mut c_void,
    take: unsafe extern "C" fn(*mut c_void, *const u8, usize) -> c_int,
    go_on: unsafe extern "C" fn(*mut c_void) -> c_int,
}

// Of the static library that build.rs makes.
unsafe extern "C" {
    fn pixmill_jpeg_write(
        picture: *const Picture,
        owner: *const Owner,
        words: *mut c_char,
    ) -> c_int;
}

struct File<'a> {
    bytes: Vec<u8>,
    stop: &'a dyn Fn() -> bool,
    /// What `stop` panicked with: it must not unwind through C.
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn take(file: *mut c_void, bytes: *const u8, length: usize) -> c_int {
    // SAFETY: the pointer that `write` gave, to a file that nobody else uses meanwhile.
    let file = unsafe { &mut *file.cast::<File<'_>>() };
    if file.bytes.try_reserve(length).is_err() {
        return 0;
    }
    // SAFETY: write.c hands over `length` bytes of its buffer.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    file.bytes.extend_from_slice(bytes);
    1
}

unsafe extern "C" fn go_on(file: *mut c_void) -> c_int {
    // SAFETY: as in `take`.
    let file = unsafe { &mut *file.cast::<File<'_>>() };
    match catch_unwind(AssertUnwindSafe(file.stop)) {
        Ok(stop) => c_int::from(!stop),
        Err(panic) => {
            file.panic = Some(panic);
            0
        }
    }
}

/// Encodes `picture`, unless `stop`, which is asked every few rows, says so.
///
/// # Safety
///
/// `picture.pixels` must point to as many bytes as the rest says.
pub(super) unsafe fn write(picture: &Picture, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, Error> {
    let mut file = File {
        bytes: Vec::new(),
        stop,
        panic: None,
    };
    let owner = Owner {
        this: (&raw mut file).cast(),
        take,
        go_on,
    };
    let mut words = [0; LONGEST_MESSAGE];
    // SAFETY: the caller vouches for the pixels; the owner's functions get the file that they expect,
    // and `words` holds the longest message.
    let outcome = unsafe { pixmill_jpeg_write(picture, &raw const owner, words.as_mut_ptr()) };
    if let Some(panic) = file.panic {
        resume_unwind(panic);
    }
    match outcome {
        0 => Ok(file.bytes),
        2 => Err(Error::Memory),
        3 => Err(Error::Stopped),
        _ => {
            // SAFETY: all zeros, or a message that ends in one.
            let words = unsafe { CStr::from_ptr(words.as_ptr()) };
            Err(Error::Encode(words.to_string_lossy().into_owned()))
        }
    }
}
