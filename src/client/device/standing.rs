//! How identities stand, as the JSON that `devid status` prints; parts of an identity as PEM.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Device, wrong};
use crate::asn1::name::display;
use crate::asn1::pem;
use crate::asn1::x509::{Certificate, hex};
use crate::client::renewal::{Alarm, Plan, Reason, Standing};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{Identity, StoreErrorKind};
use crate::time::Time;

/// A part of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The private key, PKCS#8.
    Key,
    /// The certificate.
    Certificate,
    /// Those above it, nearest first.
    Chain,
    /// The certificate and those above it, as peers need them: without the root.
    FullChain,
    /// Roots that issued certificates must lead to.
    Anchors,
    /// The private key, the certificate and those above it without the root: all of one generation.
    Bundle,
}

impl Standing {
    /// In one word, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Absent => "absent",
            Standing::Valid => "valid",
            Standing::NotYetValid => "not-yet-valid",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
            Standing::Damaged => "damaged",
            Standing::Unknown => "unknown",
        }
    }
}

impl Alarm {
    /// In one word, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Alarm::Quiet => "quiet",
            Alarm::Late => "late",
            Alarm::Urgent => "urgent",
            Alarm::Unusable => "unusable",
        }
    }
}

impl Reason {
    /// In one word, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::NothingDue => "nothing-due",
            Reason::Due => "due",
            Reason::Retrying => "retrying",
            Reason::CaAsksToWait => "ca-asks-to-wait",
            Reason::GivenUp => "given-up",
            Reason::Resting => "resting",
            Reason::RequestOut => "request-out",
            Reason::DayUsedUp => "day-used-up",
            Reason::Revoked => "revoked",
        }
    }
}

impl Device {
    /// What is due for an identity.
    pub fn plan(&self, name: &str, clock: Option<Time>) -> Result<Plan, Error> {
        let mut plan = self.planner(&self.identity(name)).plan(&self.store, name, clock)?;
        self.heed_anchors(name, &mut plan);
        Ok(plan)
    }

    /// How every identity stands: one JSON document. One that cannot be read has an entry with its `error`, and the others stand beside it.
    /// Beside them what [`Device::without_effect`] tells of the settings.
    ///
    /// Errors: not even the names of the identities can be read.
    pub fn status(&self, clock: Option<Time>) -> Result<String, Error> {
        let told = |name: &String| {
            self.standing(name, clock).unwrap_or_else(|error| {
                let why = json!({ "code": error.code().name(), "message": error.message() });
                self.unreadable(name, error.message(), why)
            })
        };
        let identities: Vec<Value> = self.names(&[])?.iter().map(told).collect();
        let warnings = self.without_effect();
        Ok(json!({ "schema": 1, "identities": identities, "warnings": warnings }).to_string())
    }

    /// From when a certificate is valid that is here, confirmed, and waits for its time; `None`: there is none.
    pub fn begins_later(&self, name: &str) -> Option<Time> {
        let unfinished = self.destination(name, &self.identity(name)).unfinished().ok().flatten()?;
        let staged = self.store.pending(name).ok().filter(|_| unfinished.is_confirmed)?;
        Some(staged.certificate.not_before())
    }

    /// How one identity stands.
    pub fn standing(&self, name: &str, clock: Option<Time>) -> Result<Value, Error> {
        let plan = self.plan(name, clock)?;
        let state = self.store.state(name)?;
        let current = match self.store.in_use(name) {
            Ok(identity) => Some(identity),
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => None,
            Err(error) => return Err(error.into()),
        };
        let is_unfinished = self.store.operations()?.iter().any(|saved| saved == name);
        Ok(json!({
            "name": name,
            "standing": plan.standing.word(),
            "alarm": plan.alarm.word(),
            "generation": state.current,
            "previous": state.previous,
            "pending": state.pending,
            "unfinished": is_unfinished,
            "waiting": self.under_way(name).map(|under_way| under_way.to_json()),
            "revoking": self.revoking(name).map(|under_way| under_way.to_json()),
            "begins": self.begins_later(name).map(rfc3339),
            "request_out": plan.is_request_out,
            "copied": plan.is_copied,
            "findings": plan.findings.iter().map(|found| format!("{}: {}", found.place, found.text)).collect::<Vec<_>>(),
            "certificate": current.as_ref().map(|identity| certificate_json(&identity.certificate)),
            "renewal": {
                "step": crate::words::as_written(&plan.step),
                "reason": plan.reason.word(),
                "at": plan.renewal_at.map(rfc3339),
                "ask_again_s": plan.ask_again_seconds,
                "attempts": plan.attempts,
                "given_up": plan.has_given_up,
            },
            "exports": self.exports_json(name),
            "hook": self.hook_json(name),
        }))
    }

