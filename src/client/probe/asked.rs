//! One question to a server, and what its answer tells of an enrolment: that goes the same way, by the same credential, and is
//! answered by the same server, though not by the same message.

use crate::asn1::cmp::{BodyType, PkiBody, PkiMessage};
use crate::asn1::x509::Certificate;
use crate::client::{Client, Config};
use crate::cmp::{Action, Credential, Information, Question};
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::error::{Error, Refused};
use crate::limits::Limits;
use crate::time::Time;
use crate::transport::{self, Exchange, ExchangeLimits, Reply, Scheme, Url};
use crate::validation::same_name;

/// What a question led to.
pub(super) struct Asked {
    pub request: Vec<u8>,
    pub reply: Option<Reply>,
    pub message: Option<PkiMessage>,
    /// What the server calls its CAs' certificates.
    pub outcome: Result<Vec<Certificate>, Error>,
}

/// What an answer to a question tells of an enrolment by the same settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// The question is answered, and the answer is taken.
    Answered,
    /// The server is believed, whatever it has against the question.
    Believed,
    /// Its signer is authenticated and may not decide: a certificate that proves itself is taken from it.
    Unauthorised,
    /// Its signer has no path yet, and the settings take the root that vouches for it with the first certificate: by fingerprint
    /// (RFC 9810 section 6.7.2), or adopted (3GPP TS 33.310 section 9.5.4.3).
    RootToCome,
    /// Nothing. What is not protected, or in another way than the question, may be the server's way with questions that it does not
    /// know, with errors, or with what is public.
    Nothing,
    /// The server does not know the algorithm that protects the question.
    Algorithm,
    /// The server finds the question's protection wrong.
    Credential,
    /// The way there is barred, or the answer is protected as a certificate would be, and not taken.
    Fails,
}

impl Asked {
    /// The time of the answer, where it is not about the same: what it says, or the earliest at which its certificates are valid.
    pub fn time_of_answer(&self, now: Time) -> Option<Time> {
        let message = self.message.as_ref()?;
        let latest = || message.extra_certs().iter().map(Certificate::not_before).max().filter(|begin| *begin > now);
        let said = message.header().message_time.or_else(latest)?;
        (said.since(now).unsigned_abs() > u64::from(crate::limits::CLOCK_SKEW_SECONDS)).then_some(said)
    }

    /// What it tells of an enrolment.
    pub fn tells(&self, config: &Config, credential: &Credential) -> Tells {
        let Err(error) = &self.outcome else { return Tells::Answered };
        let Some(message) = &self.message else {
            return if knows_no_questions(error, config) { Tells::Nothing } else { Tells::Fails };
        };
        let body = message.body_type();
        let is_error = body == BodyType::ERROR;
        match (error.facts().refused, error.code()) {
            // RFC 9810 section 5.2.3: badAlg, badMessageCheck. Whoever cannot check a MAC cannot make one, and says so unprotected.
            _ if self.fails_with(0) => Tells::Algorithm,
            _ if self.fails_with(1) => Tells::Credential,
            _ if error.facts().is_proven => Tells::Believed,
            // The settings rely on TLS with certificates on both sides, and it is not there.
            _ if message.protection().is_none() && matches!(credential, Credential::MutualTls { .. }) => Tells::Fails,
            (Some(Refused::NotAuthorised), _) if config.tolerance.unauthorised_bearer => Tells::Unauthorised,
            (Some(Refused::NoPath), _) if root_may_come(message, config) => Tells::RootToCome,
            (Some(Refused::Kind), _) | (_, Code::Unprotected) => Tells::Nothing,
            _ if matches!(credential, Credential::Mac { .. }) && is_signed(message) => Tells::Nothing,
            (_, Code::TransactionId | Code::Nonce | Code::UnknownVersion | Code::Rejected) if is_error => {
                Tells::Nothing
            }
            (_, Code::UnexpectedBody) if !body.is_request() => Tells::Nothing,
            _ => Tells::Fails,
        }
    }

    /// Whether an error has this bit of failInfo, whoever says so.
    pub fn fails_with(&self, bit: u32) -> bool {
        self.fail_info() >> bit & 1 == 1
    }

    /// failInfo of an error, believed or not.
    fn fail_info(&self) -> u32 {
        match self.message.as_ref().and_then(|message| message.body(&Limits::default()).ok()) {
            Some(PkiBody::Error(content)) => content.status.fail_info.unwrap_or_default(),
            _ => 0,
        }
    }

    /// Whether anything came that could be a server's answer.
    pub fn reached(&self) -> bool {
        self.reply.is_some() || self.outcome.as_ref().is_err_and(|error| error.facts().http_status.is_some())
    }
}

