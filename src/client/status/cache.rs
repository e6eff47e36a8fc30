//! What is kept: documents that were verified, in memory and in device memory.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::certificate_store::certificates_in;
use super::is_current;
use crate::asn1::kind::Kind;
use crate::asn1::pem;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::limits;
use crate::store::{Store, StoreErrorKind};
use crate::time::Time;
use crate::validation::{Checks, Crl, OcspResponse};

/// Most CRLs taken from one PEM document.
const MAX_ITEMS: usize = 16;
/// Most CRLs of other signers that stay in the same place.
const MAX_OTHER_ITEMS: usize = 3 * MAX_ITEMS;
/// Most certificates of issuers that stay in one place: a CA has some, and of those some keys, each certified by some others.
const MAX_ISSUERS: usize = 16;
/// Longest ETag or Last-Modified kept, in bytes; they are opaque and short.
const MAX_VALIDATOR_BYTES: usize = 256;
/// Names of records in device memory.
const PREFIX: &str = "status-";
/// Name of the mark in device memory.
const MARK: &str = "status-mark";
/// Label of an OCSP response in a record that holds more than that.
const OCSP_LABEL: &str = "OCSP RESPONSE";
/// Format of a record and its version.
const MAGIC: &[u8] = b"status-1\n";

/// What a document holds.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Crls(Vec<Arc<Crl>>),
    Ocsp(Arc<OcspResponse>),
    Issuers(Vec<Certificate>),
}

/// A document.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub item: Item,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Its bytes; not held once it is kept.
    pub bytes: Option<Arc<Vec<u8>>>,
    pub len: usize,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// A document in memory, with what it is found by.
struct Held {
    entry: Entry,
    /// The beginning of its record's name.
    record: String,
    /// See [`Item::issuers`].
    issuers: Vec<u64>,
}

/// What is found in a place.
pub(super) enum Kept {
    Nothing,
    Document(Entry),
    /// Something is there and cannot be read; why.
    Unreadable(String),
}

/// Lists of an issuer.
#[derive(Default)]
pub(super) struct KeptLists {
    pub items: Vec<Item>,
    /// Why some cannot be read. They may revoke.
    pub unread: Option<String>,
}

/// A distribution point may serve its lists in PKCS#7; RFC 5280 section 4.2.1.13 has a list in DER, and nothing tells them apart but a
/// look.
fn is_bundle_of_lists(bytes: &[u8]) -> bool {
    Kind::of_der(&pem::without_armour(bytes)) == Some(Kind::Pkcs7)
}

impl Item {
    fn read(kind: char, bytes: &Arc<Vec<u8>>) -> Result<Self, Error> {
        Self::read_up_to(MAX_ITEMS, kind, bytes)
    }

    fn read_up_to(max_items: usize, kind: char, bytes: &Arc<Vec<u8>>) -> Result<Self, Error> {
        match kind {
            CRL if pem::is_pem(bytes) || is_bundle_of_lists(bytes) => {
                let lists = Crl::many_from_bytes(bytes)?;
                if lists.len() > max_items {
                    let text = format!("{} CRLs in one document, the limit is {max_items}", lists.len());
                    return Err(Error::new(Code::Limit, text));
                }
                Ok(Item::Crls(lists.into_iter().map(Arc::new).collect()))
            }
            CRL => Ok(Item::Crls(vec![Arc::new(Crl::from_document(bytes.clone())?)])),
            OCSP => Ok(Item::Ocsp(Arc::new(OcspResponse::from_document(bytes)?))),
            // RFC 5280 section 4.2.2.1: a certificate or a "certs-only" CMS message; the content type may be wrong.
            _ => Ok(Item::Issuers(certificates_in(bytes)?)),
        }
    }

