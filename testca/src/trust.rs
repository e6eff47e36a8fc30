//! Who protected a request, and whether that is to be believed (RFC 9483 sections 3.2, 3.3, 3.5).

use std::collections::HashMap;

use crate::TestCa;
use crate::certs::{EXT_KEY_USAGE, Parsed};
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::kem::KEM_BASED_MAC;
use crate::keys::verify;
use crate::mac::{PBM, PBMAC1, check_old, check_sha1, mac, names_pbes2};
use crate::read::Header;
use crate::tlv::{Node, seq};

const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const CMC_RA: &str = "1.3.6.1.5.5.7.3.28";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const DIGITAL_SIGNATURE: u8 = 0;
const KEY_CERT_SIGN: u8 = 5;

impl TestCa {
    pub(crate) fn own_authorities(&self) -> [Vec<u8>; 4] {
        [&self.root, &self.issuing, &self.supplier_root, &self.supplier].map(|h| h.certificate.clone())
    }

    pub(crate) fn check_protection(
        &self,
        header: &Header,
        message: &Node,
        number: u8,
        now: i64,
    ) -> Result<Credential, Refusal> {
        if let Some(algorithm) = &header.algorithm {
            let is_mac = matches!(algorithm.at(0).and_then(Node::oid).as_deref(), Ok(PBM | PBMAC1));
            if is_mac && self.knobs.old_macs {
                check_old(algorithm)?;
            }
            if is_mac && self.knobs.sha1_macs {
                check_sha1(algorithm)?;
            }
            let is_pbmac1 = algorithm.at(0)?.oid()? == PBMAC1;
            if is_pbmac1 && names_pbes2(algorithm) != self.knobs.pbes2_requests {
                return refuse(bit::BAD_ALG, "PBMAC1 without PBKDF2, or without what Bouncy Castle takes for it");
            }
        }
        let is_signed = header
            .algorithm
            .as_ref()
            .is_some_and(|a| !matches!(a.at(0).and_then(Node::oid).as_deref(), Ok(PBM | PBMAC1)));
        if let Some(passphrase) = self.passphrase_of(header, number).filter(|_| !is_signed) {
            return self.check_passphrase(header, message, passphrase);
        }
        let judge = Judge {
            secrets: &self.secrets,
            own: &self.own_authorities(),
            remembered: self.transactions.get(&header.transaction).map(|known| &known.credential),
        };
        if header.algorithm.as_ref().is_some_and(|a| a.at(0).and_then(Node::oid).as_deref() == Ok(KEM_BASED_MAC)) {
            return self.check_kem_mac(header, message);
        }
        let is_bare = !message.children.iter().skip(2).any(|c| c.tag == 0xa0);
        if is_bare && self.knobs.take_unprotected && header.algorithm.is_none() {
            return Ok(Credential::Channel);
        }
        let credential = judge.check_protection(header, message, number, now)?;
        // Who has revoked its own certificate may still poll for the answer; who asks for it again is told by rp.
        if let Credential::Certificate(der) = &credential {
            if !matches!(number, 11 | 25) && self.is_revoked(&Parsed::read(der)?.serial) {
                return refuse(bit::NOT_AUTHORIZED, "the protection certificate is revoked");
            }
        }
        Ok(credential)
    }
}

/// Whom a receiver of requests knows.
pub(crate) struct Judge<'a> {
    /// Reference values and secrets.
    pub(crate) secrets: &'a HashMap<Vec<u8>, Vec<u8>>,
    /// Authorities; the self-signed ones are trusted.
    pub(crate) own: &'a [Vec<u8>],
    /// Who protected the first message of the transaction.
    pub(crate) remembered: Option<&'a Credential>,
}

