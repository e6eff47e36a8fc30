//! Enrolment into device memory, interrupted at every call: it resumes, or is resolved with the CA. What the CA takes for
//! confirmed is never lost, what was turned down never comes into use.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::{Client, Config, Decision, Destination, Owner, Subject, abandon};
use devid::cmp::{Issued, Signer};
use devid::crypto::KeyKind;
use devid::crypto::keys::load_private_key;
use devid::store::*;
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Code, Error, Time};
use devid_testca::{KeyType, Options, TestCa};

use super::medium::Lies;
use super::plan::{Dice, EIO, ENOSPC, Fault, Plan};
use super::run::{Effort, Outcome, is_clean, no_secret_is_open};
use super::world::{Directory, World};
use crate::common::provider;

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// The first certificate, polled for.
    Enrolment,
    /// A key update.
    Renewal,
    /// The owner turns the certificate down.
    Refusal,
    /// The CA rejects the request.
    Rejection,
}

pub const STORIES: usize = 4;
const ALL: [(&str, Story); STORIES] = [
    ("enrolment, polled", Story::Enrolment),
    ("renewal, previous kept", Story::Renewal),
    ("certificate turned down, abandoned", Story::Refusal),
    ("request rejected by the CA", Story::Rejection),
];

pub fn name(story: usize) -> &'static str {
    ALL[story].0
}

/// How interrupted transactions ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endings {
    /// They went on.
    pub resumed: usize,
    /// Nothing had been sent, or nothing was left to do.
    pub afresh: usize,
    /// The CA did not go on: given up, and a new one succeeded.
    pub resolved: usize,
}

/// The network of a process that may be stopped.
struct Line<'a> {
    ca: &'a mut TestCa,
    plan: Arc<Plan>,
    now: i64,
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.plan.fault == Fault::Stop && self.plan.count() >= self.plan.at {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "stopped"));
        }
        Ok(Reply::from_body(self.ca.answer(request, self.now)))
    }
}

struct Device {
    now: Time,
    refuses: bool,
}

impl Owner for Device {
    fn now(&mut self) -> Time {
        self.now
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        self.now = self.now.plus(i64::from(seconds));
        Ok(())
    }

    fn decide(&mut self, _: &Issued) -> Result<Decision, Error> {
        Ok(if self.refuses { Decision::Reject("not wanted".to_owned()) } else { Decision::Accept })
    }
}

/// A CA, a device with an identity of that CA in its memory, and what it does next.
struct Bench {
    story: Story,
    ca: TestCa,
    client: Client,
    prepared: Directory,
    now: Time,
    /// The certificate in use before.
    before: Certificate,
}

impl Bench {
    fn new(story: Story, is_sealed: bool) -> Self {
        let options = Options::default();
        let now = Time::from_unix(options.now);
        let mut ca = TestCa::new(options);
        let idevid = ca.idevid("device 1", KeyType::P256, now.unix());
        let mut config = Config::new();
        let key = load_private_key(&*provider(), &idevid.key.pkcs8, None).unwrap();
        config.protect_with_certificate(Signer::Key(key), certificate(&idevid.certificate), Vec::new());
        config.cmp_anchors.add(certificate(&ca.root.certificate));
        config.enrolment_anchors.add(certificate(&ca.root.certificate));

        let prepared = Directory::new(is_sealed, Lies::default());
        let store = prepared.reopen();
        let client = config.build().unwrap();
        let mut line = Line { ca: &mut ca, plan: Arc::new(Plan::none()), now: now.unix() };
        let mut device = Device { now, refuses: false };
        let first = client.enroll_into(to(&store), &new_key(), &subject(), &mut line, &mut device).unwrap();
        drop(store);
        if story == Story::Renewal {
            let signer = Signer::Key(first.key.held().unwrap().clone());
            config.protect_with_certificate(signer, first.certificate.clone(), first.chain);
        }
        let client = config.build().unwrap();
        Bench { story, ca, client, prepared, now, before: first.certificate }
    }

