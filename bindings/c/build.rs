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
            fold_what_is_the_same();
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

/// Functions of the same code, and constants of the same bytes (AWS-LC has the multiples of Curve25519's base point four times), once:
/// some 160 KB less, with a linker that can, as rustc's own does. Nothing here compares the addresses of either.
fn fold_what_is_the_same() {
    const ARGUMENT: &str = "-Wl,--icf=all,--ignore-data-address-equality";
    if linker_takes(ARGUMENT) {
        println!("cargo:rustc-cdylib-link-arg={ARGUMENT}");
    }
}

/// Links an empty library with it, as cargo is about to link this one.
fn linker_takes(argument: &str) -> bool {
    use std::process::{Command, Stdio};
    const EMPTY: &str = "#![no_std]\n#[panic_handler]\nfn stop(_: &core::panic::PanicInfo) -> ! { loop {} }\n";
    let variable = |name| std::env::var(name).unwrap_or_default();
    let out = std::path::Path::new(&variable("OUT_DIR")).join("empty");
    let source = out.with_extension("rs");
    if std::fs::write(&source, EMPTY).is_err() {
        return false;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--crate-name=empty", "--crate-type=cdylib", "-Cpanic=abort", "--target", &variable("TARGET")]);
    rustc.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg(format!("-Clink-arg={argument}")).arg("-o").arg(&out).arg(&source);
    rustc.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
