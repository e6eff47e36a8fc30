//! What servers in the field do differently: each deviation has a default and, where that is no, a switch by name. And no
//! switch, nor all of them together, makes a success of what nobody vouches for.

use devid::asn1::x509::Certificate;
use devid::client::{Config, Subject, UnsignedRequest};
use devid::cmp::{MacParameters, Profile, Signer, Tolerance};
use devid::crypto::{DigestAlgorithm, KeyKind, default_provider};
use devid::{Code, Error};

use crate::bench::{ALL, Bench, By, P256, Story, enroll, extra_certs_len};
use crate::bent::REFUSED;

/// Settings with one switch turned from its default.
fn turned(bench: &Bench, name: &str) -> Config {
    let mut config = bench.config();
    let (_, default, _) = Tolerance::TABLE.iter().find(|(n, ..)| *n == name).unwrap();
    config.tolerance.set(name, !default).unwrap();
    config
}

fn outcome(bench: &Bench, config: &Config, knobs: &[(&str, &str)]) -> Result<(), Error> {
    bench.set(knobs);
    enroll(config).0.map(|_| ())
}

fn code(result: Result<(), Error>) -> Option<Code> {
    result.err().map(|error| error.code())
}

/// Knobs whose answers are authenticated all the same, and which switch takes them.
const AUTHENTIC: [(&str, &str, &str); 3] = [
    ("wrong-sender", "1", "other_sender_name"),
    ("wrong-sender-kid", "1", "wrong_sender_kid"),
    ("signer", "no-usage", "signer_key_usage"),
];

#[test]
fn with_every_tolerance_on_nothing_unauthenticated_is_a_success() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.tolerance = Tolerance { never_confirm: false, ..Tolerance::everything() };
    let is_authentic = |name: &str, value: &str| {
        AUTHENTIC.iter().any(|(n, v, _)| (*n, *v) == (name, value)) || (name, value) == ("signer", "issuing")
    };
    for &(name, value, _) in REFUSED {
        let result = outcome(&bench, &config, &[(name, value)]);
        assert_eq!(result.is_ok(), is_authentic(name, value), "{name}={value}: {result:?}");
    }
    // In every place of an operation.
    for by in ALL {
        let bench = Bench::new(by);
        let mut config = bench.config();
        config.tolerance = Tolerance { never_confirm: false, ..Tolerance::everything() };
        for at in ["first", "pollrep", "pkiconf", "error", "any"] {
            for spoil in
                [("no-protection", "1"), ("broken-protection", "1"), ("empty-protection", "1"), ("signer", "stranger")]
            {
                if spoil.0 == "signer" && matches!(by, By::Pbm | By::Pbmac1) {
                    continue;
                }
                let knobs = [("at", at), spoil, ("waiting", "1"), ("waiting-by-error", "1"), ("confirm-waiting", "1")];
                let result = outcome(&bench, &config, &knobs);
                // What proves nothing while it is polled is dropped, and asked for again until it is authentic.
                let polls = bench.received().iter().filter(|body| **body == "pollReq").count();
                assert!(result.is_err() || (at == "pollrep" && polls > 2), "{by:?} {knobs:?}: {polls} polls");
            }
        }
        if matches!(by, By::Pbm | By::Pbmac1) {
            for knobs in [[("wrong-secret", "1")], [("wrong-recip-nonce", "1")], [("wrong-transaction", "1")]] {
                assert!(outcome(&bench, &config, &knobs).is_err(), "{by:?} {knobs:?}");
            }
            // A signature in place of the MAC must be the CA's all the same.
            let signed = [("sign-macs", "1"), ("signer", "stranger")];
            assert!(outcome(&bench, &config, &signed).is_err(), "{by:?}");
        }
    }
}

/// RFC 9810 section 5.1.1: senderNonce is OPTIONAL, and it protects the server; recipNonce protects us.
#[test]
fn an_answer_without_a_nonce_of_the_servers_own_is_taken_but_by_the_strict_profile() {
    for by in ALL {
        let bench = Bench::new(by);
        for knob in [("short-sender-nonce", "1"), ("no-sender-nonce", "1")] {
            bench.expect_issued(&[knob]);
            let mut strict = bench.config();
            strict.tolerance = Tolerance::strict_rfc9483();
            assert_eq!(code(outcome(&bench, &strict, &[knob])), Some(Code::Nonce), "{by:?} {knob:?}");
        }
    }
}

