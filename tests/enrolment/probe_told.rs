//! What the answer to a harmless question tells of an enrolment by the same settings: asked, and then tried.

use devid::asn1::cmp::{BodyType, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::client::{Config, Probe};
use devid::crypto::DigestAlgorithm;
use devid::limits::Limits;
use devid::transport::{ExchangeFn, ExchangeLimits, Reply};

use crate::certificates::{Builder, Party, now};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, strip_protection};

fn config_of(ca: &MockCa, by_secret: bool) -> Config {
    let mut config = Device::config(ca);
    if by_secret {
        config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    }
    config
}

/// What the probe finds, and whether an enrolment succeeds at the same server.
fn asked_and_tried(ca: &mut MockCa, config: &Config) -> (Probe, bool) {
    let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| Ok(Reply::from_body(ca.answer(request))));
    let found = config.probe(&mut exchange, now()).unwrap();
    (found, Device::enrolling_as(config).run(ca).is_ok())
}

/// Parameters of a MAC, for a server that was not shown any.
fn mac_algorithm() -> Vec<u8> {
    let mut device = Device::enrolling_by_secret(&MockCa::new());
    device.step().unwrap();
    let message = PkiMessage::from_der(device.operation.output().unwrap().to_vec(), &Limits::default()).unwrap();
    message.header().protection_alg.clone().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protected {
    AsAsked,
    Not,
    Signed,
    ByMac,
    ByStranger,
    ByOtherSecret,
}

impl Protected {
    const ALL: [Protected; 6] = [
        Protected::AsAsked,
        Protected::Not,
        Protected::Signed,
        Protected::ByMac,
        Protected::ByStranger,
        Protected::ByOtherSecret,
    ];

    fn is_by_mac(self) -> bool {
        matches!(self, Protected::ByMac | Protected::ByOtherSecret)
    }

    /// Whether it is wrong, and of the kind that protects the question.
    fn is_wrong_alike(self, by_secret: bool) -> bool {
        self == if by_secret { Protected::ByOtherSecret } else { Protected::ByStranger }
    }

    fn bend(self, answer: &mut Answer, (signer, stranger): (&Party, &Party), algorithm: &[u8]) {
        let by = match self {
            Protected::AsAsked | Protected::Not => return,
            Protected::Signed => Some(signer.clone()),
            Protected::ByStranger => Some(stranger.clone()),
            Protected::ByMac | Protected::ByOtherSecret => None,
        };
        if self == Protected::ByOtherSecret {
            answer.secret = b"another".to_vec();
        }
        if let Some(by) = &by {
            answer.header.sender = Some(by.certificate.subject().to_vec());
            answer.header.sender_kid = by.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            answer.extra_certs.insert(0, by.certificate.clone());
        } else {
            answer.header.protection_alg = Some(algorithm.to_vec());
        }
        answer.signer = by;
    }
}

/// What a server that does not know the question makes of it.
#[derive(Clone, Copy, Debug)]
enum Says {
    CaCerts,
    Error(Option<u32>),
    PkiConf,
}

impl Says {
    fn bend(self, answer: &mut Answer) {
        let refusal = |fail_info| PkiStatusInfo { fail_info, ..PkiStatusInfo::new(PkiStatus::Rejection) };
        match self {
            Says::CaCerts => {}
            Says::PkiConf => (answer.body_type, answer.content) = (BodyType::PKICONF, vec![5, 0]),
            Says::Error(bits) => {
                (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&refusal(bits).to_der()]));
            }
        }
    }
}

/// A server that answers questions so, and everything else so, too, or as it should.
fn server(says: Says, protected: Protected, is_everything: bool) -> MockCa {
    let mut ca = MockCa::new();
    ca.info = vec![devid::asn1::cmp::InfoTypeAndValue { info_type: devid::asn1::oid::IT_CA_CERTS, value: Vec::new() }];
    let (signer, stranger, algorithm) = (ca.signer.clone(), Party::root("Elsewhere").leaf("RA"), mac_algorithm());
    ca.bend = Some(Box::new(move |answer: &mut Answer| {
        let is_question = answer.body_type == BodyType::GENP;
        if is_question || is_everything {
            protected.bend(answer, (&signer, &stranger), &algorithm);
        }
        if is_question {
            says.bend(answer);
        }
    }));
    ca.break_ = (protected == Protected::Not).then(|| -> Box<dyn FnMut(Vec<u8>) -> Vec<u8>> {
        Box::new(move |der| {
            let body = PkiMessage::from_der(der.clone(), &Limits::default()).unwrap().body_type();
            let is_to_question = matches!(body, BodyType::GENP | BodyType::ERROR);
            if is_everything || is_to_question { strip_protection(&der) } else { der }
        })
    });
    ca
}

