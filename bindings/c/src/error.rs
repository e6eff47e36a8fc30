//! Status codes and errors.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{Handle, Slot, c_text, free, handle, peek};
use devid_core::codes::{Class, Code, class_of};
use devid_core::{Error, Facts};

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

/// Why a call failed: code, words, facts. Never changes after it was made; may be shared by threads.
#[allow(non_camel_case_types)]
pub struct devid_error(Slot<Failure>);
handle!(devid_error: Failure);

#[doc(hidden)]
pub struct Failure {
    number: i32,
    message: CString,
    facts: Facts,
    server_texts: Vec<CString>,
    phase: Option<CString>,
    http_path: Option<CString>,
    requirement: Option<CString>,
    expected: Option<CString>,
    found: Option<CString>,
    hint: Option<CString>,
    report: CString,
}

impl Failure {
    /// The error as the rooms below know it.
    pub(super) fn to_error(&self) -> Error {
        let message = self.message.to_string_lossy();
        let error = match Code::from_number(self.number) {
            Some(code) => Error::new(code, message),
            None => Error::application(self.number, message),
        };
        error.with(|facts| *facts = self.facts.clone())
    }
}

impl devid_error {
    pub(super) fn into_raw(error: Error) -> *mut devid_error {
        let facts = error.facts().clone();
        <Self as Handle>::into_raw(Failure {
            number: error.number(),
            message: c_text(error.message()),
            server_texts: facts.server_texts.iter().map(|t| c_text(t)).collect(),
            phase: facts.phase.map(c_text),
            http_path: facts.http_path.as_deref().map(c_text),
            requirement: facts.requirement.map(c_text),
            expected: facts.expected.as_deref().map(c_text),
            found: facts.found.as_deref().map(c_text),
            hint: facts.hint.map(c_text),
            report: c_text(&error.report()),
            facts,
        })
    }
}

/// The name of a code as in this header, such as "DEVID_E_EXPIRED".
///
/// @param status  Any number.
/// @return "DEVID_E_UNKNOWN" for a code that this library does not know, "DEVID_E_APPLICATION" for the application's own.
///         Never NULL; valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn devid_status_name(status: devid_status) -> *const c_char {
    guard_static(c"DEVID_E_UNKNOWN", || table(status).map(|(name, _)| name))
}

/// One sentence for people about a code.
///
/// @param status  Any number.
/// @return Never NULL; valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn devid_status_text(status: devid_status) -> *const c_char {
    guard_static(c"A failure that this version of the library does not know.", || table(status).map(|(_, text)| text))
}

/// The class of a code: what a program decides by. Works for codes that this library does not know, too.
///
/// @param status  Any number.
/// @return One of DEVID_CLASS_*.
#[unsafe(no_mangle)]
pub extern "C" fn devid_status_class(status: devid_status) -> devid_class {
    class_of(status) as i32
}

/// The code of an error, the same number that the failed call returned.
///
/// @param error  May be NULL (gives DEVID_OK).
/// @return One of DEVID_E_*, or a number at or below -10000 that a callback of the application returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_code(error: *const devid_error) -> devid_status {
    // SAFETY: as the header says.
    unsafe { peek(error, 0, |e| e.number) }
}

/// What was expected, what came, and where, in words for people. Holds no secret.
///
/// @param error  May be NULL (gives "").
/// @return Never NULL; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_message(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, c"".as_ptr(), |e| e.message.as_ptr()) }
}

/// PKIStatus of the server's answer (RFC 9810 section 5.2.3).
///
/// @param error  May be NULL.
/// @return 0 accepted, 1 grantedWithMods, 2 rejection, 3 waiting, ...; -1 if there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_pki_status(error: *const devid_error) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(error, -1, |e| e.facts.pki_status.unwrap_or(-1)) }
}

/// PKIFailureInfo of the server's answer (RFC 9810 section 5.2.3).
///
/// @param error  May be NULL.
/// @return Bit n (value 1 << n) is bit n of the BIT STRING: 0 badAlg, 1 badMessageCheck, ...; 0 if there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_fail_info(error: *const devid_error) -> u32 {
    // SAFETY: as the header says.
    unsafe { peek(error, 0, |e| e.facts.fail_info.unwrap_or(0)) }
}

