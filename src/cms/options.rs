//! What is at hand for opening.

use crate::asn1::x509::Certificate;
use crate::crypto::PrivateKey;
use crate::limits::Limits;

/// What is at hand for opening.
#[derive(Clone, Copy)]
pub struct OpenOptions<'a> {
    /// The private key; RSA keys must be able to decrypt, EC keys to agree.
    pub key: Option<&'a dyn PrivateKey>,
    /// Its certificate: recipients that are not named by it are passed over. Without it every recipient of the key's
    /// type is tried.
    pub certificate: Option<&'a Certificate>,
    /// The shared secret of password recipients.
    pub password: Option<&'a [u8]>,
    /// The sender's key (SubjectPublicKeyInfo), where the sender agreed with a static key and names only its certificate.
    pub originator_spki: Option<&'a [u8]>,
    /// The sender's certificate, where the sender agreed with the key of that: the CMP protection certificate (RFC 9483 section
    /// 4.1.6.2). Taken where the originator is named by it.
    pub originator: Option<&'a Certificate>,
    /// Take key transport by RSA PKCS#1 v1.5. It invites Bleichenbacher's attack wherever an attacker learns whether
    /// opening succeeded; off unless an old peer leaves no choice.
    pub allow_pkcs1_transport: bool,
    /// Take AES-GCM in EnvelopedData, the tag at the end of the ciphertext, as XiPKI writes it; RFC 5084 has AuthEnvelopedData.
    pub allow_gcm_in_enveloped: bool,
    /// Limits on the work that a password recipient may order.
    pub limits: &'a Limits,
}

impl<'a> OpenOptions<'a> {
    /// Nothing at hand yet.
    pub fn new(limits: &'a Limits) -> Self {
        OpenOptions {
            key: None,
            certificate: None,
            password: None,
            originator_spki: None,
            originator: None,
            allow_pkcs1_transport: false,
            allow_gcm_in_enveloped: false,
            limits,
        }
    }
}
