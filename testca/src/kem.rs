//! Clients whose credential is a KEM key (RFC 9810 section 5.1.3.4): a secret is encapsulated to it, and what they send is
//! protected by a MAC under what is derived from that.

use aws_lc_rs::hmac;

use crate::TestCa;
use crate::certs::Parsed;
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::envelope::{encapsulate, hkdf_sha256};
use crate::read::Header;
use crate::tlv::{Node, octets, oid, seq, utf8};
use crate::trust::Judge;

pub(crate) const KEM_BASED_MAC: &str = "1.2.840.113533.7.66.16";
const CIPHERTEXT_INFO: &str = "1.3.6.1.5.5.7.4.24";

/// Whether this is the unprotected question for a ciphertext.
pub(crate) fn is_question(header: &Header, body: &Node, message: &Node) -> bool {
    let asked = body.inner().and_then(|content| content.at(0)?.at(0)?.oid()).is_ok_and(|kind| kind == CIPHERTEXT_INFO);
    let is_bare = !message.children.iter().skip(2).any(|c| c.tag == 0xa0);
    body.tag == 0xb5 && asked && is_bare && header.algorithm.is_none()
}

impl TestCa {
    /// Encapsulates a secret to the certificate in extraCerts; genp's content.
    pub(crate) fn encapsulated(&mut self, header: &Header, message: &Node, now: i64) -> Result<(u8, Vec<u8>), Refusal> {
        let Some(list) = message.children.iter().skip(2).find(|c| c.tag == 0xa1) else {
            return refuse(bit::SIGNER_NOT_TRUSTED, "no KEM certificate in extraCerts");
        };
        let mut certificates = Vec::new();
        for certificate in &list.inner()?.children {
            certificates.push(Parsed::read(&certificate.bytes)?);
        }
        let Some(holder) = certificates.first().cloned() else {
            return refuse(bit::SIGNER_NOT_TRUSTED, "no KEM certificate in extraCerts");
        };
        let own = self.own_authorities();
        let judge = Judge { secrets: &self.secrets, own: &own, remembered: None };
        judge.trust(&holder, &certificates, now)?;
        let (mut ciphertext, secret) = encapsulate(&holder.spki)?;
        if self.knobs.broken_envelope {
            ciphertext[0] ^= 1;
        }
        let kem = Node::parse(&holder.spki)?.at(0)?.bytes.clone();
        self.kem_secrets.insert(header.transaction.clone(), (holder.der, secret));
        let value = if self.knobs.no_ciphertext { Vec::new() } else { seq(&[&kem, &octets(&ciphertext)]) };
        Ok((22, seq(&[&seq(&[&oid(CIPHERTEXT_INFO), &value])])))
    }

    /// KemBasedMac with HKDF and HMAC of SHA-256.
    pub(crate) fn check_kem_mac(&self, header: &Header, message: &Node) -> Result<Credential, Refusal> {
        let Some((holder, secret)) = self.kem_secrets.get(&header.transaction) else {
            return refuse(bit::BAD_MESSAGE_CHECK, "no secret was encapsulated in this transaction");
        };
        let parameters = header.algorithm.as_ref().ok_or("no protectionAlg".to_owned())?.at(1)?;
        let kdf = parameters.at(0)?.at(0)?.oid()?;
        let mac = parameters.at(2)?.at(0)?.oid()?;
        if kdf != "1.2.840.113549.1.9.16.3.28" || parameters.at(1)?.integer()? != 32 || mac != "1.2.840.113549.2.9" {
            return refuse(bit::BAD_ALG, "KemBasedMac with other algorithms than HKDF and HMAC of SHA-256");
        }
        let info = seq(&[&seq(&[&utf8("CMP-KEM")]), &octets(&header.transaction)]);
        let key = hkdf_sha256(secret, &info);
        let Some(protection) = message.children.iter().skip(2).find(|c| c.tag == 0xa0) else {
            return refuse(bit::BAD_MESSAGE_CHECK, "the request is not protected");
        };
        let protected = seq(&[&message.at(0)?.bytes, &message.at(1)?.bytes]);
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &protected, protection.inner()?.bits()?)
            .or_else(|_| refuse(bit::BAD_MESSAGE_CHECK, "the MAC under the encapsulated secret does not match"))?;
        Ok(Credential::Certificate(holder.clone()))
    }
}
