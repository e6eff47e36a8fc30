//! The structures, in the words of their standards.

pub(super) mod algorithms;
pub(super) mod cmp;
pub(super) mod cms;
pub(super) mod ocsp;
pub(super) mod x509;

use super::shape::Shape;
use crate::asn1::kind::{self, Kind};

/// A description with its name.
pub(super) type Described = (&'static str, &'static Shape);

/// Structures that may stand alone in a file or message, with their names; the first that fits is taken.
pub(super) const WHOLE: &[Described] = &[
    ("PKIMessage", &cmp::PKI_MESSAGE),
    CERTIFICATE,
    CERTIFICATE_LIST,
    REQUEST,
    OCSP_RESPONSE,
    ("OCSPRequest", &ocsp::REQUEST),
    CONTENT_INFO,
    PFX,
    ENCRYPTED_KEY,
    PRIVATE_KEYS[0],
    PRIVATE_KEYS[1],
    PRIVATE_KEYS[2],
    PRIVATE_KEYS[3],
    PUBLIC_KEYS[0],
];

const CERTIFICATE: Described = ("Certificate", &x509::CERTIFICATE);
const CERTIFICATE_LIST: Described = ("CertificateList", &x509::CERTIFICATE_LIST);
const REQUEST: Described = ("CertificationRequest", &x509::CERTIFICATION_REQUEST);
const OCSP_RESPONSE: Described = ("OCSPResponse", &ocsp::RESPONSE);
const CONTENT_INFO: Described = ("ContentInfo", &cms::CONTENT_INFO);
const PFX: Described = ("PFX", &cms::PFX);
const ENCRYPTED_KEY: Described = ("EncryptedPrivateKeyInfo", &cms::ENCRYPTED_PRIVATE_KEY);
const PUBLIC_KEYS: [Described; 2] =
    [("SubjectPublicKeyInfo", &x509::PUBLIC_KEY), ("RSAPublicKey", &cms::RSA_PUBLIC_KEY)];

/// Private keys in the clear: only their outlines are shown.
pub(super) const PRIVATE_KEYS: [Described; 4] = [
    ("OneAsymmetricKey", &cms::PRIVATE_KEY),
    ("ECPrivateKey", &cms::EC_PRIVATE_KEY),
    ("RSAPrivateKey", &cms::RSA_PRIVATE_KEY),
    ("DSAPrivateKey", &cms::DSA_PRIVATE_KEY),
];

/// What the readers take a file for, by its first elements or its label, as it is described here; nothing where it is not.
pub(super) fn of_kind(kind: Kind) -> &'static [Described] {
    match kind {
        Kind::Certificate => const { &[CERTIFICATE] },
        Kind::Request => const { &[REQUEST] },
        Kind::Crl => const { &[CERTIFICATE_LIST] },
        Kind::Ocsp => const { &[OCSP_RESPONSE] },
        Kind::PrivateKey => {
            const { &[PRIVATE_KEYS[0], PRIVATE_KEYS[1], PRIVATE_KEYS[2], PRIVATE_KEYS[3], ENCRYPTED_KEY] }
        }
        Kind::Pkcs12 => const { &[PFX] },
        Kind::Pkcs7 | kind::ENVELOPED | kind::OTHER_CMS => const { &[CONTENT_INFO] },
        kind::CMP => const { &[WHOLE[0]] },
        kind::PKI_PATH => const { &[("PkiPath", &x509::PKI_PATH)] },
        kind::PUBLIC_KEY => &PUBLIC_KEYS,
        kind::PARAMETERS => const { &[("ECParameters", &cms::EC_PARAMETERS)] },
        Kind::Other(..) => &[],
    }
}

/// What a block of PEM holds by its label, where that says more than the kind of file.
pub(super) fn of_label(label: &str) -> &'static [Described] {
    match label {
        "RSA PUBLIC KEY" => const { &[PUBLIC_KEYS[1]] },
        "PUBLIC KEY" => const { &[PUBLIC_KEYS[0]] },
        "ENCRYPTED PRIVATE KEY" => const { &[ENCRYPTED_KEY] },
        "DH PARAMETERS" | "X9.42 DH PARAMETERS" => const { &[("DHParameter", &cms::DH_PARAMETERS)] },
        "DSA PARAMETERS" => const { &[("DSAParameters", &cms::DSA_PARAMETERS)] },
        _ => Kind::of_label(label).map_or(&[], of_kind),
    }
}
