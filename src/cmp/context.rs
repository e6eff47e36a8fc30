//! What holds for all operations of a client: who we are, and by which options; the checks of both.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::ops::{Deref, DerefMut};

use super::credential::{Credential, MacParameters};
use super::options::Options;
use super::signer_authorisation::has_signing_usage;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::keys::same_public_key;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{Checks, Report, TrustAnchors, validate};

/// The settings of a CMP client: its credential and its [`Options`], whose fields are reached as its own. Shared by its operations, never
/// changed by them.
#[derive(Clone, Debug)]
pub struct Context {
    /// Cryptography and random numbers.
    pub provider: Arc<dyn Provider>,
    /// How requests are protected.
    pub credential: Credential,
    /// What becomes of an answer whose protection holds and whose messageTime is outside of that window. `false`: it is refused
    /// (RFC 9483 section 3.5, badTime). `true`, for owners who keep account of their clock: the answer is judged by its own time, and the
    /// rest of the operation with it: the client keeps account of it. The nonce shows that it is no old one,
    /// and refusing it would throw away what the CA has done or been asked to approve.
    pub follow_authentic_time: bool,
    /// Of an owner without a clock: how long an operation may take by the times in the CA's answers, in seconds, from the first one on. The
    /// limit `max_total_seconds` counts by the owner's clock, and bounds nothing then.
    pub(crate) total_seconds_by_answers: Option<u32>,
    /// Where the owner sends what it is told to send; for the saved form, which tells it.
    pub(crate) server: Option<String>,
    /// What can be chosen of CMP.
    pub options: Options,
}

impl Context {
    /// With a credential and the options at their defaults. Anchors are empty: nothing is trusted yet.
    pub fn new(provider: Arc<dyn Provider>, credential: Credential) -> Self {
        Context {
            provider,
            credential,
            follow_authentic_time: false,
            total_seconds_by_answers: None,
            server: None,
            options: Options::default(),
        }
    }

    /// How long an operation may take, in seconds.
    pub(super) fn most_seconds(&self) -> u32 {
        self.total_seconds_by_answers.unwrap_or(self.limits.max_total_seconds)
    }

    /// Whether this is a root that the owner has told by its fingerprint.
    pub(super) fn is_told_root(&self, certificate: &Certificate) -> bool {
        !self.root_fingerprints.is_empty()
            && certificate.is_self_issued()
            && self
                .provider
                .digest(DigestAlgorithm::Sha256, &[certificate.as_der()])
                .is_ok_and(|digest| self.root_fingerprints.iter().any(|told| told[..] == digest[..]))
    }

    /// What a path is checked for where two clocks meet: the one door for certificates that come by CMP.
    pub(super) fn checks_at(&self, now: Time) -> Checks {
        Checks { clock_skew_seconds: self.clock_skew_seconds, allow_weak: self.tolerance.allow_weak, ..Checks::at(now) }
    }

    /// Validates with all that is at hand about the status of these certificates, where it is asked for: the one door to a verdict on what
    /// comes by CMP. Memories are asked for what they have by now.
    pub(super) fn validate(
        &self,
        anchors: &TrustAnchors,
        certificate: &Certificate,
        pool: &[Certificate],
        checks: &Checks,
    ) -> Report {
        let status = self.signer_status.recalled(certificate, pool);
        validate(&*self.provider, anchors, certificate, pool, &status, checks)
    }

    /// How far messageTime may be off; `None`: it is not looked at.
    pub(super) fn message_time_window(&self) -> Option<u32> {
        self.message_time_window_seconds.map(|window| window.max(self.clock_skew_seconds))
    }

    /// A credential that has expired is named before anything is sent. A device without a reliable clock does not know.
    pub(super) fn check_credential_at(&self, now: Time) -> Result<(), Error> {
        if let (Credential::Signature { certificate, .. }, Some(_)) =
            (&self.credential, self.message_time_window_seconds)
        {
            if certificate.not_after() < now {
                let words = format!(
                    "the credential's certificate {certificate} expired {}, by a clock that says {now}",
                    certificate.not_after()
                );
                let hint = "is the clock right? If it is, protect the request with another credential: the supplier's \
                            certificate, or a secret from the CA";
                return Err(Error::new(Code::Expired, words).with(|facts| facts.hint = Some(hint)));
            }
        }
        Ok(())
    }

