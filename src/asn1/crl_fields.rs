//! What stands before and behind the entries of a revocation list (RFC 5280 sections 5.1.2 and 5.2). What can be read counts;
//! whatever is odd is noted, and such a list clears nobody.

use ::der::Tag;

use super::crl::CrlNumber;
use super::der::{Asn1Error, Cursor, Tlv};
use super::distribution_point::{IssuingDistributionPoint, point_url_groups};
use super::name::Name;
use super::oid::{self, Oid};
use super::x509::{Extension, Extensions};
use crate::limits;
use crate::prelude::*;
use crate::time::Time;

/// What stands before the entries.
#[derive(Clone, Debug)]
pub struct CrlHead {
    /// 1 or 2.
    pub version: u8,
    /// The AlgorithmIdentifier inside the signed part.
    pub signature_algorithm: Box<[u8]>,
    /// The issuer's Name, DER.
    pub issuer: Box<[u8]>,
    /// When the list was made.
    pub this_update: Time,
    /// When the next one will be there at the latest.
    pub next_update: Option<Time>,
    /// What is odd among these fields: the list then clears nobody, and those whom it lists are revoked all the same.
    pub(crate) defect: Option<Asn1Error>,
}

impl CrlHead {
    /// Reads from version to nextUpdate. `fields` then stands at revokedCertificates, crlExtensions or the end. Without an
    /// issuer it is nobody's list; whatever else is odd is noted.
    pub(crate) fn read(fields: &mut Cursor<'_>) -> Result<Self, Asn1Error> {
        const WHAT: &str = "TBSCertList";
        let mut defect = None;
        let (before, issuer, behind) = up_to_issuer(fields)?;
        *fields = behind;
        // Section 5.1.2.1: when present, it is v2.
        let (version, signature) = match before.as_slice() {
            [signature] => (1, Some(signature)),
            [version, signature] if version.bytes == [2, 1, 1] => (2, Some(signature)),
            other => {
                note(&mut defect, Asn1Error::invalid(WHAT, "version is there and not 2"));
                (2, other.last())
            }
        };
        if signature.is_none_or(|signature| signature.tag != Tag::Sequence) {
            note(&mut defect, Asn1Error::invalid(WHAT, "no AlgorithmIdentifier before the issuer"));
        }
        let signature_algorithm = signature.map(|signature| signature.bytes.into()).unwrap_or_default();
        let is_time = |fields: &Cursor<'_>| matches!(fields.peek(), Some(Tag::UtcTime | Tag::GeneralizedTime));
        let mut time = |fields: &mut Cursor<'_>, name: &'static str| {
            let found = any_time(&fields.any(name)?);
            if found.is_none() {
                note(&mut defect, Asn1Error::invalid(name, "not a time"));
            }
            Ok::<_, Asn1Error>(found)
        };
        // What stands in its place, whatever its type, but not what follows.
        let is_there =
            !fields.is_empty() && !matches!(fields.peek(), Some(Tag::Sequence | Tag::ContextSpecific { .. }));
        let this_update = if is_there { time(fields, "thisUpdate")? } else { None };
        let next_update = if is_there && is_time(fields) { time(fields, "nextUpdate")? } else { None };
        if !is_there {
            note(&mut defect, Asn1Error::invalid("TBSCertList", "no thisUpdate"));
        }
        // Not known when: as old as can be.
        let this_update = this_update.unwrap_or(Time::from_unix(0));
        Ok(CrlHead { version, signature_algorithm, issuer: issuer.into(), this_update, next_update, defect })
    }
}

/// What stands before the issuer's name, the name, and where what follows begins. The name is what tells where it is: whose list
/// it is must be clear.
#[allow(clippy::type_complexity, reason = "three parts of one list")]
fn up_to_issuer<'a>(fields: &Cursor<'a>) -> Result<(Vec<Tlv<'a>>, &'a [u8], Cursor<'a>), Asn1Error> {
    const MOST: usize = 5;
    let mut rest = fields.clone();
    let mut seen = Vec::new();
    let mut found = None;
    let mut error = None;
    while seen.len() < MOST && !rest.is_empty() && !matches!(rest.peek(), Some(Tag::UtcTime | Tag::GeneralizedTime)) {
        let element = rest.any("issuer")?;
        // Section 5.1.2.3: the issuer field MUST contain a non-empty name. The last that is one: before it there is no other.
        if element.tag == Tag::Sequence && !element.value.is_empty() {
            match Name::from_der(element.bytes) {
                Ok(_) => found = Some((seen.len(), element.bytes, rest.clone())),
                Err(why) => error = Some(why),
            }
        }
        seen.push(element);
    }
    match found {
        Some((count, issuer, behind)) => {
            seen.truncate(count);
            Ok((seen, issuer, behind))
        }
        None => Err(error.unwrap_or_else(|| Asn1Error::invalid("TBSCertList", "issuer without a name"))),
    }
}

/// Keeps the first of several defects.
pub(crate) fn note(defect: &mut Option<Asn1Error>, found: Asn1Error) {
    defect.get_or_insert(found);
}

/// A time in any form that says when: beside those of RFC 5280 without seconds, with a fraction, or as far from UTC.
pub(crate) fn any_time(element: &Tlv<'_>) -> Option<Time> {
    match element.tag {
        Tag::UtcTime => Time::from_utc_time(element.value).or_else(|| {
            // Section 4.1.2.5.1: two digits of the year, from 1950 to 2049.
            let century: &[u8] = if *element.value.first()? < b'5' { b"20" } else { b"19" };
            Time::from_any_form(&[century, element.value].concat())
        }),
        Tag::GeneralizedTime => Time::from_any_form(element.value),
        _ => None,
    }
}

