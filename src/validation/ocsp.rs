//! OCSP: asking (RFC 6960 section 4.1, RFC 9654, RFC 5019) and what an answer is worth (RFC 6960 section 3.2).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64, Encoding};

use super::freshness::{Freshness, Window};
use super::knowledge::Source;
use super::names::{name_hash, same_name};
use super::signed::{Entitled, SignatureMemory};
use super::status::{Status, StatusSearch};
use crate::asn1::Asn1Error;
use crate::asn1::crl::shortest_integer;
use crate::asn1::der::Cursor;
use crate::asn1::ocsp::{
    BasicResponse, CertId, CertStatus, OcspResponseStatus, ResponderId, ResponseMessage, SingleResponse, encode_request,
};
use crate::asn1::x509::{Certificate, bit_string};
use crate::codes::Code;
use crate::crypto::{CryptoError, DigestAlgorithm, Provider, SignatureAlgorithm};
use crate::error::Error;
use crate::time::Time;

/// Octets of the nonce in requests (RFC 9654 section 2.1).
const NONCE_LEN: usize = 32;
/// Longest URL of the GET form, request included (RFC 5019 section 5); above it, POST is used.
const MAX_GET_URL_LEN: usize = 255;

/// A request about one certificate.
#[derive(Clone, Debug)]
pub struct OcspRequest {
    der: Vec<u8>,
    nonce: Option<[u8; NONCE_LEN]>,
}

impl OcspRequest {
    /// Media type of the request in a POST (RFC 6960 appendix A.1).
    pub const CONTENT_TYPE: &'static str = "application/ocsp-request";
    /// Media type of the answer.
    pub const RESPONSE_CONTENT_TYPE: &'static str = "application/ocsp-response";

    /// A request with a fresh nonce, which the response must then carry.
    pub fn with_nonce(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
    ) -> Result<Self, Error> {
        let mut nonce = [0; NONCE_LEN];
        provider.random(&mut nonce)?;
        Self::build(provider, certificate, issuer, digest, Some(nonce))
    }

    /// A request without one: for responders of pre-signed answers (RFC 5019 section 4), which a cache can serve too.
    /// Only the answer's own times then tell that it is of today.
    pub fn without_nonce(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
    ) -> Result<Self, Error> {
        Self::build(provider, certificate, issuer, digest, None)
    }

    fn build(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
        nonce: Option<[u8; NONCE_LEN]>,
    ) -> Result<Self, Error> {
        let cert_id = CertId {
            digest: Some(digest),
            issuer_name_hash: provider.digest(digest, &[certificate.issuer()])?.to_vec().into(),
            issuer_key_hash: provider.digest(digest, &[key_bits(issuer)?])?.to_vec().into(),
            serial: shortest_integer(certificate.serial()).into(),
        };
        let der = encode_request(&[cert_id], nonce.as_ref().map(|n| &n[..])).expect("the digest is one of ours");
        Ok(OcspRequest { der, nonce })
    }

    /// The request, DER: body of a POST.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The URL of the GET form at a responder (RFC 6960 appendix A.1); `None` if it would be too long for caches.
    pub fn get_url(&self, responder_url: &str) -> Option<String> {
        let mut url = responder_url.trim_end_matches('/').to_owned();
        url.push('/');
        for character in Base64::encode_string(&self.der).chars() {
            match character {
                '+' => url.push_str("%2B"),
                '/' => url.push_str("%2F"),
                '=' => url.push_str("%3D"),
                other => url.push(other),
            }
        }
        (url.len() <= MAX_GET_URL_LEN).then_some(url)
    }

    /// Reads the answer to this request. A nonce that was sent must have come back, or the answer may be an old one, that says
    /// good of what has been revoked since: it clears nobody. What such an answer says against anybody counts all the same.
    pub fn read_response(&self, der: &[u8]) -> Result<OcspResponse, Error> {
        let mut response = OcspResponse::from_der(der)?;
        let came = response.message.basic.as_ref().map(|basic| basic.nonce.as_deref());
        let doubt = match (&self.nonce, came) {
            (None, _) | (_, None) => return Ok(response),
            (Some(sent), Some(Some(nonce))) if nonce == sent => return Ok(response),
            (Some(_), Some(Some(_))) => {
                "the OCSP response carries another nonce than the one sent: it may be an old one"
            }
            (Some(_), Some(None)) => {
                "the OCSP response carries no nonce (those that are made ahead of time have none, RFC 5019); with nonce \"tolerated\" \
                 it is taken by its own times"
            }
        };
        if !response.revokes() {
            return Err(Error::new(Code::Nonce, doubt));
        }
        response.doubt = Some(doubt);
        Ok(response)
    }
}

