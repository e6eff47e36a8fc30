//! The way to a peer's public key: it opens behind a positive verdict and closes when the verdict's time is over.

use std::ffi::c_char;

use super::args::{Slot, bytes_in, free, handle, handle_ref, out, out_opt, peek, text_in};
use super::bytes::devid_bytes;
use super::cert::devid_cert;
use super::config::invalid;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::report::devid_report;
use super::validation::devid_validator;
use devid_core::Time;
use devid_core::cms::ContentEncryption;
use devid_core::crypto::SignatureAlgorithm;
use devid_core::validation::PeerKey;

/// A peer whose certificate was validated by devid_validate(). There is no other way to a peer's public key. May be shared by
/// threads as const.
#[allow(non_camel_case_types)]
pub struct devid_peer(Slot<PeerKey>);
handle!(devid_peer: PeerKey);

/// AES-256-GCM in AuthEnvelopedData (RFC 5083).
pub const DEVID_ENCRYPTION_GCM: i32 = 1;
/// AES-256-CBC in EnvelopedData, for peers that know nothing better. Not authenticated.
pub const DEVID_ENCRYPTION_CBC: i32 = 2;

/// The peer's certificate.
///
/// @param peer      Not NULL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_certificate(
    peer: *const devid_peer,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, peer) = unsafe { (out(out_cert, "out_cert")?, handle_ref(peer, "peer")?) };
        *out_cert = devid_cert::of(peer.certificate().clone());
        Ok(())
    })
}

/// Last second at which the key can be used: the earliest end of the certificates, of the status data and of the validator's
/// own bound.
///
/// @param peer  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_expires(peer: *const devid_peer) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(peer, 0, |p| p.expires().unix()) }
}

/// The peer's public key.
///
/// @param peer      Not NULL.
/// @param now       The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_spki  Receives SubjectPublicKeyInfo, DER; free with devid_bytes_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STALE when the verdict's time is over, or why devid_peer_recheck() refused the peer.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_public_key(
    peer: *const devid_peer,
    now: i64,
    out_spki: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_spki, peer) = unsafe { (out(out_spki, "out_spki")?, handle_ref(peer, "peer")?) };
        *out_spki = devid_bytes::from_slice(peer.spki(Time::from_unix(now))?);
        Ok(())
    })
}

/// Encrypts for the peer: CMS (RFC 5652), DER. RSA keys by OAEP, EC keys by ephemeral ECDH.
///
/// @param peer        Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param encryption  One of DEVID_ENCRYPTION_*.
/// @param data        What to encrypt. May be NULL if `data_len` is 0.
/// @param data_len    Length of `data` in bytes.
/// @param out_cms     Receives the ContentInfo; free with devid_bytes_free(). Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STALE; DEVID_E_KEY_USAGE if the certificate does not allow it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_encrypt(
    peer: *const devid_peer,
    now: i64,
    encryption: i32,
    data: *const u8,
    data_len: usize,
    out_cms: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cms, peer, data) =
            unsafe { (out(out_cms, "out_cms")?, handle_ref(peer, "peer")?, bytes_in(data, data_len, "data")?) };
        let encryption = match encryption {
            DEVID_ENCRYPTION_GCM => ContentEncryption::Aes256Gcm,
            DEVID_ENCRYPTION_CBC => ContentEncryption::Aes256Cbc,
            other => return Err(invalid(format!("{other} is none of DEVID_ENCRYPTION_*"))),
        };
        *out_cms = devid_bytes::from_slice(&peer.encrypt(Time::from_unix(now), encryption, data)?);
        Ok(())
    })
}

/// Checks a signature that the peer made.
///
/// @param peer           Not NULL.
/// @param now            The present, in seconds since 1970-01-01T00:00:00Z.
/// @param algorithm      As in devid_sign_fn, such as "ECDSA-SHA256". Not NULL.
/// @param message        The whole message. May be NULL if `message_len` is 0.
/// @param message_len    Length of `message` in bytes.
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @param signature_len  Length of `signature` in bytes.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK if the signature is right; DEVID_E_SIGNATURE_INVALID; DEVID_E_STALE; DEVID_E_KEY_USAGE.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_verify(
    peer: *const devid_peer,
    now: i64,
    algorithm: *const c_char,
    message: *const u8,
    message_len: usize,
    signature: *const u8,
    signature_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (peer, algorithm, message, signature) = unsafe {
            (
                handle_ref(peer, "peer")?,
                text_in(algorithm, "algorithm")?,
                bytes_in(message, message_len, "message")?,
                bytes_in(signature, signature_len, "signature")?,
            )
        };
        let algorithm = SignatureAlgorithm::from_name(algorithm)
            .ok_or_else(|| invalid(format!("'{algorithm}' is no signature algorithm such as ECDSA-SHA256")))?;
        peer.verify_signature(Time::from_unix(now), &algorithm, message, signature)
    })
}

/// Agrees on a secret with the peer (ECDH) by a fresh key pair.
///
/// @param peer        Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_point   Receives our public point, for the peer; free with devid_bytes_free(). Not NULL.
/// @param out_secret  Receives the shared secret; devid_bytes_free() wipes it. Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STALE; DEVID_E_KEY_USAGE.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_agree(
    peer: *const devid_peer,
    now: i64,
    out_point: *mut *mut devid_bytes,
    out_secret: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says; both outputs are written before anything can fail.
        let (out_point, out_secret) = unsafe { (out(out_point, "out_point"), out(out_secret, "out_secret")) };
        let (out_point, out_secret) = (out_point?, out_secret?);
        // SAFETY: as the header says.
        let peer = unsafe { handle_ref(peer, "peer")? };
        let (point, secret) = peer.agree(Time::from_unix(now))?;
        (*out_point, *out_secret) = (devid_bytes::from_slice(&point), devid_bytes::from_slice(&secret));
        Ok(())
    })
}

/// Validates the peer again with the status data that a validator holds now. A positive verdict sets a new expiry. Status
/// data that revokes ends the peer for good; if nothing is known, it stays as it was until it expires.
///
/// @param peer        Not NULL.
/// @param validator   Only its CRLs and OCSP responses are looked at. Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  Receives what was found; free with devid_report_free(). NULL if not wanted. May be NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK if the peer can go on being used; else why it is refused for good.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_recheck(
    peer: *const devid_peer,
    validator: *const devid_validator,
    now: i64,
    out_report: *mut *mut devid_report,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_report, peer, validator) =
            unsafe { (out_opt(out_report), handle_ref(peer, "peer")?, handle_ref(validator, "validator")?) };
        let report = peer.recheck(&validator.status, Time::from_unix(now))?;
        if let Some(out_report) = out_report {
            *out_report = devid_report::of(report);
        }
        Ok(())
    })
}

/// Frees a peer.
///
/// @param peer  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_peer_free(peer: *mut devid_peer) {
    // SAFETY: as the header says.
    unsafe { free(peer) }
}
