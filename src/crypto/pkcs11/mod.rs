//! Private keys in PKCS#11 tokens: HSMs, smart cards, TPMs behind tpm2-pkcs11. The private half never leaves the token.
//!
//! A key is named by its URI (RFC 7512), which is also what device memory keeps of it. The module is a library that is
//! loaded into the process: as trustworthy as the program itself, so its path comes from the program.
//!
//! RSA (PKCS#1 v1.5 and PSS) and ECDSA; the message is hashed here, so that the simplest mechanisms of a token are enough.

mod half;
mod pin;
mod token;
mod uri;
mod words;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use zeroize::Zeroizing;

use super::external::{ExternalKey, ecdsa_signature_to_der};
use super::keys::same_public_key;
use super::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm, default_provider};
use crate::asn1::der::{element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::codes::Code;
use crate::error::Error;
use half::{Described, Half};
pub use pin::forget_refused_pins;
pub(crate) use pin::{
    RefusedPin, have_kept_refused_pins, is_about_to_try, is_given_by, is_not_tried, merge_refused_pins,
    recall_refused_pins, when_refused,
};
use token::{Module, Token, Way, may_begin_anew};
pub use uri::{TokenUri, UriError};

/// For which token a PIN is asked.
#[derive(Clone, Debug)]
pub struct PinRequest {
    /// The token's label.
    pub token: String,
    /// Its serial number.
    pub serial: String,
    /// One more wrong PIN locks the token. Never set: no PIN is asked for then, so that no program locks a token by itself.
    pub is_final_try: bool,
    /// The token says that a wrong PIN was given since the last login (CKF_USER_PIN_COUNT_LOW).
    pub is_count_low: bool,
}

/// Gives the user's PIN. Called when a token wants a login, in the thread that uses the key; must not use the key.
pub type PinSource = Arc<dyn Fn(&PinRequest) -> Result<Zeroizing<String>, CryptoError> + Send + Sync>;

/// Why a key in a token cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// The URI is not understood.
    Uri(UriError),
    /// The module cannot be loaded.
    Module(String),
    /// The token is not there now.
    Away(String),
    /// The key is not in the token.
    NotFound(String),
    /// The key is there already.
    Exists(String),
    /// More than one token or key fits the URI.
    Ambiguous(String),
    /// The token does not take the PIN.
    WrongPin(String),
    /// The token takes no PIN any more.
    PinLocked(String),
    /// The program gave no PIN.
    NoPin(CryptoError),
    /// The kind of key or the algorithm is not supported.
    Unsupported(String),
    /// The token failed.
    Failed(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::NoPin(CryptoError::External(_, words)) => write!(f, "no PIN: {words}"),
            TokenError::NoPin(error) => write!(f, "no PIN: {error}"),
            TokenError::Uri(error) => write!(f, "{error}"),
            TokenError::Module(words)
            | TokenError::Away(words)
            | TokenError::NotFound(words)
            | TokenError::Exists(words)
            | TokenError::Ambiguous(words)
            | TokenError::WrongPin(words)
            | TokenError::PinLocked(words)
            | TokenError::Unsupported(words)
            | TokenError::Failed(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for TokenError {}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        let code = match &error {
            TokenError::NoPin(error) => return Error::from(error.clone()).context("no PIN"),
            TokenError::Uri(_) | TokenError::Ambiguous(_) => Code::InvalidArgument,
            TokenError::Away(_) | TokenError::NotFound(_) => Code::NotFound,
            TokenError::Exists(_) => Code::Exists,
            TokenError::WrongPin(_) | TokenError::PinLocked(_) => Code::WrongSecret,
            TokenError::Unsupported(_) => Code::Algorithm,
            TokenError::Module(_) | TokenError::Failed(_) => Code::Signer,
        };
        Error::caused_by(code, error)
    }
}

impl From<TokenError> for CryptoError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NoPin(CryptoError::External(number, words)) => {
                CryptoError::External(number, format!("no PIN: {words}"))
            }
            other => CryptoError::External(0, other.to_string()),
        }
    }
}

/// A private key in a token.
pub struct TokenKey {
    /// Signs by way of the token, and checks what comes.
    key: ExternalKey,
    reference: String,
}

