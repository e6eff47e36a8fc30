//! Records of device memory with any content: raw, or whole by their digest and of any content inside. No panic; what guards
//! against rollback and forgetting is not taken for empty; reading and mending end.
//! The input is a list of records: a byte that names one, two of length, the content.
#![no_main]
use std::sync::{Arc, OnceLock};

use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::client::status::{StatusMemory, kept_crls};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::{KeyKind, Provider, default_provider};
use devid::store::{AnchorSet, Backend, MemoryBackend, Store, StoreOptions};
use devid::validation::StatusSources;
use libfuzzer_sys::fuzz_target;

/// Raw, as a medium may spoil them.
const KEYS: [&str; 14] = [
    "identity/router/current",
    "identity/router/previous",
    "identity/router/1/key.pem",
    "identity/router/1/chain.pem",
    "identity/router/1/meta",
    "identity/router/2/key.pem",
    "identity/router/2/chain.pem",
    "pending/router/key.pem",
    "pending/router/request.pem",
    "anchors/cmp.pem",
    "blob/revoked",
    "number/crl-0",
    "operation/router",
    "generation/last",
];
/// Whole, with this content.
const BLOBS: [&str; 3] = ["revoked", "status-0", "renewal-router"];

fn provider() -> &'static Arc<dyn Provider> {
    static PROVIDER: OnceLock<Arc<dyn Provider>> = OnceLock::new();
    PROVIDER.get_or_init(default_provider)
}

fuzz_target!(|input: &[u8]| {
    let mut backend = MemoryBackend::new();
    let mut whole = Vec::new();
    let mut rest = input;
    while let [which, high, low, behind @ ..] = rest {
        let (content, others) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(behind.len()));
        rest = others;
        let which = usize::from(*which) % (KEYS.len() + BLOBS.len() + 2);
        match KEYS.get(which) {
            Some(key) => drop(backend.write(key, content)),
            None => whole.push((which - KEYS.len(), content)),
        }
    }
    let store = Arc::new(Store::new(Box::new(backend), provider().clone(), StoreOptions::default()));
    for (which, content) in whole {
        let _ = match BLOBS.get(which) {
            Some(name) => store.put_blob(name, content),
            None if which == BLOBS.len() => store.save_operation("router", content),
            None => store.raise_number("crl-0", content).map(drop),
        };
    }
    let _ = store.verify();
    let _ = (store.current("router"), store.previous("router"), store.last_good("router"), store.state("router"));
    let _ = (store.pending_key("router"), store.pending_request("router"), store.anchors(AnchorSet::Cmp));
    let _ = (store.identities(), store.operations(), store.number("crl-0"), store.last_known_time());
    let _ = kept_crls(provider(), &store);
    if let Ok(saved) = store.load_operation("router") {
        let mut config = Config::new();
        config.protect_with_secret(b"4711", b"secret", MacParameters::PASSWORD_BASED).unwrap();
        let client = config.build().expect("the settings are whole");
        let key = provider().generate_key(KeyKind::Ed25519).expect("a key");
        let _ = client.restore(Signer::Key(key), &saved);
    }
    let memory = StatusMemory::new(provider().clone(), Some(store.clone()));
    let mut status = StatusSources::none();
    memory.recall(std::iter::empty::<&Certificate>(), &mut status);
    let facts = memory.revoked_facts();
    let (before, found) = (store.blob("revoked").is_ok(), facts.find(&[[7; 32]], &[7; 8]));
    let _ = store.repair();
    assert!(!before || store.blob("revoked").is_ok(), "a guard is not mended away");
    assert!(
        found.is_ok() || StatusMemory::new(provider().clone(), Some(store)).revoked_facts().find(&[[7; 32]], &[7; 8]).is_err()
    );
});
