//! Enrolment straight into device memory, so that no crash loses or mixes an identity.
//!
//! ```text
//!   new key  -> pending key            before the request leaves: a certificate can always find its key; one that the CA
//!                                      makes, before anything else is done with it
//!   request  -> saved operation        before each message and each wait: the transaction outlives the process
//!   issued   -> staged generation      before certConf: what the CA considers confirmed is never lost
//!   pkiConf  -> promoted: in use       in one atomic step; the generation before is kept for rollback
//! ```
//!
//! What is interrupted stays resumable ([`Client::resume`]); what is refused on either side never comes into use.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::bearers;
use super::destination::Destination;
use super::roots::keep_taken_roots;
use super::run::{Decision, Event, Owner, system_time};
use super::status::StatusMemory;
use super::subject::Subject;
use super::way::Client;
use crate::cmp::{Issued, Operation, Request, RequestKind, RequestedKey, SavedOperation, SignRequest, Signer};
use crate::codes::{Class, Code};
use crate::crypto::keys::same_public_key;
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{Conversation, Identity, NewIdentity, NewKey, PendingKey, StoreErrorKind};
use crate::time::Time;
use crate::transport::Exchange;

/// What a PKCS#10 request that is out means for another operation under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum RequestOut {
    /// It is not begun.
    Stops,
    /// It is begun; request and key stay where they are.
    Stays,
}

impl Client {
    /// ir with a new key, installed under `to`.
    ///
    /// Errors: those of the operation and of device memory; [`Code::State`] if an earlier enrolment under this name is
    /// unfinished: [`Client::resume`] or [`abandon`] it first.
    pub fn enroll_into(
        &self,
        to: Destination<'_>,
        key: &Arc<dyn PrivateKey>,
        subject: &Subject,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let operation = self.enroll(Signer::Key(Arc::clone(key)), subject)?;
        self.install(to, operation, RequestOut::Stops, exchange, owner)
    }

    /// ir, cr or kur over a key that the CA's side makes (RFC 9483 section 4.1.6), installed under `to`. The key goes into
    /// device memory before anything else is done with it: see [`Client::enroll_central`].
    pub fn enroll_central_into(
        &self,
        to: Destination<'_>,
        (kind, key_kind): (RequestKind, Option<KeyKind>),
        subject: &Subject,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let operation = self.enroll_central(kind, key_kind, subject)?;
        self.install(to, operation, RequestOut::Stops, exchange, owner)
    }

    /// kur with a new key for the identity of the client's credential, installed under `to`: the new generation comes
    /// into use, the old one is kept for rollback.
    pub fn renew_into(
        &self,
        to: Destination<'_>,
        key: &Arc<dyn PrivateKey>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let operation = self.renew(Signer::Key(Arc::clone(key)))?;
        self.install(to, operation, RequestOut::Stops, exchange, owner)
    }

    /// Continues what was interrupted: a crash, a reboot, a server out of reach, a CA that takes days.
    ///
    /// Errors: [`Code::NotFound`] if nothing is unfinished under this name; [`Code::KeyMismatch`] if the request was protected
    /// with another credential than this client's: nothing is changed then.
    pub fn resume(
        &self,
        to: Destination<'_>,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let _alone = to.converse()?;
        match to.continued(self, None)? {
            Continued::Installed(identity) => Ok(*identity),
            Continued::Operation(mut operation) => self.complete_into(to, &mut operation, exchange, owner),
        }
    }

    /// A new operation, installed under `to`.
    pub(in crate::client) fn install(
        &self,
        to: Destination<'_>,
        mut operation: Operation,
        is_out: RequestOut,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let _alone = to.converse()?;
        to.begin_as(&mut operation, None, is_out)?;
        self.complete_into(to, &mut operation, exchange, owner)
    }

    /// Runs an operation that [`Destination::begin`] or [`Destination::continued`] has prepared, and installs what comes of
    /// it.
    ///
    /// Errors: those of the operation and of device memory; [`Code::Locked`] if somebody else is in a conversation about this identity.
    pub fn complete_into(
        &self,
        to: Destination<'_>,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let _alone = to.converse()?;
        // Best effort, here and below: keys that are left over cost nothing but room.
        let keys = to.store.makers_keys();
        let outcome = self.complete_and_settle(to, operation, exchange, owner);
        let _ = to.store.destroy_forgotten_keys(&keys);
        outcome
    }

