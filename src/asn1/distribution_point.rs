//! Where revocation lists are and what they are for: distribution points (RFC 5280 section 4.2.1.13), the issuing
//! distribution point of a CRL (section 5.2.5), and the reasons that a list may be limited to.

use ::der::Tag;

use super::der::{Asn1Error, Cursor, Tlv, context};
use super::fields::read_oid;
use super::general_name::{GeneralName, general_names};
use super::oid::{self, Oid};
use super::x509::Certificate;
use crate::prelude::*;

/// Most points or access descriptions read from one extension; real ones have one to four.
const MAX_ITEMS: usize = 64;

/// A set of revocation reasons: bit n is bit n of ReasonFlags (RFC 5280 section 4.2.1.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonSet(u16);

impl ReasonSet {
    /// No reason.
    pub const NONE: ReasonSet = ReasonSet(0);
    /// Every reason: bits 1 to 8; bit 0 is unused.
    pub const ALL: ReasonSet = ReasonSet(0x1fe);

    /// Reasons in both.
    pub const fn intersection(self, other: Self) -> Self {
        ReasonSet(self.0 & other.0)
    }

    /// Reasons in either.
    pub const fn union(self, other: Self) -> Self {
        ReasonSet(self.0 | other.0)
    }

    /// Whether all of `other` are in here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// From the content of a ReasonFlags BIT STRING; bits behind the known ones mean nothing here.
    fn from_bit_string(content: &[u8]) -> Result<Self, Asn1Error> {
        let [unused, bits @ ..] = content else {
            return Err(Asn1Error::invalid("ReasonFlags", "a BIT STRING without content"));
        };
        if *unused > 7 || (bits.is_empty() && *unused != 0) {
            return Err(Asn1Error::invalid("ReasonFlags", "a BIT STRING with a wrong count of unused bits"));
        }
        let mut set = 0;
        for reason in 1..=8usize {
            if bits.get(reason / 8).is_some_and(|byte| byte & (0x80 >> (reason % 8)) != 0) {
                set |= 1 << reason;
            }
        }
        Ok(ReasonSet(set))
    }
}

/// DistributionPointName.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributionPointName<'a> {
    /// `fullName`: names that all mean the same point.
    Full(Vec<GeneralName<'a>>),
    /// `nameRelativeToCRLIssuer`: content of the RelativeDistinguishedName that is appended to the CRL issuer's name.
    Relative(&'a [u8]),
}

impl<'a> DistributionPointName<'a> {
    /// From the content of `[0] DistributionPointName`: exactly one alternative (RFC 5280 appendix A.2).
    fn read(content: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "DistributionPointName";
        let mut cursor = Cursor::new(content, WHAT)?;
        let element = cursor.any("fullName or nameRelativeToCRLIssuer")?;
        cursor.finish()?;
        if element.tag == context(0, true) {
            return Ok(DistributionPointName::Full(general_names(element.value)?));
        }
        if element.tag == context(1, true) {
            Cursor::new(element.value, WHAT)?.expect(Tag::Sequence, "an AttributeTypeAndValue")?;
            return Ok(DistributionPointName::Relative(element.value));
        }
        Err(Asn1Error::invalid(WHAT, "neither fullName nor nameRelativeToCRLIssuer"))
    }
}

/// One DistributionPoint of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionPoint<'a> {
    /// Where the list is.
    pub name: Option<DistributionPointName<'a>>,
    /// Reasons that the list covers; `None` means all.
    pub reasons: Option<ReasonSet>,
    /// Who signs the list, if it is not the certificate's issuer.
    pub crl_issuer: Vec<GeneralName<'a>>,
}

