//! Does what is due: one step over an exchange, with everything remembered that the next plan needs.

use std::cell::Cell;
use std::sync::Arc;

use super::clock::{LATEST, Timekeeper};
use super::decide::{Anchor, Clock, Plan, Standing, Step};
use super::learning::{self, Learnt};
use super::{Planner, anchor_of};
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::client::install::signer_of;
use crate::client::roots::add_root_everywhere;
use crate::client::run::{Decision, Event, Owner};
use crate::client::{Client, Config, Destination, Subject, abandon};
use crate::cmp::{Information, Issued, Operation, Question, SavedCredential, SignRequest, Signer};
use crate::codes::{Class, Code};
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{AnchorSet, Identity, IdentityKey, KeyReference, StoreErrorKind};
use crate::time::Time;
use crate::transport::Exchange;
use crate::transport::tls::TlsTime;
#[cfg(feature = "http")]
use crate::transport::{ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};

/// How often in a row an unfinished operation is continued without an answer that proves anything, or without anything to
/// send, before it is given up. Anybody on the way can send such answers, and the waits between grow to a day.
const MOST_IN_VAIN: u32 = 16;
/// How often in a row the CA itself may turn a confirmation down that is sent again, before a fresh certificate is asked for. The
/// identity in use stays in use.
const MOST_TURNED_DOWN: u32 = 3;

/// A question for a root's successor that waits is saved under this, and the root's mark.
const QUESTION: &str = "root-";

/// Everything that renewals of one identity need.
pub struct Renewal<'a> {
    /// The rules.
    pub planner: &'a Planner,
    /// Settings of the client. Its credential is the one for requests that the identity itself cannot protect, unless
    /// `factory` names one in device memory. The anchors in device memory count as well as those set here.
    pub config: &'a Config,
    /// The identity that is kept up.
    pub to: Destination<'a>,
    /// The factory's identity (IDevID) in device memory.
    pub factory: Option<&'a str>,
    /// What is asked for; `None`: what the certificate in use says. Needed for the first certificate.
    pub subject: Option<&'a Subject>,
    /// Makes a new key; `None`: where the key in use is and of its kind ([`Store::make_keys_with`](crate::store::Store)), a
    /// P-256 key in device memory for the first.
    pub new_key: Option<&'a dyn Fn() -> Result<Arc<dyn PrivateKey>, Error>>,
}

/// What a step did.
#[derive(Debug)]
pub enum Done {
    /// Nothing was due.
    Nothing,
    /// A new certificate is in use.
    Installed(Box<Identity>),
    /// The CA asks to wait; the operation is saved.
    Waiting,
    /// A root's successor is among the anchors.
    RootAdded(Box<Certificate>),
    /// The CA knows of no successor yet.
    NoSuccessor,
    /// An unfinished operation could not be continued and is given up; a fresh one is due.
    Abandoned(Error),
    /// The time was learnt, and by it nothing is due.
    TimeLearnt,
}

/// How a step went.
#[derive(Debug)]
pub struct Report {
    /// What was planned.
    pub plan: Plan,
    /// What came of it. An error is remembered; the next plan takes it into account.
    pub outcome: Result<Done, Error>,
    /// The time, from an authentic answer of the CA, for devices without a clock.
    pub learnt: Option<Time>,
    /// Come back after so many seconds; 0: more is due.
    pub wait_seconds: u32,
}

