//! CAs of the field, as far as they are known: their habits one by one, and all habits of one CA under the profile that is
//! for it.

use devid::asn1::x509::Certificate;
use devid::client::{Config, Subject};
use devid::cmp::{Acceptance, Issued, MacParameters, RequestKind, Signer, Tolerance};
use devid::crypto::keys::load_private_key;
use devid::crypto::{DigestAlgorithm, KeyKind, default_provider};
use devid::{Code, Error};
use devid_testca::knobs::HABITS;
use devid_testca::tlv::Node;
use devid_testca::{KeyType, Knobs};

use crate::bench::{Bench, By, P256, Story};

const SECRET: &[u8] = b"correct-horse-battery-staple";

/// What cryptlib knows its users by.
const OCTETS: [u8; 9] = [0x93, 0x07, 0xe4, 0x00, 0xff, 0x51, 0x2b, 0xc3, 0x18];

const SHA1: MacParameters =
    MacParameters::PasswordBased { owf: DigestAlgorithm::Sha1, mac: DigestAlgorithm::Sha1, iterations: 1000 };

fn subject() -> Subject {
    Subject::new().name("CN=device 1,O=Maker").unwrap().dns("device-1.example").unwrap()
}

fn enrol(config: &Config) -> Result<Issued, Error> {
    let client = config.build()?;
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let mut operation = client.enroll(Signer::Key(key), &subject())?;
    client.run(&mut operation, &mut Story::default())
}

fn enrol_central(config: &Config) -> Result<Issued, Error> {
    let client = config.build()?;
    let mut operation = client.enroll_central(RequestKind::Initial, None, &subject())?;
    client.run(&mut operation, &mut Story::default())
}

/// Settings by secret with parameters that a profile may choose.
fn by_secret(bench: &Bench, reference: &[u8]) -> Config {
    let mut config = bench.config();
    config.protect_with_secret(reference, SECRET, MacParameters::PASSWORD_BASED).unwrap();
    config
}

fn with_profile(mut config: Config, name: &str) -> Config {
    config.apply_profile(name).unwrap();
    config
}

#[test]
fn a_ca_that_sorts_the_subject_or_adds_names_is_taken_as_the_policy_says() {
    let bench = Bench::new(P256);
    let policies = [
        (Acceptance::Exact, false, false),
        (Acceptance::SameOrAdded, false, true),
        (Acceptance::AnyOrder, true, true),
        (Acceptance::AnythingButTheKey, true, true),
    ];
    for (policy, takes_order, takes_names) in policies {
        let mut config = bench.config();
        config.acceptance = policy;
        for (knob, taken) in [(("reversed-subject", "1"), takes_order), (("add-alt-name", "more.example"), takes_names)]
        {
            bench.set(&[knob]);
            match enrol(&config) {
                Ok(issued) => {
                    assert!(taken, "{policy:?} {knob:?}");
                    assert!(!issued.differences.is_empty(), "{policy:?} {knob:?}: taken and told");
                }
                Err(error) => {
                    assert!(!taken && error.code() == Code::Refused, "{policy:?} {knob:?}: {error}");
                    assert_eq!(bench.server.with(|ca| ca.rejected.len()), 1, "{policy:?}: the CA is told");
                }
            }
        }
    }
}

#[test]
fn a_ca_that_knows_sha_1_alone_is_asked_with_it_where_that_is_said() {
    let bench = Bench::new(By::Pbm);
    bench.set(&[("sha1-macs", "1")]);
    let error = enrol(&by_secret(&bench, b"4711")).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1), "badAlg: {error}");
    let mut config = bench.config();
    config.protect_with_secret(b"4711", SECRET, SHA1).unwrap();
    enrol(&config).unwrap();
}

#[test]
fn a_senderkid_of_the_cas_own_under_a_mac_harms_nobody() {
    for by in [By::Pbm, By::Pbmac1] {
        let bench = Bench::new(by);
        bench.expect_issued(&[("own-sender-kid", "1"), ("at", "any")]);
        let mut strict = bench.config();
        strict.tolerance = Tolerance::strict_rfc9483();
        bench.set(&[("own-sender-kid", "1")]);
        assert_eq!(enrol(&strict).unwrap_err().code(), Code::ProtectionInvalid);
    }
}

