//! What a registration authority does with the messages of others (RFC 9483 sections 5.2 and 5.3), as functions from
//! message to message: how they travel is the caller's affair, and so is whether a device may have what it asks for.
//!
//! ```text
//!   device -> check() -> DeviceRequest -> nest() or replace() -> CA         one request, under the RA's signature
//!                                      -> Batch (`nested`)    -> CA         several
//!   device <- answer() <- CA's answer                                       after replace(); after nest() it goes back as it is
//!   device <- refuse()                                                      the RA says no, or the CA is away
//! ```

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use super::about;
use super::answer_signer;
use super::authority::{Act, may_sign};
use super::context::{Context, Trust};
use super::credential::Credential;
use super::possession::{self, Possession};
use super::protection::{MacKey, is_mac};
use super::shared_secret::SharedSecret;
use super::transaction::Transaction;
use crate::asn1::cmp::body::encode_body;
use crate::asn1::cmp::revocation::CertId;
use crate::asn1::cmp::{BodyType, InfoTypeAndValue, PkiHeader, PkiMessage, PkiStatusInfo, message};
use crate::asn1::der::sequence;
use crate::asn1::name::Name;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::keys::same_public_key;
use crate::crypto::{CryptoError, SignatureAlgorithm};
use crate::error::{Error, Refused, Rule};
use crate::features::{self, needs};
use crate::limits::{Limits, MAX_REQUEST_MAC_ITERATIONS};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{TrustAnchors, same_name};

pub(super) const VERSION: Rule = Rule::new("RFC 9483 section 3.5 (H3)", "pvno 2 or 3");
pub(super) const TRANSACTION_ID: Rule =
    Rule::new("RFC 9483 section 3.5 (H14)", "a transactionID of 128 bits, the same for the whole transaction");
pub(super) const NONCE: Rule =
    Rule::new("RFC 9483 section 3.5 (H17)", "a senderNonce of 128 bits, given back as recipNonce");
const BODY: Rule = Rule::new("RFC 9483 section 3.5 (E1)", "a request first, then certConf or pollReq");
const ANSWERS: Rule = Rule::new("RFC 9483 section 3.5 (E1)", "a body that answers the request");
const PROTECTED: Rule = Rule::new("RFC 9483 section 3.5 (P5)", "a request with protection");
const BY_MAC: Rule =
    Rule::new("RFC 9483 section 3.5 (P6, P8)", "a MAC under a secret that the RA knows, named by senderKID");
const BY_SIGNATURE: Rule = Rule::new(
    "RFC 9483 section 3.5 (P6, P10)",
    "a signature by the first of extraCerts, which sender and senderKID name, by an algorithm that is known and not weak",
);
const ONE_DEVICE: Rule = Rule::new("RFC 9483 section 3.2 (P2, P3)", "one credential for a whole transaction");
const OF_THE_CA: Rule =
    Rule::new("RFC 9483 section 3.5 (P5, P6)", "an answer with a signature of the CA, not of the RA");
const MESSAGE_TIME: Rule = Rule::new("RFC 9483 section 3.5 (H11)", "messageTime near the RA's clock");

/// transactionID and nonces have at least 128 bits (RFC 9483 section 3.1).
const SHORTEST_NONCE_BYTES: usize = 16;

/// A registration authority: its credential, whom it believes among devices, and whom among CAs.
pub struct RegistrationAuthority {
    pub(super) context: Arc<Context>,
    pub(super) devices: TrustAnchors,
    /// By reference value: a fleet has a hundred thousand.
    secrets: BTreeMap<Vec<u8>, SharedSecret>,
    about_others: bool,
}

/// A device's message whose protection, and whose proof of possession if it has one, have been checked.
///
/// Whether this device may have what it asks for is still to be decided: above all whether [`Self::subject`] is the
/// device that [`Self::device`] says (RFC 9483 section 5.1.1).
#[derive(Clone)]
pub struct DeviceRequest {
    pub(super) message: PkiMessage,
    device: Device,
    mac: Option<Arc<MacKey>>,
    possession: Possession,
    /// What must keep the device's own protection as far as the CA.
    keeps_protection: bool,
    /// What began the transaction.
    began: BodyType,
    about: Vec<CertId>,
}

/// Who protected a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The holder of this certificate.
    Certificate(Certificate),
    /// Who knows the secret of this reference value.
    Reference(Vec<u8>),
}

