//! Questions to the server and what it answers: genm and genp (RFC 9483 section 4.3).

use super::context::Context;
use super::passphrase::SealedPassphrase;
use crate::asn1::cmp::general::{self, KeySpec};
use crate::asn1::cmp::{CrlSource, InfoTypeAndValue, RootCaKeyUpdate};
use crate::asn1::crmf::CertTemplate;
use crate::asn1::der::{Asn1Error, Cursor, Problem, element, sequence};
use crate::asn1::distribution_point::{cdp_urls, first_point};
use crate::asn1::general_name::GeneralName;
use crate::asn1::known_as::named;
use crate::asn1::name::{self, Name};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::{Certificate, read_oid};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{KeyKind, SignatureAlgorithm};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{Crl, RevocationMode, TrustAnchors, same_name};

const ROOT_UPDATE: Rule = Rule::new(
    "RFC 9483 section 4.3.2, RFC 9810 section 4.4 (S3)",
    "a new root that the trusted one vouches for by newWithOld",
);

const ASKED_FOR: Rule = Rule::new("RFC 9483 section 4.3 (S1)", "information of the type that was asked for");
const NEWER_CRL: Rule =
    Rule::new("RFC 9483 section 4.3.4 (S5)", "the list that was asked for, and none older than the one at hand");
const RECEIPT: Rule = Rule::new("RFC 9810 section 5.3.19.9 (R5)", "id-it 12 without a value as the receipt");

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Certificates of the CAs, as helpers for paths (RFC 9483 section 4.3.1).
    CaCerts,
    /// The successor of a root that is trusted here (section 4.3.2).
    RootUpdate {
        /// The trusted root: what comes is checked with its key.
        old: Certificate,
    },
    /// What requests for certificates are to look like (section 4.3.3); names the certificate profile of the settings.
    RequestTemplate,
    /// A list that is newer than the one at hand (section 4.3.4).
    Crl {
        /// Which list.
        source: CrlSource,
        /// thisUpdate of the one at hand.
        this_update: Option<Time>,
    },
    /// The current list, whichever the server means (RFC 9810 section 5.3.19.6).
    CurrentCrl,
    /// No question: brings the CA a passphrase for a later revocation (RFC 9810 section 5.3.19.9).
    RevocationPassphrase(SealedPassphrase),
    /// Any other: an identifier and its value, such as a vendor's.
    Other(InfoTypeAndValue),
}

/// What was answered, of the same kind as the question.
#[derive(Clone, Debug)]
pub enum Information {
    /// CA certificates. They may help to build a path; nothing is trusted for being here.
    CaCerts(Vec<Certificate>),
    /// The root's successor, checked; `None` if the server knows of none.
    RootUpdate(Option<RootUpdate>),
    /// The template; `None` if the CA asks for nothing in particular.
    RequestTemplate(Option<RequestTemplate>),
    /// Lists as DER, for [`Crl::from_der`]; their signatures are checked in validation. None if there is nothing newer.
    Crls(Vec<Vec<u8>>),
    /// The CA has the revocation passphrase.
    PassphraseTaken,
    /// Everything that came.
    Other(Vec<InfoTypeAndValue>),
}

/// A new root that the old one vouches for. Made only where the links were verified with the trusted old key.
#[derive(Clone, Debug)]
pub struct RootUpdate {
    old: Certificate,
    links: Box<RootCaKeyUpdate>,
}

impl RootUpdate {
    /// The trusted root that vouches for the new one.
    pub fn old_root(&self) -> &Certificate {
        &self.old
    }

    /// The new root, to be installed as an anchor.
    pub fn new_root(&self) -> &Certificate {
        &self.links.new_with_new
    }

    /// The new key signed with the old one: leads those who trust the old root to certificates under the new one.
    pub fn new_with_old(&self) -> &Certificate {
        self.links.new_with_old.as_ref().expect("checked when it was made")
    }

