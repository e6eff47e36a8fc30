//! Whom the owner lets sign, and what a certificate says that its key is for.

use crate::asn1::der::Cursor;
use crate::asn1::name::Name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::{Certificate, read_oid};
use crate::crypto::KeyKind;
use crate::error::Error;
use crate::prelude::*;
use crate::validation::same_name;

/// Who, of those with a path to the CMP anchors, may sign answers. What is said here adds up: who is to sign must be all of
/// it. Who is named, by subject or pin, is authorised by that; a purpose and policies are demanded besides, and authorise nobody.
///
/// Where nothing is said, a signer is authorised that is itself a CMP anchor, or has the purpose cmcCA or cmcRA (RFC 9810
/// section 4.5), or is a CA certificate of the path that issues the device's certificates. CAs confined by name
/// constraints, or to other purposes by extendedKeyUsage, speak for nobody but themselves: neither they nor whom they certify
/// are authorised by purpose or place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignerAuthorisation {
    /// Anyone under the CMP anchors: only where they exist for CMP alone, and no device stands under them.
    pub any_under_anchors: bool,
    /// It must have the purpose cmcCA or cmcRA (RFC 6402).
    pub cmc_purpose: bool,
    /// It must have this subject; of several, all.
    pub subjects: Vec<Name>,
    /// It must be one of these certificates: an RA's, known from a file or from genm caCerts. They still need a valid path
    /// to the CMP anchors.
    pub pins: Option<Vec<Certificate>>,
    /// Its certificate must be issued under one of these policies (certificatePolicies, RFC 5280 section 4.2.1.4), and so must the CA
    /// certificates above it that name policies, or under anyPolicy. Empty: under any.
    pub policies: Vec<Oid>,
}

impl SignerAuthorisation {
    /// Anyone under the CMP anchors.
    pub fn any() -> Self {
        SignerAuthorisation { any_under_anchors: true, ..Self::default() }
    }

    /// Certificates with the purpose cmcCA or cmcRA.
    pub fn by_purpose() -> Self {
        SignerAuthorisation { cmc_purpose: true, ..Self::default() }
    }

    /// The certificate with this subject.
    pub fn named(subject: Name) -> Self {
        SignerAuthorisation { subjects: vec![subject], ..Self::default() }
    }

    /// These certificates.
    pub fn pinned(certificates: Vec<Certificate>) -> Self {
        SignerAuthorisation { pins: Some(certificates), ..Self::default() }
    }

    /// Whether the owner has said who it is. That alone gives somebody authority who has it neither by purpose nor by place; what else is
    /// demanded of a signer takes some away and gives none.
    pub(super) fn is_named(&self) -> bool {
        !self.subjects.is_empty() || self.pins.is_some()
    }

    /// Whether the owner has demanded anything of signers.
    pub(super) fn is_said(&self) -> bool {
        let SignerAuthorisation { any_under_anchors: _, cmc_purpose, subjects: _, pins: _, policies } = self;
        self.is_named() || *cmc_purpose || !policies.is_empty()
    }

    /// What the owner's words have against a signer.
    pub(super) fn against(&self, signer: &Certificate) -> Result<Option<String>, Error> {
        if let Some(pins) = self.pins.as_ref().filter(|pins| !pins.contains(signer)) {
            let is_above = pins.iter().any(|pin| same_name(pin.subject(), signer.issuer()));
            let hint =
                if is_above { ": its issuer is, and it is the signer's own certificate that is pinned" } else { "" };
            return Ok(Some(format!("is none of the {} pinned{hint}", pins.len())));
        }
        if self.cmc_purpose && !has_cmc_purpose(signer)? {
            return Ok(Some("has neither purpose cmcCA nor cmcRA".to_owned()));
        }
        let other = self.subjects.iter().find(|name| !same_name(name.as_der(), signer.subject()));
        Ok(other.map(|name| format!("is not {name}")))
    }
}

/// RFC 9483 section 3.5: digitalSignature, if keyUsage is there.
/// Whether messages can be protected with this certificate's key: it signs, and its keyUsage lets it (RFC 9483 section 3.2), or it is a
/// KEM key, which makes a MAC. What cannot be read is for others to refuse.
pub(crate) fn can_protect(certificate: &Certificate) -> bool {
    let is_kem = KeyKind::of_spki(certificate.spki()).is_ok_and(KeyKind::can_decapsulate);
    is_kem || has_signing_usage(certificate).unwrap_or(true)
}

pub(super) fn has_signing_usage(signer: &Certificate) -> Result<bool, Error> {
    use x509_cert::ext::pkix::KeyUsage;
    let usage: Option<KeyUsage> = signer.decode_extension(oid::CE_KEY_USAGE, "KeyUsage")?;
    Ok(usage.is_none_or(|usage| usage.digital_signature()))
}

/// The purposes of those who answer for a CA (RFC 6402).
pub(super) const CMC: [oid::Oid; 2] = [oid::KP_CMC_CA, oid::KP_CMC_RA];

pub(super) fn has_cmc_purpose(signer: &Certificate) -> Result<bool, Error> {
    has_purpose(signer, &CMC)
}

pub(super) fn has_purpose(signer: &Certificate, wanted: &[oid::Oid]) -> Result<bool, Error> {
    for purpose in wanted {
        if signer.has_purpose(*purpose)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one of these policies stands in the first certificate of a path and in all CA certificates below the anchor that name
/// policies. Mappings are another CA's word, and are not followed.
pub(super) fn is_under(chain: &[Certificate], wanted: &[Oid]) -> Result<bool, Error> {
    if wanted.is_empty() {
        return Ok(true);
    }
    let cas = chain[1..].split_last().map_or(&[][..], |(_, below)| below);
    let mut left = wanted.to_vec();
    for (index, certificate) in chain[..1].iter().chain(cas).enumerate() {
        let Some(named) = named_policies(certificate)? else {
            if index == 0 {
                return Ok(false);
            }
            continue;
        };
        let is_any = index > 0 && named.contains(&oid::ANY_POLICY);
        left.retain(|policy| is_any || named.contains(policy));
    }
    Ok(!left.is_empty())
}

/// The identifiers in certificatePolicies; `None` without it.
fn named_policies(certificate: &Certificate) -> Result<Option<Vec<Oid>>, Error> {
    let Some(extension) = certificate.extension(oid::CE_CERTIFICATE_POLICIES) else { return Ok(None) };
    let mut list = Cursor::sequence(extension.value, "CertificatePolicies")?;
    let mut named = Vec::new();
    while !list.is_empty() {
        let policy = list.expect(::der::Tag::Sequence, "a PolicyInformation")?;
        named.push(read_oid(&mut Cursor::new(policy.value, "PolicyInformation")?)?);
    }
    Ok(Some(named))
}