    /// A device that does it once, with a plan.
    fn act(&mut self, store: &Store, plan: &Arc<Plan>) -> Result<Identity, Error> {
        self.ca.knobs.waiting = u32::from(self.story == Story::Enrolment);
        self.ca.knobs.status = if self.story == Story::Rejection { 2 } else { 0 };
        let mut line = Line { ca: &mut self.ca, plan: plan.clone(), now: self.now.unix() };
        let mut device = Device { now: self.now, refuses: self.story == Story::Refusal };
        let outcome = match self.story {
            Story::Renewal => self.client.renew_into(to(store), &new_key(), &mut line, &mut device),
            _ => self.client.enroll_into(to(store), &new_key(), &subject(), &mut line, &mut device),
        };
        self.ca.knobs.status = 0;
        outcome
    }

    /// The certificates in use and staged are what the CA and the device agreed upon.
    fn agrees(&self, store: &Store, confirmed_before: usize) -> Result<(), String> {
        let current = store.current("router").map_err(|e| format!("nothing is in use: {e}"))?.certificate;
        let staged = store.pending("router").ok().map(|identity| identity.certificate);
        let is_confirmed = |certificate: &Certificate| self.ca.confirmed.iter().any(|c| c == certificate.as_der());
        if !is_confirmed(&current) {
            return Err("what is in use was not confirmed".to_owned());
        }
        for confirmed in &self.ca.confirmed[confirmed_before..] {
            if current.as_der() != confirmed.as_slice()
                && staged.as_ref().is_none_or(|staged| staged.as_der() != confirmed.as_slice())
            {
                return Err("a certificate that the CA takes for confirmed is neither in use nor staged".to_owned());
            }
        }
        if self.ca.rejected.iter().any(|rejected| *rejected == current.as_der()) {
            return Err("what was turned down is in use".to_owned());
        }
        Ok(())
    }

    /// What a device does after a restart.
    fn recover(&mut self, store: &Store, confirmed_before: usize, endings: &mut Endings) -> Result<(), String> {
        let words = |what: &'static str| move |e: StoreError| format!("{what}: {e}");
        store.repair().map_err(words("repair"))?;
        is_clean(store)?;
        self.agrees(store, confirmed_before)?;
        let may_be_old = self.ca.confirmed.len() == confirmed_before;
        if store.current("router").map_err(words("current"))?.certificate == self.before
            && !may_be_old
            && store.pending("router").is_err()
        {
            return Err("the old one is in use, and the new one gone".to_owned());
        }

        // Time has passed: the answer is there.
        self.ca.knobs.waiting = 0;
        let later = self.now.plus(600);
        let plan = Arc::new(Plan::none());
        let mut device = Device { now: later, refuses: false };
        let mut line = Line { ca: &mut self.ca, plan: plan.clone(), now: later.unix() };
        match self.client.resume(to(store), &mut line, &mut device) {
            Ok(identity) => {
                endings.resumed += 1;
                if store.current("router").map_err(words("current"))?.certificate != identity.certificate {
                    return Err("what was resumed is not in use".to_owned());
                }
            }
            Err(error) => {
                if error.code() == Code::NotFound {
                    endings.afresh += 1;
                } else {
                    endings.resolved += 1;
                }
                self.agrees(store, confirmed_before).map_err(|e| format!("after resuming ({error}): {e}"))?;
                abandon(to(store)).map_err(|e| format!("abandoning: {e}"))?;
                // The CA's clock has gone on as long as the device has polled.
                let mut line = Line { ca: &mut self.ca, plan, now: device.now.unix() };
                let fresh = self.client.enroll_into(to(store), &new_key(), &subject(), &mut line, &mut device);
                fresh.map_err(|e| format!("afresh, after {error}: {e}"))?;
            }
        }
        let current = store.current("router").map_err(words("current"))?.certificate;
        if !self.ca.confirmed.iter().any(|c| c == current.as_der()) {
            return Err("what is in use in the end was not confirmed".to_owned());
        }
        is_tidy(store)?;
        match store.verify().map_err(words("verify"))?.first() {
            Some(problem) => Err(format!("in the end: {problem:?}")),
            None => Ok(()),
        }
    }
}

