//! A registration authority between devices and strangers: who may go on with what somebody began, which fields must name the
//! signer, what a nested message approves of, and what a stranger's request may cost.

use std::sync::Arc;

use devid::Code;
use devid::asn1::cmp::body::encode_body;
use devid::asn1::cmp::{BodyType, PkiHeader, PkiMessage, PkiStatus, PkiStatusInfo, message};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::{Config, Subject};
use devid::cmp::{DeviceRequest, MacParameters, Proof, RegistrationAuthority, Signer, SignerAuthorisation};
use devid::crypto::{DigestAlgorithm, Provider};
use devid::limits::Limits;
use devid::validation::{KeyUsage, TrustAnchors};

use crate::certificates::{Builder, Party, key, now, provider};
use crate::counting::Counting;

struct Office {
    root: Party,
    ca: Party,
    ra: Party,
    supplier: Party,
    device: Party,
    authority: RegistrationAuthority,
}

const SECRET: &[u8] = b"correct-horse";

impl Office {
    fn new() -> Self {
        Self::with(provider().clone())
    }

    fn with(by: Arc<dyn Provider>) -> Self {
        let (root, supplier) = (Party::root("Operator"), Party::root("Supplier"));
        let ca = root.ca("CA");
        let ra = Builder::leaf("RA").purposes(&[oid::KP_CMC_RA]).signed_by(&ca);
        let device = Builder::leaf("device").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&supplier);
        let context = Self::context_of(&root, &ca, &ra, by);
        let devices: TrustAnchors = [&supplier, &root].map(|p| p.certificate.clone()).into_iter().collect();
        let mut authority = RegistrationAuthority::new(context, devices).unwrap();
        authority.add_secret(b"4711", SECRET).unwrap();
        Office { root, ca, ra, supplier, device, authority }
    }

    fn context_of(root: &Party, ca: &Party, ra: &Party, by: Arc<dyn Provider>) -> Arc<devid::cmp::Context> {
        let mut config = Config::with_provider(by);
        let chain = vec![ca.certificate.clone()];
        config.protect_with_certificate(Signer::Key(ra.key.clone()), ra.certificate.clone(), chain);
        config.cmp_anchors.add(root.certificate.clone());
        config.enrolment_anchors.add(root.certificate.clone());
        config.authorisation = SignerAuthorisation::by_purpose();
        Arc::clone(config.build().unwrap().context())
    }

    fn context(&self) -> Arc<devid::cmp::Context> {
        Self::context_of(&self.root, &self.ca, &self.ra, provider().clone())
    }

    fn devices(&self) -> TrustAnchors {
        [&self.supplier, &self.root].map(|p| p.certificate.clone()).into_iter().collect()
    }

    fn config(&self, device: &Party) -> Config {
        let mut config = Config::new();
        config.protect_with_certificate(Signer::Key(device.key.clone()), device.certificate.clone(), Vec::new());
        config.cmp_anchors.add(self.root.certificate.clone());
        config.enrolment_anchors.add(self.root.certificate.clone());
        config
    }

    /// ir of a device.
    fn ir(&self, device: &Party) -> Vec<u8> {
        first(&self.config(device))
    }

    fn checked(&self, request: &[u8]) -> DeviceRequest {
        self.authority.check(request, None, now()).unwrap()
    }

    fn refusal(&self, request: &[u8]) -> Code {
        code_by_rule(self.authority.check(request, None, now()).unwrap_err())
    }
}

/// Whoever is refused is told by which rule.
fn code_by_rule(error: devid::Error) -> Code {
    assert!(error.facts().requirement.is_some(), "no rule: {error}");
    error.code()
}

fn first(config: &Config) -> Vec<u8> {
    let subject = Subject::new().name("CN=device").unwrap();
    let mut operation = config.build().unwrap().enroll(Signer::Key(key()), &subject).unwrap();
    operation.step(now()).unwrap();
    operation.output().unwrap().to_vec()
}

