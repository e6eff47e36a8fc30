//! Our client against the test CA, over HTTP: every good way through an enrolment, and every knob that bends an answer.
//!
//! The clock is pretended, so that waits take no time.

use std::sync::Arc;
use std::time::Duration;

use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::client::{Config, Event, Owner, Subject};
use devid::cmp::{Issued, MacParameters, Signer, Tolerance};
use devid::crypto::keys::load_private_key;
use devid::crypto::{DigestAlgorithm, KeyKind, default_provider};
use devid::{Code, Error, Time};
use devid_testca::server::system_time as seconds_now;
use devid_testca::tlv::Node;
use devid_testca::{Holder, KeyType, Knobs, Options, Server, TestCa};

const REFERENCE: &str = "4711";
const SECRET: &[u8] = b"correct-horse-battery-staple";

/// How a device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Idevid(KeyType),
    Pbm,
    Pbmac1,
}

const P256: By = By::Idevid(KeyType::P256);
const ALL: [By; 5] = [P256, By::Idevid(KeyType::Rsa2048), By::Idevid(KeyType::Ed25519), By::Pbm, By::Pbmac1];

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

#[test]
fn an_answer_that_is_not_to_be_believed_ends_the_operation_and_nothing_more_is_sent() {
    let bench = Bench::new(P256);
    for (name, value, code) in [
        ("wrong-recip-nonce", "1", Code::Nonce),
        ("no-recip-nonce", "1", Code::Nonce),
        ("short-sender-nonce", "1", Code::Nonce),
        ("wrong-transaction", "1", Code::TransactionId),
        ("pvno", "1", Code::UnknownVersion),
        ("pvno", "4", Code::UnknownVersion),
        ("wrong-body", "1", Code::UnexpectedBody),
        ("broken-protection", "1", Code::ProtectionInvalid),
        ("no-protection", "1", Code::Unprotected),
        ("signer", "issuing", Code::ProtectionInvalid),
        ("signer", "expired", Code::ProtectionInvalid),
        ("signer", "no-usage", Code::ProtectionInvalid),
        ("signer", "stranger", Code::ProtectionInvalid),
        ("wrong-sender-kid", "1", Code::ProtectionInvalid),
        ("no-extra-certs", "1", Code::ProtectionInvalid),
        ("extra-certs", "70", Code::Limit),
        ("message-time-off", "7200", Code::MessageTime),
        ("message-time-off", "-7200", Code::MessageTime),
        ("garbage", "1", Code::Der),
        ("truncate", "100", Code::Transport),
        ("cert-req-id", "7", Code::Protocol),
        ("no-certificate", "1", Code::Protocol),
    ] {
        bench.expect(&[(name, value)], code, &["ir"]);
    }
}