/// Where an enrolment succeeds nothing is said to fail; and what is said to fail, does.
#[test]
fn what_is_said_of_questions_follows_whether_an_enrolment_works() {
    let says = [
        Says::CaCerts,
        Says::Error(None),
        // badRequest, wrongIntegrity, badDataFormat, signerNotTrusted, notAuthorized, systemUnavail
        Says::Error(Some(1 << 2)),
        Says::Error(Some(1 << 12)),
        Says::Error(Some(1 << 5)),
        Says::Error(Some(1 << 20)),
        Says::Error(Some(1 << 23)),
        Says::Error(Some(1 << 24)),
        Says::PkiConf,
    ];
    for (says, protected) in says.into_iter().flat_map(|says| Protected::ALL.map(|protected| (says, protected))) {
        for (by_secret, is_everything) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut ca = server(says, protected, is_everything);
            // pkiConf that is not protected would be met by the confirmation.
            if matches!((says, protected), (Says::PkiConf, Protected::Not)) {
                continue;
            }
            let config = config_of(&ca, by_secret);
            let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
            let case =
                format!("{says:?} {protected:?} by secret {by_secret} everything {is_everything}\n{}", found.report());
            let is_wrong = protected.is_wrong_alike(by_secret);
            if !is_everything {
                assert!(is_enrolled, "{case}");
            }
            // A certificate would be protected so, too, as far as anybody can tell.
            assert!(found.works() || is_wrong, "{case}");
            assert!(!found.works() || !is_wrong || matches!(says, Says::PkiConf), "{case}");
            assert!(found.works() || !is_everything || !is_enrolled, "{case}");
            let is_other =
                protected == Protected::Not || protected.is_by_mac() != by_secret && protected != Protected::AsAsked;
            let is_taken = protected == Protected::Signed;
            if is_other && !is_taken {
                assert!(found.report().contains("proves nothing"), "{case}");
                assert!(found.report().contains("tells nothing of enrolment"), "{case}");
            }
        }
    }
}

/// The same of single ways that servers have with questions.
#[test]
fn odd_answers_to_questions_alone_are_no_failure() {
    let refuse = |answer: &mut Answer| Says::Error(Some(1 << 2)).bend(answer);
    type Bend = Box<dyn FnMut(&mut Answer)>;
    let ways: [(&str, bool, Bend); 4] = [
        (
            "out of the transaction",
            false,
            Box::new(move |answer| {
                refuse(answer);
                answer.header.transaction_id = Some(vec![9; 16]);
            }),
        ),
        (
            "in answer to nothing",
            false,
            Box::new(move |answer| {
                refuse(answer);
                answer.header.recip_nonce = None;
            }),
        ),
        (
            "in version 1",
            false,
            Box::new(move |answer| {
                refuse(answer);
                answer.header.pvno = 1;
            }),
        ),
        (
            "a day later, and not protected",
            true,
            Box::new(move |answer| {
                refuse(answer);
                answer.header.message_time = Some(now().plus(86_400));
            }),
        ),
    ];
    for (what, is_bare, bend) in ways {
        let mut ca = MockCa::new().bending(BodyType::GENP, bend);
        let config = config_of(&ca, false);
        ca.break_ = is_bare.then(|| -> Box<dyn FnMut(Vec<u8>) -> Vec<u8>> {
            Box::new(|der| {
                let message = PkiMessage::from_der(der.clone(), &Limits::default()).unwrap();
                if message.body_type() == BodyType::ERROR { strip_protection(&der) } else { der }
            })
        });
        let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
        assert!(is_enrolled && found.works(), "{what}: {}", found.report());
    }
}

/// Words about the credential itself are told as a failure, whoever says them: whoever cannot check a MAC cannot make one.
#[test]
fn a_secret_that_the_server_does_not_find_is_a_failure() {
    let mut ca = server(Says::Error(Some(1 << 1)), Protected::Not, false);
    let config = config_of(&ca, true);
    let (found, _) = asked_and_tried(&mut ca, &config);
    assert!(!found.works(), "{}", found.report());
}

