//! The issued certificate is compared with what was asked: the key always, then everything else the template said.

use alloc::sync::Arc;

use super::authority::is_renewed;
use super::compare::{differences, lost_uses};
use super::context::{Context, Trust};
use super::credential::Credential;
use super::diagnosis::RENEWED;
use super::difference::{Difference, PUBLIC_KEY};
use super::proof::RequestedKey;
use super::request::{CertificateRequest, RequestKind};
use super::signer_authorisation::can_protect;
use crate::asn1::cmp::{PkiStatus, PkiStatusInfo};
use crate::asn1::der::Cursor;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};
use crate::error::{Error, Refused, Rule};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{
    RevocationMode, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors, same_name, validate,
};

/// What an issued certificate must be.
pub(super) const ISSUED: Rule =
    Rule::new("RFC 9483 section 3.6.1 (C20)", "a certificate over the new key with a path to an enrolment anchor");

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
    /// Uses that this certificate lacks: those of the one that is updated, and to renew itself. In words.
    pub(super) lost_uses: Vec<String>,
    /// Why the settings' policy does not take it.
    pub(super) objection: Option<Error>,
    /// From when it is valid, if that was later than now when it came.
    pub(super) begins: Option<Time>,
    /// That nobody with authority has confirmed it, in words.
    pub(super) unproven: Option<String>,
}

impl Issued {
    /// What its owner should know although it was issued: what the CA says (see [`PkiStatusInfo::warnings`]), what the
    /// certificate that was updated could be used for and this one cannot, that it cannot renew itself, and that some peers will not find
    /// its issuer.
    pub fn warnings(&self) -> Vec<String> {
        let begins = self.begins.map(|begins| format!("the certificate is valid from {begins} on, not yet now"));
        let above = misnamed_issuers(&self.certificate, &self.chain);
        let words = self.lost_uses.iter().cloned().chain(begins).chain(above).chain(self.unproven.clone());
        self.status.warnings().into_iter().chain(words).collect()
    }

    /// What is waited for once it is confirmed.
    pub(super) fn valid_from_words(&self) -> String {
        format!("the certificate is confirmed, and valid from {} on", self.certificate.not_before())
    }

    /// From when the certificate is valid, if that is further ahead than clocks may differ.
    pub(super) fn begins_later(&self, context: &Context, now: Time) -> Option<Time> {
        let begins = self.certificate.not_before();
        (begins > now.plus(i64::from(context.clock_skew_seconds))).then_some(begins)
    }

    /// Which of several requests it answers, from 0.
    pub fn request_index(&self) -> usize {
        usize::try_from(self.cert_req_id).unwrap_or(0)
    }

    /// Why [`Options::acceptance`](super::Options::acceptance) does not take the certificate; `None`: it does. A caller may decide otherwise.
    pub fn objection(&self) -> Option<&Error> {
        self.objection.as_ref()
    }

    /// Compares the certificate with what was asked for.
    pub(super) fn compare(&mut self, context: &Context, request: &CertificateRequest) {
        self.differences = all_differences(request, &self.certificate);
        self.objection = context.acceptance.objection(&self.differences);
        self.lost_uses = match (request.kind, &context.credential) {
            (RequestKind::KeyUpdate, Credential::Signature { certificate: old, .. }) => {
                lost_uses(old, &self.certificate)
            }
            _ => Vec::new(),
        };
        if !context.tolerance.signer_key_usage && !can_protect(&self.certificate) {
            self.lost_uses.push(CANNOT_RENEW.to_owned());
        }
    }
}

/// RFC 9483 section 4.1.3: a key update is signed with the certificate that is updated; section 3.2: whose keyUsage has digitalSignature.
const CANNOT_RENEW: &str = "the certificate's keyUsage has no digitalSignature: it cannot sign its own renewal (kur), so the credential of the first enrolment is needed again before it ends";

/// Where a certificate of the path names another key, or another certificate, as its issuer's than the one above it (RFC 5280 section
/// 4.2.1.1). Signatures decide here, and others look at the names first: OpenSSL and GnuTLS take no such path.
pub(crate) fn misnamed_issuers(certificate: &Certificate, chain: &[Certificate]) -> Vec<String> {
    let pairs = core::iter::once(certificate).chain(chain).zip(chain);
    let named = pairs.filter_map(|(below, above)| Some((below, above, other_issuer(below, above)?)));
    let words = named.map(|(below, above, what)| {
        format!("{below}: its authorityKeyIdentifier names {what} than its issuer's ({above}): OpenSSL and GnuTLS refuse such a path")
    });
    words.collect()
}