#[test]
fn an_answer_under_another_secret_or_absurd_parameters_is_not_believed() {
    for by in [By::Pbm, By::Pbmac1] {
        let bench = Bench::new(by);
        bench.expect(&[("wrong-secret", "1")], Code::ProtectionInvalid, &["ir"]);
        bench.expect(&[("broken-protection", "1")], Code::ProtectionInvalid, &["ir"]);
        bench.expect(&[("wrong-sender-kid", "1")], Code::ProtectionInvalid, &["ir"]);
        bench.expect(&[("no-protection", "1")], Code::Unprotected, &["ir"]);
        bench.expect(&[("mac-iterations", "2000000")], Code::MacParameters, &["ir"]);
        bench.expect_issued(&[("mac-iterations", "2000")]);
    }
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
fn a_poll_answer_that_is_not_to_be_believed_ends_the_operation() {
    let bench = Bench::new(P256);
    for (name, code) in [
        ("wrong-recip-nonce", Code::Nonce),
        ("wrong-transaction", Code::TransactionId),
        ("wrong-body", Code::UnexpectedBody),
        ("broken-protection", Code::ProtectionInvalid),
        ("no-protection", Code::Unprotected),
        ("garbage", Code::Der),
    ] {
        bench.expect(&[("waiting", "1"), ("at", "pollrep"), (name, "1")], code, &["ir", "pollReq"]);
    }
    let by_error = [("waiting", "1"), ("waiting-by-error", "1"), ("at", "error")];
    bench.expect_issued(&by_error[..2]);
    for (name, code) in [("broken-protection", Code::ProtectionInvalid), ("no-protection", Code::Unprotected)] {
        bench.expect(&[&by_error[..], &[(name, "1")]].concat(), code, &["ir"]);
    }
}

#[test]
fn a_confirmation_that_is_not_to_be_believed_leaves_the_certificate_unconfirmed() {
    let bench = Bench::new(P256);
    for name in ["wrong-recip-nonce", "wrong-transaction", "wrong-body", "broken-protection", "no-protection"] {
        bench.expect(&[("at", "pkiconf"), (name, "1")], Code::Unconfirmed, &["ir", "certConf"]);
        assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 1, "{name}: the CA takes it for confirmed");
    }
    let delayed = [("confirm-waiting", "1"), ("at", "pollrep"), ("broken-protection", "1")];
    bench.expect(&delayed, Code::Unconfirmed, &["ir", "certConf", "pollReq"]);
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
fn a_body_under_another_tag_is_refused() {
    let bench = Bench::new(P256);
    for other in ["2", "3", "8", "19", "22", "26"] {
        bench.expect(&[("body", other)], Code::UnexpectedBody, &["ir"]);
    }
    bench.expect(&[("body", "30")], Code::Der, &["ir"]);
    bench.expect(&[("at", "pkiconf"), ("body", "1")], Code::Unconfirmed, &["ir", "certConf"]);
}

#[test]
fn an_unprotected_error_is_nobodys_word() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("unprotected-error", "1")]);
    let knobs = [("unprotected-error", "1"), ("error", "1"), ("text", "go away")];
    let error = bench.expect(&knobs, Code::Unprotected, &["ir"]);
    assert_eq!(error.facts().server_texts, ["go away"]);
    assert!(!error.facts().server_authenticated);

    let mut config = bench.config();
    config.tolerance.unprotected_errors = true;
    let error = bench.expect_of(&config, &knobs, Code::Rejected, &["ir"]);
    assert!(!error.facts().server_authenticated, "reported, and still nobody's word");
    let waiting = [("unprotected-error", "1"), ("waiting", "1"), ("waiting-by-error", "1")];
    let error = bench.expect_of(&config, &waiting, Code::Rejected, &["ir"]);
    assert!(!error.facts().server_authenticated, "nobody makes the device wait");
}

#[test]
fn a_ca_that_signs_itself_is_taken_where_its_key_usage_is_tolerated() {
    let bench = Bench::new(P256);
    bench.set(&[("signer", "issuing")]);
    let mut config = bench.config();
    config.tolerance.signer_key_usage = true;
    enroll(&config).0.expect("CAs in the field are like that");
}

#[test]
fn a_refusal_brings_status_failure_bits_and_words() {
    let bench = Bench::new(P256);
    for (name, value, status) in [("status", "2", 2), ("error", "1", 2)] {
        let error =
            bench.expect(&[(name, value), ("fail-info", "512"), ("text", "unknown device")], Code::Rejected, &["ir"]);
        assert_eq!(error.facts().pki_status, Some(status));
        assert_eq!(error.facts().fail_info, Some(1 << 9));
        assert_eq!(error.facts().server_texts, ["unknown device"]);
        assert!(error.facts().server_authenticated);
        assert_eq!(error.facts().phase, Some("ir"));
    }
}

#[test]
fn what_was_issued_otherwise_than_asked_is_refused_and_the_ca_is_told() {
    let bench = Bench::new(P256);
    for (name, value, code) in [
        ("wrong-key", "1", Code::WrongCertificate),
        ("certificate-days", "-1", Code::WrongCertificate),
        ("modify-subject", "1", Code::Refused),
        ("drop-alt-names", "1", Code::Refused),
    ] {
        bench.expect(&[(name, value)], code, &["ir", "certConf"]);
        let (confirmed, rejected) = bench.server.with(|ca| (ca.confirmed.len(), ca.rejected.len()));
        assert_eq!((confirmed, rejected), (0, 1), "{name}");
    }
    bench.set(&[("certificate-seconds", "600")]);
    let issued = enroll(&bench.config()).0.expect("short-lived, and good");
    assert!(issued.certificate.not_after().since(system_time()) <= 600);
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
fn a_ca_that_never_stops_waiting_is_given_up() {
    let bench = Bench::new(P256);
    bench.set(&[("waiting", "1000000")]);
    let mut config = bench.config();
    config.limits.max_polls = 5;
    let (issued, story) = enroll(&config);
    assert_eq!(issued.unwrap_err().code(), Code::PollExhausted);
    assert_eq!(story.sent.len(), 6);
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
        let (issued, story) = enroll(&config);
        match by {
            By::Pbm => assert_eq!(issued.expect("issued").ca_pubs, [bench.root()]),
            _ => assert_eq!(issued.unwrap_err().code(), Code::WrongCertificate),
        }
        assert_eq!(story.sent, ["ir", "certConf"]);
    }
}

