//! An answer is checked against its request before anything in it is believed (RFC 9483 section 3.5), in that
//! section's order: syntax, version, transaction, body type, nonces, protection, sender and time; only then the body.

use super::context::{Context, Credential, SignerAuthorisation};
use super::issued::is_success;
use super::protection::{MacKey, is_mac};
use super::transaction::Transaction;
use crate::asn1::cmp::status::fail_info_names;
use crate::asn1::cmp::{BodyType, ErrorMsgContent, PkiBody, PkiMessage, PkiStatusInfo};
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::error::Error;
use crate::time::Time;
use crate::validation::{TrustAnchors, same_name, validate};

/// RFC 9483 section 3.5: a senderNonce of at least 128 bits.
const SHORTEST_NONCE_BYTES: usize = 16;

/// A checked answer.
pub(super) struct Checked {
    pub message: PkiMessage,
    pub body: PkiBody,
    /// How it was protected.
    pub protected_by: ProtectedBy,
}

/// What stands behind an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProtectedBy {
    Signature,
    Mac,
    /// Nothing of its own: TLS with certificates on both sides.
    MutualTls,
    /// Nothing: a ciphertext.
    Nothing,
}

/// An answer as it was handed in.
pub(super) struct Inbox {
    pub answer: Vec<u8>,
    pub is_mutually_authenticated: bool,
}

/// Checks an answer. `allowed` are the bodies that belong in this state; an error message belongs in every one.
pub(super) fn check(
    context: &Context,
    transaction: &mut Transaction,
    now: Time,
    inbox: Inbox,
    allowed: &[BodyType],
) -> Result<Checked, Error> {
    let message = PkiMessage::from_der(inbox.answer, &context.limits)?;
    let header = message.header();
    let is_error = message.body_type() == BodyType::ERROR;

    // RFC 9810 section 5.1.3: protection may be external. Here: TLS with certificates on both sides, if the settings say so.
    let by_channel = message.protection().is_none()
        && inbox.is_mutually_authenticated
        && matches!(context.credential, Credential::MutualTls { .. });
    // RFC 9810 section 5.1.3.4: the ciphertext for a KEM key comes before anything can be protected, and is believed by
    // nobody's word.
    let is_ciphertext = message.protection().is_none()
        && context.credential.is_kem()
        && transaction.own_mac.is_none()
        && message.body_type() == BodyType::GENP;
    if message.protection().is_none() && !by_channel && !is_ciphertext {
        return Err(unprotected(context, transaction, &message));
    }
    let is_old_error = is_error && header.pvno == 1 && context.tolerance.old_version_errors;
    if !matches!(header.pvno, 2 | 3) && !is_old_error {
        let words = format!("the answer has pvno {}; 2 and 3 are spoken here", header.pvno);
        return Err(Error::new(Code::UnknownVersion, words));
    }
    let lenient = is_error && context.tolerance.unmatched_errors;
    if !lenient {
        check_transaction_id(transaction, &message)?;
    }
    if !is_error && !allowed.contains(&message.body_type()) {
        let expected: Vec<&str> = allowed.iter().map(|b| b.name()).collect();
        let words = format!("expected {} or error, got {}", expected.join(" or "), message.body_type());
        return Err(Error::new(Code::UnexpectedBody, words));
    }
    if !lenient {
        check_nonces(context, transaction, &message)?;
    }
    let protected_by = match by_channel {
        true => ProtectedBy::MutualTls,
        false if is_ciphertext => ProtectedBy::Nothing,
        false => check_protection(context, transaction, &message, now)?,
    };
    check_time(context, &message, now)?;
    let body = message.body(&context.limits)?;
    if let (true, PkiBody::Error(content)) = (is_old_error, &body) {
        // Whatever it says, it ends here: nobody polls in version 1.
        return Err(server_error(content));
    }
    transaction.peer_nonce = message.header().sender_nonce.clone();
    transaction.peer_name = message.sender();
    Ok(Checked { message, body, protected_by })
}

fn check_transaction_id(transaction: &Transaction, message: &PkiMessage) -> Result<(), Error> {
    match &message.header().transaction_id {
        Some(id) if *id == transaction.id => Ok(()),
        Some(id) => {
            let words = format!("the answer's transactionID is {}, the request's {}", hex(id), hex(&transaction.id));
            Err(Error::new(Code::TransactionId, words))
        }
        None => Err(Error::new(Code::TransactionId, "the answer has no transactionID")),
    }
}

