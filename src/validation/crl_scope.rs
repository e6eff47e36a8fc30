//! Whether a revocation list speaks about a certificate, and for which reasons: RFC 5280 section 6.3.3 (b) to (e).

use core::cell::OnceCell;

use super::crl::Crl;
use super::names::{name_hash, same_name};
use super::unusable::Unusable;
use crate::asn1::Asn1Error;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::distribution_point::{
    DistributionPoint, DistributionPointName, IssuingDistributionPoint, ReasonSet, distribution_points,
};
use crate::asn1::general_name::{GeneralName, general_names};
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// Where lists about one certificate may come from: its distribution points, then its issuer.
///
/// Whoever makes a certificate chooses how many names are in it, and anybody makes a list: each name is prepared once, and compared
/// by what that gave.
pub(super) struct Points<'a> {
    certificate: &'a Certificate,
    is_ca: bool,
    issuer: OwnedName,
    points: Vec<Point<'a>>,
    /// Section 6.3.3, at the end: any list of the certificate's issuer, as if named by a point with the issuer's names.
    issuer_point: Point<'a>,
    /// All points hand revocation over to another CRL issuer: what the certificate's issuer does not list proves
    /// nothing then, though what it lists is revoked.
    handed_over: bool,
}

/// A distribution point with its names, ready to be compared.
struct Point<'a> {
    point: DistributionPoint<'a>,
    /// `None`: they cannot be read.
    names: Option<Vec<OwnedName>>,
    crl_issuers: Vec<OwnedName>,
}

impl<'a> Point<'a> {
    fn new(point: DistributionPoint<'a>, certificate: &Certificate) -> Self {
        let names = match &point.name {
            Some(name) => {
                let base = match point.crl_issuer.as_slice() {
                    [] => Some(certificate.issuer()),
                    [GeneralName::Directory(name)] => Some(*name),
                    // Section 4.2.1.13: with several issuers a relative name is relative to nothing.
                    _ => None,
                };
                base.and_then(|base| expand(name, base)).or_else(|| full_names(name))
            }
            None => Some(point.crl_issuer.iter().map(OwnedName::of).collect()),
        };
        let is_directory = |name: &&GeneralName<'_>| matches!(name, GeneralName::Directory(_));
        let crl_issuers = point.crl_issuer.iter().filter(is_directory).map(OwnedName::of).collect();
        Point { point, names, crl_issuers }
    }

    /// Any list of the certificate's issuer.
    fn of_issuer(names: Vec<GeneralName<'a>>, certificate: &Certificate) -> Self {
        let name = Some(DistributionPointName::Full(names));
        Self::new(DistributionPoint { name, reasons: None, crl_issuer: Vec::new() }, certificate)
    }

    fn names_issuer_of(&self, crl: &Crl) -> bool {
        self.crl_issuers.iter().any(|named| named.is_issuer_of(crl))
    }
}

/// A list, with the names of its distribution point ready to be compared; `None`: they cannot be read, or it has none.
struct ScopedList<'c> {
    crl: &'c Crl,
    points: Option<Vec<OwnedName>>,
}