#[test]
fn the_ca_looks_at_the_devices_clock_only_when_told_to() {
    let bench = Bench::new(P256);
    let off = || Story { pretended_seconds: 600, ..Story::default() };
    bench.set(&[("time-window", "60")]);
    let (issued, story) = enroll_as(&bench.config(), off());
    assert_eq!(issued.unwrap_err().facts().fail_info, Some(1 << 3), "badTime");
    assert_eq!(story.sent, ["ir"]);
    assert!(bench.complaints()[0].contains("seconds off"), "{:?}", bench.complaints());
    for knobs in [[("time-window", "0"), ("strict", "1")], [("time-window", "60"), ("strict", "0")]] {
        bench.set(&knobs);
        enroll_as(&bench.config(), off()).0.expect("issued");
    }
}

#[test]
fn a_connection_that_closes_at_any_byte_is_a_transport_error_and_nothing_is_taken() {
    let bench = Bench::new(P256);
    let mut closed = 0;
    for count in (0..).step_by(41) {
        bench.set(&[("cut-after", count.to_string())]);
        let (issued, story) = enroll(&bench.config());
        match issued {
            // A later message is shorter: it is the first answer that decides.
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), Code::Transport, "closed after {count} bytes: {error}"),
        }
        assert_eq!(story.sent, ["ir"], "closed after {count} bytes");
        closed += 1;
    }
    assert!(closed > 20, "the answer has more than {closed} times 41 bytes");
}

#[test]
fn a_connection_that_closes_while_the_certificate_is_confirmed_can_be_tried_again() {
    let bench = Bench::new(P256);
    for count in [0, 1, 50, 200] {
        bench.set(&[("broken-protection", "0")]);
        let client = bench.config().build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device 1").unwrap();
        let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
        let ca = &bench.server;
        let cut = |body: &str| {
            if body == "certConf" {
                ca.with(|ca| ca.knobs.cut_after = count);
            }
        };
        let mut story = Meddling { story: Story::default(), meddle: Box::new(cut) };
        let error = client.run(&mut operation, &mut story).unwrap_err();
        assert_eq!(error.code(), Code::Transport, "closed after {count} bytes: {error}");
        assert_eq!(error.facts().phase, Some("certConf"));
        assert_eq!(story.story.sent, ["ir", "certConf"]);
        assert!(!operation.has_failed(), "the certificate is not lost");

        // This CA took the first certConf and refuses a second one: the device knows that it does not know.
        ca.with(|ca| ca.knobs.cut_after = -1);
        let error = client.run(&mut operation, &mut Story::default()).unwrap_err();
        assert_eq!(error.code(), Code::Unconfirmed, "{error}");
        assert!(operation.issued().is_some());
    }
}

#[test]
fn a_request_with_a_changed_byte_gets_no_certificate_from_the_ca() {
    for by in [P256, By::Pbm] {
        let bench = Bench::new(by);
        bench.set::<&str>(&[]);
        enroll(&bench.config()).0.expect("issued");
        let (now, request) = (seconds_now(), bench.server.with(|ca| ca.received[0].der.clone()));
        let end = request.len() - extra_certs_len(&request);
        let ip = 0xa1;
        for at in 0..request.len() {
            let mut changed = request.clone();
            changed[at] ^= 1 << (at % 8);
            // In a transaction of its own the request as it came would be served.
            let answer = bench.server.with(|ca| ca.answer(&changed, now));
            let body = body_tag(&answer);
            assert!(body == 0xb7 || (body == ip && at >= end), "{by:?}: byte {at} of {end}: {body:02x}");
            let answer = bench.server.with(|ca| ca.answer(&request[..at], now));
            assert_eq!(body_tag(&answer), 0xb7, "{by:?}: cut after {at} bytes");
        }
    }
}

