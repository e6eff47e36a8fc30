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
            pack_relocations();
        }
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libdevid.{abi}.dylib");
        }
        _ => {}
    }
}

/// Relative relocations in their packed form (DT_RELR), some 200 KB less. Loaders know it from glibc 2.36 on;
/// DEVID_PACKED_RELOCATIONS=0 leaves it out for older ones.
fn pack_relocations() {
    println!("cargo:rerun-if-env-changed=DEVID_PACKED_RELOCATIONS");
    let is_glibc = std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
        && std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu");
    if is_glibc && std::env::var("DEVID_PACKED_RELOCATIONS").as_deref() != Ok("0") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
    }
}
