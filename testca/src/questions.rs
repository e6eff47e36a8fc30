//! Questions to the CA, and what is told (RFC 9483 section 4.3).

use crate::TestCa;
use crate::certs::Profile;
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::keys::KeyType;
use crate::tlv::{Node, int, oid, seq, tlv, unix_of};

impl TestCa {
    pub(crate) fn general_message(
        &mut self,
        content: &Node,
        credential: &Credential,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let [item, ..] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "a genm without a question");
        };
        let kind = item.at(0)?.oid()?;
        // RFC 9483 section 4.3 and currentCRL; anything else is answered without a value.
        let (kind, value) = match kind.strip_prefix("1.3.6.1.5.5.7.4.") {
            Some("6") => (kind, self.crl(now)),
            Some("12") => {
                self.take_passphrase(item.at(1)?, credential)?;
                (kind, Vec::new())
            }
            // RFC 9483 section 4.3.1.
            Some("17") if item.children.len() > 1 => {
                return refuse(bit::BAD_DATA_FORMAT, "a question for caCerts with a value");
            }
            Some("17") => (kind, seq(&[&self.issuing.certificate, &self.ra_certificates.concat()])),
            Some("19") => (kind, request_template()),
            Some("20") => ("1.3.6.1.5.5.7.4.18".to_owned(), self.root_update(now)),
            Some("22") => {
                let status = item.at(1)?.at(0)?;
                if status.children.is_empty() {
                    return refuse(bit::BAD_DATA_FORMAT, "a CRLStatus that names no list");
                }
                let known = status.children.get(1).map(|t| String::from_utf8_lossy(t.value()).into_owned());
                let known = known.map(|t| unix_of(&if t.len() == 13 { format!("20{t}") } else { t })).transpose()?;
                let is_newer = known.is_none_or(|known| known < now - 60);
                ("1.3.6.1.5.5.7.4.23".to_owned(), if is_newer { seq(&[&self.crl(now)]) } else { Vec::new() })
            }
            _ => (kind, Vec::new()),
        };
        Ok((22, seq(&[&seq(&[&oid(&kind), &value])])))
    }

    /// A new root with the links from and to the old one.
    pub(crate) fn root_update(&self, now: i64) -> Vec<u8> {
        let (from, to) = (now - 3600, now + 10 * 365 * 86_400);
        let new = crate::Holder::root("devid test root", KeyType::P256, from, to);
        let link = |subject: Vec<u8>, key: &crate::Key| Profile::new(subject, key.spki.clone(), from, to).ca();
        let new_with_old = link(new.name(), &new.key).signed(&self.root.name(), &self.root.key);
        let old_with_new = link(self.root.name(), &self.root.key).signed(&new.name(), &new.key);
        seq(&[&new.certificate, &tlv(0xa0, &[&new_with_old]), &tlv(0xa1, &[&old_with_new])])
    }
}

/// CertReqTemplateContent: a subject to be filled in, over P-256 or RSA of 2048 bits.
fn request_template() -> Vec<u8> {
    let control = |kind: &str, value: &[u8]| seq(&[&oid(kind), value]);
    let p256 = seq(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
    let keys = [control("1.3.6.1.5.5.7.5.1.11", &p256), control("1.3.6.1.5.5.7.5.1.12", &int(2048))];
    seq(&[&seq(&[&tlv(0xa5, &[&[0x30, 0x00]])]), &seq(&[&keys.concat()])])
}