/// An OCSP response: parsed, not believed. Share it by `Arc`: a signature that was checked is remembered.
pub struct OcspResponse {
    message: ResponseMessage,
    /// Why it clears nobody, though what it says against anybody counts.
    doubt: Option<&'static str>,
    signatures: Mutex<SignatureMemory>,
    entitled: Entitled,
}

impl OcspResponse {
    /// From DER: one that was stapled, stored, or brought by the caller's own transport. See
    /// [`ResponseMessage::from_der`] for what is refused. The answer to a request of ours is read by
    /// [`OcspRequest::read_response`].
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        let message = ResponseMessage::from_der(der)?;
        Ok(OcspResponse { message, doubt: None, signatures: Mutex::default(), entitled: Entitled::default() })
    }

    /// Whether the responder answered at all.
    pub fn status(&self) -> OcspResponseStatus {
        self.message.status
    }

    /// The answer as it is, unverified; `None` if the responder gave none.
    pub fn basic(&self) -> Option<&BasicResponse> {
        self.message.basic.as_ref()
    }

    /// Whether some validation found that it is signed by somebody who may speak about the certificate that was asked about.
    /// That the signature is somebody's is not enough: a peer signs in any name.
    pub(crate) fn is_entitled(&self) -> bool {
        self.entitled.is_found()
    }

    /// The responder's certificate, where it was found and is not enclosed.
    pub(crate) fn signers(&self) -> Vec<Certificate> {
        self.entitled.signers()
    }

    pub(crate) fn bring_signers(&self, signers: &[Certificate]) {
        self.entitled.bring(signers);
    }

    /// Whether it clears anybody who must not be cleared by it: then it is not kept.
    pub(crate) fn is_doubted(&self) -> bool {
        let clears = |entry: &SingleResponse| entry.status == CertStatus::Good;
        self.doubt.is_some() && self.basic().is_some_and(|basic| basic.responses.iter().any(clears))
    }

    /// Whether it says of any certificate that it is revoked.
    pub(crate) fn revokes(&self) -> bool {
        let is_revoked = |entry: &SingleResponse| matches!(entry.status, CertStatus::Revoked { .. });
        self.basic().is_some_and(|basic| basic.responses.iter().any(is_revoked))
    }

    /// Whether this says less than another about a certificate that the other speaks about: nothing, what was said before,
    /// or, as of the same time, that it is not revoked where the other says it is.
    pub(crate) fn is_behind(&self, other: &OcspResponse) -> bool {
        let entries = |response: &'_ OcspResponse| -> Vec<SingleResponse> {
            response.basic().map(|basic| basic.responses.clone()).unwrap_or_default()
        };
        let revokes = |entry: &SingleResponse| matches!(entry.status, CertStatus::Revoked { .. });
        let ours = entries(self);
        entries(other).iter().any(|theirs| {
            let same = ours.iter().filter(|entry| entry.cert_id.serial == theirs.cert_id.serial);
            match same.max_by_key(|entry| (entry.this_update, revokes(entry))) {
                Some(newest) => (newest.this_update, revokes(newest)) < (theirs.this_update, revokes(theirs)),
                None => true,
            }
        })
    }

    fn verify(
        &self,
        basic: &BasicResponse,
        provider: &dyn Provider,
        spki: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        let mut memory = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        memory.recall_or(spki, allow_weak, || {
            let algorithm = SignatureAlgorithm::from_der(&basic.signature_algorithm)
                .map_err(|e| CryptoError::Unsupported(e.to_string()))?;
            if algorithm.is_weak() && !allow_weak {
                let words = "a weak signature (over a SHA-1 digest, or ECDSA with parameters); allow_weak takes it";
                return Err(CryptoError::Unsupported(words.to_owned()));
            }
            provider.verify(&algorithm, spki, &basic.tbs, &basic.signature, allow_weak)
        })
    }
}

impl fmt::Debug for OcspResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcspResponse").field("message", &self.message).finish_non_exhaustive()
    }
}

