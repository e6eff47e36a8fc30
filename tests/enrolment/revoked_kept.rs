//! Revocation of an identity in device memory: the CA is asked once, and what it has said is known from then on.

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::client::renewal::{Alarm, Plan, Reason, Standing};
use devid::client::{Client, Destination, Owner, Planner, Step, abandon};
use devid::cmp::{Revoked, Signer};
use devid::store::{NewIdentity, NewKey, ProblemKind, Store};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::validation::KeyUsage;
use devid::{Code, Error, Time};

use crate::certificates::{Builder, Party, now, provider};
use crate::mock_ca::{Device, MockCa, strip_protection};

const NAME: &str = "router";

struct Line<'a>(&'a mut MockCa, u32);

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.1 == 0 {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        self.1 -= 1;
        Ok(Reply::from_body(self.0.answer(request)))
    }
}

/// Waits so often, by moving its clock.
struct Patience(Time, u32);

impl Owner for Patience {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        if self.1 == 0 {
            return Err(Error::new(Code::Cancelled, "later"));
        }
        self.1 -= 1;
        self.0 = self.0.plus(i64::from(seconds));
        Ok(())
    }
}

/// A device with an identity, and its client.
struct Home {
    ca: MockCa,
    store: Store,
    own: Party,
    client: Client,
}

impl Home {
    fn new() -> Self {
        let (ca, store) = (MockCa::new(), Store::in_memory(provider().clone()));
        let own = Self::identity(&ca, &store);
        Home { client: Self::client(&ca, &own), ca, store, own }
    }

    fn identity(ca: &MockCa, store: &Store) -> Party {
        let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
        let new = NewIdentity {
            key: NewKey::Given(Signer::from(&own.key)),
            certificate: &own.certificate,
            chain: std::slice::from_ref(&ca.issuing.certificate),
            purpose: "ldevid",
            at: now(),
        };
        store.install(NAME, &new).unwrap();
        own
    }

    fn client(ca: &MockCa, own: &Party) -> Client {
        let mut config = Device::config(ca);
        let chain = vec![ca.issuing.certificate.clone()];
        config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), chain);
        config.build().unwrap()
    }

    fn place(&self) -> Destination<'_> {
        Destination { store: &self.store, name: NAME, purpose: "ldevid" }
    }

    fn revoke_by(&mut self, reason: CrlReason, line: u32, patience: u32) -> Result<Revoked, Error> {
        let to = Destination { store: &self.store, name: NAME, purpose: "ldevid" };
        let mut owner = Patience(now().plus(3600), patience);
        let wanted = (&self.own.certificate, reason);
        self.client.revoke_kept(to, wanted, &mut Line(&mut self.ca, line), &mut owner)
    }

    fn revoke(&mut self, reason: CrlReason) -> Result<Revoked, Error> {
        self.revoke_by(reason, u32::MAX, u32::MAX)
    }

    fn requests(&self) -> usize {
        self.ca.bodies().iter().filter(|body| **body == "rr").count()
    }

    fn plan(&self) -> Plan {
        Planner::new().plan(&self.store, NAME, Some(now())).unwrap()
    }

    fn is_kept(&self) -> bool {
        self.place().unfinished_revocation().unwrap().is_some()
    }
}

/// Wherever the line breaks or its owner leaves, the next call goes on with what the CA was asked.
#[test]
fn a_revocation_that_waits_is_gone_on_with_by_the_next_call() {
    for (line, patience) in (0..4).flat_map(|count| [(count, u32::MAX), (u32::MAX, count)]) {
        let mut home = Home::new();
        home.ca.waits = 2;
        let began = home.revoke_by(CrlReason::Superseded, line, patience);
        if began.is_err() {
            assert!(home.is_kept(), "{line} {patience}: the request is there before it goes out");
            assert_eq!(home.plan().standing, Standing::Valid, "nothing was said yet");
            assert!(!home.store.operations().unwrap().contains(&NAME.to_owned()), "no enrolment is under way");
            home.revoke(CrlReason::Superseded).unwrap();
        }
        assert_eq!(home.requests(), 1, "{line} {patience}: {:?}", home.ca.bodies());
        assert!(!home.is_kept() && home.store.operations().unwrap().is_empty());
    }
}

#[test]
fn what_waits_is_not_taken_for_another_revocation_and_is_given_up_by_word_alone() {
    let mut home = Home::new();
    home.ca.waits = 2;
    home.revoke_by(CrlReason::Superseded, u32::MAX, 0).unwrap_err();
    let sent = home.ca.received.len();
    // Another reason.
    let error = home.revoke(CrlReason::KeyCompromise).unwrap_err();
    assert_eq!(error.code(), Code::State, "{error}");
    assert!(error.message().contains("superseded"), "{error}");
    // Another certificate by now.
    let before = std::mem::replace(&mut home.own, Home::identity(&home.ca, &home.store));
    home.client = Home::client(&home.ca, &home.own);
    assert_eq!(home.revoke(CrlReason::Superseded).unwrap_err().code(), Code::State);
    assert_eq!(home.ca.received.len(), sent, "nothing goes out meanwhile");
    assert!(home.is_kept());
    abandon(home.place()).unwrap();
    assert!(!home.is_kept());
    home.ca.waits = 0;
    home.revoke(CrlReason::Superseded).unwrap();
    assert_eq!(home.requests(), 2);
    // The one before was asked about and nothing was said of it.
    home.store.rollback(NAME).unwrap();
    assert_eq!(home.store.current(NAME).unwrap().certificate, before.certificate);
    assert_eq!(home.plan().standing, Standing::Valid);
}

