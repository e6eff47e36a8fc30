//! The key that is to be certified, and how its possession is proved (RFC 9810 section 5.2.8): by signature, or, for keys
//! that cannot sign, by opening what is encrypted to them.

use alloc::sync::Arc;

use zeroize::Zeroizing;

use super::context::Context;
use crate::asn1::cmp::challenge::{Challenge, Rand, pop_dec_key_resp};
use crate::asn1::crmf::{SubsequentMessage, popo_subsequent};
use crate::asn1::der::element;
use crate::asn1::encrypted_key::EncryptedKey;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::cms::{self, CmsError, OpenOptions};
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::algorithm::digest_identifier;
use crate::crypto::public_key::encode_spki;
use crate::crypto::{CryptoError, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::validation::same_name;

/// The key that is to be certified.
#[derive(Clone, Debug)]
pub enum RequestedKey {
    /// Ours.
    Own(Signer),
    /// None yet: the CA's side makes it and sends it along, encrypted (RFC 9483 section 4.1.6). Of this type, if one is
    /// preferred; for RSA the CA chooses the size.
    Central(Option<KeyKind>),
}

impl RequestedKey {
    /// The key, where it is ours.
    pub fn own(&self) -> Option<&Signer> {
        if let RequestedKey::Own(signer) = self { Some(signer) } else { None }
    }

    /// SubjectPublicKeyInfo for the template, DER. RFC 9483 section 4.1.6: absent, or with a key of no bits, where the CA
    /// is to make it.
    pub(super) fn template_spki(&self) -> Option<Vec<u8>> {
        match self {
            RequestedKey::Own(signer) => Some(signer.spki().to_vec()),
            RequestedKey::Central(kind) => kind.map(|kind| encode_spki(kind, &[])),
        }
    }
}

/// How possession of the new key is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Possession {
    /// The new key signs the request.
    Signature(SignatureAlgorithm),
    /// encrCert: the CA sends the certificate encrypted with the new key; who can confirm it has the key (RFC 9810
    /// section 5.2.8.3.2).
    EncryptedCertificate,
    /// challengeResp: the CA sends a number encrypted with the new key and gets it back (RFC 9810 section 5.2.8.3.3).
    Challenge,
    /// Nothing to prove: the CA makes the key.
    None,
}

impl Possession {
    /// The usual one for a key: a signature where it can sign, else encrCert, which RFC 9810 section 5.2.8.4 prefers.
    pub fn of(key: &RequestedKey) -> Self {
        match key {
            RequestedKey::Own(signer) if signer.kind().can_sign() => Possession::Signature(signer.default_signature()),
            RequestedKey::Own(_) => Possession::EncryptedCertificate,
            RequestedKey::Central(_) => Possession::None,
        }
    }

    /// Whether something encrypted is expected in answer: RFC 9483 section 3.1 has version 3 announce it.
    pub(super) fn expects_encryption(self) -> bool {
        !matches!(self, Possession::Signature(_))
    }

    /// Refuses what does not fit the key.
    pub(super) fn check(self, key: &RequestedKey) -> Result<(), Error> {
        match (self, key) {
            (Possession::Signature(algorithm), RequestedKey::Own(signer)) => {
                if algorithm.fits(signer.kind()) {
                    return Ok(());
                }
                let kind = signer.kind();
                Err(Error::new(Code::Algorithm, format!("{algorithm} cannot be made by a key of type {kind}")))
            }
            (Possession::EncryptedCertificate | Possession::Challenge, RequestedKey::Own(Signer::Key(key))) => {
                if key.kind().can_receive() {
                    return Ok(());
                }
                let kind = key.kind();
                Err(Error::new(Code::Algorithm, format!("nothing can be encrypted to a key of type {kind}")))
            }
            (Possession::EncryptedCertificate | Possession::Challenge, RequestedKey::Own(Signer::Deferred { .. })) => {
                let words = "a key that signs by a step of the caller's cannot open what the CA encrypts to it";
                Err(Error::new(Code::Unsupported, words))
            }
            (Possession::None, RequestedKey::Central(_)) => Ok(()),
            (Possession::None, RequestedKey::Own(_)) => {
                Err(Error::new(Code::InvalidArgument, "possession of the new key must be proved"))
            }
            (_, RequestedKey::Central(_)) => {
                Err(Error::new(Code::InvalidArgument, "there is no key yet whose possession could be proved"))
            }
        }
    }

    /// The announcement of a proof that follows: ProofOfPossession, DER; empty where there is nothing to prove.
    pub(super) fn announcement(self, key: &RequestedKey) -> Vec<u8> {
        let message = match self {
            Possession::EncryptedCertificate => SubsequentMessage::EncryptedCertificate,
            Possession::Challenge => SubsequentMessage::Challenge,
            Possession::Signature(_) | Possession::None => return Vec::new(),
        };
        let agrees = key.own().is_some_and(|signer| signer.kind().can_agree());
        popo_subsequent(agrees, message)
    }
}

