//! What holds for all operations of a client: who we are, whom we trust, how far we trust, and what we tolerate.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::authority::{SignerAuthorisation, has_signing_usage};
use super::compare::Acceptance;
use super::request::Signer;
use super::tolerance::Tolerance;
use crate::asn1::cmp::InfoTypeAndValue;
use crate::asn1::name::Name;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{DigestAlgorithm, Provider, SignatureAlgorithm};
use crate::error::Error;
use crate::limits::Limits;
use crate::time::Time;
use crate::validation::{Checks, RevocationPolicy, StatusSources, TrustAnchors};

/// The settings of a CMP client; shared by its operations, never changed by them.
#[derive(Clone, Debug)]
pub struct Context {
    /// Cryptography and random numbers.
    pub provider: Arc<dyn Provider>,
    /// How requests are protected.
    pub credential: Credential,
    /// Who may sign answers: paths of protection certificates end here.
    pub cmp_anchors: TrustAnchors,
    /// Where paths of issued certificates end.
    pub enrolment_anchors: TrustAnchors,
    /// Certificates that help to build either path; nothing is trusted for being here.
    pub intermediates: Vec<Certificate>,
    /// The CA's name for the first message; the NULL-DN if unknown (RFC 9483 section 3.1).
    pub recipient: Option<Name>,
    /// Which of the certificates under the CMP anchors may sign answers (RFC 9483 section 3.5: local authorisation).
    pub authorisation: SignerAuthorisation,
    /// Status data about signers of answers, and whether it is asked for.
    pub signer_status: StatusSources,
    /// See `signer_status`.
    pub signer_revocation: RevocationPolicy,
    /// Ask the CA to do without certConf (RFC 9483 section 4.1.1). Off: confirm explicitly.
    pub ask_implicit_confirm: bool,
    /// Name of a certificate profile to ask for (RFC 9810 section 5.1.1.4).
    pub cert_profile: Option<String>,
    /// Further items of generalInfo in requests, such as a vendor's (RFC 9810 section 5.1.1).
    pub general_info: Vec<InfoTypeAndValue>,
    /// Self-signed certificates in caPubs become enrolment anchors of the operation, if the answer is MAC-protected
    /// (RFC 9483 section 4.1.5). Never if it is signed.
    pub accept_ca_pubs: bool,
    /// Devices without an operator's root (3GPP TS 33.310 section 9.5.4.3): a self-signed certificate in extraCerts of ip
    /// anchors signer and new certificate of this ir, where no configured anchor does. The device then believes whoever
    /// answers first: only for networks where nobody else can. Off.
    pub adopt_root_of_ip: bool,
    /// SHA-256 of roots that the owner knows by nothing else (printed on paper, in the device's documents): a certificate with this
    /// digest that comes in extraCerts or caPubs is an anchor, as if it had been configured (RFC 9810 section 6.7.2).
    pub root_fingerprints: Vec<[u8; 32]>,
    /// How far messageTime may be from the caller's time; `None` if that time is not reliable (RFC 9483 section 3.5).
    pub message_time_window_seconds: Option<u32>,
    /// How far apart two clocks may be that are both right: notBefore of fresh certificates and of signers, and the least
    /// window for messageTime. Nothing that has expired lives longer by it.
    pub clock_skew_seconds: u32,
    /// Who decides on a certificate that is not what was asked for, where the owner of the operation does not.
    pub acceptance: Acceptance,
    /// Put messageTime into requests.
    pub send_message_time: bool,
    /// Bounds on what the server may make us do.
    pub limits: Limits,
    /// Deviations to put up with.
    pub tolerance: Tolerance,
}

