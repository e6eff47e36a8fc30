//! KEMRecipientInfo (RFC 9629): a content-encryption key for the holder of a KEM key (RFC 9936: ML-KEM), carried as
//! OtherRecipientInfo.

use ::der::Tag;
use zeroize::Zeroizing;

use super::error::CmsError;
use super::options::OpenOptions;
use super::recipient_identifier::{RecipientIdentifier, is_for, issuer_and_serial, object, wrap_key_len};
use crate::asn1::der::{self, Asn1Error, Cursor, element, encode, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::algorithm_identifier;
use crate::asn1::x509::read_oid;
use crate::crypto::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, Provider};
use crate::prelude::*;

/// RFC 9629 section 3; the key derivation of RFC 9936 section 2.2.1: HKDF with SHA-256.
pub(super) fn seal_by_encapsulation(
    provider: &dyn Provider,
    spki: &[u8],
    kind: KeyKind,
    identifier: RecipientIdentifier<'_>,
    key: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let (ciphertext, secret) = provider.encapsulate(spki)?;
    let wrap = sequence(&[&object(oid::AES256_WRAP)]);
    let mut kek = Zeroizing::new([0u8; 32]);
    derive(provider, DigestAlgorithm::Sha256, &secret, &wrap, None, &mut *kek)?;
    let wrapped = provider.wrap_key(&*kek, key)?;
    let identifier = match identifier {
        RecipientIdentifier::IssuerAndSerial(issuer, serial) => issuer_and_serial(issuer, serial),
        RecipientIdentifier::SubjectKeyIdentifier(identifier) => element(0x80, &[identifier]),
    };
    let info = sequence(&[
        &[0x02, 0x01, 0x00],
        &identifier,
        &sequence(&[&object(kem_identifier(kind)?)]),
        &element(0x04, &[&ciphertext]),
        &sequence(&[&object(oid::HKDF_WITH_SHA256)]),
        &encode(&32u32),
        &wrap,
        &element(0x04, &[&wrapped]),
    ]);
    Ok(element(0xa4, &[&object(oid::CMS_ORI_KEM), &info]))
}

/// Opens the content of an OtherRecipientInfo. `None` if it is of another type or for somebody else.
pub(super) fn open_by_decapsulation(
    provider: &dyn Provider,
    info: &[u8],
    key: &dyn PrivateKey,
    options: &OpenOptions<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>, CmsError> {
    const WHAT: &str = "KEMRecipientInfo";
    let mut outer = Cursor::new(info, "OtherRecipientInfo")?;
    if read_oid(&mut outer)? != oid::CMS_ORI_KEM {
        return Ok(None);
    }
    let mut fields = Cursor::new(outer.expect(Tag::Sequence, WHAT)?.value, WHAT)?;
    outer.finish()?;
    if fields.expect(Tag::Integer, "version")?.value != [0] {
        return Err(Asn1Error::invalid(WHAT, "version is not 0").into());
    }
    let identifier = fields.any("rid")?;
    let (kem, kem_parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "kem")?)?;
    let ciphertext = fields.expect(Tag::OctetString, "kemct")?.value;
    let (derivation, derivation_parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "kdf")?)?;
    let kek_len: u16 = fields.decode()?;
    let ukm = match fields.optional_context(0, true)? {
        Some(field) => Some(Cursor::new(field.value, WHAT)?.expect(Tag::OctetString, "ukm")?.value),
        None => None,
    };
    let wrap = fields.expect(Tag::Sequence, "wrap")?;
    let sealed = fields.expect(Tag::OctetString, "encryptedKey")?.value;
    fields.finish()?;
    let key_identifier = (identifier.tag == der::context(0, false)).then_some(identifier.value);
    if !is_for(options.certificate, identifier, key_identifier)? {
        return Ok(None);
    }
    if kem != kem_identifier(key.kind())? || kem_parameters.is_some() {
        return Err(CryptoError::Unsupported(format!("the KEM {kem} with a key of type {}", key.kind())).into());
    }
    let digest = match derivation {
        o if o == oid::HKDF_WITH_SHA256 => DigestAlgorithm::Sha256,
        o if o == oid::HKDF_WITH_SHA384 => DigestAlgorithm::Sha384,
        o if o == oid::HKDF_WITH_SHA512 => DigestAlgorithm::Sha512,
        other => return Err(CryptoError::Unsupported(format!("key derivation {other}; HKDF is")).into()),
    };
    // RFC 8619 section 2: parameters MUST be absent.
    if derivation_parameters.is_some() {
        return Err(Asn1Error::invalid(WHAT, "HKDF with parameters").into());
    }
    // RFC 9629 section 3: kekLength MUST be that of the key wrap.
    let wrap_len = wrap_key_len(wrap)?;
    if usize::from(kek_len) != wrap_len {
        return Err(Asn1Error::invalid(WHAT, "kekLength is not the key wrap's").into());
    }
    let secret = key.decapsulate(ciphertext)?;
    let mut kek = Zeroizing::new([0u8; 32]);
    let kek = &mut kek[..wrap_len];
    derive(provider, digest, &secret, wrap.bytes, ukm, kek)?;
    Ok(Some(provider.unwrap_key(kek, sealed)?))
}

/// RFC 9629 section 5: HKDF over CMSORIforKEMOtherInfo.
fn derive(
    provider: &dyn Provider,
    digest: DigestAlgorithm,
    secret: &[u8],
    wrap: &[u8],
    ukm: Option<&[u8]>,
    kek: &mut [u8],
) -> Result<(), CryptoError> {
    let ukm = ukm.map_or_else(Vec::new, |ukm| element(0xa0, &[&element(0x04, &[ukm])]));
    let info = sequence(&[wrap, &encode(&(kek.len() as u32)), &ukm]);
    provider.hkdf(digest, secret, &[], &info, kek)
}

/// The identifier of a KEM, which is also that of its keys (RFC 9935 section 3, RFC 9936 section 2.1).
pub(crate) fn kem_identifier(kind: KeyKind) -> Result<Oid, CryptoError> {
    match kind {
        KeyKind::MlKem512 => Ok(oid::ML_KEM_512),
        KeyKind::MlKem768 => Ok(oid::ML_KEM_768),
        KeyKind::MlKem1024 => Ok(oid::ML_KEM_1024),
        _ => Err(CryptoError::KeyCannot("decapsulate")),
    }
}