    /// What of it was found to be signed by somebody who may; `None`: nothing. Each list stands for itself: what else is in a document is
    /// put there by whoever carries it.
    fn entitled_part(&self) -> Option<Item> {
        match self {
            Item::Crls(lists) => {
                let part: Vec<Arc<Crl>> = lists.iter().filter(|crl| crl.is_entitled()).cloned().collect();
                (!part.is_empty()).then_some(Item::Crls(part))
            }
            Item::Ocsp(response) => response.is_entitled().then(|| self.clone()),
            Item::Issuers(_) => None,
        }
    }

    /// The same as a document, where it is not what came.
    fn document(&self) -> Vec<u8> {
        match self {
            Item::Issuers(certificates) => {
                certificates.iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect::<String>()
            }
            _ => self.lists_in_pem(),
        }
        .into_bytes()
    }

    /// How many documents it is.
    fn count(&self) -> usize {
        match self {
            Item::Crls(lists) => lists.len(),
            Item::Ocsp(_) => 1,
            Item::Issuers(certificates) => certificates.len(),
        }
    }

    /// Whose lists it holds, by a hash of the names as they are compared (RFC 5280 section 7.1).
    fn issuers(&self) -> Vec<u64> {
        let Item::Crls(lists) = self else { return Vec::new() };
        let mut issuers: Vec<u64> = lists.iter().map(|crl| crl.issuer_hash()).collect();
        crate::order::sort(&mut issuers);
        issuers.dedup();
        issuers
    }

    /// Its lists as one document.
    fn lists_in_pem(&self) -> String {
        let Item::Crls(lists) = self else { return String::new() };
        lists.iter().filter_map(|crl| crl.der()).map(|der| pem::encode("X509 CRL", der).to_string()).collect()
    }

    /// Its lists by this issuer.
    fn by_issuer(&self, issuer: u64) -> Self {
        let Item::Crls(lists) = self else { return self.clone() };
        Item::Crls(lists.iter().filter(|crl| crl.issuer_hash() == issuer).cloned().collect())
    }

    /// Whether it says of anyone that it is revoked.
    fn revokes(&self) -> bool {
        match self {
            Item::Crls(lists) => lists.iter().any(|crl| crl.entry_count().is_none_or(|count| count > 0)),
            Item::Ocsp(response) => response.revokes(),
            Item::Issuers(_) => false,
        }
    }

    /// Certificates of those who signed it, and above them.
    fn signers(&self) -> Vec<Certificate> {
        let all: Vec<Certificate> = match self {
            Item::Crls(lists) => lists.iter().flat_map(|crl| crl.signers()).collect(),
            Item::Ocsp(response) => response.signers(),
            Item::Issuers(_) => Vec::new(),
        };
        let mut signers: Vec<Certificate> = Vec::new();
        for signer in all {
            if !signers.contains(&signer) {
                signers.push(signer);
            }
        }
        signers
    }

    /// The same with certificates that were kept beside it.
    fn bring(&self, signers: &[Certificate]) {
        match self {
            Item::Crls(lists) => lists.iter().for_each(|crl| crl.bring_signers(signers)),
            Item::Ocsp(response) => response.bring_signers(signers),
            Item::Issuers(_) => {}
        }
    }

    /// As it is kept: as it came, or, with its signers or beside other lists, as PEM.
    fn kept_form(&self, came: Option<Arc<Vec<u8>>>) -> Option<Arc<Vec<u8>>> {
        let signers = self.signers();
        let parts: Vec<(&str, &[u8])> = match self {
            Item::Crls(lists) if lists.len() > 1 || !signers.is_empty() => {
                lists.iter().filter_map(|crl| Some(("X509 CRL", crl.der()?))).collect()
            }
            Item::Ocsp(_) if !signers.is_empty() => vec![(OCSP_LABEL, came.as_ref()?.as_slice())],
            _ => return came,
        };
        let signers = signers.iter().map(|signer| ("CERTIFICATE", signer.as_der()));
        let text: String =
            parts.into_iter().chain(signers).map(|(label, der)| pem::encode(label, der).to_string()).collect();
        Some(Arc::new(text.into_bytes()))
    }

