//! The one table of status codes. Header constants, Python classes and the manual are checked against it.
//!
//! Zero is success, errors are negative, one block of 100 per class. A code is never renumbered or reused.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

macro_rules! codes {
    ($($variant:ident = $value:literal, $name:literal, $text:literal;)*) => {
        /// Why a call failed. New codes may appear in minor releases: decide by [`Code::class`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Code { $(#[doc = $text] $variant = $value,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The name without prefix, as in `DEVID_E_<NAME>`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// By number; `None` for numbers that are not in the table.
            pub fn from_number(number: i32) -> Option<Code> {
                match number { $($value => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    Null = -1, "NULL", "A required pointer is NULL.";
    InvalidArgument = -2, "INVALID_ARGUMENT", "An argument has a value that the function does not take.";
    State = -3, "STATE", "The call does not fit the state of the handle (order of calls).";
    Reentrant = -4, "REENTRANT", "The handle is in use further up the call stack (called from its own callback).";
    Poisoned = -5, "POISONED", "An earlier call on the handle failed internally; it can only be freed.";
    Unsupported = -6, "UNSUPPORTED", "Not compiled in, or not supported by this key or provider.";
    NotUtf8 = -7, "NOT_UTF8", "A text argument is not UTF-8.";

    Panic = -100, "PANIC", "An internal error was caught at the boundary.";
    Limit = -101, "LIMIT", "A configured limit on size, count or work was reached.";
    Random = -102, "RANDOM", "The random generator failed.";
    ClockMissing = -103, "CLOCK_MISSING", "The call needs the time and none was given.";

    Der = -200, "DER", "Input is not the DER that it must be.";
    Pem = -201, "PEM", "Input is not the PEM that it must be.";
    TrailingData = -202, "TRAILING_DATA", "Bytes follow behind the end of the input's structure.";
    UnknownVersion = -203, "UNKNOWN_VERSION", "The input's version is not known.";
    Corrupt = -204, "CORRUPT", "Stored or saved bytes fail their integrity check.";

    Algorithm = -300, "ALGORITHM", "The algorithm is unknown, not built in or refused.";
    KeyMismatch = -301, "KEY_MISMATCH", "Private key and certificate do not belong together.";
    Signer = -302, "SIGNER", "The external key failed to sign.";
    MacParameters = -303, "MAC_PARAMETERS", "The parameters of a password-based MAC are refused.";
    BadKey = -304, "BAD_KEY", "The key is malformed or of a refused size.";
    WrongSecret = -305, "WRONG_SECRET", "The password or secret does not open what it should.";
    Decrypt = -306, "DECRYPT", "Decryption failed.";
    SignatureInvalid = -307, "SIGNATURE_INVALID", "A signature does not match.";

    Unprotected = -400, "UNPROTECTED", "The answer is not protected.";
    ProtectionInvalid = -401, "PROTECTION_INVALID", "The answer's protection does not match or comes from someone who is not trusted.";
    TransactionId = -402, "TRANSACTION_ID", "The answer belongs to another transaction.";
    Nonce = -403, "NONCE", "The answer's nonces are missing or do not belong to the request.";
    Rejected = -404, "REJECTED", "The server refused: see PKIStatus, failInfo and its texts.";
    PollExhausted = -405, "POLL_EXHAUSTED", "The server kept answering 'waiting' beyond the configured limits.";
    WrongCertificate = -406, "WRONG_CERTIFICATE", "The issued certificate is not what was asked for.";
    UnexpectedBody = -407, "UNEXPECTED_BODY", "The answer's body does not belong in this state.";
    Unconfirmed = -408, "UNCONFIRMED", "A certificate was issued, but its confirmation failed: do not use it before it is resolved.";
    MessageTime = -409, "MESSAGE_TIME", "The answer's messageTime lies outside the accepted window.";
    Protocol = -410, "PROTOCOL", "The answer breaks a rule of the protocol.";
    Refused = -411, "REFUSED", "The caller refused the issued certificate.";

    Connect = -500, "CONNECT", "No connection to the server.";
    Tls = -501, "TLS", "The TLS handshake failed.";
    HttpStatus = -502, "HTTP_STATUS", "The server answered with an HTTP status instead of a message.";
    ContentType = -503, "CONTENT_TYPE", "The answer is not of the content type that belongs here.";
    Timeout = -504, "TIMEOUT", "The server did not answer in time.";
    TooLarge = -505, "TOO_LARGE", "The answer is larger than the limit.";
    Busy = -506, "BUSY", "The server asks to come back later: see Retry-After.";
    Cancelled = -507, "CANCELLED", "The caller cancelled the exchange.";
    Transport = -508, "TRANSPORT", "The exchange with the server failed.";

    NotFound = -600, "NOT_FOUND", "Device memory does not hold it.";
    Exists = -601, "EXISTS", "Device memory holds it already.";
    Permission = -602, "PERMISSION", "Device memory refuses access, or its access rights are too wide.";
    Io = -603, "IO", "Device memory failed.";
    VerifyAfterWrite = -604, "VERIFY_AFTER_WRITE", "What was read back differs from what was written.";
    Locked = -605, "LOCKED", "Another process holds the lock on device memory.";
    Full = -606, "FULL", "Device memory is full.";

    NoPath = -700, "NO_PATH", "No path to a trust anchor.";
    Expired = -701, "EXPIRED", "A certificate has expired.";
    NotYetValid = -702, "NOT_YET_VALID", "A certificate is not yet valid.";
    Revoked = -703, "REVOKED", "A certificate is revoked.";
    RevocationUnknown = -704, "REVOCATION_UNKNOWN", "Whether a certificate is revoked could not be found out.";
    Name = -705, "NAME", "The certificate does not carry the name asked for.";
    KeyUsage = -706, "KEY_USAGE", "The certificate is not for this purpose.";
    Policy = -707, "POLICY", "No acceptable certificate policy.";
    PathLength = -708, "PATH_LENGTH", "The path is longer than allowed.";
    NameConstraints = -709, "NAME_CONSTRAINTS", "A name lies outside the name constraints.";
    CriticalExtension = -710, "CRITICAL_EXTENSION", "A critical extension is not understood.";
    WeakAlgorithm = -711, "WEAK_ALGORITHM", "A signature or key is too weak.";
    Budget = -712, "BUDGET", "The work budget of the path search was used up; nothing is said about validity.";
    NotACa = -713, "NOT_A_CA", "A certificate issues others without being a CA.";
    Malformed = -714, "MALFORMED", "A certificate breaks the profile.";
    Stale = -715, "STALE", "The verdict's time is over; check again.";
    CrlRollback = -716, "CRL_ROLLBACK", "A CRL is older than one that was seen before.";
    BadSignature = -717, "BAD_SIGNATURE", "A signature on the path does not match, or cannot be checked here.";

    Application = -10_000, "APPLICATION", "A callback of the application failed; its own code, at or below this one, is passed through.";
}

/// What kind of thing went wrong: what a program decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Class {
    /// Success.
    Ok = 0,
    /// The program called wrongly.
    Usage = 1,
    /// The library or its environment failed.
    Internal = 2,
    /// Input is malformed.
    Input = 3,
    /// Keys, algorithms, secrets.
    Crypto = 4,
    /// The CMP server's answer.
    Protocol = 5,
    /// The way to the server: trying again later may help.
    Transport = 6,
    /// Device memory.
    Store = 7,
    /// A certificate is not to be trusted.
    Validation = 8,
    /// The application's own callbacks.
    Application = 9,
}

impl Code {
    /// The number that crosses the C boundary.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The block the code stands in.
    pub const fn class(self) -> Class {
        class_of(self as i32)
    }
}

/// The class of any number, known or not.
pub const fn class_of(number: i32) -> Class {
    match number {
        0 => Class::Ok,
        -99..=-1 => Class::Usage,
        -299..=-200 => Class::Input,
        -399..=-300 => Class::Crypto,
        -499..=-400 => Class::Protocol,
        -599..=-500 => Class::Transport,
        -699..=-600 => Class::Store,
        -799..=-700 => Class::Validation,
        i32::MIN..=-10_000 => Class::Application,
        _ => Class::Internal,
    }
}

/// Names of the bits of PKIFailureInfo, bit 0 first (RFC 9810 section 5.2.3).
pub const FAIL_INFO_NAMES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];

/// The names of the set bits, for people.
pub fn fail_info_names(bits: u32) -> String {
    let names: Vec<String> = (0..32)
        .filter(|n| bits >> n & 1 == 1)
        .map(|n| FAIL_INFO_NAMES.get(n).map_or_else(|| format!("bit {n}"), |name| (*name).to_owned()))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique_and_found_again() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(Code::ALL[..i].iter().all(|c| c.name() != code.name() && c.number() != code.number()));
            assert_ne!(code.class(), Class::Ok);
        }
    }
}