impl TokenKey {
    /// The key that a URI names. `module` is the path of the PKCS#11 library; without, the URI's `module-path`.
    ///
    /// Token and key must be there, and one each. The session is opened again when the token went away and came back.
    pub fn open(module: Option<&str>, uri: &str, pin: PinSource) -> Result<Self, TokenError> {
        Self::open_by(&Way::find(module, uri, pin)?)
    }

    /// The same where the key's public half is known: of several keys that the URI names, such as by a label alone, it is the one with
    /// this SubjectPublicKeyInfo.
    pub fn open_known(module: Option<&str>, uri: &str, spki: &[u8], pin: PinSource) -> Result<Self, TokenError> {
        Self::open_by(&Way { spki: Some(spki.into()), ..Way::find(module, uri, pin)? })
    }

    fn open_by(way: &Way) -> Result<Self, TokenError> {
        let _turn = way.module.turn();
        let token = way.module.token(&way.uri)?;
        let session = token.open(&way.pin, false)?;
        let handle = private_key(way, &token, &session)?;
        Self::of(way, &token, session, handle)
    }

    /// Makes a key pair in the token, which neither shows the private half nor lets it out. The URI names the token and
    /// the key to be, by `object`; without `id` a random one is taken. No key of that name may be there.
    pub fn generate(module: Option<&str>, uri: &str, kind: KeyKind, pin: PinSource) -> Result<Self, TokenError> {
        let mut way = Way::find(module, uri, pin)?;
        let module = way.module.clone();
        let _turn = module.turn();
        let token = module.token(&way.uri)?;
        let Some(label) = way.uri.object.clone() else {
            return Err(TokenError::Uri(UriError::NoObject));
        };
        let session = token.open(&way.pin, true)?;
        if !token.objects(&session, ObjectClass::PRIVATE_KEY, Some(label.as_bytes()), way.uri.id.as_deref())?.is_empty()
        {
            return Err(TokenError::Exists(format!("there is a private key for {} already", way.uri)));
        }
        if way.uri.id.is_none() {
            Arc::make_mut(&mut way.uri).id = Some(fresh_id()?);
        }
        Self::make(&way, &token, session, kind)
    }

    /// The words by which a key would be known that [`TokenKey::generate_marked`] made now. No login, and nothing is made:
    /// [`TokenKey::generate_announced`] makes it.
    pub fn announce(module: Option<&str>, uri: &str) -> Result<String, TokenError> {
        let way = Way::find(module, uri, nobodys_pin())?;
        let _turn = way.module.turn();
        let token = way.module.token(&way.uri)?;
        let TokenUri { object, id, .. } = way.uri.marked(fresh_id()?);
        let (label, serial) = (token.info.label().to_owned(), token.info.serial_number().to_owned());
        Ok(TokenUri { token: Some(label), serial: Some(serial), object, id, ..TokenUri::default() }.to_string())
    }

    /// Makes the key pair that was [announced](TokenKey::announce) by these words.
    pub fn generate_announced(
        module: Option<&str>,
        words: &str,
        kind: KeyKind,
        pin: PinSource,
    ) -> Result<Self, TokenError> {
        let way = Way::find(module, words, pin)?;
        if !way.uri.is_marked() {
            return Err(TokenError::Uri(UriError::NotAnnounced(way.uri.to_string())));
        }
        let module = way.module.clone();
        let _turn = module.turn();
        let token = module.token(&way.uri)?;
        let session = token.open(&way.pin, true)?;
        Self::make(&way, &token, session, kind)
    }

    /// Whether the token shows the public half of a key to whoever is not logged in.
    pub fn shows_public_half(module: Option<&str>, uri: &str, spki: &[u8]) -> Result<bool, TokenError> {
        let way = Way::find(module, uri, nobodys_pin())?;
        let _turn = way.module.turn();
        let token = way.module.token(&way.uri)?;
        let session = token.open_public()?;
        half::is_shown(&token, &session, &way.uri, spki)
    }

    /// Makes a key pair in the token and under the name that the URI says, which may be that of another key: each gets a
    /// CKA_ID of its own, and the beginning of that behind its name.
    pub fn generate_marked(module: Option<&str>, uri: &str, kind: KeyKind, pin: PinSource) -> Result<Self, TokenError> {
        let mut way = Way::find(module, uri, pin)?;
        let module = way.module.clone();
        let _turn = module.turn();
        let token = module.token(&way.uri)?;
        way.uri = Arc::new(way.uri.marked(fresh_id()?));
        let session = token.open(&way.pin, true)?;
        Self::make(&way, &token, session, kind)
    }

