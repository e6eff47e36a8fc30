//! What speaks against one certificate by itself, as end entity or as issuer, and against one signature: the parts of
//! RFC 5280 section 6.1 that do not depend on the rest of the path.

use super::checks::{Checks, KeyUsage, NameCheck, Profile};
use super::facts::Facts;
use super::identity;
use super::profile::{self, Role};
use super::rules::FORM;
use crate::asn1::Problem;
use crate::asn1::oid::{self, Oid};
use crate::asn1::purpose;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::{CryptoError, DigestAlgorithm, KeyKind, Provider, SignatureAlgorithm, dsa};
use crate::error::Rule;
use crate::prelude::*;

/// What takes a weak algorithm or key, for those who have the switch: validators of peers.
pub(super) const WEAK_SWITCH: &str = "; allow_weak takes it (peers.allow-weak in settings)";

const ONE_ALGORITHM: Rule =
    Rule::new("RFC 5280 section 4.1.1.2 (V1)", "one algorithm inside the signature and beside it");
/// RFC 5937 section 3.2: names chain, and nothing chains nowhere.
const ISSUERS_NAME: Rule = Rule::new("RFC 5280 section 4.1.2.6 (V1)", "a CA with a name");
const UNDERSTOOD: Rule = Rule::new("RFC 5280 section 4.2 (V1)", "critical extensions that are understood");
const NO_STATUS: Rule = Rule::new(
    "RFC 9608 section 3 (V9)",
    "noRevAvail in no CA's certificate, and beside nothing that says where status data is",
);
/// RFC 5280 section 6.1.3 (a)(2); both ends are inclusive (section 4.1.2.5).
pub(super) const VALIDITY: Rule = Rule::new("RFC 5280 section 6.1.3 (V1)", "certificates within their validity");
const PURPOSE: Rule = Rule::new("RFC 5280 section 4.2.1.12 (V1)", "the purposes that are asked for, or any");
const USAGE: Rule = Rule::new("RFC 5280 section 4.2.1.3 (V1)", "the uses of the key that are asked for");
/// RFC 5280 section 6.1.4 (k).
const IS_CA: Rule = Rule::new("RFC 5280 section 6.1.4 (V1)", "basicConstraints with cA in who issues certificates");
/// RFC 5280 section 6.1.4 (n).
const SIGNS_CERTIFICATES: Rule = Rule::new("RFC 5280 section 6.1.4 (V1)", "keyCertSign in who issues certificates");
const KEY: Rule = Rule::new("RFC 5280 section 4.1.2.7 (V1)", "a public key that can be read and used");
const STRENGTH: Rule =
    Rule::new("NIST SP 800-131A (V1)", "RSA keys of 2048 bits or more, signatures of SHA-2 or later");
const NAMES: Rule = Rule::new("RFC 9525 section 6 (V4)", "the names that are asked for, in subjectAltName");
/// RFC 5280 section 6.1.3 (a)(1).
const SIGNATURE: Rule =
    Rule::new("RFC 5280 section 6.1.3 (V1)", "a signature by the issuer's key, of an algorithm that is known");

/// A reason against a certificate: the rule that it breaks, and how.
#[derive(Clone)]
pub(super) struct Objection {
    /// `None` where a limit of the library's own was reached.
    pub rule: Option<Rule>,
    pub code: Code,
    pub text: String,
}

#[cold]
pub(super) fn objection(rule: Rule, code: Code, text: impl Into<String>) -> Option<Objection> {
    Some(Objection { rule: Some(rule), code, text: text.into() })
}

/// What speaks against the certificate that was asked about.
pub(super) fn against_end_entity(certificate: &Certificate, facts: &Facts<'_>, checks: &Checks) -> Option<Objection> {
    against_any(certificate, facts, checks, Role::EndEntity)
        .or_else(|| against_key(certificate, checks))
        .or_else(|| {
            let missing = checks.key_usages.iter().find(|usage| !facts.allows(**usage))?;
            objection(USAGE, Code::KeyUsage, format!("keyUsage does not allow {}", missing.name()))
        })
        .or_else(|| against_names(certificate, facts, &checks.names))
}

/// What speaks against a certificate as the issuer of another.
pub(super) fn against_issuer(
    certificate: &Certificate,
    facts: &Facts<'_>,
    checks: &Checks,
    role: Role,
) -> Option<Objection> {
    if certificate.subject() == EMPTY_NAME {
        return objection(ISSUERS_NAME, Code::Malformed, "an issuer without a name");
    }
    against_authority(facts, role).or_else(|| against_any(certificate, facts, checks, role))
}

const EMPTY_NAME: &[u8] = &[0x30, 0x00];

