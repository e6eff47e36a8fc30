//! Save and restore: a transaction that outlives the process.
//!
//! A CA that takes days to approve will not repeat a transaction because the device was rebooted. The saved form holds
//! identifiers, nonces, the request and the state; it holds no private key and no shared secret: who restores brings both
//! again, and they are checked to be the same. A registration token or authenticator (RFC 4211 sections 6.1 and 6.2) stands in it
//! as in the request that went out. It is versioned and carries a digest, so that a torn or altered file is
//! told from a good one; whoever can write the file can still make a new one, so keep it where the keys are.

use alloc::sync::Arc;

use ::der::Tag;

use super::context::Context;
use super::credential::Credential;
use super::exchange::{Counts, Exchange, Plan, PutOff};
use super::issued::Issued;
use super::kem_mac;
use super::operation::{Begun, Operation};
use super::proof::RequestedKey;
use super::protection::MacKey;
use super::request::Request;
#[cfg(feature = "std")]
use super::request::RevocationRequest;
#[cfg(feature = "settings")]
use super::request_form::read_template;
use super::request_form::{read_request, write_request};
use super::response::{Inbox, Way};
#[cfg(feature = "std")]
use super::saved::SavedOperation;
use super::saved::{SavedCredential, read_server};
use super::saved_form::{
    SavedPhase, SavedUnderWay, VERSION, WHAT, check_version, octets, opened, read_octets, read_reason, read_under_way,
};
use super::state::{Confirming, Phase, Sent, State, Then, UnderWay, Waiting};
use super::transaction::Transaction;
use super::wait::{Elapsed, Pause};
use crate::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
#[cfg(feature = "settings")]
use crate::asn1::crmf::CertTemplate;
use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::DigestAlgorithm;
use crate::crypto::Signer;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

impl Operation {
    /// The operation as bytes, whenever the last step answered Send, Wait or Accept.
    ///
    /// Errors: [`Code::State`] in any other state; [`Code::Unsupported`] for an operation for several certificates.
    pub fn save(&self) -> Result<Vec<u8>, Error> {
        let Plan { context, request, .. } = self.plan();
        if matches!(request, Request::Certificates(_)) {
            let words =
                "an operation for several certificates cannot be saved: finish it in one run, or ask for one at a time";
            return Err(Error::new(Code::Unsupported, words));
        }
        let not_now = || Error::new(Code::State, "an operation can be saved while it sends, waits or asks to accept");
        let Begun { exchange, state, .. } = self.begun().ok_or_else(not_now)?;
        let nothing: (&[u8], Time, &[String]) = (&[], Time::from_unix(0), &[]);
        let (number, (output, until, reason), under_way) = match state {
            State::Sent(Sent { output, under_way, .. }) => {
                (0i64, (&output[..], nothing.1, exchange.said()), Some(SavedUnderWay::of(under_way)))
            }
            State::Waiting(Waiting { pause, reason, then, .. }) => {
                let under_way = match then {
                    Then::Poll(under_way, _) => SavedUnderWay::of(under_way),
                    Then::Valid(_) => SavedUnderWay::RIPENING,
                };
                (1, (nothing.0, pause.until, &reason[..]), Some(under_way))
            }
            State::Deciding(_) => (2, nothing, None),
            _ => return Err(not_now()),
        };
        let (transaction, counts) = (exchange.transaction(), exchange.counts());
        let (issued, rejection) = (state.issued(), state.under_way().and_then(UnderWay::rejection));
        let under_way = under_way.map_or_else(Vec::new, |under_way| under_way.write());
        let reason: Vec<u8> = reason.iter().flat_map(|text| octets(text.as_bytes())).collect();
        let whole = match state {
            State::Waiting(Waiting { pause, then: Then::Poll(..), .. }) => pause.whole(),
            _ => None,
        };
        let whole =
            whole.map_or_else(Vec::new, |(whole, has_stood)| element(0xa0, &[&encode(&whole), &encode(&has_stood)]));
        let held = match state {
            State::Sent(Sent { inbox: Some(inbox), .. }) if inbox.is_held => write_held(inbox),
            _ => Vec::new(),
        };
        let server =
            transaction.server.as_deref().map_or_else(Vec::new, |url| element(0xa3, &[&octets(url.as_bytes())]));
        let until = encode(&until.unix());
        let state =
            sequence(&[&encode(&number), &octets(output), &until, &sequence(&[&under_way]), &sequence(&[&reason])]);
        let other_version = encode(&exchange.other_version().unwrap_or(0));
        let kept_answer = exchange.kept_answer().map_or_else(Vec::new, octets);
        let in_vain = [encode(&counts.dropped), encode(&counts.misread), kept_answer].concat();
        let put_off = exchange.put_off().map_or_else(Vec::new, write_put_off);
        let counts = sequence(&[
            &encode(&counts.polls),
            &encode(&transaction.started.unix()),
            &other_version,
            &in_vain,
            &put_off,
            &whole,
            &transaction.elapsed.write(),
            &held,
            &server,
        ]);
        // While certConf refuses the certificate: why. Without it a restored operation would take pkiConf for success.
        let rejection = rejection.map_or_else(Vec::new, |error| {
            sequence(&[&encode(&error.code().number()), &octets(error.message().as_bytes())])
        });
        let content = sequence(&[
            &encode(&VERSION),
            &SavedCredential::of(&context.credential, &*context.provider)?.write(),
            &write_transaction(transaction),
            &write_request(request, issued.map(Arc::as_ref)),
            &state,
            &counts,
            &sequence(&[&rejection]),
            &issued.map_or_else(Vec::new, |issued| write_issued(issued)),
        ]);
        let digest = context.provider.digest(DigestAlgorithm::Sha256, &[&content])?;
        Ok(sequence(&[&content, &octets(&digest)]))
    }

