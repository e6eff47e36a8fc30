//! OCSP: requests, and what responses are worth.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::element;
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::crypto::DigestAlgorithm;
use devid::validation::{KeyUsage, OcspRequest, OcspResponse, StatusPreference, StatusSources};

use crate::certificates::{Builder, Party, compressed, date, now, provider};
use crate::status::{CrlBuilder, OcspBuilder, Single, key_bits};
use crate::{World, assert_good, assert_revoked, assert_unknown, ocsp_sources};

const DAY: i64 = 86_400;

impl World {
    fn good(&self) -> Single {
        Single::good(&self.device.certificate, &self.ca)
    }
}

fn responder(issuer: &Party, change: impl FnOnce(Builder) -> Builder) -> Party {
    change(Builder::leaf("Responder").purposes(&[oid::KP_OCSP_SIGNING]).with(oid::OCSP_NOCHECK, false, vec![5, 0]))
        .signed_by(issuer)
}

#[test]
fn a_response_by_the_issuer_decides() {
    let world = World::new();
    let by_ca = OcspBuilder::by(&world.ca);
    assert_good(&world.by_ocsp(by_ca.clone().says(world.good()).build()));
    assert_good(&world.by_ocsp(by_ca.clone().named_by_key().says(world.good()).build()));
    let report = world.by_ocsp(by_ca.clone().says(world.good().revoked(1)).build());
    assert_revoked(&report);
    let text = report.error().unwrap().message().to_owned();
    assert!(text.contains("2025-12-01") && text.contains("keyCompromise"), "{text}");
    assert_unknown(&world.by_ocsp(by_ca.says(world.good().unknown()).build()), "does not know");
}

#[test]
fn cert_ids_of_every_digest_are_matched() {
    let world = World::new();
    for digest in [DigestAlgorithm::Sha1, DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512] {
        let single = Single { digest, ..world.good() };
        assert_good(&world.by_ocsp(OcspBuilder::by(&world.ca).says(single).build()));
    }
}

#[test]
fn a_cert_id_that_differs_in_any_part_is_about_another_certificate() {
    let world = World::new();
    let other = Party::root("Other");
    let wrong = [
        Single { issuer_name: other.certificate.subject().to_vec(), ..world.good() },
        Single { issuer_spki: other.key.spki().to_vec(), ..world.good() },
        Single { serial: other.certificate.serial().to_vec(), ..world.good() },
    ];
    for single in wrong {
        let response = OcspBuilder::by(&world.ca).says(single.clone()).build();
        assert_unknown(&world.by_ocsp(response), "does not speak of");
        // Nor does its being revoked say anything about ours.
        let both = OcspBuilder::by(&world.ca).says(single.revoked(1)).says(world.good()).build();
        assert_good(&world.by_ocsp(both));
    }
}

#[test]
fn every_matching_entry_is_looked_at_and_revoked_wins_in_any_order() {
    let world = World::new();
    let by_ca = OcspBuilder::by(&world.ca);
    let (good, revoked, unknown) = (world.good(), world.good().revoked(4), world.good().unknown());
    let sha256 = Single { digest: DigestAlgorithm::Sha256, ..world.good() }.revoked(4);
    for singles in [vec![&good, &revoked], vec![&revoked, &good], vec![&good, &unknown, &revoked], vec![&good, &sha256]]
    {
        let response = singles.into_iter().fold(by_ca.clone(), |r, s| r.says(s.clone()));
        assert_revoked(&world.by_ocsp(response.build()));
    }
    for singles in [[&good, &unknown], [&unknown, &good]] {
        let response = singles.into_iter().fold(by_ca.clone(), |r, s| r.says(s.clone()));
        assert_unknown(&world.by_ocsp(response.build()), "does not know");
    }
}

#[test]
fn one_of_two_responses_that_says_revoked_wins() {
    let world = World::new();
    let good = OcspBuilder::by(&world.ca).says(world.good()).build();
    let revoked = OcspBuilder::by(&world.ca).says(world.good().revoked(1)).build();
    for pair in [[good.clone(), revoked.clone()], [revoked, good]] {
        assert_revoked(&world.check(&ocsp_sources(&pair), &World::leaf_checks()));
    }
}

