//! Puts an answer together, bent as the knobs say.

use crate::TestCa;
use crate::certs::{Holder, Parsed};
use crate::cmp::IMPLICIT_CONFIRM;
use crate::keys::{KeyType, random};
use crate::knobs::Knobs;
use crate::mac::{PBM, PBMAC1, mac, mac_algorithm};
use crate::read::Header;
use crate::tlv::{Node, bits, generalized_time, int, octets, oid, seq, tlv, utf8};

const CONFIRM_WAIT_TIME: &str = "1.3.6.1.5.5.7.4.14";

impl TestCa {
    /// Puts the answer together, bent as the knobs say.
    pub(crate) fn compose(
        &mut self,
        request: Option<&Header>,
        request_body: Option<i32>,
        tag: u8,
        content: Vec<u8>,
        knobs: &Knobs,
        now: i64,
    ) -> Vec<u8> {
        let kind = match tag {
            1 | 3 | 5 | 8 | 12 | 22 => "first",
            19 => "pkiconf",
            26 => "pollrep",
            20 => "nested",
            _ => "error",
        };
        let plain = Knobs::default();
        let bent = if knobs.at == kind || knobs.at == "any" { knobs } else { &plain };
        if bent.garbage {
            return b"this is no PKIMessage".to_vec();
        }
        // RFC 9810 section 5.1.3.4: the ciphertext for a KEM key goes unprotected.
        let is_ciphertext = tag == 22
            && request.is_some_and(|h| h.algorithm.is_none() && self.kem_secrets.contains_key(&h.transaction));
        let nonce = if bent.short_sender_nonce { random(8) } else { random(16) };
        let mut recip_nonce = request.map(|h| h.sender_nonce.clone());
        let mut implicit = false;
        if let Some(transaction) = request.and_then(|h| self.transactions.get_mut(&h.transaction)) {
            let earlier = std::mem::replace(&mut transaction.nonce, nonce.clone());
            transaction.earlier_nonces.push(earlier);
            // The final answer after polling names the request that was delayed (RFC 9483 section 4.4).
            if request_body == Some(25) && tag != 26 && !transaction.delayed_nonce.is_empty() {
                let delayed = std::mem::take(&mut transaction.delayed_nonce);
                recip_nonce = if knobs.last_recip_nonce { recip_nonce } else { Some(delayed) };
            }
            implicit = transaction.implicit && kind == "first";
        }
        if bent.wrong_recip_nonce {
            recip_nonce = Some(random(16));
        }
        if bent.no_recip_nonce {
            recip_nonce = None;
        }
        let is_mac = request
            .and_then(|h| h.algorithm.as_ref())
            .is_some_and(|a| matches!(a.at(0).and_then(Node::oid).as_deref(), Ok(PBM | PBMAC1)))
            && !knobs.sign_macs;
        let number = request_body.and_then(|number| u8::try_from(number).ok()).unwrap_or_default();
        let passphrase = request.and_then(|h| self.passphrase_of(h, number)).map(|(_, secret)| secret.to_vec());
        let secret = request
            .and_then(|h| h.sender_kid.as_ref())
            .and_then(|kid| self.secrets.get(kid).cloned())
            .filter(|_| passphrase.is_none())
            .or(passphrase);
        let (signer, is_mac) = (self.signer(&bent.signer), is_mac && secret.is_some());
        let algorithm = match (is_mac, request.and_then(|h| h.algorithm.as_ref())) {
            (true, Some(theirs)) if knobs.request_salt => theirs.bytes.clone(),
            (true, Some(theirs)) => mac_algorithm(theirs, bent.mac_iterations, knobs.pbes2_answers),
            _ => signer.key.algorithm(),
        };
        let mut kid = match (is_mac, request.and_then(|h| h.sender_kid.clone())) {
            (true, theirs) if !bent.own_sender_kid => theirs,
            _ => Parsed::read(&signer.certificate).ok().and_then(|c| c.key_id()),
        };
        if bent.wrong_sender_kid {
            kid = Some(vec![1, 2, 3, 4]);
        }
        if bent.no_sender_kid {
            kid = None;
        }
        let mut info = Vec::new();
        if implicit {
            info.extend(seq(&[&oid(IMPLICIT_CONFIRM), &[5, 0]]));
        }
        if knobs.confirm_wait_seconds != 0 && kind == "first" {
            info.extend(seq(&[&oid(CONFIRM_WAIT_TIME), &generalized_time(now + knobs.confirm_wait_seconds)]));
        }
        let stranger = crate::certs::common_name("somebody else");
        let sender = if bent.wrong_sender { stranger } else { signer.name() };
        let explicit = |tag: u8, value: Option<Vec<u8>>| value.map_or_else(Vec::new, |v| tlv(tag, &[&octets(&v)]));
        let transaction =
            if bent.wrong_transaction { Some(random(16)) } else { request.map(|h| h.transaction.clone()) };
        let recipient = request.map_or_else(|| tlv(0xa4, &[&[0x30, 0x00]]), |h| h.sender.bytes.clone());
        let nobody = || vec![0x30, 0x00];
        let (sender, recipient) =
            if bent.null_names { (nobody(), tlv(0xa4, &[&nobody()])) } else { (sender, recipient) };
        let is_error = tag == 23;
        let (tag, content) = if bent.wrong_body { (22, seq(&[])) } else { (tag, content) };
        let tag = u8::try_from(bent.body).map_or(tag, |other| other & 0x1f);
        let header = seq(&[
            &int(if knobs.only_version != 0 { knobs.only_version } else { version(request, bent) }),
            &tlv(0xa4, &[&sender]),
            &recipient,
            &if bent.no_message_time {
                Vec::new()
            } else {
                tlv(0xa0, &[&generalized_time(now + bent.message_time_off)])
            },
            &if is_ciphertext { Vec::new() } else { tlv(0xa1, &[&algorithm]) },
            &explicit(0xa2, kid),
            &explicit(0xa4, transaction.filter(|_| !bent.no_transaction)),
            &explicit(0xa5, Some(nonce).filter(|_| !bent.no_sender_nonce)),
            &explicit(0xa6, recip_nonce),
            &if bent.oversize > 0 {
                tlv(0xa7, &[&seq(&[&utf8(&"x".repeat(bent.oversize as usize))])])
            } else {
                Vec::new()
            },
            &if info.is_empty() { Vec::new() } else { tlv(0xa8, &[&seq(&[&info])]) },
        ]);
        let body = tlv(0xa0 | tag, &[&content]);
        let protected = seq(&[&header, &body]);
        let mut protection = match secret.filter(|_| is_mac) {
            Some(secret) => {
                let secret = if bent.wrong_secret { b"another secret".to_vec() } else { secret };
                let parameters = Node::parse(&algorithm).expect("made or read here");
                mac(&parameters, &secret, &protected).unwrap_or_else(|_| random(32))
            }
            None => signer.key.sign(&protected),
        };
        if bent.broken_protection {
            protection[0] ^= 1;
        }
        if bent.empty_protection {
            protection.clear();
        }
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        for n in 0..bent.extra_certs {
            let stranger = Holder::root(&format!("unrelated {n}"), KeyType::P256, now - 3600, now + 3600);
            certificates.push(stranger.certificate);
        }
        if !is_mac {
            certificates.push(signer.certificate.clone());
        }
        if !bent.no_chain {
            certificates.push(self.issuing.certificate.clone());
        }
        if bent.root_in_extra_certs {
            certificates.push(self.root.certificate.clone());
        }
        if bent.reversed_extra_certs {
            certificates.reverse();
        }
        if bent.doubled_extra_certs {
            certificates = certificates.into_iter().flat_map(|c| [c.clone(), c]).collect();
        }
        let extra = if bent.no_extra_certs || certificates.is_empty() {
            Vec::new()
        } else {
            tlv(0xa1, &[&seq(&[&certificates.concat()])])
        };
        let is_bare = is_ciphertext || bent.no_protection || (is_error && knobs.unprotected_error);
        let protection = if is_bare { Vec::new() } else { tlv(0xa0, &[&bits(&protection)]) };
        let mut message = seq(&[&header, &body, &protection, &extra]);
        message.resize(message.len() + bent.append as usize, 0xff);
        if let Ok(bit) = usize::try_from(bent.flip_bit) {
            if let Some(byte) = message.get_mut(bit / 8) {
                *byte ^= 0x80 >> (bit % 8);
            }
        }
        if bent.truncate > 0 {
            message.truncate(bent.truncate as usize);
        }
        message
    }

