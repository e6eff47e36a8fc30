//! CPU time of this thread, and measuring in turns.

use devid::time::Time;
use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Now, in whole seconds.
pub fn system_time() -> Time {
    Time::from_unix(clock_gettime(ClockId::Realtime).tv_sec)
}

/// CPU time that this thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> i64 {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    at.tv_sec * 1_000_000_000 + at.tv_nsec
}

/// CPU nanoseconds of one call.
pub fn cpu_ns_of<T>(work: impl FnOnce() -> Result<T>) -> Result<(i64, T)> {
    let begun = thread_cpu_ns();
    let made = std::hint::black_box(work()?);
    Ok((thread_cpu_ns() - begun, made))
}

/// A candidate: a name, and a measurement of one unit of work in nanoseconds.
pub struct Runner<'a> {
    pub name: String,
    run: Box<dyn FnMut() -> Result<i64> + 'a>,
}

impl<'a> Runner<'a> {
    pub fn new(name: &str, run: impl FnMut() -> Result<i64> + 'a) -> Self {
        Runner { name: name.to_owned(), run: Box::new(run) }
    }

    /// One unit is the mean of `batch` calls in a row: for work that is short beside the clock.
    pub fn batch(name: &str, batch: u32, mut work: impl FnMut() -> Result<()> + 'a) -> Self {
        Runner::new(name, move || {
            let (total, ()) = cpu_ns_of(|| (0..batch).try_for_each(|_| work()))?;
            Ok(total / i64::from(batch))
        })
    }
}

/// Median of each candidate in microseconds. In every round each has its turn, and each begins equally often; a few
/// rounds at the start warm up and do not count.
pub fn in_turns(rounds: usize, candidates: &mut [Runner<'_>]) -> Result<Vec<(String, f64)>> {
    let mut samples = vec![Vec::with_capacity(rounds); candidates.len()];
    let warm_up = (rounds / 10).clamp(1, 10);
    for round in 0..warm_up + rounds {
        for turn in 0..candidates.len() {
            let which = (round + turn) % candidates.len();
            let candidate = &mut candidates[which];
            let spent = (candidate.run)().map_err(|e| format!("{}: {e}", candidate.name))?;
            if round >= warm_up {
                samples[which].push(spent);
            }
        }
    }
    Ok(candidates.iter().zip(samples).map(|(c, s)| (c.name.clone(), median(s) as f64 / 1000.0)).collect())
}

pub fn median(mut samples: Vec<i64>) -> i64 {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// The medians of one measurement as a JSON object.
pub fn as_json(medians: &[(String, f64)]) -> serde_json::Value {
    medians.iter().map(|(name, microseconds)| (name.clone(), serde_json::json!(microseconds))).collect()
}
