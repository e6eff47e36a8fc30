//! A device behind a registration authority: device -> RA -> CA over HTTP, every way of passing requests on.

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::cmp::{Question, Signer, SignerAuthorisation};
use devid::crypto::{KeyKind, default_provider};
use devid_testca::server::system_time as seconds_now;
use devid_testca::tlv::Node;
use devid_testca::{KeyType, Ra, RaMode, RaServer, TestCa};

use crate::bench::{ALL, Bench, By, P256, Story, enroll};

const MODES: [RaMode; 5] = [RaMode::Forward, RaMode::Nested, RaMode::Batch, RaMode::Replace, RaMode::RaVerified];

/// An RA by the book that passes requests on in this way.
fn ra(mode: RaMode) -> impl FnOnce(&mut TestCa) -> Ra {
    move |ca| ca.ra(mode, seconds_now())
}

fn certificate_of(ra: &RaServer) -> Certificate {
    Certificate::from_der(&ra.with(|ra| ra.signer.certificate.clone())).unwrap()
}

#[test]
fn every_credential_enrols_through_an_ra_in_every_way_it_may_pass_requests_on() {
    for by in ALL {
        let bench = Bench::new(by);
        for mode in MODES {
            let way = format!("{by:?} {mode:?}");
            bench.set(&[("waiting", "1"), ("confirm-waiting", "1")]);
            let (config, ra) = bench.behind(ra(mode));

            let (issued, story) = enroll(&config);

            let complaints = (ra.with(|ra| ra.complaints()), bench.complaints());
            let issued = issued.unwrap_or_else(|e| panic!("{way}: {e} {complaints:?}"));
            assert_eq!(complaints, (vec![], vec![]), "{way}");
            let from_device = ["ir", "pollReq", "pollReq", "certConf", "pollReq", "pollReq"];
            assert_eq!(story.sent, from_device, "{way}");
            assert_eq!(ra.with(|ra| ra.bodies()), from_device, "{way}");
            let is_nested = matches!(mode, RaMode::Nested | RaMode::Batch);
            let expected: Vec<&str> = from_device
                .into_iter()
                .flat_map(|body| if is_nested { vec!["nested", body] } else { vec![body] })
                .collect();
            assert_eq!(bench.received(), expected, "{way}");
            let confirmed = bench.server.with(|ca| ca.confirmed.last().cloned());
            assert_eq!(confirmed.as_deref(), Some(issued.certificate.as_der()), "{way}");
        }
    }
}

#[test]
fn a_replaced_protection_keeps_transaction_and_nonces_and_names_the_ra() {
    let bench = Bench::new(P256);
    for (mode, proof) in [(RaMode::Replace, 0xa1), (RaMode::RaVerified, 0x80)] {
        bench.set::<&str>(&[]);
        let (config, ra) = bench.behind(ra(mode));
        enroll(&config).0.expect("issued");
        let (from_device, to_ca) =
            (ra.with(|ra| ra.received[0].der.clone()), bench.server.with(|ca| ca.received[0].der.clone()));
        let (device, upstream) = (Node::parse(&from_device).unwrap(), Node::parse(&to_ca).unwrap());
        let field = |message: &Node, tag: u8| {
            let header = message.at(0).unwrap();
            header.children.iter().skip(3).find(|f| f.tag == tag).map(|f| f.bytes.clone())
        };
        for tag in [0xa4, 0xa5, 0xa6] {
            assert_eq!(field(&device, tag), field(&upstream, tag), "{mode:?} {tag:02x}");
        }
        let sender = upstream.at(0).unwrap().at(1).unwrap().inner().unwrap().bytes.clone();
        assert_eq!(sender, certificate_of(&ra).subject());
        let request = upstream.at(1).unwrap().inner().unwrap().at(0).unwrap();
        assert_eq!(request.at(1).unwrap().tag, proof, "{mode:?}");
    }
}

#[test]
fn a_key_update_keeps_the_devices_protection_and_is_nested_instead() {
    let bench = Bench::new(P256);
    let (issued, key) = bench.first_certificate();
    for mode in [RaMode::Replace, RaMode::RaVerified, RaMode::Nested] {
        bench.set::<&str>(&[]);
        let (mut config, ra) = bench.behind(ra(mode));
        config.protect_with_certificate(Signer::Key(key.clone()), issued.certificate.clone(), issued.chain.clone());
        let client = config.build().unwrap();
        let new_key = default_provider().generate_key(KeyKind::P256).unwrap();
        let mut operation = client.renew(Signer::Key(new_key)).unwrap();
        let updated = client.run(&mut operation, &mut Story::default());
        updated.unwrap_or_else(|e| panic!("{mode:?}: {e} {:?}", bench.complaints()));
        assert_eq!(bench.received(), ["nested", "kur", "nested", "certConf"], "{mode:?}");
        assert_eq!(ra.with(|ra| ra.complaints()), [""; 0]);
    }
}