    /// The old key signed with the new one.
    pub fn old_with_new(&self) -> Option<&Certificate> {
        self.links.old_with_new.as_ref()
    }
}

/// What requests for certificates are to look like.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// CertReqTemplateContent as it came, DER.
    pub der: Vec<u8>,
    /// Fields to be asked for. The NULL-DN, an empty text in a name, and an empty extension value are to be filled in.
    pub template: CertTemplate,
    /// Keys that the CA certifies, in its words; empty: no particular ones.
    pub key_specs: Vec<KeySpec>,
}

impl RequestTemplate {
    /// The keys that the CA certifies, as far as they are of types known here. RSA of any length is told by 2048 bits.
    pub fn key_kinds(&self) -> Vec<KeyKind> {
        self.key_specs.iter().filter_map(|spec| kind_of(spec).ok()).collect()
    }

    /// Whether RSA keys of any length are among them.
    pub fn takes_any_rsa(&self) -> bool {
        self.key_specs.iter().any(is_any_rsa)
    }

    /// The keys that the CA certifies, in words, those of types not known here too; none: it has no wishes.
    pub fn key_words(&self) -> Vec<String> {
        let words = |spec: &KeySpec| match kind_of(spec) {
            Ok(_) if is_any_rsa(spec) => "RSA".to_owned(),
            Ok(kind) => kind.to_string(),
            Err(error) => match error.problem {
                Problem::Unknown { ref identifier, .. } => format!("{} (not known here)", named(identifier)),
                _ => format!("a type that cannot be read ({error})"),
            },
        };
        self.key_specs.iter().map(words).collect()
    }
}

fn kind_of(spec: &KeySpec) -> Result<KeyKind, Asn1Error> {
    match spec {
        KeySpec::RsaBits(bits) => Ok(KeyKind::Rsa(*bits)),
        KeySpec::Algorithm(_) if is_any_rsa(spec) => Ok(KeyKind::Rsa(2048)),
        // The type stands in the AlgorithmIdentifier: no key is needed to read it.
        KeySpec::Algorithm(algorithm) => KeyKind::of_spki(&sequence(&[algorithm, &element(0x03, &[&[0]])])),
    }
}

/// rsaEncryption by its identifier, without a length.
fn is_any_rsa(spec: &KeySpec) -> bool {
    let KeySpec::Algorithm(algorithm) = spec else { return false };
    let identifier = Cursor::sequence(algorithm, "AlgorithmIdentifier").and_then(|mut fields| read_oid(&mut fields));
    identifier.is_ok_and(|identifier| identifier == oid::RSA_ENCRYPTION)
}

impl Question {
    /// The list of revoked certificates that a certificate points to: by its distribution point, with a URI if it has one, else by
    /// whatever name it has there; by the CRL's issuer that stands there; or by the certificate's (RFC 9483 section 4.3.4).
    pub fn crl_for(certificate: &Certificate, known: Option<&Crl>) -> Result<Self, Error> {
        let source = match (cdp_urls(certificate).into_iter().next(), first_point(certificate)) {
            (Some(url), _) => CrlSource::DistributionPoint(url),
            (None, Some((Some(name), _))) => CrlSource::PointName(name),
            (None, Some((None, issuers))) => {
                let directory = issuers.iter().find_map(|name| match name {
                    GeneralName::Directory(name) => Some(*name),
                    _ => None,
                });
                CrlSource::Issuer(Name::from_der(directory.unwrap_or(certificate.issuer()))?)
            }
            (None, None) => CrlSource::Issuer(Name::from_der(certificate.issuer())?),
        };
        Ok(Question::Crl { source, this_update: known.map(Crl::this_update) })
    }

    /// Any other question.
    ///
    /// Errors: the value is neither empty nor one element of DER.
    pub fn other(info_type: Oid, value: &[u8]) -> Result<Self, Error> {
        if !value.is_empty() {
            let mut one = Cursor::new(value, "infoValue")?;
            one.any("one element")?;
            one.finish()?;
        }
        Ok(Question::Other(InfoTypeAndValue { info_type, value: value.to_vec() }))
    }

