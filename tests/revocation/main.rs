//! Revocation: what CRLs and OCSP responses prove, what they do not, and the gate to a peer's key. Everything is made
//! here.

mod crl_scopes;
mod crls;
mod documents;
mod gate;
mod heap;
mod hostile;
mod ocsp;
mod odd_parts;
mod openssl;
mod signers;
mod streams;

use std::sync::Arc;

use certificates::{Builder, Party, now, provider};
use devid::Code;
use devid::asn1::x509::Certificate;
use devid::validation::{
    Checks, Crl, OcspResponse, Report, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors, validate,
};
use devid_test_support::{certificates, left_out, status};

/// A root, a CA under it, a device under that.
struct World {
    root: Party,
    ca: Party,
    device: Party,
}

impl World {
    fn new() -> Self {
        Self::with_device(|builder| builder)
    }

    fn with_device(change: impl FnOnce(Builder) -> Builder) -> Self {
        let root = Party::root("Root");
        let ca = root.ca("CA");
        let device = change(Builder::leaf("device")).signed_by(&ca);
        World { root, ca, device }
    }

    /// Hard fail for the device alone.
    fn leaf_checks() -> Checks {
        let mut checks = Checks::at(now());
        checks.revocation = RevocationPolicy::hard_fail();
        checks.revocation.scope = RevocationScope::LeafOnly;
        checks
    }

    /// Hard fail for device and CA.
    fn chain_checks() -> Checks {
        let mut checks = Checks::at(now());
        checks.revocation = RevocationPolicy::hard_fail();
        checks
    }

    fn check(&self, status: &StatusSources, checks: &Checks) -> Report {
        self.check_with(status, checks, &[])
    }

    fn check_with(&self, status: &StatusSources, checks: &Checks, more: &[&Party]) -> Report {
        let anchors: TrustAnchors = std::iter::once(self.root.certificate.clone()).collect();
        let mut pool: Vec<Certificate> = vec![self.ca.certificate.clone()];
        pool.extend(more.iter().map(|p| p.certificate.clone()));
        validate(&**provider(), &anchors, &self.device.certificate, &pool, status, checks)
    }

    /// Checks the device alone, hard fail, against these lists.
    fn by_crls(&self, crls: &[Arc<Crl>]) -> Report {
        self.check(&crl_sources(crls), &Self::leaf_checks())
    }

    /// The same against this OCSP response.
    fn by_ocsp(&self, response: Arc<OcspResponse>) -> Report {
        self.check(&ocsp_sources(&[response]), &Self::leaf_checks())
    }
}

fn crl_sources(crls: &[Arc<Crl>]) -> StatusSources {
    StatusSources { crls: crls.to_vec(), ..StatusSources::none() }
}

fn ocsp_sources(responses: &[Arc<OcspResponse>]) -> StatusSources {
    StatusSources { ocsp: responses.to_vec(), ..StatusSources::none() }
}

#[track_caller]
fn assert_good(report: &Report) {
    assert!(report.is_valid(), "{:?}", report.findings());
}

#[track_caller]
fn assert_revoked(report: &Report) {
    assert_code(report, Code::Revoked);
}

/// Refused for want of a usable status; the reason must speak of `word`.
#[track_caller]
fn assert_unknown(report: &Report, word: &str) {
    assert_code(report, Code::RevocationUnknown);
    let text = report.error().unwrap().message().to_owned();
    assert!(text.contains(word), "expected {word:?} in: {text}");
}

#[track_caller]
fn assert_code(report: &Report, code: Code) {
    let error = report.error().expect("refused");
    assert_eq!(error.code(), code, "{:?}", report.findings());
    assert!(report.path().is_none());
}
