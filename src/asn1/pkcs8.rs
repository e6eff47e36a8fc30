//! Private keys as they are written down: PKCS#8 (RFC 5958), ECPrivateKey (RFC 5915), encrypted PKCS#8 (RFC 5958
//! section 3).

use ::der::Tag;
use zeroize::Zeroizing;

use super::der::{Asn1Error, Cursor, Tlv, element};
use super::fields::{bit_string, read_oid};
use super::oid::Oid;
use crate::prelude::*;

/// RFC 5480 section 2.1.1: specifiedCurve must not be used. What writes it can write the name.
const EXPLICIT: &str =
    "a curve by its numbers and not by its name: openssl ec -in FILE -param_enc named_curve -out NEW writes its name";

/// OneAsymmetricKey, version 1 (RFC 5208) or 2; borrowed from the input.
pub struct PrivateKeyInfo<'a> {
    /// What kind of key it is.
    pub algorithm: Oid,
    /// The parameters beside it: the curve, NULL, the digest a key is bound to.
    pub parameters: Option<Tlv<'a>>,
    /// The key in the form that its algorithm defines.
    pub key: &'a [u8],
    /// The public key in the form of a SubjectPublicKeyInfo's BIT STRING, if the file carries it.
    pub public_key: Option<&'a [u8]>,
}

impl<'a> PrivateKeyInfo<'a> {
    /// Reads one; attributes are skipped.
    pub fn from_der(bytes: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "PrivateKeyInfo";
        let mut fields = Cursor::sequence(bytes, WHAT)?;
        let version = fields.expect(Tag::Integer, "version")?.value;
        if !matches!(version, [0] | [1]) {
            return Err(Asn1Error::invalid(WHAT, "version is neither 0 nor 1"));
        }
        let (algorithm, parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "privateKeyAlgorithm")?)?;
        let key = fields.expect(Tag::OctetString, "privateKey")?.value;
        fields.optional_context(0, true)?;
        let public_key = match fields.optional_context(1, false)? {
            Some(field) => Some(bit_string(field, WHAT, "publicKey has unused bits")?),
            None => None,
        };
        fields.finish()?;
        Ok(PrivateKeyInfo { algorithm, parameters, key, public_key })
    }

    /// The named curve of an EC key.
    pub fn named_curve(&self) -> Result<Oid, Asn1Error> {
        match self.parameters {
            Some(p) if p.tag == Tag::ObjectIdentifier => read_oid(&mut Cursor::new(p.bytes, "PrivateKeyInfo")?),
            Some(p) if p.tag == Tag::Sequence => Err(Asn1Error::invalid("PrivateKeyInfo", EXPLICIT)),
            _ => Err(Asn1Error::invalid("PrivateKeyInfo", "no named curve")),
        }
    }
}

/// The keys in an AsymmetricKeyPackage (RFC 5958 section 2), each as PKCS#8; at least one.
pub fn asymmetric_key_package(bytes: &[u8]) -> Result<Vec<&[u8]>, Asn1Error> {
    let mut list = Cursor::sequence(bytes, "AsymmetricKeyPackage")?;
    let mut keys = Vec::new();
    while !list.is_empty() {
        keys.push(list.expect(Tag::Sequence, "a OneAsymmetricKey")?.bytes);
    }
    if keys.is_empty() { Err(Asn1Error::invalid("AsymmetricKeyPackage", "empty")) } else { Ok(keys) }
}

/// Writes PKCS#8 version 1; `parameters` is empty or one encoded element.
pub fn encode_private_key_info(algorithm: Oid, parameters: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let identifier = element(0x30, &[&element(0x06, &[algorithm.as_bytes()]), parameters]);
    let octets = Zeroizing::new(element(0x04, &[key]));
    Zeroizing::new(element(0x30, &[&[0x02, 0x01, 0x00], &identifier, &octets]))
}

/// ECPrivateKey (RFC 5915 section 3); borrowed from the input.
pub struct EcPrivateKey<'a> {
    /// The scalar, big endian. RFC 5915 fixes its length; shorter and longer ones exist.
    pub scalar: &'a [u8],
    /// The named curve, if it is written here and not only in an AlgorithmIdentifier around.
    pub curve: Option<Oid>,
    /// The public point, if the file carries it.
    pub public_key: Option<&'a [u8]>,
}

impl<'a> EcPrivateKey<'a> {
    /// Reads one.
    pub fn from_der(bytes: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "ECPrivateKey";
        let mut fields = Cursor::sequence(bytes, WHAT)?;
        if fields.expect(Tag::Integer, "version")?.value != [1] {
            return Err(Asn1Error::invalid(WHAT, "version is not 1"));
        }
        let scalar = fields.expect(Tag::OctetString, "privateKey")?.value;
        let curve = match fields.optional_context(0, true)? {
            Some(field) => {
                let mut inner = Cursor::new(field.value, WHAT)?;
                if inner.peek() != Some(Tag::ObjectIdentifier) {
                    return Err(Asn1Error::invalid(WHAT, EXPLICIT));
                }
                let curve = read_oid(&mut inner)?;
                inner.finish()?;
                Some(curve)
            }
            None => None,
        };
        let public_key = match fields.optional_context(1, true)? {
            Some(field) => {
                let mut inner = Cursor::new(field.value, WHAT)?;
                let point = bit_string(inner.expect(Tag::BitString, "publicKey")?, WHAT, "publicKey has unused bits")?;
                inner.finish()?;
                Some(point)
            }
            None => None,
        };
        fields.finish()?;
        Ok(EcPrivateKey { scalar, curve, public_key })
    }
}

