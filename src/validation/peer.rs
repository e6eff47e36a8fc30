//! The gate: a peer's public key comes out only behind a positive verdict, and only as long as that verdict lasts.
//!
//! There is no other way to a peer's key. A certificate does not show it:
//!
//! ```compile_fail,E0624
//! fn key_of(certificate: &devid::asn1::x509::Certificate) -> &[u8] {
//!     certificate.spki()
//! }
//! ```
//!
//! nothing seals for a certificate that was not validated:
//!
//! ```compile_fail,E0624
//! fn seal_for(certificate: &devid::asn1::x509::Certificate) {
//!     let _ = devid::cms::Recipient::of_certificate(certificate);
//! }
//! ```
//!
//! a handle cannot be put together by hand:
//!
//! ```compile_fail,E0451
//! use devid::validation::PeerKey;
//! fn forge(real: PeerKey, other: devid::asn1::x509::Certificate) -> PeerKey {
//!     PeerKey { certificate: other, ..real }
//! }
//! ```
//!
//! and neither can the verdict behind it:
//!
//! ```compile_fail,E0616
//! fn exchange(path: &mut devid::validation::ValidPath, other: devid::asn1::x509::Certificate) {
//!     path.chain[0] = other;
//! }
//! ```

use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

use super::checks::{CheckTime, Checks, KeyUsage, NameCheck};
use super::facts::key_usage_of;
use super::path;
use super::report::{Report, ValidPath};
use super::revocation_policy::RevocationMode;
pub use super::status_sources::StatusWatch;
use super::status_sources::{StatusSources, UNTOLD};
use super::trust::TrustAnchors;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::cms::{self, ContentEncryption, Recipient};
use crate::codes::Code;
use crate::crypto::{PrivateKey, Provider, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;
use crate::sync::Lock;
use crate::time::Time;

/// What a peer's certificate must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All of these extended key usages. An empty list is refused: it is no purpose and does not say so.
    For(Vec<Oid>),
    /// Whatever the certificate allows: the caller has a reason not to ask.
    Any,
}

/// Everything that a peer's key is asked for with.
#[derive(Clone, Debug)]
pub struct PeerRequest<'a> {
    /// Whom to believe.
    pub anchors: &'a TrustAnchors,
    /// The peer's certificate.
    pub certificate: &'a Certificate,
    /// Certificates that may be on the path, in any order.
    pub pool: &'a [Certificate],
    /// Status data at hand.
    pub status: &'a StatusSources,
    /// Time, revocation and the rest; purposes and names in here are replaced by the two fields below.
    pub checks: Checks,
    /// What the certificate must be for.
    pub purpose: Purpose,
    /// Which names it must carry; not to ask must be said.
    pub names: NameCheck,
    /// Last second at which the key may be used, if the caller sets a bound of its own.
    pub use_until: Option<Time>,
}

/// A peer's public key behind a positive verdict. Shared between threads by `Arc`.
///
/// Every use names the present time. Once the verdict's time is over (the earliest of the certificates' notAfter, the
/// status data's nextUpdate and the caller's bound) every use answers [`Code::Stale`] until [`PeerKey::recheck`]
/// succeeds. A clock that is set back does not bring it to life again.
pub struct PeerKey {
    provider: Arc<dyn Provider>,
    certificate: Certificate,
    anchors: TrustAnchors,
    pool: Vec<Certificate>,
    checks: Checks,
    use_until: Option<Time>,
    key_usage: Option<u16>,
    /// Certificates of the path below the anchor.
    path: Vec<Certificate>,
    /// All memories that the verdict was made with, and no data.
    memories: StatusSources,
    state: Lock<State>,
}

#[derive(Clone)]
struct State {
    /// Last second of the verdict.
    until: Time,
    /// Latest time that was seen; `None` if the verdict was made without a clock and none was seen since.
    latest: Option<Time>,
    /// Why it is refused for good.
    refused: Option<Error>,
    /// Why it is refused until a verdict that was reached: newer status data was not looked at to its end, or could not be read.
    suspended: Option<Error>,
    /// Up to which marks of the memories the verdict stands.
    marks: Marks,
    /// The certificates whose good status the verdict rests on, and from when each is.
    rests_on: Vec<(Certificate, Time)>,
}

/// How far memories were looked at, each in its place. One that nobody has looked at has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Marks {
    revoked: Vec<Option<u64>>,
    kept: Vec<Option<u64>>,
}

impl Marks {
    fn of(memories: &StatusSources) -> Self {
        Marks {
            revoked: memories.revoked.iter().map(|record| Some(record.mark())).collect(),
            kept: memories.kept.iter().map(|watch| Some(watch.mark())).collect(),
        }
    }

    /// Whether each memory could tell its own.
    fn are_told(&self) -> bool {
        !self.revoked.iter().chain(&self.kept).any(|mark| *mark == Some(UNTOLD))
    }
}

impl State {
    /// Whether it is refused until something that is there can be read.
    fn waits_for_a_read(&self) -> bool {
        self.suspended.as_ref().is_some_and(|error| error.code() != Code::Budget)
    }

