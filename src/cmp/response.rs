//! An answer is checked against its request before anything in it is believed (RFC 9483 section 3.5), in that
//! section's order: syntax, version, transaction, body type, nonces, protection, sender and time; only then the body.

use super::answer_signer;
use super::authority::own_certificates;
use super::bearer::Bearer;
use super::context::{Context, Trust};
use super::credential::Credential;
use super::issued::is_success;
use super::protection::{MacKey, is_mac};
use super::request::Request;
use super::shared_secret::SharedSecret;
use super::transaction::Transaction;
use crate::asn1::cmp::status::fail_info_names;
use crate::asn1::cmp::{BodyType, ErrorMsgContent, PkiBody, PkiMessage, PkiStatusInfo};
use crate::asn1::x509::{Certificate, hex};
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::error::{Error, Refused, Rule};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::RevocationMode;
use crate::words::quoted;

const ONE_MESSAGE: Rule = Rule::new("RFC 9483 section 3.5 (E1)", "one PKIMessage in DER");
const BODY: Rule = Rule::new("RFC 9810 section 5.3 (E1)", "a body in DER that answers the request");
const VERSION: Rule = Rule::new("RFC 9483 section 3.5 (H3)", "pvno 2 or 3");
const TRANSACTION_ID: Rule = Rule::new("RFC 9483 section 3.5 (H14)", "the request's transactionID");
const BODY_TYPE: Rule = Rule::new("RFC 9483 section 3.5 (E1)", "a body that answers the request");
const NONCES: Rule = Rule::new(
    "RFC 9483 section 3.5 (H17, H18)",
    "a senderNonce of 128 bits, and the request's senderNonce as recipNonce",
);
const PROTECTION: Rule = Rule::new("RFC 9483 section 3.5 (P5)", "an answer with protection");
const BY_MAC: Rule = Rule::new("RFC 9483 section 3.5 (P6 to P8)", "a MAC under the shared secret");
const BY_SIGNATURE: Rule = Rule::new(
    "RFC 9483 section 3.5 (P6, P9)",
    "a signature by someone with a path to the CMP anchors who may sign answers",
);
const BY_TLS: Rule = Rule::new(
    "RFC 9810 section 5.1.3 (P5)",
    "a signature by someone with a path to the CMP anchors, or TLS with certificates on both sides",
);
const ALGORITHM: Rule = Rule::new("RFC 9483 section 3.1 (H12)", "protectionAlg beside protection");
const SENDER_KID: Rule = Rule::new("RFC 9483 section 3.5 (P8)", "the request's reference value as senderKID");
const KIND: Rule =
    Rule::new("RFC 9483 section 3.5 (P7)", "a MAC in answer to a MAC, a signature in answer to a signature");
const ONE_KIND: Rule = Rule::new("RFC 9483 section 3.2 (P2, P3)", "one kind of protection for a whole transaction");
const MESSAGE_TIME: Rule = Rule::new("RFC 9483 section 3.5 (H11)", "messageTime near the device's clock");
const NO_FAIL_INFO: Rule = Rule::new("RFC 9483 section 4.1.1 (E10)", "failInfo beside a rejection only");
const ACCEPTANCE: Rule = Rule::new("RFC 9483 section 3.6.4 (E6, E9)", "a positive answer");

/// What the protection of an answer must be, by what protects the request.
pub(super) fn protection_rule(credential: &Credential) -> Rule {
    match credential {
        Credential::Mac { .. } => BY_MAC,
        Credential::Signature { .. } => BY_SIGNATURE,
        Credential::MutualTls { .. } => BY_TLS,
    }
}

/// RFC 9483 section 3.5: a senderNonce of at least 128 bits.
const SHORTEST_NONCE_BYTES: usize = 16;

