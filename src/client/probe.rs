//! What a server is like: asked by questions that change nothing, told in words.
//!
//! Two messages go out. One asks for the CA's certificates (genm caCerts, RFC 9483 section 4.3.1) with the settings' own
//! credential: its answer shows whether these settings work, and in which ways the server deviates. The other asks the same under a
//! reference value that nobody has: its answer shows how the server refuses. No certificate is asked for, none is revoked, and
//! nothing that comes is believed beyond what is said here.

mod asked;

use asked::{Asked, Tells, ask, has_issued, is_closing, is_signed, signer_of};

use crate::asn1::cmp::{BodyType, PkiBody, PkiMessage};
use crate::asn1::name;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::client::{Client, Config};
use crate::cmp::{Credential, MacParameters, Profile, Tolerance};
use crate::codes::Code;
use crate::error::{Error, Refused};
use crate::features::{self, needs};
use crate::limits::Limits;
use crate::time::Time;
use crate::transport::Exchange;
use crate::validation::{KeyUsage, same_name};

/// One thing that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFinding {
    /// Whether something would fail with the settings as they are.
    pub fails: bool,
    /// What, in words.
    pub words: String,
    /// What to do about it, in words; empty: nothing.
    pub remedy: String,
}

/// What a server is like.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// The profile that fits, if one is recognised: see [`Profile::NAMES`](crate::cmp::Profile::NAMES).
    pub profile: Option<&'static str>,
    /// Switches that would be needed beside the defaults, by name: see [`Tolerance::TABLE`].
    pub switches: Vec<&'static str>,
    /// Certificates to pin, where the server signs with one that says nothing of its office. Look at them before they are pinned:
    /// whoever answered may have brought them.
    pub pins: Vec<Certificate>,
    /// Certificates that could be anchors, where none of the settings' is at the end of the signer's path. The same holds.
    pub roots: Vec<Certificate>,
    /// The server closed the connection in place of an answer to the first question: it knows no questions, or it expects something
    /// else at this port.
    pub is_closed: bool,
    /// Everything, in the order in which it was found out.
    pub findings: Vec<ProbeFinding>,
}

impl Probe {
    /// Whether the settings work as they are, as far as questions can tell.
    pub fn works(&self) -> bool {
        !self.findings.iter().any(|finding| finding.fails)
    }

    /// All of it for people, one finding per line.
    pub fn report(&self) -> String {
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .map(|finding| {
                let mark = match (finding.fails, finding.remedy.is_empty()) {
                    (true, _) => "fails",
                    (false, false) => "warning",
                    (false, true) => "ok",
                };
                let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
                format!("{mark}: {}{remedy}", finding.words)
            })
            .collect();
        lines.extend(self.is_closed.then(|| "closed: the connection is closed in place of an answer".to_owned()));
        lines.extend(self.profile.map(|profile| format!("profile: {profile}")));
        lines.extend(self.switches.iter().map(|switch| format!("switch: {switch}")));
        lines.extend(self.pins.iter().map(|pin| format!("pin, once looked at: {pin}")));
        lines.extend(self.roots.iter().map(|root| format!("CMP anchor, once looked at: {root}")));
        lines.join("\n")
    }

    fn says(&mut self, words: impl Into<String>) {
        self.findings.push(ProbeFinding { fails: false, words: words.into(), remedy: String::new() });
    }

    fn warns(&mut self, words: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(ProbeFinding { fails: false, words: words.into(), remedy: remedy.into() });
    }

    fn fails(&mut self, words: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(ProbeFinding { fails: true, words: words.into(), remedy: remedy.into() });
    }

    fn needs(&mut self, switch: &'static str) {
        let is_default = Tolerance::TABLE.iter().any(|(name, is_on, _)| *name == switch && *is_on);
        if !is_default && !self.switches.contains(&switch) {
            self.switches.push(switch);
        }
    }
}

impl Config {
    /// Asks the server harmless questions and answers what it is like: which profile and switches fit, what to pin, what would
    /// fail. Never an error of the server: those are findings.
    ///
    /// Errors: the settings contradict themselves.
    pub fn probe(&self, exchange: &mut dyn Exchange, now: Time) -> Result<Probe, Error> {
        self.probe_by(exchange, now, false)
    }

