//! How one document is had: from what is kept, or by its URL.

use std::sync::Arc;

use super::{Hand, Origin, Pending, Want};
use crate::asn1::pem;
use crate::asn1::x509::Certificate;
use crate::client::status::cache::{Entry, Kept};
use crate::client::status::document::{CRL, ISSUER, Item, OCSP};
use crate::client::status::memory::{document_key, issuer_of, list_key, ocsp_key};
use crate::client::status::requests::Requests;
use crate::client::status::{FetchOutcome, OcspNonce, StatusFetcher, Wanted};
use crate::codes::Code;
use crate::error::Error;
use crate::transport::{FetchRequest, Fetched};
use crate::validation::{Checks, OcspRequest, OcspResponse};

impl StatusFetcher {
    /// Gets one document to hand; `false` if there is none, or only one that is out of date.
    pub(in crate::client::status) fn obtain(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        checks: &Checks,
        want: &Want<'_>,
    ) -> bool {
        let Want { wanted, url, index, .. } = *want;
        let failed = FetchOutcome::Failed;
        let key = match self.key(wanted, url, want.certificate) {
            Ok(key) => key,
            Err(error) => {
                requests.note(wanted, url, index, failed(error));
                return false;
            }
        };
        match hand.taken.get(&key) {
            Some(Origin::Kept) if want.anew => {}
            Some(origin) => return *origin != Origin::Nowhere,
            None if want.anew => return false,
            None => {}
        }
        let (kept, unread) = match self.memory.cache().look(&key) {
            Kept::Document(entry) => (Some(entry), None),
            Kept::Nothing => (None, None),
            Kept::Unreadable(why) => (None, Some(why)),
        };
        if let Some(entry) = kept.as_ref().filter(|entry| !want.anew && entry.is_current(checks)) {
            hand.add(&entry.item);
            hand.taken.insert(key, Origin::Kept);
            requests.note(wanted, url, index, FetchOutcome::Kept);
            return true;
        }
        let (origin, outcome) =
            match self.ask(requests, want, kept.as_ref().filter(|kept| !want.anew && !kept.is_over(checks)), checks) {
                Ok(Some(entry)) => {
                    hand.add(&entry.item);
                    hand.status.note_unread(&entry.unread);
                    hand.pending.push(Pending { key: key.clone(), wanted, url: url.to_owned(), index, entry });
                    (Origin::Network, FetchOutcome::Fetched)
                }
                Ok(None) => {
                    hand.add_kept(kept.as_ref());
                    (Origin::Network, FetchOutcome::NotModified)
                }
                Err(error) => {
                    hand.add_kept(kept.as_ref());
                    // Nothing has come in its place.
                    hand.status.unread = hand.status.unread.take().or(unread);
                    (Origin::Nowhere, failed(error))
                }
            };
        hand.taken.insert(key, origin);
        requests.note(wanted, url, index, outcome);
        origin == Origin::Network
    }

