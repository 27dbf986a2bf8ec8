//! Builds what talks to libjpeg's own interface.

fn main() {
    println!("cargo:rerun-if-changed=src/jpeg/read.c");
    println!("cargo:rerun-if-changed=src/jpeg/write.c");
    #[cfg(feature = "jpeg")]
    build_jpeg();
}

#[cfg(feature = "jpeg")]
fn build_jpeg() {
    let mut build = cc::Build::new();
    // Where turbojpeg-sys has put the headers of the library that it built.
    if let Some(folders) = std::env::var_os("DEP_TURBOJPEG_INCLUDE") {
        build.includes(folders.to_string_lossy().split(','));
    }
    build
        .file("src/jpeg/read.c")
        .file("src/jpeg/write.c")
        .warnings(true)
        .warnings_into_errors(true)
        .compile("pixmill_jpeg");
}