    /// The same for who enrols by device memory, as the planner and the command do, and keeps account of its clock: where that and the
    /// CA's contradict each other, it goes by both times, and nothing fails by that.
    pub fn probe_for_planner(&self, exchange: &mut dyn Exchange, now: Time) -> Result<Probe, Error> {
        self.probe_by(exchange, now, true)
    }

    fn probe_by(&self, exchange: &mut dyn Exchange, now: Time, follows_time: bool) -> Result<Probe, Error> {
        needs(features::PROBE)?;
        let mut probe = Probe::default();
        let client = self.build()?;
        let mut asked = ask(&client, exchange, now)?;
        let (mut present, mut is_time_told) = (now, false);
        // Whether the answer is taken by its own time tells a clock that is wrong from everything else.
        let is_taken = |asked: &Asked| {
            matches!(asked.tells(self, &client.context().credential), Tells::Answered | Tells::Believed)
        };
        if let Some(said) = asked.time_of_answer(now).filter(|_| !is_taken(&asked)) {
            let again = ask(&client, exchange, said)?;
            if is_taken(&again) {
                if !follows_time {
                    is_time_told = judge_time(&mut probe, self, now, said);
                }
                (asked, present) = (again, said);
            }
        }
        judge_own(&mut probe, self, &client, &asked, now, is_time_told);
        judge_issuers(&mut probe, self, &asked);
        let by_mac = self.judge_mac(&mut probe, &asked, exchange, present)?;
        if asked.reached() {
            let stranger = self.as_a_stranger()?.build()?;
            let refused = ask(&stranger, exchange, present)?;
            judge_refusal(&mut probe, &refused);
        }
        probe.profile = by_mac.or_else(|| recognise(&probe, &asked));
        Ok(probe)
    }

    /// Where it is the algorithm of our MAC that the server does not take: which one it does, of those that CAs of the field know.
    fn judge_mac(
        &self,
        probe: &mut Probe,
        asked: &Asked,
        exchange: &mut dyn Exchange,
        now: Time,
    ) -> Result<Option<&'static str>, Error> {
        let mut config = self.clone();
        if !asked.fails_with(0) {
            return Ok(None);
        }
        if config.set_mac_parameters(MacParameters::PASSWORD_BASED).is_err() {
            probe.fails("the server refuses an algorithm (badAlg)", "sign with a key or by an algorithm that it takes");
            return Ok(None);
        }
        let words = "the server refuses the algorithm of the MAC (badAlg)";
        for profile in ["insta", "trustpoint"] {
            config.set_mac_parameters(Profile::named(profile)?.mac.unwrap_or(MacParameters::PASSWORD_BASED))?;
            let again = ask(&config.build()?, exchange, now)?;
            if again.message.is_none() || again.fails_with(0) {
                continue;
            }
            // Both know HMAC with SHA-1 alone; cryptlib refuses without protection.
            let is_bare = asked.message.as_ref().is_some_and(|message| message.protection().is_none());
            let profile = if profile == "trustpoint" && is_bare { "cryptlib" } else { profile };
            let about = Profile::named(profile)?.about;
            probe.fails(words, format!("it takes the one of profile {profile} ({about})"));
            return Ok(Some(profile));
        }
        probe.fails(words, "set the MAC that the CA's documents name; those of the profiles insta, cryptlib and trustpoint are refused too");
        Ok(None)
    }

    /// The same settings under a reference value that nobody has.
    fn as_a_stranger(&self) -> Result<Config, Error> {
        let mut config = self.clone();
        let mut secret = [0u8; 16];
        self.provider().random(&mut secret)?;
        config.protect_with_secret(b"devid-probe-nobody", &secret, MacParameters::PASSWORD_BASED)?;
        config.apply_profile("strict-rfc9483")?;
        Ok(config)
    }
}