#[test]
fn each_switch_takes_its_deviation_and_without_it_the_deviation_is_refused() {
    let bench = Bench::new(P256);
    for (name, value, switch) in AUTHENTIC {
        assert_eq!(code(outcome(&bench, &bench.config(), &[(name, value)])), Some(Code::ProtectionInvalid), "{name}");
        let knobs = [("at", "any"), (name, value)];
        outcome(&bench, &turned(&bench, switch), &knobs).unwrap_or_else(|e| panic!("{switch}: {e}"));
    }
    // On by default; refused where the profile is strict.
    for (knobs, switch, refused) in [
        (vec![("null-names", "1")], "null_sender", Code::ProtectionInvalid),
        (vec![("content-type", "text/plain")], "other_content_type", Code::ContentType),
    ] {
        outcome(&bench, &bench.config(), &knobs).unwrap_or_else(|e| panic!("{switch}: {e}"));
        assert_eq!(code(outcome(&bench, &turned(&bench, switch), &knobs)), Some(refused), "{switch}");
        let mut strict = bench.config();
        strict.apply_profile("strict-rfc9483").unwrap();
        assert_eq!(code(outcome(&bench, &strict, &knobs)), Some(refused), "{switch}");
    }
    // Another signer later is taken only where that is said, and if it is trusted; never if it is not.
    let knobs = [("at", "pkiconf"), ("signer", "second")];
    assert_eq!(code(outcome(&bench, &bench.config(), &knobs)), Some(Code::Unconfirmed));
    outcome(&bench, &turned(&bench, "signer_may_change"), &knobs).unwrap();
    let knobs = [("at", "pkiconf"), ("signer", "stranger")];
    assert_eq!(code(outcome(&bench, &bench.config(), &knobs)), Some(Code::Unconfirmed));
}

#[test]
fn errors_out_of_their_transaction_are_reported_where_that_is_wanted() {
    let bench = Bench::new(P256);
    for name in ["wrong-transaction", "no-transaction", "wrong-recip-nonce", "no-recip-nonce"] {
        let knobs = [("error", "1"), ("at", "error"), (name, "1"), ("text", "cannot read that")];
        let error = outcome(&bench, &bench.config(), &knobs).unwrap_err();
        assert!(matches!(error.code(), Code::TransactionId | Code::Nonce), "{name}: {error}");
        let error = outcome(&bench, &turned(&bench, "unmatched_errors"), &knobs).unwrap_err();
        assert_eq!(error.code(), Code::Rejected, "{name}: {error}");
        assert_eq!(error.facts().server_texts, ["cannot read that"]);
        assert!(!error.facts().server_authenticated, "{name}: it may be an old one");
    }
}

#[test]
fn an_error_of_version_1_is_shown_and_ends_the_operation() {
    let bench = Bench::new(P256);
    let knobs = [("error", "1"), ("at", "error"), ("pvno", "1"), ("text", "too new for me")];
    let error = outcome(&bench, &bench.config(), &knobs).unwrap_err();
    assert_eq!((error.code(), error.facts().server_texts.join("")), (Code::Rejected, "too new for me".to_owned()));
    assert_eq!(code(outcome(&bench, &turned(&bench, "old_version_errors"), &knobs)), Some(Code::UnknownVersion));
    // Waiting is no reason to go on in that version.
    let knobs = [("waiting", "1"), ("waiting-by-error", "1"), ("at", "error"), ("pvno", "1")];
    assert_eq!(code(outcome(&bench, &bench.config(), &knobs)), Some(Code::Rejected));
}

#[test]
fn either_version_answers_and_a_missing_sender_kid_is_no_obstacle() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("pvno", "3"), ("at", "any")]);
    bench.expect_issued(&[("no-sender-kid", "1"), ("at", "any")]);
    // Nokia NCM: pkiConf with neither certificates nor senderKID.
    bench.expect_issued(&[("at", "pkiconf"), ("no-extra-certs", "1"), ("no-sender-kid", "1")]);
    let bench = Bench::new(By::Pbm);
    bench.expect_issued(&[("no-sender-kid", "1"), ("null-names", "1"), ("at", "any")]);
}

#[test]
fn texts_that_are_not_utf8_or_not_there_are_shown_as_far_as_they_go() {
    let bench = Bench::new(P256);
    for (form, expected) in [("latin1", vec!["refus\u{fffd}"]), ("empty", vec![])] {
        for refusal in ["error", "status"] {
            let knobs = [(refusal, if refusal == "error" { "1" } else { "2" }), ("text", "refus"), ("text-form", form)];
            let error = outcome(&bench, &bench.config(), &knobs).unwrap_err();
            assert_eq!(error.code(), Code::Rejected, "{error}");
            assert_eq!(error.facts().server_texts, expected, "{form} {refusal}");
        }
    }
}

