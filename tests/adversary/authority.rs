//! On whose word a revocation rests is what is at hand of who has said it, and not what a peer sends it with; and who takes it back may
//! do so wherever it counts.

use std::sync::Arc;

use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::StatusMemory;
use devid::validation::{Crl, KeyUsage, OcspResponse, Report, RevocationMode, StatusSources, TrustAnchors, validate};

use crate::certificates::{Builder, Party, now, provider};
use crate::checks;
use crate::status::{
    CrlBuilder, INDIRECT, OcspBuilder, Single, certificate_issuer, crl_issuer, flag, point_url, points,
};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const ON_HOLD: u8 = 6;

/// A device with one memory, that meets peers.
struct Device {
    memory: StatusMemory,
}

impl Device {
    fn new() -> Self {
        Device { memory: StatusMemory::new(provider().clone(), None) }
    }

    /// Under hard fail. `responders`: whom the owner trusts for OCSP besides.
    fn meets(
        &self,
        anchors: &[&Party],
        sent: &[&Party],
        crls: &[Arc<Crl>],
        ocsp: &[Arc<OcspResponse>],
        responders: &[&Party],
    ) -> Report {
        let anchors: TrustAnchors = anchors.iter().map(|p| p.certificate.clone()).collect();
        let pool: Vec<Certificate> = sent[1..].iter().map(|p| p.certificate.clone()).collect();
        let mut status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        self.memory.join(&mut status);
        let mut checks = checks(RevocationMode::HardFail);
        checks.revocation.scope = devid::validation::RevocationScope::LeafOnly;
        checks.revocation.trusted_responders = responders.iter().map(|p| p.certificate.clone()).collect();
        validate(&**provider(), &anchors, &sent[0].certificate, &pool, &status, &checks)
    }
}

fn signer(name: &str) -> Builder {
    Builder::leaf(name).key_usage(&[KeyUsage::CrlSign])
}

fn list(by: &Party, hours: i64) -> CrlBuilder {
    CrlBuilder::of(by).number(100 - hours as u64).times(now().plus(-hours * HOUR), Some(now().plus(DAY)))
}

fn good(of: &Party, issuer: &Party, by: OcspBuilder, hours: i64) -> Arc<OcspResponse> {
    by.says(Single::good(&of.certificate, issuer).times(now().plus(-hours * HOUR), Some(now().plus(9 * DAY)))).build()
}

/// The signer of the CA's lists is certified by the root. A partner CA certifies the CA's key and that signer's key once more, and a signer
/// of its own in the CA's name. In whatever order a peer sends all of these, what the genuine signer has said stands, and is remembered.
#[test]
fn a_key_that_is_certified_once_more_has_said_what_it_has_said() {
    let root = Party::root("Root");
    let (ca, partner) = (root.ca("CA"), root.ca("Partner"));
    let peer = ca.leaf("peer");
    let genuine = signer("CA").signed_by(&root);
    let again = Builder::ca("CA").key(&ca.key).signed_by(&partner);
    let signer_again = signer("CA").key(&genuine.key).signed_by(&partner);
    let own = signer("CA").signed_by(&partner);
    let all = [&ca, &genuine, &partner, &again, &signer_again, &own];
    let old = good(&peer, &ca, OcspBuilder::by(&ca), 40);
    for reason in [ON_HOLD, 1] {
        let lists = [list(&genuine, 3).revokes_for(&peer, reason).build(), list(&own, 1).build()];
        for turn in 0..all.len() {
            for is_reversed in [false, true] {
                let mut order = all;
                order.rotate_left(turn);
                if is_reversed {
                    order.reverse();
                }
                let sent: Vec<&Party> = std::iter::once(&peer).chain(order).collect();
                let device = Device::new();
                let report = device.meets(&[&root], &sent, &lists, &[], &[]);
                assert!(!report.is_valid(), "reason {reason}, turn {turn} {is_reversed}: {:?}", report.findings());
                // The list is gone, and somebody comes with a word from before.
                let report = device.meets(&[&root], &[&peer, &ca], &[], std::slice::from_ref(&old), &[]);
                assert!(!report.is_valid(), "reason {reason}, turn {turn} {is_reversed}: forgotten");
            }
        }
        // Met without the CA's own certificate, where the device has the signer's.
        let device = Device::new();
        let sent = [&peer, &genuine, &again, &partner, &signer_again];
        assert!(!device.meets(&[&root], &sent, &lists[..1], &[], &[]).is_valid());
        let report = device.meets(&[&root], &[&peer, &ca], &[], std::slice::from_ref(&old), &[]);
        assert!(!report.is_valid(), "reason {reason}: forgotten");
    }
    // The dark twin: without the genuine list nobody is refused.
    let sent: Vec<&Party> = std::iter::once(&peer).chain(all).collect();
    assert!(Device::new().meets(&[&root], &sent, &[list(&genuine, 3).build()], &[], &[]).is_valid());
}

