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
use super::operation::Operation;
use super::protection::MacKey;
use super::signer::Signer;
use super::state::{Phase, UnderWay};
use super::transaction::Transaction;
use crate::asn1::cmp::general::gen_msg;
use crate::asn1::cmp::{BodyType, InfoTypeAndValue};
use crate::asn1::der::Cursor;
use crate::asn1::oid;
use crate::asn1::pkcs8::algorithm_identifier;
use crate::cms::kem::kem_identifier;
use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

impl Operation {
    /// Asks for the ciphertext.
    pub(super) fn ask_for_ciphertext(&mut self, now: Time) -> Result<(), Error> {
        let question = InfoTypeAndValue { info_type: oid::IT_KEM_CIPHERTEXT_INFO, value: Vec::new() };
        let under_way = UnderWay { body: BodyType::GENM, phase: Phase::Encapsulation, polling: None };
        self.send(under_way, &gen_msg(&question), 2, now)
    }

    /// The ciphertext is here, or the answer is none: the request goes out under the derived key.
    pub(super) fn ciphertext_came(&mut self, items: &[InfoTypeAndValue], now: Time) -> Result<(), Error> {
        let item = items.iter().find(|item| item.info_type == oid::IT_KEM_CIPHERTEXT_INFO && !item.value.is_empty());
        let Some(item) = item else {
            return Err(Error::new(Code::Protocol, "the server encapsulated no secret to the credential's KEM key"));
        };
        let transaction = self.transaction.as_mut().expect("the question was asked in it");
        transaction.kem_ciphertext = Some(item.value.clone());
        transaction.own_mac = Some(derive(&self.context, transaction)?);
        self.begin_request(now)
    }
}

/// The key from the ciphertext of this transaction.
///
/// ```text
/// KemCiphertextInfo ::= SEQUENCE { kem AlgorithmIdentifier, ct OCTET STRING }
/// ```
pub(super) fn derive(context: &Context, transaction: &Transaction) -> Result<MacKey, Error> {
    const WHAT: &str = "KemCiphertextInfo";
    let Credential::Signature { signer: Signer::Key(key), .. } = &context.credential else {
        return Err(Error::new(Code::State, "the credential is no KEM key at hand"));
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
