//! Who signed a list.

use super::Authentic;
use crate::asn1::der::Cursor;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::checks::KeyUsage;
use crate::validation::crl::Crl;
use crate::validation::crl_scope::Points;
use crate::validation::facts::Facts;
use crate::validation::knowledge::Source;
use crate::validation::names::Hashed;
use crate::validation::status::{Standing, StatusSearch};
use crate::validation::unusable::Unusable;

impl StatusSearch<'_> {
    /// Who signed the list: (f) and (g).
    pub(super) fn signer<'s>(
        &'s self,
        crl: &'s Crl,
        above: &'s [Certificate],
        points: &Points<'_>,
        certificate: &Certificate,
    ) -> Result<Authentic<'s>, Unusable> {
        let key_id = crl.tail().authority_key_identifier.as_deref().and_then(key_identifier);
        let is_named = points.name_issuer_of(crl);
        let mut why = None;
        // A signer whose key fits and who may not sign tells more than one whose key does not fit.
        let mut is_telling = false;
        let mut lesser = None;
        for (candidate, in_chain) in self.signers_named(Hashed::known(crl.issuer(), crl.issuer_hash()), key_id, above) {
            let fits = match self.verify(crl, candidate) {
                Ok(fits) => fits,
                // Not this key; where the budget ended, that is remembered and decides.
                Err(reason) => {
                    if !is_telling {
                        why = Some(reason);
                    }
                    continue;
                }
            };
            let allowed = match Facts::read_but_names(candidate) {
                _ if !fits => Err("its issuer's key is bound to other parameters than it was signed with".into()),
                Ok(facts) if facts.allows(KeyUsage::CrlSign) => Ok(()),
                Ok(_) => Err("its issuer's keyUsage does not allow to sign CRLs".into()),
                Err(error) => Err(format!("its issuer's certificate: {error}").into()),
            };
            let is_issuers = in_chain || above.first().is_some_and(|issuer| self.is_same_key(issuer, candidate));
            let (authorised, doubt) = match allowed {
                // The end of the path's own certificates is the path's affair.
                Ok(()) if in_chain => (Ok(Standing::Full { until: Time::FOREVER }), None),
                Ok(()) => (self.authorise_crl_signer(candidate, above, is_named, crl.this_update()), None),
                // A CA has more certificates than one, and which of them is at hand is the choice of whoever sends it: what is
                // wrong with that takes away the power to clear, and nothing of what the CA's key has revoked.
                Err(doubt) if is_issuers => (Ok(Standing::RevocationsOnly), Some(doubt)),
                Err(why) => (Err(why), None),
            };
            // What rests on nothing but the name that a distribution point gives is not kept: anybody below an anchor may take that.
            let is_somebodys = match &authorised {
                Ok(Standing::Full { .. }) => true,
                Ok(Standing::RevocationsOnly) => in_chain || !self.entitling(candidate, above).is_empty(),
                Err(_) => false,
            };
            if is_somebodys && !self.is_in_progress(candidate) {
                let signers = if in_chain { Vec::new() } else { self.known_chain(candidate) };
                crl.entitled().note(&signers, self.line_of_signer(candidate, above));
            }
            match authorised {
                Ok(standing @ Standing::Full { .. }) => {
                    return Ok(Authentic { crl, signer: candidate, standing, doubt });
                }
                Ok(standing) => lesser = Some(Authentic { crl, signer: candidate, standing, doubt }),
                Err(reason) => (why, is_telling) = (Some(reason), true),
            }
        }
        if let Some(lesser) = lesser {
            return Ok(lesser);
        }
        if is_telling && matches!(self.entry_for(crl, certificate), Ok(Some(entry)) if crl.revokes(&entry)) {
            // Perhaps entitled on another path: this one is not taken before the others were looked at.
            let why = why.as_ref().map_or("", Unusable::text);
            let text = format!("{} lists it as revoked and is not believed: {why}", self.describe(crl));
            self.contested.borrow_mut().get_or_insert(text);
        }
        Err(why.unwrap_or_else(|| format!("no certificate of its issuer {}", display(crl.issuer())).into()))
    }

    /// Whether the signer's key made the signature: `true` also if it may make such ones, by what it is labelled with. Whoever certifies
    /// a key once more chooses the label, and undoes nothing that the key has signed.
    pub(super) fn verify(&self, crl: &Crl, signer: &Certificate) -> Result<bool, Unusable> {
        if crl.is_weak() && !self.checks.allow_weak {
            return Err(
                "its signature is weak (over a SHA-1 digest, or ECDSA with parameters); allow_weak takes it".into()
            );
        }
        let labelled = self.working_key(signer);
        let Err(why) = self.verify_by(crl, &labelled) else { return Ok(true) };
        let key = self.key_of(signer);
        match key.is_bound_in(&labelled) {
            true => self.verify_by(crl, &key.as_spki()).map(|()| false),
            false => Err(why),
        }
    }

    fn verify_by(&self, crl: &Crl, spki: &[u8]) -> Result<(), Unusable> {
        if !crl.knows_signature_by(spki, self.checks.allow_weak) {
            self.spend_signature(Source::Crl)?;
        }
        crl.verify(self.provider, spki, self.checks.allow_weak).map_err(|e| format!("its signature: {e}").into())
    }
}

/// keyIdentifier of an authorityKeyIdentifier extension's value.
fn key_identifier(value: &[u8]) -> Option<&[u8]> {
    let mut fields = Cursor::sequence(value, "AuthorityKeyIdentifier").ok()?;
    Some(fields.optional_context(0, false).ok()??.value)
}