impl Renewal<'_> {
    /// What is due: see [`Planner::plan`].
    pub fn plan(&self, clock: Option<Time>) -> Result<Plan, Error> {
        self.planner().plan(self.to.store, self.to.name, clock)
    }

    /// Does what is due, at most one step; on a device without a clock it learns the time first, where that matters.
    /// Blocks. `clock`: what the clock says, `None` if there is none; the owner's clock is not asked.
    ///
    /// Waits up to [`Policy::longest_nap_seconds`](super::Policy::longest_nap_seconds) are slept through by the owner;
    /// longer ones end the step, which is continued when it is due.
    ///
    /// Errors: device memory cannot be read or written. What goes wrong with the step itself is in the report.
    pub fn run_due(
        &self,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Report, Error> {
        let planner = self.planner();
        let (store, name) = (self.to.store, self.to.name);
        let mut plan = self.plan(clock)?;
        let mut learnt = None;
        if plan.step == Step::LearnTime {
            planner.note_attempt(store, name, &plan.step, clock)?;
            let (outcome, said) = self.learn_time(plan.clock, clock, exchange, owner)?;
            let Learnt::Time(now) = said else {
                let error = outcome.err().unwrap_or_else(|| not_learnt(said));
                let wait_seconds = planner.note_failure(store, name, &plan.step, &error, clock)?;
                return Ok(Report { plan, outcome: Err(error), learnt, wait_seconds });
            };
            learnt = Some(now);
            let then = planner.plan_by_answer(store, name, now)?;
            if then.step == Step::LearnTime {
                return self.after_learning(plan, now, clock);
            }
            planner.note_time_learnt(store, name, &plan)?;
            let then = planner.plan_by_answer(store, name, now)?;
            if then.step == Step::Nothing {
                let wait_seconds = then.ask_again_seconds;
                return Ok(Report { plan, outcome: Ok(Done::TimeLearnt), learnt, wait_seconds });
            }
            plan = then;
        }
        if plan.step == Step::Nothing {
            let wait_seconds = plan.ask_again_seconds;
            return Ok(Report { plan, outcome: Ok(Done::Nothing), learnt, wait_seconds });
        }
        // Waits are measured by the clock that is asked about them later.
        let book = clock.or(learnt);
        planner.note_attempt(store, name, &plan.step, book)?;
        let napped = Napped::default();
        let mut napping = Napping::new(owner, planner.policy.longest_nap_seconds, &napped);
        let at_least = plan.clock.at_least().unwrap_or(Time::from_unix(0));
        let mut keeper = match plan.clock {
            Clock::Known(now) => Timekeeper::with_clock(&mut napping, now),
            Clock::Behind { .. } | Clock::Unknown { .. } => Timekeeper::without_clock(&mut napping, at_least),
        };
        let latest = self.end_of_anchors()?;
        keeper = keeper.up_to(latest);
        // Best effort, here and below: keys that are left over cost nothing but room.
        let mut keys = store.makers_keys().unwrap_or_default();
        let outcome = self.perform(&plan, exchange, &mut keeper, &mut keys);
        if let Some(said) = keeper.learn(&outcome) {
            // Best effort: what was achieved does not depend on it.
            let taken = learning::take_in(store, said, clock, latest).unwrap_or(Learnt::Nothing);
            if let (Learnt::Time(noted), false) = (taken, plan.clock.is_known()) {
                learnt = Some(noted);
            }
        }
        // Also a clock that is behind counts on: waits are measured by it.
        let later = clock.map(|now| now.plus(keeper.passed_seconds())).or(learnt);
        let report = self.conclude(plan, outcome, &napped, learnt, later);
        let _ = store.destroy_forgotten_keys(&keys);
        report
    }

    /// [`Renewal::run_due`] over the built-in HTTP client, which is made when something is due.
    #[cfg(feature = "http")]
    pub fn run_due_http(&self, clock: Option<Time>, owner: &mut dyn Owner) -> Result<Report, Error> {
        self.run_due(clock, &mut LazyHttp { renewal: self, clock, http: None }, owner)
    }

    /// Remembers how it went, and says when to come back. `clock`: what waits are measured by.
    fn conclude(
        &self,
        plan: Plan,
        outcome: Result<Done, Error>,
        napped: &Napped,
        learnt: Option<Time>,
        clock: Option<Time>,
    ) -> Result<Report, Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let is_about_identity = !matches!(plan.step, Step::AskForRoot(_));
        let (outcome, wait_seconds) = match (outcome, napped.refused_seconds.get()) {
            (Err(_), Some(seconds)) if !is_about_identity => {
                let wait = planner.note_root_waiting(store, name, &plan.step, seconds, clock)?;
                (Ok(Done::Waiting), wait)
            }
            (Err(error), Some(seconds)) => {
                let wait = planner.note_waiting(store, name, seconds, clock)?;
                // Only a clock that jumped lets an operation wait, time after time, without a poll.
                let is_in_vain = plan.step == Step::Resume && !napped.has_sent.get();
                if planner.note_in_vain(store, name, is_in_vain)? >= MOST_IN_VAIN {
                    self.give_up(None)?;
                    (Ok(Done::Abandoned(error)), wait)
                } else {
                    (Ok(Done::Waiting), wait)
                }
            }
            (Err(error), _) => self.after_failure(&plan, error, clock)?,
            (Ok(done), _) if is_about_identity => {
                let is_new = matches!(done, Done::Installed(_));
                let now = clock.or(learnt).or(plan.clock.at_least()).filter(|_| is_new);
                planner.note_success_at(store, name, now)?;
                (Ok(done), 0)
            }
            // The next plan knows when to ask for a root again.
            (Ok(done), _) => (Ok(done), 0),
        };
        let wait_seconds = match clock {
            Some(now) => planner.plan(store, name, Some(now))?.ask_again_seconds,
            None => wait_seconds,
        };
        Ok(Report { plan, outcome, learnt, wait_seconds })
    }

    fn after_failure(
        &self,
        plan: &Plan,
        error: Error,
        clock: Option<Time>,
    ) -> Result<(Result<Done, Error>, u32), Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let wait = planner.note_failure(store, name, &plan.step, &error, clock)?;
        if is_unknown_to_all(&plan.step, &error) {
            abandon(self.to)?;
        }
        if plan.step != Step::Resume {
            return Ok((Err(error), wait));
        }
        if is_of_no_use(&error) {
            self.give_up(Some(plan))?;
            return Ok((Ok(Done::Abandoned(error)), 0));
        }
        let is_proven = error.facts().server_authenticated;
        // The CA has heard the confirmation before, or takes the transaction for over: it will say so again.
        let is_turned_down = error.code() == Code::Unconfirmed && is_proven;
        let is_in_vain = is_turned_down || error.class() == Class::Protocol && !is_proven;
        let most = if is_turned_down { MOST_TURNED_DOWN } else { MOST_IN_VAIN };
        if planner.note_in_vain(store, name, is_in_vain)? >= most {
            self.give_up(None)?;
            return Ok((Ok(Done::Abandoned(error)), wait));
        }
        Ok((Err(error), wait))
    }

    /// Gives the unfinished operation up, not the count of what failed.
    fn give_up(&self, is_due_now: Option<&Plan>) -> Result<(), Error> {
        abandon(self.to)?;
        self.planner().note_abandoned(self.to.store, self.to.name, is_due_now)
    }

    /// The rules, with the factory's identity of this renewal.
    fn planner(&self) -> Planner {
        let factory = self.factory.map(str::to_owned).or_else(|| self.planner.factory.clone());
        Planner { factory, ..self.planner.clone() }
    }

    /// `keys`: receives the reference of a key that is made for it where device memory only names it.
    fn perform(
        &self,
        plan: &Plan,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        keys: &mut Vec<KeyReference>,
    ) -> Result<Done, Error> {
        let installed = |identity: Identity| Done::Installed(Box::new(identity));
        let is_known = plan.clock.is_known();
        match &plan.step {
            Step::Enroll | Step::EnrollAgain => {
                let client = self.factory_client(is_known)?;
                let subject = self.subject()?;
                client.enroll_into(self.to, &self.noted_key(keys)?, &subject, exchange, owner).map(installed)
            }
            Step::Update => {
                let client = self.own_client(is_known)?;
                client.renew_into(self.to, &self.noted_key(keys)?, exchange, owner).map(installed)
            }
            Step::Resume => self.resume(is_known, exchange, owner).map(installed),
            Step::AskForRoot(anchor) => {
                let client = self.best_client(plan.standing, is_known)?;
                self.ask_for_root(&client, anchor, exchange, owner)
            }
            Step::Nothing | Step::LearnTime => Ok(Done::Nothing),
        }
    }

    /// Goes on with the credential of the request: whoever polls must be who asked (RFC 9483 section 4.4).
    fn resume(&self, is_known: bool, exchange: &mut dyn Exchange, owner: &mut dyn Owner) -> Result<Identity, Error> {
        if let Some(saved) = self.to.unfinished()? {
            if let Some(client) = self.client_of(&saved.credential, is_known)? {
                return client.resume(self.to, exchange, owner);
            }
        }
        match self.to.already_installed()? {
            Some(identity) => Ok(identity),
            None => {
                let words = "the unfinished operation was begun with a credential that is not here any more";
                Err(Error::new(Code::KeyMismatch, words))
            }
        }
    }

    /// The client whose credential this is: of the identity in use, of the factory's, or of the settings.
    fn client_of(&self, wanted: &SavedCredential, is_known: bool) -> Result<Option<Client>, Error> {
        let provider = &**self.config.provider();
        for name in [Some(self.to.name), self.factory].into_iter().flatten() {
            let identity = match self.to.store.current(name) {
                Ok(identity) => identity,
                Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => continue,
                Err(error) => return Err(error.into()),
            };
            if SavedCredential::of_certificate(identity.certificate.as_der(), provider)? == *wanted {
                return self.client(self.with_identity(name)?, Standing::Valid, is_known).map(Some);
            }
        }
        match self.client(self.config.clone(), Standing::Valid, is_known) {
            Ok(client) => {
                let is_it = SavedCredential::of(&client.context().credential, provider)? == *wanted;
                Ok(is_it.then_some(client))
            }
            // The settings have no credential at all.
            Err(error) if error.code() == Code::InvalidArgument => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ask_for_root(
        &self,
        client: &Client,
        anchor: &Anchor,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Done, Error> {
        let label = format!("{QUESTION}{}", self.planner.anchor_label(self.to.store, anchor)?);
        let mut operation = self.question(client, anchor, &label)?;
        if let Err(error) = client.complete_over(&mut operation, exchange, owner) {
            // What the CA lets wait is polled on (RFC 9483 section 4.4); what it has answered is over.
            let goes_on = error.class() == Class::Transport || error.code() == Code::Cancelled;
            match operation.save() {
                Ok(saved) if goes_on => self.to.store.save_operation(&label, &saved)?,
                _ => self.to.store.remove_operation(&label)?,
            }
            return Err(error);
        }
        self.to.store.remove_operation(&label)?;
        let Some(Information::RootUpdate(Some(update))) = operation.information() else {
            return Ok(Done::NoSuccessor);
        };
        let is_added = add_root_everywhere(self.to.store, update)?;
        Ok(if is_added { Done::RootAdded(Box::new(update.new_root().clone())) } else { Done::NoSuccessor })
    }

    /// The question that waits for its answer, or a new one.
    fn question(&self, client: &Client, anchor: &Anchor, label: &str) -> Result<Operation, Error> {
        match self.to.store.load_operation(label) {
            Ok(saved) => match client.restore_keyless(&saved) {
                Ok(operation) => return Ok(operation),
                // Asked with another credential, or by another version: it is asked anew.
                Err(_) => self.to.store.remove_operation(label)?,
            },
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
        client.ask(Question::RootUpdate { old: anchor_of(self.to.store, anchor)? })
    }

    fn learn_time(
        &self,
        known: Clock,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<(Result<(), Error>, Learnt), Error> {
        let asked = self.best_client(Standing::Unknown, false).and_then(|client| {
            let operation = client.ask(Question::CaCerts)?;
            Ok((client, operation))
        });
        let (client, mut operation) = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok((Err(error), Learnt::Nothing)),
        };
        // A clock that says less than notBefore of the certificate in use is no lower bound worth anything.
        let bound = match known {
            Clock::Known(_) => Time::from_unix(0),
            other => other.at_least().unwrap_or(Time::from_unix(0)),
        };
        let napped = Napped::default();
        let mut napping = Napping::new(owner, self.planner.policy.longest_nap_seconds, &napped);
        let mut keeper =
            Timekeeper::without_clock(&mut napping, bound).up_to(client.end_of_anchors()).hearing_earlier();
        let outcome = client.complete_over(&mut operation, exchange, &mut keeper);
        // An answer that lets wait is as authentic as another one, and has the time: what it would say is not waited for.
        let outcome = if napped.refused_seconds.get().is_some() { Ok(()) } else { outcome };
        let Some(said) = keeper.learn(&outcome) else { return Ok((outcome, Learnt::Nothing)) };
        let learnt = learning::take_in(self.to.store, said, clock, client.end_of_anchors())?;
        Ok((outcome, learnt))
    }

    /// The time was learnt, and the certificate still begins later: that is a failure, waited out like others.
    fn after_learning(&self, plan: Plan, now: Time, clock: Option<Time>) -> Result<Report, Error> {
        let words = "the certificate in use begins later than the CA's time";
        let error = Error::new(Code::NotYetValid, words);
        let (store, name) = (self.to.store, self.to.name);
        let wait_seconds = self.planner().note_failure(store, name, &plan.step, &error, clock.or(Some(now)))?;
        Ok(Report { plan, outcome: Ok(Done::TimeLearnt), learnt: Some(now), wait_seconds })
    }

    fn best_client(&self, standing: Standing, is_known: bool) -> Result<Client, Error> {
        match standing {
            Standing::Valid | Standing::NotYetValid | Standing::Unknown => {
                self.own_client(is_known).or_else(|_| self.factory_client(is_known))
            }
            _ => self.factory_client(is_known),
        }
    }

    /// Requests are protected by the identity in use.
    fn own_client(&self, is_known: bool) -> Result<Client, Error> {
        let config = self.with_identity(self.to.name)?;
        self.client(config, Standing::Valid, is_known)
    }

    /// Requests are protected by the factory's identity, or as the settings say.
    fn factory_client(&self, is_known: bool) -> Result<Client, Error> {
        let config = match self.factory {
            Some(name) => self.with_identity(name)?,
            None => self.config.clone(),
        };
        self.client(config, Standing::Absent, is_known)
    }

    /// See [`Client::end_of_anchors`].
    fn end_of_anchors(&self) -> Result<Time, Error> {
        let settings = self.config.cmp_anchors.iter().chain(self.config.enrolment_anchors.iter());
        let mut latest = settings.map(Certificate::not_after).max();
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            latest = latest.max(self.to.store.anchors(set)?.iter().map(Certificate::not_after).max());
        }
        Ok(latest.unwrap_or(LATEST).min(LATEST))
    }

    fn with_identity(&self, name: &str) -> Result<Config, Error> {
        let identity = self.to.store.current(name)?;
        let signer = signer_of(self.to.store, &identity.key)?;
        let mut config = self.config.clone();
        config.protect_with_certificate(signer, identity.certificate, identity.chain);
        Ok(config)
    }

    /// With all that device memory has for it: its anchors count as well as those of the settings.
    fn client(&self, mut config: Config, standing: Standing, is_known: bool) -> Result<Client, Error> {
        for set in AnchorSet::ALL {
            let anchors = match set {
                AnchorSet::Cmp => &mut config.cmp_anchors,
                AnchorSet::Enrolment => &mut config.enrolment_anchors,
                AnchorSet::Tls => &mut config.tls.anchors,
                // For whom the device meets, not for its CA: read by `Store::trust`.
                AnchorSet::Peer => continue,
            };
            for anchor in self.to.store.anchors(set)? {
                anchors.add(anchor);
            }
        }
        self.show_identity(&mut config, standing);
        if !is_known && config.tls.time == TlsTime::System {
            config.tls.time = TlsTime::Unknown;
        }
        let client = config.build()?;
        Ok(if is_known { client } else { client.without_clock() })
    }

    /// The TLS client certificate, where the settings have none: the identity in use while it is of use, else the factory's.
    /// Best effort: most servers do not ask for one, and a key that cannot sign at once cannot be shown.
    fn show_identity(&self, config: &mut Config, standing: Standing) {
        if config.tls.certificate().is_some() {
            return;
        }
        let own = Some(self.to.name).filter(|_| standing == Standing::Valid);
        for name in [own, self.factory].into_iter().flatten() {
            let Ok(identity) = self.to.store.current(name) else { continue };
            let Ok(Some(key)) = self.to.store.open_key(&identity.key) else { continue };
            let chain = [std::slice::from_ref(&identity.certificate), &identity.chain[..]].concat();
            if config.tls.set_credential(key, &chain).is_ok() {
                return;
            }
        }
    }

    fn noted_key(&self, keys: &mut Vec<KeyReference>) -> Result<Arc<dyn PrivateKey>, Error> {
        let key = self.key()?;
        if let Some(reference) = key.reference() {
            keys.push(KeyReference { reference: reference.to_owned(), spki: key.spki().to_vec() });
        }
        Ok(key)
    }

    fn key(&self) -> Result<Arc<dyn PrivateKey>, Error> {
        let current = self.to.store.current(self.to.name).ok();
        let held = current.as_ref().and_then(|identity| identity.key.held());
        if let (true, Some(identity)) = (self.planner.policy.same_key, &current) {
            if let Some(key) = self.to.store.open_key(&identity.key)? {
                return Ok(key);
            }
        }
        if let Some(new_key) = self.new_key {
            return new_key();
        }
        if let Some(IdentityKey::External(reference)) = current.as_ref().map(|identity| &identity.key) {
            let kind = Signer::deferred(reference.spki.clone())?.kind();
            return self.to.store.make_key(&reference.reference, kind)?.ok_or_else(|| {
                let words = "the key in use is not in device memory: say where the new one is to be made";
                Error::new(Code::Unsupported, words)
            });
        }
        let kind = held.map_or(KeyKind::P256, |key| key.kind());
        Ok(self.config.provider().generate_key(kind)?)
    }

    fn subject(&self) -> Result<Subject, Error> {
        match self.subject {
            Some(subject) => Ok(subject.clone()),
            None => like(&self.to.store.last_good(self.to.name)?.0.certificate),
        }
    }
}

impl std::fmt::Debug for Renewal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("name", &self.to.name).field("planner", &self.planner).finish_non_exhaustive()
    }
}

