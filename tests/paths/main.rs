//! Certificate paths: what is found, what is refused and why. Every certificate is made here.

mod building;
mod constraints;
mod hostile;
mod names;
mod policies;
mod remembered;
mod single;
mod strict;

use certificates::{Party, now, provider};
use devid::Code;
use devid::asn1::x509::Certificate;
use devid::validation::{Checks, Report, StatusSources, TrustAnchors, validate};
use devid_test_support::{certificates, counting};

/// Checks at [`now`] with nothing else asked.
fn plain() -> Checks {
    Checks::at(now())
}

/// Validates with one anchor.
fn check(anchor: &Party, leaf: &Party, pool: &[&Party], checks: &Checks) -> Report {
    check_all(&[anchor], leaf, pool, checks)
}

fn check_all(anchors: &[&Party], leaf: &Party, pool: &[&Party], checks: &Checks) -> Report {
    let anchors: TrustAnchors = anchors.iter().map(|p| p.certificate.clone()).collect();
    let pool: Vec<Certificate> = pool.iter().map(|p| p.certificate.clone()).collect();
    validate(&**provider(), &anchors, &leaf.certificate, &pool, &StatusSources::none(), checks)
}

#[track_caller]
fn assert_valid(report: &Report) {
    assert!(report.is_valid(), "{:?}", report.findings());
    assert!(report.error().is_none() && report.path().is_some());
}

#[track_caller]
fn assert_refused(report: &Report, code: Code) {
    let error = report.error().expect("refused");
    assert_eq!(error.code(), code, "{:?}", report.findings());
    assert!(report.path().is_none(), "a refused certificate has no path to read a key from");
    let rules = rules_behind(code);
    let (rule, asked_for) = (error.facts().requirement, &error.facts().expected);
    assert_eq!((rule.is_none(), asked_for.is_none()), (rules.is_empty(), rules.is_empty()), "{:?}", report.findings());
    assert!(rule.is_none_or(|rule| rules.iter().any(|known| rule.starts_with(known))), "{code:?}: {rule:?}");
}

/// Where the rules stand that a refusal of this kind can rest on; none for limits of the library's own.
fn rules_behind(code: Code) -> &'static [&'static str] {
    match code {
        Code::Budget => &[],
        Code::Expired | Code::NotYetValid | Code::SignatureInvalid | Code::Algorithm => {
            &["RFC 5280 section 6.1.3 (V1)"]
        }
        Code::NotACa | Code::PathLength => &["RFC 5280 section 6.1.4 (V1)"],
        Code::NameConstraints => &["RFC 5280 section 4.2.1.10 (V1)"],
        Code::KeyUsage => {
            &["RFC 5280 section 4.2.1.3 (V1)", "RFC 5280 section 4.2.1.12 (V1)", "RFC 5280 section 6.1.4 (V1)"]
        }
        Code::Policy => &["RFC 9618 section 5.6 (V2)", "RFC 5280 section 6.1.4 (V2)"],
        Code::Name => &["RFC 9525 section 6 (V4)"],
        Code::WeakAlgorithm => &["NIST SP 800-131A (V1)"],
        Code::CriticalExtension => &["RFC 5280 section 4.2 (V1)"],
        Code::NoPath => &["RFC 5280 section 6.1 (V"],
        Code::BadKey => &["RFC 5280 section 4.1.2.7 (V1)"],
        Code::Revoked | Code::RevocationUnknown => &["RFC 5280 section 6.1.3 (V5, V7)"],
        _ => &["RFC 5280 section 4", "RFC 9608 section 3 (V9)"],
    }
}
