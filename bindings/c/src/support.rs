//! Operations besides enrolment: revocation, questions to the server, requests made by others.

use super::args::choice;
use super::prelude::*;
use devid_core::asn1::cmp::CrlSource;
use devid_core::asn1::crl::CrlReason;
use devid_core::asn1::name::Name;
use devid_core::asn1::oid::Oid;
use devid_core::asn1::serial::serial_from_text;
use devid_core::cmp::{Question, RevocationRequest};
use devid_core::validation::Crl;

/// No reason is given (RFC 5280 section 5.3.1, as are the following).
pub const DEVID_REASON_UNSPECIFIED: i32 = 0;
/// The private key is, or may be, in other hands.
pub const DEVID_REASON_KEY_COMPROMISE: i32 = 1;
/// The CA's private key is, or may be, in other hands.
pub const DEVID_REASON_CA_COMPROMISE: i32 = 2;
/// The names in the certificate hold no more.
pub const DEVID_REASON_AFFILIATION_CHANGED: i32 = 3;
/// Another certificate has taken its place.
pub const DEVID_REASON_SUPERSEDED: i32 = 4;
/// The device is out of service.
pub const DEVID_REASON_CESSATION_OF_OPERATION: i32 = 5;
/// On hold: it can be taken back with DEVID_REASON_REMOVE_FROM_CRL, where the CA does that.
pub const DEVID_REASON_CERTIFICATE_HOLD: i32 = 6;
/// Not on hold any more.
pub const DEVID_REASON_REMOVE_FROM_CRL: i32 = 8;
/// A right that the certificate gave was withdrawn.
pub const DEVID_REASON_PRIVILEGE_WITHDRAWN: i32 = 9;
/// The attribute authority's key is, or may be, in other hands.
pub const DEVID_REASON_AA_COMPROMISE: i32 = 10;
choice!("DEVID_REASON_*": CrlReason {
    DEVID_REASON_UNSPECIFIED => Unspecified,
    DEVID_REASON_KEY_COMPROMISE => KeyCompromise,
    DEVID_REASON_CA_COMPROMISE => CaCompromise,
    DEVID_REASON_AFFILIATION_CHANGED => AffiliationChanged,
    DEVID_REASON_SUPERSEDED => Superseded,
    DEVID_REASON_CESSATION_OF_OPERATION => CessationOfOperation,
    DEVID_REASON_CERTIFICATE_HOLD => CertificateHold,
    DEVID_REASON_REMOVE_FROM_CRL => RemoveFromCrl,
    DEVID_REASON_PRIVILEGE_WITHDRAWN => PrivilegeWithdrawn,
    DEVID_REASON_AA_COMPROMISE => AaCompromise,
});

/// Begins the enrolment for a PKCS#10 request, our own or someone else's: p10cr (RFC 9483 section 4.1.4). The request goes out as
/// it is; its key need not be at hand.
///
/// @param request      PKCS#10, DER or PEM. Not NULL.
/// @param out_op       Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM; DEVID_E_SIGNATURE_INVALID if the request's own signature does not hold.
#[export]
fn devid_op_enroll_pkcs10(client: &devid_client, request: &[u8]) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.enroll_pkcs10(request)?))
}

/// Begins the revocation of a certificate: rr (RFC 9483 section 4.2). An end entity signs with the key of that very certificate,
/// so the client's credential is the certificate itself, or one that the CA authorises, such as an RA's. When the operation
/// is done, devid_op_pki_status() and devid_op_warning() tell what the CA said.
///
/// @param client  Its credential is a certificate. Not NULL.
/// @param cert    Which one is to be revoked. Not NULL.
/// @param reason  One of DEVID_REASON_*.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the client's credential is a shared secret or the reason is none.
#[export]
fn devid_op_revoke(client: &devid_client, cert: &devid_cert, reason: CrlReason) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.revoke(&cert.certificate, reason)?))
}

/// Has a further certificate revoked by the same message (RFC 9810 section 5.3.9): for RAs and managers, whose credential the CA
/// authorises. A device asks for its own alone (RFC 9483 section 4.2), and CAs that hold to that refuse. The operation is done
/// once the CA has answered for each: devid_op_revocation() tells whether it has revoked it.
///
/// @param op      Of devid_op_revoke() or devid_op_revoke_serial(), before the first step. Not NULL.
/// @param cert    Which one is to be revoked too. Not NULL.
/// @param reason  One of DEVID_REASON_*.
/// @return DEVID_OK; DEVID_E_STATE once the operation has begun; DEVID_E_INVALID_ARGUMENT for another kind of operation, a reason that
///         is none, a certificate that is in it already, or more than the limit `max_certificates` (64). The operation is then as it
///         was.
#[export]
fn devid_op_add_revocation(op: &mut devid_op, cert: &devid_cert, reason: CrlReason) -> Result<(), Error> {
    op.operation_mut().add(RevocationRequest::new(&cert.certificate, reason))
}

