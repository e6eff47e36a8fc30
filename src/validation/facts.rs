//! The extensions of one certificate that path validation acts on, read once and strictly.

use ::der::Tag;

use super::checks::KeyUsage;
use super::constraints;
use crate::asn1::Asn1Error;
use crate::asn1::der::Cursor;
use crate::asn1::general_name::{GeneralName, GeneralNames};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::{Certificate, RawExtension, hex, read_oid_content};
use crate::prelude::*;

/// What a certificate's extensions say; absent differs from empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts<'a> {
    pub basic_constraints: Option<BasicConstraints>,
    /// Bit n of the KeyUsage as `1 << n`.
    pub key_usage: Option<u16>,
    /// The whole SEQUENCE OF KeyPurposeId.
    pub extended_key_usage: Option<&'a [u8]>,
    pub subject_alt_name: Option<&'a [u8]>,
    pub name_constraints: Option<&'a [u8]>,
    pub certificate_policies: Option<&'a [u8]>,
    pub policy_mappings: Option<&'a [u8]>,
    pub policy_constraints: Option<PolicyConstraints>,
    pub inhibit_any_policy: Option<u32>,
    /// keyIdentifier of the authorityKeyIdentifier.
    pub authority_key_id: Option<&'a [u8]>,
    /// noRevAvail (RFC 9608).
    pub no_rev_avail: bool,
    /// What says where status data is: what a certificate with noRevAvail must not have.
    pub status_pointer: Option<&'static str>,
    /// An extension that gives nothing and takes nothing cannot be read: a path is built and judged without it.
    pub has_unread: bool,
    unknown_critical: Vec<&'a [u8]>,
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy, Debug)]
pub(super) struct BasicConstraints {
    pub ca: bool,
    pub path_len: Option<u32>,
}

/// policyConstraints (RFC 5280 section 4.2.1.11).
#[derive(Clone, Copy, Debug)]
pub(super) struct PolicyConstraints {
    pub require_explicit: Option<u32>,
    pub inhibit_mapping: Option<u32>,
}

impl<'a> Facts<'a> {
    /// Reads all extensions. One that is known must be well-formed, whether it is critical or not, and whether the
    /// checks asked for need it or not: a malformed one is what two readers read differently. But for those that only help (key
    /// identifiers, where issuers and status are found, names of the issuer): one that is not critical is as if it were not there.
    pub(super) fn read(certificate: &'a Certificate) -> Result<Self, Asn1Error> {
        let mut facts = Facts::default();
        for extension in certificate.raw_extensions() {
            facts.take_or_pass_over(extension)?;
        }
        Ok(facts)
    }

    /// The same without alternative names: for a signer of status data, whose names nobody asks about.
    pub(super) fn read_but_names(certificate: &'a Certificate) -> Result<Self, Asn1Error> {
        let mut facts = Facts::default();
        let named = [oid::CE_SUBJECT_ALT_NAME, oid::CE_ISSUER_ALT_NAME];
        for extension in certificate.raw_extensions().filter(|e| named.iter().all(|n| n.as_bytes() != e.oid)) {
            facts.take_or_pass_over(extension)?;
        }
        Ok(facts)
    }

    /// The first critical extension that is understood neither here nor by the caller, for people.
    pub(super) fn unknown_critical(&self, recognised: &[Oid]) -> Option<String> {
        let is_unknown = |content: &&&[u8]| !recognised.iter().any(|known| known.as_bytes() == **content);
        let content = *self.unknown_critical.iter().find(is_unknown)?;
        Some(Oid::from_bytes(content).map_or_else(|_| hex(content), |oid| oid.to_string()))
    }

    /// Whether the certificate may be used to sign certificates by its own words.
    pub(super) fn allows(&self, usage: KeyUsage) -> bool {
        self.key_usage.is_none_or(|bits| bits & usage.mask() != 0)
    }

    /// Whether no extension takes part in policy processing.
    pub(super) fn says_nothing_of_policies(&self) -> bool {
        self.certificate_policies.is_none()
            && self.policy_mappings.is_none()
            && self.policy_constraints.is_none()
            && self.inhibit_any_policy.is_none()
    }

    /// The purposes of extKeyUsage; `None` where there is no restriction.
    pub(super) fn purposes(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let mut cursor = Cursor::sequence(self.extended_key_usage?, "ExtKeyUsageSyntax").ok()?;
        Some(core::iter::from_fn(move || {
            if cursor.is_empty() { None } else { cursor.any("a KeyPurposeId").ok().map(|oid| oid.value) }
        }))
    }

    fn take_or_pass_over(&mut self, extension: RawExtension<'a>) -> Result<(), Asn1Error> {
        let (only_helps, is_critical) = (only_helps(extension.oid), extension.critical);
        match self.take(extension) {
            Err(_) if only_helps && !is_critical => {
                self.has_unread = true;
                Ok(())
            }
            taken => taken,
        }
    }

