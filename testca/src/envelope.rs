//! Encrypts to a client: EnvelopedData by transport, agreement, encapsulation or password, and EncryptedValue (RFC 5652
//! section 6, RFC 9483 section 4.1.6, RFC 9629, RFC 4211 section 2.1).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{agreement, digest, hkdf, kem, pbkdf2};

use crate::keys::random;
use crate::knobs::Knobs;
use crate::tlv::{Node, bits, int, octets, oid, seq, tlv};

const NULL: &[u8] = &[5, 0];
const AES256_CBC: &str = "2.16.840.1.101.3.4.1.42";
const AES256_GCM: &str = "2.16.840.1.101.3.4.1.46";
const AES256_WRAP: &str = "2.16.840.1.101.3.4.1.45";
const RSA: &str = "1.2.840.113549.1.1.1";
const X25519: &str = "1.3.101.110";

/// To whom.
pub(crate) enum Recipient {
    /// The holder of a key, and how it is named: rid of KeyTransRecipientInfo, DER.
    Key { spki: Vec<u8>, rid: Vec<u8> },
    /// The holder of a shared secret.
    Password(Vec<u8>),
}

impl Recipient {
    /// Named by issuer and serial number.
    pub(crate) fn named(spki: &[u8], issuer: &[u8], serial: &[u8]) -> Self {
        Recipient::Key { spki: spki.to_vec(), rid: seq(&[issuer, &tlv(0x02, &[serial])]) }
    }

    /// Named by subjectKeyIdentifier.
    pub(crate) fn identified(spki: &[u8], key_id: &[u8]) -> Self {
        Recipient::Key { spki: spki.to_vec(), rid: tlv(0x80, &[key_id]) }
    }
}

/// EnvelopedData, DER; the knobs may say RSA PKCS#1 v1.5 in place of OAEP, and AES-GCM in place of AES-CBC.
pub(crate) fn enveloped(
    recipient: &Recipient,
    content_type: &str,
    content: &[u8],
    knobs: &Knobs,
) -> Result<Vec<u8>, String> {
    let (key, iv) = (random(32), random(16));
    let (version, info) = match recipient {
        Recipient::Password(secret) => (0, by_password(secret, &key)),
        Recipient::Key { spki, rid } => {
            let kind = Node::parse(spki)?.at(0)?.at(0)?.oid()?;
            match kind.as_str() {
                RSA => (2, by_transport(spki, rid, &key, knobs.pkcs1_transport)?),
                "1.2.840.10045.2.1" | X25519 => (2, by_agreement(spki, rid, &key)?),
                _ if kind.starts_with("2.16.840.1.101.3.4.4.") => (3, by_encapsulation(&kind, spki, rid, &key)?),
                other => return Err(format!("nothing can be encrypted to a key of type {other}")),
            }
        }
    };
    let (algorithm, sealed) = match knobs.gcm_envelopes {
        true => {
            let parameters = seq(&[&octets(&iv[..12]), &int(16)]);
            (seq(&[&oid(AES256_GCM), &parameters]), aes_gcm(&key, &iv[..12], content))
        }
        false => (seq(&[&oid(AES256_CBC), &octets(&iv)]), aes_cbc(&key, &iv, content)),
    };
    let encrypted = seq(&[&oid(content_type), &algorithm, &tlv(0x80, &[&sealed])]);
    Ok(seq(&[&int(version), &tlv(0x31, &[&info]), &encrypted]))
}

/// EncryptedKey: EnvelopedData under its implicit tag.
pub(crate) fn encrypted_key(enveloped: &[u8]) -> Vec<u8> {
    let mut out = enveloped.to_vec();
    out[0] = 0xa0;
    out
}

/// EncryptedValue, DER: AES-256-CBC, the key under RSA PKCS#1 v1.5.
pub(crate) fn encrypted_value(spki: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
    let (key, iv) = (random(32), random(16));
    let symm_alg = tlv(0xa1, &[&oid(AES256_CBC), &octets(&iv)]);
    let sealed = tlv(0x82, &[&[0], &rsa_pkcs1(spki, &key)?]);
    let key_alg = tlv(0xa3, &[&oid(RSA), NULL]);
    Ok(seq(&[&symm_alg, &sealed, &key_alg, &bits(&aes_cbc(&key, &iv, content))]))
}

