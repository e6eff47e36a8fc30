//! OCSP (RFC 6960): real signed answers by a delegated responder.

use aws_lc_rs::digest;

use crate::TestCa;
use crate::certs::Parsed;
use crate::tlv::{Node, bits, generalized_time, octets, oid, seq, tlv};

const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
const NONCE: &str = "1.3.6.1.5.5.7.48.1.2";

impl TestCa {
    /// Answers one OCSPRequest. `now` in seconds since 1970.
    pub fn ocsp(&self, request: &[u8], now: i64) -> Vec<u8> {
        if self.knobs.ocsp_unavailable {
            return failure(3);
        }
        match self.ocsp_answer(request, now) {
            Ok(answer) => answer,
            Err(_) => failure(1),
        }
    }

    /// A response for one certificate of the issuing CA, to be stapled.
    pub fn ocsp_response_for(&self, serial: &[u8], now: i64) -> Vec<u8> {
        let issuer = Parsed::read(&self.issuing.certificate).expect("made here");
        let hash = |m: &[u8]| octets(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, m).as_ref());
        let key = Node::parse(&issuer.spki).and_then(|n| n.at(1)?.bits().map(<[u8]>::to_vec)).expect("made here");
        let algorithm = seq(&[&oid("1.3.14.3.2.26"), &[5, 0]]);
        let cert_id = seq(&[&algorithm, &hash(&issuer.subject), &hash(&key), &tlv(0x02, &[serial])]);
        let single = self.single(&Node::parse(&cert_id).expect("made here"), now).expect("made here");
        self.signed(&single, None, now)
    }

    fn ocsp_answer(&self, request: &[u8], now: i64) -> Result<Vec<u8>, String> {
        let request = Node::parse(request)?;
        let tbs = request.at(0)?;
        let list = tbs.tagged(0x30).ok_or("no requestList")?;
        let mut singles = Vec::new();
        for one in &list.children {
            singles.extend(self.single(one.at(0)?, now)?);
        }
        let nonce = match tbs.tagged(0xa2) {
            Some(extensions) => {
                let all = crate::certs::read_extensions(extensions.inner()?)?;
                all.into_iter().find(|e| e.0 == NONCE).map(|e| e.2)
            }
            None => None,
        };
        Ok(self.signed(&singles, nonce, now))
    }

    /// SingleResponse: good, revoked or unknown.
    fn single(&self, cert_id: &Node, now: i64) -> Result<Vec<u8>, String> {
        let serial = cert_id.at(3)?.value();
        let issuer = Parsed::read(&self.issuing.certificate)?;
        let digest_of: fn(&[u8]) -> Vec<u8> = match cert_id.at(0)?.at(0)?.oid()?.as_str() {
            "1.3.14.3.2.26" => |m| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, m).as_ref().to_vec(),
            "2.16.840.1.101.3.4.2.1" => |m| digest::digest(&digest::SHA256, m).as_ref().to_vec(),
            other => return Err(format!("CertID with {other}")),
        };
        let key = Node::parse(&issuer.spki)?.at(1)?.bits()?.to_vec();
        let is_ours = cert_id.at(1)?.value() == digest_of(&issuer.subject) && cert_id.at(2)?.value() == digest_of(&key);
        let is_issued = self.issued.iter().any(|c| Parsed::read(c).is_ok_and(|c| c.serial == serial));
        let status = match self.revoked.iter().find(|r| r.0 == serial) {
            Some((_, at, reason)) if is_ours => {
                tlv(0xa1, &[&generalized_time(*at), &tlv(0xa0, &[&tlv(0x0a, &[&[*reason]])])])
            }
            _ if is_ours && is_issued => tlv(0x80, &[]),
            _ => tlv(0x82, &[]),
        };
        let next = tlv(0xa0, &[&generalized_time(now + 3600)]);
        Ok(seq(&[&cert_id.bytes, &status, &generalized_time(now - 60), &next]))
    }

    fn signed(&self, singles: &[u8], nonce: Option<Vec<u8>>, now: i64) -> Vec<u8> {
        let responder = &self.ocsp_responder;
        let nonce = nonce.map_or_else(Vec::new, |n| tlv(0xa1, &[&seq(&[&crate::certs::extension(NONCE, false, &n)])]));
        let data = seq(&[
            &tlv(0xa2, &[&octets(&crate::keys::key_id(&responder.key.spki))]),
            &generalized_time(now),
            &seq(&[singles]),
            &nonce,
        ]);
        let certificates = tlv(0xa0, &[&seq(&[&responder.certificate])]);
        let basic = seq(&[&data, &responder.key.algorithm(), &bits(&responder.key.sign(&data)), &certificates]);
        seq(&[&tlv(0x0a, &[&[0]]), &tlv(0xa0, &[&seq(&[&oid(BASIC), &octets(&basic)])])])
    }
}

fn failure(status: u8) -> Vec<u8> {
    seq(&[&tlv(0x0a, &[&[status]])])
}