/// A message before its signature.
struct Draft {
    header: PkiHeader,
    body: BodyType,
    content: Vec<u8>,
    extra_certs: Vec<Certificate>,
}

/// The same message changed, and signed again by somebody.
fn remade(der: &[u8], by: &Party, change: impl FnOnce(&mut Draft)) -> Vec<u8> {
    let message = PkiMessage::from_der(der.to_vec(), &Limits::default()).unwrap();
    let mut draft = Draft {
        header: message.header().clone(),
        body: message.body_type(),
        content: message.body_content().to_vec(),
        extra_certs: message.extra_certs().to_vec(),
    };
    change(&mut draft);
    let algorithm = by.key.kind().default_signature();
    draft.header.protection_alg = Some(algorithm.to_der());
    let (header, body) = (draft.header.to_der(), encode_body(draft.body, &draft.content));
    let protection = by.key.sign(&algorithm, &sequence(&[&header, &body])).unwrap();
    message::assemble(&header, &body, Some(&protection), draft.extra_certs.iter())
}

/// Signed by another, who names itself as it should.
fn as_another(draft: &mut Draft, other: &Party) {
    draft.header.sender = Some(other.certificate.subject().to_vec());
    draft.header.sender_kid = other.certificate.subject_key_identifier().map(<[u8]>::to_vec);
    draft.extra_certs = vec![other.certificate.clone()];
}

#[test]
fn a_later_message_comes_from_who_began_the_transaction() {
    let office = Office::new();
    let neighbour = Builder::leaf("device").signed_by(&office.supplier);
    let ir = office.ir(&office.device);
    let earlier = office.checked(&ir);
    let poll = sequence(&[&sequence(&[&encode(&0i64)])]);
    for (body, content) in [(BodyType::POLLREQ, poll), (BodyType::CERTCONF, sequence(&[]))] {
        let follow = |by: &Party, change: &dyn Fn(&mut Draft)| {
            let message = remade(&ir, by, |draft| {
                (draft.body, draft.content) = (body, content.clone());
                change(draft);
            });
            office.authority.check(&message, Some(&earlier), now()).map(|_| ()).map_err(|e| e.code())
        };
        assert_eq!(follow(&office.device, &|_| ()), Ok(()));
        assert_eq!(follow(&office.device, &|draft| draft.extra_certs.clear()), Ok(()), "known from before");
        assert_eq!(follow(&neighbour, &|draft| as_another(draft, &neighbour)), Err(Code::ProtectionInvalid));
        let other = |draft: &mut Draft| draft.header.transaction_id = Some(vec![7; 16]);
        assert_eq!(follow(&office.device, &other), Err(Code::TransactionId));
    }
    // Nor from who shares a secret with the RA.
    let mut config = office.config(&office.device);
    let parameters =
        MacParameters::PasswordBased { owf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 100 };
    config.protect_with_secret(b"4711", SECRET, parameters).unwrap();
    let by_secret = office.checked(&first(&config));
    let signed = remade(&ir, &office.device, |draft| {
        draft.body = BodyType::POLLREQ;
        draft.content = sequence(&[&sequence(&[&encode(&0i64)])]);
        draft.header.transaction_id = Some(by_secret.transaction_id().to_vec());
    });
    let error = office.authority.check(&signed, Some(&by_secret), now()).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
}

