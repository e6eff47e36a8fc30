//! Real processes, killed while they install.

use devid::store::*;

use crate::common::*;

const VICTIM: &str = "DEVID_TEST_STORE_VICTIM";

#[test]
#[ignore = "run by the next test, in a process of its own"]
fn victim() {
    let path = std::env::var(VICTIM).expect("set by the test that kills this process");
    let store = Store::open_directory(path, provider(), StoreOptions::default()).unwrap();
    println!("ready");
    for number in (1..=5).cycle() {
        store.put_pending_key("next", &Signer::Key(key(number))).unwrap();
        store.install("device", &issued(number).with(NewKey::Pending("next"))).unwrap();
        store.raise_number("rounds", &(1 + count(&store)).to_be_bytes()).unwrap();
    }
}

fn count(store: &Store) -> u64 {
    store.number("rounds").unwrap().unwrap_or_default().iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

#[test]
fn a_process_killed_while_it_installs_leaves_one_whole_identity_and_no_lock() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let place = Place::new();
    place.open().install("device", &issued(1).new_identity()).unwrap();
    let mut last = 0;
    for round in 0..15u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::process::victim", "--nocapture"])
            .env(VICTIM, place.memory())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        std::thread::sleep(std::time::Duration::from_millis(3 + 5 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = place.open();
        let found = store.current("device").unwrap_or_else(|e| panic!("round {round}: {e}"));
        let key = found.key.held().unwrap();
        let algorithm = key.kind().default_signature();
        let signature = key.sign(&algorithm, b"still me").unwrap();
        provider().verify(&algorithm, key.spki(), b"still me", &signature, false).unwrap();
        assert!(count(&store) >= last, "numbers never go back");
        last = count(&store);
        let mended = store.repair().unwrap();
        assert!(mended.iter().all(|p| p.is_mended), "round {round}: {mended:?}");
        assert_eq!(store.verify().unwrap(), [], "round {round}");
        // The key it was about to use is waiting, or in use already.
        store.remove_pending_key("next").unwrap();
    }
    assert!(last > 0, "it was killed while installing, not before");
}
