//! Status data that is kept, for everyone who asks about it: fetchers, validators without a network, and the peers whose
//! keys must close when newer data revokes them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::{Cache, Kept};
use super::document::{CRL, Item, OCSP};
use super::facts::StoredRevokedFacts;
use super::gather::deltas_of;
use super::numbers::StoredCrlNumbers;
use crate::asn1::distribution_point::{cdp_url_groups, distribution_points, freshest_crl_url_groups, ocsp_urls};
use crate::asn1::general_name::GeneralName;
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, hex};
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::store::Store;
use crate::validation::names::{canonical, hash_cost, place_hash};
use crate::validation::peer::StatusWatch;
use crate::validation::status_sources::UNTOLD;
use crate::validation::{
    Crl, CrlNumbers, Finding, PeerKey, PeerRequest, Report, RevokedFacts, StatusSources, same_name,
};

/// Documents kept where nothing else was said.
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;
/// Most work on names in one look at what is kept, in comparisons as in a validation: whose certificates they are is the peer's choice.
const MAX_NAME_COST: usize = 250_000;

/// CRLs and OCSP responses that were verified, the highest CRL numbers seen, and who is revoked for good; in device memory too, if there is one.
///
/// Shared by `Arc`: what one fetcher keeps, every validator and every open peer with the same memory sees at once, also over
/// several processes with the same device memory.
pub struct StatusMemory {
    provider: Arc<dyn Provider>,
    numbers: Arc<StoredCrlNumbers>,
    facts: Arc<StoredRevokedFacts>,
    cache: Mutex<Cache>,
}

impl StatusMemory {
    /// With device memory, or without: then all lasts as long as this does.
    pub fn new(provider: Arc<dyn Provider>, store: Option<Arc<Store>>) -> Self {
        StatusMemory {
            numbers: Arc::new(StoredCrlNumbers::new(store.clone())),
            facts: Arc::new(StoredRevokedFacts::new(store.clone())),
            cache: Mutex::new(Cache::new(provider.clone(), store, MAX_KEPT, MAX_KEPT_BYTES)),
            provider,
        }
    }

    /// Of a device memory: the same one for all who ask with this handle of it.
    pub(crate) fn of_store(store: &Store) -> Arc<Self> {
        store.companion(|| StatusMemory::new(store.provider().clone(), Some(Arc::new(store.clone()))))
    }

    /// The highest CRL numbers seen.
    pub fn crl_numbers(&self) -> Arc<dyn CrlNumbers> {
        self.numbers.clone()
    }

    /// Who is revoked for good.
    pub fn revoked_facts(&self) -> Arc<dyn RevokedFacts> {
        self.facts.clone()
    }

    /// Has status data asked and written with this memory: who was revoked before, and which lists are older than those seen.
    pub fn join(&self, status: &mut StatusSources) {
        // Beside what others remember.
        status.join_memories(&StatusSources {
            crl_numbers: vec![self.numbers.clone()],
            revoked: vec![self.facts.clone()],
            ..StatusSources::none()
        });
    }

    /// The same with the documents that are kept: a fetcher with a memory of its own asks them, and peers that are opened with this
    /// status data watch them.
    pub fn attach(self: &Arc<Self>, status: &mut StatusSources) {
        self.join(status);
        status.join_memories(&StatusSources { kept: vec![self.clone()], ..StatusSources::none() });
    }

    /// What went wrong with the numbers and the record of revoked certificates in device memory since the last call.
    pub fn take_troubles(&self) -> Vec<Error> {
        let told =
            |what: &'static str| move |error: Error| Error::new(error.code(), format!("{what}: {}", error.message()));
        let numbers = self.numbers.take_troubles().into_iter().map(told("CRL numbers"));
        numbers.chain(self.facts.take_troubles().into_iter().map(told("record of revoked certificates"))).collect()
    }