    fn take(&mut self, extension: RawExtension<'a>) -> Result<(), Asn1Error> {
        let value = extension.value;
        match extension.oid {
            // id-ce, 2.5.29
            [0x55, 0x1d, arc] => match arc {
                14 => {
                    let mut cursor = Cursor::new(value, "SubjectKeyIdentifier")?;
                    cursor.expect(Tag::OctetString, "a key identifier")?;
                    cursor.finish()?;
                }
                15 => self.key_usage = Some(read_key_usage(value)?),
                17 => {
                    check_names(GeneralNames::parse(value, "SubjectAltName")?)?;
                    self.subject_alt_name = Some(value);
                }
                18 => check_names(GeneralNames::parse(value, "IssuerAltName")?)?,
                19 => self.basic_constraints = Some(read_basic_constraints(value)?),
                30 => {
                    constraints::check_form(value)?;
                    self.name_constraints = Some(value);
                }
                31 | 46 => {
                    self.status_pointer = Some(if *arc == 31 { "cRLDistributionPoints" } else { "freshestCRL" });
                    check_distribution_points(value)?;
                }
                32 => self.certificate_policies = Some(value),
                33 => self.policy_mappings = Some(value),
                35 => self.authority_key_id = read_authority_key_id(value)?,
                36 => self.policy_constraints = Some(read_policy_constraints(value)?),
                37 => {
                    check_purposes(value)?;
                    self.extended_key_usage = Some(value);
                }
                54 => {
                    let mut cursor = Cursor::new(value, "InhibitAnyPolicy")?;
                    self.inhibit_any_policy =
                        Some(small_number(cursor.expect(Tag::Integer, "SkipCerts")?.value, "InhibitAnyPolicy")?);
                    cursor.finish()?;
                }
                56 => {
                    if value != [0x05, 0x00] {
                        return Err(Asn1Error::invalid("NoRevAvail", "not NULL"));
                    }
                    self.no_rev_avail = true;
                }
                _ => self.note_unknown(&extension),
            },
            // id-pe-authorityInfoAccess and id-pe-subjectInfoAccess, 1.3.6.1.5.5.7.1.1 and .11
            [0x2b, 6, 1, 5, 5, 7, 1, last @ (1 | 11)] => {
                if check_access_descriptions(value)? && *last == 1 {
                    self.status_pointer = Some("authorityInfoAccess with a responder");
                }
            }
            // id-pkix-ocsp-nocheck, 1.3.6.1.5.5.7.48.1.5: understood, and critical where an issuer makes it so (RFC 6960
            // section 4.2.2.2.1: SHOULD be non-critical).
            [0x2b, 6, 1, 5, 5, 7, 48, 1, 5] => {}
            _ => self.note_unknown(&extension),
        }
        Ok(())
    }

    fn note_unknown(&mut self, extension: &RawExtension<'a>) {
        if extension.critical {
            self.unknown_critical.push(extension.oid);
        }
    }
}

/// subjectKeyIdentifier, issuerAltName, cRLDistributionPoints, freshestCRL; authorityInfoAccess and subjectInfoAccess.
fn only_helps(oid: &[u8]) -> bool {
    matches!(oid, [0x55, 0x1d, 14 | 18 | 31 | 46] | [0x2b, 6, 1, 5, 5, 7, 1, 1 | 11])
}

/// What a certificate on a path, whose extensions have been read there, says of its key's use.
pub(super) fn key_usage_of(certificate: &Certificate) -> Result<Option<u16>, Asn1Error> {
    certificate.extension(oid::CE_KEY_USAGE).map(|extension| read_key_usage(extension.value)).transpose()
}

fn read_key_usage(der: &[u8]) -> Result<u16, Asn1Error> {
    const WHAT: &str = "KeyUsage";
    let mut cursor = Cursor::new(der, WHAT)?;
    let content = cursor.expect(Tag::BitString, "a BIT STRING")?.value;
    cursor.finish()?;
    match content {
        [0] => Ok(0),
        [unused @ 0..=7, bits @ ..] if (1..=2).contains(&bits.len()) => {
            let last = bits[bits.len() - 1];
            if last & ((1u8 << unused) - 1) != 0 {
                return Err(Asn1Error::invalid(WHAT, "unused bits that are not zero"));
            }
            let second = bits.get(1).copied().unwrap_or(0);
            Ok(u16::from(bits[0].reverse_bits()) | u16::from(second.reverse_bits()) << 8)
        }
        _ => Err(Asn1Error::invalid(WHAT, "not a BIT STRING of at most nine bits")),
    }
}

