//! Generations: an identity is replaced by writing a complete new one beside the old and switching one small record.
//!
//! ```text
//! identity/<name>/current              which generation is in use: written last, atomically
//! identity/<name>/current.copy         the same again, for the day the first one is damaged
//! identity/<name>/gen-000001/key.pem   or key.ref, certificate.pem, chain.pem
//! identity/<name>/gen-000001/meta      written last, removed first: without it the generation is incomplete
//! identity/<name>/gen-000001/unconfirmed   the CA has not confirmed it yet
//! generation/last                      the highest number of the identities that were removed
//! ```
//!
//! Numbers only count up, also past generations that were discarded and identities that were removed: whoever reads a
//! generation while it is replaced never finds another one's key under the number that he has.

use std::sync::Arc;

use super::backend::{Backend, check_name};
use super::error::{StoreError, StoreErrorKind};
use super::identity::{Identity, IdentityState, NewIdentity, NewKey, PublicPart, StoreOptions};
use super::record::{Record, digest_hex};
use crate::asn1::x509::Certificate;
use crate::asn1::{pem, x509};
use crate::crypto::{CryptoError, KeyReference, PrivateKey, Provider, Signer, keys};
use crate::sorted::Set;
use crate::time::Time;
use crate::validation::names::same_name;

/// A home while one call is at work in it.
pub(super) struct Home<'a> {
    pub backend: &'a mut dyn Backend,
    pub provider: &'a Arc<dyn Provider>,
    pub options: &'a StoreOptions,
}

/// A key ready to be written: the record's name and bytes beside the usable key.
pub(super) struct KeyRecord {
    pub key: Signer,
    pub file: &'static str,
    pub bytes: zeroize::Zeroizing<Vec<u8>>,
}

/// What to do about a generation that cannot be read now, and perhaps can be later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Look further: for callers that change nothing.
    Skip,
    /// Give up: an older one must not take its place for good.
    Fail,
}

pub(super) const HELD: &str = "key.pem";
pub(super) const REFERENCE: &str = "key.ref";

pub(super) fn identity_key(name: &str) -> String {
    format!("identity/{name}")
}

fn generation_key(name: &str, number: u32) -> String {
    format!("identity/{name}/gen-{number:06}")
}

/// The number in `gen-000007`.
pub(super) fn generation_number(directory: &str) -> Option<u32> {
    let digits = directory.strip_prefix("gen-")?;
    let number = digits.parse().ok().filter(|n| *n > 0)?;
    (directory == format!("gen-{number:06}")).then_some(number)
}

