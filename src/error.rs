//! The public error: code, words, and the facts that programs ask for.

use alloc::sync::Arc;
use core::fmt;

use crate::codes::{Class, Code};
use crate::phase::Phase;
use crate::prelude::*;

/// Why a call failed. The message says what was expected, what came, and where; it never holds a secret.
///
/// One pointer: nearly every function gives one or passes it on, and moving it is to cost neither code nor stack.
#[derive(Debug, Clone)]
pub struct Error(Box<Told>);

/// What an error tells.
#[derive(Debug, Clone)]
struct Told {
    code: Code,
    application_code: Option<i32>,
    message: String,
    facts: Facts,
    cause: Option<Cause>,
}

/// The error of a lower layer that led to this one.
type Cause = Arc<dyn core::error::Error + Send + Sync>;

/// Equal in what is told: the cause is told by the message.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let compared = |told: &Told| (told.code, told.application_code);
        compared(&self.0) == compared(&other.0) && self.0.message == other.0.message && self.0.facts == other.0.facts
    }
}

impl Eq for Error {}

/// A rule of a standard, named where it is checked. Where a check has several, the first that is named counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands, with the rows of `docs/requirements.md` in brackets, such as `RFC 9483 section 3.5 (H14)`.
    pub cited: &'static str,
    /// What it asks for.
    pub expected: &'static str,
}

impl Rule {
    /// A rule by its place and what it asks for.
    pub const fn new(cited: &'static str, expected: &'static str) -> Self {
        Rule { cited, expected }
    }

    /// An answer is refused by this rule: the one door for checks of what a server says.
    #[must_use]
    pub(crate) fn broken(self, code: Code, message: impl Into<String>) -> Error {
        Error::new(code, message).breaks(self)
    }
}

/// Facts that came with a failure; each is there only where it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// PKIStatus of the server's answer (RFC 9810 section 5.2.3).
    pub pki_status: Option<i64>,
    /// PKIFailureInfo: bit n is bit n of the BIT STRING (RFC 9810 section 5.2.3).
    pub fail_info: Option<u32>,
    /// The server's texts.
    pub server_texts: Vec<String>,
    /// Whether the server's words came in a message whose protection was checked.
    pub server_authenticated: bool,
    /// HTTP status.
    pub http_status: Option<u16>,
    /// Seconds the server asks to wait.
    pub retry_after_seconds: Option<u32>,
    /// Index in the chain, 0 is the end entity.
    pub certificate_index: Option<u32>,
    /// Where in the operation; `None`: before anything was to be sent, in what is the device's own.
    pub phase: Option<Phase>,
    /// Path of the URL that the message went to.
    pub http_path: Option<String>,
    /// The rule that was broken, such as `RFC 9483 section 3.5 (P5)`; the letters name rows of `docs/requirements.md`.
    pub requirement: Option<&'static str>,
    /// What that rule asks for.
    pub expected: Option<String>,
    /// What came, in words; nobody vouches for them.
    pub found: Option<String>,
    /// What is known of servers that answer like this, and which setting may help.
    pub hint: Option<&'static str>,
    /// Of an exchange that failed: the server was reached, and its answer cannot be believed or is no message. It is no matter of
    /// trying again later.
    pub was_answered: bool,
    /// Nothing of the message can have reached the server.
    pub(crate) is_unsent: bool,
    /// What was refused is refused for its time alone: by a clock that is wrong, perhaps.
    pub(crate) is_about_time: bool,
    /// Which check an answer's protection did not pass: what hints go by.
    pub(crate) refused: Option<Refused>,
    /// The answer is the server's: its protection was found right, and what is wrong is what it says.
    pub(crate) is_proven: bool,
}

/// Which check the protection of an answer, or what it brought, did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No certificate that came or is known can be the signer's.
    NoSigner,
    /// The signer's keyUsage lacks digitalSignature.
    KeyUsage,
    /// The signer has no path to the CMP anchors.
    NoPath,
    /// None of the fingerprints that a TLS server was pinned by is on its path.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "TLS alone pins"))]
    Pin,
    /// Whether the signer is revoked is not known, and has to be.
    StatusUnknown,
    /// The MAC is another one.
    Mac,
    /// The MAC's salt is longer than the limit.
    MacSalt,
    /// The MAC is stretched more often than the limit.
    MacIterations,
    /// A certificate is not valid yet, or not any more.
    Validity,
    /// The path ends at a name that an anchor has, with another key.
    Renewed,
    /// The signer has a path to the CMP anchors, and no authority to answer.
    NotAuthorised,
    /// The protection is of another kind than the request's: a MAC for a signature, or the reverse.
    Kind,
}