/// RSA PKCS#1 v1.5.
pub(crate) fn rsa_pkcs1(spki: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |_| "RSA PKCS#1 v1.5 failed".to_owned();
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| "not an RSA key".to_owned())?;
    let mut out = vec![0; key.key_size_bytes()];
    let key = Pkcs1PublicEncryptingKey::new(key).map_err(failed)?;
    Ok(key.encrypt(content, &mut out).map_err(failed)?.to_vec())
}

fn by_transport(spki: &[u8], rid: &[u8], key: &[u8], pkcs1: bool) -> Result<Vec<u8>, String> {
    let version = int(if rid[0] == 0x80 { 2 } else { 0 });
    if pkcs1 {
        return Ok(seq(&[&version, rid, &seq(&[&oid(RSA), NULL]), &octets(&rsa_pkcs1(spki, key)?)]));
    }
    let failed = |_| "RSA-OAEP failed".to_owned();
    let public = PublicEncryptingKey::from_der(spki).map_err(|_| "not an RSA key".to_owned())?;
    let mut out = vec![0; public.key_size_bytes()];
    let public = OaepPublicEncryptingKey::new(public).map_err(failed)?;
    let sealed = public.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut out, None).map_err(failed)?;
    let sha256 = seq(&[&oid("2.16.840.1.101.3.4.2.1"), NULL]);
    let mask = seq(&[&oid("1.2.840.113549.1.1.8"), &sha256]);
    let algorithm = seq(&[&oid("1.2.840.113549.1.1.7"), &seq(&[&tlv(0xa0, &[&sha256]), &tlv(0xa1, &[&mask])])]);
    Ok(seq(&[&version, rid, &algorithm, &octets(sealed)]))
}

/// RFC 5753 with the derivation of X9.63 and SHA-256; RFC 8418 with HKDF for X25519.
fn by_agreement(spki: &[u8], rid: &[u8], key: &[u8]) -> Result<Vec<u8>, String> {
    let public = Node::parse(spki)?;
    let curve = public.at(0)?.children.get(1).and_then(|p| p.oid().ok()).unwrap_or_default();
    let (method, kind) = match curve.as_str() {
        "1.2.840.10045.3.1.7" => (&agreement::ECDH_P256, "1.2.840.10045.2.1"),
        "1.3.132.0.34" => (&agreement::ECDH_P384, "1.2.840.10045.2.1"),
        "1.3.132.0.35" => (&agreement::ECDH_P521, "1.2.840.10045.2.1"),
        _ => (&agreement::X25519, X25519),
    };
    let own = agreement::PrivateKey::generate(method).map_err(|_| "no key".to_owned())?;
    let point = own.compute_public_key().map_err(|_| "no key".to_owned())?;
    let peer = agreement::UnparsedPublicKey::new(method, public.at(1)?.bits()?);
    let secret = agreement::agree(&own, peer, "no agreement".to_owned(), |secret| Ok(secret.to_vec()))?;
    let ukm = random(16);
    let wrap = seq(&[&oid(AES256_WRAP), NULL]);
    let shared = seq(&[&wrap, &tlv(0xa0, &[&octets(&ukm)]), &tlv(0xa2, &[&octets(&[0, 0, 1, 0])])]);
    let (scheme, kek) = if kind == X25519 {
        ("1.2.840.113549.1.9.16.3.19", hkdf_sha256(&secret, &shared))
    } else {
        let block = [&secret[..], &[0, 0, 0, 1], &shared].concat();
        ("1.3.132.1.11.1", digest::digest(&digest::SHA256, &block).as_ref().to_vec())
    };
    let originator = tlv(0xa0, &[&tlv(0xa1, &[&seq(&[&oid(kind)]), &bits(point.as_ref())])]);
    let rid = if rid[0] == 0x80 { tlv(0xa0, &[&octets(Node::parse(rid)?.value())]) } else { rid.to_vec() };
    let recipients = seq(&[&seq(&[&rid, &octets(&wrapped(&kek, key))])]);
    Ok(tlv(0xa1, &[&int(3), &originator, &tlv(0xa1, &[&octets(&ukm)]), &seq(&[&oid(scheme), &wrap]), &recipients]))
}

