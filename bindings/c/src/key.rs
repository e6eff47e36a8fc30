//! Private keys: made, loaded, or living elsewhere.

use super::args::{Slot, c_text};
use super::prelude::*;
use std::sync::Arc;

use zeroize::Zeroizing;

use devid_core::asn1::pem;
use devid_core::cmp::Signer;
use devid_core::cms::{self, OpenOptions};
use devid_core::crypto::{
    CryptoError, ExternalKey, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm, default_provider, external, keys,
};
use devid_core::limits;

/// A private key, wherever it lives. Never changes; may be shared by threads.
#[handle]
pub type devid_key = Key;

#[doc(hidden)]
pub struct Key {
    pub(super) signer: Signer,
    kind: CString,
    pub(super) reference: CString,
}

impl Key {
    /// The key, if it signs when asked.
    pub(super) fn at_hand(&self) -> Result<&Arc<dyn PrivateKey>, Error> {
        let words = "the key signs elsewhere, as a step of an operation";
        self.signer.held().ok_or_else(|| Error::new(Code::Unsupported, words))
    }
}

/// Binary form.
pub const DEVID_FORM_DER: i32 = 1;
/// Text form (RFC 7468).
pub const DEVID_FORM_PEM: i32 = 2;

/// Signs with a key that lives elsewhere (HSM, TPM, secure element). The signature is checked before it is used.
///
/// algorithm: "RSA-PKCS1-SHA256", "RSA-PSS-SHA256" (salt as long as the digest), "ECDSA-SHA256", "Ed25519", ... and the same
/// with other digests. message: the whole message; hash it as the algorithm says. signature: give the result with
/// devid_bytes_append(); ECDSA as Ecdsa-Sig-Value (DER): devid_key_ecdsa_der(). Return 0, or a negative number to fail.
#[callback]
pub type devid_sign_fn = fn(algorithm: &str, message: &[u8], signature: &mut devid_bytes) -> i32;

/// Decrypts with an RSA key that lives elsewhere: a key for content (RFC 5652 section 6.2.1), or a challenge of a CA.
///
/// scheme: "RSA-OAEP-SHA256" (RSAES-OAEP with that digest for label and MGF1, empty label), "RSA-OAEP-SHA256-MGF1-SHA1" (another digest in
/// MGF1), "RSA-PKCS1" (RSAES-PKCS1-v1_5), the same with other digests. plaintext: give the result with devid_bytes_append(). Return 0;
/// DEVID_E_DECRYPT where the key has answered that it does not open this; or another negative number where the key could not be asked: then an
/// operation stands where it stood, says nothing to the CA, and asks again with its next step. A program that says apart from other failures that
/// a padding is wrong helps who attacks the key.
#[callback]
pub type devid_decrypt_fn = fn(scheme: &str, ciphertext: &[u8], plaintext: &mut devid_bytes) -> i32;

/// Agrees on a secret with an EC or X25519 key that lives elsewhere. point: the other side's, as it stands in its SubjectPublicKeyInfo (on
/// P-256, P-384, P-521 uncompressed: 04, x and y). secret: give the x-coordinate, or what X25519 gives, with devid_bytes_append(). Return 0, or
/// what devid_decrypt_fn returns.
#[callback]
pub type devid_agree_fn = fn(point: &[u8], secret: &mut devid_bytes) -> i32;

/// Ends the use of `user`.
#[callback]
pub type devid_destroy_fn = fn();

impl devid_key {
    pub(super) fn of(key: Arc<dyn PrivateKey>) -> devid_key {
        Self::of_signer(Signer::Key(key))
    }

    pub(super) fn of_signer(signer: Signer) -> devid_key {
        let kind = c_text(&signer.kind().to_string());
        let reference = c_text(signer.reference().unwrap_or_default());
        Key { signer, kind, reference }
    }
}

/// Makes a new key pair in memory.
///
/// @param kind     "P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519", "ML-DSA-44", "ML-DSA-65",
///                 "ML-DSA-87"; keys that do not sign: "X25519", "ML-KEM-512", "ML-KEM-768", "ML-KEM-1024". Not NULL.
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown kind, DEVID_E_ALGORITHM for one that is not built in.
///
/// RSA keys take from a tenth of a second to several seconds.
#[export]
fn devid_key_generate(kind: &str) -> Result<devid_key, Error> {
    Ok(devid_key::of(default_provider().generate_key(KeyKind::named(kind)?)?))
}

