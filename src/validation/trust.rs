//! Trust anchors: certificates whose name, key and constraints are believed without proof (RFC 5280 section 6.1.1 (d)).

use crate::asn1::Asn1Error;
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// A set of trust anchors. The constraints an anchor carries are enforced (RFC 5937).
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    certificates: Vec<Certificate>,
}

impl TrustAnchors {
    /// None: nothing is trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; the same certificate twice counts once.
    pub fn add(&mut self, certificate: Certificate) {
        if !self.certificates.contains(&certificate) {
            self.certificates.push(certificate);
        }
    }

    /// Adds one from DER, or all CERTIFICATE blocks of a PEM text. Returns how many were read. One that a `TRUSTED CERTIFICATE` of OpenSSL rejects
    /// for a purpose, or trusts for some alone, is none of them: an error where there is no other.
    pub fn add_bytes(&mut self, input: &[u8]) -> Result<usize, Asn1Error> {
        let certificates = Certificate::anchors_in(input)?.all;
        let count = certificates.len();
        certificates.into_iter().for_each(|c| self.add(c));
        Ok(count)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// All, in the order they were added.
    pub fn iter(&self) -> core::slice::Iter<'_, Certificate> {
        self.certificates.iter()
    }

    pub(super) fn as_slice(&self) -> &[Certificate] {
        &self.certificates
    }
}

impl FromIterator<Certificate> for TrustAnchors {
    fn from_iter<I: IntoIterator<Item = Certificate>>(certificates: I) -> Self {
        let mut anchors = TrustAnchors::new();
        certificates.into_iter().for_each(|c| anchors.add(c));
        anchors
    }
}

impl<'a> IntoIterator for &'a TrustAnchors {
    type Item = &'a Certificate;
    type IntoIter = core::slice::Iter<'a, Certificate>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