#[test]
fn the_header_names_the_signer_and_is_as_long_as_it_must() {
    let office = Office::new();
    let ir = office.ir(&office.device);
    let neighbour = Builder::leaf("neighbour").signed_by(&office.supplier);
    let bent = |change: &dyn Fn(&mut Draft)| office.refusal(&remade(&ir, &office.device, change));
    office.checked(&remade(&ir, &office.device, |_| ()));
    office.checked(&remade(&ir, &office.device, |draft| draft.header.sender_kid = None));
    assert_eq!(bent(&|d| d.header.sender_kid = Some(vec![7; 20])), Code::ProtectionInvalid);
    let other_name = |d: &mut Draft| d.header.sender = Some(neighbour.certificate.subject().to_vec());
    assert_eq!(bent(&other_name), Code::ProtectionInvalid);
    assert_eq!(bent(&|d| d.header.sender = Some(vec![0x30, 0])), Code::ProtectionInvalid);
    let sized = |len: usize| Some(vec![7; len]);
    assert_eq!(bent(&|d| d.header.transaction_id = sized(15)), Code::TransactionId);
    assert_eq!(bent(&|d| d.header.transaction_id = None), Code::TransactionId);
    assert_eq!(bent(&|d| d.header.sender_nonce = sized(15)), Code::Nonce);
    assert_eq!(bent(&|d| d.header.sender_nonce = None), Code::Nonce);
    office.checked(&remade(&ir, &office.device, |draft| draft.header.transaction_id = sized(16)));
    assert_eq!(bent(&|d| d.header.pvno = 4), Code::UnknownVersion);

    // A key that is not for signatures.
    let agreeing = Builder::leaf("device").key_usage(&[KeyUsage::KeyAgreement]).signed_by(&office.supplier);
    assert_eq!(office.refusal(&remade(&ir, &agreeing, |draft| as_another(draft, &agreeing))), Code::ProtectionInvalid);
    let signing = Builder::leaf("device").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&office.supplier);
    office.checked(&remade(&ir, &signing, |draft| as_another(draft, &signing)));
}

#[test]
fn a_nested_message_approves_of_the_one_whose_nonce_it_carries_and_nests_no_other() {
    let office = Office::new();
    let request = office.checked(&office.ir(&office.device));
    let nested = office.authority.nest(&request, now()).unwrap();
    let open = |der: &[u8]| office.authority.open(der, now()).map(|opened| opened.approves).map_err(code_by_rule);
    assert_eq!(open(&nested), Ok(true));
    let bent = |change: &dyn Fn(&mut Draft)| open(&remade(&nested, &office.ra, change));
    assert_eq!(bent(&|_| ()), Ok(true));
    assert_eq!(bent(&|d| d.header.sender_nonce = Some(vec![7; 16])), Err(Code::TransactionId), "another nonce");
    assert_eq!(bent(&|d| d.header.transaction_id = Some(vec![7; 16])), Ok(false), "a batch of one approves of nothing");
    assert_eq!(bent(&|d| d.content = sequence(&[&nested])), Err(Code::Protocol), "nested in nested");
    assert_eq!(bent(&|d| d.content = sequence(&[])), Err(Code::Protocol), "nothing");
    // Signed by a device: no RA.
    let by_device = remade(&nested, &office.device, |draft| as_another(draft, &office.device));
    assert_eq!(open(&by_device), Err(Code::ProtectionInvalid));
    // Of a CA for TLS alone.
    let tls = Builder::ca("TLS CA").purposes(&[oid::KP_SERVER_AUTH]).signed_by(&office.root);
    let ra = Builder::leaf("RA").purposes(&[oid::KP_CMC_RA]).signed_by(&tls);
    let by_tls = remade(&nested, &ra, |draft| {
        as_another(draft, &ra);
        draft.extra_certs.push(tls.certificate.clone());
    });
    assert_eq!(open(&by_tls), Err(Code::ProtectionInvalid));
}

#[test]
fn the_answer_to_a_batch_answers_this_batch() {
    let office = Office::new();
    let request = office.checked(&office.ir(&office.device));
    let batch = office.authority.batch(vec![request], now()).unwrap();
    let opened = office.authority.open(batch.message(), now()).unwrap();
    let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
    status.fail_info = Some(1 << 25);
    let one = office.authority.refuse(&opened.messages[0], None, &status, now()).unwrap();
    let answer = office.authority.answer_batch(&opened, &[&one], now()).unwrap();
    let unbundle = |answer: &[u8]| office.authority.unbundle(&batch, Some(answer), now()).map_err(code_by_rule);
    assert_eq!(unbundle(&answer), Ok(vec![one]));
    let bent = |change: &dyn Fn(&mut Draft)| unbundle(&remade(&answer, &office.ra, change)).unwrap_err();
    assert_eq!(bent(&|d| d.header.recip_nonce = Some(vec![7; 16])), Code::Nonce);
    assert_eq!(bent(&|d| d.header.recip_nonce = None), Code::Nonce);
    assert_eq!(bent(&|d| d.header.transaction_id = Some(vec![7; 16])), Code::TransactionId);
    assert_eq!(bent(&|d| d.body = BodyType::GENP), Code::UnexpectedBody);
}

