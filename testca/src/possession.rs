//! Keys that this CA makes for its clients, and proofs of possession other than signatures (RFC 9483 section 4.1.6, RFC 9810
//! section 5.2.8.3).

use crate::TestCa;
use crate::certs::{Holder, Parsed};
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::envelope::{Recipient, encrypted_key, encrypted_value, enveloped, rsa_pkcs1};
use crate::keys::{Key, KeyType, random};
use crate::knobs::Knobs;
use crate::mac::digest_by_name;
use crate::read::Header;
use crate::tlv::{Node, int, octets, oid, seq, tlv};
use crate::trust::allows;

const KEY_ENCIPHERMENT: u8 = 2;
const KEY_AGREEMENT: u8 = 4;
const DATA: &str = "1.2.840.113549.1.7.1";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const KEY_PACKAGE: &str = "2.16.840.1.101.2.1.2.78.5";

/// How a request says that possession is, or will be, proved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Possession {
    /// By a signature in the request.
    Signature,
    /// By confirming a certificate that is sent encrypted.
    EncryptedCertificate,
    /// By answering a challenge.
    Challenge,
}

/// What the popo of a CertReqMsg announces.
pub(crate) fn announced(message: &Node) -> Result<Possession, Refusal> {
    let Some(popo) = message.children.iter().skip(1).find(|c| matches!(c.tag, 0xa2 | 0xa3)) else {
        return Ok(Possession::Signature);
    };
    match popo.inner()?.bytes[..] {
        [0x81, 1, 0] => Ok(Possession::EncryptedCertificate),
        [0x81, 1, 1] => Ok(Possession::Challenge),
        _ => refuse(bit::BAD_POP, "neither encrCert nor challengeResp"),
    }
}

/// The type of key to make, if the template leaves that to this CA.
pub(crate) fn wanted_key(template: &Node) -> Result<Option<KeyType>, Refusal> {
    let Some(key) = template.tagged(0xa6) else { return Ok(Some(KeyType::P256)) };
    if key.at(1)?.expect(0x03, "subjectPublicKey")?.value() != [0] {
        return Ok(None);
    }
    let algorithm = key.at(0)?;
    let curve = algorithm.children.get(1).and_then(|p| p.oid().ok()).unwrap_or_default();
    match (algorithm.at(0)?.oid()?.as_str(), curve.as_str()) {
        ("1.2.840.113549.1.1.1", _) => Ok(Some(KeyType::Rsa2048)),
        ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7") => Ok(Some(KeyType::P256)),
        ("1.2.840.10045.2.1", "1.3.132.0.34") => Ok(Some(KeyType::P384)),
        ("1.3.101.112", _) => Ok(Some(KeyType::Ed25519)),
        (other, _) => refuse(bit::BAD_ALG, format!("keys of type {other} are not made here")),
    }
}

impl TestCa {
    /// EncryptedKey with a key that was made here, for the holder of the request's credential.
    pub(crate) fn wrapped_key(&self, key: &Key, credential: &Credential, knobs: &Knobs) -> Result<Vec<u8>, Refusal> {
        let stranger = Key::generate(KeyType::P256);
        let key = if knobs.other_generated_key { &stranger } else { key };
        let recipient = match credential {
            Credential::Mac(reference) => Recipient::Password(self.secrets.get(reference).cloned().unwrap_or_default()),
            Credential::Passphrase(_) | Credential::Channel => {
                return refuse(bit::BAD_REQUEST, "a key to be made for nobody that is known here");
            }
            Credential::Certificate(der) => {
                let holder = Parsed::read(der)?;
                match holder.key_id() {
                    Some(key_id) => Recipient::identified(&holder.spki, &key_id),
                    None => Recipient::named(&holder.spki, &holder.issuer, &holder.serial),
                }
            }
        };
        let recipient = match recipient {
            Recipient::Password(_) if knobs.other_recipient => Recipient::Password(b"another secret".to_vec()),
            Recipient::Key { rid, .. } if knobs.other_recipient => {
                Recipient::Key { spki: Key::generate(KeyType::P256).spki, rid }
            }
            right => right,
        };
        if let (true, Recipient::Key { spki, .. }) = (knobs.encrypted_value, &recipient) {
            return Ok(bent(encrypted_value(spki, &key.pkcs8)?, knobs));
        }
        let private = Node::parse(&key.pkcs8)?;
        let public = Node::parse(&key.spki)?;
        let public = tlv(0x81, &[public.at(1)?.value()]);
        // OneAsymmetricKey, version 2 (RFC 5958 section 2).
        let one = seq(&[&int(1), &private.at(1)?.bytes, &private.at(2)?.bytes, &public]);
        let (package, inner) =
            if knobs.bare_generated_key { (key.pkcs8.clone(), DATA) } else { (seq(&[&one]), KEY_PACKAGE) };
        let signed = self.signed_key(&package, inner, knobs)?;
        let content_type = match knobs.unsigned_key.as_str() {
            "bare" => KEY_PACKAGE,
            _ if knobs.bare_generated_key => DATA,
            _ => SIGNED_DATA,
        };
        let content = if knobs.unsigned_key == "bare" { seq(&[&one]) } else { signed };
        Ok(bent(encrypted_key(&enveloped(&recipient, content_type, &content, knobs)?), knobs))
    }