    /// Refuses settings that contradict themselves, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.credential {
            Credential::Signature { signer, certificate, algorithm, .. } => {
                if !same_public_key(signer.spki(), certificate.spki()) {
                    let words = "the protection certificate does not belong to the key that signs";
                    return Err(Error::new(Code::KeyMismatch, words));
                }
                let is_kem = signer.kind().can_decapsulate();
                if is_kem && matches!(signer, Signer::Deferred { .. }) {
                    let words = "a KEM key that signs by a step of the caller's cannot open what is encapsulated to it";
                    return Err(Error::new(Code::Unsupported, words));
                }
                if !is_kem && !algorithm.fits(signer.kind()) {
                    let words = format!("{algorithm} cannot be made by a key of type {}", signer.kind());
                    return Err(Error::new(Code::Algorithm, words));
                }
                // RFC 5280 section 4.2.1.3: a server that looks at it refuses every message, so it is said before the first.
                if !is_kem && !self.tolerance.signer_key_usage && !has_signing_usage(certificate)? {
                    let words = format!(
                        "the credential's certificate {certificate} has a keyUsage without digitalSignature: it may not \
                         protect messages (switch signer_key_usage sends them all the same)"
                    );
                    return Err(Error::new(Code::InvalidArgument, words));
                }
                if self.cmp_anchors.is_empty() && !self.adopt_root_of_ip && self.root_fingerprints.is_empty() {
                    let words = "no CMP anchors: nothing could say who may sign answers";
                    return Err(Error::new(Code::InvalidArgument, words));
                }
            }
            // Signed answers are checked as always; those without protection by where they came from.
            Credential::MutualTls { .. } => {}
            Credential::Mac { reference, parameters, .. } => {
                if reference.is_empty() && !self.tolerance.null_mac_sender {
                    let words = "the reference value is empty: the CA could not tell whose secret this is (switch \
                                 null_mac_sender sends neither it nor a sender, for CAs with one secret)";
                    return Err(Error::new(Code::InvalidArgument, words));
                }
                let (MacParameters::PasswordBased { iterations, .. } | MacParameters::Pbmac1 { iterations, .. }) =
                    *parameters;
                // RFC 9045 section 4.3 and RFC 4211 section 4.4: at least 100.
                if iterations < 100 || iterations > self.limits.max_mac_iterations {
                    let most = self.limits.max_mac_iterations;
                    let words = format!("{iterations} iterations for the MAC; 100 to {most} are taken");
                    return Err(Error::new(Code::MacParameters, words));
                }
            }
        }
        Ok(())
    }
}

impl Deref for Context {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.options
    }
}

impl DerefMut for Context {
    fn deref_mut(&mut self) -> &mut Options {
        &mut self.options
    }
}

/// The settings with the anchors that an answer is judged by: their own, and roots that came with it where the owner believes them
/// ([`Options::adopt_root_of_ip`], [`Options::root_fingerprints`]). The rest of them is borrowed: secrets are not copied to
/// believe one root more.
pub(super) struct Trust<'a> {
    context: &'a Context,
    /// In place of [`Options::cmp_anchors`].
    pub cmp_anchors: Cow<'a, TrustAnchors>,
    /// In place of [`Options::enrolment_anchors`].
    pub enrolment_anchors: Cow<'a, TrustAnchors>,
}

impl<'a> From<&'a Context> for Trust<'a> {
    fn from(context: &'a Context) -> Self {
        let (cmp, enrolment) = (&context.cmp_anchors, &context.enrolment_anchors);
        Trust { context, cmp_anchors: Cow::Borrowed(cmp), enrolment_anchors: Cow::Borrowed(enrolment) }
    }
}

impl<'a> Trust<'a> {
    /// With this root as a further anchor, if there is one.
    pub fn believing(context: &'a Context, root: Option<&Certificate>) -> Self {
        let mut trust = Trust::from(context);
        trust.add(root);
        trust
    }

    fn add<'r>(&mut self, roots: impl IntoIterator<Item = &'r Certificate>) {
        for root in roots {
            self.cmp_anchors.to_mut().add(root.clone());
            self.enrolment_anchors.to_mut().add(root.clone());
        }
    }
}

impl Deref for Trust<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.context
    }
}

impl Trust<'_> {
    /// With this one as the only anchor.
    pub fn only(&self, root: &Certificate) -> Trust<'_> {
        let anchors: TrustAnchors = [root.clone()].into_iter().collect();
        let (cmp_anchors, enrolment_anchors) = (Cow::Owned(anchors.clone()), Cow::Owned(anchors));
        Trust { context: self.context, cmp_anchors, enrolment_anchors }
    }

    /// With the told roots among these certificates as further anchors.
    pub fn with_told_roots(&self, came: &[Certificate]) -> Trust<'_> {
        let mut trust = Trust {
            context: self.context,
            cmp_anchors: Cow::Borrowed(&*self.cmp_anchors),
            enrolment_anchors: Cow::Borrowed(&*self.enrolment_anchors),
        };
        trust.add(came.iter().filter(|certificate| self.is_told_root(certificate)));
        trust
    }
}
