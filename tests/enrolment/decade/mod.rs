//! Years of many devices in a moment: a CA that refuses, waits, dies, changes its keys and roots, issues short, loses answers;
//! clocks that jump, stop or were never there; devices that die at any step. Nothing may wedge, spin or get lost.
//!
//! | file | |
//! | --- | --- |
//! | `ca` | the CA of one device and its troubles |
//! | `device` | one device: its memory, its clock, its deaths |
//! | `mod` | what is counted, and the runs |
//!
//! `make test` lets some devices live, `make decade` many; with DEVID_DECADE_FIRST=n it begins with device n, and with DEVID_DECADE_TRACE=1
//! each step is printed.

mod ca;
mod device;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ca::TroubleKind;
use device::{ClockKind, Device, Sabotage};

use crate::renewal::DAY;
use crate::renewal_waits::MOST_A_DAY;

pub const YEARS: i64 = 5;

/// A device whose CA is well is right again after so long at the latest: a month of asking rarely, and a week between looks.
const MOST_DAYS_TO_RECOVER: i64 = 40;
/// Certificates of minutes, or a CA that never lets it wait for long, take thousands of steps of a device, which show no more than the first
/// of them: it has lived then. The years that are printed are those that were lived.
const MOST_STEPS: usize = 4000;
/// The same while certificates last for minutes, each of which pays for itself.
const MOST_REQUESTS_A_DAY_OF_SHORT_ONES: usize = 4 * 1440;

/// What was counted over devices and years.
#[derive(Debug, Default)]
pub struct Tally {
    devices: usize,
    days: i64,
    steps: usize,
    requests: usize,
    certificates: usize,
    deaths: usize,
    troubles: BTreeMap<TroubleKind, usize>,
    busiest_day: usize,
    slowest_recovery_days: i64,
    /// No usable identity although the CA has been well for long; or a wait without an end; or no alarm about it.
    stuck: Vec<String>,
    /// More requests in a day than can be of use, or a step over and over in the same second.
    spinning: Vec<String>,
    /// An identity is gone, or one that worked gave way to one that does not.
    lost: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.devices += other.devices;
        self.days += other.days;
        self.steps += other.steps;
        self.requests += other.requests;
        self.certificates += other.certificates;
        self.deaths += other.deaths;
        for (kind, count) in other.troubles {
            *self.troubles.entry(kind).or_default() += count;
        }
        self.busiest_day = self.busiest_day.max(other.busiest_day);
        self.slowest_recovery_days = self.slowest_recovery_days.max(other.slowest_recovery_days);
        self.stuck.extend(other.stuck);
        self.spinning.extend(other.spinning);
        self.lost.extend(other.lost);
    }

    fn print(&self) {
        let events: usize = self.troubles.values().sum::<usize>() + self.deaths;
        println!("{} devices, {} years in all, {events} events:", self.devices, self.days / 365);
        for (kind, count) in &self.troubles {
            println!("{count:>9}  {}", kind.words());
        }
        println!("{:>9}  the device died at some step", self.deaths);
        println!("{} steps, {} requests, {} certificates", self.steps, self.requests, self.certificates);
        println!(
            "busiest day of a device {} requests, slowest recovery {} days",
            self.busiest_day, self.slowest_recovery_days
        );
        println!("{} stuck, {} spinning, {} lost", self.stuck.len(), self.spinning.len(), self.lost.len());
    }

    fn faults(&self) -> Vec<&String> {
        self.stuck.iter().chain(&self.spinning).chain(&self.lost).collect()
    }
}

fn live(numbers: std::ops::Range<u64>, years: i64, sabotage: Option<Sabotage>) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let lived = AtomicU64::new(0);
    let lives = |first: u64| {
        let mut tally = Tally::default();
        for number in (numbers.clone().skip(usize::try_from(first).unwrap())).step_by(usize::try_from(threads).unwrap())
        {
            tally.add(Device::new(number, sabotage).live(years));
            let lived = lived.fetch_add(1, Ordering::SeqCst) + 1;
            if lived % 10 == 0 {
                eprintln!("{lived} devices have lived");
            }
        }
        tally
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || lives(first))).collect();
        let mut tally = Tally::default();
        workers.into_iter().for_each(|worker| tally.add(worker.join().unwrap()));
        tally
    })
}

#[test]
fn devices_live_for_years_and_none_is_stuck_spins_or_loses_its_identity() {
    let years = 1;
    let tally = live(0..ClockKind::ALL.len() as u64, years, None);
    tally.print();
    assert!(tally.faults().is_empty(), "{:#?}", tally.faults());
    assert!(tally.troubles.len() > TroubleKind::ALL.len() / 2 && tally.deaths > 3, "{tally:?}");
    assert!(tally.days >= years * 365 * tally.devices as i64);
}

/// What a planner that is wrong looks like: the counts are not zero by themselves.
#[test]
fn devices_that_wedge_spin_or_lose_are_found_out() {
    for sabotage in Sabotage::ALL {
        let tally = live(0..2, 1, Some(sabotage));
        let found = match sabotage {
            Sabotage::NeverEnrolsAgain | Sabotage::GivesUpForGood => &tally.stuck,
            Sabotage::HeedsNoWait => &tally.spinning,
            Sabotage::DropsIdentities => &tally.lost,
        };
        assert!(!found.is_empty(), "{sabotage:?}: {tally:#?}");
    }
}

/// What `make decade` runs; DEVID_DECADE_DEVICES says how many devices.
#[test]
#[ignore = "minutes: make decade"]
fn many_devices() {
    let devices = std::env::var("DEVID_DECADE_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let first = std::env::var("DEVID_DECADE_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let tally = live(first..first + devices, YEARS, None);
    tally.print();
    assert!(tally.faults().is_empty(), "{:#?}", &tally.faults()[..tally.faults().len().min(40)]);
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A step of SplitMix64.
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Choices that depend on a number alone.
pub struct Dice(u64);

impl Dice {
    pub fn new(number: u64) -> Self {
        // Mixed: numbers that follow each other would otherwise draw the same row, one place further on.
        Dice(mixed(number))
    }

    pub fn below(&mut self, limit: i64) -> i64 {
        let drawn = mixed(self.0);
        self.0 = self.0.wrapping_add(STEP);
        i64::try_from(drawn % limit.unsigned_abs()).unwrap()
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as i64)).unwrap()]
    }
}

pub fn days(seconds: i64) -> i64 {
    seconds / DAY
}