    /// Continues a saved operation. `key` is the new key of the request, `context` the settings of the same client.
    ///
    /// Errors: [`Code::Corrupt`] for damaged bytes, [`Code::UnknownVersion`] for another version's,
    /// [`Code::KeyMismatch`] for another key, or another credential than the request was protected with.
    pub fn restore(context: Arc<Context>, key: Signer, saved: &[u8]) -> Result<Operation, Error> {
        Self::restore_with(context, Some(key), saved)
    }

    /// Continues a saved operation that has no new key of ours: a revocation, a question, p10cr.
    ///
    /// Errors: as [`Operation::restore`]; [`Code::KeyMismatch`] if it does have one.
    pub fn restore_keyless(context: Arc<Context>, saved: &[u8]) -> Result<Operation, Error> {
        Self::restore_with(context, None, saved)
    }

    fn restore_with(context: Arc<Context>, key: Option<Signer>, saved: &[u8]) -> Result<Operation, Error> {
        context.check()?;
        let (mut fields, content, digest) = opened(saved)?;
        if context.provider.digest(DigestAlgorithm::Sha256, &[content])?[..] != *digest {
            return Err(Error::new(Code::Corrupt, "the saved operation's digest does not match: it is damaged"));
        }
        check_version(&mut fields)?;
        // Before anything else is read: another's operation is not touched (RFC 9483 section 4.4: who asked polls).
        SavedCredential::read(&mut fields)?.check(&SavedCredential::of(&context.credential, &*context.provider)?)?;
        let mut transaction = read_transaction(&context, &mut fields)?;
        let generated = if let Some(Signer::Key(key)) = &key { Some(Arc::clone(key)) } else { None };
        let request = read_request(key, &mut fields)?;
        let mut state = Cursor::new(fields.expect(Tag::Sequence, "the state")?.value, WHAT)?;
        let (number, output): (i64, Vec<u8>) = (state.decode()?, read_octets(&mut state)?);
        let until = Time::from_unix(state.decode()?);
        let under_way = read_under_way(state.expect(Tag::Sequence, "the message under way")?.value)?;
        let reason = read_reason(&mut state)?;
        let said = reason.clone();
        let mut counts = Cursor::new(fields.expect(Tag::Sequence, "the counts")?.value, WHAT)?;
        let polls = counts.decode()?;
        transaction.started = Time::from_unix(counts.decode()?);
        let other_version = Some(counts.decode::<i64>()?).filter(|version| *version != 0);
        // Older snapshots end here, or behind the next; the last ones are there where an answer is kept, a request put off, a poll waited for.
        let dropped = if counts.is_empty() { 0 } else { counts.decode()? };
        let misread = if counts.is_empty() { 0 } else { counts.decode()? };
        let kept_answer = counts.optional(Tag::OctetString)?.map(|kept| kept.value.to_vec());
        let is_put_off = counts.peek() == Some(Tag::Sequence);
        let put_off = is_put_off.then(|| read_put_off(&mut counts)).transpose()?;
        let whole = counts.optional_context(0, true)?;
        let whole = whole.map(|whole| read_whole(&mut Cursor::new(whole.value, WHAT)?)).transpose()?;
        let first = counts.optional_context(1, true)?;
        let first = first.map(|first| Cursor::new(first.value, WHAT)?.decode()).transpose()?;
        let elapsed = counts.optional_context(2, true)?;
        let elapsed = elapsed.map(|elapsed| Elapsed::read(elapsed.value, WHAT)).transpose()?;
        transaction.elapsed =
            elapsed.unwrap_or_else(|| Elapsed::since(transaction.started, first.map(Time::from_unix)));
        let held = counts.optional_context(4, true)?.map(|held| read_held(held.value)).transpose()?;
        transaction.server = read_server(&mut counts)?;
        let counts = Counts { polls, dropped, misread };
        let rejection = read_rejection(fields.expect(Tag::Sequence, "the rejection")?.value)?;
        let mut issued = if fields.is_empty() { None } else { Some(read_issued(&mut fields)?) };
        if let (Some(issued), Some(request)) = (&mut issued, request.certificate()) {
            issued.compare(&context, request);
            if let (RequestedKey::Central(_), Some(key)) = (&request.key, generated) {
                issued.private_key = Some(key);
            }
        }
        let pause = Pause::saved(until, whole);
        let mut state = restored_state(number, (output, pause, reason), under_way, (issued.map(Arc::new), rejection))
            .ok_or_else(|| Error::new(Code::Corrupt, "the saved operation's state contradicts itself"))?;
        if let (State::Sent(sent), Some(held)) = (&mut state, held) {
            sent.inbox = Some(held);
        }
        let mut exchange =
            Exchange::of(Plan::new(context, request), transaction, counts, other_version).keeping(kept_answer);
        // While answers prove nothing, the words are that they do.
        if dropped == 0 {
            exchange.hears(&said);
        }
        exchange.resume_put_off(put_off);
        Ok(Operation::resumed(exchange, state))
    }