/// What is asked of every certificate on the path.
fn against_any(certificate: &Certificate, facts: &Facts<'_>, checks: &Checks, role: Role) -> Option<Objection> {
    if certificate.signature_algorithm() != certificate.tbs_signature_algorithm() {
        // As bytes: parameters that differ are a difference.
        return objection(
            ONE_ALGORITHM,
            Code::Malformed,
            "the algorithm inside the signature differs from the one beside it",
        );
    }
    let recognised = if matches!(role, Role::EndEntity) { &checks.recognised[..] } else { &[] };
    if let Some(unknown) = facts.unknown_critical(recognised) {
        let words = format!("the critical extension {unknown} is not understood");
        return objection(UNDERSTOOD, Code::CriticalExtension, words);
    }
    if let Some(text) = contradicts_no_rev_avail(facts) {
        return objection(NO_STATUS, Code::Malformed, text);
    }
    against_validity(certificate, checks).or_else(|| against_purposes(facts, checks)).or_else(|| match checks.profile {
        Profile::Default => None,
        Profile::Strict => profile::broken_duty(certificate, facts, role)
            .and_then(|(rule, text)| objection(rule, Code::Malformed, text)),
    })
}

/// RFC 9608 section 3: who says that there is no status data neither is a CA nor says where it is.
fn contradicts_no_rev_avail(facts: &Facts<'_>) -> Option<String> {
    if !facts.no_rev_avail {
        return None;
    }
    if facts.basic_constraints.is_some_and(|basic| basic.ca) {
        return Some("noRevAvail in the certificate of a CA".to_owned());
    }
    facts.status_pointer.map(|pointer| format!("noRevAvail beside {pointer}"))
}

/// RFC 5280 section 6.1.3 (a)(2); both ends are inclusive (section 4.1.2.5).
pub(super) fn against_validity(certificate: &Certificate, checks: &Checks) -> Option<Objection> {
    let at = checks.at.known()?;
    // Clocks differ: what an issuer has just made may begin in our future. What has expired has expired by any clock.
    if at.plus(i64::from(checks.clock_skew_seconds)) < certificate.not_before() {
        let text = format!("valid from {}, checked at {at}", certificate.not_before());
        return objection(VALIDITY, Code::NotYetValid, text);
    }
    if at > certificate.not_after() {
        return objection(VALIDITY, Code::Expired, format!("valid until {}, checked at {at}", certificate.not_after()));
    }
    None
}

/// RFC 5280 section 4.2.1.12. A CA that restricts its own purposes restricts what it can issue for.
fn against_purposes(facts: &Facts<'_>, checks: &Checks) -> Option<Objection> {
    for wanted in &checks.extended_key_usages {
        let mut purposes = facts.purposes()?;
        let any = oid::ANY_EXTENDED_KEY_USAGE;
        if !purposes.any(|found| found == wanted.as_bytes() || found == any.as_bytes()) {
            let allowed: Vec<String> = facts.purposes()?.take(8).map(purpose_of).collect();
            let text = format!(
                "extendedKeyUsage does not allow the purpose {}; it allows {}",
                purpose_of(wanted.as_bytes()),
                allowed.join(", ")
            );
            return objection(PURPOSE, Code::KeyUsage, text);
        }
    }
    None
}

/// A purpose for people: its name and its number.
fn purpose_of(content: &[u8]) -> String {
    let Ok(found) = Oid::from_bytes(content) else { return hex(content) };
    purpose::named(found)
}

/// RFC 5280 section 6.1.4 (k), (n). An anchor of an old form may be silent about being a CA, but not deny it.
fn against_authority(facts: &Facts<'_>, role: Role) -> Option<Objection> {
    match facts.basic_constraints {
        Some(basic) if basic.ca => {}
        None if role == Role::Anchor => {}
        _ => return objection(IS_CA, Code::NotACa, "issues certificates without being a CA (basicConstraints)"),
    }
    if !facts.allows(KeyUsage::KeyCertSign) {
        return objection(SIGNS_CERTIFICATES, Code::KeyUsage, "keyUsage does not allow to sign certificates");
    }
    None
}

/// The key of the certificate that was asked about: of issuers it is checked with the signature.
fn against_key(certificate: &Certificate, checks: &Checks) -> Option<Objection> {
    match KeyKind::of_spki(certificate.spki()) {
        Ok(kind) => against_size(kind, checks.allow_weak),
        // A type of key or a curve that is not known here may be for other uses than ours; what is known must be well-formed.
        Err(error) if matches!(error.problem, Problem::Unknown { .. }) => None,
        Err(error) => objection(KEY, Code::BadKey, error.to_string()),
    }
}

