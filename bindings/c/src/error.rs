//! Status codes and errors.

use super::args::c_text;
use super::prelude::*;
use super::texts::{Text, Texts};
use devid_core::codes::{Class, Code, class_of};

/// How a call ended: DEVID_OK or one of DEVID_E_*. Negative numbers are failures; there are no positive ones. New codes may
/// appear in any release: decide by devid_status_class() where the exact code does not matter.
#[allow(non_camel_case_types)]
pub type devid_status = i32;

/// What kind of thing went wrong: one of DEVID_CLASS_*.
#[allow(non_camel_case_types)]
pub type devid_class = i32;

/// Success.
pub const DEVID_CLASS_OK: i32 = 0;
/// The program called wrongly.
pub const DEVID_CLASS_USAGE: i32 = 1;
/// The library or its environment failed.
pub const DEVID_CLASS_INTERNAL: i32 = 2;
/// Input is malformed.
pub const DEVID_CLASS_INPUT: i32 = 3;
/// Keys, algorithms, secrets.
pub const DEVID_CLASS_CRYPTO: i32 = 4;
/// The CMP server's answer.
pub const DEVID_CLASS_PROTOCOL: i32 = 5;
/// The way to the server: trying again later may help.
pub const DEVID_CLASS_TRANSPORT: i32 = 6;
/// Device memory.
pub const DEVID_CLASS_STORE: i32 = 7;
/// A certificate is not to be trusted.
pub const DEVID_CLASS_VALIDATION: i32 = 8;
/// The application's own callbacks.
pub const DEVID_CLASS_APPLICATION: i32 = 9;

const _: () = {
    assert!(DEVID_CLASS_USAGE == Class::Usage as i32 && DEVID_CLASS_INTERNAL == Class::Internal as i32);
    assert!(DEVID_CLASS_INPUT == Class::Input as i32 && DEVID_CLASS_CRYPTO == Class::Crypto as i32);
    assert!(DEVID_CLASS_PROTOCOL == Class::Protocol as i32 && DEVID_CLASS_TRANSPORT == Class::Transport as i32);
    assert!(DEVID_CLASS_STORE == Class::Store as i32 && DEVID_CLASS_VALIDATION == Class::Validation as i32);
    assert!(DEVID_CLASS_APPLICATION == Class::Application as i32 && DEVID_CLASS_OK == Class::Ok as i32);
};

/// Why a call failed: code, message, facts. Never changes after it was made; may be shared by threads.
#[handle]
pub type devid_error = Failure;

#[doc(hidden)]
pub struct Failure {
    error: Error,
    message: Text,
    server_texts: Texts,
    phase: Text,
    http_path: Text,
    requirement: Text,
    expected: Text,
    found: Text,
    hint: Text,
    report: Text,
}

impl Failure {
    /// The error as the layers below know it.
    pub(super) fn error(&self) -> &Error {
        &self.error
    }

    fn server_texts(&self) -> Vec<String> {
        self.error.facts().server_texts.clone()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (text, texts) = (Text::default, Texts::default);
        Failure {
            error,
            message: text(),
            server_texts: texts(),
            phase: text(),
            http_path: text(),
            requirement: text(),
            expected: text(),
            found: text(),
            hint: text(),
            report: text(),
        }
    }
}

/// The name of a code as in this header, such as "DEVID_E_EXPIRED".
///
/// @param status  Any number.
/// @return "DEVID_E_UNKNOWN" for a code that this library does not know, "DEVID_E_APPLICATION" for the application's own.
///         Never NULL; valid for ever.
#[export]
fn devid_status_name(status: devid_status) -> &'static CStr {
    table(status).map_or(c"DEVID_E_UNKNOWN", |(name, _)| name)
}

/// One sentence about a code, for users.
///
/// @param status  Any number.
/// @return Never NULL; valid for ever.
#[export]
fn devid_status_text(status: devid_status) -> &'static CStr {
    table(status).map_or(c"A failure that this version of the library does not know.", |(_, text)| text)
}

/// The class of a code: what a program decides by. Works for codes that this library does not know, too.
///
/// @param status  Any number.
/// @return One of DEVID_CLASS_*.
#[export]
fn devid_status_class(status: devid_status) -> devid_class {
    class_of(status) as i32
}

/// The code of an error, the same number that the failed call returned.
///
/// @param error  May be NULL (gives DEVID_OK).
/// @return One of DEVID_E_*, or a number at or below -10000 that a callback of the application returned.
#[export]
fn devid_error_code(error: &devid_error) -> devid_status {
    error.error.number()
}

/// What was expected, what was received, and where, as text for users. Holds no secret.
///
/// @return Never NULL; valid until the error is freed.
#[export]
fn devid_error_message(error: &devid_error) -> &CStr {
    error.message.get(|| error.error.message().to_owned())
}

/// PKIStatus of the server's answer (RFC 9810 section 5.2.3).
///
/// @return 0 accepted, 1 grantedWithMods, 2 rejection, 3 waiting, ...; -1 if there was none.
#[export(otherwise = -1)]
fn devid_error_pki_status(error: &devid_error) -> i64 {
    error.error.facts().pki_status.unwrap_or(-1)
}

