//! The status of who signs answers, got by the URLs in the certificates; and the policy that may be demanded of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use devid::asn1::cmp::BodyType;
use devid::asn1::oid::{self, Oid};
use devid::client::status::{StatusMemory, StatusOptions};
use devid::client::{Config, Owner};
use devid::cmp::{Signer, SignerAuthorisation};
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::validation::{KeyUsage, RevocationPolicy};
use devid::{Code, Error, Time};

use crate::certificates::{Builder, Party, key, now, provider};
use crate::mock_ca::{Device, MockCa};
use crate::status::{CrlBuilder, point_url, points};

/// A path, and what is there.
type Document = (String, Vec<u8>);

/// A web server with lists by their paths; it remembers who was asked for.
struct Lists {
    base: String,
    lists: Arc<Mutex<Vec<Document>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lists {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (lists, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (known, seen) = (Arc::clone(&lists), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &known.lock().unwrap(), &seen);
            }
        });
        Lists { base, lists, asked }
    }

    fn put(&self, path: &str, list: Vec<u8>) {
        let mut lists = self.lists.lock().unwrap();
        lists.retain(|(known, _)| known != path);
        lists.push((path.to_owned(), list));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn point(&self, path: &str) -> Vec<u8> {
        points(&[&[point_url(&format!("{}{path}", self.base))]])
    }
}

fn answer(mut stream: TcpStream, lists: &[Document], seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(path.clone());
    let found = lists.iter().find(|(known, _)| *known == path).map(|(_, list)| list.clone());
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

/// A CA whose certificates say where their lists are.
fn ca_with(lists: &Lists) -> MockCa {
    let mut ca = MockCa::new();
    ca.issuing = Builder::ca("Issuing CA")
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, lists.point("/root.crl"))
        .signed_by(&ca.root);
    ca.signer = Builder::leaf("CMP server")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CMC_RA])
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, lists.point("/issuing.crl"))
        .signed_by(&ca.issuing);
    lists.put("/root.crl", CrlBuilder::of(&ca.root).der());
    lists.put("/issuing.crl", CrlBuilder::of(&ca.issuing).der());
    ca
}

struct Line<'a>(&'a mut MockCa);

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        Ok(Reply::from_body(self.0.answer(request)))
    }
}

/// From the present on, as long as was waited.
struct Waiting(i64);

impl Owner for Waiting {
    fn now(&mut self) -> Time {
        now().plus(self.0)
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        self.0 += i64::from(seconds);
        Ok(())
    }
}

fn enrol(config: &Config, ca: &mut MockCa) -> Result<(), Error> {
    let client = config.build().unwrap();
    let mut operation = client.enroll(Signer::Key(key()), &Device::subject()).unwrap();
    client.run_over(&mut operation, &mut Line(ca), &mut Waiting(0)).map(|_| ())
}

fn asking(ca: &MockCa, policy: RevocationPolicy) -> Config {
    let mut config = Device::config(ca);
    config.signer_revocation = policy;
    let memory = StatusMemory::new(Arc::clone(provider()), None);
    config.fetch_signer_status(StatusOptions::default(), Arc::new(memory));
    config
}

#[test]
fn the_status_of_the_signer_is_fetched_by_the_urls_in_its_path() {
    let lists = Lists::start();
    let mut ca = ca_with(&lists);
    enrol(&asking(&ca, RevocationPolicy::hard_fail()), &mut ca).unwrap();
    let asked = lists.asked();
    assert!(asked.contains(&"/issuing.crl".to_owned()) && asked.contains(&"/root.crl".to_owned()), "{asked:?}");

    for (path, list, what) in [
        ("/issuing.crl", CrlBuilder::of(&ca.issuing).revokes(&ca.signer).der(), "the signer"),
        ("/root.crl", CrlBuilder::of(&ca.root).revokes(&ca.issuing).der(), "its CA"),
    ] {
        let before = lists.lists.lock().unwrap().clone();
        lists.put(path, list);
        for policy in [RevocationPolicy::hard_fail(), RevocationPolicy::soft_fail()] {
            let error = enrol(&asking(&ca, policy), &mut ca).unwrap_err();
            assert!(error.code() == Code::ProtectionInvalid && error.message().contains("REVOKED"), "{what}: {error}");
        }
        *lists.lists.lock().unwrap() = before;
    }

    lists.lists.lock().unwrap().clear();
    enrol(&asking(&ca, RevocationPolicy::soft_fail()), &mut ca).expect("nothing is known against it");
    let error = enrol(&asking(&ca, RevocationPolicy::hard_fail()), &mut ca).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("issuing.crl") && error.message().contains("404"), "why it is not known: {error}");
}

