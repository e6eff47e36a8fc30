//! How a content-encryption key reaches its recipients: key transport, key agreement, password (RFC 5652 section 6.2).

use ::der::Tag;
use zeroize::Zeroizing;

use super::error::CmsError;
use super::kem::{open_by_decapsulation, seal_by_encapsulation};
use super::options::OpenOptions;
use super::recipient_identifier::{RecipientIdentifier, is_for, issuer_and_serial, object, wrap_key_len};
use crate::asn1::der::{self, Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{absent_or_null, algorithm_identifier};
use crate::asn1::x509::{Certificate, bit_string};
use crate::crypto::algorithm::digest_identifier;
use crate::crypto::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, Provider, PublicKey, RsaEncryption};
use crate::limits::Limits;
use crate::prelude::*;

/// Somebody to seal for.
#[derive(Clone, Copy)]
pub enum Recipient<'a> {
    /// The holder of a private key: RSA by OAEP with SHA-256, EC and X25519 by ephemeral-static ECDH (RFC 5753, RFC 8418),
    /// ML-KEM by encapsulation (RFC 9629).
    Key {
        /// The public half, SubjectPublicKeyInfo, DER. The caller has validated whose it is.
        spki: &'a [u8],
        /// How the recipient finds its certificate.
        identifier: RecipientIdentifier<'a>,
    },
    /// The holder of a shared secret (RFC 9483 section 4.1.6.3): PBKDF2 with HMAC-SHA256.
    Password {
        /// The secret. Its strength is all that protects the content.
        secret: &'a [u8],
        /// Iterations of PBKDF2.
        iterations: u32,
    },
}

impl<'a> Recipient<'a> {
    /// The subject of a certificate that the caller has validated; named by key identifier where there is one, as
    /// RFC 9483 section 4.1.6 demands. Inside the library only: sealing for a peer goes through `validation::peer`.
    pub(crate) fn of_certificate(certificate: &'a Certificate) -> Self {
        let identifier = match certificate.subject_key_identifier() {
            Some(identifier) => RecipientIdentifier::SubjectKeyIdentifier(identifier),
            None => RecipientIdentifier::IssuerAndSerial(certificate.issuer(), certificate.serial()),
        };
        Recipient::Key { spki: certificate.spki(), identifier }
    }

    /// The RecipientInfo's least version of EnvelopedData around it (RFC 5652 section 6.1).
    pub(super) fn enveloped_version(&self) -> Result<u8, CryptoError> {
        match self {
            Recipient::Password { .. } => Ok(3),
            // With OtherRecipientInfo.
            Recipient::Key { spki, .. } if matches!(PublicKey::from_spki(spki)?, PublicKey::MlKem { .. }) => Ok(3),
            Recipient::Key { spki, identifier: RecipientIdentifier::IssuerAndSerial(..) }
                if matches!(PublicKey::from_spki(spki)?, PublicKey::Rsa(_)) =>
            {
                Ok(0)
            }
            Recipient::Key { .. } => Ok(2),
        }
    }

    /// The RecipientInfo that carries `key`, an AES-256 key.
    pub(super) fn seal_key(&self, provider: &dyn Provider, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match *self {
            Recipient::Password { secret, iterations } => seal_by_password(provider, secret, iterations, key),
            Recipient::Key { spki, identifier } => match PublicKey::from_spki(spki)? {
                PublicKey::Rsa(_) => seal_by_transport(provider, spki, identifier, key),
                PublicKey::Ec { kind, .. } => seal_by_agreement(provider, spki, kind, identifier, key),
                PublicKey::X25519(_) => seal_by_agreement(provider, spki, KeyKind::X25519, identifier, key),
                PublicKey::MlKem { kind, .. } => seal_by_encapsulation(provider, spki, kind, identifier, key),
                other => Err(CryptoError::Unsupported(format!("sealing for keys of type {}", other.kind()))),
            },
        }
    }
}

