//! Who may sign this, for whom, by which key: one question with one answer, for answers of the CA, for generated keys, for
//! requests of devices at an RA, and for the successor of a root.
//!
//! A path to an anchor says who somebody is (authentication). It does not say that this somebody may speak for the CA: under
//! an operator's root stand the CA, its RA, and every device (RFC 9483 section 3.5: the sender MUST be authorised). What
//! decides comes from the owner, from the certificate's purpose, or from its place in the path; never from extraCerts, which
//! nobody protects and which can add a path and take none away.

use super::context::{Context, Trust};
use super::credential::Credential;
use super::request::{Request, RevocationRequest};
use super::signer_authorisation::{CMC, has_cmc_purpose, has_purpose, has_signing_usage, is_under};
use crate::asn1::name;
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::crypto::keys::same_public_key;
use crate::error::{Error, Refused, Rule};
use crate::limits::PathBudget;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::names::name_hash;
use crate::validation::{Checks, RevocationMode, TrustAnchors, is_ca, same_name};

pub(super) const ANSWERS: Rule =
    Rule::new("RFC 9483 section 3.5 (P9)", "a signer with a path to the CMP anchors, digitalSignature and authority");
pub(super) const MAKES_KEYS: Rule = Rule::new(
    "RFC 9483 section 4.1.6 (G4)",
    "a key signed by an authority with a path and the purpose cmKGA, or by the issuing CA",
);

const ASKS: Rule =
    Rule::new("RFC 9483 section 3.5 (P9)", "a signer with a path to the anchors of devices, and digitalSignature");
const PASSES_ON: Rule = Rule::new(
    "RFC 9483 section 5.2.2 (A1)",
    "a signer with a path to the anchors of devices, digitalSignature and the purpose cmcRA",
);