    /// Asks for a document; `None`: the copy at hand is the current one.
    fn ask(
        &self,
        requests: &mut Requests<'_>,
        want: &Want<'_>,
        kept: Option<&Entry>,
        checks: &Checks,
    ) -> Result<Option<Entry>, Error> {
        let Want { wanted, url, request: ocsp, .. } = *want;
        let get_url = ocsp.filter(|_| requests.options().ocsp_by_get).and_then(|request| request.get_url(url));
        let request = match (ocsp, &get_url) {
            (Some(_), Some(get_url)) => {
                FetchRequest { accept: Some(OcspRequest::RESPONSE_CONTENT_TYPE), ..FetchRequest::get(get_url) }
            }
            (Some(ocsp), None) => FetchRequest::ocsp(url, ocsp.as_der()),
            (None, _) => FetchRequest {
                if_none_match: kept.and_then(|entry| entry.etag.as_deref()),
                // By a date that lies ahead nothing is ever modified; without a clock that cannot be told.
                if_modified_since: kept
                    .filter(|_| checks.at.known().is_some())
                    .and_then(|entry| entry.last_modified.as_deref()),
                ..FetchRequest::get(url)
            },
        };
        let is_conditional = request.if_none_match.is_some() || request.if_modified_since.is_some();
        let document = match requests.perform(wanted, url, &request)? {
            Fetched::Document(document) => document,
            Fetched::NotModified if is_conditional => return Ok(None),
            Fetched::NotModified => {
                let text = "the server says that a copy is current, and none was announced";
                return Err(Error::new(Code::Transport, text));
            }
        };
        let answer = ocsp.map(|request| self.check_answer(request, &document.bytes)).transpose()?;
        let mut entry =
            self.memory.cache().read(kind(wanted), document.bytes, document.etag, document.last_modified)?;
        if let Some(answer) = answer.filter(OcspResponse::is_doubted) {
            entry.item = Item::Ocsp(Arc::new(answer));
        }
        if let Item::Issuers(certificates) = &entry.item {
            crate::client::status::issuers::check_issuers(want.certificate, certificates)?;
        }
        Ok(Some(entry))
    }

    /// The answer to our request: one at all, and with our nonce, or one that speaks against somebody.
    fn check_answer(&self, request: &OcspRequest, document: &[u8]) -> Result<OcspResponse, Error> {
        let der = &pem::without_armour(document);
        let taken_without_nonce = self.options.nonce == OcspNonce::Tolerated;
        let has_none = |response: &OcspResponse| response.basic().is_some_and(|basic| basic.nonce.is_none());
        let response = match request.read_response(der) {
            Ok(response) if !(taken_without_nonce && has_none(&response)) => response,
            Err(error) if !(taken_without_nonce && error.code() == Code::Nonce) => return Err(error),
            answer => match (OcspResponse::from_der(der)?, answer) {
                (response, _) if has_none(&response) => response,
                (_, Err(error)) => return Err(error),
                (response, Ok(_)) => response,
            },
        };
        match response.basic() {
            Some(_) => Ok(response),
            None => Err(Error::new(Code::Transport, format!("the responder answered {}", response.status()))),
        }
    }

    /// Keeps what somebody entitled has signed and served a certificate whose status is known now: a forged document must
    /// not stay.
    pub(super) fn keep_good(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        chain: Option<&[Certificate]>,
        unknown: &[usize],
    ) {
        for Pending { key, wanted, url, index, entry } in hand.pending.drain(..) {
            let mut cache = self.memory.cache();
            let good = match &entry.item {
                // What else is in a document is put there by whoever carries it.
                Item::Issuers(_) => cache.part_on_path(entry, chain.unwrap_or_default()),
                // It is asked for again: what could not be read may revoke.
                _ if !entry.unread.is_empty() => Ok(None),
                // It would stay without the doubt.
                Item::Ocsp(response) if response.is_doubted() => Ok(None),
                _ if index.is_some_and(|index| unknown.contains(&index)) => Ok(None),
                _ => cache.entitled_part(entry),
            };
            let kept = good.and_then(|good| good.map_or(Ok(None), |entry| cache.keep(&key, entry)));
            if let Some(error) = kept.unwrap_or_else(Some) {
                drop(cache);
                requests.note(wanted, &url, index, FetchOutcome::NotStored(error));
            }
        }
    }

    pub(super) fn key(&self, wanted: Wanted, url: &str, certificate: &Certificate) -> Result<String, Error> {
        match wanted {
            Wanted::Ocsp => ocsp_key(&*self.provider, certificate, url),
            Wanted::Crl | Wanted::DeltaCrl => Ok(list_key(url, &issuer_of(&*self.provider, certificate))),
            Wanted::Issuer => Ok(document_key(ISSUER, url)),
        }
    }
}

const fn kind(wanted: Wanted) -> char {
    match wanted {
        Wanted::Crl | Wanted::DeltaCrl => CRL,
        Wanted::Ocsp => OCSP,
        Wanted::Issuer => ISSUER,
    }
}
