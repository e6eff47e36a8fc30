//! `store`: device memory.

use devid::client::abandon;
use devid::client::certificates::ReadAs;
use devid::client::status::forget_crl_numbers;
use devid::store::{KeyReference, Store};
use serde_json::json;

use super::{factory_reset, status};
use crate::arguments::{Store as Command, StoreAction};
use crate::device::{Device, read_certificates};
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub fn run(command: &Command, device: &Device, output: Output) -> Result<Exit, Failure> {
    let store = &device.store;
    let changed = match &command.action {
        StoreAction::Rollback { name }
        | StoreAction::Abandon { name }
        | StoreAction::Reset { name }
        | StoreAction::Remove { name, .. } => Some(name),
        StoreAction::List
        | StoreAction::Verify
        | StoreAction::Repair
        | StoreAction::ForgetNumbers { .. }
        | StoreAction::FactoryReset(_) => None,
    };
    changed.map(|name| device.check_known(name)).transpose()?;
    // What somebody is at work on is not taken from under them.
    let _busy = changed.map(|name| device.busy(name, "devid store")).transpose()?;
    match &command.action {
        StoreAction::FactoryReset(reset) => return factory_reset::run(reset, device, output),
        StoreAction::List => {
            let (identities, operations, keys) = (store.identities()?, store.operations()?, store.pending_keys()?);
            let mut lines: Vec<String> = identities.iter().map(|name| format!("identity {name}")).collect();
            lines.extend(operations.iter().map(|name| format!("unfinished {name}")));
            lines.extend(keys.iter().map(|name| format!("pending-key {name}")));
            let fields = json!({ "identities": identities, "unfinished": operations, "pending_keys": keys });
            output.result("store list", &lines.join("\n"), fields);
        }
        StoreAction::Verify | StoreAction::Repair => {
            let is_repair = matches!(command.action, StoreAction::Repair);
            let mut problems = if is_repair { store.repair()? } else { store.verify()? };
            problems.extend(device.keys_that_do_not_open()?);
            let told = |problem: &devid::store::Problem| {
                let mended = if problem.is_mended { " (put right)" } else { "" };
                format!("{}: {}{mended}", problem.place, problem.text)
            };
            let lines: Vec<String> = problems.iter().map(told).collect();
            let open = problems.iter().filter(|problem| !problem.is_mended).count();
            let text = if lines.is_empty() { "device memory is as it should be".to_owned() } else { lines.join("\n") };
            let exit = if open > 0 { Exit::Store } else { Exit::Done };
            let command = if is_repair { "store repair" } else { "store verify" };
            return Ok(output.ended(command, exit, &text, json!({ "problems": lines, "open": open })));
        }
        StoreAction::Rollback { name } => {
            let kept = store.rollback(name)?;
            output.result("store rollback", &status::line(device, name)?, json!({ "generation": kept.generation }));
        }
        StoreAction::Abandon { name } => {
            let identity = device.identity(name);
            abandon(device.destination(name, &identity))?;
            output.result("store abandon", "", json!({ "name": name }));
        }
        StoreAction::Reset { name } => {
            device.planner(&device.identity(name)).reset(store, name)?;
            output.result("store reset", "", json!({ "name": name }));
        }
        StoreAction::ForgetNumbers { file, .. } => {
            let count = match file {
                Some(file) => {
                    let forget = |ca| forget_crl_numbers(store, Some(ca));
                    read_certificates([file], ReadAs::Certificates, output)?
                        .iter()
                        .map(forget)
                        .sum::<Result<usize, _>>()?
                }
                None => forget_crl_numbers(store, None)?,
            };
            output.result("store forget-numbers", &format!("{count} forgotten"), json!({ "forgotten": count }));
        }
        StoreAction::Remove { name, .. } => {
            // Best effort: what cannot be read names no key that could be looked for.
            let keys = store.key_references().unwrap_or_default();
            store.remove_identity(name)?;
            let destroyed = destroy_keys(store, &keys, output);
            output.result("store remove", "", json!({ "name": name, "keys_destroyed": destroyed }));
        }
    }
    Ok(Exit::Done)
}

/// Destroys the keys in tokens that renewals have made and that device memory does not name any more. Those that are out of reach are
/// remembered, and destroyed by a later renewal.
fn destroy_keys(store: &Store, keys: &[KeyReference], output: Output) -> usize {
    let destroyed = store.destroy_forgotten_keys(keys);
    if let Err(error) = &destroyed {
        output.say(&format!("keys in a token stay: {error}"));
    }
    destroyed.unwrap_or(0)
}
