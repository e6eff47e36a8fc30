//! What becomes of each of several certificates of one operation.

use alloc::sync::Arc;

use super::issued::Issued;
use crate::asn1::cmp::CertStatus;
use crate::error::Error;
use crate::prelude::*;

/// What becomes of each of several certificates; empty where one is asked for.
#[derive(Clone, Default)]
pub(super) struct Several {
    pub(super) parts: Vec<Part>,
    /// The one that is looked at.
    pub(super) at: usize,
    /// Whether an answer about all of them has come: later ones are about those that wait.
    pub(super) is_answered: bool,
    /// What the server has said of those that wait.
    pub(super) reason: Vec<String>,
    /// senderNonce of the request: answers that are delayed are answers to it.
    pub(super) nonce: Option<Vec<u8>>,
}

/// What has become of one of them.
#[derive(Clone)]
pub(super) enum Part {
    /// It is asked for, and not answered yet or waiting.
    Open,
    /// It is here, and the owner has not decided; or it cannot be used.
    Came(Arc<Issued>, Option<Error>),
    /// It is decided on, and this is to be confirmed.
    Decided(CertStatus, Result<Arc<Issued>, Error>),
    /// Over.
    Settled(Result<Arc<Issued>, Error>),
}

impl Several {
    /// The place of the request that is looked at.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The numbers of those that are asked for and not answered yet.
    pub fn open(&self) -> Vec<i64> {
        let open = self.parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Open));
        open.map(|(at, _)| number(at)).collect()
    }

    /// Whether there is something to confirm.
    pub fn is_confirming(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Decided(..)))
    }

    /// Whether one of those that are being confirmed is refused.
    pub fn refuses_any(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Decided(_, Err(_))))
    }

    /// What certConf says of them.
    pub fn statuses(&self) -> Vec<CertStatus> {
        let status = |part: &Part| match part {
            Part::Decided(status, _) => Some(status.clone()),
            _ => None,
        };
        self.parts.iter().filter_map(status).collect()
    }

    pub(super) fn settle(&mut self, at: usize, outcome: Result<Arc<Issued>, Error>) {
        self.parts[at] = Part::Settled(outcome);
    }
}

/// certReqId of a place.
pub(super) fn number(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
