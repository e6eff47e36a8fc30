//! What a decision rests on, gathered from device memory and the clock.

use super::decide::decide;
use super::known::Clock;
use super::plan::{Alarm, Anchor, AnchorFacts, Facts, Plan, Step, in_use};
use super::policy::{Policy, Seed};
use super::progress::{self, Mark, Progress, mark_of};
use super::trust_end::TrustEnd;
use super::uptime::Reading;
use super::witnesses::by_answer;
use super::{Planner, last_told, learning, seen, withdrawn};
use crate::asn1::name::display;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::client::Destination;
use crate::cmp::{SavedOperation, can_protect};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{AnchorSet, Problem, ProblemKind, PublicPart, Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::same_name;

/// All that a decision rests on.
pub(super) struct Scene {
    pub clock: Clock,
    pub seed: Seed,
    pub facts: Facts,
    pub progress: Progress,
    /// How long the device has been on, where that is known.
    pub reading: Option<Reading>,
    pub is_memory_damaged: bool,
    pub is_copied: bool,
    /// What is damaged or out of reach, or ends without a successor.
    pub findings: Vec<Problem>,
    /// When those who are trusted end, set by set.
    trust: Vec<TrustEnd>,
}

impl Scene {
    pub(super) fn plan(&self, policy: &Policy) -> Plan {
        let mut plan = decide(policy, self.seed, self.clock, &self.facts);
        self.heed_trust(policy, &mut plan);
        plan.is_memory_damaged = self.is_memory_damaged;
        plan.is_copied = self.is_copied;
        plan.findings.clone_from(&self.findings);
        if self.is_copied || !self.findings.is_empty() {
            plan.alarm = plan.alarm.max(Alarm::Late);
        }
        plan
    }

    /// The end of the last one of a set is the end of every message that needs it, and an identity is not asked about that. The steps
    /// are what they are without it: it is people who are told.
    fn heed_trust(&self, policy: &Policy, plan: &mut Plan) {
        let Some(about) = self.clock.about() else { return };
        for end in &self.trust {
            plan.alarm = plan.alarm.max(end.alarm(policy, about));
            let ahead = end.alarm_times(policy).map(|at| at.since(about)).into_iter().filter(|seconds| *seconds > 0);
            if let (Step::Nothing, Some(next)) = (&plan.step, ahead.min()) {
                plan.ask_again_seconds = plan.ask_again_seconds.min(u32::try_from(next).unwrap_or(u32::MAX));
            }
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.at_least().unwrap_or(Time::from_unix(0))
    }

    /// The time by which waits are measured: what the clock says, also one that is behind.
    pub(super) fn booked(&self) -> Time {
        self.clock.says().unwrap_or_else(|| self.now())
    }

    /// An answer has told just now that it is `told`, when the device's own clock said `clock`. Whether that is believed: see
    /// [`by_answer`].
    pub(super) fn hear(&mut self, told: Time, clock: Option<Time>) -> bool {
        self.facts.own_clock = Clock::new(clock, None).plausible();
        let now = by_answer(told, self.facts.own_clock, self.facts.validity);
        self.clock = Clock::Known(now);
        (self.facts.is_time_in_question, self.facts.is_time_told) = (false, true);
        now == told
    }

    /// The wait that was noted begins now, and pays for what was sent before it; where that is too much for a day, it is longer.
    pub(super) fn begin_wait(&mut self, sent: u32) -> u32 {
        let wait_seconds = self.progress.owed.pay(sent, self.progress.attempts.wait_seconds);
        self.progress.attempts.wait_seconds = wait_seconds;
        self.measure();
        wait_seconds
    }

    /// What was noted is measured from now on.
    pub(super) fn measure(&mut self) {
        self.progress.measured = self.reading.map(|reading| reading.uptime);
    }

    /// Seconds until the certificate in use ends, where that can be told.
    pub(super) fn left_seconds(&self) -> Option<i64> {
        let (_, end) = self.facts.validity.filter(|_| self.clock.is_known())?;
        Some(end.since(self.now()))
    }
}

impl Planner {
    pub(super) fn scene(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Scene, Error> {
        let (progress, is_memory_damaged) = Progress::load(store, &*self.provider, name)?;
        let mut findings = Vec::new();
        let (identity, error) = in_use_of(store, name)?;
        let (is_damaged, is_sealed) = (error.is_some() && identity.is_none(), error.is_some() && identity.is_some());
        findings.extend(error.map(|error| match is_sealed {
            true => Problem::new(ProblemKind::Sealed, &error.place, &error.detail),
            false => Problem::new(ProblemKind::Generation, &error.place, &what_to_do(&error)),
        }));
        let last_known = last_told(store)?;
        findings.extend(store.last_known_time().err().filter(is_newer).map(|error| left_for(&error)));
        let reading = self.meter.reading(clock);
        let set_back = clock.map_or(Ok(None), |says| seen::set_back_seconds(store, says, reading.as_ref()))?;
        let clock = Clock::new(clock, self.earliest(store, clock)?.max(last_known))
            .contradicted(progress.clock_off.or(set_back), last_known);
        let progress = self.about(progress, identity.as_ref())?;
        let is_staged = store.state(name).map(|state| state.pending.is_some());
        let is_staged = match is_staged {
            Ok(is_staged) => is_staged,
            Err(error) if error.is_damage() => false,
            Err(error) => return Err(error.into()),
        };
        let is_unfinished = is_staged || store.operations()?.iter().any(|saved| saved == name);
        if is_unfinished {
            findings.extend(newer_operation(store, name));
        }
        // Only the time tells when it begins; a clock that is known needs nobody to ask.
        let begins = if is_staged && !clock.is_known() { begin_of_confirmed(store, name) } else { None };
        let is_request_out = store.request_out(name)?.is_some();
        let said = identity.as_ref().map_or(Ok(None), |identity| self.said_against(store, identity))?;
        findings.extend(said.as_ref().map(|fact| withdrawn::finding(name, fact)));
        let facts = Facts {
            validity: identity.as_ref().map(|i| (i.certificate.not_before(), end_of(i))),
            installed: identity.as_ref().map(|i| i.created),
            stands_since: progress.stands.map(|stands| stands.since),
            is_damaged,
            is_sealed,
            cannot_sign: !self.signs_whatever_usage && identity.as_ref().is_some_and(|i| !can_protect(&i.certificate)),
            is_alone: !self.has_another,
            is_revoked: progress.is_revoked(clock.at_least().filter(|_| clock.is_known())),
            revoked_for: said.map(|fact| fact.reason),
            is_unfinished,
            begins,
            is_request_out,
            attempts: self.looks.passed(name, progress.attempts),
            left_seconds: reading.and_then(|reading| reading.left_seconds(&progress, clock)),
            refusals: progress.refusals,
            waits: progress.waits,
            pace: progress.pace,
            is_day_used_up: progress.owed.is_used_up(),
            is_time_in_question: progress.doubts_clock || learning::in_question(store)?.is_some(),
            is_time_told: false,
            own_clock: clock.plausible(),
            is_carried: self.is_carried,
            anchors: self.ageing_anchors(store, &progress, &mut findings)?,
        };
        findings.extend(store.missed_key(name)?.filter(|_| identity.is_some()));
        let trust = self.trust_ends(store)?;
        findings.extend(trust.iter().filter_map(|end| end.finding(&self.policy, clock.about())));
        findings.extend(identity.as_ref().and_then(|identity| self.standing_end(identity, &facts, clock)));
        findings.extend(facts.is_early_by_own_clock().then(|| early(name, &facts)).flatten());
        let seed = Seed::from_id(&*self.provider, &self.id_of(name, identity.as_ref()))?;
        let is_copied = self.is_copied(store)?;
        Ok(Scene { clock, seed, facts, progress, reading, is_memory_damaged, is_copied, findings, trust })
    }

    /// What is remembered, about the identity in use.
    pub(super) fn about(&self, progress: Progress, identity: Option<&PublicPart>) -> Result<Progress, Error> {
        let mark: Mark = match identity {
            Some(identity) => mark_of(&*self.provider, &identity.certificate)?,
            None => Mark::default(),
        };
        let in_use = identity.map(|identity| {
            let validity = (identity.certificate.not_before(), end_of(identity));
            in_use(validity, Some(identity.created))
        });
        Ok(progress.about(mark, in_use))
    }

    /// A clock that says less than this is none: the device has a factory certificate that began later. `None` without a
    /// clock, since it is no time that an answer was judged by.
    pub(super) fn earliest(&self, store: &Store, clock: Option<Time>) -> Result<Option<Time>, Error> {
        let (Some(factory), Some(now)) = (&self.factory, clock) else { return Ok(None) };
        match store.in_use(factory) {
            Ok(identity) => Ok(Some(identity.certificate.not_before()).filter(|begin| now < *begin)),
            Err(error) if error.is_damage() || error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What people are told of an end that renewals do not move, from the moment on at which they are told of a late renewal.
    fn standing_end(&self, identity: &PublicPart, facts: &Facts, clock: Clock) -> Option<Problem> {
        let (since, end) = facts.standing().filter(|_| facts.gains_nothing())?;
        let [late, _] = self.policy.alarm_times(since, end);
        clock.about().filter(|now| *now >= late)?;
        let above = identity.chain.iter().filter(|ca| ca.not_after() <= end).min_by_key(|ca| ca.not_after());
        let who = match above {
            Some(ca) => format!("the certificate of {}, which is above it, ends then", display(ca.subject())),
            None => "its CA issues none that ends later".to_owned(),
        };
        let text =
            format!("it ends at {end}, and the renewals since {since} do not move that: {who}; ask who runs the CA");
        Some(Problem::new(ProblemKind::Ending, &format!("identity/{}", identity.name), &text))
    }

    /// Names stay from certificate to certificate; keys do not.
    pub(super) fn id_of(&self, name: &str, identity: Option<&PublicPart>) -> Vec<u8> {
        match (&self.device_id, identity) {
            (Some(id), _) => id.clone(),
            (None, Some(identity)) => {
                let names = identity.certificate.extension(oid::CE_SUBJECT_ALT_NAME).map_or(&[][..], |e| e.value);
                [identity.certificate.subject(), names].concat()
            }
            (None, None) => name.as_bytes().to_vec(),
        }
    }

    /// A name for the anchor, the same for as long as it is there.
    pub(super) fn anchor_label(&self, store: &Store, anchor: &Anchor) -> Result<String, Error> {
        Ok(progress::hex(&self.anchor_mark(store, anchor)?))
    }

    pub(super) fn anchor_mark(&self, store: &Store, anchor: &Anchor) -> Result<Mark, Error> {
        mark_of(&*self.provider, &anchor_of(store, anchor)?)
    }

    /// Roots with an end whose successor is not here yet; one that is in several sets counts once. Sets that cannot be read are among
    /// the findings, and renewal of the identity goes on.
    pub(super) fn ageing_anchors(
        &self,
        store: &Store,
        progress: &Progress,
        findings: &mut Vec<Problem>,
    ) -> Result<Vec<AnchorFacts>, Error> {
        let mut found: Vec<AnchorFacts> = Vec::new();
        let mut seen = Vec::new();
        for set in AnchorSet::ALL {
            let (anchors, damage) = store.readable_anchors(set)?;
            // The set of peers is none that an identity needs; whoever judges peers by it is told.
            findings.extend(damage.filter(|_| set != AnchorSet::Peer));
            for (index, root) in anchors.iter().enumerate() {
                let is_open = root.is_self_issued() && root.not_after() < Time::FOREVER;
                if !is_open || anchors.iter().any(|other| succeeds(other, root)) {
                    continue;
                }
                let mark = mark_of(&*self.provider, root)?;
                if !seen.contains(&mark) {
                    seen.push(mark);
                    let validity = (root.not_before(), root.not_after());
                    let attempts = progress.anchor(&mark);
                    found.push(AnchorFacts { anchor: Anchor { set, index }, validity, attempts });
                }
            }
        }
        Ok(found)
    }
}

/// What people are told of an identity in use that has begun by the CA's time alone.
fn early(name: &str, facts: &Facts) -> Option<Problem> {
    let ((begin, _), own) = (facts.validity?, facts.own_clock?);
    let text = format!(
        "the certificate begins at {begin}, and the device's clock says {own}: one of the CA's clock and the device's is wrong"
    );
    Some(Problem::new(ProblemKind::Clock, &format!("identity/{name}"), &text))
}

fn is_newer(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Version
}

/// What a newer version of the library wrote.
fn left_for(error: &StoreError) -> Problem {
    let text = format!("{}; it is left as it is, for the version that wrote it", error.detail);
    Problem::new(ProblemKind::Newer, &error.place, &text)
}

/// An unfinished operation that a newer version has begun: by its record, or inside it.
fn newer_operation(store: &Store, name: &str) -> Option<Problem> {
    let place = format!("operation/{name}");
    match store.load_operation(name) {
        Err(error) => Some(error).filter(is_newer).map(|error| left_for(&error)),
        Ok(saved) => {
            let error = SavedOperation::read(&saved).err().filter(|error| error.code() == Code::UnknownVersion)?;
            Some(left_for(&StoreError::new(StoreErrorKind::Version, place, error.message())))
        }
    }
}

/// The identity in use, if there is one, and what is wrong with it: it is damaged and nothing of it counts, or its key is sealed under
/// another secret than is given, and the rest does.
pub(super) fn in_use_of(store: &Store, name: &str) -> Result<(Option<PublicPart>, Option<StoreError>), Error> {
    match store.current(name) {
        Ok(identity) => Ok((Some(identity.into()), None)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok((None, None)),
        Err(error) if error.is_damage() => Ok((None, Some(error))),
        Err(error) if error.is_sealed() => Ok((Some(store.in_use(name)?), Some(error))),
        Err(error) => Err(error.into()),
    }
}

/// The earliest end on the way from the certificate to the top of its chain; of several certificates for one issuer, the
/// one that lasts longest counts. Beyond it nobody accepts the certificate (RFC 5280 section 6.1.3).
pub(super) fn end_of(identity: &PublicPart) -> Time {
    let (mut end, mut lowest) = (identity.certificate.not_after(), &identity.certificate);
    for _ in 0..identity.chain.len() {
        let issuers = identity.chain.iter().filter(|c| *c != lowest && same_name(c.subject(), lowest.issuer()));
        let Some(issuer) = issuers.max_by_key(|c| c.not_after()) else { break };
        (end, lowest) = (end.min(issuer.not_after()), issuer);
    }
    end
}

/// From when the certificate is valid that is here and confirmed, and waits for its time.
fn begin_of_confirmed(store: &Store, name: &str) -> Option<Time> {
    let unfinished = Destination { store, name, purpose: "" }.unfinished().ok().flatten()?;
    let staged = store.pending(name).ok().filter(|_| unfinished.is_confirmed)?;
    Some(staged.certificate.not_before())
}

/// What is damaged, and what a person does about it.
fn what_to_do(error: &StoreError) -> String {
    let words = "`devid store repair`, or the next run, brings the last good generation back where there is one; else a new certificate \
                 is asked for, by another credential than this";
    format!("{}; {words}", error.detail)
}

pub(super) fn anchor_of(store: &Store, anchor: &Anchor) -> Result<Certificate, Error> {
    let gone = || Error::new(Code::NotFound, "the trust anchors changed since the plan was made");
    store.anchors(anchor.set)?.into_iter().nth(anchor.index).ok_or_else(gone)
}

/// Whether one root takes the place of the other: the same name, a later end.
fn succeeds(new: &Certificate, old: &Certificate) -> bool {
    new != old && new.is_self_issued() && new.not_after() > old.not_after() && same_name(new.subject(), old.subject())
}
