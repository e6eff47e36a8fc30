//! Whatever is due, once: the first certificate, what was begun, renewals, a root's successor, the time.

use std::sync::Arc;

use super::{Device, settings};
use crate::client::renewal::{Done, Renewal, Report, Step};
use crate::client::run::Owner;
use crate::crypto::{PrivateKey, default_provider};
use crate::error::Error;
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
    /// Does what is due for every identity of the settings. Blocks; waits of the CA up to `longest_wait_seconds` are slept
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
        settings::check(&self.settings)?;
        let mut kept = Kept { is_changed: false, is_waiting: false, again_seconds: u32::MAX, failures: Vec::new() };
        for name in self.names(&[])? {
            let mut again = u32::MAX;
            let wait = (longest_wait_seconds, cancel);
            if let Err(error) = self.keep_one(&name, clock, wait, owner, &mut kept, &mut again) {
                kept.failures.push((name, error));
            }
            kept.again_seconds = kept.again_seconds.min(again);
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
        let identity = self.identity(name);
        let mut planner = self.planner(&identity);
        planner.policy.longest_nap_seconds = longest_wait_seconds;
        let subject = self.subject(name, &identity)?;
        let kind = self.key_kind(name, &identity)?;
        // What is not due needs no credential, and nobody is asked for one.
        let plan = planner.plan(&self.store, name, clock)?;
        let wants_login = matches!(plan.step, Step::Enroll | Step::EnrollAgain | Step::Resume | Step::LearnTime);
        let mut config = self.config(wants_login)?;
        config.exchange_limits.cancel = cancel.cloned();
        let is_elsewhere = self.store.current(name).is_ok_and(|current| current.key.held().is_none());
        let new_key = || -> Result<Arc<dyn PrivateKey>, Error> { Ok(default_provider().generate_key(kind)?) };
        let renewal = Renewal {
            planner: &planner,
            config: &config,
            to: self.destination(name, &identity),
            factory: self.factory(),
            subject: subject.as_ref(),
            // A key in a token is followed by one there.
            new_key: if is_elsewhere { None } else { Some(&new_key) },
        };
        self.run(&renewal, clock, owner)
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
