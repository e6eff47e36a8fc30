//! What of the documents is written to device memory, and what gives way for it.

use std::sync::Arc;

use super::{Cache, Entry, Held, MAX_OF_NAME, PREFIX};
use crate::client::status::document::{Item, guest_of};
use crate::client::status::record;
use crate::client::status::room::{Guest, who_gives_way};
use crate::codes::Code;
use crate::error::Error;
use crate::store::Store;
use crate::validation::Crl;

impl Cache {
    /// All lists in an issuer's name are verified whenever one is asked for: how many there are is bounded over all places, each from
    /// the largest share.
    pub(super) fn share_name(&mut self, issuer: u64) -> Result<(), Error> {
        let (mut places, _) = self.places_of(issuer);
        let mut lists: Vec<(usize, Arc<Crl>)> = Vec::new();
        for (place, (_, entry)) in places.iter().enumerate() {
            let Item::Crls(of_place) = &entry.item else { continue };
            lists.extend(of_place.iter().filter(|crl| crl.issuer_place() == issuer).map(|crl| (place, crl.clone())));
        }
        let mut dropped: Vec<(usize, Arc<Crl>)> = Vec::new();
        while lists.len() > MAX_OF_NAME {
            let guests: Vec<Guest> = lists.iter().map(|(_, crl)| guest_of(crl)).collect();
            let Some(index) = who_gives_way(&guests) else { break };
            dropped.push(lists.remove(index));
        }
        for (place, (key, entry)) in places.iter_mut().enumerate() {
            let Item::Crls(of_place) = &entry.item else { continue };
            let is_dropped = |crl: &&Arc<Crl>| dropped.iter().any(|(p, d)| *p == place && Arc::ptr_eq(d, crl));
            let left: Vec<Arc<Crl>> = of_place.iter().filter(|crl| !is_dropped(crl)).cloned().collect();
            match left.len() {
                all if all == of_place.len() => {}
                0 => self.remove(key)?,
                _ => {
                    let left = self.made_anew(Item::Crls(left))?;
                    self.put(key, left)?;
                }
            }
        }
        Ok(())
    }

    /// Writes down on whose word lists are, where more of that was found since they were written: a list that somebody else had
    /// brought before is not counted to that one alone any more.
    pub fn write_lines(&mut self) {
        let Some(store) = self.store.clone() else { return };
        // What another process has written meanwhile is newer.
        self.sync();
        self.write_left();
        let has_more = |held: &&Held| held.entry.line_count() > held.written_lines;
        let more: Vec<(String, Entry)> = self
            .entries
            .iter_mut()
            .filter(|(_, held)| has_more(&&**held))
            .map(|(key, held)| {
                held.written_lines = held.entry.line_count();
                (key.clone(), held.entry.clone())
            })
            .collect();
        for (key, entry) in more {
            let Some(bytes) =
                Some(&entry.item).filter(|item| !item.issuers().is_empty()).and_then(|i| i.kept_form(None))
            else {
                continue;
            };
            let base = self.record_name(&key).unwrap_or_default();
            if !self.names(&store).is_ok_and(|names| names.iter().any(|name| name.starts_with(&base))) {
                continue;
            }
            let (etag, last_modified) = (entry.etag.as_deref(), entry.last_modified.as_deref());
            let record = record::join(&key, etag, last_modified, &entry.item, &bytes);
            // What cannot be written is found again by the next process.
            let _ = self.write(&store, &key, &entry, &record);
        }
    }

    pub(super) fn put(&mut self, key: &str, mut entry: Entry) -> Result<(), Error> {
        entry.bytes = entry.item.kept_form(entry.bytes.take());
        entry.len = entry.bytes.as_ref().map_or(entry.len, |bytes| bytes.len());
        if entry.len > self.max_bytes || self.max_entries == 0 {
            return Ok(());
        }
        let bytes = entry.bytes.take();
        self.hold(key, entry.clone());
        let unwritten = self.unwritten.clone();
        let written = unwritten.attempt(|| self.write_and_tell(key, &entry, bytes.as_deref().map(Vec::as_slice)));
        if written.is_err() {
            entry.bytes = bytes.filter(|_| self.store.is_some());
        }
        // Raising the mark may have let go of everything for what another process wrote.
        self.hold(key, entry);
        written
    }

