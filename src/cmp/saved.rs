//! What a saved operation is, told before anybody resumes it: the request, whose it is, since when, what it waits for.
//!
//! Whoever polls must be who asked: a request is answered to the credential that protected it (RFC 9483 sections 3.1 and
//! 4.4). So the saved form names its credential, and an operation is never continued under another.

use ::der::Tag;

use super::credential::Credential;
use super::saved_form::SavedPhase;
use super::saved_form::{check_version, opened, read_octets, read_reason, read_under_way};
use crate::asn1::cmp::BodyType;
use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

/// Whose a saved operation is: who protected its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedCredential {
    /// The key of the certificate with this SHA-256.
    Certificate([u8; 32]),
    /// The shared secret that the CA knows by this reference value.
    Secret(Vec<u8>),
    /// TLS with the certificate of this subject, DER.
    MutualTls(Vec<u8>),
}

impl SavedCredential {
    /// Of the settings of a client.
    pub fn of(credential: &Credential, provider: &dyn Provider) -> Result<Self, Error> {
        Ok(match credential {
            Credential::Signature { certificate, .. } => Self::of_certificate(certificate.as_der(), provider)?,
            Credential::Mac { reference, .. } => SavedCredential::Secret(reference.clone()),
            Credential::MutualTls { sender } => SavedCredential::MutualTls(sender.clone()),
        })
    }

    /// Of a certificate, DER.
    pub fn of_certificate(certificate: &[u8], provider: &dyn Provider) -> Result<Self, Error> {
        let digest = provider.digest(DigestAlgorithm::Sha256, &[certificate])?;
        Ok(SavedCredential::Certificate(*digest.first_chunk().expect("SHA-256 has 32 bytes")))
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let (number, value): (i64, &[u8]) = match self {
            SavedCredential::Certificate(digest) => (0, digest),
            SavedCredential::Secret(reference) => (1, reference),
            SavedCredential::MutualTls(sender) => (2, sender),
        };
        sequence(&[&encode(&number), &element(0x04, &[value])])
    }

    pub(super) fn read(fields: &mut Cursor<'_>) -> Result<Self, Error> {
        let mut fields = Cursor::new(fields.expect(Tag::Sequence, "the credential")?.value, "saved operation")?;
        let (number, value): (i64, Vec<u8>) = (fields.decode()?, read_octets(&mut fields)?);
        fields.finish()?;
        match number {
            0 => match value.try_into() {
                Ok(digest) => Ok(SavedCredential::Certificate(digest)),
                Err(_) => Err(Error::new(
                    Code::Corrupt,
                    "the saved operation names a certificate by a digest of another length",
                )),
            },
            1 => Ok(SavedCredential::Secret(value)),
            2 => Ok(SavedCredential::MutualTls(value)),
            other => {
                Err(Error::new(Code::Corrupt, format!("the saved operation's credential is of unknown kind {other}")))
            }
        }
    }

    /// Refuses to continue with another credential than the request was protected with.
    pub(super) fn check(&self, ours: &SavedCredential) -> Result<(), Error> {
        if self == ours {
            return Ok(());
        }
        let words = format!("the saved operation was begun with {self}, and these settings have {ours}");
        Err(Error::new(Code::KeyMismatch, words))
    }
}

impl core::fmt::Display for SavedCredential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            SavedCredential::Certificate(digest) => {
                write!(f, "the certificate with SHA-256 ")?;
                digest.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("...")
            }
            SavedCredential::Secret(reference) => {
                write!(f, "the shared secret of reference \"{}\"", reference.escape_ascii())
            }
            SavedCredential::MutualTls(_) => f.write_str("mutual TLS"),
        }
    }
}

/// What a saved operation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedState {
    /// A message of this type is about to be sent, or its answer was not seen.
    Sending(BodyType),
    /// The CA asked to be asked again then.
    Waiting(Time),
    /// A certificate is here and its owner has not decided.
    Deciding,
}