    /// Adds what is kept about these certificates, by the URLs in them and by their issuers, to other status data. All of
    /// them are asked about: how many there are is the peer's choice, and what is kept must not hide behind it.
    pub fn recall<'c>(&self, certificates: impl IntoIterator<Item = &'c Certificate>, status: &mut StatusSources) {
        let mut cache = self.cache();
        cache.sync();
        let mut asked: HashSet<Vec<u8>> = HashSet::new();
        let mut issuers: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
        let mut names = NameBudget(MAX_NAME_COST);
        for certificate in certificates {
            if !asked.insert(certificate.as_der().to_vec()) {
                continue;
            }
            if !names.add_crl_issuers(certificate, &mut issuers) {
                // What is kept about those that were not looked at may revoke.
                status.cut_short.get_or_insert_with(|| "work on the names of issuers".to_owned());
                break;
            }
            for key in keys_about(&*self.provider, certificate) {
                let item = match cache.look(&key) {
                    Kept::Document(entry) => entry.item,
                    Kept::Nothing => continue,
                    Kept::Unreadable(why) => {
                        status.unread.get_or_insert(why);
                        continue;
                    }
                };
                let deltas = deltas_of(&item).concat();
                let issuer = if deltas.is_empty() { String::new() } else { issuer_of(&*self.provider, certificate) };
                for url in deltas {
                    add_kept(status, cache.look(&list_key(&url, &issuer)));
                }
                add(status, item);
            }
        }
        // Any list of the issuer whose scope fits speaks about a certificate (RFC 5280 section 6.3.3), whatever URL it came from and
        // whatever form the name has.
        for (place, names) in issuers {
            let kept = cache.find_by_issuer(place);
            // The place only tells where to look: names may have been made for it.
            let is_one = |crl: &Crl| names.iter().any(|name| same_name(name, crl.issuer()));
            kept.items.into_iter().for_each(|item| add(status, item.of_issuers(is_one)));
            status.unread = status.unread.take().or(kept.unread);
        }
        self.join(status);
    }

    /// Adds the lists that came by another way than a URL, for certificates that name none.
    pub(super) fn recall_by_issuer<'c>(
        &self,
        certificates: impl IntoIterator<Item = &'c Certificate>,
        status: &mut StatusSources,
    ) {
        let mut cache = self.cache();
        let keys: HashSet<String> =
            certificates.into_iter().map(|c| issuer_key(&issuer_of(&*self.provider, c))).collect();
        for key in keys {
            add_kept(status, cache.look(&key));
        }
    }

    /// Opens the gate to a peer's key with what is kept besides the request's own status data; asks nobody. The peer is
    /// refused at once when newer data that is kept revokes it.
    pub fn open_peer(
        self: &Arc<Self>,
        provider: &Arc<dyn Provider>,
        request: PeerRequest<'_>,
    ) -> Result<(Report, Option<PeerKey>), Error> {
        let mark = self.mark();
        let mut status = request.status.clone();
        self.attach(&mut status);
        self.recall(std::iter::once(request.certificate).chain(request.pool), &mut status);
        let (report, key) = PeerKey::open(provider, PeerRequest { status: &status, ..request })?;
        self.write_lines();
        let troubles = self.take_troubles().into_iter().map(|error| Finding {
            code: error.code(),
            certificate_index: None,
            text: error.message().to_owned(),
            fatal: false,
            rule: None,
        });
        Ok((report.with_notes(troubles), key.map(|key| key.watching(self.clone(), mark))))
    }

    /// Writes down on whose word kept lists are, as far as a validation has found more of that. What cannot be written is found again.
    pub(super) fn write_lines(&self) {
        self.cache().write_lines();
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could not be written is written by the last who knows it, at the end, where device memory outlives this process. A home of the
/// program's own is not called then: its own end may have come.
impl Drop for StatusMemory {
    fn drop(&mut self) {
        let cache = self.cache.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = self.facts.left_alone().cloned() else { return };
        if !self.facts.has_left() && !cache.has_left() {
            return;
        }
        // One wait for all of it.
        let Ok(_hold) = store.hold() else { return };
        self.facts.write_all_left();
        self.numbers.write_all_left();
        if cache.has_left() {
            cache.write_all_left();
        }
    }
}

impl StatusWatch for StatusMemory {
    fn mark(&self) -> u64 {
        let mut cache = self.cache();
        let mark = cache.sync();
        cache.unsynced().map_or(mark, |_| UNTOLD)
    }

    fn recall(&self, certificates: &[Certificate], status: &mut StatusSources) {
        StatusMemory::recall(self, certificates, status);
    }
}

impl std::fmt::Debug for StatusMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusMemory").finish_non_exhaustive()
    }
}

