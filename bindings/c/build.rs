//! Gives the shared library its name for the loader: `libdevid.so.<ABI>`. Plain cargo sets none, and a program would record
//! the bare file name instead.

fn main() {
    println!("cargo:rerun-if-changed=src/version.rs");
    let source = std::fs::read_to_string("src/version.rs").expect("src/version.rs is part of the package");
    let abi = source
        .split_once("pub const DEVID_ABI_VERSION: u32 = ")
        .and_then(|(_, rest)| rest.split(';').next())
        .expect("src/version.rs names the ABI generation");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android" | "freebsd" | "netbsd" | "openbsd") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdevid.so.{abi}");
        }
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libdevid.{abi}.dylib");
        }
        _ => {}
    }
}
