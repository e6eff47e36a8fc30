//! Roots that a first contact was allowed to take are anchors of device memory from then on: key updates, questions and revocations, which do
//! not bring them again, are believed under them. What was not allowed is not kept.

use devid::asn1::cmp::BodyType;
use devid::asn1::der::{Cursor, element};
use devid::asn1::x509::Certificate;
use devid::client::renewal::{Done, Report, Standing};
use devid::client::{Config, Step};
use devid::crypto::DigestAlgorithm;
use devid::store::AnchorSet;

use crate::certificates::{Builder, Party, provider};
use crate::mock_ca::{LIGHT_MAC, MockCa, REFERENCE, SECRET};
use crate::renewal::Life;

type Settings = fn(&mut Config, &MockCa);

const SETS: [AnchorSet; 2] = [AnchorSet::Cmp, AnchorSet::Enrolment];

fn fingerprint(certificate: &Certificate) -> String {
    let digest = provider().digest(DigestAlgorithm::Sha256, &[certificate.as_der()]).unwrap();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A device that trusts nobody, with these settings.
fn newcomer(settings: impl FnOnce(&mut Config, &MockCa)) -> Life {
    let mut life = Life::new();
    for set in AnchorSet::ALL {
        life.store.set_anchors(set, &[]).unwrap();
    }
    settings(&mut life.config, &life.ca);
    life
}

/// By secret, or with the factory's identity.
fn by_secret(life: &mut Life) {
    life.factory = None;
    life.config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
}

/// The CA sends these roots in extraCerts of ip, and never again.
fn sends_with_ip(life: &mut Life, roots: &[&Certificate]) {
    let roots: Vec<Certificate> = roots.iter().copied().cloned().collect();
    life.ca.bend = Some(Box::new(move |answer| {
        if answer.body_type == BodyType::IP {
            answer.extra_certs.extend(roots.iter().cloned());
        }
    }));
}

/// The same in caPubs.
fn offers(life: &mut Life, roots: &[&Certificate]) {
    let ca_pubs =
        element(0xa1, &[&element(0x30, &[&roots.iter().flat_map(|root| root.as_der().to_vec()).collect::<Vec<_>>()])]);
    life.ca.bend = Some(Box::new(move |answer| {
        if answer.body_type == BodyType::IP {
            let response =
                Cursor::sequence(&answer.content, "CertRepMessage").unwrap().any("response").unwrap().bytes.to_vec();
            answer.content = element(0x30, &[&ca_pubs, &response]);
        }
    }));
}

fn kept(life: &Life) -> [Vec<Certificate>; 2] {
    SETS.map(|set| life.store.anchors(set).unwrap())
}

fn is_installed(report: &Report) -> bool {
    matches!(report.outcome, Ok(Done::Installed(_)))
}

/// Enrols, and renews on the day, for years.
fn lives(mut life: Life) -> Life {
    let report = life.run();
    assert!(is_installed(&report), "{report:?}");
    for year in 0..3 {
        let due = life.plan().renewal_at.unwrap();
        let seconds = due.since(life.clock);
        life = life.later_as_is(seconds);
        assert_eq!(life.plan().step, Step::Update);
        let report = life.run();
        assert!(is_installed(&report), "year {year}: {report:?}");
        assert_eq!(life.plan().standing, Standing::Valid);
    }
    life
}

#[test]
fn a_root_that_a_first_contact_was_allowed_to_take_is_an_anchor_from_then_on() {
    let told =
        |config: &mut Config, ca: &MockCa| config.add_root_fingerprint(&fingerprint(&ca.root.certificate)).unwrap();
    let all: [(&str, bool, bool, Settings); 4] = [
        ("fingerprint, by secret", true, false, told),
        ("fingerprint, by the factory's identity", false, false, told),
        ("caPubs", true, true, |config, _| config.accept_ca_pubs = true),
        ("adopted", false, false, |config, _| config.adopt_root_of_ip = true),
    ];
    for (what, is_by_secret, in_ca_pubs, settings) in all {
        let mut life = newcomer(settings);
        if is_by_secret {
            by_secret(&mut life);
        }
        let root = life.ca.root.certificate.clone();
        if in_ca_pubs {
            offers(&mut life, &[&root])
        } else {
            sends_with_ip(&mut life, &[&root])
        }
        let life = lives(life);
        assert_eq!(kept(&life), [vec![root.clone()], vec![root]], "{what}");
        for set in [AnchorSet::Tls, AnchorSet::Peer] {
            assert!(life.store.anchors(set).unwrap().is_empty(), "{what}: what was not asked for");
        }
    }
}

#[test]
fn all_that_the_ca_offers_under_the_secret_is_kept_and_who_signs_answers_stays_what_the_settings_say() {
    let other: Party = Builder::ca("Other root").self_signed();
    let below = other.ca("No root");
    for says_who in [false, true] {
        let mut life = newcomer(|config, _| config.accept_ca_pubs = true);
        by_secret(&mut life);
        let root = life.ca.root.certificate.clone();
        if says_who {
            life.config.cmp_anchors.add(root.clone());
        }
        offers(&mut life, &[&root, &other.certificate, &below.certificate]);
        let life = lives(life);
        let both = vec![root.clone(), other.certificate.clone()];
        assert_eq!(kept(&life), [if says_who { Vec::new() } else { both.clone() }, both]);
    }
}

#[test]
fn nothing_is_kept_that_was_not_allowed() {
    let other: Party = Builder::ca("Other root").self_signed();
    // Beside the root that was told, another one comes along.
    let mut life = newcomer(|config, ca| config.add_root_fingerprint(&fingerprint(&ca.root.certificate)).unwrap());
    let root = life.ca.root.certificate.clone();
    sends_with_ip(&mut life, &[&other.certificate, &root]);
    assert_eq!(kept(&lives(life)), [vec![root.clone()], vec![root.clone()]]);

    // The settings have anchors: what comes along is none.
    for (is_by_secret, in_ca_pubs) in [(true, true), (true, false), (false, false)] {
        let mut life = newcomer(|config, ca| {
            config.cmp_anchors.add(ca.root.certificate.clone());
            config.enrolment_anchors.add(ca.root.certificate.clone());
        });
        if is_by_secret {
            by_secret(&mut life);
        }
        if in_ca_pubs {
            offers(&mut life, &[&other.certificate]);
        } else {
            sends_with_ip(&mut life, &[&other.certificate]);
        }
        assert_eq!(kept(&lives(life)), [Vec::new(), Vec::new()]);
    }

    // A fingerprint that does not match, and certificates that nobody allowed to take.
    let mut life = newcomer(|config, _| config.add_root_fingerprint(&"00".repeat(32)).unwrap());
    let root = life.ca.root.certificate.clone();
    sends_with_ip(&mut life, &[&root]);
    assert!(!is_installed(&life.run()));
    assert_eq!(kept(&life), [Vec::new(), Vec::new()]);
}

#[test]
fn an_adopted_root_is_kept_with_a_certificate_that_is_confirmed_and_else_not() {
    let mut life = newcomer(|config, _| config.adopt_root_of_ip = true);
    let root = life.ca.root.certificate.clone();
    let stranger = Builder::ca("Stranger").self_signed();
    life.ca.bend = Some(Box::new(move |answer| match answer.body_type {
        BodyType::IP => answer.extra_certs.push(root.clone()),
        // Nobody's word: the certificate stays unconfirmed.
        _ => {
            answer.signer = Some(stranger.clone());
            answer.extra_certs = vec![stranger.certificate.clone()];
        }
    }));
    assert!(!is_installed(&life.run()));
    assert_eq!(kept(&life), [Vec::new(), Vec::new()]);
}
