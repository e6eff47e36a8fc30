//! How a structure is described: just enough of ASN.1 to name what stands where.

use crate::asn1::oid::Oid;

/// One type of an ASN.1 module.
pub(super) enum Shape {
    /// SEQUENCE with named fields.
    Sequence(&'static [Field]),
    /// SEQUENCE OF.
    SequenceOf(&'static Shape),
    /// SET OF.
    SetOf(&'static Shape),
    /// CHOICE.
    Choice(&'static [Field]),
    /// INTEGER that is a version, a count or a length: of a longer one only its length is told.
    Integer,
    /// INTEGER that is a serial number or the number of a list, as long as those are.
    Serial,
    /// INTEGER whose values have names.
    Named(&'static [(i64, &'static str)]),
    /// ENUMERATED; each that is described has values of one octet.
    Enumerated(&'static [(i64, &'static str)]),
    /// BOOLEAN.
    Boolean,
    /// NULL.
    Null,
    /// OBJECT IDENTIFIER.
    Oid,
    /// BIT STRING whose bits have names.
    Bits(&'static [&'static str]),
    /// BIT STRING of bytes.
    BitString,
    /// OCTET STRING.
    OctetString,
    /// An IP address, or one with its mask, in an OCTET STRING.
    Address,
    /// Any of the text types.
    Text,
    /// UTCTime or GeneralizedTime.
    Time,
    /// A distinguished name.
    Name,
    /// AlgorithmIdentifier.
    Algorithm,
    /// What belongs to the OBJECT IDENTIFIER that came before it in the same SEQUENCE.
    ByOid(fn(Oid) -> Option<&'static Shape>),
    /// The same as DER inside an OCTET STRING.
    InsideByOid(fn(Oid) -> Option<&'static Shape>),
    /// A public key: its size is told, its bytes are for those who have validated the certificate.
    PublicKey,
    /// What is public wherever it stands, and cannot be taken for anything else: shown if it fits to the last byte.
    Public(&'static Shape),
    /// Of this type; only its length is told.
    Hidden(&'static Shape),
    /// Of any type; only its length is told.
    Secret,
    /// Shown by its tags and lengths.
    Any,
}

/// A field of a SEQUENCE or an alternative of a CHOICE.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: &'static Shape,
    pub(super) tagging: Tagging,
    pub(super) is_optional: bool,
}

/// How a field is tagged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tagging {
    Plain,
    Explicit(u8),
    Implicit(u8),
}

/// A field without a tag of its own that must be there.
pub(super) const fn field(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape, tagging: Tagging::Plain, is_optional: false }
}

impl Field {
    pub(super) const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    pub(super) const fn explicit(mut self, number: u8) -> Self {
        self.tagging = Tagging::Explicit(number);
        self
    }

    pub(super) const fn implicit(mut self, number: u8) -> Self {
        self.tagging = Tagging::Implicit(number);
        self
    }

    /// Whether an element that begins with this octet may be the field.
    pub(super) fn fits(&self, first: u8) -> bool {
        match self.tagging {
            Tagging::Explicit(number) => first == 0xa0 | number,
            // Constructed or not is the type's affair.
            Tagging::Implicit(number) => first & 0xdf == 0x80 | number,
            Tagging::Plain => self.shape.fits(first),
        }
    }
}

impl Shape {
    /// Whether an element that begins with this octet may be of this type.
    pub(super) fn fits(&self, first: u8) -> bool {
        match self {
            Shape::Sequence(_) | Shape::SequenceOf(_) | Shape::Name | Shape::Algorithm => first == 0x30,
            Shape::SetOf(_) => first == 0x31,
            Shape::Choice(alternatives) => alternatives.iter().any(|a| a.fits(first)),
            Shape::Integer | Shape::Serial | Shape::Named(_) => first == 0x02,
            Shape::Enumerated(_) => first == 0x0a,
            Shape::Boolean => first == 0x01,
            Shape::Null => first == 0x05,
            Shape::Oid => first == 0x06,
            Shape::Bits(_) | Shape::BitString | Shape::PublicKey => first == 0x03,
            Shape::OctetString | Shape::Address | Shape::InsideByOid(_) => first == 0x04,
            Shape::Text => matches!(first, 0x0c | 0x12..=0x16 | 0x1a..=0x1c | 0x1e),
            Shape::Time => matches!(first, 0x17 | 0x18),
            Shape::Public(of) | Shape::Hidden(of) => of.fits(first),
            Shape::ByOid(_) | Shape::Secret | Shape::Any => true,
        }
    }

    /// The type in words, for what was expected.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Shape::Sequence(_) | Shape::SequenceOf(_) => "a SEQUENCE",
            Shape::SetOf(_) => "a SET",
            Shape::Choice(_) => "one of the alternatives",
            Shape::Integer | Shape::Serial | Shape::Named(_) => "an INTEGER",
            Shape::Enumerated(_) => "an ENUMERATED",
            Shape::Boolean => "a BOOLEAN",
            Shape::Null => "NULL",
            Shape::Oid => "an OBJECT IDENTIFIER",
            Shape::Bits(_) | Shape::BitString | Shape::PublicKey => "a BIT STRING",
            Shape::OctetString | Shape::Address | Shape::InsideByOid(_) => "an OCTET STRING",
            Shape::Text => "a text",
            Shape::Time => "a time",
            Shape::Name => "a name",
            Shape::Algorithm => "an AlgorithmIdentifier",
            Shape::Public(of) | Shape::Hidden(of) => of.words(),
            Shape::ByOid(_) | Shape::Secret | Shape::Any => "anything",
        }
    }
}
