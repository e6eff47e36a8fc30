//! Does what is due: one step over an exchange, with everything remembered that the next plan needs.

use std::sync::Arc;

use super::clock::Timekeeper;
use super::decide::{Anchor, Clock, Plan, Standing, Step};
use super::{Planner, anchor_of};
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::client::install::signer_of;
use crate::client::run::{Decision, Event, Owner};
use crate::client::{Client, Config, Destination, Subject, abandon};
use crate::cmp::{Information, Issued, Operation, Question, SignRequest};
use crate::codes::{Class, Code};
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{AnchorSet, Identity};
use crate::time::Time;
use crate::transport::Exchange;
#[cfg(feature = "http")]
use crate::transport::{ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};

/// How often an unfinished operation is continued in vain, with answers but without success, before it is given up.
const MOST_RESUMPTIONS: u32 = 5;

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
    /// Makes a new key; `None`: software, of the kind of the key in use, P-256 for the first.
    pub new_key: Option<&'a dyn Fn() -> Result<Arc<dyn PrivateKey>, Error>>,
}

/// What a step did.
#[derive(Debug)]
#[non_exhaustive]
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
        self.planner.plan(self.to.store, self.to.name, clock)
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
        let mut plan = self.plan(clock)?;
        let mut learnt = None;
        if plan.step == Step::LearnTime {
            self.planner.note_attempt(self.to.store, self.to.name, &plan.step, clock)?;
            let (outcome, said) = self.learn_time(plan.clock, exchange, owner);
            let Some(now) = said else {
                let silent = || Error::new(Code::ClockMissing, "the CA's answer has no messageTime to learn from");
                let error = outcome.err().unwrap_or_else(silent);
                let wait_seconds = self.planner.note_failure(self.to.store, self.to.name, &plan.step, &error, clock)?;
                return Ok(Report { plan, outcome: Err(error), learnt, wait_seconds });
            };
            learnt = Some(now);
            self.planner.note_time_learnt(self.to.store, self.to.name, &plan)?;
            let then = self.plan(Some(now))?;
            if then.step == Step::LearnTime || then.step == Step::Nothing {
                let wait_seconds = self.after_learning(&then, now)?;
                return Ok(Report { plan, outcome: Ok(Done::TimeLearnt), learnt, wait_seconds });
            }
            plan = then;
        }
        if plan.step == Step::Nothing {
            let wait_seconds = plan.ask_again_seconds;
            return Ok(Report { plan, outcome: Ok(Done::Nothing), learnt, wait_seconds });
        }
        let clock = learnt.or(clock);
        self.planner.note_attempt(self.to.store, self.to.name, &plan.step, clock)?;
        let mut napping =
            Napping { owner, longest_seconds: self.planner.policy.longest_nap_seconds, refused_seconds: None };
        let at_least = plan.clock.at_least().unwrap_or(Time::from_unix(0));
        let mut keeper = match plan.clock {
            Clock::Known(now) => Timekeeper::with_clock(&mut napping, now),
            Clock::Behind { .. } | Clock::Unknown { .. } => Timekeeper::without_clock(&mut napping, at_least),
        };
        let outcome = self.perform(&plan, exchange, &mut keeper);
        if let Some(said) = keeper.learn(&outcome) {
            // Best effort: what was achieved does not depend on it.
            let noted = self.to.store.note_time(said).unwrap_or(said);
            if !plan.clock.is_known() {
                learnt = Some(noted);
            }
        }
        let later = clock.map(|_| keeper.now());
        let refused_seconds = napping.refused_seconds;
        self.conclude(plan, outcome, refused_seconds, learnt, later)
    }

    /// [`Renewal::run_due`] over the built-in HTTP client, which is made when something is due.
    #[cfg(feature = "http")]
    pub fn run_due_http(&self, clock: Option<Time>, owner: &mut dyn Owner) -> Result<Report, Error> {
        self.run_due(clock, &mut LazyHttp { renewal: self, http: None }, owner)
    }

    /// Remembers how it went, and says when to come back.
    fn conclude(
        &self,
        plan: Plan,
        outcome: Result<Done, Error>,
        refused_seconds: Option<u32>,
        learnt: Option<Time>,
        clock: Option<Time>,
    ) -> Result<Report, Error> {
        let (store, name) = (self.to.store, self.to.name);
        let is_about_identity = !matches!(plan.step, Step::AskForRoot(_));
        let (outcome, wait_seconds) = match (outcome, refused_seconds) {
            (Err(_), Some(seconds)) if is_about_identity => {
                self.planner.note_waiting(store, name, seconds, clock)?;
                (Ok(Done::Waiting), seconds)
            }
            (Err(error), _) => {
                let wait = self.planner.note_failure(store, name, &plan.step, &error, clock)?;
                if is_unknown_to_all(&plan.step, &error) {
                    abandon(self.to)?;
                }
                if plan.step == Step::Resume && is_hopeless(&error, plan.attempts) {
                    abandon(self.to)?;
                    self.planner.note_success(store, name)?;
                    (Ok(Done::Abandoned(error)), 0)
                } else {
                    (Err(error), wait)
                }
            }
            (Ok(done), _) if is_about_identity => {
                self.planner.note_success(store, name)?;
                (Ok(done), 0)
            }
            // The next plan knows when to ask for a root again.
            (Ok(done), _) => (Ok(done), 0),
        };
        let wait_seconds = match learnt.or(clock) {
            Some(now) => self.plan(Some(now))?.ask_again_seconds,
            None => wait_seconds,
        };
        Ok(Report { plan, outcome, learnt, wait_seconds })
    }

    fn perform(&self, plan: &Plan, exchange: &mut dyn Exchange, owner: &mut dyn Owner) -> Result<Done, Error> {
        let installed = |identity: Identity| Done::Installed(Box::new(identity));
        let is_known = plan.clock.is_known();
        match &plan.step {
            Step::Enroll | Step::EnrollAgain => {
                let client = self.factory_client(is_known)?;
                let subject = self.subject()?;
                client.enroll_into(self.to, &self.key()?, &subject, exchange, owner).map(installed)
            }
            Step::Update => {
                self.own_client(is_known)?.renew_into(self.to, &self.key()?, exchange, owner).map(installed)
            }
            Step::Resume => self.resume(is_known, exchange, owner).map(installed),
            Step::AskForRoot(anchor) => {
                let client = self.best_client(plan.standing, is_known)?;
                self.ask_for_root(&client, anchor, exchange, owner)
            }
            Step::Nothing | Step::LearnTime => Ok(Done::Nothing),
        }
    }

    /// The operation was begun by the identity in use or by the other credential; the saved form knows, and refuses the
    /// wrong one.
    fn resume(&self, is_known: bool, exchange: &mut dyn Exchange, owner: &mut dyn Owner) -> Result<Identity, Error> {
        if let Ok(client) = self.own_client(is_known) {
            match client.resume(self.to, exchange, owner) {
                Err(error) if error.code() == Code::KeyMismatch => {}
                other => return other,
            }
        }
        self.factory_client(is_known)?.resume(self.to, exchange, owner)
    }

    fn ask_for_root(
        &self,
        client: &Client,
        anchor: &Anchor,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Done, Error> {
        let old = anchor_of(self.to.store, anchor)?;
        let mut operation = client.ask(Question::RootUpdate { old: old.clone() })?;
        client.complete_over(&mut operation, exchange, owner)?;
        let Some(Information::RootUpdate(Some(update))) = operation.information() else {
            return Ok(Done::NoSuccessor);
        };
        let new = update.new_root();
        let mut is_added = false;
        // The old root stays until it ends: certificates under it are in use.
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            let mut anchors = self.to.store.anchors(set)?;
            if anchors.contains(&old) && !anchors.contains(new) {
                anchors.push(new.clone());
                self.to.store.set_anchors(set, &anchors)?;
                is_added = true;
            }
        }
        Ok(if is_added { Done::RootAdded(Box::new(new.clone())) } else { Done::NoSuccessor })
    }

    fn learn_time(
        &self,
        clock: Clock,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> (Result<(), Error>, Option<Time>) {
        let client = match self.best_client(Standing::Unknown, false) {
            Ok(client) => client,
            Err(error) => return (Err(error), None),
        };
        let mut operation = match client.ask(Question::CaCerts) {
            Ok(operation) => operation,
            Err(error) => return (Err(error), None),
        };
        // A clock that says less than notBefore of the certificate in use is no lower bound worth anything.
        let bound = match clock {
            Clock::Known(_) => Time::from_unix(0),
            other => other.at_least().unwrap_or(Time::from_unix(0)),
        };
        let mut napping = Napping { owner, longest_seconds: u32::MAX, refused_seconds: None };
        client.complete_without_clock(&mut operation, self.to.store, bound, exchange, &mut napping)
    }

    /// Seconds to come back after the time was learnt and nothing more came of it.
    fn after_learning(&self, then: &Plan, now: Time) -> Result<u32, Error> {
        if then.step == Step::Nothing {
            return Ok(then.ask_again_seconds);
        }
        // The certificate really begins later than now.
        let seconds = self.planner.policy.first_retry_seconds;
        self.planner.note_waiting(self.to.store, self.to.name, seconds, Some(now))?;
        Ok(seconds)
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
        self.client(config, is_known)
    }

    /// Requests are protected by the factory's identity, or as the settings say.
    fn factory_client(&self, is_known: bool) -> Result<Client, Error> {
        let config = match self.factory {
            Some(name) => self.with_identity(name)?,
            None => self.config.clone(),
        };
        self.client(config, is_known)
    }

    fn with_identity(&self, name: &str) -> Result<Config, Error> {
        let identity = self.to.store.current(name)?;
        let signer = signer_of(self.to.store, &identity.key)?;
        let mut config = self.config.clone();
        config.protect_with_certificate(signer, identity.certificate, identity.chain);
        Ok(config)
    }

    fn client(&self, mut config: Config, is_known: bool) -> Result<Client, Error> {
        for anchor in self.to.store.anchors(AnchorSet::Cmp)? {
            config.cmp_anchors.add(anchor);
        }
        for anchor in self.to.store.anchors(AnchorSet::Enrolment)? {
            config.enrolment_anchors.add(anchor);
        }
        let client = config.build()?;
        Ok(if is_known { client } else { client.without_clock() })
    }

    fn key(&self) -> Result<Arc<dyn PrivateKey>, Error> {
        let current = self.to.store.current(self.to.name).ok();
        let held = current.as_ref().and_then(|identity| identity.key.held());
        if let (true, Some(identity)) = (self.planner.policy.same_key, &current)
            && let Some(key) = self.to.store.open_key(&identity.key)?
        {
            return Ok(key);
        }
        if let Some(new_key) = self.new_key {
            return new_key();
        }
        if current.is_some() && held.is_none() {
            let words = "the key in use is not in device memory: the program must make the new one";
            return Err(Error::new(Code::Unsupported, words));
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
    http: Option<Box<dyn Exchange + Send + Sync>>,
}

#[cfg(feature = "http")]
impl Exchange for LazyHttp<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.http.is_none() {
            let made = self.renewal.best_client(Standing::Valid, true).and_then(|client| client.exchange());
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

/// Whether an unfinished operation is past help: its saved form cannot be used, or the CA's answers lead nowhere.
fn is_hopeless(error: &Error, failures_before: u32) -> bool {
    match error.code() {
        Code::Corrupt | Code::UnknownVersion | Code::NotFound | Code::KeyMismatch | Code::Der | Code::TrailingData => {
            true
        }
        _ => error.class() == Class::Protocol && failures_before + 1 >= MOST_RESUMPTIONS,
    }
}

/// Lets the owner sleep through short waits only.
struct Napping<'a> {
    owner: &'a mut dyn Owner,
    longest_seconds: u32,
    refused_seconds: Option<u32>,
}

impl Owner for Napping<'_> {
    fn now(&mut self) -> Time {
        self.owner.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        if seconds > self.longest_seconds {
            self.refused_seconds = Some(seconds);
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
        self.owner.observe(event);
    }
}