/// KeyTransRecipientInfo (RFC 5652 section 6.2.1) with RSAES-OAEP (RFC 3560, RFC 4055 section 4.1).
fn seal_by_transport(
    provider: &dyn Provider,
    spki: &[u8],
    identifier: RecipientIdentifier<'_>,
    key: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let sealed = provider.rsa_encrypt(RsaEncryption::Oaep(DigestAlgorithm::Sha256), spki, key)?;
    let (version, identifier) = match identifier {
        RecipientIdentifier::IssuerAndSerial(issuer, serial) => (0, issuer_and_serial(issuer, serial)),
        RecipientIdentifier::SubjectKeyIdentifier(identifier) => (2, element(0x80, &[identifier])),
    };
    let hash = sequence(&[&object(oid::SHA256), &[0x05, 0x00]]);
    let mask = sequence(&[&object(oid::MGF1), &hash]);
    let parameters = sequence(&[&element(0xa0, &[&hash]), &element(0xa1, &[&mask])]);
    let algorithm = sequence(&[&object(oid::RSAES_OAEP), &parameters]);
    Ok(sequence(&[&[0x02, 0x01, version], &identifier, &algorithm, &element(0x04, &[&sealed])]))
}

/// KeyAgreeRecipientInfo (RFC 5652 section 6.2.2) with an ephemeral key (RFC 5753 section 3.1).
fn seal_by_agreement(
    provider: &dyn Provider,
    spki: &[u8],
    kind: KeyKind,
    identifier: RecipientIdentifier<'_>,
    key: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let (point, secret) = provider.agree_ephemeral(spki)?;
    let (scheme, digest) = match kind {
        // RFC 8418 section 2.2.
        KeyKind::X25519 => (oid::ECDH_STD_HKDF_SHA256, DigestAlgorithm::Sha256),
        KeyKind::P384 => (oid::ECDH_STD_SHA384_KDF, DigestAlgorithm::Sha384),
        KeyKind::P521 => (oid::ECDH_STD_SHA512_KDF, DigestAlgorithm::Sha512),
        _ => (oid::ECDH_STD_SHA256_KDF, DigestAlgorithm::Sha256),
    };
    // RFC 9483 section 4.1.6.2: ukm SHOULD be present.
    let mut ukm = [0u8; 32];
    provider.random(&mut ukm)?;
    let wrap = sequence(&[&object(oid::AES256_WRAP)]);
    let mut kek = Zeroizing::new([0u8; 32]);
    derive(provider, scheme, digest, &secret, &wrap, Some(&ukm), &mut *kek)?;
    let wrapped = provider.wrap_key(&*kek, key)?;

    // The curve is left out beside the ephemeral key (RFC 5753 section 3.1.1 lets it be absent); OpenSSL wants it so.
    let algorithm = if kind == KeyKind::X25519 { oid::X25519 } else { oid::EC_PUBLIC_KEY };
    let public = element(0xa1, &[&sequence(&[&object(algorithm)]), &element(0x03, &[&[0], &point])]);
    let identifier = match identifier {
        RecipientIdentifier::IssuerAndSerial(issuer, serial) => issuer_and_serial(issuer, serial),
        RecipientIdentifier::SubjectKeyIdentifier(identifier) => element(0xa0, &[&element(0x04, &[identifier])]),
    };
    let recipient = sequence(&[&identifier, &element(0x04, &[&wrapped])]);
    Ok(element(
        0xa1,
        &[
            &[0x02, 0x01, 0x03],
            &element(0xa0, &[&public]),
            &element(0xa1, &[&element(0x04, &[&ukm])]),
            &sequence(&[&object(scheme), &wrap]),
            &sequence(&[&recipient]),
        ],
    ))
}

/// PasswordRecipientInfo (RFC 5652 section 6.2.4) with the algorithms of RFC 9481 sections 4.3 and 4.4.
fn seal_by_password(
    provider: &dyn Provider,
    secret: &[u8],
    iterations: u32,
    key: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let mut salt = [0u8; 16];
    provider.random(&mut salt)?;
    let mut kek = Zeroizing::new([0u8; 32]);
    provider.pbkdf2(DigestAlgorithm::Sha256, secret, &salt, iterations, &mut *kek)?;
    let wrapped = provider.wrap_key(&*kek, key)?;
    let prf = sequence(&[&object(oid::HMAC_WITH_SHA256), &[0x05, 0x00]]);
    let parameters = sequence(&[&element(0x04, &[&salt]), &der::encode(&iterations), &prf]);
    let derivation = element(0xa0, &[&object(oid::PBKDF2), &parameters]);
    let wrap = sequence(&[&object(oid::AES256_WRAP)]);
    Ok(element(0xa3, &[&[0x02, 0x01, 0x00], &derivation, &wrap, &element(0x04, &[&wrapped])]))
}