    pub(crate) fn signer(&self, which: &str) -> &Holder {
        match which {
            "issuing" => &self.issuing,
            "expired" => &self.expired_signer,
            "no-usage" => &self.no_usage_signer,
            "self-signed" => &self.self_signed_signer,
            "second" => &self.second_signer,
            "stranger" => &self.stranger,
            _ => &self.cmp_signer,
        }
    }
}

/// RFC 9810 section 7: the version of the request, unless a knob says another one.
fn version(request: Option<&Header>, knobs: &Knobs) -> i64 {
    match request {
        Some(header) if knobs.pvno == 2 && header.pvno == 3 => 3,
        _ => knobs.pvno,
    }
}

/// PKIStatusInfo with its text written in another way.
pub(crate) fn status_with(status: i64, fail_info: u32, text: &str, form: &str) -> Vec<u8> {
    let plain = status_info(status, fail_info, text);
    let other = match form {
        // 0xe9 begins no character of UTF-8 here.
        "latin1" => seq(&[&tlv(0x0c, &[text.as_bytes(), &[0xe9]])]),
        "empty" => seq(&[]),
        _ => return plain,
    };
    let fields = Node::parse(&plain).expect("made here").children;
    let bits = fields.iter().find(|field| field.tag == 0x03).map_or_else(Vec::new, |field| field.bytes.clone());
    seq(&[&int(status), &other, &bits])
}

pub(crate) fn status_info(status: i64, fail_info: u32, text: &str) -> Vec<u8> {
    let text = if text.is_empty() { Vec::new() } else { seq(&[&utf8(text)]) };
    let numbers: Vec<u8> = (0..32).filter(|n| fail_info >> n & 1 == 1).collect();
    let bits = if numbers.is_empty() { Vec::new() } else { crate::certs::named_bits(&numbers) };
    seq(&[&int(status), &text, &bits])
}

/// CertRepMessage with one response; `pair` is the content of CertifiedKeyPair, if there is one.
pub(crate) fn cert_rep(id: i64, status: &[u8], pair: Option<&[u8]>, anchor: Option<Vec<u8>>) -> Vec<u8> {
    let pair = pair.map_or_else(Vec::new, |pair| seq(&[pair]));
    let anchors = anchor.map_or_else(Vec::new, |a| tlv(0xa1, &[&seq(&[&a])]));
    seq(&[&anchors, &seq(&[&seq(&[&int(id), status, &pair])])])
}
