//! What ties the messages of one operation together: identifiers, nonces, and the keys on both sides; and from that,
//! header and protection of what we send (RFC 9483 sections 3.1 to 3.3).

use super::context::Context;
use super::credential::Credential;
use super::protection::MacKey;
use super::request::Request;
use super::wait::Elapsed;
use crate::asn1::cmp::body::encode_body;
use crate::asn1::cmp::{BodyType, InfoTypeAndValue, PkiHeader, PkiMessage, message};
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::name::Name;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::same_name;

/// RFC 9483 section 3.1: 128 bits of random data for transactionID and nonces.
const NONCE_LEN: usize = 16;

/// The state that header and protection depend on.
#[derive(Clone)]
pub(super) struct Transaction {
    /// transactionID, the same in all messages.
    pub id: Vec<u8>,
    /// senderNonce of our last message.
    pub sent_nonce: Vec<u8>,
    /// senderNonce of the request whose answer is delayed (RFC 9483 section 4.4).
    pub delayed_nonce: Option<Vec<u8>>,
    /// The peer's last senderNonce.
    pub peer_nonce: Option<Vec<u8>>,
    /// Sender of the peer's last message, DER of the Name.
    pub peer_name: Option<Vec<u8>>,
    /// The signer of the answers so far: later ones are its too. Whether it may sign is asked anew at each.
    pub bound_signer: Option<Certificate>,
    /// Who may decide and has only put off. That binds nobody: an RA that forwards what the CA signs says "waiting" by itself
    /// (RFC 9483 sections 5.1.1 and 4.4).
    pub put_off_by: Option<Certificate>,
    /// Who has brought the certificate and may not decide: it binds nobody, so that whoever may can still answer.
    pub bearer: Option<Certificate>,
    /// The certificates above that signer, as they were found when it was first believed: later answers need not bring them.
    pub signer_path: Vec<Certificate>,
    /// The root that came with ip and vouched for that signer, where the device asked to believe it.
    pub adopted_root: Option<Certificate>,
    /// The key of our own MAC.
    pub own_mac: Option<MacKey>,
    /// The key of the peer's last MAC, if its parameters are not ours.
    pub peer_mac: Option<MacKey>,
    /// When the operation began.
    pub started: Time,
    /// messageTime of the peer's last message.
    pub peer_time: Option<Time>,
    /// How long it takes.
    pub elapsed: Elapsed,
    /// The URL to which the request was sent, where that is known.
    pub server: Option<String>,
    /// How far the owner's clock is behind the peer's, in seconds, where an authentic answer contradicted it and is followed:
    /// see [`Context::follow_authentic_time`].
    pub clock_off_seconds: i64,
    /// The least protocol version of what we send.
    pub pvno: i64,
    /// KemCiphertextInfo that our MAC's key comes from, DER, where it does.
    pub kem_ciphertext: Option<Vec<u8>>,
    /// Whether a challenge has been answered: there is one at most.
    pub challenged: bool,
}

/// A message without its protection: what is signed when the signature is made elsewhere.
pub(super) struct Unprotected {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Unprotected {
    /// `ProtectedPart ::= SEQUENCE { header, body }` (RFC 9810 section 5.1.3).
    pub fn protected_part(&self) -> Vec<u8> {
        sequence(&[&self.header, &self.body])
    }
}

impl Transaction {
    /// A new transaction: a fresh transactionID, nothing known of the peer.
    pub fn begin(context: &Context, pvno: i64, now: Time) -> Result<Self, Error> {
        Ok(Transaction {
            id: random(context)?,
            sent_nonce: Vec::new(),
            delayed_nonce: None,
            peer_nonce: None,
            peer_name: None,
            bound_signer: None,
            put_off_by: None,
            bearer: None,
            signer_path: Vec::new(),
            adopted_root: None,
            own_mac: None,
            peer_mac: None,
            started: now,
            peer_time: None,
            elapsed: Elapsed::since(now, None),
            server: context.server.clone(),
            clock_off_seconds: 0,
            pvno,
            kem_ciphertext: None,
            challenged: false,
        })
    }

    /// Who has signed the answers so far, whether it may decide or not.
    pub fn signer(&self) -> Option<&Certificate> {
        self.bound_signer.as_ref().or(self.bearer.as_ref()).or(self.put_off_by.as_ref())
    }

