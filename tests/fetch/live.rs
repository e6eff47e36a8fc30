//! Against a CA that answers as CAs do: CRL, OCSP and its own certificate over HTTP.

use std::sync::Arc;

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::client::status::{FetchOutcome, OcspNonce, StatusMemory, StatusQuestion, Wanted, built_in};
use devid::client::{StatusFetcher, StatusOptions};
use devid::crypto::SignatureAlgorithm;
use devid::store::Store;
use devid::time::Time;
use devid::validation::{
    Checks, Crl, NameCheck, PeerName, PeerRequest, Purpose, RevocationMode, RevocationPolicy, StatusPreference,
    StatusSources, validate,
};
use devid_testca::certs::Profile;
use devid_testca::{Holder, KeyType, Options, Parsed, Server, TestCa};

use super::{Nobody, anchors, code_of, fetcher, leaf_policy, options, provider, story, texts};

struct World {
    server: Server,
    peer: Holder,
    certificate: Certificate,
    root: Certificate,
    issuing: Certificate,
    now: Time,
}

impl World {
    fn new() -> Self {
        let server = Server::start(TestCa::new(Options::default())).unwrap();
        let now = devid_testca::server::system_time();
        let peer = server.with(|ca| ca.peer("good.peer.example", KeyType::P256, now));
        let read = |der: &[u8]| Certificate::from_der(der).unwrap();
        let (root, issuing) = server.with(|ca| (read(&ca.root.certificate), read(&ca.issuing.certificate)));
        World { certificate: read(&peer.certificate), root, issuing, peer, server, now: Time::from_unix(now) }
    }

    fn checks(&self, prefer: StatusPreference) -> Checks {
        let revocation = RevocationPolicy { prefer, ..leaf_policy(RevocationMode::HardFail) };
        Checks { revocation, ..Checks::at(self.now) }
    }

    fn ask(&self, fetcher: &mut StatusFetcher, pool: &[Certificate], checks: &Checks) -> super::StatusAnswer {
        let (anchors, known) = (anchors(&self.root), StatusSources::none());
        let question = StatusQuestion { anchors: &anchors, leaf: &self.certificate, pool, known: &known, checks };
        let mut fetch = built_in(fetcher.options_mut()).unwrap();
        fetcher.validate(&question, &mut fetch)
    }

    fn revoke(&self) {
        let serial = Parsed::read(&self.peer.certificate).unwrap().serial;
        self.server.with(|ca| ca.revoke(&serial, 1));
    }
}

#[test]
fn the_gate_opens_with_status_that_was_fetched_and_nobody_is_asked_again() {
    let world = World::new();
    let (anchors, pool, none) = (anchors(&world.root), [world.issuing.clone()], StatusSources::none());
    let mut fetcher = fetcher();
    let request = PeerRequest {
        anchors: &anchors,
        certificate: &world.certificate,
        pool: &pool,
        status: &none,
        checks: world.checks(StatusPreference::Ocsp),
        purpose: Purpose::For(vec![devid::asn1::oid::KP_SERVER_AUTH]),
        names: NameCheck::All(vec![PeerName::host("good.peer.example")]),
        use_until: None,
    };

    let mut fetch = built_in(&options()).unwrap();
    let (answer, key) = fetcher.open_peer(request.clone(), &mut fetch).unwrap();

    assert_eq!(story(&answer), [(Wanted::Ocsp, "fetched")], "{}", texts(&answer));
    let key = key.expect("a positive verdict");
    let signature = world.peer.key.sign(b"hello");
    key.verify_signature(world.now, &SignatureAlgorithm::from_name("ECDSA-SHA256").unwrap(), b"hello", &signature)
        .unwrap();
    assert!(key.expires() <= world.now.plus(2 * 3600), "the status data's end bounds the verdict");

    let (answer, key) = fetcher.open_peer(request.clone(), &mut Nobody).unwrap();
    assert_eq!(story(&answer), [(Wanted::Ocsp, "kept")]);
    assert!(key.is_some());

    let other = NameCheck::All(vec![PeerName::host("other.example")]);
    let (answer, key) = super::fetcher().open_peer(PeerRequest { names: other, ..request }, &mut Nobody).unwrap();
    assert_eq!((code_of(&answer), key.is_none()), (Some(Code::Name), true), "a wrong peer is not asked about");
}

