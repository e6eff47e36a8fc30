//! The issued certificate is compared with what was asked: the key always, then everything else the template said.

use std::fmt;
use std::sync::Arc;

use super::context::Context;
use super::proof::RequestedKey;
use super::request::CertificateRequest;
use crate::asn1::cmp::{PkiStatus, PkiStatusInfo};
use crate::asn1::crmf::CertTemplate;
use crate::asn1::name;
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};
use crate::error::Error;
use crate::time::Time;
use crate::validation::StatusSources;
use crate::validation::TrustAnchors;
use crate::validation::{Checks, same_name, validate};

/// A certificate that the CA has issued, checked, and not yet confirmed or installed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// Certificates above it, next issuer first, the anchor last.
    pub chain: Vec<Certificate>,
    /// accepted, grantedWithMods, or a warning that came with the certificate.
    pub status: PkiStatusInfo,
    /// Where the certificate is not what was asked for. Empty: it is.
    pub differences: Vec<Difference>,
    /// Certificates the CA offers as anchors, from a message protected by the shared secret; else empty.
    pub ca_pubs: Vec<Certificate>,
    /// Whether the CA does without certConf.
    pub implicitly_confirmed: bool,
    /// certConf must be sent before this (confirmWaitTime, RFC 9810 section 5.1.1.2).
    pub confirm_before: Option<Time>,
    /// The key pair that the CA's side made, where that was asked for: checked to be the certificate's, signed by a key
    /// generation authority. In clear in memory only; it is not part of a saved operation.
    pub private_key: Option<Arc<dyn PrivateKey>>,
    pub(super) cert_req_id: i64,
}

impl Issued {
    /// What the CA wants its owner to know although it issued: see [`PkiStatusInfo::warnings`].
    pub fn warnings(&self) -> Vec<String> {
        self.status.warnings()
    }
}

/// One way in which an issued certificate is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which part: `subject`, `subjectAltName`, `keyUsage`, `validity`, ... or an extension's identifier.
    pub field: String,
    /// What was asked for, in words.
    pub requested: String,
    /// What was issued, in words.
    pub issued: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: requested {}, issued {}", self.field, self.requested, self.issued)
    }
}

/// Refuses what no caller may accept: another key, or no path to an enrolment anchor. Answers the chain.
pub(super) fn check_issued(
    context: &Context,
    request: &CertificateRequest,
    certificate: &Certificate,
    helpers: &[Certificate],
    extra_anchors: &[Certificate],
    now: Time,
) -> Result<Vec<Certificate>, Error> {
    if request.key.own().is_some_and(|key| !same_public_key(certificate.spki(), key.spki())) {
        let words = "the issued certificate holds another public key than the one requested";
        return Err(Error::new(Code::WrongCertificate, words));
    }
    let mut anchors: TrustAnchors = context.enrolment_anchors.clone();
    for anchor in extra_anchors {
        anchors.add(anchor.clone());
    }
    let pool: Vec<Certificate> = helpers.iter().chain(&context.intermediates).cloned().collect();
    let report = validate(&*context.provider, &anchors, certificate, &pool, &StatusSources::none(), &Checks::at(now));
    match report.path() {
        Some(path) => Ok(path.chain()[1..].to_vec()),
        None => {
            let cause = report.error().map_or_else(|| "no path".to_owned(), |e| e.to_string());
            let words = format!("the issued certificate does not lead to an enrolment anchor: {cause}");
            Err(Error::new(Code::WrongCertificate, words))
        }
    }
}

/// Everything in which the certificate differs from the request: the template, and the type of a generated key.
pub(super) fn all_differences(request: &CertificateRequest, certificate: &Certificate) -> Vec<Difference> {
    let mut found = differences(&request.template, certificate);
    if let RequestedKey::Central(Some(wanted)) = request.key {
        let issued = KeyKind::of_spki(certificate.spki());
        // The size of an RSA key cannot be asked for.
        let fits = match (&issued, wanted) {
            (Ok(KeyKind::Rsa(_)), KeyKind::Rsa(_)) => true,
            (issued, wanted) => *issued == Ok(wanted),
        };
        if !fits {
            let issued = issued.map_or_else(|_| "an unknown type".to_owned(), |kind| kind.to_string());
            found.push(Difference { field: "publicKey".to_owned(), requested: wanted.to_string(), issued });
        }
    }
    found
}

