//! What a server is like, found out by questions that change nothing.

use super::prelude::*;
use super::texts::{Text, Texts};
use devid_core::client::{Probe, ProbeFinding};

/// What a server is like. Never changes.
#[handle]
pub type devid_probe_result = Probed;

#[doc(hidden)]
pub struct Probed {
    probe: Probe,
    report: Text,
    profile: Text,
    switches: Texts,
    findings: Texts,
    remedies: Texts,
}

impl devid_probe_result {
    fn of(probe: Probe) -> Self {
        let (text, texts) = (Text::default, Texts::default);
        Probed { probe, report: text(), profile: text(), switches: texts(), findings: texts(), remedies: texts() }
    }

    fn texts<'a>(&self, texts: &'a Texts, index: usize, of: fn(&ProbeFinding) -> &String) -> Option<&'a CStr> {
        texts.at(index, || self.probe.findings.iter().map(|finding| of(finding).clone()).collect())
    }
}

/// What devid_probe_server() finds out, as one text.
///
/// @param config      As devid_probe_server(). Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  Receives the text of devid_probe_result_report(); free with devid_bytes_free(). May be NULL.
/// @param out_works   Receives 1 if nothing was found that fails, else 0. May be NULL.
/// @return As devid_probe_server().
#[export]
fn devid_probe(config: &devid_config, now: Time) -> Result<(devid_bytes, i32), Error> {
    let found = probe(config, now)?;
    Ok((devid_bytes::from_slice(found.report().as_bytes()), i32::from(found.works())))
}

/// Asks the server two harmless questions (genm caCerts, with the settings' credential and under a reference value that nobody
/// has) and tells what it is like: what would fail and why, which profile and switches fit, what to pin. No certificate is asked
/// for. Blocks. What the server does is never an error of this call.
///
/// @param config      With server, credential and anchors as far as they are known. Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_result  Receives what was found out; free with devid_probe_result_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT and others of devid_client_new() for settings that contradict themselves;
///         DEVID_E_UNSUPPORTED in builds without "probe". RFC 9483 section 4.3.1.
#[export]
fn devid_probe_server(config: &devid_config, now: Time) -> Result<devid_probe_result, Error> {
    probe(config, now).map(Probed::of)
}

fn probe(config: &devid_config, now: Time) -> Result<Probe, Error> {
    let client = config.config.build()?;
    config.config.probe(&mut client.exchange()?, now)
}

/// Whether the settings work as they are, as far as questions can tell.
///
/// @return 1: nothing was found that fails. 0: something was.
#[export]
fn devid_probe_result_works(result: &devid_probe_result) -> bool {
    result.probe.works()
}

/// All of it for users, a line each: findings behind "ok: ", "warning: " or "fails: ", then what the other functions give, behind "closed: ",
/// "profile: ", "switch: ", "pin, once looked at: ", "CMP anchor, once looked at: ".
///
/// @return Never NULL; valid until the result is freed.
#[export]
fn devid_probe_result_report(result: &devid_probe_result) -> &CStr {
    result.report.get(|| result.probe.report())
}

/// The profile that fits, as devid_config_set_profile() takes it.
///
/// @return NULL if none is recognised; valid until the result is freed.
#[export]
fn devid_probe_result_profile(result: &devid_probe_result) -> Option<&CStr> {
    result.profile.find(|| result.probe.profile.map(str::to_owned))
}

/// How many switches would be needed beside the defaults.
///
/// @return The number.
#[export]
fn devid_probe_result_switch_count(result: &devid_probe_result) -> usize {
    result.probe.switches.len()
}

/// A switch that would be needed, as devid_config_set_tolerance() takes it.
///
/// @param index  From 0 to devid_probe_result_switch_count() - 1.
/// @return NULL if there is no such switch; valid until the result is freed.
#[export]
fn devid_probe_result_switch(result: &devid_probe_result, index: usize) -> Option<&CStr> {
    result.switches.at(index, || result.probe.switches.iter().map(|switch| (*switch).to_owned()).collect())
}

/// Certificates to pin by devid_config_add_signer_pins(), where the server signs with one that says nothing of its office. Somebody has to
/// look at them before: whoever answered may have brought them.
///
/// @param out_pins  Receives the list, often empty; free with devid_cert_list_free(). Not NULL.
#[export]
fn devid_probe_result_pins(result: &devid_probe_result) -> Result<devid_cert_list, Error> {
    Ok(result.probe.pins.clone())
}

/// Certificates that could be CMP anchors, where none of the settings' is at the end of the signer's path: see
/// devid_config_add_cmp_anchors(). Somebody has to look at them before: whoever answered may have brought them.
///
/// @param out_roots  Receives the list, often empty; free with devid_cert_list_free(). Not NULL.
#[export]
fn devid_probe_result_roots(result: &devid_probe_result) -> Result<devid_cert_list, Error> {
    Ok(result.probe.roots.clone())
}

/// Whether the server closed the connection in place of an answer to the first question: it knows no questions, or it expects something
/// else at this port.
///
/// @return 1 yes, 0 no.
#[export]
fn devid_probe_result_is_closed(result: &devid_probe_result) -> bool {
    result.probe.is_closed
}

/// How many findings there are, in the order in which they were found out.
///
/// @return The number.
#[export]
fn devid_probe_result_finding_count(result: &devid_probe_result) -> usize {
    result.probe.findings.len()
}

/// Whether something would fail with the settings as they are.
///
/// @param index  From 0 to devid_probe_result_finding_count() - 1.
/// @return 1 yes; 0 no, or there is no such finding.
#[export]
fn devid_probe_result_finding_fails(result: &devid_probe_result, index: usize) -> i32 {
    result.probe.findings.get(index).map_or(0, |finding| i32::from(finding.fails))
}

/// What was found out, for users.
///
/// @param index  From 0 to devid_probe_result_finding_count() - 1.
/// @return NULL if there is no such finding; valid until the result is freed.
#[export]
fn devid_probe_result_finding_text(result: &devid_probe_result, index: usize) -> Option<&CStr> {
    result.texts(&result.findings, index, |finding| &finding.words)
}

/// What to do about a finding, for users. A finding that does not fail and has one is a warning.
///
/// @param index  From 0 to devid_probe_result_finding_count() - 1.
/// @return "": nothing. NULL if there is no such finding; valid until the result is freed.
#[export]
fn devid_probe_result_finding_remedy(result: &devid_probe_result, index: usize) -> Option<&CStr> {
    result.texts(&result.remedies, index, |finding| &finding.remedy)
}

/// Frees what was found out.
#[export]
fn devid_probe_result_free(result: Owned<devid_probe_result>) {
    drop(result)
}
