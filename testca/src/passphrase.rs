//! Revocation passphrases (RFC 9810 section 5.3.19.9 and appendix B): taken from those whose certificate they are to revoke,
//! and what is asked for under them.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use aws_lc_rs::{agreement, constant_time, digest};

use crate::TestCa;
use crate::certs::Parsed;
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::keys::{Key, key_id};
use crate::mac::mac;
use crate::read::Header;
use crate::tlv::{Node, octets, seq, tlv};

const LOCAL_KEY_ID: &str = "1.2.840.113549.1.9.21";

/// A passphrase, and the serial number of the certificate that it revokes.
pub(crate) struct Passphrase {
    secret: Vec<u8>,
    serial: Vec<u8>,
}

impl TestCa {
    /// Takes the passphrase out of an EncryptedKey. It is for the certificate that signed the message, and for no other.
    pub(crate) fn take_passphrase(&mut self, encrypted: &Node, credential: &Credential) -> Result<(), Refusal> {
        let Credential::Certificate(signer) = credential else {
            return refuse(bit::WRONG_INTEGRITY, "a revocation passphrase that no certificate signed for");
        };
        if !self.issued.contains(signer) {
            return refuse(bit::NOT_AUTHORIZED, "a revocation passphrase for a certificate that was not issued here");
        }
        let serial = Parsed::read(signer)?.serial;
        let (reference, secret) = opened(encrypted, &self.passphrase_holder.key)?;
        if self.passphrases.get(&reference).is_some_and(|known| known.serial != serial) {
            return refuse(bit::NOT_AUTHORIZED, "the reference value is another certificate's");
        }
        self.passphrases.insert(reference, Passphrase { secret, serial });
        Ok(())
    }

    /// The passphrase that protects a message, if any does: rr, and polls for its answer. Nothing else is asked for under it.
    pub(crate) fn passphrase_of(&self, header: &Header, number: u8) -> Option<(String, &[u8])> {
        let is_under_it = |id: &Vec<u8>| {
            self.transactions.get(id).is_some_and(|known| matches!(known.credential, Credential::Passphrase(_)))
        };
        if number != 11 && !(number == 25 && is_under_it(&header.transaction)) {
            return None;
        }
        let reference = String::from_utf8_lossy(header.sender_kid.as_deref()?).into_owned();
        let known = self.passphrases.get(&reference)?;
        Some((reference, &known.secret))
    }

    /// Whether the MAC is the one under the passphrase.
    pub(crate) fn check_passphrase(
        &self,
        header: &Header,
        message: &Node,
        (reference, secret): (String, &[u8]),
    ) -> Result<Credential, Refusal> {
        let protection = message.children.iter().skip(2).find(|c| c.tag == 0xa0);
        let (Some(protection), Some(algorithm)) = (protection, &header.algorithm) else {
            return refuse(bit::BAD_MESSAGE_CHECK, "the request is not protected");
        };
        let protected = seq(&[&message.at(0)?.bytes, &message.at(1)?.bytes]);
        let expected = mac(algorithm, secret, &protected)?;
        constant_time::verify_slices_are_equal(&expected, protection.inner()?.bits()?)
            .or_else(|_| refuse(bit::BAD_MESSAGE_CHECK, "the MAC under the revocation passphrase does not match"))?;
        Ok(Credential::Passphrase(reference))
    }

    /// Whether this passphrase was left for this certificate.
    pub(crate) fn is_passphrase_for(&self, reference: &str, serial: &[u8]) -> bool {
        self.passphrases.get(reference).is_some_and(|known| known.serial == serial)
    }
}

/// Reference value and passphrase out of EnvelopedData with one recipient, by key agreement (RFC 5753).
fn opened(encrypted: &Node, key: &Key) -> Result<(String, Vec<u8>), String> {
    let failed = || "the revocation passphrase cannot be decrypted".to_owned();
    // EncryptedKey: EnvelopedData under [0] IMPLICIT.
    let fields = &encrypted.expect(0xa0, "EnvelopedData")?.children;
    let [version, recipients, content, attributes] = &fields[..] else {
        return Err("EnvelopedData of another form, or no localKeyId".to_owned());
    };
    if version.integer()? != 2 {
        return Err("EnvelopedData with attributes is of version 2".to_owned());
    }
    let attribute = attributes.expect(0xa1, "unprotectedAttrs")?.at(0)?;
    if attribute.at(0)?.oid()? != LOCAL_KEY_ID {
        return Err("the attribute is not localKeyId".to_owned());
    }
    let reference = String::from_utf8_lossy(attribute.at(1)?.at(0)?.value()).into_owned();

    let recipient = recipients.at(0)?.expect(0xa1, "KeyAgreeRecipientInfo")?;
    let [_, originator, ukm, algorithm, keys] = &recipient.children[..] else {
        return Err("KeyAgreeRecipientInfo of another form".to_owned());
    };
    let point = originator.inner()?.expect(0xa1, "originatorKey")?.at(1)?.bits()?;
    if algorithm.at(0)?.oid()? != "1.3.132.1.11.1" {
        return Err("key agreement other than dhSinglePass-stdDH-sha256kdf-scheme".to_owned());
    }
    let wrapped = keys.at(0)?;
    let rid = wrapped.at(0)?.expect(0xa0, "rKeyId")?.at(0)?;
    if rid.value() != key_id(&key.spki) {
        return Err("the passphrase is encrypted to another key".to_owned());
    }

    let own = agreement::PrivateKey::from_private_key_der(&agreement::ECDH_P256, &key.pkcs8).map_err(|_| failed())?;
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
    let secret = agreement::agree(&own, peer, failed(), |secret| Ok(secret.to_vec()))?;
    let wrap = &algorithm.at(1)?.bytes;
    let shared = seq(&[wrap, &tlv(0xa0, &[&ukm.inner()?.bytes]), &tlv(0xa2, &[&octets(&[0, 0, 1, 0])])]);
    let kek = digest::digest(&digest::SHA256, &[&secret[..], &[0, 0, 0, 1], &shared].concat());
    let mut out = vec![0; 40];
    let kek = AesKek::new(&key_wrap::AES_256, kek.as_ref()).map_err(|_| failed())?;
    let content_key = kek.unwrap(wrapped.at(1)?.value(), &mut out).map_err(|_| failed())?;

    let algorithm = content.at(1)?;
    if algorithm.at(0)?.oid()? != "2.16.840.1.101.3.4.1.42" {
        return Err("the passphrase is not encrypted with AES-256-CBC".to_owned());
    }
    let iv = FixedLength::try_from(algorithm.at(1)?.value()).map_err(|_| failed())?;
    let content_key = UnboundCipherKey::new(&AES_256, content_key).map_err(|_| failed())?;
    let content_key = PaddedBlockDecryptingKey::cbc_pkcs7(content_key).map_err(|_| failed())?;
    let mut sealed = content.children.get(2).ok_or_else(failed)?.expect(0x80, "encryptedContent")?.value().to_vec();
    let passphrase = content_key.decrypt(&mut sealed, DecryptionContext::Iv128(iv)).map_err(|_| failed())?;
    Ok((reference, passphrase.to_vec()))
}
