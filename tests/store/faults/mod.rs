//! Device memory under faults: stopped at every call, failing at every call, power lost with writes unsynced.
//!
//! | file | |
//! | --- | --- |
//! | `plan` | which call goes wrong, and how |
//! | `medium` | a file system that remembers what was synced |
//! | `world` | places where device memory lives and anything can go wrong |
//! | `scenarios` | what is interrupted, and what can be seen of device memory |
//! | `run` | tries every point of a scenario, and checks what is left |
//! | `process` | real processes, killed |
//!
//! `make test` tries a sample of the points, `make faults` all of them.

mod medium;
mod plan;
#[cfg(unix)]
mod process;
mod run;
mod scenarios;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    let (Damage::Truncate(key) | Damage::Remove(key)) = damage;
    let path = world.path().join(key);
    match damage {
        Damage::Truncate(_) => {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
        Damage::Remove(_) => std::fs::remove_file(path).unwrap(),
    }
}

/// All scenarios in all homes, on all processors; in the order of scenarios and homes, plain and sealed.
fn suite(effort: Effort) -> Vec<Vec<Outcome>> {
    let width = HOMES.len() * 2;
    let outcomes = Mutex::new(vec![vec![Outcome::default(); width]; SCENARIOS.len()]);
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let job = next.fetch_add(1, Ordering::SeqCst);
            let (row, column) = (job / width, job % width);
            let Some(scenario) = SCENARIOS.get(row) else { return };
            let outcome = in_home(scenario, HOMES[column / 2].1, column % 2 == 1, effort);
            outcomes.lock().unwrap()[row][column] = outcome;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    outcomes.into_inner().unwrap()
}

#[test]
fn whatever_goes_wrong_wherever_one_whole_identity_is_in_use_and_nothing_is_lost_or_left() {
    let mut total = Outcome::default();
    suite(Effort::SAMPLE).into_iter().flatten().for_each(|outcome| total.add(outcome));
    eprintln!("{} points of some ten thousands (make faults), {} violations", total.points(), total.violations.len());
    assert!(total.violations.is_empty(), "{:#?}", total.violations);
    assert!(total.points() > 1000 && total.power_lost > 100 && total.tried_again > 50, "{total:?}");
}

/// Media that do not do what they say. The suite notices each, or it could notice nothing.
const LIARS: [(&str, Home); 4] = [
    ("fsync of files does nothing", Home::Directory(Lies { file_sync: true, directory_sync: false })),
    ("fsync of directories does nothing", Home::Directory(Lies { file_sync: false, directory_sync: true })),
    ("writes tear that are said to be atomic", Home::Primitives(Promise::LyingCallbacks)),
    ("sync does nothing", Home::Primitives(Promise::UnsyncedCallbacks)),
];

#[test]
fn a_medium_that_lies_is_found_out() {
    for (lie, home) in LIARS {
        let scenario = SCENARIOS.iter().find(|s| s.name.starts_with("key update")).unwrap();
        let effort = Effort { stride: 5, images: 6 };
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
    for (scenario, outcomes) in SCENARIOS.iter().zip(suite(Effort::EVERYTHING)) {
        print!("{:36}", scenario.name);
        for (column, outcome) in outcomes.iter().enumerate() {
            print!("{:>1$}", outcome.points(), if column % 2 == 0 { 11 } else { 9 });
        }
        println!("{:>12}", outcomes.iter().map(|o| o.violations.len()).sum::<usize>());
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
    println!("{:>8} points, {} violations, {} s", total.points(), total.violations.len(), begun.elapsed().as_secs());
    println!("\nMedia that lie, and must be found out:");
    for (lie, home) in LIARS {
        let scenario = SCENARIOS.iter().find(|s| s.name.starts_with("key update")).unwrap();
        let found = in_home(scenario, home, false, Effort { stride: 3, images: 6 }).violations.len();
        println!("{found:>8} violations where {lie}");
        assert!(found > 0, "{lie}");
    }
    assert!(total.violations.is_empty(), "{:#?}", &total.violations[..total.violations.len().min(50)]);
}
