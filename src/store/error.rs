//! Why device memory failed, and where.

use std::fmt;
use std::io;

use crate::asn1::Asn1Error;
use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::error::Error;
use crate::features::LeftOut;

/// Why an operation on device memory failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What went wrong.
    pub kind: StoreErrorKind,
    /// Where: a record's key such as `identity/router/current`, or a path. Empty if nowhere in particular.
    pub place: String,
    /// For people: expectation and finding. Never a secret.
    pub detail: String,
}

/// What went wrong in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// A name that is not allowed.
    Name,
    /// It is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// Access refused, or access rights too wide.
    Permission,
    /// Reading or writing failed.
    Io,
    /// No room.
    Full,
    /// Another process or handle holds the lock, and nothing can be changed.
    Locked,
    /// Somebody is in a conversation about the identity: what is due is being done, by them.
    AtWork,
    /// Stored bytes are not what was stored.
    Corrupt,
    /// Written by a newer version.
    Version,
    /// What was read back is not what was written.
    VerifyAfterWrite,
    /// Private key and certificate do not belong together.
    KeyMismatch,
    /// The private key cannot be used.
    Key,
    /// The secret for keys at rest is not given, or is another one.
    Secret,
    /// The secret for keys at rest cannot be had where it is kept: the code of that.
    SecretAway(Code),
    /// The chain does not link up.
    Chain,
    /// Larger than what is kept.
    Limit,
    /// The random generator failed.
    Random,
    /// A callback of the store called it again.
    Reentrant,
    /// This library was built without what this needs.
    NotBuiltIn,
    /// The caller's own storage failed, with its own code.
    Application(i32),
}

impl StoreError {
    /// With a place and words for people.
    pub fn new(kind: StoreErrorKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        StoreError { kind, place: place.into(), detail: detail.into() }
    }

    /// From the operating system.
    pub fn io(place: impl Into<String>, doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind as Os;
        let kind = match error.kind() {
            Os::PermissionDenied | Os::ReadOnlyFilesystem => StoreErrorKind::Permission,
            Os::StorageFull | Os::QuotaExceeded | Os::FileTooLarge => StoreErrorKind::Full,
            Os::NotFound => StoreErrorKind::NotFound,
            _ => StoreErrorKind::Io,
        };
        StoreError::new(kind, place, format!("{doing}: {error}"))
    }

    pub(super) fn corrupt(place: impl Into<String>, detail: impl Into<String>) -> Self {
        StoreError::new(StoreErrorKind::Corrupt, place, detail)
    }

    pub(super) fn not_found(place: impl Into<String>, detail: impl Into<String>) -> Self {
        StoreError::new(StoreErrorKind::NotFound, place, detail)
    }

    /// A key that could not be read from, or made ready for, this place.
    pub(super) fn key(place: &str, error: &CryptoError) -> Self {
        let kind = match error {
            CryptoError::WrongSecret | CryptoError::NoSecret | CryptoError::Decrypt => StoreErrorKind::Secret,
            CryptoError::SecretAway(code, _) => StoreErrorKind::SecretAway(*code),
            CryptoError::Random => StoreErrorKind::Random,
            _ => StoreErrorKind::Key,
        };
        StoreError::new(kind, place, error.to_string())
    }

    pub(super) fn asn1(place: &str, error: &Asn1Error) -> Self {
        StoreError::corrupt(place, error.to_string())
    }

    /// Whether what is stored is damaged (rather than absent, or out of reach for now).
    pub fn is_damage(&self) -> bool {
        use StoreErrorKind as Kind;
        matches!(self.kind, Kind::Corrupt | Kind::KeyMismatch | Kind::Key | Kind::Chain | Kind::Limit)
    }

    /// Whether a key does not open as the secret that it is sealed under is not at hand, or another one is: nothing is lost.
    pub fn is_sealed(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Secret | StoreErrorKind::SecretAway(_))
    }

    /// Whether nothing can be read there, now or later, by this version of the library: there is no record, it is damaged, or a newer
    /// version wrote it. For who can do without it.
    pub(crate) fn is_of_no_use(&self) -> bool {
        self.is_damage() || matches!(self.kind, StoreErrorKind::NotFound | StoreErrorKind::Version)
    }

    /// The public code.
    pub fn code(&self) -> Code {
        match self.kind {
            StoreErrorKind::Name => Code::InvalidArgument,
            StoreErrorKind::NotFound => Code::NotFound,
            StoreErrorKind::Exists => Code::Exists,
            StoreErrorKind::Permission => Code::Permission,
            StoreErrorKind::Io => Code::Io,
            StoreErrorKind::Full => Code::Full,
            StoreErrorKind::Locked | StoreErrorKind::AtWork => Code::Locked,
            StoreErrorKind::Corrupt => Code::Corrupt,
            StoreErrorKind::Version => Code::UnknownVersion,
            StoreErrorKind::VerifyAfterWrite => Code::VerifyAfterWrite,
            StoreErrorKind::KeyMismatch => Code::KeyMismatch,
            StoreErrorKind::Key => Code::BadKey,
            StoreErrorKind::Secret => Code::WrongSecret,
            StoreErrorKind::SecretAway(code) => code,
            StoreErrorKind::Chain => Code::NoPath,
            StoreErrorKind::Limit => Code::Limit,
            StoreErrorKind::Random => Code::Random,
            StoreErrorKind::Reentrant => Code::Reentrant,
            StoreErrorKind::NotBuiltIn => Code::Unsupported,
            StoreErrorKind::Application(_) => Code::Application,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.detail) } else { write!(f, "{}: {}", self.place, self.detail) }
    }
}

impl std::error::Error for StoreError {}

/// Whether an error of device memory is about the secret that a key is sealed under.
pub(crate) fn is_sealed(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<StoreError>());
    cause.is_some_and(StoreError::is_sealed)
}

/// Whether an error came because somebody else is in a conversation about the identity, in this process or in another: what is due is
/// being done. [`Code::Locked`] alone also says that nothing can be done.
pub fn is_at_work(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<StoreError>());
    cause.is_some_and(|cause| cause.kind == StoreErrorKind::AtWork)
}

impl From<LeftOut> for StoreError {
    fn from(left_out: LeftOut) -> Self {
        StoreError::new(StoreErrorKind::NotBuiltIn, "", left_out.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Application(code) => Error::application(code, error.to_string()),
            _ => Error::caused_by(error.code(), error),
        }
    }
}
