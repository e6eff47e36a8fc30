//! Ways of an enrolment that end well, and deviations that are put up with.

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::client::{Subject, Unattended};
use devid::cmp::{Signer, Tolerance};
use devid::crypto::{KeyKind, default_provider};

use crate::bench::{ALL, Bench, By, P256, Story, enroll};

#[test]
fn every_credential_enrols_in_every_way_a_ca_may_take() {
    for by in ALL {
        let bench = Bench::new(by);
        for implicit in [false, true] {
            for waiting in [0, 2] {
                for confirm_waiting in [0, 1] {
                    let way = format!("{by:?} implicit {implicit} waiting {waiting} pkiConf delayed {confirm_waiting}");
                    let knobs = [("waiting", waiting), ("confirm-waiting", confirm_waiting), ("check-after", 7)];
                    bench.set(&knobs.map(|(name, value)| (name, value.to_string())));
                    let mut config = bench.config();
                    config.ask_implicit_confirm = implicit;

                    let (issued, story) = enroll(&config);

                    let issued = issued.unwrap_or_else(|e| panic!("{way}: {e} {:?}", bench.complaints()));
                    assert_eq!(issued.chain.last().unwrap(), &bench.root(), "{way}");
                    assert_eq!(issued.implicitly_confirmed, implicit, "{way}");
                    // Polled at once, then after each pollRep: one poll more than there are waits.
                    let polls = |count: u64| if count == 0 { 0 } else { count as usize + 1 };
                    let mut expected = vec!["ir"];
                    expected.extend(vec!["pollReq"; polls(waiting)]);
                    if !implicit {
                        expected.push("certConf");
                        expected.extend(vec!["pollReq"; polls(confirm_waiting)]);
                    }
                    assert_eq!(story.sent, expected, "{way}");
                    assert_eq!(bench.received(), expected, "{way}");
                    assert_eq!(bench.complaints(), [""; 0], "{way}");
                    let waits = waiting + if implicit { 0 } else { confirm_waiting };
                    assert_eq!(story.waits, vec![7; waits as usize], "{way}");
                    let confirmed = bench.server.with(|ca| ca.confirmed.last().cloned());
                    assert!(implicit || confirmed.as_deref() == Some(issued.certificate.as_der()), "{way}");
                }
            }
        }
    }
}

/// RFC 9810 section 5.1.1.4: what the CA does not know is no certificate of another kind, and nobody is made a CA for asking.
#[test]
fn an_unknown_profile_and_a_ca_certificate_are_refused() {
    let bench = Bench::new(P256);
    let with = |profile: &str, knobs: &[(&str, &str)]| {
        bench.set(knobs);
        let mut config = bench.config();
        config.cert_profile = Some(profile.to_owned());
        enroll(&config).0
    };
    assert!(with("tls-client", &[]).is_ok());
    let error = with("no-such", &[]).unwrap_err();
    assert_eq!(error.code(), Code::Rejected);
    assert!(error.message().contains("no-such"), "{error}");
    assert!(with("no-such", &[("profiles", "*")]).is_ok());
    assert!(with("tls-client", &[("profiles", "no-such")]).is_err());

    bench.set::<&str>(&[]);
    let client = bench.config().build().unwrap();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=device 1").unwrap();
    let subject = subject.extension("2.5.29.19", true, &[0x30, 3, 1, 1, 0xff]).unwrap();
    let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
    let error = client.run(&mut operation, &mut Unattended).unwrap_err();
    assert_eq!(error.code(), Code::Rejected);
    assert!(error.message().contains("no CA is certified here"), "{error}");
}

#[test]
fn a_signature_answers_a_mac_only_where_that_is_tolerated() {
    let bench = Bench::new(By::Pbm);
    bench.expect_issued(&[("sign-macs", "1")]);
    let mut config = bench.config();
    config.tolerance = Tolerance::strict_rfc9483();
    bench.expect_of(&config, &[("sign-macs", "1")], Code::ProtectionInvalid, &["ir"]);
}

#[test]
fn knobs_bend_the_answers_that_at_names_and_no_others() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("at", "pollrep"), ("broken-protection", "1")]);
    bench.expect_issued(&[("at", "error"), ("broken-protection", "1")]);
    bench.expect(&[("at", "any"), ("broken-protection", "1")], Code::ProtectionInvalid, &["ir"]);
}