/// A checked answer.
pub(super) struct Checked {
    pub message: PkiMessage,
    pub body: PkiBody,
    /// How it was protected.
    pub protected_by: ProtectedBy,
    /// Its signer, where that is somebody who may not decide: see [`super::weighing`].
    pub bearer: Option<Bearer>,
    /// See [`Inbox::is_late`].
    pub is_late: bool,
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

/// The protection, and its maker where that is somebody who may not decide.
type Protection = (ProtectedBy, Option<Bearer>);

/// An answer as it was handed in.
pub(super) struct Inbox {
    pub answer: Vec<u8>,
    pub way: Way,
    /// It was looked at, and the device could not do its part: it is looked at again, however late that is.
    pub is_held: bool,
}

impl Inbox {
    pub fn new(answer: Vec<u8>, way: Way) -> Self {
        Inbox { answer, way, is_held: false }
    }

    /// Whether it took its time, so that it says how late it is at least.
    pub fn is_late(&self) -> bool {
        self.is_held || self.way == Way::Carried
    }
}

/// How an answer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// By a connection that was made for the message.
    Connection,
    /// The same, by TLS with certificates on both sides.
    MutualTls,
    /// By the owner of the operation, who may have another one.
    HandedIn,
    /// By people, who may have another one, and who take hours or weeks.
    Carried,
}

impl Way {
    /// All of them, by the number that stands for each in the saved form.
    pub const ALL: [Way; 4] = [Way::Connection, Way::MutualTls, Way::HandedIn, Way::Carried];

    /// Whether another answer to the message may still come.
    pub fn may_bring_another(self) -> bool {
        matches!(self, Way::HandedIn | Way::Carried)
    }
}

/// Why an answer is not taken.
pub(super) enum Failure {
    /// Nothing shows that the server said so: anybody on the way can write such an answer, or keep an old one.
    Unproven(Error),
    /// The server said so, in answer to this request.
    Authentic(Error),
}

/// Checks an answer. `allowed` are the bodies that belong in this state; an error message belongs in every one.
pub(super) fn check(
    context: &Trust<'_>,
    request: &Request,
    transaction: &mut Transaction,
    now: Time,
    inbox: &Inbox,
    allowed: &[BodyType],
) -> Result<Checked, Failure> {
    let (message, (protected_by, bearer)) =
        prove(context, request, transaction, now, inbox, allowed).map_err(Failure::Unproven)?;
    let body = message.body(&context.limits).map_err(|error| Failure::Authentic(Error::from(error).breaks(BODY)))?;
    if bearer.is_some() {
        return Ok(Checked { message, body, protected_by, bearer, is_late: inbox.is_late() });
    }
    if let (1, PkiBody::Error(content)) = (message.header().pvno, &body) {
        // Whatever it says, it ends here: nobody polls in version 1.
        return Err(Failure::Authentic(server_error(content)));
    }
    transaction.heard(&message);
    transaction.heard_time(context, &message);
    Ok(Checked { message, body, protected_by, bearer, is_late: inbox.is_late() })
}