/// What somebody signs.
#[derive(Clone, Copy)]
pub(super) enum Act<'a> {
    /// An answer; `None`: to whatever an RA has passed on.
    Answer(Option<&'a Request>),
    /// A key made for a device; with the issuer of its certificate, whose path is known.
    GeneratedKey(Option<&'a Certificate>),
    /// A request of a device under these anchors.
    DeviceRequest(&'a TrustAnchors),
    /// A nested message of an RA under these anchors (RFC 9483 section 5.2.2).
    NestedRequest(&'a TrustAnchors),
}

impl Act<'_> {
    /// The signer in words.
    fn role(&self) -> &'static str {
        match self {
            Act::Answer(_) => "the answer's signer",
            Act::GeneratedKey(_) => "the key generation authority",
            Act::DeviceRequest(_) => "the request's signer",
            Act::NestedRequest(_) => "the nested message's signer",
        }
    }
}

/// Whether the holder of `signer` may sign this now. `came`: certificates that came along, unprotected. The signature itself
/// is the caller's to check, with this very certificate.
///
/// It is asked at each message: who was revoked or has expired since the last one is believed no longer. Answers the path, the
/// signer first.
pub(super) fn may_sign(
    context: &Trust<'_>,
    act: Act<'_>,
    signer: &Certificate,
    came: &[Certificate],
    now: Time,
) -> Result<Vec<Certificate>, Error> {
    find_path(context, act, signer, came, now).map_err(|error| match act {
        Act::Answer(_) => error.breaks(ANSWERS),
        Act::GeneratedKey(_) => error.breaks(MAKES_KEYS),
        Act::DeviceRequest(_) => error.breaks(ASKS),
        Act::NestedRequest(_) => error.breaks(PASSES_ON),
    })
}

fn find_path(
    context: &Trust<'_>,
    act: Act<'_>,
    signer: &Certificate,
    came: &[Certificate],
    now: Time,
) -> Result<Vec<Certificate>, Error> {
    let role = act.role();
    let refuse = |words: String| Err(Error::new(Code::ProtectionInvalid, format!("{role} {signer} {words}")));
    let is_ours = matches!(act, Act::Answer(_) | Act::GeneratedKey(_));
    let is_tolerated = is_ours && context.tolerance.signer_key_usage;
    if !is_tolerated && !has_signing_usage(signer)? {
        let refused = refuse("has a keyUsage without digitalSignature".to_owned());
        return refused.map_err(|error: Error| error.with(|facts| facts.refused = Some(Refused::KeyUsage)));
    }
    let objection = match act {
        Act::Answer(_) => context.authorisation.against(signer)?,
        // RFC 9810 section 4.5: cmKGA, or the CA itself.
        Act::GeneratedKey(issuer) if issuer != Some(signer) && !has_purpose(signer, &[oid::KP_CM_KGA])? => {
            Some("has neither the purpose cmKGA nor issued the certificate".to_owned())
        }
        Act::NestedRequest(_) if !has_cmc_purpose(signer)? => Some("has neither purpose cmcRA nor cmcCA".to_owned()),
        Act::GeneratedKey(_) | Act::DeviceRequest(_) | Act::NestedRequest(_) => None,
    };
    if let Some(objection) = objection {
        return refuse(objection);
    }
    let anchors = match act {
        Act::DeviceRequest(anchors) | Act::NestedRequest(anchors) => anchors,
        Act::GeneratedKey(Some(issuer)) if issuer == signer => &*context.enrolment_anchors,
        Act::Answer(_) | Act::GeneratedKey(_) => &*context.cmp_anchors,
    };
    let mut checks = context.checks_at(now);
    checks.revocation = context.signer_revocation.clone();
    let chain = match path(context, anchors, signer, came, &checks) {
        Ok(chain) => chain,
        Err(cause) => {
            let words = format!("{role} {signer} is not trusted: {cause}");
            let index = cause.facts().certificate_index;
            let refused = match cause.code() {
                Code::SignatureInvalid if is_renewed(anchors, signer, came) => Some(Refused::Renewed),
                Code::NoPath | Code::SignatureInvalid => Some(Refused::NoPath),
                Code::RevocationUnknown => Some(Refused::StatusUnknown),
                Code::Expired | Code::NotYetValid => Some(Refused::Validity),
                _ => None,
            };
            let error = Error::new(Code::ProtectionInvalid, words).with_source(cause);
            return Err(error.with(|facts| (facts.certificate_index, facts.refused) = (index, refused)));
        }
    };
    match act {
        Act::Answer(_) if !is_under(&chain, &context.authorisation.policies)? => {
            let wanted: Vec<String> = context.authorisation.policies.iter().map(ToString::to_string).collect();
            refuse(format!("is not issued under the certificate policy {}", wanted.join(" or ")))
        }
        Act::Answer(request) if !speaks_for_the_ca(context, request, &chain, came, now)? => {
            Err(not_authorised(signer, request))
        }
        Act::GeneratedKey(issuer) if issuer != Some(signer) && is_confined(&chain, &[oid::KP_CM_KGA]) => refuse(
            "is certified by a CA that is confined to some names or purposes, and makes keys for nobody else"
                .to_owned(),
        ),
        Act::NestedRequest(_) if is_confined(&chain, &CMC) => refuse(
            "is certified by a CA that is confined to some names or purposes, and is an RA for nobody else".to_owned(),
        ),
        _ => Ok(chain),
    }
}

/// Whether a certificate names an anchor as its issuer: then a signature that does not match is by another key of that name.
pub(super) fn is_renewed(anchors: &TrustAnchors, certificate: &Certificate, came: &[Certificate]) -> bool {
    let mut issued = core::iter::once(certificate).chain(came);
    issued.any(|one| anchors.iter().any(|anchor| one != anchor && same_name(anchor.subject(), one.issuer())))
}

/// Whether who is at the beginning of this path may answer. `chain` ends at a CMP anchor.
fn speaks_for_the_ca(
    context: &Trust<'_>,
    request: Option<&Request>,
    chain: &[Certificate],
    came: &[Certificate],
    now: Time,
) -> Result<bool, Error> {
    let signer = &chain[0];
    let said = &context.authorisation;
    if said.pins.is_some() || said.any_under_anchors || context.cmp_anchors.iter().any(|anchor| anchor == signer) {
        return Ok(true);
    }
    if is_certification_authority(signer)? && issues_for_us(context, request, chain, came, now) {
        return Ok(true);
    }
    Ok(!is_confined(chain, &CMC) && (said.is_named() || has_cmc_purpose(signer)?))
}

/// The path of a signer who is under the CMP anchors and may not answer for the CA; `None` where the owner has said who is to
/// sign, or where the path leads through a CA that speaks for nobody but itself.
pub(super) fn is_authenticated(
    context: &Trust<'_>,
    signer: &Certificate,
    came: &[Certificate],
    now: Time,
) -> Option<Vec<Certificate>> {
    if context.authorisation.is_said() || !has_signing_usage(signer).ok()? {
        return None;
    }
    let mut checks = context.checks_at(now);
    checks.revocation = context.signer_revocation.clone();
    path(context, &context.cmp_anchors, signer, came, &checks).ok().filter(|chain| !is_confined_by_name(chain))
}

/// Whether a CA certificate is one of the path that issues this device's certificates. That path is known from the
/// certificate that the device has from there; before the first one, any CA that may issue for the device could be it.
fn issues_for_us(
    context: &Trust<'_>,
    request: Option<&Request>,
    chain: &[Certificate],
    came: &[Certificate],
    now: Time,
) -> bool {
    let signer = &chain[0];
    // Whether it is revoked has been asked on its path to the CMP anchors.
    if path(context, &context.enrolment_anchors, signer, came, &context.checks_at(now)).is_err() {
        return false;
    }
    // RFC 9483 section 4.2: a revocation is the affair of who issued the certificate.
    let revocations = request.map_or(&[][..], Request::revocations);
    if !revocations.is_empty() && revocations.iter().all(|revocation| has_issued(context, revocation, chain, now)) {
        return true;
    }
    let is_about_ours = request.is_some_and(|request| request.is_update() || !request.revocations().is_empty());
    may_have_issued(context, is_about_ours, chain, now)
}

/// Whether what this CA has issued for the device is the CA's word whoever brings it: `chain` is the CA's path. Any CA below the
/// root can issue over a key that it has seen in a request; the one that renews is the one that has issued before, or its successor.
/// Before the first certificate it is any that is not confined to some names or purposes. `is_about_ours`: an update or a
/// revocation, by whoever has a certificate of that CA already.
pub(super) fn may_have_issued(context: &Trust<'_>, is_about_ours: bool, chain: &[Certificate], now: Time) -> bool {
    let Some(ca) = chain.first() else { return false };
    match (own_path(context, now), &context.credential) {
        (Some(ours), _) => (1..ours.len()).any(|at| is_the_ca(&ours[at..], chain)),
        // The certificates above our own are not at hand: then it is the CA that made ours. None that came is asked, as any CA
        // below the root can certify the key of another, and so stand above it.
        (None, Credential::Signature { certificate, .. }) if is_about_ours => {
            let alone: TrustAnchors = core::iter::once(ca.clone()).collect();
            path(context, &alone, certificate, &[], &context.checks_at(now)).is_ok()
        }
        (None, _) => !is_about_ours && !is_confined_as_ca(chain),
    }
}

/// Whether the signer is the CA at the beginning of our own path from there on: by its key; or by its name under the very key
/// that has certified ours, as a CA with a new key is. Any CA below the root can give another that name, and its own key.
fn is_the_ca(ours: &[Certificate], chain: &[Certificate]) -> bool {
    let (ca, signer) = (&ours[0], &chain[0]);
    let certifier = |path: &[Certificate]| path.get(1).unwrap_or(&path[0]).spki().to_vec();
    same_name(ca.subject(), signer.subject())
        && (same_public_key(ca.spki(), signer.spki())
            || (!is_confined_as_ca(chain) && same_public_key(&certifier(ours), &certifier(chain))))
}

/// Whether the CA at the beginning of `chain` has issued what is to be revoked. Its name proves nothing, as any CA below the root can
/// certify another of that name: its key has signed the certificate, or it is the CA, as far as one of the issuer's certificates
/// is at hand.
fn has_issued(context: &Trust<'_>, revocation: &RevocationRequest, chain: &[Certificate], now: Time) -> bool {
    if !same_name(chain[0].subject(), &revocation.issuer) {
        return false;
    }
    let has_signed = |ca: &Certificate| match &revocation.certificate {
        Some(certificate) => is_signed_by(context, certificate, ca),
        None => true,
    };
    if revocation.certificate.is_some() && has_signed(&chain[0]) {
        return true;
    }
    own_certificates(context)
        .chain(context.enrolment_anchors.iter())
        .filter(|ca| same_name(ca.subject(), &revocation.issuer) && has_signed(ca))
        .filter_map(|ca| path(context, &context.enrolment_anchors, ca, &[], &context.checks_at(now)).ok())
        .any(|known| is_the_ca(&known, chain))
}

fn is_signed_by(context: &Context, certificate: &Certificate, ca: &Certificate) -> bool {
    let Ok(algorithm) = SignatureAlgorithm::from_der(certificate.signature_algorithm()) else { return false };
    let allow_weak = context.tolerance.allow_weak;
    context.provider.verify(&algorithm, ca.spki(), certificate.tbs(), certificate.signature(), allow_weak).is_ok()
}

/// The path of the credential's certificate, if it is one of the PKI that the device enrols with.
fn own_path(context: &Trust<'_>, now: Time) -> Option<Vec<Certificate>> {
    let Credential::Signature { certificate, .. } = &context.credential else { return None };
    path(context, &context.enrolment_anchors, certificate, &[], &context.checks_at(now)).ok()
}

/// Whether a CA in the path, but for the anchor, which the owner has chosen, may certify some names only, or for other
/// purposes only: a CA that restricts its own purposes restricts what it can issue for.
fn is_confined(chain: &[Certificate], purposes: &[oid::Oid]) -> bool {
    let below = chain.len().saturating_sub(1).max(1);
    is_confined_by_name(chain) || chain[..below].iter().skip(1).any(|ca| !allows_purposes(ca, purposes))
}

fn is_confined_by_name(chain: &[Certificate]) -> bool {
    let below = chain.len().saturating_sub(1).max(1);
    chain[..below].iter().any(|certificate| certificate.extension(oid::CE_NAME_CONSTRAINTS).is_some())
}

/// The same for a CA that itself signs.
fn is_confined_as_ca(chain: &[Certificate]) -> bool {
    is_confined(chain, &CMC) || (chain.len() > 1 && !allows_purposes(&chain[0], &CMC))
}

/// Whether a CA may issue for one of these purposes.
fn allows_purposes(ca: &Certificate, purposes: &[oid::Oid]) -> bool {
    let is_listed = |purpose: &oid::Oid| ca.has_purpose(*purpose).unwrap_or(false);
    ca.extension(oid::CE_EXT_KEY_USAGE).is_none()
        || purposes.iter().any(is_listed)
        || is_listed(&oid::ANY_EXTENDED_KEY_USAGE)
}

fn is_certification_authority(certificate: &Certificate) -> Result<bool, Error> {
    use x509_cert::ext::pkix::KeyUsage;
    let usage: Option<KeyUsage> = certificate.decode_extension(oid::CE_KEY_USAGE, "KeyUsage")?;
    Ok(is_ca(certificate)? && usage.is_none_or(|usage| usage.key_cert_sign()))
}

/// The path of a certificate, itself first.
///
/// It is looked for with one's own certificates first, with a budget of its own; those that came can add a path. Where the
/// status is asked for, what is found with them can still be that it is revoked, and that decides.
fn path(
    context: &Context,
    anchors: &TrustAnchors,
    certificate: &Certificate,
    came: &[Certificate],
    checks: &Checks,
) -> Result<Vec<Certificate>, Error> {
    let attempt = |pool: &[Certificate], checks: &Checks| {
        let report = context.validate(anchors, certificate, pool, checks);
        match (report.path(), report.error()) {
            (Some(path), _) => Ok(path.chain().to_vec()),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::new(Code::NoPath, "no path to a trust anchor")),
        }
    };
    let decides = |error: &Error| matches!(error.code(), Code::Revoked | Code::Budget);
    let mut pool: Vec<Certificate> = own_certificates(context).cloned().collect();
    // Where nobody at hand has its issuer's name there is no path with one's own alone, and nothing to be found out.
    let is_issuer = |other: &Certificate| {
        other.subject() == certificate.issuer() || other.subject_hash(name_hash) == certificate.issuer_hash(name_hash)
    };
    let may_have_path = !context.signer_status.is_empty()
        || came.is_empty()
        || pool.iter().any(is_issuer)
        || anchors.iter().any(|anchor| anchor == certificate || is_issuer(anchor));
    let with_own = may_have_path.then(|| attempt(&pool, checks));
    let is_settled = match &with_own {
        None => false,
        Some(Ok(_)) => checks.revocation.mode == RevocationMode::Off && context.signer_status.is_empty(),
        Some(Err(error)) => decides(error),
    };
    let found = match with_own {
        Some(with_own) if is_settled || came.is_empty() => with_own,
        with_own => {
            let budget = PathBudget::for_stranger(pool.len() + anchors.len());
            pool.extend(came.iter().cloned());
            match (with_own, attempt(&pool, &Checks { budget, ..checks.clone() })) {
                (Some(Ok(_)), Err(error)) if decides(&error) => Err(error),
                (Some(Ok(chain)), _) => Ok(chain),
                (Some(Err(_)) | None, with_all) => with_all,
            }
        }
    };
    match found {
        // An anchor is believed without proof: a signer whose certificate the owner has put there needs no issuer.
        Err(error)
            if !decides(&error)
                && anchors.iter().any(|anchor| anchor == certificate)
                && checks
                    .at
                    .known()
                    .is_none_or(|now| certificate.not_before() <= now && now <= certificate.not_after()) =>
        {
            Ok(vec![certificate.clone()])
        }
        other => other,
    }
}

