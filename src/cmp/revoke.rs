//! What the server answers to a request for revocation: of one certificate (RFC 9483 section 4.2), or of several in one message
//! (RFC 9810 sections 5.3.9 and 5.3.10).

use super::context::Context;
use super::request::RevocationRequest;
use super::response::{check_no_fail_info, refusal};
use crate::asn1::cmp::revocation::CertId;
use crate::asn1::cmp::{PkiStatus, PkiStatusInfo, RevRepContent};
use crate::asn1::name;
use crate::asn1::x509::serial_text;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::prelude::*;

const STATUSES: Rule = Rule::new("RFC 9483 section 4.2 (R4)", "one status about the certificate to be revoked");
const REV_CERTS: Rule = Rule::new("RFC 9483 section 4.2 (R4)", "revCerts, if any, about what was asked for");
const WAITING: Rule = Rule::new("RFC 9483 section 4.4 (D4)", "an error with status waiting where rp is delayed");
const EACH_STATUS: Rule = Rule::new("RFC 9810 section 5.3.10 (R7)", "one status for each certificate to be revoked");
const ORDER: Rule = Rule::new("RFC 9810 section 5.3.10 (R7)", "statuses and revCerts in the order of the request");

/// The server has revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// accepted, grantedWithMods or a warning, with the server's words.
    pub status: PkiStatusInfo,
    /// CRLs that came along, DER; not checked: that is `validation`'s part.
    pub crls: Vec<Vec<u8>>,
}

/// What became of several certificates that were to be revoked by one message.
#[derive(Clone, Debug)]
pub struct Revocations {
    /// One for each certificate, in the order of the request: what the server said to its revocation, or why it is not revoked.
    pub outcomes: Vec<Result<PkiStatusInfo, Error>>,
    /// CRLs that came along, DER; not checked: that is `validation`'s part.
    pub crls: Vec<Vec<u8>>,
}

/// One status, which says yes, about the certificate that was meant.
pub(super) fn check_answer(
    context: &Context,
    request: &RevocationRequest,
    content: RevRepContent,
) -> Result<Revoked, Error> {
    let [status] = <[_; 1]>::try_from(content.statuses).map_err(|all: Vec<_>| {
        STATUSES.broken(Code::Protocol, format!("{} statuses in the answer to one request for revocation", all.len()))
    })?;
    let status = is_revoked(context, status)?;
    check_certificates(core::slice::from_ref(request), &content.certificates)?;
    Ok(Revoked { status, crls: content.crls })
}

/// A status for each certificate, in the order of the request (RFC 9810 appendix F): one that says no stands beside those that say
/// yes.
///
/// Errors: the answer does not say what became of each.
pub(super) fn check_answers(
    context: &Context,
    requests: &[RevocationRequest],
    content: RevRepContent,
) -> Result<Revocations, Error> {
    let (asked, told) = (requests.len(), content.statuses.len());
    if asked != told {
        let words = format!(
            "{told} statuses in the answer to a request for the revocation of {asked} certificates: they cannot be told apart, and any of \
             the certificates may be revoked"
        );
        // Servers that take one at a time say so by one status.
        return Err(match content.statuses.iter().find(|status| status.status == PkiStatus::Rejection) {
            Some(status) => refusal(Code::Protocol, &words, status, true).breaks(EACH_STATUS),
            None => EACH_STATUS.broken(Code::Protocol, words),
        });
    }
    check_certificates(requests, &content.certificates)?;
    let about = |(request, status): (&RevocationRequest, PkiStatusInfo)| {
        is_revoked(context, status).map_err(|error| error.context(&format!("serial {}", serial_text(&request.serial))))
    };
    let outcomes = requests.iter().zip(content.statuses).map(about).collect();
    Ok(Revocations { outcomes, crls: content.crls })
}

/// Whether the server says that it has revoked.
fn is_revoked(context: &Context, status: PkiStatusInfo) -> Result<PkiStatusInfo, Error> {
    match status.status {
        PkiStatus::Accepted | PkiStatus::GrantedWithMods | PkiStatus::RevocationNotification => {}
        // RFC 9810 section 5.2.3: imminent, so not done.
        PkiStatus::RevocationWarning => {
            let words = "the server says that the revocation is imminent: the certificate is not revoked yet";
            return Err(refusal(Code::Rejected, words, &status, true));
        }
        // RFC 9483 section 4.4: an answer to rr is delayed by an error message; there is nothing in rp to poll for.
        PkiStatus::Waiting => {
            return Err(refusal(Code::Protocol, "rp cannot be waited for", &status, true).breaks(WAITING));
        }
        _ => return Err(refusal(Code::Rejected, "the server refused to revoke", &status, true)),
    }
    check_no_fail_info(context, &status)?;
    Ok(status)
}

/// revCerts, where it came, speaks of what was asked for and of nothing else. One entry for each status stands in their order (RFC 9810
/// appendix F); in another order nothing says which status is about which certificate.
fn check_certificates(requests: &[RevocationRequest], told: &[CertId]) -> Result<(), Error> {
    let is_about = |request: &RevocationRequest, one: &CertId| request.is_about(one.issuer.as_deref(), &one.serial);
    if let Some(one) = told.iter().find(|one| !requests.iter().any(|request| is_about(request, one))) {
        let asked: Vec<String> = requests.iter().map(|request| serial_text(&request.serial)).collect();
        let words = format!(
            "revocation of serial {} was asked for, the server speaks of serial {} of {}",
            asked.join(", "),
            serial_text(&one.serial),
            name::display(one.issuer.as_deref().unwrap_or_default())
        );
        return Err(REV_CERTS.broken(Code::Protocol, words));
    }
    if requests.len() > 1
        && told.len() == requests.len()
        && !requests.iter().zip(told).all(|(request, one)| is_about(request, one))
    {
        let words = "the answer names the certificates in another order than the request: which status is about which is not known, and any \
                     of the certificates may be revoked";
        return Err(ORDER.broken(Code::Protocol, words));
    }
    Ok(())
}