    /// Reads what [`Self::kept_form`] has made.
    fn read_kept(kind: char, body: &Arc<Vec<u8>>) -> Result<Self, Error> {
        if kind == ISSUER || !pem::is_pem(body) {
            return Self::read(kind, body);
        }
        let item = match kind {
            OCSP => {
                let block = pem::parse(body)?.into_iter().find(|block| block.label == OCSP_LABEL);
                let block = block.ok_or_else(|| Error::new(Code::Corrupt, "no OCSP response"))?;
                Item::Ocsp(Arc::new(OcspResponse::from_der(&block.decode()?)?))
            }
            // Those of others stand beside what came as one document.
            _ => Self::read_up_to(MAX_ITEMS + MAX_OTHER_ITEMS, kind, body)?,
        };
        item.bring(&Certificate::many_from_bytes(body).unwrap_or_default());
        Ok(item)
    }

    /// What is kept of this and of what was kept in its place before: nothing that was said against anyone is lost to a
    /// document that says less. Lists of other series stay beside the new ones; an older word replaces no newer one.
    ///
    /// Each list of a document stands for itself: whoever carries it puts an older one beside a newer one. With it, what was left
    /// out, if anything was.
    fn after(&self, kept: &Item, provider: &dyn Provider, max_bytes: usize) -> Result<(Item, Option<Error>), Error> {
        let rollback = |what| Error::new(Code::CrlRollback, format!("a newer {what} is kept already"));
        match (self, kept) {
            (Item::Crls(new), Item::Crls(kept)) => {
                for (new, kept) in new.iter().flat_map(|new| kept.iter().map(move |kept| (new, kept))) {
                    kept.try_signers_of(new, provider);
                }
                let is_older = |new: &&Arc<Crl>| kept.iter().any(|kept| new.is_older_than(kept));
                let (older, new): (Vec<_>, Vec<_>) = new.iter().partition(is_older);
                let left_out = (!older.is_empty()).then(|| rollback("CRL of the same issuer and scope"));
                if let (true, Some(error)) = (new.is_empty(), &left_out) {
                    return Err(error.clone());
                }
                let is_left = |old: &&Arc<Crl>| !new.iter().any(|new| new.takes_the_place_of(old));
                let is_own = |old: &Arc<Crl>| new.iter().any(|new| new.is_of_signer_of(old));
                let (mut own, mut others): (Vec<_>, Vec<_>) = kept.iter().filter(is_left).cloned().partition(is_own);
                // What takes a place needs none. Of the others those that revoke nobody make room, the oldest first; a word against
                // somebody gives way to none of another series.
                let revokes = |crl: &Arc<Crl>| crl.entry_count().is_none_or(|count| count > 0);
                let takes_a_place = |new: &Arc<Crl>| kept.iter().any(|old| new.takes_the_place_of(old));
                let is_new = |crl: &Arc<Crl>| new.iter().any(|new| Arc::ptr_eq(new, crl));
                own.extend(new.iter().copied().cloned());
                crate::order::sort_by_cached_key(&mut own, |crl| {
                    let rank = match (is_new(crl), revokes(crl)) {
                        (true, _) if takes_a_place(crl) => 0,
                        (false, true) => 1,
                        (true, _) => 2,
                        (false, false) => 3,
                    };
                    (rank, Reverse((revokes(crl), crl.this_update())))
                });
                let dropped = own.split_off(own.len().min(MAX_ITEMS));
                let text = format!("{MAX_ITEMS} CRLs in one place, and those that revoke somebody stay");
                let full = dropped.iter().any(|crl| is_new(crl) || revokes(crl)).then(|| Error::new(Code::Limit, text));
                if let (false, Some(error)) = (own.iter().any(is_new), &full) {
                    return Err(error.clone());
                }
                // What another has signed shuts nobody out: whoever comes has its place, and others keep what is left of it.
                crate::order::sort_by_key(&mut others, |old| Reverse((revokes(old), old.this_update())));
                let len = |crl: &Arc<Crl>| crl.der().map_or(0, <[u8]>::len);
                let mut left = (max_bytes / 2).saturating_sub(own.iter().map(len).sum());
                others.truncate(MAX_OTHER_ITEMS);
                others.retain(|other| {
                    let fits = len(other) <= left;
                    left = left.saturating_sub(len(other));
                    fits
                });
                Ok((Item::Crls(own.into_iter().chain(others).collect()), full.or(left_out)))
            }
            // A certificate stands for itself as long as it lives: others of its place, by whoever was served them, take nothing away.
            (Item::Issuers(new), Item::Issuers(kept)) => {
                let from = new.iter().map(Certificate::not_before).max();
                let mut all: Vec<Certificate> =
                    kept.iter().filter(|old| Some(old.not_after()) >= from).cloned().collect();
                let added: Vec<Certificate> = new.iter().filter(|c| !all.contains(c)).cloned().collect();
                all.extend(added);
                all.truncate(MAX_ISSUERS);
                Ok((Item::Issuers(all), None))
            }
            (Item::Ocsp(new), Item::Ocsp(kept)) if new.is_behind(kept) => Err(rollback("OCSP response")),
            _ => Ok((self.clone(), None)),
        }
    }