/// One memory for two purposes with anchors of their own: who is trusted for one takes back nothing of what counts for the other.
#[test]
fn who_is_trusted_elsewhere_lifts_no_hold_of_the_issuers() {
    let (root, elsewhere) = (Party::root("Root"), Party::root("Elsewhere"));
    let ca = root.ca("CA");
    let peer = ca.leaf("peer");
    let again = Builder::ca("CA").key(&ca.key).signed_by(&elsewhere);
    let own = signer("CA").signed_by(&elsewhere);
    let responder = Party::root("Responder");
    let held = [list(&ca, 30).revokes_for(&peer, ON_HOLD).build()];
    let old = good(&peer, &ca, OcspBuilder::by(&ca), 40);
    for is_responder in [false, true] {
        let device = Device::new();
        assert!(!device.meets(&[&root], &[&peer, &ca], &held, &[], &[]).is_valid());
        let by_others = match is_responder {
            false => device.meets(&[&elsewhere], &[&peer, &again, &own], &[list(&own, 1).build()], &[], &[]),
            true => {
                let word = good(&peer, &ca, OcspBuilder::by(&responder), 1);
                device.meets(&[&root], &[&peer, &ca], &[], &[word], &[&responder])
            }
        };
        assert!(by_others.is_valid(), "it is its owner's to trust: {:?}", by_others.findings());
        let report = device.meets(&[&root], &[&peer, &ca], &[], std::slice::from_ref(&old), &[]);
        assert!(!report.is_valid(), "responder {is_responder}: the hold is gone");
    }
    // The issuer's own word lifts it, for all, though one of the others is newer.
    let device = Device::new();
    assert!(!device.meets(&[&root], &[&peer, &ca], &held, &[], &[]).is_valid());
    let newer = good(&peer, &ca, OcspBuilder::by(&responder), 1);
    let lists = [list(&ca, 20).build()];
    assert!(device.meets(&[&root], &[&peer, &ca], &lists, &[newer], &[&responder]).is_valid());
    let report = device.meets(&[&root], &[&peer, &ca], &[], std::slice::from_ref(&old), &[]);
    assert!(report.is_valid(), "{:?}", report.findings());
    // By that alone, too.
    let device = Device::new();
    assert!(!device.meets(&[&root], &[&peer, &ca], &held, &[], &[]).is_valid());
    let lifted = device.meets(&[&root], &[&peer, &ca], &[], &[good(&peer, &ca, OcspBuilder::by(&ca), 2)], &[]);
    assert!(lifted.is_valid(), "{:?}", lifted.findings());
}

/// The CA has lifted its hold; that somebody else says something good later takes nothing of that away, with and without a memory.
#[test]
fn a_hold_that_its_ca_has_lifted_is_lifted_whoever_speaks_later() {
    let root = Party::root("Root");
    let upper = root.ca("Upper");
    let ca = upper.ca("CA");
    let peer = ca.leaf("peer");
    let other = signer("CA").signed_by(&upper);
    let sent = [&peer, &ca, &upper, &other];
    let hold = [list(&ca, 60).revokes_for(&peer, ON_HOLD).build()];
    for (lists, ocsp) in [
        (vec![list(&other, 10).build()], vec![good(&peer, &ca, OcspBuilder::by(&ca), 20)]),
        (vec![list(&ca, 20).build(), list(&other, 10).build()], Vec::new()),
    ] {
        for lists in [lists.clone(), lists.iter().rev().cloned().collect()] {
            let device = Device::new();
            assert!(!device.meets(&[&root], &sent, &hold, &[], &[]).is_valid());
            let report = device.meets(&[&root], &sent, &lists, &ocsp, &[]);
            assert!(report.is_valid(), "{:?}", report.findings());
        }
    }
    // The dark twin: the later word alone, which is not the CA's.
    let device = Device::new();
    assert!(!device.meets(&[&root], &sent, &hold, &[], &[]).is_valid());
    assert!(!device.meets(&[&root], &sent, &[list(&other, 10).build()], &[], &[]).is_valid());
}

