//! CMS (RFC 5652, RFC 5083, RFC 9629), private keys (RFC 5958) and PKCS#12 (RFC 7292).

use super::super::shape::{Shape, field};
use super::x509::{ATTRIBUTES, CERTIFICATE};
use crate::asn1::oid::{self, Oid};

pub(in super::super) static CONTENT_INFO: Shape = Shape::Sequence(&[
    field("contentType", &Shape::Oid),
    field("content", &Shape::ByOid(content)).explicit(0).optional(),
]);

fn content(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        // Of what is in it nothing is known: a key file, perhaps.
        o if o == oid::CMS_DATA => &Shape::Secret,
        o if o == oid::CMS_SIGNED_DATA => &SIGNED_DATA,
        o if o == oid::CMS_ENVELOPED_DATA => &ENVELOPED_DATA,
        o if o == oid::CMS_AUTH_ENVELOPED_DATA => &AUTH_ENVELOPED_DATA,
        o if o == oid::CMS_ENCRYPTED_DATA => &ENCRYPTED_DATA,
        _ => return None,
    })
}

pub(super) static SIGNED_DATA: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("digestAlgorithms", &ALGORITHMS),
    field("encapContentInfo", &ENCAPSULATED),
    field("certificates", &CERTIFICATES).implicit(0).optional(),
    field("crls", &Shape::Any).implicit(1).optional(),
    field("signerInfos", &SIGNER_INFOS),
]);
static ALGORITHMS: Shape = Shape::SetOf(&Shape::Algorithm);
static ENCAPSULATED: Shape = Shape::Sequence(&[
    field("eContentType", &Shape::Oid),
    field("eContent", &Shape::InsideByOid(encapsulated)).explicit(0).optional(),
]);

/// Signed is not public: content of other types may be anything.
fn encapsulated(oid: Oid) -> Option<&'static Shape> {
    Some(if oid == oid::CT_KP_KEY_PACKAGE { &KEY_PACKAGE } else { &Shape::Secret })
}

static CERTIFICATE_SET: Shape = Shape::Choice(&[field("certificate", &CERTIFICATE), field("other", &Shape::Any)]);
static CERTIFICATES: Shape = Shape::SetOf(&CERTIFICATE_SET);
static SIGNER_INFOS: Shape = Shape::SetOf(&SIGNER_INFO);
static SIGNER_INFO: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("sid", &IDENTIFIER),
    field("digestAlgorithm", &Shape::Algorithm),
    field("signedAttrs", &ATTRIBUTES).implicit(0).optional(),
    field("signatureAlgorithm", &Shape::Algorithm),
    field("signature", &Shape::OctetString),
    field("unsignedAttrs", &ATTRIBUTES).implicit(1).optional(),
]);
static ISSUER_AND_SERIAL: Shape =
    Shape::Sequence(&[field("issuer", &Shape::Name), field("serialNumber", &Shape::Serial)]);
static IDENTIFIER: Shape = Shape::Choice(&[
    field("issuerAndSerialNumber", &ISSUER_AND_SERIAL),
    field("subjectKeyIdentifier", &Shape::OctetString).implicit(0),
]);