#[test]
fn p10cr_is_confirmed_under_the_number_that_the_server_gave_it() {
    let bench = Bench::new(P256);
    for id in ["-1", "0"] {
        bench.set(&[("pkcs10-id", id), ("waiting", "1")]);
        let client = bench.config().build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device 1").unwrap();
        let unsigned = UnsignedRequest::new(&subject, &Signer::Key(key.clone()), &Default::default()).unwrap();
        let csr = unsigned.sign(&*key).unwrap();
        let mut operation = client.enroll_pkcs10(csr.as_der()).unwrap();
        client.run(&mut operation, &mut Story::default()).unwrap_or_else(|e| panic!("{id}: {e}"));
        assert_eq!(bench.complaints(), [""; 0], "{id}");
    }
}

#[test]
fn macs_of_bouncy_castle_are_read_and_where_wanted_written() {
    let bench = Bench::new(By::Pbmac1);
    bench.expect_issued(&[("pbes2-answers", "1")]);
    bench.expect_issued(&[("request-salt", "1")]);
    let only = [("pbes2-requests", "1"), ("pbes2-answers", "1")];
    let error = outcome(&bench, &bench.config(), &only).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1), "badAlg: {error}");
    outcome(&bench, &turned(&bench, "pbes2_in_pbmac1"), &only).unwrap();
    let bench = Bench::new(By::Pbm);
    bench.expect_issued(&[("request-salt", "1")]);
}

#[test]
fn a_sender_may_be_left_empty_under_a_mac() {
    let bench = Bench::new(By::Pbm);
    outcome(&bench, &turned(&bench, "null_mac_sender"), &[]).unwrap();
    assert_eq!(bench.complaints(), [""; 0]);
    let sent = bench.server.with(|ca| ca.received[0].der.clone());
    let message = devid_testca::tlv::Node::parse(&sent).unwrap();
    assert_eq!(message.at(0).unwrap().at(1).unwrap().value(), [0x30, 0x00]);
}

#[test]
fn a_server_that_takes_no_confirmation_gets_none_where_that_is_wanted() {
    let bench = Bench::new(P256);
    let knobs = [("no-confirmations", "1")];
    assert_eq!(code(outcome(&bench, &bench.config(), &knobs)), Some(Code::Unconfirmed));
    outcome(&bench, &turned(&bench, "never_confirm"), &knobs).unwrap();
    assert_eq!(bench.received(), ["ir"]);
}

#[test]
fn the_profile_of_insta_makes_macs_that_insta_takes() {
    let bench = Bench::new(By::Pbm);
    let mut config = bench.config();
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    let knobs = [("old-macs", "1")];
    let error = outcome(&bench, &config, &knobs).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1), "badAlg: {error}");
    config.apply_profile("insta").unwrap();
    outcome(&bench, &config, &knobs).unwrap();
    // What is set by hand holds.
    let digest = DigestAlgorithm::Sha256;
    let by_hand = MacParameters::PasswordBased { owf: digest, mac: digest, iterations: 1000 };
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", by_hand).unwrap();
    assert_eq!(outcome(&bench, &config, &knobs).unwrap_err().facts().fail_info, Some(1));
}

#[test]
fn every_profile_enrols_with_a_ca_by_the_book_and_with_the_one_it_is_for() {
    for by in [P256, By::Pbm, By::Pbmac1] {
        let bench = Bench::new(by);
        for name in Profile::NAMES {
            let mut config = bench.config();
            config.apply_profile(name).unwrap();
            outcome(&bench, &config, &[]).unwrap_or_else(|e| panic!("{name} {by:?}: {e}"));
        }
        assert_eq!(bench.config().apply_profile("acme").unwrap_err().code(), Code::InvalidArgument);
    }
    let profile = |bench: &Bench, name: &str| {
        let mut config = bench.config();
        config.apply_profile(name).unwrap();
        config
    };
    let (signing, by_secret) = (Bench::new(P256), Bench::new(By::Pbm));
    // EJBCA: MACs are answered with signatures, rejections come bare.
    outcome(&by_secret, &profile(&by_secret, "ejbca"), &[("sign-macs", "1")]).unwrap();
    let bare = [("unprotected-error", "1"), ("error", "1"), ("text", "no such end entity")];
    let error = outcome(&signing, &profile(&signing, "ejbca"), &bare).unwrap_err();
    assert_eq!((error.code(), error.facts().server_authenticated), (Code::Rejected, false));
    // Nokia NCM: its front end is busy at times.
    let busy = [("http-status", "503"), ("html", "1"), ("retry-after", "1"), ("requests", "1")];
    outcome(&signing, &profile(&signing, "nokia-ncm"), &busy).unwrap();
    assert_eq!(code(outcome(&signing, &signing.config(), &busy)), Some(Code::Busy));
    // Vault: the CA signs itself.
    outcome(&signing, &profile(&signing, "vault"), &[("at", "any"), ("signer", "issuing")]).unwrap();
    // 3GPP: confirmations are explicit, whatever was set before.
    let mut asking = signing.config();
    asking.ask_implicit_confirm = true;
    asking.apply_profile("3gpp").unwrap();
    outcome(&signing, &asking, &[]).unwrap();
    assert_eq!(signing.received(), ["ir", "certConf"]);
    // Strict: what is tolerated elsewhere.
    let signed = outcome(&by_secret, &profile(&by_secret, "strict-rfc9483"), &[("sign-macs", "1")]);
    assert_eq!(code(signed), Some(Code::ProtectionInvalid));
}

