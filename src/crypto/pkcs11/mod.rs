//! Private keys in PKCS#11 tokens: HSMs, smart cards, TPMs behind tpm2-pkcs11. The private half never leaves the token.
//!
//! A key is named by its URI (RFC 7512), which is also what device memory keeps of it. The module is a library that is
//! loaded into the process: as trustworthy as the program itself, so its path comes from the program.
//!
//! RSA (PKCS#1 v1.5 and PSS) and ECDSA; the message is hashed here, so that the simplest mechanisms of a token are enough.

mod token;
mod uri;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::der::Tag;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::external::{ExternalKey, ecdsa_signature_to_der};
use super::public_key::encode_spki;
use super::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm, default_provider};
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::codes::Code;
use crate::error::Error;
use token::{Module, Token, Way, is_stale};
pub use uri::TokenUri;

/// For which token a PIN is asked.
#[derive(Clone, Debug)]
pub struct PinRequest {
    /// The token's label.
    pub token: String,
    /// Its serial number.
    pub serial: String,
    /// One more wrong PIN locks the token.
    pub is_final_try: bool,
}

/// Gives the user's PIN. Called when a token wants a login, in the thread that uses the key; must not use the key.
pub type PinSource = Arc<dyn Fn(&PinRequest) -> Result<Zeroizing<String>, CryptoError> + Send + Sync>;

/// Why a key in a token cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// The URI is not understood.
    Uri(String),
    /// The module cannot be loaded.
    Module(String),
    /// The token or the key is not there.
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
            TokenError::NoPin(error) => write!(f, "no PIN: {error}"),
            TokenError::Uri(words)
            | TokenError::Module(words)
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
            TokenError::NotFound(_) => Code::NotFound,
            TokenError::Exists(_) => Code::Exists,
            TokenError::WrongPin(_) | TokenError::PinLocked(_) => Code::WrongSecret,
            TokenError::Unsupported(_) => Code::Algorithm,
            TokenError::Module(_) | TokenError::Failed(_) => Code::Signer,
        };
        Error::new(code, error.to_string())
    }
}

