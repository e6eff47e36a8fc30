//! Every limit on what a peer, a server or a file may make the library do, each with its reason.
//!
//! The defaults can be changed per client or validator where a `Limits` value is taken; the constants cannot.

use crate::defaults::with_defaults;
use crate::{Code, Error};

/// Largest certificate accepted, in bytes. Real certificates stay under 10 KiB; ML-DSA-87 chains of SLH-DSA roots
/// reach 50 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 128 * 1024;

/// Most extensions read from one certificate, CRL or OCSP response. Real ones have about ten.
pub const MAX_EXTENSIONS: usize = 64;

/// Deepest nesting of constructed values in anything decoded (the stack is finite: OpenSSL CVE-2018-0739).
pub const MAX_DER_DEPTH: usize = 24;

/// Longest object identifier in content bytes (OpenSSL CVE-2023-2650: giant identifiers cost quadratic time). RFC 5280
/// appendix B demands 20 numbers below 2^28, of four bytes each but for the first two.
pub const MAX_OID_BYTES: usize = 79;

/// Longest CRL number, in bytes. RFC 5280 section 5.2.3 has issuers keep to 20; its length is remembered in one byte.
pub const MAX_CRL_NUMBER_BYTES: usize = 255;

/// Smallest RSA key that signs or verifies, in bits (NIST SP 800-131A).
pub const MIN_RSA_BITS: u32 = 2048;

/// Smallest RSA key that verifies where the caller allows weak algorithms, in bits: what signed the old test suites.
pub const MIN_WEAK_RSA_BITS: u32 = 1024;

/// Largest RSA modulus, in bits: a verification's cost grows with its square (OpenSSL CVE-2023-3817), AWS-LC ends here,
/// and no CA uses more.
pub const MAX_RSA_BITS: u32 = 8192;

/// Largest RSA public exponent, in bits: the cost of a verification grows with it, 17 bits are usual, and AWS-LC ends
/// here.
pub const MAX_RSA_EXPONENT_BITS: u32 = 33;

/// Most PBKDF2 iterations that an encrypted key file may ask for, those of SHA-384 and SHA-512 counted twice and each block of the
/// key by itself: some seconds of work, far above what tools write.
pub const MAX_KEY_FILE_ITERATIONS: u32 = 10_000_000;

/// Most memory that the scrypt parameters of an encrypted key file may ask for, in bytes; OpenSSL writes files of
/// 16 MiB.
pub const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;

/// Most passes over that memory (scrypt's p); tools write 1.
pub const MAX_SCRYPT_PARALLELIZATION: u32 = 16;

/// Most recipients looked at in one EnvelopedData: each may cost a private key operation. CMP demands exactly one.
pub const MAX_CMS_RECIPIENTS: usize = 16;

/// Most certificates read from one SignedData; exported bundles of trust anchors reach a few hundred.
pub const MAX_CMS_CERTIFICATES: usize = 512;
/// Certificates in a file of the owner's: all the roots of the world are some hundreds.
pub const MAX_FILE_CERTIFICATES: usize = 4096;

/// Largest revocation list accepted, in bytes: the decoder's own bound. A list of a million entries has 38 MB.
pub const MAX_CRL_BYTES: usize = 0x0fff_ffff;

/// How far apart two clocks may be that are both right, in seconds, where the caller does not say.
pub const CLOCK_SKEW_SECONDS: u32 = 300;

/// How far apart two clocks may be said to be, in seconds: a day. With more, nothing is said about when a certificate begins.
pub const MAX_CLOCK_SKEW_SECONDS: u32 = 86_400;

/// How long after nextUpdate status data may be said to be of use, in seconds: a year and a day. What is longer has been meant as something
/// else, such as -1 as a number without a sign.
pub const MAX_OFFLINE_GRACE_SECONDS: u32 = 366 * 86_400;

/// How long status data without nextUpdate counts as current where the caller sets no maximum age, in seconds: a day,
/// which is how often careful CAs publish.
pub const STATUS_WITHOUT_NEXT_UPDATE_SECONDS: i64 = 86_400;

/// Most work on status data in one validation, over all paths tried, counted in signatures; a chain of four with
/// partitioned lists takes two dozen, the path of a CRL signer counts as eight.
pub const MAX_STATUS_SIGNATURES: u32 = 128;

/// Most certificates looked at as signers of status data in one validation, list by list and path by path: a device with a dozen
/// certificates and lists of its own needs some hundred. Each costs some microseconds.
pub const MAX_STATUS_CANDIDATES: u32 = 8192;

/// How deep the status of a status signer's certificate may hang on yet another signer.
pub const MAX_STATUS_DEPTH: usize = 8;

/// Largest OCSP response accepted, in bytes. Real ones have 0.3 to 5 KiB; post-quantum responders reach 60 KiB.
pub const MAX_OCSP_BYTES: usize = 256 * 1024;

/// Most single responses read from one OCSP response. Pre-signed batches exist, but a client asks for one.
pub const MAX_OCSP_SINGLE_RESPONSES: usize = 256;

/// Most certificates read from one OCSP response: the responder's, perhaps with its issuers.
pub const MAX_OCSP_CERTIFICATES: usize = 16;

/// Most iterations of a password-based MAC in a request that reaches a registration authority, whatever its limits say of
/// answers: whoever knows a reference value, which is no secret, makes the authority do this work. Devices of this library
/// ask for 100,000 at most by default; it takes some 50 ms.
pub const MAX_REQUEST_MAC_ITERATIONS: u32 = 100_000;

