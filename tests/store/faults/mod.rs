//! Device memory under faults: stopped at every call, failing at every call, power lost with writes unsynced.
//!
//! | file | |
//! | --- | --- |
//! | `plan` | which call goes wrong, and how |
//! | `medium` | a file system that remembers what was synced |
//! | `world` | places where device memory lives and anything can go wrong |
//! | `scenarios` | what is interrupted, and what can be seen of device memory |
//! | `removal` | the removal of an identity while a request is under way |
//! | `run` | tries every point of a scenario, and checks what is left |
//! | `enrolment` | the same for enrolments with a CA |
//! | `process` | real processes, killed at random |
//! | `traced` | real processes, watched, failed and killed at each call by `strace` |
//!
//! `make test` tries a sample of the points, `make faults` all of them.

mod enrolment;
mod medium;
mod plan;
#[cfg(unix)]
mod process;
mod removal;
mod run;
mod scenarios;
#[cfg(target_os = "linux")]
mod traced;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::left_out::left_out;
use medium::Lies;
use run::{Effort, Outcome};
use scenarios::{Damage, SCENARIOS, Scenario};
use world::{Directory, Primitives, Promise};

/// A home and how it keeps keys.
#[derive(Clone, Copy)]
enum Home {
    Directory(Lies),
    Primitives(Promise),
}

/// The same suite for each.
const HOMES: [(&str, Home); 4] = [
    ("directory", Home::Directory(Lies { file_sync: false, directory_sync: false })),
    ("memory", Home::Primitives(Promise::Backend)),
    ("atomic callbacks", Home::Primitives(Promise::AtomicCallbacks)),
    ("callbacks", Home::Primitives(Promise::Callbacks)),
];

fn in_home(scenario: &Scenario, home: Home, is_sealed: bool, effort: Effort) -> Outcome {
    match home {
        Home::Directory(lies) => run::run(scenario, Directory::new(is_sealed, lies), damage_file, effort),
        Home::Primitives(promise) => {
            run::run(scenario, Primitives::new(promise, is_sealed), Primitives::damage, effort)
        }
    }
}

fn damage_file(world: &Directory, damage: Damage) {
    let (Damage::Truncate(key) | Damage::Remove(key) | Damage::Open(key)) = damage;
    let path = world.path().join(key);
    match damage {
        Damage::Truncate(_) => {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
        Damage::Remove(_) => std::fs::remove_file(path).unwrap(),
        Damage::Open(_) => {
            let wide = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(path, wide).unwrap();
        }
    }
}

/// A scenario in all homes, in their order, plain and sealed.
fn in_all_homes(scenario: &Scenario, effort: Effort) -> Vec<Outcome> {
    on_all_processors(HOMES.len() * 2, |job| in_home(scenario, HOMES[job / 2].1, job % 2 == 1, effort))
}

/// All stories with a CA, plain and sealed.
fn enrolments(effort: Effort) -> Vec<[(Outcome, enrolment::Endings); 2]> {
    let outcomes = on_all_processors(enrolment::STORIES * 2, |job| enrolment::run(job / 2, job % 2 == 1, effort));
    outcomes.chunks(2).map(|pair| [pair[0].clone(), pair[1].clone()]).collect()
}

fn on_all_processors<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::SeqCst);
                    if job >= count {
                        return;
                    }
                    let outcome = work(job);
                    done.lock().unwrap()[job] = Some(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap().into_iter().flatten().collect()
}

#[test]
fn whatever_goes_wrong_wherever_one_whole_identity_is_in_use_and_nothing_is_lost_or_left() {
    let mut total = Outcome::default();
    for scenario in SCENARIOS {
        in_all_homes(scenario, Effort::SAMPLE).into_iter().for_each(|outcome| total.add(outcome));
    }
    eprintln!("{} points of some 50,000 (make faults), {} violations", total.points(), total.violations.len());
    assert!(total.violations.is_empty(), "{:#?}", total.violations);
    assert!(total.points() > 500 && total.power_lost > 50 && total.tried_again > 20, "{total:?}");
}