#[test]
fn a_response_without_entries_is_no_status() {
    let world = World::new();
    assert_unknown(&world.by_ocsp(OcspBuilder::by(&world.ca).build()), "does not speak of");
}

#[test]
fn answers_that_are_errors_are_no_status() {
    let world = World::new();
    for status in [1, 2, 3, 5, 6] {
        let response = OcspBuilder { status, ..OcspBuilder::by(&world.ca) }.build();
        assert_unknown(&world.by_ocsp(response), "the responder answered");
    }
    for status in [4, 7] {
        let der = OcspBuilder { status, ..OcspBuilder::by(&world.ca) }.der();
        assert!(OcspResponse::from_der(&der).is_err(), "a status without meaning");
    }
}

#[test]
fn responses_are_used_from_this_update_to_next_update() {
    let world = World::new();
    let by = |from: i64, to: Option<i64>| {
        let single = world.good().times(now().plus(from), to.map(|t| now().plus(t)));
        world.by_ocsp(OcspBuilder::by(&world.ca).says(single).build())
    };
    assert_good(&by(0, Some(0)));
    assert_unknown(&by(-10, Some(-1)), "out of date");
    assert_good(&by(300, Some(600)));
    assert_unknown(&by(301, Some(600)), "from the future");
    assert_good(&by(-DAY, None));
    assert_unknown(&by(-DAY - 1, None), "no nextUpdate");
}

#[test]
fn maximum_age_skew_and_grace_apply_to_responses_too() {
    let world = World::new();
    let status = |from: i64, to: i64| {
        let single = world.good().times(now().plus(from), Some(now().plus(to)));
        ocsp_sources(&[OcspBuilder::by(&world.ca).says(single).build()])
    };
    let mut checks = World::leaf_checks();
    checks.revocation.max_age_seconds = Some(100);
    assert_good(&world.check(&status(-100, DAY), &checks));
    assert_unknown(&world.check(&status(-101, DAY), &checks), "older than");
    let mut checks = World::leaf_checks();
    checks.revocation.clock_skew_seconds = 30;
    assert_good(&world.check(&status(30, DAY), &checks));
    assert_unknown(&world.check(&status(31, DAY), &checks), "from the future");
    let mut checks = World::leaf_checks();
    checks.revocation.offline_grace_seconds = 30;
    assert_good(&world.check(&status(-DAY, -30), &checks));
    assert_unknown(&world.check(&status(-DAY, -31), &checks), "out of date");
}

#[test]
fn a_delegated_responder_answers_for_the_ca_that_certified_it() {
    let world = World::new();
    let desk = responder(&world.ca, |b| b);
    assert_good(&world.by_ocsp(OcspBuilder::delegated(&desk).says(world.good()).build()));
    assert_good(&world.by_ocsp(OcspBuilder::delegated(&desk).named_by_key().says(world.good()).build()));
    assert_revoked(&world.by_ocsp(OcspBuilder::delegated(&desk).says(world.good().revoked(1)).build()));
    // Its certificate may also be at hand otherwise.
    let without = ocsp_sources(&[OcspBuilder::by(&desk).says(world.good()).build()]);
    let anew = || ocsp_sources(&[OcspBuilder::by(&desk).says(world.good()).build()]);
    assert_unknown(&world.check(&without, &World::leaf_checks()), "nobody at hand");
    assert_good(&world.check_with(&without, &World::leaf_checks(), &[&desk]));
    assert_good(&world.check(&without, &World::leaf_checks()));
    assert_unknown(&world.check(&anew(), &World::leaf_checks()), "nobody at hand");
}