    /// The entry of an identity of which nothing can be told but `why`: it is of no use to the device as it is. `error`: the same for
    /// programs.
    pub fn unreadable(&self, name: &str, why: &str, error: Value) -> Value {
        let is_unfinished = self.store.operations().is_ok_and(|saved| saved.iter().any(|saved| saved == name));
        json!({
            "name": name,
            "standing": Standing::Unknown.word(),
            "alarm": Alarm::Unusable.word(),
            "generation": null,
            "previous": null,
            "pending": null,
            "unfinished": is_unfinished,
            "waiting": null,
            "revoking": null,
            "begins": null,
            "request_out": self.store.request_out(name).is_ok_and(|request| request.is_some()),
            "copied": false,
            "findings": [why],
            "certificate": null,
            "renewal": null,
            "exports": self.exports_json(name),
            "hook": null,
            "error": error,
        })
    }

    /// How the lasting exports stand; what cannot be told is told as that.
    fn exports_json(&self, name: &str) -> Value {
        let known = match self.exports(name) {
            Ok(known) => known,
            Err(error) => {
                let wanted = self.identity(name).export;
                let told = |one: &super::Export| export_json(one, Some(&error.to_string()));
                return wanted.iter().map(told).collect();
            }
        };
        let program = || "the program behind it has not succeeded yet".to_owned();
        let told = |state: &super::ExportState| {
            let open = state.due.clone().or_else(|| state.is_program_due.then(program));
            export_json(&state.export, open.as_deref())
        };
        known.iter().map(told).collect()
    }

    /// How the program behind the identity stands; null where there is none to be run.
    fn hook_json(&self, name: &str) -> Value {
        if self.settings.hooks.changed.is_empty() || self.store.in_use(name).is_err() {
            return Value::Null;
        }
        let open = match self.is_changed_due(name) {
            Ok(false) => None,
            Ok(true) => Some("the program has not succeeded yet".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        json!({ "ok": open.is_none(), "open": open })
    }

    /// A part of the identity in use, PEM.
    ///
    /// Errors: there is no identity; [`Code::Unsupported`] for a key that cannot leave its home.
    pub fn pem(&self, name: &str, part: Part) -> Result<Zeroizing<String>, Error> {
        if part == Part::Anchors {
            let config = self.config(false)?;
            return Ok(pem_of(config.enrolment_anchors.iter()));
        }
        let identity = self.store.current(name)?;
        Ok(match part {
            Part::Certificate => pem_of([&identity.certificate]),
            Part::Chain => pem_of(&identity.chain),
            Part::FullChain | Part::Anchors => full_chain(&identity),
            Part::Key => self.key_pem(&identity)?,
            Part::Bundle => {
                let key = self.key_pem(&identity)?;
                Zeroizing::new([key.as_str(), full_chain(&identity).as_str()].concat())
            }
        })
    }

    fn key_pem(&self, identity: &Identity) -> Result<Zeroizing<String>, Error> {
        let away = || Error::new(Code::Unsupported, format!("the key of \"{}\" cannot leave its home", identity.name));
        let key = self.store.open_key(&identity.key)?.ok_or_else(away)?;
        Ok(pem::encode("PRIVATE KEY", &key.to_pkcs8().ok_or_else(away)?))
    }

    /// Writes the identity in use for other software, under `layout`: pem, openssl, nginx, strongswan, mosquitto.
    pub fn export(&self, name: &str, layout: &str, folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>, Error> {
        if layout == "pkcs12" {
            return Err(wrong("a PKCS#12 file needs a password: devid_store_export or devid export"));
        }
        let wanted = super::Export {
            layout: layout.to_owned(),
            folder: folder.to_owned(),
            anchors: Vec::new(),
            password: None,
            scrypt: false,
            owner: None,
            then: Vec::new(),
        };
        Ok(self.store.export(name, &self.export_of(str::to_owned, &wanted)?)?.files)
    }
}

/// How one export stands, for programs.
fn export_json(export: &super::Export, open: Option<&str>) -> Value {
    json!({ "layout": export.layout, "folder": export.folder, "ok": open.is_none(), "open": open })
}

fn full_chain(identity: &Identity) -> Zeroizing<String> {
    let above = identity.chain.iter().filter(|one| !one.is_self_issued());
    pem_of(std::iter::once(&identity.certificate).chain(above))
}

fn pem_of<'c>(certificates: impl IntoIterator<Item = &'c Certificate>) -> Zeroizing<String> {
    let blocks = certificates.into_iter().map(|one| pem::encode("CERTIFICATE", one.as_der()).to_string());
    Zeroizing::new(blocks.collect())
}

/// What is known of a certificate, for programs.
pub fn certificate_json(certificate: &Certificate) -> Value {
    json!({
        "subject": display(certificate.subject()),
        "issuer": display(certificate.issuer()),
        "serial": hex(certificate.serial()),
        "not_before": rfc3339(certificate.not_before()),
        "not_after": rfc3339(certificate.not_after()),
        "names": crate::validation::alternative_names(certificate),
    })
}

/// RFC 3339, in UTC.
pub fn rfc3339(time: Time) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