/// What becomes of the proof of possession where the protection is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The device's own goes up (RFC 9483 section 5.2.3.1).
    Keep,
    /// raVerified: the RA has checked it and vouches for it (RFC 9483 section 5.2.3.2). p10cr keeps its own in any case.
    RaVerified,
}

impl RegistrationAuthority {
    /// With the RA's certificate and key as credential and the CA's anchors as CMP anchors; `devices`: where paths of
    /// devices' certificates end. Whether a certificate is revoked is asked by the settings for signers
    /// ([`Options::signer_revocation`](super::Options::signer_revocation)), of devices and other RAs as of the CA.
    ///
    /// Errors: [`Code::InvalidArgument`] if the credential is not a certificate with a key that signs here, or the settings adopt the
    /// root of whoever answers first.
    pub fn new(context: Arc<Context>, devices: TrustAnchors) -> Result<Self, Error> {
        needs(features::RA)?;
        context.check()?;
        // What the RA believes it protects with the secrets of its devices.
        if context.adopt_root_of_ip {
            let words =
                "an RA knows its CA: adopt_root (devid_config_set_adopt_root, ca.adopt-root) is for a device alone";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        match &context.credential {
            Credential::Signature { signer: Signer::Key(_), .. } => {
                Ok(RegistrationAuthority { context, devices, secrets: BTreeMap::new(), about_others: false })
            }
            _ => Err(Error::new(Code::InvalidArgument, "an RA needs a certificate and a key that signs here")),
        }
    }

    /// A secret shared with devices, known by its reference value; replaces an earlier one of the same value.
    ///
    /// Errors: [`Code::InvalidArgument`] if the reference value is empty, or the secret is none ([`SharedSecret::new`]); what was known
    /// before stays.
    pub fn add_secret(&mut self, reference: &[u8], secret: &[u8]) -> Result<(), Error> {
        let secret = SharedSecret::new(secret)?;
        if reference.is_empty() {
            let words = "the reference value is empty: it tells which device's secret this is";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        self.secrets.insert(reference.to_vec(), secret);
        Ok(())
    }

    /// Takes requests about certificates of others from any device: an rr, or oldCertID in a request for a certificate, that names another
    /// than the one whose key protects the request, or comes under a shared secret. Default `false`: they are taken from signers with
    /// the purpose cmcRA or cmcCA alone (RFC 9483 section 5.3.2: an RA on behalf of others). With `true` it is the caller who
    /// decides, by [`DeviceRequest::about`], whether who asks may ask that.
    pub fn set_requests_about_others(&mut self, taken: bool) {
        self.about_others = taken;
    }

    /// Checks a device's message: form, protection, possession of the new key, and that it is about no certificate of another
    /// ([`Self::set_requests_about_others`]). `earlier` is the checked request that
    /// began the transaction, for certConf and pollReq.
    ///
    /// Errors: what is wrong; [`Self::refuse`] tells the device. [`Code::SignatureInvalid`]: the proof of possession.
    pub fn check(&self, request: &[u8], earlier: Option<&DeviceRequest>, now: Time) -> Result<DeviceRequest, Error> {
        needs(features::RA)?;
        let message = PkiMessage::from_der(request.to_vec(), &self.context.limits)?;
        check_header(&message, earlier)?;
        self.check_time(&message, now)?;
        let (device, mac) = self.check_protection(&message, earlier, Act::DeviceRequest(&self.devices), now)?;
        if let Some(earlier) = earlier {
            if device != earlier.device {
                let words = "the message is protected with another credential than the request that it belongs to";
                return Err(ONE_DEVICE.broken(Code::ProtectionInvalid, words));
            }
            let (possession, keeps_protection) = (Possession::NotAsked, earlier.keeps_protection);
            let about = earlier.about.clone();
            return Ok(DeviceRequest {
                message,
                device,
                mac,
                possession,
                keeps_protection,
                began: earlier.began,
                about,
            });
        }
        let body = message.body_type();
        let possession = possession::check(&self.context, &message)?;
        let about = about::read(&message, &self.context.limits)?;
        if !self.about_others {
            let signer = match &device {
                Device::Certificate(certificate) => Some(certificate),
                Device::Reference(_) => None,
            };
            about::check_entitled(&about, signer, body)?;
        }
        let about = about.into_iter().map(|one| one.id).collect();
        // RFC 9483 section 5.2.3; a certificate is revoked under its own signature (section 4.2).
        let keeps_protection =
            matches!(body, BodyType::KUR | BodyType::RR) || matches!(possession, Possession::KeyIsToBeMade);
        Ok(DeviceRequest { message, device, mac, possession, keeps_protection, began: body, about })
    }

    /// The message under the RA's signature in place of the device's protection. transactionID and nonces stay.
    /// `with_original`: the device's message goes along in origPKIMessage (RFC 9810 section 5.1.1.3), so that the CA can
    /// see who asked.
    ///
    /// Errors: [`Code::InvalidArgument`] for what must keep its protection (key updates, revocations, central key
    /// generation): nest it instead.
    pub fn replace(
        &self,
        request: &DeviceRequest,
        proof: Proof,
        with_original: bool,
        now: Time,
    ) -> Result<Vec<u8>, Error> {
        needs(features::RA)?;
        if request.keeps_protection {
            let words = format!(
                "{} keeps the device's protection as far as the CA (RFC 9483 section 5.2.3): nest it instead",
                request.message.body_type()
            );
            return Err(Error::new(Code::InvalidArgument, words));
        }
        let content = request.message.body_content();
        let content = match (proof, &request.possession) {
            (Proof::RaVerified, Possession::Proved) if request.message.body_type() != BodyType::P10CR => {
                possession::with_ra_verified(content)?
            }
            _ => content.to_vec(),
        };
        let old = request.message.header();
        let mut header = PkiHeader { free_text: Vec::new(), message_time: Some(now), ..old.clone() };
        // RFC 9810 section 5.1.1.3: the RA inserts it. A device's own would be another's request under the RA's signature.
        header.general_info.retain(|item| item.info_type != oid::IT_ORIG_PKI_MESSAGE);
        if with_original {
            let value = sequence(&[request.message.as_der()]);
            header.general_info.push(InfoTypeAndValue { info_type: oid::IT_ORIG_PKI_MESSAGE, value });
        }
        self.sign(header, request.message.body_type(), &content, request.message.extra_certs())
    }

    /// The CA's answer to a replaced request, under the protection that the device expects: the RA's signature, or the
    /// secret they share. The nonces are the device's to check; they stay as they came.
    ///
    /// Errors: the answer is not the CA's, belongs to another transaction, or is no answer to this request.
    pub fn answer(&self, request: &DeviceRequest, answer: &[u8], now: Time) -> Result<Vec<u8>, Error> {
        needs(features::RA)?;
        let (answer, is_own) = self.check_answer(answer, now)?;
        if is_own {
            let words = "the CA's answer is a message that the RA has signed itself, and somebody has sent back";
            return Err(OF_THE_CA.broken(Code::ProtectionInvalid, words));
        }
        let header = answer.header();
        if header.transaction_id != request.message.header().transaction_id {
            return Err(TRANSACTION_ID.broken(Code::TransactionId, "the CA's answer belongs to another transaction"));
        }
        request.check_answered_by(answer.body_type())?;
        let header = PkiHeader { free_text: Vec::new(), ..header.clone() };
        self.protect(request, header, answer.body_type(), answer.body_content(), answer.extra_certs())
    }

    /// An error message of the RA's own (RFC 9483 section 3.6). Where `checked` is this very request it comes under the protection
    /// that the device expects; else unprotected, as section 3.6.4 allows: the RA signs nothing about a transaction of whose device
    /// it knows nothing, or whoever has seen a device's message could have it say in its name that it is over. See
    /// [`fail_info_of`].
    pub fn refuse(
        &self,
        request: &[u8],
        checked: Option<&DeviceRequest>,
        status: &PkiStatusInfo,
        now: Time,
    ) -> Result<Vec<u8>, Error> {
        needs(features::RA)?;
        // What cannot be read has no transaction to name.
        let message = PkiMessage::from_der(request.to_vec(), &self.context.limits).ok();
        let theirs = message.as_ref().map(PkiMessage::header);
        let header = PkiHeader {
            pvno: 2,
            sender: None,
            recipient: theirs.and_then(|h| h.sender.clone()),
            message_time: Some(now),
            protection_alg: None,
            sender_kid: None,
            recip_kid: None,
            transaction_id: theirs.and_then(|h| h.transaction_id.clone()),
            sender_nonce: Some(super::transaction::random(&self.context)?),
            recip_nonce: theirs.and_then(|h| h.sender_nonce.clone()),
            free_text: Vec::new(),
            general_info: Vec::new(),
        };
        let content = sequence(&[&status.to_der()]);
        match checked.filter(|checked| checked.message.as_der() == request) {
            Some(checked) => self.protect(checked, header, BodyType::ERROR, &content, &[]),
            None => {
                let header = PkiHeader { sender: Some(self.certificate().subject().to_vec()), ..header };
                let body = encode_body(BodyType::ERROR, &content);
                Ok(message::assemble(&header.to_der(), &body, None, core::iter::empty()))
            }
        }
    }

    /// A message of the CA: its signature, its path, and whether it may sign answers; and whether it is the RA's own signature, which is
    /// authorised under the CA's anchors too.
    pub(super) fn check_answer(&self, answer: &[u8], now: Time) -> Result<(PkiMessage, bool), Error> {
        let message = PkiMessage::from_der(answer.to_vec(), &self.context.limits)?;
        if message.protection().is_none() {
            return Err(
                OF_THE_CA.broken(Code::Unprotected, format!("the CA sent an unprotected {}", message.body_type()))
            );
        }
        let Some(algorithm) = message.header().protection_alg.clone().filter(|a| !is_mac(a)) else {
            return Err(OF_THE_CA.broken(Code::ProtectionInvalid, "the CA's answer to a signed message is not signed"));
        };
        let mut transaction = Transaction::begin(&self.context, 2, now)?;
        answer_signer::check_signature(
            &Trust::from(&*self.context),
            None,
            &mut transaction,
            &message,
            &algorithm,
            now,
        )?;
        let is_own = |signer: &Certificate| same_public_key(signer.spki(), self.certificate().spki());
        let is_own = transaction.signer().is_some_and(is_own);
        Ok((message, is_own))
    }

    fn check_time(&self, message: &PkiMessage, now: Time) -> Result<(), Error> {
        if let (Some(window), Some(time)) = (self.context.message_time_window(), message.header().message_time) {
            if time.since(now).unsigned_abs() > u64::from(window) {
                let words = format!("the request's messageTime is {time}, now is {now}, {window} seconds are accepted");
                return Err(MESSAGE_TIME.broken(Code::MessageTime, words));
            }
        }
        Ok(())
    }

    pub(super) fn check_protection(
        &self,
        message: &PkiMessage,
        earlier: Option<&DeviceRequest>,
        act: Act<'_>,
        now: Time,
    ) -> Result<(Device, Option<Arc<MacKey>>), Error> {
        let (Some(protection), Some(algorithm)) = (message.protection(), &message.header().protection_alg) else {
            return Err(PROTECTED.broken(Code::Unprotected, format!("the {} is not protected", message.body_type())));
        };
        let refuse = |words: &str| Err(BY_MAC.broken(Code::ProtectionInvalid, words));
        if !is_mac(algorithm) {
            let known = match earlier.map(|earlier| &earlier.device) {
                Some(Device::Certificate(certificate)) => Some(certificate),
                _ => None,
            };
            return Ok((Device::Certificate(self.check_signature(message, algorithm, known, act, now)?), None));
        }
        let Some(kid) = &message.header().sender_kid else { return refuse("a MAC without senderKID: which secret?") };
        let Some((reference, secret)) = self.secrets.get_key_value(kid) else {
            return refuse("no secret is known for the request's reference value");
        };
        let known = earlier.and_then(|earlier| earlier.mac.clone()).filter(|key| key.algorithm() == algorithm);
        let key = match known {
            Some(key) => key,
            None => {
                let most = self.context.limits.max_mac_iterations.min(MAX_REQUEST_MAC_ITERATIONS);
                let limits = Limits { max_mac_iterations: most, ..self.context.limits.clone() };
                Arc::new(MacKey::from_algorithm(&*self.context.provider, algorithm, secret, &limits)?)
            }
        };
        if key.verify(&*self.context.provider, &message.protected_part(), protection).is_err() {
            return refuse("the request's MAC does not match: another secret, or changed on the way");
        }
        Ok((Device::Reference(reference.clone()), Some(key)))
    }

    /// The certificate whose key signed: the first of extraCerts, or the one known from before (RFC 9483 section 3.3).
    fn check_signature(
        &self,
        message: &PkiMessage,
        algorithm: &[u8],
        known: Option<&Certificate>,
        act: Act<'_>,
        now: Time,
    ) -> Result<Certificate, Error> {
        let refuse = |words: String| Err(BY_SIGNATURE.broken(Code::ProtectionInvalid, words));
        let algorithm = SignatureAlgorithm::from_der(algorithm).map_err(|e| {
            Error::caused_by(Code::Algorithm, e).context("the request's protectionAlg").breaks(BY_SIGNATURE)
        })?;
        if algorithm.is_weak() {
            return Err(BY_SIGNATURE.broken(Code::WeakAlgorithm, format!("the request is protected with {algorithm}")));
        }
        let Some(signer) = message.extra_certs().first().or(known) else {
            return refuse("extraCerts does not begin with the protection certificate".to_owned());
        };
        let header = message.header();
        if let (Some(kid), Some(found)) = (&header.sender_kid, signer.subject_key_identifier()) {
            if kid != found {
                return refuse(format!("the request's senderKID is not that of {signer}"));
            }
        }
        if !header.sender.as_deref().is_some_and(|sender| same_name(sender, signer.subject())) {
            return refuse(format!("the request's sender is not the subject of {signer}"));
        }
        // One signature before the many of a path: who does not hold the key is sent away for the price of one.
        let protection = message.protection().expect("presence was checked first");
        let verified =
            self.context.provider.verify(&algorithm, signer.spki(), &message.protected_part(), protection, false);
        match verified {
            Ok(()) => {}
            Err(CryptoError::Unsupported(what)) => {
                let words = algorithm.not_checked(&what);
                let words = format!("the request's signature by {signer}: not supported: {words}");
                return Err(BY_SIGNATURE.broken(Code::Algorithm, words));
            }
            Err(error) => return refuse(format!("the request's signature by {signer}: {error}")),
        }
        may_sign(&Trust::from(&*self.context), act, signer, message.extra_certs(), now)?;
        Ok(signer.clone())
    }

    /// Protects for a device as it protected its request.
    fn protect(
        &self,
        request: &DeviceRequest,
        header: PkiHeader,
        body: BodyType,
        content: &[u8],
        brought: &[Certificate],
    ) -> Result<Vec<u8>, Error> {
        let header = PkiHeader { recipient: request.message.header().sender.clone(), ..header };
        let (Some(key), Device::Reference(reference)) = (&request.mac, &request.device) else {
            return self.sign(header, body, content, brought);
        };
        let header = PkiHeader {
            sender: Some(self.certificate().subject().to_vec()),
            protection_alg: Some(key.algorithm().to_vec()),
            sender_kid: Some(reference.clone()),
            ..header
        };
        let (header, body) = (header.to_der(), encode_body(body, content));
        let protection = key.protect(&*self.context.provider, &sequence(&[&header, &body]))?;
        Ok(message::assemble(&header, &body, Some(&protection), brought.iter()))
    }

    /// Signs with the RA's key; its certificates come first in extraCerts, then those that were brought.
    pub(super) fn sign(
        &self,
        header: PkiHeader,
        body: BodyType,
        content: &[u8],
        brought: &[Certificate],
    ) -> Result<Vec<u8>, Error> {
        let Credential::Signature { signer: Signer::Key(key), certificate, chain, algorithm } =
            &self.context.credential
        else {
            return Err(Error::new(Code::State, "an RA signs with a key of its own"));
        };
        let header = PkiHeader {
            sender: Some(certificate.subject().to_vec()),
            sender_kid: certificate.subject_key_identifier().map(<[u8]>::to_vec),
            protection_alg: Some(algorithm.to_der()),
            ..header
        };
        let (header, body_der) = (header.to_der(), encode_body(body, content));
        let protection = key
            .sign(algorithm, &sequence(&[&header, &body_der]))
            .map_err(|e| Error::caused_by(Code::Signer, e).context(&format!("protection of {body}")))?;
        let own: Vec<&Certificate> =
            core::iter::once(certificate).chain(chain.iter().filter(|c| !c.is_self_issued())).collect();
        let others = brought.iter().filter(|c| !own.contains(c));
        Ok(message::assemble(&header, &body_der, Some(&protection), own.iter().copied().chain(others)))
    }

    pub(super) fn certificate(&self) -> &Certificate {
        match &self.context.credential {
            Credential::Signature { certificate, .. } => certificate,
            Credential::Mac { .. } | Credential::MutualTls { .. } => unreachable!("refused when the RA was made"),
        }
    }
}

impl fmt::Debug for RegistrationAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistrationAuthority({:?}, {} secrets)", self.certificate(), self.secrets.len())
    }
}

