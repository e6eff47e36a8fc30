//! MAC-based protection with a KEM key (RFC 9810 section 5.1.3.4): who owns the key asks the server to encapsulate a secret to
//! its certificate, and protects its messages with what is derived from that.
//!
//! ```text
//!   genm KemCiphertextInfo, no value, unprotected, the certificate in extraCerts ->
//!                                              <- genp KemCiphertextInfo, unprotected
//!   request, protectionAlg KemBasedMac ->
//! ```
//!
//! The ciphertext is nobody's word: whoever gives a wrong one gets messages that the server refuses. Answers are believed by
//! their signature, as always (appendix E, figure 3).

use ::der::Tag;

use super::context::Context;
use super::credential::Credential;
use super::protection::MacKey;
use super::transaction::Transaction;
use crate::asn1::der::Cursor;
use crate::asn1::pkcs8::algorithm_identifier;
use crate::cms::kem::kem_identifier;
use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::crypto::Signer;
use crate::error::Error;

/// The key from the ciphertext of this transaction.
///
/// ```text
/// KemCiphertextInfo ::= SEQUENCE { kem AlgorithmIdentifier, ct OCTET STRING }
/// ```
pub(super) fn derive(context: &Context, transaction: &Transaction) -> Result<MacKey, Error> {
    const WHAT: &str = "KemCiphertextInfo";
    let Credential::Signature { signer: Signer::Key(key), .. } = &context.credential else {
        return Err(Error::new(Code::State, "the credential is not a KEM key at hand"));
    };
    let info = transaction.kem_ciphertext.as_deref().unwrap_or_default();
    let mut fields = Cursor::sequence(info, WHAT)?;
    let (kem, _) = algorithm_identifier(fields.expect(Tag::Sequence, "kem")?)?;
    let ciphertext = fields.expect(Tag::OctetString, "ct")?.value;
    fields.finish()?;
    if kem != kem_identifier(key.kind())? {
        return Err(CryptoError::Unsupported(format!("the KEM {kem} with a key of type {}", key.kind())).into());
    }
    let secret = key.decapsulate(ciphertext)?;
    Ok(MacKey::of_kem(&*context.provider, &secret, &transaction.id)?)
}