    /// Nobody comes between a document and the mark that tells of it.
    fn write_and_tell(&mut self, key: &str, entry: &Entry, bytes: Option<&[u8]>) -> Result<(), Error> {
        let store = self.store.clone();
        let _hold = store.as_ref().map(|store| store.hold()).transpose()?;
        let is_status = !matches!(entry.item, Item::Issuers(_));
        if is_status {
            // What others have written meanwhile is let go of before the mark is ours.
            self.sync();
            self.raise_mark(false)?;
        }
        if let (Some(store), Some(bytes)) = (&store, bytes) {
            let (etag, last_modified) = (entry.etag.as_deref(), entry.last_modified.as_deref());
            let record = record::join(key, etag, last_modified, &entry.item, bytes);
            self.write(store, key, entry, &record)?;
        }
        if is_status { self.raise_mark(true) } else { Ok(()) }
    }

    /// Writes what could not be written when it came, after what others have written meanwhile.
    fn write_left(&mut self) {
        if self.has_left() && self.unwritten.is_due() {
            self.write_all_left();
        }
    }

    /// Whether something could not be written when it came.
    pub fn has_left(&self) -> bool {
        self.store.is_some() && self.entries.values().any(is_left)
    }

    /// Writes it, whenever that was tried last.
    pub fn write_all_left(&mut self) {
        let left: Vec<(String, Entry)> = self
            .entries
            .iter()
            .filter(|(_, held)| is_left(held))
            .map(|(key, held)| (key.clone(), held.entry.clone()))
            .collect();
        for (key, entry) in left {
            self.entries.remove(&key);
            // That it could not be written was told when it came. What another has written and this one is older than stays.
            let _ = self.keep(&key, entry);
        }
    }

    fn write(&mut self, store: &Store, key: &str, entry: &Entry, record: &[u8]) -> Result<(), Error> {
        let base = self.record_name(key)?;
        let name = match entry.item.issuers().first() {
            Some(issuer) => format!("{base}-{issuer:016x}"),
            None => base.clone(),
        };
        let others: Vec<String> = match self.names(store) {
            Ok(names) => names.from(base.as_str()).take_while(|n| n.starts_with(&base)).cloned().collect(),
            Err(_) => Vec::new(),
        };
        self.make_room(store, &name, entry)?;
        self.names = None;
        store.put_blob(&name, record)?;
        // The same place under another issuer: what was there is in the new record, as far as it counts.
        for other in others.iter().filter(|other| **other != name) {
            store.remove_blob(other)?;
        }
        Ok(())
    }

    /// Removes a document.
    fn remove(&mut self, key: &str) -> Result<(), Error> {
        self.entries.remove(key);
        let Some(store) = self.store.clone() else { return Ok(()) };
        let base = self.record_name(key)?;
        for name in self.names(&store)?.clone().iter().filter(|name| name.starts_with(&base)) {
            store.remove_blob(name)?;
        }
        self.names = None;
        Ok(())
    }

    /// Removes records until one more has its place, each from the largest share. What cannot be read may revoke, and stays until its
    /// owner has device memory repaired, or it is replaced.
    fn make_room(&self, store: &Store, name: &str, entry: &Entry) -> Result<(), Error> {
        let names: Vec<String> = store.blobs()?.into_iter().filter(|n| n.starts_with(PREFIX)).collect();
        if names.len() < self.max_entries || names.iter().any(|n| n == name) {
            return Ok(());
        }
        let mut left = names.len();
        // The one that comes is the last.
        let (mut names, mut guests): (Vec<String>, Vec<Guest>) =
            names.into_iter().filter_map(|name| self.guest_in(store, &name).map(|guest| (name, guest))).unzip();
        guests.push(entry.guest(1));
        while left >= self.max_entries {
            match who_gives_way(&guests) {
                Some(index) if index < names.len() => {
                    store.remove_blob(&names.remove(index))?;
                    guests.remove(index);
                    left -= 1;
                }
                _ => {
                    let text =
                        "no room for another document: others speak against somebody, and each signer has its share";
                    return Err(Error::new(Code::Limit, text));
                }
            }
        }
        Ok(())
    }

    /// A record as it takes room; as it is held, more may be known of who signed it.
    fn guest_in(&self, store: &Store, name: &str) -> Option<Guest> {
        let is_it = |held: &&Held| !held.record.is_empty() && name.starts_with(&held.record);
        match self.entries.values().find(is_it) {
            Some(held) => Some(held.entry.guest(1)),
            None => self.read_record(store, name).ok()?.map(|(_, entry)| entry.guest(1)),
        }
    }
}

/// Whether it could not be written when it came.
fn is_left(held: &Held) -> bool {
    held.entry.bytes.is_some()
}

pub(super) fn unlisted(error: &Error) -> String {
    format!("what device memory keeps cannot be listed: {error}")
}