/// The built-in client, once something is to be sent.
#[cfg(feature = "http")]
struct LazyHttp<'a> {
    renewal: &'a Renewal<'a>,
    clock: Option<Time>,
    http: Option<Box<dyn Exchange + Send + Sync>>,
}

#[cfg(feature = "http")]
impl Exchange for LazyHttp<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.http.is_none() {
            let made = self
                .renewal
                .plan(self.clock)
                .and_then(|plan| self.renewal.best_client(plan.standing, plan.clock.is_known())?.exchange());
            let unusable =
                |e: Error| TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, e.message().to_owned());
            self.http = Some(made.map_err(unusable)?);
        }
        self.http.as_mut().expect("made above").exchange(request, limits)
    }
}

/// Asks for what a certificate says: names and uses.
fn like(certificate: &Certificate) -> Result<Subject, Error> {
    let mut subject = Subject::new().name_der(certificate.subject())?;
    for id in [oid::CE_SUBJECT_ALT_NAME, oid::CE_KEY_USAGE, oid::CE_EXT_KEY_USAGE] {
        if let Some(extension) = certificate.extension(id) {
            subject = subject.extension(&id.to_string(), extension.critical, extension.value)?;
        }
    }
    Ok(subject)
}

/// Whether a new request certainly reached nobody: a fresh one with a fresh time replaces it, instead of this one growing
/// old in device memory.
fn is_unknown_to_all(step: &Step, error: &Error) -> bool {
    let is_new = matches!(step, Step::Enroll | Step::EnrollAgain | Step::Update);
    is_new && error.code() == Code::Connect && matches!(error.facts().phase, Some("ir" | "kur"))
}

