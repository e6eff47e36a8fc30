//! Whose signature is under an answer, and whether he may sign it. senderKID and sender say where to look; the signature says who it
//! is; `authority` says whether he may.

use core::cell::OnceCell;

use super::authority::{Act, may_sign, own_certificates};
use super::bearer::Bearer;
use super::context::{Context, Trust};
use super::request::Request;
use super::transaction::Transaction;
use crate::asn1::Problem;
use crate::asn1::cmp::{BodyType, PkiBody, PkiMessage, PkiStatus};
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{CryptoError, KeyKind, SignatureAlgorithm};
use crate::error::{Error, Refused, Rule};
use crate::limits::MIN_RSA_BITS;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::names::name_hash;
use crate::validation::same_name;

const ALGORITHM: Rule =
    Rule::new("RFC 9483 section 3.5 (P6)", "a signature by an algorithm and a key that are known and not weak");
const SIGNATURE: Rule = Rule::new("RFC 9483 section 3.5 (P1, P6)", "a signature over the answer by its signer's key");
const NO_SIGNER: Rule =
    Rule::new("RFC 9483 section 3.5 (P8, P10)", "a certificate of the signer, which senderKID and sender name");
const SAME_SIGNER: Rule = Rule::new("RFC 9483 section 3.5 (P4)", "the signer of the answers before");

/// Most certificates that came along and are tried as the signer's.
const MOST_STRANGERS: usize = 16;