    /// Takes over the end of another positive verdict. It is later only where the status of every certificate that the
    /// verdict rested on is known anew: no data is no good news, and neither is older data.
    fn renew(&mut self, path: &ValidPath, until: Time) {
        let is_anew = |(certificate, from): &(Certificate, Time)| {
            path.with_status().iter().any(|(known, anew)| known == certificate && anew >= from)
        };
        let known_anew = path.status_until().is_some() && self.rests_on.iter().all(is_anew);
        if known_anew {
            self.rests_on = path.with_status().to_vec();
            self.until = until;
        } else {
            self.until = self.until.min(until);
        }
    }
}

impl PeerKey {
    /// Validates the peer's certificate. The handle is there exactly when the report is positive. It keeps the memories of the
    /// request's status data, all of them: each is asked before every use that comes after something new in it, and with every
    /// recheck, whatever that brings.
    pub fn open(provider: &Arc<dyn Provider>, request: PeerRequest<'_>) -> Result<(Report, Option<Self>), Error> {
        let mut checks = request.checks;
        checks.extended_key_usages = match request.purpose {
            Purpose::For(purposes) if purposes.is_empty() => {
                return Err(Error::new(Code::InvalidArgument, "the purpose of a peer's key is an empty list"));
            }
            Purpose::For(purposes) => purposes,
            Purpose::Any => Vec::new(),
        };
        checks.names = request.names;
        checks.check()?;
        let memories = request.status.memories();
        // From before the verdict: what comes while it is made is newer.
        let marks = Marks::of(&memories);
        let report =
            path::validate(&**provider, request.anchors, request.certificate, request.pool, request.status, &checks);
        let Some(path) = report.path() else { return Ok((report, None)) };
        let state = State {
            until: expiry(path.not_after(), path.status_until(), request.use_until),
            latest: checks.at.known(),
            refused: None,
            suspended: None,
            marks,
            rests_on: path.with_status().to_vec(),
        };
        let key = PeerKey {
            provider: provider.clone(),
            certificate: path.leaf().clone(),
            anchors: request.anchors.clone(),
            pool: request.pool.to_vec(),
            use_until: request.use_until,
            key_usage: key_usage_of(path.leaf())?,
            path: path.chain()[..path.chain().len() - 1].to_vec(),
            memories,
            checks,
            state: Lock::new(state),
        };
        Ok((report, Some(key)))
    }