fn check_nonces(context: &Context, transaction: &Transaction, message: &PkiMessage) -> Result<(), Error> {
    let header = message.header();
    // Optional by RFC 9810 section 5.1.1. It protects the server, as recipNonce protects us: without it nothing here is
    // weaker, and whoever wants the profile to the letter has a switch for it.
    match &header.sender_nonce {
        _ if context.tolerance.no_sender_nonce => {}
        Some(nonce) if nonce.len() >= SHORTEST_NONCE_BYTES => {}
        Some(nonce) => {
            let words = format!("the answer's senderNonce has {} bytes, expected at least 16", nonce.len());
            return Err(Error::new(Code::Nonce, words));
        }
        None => return Err(Error::new(Code::Nonce, "the answer has no senderNonce")),
    }
    let Some(recip_nonce) = &header.recip_nonce else {
        return Err(Error::new(Code::Nonce, "the answer has no recipNonce"));
    };
    // RFC 9483 section 3.5: our last senderNonce, or that of the request whose answer was delayed.
    if *recip_nonce == transaction.sent_nonce || transaction.delayed_nonce.as_ref() == Some(recip_nonce) {
        return Ok(());
    }
    let words = format!(
        "the answer's recipNonce is {}, expected the request's senderNonce {}",
        hex(recip_nonce),
        hex(&transaction.sent_nonce)
    );
    Err(Error::new(Code::Nonce, words))
}

fn check_protection(
    context: &Context,
    transaction: &mut Transaction,
    message: &PkiMessage,
    now: Time,
) -> Result<ProtectedBy, Error> {
    let Some(algorithm) = message.header().protection_alg.clone() else {
        return Err(Error::new(Code::ProtectionInvalid, "the answer has a protection, but no protectionAlg"));
    };
    match (&context.credential, is_mac(&algorithm)) {
        (Credential::Mac { secret, reference, .. }, true) => {
            check_mac(context, transaction, message, &algorithm, secret)?;
            // RFC 9483 section 3.5: senderKID, if present, names the secret. Once the MAC is right the secret is known, and a
            // name of the CA's own there (Trustpoint, EJBCA, Siemens' mock CA) harms nobody.
            if let Some(kid) = &message.header().sender_kid
                && kid != reference
                && !context.tolerance.any_mac_sender_kid
            {
                let words = "the answer's senderKID is not the reference value of the request";
                return Err(Error::new(Code::ProtectionInvalid, words));
            }
            Ok(ProtectedBy::Mac)
        }
        (Credential::Mac { .. }, false) if !context.tolerance.signature_answers_mac => {
            let words = "a MAC-protected request was answered with a signature (RFC 9483 section 3.5: wrongIntegrity)";
            Err(Error::new(Code::ProtectionInvalid, words))
        }
        (Credential::MutualTls { .. }, true) => {
            let words = "an answer with a MAC, and no secret is shared with the server";
            Err(Error::new(Code::ProtectionInvalid, words))
        }
        (Credential::Signature { .. }, true) => {
            let words = "a signed request was answered with a MAC (RFC 9483 section 3.5: wrongIntegrity)";
            Err(Error::new(Code::ProtectionInvalid, words))
        }
        (_, false) => {
            check_signature(context, transaction, message, &algorithm, now)?;
            Ok(ProtectedBy::Signature)
        }
    }
}

fn check_mac(
    context: &Context,
    transaction: &mut Transaction,
    message: &PkiMessage,
    algorithm: &[u8],
    secret: &[u8],
) -> Result<(), Error> {
    let known = |key: &Option<MacKey>| key.as_ref().is_some_and(|key| key.algorithm() == algorithm);
    if !known(&transaction.own_mac) && !known(&transaction.peer_mac) {
        let key = MacKey::from_algorithm(&*context.provider, algorithm, secret, &context.limits)?;
        transaction.peer_mac = Some(key);
    }
    let key = if known(&transaction.own_mac) { &transaction.own_mac } else { &transaction.peer_mac };
    let key = key.as_ref().expect("one of the two is known by now");
    let protection = message.protection().expect("presence was checked first");
    key.verify(&*context.provider, &message.protected_part(), protection).map_err(|_| {
        Error::new(Code::ProtectionInvalid, "the answer's MAC does not match: another secret, or changed on the way")
    })
}