/// The message, if it is the server's answer to the request that is out. That is more than a right signature: it belongs to
/// this transaction and to our last nonce, for an old message is authentic as well (RFC 9483 section 3.5).
fn prove(
    context: &Trust<'_>,
    request: &Request,
    transaction: &mut Transaction,
    now: Time,
    inbox: &Inbox,
    allowed: &[BodyType],
) -> Result<(PkiMessage, Protection), Error> {
    let message = PkiMessage::from_der(inbox.answer.clone(), &context.limits)
        .map_err(|error| Error::from(error).breaks(ONE_MESSAGE))?;
    let header = message.header();
    let is_error = message.body_type() == BodyType::ERROR;

    // RFC 9810 section 5.1.3: protection may be external. Here: TLS with certificates on both sides, if the settings say so.
    let by_channel = message.protection().is_none()
        && inbox.way == Way::MutualTls
        && matches!(context.credential, Credential::MutualTls { .. });
    // RFC 9810 section 5.1.3.4: the ciphertext for a KEM key comes before anything can be protected, and is believed by
    // nobody's word. A server that has signed before signs it too.
    let is_ciphertext = message.protection().is_none()
        && context.credential.is_kem()
        && transaction.own_mac.is_none()
        && !transaction.was_signed()
        && message.body_type() == BodyType::GENP;
    if message.protection().is_none() && !by_channel && !is_ciphertext {
        return Err(unprotected(context, transaction, &message).breaks(PROTECTION));
    }
    let is_old_error = is_error && header.pvno == 1 && context.tolerance.old_version_errors;
    if !matches!(header.pvno, 2 | 3) && !is_old_error {
        let words = format!("the answer has pvno {}; 2 and 3 are spoken here", header.pvno);
        return Err(VERSION.broken(Code::UnknownVersion, words));
    }
    check_transaction_id(transaction, &message)
        .map_err(|error| unmatched(context, &message, error).breaks(TRANSACTION_ID))?;
    if !is_error && !allowed.contains(&message.body_type()) {
        let expected: Vec<&str> = allowed.iter().map(|b| b.name()).collect();
        // Handed in by mistake for its answer.
        let what = if message.body_type().is_request() { ", which is a request and no answer" } else { "" };
        let words = format!("expected {} or error, got {}{what}", expected.join(" or "), message.body_type());
        return Err(BODY_TYPE.broken(Code::UnexpectedBody, words));
    }
    check_nonces(context, transaction, &message).map_err(|error| unmatched(context, &message, error).breaks(NONCES))?;
    let before = (transaction.peer_name.is_some(), transaction.was_signed());
    let protected_by = match by_channel {
        true => (ProtectedBy::MutualTls, None),
        false if is_ciphertext => (ProtectedBy::Nothing, None),
        false => {
            // Where the clocks contradict each other, certificates that are valid by one of them are: a CA whose clock is years ahead
            // signs all the same with a certificate of today.
            let own = now.plus(-transaction.clock_off_seconds);
            let checked = match check_protection(context, request, transaction, &message, now) {
                Err(error) if own != now => {
                    check_protection(context, request, transaction, &message, own).map_err(|_| error)
                }
                checked => checked,
            };
            checked.map_err(|error| error.breaks(protection_rule(&context.credential)))?
        }
    };
    check_kind(context, before, protected_by.0)?;
    if let Err(error) = check_time(context, &message, inbox.is_late(), now) {
        // By whom the message is, and that it is no old one, is known here; of a bearer (see [`super::bearer`]) it is not.
        let time = message.header().message_time.filter(|_| context.follow_authentic_time && protected_by.1.is_none());
        transaction.follow_time(time.ok_or(error)?, now);
    }
    Ok((message, protected_by))
}

/// RFC 9483 section 3.2: one kind of protection for a whole transaction. Who answered with the shared secret does not go on
/// with a signature, nor the other way round.
fn check_kind(context: &Context, (came_before, was_signed): (bool, bool), by: ProtectedBy) -> Result<(), Error> {
    let changed = match by {
        ProtectedBy::Signature => {
            let is_signature = matches!(context.credential, Credential::Signature { .. });
            came_before && !was_signed && !is_signature && !context.tolerance.signer_may_change
        }
        ProtectedBy::Mac | ProtectedBy::MutualTls | ProtectedBy::Nothing => was_signed,
    };
    if changed {
        let words = "the answer is protected in another way than those before it in this transaction (RFC 9483 section 3.2; switch \
             signer_may_change takes it)";
        return Err(ONE_KIND.broken(Code::ProtectionInvalid, words));
    }
    Ok(())
}

fn check_transaction_id(transaction: &Transaction, message: &PkiMessage) -> Result<(), Error> {
    match &message.header().transaction_id {
        Some(id) if *id == transaction.id => Ok(()),
        Some(id) => {
            let words = format!("the answer's transactionID is {}, the request's {}", hex(id), hex(&transaction.id));
            Err(TRANSACTION_ID.broken(Code::TransactionId, words))
        }
        None => Err(TRANSACTION_ID.broken(Code::TransactionId, "the answer has no transactionID")),
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
            let words = format!(
                "the answer's senderNonce has {} bytes, expected at least 16 (switch no_sender_nonce takes it)",
                nonce.len()
            );
            return Err(NONCES.broken(Code::Nonce, words));
        }
        None => {
            return Err(NONCES.broken(Code::Nonce, "the answer has no senderNonce (switch no_sender_nonce takes it)"));
        }
    }
    let Some(recip_nonce) = &header.recip_nonce else {
        return Err(NONCES.broken(Code::Nonce, "the answer has no recipNonce"));
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
    Err(NONCES.broken(Code::Nonce, words))
}