#[test]
fn a_responder_certificate_not_from_the_issuer_delegates_nothing() {
    let world = World::new();
    let elsewhere = Party::root("Elsewhere");
    let same_name = Party::root("CA");
    for (issuer, word) in
        [(&world.root, "not from the issuer"), (&elsewhere, "not from the issuer"), (&same_name, "signature")]
    {
        let desk = responder(issuer, |b| b);
        assert_unknown(&world.by_ocsp(OcspBuilder::delegated(&desk).says(world.good()).build()), word);
    }
    // The device cannot vouch for itself, whatever it calls itself.
    let itself = OcspBuilder::delegated(&world.device).says(world.good()).build();
    assert_unknown(&world.by_ocsp(itself), "not for OCSP signing");
}

#[test]
fn delegation_is_written_in_the_responders_certificate() {
    let world = World::new();
    let unknown = Oid::new("1.2.3.4").unwrap();
    let unfit: [(&str, Party); 6] = [
        ("not for OCSP signing", Builder::leaf("Responder").signed_by(&world.ca)),
        ("not for OCSP signing", responder(&world.ca, |b| b.purposes(&[oid::KP_SERVER_AUTH]))),
        ("not for OCSP signing", responder(&world.ca, |b| b.purposes(&[oid::ANY_EXTENDED_KEY_USAGE]))),
        ("keyUsage", responder(&world.ca, |b| b.key_usage(&[KeyUsage::KeyEncipherment]))),
        ("valid until", responder(&world.ca, |b| b.valid(date(2020, 1, 1), date(2021, 1, 1)))),
        ("1.2.3.4", responder(&world.ca, |b| b.with(unknown, true, vec![5, 0]))),
    ];
    for (word, desk) in unfit {
        assert_unknown(&world.by_ocsp(OcspBuilder::delegated(&desk).says(world.good()).build()), word);
    }
}

#[test]
fn a_revoked_responder_answers_for_nobody_also_where_its_certificate_says_nocheck() {
    let world = World::new();
    let checkable = responder(&world.ca, |b| b.without(oid::OCSP_NOCHECK));
    let unchecked = responder(&world.ca, |b| b);
    for desk in [&checkable, &unchecked] {
        let status = StatusSources {
            crls: vec![
                CrlBuilder::of(&world.ca).scope(&[crate::status::flag(crate::status::ONLY_CA_CERTS)]).build(),
                CrlBuilder::of(&world.ca).number(2).revokes(desk).build(),
            ],
            ..ocsp_sources(&[OcspBuilder::delegated(desk).says(world.good().revoked(1)).build()])
        };
        // What a revoked responder says is nothing: the list decides, and it does not list the device.
        let report = world.check(&status, &World::leaf_checks());
        assert_good(&report);
    }
    // Neither nocheck nor a status: taken, and said.
    let report = world.by_ocsp(OcspBuilder::delegated(&checkable).says(world.good()).build());
    assert_good(&report);
    assert!(report.findings().iter().any(|f| f.text.contains("responder's certificate is not known")));
}

#[test]
fn only_the_responder_that_is_named_is_believed() {
    let world = World::new();
    let desk = responder(&world.ca, |b| b);
    let other = Party::root("Other");
    let forged = OcspBuilder::delegated(&desk).signed_with(&other.key).says(world.good()).build();
    assert_unknown(&world.by_ocsp(forged), "signature");
    let misnamed =
        OcspBuilder { responder_id: element(0xa1, &[other.certificate.subject()]), ..OcspBuilder::delegated(&desk) };
    assert_unknown(&world.by_ocsp(misnamed.says(world.good()).build()), "nobody at hand");
    let damaged = OcspBuilder { damaged: true, ..OcspBuilder::by(&world.ca) };
    assert_unknown(&world.by_ocsp(damaged.says(world.good()).build()), "signature");
    let damaged = OcspBuilder { damaged: true, ..OcspBuilder::by(&world.ca) };
    assert_unknown(&world.by_ocsp(damaged.says(world.good().revoked(1)).build()), "signature");
}

#[test]
fn extra_certificates_do_not_hide_the_right_one() {
    let world = World::new();
    let desk = responder(&world.ca, |b| b);
    let namesake = Builder::leaf("Responder").signed_by(&world.root);
    let certificates: Vec<Certificate> =
        [&world.root, &namesake, &world.device, &desk].iter().map(|p| p.certificate.clone()).collect();
    let response = OcspBuilder { certificates, ..OcspBuilder::by(&desk) }.says(world.good()).build();
    assert_good(&world.by_ocsp(response));
}

