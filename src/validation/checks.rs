//! What a validation is asked to check.

use super::identity::PeerName;
use super::revocation_policy::{RevocationPolicy, check_skew};
use crate::asn1::oid::Oid;
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::limits::PathBudget;
use crate::prelude::*;
use crate::time::Time;

/// Everything a validation is asked to check. [`Checks::at`] gives RFC 5280 section 6.1 with nothing asked beyond it.
#[derive(Clone, Debug)]
pub struct Checks {
    /// The time the certificates must be valid at.
    pub at: CheckTime,
    /// How far ahead of `at` a certificate may begin: the clock of a CA that has just issued it. Expiry is not put off.
    pub clock_skew_seconds: u32,
    /// How much of an issuer's duties is demanded.
    pub profile: Profile,
    /// Purposes the certificate must be for, all of them. CA certificates on the path that restrict their purposes
    /// must allow them too. Empty: any purpose.
    pub extended_key_usages: Vec<Oid>,
    /// Uses of the key the certificate must allow, all of them.
    pub key_usages: Vec<KeyUsage>,
    /// Names the certificate must carry.
    pub names: NameCheck,
    /// Most CA certificates between the certificate and the anchor; self-issued ones do not count (RFC 5280 section
    /// 6.1.4 (l)). `None`: only the budget's depth limits.
    pub max_intermediates: Option<usize>,
    /// Certificate policies.
    pub policy: PolicyInputs,
    /// Accept SHA-1 signatures and RSA keys below 2048 bits. For old CAs only.
    pub allow_weak: bool,
    /// Accept DNS name constraints with a dot in front (`.example.com`, meaning hosts below it only). RFC 5280 section
    /// 4.2.1.10 knows the dot for URIs and e-mail alone and readers differ on it for DNS; some private CAs write it.
    pub allow_dotted_dns_constraints: bool,
    /// How much work the search may take.
    pub budget: PathBudget,
    /// How revocation is checked.
    pub revocation: RevocationPolicy,
    /// The certificate whose key the peer proved to hold, where it is not known to be the one that is asked about: the
    /// first that it sent. It must be that one or a CA above it; else a peer could present one key and be judged by the
    /// certificate of another.
    pub presented: Option<Certificate>,
    /// Critical extensions of the certificate that is asked about, and of no other, that the caller understands (RFC 5280 section 4.2):
    /// who asked a CA for them does.
    pub recognised: Vec<Oid>,
}

impl Checks {
    /// RFC 5280 section 6.1 at a point in time: default profile, no purpose, no name, any policy, no revocation.
    pub fn at(time: Time) -> Self {
        Self::with_time(CheckTime::At(time))
    }

    /// The same for a device that does not know the time. Validity periods are not checked; the report says so.
    pub fn at_unknown_time() -> Self {
        Self::with_time(CheckTime::Unknown)
    }

    /// Adds a purpose that the certificate must be for.
    #[must_use]
    pub fn for_purpose(mut self, purpose: Oid) -> Self {
        self.extended_key_usages.push(purpose);
        self
    }

    /// Adds a use of the key that the certificate must allow.
    #[must_use]
    pub fn with_key_usage(mut self, usage: KeyUsage) -> Self {
        self.key_usages.push(usage);
        self
    }

    /// Adds a name that the certificate must carry.
    #[must_use]
    pub fn with_name(mut self, name: PeerName) -> Self {
        match &mut self.names {
            NameCheck::All(names) => names.push(name),
            NameCheck::NotChecked => self.names = NameCheck::All(vec![name]),
        }
        self
    }

    /// How far two clocks may be apart: a certificate may begin so much later than the time of the check, status data too. Expiry is
    /// not put off.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::codes::Code::InvalidArgument) for more than a day; nothing is changed.
    pub fn set_clock_skew(&mut self, seconds: u32) -> Result<(), Error> {
        check_skew("clock_skew_seconds", seconds)?;
        (self.clock_skew_seconds, self.revocation.clock_skew_seconds) = (seconds, seconds);
        Ok(())
    }