/// For how many certificates the CA has answered a revocation.
///
/// @return 0: none was asked for, or it is not answered yet.
#[export]
fn devid_op_revocation_count(op: &devid_op) -> usize {
    op.revocations().len()
}

/// What became of one of several certificates that were to be revoked.
///
/// @param index           From 0, in the order in which they were asked for, to devid_op_revocation_count() - 1.
/// @param out_pki_status  Receives PKIStatus of one that is revoked: 0 accepted, 1 grantedWithMods, 5 revocationNotification. Not NULL.
/// @return DEVID_OK: it is revoked; DEVID_E_REJECTED with the CA's texts in `err`, DEVID_E_PROTOCOL: it is not; DEVID_E_STATE if that is
///         not answered yet, DEVID_E_INVALID_ARGUMENT if there is no such certificate.
#[export]
fn devid_op_revocation(op: &devid_op, index: usize) -> Result<i64, Error> {
    match op.revocations().get(index) {
        Some(outcome) => outcome.clone().map(|status| status.status.number()),
        None if op.revocations().is_empty() => Err(Error::new(Code::State, "no revocation was answered yet")),
        None => Err(invalid(format!("{} certificates were to be revoked", op.revocations().len()))),
    }
}

/// As devid_op_revoke(), for a certificate that is not at hand.
///
/// @param client  Its credential is a certificate. Not NULL.
/// @param issuer  The name of its issuer, such as "CN=Issuing CA,O=Example". Where the client's settings hold a certificate of
///                that issuer, the name goes out as it is written there. Not NULL.
/// @param serial  Hexadecimal digits, as devid_cert_serial() gives them; colons and spaces are passed over. Not NULL.
/// @param reason  One of DEVID_REASON_*.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
/// @return As devid_op_revoke(); DEVID_E_DER if the text is not a name, DEVID_E_INVALID_ARGUMENT if the serial number is none.
#[export]
fn devid_op_revoke_serial(
    client: &devid_client,
    issuer: &str,
    serial: &str,
    reason: CrlReason,
) -> Result<devid_op, Error> {
    let (issuer, serial) = (Name::parse(issuer)?, serial_of(serial)?);
    Ok(devid_op::new(client, client.client.revoke_serial(&issuer, &serial, reason)?))
}

/// As devid_op_revoke_serial(), by whoever lost the certificate's key: protected by a MAC under the passphrase that the CA was given
/// with devid_op_leave_revocation_passphrase() (RFC 9810 appendix B).
///
/// @param client  Its credential is that passphrase and its reference value: devid_config_set_secret(). Not NULL.
/// @param issuer  The name of its issuer. Not NULL.
/// @param serial  Hexadecimal digits, as devid_cert_serial() gives them; colons and spaces are passed over. Not NULL.
/// @param reason  One of DEVID_REASON_*.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
/// @return As devid_op_revoke_serial(); DEVID_E_INVALID_ARGUMENT if the client's credential is not a shared secret.
#[export]
fn devid_op_revoke_with_passphrase(
    client: &devid_client,
    issuer: &str,
    serial: &str,
    reason: CrlReason,
) -> Result<devid_op, Error> {
    let (issuer, serial) = (Name::parse(issuer)?, serial_of(serial)?);
    let operation = client.client.revoke_with_passphrase(&issuer, &serial, reason)?;
    Ok(devid_op::new(client, operation))
}

/// Gives the CA a passphrase with which the certificate of the client's credential can be revoked when its key is lost (RFC 9810
/// section 5.3.19.9). It is encrypted at once: neither the operation nor what is saved of it holds it in clear. A passphrase
/// protects as well as it is hard to guess.
///
/// @param client          Its credential is the certificate. Not NULL.
/// @param recipient       A certificate of the CA whose key can be encrypted to; it must lead to the CMP anchors. Not NULL.
/// @param reference       By which the CA finds the passphrase again: the reference value of the later revocation. Not NULL.
/// @param passphrase      Not NULL.
/// @param now             The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_op          Receives the operation, which is done when the CA has it; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the reference value or the passphrase is empty; DEVID_E_NO_PATH and others of
///         devid_validate() about the recipient.
#[export]
fn devid_op_leave_revocation_passphrase(
    client: &devid_client,
    recipient: &devid_cert,
    reference: &str,
    passphrase: &[u8],
    now: i64,
) -> Result<devid_op, Error> {
    let (recipient, now) = (&recipient.certificate, Time::from_unix(now));
    let operation = client.client.leave_revocation_passphrase(recipient, reference, passphrase, now)?;
    Ok(devid_op::new(client, operation))
}

