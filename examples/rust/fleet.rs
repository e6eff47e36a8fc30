//! A fleet's renewals, simulated with the real planner: one million devices enrolled within a day, certificates of a year,
//! a CA that is out of reach for twelve hours, clocks that are a day off on one device in a hundred.
//!
//! `make fleet` runs it. Nothing is random: the same code gives the same figures. It writes `docs/fleet.svg` and the
//! figures in `docs/fleet.md`, and ends with exit code 1 if an aim is missed.

use std::fmt::Write as _;
use std::process::ExitCode;

use devid::Time;
use devid::client::renewal::{Attempts, Clock, Facts, Policy, Seed, Standing, Step, decide};
use devid::crypto::{Provider, default_provider};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

const DEVICES: i64 = 1_000_000;
const DAYS: i64 = 4 * 365;
/// 2026-01-01T00:00:00Z: enrolment begins.
const START: i64 = 1_767_225_600;
/// From here on every device has had its two first renewals.
const STEADY_FROM: i64 = 500 * DAY;
const OUTAGE_FROM: i64 = 800 * DAY + 9 * HOUR;
const OUTAGE_SECONDS: i64 = 12 * HOUR;
/// How long after the outage its echo is looked for; this time is left out of the steady state.
const ECHO: i64 = 4 * DAY;

/// CAs set notBefore back; the way to a certificate takes a moment.
const BACKDATED: i64 = 5 * 60;
const LATENCY: i64 = 3;

