//! A PKCS#11 module of bad manners (`tests/store/ill_mannered.c`, SoftHSM behind it): nothing locks a token, and what comes back goes on.
//! One test, as the module is one and keeps its state for the process.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use devid::crypto::pkcs11::{TokenError, TokenKey};
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};

use crate::common::*;
use crate::kinds::Keys;
use crate::left_out::left_out;
use crate::softhsm::{PIN, module, pin};

struct IllMannered {
    path: String,
    words: PathBuf,
}

impl IllMannered {
    fn new() -> Option<Self> {
        let softhsm = module()?;
        let place = std::env::temp_dir().join(format!("devid-ill-mannered-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let (path, words) = (place.join("module.so"), place.join("words"));
        // A copy is loaded once more: who is logged in through the other one is nobody here.
        let own = place.join("softhsm.so");
        std::fs::copy(softhsm, &own).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/ill_mannered.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).arg(source).arg("-ldl").output();
        if !built.as_ref().is_ok_and(|built| built.status.success()) {
            left_out("no C compiler: no PKCS#11 module of bad manners");
            return None;
        }
        // SAFETY: set once, before the module is loaded, which alone reads them; Rust's own readers take turns with this.
        unsafe {
            std::env::set_var("ILL_MANNERED", &words);
            std::env::set_var("ILL_MANNERED_MODULE", &own);
        }
        Some(IllMannered { path: path.display().to_string(), words })
    }

    fn says(&self, words: &str) {
        std::fs::write(&self.words, words).unwrap();
    }

    fn open(&self, uri: &str, with: &'static str) -> Result<TokenKey, TokenError> {
        TokenKey::open(Some(&self.path), uri, pin(with))
    }

    /// How often somebody logged in since it was asked last.
    fn take_logins(&self) -> usize {
        let file = self.words.with_extension("logins");
        let count = std::fs::read(&file).map_or(0, |bytes| bytes.len());
        let _ = std::fs::remove_file(file);
        count
    }
}

fn signs(key: &Arc<TokenKey>) -> Result<(), String> {
    let algorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
    let signature = key.sign(&algorithm, b"message").map_err(|error| error.to_string())?;
    provider().verify(&algorithm, key.spki(), b"message", &signature, false).map_err(|error| error.to_string())
}

#[test]
fn a_token_of_bad_manners_is_never_locked_and_goes_on_once_it_is_well() {
    let _turn = crate::softhsm::turn();
    let Some(token) = IllMannered::new() else { return };
    // The first word is about loading: without arguments it is tried once more.
    token.says("no-arguments");
    let uri = "pkcs11:token=device;object=ill";
    let made = TokenKey::generate(Some(&token.path), uri, KeyKind::P256, pin(PIN));
    let key = Arc::new(made.unwrap_or_else(|error| panic!("a module that takes no arguments: {error}")));
    signs(&key).unwrap();
    // Who is logged in is so for the whole process: nothing of it may stay open.
    drop(key);

    // A wrong PIN is given once, however often somebody looks.
    token.take_logins();
    for _ in 0..20 {
        let error = token.open(uri, "94831").unwrap_err();
        assert!(matches!(error, TokenError::WrongPin(_)), "{error}");
    }
    assert_eq!(token.take_logins(), 1);
    drop(token.open(uri, PIN).expect("another PIN is tried"));

    // The last try is nobody's to spend, also not for a PIN that was never given.
    token.says("final-try");
    token.take_logins();
    for _ in 0..20 {
        token.open(uri, "88211").unwrap_err();
    }
    assert_eq!(token.take_logins(), 0);

    // What fails without a clear reason may be a wrong PIN: twice, and no further.
    token.says("deaf");
    for _ in 0..20 {
        token.open(uri, "77317").unwrap_err();
    }
    assert!(token.take_logins() <= 2);
    token.says("");
    let key = Arc::new(token.open(uri, PIN).expect("well again"));

    drop(key);
    the_right_pin_is_given_again(&token);
    let key = Arc::new(token.open(uri, PIN).unwrap());

    // A session that is lost is opened anew, without a word.
    for _ in 0..3 {
        token.says("loses-session");
        signs(&key).unwrap();
    }

    // A device that is pulled out is an error that says so; put back, the same object signs.
    token.says("removed");
    let error = signs(&key).unwrap_err();
    assert!(error.contains("CKR_DEVICE_REMOVED") || error.contains("removed"), "{error}");
    token.says("");
    signs(&key).unwrap();

    // A second key with the same label: the name fits two, and each one's own id fits one.
    let twin =
        TokenKey::generate_marked(Some(&token.path), "pkcs11:token=device;object=twins", KeyKind::P256, pin(PIN));
    let other =
        TokenKey::generate_marked(Some(&token.path), "pkcs11:token=device;object=twins", KeyKind::P256, pin(PIN));
    let (twin, other) = (twin.unwrap(), other.unwrap());
    for key in [twin, other] {
        let found = token.open(key.reference().unwrap(), PIN).unwrap();
        assert_eq!(found.spki(), key.spki());
    }
    let _ = std::fs::remove_dir_all(token.words.parent().unwrap());
}

/// After a wrong PIN, while the count is low, the right one meets a token that fails, in several processes. It was never refused.
fn the_right_pin_is_given_again(token: &IllMannered) {
    let place = Place::new();
    let make = |given: &'static str| {
        devid::crypto::pkcs11::forget_refused_pins();
        let store = Keys::Plain.open(&place);
        devid::client::open_token_keys(&store, Some(&token.path), pin(given));
        store.make_key("device", "pkcs11:token=low;object=again", KeyKind::P256).map_err(|error| error.to_string())
    };
    for (manner, failed) in [("no-contact", 5), ("deaf", 1)] {
        token.says("");
        let wrong = make("58204").map(|_| ()).unwrap_err();
        assert!(wrong.contains("does not take the PIN"), "{wrong}");
        token.says(manner);
        token.take_logins();
        for _ in 0..failed {
            let error = make(PIN).map(|_| ()).unwrap_err();
            assert!(error.contains("C_Login") && !error.contains("refused"), "{manner}: {error}");
        }
        assert_eq!(token.take_logins(), failed, "{manner}");
        token.says("");
        let refused = make("58204").map(|_| ()).unwrap_err();
        assert!(refused.contains("refused before"), "the dark twin: {refused}");
        drop(make(PIN).unwrap_or_else(|error| panic!("{manner}: {error}")));
        Keys::Plain.open(&place).remove_blob("refused-pins").unwrap();
    }
    devid::crypto::pkcs11::forget_refused_pins();
}