    /// SubjectPublicKeyInfo (DER) of the new key that a saved operation belongs to, to find that key in device memory.
    ///
    /// A key that the CA's side makes is there once the certificate is: who keeps the saved form keeps that key too.
    ///
    /// Errors: [`Code::State`] for a revocation or a question, which have none, and for a generated key that has not come.
    pub fn saved_key(saved: &[u8]) -> Result<Vec<u8>, Error> {
        let (_, spki) = saved_request(saved)?;
        if spki.is_empty() {
            return Err(Error::new(Code::State, "the saved operation has no new key"));
        }
        Ok(spki)
    }

    /// The certificate that a saved operation has been given; `None` if it has none yet.
    pub(crate) fn saved_certificate(saved: &[u8]) -> Result<Option<Certificate>, Error> {
        let (mut fields, _, _) = opened(saved)?;
        check_version(&mut fields)?;
        for what in ["the credential", "the transaction", "the request", "the state", "the counts", "the rejection"] {
            fields.any(what)?;
        }
        if fields.is_empty() {
            return Ok(None);
        }
        let mut issued = Cursor::new(fields.expect(Tag::Sequence, "the certificate")?.value, WHAT)?;
        Ok(Some(Certificate::from_der(issued.any("the certificate")?.bytes)?))
    }

    /// What a saved operation asks for; `None` if that is no certificate, or a PKCS#10 request says it.
    #[cfg(feature = "settings")]
    pub(crate) fn saved_template(saved: &[u8]) -> Result<Option<CertTemplate>, Error> {
        let (mut content, _, _) = opened(saved)?;
        check_version(&mut content)?;
        content.any("the credential")?;
        content.any("the transaction")?;
        let mut request = Cursor::new(content.expect(Tag::Sequence, "the request")?.value, WHAT)?;
        if !(0..=2).contains(&request.decode::<i64>()?) {
            return Ok(None);
        }
        read_octets(&mut request)?;
        request.any("the possession")?;
        read_template(&mut request).map(Some)
    }

