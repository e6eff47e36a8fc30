//! What a fleet does to us: one validator for many threads, one registration authority for many devices.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::client::validator::Validator;
use devid::cmp::{DeviceRequest, Proof, RegistrationAuthority, Signer};
use devid::crypto::{default_provider, keys};
use devid::validation::{CheckTime, Crl, NameCheck, PeerName, Purpose, RevocationPolicy, TrustAnchors};
use serde_json::{Value, json};

use crate::candidate::{Ours, Variant};
use crate::clock::{Runner, as_json, cpu_ns_of, in_turns, median, system_time};
use crate::crl::make_crl;
use crate::openssl::{Ca, Item, KeyType, Pki};
use crate::validation::PEER;
use crate::{Result, Settings};

const THREADS: [usize; 4] = [1, 2, 4, 8];

/// As PasswordBasedMac has it, both sides of the RA alike.
const MAC_OF_DEVICES: Variant = Variant { use_mac: true, is_implicit: false };

pub fn measure(settings: &Settings) -> Result<Value> {
    Ok(json!({ "threads": threads(settings)?, "ra": ra(settings)? }))
}

/// Validations of a peer that comes anew, by several threads with one validator: CPU of each thread, wall time of all, and how often a thread had to
/// wait for another.
fn threads(settings: &Settings) -> Result<Value> {
    let pki = settings.server().make_pki(KeyType::P256)?;
    let validator = Arc::new(validator(&pki)?);
    let [leaf, ..] = pki.chain();
    let count = settings.rounds(3000);
    let at = CheckTime::At(system_time());
    let work = |count: usize| -> Result<()> {
        for _ in 0..count {
            let verdict = validator.validate(&Certificate::from_der(leaf)?, &[], None, at)?;
            verdict.peer.ok_or("the peer is refused")?;
        }
        Ok(())
    };
    work(100)?;
    let mut rows = Vec::new();
    for threads in THREADS {
        // The median of five, one row after the other, as neighbours would be the other threads' competitors.
        let runs = (0..5).map(|_| together(threads, || work(count))).collect::<Result<Vec<_>>>()?;
        let of = |figure: fn(&Together) -> i64| median(runs.iter().map(figure).collect());
        let each = (threads * count) as f64;
        rows.push(json!({
            "threads": threads,
            "cpu_microseconds": of(|run| run.cpu_ns) as f64 / 1000.0 / each,
            "wall_microseconds": of(|run| run.wall_ns) as f64 / 1000.0 / each,
            "waits_per_thousand": of(|run| run.waits) as f64 * 1000.0 / each,
        }));
        eprintln!("validation by {threads} threads: {}", rows.last().expect("just put there"));
    }
    let processors = thread::available_parallelism()?.get();
    Ok(json!({ "processors": processors, "rows": rows }))
}

struct Together {
    cpu_ns: i64,
    wall_ns: i64,
    waits: i64,
}

/// The same work by each of several threads, which begin together.
fn together(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<Together> {
    let start = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> std::result::Result<(i64, i64), String> {
                    start.wait();
                    let waits = waits_of_this_thread()?;
                    let (spent, ()) = cpu_ns_of(&work).map_err(|error| error.to_string())?;
                    Ok((spent, waits_of_this_thread()? - waits))
                })
            })
            .collect();
        start.wait();
        let begun = Instant::now();
        let mut sum = Together { cpu_ns: 0, wall_ns: 0, waits: 0 };
        for worker in workers {
            let (cpu, waits) = worker.join().map_err(|_| "a thread panicked")??;
            sum.cpu_ns += cpu;
            sum.waits += waits;
        }
        sum.wall_ns = i64::try_from(begun.elapsed().as_nanos())?;
        Ok(sum)
    })
}

/// How often this thread gave its processor away of itself: to wait for a lock, as it does nothing else that waits.
fn waits_of_this_thread() -> std::result::Result<i64, String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).ok_or_else(|| "no count of switches in /proc".to_owned())
}

