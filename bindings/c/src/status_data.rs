//! What a validator can have besides bytes in memory: device memory, big CRLs in files or in pieces, trusted responders.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::{Handle, Slot, bytes_in, free, handle, handle_mut, handle_ref, out, text_in, text_in_opt};
use super::cert::{devid_cert, devid_cert_list};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::mapped;
use super::store::devid_store;
use super::validation::devid_validator;
use devid_core::client::status::StatusMemory;
use devid_core::crypto::default_provider;
use devid_core::validation::CrlStream;
use devid_core::{Code, Error};

/// A CRL that is read in pieces and never held: what it says about a few certificates, in less than 256 KiB of heap.
#[allow(non_camel_case_types)]
pub struct devid_crl_stream(Slot<Mutex<Option<CrlStream>>>);
// A mutex for the compiler alone: every use is exclusive.
handle!(devid_crl_stream: Mutex<Option<CrlStream>>);

/// Gives a validator device memory: the highest CRL numbers seen, so that an older CRL is refused also after a restart
/// (DEVID_E_CRL_ROLLBACK), and the status data that fetchers keep there. A peer that the validator lets through is refused at
/// once when newer status data in device memory revokes it.
///
/// @param validator  Not NULL.
/// @param store      Shared with the validator; may be freed afterwards. Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_validator_set_store(
    validator: *mut devid_validator,
    store: *const devid_store,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut validator, store) = unsafe { (handle_mut(validator, "validator")?, handle_ref(store, "store")?) };
        let memory = Arc::new(StatusMemory::new(default_provider(), Some(store.clone())));
        validator.status.crl_numbers = Some(memory.crl_numbers());
        validator.memory = Some(memory);
        Ok(())
    })
}

/// Adds an OCSP responder that is believed about every certificate by the device's own configuration (RFC 6960 section 4.2.2.2,
/// first case), whoever issued its certificate.
///
/// @param validator  Not NULL.
/// @param responder  Its certificate, which must be within its validity when it answers. Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_validator_add_trusted_responder(
    validator: *mut devid_validator,
    responder: *const devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut validator, responder) =
            unsafe { (handle_mut(validator, "validator")?, handle_ref(responder, "responder")?) };
        validator.checks.revocation.trusted_responders.push(responder.certificate.clone());
        Ok(())
    })
}

/// Adds a big CRL in a file, with its index in another one, so that it need not be made anew. Both are read into memory: what
/// becomes of the files afterwards does not matter. Pipes, devices and folders are refused.
///
/// @param validator   Not NULL.
/// @param path        The CRL, DER. Not NULL.
/// @param index_path  Where its index is kept: read if it fits the CRL, else made anew and written there if that is possible. It is
///                    checked, so that a damaged one hides nothing. NULL: the index is made each time. May be NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_IO, DEVID_E_DER.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_validator_add_crl_file(
    validator: *mut devid_validator,
    path: *const c_char,
    index_path: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut validator, path, index_path) = unsafe {
            (handle_mut(validator, "validator")?, text_in(path, "path")?, text_in_opt(index_path, "index_path")?)
        };
        let crl = mapped::crl_of(Path::new(path), index_path.map(Path::new))?;
        validator.status.crls.push(Arc::new(crl));
        Ok(())
    })
}

/// Begins a CRL that comes in pieces.
///
/// @param certs       The certificates whose status it is to be asked about, at most 256: the peer's and those above it. Not NULL.
/// @param out_stream  Receives the stream; free with devid_crl_stream_free(). Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_LIMIT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_crl_stream_new(
    certs: *const devid_cert_list,
    out_stream: *mut *mut devid_crl_stream,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_stream, certs) = unsafe { (out(out_stream, "out_stream")?, handle_ref(certs, "certs")?) };
        let serials: Vec<&[u8]> = certs.iter().map(|c| c.serial()).collect();
        *out_stream = devid_crl_stream::into_raw(Mutex::new(Some(CrlStream::new(default_provider(), &serials)?)));
        Ok(())
    })
}

/// Takes the next bytes of the CRL, as many as there are.
///
/// @param stream    Not NULL.
/// @param data      DER. May be NULL if `data_len` is 0.
/// @param data_len  Length of `data` in bytes.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER and others, after which the stream is of no use; DEVID_E_UNSUPPORTED for algorithms that take a
///         CRL whole (Ed25519, ML-DSA); DEVID_E_STATE after its end.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_crl_stream_feed(
    stream: *mut devid_crl_stream,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut stream, data) = unsafe { (handle_mut(stream, "stream")?, bytes_in(data, data_len, "data")?) };
        let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().ok_or_else(at_its_end)?.feed(data)
    })
}

/// Ends a CRL that came in pieces, and adds what it says to a validator. Its signature is checked, as any CRL's, when a validation
/// uses it; about other certificates than those it was asked about it says nothing.
///
/// @param validator  Not NULL.
/// @param stream     Is at its end afterwards; still to be freed. Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER if the CRL is not whole; DEVID_E_STATE if the stream was at its end.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_validator_add_crl_stream(
    validator: *mut devid_validator,
    stream: *mut devid_crl_stream,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut validator, mut stream) =
            unsafe { (handle_mut(validator, "validator")?, handle_mut(stream, "stream")?) };
        let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        let crl = stream.take().ok_or_else(at_its_end)?.finish()?;
        validator.status.crls.push(Arc::new(crl));
        Ok(())
    })
}

/// Frees a stream.
///
/// @param stream  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_crl_stream_free(stream: *mut devid_crl_stream) {
    // SAFETY: as the header says.
    unsafe { free(stream) }
}

fn at_its_end() -> Error {
    Error::new(Code::State, "the CRL is at its end")
}