/// Opens one RecipientInfo. `None` if it is not for the key, certificate or password at hand; `key_len` is what the
/// content's algorithm needs.
pub(super) fn open_key(
    provider: &dyn Provider,
    info: Tlv<'_>,
    options: &OpenOptions<'_>,
    key_len: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, CmsError> {
    const KEY_AGREEMENT: Tag = der::context(1, true);
    const PASSWORD: Tag = der::context(3, true);
    const OTHER: Tag = der::context(4, true);
    match (info.tag, options.key, options.password) {
        (Tag::Sequence, Some(key), _) if matches!(key.kind(), KeyKind::Rsa(_)) => {
            open_by_transport(provider, info.value, key, options, key_len)
        }
        (KEY_AGREEMENT, Some(key), _) if key.kind().can_agree() => {
            open_by_agreement(provider, info.value, key, options)
        }
        (OTHER, Some(key), _) if key.kind().can_decapsulate() => {
            open_by_decapsulation(provider, info.value, key, options)
        }
        (PASSWORD, _, Some(secret)) => open_by_password(provider, info.value, secret, options.limits).map(Some),
        _ => Ok(None),
    }
}

fn open_by_transport(
    provider: &dyn Provider,
    info: &[u8],
    key: &dyn PrivateKey,
    options: &OpenOptions<'_>,
    key_len: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, CmsError> {
    const WHAT: &str = "KeyTransRecipientInfo";
    let mut fields = Cursor::new(info, WHAT)?;
    fields.expect(Tag::Integer, "version")?;
    let identifier = fields.any("rid")?;
    let (algorithm, parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "keyEncryptionAlgorithm")?)?;
    let sealed = fields.expect(Tag::OctetString, "encryptedKey")?.value;
    fields.finish()?;
    let key_identifier = (identifier.tag == der::context(0, false)).then_some(identifier.value);
    if !is_for(options.certificate, identifier, key_identifier)? {
        return Ok(None);
    }
    match algorithm {
        o if o == oid::RSAES_OAEP => Ok(Some(key.decrypt(oaep_parameters(parameters)?, sealed)?)),
        o if o == oid::RSA_ENCRYPTION && options.allow_pkcs1_transport => {
            absent_or_null(parameters, WHAT)?;
            // RFC 3218 section 2.3.2: go on with a random key, so that nobody learns at which step it failed.
            let mut instead = Zeroizing::new(vec![0u8; key_len]);
            provider.random(&mut instead)?;
            Ok(Some(super::error::opened_or(key.decrypt(RsaEncryption::Pkcs1, sealed), instead)?))
        }
        o if o == oid::RSA_ENCRYPTION => Err(CryptoError::Unsupported(
            "key transport by RSA PKCS#1 v1.5; switch pkcs1_key_transport takes it".to_owned(),
        )
        .into()),
        other => Err(CryptoError::Unsupported(format!("key transport {other}")).into()),
    }
}

fn open_by_agreement(
    provider: &dyn Provider,
    info: &[u8],
    key: &dyn PrivateKey,
    options: &OpenOptions<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>, CmsError> {
    const WHAT: &str = "KeyAgreeRecipientInfo";
    let mut fields = Cursor::new(info, WHAT)?;
    if fields.expect(Tag::Integer, "version")?.value != [3] {
        return Err(Asn1Error::invalid(WHAT, "version is not 3").into());
    }
    let originator = fields.expect(der::context(0, true), "originator")?;
    let ukm = match fields.optional_context(1, true)? {
        Some(field) => Some(Cursor::new(field.value, WHAT)?.expect(Tag::OctetString, "ukm")?.value),
        None => None,
    };
    let (scheme, wrap) = algorithm_identifier(fields.expect(Tag::Sequence, "keyEncryptionAlgorithm")?)?;
    let mut recipients = Cursor::new(fields.expect(Tag::Sequence, "recipientEncryptedKeys")?.value, WHAT)?;
    fields.finish()?;

    let mut sealed = None;
    let mut count = 0;
    while sealed.is_none() && !recipients.is_empty() && count < crate::limits::MAX_CMS_RECIPIENTS {
        count += 1;
        let mut recipient = Cursor::new(recipients.expect(Tag::Sequence, "RecipientEncryptedKey")?.value, WHAT)?;
        let identifier = recipient.any("rid")?;
        let key_identifier = if identifier.tag == der::context(0, true) {
            Some(Cursor::new(identifier.value, WHAT)?.expect(Tag::OctetString, "subjectKeyIdentifier")?.value)
        } else {
            None
        };
        if is_for(options.certificate, identifier, key_identifier)? {
            sealed = Some(recipient.expect(Tag::OctetString, "encryptedKey")?.value);
        }
    }
    let Some(sealed) = sealed else { return Ok(None) };

    let digest = match scheme {
        o if o == oid::ECDH_STD_SHA1_KDF => DigestAlgorithm::Sha1,
        o if o == oid::ECDH_STD_SHA224_KDF => DigestAlgorithm::Sha224,
        o if o == oid::ECDH_STD_SHA256_KDF || o == oid::ECDH_STD_HKDF_SHA256 => DigestAlgorithm::Sha256,
        o if o == oid::ECDH_STD_SHA384_KDF || o == oid::ECDH_STD_HKDF_SHA384 => DigestAlgorithm::Sha384,
        o if o == oid::ECDH_STD_SHA512_KDF || o == oid::ECDH_STD_HKDF_SHA512 => DigestAlgorithm::Sha512,
        other => return Err(CryptoError::Unsupported(format!("key agreement {other}")).into()),
    };
    let wrap = wrap.ok_or_else(|| Asn1Error::invalid(WHAT, "no key wrap algorithm"))?;
    let kek_len = wrap_key_len(wrap)?;
    let point = originator_point(originator, key.kind(), options)?;
    // Why an agreement fails is not told: a point off the curve is the attack itself.
    let secret = key.agree(point).map_err(|error| match error {
        CryptoError::KeyCannot(_) => error,
        ref failed if failed.is_of_device() => error,
        _ => CryptoError::Decrypt,
    })?;
    let mut kek = Zeroizing::new([0u8; 32]);
    let kek = &mut kek[..kek_len];
    derive(provider, scheme, digest, &secret, wrap.bytes, ukm, kek)?;
    Ok(Some(provider.unwrap_key(kek, sealed)?))
}

fn open_by_password(
    provider: &dyn Provider,
    info: &[u8],
    secret: &[u8],
    limits: &Limits,
) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    const WHAT: &str = "PasswordRecipientInfo";
    let mut fields = Cursor::new(info, WHAT)?;
    fields.expect(Tag::Integer, "version")?;
    let derivation = fields.expect(der::context(0, true), "keyDerivationAlgorithm")?;
    let (derivation, parameters) = algorithm_identifier(derivation)?;
    let wrap = fields.expect(Tag::Sequence, "keyEncryptionAlgorithm")?;
    let sealed = fields.expect(Tag::OctetString, "encryptedKey")?.value;
    fields.finish()?;
    if derivation != oid::PBKDF2 {
        return Err(CryptoError::Unsupported(format!("key derivation {derivation}; PBKDF2 is")).into());
    }
    let parameters = parameters.ok_or_else(|| Asn1Error::invalid(WHAT, "PBKDF2 without parameters"))?;
    let mut kek = Zeroizing::new([0u8; 32]);
    let kek = &mut kek[..wrap_key_len(wrap)?];
    let most = (limits.max_mac_iterations, limits.max_mac_salt_bytes);
    crate::crypto::pbes2::derive_pbkdf2(provider, parameters, secret, most, kek)?;
    Ok(provider.unwrap_key(kek, sealed)?)
}

/// The sender's point: written there, or that of the sender's certificate.
fn originator_point<'a>(originator: Tlv<'a>, kind: KeyKind, options: &OpenOptions<'a>) -> Result<&'a [u8], CmsError> {
    const WHAT: &str = "OriginatorIdentifierOrKey";
    let mut choice = Cursor::new(originator.value, WHAT)?;
    let found = choice.any("originator")?;
    choice.finish()?;
    if found.tag == der::context(1, true) {
        let mut key = Cursor::new(found.value, WHAT)?;
        let (algorithm, _) = algorithm_identifier(key.expect(Tag::Sequence, "algorithm")?)?;
        let expected = if kind == KeyKind::X25519 { oid::X25519 } else { oid::EC_PUBLIC_KEY };
        if algorithm != expected {
            return Err(Asn1Error::invalid(WHAT, "the originator's key is of another type than ours").into());
        }
        let point = bit_string(key.expect(Tag::BitString, "publicKey")?, WHAT, "publicKey has unused bits")?;
        key.finish()?;
        return Ok(point);
    }
    let key_identifier = (found.tag == der::context(0, false)).then_some(found.value);
    let by_name = match options.originator {
        Some(certificate) if is_for(Some(certificate), found, key_identifier)? => Some(certificate.spki()),
        _ => None,
    };
    match by_name.or(options.originator_spki).map(PublicKey::from_spki) {
        Some(Ok(PublicKey::Ec { point, .. } | PublicKey::X25519(point))) => Ok(point),
        _ => {
            Err(CryptoError::Unsupported("an originator named by a certificate that is not at hand".to_owned()).into())
        }
    }
}

/// The key derivation function that a scheme names, over ECC-CMS-SharedInfo (RFC 5753 section 7.2): that of ANSI X9.63, or
/// HKDF (RFC 8418 section 2.2). `wrap` is the received AlgorithmIdentifier, byte for byte.
fn derive(
    provider: &dyn Provider,
    scheme: Oid,
    digest: DigestAlgorithm,
    secret: &[u8],
    wrap: &[u8],
    ukm: Option<&[u8]>,
    kek: &mut [u8],
) -> Result<(), CryptoError> {
    let bits = (kek.len() as u32 * 8).to_be_bytes();
    let entity = ukm.map(|ukm| element(0xa0, &[&element(0x04, &[ukm])])).unwrap_or_default();
    let shared = sequence(&[wrap, &entity, &element(0xa2, &[&element(0x04, &[&bits])])]);
    if [oid::ECDH_STD_HKDF_SHA256, oid::ECDH_STD_HKDF_SHA384, oid::ECDH_STD_HKDF_SHA512].contains(&scheme) {
        return provider.hkdf(digest, secret, &[], &shared, kek);
    }
    for (counter, block) in (1u32..).zip(kek.chunks_mut(digest.output_len())) {
        let value = provider.digest(digest, &[secret, &counter.to_be_bytes(), &shared])?;
        block.copy_from_slice(&value[..block.len()]);
    }
    Ok(())
}

/// RSAES-OAEP-params (RFC 4055 section 4.1), empty label. The mask may be made with another digest, which the RFC only recommends
/// to be the same: `OAEPWithSHA-256AndMGF1Padding` of Java has SHA-1 there.
pub(super) fn oaep_parameters(parameters: Option<Tlv<'_>>) -> Result<RsaEncryption, CmsError> {
    const WHAT: &str = "RSAES-OAEP-params";
    let Some(parameters) = parameters else { return Err(Asn1Error::invalid(WHAT, "absent").into()) };
    let mut fields = Cursor::sequence(parameters.bytes, WHAT)?;
    let mut digest = DigestAlgorithm::Sha1;
    let mut mask_digest = DigestAlgorithm::Sha1;
    if let Some(field) = fields.optional_context(0, true)? {
        digest = digest_identifier(field.value)?;
    }
    if let Some(field) = fields.optional_context(1, true)? {
        let mut mask = Cursor::sequence(field.value, WHAT)?;
        if crate::asn1::x509::read_oid(&mut mask)? != oid::MGF1 {
            return Err(Asn1Error::invalid(WHAT, "a mask generation function other than MGF1").into());
        }
        mask_digest = digest_identifier(mask.any("the digest of MGF1")?.bytes)?;
        mask.finish()?;
    }
    if let Some(field) = fields.optional_context(2, true)? {
        let empty = sequence(&[&object(oid::P_SPECIFIED), &[0x04, 0x00]]);
        if field.value != empty {
            return Err(CryptoError::Unsupported("OAEP with a label".to_owned()).into());
        }
    }
    fields.finish()?;
    Ok(match mask_digest == digest {
        true => RsaEncryption::Oaep(digest),
        false => RsaEncryption::OaepMasked { digest, mask: mask_digest },
    })
}
