//! The strict profile: what RFC 5280 section 4 forbids a conforming CA to issue, beyond what section 6.1 asks of a
//! validator.

use super::facts::Facts;
use crate::asn1::der::Cursor;
use crate::asn1::general_name::{GeneralName, GeneralNames};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::error::Rule;

/// What part a certificate plays on the path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    EndEntity,
    Intermediate,
    Anchor,
}

const READABLE: Rule = Rule::new("RFC 5280 section 4.2 (V1)", "extensions that can be read");
const SERIAL: Rule = Rule::new("RFC 5280 section 4.1.2.2 (V1)", "a positive serial number of at most 20 octets");
/// UTCTime through 2049, GeneralizedTime from 2050.
const TIMES: Rule =
    Rule::new("RFC 5280 section 4.1.2.5 (V1)", "notBefore and notAfter in order, and in the form of their years");
const NAMED: Rule = Rule::new("RFC 5280 section 4.1.2.6 (V1)", "a name, in subject or in a critical subjectAltName");
const KEY_IDENTIFIERS: Rule =
    Rule::new("RFC 5280 section 4.2.1.1 (V1)", "identifiers of the issuer's key and of a CA's own");
const CRITICALITY: Rule =
    Rule::new("RFC 5280 section 4.2.1 (V1)", "extensions that are critical where they must be, and there alone");
const AUTHORITY: Rule = Rule::new(
    "RFC 5280 section 4.2.1.9 (V1)",
    "basicConstraints and keyUsage that agree, and fit a CA or an end entity",
);

/// The first duty of its issuer that the certificate breaks, and how.
pub(super) fn broken_duty(certificate: &Certificate, facts: &Facts<'_>, role: Role) -> Option<(Rule, &'static str)> {
    let is_ca = role != Role::EndEntity || facts.basic_constraints.is_some_and(|b| b.ca);
    let unread = || facts.has_unread.then_some("an extension that cannot be read");
    let of = |rule: Rule, broken: Option<&'static str>| broken.map(|words| (rule, words));
    of(READABLE, unread())
        .or_else(|| of(SERIAL, serial(certificate)))
        .or_else(|| of(TIMES, validity(certificate)))
        .or_else(|| of(NAMED, names(certificate, facts, is_ca)))
        .or_else(|| of(KEY_IDENTIFIERS, key_identifiers(certificate, facts, is_ca)))
        .or_else(|| of(CRITICALITY, criticality(certificate)))
        .or_else(|| of(AUTHORITY, authority(certificate, facts, is_ca)))
}

/// RFC 5280 section 4.1.2.2.
fn serial(certificate: &Certificate) -> Option<&'static str> {
    match certificate.serial() {
        [first, ..] if first & 0x80 != 0 => Some("the serial number is negative"),
        serial if serial.iter().all(|b| *b == 0) => Some("the serial number is zero"),
        serial if serial.len() > 20 => Some("the serial number is longer than 20 octets"),
        [0, second, ..] if second & 0x80 == 0 => Some("the serial number is not in its shortest form"),
        _ => None,
    }
}

/// RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn validity(certificate: &Certificate) -> Option<&'static str> {
    if certificate.not_before() > certificate.not_after() {
        return Some("notBefore is later than notAfter");
    }
    let mut fields = Cursor::sequence(certificate.validity(), "Validity").ok()?;
    for time in [certificate.not_before(), certificate.not_after()] {
        let is_generalized = fields.any("a Time").ok()?.tag == ::der::Tag::GeneralizedTime;
        if is_generalized != (time.civil().0 >= 2050) {
            return Some("a time is not in the form that its year demands");
        }
    }
    None
}

/// RFC 5280 sections 4.1.2.4, 4.1.2.6 and 4.2.1.6.
fn names(certificate: &Certificate, facts: &Facts<'_>, is_ca: bool) -> Option<&'static str> {
    const EMPTY: &[u8] = &[0x30, 0x00];
    if certificate.issuer() == EMPTY {
        return Some("the issuer's name is empty");
    }
    if certificate.subject() == EMPTY {
        if is_ca {
            return Some("a CA's name is empty");
        }
        if !certificate.extension(oid::CE_SUBJECT_ALT_NAME).is_some_and(|e| e.critical) {
            return Some("the subject is empty and there is no critical subjectAltName");
        }
    }
    for name in GeneralNames::parse(facts.subject_alt_name?, "SubjectAltName").ok()? {
        if let Ok(GeneralName::Dns(b"" | b" ") | GeneralName::Rfc822(b"") | GeneralName::Uri(b"")) = name {
            return Some("subjectAltName holds an empty name");
        }
    }
    None
}

/// RFC 5280 sections 4.2.1.1 and 4.2.1.2.
fn key_identifiers(certificate: &Certificate, facts: &Facts<'_>, is_ca: bool) -> Option<&'static str> {
    if facts.authority_key_id.is_none() && !certificate.is_self_issued() {
        return Some("no keyIdentifier in authorityKeyIdentifier");
    }
    if is_ca && certificate.extension(oid::CE_SUBJECT_KEY_IDENTIFIER).is_none() {
        return Some("a CA certificate without subjectKeyIdentifier");
    }
    None
}

/// The extensions whose criticality RFC 5280 section 4.2 fixes.
fn criticality(certificate: &Certificate) -> Option<&'static str> {
    const CRITICAL: [Oid; 3] = [oid::CE_NAME_CONSTRAINTS, oid::CE_POLICY_CONSTRAINTS, oid::CE_INHIBIT_ANY_POLICY];
    const NOT_CRITICAL: [Oid; 5] = [
        oid::CE_AUTHORITY_KEY_IDENTIFIER,
        oid::CE_SUBJECT_KEY_IDENTIFIER,
        oid::CE_FRESHEST_CRL,
        oid::PE_AUTHORITY_INFO_ACCESS,
        oid::PE_SUBJECT_INFO_ACCESS,
    ];
    certificate.extensions().find_map(|extension| {
        if extension.critical && NOT_CRITICAL.contains(&extension.oid) {
            Some("an extension is critical that must not be")
        } else if !extension.critical && CRITICAL.contains(&extension.oid) {
            Some("an extension is not critical that must be")
        } else {
            None
        }
    })
}

/// RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.10.
fn authority(certificate: &Certificate, facts: &Facts<'_>, is_ca: bool) -> Option<&'static str> {
    use super::checks::KeyUsage::KeyCertSign;
    let signs_certificates = facts.key_usage.is_some_and(|bits| bits & KeyCertSign.mask() != 0);
    if facts.key_usage == Some(0) {
        return Some("keyUsage without any use");
    }
    let basic = facts.basic_constraints;
    if is_ca {
        if !basic.is_some_and(|b| b.ca) {
            return Some("a CA certificate without basicConstraints");
        }
        if !certificate.extension(oid::CE_BASIC_CONSTRAINTS).is_some_and(|e| e.critical) {
            return Some("basicConstraints of a CA is not critical");
        }
        if facts.key_usage.is_none() {
            return Some("a CA certificate without keyUsage");
        }
        if basic.is_some_and(|b| b.path_len.is_some()) && !signs_certificates {
            return Some("pathLenConstraint in a certificate that does not sign certificates");
        }
        return None;
    }
    if signs_certificates {
        return Some("keyUsage allows to sign certificates, basicConstraints does not");
    }
    if basic.is_some_and(|b| b.path_len.is_some()) {
        return Some("pathLenConstraint in a certificate that is not a CA's");
    }
    if facts.name_constraints.is_some() {
        return Some("nameConstraints in a certificate that is not a CA's");
    }
    None
}