#[test]
fn a_revocation_keeps_the_devices_protection() {
    let office = Office::new();
    let own = office.ca.leaf("device");
    let client = office.config(&own).build().unwrap();
    let mut operation = client.revoke(&own.certificate, CrlReason::Superseded).unwrap();
    operation.step(now()).unwrap();
    let rr = remade(operation.output().unwrap(), &own, |d| d.extra_certs.push(office.ca.certificate.clone()));
    let request = office.checked(&rr);
    assert!(request.keeps_protection());
    for proof in [Proof::Keep, Proof::RaVerified] {
        let error = office.authority.replace(&request, proof, false, now()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    assert!(office.authority.nest(&request, now()).is_ok());
    let ir = office.checked(&office.ir(&office.device));
    assert!(!ir.keeps_protection() && office.authority.replace(&ir, Proof::Keep, false, now()).is_ok());
}

/// What is not known to come from a device is answered without the RA's signature: nobody has it say that another's
/// transaction is over.
#[test]
fn an_ra_signs_nothing_about_a_strangers_message() {
    let office = Office::new();
    let ir = office.ir(&office.device);
    let status = PkiStatusInfo::new(PkiStatus::Rejection);
    let answer = |checked: Option<&DeviceRequest>| {
        let der = office.authority.refuse(&ir, checked, &status, now()).unwrap();
        PkiMessage::from_der(der, &Limits::default()).unwrap()
    };
    let told = answer(None);
    assert!(told.protection().is_none() && told.header().protection_alg.is_none());
    assert_eq!(told.body_type(), BodyType::ERROR);
    assert!(answer(Some(&office.checked(&ir))).protection().is_some());

    // Nor about one that names the transaction of a request that was checked: its nonce is the stranger's choice.
    let checked = office.checked(&ir);
    let strange = remade(&ir, &office.supplier, |draft| draft.header.sender_nonce = Some(vec![7; 16]));
    let der = office.authority.refuse(&strange, Some(&checked), &status, now()).unwrap();
    assert!(PkiMessage::from_der(der, &Limits::default()).unwrap().protection().is_none());
}

/// origPKIMessage is the RA's to say: what a device puts there is not passed on under the RA's signature.
#[test]
fn a_device_puts_nobody_elses_message_under_the_ras_signature() {
    let office = Office::new();
    let other = Builder::leaf("other device").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&office.supplier);
    let recorded = office.ir(&other);
    let value = sequence(&[&recorded]);
    let item = devid::asn1::cmp::InfoTypeAndValue { info_type: oid::IT_ORIG_PKI_MESSAGE, value };
    let ir = remade(&office.ir(&office.device), &office.device, |draft| draft.header.general_info.push(item));
    let checked = office.checked(&ir);
    for with_original in [false, true] {
        let passed = office.authority.replace(&checked, Proof::Keep, with_original, now()).unwrap();
        let message = PkiMessage::from_der(passed, &Limits::default()).unwrap();
        let originals = message.header().general_info.iter().filter(|item| item.info_type == oid::IT_ORIG_PKI_MESSAGE);
        let originals: Vec<_> = originals.map(|item| item.value.clone()).collect();
        assert_eq!(originals, if with_original { vec![sequence(&[&ir])] } else { Vec::new() });
    }
}

#[test]
fn a_strangers_request_costs_a_bounded_number_of_signatures_and_iterations() {
    let counting = Counting::new();
    let office = Office::with(counting.clone());
    let ir = office.ir(&office.device);
    counting.take_signatures();
    office.checked(&ir);
    let honest = counting.take_signatures();
    assert!(honest <= 3, "message, path, proof of possession: {honest}");

    // Who does not hold the key is sent away for one signature, whatever it sends along.
    let ladder: Vec<Certificate> = {
        let keys: Vec<_> = (0..6).map(|_| key()).collect();
        // Each of six CAs certified by each: a thicket without an end.
        let one = |below: usize, above: usize| {
            let name = |n: usize| crate::certificates::common_name(&format!("X{n}"));
            Builder::ca(&format!("X{below}")).key(&keys[below]).sign(&name(above), &keys[above]).certificate
        };
        (0..6).flat_map(|below| (0..6).map(move |above| (below, above))).map(|(b, a)| one(b, a)).collect()
    };
    let forged = remade(&ir, &Party { key: key(), ..office.device.clone() }, |d| d.extra_certs.extend(ladder.clone()));
    assert_eq!(office.refusal(&forged), Code::ProtectionInvalid);
    assert_eq!(counting.take_signatures(), 1);
    // Who signs with a key of its own is sent away for a path, which has a budget.
    let stranger = Builder::leaf("X").sign(&crate::certificates::common_name("X0"), &key());
    let strange = remade(&ir, &stranger, |draft| {
        as_another(draft, &stranger);
        draft.extra_certs.extend(ladder);
    });
    assert_eq!(office.refusal(&strange), Code::ProtectionInvalid);
    let cost = counting.take_signatures();
    assert!(cost <= 1 + 2 * 16, "{cost} signatures for a stranger");

    // The reference value is no secret: who knows it makes the RA derive a key, of so many iterations and no more.
    let by_secret = |iterations| {
        let mut config = office.config(&office.device);
        let (prf, mac) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha256);
        config.protect_with_secret(b"4711", b"guessed", MacParameters::Pbmac1 { prf, mac, iterations }).unwrap();
        first(&config)
    };
    let most = devid::limits::MAX_REQUEST_MAC_ITERATIONS;
    counting.take_iterations();
    assert_eq!(office.refusal(&by_secret(most)), Code::ProtectionInvalid);
    assert_eq!(counting.take_iterations(), most);
    assert_eq!(office.refusal(&by_secret(most + 1)), Code::MacParameters);
    assert_eq!(counting.take_iterations(), 0);
}

