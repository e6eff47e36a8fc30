//! The way to a peer's public key: it opens behind a positive verdict and closes when the verdict's time is over.

use super::args::choice;
use super::prelude::*;
use devid_core::cms::ContentEncryption;
use devid_core::crypto::SignatureAlgorithm;
use devid_core::validation::PeerKey;

/// A peer whose certificate was validated by devid_validate(). There is no other way to a peer's public key. May be shared by
/// threads as const.
#[handle]
pub type devid_peer = PeerKey;

/// AES-256-GCM in AuthEnvelopedData (RFC 5083).
pub const DEVID_ENCRYPTION_GCM: i32 = 1;
/// AES-256-CBC in EnvelopedData, for peers that know nothing better. Not authenticated.
pub const DEVID_ENCRYPTION_CBC: i32 = 2;
choice!("DEVID_ENCRYPTION_*": ContentEncryption { DEVID_ENCRYPTION_GCM => Aes256Gcm, DEVID_ENCRYPTION_CBC => Aes256Cbc });

/// The peer's certificate.
///
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
#[export]
fn devid_peer_certificate(peer: &devid_peer) -> Result<devid_cert, Error> {
    Ok(devid_cert::of(peer.certificate().clone()))
}

/// Last second at which the key can be used: the earliest end of the certificates, of the status data and of the validator's
/// own bound.
///
/// @return Seconds since 1970-01-01T00:00:00Z.
#[export]
fn devid_peer_expires(peer: &devid_peer) -> i64 {
    peer.expires().unix()
}

/// The peer's public key.
///
/// @param out_spki  Receives SubjectPublicKeyInfo, DER; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STALE when the verdict's time is over, or why devid_peer_recheck() refused the peer.
#[export]
fn devid_peer_public_key(peer: &devid_peer, now: Time) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(peer.spki(now)?))
}

/// Encrypts for the peer: CMS (RFC 5652), DER. RSA keys by OAEP, EC keys by ephemeral ECDH.
///
/// @param encryption  One of DEVID_ENCRYPTION_*.
/// @param data        What to encrypt. May be NULL if `data_len` is 0.
/// @param out_cms     Receives the ContentInfo; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STALE; DEVID_E_KEY_USAGE if the certificate does not allow it.
#[export]
fn devid_peer_encrypt(
    peer: &devid_peer,
    now: Time,
    encryption: ContentEncryption,
    data: &[u8],
) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&peer.encrypt(now, encryption, data)?))
}

/// Checks a signature that the peer made.
///
/// @param algorithm      As in devid_sign_fn, such as "ECDSA-SHA256". Not NULL.
/// @param message        The whole message. May be NULL if `message_len` is 0.
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @return DEVID_OK if the signature is right; DEVID_E_SIGNATURE_INVALID; DEVID_E_STALE; DEVID_E_KEY_USAGE.
#[export]
fn devid_peer_verify(
    peer: &devid_peer,
    now: Time,
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    peer.verify_signature(now, &SignatureAlgorithm::named(algorithm)?, message, signature)
}

/// Agrees on a secret with the peer (ECDH) by a fresh key pair.
///
/// @param out_point   Receives our public point, for the peer; free with devid_bytes_free(). Not NULL.
/// @param out_secret  Receives the shared secret; devid_bytes_free() wipes it. Not NULL.
/// @return DEVID_OK; DEVID_E_STALE; DEVID_E_KEY_USAGE.
#[export]
fn devid_peer_agree(peer: &devid_peer, now: Time) -> Result<(devid_bytes, devid_bytes), Error> {
    let (point, secret) = peer.agree(now)?;
    Ok((devid_bytes::from_slice(&point), devid_bytes::from_slice(&secret)))
}

/// Agrees on a secret with the peer (ECDH) by a key of one's own.
///
/// @param key         Of the peer's curve. Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_secret  Receives the shared secret; devid_bytes_free() wipes it. Not NULL.
/// @return DEVID_OK; DEVID_E_STALE; DEVID_E_KEY_USAGE; DEVID_E_ALGORITHM for a key that does not agree.
#[export]
fn devid_peer_agree_with(peer: &devid_peer, key: &devid_key, now: Time) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&peer.agree_with(now, &**key.at_hand()?)?))
}

/// Validates the peer again with the status data that a validator holds now. A positive verdict sets a new expiry. Status
/// data that revokes ends the peer for good; if nothing is known, it stays as it was until it expires.
///
/// @param validator   Only its CRLs and OCSP responses are looked at. Not NULL.
/// @param out_report  Receives what was found; free with devid_report_free(). NULL if not wanted. May be NULL.
/// @return DEVID_OK if the peer can go on being used; else why it is refused for good.
#[export]
fn devid_peer_recheck(peer: &devid_peer, validator: &devid_validator, now: Time) -> Result<devid_report, Error> {
    Ok(devid_report::of(peer.recheck(&validator.status, now)?))
}

/// Frees a peer.
#[export]
fn devid_peer_free(peer: Owned<devid_peer>) {
    drop(peer)
}
