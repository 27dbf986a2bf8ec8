//! What becomes of large buffers once they are free.

/// From this many bytes on, a buffer is the system's own again as soon as it is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: std::ffi::c_int = 1 << 20;

/// Has large buffers given back to the system as soon as they are free, for the rest of the process.
///
/// glibc does so until the first of them is freed, and from then on keeps what is smaller than that
/// for each thread: a process that goes from picture to picture then holds several pictures that
/// nobody uses. Meant for programs, at their start; does nothing elsewhere than on Linux with glibc.
pub fn return_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes two numbers, and locks what it changes. A refusal leaves all as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Has all threads share one heap, for the rest of the process.
///
/// glibc gives threads heaps of their own, up to eight for each core, and sets 64 MiB of address space aside for each: under a
/// limit on address space, nothing is left for pictures. Meant for programs, before they have threads; does nothing
/// elsewhere than on Linux with glibc.
pub fn use_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes two numbers, and locks what it changes. A refusal leaves all as it was.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
