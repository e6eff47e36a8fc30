//! Why a command failed, and the exit status that says so.

use std::fmt;

use devid::client::device::in_settings;
use devid::store::is_at_work;
use devid::{Class, Code, Error, Phase};
use serde_json::{Value, json};

/// Exit status by what a caller can do about it. `docs/command.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Internal = 1,
    Usage = 2,
    Input = 3,
    Crypto = 4,
    Protocol = 5,
    Rejected = 6,
    Transport = 7,
    Store = 8,
    Invalid = 9,
    Locked = 10,
    NotAsAsked = 11,
    Unconfirmed = 12,
    Hook = 13,
    Alarm = 14,
    NothingDue = 20,
    Waiting = 21,
    Interrupted = 130,
}

impl Exit {
    /// Every status with its meaning, for the manual.
    pub const ALL: &'static [(Exit, &'static str)] = &[
        (Exit::Done, "done, or nothing was to be done"),
        (Exit::Internal, "an internal error, or a limit of the system"),
        (Exit::Usage, "the command line or the settings are wrong, or name a file that cannot be read"),
        (Exit::Input, "a file of this command, or a structure in any, cannot be read"),
        (Exit::Crypto, "a key, a token, a secret or an algorithm"),
        (Exit::Protocol, "the server or its answer cannot be believed, or is not CMP"),
        (Exit::Rejected, "the CA refused"),
        (Exit::Transport, "the server was not reached: try again later"),
        (Exit::Store, "device memory"),
        (Exit::Invalid, "a certificate is not valid; doctor found an error"),
        (Exit::Locked, "another process is at work"),
        (Exit::NotAsAsked, "a certificate was issued, but not the one that was asked for"),
        (Exit::Unconfirmed, "a certificate was issued, but whether the CA knows that it arrived is unknown"),
        (Exit::Hook, "it is done, but an export, a program run after it, or the trace failed"),
        (Exit::Alarm, "status --check: a renewal is late, or there is no usable identity"),
        (Exit::NothingDue, "keep --exit-code: nothing was due"),
        (
            Exit::Waiting,
            "the CA asks to wait, or its certificate is valid from later on: it is kept, and the next call goes on",
        ),
        (Exit::Interrupted, "interrupted; the place is kept"),
    ];

    /// Of an error of the library: a server that was reached, and whose answer no later call makes better, is not one that was not
    /// reached.
    pub fn of(error: &Error) -> Self {
        if error.facts().was_answered { Exit::Protocol } else { Exit::of_code(error.code()) }
    }

    /// The other status of a code: where the server was reached, and what it answers cannot be believed or is no message.
    pub fn where_answered(code: Code) -> Option<Self> {
        matches!(code, Code::Tls | Code::HttpStatus | Code::Transport).then_some(Exit::Protocol)
    }

    /// By the library's code.
    pub fn of_code(code: Code) -> Self {
        match code {
            Code::Rejected => Exit::Rejected,
            Code::Locked => Exit::Locked,
            Code::Refused | Code::WrongCertificate => Exit::NotAsAsked,
            Code::Unconfirmed => Exit::Unconfirmed,
            Code::Cancelled => Exit::Interrupted,
            // Only who was reached has sent them.
            Code::ContentType | Code::TooLarge => Exit::Protocol,
            other => match other.class() {
                Class::Ok => Exit::Done,
                Class::Usage => Exit::Usage,
                Class::Input => Exit::Input,
                Class::Crypto => Exit::Crypto,
                Class::Protocol => Exit::Protocol,
                Class::Transport => Exit::Transport,
                Class::Store => Exit::Store,
                Class::Validation => Exit::Invalid,
                Class::Internal | Class::Application => Exit::Internal,
            },
        }
    }

    /// What it means, as the manual says it.
    pub fn meaning(self) -> &'static str {
        Exit::ALL.iter().find(|(exit, _)| *exit == self).map_or("", |(_, words)| words)
    }

    /// The class of an error of the command itself that ends so, by the library's words.
    fn class(self) -> &'static str {
        match self {
            Exit::Usage => "usage",
            Exit::Input => "input",
            Exit::Crypto => "crypto",
            Exit::Protocol | Exit::Rejected | Exit::NotAsAsked | Exit::Unconfirmed => "protocol",
            Exit::Transport => "transport",
            Exit::Store | Exit::Locked => "store",
            Exit::Invalid => "validation",
            Exit::Hook | Exit::Alarm | Exit::Interrupted => "application",
            Exit::Done | Exit::Internal | Exit::NothingDue | Exit::Waiting => "internal",
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// By the library.
    Library(Box<Error>),
    /// By the command itself.
    Own(Exit, String),
}

impl Failure {
    /// The command line is wrong.
    pub fn usage(words: impl Into<String>) -> Self {
        Failure::Own(Exit::Usage, words.into())
    }

    /// The settings are wrong.
    pub fn settings(words: impl Into<String>) -> Self {
        Failure::Own(Exit::Usage, words.into())
    }