impl Context {
    /// With a credential and everything else at its default. Anchors are empty: nothing is trusted yet.
    pub fn new(provider: Arc<dyn Provider>, credential: Credential) -> Self {
        Context {
            provider,
            credential,
            cmp_anchors: TrustAnchors::new(),
            enrolment_anchors: TrustAnchors::new(),
            intermediates: Vec::new(),
            recipient: None,
            authorisation: SignerAuthorisation::default(),
            signer_status: StatusSources::none(),
            signer_revocation: RevocationPolicy::default(),
            ask_implicit_confirm: false,
            cert_profile: None,
            general_info: Vec::new(),
            accept_ca_pubs: false,
            adopt_root_of_ip: false,
            root_fingerprints: Vec::new(),
            message_time_window_seconds: Some(3600),
            clock_skew_seconds: crate::limits::CLOCK_SKEW_SECONDS,
            acceptance: Acceptance::default(),
            send_message_time: true,
            limits: Limits::default(),
            tolerance: Tolerance::default(),
        }
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

    /// The settings with the told roots among these certificates as anchors; `None` if there is none.
    pub(super) fn with_told_roots(&self, came: &[Certificate]) -> Option<Context> {
        let told: Vec<&Certificate> = came.iter().filter(|certificate| self.is_told_root(certificate)).collect();
        if told.is_empty() {
            return None;
        }
        let mut context = self.clone();
        for root in told {
            context.cmp_anchors.add(root.clone());
            context.enrolment_anchors.add(root.clone());
        }
        Some(context)
    }

    /// What a path is checked for where two clocks meet: the one door for certificates that come by CMP.
    pub(super) fn checks_at(&self, now: Time) -> Checks {
        Checks { clock_skew_seconds: self.clock_skew_seconds, ..Checks::at(now) }
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
                let words = format!("the credential's certificate {certificate} expired {}", certificate.not_after());
                let hint =
                    "protect the request with another credential: the supplier's certificate, or a secret from the CA";
                return Err(Error::new(Code::Expired, words).with(|facts| facts.hint = Some(hint)));
            }
        }
        Ok(())
    }

    /// Refuses settings that contradict themselves, before anything is sent.
    pub(super) fn check(&self) -> Result<(), Error> {
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
            Credential::Mac { reference, secret, parameters } => {
                if secret.is_empty() {
                    return Err(Error::new(Code::InvalidArgument, "the secret is empty"));
                }
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

/// How requests are protected; one kind for a whole operation (RFC 9483 section 3.2).
#[derive(Clone)]
pub enum Credential {
    /// By the key of a certificate, the supplier's (IDevID) or one issued before: by signature, or, with a KEM key, by a MAC
    /// under a secret that the server encapsulates to it (RFC 9810 section 5.1.3.4).
    Signature {
        /// The key.
        signer: Signer,
        /// Its certificate.
        certificate: Certificate,
        /// The chain above the certificate, next issuer first; the root may be left out.
        chain: Vec<Certificate>,
        /// The algorithm; must fit the key. Of no meaning with a KEM key.
        algorithm: SignatureAlgorithm,
    },
    /// By a MAC under a secret shared with the CA.
    Mac {
        /// Reference value: tells the CA which secret.
        reference: Vec<u8>,
        /// The secret.
        secret: Zeroizing<Vec<u8>>,
        /// How the MAC is made.
        parameters: MacParameters,
    },
    /// Not at all: client and server know each other by TLS with certificates on both sides, and the CA wants it that way
    /// (HashiCorp Vault). Answers without protection count only if they came that way:
    /// [`Operation::feed_mutually_authenticated`](super::Operation::feed_mutually_authenticated). RFC 9810 section 5.1.3
    /// allows protection to be left out where something outside the message gives it.
    MutualTls {
        /// The client's name in messages: the subject of its TLS certificate, DER.
        sender: Vec<u8>,
    },
}

impl Credential {
    /// Whether messages are protected by a MAC under an encapsulated secret.
    pub(super) fn is_kem(&self) -> bool {
        matches!(self, Credential::Signature { signer, .. } if signer.kind().can_decapsulate())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Signature { certificate, algorithm, .. } => {
                write!(f, "Signature({certificate:?}, {algorithm:?})")
            }
            Credential::Mac { parameters, .. } => write!(f, "Mac({parameters:?})"),
            Credential::MutualTls { .. } => f.write_str("MutualTls"),
        }
    }
}

/// Parameters of the MAC that we make. What a server chooses is bounded by [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacParameters {
    /// PasswordBasedMac (RFC 4211 section 4.4, RFC 9045): what all CAs in the field know.
    PasswordBased {
        /// One-way function.
        owf: DigestAlgorithm,
        /// HMAC with this digest.
        mac: DigestAlgorithm,
        /// How often the one-way function is applied; at least 100 (RFC 9045 section 4.3).
        iterations: u32,
    },
    /// PBMAC1 with PBKDF2 (RFC 9481 section 6.1.2): the better one, where the CA knows it.
    Pbmac1 {
        /// Digest of PBKDF2's HMAC.
        prf: DigestAlgorithm,
        /// HMAC with this digest.
        mac: DigestAlgorithm,
        /// Iterations of PBKDF2.
        iterations: u32,
    },
}

impl MacParameters {
    /// PasswordBasedMac with SHA-256 throughout and 10,000 iterations (RFC 9045 section 4.3 for secrets of low entropy).
    pub const PASSWORD_BASED: MacParameters =
        MacParameters::PasswordBased { owf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 10_000 };

    /// PBMAC1 with SHA-256 throughout and 100,000 iterations.
    pub const PBMAC1: MacParameters =
        MacParameters::Pbmac1 { prf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 100_000 };
}
