//! Revocation (RFC 9483 section 4.2): whose certificate, by whose word.

use crate::TestCa;
use crate::answer::status_info;
use crate::certs::Parsed;
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::tlv::{Node, seq};

impl TestCa {
    /// One status for each RevDetails, in their order (RFC 9810 section 5.3.10). One is a device's (RFC 9483 section 4.2), several are
    /// an RA's: each is taken or refused by itself.
    pub(crate) fn revocation_requests(
        &mut self,
        content: &Node,
        credential: &Credential,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        if let [details] = &content.children[..] {
            self.revocation_request(details, credential)?;
            return Ok((12, seq(&[&seq(&[&status_info(0, 0, "")])])));
        }
        if content.children.is_empty() {
            return refuse(bit::BAD_REQUEST, "a revocation request without any RevDetails");
        }
        let serials: Vec<_> = content.children.iter().filter_map(|one| one.at(0).ok()?.tagged(0x81)).collect();
        if serials.iter().enumerate().any(|(at, one)| serials[..at].iter().any(|other| other.value() == one.value())) {
            return refuse(bit::BAD_REQUEST, "one certificate twice in a revocation request");
        }
        let status = |details| match self.revocation_request(details, credential) {
            Ok(()) => status_info(0, 0, ""),
            Err(refusal) => status_info(2, 1 << refusal.bit, &refusal.text),
        };
        let statuses: Vec<u8> = content.children.iter().flat_map(status).collect();
        Ok((12, seq(&[&seq(&[&statuses])])))
    }

    pub(crate) fn revocation_request(&mut self, details: &Node, credential: &Credential) -> Result<(), Refusal> {
        let template = details.at(0)?;
        let serial = template.tagged(0x81).ok_or("no serialNumber in certDetails".to_owned())?.value().to_vec();
        let issuer = match credential {
            Credential::Certificate(signer) => {
                let signer = Parsed::read(signer)?;
                // RFC 9483 section 5.3.2: an RA may ask for others.
                if signer.serial != serial && !self.is_own_ra(credential) {
                    return refuse(bit::NOT_AUTHORIZED, "signed by another certificate than the one to revoke");
                }
                signer.issuer
            }
            Credential::Passphrase(reference) if self.is_passphrase_for(reference, &serial) => self.issuing.name(),
            Credential::Passphrase(_) => {
                return refuse(bit::NOT_AUTHORIZED, "the revocation passphrase is for another certificate");
            }
            _ => return refuse(bit::WRONG_INTEGRITY, "a revocation request under a MAC"),
        };
        let is_issued = |der: &Vec<u8>| Parsed::read(der).is_ok_and(|c| c.serial == serial);
        if !self.issued.iter().any(is_issued) || template.tagged(0xa3).is_none_or(|i| i.value() != issuer) {
            return refuse(bit::BAD_CERT_ID, "issuer is missing or is not this CA");
        }
        let reason = match details.children.get(1) {
            Some(list) => {
                let all = crate::certs::read_extensions(list)?;
                let value = all.iter().find(|e| e.0 == "2.5.29.21").map(|e| Node::parse(&e.2)).transpose()?;
                match value.as_ref().map(|node| node.expect(0x0a, "reasonCode").map(Node::value)).transpose()? {
                    Some([reason @ (0..=6 | 8..=10)]) => *reason,
                    Some(other) => {
                        let shown: Vec<String> = other.iter().map(u8::to_string).collect();
                        let text = format!("reasonCode {}, which RFC 5280 does not know", shown.join(" "));
                        return refuse(bit::BAD_DATA_FORMAT, text);
                    }
                    None => 0,
                }
            }
            None => 0,
        };
        let held = self.revoked.iter().find(|revoked| revoked.0 == serial).map(|revoked| revoked.2);
        match (held, reason) {
            // On hold, and taken off it or revoked for good.
            (Some(6), _) => {}
            (Some(_), _) => return refuse(bit::CERT_REVOKED, "the certificate is revoked already"),
            (None, 8) => return refuse(bit::BAD_REQUEST, "the certificate is not on hold"),
            (None, _) => {}
        }
        self.revoke(&serial, reason);
        Ok(())
    }
}
