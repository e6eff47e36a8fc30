//! What a validation found: never a bare yes or no.

use super::certificate::WEAK_SWITCH;
use super::checks::{Checks, NameCheck, Profile};
use super::revocation_policy::{RevocationMode, RevocationScope};
use super::rules::{FORM, PATH};
use crate::asn1::oid::Oid;
use crate::asn1::x509::Certificate;
use crate::codes::{Class, Code};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

/// The answer to one validation: the path used, or the findings that speak against every path tried.
#[derive(Clone, Debug)]
pub struct Report {
    path: Option<ValidPath>,
    findings: Vec<Finding>,
    /// Which certificate the first finding is about, where it is another than the one that was asked about.
    about: Option<Certificate>,
}

/// A path that passed every check asked for. Only the validator makes one.
#[derive(Clone, Debug)]
pub struct ValidPath {
    chain: Vec<Certificate>,
    not_after: Time,
    status_until: Option<Time>,
    policies: Option<Vec<Oid>>,
    asked: Asked,
    /// The certificates below the anchor that had a usable status, and from when each is.
    with_status: Vec<(Certificate, Time)>,
}

/// One kind of check that a certificate of a valid path passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Every extension that is known is well-formed, every critical one is known.
    Extensions,
    /// The key of the next certificate made its signature; algorithm and key are strong enough.
    Signature,
    /// It is within its validity.
    Validity,
    /// It may issue certificates, and so many below it.
    Authority,
    /// Its names satisfy the constraints of all above it.
    NameConstraints,
    /// The certificate policies (RFC 9618).
    Policies,
    /// The purposes asked for.
    Purposes,
    /// The uses of its key asked for.
    KeyUsages,
    /// The names asked for.
    Names,
    /// Its status was looked for; where none was found and none is demanded, a finding says so.
    Status,
    /// What RFC 5280 demands of its issuer (strict profile).
    IssuerDuties,
}

/// What the caller asked for beyond what is always checked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    validity: bool,
    purposes: bool,
    key_usages: bool,
    names: bool,
    issuer_duties: bool,
    /// How many certificates of the path need a status, from the first on.
    status_count: usize,
}

impl Asked {
    fn new(checks: &Checks, length: usize) -> Self {
        let status_count = match (checks.revocation.mode, checks.revocation.scope) {
            (RevocationMode::Off, _) => 0,
            (_, RevocationScope::LeafOnly) => 1.min(length - 1),
            (_, RevocationScope::WholeChain) => length - 1,
        };
        Asked {
            validity: checks.at.known().is_some(),
            purposes: !checks.extended_key_usages.is_empty(),
            key_usages: !checks.key_usages.is_empty(),
            names: checks.names != NameCheck::NotChecked,
            issuer_duties: checks.profile == Profile::Strict,
            status_count,
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// Which certificate of the path: 0 is the one that was asked about.
    pub certificate_index: Option<usize>,
    /// For people: what was expected, what came.
    pub text: String,
    /// Whether it alone refuses the path.
    pub fatal: bool,
    /// The rule that was broken, or that could not be followed; `None` where a limit of the library's own ended the search.
    pub rule: Option<Rule>,
}

impl Report {
    /// A path was found; `findings` must not hold a fatal one.
    pub(super) fn valid(path: ValidPath, findings: Vec<Finding>) -> Self {
        debug_assert!(findings.iter().all(|f| !f.fatal));
        Report { path: Some(path), findings, about: None }
    }

    /// No path was found; the first finding is the most telling one.
    pub(super) fn refused(findings: Vec<Finding>) -> Self {
        debug_assert!(findings.iter().any(|f| f.fatal));
        Report { path: None, findings, about: None }
    }

    /// The same where the first finding is about this certificate of a path.
    pub(super) fn about(mut self, certificate: Option<&Certificate>) -> Self {
        self.about = certificate.cloned();
        self
    }

    /// What was sent is no certificate that can be read: the answer is a report as well.
    pub fn unreadable(why: &Error) -> Self {
        let text = format!("the certificate cannot be read: {}", why.message());
        Report::refused(vec![Finding::fatal(FORM, Code::Malformed, Some(0), text)])
    }

    /// The same with notes behind its findings: what the caller of the validator could not get.
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(notes.into_iter().map(|note| Finding { fatal: false, ..note }));
        self
    }

    /// Whether a path was found that nothing fatal speaks against.
    pub fn is_valid(&self) -> bool {
        self.path.is_some() && self.findings.iter().all(|f| !f.fatal)
    }

    /// The path, if the certificate is valid.
    pub fn path(&self) -> Option<&ValidPath> {
        if self.is_valid() { self.path.as_ref() } else { None }
    }

    /// Everything found, the most telling first. A valid path can have findings too: checks that could not be made.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The most telling reason why the certificate is not valid; `None` if it is. A switch of validators is not named: who
    /// enrols, imports or speaks TLS has none.
    pub fn error(&self) -> Option<Error> {
        self.reason(|text| text.replace(WEAK_SWITCH, ""))
    }

    fn reason(&self, words: impl FnOnce(&str) -> String) -> Option<Error> {
        if self.is_valid() {
            return None;
        }
        let Some(finding) = self.findings.iter().find(|f| f.fatal) else {
            return Some(PATH.broken(Code::NoPath, "no path to a trust anchor"));
        };
        let index = finding.certificate_index.and_then(|i| u32::try_from(i).ok());
        let text = words(&finding.text);
        let words = match &self.about {
            Some(certificate) if index.is_some_and(|index| index > 0) => format!("{certificate}: {text}"),
            _ => text,
        };
        let error = Error::new(finding.code, words).with(|facts| facts.certificate_index = index);
        Some(match finding.rule {
            Some(rule) => error.breaks(rule),
            None => error,
        })
    }

    /// The same as an answer to the question whether the certificate is valid: a code of the class of validation, whatever it
    /// is refused for. What the finding's own code says more is in the report.
    pub fn refusal(&self) -> Option<Error> {
        self.reason(str::to_owned).map(|error| error.recoded(validation_code))
    }
}

impl ValidPath {
    pub(super) fn new(
        chain: Vec<Certificate>,
        not_after: Time,
        status_until: Option<Time>,
        policies: Option<Vec<Oid>>,
        checks: &Checks,
    ) -> Self {
        let asked = Asked::new(checks, chain.len());
        ValidPath { chain, not_after, status_until, policies, asked, with_status: Vec::new() }
    }

