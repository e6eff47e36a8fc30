//! What is wrong with encoded input, in words: which structure, what was expected, what came, where.

use alloc::borrow::Cow;
use core::fmt;

use ::der::Tag;

use super::header::foreign_byte;
use super::known_as::named;
use super::oid::Oid;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::prelude::*;

/// Input that is not what its ASN.1 says it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asn1Error {
    /// The structure or field being read, in the standard's words.
    pub structure: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
    /// Offset in bytes from the start of the input given to the reader of `structure`.
    pub offset: usize,
}

impl From<Asn1Error> for Error {
    fn from(error: Asn1Error) -> Self {
        let code = match error.problem {
            Problem::Trailing { .. } => Code::TrailingData,
            Problem::TooLarge { .. } => Code::Limit,
            Problem::Unknown { .. } => Code::Algorithm,
            Problem::NotPem(_) => Code::Pem,
            _ => Code::Der,
        };
        let is_large = matches!(error.problem, Problem::TooLarge { .. });
        let error = Error::caused_by(code, error);
        if is_large { error.breaks(LIMITS) } else { error }
    }
}

const LIMITS: Rule = Rule::new("the limits of the settings", "an input within the limits");

/// What can be wrong with encoded input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes are not DER: the decoder's own words.
    NotDer(String),
    /// Another element than the one that belongs here.
    Unexpected {
        /// What belongs here.
        expected: &'static str,
        /// What came: the tag, or `None` at the end of the input.
        found: Option<Tag>,
    },
    /// Bytes behind the end of the structure.
    Trailing {
        /// How many.
        count: usize,
    },
    /// More than is accepted.
    TooLarge {
        /// What is limited.
        what: &'static str,
        /// The most that is accepted.
        limit: usize,
        /// What came.
        found: usize,
    },
    /// Well-formed, but against a rule of the standard.
    Invalid(Cow<'static, str>),
    /// Not the armour, or not the block, that is wanted (RFC 7468).
    NotPem(Cow<'static, str>),
    /// Well-formed, and of a kind that is not known or not taken here: an algorithm, a curve, a type of key.
    Unknown {
        /// What is not known.
        what: &'static str,
        /// Its identifier.
        identifier: Box<Oid>,
    },
}

impl Asn1Error {
    /// An input that breaks a rule of its standard.
    #[cold]
    pub fn invalid(structure: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Asn1Error { structure, problem: Problem::Invalid(rule.into()), offset: 0 }
    }

    /// A text that is not the PEM that is wanted.
    #[cold]
    pub fn pem(rule: impl Into<Cow<'static, str>>) -> Self {
        Asn1Error { structure: "PEM", problem: Problem::NotPem(rule.into()), offset: 0 }
    }

    /// An algorithm, curve or type of key that is not known here, by its identifier.
    #[cold]
    pub fn unknown(structure: &'static str, what: &'static str, identifier: Oid) -> Self {
        Asn1Error { structure, problem: Problem::Unknown { what, identifier: Box::new(identifier) }, offset: 0 }
    }

    /// An input above a limit.
    #[cold]
    pub fn too_large(structure: &'static str, what: &'static str, limit: usize, found: usize) -> Self {
        Asn1Error { structure, problem: Problem::TooLarge { what, limit, found }, offset: 0 }
    }

    /// The same error with its place in a file, where there are others.
    #[cold]
    pub(crate) fn at(self, place: &str) -> Self {
        match (self.structure, &self.problem) {
            (structure, Problem::Invalid(rule)) => {
                let rule = format!("{rule} ({place})");
                Asn1Error { problem: Problem::Invalid(rule.into()), structure, offset: self.offset }
            }
            (_, Problem::NotPem(rule)) => Asn1Error::pem(format!("{rule} ({place})")),
            (_, Problem::TooLarge { .. }) => self,
            (structure, _) => {
                let words = self.to_string();
                let words = words.strip_prefix(structure).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&words);
                Asn1Error::invalid(structure, format!("{words} ({place})"))
            }
        }
    }

    /// The `der` crate's error, told which structure it befell.
    #[cold]
    pub fn from_der(structure: &'static str, error: ::der::Error) -> Self {
        let offset = error.position().map_or(0, |p| u32::from(p) as usize);
        Asn1Error { structure, problem: Problem::NotDer(in_words(error.kind())), offset }
    }
}

impl fmt::Display for Asn1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.structure)?;
        match &self.problem {
            Problem::NotDer(words) => write!(f, "not DER: {words}")?,
            Problem::Unexpected { expected, found: Some(tag) } => match foreign_byte(*tag) {
                Some(byte) => write!(f, "expected {expected}, found the tag {byte:#04x}")?,
                None => write!(f, "expected {expected}, found {tag}")?,
            },
            Problem::Unexpected { expected, found: None } => write!(f, "expected {expected}, found the end")?,
            Problem::Trailing { count } => write!(f, "{count} bytes behind the end")?,
            Problem::TooLarge { what, limit, found } => write!(f, "{what} is {found}, the limit is {limit}")?,
            Problem::Invalid(rule) | Problem::NotPem(rule) => write!(f, "{rule}")?,
            Problem::Unknown { what, identifier } => {
                write!(f, "{what} that is not known here: {}", named(identifier))?;
            }
        }
        // The very beginning, or no place in particular: not worth a number.
        if self.offset == 0 { Ok(()) } else { write!(f, " (offset {})", self.offset) }
    }
}

impl core::error::Error for Asn1Error {}

/// The decoder's complaint in plain words.
fn in_words(kind: ::der::ErrorKind) -> String {
    use ::der::ErrorKind;
    match kind {
        ErrorKind::IndefiniteLength => "an indefinite length (BER)".to_owned(),
        ErrorKind::Incomplete { .. } => "it ends too early".to_owned(),
        ErrorKind::Length { tag } => format!("a wrong length of {tag}"),
        ErrorKind::Noncanonical { tag } => format!("{tag} in a form that DER does not allow"),
        ErrorKind::Value { tag } => format!("a value of {tag} that cannot be"),
        ErrorKind::TagUnknown { byte } => format!("the tag {byte:#04x}, which is not known here"),
        ErrorKind::TagUnexpected { expected: Some(expected), actual } => format!("expected {expected}, found {actual}"),
        ErrorKind::TagUnexpected { actual, .. } => format!("{actual} does not belong here"),
        ErrorKind::TrailingData { .. } => "bytes behind the end".to_owned(),
        ErrorKind::OidMalformed => "an object identifier that cannot be read".to_owned(),
        ErrorKind::Utf8(_) => "text that is not UTF-8".to_owned(),
        ErrorKind::SetOrdering => "a SET whose elements are not in order".to_owned(),
        ErrorKind::DateTime => "a date that cannot be".to_owned(),
        ErrorKind::Overflow | ErrorKind::Overlength => "a length or number beyond what is read here".to_owned(),
        other => other.to_string(),
    }
}
