//! An independent look at the same thing: `strace` sees which system calls are really made, fails them, and kills a real
//! process in front of them.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::store::*;

use super::medium::Lies;
use super::plan::Plan;
use super::run::{check, sights_of};
use super::scenarios::{SCENARIOS, Scenario};
use super::world::{Directory, World};
use crate::common::*;

const VICTIM: &str = "DEVID_TEST_TRACED_VICTIM";
const CERTIFICATES: &str = "DEVID_TEST_TRACED_CERTIFICATES";
const SCENARIO: &str = "key update";

/// Calls that change a directory, or make a change durable; the test's own process makes none of them elsewhere.
const INJECTED: [&str; 5] = ["renameat", "unlinkat", "fsync", "mkdir", "flock"];

/// What came out.
#[derive(Debug, Default)]
pub struct Trace {
    pub calls: usize,
    pub killed: usize,
    pub failed: usize,
    pub violations: Vec<String>,
}

/// The key update of the scenario, in a process of its own; the certificate comes from a file.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn victim() {
    let path = std::env::var(VICTIM).expect("set by the test that traces this process");
    let certificates =
        Certificate::many_from_bytes(&std::fs::read(std::env::var(CERTIFICATES).unwrap()).unwrap()).unwrap();
    let plan = Arc::new(Plan::none());
    // The recorder of a directory, without its medium.
    struct Counter(Arc<Plan>);
    impl Witness for Counter {
        fn before(&self, call: &Call<'_>) -> Verdict {
            self.0.next(super::world::seen(call))
        }
    }
    let directory = DirectoryOptions { witness: Some(Arc::new(Counter(plan.clone()))), ..DirectoryOptions::default() };
    let outcome = DirectoryBackend::open(path, directory).and_then(|home| {
        let store = Store::new(Box::new(home), provider(), StoreOptions::default());
        let new = NewIdentity {
            key: NewKey::Pending("next"),
            certificate: &certificates[0],
            chain: &certificates[1..],
            purpose: "ldevid",
            at: NOW,
        };
        store.install("device", &new).map(drop)
    });
    println!();
    for call in plan.seen() {
        println!("call {}", call.text);
    }
    println!("outcome {}", if outcome.is_ok() { "ok" } else { "failed" });
}

/// Why it cannot be done here, if it cannot.
pub fn is_missing() -> Option<String> {
    match Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("strace may not trace here: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(_) => Some("strace is not installed".to_owned()),
    }
}

/// Compares what the witness saw with what strace saw, and has strace kill and fail at every `stride`-th call.
pub fn run(stride: usize) -> Trace {
    let scenario = SCENARIOS.iter().find(|s| s.name.starts_with(SCENARIO)).unwrap();
    let prepared = Directory::new(false, Lies::default());
    scenario.prepare.unwrap()(&prepared.reopen());
    let sights = sights_of(scenario, &prepared);
    let workshop = Place::new();
    let certificates = workshop.0.join("certificates.pem");
    let next = issued(3);
    let all = std::iter::once(&next.certificate).chain(&next.chain);
    let text: String = all.map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect();
    std::fs::write(&certificates, text).unwrap();
    let traced = |world: &Directory, arguments: &[&str]| {
        let log = workshop.0.join("strace.log");
        let output = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "0", "-o"])
            .arg(&log)
            .args(arguments)
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::traced::victim", "--nocapture", "--test-threads=1"])
            .env(VICTIM, world.path())
            .env(CERTIFICATES, &certificates)
            .output()
            .unwrap();
        (output, std::fs::read_to_string(log).unwrap_or_default())
    };

    let mut trace = Trace::default();
    let world = prepared.fork();
    let (output, log) = traced(&world, &["-e", "trace=%file,%desc"]);
    let (witnessed, happened) = (witnessed(&output), happened(&log, world.path().parent().unwrap()));
    trace.calls = witnessed.len();
    if witnessed != happened {
        let at = witnessed.iter().zip(&happened).take_while(|(a, b)| a == b).count();
        let (ours, theirs) = (witnessed.get(at), happened.get(at));
        trace.violations.push(format!(
            "call {} of {}: the witness saw {ours:?}, strace {theirs:?} of {}",
            at + 1,
            witnessed.len(),
            happened.len()
        ));
    }
    trace.violations.extend(judge(scenario, &sights, &world, true, "traced"));

    // strace counts the calls of each name.
    let mut counts = [0; INJECTED.len()];
    let mut changes = Vec::new();
    for name in &witnessed {
        if let Some(index) = INJECTED.iter().position(|injected| injected == name) {
            counts[index] += 1;
            changes.push((*name == "mkdir", INJECTED[index], counts[index]));
        }
    }
    for (is_mkdir, name, number) in changes.into_iter().step_by(stride) {
        let name = if is_mkdir { "mkdirat" } else { name };
        for (what, injected) in [("killed", "error=EIO:signal=KILL"), ("EIO", "error=EIO"), ("ENOSPC", "error=ENOSPC")]
        {
            let world = prepared.fork();
            let (output, _) = traced(&world, &["-e", &format!("inject={name}:{injected}:when={number}")]);
            let label = format!("strace, {what} at {name} number {number}");
            let was_killed = output.status.signal().is_some() || output.status.code() == Some(128 + 9);
            if was_killed != (what == "killed") {
                trace.violations.push(format!("{label}: {:?}", output.status));
            }
            let is_done = String::from_utf8_lossy(&output.stdout).contains("outcome ok");
            trace.violations.extend(judge(scenario, &sights, &world, is_done, &label));
            *if was_killed { &mut trace.killed } else { &mut trace.failed } += 1;
        }
    }
    trace
}

fn judge(
    scenario: &Scenario,
    sights: &[super::scenarios::Sight],
    world: &Directory,
    is_done: bool,
    label: &str,
) -> Option<String> {
    // Forked: what the other process did is taken as it is found.
    check(scenario, sights, &world.fork(), is_done).err().map(|violation| format!("{label}: {violation}"))
}

/// Names of the calls that the witness saw.
fn witnessed(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names = Vec::new();
    for call in text.lines().filter_map(|line| line.strip_prefix("call ")) {
        let name = call.split(' ').next().unwrap();
        if name == "getdents64" {
            names.push("openat".to_owned());
        }
        names.push(name.to_owned());
    }
    names
}

/// Names of the calls that concern paths below this one, as strace saw them.
fn happened(log: &str, place: &Path) -> Vec<String> {
    let place = place.to_str().unwrap();
    let mut names: Vec<String> = Vec::new();
    for line in log.lines().filter(|line| line.contains(place)) {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let name = name.split_whitespace().next_back().unwrap_or(name);
        // What it is given, not what comes out of it.
        let is_concerned = arguments.split(" = ").next().is_some_and(|a| a.contains(place));
        let name = match name {
            "close" | "fcntl" | "execve" | "getcwd" => continue,
            "open" | "openat" | "openat2" | "creat" => "openat",
            "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "fstatat64" => "stat",
            "rename" | "renameat" | "renameat2" => "renameat",
            "unlink" | "unlinkat" | "rmdir" => "unlinkat",
            "mkdir" | "mkdirat" => "mkdir",
            "getdents64" if names.last().is_some_and(|last| last == "getdents64") => continue,
            other => other,
        };
        if is_concerned {
            names.push(name.to_owned());
        }
    }
    names
}
