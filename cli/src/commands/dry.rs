//! `--dry-run` of `enroll`, `renew` and `revoke`: the request that would go out, opened. Nothing is sent, and no key is made but for
//! this look.

use devid::asn1::crl::CrlReason;
use devid::client::run::system_time;
use devid::cmp::{Operation, Signer};
use devid::crypto::default_provider;
use devid::inspect::{Format, inspect};
use serde_json::json;

use super::keep::key_in_use;
use crate::device::{Device, subject};
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub fn enroll(device: &Device, name: &str, output: Output) -> Result<Exit, Failure> {
    check_none_under_way(device, name)?;
    let (client, subject) = match device.store.state(name)?.current {
        None => (device.config(true)?.build()?, subject(device, name)?),
        Some(_) => device.another_client(name)?,
    };
    let key = default_provider().generate_key(device.key_kind(name, &device.identity(name))?)?;
    let text = opened(client.enroll(Signer::Key(key), &subject)?)?;
    output.result("enroll", &text, json!({ "changed": false, "request": text }));
    Ok(Exit::Done)
}

pub fn renew(device: &Device, name: &str, output: Output) -> Result<Exit, Failure> {
    check_none_under_way(device, name)?;
    let identity = device.identity(name);
    let (client, subject) = device.next_client(name)?;
    let key = match identity.renew.same_key && subject.is_none() {
        true => key_in_use(device, name)?,
        false => default_provider().generate_key(device.key_kind(name, &identity)?)?,
    };
    let operation = match &subject {
        Some(subject) => client.enroll(Signer::Key(key), subject)?,
        None => client.renew(Signer::Key(key))?,
    };
    let text = opened(operation)?;
    output.result("renew", &text, json!({ "changed": false, "request": text }));
    Ok(Exit::Done)
}

pub fn revoke(device: &Device, name: &str, reason: CrlReason, output: Output) -> Result<Exit, Failure> {
    if device.revoking(name).is_some() {
        return Err(is_under_way(name));
    }
    let certificate = device.store.current(name)?.certificate;
    let text = opened(device.client_of(name)?.revoke(&certificate, reason)?)?;
    output.result("revoke", &text, json!({ "name": name, "request": text }));
    Ok(Exit::Done)
}

/// A request that is under way is gone on with, and no other goes out.
fn check_none_under_way(device: &Device, name: &str) -> Result<(), Failure> {
    match device.under_way(name) {
        None => Ok(()),
        Some(_) => Err(is_under_way(name)),
    }
}

fn is_under_way(name: &str) -> Failure {
    let words = format!(
        "{name}: a request is under way: the next call asks for its answer and sends no new one (devid status {name})"
    );
    Failure::Own(Exit::Store, words)
}

fn opened(mut operation: Operation) -> Result<String, Failure> {
    operation.step(system_time())?;
    Ok(inspect(operation.output().unwrap_or_default(), Format::Text)?)
}