/// Reads a private key: PKCS#8, PKCS#8 encrypted with a password (PBES2), PKCS#1, SEC 1.
///
/// @param data          DER, or PEM with one private key (other blocks are skipped). Not NULL.
/// @param data_len      Length of `data` in bytes, without a trailing NUL.
/// @param password      Used only for an encrypted key. May be NULL.
/// @param out_key       Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_WRONG_SECRET if a password is missing or wrong; DEVID_E_BAD_KEY, DEVID_E_ALGORITHM.
#[export]
fn devid_key_load(data: &[u8], password: Option<&[u8]>) -> Result<devid_key, Error> {
    Ok(devid_key::of(keys::load_private_key(&*default_provider(), data, password)?))
}

/// A key that lives elsewhere: each signature is asked from a callback.
///
/// @param spki      The public half: SubjectPublicKeyInfo, DER. Not NULL.
/// @param sign      Signs; called in the thread that uses the key, from several at once if the key is shared. Not NULL.
/// @param user      Passed to `sign` and `destroy`. May be NULL.
/// @param destroy   Called once, when the key and everything made with it is gone, or when this call fails. May be NULL.
/// @param out_key   Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_BAD_KEY, DEVID_E_ALGORITHM if the public half cannot be used.
#[export]
fn devid_key_from_callback(spki: &[u8], sign: devid_sign_fn, user: User) -> Result<devid_key, Error> {
    Ok(devid_key::of(Arc::new(external_key(spki, sign, Arc::new(user))?)))
}

/// As devid_key_from_callback(), for a key that does more than sign: it opens keys that a CA's side made (devid_op_enroll_central()),
/// certificates and challenges that are sent encrypted to it (devid_config_set_possession()), and what devid_key_decrypt() is given.
///
/// @param spki      The public half: SubjectPublicKeyInfo, DER. Not NULL.
/// @param sign      As devid_key_from_callback(). Not NULL.
/// @param decrypt   For an RSA key; called as `sign` is. NULL: it does not decrypt. May be NULL.
/// @param agree     For an EC or X25519 key; called as `sign` is. NULL: it does not agree. May be NULL.
/// @param user      Passed to `sign`, `decrypt`, `agree` and `destroy`. May be NULL.
/// @param destroy   Called once, when the key and everything made with it is gone, or when this call fails. May be NULL.
/// @param out_key   Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_BAD_KEY, DEVID_E_ALGORITHM if the public half cannot be used.
#[export]
fn devid_key_from_callbacks(
    spki: &[u8],
    sign: devid_sign_fn,
    decrypt: Option<devid_decrypt_fn>,
    agree: Option<devid_agree_fn>,
    user: User,
) -> Result<devid_key, Error> {
    let user = Arc::new(user);
    let mut key = external_key(spki, sign, user.clone())?;
    if let Some(decrypt) = decrypt {
        let user = user.clone();
        key = key.with_decrypt(move |scheme: RsaEncryption, ciphertext: &[u8]| {
            opened(|buffer| devid_decrypt_fn(decrypt, &user, &scheme.to_string(), ciphertext, buffer))
        });
    }
    if let Some(agree) = agree {
        key = key.with_agree(move |point: &[u8]| opened(|buffer| devid_agree_fn(agree, &user, point, buffer)));
    }
    Ok(devid_key::of(Arc::new(key)))
}

fn external_key(spki: &[u8], sign: devid_sign_fn, user: Arc<User>) -> Result<ExternalKey, CryptoError> {
    ExternalKey::new(spki, move |algorithm: &SignatureAlgorithm, message: &[u8]| {
        let signature = given(|buffer| devid_sign_fn(sign, &user, &algorithm.name(), message, buffer))?;
        Ok(signature.to_vec())
    })
}