/// The owner names as trusted whom the CA has certified as its responder: where it is not named, what it has revoked is revoked too.
#[test]
fn trust_in_a_responder_takes_nothing_away_of_what_it_has_revoked() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let peer = ca.leaf("peer");
    let responder = Builder::leaf("Responder").purposes(&[oid::KP_OCSP_SIGNING]).signed_by(&ca);
    let stranger = Party::root("Stranger");
    for (by, counts_elsewhere) in [(&responder, true), (&stranger, false)] {
        let device = Device::new();
        let single = Single::good(&peer.certificate, &ca).revoked(1).times(now().plus(-HOUR), Some(now().plus(DAY)));
        let word = OcspBuilder::delegated(by).says(single).build();
        assert!(!device.meets(&[&root], &[&peer, &ca], &[], &[word], &[by]).is_valid());
        let old = good(&peer, &ca, OcspBuilder::by(&ca), 40);
        let report = device.meets(&[&root], &[&peer, &ca], &[], &[old], &[]);
        assert_eq!(!report.is_valid(), counts_elsewhere, "{:?}", report.findings());
    }
}

/// The certificate's distribution point names another issuer of lists. After a change of roots the new one has certified the same keys:
/// what that issuer has revoked is revoked though its list is gone, as with a signer of the CA's own name.
#[test]
fn what_an_issuer_of_lists_has_revoked_outlives_its_root() {
    let (old, new) = (Party::root("Old"), Party::root("New"));
    let ca = old.ca("CA");
    let named = [point_url("http://pki.example/lists.crl"), crl_issuer(&Builder::leaf("Lists").subject)];
    let peer = Builder::leaf("peer").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&named])).signed_by(&ca);
    let lists = signer("Lists").signed_by(&old);
    let revoked = list(&lists, 2)
        .scope(&[point_url("http://pki.example/lists.crl"), flag(INDIRECT)])
        .entry(peer.certificate.serial(), &[certificate_issuer(ca.certificate.subject())])
        .build();
    let word = good(&peer, &ca, OcspBuilder::by(&ca), 40);
    for counts in [true, false] {
        let device = Device::new();
        assert!(!device.meets(&[&old], &[&peer, &ca, &lists], std::slice::from_ref(&revoked), &[], &[]).is_valid());
        let ca_again = Builder::ca("CA").key(&ca.key).signed_by(&new);
        // The dark twin: by that name, and with another key.
        let lists_again = match counts {
            true => signer("Lists").key(&lists.key).signed_by(&new),
            false => signer("Lists").signed_by(&new),
        };
        let report = device.meets(&[&new], &[&peer, &ca_again, &lists_again], &[], std::slice::from_ref(&word), &[]);
        assert_eq!(!report.is_valid(), counts, "{:?}", report.findings());
    }
}

