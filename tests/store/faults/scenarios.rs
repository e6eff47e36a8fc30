//! Changes to device memory that may be interrupted, and what one can see of device memory.

use devid::asn1::name::Name;
use devid::asn1::pkcs10::{CertificationRequest, certification_request_info};
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;

type Step = fn(&Store) -> Result<(), StoreError>;

/// A change of one or more calls. What may be seen afterwards is what is seen between the calls when nothing goes wrong.
pub struct Scenario {
    pub name: &'static str,
    /// `None`: there is nothing yet, not even a directory.
    pub prepare: Option<fn(&Store)>,
    /// Damages records after the preparation, through a home of primitives or a directory alike.
    pub damage: &'static [Damage],
    pub steps: &'static [Step],
    /// Holds at any time, whatever happened.
    pub always: fn(&Store) -> Result<(), String>,
}

/// A record and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// Half of it is left.
    Truncate(&'static str),
    /// It is gone.
    Remove(&'static str),
    /// Others may read it, where there are others.
    Open(&'static str),
}

/// What can be seen of device memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Must be as it was between two steps.
    pub strict: String,
    /// Keys and requests that wait: may outlive the step that removes them, if it is interrupted.
    pub waiting: Vec<String>,
}

pub fn see(store: &Store) -> Sight {
    let mut strict = String::new();
    let which = |outcome: Result<Identity, StoreError>| match outcome {
        Ok(found) => (1..=7).find(|n| issued(*n).is(&found)).map_or("unknown".to_owned(), |n| n.to_string()),
        Err(error) if error.kind == Kind::NotFound => "-".to_owned(),
        Err(error) => format!("{:?}", error.kind),
    };
    for name in store.identities().unwrap_or_else(|e| vec![format!("{:?}", e.kind)]) {
        let (current, previous) = (which(store.current(&name)), which(store.previous(&name)));
        strict.push_str(&format!("{name}: {current} before {previous} pending {}\n", which(store.pending(&name))));
    }
    let text = |bytes: Result<zeroize::Zeroizing<Vec<u8>>, StoreError>| match bytes {
        Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned(),
        Err(error) => format!("{:?}", error.kind),
    };
    for name in store.blobs().unwrap() {
        strict.push_str(&format!("blob {name}: {}\n", text(store.blob(&name))));
    }
    for name in store.operations().unwrap() {
        strict.push_str(&format!("operation {name}: {}\n", text(store.load_operation(&name))));
    }
    for set in AnchorSet::ALL {
        strict.push_str(&format!("{set:?}: {:?}\n", store.anchors(set).map(|a| a.len()).map_err(|e| e.kind)));
    }
    strict.push_str(&format!("number: {:?}\n", store.number("crl").map_err(|e| e.kind)));
    strict.push_str(&format!("time: {:?}\n", store.last_known_time().map_err(|e| e.kind)));
    let mut waiting = Vec::new();
    for label in store.pending_keys().unwrap() {
        waiting.push(format!(
            "key {label}: {}",
            store.pending_key(&label).map_or_else(|e| format!("{:?}", e.kind), |_| "good".to_owned())
        ));
        match store.pending_request(&label) {
            Ok(None) => {}
            Ok(Some(request)) => waiting.push(format!("request {label}: {}", request.as_der().len())),
            Err(error) => waiting.push(format!("request {label}: {:?}", error.kind)),
        }
    }
    Sight { strict, waiting }
}

fn anything(_: &Store) -> Result<(), String> {
    Ok(())
}

fn one(store: &Store) {
    store.install("device", &issued(1).new_identity()).unwrap();
}

fn two(store: &Store) {
    one(store);
    store.install("device", &issued(2).new_identity()).unwrap();
}

fn two_and_a_pending_key(store: &Store) {
    two(store);
    store.put_pending_key("next", &Signer::Key(key(3))).unwrap();
}

fn staged(store: &Store) {
    two_and_a_pending_key(store);
    store.stage("device", &issued(3).with(NewKey::Pending("next"))).unwrap();
}

fn status(store: &Store) {
    one(store);
    store.put_blob("status-crl", b"old crl").unwrap();
    store.raise_number("crl", &[5]).unwrap();
    store.save_operation("enrol", b"old state").unwrap();
    store.set_anchors(AnchorSet::Cmp, &ca_chain()[..1]).unwrap();
    store.set_anchors(AnchorSet::Peer, &ca_chain()).unwrap();
    store.note_time(NOW).unwrap();
}

pub fn request() -> CertificationRequest {
    static MADE: std::sync::LazyLock<CertificationRequest> = std::sync::LazyLock::new(|| {
        let new_key = key(3);
        let info = certification_request_info(&Name::common_name("router-7"), new_key.spki(), &[], None);
        let algorithm = new_key.kind().default_signature();
        let signature = new_key.sign(&algorithm, &info).unwrap();
        CertificationRequest::assemble(&info, &algorithm.to_der(), &signature).unwrap()
    });
    MADE.clone()
}

fn reference() -> KeyReference {
    KeyReference::new("pkcs11:object=device", key(3).spki().to_vec()).unwrap()
}

/// Repairs all, or says what could not be.
fn mend(store: &Store) -> Result<(), StoreError> {
    match store.repair()?.into_iter().find(|p| !p.is_mended && p.kind != ProblemKind::Unresolved) {
        Some(left) => Err(StoreError::new(Kind::VerifyAfterWrite, left.place, left.text)),
        None => Ok(()),
    }
}

/// The key of the certificate that is on its way, 3, waits or is in use.
fn new_key_is_somewhere(store: &Store) -> Result<(), String> {
    let waits = store.pending_keys().unwrap().contains(&"next".to_owned());
    match waits || store.current("device").is_ok_and(|found| issued(3).is(&found)) {
        true => Ok(()),
        false => Err("the new key is neither waiting nor in use".to_owned()),
    }
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first installation",
        prepare: None,
        damage: &[],
        steps: &[|s| s.install("device", &issued(1).new_identity()).map(drop)],
        always: anything,
    },
    Scenario {
        name: "installation of a second identity",
        prepare: Some(one),
        damage: &[],
        steps: &[|s| s.install("tls", &issued(2).new_identity()).map(drop)],
        always: anything,
    },
    Scenario {
        name: "key update, retention, wiping",
        prepare: Some(two_and_a_pending_key),
        damage: &[],
        steps: &[|s| s.install("device", &issued(3).with(NewKey::Pending("next"))).map(drop)],
        always: new_key_is_somewhere,
    },
    Scenario {
        name: "new certificate, same key",
        prepare: Some(|s| {
            two(s);
            s.put_pending_key("next", &Signer::Deferred(reference())).unwrap();
            s.install("device", &issued(3).with(NewKey::Pending("next"))).unwrap();
        }),
        damage: &[],
        steps: &[|s| s.install("device", &issued(3).with(NewKey::Current)).map(drop)],
        always: anything,
    },
    Scenario {
        name: "staging",
        prepare: Some(two_and_a_pending_key),
        damage: &[],
        steps: &[|s| s.stage("device", &issued(3).with(NewKey::Pending("next"))).map(drop)],
        always: new_key_is_somewhere,
    },
    Scenario {
        name: "confirmation",
        prepare: Some(staged),
        damage: &[],
        steps: &[|s| s.promote("device").map(drop)],
        always: new_key_is_somewhere,
    },
    Scenario {
        name: "abandoning a staged one",
        prepare: Some(staged),
        damage: &[],
        steps: &[|s| s.discard("device"), |s| s.remove_pending_key("next")],
        always: anything,
    },
    Scenario {
        name: "abandoning the first one",
        prepare: Some(|s| drop(s.stage("device", &issued(1).new_identity()).unwrap())),
        damage: &[],
        steps: &[|s| s.discard("device")],
        always: anything,
    },
    Scenario {
        name: "rollback",
        prepare: Some(two),
        damage: &[],
        steps: &[|s| s.rollback("device").map(drop)],
        always: anything,
    },
    Scenario {
        name: "removal",
        prepare: Some(two),
        damage: &[],
        steps: &[|s| s.remove_identity("device")],
        always: anything,
    },
    Scenario {
        name: "a new pending key and its request",
        prepare: Some(two),
        damage: &[],
        steps: &[|s| s.put_pending_key("next", &Signer::Key(key(3))), |s| s.put_pending_request("next", &request())],
        always: anything,
    },
    Scenario {
        name: "a pending key given up",
        prepare: Some(|s| {
            two_and_a_pending_key(s);
            s.put_pending_request("next", &request()).unwrap();
        }),
        damage: &[],
        steps: &[|s| s.remove_pending_key("next")],
        always: anything,
    },
    Scenario {
        name: "a CRL and its number",
        prepare: Some(status),
        damage: &[],
        steps: &[|s| s.put_blob("status-crl", b"new crl"), |s| s.raise_number("crl", &[6]).map(drop)],
        always: anything,
    },
    Scenario {
        name: "cached status removed",
        prepare: Some(status),
        damage: &[],
        steps: &[|s| s.put_blob("status-ocsp", b"a response"), |s| s.remove_blob("status-crl")],
        always: anything,
    },
    Scenario {
        name: "an operation saved and removed",
        prepare: Some(status),
        damage: &[],
        steps: &[|s| s.save_operation("enrol", b"new state"), |s| s.remove_operation("enrol")],
        always: anything,
    },
    Scenario {
        name: "trust anchors",
        prepare: Some(status),
        damage: &[],
        steps: &[|s| s.set_anchors(AnchorSet::Cmp, &ca_chain()), |s| s.set_anchors(AnchorSet::Peer, &[])],
        always: anything,
    },
    Scenario {
        name: "the last known time",
        prepare: Some(status),
        damage: &[],
        steps: &[|s| s.note_time(NOW.plus(60)).map(drop)],
        always: anything,
    },
    Scenario {
        name: "repair of a damaged generation",
        prepare: Some(two),
        damage: &[Damage::Truncate("identity/device/gen-000002/certificate.pem")],
        steps: &[mend],
        always: anything,
    },
    Scenario {
        name: "repair of lost pointers",
        prepare: Some(staged),
        damage: &[Damage::Remove("identity/device/current"), Damage::Truncate("identity/device/current.copy")],
        steps: &[mend],
        always: anything,
    },
    Scenario {
        name: "repair of access rights",
        prepare: Some(two),
        damage: &[Damage::Open("identity/device/gen-000002/key.pem"), Damage::Open("identity/device/current")],
        steps: &[mend],
        always: anything,
    },
    Scenario {
        name: "repair of a saved operation",
        prepare: Some(status),
        damage: &[Damage::Truncate("operation/enrol")],
        steps: &[mend],
        always: anything,
    },
    Scenario {
        name: "repair of cached status",
        prepare: Some(status),
        damage: &[Damage::Truncate("blob/status-crl")],
        steps: &[mend],
        always: anything,
    },
    Scenario {
        name: "repair of the last known time",
        prepare: Some(status),
        damage: &[Damage::Truncate("clock/time"), Damage::Remove("clock/time.copy")],
        steps: &[mend],
        always: anything,
    },
];