    fn complete_and_settle(
        &self,
        to: Destination<'_>,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Identity, Error> {
        let now = owner.now();
        let is_of_use = |identity: &Identity| identity.certificate.not_before() <= now;
        match to.store.current(to.name).ok().filter(is_of_use) {
            Some(identity) => operation.hold_beside_one_valid_until(identity.certificate.not_after()),
            None => operation.hold_until_valid(),
        }
        let known = bearers::known(to.store, operation, now);
        operation.know_bearers(known);
        let mut installing = Installing { to, owner };
        let outcome = self.run_over(operation, exchange, &mut installing);
        // Best effort: without it the next update takes longer.
        let _ = bearers::note(to.store, operation, outcome.is_ok(), owner.now());
        match outcome {
            Ok(_) => {
                to.finish(operation)?.ok_or_else(|| Error::new(Code::State, "no certificate comes of this operation"))
            }
            Err(error) => {
                to.settle(operation, &error)?;
                Err(error)
            }
        }
    }
}

/// An identity proves itself by its key, and renews itself by it: what device memory would refuse at the end is refused before the CA
/// has issued a certificate.
fn check_can_sign(kind: KeyKind) -> Result<(), Error> {
    if kind.can_sign() {
        return Ok(());
    }
    let words = format!(
        "a key of type {kind} signs nothing, and an identity in device memory proves and renews itself by signatures"
    );
    Err(Error::new(Code::Algorithm, words).with(|facts| {
        facts.hint = Some("enroll (devid_op_enroll) brings its certificate without device memory");
    }))
}

/// What an interrupted enrolment has come to.
#[allow(missing_debug_implementations, reason = "an operation has none: it may hold what is secret")]
pub enum Continued {
    /// The interruption came after the switch: the identity is in use.
    Installed(Box<Identity>),
    /// It goes on from here.
    Operation(Box<Operation>),
}

/// The same before it is continued.
pub(in crate::client) enum Saved {
    Installed(Box<Identity>),
    /// The operation's saved form.
    Operation(Zeroizing<Vec<u8>>),
}

/// What whoever is in a conversation says of itself, for whoever meets with it.
pub(in crate::client) fn who(what: &str) -> String {
    format!("{what} (process {}, since {})", std::process::id(), system_time())
}

