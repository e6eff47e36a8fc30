//! Enrolment without a network: a PKCS#10 request (RFC 2986) goes out by any means; [`super::Import`] takes what comes
//! back, weeks and reboots later.
//!
//! ```text
//!   Subject, key -> UnsignedRequest    the key signs here and now, or elsewhere and later
//!   signature    -> request            checked: a request with a bad signature never leaves the device
//!   request      -> device memory      beside its key, before it goes out: the certificate will find both
//! ```

use std::sync::Arc;

use zeroize::Zeroizing;

use super::destination::Destination;
use super::subject::Subject;
use crate::asn1::pkcs10::{CertificationRequest, certification_request_info};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{KeyKind, PrivateKey, Provider, SignatureAlgorithm, Signer, default_provider};
use crate::error::Error;

/// Longest challengePassword in characters (RFC 2985, pkcs-9-ub-challengePassword).
const MAX_CHALLENGE_PASSWORD: usize = 255;

/// What a request says besides its subject.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// challengePassword (RFC 2985 section 5.4.1): 1 to 255 characters. It stands in the request for all to read.
    pub challenge_password: Option<Zeroizing<String>>,
    /// How the request is signed; the key's default if `None`.
    pub algorithm: Option<SignatureAlgorithm>,
}

/// A request that waits for its signature.
#[derive(Clone)]
pub struct UnsignedRequest {
    info: Vec<u8>,
    spki: Vec<u8>,
    kind: KeyKind,
    algorithm: SignatureAlgorithm,
}

impl UnsignedRequest {
    /// Asks for a certificate over the key.
    ///
    /// Errors: [`Code::InvalidArgument`] if the subject asks for what PKCS#10 cannot say (an issuer, a lifetime) or names
    /// nobody; [`Code::Algorithm`] if the key cannot sign as the options say.
    pub fn new(subject: &Subject, key: &Signer, options: &RequestOptions) -> Result<Self, Error> {
        let template = subject.to_template()?;
        if template.issuer.is_some() || template.not_before.is_some() || template.not_after.is_some() {
            let words = "a PKCS#10 request can ask for neither an issuer nor a lifetime";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        let password = options.challenge_password.as_ref().map(|password| password.as_str());
        let length = password.map_or(1, |password| password.chars().count());
        if !(1..=MAX_CHALLENGE_PASSWORD).contains(&length) {
            let words = format!("challengePassword has 1 to {MAX_CHALLENGE_PASSWORD} characters, this one {length}");
            return Err(Error::new(Code::InvalidArgument, words));
        }
        let kind = key.kind();
        let algorithm = options.algorithm.unwrap_or(key.default_signature());
        if !algorithm.fits(kind) {
            return Err(Error::new(Code::Algorithm, format!("{algorithm} cannot be made by a key of type {kind}")));
        }
        let Some(name) = &template.subject else {
            let words =
                "a PKCS#10 request that names nobody (nameless is for ir and cr): the CA cannot tell whose it is";
            return Err(Error::new(Code::InvalidArgument, words));
        };
        let info = certification_request_info(name, key.spki(), &template.extensions, password);
        Ok(UnsignedRequest { info, spki: key.spki().to_vec(), kind, algorithm })
    }

    /// What is to be signed, whole, not its digest.
    pub fn to_sign(&self) -> &[u8] {
        &self.info
    }

    /// How it is to be signed. ECDSA signatures must be Ecdsa-Sig-Value, DER.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Type and size of the key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Has the key sign.
    pub fn sign(&self, key: &dyn PrivateKey) -> Result<CertificationRequest, Error> {
        if !same_public_key(key.spki(), &self.spki) {
            return Err(Error::new(
                Code::KeyMismatch,
                "the request is for another key than the one that shall sign it",
            ));
        }
        self.with_signature(&*default_provider(), &key.sign(&self.algorithm, &self.info)?)
    }

    /// Takes the signature that was made elsewhere.
    ///
    /// Errors: [`Code::Signer`] if it is not one by this key over [`UnsignedRequest::to_sign`].
    pub fn with_signature(&self, provider: &dyn Provider, signature: &[u8]) -> Result<CertificationRequest, Error> {
        provider
            .verify(&self.algorithm, &self.spki, &self.info, signature, true)
            .map_err(|error| Error::caused_by(Code::Signer, error).context("the signature under the request"))?;
        Ok(CertificationRequest::assemble(&self.info, &self.algorithm.to_der(), signature)?)
    }
}

impl std::fmt::Debug for UnsignedRequest {
    /// Without the attributes: there may be a password among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnsignedRequest({}, {})", self.kind, self.algorithm)
    }
}

/// Checks the signature under a request: its sender holds the private key.
pub fn verify_request(provider: &dyn Provider, request: &CertificationRequest) -> Result<(), Error> {
    let algorithm = SignatureAlgorithm::from_der(request.signature_algorithm())?;
    Ok(provider.verify(&algorithm, request.spki(), request.info(), request.signature(), false)?)
}

/// Makes a request for a key that signs here and now, and keeps both under `to.name` (see [`keep_request`]).
///
/// `reference`: for a key that cannot leave its home, the words by which it is found again; `None` for a key that device
/// memory is to hold.
pub fn request_into(
    to: Destination<'_>,
    key: &Arc<dyn PrivateKey>,
    reference: Option<&str>,
    subject: &Subject,
    options: &RequestOptions,
) -> Result<CertificationRequest, Error> {
    let signer = Signer::from(key);
    let request = UnsignedRequest::new(subject, &signer, options)?.sign(&**key)?;
    keep_request(to, &signer.to_keep(reference)?, &request)?;
    Ok(request)
}

/// Keeps key and request as pending under `to.name`, durably, so that the certificate finds them. The request must not go
/// out before this has returned. A second request for the same key replaces the first.
///
/// Errors: [`Code::State`] if an online enrolment under this name is unfinished; [`Code::Exists`] if another key is
/// pending under it: [`abandon`](super::abandon) what is there first.
pub fn keep_request(to: Destination<'_>, key: &Signer, request: &CertificationRequest) -> Result<(), Error> {
    if to.store.state(to.name)?.pending.is_some() || to.store.operations()?.iter().any(|name| name == to.name) {
        let words = format!("an enrolment for \"{}\" is unfinished: resume or abandon it first", to.name);
        return Err(Error::new(Code::State, words));
    }
    let is_there = to.store.pending_keys()?.iter().any(|label| label == to.name)
        && same_public_key(to.store.pending_key(to.name)?.key.spki(), request.spki());
    if !is_there {
        to.store.put_pending_key(to.name, key)?;
    }
    to.store.put_pending_request(to.name, request).map_err(|error| {
        if !is_there {
            // Best effort: a key without its request is known to nobody.
            let _ = to.store.remove_pending_key(to.name);
        }
        error.into()
    })
}
