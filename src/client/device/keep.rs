//! Whatever is due, once: the first certificate, what was begun, renewals, a root's successor, the time.

use super::judging::nobody_named;
use super::secret::Source;
use super::waiting::with_differences;
use super::{Device, loading, settings, wrong};
use crate::client::Config;
use crate::client::renewal::{Done, Plan, Planner, Renewal, Report, Standing, Step};
use crate::client::run::Owner;
use crate::cmp::{SavedCredential, check_present};
use crate::codes::{Class, Code};
use crate::crypto::{DigestAlgorithm, default_provider};
use crate::error::Error;
use crate::store::{Problem, ProblemKind};
use crate::time::Time;
use crate::transport::Cancel;

/// How often an identity is looked at in one call: the time is learnt and a renewal follows; the bound is for a faulty plan.
const MOST_STEPS: u32 = 4;

/// What a call of [`Device::keep`] did, over all identities.
#[derive(Debug)]
pub struct Kept {
    /// Whether an identity has a new certificate.
    pub is_changed: bool,
    /// Whether a CA asks to wait; its request is kept.
    pub is_waiting: bool,
    /// Come back after so many seconds.
    pub again_seconds: u32,
    /// Identities that something went wrong with, and what; it is remembered and tried again when it is due.
    pub failures: Vec<(String, Error)>,
}

impl Device {
    /// Does what is due for every identity of the settings, and writes its lasting exports where they do not stand as they were written.
    /// The programs of the settings (`then`, hooks) are the command's to run, and stay due. Blocks; waits of the CA up to `longest_wait_seconds` are slept
    /// through by the owner, longer ones end the call, and the next one goes on. `clock`: the present, `None` if there is none.
    ///
    /// Errors: the settings are wrong, device memory cannot be read. What goes wrong with one identity is in what is answered.
    pub fn keep(&self, clock: Option<Time>, longest_wait_seconds: u32, owner: &mut dyn Owner) -> Result<Kept, Error> {
        self.keep_unless(None, clock, longest_wait_seconds, owner)
    }

    /// The same; the switch ends it from another thread. What is under way stays in device memory.
    pub fn keep_unless(
        &self,
        cancel: Option<&Cancel>,
        clock: Option<Time>,
        longest_wait_seconds: u32,
        owner: &mut dyn Owner,
    ) -> Result<Kept, Error> {
        clock.map_or(Ok(()), check_present)?;
        loading::check(&self.settings)?;
        let mut kept = Kept { is_changed: false, is_waiting: false, again_seconds: u32::MAX, failures: Vec::new() };
        for name in self.names(&[])? {
            let mut again = u32::MAX;
            let wait = (longest_wait_seconds, cancel);
            if let Err(error) = self.keep_one(&name, clock, wait, owner, &mut kept, &mut again) {
                kept.failures.push((name.clone(), error));
            }
            kept.again_seconds = kept.again_seconds.min(again);
            kept.failures.extend(self.write_due_exports(&name).into_iter().map(|error| (name.clone(), error)));
            if cancel.is_some_and(Cancel::is_cancelled) {
                break;
            }
        }
        if kept.again_seconds == u32::MAX {
            kept.again_seconds = self.planner(&settings::Identity::default()).policy.first_retry_seconds;
        }
        Ok(kept)
    }

    fn keep_one(
        &self,
        name: &str,
        clock: Option<Time>,
        (longest_wait_seconds, cancel): (u32, Option<&Cancel>),
        owner: &mut dyn Owner,
        kept: &mut Kept,
        again: &mut u32,
    ) -> Result<(), Error> {
        for _ in 0..MOST_STEPS {
            let report = self.step(name, clock, longest_wait_seconds, cancel, owner)?;
            *again = report.wait_seconds;
            match report.outcome? {
                Done::Installed(_) => kept.is_changed = true,
                Done::Waiting => {
                    kept.is_waiting = true;
                    return Ok(());
                }
                Done::Nothing => return Ok(()),
                _ => {}
            }
            if report.wait_seconds > 0 {
                break;
            }
        }
        Ok(())
    }