#[test]
fn an_ra_is_authorised_by_its_purpose_or_by_a_pin_and_refused_without() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    let with = |config: &Config, authorisation: SignerAuthorisation| {
        let mut config = config.clone();
        config.authorisation = authorisation;
        enroll(&config).0.map(|_| ()).map_err(|e| e.code())
    };
    let (config, by_the_book) = bench.behind(ra(RaMode::Replace));
    assert_eq!(with(&config, SignerAuthorisation::by_purpose()), Ok(()));
    assert_eq!(with(&config, SignerAuthorisation::pinned(vec![certificate_of(&by_the_book)])), Ok(()));
    // Another of the CA's RAs, with the same name and purpose.
    let (_, other) = bench.behind(ra(RaMode::Replace));
    let pin = SignerAuthorisation::pinned(vec![certificate_of(&other)]);
    assert_eq!(with(&config, pin), Err(Code::ProtectionInvalid));
    assert_eq!(with(&config, SignerAuthorisation::pinned(Vec::new())), Err(Code::ProtectionInvalid));

    // Whose certificate says nothing of an RA: the CA refuses it too, so its own error message is what comes.
    let (config, plain) = bench.behind(|ca| ca.ra_without_purpose(RaMode::Replace, seconds_now()));
    assert_eq!(with(&config, SignerAuthorisation::by_purpose()), Err(Code::ProtectionInvalid));
    let pin = SignerAuthorisation::pinned(vec![certificate_of(&plain)]);
    assert_eq!(with(&config, pin), Ok(()), "a pin needs no purpose");

    // Whose certificate leads nowhere is not helped by a pin, but by an anchor.
    let (mut config, own) = bench.behind(|ca| ca.ra_of_its_own(RaMode::Forward, seconds_now()));
    own.with(|ra| ra.mode = RaMode::Replace);
    let pin = || SignerAuthorisation::pinned(vec![certificate_of(&own)]);
    assert_eq!(with(&config, pin()), Err(Code::ProtectionInvalid));
    config.cmp_anchors.add(certificate_of(&own));
    // Now the device understands what this RA says: the CA does not take it for one.
    assert_eq!(with(&config, pin()), Err(Code::Rejected));
}

#[test]
fn an_ras_certificate_comes_by_file_by_genm_or_with_the_answer() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    let (config, ra) = bench.behind(ra(RaMode::Replace));
    enroll(&config).0.expect("with the answer, in extraCerts");
    // Only its certificates are missing: the CA's own signer is known by what the CA sends.
    let client = config.build().unwrap();
    let mut asking = client.ask(Question::CaCerts).unwrap();
    client.complete(&mut asking, &mut Story::default()).unwrap();
    let told = format!("{:?}", asking.information());
    let Some(devid::cmp::Information::CaCerts(told_certificates)) = asking.information() else { panic!("{told}") };
    assert!(told_certificates.contains(&certificate_of(&ra)), "{told}");

    ra.with(|ra| ra.sends_no_certificates = true);
    let error = enroll(&config).0.unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
    let mut by_file = config.clone();
    by_file.intermediates = vec![certificate_of(&ra), issuing(&bench)];
    enroll(&by_file).0.expect("by file");
    let mut by_genm = config;
    by_genm.intermediates.clone_from(told_certificates);
    enroll(&by_genm).0.expect("by genm caCerts");
}

fn issuing(bench: &Bench) -> Certificate {
    Certificate::from_der(&bench.server.with(|ca| ca.issuing.certificate.clone())).unwrap()
}

#[test]
fn a_request_that_the_ra_does_not_believe_never_reaches_the_ca() {
    let bench = Bench::new(By::Pbm);
    bench.set::<&str>(&[]);
    for mode in MODES {
        let (mut config, ra) = bench.behind(ra(mode));
        let parameters = devid::cmp::MacParameters::PASSWORD_BASED;
        config.protect_with_secret(b"4711", b"another secret", parameters).unwrap();
        let error = enroll(&config).0.unwrap_err();
        assert_eq!(error.facts().fail_info, Some(1 << 1), "{mode:?}: {error}");
        assert_eq!(ra.with(|ra| ra.complaints()), ["the MAC does not match"], "{mode:?}");
        assert_eq!(bench.received(), [""; 0], "{mode:?}");
    }
}

