//! What the CA answers is kept in device memory: revocation lists that hold, a root's successor.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::{CrlSubject, add_root, keep_crl, kept_crls};
use devid::cmp::{Information, Question, RootUpdate};
use devid::store::{AnchorSet, Store};
use devid::validation::TrustAnchors;

use crate::certificates::{Builder, Party, now, provider};
use crate::mock_ca::{Device, MockCa};
use crate::status::CrlBuilder;

fn memory() -> Arc<Store> {
    Arc::new(Store::in_memory(provider().clone()))
}

fn keep(ca: &MockCa, store: &Arc<Store>, crl: &[u8], certificate: &Certificate) -> Result<(), devid::Error> {
    let anchors: TrustAnchors = [ca.root.certificate.clone()].into_iter().collect();
    let about = CrlSubject {
        certificate,
        intermediates: std::slice::from_ref(&ca.issuing.certificate),
        anchors: &anchors,
        at: now(),
    };
    keep_crl(provider(), store, crl, &about)
}

#[test]
fn a_list_that_holds_is_kept_and_an_older_one_is_no_longer_believed() {
    let (ca, store) = (MockCa::new(), memory());
    let device = Builder::leaf("device").signed_by(&ca.issuing);
    let list = |number| CrlBuilder::of(&ca.issuing).number(number).der();

    let seventh = list(7);
    keep(&ca, &store, &seventh, &device.certificate).unwrap();

    let kept = kept_crls(provider(), &store).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].der().unwrap(), seventh);
    let error = keep(&ca, &store, &list(6), &device.certificate).unwrap_err();
    assert_eq!(error.code(), Code::CrlRollback);
    assert!(error.message().contains("rollback"), "{error}");
    let eighth = list(8);
    keep(&ca, &store, &eighth, &device.certificate).unwrap();
    assert_eq!(kept_crls(provider(), &store).unwrap()[0].der().unwrap(), eighth);
}

#[test]
fn a_list_of_someone_else_or_with_a_changed_bit_is_not_kept() {
    let (ca, store) = (MockCa::new(), memory());
    let device = Builder::leaf("device").signed_by(&ca.issuing);
    let stranger = Party::root("Operator root").ca("Issuing CA");
    let mut forged = CrlBuilder::of(&ca.issuing).number(7).der();
    *forged.last_mut().unwrap() ^= 1;
    for list in [forged, CrlBuilder::of(&stranger).number(7).der(), CrlBuilder::of(&ca.root).number(7).der()] {
        assert_eq!(keep(&ca, &store, &list, &device.certificate).unwrap_err().code(), Code::RevocationUnknown);
    }
    assert!(kept_crls(provider(), &store).unwrap().is_empty());
    assert!(store.blobs().unwrap().is_empty());
}

#[test]
fn a_list_that_names_the_certificate_is_kept_and_says_so() {
    let (ca, store) = (MockCa::new(), memory());
    let device = Builder::leaf("device").signed_by(&ca.issuing);
    let list = CrlBuilder::of(&ca.issuing).number(7).revokes(&device).der();
    assert_eq!(keep(&ca, &store, &list, &device.certificate).unwrap_err().code(), Code::Revoked);
    assert_eq!(kept_crls(provider(), &store).unwrap().len(), 1);
}

pub fn update(ca: &mut MockCa) -> RootUpdate {
    let new = Party::root("Operator root");
    let link = Builder::ca("Operator root").key(&new.key).signed_by(&ca.root);
    let value = sequence(&[new.certificate.as_der(), &element(0xa0, &[link.certificate.as_der()])]);
    ca.info = vec![devid::asn1::cmp::InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value }];
    let old = ca.root.certificate.clone();
    let client = Device::config(ca).build().unwrap();
    let mut device = Device::doing(client.ask(Question::RootUpdate { old }).unwrap());
    device.complete(ca).unwrap();
    match device.operation.information() {
        Some(Information::RootUpdate(Some(update))) => update.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_root_stands_beside_the_old_one_only_where_that_one_is_trusted() {
    let mut ca = MockCa::new();
    let (store, update) = (memory(), update(&mut ca));
    let stranger = Party::root("Stranger").certificate;
    store.set_anchors(AnchorSet::Peer, std::slice::from_ref(&stranger)).unwrap();
    for set in [AnchorSet::Enrolment, AnchorSet::Peer] {
        assert_eq!(add_root(&store, set, &update).unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(store.anchors(AnchorSet::Peer).unwrap(), [stranger]);

    store.set_anchors(AnchorSet::Enrolment, std::slice::from_ref(&ca.root.certificate)).unwrap();
    assert!(add_root(&store, AnchorSet::Enrolment, &update).unwrap());
    assert!(!add_root(&store, AnchorSet::Enrolment, &update).unwrap(), "it is there already");
    let anchors = store.anchors(AnchorSet::Enrolment).unwrap();
    assert_eq!(anchors, [ca.root.certificate.clone(), update.new_root().clone()]);
}

#[test]
fn a_success_with_a_warning_tells_it_also_after_a_reboot() {
    use devid::asn1::cmp::{PkiStatus, PkiStatusInfo};
    use devid::cmp::ActionKind;
    let mut ca = MockCa::new();
    ca.status =
        PkiStatusInfo { texts: vec!["only until Friday".to_owned()], ..PkiStatusInfo::new(PkiStatus::GrantedWithMods) };
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    let warnings = device.operation.issued().unwrap().warnings();
    assert!(warnings[0].starts_with("grantedWithMods") && warnings[1] == "only until Friday", "{warnings:?}");
    let saved = device.operation.save().unwrap();
    let key = device.operation.request().new_key().unwrap().clone();
    let restored = devid::cmp::Operation::restore(device.operation.context().clone(), key, &saved).unwrap();
    assert_eq!(restored.issued().unwrap().warnings(), warnings);
}