fn other_issuer(below: &Certificate, above: &Certificate) -> Option<&'static str> {
    // AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0], authorityCertIssuer [1], authorityCertSerialNumber [2] }, all OPTIONAL.
    let extension = below.extension(oid::CE_AUTHORITY_KEY_IDENTIFIER)?;
    let mut fields = Cursor::sequence(extension.value, "AuthorityKeyIdentifier").ok()?;
    let key = fields.optional_context(0, false).ok()?.map(|field| field.value);
    let names = fields.optional_context(1, true).ok()?.map(|field| field.value);
    let serial = fields.optional_context(2, false).ok()?.map(|field| field.value);
    match (key, above.subject_key_identifier()) {
        (Some(wanted), Some(found)) if wanted != found => return Some("another key"),
        _ => {}
    }
    if names.is_some_and(|names| names_another(names, above.issuer())) {
        return Some("another issuer");
    }
    serial.filter(|serial| *serial != above.serial()).map(|_| "another serial number")
}

/// Whether these GeneralNames have a name of a directory ([4], explicit) first that is not this one.
fn names_another(names: &[u8], issuer: &[u8]) -> bool {
    let Ok(mut names) = Cursor::new(names, "GeneralNames") else { return false };
    let mut directories = core::iter::from_fn(|| (!names.is_empty()).then(|| names.any("a name").ok()).flatten());
    directories.find(|name| name.bytes[0] == 0xa4).is_some_and(|name| !same_name(name.value, issuer))
}

/// The two clocks that a certificate is judged by when it comes: the device's, and the CA's as its authentic answer says. Either may
/// be wrong. What has begun by one of them has begun, or a clock that is behind would hold back what is good; what lasts by one of
/// them lasts, or one that is ahead would throw away what can be had only once.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    pub own: Time,
    pub theirs: Time,
}

impl Clocks {
    pub fn later(&self) -> Time {
        self.own.max(self.theirs)
    }

    /// Judges by the later clock, and if that does not take it by the other one. Answers by which; an error is the first one's.
    pub fn judge<T>(&self, check: impl Fn(Time) -> Result<T, Error>) -> (Result<T, Error>, Time) {
        let (later, earlier) = (self.later(), self.own.min(self.theirs));
        match check(later) {
            Err(error) if earlier < later => match check(earlier) {
                Ok(good) => (Ok(good), earlier),
                Err(_) => (Err(error), later),
            },
            checked => (checked, later),
        }
    }

    /// Says whose clock says what, where they are further apart than they may be; and what that means for a certificate that is
    /// valid by neither.
    pub fn explain(&self, error: Error, skew_seconds: u32) -> Error {
        let off = self.theirs.since(self.own);
        if error.facts().refused != Some(Refused::Validity) || off.unsigned_abs() <= u64::from(skew_seconds) {
            return error;
        }
        let words = format!("the device's clock says {}, the CA's messageTime {}", self.own, self.theirs);
        let hint = match off > 0 {
            true => {
                "one of the clocks is wrong, and the certificate is valid by neither: the CA's is ahead of the device's"
            }
            false => {
                "one of the clocks is wrong, and the certificate is valid by neither: the CA's is behind the device's"
            }
        };
        error.followed_by(&words).with(|facts| facts.hint = Some(hint))
    }
}

/// Refuses what no caller may accept: another key, or no path to an enrolment anchor. Answers the chain.
pub(super) fn check_issued(
    context: &Trust<'_>,
    request: &CertificateRequest,
    certificate: &Certificate,
    helpers: &[Certificate],
    extra_anchors: &[Certificate],
    now: Time,
) -> Result<Vec<Certificate>, Error> {
    if request.key.own().is_some_and(|key| !same_public_key(certificate.spki(), key.spki())) {
        let words = "the issued certificate holds another public key than the one requested";
        return Err(Error::new(Code::WrongCertificate, words).breaks(ISSUED));
    }
    let mut anchors = TrustAnchors::clone(&context.enrolment_anchors);
    for anchor in extra_anchors {
        anchors.add(anchor.clone());
    }
    let pool: Vec<Certificate> = context.intermediates.iter().chain(helpers).cloned().collect();
    let mut checks = context.checks_at(judged_at(context, request, certificate, now)?);
    checks.revocation = revocation_of_issued(context);
    checks.recognised = understood(context, request);
    let report = context.validate(&anchors, certificate, &pool, &checks);
    match report.path() {
        Some(path) => Ok(path.chain()[1..].to_vec()),
        None => {
            let cause = report.error().unwrap_or_else(|| Error::new(Code::NoPath, "no path"));
            let words = match cause.code() {
                Code::NoPath => format!("the issued certificate does not lead to an enrolment anchor: {cause}"),
                _ => format!("the issued certificate cannot be used: {cause}"),
            };
            let hint = match cause.code() {
                Code::NoPath | Code::SignatureInvalid if !context.root_fingerprints.is_empty() => Some(
                    "no root above it came whose SHA-256 was told: the fingerprint is of the whole certificate in DER, and the root must come in extraCerts or caPubs",
                ),
                Code::NoPath | Code::SignatureInvalid if context.accept_ca_pubs => Some(
                    "caPubs was to bring the root, and brought none to which the certificate leads (only self-signed CA certificates count)",
                ),
                Code::SignatureInvalid if is_renewed(&anchors, certificate, helpers) => Some(RENEWED),
                other => hint_for(other),
            };
            let refused = Error::new(Code::WrongCertificate, words).breaks(ISSUED);
            let is_about_time = matches!(cause.code(), Code::NotYetValid | Code::Expired);
            Err(refused.with(|facts| {
                facts.hint = hint;
                facts.refused = is_about_time.then_some(Refused::Validity);
            }))
        }
    }
}