/// Anchors, an intermediate and two CRLs, set up once.
fn validator(pki: &Pki) -> Result<Validator> {
    let [_, issuing, root] = pki.chain();
    let mut anchors = TrustAnchors::new();
    anchors.add(Certificate::from_der(root)?);
    let mut validator = Validator::new(anchors);
    validator.pool.push(Certificate::from_der(issuing)?);
    for (issuer, key) in [(Item::Issuing, Item::IssuingKey), (Item::Root, Item::RootKey)] {
        validator.status.crls.push(Arc::new(Crl::from_der(make_crl(pki, issuer, key, 3)?)?));
    }
    validator.checks.revocation = RevocationPolicy::hard_fail();
    validator.purpose = Some(Purpose::For(vec![oid::KP_SERVER_AUTH]));
    validator.names = Some(NameCheck::All(vec![PeerName::Dns(PEER.to_owned())]));
    Ok(validator)
}

/// Enrolments through an RA (ir and certConf: checked, put under its own signature, the answers back under the device's
/// MAC), with one device and with a hundred thousand; beside it libcrypto's server, which answers the same two messages.
fn ra(settings: &Settings) -> Result<Value> {
    let server = settings.server();
    let pki = server.make_pki(KeyType::P256)?;
    let through = Ours::new(&pki, MAC_OF_DEVICES)?;
    let behind = server.make_ca(&pki, false, false)?;
    let direct = server.make_ca(&pki, true, false)?;
    let (few, many) = (Ra::new(&pki, 0)?, Ra::new(&pki, 100_000)?);
    let mut candidates = vec![
        Runner::new("devid, RA of one device", || few.enrol(&through, &behind)),
        Runner::new("devid, RA of 100,000 devices", || many.enrol(&through, &behind)),
        Runner::new("mock server", || {
            let mut spent = 0;
            through.enrol(|request| {
                let (once, answer) = cpu_ns_of(|| direct.answer(request))?;
                spent += once;
                Ok(answer)
            })?;
            Ok(spent)
        }),
    ];
    let medians = in_turns(settings.rounds(300), &mut candidates)?;
    eprintln!("ra: {medians:?}");
    Ok(json!({ "server": server.name, "microseconds": as_json(&medians) }))
}

/// A registration authority before the CA.
pub struct Ra {
    authority: RegistrationAuthority,
}

impl Ra {
    /// One that knows the secret of the device that [`Ours`] is, and those of `others`.
    pub fn new(pki: &Pki, others: usize) -> Result<Self> {
        let provider = default_provider();
        let mut config = Config::with_provider(Arc::clone(&provider));
        config.cmp_anchors.add_bytes(pki.item(Item::Root))?;
        config.enrolment_anchors.add_bytes(pki.item(Item::Root))?;
        let key = keys::load_private_key(&*provider, pki.item(Item::DeviceKey), None)?;
        config.protect_with_certificate(Signer::Key(key), Certificate::from_der(pki.item(Item::Device))?, Vec::new());
        let mut devices = TrustAnchors::new();
        devices.add(Certificate::from_der(pki.item(Item::Supplier))?);
        let mut authority = RegistrationAuthority::new(Arc::clone(config.build()?.context()), devices)?;
        authority.add_secret(b"4711", b"a shared secret")?;
        for other in 0..others {
            authority.add_secret(format!("device {other}").as_bytes(), format!("secret {other}").as_bytes())?;
        }
        Ok(Ra { authority })
    }

    /// A message of the device on its way: checked, handed `up` under the RA's signature, the answer under the device's MAC. `began`
    /// is the request that began the transaction, once there was one.
    pub fn relay(
        &self,
        request: &[u8],
        began: &mut Option<DeviceRequest>,
        up: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let now = system_time();
        let asked = self.authority.check(request, began.as_ref(), now)?;
        let answer = up(&self.authority.replace(&asked, Proof::Keep, false, now)?)?;
        let downwards = self.authority.answer(&asked, &answer, now)?;
        began.get_or_insert(asked);
        Ok(downwards)
    }

    /// One enrolment through it: CPU nanoseconds of the RA alone.
    fn enrol(&self, device: &Ours, ca: &Ca) -> Result<i64> {
        let mut spent = 0;
        let mut began = None;
        device.enrol(|request| {
            let mut of_the_ca = 0;
            let (both, answer) = cpu_ns_of(|| {
                self.relay(request, &mut began, |request| {
                    let (spent, answer) = cpu_ns_of(|| ca.answer(request))?;
                    of_the_ca = spent;
                    Ok(answer)
                })
            })?;
            spent += both - of_the_ca;
            Ok(answer)
        })?;
        Ok(spent)
    }
}
