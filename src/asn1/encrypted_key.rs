//! EncryptedKey of CRMF: what is sent encrypted to a key (RFC 4211 section 2.1, RFC 9810 section 5.2.2). The module's tags
//! are IMPLICIT.

use ::der::Tag;

use super::der::{Asn1Error, Cursor, Tlv, context};
use super::fields::bit_string;
use super::oid::Oid;
use super::pkcs8::algorithm_identifier;

/// `EncryptedKey ::= CHOICE { encryptedValue EncryptedValue, envelopedData [0] EnvelopedData }`
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack, and gone at once")]
pub enum EncryptedKey<'a> {
    /// The content of EnvelopedData, without tag and length.
    Enveloped(&'a [u8]),
    /// The deprecated form.
    Value(EncryptedValue<'a>),
}

/// ```text
/// EncryptedValue ::= SEQUENCE {
///     intendedAlg  [0] AlgorithmIdentifier  OPTIONAL,
///     symmAlg      [1] AlgorithmIdentifier  OPTIONAL,
///     encSymmKey   [2] BIT STRING           OPTIONAL,
///     keyAlg       [3] AlgorithmIdentifier  OPTIONAL,
///     valueHint    [4] OCTET STRING         OPTIONAL,
///     encValue     BIT STRING }
/// ```
///
/// All fields but the last may be missing; who opens it says which ones it needs.
#[derive(Clone, Copy, Debug)]
pub struct EncryptedValue<'a> {
    /// How `value` is encrypted, with its parameters.
    pub symm_alg: Option<(Oid, Option<Tlv<'a>>)>,
    /// The key of that, encrypted.
    pub enc_symm_key: Option<&'a [u8]>,
    /// How that key is encrypted.
    pub key_alg: Option<(Oid, Option<Tlv<'a>>)>,
    /// The encrypted content.
    pub value: &'a [u8],
}

impl<'a> EncryptedKey<'a> {
    /// From the DER of the CHOICE.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "EncryptedKey";
        let mut choice = Cursor::new(der, WHAT)?;
        let field = choice.any("EncryptedValue or EnvelopedData")?;
        choice.finish()?;
        match field.tag {
            Tag::Sequence => EncryptedValue::read(field.value).map(EncryptedKey::Value),
            tag if tag == context(0, true) => Ok(EncryptedKey::Enveloped(field.value)),
            _ => Err(Asn1Error::invalid(WHAT, "neither EncryptedValue nor EnvelopedData [0]")),
        }
    }
}

impl<'a> EncryptedValue<'a> {
    fn read(content: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "EncryptedValue";
        let mut fields = Cursor::new(content, WHAT)?;
        fields.optional_context(0, true)?;
        let symm_alg = fields.optional_context(1, true)?.map(algorithm_identifier).transpose()?;
        let enc_symm_key = fields.optional_context(2, false)?;
        let enc_symm_key = enc_symm_key.map(|f| bit_string(f, WHAT, "encSymmKey has unused bits")).transpose()?;
        let key_alg = fields.optional_context(3, true)?.map(algorithm_identifier).transpose()?;
        fields.optional_context(4, false)?;
        let value = bit_string(fields.expect(Tag::BitString, "encValue")?, WHAT, "encValue has unused bits")?;
        fields.finish()?;
        Ok(EncryptedValue { symm_alg, enc_symm_key, key_alg, value })
    }
}
