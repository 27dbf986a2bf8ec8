//! The binary has to start on Amazon Linux 2023, whose glibc is 2.34.
#![cfg(all(feature = "runtime", target_os = "linux", target_env = "gnu"))]

use std::process::Command;

#[test]
fn the_binary_asks_for_no_newer_glibc_than_amazon_linux_2023_has() {
    let printed = Command::new("objdump")
        .args(["-T", env!("CARGO_BIN_EXE_bootstrap")])
        .output()
        .expect("objdump comes with the linker (binutils)");
    let symbols = String::from_utf8(printed.stdout).expect("plain text");
    let version = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split([')', ' ']).next()?.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let asked: Vec<_> = symbols
        .split("GLIBC_")
        .skip(1)
        .filter_map(version)
        .collect();
    assert!(asked.len() > 50, "the symbols read otherwise than expected");
    let newest = asked.into_iter().max();
    assert!(
        newest <= Some((2, 34)),
        "{newest:?}: link it with `cargo xtask package --zig`"
    );
}