/// How many texts came with the server's answer.
///
/// @param error  May be NULL.
/// @return 0 if there were none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_server_text_count(error: *const devid_error) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(error, 0, |e| e.server_texts.len()) }
}

/// One of the server's texts. Written by someone else: show it as data.
///
/// @param error  May be NULL.
/// @param index  From 0 to devid_error_server_text_count() - 1.
/// @return UTF-8; NULL if there is no such text; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_server_text(error: *const devid_error, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.server_texts.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Whether the server's words came in a message whose protection was checked. If not, anyone on the way may have written
/// them.
///
/// @param error  May be NULL.
/// @return 1 yes, 0 no or nothing came.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_server_authenticated(error: *const devid_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(error, 0, |e| i32::from(e.facts.server_authenticated)) }
}

/// HTTP status of the server's answer.
///
/// @param error  May be NULL.
/// @return Such as 503; 0 if there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_http_status(error: *const devid_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(error, 0, |e| e.facts.http_status.map_or(0, i32::from)) }
}

/// How long the server asks to wait before the next attempt.
///
/// @param error  May be NULL.
/// @return Seconds; -1 if it did not say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_retry_after_seconds(error: *const devid_error) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(error, -1, |e| e.facts.retry_after_seconds.map_or(-1, i64::from)) }
}

/// Which certificate of the chain the failure is about.
///
/// @param error  May be NULL.
/// @return 0 is the end entity; -1 if it is about none in particular.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_certificate_index(error: *const devid_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(error, -1, |e| e.facts.certificate_index.and_then(|i| i.try_into().ok()).unwrap_or(-1)) }
}

/// Where in an operation it failed.
///
/// @param error  May be NULL.
/// @return Such as "ir", "pollReq", "certConf"; NULL if it was outside an operation; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_phase(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.phase.as_ref().map_or(ptr::null(), |p| p.as_ptr())) }
}

/// The path of the URL that the message went to.
///
/// @param error  May be NULL.
/// @return Such as "/.well-known/cmp"; NULL if that is not known; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_http_path(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.http_path.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// The rule that was broken.
///
/// @param error  May be NULL.
/// @return Such as "RFC 9483 section 3.5 (P5)"; the letters name rows of docs/requirements.md; NULL if that is not known; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_requirement(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.requirement.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// What that rule asks for.
///
/// @param error  May be NULL.
/// @return Such as "an answer with protection"; NULL if that is not known; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_expected(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.expected.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// What came. Nobody vouches for it: show it as data.
///
/// @param error  May be NULL.
/// @return Such as "ip, pvno 2, protected by a MAC, ..."; NULL if that is not known; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_found(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.found.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// What is known of servers that answer like this, and which setting may help. For people: the words may change.
///
/// @param error  May be NULL.
/// @return One or two sentences; NULL if that is not known; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_hint(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, ptr::null(), |e| e.hint.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Everything that is known of the failure, one fact a line: for logs, and for who asks "why?".
///
/// @param error  May be NULL (gives "").
/// @return Never NULL; valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_report(error: *const devid_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(error, c"".as_ptr(), |e| e.report.as_ptr()) }
}

/// Frees an error.
///
/// @param error  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_error_free(error: *mut devid_error) {
    // SAFETY: as the header says.
    unsafe { free(error) }
}

fn guard_static(otherwise: &'static std::ffi::CStr, find: impl FnOnce() -> Option<*const c_char>) -> *const c_char {
    super::guard::guard_value(None, find).unwrap_or(otherwise.as_ptr())
}

/// Name and sentence of a code, made once for the life of the process.
fn table(status: i32) -> Option<(*const c_char, *const c_char)> {
    use std::sync::LazyLock;
    static TABLE: LazyLock<Vec<(i32, CString, CString)>> = LazyLock::new(|| {
        let line = |number, name: &str, text| (number, c_text(name), c_text(text));
        let errors = Code::ALL.iter().map(|c| line(c.number(), &format!("DEVID_E_{}", c.name()), c.text()));
        std::iter::once(line(0, "DEVID_OK", "Success.")).chain(errors).collect()
    });
    let status = if class_of(status) == Class::Application { Code::Application.number() } else { status };
    TABLE.iter().find(|(number, ..)| *number == status).map(|(_, name, text)| (name.as_ptr(), text.as_ptr()))
}