fn judge_own(probe: &mut Probe, config: &Config, client: &Client, asked: &Asked, now: Time, is_time_told: bool) {
    let tells = asked.tells(config, &client.context().credential);
    match &asked.outcome {
        Ok(_) => probe.says("caCerts is answered, and the answer is taken: credential, anchors and switches fit"),
        Err(error) => judge_refused(probe, asked, tells, error),
    }
    if asked.reply.as_ref().is_some_and(|reply| reply.content_type_is_unusual) {
        probe.says("the Content-Type is not application/pkixcmp; taken by default");
    }
    let Some(message) = &asked.message else { return };
    judge_header(probe, message, asked);
    if !is_time_told {
        judge_time_of_answer(probe, config, asked, tells, now);
    }
    if matches!(client.context().credential, Credential::Mac { .. }) && is_signed(message) {
        let words = "a MAC-protected question is answered with a signature";
        probe.says(format!("{words}: the signer's root is needed among the CMP anchors"));
        probe.needs("signature_answers_mac");
    }
    if is_signed(message) {
        judge_signer(probe, config, asked, message, tells);
    }
}

/// What an answer tells that is not to the question.
fn judge_refused(probe: &mut Probe, asked: &Asked, tells: Tells, error: &Error) {
    let message = error.message();
    match tells {
        // What is wrong with the MAC is found out by asking again.
        Tells::Answered | Tells::Algorithm => {}
        Tells::Believed => {
            let words = match error.code() {
                Code::Protocol => format!("the answer is taken; caCerts itself is not known there ({message})"),
                Code::Busy => format!("the server is believed, and puts the question off: {message}"),
                Code::Rejected => format!("the server is believed, and refuses the question: {message}"),
                _ => format!("the server is believed, and its answer to the question cannot be used: {message}"),
            };
            // RFC 9810 section 5.2.3: wrongIntegrity, signerNotTrusted. Who asks for a certificate may be another matter.
            match asked.fails_with(12) || asked.fails_with(20) {
                true => probe.warns(words, error.facts().hint.unwrap_or("check whether the CA takes this credential")),
                false => probe.says(words),
            }
        }
        Tells::Unauthorised => probe.says(
            "the question is answered by a signer who is authenticated and may not decide: a certificate that proves itself is taken from it",
        ),
        Tells::RootToCome => probe.says(
            "the signer's root is not here yet, and the settings take it with the first certificate: who answers is told then",
        ),
        Tells::Nothing if asked.message.is_none() => {
            let words = format!("the server is there and does not answer questions (genm): {message}");
            probe.warns(words, "nothing more can be told without asking for a certificate");
        }
        Tells::Nothing => {
            let remedy = "it tells nothing of enrolment: nothing more can be told without asking for a certificate";
            // An error's own hint is about its words, which are told here.
            let is_shown = asked.message.as_ref().is_some_and(|m| m.body_type() != BodyType::ERROR || is_signed(m));
            let remedy = match error.facts().hint.filter(|_| is_shown) {
                Some(hint) => format!("{remedy}. Should that be answered so, too: {hint}"),
                None => remedy.to_owned(),
            };
            probe.warns(format!("the answer to the question proves nothing: {message}"), remedy);
        }
        Tells::Credential => {
            let remedy = "check the reference value and the secret, or the credential";
            probe.fails(message.to_owned(), error.facts().hint.unwrap_or(remedy));
        }
        Tells::Fails => {
            probe.is_closed = asked.message.is_none() && is_closing(error);
            probe.fails(message.to_owned(), error.facts().hint.unwrap_or_default());
        }
    }
}

/// An answer that is taken by its own time and not by the device's, by which an operation without device memory fails. Whether that
/// was told: without a window for messageTime, nothing is.
fn judge_time(probe: &mut Probe, config: &Config, now: Time, said: Time) -> bool {
    let Some(window) = config.message_time_window_seconds else { return false };
    probe.fails(
        format!("an operation by itself refuses answers of another time: the answer is of {said} or later, the device's clock says {now}, {window} seconds apart are accepted"),
        "set the clock that is wrong, or the window for messageTime: set_time_window (devid_config_set_time_window, ca.time-window); the planner and the command keep account of their clock, and go by both times",
    );
    true
}

