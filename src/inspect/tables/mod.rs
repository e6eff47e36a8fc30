//! The structures, in the words of their standards.

pub(super) mod algorithms;
pub(super) mod cmp;
pub(super) mod cms;
pub(super) mod ocsp;
pub(super) mod x509;

use super::shape::Shape;

/// Structures that may stand alone in a file or message, with their names; the first that fits best is taken.
pub(super) const WHOLE: &[(&str, &Shape)] = &[
    ("PKIMessage", &cmp::PKI_MESSAGE),
    ("Certificate", &x509::CERTIFICATE),
    ("CertificateList", &x509::CERTIFICATE_LIST),
    ("CertificationRequest", &x509::CERTIFICATION_REQUEST),
    ("OCSPResponse", &ocsp::RESPONSE),
    ("OCSPRequest", &ocsp::REQUEST),
    ("ContentInfo", &cms::CONTENT_INFO),
    ("PFX", &cms::PFX),
    ("EncryptedPrivateKeyInfo", &cms::ENCRYPTED_PRIVATE_KEY),
    PRIVATE_KEYS[0],
    PRIVATE_KEYS[1],
    PRIVATE_KEYS[2],
    ("SubjectPublicKeyInfo", &x509::PUBLIC_KEY),
];

/// Private keys in the clear: only their outlines are shown.
pub(super) const PRIVATE_KEYS: [(&str, &Shape); 3] = [
    ("OneAsymmetricKey", &cms::PRIVATE_KEY),
    ("ECPrivateKey", &cms::EC_PRIVATE_KEY),
    ("RSAPrivateKey", &cms::RSA_PRIVATE_KEY),
];
