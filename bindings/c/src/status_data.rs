//! What a validator can have besides bytes in memory: device memory, big CRLs in files or in pieces, trusted responders.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::prelude::*;
use devid_core::client::crl_file::add_crl_file;
use devid_core::crypto::default_provider;
use devid_core::validation::CrlStream;

/// A CRL that is read in pieces and never held: what it says about a few certificates, in less than 256 KiB of heap.
// A mutex for the compiler alone: every use is exclusive.
#[handle]
pub type devid_crl_stream = Mutex<Option<CrlStream>>;

/// Gives a validator device memory: the highest CRL numbers seen, so that an older CRL is refused also after a restart
/// (DEVID_E_CRL_ROLLBACK), and the status data that fetchers keep there. A peer that the validator lets through is refused at
/// once when newer status data in device memory revokes it.
///
/// @param store      Shared with the validator; may be freed afterwards. Not NULL.
#[export]
fn devid_validator_set_store(validator: &mut devid_validator, store: &devid_store) -> Result<(), Error> {
    validator.set_memory(store.clone());
    Ok(())
}

/// Adds an OCSP responder that is believed about every certificate by the device's own configuration (RFC 6960 section 4.2.2.2,
/// first case), whoever issued its certificate.
///
/// @param responder  Its certificate, which must be within its validity when it answers. Not NULL.
#[export]
fn devid_validator_add_trusted_responder(validator: &mut devid_validator, responder: &devid_cert) -> Result<(), Error> {
    validator.checks.revocation.trusted_responders.push(responder.certificate.clone());
    Ok(())
}

/// Adds the CRLs of a file as devid_validator_add_crls(), with the index of a big one in another file, so that it need not be made anew. Both
/// are read into memory: what becomes of the files afterwards does not matter. Pipes, devices and folders are refused.
///
/// @param path        The CRL, DER; several, PEM and PKCS#7 are read without an index. Not NULL.
/// @param index_path  Where its index is kept: read if it fits the CRL, else made anew and written there if that is possible. It is
///                    checked, so that a damaged one hides nothing. NULL: the index is made each time. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_IO, DEVID_E_DER.
#[export]
fn devid_validator_add_crl_file(
    validator: &mut devid_validator,
    path: &str,
    index_path: Option<&str>,
) -> Result<(), Error> {
    add_crl_file(&mut validator.status, Path::new(path), index_path.map(Path::new))
}

/// Begins a CRL that comes in pieces.
///
/// @param certs       The certificates whose status it is to be asked about, at most 256: the peer's and those above it. Not NULL.
/// @param out_stream  Receives the stream; free with devid_crl_stream_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_LIMIT.
#[export]
fn devid_crl_stream_new(certs: &devid_cert_list) -> Result<devid_crl_stream, Error> {
    let serials: Vec<&[u8]> = certs.iter().map(|c| c.serial()).collect();
    Ok(Mutex::new(Some(CrlStream::new(default_provider(), &serials)?)))
}

/// Takes the next bytes of the CRL, as many as there are.
///
/// @param data      DER of one CRL: another behind it is refused. May be NULL if `data_len` is 0.
/// @return DEVID_OK; DEVID_E_DER and others, after which the stream is of no use; DEVID_E_UNSUPPORTED for algorithms that take a
///         CRL whole (Ed25519, ML-DSA); DEVID_E_STATE after its end.
#[export]
fn devid_crl_stream_feed(stream: &mut devid_crl_stream, data: &[u8]) -> Result<(), Error> {
    let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
    stream.as_mut().ok_or_else(at_its_end)?.feed(data)
}

/// Ends a CRL that came in pieces, and adds what it says to a validator. Its signature is checked, as any CRL's, when a validation
/// uses it; about other certificates than those it was asked about it says nothing.
///
/// @param stream     Is at its end afterwards; still to be freed. Not NULL.
/// @return DEVID_OK; DEVID_E_DER if the CRL is not whole; DEVID_E_STATE if the stream was at its end.
#[export]
fn devid_validator_add_crl_stream(validator: &mut devid_validator, stream: &mut devid_crl_stream) -> Result<(), Error> {
    let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
    let crl = stream.take().ok_or_else(at_its_end)?.finish()?;
    validator.status.crls.push(Arc::new(crl));
    Ok(())
}

/// Frees a stream.
#[export]
fn devid_crl_stream_free(stream: Owned<devid_crl_stream>) {
    drop(stream)
}

fn at_its_end() -> Error {
    Error::new(Code::State, "the CRL is at its end")
}