    /// Whether somebody has answered with a signature.
    pub fn was_signed(&self) -> bool {
        self.signer().is_some()
    }

    /// Remembers who has answered, for the next message's recipient and recipNonce.
    pub fn heard(&mut self, message: &PkiMessage) {
        self.peer_nonce = message.header().sender_nonce.clone();
        self.peer_name = message.sender();
    }

    /// Remembers what time it was by the word of whoever may speak for the CA.
    pub fn heard_time(&mut self, context: &Context, message: &PkiMessage) {
        self.peer_time = message.header().message_time;
        self.elapsed.hears(self.peer_time, context.most_seconds());
    }

    /// From now on the peer's time counts, in place of this present.
    pub fn follow_time(&mut self, said: Time, now: Time) {
        let off_seconds = said.since(now);
        self.clock_off_seconds = self.clock_off_seconds.saturating_add(off_seconds);
        // The operation began by a clock that was as wrong as it is now, or right: what has passed is the less of the two.
        let (by_right_one, by_this_one) = (said.since(self.started), now.since(self.started));
        if by_right_one < 0 || (0..=by_right_one).contains(&by_this_one) {
            self.started = self.started.plus(off_seconds);
        }
    }

    /// Header and body of the next message, under a fresh senderNonce.
    pub fn write(
        &mut self,
        context: &Context,
        now: Time,
        body_type: BodyType,
        content: &[u8],
        pvno: i64,
        info: Vec<InfoTypeAndValue>,
    ) -> Result<Unprotected, Error> {
        self.sent_nonce = random(context)?;
        let (sender, sender_kid, protection_alg) = match &context.credential {
            Credential::Signature { certificate, algorithm, .. } => (
                certificate.subject().to_vec(),
                // RFC 9483 section 3.1: the subjectKeyIdentifier of the protection certificate, if it has one.
                certificate.subject_key_identifier().map(<[u8]>::to_vec),
                match context.credential.is_kem() {
                    // The question for the ciphertext goes out before there is a key.
                    true => self.own_mac.as_ref().map(|key| key.algorithm().to_vec()),
                    false => Some(algorithm.to_der()),
                },
            ),
            Credential::Mac { reference, .. } => {
                // RFC 9483 section 3.1: commonName = reference value, the same bytes in senderKID. A reference value is
                // octets: where they are no text, senderKID alone carries them.
                let name = match core::str::from_utf8(reference) {
                    Ok(text) if !context.tolerance.null_mac_sender && !text.chars().any(char::is_control) => {
                        Name::common_name(text)
                    }
                    _ => Name::null(),
                };
                let name = name.as_der().to_vec();
                let sender_kid = Some(reference.clone()).filter(|reference| !reference.is_empty());
                (name, sender_kid, Some(self.own_mac(context)?.algorithm().to_vec()))
            }
            Credential::MutualTls { sender } => (sender.clone(), None, None),
        };
        let header = PkiHeader {
            pvno: pvno.max(self.pvno),
            sender: Some(sender),
            recipient: Some(self.recipient(context)),
            message_time: context.send_message_time.then_some(now),
            protection_alg,
            sender_kid,
            recip_kid: None,
            transaction_id: Some(self.id.clone()),
            sender_nonce: Some(self.sent_nonce.clone()),
            recip_nonce: self.peer_nonce.clone(),
            free_text: Vec::new(),
            general_info: info,
        };
        Ok(Unprotected { header: header.to_der(), body: encode_body(body_type, content) })
    }

    /// The message with its protection and the certificates that let the peer check it.
    ///
    /// They go with every message: RFC 9483 section 4.4 recommends it, and servers that keep no state need them.
    pub fn finish(&self, context: &Context, unprotected: &Unprotected, protection: Option<&[u8]>) -> Vec<u8> {
        let certificates: Vec<&Certificate> = match &context.credential {
            // RFC 9483 section 3.3: the protection certificate first, then its chain in order, without the root.
            Credential::Signature { certificate, chain, .. } => chain_in_order(certificate, chain),
            // RFC 9483 section 4.1.5: no protection certificates with a MAC.
            Credential::Mac { .. } | Credential::MutualTls { .. } => Vec::new(),
        };
        message::assemble(&unprotected.header, &unprotected.body, protection, certificates.into_iter())
    }

