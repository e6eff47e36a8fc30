//! What came with a certificate response, besides the certificate.

use super::response::ProtectedBy;
use crate::asn1::cmp::{PkiHeader, PkiMessage};
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::time::Time;

/// What came with a certificate response.
pub(super) struct Received<'a> {
    pub extra_certs: &'a [Certificate],
    /// Whether more of them came than are read.
    pub leaves_out: bool,
    pub protected_by: ProtectedBy,
    pub granted: bool,
    pub confirm_before: Option<Time>,
    /// What the sender's clock says.
    pub message_time: Option<Time>,
    /// Who signed it, if it is signed.
    pub signer: Option<Certificate>,
}

impl<'a> Received<'a> {
    pub fn with(message: &'a PkiMessage, protected_by: ProtectedBy) -> Self {
        let header: &PkiHeader = message.header();
        Received {
            extra_certs: message.extra_certs(),
            leaves_out: message.leaves_out_certificates(),
            protected_by,
            granted: header.info(oid::IT_IMPLICIT_CONFIRM).is_some(),
            confirm_before: header.info(oid::IT_CONFIRM_WAIT_TIME).and_then(generalized_time),
            message_time: header.message_time,
            signer: None,
        }
    }
}

fn generalized_time(value: &[u8]) -> Option<Time> {
    let mut cursor = crate::asn1::der::Cursor::new(value, "confirmWaitTime").ok()?;
    Time::from_generalized_time(cursor.expect(::der::Tag::GeneralizedTime, "a time").ok()?.value)
}