/// Reads the value of a cRLDistributionPoints or freshestCRL extension.
pub fn distribution_points(value: &[u8]) -> Result<Vec<DistributionPoint<'_>>, Asn1Error> {
    const WHAT: &str = "CRLDistributionPoints";
    let mut cursor = Cursor::sequence(value, WHAT)?;
    let mut points = Vec::new();
    while !cursor.is_empty() {
        if points.len() == MAX_ITEMS {
            return Err(Asn1Error::too_large(WHAT, "count", MAX_ITEMS, points.len() + 1));
        }
        let mut fields = Cursor::new(cursor.expect(Tag::Sequence, "a DistributionPoint")?.value, "DistributionPoint")?;
        let name = fields.optional_context(0, true)?.map(|f| DistributionPointName::read(f.value)).transpose()?;
        let reasons = fields.optional_context(1, false)?.map(|f| ReasonSet::from_bit_string(f.value)).transpose()?;
        let crl_issuer = fields.optional_context(2, true)?.map(|f| general_names(f.value)).transpose()?;
        fields.finish()?;
        // Section 4.2.1.13: a DistributionPoint MUST NOT consist of only the reasons field.
        if name.is_none() && crl_issuer.is_none() {
            return Err(Asn1Error::invalid("DistributionPoint", "neither distributionPoint nor cRLIssuer"));
        }
        points.push(DistributionPoint { name, reasons, crl_issuer: crl_issuer.unwrap_or_default() });
    }
    if points.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "an empty list"));
    }
    Ok(points)
}

/// IssuingDistributionPoint of a CRL: its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuingDistributionPoint<'a> {
    /// Where the list is published.
    pub name: Option<DistributionPointName<'a>>,
    /// Certificates of end entities only.
    pub only_contains_user_certs: bool,
    /// CA certificates only.
    pub only_contains_ca_certs: bool,
    /// Reasons that the list covers; `None` means all.
    pub only_some_reasons: Option<ReasonSet>,
    /// The list may speak of certificates of other issuers.
    pub indirect_crl: bool,
    /// Attribute certificates only: never of use here.
    pub only_contains_attribute_certs: bool,
}

impl<'a> IssuingDistributionPoint<'a> {
    /// From the value of the extension.
    ///
    /// Refused: a sequence without fields, and more than one `only...Certs` (RFC 5280 section 5.2.5).
    pub fn from_der(value: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "IssuingDistributionPoint";
        let mut fields = Cursor::sequence(value, WHAT)?;
        if fields.is_empty() {
            return Err(Asn1Error::invalid(WHAT, "an empty sequence"));
        }
        let flag = |fields: &mut Cursor<'a>, number| match fields.optional_context(number, false)? {
            None => Ok(false),
            Some(Tlv { value: [0xff], .. }) => Ok(true),
            Some(Tlv { value: [0x00], .. }) => Ok(false),
            Some(_) => Err(Asn1Error::invalid(WHAT, "a flag that is not a BOOLEAN of DER")),
        };
        let name = fields.optional_context(0, true)?.map(|f| DistributionPointName::read(f.value)).transpose()?;
        let only_contains_user_certs = flag(&mut fields, 1)?;
        let only_contains_ca_certs = flag(&mut fields, 2)?;
        let only_some_reasons =
            fields.optional_context(3, false)?.map(|f| ReasonSet::from_bit_string(f.value)).transpose()?;
        let indirect_crl = flag(&mut fields, 4)?;
        let only_contains_attribute_certs = flag(&mut fields, 5)?;
        fields.finish()?;
        let kinds = [only_contains_user_certs, only_contains_ca_certs, only_contains_attribute_certs];
        if kinds.iter().filter(|k| **k).count() > 1 {
            return Err(Asn1Error::invalid(WHAT, "more than one kind of certificates that the list is only for"));
        }
        Ok(IssuingDistributionPoint {
            name,
            only_contains_user_certs,
            only_contains_ca_certs,
            only_some_reasons,
            indirect_crl,
            only_contains_attribute_certs,
        })
    }
}

/// The URLs in a certificate's cRLDistributionPoints, in their order, whatever their scheme. Malformed ones are left
/// out: they cannot be fetched, and validation reports the extension.
pub fn cdp_urls(certificate: &Certificate) -> Vec<String> {
    cdp_url_groups(certificate).concat()
}

/// The same point by point: the URLs of one point all lead to the same list, and each point has a list of its own.
pub fn cdp_url_groups(certificate: &Certificate) -> Vec<Vec<String>> {
    point_urls(certificate, oid::CE_CRL_DISTRIBUTION_POINTS)
}