#[test]
fn critical_extensions_that_are_not_understood_make_a_response_useless() {
    let world = World::new();
    let unknown = Oid::new("1.2.3.4").unwrap();
    let by_ca = OcspBuilder::by(&world.ca);
    assert_good(&world.by_ocsp(by_ca.clone().with(unknown, false, vec![5, 0]).says(world.good()).build()));
    assert_unknown(&world.by_ocsp(by_ca.clone().with(unknown, true, vec![5, 0]).says(world.good()).build()), "1.2.3.4");
    let single = world.good().with(unknown, true, vec![5, 0]);
    assert_unknown(&world.by_ocsp(by_ca.clone().says(single).build()), "1.2.3.4");
    assert_good(&world.by_ocsp(by_ca.says(world.good().with(unknown, false, vec![5, 0])).build()));
}

#[test]
fn archive_cutoff_is_tolerated_critical_or_not() {
    let world = World::new();
    let cutoff = Oid::new("1.3.6.1.5.5.7.48.1.6").unwrap();
    for critical in [false, true] {
        let single = world.good().with(cutoff, critical, crate::status::generalized(date(2020, 1, 1)));
        assert_good(&world.by_ocsp(OcspBuilder::by(&world.ca).says(single).build()));
    }
}

#[test]
fn another_type_of_response_is_refused() {
    let world = World::new();
    let other = OcspBuilder { response_type: Oid::new("1.2.3.4").unwrap(), ..OcspBuilder::by(&world.ca) };
    assert!(OcspResponse::from_der(&other.says(world.good()).der()).is_err());
}

#[test]
fn a_nonce_that_was_sent_must_come_back() {
    let world = World::new();
    let (device, ca) = (&world.device.certificate, &world.ca.certificate);
    let request = OcspRequest::with_nonce(&**provider(), device, ca, DigestAlgorithm::Sha256).unwrap();
    let sent = nonce_of(&request);
    assert_eq!(sent.len(), 32, "RFC 9654 section 2.1");
    let answer = OcspBuilder::by(&world.ca).says(world.good());
    let read = |response: OcspBuilder| request.read_response(&response.der());
    let response = read(answer.clone().nonce(&sent)).unwrap();
    assert_good(&world.by_ocsp(Arc::new(response)));
    assert_eq!(read(answer.clone()).unwrap_err().code(), Code::Nonce, "left out");
    assert_eq!(read(answer.clone().nonce(&[0; 32])).unwrap_err().code(), Code::Nonce, "another");
    assert_eq!(read(answer.clone().nonce(&sent[..31])).unwrap_err().code(), Code::Nonce, "shortened");
    assert_eq!(read(answer.clone().nonce(&[])).unwrap_err().code(), Code::Nonce, "emptied");

    let plain = OcspRequest::without_nonce(&**provider(), device, ca, DigestAlgorithm::Sha1).unwrap();
    assert!(plain.read_response(&answer.clone().der()).is_ok());
    let again = OcspRequest::with_nonce(&**provider(), device, ca, DigestAlgorithm::Sha256).unwrap();
    assert_ne!(nonce_of(&again), sent, "a nonce is used once");
}

/// The last 32 bytes of a request with a nonce.
fn nonce_of(request: &OcspRequest) -> Vec<u8> {
    let der = request.as_der();
    let at = der.len() - 36;
    assert_eq!(&der[at..at + 4], [0x04, 0x22, 0x04, 0x20], "an OCTET STRING in extnValue");
    der[at + 4..].to_vec()
}