    /// Which certificate a saved operation has the CA revoke, and why; `None` if it does nothing of the kind, or asks for several.
    #[cfg(feature = "std")]
    pub(crate) fn saved_revocation(saved: &[u8]) -> Result<Option<RevocationRequest>, Error> {
        if SavedOperation::read(saved)?.request != BodyType::RR {
            return Ok(None);
        }
        let (mut content, _, _) = opened(saved)?;
        for what in ["the version", "the credential", "the transaction"] {
            content.any(what)?;
        }
        match read_request(None, &mut content)? {
            Request::Revocation(request) => Ok(Some(request)),
            _ => Ok(None),
        }
    }

    /// Whether a saved operation waits for a key that the CA's side makes: it is restored without one.
    pub fn awaits_key(saved: &[u8]) -> Result<bool, Error> {
        let (kind, spki) = saved_request(saved)?;
        Ok((0..=2).contains(&kind) && spki.is_empty())
    }
}

/// Kind and key of a saved request.
fn saved_request(saved: &[u8]) -> Result<(i64, Vec<u8>), Error> {
    let (mut content, _, _) = opened(saved)?;
    check_version(&mut content)?;
    content.any("the credential")?;
    content.any("the transaction")?;
    let mut request = Cursor::new(content.expect(Tag::Sequence, "the request")?.value, WHAT)?;
    Ok((request.decode()?, read_octets(&mut request)?))
}

/// How long a wait is; whether somebody has come back to it in vain, which older versions do not say.
fn read_whole(fields: &mut Cursor<'_>) -> Result<(i64, bool), Error> {
    Ok((fields.decode()?, !fields.is_empty() && fields.decode()?))
}

/// An answer that the device could not look at. Whoever could write the saved form could write the certificate that came of it.
fn write_held(inbox: &Inbox) -> Vec<u8> {
    let number = Way::ALL.iter().position(|way| *way == inbox.way).unwrap_or_default();
    element(0xa4, &[&octets(&inbox.answer), &encode(&(number as u32))])
}

fn read_held(fields: &[u8]) -> Result<Inbox, Error> {
    let mut fields = Cursor::new(fields, WHAT)?;
    let (answer, number) = (read_octets(&mut fields)?, fields.decode::<u32>()?);
    let way = usize::try_from(number).ok().and_then(|number| Way::ALL.get(number).copied());
    let way = way.ok_or_else(|| Error::new(Code::Corrupt, format!("an answer that came by unknown way {number}")))?;
    Ok(Inbox { answer, way, is_held: true })
}

fn write_put_off(put_off: &PutOff) -> Vec<u8> {
    let (body, message) = (encode(&i64::from(put_off.body.0)), octets(&put_off.message));
    let counts = [put_off.in_vain, put_off.patience, put_off.sent_again].map(|count| encode(&count)).concat();
    sequence(&[&message, &body, &encode(&put_off.cert_req_id), &counts])
}

fn read_put_off(counts: &mut Cursor<'_>) -> Result<PutOff, Error> {
    let mut fields = Cursor::new(counts.expect(Tag::Sequence, "what was put off")?.value, WHAT)?;
    Ok(PutOff {
        message: read_octets(&mut fields)?,
        body: BodyType(fields.decode()?),
        cert_req_id: fields.decode()?,
        in_vain: fields.decode()?,
        patience: fields.decode()?,
        sent_again: fields.decode()?,
    })
}