/// What a saved operation is. Told from the saved form alone: no key and no credential is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedOperation {
    /// The request: ir, cr, p10cr, kur, rr or genm.
    pub request: BodyType,
    /// Who protected it, and has to continue it.
    pub credential: SavedCredential,
    /// When it began; by the clock of then, which may have been wrong.
    pub started: Time,
    /// What comes next.
    pub state: SavedState,
    /// Whether everything is said: the certificate is here and confirmed, and what is waited for is its notBefore.
    pub is_confirmed: bool,
    /// Why the CA asks to wait, in its words.
    pub reason: Vec<String>,
    /// How often the CA has been polled.
    pub polls: u32,
    /// How many answers to polls in a row led nowhere: another secret, somebody on the way, or an error that says that something else
    /// arrived than was sent. Then the reason is the last of them.
    pub dropped: u32,
    /// The URL to which the request was sent; `None` where that is not known.
    pub server: Option<String>,
    /// SubjectPublicKeyInfo (DER) of the new key; empty if it has none, or none yet.
    pub new_key: Vec<u8>,
}

impl SavedOperation {
    /// Reads it.
    ///
    /// Errors: [`Code::Corrupt`] for what is no saved operation, or is cut; [`Code::UnknownVersion`].
    pub fn read(saved: &[u8]) -> Result<Self, Error> {
        let damaged = |error: Error| match error.code() {
            Code::UnknownVersion => error,
            _ => Error::new(Code::Corrupt, error.message().to_owned()),
        };
        Self::read_fields(saved).map_err(damaged)
    }

    fn read_fields(saved: &[u8]) -> Result<Self, Error> {
        let (mut fields, _, _) = opened(saved)?;
        check_version(&mut fields)?;
        let credential = SavedCredential::read(&mut fields)?;
        fields.any("the transaction")?;
        let mut request = Cursor::new(fields.expect(Tag::Sequence, "the request")?.value, "saved operation")?;
        let (kind, new_key): (i64, Vec<u8>) = (request.decode()?, read_octets(&mut request)?);
        let request = match kind {
            0 => BodyType::IR,
            1 => BodyType::CR,
            2 => BodyType::KUR,
            3 => BodyType::P10CR,
            4 | 6 | 7 => BodyType::RR,
            5 => BodyType::GENM,
            other => return Err(Error::new(Code::Corrupt, format!("a request of unknown kind {other}"))),
        };
        let mut state = Cursor::new(fields.expect(Tag::Sequence, "the state")?.value, "saved operation")?;
        let number: i64 = state.decode()?;
        read_octets(&mut state)?;
        let until = Time::from_unix(state.decode()?);
        let under_way = read_under_way(state.expect(Tag::Sequence, "the message under way")?.value)?;
        let reason = read_reason(&mut state)?;
        let state = match number {
            0 => SavedState::Sending(under_way.as_ref().map_or(BodyType(0), |under_way| under_way.body)),
            1 => SavedState::Waiting(until),
            2 => SavedState::Deciding,
            other => return Err(Error::new(Code::Corrupt, format!("a state of unknown kind {other}"))),
        };
        let mut counts = Cursor::new(fields.expect(Tag::Sequence, "the counts")?.value, "saved operation")?;
        let (polls, started) = (counts.decode()?, Time::from_unix(counts.decode()?));
        counts.any("the other version")?;
        // Older ones end here.
        let dropped = if counts.is_empty() { 0 } else { counts.decode()? };
        let server = read_server(&mut counts)?;
        let is_confirmed = under_way.is_some_and(|under_way| under_way.phase == SavedPhase::Validity);
        Ok(SavedOperation {
            request,
            credential,
            started,
            state,
            is_confirmed,
            reason,
            polls,
            dropped,
            server,
            new_key,
        })
    }
}

/// The last of what is counted and told, behind what there may be.
pub(super) fn read_server(counts: &mut Cursor<'_>) -> Result<Option<String>, Error> {
    while !counts.is_empty() {
        let field = counts.any("what is told of the operation")?;
        if field.bytes.first() == Some(&0xa3) {
            let url = read_octets(&mut Cursor::new(field.value, "saved operation")?)?;
            return Ok(Some(String::from_utf8_lossy(&url).into_owned()));
        }
    }
    Ok(None)
}
