//! Questions that a step asks the CA: for a root's successor, for the time, whether it takes a certificate.

use super::clock::Timekeeper;
use super::known::Clock;
use super::learning::{self, Learnt, Said, Told};
use super::nap::{Napped, Napping};
use super::perform::{Done, Renewal};
use super::plan::{Anchor, Standing};
use super::progress;
use super::scene::anchor_of;
use crate::client::Client;
use crate::client::roots::add_root_everywhere;
use crate::client::run::Owner;
use crate::cmp::{Information, KnownBearers, Operation, Question};
use crate::codes::{Class, Code};
use crate::crypto::DigestAlgorithm;
use crate::error::Error;
use crate::store::{Identity, StoreErrorKind};
use crate::time::Time;
use crate::transport::Exchange;

/// A question for a root's successor that waits is saved under this, and the root's mark.
const QUESTION: &str = "root-";
/// One for the time that is out with its carrier is saved under this, and a digest of the identity's name.
const TIME_QUESTION: &str = "time-";

/// How a question for the time went, and what was told by its answer.
type Asked = (Result<(), Error>, Result<Told, Learnt>);

impl Renewal<'_> {
    pub(super) fn ask_for_root(
        &self,
        client: &Client,
        anchor: &Anchor,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        napped: &Napped,
    ) -> Result<Done, Error> {
        let label = format!("{QUESTION}{}", self.planner.anchor_label(self.to.store, anchor)?);
        let (mut operation, is_out) = self.question(client, anchor, &label)?;
        napped.is_still_out.set(is_out);
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

    /// The question that waits for its answer, or a new one; whether it is out.
    fn question(&self, client: &Client, anchor: &Anchor, label: &str) -> Result<(Operation, bool), Error> {
        match self.to.store.load_operation(label) {
            Ok(saved) => match client.restore_keyless(&saved) {
                Ok(mut operation) => {
                    // The planner has measured the wait.
                    operation.end_wait();
                    return Ok((operation, true));
                }
                // Asked with another credential, or by another version: it is asked anew.
                Err(_) => self.to.store.remove_operation(label)?,
            },
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
        Ok((client.ask(Question::RootUpdate { old: anchor_of(self.to.store, anchor)? })?, false))
    }

    pub(super) fn learn_time(
        &self,
        known: Clock,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        napped: &Napped,
    ) -> Result<Asked, Error> {
        // The identity in use, then what the first certificate is asked for with: any that the CA knows will do, as a CA that answers by
        // a MAC alone does not know the first.
        let mut first = None;
        let clients = [self.own_client(None), self.factory_client(None)];
        let mut waiting = if self.planner.is_carried { self.question_that_is_out(&clients)? } else { None };
        for (turn, client) in clients.into_iter().enumerate() {
            let out = waiting.take_if(|(of, _)| *of == turn).map(|(_, operation)| operation);
            if waiting.is_some() {
                continue;
            }
            let (outcome, told) = match client {
                Ok(client) => self.ask_for_time((&client, out), known, clock, exchange, owner, napped)?,
                Err(error) => (Err(error), Err(Learnt::Nothing)),
            };
            // Where the server is not reached, or its user ends it, another credential changes nothing; nor where the answer has a time.
            let is_the_end = |error: &Error| {
                error.class() == Class::Transport || error.code() == Code::Cancelled || napped.is_own(error)
            };
            if !matches!(told, Err(Learnt::Nothing)) || outcome.as_ref().is_err_and(is_the_end) {
                return Ok((outcome, told));
            }
            first = match first.take() {
                // Of what could not even be asked, nothing is told beside an answer.
                Some((Err::<(), Error>(error), _)) if error.is_own() => Some((outcome, told)),
                None => Some((outcome, told)),
                kept => kept,
            };
        }
        Ok(first.expect("there are two"))
    }

    /// Where a question is saved for the time that is out with its carrier.
    fn time_label(&self) -> Result<String, Error> {
        let digest = self.planner.provider.digest(DigestAlgorithm::Sha256, &[self.to.name.as_bytes()])?;
        Ok(format!("{TIME_QUESTION}{}", progress::hex(&digest[..8])))
    }

    /// The question for the time that is out with its carrier, and with whose credential of these it was asked. One that is nobody's any
    /// more is asked anew.
    fn question_that_is_out(&self, clients: &[Result<Client, Error>]) -> Result<Option<(usize, Operation)>, Error> {
        let saved = match self.to.store.load_operation(&self.time_label()?) {
            Ok(saved) => saved,
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let of = |client: &Result<Client, Error>| {
            let mut operation = client.as_ref().ok()?.restore_keyless(&saved).ok()?;
            // The planner has measured the wait.
            operation.end_wait();
            Some(operation)
        };
        Ok(clients.iter().enumerate().find_map(|(turn, client)| Some((turn, of(client)?))))
    }

    /// Keeps the question while it is out. What has come back is over.
    fn keep_question(&self, operation: &Operation, outcome: &Result<(), Error>) -> Result<(), Error> {
        let is_out = outcome.as_ref().is_err_and(|error| error.class() == Class::Transport);
        let label = self.time_label()?;
        match operation.save() {
            Ok(saved) if is_out => Ok(self.to.store.save_operation(&label, &saved)?),
            _ => Ok(self.to.store.remove_operation(&label)?),
        }
    }

    /// `out`: the same question, which was asked before.
    fn ask_for_time(
        &self,
        (client, out): (&Client, Option<Operation>),
        known: Clock,
        clock: Option<Time>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        napped: &Napped,
    ) -> Result<Asked, Error> {
        // Whoever stands under the anchors could say that it is another year.
        let client = client.heeding_authority_alone();
        napped.is_still_out.set(out.is_some());
        let mut operation = match out.map_or_else(|| client.ask(Question::CaCerts), Ok) {
            Ok(operation) => operation,
            Err(error) => return Ok((Err(error), Err(Learnt::Nothing))),
        };
        // A clock that says less than notBefore of the certificate in use is no lower bound worth anything.
        let bound = match known {
            Clock::Known(_) => Time::from_unix(0),
            other => self.at_least(other),
        };
        let mut napping = Napping::new(owner, self.planner.policy.longest_nap_seconds, napped);
        let mut keeper =
            Timekeeper::without_clock(&mut napping, bound).up_to(client.end_of_anchors()).hearing_earlier();
        let outcome = client.complete_over(&mut operation, exchange, &mut keeper);
        if self.planner.is_carried {
            self.keep_question(&operation, &outcome)?;
        }
        let later = clock.map(|now| now.plus(keeper.passed_seconds()));
        // What an authentic answer says besides the time matters nothing here.
        keeper.finished(&operation);
        let said = keeper.learn(&outcome);
        // An answer that lets wait is as authentic as another one, and has the time: what it would say is not waited for.
        let outcome = if napped.refused_seconds.get().is_some() { Ok(()) } else { outcome };
        let Some(at) = said else { return Ok((outcome, Err(Learnt::Nothing))) };
        let said = Said { at, is_carried: self.planner.is_carried };
        self.heed(said, later)?;
        let learnt = learning::take_in(self.to.store, said, later, client.end_of_anchors())?;
        Ok(match learnt {
            Learnt::Time(now) => (outcome, Ok(Told { now, said: at })),
            other => (outcome, Err(other)),
        })
    }

    /// The CA has turned the confirmation of the staged certificate down: it has had it before and its answer was lost, or it has given
    /// the transaction up. Whether the certificate is in use there is asked with it: a CA that takes it as protection of a
    /// question has it among its valid ones, and may have ended the one before at pkiConf. `None`: it does not say so.
    ///
    /// `bearers`: who counts as well, besides those who may speak for the CA.
    pub(super) fn ask_with_staged(
        &self,
        now: Option<Time>,
        bearers: Option<KnownBearers>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
        outer: &Napped,
    ) -> Result<Option<Identity>, Error> {
        let staged = match self.to.store.pending(self.to.name) {
            Ok(staged) => staged,
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Waits of this question are nobody else's, and none is slept through: to be told to wait is an answer, too.
        let napped = Napped::default();
        let asked = || -> Result<(), Error> {
            let client = self.client(self.with_identity(staged)?, Standing::Valid, now)?;
            let client = if bearers.is_some() { client } else { client.heeding_authority_alone() };
            let mut operation = client.ask(Question::CaCerts)?;
            operation.know_bearers(
                bearers.map_or_else(KnownBearers::default, |known| KnownBearers { alone: true, ..known }),
            );
            let mut napping = Napping::new(owner, 0, &napped);
            client.complete_over(&mut operation, exchange, &mut napping)
        };
        match asked() {
            Err(_) if napped.refused_seconds.get().is_some() => {}
            Ok(()) => {}
            // The CA was not asked: its key is away.
            Err(error) if error.is_own() && error.code() != Code::Cancelled => {
                return outer.credential(Err(error));
            }
            Err(_) => return Ok(None),
        }
        self.to.bring_into_use().map(Some)
    }
}

pub(super) fn not_learnt(what: Learnt) -> Error {
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