fn check_protection(
    context: &Trust<'_>,
    request: &Request,
    transaction: &mut Transaction,
    message: &PkiMessage,
    now: Time,
) -> Result<Protection, Error> {
    let Some(algorithm) = message.header().protection_alg.clone() else {
        return Err(ALGORITHM.broken(Code::ProtectionInvalid, "the answer has a protection, but no protectionAlg"));
    };
    match (&context.credential, is_mac(&algorithm)) {
        (Credential::Mac { secret, reference, .. }, true) => {
            check_mac(context, transaction, message, &algorithm, secret)?;
            // RFC 9483 section 3.5: senderKID, if present, names the secret. Once the MAC is right the secret is known, and a
            // name of the CA's own there (Trustpoint, EJBCA, Siemens' mock CA) harms nobody.
            let names_it = match &message.header().sender_kid {
                Some(kid) => kid == reference || context.tolerance.any_mac_sender_kid,
                None => context.tolerance.loose_sender_kid,
            };
            if !names_it {
                let switch = match message.header().sender_kid {
                    Some(_) => "any_mac_sender_kid",
                    None => "loose_sender_kid",
                };
                let words = format!(
                    "the answer's senderKID is not the reference value of the request (switch {switch} takes it)"
                );
                return Err(SENDER_KID.broken(Code::ProtectionInvalid, words));
            }
            Ok((ProtectedBy::Mac, None))
        }
        (Credential::Mac { .. }, false) if !context.tolerance.signature_answers_mac => {
            let words = "a MAC-protected request was answered with a signature (RFC 9483 section 3.5: wrongIntegrity)";
            Err(another_kind(KIND, words))
        }
        (Credential::MutualTls { .. }, true) => {
            let words = "an answer with a MAC, and no secret is shared with the server";
            Err(another_kind(BY_TLS, words))
        }
        (Credential::Signature { .. }, true) => {
            let words = "a signed request was answered with a MAC (RFC 9483 section 3.5: wrongIntegrity)";
            Err(another_kind(KIND, words))
        }
        (_, false) => {
            let bearer = answer_signer::check_signature(context, Some(request), transaction, message, &algorithm, now)?;
            Ok((ProtectedBy::Signature, bearer))
        }
    }
}

fn another_kind(rule: Rule, words: &str) -> Error {
    rule.broken(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::Kind))
}

fn check_mac(
    context: &Context,
    transaction: &mut Transaction,
    message: &PkiMessage,
    algorithm: &[u8],
    secret: &SharedSecret,
) -> Result<(), Error> {
    let known = [&transaction.own_mac, &transaction.peer_mac];
    let known = known.into_iter().flatten().find(|key| key.algorithm() == algorithm);
    let made = match known {
        Some(_) => None,
        None => Some(MacKey::from_algorithm(&*context.provider, algorithm, secret, &context.limits)?),
    };
    let key = known.or(made.as_ref()).expect("one of the two is there");
    let protection = message.protection().expect("presence was checked first");
    key.verify(&*context.provider, &message.protected_part(), protection).map_err(|_| {
        let words = "the answer's MAC does not match: another secret, or changed on the way";
        BY_MAC.broken(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::Mac))
    })?;
    // Remembered only once it has proved itself.
    if let Some(made) = made {
        transaction.peer_mac = Some(made);
    }
    Ok(())
}

