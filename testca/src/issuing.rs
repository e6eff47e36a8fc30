//! Requests for certificates: what is looked at before one is issued, and the answer with it.

use crate::TestCa;
use crate::answer::{cert_rep, status_info, status_with};
use crate::certs::{SUBJECT_ALT_NAME, common_name};
use crate::check::{check_no_ca, check_profile};
use crate::cmp::{Credential, IMPLICIT_CONFIRM, Refusal, bit, refuse};
use crate::keys::{KeyType, verify};
use crate::knobs::Knobs;
use crate::read::Header;
use crate::tlv::{Node, seq, tlv};

impl TestCa {
    pub(crate) fn certificate_request(
        &mut self,
        header: &Header,
        number: u8,
        content: &Node,
        credential: &Credential,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let [message] = &content.children[..] else {
            return self.several_requests(header, number, content, credential, knobs, now);
        };
        check_profile(header, 1, knobs)?;
        if message.at(0)?.at(0)?.integer()? != 0 {
            return refuse(bit::BAD_REQUEST, "certReqId is not 0");
        }
        match self.evaluate(header, number, message, credential, knobs, now)? {
            Evaluated::Challenged(challenge) => {
                let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
                transaction.challenged_request = Some((number, content.clone()));
                Ok((5, challenge))
            }
            Evaluated::Issued { certificate, pair } => self.respond(header, number + 1, certificate, &pair, knobs),
        }
    }

    pub(crate) fn pkcs10_request(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let info = content.at(0)?;
        // RFC 9483 section 4.1.4.
        if info.at(0)?.integer()? != 0 {
            return refuse(bit::BAD_CERT_TEMPLATE, "the version of the PKCS #10 request is not 0");
        }
        let (subject, spki) = (info.at(1)?.bytes.clone(), info.at(2)?.bytes.clone());
        verify(content.at(1)?, &spki, &info.bytes, content.at(2)?.bits()?)
            .map_err(|text| Refusal::new(bit::BAD_POP, text))?;
        let mut extensions = Vec::new();
        for attribute in info.tagged(0xa0).into_iter().flat_map(|a| &a.children) {
            if attribute.at(0)?.oid()? == "1.2.840.113549.1.9.14" {
                extensions = crate::certs::read_extensions(attribute.at(1)?.at(0)?)?;
            }
        }
        check_profile(header, 1, knobs)?;
        check_no_ca(&extensions)?;
        let certificate = self.issue_requested(&subject, &spki, &extensions, None, knobs, now);
        let knobs = Knobs { cert_req_id: knobs.pkcs10_id, ..knobs.clone() };
        let pair = tlv(0xa0, &[&certificate]);
        self.respond(header, 3, certificate, &pair, &knobs)
    }

    pub(crate) fn issue_requested(
        &mut self,
        subject: &[u8],
        spki: &[u8],
        extensions: &[(String, bool, Vec<u8>)],
        validity: Option<(Option<i64>, Option<i64>)>,
        knobs: &Knobs,
        now: i64,
    ) -> Vec<u8> {
        let (from, to) = validity.unwrap_or((None, None));
        let lifetime =
            if knobs.certificate_seconds != 0 { knobs.certificate_seconds } else { knobs.certificate_days * 86_400 };
        // An expired certificate was valid before.
        let begin = from.unwrap_or(if lifetime < 0 { now + 2 * lifetime } else { now - 300 });
        let end = to.unwrap_or(now + lifetime);
        let subject = if knobs.modify_subject { common_name("modified by the CA") } else { subject.to_vec() };
        let subject = if knobs.reversed_subject { reversed(&subject) } else { subject };
        let other = knobs.wrong_key.then(|| crate::keys::Key::generate(KeyType::P256).spki);
        let mut profile = self.end_entity(subject, other.unwrap_or_else(|| spki.to_vec()), begin, end);
        for (id, critical, value) in extensions {
            if !(knobs.drop_alt_names && id == SUBJECT_ALT_NAME) {
                profile = profile.with(id, *critical, value.clone());
            }
        }
        if !knobs.add_alt_name.is_empty() {
            let asked = extensions.iter().find(|e| e.0 == SUBJECT_ALT_NAME).and_then(|e| Node::parse(&e.2).ok());
            let added = tlv(0x82, &[knobs.add_alt_name.as_bytes()]);
            let names = [asked.map_or_else(Vec::new, |names| names.value().to_vec()), added].concat();
            profile = profile.with(SUBJECT_ALT_NAME, false, seq(&[&names]));
        }
        let issuer = if knobs.certificate_from_stranger { &self.stranger } else { &self.issuing };
        let mut certificate = profile.signed(&issuer.name(), &issuer.key);
        if knobs.broken_certificate {
            if let Some(last) = certificate.last_mut() {
                *last ^= 1;
            }
        }
        self.issued.push(certificate.clone());
        certificate
    }

    pub(crate) fn respond(
        &mut self,
        header: &Header,
        tag: u8,
        certificate: Vec<u8>,
        pair: &[u8],
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
        let asked = header.info.contains_key(IMPLICIT_CONFIRM);
        transaction.implicit = match knobs.implicit_confirm.as_str() {
            "ignore" => false,
            "always" => true,
            // RFC 9810 section 5.2.8.3.2: certConf is the proof.
            _ => asked && !transaction.proves_by_confirming,
        };
        transaction.issued = Some(certificate);
        transaction.id = knobs.cert_req_id;
        let refused = matches!(knobs.status, 2 | 3) || knobs.status > 6;
        let body = if refused || knobs.no_certificate { None } else { Some(pair) };
        let anchors = knobs.ca_pubs.then(|| self.root.certificate.clone());
        let content = cert_rep(
            knobs.cert_req_id,
            &status_with(knobs.status, knobs.fail_info, &knobs.text, &knobs.text_form),
            body,
            anchors,
        );
        let content = if knobs.two_responses { doubled(&content) } else { content };
        if knobs.waiting == 0 {
            return Ok((tag, content));
        }
        transaction.pending = Some((tag, content));
        transaction.polls_left = knobs.waiting;
        transaction.delayed_nonce = header.sender_nonce.clone();
        let waiting = status_info(3, u32::from(knobs.waiting_fail_info), &knobs.poll_reason);
        Ok(if knobs.waiting_by_error {
            (23, seq(&[&waiting]))
        } else {
            (tag, cert_rep(knobs.cert_req_id, &waiting, None, None))
        })
    }
}

/// A Name with its parts back to front.
fn reversed(name: &[u8]) -> Vec<u8> {
    let name = Node::parse(name).expect("read before");
    let parts: Vec<u8> = name.children.iter().rev().flat_map(|part| part.bytes.clone()).collect();
    seq(&[&parts])
}

/// What becomes of a request for a certificate.
pub(crate) enum Evaluated {
    /// Possession is to be proved first: popdecc.
    Challenged(Vec<u8>),
    /// The certificate, and the content of CertifiedKeyPair.
    Issued { certificate: Vec<u8>, pair: Vec<u8> },
}

/// A CertRepMessage with its responses twice.
fn doubled(content: &[u8]) -> Vec<u8> {
    let message = Node::parse(content).expect("made here");
    let fields: Vec<Vec<u8>> = message.children.iter().map(|field| field.bytes.clone()).collect();
    let (responses, rest) = fields.split_last().expect("responses are not optional");
    let responses = Node::parse(responses).expect("made here").value().repeat(2);
    seq(&[&rest.concat(), &seq(&[&responses])])
}
