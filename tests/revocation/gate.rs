//! The gate: a peer's key behind a verdict, for as long as the verdict lasts.

use std::sync::Arc;

use devid::Code;
use devid::asn1::oid;
use devid::cms::{ContentEncryption, OpenOptions, open};
use devid::crypto::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use devid::limits::Limits;
use devid::validation::{
    CheckTime, Checks, KeyUsage, NameCheck, PeerKey, PeerName, PeerRequest, Purpose, Report, StatusSources,
    TrustAnchors,
};

use crate::certificates::{Builder, Party, date, dns, now, provider};
use crate::status::CrlBuilder;
use crate::{World, crl_sources};

const ECDSA: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);

fn open_peer(
    world: &World,
    status: &StatusSources,
    change: impl FnOnce(&mut PeerRequest<'_>),
) -> Result<(Report, Option<PeerKey>), devid::Error> {
    let anchors: TrustAnchors = std::iter::once(world.root.certificate.clone()).collect();
    let pool = [world.ca.certificate.clone()];
    let mut request = PeerRequest {
        anchors: &anchors,
        certificate: &world.device.certificate,
        pool: &pool,
        status,
        checks: Checks::at(now()),
        purpose: Purpose::For(vec![oid::KP_CLIENT_AUTH]),
        names: NameCheck::All(vec![PeerName::Dns("device.example".to_owned())]),
        use_until: None,
    };
    change(&mut request);
    PeerKey::open(provider(), request)
}

fn peer_world() -> World {
    World::with_device(|b| b.purposes(&[oid::KP_CLIENT_AUTH]).alt_names([dns("device.example")]))
}

fn peer(world: &World) -> PeerKey {
    open_peer(world, &StatusSources::none(), |_| ()).unwrap().1.expect("a positive verdict")
}

#[test]
fn a_positive_verdict_opens_the_gate_and_nothing_else_does() {
    let world = peer_world();
    let key = peer(&world);
    assert_eq!(key.spki(now()).unwrap(), world.device.key.spki());
    assert_eq!(key.certificate(), &world.device.certificate);

    let refused = |change: fn(&mut PeerRequest<'_>), code| {
        let (report, key) = open_peer(&world, &StatusSources::none(), change).unwrap();
        assert!(key.is_none());
        assert_eq!(report.error().unwrap().code(), code);
    };
    refused(|r| r.purpose = Purpose::For(vec![oid::KP_SERVER_AUTH]), Code::KeyUsage);
    refused(|r| r.names = NameCheck::All(vec![PeerName::Dns("other.example".to_owned())]), Code::Name);
    refused(|r| r.names = NameCheck::All(Vec::new()), Code::Name);
    refused(|r| r.pool = &[], Code::NoPath);
    refused(|r| r.checks.at = CheckTime::At(date(2031, 1, 1)), Code::Expired);
    refused(|r| r.checks.revocation = devid::validation::RevocationPolicy::hard_fail(), Code::RevocationUnknown);
}

#[test]
fn an_empty_purpose_is_a_mistake_and_any_purpose_a_decision() {
    let world = peer_world();
    let empty = open_peer(&world, &StatusSources::none(), |r| r.purpose = Purpose::For(Vec::new()));
    assert_eq!(empty.unwrap_err().code(), Code::InvalidArgument);
    let any = open_peer(&world, &StatusSources::none(), |r| {
        r.purpose = Purpose::Any;
        r.names = NameCheck::NotChecked;
    });
    assert!(any.unwrap().1.is_some());
}

#[test]
fn purposes_and_names_left_in_the_checks_do_not_replace_those_of_the_request() {
    let world = peer_world();
    let (report, key) = open_peer(&world, &StatusSources::none(), |r| {
        r.checks.names = NameCheck::NotChecked;
        r.names = NameCheck::All(vec![PeerName::Dns("other.example".to_owned())]);
    })
    .unwrap();
    assert!(key.is_none() && !report.is_valid());
}

#[test]
fn the_key_refuses_after_the_earliest_of_its_bounds() {
    let world = peer_world();
    let device_until = world.device.certificate.not_after();
    assert_eq!(peer(&world).expires(), device_until);

    let bounded = open_peer(&world, &StatusSources::none(), |r| r.use_until = Some(now().plus(60))).unwrap().1.unwrap();
    assert_eq!(bounded.expires(), now().plus(60));
    assert!(bounded.spki(now().plus(60)).is_ok());
    assert_eq!(bounded.spki(now().plus(61)).unwrap_err().code(), Code::Stale);

    let crls = crl_sources(&[
        CrlBuilder::of(&world.ca).times(now(), Some(now().plus(100))).build(),
        CrlBuilder::of(&world.root).times(now(), Some(now().plus(50))).build(),
    ]);
    let checked = open_peer(&world, &crls, |r| r.checks.revocation = devid::validation::RevocationPolicy::hard_fail());
    assert_eq!(checked.unwrap().1.unwrap().expires(), now().plus(50));
}

#[test]
fn every_use_refuses_when_the_verdict_is_over() {
    let world = peer_world();
    let key = open_peer(&world, &StatusSources::none(), |r| r.use_until = Some(now())).unwrap().1.unwrap();
    let late = now().plus(1);
    let signature = world.device.key.sign(&ECDSA, b"message").unwrap();
    assert!(key.verify_signature(now(), &ECDSA, b"message", &signature).is_ok());
    assert_eq!(key.verify_signature(late, &ECDSA, b"message", &signature).unwrap_err().code(), Code::Stale);
    assert_eq!(key.spki(late).unwrap_err().code(), Code::Stale);
    assert_eq!(key.agree(late).unwrap_err().code(), Code::Stale);
    assert_eq!(key.agree_with(late, &*world.ca.key).unwrap_err().code(), Code::Stale);
    assert_eq!(key.encrypt(late, ContentEncryption::Aes256Gcm, b"x").unwrap_err().code(), Code::Stale);
}

#[test]
fn a_clock_that_is_set_back_does_not_revive_the_key() {
    let world = peer_world();
    let key = open_peer(&world, &StatusSources::none(), |r| r.use_until = Some(now().plus(60))).unwrap().1.unwrap();
    assert!(key.spki(now().plus(30)).is_ok());
    assert!(key.spki(now()).is_ok(), "a clock may be corrected while the verdict lasts");
    assert_eq!(key.spki(now().plus(61)).unwrap_err().code(), Code::Stale);
    assert_eq!(key.spki(now()).unwrap_err().code(), Code::Stale);
}

#[test]
fn newer_status_data_that_revokes_ends_the_key_at_once_and_for_good() {
    let world = peer_world();
    // Also where revocation was not asked about when the key came out.
    for policy in [devid::validation::RevocationPolicy::off(), devid::validation::RevocationPolicy::soft_fail()] {
        let key =
            open_peer(&world, &StatusSources::none(), |r| r.checks.revocation = policy.clone()).unwrap().1.unwrap();
        let revoking = crl_sources(&[CrlBuilder::of(&world.ca).revokes(&world.device).build()]);
        assert_eq!(key.recheck(&revoking, now()).unwrap_err().code(), Code::Revoked);
        assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked);
        let signature = world.device.key.sign(&ECDSA, b"message").unwrap();
        let refused = key.verify_signature(now(), &ECDSA, b"message", &signature);
        assert_eq!(refused.unwrap_err().code(), Code::Revoked);
        // Leaving the list out the next time brings nothing back.
        assert_eq!(key.recheck(&StatusSources::none(), now()).unwrap_err().code(), Code::Revoked);
        assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked);
    }
}

