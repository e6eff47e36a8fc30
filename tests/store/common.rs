//! Keys and certificates made on the spot, and places for device memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use devid::Time;
use devid::asn1::der::{element, sequence};
use devid::asn1::name::Name;
use devid::asn1::x509::{Certificate, assemble_signed};
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, Provider, SignatureAlgorithm, default_provider};
use devid::store::*;
use zeroize::Zeroizing;

pub const NOW: Time = Time::from_unix(1_790_000_000);

pub fn provider() -> Arc<dyn Provider> {
    static PROVIDER: LazyLock<Arc<dyn Provider>> = LazyLock::new(default_provider);
    PROVIDER.clone()
}

/// A key pair of its own for each number.
pub fn key(number: usize) -> Arc<dyn PrivateKey> {
    static KEYS: LazyLock<Mutex<Vec<Arc<dyn PrivateKey>>>> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap();
    while keys.len() <= number {
        keys.push(provider().generate_key(KeyKind::P256).unwrap());
    }
    keys[number].clone()
}

/// A certificate for `subject` with the key of that number, issued in the name of `issuer`, signed by key 0.
/// The same one every time: signatures differ from call to call, so the first is remembered.
pub fn certificate(subject: &str, key_number: usize, issuer: &str, serial: u8) -> Certificate {
    certificate_for(key(key_number).spki(), subject, issuer, serial)
}

/// The same for any key's public half.
pub fn certificate_for(spki: &[u8], subject: &str, issuer: &str, serial: u8) -> Certificate {
    static MADE: LazyLock<Mutex<BTreeMap<String, Certificate>>> = LazyLock::new(Mutex::default);
    let name = format!("{subject} {issuer} {serial} {spki:02x?}");
    let validity = [element(0x17, &[b"260101000000Z"]), element(0x17, &[b"360101000000Z"])];
    let make = || certificate_valid(spki, subject, issuer, serial, &validity);
    MADE.lock().unwrap().entry(name).or_insert_with(make).clone()
}

/// The same with another validity: two encoded times.
pub fn certificate_valid(spki: &[u8], subject: &str, issuer: &str, serial: u8, validity: &[Vec<u8>; 2]) -> Certificate {
    Certificate::from_der(&certificate_der(spki, subject, issuer, serial, validity)).unwrap()
}

pub fn certificate_der(spki: &[u8], subject: &str, issuer: &str, serial: u8, validity: &[Vec<u8>; 2]) -> Vec<u8> {
    // ecdsa-with-SHA256.
    let algorithm = sequence(&[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]]);
    let name = |text: &str| Name::parse(text).unwrap().as_der().to_vec();
    let tbs = sequence(&[
        &element(0x02, &[&[serial]]),
        &algorithm,
        &name(issuer),
        &sequence(&[&validity[0], &validity[1]]),
        &name(subject),
        spki,
    ]);
    let signature = key(0).sign(&SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256), &tbs).unwrap();
    assemble_signed(&tbs, &algorithm, &signature)
}

pub fn ca_chain() -> Vec<Certificate> {
    vec![
        certificate("CN=Issuing CA,O=Factory", 0, "CN=Root,O=Factory", 1),
        certificate("CN=Root,O=Factory", 0, "CN=Root,O=Factory", 2),
    ]
}

/// Key and certificate number `number` of the device.
pub struct Issued {
    pub key: Arc<dyn PrivateKey>,
    pub certificate: Certificate,
    pub chain: Vec<Certificate>,
}

pub fn issued(number: usize) -> Issued {
    issued_for(key(number), number)
}

/// Number `number` with a key of any kind.
pub fn issued_for(key: Arc<dyn PrivateKey>, number: usize) -> Issued {
    let certificate = certificate_for(key.spki(), "CN=device", "CN=Issuing CA,O=Factory", 100 + number as u8);
    Issued { key, certificate, chain: ca_chain() }
}

impl Issued {
    pub fn new_identity(&self) -> NewIdentity<'_> {
        self.with(NewKey::Given(Signer::from(&self.key)))
    }

    pub fn with<'a>(&'a self, key: NewKey<'a>) -> NewIdentity<'a> {
        NewIdentity { key, certificate: &self.certificate, chain: &self.chain, purpose: "ldevid", at: NOW }
    }

    /// Whether this identity is that key, that certificate and that chain.
    pub fn is(&self, found: &Identity) -> bool {
        found.certificate == self.certificate && found.chain == self.chain && found.key.spki() == self.key.spki()
    }
}

pub fn device_secret() -> KeySecret {
    Arc::new(|| Ok(Zeroizing::new(b"unique to this device".to_vec())))
}

/// A directory of its own, removed when dropped.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        // Thousands of syncs: in memory where there is such a file system.
        let shared_memory = Path::new("/dev/shm");
        let parent = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("devid-store-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    /// Where the store goes: not there yet.
    pub fn memory(&self) -> PathBuf {
        self.0.join("memory")
    }

    pub fn open(&self) -> Store {
        Store::open_directory(self.memory(), provider(), StoreOptions::default()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A caller's storage in a map that outlives its store. Records what was asked of it.
#[derive(Clone, Default)]
pub struct MapStorage {
    pub records: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// How many bytes it takes; any number where that is not said.
    pub room: Option<Arc<Mutex<usize>>>,
    pub is_atomic: bool,
}

impl MapStorage {
    pub fn used(&self) -> usize {
        self.records.lock().unwrap().values().map(Vec::len).sum()
    }
}

impl RawStorage for MapStorage {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.records.lock().unwrap().get(key).cloned().map(Zeroizing::new))
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        // As flash does: the new bytes are there before the old ones are not.
        if self.room.as_ref().is_some_and(|room| self.used() + bytes.len() > *room.lock().unwrap()) {
            return Err(StoreError::new(StoreErrorKind::Full, key, "no room"));
        }
        self.records.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &str, _wipe: bool) -> Result<(), StoreError> {
        self.records.lock().unwrap().remove(key);
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.records.lock().unwrap().keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_atomic_writes(&self) -> bool {
        self.is_atomic
    }
}

pub fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