/// What a header shows, whether it is believed or not.
fn judge_header(probe: &mut Probe, message: &PkiMessage, asked: &Asked) {
    let header = message.header();
    if let Some(words) = crate::cmp::describe_message(message.as_der(), &Limits::default()) {
        probe.says(format!("what came: {words}"));
    }
    if header.sender_nonce.as_ref().is_none_or(|nonce| nonce.len() < 16) {
        probe.says("it has no senderNonce of 128 bits, which protects the server alone; taken by default");
    }
    if matches!(header.sender.as_deref(), Some([0x30, 0x00])) {
        probe.says("its sender is empty; taken by default");
    }
    let request = PkiMessage::from_der(asked.request.clone(), &Limits::default()).ok();
    if request.is_some_and(|request| request.header().transaction_id != header.transaction_id) {
        probe.needs("unmatched_errors");
        probe.says("it answers out of the transaction: such words are told and never believed");
    }
}

/// An answer of another time than the device's.
fn judge_time_of_answer(probe: &mut Probe, config: &Config, asked: &Asked, tells: Tells, now: Time) {
    let Some(said) = asked.time_of_answer(now) else { return };
    let words = format!("the answer is of {said} or later, the device's clock says {now}");
    match (config.message_time_window_seconds, tells) {
        // A device without a clock learns the time so.
        (None, _) => probe.says(words),
        (Some(_), Tells::Fails) => {
            probe.fails(words, "set one of the clocks, or clock_skew_seconds and the window for messageTime");
        }
        (Some(_), _) => {
            let words = format!("{words}: enrolment and renewal go by both times");
            probe.warns(words, "set the clock that is wrong, or device.clock = \"none\" (no window for messageTime)");
        }
    }
}

/// Whether what the server has of its CAs leads to the roots that issued certificates must lead to. A certificate from elsewhere would be
/// refused, once it is issued.
fn judge_issuers(probe: &mut Probe, config: &Config, asked: &Asked) {
    // A server that does not answer the question shows the CAs of its signer all the same.
    let Some(message) = &asked.message else { return };
    let known = asked.outcome.as_deref().unwrap_or_default();
    if config.enrolment_anchors.is_empty() || config.takes_roots() {
        return;
    }
    let is_ca = |certificate: &&Certificate| crate::validation::is_ca(certificate).unwrap_or(false);
    let brought = || known.iter().chain(message.extra_certs()).chain(&config.intermediates).filter(is_ca);
    let cas: Vec<&Certificate> = known.iter().chain(message.extra_certs()).filter(is_ca).collect();
    if cas.is_empty() || cas.iter().any(|ca| leads_to(config, ca, &brought().collect::<Vec<_>>())) {
        return;
    }
    let names: Vec<String> = cas.iter().map(|ca| name::display(ca.subject())).collect();
    let words = format!("none of the CAs whose certificates came leads to an enrolment anchor: {}", names.join(" · "));
    probe.warns(words, "if it is one of these that issues, its certificates will be refused: add its root by add_enrolment_anchors (devid_config_add_enrolment_anchors, ca.trust.issued), or none of them issues");
}

/// By names and signatures: a CA that was set up anew, or a root that was renewed, has the old name and another key. What else holds for
/// a path is looked at when something is issued.
fn leads_to(config: &Config, ca: &Certificate, above: &[&Certificate]) -> bool {
    let mut here = ca;
    for _ in 0..=above.len() {
        let is_anchor = |anchor: &Certificate| anchor == here || has_issued(config, anchor, here);
        if config.enrolment_anchors.iter().any(is_anchor) {
            return true;
        }
        let Some(next) = above.iter().find(|one| **one != here && has_issued(config, one, here)) else {
            return false;
        };
        here = next;
    }
    false
}

