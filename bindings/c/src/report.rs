//! What a validation found.

use super::prelude::*;
use super::texts::Texts;
use devid_core::Rule;
use devid_core::validation::Report;

/// What a validation found. Never changes.
#[handle]
pub type devid_report = Findings;

#[doc(hidden)]
pub struct Findings {
    report: Report,
    texts: Texts,
    cited: Texts,
    expected: Texts,
    policies: Texts,
}

impl devid_report {
    pub(super) fn of(report: Report) -> devid_report {
        Findings {
            report,
            texts: Texts::default(),
            cited: Texts::default(),
            expected: Texts::default(),
            policies: Texts::default(),
        }
    }

    fn rule<'t>(&self, index: usize, texts: &'t Texts, part: impl Fn(Rule) -> &'static str) -> Option<&'t CStr> {
        let findings = self.report.findings();
        findings.get(index)?.rule?;
        texts.at(index, || findings.iter().map(|found| found.rule.map_or("", &part).to_owned()).collect())
    }

    fn policies(&self) -> &[CString] {
        self.policies.get(|| {
            let policies = self.report.path().and_then(|path| path.policies()).unwrap_or_default();
            policies.iter().map(ToString::to_string).collect()
        })
    }
}

/// Whether the certificate is valid.
///
/// @return 1 yes, 0 no.
#[export]
fn devid_report_is_valid(report: &devid_report) -> bool {
    report.report.is_valid()
}

/// How many findings there are, the most telling first. A valid certificate can have some: checks that could not be made.
///
/// @return The number.
#[export]
fn devid_report_finding_count(report: &devid_report) -> usize {
    report.report.findings().len()
}

/// The code of a finding.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return One of DEVID_E_*; 0 if there is no such finding.
#[export]
fn devid_report_finding_code(report: &devid_report, index: usize) -> devid_status {
    report.report.findings().get(index).map_or(0, |f| f.validation_code().number())
}

/// Which certificate of the path a finding is about.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return 0 is the certificate that was asked about; -1 if it is about none in particular.
#[export(otherwise = -1)]
fn devid_report_finding_certificate(report: &devid_report, index: usize) -> i32 {
    report.report.findings().get(index).and_then(|f| f.certificate_index?.try_into().ok()).unwrap_or(-1)
}

/// A finding as text for users.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return NULL if there is no such finding; valid until the report is freed.
#[export]
fn devid_report_finding_text(report: &devid_report, index: usize) -> Option<&CStr> {
    report.texts.at(index, || report.report.findings().iter().map(|finding| finding.text.clone()).collect())
}

/// The rule that a finding is about: broken, or not looked at.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return Such as "RFC 5280 section 6.1.3 (V1)", where the letters name rows of docs/requirements.md; NULL if there is no such finding,
///         or none: a limit of the library's own ended the search.
#[export]
fn devid_report_finding_requirement(report: &devid_report, index: usize) -> Option<&CStr> {
    report.rule(index, &report.cited, |rule| rule.cited)
}

/// What the rule of a finding asks for.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return NULL where devid_report_finding_requirement() has none; valid until the report is freed.
#[export]
fn devid_report_finding_expected(report: &devid_report, index: usize) -> Option<&CStr> {
    report.rule(index, &report.expected, |rule| rule.expected)
}

/// Whether a finding alone refuses the certificate.
///
/// @param index   From 0 to devid_report_finding_count() - 1.
/// @return 1 yes, 0 no.
#[export]
fn devid_report_finding_is_fatal(report: &devid_report, index: usize) -> i32 {
    report.report.findings().get(index).map_or(0, |f| i32::from(f.fatal))
}

/// The path that passed: the certificate that was asked about first, the anchor last.
///
/// @param out_path  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NO_PATH if the certificate is not valid.
#[export]
fn devid_report_path(report: &devid_report) -> Result<devid_cert_list, Error> {
    let path = report.report.path().ok_or_else(|| Error::new(Code::NoPath, "the certificate is not valid"))?;
    Ok(path.chain().to_vec())
}

/// Last second at which all certificates of the path are within their validity.
///
/// @return Seconds since 1970-01-01T00:00:00Z; 0 if the certificate is not valid.
#[export]
fn devid_report_not_after(report: &devid_report) -> i64 {
    report.report.path().map_or(0, |path| path.not_after().unix())
}

/// Last second at which the status data that the verdict rests on is current.
///
/// @return Seconds since 1970-01-01T00:00:00Z; 0 if it rests on none.
#[export]
fn devid_report_status_until(report: &devid_report) -> i64 {
    report.report.path().and_then(|path| path.status_until()).map_or(0, Time::unix)
}

/// How many certificate policies the path is valid for.
///
/// @return -1: any policy.
#[export]
fn devid_report_policy_count(report: &devid_report) -> i32 {
    match report.report.path() {
        Some(path) if path.policies().is_none() => -1,
        _ => report.policies().len().try_into().unwrap_or(i32::MAX),
    }
}

/// One of the certificate policies.
///
/// @param index   From 0 to devid_report_policy_count() - 1.
/// @return Such as "2.16.840.1.101.3.2.1.48.1"; NULL if there is no such one; valid until the report is freed.
#[export]
fn devid_report_policy(report: &devid_report, index: usize) -> Option<&CStr> {
    report.policies().get(index).map(CString::as_c_str)
}

/// Frees a report.
#[export]
fn devid_report_free(report: Owned<devid_report>) {
    drop(report)
}