#[test]
fn an_enrolment_interrupted_anywhere_is_resumed_or_resolved_with_the_ca() {
    for (outcome, endings) in enrolments(Effort { stride: 43, images: 1, ..Effort::SAMPLE }).into_iter().flatten() {
        eprintln!("{} points, {endings:?}", outcome.points());
        assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    }
}

/// Flash wears out by syncs. What each is for stands in `docs/device-memory.md`.
#[test]
fn what_an_enrolment_and_a_key_update_cost_the_medium() {
    for (calls, [most_syncs, most_opens]) in enrolment::calls().iter().zip([[25, 138], [33, 146], [27, 130]]) {
        let count = |name: &str| calls.iter().filter(|call| call.text.starts_with(name)).count();
        let syncs: Vec<&str> = calls.iter().map(|call| &*call.text).filter(|text| text.starts_with("fsync")).collect();
        eprintln!("{} syncs, {} opens, {} calls\n  {}", syncs.len(), count("openat"), calls.len(), syncs.join("\n  "));
        assert!(syncs.len() <= most_syncs && count("openat") <= most_opens, "{} {}", syncs.len(), count("openat"));
    }
}

/// What `Store::lack_of_room` goes by: no less than is needed, and not a multiple of it.
#[test]
fn the_room_that_is_asked_for_is_what_an_enrolment_takes() {
    let rooms = enrolment::room();
    eprintln!("files and blocks: {rooms:?}");
    for [files, blocks] in rooms {
        assert!(files <= devid::store::FreeRoom::FILES_OF_ENROLMENT, "{files}");
        assert!(blocks * 4096 <= devid::store::FreeRoom::bytes_of_enrolment(4096), "{blocks}");
    }
    assert!(rooms.iter().any(|[files, _]| files * 2 > devid::store::FreeRoom::FILES_OF_ENROLMENT), "{rooms:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn strace_sees_the_system_calls_that_the_witness_sees_and_no_others() {
    if let Some(reason) = traced::is_missing() {
        left_out(&reason);
        return;
    }
    let trace = traced::run(19);
    assert!(trace.violations.is_empty(), "{:#?}", trace.violations);
    assert!(trace.calls > 100 && trace.killed > 1 && trace.failed > 2, "{trace:?}");
}

/// Media that do not do what they say. The suite notices each, or it could notice nothing.
const LIARS: [(&str, Home); 4] = [
    ("fsync of files does nothing", Home::Directory(Lies { file_sync: true, directory_sync: false })),
    ("fsync of directories does nothing", Home::Directory(Lies { file_sync: false, directory_sync: true })),
    ("writes tear that are said to be atomic", Home::Primitives(Promise::LyingCallbacks)),
    ("sync does nothing", Home::Primitives(Promise::UnsyncedCallbacks)),
];

/// Primitives are few calls, and a tear shows only where it meets another one.
fn enough_for(home: Home) -> Effort {
    match home {
        Home::Directory(_) => Effort { stride: 9, images: 4, ..Effort::SAMPLE },
        Home::Primitives(_) => Effort::EVERYTHING,
    }
}

#[test]
fn a_medium_that_lies_is_found_out() {
    for (lie, home) in LIARS {
        let scenario = SCENARIOS.iter().find(|s| s.name.starts_with("key update")).unwrap();
        // Every call until the lie shows: a sample would find it or not with each call that the store makes more or less.
        let effort = Effort { is_enough_with_one: true, ..Effort::EVERYTHING };
        let outcome = in_home(scenario, home, false, effort);
        assert!(!outcome.violations.is_empty(), "{lie}: {outcome:?}");
    }
}

/// What `make faults` runs. Prints the points tried; fails if there is one violation.
#[test]
#[ignore = "minutes: make faults"]
fn every_point() {
    let begun = std::time::Instant::now();
    println!(
        "Points tried. Each: fault, restart, look, repair, look again, next installation, look for left-over secrets.\n"
    );
    print!("{:36}", "");
    HOMES.iter().for_each(|(name, _)| print!("{name:>20}"));
    print!("\n{:36}", "keys");
    HOMES.iter().for_each(|_| print!("{:>11}{:>9}", "plain", "sealed"));
    println!("{:>12}", "violations");
    let mut total = Outcome::default();
    // One story alone, by a part of its name.
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)) {
        let outcomes = in_all_homes(scenario, Effort::EVERYTHING);
        print!("{:36}", scenario.name);
        for (column, outcome) in outcomes.iter().enumerate() {
            print!("{:>1$}", outcome.points(), if column % 2 == 0 { 11 } else { 9 });
        }
        println!("{:>12}", outcomes.iter().map(|o| o.violations.len()).sum::<usize>());
        outcomes.iter().flat_map(|o| &o.violations).for_each(|violation| println!("  {violation}"));
        outcomes.into_iter().for_each(|outcome| total.add(outcome));
    }
    println!("\n{:>8} calls, each of them: process stopped, EIO, ENOSPC, EROFS, EINTR, short", total.calls);
    println!("{:>8} process stopped (states that differ)", total.stopped);
    println!("{:>8} call failed", total.failed);
    println!(
        "{:>8} power lost (images that differ: unsynced data and names lost, torn, in any order)",
        total.power_lost
    );
    println!("{:>8} stopped or failed, done again, then power lost", total.tried_again);
    println!("{:>8} points, {} violations", total.points(), total.violations.len());
    if !only.is_empty() {
        return assert!(total.violations.is_empty());
    }
    let mut with_ca = Outcome::default();
    println!(
        "\nIn a directory, with a CA. Afterwards the transaction is resumed, begun afresh, or given up and done anew:\n"
    );
    println!(
        "{:36}{:>11}{:>9}{:>12}{:>10}{:>10}{:>12}",
        "", "plain", "sealed", "resumed", "afresh", "resolved", "violations"
    );
    for (story, [plain, sealed]) in enrolments(Effort::EVERYTHING).into_iter().enumerate() {
        let ends = |ending: fn(&enrolment::Endings) -> usize| ending(&plain.1) + ending(&sealed.1);
        print!("{:36}{:>11}{:>9}", enrolment::name(story), plain.0.points(), sealed.0.points());
        print!("{:>12}{:>10}{:>10}", ends(|e| e.resumed), ends(|e| e.afresh), ends(|e| e.resolved));
        println!("{:>12}", plain.0.violations.len() + sealed.0.violations.len());
        [plain, sealed].into_iter().for_each(|(outcome, _)| with_ca.add(outcome));
    }
    total.add(with_ca);
    println!("\n{:>8} points, {} violations, {} s", total.points(), total.violations.len(), begun.elapsed().as_secs());
    #[cfg(target_os = "linux")]
    {
        println!("\nThe same seen by strace:");
        match traced::is_missing() {
            Some(reason) => println!("skipped: {reason}"),
            None => {
                let mut trace = traced::run(1);
                let words = match trace.violations.iter().any(|v| v.contains("the witness saw")) {
                    true => "are not the ones",
                    false => "are the ones",
                };
                println!("{:>8} system calls in a key update {words} that the witness sees", trace.calls);
                println!(
                    "{:>8} processes killed, {} calls failed by strace, {} violations",
                    trace.killed,
                    trace.failed,
                    trace.violations.len()
                );
                total.violations.append(&mut trace.violations);
            }
        }
    }
    println!("\nMedia that lie, and must be found out:");
    for (lie, home) in LIARS {
        let scenario = SCENARIOS.iter().find(|s| s.name.starts_with("key update")).unwrap();
        let found = in_home(scenario, home, false, enough_for(home)).violations.len();
        println!("{found:>8} violations where {lie}");
        assert!(found > 0, "{lie}");
    }
    assert!(total.violations.is_empty(), "{:#?}", &total.violations[..total.violations.len().min(50)]);
}
