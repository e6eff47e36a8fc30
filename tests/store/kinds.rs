//! Kinds of keys and kinds of homes: whatever device memory does, it does with each key in each home.

use std::fmt;
use std::sync::{Arc, Mutex};

use devid::crypto::PrivateKey;
use devid::crypto::keys::key_matches_certificate;
use devid::store::*;
use zeroize::Zeroizing;

use crate::common::*;

/// Where an identity's private key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In device memory, in the clear.
    Plain,
    /// In device memory, encrypted (PBES2 with PBKDF2, the one that device memory writes).
    Sealed,
    /// In a token of SoftHSM; device memory keeps its PKCS#11 URI. What has no meaning for such a key is in `token.rs`.
    #[cfg(feature = "pkcs11")]
    Token,
}

/// All that can be had here, each with the turn that it needs. Without SoftHSM, tokens are left out, and that is said.
pub fn every_kind_of_key() -> impl Iterator<Item = (Keys, Option<Turn>)> {
    let in_memory = [Keys::Plain, Keys::Sealed].into_iter().map(|keys| (keys, None));
    #[cfg(feature = "pkcs11")]
    return in_memory
        .chain(std::iter::once_with(|| (Keys::Token, Some(crate::softhsm::turn()))).filter(|_| has_tokens()));
    #[cfg(not(feature = "pkcs11"))]
    in_memory
}

#[cfg(feature = "pkcs11")]
use crate::softhsm::Turn;
#[cfg(not(feature = "pkcs11"))]
type Turn = ();

#[cfg(feature = "pkcs11")]
fn has_tokens() -> bool {
    crate::softhsm::module().is_some()
}

impl Keys {
    /// Key pair number `number` of this kind.
    pub fn key(self, number: usize) -> Arc<dyn PrivateKey> {
        match self {
            Keys::Plain | Keys::Sealed => key(number),
            #[cfg(feature = "pkcs11")]
            Keys::Token => token_key(number),
        }
    }

    pub fn issued(self, number: usize) -> Issued {
        issued_for(self.key(number), number)
    }

    /// The record that a key of this kind is kept in.
    pub fn file(self) -> &'static str {
        match self {
            Keys::Plain | Keys::Sealed => "key.pem",
            #[cfg(feature = "pkcs11")]
            Keys::Token => "key.ref",
        }
    }

    pub fn options(self) -> StoreOptions {
        let key_secret: Option<KeySecret> = match self {
            Keys::Plain => None,
            Keys::Sealed => Some(device_secret()),
            // Nothing of such a key is secret: nobody has to know the secret.
            #[cfg(feature = "pkcs11")]
            Keys::Token => Some(Arc::new(|| panic!("the secret was asked for, and the key is in a token"))),
        };
        // Few iterations: the tests are about storage.
        StoreOptions { key_secret, key_iterations: 10, ..StoreOptions::default() }
    }

    /// Device memory in any home, as a program that has this kind of key sets it up.
    fn store(self, home: Box<dyn Backend>, options: StoreOptions) -> Store {
        let store = Store::new(home, provider(), options);
        #[cfg(feature = "pkcs11")]
        if self == Keys::Token {
            use crate::softhsm::{PIN, module, pin};
            devid::client::open_token_keys(&store, module(), pin(PIN));
        }
        store
    }

    #[cfg(unix)]
    pub fn open(self, place: &Place) -> Store {
        self.open_with(place, self.options())
    }

    #[cfg(unix)]
    pub fn open_with(self, place: &Place, options: StoreOptions) -> Store {
        self.store(directory(place), options)
    }
}

#[cfg(feature = "pkcs11")]
fn token_key(number: usize) -> Arc<dyn PrivateKey> {
    static KEYS: Mutex<Vec<Arc<dyn PrivateKey>>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap();
    while keys.len() <= number {
        let object = format!("identity-{}", keys.len());
        keys.push(Arc::new(crate::softhsm::new_key(&object, devid::crypto::KeyKind::P256).expect("SoftHSM is there")));
    }
    keys[number].clone()
}

/// Device memory in some home, with some kind of key.
pub struct Home {
    pub label: String,
    keys: Keys,
    store: Store,
    open: Box<dyn Fn() -> Store>,
}