    /// GenMsgContent, DER.
    pub(super) fn content(&self) -> Vec<u8> {
        let (info_type, value) = match self {
            Question::CaCerts => (oid::IT_CA_CERTS, Vec::new()),
            Question::RootUpdate { old } => (oid::IT_ROOT_CA_CERT, old.as_der().to_vec()),
            Question::RequestTemplate => (oid::IT_CERT_REQ_TEMPLATE, Vec::new()),
            Question::Crl { source, this_update } => {
                (oid::IT_CRL_STATUS_LIST, general::crl_status_list(source, *this_update))
            }
            Question::CurrentCrl => (oid::IT_CURRENT_CRL, Vec::new()),
            Question::RevocationPassphrase(sealed) => (oid::IT_REV_PASSPHRASE, sealed.as_der().to_vec()),
            Question::Other(info) => (info.info_type, info.value.clone()),
        };
        general::gen_msg(&InfoTypeAndValue { info_type, value })
    }

    /// infoType of the answer; `None`: any.
    fn answer_type(&self) -> Option<Oid> {
        Some(match self {
            Question::CaCerts => oid::IT_CA_CERTS,
            Question::RootUpdate { .. } => oid::IT_ROOT_CA_KEY_UPDATE,
            Question::RequestTemplate => oid::IT_CERT_REQ_TEMPLATE,
            Question::Crl { .. } => oid::IT_CRLS,
            Question::CurrentCrl => oid::IT_CURRENT_CRL,
            Question::RevocationPassphrase(_) => oid::IT_REV_PASSPHRASE,
            Question::Other(_) => return None,
        })
    }
}

/// Reads the answer to a question, and checks what can be checked here.
pub(super) fn check_answer(
    context: &Context,
    question: &Question,
    items: Vec<InfoTypeAndValue>,
    now: Time,
) -> Result<Information, Error> {
    let Some(wanted) = question.answer_type() else { return Ok(Information::Other(items)) };
    // RFC 9483 section 4.3 has exactly one; servers that send others beside it are tolerated.
    let Some(info) = items.into_iter().find(|info| info.info_type == wanted) else {
        return Err(ASKED_FOR.broken(Code::Protocol, format!("the answer has no information of type {wanted}")));
    };
    // Absent means "nothing there"; NULL is how some servers write that.
    let value = Some(&info.value[..]).filter(|v| !v.is_empty() && *v != [0x05, 0x00]);
    let most = context.limits.max_certificates;
    Ok(match question {
        Question::CaCerts => {
            Information::CaCerts(value.map(|v| general::read_ca_certs(v, most)).transpose()?.unwrap_or_default())
        }
        Question::RootUpdate { old } => {
            Information::RootUpdate(value.map(|v| check_root_update(context, old, v, now)).transpose()?)
        }
        Question::RequestTemplate => Information::RequestTemplate(value.map(read_template).transpose()?),
        Question::Crl { source, this_update } => {
            let crls = value.map(|v| general::read_crls(v, most)).transpose()?.unwrap_or_default();
            for der in &crls {
                check_crl(der, source, *this_update)?;
            }
            Information::Crls(crls)
        }
        Question::CurrentCrl => {
            let crls: Vec<Vec<u8>> = value.map(<[u8]>::to_vec).into_iter().collect();
            for der in &crls {
                Crl::from_der(der.clone())?;
            }
            Information::Crls(crls)
        }
        // RFC 9810 section 5.3.19.9: the same identifier without a value is the receipt.
        Question::RevocationPassphrase(_) if value.is_none() => Information::PassphraseTaken,
        Question::RevocationPassphrase(_) => {
            let words = "the CA sent a value where it was to say that it has the revocation passphrase";
            return Err(RECEIPT.broken(Code::Protocol, words));
        }
        Question::Other(_) => unreachable!("answered above"),
    })
}