/// The operator's root unknown to the device, as it leaves the factory.
fn without_anchors(bench: &Bench) -> Config {
    let mut config = bench.config();
    config.cmp_anchors = Default::default();
    config.enrolment_anchors = Default::default();
    config.adopt_root_of_ip = true;
    config
}

#[test]
fn an_operators_root_comes_with_ip_only_where_the_device_asks_for_that() {
    let bench = Bench::new(P256);
    let knobs = [("root-in-extra-certs", "1"), ("waiting", "1")];
    bench.set(&knobs);
    let (issued, _) = enroll(&without_anchors(&bench));
    assert_eq!(issued.expect("adopted").chain.last(), Some(&bench.root()));

    // Without the wish the same settings are refused before anything is sent.
    let mut plain = without_anchors(&bench);
    plain.adopt_root_of_ip = false;
    let client = plain.build().unwrap();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=device 1").unwrap();
    assert_eq!(client.enroll(Signer::Key(key), &subject).err().map(|e| e.code()), Some(Code::InvalidArgument));

    // No root came; the root of the signer is not that of the certificate; only an error came.
    let adopting = without_anchors(&bench);
    assert_eq!(code(outcome(&bench, &adopting, &[("root-in-extra-certs", "0")])), Some(Code::ProtectionInvalid));
    let foreign = [("root-in-extra-certs", "1"), ("certificate-from-stranger", "1")];
    assert_eq!(code(outcome(&bench, &adopting, &foreign)), Some(Code::ProtectionInvalid));
    let refused = [("root-in-extra-certs", "1"), ("error", "1"), ("at", "any")];
    assert_eq!(code(outcome(&bench, &adopting, &refused)), Some(Code::ProtectionInvalid));
    let broken = [("root-in-extra-certs", "1"), ("broken-protection", "1")];
    assert_eq!(code(outcome(&bench, &adopting, &broken)), Some(Code::ProtectionInvalid));

    // A device that knows its operator is not talked out of it.
    let mut knowing = bench.config();
    knowing.adopt_root_of_ip = true;
    outcome(&bench, &knowing, &[("root-in-extra-certs", "1")]).unwrap();
}

#[test]
fn the_suppliers_chain_goes_along_in_order_and_the_signer_first() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    let supplier = bench.server.with(|ca| ca.supplier.certificate.clone());
    let mut config = bench.config();
    let idevid = bench.idevid.as_ref().unwrap();
    let key = devid::crypto::keys::load_private_key(&*default_provider(), &idevid.key.pkcs8, None).unwrap();
    let chain = [&idevid.certificate, &supplier].map(|der| Certificate::from_der(der).unwrap());
    config.set_credential(Signer::Key(key), &chain).unwrap();
    enroll(&config).0.unwrap();
    for received in bench.server.with(|ca| ca.received.clone()) {
        let message = devid_testca::tlv::Node::parse(&received.der).unwrap();
        let list = message.children.iter().skip(2).find(|c| c.tag == 0xa1).unwrap().inner().unwrap().clone();
        assert!(extra_certs_len(&received.der) > 0);
        assert_eq!(list.at(0).unwrap().bytes, idevid.certificate);
        assert_eq!(list.at(1).unwrap().bytes, supplier);
    }
}

#[test]
fn the_page_about_servers_in_the_field_names_every_switch_and_every_profile() {
    let page = include_str!("../../docs/known-cas.md");
    for (name, default, text) in Tolerance::TABLE {
        let row = format!("| `{name}` | {} | {text} |", if *default { "on" } else { "off" });
        assert!(page.contains(&row), "{row}");
    }
    for name in Profile::NAMES {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