    /// A file cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Failure::Own(Exit::Input, format!("{}: {error}", devid::files::shown(path)))
    }

    /// The exit status.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Library(error) => Exit::of(error),
            Failure::Own(exit, _) => *exit,
        }
    }

    /// Whether somebody else is doing what was to be done; not of a lock that keeps everybody from everything.
    pub fn is_at_work(&self) -> bool {
        matches!(self, Failure::Library(error) if is_at_work(error))
    }

    /// Whether what was asked for is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Failure::Library(error) if error.code() == Code::NotFound)
    }

    /// Everything that is known, for people.
    pub fn report(&self) -> String {
        self.report_in(in_settings)
    }

    /// The same, with what the library says put into these words.
    pub fn report_in(&self, words: fn(&str) -> String) -> String {
        match self {
            Failure::Library(error) => words(&error.report()),
            Failure::Own(_, own) => own.clone(),
        }
    }

    /// Everything that is known, for programs.
    pub fn json(&self) -> Value {
        self.json_in(in_settings)
    }

    /// The same, with what the library says put into these words.
    pub fn json_in(&self, words: fn(&str) -> String) -> Value {
        match self {
            Failure::Own(exit, own) => json!({ "exit": exit.number(), "class": exit.class(), "message": own }),
            Failure::Library(error) => error_json_in(error, words),
        }
    }
}

/// The error object.
pub fn error_json(error: &Error) -> Value {
    error_json_in(error, in_settings)
}

fn error_json_in(error: &Error, words: fn(&str) -> String) -> Value {
    let facts = error.facts();
    let fail_info: Option<Vec<u32>> = facts.fail_info.map(|bits| (0..32).filter(|n| bits >> n & 1 == 1).collect());
    json!({
        "exit": Exit::of(error).number(),
        "code": error.code().name(),
        "number": error.number(),
        "class": format!("{:?}", error.class()).to_lowercase(),
        "message": words(error.message()),
        "phase": facts.phase.map(Phase::name),
        "rule": facts.requirement,
        "expected": facts.expected,
        "found": facts.found,
        "hint": facts.hint.map(words).filter(|hint| !hint.is_empty()),
        "http": { "status": facts.http_status, "path": facts.http_path, "retry_after_s": facts.retry_after_seconds },
        "pki": {
            "status": facts.pki_status,
            "fail_info_bits": fail_info,
            "texts": facts.server_texts,
            "authenticated": facts.server_authenticated,
        },
        "certificate_index": facts.certificate_index,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => error.fmt(f),
            Failure::Own(_, words) => f.write_str(words),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library(Box::new(error))
    }
}

impl From<devid::store::StoreError> for Failure {
    fn from(error: devid::store::StoreError) -> Self {
        Error::from(error).into()
    }
}

impl From<devid::crypto::CryptoError> for Failure {
    fn from(error: devid::crypto::CryptoError) -> Self {
        Error::from(error).into()
    }
}

impl From<devid::asn1::Asn1Error> for Failure {
    fn from(error: devid::asn1::Asn1Error) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_library_has_a_status_and_no_error_is_success() {
        for code in Code::ALL {
            let exit = Exit::of_code(*code);
            assert_ne!(exit, Exit::Done, "{}", code.name());
            assert!(Exit::ALL.iter().any(|(known, _)| *known == exit), "{exit:?} is not in the table");
        }
    }

    #[test]
    fn who_was_reached_and_cannot_be_believed_is_not_tried_again() {
        use devid::transport::{Cause, Phase, TransportError, TransportErrorKind as Kind};
        let exit = |kind, status, cause| {
            let error = TransportError { status, cause, ..TransportError::new(kind, Phase::Await, "x") };
            Failure::from(Error::from(error)).exit()
        };
        for status in [301, 401, 403, 404, 405, 415, 501, 511] {
            assert_eq!(exit(Kind::HttpStatus, Some(status), None), Exit::Protocol, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(exit(Kind::HttpStatus, Some(status), None), Exit::Transport, "{status}");
        }
        assert_eq!(exit(Kind::Broken, Some(200), None), Exit::Protocol, "an empty answer");
        assert_eq!(exit(Kind::Broken, Some(200), Some(Cause::CutShort)), Exit::Transport, "half an answer");
        assert_eq!(exit(Kind::ContentType, Some(200), None), Exit::Protocol);
        for cause in [Cause::ServerCertificate(Code::NoPath), Cause::NotTls, Cause::ClientCertificateMissing] {
            assert_eq!(exit(Kind::Tls, None, Some(cause)), Exit::Protocol, "{cause:?}");
        }
        assert_eq!(exit(Kind::Broken, None, Some(Cause::NotHttp)), Exit::Protocol, "another service at this port");
        // A handshake that breaks off has told nothing.
        for kind in [Kind::Tls, Kind::Connect, Kind::Timeout, Kind::Busy, Kind::Broken] {
            assert_eq!(exit(kind, None, None), Exit::Transport, "{kind:?}");
        }
    }

    #[test]
    fn the_page_has_every_status() {
        let page = include_str!("../../docs/command.md");
        for (exit, words) in Exit::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| {} |", exit.number())));
            let row = row.unwrap_or_else(|| panic!("no row for {exit:?}")).replace('`', "");
            assert!(row.contains(words), "{row}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        let numbers: std::collections::BTreeSet<u8> = Exit::ALL.iter().map(|(exit, _)| exit.number()).collect();
        assert_eq!(numbers.len(), Exit::ALL.len());
    }
}