/// Tries a story at every call, or at some.
pub fn run(story: usize, is_sealed: bool, effort: Effort) -> (Outcome, Endings) {
    let (name, story) = ALL[story];
    let mut bench = Bench::new(story, is_sealed);
    let (mut outcome, mut endings) = (Outcome::default(), Endings::default());
    let mut dice = Dice::new(name);

    let plan = Arc::new(Plan::none());
    let world = bench.prepared.fork();
    let ended = bench.act(&world.open(&plan).unwrap(), &plan);
    assert_eq!(ended.is_ok(), matches!(story, Story::Enrolment | Story::Renewal), "{name}: {ended:?}");
    let calls = plan.seen();
    outcome.calls = calls.len();

    let begin = if effort.stride == 1 { 1 } else { 1 + dice.below(effort.stride) };
    for at in (begin..=calls.len() + 1).step_by(effort.stride) {
        let mut plans = vec![Fault::Stop];
        // What is only read changes nothing for the one that is stopped there.
        match calls.get(at - 1) {
            Some(call) if call.changes_something => {
                plans.extend([Fault::Fail(EIO), Fault::Fail(ENOSPC), Fault::FailFromHere(ENOSPC)]);
            }
            Some(_) => plans = vec![Fault::Fail(EIO)],
            None => {}
        }
        for fault in plans {
            // Stopped; and with the power lost, too, in some ways.
            let ways = if fault == Fault::Stop { 2 + effort.images.min(6) } else { 1 };
            for way in 0..ways {
                let plan = Arc::new(Plan::new(at, fault));
                let world = bench.prepared.fork();
                let confirmed_before = bench.ca.confirmed.len();
                let store = world.open(&plan);
                let acted = match &store {
                    Ok(store) => bench.act(store, &plan).map(drop),
                    Err(error) => Err(error.clone().into()),
                };
                let label = format!("{name}, {} at call {at} ({}), way {way}", fault.name(), plan.chosen());
                // A process that was stopped holds nothing any more; one whose call failed goes on.
                let store = store.ok().filter(|_| matches!(fault, Fault::Fail(_)));
                let left = match way {
                    0 => world,
                    1 => world.oldest(),
                    _ => world.by_chance(&mut dice),
                };
                match (fault, way) {
                    (Fault::Stop, 0) => outcome.stopped += 1,
                    (Fault::Stop, _) => outcome.power_lost += 1,
                    _ => outcome.failed += 1,
                }
                let store = store.unwrap_or_else(|| left.reopen());
                let recovered = no_secret_is_open(&left).and_then(|()| {
                    let is_done = acted.is_ok() && way > 0;
                    match is_done && store.current("router").is_ok_and(|i| i.certificate == bench.before) {
                        true => Err("a finished enrolment was undone".to_owned()),
                        false => bench.recover(&store, confirmed_before, &mut endings),
                    }
                });
                if let Err(violation) = recovered {
                    outcome.violations.push(format!("{label}: {violation} ({:?})", acted.err().map(|e| e.to_string())));
                }
            }
        }
    }
    (outcome, endings)
}

fn is_tidy(store: &Store) -> Result<(), String> {
    let pending = store.state("router").map_err(|e| e.to_string())?.pending;
    let (keys, operations) = (store.pending_keys().unwrap(), store.operations().unwrap());
    if pending.is_some() || !keys.is_empty() || !operations.is_empty() {
        return Err(format!("left over: {pending:?} {keys:?} {operations:?}"));
    }
    Ok(())
}

fn to(store: &Store) -> Destination<'_> {
    Destination { store, name: "router", purpose: "ldevid" }
}