impl Home<'_> {
    // ---- reading ------------------------------------------------------------------------------------------------

    /// Reads a generation and checks all of it: the parts belong together and are what was written.
    pub fn load(&mut self, name: &str, number: u32) -> Result<Identity, StoreError> {
        let (public, digest) = self.load_public(name, number)?;
        let place = generation_key(name, number);
        let identity = public.with(self.load_key_of(&place, digest.as_deref())?.key);
        if !keys::same_public_key(identity.key.spki(), identity.certificate.spki()) {
            let detail = "the private key does not belong to the certificate";
            return Err(StoreError::new(StoreErrorKind::KeyMismatch, place, detail));
        }
        Ok(identity)
    }

    /// The same but for the key, and the digest of that, where it is known.
    pub fn load_public(&mut self, name: &str, number: u32) -> Result<(PublicPart, Option<String>), StoreError> {
        let place = generation_key(name, number);
        let meta_place = format!("{place}/meta");
        let meta = self.backend.read(&meta_place)?;
        let meta = meta.ok_or_else(|| StoreError::corrupt(&place, "the generation is incomplete: meta is missing"))?;
        let meta = Record::parse(&meta, "generation", &meta_place, &**self.provider)?;
        if meta.number::<u32>("generation", &meta_place)? != number {
            return Err(StoreError::corrupt(meta_place, "belongs to another generation"));
        }
        let certificate =
            self.read_part(&format!("{place}/certificate.pem"), meta.field("certificate", &meta_place)?)?;
        let [certificate] = <[Certificate; 1]>::try_from(certificate)
            .map_err(|_| StoreError::corrupt(format!("{place}/certificate.pem"), "expected exactly one certificate"))?;
        let chain = match meta.field("chain", &meta_place)? {
            "-" => Vec::new(),
            digest => self.read_part(&format!("{place}/chain.pem"), digest)?,
        };
        // The first versions did not write it.
        let digest = if meta.has("key") { Some(meta.field("key", &meta_place)?.to_owned()) } else { None };
        let public = PublicPart {
            name: name.to_owned(),
            generation: number,
            certificate,
            chain,
            purpose: meta.field("purpose", &meta_place)?.to_owned(),
            created: Time::from_unix(meta.number("created", &meta_place)?),
        };
        Ok((public, digest))
    }

    /// The key and the certificate of a generation alone, where these two are whole and belong together, whatever has become of the rest.
    pub fn load_pair(&mut self, name: &str, number: u32) -> Result<Identity, StoreError> {
        let certificate = self.load_certificate(name, number)?;
        let key = self.load_key(&generation_key(name, number))?.key;
        check_pair(&**self.provider, name, &key, &certificate)?;
        let (purpose, created) = (String::new(), certificate.not_before());
        Ok(Identity {
            name: name.to_owned(),
            generation: number,
            key,
            certificate,
            chain: Vec::new(),
            purpose,
            created,
        })
    }

    /// The certificate of a generation alone.
    pub fn load_certificate(&mut self, name: &str, number: u32) -> Result<Certificate, StoreError> {
        let record = format!("{}/certificate.pem", generation_key(name, number));
        let bytes = self.backend.read(&record)?.ok_or_else(|| StoreError::corrupt(&record, "the file is missing"))?;
        let certificates = Certificate::many_from_bytes(&bytes).map_err(|e| StoreError::asn1(&record, &e))?;
        let [certificate] = <[Certificate; 1]>::try_from(certificates)
            .map_err(|_| StoreError::corrupt(&record, "expected exactly one certificate"))?;
        Ok(certificate)
    }

    fn read_part(&mut self, place: &str, digest: &str) -> Result<Vec<Certificate>, StoreError> {
        let bytes = self.backend.read(place)?.ok_or_else(|| StoreError::corrupt(place, "the file is missing"))?;
        if digest_hex(&**self.provider, &[&bytes])? != digest {
            return Err(StoreError::corrupt(place, "the content is not what was installed (SHA-256 in meta)"));
        }
        Certificate::many_from_bytes(&bytes).map_err(|e| StoreError::asn1(place, &e))
    }

    /// The key record in a generation or beside a pending label.
    pub fn load_key(&mut self, place: &str) -> Result<KeyRecord, StoreError> {
        self.load_key_of(place, None)
    }

    /// The same, of the bytes that have this digest: a damaged byte of a sealed key must not look like a wrong secret.
    fn load_key_of(&mut self, place: &str, digest: Option<&str>) -> Result<KeyRecord, StoreError> {
        let held = format!("{place}/{HELD}");
        if let Some(bytes) = self.backend.read(&held)? {
            self.check_key_record(&held, &bytes, digest)?;
            let secret = self.options.key_secret.as_ref().map(|secret| secret()).transpose()?;
            let key = keys::load_private_key(&**self.provider, &bytes, secret.as_ref().map(|s| s.as_slice()))
                .map_err(|e| about_seal(StoreError::key(&held, &e)))?;
            return Ok(KeyRecord { key: Signer::Key(key), file: HELD, bytes });
        }
        let reference = format!("{place}/{REFERENCE}");
        let Some(bytes) = self.backend.read(&reference)? else {
            return Err(StoreError::corrupt(place, "neither key.pem nor key.ref is there"));
        };
        self.check_key_record(&reference, &bytes, digest)?;
        let record = Record::parse(&bytes, "key-reference", &reference, &**self.provider)?;
        let spki = from_hex(record.field("spki", &reference)?)
            .ok_or_else(|| StoreError::corrupt(&reference, "the line spki is not hexadecimal"))?;
        let key = KeyReference::new(record.field("reference", &reference)?, spki)
            .map_err(|error| StoreError::asn1(&reference, &error))?;
        Ok(KeyRecord { key: Signer::Deferred(key), file: REFERENCE, bytes })
    }

    fn check_key_record(&self, record: &str, bytes: &[u8], digest: Option<&str>) -> Result<(), StoreError> {
        match digest {
            Some(digest) if digest_hex(&**self.provider, &[bytes])? != digest => {
                Err(StoreError::corrupt(record, "the content is not what was installed (SHA-256 in meta)"))
            }
            _ => Ok(()),
        }
    }

    /// Numbers of all generations that have left a trace.
    pub fn numbers(&mut self, name: &str) -> Result<Set<u32>, StoreError> {
        let prefix = format!("{}/", identity_key(name));
        let keys = self.backend.list(&prefix)?;
        Ok(keys.iter().filter_map(|key| generation_number(key.strip_prefix(&prefix)?.split_once('/')?.0)).collect())
    }

    fn has(&mut self, name: &str, number: u32, file: &str) -> Result<bool, StoreError> {
        self.is_there(&format!("{}/{file}", generation_key(name, number)))
    }

    /// Whether a generation was written to its end, and its removal was not begun: none of its parts is missing. What is in
    /// them is another question.
    pub fn is_complete(&mut self, name: &str, number: u32) -> Result<bool, StoreError> {
        let meta_place = format!("{}/meta", generation_key(name, number));
        if !self.has(name, number, "meta")? {
            return Ok(false);
        }
        // One that cannot be read says nothing of a chain.
        let has_chain = match self.backend.read(&meta_place) {
            Ok(Some(meta)) => Record::parse(&meta, "generation", &meta_place, &**self.provider)
                .is_ok_and(|meta| meta.field("chain", &meta_place).is_ok_and(|digest| digest != "-")),
            _ => false,
        };
        Ok((self.has(name, number, HELD)? || self.has(name, number, REFERENCE)?)
            && self.has(name, number, "certificate.pem")?
            && (!has_chain || self.has(name, number, "chain.pem")?))
    }

    /// Whether the CA has not confirmed a generation, as far as its marker says.
    pub fn is_unconfirmed(&mut self, name: &str, number: u32) -> Result<bool, StoreError> {
        self.has(name, number, "unconfirmed")
    }

    /// The newest generation that is whole and confirmed, and not one of `except`.
    pub fn newest_good(
        &mut self,
        name: &str,
        except: &[u32],
        unreadable: Unreadable,
    ) -> Result<Option<Identity>, StoreError> {
        for number in self.numbers(name)?.into_iter().rev().filter(|n| !except.contains(n)) {
            let loaded = match self.is_unconfirmed(name, number) {
                Ok(true) => continue,
                Ok(false) => self.load(name, number),
                Err(error) => Err(error),
            };
            match loaded {
                Ok(identity) => return Ok(Some(identity)),
                Err(error) if error.is_damage() || unreadable == Unreadable::Skip => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    // ---- writing ------------------------------------------------------------------------------------------------

    /// Checks everything that can be checked here and writes a new generation. It is durable and was read back when
    /// this returns; nothing points to it yet. On failure nothing is left of it.
    pub fn write(&mut self, name: &str, new: &NewIdentity<'_>, is_confirmed: bool) -> Result<Identity, StoreError> {
        let state = self.state(name)?;
        check_name(new.purpose)?;
        check_chain(name, new.certificate, new.issuers())?;
        let key = self.new_key(name, state, &new.key)?;
        check_pair(&**self.provider, name, &key.key, new.certificate)?;
        self.sweep(name, state)?;

        let number = self.next_number(name, state)?;
        let written = self
            .write_parts(name, number, &key, new, is_confirmed)
            .and_then(|()| self.backend.sync())
            .and_then(|()| self.read_back(name, number, new, &key));
        if written.is_err() {
            let _ = self.remove_generation(name, number).and_then(|()| self.backend.sync());
        }
        written
    }

    /// The number that no generation of the identity ever had.
    pub fn next_number(&mut self, name: &str, state: IdentityState) -> Result<u32, StoreError> {
        let left = self.numbers(name)?.last().copied().unwrap_or(0);
        let last = self.last_number(name, state)?.max(left);
        last.checked_add(1).ok_or_else(|| StoreError::corrupt(identity_key(name), "its last number is beyond all"))
    }

    fn write_parts(
        &mut self,
        name: &str,
        number: u32,
        key: &KeyRecord,
        new: &NewIdentity<'_>,
        is_confirmed: bool,
    ) -> Result<(), StoreError> {
        let place = generation_key(name, number);
        let certificate = pem::encode("CERTIFICATE", new.certificate.as_der());
        let chain: String = new.issuers().iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect();
        let chain_digest =
            if new.issuers().is_empty() { "-".to_owned() } else { digest_hex(&**self.provider, &[chain.as_bytes()])? };
        let meta = Record::new()
            .with("generation", number)
            .with("purpose", new.purpose)
            .with("created", new.at.unix())
            .with("certificate", digest_hex(&**self.provider, &[certificate.as_bytes()])?)
            .with("chain", chain_digest)
            .with("key", digest_hex(&**self.provider, &[&key.bytes])?)
            .encode("generation", &**self.provider)?;

        self.backend.write(&format!("{place}/{}", key.file), &key.bytes)?;
        self.backend.write(&format!("{place}/certificate.pem"), certificate.as_bytes())?;
        if !new.issuers().is_empty() {
            self.backend.write(&format!("{place}/chain.pem"), chain.as_bytes())?;
        }
        if !is_confirmed {
            // That it is there says all.
            self.backend.write_spare(&format!("{place}/unconfirmed"), b"issued, not confirmed to the CA yet\n")?;
        }
        // It may become durable before the others do: a generation that lacks a part is incomplete.
        self.backend.write(&format!("{place}/meta"), &meta)
    }

    fn read_back(
        &mut self,
        name: &str,
        number: u32,
        new: &NewIdentity<'_>,
        key: &KeyRecord,
    ) -> Result<Identity, StoreError> {
        let place = generation_key(name, number);
        let differs = |what: &str| {
            let detail = format!("what was read back differs from what was written: {what}");
            StoreError::new(StoreErrorKind::VerifyAfterWrite, &place, detail)
        };
        let found = self.load(name, number).map_err(|e| differs(&e.to_string()))?;
        if found.certificate != *new.certificate || found.chain != new.issuers() {
            return Err(differs("certificates"));
        }
        if found.key.spki() != key.key.spki() {
            return Err(differs("key"));
        }
        Ok(found)
    }

    fn new_key(&mut self, name: &str, state: IdentityState, key: &NewKey<'_>) -> Result<KeyRecord, StoreError> {
        match key {
            NewKey::Given(key) => self.record_of(name, key),
            NewKey::Pending(label) => {
                check_name(label)?;
                let place = format!("pending/{label}");
                self.load_key(&place).map_err(|e| match e.kind {
                    StoreErrorKind::Corrupt if e.place == place => {
                        StoreError::not_found(&place, "there is no pending key with this label")
                    }
                    _ => e,
                })
            }
            NewKey::Current => match state.current {
                Some(number) => self.load_key(&generation_key(name, number)),
                None => {
                    Err(StoreError::not_found(identity_key(name), "there is no current generation whose key to keep"))
                }
            },
        }
    }

    /// A key as its record.
    pub fn record_of(&mut self, place: &str, key: &Signer) -> Result<KeyRecord, StoreError> {
        match key {
            Signer::Key(key) => self.hold(place, &**key),
            Signer::Deferred(reference) => self.refer(place, reference),
        }
    }

    /// A software key as its record: PKCS#8 in PEM, encrypted if there is a secret.
    fn seal(&mut self, place: &str, pkcs8: &[u8]) -> Result<KeyRecord, StoreError> {
        let failed = |e: CryptoError| StoreError::key(place, &e);
        let key = self.provider.import_pkcs8(pkcs8).map_err(failed)?;
        let text = match &self.options.key_secret {
            None => pem::encode("PRIVATE KEY", pkcs8),
            Some(secret) => {
                let secret = secret()?;
                if secret.is_empty() {
                    let detail = "the secret that is to seal the key is empty: the key would lie open";
                    return Err(StoreError::new(StoreErrorKind::Secret, place, detail));
                }
                let sealed = match self.options.key_scrypt {
                    Some(n) => keys::encrypt_pkcs8_scrypt(&**self.provider, pkcs8, &secret, n),
                    None => keys::encrypt_pkcs8(&**self.provider, pkcs8, &secret, self.options.key_iterations),
                };
                pem::encode("ENCRYPTED PRIVATE KEY", &sealed.map_err(failed)?)
            }
        };
        let bytes = zeroize::Zeroizing::new(text.as_bytes().to_vec());
        Ok(KeyRecord { key: Signer::Key(key), file: HELD, bytes })
    }

    /// A key at hand: sealed, or referred to if it cannot leave its home and knows where that is.
    fn hold(&mut self, place: &str, key: &dyn PrivateKey) -> Result<KeyRecord, StoreError> {
        match (key.to_pkcs8(), KeyReference::of(key)) {
            (Some(pkcs8), _) => self.seal(place, &pkcs8),
            (None, Some(reference)) => self.refer(place, &reference),
            (None, None) => {
                let detail = "the key cannot leave its home; keep a reference to it";
                Err(StoreError::new(StoreErrorKind::Key, place, detail))
            }
        }
    }

    /// A reference as its record.
    fn refer(&mut self, place: &str, reference: &KeyReference) -> Result<KeyRecord, StoreError> {
        let words = &reference.reference;
        if words.is_empty() || words.len() > 1024 || words.chars().any(char::is_control) {
            let detail = "a key reference is one line of 1 to 1024 bytes";
            return Err(StoreError::new(StoreErrorKind::Key, place, detail));
        }
        let bytes = Record::new()
            .with("reference", words)
            .with("spki", x509::hex(&reference.spki))
            .encode("key-reference", &**self.provider)?;
        let key = Signer::Deferred(reference.clone());
        Ok(KeyRecord { key, file: REFERENCE, bytes: zeroize::Zeroizing::new(bytes) })
    }

    // ---- removing -----------------------------------------------------------------------------------------------

    /// Removes a generation, meta first: what lacks a part is incomplete; then the key. The mark of one that was not confirmed goes last,
    /// so that it never looks like one that was.
    pub fn remove_generation(&mut self, name: &str, number: u32) -> Result<(), StoreError> {
        let (prefix, mark) = (format!("{}/", generation_key(name, number)), "unconfirmed");
        self.backend.remove(&format!("{prefix}meta"), false)?;
        let keys = self.backend.list(&prefix)?;
        let is_marked = keys.iter().any(|key| key.ends_with(mark));
        if is_marked {
            self.backend.sync()?;
        }
        let is_key = |key: &&String| key.ends_with(HELD) || key.ends_with(REFERENCE);
        for key in keys.iter().filter(is_key).chain(keys.iter().filter(|key| !is_key(key) && !key.ends_with(mark))) {
            self.backend.remove(key, key.ends_with(HELD))?;
        }
        if is_marked { self.backend.remove(&format!("{prefix}{mark}"), false) } else { Ok(()) }
    }

    /// Removes incomplete generations, and generations beyond the retention count. What `state` names is never touched.
    pub fn sweep(&mut self, name: &str, state: IdentityState) -> Result<(), StoreError> {
        let named = [state.current, state.previous, state.pending];
        let mut kept = [state.current, state.previous].iter().flatten().count();
        let has_pointer = self.has_pointer(name)?;
        let is_being_removed = state == IdentityState::default();
        let retention_count = if is_being_removed { 0 } else { self.options.retention_count.max(2) };
        for number in self.numbers(name)?.into_iter().rev() {
            if named.contains(&Some(number)) {
                continue;
            }
            let is_complete = self.is_complete(name, number)?;
            // Whole generations without any pointer are for `repair` to judge, not rubbish.
            let is_kept = is_complete && (!has_pointer || kept < retention_count);
            if is_kept {
                kept += 1;
            } else if !self.is_waited_for(name, number, state)? {
                self.remove_generation(name, number)?;
            }
        }
        Ok(())
    }
}

/// Who cannot open a key is told which secret it is about, and what there is to be done without it.
fn about_seal(error: StoreError) -> StoreError {
    if error.kind != StoreErrorKind::Secret {
        return error;
    }
    let words = "the key is sealed under another secret for keys at rest (device.seal) than is given now: give it that one; where it is lost \
                 for good, a new certificate is asked for by another credential once this one has ended, or as soon as `devid store remove` \
                 has removed it";
    StoreError { detail: format!("{}; {words}", error.detail), ..error }
}

/// The key signs, its own public half verifies, and the certificate certifies that one.
fn check_pair(provider: &dyn Provider, name: &str, key: &Signer, certificate: &Certificate) -> Result<(), StoreError> {
    let place = identity_key(name);
    if !keys::same_public_key(key.spki(), certificate.spki()) {
        let detail = "the certificate is for another key";
        return Err(StoreError::new(StoreErrorKind::KeyMismatch, place, detail));
    }
    match key {
        Signer::Key(key) => self_test(provider, &**key).map_err(|e| StoreError::key(&place, &e)),
        Signer::Deferred(_) => Ok(()),
    }
}

/// A private key whose halves do not fit would be noticed only when the device needs it.
fn self_test(provider: &dyn Provider, key: &dyn PrivateKey) -> Result<(), CryptoError> {
    let algorithm = key.default_signature();
    let message = b"devid: does this key work?";
    let signature = key.sign(&algorithm, message)?;
    provider
        .verify(&algorithm, key.spki(), message, &signature, true)
        .map_err(|_| CryptoError::BadKey("its private and public halves do not belong together".to_owned()))
}

/// RFC 5280 6.1: each certificate's issuer is the next one's subject.
fn check_chain(name: &str, certificate: &Certificate, chain: &[Certificate]) -> Result<(), StoreError> {
    let mut below = certificate;
    for (index, above) in chain.iter().enumerate() {
        if !same_name(below.issuer(), above.subject()) {
            let detail = format!("certificate {} of the chain did not issue the one before it: {above}", index + 1);
            return Err(StoreError::new(StoreErrorKind::Chain, identity_key(name), detail));
        }
        below = above;
    }
    Ok(())
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}
