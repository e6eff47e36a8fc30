//! What the server answers to a request for revocation (RFC 9483 section 4.2).

use super::context::Context;
use super::request::RevocationRequest;
use super::response::{check_no_fail_info, refusal};
use crate::asn1::cmp::{PkiStatus, PkiStatusInfo, RevRepContent};
use crate::asn1::name;
use crate::asn1::x509::serial_text;
use crate::codes::Code;
use crate::error::Error;

/// The server has revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// accepted, grantedWithMods or a warning, with the server's words.
    pub status: PkiStatusInfo,
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
        Error::new(Code::Protocol, format!("{} statuses in the answer to one request for revocation", all.len()))
    })?;
    match status.status {
        PkiStatus::Accepted | PkiStatus::GrantedWithMods | PkiStatus::RevocationNotification => {}
        // RFC 9810 section 5.2.3: imminent, so not done.
        PkiStatus::RevocationWarning => {
            let words = "the server says that the revocation is imminent: the certificate is not revoked yet";
            return Err(refusal(Code::Rejected, words, &status, true));
        }
        // RFC 9483 section 4.4: an answer to rr is delayed by an error message; there is nothing in rp to poll for.
        PkiStatus::Waiting => return Err(refusal(Code::Protocol, "rp cannot be waited for", &status, true)),
        _ => return Err(refusal(Code::Rejected, "the server refused to revoke", &status, true)),
    }
    check_no_fail_info(context, &status)?;
    for certificate in &content.certificates {
        if !request.is_about(certificate.issuer.as_deref(), &certificate.serial) {
            let (issuer, serial) = (certificate.issuer.as_deref().unwrap_or_default(), &certificate.serial);
            let words = format!(
                "revocation of serial {} was asked for, the server speaks of serial {} of {}",
                serial_text(&request.serial),
                serial_text(serial),
                name::display(issuer)
            );
            return Err(Error::new(Code::Protocol, words));
        }
    }
    Ok(Revoked { status, crls: content.crls })
}