impl DeviceRequest {
    /// Which message it is: `ir`, `certConf`, ...
    pub fn body(&self) -> BodyType {
        self.message.body_type()
    }

    /// Who protected it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The subject of the certificate asked for; `None` where none is asked for. RFC 9483 section 5.1.1: it must be the
    /// device's, as the RA's policy sees it.
    pub fn subject(&self) -> Option<Name> {
        possession::subject(&self.message)
    }

    /// Which certificates the request is about, beside the one that it asks for: those that rr wants revoked, or the one that is to be
    /// replaced (oldCertID). Each has an issuer. Of a later message: what the request is about that began the transaction.
    pub fn about(&self) -> &[CertId] {
        &self.about
    }

    /// Whether the device's protection must reach the CA: then it is nested, not replaced (RFC 9483 section 5.2.3).
    pub fn keeps_protection(&self) -> bool {
        self.keeps_protection
    }

    /// Whether a message of this body answers it: what belongs to the request, to what it asks about by polling, or an error.
    fn check_answered_by(&self, body: BodyType) -> Result<(), Error> {
        let asked = self.body();
        let proper = asked.answer();
        // What was put off comes in answer to pollReq: the certificate, or the end of the transaction.
        let is_polled_for =
            asked == BodyType::POLLREQ && (self.began.answer() == Some(body) || body == BodyType::PKICONF);
        if proper == Some(body) || is_polled_for || body == BodyType::ERROR {
            return Ok(());
        }
        let expected = proper.map_or("an error", BodyType::name);
        Err(ANSWERS.broken(Code::UnexpectedBody, format!("expected {expected} in answer to {asked}, got {body}")))
    }