    /// SignedData as RFC 9483 section 4.1.6 wants it.
    fn signed_key(&self, package: &[u8], content_type: &str, knobs: &Knobs) -> Result<Vec<u8>, Refusal> {
        let signer: &Holder = match knobs.key_signer.as_str() {
            "issuing" => &self.issuing,
            "no-purpose" => &self.cmp_signer,
            "stranger" => &self.strange_key_authority,
            _ => &self.key_authority,
        };
        let certificate = Parsed::read(&signer.certificate)?;
        let digest_name = match certificate.spki_curve() {
            Some("1.3.132.0.34") => "2.16.840.1.101.3.4.2.2",
            _ if signer.key.algorithm() == seq(&[&oid("1.3.101.112")]) => "2.16.840.1.101.3.4.2.3",
            _ => "2.16.840.1.101.3.4.2.1",
        };
        let digest = digest_by_name(digest_name)?(package);
        let attribute = |kind: &str, value: &[u8]| seq(&[&oid(kind), &tlv(0x31, &[value])]);
        let attributes = [
            attribute("1.2.840.113549.1.9.3", &oid(content_type)),
            attribute("1.2.840.113549.1.9.4", &octets(&digest)),
        ]
        .concat();
        let mut signature = signer.key.sign(&tlv(0x31, &[&attributes]));
        if knobs.unsigned_key == "broken" {
            let last = signature.len() - 1;
            signature[last] ^= 1;
        }
        let algorithm = seq(&[&oid(digest_name)]);
        let info = seq(&[
            &int(3),
            &tlv(0x80, &[&certificate.key_id().unwrap_or_default()]),
            &algorithm,
            &tlv(0xa0, &[&attributes]),
            &signer.key.algorithm(),
            &octets(&signature),
        ]);
        let info = if knobs.unsigned_key == "unsigned" { Vec::new() } else { info };
        let certificates = tlv(0xa0, &[&signer.certificate, &self.issuing.certificate]);
        Ok(seq(&[
            &int(3),
            &tlv(0x31, &[&algorithm]),
            &seq(&[&oid(content_type), &tlv(0xa0, &[&octets(package)])]),
            &certificates,
            &tlv(0x31, &[&info]),
        ]))
    }

    /// EncryptedKey with a certificate, for the holder of its key.
    pub(crate) fn wrapped_certificate(&self, certificate: &[u8], knobs: &Knobs) -> Result<Vec<u8>, Refusal> {
        let issued = Parsed::read(certificate)?;
        let spki = if knobs.other_recipient { Key::generate(KeyType::Rsa2048).spki } else { issued.spki };
        if knobs.encrypted_value {
            return Ok(bent(encrypted_value(&spki, certificate)?, knobs));
        }
        let recipient = Recipient::named(&spki, &issued.issuer, &issued.serial);
        Ok(bent(encrypted_key(&enveloped(&recipient, DATA, certificate, knobs)?), knobs))
    }

    /// popdecc for a key, and the number it hides.
    pub(crate) fn challenge(&self, spki: &[u8], knobs: &Knobs) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let mut number = random(20);
        number[0] = number[0] & 0x7f | 0x40;
        let sender = if knobs.other_challenge_sender {
            crate::certs::common_name("somebody else")
        } else {
            self.signer(&knobs.signer).name()
        };
        let rand = seq(&[&tlv(0x02, &[&number]), &tlv(0xa4, &[&sender])]);
        let mut witness = digest_by_name("2.16.840.1.101.3.4.2.1")?(&number);
        if knobs.wrong_witness {
            witness[0] ^= 1;
        }
        let owf = seq(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let challenge = if knobs.encrypted_value {
            seq(&[&owf, &octets(&witness), &octets(&rsa_pkcs1(spki, &rand)?)])
        } else {
            // RFC 9810 section 5.2.8.3.3: the NULL-DN and the certReqId in place of a certificate.
            let recipient = Recipient::named(spki, &[0x30, 0], &[0]);
            let enveloped = bent(enveloped(&recipient, DATA, &rand, knobs)?, knobs);
            seq(&[&owf, &octets(&witness), &octets(&[]), &tlv(0xa0, &[&enveloped])])
        };
        Ok((seq(&[&challenge]), number))
    }

    /// popdecr: the number must be the one that was hidden.
    pub(crate) fn check_challenge_answer(&mut self, header: &Header, content: &Node) -> Result<(), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let Some(number) = transaction.challenge.take() else {
            return refuse(bit::BAD_REQUEST, "no challenge to answer");
        };
        match &content.children[..] {
            [one] if one.tag == 0x02 && one.value() == number => Ok(()),
            _ => refuse(bit::BAD_POP, "the number is not the one of the challenge"),
        }
    }
}

/// RFC 9483 sections 4.1.6.1 and 4.1.6.2: what a key is encrypted to must be allowed for that.
pub(crate) fn check_may_receive(credential: &Credential) -> Result<(), Refusal> {
    let Credential::Certificate(der) = credential else { return Ok(()) };
    let holder = Parsed::read(der)?;
    let kind = Node::parse(&holder.spki)?.at(0)?.at(0)?.oid()?;
    let (usage, name) = match kind.as_str() {
        "1.2.840.113549.1.1.1" => (KEY_ENCIPHERMENT, "keyEncipherment"),
        "1.2.840.10045.2.1" | "1.3.101.110" => (KEY_AGREEMENT, "keyAgreement"),
        _ => return Ok(()),
    };
    if !allows(&holder, usage) {
        let text = format!("keyUsage of the protection certificate lacks {name}: no key can be sent to it");
        return refuse(bit::NOT_AUTHORIZED, text);
    }
    Ok(())
}

/// With one bit of the ciphertext changed, if that is wished: of the byte a block before the last, so that in CBC the length of the
/// padding becomes one that never fits.
fn bent(mut encrypted: Vec<u8>, knobs: &Knobs) -> Vec<u8> {
    if knobs.broken_envelope {
        if let Some(byte) = encrypted.iter_mut().nth_back(16) {
            *byte ^= 1;
        }
    }
    encrypted
}