/// The URLs in a certificate's freshestCRL extension: where delta CRLs are (RFC 5280 section 4.2.1.15).
pub fn freshest_crl_urls(certificate: &Certificate) -> Vec<String> {
    freshest_crl_url_groups(certificate).concat()
}

/// The same point by point.
pub fn freshest_crl_url_groups(certificate: &Certificate) -> Vec<Vec<String>> {
    point_urls(certificate, oid::CE_FRESHEST_CRL)
}

/// The URLs of OCSP responders in a certificate's authorityInfoAccess (RFC 5280 section 4.2.2.1).
pub fn ocsp_urls(certificate: &Certificate) -> Vec<String> {
    access_urls(certificate, oid::AD_OCSP)
}

/// The URLs of issuers' certificates in a certificate's authorityInfoAccess (RFC 5280 section 4.2.2.1).
pub fn ca_issuers_urls(certificate: &Certificate) -> Vec<String> {
    access_urls(certificate, oid::AD_CA_ISSUERS)
}

/// The first distribution point of a certificate as who asks a CA for its list names it: DistributionPointName as it stands
/// there, DER, and where there is none the CRL's issuer (RFC 9483 section 4.3.4).
pub(crate) fn first_point(certificate: &Certificate) -> Option<(Option<Vec<u8>>, Vec<GeneralName<'_>>)> {
    let value = certificate.extension(oid::CE_CRL_DISTRIBUTION_POINTS)?.value;
    let point = distribution_points(value).ok()?.into_iter().next()?;
    let mut points = Cursor::sequence(value, "CRLDistributionPoints").ok()?;
    let mut fields = Cursor::new(points.any("a DistributionPoint").ok()?.value, "DistributionPoint").ok()?;
    let name = fields.optional_context(0, true).ok()?.map(|name| name.value.to_vec());
    Some((name, point.crl_issuer))
}

fn point_urls(certificate: &Certificate, extension: Oid) -> Vec<Vec<String>> {
    certificate.extension(extension).map(|extension| point_url_groups(extension.value)).unwrap_or_default()
}

/// The URLs in the value of a cRLDistributionPoints or freshestCRL extension, point by point; none if it is malformed.
pub(crate) fn point_url_groups(value: &[u8]) -> Vec<Vec<String>> {
    let names = distribution_points(value).unwrap_or_default().into_iter().filter_map(|point| point.name);
    let full = names.filter_map(|name| match name {
        DistributionPointName::Full(names) => Some(names),
        DistributionPointName::Relative(_) => None,
    });
    full.map(|names| names.into_iter().filter_map(url).collect()).collect()
}

fn access_urls(certificate: &Certificate, method: Oid) -> Vec<String> {
    let Some(extension) = certificate.extension(oid::PE_AUTHORITY_INFO_ACCESS) else { return Vec::new() };
    let read = || {
        let mut cursor = Cursor::sequence(extension.value, "AuthorityInfoAccess")?;
        let mut urls = Vec::new();
        while !cursor.is_empty() && urls.len() < MAX_ITEMS {
            let description = cursor.expect(Tag::Sequence, "an AccessDescription")?;
            let mut fields = Cursor::new(description.value, "AccessDescription")?;
            let found = read_oid(&mut fields)?;
            let location = GeneralName::read(&mut fields)?;
            fields.finish()?;
            if found == method {
                urls.extend(url(location));
            }
        }
        Ok::<_, Asn1Error>(urls)
    };
    read().unwrap_or_default()
}

