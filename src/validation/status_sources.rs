//! Status data at hand.

use alloc::borrow::Cow;
use alloc::sync::Arc;

use super::crl::Crl;
use super::crl_numbers::CrlNumbers;
use super::ocsp::OcspResponse;
use super::revoked::RevokedFacts;
use crate::asn1::x509::Certificate;
use crate::prelude::*;

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
    /// Which bound ended the gathering before everything was asked for, such as `16 requests`; `None`: none did. What was
    /// not asked for may revoke: where the status is checked, the verdict is a refusal in every mode.
    pub cut_short: Option<String>,
    /// What is kept about the certificates and could not be read, in words; `None`: all was. It may revoke: a refusal where a
    /// status is demanded, a finding where it is not.
    pub unread: Option<String>,
}

impl StatusSources {
    /// None.
    pub fn none() -> Self {
        Self::default()
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
