//! An adversary against the device's verdicts: stories of attacks, and properties that hold over generated PKIs whatever
//! a peer adds. A thousand PKIs in the ordinary run; `DEVID_ADVERSARY_PKIS=20000` asks for more (`make adversary`).

mod authority;
mod forms;
mod held;
mod lasting;
mod limits;
mod properties;
mod ra;
mod stories;
mod worlds;

use std::sync::Arc;

use certificates::{Party, now, provider};
use devid::validation::{
    Checks, Crl, OcspResponse, Report, RevocationMode, RevocationPolicy, StatusSources, TrustAnchors, validate,
};
use devid_test_support::{certificates, counting, status};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];

fn checks(mode: RevocationMode) -> Checks {
    let mut checks = Checks::at(now());
    checks.revocation = RevocationPolicy { mode, ..RevocationPolicy::hard_fail() };
    checks
}

/// A validation of the first of these, with the rest as helpers.
fn judge(
    anchors: &[&Party],
    sent: &[&Party],
    crls: &[Arc<Crl>],
    ocsp: &[Arc<OcspResponse>],
    mode: RevocationMode,
) -> Report {
    let anchors: TrustAnchors = anchors.iter().map(|p| p.certificate.clone()).collect();
    let pool: Vec<_> = sent[1..].iter().map(|p| p.certificate.clone()).collect();
    let status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
    validate(&**provider(), &anchors, &sent[0].certificate, &pool, &status, &checks(mode))
}