pub(super) static ENVELOPED_DATA: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("originatorInfo", &Shape::Any).implicit(0).optional(),
    field("recipientInfos", &RECIPIENTS),
    field("encryptedContentInfo", &ENCRYPTED_CONTENT),
    field("unprotectedAttrs", &ATTRIBUTES).implicit(1).optional(),
]);
static AUTH_ENVELOPED_DATA: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("originatorInfo", &Shape::Any).implicit(0).optional(),
    field("recipientInfos", &RECIPIENTS),
    field("authEncryptedContentInfo", &ENCRYPTED_CONTENT),
    field("authAttrs", &ATTRIBUTES).implicit(1).optional(),
    field("mac", &Shape::OctetString),
    field("unauthAttrs", &ATTRIBUTES).implicit(2).optional(),
]);
static ENCRYPTED_DATA: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("encryptedContentInfo", &ENCRYPTED_CONTENT),
    field("unprotectedAttrs", &ATTRIBUTES).implicit(1).optional(),
]);
static ENCRYPTED_CONTENT: Shape = Shape::Sequence(&[
    field("contentType", &Shape::Oid),
    field("contentEncryptionAlgorithm", &Shape::Algorithm),
    field("encryptedContent", &Shape::Hidden(&Shape::OctetString)).implicit(0).optional(),
]);
static RECIPIENTS: Shape = Shape::SetOf(&RECIPIENT);
static RECIPIENT: Shape = Shape::Choice(&[
    field("ktri", &KTRI),
    field("kari", &KARI).implicit(1),
    field("kekri", &Shape::Any).implicit(2),
    field("pwri", &PWRI).implicit(3),
    field("ori", &ORI).implicit(4),
]);
static KTRI: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("rid", &IDENTIFIER),
    field("keyEncryptionAlgorithm", &Shape::Algorithm),
    field("encryptedKey", &Shape::Hidden(&Shape::OctetString)),
]);
static KARI: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("originator", &ORIGINATOR).explicit(0),
    field("ukm", &Shape::OctetString).explicit(1).optional(),
    field("keyEncryptionAlgorithm", &Shape::Algorithm),
    field("recipientEncryptedKeys", &Shape::Any),
]);
static ORIGINATOR: Shape = Shape::Choice(&[
    field("issuerAndSerialNumber", &ISSUER_AND_SERIAL),
    field("subjectKeyIdentifier", &Shape::OctetString).implicit(0),
    field("originatorKey", &ORIGINATOR_KEY).implicit(1),
]);
static ORIGINATOR_KEY: Shape =
    Shape::Sequence(&[field("algorithm", &Shape::Algorithm), field("publicKey", &Shape::PublicKey)]);
static PWRI: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("keyDerivationAlgorithm", &Shape::Algorithm).implicit(0).optional(),
    field("keyEncryptionAlgorithm", &Shape::Algorithm),
    field("encryptedKey", &Shape::Hidden(&Shape::OctetString)),
]);
static ORI: Shape =
    Shape::Sequence(&[field("oriType", &Shape::Oid), field("oriValue", &Shape::ByOid(other_recipient))]);

/// id-ori-kem (RFC 9629 section 3).
const KEM: Oid = Oid::new_unwrap("1.2.840.113549.1.9.16.13.3");

fn other_recipient(oid: Oid) -> Option<&'static Shape> {
    (oid == KEM).then_some(&KEMRI)
}

static KEMRI: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("rid", &IDENTIFIER),
    field("kem", &Shape::Algorithm),
    field("kemct", &Shape::OctetString),
    field("kdf", &Shape::Algorithm),
    field("kekLength", &Shape::Integer),
    field("ukm", &Shape::OctetString).explicit(0).optional(),
    field("wrap", &Shape::Algorithm),
    field("encryptedKey", &Shape::Hidden(&Shape::OctetString)),
]);

pub(in super::super) static PRIVATE_KEY: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("privateKeyAlgorithm", &Shape::Algorithm),
    field("privateKey", &Shape::Hidden(&Shape::OctetString)),
    field("attributes", &ATTRIBUTES).implicit(0).optional(),
    field("publicKey", &Shape::PublicKey).implicit(1).optional(),
]);
/// RFC 8017 appendix A.1.2.
pub(in super::super) static RSA_PRIVATE_KEY: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("modulus", &NUMBER),
    field("publicExponent", &Shape::Integer),
    field("privateExponent", &NUMBER),
    field("prime1", &NUMBER),
    field("prime2", &NUMBER),
    field("exponent1", &NUMBER),
    field("exponent2", &NUMBER),
    field("coefficient", &NUMBER),
    field("otherPrimeInfos", &Shape::Secret).optional(),
]);
/// As OpenSSL writes keys of DSA without PKCS#8.
pub(in super::super) static DSA_PRIVATE_KEY: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("p", &NUMBER),
    field("q", &NUMBER),
    field("g", &NUMBER),
    field("publicKey", &NUMBER),
    field("privateKey", &NUMBER),
]);
static NUMBER: Shape = Shape::Hidden(&Shape::Integer);
/// RFC 8017 appendix A.1.1.
pub(in super::super) static RSA_PUBLIC_KEY: Shape =
    Shape::Sequence(&[field("modulus", &NUMBER), field("publicExponent", &Shape::Integer)]);
