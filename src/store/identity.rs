//! What device memory keeps: identities, key references, anchors by purpose; and what goes in to make one.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::StoreError;
use crate::asn1::x509::{Certificate, above};
use crate::crypto::Signer;
use crate::time::Time;

/// One generation of an identity: a private key, the certificate for it, and the certificates above that one.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name in device memory.
    pub name: String,
    /// Counts up with each installation.
    pub generation: u32,
    /// The private key, or where it is.
    pub key: Signer,
    /// The certificate.
    pub certificate: Certificate,
    /// Its issuer's certificate, that one's issuer's, and so on; perhaps empty, with or without the root.
    pub chain: Vec<Certificate>,
    /// What it is for, such as `idevid`, `ldevid`, `tls`.
    pub purpose: String,
    /// When it was installed or staged, by the caller's clock.
    pub created: Time,
}

/// A generation of an identity as it shows itself, without its private key: what is kept in the clear, and can be read whatever has become
/// of the secret that the key is sealed under.
#[derive(Clone, Debug)]
pub struct PublicPart {
    /// Its name in device memory.
    pub name: String,
    /// Counts up with each installation.
    pub generation: u32,
    /// The certificate.
    pub certificate: Certificate,
    /// As [`Identity::chain`].
    pub chain: Vec<Certificate>,
    /// As [`Identity::purpose`].
    pub purpose: String,
    /// As [`Identity::created`].
    pub created: Time,
}

impl PublicPart {
    /// With its key.
    pub(super) fn with(self, key: Signer) -> Identity {
        let PublicPart { name, generation, certificate, chain, purpose, created } = self;
        Identity { name, generation, key, certificate, chain, purpose, created }
    }
}

impl From<Identity> for PublicPart {
    fn from(identity: Identity) -> Self {
        let Identity { name, generation, key: _, certificate, chain, purpose, created } = identity;
        PublicPart { name, generation, certificate, chain, purpose, created }
    }
}

/// A key on its way into device memory.
#[derive(Clone, Debug)]
pub enum NewKey<'a> {
    /// This one. A key at hand is kept as PKCS#8, encrypted if the store has a secret; one that cannot leave its home, such as a key in a
    /// PKCS#11 token, as the words by which it is found: see [`Signer::to_keep`].
    Given(Signer),
    /// The pending key with this label; it stops being pending when the identity is in place.
    Pending(&'a str),
    /// The key of the identity's current generation: a new certificate for the same key.
    Current,
}

/// What makes a new generation.
#[derive(Clone, Debug)]
pub struct NewIdentity<'a> {
    /// The private key.
    pub key: NewKey<'a>,
    /// The certificate for it. Its path has been validated by the caller.
    pub certificate: &'a Certificate,
    /// The certificates above, nearest first. Each must have issued the one before it, by name. The certificate itself before them is
    /// passed over.
    pub chain: &'a [Certificate],
    /// What it is for: a plain name such as `ldevid`.
    pub purpose: &'a str,
    /// The present.
    pub at: Time,
}

impl NewIdentity<'_> {
    /// What is kept of its chain: the certificates above.
    pub(super) fn issuers(&self) -> &[Certificate] {
        above(self.certificate, self.chain)
    }
}

/// A key waiting for its certificate.
#[derive(Clone, Debug)]
pub struct PendingKey {
    /// Its label.
    pub label: String,
    /// The key, or where it is.
    pub key: Signer,
}

/// Which generations of an identity there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityState {
    /// In use.
    pub current: Option<u32>,
    /// The one before, for rollback.
    pub previous: Option<u32>,
    /// Issued, but not confirmed yet: to be promoted or discarded.
    pub pending: Option<u32>,
}

/// Trust anchors by what they are trusted for; the sets are separate on purpose.
///
/// Renewal adds the first three to the settings of its client ([`Renewal`](crate::client::Renewal)); the last is read by
/// [`Store::trust`](super::Store::trust).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnchorSet {
    /// Who may protect CMP messages.
    Cmp,
    /// Who may issue this device's certificates.
    Enrolment,
    /// Who may certify TLS servers.
    Tls,
    /// Who may certify peers.
    Peer,
}

impl AnchorSet {
    /// Every set.
    pub const ALL: [AnchorSet; 4] = [AnchorSet::Cmp, AnchorSet::Enrolment, AnchorSet::Tls, AnchorSet::Peer];

    /// Its name, also of its file.
    pub const fn name(self) -> &'static str {
        match self {
            AnchorSet::Cmp => "cmp",
            AnchorSet::Enrolment => "enrolment",
            AnchorSet::Tls => "tls",
            AnchorSet::Peer => "peer",
        }
    }
}

/// Gives the secret that encrypts keys at rest, such as a device-unique key. Called when it is needed.
pub type KeySecret = Arc<dyn Fn() -> Result<Zeroizing<Vec<u8>>, StoreError> + Send + Sync>;

/// How device memory behaves.
#[derive(Clone)]
pub struct StoreOptions {
    /// How many generations of an identity are kept, the current one included; at least 2, so that there is always one
    /// to roll back to. A pending one is kept besides.
    pub retention_count: usize,
    /// Encrypts private keys at rest (PBES2: PBKDF2-HMAC-SHA256, AES-256-CBC). Without, they are kept as plain PKCS#8.
    pub key_secret: Option<KeySecret>,
    /// PBKDF2 iterations for new keys. A device-unique random secret needs few, a password many.
    pub key_iterations: u32,
    /// scrypt's N (RFC 7914), with r = 8 and p = 1, for new keys in the place of PBKDF2: who guesses a password needs so many KiB of memory for
    /// each guess. Keys that are there stay as they are, and are read either way.
    pub key_scrypt: Option<u32>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { retention_count: 2, key_secret: None, key_iterations: 100_000, key_scrypt: None }
    }
}
