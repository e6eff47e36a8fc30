//! A registration authority: requests of devices and nested messages of other RAs, changed and then signed again. Whoever is
//! taken for the sender has signed, and nothing is signed about what was not believed.
#![no_main]
mod made;

use std::cell::OnceCell;
use std::sync::Arc;

use certificates::{Builder, Party, key, now};
use devid::asn1::cmp::body::encode_body;
use devid::asn1::cmp::{BodyType, PkiMessage, PkiStatus, PkiStatusInfo, message};
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::client::{Config, Subject};
use devid::cmp::{Device, Proof, RegistrationAuthority, Signer, SignerAuthorisation};
use devid::limits::Limits;
use devid::validation::TrustAnchors;
use devid_test_support::certificates;
use libfuzzer_sys::fuzz_target;
use made::Choices;

struct Office {
    authority: RegistrationAuthority,
    ra: Party,
    device: Party,
    request: Vec<u8>,
    nested: Vec<u8>,
}

impl Office {
    fn new() -> Self {
        let (root, supplier) = (Party::root("Operator"), Party::root("Supplier"));
        let ra = Builder::leaf("RA").purposes(&[oid::KP_CMC_RA]).signed_by(&root);
        let device = supplier.leaf("device");
        let with = |party: &Party| {
            let mut config = Config::new();
            config.protect_with_certificate(Signer::Key(party.key.clone()), party.certificate.clone(), Vec::new());
            config.cmp_anchors.add(root.certificate.clone());
            config.enrolment_anchors.add(root.certificate.clone());
            config.authorisation = SignerAuthorisation::by_purpose();
            config.build().expect("the settings are whole")
        };
        let devices: TrustAnchors = [&root, &supplier].map(|p| p.certificate.clone()).into_iter().collect();
        let authority = RegistrationAuthority::new(Arc::clone(with(&ra).context()), devices).expect("an RA");
        let subject = Subject::new().name("CN=device").expect("a name");
        let mut operation = with(&device).enroll(Signer::Key(key()), &subject).expect("an operation");
        operation.step(now()).expect("the request");
        let request = operation.output().expect("it").to_vec();
        let checked = authority.check(&request, None, now()).expect("a good request");
        let nested = authority.nest(&checked, now()).expect("nested");
        Office { authority, ra, device, request, nested }
    }
}

thread_local! {
    static OFFICE: OnceCell<Office> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    OFFICE.with(|office| run(office.get_or_init(Office::new), &mut Choices::of(input)));
});

fn run(office: &Office, choices: &mut Choices<'_>) {
    let is_nested = choices.maybe();
    let (original, by) = if is_nested { (&office.nested, &office.ra) } else { (&office.request, &office.device) };
    let changed = remade(original, by, choices);
    let status = PkiStatusInfo::new(PkiStatus::Rejection);
    if is_nested {
        if let Ok(opened) = office.authority.open(&changed, now()) {
            assert_eq!(opened.signer, by.certificate);
            let answers: Vec<&[u8]> = opened.messages.iter().map(Vec::as_slice).collect();
            let _ = office.authority.answer_batch(&opened, &answers, now());
        }
        return;
    }
    match office.authority.check(&changed, None, now()) {
        Ok(request) => {
            assert_eq!(*request.device(), Device::Certificate(by.certificate.clone()));
            let _ = request.subject();
            for proof in [Proof::Keep, Proof::RaVerified] {
                assert_eq!(office.authority.replace(&request, proof, true, now()).is_ok(), !request.keeps_protection());
            }
            office.authority.nest(&request, now()).expect("what was checked can be nested");
        }
        Err(_) => {
            let told = office.authority.refuse(&changed, None, &status, now()).expect("a refusal");
            let told = PkiMessage::from_der(told, &Limits::default()).expect("it can be read");
            assert!(told.protection().is_none(), "signed about what was not believed");
        }
    }
}

fn remade(original: &[u8], by: &Party, choices: &mut Choices<'_>) -> Vec<u8> {
    let message = PkiMessage::from_der(original.to_vec(), &Limits::default()).expect("our own");
    let mut header = message.header().clone();
    let (mut body, mut content) = (message.body_type(), message.body_content().to_vec());
    choices.mutate(&mut content);
    match choices.below(12) {
        0 => body = BodyType(choices.byte() % 27),
        1 => choices.mutate(header.transaction_id.get_or_insert_default()),
        2 => choices.mutate(header.sender_nonce.get_or_insert_default()),
        3 => choices.mutate(header.sender_kid.get_or_insert_default()),
        4 => header.pvno = i64::from(choices.byte()),
        5 => header.message_time = Some(now().plus(i64::from(choices.byte()) * 3600)),
        6 => header.sender = Some(vec![0x30, 0]),
        _ => {}
    }
    let algorithm = by.key.kind().default_signature();
    let (header, body) = (header.to_der(), encode_body(body, &content));
    let protection = by.key.sign(&algorithm, &sequence(&[&header, &body])).expect("a signature");
    message::assemble(&header, &body, Some(&protection), message.extra_certs().iter())
}
