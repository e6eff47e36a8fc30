//! Revocation by a passphrase that the CA was given before (RFC 9810 section 5.3.19.9, appendix B).

use devid::asn1::crl::CrlReason;
use devid::asn1::name::Name;
use devid::asn1::x509::Certificate;
use devid::client::Client;
use devid::client::run::system_time;
use devid::cmp::{Information, Issued, MacParameters, Signer};
use devid::inspect::{Format, inspect};
use devid::{Code, Error};
use devid_testca::Holder;
use devid_testca::server::system_time as seconds_now;

use crate::bench::{Bench, P256, Story};

const REFERENCE: &str = "revocation of device 1";

const PASSPHRASE: &[u8] = b"seven old kettles sing over the harbour";

const WRONG_INTEGRITY: u32 = 1 << 12;

const NOT_AUTHORIZED: u32 = 1 << 23;

fn certificate_of(holder: &Holder) -> Certificate {
    Certificate::from_der(&holder.certificate).unwrap()
}

/// The CA's certificate that passphrases are encrypted to.
fn recipient(bench: &Bench) -> Certificate {
    bench.server.with(|ca| certificate_of(&ca.passphrase_holder))
}

/// A certificate, and the client that signs with it.
fn enrolled(bench: &Bench) -> (Issued, Client) {
    let (issued, key) = bench.first_certificate();
    let mut config = bench.config();
    config.protect_with_certificate(Signer::Key(key), issued.certificate.clone(), issued.chain.clone());
    (issued, config.build().unwrap())
}

fn leave(client: &Client, to: &Certificate, reference: &str, passphrase: &[u8]) -> Result<(), Error> {
    let mut operation = client.leave_revocation_passphrase(to, reference, passphrase, system_time())?;
    client.complete(&mut operation, &mut Story::default())?;
    assert!(matches!(operation.information(), Some(Information::PassphraseTaken)));
    Ok(())
}

/// Whoever has nothing but a passphrase.
fn bearer(bench: &Bench, reference: &str, passphrase: &[u8]) -> Client {
    let mut config = bench.config();
    config.protect_with_secret(reference.as_bytes(), passphrase, MacParameters::PASSWORD_BASED).unwrap();
    config.build().unwrap()
}

fn revoke(client: &Client, certificate: &Certificate) -> Result<(), Error> {
    let issuer = Name::from_der(certificate.issuer()).unwrap();
    let mut operation = client.revoke_with_passphrase(&issuer, certificate.serial(), CrlReason::KeyCompromise)?;
    client.complete(&mut operation, &mut Story::default())?;
    assert!(operation.revoked().is_some());
    Ok(())
}