/// Critical extensions that the owner knows: it has asked for them, now or for the certificate that is updated, which a CA may repeat.
fn understood(context: &Context, request: &CertificateRequest) -> Vec<Oid> {
    let asked = request.template.extensions.iter().map(|extension| extension.oid);
    let updated = match (request.kind, &context.credential) {
        (RequestKind::KeyUpdate, Credential::Signature { certificate, .. }) => Some(certificate),
        _ => None,
    };
    asked.chain(updated.into_iter().flat_map(critical_of)).collect()
}

fn critical_of(certificate: &Certificate) -> Vec<Oid> {
    let critical = certificate.raw_extensions().filter(|extension| extension.critical);
    critical.filter_map(|extension| Oid::from_bytes(extension.oid).ok()).collect()
}

/// The status data at hand is asked about a certificate that was just issued, and about the CAs above it: none may be installed
/// that is known to be revoked. Nobody can have its status yet, so a missing one is no reason to refuse, whatever is asked
/// of signers.
fn revocation_of_issued(context: &Context) -> RevocationPolicy {
    let scope = RevocationScope::WholeChain;
    RevocationPolicy { mode: RevocationMode::Off, scope, ..context.signer_revocation.clone() }
}

/// When an issued certificate is judged. One that begins later is judged as of then: it is the CA's word and can only be had
/// once, so it is kept for its time, whether it was asked for so or the clocks differ. What begins after all operations
/// would have ended is no certificate for this device.
fn judged_at(
    context: &Context,
    request: &CertificateRequest,
    certificate: &Certificate,
    now: Time,
) -> Result<Time, Error> {
    let (begins, ends) = (certificate.not_before(), certificate.not_after());
    if ends < begins {
        let words = format!("the issued certificate can never be valid: notBefore {begins}, notAfter {ends}");
        return Err(Error::new(Code::WrongCertificate, words).breaks(ISSUED));
    }
    Ok(if begins <= latest_begin(context, request, now) { now.max(begins) } else { now })
}

/// The latest notBefore of a certificate that is kept for its time.
pub(super) fn latest_begin(context: &Context, request: &CertificateRequest, now: Time) -> Time {
    let ahead = now.plus(i64::from(context.limits.max_total_seconds));
    ahead.max(request.template.not_before.unwrap_or(now))
}

/// What helps where there is no path, by its cause: only a path that is not there at all is a matter of anchors.
fn hint_for(cause: Code) -> Option<&'static str> {
    match cause {
        // Another CA's root of the same name is met as a signature that does not match.
        Code::NoPath | Code::SignatureInvalid => Some(
            "the certificate's root is not among the enrolment anchors, which are a set of their own besides the CMP anchors; or an issuing certificate is missing (intermediates)",
        ),
        Code::NotYetValid => Some(
            "the device's clock is slow; or the CA makes certificates for later than its own answer says it is (clock_skew_seconds may be set higher)",
        ),
        Code::Expired => {
            Some("the device's clock is fast, or a certificate above the issued one has expired at the CA")
        }
        Code::WeakAlgorithm => Some(
            "the CA signs with an algorithm or a key that is too weak to be believed; switch allow_weak takes it all the same",
        ),
        _ => None,
    }
}

/// Everything in which the certificate differs from the request: the template, and the type of a generated key.
fn all_differences(request: &CertificateRequest, certificate: &Certificate) -> Vec<Difference> {
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
            found.push(Difference::changed(PUBLIC_KEY, wanted.to_string(), issued));
        }
    }
    found
}

/// The chain of the certificate where one root is the anchor of both: the signer of the answer, and the certificate.
pub(super) fn chain_under(
    context: &Trust<'_>,
    request: &CertificateRequest,
    [signer, certificate]: [&Certificate; 2],
    helpers: &[Certificate],
    root: &Certificate,
    now: Time,
) -> Option<Vec<Certificate>> {
    let only_this = context.only(root);
    let pool: Vec<Certificate> = context.intermediates.iter().chain(helpers).cloned().collect();
    let checks = context.checks_at(now);
    let report = validate(&*context.provider, &only_this.cmp_anchors, signer, &pool, &StatusSources::none(), &checks);
    report.path()?;
    check_issued(&only_this, request, certificate, helpers, &[], now).ok()
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
