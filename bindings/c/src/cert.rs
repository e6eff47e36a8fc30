//! Certificates and lists of certificates. Their public keys are not given out here: a peer's key comes from devid_peer, after
//! validation.

use super::prelude::*;
use super::texts::{Text, Texts};
use devid_core::asn1::distribution_point::{ca_issuers_urls, cdp_urls, ocsp_urls};
use devid_core::asn1::x509::{Certificate, serial_text};
use devid_core::asn1::{name, pem};
use devid_core::client::certificates::{ReadAs, held_certificates, sent_certificates};
use devid_core::validation::alternative_names;

/// A certificate as it came. Nothing in it is checked or to be believed: see devid_validate().
#[handle]
pub type devid_cert = Cert;

#[doc(hidden)]
pub struct Cert {
    pub(super) certificate: Certificate,
    subject: Text,
    issuer: Text,
    serial: Text,
    urls: [Texts; 3],
    names: Texts,
}

/// Where CRLs for the certificate are (cRLDistributionPoints).
pub const DEVID_URL_CRL: i32 = 1;
/// OCSP responders for the certificate (authorityInfoAccess).
pub const DEVID_URL_OCSP: i32 = 2;
/// Certificates of its issuer (authorityInfoAccess).
pub const DEVID_URL_CA_ISSUERS: i32 = 3;

/// Certificates in an order.
#[handle]
pub type devid_cert_list = Vec<Certificate>;

impl devid_cert {
    pub(super) fn of(certificate: Certificate) -> devid_cert {
        let (text, texts) = (Text::default, Texts::default);
        Cert {
            certificate,
            subject: text(),
            issuer: text(),
            serial: text(),
            names: texts(),
            urls: <[Texts; 3]>::default(),
        }
    }

    fn names(&self) -> &[CString] {
        self.names.get(|| alternative_names(&self.certificate))
    }

    fn url(&self, kind: i32, index: usize) -> Option<&CStr> {
        let (texts, find): (_, fn(&Certificate) -> _) = match kind {
            DEVID_URL_CRL => (&self.urls[0], cdp_urls),
            DEVID_URL_OCSP => (&self.urls[1], ocsp_urls),
            DEVID_URL_CA_ISSUERS => (&self.urls[2], ca_issuers_urls),
            _ => return None,
        };
        texts.at(index, || find(&self.certificate))
    }
}

/// Reads one certificate.
///
/// @param data      DER, PEM or PKCS#7 with one certificate; copied. Not NULL.
/// @param data_len  Length of `data` in bytes, without a trailing NUL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, DEVID_E_TRAILING_DATA, DEVID_E_LIMIT. RFC 5280 section 4.1.
#[export]
fn devid_cert_parse(data: &[u8]) -> Result<devid_cert, Error> {
    let found = Certificate::held_in(data)?;
    if let Some(unread) = found.unread.into_iter().next() {
        return Err(unread.into());
    }
    let [certificate] = &found.all[..] else {
        return Err(Error::new(Code::Pem, format!("expected one certificate, found {}", found.all.len())));
    };
    Ok(devid_cert::of(certificate.clone()))
}

/// The certificate's bytes as they came, DER.
///
/// @return Valid until the certificate is freed.
#[export]
fn devid_cert_der(cert: &devid_cert) -> &[u8] {
    cert.certificate.as_der()
}

/// The certificate as PEM text.
///
/// @param out_pem  Receives the text; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_cert_pem(cert: &devid_cert) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(pem::encode("CERTIFICATE", cert.certificate.as_der()).as_bytes()))
}

/// The subject's name as text in the form of RFC 4514, such as "CN=router-7,O=Example". For display: two different names can
/// look the same.
///
/// @return UTF-8, never NULL; valid until the certificate is freed.
#[export]
fn devid_cert_subject(cert: &devid_cert) -> &CStr {
    cert.subject.get(|| name::display(cert.certificate.subject()))
}

/// The issuer's name as text, as devid_cert_subject().
///
/// @return UTF-8, never NULL; valid until the certificate is freed.
#[export]
fn devid_cert_issuer(cert: &devid_cert) -> &CStr {
    cert.issuer.get(|| name::display(cert.certificate.issuer()))
}

/// The serial number: its encoded bytes in lower-case hexadecimal digits, such as "00c1f2"; a negative one as its magnitude
/// behind a minus sign, such as "-05".
///
/// @return Never NULL; valid until the certificate is freed.
#[export]
fn devid_cert_serial(cert: &devid_cert) -> &CStr {
    cert.serial.get(|| serial_text(cert.certificate.serial()))
}

