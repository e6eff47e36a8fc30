//! What waits in device memory, by name; anchors in sets and out of them.

use super::prelude::*;
use super::store::{anchor_set, lines};

/// The labels of all keys that wait for their certificate.
///
/// @param out_labels  Receives the labels as text, sorted, each followed by a line feed; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_store_pending_keys(store: &devid_store) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(lines(&store.pending_keys()?).as_bytes()))
}

/// The names of all saved operations.
///
/// @param out_names  Receives the names as text, sorted, each followed by a line feed; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_store_operations(store: &devid_store) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(lines(&store.operations()?).as_bytes()))
}

/// The PKCS#10 request that is out under a name, as it was sent.
///
/// @param name         The identity's name. Not NULL.
/// @param out_request  Receives the request, DER; free with devid_bytes_free(). Empty if none is out. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT.
#[export]
fn devid_store_pending_request(store: &devid_store, name: &str) -> Result<devid_bytes, Error> {
    let request = store.pending_request(name)?;
    Ok(devid_bytes::from_slice(request.as_ref().map_or(&[][..], |request| request.as_der())))
}

/// Adds the anchors that device memory keeps for one use.
///
/// @param use_for  "cmp", "enrolment", "tls" or "peer". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT; a failure of device memory.
#[export]
fn devid_trust_add_store(trust: &mut devid_trust, store: &devid_store, use_for: &str) -> Result<(), Error> {
    for anchor in store.anchors(anchor_set(use_for)?)? {
        trust.add(anchor);
    }
    Ok(())
}

/// The anchors of a set.
///
/// @param out_certs  Receives the list; free with devid_cert_list_free(). Not NULL.
#[export]
fn devid_trust_certificates(trust: &devid_trust) -> Result<devid_cert_list, Error> {
    Ok(trust.iter().cloned().collect())
}