/// Policies and name constraints are for whom certificates are about. A CA has several certificates, the peer sends the one that its signer
/// of lists does not fit below: whom that has revoked is revoked there too, and it clears nobody by it.
#[test]
fn no_constraint_above_takes_anything_back_of_what_a_signer_has_revoked() {
    use crate::certificates::{common_name, directory, dns};
    type Constraint = (&'static str, fn(Builder) -> Builder);
    let constraints: [Constraint; 6] = [
        ("a policy now", |ca| ca.policy_constraints(Some(0), None)),
        ("a policy one below", |ca| ca.policy_constraints(Some(1), None)),
        ("permitted directory names", |ca| ca.constraints(&[directory(&common_name("peer"))], &[])),
        ("excluded directory names", |ca| ca.constraints(&[], &[directory(&common_name("CA"))])),
        ("excluded hosts as well", |ca| ca.constraints(&[], &[directory(&common_name("CA")), dns("bad.example")])),
        ("no CA below", |ca| ca.path_len(0)),
    ];
    let policy = oid::ANY_POLICY;
    for (what, constrain) in constraints {
        for is_on_root in [false, true] {
            let root = if is_on_root { constrain(Builder::ca("Root")) } else { Builder::ca("Root") }.self_signed();
            let ca = Builder::ca("CA").policies(&[policy]).signed_by(&root);
            let other = constrain(Builder::ca("CA").policies(&[policy]).key(&ca.key)).signed_by(&root);
            let peer = Builder::leaf("peer").policies(&[policy]).signed_by(&ca);
            for certifier in [&ca, &root] {
                let genuine = signer("CA").signed_by(certifier);
                let revoking = list(&genuine, 1).revokes_for(&peer, 1).build();
                let clean = list(&ca, 3).build();
                for sent in [[&peer, &ca], [&peer, &other]] {
                    let sent = [&sent[..], &[&genuine]].concat();
                    let says = |lists: &[Arc<Crl>]| Device::new().meets(&[&root], &sent, lists, &[], &[]);
                    // A root without any CA below it is a path for nobody.
                    if says(std::slice::from_ref(&clean)).is_valid() {
                        for lists in [&[revoking.clone(), clean.clone()][..], std::slice::from_ref(&revoking)] {
                            let code = says(lists).error().map(|error| error.code());
                            assert_eq!(code, Some(devid::Code::Revoked), "{what}, on the root: {is_on_root}");
                        }
                    }
                    // Without a path of its own it clears nobody: the CA's word is needed.
                    let alone = says(&[list(&genuine, 1).build()]);
                    let has_path = says(std::slice::from_ref(&clean)).is_valid()
                        && validate(
                            &**provider(),
                            &std::iter::once(root.certificate.clone()).collect(),
                            &genuine.certificate,
                            &sent[1..].iter().map(|p| p.certificate.clone()).collect::<Vec<_>>(),
                            &StatusSources::none(),
                            &checks(RevocationMode::Off),
                        )
                        .is_valid();
                    assert_eq!(alone.is_valid(), has_path, "{what}: {:?}", alone.findings());
                }
            }
        }
    }
}

/// The same by a signer that is revoked itself, or was never certified by a key of the path: nobody's word.
#[test]
fn a_signer_without_a_path_and_without_a_certifier_on_it_revokes_nobody() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[oid::ANY_POLICY]).policy_constraints(Some(0), None).signed_by(&root);
    let peer = Builder::leaf("peer").policies(&[oid::ANY_POLICY]).signed_by(&ca);
    let genuine = signer("CA").signed_by(&ca);
    let clean = list(&ca, 3).build();
    let stranger = signer("CA").signed_by(&Party::root("Root"));
    let says = |by: &Party, lists: &[Arc<Crl>]| {
        let lists = [&[list(by, 1).revokes_for(&peer, 1).build(), clean.clone()][..], lists].concat();
        Device::new().meets(&[&root], &[&peer, &ca, by], &lists, &[], &[])
    };
    assert_eq!(says(&genuine, &[]).error().map(|error| error.code()), Some(devid::Code::Revoked));
    assert!(says(&stranger, &[]).is_valid());
    // Revoked before it said so.
    let over = signer("CA").valid(crate::certificates::date(2020, 1, 1), now().plus(-30 * DAY)).signed_by(&ca);
    assert!(says(&over, &[]).is_valid());
    let revoked = list(&ca, 2).entry(genuine.certificate.serial(), &[crate::status::reason_code(1)]).build();
    assert!(says(&genuine, &[revoked]).is_valid(), "its key was stolen before");
}