/// The chain of the certificate where one root is the anchor of both: the signer of the answer, and the certificate.
pub(super) fn chain_under(
    context: &Context,
    request: &CertificateRequest,
    [signer, certificate]: [&Certificate; 2],
    helpers: &[Certificate],
    root: &Certificate,
    now: Time,
) -> Option<Vec<Certificate>> {
    let mut anchors = TrustAnchors::new();
    anchors.add(root.clone());
    let pool: Vec<Certificate> = helpers.iter().chain(&context.intermediates).cloned().collect();
    let report = validate(&*context.provider, &anchors, signer, &pool, &StatusSources::none(), &Checks::at(now));
    report.path()?;
    let only_this = Context { enrolment_anchors: anchors, ..context.clone() };
    check_issued(&only_this, request, certificate, helpers, &[], now).ok()
}

/// Everything in which the certificate differs from the template, but for the key.
pub fn differences(template: &CertTemplate, certificate: &Certificate) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |field: &str, requested: String, issued: String| {
        found.push(Difference { field: field.to_owned(), requested, issued });
    };
    if let Some(subject) = &template.subject
        && !same_name(subject.as_der(), certificate.subject())
    {
        differ("subject", subject.to_string(), name::display(certificate.subject()));
    }
    if let Some(issuer) = &template.issuer
        && !same_name(issuer.as_der(), certificate.issuer())
    {
        differ("issuer", issuer.to_string(), name::display(certificate.issuer()));
    }
    // A CA may start a certificate later or end it earlier than asked, but that is for the caller to know.
    if let Some(first) = template.not_before
        && first != certificate.not_before()
    {
        differ("notBefore", first.to_string(), certificate.not_before().to_string());
    }
    if let Some(last) = template.not_after
        && last != certificate.not_after()
    {
        differ("notAfter", last.to_string(), certificate.not_after().to_string());
    }
    for wanted in &template.extensions {
        let label = extension_label(wanted.oid);
        match certificate.extension(wanted.oid) {
            None => differ(&label, hex(&wanted.value), "absent".to_owned()),
            Some(got) if got.value != wanted.value => differ(&label, hex(&wanted.value), hex(got.value)),
            Some(_) => {}
        }
    }
    found
}

fn extension_label(found: oid::Oid) -> String {
    match found {
        oid::CE_SUBJECT_ALT_NAME => "subjectAltName".to_owned(),
        oid::CE_KEY_USAGE => "keyUsage".to_owned(),
        oid::CE_EXT_KEY_USAGE => "extendedKeyUsage".to_owned(),
        oid::CE_BASIC_CONSTRAINTS => "basicConstraints".to_owned(),
        oid::CE_CERTIFICATE_POLICIES => "certificatePolicies".to_owned(),
        other => format!("extension {other}"),
    }
}

/// The digest for certHash: that of the certificate's signature algorithm (RFC 9483 section 4.1.1); SHA-512 for Ed25519
/// (RFC 9481 section 3.3). Where none is implied, SHA-512, named in hashAlg (RFC 9810 section 5.3.18): `true` beside it.
pub(super) fn cert_hash_algorithm(certificate: &Certificate) -> (DigestAlgorithm, bool) {
    match SignatureAlgorithm::from_der(certificate.signature_algorithm()) {
        Ok(SignatureAlgorithm::Ed25519) => (DigestAlgorithm::Sha512, false),
        Ok(algorithm) => algorithm.digest().map_or((DigestAlgorithm::Sha512, true), |digest| (digest, false)),
        Err(_) => (DigestAlgorithm::Sha512, true),
    }
}

/// Whether a status says that a certificate was issued; the warnings do (RFC 9810 section 5.2.3).
pub(super) fn is_success(status: PkiStatus) -> bool {
    !matches!(status, PkiStatus::Rejection | PkiStatus::Waiting | PkiStatus::Unknown(_))
}