/// What a function of the program gives for a key.
fn given(ask: impl FnOnce(&Slot<devid_bytes>) -> i32) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    match devid_bytes::filled_by(limits::MAX_SIGNATURE_BYTES, ask) {
        (0, Ok(bytes)) => Ok(bytes),
        (0, Err(error)) => Err(CryptoError::External(0, error.message().to_owned())),
        (number, _) => Err(CryptoError::External(number, format!("the callback answered {number}"))),
    }
}

/// The same for one that opens something: that it does not is an answer, too.
fn opened(ask: impl FnOnce(&Slot<devid_bytes>) -> i32) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    given(ask).map_err(|error| match error {
        CryptoError::External(number, _) if number == Code::Decrypt.number() => CryptoError::Decrypt,
        other => other,
    })
}

/// A key that signs elsewhere as a step of an operation: devid_op_step() answers DEVID_ACTION_SIGN.
///
/// @param spki      The public half: SubjectPublicKeyInfo, DER. Not NULL.
/// @param out_key   Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER if the public half cannot be read.
#[export]
fn devid_key_deferred(spki: &[u8]) -> Result<devid_key, Error> {
    Ok(devid_key::of_signer(Signer::deferred(spki.to_vec())?))
}

/// An ECDSA signature as it goes into certificates and messages, from the two numbers in a row that a secure element or a token gives.
/// For devid_sign_fn and devid_op_put_signature().
///
/// @param numbers        r, then s, big endian, each half of the bytes. Not NULL.
/// @param out_signature  Receives Ecdsa-Sig-Value (RFC 3279 section 2.2.3), DER; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_ALGORITHM if there are no bytes, or an odd number of them.
#[export]
fn devid_key_ecdsa_der(numbers: &[u8]) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&external::ecdsa_signature_to_der(numbers)?))
}

/// The public half of a key on a curve, from the point that a secure element or a token gives. For devid_key_from_callback() and
/// devid_key_deferred().
///
/// @param kind      "P-256", "P-384", "P-521". Not NULL.
/// @param point     04, x and y; or x and y alone; or the former in an OCTET STRING, as PKCS#11's CKA_EC_POINT has it. Not NULL.
/// @param out_spki  Receives SubjectPublicKeyInfo (RFC 5480), DER; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_BAD_KEY for another length or a point that does not lie on the curve, DEVID_E_ALGORITHM for a kind
///         without points, DEVID_E_INVALID_ARGUMENT for an unknown kind.
#[export]
fn devid_key_ec_public(kind: &str, point: &[u8]) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&external::ec_public_key(KeyKind::named(kind)?, point)?))
}

/// Type and size of a key, such as "P-256" or "RSA-2048".
///
/// @return Never NULL; valid until the key is freed.
#[export]
fn devid_key_kind(key: &devid_key) -> &CStr {
    &key.kind
}

/// The public half of a key of one's own, SubjectPublicKeyInfo (DER).
///
/// @param out_spki  Receives the bytes; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_key_public(key: &devid_key) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(key.signer.spki()))
}

/// The private key unencrypted, PKCS#8 (RFC 5958). For keys that leave memory, devid_key_export_encrypted() is the better
/// choice.
///
/// @param form       DEVID_FORM_DER or DEVID_FORM_PEM.
/// @param out_pkcs8  Receives the key; devid_bytes_free() wipes it. Not NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if the key cannot leave its home.
#[export]
fn devid_key_export_plain(key: &devid_key, form: i32) -> Result<devid_bytes, Error> {
    let pkcs8 = key.at_hand()?.to_pkcs8().ok_or(CryptoError::KeyCannot("leave its home"))?;
    in_form(form, "PRIVATE KEY", &pkcs8)
}

/// The private key encrypted with a password: PKCS#8 with PBES2, PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018).
///
/// @param password      Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param iterations    Of PBKDF2; 0 means 600000.
/// @param form          DEVID_FORM_DER or DEVID_FORM_PEM.
/// @param out_pkcs8     Receives the encrypted key; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if the key cannot leave its home.
#[export]
fn devid_key_export_encrypted(
    key: &devid_key,
    password: &[u8],
    iterations: u32,
    form: i32,
) -> Result<devid_bytes, Error> {
    if password.is_empty() {
        return Err(Error::new(Code::InvalidArgument, "an empty password protects nothing"));
    }
    let iterations = if iterations == 0 { 600_000 } else { iterations };
    let pkcs8 = key.at_hand()?.to_pkcs8().ok_or(CryptoError::KeyCannot("leave its home"))?;
    let encrypted = keys::encrypt_pkcs8(&*default_provider(), &pkcs8, password, iterations)?;
    in_form(form, "ENCRYPTED PRIVATE KEY", &encrypted)
}

