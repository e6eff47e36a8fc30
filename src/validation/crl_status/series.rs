//! The series of a list: whether a newer one of it was seen.

use crate::asn1::crl::CrlNumber;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::DigestAlgorithm;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::crl::Crl;
use crate::validation::crl_numbers::{CrlNumbers, CrlSeries, Noted, NumberedList};
use crate::validation::revoked::ListPlace;
use crate::validation::status::{Standing, StatusSearch};
use crate::validation::unusable::Unusable;

impl StatusSearch<'_> {
    /// Notes the number of a list, and answers why it clears nobody if it is older than one seen before: `Some`.
    pub(super) fn guard(
        &self,
        crl: &Crl,
        number: Option<&CrlNumber>,
        signer: &Certificate,
        (standing, above): (Standing, &[Certificate]),
    ) -> Result<Option<Unusable>, Unusable> {
        if standing == Standing::RevocationsOnly {
            return Ok(None);
        }
        let remembered = self.sources.crl_numbers.iter().map(|numbers| &**numbers);
        let numbers: Vec<&dyn CrlNumbers> = match self.sources.crl_numbers.is_empty() {
            false => remembered.collect(),
            true => vec![&self.knowledge.numbers],
        };
        let key = self.key_of(signer);
        let mut series = vec![self.series(crl, &key.as_spki())?];
        if *key.as_spki() != *signer.spki() {
            // As it was written before keys had one form.
            series.push(self.series(crl, signer.spki())?);
        }
        let branch = self.branch_of(above)?;
        let mut noted = Noted::Newest;
        for (series, numbers) in series.iter().flat_map(|series| numbers.iter().map(move |numbers| (series, numbers))) {
            let (end, now) = (signer.not_after(), self.checks.at.known());
            let list = NumberedList { series, number, this_update: crl.this_update(), end, now, branch };
            let found = numbers.note(&list);
            if noted == Noted::Newest {
                noted = found;
            }
        }
        let why = match (noted, number) {
            (Noted::Newest, _) => return Ok(None),
            (Noted::Older { highest, issued }, number) => {
                let found = number.map_or_else(|| "no CRL number".to_owned(), |number| format!("CRL number {number}"));
                format!("rollback: {found}, but {highest} was seen before{}", counting_anew(crl, issued))
            }
            (Noted::Unknown(why), _) => format!("rollback: it cannot be told whether it is the newest: {why}"),
        };
        Ok(Some(Unusable::new(Code::CrlRollback, why)))
    }

    /// Numbers rise within one issuer's scope (RFC 5280 section 5.2.3); the issuer is known by its key, as its name can be
    /// taken by others.
    fn series(&self, crl: &Crl, key: &[u8]) -> Result<CrlSeries, Unusable> {
        crl.series(key, || self.digest_of_series(crl, key))
    }

    fn digest_of_series(&self, crl: &Crl, key: &[u8]) -> Result<CrlSeries, Unusable> {
        let scope = crl.tail().issuing_distribution_point_der().unwrap_or_default();
        let name = crl.issuer_place().to_be_bytes();
        let mut parts = Vec::new();
        for part in [key, &name, scope] {
            // Each with its length: no two series run together into the same bytes.
            parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            parts.extend_from_slice(part);
        }
        let digest = self.provider.digest(DigestAlgorithm::Sha256, &[&parts])?;
        CrlSeries::try_from(&*digest).map_err(|_| "a SHA-256 digest of another length".into())
    }

    /// Which list it is, with the number that it counts as, for what is written down. Without a number, or without a digest, time alone
    /// tells which word is the later.
    pub(super) fn place_of(&self, crl: &Crl, number: Option<&CrlNumber>, signer: &Certificate) -> Option<ListPlace> {
        let number = number.filter(|_| !self.sources.revoked.is_empty())?;
        let series = self.series(crl, &self.key_of(signer).as_spki()).ok()?;
        ListPlace::new(*series.first_chunk()?, number)
    }
}

/// A list that is newer than all that were seen is none that somebody has kept: its CA counts anew, and only the owner can tell why.
fn counting_anew(crl: &Crl, issued: Option<Time>) -> String {
    match issued.filter(|issued| *issued < crl.this_update()) {
        Some(issued) => format!(
            ", on {issued} at the latest, and this list is of {}: if its CA counts anew, or has once given a number by mistake, \
             forget_crl_numbers (devid_store_forget_crl_numbers) lets its lists count again",
            crl.this_update()
        ),
        None => String::new(),
    }
}