/// Finds the signer, validates it once, checks the signature. A certificate from extraCerts is never trusted for having
/// come along: extraCerts is not protected (RFC 9483 section 3.3).
pub(super) fn check_signature(
    context: &Context,
    transaction: &mut Transaction,
    message: &PkiMessage,
    algorithm: &[u8],
    now: Time,
) -> Result<(), Error> {
    let algorithm = SignatureAlgorithm::from_der(algorithm)
        .map_err(|e| Error::new(Code::Algorithm, format!("the answer's protectionAlg: {e}")))?;
    if algorithm.is_weak() {
        return Err(Error::new(Code::WeakAlgorithm, format!("the answer is protected with {algorithm:?}")));
    }
    let mut first_failure = None;
    let mut candidates = candidates(context, transaction, message);
    if let Some(first) = transaction.signer.as_ref().filter(|_| !context.tolerance.signer_may_change) {
        candidates.retain(|candidate| candidate == first);
    }
    let described = candidates.len();
    for candidate in candidates {
        let tried = try_signer(context, transaction, message, &algorithm, &candidate, now);
        match tried.or_else(|error| adopt(context, transaction, message, &algorithm, &candidate, now).ok_or(error)) {
            Ok(()) => {
                transaction.signer = Some(candidate);
                return Ok(());
            }
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    Err(first_failure.unwrap_or_else(|| {
        let kid = message.header().sender_kid.as_ref().map_or("absent".to_owned(), |kid| hex(kid));
        let words = format!(
            "no certificate of the answer's signer: senderKID {kid}, {} certificates in extraCerts, {described} fit",
            message.extra_certs().len()
        );
        Error::new(Code::ProtectionInvalid, words)
    }))
}

/// Certificates that may have signed, the likeliest first: the signer known from before, those that came, those we have.
fn candidates(context: &Context, transaction: &Transaction, message: &PkiMessage) -> Vec<Certificate> {
    let header = message.header();
    let fits = |certificate: &&Certificate| match &header.sender_kid {
        // RFC 9483 section 3.5: senderKID, if present, must identify the key. A certificate without
        // subjectKeyIdentifier can only be found by its name.
        Some(kid) if !context.tolerance.wrong_sender_kid => {
            certificate.subject_key_identifier().is_none_or(|found| found == kid)
        }
        _ => true,
    };
    let mut found: Vec<Certificate> = Vec::new();
    let known = transaction.signer.iter().chain(message.extra_certs()).chain(&context.intermediates);
    for certificate in known.chain(context.cmp_anchors.iter()).filter(fits) {
        let named = match header.sender.as_deref() {
            None | Some([0x30, 0x00]) => context.tolerance.null_sender,
            Some(sender) => context.tolerance.other_sender_name || same_name(sender, certificate.subject()),
        };
        // A handful: each costs a path and a signature check.
        if named && found.len() < 4 && !found.contains(certificate) {
            found.push(certificate.clone());
        }
    }
    found
}

fn try_signer(
    context: &Context,
    transaction: &Transaction,
    message: &PkiMessage,
    algorithm: &SignatureAlgorithm,
    signer: &Certificate,
    now: Time,
) -> Result<(), Error> {
    let refuse = |words: String| Err(Error::new(Code::ProtectionInvalid, words));
    if transaction.signer.as_ref() != Some(signer) {
        validate_signer(context, message, signer, now)?;
    }
    let protection = message.protection().expect("presence was checked first");
    let verified = context.provider.verify(algorithm, signer.spki(), &message.protected_part(), protection, false);
    match verified {
        Ok(()) => Ok(()),
        Err(error) => refuse(format!("the answer's signature by {signer:?}: {error}")),
    }
}

/// 3GPP TS 33.310 section 9.5.4.3, where the device has asked for it: a root that came with ip vouches for its signer.
fn adopt(
    context: &Context,
    transaction: &Transaction,
    message: &PkiMessage,
    algorithm: &SignatureAlgorithm,
    signer: &Certificate,
    now: Time,
) -> Option<()> {
    // Not behind an error or a poll, and not once a signer is known: it was known by this very rule or a better one.
    if !context.adopt_root_of_ip || message.body_type() != BodyType::IP || transaction.signer.is_some() {
        return None;
    }
    roots_that_came(message.extra_certs()).find_map(|root| {
        let mut anchors = TrustAnchors::new();
        anchors.add(root.clone());
        let adopting = Context { cmp_anchors: anchors, ..context.clone() };
        try_signer(&adopting, transaction, message, algorithm, signer, now).ok()
    })
}

/// Self-signed certificates in extraCerts; a handful, as each costs a path.
pub(super) fn roots_that_came(certificates: &[Certificate]) -> impl Iterator<Item = &Certificate> {
    certificates.iter().filter(|c| c.is_self_issued()).take(4)
}

fn validate_signer(context: &Context, message: &PkiMessage, signer: &Certificate, now: Time) -> Result<(), Error> {
    let refuse = |words: String| Err(Error::new(Code::ProtectionInvalid, words));
    if !context.tolerance.signer_key_usage && !may_sign(signer)? {
        return refuse(format!("the answer's signer {signer:?} has a keyUsage without digitalSignature"));
    }
    match &context.authorisation {
        SignerAuthorisation::AnyUnderAnchors => {}
        SignerAuthorisation::CmcPurpose => {
            if !has_cmc_purpose(signer)? {
                return refuse(format!("the answer's signer {signer:?} has neither purpose cmcCA nor cmcRA"));
            }
        }
        SignerAuthorisation::Subject(name) => {
            if !same_name(name.as_der(), signer.subject()) {
                return refuse(format!("the answer's signer {signer:?} is not {name}"));
            }
        }
        SignerAuthorisation::Pinned(pins) => {
            if !pins.contains(signer) {
                return refuse(format!("the answer's signer {signer:?} is none of the {} pinned", pins.len()));
            }
        }
    }
    let pool: Vec<Certificate> = context.intermediates.iter().chain(message.extra_certs()).cloned().collect();
    let mut checks = context.checks_at(now);
    checks.revocation = context.signer_revocation.clone();
    let report = validate(&*context.provider, &context.cmp_anchors, signer, &pool, &context.signer_status, &checks);
    match report.error() {
        None => Ok(()),
        Some(cause) => {
            let words = format!("the answer's signer {signer:?} is not trusted: {cause}");
            let index = cause.facts().certificate_index;
            Err(Error::new(Code::ProtectionInvalid, words).with(|facts| facts.certificate_index = index))
        }
    }
}

/// RFC 9483 section 3.5: digitalSignature, if keyUsage is there.
pub(super) fn may_sign(signer: &Certificate) -> Result<bool, Error> {
    use x509_cert::ext::pkix::KeyUsage;
    let usage: Option<KeyUsage> = signer.decode_extension(oid::CE_KEY_USAGE, "KeyUsage")?;
    Ok(usage.is_none_or(|usage| usage.digital_signature()))
}

pub(super) fn has_cmc_purpose(signer: &Certificate) -> Result<bool, Error> {
    Ok(signer.has_purpose(oid::KP_CMC_CA)? || signer.has_purpose(oid::KP_CMC_RA)?)
}

fn check_time(context: &Context, message: &PkiMessage, now: Time) -> Result<(), Error> {
    if let (Some(window), Some(time)) = (context.message_time_window(), message.header().message_time) {
        let off = time.since(now);
        if off.unsigned_abs() > u64::from(window) {
            let words =
                format!("the answer's messageTime is {time}, now is {now}, {window} seconds apart are accepted");
            return Err(Error::new(Code::MessageTime, words));
        }
    }
    Ok(())
}

/// RFC 9483 sections 4.1.1 and 4.4: failInfo must be absent where the status is no failure.
pub(super) fn check_no_fail_info(context: &Context, status: &PkiStatusInfo) -> Result<(), Error> {
    if status.fail_info.is_some() && !context.tolerance.fail_info_with_success {
        return Err(refusal(Code::Protocol, "failInfo beside a status that is no failure", status, true));
    }
    Ok(())
}

/// An answer without protection is never a success. Its words are passed on for what they are worth, marked as not
/// authenticated (RFC 9483 section 3.6.4: error messages may come unprotected).
fn unprotected(context: &Context, transaction: &Transaction, message: &PkiMessage) -> Error {
    let believed = context.tolerance.unprotected_errors
        && (context.tolerance.unmatched_errors || check_transaction_id(transaction, message).is_ok());
    let told = match message.body(&context.limits) {
        Ok(PkiBody::Error(content)) => Some(content.status),
        Ok(PkiBody::CertRep(rep)) => {
            rep.responses.into_iter().next().map(|r| r.status).filter(|s| !is_success(s.status))
        }
        Ok(PkiBody::RevRep(rep)) => rep.statuses.into_iter().next().filter(|s| !is_success(s.status)),
        _ => None,
    };
    let code = if believed && told.is_some() { Code::Rejected } else { Code::Unprotected };
    let body = message.body_type();
    match told {
        Some(status) => refusal(code, &format!("the server sent an unprotected {body}"), &status, false),
        None => Error::new(code, format!("the server sent an unprotected {body}")),
    }
}

/// An error that carries the server's decision.
pub(super) fn refusal(code: Code, what: &str, status: &PkiStatusInfo, authenticated: bool) -> Error {
    let mut words = format!("{what}: {}", status.status.name());
    if let Some(bits) = status.fail_info {
        words.push_str(&format!(", failInfo {}", fail_info_names(bits)));
    }
    for text in &status.texts {
        words.push_str(&format!(", \"{text}\""));
    }
    if !authenticated {
        words.push_str(" (not authenticated)");
    }
    Error::new(code, words).with(|facts| {
        facts.pki_status = Some(status.status.number());
        facts.fail_info = status.fail_info;
        facts.server_texts = status.texts.clone();
        facts.server_authenticated = authenticated;
    })
}

/// The error that a protected error message stands for.
pub(super) fn server_error(content: &ErrorMsgContent) -> Error {
    let mut error = refusal(Code::Rejected, "the server sent an error", &content.status, true);
    if let Some(code) = content.error_code {
        error = error.context(&format!("errorCode {code}"));
    }
    error.with(|facts| facts.server_texts.extend(content.details.iter().cloned()))
}