impl<'a> Points<'a> {
    pub(super) fn of(certificate: &'a Certificate, issuer: Option<&Certificate>) -> Result<Self, Asn1Error> {
        let points = match certificate.extension(oid::CE_CRL_DISTRIBUTION_POINTS) {
            Some(extension) => distribution_points(extension.value)?,
            None => Vec::new(),
        };
        let mut names = vec![GeneralName::Directory(certificate.issuer())];
        if let Some(extension) = certificate.extension(oid::CE_ISSUER_ALT_NAME) {
            let mut outer = Cursor::new(extension.value, "IssuerAltName")?;
            names.extend(general_names(outer.expect(::der::Tag::Sequence, "GeneralNames")?.value)?);
        }
        let issuer = OwnedName::issuer_of(certificate, issuer);
        let points: Vec<Point<'_>> = points.into_iter().map(|point| Point::new(point, certificate)).collect();
        let names_issuer = |point: &Point<'_>| {
            point.point.crl_issuer.is_empty() || point.crl_issuers.iter().any(|named| named.same(&issuer))
        };
        Ok(Points {
            certificate,
            is_ca: is_ca(certificate)?,
            handed_over: !points.is_empty() && !points.iter().any(names_issuer),
            points,
            issuer,
            issuer_point: Point::of_issuer(names, certificate),
        })
    }

    /// The issuer's own lists alone, for a certificate whose distribution points cannot be read: what they do not list
    /// proves nothing, though what they list is revoked.
    pub(super) fn of_issuer_alone(certificate: &'a Certificate, issuer: Option<&Certificate>) -> Self {
        let names = vec![GeneralName::Directory(certificate.issuer())];
        Points {
            certificate,
            is_ca: is_ca(certificate).unwrap_or(false),
            issuer: OwnedName::issuer_of(certificate, issuer),
            points: Vec::new(),
            issuer_point: Point::of_issuer(names, certificate),
            handed_over: true,
        }
    }

    /// Whether a point of the certificate names the list's issuer (cRLIssuer).
    pub(super) fn name_issuer_of(&self, crl: &Crl) -> bool {
        self.points.iter().any(|point| point.names_issuer_of(crl))
    }

    /// The reasons that this list covers for the certificate, over all of its points and its issuer's own, and all
    /// names in them. None: only what it lists tells something. `Err`: why the list does not speak about it.
    pub(super) fn scope(&self, crl: &Crl) -> Result<ReasonSet, OutOfScope> {
        let idp = crl.issuing_distribution_point();
        let list = ScopedList { crl, points: idp.as_ref().and_then(|idp| expand(idp.name.as_ref()?, crl.issuer())) };
        let own = self.scope_of(&self.issuer_point, idp.as_ref(), &list);
        let own = if self.handed_over { own.map(|_| ReasonSet::NONE) } else { own };
        let mut outcomes = self.points.iter().map(|point| self.scope_of(point, idp.as_ref(), &list)).chain([own]);
        let first = outcomes.next().unwrap_or(Err(OutOfScope::NoPoint));
        outcomes.fold(first, |known, next| match (known, next) {
            (Ok(a), Ok(b)) => Ok(a.union(b)),
            (Ok(reasons), Err(_)) | (Err(_), Ok(reasons)) => Ok(reasons),
            (Err(why), Err(_)) => Err(why),
        })
    }

    /// Whether whom a list names may be this certificate though the list's scope is another: it is its issuer's, or that of an
    /// issuer of CRLs that the certificate names, and speaks of certificates at all (attribute certificates have numbers of
    /// their own).
    pub(super) fn may_name(&self, crl: &Crl) -> bool {
        let is_theirs = self.issuer.is_issuer_of(crl) || self.name_issuer_of(crl);
        is_theirs && !crl.issuing_distribution_point().is_some_and(|point| point.only_contains_attribute_certs)
    }

    fn scope_of(
        &self,
        point: &Point<'_>,
        idp: Option<&IssuingDistributionPoint<'_>>,
        list: &ScopedList<'_>,
    ) -> Result<ReasonSet, OutOfScope> {
        // (b) (1)
        if point.point.crl_issuer.is_empty() {
            if !self.issuer.is_issuer_of(list.crl) {
                return Err(OutOfScope::OtherIssuer);
            }
        } else {
            if !point.names_issuer_of(list.crl) {
                return Err(OutOfScope::OtherCrlIssuer);
            }
            if !idp.is_some_and(|idp| idp.indirect_crl) {
                return Err(OutOfScope::NotIndirect);
            }
        }
        let reasons = point.point.reasons.unwrap_or(ReasonSet::ALL);
        let Some(idp) = idp else { return Ok(reasons) };
        // (b) (2) (i)
        if idp.name.is_some() {
            let ours = list.points.as_ref().ok_or(OutOfScope::PointUnread)?;
            let theirs = point.names.as_ref().ok_or(OutOfScope::OwnPointUnread)?;
            if !ours.iter().any(|a| theirs.iter().any(|b| a.same(b))) {
                return Err(OutOfScope::OtherPoint);
            }
        }
        // (b) (2) (ii) to (iv), and section 5.2.5: such lists speak of version 3 certificates only.
        let limited = idp.only_contains_user_certs || idp.only_contains_ca_certs;
        if idp.only_contains_attribute_certs {
            return Err(OutOfScope::AttributeCertificates);
        }
        if (idp.only_contains_user_certs && self.is_ca) || (idp.only_contains_ca_certs && !self.is_ca) {
            return Err(OutOfScope::OtherKind);
        }
        if limited && self.certificate.version() != 3 {
            return Err(OutOfScope::Version);
        }
        // (d)
        let listed = idp.only_some_reasons.unwrap_or(ReasonSet::ALL);
        Ok(listed.intersection(reasons))
    }
}

