//! Parameters of algorithms (RFC 9481, RFC 8018, RFC 4210, RFC 4055).

use super::super::shape::{Field, Shape, field};
use crate::asn1::oid::{self, Oid};

static PBM: Shape = Shape::Sequence(&[
    field("salt", &Shape::OctetString),
    field("owf", &Shape::Algorithm),
    field("iterationCount", &Shape::Integer),
    field("mac", &Shape::Algorithm),
]);
static PBKDF2: Shape = Shape::Sequence(&[
    field("salt", &Shape::OctetString),
    field("iterationCount", &Shape::Integer),
    field("keyLength", &Shape::Integer).optional(),
    field("prf", &Shape::Algorithm).optional(),
]);
static SCRYPT: Shape = Shape::Sequence(&[
    field("salt", &Shape::OctetString),
    field("costParameter", &Shape::Integer),
    field("blockSize", &Shape::Integer),
    field("parallelizationParameter", &Shape::Integer),
    field("keyLength", &Shape::Integer).optional(),
]);
static PBMAC1: Shape =
    Shape::Sequence(&[field("keyDerivationFunc", &Shape::Algorithm), field("messageAuthScheme", &Shape::Algorithm)]);
static PBES2: Shape =
    Shape::Sequence(&[field("keyDerivationFunc", &Shape::Algorithm), field("encryptionScheme", &Shape::Algorithm)]);
static PSS: Shape = Shape::Sequence(&[
    field("hashAlgorithm", &Shape::Algorithm).explicit(0).optional(),
    field("maskGenAlgorithm", &Shape::Algorithm).explicit(1).optional(),
    field("saltLength", &Shape::Integer).explicit(2).optional(),
    field("trailerField", &Shape::Integer).explicit(3).optional(),
]);
static OAEP: Shape = Shape::Sequence(&[
    field("hashAlgorithm", &Shape::Algorithm).explicit(0).optional(),
    field("maskGenAlgorithm", &Shape::Algorithm).explicit(1).optional(),
    field("pSourceAlgorithm", &Shape::Algorithm).explicit(2).optional(),
]);
const GCM: &[Field] = &[field("nonce", &Shape::OctetString), field("icvLen", &Shape::Integer).optional()];
static GCM_PARAMETERS: Shape = Shape::Sequence(GCM);

/// What the parameters of an algorithm are.
pub(in super::super) fn parameters(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        o if o == oid::PASSWORD_BASED_MAC => &PBM,
        o if o == oid::PBMAC1 => &PBMAC1,
        o if o == oid::PBES2 => &PBES2,
        o if o == oid::PBKDF2 => &PBKDF2,
        o if o == oid::SCRYPT => &SCRYPT,
        o if o == oid::RSASSA_PSS => &PSS,
        o if o == oid::RSAES_OAEP => &OAEP,
        o if o == oid::MGF1
            || o == oid::ECDH_STD_SHA1_KDF
            || o == oid::ECDH_STD_SHA224_KDF
            || o == oid::ECDH_STD_SHA256_KDF
            || o == oid::ECDH_STD_SHA384_KDF
            || o == oid::ECDH_STD_SHA512_KDF =>
        {
            &Shape::Algorithm
        }
        o if o == oid::EC_PUBLIC_KEY => &Shape::Oid,
        o if o == oid::AES128_GCM || o == oid::AES192_GCM || o == oid::AES256_GCM => &GCM_PARAMETERS,
        _ => return None,
    })
}
