//! What a peer sends of certificates, in any order: which one is the peer's own.

use std::collections::{HashMap, HashSet};

use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::validation::is_ca;
use crate::validation::names::name_hash;

/// The peer's own certificate among those that it sent, and the others in their order.
///
/// The first, if it is no CA: transports that prove possession of a key, such as TLS (RFC 8446 section 4.4.2), do so for the
/// key of the first. Else the one that issued none of the others; where several did not, the first that is no CA. This
/// only picks what is to be validated: where it is not the first, [`Checks::presented`](crate::validation::Checks::presented)
/// must be the first, so that nobody is judged by a certificate whose key he need not hold.
pub fn end_entity_of(certificates: &[Certificate]) -> Result<(Certificate, Vec<Certificate>), Error> {
    let first = certificates.first().ok_or_else(|| Error::new(Code::InvalidArgument, "no certificate at all"))?;
    let found = match is_ca(first) {
        Ok(false) => first,
        _ => end_of_any_order(certificates).unwrap_or(first),
    };
    Ok((found.clone(), certificates.iter().filter(|c| *c != found).cloned().collect()))
}

/// Each name is read once and none is compared with each other: how many certificates there are, and how long their names,
/// is the peer's choice.
fn end_of_any_order(certificates: &[Certificate]) -> Option<&Certificate> {
    let mut seen = HashSet::new();
    // By hashes, which stay with each certificate: what follows is only who is judged, and the judge compares the names.
    let mut issued: HashMap<u64, usize> = HashMap::new();
    for certificate in certificates.iter().filter(|c| seen.insert(c.as_der())) {
        *issued.entry(certificate.issuer_hash(name_hash)).or_default() += 1;
    }
    let issues = |candidate: &Certificate| {
        let subject = candidate.subject_hash(name_hash);
        let own = usize::from(candidate.issuer_hash(name_hash) == subject);
        issued.get(&subject).is_some_and(|count| *count > own)
    };
    let ends: Vec<&Certificate> = certificates.iter().filter(|c| !issues(c)).collect();
    ends.iter().find(|c| !is_ca(c).unwrap_or(false)).or_else(|| ends.first()).copied()
}
