//! Values of InfoTypeAndValue in general messages (RFC 9810 section 5.3.19, RFC 9483 section 4.3).

use ::der::Tag;

use super::certrep::read_ca_pubs;
use super::header::InfoTypeAndValue;
use crate::asn1::crmf::{CertTemplate, encode_time};
use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::asn1::fields::read_oid;
use crate::asn1::name::Name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::prelude::*;
use crate::time::Time;

/// `GenMsgContent ::= SEQUENCE OF InfoTypeAndValue` with this one, DER.
pub fn gen_msg(info: &InfoTypeAndValue) -> Vec<u8> {
    sequence(&[&info.to_der()])
}

/// `CaCertsValue ::= SEQUENCE SIZE (1..MAX) OF CMPCertificate`, at most `most`.
pub fn read_ca_certs(value: &[u8], most: usize) -> Result<Vec<Certificate>, Asn1Error> {
    // One that cannot be read helps nobody, and spoils none of the others.
    match read_ca_pubs(Cursor::sequence(value, "CaCertsValue")?, most)? {
        (certificates, Some(error)) if certificates.is_empty() => Err(error),
        (certificates, _) => Ok(certificates),
    }
}

/// ```text
/// RootCaKeyUpdateContent ::= SEQUENCE {
///     newWithNew      CMPCertificate,
///     newWithOld  [0] CMPCertificate OPTIONAL,
///     oldWithNew  [1] CMPCertificate OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCaKeyUpdate {
    /// The new root.
    pub new_with_new: Certificate,
    /// The new key, signed with the old one.
    pub new_with_old: Option<Certificate>,
    /// The old key, signed with the new one.
    pub old_with_new: Option<Certificate>,
}

impl RootCaKeyUpdate {
    /// From DER. Nothing is checked but the form.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::sequence(der, "RootCaKeyUpdateContent")?;
        let new_with_new = Certificate::from_der(fields.any("newWithNew")?.bytes)?;
        let mut link = |number| -> Result<Option<Certificate>, Asn1Error> {
            fields.optional_context(number, true)?.map(|f| Certificate::from_der(f.value)).transpose()
        };
        let (new_with_old, old_with_new) = (link(0)?, link(1)?);
        fields.finish()?;
        Ok(RootCaKeyUpdate { new_with_new, new_with_old, old_with_new })
    }
}

/// A key that the CA is willing to certify: one element of keySpec (RFC 9810 section 5.3.19.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// id-regCtrl-rsaKeyLen: RSA with a modulus of this many bits.
    RsaBits(u32),
    /// id-regCtrl-algId: AlgorithmIdentifier as in a SubjectPublicKeyInfo, DER.
    Algorithm(Vec<u8>),
}

/// `CertReqTemplateContent ::= SEQUENCE { certTemplate CertTemplate, keySpec Controls OPTIONAL }`: the template and what
/// is understood of keySpec; other controls are passed over.
pub fn read_cert_req_template(der: &[u8]) -> Result<(CertTemplate, Vec<KeySpec>), Asn1Error> {
    const WHAT: &str = "CertReqTemplateContent";
    const MOST: usize = 64;
    let mut fields = Cursor::sequence(der, WHAT)?;
    let template = CertTemplate::from_der(fields.expect(Tag::Sequence, "certTemplate")?.bytes)?;
    let mut key_specs = Vec::new();
    if let Some(field) = fields.optional(Tag::Sequence)? {
        let mut controls = Cursor::new(field.value, "keySpec")?;
        while !controls.is_empty() {
            if key_specs.len() == MOST {
                return Err(Asn1Error::too_large(WHAT, "count", MOST, MOST + 1));
            }
            let mut control = Cursor::new(
                controls.expect(Tag::Sequence, "an AttributeTypeAndValue")?.value,
                "AttributeTypeAndValue",
            )?;
            let kind: Oid = read_oid(&mut control)?;
            match kind {
                o if o == oid::REG_CTRL_RSA_KEY_LEN => key_specs.push(KeySpec::RsaBits(control.decode()?)),
                o if o == oid::REG_CTRL_ALG_ID => {
                    let algorithm = control.expect(Tag::Sequence, "an AlgorithmIdentifier")?.bytes.to_vec();
                    key_specs.push(KeySpec::Algorithm(algorithm));
                }
                _ => {}
            }
        }
    }
    fields.finish()?;
    Ok((template, key_specs))
}

/// Which CRL: `CRLSource ::= CHOICE { dpn [0] DistributionPointName, issuer [1] GeneralNames }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlSource {
    /// A distribution point by its URI, as certificates name it.
    DistributionPoint(String),
    /// A distribution point by its name of any other form, as it stands in certificates: DistributionPointName, DER.
    PointName(Vec<u8>),
    /// The issuer of the list.
    Issuer(Name),
}

/// `CRLStatusListValue` with one `CRLStatus ::= SEQUENCE { source CRLSource, thisUpdate Time OPTIONAL }`, DER.
pub fn crl_status_list(source: &CrlSource, this_update: Option<Time>) -> Vec<u8> {
    let source = match source {
        // fullName [0] is implicit, as in RFC 5280's module; uniformResourceIdentifier is [6].
        CrlSource::DistributionPoint(uri) => element(0xa0, &[&element(0xa0, &[&element(0x86, &[uri.as_bytes()])])]),
        CrlSource::PointName(name) => element(0xa0, &[name]),
        CrlSource::Issuer(name) => element(0xa1, &[&sequence(&[&element(0xa4, &[name.as_der()])])]),
    };
    let this_update = this_update.map_or_else(Vec::new, encode_time);
    sequence(&[&sequence(&[&source, &this_update])])
}

/// `CRLsValue ::= SEQUENCE SIZE (1..MAX) OF CertificateList`: each as DER, unchecked; at most `most`.
pub fn read_crls(value: &[u8], most: usize) -> Result<Vec<Vec<u8>>, Asn1Error> {
    let mut list = Cursor::sequence(value, "CRLsValue")?;
    let mut crls = Vec::new();
    while !list.is_empty() {
        if crls.len() == most {
            return Err(Asn1Error::too_large("CRLsValue", "count", most, most + 1));
        }
        crls.push(list.expect(Tag::Sequence, "a CertificateList")?.bytes.to_vec());
    }
    Ok(crls)
}
