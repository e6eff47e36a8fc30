//! Which certificates a device's request is about, beside the one that it asks for: those that rr wants revoked, and the one that oldCertID
//! wants replaced. A registration authority speaks for the device that asks, and for nobody else.

use super::possession;
use super::signer_authorisation::has_cmc_purpose;
use crate::asn1::cmp::revocation::{CertDetails, CertId, rev_details_of};
use crate::asn1::cmp::{BodyType, PkiMessage};
use crate::asn1::crl::shortest_integer;
use crate::asn1::crmf;
use crate::asn1::name;
use crate::asn1::x509::{Certificate, serial_text};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::error::{Error, Refused, Rule};
use crate::limits::Limits;
use crate::prelude::*;
use crate::validation::same_name;

const NAMED: Rule =
    Rule::new("RFC 9483 section 4.2 (A6)", "issuer and serialNumber of each certificate that the request is about");
const ENTITLED: Rule = Rule::new(
    "RFC 9483 sections 4.1.3 and 4.2 (A6)",
    "the certificate that protects the request, or an authority over others' by purpose cmcRA or cmcCA",
);

/// What a request that begins a transaction says of them.
///
/// Errors: what cannot be read, or names no certificate: nobody could decide on it.
pub(super) fn read(message: &PkiMessage, limits: &Limits) -> Result<Vec<CertDetails>, Error> {
    let most = limits.max_certificates;
    let about = match message.body_type() {
        BodyType::RR => {
            let about = rev_details_of(message.body_content(), most)?;
            if about.is_empty() {
                return Err(NAMED.broken(Code::Protocol, "an rr that names no certificate"));
            }
            about
        }
        BodyType::IR | BodyType::CR | BodyType::KUR => {
            let controls = possession::controls(message)?;
            let old = crmf::old_cert_ids(controls, most)?.into_iter();
            old.map(|id| CertDetails { id, ..CertDetails::default() }).collect()
        }
        _ => Vec::new(),
    };
    if about.iter().any(|one| one.id.issuer.is_none() || one.id.serial.is_empty()) {
        let words =
            format!("an {} without issuer and serialNumber of the certificate that it is about", message.body_type());
        return Err(NAMED.broken(Code::Protocol, words));
    }
    Ok(about)
}

/// That who protects the request may ask this: it is about the certificate of his own (RFC 9483 section 4.2 for rr, section 4.1.3 for
/// oldCertID), or he has authority over others', as an RA has it (RFC 6402).
/// `signer`: whose key protects it; `None`: a shared secret does.
pub(super) fn check_entitled(about: &[CertDetails], signer: Option<&Certificate>, body: BodyType) -> Result<(), Error> {
    let is_own = |one: &&CertDetails| signer.is_some_and(|own| is_it(one, own));
    let Some(other) = about.iter().find(|one| !is_own(one)) else { return Ok(()) };
    let by = match signer {
        Some(own) if has_cmc_purpose(own)? => return Ok(()),
        Some(own) => format!("{own}, which has neither purpose cmcRA nor cmcCA"),
        None => "a shared secret".to_owned(),
    };
    let words = format!(
        "the {body} is about {}, and protected by {by}: a device speaks for the certificate that it protects with alone, unless the RA is told to take requests about others'",
        shown(&other.id)
    );
    Err(ENTITLED.broken(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::NotAuthorised)))
}

/// Every part that is there names this certificate: which of them a CA goes by is not known.
fn is_it(said: &CertDetails, certificate: &Certificate) -> bool {
    shortest_integer(&said.id.serial) == shortest_integer(certificate.serial())
        && said.id.issuer.as_ref().is_some_and(|issuer| same_name(issuer, certificate.issuer()))
        && said.subject.as_ref().is_none_or(|subject| same_name(subject, certificate.subject()))
        && said.public_key.as_ref().is_none_or(|key| same_public_key(key, certificate.spki()))
}

fn shown(id: &CertId) -> String {
    let issuer = id.issuer.as_deref().map(name::display).unwrap_or_default();
    format!("the certificate with serial number {} of {issuer}", serial_text(&id.serial))
}
