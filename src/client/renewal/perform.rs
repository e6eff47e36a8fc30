//! Does what is due: one step over an exchange, with everything remembered that the next plan needs.

mod outcome;

use std::cell::Cell;
use std::sync::Arc;

use super::Planner;
use super::budget::Counting;
use super::clock::Timekeeper;
use super::known::{CLOSE_SECONDS, Clock};
use super::learning::{self, Learnt, Said, Told};
#[cfg(feature = "http")]
use super::means::LazyHttp;
use super::nap::{Napped, Napping};
use super::plan::{Alarm, Plan, Standing, Step};
use super::questions::not_learnt;
use crate::asn1::x509::Certificate;
use crate::client::bearers;
use crate::client::install::{RequestOut, Saved};
use crate::client::run::Owner;
use crate::client::{Client, Config, Destination, Subject};
use crate::cmp::{SavedOperation, SavedState, Signer};
use crate::codes::{Class, Code};
use crate::crypto::PrivateKey;
use crate::error::Error;
use crate::store::{AnchorSet, Identity, KeyReference, Problem, is_at_work};
use crate::time::Time;
use crate::transport::Exchange;

/// Why an operation is given up at once.
const LOST: &str =
    "the unfinished operation was begun with an identity whose key or certificate is lost: nobody can go on with it";
/// How soon whoever meets with another one at work looks again.
const LOOK_AGAIN_SECONDS: u32 = 5;

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
    /// Come back after so many seconds. 0: more is due at once, which is so only after something was given up, never twice in a row.
    pub wait_seconds: u32,
}