#[test]
fn knobs_that_hold_for_some_requests_run_out() {
    let bench = Bench::new(P256);
    bench.expect(&[("error", "1"), ("requests", "1")], Code::Rejected, &["ir"]);
    let (issued, _) = enroll(&bench.config());
    issued.expect("the CA behaves again");

    // The way of sending runs out with them.
    bench.expect(&[("html", "1"), ("requests", "1")], Code::ContentType, &["ir"]);
    enroll(&bench.config()).0.expect("the CA behaves again");
    bench.set(&[("broken-protection", "1"), ("at", "pkiconf"), ("requests", "2")]);
    assert_eq!(enroll(&bench.config()).0.unwrap_err().code(), Code::Unconfirmed);
    enroll(&bench.config()).0.expect("two requests are over");
}

#[test]
fn unrelated_certificates_do_not_keep_the_signer_from_being_found() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("extra-certs", "20")]);

    bench.set(&[("no-extra-certs", "1")]);
    let mut config = bench.config();
    let own = bench.server.with(|ca| [ca.cmp_signer.certificate.clone(), ca.issuing.certificate.clone()]);
    config.intermediates = own.iter().map(|der| Certificate::from_der(der).unwrap()).collect();
    enroll(&config).0.expect("the device has what the CA left out");
}

#[test]
fn the_order_of_extracerts_and_repetitions_do_not_matter_but_the_chain_does() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("reversed-extra-certs", "1")]);
    bench.expect_issued(&[("doubled-extra-certs", "1"), ("extra-certs", "3")]);

    bench.expect(&[("no-chain", "1")], Code::ProtectionInvalid, &["ir"]);
    let mut config = bench.config();
    let issuing = bench.server.with(|ca| ca.issuing.certificate.clone());
    config.intermediates.push(Certificate::from_der(&issuing).unwrap());
    bench.set(&[("no-chain", "1")]);
    enroll(&config).0.expect("the device knows the issuing CA");
}

#[test]
fn an_answer_without_messagetime_is_taken() {
    Bench::new(P256).expect_issued(&[("no-message-time", "1"), ("at", "any")]);
}

#[test]
fn a_sender_that_is_not_the_signer_is_taken_where_that_is_tolerated() {
    let bench = Bench::new(P256);
    bench.set(&[("wrong-sender", "1"), ("at", "any")]);
    let mut config = bench.config();
    config.tolerance.other_sender_name = true;
    enroll(&config).0.expect("the signature and the path are right");
}

#[test]
fn a_ca_that_signs_itself_is_taken_where_its_key_usage_is_tolerated() {
    let bench = Bench::new(P256);
    bench.set(&[("at", "any"), ("signer", "issuing")]);
    let mut config = bench.config();
    config.tolerance.signer_key_usage = true;
    enroll(&config).0.expect("CAs in the field are like that");
}

#[test]
fn granted_with_modifications_is_reported_as_that() {
    let bench = Bench::new(P256);
    bench.set(&[("status", "1"), ("text", "as you wish")]);
    let issued = enroll(&bench.config()).0.expect("what was modified is the CA's secret: nothing differs");
    assert_eq!(issued.status.status.number(), 1);
    assert_eq!(issued.status.texts, ["as you wish"]);
}

#[test]
fn implicit_confirmation_holds_where_it_is_asked_and_granted() {
    let bench = Bench::new(P256);
    let mut asking = bench.config();
    asking.ask_implicit_confirm = true;

    bench.set(&[("implicit-confirm", "ignore")]);
    let (issued, story) = enroll(&asking);
    assert!(!issued.expect("issued").implicitly_confirmed);
    assert_eq!(story.sent, ["ir", "certConf"]);

    // Granted unasked: certConf goes out all the same.
    bench.set(&[("implicit-confirm", "always")]);
    let (_, story) = enroll(&bench.config());
    assert_eq!(story.sent, ["ir", "certConf"]);

    bench.set(&[("confirm-wait-seconds", "300")]);
    let issued = enroll(&bench.config()).0.expect("issued");
    let left = issued.confirm_before.expect("confirmWaitTime").since(system_time());
    assert!((200..=300).contains(&left), "{left}");
}