/// The steps that keep device memory ahead of an operation; [`Client::complete_into`] makes them for who runs one,
/// [`Binding`](super::Binding) for who steps one, or its owner: [`Destination::begin`], then [`Destination::checkpoint`] before each message, wait and decision,
/// [`Destination::stage`] before the certificate is accepted, and at the end [`Destination::finish`] or
/// [`Destination::settle`].
impl Destination<'_> {
    /// Keeps others, in this process and in others, from a conversation about this identity until what is answered is dropped: two in one
    /// would get in each other's way, and two certificates be issued. It nests in one thread. Who steps an operation by itself takes
    /// it before the first step; all that runs one to its end here does so by itself.
    ///
    /// Errors: [`Code::Locked`] if somebody is in one, with who and since when; device memory cannot be written.
    pub fn converse(&self) -> Result<Conversation, Error> {
        let alone = self.store.converse(self.name, &who("a program"))?;
        // What a removal has left that was interrupted is nothing to go on with.
        if !alone.is_nested() {
            self.store.finish_removal(self.name)?;
        }
        Ok(alone)
    }

    /// What comes into this device memory is judged by what that knows: who was revoked before signs no answer to it.
    fn bind(&self, operation: &mut Operation) {
        let mut status = operation.context().signer_status.clone();
        StatusMemory::of_store(self.store).attach(&mut status);
        operation.set_signer_status(status);
    }

    /// Keeps the new key of an operation that has not begun, and has it ask this device memory about who answers. A key that the CA's
    /// side is to make is kept as soon as it comes. `reference`: the words by which a key is found that cannot leave its home
    /// ([`Signer::to_keep`]).
    ///
    /// Errors: [`Code::State`] if an earlier enrolment under this name is unfinished, or the operation is under way.
    pub fn begin(&self, operation: &mut Operation, reference: Option<&str>) -> Result<(), Error> {
        self.begin_as(operation, reference, RequestOut::Stops)
    }

    fn begin_as(&self, operation: &mut Operation, reference: Option<&str>, is_out: RequestOut) -> Result<(), Error> {
        self.bind(operation);
        if let Request::Revocation(wanted) = operation.request() {
            let wanted = wanted.clone();
            check_not_begun(operation)?;
            return self.begin_revocation(operation, &wanted);
        }
        let (key, kind) = match operation.request().certificate().map(|request| &request.key) {
            Some(RequestedKey::Own(key)) => (Some(key), Some(key.kind())),
            Some(RequestedKey::Central(kind)) => (None, *kind),
            None => {
                let words =
                    "the operation is not about a new key, nor about one certificate to be revoked: nothing to keep";
                return Err(Error::new(Code::InvalidArgument, words));
            }
        };
        kind.map_or(Ok(()), check_can_sign)?;
        // In one turn of the lock: who looks at the same moment sees all of it, or nothing.
        let _hold = self.store.hold()?;
        self.check_unused(operation)?;
        if let Some(kept) = self.store.request_out(self.name)? {
            let is_this_one =
                operation.request().certificate().and_then(|r| r.pkcs10()).is_some_and(|csr| *csr == kept);
            if is_this_one && key.is_some_and(|key| same_public_key(kept.spki(), key.spki())) {
                return Ok(());
            }
            // The answer would not tell a key of the CA's side from the one that waits.
            let (Some(key), RequestOut::Stays) = (key, is_out) else { return Err(self.request_is_out()) };
            let key = key.to_keep(reference)?;
            self.remove_key_beside_request()?;
            return Ok(self.store.put_pending_key(&self.store.label_beside_request(self.name)?, &key)?);
        }
        let key = key.map(|key| key.to_keep(reference)).transpose()?;
        // A pending key without an operation or a request is left from a crash before anything was sent: nobody knows it.
        self.store.remove_pending_key(self.name)?;
        key.map_or(Ok(()), |key| Ok(self.store.put_pending_key(self.name, &key)?))
    }

    /// The pending key of the saved operation: under the identity's name, or beside a request that was out under that when the
    /// operation began. Which one it is, the key itself says.
    fn key_of(&self, saved: &[u8]) -> Result<PendingKey, Error> {
        let under_name = self.store.pending_key(self.name);
        let wanted = Operation::saved_key(saved)?;
        if matches!(&under_name, Ok(pending) if same_public_key(pending.key.spki(), &wanted)) {
            return Ok(under_name?);
        }
        let beside = self.store.label_beside_request(self.name)?;
        match self.store.pending_keys()?.contains(&beside) {
            true => Ok(self.store.pending_key(&beside)?),
            false => Ok(under_name?),
        }
    }

    /// Whether a request is out that is not the saved operation's own: its key waits for what a person brings.
    fn is_key_of_another_request(&self) -> Result<bool, Error> {
        let Some(request) = self.store.request_out(self.name)? else { return Ok(false) };
        let saved = match self.store.load_operation(self.name) {
            Ok(saved) => Operation::saved_key(&saved).ok(),
            Err(error) if error.is_of_no_use() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(!saved.is_some_and(|key| same_public_key(&key, request.spki())))
    }

    fn remove_key_beside_request(&self) -> Result<(), Error> {
        let beside = self.store.label_beside_request(self.name)?;
        if self.store.pending_keys()?.contains(&beside) {
            self.store.remove_pending_key(&beside)?;
        }
        Ok(())
    }

    fn request_is_out(&self) -> Error {
        let words = format!("a request for \"{}\" is out: import its certificate or abandon it first", self.name);
        Error::new(Code::State, words)
    }

    fn check_unused(&self, operation: &Operation) -> Result<(), Error> {
        check_not_begun(operation)?;
        if self.store.state(self.name)?.pending.is_some()
            || self.store.operations()?.iter().any(|name| name == self.name)
        {
            let words = format!("an enrolment for \"{}\" is unfinished: resume or abandon it first", self.name);
            return Err(Error::new(Code::State, words));
        }
        Ok(self.store.make_ready(self.name)?)
    }

    /// What is unfinished here, told before it is continued: the request, who has to continue it, since when, what it waits
    /// for. `None` if nothing is.
    ///
    /// Errors: device memory; [`Code::Corrupt`] and [`Code::UnknownVersion`] of the saved form.
    pub fn unfinished(&self) -> Result<Option<SavedOperation>, Error> {
        match self.store.load_operation(self.name) {
            Ok(saved) => SavedOperation::read(&saved).map(Some),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity in use, if it is what the saved operation was for: the interruption came after the switch. What is left
    /// of the operation is cleared away.
    pub fn already_installed(&self) -> Result<Option<Identity>, Error> {
        finished(*self, &self.store.load_operation(self.name)?)
    }

    /// What was interrupted: a crash, a reboot, a server out of reach, a CA that takes days. `key` stands for the pending
    /// key, where that is one that device memory can only name.
    ///
    /// Errors: [`Code::NotFound`] if nothing is unfinished under this name; [`Code::KeyMismatch`] if the request was protected
    /// with another credential than the client's (see [`Destination::unfinished`]): nothing is changed then.
    pub fn continued(&self, client: &Client, key: Option<Signer>) -> Result<Continued, Error> {
        let saved = match self.saved()? {
            Saved::Installed(identity) => return Ok(Continued::Installed(identity)),
            Saved::Operation(saved) => saved,
        };
        let signer = match key {
            Some(key) if !Operation::awaits_key(&saved)? => Some(key),
            _ => self.key_of_saved(&saved)?.map(|pending| self.store.usable_key(&pending.key)).transpose()?,
        };
        let mut operation = client.restored(signer, &saved)?;
        self.bind(&mut operation);
        Ok(Continued::Operation(Box::new(operation)))
    }

    /// What device memory has of what was interrupted.
    pub(in crate::client) fn saved(&self) -> Result<Saved, Error> {
        let saved = self.store.load_operation(self.name)?;
        Ok(match finished(*self, &saved)? {
            Some(identity) => Saved::Installed(Box::new(identity)),
            None => Saved::Operation(saved),
        })
    }

    /// The key that goes with it, as device memory keeps it; `None` while the CA's side is to make one.
    pub(in crate::client) fn key_of_saved(&self, saved: &[u8]) -> Result<Option<PendingKey>, Error> {
        if Operation::awaits_key(saved)? { Ok(None) } else { self.key_of(saved).map(Some) }
    }

    /// Saves an operation that is about to send, wait or ask for a decision.
    pub fn checkpoint(&self, operation: &Operation) -> Result<(), Error> {
        self.keep_generated_key(operation)?;
        Ok(self.store.save_operation(&self.label_of(operation)?, &operation.save()?)?)
    }

    /// Keeps a key that the CA's side has made, if one came, before the saved operation says so. One that is there from an
    /// answer whose trace was lost belongs to no certificate of ours. [`Destination::checkpoint`] does it too.
    pub fn keep_generated_key(&self, operation: &Operation) -> Result<(), Error> {
        let Some(key) = operation.issued().and_then(|issued| issued.private_key.as_ref()) else { return Ok(()) };
        match self.store.pending_key(self.name) {
            Ok(kept) if same_public_key(kept.key.spki(), key.spki()) => return Ok(()),
            Ok(_) => self.store.remove_pending_key(self.name)?,
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.store.put_pending_key(self.name, &Signer::from(key))?)
    }

    /// Stages the certificate that is about to be accepted: what the CA considers confirmed is never lost.
    pub fn stage(&self, issued: &Issued, at: Time) -> Result<(), Error> {
        let stage = |label: &str| {
            let new = NewIdentity {
                key: NewKey::Pending(label),
                certificate: &issued.certificate,
                chain: &issued.chain,
                purpose: self.purpose,
                at,
            };
            self.store.stage(self.name, &new)
        };
        let staged = match stage(self.name) {
            // The key under the name is that of a request, or its certificate came first and took it along.
            Err(error) if matches!(error.kind, StoreErrorKind::KeyMismatch | StoreErrorKind::NotFound) => {
                let beside = self.store.label_beside_request(self.name)?;
                if self.store.pending_keys()?.contains(&beside) { stage(&beside) } else { Err(error) }
            }
            staged => staged,
        };
        match staged {
            Ok(_) => Ok(()),
            // Staged before the interruption that this run continues from.
            Err(error) if error.kind == StoreErrorKind::Exists => {
                let staged = self.store.pending(self.name)?;
                if staged.certificate == issued.certificate { Ok(()) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The operation is done: roots that it has taken are anchors from here on, and what is staged comes into use. `None`: it was a
    /// revocation, which brings nothing.
    pub fn finish(&self, operation: &Operation) -> Result<Option<Identity>, Error> {
        if let Request::Revocation(_) = operation.request() {
            self.give_revocation_up()?;
            return Ok(None);
        }
        keep_taken_roots(self.store, operation)?;
        self.bring_into_use().map(Some)
    }

    /// What is staged comes into use.
    pub(in crate::client) fn bring_into_use(&self) -> Result<Identity, Error> {
        let identity = self.store.promote(self.name)?;
        self.store.remove_finished_operation(self.name)?;
        Ok(identity)
    }

    /// The operation failed: if nothing can come of it any more, it is given up.
    pub fn settle(&self, operation: &Operation, error: &Error) -> Result<(), Error> {
        match operation.request() {
            _ if !is_final(operation, error) => Ok(()),
            Request::Revocation(_) => self.give_revocation_up(),
            _ => give_up(*self),
        }
    }
}

/// The identity in use, if it is the one that the saved operation was for: the interruption came after the switch. That is told by
/// the certificate, which every saved form has from the moment on at which it is staged; the key may be that of the
/// certificate before it, too.
fn finished(to: Destination<'_>, saved: &[u8]) -> Result<Option<Identity>, Error> {
    let state = to.store.state(to.name)?;
    if state.current.is_none() || state.pending.is_some() {
        return Ok(None);
    }
    let Some(certificate) = Operation::saved_certificate(saved)? else { return Ok(None) };
    let identity = to.store.current(to.name)?;
    if identity.certificate != certificate {
        return Ok(None);
    }
    give_up(to)?;
    Ok(Some(identity))
}

/// Gives what is unfinished up: the saved operation, the staged generation and the pending key are removed, a PKCS#10 request
/// that is out and a revocation that waits as well. The identity in use is not touched.
pub fn abandon(to: Destination<'_>) -> Result<(), Error> {
    give_up(to)?;
    to.give_revocation_up()?;
    Ok(to.store.remove_pending_key(to.name)?)
}

/// Gives the saved operation up, with the staged generation and its own pending key: a request that is out beside it stays.
pub(in crate::client) fn give_up(to: Destination<'_>) -> Result<(), Error> {
    if to.store.state(to.name)?.pending.is_some() {
        to.store.discard(to.name)?;
    }
    let is_kept = to.is_key_of_another_request()?;
    to.store.remove_operation(to.name)?;
    to.remove_key_beside_request()?;
    if is_kept { Ok(()) } else { Ok(to.store.remove_pending_key(to.name)?) }
}

fn check_not_begun(operation: &Operation) -> Result<(), Error> {
    match operation.transaction_id() {
        Some(_) => Err(Error::new(Code::State, "the operation is under way: device memory would come too late")),
        None => Ok(()),
    }
}

/// Whether nothing can come of the operation any more. A certificate that was issued but not confirmed stays staged, for
/// the owner to resolve with the CA; a server that was not reached is tried again, and so is a key that could not sign: the token that has
/// it may be away for a moment.
fn is_final(operation: &Operation, error: &Error) -> bool {
    let may_go_on = matches!(error.code(), Code::Unconfirmed | Code::Signer) || error.class() == Class::Store;
    operation.has_failed() && !may_go_on
}

/// The owner, with device memory kept in step.
pub(super) struct Installing<'a> {
    pub to: Destination<'a>,
    pub owner: &'a mut dyn Owner,
}

impl Owner for Installing<'_> {
    fn now(&mut self) -> Time {
        self.owner.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.owner.wait(seconds, reason)
    }

    fn sign(&mut self, request: &SignRequest) -> Result<Vec<u8>, Error> {
        self.owner.sign(request)
    }

    fn finished(&mut self, operation: &Operation) {
        self.owner.finished(operation);
    }

    fn observe(&mut self, event: Event<'_>) {
        self.owner.observe(event);
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        self.to.checkpoint(operation)?;
        self.owner.checkpoint(operation)
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        let decision = self.owner.decide(issued)?;
        if decision == Decision::Accept {
            self.to.stage(issued, self.owner.now())?;
        }
        Ok(decision)
    }
}
