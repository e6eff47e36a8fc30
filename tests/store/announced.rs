//! Keys that were announced before they were made, while records of device memory are damaged or missing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use devid::client::{Config, Destination, Planner, Renewal, Unattended};
use devid::crypto::pkcs11::TokenKey;
use devid::crypto::{KeyKind, PrivateKey};
use devid::store::*;

use crate::common::*;
use crate::kinds::Keys;
use crate::softhsm::{PIN, module, pin};

fn make(store: &Store, name: &str) -> Arc<dyn PrivateKey> {
    store.make_key(name, "pkcs11:token=device;object=records", KeyKind::P256).unwrap().unwrap()
}

fn is_there(key: &Arc<dyn PrivateKey>) -> bool {
    TokenKey::open(module(), key.reference().unwrap(), pin(PIN)).is_ok()
}

fn is_announced(store: &Store, key: &Arc<dyn PrivateKey>) -> bool {
    let blob = store.blob("announced-keys").map(|blob| String::from_utf8(blob.to_vec()).unwrap()).unwrap_or_default();
    blob.lines().any(|line| line.ends_with(key.reference().unwrap()))
}

/// What a renewal does before anything else; the CA is not asked, as nobody is named who could ask it.
fn look(store: &Store) {
    let (planner, config) = (Planner::new(), Config::new());
    let to = Destination { store, name: "router", purpose: "ldevid" };
    let renewal = Renewal { planner: &planner, config: &config, to, factory: None, subject: None, new_key: None };
    let mut nobody = devid::transport::ExchangeFn(|_: &[u8], _: &devid::transport::ExchangeLimits| unreachable!());
    let _ = renewal.run_due(Some(devid::Time::from_unix(4_000_000_000)), &mut nobody, &mut Unattended);
}

fn flip(file: &Path) -> Vec<u8> {
    let whole = std::fs::read(file).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 4;
    write(file, &bytes);
    whole
}

fn write(file: &Path, bytes: &[u8]) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(file, bytes).unwrap();
}

fn references(place: &Place) -> Vec<PathBuf> {
    files_below(&place.memory()).into_iter().filter(|path| path.ends_with("key.ref")).collect()
}

/// Whosever record it is: a key is made and announced all the same, and meanwhile none is destroyed that it may name. One that was made since
/// is named by no record that was damaged before.
#[test]
fn a_record_that_cannot_be_read_stops_no_new_key_and_the_destruction_of_every_older_one() {
    let _turn = crate::softhsm::turn();
    if module().is_none() {
        return;
    }
    let place = Place::new();
    let store = Keys::Token.open(&place);
    let mut named = Vec::new();
    for name in ["router", "router", "another"] {
        named.push(make(&store, name));
        store.install(name, &issued_for(named.last().unwrap().clone(), named.len()).new_identity()).unwrap();
    }
    named.push(make(&store, "router"));
    store.put_pending_key("router", &Signer::from(named.last().unwrap())).unwrap();
    let records = references(&place);
    assert_eq!(records.len(), 4, "current, previous, pending, another identity's");
    let forgotten: Vec<KeyReference> = store.key_references().unwrap();
    for record in &records {
        let older = make(&store, "router");
        let whole = flip(record);
        assert!(store.key_references().is_err());
        for _ in 0..3 {
            let made = make(&store, "router");
            assert!(is_announced(&store, &made) && is_announced(&store, &older), "{}", record.display());
            look(&store);
            assert!(store.destroy_forgotten_keys(&forgotten).is_err(), "{}", record.display());
            assert!(!is_there(&made) && !is_announced(&store, &made), "{}: it leaves nothing", record.display());
            assert!(is_there(&older) && named.iter().all(is_there), "{}", record.display());
        }
        // What is damaged otherwise by now may name what was made meanwhile; so may what another process has made.
        let made = make(&store, "router");
        let second = flip(record);
        std::fs::write(record, &second[..second.len() - 9]).unwrap();
        look(&store);
        assert!(is_there(&made) && is_there(&older), "{}", record.display());

        // The dark twin: once it is read again, what nobody names goes, and nothing else.
        write(record, &whole);
        look(&store);
        assert!(
            [&made, &older].into_iter().all(|key| !is_there(key) && !is_announced(&store, key)),
            "{}",
            record.display()
        );
        assert_eq!(store.destroy_forgotten_keys(&[]).unwrap(), 0);
        assert!(named.iter().all(is_there), "{}", record.display());
        assert!(store.blob("forgotten-keys").is_err());
    }
}

/// A key whose certificate is in use is not announced any more, and a pointer that stands protects what its generation has lost.
#[test]
fn no_key_is_destroyed_while_a_generation_that_a_pointer_names_has_lost_its_own() {
    let _turn = crate::softhsm::turn();
    if module().is_none() {
        return;
    }
    let place = Place::new();
    let store = Keys::Token.open(&place);
    let before = make(&store, "router");
    store.install("router", &issued_for(before.clone(), 1).new_identity()).unwrap();
    let used = make(&store, "router");
    assert!(!is_announced(&store, &before) && is_announced(&store, &used));
    store.stage("router", &issued_for(used.clone(), 2).new_identity()).unwrap();
    assert!(is_announced(&store, &used), "the CA may still turn it down");
    store.promote("router").unwrap();
    assert!(!is_announced(&store, &used));
    let lost = make(&store, "router");
    let beside = place.0.join("beside");
    for generation in ["gen-000001", "gen-000002"] {
        let folder = place.memory().join("identity/router").join(generation);
        for gone in [folder.join("key.ref"), folder] {
            std::fs::rename(&gone, &beside).unwrap();
            look(&store);
            assert!(is_there(&before) && is_there(&used) && is_there(&lost), "{}", gone.display());
            std::fs::rename(&beside, &gone).unwrap();
        }
    }
    look(&store);
    assert!(!is_there(&lost), "nobody names it");
    assert!(is_there(&before) && is_there(&used));
}