/// An ordinary certificate under the anchors may not answer questions, and may bring a certificate: that works until the owner has said who
/// signs, or wants no such thing.
#[test]
fn a_signer_without_authority_is_no_failure_where_it_may_bring_a_certificate() {
    for (may_bring, pins_another) in [(true, false), (false, false), (true, true)] {
        let mut ca = MockCa::new();
        let elsewhere = Party::root("Elsewhere").certificate;
        ca.info = vec![devid::asn1::cmp::InfoTypeAndValue {
            info_type: devid::asn1::oid::IT_CA_CERTS,
            value: sequence(&[elsewhere.as_der()]),
        }];
        ca.signer = Builder::leaf("CMP server").signed_by(&ca.issuing);
        let mut config = config_of(&ca, false);
        config.tolerance.unauthorised_bearer = may_bring;
        if pins_another {
            config.pin_signers(vec![ca.issuing.leaf("somebody else").certificate]);
        }
        let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
        assert_eq!(
            (found.works(), is_enrolled),
            (may_bring && !pins_another, may_bring && !pins_another),
            "{}",
            found.report()
        );
        assert_eq!(found.pins.is_empty(), pins_another, "{}", found.report());
    }
}

/// A signer that the device knows need not come along with what it says.
#[test]
fn a_pinned_signer_who_refuses_the_question_without_its_certificate_is_no_failure() {
    let mut ca = MockCa::new().bending(BodyType::GENP, |answer: &mut Answer| {
        Says::Error(Some(1 << 2)).bend(answer);
        answer.extra_certs.clear();
    });
    let mut config = config_of(&ca, false);
    config.pin_signers(vec![ca.signer.certificate.clone()]);
    config.intermediates.push(ca.issuing.certificate.clone());
    let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
    assert!(is_enrolled && found.works(), "{}", found.report());
}

/// TLS with certificates on both sides is what the settings rely on: an answer that comes without is none.
#[test]
fn an_unprotected_answer_fails_where_tls_was_to_protect_it() {
    let mut ca = server(Says::CaCerts, Protected::Not, true);
    let mut config = config_of(&ca, false);
    let shown = ca.supplier.leaf("device");
    config.tls.set_credential(shown.key, &[shown.certificate]).unwrap();
    config.server.url = Some("https://ca.example/".to_owned());
    config.protect_by_mutual_tls();
    let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
    assert!(!is_enrolled && !found.works(), "{}", found.report());
}

/// Which root is where, and what the settings take of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Told,
    AnotherTold,
    Adopted,
    CaPubs,
}

/// RFC 9810 section 6.7.2, 3GPP TS 33.310 section 9.5.4.3: before the first certificate nothing is here that the signer of an answer
/// could lead to. That is no failure where the root comes with ip, and is one where the settings take none of it.
#[test]
fn a_root_that_comes_with_the_first_certificate_is_not_missed_before() {
    let other = Party::root("Elsewhere");
    let fingerprint = |root: &Party| {
        let digest = crate::certificates::provider().digest(DigestAlgorithm::Sha256, &[root.certificate.as_der()]);
        digest.unwrap().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for takes in [Takes::Nothing, Takes::Told, Takes::AnotherTold, Takes::Adopted, Takes::CaPubs] {
        for (says, with_question) in
            [(Says::CaCerts, false), (Says::CaCerts, true), (Says::Error(None), false), (Says::Error(None), true)]
        {
            let mut ca = server(says, Protected::AsAsked, false);
            let root = ca.root.certificate.clone();
            let mut bent = ca.bend.take().unwrap();
            ca.bend = Some(Box::new(move |answer: &mut Answer| {
                let is_question = answer.body_type == BodyType::GENP;
                bent(answer);
                if with_question || !is_question {
                    answer.extra_certs.push(root.clone());
                }
            }));
            let mut config = Device::config(&ca);
            (config.cmp_anchors, config.enrolment_anchors) = Default::default();
            match takes {
                Takes::Told => config.add_root_fingerprint(&fingerprint(&ca.root)).unwrap(),
                Takes::AnotherTold => config.add_root_fingerprint(&fingerprint(&other)).unwrap(),
                Takes::Adopted => config.adopt_root_of_ip = true,
                Takes::Nothing | Takes::CaPubs => {
                    config.accept_ca_pubs = takes == Takes::CaPubs;
                    config.cmp_anchors.add(other.certificate.clone());
                    config.enrolment_anchors.add(other.certificate.clone());
                }
            }
            let (found, is_enrolled) = asked_and_tried(&mut ca, &config);
            let case = format!("{takes:?} {says:?} root with the question {with_question}\n{}", found.report());
            assert_eq!(is_enrolled, matches!(takes, Takes::Told | Takes::Adopted), "{case}");
            assert!(found.works() || !is_enrolled, "{case}");
            // Before ip nobody knows that the root that was told will not come.
            let is_foreseen = takes != Takes::AnotherTold || with_question;
            assert!(!found.works() || is_enrolled || !is_foreseen, "{case}");
        }
    }
}