/// The RA's signature goes under what answers the request, and under nothing else: not under what it has signed itself and somebody
/// sends back, nor under any other message of the CA.
#[test]
fn an_ra_passes_on_the_answer_to_the_request_and_nothing_else() {
    let office = Office::new();
    let responder = Builder::leaf("CMP signer").purposes(&[oid::KP_CMC_CA]).signed_by(&office.ca);
    let first = office.checked(&office.ir(&office.device));
    let sent = office.authority.replace(&first, Proof::Keep, false, now()).unwrap();
    let pass = |request: &DeviceRequest, answer: &[u8]| {
        office.authority.answer(request, answer, now()).map(drop).map_err(code_by_rule)
    };
    let batch = office.authority.batch(vec![first.clone()], now()).unwrap();
    assert_eq!(pass(&first, batch.message()), Err(Code::ProtectionInvalid), "its own batch, sent back");
    assert_eq!(office.authority.unbundle(&batch, Some(batch.message()), now()).unwrap_err().code(), Code::Nonce);
    assert_eq!(pass(&first, &sent), Err(Code::ProtectionInvalid), "its own request, sent back");
    let by = |signer: &Party, body: BodyType| {
        remade(&sent, &signer.clone(), |draft| {
            as_another(draft, signer);
            draft.extra_certs.push(office.ca.certificate.clone());
            draft.body = body;
        })
    };
    let status = PkiStatusInfo::new(PkiStatus::Rejection);
    let own = office.authority.refuse(first.as_der(), Some(&first), &status, now()).unwrap();
    assert_eq!(pass(&first, &own), Err(Code::ProtectionInvalid), "its own refusal, sent back");

    let next = |body: BodyType| {
        let der = remade(first.as_der(), &office.device, |draft| draft.body = body);
        office.authority.check(&der, Some(&first), now()).unwrap()
    };
    let (confirmed, polled) = (next(BodyType::CERTCONF), next(BodyType::POLLREQ));
    use BodyType as B;
    for (request, answers) in [
        (&first, &[B::IP, B::ERROR][..]),
        (&confirmed, &[B::PKICONF, B::ERROR]),
        (&polled, &[B::POLLREP, B::IP, B::PKICONF, B::ERROR]),
    ] {
        for body in (0..27).map(BodyType) {
            let expected = if answers.contains(&body) { Ok(()) } else { Err(Code::UnexpectedBody) };
            assert_eq!(pass(request, &by(&responder, body)), expected, "{body} to {}", request.body());
            assert_eq!(pass(request, &by(&office.ra, body)), Err(Code::ProtectionInvalid), "{body} by the RA");
        }
    }
}