    /// transactionID.
    pub fn transaction_id(&self) -> &[u8] {
        self.message.header().transaction_id.as_deref().unwrap_or_default()
    }

    /// The message as it came.
    pub fn as_der(&self) -> &[u8] {
        self.message.as_der()
    }
}

impl fmt::Debug for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceRequest({}, {:?})", self.body(), self.device)
    }
}

/// What is said of an error to a device: bits of failInfo (RFC 9483 section 3.5 names them with each check).
pub fn fail_info_of(error: &Error) -> u32 {
    // notAuthorized: it is who it says, and may not have this.
    if error.facts().refused == Some(Refused::NotAuthorised) {
        return 1 << 23;
    }
    let bit = match error.code() {
        Code::Algorithm | Code::WeakAlgorithm | Code::MacParameters => 0,
        Code::ProtectionInvalid | Code::Unprotected => 1,
        Code::UnexpectedBody | Code::TransactionId | Code::Protocol => 2,
        Code::MessageTime => 3,
        Code::Der | Code::TrailingData | Code::TooLarge | Code::Limit => 5,
        Code::SignatureInvalid => 9,
        Code::Nonce => 18,
        Code::UnknownVersion => 22,
        _ => 25,
    };
    1 << bit
}

/// RFC 9483 section 3.5, as far as the header alone tells.
fn check_header(message: &PkiMessage, earlier: Option<&DeviceRequest>) -> Result<(), Error> {
    let header = message.header();
    if !matches!(header.pvno, 2 | 3) {
        return Err(VERSION.broken(Code::UnknownVersion, format!("the request has pvno {}", header.pvno)));
    }
    let long_enough = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|v| v.len() >= SHORTEST_NONCE_BYTES);
    if !long_enough(&header.transaction_id) {
        return Err(TRANSACTION_ID.broken(Code::TransactionId, "the request has no transactionID of 128 bits"));
    }
    if !long_enough(&header.sender_nonce) {
        return Err(NONCE.broken(Code::Nonce, "the request has no senderNonce of 128 bits"));
    }
    let body = message.body_type();
    const FIRST: [BodyType; 6] =
        [BodyType::IR, BodyType::CR, BodyType::P10CR, BodyType::KUR, BodyType::RR, BodyType::GENM];
    let allowed = match earlier {
        None => FIRST.contains(&body),
        Some(_) => [BodyType::CERTCONF, BodyType::POLLREQ].contains(&body),
    };
    if !allowed {
        let place = if earlier.is_some() { "in a transaction" } else { "at the beginning of a transaction" };
        return Err(BODY.broken(Code::UnexpectedBody, format!("a device sent {body} {place}")));
    }
    if earlier.is_some_and(|earlier| earlier.message.header().transaction_id != header.transaction_id) {
        return Err(TRANSACTION_ID.broken(Code::TransactionId, "the message belongs to another transaction"));
    }
    Ok(())
}