#[test]
fn an_answer_that_does_not_come_or_drips_ends_at_the_deadline() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.exchange_limits.read_timeout = Duration::from_secs(1);
    bench.expect_of(&config, &[("delay-ms", "3000")], Code::Timeout, &["ir"]);

    let mut config = bench.config();
    config.exchange_limits.total_timeout = Duration::from_secs(1);
    bench.expect_of(&config, &[("drip-ms", "20")], Code::Timeout, &["ir"]);
}

#[test]
fn an_answer_above_the_limit_is_not_read_and_one_below_is() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.limits.max_message_bytes = 100_000;
    bench.expect_of(&config, &[("oversize", "200000")], Code::TooLarge, &["ir"]);
    bench.expect_of(&config, &[("oversize", "200000"), ("chunked", "1")], Code::TooLarge, &["ir"]);
    bench.expect_of(&config, &[("endless", "1")], Code::TooLarge, &["ir"]);
    config.limits.max_message_bytes = 300_000;
    bench.set(&[("oversize", "200000")]);
    enroll(&config).0.expect("200 kB of freeText are allowed");
}

#[test]
fn a_busy_front_end_is_told_with_its_retry_after() {
    let bench = Bench::new(P256);
    let busy = [("http-status", "503"), ("html", "1"), ("retry-after", "30")];
    let error = bench.expect(&busy, Code::Busy, &["ir"]);
    assert_eq!(error.facts().http_status, Some(503));
    assert_eq!(error.facts().retry_after_seconds, Some(30));
    bench.expect(&[("http-status", "500"), ("html", "1")], Code::HttpStatus, &["ir"]);
    bench.expect(&[("html", "1")], Code::ContentType, &["ir"]);
    bench.expect_issued(&[("http-status", "500")]);
}

#[test]
fn a_redirect_is_not_followed() {
    let (bench, elsewhere) = (Bench::new(P256), Bench::new(P256));
    let error = bench.expect(&[("redirect", &elsewhere.server.cmp_url())], Code::HttpStatus, &["ir"]);
    assert_eq!(error.facts().http_status, Some(302));
    assert_eq!(elsewhere.received(), [""; 0]);
}

#[test]
fn http_may_be_chunked_closed_after_each_answer_and_wrongly_labelled() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("chunked", "1")]);
    bench.expect_issued(&[("close", "1")]);
    bench.expect_issued(&[("content-type", "text/plain")]);
    bench.expect_issued(&[("content-type", "")]);
    bench.expect(&[("content-type", "text/plain"), ("garbage", "1")], Code::ContentType, &["ir"]);
}

#[test]
fn every_knob_of_the_table_is_turned_here() {
    // One bends what OCSP answers, which the tests of revocation ask for; one waits for requests that the CA's own
    // tests send.
    let elsewhere = ["ocsp-unavailable", "other-waiting"];
    let text = include_str!("testca.rs");
    for (name, ..) in Knobs::table() {
        let turned = text.contains(&format!("(\"{name}\", ")) || elsewhere.contains(&name);
        assert!(turned, "no test turns {name}");
    }
    assert!(Knobs::default().set("no-such-knob", "1").is_err());
    assert!(Knobs::default().set("waiting", "often").is_err());
    assert!(Knobs::default().set("error", "perhaps").is_err());
}

/// A CA that runs, and the device's credential for it.
struct Bench {
    server: Server,
    by: By,
    idevid: Option<Holder>,
}

impl Bench {
    fn new(by: By) -> Self {
        let ca = TestCa::new(Options::default());
        let idevid = match by {
            By::Idevid(kind) => Some(ca.idevid("device 1", kind, seconds_now())),
            _ => None,
        };
        Bench { server: Server::start(ca).unwrap(), by, idevid }
    }