impl StatusSearch<'_> {
    /// The certificate's status by the OCSP responses at hand; `above` is its chain from its issuer to the anchor.
    pub(super) fn ocsp_status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let mut reasons = Vec::new();
        let mut newest: Option<(Time, Status)> = None;
        for response in &self.sources.ocsp {
            match self.ocsp_says(response, certificate, above) {
                Ok((_, revoked @ Status::Revoked(_))) => return revoked,
                // Of several words the newest counts, be it out of date by now: an older one does not outlive it.
                Ok((from, said)) => match &newest {
                    Some((known, Status::Good { .. })) if from <= *known => {}
                    Some((known, _)) if from < *known => {}
                    _ => newest = Some((from, said)),
                },
                Err(why) => reasons.push(format!("OCSP response: {why}")),
            }
        }
        match newest {
            Some((_, Status::Unknown(why))) => {
                reasons.extend(why);
                Status::Unknown(reasons)
            }
            Some((_, said)) => said,
            None => Status::Unknown(reasons),
        }
    }

    /// What a response says of the certificate, and as of when; an error where it is nobody's word about it.
    fn ocsp_says(
        &self,
        response: &OcspResponse,
        certificate: &Certificate,
        above: &[Certificate],
    ) -> Result<(Time, Status), String> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let Some(basic) = response.basic() else {
            return Err(format!("the responder answered {}", response.status()));
        };
        let about = self.entries_about(basic, certificate, issuer)?;
        if about.is_empty() {
            return Err("it does not speak of the certificate".to_owned());
        }
        let revoked = about.iter().find(|entry| matches!(entry.status, CertStatus::Revoked { .. }));
        // What is odd about a response takes away nothing of what it says against somebody.
        if revoked.is_none() {
            if let Some(why) = self.clears_nobody(response, basic, &about) {
                return Err(why);
            }
        }
        let note = self.authorise(response, basic, above, revoked.map(|entry| entry.this_update))?;
        // Every entry is looked at: the first that says good must not hide one that says revoked.
        for entry in &about {
            if let CertStatus::Revoked { time, reason } = entry.status {
                let since = time.map_or_else(|| "at an unreadable date".to_owned(), |time| format!("since {time}"));
                let from = match entry.this_update.unix() {
                    0 => "an unreadable date".to_owned(),
                    _ => entry.this_update.to_string(),
                };
                let text = format!("revoked {since}, reason {reason}, by an OCSP response from {from}");
                return Ok((entry.this_update, Status::Revoked(text)));
            }
        }
        let newest = about.iter().max_by_key(|entry| entry.this_update).ok_or("no entry")?;
        let from = newest.this_update;
        if self.is_from_the_future(from) {
            return Err(format!("it is from the future: thisUpdate {from}"));
        }
        let unknown = |why: &str| Ok((from, Status::Unknown(vec![format!("OCSP response: {why}")])));
        if about.iter().any(|entry| entry.status == CertStatus::Unknown) {
            return unknown("the responder does not know the certificate");
        }
        let window = Window { this_update: newest.this_update, next_update: newest.next_update };
        let mut notes: Vec<String> = note.into_iter().collect();
        let until = match self.judge(window, "OCSP response") {
            Freshness::Current { until } => until,
            Freshness::Grace { until, text } => {
                notes.push(format!("{text}, used within the offline grace"));
                until
            }
            Freshness::NotJudged { until } => {
                notes.push("the time is unknown: whether the OCSP response is current was not checked".to_owned());
                until
            }
            Freshness::Refused(why) => return unknown(&why),
        };
        Ok((from, Status::Good { until, from, notes }))
    }

    /// Why a response says of nobody that it is good; `None` if nothing is odd about it.
    fn clears_nobody(
        &self,
        response: &OcspResponse,
        basic: &BasicResponse,
        about: &[&SingleResponse],
    ) -> Option<String> {
        let unknown = about.iter().find_map(|entry| entry.unknown_critical).or(basic.unknown_critical);
        let unknown = unknown.map(|oid| format!("a critical extension is not understood: {oid}"));
        let defect = basic.defect.as_ref().map(|defect| format!("it clears nobody: {defect}"));
        unknown.or(defect).or_else(|| response.doubt.map(str::to_owned))
    }

    /// The entries whose CertID is this certificate's in all three parts (RFC 6960 section 3.2 item 1).
    fn entries_about<'r>(
        &self,
        basic: &'r BasicResponse,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Vec<&'r SingleResponse>, String> {
        let serial = shortest_integer(certificate.serial());
        let mut about = Vec::new();
        for entry in basic.responses.iter().filter(|entry| *entry.cert_id.serial == *serial) {
            // By a digest that is not known here nobody can tell whether the entry is about this certificate: it says
            // nothing, neither good nor revoked.
            let Some(digest) = entry.cert_id.digest else { continue };
            let hash = |bytes: &[u8]| self.provider.digest(digest, &[bytes]).map_err(|e| e.to_string());
            let name_matches = *entry.cert_id.issuer_name_hash == *hash(certificate.issuer())?;
            let key = key_bits(issuer).map_err(|e| e.to_string())?;
            if name_matches && *entry.cert_id.issuer_key_hash == *hash(key)? {
                about.push(entry);
            }
        }
        Ok(about)
    }

    /// RFC 6960 sections 3.2 item 4 and 4.2.2.2: signed by the certificate's issuer, or by a responder it has
    /// certified. Answers with a note about a check on the responder that could not be made. `made`: when the response was,
    /// if it revokes.
    fn authorise(
        &self,
        response: &OcspResponse,
        basic: &BasicResponse,
        above: &[Certificate],
        made: Option<Time>,
    ) -> Result<Option<String>, String> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let mut why = "nobody at hand is the responder it names".to_owned();
        let trusted = &self.policy().trusted_responders;
        let candidates = std::iter::once(issuer).chain(trusted).chain(&basic.certificates).chain(self.pool);
        // The response's name is prepared once, each certificate's once in its life: both are somebody else's choice.
        let hash = match &basic.responder_id {
            ResponderId::Name(name) => name_hash(name),
            ResponderId::KeyHash(_) => 0,
        };
        for candidate in candidates.filter(|candidate| self.is_responder(candidate, &basic.responder_id, hash)) {
            self.spend_signature(Source::Ocsp)?;
            if let Err(error) = response.verify(basic, self.provider, candidate.spki(), self.checks.allow_weak) {
                // Not the key that made it: another candidate may be. If none is, it is nobody's word.
                why = format!("its signature: {error}");
                continue;
            }
            match self.entitle(candidate, above, made) {
                Ok(note) => {
                    if !self.is_in_progress(candidate) {
                        let is_enclosed = candidate == issuer || basic.certificates.contains(candidate);
                        response.entitled.note(if is_enclosed { &[] } else { std::slice::from_ref(candidate) });
                    }
                    return Ok(note);
                }
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// Whether the responder whose signature it is may speak about the certificates of this issuer.
    fn entitle(
        &self,
        candidate: &Certificate,
        above: &[Certificate],
        made: Option<Time>,
    ) -> Result<Option<String>, String> {
        let is_issuer = |issuer: &Certificate| {
            candidate == issuer || (candidate.spki() == issuer.spki() && candidate.subject() == issuer.subject())
        };
        if above.first().is_some_and(is_issuer) {
            return Ok(None);
        }
        if self.policy().trusted_responders.contains(candidate) {
            // Section 4.2.2.2, first case: by our own configuration, whoever made its certificate.
            return match self.against_responders_validity(candidate, made) {
                None => Ok(None),
                Some(found) => Err(format!("the trusted responder's certificate: {}", found.text)),
            };
        }
        self.authorise_responder(candidate, above, made)
    }

    fn is_responder(&self, candidate: &Certificate, id: &ResponderId, hash: u64) -> bool {
        match id {
            ResponderId::Name(name) => {
                candidate.subject_hash(name_hash) == hash && same_name(name, candidate.subject())
            }
            // Section 4.2.1: KeyHash is SHA-1, whatever the rest uses. It finds the key, it proves nothing.
            ResponderId::KeyHash(hash) => key_bits(candidate)
                .ok()
                .and_then(|key| self.provider.digest(DigestAlgorithm::Sha1, &[key]).ok())
                .is_some_and(|found| *found == **hash),
        }
    }
}

/// Content of the certificate's subjectPublicKey without the count of unused bits: what key hashes are made over.
pub(super) fn key_bits(certificate: &Certificate) -> Result<&[u8], Asn1Error> {
    const WHAT: &str = "SubjectPublicKeyInfo";
    let mut fields = Cursor::sequence(certificate.spki(), WHAT)?;
    fields.expect(::der::Tag::Sequence, "algorithm")?;
    bit_string(fields.expect(::der::Tag::BitString, "subjectPublicKey")?, WHAT, "subjectPublicKey has unused bits")
}
