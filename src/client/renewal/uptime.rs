//! Waits measured by how long the device has been on, whatever its clock says.
//!
//! A wait that was noted with the boot and its uptime is exact within that boot. In another one a clock that has got on since measures it;
//! one that began where it had begun before, or none, tells nothing, and the wait is over: it is never longer than it was.

use std::fmt;
use std::sync::Arc;

use super::known::Clock;
use super::progress::Progress;
use crate::client::run::system_time;
use crate::store::{Problem, ProblemKind};
use crate::time::Time;

/// How far two starts of a clock may lie apart that begins at the same date with each start, in seconds: it is set a little sooner or
/// later after the power comes.
pub(super) const SAME_BEGIN_SECONDS: i64 = 60;
/// Within so many seconds of what it said before, a meter has not moved: programs need more or less time to ask it.
const STANDS_SECONDS: i64 = 10;
/// Who comes back while the meter stands has waited long enough for all but this, in seconds.
const LONGEST_STANDING_WAIT_SECONDS: u32 = 86_400;
/// How far two readings of one clock may lie apart, in seconds: between them steps are done.
const SAME_CLOCK_SECONDS: i64 = 300;

/// How long the device has been on, time asleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Which start of the device it counts from: another number for each.
    pub boot: u128,
    /// Seconds since then. They never go back.
    pub seconds: i64,
}

/// What measures waits besides the clock.
#[derive(Clone, Default)]
pub enum Meter {
    /// Nothing: waits are measured by the time that is told, and whoever has none waits as long as was told.
    Nothing,
    /// The system (on Linux: the kernel's boot_id and `CLOCK_BOOTTIME`), for who is told the time of the system's clock. Whoever has no
    /// clock, or is told another time, has no measure but that.
    #[default]
    SystemClock,
    /// The same, also for who has no clock.
    System,
    /// The program's own; `None`: not now.
    Own(Arc<dyn Fn() -> Option<Uptime> + Send + Sync>),
}

impl Meter {
    /// What it says to who is told the time `clock`.
    pub(super) fn reading(&self, clock: Option<Time>) -> Option<Reading> {
        // Whoever has a clock of their own measures by that: the system's uptime belongs to the system's.
        let is_system = |now: Time| is_same_clock(now, system_time());
        match self {
            Meter::Nothing => None,
            Meter::SystemClock => clock.is_some_and(is_system).then(system).flatten(),
            Meter::System => clock.is_none_or(is_system).then(system).flatten(),
            Meter::Own(own) => own().map(|uptime| Reading { uptime, is_of_device: true, is_own: true }),
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meter::Nothing => "Nothing",
            Meter::SystemClock => "SystemClock",
            Meter::System => "System",
            Meter::Own(_) => "Own",
        })
    }
}

/// What a meter said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub uptime: Uptime,
    /// It is the device that was started then, not the process alone.
    pub is_of_device: bool,
    /// A program's own: nobody knows whether it moves.
    pub is_own: bool,
}

impl Reading {
    /// What is left of the wait that runs, as far as this tells. `None`: the clock alone does.
    pub(super) fn left_seconds(&self, progress: &Progress, clock: Clock) -> Option<u32> {
        let noted = progress.measured?;
        let attempts = progress.attempts;
        let last = attempts.last?;
        let passed = self.uptime.seconds.saturating_sub(noted.seconds);
        if noted.boot == self.uptime.boot && passed >= 0 {
            let left = u32::try_from(i64::from(attempts.wait_seconds).saturating_sub(passed)).unwrap_or(0);
            return Some(match clock.says() {
                // Whichever says that it is over; one that was set back says nothing.
                Some(now) if now >= last => left.min(attempts.left_seconds(now)),
                _ => left,
            });
        }
        let Some(now) = clock.says() else { return Some(0) };
        let has_got_on = now > last && self.begin(now).since(last.plus(-noted.seconds)) > SAME_BEGIN_SECONDS;
        Some(if has_got_on { attempts.left_seconds(now) } else { 0 })
    }

    /// Whether a program's own has not moved since the wait began, and no clock that is believed has: it stands still, or begins anew with each
    /// process; or little time has passed.
    pub(super) fn stands(&self, progress: &Progress, clock: Clock) -> bool {
        let (Some(noted), true) = (progress.measured, progress.attempts.wait_seconds > 0) else { return false };
        let is_still = noted.boot == self.uptime.boot
            && (0..=STANDS_SECONDS).contains(&self.uptime.seconds.saturating_sub(noted.seconds));
        self.is_own && is_still && !clock.is_known()
    }

    /// What a clock that says `now` said when the device was switched on, or would have.
    pub(super) fn begin(&self, now: Time) -> Time {
        now.plus(self.uptime.seconds.saturating_neg())
    }
}

