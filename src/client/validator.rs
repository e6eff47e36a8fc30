//! A validator: anchors, status data and what is wanted of certificates, set up once for many validations.

use std::sync::Arc;

use crate::asn1::oid::Oid;
use crate::asn1::x509::Certificate;
use crate::client::certificates::sent_certificates;
use crate::client::peer_certificates::end_entity_of;
use crate::client::status::StatusMemory;
use crate::crypto::{Provider, default_provider};
use crate::store::Store;
use crate::validation::peer::PeerRequest;
use crate::validation::{
    CheckTime, Checks, NameCheck, PeerKey, PeerName, Purpose, Report, StatusSources, TrustAnchors,
};
use crate::{Code, Error, Time};

/// What is checked, and the data to check it with.
pub struct Validator {
    /// Verifies signatures.
    pub provider: Arc<dyn Provider>,
    /// Where a path must lead.
    pub anchors: TrustAnchors,
    /// Untrusted certificates that may stand between.
    pub pool: Vec<Certificate>,
    /// CRLs and OCSP responses at hand.
    pub status: StatusSources,
    /// Everything else that is checked.
    pub checks: Checks,
    /// What certificates are to be for. Neither purposes nor names are left out by forgetting them.
    pub purpose: Option<Purpose>,
    /// Which names they must carry.
    pub names: Option<NameCheck>,
    /// A peer's key is given out until then, if not shorter by what the verdict rests on.
    pub use_until: Option<Time>,
    /// Device memory: highest CRL numbers, and status data that was kept.
    pub memory: Option<Arc<StatusMemory>>,
}

/// What a validation ends with.
pub struct Verdict {
    /// What was found.
    pub report: Report,
    /// The way to the key, behind a positive verdict only.
    pub peer: Option<PeerKey>,
}

impl Validator {
    /// One that trusts these anchors. Purposes and names are still to be said.
    pub fn new(anchors: TrustAnchors) -> Self {
        Validator {
            provider: default_provider(),
            anchors,
            pool: Vec::new(),
            status: StatusSources::none(),
            checks: Checks::at_unknown_time(),
            purpose: None,
            names: None,
            use_until: None,
            memory: None,
        }
    }

    /// Status data is kept in device memory from here on, with the highest CRL numbers seen.
    pub fn set_memory(&mut self, store: Arc<Store>) {
        let memory = Arc::new(StatusMemory::new(Arc::clone(&self.provider), Some(store)));
        let StatusSources { crl_numbers, revoked, kept, .. } = &mut self.status;
        crl_numbers.clear();
        revoked.clear();
        kept.clear();
        memory.attach(&mut self.status);
        self.memory = Some(memory);
    }

    /// One more use that the certificate must be for.
    pub fn add_purpose(&mut self, purpose: Oid) {
        match &mut self.purpose {
            Some(Purpose::For(purposes)) => purposes.push(purpose),
            _ => self.purpose = Some(Purpose::For(vec![purpose])),
        }
    }

    /// One more name that the certificate must carry.
    pub fn add_name(&mut self, name: PeerName) {
        match &mut self.names {
            Some(NameCheck::All(names)) => names.push(name),
            _ => self.names = Some(NameCheck::All(vec![name])),
        }
    }

    /// Forgets CRLs and OCSP responses, not the highest CRL numbers and who is revoked for good.
    pub fn clear_status(&mut self) {
        self.status = self.status.memories();
    }

    /// What the device's own certificate is checked for. Neither purposes nor names are left out by forgetting them.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] where neither purposes nor names were said.
    pub fn own_checks(&self, at: Time) -> Result<Checks, Error> {
        let unsaid = |what: &str| refused(format!("the validator was not told {what}"));
        let names = self.names.clone().ok_or_else(|| unsaid("which names the certificate must carry"))?;
        let extended_key_usages = match self.purpose.clone() {
            Some(Purpose::For(purposes)) => purposes,
            Some(Purpose::Any) => Vec::new(),
            None => return Err(unsaid("what the certificate is to be for")),
        };
        Ok(Checks { at: CheckTime::At(at), names, extended_key_usages, ..self.checks.clone() })
    }

    /// Everything this validator was told, about one certificate; `presented` is what the peer sent first.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] where neither purposes nor names were said.
    pub fn request<'a>(
        &'a self,
        certificate: &'a Certificate,
        pool: &'a [Certificate],
        presented: Option<&Certificate>,
        at: CheckTime,
    ) -> Result<PeerRequest<'a>, Error> {
        let unsaid = |what: &str| refused(format!("the validator was not told {what}"));
        Ok(PeerRequest {
            anchors: &self.anchors,
            certificate,
            pool,
            status: &self.status,
            checks: Checks { at, presented: presented.cloned(), ..self.checks.clone() },
            purpose: self.purpose.clone().ok_or_else(|| unsaid("what the certificate is to be for"))?,
            names: self.names.clone().ok_or_else(|| unsaid("which names the certificate must carry"))?,
            use_until: self.use_until,
        })
    }

    /// The validator's own certificates and those that came with the one that is asked about.
    pub fn pool_with(&self, sent: &[Certificate]) -> Vec<Certificate> {
        [&self.pool, sent].concat()
    }

    /// Validates with the data at hand and what device memory keeps.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] where neither purposes nor names were said; a failure of device memory.
    pub fn validate(
        &self,
        certificate: &Certificate,
        sent: &[Certificate],
        presented: Option<&Certificate>,
        at: CheckTime,
    ) -> Result<Verdict, Error> {
        let pool = self.pool_with(sent);
        let request = self.request(certificate, &pool, presented, at)?;
        let (report, peer) = match &self.memory {
            Some(memory) => memory.open_peer(&self.provider, request)?,
            None => PeerKey::open(&self.provider, request)?,
        };
        Ok(Verdict { report, peer })
    }
}

impl Validator {
    /// How far two clocks may be apart: a certificate may begin so much later than the time of the check, status data too. Expiry is
    /// not put off.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] for more than a day.
    pub fn set_clock_skew(&mut self, seconds: u32) -> Result<(), Error> {
        self.checks.set_clock_skew(seconds)
    }

    /// Validates what a peer sent, as it came: PEM, DER or PKCS#7. What cannot be read is refused like any other certificate, by a
    /// report; behind a first certificate that can be, it is left out.
    ///
    /// # Errors
    ///
    /// As [`Self::validate`].
    pub fn validate_bytes(&self, sent: &[u8], at: CheckTime) -> Result<Verdict, Error> {
        match sent_certificates(sent) {
            Ok(sent) => {
                let (certificate, others) = end_entity_of(&sent)?;
                self.validate(&certificate, &others, sent.first(), at)
            }
            Err(error) => Ok(Verdict { report: Report::unreadable(&error), peer: None }),
        }
    }
}

fn refused(words: String) -> Error {
    Error::new(Code::InvalidArgument, words)
}