fn main() -> ExitCode {
    let begun = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as i64);
    let parts: Vec<Counts> = std::thread::scope(|scope| {
        let share = |n| n * DEVICES / threads;
        let runs: Vec<_> = (0..threads).map(|n| scope.spawn(move || simulate(share(n)..share(n + 1)))).collect();
        runs.into_iter().map(|run| run.join().expect("a part of the fleet")).collect()
    });
    let mut counts = Counts::new();
    for part in parts {
        counts.add(&part);
    }
    let figures = Figures::of(&counts);
    let (text, is_met) = figures.text();
    print!("{text}");
    println!("\n{DEVICES} devices, {DAYS} days, in {:.0} s", begun.elapsed().as_secs_f64());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let written = std::fs::write(folder.join("fleet.svg"), plot(&counts, &figures))
        .and_then(|()| put_between(&folder.join("fleet.md"), &text));
    if let Err(error) = written {
        eprintln!("fleet: {}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the CA sees, by the hour.
struct Counts {
    served: Vec<u32>,
    /// In vain, during the outage.
    refused: Vec<u32>,
    expired: u64,
    /// The shortest time that was left when a certificate was renewed.
    least_left: i64,
    /// Attempts in vain of one device, most.
    most_attempts: u32,
}

impl Counts {
    fn new() -> Self {
        let hours = usize::try_from(DAYS * 24).expect("a few years");
        Counts { served: vec![0; hours], refused: vec![0; hours], expired: 0, least_left: i64::MAX, most_attempts: 0 }
    }

    fn add(&mut self, other: &Counts) {
        let sum = |mine: &mut Vec<u32>, theirs: &[u32]| mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        sum(&mut self.served, &other.served);
        sum(&mut self.refused, &other.refused);
        self.expired += other.expired;
        self.least_left = self.least_left.min(other.least_left);
        self.most_attempts = self.most_attempts.max(other.most_attempts);
    }
}

fn simulate(devices: std::ops::Range<i64>) -> Counts {
    let (provider, policy) = (default_provider(), Policy::default());
    let mut counts = Counts::new();
    for device in devices {
        live(&*provider, &policy, device, &mut counts);
    }
    counts
}

/// One device from its enrolment to the end of the simulation. `at` counts seconds from the start, by the true time.
fn live(provider: &dyn Provider, policy: &Policy, device: i64, counts: &mut Counts) {
    let seed = Seed::from_id(provider, format!("meter-{device:07}").as_bytes()).expect("SHA-256");
    let clock_error = match device % 200 {
        0 => DAY,
        100 => -DAY,
        _ => 0,
    };
    let mut at = device * DAY / DEVICES;
    let issue = |at: i64| {
        let begin = Time::from_unix(START + at - BACKDATED);
        let validity = Some((begin, begin.plus(YEAR)));
        let installed = Some(Time::from_unix(START + at + LATENCY + clock_error));
        Facts { validity, installed, ..Facts::default() }
    };
    let mut facts = issue(at);
    while at < DAYS * DAY {
        let now = Time::from_unix(START + at + clock_error);
        let plan = decide(policy, seed, Clock::Known(now), &facts);
        let (_, end) = facts.validity.expect("it has one");
        match (&plan.step, plan.renewal_at) {
            // A device asks now and then what is due; until the renewal the answer is the same.
            (Step::Nothing, Some(due)) if plan.attempts == 0 && due > now => at += due.since(now),
            (Step::Nothing | Step::LearnTime, _) => at += i64::from(plan.ask_again_seconds).max(HOUR),
            _ => {
                counts.expired += u64::from(plan.standing == Standing::Expired);
                let hour = usize::try_from(at / HOUR).expect("after the start");
                if (OUTAGE_FROM..OUTAGE_FROM + OUTAGE_SECONDS).contains(&at) {
                    counts.refused[hour] += 1;
                    let count = facts.attempts.count + 1;
                    let wait_seconds = policy.retry_seconds(seed, count, None, Some(end.since(now)));
                    facts.attempts = Attempts { count, last: Some(now), wait_seconds };
                    counts.most_attempts = counts.most_attempts.max(count);
                } else {
                    counts.served[hour] += 1;
                    counts.least_left = counts.least_left.min(end.unix() - START - at);
                    facts = issue(at);
                }
            }
        }
    }
}

struct Figures {
    mean_per_hour: f64,
    steady_peak_hour: f64,
    steady_peak_six_hours: f64,
    steady_peak_day: f64,
    first_wave_peak_day: f64,
    outage_peak_hour: f64,
    waiting_after_outage: f64,
    expired: u64,
    least_left_days: f64,
    most_attempts: u32,
}

impl Figures {
    fn of(counts: &Counts) -> Self {
        let is_steady = |hour: usize| {
            let at = i64::try_from(hour).expect("hours") * HOUR;
            at >= STEADY_FROM && !(OUTAGE_FROM - HOUR..OUTAGE_FROM + OUTAGE_SECONDS + ECHO).contains(&at)
        };
        let steady: Vec<f64> =
            (0..counts.served.len()).filter(|h| is_steady(*h)).map(|h| f64::from(counts.served[h])).collect();
        let mean = steady.iter().sum::<f64>() / steady.len() as f64;
        let days = by_day(counts);
        let first_steady_day = usize::try_from(STEADY_FROM / DAY).expect("days");
        let after = usize::try_from((OUTAGE_FROM + OUTAGE_SECONDS) / HOUR).expect("hours");
        let echo = &counts.served[after..after + usize::try_from(ECHO / HOUR).expect("hours")];
        let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let busiest = |hours: usize| {
            let sums = steady.windows(hours).map(|window| window.iter().sum::<f64>());
            sums.fold(0.0, f64::max) / mean / hours as f64
        };
        let served_late: u32 = echo.iter().sum();
        Figures {
            mean_per_hour: mean,
            steady_peak_hour: peak(&steady) / mean,
            steady_peak_six_hours: busiest(6),
            steady_peak_day: busiest(24),
            first_wave_peak_day: peak(&days[1..first_steady_day]) / mean / 24.0,
            outage_peak_hour: f64::from(*echo.iter().max().expect("hours")) / mean,
            waiting_after_outage: f64::from(served_late) - mean * echo.len() as f64,
            expired: counts.expired,
            least_left_days: counts.least_left as f64 / DAY as f64,
            most_attempts: counts.most_attempts,
        }
    }

    fn text(&self) -> (String, bool) {
        let mut is_met = true;
        let mut rows = String::new();
        let mut row = |what: &str, aim: &str, found: String, holds: bool| {
            is_met &= holds;
            let verdict = if holds { "" } else { " **missed**" };
            writeln!(rows, "| {what} | {aim} | {found}{verdict} |").expect("into a String");
        };
        let f = self;
        row("mean rate in the steady state, requests an hour", "", format!("{:.1}", f.mean_per_hour), true);
        let hold = |found: f64, aim: f64| found < aim;
        let six = f.steady_peak_six_hours;
        row("busiest six hours over mean, steady state", "< 1.3", format!("{six:.2}"), hold(six, 1.3));
        row(
            "busiest day over mean, steady state",
            "< 1.3",
            format!("{:.2}", f.steady_peak_day),
            hold(f.steady_peak_day, 1.3),
        );
        row("busiest single hour over mean, steady state (chance)", "", format!("{:.2}", f.steady_peak_hour), true);
        row(
            "busiest hour after the outage over mean",
            "< 3",
            format!("{:.2}", f.outage_peak_hour),
            hold(f.outage_peak_hour, 3.0),
        );
        row("renewals that the outage put off", "", format!("{:.0}", f.waiting_after_outage), true);
        row("attempts in vain, most of any device", "", f.most_attempts.to_string(), true);
        row("busiest day of the first wave over mean", "", format!("{:.2}", f.first_wave_peak_day), true);
        row("certificates that expired", "0", f.expired.to_string(), f.expired == 0);
        row(
            "shortest time left at a renewal, days",
            "> 0",
            format!("{:.1}", f.least_left_days),
            f.least_left_days > 0.0,
        );
        (format!("| | aim | found |\n| --- | --- | --- |\n{rows}"), is_met)
    }
}

fn by_day(counts: &Counts) -> Vec<f64> {
    counts.served.chunks(24).map(|day| day.iter().map(|n| f64::from(*n)).sum()).collect()
}

/// Two panels: all days, and the hours around the outage. Rates over the mean.
fn plot(counts: &Counts, figures: &Figures) -> String {
    let days: Vec<f64> = by_day(counts).iter().map(|n| n / figures.mean_per_hour / 24.0).collect();
    let from = usize::try_from((OUTAGE_FROM - DAY) / HOUR).expect("hours");
    let hours = from..from + 96;
    let rate = |n: u32| f64::from(n) / figures.mean_per_hour;
    let served: Vec<f64> = counts.served[hours.clone()].iter().map(|n| rate(*n)).collect();
    let refused: Vec<f64> = counts.refused[hours].iter().map(|n| rate(*n)).collect();
    let mut svg = String::from(concat!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 560\" font-family=\"sans-serif\" font-size=\"13\">\n",
        "<rect width=\"900\" height=\"560\" fill=\"white\"/>\n",
    ));
    let weeks: Vec<f64> = days.chunks(5).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let years: Vec<(f64, String)> = (0..=4).map(|n| (f64::from(n) * 73.0, format!("year {n}"))).collect();
    panel(&mut svg, 40.0, "renewals over the mean rate, five days each", &[(&weeks, "#1f6fb4")], &years);
    let ticks: Vec<(f64, String)> = (0..=4).map(|n| (f64::from(n) * 24.0, format!("{} h", (n - 1) * 24))).collect();
    let title = "hours around an outage of 12 hours: served (blue), in vain (red)";
    panel(&mut svg, 310.0, title, &[(&refused, "#c0392b"), (&served, "#1f6fb4")], &ticks);
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, top: f64, title: &str, lines: &[(&[f64], &str)], ticks: &[(f64, String)]) {
    const LEFT: f64 = 50.0;
    const WIDTH: f64 = 820.0;
    const HEIGHT: f64 = 190.0;
    const HIGHEST: f64 = 3.0;
    let longest = lines.iter().map(|(values, _)| values.len()).max().unwrap_or(1) as f64;
    let x = |n: f64| LEFT + n / longest * WIDTH;
    let y = |value: f64| top + HEIGHT - value.min(HIGHEST) / HIGHEST * HEIGHT;
    let mut put = |line: String| {
        svg.push_str(&line);
        svg.push('\n');
    };
    put(format!("<text x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 12.0));
    for level in 0..=3 {
        let at = y(f64::from(level));
        put(format!("<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#ddd\"/>", LEFT + WIDTH));
        put(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{level}</text>", LEFT - 8.0, at + 4.0));
    }
    for (at, words) in ticks {
        let at = x(*at);
        put(format!("<path d=\"M{at:.1} {top}V{:.1}\" stroke=\"#eee\"/>", top + HEIGHT));
        put(format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>", top + HEIGHT + 18.0));
    }
    for (values, colour) in lines {
        let steps: String =
            values.iter().enumerate().map(|(n, value)| format!("{:.1},{:.1} ", x(n as f64 + 0.5), y(*value))).collect();
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            steps.trim_end()
        ));
    }
}

/// Replaces what stands between the two marks.
fn put_between(page: &std::path::Path, figures: &str) -> std::io::Result<()> {
    const BEGIN: &str = "<!-- figures: make fleet -->\n";
    const END: &str = "<!-- end -->";
    let text = std::fs::read_to_string(page)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(std::io::Error::other("the page has no place for the figures"));
    };
    std::fs::write(page, format!("{before}{BEGIN}{figures}{END}{after}"))
}