/// The CA, or the root, has a newer certificate over the same key, and the certificate of the signer is over since; or the owner is strict, and
/// the signer's certificate lacks what the profile asks for.
#[test]
fn what_a_signer_has_revoked_outlives_the_certificates_above_it_and_stands_under_a_strict_profile() {
    use crate::certificates::date;
    let old = date(2020, 1, 1);
    for is_over in [false, true] {
        for by_root in [false, true] {
            let root = Party::root("Root");
            let ca = root.ca("CA");
            let peer = ca.leaf("peer");
            let end = if is_over { now().plus(-HOUR) } else { now().plus(DAY) };
            let certifier = if by_root { &root } else { &ca };
            let genuine = signer("CA").valid(old, end).signed_by(certifier);
            let revoking = list(&genuine, 30).revokes_for(&peer, 1).build();
            let lists = [revoking, list(&ca, 40).build()];
            let since = now().plus(-2 * HOUR);
            let new_root = Builder::ca("Root").key(&root.key).valid(since, now().plus(99 * DAY)).self_signed();
            let new_ca = Builder::ca("CA").key(&ca.key).valid(since, now().plus(99 * DAY)).signed_by(&root);
            for anchor in [&root, &new_root] {
                for issuer in [&ca, &new_ca] {
                    let report = Device::new().meets(&[anchor], &[&peer, issuer, &genuine], &lists, &[], &[]);
                    let code = report.error().map(|error| error.code());
                    assert_eq!(code, Some(devid::Code::Revoked), "over: {is_over}, by the root: {by_root}");
                }
            }
        }
    }
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let peer = ca.leaf("peer");
    let genuine = signer("CA").without_key_identifiers().signed_by(&root);
    let status = StatusSources {
        crls: vec![list(&genuine, 1).revokes_for(&peer, 1).build(), list(&ca, 2).build()],
        ..StatusSources::none()
    };
    let mut checks = checks(RevocationMode::HardFail);
    checks.revocation.scope = devid::validation::RevocationScope::LeafOnly;
    for profile in [devid::validation::Profile::Default, devid::validation::Profile::Strict] {
        checks.profile = profile;
        let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
        let pool = [&ca, &genuine].map(|p| p.certificate.clone());
        let report = validate(&**provider(), &anchors, &peer.certificate, &pool, &status, &checks);
        assert_eq!(report.error().map(|error| error.code()), Some(devid::Code::Revoked), "{profile:?}");
    }
}

/// The device's clock is behind a new signer; or the root that has certified the signer ends while the peer's path leads to its successor, which
/// has another key.
#[test]
fn neither_a_clock_that_is_behind_nor_the_end_of_a_root_takes_a_revocation_back() {
    let old = crate::certificates::date(2020, 1, 1);
    let (root, other) = (Party::root("Root"), Party::root("Other root"));
    let ended = Builder::ca("Root").key(&root.key).valid(old, now().plus(-HOUR)).self_signed();
    let ca = root.ca("CA");
    let cross = Builder::ca("CA").key(&ca.key).signed_by(&other);
    let peer = ca.leaf("peer");
    let new = |by| signer("CA").valid(now().plus(-HOUR), now().plus(99 * DAY)).signed_by(by);
    let cases = [
        (vec![&root], &ca, new(&root), -DAY),
        (vec![&root], &ca, new(&ca), -DAY),
        (vec![&root, &other], &cross, signer("CA").signed_by(&root), 0),
        (vec![&ended, &other], &cross, signer("CA").signed_by(&root), 0),
        (vec![&ended, &other], &cross, signer("CA").signed_by(&ca), 0),
    ];
    for (number, (anchors, issuer, genuine, clock)) in cases.iter().enumerate() {
        let revoking = CrlBuilder::of(genuine).number(50).times(now().plus(-60), Some(now().plus(DAY)));
        let status = StatusSources {
            crls: vec![revoking.revokes_for(&peer, 1).build(), list(&ca, 40).build()],
            ..StatusSources::none()
        };
        let mut checks = checks(RevocationMode::HardFail);
        checks.revocation.scope = devid::validation::RevocationScope::LeafOnly;
        checks.at = devid::validation::CheckTime::At(now().plus(*clock));
        let anchors: TrustAnchors = anchors.iter().map(|p| p.certificate.clone()).collect();
        let pool = [issuer, genuine].map(|p| p.certificate.clone());
        let report = validate(&**provider(), &anchors, &peer.certificate, &pool, &status, &checks);
        let code = report.error().map(|error| error.code());
        assert_eq!(code, Some(devid::Code::Revoked), "case {number}: {:?}", report.findings());
    }
}
