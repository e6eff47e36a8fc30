//! Versions and features.

use super::prelude::*;

/// Generation of the binary interface. It is the suffix of the shared library's name and changes only when programs linked
/// before would break.
pub const DEVID_ABI_VERSION: u32 = 0;

/// The library's version, such as "0.1.0".
///
/// @return Never NULL; valid for ever.
#[export]
fn devid_version_string() -> &'static CStr {
    const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    CStr::from_bytes_with_nul(VERSION).unwrap_or(c"")
}

/// The library's version as one number, comparable with DEVID_VERSION_NUMBER of the header.
///
/// @return 0x00MMmmpp: major, minor, patch.
#[export]
fn devid_version_number() -> u32 {
    const fn part(text: &str) -> u32 {
        let (bytes, mut i, mut n) = (text.as_bytes(), 0, 0);
        while i < bytes.len() {
            n = n * 10 + (bytes[i] - b'0') as u32;
            i += 1;
        }
        assert!(n < 256);
        n
    }
    const NUMBER: u32 = part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | part(env!("CARGO_PKG_VERSION_PATCH"));
    NUMBER
}

/// The library's generation of the binary interface; must equal the DEVID_ABI_VERSION that a program was compiled with.
///
/// @return The number.
#[export]
fn devid_abi_version() -> u32 {
    DEVID_ABI_VERSION
}

/// Whether a feature was compiled in. Every build exports the same functions; what is not compiled in answers
/// DEVID_E_UNSUPPORTED.
///
/// @param feature  Not NULL. Known: "http" (the built-in HTTP client), "tls" (HTTPS), "coap" (CoAP), "ldap" (directories),
///                 "crypto-awslc" and "crypto-rust" (providers), "legacy-ciphers" (reading old PKCS#12 files), "oaep-mixed"
///                 (RSA-OAEP whose mask has a digest of its own), "pkcs11" (keys in tokens); and kinds of keys that a small
///                 build may lack: "rsa", "p384", "p521", "25519" (Ed25519, X25519), "ml-dsa", "ml-kem".
/// @return 1 yes; 0 no, or not known to this version.
#[export]
fn devid_supports(feature: &str) -> bool {
    match feature {
        "http" => cfg!(feature = "http"),
        "tls" => cfg!(feature = "tls"),
        "coap" => cfg!(feature = "coap"),
        "ldap" => cfg!(feature = "ldap"),
        "crypto-awslc" => cfg!(feature = "crypto-awslc"),
        "crypto-rust" => cfg!(feature = "crypto-rust-p256"),
        "rsa" => cfg!(any(feature = "crypto-awslc", feature = "rust-rsa")),
        "p384" => cfg!(any(feature = "crypto-awslc", feature = "rust-p384")),
        "p521" => cfg!(any(feature = "crypto-awslc", feature = "rust-p521")),
        "25519" => cfg!(any(feature = "crypto-awslc", feature = "rust-25519")),
        "ml-dsa" => cfg!(any(feature = "crypto-awslc", feature = "rust-ml-dsa")),
        "ml-kem" => cfg!(any(feature = "crypto-awslc", feature = "rust-ml-kem")),
        "legacy-ciphers" => cfg!(feature = "legacy-ciphers"),
        "oaep-mixed" => cfg!(any(feature = "oaep-mixed", feature = "rust-rsa")),
        "pkcs11" => cfg!(feature = "pkcs11"),
        _ => false,
    }
}