#[test]
fn aes_gcm_in_enveloped_data_is_a_switch_that_the_refusal_names() {
    let bench = Bench::new(P256);
    bench.set(&[("gcm-envelopes", "1")]);
    let error = enrol_central(&bench.config()).unwrap_err();
    assert!(error.to_string().contains("gcm_in_enveloped_data"), "{error}");
    let mut config = bench.config();
    config.tolerance.gcm_in_enveloped_data = true;
    assert!(enrol_central(&config).unwrap().private_key.is_some());
    // Authenticated: one bit of it changed is found.
    bench.set(&[("gcm-envelopes", "1"), ("broken-envelope", "1")]);
    assert_eq!(enrol_central(&config).unwrap_err().code(), Code::Decrypt);
}

#[test]
fn words_in_place_of_a_message_are_passed_on_as_nobodys() {
    let bench = Bench::new(P256);
    for (status, code) in [("500", Code::HttpStatus), ("200", Code::ContentType)] {
        bench.set(&[("http-status", status), ("words", "The database is being moved.")]);
        let error = enrol(&bench.config()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains("The database is being moved."), "{error}");
        assert!(!error.facts().server_authenticated);
    }
}

#[test]
fn a_reference_value_is_octets_and_goes_into_senderkid_as_it_is() {
    let bench = Bench::new(By::Pbm);
    bench.set::<&str>(&[]);
    bench.server.with(|ca| ca.secrets.insert(OCTETS.to_vec(), SECRET.to_vec()));
    enrol(&by_secret(&bench, &OCTETS)).unwrap();
    let sent = Node::parse(&bench.server.with(|ca| ca.received[0].der.clone())).unwrap();
    let header = sent.at(0).unwrap();
    assert_eq!(header.at(1).unwrap().value(), [0x30, 0x00], "no text, and so no name");
    let kid = header.children.iter().skip(3).find(|field| field.tag == 0xa2).unwrap();
    assert_eq!(kid.inner().unwrap().value(), OCTETS);
    assert_eq!(bench.complaints(), [""; 0]);
    let mut other = OCTETS;
    other[8] ^= 1;
    assert_eq!(enrol(&by_secret(&bench, &other)).unwrap_err().facts().fail_info, Some(1 << 1), "badMessageCheck");
}

#[test]
fn xipki_serves_under_its_profile_and_keys_it_makes_need_the_profile() {
    let bench = Bench::new(P256);
    bench.set(&[("like", "xipki")]);
    let signer = Certificate::from_der(&bench.server.with(|ca| ca.self_signed_signer.certificate.clone())).unwrap();
    let pinned = |mut config: Config| {
        config.cmp_anchors = Default::default();
        config.cmp_anchors.add(signer.clone());
        config
    };
    enrol(&pinned(bench.config())).expect("what harms nobody needs no profile");
    assert!(enrol_central(&pinned(bench.config())).unwrap_err().to_string().contains("gcm_in_enveloped_data"));
    let config = with_profile(pinned(bench.config()), "xipki");
    let issued = enrol(&config).unwrap();
    assert_eq!(issued.chain.last(), Some(&bench.root()));
    // Who makes keys is certified under the root.
    let mut trusting = config.clone();
    trusting.cmp_anchors.add(bench.root());
    assert!(enrol_central(&trusting).unwrap().private_key.is_some());
    assert_eq!(bench.complaints(), [""; 0]);
    // Its own certificate is no anchor for what it issues, and pinned it must be.
    assert_eq!(enrol(&with_profile(bench.config(), "xipki")).unwrap_err().code(), Code::ProtectionInvalid);
    // The certificate that it renews signs.
    let mut renewing = config.clone();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let client = config.build().unwrap();
    let mut operation = client.enroll(Signer::Key(key.clone()), &subject()).unwrap();
    let old = client.run(&mut operation, &mut Story::default()).unwrap().certificate;
    renewing.protect_with_certificate(Signer::Key(key.clone()), old, Vec::new());
    let client = renewing.build().unwrap();
    let new = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let mut operation = client.renew(new).unwrap();
    client.run(&mut operation, &mut Story::default()).unwrap();
}