/// The first second of validity.
///
/// @return Seconds since 1970-01-01T00:00:00Z, negative before.
#[export]
fn devid_cert_not_before(cert: &devid_cert) -> i64 {
    cert.certificate.not_before().unix()
}

/// The last second of validity, inclusive.
///
/// @return Seconds since 1970-01-01T00:00:00Z; 253402300799 (the end of year 9999) means "no well-defined end".
#[export]
fn devid_cert_not_after(cert: &devid_cert) -> i64 {
    cert.certificate.not_after().unix()
}

/// How many names the certificate carries in its subjectAltName.
///
/// @return 0 if there is none, or none that can be read.
#[export]
fn devid_cert_name_count(cert: &devid_cert) -> usize {
    cert.names().len()
}

/// A name in the certificate's subjectAltName, for display. To check a peer's name, tell a validator.
///
/// @param index  From 0 to devid_cert_name_count() - 1.
/// @return Such as "DNS:router-7.example" or "IP:192.0.2.7"; NULL if there is no such name; valid until the certificate is
///         freed.
#[export]
fn devid_cert_name(cert: &devid_cert, index: usize) -> Option<&CStr> {
    cert.names().get(index).map(CString::as_c_str)
}

/// A URL in a certificate, in the order there. Chosen by whoever issued it: see devid_fetch().
///
/// @param kind   One of DEVID_URL_*.
/// @param index  From 0.
/// @return NULL if there is no such URL; valid until the certificate is freed.
#[export]
fn devid_cert_url(cert: &devid_cert, kind: i32, index: usize) -> Option<&CStr> {
    cert.url(kind, index)
}

/// Frees a certificate.
#[export]
fn devid_cert_free(cert: Owned<devid_cert>) {
    drop(cert)
}

/// An empty list.
///
/// @param out_list  Receives the list; free with devid_cert_list_free(). Not NULL.
#[export]
fn devid_cert_list_new() -> Result<devid_cert_list, Error> {
    Ok(Vec::new())
}

/// Adds the certificates in DER (one), PEM (each CERTIFICATE block, other blocks are skipped) or PKCS#7 (DER or PEM) at the end of
/// the list; one that is there twice is added once. On failure the list is unchanged.
///
/// @param data      Copied. Not NULL.
/// @param data_len  Length of `data` in bytes, without a trailing NUL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, DEVID_E_TRAILING_DATA, DEVID_E_LIMIT.
#[export]
fn devid_cert_list_add_bytes(list: &mut devid_cert_list, data: &[u8]) -> Result<(), Error> {
    list.extend(sent_certificates(data)?);
    Ok(())
}

/// The same of certificates that are to be trusted, for devid_store_put_anchors() and devid_export_set_anchors(). One that a TRUSTED
/// CERTIFICATE of OpenSSL rejects for a purpose, or trusts for some alone, is left out: an anchor is trusted for everything. What cannot be read
/// beside others that can is left out, too.
///
/// @param data      Copied. Not NULL.
/// @param data_len  Length of `data` in bytes, without a trailing NUL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, also where no certificate is left; DEVID_E_LIMIT.
#[export]
fn devid_cert_list_add_anchors(list: &mut devid_cert_list, data: &[u8]) -> Result<(), Error> {
    list.extend(held_certificates(data, ReadAs::Anchors)?.all);
    Ok(())
}

/// Adds a certificate at the end of the list.
///
/// @param cert  Stays the caller's. Not NULL.
#[export]
fn devid_cert_list_add(list: &mut devid_cert_list, cert: &devid_cert) -> Result<(), Error> {
    list.push(cert.certificate.clone());
    Ok(())
}

/// The number of certificates in a list.
///
/// @return The number.
#[export]
fn devid_cert_list_count(list: &devid_cert_list) -> usize {
    list.len()
}

/// One certificate of a list, as an object of its own.
///
/// @param index     From 0 to devid_cert_list_count() - 1.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the list is shorter.
#[export]
fn devid_cert_list_at(list: &devid_cert_list, index: usize) -> Result<devid_cert, Error> {
    let certificate = list.get(index).ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("index {index} in a list of {} certificates", list.len()))
    })?;
    Ok(devid_cert::of(certificate.clone()))
}

/// The whole list as PEM text, one block after the other.
///
/// @param out_pem  Receives the text; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_cert_list_pem(list: &devid_cert_list) -> Result<devid_bytes, Error> {
    let text: String = list.iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect();
    Ok(devid_bytes::from_slice(text.as_bytes()))
}

/// Frees a list.
#[export]
fn devid_cert_list_free(list: Owned<devid_cert_list>) {
    drop(list)
}