fn read_template(value: &[u8]) -> Result<RequestTemplate, Error> {
    let (template, key_specs) = general::read_cert_req_template(value)?;
    Ok(RequestTemplate { der: value.to_vec(), template, key_specs })
}

/// The list that was asked for, and no older one in place of the one at hand.
fn check_crl(der: &[u8], source: &CrlSource, known: Option<Time>) -> Result<(), Error> {
    let crl = Crl::from_der(der.to_vec())?;
    if let Some(known) = known {
        if crl.this_update() <= known {
            let words = format!("the server sent a CRL of {}, the one at hand is of {known}", crl.this_update());
            return Err(NEWER_CRL.broken(Code::Protocol, words));
        }
    }
    if let CrlSource::Issuer(name) = source {
        if !same_name(name.as_der(), crl.issuer()) {
            let issuer = name::display(crl.issuer());
            return Err(
                NEWER_CRL.broken(Code::Protocol, format!("a CRL of {name} was asked for, one of {issuer} came"))
            );
        }
    }
    Ok(())
}

/// The links of a root update hold together and hang on the trusted old key (RFC 9810 section 4.4, RFC 9483 section
/// 4.3.2). The message's own protection says nothing about this: an RA may protect messages, and may not appoint roots.
///
/// Nor may a CA below the root appoint itself: newWithOld is the root's own key change, not any certificate that the root
/// has signed. It is self-issued under the root's name, and the new root is bound as the old one is.
fn check_root_update(context: &Context, old: &Certificate, value: &[u8], now: Time) -> Result<RootUpdate, Error> {
    let refuse = |words: &str| Err(refused_root(format!("the root update is refused: {words}")));
    let links = RootCaKeyUpdate::from_der(value)?;
    let new = &links.new_with_new;
    let Some(new_with_old) = &links.new_with_old else {
        return refuse("newWithOld is missing, without which nothing vouches for the new root");
    };
    if !new.is_self_issued() || !same_name(new.subject(), new_with_old.subject()) {
        return refuse("newWithNew and newWithOld are not about one root");
    }
    if !same_public_key(new.spki(), new_with_old.spki()) {
        return refuse("newWithNew and newWithOld hold different keys");
    }
    if !same_name(new_with_old.issuer(), old.subject()) {
        return refuse("newWithOld does not name the trusted root as its issuer");
    }
    if !same_name(new.subject(), old.subject()) && !context.tolerance.renamed_root {
        let words = format!(
            "its name is {}, the trusted root's {}; RFC 9810 section 4.4 has newWithOld self-issued under the root's own \
             name. A root that is to follow under another name is taken with switch renamed_root",
            name::display(new.subject()),
            name::display(old.subject())
        );
        return refuse(&words);
    }
    is_signed_by(context, new_with_old, old, "newWithOld by the trusted root's key")?;
    leads_to(context, new_with_old, old, now, "newWithOld to the trusted root")?;
    is_signed_by(context, new, new, "newWithNew by its own key")?;
    if now.plus(i64::from(context.clock_skew_seconds)) < new.not_before() || new.not_after() < now {
        return refuse("newWithNew is not valid now");
    }
    if !is_ca(new)? || !is_ca(new_with_old)? {
        return refuse("the new root is not a CA that signs certificates");
    }
    carries_over(old, new, "the trusted root")?;
    carries_over(new_with_old, new, "newWithOld")?;
    if let Some(old_with_new) = &links.old_with_new {
        if !same_public_key(old_with_new.spki(), old.spki()) || !same_name(old_with_new.subject(), old.subject()) {
            return refuse("oldWithNew is not about the trusted root");
        }
        if !same_name(old_with_new.issuer(), new.subject()) {
            return refuse("oldWithNew names another issuer than the new root");
        }
        is_signed_by(context, old_with_new, new, "oldWithNew by the new key")?;
    }
    Ok(RootUpdate { old: old.clone(), links: Box::new(links) })
}