    /// The pair that the URI names in full.
    fn make(way: &Way, token: &Token, session: Session, kind: KeyKind) -> Result<Self, TokenError> {
        let label = way.uri.object.clone().unwrap_or_default();
        let id = way.uri.id.clone().unwrap_or_default();
        let (mechanism, of_kind) = generation(kind)?;
        let named = [Attribute::Token(true), Attribute::Label(label.into_bytes()), Attribute::Id(id)];
        let mut public = named.to_vec();
        public.extend([Attribute::Private(false), Attribute::Verify(true)]);
        public.extend(of_kind);
        let mut private = named.to_vec();
        private.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        let (twin, handle) = session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|error| token.failed("making a key", &error))?;
        let writing = token.open(&way.pin, true);
        let made = Self::of(way, token, session, handle);
        if let (Err(_), Ok(writing)) = (&made, writing) {
            // A key that nobody got is in the way of the next try.
            for object in [handle, twin] {
                let _ = writing.destroy_object(object);
            }
        }
        made
    }

    /// Destroys the private key that a URI names, and its public twin: when the identity it was for is gone for good.
    pub fn destroy(module: Option<&str>, uri: &str, pin: PinSource) -> Result<(), TokenError> {
        Self::destroy_by(&Way::find(module, uri, pin)?)
    }

    /// The same where the key's public half is known: no other key goes in its place.
    pub fn destroy_known(module: Option<&str>, uri: &str, spki: &[u8], pin: PinSource) -> Result<(), TokenError> {
        Self::destroy_by(&Way { spki: Some(spki.into()), ..Way::find(module, uri, pin)? })
    }

    fn destroy_by(way: &Way) -> Result<(), TokenError> {
        let _turn = way.module.turn();
        let token = way.module.token(&way.uri)?;
        let session = token.open(&way.pin, true)?;
        let key = private_key(way, &token, &session)?;
        if way.spki.is_some() && !is_known_key(way, &token, &session, key) {
            return Err(TokenError::NotFound(format!("the private key for {} in the token is another one", way.uri)));
        }
        let mut objects = vec![key];
        // Without a public half that is surely the key's own, no public object goes: it may be a neighbour's.
        if let Ok(described) = Described::read(&token, &session, key) {
            if let Ok(half) = known_half(way, &token, &session, &described) {
                objects.extend(described.twins(&token, &session, &half)?);
            }
        }
        let failed = |error| token.failed("destroying a key", &error);
        objects.into_iter().try_for_each(|object| session.destroy_object(object)).map_err(failed)
    }

    fn of(way: &Way, token: &Token, session: Session, handle: ObjectHandle) -> Result<Self, TokenError> {
        let described = Described::read(token, &session, handle)?;
        let half = known_half(way, token, &session, &described)?;
        let label = String::from_utf8(described.label.clone()).ok().filter(|label| !label.is_empty());
        // By every name that the key has: a second one with the same label is no trouble then.
        let uri = TokenUri {
            token: Some(token.info.label().to_owned()),
            serial: Some(token.info.serial_number().to_owned()),
            manufacturer: None,
            model: None,
            slot_id: None,
            module_path: None,
            object: label.or_else(|| way.uri.object.clone()),
            id: Some(described.id.clone()).filter(|id| !id.is_empty()).or_else(|| way.uri.id.clone()),
        };
        let reference = uri.to_string();
        let spki = Some(Arc::from(&half.spki[..]));
        let again = Way { uri: Arc::new(TokenUri { slot_id: way.uri.slot_id, ..uri }), spki, ..way.clone() };
        let held = Held::new(&again.module, session, described);
        let open = Mutex::new(Some(held));
        let spki = half.spki.clone();
        let sign = move |algorithm: &SignatureAlgorithm, message: &[u8]| {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(sign(&again, &mut open, half.kind, algorithm, message)?)
        };
        let key = ExternalKey::new(&spki, sign).map_err(|error| TokenError::Unsupported(error.to_string()))?;
        Ok(TokenKey { key, reference })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {})", self.key.kind(), self.reference)
    }
}