/// What stands behind the entries: the list's extensions.
#[derive(Clone, Debug, Default)]
pub struct CrlTail {
    /// cRLNumber (RFC 5280 section 5.2.3).
    pub number: Option<CrlNumber>,
    /// BaseCRLNumber: this is a delta CRL (section 5.2.4).
    pub base_number: Option<CrlNumber>,
    /// Value of authorityKeyIdentifier (section 5.2.1).
    pub authority_key_identifier: Option<Box<[u8]>>,
    /// A critical extension that is not understood: the list must not be used (section 5.2).
    pub unknown_critical: Option<Oid>,
    /// An extension that is critical and must not be, or the opposite (sections 5.2.1 to 5.2.7).
    pub wrong_criticality: Option<Oid>,
    /// What is odd among the extensions: the list then clears nobody, and those whom it lists are revoked all the same.
    pub(crate) defect: Option<Asn1Error>,
    /// There is a deltaCRLIndicator, whatever is in it.
    pub(crate) is_delta: bool,
    issuing_distribution_point: Option<Box<[u8]>>,
    freshest_crl: Option<Box<[u8]>>,
}

impl CrlTail {
    /// Reads the content of `[0] crlExtensions`, each for itself.
    pub(crate) fn read(content: &[u8]) -> Self {
        const WHAT: &str = "crlExtensions";
        let mut tail = CrlTail::default();
        let mut seen: Vec<Oid> = Vec::new();
        let mut list = match Cursor::sequence(content, WHAT) {
            Ok(list) => list,
            Err(error) => return CrlTail { defect: Some(error), ..tail },
        };
        for count in 1.. {
            if list.is_empty() {
                break;
            }
            if count > limits::MAX_EXTENSIONS {
                note(&mut tail.defect, Asn1Error::too_large(WHAT, "count", limits::MAX_EXTENSIONS, count));
                break;
            }
            let element = match list.any("an Extension") {
                Ok(element) => element,
                Err(error) => {
                    note(&mut tail.defect, error);
                    break;
                }
            };
            match Extensions::single(element.bytes, WHAT) {
                Ok(extension) if seen.contains(&extension.oid) => {
                    note(&mut tail.defect, Asn1Error::invalid(WHAT, "the same extension twice"));
                }
                Ok(extension) => {
                    seen.push(extension.oid);
                    if let Err(error) = tail.take_in(&extension) {
                        note(&mut tail.defect, error);
                    }
                }
                Err(error) => note(&mut tail.defect, error),
            }
        }
        tail
    }

    fn take_in(&mut self, extension: &Extension<'_>) -> Result<(), Asn1Error> {
        let must_be_critical = match extension.oid {
            o if o == oid::CE_DELTA_CRL_INDICATOR || o == oid::CE_ISSUING_DISTRIBUTION_POINT => Some(true),
            o if o == oid::CE_CRL_NUMBER || o == oid::CE_AUTHORITY_KEY_IDENTIFIER => Some(false),
            o if o == oid::CE_FRESHEST_CRL || o == oid::PE_AUTHORITY_INFO_ACCESS => Some(false),
            _ => None,
        };
        if must_be_critical.is_some_and(|rule| rule != extension.critical) {
            self.wrong_criticality = self.wrong_criticality.or(Some(extension.oid));
        }
        match extension.oid {
            // Not critical, and it decides nothing about what the entries say: one that is odd is none.
            o if o == oid::CE_CRL_NUMBER => self.number = CrlNumber::from_der(extension.value).ok(),
            o if o == oid::CE_DELTA_CRL_INDICATOR => {
                self.is_delta = true;
                self.base_number = Some(CrlNumber::from_der(extension.value)?);
            }
            o if o == oid::CE_ISSUING_DISTRIBUTION_POINT => {
                self.issuing_distribution_point = Some(extension.value.into());
                IssuingDistributionPoint::from_der(extension.value)?;
            }
            o if o == oid::CE_AUTHORITY_KEY_IDENTIFIER => self.authority_key_identifier = Some(extension.value.into()),
            // They help to find data and change nothing about what the list says.
            o if o == oid::CE_FRESHEST_CRL => self.freshest_crl = Some(extension.value.into()),
            o if o == oid::CE_ISSUER_ALT_NAME || o == oid::PE_AUTHORITY_INFO_ACCESS => {}
            other if extension.critical => self.unknown_critical = self.unknown_critical.or(Some(other)),
            _ => {}
        }
        Ok(())
    }

    /// Whether entries may be about certificates of other issuers than the list's own; so too where that cannot be read.
    pub(crate) fn is_indirect(&self) -> bool {
        let Some(value) = self.issuing_distribution_point.as_deref() else { return false };
        IssuingDistributionPoint::from_der(value).map_or(true, |point| point.indirect_crl)
    }

    /// The URLs of delta CRLs, point by point (freshestCRL, section 5.2.6).
    pub fn freshest_crl_url_groups(&self) -> Vec<Vec<String>> {
        self.freshest_crl.as_deref().map(point_url_groups).unwrap_or_default()
    }

    /// The value of issuingDistributionPoint as it came.
    pub fn issuing_distribution_point_der(&self) -> Option<&[u8]> {
        self.issuing_distribution_point.as_deref()
    }

    /// The list's scope; `None`: all certificates of the list's issuer, or one that cannot be read, with which it clears nobody.
    pub fn issuing_distribution_point(&self) -> Option<IssuingDistributionPoint<'_>> {
        IssuingDistributionPoint::from_der(self.issuing_distribution_point.as_deref()?).ok()
    }
}