#[test]
fn proofs_that_an_ra_vouches_for_are_taken_from_an_ra_only() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    let (mut config, _ra) = bench.behind(|ca| ca.ra_without_purpose(RaMode::RaVerified, seconds_now()));
    config.authorisation = SignerAuthorisation::any();
    let error = enroll(&config).0.unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1 << 23), "{error}");
    assert_eq!(bench.complaints(), ["raVerified from someone who is no RA of this CA"]);

    bench.set::<&str>(&[]);
    let (mut config, _ra) = bench.behind(|ca| ca.ra_without_purpose(RaMode::Nested, seconds_now()));
    config.authorisation = SignerAuthorisation::any();
    let error = enroll(&config).0.unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1 << 23), "{error}");
    assert_eq!(bench.complaints(), ["a nested message from someone who is no RA of this CA"]);
}

#[test]
fn a_ca_that_is_away_makes_the_ra_say_so() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    for (mode, failure) in [(RaMode::Nested, 25), (RaMode::Batch, 24), (RaMode::Replace, 25)] {
        let ra = bench.server.with(|ca| ca.ra(mode, seconds_now()));
        // Nobody listens on the port of a server that was stopped.
        let gone = Bench::new(P256).server.cmp_url();
        let ra = RaServer::start(ra, &gone).unwrap();
        let mut config = bench.config();
        config.server.url = Some(ra.cmp_url());
        let error = enroll(&config).0.unwrap_err();
        assert_eq!(error.code(), Code::Rejected, "{mode:?}: {error}");
        assert_eq!(error.facts().fail_info, Some(1 << failure), "{mode:?}: {error}");
        assert!(error.facts().server_authenticated, "{mode:?}: under the RA's protection");
    }
}

#[test]
fn an_answer_bent_on_the_way_from_the_ca_is_not_passed_off_as_good() {
    let bench = Bench::new(P256);
    for (name, value) in [("broken-protection", "1"), ("wrong-transaction", "1"), ("signer", "stranger")] {
        bench.set(&[(name, value)]);
        let (config, _ra) = bench.behind(ra(RaMode::Replace));
        let error = enroll(&config).0.unwrap_err();
        assert_eq!(error.facts().fail_info, Some(1 << 25), "{name}: {error}");
    }
}

#[test]
fn lost_answers_of_a_batch_are_made_good_by_errors_and_strays_are_dropped() {
    let bench = Bench::new(P256);
    let body = |answer: &Vec<u8>| Node::parse(answer).unwrap().at(1).unwrap().tag & 0x1f;
    for (knobs, expected) in [
        (vec![], vec![1, 1, 1]),
        (vec![("batch-missing", "1")], vec![1, 1, 23]),
        (vec![("batch-extra", "1")], vec![1, 1, 1]),
        (vec![("batch-missing", "1"), ("batch-extra", "1")], vec![1, 1, 23]),
        (vec![("at", "nested"), ("broken-protection", "1")], vec![23, 23, 23]),
        (vec![("at", "nested"), ("wrong-recip-nonce", "1")], vec![23, 23, 23]),
    ] {
        let requests = fresh(&bench, 3);
        bench.set(&knobs);
        let now = seconds_now();
        let mut ra = bench.server.with(|ca| ca.ra(RaMode::Batch, now));
        let answers = ra.pass_batch(&requests, now, &mut |message| Ok(bench.server.with(|ca| ca.answer(message, now))));
        assert_eq!(answers.iter().map(body).collect::<Vec<u8>>(), expected, "{knobs:?}");
        for (request, answer) in requests.iter().zip(&answers) {
            assert_eq!(transaction(request), transaction(answer), "{knobs:?}");
        }
    }
}

/// First requests of devices that the CA has not seen yet.
fn fresh(bench: &Bench, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|_| {
            let client = bench.config().build().unwrap();
            let key = default_provider().generate_key(KeyKind::P256).unwrap();
            let subject = devid::client::Subject::new().name("CN=device 1").unwrap();
            let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
            operation.step(devid::client::run::system_time()).unwrap();
            operation.output().unwrap().to_vec()
        })
        .collect()
}

fn transaction(message: &[u8]) -> Vec<u8> {
    let message = Node::parse(message).unwrap();
    let header = message.at(0).unwrap();
    header.children.iter().skip(3).find(|f| f.tag == 0xa4).unwrap().bytes.clone()
}

#[test]
fn an_ra_with_another_kind_of_key_serves_devices_with_theirs() {
    let options = devid_testca::Options { signer_key: KeyType::Rsa2048, ..Default::default() };
    let bench = Bench { server: devid_testca::Server::start(TestCa::new(options)).unwrap(), by: By::Pbm, idevid: None };
    bench.set::<&str>(&[]);
    for mode in MODES {
        let (config, _ra) = bench.behind(ra(mode));
        enroll(&config).0.unwrap_or_else(|e| panic!("{mode:?}: {e} {:?}", bench.complaints()));
    }
}
