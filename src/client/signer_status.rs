//! Status of those who sign answers, by the URLs in their certificates: what peers are judged by counts for the CA's side too.
//!
//! The engine asks nobody. Here, between the answer's arrival and its judgement, status data is fetched for the one certificate
//! whose signature is under it, and for the CAs above, and handed to the operation with the settings' own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::status::{StatusFetcher, StatusMemory, StatusOptions, StatusQuestion};
use crate::cmp::Operation;
use crate::crypto::Provider;
use crate::error::Error;
use crate::time::Time;
use crate::transport::{Cancel, Fetch};
use crate::validation::{Checks, StatusSources};

/// Makes the way for one round of requests.
type OpenWay = Box<dyn Fn(&StatusOptions) -> Result<Box<dyn Fetch>, Error> + Send + Sync>;

/// Fetches for a client's operations.
pub(super) struct SignerFetch {
    fetcher: Mutex<StatusFetcher>,
    /// The settings' own status data: what of it could not be got or read.
    given: StatusSources,
    open: OpenWay,
}

impl fmt::Debug for SignerFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerFetch").finish_non_exhaustive()
    }
}

impl SignerFetch {
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "for the built-in HTTP client"))]
    pub fn new(
        provider: &Arc<dyn Provider>,
        options: StatusOptions,
        memory: Arc<StatusMemory>,
        given: &StatusSources,
        open: OpenWay,
    ) -> Self {
        let StatusSources { cut_short, unread, .. } = given.clone();
        let given = StatusSources { cut_short, unread, ..StatusSources::none() };
        let fetcher = Mutex::new(StatusFetcher::with_memory(Arc::clone(provider), options, memory));
        SignerFetch { fetcher, given, open }
    }

    /// What could not be had, in words.
    pub fn ask(&self, operation: &mut Operation, answer: &[u8], now: Time, cancel: Option<&Cancel>) -> Vec<String> {
        // Documents stay. That those of an earlier signer could not all be got says nothing about this one: whoever answered may have
        // had that in mind.
        let StatusSources { cut_short, unread, .. } = self.given.clone();
        let known = StatusSources { cut_short, unread, ..operation.context().signer_status.clone() };
        operation.set_signer_status(known);
        let Some((signer, pool)) = operation.signer_of(answer, now) else { return Vec::new() };
        let mut fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        fetcher.options_mut().exchange.cancel = cancel.cloned();
        let mut way = match (self.open)(fetcher.options_mut()) {
            Ok(way) => way,
            Err(error) => return vec![error.message().to_owned()],
        };
        let context = Arc::clone(operation.context());
        let mut checks = Checks { clock_skew_seconds: context.clock_skew_seconds, ..Checks::at(now) };
        checks.revocation = context.signer_revocation.clone();
        let question = StatusQuestion {
            anchors: &context.cmp_anchors,
            leaf: &signer,
            pool: &pool,
            known: &context.signer_status,
            checks: &checks,
        };
        let answer = fetcher.validate(&question, way.as_mut());
        operation.set_signer_status(answer.status);
        let notes = answer.report.findings().iter().filter(|finding| !finding.fatal);
        notes.map(|finding| finding.text.clone()).collect()
    }
}
