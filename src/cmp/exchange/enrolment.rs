//! The certificate exchange: ir, cr, kur or p10cr, its answer, the owner's decision, certConf (RFC 9483 section 4.1).

use alloc::sync::Arc;

use zeroize::Zeroizing;

use super::Exchange;
use crate::cmp::answer_signer;

use crate::asn1::Asn1Error;
use crate::asn1::cmp::{BodyType, CertOrEncCert, CertRepMessage, CertStatus, Challenge, PkiStatus, PkiStatusInfo};
use crate::asn1::crmf::{self, PopoAuthInfo};
use crate::asn1::der::sequence;
use crate::asn1::x509::Certificate;
use crate::cmp::context::Trust;
use crate::cmp::credential::Credential;
use crate::cmp::diagnosis::{LEFT_OUT, diagnose};
use crate::cmp::issued::{self, Clocks, Issued};
use crate::cmp::keygen::open_generated_key;
use crate::cmp::possession;
use crate::cmp::proof::{Possession, RequestedKey, answer_challenges, open_certificate};
use crate::cmp::received::Received;
use crate::cmp::request::{CertificateRequest, RequestKind};
use crate::cmp::response::{self, ProtectedBy, refusal};
use crate::cmp::state::{Confirming, Finished, Phase, State, ToProve, UnderWay};
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::{CryptoError, DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const CHALLENGED: Rule = Rule::new("RFC 9810 section 5.2.8.3 (C12)", "a challenge where one was asked for");
const ONE_RESPONSE: Rule = Rule::new("RFC 9483 section 4.1.1 (C2)", "one certificate response, with certReqId 0");
const PKCS10_NUMBER: Rule = Rule::new("RFC 9483 section 4.1.4 (C18)", "a certificate response with certReqId -1");
const BRINGS_ONE: Rule = Rule::new("RFC 9483 section 4.1.1 (E9)", "a certificate beside a status that grants it");
const ENCRYPTED: Rule =
    Rule::new("RFC 9810 section 5.2.8.3.2 (C10, C11)", "an encrypted certificate where one was asked for");
const GENERATED_KEY: Rule =
    Rule::new("RFC 9483 section 4.1.6 (G1)", "a private key where the CA was asked to make it, and nowhere else");

impl Exchange {
    /// Asks for the certificate, after proof of possession of the new key.
    pub(super) fn begin_enrolment(&mut self, now: Time) -> Result<State, Error> {
        let request = self.certificate_request().clone();
        self.check_may_update(now)?;
        if let (Some(csr), RequestKind::Pkcs10) = (request.pkcs10(), request.kind) {
            // It brings its proof of possession along.
            return self.send_first(csr.as_der(), now);
        }
        let cert_request = request.cert_request(0);
        if request.pkcs10().is_some() {
            // On behalf of others: their proof was checked before the operation was made.
            return self.send_first(&possession::ra_verified(&cert_request, &[]), now);
        }
        let proof = ToProve { input: self.possession_input(&request)?, cert_request };
        match (request.possession, &request.key) {
            (Possession::Signature(algorithm), RequestedKey::Own(Signer::Deferred { .. })) => {
                Ok(State::SignPossession { proof, algorithm })
            }
            (Possession::Signature(algorithm), RequestedKey::Own(Signer::Key(key))) => {
                let signature = proof.sign(key, algorithm)?;
                self.possession_signed(&proof, algorithm, &signature, now)
            }
            (possession, key) => {
                let content = crmf::cert_req_messages(&proof.cert_request, &possession.announcement(key));
                self.send_first(&content, now)
            }
        }
    }

    /// RFC 9483 section 4.1.3: the certificate to be updated must not have expired.
    pub(super) fn check_may_update(&self, now: Time) -> Result<(), Error> {
        let Credential::Signature { certificate, .. } = &self.plan.context.credential else { return Ok(()) };
        if self.plan.request.is_update() && certificate.not_after() < now {
            let words = format!(
                "the certificate to be updated expired {}; enrol anew with the supplier's certificate",
                certificate.not_after()
            );
            return Err(Error::new(Code::Expired, words));
        }
        Ok(())
    }

    /// What the new key signs where the request has no subject (RFC 4211 section 4.1): who asks, known by name or by secret, for
    /// which key.
    pub(super) fn possession_input(&mut self, request: &CertificateRequest) -> Result<Option<Vec<u8>>, Error> {
        let (None, Some(key)) = (&request.template.subject, request.key.own()) else { return Ok(None) };
        let context = Arc::clone(&self.plan.context);
        let spki = key.spki();
        let input = match &context.credential {
            Credential::Signature { certificate, .. } => {
                crmf::popo_signing_key_input(PopoAuthInfo::Sender(certificate.subject()), spki)
            }
            Credential::MutualTls { sender } => crmf::popo_signing_key_input(PopoAuthInfo::Sender(sender), spki),
            Credential::Mac { .. } => {
                let mac = self.transaction.own_mac(&context)?;
                let value = mac.protect(&*context.provider, spki)?;
                crmf::popo_signing_key_input(PopoAuthInfo::PublicKeyMac(mac.algorithm(), &value), spki)
            }
        };
        Ok(Some(input))
    }

    /// The new key has signed.
    pub fn possession_signed(
        &mut self,
        proof: &ToProve,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        now: Time,
    ) -> Result<State, Error> {
        let popo = proof.signed(algorithm, signature);
        self.send_first(&crmf::cert_req_messages(&proof.cert_request, &popo), now)
    }

    /// popdecc came: the number in it goes back (RFC 9810 section 5.2.8.3.3).
    pub(super) fn challenge_came(
        &mut self,
        challenges: &[Challenge],
        sender: Option<&[u8]>,
        now: Time,
    ) -> Result<State, Error> {
        let Some(key) = self.plan.request.opening_key() else {
            return Err(CHALLENGED.broken(Code::UnexpectedBody, "a challenge for a key that opens nothing"));
        };
        let signer = self.transaction.signer();
        let content = Zeroizing::new(answer_challenges(&self.plan.context, key, challenges, sender, signer)?);
        self.transaction.challenged = true;
        self.transaction.delayed_nonce = None;
        self.send(UnderWay::new(BodyType::POPDECR, Phase::Request), &content, 2, now)
    }

    /// ip, cp or kup came.
    pub(super) fn certificate_answered(
        &mut self,
        rep: CertRepMessage,
        came: &Received<'_>,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        let CertRepMessage { ca_pubs, responses } = rep;
        let [response] = <[_; 1]>::try_from(responses).map_err(|all: Vec<_>| {
            ONE_RESPONSE.broken(Code::Protocol, format!("{} certificate responses to one request", all.len()))
        })?;
        let (kind, id) = (self.certificate_request().kind, response.cert_req_id);
        if !issued::is_success(response.status.status) && response.status.status != PkiStatus::Waiting {
            // RFC 9483 section 4.1.1: no certConf after a rejection. Its certReqId may be -1 where the server could not read
            // the request (RFC 9483 section 4.1.4): there is one request only, and the words are about it.
            return Err(refusal(Code::Rejected, "the server refused the request", &response.status, true));
        }
        // RFC 9483 section 4.1.4: -1 in the answer to p10cr, which has no certReqId of its own; servers that say 0 exist.
        let wanted = if kind == RequestKind::Pkcs10 { -1 } else { 0 };
        if id != wanted && !(id == 0 && self.plan.context.tolerance.zero_cert_req_id) {
            let takes = if id == 0 { " (switch zero_cert_req_id takes it)" } else { "" };
            let words = format!("the answer's certReqId is {id}, the request's {wanted}{takes}");
            let rule = if kind == RequestKind::Pkcs10 { PKCS10_NUMBER } else { ONE_RESPONSE };
            return Err(rule.broken(Code::Protocol, words));
        }
        let status = response.status;
        if status.status == PkiStatus::Waiting {
            response::check_no_fail_info(&self.plan.context, &status)?;
            return self.start_polling(id, &status, under_way, now);
        }
        response::check_no_fail_info(&self.plan.context, &status)?;
        let Some(pair) = response.certified_key_pair else {
            let words = format!("the server answered {}, but sent no certificate", status.status);
            return Err(BRINGS_ONE.broken(Code::Protocol, words));
        };
        self.counts.misread = 0;
        let certificate = match pair.cert_or_enc_cert {
            CertOrEncCert::Certificate(certificate) => certificate,
            CertOrEncCert::Unreadable { der, error } => return self.unreadable(&der, &error, id, came, now),
            CertOrEncCert::Encrypted(encrypted) => self.opened(&encrypted, came)?,
        };
        let judged = self.judged((certificate, pair.private_key), status, ca_pubs, id, came, now)?;
        Ok(match judged {
            (issued, None) => State::Deciding(Arc::new(issued)),
            (issued, rejection) => State::Decided { issued: Arc::new(issued), rejection },
        })
    }

    /// The certificate that was sent encrypted with the new key.
    pub(super) fn opened(&self, encrypted: &[u8], came: &Received<'_>) -> Result<Certificate, Error> {
        match self.certificate_request().opening_key() {
            Some(key) => open_certificate(&self.plan.context, key, encrypted, came.signer.as_ref()),
            None => {
                Err(ENCRYPTED
                    .broken(Code::Protocol, "the server sent the certificate encrypted, which was not asked for"))
            }
        }
    }

    /// The CA has issued what is no certificate: it is told, so that it does not count it among the good ones.
    fn unreadable(
        &mut self,
        der: &[u8],
        error: &Asn1Error,
        cert_req_id: i64,
        came: &Received<'_>,
        now: Time,
    ) -> Result<State, Error> {
        let refused = Error::new(Code::WrongCertificate, format!("the issued certificate cannot be read: {error}"))
            .with_source(error.clone())
            .breaks(issued::ISSUED);
        if self.is_confirmed_implicitly(came) || self.plan.context.tolerance.never_confirm {
            return Err(refused);
        }
        let status = self.status_of_unreadable(der, &refused, cert_req_id)?;
        self.send_confirmation(Confirming::Unreadable(refused), &[status], now)
    }

    /// What certConf says of what is no certificate.
    pub(super) fn status_of_unreadable(&self, der: &[u8], refused: &Error, id: i64) -> Result<CertStatus, Error> {
        // RFC 9810 section 5.3.18: where the signature does not say which digest, hashAlg does.
        let digest = DigestAlgorithm::Sha256;
        Ok(CertStatus {
            cert_hash: self.plan.context.provider.digest(digest, &[der])?.to_vec(),
            cert_req_id: id,
            status: Some(refusing(refused)),
            hash_alg: Some(sequence(&[&encode_oid(digest.oid())])),
        })
    }

    /// certConf about these certificates.
    fn send_confirmation(
        &mut self,
        confirming: Confirming,
        statuses: &[CertStatus],
        now: Time,
    ) -> Result<State, Error> {
        // RFC 9810 section 7: version 3 where hashAlg is used.
        let pvno = if statuses.iter().any(|status| status.hash_alg.is_some()) { 3 } else { 2 };
        let under_way = UnderWay::new(BodyType::CERTCONF, Phase::Confirmation(confirming));
        // Where the refusal cannot be sent at all, it is what the operation fails by all the same.
        let rejection = under_way.rejection().cloned();
        let sent = self.send(under_way, &CertStatus::confirm_content(statuses), pvno, now);
        sent.map_err(|error| match rejection {
            Some(rejection) if !CryptoError::is_device_behind(&error) => rejection,
            _ => error,
        })
    }

    /// RFC 9483 section 4.1.1: granted only if it was asked for. Otherwise certConf is sent: it is a proof of its own, and the
    /// only way to tell the CA that its certificate is refused.
    pub(super) fn is_confirmed_implicitly(&self, came: &Received<'_>) -> bool {
        came.granted && self.plan.context.ask_implicit_confirm && self.plan.request.may_be_confirmed_implicitly()
    }

    /// What came for the request that is looked at, and why it cannot be used, if it cannot.
    ///
    /// Errors: the device could not open the key that came along. That is no word against the certificate.
    pub(super) fn judged(
        &self,
        (certificate, private_key): (Certificate, Option<Vec<u8>>),
        status: PkiStatusInfo,
        ca_pubs: Vec<Certificate>,
        cert_req_id: i64,
        came: &Received<'_>,
        now: Time,
    ) -> Result<(Issued, Option<Error>), Error> {
        // RFC 9483 section 4.1.5, RFC 9810 section 8.9: new anchors only under the shared secret; in cp and kup caPubs have
        // no place (sections 4.1.2 and 4.1.3).
        let offers = came.protected_by == ProtectedBy::Mac && self.certificate_request().kind == RequestKind::Initial;
        let offered = if offers { ca_pubs.clone() } else { Vec::new() };
        let trusted: Vec<Certificate> = match self.plan.context.accept_ca_pubs {
            true => offered.iter().filter(|c| c.is_self_issued()).cloned().collect(),
            false => Vec::new(),
        };
        // The path of the answer's signer first: its signatures are known already.
        let known = self.transaction.signer_path.iter();
        let helpers: Vec<Certificate> = known.chain(came.extra_certs).chain(&ca_pubs).cloned().collect();
        // Roots that the owner has told by their fingerprints are anchors whoever brings them (RFC 9810 section 6.7.2).
        let told = helpers.iter().filter(|root| self.plan.context.is_told_root(root));
        let trusted: Vec<Certificate> = trusted.iter().chain(told).cloned().collect();
        let request = self.certificate_request();
        let clocks = Clocks { own: self.owners_clock(now), theirs: came.message_time.unwrap_or(now) };
        let trust = Trust::from(&*self.plan.context);
        let check = |at| issued::check_issued(&trust, request, &certificate, &helpers, &trusted, at);
        let (checked, now) = clocks.judge(check);
        let skew = self.plan.context.clock_skew_seconds;
        let checked = checked.map_err(|error| clocks.explain(error, skew));
        let checked = checked.or_else(|error| self.adopted(&certificate, &helpers, came.extra_certs, now).ok_or(error));
        let checked = checked.and_then(|chain| {
            let key = self.generated_key(private_key.as_deref(), &certificate, &chain, came, now)?;
            Ok((chain, key))
        });
        let ((chain, private_key), refused) = match checked {
            Ok(good) => (good, None),
            Err(error) if CryptoError::is_device_behind(&error) => return Err(error),
            Err(error) => {
                let body = request.kind.body();
                let error = if came.leaves_out { error.followed_by(LEFT_OUT) } else { error };
                let error =
                    diagnose(error, &self.plan.context, body, &[]).with(|facts| facts.phase = Some(body.into()));
                ((Vec::new(), None), Some(error))
            }
        };
        let granted = self.is_confirmed_implicitly(came);
        let mut issued = Issued {
            certificate,
            chain,
            status,
            differences: Vec::new(),
            ca_pubs: offered,
            implicitly_confirmed: granted,
            confirm_before: came.confirm_before,
            private_key,
            cert_req_id,
            lost_uses: Vec::new(),
            objection: None,
            begins: None,
            unproven: None,
        };
        issued.begins = issued.begins_later(&self.plan.context, clocks.later());
        issued.compare(&self.plan.context, self.certificate_request());
        Ok((issued, refused))
    }

    /// A restored certificate is judged as it was when it came: whoever could write the saved form is not believed, and time
    /// has passed. Where the owner has not decided yet, it is refused like any other that cannot be used.
    pub fn judge_restored(&self, state: &mut State, now: Time) -> Result<(), Error> {
        let Some(issued) = state.issued().map(Arc::clone) else { return Ok(()) };
        let context = self.believing_adopted(&self.plan.context);
        let offered = if context.accept_ca_pubs { &issued.ca_pubs[..] } else { &[] };
        let told = issued.chain.iter().filter(|root| context.is_told_root(root));
        let trusted: Vec<Certificate> = offered.iter().filter(|c| c.is_self_issued()).chain(told).cloned().collect();
        let (request, certificate) = (self.certificate_request(), &issued.certificate);
        match issued::check_issued(&context, request, certificate, &issued.chain, &trusted, now) {
            Ok(chain) => {
                let begins = issued.begins_later(&context, self.later_clock(now));
                if let Some(issued) = state.issued_mut() {
                    (issued.chain, issued.begins) = (chain, begins);
                }
                Ok(())
            }
            Err(error) if matches!(state, State::Deciding(_)) => {
                *state = State::Decided { issued, rejection: Some(error) };
                Ok(())
            }
            // A refusal on its way to the CA goes on.
            Err(_) if state.under_way().is_some_and(|under_way| under_way.rejection().is_some()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The key that came along, where it was asked for.
    fn generated_key(
        &self,
        encrypted: Option<&[u8]>,
        certificate: &Certificate,
        chain: &[Certificate],
        came: &Received<'_>,
        now: Time,
    ) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        match (&self.certificate_request().key, encrypted) {
            (RequestedKey::Own(_), None) => Ok(None),
            (RequestedKey::Own(_), Some(_)) => {
                Err(GENERATED_KEY.broken(Code::Protocol, "the server sent a private key, and none was asked for"))
            }
            (RequestedKey::Central(_), None) => {
                Err(GENERATED_KEY
                    .broken(Code::Protocol, "the server sent a certificate without the key it was to make"))
            }
            (RequestedKey::Central(_), Some(encrypted)) => {
                open_generated_key(&self.plan.context, encrypted, came, certificate, chain, now).map(Some)
            }
        }
    }

    /// The chain to a root that came with ip, where the device asked to believe it: the same root vouches for the signer of
    /// the answer and for the certificate.
    fn adopted(
        &self,
        certificate: &Certificate,
        helpers: &[Certificate],
        came: &[Certificate],
        now: Time,
    ) -> Option<Vec<Certificate>> {
        let request = self.certificate_request();
        if !self.plan.context.adopt_root_of_ip || request.kind != RequestKind::Initial {
            return None;
        }
        let (trust, signer) = (Trust::from(&*self.plan.context), self.transaction.signer()?);
        let roots = self.transaction.adopted_root.iter().chain(answer_signer::roots_that_came(came));
        roots
            .into_iter()
            .find_map(|root| issued::chain_under(&trust, request, [signer, certificate], helpers, root, now))
    }

    /// The owner has decided: the CA is told, unless it does without.
    pub(super) fn one_decided(
        &mut self,
        issued: &Arc<Issued>,
        rejection: Option<&Error>,
        now: Time,
    ) -> Result<State, Error> {
        if issued.implicitly_confirmed || self.plan.context.tolerance.never_confirm {
            // RFC 9483 section 3.6.1: with implicit confirmation a refusal just ends the operation.
            return match rejection {
                Some(error) => Err(error.clone()),
                None => Ok(self.confirmed(self.noted(issued), now)),
            };
        }
        self.confirm(Confirming::One(Arc::clone(issued), rejection.cloned()), now)
    }

    /// Sends certConf: of what was decided, under a fresh nonce and in answer to what the server has said last.
    pub(super) fn confirm(&mut self, confirming: Confirming, now: Time) -> Result<State, Error> {
        let statuses = match &confirming {
            Confirming::One(issued, rejection) => vec![self.status_of(issued, rejection.as_ref())?],
            Confirming::Several => self.several.statuses(),
            // It is not kept, so there is nothing that could be said of it again.
            Confirming::Unreadable(error) => return Err(error.clone()),
        };
        self.send_confirmation(confirming, &statuses, now)
    }

    /// What certConf says of a certificate.
    pub(super) fn status_of(&self, issued: &Issued, rejection: Option<&Error>) -> Result<CertStatus, Error> {
        let (digest, name_it) = issued::cert_hash_algorithm(&issued.certificate);
        let cert_hash = self.plan.context.provider.digest(digest, &[issued.certificate.as_der()])?;
        Ok(CertStatus {
            cert_hash: cert_hash.to_vec(),
            cert_req_id: issued.cert_req_id,
            status: rejection.map(refusing),
            hash_alg: name_it.then(|| sequence(&[&encode_oid(digest.oid())])),
        })
    }

    /// The certificate is the device's now. If it begins later and is to come into use by this operation, its time is waited
    /// for.
    pub(super) fn confirmed(&self, issued: Arc<Issued>, now: Time) -> State {
        let ripens = self.ripens(issued.certificate.not_before(), now);
        match self.plan.holds_until_valid && ripens.left_seconds > 0 {
            true => State::ripening(ripens.until, issued),
            false => State::Done(Finished::Certificate(issued)),
        }
    }

    /// The bound that `judged_at` sets when the certificate comes holds as long as its time is waited for: the
    /// CA's clock may have been far ahead by then, with the device's only time being the CA's.
    pub fn still_worth_waiting_for(&self, issued: &Issued, now: Time) -> Result<(), Error> {
        let (begins, latest) = (
            issued.certificate.not_before(),
            issued::latest_begin(&self.plan.context, self.certificate_request(), now),
        );
        if begins <= latest {
            return Ok(());
        }
        let words = format!(
            "the certificate is confirmed and begins on {begins}, and it is {now}: after {latest} it is not waited for; the CA's clock was \
             wrong when it was made"
        );
        Err(issued::ISSUED.broken(Code::WrongCertificate, words))
    }

    /// The request that is looked at: of several, the one whose answer is judged.
    pub(super) fn certificate_request(&self) -> &CertificateRequest {
        self.plan.request.certificates().get(self.several.at()).expect("only who asked for a certificate comes here")
    }
}

/// What certConf says of a certificate that is not taken.
fn refusing(error: &Error) -> PkiStatusInfo {
    debug_assert!(!CryptoError::is_device_behind(error), "what the device could not do is refused to nobody");
    // failInfo: badPOP has no place here; incorrectData says that what came is not what was asked (bit 7).
    let mut info = PkiStatusInfo::new(PkiStatus::Rejection);
    info.fail_info = Some(1 << 7);
    info.texts.push(error.message().to_owned());
    info
}