/// Every home with every kind of key.
pub fn every_home(test: impl Fn(&Home, &Store)) {
    for (keys, _turn) in every_kind_of_key() {
        for (name, medium) in media() {
            let open = move || keys.store(medium(), keys.options());
            let home = Home { label: format!("{name}, {keys:?} keys"), keys, store: open(), open: Box::new(open) };
            test(&home, &home.store);
        }
    }
}

/// Opens a home on a medium that stays.
type Medium = Box<dyn Fn() -> Box<dyn Backend>>;

fn media() -> Vec<(&'static str, Medium)> {
    let memory = Shared::default();
    let callback = |is_atomic| -> Medium {
        let storage = MapStorage { is_atomic, ..Default::default() };
        Box::new(move || Box::new(CallbackBackend::new(storage.clone(), provider())))
    };
    #[cfg(unix)]
    let place = Place::new();
    vec![
        ("memory", Box::new(move || Box::new(memory.clone()))),
        ("callback", callback(false)),
        ("atomic callback", callback(true)),
        #[cfg(unix)]
        ("directory", Box::new(move || directory(&place))),
    ]
}

/// Patient: a process that another test starts has our lock for a moment, until it is the other program.
#[cfg(unix)]
fn directory(place: &Place) -> Box<dyn Backend> {
    let options = DirectoryOptions { lock_wait: std::time::Duration::from_secs(5), ..Default::default() };
    Box::new(DirectoryBackend::open(place.memory(), options).unwrap())
}

impl Home {
    pub fn key(&self, number: usize) -> Arc<dyn PrivateKey> {
        self.keys.key(number)
    }

    pub fn issued(&self, number: usize) -> Issued {
        self.keys.issued(number)
    }

    /// The same device memory, opened once more.
    pub fn reopened(&self) -> Store {
        (self.open)()
    }

    /// The identity in use, to this handle as to one opened now; its key signs for it.
    pub fn current(&self, name: &str) -> Identity {
        self.both(|store| store.current(name))
    }

    pub fn previous(&self, name: &str) -> Identity {
        self.both(|store| store.previous(name))
    }

    pub fn pending(&self, name: &str) -> Identity {
        self.both(|store| store.pending(name))
    }

    fn both(&self, read: impl Fn(&Store) -> Result<Identity, StoreError>) -> Identity {
        let open = |store: &Store| read(store).unwrap_or_else(|error| panic!("{self}: {error}"));
        let (here, there) = (open(&self.store), open(&self.reopened()));
        assert_eq!(
            (here.generation, &here.certificate, &here.chain, here.key.spki()),
            (there.generation, &there.certificate, &there.chain, there.key.spki()),
            "{self}"
        );
        assert!(key_matches_certificate(&*self.signs(&there.key), &there.certificate), "{self}");
        there
    }

    /// A key that was read is kept as its kind is, and signs, opened by nothing else than what was read.
    pub fn signs(&self, key: &Signer) -> Arc<dyn PrivateKey> {
        let opened = self.reopened().open_key(key).unwrap_or_else(|error| panic!("{self}: {error}"));
        let opened = opened.unwrap_or_else(|| panic!("{self}: nobody opens the key"));
        match (self.keys.file(), key) {
            ("key.pem", Signer::Key(_)) => {}
            ("key.ref", Signer::Deferred(reference)) => {
                assert!(reference.reference.starts_with("pkcs11:token=device;serial="), "{}", reference.reference);
                assert_eq!(opened.reference(), Some(reference.reference.as_str()), "the same words again");
            }
            (file, key) => panic!("{self}: {key:?} does not belong in {file}"),
        }
        let algorithm = opened.kind().default_signature();
        let signature = opened.sign(&algorithm, b"message").unwrap_or_else(|error| panic!("{self}: {error}"));
        provider().verify(&algorithm, key.spki(), b"message", &signature, false).expect(&self.label);
        opened
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// A home in memory that outlives its store.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<MemoryBackend>>);

impl Backend for Shared {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.0.lock().unwrap().read(key)
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.lock().unwrap().write(key, bytes)
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.lock().unwrap().list(prefix)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.0.lock().unwrap().sync()
    }
}