/// PKIFailureInfo of the server's answer (RFC 9810 section 5.2.3).
///
/// @return Bit n (value 1 << n) is bit n of the BIT STRING: 0 badAlg, 1 badMessageCheck, ...; 0 if there was none.
#[export]
fn devid_error_fail_info(error: &devid_error) -> u32 {
    error.error.facts().fail_info.unwrap_or(0)
}

/// How many texts came with the server's answer.
///
/// @return 0 if there were none.
#[export]
fn devid_error_server_text_count(error: &devid_error) -> usize {
    error.server_texts.get(|| error.server_texts()).len()
}

/// One of the server's texts. Written by someone else: show it as data.
///
/// @param index  From 0 to devid_error_server_text_count() - 1.
/// @return UTF-8; NULL if there is no such text; valid until the error is freed.
#[export]
fn devid_error_server_text(error: &devid_error, index: usize) -> Option<&CStr> {
    error.server_texts.at(index, || error.server_texts())
}

/// Whether the server's texts came in a message whose protection was checked. If not, anyone on the way may have written
/// them.
///
/// @return 1 yes, 0 no or nothing came.
#[export]
fn devid_error_server_authenticated(error: &devid_error) -> bool {
    error.error.facts().server_authenticated
}

/// HTTP status of the server's answer.
///
/// @return Such as 503; 0 if there was none.
#[export]
fn devid_error_http_status(error: &devid_error) -> i32 {
    error.error.facts().http_status.map_or(0, i32::from)
}

/// How long the server asks to wait before the next attempt.
///
/// @return Seconds; -1 if it did not say.
#[export(otherwise = -1)]
fn devid_error_retry_after_seconds(error: &devid_error) -> i64 {
    error.error.facts().retry_after_seconds.map_or(-1, i64::from)
}

/// Which certificate of the chain the failure is about.
///
/// @return 0 is the end entity; -1 if it is about none in particular.
#[export(otherwise = -1)]
fn devid_error_certificate_index(error: &devid_error) -> i32 {
    error.error.facts().certificate_index.and_then(|i| i.try_into().ok()).unwrap_or(-1)
}

/// Where in an operation it failed.
///
/// @return Such as "ir", "pollReq", "certConf"; NULL if it was outside an operation; valid until the error is freed.
#[export]
fn devid_error_phase(error: &devid_error) -> Option<&CStr> {
    error.phase.find(|| error.error.facts().phase.map(|phase| phase.name().to_owned()))
}

/// The path of the URL that the message went to.
///
/// @return Such as "/.well-known/cmp"; NULL if that is not known; valid until the error is freed.
#[export]
fn devid_error_http_path(error: &devid_error) -> Option<&CStr> {
    error.http_path.find(|| error.error.facts().http_path.clone())
}

/// The rule that was broken.
///
/// @return Such as "RFC 9483 section 3.5 (P5)"; the letters name rows of docs/requirements.md; NULL if that is not known; valid until the error is freed.
#[export]
fn devid_error_requirement(error: &devid_error) -> Option<&CStr> {
    error.requirement.find(|| error.error.facts().requirement.map(str::to_owned))
}

/// What that rule asks for.
///
/// @return Such as "an answer with protection"; NULL if that is not known; valid until the error is freed.
#[export]
fn devid_error_expected(error: &devid_error) -> Option<&CStr> {
    error.expected.find(|| error.error.facts().expected.clone())
}

/// What was received. Nobody vouches for it: show it as data.
///
/// @return Such as "ip, pvno 2, protected by a MAC, ..."; NULL if that is not known; valid until the error is freed.
#[export]
fn devid_error_found(error: &devid_error) -> Option<&CStr> {
    error.found.find(|| error.error.facts().found.clone())
}

/// What is known of servers that answer like this, and which setting may help. For users: the text may change.
///
/// @return One or two sentences; NULL if that is not known; valid until the error is freed.
#[export]
fn devid_error_hint(error: &devid_error) -> Option<&CStr> {
    error.hint.find(|| error.error.facts().hint.map(str::to_owned))
}

/// Everything that is known of the failure, one fact per line: for logs, and for who asks "why?".
///
/// @return Never NULL; valid until the error is freed.
#[export]
fn devid_error_report(error: &devid_error) -> &CStr {
    error.report.get(|| error.error.report())
}

/// Frees an error.
#[export]
fn devid_error_free(error: Owned<devid_error>) {
    drop(error)
}

/// Name and sentence of a code, made once for the life of the process.
fn table(status: i32) -> Option<(&'static CStr, &'static CStr)> {
    use std::sync::LazyLock;
    static TABLE: LazyLock<Vec<(i32, CString, CString)>> = LazyLock::new(|| {
        let line = |number, name: &str, text| (number, c_text(name), c_text(text));
        let errors = Code::ALL.iter().map(|c| line(c.number(), &format!("DEVID_E_{}", c.name()), c.text()));
        std::iter::once(line(0, "DEVID_OK", "Success.")).chain(errors).collect()
    });
    let status = if class_of(status) == Class::Application { Code::Application.number() } else { status };
    TABLE.iter().find(|(number, ..)| *number == status).map(|(_, name, text)| (name.as_c_str(), text.as_c_str()))
}
