//! Heap of one enrolment, counted by the preloaded `benches/heap.c`: the same counter for Rust, AWS-LC and libcrypto.

use std::ffi::{c_int, c_void};

use libloading::os::unix::Library;
use serde_json::{Value, json};

use crate::candidate::{Ours, Variant};
use crate::clock::cpu_ns_of;
use crate::openssl::{Exchange, KeyType};
use crate::scale::Ra;
use crate::{Result, Settings};

/// As in `benches/heap.c`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Counts {
    allocations: u64,
    bytes: u64,
    peak_live_bytes: i64,
}

struct Counter {
    count: unsafe extern "C" fn(c_int),
    take: unsafe extern "C" fn(*mut Counts),
}

impl Counter {
    fn find() -> Result<Self> {
        let this = Library::this();
        // SAFETY: the prototypes are those of heap.c, which stays loaded.
        unsafe {
            let count = this.get(b"bench_heap_count").map_err(|_| "heap.c is not preloaded")?;
            let take = this.get(b"bench_heap_take").map_err(|_| "heap.c is not preloaded")?;
            Ok(Counter { count: *count, take: *take })
        }
    }

    fn switch(&self, is_on: bool) {
        // SAFETY: prototype of heap.c.
        unsafe { (self.count)(is_on.into()) };
    }

    /// What was counted since the last time.
    fn take(&self) -> Counts {
        let mut counts = Counts::default();
        // SAFETY: prototype of heap.c.
        unsafe { (self.take)(&mut counts) };
        counts
    }

    fn during(&self, work: impl FnOnce() -> Result<i64>) -> Result<Counts> {
        self.take();
        self.switch(true);
        let outcome = work();
        self.switch(false);
        outcome.map(|_| self.take())
    }
}

/// The server behind a switch: what it allocates is not the client's.
struct Uncounted<'a> {
    counter: &'a Counter,
    ca: *mut c_void,
    exchange: Exchange,
}

unsafe extern "C" fn uncounted(
    opaque: *mut c_void,
    request: *const u8,
    request_len: usize,
    answer: *mut *const u8,
    answer_len: *mut usize,
) -> c_int {
    // SAFETY: `opaque` is the Uncounted given along with this function; the rest is passed on.
    let to = unsafe { &*opaque.cast::<Uncounted<'_>>() };
    to.counter.switch(false);
    let outcome = unsafe { (to.exchange)(to.ca, request, request_len, answer, answer_len) };
    to.counter.switch(true);
    outcome
}

pub fn measure(settings: &Settings) -> Result<Value> {
    let counter = Counter::find()?;
    let server = settings.server();
    let mut rows = Vec::new();
    for (use_mac, label) in [(false, "signature"), (true, "MAC")] {
        let pki = server.make_pki(KeyType::P256)?;
        let ca = server.make_ca(&pki, use_mac, false)?;
        let ours = Ours::new(&pki, Variant { use_mac, is_implicit: false })?;
        let mut counts = serde_json::Map::new();
        let mut keep = |name: &str, c: Counts| {
            eprintln!("heap {label} {name}: {} allocations, {} bytes", c.allocations, c.bytes);
            let c = json!({ "allocations": c.allocations, "bytes": c.bytes, "peak_live_bytes": c.peak_live_bytes });
            counts.insert(name.to_owned(), c);
        };

        let apart = |request: &[u8]| {
            counter.switch(false);
            let answer = ca.answer(request);
            counter.switch(true);
            answer
        };
        ours.enrol(apart)?;
        keep("devid", counter.during(|| ours.enrol(apart))?);
        for openssl in &settings.openssl {
            let client = openssl.make_client(&pki, use_mac, false)?;
            let mut through = Uncounted { counter: &counter, ca: ca.handle, exchange: ca.exchange };
            let opaque = (&raw mut through).cast::<c_void>();
            client.enrol(uncounted, opaque)?;
            keep(&openssl.name, counter.during(|| client.enrol(uncounted, opaque))?);
        }
        rows.push(json!({ "key": "P-256", "protection": label, "heap": counts }));
    }
    Ok(json!({ "rows": rows, "in_flight": in_flight(settings, &counter)?, "ra": ra(settings, &counter)? }))
}

/// Operations that wait for their answers, all at one time: what each holds, and what beginning it costs.
fn in_flight(settings: &Settings, counter: &Counter) -> Result<Value> {
    let pki = settings.server().make_pki(KeyType::P256)?;
    let ours = Ours::new(&pki, Variant { use_mac: false, is_implicit: false })?;
    let client = ours.client()?;
    drop(ours.in_flight(&client, 10)?);
    let mut rows = Vec::new();
    for count in [1_000, 10_000] {
        let mut spent = 0;
        let counts = counter.during(|| {
            let (cpu_ns, operations) = cpu_ns_of(|| ours.in_flight(&client, count))?;
            spent = cpu_ns;
            // What they held is the most that was held: nothing is freed before.
            counter.switch(false);
            drop(operations);
            Ok(cpu_ns)
        })?;
        let each = |sum: i64| sum as f64 / count as f64;
        let row = json!({
            "operations": count,
            "bytes_each": each(counts.peak_live_bytes),
            "microseconds_each": each(spent) / 1000.0,
        });
        eprintln!("in flight: {row}");
        rows.push(row);
    }
    Ok(rows.into())
}

/// What a registration authority holds for each device whose secret it knows, and what one enrolment through it takes, beside
/// libcrypto's server for the same enrolment.
fn ra(settings: &Settings, counter: &Counter) -> Result<Value> {
    const DEVICES: usize = 100_000;
    let server = settings.server();
    let pki = server.make_pki(KeyType::P256)?;
    let device = Ours::new(&pki, Variant { use_mac: true, is_implicit: false })?;
    let (behind, direct) = (server.make_ca(&pki, false, false)?, server.make_ca(&pki, true, false)?);
    let mut known = None;
    let resting = counter.during(|| {
        known = Some(Ra::new(&pki, DEVICES)?);
        Ok(0)
    })?;
    let authority = known.ok_or("no RA")?;
    let apart = |work: &dyn Fn() -> Result<Vec<u8>>, is_on| {
        counter.switch(is_on);
        let outcome = work();
        counter.switch(!is_on);
        outcome
    };
    let through = || {
        let mut began = None;
        device.enrol(|request| {
            counter.switch(true);
            let answer = authority.relay(request, &mut began, |request| apart(&|| behind.answer(request), false));
            counter.switch(false);
            answer
        })
    };
    let counted = |enrol: &dyn Fn() -> Result<i64>| -> Result<Counts> {
        enrol()?;
        counter.take();
        enrol()?;
        Ok(counter.take())
    };
    let ours = counted(&through)?;
    let theirs = counted(&|| device.enrol(|request| apart(&|| direct.answer(request), true)))?;
    let figures = |counts: &Counts| json!({ "allocations": counts.allocations, "bytes": counts.bytes });
    let made = json!({
        "bytes_of_a_device": resting.peak_live_bytes as f64 / DEVICES as f64,
        "devid": figures(&ours),
        "mock server": figures(&theirs),
    });
    eprintln!("ra: {made}");
    Ok(made)
}
