//! A request that is under way: what the CA says meanwhile, when it is asked again, and whether the settings still want it.

use serde_json::{Value, json};

use super::{Device, rfc3339};
use crate::asn1::cmp::BodyType;
use crate::asn1::crmf::CertTemplate;
use crate::asn1::name::display;
use crate::asn1::oid;
use crate::cmp::{Operation, SavedOperation, SavedState};
use crate::crypto::KeyKind;
use crate::error::Error;
use crate::time::Time;
use crate::validation::same_name;

/// A request that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// When it began, by the clock of then.
    pub since: Time,
    /// When the CA wants to be asked again; `None`: as soon as it can be.
    pub ask_at: Option<Time>,
    /// Why the CA asks to wait, in its words.
    pub says: Vec<String>,
    /// How often it has been asked.
    pub polls: u32,
    /// How many of its answers in a row led nowhere: they proved nothing, or said that something else arrived than was sent.
    pub dropped: u32,
    /// The last of those, and why it led nowhere.
    pub why_dropped: Vec<String>,
    /// What the settings ask for otherwise by now, in words.
    pub differs: Vec<String>,
}

impl UnderWay {
    fn of(saved: SavedOperation, differs: Vec<String>) -> Self {
        // Where its answers led nowhere the reason is why, and nobody's words.
        let (says, why_dropped) = match saved.dropped {
            0 => (saved.reason, Vec::new()),
            _ => (Vec::new(), saved.reason),
        };
        UnderWay {
            since: saved.started,
            ask_at: match saved.state {
                SavedState::Waiting(until) => Some(until),
                _ => None,
            },
            says,
            polls: saved.polls,
            dropped: saved.dropped,
            why_dropped,
            differs,
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "since": rfc3339(self.since),
            "ask_at": self.ask_at.map(rfc3339),
            "says": self.says,
            "polls": self.polls,
            "unproved_answers": self.dropped,
            "last_unproved": self.why_dropped,
            "differs": self.differs,
        })
    }
}

impl Device {
    /// The request that is under way for an identity; `None`: there is none, or it cannot be read, which the plan tells.
    pub fn under_way(&self, name: &str) -> Option<UnderWay> {
        let identity = self.identity(name);
        let saved = self.destination(name, &identity).unfinished().ok().flatten()?;
        let asked = self.store.load_operation(name).ok();
        let asked = asked.and_then(|bytes| self.differs(name, &bytes, &saved.new_key).ok()).unwrap_or_default();
        let differs = self.asked_elsewhere(&saved).into_iter().chain(asked).collect();
        Some(UnderWay::of(saved, differs))
    }

    /// Why what is under way is not another first certificate that `ca.server` is asked for; `None`: it is, or nothing is under way. Who wants
    /// that one would go on with a renewal, or poll a server that was never asked.
    pub fn begun_otherwise(&self, name: &str) -> Option<String> {
        let saved = self.destination(name, &self.identity(name)).unfinished().ok().flatten()?;
        match saved.request {
            BodyType::KUR => Some(format!("a renewal of \"{name}\" is under way")),
            _ => self
                .asked_elsewhere(&saved)
                .map(|elsewhere| format!("a request for \"{name}\" is under way, and {elsewhere}")),
        }
    }

    /// The request to revoke the certificate of an identity that is under way.
    pub fn revoking(&self, name: &str) -> Option<UnderWay> {
        let saved = self.destination(name, &self.identity(name)).unfinished_revocation().ok().flatten()?;
        let differs = self.asked_elsewhere(&saved).into_iter().collect();
        Some(UnderWay::of(saved, differs))
    }

    /// That a saved request was sent to another server than the settings name by now: whoever answers there may know nothing of it.
    fn asked_elsewhere(&self, saved: &SavedOperation) -> Option<String> {
        let (asked, now) = (saved.server.as_deref()?, self.settings.ca.server.as_deref()?);
        (asked != now).then(|| format!("it was asked for at {asked}, and ca.server is {now}"))
    }

    /// What the settings ask for otherwise than a saved request does. A key update asks for what the old certificate has.
    fn differs(&self, name: &str, saved: &[u8], new_key: &[u8]) -> Result<Vec<String>, Error> {
        let identity = self.identity(name);
        let mut words = Vec::new();
        if self.store.state(name)?.current.is_some() {
            return Ok(words);
        }
        if let (Some(asked), Some(subject)) = (Operation::saved_template(saved)?, self.subject(name, &identity)?) {
            let wanted = subject.to_template()?;
            let subject = |template: &CertTemplate| {
                template.subject.as_ref().map(|name| name.as_der().to_vec()).unwrap_or_default()
            };
            let (before, now) = (subject(&asked), subject(&wanted));
            if !same_name(&before, &now) && before != now {
                words.push(format!("it asks for {}, and the settings for {}", display(&before), display(&now)));
            }
            for (oid, what) in [
                (oid::CE_SUBJECT_ALT_NAME, "alternative names"),
                (oid::CE_KEY_USAGE, "key usages"),
                (oid::CE_EXT_KEY_USAGE, "purposes"),
            ] {
                let value = |template: &CertTemplate| {
                    template.extensions.iter().find(|one| one.oid == oid).map(|one| one.value.clone())
                };
                if value(&asked) != value(&wanted) {
                    words.push(format!("the settings ask for other {what}"));
                }
            }
        }
        let (before, now) = (KeyKind::of_spki(new_key).ok(), self.key_kind(name, &identity)?);
        if let Some(before) = before.filter(|before| *before != now && identity.key_at.is_none()) {
            words.push(format!("its key is {before}, and the settings want {now}"));
        }
        Ok(words)
    }
}

/// An error about what is under way, with what the settings ask for otherwise by now: that may be why.
pub(super) fn with_differences(name: &str, differs: &[String], error: Error) -> Error {
    match differs {
        [] => error,
        _ => error.followed_by(&format!("{} (devid store abandon {name} begins anew)", differs.join("; "))),
    }
}