    /// One due step of one identity.
    ///
    /// Errors: the settings are wrong, device memory cannot be read. What goes wrong with the step is in the report.
    pub fn step(
        &self,
        name: &str,
        clock: Option<Time>,
        longest_wait_seconds: u32,
        cancel: Option<&Cancel>,
        owner: &mut dyn Owner,
    ) -> Result<Report, Error> {
        clock.map_or(Ok(()), check_present)?;
        // Also where a key is opened before the step.
        #[cfg(feature = "pkcs11")]
        crate::client::token::recall_kept_pins(&self.store, clock);
        let report = self.step_by_settings(name, clock, longest_wait_seconds, cancel, owner);
        #[cfg(feature = "pkcs11")]
        crate::client::token::keep_refused_pins(&self.store, clock);
        report
    }

    fn step_by_settings(
        &self,
        name: &str,
        clock: Option<Time>,
        longest_wait_seconds: u32,
        cancel: Option<&Cancel>,
        owner: &mut dyn Owner,
    ) -> Result<Report, Error> {
        let identity = self.identity(name);
        let mut planner = self.planner(&identity);
        planner.policy.longest_nap_seconds = longest_wait_seconds;
        let subject = self.subject(name, &identity)?;
        self.key_kind(name, &identity)?;
        let mended = self.bring_back(name, &planner, clock)?;
        // As the renewal will see it: also whose clock is wrong has waited as told.
        let planned = || planner.plan_to_be_told(&self.store, name, clock);
        let mut plan = planned()?;
        let _busy = match plan.step {
            Step::Nothing => None,
            _ => Some(self.busy(name, "devid")?),
        };
        // Whoever held it until now may have done what was due.
        if _busy.is_some() {
            plan = planned()?;
        }
        if plan.step == Step::Enroll && subject.is_none() && self.store.state(name)?.current.is_none() {
            return Err(wrong(nobody_named(name)));
        }
        // Before what fails for it in other words.
        if plan.step == Step::Enroll {
            super::check_id(self.id.as_deref())?;
            super::exports::check_places(&self.settings)?;
            loading::check_meant(&self.settings.ca)?;
        }
        let mut config = self.config_for(name, &plan).map_err(|error| match plan.standing {
            Standing::Damaged | Standing::Expired | Standing::Revoked => {
                let standing = plan.standing.word();
                error.context(&format!("\"{name}\" is {standing}, and a new certificate is asked for with ca.login"))
            }
            _ => error,
        })?;
        check_ready(&plan.step, &config)?;
        config.exchange_limits.cancel = cancel.cloned();
        config.renew_with_uses = identity.renew.with_uses;
        let is_elsewhere = self.store.current(name).is_ok_and(|current| current.key.held().is_none());
        let new_key = || self.new_key(name, &identity);
        let renewal = Renewal {
            planner: &planner,
            config: &config,
            to: self.destination(name, &identity),
            factory: self.factory(),
            subject: subject.as_ref(),
            // A key in a token is followed by one there.
            new_key: if is_elsewhere { None } else { Some(&new_key) },
        };
        let differs = match plan.step {
            Step::Resume => self.under_way(name).map(|request| request.differs).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut report = self.run(&renewal, clock, owner)?;
        report.plan.findings.splice(0..0, mended);
        // Nothing else is due that it could do; whoever is silent about it leaves the device without an identity that signs.
        let is_sealed = report.plan.findings.iter().any(|found| found.kind == ProblemKind::Sealed);
        if is_sealed && matches!(report.outcome, Ok(Done::Nothing)) {
            report.outcome = self.store.current(name).map(|_| Done::Nothing).map_err(Error::from);
        }
        report.outcome = report.outcome.map_err(|error| with_differences(name, &differs, self.with_oddities(error)));
        Ok(report)
    }

    /// What is odd about the secret, beside an error that says that it may be another one than the CA's.
    fn with_oddities(&self, error: Error) -> Error {
        let login = &self.settings.ca.login;
        let is_about_secret = matches!(error.code(), Code::ProtectionInvalid | Code::Rejected | Code::Unprotected);
        let source = login.secret.as_ref().filter(|source| is_about_secret && matches!(source, Source::File(_)));
        match source.map(Source::oddities).unwrap_or_default() {
            odd if odd.is_empty() => error,
            odd => error.followed_by(&format!("ca.login.secret: {}", odd.join(", "))),
        }
    }

    /// See [`Renewal::bring_back`]: before the settings are made for what is due.
    fn bring_back(&self, name: &str, planner: &Planner, clock: Option<Time>) -> Result<Vec<Problem>, Error> {
        if !self.store.current(name).is_err_and(|error| error.is_damage()) {
            return Ok(Vec::new());
        }
        let _busy = self.busy(name, "devid")?;
        let (identity, config) = (self.identity(name), Config::new());
        let to = self.destination(name, &identity);
        Renewal { planner, config: &config, to, factory: self.factory(), subject: None, new_key: None }
            .bring_back(clock)
    }

    /// The settings with the login where the step needs it: what is not due needs no credential, and what was begun with
    /// another one goes on without it. One-time secrets are gone after their first use.
    fn config_for(&self, name: &str, plan: &Plan) -> Result<Config, Error> {
        match &plan.step {
            Step::Enroll | Step::EnrollAgain => self.config(true),
            Step::Resume | Step::LearnTime if self.is_begun_by_identity(name)? => self.config(false),
            Step::Resume => self.config(true),
            Step::LearnTime => match self.settings.ca.login.asks_somebody() {
                true if self.has_identity(name) => self.config(false),
                true => self.config(true),
                false if self.has_identity(name) => self.config(true).or_else(|_| self.config(false)),
                false => self.config(true),
            },
            // Where no identity can vouch for itself, whoever asks for the first certificate asks for the root.
            Step::AskForRoot(_) if !plan.standing.is_usable() => self.config(true),
            Step::Update | Step::AskForRoot(_) | Step::Nothing => self.config(false),
        }
    }

    /// Whether what is unfinished was begun with an identity in device memory, not with the login of the settings.
    fn is_begun_by_identity(&self, name: &str) -> Result<bool, Error> {
        let identity = self.identity(name);
        let saved = match self.destination(name, &identity).unfinished() {
            Ok(saved) => saved,
            // It cannot be read, so that no credential helps.
            Err(error) if error.class() == Class::Input || error.class() == Class::Store => None,
            Err(error) => return Err(error),
        };
        let Some(SavedCredential::Certificate(wanted)) = saved.map(|saved| saved.credential) else {
            return Ok(false);
        };
        let provider = default_provider();
        let own = [self.store.current(name), self.store.previous(name), self.store.pending(name)];
        let factory = self.store.current(self.factory_name());
        for kept in own.into_iter().chain([factory]).flatten() {
            let digest = provider.digest(DigestAlgorithm::Sha256, &[kept.certificate.as_der()])?;
            if *digest == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_identity(&self, name: &str) -> bool {
        self.store.current(name).is_ok()
    }

    #[cfg(feature = "http")]
    fn run(&self, renewal: &Renewal<'_>, clock: Option<Time>, owner: &mut dyn Owner) -> Result<Report, Error> {
        renewal.run_due_http(clock, owner)
    }

    #[cfg(not(feature = "http"))]
    fn run(&self, renewal: &Renewal<'_>, clock: Option<Time>, owner: &mut dyn Owner) -> Result<Report, Error> {
        let client = renewal.config.build()?;
        renewal.run_due(clock, &mut *client.exchange()?, owner)
    }
}

impl Device {
    /// Whether a first certificate can be asked for, as far as the settings say: whom, who for, and by what.
    pub fn check_enrollable(&self, name: &str) -> Result<(), Error> {
        self.subject(name, &self.identity(name))?.ok_or_else(|| wrong(nobody_named(name)))?;
        check_ready(&Step::Enroll, &self.config(true)?)
    }
}

/// What a step cannot do without, by the names of the settings.
fn check_ready(step: &Step, config: &Config) -> Result<(), Error> {
    if *step == Step::Nothing {
        return Ok(());
    }
    if config.server.url.is_none() {
        return Err(wrong("ca.server is not set: the URL of the CMP server"));
    }
    if *step != Step::Enroll {
        return Ok(());
    }
    if config.enrolment_anchors.is_empty() && !config.takes_roots() {
        let words =
            "ca.trust.issued (or ca.trust.all) is not set, and device memory trusts nobody (devid anchors add issued)";
        return Err(wrong(format!("{words}: whose certificates are taken?")));
    }
    match config.has_credential() {
        true => Ok(()),
        false => Err(wrong(NO_LOGIN)),
    }
}

/// What a first certificate cannot do without.
pub(super) const NO_LOGIN: &str = "there is nothing to log in with: device memory has no identity of the factory (devid import FILE --name idevid, or as \
     ca.login.factory calls it, puts it in), and ca.login names neither reference and secret, nor key and certificates, nor mutual TLS";