/// Whose signature is under an answer to our last message, before it is asked whether he may; with all that can help to his path.
pub(super) fn signer_of(
    context: &Trust<'_>,
    transaction: &Transaction,
    answer: &[u8],
    now: Time,
) -> Option<(Certificate, Vec<Certificate>)> {
    if context.signer_revocation.mode == RevocationMode::Off {
        return None;
    }
    let message = PkiMessage::from_der(answer.to_vec(), &context.limits).ok()?;
    message.protection()?;
    check_transaction_id(transaction, &message).ok()?;
    check_nonces(context, transaction, &message).ok()?;
    let algorithm = message.header().protection_alg.as_deref().filter(|algorithm| !is_mac(algorithm))?;
    let algorithm = SignatureAlgorithm::from_der(algorithm).ok().filter(|algorithm| !algorithm.is_weak())?;
    let signer = answer_signer::find(context, transaction, &message, &algorithm, now)?;
    let helpers = own_certificates(context).chain(&transaction.signer_path).chain(message.extra_certs());
    let helpers = helpers.cloned().collect();
    Some((signer, helpers))
}

fn check_time(context: &Context, message: &PkiMessage, is_late: bool, now: Time) -> Result<(), Error> {
    if let (Some(window), Some(time)) = (context.message_time_window(), message.header().message_time) {
        let off = time.since(now);
        // The nonce shows that it is no old answer; that it was long on the way says nothing about the clocks.
        let is_delayed = is_late && off < 0;
        if off.unsigned_abs() > u64::from(window) && !is_delayed {
            let words =
                format!("the answer's messageTime is {time}, now is {now}, {window} seconds apart are accepted");
            let expected = format!("messageTime within {window} seconds of the device's clock");
            return Err(Error::new(Code::MessageTime, words).breaks_expecting(MESSAGE_TIME, expected));
        }
    }
    Ok(())
}

/// RFC 9483 sections 4.1.1 and 4.4: failInfo must be absent where the status is no failure.
pub(super) fn check_no_fail_info(context: &Context, status: &PkiStatusInfo) -> Result<(), Error> {
    if status.fail_info.is_some() && !context.tolerance.fail_info_with_success {
        let words = "failInfo beside a status that is not a failure (switch fail_info_with_success takes it)";
        return Err(refusal(Code::Protocol, words, status, true).breaks(NO_FAIL_INFO));
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
        None => PROTECTION.broken(code, format!("the server sent an unprotected {body}")),
    }
}

/// An answer that belongs to another transaction, or to another message of this one. Of an error, its words are passed on
/// where the settings say so, and nothing more than its words: it may be an old one, however it is protected.
fn unmatched(context: &Context, message: &PkiMessage, error: Error) -> Error {
    if message.body_type() != BodyType::ERROR || !context.tolerance.unmatched_errors {
        return error;
    }
    match message.body(&context.limits) {
        Ok(PkiBody::Error(content)) => {
            let status = PkiStatusInfo { texts: [content.status.texts, content.details].concat(), ..content.status };
            refusal(Code::Rejected, &format!("the server sent an error, but {error}"), &status, false)
        }
        _ => error,
    }
}

/// An error that carries the server's decision.
pub(super) fn refusal(code: Code, what: &str, status: &PkiStatusInfo, authenticated: bool) -> Error {
    let mut words = format!("{what}: {}", status.status);
    if let Some(bits) = status.fail_info {
        words.push_str(&format!(", failInfo {}", fail_info_names(bits)));
    }
    for text in &status.texts {
        words.push_str(&format!(", {}", quoted(text)));
    }
    if !authenticated {
        words.push_str(" (not authenticated)");
    }
    let error = Error::new(code, words);
    let error = if code == Code::Rejected { error.breaks(ACCEPTANCE) } else { error };
    error.with(|facts| {
        facts.pki_status = Some(status.status.number());
        facts.fail_info = status.fail_info;
        facts.server_texts = status.texts.clone();
        facts.server_authenticated = authenticated;
    })
}

/// The error that a protected error message stands for.
pub(super) fn server_error(content: &ErrorMsgContent) -> Error {
    let what = match &content.error_code {
        Some(code) => format!("the server sent an error, errorCode {code}"),
        None => "the server sent an error".to_owned(),
    };
    let texts = [&content.status.texts[..], &content.details].concat();
    refusal(Code::Rejected, &what, &PkiStatusInfo { texts, ..content.status.clone() }, true)
}