/// What is kept in a place; what cannot be read may revoke.
fn add_kept(status: &mut StatusSources, kept: Kept) {
    match kept {
        Kept::Document(entry) => add(status, entry.item),
        Kept::Nothing => {}
        Kept::Unreadable(why) => drop(status.unread.get_or_insert(why)),
    }
}

fn add(status: &mut StatusSources, item: Item) {
    match item {
        Item::Crls(lists) => {
            for list in lists {
                if !status.crls.iter().any(|known| Arc::ptr_eq(known, &list)) {
                    status.crls.push(list);
                }
            }
        }
        Item::Ocsp(response) if !status.ocsp.iter().any(|known| Arc::ptr_eq(known, &response)) => {
            status.ocsp.push(response);
        }
        Item::Ocsp(_) | Item::Issuers(_) => {}
    }
}

/// The keys under which documents about a certificate are kept.
fn keys_about(provider: &dyn Provider, certificate: &Certificate) -> Vec<String> {
    let lists = [cdp_url_groups(certificate), freshest_crl_url_groups(certificate)].concat().concat();
    let issuer = issuer_of(provider, certificate);
    let lists = lists.into_iter().map(|url| list_key(&url, &issuer));
    let responders = ocsp_urls(certificate).into_iter().filter_map(|url| ocsp_key(provider, certificate, &url).ok());
    std::iter::once(issuer_key(&issuer)).chain(lists).chain(responders).collect()
}

/// The issuer of a certificate, by its name as names are compared (RFC 5280 section 7.1), whatever string types it has: no other name has
/// the same place, whoever has chosen it.
pub(super) fn issuer_of(provider: &dyn Provider, certificate: &Certificate) -> String {
    match provider.digest(DigestAlgorithm::Sha256, &[&canonical(certificate.issuer())]) {
        Ok(digest) => hex(&digest),
        Err(_) => format!("{:016x}", certificate.issuer_place(place_hash)),
    }
}

/// CRLs are told apart by URL, and by the issuer of the certificates that name it: whoever certifies somebody else's URL has a place of
/// its own there.
pub(super) fn list_key(url: &str, issuer: &str) -> String {
    document_key(CRL, &format!("{url} for {issuer}"))
}

/// Issuers are told apart by URL.
pub(super) fn document_key(kind: char, url: &str) -> String {
    format!("{kind} {url}")
}

/// A list that came by another way, about certificates that name no URL.
pub(super) fn issuer_key(issuer: &str) -> String {
    format!("{CRL} issuer {issuer}")
}

/// What is left of the work on names.
struct NameBudget(usize);

impl NameBudget {
    /// Adds who may sign lists about a certificate, by hashes of the names: its issuer, and whom its distribution points name. `false` if
    /// the budget ends before.
    fn add_crl_issuers(&mut self, certificate: &Certificate, issuers: &mut HashMap<u64, Vec<Vec<u8>>>) -> bool {
        if !self.spend(certificate.issuer()) {
            return false;
        }
        let mut insert = |place, name: &[u8]| {
            let names = issuers.entry(place).or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_vec());
            }
        };
        insert(certificate.issuer_place(place_hash), certificate.issuer());
        for oid in [oid::CE_CRL_DISTRIBUTION_POINTS, oid::CE_FRESHEST_CRL] {
            let Some(extension) = certificate.extension(oid) else { continue };
            // What cannot be read names nobody; the validation says so.
            for point in distribution_points(extension.value).unwrap_or_default() {
                for name in &point.crl_issuer {
                    let GeneralName::Directory(name) = name else { continue };
                    if !self.spend(name) {
                        return false;
                    }
                    insert(place_hash(name), name);
                }
            }
        }
        true
    }

    fn spend(&mut self, name: &[u8]) -> bool {
        let left = self.0.checked_sub(hash_cost(name));
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// OCSP responses are told apart by certificate too: by what its issuer has signed. The signature itself may have another
/// form, which anybody can give it (the other of two equal ECDSA signatures).
pub(super) fn ocsp_key(provider: &dyn Provider, certificate: &Certificate, url: &str) -> Result<String, Error> {
    let digest = provider.digest(DigestAlgorithm::Sha256, &[certificate.tbs()])?;
    Ok(format!("{OCSP} {} {url}", hex(&digest)))
}