fn is_listed(bench: &Bench, certificate: &Certificate) -> bool {
    let crl = bench.server.with(|ca| ca.crl(seconds_now()));
    crl.windows(certificate.serial().len()).any(|bytes| bytes == certificate.serial())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_certificate_whose_key_is_lost_is_revoked_with_the_passphrase_that_the_ca_was_given() {
    let bench = Bench::new(P256);
    let (issued, client) = enrolled(&bench);
    leave(&client, &recipient(&bench), REFERENCE, PASSPHRASE).unwrap();
    drop(client);

    bench.set(&[("other-waiting", "1")]);
    revoke(&bearer(&bench, REFERENCE, PASSPHRASE), &issued.certificate).unwrap();

    assert_eq!(bench.received(), ["rr", "pollReq", "pollReq"]);
    assert_eq!(bench.complaints(), [""; 0]);
    assert!(is_listed(&bench, &issued.certificate));
}

#[test]
fn a_later_passphrase_of_the_same_certificate_takes_the_place_of_the_first() {
    let bench = Bench::new(P256);
    let (issued, client) = enrolled(&bench);
    leave(&client, &recipient(&bench), REFERENCE, PASSPHRASE).unwrap();
    leave(&client, &recipient(&bench), REFERENCE, b"the second one").unwrap();
    revoke(&bearer(&bench, REFERENCE, PASSPHRASE), &issued.certificate).unwrap_err();
    assert!(!is_listed(&bench, &issued.certificate));
    revoke(&bearer(&bench, REFERENCE, b"the second one"), &issued.certificate).unwrap();
}

#[test]
fn a_wrong_or_unknown_passphrase_or_one_for_another_certificate_revokes_nothing() {
    let bench = Bench::new(P256);
    let (issued, client) = enrolled(&bench);
    let (other, _) = enrolled(&bench);
    let complaint = |of: &str| assert!(bench.complaints().last().unwrap().contains(of), "{:?}", bench.complaints());

    revoke(&bearer(&bench, REFERENCE, PASSPHRASE), &issued.certificate).unwrap_err();
    complaint("no secret for reference value");
    leave(&client, &recipient(&bench), REFERENCE, PASSPHRASE).unwrap();
    revoke(&bearer(&bench, REFERENCE, b"six old kettles"), &issued.certificate).unwrap_err();
    complaint("the MAC under the revocation passphrase does not match");
    revoke(&bearer(&bench, "revocation of device 2", PASSPHRASE), &issued.certificate).unwrap_err();
    complaint("no secret for reference value");
    let error = revoke(&bearer(&bench, REFERENCE, PASSPHRASE), &other.certificate).unwrap_err();
    assert_eq!((error.code(), error.facts().fail_info), (Code::Rejected, Some(NOT_AUTHORIZED)), "{error}");
    let by_enrolment_secret = bearer(&bench, "4711", b"correct-horse-battery-staple");
    let error = revoke(&by_enrolment_secret, &issued.certificate).unwrap_err();
    assert_eq!((error.code(), error.facts().fail_info), (Code::Rejected, Some(WRONG_INTEGRITY)), "{error}");

    assert!(!is_listed(&bench, &issued.certificate) && !is_listed(&bench, &other.certificate));
}

#[test]
fn a_passphrase_is_good_for_revocation_alone() {
    let bench = Bench::new(P256);
    let (_, client) = enrolled(&bench);
    leave(&client, &recipient(&bench), REFERENCE, PASSPHRASE).unwrap();
    let mut config = bench.config();
    config.protect_with_secret(REFERENCE.as_bytes(), PASSPHRASE, MacParameters::PASSWORD_BASED).unwrap();
    assert_eq!(crate::bench::enroll(&config).0.unwrap_err().code(), Code::Rejected);
    assert!(bench.complaints().last().unwrap().contains("no secret for reference value"));
}

#[test]
fn a_ca_takes_a_passphrase_from_the_holder_of_the_certificate_alone() {
    let bench = Bench::new(P256);
    let to = recipient(&bench);
    let (issued, client) = enrolled(&bench);
    let (_, neighbour) = enrolled(&bench);
    let mut factory = bench.config();
    factory.intermediates = issued.chain.clone();
    let refused = |client: &Client, bit: u32| {
        let error = leave(client, &to, REFERENCE, PASSPHRASE).unwrap_err();
        assert_eq!((error.code(), error.facts().fail_info), (Code::Rejected, Some(bit)), "{error}");
    };
    refused(&factory.build().unwrap(), NOT_AUTHORIZED);
    factory.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    refused(&factory.build().unwrap(), WRONG_INTEGRITY);
    leave(&client, &to, REFERENCE, PASSPHRASE).unwrap();
    refused(&neighbour, NOT_AUTHORIZED);
    revoke(&bearer(&bench, REFERENCE, PASSPHRASE), &issued.certificate).expect("still the first one's");
}

#[test]
fn a_passphrase_is_encrypted_to_nobody_but_the_ca() {
    let bench = Bench::new(P256);
    let (issued, client) = enrolled(&bench);
    bench.set::<&str>(&[]);
    let code = |to: &Certificate| leave(&client, to, REFERENCE, PASSPHRASE).unwrap_err().code();
    let stranger = devid_testca::TestCa::new(devid_testca::Options::default());
    // The same names, other keys.
    assert_eq!(code(&certificate_of(&stranger.passphrase_holder)), Code::SignatureInvalid);
    // Certificates that lead to the anchors, of keys that sign.
    let signer = bench.server.with(|ca| ca.cmp_signer.certificate.clone());
    assert_eq!(code(&Certificate::from_der(&signer).unwrap()), Code::KeyUsage);
    let to = recipient(&bench);
    for (reference, passphrase) in [("", PASSPHRASE), (REFERENCE, b"")] {
        assert_eq!(leave(&client, &to, reference, passphrase).unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(bench.received(), [""; 0], "nothing went out");
    assert!(!is_listed(&bench, &issued.certificate));
}

#[test]
fn a_passphrase_stands_in_no_message_no_saved_operation_and_no_text() {
    let bench = Bench::new(P256);
    let (_, client) = enrolled(&bench);
    bench.set(&[("other-waiting", "1")]);
    let mut operation =
        client.leave_revocation_passphrase(&recipient(&bench), REFERENCE, PASSPHRASE, system_time()).unwrap();
    operation.step(system_time()).unwrap();

    let message = operation.output().unwrap().to_vec();
    let saved = operation.save().unwrap();
    let text = inspect(&message, Format::Text).unwrap();
    assert!(text.contains("revPassphrase") && text.contains("localKeyId"), "{text}");
    let said = format!("{text}{:?}{:?}", operation.request(), client);
    let hex: String = PASSPHRASE.iter().map(|byte| format!("{byte:02x}")).collect();
    for part in [PASSPHRASE, hex.as_bytes()] {
        assert!(!contains(&message, part) && !contains(&saved, part) && !contains(said.as_bytes(), part));
    }

    // What was saved goes on all the same.
    let mut again = client.restore_keyless(&saved).unwrap();
    client.complete(&mut again, &mut Story::default()).unwrap();
    assert!(matches!(again.information(), Some(Information::PassphraseTaken)));
    assert_eq!(bench.received(), ["genm", "pollReq", "pollReq"]);
    assert_eq!(bench.complaints(), [""; 0]);
}

#[test]
fn only_the_explicit_call_protects_a_revocation_with_a_secret_and_it_needs_one() {
    let bench = Bench::new(P256);
    let (issued, client) = enrolled(&bench);
    let issuer = Name::from_der(issued.certificate.issuer()).unwrap();
    let bearer = bearer(&bench, REFERENCE, PASSPHRASE);
    let code = |made: Result<devid::cmp::Operation, Error>| made.err().map(|error| error.code());
    let reason = CrlReason::Unspecified;
    assert_eq!(code(bearer.revoke(&issued.certificate, reason)), Some(Code::InvalidArgument));
    assert_eq!(code(bearer.revoke_serial(&issuer, issued.certificate.serial(), reason)), Some(Code::InvalidArgument));
    let by_signature = client.revoke_with_passphrase(&issuer, issued.certificate.serial(), reason);
    assert_eq!(code(by_signature), Some(Code::InvalidArgument));

    // A saved one is what it was.
    let mut operation = bearer.revoke_with_passphrase(&issuer, issued.certificate.serial(), reason).unwrap();
    operation.step(system_time()).unwrap();
    let saved = operation.save().unwrap();
    assert!(!contains(&saved, PASSPHRASE));
    assert!(bearer.restore_keyless(&saved).unwrap().request().revocation().unwrap().by_passphrase);
    assert!(client.restore_keyless(&saved).is_err());
}
