//! Central key generation (RFC 9483 section 4.1.6): the CA's side makes the key pair and sends it in EnvelopedData, signed by
//! a key generation authority.

use alloc::sync::Arc;

use zeroize::Zeroizing;

use super::authority::{Act, MAKES_KEYS, may_sign};
use super::context::{Context, Trust};
use super::credential::Credential;
use super::proof::old_form_allowed;
use super::received::Received;
use super::response::ProtectedBy;
use crate::asn1::encrypted_key::EncryptedKey;
use crate::asn1::oid;
use crate::asn1::pkcs8::asymmetric_key_package;
use crate::asn1::x509::Certificate;
use crate::cms::{self, CmsError, OpenOptions, SignedData};
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::keys::{load_private_key, same_public_key};
use crate::crypto::{CryptoError, PrivateKey};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const SIGNED_DATA: Rule =
    Rule::new("RFC 9483 section 4.1.6 (G2, G3)", "SignedData with an AsymmetricKeyPackage of one key in EnvelopedData");
const TO_US: Rule = Rule::new("RFC 9483 section 4.1.6 (G5)", "EnvelopedData to the credential of the request");
const ITS_KEY: Rule = Rule::new("RFC 9483 section 4.1.6 (G9)", "the key of the issued certificate");

/// Opens a generated key, checks who made it, and that it is the key of `certificate`, whose `chain` is known to be good.
pub(super) fn open_generated_key(
    context: &Context,
    encrypted: &[u8],
    came: &Received<'_>,
    certificate: &Certificate,
    chain: &[Certificate],
    now: Time,
) -> Result<Arc<dyn PrivateKey>, Error> {
    let key = match EncryptedKey::from_der(encrypted)? {
        EncryptedKey::Enveloped(fields) => {
            let signed = open_envelope(context, fields, came.signer.as_ref())?;
            let Some(signed) = signed.as_signed_data() else { return Err(unreadable()) };
            check_signed(context, &signed, came, chain, now)?;
            let content = signed.content.unwrap_or_default();
            if signed.content_type == oid::CMS_DATA {
                import_bare(context, content)?
            } else {
                import(context, content)?
            }
        }
        EncryptedKey::Value(value) => {
            // Nobody signed it: what stands behind it is the protection of the answer alone.
            old_form_allowed(context)?;
            let Credential::Signature { signer: Signer::Key(own), .. } = &context.credential else {
                return Err(Error::new(Code::Unsupported, "EncryptedValue under a shared secret"));
            };
            let pkcs8 = cms::open_value(&*context.provider, &value, &**own)?;
            context.provider.import_pkcs8(&pkcs8).map_err(|_| unreadable())?
        }
    };
    // G9: whatever else it is, it is this certificate's.
    if !same_public_key(key.spki(), certificate.spki()) {
        return Err(ITS_KEY.broken(Code::KeyMismatch, "the generated key is not the key of the issued certificate"));
    }
    Ok(key)
}

/// Opened content of an envelope, wiped with it.
struct Envelope(Zeroizing<Vec<u8>>);

impl Envelope {
    fn as_signed_data(&self) -> Option<SignedData<'_>> {
        SignedData::from_der(&self.0).ok()
    }
}