/// What could not be asked for about one signer is no matter of the next: a neighbour whose certificate names more places than are asked
/// answers one poll, and is dropped; the CA is heard as before.
#[test]
fn a_signer_whose_status_is_cut_short_shuts_nobody_else_out() {
    let lists = Lists::start();
    let mut ca = ca_with(&lists).answers_waiting(2, 30);
    // The CA's own has an ordinary certificate, so that no transaction is bound to it.
    ca.signer = Builder::leaf("CMP server")
        .key_usage(&[KeyUsage::DigitalSignature])
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, lists.point("/issuing.crl"))
        .signed_by(&ca.issuing);
    let places: Vec<Vec<u8>> = (0..12).map(|number| point_url(&format!("{}/no-{number}.crl", lists.base))).collect();
    let places: Vec<&[Vec<u8>]> = places.chunks(1).collect();
    let partner = Builder::ca("Partner CA")
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, lists.point("/root.crl"))
        .signed_by(&ca.root);
    let neighbour = Builder::leaf("neighbour")
        .key_usage(&[KeyUsage::DigitalSignature])
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&places))
        .signed_by(&partner);
    let config = asking(&ca, RevocationPolicy::soft_fail());
    let mut polls = 0;
    ca = ca.bending(BodyType::POLLREP, move |answer| {
        polls += 1;
        if polls == 1 {
            answer.header.sender = Some(neighbour.certificate.subject().to_vec());
            answer.header.sender_kid = neighbour.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            answer.extra_certs = vec![neighbour.certificate.clone(), partner.certificate.clone()];
            answer.signer = Some(neighbour.clone());
        }
    });
    enrol(&config, &mut ca).expect("the CA's own signer has a status");
    assert!(lists.asked().iter().any(|path| path.starts_with("/no-")), "the neighbour's was asked for");
}

#[test]
fn nobody_is_asked_where_no_status_is_wanted_or_the_signature_is_nobodys() {
    let lists = Lists::start();
    let mut ca = ca_with(&lists);
    enrol(&asking(&ca, RevocationPolicy::off()), &mut ca).unwrap();
    assert!(lists.asked().is_empty(), "the status is not asked for");
    // Another key than the certificate's: whoever can write to us must not be able to have us ask a host of his choice.
    ca.signer = Party { key: key(), ..ca.signer.clone() };
    assert!(enrol(&asking(&ca, RevocationPolicy::hard_fail()), &mut ca).is_err());
    assert!(lists.asked().is_empty());
}

const WANTED: Oid = oid::KP_TIME_STAMPING;
const OTHER: Oid = oid::KP_CODE_SIGNING;

#[test]
fn a_policy_demanded_of_the_signer_is_looked_for_in_its_whole_path() {
    let enrolled_by = |purposes: &[Oid], ca_policies: Option<&[Oid]>, signer: Option<&[Oid]>| {
        let with = |builder: Builder, policies: Option<&[Oid]>| match policies {
            Some(policies) => builder.policies(policies),
            None => builder,
        };
        let mut ca = MockCa::new();
        ca.issuing = with(Builder::ca("Issuing CA"), ca_policies).signed_by(&ca.root);
        let server = Builder::leaf("CMP server").key_usage(&[KeyUsage::DigitalSignature]);
        let server = if purposes.is_empty() { server } else { server.purposes(purposes) };
        ca.signer = with(server, signer).signed_by(&ca.issuing);
        let mut config = Device::config(&ca);
        config.authorisation = SignerAuthorisation { policies: vec![WANTED], ..SignerAuthorisation::default() };
        Device::enrolling_as(&config).run(&mut ca).map(|_| ())
    };
    let enrolled = |cas: Option<&[Oid]>, signer: Option<&[Oid]>| enrolled_by(&[oid::KP_CMC_CA], cas, signer);
    for cas in [None, Some(&[WANTED][..]), Some(&[oid::ANY_POLICY]), Some(&[OTHER, WANTED])] {
        enrolled(cas, Some(&[OTHER, WANTED])).unwrap();
        // It is demanded besides, and authorises nobody.
        let error = enrolled_by(&[], cas, Some(&[OTHER, WANTED])).unwrap_err();
        assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
    }
    for (cas, signer) in [
        (None, None),
        (None, Some(&[OTHER][..])),
        (None, Some(&[oid::ANY_POLICY])),
        (Some(&[OTHER][..]), Some(&[WANTED][..])),
    ] {
        let error = enrolled(cas, signer).unwrap_err();
        assert_eq!(error.code(), Code::ProtectionInvalid);
        assert!(error.message().contains("1.3.6.1.5.5.7.3.8"), "{error}");
    }
}
