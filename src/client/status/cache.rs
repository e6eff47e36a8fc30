//! Where documents are kept that were verified: in memory and in device memory.

mod writing;

use std::collections::HashMap;
use std::sync::Arc;

use super::document::{CRL, ISSUER, Item, OCSP};
use super::room::{Guest, who_gives_way};
use super::unwritten::Unwritten;
use super::{is_current, record};
use crate::asn1::Asn1Error;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::limits;
use crate::sorted::Set;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::{Checks, Crl};
use writing::unlisted;

/// Longest ETag or Last-Modified kept, in bytes; they are opaque and short.
const MAX_VALIDATOR_BYTES: usize = 256;
/// Most lists in one issuer's name, over all places: half of the signatures that a validation has for lists.
const MAX_OF_NAME: usize = limits::MAX_STATUS_SIGNATURES as usize / 2;
/// Names of records in device memory.
const PREFIX: &str = "status-";
/// Name of the mark in device memory. Odd while somebody writes a document, and after somebody has died over that.
const MARK: &str = "status-mark";
/// A document.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub item: Item,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Its bytes; not held once it is written.
    pub bytes: Option<Arc<Vec<u8>>>,
    pub len: usize,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// What in it begins as one of its kind and cannot be read. Such a document is used once and not kept.
    pub unread: Vec<Asn1Error>,
}

/// A document in memory, with what it is found by.
struct Held {
    entry: Entry,
    /// The beginning of its record's name.
    record: String,
    /// See [`Item::issuers`].
    issuers: Vec<u64>,
    /// How many lines of signers stand in its record.
    written_lines: usize,
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

    /// As it takes room among other documents. A word against somebody counts also when it is out of date, and must not be pushed out
    /// by good words about others.
    fn guest(&self, weight: usize) -> Guest {
        let until = self.item.times().1.unwrap_or(Time::from_unix(0));
        Guest { lines: self.item.lines().concat(), revokes: self.item.revokes(), until, weight }
    }

    fn line_count(&self) -> usize {
        self.item.lines().iter().map(Vec::len).sum()
    }
}

/// Documents by key: a kind, and what tells one from another (a URL; for OCSP the certificate too).
pub(super) struct Cache {
    provider: Arc<dyn Provider>,
    store: Option<Arc<Store>>,
    unwritten: Arc<Unwritten>,
    entries: HashMap<String, Held>,
    /// The names of the records in device memory, as of the mark: a question about something that is not there costs no
    /// look into it, so that everything a peer sent can be asked about.
    names: Option<Set<String>>,
    /// Why it cannot be told whether another process has written something new.
    unsynced: Option<String>,
    /// Rises with every status document that is kept, by anyone with the same device memory.
    mark: u64,
    pub max_entries: usize,
    pub max_bytes: usize,
}

impl Cache {
    pub fn new(provider: Arc<dyn Provider>, store: Option<Arc<Store>>, max_entries: usize, max_bytes: usize) -> Self {
        let unwritten = store.as_ref().map(|store| store.beside()).unwrap_or_default();
        let (entries, names, unsynced) = (HashMap::new(), None, None);
        Cache { provider, store, unwritten, entries, names, unsynced, mark: 0, max_entries, max_bytes }
    }

    /// Lets go of what another process has replaced in device memory. The mark: a new one means that there is something new.
    pub fn sync(&mut self) -> u64 {
        let Some(store) = self.store.clone() else { return self.mark };
        let stored = match self.whole_mark(&store) {
            Ok(stored) => stored,
            Err(error) => {
                self.unsynced = Some(format!("whether device memory keeps something new cannot be told: {error}"));
                return self.mark;
            }
        };
        self.unsynced = None;
        // A lower one is news as well: memory was put back, or its mark is gone.
        if stored != self.mark || !is_whole(stored) {
            // What could not be written yet is nowhere else.
            self.entries.retain(|_, held| held.entry.bytes.is_some());
            self.names = None;
            self.mark = stored;
        }
        self.mark
    }