/// Of all that an owner can say of signers, and of all kinds of signers: what is demanded of a signer accepts nobody whom the rest
/// refuses, and whoever is named is still asked for all the rest.
#[test]
fn a_demand_authorises_nobody() {
    const CPS: devid::asn1::oid::Oid = oid::KP_CODE_SIGNING;
    const OTHER: devid::asn1::oid::Oid = oid::KP_TIME_STAMPING;
    let office = Office::new();
    let both_uses = [KeyUsage::DigitalSignature, KeyUsage::KeyCertSign];
    let under_policy = |builder: Builder| builder.policies(&[CPS]);
    let confined_ca =
        Builder::ca("Partner").constraints(&[], &[crate::certificates::dns("other.example")]).signed_by(&office.root);
    let other_ca = under_policy(Builder::ca("Other CA")).signed_by(&office.root);
    let signers = [
        ("neighbour", under_policy(Builder::leaf("neighbour")).signed_by(&office.ca), false),
        ("RA", under_policy(Builder::leaf("signer").purposes(&[oid::KP_CMC_RA])).signed_by(&office.ca), true),
        ("RA without the policy", Builder::leaf("signer").purposes(&[oid::KP_CMC_RA]).signed_by(&office.ca), true),
        (
            "an RA of a confined CA",
            under_policy(Builder::leaf("signer").purposes(&[oid::KP_CMC_RA])).signed_by(&confined_ca),
            false,
        ),
        (
            "TLS server",
            under_policy(Builder::leaf("server").purposes(&[oid::KP_SERVER_AUTH])).signed_by(&other_ca),
            false,
        ),
        ("another CA", under_policy(Builder::ca("Sub CA").key_usage(&both_uses)).signed_by(&office.ca), false),
    ];
    let request = office.checked(&office.ir(&office.device));
    let sent = office.authority.replace(&request, Proof::Keep, false, now()).unwrap();
    for (what, signer, is_authorised) in &signers {
        let answer = remade(&sent, signer, |draft| {
            as_another(draft, signer);
            draft.extra_certs.extend([&office.ca, &confined_ca, &other_ca].map(|ca| ca.certificate.clone()));
            draft.body = BodyType::IP;
        });
        let subject = |party: &Party| devid::asn1::name::Name::from_der(party.certificate.subject()).unwrap();
        let accepts = |said: &SignerAuthorisation| {
            let mut context = (*office.context()).clone();
            context.authorisation = said.clone();
            let authority = RegistrationAuthority::new(Arc::new(context), office.devices()).unwrap();
            authority.answer(&request, &answer, now()).is_ok()
        };
        assert_eq!(accepts(&SignerAuthorisation::default()), *is_authorised, "{what}: nothing is said");
        let demands: [fn(&mut SignerAuthorisation); 3] =
            [|said| said.cmc_purpose = true, |said| said.policies = vec![CPS], |said| said.policies = vec![OTHER]];
        let names: [&dyn Fn(&mut SignerAuthorisation); 5] = [
            &|said| said.subjects.push(subject(signer)),
            &|said| said.subjects.push(subject(&office.ca)),
            &|said| said.pins.get_or_insert_default().push(signer.certificate.clone()),
            &|said| said.pins.get_or_insert_default().push(office.ca.certificate.clone()),
            &|said| said.any_under_anchors = true,
        ];
        for subset in 0..1u32 << names.len() {
            let mut said = SignerAuthorisation::default();
            let chosen = names.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
            chosen.for_each(|(_, name)| name(&mut said));
            let without = accepts(&said);
            for demanded in 1..1u32 << demands.len() {
                let mut with = said.clone();
                let chosen = demands.iter().enumerate().filter(|(index, _)| demanded >> index & 1 == 1);
                chosen.for_each(|(_, demand)| demand(&mut with));
                assert!(without || !accepts(&with), "{what}: {said:?} with {demanded:b}");
            }
            if said.pins.is_some() || !said.subjects.is_empty() {
                // Another name besides: who is to sign has both.
                for more in &names[..2] {
                    let mut both = said.clone();
                    more(&mut both);
                    assert!(without || !accepts(&both), "{what}: {said:?}, then {both:?}");
                }
            }
        }
    }
}