    /// Well-behaved but for these, and with an empty log.
    fn set<V: AsRef<str>>(&self, knobs: &[(&str, V)]) {
        self.server.with(|ca| {
            ca.knobs = Knobs::default();
            for (name, value) in knobs {
                ca.knobs.set(name, value.as_ref()).unwrap();
            }
            ca.received.clear();
            ca.confirmed.clear();
            ca.rejected.clear();
        });
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.server_url = Some(self.server.cmp_url());
        config.cmp_anchors.add(self.root());
        config.enrolment_anchors.add(self.root());
        let digest = DigestAlgorithm::Sha256;
        match (&self.idevid, self.by) {
            (Some(idevid), _) => {
                let key = load_private_key(&*default_provider(), &idevid.key.pkcs8, None).unwrap();
                let certificate = Certificate::from_der(&idevid.certificate).unwrap();
                config.protect_with_certificate(Signer::Key(key), certificate, Vec::new());
            }
            (None, By::Pbmac1) => {
                let parameters = MacParameters::Pbmac1 { prf: digest, mac: digest, iterations: 1000 };
                config.protect_with_secret(REFERENCE.as_bytes(), SECRET, parameters);
            }
            (None, _) => {
                let parameters = MacParameters::PasswordBased { owf: digest, mac: digest, iterations: 1000 };
                config.protect_with_secret(REFERENCE.as_bytes(), SECRET, parameters);
            }
        }
        config
    }

    fn root(&self) -> Certificate {
        Certificate::from_der(&self.server.with(|ca| ca.root.certificate.clone())).unwrap()
    }

    fn received(&self) -> Vec<&'static str> {
        self.server.with(|ca| ca.bodies())
    }

    fn complaints(&self) -> Vec<String> {
        self.server.with(|ca| ca.complaints())
    }

    /// With these knobs the enrolment fails with this code, after these messages, of which the CA finds nothing to say.
    fn expect(&self, knobs: &[(&str, &str)], code: Code, sent: &[&str]) -> Error {
        self.expect_of(&self.config(), knobs, code, sent)
    }

    fn expect_of(&self, config: &Config, knobs: &[(&str, &str)], code: Code, sent: &[&str]) -> Error {
        self.set(knobs);
        let (issued, story) = enroll(config);
        let error = issued.map(|_| ()).expect_err(&format!("{knobs:?} must not be taken"));
        assert_eq!(error.code(), code, "{knobs:?}: {error}");
        assert_eq!(story.sent, sent, "{knobs:?}");
        assert_eq!(self.received(), sent, "{knobs:?}");
        assert_eq!(self.complaints(), [""; 0], "{knobs:?}");
        error
    }

    fn expect_issued(&self, knobs: &[(&str, &str)]) {
        self.set(knobs);
        let (issued, _) = enroll(&self.config());
        issued.unwrap_or_else(|e| panic!("{:?} {knobs:?}: {e}", self.by));
        assert_eq!(self.complaints(), [""; 0], "{knobs:?}");
        assert_eq!(self.server.with(|ca| ca.confirmed.len()), 1, "{knobs:?}");
    }
}

/// Tag of the body of a message.
fn body_tag(der: &[u8]) -> u8 {
    Node::parse(der).unwrap().at(1).unwrap().tag
}

/// Bytes of extraCerts at the end of a message; 0 without them.
fn extra_certs_len(der: &[u8]) -> usize {
    let message = Node::parse(der).unwrap();
    message.children.iter().skip(2).find(|c| c.tag == 0xa1).map_or(0, |c| c.bytes.len())
}

fn enroll(config: &Config) -> (Result<Issued, Error>, Story) {
    enroll_as(config, Story::default())
}

fn enroll_as(config: &Config, mut story: Story) -> (Result<Issued, Error>, Story) {
    let client = config.build().unwrap();
    let key: Arc<_> = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=device 1").unwrap().dns("device-1.example").unwrap();
    let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
    let issued = client.run(&mut operation, &mut story);
    (issued, story)
}

/// An owner that does something before each message goes out.
struct Meddling<'a> {
    story: Story,
    meddle: Box<dyn Fn(&str) + 'a>,
}

impl Owner for Meddling<'_> {
    fn now(&mut self) -> Time {
        self.story.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.story.wait(seconds, reason)
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Sending { body, .. } = &event {
            (self.meddle)(body.name());
        }
        self.story.observe(event);
    }
}

/// An owner that pretends to wait and writes down what happens.
#[derive(Default)]
struct Story {
    sent: Vec<&'static str>,
    waits: Vec<u32>,
    reasons: Vec<String>,
    pretended_seconds: i64,
}

impl Owner for Story {
    fn now(&mut self) -> Time {
        system_time().plus(self.pretended_seconds)
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.waits.push(seconds);
        self.reasons.extend_from_slice(reason);
        self.pretended_seconds += i64::from(seconds);
        Ok(())
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Sending { body, .. } = event {
            self.sent.push(body.name());
        }
    }
}