#[test]
fn the_peers_ca_revoked_ends_the_key_too() {
    let world = peer_world();
    let key = peer(&world);
    let revoking = crl_sources(&[CrlBuilder::of(&world.root).revokes(&world.ca).build()]);
    assert_eq!(key.recheck(&revoking, now()).unwrap_err().code(), Code::Revoked);
    assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked);
}

#[test]
fn a_positive_recheck_prolongs_and_an_unknown_status_changes_nothing() {
    let world = peer_world();
    let lists = |from: i64, to: i64| {
        let list = |party: &Party| CrlBuilder::of(party).times(now().plus(from), Some(now().plus(to))).build();
        crl_sources(&[list(&world.ca), list(&world.root)])
    };
    let key =
        open_peer(&world, &lists(0, 100), |r| r.checks.revocation = devid::validation::RevocationPolicy::hard_fail())
            .unwrap()
            .1
            .unwrap();
    assert_eq!(key.spki(now().plus(101)).unwrap_err().code(), Code::Stale);
    let report = key.recheck(&StatusSources::none(), now().plus(101)).unwrap();
    assert_eq!(report.error().unwrap().code(), Code::RevocationUnknown);
    assert_eq!(key.spki(now().plus(101)).unwrap_err().code(), Code::Stale);
    assert!(key.recheck(&lists(101, 300), now().plus(101)).unwrap().is_valid());
    assert_eq!(key.expires(), now().plus(300));
    assert!(key.spki(now().plus(300)).is_ok());
    let after = key.recheck(&lists(0, i64::from(u32::MAX)), date(2031, 1, 1));
    assert_eq!(after.unwrap_err().code(), Code::Expired);
}