    /// The mark in device memory. Where a process has died over a document, it is made whole: so it is new to everybody.
    fn whole_mark(&self, store: &Store) -> Result<u64, StoreError> {
        let mark = stored_mark(store)?;
        if is_whole(mark) || !self.unwritten.is_due() {
            return Ok(mark);
        }
        // Nobody is writing while we have the lock.
        let made_whole = store.hold().and_then(|_hold| {
            let next = stored_mark(store)?.saturating_add(1) & !1;
            store.raise_number(MARK, &next.to_be_bytes())?;
            Ok(next)
        });
        let made_whole = made_whole.map_err(Error::from);
        self.unwritten.has_tried(&made_whole);
        Ok(made_whole.unwrap_or(mark))
    }

    /// Why it could not be told by [`Self::sync`] whether there is something new.
    pub fn unsynced(&self) -> Option<String> {
        self.unsynced.clone()
    }

    /// Tells everyone that there will be something new; `after`: that it is there now. Under the lock.
    fn raise_mark(&mut self, after: bool) -> Result<(), Error> {
        let mut next = self.mark | 1;
        if after {
            // By a step of any size: where memory was put back, the next marks are none that others have seen before.
            let mut step = [0; 3];
            self.provider.random(&mut step)?;
            next = step
                .iter()
                .fold(0u64, |step, byte| step << 8 | u64::from(*byte))
                .saturating_mul(2)
                .saturating_add(next + 1);
        }
        if let Some(store) = &self.store {
            store.raise_number(MARK, &next.to_be_bytes())?;
        }
        self.mark = next;
        Ok(())
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
        let Some(name) = names.from(base.as_str()).next().filter(|name| name.starts_with(&base)).cloned() else {
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
        let (places, unread) = self.places_of(issuer);
        KeptLists { items: places.into_iter().map(|(_, entry)| entry.item).collect(), unread }
    }

    /// The documents with lists of an issuer, with their keys, and why some cannot be read.
    fn places_of(&mut self, issuer: u64) -> (Vec<(String, Entry)>, Option<String>) {
        let of_issuer = self.entries.iter().filter(|(_, held)| held.issuers.contains(&issuer));
        let mut found: Vec<(String, Entry)> = of_issuer.map(|(key, held)| (key.clone(), held.entry.clone())).collect();
        let mut unread = self.unsynced();
        let Some(store) = self.store.clone() else { return (found, unread) };
        let mark = format!("-{issuer:016x}");
        let names = match self.names(&store) {
            Ok(names) => names,
            Err(error) => return (found, Some(unlisted(&error))),
        };
        let of_issuer: Vec<String> = names.iter().filter(|name| name.ends_with(&mark)).cloned().collect();
        for name in of_issuer {
            if self.entries.values().any(|held| !held.record.is_empty() && name.starts_with(&held.record)) {
                continue;
            }
            match self.read_record(&store, &name) {
                Ok(Some((key, entry))) => {
                    found.push((key.clone(), entry.clone()));
                    // What is held has verified signatures the next time.
                    self.hold(&key, entry);
                }
                // Another process has taken it away meanwhile.
                Ok(None) => {}
                // The issuer stands in its name: it is about this one, whatever URL it came from.
                Err(error) => unread = Some(unreadable(&name, &error)),
            }
        }
        (found, unread)
    }

    /// Names of the records in device memory.
    fn names(&mut self, store: &Store) -> Result<&Set<String>, Error> {
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
        let record = record::split(&record).ok_or_else(corrupt)?;
        let kind = record.kind().ok_or_else(corrupt)?;
        let body = Arc::new(record.body.to_vec());
        let item = Item::read_kept(kind, &body, record.lines, &*self.provider)?;
        let (etag, last_modified) = (record.etag, record.last_modified);
        let (digest, len, unread) = (self.digest(&[&body])?, body.len(), Vec::new());
        let entry = Entry { item, digest, bytes: None, len, etag, last_modified, unread };
        Ok(Some((record.key.to_owned(), entry)))
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

    /// Takes away each document with such a list, for everybody with the same device memory. What cannot be read may be one, and goes too.
    pub fn forget_lists(&mut self, is_meant: impl Fn(&Crl) -> bool) -> Result<(), Error> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let _hold = store.hold()?;
        self.sync();
        self.raise_mark(false)?;
        for name in store.blobs()?.iter().filter(|name| name.starts_with(PREFIX)) {
            let goes = match self.read_record(&store, name) {
                Ok(Some((_, Entry { item: Item::Crls(lists), .. }))) => lists.iter().any(|crl| is_meant(crl)),
                Ok(_) => false,
                Err(error) => error.code() == Code::Corrupt,
            };
            if goes {
                store.remove_blob(name)?;
            }
        }
        self.raise_mark(true)
    }

    /// What of a document was found to be signed by somebody who may, as a document of its own.
    pub fn entitled_part(&self, entry: Entry) -> Result<Option<Entry>, Error> {
        let Some(item) = entry.item.entitled_part() else { return Ok(None) };
        if item.count() == entry.item.count() && entry.unread.is_empty() {
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
        Ok(Entry { item, digest, bytes: Some(bytes), len, etag, last_modified, unread: Vec::new() })
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
        let (item, unread) = match held {
            Some(entry) => (entry.item.clone(), Vec::new()),
            None => Item::read(kind, &bytes)?,
        };
        let short = |text: Option<String>| text.filter(|t| t.len() <= MAX_VALIDATOR_BYTES);
        let (etag, last_modified) = (short(etag), short(last_modified));
        Ok(Entry { item, digest, len: bytes.len(), bytes: Some(bytes), etag, last_modified, unread })
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
        let issuers = entry.item.issuers();
        for issuer in issuers.iter().skip(1) {
            let item = entry.item.by_issuer(*issuer);
            let bytes = Some(Arc::new(item.lists_in_pem().into_bytes()));
            let beside = Entry { item, bytes, etag: None, last_modified: None, ..entry.clone() };
            self.put(&format!("{CRL} of {issuer:016x} {key}"), beside)?;
        }
        self.put(key, entry)?;
        for issuer in issuers {
            self.share_name(issuer)?;
        }
        Ok(left_out)
    }

    pub fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        let value = self.provider.digest(DigestAlgorithm::Sha256, parts)?;
        <[u8; 32]>::try_from(&*value).map_err(|_| Error::new(Code::Algorithm, "a SHA-256 digest of another length"))
    }

    fn hold(&mut self, key: &str, entry: Entry) {
        self.entries.remove(key);
        let record = self.record_name(key).unwrap_or_default();
        let (issuers, written_lines) = (entry.item.issuers(), entry.line_count());
        self.entries.insert(key.to_owned(), Held { issuers, record, written_lines, entry });
        loop {
            let total = self.entries.values().map(|held| held.entry.len).fold(0, usize::saturating_add);
            let is_long = total > self.max_bytes;
            if !is_long && self.entries.len() <= self.max_entries.max(1) {
                return;
            }
            let weight = |entry: &Entry| if is_long { entry.len } else { 1 };
            let (keys, guests): (Vec<&String>, Vec<Guest>) =
                self.entries.iter().map(|(key, held)| (key, held.entry.guest(weight(&held.entry)))).unzip();
            let Some(first) = who_gives_way(&guests).map(|index| keys[index].clone()) else { return };
            self.entries.remove(&first);
        }
    }

    /// The beginning of a record's name; behind it, of lists, a hash of their issuer's name.
    fn record_name(&self, key: &str) -> Result<String, Error> {
        Ok(format!("{PREFIX}{}", hex(&self.digest(&[key.as_bytes()])?[..16])))
    }
}

/// Whether nobody is, or has died, over a document.
fn is_whole(mark: u64) -> bool {
    mark % 2 == 0
}

fn stored_mark(store: &Store) -> Result<u64, StoreError> {
    let bytes = store.number(MARK)?.unwrap_or_default();
    Ok(bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}

fn unreadable(name: &str, error: &Error) -> String {
    format!("{name} in device memory cannot be read: {error}")
}