/// The same with scrypt (RFC 7914) in the place of PBKDF2: who guesses passwords needs memory too.
///
/// @param password      Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param n             Cost, a power of two: so many KiB of memory, at most 65536; 0 means 16384, the most that OpenSSL reads by itself.
/// @param form          DEVID_FORM_DER or DEVID_FORM_PEM.
/// @param out_pkcs8     Receives the encrypted key; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if the key cannot leave its home, or for another cost.
#[export]
fn devid_key_export_scrypt(key: &devid_key, password: &[u8], n: u32, form: i32) -> Result<devid_bytes, Error> {
    if password.is_empty() {
        return Err(Error::new(Code::InvalidArgument, "an empty password protects nothing"));
    }
    let pkcs8 = key.at_hand()?.to_pkcs8().ok_or(CryptoError::KeyCannot("leave its home"))?;
    let n = if n == 0 { 16_384 } else { n };
    let encrypted = keys::encrypt_pkcs8_scrypt(&*default_provider(), &pkcs8, password, n)?;
    in_form(form, "ENCRYPTED PRIVATE KEY", &encrypted)
}

/// Signs a message with a key of one's own.
///
/// @param algorithm      As in devid_sign_fn. NULL means the key's usual one. May be NULL.
/// @param message        The whole message. May be NULL if `message_len` is 0.
/// @param out_signature  Receives the signature; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown algorithm, DEVID_E_ALGORITHM for one that does not fit the key,
///         DEVID_E_SIGNER.
#[export]
fn devid_key_sign(key: &devid_key, algorithm: Option<&str>, message: &[u8]) -> Result<devid_bytes, Error> {
    let algorithm = match algorithm {
        None => key.signer.default_signature(),
        Some(name) => SignatureAlgorithm::named(name)?,
    };
    Ok(devid_bytes::from_slice(&key.at_hand()?.sign(&algorithm, message)?))
}

/// Opens what was encrypted for a key of one's own: CMS (RFC 5652) as devid_peer_encrypt() makes it.
///
/// @param cert       The key's certificate: recipients that are not named by it are passed over. NULL: every recipient of the
///                   key's type is tried. May be NULL.
/// @param cms        ContentInfo, DER. Not NULL.
/// @param out_data   Receives the content; devid_bytes_free() wipes it. Not NULL.
/// @return DEVID_OK; DEVID_E_DECRYPT, DEVID_E_DER; DEVID_E_UNSUPPORTED in builds without "enveloped".
#[export]
fn devid_key_decrypt(key: &devid_key, cert: Option<&devid_cert>, cms: &[u8]) -> Result<devid_bytes, Error> {
    let limits = limits::Limits::default();
    let options = OpenOptions {
        key: Some(&**key.at_hand()?),
        certificate: cert.map(|cert| &cert.certificate),
        ..OpenOptions::new(&limits)
    };
    Ok(devid_bytes::from_slice(&cms::open(&*default_provider(), cms, &options)?.content))
}

/// Frees a key; one in memory is wiped when nothing made with it is left.
#[export]
fn devid_key_free(key: Owned<devid_key>) {
    drop(key)
}

pub(super) fn in_form(form: i32, label: &str, der: &[u8]) -> Result<devid_bytes, Error> {
    match form {
        DEVID_FORM_DER => Ok(devid_bytes::from_slice(der)),
        DEVID_FORM_PEM => Ok(devid_bytes::from_slice(pem::encode(label, der).as_bytes())),
        other => {
            Err(Error::new(Code::InvalidArgument, format!("form {other} is neither DEVID_FORM_DER nor DEVID_FORM_PEM")))
        }
    }
}