fn read_basic_constraints(der: &[u8]) -> Result<BasicConstraints, Asn1Error> {
    const WHAT: &str = "BasicConstraints";
    let mut fields = Cursor::sequence(der, WHAT)?;
    let ca = match fields.optional(Tag::Boolean)?.map(|b| b.value) {
        None | Some([0x00]) => false,
        Some([0xff]) => true,
        Some(_) => return Err(Asn1Error::invalid(WHAT, "cA is not a BOOLEAN of DER")),
    };
    let path_len = fields.optional(Tag::Integer)?.map(|n| small_number(n.value, WHAT)).transpose()?;
    fields.finish()?;
    Ok(BasicConstraints { ca, path_len })
}

fn read_policy_constraints(der: &[u8]) -> Result<PolicyConstraints, Asn1Error> {
    const WHAT: &str = "PolicyConstraints";
    let mut fields = Cursor::sequence(der, WHAT)?;
    let require_explicit = fields.optional_context(0, false)?.map(|n| small_number(n.value, WHAT)).transpose()?;
    let inhibit_mapping = fields.optional_context(1, false)?.map(|n| small_number(n.value, WHAT)).transpose()?;
    fields.finish()?;
    if require_explicit.is_none() && inhibit_mapping.is_none() {
        // RFC 5280 section 4.2.1.11: MUST NOT be an empty sequence.
        return Err(Asn1Error::invalid(WHAT, "an empty sequence"));
    }
    Ok(PolicyConstraints { require_explicit, inhibit_mapping })
}

fn read_authority_key_id(der: &[u8]) -> Result<Option<&[u8]>, Asn1Error> {
    const WHAT: &str = "AuthorityKeyIdentifier";
    let mut fields = Cursor::sequence(der, WHAT)?;
    let key_id = fields.optional_context(0, false)?.map(|id| id.value);
    if let Some(names) = fields.optional_context(1, true)? {
        check_names(GeneralNames::from_content(names.value, WHAT)?)?;
    }
    fields.optional_context(2, false)?;
    fields.finish()?;
    Ok(key_id)
}

/// At least one purpose, and object identifiers throughout (RFC 5280 section 4.2.1.12).
fn check_purposes(der: &[u8]) -> Result<(), Asn1Error> {
    const WHAT: &str = "ExtKeyUsageSyntax";
    let mut cursor = Cursor::sequence(der, WHAT)?;
    if cursor.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "an empty list of purposes"));
    }
    while !cursor.is_empty() {
        cursor.expect(Tag::ObjectIdentifier, "a KeyPurposeId")?;
    }
    Ok(())
}

fn check_names(names: GeneralNames<'_>) -> Result<(), Asn1Error> {
    for name in names {
        if let GeneralName::Ip(address) = name? {
            if !matches!(address.len(), 4 | 16) {
                return Err(Asn1Error::invalid("GeneralName", "an iPAddress of other than 4 or 16 octets"));
            }
        }
    }
    Ok(())
}

/// CRLDistributionPoints and FreshestCRL (RFC 5280 section 4.2.1.13): the shape; revocation reads the rest.
fn check_distribution_points(der: &[u8]) -> Result<(), Asn1Error> {
    const WHAT: &str = "CRLDistributionPoints";
    let mut points = Cursor::sequence(der, WHAT)?;
    if points.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "an empty list of points"));
    }
    while !points.is_empty() {
        let mut fields = Cursor::new(points.expect(Tag::Sequence, "a DistributionPoint")?.value, WHAT)?;
        fields.optional_context(0, true)?;
        fields.optional_context(1, false)?;
        fields.optional_context(2, true)?;
        fields.finish()?;
    }
    Ok(())
}

/// AuthorityInfoAccessSyntax and SubjectInfoAccessSyntax (RFC 5280 section 4.2.2.1); whether an OCSP responder is named.
fn check_access_descriptions(der: &[u8]) -> Result<bool, Asn1Error> {
    const WHAT: &str = "InfoAccessSyntax";
    let mut descriptions = Cursor::sequence(der, WHAT)?;
    if descriptions.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "an empty list of descriptions"));
    }
    let mut names_responder = false;
    while !descriptions.is_empty() {
        let mut fields = Cursor::new(descriptions.expect(Tag::Sequence, "an AccessDescription")?.value, WHAT)?;
        names_responder |= read_oid_content(&mut fields)? == oid::AD_OCSP.as_bytes();
        GeneralName::read(&mut fields)?;
        fields.finish()?;
    }
    Ok(names_responder)
}

/// An INTEGER (0..MAX); what does not fit is as good as unlimited for the length of a path.
fn small_number(content: &[u8], structure: &'static str) -> Result<u32, Asn1Error> {
    match content {
        [] => Err(Asn1Error::invalid(structure, "an INTEGER without content")),
        [first, ..] if first & 0x80 != 0 => Err(Asn1Error::invalid(structure, "a negative number")),
        [0, second, ..] if second & 0x80 == 0 => Err(Asn1Error::invalid(structure, "an INTEGER with a leading zero")),
        _ => Ok(content.iter().fold(0u32, |n, b| if n > u32::MAX >> 8 { u32::MAX } else { n << 8 | u32::from(*b) })),
    }
}