impl PrivateKey for TokenKey {
    fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    fn kind(&self) -> KeyKind {
        self.key.kind()
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.key.sign(algorithm, message)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn reference(&self) -> Option<&str> {
        Some(&self.reference)
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.key.decrypt(scheme, ciphertext)
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.key.agree(peer_point)
    }
}

/// An open session and the key in it.
struct Held {
    /// Empty only while it is dropped.
    session: Option<Session>,
    key: Described,
    module: Module,
    epoch: u64,
}

impl Held {
    fn new(module: &Module, session: Session, key: Described) -> Self {
        Held { session: Some(session), key, epoch: module.epoch(), module: module.clone() }
    }

    /// The session, unless the module was initialized anew since: then its number may be another session's.
    fn session(&self) -> Option<&Session> {
        self.session.as_ref().filter(|_| self.epoch == self.module.epoch())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.epoch != self.module.epoch() {
            // To close it could close another one.
            std::mem::forget(self.session.take());
        }
    }
}

/// The one private key that is meant. What a URI names may be there more than once, as a label is nobody's own (PKCS#11 2.40 4.4): the
/// public half tells them apart, where it is known.
fn private_key(way: &Way, token: &Token, session: &Session) -> Result<ObjectHandle, TokenError> {
    let (found, uri) = (token.private_keys(session, &way.uri)?, &way.uri);
    match (found.as_slice(), &way.spki) {
        ([key], _) => Ok(*key),
        ([], _) => Err(TokenError::NotFound(format!("there is no private key for {uri} in the token"))),
        (several, None) => {
            Err(TokenError::Ambiguous(format!("{} private keys fit {uri}; name it by object and id", several.len())))
        }
        (several, Some(_)) => {
            let own = several.iter().find(|key| is_known_key(way, token, session, **key));
            own.copied().ok_or_else(|| {
                let words =
                    format!("{} private keys fit {uri}, and none of them is the one that is known", several.len());
                TokenError::NotFound(words)
            })
        }
    }
}

/// Whether a key's public half is the one that is known. One that cannot be told is not.
fn is_known_key(way: &Way, token: &Token, session: &Session, key: ObjectHandle) -> bool {
    let half = Described::read(token, session, key).and_then(|key| known_half(way, token, session, &key));
    half.is_ok_and(|half| way.spki.as_ref().is_some_and(|spki| same_public_key(&half.spki, spki)))
}

/// The public half of a key, by a signature where nothing else tells. Where the token has lost it, the one that is known is enough, if it is
/// this key's.
fn known_half(way: &Way, token: &Token, session: &Session, key: &Described) -> Result<Half, TokenError> {
    let proves = |half: &Half| {
        const MESSAGE: &[u8] = b"which public key is this key's own";
        let algorithm = half.kind.default_signature();
        let (mechanism, data) = mechanism(half.kind, &algorithm, MESSAGE)?;
        let signature = match sign_once(way, token, session, key, &mechanism, &data)? {
            Ok(signature) => signature,
            // A key of another size or curve says so.
            Err(_) => return Ok(false),
        };
        let Ok(signature) = encoded(&algorithm, signature) else { return Ok(false) };
        Ok(default_provider().verify(&algorithm, &half.spki, MESSAGE, &signature, false).is_ok())
    };
    match (key.public_half(token, session, proves), way.spki.as_deref().and_then(half::of_spki)) {
        (Err(TokenError::NotFound(_)), Some(known)) if proves(&known)? => Ok(known),
        (found, _) => found,
    }
}

/// C_SignInit and C_Sign, with the login between that some keys want for each signature (CKA_ALWAYS_AUTHENTICATE,
/// PKCS#11 2.40 4.9 and 5.6.6).
fn sign_once(
    way: &Way,
    token: &Token,
    session: &Session,
    key: &Described,
    mechanism: &Mechanism<'_>,
    data: &[u8],
) -> Result<Result<Vec<u8>, cryptoki::error::Error>, TokenError> {
    if !key.asks_always {
        return Ok(session.sign(mechanism, key.handle, data));
    }
    if let Err(error) = session.sign_init(mechanism, key.handle) {
        return Ok(Err(error));
    }
    token.login(session, UserType::ContextSpecific, &way.pin)?;
    Ok(way.module.finish_signing(session, data))
}

fn encoded(algorithm: &SignatureAlgorithm, signature: Vec<u8>) -> Result<Vec<u8>, TokenError> {
    match algorithm {
        SignatureAlgorithm::Ecdsa(_) => {
            ecdsa_signature_to_der(&signature).map_err(|error| TokenError::Failed(error.to_string()))
        }
        _ => Ok(signature),
    }
}

/// Signs, with one more session if the one at hand is of no use any more.
fn sign(
    way: &Way,
    open: &mut Option<Held>,
    kind: KeyKind,
    algorithm: &SignatureAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, TokenError> {
    let (mechanism, data) = mechanism(kind, algorithm, message)?;
    let _turn = way.module.turn();
    if let Some(held) = open {
        if let Some(session) = held.session() {
            // A key that asks each time needs the token's own words for it.
            let token = if held.key.asks_always { way.module.token(&way.uri).ok() } else { None };
            let outcome = match (&token, held.key.asks_always) {
                (Some(token), _) => Some(sign_once(way, token, session, &held.key, &mechanism, &data)?),
                (None, false) => Some(session.sign(&mechanism, held.key.handle, &data)),
                (None, true) => None,
            };
            match outcome {
                Some(Ok(signature)) => return encoded(algorithm, signature),
                Some(Err(error)) if !may_begin_anew(&error) => {
                    return Err(TokenError::Failed(format!("signing by {}: {}", way.uri, words::name(&error))));
                }
                _ => {}
            }
        }
    }
    // The old one goes first: with it, the login may end that the new one finds.
    *open = None;
    let token = way.module.token(&way.uri)?;
    let session = token.open(&way.pin, false)?;
    let key = Described::read(&token, &session, private_key(way, &token, &session)?)?;
    let signature = sign_once(way, &token, &session, &key, &mechanism, &data)?;
    let signature = signature.map_err(|error| token.failed("signing", &error))?;
    *open = Some(Held::new(&way.module, session, key));
    encoded(algorithm, signature)
}

/// The mechanism that takes a digest, and what it takes.
fn mechanism(
    kind: KeyKind,
    algorithm: &SignatureAlgorithm,
    message: &[u8],
) -> Result<(Mechanism<'static>, Vec<u8>), TokenError> {
    let unsupported = || TokenError::Unsupported(format!("{algorithm} by a key in a token"));
    let digest = algorithm.digest().ok_or_else(unsupported)?;
    let value = default_provider().digest(digest, &[message]).map_err(|_| unsupported())?;
    Ok(match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => {
            // DigestInfo (RFC 8017 section 9.2).
            let identifier = sequence(&[&element(0x06, &[digest.oid().as_bytes()]), &[0x05, 0x00]]);
            (Mechanism::RsaPkcs, sequence(&[&identifier, &element(0x04, &[&value])]))
        }
        SignatureAlgorithm::RsaPss { salt_len, .. } => {
            let (hash_alg, mgf) = match digest {
                DigestAlgorithm::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
                DigestAlgorithm::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
                DigestAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
                DigestAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
                DigestAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
            };
            let s_len = u64::from(*salt_len).into();
            (Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len }), value.to_vec())
        }
        SignatureAlgorithm::Ecdsa(_) => {
            // Not every token cuts a digest to the size of its curve (FIPS 186-5 section 6.4.1).
            let most = match kind {
                KeyKind::P256 => 32,
                KeyKind::P384 => 48,
                _ => 66,
            };
            (Mechanism::Ecdsa, value[..value.len().min(most)].to_vec())
        }
        _ => return Err(unsupported()),
    })
}

/// Of who does not log in.
fn nobodys_pin() -> PinSource {
    Arc::new(|_| Err(CryptoError::NoSecret))
}

fn fresh_id() -> Result<Vec<u8>, TokenError> {
    let mut id = vec![0; 16];
    default_provider().random(&mut id).map_err(TokenError::NoPin)?;
    Ok(id)
}

fn generation(kind: KeyKind) -> Result<(Mechanism<'static>, Vec<Attribute>), TokenError> {
    let curve = |oid: Oid| {
        let parameters = element(0x06, &[oid.as_bytes()]);
        (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(parameters)])
    };
    Ok(match kind {
        KeyKind::P256 => curve(oid::CURVE_P256),
        KeyKind::P384 => curve(oid::CURVE_P384),
        KeyKind::P521 => curve(oid::CURVE_P521),
        KeyKind::Rsa(bits @ 2048..=8192) => {
            let exponent = Attribute::PublicExponent(vec![1, 0, 1]);
            (Mechanism::RsaPkcsKeyPairGen, vec![Attribute::ModulusBits(u64::from(bits).into()), exponent])
        }
        other => return Err(TokenError::Unsupported(format!("keys of type {other} in tokens"))),
    })
}
