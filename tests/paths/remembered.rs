//! A signature that was found good is not checked again on the same certificate: how many are, by a provider that counts.

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::validation::{Checks, StatusSources, TrustAnchors, validate};

use crate::certificates::{Builder, Party, key, now};
use crate::counting::Counting;

/// A root with two CAs below it; the certificates that a device keeps, read once.
struct Kept {
    root: Party,
    upper: Party,
    lower: Party,
}

impl Kept {
    fn new() -> Self {
        let root = Party::root("Root");
        let upper = root.ca("upper");
        let lower = upper.ca("lower");
        Kept { root, upper, lower }
    }

    fn pool(&self) -> [Certificate; 2] {
        [self.upper.certificate.clone(), self.lower.certificate.clone()]
    }
}

/// The code of a validation, and how many signatures it checked.
fn judged(counting: &Counting, root: &Certificate, leaf: &Certificate, pool: &[Certificate]) -> (Option<Code>, u32) {
    judged_by(counting, root, leaf, pool, &Checks::at(now()))
}

fn judged_by(
    counting: &Counting,
    root: &Certificate,
    leaf: &Certificate,
    pool: &[Certificate],
    checks: &Checks,
) -> (Option<Code>, u32) {
    let anchors: TrustAnchors = std::iter::once(root.clone()).collect();
    let report = validate(counting, &anchors, leaf, pool, &StatusSources::none(), checks);
    (report.error().map(|error| error.code()), counting.take_signatures())
}

/// The same certificate read anew, as it comes from a peer.
fn again(certificate: &Certificate) -> Certificate {
    Certificate::from_der(certificate.as_der()).expect("it parsed before")
}

#[test]
fn a_kept_intermediate_costs_its_signature_once() {
    let kept = Kept::new();
    let counting = Counting::new();
    let (root, pool) = (&kept.root.certificate, kept.pool());
    for meeting in 0..3 {
        let peer = kept.lower.leaf("peer").certificate;
        let expected = if meeting == 0 { 3 } else { 1 };
        assert_eq!(judged(&counting, root, &peer, &pool), (None, expected));
        // The peer sends its chain along, as peers do: what is kept comes first and is what is used.
        let sent = [&pool[..], &[again(&pool[0]), again(&pool[1])]].concat();
        assert_eq!(judged(&counting, root, &again(&peer), &sent), (None, 1));
    }
}

#[test]
fn only_the_same_bytes_by_the_same_key_under_the_same_rule_are_known() {
    let kept = Kept::new();
    let counting = Counting::new();
    let (root, pool) = (&kept.root.certificate, kept.pool());
    let peer = kept.lower.leaf("peer").certificate;
    assert_eq!(judged(&counting, root, &peer, &pool), (None, 3));
    assert_eq!(judged(&counting, root, &peer, &pool), (None, 0));

    // Copies of what is kept that came by another way know nothing.
    assert_eq!(judged(&counting, root, &peer, &pool.each_ref().map(again)), (None, 2));
    // Another rule about weak algorithms.
    let weak = Checks { allow_weak: true, ..Checks::at(now()) };
    assert_eq!(judged_by(&counting, root, &peer, &pool, &weak), (None, 3));
    // Another key under the same name: the known signature is not its own.
    let stranger = Builder::ca("lower").signed_by(&kept.upper);
    let with = [pool[0].clone(), stranger.certificate.clone()];
    assert_eq!(judged(&counting, root, &peer, &with).0, Some(Code::SignatureInvalid));
    let other_root = Builder::ca("Root").key(&key()).self_signed();
    assert_eq!(judged(&counting, &other_root.certificate, &peer, &pool).0, Some(Code::SignatureInvalid));
}

#[test]
fn a_signature_that_failed_is_never_remembered_as_good() {
    let kept = Kept::new();
    let counting = Counting::new();
    let (root, pool) = (&kept.root.certificate, kept.pool());
    // Everything that decides takes part in what is remembered: a certificate with any other signature is another one.
    let good = kept.lower.leaf("peer").certificate;
    assert_eq!(judged(&counting, root, &good, &pool).0, None);
    let mut bytes = good.as_der().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = Certificate::from_der(&bytes).unwrap();
    for _ in 0..3 {
        assert_eq!(judged(&counting, root, &forged, &pool), (Some(Code::SignatureInvalid), 1), "asked every time");
    }
    assert_eq!(judged(&counting, root, &good, &pool), (None, 0));
    // The budget is that of a validation without memory: what was seen before changes no verdict.
    let mut checks = Checks::at(now());
    checks.budget.signatures = 2;
    assert_eq!(judged_by(&counting, root, &good, &pool, &checks).0, Some(Code::Budget));
}
