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
}