impl Renewal<'_> {
    /// What is due: see [`Planner::plan`].
    pub fn plan(&self, clock: Option<Time>) -> Result<Plan, Error> {
        self.planner().plan(self.to.store, self.to.name, clock)
    }

    /// Does what is due, at most one step; on a device whose clock is missing or contradicted it learns the time first, where that
    /// matters. Blocks. `clock`: what the clock says, `None` if there is none; the owner's clock is not asked.
    ///
    /// Whoever calls it has waited as long as the last report said: without a clock, or with one that begins anew at each start,
    /// nobody else can measure that.
    ///
    /// Where another process, thread or operation is in a conversation about this identity, nothing is done
    /// ([`Done::Nothing`]), and the report says when to look again.
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
        self.run_counted(clock, exchange, owner, &Cell::new(false))
    }

    /// The one door to the server: what a day may be asked for is kept here.
    fn run_counted(
        &self,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        asks_time: &Cell<bool>,
    ) -> Result<Report, Error> {
        let is_carried = self.planner.is_carried || exchange.is_carried();
        let planner = Planner { is_carried, sent: Arc::default(), ..self.planner.clone() };
        let renewal = Renewal { planner: &planner, ..*self };
        let mut counting = Counting { exchange, sent: &planner.sent };
        let mut report = renewal.run_over(clock, &mut counting, owner, asks_time)?;
        // Questions about roots have intervals of their own.
        if !matches!(report.plan.step, Step::AskForRoot(_)) {
            let (store, name) = (self.to.store, self.to.name);
            report.wait_seconds = planner.note_sent(store, name, report.wait_seconds, clock.or(report.learnt))?;
        }
        Ok(report)
    }

    /// The same; `asks_time` says meanwhile whether it is the time that is asked for.
    fn run_over(
        &self,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        asks_time: &Cell<bool>,
    ) -> Result<Report, Error> {
        let mut mended = self.bring_back(clock)?;
        // Best effort: what is in use is in use all the same.
        mended.extend(self.to.store.settle(self.to.name).ok().flatten());
        #[cfg(feature = "pkcs11")]
        crate::client::token::recall_kept_pins(self.to.store, clock);
        let report = self.run_whole(clock, exchange, owner, asks_time);
        #[cfg(feature = "pkcs11")]
        {
            let learnt = report.as_ref().ok().and_then(|report| report.learnt);
            crate::client::token::keep_refused_pins(self.to.store, learnt.or(clock));
        }
        let mut report = report?;
        if !mended.is_empty() {
            report.plan.alarm = report.plan.alarm.max(Alarm::Late);
            report.plan.findings.splice(0..0, mended);
        }
        Ok(report)
    }

    /// Where the identity in use is damaged, the last good generation comes back into use, if it is not sure that it has ended: it can
    /// ask for the next one by itself, and programs have it meanwhile. What was put right.
    pub(in crate::client) fn bring_back(&self, clock: Option<Time>) -> Result<Vec<Problem>, Error> {
        let (store, name) = (self.to.store, self.to.name);
        if !store.current(name).is_err_and(|error| error.is_damage()) {
            return Ok(Vec::new());
        }
        let Ok((good, _)) = store.last_good(name) else { return Ok(Vec::new()) };
        let now = self.planner().scene(store, name, clock)?.clock.at_least();
        if now > Some(good.certificate.not_after()) { Ok(Vec::new()) } else { Ok(store.bring_back(name)?) }
    }

    fn run_whole(
        &self,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        asks_time: &Cell<bool>,
    ) -> Result<Report, Error> {
        let planner = self.planner();
        let (store, name) = (self.to.store, self.to.name);
        let is_due = planner.plan_to_be_told(store, name, clock)?.step != Step::Nothing;
        // From here to the last message nobody else goes on with what is found now.
        let alone = match is_due.then(|| self.to.converse()).transpose() {
            Err(error) if is_at_work(&error) => {
                return self.somebody_is_at_work(planner.plan(store, name, clock)?, clock);
            }
            alone => alone?,
        };
        if alone.is_some() {
            // Best effort: what a process that died has left in a token costs nothing but room.
            let _ = store.destroy_announced_keys(name);
        }
        let (mut plan, mut seen) = planner.plan_as_told(store, name, clock)?;
        if alone.is_none() && plan.step != Step::Nothing {
            return self.somebody_is_at_work(plan, clock);
        }
        let (mut learnt, mut has_begun) = (None, false);
        if plan.step == Step::LearnTime {
            if !planner.begin_attempt(store, name, &plan.step, clock, &seen)? {
                return self.somebody_is_at_work(plan, clock);
            }
            let napped = Napped::default();
            asks_time.set(true);
            let asked = self.learn_time(plan.clock, clock, exchange, owner, &napped);
            asks_time.set(false);
            let (outcome, told) = asked?;
            match told {
                Ok(told) => {
                    let now = told.now;
                    learnt = Some(told);
                    let then = planner.plan_by_answer(store, name, now, clock, &plan)?;
                    if then.step == Step::LearnTime {
                        if let Some(report) = self.after_learning(&mut plan, now, clock)? {
                            return Ok(report);
                        }
                        // In the same attempt.
                        (plan.clock, has_begun) = (then.clock, true);
                    } else {
                        let is_due = then.step != Step::Nothing;
                        planner.note_told(store, name, if is_due { plan.attempts } else { 0 })?;
                        if !is_due {
                            let wait_seconds = self.rest(told, clock, Some(seen.attempts.wait_seconds))?;
                            return Ok(Report { plan, outcome: Ok(Done::TimeLearnt), learnt: Some(now), wait_seconds });
                        }
                        plan = then;
                        seen = planner.progress(store, name)?;
                    }
                }
                Err(what) => {
                    // A CA that does not tell the time may do all else: what is due whatever the time is goes on, in the same attempt.
                    let error = outcome.err().unwrap_or_else(|| not_learnt(what));
                    let is_own = napped.is_own(&error);
                    match planner.plan_unasked(store, name, clock)? {
                        Some(then) if !is_own && is_about_the_question(&error) => (plan, has_begun) = (then, true),
                        _ => return self.nothing_learnt(plan, error, &napped, clock, &seen),
                    }
                }
            }
        }
        if plan.step == Step::Nothing {
            let wait_seconds = plan.ask_again_seconds;
            return Ok(Report { plan, outcome: Ok(Done::Nothing), learnt: None, wait_seconds });
        }
        // Waits are measured by the clock that is asked about them later: roots are asked about by the time alone.
        let book = match plan.step {
            Step::AskForRoot(_) => plan.clock.at_least(),
            _ => clock.or(learnt.map(|told| told.now)),
        };
        if !has_begun && !planner.begin_attempt(store, name, &plan.step, book, &seen)? {
            return self.somebody_is_at_work(plan, clock);
        }
        let napped = Napped::default();
        napped.waits.set(seen.waits);
        let mut napping = Napping::new(owner, planner.policy.longest_nap_seconds, &napped);
        let at_least = self.at_least(plan.clock);
        let mut keeper = match plan.clock {
            Clock::Known(now) => Timekeeper::with_clock(&mut napping, now),
            _ => Timekeeper::without_clock(&mut napping, at_least),
        };
        let latest = self.end_of_anchors()?;
        keeper = keeper.up_to(latest);
        // Best effort, here and below: keys that are left over cost nothing but room.
        let mut keys = store.makers_keys();
        let outcome = self.perform(&plan, exchange, &mut keeper, &mut keys, &napped);
        // Also a clock that is wrong counts on: waits are measured by it.
        let later = clock.map(|now| now.plus(keeper.passed_seconds()));
        if let Some(at) = keeper.learn(&outcome) {
            let said = Said { at, is_carried: planner.is_carried };
            // Best effort: what was achieved does not depend on it.
            let is_contradicted = self.heed(said, later).unwrap_or(false);
            let taken = learning::take_in(store, said, later, latest).unwrap_or(Learnt::Nothing);
            if let (Learnt::Time(now), true) = (taken, is_contradicted || !plan.clock.is_known()) {
                learnt = Some(Told { now, said: at });
            }
        }
        let report = self.conclude(plan, outcome, &napped, learnt, later, &seen);
        let _ = store.destroy_forgotten_keys(&keys);
        report
    }

    /// [`Renewal::run_due`] over the built-in HTTP client, which is made when something is due.
    #[cfg(feature = "http")]
    pub fn run_due_http(&self, clock: Option<Time>, owner: &mut dyn Owner) -> Result<Report, Error> {
        let asks_time = Cell::new(false);
        self.run_counted(clock, &mut LazyHttp::new(self, clock, &asks_time), owner, &asks_time)
    }

    /// Another process, or thread, is in a conversation about it, or has begun since the plan was made: it is not overtaken.
    fn somebody_is_at_work(&self, plan: Plan, clock: Option<Time>) -> Result<Report, Error> {
        let wait_seconds = match clock {
            Some(_) => self.plan(clock)?.ask_again_seconds.max(LOOK_AGAIN_SECONDS),
            None => self.planner().policy.first_retry_seconds.max(1),
        };
        Ok(Report { plan, outcome: Ok(Done::Nothing), learnt: None, wait_seconds })
    }

    /// An authentic answer said `said` when the clock said `clock`. Whether that contradicts the clock.
    pub(super) fn heed(&self, said: Said, clock: Option<Time>) -> Result<bool, Error> {
        let Some(clock) = clock else { return Ok(false) };
        let Some(off) = said.off_seconds(clock) else {
            self.planner().note_clock_reached(self.to.store, self.to.name)?;
            return Ok(false);
        };
        self.planner().note_clock(self.to.store, self.to.name, said.at, clock)?;
        Ok(off.abs() > CLOSE_SECONDS)
    }

    /// The rules, with the factory's identity of this renewal.
    fn planner(&self) -> Planner {
        let factory = self.factory.map(str::to_owned).or_else(|| self.planner.factory.clone());
        let signs_whatever_usage = self.planner.signs_whatever_usage || self.config.tolerance.signer_key_usage;
        let config = self.config;
        let sets = [
            (AnchorSet::Cmp, &config.cmp_anchors),
            (AnchorSet::Enrolment, &config.enrolment_anchors),
            (AnchorSet::Tls, &config.tls.anchors),
        ];
        let mut trusted = self.planner.trusted.clone();
        for (set, anchors) in sets {
            trusted.extend(anchors.iter().map(|anchor| (set, anchor.clone())));
        }
        let has_another = self.has_another_credential();
        Planner { factory, signs_whatever_usage, trusted, has_another, ..self.planner.clone() }
    }

    /// `keys`: receives the reference of a key that is made for it where device memory only names it.
    fn perform(
        &self,
        plan: &Plan,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        keys: &mut Vec<KeyReference>,
        napped: &Napped,
    ) -> Result<Done, Error> {
        let installed = |identity: Identity| Done::Installed(Box::new(identity));
        let now = plan.clock.known();
        match &plan.step {
            // Nobody lets it enrol anew: who it was before can ask for what it is to be.
            Step::EnrollAgain if plan.standing == Standing::NotYetValid && !self.has_another_credential() => {
                let client =
                    self.client(self.with_identity(self.to.store.previous(self.to.name)?)?, Standing::Valid, now)?;
                self.renew_by(&client, keys, exchange, owner).map(installed)
            }
            Step::Enroll | Step::EnrollAgain => {
                let client = self.factory_client(now).map_err(|error| about_damage(plan.standing, error))?;
                self.enroll_by(&client, keys, exchange, owner).map(installed)
            }
            Step::Update => {
                let client = match self.own_client(now) {
                    // Its key may be gone for good: near the end another credential is asked, where there is one.
                    Err(error) if plan.alarm >= Alarm::Late => {
                        let another = self.factory_client(now).map_err(|_| error)?;
                        return self.enroll_by(&another, keys, exchange, owner).map(installed);
                    }
                    client => client?,
                };
                self.renew_by(&client, keys, exchange, owner).map(installed)
            }
            Step::Resume => self.resume(plan, exchange, owner, napped).map(installed),
            Step::AskForRoot(anchor) => {
                let client = self.best_client(plan.standing, now)?;
                self.ask_for_root(&client, anchor, exchange, owner, napped)
            }
            Step::Nothing | Step::LearnTime => Ok(Done::Nothing),
        }
    }

    /// A key update of the client's own identity.
    fn renew_by(
        &self,
        client: &Client,
        keys: &mut Vec<KeyReference>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let key = self.noted_key(keys)?;
        let operation = client.renew(Signer::Key(key))?;
        client.install(self.to, operation, RequestOut::Stays, exchange, owner)
    }

    /// Whether there is any beside the identity that is kept up.
    fn has_another_credential(&self) -> bool {
        self.factory.is_some() || self.config.has_credential()
    }

    /// A certificate by another credential than the identity in use.
    fn enroll_by(
        &self,
        client: &Client,
        keys: &mut Vec<KeyReference>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let subject = self.subject()?;
        let key = self.noted_key(keys)?;
        let operation = client.enroll(Signer::Key(key), &subject)?;
        client.install(self.to, operation, RequestOut::Stays, exchange, owner)
    }

    /// Goes on with the credential of the request: whoever polls must be who asked (RFC 9483 section 4.4).
    fn resume(
        &self,
        plan: &Plan,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        napped: &Napped,
    ) -> Result<Identity, Error> {
        let now = plan.clock.known();
        let saved = napped.records(self.to.unfinished())?;
        let is_out = |saved: &SavedOperation| saved.polls == 0 && saved.state == SavedState::Sending(saved.request);
        napped.is_unanswered.set(saved.as_ref().is_some_and(is_out));
        napped.is_still_out.set(saved.is_some());
        let client = match &saved {
            Some(saved) => self.client_of(&saved.credential, now, napped)?,
            None => None,
        };
        let Some(client) = client else {
            let words = "the unfinished operation was begun with a credential that is not here now: bring it back, or abandon the operation";
            let installed = napped.records(self.to.already_installed())?;
            // One that was lost with a generation is a fact; another may be brought back.
            let is_lost =
                saved.is_some_and(|saved| self.to.store.has_lost(self.to.name, &saved.credential).unwrap_or(false));
            let missing = || match is_lost {
                true => napped.records(Err(Error::new(Code::KeyMismatch, LOST))),
                false => napped.credential(Err(Error::new(Code::KeyMismatch, words))),
            };
            return installed.map_or_else(missing, Ok);
        };
        let saved = match napped.records(self.to.saved())? {
            Saved::Installed(identity) => return Ok(*identity),
            Saved::Operation(saved) => saved,
        };
        let key = napped.records(self.to.key_of_saved(&saved))?;
        let signer = key.map(|key| napped.credential(self.to.store.usable_key(&key.key))).transpose()?;
        let mut operation = napped.records(client.restored(signer, &saved))?;
        // The planner has measured the wait for the CA, perhaps by another clock than the one by which it began; when a
        // certificate becomes valid, only the time can tell.
        if now.is_none() || !operation.waits_for_validity() {
            operation.end_wait();
        } else {
            operation.bound_validity();
        }
        let outcome = client.complete_into(self.to, &mut operation, exchange, owner);
        match outcome {
            Err(error) if error.code() == Code::Unconfirmed && error.facts().server_authenticated => {
                self.ask_with_staged(now, None, exchange, owner, napped)?.ok_or(error)
            }
            // A CA whose signer says nothing of its office has had the confirmation, and says no pkiConf again.
            Err(error) if error.code() == Code::Unconfirmed && operation.has_met_known_bearer() => {
                let known = bearers::known(self.to.store, &operation, owner.now());
                self.ask_with_staged(now, Some(known), exchange, owner, napped)?.ok_or(error)
            }
            // What came over the way to the server, which has a phase, says nothing about device memory.
            Err(error) if error.is_own() => napped.records(Err(error)),
            outcome => outcome,
        }
    }

    /// It is at least this late: no certificate in use was made before its notBefore.
    pub(super) fn at_least(&self, clock: Clock) -> Time {
        let begin = || Some(self.to.store.in_use(self.to.name).ok()?.certificate.not_before());
        clock.at_least().or_else(begin).unwrap_or(Time::from_unix(0))
    }
}

impl std::fmt::Debug for Renewal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("name", &self.to.name).field("planner", &self.planner).finish_non_exhaustive()
    }
}

/// Who is asked for another credential is told why.
fn about_damage(standing: Standing, error: Error) -> Error {
    let words = "the identity in use is damaged and no other generation is good (`devid store verify` says what is): a new certificate is \
                 asked for, by another credential";
    if standing == Standing::Damaged { error.context(words) } else { error }
}

/// Whether a question for the time failed for what it is, and not for the way to the server or for its user.
fn is_about_the_question(error: &Error) -> bool {
    error.code() != Code::Cancelled && (error.class() != Class::Transport || error.code() == Code::HttpStatus)
}