fn subject() -> Subject {
    Subject::new().name("CN=router-7").unwrap()
}

fn new_key() -> Arc<dyn devid::crypto::PrivateKey> {
    provider().generate_key(KeyKind::P256).unwrap()
}

fn certificate(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

/// The calls that a first enrolment, a polled one and a key update make of device memory when nothing goes wrong, by a process
/// that has just started.
pub fn calls() -> [Vec<super::plan::Seen>; 3] {
    let of = |mut bench: Bench, world: Directory, waits: bool| {
        let plan = Arc::new(Plan::none());
        let store = world.open(&plan).unwrap();
        if waits {
            bench.act(&store, &plan).unwrap();
        } else {
            let mut line = Line { ca: &mut bench.ca, plan: plan.clone(), now: bench.now.unix() };
            let mut device = Device { now: bench.now, refuses: false };
            bench.client.enroll_into(to(&store), &new_key(), &subject(), &mut line, &mut device).unwrap();
        }
        plan.seen()
    };
    let polled = Bench::new(Story::Enrolment, false);
    let update = Bench::new(Story::Renewal, false);
    let (world_polled, world_update) = (polled.prepared.fork(), update.prepared.fork());
    [
        of(Bench::new(Story::Enrolment, false), Directory::new(false, Lies::default()), false),
        of(polled, world_polled, true),
        of(update, world_update, true),
    ]
}

/// Looks after each call at how many files and folders there are, and how many blocks of 4096 bytes they take.
struct Room {
    path: std::path::PathBuf,
    most: std::sync::Mutex<[u64; 2]>,
}

impl Room {
    fn taken(path: &std::path::Path) -> [u64; 2] {
        let mut taken = [0, 0];
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            // What is gone by now takes none.
            let Ok(facts) = entry.metadata() else { continue };
            let below = if facts.is_dir() { Self::taken(&entry.path()) } else { [0, 0] };
            let blocks = if facts.is_dir() { 1 } else { facts.len().div_ceil(4096) };
            taken = [taken[0] + 1 + below[0], taken[1] + blocks + below[1]];
        }
        taken
    }
}

impl Witness for Room {
    fn after(&self, call: &Call<'_>) {
        if call.kind.changes_something() {
            let (taken, mut most) = (Self::taken(&self.path), self.most.lock().unwrap());
            *most = [most[0].max(taken[0]), most[1].max(taken[1])];
        }
    }
}

/// The files and the blocks that a first enrolment, another one and a key update need at most beside what was there.
pub fn room() -> [[u64; 2]; 3] {
    let of = |mut bench: Bench, world: Directory, is_bench: bool| {
        let before = Room::taken(&world.path());
        let room = Arc::new(Room { path: world.path(), most: std::sync::Mutex::new(before) });
        let options = DirectoryOptions { witness: Some(room.clone()), ..DirectoryOptions::default() };
        let home = DirectoryBackend::open(world.path(), options).unwrap();
        let store = Store::new(Box::new(home), provider(), StoreOptions::default());
        let plan = Arc::new(Plan::none());
        if is_bench {
            bench.act(&store, &plan).unwrap();
        } else {
            let mut line = Line { ca: &mut bench.ca, plan, now: bench.now.unix() };
            let mut device = Device { now: bench.now, refuses: false };
            bench.client.enroll_into(to(&store), &new_key(), &subject(), &mut line, &mut device).unwrap();
        }
        let most = *room.most.lock().unwrap();
        [most[0] - before[0], most[1] - before[1]]
    };
    let (polled, update) = (Bench::new(Story::Enrolment, false), Bench::new(Story::Renewal, false));
    let (world_polled, world_update) = (polled.prepared.fork(), update.prepared.fork());
    [
        of(Bench::new(Story::Enrolment, false), Directory::new(false, Lies::default()), false),
        of(polled, world_polled, true),
        of(update, world_update, true),
    ]
}
