//! Objects of a token that share a name or lack one (PKCS#11 2.40 4.7): nothing is taken, or deleted, by its name alone.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use devid::crypto::PrivateKey;
use devid::crypto::pkcs11::{TokenError, TokenKey, TokenUri};
use devid::{Code, Error};

use crate::softhsm::{PIN, module, pin};

/// A session beside the library's own.
fn session(module: &str) -> Session {
    let context = Pkcs11::new(module).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = context.get_slots_with_token().unwrap();
    let is_device = |slot: &_| context.get_token_info(*slot).is_ok_and(|info| info.label() == "device");
    let session = context.open_rw_session(slots.into_iter().find(is_device).unwrap()).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::new(PIN.into())));
    session
}

/// A P-256 pair with just these names.
fn make(session: &Session, label: &str, id: &[u8], asks_always: bool) {
    let mut named = vec![Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
    if !id.is_empty() {
        named.push(Attribute::Id(id.to_vec()));
    }
    let curve = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let public = [named.clone(), vec![Attribute::EcParams(curve), Attribute::Verify(true), Attribute::Private(false)]];
    let mut private = [named, vec![Attribute::Sign(true), Attribute::Private(true)]].concat();
    if asks_always {
        private.push(Attribute::AlwaysAuthenticate(true));
    }
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public.concat(), &private).unwrap();
}

fn uri(label: &str) -> String {
    format!("pkcs11:token=device;object={label}")
}

fn signs(label: &str) {
    let key = TokenKey::open(module(), &uri(label), pin(PIN)).unwrap_or_else(|error| panic!("{label}: {error}"));
    key.sign(&key.kind().default_signature(), b"m").unwrap_or_else(|error| panic!("{label}: {error}"));
}

fn public_objects(session: &Session, label: &str) -> usize {
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Label(label.as_bytes().to_vec())];
    session.find_objects(&template).unwrap().len()
}

#[test]
fn keys_that_share_an_id_or_have_none_each_find_their_own_public_half() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    for (label, id) in [("noid-a", &[][..]), ("noid-b", &[]), ("shared-a", &[0x77]), ("shared-b", &[0x77])] {
        make(&beside, label, id, false);
    }
    ["noid-a", "noid-b", "shared-a", "shared-b"].into_iter().for_each(signs);

    // The twin's label is another: a signature tells which of two is the key's own.
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Label(b"shared-a".to_vec())];
    let twin = beside.find_objects(&template).unwrap()[0];
    beside.update_attributes(twin, &[Attribute::Label(b"renamed".to_vec())]).unwrap();
    signs("shared-a");
    // The dark side: it is gone, and the neighbour's is not taken for it.
    beside.destroy_object(twin).unwrap();
    let missing = Error::from(TokenKey::open(Some(module), &uri("shared-a"), pin(PIN)).unwrap_err());
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    signs("shared-b");
}

#[test]
fn destroying_a_key_leaves_its_neighbours_whole() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    for (label, id) in [("gone-a", &[][..]), ("gone-b", &[]), ("going-a", &[0x78]), ("going-b", &[0x78])] {
        make(&beside, label, id, false);
    }
    for (gone, stays) in [("gone-a", "gone-b"), ("going-a", "going-b")] {
        TokenKey::destroy(Some(module), &uri(gone), pin(PIN)).unwrap();
        assert_eq!(public_objects(&beside, gone), 0, "the twin goes with it");
        signs(stays);
        assert!(matches!(TokenKey::open(Some(module), &uri(gone), pin(PIN)), Err(TokenError::NotFound(_))));
    }
}

#[test]
fn a_second_key_with_the_same_label_is_no_trouble_to_a_reference() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    make(&beside, "twice", &[0x01, 0x79], false);
    let first = TokenKey::open(Some(module), &uri("twice"), pin(PIN)).unwrap();
    make(&beside, "twice", &[0x02, 0x79], false);
    let again = TokenKey::open(Some(module), first.reference().unwrap(), pin(PIN)).unwrap();
    assert_eq!(again.spki(), first.spki());
    // By the label alone it stays unclear, and is said to be.
    assert!(matches!(TokenKey::open(Some(module), &uri("twice"), pin(PIN)), Err(TokenError::Ambiguous(_))));
}