impl From<TokenError> for CryptoError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NoPin(error) => error,
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
        let (way, token) = find(module, uri, pin)?;
        let session = token.open(&way.pin, false)?;
        let handle = token.private_key(&session, &way.uri)?;
        Self::of(way, &token, session, handle)
    }

    /// Makes a key pair in the token, which neither shows the private half nor lets it out. The URI names the token and
    /// the key to be, by `object`; without `id` a random one is taken. No key of that name may be there.
    pub fn generate(module: Option<&str>, uri: &str, kind: KeyKind, pin: PinSource) -> Result<Self, TokenError> {
        let (mut way, token) = find(module, uri, pin)?;
        let Some(label) = way.uri.object.clone() else {
            return Err(TokenError::Uri("the URI of a new key needs object=...".to_owned()));
        };
        let session = token.open(&way.pin, true)?;
        if !token.objects(&session, ObjectClass::PRIVATE_KEY, Some(&label), way.uri.id.as_deref())?.is_empty() {
            return Err(TokenError::Exists(format!("there is a private key for {} already", way.uri)));
        }
        let id = match &way.uri.id {
            Some(id) => id.clone(),
            None => {
                let mut id = vec![0; 16];
                default_provider().random(&mut id).map_err(TokenError::NoPin)?;
                id
            }
        };
        let (mechanism, of_kind) = generation(kind)?;
        let named = [Attribute::Token(true), Attribute::Label(label.into_bytes()), Attribute::Id(id.clone())];
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
        let (_, handle) = session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|error| token.failed("making a key", &error))?;
        Arc::make_mut(&mut way.uri).id = Some(id);
        Self::of(way, &token, session, handle)
    }

    /// Destroys the private key that a URI names, and its public twin: when the identity it was for is gone for good.
    pub fn destroy(module: Option<&str>, uri: &str, pin: PinSource) -> Result<(), TokenError> {
        let (way, token) = find(module, uri, pin)?;
        let session = token.open(&way.pin, true)?;
        let key = token.private_key(&session, &way.uri)?;
        let id = session.get_attributes(key, &[AttributeType::Id]);
        let failed = |error| token.failed("destroying a key", &error);
        let mut objects = vec![key];
        for attribute in id.map_err(failed)? {
            if let Attribute::Id(id) = attribute {
                objects.extend(token.objects(&session, ObjectClass::PUBLIC_KEY, None, Some(&id))?);
            }
        }
        objects.into_iter().try_for_each(|object| session.destroy_object(object)).map_err(failed)
    }

    fn of(way: Way, token: &Token, session: Session, handle: ObjectHandle) -> Result<Self, TokenError> {
        let (kind, spki) = public_half(token, &session, handle)?;
        let reference = TokenUri {
            token: Some(token.info.label().to_owned()),
            serial: Some(token.info.serial_number().to_owned()),
            manufacturer: None,
            model: None,
            slot_id: None,
            module_path: None,
            ..TokenUri::clone(&way.uri)
        };
        let open = Mutex::new(Some((session, handle)));
        let sign = move |algorithm: &SignatureAlgorithm, message: &[u8]| {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(sign(&way, &mut open, kind, algorithm, message)?)
        };
        let key = ExternalKey::new(&spki, sign).map_err(|error| TokenError::Unsupported(error.to_string()))?;
        Ok(TokenKey { key, reference: reference.to_string() })
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

fn find(module: Option<&str>, uri: &str, pin: PinSource) -> Result<(Way, Token), TokenError> {
    let uri = TokenUri::parse(uri).map_err(TokenError::Uri)?;
    let path = module.or(uri.module_path.as_deref());
    let path = path.ok_or_else(|| TokenError::Uri("neither a module nor module-path in the URI".to_owned()))?;
    let module = Module::load(path)?;
    let token = module.token(&uri)?;
    Ok((Way { module, uri: Arc::new(uri), pin }, token))
}

/// Signs, with one more session if the one at hand is of no use any more.
fn sign(
    way: &Way,
    open: &mut Option<(Session, ObjectHandle)>,
    kind: KeyKind,
    algorithm: &SignatureAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, TokenError> {
    let (mechanism, data) = mechanism(kind, algorithm, message)?;
    let finish = |signature: Vec<u8>| match algorithm {
        SignatureAlgorithm::Ecdsa(_) => {
            ecdsa_signature_to_der(&signature).map_err(|error| TokenError::Failed(error.to_string()))
        }
        _ => Ok(signature),
    };
    if let Some((session, handle)) = open {
        match session.sign(&mechanism, *handle, &data) {
            Ok(signature) => return finish(signature),
            Err(error) if is_stale(&error) => {}
            Err(error) => return Err(TokenError::Failed(format!("signing by {}: {error}", way.uri))),
        }
    }
    // The old one goes first: with it, the login may end that the new one finds.
    *open = None;
    let token = way.module.token(&way.uri)?;
    let session = token.open(&way.pin, false)?;
    let handle = token.private_key(&session, &way.uri)?;
    let signature = session.sign(&mechanism, handle, &data).map_err(|error| token.failed("signing", &error))?;
    *open = Some((session, handle));
    finish(signature)
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

/// The public half, from the private object or from its public twin, which has the same id.
fn public_half(token: &Token, session: &Session, key: ObjectHandle) -> Result<(KeyKind, Vec<u8>), TokenError> {
    let read = |object, what: &[AttributeType]| {
        session.get_attributes(object, what).map_err(|error| token.failed("reading the key", &error))
    };
    let mut objects = vec![key];
    let mut is_rsa = false;
    for attribute in read(key, &[AttributeType::KeyType, AttributeType::Id])? {
        match attribute {
            Attribute::KeyType(KeyType::RSA) => is_rsa = true,
            Attribute::KeyType(KeyType::EC) => {}
            Attribute::KeyType(other) => {
                return Err(TokenError::Unsupported(format!("keys of type {other} in tokens")));
            }
            Attribute::Id(id) => objects.extend(token.objects(session, ObjectClass::PUBLIC_KEY, None, Some(&id))?),
            _ => {}
        }
    }
    for object in objects {
        let what = match is_rsa {
            true => [AttributeType::Modulus, AttributeType::PublicExponent],
            false => [AttributeType::EcParams, AttributeType::EcPoint],
        };
        let (mut first, mut second) = (None, None);
        for attribute in read(object, &what)? {
            match attribute {
                Attribute::Modulus(value) | Attribute::EcParams(value) => first = Some(value),
                Attribute::PublicExponent(value) | Attribute::EcPoint(value) => second = Some(value),
                _ => {}
            }
        }
        if let (Some(first), Some(second)) = (first, second) {
            return if is_rsa { Ok(rsa(&first, &second)) } else { ec(&first, &second) };
        }
    }
    Err(TokenError::NotFound("the token does not hold the public half of the key".to_owned()))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> (KeyKind, Vec<u8>) {
    let significant = |number: &[u8]| number[number.iter().take_while(|b| **b == 0).count()..].to_vec();
    let integer = |number: &[u8]| match number.first() {
        None | Some(0x80..) => element(0x02, &[&[0], number]),
        _ => element(0x02, &[number]),
    };
    let (modulus, exponent) = (significant(modulus), significant(exponent));
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let kind = KeyKind::Rsa(modulus.len() as u32 * 8 - leading);
    (kind, encode_spki(kind, &sequence(&[&integer(&modulus), &integer(&exponent)])))
}

/// CKA_EC_POINT is a DER OCTET STRING; some tokens give the point bare.
fn ec(parameters: &[u8], point: &[u8]) -> Result<(KeyKind, Vec<u8>), TokenError> {
    let curves = [
        (KeyKind::P256, oid::CURVE_P256, 65),
        (KeyKind::P384, oid::CURVE_P384, 97),
        (KeyKind::P521, oid::CURVE_P521, 133),
    ];
    let named = |curve: Oid| parameters == element(0x06, &[curve.as_bytes()]);
    let Some((kind, _, len)) = curves.into_iter().find(|(_, curve, _)| named(*curve)) else {
        return Err(TokenError::Unsupported("keys on curves other than P-256, P-384 and P-521 in tokens".to_owned()));
    };
    let unwrapped = |bytes| {
        let mut content = Cursor::new(bytes, "CKA_EC_POINT").ok()?;
        let point = content.expect(Tag::OctetString, "a point").ok()?.value;
        content.finish().ok()?;
        Some(point)
    };
    let point = if point.len() == len { Some(point) } else { unwrapped(point) };
    match point.filter(|point| point.len() == len && point[0] == 4) {
        Some(point) => Ok((kind, encode_spki(kind, point))),
        None => Err(TokenError::Failed("the token's public key is no uncompressed point".to_owned())),
    }
}
