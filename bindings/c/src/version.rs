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
///                 (RSA-OAEP whose mask has a digest of its own), "pkcs11" (keys in tokens); and what a small build may lack:
///                 kinds of keys ("rsa", "p384", "p521", "25519" (Ed25519, X25519), "ml-dsa", "ml-kem"), "enveloped" (what is
///                 encrypted to a key: keys made by the CA, devid_key_decrypt()), "pkcs12", "inspect", "ra" (devid_ra_*),
///                 "status-fetch" (CRLs and OCSP responses by URL), "import" (certificates that come as files), "export"
///                 (identities as files), "probe", "settings" (devid_device_*), "unicode-names", "identifier-names" (all
///                 registered names of attribute types), "panic-guard" (a fault of this library answers DEVID_E_PANIC; without
///                 it, in what `make small` builds, it ends the process).
/// @return 1 yes; 0 no, or not known to this version.
#[export]
fn devid_supports(feature: &str) -> bool {
    devid_core::supports(feature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use devid_core::asn1::oid;
    use devid_core::client::{Config, Import};
    use devid_core::cms::{self, OpenOptions, Pkcs12};
    use devid_core::crypto::default_provider;
    use devid_core::inspect::{Format, inspect};
    use devid_core::limits::Limits;
    use devid_core::store::Store;
    use devid_core::store::export::{Export, Layout};
    use devid_core::transport::{Exchange, ExchangeLimits, Reply, TransportError};
    use devid_core::validation::TrustAnchors;

    struct Nobody;

    impl Exchange for Nobody {
        fn exchange(&mut self, _request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
            Err(TransportError::application(-10_001, "nobody is there"))
        }
    }

    /// Each build is asked, the whole one and the small ones (`scripts/features.sh`): what is left out says so by its name, and what
    /// is there never does.
    #[test]
    fn what_is_left_out_says_so_and_nothing_else_does() {
        let provider = default_provider();
        let (limits, anchors, now) = (Limits::default(), TrustAnchors::new(), Time::from_unix(1_800_000_000));
        let store = Store::in_memory(provider.clone());
        let found: [(&str, Result<(), Error>); 6] = [
            ("inspect", inspect(&[0x30, 0], Format::Text).map(drop)),
            ("pkcs12", Pkcs12::open(&*provider, &[], "").map(drop).map_err(Error::from)),
            (
                "enveloped",
                cms::open_content(&*provider, oid::CMS_ENVELOPED_DATA, &[], &OpenOptions::new(&limits))
                    .map(drop)
                    .map_err(Error::from),
            ),
            ("export", store.export("none", &Export::new(Layout::Pem, "nowhere")).map(drop).map_err(Error::from)),
            ("import", Import::new(&store, &anchors, "clientAuth", now).run(&[]).map(drop)),
            ("probe", Config::new().probe(&mut Nobody, now).map(drop)),
        ];
        for (feature, outcome) in found {
            let refused = outcome.err().filter(|error| error.code() == Code::Unsupported);
            assert_eq!(refused.is_none(), devid_core::supports(feature), "{feature}");
            assert!(refused.is_none_or(|error| error.message().contains(&format!("'{feature}'"))), "{feature}");
        }
    }
}