/// What a wait is to be for who comes back while the meter stands. It ends after some looks, and whoever comes back when told has waited
/// less than twice as long.
pub(super) fn shortened(wait_seconds: u32) -> u32 {
    (wait_seconds / 2).min(LONGEST_STANDING_WAIT_SECONDS)
}

/// What is told of a meter that has measured nothing.
pub(super) fn standing(name: &str, says: Uptime) -> Problem {
    let text = format!(
        "the program's meter of uptime says {} s, as when the wait began, however often the program came back: it stands still, or begins anew under the same number of the boot",
        says.seconds
    );
    Problem::new(ProblemKind::Clock, &format!("identity/{name}"), &text)
}

fn is_same_clock(one: Time, other: Time) -> bool {
    one.since(other).abs() <= SAME_CLOCK_SECONDS
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn system() -> Option<Reading> {
    use std::sync::OnceLock;
    static BOOT: OnceLock<Option<u128>> = OnceLock::new();
    let seconds = seconds_up()?;
    // As the kernel has it, past whatever else tells this process the time.
    let kernel = Time::from_unix(begin_of_kernel()?.checked_add(seconds)?);
    if !is_same_clock(system_time(), kernel) {
        return Some(Reading { uptime: of_process(), is_of_device: false, is_own: false });
    }
    let boot = (*BOOT.get_or_init(boot_id))?;
    Some(Reading { uptime: Uptime { boot, seconds }, is_of_device: true, is_own: false })
}

/// CLOCK_BOOTTIME as /proc tells it. Not asked by the vDSO: who stands in for that, as valgrind does, is in the way of a look at it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn seconds_up() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split(['.', ' ']).next()?.parse().ok()
}