    /// Refuses what makes a time no bound at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_skew("clock_skew_seconds", self.clock_skew_seconds)?;
        self.revocation.check()
    }

    fn with_time(at: CheckTime) -> Self {
        Checks {
            at,
            clock_skew_seconds: crate::limits::CLOCK_SKEW_SECONDS,
            profile: Profile::Default,
            extended_key_usages: Vec::new(),
            key_usages: Vec::new(),
            names: NameCheck::NotChecked,
            max_intermediates: None,
            policy: PolicyInputs::default(),
            allow_weak: false,
            allow_dotted_dns_constraints: false,
            budget: PathBudget::default(),
            revocation: RevocationPolicy::off(),
            presented: None,
            recognised: Vec::new(),
        }
    }
}

/// The time of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckTime {
    /// Certificates must be valid at this second; notBefore and notAfter are inclusive.
    At(Time),
    /// The device has no clock: validity periods are not checked, and the report carries a finding that says so.
    Unknown,
}

impl CheckTime {
    /// The time, where it is known.
    pub fn known(self) -> Option<Time> {
        match self {
            CheckTime::At(time) => Some(time),
            CheckTime::Unknown => None,
        }
    }
}

/// How much of what RFC 5280 section 4 asks of issuers is demanded of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What section 6.1 asks of a validator; tolerates negative serial numbers, CA flags that are not critical and
    /// other deviations that old CAs have and that do not change what a certificate says.
    Default,
    /// Issuers' duties too: a certificate that RFC 5280 says a conforming CA must not issue is refused.
    Strict,
}

/// Names of the peer (RFC 9525). There is no fall-back to the common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// Nothing is asked about names: the caller identifies the peer otherwise.
    NotChecked,
    /// The certificate must carry all of these. An empty list is refused: it is no check and does not say so.
    All(Vec<PeerName>),
}

/// Inputs of policy processing (RFC 5280 section 6.1.1 (c), (e), (f), (g)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyInputs {
    /// user-initial-policy-set; empty, or containing anyPolicy, means any policy.
    pub initial_set: Vec<Oid>,
    /// initial-explicit-policy: the path must be valid for a policy of the set.
    pub require_explicit: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// Uses of a key (RFC 5280 section 4.2.1.3); the number is the bit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyUsage {
    /// Signatures other than on certificates and CRLs.
    DigitalSignature = 0,
    /// contentCommitment, once nonRepudiation.
    ContentCommitment = 1,
    /// Encryption of keys.
    KeyEncipherment = 2,
    /// Encryption of data.
    DataEncipherment = 3,
    /// Key agreement.
    KeyAgreement = 4,
    /// Signatures on certificates.
    KeyCertSign = 5,
    /// Signatures on CRLs.
    CrlSign = 6,
    /// Key agreement for encryption only.
    EncipherOnly = 7,
    /// Key agreement for decryption only.
    DecipherOnly = 8,
}

impl KeyUsage {
    /// All of them, in the order of their bits.
    pub const ALL: [KeyUsage; 9] = [
        KeyUsage::DigitalSignature,
        KeyUsage::ContentCommitment,
        KeyUsage::KeyEncipherment,
        KeyUsage::DataEncipherment,
        KeyUsage::KeyAgreement,
        KeyUsage::KeyCertSign,
        KeyUsage::CrlSign,
        KeyUsage::EncipherOnly,
        KeyUsage::DecipherOnly,
    ];

    /// By the name RFC 5280 gives it; `nonRepudiation` is contentCommitment's old name.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "nonRepudiation" { "contentCommitment" } else { name };
        KeyUsage::ALL.into_iter().find(|usage| usage.name() == name)
    }

    /// The name RFC 5280 gives it.
    pub const fn name(self) -> &'static str {
        match self {
            KeyUsage::DigitalSignature => "digitalSignature",
            KeyUsage::ContentCommitment => "contentCommitment",
            KeyUsage::KeyEncipherment => "keyEncipherment",
            KeyUsage::DataEncipherment => "dataEncipherment",
            KeyUsage::KeyAgreement => "keyAgreement",
            KeyUsage::KeyCertSign => "keyCertSign",
            KeyUsage::CrlSign => "cRLSign",
            KeyUsage::EncipherOnly => "encipherOnly",
            KeyUsage::DecipherOnly => "decipherOnly",
        }
    }

    pub(super) const fn mask(self) -> u16 {
        1 << self as u8
    }
}
