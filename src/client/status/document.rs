//! What a kept document is: lists, a response, or certificates of issuers; read, joined, and cut to what somebody entitled has signed.

use std::cmp::Reverse;
use std::sync::Arc;

use super::certificate_store::certificates_in;
use super::room::{Guest, who_gives_way};
use crate::asn1::Asn1Error;
use crate::asn1::pem::{self, Held};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, KeyIdentity, Provider};
use crate::error::Error;
use crate::time::Time;
use crate::validation::revoked::KeyDigest;
use crate::validation::{Crl, Line, OcspResponse};

/// Most CRLs taken from one PEM document, and most of one signer's that stay in one place.
const MAX_ITEMS: usize = 16;
/// Most CRLs that stay in one place.
const MAX_PLACE_ITEMS: usize = 4 * MAX_ITEMS;
/// Most certificates of issuers that stay in one place: a CA has some, and of those some keys, each certified by some others.
const MAX_ISSUERS: usize = 16;
/// Label of an OCSP response in a record that holds more than that.
const OCSP_LABEL: &str = "OCSP RESPONSE";

/// Kinds of documents, the first letters of their keys.
pub(super) const CRL: char = 'c';
pub(super) const OCSP: char = 'o';
pub(super) const ISSUER: char = 'i';

/// What a document holds.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Crls(Vec<Arc<Crl>>),
    Ocsp(Arc<OcspResponse>),
    Issuers(Vec<Certificate>),
}

/// A document, and what in it begins as one and cannot be read.
pub(super) type Read = (Item, Vec<Asn1Error>);

impl Item {
    pub fn read(kind: char, bytes: &Arc<Vec<u8>>) -> Result<Read, Error> {
        Self::read_up_to(MAX_ITEMS, kind, bytes)
    }

    fn read_up_to(max_items: usize, kind: char, bytes: &Arc<Vec<u8>>) -> Result<Read, Error> {
        match kind {
            CRL => {
                let Held { all: lists, unread } = Crl::held_in(bytes.clone())?;
                if lists.len() > max_items {
                    let text = format!("{} CRLs in one document, the limit is {max_items}", lists.len());
                    return Err(Error::new(Code::Limit, text));
                }
                Ok((Item::Crls(lists.into_iter().map(Arc::new).collect()), unread))
            }
            OCSP => Ok((Item::Ocsp(Arc::new(OcspResponse::from_document(bytes)?)), Vec::new())),
            // RFC 5280 section 4.2.2.1: a certificate or a "certs-only" CMS message; the content type may be wrong.
            _ => Ok((Item::Issuers(certificates_in(bytes)?), Vec::new())),
        }
    }