    /// From when it is, and the last second until it can stand for a new one. Of several lists the newest counts: others
    /// stay for whom they revoke.
    fn times(&self) -> (Time, Option<Time>) {
        let parts: Vec<(Time, Option<Time>)> = match self {
            Item::Crls(lists) => lists.iter().map(|crl| (crl.this_update(), crl.next_update())).collect(),
            Item::Ocsp(response) => {
                let entries = response.basic().map(|basic| &basic.responses[..]).unwrap_or_default();
                entries.iter().map(|entry| (entry.this_update, entry.next_update)).collect()
            }
            // Of use as long as one of them is.
            Item::Issuers(all) => {
                let last = all.iter().max_by_key(|c| c.not_after());
                last.map(|c| (c.not_before(), Some(c.not_after()))).into_iter().collect()
            }
        };
        let this_update = match self {
            Item::Crls(_) => parts.iter().map(|part| part.0).max(),
            _ => parts.iter().map(|part| part.0).min(),
        };
        let this_update = this_update.unwrap_or(Time::FOREVER);
        let counting = parts.iter().filter(|part| !matches!(self, Item::Crls(_)) || part.0 == this_update);
        (this_update, counting.map(|part| part.1).min().flatten())
    }
}

impl Entry {
    pub fn is_current(&self, checks: &Checks) -> bool {
        let (this_update, until) = self.item.times();
        // Certificates have no age that a revocation policy could bound.
        let this_update = if matches!(self.item, Item::Issuers(_)) { Time::FOREVER } else { this_update };
        is_current(this_update, until, checks)
    }

    /// Whether it is over: then no server can mean it by "not modified", whatever it compares. Headers are nobody's word, and those that
    /// came with a document must not decide how long it stays.
    pub fn is_over(&self, checks: &Checks) -> bool {
        let (this_update, until) = self.item.times();
        let until = until.unwrap_or(this_update.plus(limits::STATUS_WITHOUT_NEXT_UPDATE_SECONDS));
        checks.at.known().is_some() && !is_current(this_update, Some(until), checks)
    }

    /// What makes room first: whatever speaks against nobody, and of that what expires first. A word against somebody counts
    /// also when it is out of date, and must not be pushed out by good words about others.
    fn rank(&self) -> (bool, Time) {
        (self.item.revokes(), self.item.times().1.unwrap_or(Time::from_unix(0)))
    }
}

/// Kinds of documents, the first letters of their keys.
pub(super) const CRL: char = 'c';
pub(super) const OCSP: char = 'o';
pub(super) const ISSUER: char = 'i';

