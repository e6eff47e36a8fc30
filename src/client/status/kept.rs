//! Revocation lists that came by another way than their URL, such as in an answer of the CA: checked, then kept where a
//! validation looks for what it has fetched before.

use std::sync::Arc;

use super::cache::Cache;
use super::document::{CRL, Item};
use super::memory::{issuer_key, issuer_of, list_key};
use super::{StatusMemory, StatusOptions};
use crate::asn1::distribution_point::cdp_urls;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Provider;
use crate::error::Error;
use crate::store::Store;
use crate::time::Time;
use crate::validation::{
    Checks, Crl, RevocationMode, RevocationPolicy, RevocationScope, StatusPreference, StatusSources, TrustAnchors,
    validate,
};

/// For which certificate a list is to speak, and what leads from it to an anchor.
#[derive(Clone, Copy, Debug)]
pub struct CrlSubject<'a> {
    /// The certificate whose status the list tells.
    pub certificate: &'a Certificate,
    /// Untrusted helpers for its path.
    pub intermediates: &'a [Certificate],
    /// Where the path must lead.
    pub anchors: &'a TrustAnchors,
    /// The present.
    pub at: Time,
}

/// Keeps a CRL (DER or PEM; all of several) in device memory if it speaks about the certificate: its scope, its signer's authority, its
/// signature, its times, and that it is not older than one seen before (RFC 5280 section 6.3.3) are checked on the way. A
/// later validation finds it as if it had been fetched.
///
/// Errors: [`Code::Revoked`], after it was kept, if the certificate is on it; [`Code::CrlRollback`], and nothing was kept, if it
/// is older than one seen before; [`Code::RevocationUnknown`], and nothing was
/// kept, if it says nothing about the certificate that could be believed.
pub fn keep_crl(
    provider: &Arc<dyn Provider>,
    store: &Arc<Store>,
    crl: &[u8],
    about: &CrlSubject<'_>,
) -> Result<(), Error> {
    let options = StatusOptions::default();
    if crl.len() > options.max_crl_bytes {
        let words = format!("a CRL of {} bytes, the limit is {}", crl.len(), options.max_crl_bytes);
        return Err(Error::new(Code::TooLarge, words));
    }
    let mut cache = Cache::new(provider.clone(), Some(store.clone()), options.max_kept, options.max_kept_bytes);
    let entry = cache.read(CRL, crl.to_vec(), None, None)?;
    let Item::Crls(crls) = &entry.item else { unreachable!("read as CRLs") };
    let memory = StatusMemory::new(provider.clone(), Some(store.clone()));
    let mut status = StatusSources { crls: crls.clone(), ..StatusSources::none() };
    status.note_unread(&entry.unread);
    memory.join(&mut status);
    let policy = RevocationPolicy {
        mode: RevocationMode::HardFail,
        scope: RevocationScope::LeafOnly,
        prefer: StatusPreference::Crl,
        ..RevocationPolicy::off()
    };
    let checks = Checks { revocation: policy, ..Checks::at(about.at) };
    let report = validate(&**provider, about.anchors, about.certificate, about.intermediates, &status, &checks);
    let verdict = report.error();
    match &verdict {
        None => {}
        Some(error) if error.code() == Code::Revoked => {}
        Some(error) => return Err(error.clone()),
    }
    // The verdict may rest on nothing of it: what nobody entitled has signed about this certificate would stay for others.
    let Some(entry) = cache.entitled_part(entry)? else {
        let words = "a list of it is signed by nobody who may say who is revoked";
        return Err(verdict.unwrap_or_else(|| Error::new(Code::RevocationUnknown, words)));
    };
    if let Some(trouble) = memory.take_troubles().into_iter().next() {
        return Err(trouble);
    }
    let urls = cdp_urls(about.certificate);
    let issuer = issuer_of(&**provider, about.certificate);
    let keys = match &urls[..] {
        [] => vec![issuer_key(&issuer)],
        urls => urls.iter().map(|url| list_key(url, &issuer)).collect(),
    };
    for key in keys {
        let left_out = cache.keep(&key, entry.clone())?;
        // An older list beside a newer one that was kept is no loss.
        if let Some(error) = left_out.filter(|error| error.code() != Code::CrlRollback) {
            return Err(error);
        }
    }
    verdict.map_or(Ok(()), Err)
}

/// All CRLs that device memory keeps and that can be read, fetched or put there; nothing in them is believed before it is checked
/// again.
pub fn kept_crls(provider: &Arc<dyn Provider>, store: &Arc<Store>) -> Result<Vec<Arc<Crl>>, Error> {
    let options = StatusOptions::default();
    let cache = Cache::new(provider.clone(), Some(store.clone()), options.max_kept, options.max_kept_bytes);
    let mut kept: Vec<Arc<Crl>> = Vec::new();
    for item in cache.stored_lists()?.items {
        let Item::Crls(crls) = item else { continue };
        for crl in crls {
            // One list stands under each URL of its distribution point.
            if !kept.iter().any(|known| known.der() == crl.der()) {
                kept.push(crl);
            }
        }
    }
    Ok(kept)
}
