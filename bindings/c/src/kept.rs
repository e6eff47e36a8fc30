//! What device memory keeps besides identities: anchors with their successors, CRLs, the program's own records.

use super::prelude::*;
use super::store::anchor_set;
use devid_core::asn1::pem;
use devid_core::client::status::forget_crl_numbers;
use devid_core::client::{CrlSubject, add_root, keep_crl, kept_crls};
use devid_core::cmp::Information;
use devid_core::crypto::default_provider;
use devid_core::store::is_own_record;

/// Puts the new root that a server announced among the trust anchors of one use, beside the old one. It must have come in answer
/// to devid_op_ask_root_update(), so that the trusted root's key was found to vouch for it.
///
/// @param use_for  "cmp", "enrolment", "tls" or "peer"; the old root must be an anchor there. Not NULL.
/// @param op       Done, with a root update. Not NULL.
/// @param out_new  Receives 1 if the root was added, 0 if it was there already. NULL if not wanted. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if the old root is not an anchor for this use, DEVID_E_STATE if no new root came.
#[export]
fn devid_store_add_root(store: &devid_store, use_for: &str, op: &devid_op) -> Result<bool, Error> {
    match op.information()? {
        Information::RootUpdate(Some(update)) => add_root(store, anchor_set(use_for)?, update),
        _ => Err(Error::new(Code::State, "no new root came")),
    }
}

/// Keeps a CRL if it speaks about a certificate: its scope, its signer's authority, its signature, its times, and that it is not
/// older than one seen before (RFC 5280 section 6.3.3) are checked on the way. Later validations with this device memory find
/// it as if it had been fetched.
///
/// @param crl            DER or PEM. Not NULL.
/// @param cert           The certificate whose status the CRL is to tell. Not NULL.
/// @param intermediates  Untrusted helpers for its path. NULL: none. May be NULL.
/// @param anchors        Where the path must lead. Not NULL.
/// @return DEVID_OK; DEVID_E_REVOKED if the CRL was kept and the certificate is on it; DEVID_E_CRL_ROLLBACK if it is older than
///         one seen before; DEVID_E_REVOCATION_UNKNOWN if it says
///         nothing about the certificate that could be believed, and others of devid_validate().
#[export]
fn devid_store_put_crl(
    store: &devid_store,
    crl: &[u8],
    cert: &devid_cert,
    intermediates: Option<&devid_cert_list>,
    anchors: &devid_trust,
    now: Time,
) -> Result<(), Error> {
    let about = CrlSubject {
        certificate: &cert.certificate,
        intermediates: intermediates.map_or(&[][..], |list| &list[..]),
        anchors,
        at: now,
    };
    keep_crl(&default_provider(), store, crl, &about)
}

/// The CRLs that device memory keeps, whether they were fetched or put there: devid_validator_add_crls() takes them and checks
/// them again.
///
/// @param out_crls  Receives PEM, empty if there are none; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_store_crls(store: &devid_store) -> Result<devid_bytes, Error> {
    let crls = kept_crls(&default_provider(), store)?;
    let text: String = crls.iter().filter_map(|crl| Some(pem::encode("X509 CRL", crl.der()?).to_string())).collect();
    Ok(devid_bytes::from_slice(text.as_bytes()))
}

/// Makes device memory forget the highest CRL numbers that it has seen (RFC 5280 section 5.2.3), and the lists with them: for a CA that
/// was put back from a backup, or has given a number far too high by mistake, whose genuine lists are refused ever after
/// (DEVID_E_CRL_ROLLBACK). Until the next list of the CA comes, an older one is taken. Who was revoked stays revoked.
///
/// @param ca         The CA that an anchor has certified, with all below it; or an anchor that issues lists itself. NULL: all. May be
///                   NULL.
/// @param out_count  Receives of how many series of numbers. NULL if not wanted. May be NULL.
/// @return DEVID_OK or a failure of device memory.
#[export]
fn devid_store_forget_crl_numbers(store: &devid_store, ca: Option<&devid_cert>) -> Result<u32, Error> {
    let count = forget_crl_numbers(store, ca.map(|ca| &ca.certificate))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Keeps bytes that need no secrecy, such as a configuration; an earlier record of that name is replaced.
///
/// @param name      As names of identities; not "revoked", "revoked-mark", "bearers", "clock-seen", "clock-boot", nor beginning with "status-",
///                  "crl-", "crt-", "cre-" or "renewal-": these are the library's. Not NULL.
/// @param data      At most 64 MiB. May be NULL if `data_len` is 0.
#[export]
fn devid_store_put_blob(store: &devid_store, name: &str, data: &[u8]) -> Result<(), Error> {
    own_name(name)?;
    Ok(store.put_blob(name, data)?)
}

/// Bytes that devid_store_put_blob() kept.
///
/// @param name      Not NULL.
/// @param out_data  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_CORRUPT.
#[export]
fn devid_store_blob(store: &devid_store, name: &str) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&store.blob(name)?))
}

/// The names of all records of the program's own, one per line.
///
/// @param out_names  Receives the names; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_store_blobs(store: &devid_store) -> Result<devid_bytes, Error> {
    let names: Vec<String> = store.blobs()?.into_iter().filter(|name| own_name(name).is_ok()).collect();
    Ok(devid_bytes::from_slice(names.join("\n").as_bytes()))
}

/// Removes bytes that devid_store_put_blob() kept; or what the library keeps as "revoked", "bearers", "clock-seen", "clock-boot" or "renewal-...".
/// It is not an error if there are none.
///
/// @param name   Not NULL.
#[export]
fn devid_store_remove_blob(store: &devid_store, name: &str) -> Result<(), Error> {
    // To forget is the owner's right, but for what a cache and its mark hold.
    if ["status-", "crl-", "crt-", "cre-"].iter().any(|prefix| name.starts_with(prefix)) {
        own_name(name)?;
    }
    Ok(store.remove_blob(name)?)
}

/// Raises a number that must never go back, such as a firmware's version: on no path does it become lower.
///
/// @param name        As of devid_store_put_blob(). Not NULL.
/// @param value       Not negative.
/// @param out_raised  Receives 1 if it was raised, 0 if it is that high already. NULL if not wanted. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a negative value, DEVID_E_CORRUPT.
#[export]
fn devid_store_raise_number(store: &devid_store, name: &str, value: i64) -> Result<bool, Error> {
    own_name(name)?;
    let value = u64::try_from(value).map_err(|_| Error::new(Code::InvalidArgument, format!("{value} is negative")))?;
    Ok(store.raise_number(name, &value.to_be_bytes())?)
}

/// A number that devid_store_raise_number() kept.
///
/// @param name       Not NULL.
/// @param out_value  Receives the number; 0 if there is none. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT; DEVID_E_LIMIT if it is larger than an int64_t holds.
#[export]
fn devid_store_number(store: &devid_store, name: &str) -> Result<i64, Error> {
    let bytes = store.number(name)?.unwrap_or_default();
    let number = bytes.iter().try_fold(0i64, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)));
    number.ok_or_else(|| Error::new(Code::Limit, "the number is larger than an int64_t holds"))
}

/// Records of the library's own are not the program's to change: a forged cache would be a nuisance, a lost one too.
fn own_name(name: &str) -> Result<(), Error> {
    if is_own_record(name) {
        return Err(Error::new(Code::InvalidArgument, format!("\"{name}\" is a record of the library's own")));
    }
    Ok(())
}