/// When the kernel began by its clock: what that says now, less the seconds since.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn begin_of_kernel() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// A process that is told another time than the kernel's has a world of its own, which begins with it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_process() -> Uptime {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGUN: OnceLock<(u128, Instant)> = OnceLock::new();
    let number = |half: u8| u128::from(RandomState::new().hash_one(half));
    let (boot, begun) = BEGUN.get_or_init(|| (number(0) << 64 | number(1), Instant::now()));
    Uptime { boot: *boot, seconds: i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX) }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_id() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn system() -> Option<Reading> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::{Planner, Step};
    use super::*;
    use crate::crypto::default_provider;
    use crate::store::Store;

    const DAY: i64 = 86_400;
    const TRUTH: Time = Time::from_unix(1_800_000_000);

    /// A device whose boots are told to it.
    struct Bench {
        store: Store,
        planner: Planner,
        uptime: Arc<Mutex<Option<Uptime>>>,
    }

    impl Bench {
        fn new(is_told: bool) -> Self {
            let (store, mut planner) = (Store::in_memory(default_provider()), Planner::new());
            if is_told {
                store.note_time(TRUTH).unwrap();
            }
            let uptime = Arc::new(Mutex::new(None));
            let read = Arc::clone(&uptime);
            planner.meter = Meter::Own(Arc::new(move || *read.lock().unwrap()));
            Bench { store, planner, uptime }
        }

        fn at(&self, boot: u128, seconds: i64) -> &Self {
            *self.uptime.lock().unwrap() = Some(Uptime { boot, seconds });
            self
        }

        fn waits(&self, seconds: u32, clock: Option<Time>) {
            self.planner.plan_as_told(&self.store, "router", clock).unwrap();
            self.planner.note_waiting(&self.store, "router", seconds, clock).unwrap();
        }

        /// Whether something is due, and what device memory holds behind the look.
        fn look(&self, clock: Option<Time>) -> (bool, Progress) {
            let ready = self.planner.plan_to_be_told(&self.store, "router", clock).unwrap();
            let (plan, _) = self.planner.plan_as_told(&self.store, "router", clock).unwrap();
            assert_eq!(ready, plan, "the settings are made for what is done");
            let kept = Progress::load(&self.store, &*default_provider(), "router").unwrap().0;
            (plan.step != Step::Nothing, kept)
        }
    }

    /// What a clock says so many seconds after it was switched on; the boots lie days apart.
    type Says = fn(i64) -> Option<Time>;

    const CLOCKS: [(&str, bool, Says); 8] = [
        ("none", true, |_| None),
        ("none, nothing told", false, |_| None),
        ("right", true, |up| Some(TRUTH.plus(up))),
        ("right, unconfirmed", false, |up| Some(TRUTH.plus(up))),
        ("days ahead", true, |up| Some(TRUTH.plus(2 * DAY + up))),
        ("of 1970", true, |up| Some(Time::from_unix(up))),
        ("stands still", true, |_| Some(TRUTH.plus(-400 * DAY))),
        ("goes back", false, |up| Some(TRUTH.plus(-up))),
    ];

    #[test]
    fn within_one_boot_a_wait_is_exact_whatever_the_clock_says_and_no_look_writes() {
        for (what, is_told, says) in CLOCKS {
            let bench = Bench::new(is_told);
            bench.at(7, 100).waits(86_400, says(100));
            let noted = bench.look(says(100)).1;
            for look in 1..96 {
                let up = 100 + look * 900;
                let (is_due, kept) = bench.at(7, up).look(says(up));
                assert!(!is_due, "{what}: look {look}");
                assert_eq!(kept, noted, "{what}: look {look}");
            }
            assert!(bench.at(7, 100 + DAY).look(says(100 + DAY)).0, "{what}: it is over");
        }
    }

    /// A clock that is set, by people or by its network, ends a wait by saying that it is over, and by nothing else.
    #[test]
    fn a_clock_that_is_set_to_and_fro_ends_no_wait_early() {
        let bench = Bench::new(true);
        let ahead = |up: i64| Some(TRUTH.plus(up + if up / 900 % 2 == 1 { 0 } else { -30 * DAY }));
        bench.at(7, 900).waits(86_400, ahead(900));
        for look in 2..96 {
            let up = look * 900;
            assert!(!bench.at(7, up).look(ahead(up)).0, "look {look}");
        }
        // The dark twin: without a meter each step back is taken for a new start.
        let mut bench = Bench::new(true);
        bench.planner.meter = Meter::Nothing;
        bench.waits(86_400, ahead(900));
        assert!((2..96).any(|look| bench.look(ahead(look * 900)).0));
    }

    #[test]
    fn in_another_boot_a_wait_is_never_longer_than_it_was() {
        for (what, is_told, says) in CLOCKS {
            for first in [0, 60, 3600, 80_000] {
                for later in [5, 62, 400, 4000, 90_000] {
                    let bench = Bench::new(is_told);
                    bench.at(7, first).waits(86_400, says(first));
                    let (is_due, kept) = bench.at(8, later).look(says(later));
                    let plan = bench.planner.plan(&bench.store, "router", says(later)).unwrap();
                    assert!(is_due || plan.ask_again_seconds <= kept.attempts.wait_seconds, "{what}: {plan:?}");
                    // It began with the device, or there is none: nobody can tell how long the device was off.
                    assert!(is_due || what == "goes back", "{what}: {first} {later}");
                }
            }
        }
        // The dark twin: a clock that went on meanwhile measures what was left, right or wrong.
        for off in [0, 2 * DAY, -30 * DAY] {
            let bench = Bench::new(true);
            let says = |at: i64| Some(TRUTH.plus(off + at));
            bench.at(7, 4000).waits(86_400, says(10_000));
            assert!(!bench.at(8, 50).look(says(20_000)).0, "{off}");
            assert!(!bench.at(9, 50).look(says(96_000)).0, "{off}");
            assert!(bench.at(9, 500).look(says(96_450)).0, "{off}");
        }
    }

    #[test]
    fn a_meter_that_fails_leaves_the_measure_to_the_clock() {
        let bench = Bench::new(true);
        bench.at(7, 100).waits(86_400, Some(TRUTH));
        *bench.uptime.lock().unwrap() = None;
        assert!(!bench.look(Some(TRUTH.plus(80_000))).0);
        assert!(bench.look(Some(TRUTH.plus(86_401))).0);
        assert!(bench.look(None).0, "who has neither has waited as told");
    }

    /// What a meter says at the n-th start of a program that comes back when it is told to.
    type Stands = fn(i64) -> Uptime;

    const STANDING: [(&str, Stands); 4] = [
        ("says one number", |_| Uptime { boot: 7, seconds: 1000 }),
        ("zero", |_| Uptime { boot: 0, seconds: 0 }),
        ("counts from the program's start", |start| Uptime { boot: 7, seconds: 3 + start % 3 }),
        ("says the largest number", |_| Uptime { boot: u128::MAX, seconds: i64::MAX }),
    ];

    #[test]
    fn a_meter_that_stands_holds_nobody_who_comes_back_for_longer_than_twice_the_wait() {
        let clocks: [(&str, bool, Says); 3] = [CLOCKS[0], CLOCKS[1], CLOCKS[6]];
        for (meter, says) in STANDING {
            for (clock, is_told, clock_says) in clocks {
                for wait in [1, 60, 7200, 86_400, 200 * 86_400] {
                    let mut bench = Bench::new(is_told);
                    let at = says(0);
                    bench.at(at.boot, at.seconds).waits(wait, clock_says(at.seconds.min(1000)));
                    let (mut waited, mut start) = (u64::from(wait), 0);
                    loop {
                        start += 1;
                        assert!(start < 40, "{meter}, {clock}, {wait}: for ever");
                        bench.planner = Planner { meter: bench.planner.meter.clone(), ..Planner::new() };
                        let at = says(start);
                        let now = clock_says(at.seconds.min(1000));
                        bench.at(at.boot, at.seconds);
                        let ready = bench.planner.plan_to_be_told(&bench.store, "router", now).unwrap();
                        let (plan, _) = bench.planner.plan_as_told(&bench.store, "router", now).unwrap();
                        assert_eq!(ready, plan, "{meter}, {clock}");
                        if plan.step != Step::Nothing {
                            break;
                        }
                        waited += u64::from(plan.ask_again_seconds);
                    }
                    assert!(
                        waited <= u64::from(wait) + (u64::from(wait) + 1).min(2 * 86_400),
                        "{meter}, {wait}: {waited}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_meter_that_measured_nothing_is_told_and_a_process_that_stays_knows_how_long_it_has_waited() {
        let bench = Bench::new(true);
        let look = || bench.planner.plan_as_told(&bench.store, "router", None).unwrap().0;
        bench.at(7, 100).waits(7200, None);
        look();
        for _ in 0..20 {
            assert_eq!(look().step, Step::Nothing, "looks alone end no wait");
        }
        bench.planner.looks.age(7000);
        assert!((1..=200).contains(&look().ask_again_seconds));
        bench.planner.looks.age(200);
        let plan = look();
        assert_ne!(plan.step, Step::Nothing);
        assert!(plan.findings.iter().any(|found| found.kind == ProblemKind::Clock), "{:?}", plan.findings);
    }

    /// The dark twin: a meter that moves is the measure, however often programs start and planners are made, and so is a clock that is right.
    #[test]
    fn a_meter_that_moves_is_shortened_by_no_start() {
        let bench = Bench::new(true);
        bench.at(7, 100).waits(86_400, None);
        let noted = bench.look(None).1;
        for start in 1..1440 {
            let planner = Planner { meter: bench.planner.meter.clone(), ..Planner::new() };
            bench.at(7, 100 + start * 59);
            let (plan, _) = planner.plan_as_told(&bench.store, "router", None).unwrap();
            let kept = Progress::load(&bench.store, &*default_provider(), "router").unwrap().0;
            assert_eq!((&plan.step, &kept), (&Step::Nothing, &noted), "start {start}");
        }
        let bench = Bench::new(true);
        bench.at(7, 100).waits(86_400, Some(TRUTH));
        for look in 1..96 {
            let planner = Planner { meter: bench.planner.meter.clone(), ..Planner::new() };
            let (plan, _) = planner.plan_as_told(&bench.store, "router", Some(TRUTH.plus(look * 900 - 1))).unwrap();
            assert_eq!(plan.step, Step::Nothing, "look {look}");
        }
        let over = bench.planner.plan_as_told(&bench.store, "router", Some(TRUTH.plus(86_401))).unwrap().0;
        assert_ne!(over.step, Step::Nothing);
    }

    /// On Linux the system has one, and it does not go back. It belongs to the system's clock: whoever has another one is measured by that.
    #[test]
    fn the_system_says_how_long_it_is_on_to_who_is_told_its_time() {
        let is_linux = cfg!(any(target_os = "linux", target_os = "android"));
        let (one, two) = (Meter::System.reading(None), Meter::System.reading(None));
        if let (Some(one), Some(two)) = (one, two) {
            assert_eq!(one.uptime.boot, two.uptime.boot);
            assert!(one.uptime.seconds > 0 && two.uptime.seconds >= one.uptime.seconds && one.is_of_device);
        }
        assert_eq!(one.is_some(), is_linux);
        let now = system_time();
        for (clock, beside_clock, system) in [
            (Some(now), true, true),
            (None, false, true),
            (Some(now.plus(900)), false, false),
            (Some(TRUTH), false, false),
        ] {
            assert_eq!(Meter::default().reading(clock).is_some(), beside_clock && is_linux, "{clock:?}");
            assert_eq!(Meter::System.reading(clock).is_some(), system && is_linux, "{clock:?}");
            assert!(Meter::Nothing.reading(clock).is_none());
        }
    }

    /// A process that has a clock of its own is started when it is: another one of it tells nothing of the waits before.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn a_process_with_a_world_of_its_own_is_measured_by_that() {
        let (one, two) = (of_process(), of_process());
        assert_eq!(one.boot, two.boot);
        assert!(two.seconds >= one.seconds && Some(one.boot) != boot_id());
    }
}