#[test]
fn checkafter_is_kept_within_bounds_and_its_reason_is_passed_on() {
    let bench = Bench::new(P256);
    let absurd = 1u64 << 40;
    for (asked, waited) in [("-5".to_owned(), 1), ("0".to_owned(), 1), ("3".to_owned(), 3), (absurd.to_string(), 600)] {
        let reason = "an officer looks at it".to_owned();
        let one = "1".to_owned();
        bench.set(&[("waiting", one), ("check-after", asked.clone()), ("poll-reason", reason)]);
        let mut config = bench.config();
        config.limits.max_check_after_seconds = 600;
        let (issued, story) = enroll(&config);
        issued.unwrap_or_else(|e| panic!("{asked}: {e}"));
        assert_eq!(story.waits, [waited], "{asked}");
        assert_eq!(story.reasons, ["an officer looks at it"]);
    }
}

#[test]
fn failinfo_beside_waiting_is_a_breach_that_is_tolerated_by_default() {
    let bench = Bench::new(P256);
    let knobs = [("waiting", "1"), ("waiting-fail-info", "1")];
    bench.expect_issued(&knobs);
    let mut config = bench.config();
    config.tolerance = Tolerance::strict_rfc9483();
    bench.expect_of(&config, &knobs, Code::Protocol, &["ir"]);
}

#[test]
fn after_polling_either_form_of_recipnonce_is_taken() {
    Bench::new(P256).expect_issued(&[("waiting", "1"), ("last-recip-nonce", "1")]);
}

#[test]
fn ca_pubs_arrive_under_a_mac_and_under_nothing_else() {
    for by in [By::Pbm, P256] {
        let bench = Bench::new(by);
        bench.set(&[("ca-pubs", "1")]);
        let mut config = bench.config();
        config.accept_ca_pubs = true;
        config.enrolment_anchors = Default::default();
        if matches!(by, By::Pbm) {
            let (issued, story) = enroll(&config);
            assert_eq!(issued.expect("issued").ca_pubs, [bench.root()]);
            assert_eq!(story.sent, ["ir", "certConf"]);
            continue;
        }
        // Under a signature they are not taken, and nothing else could say where the certificate leads: not even asked.
        let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
        let client = config.build().unwrap();
        let refused = client.enroll(key, &Subject::new().name("CN=device 1").unwrap()).map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    // In cp they have no place, under a MAC either.
    let bench = Bench::new(By::Pbm);
    bench.set(&[("ca-pubs", "1")]);
    let mut config = bench.config();
    config.accept_ca_pubs = true;
    config.enrolment_anchors = Default::default();
    let client = config.build().unwrap();
    let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let error = client.enroll_further(key, &Subject::new().name("CN=device 1").unwrap()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(bench.received().is_empty(), "nothing was sent");
}

#[test]
fn a_further_certificate_and_a_key_update_follow_the_first() {
    for (waiting, confirm_waiting) in [("0", "0"), ("2", "1")] {
        let bench = Bench::new(P256);
        let knobs = [("waiting", waiting), ("confirm-waiting", confirm_waiting)];
        let (issued, key) = bench.first_certificate();
        let mut config = bench.config();
        config.protect_with_certificate(Signer::Key(key), issued.certificate.clone(), issued.chain[1..].to_vec());
        let client = config.build().unwrap();
        let new_key = || Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());

        bench.set(&knobs);
        let subject = Subject::new().name("CN=another name").unwrap();
        let mut story = Story::default();
        client.run(&mut client.enroll_further(new_key(), &subject).unwrap(), &mut story).expect("cr");
        assert_eq!((story.sent[0], bench.received()), ("cr", story.sent.clone()));

        bench.set(&knobs);
        let mut story = Story::default();
        let renewed = client.run(&mut client.renew(new_key()).unwrap(), &mut story).expect("kur");
        assert_eq!((story.sent[0], bench.received()), ("kur", story.sent.clone()));
        assert_eq!(renewed.certificate.subject(), issued.certificate.subject());
        assert_ne!(renewed.certificate, issued.certificate);
        assert_eq!(bench.complaints(), [""; 0]);
    }
}

#[test]
fn a_key_update_of_a_certificate_of_another_ca_is_rejected() {
    let bench = Bench::new(P256);
    let new_key = || Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    bench.set::<&str>(&[]);
    let client = bench.config().build().unwrap();
    let error = client.run(&mut client.renew(new_key()).unwrap(), &mut Story::default()).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "the supplier's certificate is not this CA's to update");
    assert_eq!(error.facts().fail_info, Some(1 << 4), "badCertId");
    assert_eq!(bench.complaints(), ["a key update of a certificate that was not issued here"]);
}
