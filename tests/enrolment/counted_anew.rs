//! A CA that counts its lists anew: its owner says so, and nobody else's lists are let back by it.

use std::sync::Arc;

use devid::client::status::{StatusMemory, forget_crl_numbers};
use devid::client::{CrlSubject, keep_crl, kept_crls};
use devid::store::Store;
use devid::validation::{Checks, Report, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors, validate};
use devid::{Code, Error};

use crate::certificates::{Builder, Party, now, provider};
use crate::mock_ca::MockCa;
use crate::status::CrlBuilder;

const HOUR: i64 = 3600;

/// A device memory that has seen list 1000 of a CA, which revokes one, and list 50 of the root.
struct Scene {
    ca: MockCa,
    store: Arc<Store>,
    /// Open since before.
    memory: StatusMemory,
    device: Party,
    revoked: Party,
}

impl Scene {
    fn new() -> Self {
        let ca = MockCa::new();
        let store = Arc::new(Store::in_memory(provider().clone()));
        let memory = StatusMemory::new(provider().clone(), Some(store.clone()));
        let device = Builder::leaf("device").signed_by(&ca.issuing);
        let revoked = Builder::leaf("revoked").signed_by(&ca.issuing);
        let scene = Scene { ca, store, memory, device, revoked };
        scene.keep(&scene.list(1000, 10).der(), &scene.device).unwrap();
        assert_eq!(scene.keep(&scene.list(1000, 10).der(), &scene.revoked).unwrap_err().code(), Code::Revoked);
        scene.keep(&scene.root_list(50, 10).der(), &scene.ca.issuing).unwrap();
        assert!(scene.judge(&scene.device, &scene.list(1000, 10)).is_valid());
        scene
    }

    /// A list of so many hours ago.
    fn list(&self, number: u64, hours: i64) -> CrlBuilder {
        let times = (now().plus(-hours * HOUR), Some(now().plus(24 * HOUR)));
        let list = CrlBuilder::of(&self.ca.issuing).number(number).times(times.0, times.1);
        if number == 1000 { list.revokes(&self.revoked) } else { list }
    }

    fn root_list(&self, number: u64, hours: i64) -> CrlBuilder {
        CrlBuilder::of(&self.ca.root).number(number).times(now().plus(-hours * HOUR), Some(now().plus(24 * HOUR)))
    }

    fn anchors(&self) -> TrustAnchors {
        [self.ca.root.certificate.clone()].into_iter().collect()
    }

    fn keep(&self, crl: &[u8], about: &Party) -> Result<(), Error> {
        let pool = std::slice::from_ref(&self.ca.issuing.certificate);
        let about =
            CrlSubject { certificate: &about.certificate, intermediates: pool, anchors: &self.anchors(), at: now() };
        keep_crl(provider(), &self.store, crl, &about)
    }

    /// By the numbers and the record of the memory that is open, with this list alone at hand.
    fn judge(&self, who: &Party, list: &CrlBuilder) -> Report {
        let mut status = StatusSources { crls: vec![list.clone().build()], ..StatusSources::none() };
        let pool = std::slice::from_ref(&self.ca.issuing.certificate);
        self.memory.join(&mut status);
        let mut checks = Checks::at(now());
        checks.revocation = RevocationPolicy { scope: RevocationScope::LeafOnly, ..RevocationPolicy::hard_fail() };
        validate(&**provider(), &self.anchors(), &who.certificate, pool, &status, &checks)
    }

    fn refusal(&self, crl: &CrlBuilder, about: &Party) -> String {
        let error = self.keep(&crl.clone().der(), about).unwrap_err();
        assert_eq!(error.code(), Code::CrlRollback, "{error}");
        error.message().to_owned()
    }
}

#[test]
fn a_ca_that_counts_anew_is_heard_again_once_the_owner_has_said_so() {
    for is_of_all in [false, true] {
        let scene = Scene::new();
        let anew = scene.list(7, 1);
        assert!(scene.refusal(&anew, &scene.device).contains("forget_crl_numbers"), "newer than all that were seen");
        assert!(!scene.refusal(&scene.list(999, 20), &scene.device).contains("forget_crl_numbers"), "played back");
        assert!(!scene.judge(&scene.device, &anew).is_valid());

        let of = Some(&scene.ca.issuing.certificate).filter(|_| !is_of_all);
        assert_eq!(forget_crl_numbers(&scene.store, of).unwrap(), if is_of_all { 2 } else { 1 });

        // For who has it open, too.
        assert!(scene.judge(&scene.device, &anew).is_valid(), "{:?}", scene.judge(&scene.device, &anew).findings());
        scene.keep(&anew.clone().der(), &scene.device).unwrap();
        scene.refusal(&scene.list(6, 20), &scene.device);
        assert_eq!(scene.judge(&scene.revoked, &anew).error().unwrap().code(), Code::Revoked, "it stays revoked");
        // The others' numbers are none of its affair.
        let of_root = scene.keep(&scene.root_list(49, 20).der(), &scene.ca.issuing);
        assert_eq!(of_root.is_ok(), is_of_all, "{of_root:?}");
        let kept = kept_crls(provider(), &scene.store).unwrap();
        assert_eq!(kept.len(), 2, "the new one and the root's");
    }
}

#[test]
fn what_an_anchor_issues_itself_is_forgotten_by_its_own_certificate() {
    let scene = Scene::new();
    assert_eq!(forget_crl_numbers(&scene.store, Some(&scene.ca.root.certificate)).unwrap(), 1);
    scene.keep(&scene.root_list(49, 20).der(), &scene.ca.issuing).unwrap();
    scene.refusal(&scene.list(999, 20), &scene.device);
    let stranger = Party::root("Stranger");
    assert_eq!(forget_crl_numbers(&scene.store, Some(&stranger.certificate)).unwrap(), 0);
    scene.refusal(&scene.root_list(48, 30), &scene.ca.issuing);
}