fn write_transaction(transaction: &Transaction) -> Vec<u8> {
    let optional = |value: Option<&[u8]>| value.map_or_else(Vec::new, octets);
    sequence(&[
        &octets(&transaction.id),
        &octets(&transaction.sent_nonce),
        &element(0xa0, &[&optional(transaction.delayed_nonce.as_deref())]),
        &element(0xa1, &[&optional(transaction.peer_nonce.as_deref())]),
        &element(0xa2, &[transaction.peer_name.as_deref().unwrap_or_default()]),
        &element(0xa3, &[transaction.bound_signer.as_ref().map_or(&[][..], Certificate::as_der)]),
        // The salt of our MAC, so that parameters stay the same (RFC 9483 section 4.1.5); the key is derived anew.
        // A key from an encapsulated secret is derived from the ciphertext below.
        &element(
            0xa4,
            &[match &transaction.own_mac {
                Some(key) if transaction.kem_ciphertext.is_none() => key.algorithm(),
                _ => &[],
            }],
        ),
        &element(0xa5, &[transaction.bearer.as_ref().map_or(&[][..], Certificate::as_der)]),
        &element(0xa6, &[transaction.put_off_by.as_ref().map_or(&[][..], Certificate::as_der)]),
        &encode(&transaction.pvno),
        &encode(&transaction.challenged),
        &octets(transaction.kem_ciphertext.as_deref().unwrap_or_default()),
        &sequence(&transaction.signer_path.iter().map(Certificate::as_der).collect::<Vec<_>>()),
        transaction.adopted_root.as_ref().map_or(&[][..], Certificate::as_der),
    ])
}

fn read_transaction(context: &Context, fields: &mut Cursor<'_>) -> Result<Transaction, Error> {
    let mut fields = Cursor::new(fields.expect(Tag::Sequence, "the transaction")?.value, WHAT)?;
    let id = read_octets(&mut fields)?;
    let sent_nonce = read_octets(&mut fields)?;
    let mut optional = |number| -> Result<Option<&[u8]>, Error> {
        let field = fields.optional_context(number, true)?.map(|f| f.value);
        Ok(field.filter(|value| !value.is_empty()))
    };
    let inner = |value: Option<&[u8]>| value.map(|v| read_octets(&mut Cursor::new(v, WHAT)?)).transpose();
    let delayed_nonce = inner(optional(0)?)?;
    let peer_nonce = inner(optional(1)?)?;
    let peer_name = optional(2)?.map(<[u8]>::to_vec);
    let bound_signer = optional(3)?.map(Certificate::from_der).transpose()?;
    let own_mac = optional(4)?;
    // Older snapshots have neither.
    let bearer = optional(5)?.map(Certificate::from_der).transpose()?;
    let put_off_by = optional(6)?.map(Certificate::from_der).transpose()?;
    let own_mac = match (own_mac, &context.credential) {
        (Some(algorithm), Credential::Mac { secret, .. }) => {
            Some(MacKey::from_algorithm(&*context.provider, algorithm, secret, &context.limits)?)
        }
        (None, Credential::Signature { .. } | Credential::MutualTls { .. }) => None,
        _ => {
            let words = "the saved operation was protected in another way than its credential can";
            return Err(Error::new(Code::Corrupt, words));
        }
    };
    let (pvno, challenged) = (fields.decode()?, fields.decode()?);
    let kem_ciphertext = Some(read_octets(&mut fields)?).filter(|ciphertext| !ciphertext.is_empty());
    let mut above = Cursor::new(fields.expect(Tag::Sequence, "the signer's path")?.value, WHAT)?;
    let mut signer_path = Vec::new();
    while !above.is_empty() {
        signer_path.push(Certificate::from_der(above.any("a certificate")?.bytes)?);
    }
    let adopted_root = if fields.is_empty() { None } else { Some(Certificate::from_der(fields.any("a root")?.bytes)?) };
    let mut transaction = Transaction {
        id,
        sent_nonce,
        delayed_nonce,
        peer_nonce,
        peer_name,
        bound_signer,
        put_off_by,
        bearer,
        signer_path,
        adopted_root,
        own_mac,
        peer_mac: None,
        started: Time::from_unix(0),
        peer_time: None,
        elapsed: Elapsed::default(),
        server: None,
        clock_off_seconds: 0,
        pvno,
        kem_ciphertext,
        challenged,
    };
    if transaction.kem_ciphertext.is_some() {
        transaction.own_mac = Some(kem_mac::derive(context, &transaction)?);
    }
    Ok(transaction)
}