impl Error {
    /// With a code and a message for people.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::told(code, message.into())
    }

    #[cold]
    fn told(code: Code, message: String) -> Self {
        Error(Box::new(Told { code, application_code: None, message, facts: Facts::default(), cause: None }))
    }

    /// From an application's callback; its own code is kept.
    pub fn application(code: i32, message: impl Into<String>) -> Self {
        let mut error = Error::new(Code::Application, message);
        error.0.application_code = Some(code);
        error
    }

    /// The same error with facts filled in.
    #[must_use]
    pub fn with(mut self, fill: impl FnOnce(&mut Facts)) -> Self {
        fill(&mut self.0.facts);
        self
    }

    /// An error of a lower layer under this code, which [`source`](core::error::Error::source) gives with its type.
    pub fn caused_by(code: Code, cause: impl core::error::Error + Send + Sync + 'static) -> Self {
        Self::worded_by(code, Arc::new(cause))
    }

    /// The same error, with that of a lower layer as its [`source`](core::error::Error::source).
    pub fn with_source(mut self, cause: impl core::error::Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    fn worded_by(code: Code, cause: Cause) -> Self {
        let mut error = Self::told(code, cause.to_string());
        error.0.cause = Some(cause);
        error
    }

    /// The same error, which breaks this rule.
    #[must_use]
    pub fn breaks(self, rule: Rule) -> Self {
        let expected = rule.expected.to_owned();
        self.breaks_expecting(rule, expected)
    }

    /// The same where what the rule asks for is more particular here.
    #[must_use]
    pub(crate) fn breaks_expecting(self, rule: Rule, expected: String) -> Self {
        self.with(|facts| {
            facts.requirement.get_or_insert(rule.cited);
            facts.expected.get_or_insert(expected);
        })
    }

    /// The same error with words put before its message.
    #[must_use]
    pub fn context(mut self, words: &str) -> Self {
        self.0.message = format!("{words}: {}", self.0.message);
        self
    }

    /// The same error with words put behind its message.
    #[must_use]
    pub(crate) fn followed_by(mut self, words: &str) -> Self {
        self.0.message = format!("{}; {words}", self.0.message);
        self
    }

    /// The same error under the code that this gives for its own; an application's stays.
    #[must_use]
    pub(crate) fn recoded(mut self, code: impl FnOnce(Code) -> Code) -> Self {
        self.0.code = code(self.0.code);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The number that crosses the C boundary: the code's, or the application's own.
    pub fn number(&self) -> i32 {
        self.0.application_code.unwrap_or(self.0.code.number())
    }

    /// The code's class.
    pub fn class(&self) -> Class {
        self.0.code.class()
    }

    /// For people: expectation, finding, place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether it came up before anything was to be sent, in what is the device's own: its records, keys and settings. What comes up
    /// with a message, its way or its answer has a phase, by the doors that all of those go through.
    pub fn is_own(&self) -> bool {
        self.0.facts.phase.is_none()
    }

    /// Everything that is known of the failure, one fact per line: for logs, and for who asks "why?".
    pub fn report(&self) -> String {
        let facts = &self.0.facts;
        let mut lines = vec![self.to_string()];
        let mut tell = |what: &str, words: Option<String>| {
            if let Some(words) = words {
                lines.push(format!("  {what}: {words}"));
            }
        };
        tell("phase", facts.phase.map(|phase| phase.name().to_owned()));
        tell("rule", facts.requirement.map(str::to_owned));
        tell("expected", facts.expected.clone());
        tell("found", facts.found.clone());
        tell("HTTP path", facts.http_path.clone());
        tell("HTTP status", facts.http_status.map(|status| status.to_string()));
        tell("PKIStatus", facts.pki_status.map(|status| status.to_string()));
        tell("failInfo", facts.fail_info.map(crate::codes::fail_info_names));
        let told = if facts.server_authenticated { "server" } else { "server, not authenticated" };
        for text in &facts.server_texts {
            // Written by someone else: no line of its own.
            tell(told, Some(text.escape_debug().to_string()));
        }
        tell("hint", facts.hint.map(str::to_owned));
        lines.join("\n")
    }

    /// For programs.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.message)
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn core::error::Error + 'static))
    }
}
