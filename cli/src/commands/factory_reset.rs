//! `store factory-reset`: back to how the device left the factory.

use std::io::{BufRead, IsTerminal};

use devid::store::{AnchorSet, ProblemKind, REVOKED_RECORD, Store};
use serde_json::json;

use crate::arguments::FactoryReset;
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::{Output, tell_unended};

/// What stays besides the identities that are kept, whoever the next owner is.
const STAYS: [&str; 3] = [
    "the last known time, the highest numbers of revocation lists, and who is revoked",
    "keys in tokens",
    "the settings, and files that were exported",
];

pub fn run(command: &FactoryReset, device: &Device, output: Output) -> Result<Exit, Failure> {
    let store = &device.store;
    let kept = kept(command, device)?;
    let goes = going(store, &kept)?;
    let stays: Vec<String> =
        kept.iter().map(|name| format!("identity {name}")).chain(STAYS.map(str::to_owned)).collect();
    let is_done = !command.dry_run && !goes.is_empty();
    if is_done && !command.yes {
        confirm(&goes, &stays)?;
    }
    if is_done {
        // What somebody is at work on is not taken from under them.
        let names = [store.identities()?, store.operations()?, device.names(&[]).unwrap_or_default()].concat();
        let mut busy = Vec::new();
        for name in names.iter().collect::<std::collections::BTreeSet<_>>() {
            busy.push(device.busy(name, "devid store factory-reset")?);
        }
        let keep: Vec<&str> = kept.iter().map(String::as_str).collect();
        store.factory_reset(&keep)?;
    }
    let heading = if is_done { "gone:" } else { "would go:" };
    let text = told(heading, &goes, "stays:", &stays);
    output.result("store factory-reset", &text, json!({ "changed": is_done, "gone": goes, "stays": stays }));
    Ok(Exit::Done)
}

/// The identities that are kept: the factory's, and those that are named.
fn kept(command: &FactoryReset, device: &Device) -> Result<Vec<String>, Failure> {
    let there = device.store.identities()?;
    if let Some(unknown) = command.keep.iter().find(|name| !there.contains(name)) {
        return Err(Failure::Own(Exit::Store, format!("--keep {unknown}: there is no such identity")));
    }
    let factory = device.factory_name();
    Ok(there.into_iter().filter(|name| name == factory || command.keep.contains(name)).collect())
}

/// What goes, in words.
fn going(store: &Store, kept: &[String]) -> Result<Vec<String>, Failure> {
    let mut goes: Vec<String> = Vec::new();
    goes.extend(store.identities()?.iter().filter(|name| !kept.contains(name)).map(|name| format!("identity {name}")));
    goes.extend(store.operations()?.iter().map(|name| format!("unfinished {name}")));
    goes.extend(store.pending_keys()?.iter().map(|name| format!("pending-key {name}")));
    for set in AnchorSet::ALL {
        // What cannot be read goes as well.
        let count = store.anchors(set).map_or(1, |anchors| anchors.len());
        if count > 0 {
            goes.push(format!("{count} anchors for {}", super::anchors::word(set)));
        }
    }
    let records = store.blobs()?.iter().filter(|name| *name != REVOKED_RECORD).count();
    if records > 0 {
        goes.push(format!("{records} records: what failed, kept revocation data, exports"));
    }
    // No list names it any more, and its keys may be whole.
    let is_kept = |place: &str| kept.iter().any(|name| place.starts_with(&format!("identity/{name}/")));
    let remains = store.verify()?.into_iter().filter(|problem| problem.kind == ProblemKind::Leftover);
    goes.extend(remains.filter(|problem| !is_kept(&problem.place)).map(|problem| format!("remains {}", problem.place)));
    Ok(goes)
}

/// A person is asked; a program has to say it by itself.
fn confirm(goes: &[String], stays: &[String]) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let words = "all identities but the factory's are lost: --yes does it, --dry-run tells what goes";
        return Err(Failure::Own(Exit::Usage, words.to_owned()));
    }
    tell_unended(&format!(
        "{}\nCertificates stay valid at the CA until they are revoked.\nGo on? [y/N] ",
        told("goes:", goes, "stays:", stays)
    ));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Own(Exit::Usage, "nothing was changed".to_owned())),
    }
}

fn told(first: &str, goes: &[String], second: &str, stays: &[String]) -> String {
    if goes.is_empty() {
        return "there is nothing that a factory reset takes".to_owned();
    }
    let list = |lines: &[String]| lines.iter().map(|line| format!("\n  {line}")).collect::<String>();
    format!("{first}{}\n{second}{}", list(goes), list(stays))
}
