//! A request for revocation: rr (RFC 9483 section 4.2).

use crate::asn1::cmp::revocation::rev_details;
use crate::asn1::crl::CrlReason;
use crate::asn1::der::sequence;
use crate::asn1::name;
use crate::asn1::x509::{Certificate, serial_text};
use crate::cmp::context::Context;
use crate::cmp::credential::Credential;
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::same_name;

/// Which certificate is to be revoked, and why.
///
/// An end entity protects the request with the key of that very certificate; whether another credential is authorised,
/// such as an RA's, is for the server to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRequest {
    /// The issuer's Name, DER.
    pub issuer: Vec<u8>,
    /// Content of the serial number.
    pub serial: Vec<u8>,
    /// The certificate itself where it is at hand: the CA whose key has signed it may then say what became of it. It does not go out.
    pub certificate: Option<Certificate>,
    /// Why; [`CrlReason::CertificateHold`] can be taken back by [`CrlReason::RemoveFromCrl`] where the CA does that.
    pub reason: CrlReason,
    /// The settings' shared secret is a passphrase that the CA was given for this (RFC 9810 appendix B), and protects the
    /// request in place of the certificate's key.
    pub by_passphrase: bool,
}

impl RevocationRequest {
    /// For this certificate.
    pub fn new(certificate: &Certificate, reason: CrlReason) -> Self {
        RevocationRequest {
            issuer: certificate.issuer().to_vec(),
            serial: certificate.serial().to_vec(),
            certificate: Some(certificate.clone()),
            reason,
            by_passphrase: false,
        }
    }

    /// For a certificate that is not at hand: DER of its issuer's Name, and the content of its serial number.
    pub fn of_serial(issuer: Vec<u8>, serial: Vec<u8>, reason: CrlReason) -> Self {
        RevocationRequest { issuer, serial, certificate: None, reason, by_passphrase: false }
    }

    /// RevReqContent with all of these, DER.
    pub(in crate::cmp) fn content(all: &[RevocationRequest]) -> Vec<u8> {
        let details: Vec<Vec<u8>> = all.iter().map(|one| rev_details(&one.issuer, &one.serial, one.reason)).collect();
        sequence(&details.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Refuses several in one message that nobody could answer: none, more than an answer may have, one certificate twice, or a
    /// passphrase, which was given for one certificate (RFC 9810 appendix B).
    pub(super) fn check_several(all: &[RevocationRequest], context: &Context) -> Result<(), Error> {
        let refuse = |words: String| Err(Error::new(Code::InvalidArgument, words));
        let most = context.limits.max_certificates;
        if all.is_empty() || all.len() > most {
            return refuse(format!(
                "{} certificates to be revoked in one message; 1 to {most} are taken (limit max_certificates)",
                all.len()
            ));
        }
        for (number, one) in all.iter().enumerate() {
            one.check(context)?;
            if one.by_passphrase {
                return refuse("a passphrase revokes the one certificate that it was given for".to_owned());
            }
            if all[..number].iter().any(|other| other.is_about(Some(&one.issuer), &one.serial)) {
                let words = format!("serial {} of {}", serial_text(&one.serial), name::display(&one.issuer));
                return refuse(format!("{words} is to be revoked twice in one message"));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, context: &Context) -> Result<(), Error> {
        name::Name::from_der(&self.issuer)?;
        if self.serial.is_empty() {
            return Err(Error::new(Code::InvalidArgument, "a revocation without serial number"));
        }
        if let CrlReason::Other(number) = self.reason {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("{number} is not a reason of RFC 5280 section 5.3.1"),
            ));
        }
        if self.by_passphrase {
            return match context.credential {
                Credential::Mac { .. } => Ok(()),
                _ => {
                    let words = "a revocation by passphrase needs the passphrase and its reference value as credential";
                    Err(Error::new(Code::InvalidArgument, words))
                }
            };
        }
        // RFC 9483 section 4.1.5: the shared secret protects enrolment; a revocation is signed.
        if !matches!(context.credential, Credential::Signature { .. }) {
            let words =
                "a revocation is signed with the certificate that is to be revoked, not protected with a secret";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        Ok(())
    }

    /// RFC 9483 section 4.2: the certificate has not expired, as far as that is known here.
    pub(in crate::cmp) fn check_validity(&self, context: &Context, now: Time) -> Result<(), Error> {
        if let Credential::Signature { certificate, .. } = &context.credential {
            if self.is_about(Some(certificate.issuer()), certificate.serial()) && certificate.not_after() < now {
                let words = format!("the certificate to be revoked expired {} anyway", certificate.not_after());
                return Err(Error::new(Code::Expired, words));
            }
        }
        Ok(())
    }

    pub(crate) fn is_about(&self, issuer: Option<&[u8]>, serial: &[u8]) -> bool {
        serial == self.serial && issuer.is_some_and(|issuer| same_name(issuer, &self.issuer))
    }
}