/// A URI of printable ASCII, blanks as they have to be sent (AD CS, and people, write them as they are, and behind the URL); anything
/// else is no URL (RFC 3986) and might reshape a request or a log line.
fn url(name: GeneralName<'_>) -> Option<String> {
    let GeneralName::Uri(uri) = name else { return None };
    let uri = core::str::from_utf8(uri.trim_ascii()).ok()?.replace(' ', "%20");
    (!uri.is_empty() && uri.bytes().all(|b| b.is_ascii_graphic())).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    fn uri(text: &str) -> Vec<u8> {
        element(0x86, &[text.as_bytes()])
    }

    #[test]
    fn a_distribution_point_has_name_reasons_and_issuer() {
        let full = element(0xa0, &[&element(0xa0, &[&uri("http://a.example/1.crl"), &uri("ldap://b.example/x")])]);
        let reasons = element(0x81, &[&[0x05, 0x60]]);
        let issuer = element(0xa2, &[&element(0xa4, &[&[0x30, 0x00]])]);
        let value = sequence(&[&sequence(&[&full, &reasons, &issuer])]);
        let points = distribution_points(&value).unwrap();
        assert_eq!(points.len(), 1);
        let names = vec![GeneralName::Uri(b"http://a.example/1.crl"), GeneralName::Uri(b"ldap://b.example/x")];
        assert_eq!(points[0].name, Some(DistributionPointName::Full(names)));
        assert_eq!(points[0].reasons, Some(ReasonSet(0b110)), "keyCompromise and cACompromise");
        assert_eq!(points[0].crl_issuer, [GeneralName::Directory(&[0x30, 0x00])]);
    }

    #[test]
    fn urls_with_blanks_are_urls_and_with_other_characters_none() {
        for (written, read) in [
            ("http://a.example/Corp CA.crl", Some("http://a.example/Corp%20CA.crl")),
            (" http://a.example/1.crl\r\n", Some("http://a.example/1.crl")),
            (
                "ldap://d.example/CN=L root,O=A B?cACertificate",
                Some("ldap://d.example/CN=L%20root,O=A%20B?cACertificate"),
            ),
            ("http://a.example/1\r\n.crl", None),
            ("http://a.example/\u{e9}.crl", None),
            ("  ", None),
        ] {
            assert_eq!(url(GeneralName::Uri(written.as_bytes())).as_deref(), read, "{written}");
        }
    }

    #[test]
    fn a_distribution_point_of_reasons_alone_is_refused() {
        let value = sequence(&[&sequence(&[&element(0x81, &[&[0x05, 0x60]])])]);
        assert!(distribution_points(&value).is_err());
        assert!(distribution_points(&sequence(&[])).is_err(), "no point at all");
    }

    #[test]
    fn a_name_of_two_alternatives_or_none_is_refused() {
        let alternative = element(0xa0, &[&uri("http://a.example/")]);
        let one = sequence(&[&element(0xa0, &[&alternative])]);
        assert!(IssuingDistributionPoint::from_der(&one).is_ok());
        for names in [&[][..], &[&alternative[..], &alternative], &[&alternative[..], &[0x02, 0x01, 0x01]]] {
            let point = sequence(&[&element(0xa0, names)]);
            assert!(IssuingDistributionPoint::from_der(&point).is_err());
        }
    }

    #[test]
    fn a_scope_that_says_nothing_or_contradicts_itself_is_refused() {
        assert!(IssuingDistributionPoint::from_der(&sequence(&[])).is_err());
        let both = sequence(&[&[0x81, 0x01, 0xff], &[0x82, 0x01, 0xff]]);
        assert!(IssuingDistributionPoint::from_der(&both).is_err());
        let odd = sequence(&[&[0x81, 0x01, 0x01]]);
        assert!(IssuingDistributionPoint::from_der(&odd).is_err(), "a BOOLEAN of 01 is BER");
        let indirect = sequence(&[&[0x84, 0x01, 0xff]]);
        assert!(IssuingDistributionPoint::from_der(&indirect).unwrap().indirect_crl);
    }

    #[test]
    fn reason_flags_are_read_bit_by_bit_into_the_second_byte() {
        let aa_compromise = ReasonSet::from_bit_string(&[7, 0x00, 0x80]).unwrap();
        assert_eq!(aa_compromise, ReasonSet(0x100));
        let all = ReasonSet::from_bit_string(&[7, 0x7f, 0x80]).unwrap();
        assert_eq!(all, ReasonSet::ALL);
        assert!(all.contains(aa_compromise) && !aa_compromise.contains(all));
        assert!(ReasonSet::from_bit_string(&[]).is_err());
        assert!(ReasonSet::from_bit_string(&[8, 0x00]).is_err());
    }
}
