//! What a validation found.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{Handle, Slot, c_text, free, handle, handle_ref, out, peek};
use super::cert::devid_cert_list;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::validation::Report;
use devid_core::{Code, Error, Time};

/// What a validation found. Never changes.
#[allow(non_camel_case_types)]
pub struct devid_report(Slot<Findings>);
handle!(devid_report: Findings);

#[doc(hidden)]
pub struct Findings {
    report: Report,
    texts: Vec<CString>,
    policies: Vec<CString>,
}

impl devid_report {
    pub(super) fn of(report: Report) -> *mut devid_report {
        let texts = report.findings().iter().map(|f| c_text(&f.text)).collect();
        let policies = report.path().and_then(|path| path.policies()).unwrap_or_default();
        let policies = policies.iter().map(|oid| c_text(&oid.to_string())).collect();
        Self::into_raw(Findings { report, texts, policies })
    }
}

/// Whether the certificate is valid.
///
/// @param report  May be NULL (gives 0).
/// @return 1 yes, 0 no.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_is_valid(report: *const devid_report) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| i32::from(r.report.is_valid())) }
}

/// How many findings there are, the most telling first. A valid certificate can have some: checks that could not be made.
///
/// @param report  May be NULL (gives 0).
/// @return The number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_finding_count(report: *const devid_report) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| r.texts.len()) }
}

/// The code of a finding.
///
/// @param report  May be NULL (gives 0).
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return One of DEVID_E_*; 0 if there is no such finding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_finding_code(report: *const devid_report, index: usize) -> devid_status {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| r.report.findings().get(index).map_or(0, |f| f.code.number())) }
}

/// Which certificate of the path a finding is about.
///
/// @param report  May be NULL (gives -1).
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return 0 is the certificate that was asked about; -1 if it is about none in particular.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_finding_certificate(report: *const devid_report, index: usize) -> i32 {
    let look =
        |r: &Findings| r.report.findings().get(index).and_then(|f| f.certificate_index?.try_into().ok()).unwrap_or(-1);
    // SAFETY: as the header says.
    unsafe { peek(report, -1, look) }
}

/// A finding in words for people.
///
/// @param report  May be NULL (gives NULL).
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return NULL if there is no such finding; valid until the report is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_finding_text(report: *const devid_report, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(report, ptr::null(), |r| r.texts.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Whether a finding alone refuses the certificate.
///
/// @param report  May be NULL (gives 0).
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return 1 yes, 0 no.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_finding_is_fatal(report: *const devid_report, index: usize) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| r.report.findings().get(index).map_or(0, |f| i32::from(f.fatal))) }
}

/// The path that passed: the certificate that was asked about first, the anchor last.
///
/// @param report    Not NULL.
/// @param out_path  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NO_PATH if the certificate is not valid.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_path(
    report: *const devid_report,
    out_path: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_path, report) = unsafe { (out(out_path, "out_path")?, handle_ref(report, "report")?) };
        let path = report.report.path().ok_or_else(|| Error::new(Code::NoPath, "the certificate is not valid"))?;
        *out_path = devid_cert_list::into_raw(path.chain().to_vec());
        Ok(())
    })
}

/// Last second at which all certificates of the path are within their validity.
///
/// @param report  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z; 0 if the certificate is not valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_not_after(report: *const devid_report) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| r.report.path().map_or(0, |path| path.not_after().unix())) }
}

/// Last second at which the status data that the verdict rests on is current.
///
/// @param report  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z; 0 if it rests on none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_status_until(report: *const devid_report) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(report, 0, |r| r.report.path().and_then(|path| path.status_until()).map_or(0, Time::unix)) }
}

/// How many certificate policies the path is valid for.
///
/// @param report  May be NULL (gives 0).
/// @return -1: any policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_policy_count(report: *const devid_report) -> i32 {
    let look = |r: &Findings| match r.report.path() {
        Some(path) if path.policies().is_none() => -1,
        _ => r.policies.len().try_into().unwrap_or(i32::MAX),
    };
    // SAFETY: as the header says.
    unsafe { peek(report, 0, look) }
}

/// One of the certificate policies.
///
/// @param report  May be NULL (gives NULL).
/// @param index   From 0 to devid_report_policy_count() - 1.
/// @return Such as "2.16.840.1.101.3.2.1.48.1"; NULL if there is no such one; valid until the report is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_policy(report: *const devid_report, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(report, ptr::null(), |r| r.policies.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Frees a report.
///
/// @param report  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_report_free(report: *mut devid_report) {
    // SAFETY: as the header says.
    unsafe { free(report) }
}