/// RFC 9483 section 4.2: a device revokes its own certificate. Whom an RA approves of as another's revoker has authority.
#[test]
fn a_device_has_nobody_elses_certificate_revoked() {
    let office = Office::new();
    let (own, other) = (office.ca.leaf("device"), office.ca.leaf("other device"));
    let mut of_supplier = Builder::leaf("of the supplier");
    of_supplier.serial = own.certificate.serial().to_vec();
    let of_supplier = of_supplier.signed_by(&office.supplier);
    let agent = Builder::leaf("RA of another office").purposes(&[oid::KP_CMC_RA]).signed_by(&office.ca);
    let asked = |by: &Party, about: &Party| {
        let client = office.config(by).build().unwrap();
        let mut operation = client.revoke(&about.certificate, CrlReason::Superseded).unwrap();
        operation.step(now()).unwrap();
        let rr = remade(operation.output().unwrap(), by, |draft| draft.extra_certs.push(office.ca.certificate.clone()));
        office.authority.check(&rr, None, now()).map(drop).map_err(|error| error.code())
    };
    assert_eq!(asked(&own, &own), Ok(()));
    assert_eq!(asked(&agent, &own), Ok(()));
    for about in [&other, &of_supplier, &office.ra, &office.ca] {
        assert_eq!(asked(&own, about), Err(Code::ProtectionInvalid), "{:?}", about.certificate);
    }
    // Of two that are asked for one alone is its own.
    let ids = [&own, &other].map(|party| {
        let (issuer, serial) = (party.certificate.issuer(), party.certificate.serial());
        sequence(&[&sequence(&[&element(0x81, &[serial]), &element(0xa3, &[issuer])])])
    });
    let rr = |content: Vec<u8>| {
        let ir = office.ir(&own);
        remade(&ir, &own, |draft| {
            (draft.body, draft.content) = (BodyType::RR, content);
            draft.extra_certs.push(office.ca.certificate.clone());
        })
    };
    assert!(office.authority.check(&rr(sequence(&[&ids[0]])), None, now()).is_ok());
    assert_eq!(office.refusal(&rr(sequence(&[&ids[0], &ids[1]]))), Code::ProtectionInvalid);
    for content in [sequence(&[&sequence(&[&sequence(&[])])]), sequence(&[])] {
        assert_eq!(office.refusal(&rr(content)), Code::Protocol, "about nobody");
    }
    // Whatever else is said of the certificate is said of the same one: by which part a CA goes is not known.
    let (serial, issuer) = (own.certificate.serial(), own.certificate.issuer());
    let detailed = |party: &Party| {
        let key = [&[0xa6][..], &party.key.spki()[1..]].concat();
        let subject = element(0xa5, &[party.certificate.subject()]);
        sequence(&[&sequence(&[&sequence(&[&element(0x81, &[serial]), &element(0xa3, &[issuer]), &subject, &key])])])
    };
    assert!(office.authority.check(&rr(detailed(&own)), None, now()).is_ok());
    assert_eq!(office.refusal(&rr(detailed(&other))), Code::ProtectionInvalid);
}