/// Writes an ECPrivateKey with its public point; the curve is left to the PKCS#8 around it.
pub fn encode_ec_private_key(scalar: &[u8], point: &[u8]) -> Zeroizing<Vec<u8>> {
    let scalar = Zeroizing::new(element(0x04, &[scalar]));
    let public = element(0xa1, &[&element(0x03, &[&[0], point])]);
    Zeroizing::new(element(0x30, &[&[0x02, 0x01, 0x01], &scalar, &public]))
}

/// EncryptedPrivateKeyInfo; borrowed from the input.
pub struct EncryptedPrivateKeyInfo<'a> {
    /// How it is encrypted.
    pub algorithm: Oid,
    /// The parameters of that.
    pub parameters: Option<Tlv<'a>>,
    /// The encrypted PrivateKeyInfo.
    pub ciphertext: &'a [u8],
}

impl<'a> EncryptedPrivateKeyInfo<'a> {
    /// Reads one.
    pub fn from_der(bytes: &'a [u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::sequence(bytes, "EncryptedPrivateKeyInfo")?;
        let (algorithm, parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "encryptionAlgorithm")?)?;
        let ciphertext = fields.expect(Tag::OctetString, "encryptedData")?.value;
        fields.finish()?;
        Ok(EncryptedPrivateKeyInfo { algorithm, parameters, ciphertext })
    }
}

/// Splits an AlgorithmIdentifier into identifier and parameters.
pub fn algorithm_identifier(identifier: Tlv<'_>) -> Result<(Oid, Option<Tlv<'_>>), Asn1Error> {
    let mut fields = Cursor::new(identifier.value, "AlgorithmIdentifier")?;
    let algorithm = read_oid(&mut fields)?;
    let parameters = if fields.is_empty() { None } else { Some(fields.any("parameters")?) };
    fields.finish()?;
    Ok((algorithm, parameters))
}

/// Refuses parameters other than NULL or nothing.
pub fn absent_or_null(parameters: Option<Tlv<'_>>, structure: &'static str) -> Result<(), Asn1Error> {
    match parameters {
        None => Ok(()),
        Some(p) if p.tag == Tag::Null && p.value.is_empty() => Ok(()),
        Some(_) => Err(Asn1Error::invalid(structure, "parameters other than NULL")),
    }
}

/// ML-DSA-PrivateKey (RFC 9881 section 6) and ML-KEM-PrivateKey (RFC 9935 section 6): seed, expanded key, or both.
pub struct SeededPrivateKey<'a> {
    /// The bytes that everything else follows from.
    pub seed: Option<&'a [u8]>,
    /// The key as FIPS 204 or FIPS 203 writes it.
    pub expanded: Option<&'a [u8]>,
}

impl<'a> SeededPrivateKey<'a> {
    /// Reads the content of PKCS#8's privateKey.
    pub fn from_der(bytes: &'a [u8], structure: &'static str, seed_len: usize) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(bytes, structure)?;
        let key = match fields.peek() {
            Some(Tag::Sequence) => {
                let mut both = Cursor::new(fields.any("both")?.value, structure)?;
                let seed = both.expect(Tag::OctetString, "seed")?.value;
                let expanded = both.expect(Tag::OctetString, "expandedKey")?.value;
                both.finish()?;
                SeededPrivateKey { seed: Some(seed), expanded: Some(expanded) }
            }
            Some(Tag::OctetString) => SeededPrivateKey { seed: None, expanded: Some(fields.any("expandedKey")?.value) },
            _ => {
                let seed = fields.expect(super::der::context(0, false), "seed")?.value;
                SeededPrivateKey { seed: Some(seed), expanded: None }
            }
        };
        fields.finish()?;
        if key.seed.is_some_and(|seed| seed.len() != seed_len) {
            return Err(Asn1Error::invalid(structure, "a seed of another length"));
        }
        Ok(key)
    }
}

/// The 32 bytes of an Ed25519 key: CurvePrivateKey (RFC 8410 section 7), an OCTET STRING in PKCS#8's OCTET STRING.
pub fn curve_private_key(bytes: &[u8]) -> Result<&[u8; 32], Asn1Error> {
    let mut content = Cursor::new(bytes, "CurvePrivateKey")?;
    let seed = content.expect(Tag::OctetString, "CurvePrivateKey")?.value;
    content.finish()?;
    seed.try_into().map_err(|_| Asn1Error::invalid("CurvePrivateKey", "a key that is not 32 bytes"))
}
