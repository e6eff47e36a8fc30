//! `enroll`, `keep`, `renew`: what brings a certificate.

use std::sync::Arc;

use devid::client::renewal::{Done, Report};
use devid::client::run::sleep_unless;
use devid::client::{Client, Step};
use devid::cmp::Signer;
use devid::crypto::{PrivateKey, default_provider};
use devid::store::Identity as Kept;
use devid::{Code, Error};
use serde_json::{Value, json};

use super::{hooks, status, traced};
use crate::arguments::{Enroll, Keep, Renew, Talk};
use crate::attendant::{Attendant, cancel, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure, error_json};
use crate::output::{Output, date, print};
use crate::settings::Identity;
use crate::trace::Trace;

/// Waits of the CA that a person sits through, in seconds.
const PATIENCE_SECONDS: u32 = 7 * 86_400;

/// What came of one identity.
pub enum Outcome {
    Installed(Box<Kept>),
    Waiting,
    Other(&'static str),
}

/// The first certificate, waited for.
pub fn enroll(command: &Enroll, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let identity = device.identity(&name);
    if device.store.state(&name)?.current.is_some() {
        let words = format!("\"{name}\" has a certificate already: devid renew gets the next one");
        return Err(Failure::Own(Exit::Store, words));
    }
    if command.dry_run {
        return dry_run(device, &name, &identity);
    }
    let outcome = talk(&command.talk, "enroll", |trace| attend(device, &name, output, command.talk.no_wait, trace))?;
    conclude("enroll", device, &name, &identity, outcome, output)
}

/// Whatever is due, once, for each identity.
pub fn keep(command: &Keep, device: &Device, output: Output) -> Result<Exit, Failure> {
    watch_signals();
    let mut documents = Vec::new();
    let (mut exit, mut first_failure) = (Exit::NothingDue, None);
    for name in device.names(&command.names)? {
        let identity = device.identity(&name);
        if command.dry_run {
            documents.push(status::document(device, &name)?);
            output.say(&status::line(device, &name)?);
            continue;
        }
        let kept =
            traced(command.trace.as_deref(), "devid keep", |trace| keep_one(device, &name, &identity, output, trace));
        match kept {
            Ok((document, one)) => {
                documents.push(document);
                exit = worse(exit, one);
            }
            Err(failure) => {
                hooks::run(&device.settings.hooks.failed, "failed", &name, Some(&failure.to_string()), output);
                documents.push(json!({ "name": name, "did": "failed", "error": failure.json() }));
                output.say(&format!("{name}: {}", failure.report()));
                first_failure.get_or_insert(failure);
            }
        }
    }
    if let Some(failure) = first_failure {
        return Err(failure);
    }
    let changed = documents.iter().any(|d| d["did"] == "installed");
    output.result("keep", "", json!({ "changed": changed, "identities": documents }));
    Ok(match exit {
        Exit::Hook => Exit::Hook,
        other if command.exit_code => other,
        _ => Exit::Done,
    })
}

/// One identity, with its exports and hooks. Also the daemon's step.
pub fn keep_one(
    device: &Device,
    name: &str,
    identity: &Identity,
    output: Output,
    mut trace: Option<&mut Trace>,
) -> Result<(Value, Exit), Failure> {
    // More may be due behind what is due first: the time is learnt, and a renewal follows; the bound is for a faulty plan.
    let mut did = ("nothing", Exit::NothingDue);
    for _ in 0..4 {
        let report = step(device, name, output, true, trace.as_deref_mut())?;
        match judged(report.outcome)? {
            Outcome::Installed(kept) => {
                output.say(&format!(
                    "{name}: generation {} in use, valid until {}",
                    kept.generation,
                    date(kept.certificate.not_after())
                ));
                did = ("installed", Exit::Done);
            }
            Outcome::Waiting => did = ("waiting", Exit::Waiting),
            Outcome::Other(words) => did = (words, did.1),
        }
        if report.wait_seconds > 0 || did.0 == "waiting" || did.0 == "nothing" {
            break;
        }
    }
    if did.0 == "waiting" {
        output.say(&format!("{name}: the CA asks to wait; the request is kept"));
        hooks::run(&device.settings.hooks.waiting, "waiting", name, None, output);
    }
    let is_changed = did.0 == "installed";
    let (exports, is_exported) = hooks::exports(device, name, identity, is_changed, output);
    let mut document = status::document(device, name)?;
    document["did"] = json!(did.0);
    document["exports"] = exports;
    if document["alarm"] != "quiet" {
        hooks::run(&device.settings.hooks.alarm, "alarm", name, None, output);
    }
    Ok((document, if is_exported { did.1 } else { Exit::Hook }))
}

/// A renewal, if it is due or asked for.
pub fn renew(command: &Renew, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let identity = device.identity(&name);
    let plan = device.planner(&identity).plan(&device.store, &name, device.clock())?;
    let is_unfinished = plan.step == Step::Resume;
    if !command.now && plan.step == Step::Nothing {
        let when = plan.renewal_at.map_or_else(|| "never".to_owned(), date);
        output.result(
            "renew",
            &format!("{name}: nothing is due; the renewal comes {when}"),
            json!({ "changed": false }),
        );
        return Ok(Exit::Done);
    }
    let outcome = talk(&command.talk, "renew", |trace| match command.now && !is_unfinished {
        true => renew_now(device, &name, &identity, output, command.talk.no_wait, trace),
        false => attend(device, &name, output, command.talk.no_wait, trace),
    })?;
    conclude("renew", device, &name, &identity, outcome, output)
}

fn talk<T>(
    talk: &Talk,
    command: &str,
    work: impl FnOnce(Option<&mut Trace>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    watch_signals();
    traced(talk.trace.as_deref(), &format!("devid {command}"), work)
}

/// Step after step until the identity is there, with a person watching.
fn attend(
    device: &Device,
    name: &str,
    output: Output,
    no_wait: bool,
    mut trace: Option<&mut Trace>,
) -> Result<Outcome, Failure> {
    loop {
        let report = step(device, name, output, no_wait, trace.as_deref_mut())?;
        let wait = report.wait_seconds;
        match judged(report.outcome)? {
            Outcome::Other("nothing") if device.store.operations()?.iter().any(|saved| saved == name) => {
                if no_wait {
                    return Ok(Outcome::Waiting);
                }
                output.say(&format!(
                    "{name}: a request is under way; next question in {}",
                    crate::output::span(u64::from(wait))
                ));
                sleep_unless(Some(cancel()), wait)?;
            }
            Outcome::Other("nothing") => {
                let words = format!(
                    "nothing can be done now: a failure before is waited out, {} to go (devid store reset {name} forgets it)",
                    crate::output::span(u64::from(wait))
                );
                return Err(Failure::Own(Exit::Transport, words));
            }
            Outcome::Other(words) => output.say(&format!("{name}: {words}")),
            done => return Ok(done),
        }
    }
}

fn step(
    device: &Device,
    name: &str,
    output: Output,
    no_wait: bool,
    trace: Option<&mut Trace>,
) -> Result<Report, Failure> {
    let mut attendant = Attendant::new(output, no_wait, trace);
    let patience = if no_wait { 0 } else { PATIENCE_SECONDS };
    Ok(device.step(name, device.clock(), patience, Some(cancel()), &mut attendant)?)
}

fn judged(outcome: Result<Done, Error>) -> Result<Outcome, Failure> {
    Ok(match outcome? {
        Done::Installed(kept) => Outcome::Installed(kept),
        Done::Waiting => Outcome::Waiting,
        Done::RootAdded(_) => Outcome::Other("root-added"),
        Done::NoSuccessor => Outcome::Other("no-successor"),
        Done::Abandoned(_) => Outcome::Other("given-up"),
        Done::TimeLearnt => Outcome::Other("time-learnt"),
        _ => Outcome::Other("nothing"),
    })
}

/// A key update that the plan does not ask for.
fn renew_now(
    device: &Device,
    name: &str,
    identity: &Identity,
    output: Output,
    no_wait: bool,
    trace: Option<&mut Trace>,
) -> Result<Outcome, Failure> {
    let client = device.client_of(name)?.with_cancel(Some(cancel().clone()));
    let key: Arc<dyn PrivateKey> = match identity.renew.same_key {
        true => device
            .store
            .open_key(&device.store.current(name)?.key)?
            .ok_or_else(|| Failure::Own(Exit::Crypto, format!("the key of \"{name}\" cannot be opened here")))?,
        false => default_provider().generate_key(device.key_kind(name, identity)?)?,
    };
    let mut attendant = Attendant::new(output, no_wait, trace);
    let mut exchange = client.exchange()?;
    let to = device.destination(name, identity);
    match client.renew_into(to, &key, &mut *exchange, &mut attendant) {
        Ok(kept) => Ok(Outcome::Installed(Box::new(kept))),
        Err(error) => match attendant.left_waiting {
            Some(_) if error.code() == Code::Cancelled => Ok(Outcome::Waiting),
            _ => Err(error.into()),
        },
    }
}

fn conclude(
    command: &str,
    device: &Device,
    name: &str,
    identity: &Identity,
    outcome: Outcome,
    output: Output,
) -> Result<Exit, Failure> {
    let (did, exit) = match &outcome {
        Outcome::Installed(_) => ("installed", Exit::Done),
        Outcome::Waiting => ("waiting", Exit::Waiting),
        Outcome::Other(words) => (*words, Exit::Done),
    };
    let (exports, is_exported) = hooks::exports(device, name, identity, did == "installed", output);
    let mut document = status::document(device, name)?;
    document["did"] = json!(did);
    document["exports"] = exports;
    let text = match &outcome {
        Outcome::Waiting => format!("{name}: the CA asks to wait; the same command goes on"),
        _ => status::line(device, name)?,
    };
    output.result(command, &text, json!({ "changed": did == "installed", "identities": [document] }));
    Ok(if is_exported { exit } else { Exit::Hook })
}

fn dry_run(device: &Device, name: &str, identity: &Identity) -> Result<Exit, Failure> {
    let missing = || Failure::settings(format!("identity.{name} says no name to ask for: set its subject or dns"));
    let subject = device.subject(name, identity)?.ok_or_else(missing)?;
    let client: Client = device.config(true)?.build()?;
    let key = default_provider().generate_key(device.key_kind(name, identity)?)?;
    let mut operation = client.enroll(Signer::Key(key), &subject)?;
    operation.step(devid::client::run::system_time())?;
    let message = operation.output().unwrap_or_default();
    print(&devid::inspect::inspect(message, devid::inspect::Format::Text)?);
    Ok(Exit::Done)
}

fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Hook => 3,
        Exit::Waiting => 2,
        Exit::Done => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// For the daemon's log.
pub fn failure_json(failure: &Failure) -> Value {
    match failure {
        Failure::Library(error) => error_json(error),
        other => other.json(),
    }
}