#[test]
fn the_get_form_is_base64_in_the_path_and_left_out_when_too_long() {
    let world = World::new();
    let (device, ca) = (&world.device.certificate, &world.ca.certificate);
    let request = OcspRequest::without_nonce(&**provider(), device, ca, DigestAlgorithm::Sha1).unwrap();
    let url = request.get_url("http://ocsp.example/status/").unwrap();
    let encoded = url.strip_prefix("http://ocsp.example/status/").unwrap();
    assert!(!encoded.contains(['/', '+', '=']), "{encoded}");
    let base64 = encoded.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    use base64ct::Encoding;
    assert_eq!(base64ct::Base64::decode_vec(&base64).unwrap(), request.as_der());
    assert_eq!(request.get_url(&format!("http://ocsp.example/{}", "x".repeat(255))), None);
}

#[test]
fn whichever_source_says_revoked_is_believed_whatever_is_preferred() {
    let world = World::new();
    let good = OcspBuilder::by(&world.ca).says(world.good()).build();
    let revoked = OcspBuilder::by(&world.ca).says(world.good().revoked(1)).build();
    let good_list = CrlBuilder::of(&world.ca).build();
    let revoking_list = CrlBuilder::of(&world.ca).revokes(&world.device).build();
    for prefer in [StatusPreference::Ocsp, StatusPreference::Crl] {
        let mut checks = World::leaf_checks();
        checks.revocation.prefer = prefer;
        for (crl, ocsp) in [(&good_list, &revoked), (&revoking_list, &good)] {
            let status = StatusSources { crls: vec![crl.clone()], ..ocsp_sources(std::slice::from_ref(ocsp)) };
            assert_revoked(&world.check(&status, &checks));
        }
    }
}

#[test]
fn the_preferred_source_gives_the_expiry() {
    let world = World::new();
    let single = world.good().times(now(), Some(now().plus(100)));
    let status = StatusSources {
        crls: vec![CrlBuilder::of(&world.ca).times(now(), Some(now().plus(200))).build()],
        ..ocsp_sources(&[OcspBuilder::by(&world.ca).says(single).build()])
    };
    for (prefer, seconds) in [(StatusPreference::Ocsp, 100), (StatusPreference::Crl, 200)] {
        let mut checks = World::leaf_checks();
        checks.revocation.prefer = prefer;
        let report = world.check(&status, &checks);
        assert_eq!(report.path().unwrap().status_until(), Some(now().plus(seconds)));
    }
}

#[test]
fn a_responder_that_the_device_trusts_is_believed_whoever_certified_it() {
    let world = World::new();
    let elsewhere = Party::root("Elsewhere");
    let responder = |change: fn(Builder) -> Builder| change(Builder::leaf("Local responder")).signed_by(&elsewhere);
    let trusted = responder(|b| b);
    let ask = |party: &Party, single: Single, trusts: &[&Party]| {
        let mut checks = World::leaf_checks();
        checks.revocation.trusted_responders = trusts.iter().map(|p| p.certificate.clone()).collect();
        world.check(&ocsp_sources(&[OcspBuilder::by(party).says(single).build()]), &checks)
    };
    assert_good(&ask(&trusted, world.good(), &[&trusted]));
    assert_revoked(&ask(&trusted, world.good().revoked(1), &[&trusted]));
    assert_unknown(&ask(&trusted, world.good(), &[]), "nobody at hand");
    // Trust is in this key, not in this name, and not for ever.
    let namesake = responder(|b| b);
    assert_unknown(&ask(&namesake, world.good(), &[&trusted]), "signature");
    let expired = responder(|b| b.valid(date(2020, 1, 1), date(2021, 1, 1)));
    assert_unknown(&ask(&expired, world.good(), &[&expired]), "valid until");
    // It speaks of what it was asked about only.
    let other = Party::root("Other");
    let about_another = Single { issuer_spki: other.key.spki().to_vec(), ..world.good() };
    assert_unknown(&ask(&trusted, about_another, &[&trusted]), "does not speak");
}