fn by_password(secret: &[u8], key: &[u8]) -> Vec<u8> {
    let salt = random(16);
    let mut kek = vec![0; 32];
    let count = std::num::NonZeroU32::new(1000).expect("above zero");
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, &salt, secret, &mut kek);
    let prf = seq(&[&oid("1.2.840.113549.2.9"), NULL]);
    let derivation = tlv(0xa0, &[&oid("1.2.840.113549.1.5.12"), &seq(&[&octets(&salt), &int(1000), &int(32), &prf])]);
    tlv(0xa3, &[&int(0), &derivation, &seq(&[&oid(AES256_WRAP)]), &octets(&wrapped(&kek, key))])
}

/// RFC 9629 with HKDF-SHA-256.
fn by_encapsulation(kind: &str, spki: &[u8], rid: &[u8], key: &[u8]) -> Result<Vec<u8>, String> {
    let (ciphertext, secret) = encapsulate(spki)?;
    let wrap = seq(&[&oid(AES256_WRAP)]);
    let ukm = random(8);
    let ukm_field = tlv(0xa0, &[&octets(&ukm)]);
    let kek = hkdf_sha256(&secret, &seq(&[&wrap, &int(32), &ukm_field]));
    let info = seq(&[
        &int(0),
        rid,
        &seq(&[&oid(kind)]),
        &octets(&ciphertext),
        &seq(&[&oid("1.2.840.113549.1.9.16.3.28")]),
        &int(32),
        &ukm_field,
        &wrap,
        &octets(&wrapped(&kek, key)),
    ]);
    Ok(tlv(0xa4, &[&oid("1.2.840.113549.1.9.16.13.3"), &info]))
}

/// Ciphertext and secret for the holder of an ML-KEM key.
pub(crate) fn encapsulate(spki: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let node = Node::parse(spki)?;
    let algorithm = match node.at(0)?.at(0)?.oid()?.as_str() {
        "2.16.840.1.101.3.4.4.1" => &kem::ML_KEM_512,
        "2.16.840.1.101.3.4.4.2" => &kem::ML_KEM_768,
        "2.16.840.1.101.3.4.4.3" => &kem::ML_KEM_1024,
        other => return Err(format!("{other} is no KEM known to this CA")),
    };
    let key = kem::EncapsulationKey::new(algorithm, node.at(1)?.bits()?).map_err(|_| "not a KEM key".to_owned())?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| "no encapsulation".to_owned())?;
    Ok((ciphertext.as_ref().to_vec(), secret.as_ref().to_vec()))
}

/// 32 bytes of HKDF-SHA-256 without salt.
pub(crate) fn hkdf_sha256(secret: &[u8], info: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 32];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    let info = [info];
    let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).expect("32 bytes");
    expanded.fill(&mut out).expect("32 bytes");
    out
}

fn wrapped(kek: &[u8], key: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.len() + 8];
    let kek = AesKek::new(&key_wrap::AES_256, kek).expect("32 bytes");
    kek.wrap(key, &mut out).expect("whole blocks").to_vec()
}

/// The tag stands behind the ciphertext.
fn aes_gcm(key: &[u8], nonce: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"));
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes");
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut out).expect("encrypted");
    out
}

fn aes_cbc(key: &[u8], iv: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    let key = UnboundCipherKey::new(&AES_256, key).expect("32 bytes");
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).expect("AES");
    let iv = FixedLength::try_from(iv).expect("16 bytes");
    key.less_safe_encrypt(&mut out, EncryptionContext::Iv128(iv)).expect("encrypted");
    out
}