#[test]
fn a_removed_identity_and_a_refusal_leave_no_request_and_a_damaged_one_is_asked_anew() {
    let mut home = Home::new();
    home.ca.waits = 1;
    home.revoke_by(CrlReason::Superseded, u32::MAX, 0).unwrap_err();
    let label = home.store.operations().unwrap().remove(0);
    home.store.save_operation(&label, b"torn").unwrap();
    home.revoke_by(CrlReason::Superseded, u32::MAX, 0).unwrap_err();
    assert_eq!(home.requests(), 2);
    home.store.remove_identity(NAME).unwrap();
    assert!(home.store.operations().unwrap().is_empty());

    let mut home = Home::new();
    home.ca.status = PkiStatusInfo::new(PkiStatus::Rejection);
    assert_eq!(home.revoke(CrlReason::Superseded).unwrap_err().code(), Code::Rejected);
    assert!(!home.is_kept());
}

const REASONS: [CrlReason; 8] = [
    CrlReason::Unspecified,
    CrlReason::KeyCompromise,
    CrlReason::AffiliationChanged,
    CrlReason::Superseded,
    CrlReason::CessationOfOperation,
    CrlReason::PrivilegeWithdrawn,
    CrlReason::CertificateHold,
    CrlReason::RemoveFromCrl,
];

#[test]
fn what_the_ca_has_revoked_is_known_at_once_and_followed_by_another_where_its_reason_allows() {
    for reason in REASONS {
        let mut home = Home::new();
        home.revoke(reason).unwrap();
        let plan = home.plan();
        if reason == CrlReason::RemoveFromCrl {
            assert_eq!((plan.standing, plan.findings), (Standing::Valid, Vec::new()));
            continue;
        }
        assert_eq!((plan.standing, plan.alarm), (Standing::Revoked, Alarm::Unusable), "{reason}");
        let found = plan.findings.iter().find(|found| found.kind == ProblemKind::Revoked).expect("told");
        assert!(found.text.contains("its CA has"), "{}", found.text);
        let is_followed = matches!(reason, CrlReason::Unspecified | CrlReason::KeyCompromise | CrlReason::Superseded);
        let expected = if is_followed { (Step::EnrollAgain, Reason::Due) } else { (Step::Nothing, Reason::Revoked) };
        assert_eq!((plan.step, plan.reason), expected, "{reason}");
        assert_eq!(plan.ask_again_seconds > 0, !is_followed, "{reason}: a next date");
        // Years later, too, but for a hold, which ends with the certificate.
        let later = Planner::new().plan(&home.store, NAME, Some(home.own.certificate.not_after().plus(9))).unwrap();
        let ends = reason == CrlReason::CertificateHold;
        assert_eq!(later.standing, if ends { Standing::Expired } else { Standing::Revoked }, "{reason}");
    }
}

#[test]
fn a_hold_is_lifted_by_the_cas_word_and_what_is_revoked_for_good_is_not() {
    let mut home = Home::new();
    for _ in 0..3 {
        home.revoke(CrlReason::CertificateHold).unwrap();
        assert_eq!(home.plan().standing, Standing::Revoked);
        home.revoke(CrlReason::RemoveFromCrl).unwrap();
        assert_eq!(home.plan().standing, Standing::Valid);
    }
    home.revoke(CrlReason::KeyCompromise).unwrap();
    home.revoke(CrlReason::RemoveFromCrl).unwrap();
    assert_eq!(home.plan().standing, Standing::Revoked);
}

/// When the renewal of a certificate on hold is due, the CA is asked: it may have lifted the hold by itself.
#[test]
fn a_certificate_on_hold_is_renewed_when_that_is_due() {
    let mut home = Home::new();
    home.revoke(CrlReason::CertificateHold).unwrap();
    let due = home.plan().renewal_at.unwrap();
    let plan = |at| Planner::new().plan(&home.store, NAME, Some(at)).unwrap();
    assert_eq!(plan(due.plus(-60)).step, Step::Nothing);
    assert_eq!(plan(due.plus(60)).step, Step::Update);
}

#[test]
fn only_the_cas_own_word_is_written_down() {
    let is_so = || PkiStatusInfo { fail_info: Some(1 << 10), ..PkiStatusInfo::new(PkiStatus::Rejection) };
    let cases = [
        (PkiStatusInfo::new(PkiStatus::Accepted), false, false),
        (PkiStatusInfo::new(PkiStatus::Rejection), true, false),
        (PkiStatusInfo::new(PkiStatus::RevocationWarning), true, false),
        (is_so(), false, false),
        // It was so before.
        (is_so(), true, true),
    ];
    for (status, is_protected, is_known) in cases {
        let mut home = Home::new();
        home.ca.status = status.clone();
        if !is_protected {
            home.ca.break_ = Some(Box::new(|answer| strip_protection(&answer)));
        }
        home.revoke(CrlReason::KeyCompromise).unwrap_err();
        let expected = if is_known { Standing::Revoked } else { Standing::Valid };
        assert_eq!(home.plan().standing, expected, "{status:?}, protected: {is_protected}");
    }
    // Of a hold the same word may mean the hold itself: it is not written down as for good.
    for reason in [CrlReason::CertificateHold, CrlReason::RemoveFromCrl] {
        let mut home = Home::new();
        home.ca.status = is_so();
        home.revoke(reason).unwrap_err();
        assert_eq!(home.plan().standing, Standing::Valid, "{reason}");
    }
    // Nor is anything where the answer is another one.
    let mut home = Home::new();
    home.ca = home.ca.bending(BodyType::RP, |answer| answer.body_type = BodyType::GENP);
    home.revoke(CrlReason::KeyCompromise).unwrap_err();
    assert_eq!(home.plan().standing, Standing::Valid);
}
