//! Keys of the CAs and of what they issue, over AWS-LC.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RsaKeyPair, UnparsedPublicKey,
};

use crate::tlv::{Node, bits, oid, seq};

const NULL: &[u8] = &[0x05, 0x00];

/// Types of keys that the test CA makes for itself and for what it issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// RSA, 2048 bits.
    Rsa2048,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// By name, as on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "p256" => KeyType::P256,
            "p384" => KeyType::P384,
            "rsa2048" => KeyType::Rsa2048,
            "ed25519" => KeyType::Ed25519,
            _ => return None,
        })
    }
}

/// A key pair.
pub struct Key {
    pair: Pair,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// PKCS#8, DER.
    pub pkcs8: Vec<u8>,
}

enum Pair {
    Ec(EcdsaKeyPair, &'static str),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A fresh pair.
    pub fn generate(kind: KeyType) -> Key {
        let ec = |algorithm, curve: &str, signature| {
            let pair = EcdsaKeyPair::generate(algorithm).expect("a key pair");
            let pkcs8 = pair.to_pkcs8v1().expect("exportable").as_ref().to_vec();
            let identifier = seq(&[&oid("1.2.840.10045.2.1"), &oid(curve)]);
            let spki = seq(&[&identifier, &bits(pair.public_key().as_ref())]);
            Key { pair: Pair::Ec(pair, signature), spki, pkcs8 }
        };
        match kind {
            KeyType::P256 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING, "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
            KeyType::P384 => ec(&ECDSA_P384_SHA384_ASN1_SIGNING, "1.3.132.0.34", "1.2.840.10045.4.3.3"),
            KeyType::Rsa2048 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair");
                let document: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().expect("exportable");
                let pkcs8 = document.as_ref().to_vec();
                let spki = seq(&[&seq(&[&oid("1.2.840.113549.1.1.1"), NULL]), &bits(pair.public_key().as_ref())]);
                Key { pair: Pair::Rsa(pair), spki, pkcs8 }
            }
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().expect("a key pair");
                let pkcs8 = pair.to_pkcs8v1().expect("exportable").as_ref().to_vec();
                let spki = seq(&[&seq(&[&oid("1.3.101.112")]), &bits(pair.public_key().as_ref())]);
                Key { pair: Pair::Ed25519(pair), spki, pkcs8 }
            }
        }
    }

    /// AlgorithmIdentifier of the signatures it makes, DER.
    pub fn algorithm(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ec(_, signature) => seq(&[&oid(signature)]),
            Pair::Rsa(_) => seq(&[&oid("1.2.840.113549.1.1.11"), NULL]),
            Pair::Ed25519(_) => seq(&[&oid("1.3.101.112")]),
        }
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair, _) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).expect("a signature");
                out
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// SHA-1 of the key's bits: what key identifiers are made of (RFC 5280 section 4.2.1.2).
pub fn key_id(spki: &[u8]) -> Vec<u8> {
    let bits = Node::parse(spki).and_then(|n| n.at(1)?.bits().map(<[u8]>::to_vec)).unwrap_or_default();
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bits).as_ref().to_vec()
}

/// Random bytes.
pub fn random(count: usize) -> Vec<u8> {
    let mut out = vec![0; count];
    aws_lc_rs::rand::fill(&mut out).expect("random bytes");
    out
}

/// Checks a signature under an AlgorithmIdentifier by the key of a SubjectPublicKeyInfo.
pub fn verify(algorithm: &Node, spki: &[u8], message: &[u8], signed: &[u8]) -> Result<(), String> {
    let name = algorithm.at(0)?.oid()?;
    let key = Node::parse(spki)?;
    let curve = key.at(0)?.children.get(1).and_then(|p| p.oid().ok()).unwrap_or_default();
    let method: &'static dyn signature::VerificationAlgorithm = match (name.as_str(), curve.as_str()) {
        ("1.2.840.10045.4.3.2", "1.2.840.10045.3.1.7") => &signature::ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", "1.2.840.10045.3.1.7") => &signature::ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.2", "1.3.132.0.34") => &signature::ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", "1.3.132.0.34") => &signature::ECDSA_P384_SHA384_ASN1,
        ("1.2.840.10045.4.3.2", "1.3.132.0.35") => &signature::ECDSA_P521_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", "1.3.132.0.35") => &signature::ECDSA_P521_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", "1.3.132.0.35") => &signature::ECDSA_P521_SHA512_ASN1,
        ("1.2.840.113549.1.1.11", _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", _) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("1.2.840.113549.1.1.10", _) => pss(algorithm)?,
        ("1.3.101.112", _) => &signature::ED25519,
        ("2.16.840.1.101.3.4.3.17", _) => &signature::ML_DSA_44,
        ("2.16.840.1.101.3.4.3.18", _) => &signature::ML_DSA_65,
        ("2.16.840.1.101.3.4.3.19", _) => &signature::ML_DSA_87,
        _ => return Err(format!("the signature algorithm {name} is not known to this CA")),
    };
    let content = key.at(1)?.bits()?;
    UnparsedPublicKey::new(method, content)
        .verify(message, signed)
        .map_err(|_| "the signature does not match".to_owned())
}

fn pss(algorithm: &Node) -> Result<&'static dyn signature::VerificationAlgorithm, String> {
    let digest = algorithm.at(1)?.tagged(0xa0).ok_or("RSASSA-PSS with SHA-1")?.inner()?.at(0)?.oid()?;
    Ok(match digest.as_str() {
        "2.16.840.1.101.3.4.2.1" => &signature::RSA_PSS_2048_8192_SHA256,
        "2.16.840.1.101.3.4.2.2" => &signature::RSA_PSS_2048_8192_SHA384,
        "2.16.840.1.101.3.4.2.3" => &signature::RSA_PSS_2048_8192_SHA512,
        other => return Err(format!("RSASSA-PSS with {other}")),
    })
}