/// Asks for certificates of the CAs (RFC 9483 section 4.3.1): devid_op_ca_certs() when it is done. They help to build paths and
/// are trusted for nothing.
///
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_ask_ca_certs(client: &devid_client) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.ask(Question::CaCerts)?))
}

/// Asks for the successor of a trusted root (RFC 9483 section 4.3.2): devid_op_root_update() when it is done.
///
/// @param root    The root that is trusted today: its successor is checked with its key. Not NULL.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_ask_root_update(client: &devid_client, root: &devid_cert) -> Result<devid_op, Error> {
    let question = Question::RootUpdate { old: root.certificate.clone() };
    Ok(devid_op::new(client, client.client.ask(question)?))
}

/// Asks what requests for certificates are to look like (RFC 9483 section 4.3.3), for the profile of the settings if there is
/// one: devid_op_template() when it is done.
///
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_ask_template(client: &devid_client) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.ask(Question::RequestTemplate)?))
}

/// Asks for the CRL that a certificate points to (RFC 9483 section 4.3.4), by its distribution point or else its issuer:
/// devid_op_crl() when it is done. There is none if the server has nothing newer.
///
/// @param known      The CRL at hand, DER: only a newer one is wanted. NULL: any. May be NULL.
/// @param out_op     Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER if `known` is not a CRL.
#[export]
fn devid_op_ask_crl(client: &devid_client, cert: &devid_cert, known: Option<&[u8]>) -> Result<devid_op, Error> {
    let known = known.map(|der| Crl::from_der(der.to_vec())).transpose()?;
    Ok(devid_op::new(client, client.client.ask(Question::crl_for(&cert.certificate, known.as_ref())?)?))
}

/// As devid_op_ask_crl(), by name.
///
/// @param url          A distribution point as certificates name it. NULL: by issuer. May be NULL.
/// @param issuer       The issuer of the CRL, such as "CN=Issuing CA,O=Example"; with a URL NULL. May be NULL.
/// @param this_update  thisUpdate of the CRL at hand, in seconds since 1970-01-01T00:00:00Z; -1: there is none.
/// @param out_op       Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if both or neither name it.
#[export]
fn devid_op_ask_crl_of(
    client: &devid_client,
    url: Option<&str>,
    issuer: Option<&str>,
    this_update: i64,
) -> Result<devid_op, Error> {
    let source = match (url, issuer) {
        (Some(url), None) => CrlSource::DistributionPoint(url.to_owned()),
        (None, Some(issuer)) => CrlSource::Issuer(Name::parse(issuer)?),
        _ => return Err(invalid("either a URL or an issuer names the CRL".to_owned())),
    };
    let this_update = (this_update != -1).then(|| Time::from_unix(this_update));
    Ok(devid_op::new(client, client.client.ask(Question::Crl { source, this_update })?))
}

/// Asks for the current CRL, whichever the server means (RFC 9810 section 5.3.19.6): devid_op_crl() when it is done.
///
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_ask_current_crl(client: &devid_client) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.ask(Question::CurrentCrl)?))
}

/// Asks anything else, such as a vendor's question: devid_op_info_type() and devid_op_info_value() when it is done.
///
/// @param identifier  infoType in dotted form, such as "1.3.6.1.5.5.7.4.2". Not NULL.
/// @param value       infoValue, DER. NULL: none. May be NULL.
/// @param out_op      Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_DER if the value is not one element of DER.
#[export]
fn devid_op_ask_other(client: &devid_client, identifier: &str, value: Option<&[u8]>) -> Result<devid_op, Error> {
    let info_type =
        Oid::new(identifier).map_err(|_| invalid(format!("\"{identifier}\" is not an object identifier")))?;
    let question = Question::other(info_type, value.unwrap_or_default())?;
    Ok(devid_op::new(client, client.client.ask(question)?))
}

fn serial_of(text: &str) -> Result<Vec<u8>, Error> {
    serial_from_text(text).ok_or_else(|| invalid(format!("\"{text}\" is not a serial number in hexadecimal digits")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Choice;

    #[test]
    fn reasons_have_the_numbers_of_the_standard() {
        assert!([7, -1, 256].iter().all(|number| CrlReason::chosen(*number).is_err()));
        for (number, reason) in CrlReason::ALL {
            assert_eq!(i32::from(reason.number()), *number);
        }
    }
}
