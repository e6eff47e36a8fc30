//! What device memory keeps besides identities: keys that wait, saved operations, anchors, blobs, numbers.

use zeroize::Zeroizing;

use super::Store;
use super::backend::check_name;
use super::error::{StoreError, StoreErrorKind};
use super::generations::{Home, KeyRecord};
use super::identity::{AnchorSet, PendingKey};
use super::problem::{Problem, ProblemKind};
use super::record::{self, BLOB, NUMBER, OPERATION, RecordFolder};
use crate::asn1::pem;
use crate::asn1::pkcs10::CertificationRequest;
use crate::asn1::x509::Certificate;
use crate::crypto::{Signer, keys};
use crate::validation::TrustAnchors;

impl Store {
    // ---- keys that wait for their certificate --------------------------------------------------------------------

    /// Keeps a key until its certificate comes, perhaps weeks and reboots later. Before a request with a new key leaves
    /// the device, its key belongs here.
    pub fn put_pending_key(&self, label: &str, key: &Signer) -> Result<(), StoreError> {
        check_name(label)?;
        self.adding(&pending_key(label), |home| {
            // It would go with what an interrupted removal has left.
            home.finish_removal(label)?;
            let place = pending_key(label);
            if home.backend.list(&format!("{place}/"))?.iter().any(|k| k.starts_with(&format!("{place}/key."))) {
                return Err(StoreError::new(StoreErrorKind::Exists, place, "a key with this label is waiting already"));
            }
            let record = home.record_of(&place, key)?;
            home.backend.write(&format!("{place}/{}", record.file), &record.bytes)?;
            home.backend.sync()?;
            let found = home.load_key(&place)?;
            if found.key.spki() != record.key.spki() {
                let detail = "what was read back is not what was written";
                return Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, place, detail));
            }
            Ok(())
        })
    }

    /// A pending key; it stays.
    pub fn pending_key(&self, label: &str) -> Result<PendingKey, StoreError> {
        check_name(label)?;
        self.reading(|home| {
            let place = pending_key(label);
            if !home.pending_labels()?.contains(&label.to_owned()) {
                return Err(StoreError::not_found(place, "there is no pending key with this label"));
            }
            let KeyRecord { key, .. } = home.load_key(&place)?;
            Ok(PendingKey { label: label.to_owned(), key })
        })
    }

    /// Labels of all pending keys, sorted.
    pub fn pending_keys(&self) -> Result<Vec<String>, StoreError> {
        self.reading(|home| home.pending_labels())
    }

    /// The pending key that a certificate was made for.
    pub fn pending_key_for(&self, certificate: &Certificate) -> Result<Option<PendingKey>, StoreError> {
        for label in self.pending_keys()? {
            // One damaged key does not hide the others.
            if let Ok(pending) = self.pending_key(&label) {
                if keys::same_public_key(pending.key.spki(), certificate.spki()) {
                    return Ok(Some(pending));
                }
            }
        }
        Ok(None)
    }

    /// Keeps the request that went out for a pending key, replacing an older one: the certificate that comes, perhaps
    /// much later, is compared with it. A PEM file that a person can carry to the CA.
    pub fn put_pending_request(&self, label: &str, request: &CertificationRequest) -> Result<(), StoreError> {
        check_name(label)?;
        self.changing(&pending_key(label), |home| {
            let place = pending_key(label);
            if !home.pending_labels()?.contains(&label.to_owned()) {
                return Err(StoreError::not_found(place, "there is no pending key with this label"));
            }
            if !keys::same_public_key(home.load_key(&place)?.key.spki(), request.spki()) {
                let detail = "the request is not for the key that is pending under this label";
                return Err(StoreError::new(StoreErrorKind::KeyMismatch, place, detail));
            }
            home.backend.write(&request_key(label), request.to_pem().as_bytes())?;
            home.backend.sync()?;
            match home.load_request(label) {
                Ok(Some(found)) if found == *request => Ok(()),
                _ => {
                    let detail = "what was read back is not what was written";
                    Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, request_key(label), detail))
                }
            }
        })
    }

    /// The request that went out for a pending key; `None` if none was kept.
    pub fn pending_request(&self, label: &str) -> Result<Option<CertificationRequest>, StoreError> {
        check_name(label)?;
        self.reading(|home| home.load_request(label))
    }

    /// The request that is out for a pending key, if its certificate can still be imported: one that cannot be read, or whose key
    /// cannot, is out no more.
    pub(crate) fn request_out(&self, label: &str) -> Result<Option<CertificationRequest>, StoreError> {
        let request = match self.pending_request(label) {
            Err(error) if error.is_damage() => None,
            request => request?,
        };
        if request.is_some() && self.pending_key(label).is_err_and(|error| error.is_damage()) {
            return Ok(None);
        }
        Ok(request)
    }

    /// The label of a key that waits while a PKCS#10 request is out under this name.
    pub(crate) fn label_beside_request(&self, name: &str) -> Result<String, StoreError> {
        check_name(name)?;
        self.reading(|home| home.label_beside_request(name))
    }

    /// The label under which a request to revoke the certificate of an identity is kept.
    pub(crate) fn label_of_revocation(&self, name: &str) -> Result<String, StoreError> {
        check_name(name)?;
        self.reading(|home| home.label_of_revocation(name))
    }

    /// Gives a pending key up. It is no error if there is none.
    pub fn remove_pending_key(&self, label: &str) -> Result<(), StoreError> {
        check_name(label)?;
        self.removing(&pending_key(label), label, |home| home.remove_pending(label))
    }

    // ---- operations, anchors, blobs, numbers ---------------------------------------------------------------------

    /// Keeps an operation's saved state, replacing an older one.
    pub fn save_operation(&self, name: &str, state: &[u8]) -> Result<(), StoreError> {
        check_name(name)?;
        self.adding(OPERATION.0, |home| home.save_blob(OPERATION, name, state))
    }

    /// An operation's saved state.
    pub fn load_operation(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.load(OPERATION, name)
    }

    /// Names of all saved operations, sorted.
    pub fn operations(&self) -> Result<Vec<String>, StoreError> {
        self.names(OPERATION)
    }

    /// Forgets a saved operation. It is no error if there is none.
    pub fn remove_operation(&self, name: &str) -> Result<(), StoreError> {
        self.remove(OPERATION, name)
    }

    /// Forgets one that has come to its end: what it was for is in use, and tells so where lost power brings it back.
    pub(crate) fn remove_finished_operation(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        let (folder, _) = OPERATION;
        self.removing(folder, name, |home| home.backend.remove_spare(&format!("{folder}/{name}")))
    }

    /// Keeps bytes that need no secrecy, such as a CRL, replacing older ones.
    pub fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.save(BLOB, name, bytes)
    }

    /// Changes a blob in one step, between which no other process has its turn. `change` gets what is kept, `None` if nothing
    /// is, and answers what is to be kept from now on; `None`: what there is.
    pub(crate) fn change_blob(
        &self,
        name: &str,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(BLOB.0, |home| {
            let kept = match home.load_blob(BLOB, name) {
                Ok(kept) => Some(kept),
                Err(e) if e.kind == StoreErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            match change(kept.as_deref().map(Vec::as_slice))? {
                Some(bytes) => home.save_blob(BLOB, name, &bytes),
                None => Ok(()),
            }
        })
    }

    /// Bytes kept under a name.
    pub fn blob(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.load(BLOB, name)
    }

    /// Names of all blobs, sorted.
    pub fn blobs(&self) -> Result<Vec<String>, StoreError> {
        self.names(BLOB)
    }

    /// Forgets a blob. It is no error if there is none.
    pub fn remove_blob(&self, name: &str) -> Result<(), StoreError> {
        self.remove(BLOB, name)
    }

    /// Raises a number that must never go back: the highest CRL number seen (RFC 5280 section 5.2.3). Big endian,
    /// unsigned. `false`, and nothing changes, if it is not above what is kept.
    pub fn raise_number(&self, name: &str, value: &[u8]) -> Result<bool, StoreError> {
        check_name(name)?;
        let value = without_leading_zeros(value);
        self.changing(NUMBER.0, |home| {
            let kept = match home.load_blob(NUMBER, name) {
                Ok(kept) => kept,
                Err(e) if e.kind == StoreErrorKind::NotFound => Zeroizing::new(Vec::new()),
                Err(e) => return Err(e),
            };
            if (value.len(), value) <= (kept.len(), &kept) {
                return Ok(false);
            }
            home.save_blob(NUMBER, name, value)?;
            Ok(true)
        })
    }

    /// Names of all numbers, sorted.
    pub(crate) fn numbers(&self) -> Result<Vec<String>, StoreError> {
        self.names(NUMBER)
    }

    /// A number kept under a name, without leading zeros; `None` if there is none yet.
    pub fn number(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.load(NUMBER, name) {
            Ok(value) => Ok(Some(value.to_vec())),
            Err(e) if e.kind == StoreErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Gives a number up, also a damaged one: from then on everything counts as higher. For people who know that the
    /// number is wrong. It is no error if there is none.
    pub fn remove_number(&self, name: &str) -> Result<(), StoreError> {
        self.remove(NUMBER, name)
    }

    /// Replaces a set of trust anchors; an empty one is removed.
    pub fn set_anchors(&self, set: AnchorSet, anchors: &[Certificate]) -> Result<(), StoreError> {
        self.changing("anchors", |home| {
            let key = anchors_key(set);
            if anchors.is_empty() {
                home.backend.remove(&key, false)?;
            } else {
                let text: String = anchors.iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect();
                home.backend.write(&key, text.as_bytes())?;
            }
            home.backend.sync()
        })
    }

    /// A set of trust anchors; empty if none was put there. The file may be written by hand: PEM, any number of
    /// certificates.
    pub fn anchors(&self, set: AnchorSet) -> Result<Vec<Certificate>, StoreError> {
        let key = anchors_key(set);
        match self.reading(|home| home.backend.read(&key))? {
            Some(bytes) => Certificate::many_from_bytes(&bytes).map_err(|e| StoreError::asn1(&key, &e)),
            None => Ok(Vec::new()),
        }
    }

    /// The same for who goes on without it: anchors only add trust, so that a set that cannot be read counts as empty. With what is
    /// wrong with it.
    pub(crate) fn readable_anchors(&self, set: AnchorSet) -> Result<(Vec<Certificate>, Option<Problem>), StoreError> {
        use StoreErrorKind::{Io, Permission};
        match self.anchors(set) {
            Ok(anchors) => Ok((anchors, None)),
            Err(error) if error.is_damage() || matches!(error.kind, Io | Permission) => {
                let kind = if error.is_damage() { ProblemKind::Damaged } else { ProblemKind::Access };
                let text = format!("{}; nobody is trusted by it until it is put right", error.detail);
                Ok((Vec::new(), Some(Problem::new(kind, &anchors_key(set), &text))))
            }
            Err(error) => Err(error),
        }
    }

    /// The same as trust for a validator: [`AnchorSet::Peer`] says who may certify whom the device meets. What renewal trusts
    /// it reads by itself, see [`AnchorSet`].
    pub fn trust(&self, set: AnchorSet) -> Result<TrustAnchors, StoreError> {
        let mut anchors = TrustAnchors::new();
        self.anchors(set)?.into_iter().for_each(|anchor| anchors.add(anchor));
        Ok(anchors)
    }

    fn save(&self, folder: RecordFolder, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(folder.0, |home| home.save_blob(folder, name, bytes))
    }

    fn load(&self, folder: RecordFolder, name: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        check_name(name)?;
        self.reading(|home| home.load_blob(folder, name))
    }

    fn names(&self, (folder, _): RecordFolder) -> Result<Vec<String>, StoreError> {
        let prefix = format!("{folder}/");
        let keys = self.reading(|home| home.backend.list(&prefix))?;
        let mut names: Vec<_> = keys.iter().filter_map(|k| k.strip_prefix(&prefix).map(str::to_owned)).collect();
        names.retain(|name| check_name(name).is_ok());
        crate::order::sort(&mut names);
        Ok(names)
    }

    fn remove(&self, (folder, _): RecordFolder, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.removing(folder, name, |home| {
            // Nothing secret is kept there: it is not overwritten first.
            home.backend.remove(&format!("{folder}/{name}"), false)?;
            home.backend.sync()
        })
    }
}

impl Home<'_> {
    pub(super) fn pending_labels(&mut self) -> Result<Vec<String>, StoreError> {
        let keys = self.backend.list("pending/")?;
        let mut labels: Vec<_> = keys
            .iter()
            .filter_map(|k| k.strip_prefix("pending/")?.split_once('/'))
            .filter(|(label, file)| check_name(label).is_ok() && matches!(*file, "key.pem" | "key.ref"))
            .map(|(label, _)| label.to_owned())
            .collect();
        crate::order::sort(&mut labels);
        labels.dedup();
        Ok(labels)
    }

    pub(super) fn load_request(&mut self, label: &str) -> Result<Option<CertificationRequest>, StoreError> {
        let key = request_key(label);
        let Some(bytes) = self.backend.read(&key)? else { return Ok(None) };
        CertificationRequest::from_bytes(&bytes).map(Some).map_err(|e| StoreError::asn1(&key, &e))
    }

    /// The request goes first: one without its key could not be used, a key without its request is not.
    pub(super) fn remove_pending(&mut self, label: &str) -> Result<(), StoreError> {
        self.backend.remove(&request_key(label), true)?;
        self.backend.remove(&format!("pending/{label}/key.pem"), true)?;
        self.backend.remove(&format!("pending/{label}/key.ref"), false)?;
        self.backend.sync()
    }

    pub(super) fn save_blob(
        &mut self,
        (folder, kind): RecordFolder,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let place = format!("{folder}/{name}");
        let limit = crate::limits::MAX_STORED_RECORD_BYTES / 2;
        if bytes.len() > limit {
            let detail = format!("{} bytes, the limit is {limit}", bytes.len());
            return Err(StoreError::new(StoreErrorKind::Limit, place, detail));
        }
        let wrapped = record::wrap(kind, bytes, &**self.provider)?;
        self.backend.write(&place, &wrapped)?;
        self.backend.sync()?;
        match self.load_blob((folder, kind), name) {
            Ok(found) if found.as_slice() == bytes => Ok(()),
            _ => {
                let detail = "what was read back is not what was written";
                Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, place, detail))
            }
        }
    }

    pub(super) fn load_blob(
        &mut self,
        (folder, kind): RecordFolder,
        name: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let place = format!("{folder}/{name}");
        let stored =
            self.backend.read(&place)?.ok_or_else(|| StoreError::not_found(&place, "there is no such record"))?;
        record::unwrap(&stored, kind, &place, &**self.provider).map(|bytes| Zeroizing::new(bytes.to_vec()))
    }
}

fn pending_key(label: &str) -> String {
    format!("pending/{label}")
}

fn request_key(label: &str) -> String {
    format!("{}/request.pem", pending_key(label))
}

fn anchors_key(set: AnchorSet) -> String {
    format!("anchors/{}.pem", set.name())
}

fn without_leading_zeros(value: &[u8]) -> &[u8] {
    &value[value.iter().take_while(|b| **b == 0).count()..]
}