#[test]
fn cryptlib_serves_users_known_by_octets_under_its_profile_alone() {
    let bench = Bench::new(By::Pbm);
    bench.set(&[("like", "cryptlib")]);
    bench.server.with(|ca| ca.secrets.insert(OCTETS.to_vec(), SECRET.to_vec()));
    let config = by_secret(&bench, &OCTETS);
    let error = enrol(&config).unwrap_err();
    assert_eq!(error.code(), Code::Unprotected, "its errors come bare: {error}");
    let config = with_profile(config, "cryptlib");
    enrol(&config).unwrap();
    assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 1);
    bench.server.with(|ca| ca.knobs.set("error", "1").unwrap());
    bench.server.with(|ca| ca.knobs.set("text", "user is not known").unwrap());
    let error = enrol(&config).unwrap_err();
    assert_eq!((error.code(), error.facts().server_authenticated), (Code::Rejected, false));
    assert_eq!(error.facts().server_texts, ["user is not known"]);
}

#[test]
fn trustpoint_serves_under_its_profile_and_its_broken_key_update_is_told_in_its_words() {
    let bench = Bench::new(By::Pbm);
    bench.set(&[("like", "trustpoint")]);
    let error = enrol(&by_secret(&bench, b"4711")).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1), "badAlg: {error}");
    // With the MAC alone, the order of the subject is left; the error says who decides on it.
    let mut by_hand = bench.config();
    by_hand.protect_with_secret(b"4711", SECRET, SHA1).unwrap();
    let error = enrol(&by_hand).unwrap_err();
    let hint = error.facts().hint.unwrap_or_default();
    assert!(error.code() == Code::Refused && hint.contains("any-order"), "{error} {hint}");
    let config = with_profile(by_secret(&bench, b"4711"), "trustpoint");
    let issued = enrol(&config).unwrap();
    let told = issued.differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert!(told.contains("added.trustpoint.example") && told.contains("subject"), "{told}");

    // The device's own certificate protects the key update, which this CA cannot take.
    let holder = bench.server.with(|ca| ca.idevid("device 1", KeyType::P256, devid_testca::server::system_time()));
    let mut config = with_profile(bench.config(), "trustpoint");
    let key = load_private_key(&*default_provider(), &holder.key.pkcs8, None).unwrap();
    config.protect_with_certificate(Signer::Key(key), Certificate::from_der(&holder.certificate).unwrap(), Vec::new());
    let client = config.build().unwrap();
    let new = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let mut operation = client.renew(new).unwrap();
    let error = client.run(&mut operation, &mut Story::default()).map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.facts().http_status), (Code::HttpStatus, Some(500)), "{error}");
    assert!(error.message().contains("Please contact the administrator"), "{error}");
}

#[test]
fn every_ca_that_can_be_imitated_has_a_profile_and_is_on_the_page() {
    let page = include_str!("../../docs/known-cas.md");
    for (ca, _) in HABITS {
        devid::cmp::Profile::named(ca).unwrap_or_else(|e| panic!("{ca}: {e}"));
        assert!(page.contains(&format!("`like={ca}`")), "{ca}");
    }
    assert!(Knobs::default().set("like", "acme").is_err());
    // One at a time can be set again.
    let mut knobs = Knobs::default();
    knobs.set("like", "insta").unwrap();
    knobs.set("old-macs", "0").unwrap();
    assert!(!knobs.old_macs);
}

#[test]
fn a_ca_whose_key_update_is_broken_still_enrols() {
    let bench = Bench::new(P256);
    let (first, key) = bench.first_certificate();
    bench.set(&[("broken-key-update", "no such view")]);
    enrol(&bench.config()).unwrap();
    let mut config = bench.config();
    config.protect_with_certificate(Signer::Key(key), first.certificate, Vec::new());
    let new = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let mut operation = config.build().unwrap().renew(new).unwrap();
    let error = config.build().unwrap().run(&mut operation, &mut Story::default()).map(|_| ()).unwrap_err();
    assert_eq!(error.facts().server_texts, ["no such view"]);
    assert!(error.facts().http_status == Some(500) && !error.facts().server_authenticated, "{error}");
}

#[test]
fn insta_serves_under_its_profile_alone() {
    let bench = Bench::new(By::Pbm);
    bench.set(&[("like", "insta")]);
    assert_eq!(enrol(&by_secret(&bench, b"4711")).unwrap_err().facts().fail_info, Some(1));
    enrol(&with_profile(by_secret(&bench, b"4711"), "insta")).unwrap();
}