    /// What of it was found to be signed by somebody who may; `None`: nothing. Each list stands for itself: what else is in a document is
    /// put there by whoever carries it.
    pub fn entitled_part(&self) -> Option<Item> {
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
    pub fn document(&self) -> Vec<u8> {
        match self {
            Item::Issuers(certificates) => {
                certificates.iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect::<String>()
            }
            _ => self.lists_in_pem(),
        }
        .into_bytes()
    }

    /// How many documents it is.
    pub fn count(&self) -> usize {
        match self {
            Item::Crls(lists) => lists.len(),
            Item::Ocsp(_) => 1,
            Item::Issuers(certificates) => certificates.len(),
        }
    }

    /// Whose lists it holds, by a hash of the names as they are compared (RFC 5280 section 7.1).
    pub fn issuers(&self) -> Vec<u64> {
        let Item::Crls(lists) = self else { return Vec::new() };
        let mut issuers: Vec<u64> = lists.iter().map(|crl| crl.issuer_place()).collect();
        crate::order::sort(&mut issuers);
        issuers.dedup();
        issuers
    }

    /// Its lists as one document.
    pub fn lists_in_pem(&self) -> String {
        let Item::Crls(lists) = self else { return String::new() };
        lists.iter().filter_map(|crl| crl.der()).map(|der| pem::encode("X509 CRL", der).to_string()).collect()
    }

    /// Its lists by this issuer.
    pub fn by_issuer(&self, issuer: u64) -> Self {
        let Item::Crls(lists) = self else { return self.clone() };
        Item::Crls(lists.iter().filter(|crl| crl.issuer_place() == issuer).cloned().collect())
    }

    /// Its lists by those issuers.
    pub fn of_issuers(self, is_one: impl Fn(&Crl) -> bool) -> Self {
        match self {
            Item::Crls(lists) => Item::Crls(lists.into_iter().filter(|crl| is_one(crl)).collect()),
            other => other,
        }
    }

    /// Whether it says of anyone that it is revoked.
    pub fn revokes(&self) -> bool {
        match self {
            Item::Crls(lists) => lists.iter().any(|crl| revokes(crl)),
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

    /// On whose word it is, list by list, as far as that was found.
    pub fn lines(&self) -> Vec<Vec<Line>> {
        match self {
            Item::Crls(lists) => lists.iter().map(|crl| crl.lines()).collect(),
            Item::Ocsp(response) => vec![response.lines()],
            Item::Issuers(_) => Vec::new(),
        }
    }

    /// The same as it was kept beside it. Where it is not of the same lists, it is of none.
    fn bring_lines(&self, lines: Vec<Vec<Line>>) {
        match self {
            Item::Crls(lists) if lists.len() == lines.len() => {
                lists.iter().zip(lines).for_each(|(crl, lines)| crl.bring_lines(lines));
            }
            Item::Ocsp(response) => lines.into_iter().take(1).for_each(|lines| response.bring_lines(lines)),
            _ => {}
        }
    }

    /// The same with certificates that were kept beside it: to each list first those of its own line, as it takes few.
    fn bring(&self, signers: &[Certificate], provider: &dyn Provider) {
        match self {
            Item::Crls(lists) => {
                let digests: Vec<Option<KeyDigest>> = signers.iter().map(|c| digest_of_key(c, provider)).collect();
                for crl in lists {
                    let lines = crl.lines().concat();
                    let of_line = |digest: &Option<KeyDigest>| digest.is_some_and(|digest| lines.contains(&digest));
                    let (own, others): (Vec<_>, Vec<_>) =
                        signers.iter().zip(&digests).partition(|(_, digest)| of_line(digest));
                    let all: Vec<Certificate> = own.into_iter().chain(others).map(|(c, _)| c.clone()).collect();
                    crl.bring_signers(&all);
                }
            }
            Item::Ocsp(response) => response.bring_signers(signers),
            Item::Issuers(_) => {}
        }
    }

    /// As it is kept: as it came, or, with its signers or beside other lists, as PEM.
    pub fn kept_form(&self, came: Option<Arc<Vec<u8>>>) -> Option<Arc<Vec<u8>>> {
        let signers = self.signers();
        let parts: Vec<(&str, &[u8])> = match self {
            Item::Crls(lists) if lists.len() > 1 || !signers.is_empty() || came.is_none() => {
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

    /// Reads what [`Self::kept_form`] has made, with the lines of those who signed.
    pub fn read_kept(
        kind: char,
        body: &Arc<Vec<u8>>,
        lines: Vec<Vec<Line>>,
        provider: &dyn Provider,
    ) -> Result<Self, Error> {
        let is_as_it_came = kind == ISSUER || !pem::is_pem(body);
        let (item, unread) = match kind {
            _ if is_as_it_came => Self::read(kind, body)?,
            OCSP => {
                let block = pem::parse(body)?.into_iter().find(|block| block.label == OCSP_LABEL);
                let block = block.ok_or_else(|| Error::new(Code::Corrupt, "no OCSP response"))?;
                (Item::Ocsp(Arc::new(OcspResponse::from_der(&block.decode()?)?)), Vec::new())
            }
            // Those of others stand beside what came as one document.
            _ => Self::read_up_to(MAX_PLACE_ITEMS, kind, body)?,
        };
        // Nothing is written down that cannot be read.
        if let Some(error) = unread.into_iter().next() {
            return Err(Error::from(error));
        }
        item.bring_lines(lines);
        if !is_as_it_came {
            item.bring(&Certificate::many_from_bytes(body).unwrap_or_default(), provider);
        }
        Ok(item)
    }

    /// What is kept of this and of what was kept in its place before: nothing that was said against anyone is lost to a
    /// document that says less. Lists of other series stay beside the new ones; an older word replaces no newer one.
    ///
    /// Each list of a document stands for itself: whoever carries it puts an older one beside a newer one. With it, what was left
    /// out, if anything was.
    pub fn after(
        &self,
        kept: &Item,
        provider: &dyn Provider,
        max_bytes: usize,
    ) -> Result<(Item, Option<Error>), Error> {
        match (self, kept) {
            (Item::Crls(new), Item::Crls(kept)) => {
                let (lists, left_out) = lists_after(new, kept, provider, max_bytes)?;
                Ok((Item::Crls(lists), left_out))
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
    pub fn times(&self) -> (Time, Option<Time>) {
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

/// As in a [`Line`].
pub(super) fn digest_of_key(certificate: &Certificate, provider: &dyn Provider) -> Option<KeyDigest> {
    let digest = provider.digest(DigestAlgorithm::Sha256, &[&KeyIdentity::of(certificate).as_spki()]).ok()?;
    digest.first_chunk().copied()
}

fn rollback(what: &str) -> Error {
    Error::new(Code::CrlRollback, format!("a newer {what} is kept already"))
}

fn revokes(crl: &Crl) -> bool {
    crl.entry_count().is_none_or(|count| count > 0)
}

/// What stays of new lists and those that were kept in their place, and what of the new ones was left out, if anything was.
fn lists_after(
    new: &[Arc<Crl>],
    kept: &[Arc<Crl>],
    provider: &dyn Provider,
    max_bytes: usize,
) -> Result<(Vec<Arc<Crl>>, Option<Error>), Error> {
    for (new, kept) in new.iter().flat_map(|new| kept.iter().map(move |kept| (new, kept))) {
        kept.try_signers_of(new, provider);
        if new.der().is_some() && new.der() == kept.der() {
            new.bring_lines(kept.lines());
        }
    }
    let is_older = |new: &&Arc<Crl>| kept.iter().any(|kept| new.is_older_than(kept));
    let (older, new): (Vec<_>, Vec<_>) = new.iter().partition(is_older);
    let left_out = (!older.is_empty()).then(|| rollback("CRL of the same issuer and scope"));
    if let (true, Some(error)) = (new.is_empty(), &left_out) {
        return Err(error.clone());
    }
    let is_left = |old: &&Arc<Crl>| !new.iter().any(|new| new.takes_the_place_of(old));
    let is_own = |old: &Arc<Crl>| new.iter().any(|new| new.is_of_signer_of(old));
    let (mut own, others): (Vec<_>, Vec<_>) = kept.iter().filter(is_left).cloned().partition(is_own);
    // What takes a place needs none. Of the others those that revoke nobody make room, the oldest first; a word against
    // somebody gives way to none of another series.
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
    let mut dropped = own.split_off(own.len().min(MAX_ITEMS));
    own.extend(others);
    dropped.extend(make_room(&mut own, max_bytes / 2));
    let text = "no room for another CRL in this place: those that revoke somebody stay, and each signer has its share";
    let full = dropped.iter().any(|crl| is_new(crl) || revokes(crl)).then(|| Error::new(Code::Limit, text));
    if let (false, Some(error)) = (own.iter().any(is_new), &full) {
        return Err(error.clone());
    }
    Ok((own, full.or(left_out)))
}

/// Takes out what there is no room for in one place, in lists or in bytes, each from the largest share.
fn make_room(lists: &mut Vec<Arc<Crl>>, max_bytes: usize) -> Vec<Arc<Crl>> {
    let len = |crl: &Arc<Crl>| crl.der().map_or(0, <[u8]>::len);
    let mut dropped = Vec::new();
    loop {
        let is_long = lists.iter().map(len).sum::<usize>() > max_bytes;
        if !is_long && lists.len() <= MAX_PLACE_ITEMS {
            return dropped;
        }
        let guest = |crl: &Arc<Crl>| Guest { weight: if is_long { len(crl) } else { 1 }, ..guest_of(crl) };
        let guests: Vec<Guest> = lists.iter().map(guest).collect();
        let Some(index) = who_gives_way(&guests) else { return dropped };
        dropped.push(lists.remove(index));
    }
}

/// A list as it takes the room of one.
pub(super) fn guest_of(crl: &Arc<Crl>) -> Guest {
    Guest { lines: crl.lines(), revokes: revokes(crl), until: crl.this_update(), weight: 1 }
}