/// RFC 5480 section 2.1.1, and with all of the curve's numbers as ANSI X9.62 has it.
pub(in super::super) static EC_PARAMETERS: Shape =
    Shape::Choice(&[field("namedCurve", &Shape::Oid), field("specifiedCurve", &Shape::Any)]);
/// PKCS#3 section 9.
pub(in super::super) static DH_PARAMETERS: Shape = Shape::Sequence(&[
    field("prime", &NUMBER),
    field("base", &NUMBER),
    field("privateValueLength", &Shape::Integer).optional(),
]);
/// RFC 3279 section 2.3.2.
pub(in super::super) static DSA_PARAMETERS: Shape =
    Shape::Sequence(&[field("p", &NUMBER), field("q", &NUMBER), field("g", &NUMBER)]);
/// RFC 5915 section 3.
pub(in super::super) static EC_PRIVATE_KEY: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("privateKey", &Shape::Hidden(&Shape::OctetString)),
    field("parameters", &Shape::Oid).explicit(0).optional(),
    field("publicKey", &Shape::PublicKey).explicit(1).optional(),
]);
static KEY_PACKAGE: Shape = Shape::SequenceOf(&PRIVATE_KEY);
pub(in super::super) static ENCRYPTED_PRIVATE_KEY: Shape = Shape::Sequence(&[
    field("encryptionAlgorithm", &Shape::Algorithm),
    field("encryptedData", &Shape::Hidden(&Shape::OctetString)),
]);

pub(in super::super) static PFX: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer),
    field("authSafe", &PROTECTED_CONTENT),
    field("macData", &MAC_DATA).optional(),
]);
/// What stands in the clear inside may be a private key.
static PROTECTED_CONTENT: Shape =
    Shape::Sequence(&[field("contentType", &Shape::Oid), field("content", &Shape::Secret).explicit(0).optional()]);
static MAC_DATA: Shape = Shape::Sequence(&[
    field("mac", &DIGEST_INFO),
    field("macSalt", &Shape::OctetString),
    field("iterations", &Shape::Integer).optional(),
]);
static DIGEST_INFO: Shape =
    Shape::Sequence(&[field("digestAlgorithm", &Shape::Algorithm), field("digest", &Shape::OctetString)]);
/// EncryptedValue of old CMP (RFC 4211 section 2.1): a certificate or a key for the one who can decrypt it.
pub(super) static ENCRYPTED_VALUE: Shape = Shape::Sequence(&[
    field("intendedAlg", &Shape::Algorithm).implicit(0).optional(),
    field("symmAlg", &Shape::Algorithm).implicit(1).optional(),
    field("encSymmKey", &Shape::Hidden(&Shape::BitString)).implicit(2).optional(),
    field("keyAlg", &Shape::Algorithm).implicit(3).optional(),
    field("valueHint", &Shape::Hidden(&Shape::OctetString)).implicit(4).optional(),
    field("encValue", &Shape::Hidden(&Shape::BitString)),
]);
/// EncryptedKey (RFC 9810 section 5.2.2).
pub(super) static ENCRYPTED_KEY: Shape =
    Shape::Choice(&[field("encryptedValue", &ENCRYPTED_VALUE), field("envelopedData", &ENVELOPED_DATA).implicit(0)]);