impl Judge<'_> {
    pub(crate) fn check_protection(
        &self,
        header: &Header,
        message: &Node,
        number: u8,
        now: i64,
    ) -> Result<Credential, Refusal> {
        // The body of ir carries the tag a0 too: protection comes behind it.
        let Some(protection) = message.children.iter().skip(2).find(|c| c.tag == 0xa0) else {
            return refuse(bit::BAD_MESSAGE_CHECK, "the request is not protected");
        };
        let protection = protection.inner()?.bits()?;
        let Some(algorithm) = &header.algorithm else {
            return refuse(bit::BAD_MESSAGE_CHECK, "protection without protectionAlg");
        };
        let protected = seq(&[&message.at(0)?.bytes, &message.at(1)?.bytes]);
        let name = algorithm.at(0)?.oid()?;
        if name == PBM || name == PBMAC1 {
            // A reference value is octets (RFC 9810 section 5.1.1), text or not.
            let reference = header.sender_kid.clone().unwrap_or_default();
            let Some(secret) = self.secrets.get(&reference) else {
                let shown = String::from_utf8_lossy(&reference);
                return refuse(bit::BAD_MESSAGE_CHECK, format!("no secret for reference value \"{shown}\""));
            };
            let expected = mac(algorithm, secret, &protected)?;
            if expected != protection {
                return refuse(bit::BAD_MESSAGE_CHECK, "the MAC does not match");
            }
            // RFC 9483 section 4.1.5: not for kur and rr.
            if matches!(number, 7 | 11) {
                return refuse(bit::WRONG_INTEGRITY, "a key update or revocation under a MAC");
            }
            return Ok(Credential::Mac(reference));
        }
        let mut certificates = Vec::new();
        if let Some(list) = message.children.iter().skip(2).find(|c| c.tag == 0xa1) {
            for certificate in &list.inner()?.children {
                certificates.push(Parsed::read(&certificate.bytes)?);
            }
        }
        // RFC 9483 section 3.3: the protection certificate comes first; it may be left out of certConf and pollReq.
        let signer = match (certificates.first(), self.remembered) {
            (Some(first), _) => first.clone(),
            (None, Some(Credential::Certificate(der))) if matches!(number, 24 | 25) => Parsed::read(der)?,
            _ => return refuse(bit::SIGNER_NOT_TRUSTED, "extraCerts does not begin with the protection certificate"),
        };
        if let (Some(kid), Some(found)) = (&header.sender_kid, signer.key_id()) {
            if *kid != found {
                return refuse(bit::BAD_MESSAGE_CHECK, "senderKID is not the first certificate's subjectKeyIdentifier");
            }
        }
        verify(algorithm, &signer.spki, &protected, protection)
            .map_err(|text| Refusal::new(bit::BAD_MESSAGE_CHECK, text))?;
        if !allows(&signer, DIGITAL_SIGNATURE) {
            return refuse(bit::BAD_MESSAGE_CHECK, "keyUsage of the protection certificate lacks digitalSignature");
        }
        self.trust(&signer, &certificates, now)?;
        Ok(Credential::Certificate(signer.der))
    }

    /// A path of at most four certificates to the supplier's or the operator's root.
    pub(crate) fn trust(&self, signer: &Parsed, others: &[Parsed], now: i64) -> Result<(), Refusal> {
        let own: Vec<Parsed> = self.own.iter().map(|der| Parsed::read(der).expect("made here")).collect();
        let anchors: Vec<&Vec<u8>> = own.iter().filter(|c| c.subject == c.issuer).map(|c| &c.der).collect();
        let mut current = signer.clone();
        for _ in 0..4 {
            let mut issuers = own.iter().chain(others).filter(|i| is_authority(i) && allows(i, KEY_CERT_SIGN));
            let Some(issuer) = issuers.find(|i| current.check_issued_by(i, now).is_ok()) else {
                let text = "no path from the protection certificate to a root of this CA or of the supplier";
                return refuse(bit::SIGNER_NOT_TRUSTED, text);
            };
            if anchors.contains(&&issuer.der) {
                return Ok(());
            }
            current = issuer.clone();
        }
        refuse(bit::SIGNER_NOT_TRUSTED, "the path of the protection certificate is too long")
    }
}

/// Whether keyUsage has this bit, or is absent.
pub(crate) fn allows(certificate: &Parsed, bit: u8) -> bool {
    let Some(value) = certificate.extension(KEY_USAGE) else { return true };
    let octets = Node::parse(value).map(|node| node.value().to_vec()).unwrap_or_default();
    octets.get(1 + usize::from(bit / 8)).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
}

/// Whether basicConstraints say cA.
fn is_authority(certificate: &Parsed) -> bool {
    let value = certificate.extension(BASIC_CONSTRAINTS).and_then(|value| Node::parse(value).ok());
    value.is_some_and(|node| node.at(0).is_ok_and(|first| first.tag == 0x01 && first.value() == [0xff]))
}

/// Whether a certificate is an RA's: purpose cmcRA (RFC 9810 section 4.5).
pub(crate) fn is_ra(certificate: &[u8]) -> bool {
    let purposes = Parsed::read(certificate).ok().and_then(|c| c.extension(EXT_KEY_USAGE).map(<[u8]>::to_vec));
    let purposes = purposes.and_then(|value| Node::parse(&value).ok());
    purposes.is_some_and(|list| list.children.iter().any(|p| p.oid().as_deref() == Ok(CMC_RA)))
}
