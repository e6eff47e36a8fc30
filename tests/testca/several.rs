//! Several certificates by one message, against a CA that reads them with a decoder of its own.

use std::sync::Arc;

use devid::Code;
use devid::client::Client;
use devid::client::Subject;
use devid::cmp::{CertificateRequest, Operation, RequestKind, Signer};
use devid::crypto::{KeyKind, PrivateKey, default_provider};

use crate::bench::{ALL, Bench, By, P256, Story};

fn keys(count: usize) -> Vec<Arc<dyn PrivateKey>> {
    (0..count).map(|_| default_provider().generate_key(KeyKind::P256).unwrap()).collect()
}

fn asking(client: &Client, keys: &[Arc<dyn PrivateKey>]) -> Operation {
    let subject = |at: usize| Subject::new().name(&format!("CN=unit {at}")).unwrap();
    let mut operation = client.enroll(Signer::Key(Arc::clone(&keys[0])), &subject(0)).unwrap();
    for (at, key) in keys.iter().enumerate().skip(1) {
        client.add_request(&mut operation, Signer::Key(Arc::clone(key)), &subject(at)).unwrap();
    }
    operation
}

/// All are issued: each for its own subject, over its own key; the CA has nothing to say, and all are confirmed.
fn all_are_issued(bench: &Bench, client: &Client, count: usize, knobs: &[(&str, &str)]) -> Story {
    bench.set(knobs);
    let mut operation = asking(client, &keys(count));
    let mut story = Story::default();
    client
        .complete(&mut operation, &mut story)
        .unwrap_or_else(|error| panic!("{:?} {knobs:?}: {error} {:?}", bench.by, bench.complaints()));
    let found = operation.certificates();
    for (at, outcome) in found.iter().enumerate() {
        let issued = outcome.as_ref().unwrap_or_else(|error| panic!("{knobs:?} {at}: {error}"));
        assert!(issued.certificate.to_string().contains(&format!("unit {at} ")), "{}", issued.certificate);
        assert_eq!(issued.chain.last(), Some(&bench.root()));
    }
    assert_eq!(found.len(), count);
    assert_eq!(bench.complaints(), [""; 0], "{:?} {knobs:?}", bench.by);
    story
}

#[test]
fn several_certificates_come_by_one_message_under_every_protection() {
    for by in ALL {
        let bench = Bench::new(by);
        let client = bench.config().build().unwrap();
        let story = all_are_issued(&bench, &client, 3, &[]);
        assert_eq!(story.sent, ["ir", "certConf"]);
        assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 3);
    }
}

#[test]
fn those_that_wait_are_polled_for_after_the_others_are_confirmed() {
    let bench = Bench::new(P256);
    let client = bench.config().build().unwrap();
    let story = all_are_issued(&bench, &client, 3, &[("waiting", "1"), ("waiting-ids", "0 2")]);
    let one_more = ["pollReq", "pollReq", "certConf"];
    assert_eq!(story.sent, [&["ir", "certConf"][..], &one_more, &one_more].concat());
    assert_eq!(story.waits, [1, 1]);
    // All wait; and the confirmations wait too.
    all_are_issued(&bench, &client, 2, &[("waiting", "2"), ("confirm-waiting", "1")]);
    assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 2);
}

#[test]
fn implicit_confirmation_and_a_profile_are_for_all_of_them() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.ask_implicit_confirm = true;
    config.cert_profile = Some("units".to_owned());
    let client = config.build().unwrap();
    let story = all_are_issued(&bench, &client, 3, &[("profiles", "units"), ("waiting", "1"), ("waiting-ids", "1")]);
    assert_eq!(story.sent, ["ir", "pollReq", "pollReq"]);
}

#[test]
fn one_that_is_refused_by_the_ca_or_here_hides_none_of_the_others() {
    let bench = Bench::new(P256);
    let client = bench.config().build().unwrap();
    bench.set::<&str>(&[]);
    // A CA's certificate for a device is refused there.
    let mut operation = asking(&client, &keys(2));
    let basic = devid::asn1::oid::CE_BASIC_CONSTRAINTS;
    let mut template = Subject::new().name("CN=unit 2").unwrap().to_template().unwrap();
    let value = vec![0x30, 0x03, 0x01, 0x01, 0xff];
    template.extensions.push(devid::asn1::crmf::TemplateExtension { oid: basic, critical: true, value });
    let key = Signer::Key(keys(1).remove(0));
    operation.add(CertificateRequest::new(RequestKind::Initial, key, template)).unwrap();
    client.complete(&mut operation, &mut Story::default()).unwrap();
    let codes: Vec<_> = operation.certificates().into_iter().map(|one| one.err().map(|error| error.code())).collect();
    assert_eq!(codes, [None, None, Some(Code::Rejected)]);
    assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 2);

    // With other names than asked for, nothing is taken here, and the CA is told of each.
    bench.set(&[("modify-subject", "1")]);
    let mut operation = asking(&client, &keys(2));
    client.complete(&mut operation, &mut Story::default()).unwrap();
    assert!(operation.certificates().iter().all(|one| one.as_ref().is_err_and(|error| error.code() == Code::Refused)));
    assert_eq!(bench.server.with(|ca| (ca.confirmed.len(), ca.rejected.len())), (0, 2));
    assert_eq!(bench.complaints(), [""; 0]);
}

#[test]
fn a_key_that_cannot_sign_stands_among_those_that_can() {
    let bench = Bench::new(By::Pbm);
    let mut config = bench.config();
    config.tolerance.encrypted_value = false;
    let client = config.build().unwrap();
    bench.set::<&str>(&[]);
    let mut operation = asking(&client, &keys(2));
    let receives = default_provider().generate_key(KeyKind::Rsa(2048)).unwrap();
    let template = Subject::new().name("CN=unit 2").unwrap().to_template().unwrap();
    let mut request = CertificateRequest::new(RequestKind::Initial, Signer::Key(receives), template);
    request.possession = devid::cmp::Possession::EncryptedCertificate;
    operation.add(request).unwrap();
    client.complete(&mut operation, &mut Story::default()).unwrap();
    assert!(operation.certificates().iter().all(Result::is_ok), "{:?}", operation.certificates());
    assert_eq!(bench.complaints(), [""; 0]);
    assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 3);
}
