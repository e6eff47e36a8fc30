//! MACs under a shared secret.

use aws_lc_rs::{digest, hmac, pbkdf2};

use crate::cmp::{Refusal, bit, refuse};
use crate::keys::random;
use crate::tlv::{Node, int, octets, oid, seq};

pub(crate) const PBM: &str = "1.2.840.113533.7.66.13";
pub(crate) const PBMAC1: &str = "1.2.840.113549.1.5.14";

const PBKDF2: &str = "1.2.840.113549.1.5.12";
const PBES2: &str = "1.2.840.113549.1.5.13";
const SHA1: &str = "1.3.14.3.2.26";
const HMAC_SHA1: &str = "1.3.6.1.5.5.8.1.2";
const HMAC_WITH_SHA1: &str = "1.2.840.113549.2.7";

/// Whether PBMAC1 names PBES2 where PBKDF2 belongs.
pub(crate) fn names_pbes2(algorithm: &Node) -> bool {
    let function = algorithm.at(1).and_then(|p| p.at(0)?.at(0)?.oid());
    algorithm.at(0).and_then(Node::oid).as_deref() == Ok(PBMAC1) && function.as_deref() == Ok(PBES2)
}

/// Refuses all but the oldest MAC.
pub(crate) fn check_sha1(algorithm: &Node) -> Result<(), Refusal> {
    if algorithm.at(0)?.oid()? != PBM {
        return refuse(bit::BAD_ALG, "a MAC other than PasswordBasedMac");
    }
    let parameters = algorithm.at(1)?;
    let (digest, mac) = (parameters.at(1)?.at(0)?.oid()?, parameters.at(3)?.at(0)?.oid()?);
    if digest != SHA1 || ![HMAC_SHA1, HMAC_WITH_SHA1].contains(&&*mac) {
        return refuse(bit::BAD_ALG, "PasswordBasedMac with another digest than SHA-1");
    }
    Ok(())
}

/// Refuses what servers of a known make refuse.
pub(crate) fn check_old(algorithm: &Node) -> Result<(), Refusal> {
    if algorithm.at(0)?.oid()? != PBM {
        return refuse(bit::BAD_ALG, "a MAC other than PasswordBasedMac");
    }
    let parameters = algorithm.at(1)?;
    let mac = parameters.at(3)?.at(0)?.oid()?;
    if parameters.at(2)?.integer()? > 2047 || ![HMAC_SHA1, HMAC_WITH_SHA1].contains(&&*mac) {
        return refuse(bit::BAD_ALG, "MAC parameters");
    }
    Ok(())
}

type DigestOf = fn(&[u8]) -> Vec<u8>;

pub(crate) fn digest_by_name(name: &str) -> Result<DigestOf, String> {
    Ok(match name {
        SHA1 => |m| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.1" => |m| digest::digest(&digest::SHA256, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.2" => |m| digest::digest(&digest::SHA384, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.3" => |m| digest::digest(&digest::SHA512, m).as_ref().to_vec(),
        other => return Err(format!("the digest {other} is not known to this CA")),
    })
}

pub(crate) fn hmac_by_name(name: &str) -> Result<hmac::Algorithm, String> {
    Ok(match name {
        HMAC_SHA1 | HMAC_WITH_SHA1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.2.9" => hmac::HMAC_SHA256,
        "1.2.840.113549.2.10" => hmac::HMAC_SHA384,
        "1.2.840.113549.2.11" => hmac::HMAC_SHA512,
        other => return Err(format!("the MAC {other} is not known to this CA")),
    })
}

/// Whether a secret is none: zero bytes alone count as empty (RFC 2104 section 2).
pub(crate) fn is_none(secret: &[u8]) -> bool {
    secret.iter().all(|byte| *byte == 0)
}

/// PasswordBasedMac (RFC 4211 section 4.4) or PBMAC1 (RFC 8018 section 7.1).
pub(crate) fn mac(algorithm: &Node, secret: &[u8], message: &[u8]) -> Result<Vec<u8>, Refusal> {
    const MOST: i64 = 1_000_000;
    if is_none(secret) {
        return refuse(bit::BAD_MESSAGE_CHECK, "the secret is empty");
    }
    let parameters = algorithm.at(1)?;
    let bounded = |count: i64| {
        if (1..=MOST).contains(&count) { Ok(count as u32) } else { refuse(bit::BAD_ALG, "iterationCount") }
    };
    let (method, key) = if algorithm.at(0)?.oid()? == PBM {
        let digest = digest_by_name(&parameters.at(1)?.at(0)?.oid()?)?;
        let mut key = [secret, parameters.at(0)?.value()].concat();
        for _ in 0..bounded(parameters.at(2)?.integer()?)? {
            key = digest(&key);
        }
        (hmac_by_name(&parameters.at(3)?.at(0)?.oid()?)?, key)
    } else {
        let derivation = parameters.at(0)?;
        if ![PBKDF2, PBES2].contains(&&*derivation.at(0)?.oid()?) {
            return refuse(bit::BAD_ALG, "PBMAC1 without PBKDF2");
        }
        let inner = derivation.at(1)?;
        let length = inner.at(2)?.expect(0x02, "keyLength, which RFC 9481 asks for")?.integer()?;
        let prf = match inner.at(3)?.at(0)?.oid()?.as_str() {
            "1.2.840.113549.2.7" => pbkdf2::PBKDF2_HMAC_SHA1,
            "1.2.840.113549.2.9" => pbkdf2::PBKDF2_HMAC_SHA256,
            "1.2.840.113549.2.10" => pbkdf2::PBKDF2_HMAC_SHA384,
            "1.2.840.113549.2.11" => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return refuse(bit::BAD_ALG, format!("PBKDF2 with {other}")),
        };
        let count = std::num::NonZeroU32::new(bounded(inner.at(1)?.integer()?)?).expect("at least one");
        let mut key = vec![0; usize::try_from(length).unwrap_or(0).clamp(1, 128)];
        pbkdf2::derive(prf, count, inner.at(0)?.value(), secret, &mut key);
        (hmac_by_name(&parameters.at(1)?.at(0)?.oid()?)?, key)
    };
    Ok(hmac::sign(&hmac::Key::new(method, &key), message).as_ref().to_vec())
}

/// The request's MAC algorithm, under a salt of our own and perhaps another iteration count.
pub(crate) fn mac_algorithm(theirs: &Node, iterations: i64, pbes2: bool) -> Vec<u8> {
    let rebuild = || -> Result<Vec<u8>, String> {
        let parameters = theirs.at(1)?;
        let count = |found: &Node| if iterations == 0 { found.bytes.clone() } else { int(iterations) };
        let salt = octets(&random(16));
        Ok(if theirs.at(0)?.oid()? == PBM {
            let (owf, mac) = (&parameters.at(1)?.bytes, &parameters.at(3)?.bytes);
            seq(&[&theirs.at(0)?.bytes, &seq(&[&salt, owf, &count(parameters.at(2)?), mac])])
        } else {
            let inner = parameters.at(0)?.at(1)?;
            let rest: Vec<u8> = inner.children[2..].iter().flat_map(|c| c.bytes.clone()).collect();
            let inner = seq(&[&salt, &count(inner.at(1)?), &rest]);
            let derivation = seq(&[&oid(if pbes2 { PBES2 } else { PBKDF2 }), &inner]);
            seq(&[&theirs.at(0)?.bytes, &seq(&[&derivation, &parameters.at(1)?.bytes])])
        })
    };
    rebuild().unwrap_or_else(|_| theirs.bytes.clone())
}