/// Why a list does not speak about a certificate (RFC 5280 section 6.3.3 (b)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfScope {
    NoPoint,
    OtherIssuer,
    OtherCrlIssuer,
    NotIndirect,
    PointUnread,
    OwnPointUnread,
    OtherPoint,
    AttributeCertificates,
    OtherKind,
    Version,
}

impl From<OutOfScope> for Unusable {
    fn from(why: OutOfScope) -> Self {
        let words = match why {
            OutOfScope::NoPoint => "the certificate has no distribution point",
            OutOfScope::OtherIssuer => "it is from another issuer",
            OutOfScope::OtherCrlIssuer => "it is not from the CRL issuer that the certificate names",
            OutOfScope::NotIndirect => {
                "it is not an indirect CRL, though the certificate names its issuer as another's"
            }
            OutOfScope::PointUnread => "its distribution point cannot be read",
            OutOfScope::OwnPointUnread => "the certificate's distribution point cannot be read",
            OutOfScope::OtherPoint => "it is for another distribution point",
            OutOfScope::AttributeCertificates => "it is for attribute certificates only",
            OutOfScope::OtherKind => {
                "it is for the other kind of certificates (onlyContainsUserCerts, onlyContainsCACerts)"
            }
            OutOfScope::Version => "it is for certificates of version 3 only",
        };
        words.into()
    }
}

/// Whether two lists have the same issuer and scope, so that a delta may belong to a complete list: section 6.3.3 (c).
pub(super) fn same_series(complete: &Crl, delta: &Crl) -> bool {
    same_name(complete.issuer(), delta.issuer())
        && complete.issuing_distribution_point() == delta.issuing_distribution_point()
        && complete.tail().authority_key_identifier == delta.tail().authority_key_identifier
}

/// A name of a distribution point, put together where it was relative. Names of different forms are never equal.
enum OwnedName {
    Uri(Vec<u8>),
    /// With its hash, once it is asked for.
    Directory(Vec<u8>, OnceCell<u64>),
    Other(u8, Vec<u8>),
}

impl OwnedName {
    fn of(name: &GeneralName<'_>) -> Self {
        match name {
            GeneralName::Uri(uri) => OwnedName::Uri(uri.to_vec()),
            GeneralName::Directory(name) => OwnedName::directory(name),
            other => OwnedName::Other(other.form(), other.content().to_vec()),
        }
    }

    fn directory(name: &[u8]) -> Self {
        OwnedName::Directory(name.to_vec(), OnceCell::new())
    }

    /// The issuer's certificate knows the hash, which is kept; or the certificate itself.
    fn issuer_of(certificate: &Certificate, issuer: Option<&Certificate>) -> Self {
        let hash = match issuer.filter(|issuer| issuer.subject() == certificate.issuer()) {
            Some(issuer) => issuer.subject_hash(name_hash),
            None => certificate.issuer_hash(name_hash),
        };
        OwnedName::Directory(certificate.issuer().to_vec(), OnceCell::from(hash))
    }