/// Longest signature taken from an external key, in bytes. RSA-16384 has 2 KiB, ML-DSA-87 4.6 KiB, SLH-DSA up to 49 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 64 * 1024;

/// Most signers read from one SignedData. CMP demands exactly one.
pub const MAX_CMS_SIGNERS: usize = 16;

/// Largest PKCS#12 file read, in bytes. A key with its chain takes 5 KiB; exported trust stores reach a few hundred.
pub const MAX_PKCS12_BYTES: usize = 4 * 1024 * 1024;

/// Most bags read from one PKCS#12 file.
pub const MAX_PKCS12_BAGS: usize = 1024;

/// Most private keys read from one PKCS#12 file: opening each costs a key derivation.
pub const MAX_PKCS12_KEYS: usize = 16;

/// How deep bags of bags nest in a PKCS#12 file. Nobody writes even one such bag.
pub const MAX_PKCS12_DEPTH: usize = 4;

/// Most iterations of key derivation that one PKCS#12 file may ask for in all, tries of a wrong password included:
/// some seconds of work. Files that are in use ask for thousands up to a million.
pub const MAX_PKCS12_ITERATIONS: u64 = 10_000_000;

/// Longest text copied from a server into an error, in bytes; the rest is cut.
pub const MAX_SERVER_TEXT_BYTES: usize = 1024;

/// Most texts kept from one PKIFreeText.
pub const MAX_SERVER_TEXTS: usize = 16;

/// Largest record read from device memory, in bytes. The largest that is stored is a CRL; real ones reach 50 MB.
pub const MAX_STORED_RECORD_BYTES: usize = 128 * 1024 * 1024;

/// Limits that are known by the names of their fields.
macro_rules! limits {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[doc = $meaning:literal])* pub $field:ident: $type:ty = $default:expr,)+ }) => {
        with_defaults! {
            $(#[$about])*
            pub struct $name { $($(#[doc = $meaning])* pub $field: $type = $default,)+ }
        }

        impl $name {
            fn set_named(&mut self, name: &str, value: i64) -> Result<(), Error> {
                match name {
                    $(stringify!($field) => self.$field = value.try_into().map_err(|_| out_of_range(name, value))?,)+
                    _ => return Err(Error::new(Code::InvalidArgument, format!("there is no limit named '{name}'"))),
                }
                Ok(())
            }
        }
    };
}

fn out_of_range(name: &str, value: i64) -> Error {
    Error::new(Code::InvalidArgument, format!("{value} is out of range for the limit {name}"))
}

limits! {
    /// What a CMP server may make a client do. All settable per client.
    #[derive(Clone, Debug)]
    pub struct Limits {
        /// Largest message accepted, in bytes. OpenSSL's fixed 100 KiB breaks real CRLs.
        pub max_message_bytes: usize = 4 * 1024 * 1024,
        /// Most certificates read from extraCerts, caPubs or a list in one message; 3GPP servers send a dozen.
        pub max_certificates: usize = 64,
        /// Most poll requests in one operation.
        pub max_polls: u32 = 10_000,
        /// Longest single wait a server may ask for, in seconds; longer ones are cut to this.
        pub max_check_after_seconds: u32 = 7 * 86_400,
        /// Longest time from the first step until the CA has decided, in seconds; CAs with manual approval take days.
        pub max_total_seconds: u32 = 30 * 86_400,
        /// Most iterations of a password-based MAC that a server's parameters may impose (BC CVE-2026-59647).
        pub max_mac_iterations: u32 = 1_000_000,
        /// Longest salt of a password-based MAC, in bytes.
        pub max_mac_salt_bytes: usize = 256,
    }
}

impl Limits {
    /// Sets one limit by its name.
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), Error> {
        self.set_named(name, value)
    }
}

/// How much work one certificate validation may take, whatever certificates it is given. Each default alone ends in
/// well under 0.2 s on a device-class CPU; reaching one is reported as budget, not as invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathBudget {
    /// Signature verifications; about 0.1 ms each. Real paths need two or three.
    pub signatures: u32,
    /// Comparisons of names, with constraints and between subjects and issuers; long names count more.
    pub name_comparisons: u32,
    /// Candidates tried as issuers.
    pub steps: u32,
    /// Certificates between the one that is asked about and the anchor, self-issued ones included. The deepest PKIs in
    /// use have five.
    pub depth: usize,
    /// Certificates given, anchors included.
    pub certificates: usize,
}

impl PathBudget {
    /// For a path over certificates that came with an unauthenticated message, beside so many of one's own: what the deepest
    /// real PKIs need, with a renewed CA or two, and no more.
    pub const fn for_stranger(own: usize) -> Self {
        let own = if own > 1000 { 1000 } else { own as u32 };
        PathBudget {
            signatures: 16,
            name_comparisons: 20_000 + 256 * own,
            steps: 1000 + 16 * own,
            depth: 16,
            certificates: 1000,
        }
    }
}

impl Default for PathBudget {
    fn default() -> Self {
        PathBudget { signatures: 100, name_comparisons: 250_000, steps: 50_000, depth: 16, certificates: 1000 }
    }
}

/// The moment that is this far ahead. Who asks for no end gets a hundred years: what lies beyond the clock's range would panic.
#[cfg(feature = "std")]
pub(crate) fn moment_in(span: core::time::Duration) -> std::time::Instant {
    const HUNDRED_YEARS: core::time::Duration = core::time::Duration::from_secs(100 * 365 * 24 * 3600);
    std::time::Instant::now() + span.min(HUNDRED_YEARS)
}