/// Whether an unfinished operation is of no use to anybody: its saved form cannot be read, or nothing here belongs to it.
/// What came over the way to the server, which has a phase, says nothing about that.
fn is_of_no_use(error: &Error) -> bool {
    let is_local = matches!(
        error.code(),
        Code::Corrupt | Code::UnknownVersion | Code::NotFound | Code::KeyMismatch | Code::Der | Code::TrailingData
    );
    is_local && error.facts().phase.is_none()
}

fn not_learnt(what: Learnt) -> Error {
    let words = match what {
        Learnt::InQuestion(said) => {
            format!(
                "the CA's answer says {said}, more than a year ahead of what is known, or before it: a second one must confirm it"
            )
        }
        _ => "the CA's answer has no messageTime to learn from".to_owned(),
    };
    Error::new(Code::ClockMissing, words)
}

/// What the owner was asked while a step ran.
#[derive(Default)]
struct Napped {
    /// The CA's answer, an authentic one, asked for a wait that ended the step.
    refused_seconds: Cell<Option<u32>>,
    has_sent: Cell<bool>,
}

/// Lets the owner sleep through short waits only.
struct Napping<'a> {
    owner: &'a mut dyn Owner,
    longest_seconds: u32,
    napped: &'a Napped,
    /// The next wait is for a server that was not reached: the CA has asked for nothing.
    is_retrying: bool,
}

impl<'a> Napping<'a> {
    fn new(owner: &'a mut dyn Owner, longest_seconds: u32, napped: &'a Napped) -> Self {
        Napping { owner, longest_seconds, napped, is_retrying: false }
    }
}

impl Owner for Napping<'_> {
    fn now(&mut self) -> Time {
        self.owner.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        let is_retrying = std::mem::take(&mut self.is_retrying);
        if seconds > self.longest_seconds {
            if !is_retrying {
                self.napped.refused_seconds.set(Some(seconds));
            }
            return Err(Error::new(
                Code::Cancelled,
                format!("the CA asks to wait {seconds} s: the operation is saved"),
            ));
        }
        self.owner.wait(seconds, reason)
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        self.owner.decide(issued)
    }

    fn sign(&mut self, request: &SignRequest) -> Result<Vec<u8>, Error> {
        self.owner.sign(request)
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        self.owner.checkpoint(operation)
    }

    fn observe(&mut self, event: Event<'_>) {
        if matches!(event, Event::Sending { .. }) {
            self.napped.has_sent.set(true);
        }
        self.is_retrying = matches!(event, Event::Retrying { .. });
        self.owner.observe(event);
    }
}
