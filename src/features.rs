//! What this build has of what a build may lack: the cargo features by name, for programs that ask before they try, and for the doors of
//! what can be left out.
//!
//! A door says at its first line what it [`needs`]. Where that was left out it refuses with words that name the feature, and the
//! compiler drops what would have come after. So the parts of the library need no conditions of their own, and every build
//! has the same functions.

use crate::codes::Code;
use crate::error::Error;

macro_rules! table {
    ($($name:literal)*) => { &[$(($name, cfg!(feature = $name))),*] };
}

/// Every feature of the package, and whether it is built in.
const TABLE: &[(&str, bool)] = table![
    "crypto-awslc" "crypto-rust" "crypto-rust-p256" "rust-rsa" "rust-p384" "rust-p521" "rust-25519" "rust-ml-dsa" "rust-ml-kem"
    "legacy-ciphers" "oaep-mixed" "pkcs11" "http" "tls" "coap" "ldap" "unicode-names" "identifier-names" "settings" "std"
    "enveloped" "pkcs12" "inspect" "ra" "status-fetch" "import" "export" "probe"
];

/// What programs ask for by another name, or have by more than one feature.
const BY_SEVERAL: &[(&str, bool)] = &[
    ("crypto-rust", cfg!(feature = "crypto-rust-p256")),
    ("rsa", cfg!(any(feature = "crypto-awslc", feature = "rust-rsa"))),
    ("p384", cfg!(any(feature = "crypto-awslc", feature = "rust-p384"))),
    ("p521", cfg!(any(feature = "crypto-awslc", feature = "rust-p521"))),
    ("25519", cfg!(any(feature = "crypto-awslc", feature = "rust-25519"))),
    ("ml-dsa", cfg!(any(feature = "crypto-awslc", feature = "rust-ml-dsa"))),
    ("ml-kem", cfg!(any(feature = "crypto-awslc", feature = "rust-ml-kem"))),
    // A panic of this library is caught at the C face; else it ends the process (`make small`).
    ("panic-guard", cfg!(panic = "unwind")),
    ("oaep-mixed", cfg!(any(feature = "crypto-awslc", feature = "rust-rsa"))),
];

/// The features that are built in, by their names in `Cargo.toml`.
pub fn features() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|(_, is_in)| *is_in).map(|(name, _)| *name)
}

/// Whether this build has a feature, by its name in `Cargo.toml`; kinds of keys by `rsa`, `p384`, `p521`, `25519`, `ml-dsa`,
/// `ml-kem`, whichever provider brings them. False for names that are not known.
pub fn supports(feature: &str) -> bool {
    BY_SEVERAL.iter().chain(TABLE).find(|(name, _)| *name == feature).is_some_and(|(_, is_in)| *is_in)
}

/// Something whose door says that it may have been left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    name: &'static str,
    built_in: bool,
}

macro_rules! doors {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)+) => {
        $($(#[$doc])* pub(crate) const $constant: Feature = Feature { name: $name, built_in: cfg!(feature = $name) };)+
        #[cfg(test)]
        const DOORS: &[Feature] = &[$($constant),+];
    };
}

doors! {
    /// What others encrypt to a key or a secret of this device, and what it encrypts to others (CMS EnvelopedData and EncryptedValue).
    ENVELOPED = "enveloped";
    /// Reading and writing PKCS#12.
    PKCS12 = "pkcs12";
    /// Structures as text or JSON.
    INSPECT = "inspect";
    /// A registration authority.
    RA = "ra";
    /// Asking for CRLs, OCSP responses and issuers by the URLs in certificates.
    STATUS_FETCH = "status-fetch";
    /// Certificates that come as files: what people carry from an RA, and PKCS#12.
    IMPORT = "import";
    /// Identities as files for other programs.
    EXPORT = "export";
    /// What a server is like.
    PROBE = "probe";
}

/// A build without a feature that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut(pub(crate) &'static str);

/// The first line of a door.
#[inline(always)]
pub(crate) fn needs(feature: Feature) -> Result<(), LeftOut> {
    if feature.built_in { Ok(()) } else { Err(LeftOut(feature.name)) }
}

impl core::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "this library was built without the feature '{}'", self.0)
    }
}

impl core::error::Error for LeftOut {}

impl From<LeftOut> for Error {
    fn from(left_out: LeftOut) -> Self {
        Error::caused_by(Code::Unsupported, left_out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_feature_of_the_package_is_told() {
        let manifest = include_str!("../Cargo.toml");
        let section = manifest.split("\n[features]").nth(1).unwrap().split("\n[").next().unwrap();
        let stated: BTreeSet<&str> = section
            .lines()
            .filter_map(|line| line.split_once(" = ["))
            .map(|(name, _)| name)
            .filter(|name| *name != "default")
            .collect();
        assert_eq!(TABLE.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), stated);
        assert!(features().any(|name| name == "std"));
    }

    #[test]
    fn what_a_door_needs_is_what_programs_are_told() {
        for door in DOORS {
            assert_eq!(needs(*door).is_ok(), supports(door.name));
            assert!(TABLE.iter().any(|(name, _)| *name == door.name), "{}", door.name);
        }
        let refused: Error = LeftOut("pkcs12").into();
        assert_eq!(refused.code(), Code::Unsupported);
        assert!(refused.message().contains("'pkcs12'"));
        assert!(!supports("teleport") && !supports(""));
    }
}