/// Device memory knows the public half of a key that its factory named by a label alone.
#[test]
fn of_several_keys_with_one_label_the_one_whose_public_half_is_known_is_meant() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    for ids in [[&[0x01, 0x7b][..], &[0x02, 0x7b]], [&[], &[]], [&[0x03, 0x7b], &[0x03, 0x7b]]] {
        let label = format!("known-{}-{}", ids[0].len(), ids[0].first().unwrap_or(&0));
        make(&beside, &label, ids[0], false);
        let own = TokenKey::open(Some(module), &uri(&label), pin(PIN)).unwrap();
        make(&beside, &label, ids[1], false);
        let open = |spki: &[u8]| TokenKey::open_known(Some(module), &uri(&label), spki, pin(PIN));
        let found = open(own.spki()).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(found.spki(), own.spki(), "{label}");
        let signature = found.sign(&found.kind().default_signature(), b"m").unwrap();
        crate::common::provider()
            .verify(&found.kind().default_signature(), own.spki(), b"m", &signature, false)
            .unwrap();
        // The dark twins: one that is not there is not taken for another, and none goes in its place.
        let stranger = crate::common::provider().generate_key(devid::crypto::KeyKind::P256).unwrap();
        assert!(matches!(open(stranger.spki()), Err(TokenError::NotFound(_))), "{label}");
        let destroy = |spki: &[u8]| TokenKey::destroy_known(Some(module), &uri(&label), spki, pin(PIN));
        assert!(matches!(destroy(stranger.spki()), Err(TokenError::NotFound(_))), "{label}");
        destroy(own.spki()).unwrap();
        let left = TokenKey::open(Some(module), &uri(&label), pin(PIN)).unwrap();
        assert_ne!(left.spki(), own.spki(), "{label}: the other one is left");
        assert!(matches!(destroy(own.spki()), Err(TokenError::NotFound(_))), "{label}: and stays");
    }
}

/// PKCS#11 2.40 4.9: such a key wants the PIN after each C_SignInit.
#[test]
fn a_key_that_always_asks_for_the_pin_signs() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    make(&beside, "always", &[0x7a], true);
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(b"always".to_vec())];
    let key = beside.find_objects(&template).unwrap()[0];
    let asks = beside.get_attributes(key, &[AttributeType::AlwaysAuthenticate]).unwrap();
    assert_eq!(asks, [Attribute::AlwaysAuthenticate(true)]);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let source: devid::crypto::pkcs11::PinSource = std::sync::Arc::new(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(PIN.to_owned().into())
    });
    let key = TokenKey::open(Some(module), &uri("always"), source).unwrap();
    let before = asked.load(std::sync::atomic::Ordering::SeqCst);
    (0..2).for_each(|_| drop(key.sign(&key.kind().default_signature(), b"m").unwrap()));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst) - before, 2);
}

/// Device memory keeps the public half: a private key that has lost its own in the token is known by that, and no other is taken for it.
#[test]
fn a_private_key_whose_public_half_is_gone_is_known_by_the_one_that_is_kept() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let beside = session(module);
    for label in ["bereft", "bereft-stranger"] {
        make(&beside, label, label.as_bytes(), false);
    }
    let spki = |label: &str| TokenKey::open(Some(module), &uri(label), pin(PIN)).unwrap().spki().to_vec();
    let (own, stranger) = (spki("bereft"), spki("bereft-stranger"));
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Label(b"bereft".to_vec())];
    for object in beside.find_objects(&template).unwrap() {
        beside.destroy_object(object).unwrap();
    }
    let open = |spki: &[u8]| TokenKey::open_known(Some(module), &uri("bereft"), spki, pin(PIN));
    let key = open(&own).unwrap();
    assert_eq!(key.spki(), own);
    key.sign(&key.kind().default_signature(), b"m").unwrap();
    assert!(matches!(open(&stranger), Err(TokenError::NotFound(_))));
    assert!(matches!(TokenKey::open(Some(module), &uri("bereft"), pin(PIN)), Err(TokenError::NotFound(_))));
}

/// The public half alone is left: a look sees it, and whoever may log in finds that nothing signs.
#[test]
fn a_private_key_that_alone_is_gone_is_told_to_who_may_log_in() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let store = devid::store::Store::in_memory(crate::common::provider());
    devid::client::open_token_keys(&store, Some(module), pin(PIN));
    let key =
        store.make_key("device", "pkcs11:token=device;object=hollow", devid::crypto::KeyKind::P256).unwrap().unwrap();
    store.install("device", &crate::common::issued_for(key.clone(), 1).new_identity()).unwrap();
    let label = TokenUri::parse(key.reference().unwrap()).unwrap().object.unwrap();
    drop(key);
    assert_eq!(store.keys_that_do_not_open().unwrap(), []);
    let beside = session(module);
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into_bytes())];
    for object in beside.find_objects(&template).unwrap() {
        beside.destroy_object(object).unwrap();
    }
    assert_eq!(store.verify().unwrap(), [], "no PIN is given for a look");
    let told = store.keys_that_do_not_open().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, devid::store::ProblemKind::KeyElsewhere);
    // The dark twin: without a PIN nothing is said of it.
    devid::client::open_token_keys(&store, Some(module), crate::softhsm::no_pin());
    drop(beside);
    let logged_in = store.keys_that_do_not_open().unwrap().len();
    assert!(logged_in <= 1, "a token that is still logged in says so, another one nothing");
}