    /// The same where these certificates, by index, have a good status, from then on.
    pub(super) fn with_good_status(mut self, good: &[(usize, Time)]) -> Self {
        let found = good.iter().filter_map(|(index, from)| Some((self.chain.get(*index)?.clone(), *from)));
        self.with_status = found.collect();
        self
    }

    /// The certificates whose status was found good, what `status_until` rests on, and from when each is.
    pub(super) fn with_status(&self) -> &[(Certificate, Time)] {
        &self.with_status
    }

    /// What was checked of one certificate of the path, 0 being the one that was asked about. Empty beyond the anchor.
    pub fn checks_made(&self, index: usize) -> Vec<Check> {
        if index >= self.chain.len() {
            return Vec::new();
        }
        let (is_leaf, is_anchor) = (index == 0, index + 1 == self.chain.len());
        let asked = &self.asked;
        [
            (Check::Extensions, true),
            (Check::Signature, !is_anchor),
            (Check::Validity, asked.validity),
            (Check::Authority, !is_leaf),
            (Check::NameConstraints, !is_anchor),
            (Check::Policies, !is_anchor),
            (Check::Purposes, asked.purposes),
            (Check::KeyUsages, asked.key_usages && is_leaf),
            (Check::Names, asked.names && is_leaf),
            (Check::Status, index < asked.status_count),
            (Check::IssuerDuties, asked.issuer_duties),
        ]
        .into_iter()
        .filter_map(|(check, made)| made.then_some(check))
        .collect()
    }

    /// The certificate that was asked about first, the trust anchor last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Last second at which every certificate of the path, the anchor included, is within its validity.
    pub fn not_after(&self) -> Time {
        self.not_after
    }

    /// Last second at which all status data that the verdict rests on is current; `None` if it rests on none.
    pub fn status_until(&self) -> Option<Time> {
        self.status_until
    }

    /// The policies the path is valid for (RFC 5280 section 6.1.6); `None` means any policy, empty means none.
    pub fn policies(&self) -> Option<&[Oid]> {
        self.policies.as_deref()
    }

    /// The certificate that was asked about.
    pub fn leaf(&self) -> &Certificate {
        &self.chain[0]
    }

    /// The trust anchor the path ends at.
    pub fn anchor(&self) -> &Certificate {
        &self.chain[self.chain.len() - 1]
    }
}

impl Finding {
    /// A finding that refuses the path, by this rule.
    pub(super) fn fatal(rule: Rule, code: Code, certificate_index: Option<usize>, text: impl Into<String>) -> Self {
        Finding { code, certificate_index, text: text.into(), fatal: true, rule: Some(rule) }
    }

    /// A limit of the library's own was reached before all was looked at: what refuses the path is no rule of a standard.
    pub(super) fn unfinished(text: impl Into<String>) -> Self {
        Finding { code: Code::Budget, certificate_index: None, text: text.into(), fatal: true, rule: None }
    }

    /// A finding that the caller should know of and that refuses nothing: what this rule asks for was not looked at, or not to its end.
    pub(super) fn note(rule: Rule, code: Code, certificate_index: Option<usize>, text: impl Into<String>) -> Self {
        Finding { code, certificate_index, text: text.into(), fatal: false, rule: Some(rule) }
    }
}

/// The class of an answer follows the question: whatever a certificate is refused for, the code is one of validation. The
/// finding keeps the code that says more.
fn validation_code(code: Code) -> Code {
    match code.class() {
        Class::Validation => code,
        // A signature that does not match, or that nobody here can check.
        _ if matches!(code, Code::SignatureInvalid | Code::Algorithm) => Code::BadSignature,
        _ => Code::Malformed,
    }
}

impl Finding {
    /// Its code as one of the class of validation, as [`Report::refusal`] has it: one code for one thing.
    pub fn validation_code(&self) -> Code {
        if self.fatal { validation_code(self.code) } else { self.code }
    }
}

/// How much a code tells when several paths failed: the later in validation a path fails, the likelier it is the path
/// that was meant.
pub(super) fn rank(code: Code) -> u8 {
    match code {
        Code::Budget => 200,
        Code::Revoked => 100,
        Code::CrlRollback => 96,
        Code::RevocationUnknown | Code::Stale => 95,
        Code::Name => 90,
        Code::Policy => 85,
        Code::NameConstraints => 80,
        Code::KeyUsage => 75,
        Code::Expired => 70,
        Code::NotYetValid => 69,
        Code::PathLength => 65,
        Code::CriticalExtension => 60,
        Code::Malformed => 58,
        Code::WeakAlgorithm => 55,
        Code::Algorithm => 53,
        Code::BadKey => 52,
        Code::NotACa => 50,
        Code::SignatureInvalid => 45,
        Code::NoPath => 0,
        _ => 40,
    }
}