    fn is_issuer_of(&self, crl: &Crl) -> bool {
        let OwnedName::Directory(name, _) = self else { return false };
        **name == *crl.issuer() || (self.hash() == Some(crl.issuer_hash()) && same_name(name, crl.issuer()))
    }

    /// Of a directory name; it is prepared for that once.
    fn hash(&self) -> Option<u64> {
        match self {
            OwnedName::Directory(name, hash) => Some(*hash.get_or_init(|| name_hash(name))),
            _ => None,
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (OwnedName::Uri(a), OwnedName::Uri(b)) => same_uri(a, b),
            (OwnedName::Directory(a, _), OwnedName::Directory(b, _)) => {
                a == b || (self.hash() == other.hash() && same_name(a, b))
            }
            (OwnedName::Other(a_form, a), OwnedName::Other(b_form, b)) => a_form == b_form && a == b,
            _ => false,
        }
    }
}

/// RFC 5280 section 7.4: scheme and host without regard to case, the rest byte by byte.
fn same_uri(a: &[u8], b: &[u8]) -> bool {
    let split = |uri: &[u8]| {
        let scheme_end = uri.windows(3).position(|w| w == b"://").map_or(0, |i| i + 3);
        uri[scheme_end..].iter().position(|c| matches!(c, b'/' | b'?' | b'#')).map_or(uri.len(), |i| scheme_end + i)
    };
    let (a_authority, a_rest) = a.split_at(split(a));
    let (b_authority, b_rest) = b.split_at(split(b));
    a_authority.eq_ignore_ascii_case(b_authority) && a_rest == b_rest
}

fn full_names(name: &DistributionPointName<'_>) -> Option<Vec<OwnedName>> {
    match name {
        DistributionPointName::Full(names) => Some(names.iter().map(OwnedName::of).collect()),
        DistributionPointName::Relative(_) => None,
    }
}

/// The names of a point; a relative one is appended to the issuer's Name.
fn expand(name: &DistributionPointName<'_>, issuer: &[u8]) -> Option<Vec<OwnedName>> {
    match name {
        DistributionPointName::Full(_) => full_names(name),
        DistributionPointName::Relative(rdn) => {
            let mut outer = Cursor::new(issuer, "Name").ok()?;
            let rdns = outer.expect(::der::Tag::Sequence, "a Name").ok()?.value;
            Some(vec![OwnedName::directory(&sequence(&[rdns, &element(0x31, &[rdn])]))])
        }
    }
}

/// Whether basicConstraints says cA.
pub(crate) fn is_ca(certificate: &Certificate) -> Result<bool, Asn1Error> {
    let Some(extension) = certificate.extension(oid::CE_BASIC_CONSTRAINTS) else { return Ok(false) };
    let mut fields = Cursor::sequence(extension.value, "BasicConstraints")?;
    Ok(fields.optional(::der::Tag::Boolean)?.is_some_and(|ca| ca.value != [0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_compared_by_scheme_and_host_without_case_and_path_with() {
        assert!(same_uri(b"http://CA.example/a.crl", b"HTTP://ca.example/a.crl"));
        assert!(!same_uri(b"http://ca.example/a.crl", b"http://ca.example/A.crl"));
        assert!(!same_uri(b"http://ca.example/a.crl", b"http://ca.example/a.crl?x"));
        assert!(!same_uri(b"http://ca.example", b"http://ca.example/"));
    }

    #[test]
    fn names_of_different_forms_are_never_equal() {
        let text = b"http://ca.example/a.crl".to_vec();
        assert!(!OwnedName::Uri(text.clone()).same(&OwnedName::Other(2, text.clone())));
        assert!(!OwnedName::Other(1, text.clone()).same(&OwnedName::Other(2, text)));
    }
}
