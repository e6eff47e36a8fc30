//! What a peer sends of certificates, in any order: which one is the peer's own.

use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::validation::{is_ca, same_name};

/// The end entity among certificates, and the others. It is the one that issued none of the others; where several did not,
/// the first that is no CA. This only picks what is to be validated.
pub fn end_entity_of(certificates: &[Certificate]) -> Result<(Certificate, Vec<Certificate>), Error> {
    let issues = |candidate: &Certificate| {
        certificates.iter().any(|c| c != candidate && same_name(c.issuer(), candidate.subject()))
    };
    let mut candidates = certificates.iter().filter(|c| !issues(c));
    let found =
        candidates.clone().find(|c| !is_ca(c).unwrap_or(false)).or_else(|| candidates.next()).or(certificates.first());
    let found = found.ok_or_else(|| Error::new(Code::InvalidArgument, "no certificate at all"))?;
    Ok((found.clone(), certificates.iter().filter(|c| *c != found).cloned().collect()))
}