#[test]
fn a_certificate_without_revocation_information_is_not_asked_about() {
    let null = || vec![0x05, 0x00];
    let world = World::with_device(|b| b.with(oid::CE_NO_REV_AVAIL, false, null()));
    let report = world.check(&StatusSources::none(), &World::leaf_checks());
    assert_good(&report);
    assert!(report.findings()[0].text.contains("RFC 9608"), "{:?}", report.findings());
    // Only itself: the CA above it needs its status.
    assert_unknown(&world.check(&StatusSources::none(), &World::chain_checks()), "no CRL");
    // What lists it in spite of that is believed.
    let listed = CrlBuilder::of(&world.ca).revokes(&world.device).build();
    assert_revoked(&world.by_crls(&[listed]));

    // RFC 9608 section 3: neither CAs nor certificates that say where status data is.
    let refused = |change: &dyn Fn(Builder) -> Builder| {
        let world = World::with_device(|b| change(b.with(oid::CE_NO_REV_AVAIL, false, null())));
        let report = world.check(&StatusSources::none(), &devid::validation::Checks::at(now()));
        assert_eq!(report.error().unwrap().code(), Code::Malformed, "{:?}", report.findings());
    };
    let point = || crate::status::points(&[&[crate::status::point_url("http://crl.example/a.crl")]]);
    let access = |method: Oid| {
        let uri = crate::certificates::uri("http://ca.example/");
        let method = devid::crypto::algorithm::encode_oid(method);
        devid::asn1::der::sequence(&[&devid::asn1::der::sequence(&[&method, &uri])])
    };
    refused(&|b| b.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, point()));
    refused(&|b| b.with(oid::CE_FRESHEST_CRL, false, point()));
    refused(&|b| b.with(oid::PE_AUTHORITY_INFO_ACCESS, false, access(oid::AD_OCSP)));
    refused(&|b| b.with(oid::CE_BASIC_CONSTRAINTS, true, crate::certificates::basic_constraints(true, None)));
    refused(&|b| b.with(oid::CE_NO_REV_AVAIL, false, vec![0x30, 0x00]));
    let world = World::with_device(|b| {
        b.with(oid::CE_NO_REV_AVAIL, false, null()).with(
            oid::PE_AUTHORITY_INFO_ACCESS,
            false,
            access(oid::AD_CA_ISSUERS),
        )
    });
    assert_good(&world.check(&StatusSources::none(), &World::leaf_checks()));
    let ca = Builder::ca("CA").with(oid::CE_NO_REV_AVAIL, false, null()).signed_by(&world.root);
    let device = Builder::leaf("device").signed_by(&ca);
    let world = World { root: world.root, ca, device };
    let report = world.check(&StatusSources::none(), &devid::validation::Checks::at(now()));
    assert_eq!(report.error().unwrap().code(), Code::Malformed);
}

/// Whatever form the responder's certificate has its key in, and whatever form the response names it by.
#[test]
fn a_responder_is_found_by_each_form_of_its_key() {
    let world = World::new();
    for is_compressed in [false, true] {
        let desk = responder(&world.ca, |b| if is_compressed { b.compressed() } else { b });
        let spki = desk.key.spki();
        for named in [key_bits(spki).to_vec(), compressed(spki)[compressed(spki).len() - 33..].to_vec()] {
            let hash = provider().digest(DigestAlgorithm::Sha1, &[&named]).unwrap();
            let mut response = OcspBuilder::by(&desk).says(world.good());
            response.responder_id = element(0xa2, &[&element(0x04, &[&hash])]);
            assert_good(
                &world
                    .by_ocsp(OcspBuilder { certificates: vec![desk.certificate.clone()], ..response.clone() }.build()),
            );
            let anchors = std::iter::once(world.root.certificate.clone()).collect();
            let status = ocsp_sources(&[response.build()]);
            for strangers in [0, 40] {
                let strangers = (0..strangers).map(|_| Builder::leaf("X").compressed().self_signed().certificate);
                let pool: Vec<_> = strangers.chain([world.ca.certificate.clone(), desk.certificate.clone()]).collect();
                let checks = World::leaf_checks();
                let report = devid::validation::validate(
                    &**provider(),
                    &anchors,
                    &world.device.certificate,
                    &pool,
                    &status,
                    &checks,
                );
                assert_good(&report);
            }
        }
    }
}