fn against_size(kind: KeyKind, allow_weak: bool) -> Option<Objection> {
    match kind {
        KeyKind::Rsa(bits) if bits < 2048 && !allow_weak => {
            let words = format!("an RSA key of {bits} bits, at least 2048 are demanded{WEAK_SWITCH}");
            objection(STRENGTH, Code::WeakAlgorithm, words)
        }
        _ => None,
    }
}

fn against_names(certificate: &Certificate, facts: &Facts<'_>, names: &NameCheck) -> Option<Objection> {
    let names = match names {
        NameCheck::NotChecked => return None,
        NameCheck::All(names) => names,
    };
    if names.is_empty() {
        return objection(NAMES, Code::Name, "names are to be checked, but none is given");
    }
    for name in names {
        if let Err(why) = name.may_be_asked_for() {
            return objection(NAMES, Code::Name, format!("{name}: {why}"));
        }
    }
    match identity::first_missing(names, facts.subject_alt_name) {
        Ok(None) => None,
        Ok(Some(missing)) => {
            let carried = identity::carried(certificate.subject(), facts.subject_alt_name);
            objection(NAMES, Code::Name, format!("the certificate does not carry the {missing}: {carried}"))
        }
        Err(error) => objection(FORM, Code::Malformed, error.to_string()),
    }
}

/// What speaks against the signature on `signed` by a key: algorithm, key, and the signature itself. One that was found
/// good is not checked again on the same certificate or a copy of it: the key is compared byte for byte, with the
/// parameters that it may have inherited.
pub(super) fn against_signature(
    provider: &dyn Provider,
    signed: &Certificate,
    signer_spki: &[u8],
    allow_weak: bool,
) -> Option<Objection> {
    if signed.is_known_to_be_signed_by(signer_spki, allow_weak) {
        return None;
    }
    let against = against_unknown_signature(provider, signed, signer_spki, allow_weak);
    if against.is_none() {
        signed.note_signed_by(signer_spki, allow_weak);
    }
    against
}

fn against_unknown_signature(
    provider: &dyn Provider,
    signed: &Certificate,
    signer_spki: &[u8],
    allow_weak: bool,
) -> Option<Objection> {
    if let Some(digest) = dsa::digest_of(signed.signature_algorithm()) {
        return against_dsa_signature(provider, digest, signed, signer_spki, allow_weak);
    }
    let algorithm = match SignatureAlgorithm::from_der(signed.signature_algorithm()) {
        Ok(algorithm) => algorithm,
        Err(error) => return objection(SIGNATURE, Code::Algorithm, error.to_string()),
    };
    if let Some(weakness) = algorithm.weakness().filter(|_| !allow_weak) {
        return objection(STRENGTH, Code::WeakAlgorithm, format!("the signature is {weakness}{WEAK_SWITCH}"));
    }
    let kind = match KeyKind::of_spki(signer_spki) {
        Ok(kind) => kind,
        Err(error) => return objection(KEY, Code::BadKey, format!("the issuer's key: {error}")),
    };
    if let Some(weak) = against_size(kind, allow_weak) {
        return Some(weak);
    }
    if !algorithm.fits(kind) {
        return objection(
            SIGNATURE,
            Code::SignatureInvalid,
            format!("the issuer's key is {kind}, the signature is of another kind"),
        );
    }
    match provider.verify(&algorithm, signer_spki, signed.tbs(), signed.signature(), allow_weak) {
        Ok(()) => None,
        Err(CryptoError::Mismatch) => {
            objection(SIGNATURE, Code::SignatureInvalid, "the signature does not match the issuer's key")
        }
        Err(CryptoError::Unsupported(what)) => objection(SIGNATURE, Code::Algorithm, algorithm.not_checked(&what)),
        Err(error) => objection(KEY, Code::BadKey, format!("the issuer's key: {error}")),
    }
}

fn against_dsa_signature(
    provider: &dyn Provider,
    digest: DigestAlgorithm,
    signed: &Certificate,
    signer_spki: &[u8],
    allow_weak: bool,
) -> Option<Objection> {
    if !allow_weak {
        return objection(STRENGTH, Code::WeakAlgorithm, format!("the signature is made with DSA{WEAK_SWITCH}"));
    }
    match dsa::verify(provider, digest, signer_spki, signed.tbs(), signed.signature()) {
        Ok(()) => None,
        Err(CryptoError::Mismatch) => {
            objection(SIGNATURE, Code::SignatureInvalid, "the signature does not match the issuer's key")
        }
        Err(error) => objection(KEY, Code::BadKey, format!("the issuer's key: {error}")),
    }
}
