//! Status data at hand.

use alloc::borrow::Cow;
use alloc::sync::Arc;

use super::crl::Crl;
use super::crl_numbers::CrlNumbers;
use super::ocsp::OcspResponse;
use super::revoked::RevokedFacts;
use crate::asn1::Asn1Error;
use crate::asn1::crl::Bytes;
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// The mark of a memory that cannot tell whether there is something new: whoever holds a verdict looks at each use.
pub const UNTOLD: u64 = u64::MAX;

/// Where status data newer than a verdict turns up: device memory, usually.
pub trait StatusWatch: Send + Sync + core::fmt::Debug {
    /// A number that rises whenever there are newer documents about anyone; [`UNTOLD`] where it cannot be read.
    fn mark(&self) -> u64;

    /// Adds what there is about these certificates now.
    fn recall(&self, certificates: &[Certificate], status: &mut StatusSources);
}

/// Status data at hand: from the peer, from memory, fetched. Nothing in it is believed before it was checked.
#[derive(Clone, Debug, Default)]
pub struct StatusSources {
    /// Complete and delta CRLs, in any order.
    pub crls: Vec<Arc<Crl>>,
    /// OCSP responses, in any order, about any of the certificates.
    pub ocsp: Vec<Arc<OcspResponse>>,
    /// Memories of the highest CRL numbers seen: all are asked and told, and lists with lower ones than any has seen are refused. None:
    /// no guard.
    pub crl_numbers: Vec<Arc<dyn CrlNumbers>>,
    /// Memories of who was revoked: all are asked first, and all are told when a verified source says so.
    pub revoked: Vec<Arc<dyn RevokedFacts>>,
    /// Memories of documents: a fetcher asks them beside its own, and a peer that was opened with them looks there before every use.
    pub kept: Vec<Arc<dyn StatusWatch>>,
    /// Which bound ended the gathering before everything was asked for, such as `16 requests`; `None`: none did. What was
    /// not asked for may revoke: where the status is checked, the verdict is a refusal in every mode.
    pub cut_short: Option<String>,
    /// What was given or is kept about the certificates and could not be read, or fetched by this build, in words; `None`: all was. It may revoke: a refusal where a
    /// status is demanded, a finding where it is not.
    pub unread: Option<String>,
}

impl StatusSources {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether nothing is at hand that could speak against anybody, and no memory is asked.
    pub(crate) fn is_empty(&self) -> bool {
        let StatusSources { crls, ocsp, crl_numbers: _, revoked, kept, cut_short, unread } = self;
        let has_data = !crls.is_empty() || !ocsp.is_empty() || cut_short.is_some() || unread.is_some();
        !has_data && revoked.is_empty() && kept.is_empty()
    }

    /// Adds all CRLs of a file or an answer, in any form. What begins as one and cannot be read beside others is noted: it may revoke.
    pub fn add_crls(&mut self, bytes: Bytes) -> Result<(), Asn1Error> {
        let held = Crl::held_in(bytes)?;
        self.note_unread(&held.unread);
        self.crls.extend(held.all.into_iter().map(Arc::new));
        Ok(())
    }

    /// The same of OCSP responses.
    pub fn add_ocsp(&mut self, input: &[u8]) -> Result<(), Asn1Error> {
        let held = OcspResponse::held_in(input)?;
        self.note_unread(&held.unread);
        self.ocsp.extend(held.all.into_iter().map(Arc::new));
        Ok(())
    }

    pub(crate) fn note_unread(&mut self, unread: &[Asn1Error]) {
        for error in unread {
            let words = format!("status data beside other that cannot be read: {error}");
            match &mut self.unread {
                None => self.unread = Some(words),
                Some(known) if known.contains(&words) => {}
                Some(known) => *known = format!("{known}; {words}"),
            }
        }
    }

    /// The memories without any data: what outlives one validation.
    pub fn memories(&self) -> Self {
        let StatusSources { crl_numbers, revoked, kept, .. } = self;
        StatusSources { crl_numbers: crl_numbers.clone(), revoked: revoked.clone(), kept: kept.clone(), ..Self::none() }
    }

    /// Has the memories of other status data asked and written too, each once.
    pub fn join_memories(&mut self, other: &Self) {
        join(&mut self.crl_numbers, &other.crl_numbers);
        join(&mut self.revoked, &other.revoked);
        join(&mut self.kept, &other.kept);
    }

    /// With what the memories of documents have about these certificates by now.
    pub fn recalled(&self, certificate: &Certificate, pool: &[Certificate]) -> Cow<'_, Self> {
        if self.kept.is_empty() {
            return Cow::Borrowed(self);
        }
        let all: Vec<Certificate> = core::iter::once(certificate).chain(pool).cloned().collect();
        let mut status = self.clone();
        self.kept.iter().for_each(|watch| watch.recall(&all, &mut status));
        Cow::Owned(status)
    }

    /// The helpers for a path, and behind them the certificates that are kept with the data: who signed it, found earlier. A
    /// peer that leaves them out does not undo what they have signed.
    pub(super) fn with_signers<'p>(&self, pool: &'p [Certificate]) -> Cow<'p, [Certificate]> {
        let of_lists = self.crls.iter().flat_map(|crl| crl.signers());
        let mut pool = Cow::Borrowed(pool);
        for signer in of_lists.chain(self.ocsp.iter().flat_map(|response| response.signers())) {
            if !pool.contains(&signer) {
                pool.to_mut().push(signer);
            }
        }
        pool
    }
}

/// By their addresses each is there once.
fn join<T: ?Sized>(ours: &mut Vec<Arc<T>>, theirs: &[Arc<T>]) {
    for one in theirs {
        if !ours.iter().any(|known| core::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(one))) {
            ours.push(one.clone());
        }
    }
}
