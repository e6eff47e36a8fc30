//! Why a certificate is revoked (RFC 5280 section 5.3.1).

use core::fmt;

use super::der::Asn1Error;

/// Why a certificate is on a list (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrlReason {
    /// No reason given, or `unspecified (0)`.
    Unspecified,
    /// `keyCompromise (1)`.
    KeyCompromise,
    /// `cACompromise (2)`.
    CaCompromise,
    /// `affiliationChanged (3)`.
    AffiliationChanged,
    /// `superseded (4)`.
    Superseded,
    /// `cessationOfOperation (5)`.
    CessationOfOperation,
    /// `certificateHold (6)`: revoked as long as it stands there.
    CertificateHold,
    /// `removeFromCRL (8)`: in delta CRLs, no longer on hold.
    RemoveFromCrl,
    /// `privilegeWithdrawn (9)`.
    PrivilegeWithdrawn,
    /// `aACompromise (10)`.
    AaCompromise,
    /// A number without meaning in the standard; the certificate is revoked all the same.
    Other(u8),
}

impl CrlReason {
    /// From the number of the ENUMERATED.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => CrlReason::Unspecified,
            1 => CrlReason::KeyCompromise,
            2 => CrlReason::CaCompromise,
            3 => CrlReason::AffiliationChanged,
            4 => CrlReason::Superseded,
            5 => CrlReason::CessationOfOperation,
            6 => CrlReason::CertificateHold,
            8 => CrlReason::RemoveFromCrl,
            9 => CrlReason::PrivilegeWithdrawn,
            10 => CrlReason::AaCompromise,
            other => CrlReason::Other(other),
        }
    }

    /// The number of the ENUMERATED.
    pub const fn number(self) -> u8 {
        match self {
            CrlReason::Unspecified => 0,
            CrlReason::KeyCompromise => 1,
            CrlReason::CaCompromise => 2,
            CrlReason::AffiliationChanged => 3,
            CrlReason::Superseded => 4,
            CrlReason::CessationOfOperation => 5,
            CrlReason::CertificateHold => 6,
            CrlReason::RemoveFromCrl => 8,
            CrlReason::PrivilegeWithdrawn => 9,
            CrlReason::AaCompromise => 10,
            CrlReason::Other(number) => number,
        }
    }

    /// From a CRLReason, DER: an ENUMERATED that fits a byte.
    pub fn from_der(value: &[u8]) -> Result<Self, Asn1Error> {
        match value {
            [0x0a, 0x01, number] if *number < 0x80 => Ok(Self::from_number(*number)),
            [0x0a, 0x02, 0x00, number] if *number >= 0x80 => Ok(Self::from_number(*number)),
            _ => Err(Asn1Error::invalid("CRLReason", "not an ENUMERATED between 0 and 255")),
        }
    }
}

impl fmt::Display for CrlReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CrlReason::Unspecified => "unspecified",
            CrlReason::KeyCompromise => "keyCompromise",
            CrlReason::CaCompromise => "cACompromise",
            CrlReason::AffiliationChanged => "affiliationChanged",
            CrlReason::Superseded => "superseded",
            CrlReason::CessationOfOperation => "cessationOfOperation",
            CrlReason::CertificateHold => "certificateHold",
            CrlReason::RemoveFromCrl => "removeFromCRL",
            CrlReason::PrivilegeWithdrawn => "privilegeWithdrawn",
            CrlReason::AaCompromise => "aACompromise",
            CrlReason::Other(number) => return write!(f, "number {number}"),
        })
    }
}