/// Where an operation stood; `None` where what is saved contradicts itself.
fn restored_state(
    number: i64,
    (output, pause, reason): (Vec<u8>, Pause, Vec<String>),
    under_way: Option<SavedUnderWay>,
    (issued, rejection): (Option<Arc<Issued>>, Option<Error>),
) -> Option<State> {
    let Some(SavedUnderWay { body, phase, polling }) = under_way else {
        return issued.filter(|_| number == 2).map(State::Deciding);
    };
    let phase = match phase {
        SavedPhase::Request => Phase::Request,
        SavedPhase::Encapsulation => Phase::Encapsulation,
        SavedPhase::Confirmation => Phase::Confirmation(match (issued, rejection) {
            (Some(issued), rejection) => Confirming::One(issued, rejection),
            (None, Some(rejection)) => Confirming::Unreadable(rejection),
            (None, None) => return None,
        }),
        SavedPhase::Validity => {
            return issued.filter(|_| number == 1).map(|issued| State::ripening(pause.until, issued));
        }
    };
    let under_way = UnderWay { body, phase, polling };
    match number {
        0 => Some(State::Sent(Sent { output, under_way, inbox: None, asked_at: None })),
        1 => Some(State::polling(pause, reason, &under_way, polling?)),
        _ => None,
    }
}

fn read_rejection(content: &[u8]) -> Result<Option<Error>, Error> {
    if content.is_empty() {
        return Ok(None);
    }
    let mut fields = Cursor::sequence(content, WHAT)?;
    let code = Code::from_number(fields.decode()?).unwrap_or(Code::Refused);
    Ok(Some(Error::new(code, String::from_utf8_lossy(&read_octets(&mut fields)?))))
}

fn write_issued(issued: &Issued) -> Vec<u8> {
    let list = |certificates: &[Certificate]| {
        let all: Vec<&[u8]> = certificates.iter().map(Certificate::as_der).collect();
        sequence(&all)
    };
    sequence(&[
        issued.certificate.as_der(),
        &list(&issued.chain),
        &list(&issued.ca_pubs),
        &encode(&issued.status.status.number()),
        &encode(&issued.implicitly_confirmed),
        &encode(&issued.confirm_before.map_or(i64::MAX, Time::unix)),
        &encode(&issued.cert_req_id),
        &sequence(&[&issued.status.texts.iter().flat_map(|text| octets(text.as_bytes())).collect::<Vec<u8>>()]),
    ])
}

/// The differences are not saved: they follow from request and certificate.
fn read_issued(fields: &mut Cursor<'_>) -> Result<Issued, Error> {
    let mut fields = Cursor::new(fields.expect(Tag::Sequence, "the certificate")?.value, WHAT)?;
    let certificate = Certificate::from_der(fields.any("the certificate")?.bytes)?;
    let mut list = || -> Result<Vec<Certificate>, Error> {
        let mut list = Cursor::new(fields.expect(Tag::Sequence, "certificates")?.value, WHAT)?;
        let mut all = Vec::new();
        while !list.is_empty() {
            all.push(Certificate::from_der(list.any("a certificate")?.bytes)?);
        }
        Ok(all)
    };
    let (chain, ca_pubs) = (list()?, list()?);
    let mut status = PkiStatusInfo::new(PkiStatus::from_number(fields.decode()?));
    let implicitly_confirmed = fields.decode()?;
    let confirm_before = Some(fields.decode::<i64>()?).filter(|t| *t != i64::MAX).map(Time::from_unix);
    let cert_req_id = fields.decode()?;
    // Older snapshots end here.
    if let Some(texts) = fields.optional(Tag::Sequence)? {
        let mut texts = Cursor::new(texts.value, WHAT)?;
        while !texts.is_empty() {
            status.texts.push(String::from_utf8_lossy(&read_octets(&mut texts)?).into_owned());
        }
    }
    fields.finish()?;
    Ok(Issued {
        certificate,
        chain,
        status,
        differences: Vec::new(),
        lost_uses: Vec::new(),
        objection: None,
        begins: None,
        unproven: None,
        ca_pubs,
        implicitly_confirmed,
        confirm_before,
        private_key: None,
        cert_req_id,
    })
}