fn judge_signer(probe: &mut Probe, config: &Config, asked: &Asked, message: &PkiMessage, tells: Tells) {
    let header = message.header();
    let Some(signer) = signer_of(message) else {
        if tells == Tells::Fails {
            let words = "its signer's certificate does not come along";
            probe.fails(words, "give it to the client: pin it, or add it to the intermediates");
        }
        return;
    };
    if !signer.extension(oid::CE_KEY_USAGE).is_none_or(|usage| has_digital_signature(usage.value)) {
        probe.says(format!("the signer {signer} has a keyUsage without digitalSignature"));
        probe.needs("signer_key_usage");
    }
    let sender = header.sender.as_deref().filter(|sender| *sender != [0x30, 0x00]);
    if let Some(sender) = sender.filter(|sender| !same_name(sender, signer.subject())) {
        probe.says(format!("its sender {} is not the signer's subject", name::display(sender)));
        probe.needs("other_sender_name");
    }
    let is_another = |kid: &Vec<u8>| signer.subject_key_identifier().is_some_and(|found| kid != found);
    if header.sender_kid.as_ref().is_some_and(is_another) {
        probe.says("its senderKID is not the signer's subjectKeyIdentifier");
        probe.needs("wrong_sender_kid");
    }
    let is_said = config.authorisation.pins.is_some();
    let has_office = [oid::KP_CMC_RA, oid::KP_CMC_CA].iter().any(|purpose| signer.has_purpose(*purpose) == Ok(true));
    let is_ca = crate::validation::is_ca(signer).unwrap_or(false);
    // Who is not trusted is told as that.
    let has_path = match &asked.outcome {
        Ok(_) => true,
        Err(error) => error.facts().is_proven || error.facts().refused == Some(Refused::NotAuthorised),
    };
    if has_path && !has_office && !is_ca && !is_said && !config.cmp_anchors.iter().any(|anchor| anchor == signer) {
        let words = format!("the signer {signer} says nothing of its office (no cmcRA, no CA)");
        let remedy = "enrolment and key update work; for refusals in its own words, revocation and information pin it";
        probe.warns(words, remedy);
        probe.pins.push(signer.clone());
    }
    let refuses_path = asked.outcome.as_ref().is_err_and(|error| error.facts().refused == Some(Refused::NoPath));
    if refuses_path && tells != Tells::RootToCome {
        let roots = message.extra_certs().iter().filter(|certificate| certificate.is_self_issued());
        probe.roots.extend(roots.cloned());
    }
}

/// How strangers are refused: what the words of an error will look like.
fn judge_refusal(probe: &mut Probe, asked: &Asked) {
    let Some(message) = &asked.message else {
        if let Err(error) = &asked.outcome {
            probe.says(format!("a stranger gets no message in answer: {}", error.message()));
        }
        return;
    };
    let body = message.body_type();
    let how = match (message.protection(), is_signed(message)) {
        (None, _) => "without protection",
        (_, true) => "signed",
        (_, false) => "under a MAC",
    };
    let told = match message.body(&Limits::default()) {
        Ok(PkiBody::Error(content)) => {
            let texts = [&content.status.texts[..], &content.details].concat();
            texts.iter().map(|text| crate::words::quoted(text)).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    let told = if told.is_empty() { String::new() } else { format!(", saying {told}") };
    probe.says(format!("a stranger is answered by {body} {how}{told}"));
    if body == BodyType::ERROR && message.protection().is_none() {
        probe.needs("unprotected_errors");
    }
    if body != BodyType::ERROR {
        probe.says("certificates of CAs are public, and some servers (OpenSSL's, XiPKI) tell them to anybody: nothing is wrong with that");
    }
    let asked = PkiMessage::from_der(asked.request.clone(), &Limits::default()).ok();
    if asked.is_some_and(|asked| asked.header().transaction_id != message.header().transaction_id) {
        probe.needs("unmatched_errors");
    }
}

/// The profile of a CA that behaves like this. Names in certificates say little: anybody can choose them.
fn recognise(probe: &Probe, asked: &Asked) -> Option<&'static str> {
    let needs = |switch: &str| probe.switches.contains(&switch);
    let lacks_nonce = asked.message.as_ref().is_some_and(|message| message.header().sender_nonce.is_none());
    match (needs("unmatched_errors"), needs("unprotected_errors"), needs("signer_key_usage")) {
        (_, _, true) => Some("vault"),
        (true, true, _) => Some("openssl-mock"),
        (true, false, _) => Some("insta"),
        (false, true, _) => Some("ejbca"),
        _ if lacks_nonce => Some("xipki"),
        _ => None,
    }
}

fn has_digital_signature(value: &[u8]) -> bool {
    // BIT STRING: the first byte counts unused bits, bit 0 of the next is digitalSignature.
    value.get(3).is_some_and(|byte| byte & (0x80 >> KeyUsage::DigitalSignature as u8) != 0)
}