/// RFC 9483 section 4.1.3: oldCertID names the certificate that protects the request. A CA that goes by it replaces what it names.
#[test]
fn a_device_has_nobody_elses_certificate_replaced() {
    let mut office = Office::new();
    let (own, other) = (office.ca.leaf("device"), office.ca.leaf("other device"));
    let agent = Builder::leaf("RA of another office").purposes(&[oid::KP_CMC_RA]).signed_by(&office.ca);
    // Of a request about a new key of its own, as each device makes it: proof of possession and all.
    let kur = |by: &Party, about: &Party| {
        let mut operation = office.config(about).build().unwrap().renew(Signer::Key(key())).unwrap();
        operation.step(now()).unwrap();
        remade(operation.output().unwrap(), by, |draft| {
            as_another(draft, by);
            draft.extra_certs.push(office.ca.certificate.clone());
        })
    };
    let (for_own, for_other) = (kur(&own, &own), kur(&own, &other));
    let as_ir = remade(&for_other, &own, |draft| draft.body = BodyType::IR);
    let checked = office.checked(&for_own);
    let named = |request: &DeviceRequest| request.about().iter().map(|id| id.serial.clone()).collect::<Vec<_>>();
    assert_eq!(named(&checked), [own.certificate.serial().to_vec()]);
    for request in [&for_other, &as_ir] {
        let error = office.authority.check(request, None, now()).unwrap_err();
        assert_eq!((error.code(), devid::cmp::fail_info_of(&error)), (Code::ProtectionInvalid, 1 << 23), "{error}");
    }
    assert_eq!(named(&office.checked(&kur(&agent, &other))), [other.certificate.serial().to_vec()]);
    // Under a secret nobody has a certificate.
    let by_secret = {
        let mut config = office.config(&own);
        config.protect_with_secret(b"4711", SECRET, MacParameters::PASSWORD_BASED).unwrap();
        first(&config)
    };
    assert!(office.checked(&by_secret).about().is_empty());

    // The owner's word: then it is told whom it is about, and the owner decides.
    office.authority.set_requests_about_others(true);
    for request in [&for_other, &as_ir] {
        let checked = office.checked(request);
        assert_eq!(named(&checked), [other.certificate.serial().to_vec()]);
        assert_eq!(checked.about()[0].issuer.as_deref(), Some(other.certificate.issuer()));
    }
}

/// Nobody shares nothing: under an empty secret, whoever knows the reference value would be a device.
#[test]
fn an_ra_takes_no_secret_that_everybody_knows() {
    let mut office = Office::new();
    let mut config = office.config(&office.device);
    config.protect_with_secret(b"router-7", b"guessed", MacParameters::PASSWORD_BASED).unwrap();
    let by_guess = first(&config);
    for empty in [&b""[..], &[0], &[0; 16], &[0; 64]] {
        let error = office.authority.add_secret(b"router-7", empty).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        let error = office.authority.check(&by_guess, None, now()).unwrap_err();
        assert!(error.message().contains("no secret is known"), "{error}");
        // The one of before stays.
        assert_eq!(office.authority.add_secret(b"4711", empty).unwrap_err().code(), Code::InvalidArgument);
        config.protect_with_secret(b"4711", SECRET, MacParameters::PASSWORD_BASED).unwrap();
        office.checked(&first(&config));
    }
    assert_eq!(office.authority.add_secret(b"", SECRET).unwrap_err().code(), Code::InvalidArgument);
    office.authority.add_secret(b"router-7", b"guessed").unwrap();
    office.checked(&by_guess);
}