fn open_envelope(context: &Context, fields: &[u8], signer: Option<&Certificate>) -> Result<Envelope, Error> {
    let mut options = OpenOptions {
        originator: signer,
        allow_pkcs1_transport: context.tolerance.pkcs1_key_transport,
        allow_gcm_in_enveloped: context.tolerance.gcm_in_enveloped_data,
        ..OpenOptions::new(&context.limits)
    };
    match &context.credential {
        // RFC 9483 section 4.1.6.3: by password if and only if the request was protected by the secret.
        Credential::Mac { secret, .. } => options.password = Some(secret.as_bytes()),
        Credential::Signature { signer: Signer::Key(key), certificate, .. } => {
            options.key = Some(&**key);
            options.certificate = Some(certificate);
        }
        Credential::Signature { .. } | Credential::MutualTls { .. } => {}
    }
    let opened = cms::open_content(&*context.provider, oid::CMS_ENVELOPED_DATA, fields, &options);
    let opened = opened.map_err(|error| match error {
        CmsError::NotForUs { .. } => TO_US.broken(Code::Decrypt, "the generated key is encrypted to somebody else"),
        other => Error::from(other).context("the generated key"),
    })?;
    let is_bare = opened.content_type == oid::CMS_DATA && context.tolerance.bare_generated_key;
    if opened.content_type != oid::CMS_SIGNED_DATA && !is_bare {
        return Err(SIGNED_DATA.broken(
            Code::Protocol,
            "the generated key is not wrapped in SignedData; switch bare_generated_key takes what OpenSSL's server writes",
        ));
    }
    Ok(Envelope(opened.content))
}

/// RFC 9483 section 4.1.6: signed by an authority with the purpose cmKGA; RFC 9810 section 4.5 lets the CA itself be it.
/// Under the shared secret the authority need not be known: its signature must be right all the same.
fn check_signed(
    context: &Context,
    signed: &SignedData<'_>,
    came: &Received<'_>,
    chain: &[Certificate],
    now: Time,
) -> Result<(), Error> {
    let is_bare = signed.content_type == oid::CMS_DATA && context.tolerance.bare_generated_key;
    if (signed.content_type != oid::CT_KP_KEY_PACKAGE && !is_bare) || signed.content.is_none() {
        return Err(SIGNED_DATA.broken(
            Code::Protocol,
            "what the key generation authority signed is not a key package; switch bare_generated_key takes what OpenSSL's server writes",
        ));
    }
    let mut first_failure = None;
    for authority in signed.signer_certificates() {
        let outcome = match came.protected_by {
            ProtectedBy::Mac => Ok(()),
            ProtectedBy::Signature | ProtectedBy::MutualTls | ProtectedBy::Nothing => {
                let along: Vec<Certificate> = signed.certificates.iter().chain(came.extra_certs).cloned().collect();
                let refused = |e: Error| MAKES_KEYS.broken(Code::SignatureInvalid, e.message().to_owned());
                let signs = Act::GeneratedKey(chain.first());
                may_sign(&Trust::from(context), signs, authority, &along, now).map(|_| ()).map_err(refused)
            }
        };
        let outcome = outcome.and_then(|()| {
            let verified = signed.verify_by(&*context.provider, authority, authority.spki(), false);
            verified.map_err(|e| {
                let words = format!("the generated key's signature by {authority}: {e}");
                MAKES_KEYS.broken(Code::SignatureInvalid, words)
            })
        });
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    Err(first_failure.unwrap_or_else(|| {
        MAKES_KEYS
            .broken(Code::SignatureInvalid, "the generated key is not signed by anyone whose certificate came with it")
    }))
}

/// The one key of an AsymmetricKeyPackage.
fn import(context: &Context, package: &[u8]) -> Result<Arc<dyn PrivateKey>, Error> {
    let keys = asymmetric_key_package(package)?;
    let [key] = keys[..] else {
        return Err(SIGNED_DATA.broken(Code::Protocol, format!("{} generated keys for one certificate", keys.len())));
    };
    context.provider.import_pkcs8(key).map_err(|e| Error::from(e).context("the generated key"))
}

/// A key in any form that files have, where a package belongs.
fn import_bare(context: &Context, key: &[u8]) -> Result<Arc<dyn PrivateKey>, Error> {
    load_private_key(&*context.provider, key, None).map_err(|e| Error::from(e).context("the generated key"))
}

/// One error for everything that depends on what was decrypted before its signature is known to be good.
fn unreadable() -> Error {
    Error::from(CryptoError::Decrypt).context("the generated key")
}