/// Certificates that the owner has given: signers, helpers for paths, and the chain of the credential.
pub(super) fn own_certificates(context: &Context) -> impl Iterator<Item = &Certificate> {
    let chain = match &context.credential {
        Credential::Signature { chain, .. } => &chain[..],
        Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
    };
    context.authorisation.pins.iter().flatten().chain(&context.intermediates).chain(chain)
}

/// Says what is missing, and what the owner can do about it.
fn not_authorised(signer: &Certificate, request: Option<&Request>) -> Error {
    let subject = name::display(signer.subject());
    let is_revocation = request.is_some_and(|request| !request.revocations().is_empty());
    let issuer = if is_revocation {
        ". A revocation is confirmed by the CA that issued the certificate: that CA's certificate is told by add_intermediates \
         (devid_config_add_intermediates, ca.trust.intermediates)"
    } else {
        ""
    };
    let words = format!(
        "the answer's signer {signer} has a path to the CMP anchors, and is not authorised to answer: it is no CMP anchor, \
         has neither purpose cmcCA nor cmcRA from a CA without constraints on names or purposes, and is no CA of the path that issues this \
         device's certificates. If it does answer for the CA, pin the certificate with serial number {} by \
         pin_signers (devid_config_add_signer_pins, ca.trust.signers) or name its subject, \"{subject}\", by \
         set_signer (devid_config_set_signer, ca.trust.signer-subjects); \
         any_under_anchors (DEVID_SIGNER_ANY, ca.trust.signer-any) believes everyone under the CMP anchors{issuer}",
        hex(signer.serial())
    );
    Error::new(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::NotAuthorised))
}