#[test]
fn a_revoked_peer_is_refused_by_what_is_fetched() {
    for (prefer, wanted) in [(StatusPreference::Ocsp, Wanted::Ocsp), (StatusPreference::Crl, Wanted::Crl)] {
        let world = World::new();
        world.revoke();
        let store = Arc::new(Store::in_memory(provider().clone()));
        let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
        let (pool, checks) = ([world.issuing.clone()], world.checks(prefer));
        let answer = world.ask(&mut fetcher, &pool, &checks);
        assert_eq!(story(&answer), [(wanted, "fetched")]);
        assert_eq!(code_of(&answer), Some(Code::Revoked));
        let words = if prefer == StatusPreference::Crl { "by the CRL number" } else { "by an OCSP response from" };
        let told = texts(&answer);
        assert!(told.contains(words) && !told.contains("known from before"), "{told}");
        // Where nothing but the record is at hand.
        let facts = StatusMemory::new(provider().clone(), Some(store)).revoked_facts();
        let known = StatusSources { revoked: vec![facts], ..StatusSources::none() };
        let report = validate(&**provider(), &anchors(&world.root), &world.certificate, &pool, &known, &checks);
        assert_eq!(report.error().map(|error| error.code()), Some(Code::Revoked));
        assert!(report.findings().iter().any(|finding| finding.text.contains("known from before")), "{report:?}");
    }
}

#[test]
fn a_responder_that_is_busy_is_named_and_the_crl_is_asked_instead() {
    let world = World::new();
    world.server.with(|ca| ca.knobs.ocsp_unavailable = true);
    let checks = world.checks(StatusPreference::Ocsp);
    let answer = world.ask(&mut fetcher(), std::slice::from_ref(&world.issuing), &checks);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Ocsp, "failed"), (Wanted::Crl, "fetched")]);
    assert!(texts(&answer).contains("the responder answered tryLater"), "{}", texts(&answer));
}

#[test]
fn ocsp_by_get_without_a_nonce_is_served_too() {
    let world = World::new();
    let options = StatusOptions { ocsp_by_get: true, nonce: OcspNonce::Unused, ..options() };
    let mut fetcher = StatusFetcher::new(provider().clone(), options);
    let checks = world.checks(StatusPreference::Ocsp);
    let answer = world.ask(&mut fetcher, std::slice::from_ref(&world.issuing), &checks);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Ocsp, "fetched")]);
}

#[test]
fn a_missing_issuer_is_fetched_only_where_that_is_asked_for() {
    let world = World::new();
    let checks = world.checks(StatusPreference::Ocsp);

    let answer = world.ask(&mut fetcher(), &[], &checks);
    assert_eq!((code_of(&answer), answer.log.len()), (Some(Code::NoPath), 0));

    let mut fetcher = StatusFetcher::new(provider().clone(), StatusOptions { issuers: true, ..options() });
    let answer = world.ask(&mut fetcher, &[], &checks);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Issuer, "fetched"), (Wanted::Ocsp, "fetched")]);
    assert_eq!(answer.pool, std::slice::from_ref(&world.issuing));

    let answer = world.ask(&mut fetcher, &[], &checks);
    assert!(answer.report.is_valid());
    assert_eq!(story(&answer), [(Wanted::Issuer, "kept"), (Wanted::Ocsp, "kept")]);
}

#[test]
fn the_issuers_status_is_fetched_where_the_whole_chain_is_asked_about() {
    let world = World::new();
    let mut checks = world.checks(StatusPreference::Ocsp);
    checks.revocation.scope = devid::validation::RevocationScope::WholeChain;
    let answer = world.ask(&mut fetcher(), std::slice::from_ref(&world.issuing), &checks);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Ocsp, "fetched"), (Wanted::Crl, "fetched")]);
}

#[test]
fn a_certificate_without_any_url_needs_status_data_from_the_caller() {
    let mut world = World::new();
    world.issuing = world.server.with(|ca| {
        let old = Parsed::read(&ca.issuing.certificate).unwrap();
        let profile = Profile::new(old.subject, old.spki, old.not_before, old.not_after).ca();
        Certificate::from_der(&profile.signed(&ca.root.name(), &ca.root.key)).unwrap()
    });
    let mut checks = world.checks(StatusPreference::Ocsp);
    checks.revocation.scope = devid::validation::RevocationScope::WholeChain;
    let answer = world.ask(&mut fetcher(), std::slice::from_ref(&world.issuing), &checks);
    assert_eq!(code_of(&answer), Some(Code::RevocationUnknown));

    let root_crl = world.server.with(|ca| ca.root_crl(world.now.unix()));
    let known = StatusSources { crls: vec![Crl::from_der(root_crl).unwrap().into()], ..StatusSources::none() };
    let (anchors, pool) = (anchors(&world.root), [world.issuing.clone()]);
    let question =
        StatusQuestion { anchors: &anchors, leaf: &world.certificate, pool: &pool, known: &known, checks: &checks };
    let answer = fetcher().validate(&question, &mut built_in(&options()).unwrap());
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(answer.log.len(), 1, "for the leaf only");
    assert!(matches!(answer.log[0].outcome, FetchOutcome::Fetched));
}