    /// The key of our MAC, derived once (RFC 9810 section 5.1.3.1: constant parameters within a transaction).
    pub fn own_mac(&mut self, context: &Context) -> Result<&MacKey, Error> {
        if self.own_mac.is_none() {
            let Credential::Mac { secret, parameters, .. } = &context.credential else {
                return Err(Error::new(Code::State, "the credential is not a shared secret"));
            };
            let key = MacKey::make(&*context.provider, *parameters, secret)?;
            self.own_mac = Some(if context.tolerance.pbes2_in_pbmac1 { key.naming_pbes2() } else { key });
        }
        Ok(self.own_mac.as_ref().expect("made above"))
    }

    /// RFC 9483 section 3.1: the CA's name in the first message, then the sender of the previous answer.
    fn recipient(&self, context: &Context) -> Vec<u8> {
        match (&self.peer_name, &context.recipient) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name.as_der().to_vec(),
            // The issuer of the credential's certificate is the likeliest CA: whoever renews asks it again.
            (None, None) => match &context.credential {
                Credential::Signature { certificate, .. } => certificate.issuer().to_vec(),
                Credential::Mac { .. } | Credential::MutualTls { .. } => Name::null().as_der().to_vec(),
            },
        }
    }
}

/// RFC 9483 section 3.3: the protection certificate first, and each next one certifies the one before it. Servers look at the
/// order (Nokia's does), so it is made here and not left to callers. All that the caller lists is sent: links between an old
/// and a new root, which are self-issued, and a root too, where somebody put it there.
fn chain_in_order<'a>(certificate: &'a Certificate, listed: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut ordered = vec![certificate];
    let mut left: Vec<&Certificate> = Vec::new();
    for other in listed {
        if other != certificate && !left.contains(&other) {
            left.push(other);
        }
    }
    let certifies = |above: &Certificate, below: &Certificate| {
        same_name(above.subject(), below.issuer())
            && match (authority_key_identifier(below), above.subject_key_identifier()) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => true,
            }
    };
    while let Some(last) = ordered.last().copied() {
        // A root certifies itself; what comes after it is found last.
        let Some(at) = left.iter().position(|above| certifies(above, last)) else { break };
        ordered.push(left.remove(at));
    }
    ordered.extend(left);
    ordered
}

/// keyIdentifier of authorityKeyIdentifier (RFC 5280 section 4.2.1.1).
fn authority_key_identifier(certificate: &Certificate) -> Option<&[u8]> {
    let extension = certificate.extension(oid::CE_AUTHORITY_KEY_IDENTIFIER)?;
    let mut fields = Cursor::sequence(extension.value, "AuthorityKeyIdentifier").ok()?;
    fields.optional_context(0, false).ok()?.map(|field| field.value)
}

/// implicitConfirm stands in requests for certificates only, certProfile in those and in questions for a template
/// (RFC 9483 section 3.1).
pub(super) fn general_info(context: &Context, request: &Request, body_type: BodyType) -> Vec<InfoTypeAndValue> {
    let mut items = Vec::new();
    if body_type != request.body() {
        return items;
    }
    if context.ask_implicit_confirm && request.may_be_confirmed_implicitly() {
        items.push(InfoTypeAndValue { info_type: oid::IT_IMPLICIT_CONFIRM, value: vec![0x05, 0x00] });
    }
    if let Some(profile) = context.cert_profile.as_ref().filter(|_| request.may_name_profile()) {
        // CertProfileValue ::= SEQUENCE SIZE (1..MAX) OF UTF8String
        // One name for each of several requests (RFC 9810 section 5.1.1.4): what has none is of no profile.
        let name = element(0x0c, &[profile.as_bytes()]);
        let value = sequence(&[&name.repeat(request.certificates().len().max(1))]);
        items.push(InfoTypeAndValue { info_type: oid::IT_CERT_PROFILE, value });
    }
    if !matches!(body_type, BodyType::POLLREQ | BodyType::CERTCONF) {
        items.extend(context.general_info.iter().cloned());
    }
    items
}

pub(super) fn random(context: &Context) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0u8; NONCE_LEN];
    context.provider.random(&mut bytes)?;
    Ok(bytes)
}