    /// Looks at these documents too before every use that comes after something new in them: a peer that they revoke is refused
    /// at once, and not at the verdict's end. `since` is the mark from before they were asked for the verdict.
    #[must_use]
    pub fn watching(mut self, watch: Arc<dyn StatusWatch>, since: u64) -> Self {
        let is_it = |known: &Arc<dyn StatusWatch>| core::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(&watch));
        let place = self.memories.kept.iter().position(is_it).unwrap_or(self.memories.kept.len());
        self.memories.join_memories(&StatusSources { kept: vec![watch], ..StatusSources::none() });
        self.state.with(|state| {
            state.marks.kept.resize(self.memories.kept.len(), None);
            state.marks.kept[place] = Some(since);
        });
        self
    }

    /// Validates again with the status data there is now. A positive verdict sets a new expiry.
    ///
    /// Status data that revokes ends the handle for good, whatever the mode of revocation. If nothing usable is known about the status, the handle stays as it was, until its expiry. If a budget ended before all
    /// was looked at, it is closed until a recheck that ends positively. Every other refusal ends it for good.
    pub fn recheck(&self, status: &StatusSources, now: Time) -> Result<Report, Error> {
        let now = self.advance(now);
        let (report, _) = self.judge(status, now);
        let refused = self.state.with(|state| {
            match (report.path(), report.error()) {
                (Some(path), _) if state.refused.is_none() => {
                    state.suspended = None;
                    match self.checks.revocation.mode {
                        // Nobody wanted a status: none bounds the verdict.
                        RevocationMode::Off => state.until = expiry(path.not_after(), None, self.use_until),
                        _ => state.renew(path, expiry(path.not_after(), path.status_until(), self.use_until)),
                    }
                }
                (None, Some(error)) if error.code() == Code::Budget => state.suspended = Some(error),
                (None, Some(error)) if !matches!(error.code(), Code::RevocationUnknown | Code::CrlRollback) => {
                    state.refused.get_or_insert(error);
                }
                _ => {}
            }
            state.refused.clone()
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// The peer's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Last second at which the key can be used.
    pub fn expires(&self) -> Time {
        self.state.with(|state| state.until)
    }

    /// The key as SubjectPublicKeyInfo, DER.
    pub fn spki(&self, now: Time) -> Result<&[u8], Error> {
        self.admit(now)?;
        Ok(self.certificate.spki())
    }

    /// Encrypts for the peer: a CMS ContentInfo, DER, with AuthEnvelopedData (AES-256-GCM) or, for old peers,
    /// EnvelopedData (AES-256-CBC). RSA keys by OAEP, EC keys by ephemeral-static ECDH.
    pub fn encrypt(&self, now: Time, encryption: ContentEncryption, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.admit(now)?;
        self.demand(&[KeyUsage::KeyEncipherment, KeyUsage::KeyAgreement])?;
        let recipient = Recipient::of_certificate(&self.certificate);
        Ok(cms::seal(&*self.provider, &[recipient], encryption, oid::CMS_DATA, plaintext)?)
    }

    /// Checks a signature that the peer made.
    pub fn verify_signature(
        &self,
        now: Time,
        algorithm: &SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        self.admit(now)?;
        self.demand(&[KeyUsage::DigitalSignature, KeyUsage::ContentCommitment])?;
        let spki = self.certificate.spki();
        Ok(self.provider.verify(algorithm, spki, message, signature, self.checks.allow_weak)?)
    }

    /// Agrees on a secret with the peer by a fresh key pair: the public point to send, and the shared secret.
    pub fn agree(&self, now: Time) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
        self.admit(now)?;
        self.demand(&[KeyUsage::KeyAgreement])?;
        Ok(self.provider.agree_ephemeral(self.certificate.spki())?)
    }

    /// Agrees on a secret with the peer by our own key.
    pub fn agree_with(&self, now: Time, key: &dyn PrivateKey) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.admit(now)?;
        self.demand(&[KeyUsage::KeyAgreement])?;
        Ok(key.agree(super::ocsp::key_bits(self.certificate.spki())?)?)
    }

    /// Lets a use through or says why not.
    fn admit(&self, now: Time) -> Result<(), Error> {
        let now = self.advance(now);
        let (refused, until) = self.state.with(|state| (state.refused.clone(), state.until));
        if let Some(error) = refused {
            return Err(error);
        }
        if now > until {
            return Err(Error::new(Code::Stale, format!("the verdict was good until {until}, now it is {now}")));
        }
        self.look_for_newer(now)?;
        if let Some(error) = self.state.with(|state| state.suspended.clone()) {
            return Err(error);
        }
        if now < self.certificate.not_before() {
            return Err(Error::new(Code::NotYetValid, format!("valid from {}", self.certificate.not_before())));
        }
        Ok(())
    }

    /// Judges status data that came after the verdict.
    fn look_for_newer(&self, now: Time) -> Result<(), Error> {
        let marks = Marks::of(&self.memories);
        if self.state.with(|state| state.marks == marks && !state.waits_for_a_read()) {
            return Ok(());
        }
        let (report, is_whole) = self.judge(&StatusSources::none(), now);
        let is_whole = is_whole && marks.are_told();
        let refused = self.state.with(|state| {
            // What could not be read is looked for again at the next use.
            if is_whole {
                state.marks = marks;
                if state.waits_for_a_read() {
                    state.suspended = None;
                }
            }
            match (report.path(), report.error()) {
                (Some(_), _) if is_whole && self.checks.revocation.mode == RevocationMode::Off => {
                    state.suspended = None
                }
                (Some(path), _) if report.findings().is_empty() && path.status_until().is_some() => {
                    state.suspended = None;
                    let until = expiry(path.not_after(), path.status_until(), self.use_until);
                    if until > state.until {
                        state.renew(path, until);
                    }
                }
                (None, Some(error)) if error.code() == Code::Revoked => {
                    state.refused.get_or_insert(error);
                }
                (None, Some(error)) if error.code() == Code::Budget => state.suspended = Some(error),
                // Not to know what is there is no permission.
                (None, Some(error)) if !is_whole && state.suspended.is_none() => state.suspended = Some(error),
                // Newer data that says nothing usable changes nothing: the verdict stands until its end.
                _ => {}
            }
            state.refused.clone()
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Validates with this status data and all that the memories hold; and whether all of that could be read.
    fn judge(&self, status: &StatusSources, now: Time) -> (Report, bool) {
        let mut checks = self.checks.clone();
        checks.at = CheckTime::At(now);
        let mut status = status.clone();
        status.join_memories(&self.memories);
        self.memories.kept.iter().for_each(|watch| watch.recall(&self.path, &mut status));
        let report = path::validate(&*self.provider, &self.anchors, &self.certificate, &self.pool, &status, &checks);
        (report, status.unread.is_none())
    }

    /// RFC 5280 section 4.2.1.3: a key with keyUsage does nothing else.
    fn demand(&self, usages: &[KeyUsage]) -> Result<(), Error> {
        let Some(bits) = self.key_usage else { return Ok(()) };
        if usages.iter().any(|usage| bits & usage.mask() != 0) {
            return Ok(());
        }
        let names: Vec<&str> = usages.iter().map(|usage| usage.name()).collect();
        Err(Error::new(Code::KeyUsage, format!("the peer's keyUsage does not allow {}", names.join(" or "))))
    }

    /// Time never runs backwards here.
    fn advance(&self, now: Time) -> Time {
        self.state.with(|state| {
            let now = state.latest.map_or(now, |latest| latest.max(now));
            state.latest = Some(now);
            now
        })
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerKey")
            .field("certificate", &self.certificate)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

fn expiry(not_after: Time, status_until: Option<Time>, use_until: Option<Time>) -> Time {
    let earliest = status_until.map_or(not_after, |until| until.min(not_after));
    use_until.map_or(earliest, |until| until.min(earliest))
}