/// Documents by key: a kind, and what tells one from another (a URL; for OCSP the certificate too).
pub(super) struct Cache {
    provider: Arc<dyn Provider>,
    store: Option<Arc<Store>>,
    entries: HashMap<String, Held>,
    /// The names of the records in device memory, as of the mark: a question about something that is not there costs no
    /// look into it, so that everything a peer sent can be asked about.
    names: Option<BTreeSet<String>>,
    /// Why it cannot be told whether another process has written something new.
    unsynced: Option<String>,
    /// Rises with every status document that is kept, by anyone with the same device memory.
    mark: u64,
    pub max_entries: usize,
    pub max_bytes: usize,
}

impl Cache {
    pub fn new(provider: Arc<dyn Provider>, store: Option<Arc<Store>>, max_entries: usize, max_bytes: usize) -> Self {
        Cache { provider, store, entries: HashMap::new(), names: None, unsynced: None, mark: 0, max_entries, max_bytes }
    }

    /// Lets go of what another process has replaced in device memory. The mark: a new one means that there is something new.
    pub fn sync(&mut self) -> u64 {
        let stored = match self.store.as_ref().map(|store| store.number(MARK)).transpose() {
            Ok(stored) => stored.flatten(),
            Err(error) => {
                self.unsynced = Some(format!("whether device memory keeps something new cannot be told: {error}"));
                return self.mark;
            }
        };
        self.unsynced = None;
        let stored = stored.map_or(0, |bytes| bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)));
        if stored > self.mark {
            self.entries.clear();
            self.names = None;
            self.mark = stored;
        }
        self.mark
    }

    /// Why it could not be told by [`Self::sync`] whether there is something new.
    pub fn unsynced(&self) -> Option<String> {
        self.unsynced.clone()
    }

    /// Tells everyone that there is something new.
    fn raise_mark(&mut self) -> Result<(), Error> {
        let Some(store) = self.store.clone() else {
            self.mark += 1;
            return Ok(());
        };
        loop {
            let next = self.sync() + 1;
            // Not above: another process has raised it meanwhile, and what it has written is looked at first.
            if store.raise_number(MARK, &next.to_be_bytes())? {
                self.mark = next;
                return Ok(());
            }
        }
    }

    /// What is kept under a key.
    pub fn look(&mut self, key: &str) -> Kept {
        if let Some(held) = self.entries.get(key) {
            return Kept::Document(held.entry.clone());
        }
        let (Some(store), Ok(base)) = (self.store.clone(), self.record_name(key)) else { return Kept::Nothing };
        let names = match self.names(&store) {
            Ok(names) => names,
            Err(error) => return Kept::Unreadable(unlisted(&error)),
        };
        let Some(name) = names.range(base.clone()..).next().filter(|name| name.starts_with(&base)).cloned() else {
            return Kept::Nothing;
        };
        match self.read_record(&store, &name) {
            Ok(Some((found, entry))) if found == key => {
                self.hold(key, entry.clone());
                Kept::Document(entry)
            }
            // Another process has taken it away meanwhile.
            Ok(None) => Kept::Nothing,
            Ok(Some(_)) => Kept::Unreadable(format!("{name} in device memory is about something else")),
            Err(error) => Kept::Unreadable(unreadable(&name, &error)),
        }
    }

    /// The lists of an issuer, whatever URL they came from: by a hash of its name.
    pub fn find_by_issuer(&mut self, issuer: u64) -> KeptLists {
        let of_issuer = self.entries.values().filter(|held| held.issuers.contains(&issuer));
        let mut found =
            KeptLists { items: of_issuer.map(|held| held.entry.item.clone()).collect(), unread: self.unsynced() };
        let Some(store) = self.store.clone() else { return found };
        let mark = format!("-{issuer:016x}");
        let names = match self.names(&store) {
            Ok(names) => names,
            Err(error) => {
                found.unread = Some(unlisted(&error));
                return found;
            }
        };
        let of_issuer: Vec<String> = names.iter().filter(|name| name.ends_with(&mark)).cloned().collect();
        for name in of_issuer {
            if self.entries.values().any(|held| !held.record.is_empty() && name.starts_with(&held.record)) {
                continue;
            }
            match self.read_record(&store, &name) {
                Ok(Some((key, entry))) => {
                    found.items.push(entry.item.clone());
                    // What is held has verified signatures the next time.
                    self.hold(&key, entry);
                }
                // Another process has taken it away meanwhile.
                Ok(None) => {}
                // The issuer stands in its name: it is about this one, whatever URL it came from.
                Err(error) => found.unread = Some(unreadable(&name, &error)),
            }
        }
        found
    }

    /// Names of the records in device memory.
    fn names(&mut self, store: &Store) -> Result<&BTreeSet<String>, Error> {
        if self.names.is_none() {
            self.names = Some(store.blobs()?.into_iter().filter(|name| name.starts_with(PREFIX)).collect());
        }
        Ok(self.names.get_or_insert_default())
    }

    /// A record of device memory and its key; `None`: it is not there.
    fn read_record(&self, store: &Store, name: &str) -> Result<Option<(String, Entry)>, Error> {
        let record = match store.blob(name) {
            Ok(record) => record,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let corrupt = || Error::new(Code::Corrupt, "no record of status data");
        let (key, etag, last_modified, body) = split_record(&record).ok_or_else(corrupt)?;
        let body = Arc::new(body.to_vec());
        let item = Item::read_kept(key.chars().next().ok_or_else(corrupt)?, &body)?;
        let entry = Entry { item, digest: self.digest(&[&body])?, bytes: None, len: body.len(), etag, last_modified };
        Ok(Some((key.to_owned(), entry)))
    }

    /// All lists in device memory, and why some cannot be read.
    pub fn stored_lists(&self) -> Result<KeptLists, Error> {
        let mut found = KeptLists::default();
        let Some(store) = &self.store else { return Ok(found) };
        for name in store.blobs()?.iter().filter(|name| name.starts_with(PREFIX)) {
            match self.read_record(store, name) {
                Ok(Some((_, Entry { item: item @ Item::Crls(_), .. }))) => found.items.push(item),
                Ok(_) => {}
                Err(error) => found.unread = Some(unreadable(name, &error)),
            }
        }
        Ok(found)
    }

    /// What of a document was found to be signed by somebody who may, as a document of its own.
    pub fn entitled_part(&self, entry: Entry) -> Result<Option<Entry>, Error> {
        let Some(item) = entry.item.entitled_part() else { return Ok(None) };
        if item.count() == entry.item.count() {
            return Ok(Some(entry));
        }
        self.made_anew(item).map(Some)
    }

    /// What of a document of issuers stands on a path that holds, as a document of its own.
    pub fn part_on_path(&self, entry: Entry, chain: &[Certificate]) -> Result<Option<Entry>, Error> {
        let Item::Issuers(certificates) = &entry.item else { return Ok(None) };
        let part: Vec<Certificate> = certificates.iter().filter(|c| chain.contains(c)).cloned().collect();
        match part.len() {
            0 => Ok(None),
            all if all == certificates.len() => Ok(Some(entry)),
            _ => self.made_anew(Item::Issuers(part)).map(Some),
        }
    }

    fn made_anew(&self, item: Item) -> Result<Entry, Error> {
        let bytes = Arc::new(item.document());
        let (digest, len) = (self.digest(&[&bytes])?, bytes.len());
        // It is not what the server calls by these: the whole is asked for again.
        let (etag, last_modified) = (None, None);
        Ok(Entry { item, digest, bytes: Some(bytes), len, etag, last_modified })
    }

    /// Reads a document. One that is held already is not read a second time: its index and the signature that was
    /// verified are used again.
    pub fn read(
        &self,
        kind: char,
        bytes: Vec<u8>,
        etag: Option<String>,
        last_modified: Option<String>,
    ) -> Result<Entry, Error> {
        let digest = self.digest(&[&bytes])?;
        let bytes = Arc::new(bytes);
        let same_kind = |item: &Item| match item {
            Item::Crls(_) => kind == CRL,
            Item::Ocsp(_) => kind == OCSP,
            Item::Issuers(_) => kind == ISSUER,
        };
        // Of a response it is told anew each time who may have signed it, for whom it was asked.
        let is_one = |item: &Item| matches!(item, Item::Crls(lists) if lists.len() == 1);
        let is_same = |entry: &&Entry| entry.digest == digest && same_kind(&entry.item) && is_one(&entry.item);
        let held = self.entries.values().map(|held| &held.entry).find(is_same);
        let item = match held {
            Some(entry) => entry.item.clone(),
            None => Item::read(kind, &bytes)?,
        };
        let short = |text: Option<String>| text.filter(|t| t.len() <= MAX_VALIDATOR_BYTES);
        let (etag, last_modified) = (short(etag), short(last_modified));
        Ok(Entry { item, digest, len: bytes.len(), bytes: Some(bytes), etag, last_modified })
    }

    /// Keeps a document that was found good, after what was kept in its place: see [`Item::after`]. Lists are found by their
    /// issuer, too; those of several issuers stand once more in a place for each but the first. What was left out of it, if
    /// anything was.
    pub fn keep(&mut self, key: &str, mut entry: Entry) -> Result<Option<Error>, Error> {
        let mut left_out = None;
        match self.look(key) {
            Kept::Document(kept) => {
                let (item, what) = entry.item.after(&kept.item, &*self.provider, self.max_bytes)?;
                left_out = what;
                match (&item, &entry.item) {
                    (Item::Issuers(all), Item::Issuers(new)) if all != new => entry = self.made_anew(item)?,
                    (Item::Crls(_), _) if left_out.is_some() => entry = self.made_anew(item)?,
                    _ => entry.item = item,
                }
            }
            // What cannot be read is mended by what is good; that it is not from before, the numbers of the lists have shown.
            Kept::Nothing | Kept::Unreadable(_) => {}
        }
        for issuer in entry.item.issuers().iter().skip(1) {
            let item = entry.item.by_issuer(*issuer);
            let bytes = Some(Arc::new(item.lists_in_pem().into_bytes()));
            let beside = Entry { item, bytes, etag: None, last_modified: None, ..entry.clone() };
            self.put(&format!("{CRL} of {issuer:016x} {key}"), beside)?;
        }
        self.put(key, entry).map(|()| left_out)
    }

    fn put(&mut self, key: &str, mut entry: Entry) -> Result<(), Error> {
        entry.bytes = entry.item.kept_form(entry.bytes.take());
        entry.len = entry.bytes.as_ref().map_or(entry.len, |bytes| bytes.len());
        let bytes = entry.bytes.take();
        if entry.len > self.max_bytes || self.max_entries == 0 {
            return Ok(());
        }
        let record = bytes.map(|bytes| join_record(key, &entry, &bytes));
        let is_status = !matches!(entry.item, Item::Issuers(_));
        self.hold(key, entry.clone());
        let written = match (self.store.clone(), record) {
            (Some(store), Some(record)) => self.write(&store, key, &entry, &record),
            _ => Ok(()),
        };
        let raised = if is_status { self.raise_mark() } else { Ok(()) };
        // Raising the mark may have let go of everything for what another process wrote.
        self.hold(key, entry);
        written.and(raised)
    }

    fn write(&mut self, store: &Store, key: &str, entry: &Entry, record: &[u8]) -> Result<(), Error> {
        let base = self.record_name(key)?;
        let name = match entry.item.issuers().first() {
            Some(issuer) => format!("{base}-{issuer:016x}"),
            None => base.clone(),
        };
        let others: Vec<String> = match self.names(store) {
            Ok(names) => names.range(base.clone()..).take_while(|n| n.starts_with(&base)).cloned().collect(),
            Err(_) => Vec::new(),
        };
        self.make_room(store, &name)?;
        self.names = None;
        store.put_blob(&name, record)?;
        // The same place under another issuer: what was there is in the new record, as far as it counts.
        for other in others.iter().filter(|other| **other != name) {
            store.remove_blob(other)?;
        }
        Ok(())
    }

    pub fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        let value = self.provider.digest(DigestAlgorithm::Sha256, parts)?;
        <[u8; 32]>::try_from(&*value).map_err(|_| Error::new(Code::Algorithm, "a SHA-256 digest of another length"))
    }

    fn hold(&mut self, key: &str, entry: Entry) {
        self.entries.remove(key);
        let mut total = self.entries.values().map(|held| held.entry.len).sum::<usize>();
        while self.entries.len() >= self.max_entries.max(1) || total.saturating_add(entry.len) > self.max_bytes {
            let Some(first) = self.entries.iter().min_by_key(|(_, held)| held.entry.rank()).map(|(key, _)| key.clone())
            else {
                break;
            };
            total -= self.entries.remove(&first).map_or(0, |held| held.entry.len);
        }
        let record = self.record_name(key).unwrap_or_default();
        self.entries.insert(key.to_owned(), Held { issuers: entry.item.issuers(), record, entry });
    }

    /// Removes records until one more has its place: those that revoke nobody and expire first. What cannot be read may revoke, and
    /// stays until its owner has device memory repaired, or it is replaced.
    fn make_room(&self, store: &Store, name: &str) -> Result<(), Error> {
        let mut names: Vec<String> = store.blobs()?.into_iter().filter(|n| n.starts_with(PREFIX)).collect();
        if names.len() < self.max_entries || names.iter().any(|n| n == name) {
            return Ok(());
        }
        let rank = |name: &String| {
            let record = store.blob(name).ok()?;
            let (key, _, _, body) = split_record(&record)?;
            let item = Item::read_kept(key.chars().next()?, &Arc::new(body.to_vec())).ok()?;
            Some((item.revokes(), item.times().1))
        };
        crate::order::sort_by_cached_key(&mut names, |name| rank(name).unwrap_or((true, Some(Time::FOREVER))));
        for name in &names[..names.len() + 1 - self.max_entries] {
            store.remove_blob(name)?;
        }
        Ok(())
    }

    /// The beginning of a record's name; behind it, of lists, a hash of their issuer's name.
    fn record_name(&self, key: &str) -> Result<String, Error> {
        Ok(format!("{PREFIX}{}", hex(&self.digest(&[key.as_bytes()])?[..16])))
    }
}

fn unlisted(error: &Error) -> String {
    format!("what device memory keeps cannot be listed: {error}")
}

fn unreadable(name: &str, error: &Error) -> String {
    format!("{name} in device memory cannot be read: {error}")
}

fn join_record(key: &str, entry: &Entry, bytes: &[u8]) -> Vec<u8> {
    let mut record = MAGIC.to_vec();
    for field in [Some(key), entry.etag.as_deref(), entry.last_modified.as_deref()] {
        let field = field.unwrap_or_default();
        record.extend_from_slice(&(field.len() as u32).to_be_bytes());
        record.extend_from_slice(field.as_bytes());
    }
    record.extend_from_slice(bytes);
    record
}

type Record<'a> = (&'a str, Option<String>, Option<String>, &'a [u8]);

fn split_record(record: &[u8]) -> Option<Record<'_>> {
    let mut rest = record.strip_prefix(MAGIC)?;
    let mut field = || {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (text, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        rest = behind;
        std::str::from_utf8(text).ok()
    };
    let (key, etag, last_modified) = (field()?, field()?, field()?);
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some((key, known(etag), known(last_modified), rest))
}