/// Whether the root above an answer's signer may come with ip. One that is told by its fingerprint does not where another one is there
/// above the signer: it would be taken in the answer to a question, too.
fn root_may_come(message: &PkiMessage, config: &Config) -> bool {
    if config.adopt_root_of_ip {
        return true;
    }
    let came = message.extra_certs();
    let Some(signer) = signer_of(message).filter(|_| !config.root_fingerprints.is_empty()) else { return false };
    let mut here = signer;
    for _ in 0..=came.len() {
        if here.is_self_issued() {
            return false;
        }
        let Some(next) = came.iter().find(|one| *one != here && has_issued(config, one, here)) else { break };
        here = next;
    }
    true
}

/// Whether this is how servers answer that are there and know no questions: without a message of CMP.
fn knows_no_questions(error: &Error, config: &Config) -> bool {
    let is_https = config.server.url.as_deref().and_then(|url| Url::parse(url).ok());
    let is_https = is_https.is_some_and(|url| url.scheme() == Scheme::Https);
    let is_refused = matches!(error.facts().http_status, Some(400 | 405 | 422 | 500 | 501));
    is_refused || is_https && is_closing(error)
}

/// Asks for the CAs' certificates.
pub(super) fn ask(client: &Client, exchange: &mut dyn Exchange, now: Time) -> Result<Asked, Error> {
    let mut operation = client.ask(Question::CaCerts)?;
    let limits: &ExchangeLimits = client.exchange_limits();
    let (mut request, mut reply) = (Vec::new(), None);
    let outcome = loop {
        match operation.step(now) {
            // Whoever may put off is believed. The answer does not matter enough to wait for it; and who does not begin to poll has
            // ended the transaction, on both sides (RFC 9810 section 5.3.21): nothing stays open at the server.
            Ok(Action::Send { body: BodyType::POLLREQ, .. }) => break Err(put_off()),
            Ok(Action::Send { message, .. }) => {
                let answered = exchange.exchange(message, limits);
                request = message.to_vec();
                match answered {
                    Ok(answer) => {
                        crate::client::run::feed(&mut operation, &answer)?;
                        reply = Some(answer);
                    }
                    Err(error) => break Err(crate::transport::diagnose(error)),
                }
            }
            Ok(Action::Done(_)) => break Ok(certificates_of(operation.information())),
            Ok(Action::Wait { .. }) => break Err(put_off()),
            Ok(Action::Sign(_) | Action::Accept(_)) => {
                break Err(Error::new(Code::Unsupported, "a question that is to be signed elsewhere"));
            }
            Err(error) => break Err(error),
        }
    };
    let message = reply.as_ref().and_then(|reply| PkiMessage::from_der(reply.body.clone(), &Limits::default()).ok());
    Ok(Asked { request, reply, message, outcome })
}

fn certificates_of(information: Option<&Information>) -> Vec<Certificate> {
    match information {
        Some(Information::CaCerts(certificates)) => certificates.clone(),
        _ => Vec::new(),
    }
}

/// Whether the server closed the connection in place of an answer.
pub(super) fn is_closing(error: &Error) -> bool {
    let facts = error.facts();
    error.code() == Code::Transport
        && facts.http_status.is_none()
        && facts.phase == Some(transport::Phase::Await.into())
}

fn put_off() -> Error {
    let words = "it answers waiting; it is not polled, which ends the question there too";
    Error::new(Code::Busy, words).with(|facts| facts.is_proven = true)
}

/// Whether a message is signed, by whomever.
pub(super) fn is_signed(message: &PkiMessage) -> bool {
    let algorithm = message.header().protection_alg.as_deref().unwrap_or_default();
    message.protection().is_some() && SignatureAlgorithm::from_der(algorithm).is_ok()
}

pub(super) fn has_issued(config: &Config, ca: &Certificate, certificate: &Certificate) -> bool {
    let Ok(algorithm) = SignatureAlgorithm::from_der(certificate.signature_algorithm()) else { return false };
    let (signed, signature) = (certificate.tbs(), certificate.signature());
    same_name(ca.subject(), certificate.issuer())
        && config.provider().verify(&algorithm, ca.spki(), signed, signature, true).is_ok()
}

/// The certificate that the sender and senderKID mean, or the first that came.
pub(super) fn signer_of(message: &PkiMessage) -> Option<&Certificate> {
    let header = message.header();
    let all = message.extra_certs();
    let by_kid =
        all.iter().find(|c| c.subject_key_identifier().is_some_and(|id| Some(id) == header.sender_kid.as_deref()));
    let by_name = || all.iter().find(|c| header.sender.as_deref().is_some_and(|sender| same_name(sender, c.subject())));
    by_kid.or_else(by_name).or_else(|| all.first())
}