#[test]
fn what_is_encrypted_for_the_peer_only_the_peer_opens() {
    let limits = Limits::default();
    for kind in [KeyKind::P256, KeyKind::Rsa(2048)] {
        let pair = provider().generate_key(kind).unwrap();
        let world =
            World::with_device(|b| b.key(&pair).purposes(&[oid::KP_CLIENT_AUTH]).alt_names([dns("device.example")]));
        let key = peer(&world);
        for encryption in [ContentEncryption::Aes256Gcm, ContentEncryption::Aes256Cbc] {
            let sealed = key.encrypt(now(), encryption, b"for the device").unwrap();
            let with = |key| OpenOptions { key: Some(key), ..OpenOptions::new(&limits) };
            let opened = open(&**provider(), &sealed, &with(&*world.device.key)).unwrap();
            assert_eq!(&opened.content[..], b"for the device");
            assert!(open(&**provider(), &sealed, &with(&*world.ca.key)).is_err());
        }
    }
}

#[test]
fn two_sides_agree_on_one_secret() {
    let world = peer_world();
    let key = peer(&world);
    let (point, secret) = key.agree(now()).unwrap();
    assert_eq!(*world.device.key.agree(&point).unwrap(), *secret);
    let ours = key.agree_with(now(), &*world.ca.key).unwrap();
    let theirs = world.device.key.agree(crate::status::key_bits(world.ca.key.spki())).unwrap();
    assert_eq!(*ours, *theirs);
}

#[test]
fn the_key_does_only_what_its_key_usage_allows() {
    let limited = |usages: &[KeyUsage]| {
        let usages = usages.to_vec();
        peer(&World::with_device(move |b: Builder| {
            b.key_usage(&usages).purposes(&[oid::KP_CLIENT_AUTH]).alt_names([dns("device.example")])
        }))
    };
    let signs = limited(&[KeyUsage::DigitalSignature]);
    assert_eq!(signs.encrypt(now(), ContentEncryption::Aes256Gcm, b"x").unwrap_err().code(), Code::KeyUsage);
    assert_eq!(signs.agree(now()).unwrap_err().code(), Code::KeyUsage);
    let agrees = limited(&[KeyUsage::KeyAgreement]);
    assert!(agrees.agree(now()).is_ok() && agrees.encrypt(now(), ContentEncryption::Aes256Gcm, b"x").is_ok());
    assert_eq!(agrees.verify_signature(now(), &ECDSA, b"", b"").unwrap_err().code(), Code::KeyUsage);
}

#[test]
fn a_wrong_signature_is_refused_by_the_right_key() {
    let world = peer_world();
    let key = peer(&world);
    let signature = world.device.key.sign(&ECDSA, b"message").unwrap();
    assert!(key.verify_signature(now(), &ECDSA, b"message", &signature).is_ok());
    let changed = key.verify_signature(now(), &ECDSA, b"massage", &signature);
    assert_eq!(changed.unwrap_err().code(), Code::SignatureInvalid);
    let others = world.ca.key.sign(&ECDSA, b"message").unwrap();
    assert!(key.verify_signature(now(), &ECDSA, b"message", &others).is_err());
}

#[test]
fn one_key_serves_many_threads_and_stops_for_all() {
    let world = peer_world();
    let key = Arc::new(peer(&world));
    let signature = world.device.key.sign(&ECDSA, b"message").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| key.verify_signature(now(), &ECDSA, b"message", &signature).unwrap());
        }
    });
    let revoking = crl_sources(&[CrlBuilder::of(&world.ca).revokes(&world.device).build()]);
    assert!(key.recheck(&revoking, now()).is_err());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked));
        }
    });
}
