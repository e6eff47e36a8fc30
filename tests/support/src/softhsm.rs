//! Tokens of SoftHSM in a directory of the test's own. Without SoftHSM the tests say so and pass.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use devid::crypto::pkcs11::{PinSource, TokenKey};
use devid::crypto::{CryptoError, KeyKind};
use zeroize::Zeroizing;

use crate::left_out::left_out;

pub const PIN: &str = "1234";

const PLACES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// One test at a time uses the tokens: SoftHSM answers CKR_GENERAL_ERROR now and then where one thread makes a key while
/// another looks through the same token's files, and a second copy of it in the process, which no lock on a file keeps out, does not see
/// a token at all that the first one is writing: each login writes.
///
/// A thread that has its turn can take it once more.
pub fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    let first = !HAS_TURN.get();
    let held = first.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    HAS_TURN.set(true);
    Turn { held }
}

/// What [`turn`] gives: the turn ends with it.
pub struct Turn {
    held: Option<MutexGuard<'static, ()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.held.is_some() {
            HAS_TURN.set(false);
        }
    }
}

thread_local! {
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The path of the module, its tokens made: `device`, `strict`, `low`, and `twin` twice. For who has its [`turn`].
pub fn module() -> Option<&'static str> {
    assert!(HAS_TURN.get(), "tokens are used in turn: let _turn = softhsm::turn()");
    static MODULE: LazyLock<Option<String>> = LazyLock::new(|| {
        let module = PLACES.into_iter().find(|place| std::path::Path::new(place).exists());
        let Some(module) = module.filter(|_| Command::new("softhsm2-util").arg("--version").output().is_ok()) else {
            left_out("no SoftHSM: nothing is tested with keys in a token");
            return None;
        };
        let folder: PathBuf = std::env::temp_dir().join(format!("devid-softhsm-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("tokens")).unwrap();
        let configuration = folder.join("softhsm2.conf");
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", folder.join("tokens").display());
        std::fs::write(&configuration, text).unwrap();
        for label in ["device", "strict", "low", "twin", "twin"] {
            let made = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", label, "--so-pin", "567890", "--pin", PIN])
                .env("SOFTHSM2_CONF", &configuration)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        // SAFETY: set once, before the module is loaded, which alone reads it; Rust's own readers take turns with this.
        unsafe { std::env::set_var("SOFTHSM2_CONF", &configuration) };
        Some(module.to_owned())
    });
    MODULE.as_deref()
}

pub fn pin(pin: &'static str) -> PinSource {
    Arc::new(move |_| Ok(Zeroizing::new(pin.to_owned())))
}

/// A program that has no PIN to give.
pub fn no_pin() -> PinSource {
    Arc::new(|request| Err(CryptoError::External(-10_007, format!("nobody is there for {}", request.token))))
}

/// A new key in the token `device`; `None` without SoftHSM.
pub fn new_key(object: &str, kind: KeyKind) -> Option<TokenKey> {
    let module = module()?;
    let uri = format!("pkcs11:token=device;object={object}");
    Some(TokenKey::generate(Some(module), &uri, kind, pin(PIN)).unwrap_or_else(|error| panic!("{uri}: {error}")))
}