/// Finds the signer, checks the signature, and whether this signer may. A certificate from extraCerts is never trusted for
/// having come along: extraCerts is not protected (RFC 9483 section 3.3).
///
/// Answers the signer where it may not decide, and nobody who may has signed.
pub(super) fn check_signature(
    context: &Trust<'_>,
    request: Option<&Request>,
    transaction: &mut Transaction,
    message: &PkiMessage,
    algorithm: &[u8],
    now: Time,
) -> Result<Option<Bearer>, Error> {
    let algorithm = SignatureAlgorithm::from_der(algorithm)
        .map_err(|e| Error::caused_by(Code::Algorithm, e).context("the answer's protectionAlg").breaks(ALGORITHM))?;
    if algorithm.is_weak() {
        let words = format!(
            "the answer is protected with {algorithm}, which is too weak to be believed: the server must sign otherwise"
        );
        return Err(ALGORITHM.broken(Code::WeakAlgorithm, words));
    }
    let mut roots = message.extra_certs().to_vec();
    if !context.root_fingerprints.is_empty() {
        roots.extend(ca_pubs_of(context, message));
    }
    let context = &context.with_told_roots(&roots);
    let puts_off = puts_off(context, message);
    let may_change = context.tolerance.signer_may_change || puts_off;
    let (own, came) = candidates(context, transaction, message, may_change, now);
    let described = own.len() + came.len();
    // What came before helps still; every certificate of it is judged again, and its signatures are known.
    let helpers: Vec<Certificate> = transaction.signer_path.iter().chain(message.extra_certs()).cloned().collect();
    let mut first_failure = None;
    let mut bearer = None;
    // Keys whose signature this is not.
    let mut wrong_keys: Vec<&[u8]> = Vec::new();
    // Whom the owner has named is looked at whatever came along; of the others a number: each costs a signature and a path.
    for candidate in own.iter().chain(came.iter().take(MOST_STRANGERS)) {
        if wrong_keys.contains(&candidate.spki()) {
            continue;
        }
        let tried = is_by(context, message, &algorithm, candidate)
            .inspect_err(|_| wrong_keys.push(candidate.spki()))
            .and_then(|()| {
                let may = may_sign(context, Act::Answer(request), candidate, &helpers, now);
                may.map(|path| (path, None)).or_else(|error| {
                    let adopted = adopt(context, request, transaction, message, candidate, now);
                    if adopted.is_none() && bearer.is_none() {
                        bearer = Bearer::find(context, request, candidate, &helpers, now, &error);
                    }
                    adopted.map(|root| (message.extra_certs().to_vec(), Some(root))).ok_or(error)
                })
            });
        match tried {
            Ok((path, adopted)) => {
                let told = path.iter().find(|root| context.is_told_root(root)).cloned();
                bind(transaction, candidate, path, adopted.or(told), puts_off);
                return Ok(None);
            }
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    if bearer.is_some() {
        return Ok(bearer);
    }
    Err(first_failure.unwrap_or_else(|| {
        let kid = match message.header().sender_kid.as_deref() {
            None => "absent".to_owned(),
            Some([]) => "empty".to_owned(),
            Some(kid) => hex(kid),
        };
        let mut words = format!(
            "no certificate of the answer's signer: senderKID {kid}, {} certificates in extraCerts, {described} fit",
            message.extra_certs().len()
        );
        let mut rule = NO_SIGNER;
        if described == 0 && another_signer(context, transaction, message, now) {
            rule = SAME_SIGNER;
            words.push_str(
                "; one is there that is not the signer of the answers before this one (RFC 9483 section 3.5): switch \
                 signer_may_change takes another that is trusted and authorised",
            );
        }
        rule.broken(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::NoSigner))
    }))
}

/// Whose signature is under a message, whether he may sign or not.
pub(super) fn find(
    context: &Trust<'_>,
    transaction: &Transaction,
    message: &PkiMessage,
    algorithm: &SignatureAlgorithm,
    now: Time,
) -> Option<Certificate> {
    let may_change = context.tolerance.signer_may_change || puts_off(context, message);
    let (own, came) = candidates(context, transaction, message, may_change, now);
    let mut tried = own.into_iter().chain(came.into_iter().take(MOST_STRANGERS));
    tried.find(|candidate| is_by(context, message, algorithm, candidate).is_ok())
}

/// Whether a certificate would fit, were it not for the signer of the answers before.
fn another_signer(context: &Trust<'_>, transaction: &Transaction, message: &PkiMessage, now: Time) -> bool {
    let (own, came) = candidates(context, transaction, message, true, now);
    transaction.bound_signer.is_some() && !(own.is_empty() && came.is_empty())
}

/// Who has signed an answer signs the others too, unless all that it says is that the answer is put off.
fn bind(
    transaction: &mut Transaction,
    signer: &Certificate,
    path: Vec<Certificate>,
    root: Option<Certificate>,
    puts_off: bool,
) {
    if puts_off && transaction.bound_signer.is_some() {
        return;
    }
    // What vouched for another, who only put off, vouches for nobody else.
    let goes_on = transaction.bound_signer.is_some()
        || transaction.bearer.is_some()
        || transaction.put_off_by.as_ref() == Some(signer);
    transaction.signer_path = path.into_iter().filter(|above| above != signer).collect();
    transaction.adopted_root = root.or(transaction.adopted_root.take().filter(|_| goes_on));
    match puts_off {
        true => transaction.put_off_by = Some(signer.clone()),
        false => transaction.bound_signer = Some(signer.clone()),
    }
}

/// Whether all that an answer says is to wait: nothing is decided by it (RFC 9483 section 4.4), and another may sign it than the answers
/// before it.
fn puts_off(context: &Context, message: &PkiMessage) -> bool {
    match message.body(&context.limits) {
        Ok(PkiBody::PollRep(_)) => true,
        Ok(PkiBody::Error(content)) => content.status.status == PkiStatus::Waiting,
        Ok(PkiBody::CertRep(rep)) => {
            !rep.responses.is_empty() && rep.responses.iter().all(|one| one.status.status == PkiStatus::Waiting)
        }
        _ => false,
    }
}

/// caPubs of a certificate response, unproven: for roots that are known by their fingerprints (RFC 9810 section 6.7.2).
fn ca_pubs_of(context: &Context, message: &PkiMessage) -> Vec<Certificate> {
    match message.body(&context.limits) {
        Ok(PkiBody::CertRep(rep)) => rep.ca_pubs,
        _ => Vec::new(),
    }
}

/// Certificates that may have signed: the owner's own, the signer known from before first among them; and those that came.
fn candidates(
    context: &Trust<'_>,
    transaction: &Transaction,
    message: &PkiMessage,
    signer_may_change: bool,
    now: Time,
) -> (Vec<Certificate>, Vec<Certificate>) {
    let header = message.header();
    let tolerance = &context.tolerance;
    let fits = |certificate: &Certificate| match (&header.sender_kid, certificate.subject_key_identifier()) {
        // RFC 9483 section 3.5: senderKID, if present, must identify the key. A certificate without
        // subjectKeyIdentifier can only be found by its name.
        (Some(kid), Some(found)) => kid == found || tolerance.wrong_sender_kid,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => tolerance.loose_sender_kid || tolerance.wrong_sender_kid,
    };
    // Prepared once, as each certificate's name is: how long they are is the sender's choice. Mostly they are the same bytes.
    let sender_hash = OnceCell::new();
    let is_named = |certificate: &Certificate| match header.sender.as_deref() {
        None | Some([0x30, 0x00]) => tolerance.null_sender,
        Some(sender) => {
            let is_alike = || certificate.subject_hash(name_hash) == *sender_hash.get_or_init(|| name_hash(sender));
            let is_same =
                || *sender == *certificate.subject() || (is_alike() && same_name(sender, certificate.subject()));
            tolerance.other_sender_name || is_same()
        }
    };
    let is_bound = |certificate: &Certificate| match &transaction.bound_signer {
        Some(first) => signer_may_change || is_the_same_signer(first, certificate, now),
        None => true,
    };
    let mut own: Vec<Certificate> = Vec::new();
    let from_before = transaction.bound_signer.iter().chain(&transaction.bearer).chain(&transaction.put_off_by);
    let known = from_before.chain(own_certificates(context)).chain(context.cmp_anchors.iter());
    for certificate in known.filter(|c| fits(c) && is_named(c) && is_bound(c)) {
        if !own.contains(certificate) {
            own.push(certificate.clone());
        }
    }
    let mut came: Vec<Certificate> = Vec::new();
    for certificate in message.extra_certs().iter().filter(|c| fits(c) && is_named(c) && is_bound(c)) {
        if !own.contains(certificate) && !came.contains(certificate) {
            came.push(certificate.clone());
        }
    }
    (own, came)
}

/// Whether this certificate goes on where the first signer of the transaction was: the same one or the same key, or, once
/// the first has expired, its successor by name. Whether it may sign is asked as of any other.
fn is_the_same_signer(first: &Certificate, certificate: &Certificate, now: Time) -> bool {
    certificate == first
        || same_public_key(certificate.spki(), first.spki())
        || (first.not_after() < now && same_name(certificate.subject(), first.subject()))
}

fn is_by(
    context: &Context,
    message: &PkiMessage,
    algorithm: &SignatureAlgorithm,
    signer: &Certificate,
) -> Result<(), Error> {
    let protection = message.protection().expect("presence was checked first");
    let verified = context.provider.verify(algorithm, signer.spki(), &message.protected_part(), protection, false);
    verified.map_err(|error| match error {
        CryptoError::Mismatch => SIGNATURE
            .broken(Code::ProtectionInvalid, format!("the answer's signature does not match the key of {signer}")),
        error => check_key_of(signer).err().unwrap_or_else(|| match error {
            CryptoError::Unsupported(what) => {
                let words = algorithm.not_checked(&what);
                ALGORITHM.broken(Code::Algorithm, format!("the answer's signature by {signer}: not supported: {words}"))
            }
            error => {
                let words = format!("the answer's signature by {signer}");
                Error::caused_by(Code::ProtectionInvalid, error).context(&words).breaks(SIGNATURE)
            }
        }),
    })
}

/// A key that is too weak, or of a kind that is not known here, by the codes that a certificate gets for it.
fn check_key_of(signer: &Certificate) -> Result<(), Error> {
    match KeyKind::of_spki(signer.spki()) {
        Ok(KeyKind::Rsa(bits)) if bits < MIN_RSA_BITS => {
            let words = format!(
                "the answer's signer {signer} has an RSA key of {bits} bits, which is too weak to be believed: the server must sign otherwise"
            );
            Err(ALGORITHM.broken(Code::WeakAlgorithm, words))
        }
        Err(error) if matches!(error.problem, Problem::Unknown { .. }) => {
            let error = Error::caused_by(Code::Algorithm, error).context(&format!("the answer's signer {signer}"));
            Err(error.breaks(ALGORITHM))
        }
        _ => Ok(()),
    }
}

/// 3GPP TS 33.310 section 9.5.4.3, where the device has asked for it: a root that came with ip vouches for its signer.
fn adopt(
    context: &Trust<'_>,
    request: Option<&Request>,
    transaction: &Transaction,
    message: &PkiMessage,
    signer: &Certificate,
    now: Time,
) -> Option<Certificate> {
    // Not behind an error or a poll, and not once a signer is known: it was known by this very rule or a better one.
    if !context.adopt_root_of_ip || message.body_type() != BodyType::IP || transaction.was_signed() {
        return None;
    }
    let vouches = |root: &&Certificate| {
        may_sign(&context.only(root), Act::Answer(request), signer, message.extra_certs(), now).is_ok()
    };
    roots_that_came(message.extra_certs()).find(vouches).cloned()
}

/// Self-signed certificates in extraCerts; a handful, as each costs a path.
pub(super) fn roots_that_came(certificates: &[Certificate]) -> impl Iterator<Item = &Certificate> {
    certificates.iter().filter(|c| c.is_self_issued()).take(4)
}