/// Opens a certificate that was encrypted with the new key: EncryptedKey, DER.
pub(super) fn open_certificate(
    context: &Context,
    key: &Arc<dyn PrivateKey>,
    encrypted: &[u8],
    signer: Option<&Certificate>,
) -> Result<Certificate, Error> {
    let content =
        open(context, EncryptedKey::from_der(encrypted)?, key, signer).map_err(|e| e.context("the certificate"))?;
    // What is garbage after decryption is told like a failed decryption.
    Certificate::from_der(&content).map_err(|_| Error::from(CryptoError::Decrypt).context("the certificate"))
}

const CHALLENGE: Rule =
    Rule::new("RFC 9810 section 5.2.8.3.3 (C12)", "one challenge for the new key, by who sent the message");

/// Answers a challenge: POPODecKeyRespContent, DER. `sender` is the sender of the message it came in.
pub(super) fn answer_challenges(
    context: &Context,
    key: &Arc<dyn PrivateKey>,
    challenges: &[Challenge],
    sender: Option<&[u8]>,
    signer: Option<&Certificate>,
) -> Result<Vec<u8>, Error> {
    let [challenge] = challenges else {
        return Err(CHALLENGE.broken(Code::Protocol, format!("{} challenges to one request", challenges.len())));
    };
    // RFC 9810 section 5.2.8.3.3: the one or the other.
    let opened = match &challenge.encrypted_rand {
        Some(_) if !challenge.challenge.is_empty() => {
            return Err(CHALLENGE.broken(Code::Protocol, "a challenge beside encryptedRand"));
        }
        Some(enveloped) => open(context, EncryptedKey::Enveloped(enveloped), key, signer),
        None => open_old_challenge(context, key, &challenge.challenge),
    };
    let unreadable = || Error::from(CryptoError::Decrypt).context("the challenge");
    let opened = opened.map_err(|e| e.context("the challenge"))?;
    let rand = Rand::from_der(&opened).map_err(|_| unreadable())?;
    // What decrypts to something else than it says would make this a service for decryption.
    match (&rand.sender, sender) {
        (Some(named), Some(sender)) if same_name(named, sender) => {}
        _ => {
            return Err(
                CHALLENGE.broken(Code::Protocol, "the challenge names another sender than the message it came in")
            );
        }
    }
    check_witness(context, challenge, rand.int)?;
    Ok(pop_dec_key_resp(&[rand.int]))
}

/// The witness is the digest of the number: over its content, or over the whole INTEGER, which the text leaves open.
fn check_witness(context: &Context, challenge: &Challenge, int: &[u8]) -> Result<(), Error> {
    let Some(owf) = &challenge.owf else {
        return Err(CHALLENGE.broken(Code::Protocol, "the challenge does not say by which digest its witness was made"));
    };
    let digest = digest_identifier(owf)?;
    for form in [int.to_vec(), element(0x02, &[int])] {
        let form = Zeroizing::new(form);
        if context.provider.digest(digest, &[&form])?[..] == challenge.witness[..] {
            return Ok(());
        }
    }
    Err(CHALLENGE.broken(Code::Protocol, "the challenge's witness is not the digest of the number it holds"))
}

fn open(
    context: &Context,
    encrypted: EncryptedKey<'_>,
    key: &Arc<dyn PrivateKey>,
    signer: Option<&Certificate>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    match encrypted {
        EncryptedKey::Enveloped(fields) => {
            // The recipient is named by a certificate that does not exist yet: RFC 9810 section 5.2.8.3.2.
            let options = OpenOptions {
                key: Some(&**key),
                originator: signer,
                allow_pkcs1_transport: context.tolerance.pkcs1_key_transport,
                allow_gcm_in_enveloped: context.tolerance.gcm_in_enveloped_data,
                ..OpenOptions::new(&context.limits)
            };
            Ok(cms::open_content(&*context.provider, oid::CMS_ENVELOPED_DATA, fields, &options)?.content)
        }
        EncryptedKey::Value(value) => {
            old_form_allowed(context)?;
            Ok(cms::open_value(&*context.provider, &value, &**key)?)
        }
    }
}

/// RFC 4210's challenge: Rand under the key itself, which must be RSA.
fn open_old_challenge(
    context: &Context,
    key: &Arc<dyn PrivateKey>,
    challenge: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    old_form_allowed(context)?;
    Ok(key.decrypt(RsaEncryption::Pkcs1, challenge).map_err(CmsError::Crypto)?)
}

/// The forms before EnvelopedData are taken where the caller says so.
pub(super) fn old_form_allowed(context: &Context) -> Result<(), Error> {
    if context.tolerance.encrypted_value {
        return Ok(());
    }
    let words = "the server encrypts in the old way, EncryptedValue; switch encrypted_value takes it";
    Err(Error::new(Code::Unsupported, words))
}