/// What binds a root binds its successor (RFC 5937: an anchor's constraints are enforced, and the new root becomes one).
fn carries_over(from: &Certificate, new: &Certificate, whose: &str) -> Result<(), Error> {
    const CONSTRAINTS: [(Oid, &str); 5] = [
        (oid::CE_NAME_CONSTRAINTS, "nameConstraints"),
        (oid::CE_POLICY_CONSTRAINTS, "policyConstraints"),
        (oid::CE_INHIBIT_ANY_POLICY, "inhibitAnyPolicy"),
        (oid::CE_CERTIFICATE_POLICIES, "certificatePolicies"),
        (oid::CE_EXT_KEY_USAGE, "extendedKeyUsage"),
    ];
    let refuse = |what: &str| {
        let words = format!("the root update is refused: the new root does not carry over {what} of {whose}");
        Err(refused_root(words))
    };
    for (id, what) in CONSTRAINTS {
        if let Some(bound) = from.extension(id) {
            if new.extension(id).is_none_or(|carried| carried.value != bound.value) {
                return refuse(what);
            }
        }
    }
    match (path_len(from)?, path_len(new)?) {
        (Some(bound), carried) if carried.is_none_or(|carried| carried > bound) => refuse("pathLenConstraint"),
        _ => Ok(()),
    }
}

fn path_len(certificate: &Certificate) -> Result<Option<u8>, Error> {
    use x509_cert::ext::pkix::BasicConstraints;
    let constraints: Option<BasicConstraints> =
        certificate.decode_extension(oid::CE_BASIC_CONSTRAINTS, "BasicConstraints")?;
    Ok(constraints.and_then(|c| c.path_len_constraint))
}

fn leads_to(
    context: &Context,
    certificate: &Certificate,
    anchor: &Certificate,
    now: Time,
    what: &str,
) -> Result<(), Error> {
    let anchors: TrustAnchors = [anchor.clone()].into_iter().collect();
    let mut checks = context.checks_at(now);
    // A root is trusted for years, by whoever reads it here: not on the strength of a signature that can be made for another.
    checks.allow_weak = false;
    checks.revocation = context.signer_revocation.clone();
    if checks.revocation.mode == RevocationMode::HardFail {
        // A link is rarely asked about; what is known against it counts as against any signer.
        checks.revocation.mode = RevocationMode::SoftFail;
    }
    let pool: Vec<Certificate> = context.intermediates.clone();
    let report = context.validate(&anchors, certificate, &pool, &checks);
    if report.path().is_some() {
        return Ok(());
    }
    let cause = report.error().map_or_else(|| "no path".to_owned(), |e| e.to_string());
    Err(refused_root(format!("the root update is refused: no path from {what}: {cause}")))
}

fn is_signed_by(context: &Context, certificate: &Certificate, issuer: &Certificate, what: &str) -> Result<(), Error> {
    let refused = |cause: String| refused_root(format!("the root update is refused: {what}: {cause}"));
    let algorithm =
        SignatureAlgorithm::from_der(certificate.signature_algorithm()).map_err(|e| refused(e.to_string()))?;
    if certificate.signature_algorithm() != certificate.tbs_signature_algorithm() {
        return Err(refused("the two algorithm fields differ".to_owned()));
    }
    let verified =
        context.provider.verify(&algorithm, issuer.spki(), certificate.tbs(), certificate.signature(), false);
    verified.map_err(|e| refused(e.to_string()))
}

fn is_ca(certificate: &Certificate) -> Result<bool, Error> {
    use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
    let constraints: Option<BasicConstraints> =
        certificate.decode_extension(oid::CE_BASIC_CONSTRAINTS, "BasicConstraints")?;
    let usage: Option<KeyUsage> = certificate.decode_extension(oid::CE_KEY_USAGE, "KeyUsage")?;
    Ok(constraints.is_some_and(|c| c.ca) && usage.is_none_or(|u| u.key_cert_sign()))
}

fn refused_root(words: String) -> Error {
    ROOT_UPDATE.broken(Code::WrongCertificate, words)
}
