//! Tries every point of a scenario in a world.

use std::collections::BTreeSet;
use std::sync::Arc;

use devid::store::{StoreErrorKind as Kind, *};

use super::plan::{Dice, EINTR, EIO, ENOSPC, EROFS, Fault, Plan};
use super::scenarios::{Scenario, Sight, see};
use super::world::World;
use crate::common::*;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Every so many calls; 1 is every call.
    pub stride: usize,
    /// Most images after a loss of power at one call, for each kind of file system.
    pub images: usize,
    /// One violation is enough: no further call is tried.
    pub is_enough_with_one: bool,
}

impl Effort {
    pub const EVERYTHING: Effort = Effort { stride: 1, images: 24, is_enough_with_one: false };
    pub const SAMPLE: Effort = Effort { stride: 61, images: 3, is_enough_with_one: false };
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Calls that the scenario makes when nothing goes wrong.
    pub calls: usize,
    pub stopped: usize,
    pub failed: usize,
    pub power_lost: usize,
    /// Stopped, or failed, tried again until it succeeded, and then the power was lost.
    pub tried_again: usize,
    pub violations: Vec<String>,
}

impl Outcome {
    pub fn points(&self) -> usize {
        self.stopped + self.failed + self.power_lost + self.tried_again
    }

    pub fn add(&mut self, other: Outcome) {
        self.calls += other.calls;
        self.stopped += other.stopped;
        self.failed += other.failed;
        self.power_lost += other.power_lost;
        self.tried_again += other.tried_again;
        self.violations.extend(other.violations);
    }
}

/// A scenario in a world, ready to be run again and again.
struct Trial<'a, W> {
    scenario: &'a Scenario,
    prepared: W,
    /// What is seen before the first step and after each.
    sights: Vec<Sight>,
    /// Distinct states that were checked already.
    checked: BTreeSet<(u64, bool)>,
    outcome: Outcome,
}

/// Tries everything; `world` is empty. `damage` truncates or removes records.
pub fn run<W: World>(
    scenario: &Scenario,
    world: W,
    damage: impl Fn(&W, super::scenarios::Damage),
    effort: Effort,
) -> Outcome {
    if let Some(prepare) = scenario.prepare {
        prepare(&world.reopen());
    }
    scenario.damage.iter().for_each(|d| damage(&world, *d));
    let prepared = world.fork();

    let sights = sights_of(scenario, &prepared);
    let plan = Arc::new(Plan::none());
    act(scenario, &prepared.fork(), &plan).0.unwrap();
    let calls = plan.seen();

    let outcome = Outcome { calls: calls.len(), ..Outcome::default() };
    let mut trial = Trial { scenario, prepared, sights, checked: BTreeSet::new(), outcome };
    let mut dice = Dice::new(&format!("{} {}", scenario.name, trial.prepared.name()));
    let begin = if effort.stride == 1 { 1 } else { 1 + dice.below(effort.stride) };
    for at in (begin..=calls.len()).step_by(effort.stride).chain([calls.len() + 1]) {
        if effort.is_enough_with_one && !trial.outcome.violations.is_empty() {
            break;
        }
        trial.stop(at, &mut dice, effort.images);
        let Some(call) = calls.get(at - 1) else { continue };
        let faults: &[Fault] = match call.changes_something {
            true => &[
                Fault::Fail(EIO),
                Fault::Fail(ENOSPC),
                Fault::Fail(EROFS),
                Fault::FailFromHere(ENOSPC),
                Fault::FailFromHere(EROFS),
            ],
            false => &[Fault::Fail(EIO)],
        };
        for fault in faults {
            trial.fail(at, *fault, &mut dice, effort.images);
        }
        trial.fail(at, Fault::Fail(EINTR), &mut dice, 1);
        if call.can_be_short {
            trial.fail(at, Fault::Short, &mut dice, 1);
        }
    }
    trial.outcome
}

/// What is seen before the first step and after each when nothing goes wrong.
pub fn sights_of<W: World>(scenario: &Scenario, prepared: &W) -> Vec<Sight> {
    let clean = prepared.fork();
    let store = clean.reopen();
    let mut sights = vec![see(&store)];
    for step in scenario.steps {
        step(&store).unwrap_or_else(|e| panic!("{}: without a fault: {e}", scenario.name));
        sights.push(see(&store));
    }
    sights
}

/// Opens device memory and does what the scenario does.
fn act<W: World>(scenario: &Scenario, world: &W, plan: &Arc<Plan>) -> (Result<(), StoreError>, Option<Store>) {
    match world.open(plan) {
        Err(error) => (Err(error), None),
        Ok(store) => (scenario.steps.iter().try_for_each(|step| step(&store)), Some(store)),
    }
}

impl<W: World> Trial<'_, W> {
    fn last(&self) -> &str {
        &self.sights.last().unwrap().strict
    }

    fn report(&mut self, label: &str, violation: String) {
        let (name, world) = (self.scenario.name, self.prepared.name());
        self.outcome.violations.push(format!("{name}, {world}, {label}: {violation}"));
    }

    /// The process is stopped at a call; then, separately, the power is lost at that call; then, after a restart, all is
    /// done once more and the power is lost after that.
    fn stop(&mut self, at: usize, dice: &mut Dice, images: usize) {
        let world = self.prepared.fork();
        let plan = Arc::new(Plan::new(at, Fault::Stop));
        let (outcome, store) = act(self.scenario, &world, &plan);
        drop(store);
        let label = format!("stopped at call {at} ({})", plan.chosen());
        let must_be_done = outcome.is_ok();

        if self.checked.insert((world.fingerprint(), must_be_done)) {
            self.outcome.stopped += 1;
            self.check(&label, &world.fork(), must_be_done);
        }
        let label = format!("{label}, power lost");
        for (number, left) in world.after_power_loss(dice, images).into_iter().enumerate() {
            if self.checked.insert((left.fingerprint(), must_be_done)) {
                self.outcome.power_lost += 1;
                self.check(&format!("{label}, image {number}"), &left, must_be_done);
            }
        }

        let label = format!("stopped at call {at} ({}), done again, power lost", plan.chosen());
        let store = world.reopen();
        self.finish(&label, &world, &store, dice, images);
    }

    /// A call fails; the next ones work. The same handle tries again.
    fn fail(&mut self, at: usize, fault: Fault, dice: &mut Dice, images: usize) {
        let world = self.prepared.fork();
        let plan = Arc::new(Plan::new(at, fault));
        let (outcome, store) = act(self.scenario, &world, &plan);
        let label = format!("{} at call {at} ({})", fault.name(), plan.chosen());
        if let Err(error) = &outcome {
            if !self.is_fitting(fault, error) {
                self.report(&label, format!("unfitting error {error:?}"));
            }
        }
        if self.checked.insert((world.fingerprint(), outcome.is_ok())) {
            self.check(&label, &world.fork(), outcome.is_ok());
        }
        self.outcome.failed += 1;
        // Nothing is left to be done where the medium stays broken, or nothing was noticed.
        let is_unnoticed = matches!(fault, Fault::Fail(EINTR) | Fault::Short) && outcome.is_ok();
        if matches!(fault, Fault::FailFromHere(_)) || is_unnoticed {
            return;
        }
        if let Some(store) = store {
            self.finish(&format!("{label}, done again, power lost"), &world, &store, dice, images.min(6));
        }
    }

    /// Interrupted and short calls are not noticed; others are reported as what they are.
    fn is_fitting(&self, fault: Fault, error: &StoreError) -> bool {
        let is_directory = self.prepared.name().starts_with("directory");
        match fault {
            Fault::Fail(EINTR) if is_directory => false,
            Fault::Short => false,
            Fault::Fail(ENOSPC) | Fault::FailFromHere(ENOSPC) => {
                matches!(error.kind, Kind::Full | Kind::VerifyAfterWrite)
            }
            Fault::Fail(EROFS) | Fault::FailFromHere(EROFS) => {
                matches!(error.kind, Kind::Permission | Kind::VerifyAfterWrite)
            }
            Fault::Fail(EIO) => matches!(error.kind, Kind::Io | Kind::VerifyAfterWrite),
            _ => true,
        }
    }

    /// Does what is not done yet. What was seen as done, or reported as done, stays done when the power is lost.
    fn finish(&mut self, label: &str, world: &W, store: &Store, dice: &mut Dice, images: usize) {
        let done = if see(store).strict == self.last() {
            touch_every_part(store)
        } else {
            let again = |step: &super::scenarios::Scenario| {
                step.steps.iter().try_for_each(|step| match step(store) {
                    Err(e) if matches!(e.kind, Kind::NotFound | Kind::Exists) => Ok(()),
                    outcome => outcome,
                })
            };
            again(self.scenario)
        };
        if let Err(error) = done {
            self.report(label, format!("trying again: {error}"));
            return;
        }
        for (number, left) in world.after_power_loss(dice, images).into_iter().enumerate() {
            if self.checked.insert((left.fingerprint(), true)) {
                self.outcome.tried_again += 1;
                self.check(&format!("{label}, image {number}"), &left, true);
            }
        }
    }

    fn check(&mut self, label: &str, world: &W, must_be_done: bool) {
        if let Err(violation) = check(self.scenario, &self.sights, world, must_be_done) {
            self.report(label, violation);
        }
    }
}

/// Calls that succeed, one for each part of device memory: what was seen there is durable from then on.
fn touch_every_part(store: &Store) -> Result<(), StoreError> {
    store.put_blob("touch", b"a call that succeeds")?;
    store.remove_blob("touch")?;
    for name in
        ["device", "tls"].into_iter().filter(|name| !store.pending_keys().unwrap().contains(&(*name).to_owned()))
    {
        store.remove_pending_key(name)?;
    }
    store.remove_operation("touch")?;
    store.remove_number("touch")?;
    for set in AnchorSet::ALL {
        store.set_anchors(set, &store.anchors(set)?)?;
    }
    for label in store.pending_keys()? {
        if let Some(request) = store.pending_request(&label)? {
            store.put_pending_request(&label, &request)?;
        }
    }
    match store.last_known_time()? {
        Some(known) => store.note_time(known).map(drop),
        None => Ok(()),
    }
}

/// Everything that must hold after a restart.
pub fn check<W: World>(scenario: &Scenario, sights: &[Sight], world: &W, must_be_done: bool) -> Result<(), String> {
    if !scenario.damage.iter().any(|d| matches!(d, super::scenarios::Damage::Open(_))) {
        no_secret_is_open(world)?;
    }
    let store = world.open(&Arc::new(Plan::none())).map_err(|e| format!("device memory does not open: {e}"))?;
    let stage = is_one_of(scenario, sights, &store, must_be_done, "after the restart")?;
    keys_work(&store)?;

    // What was left behind is put right, and a second look finds nothing.
    let mended = store.repair().map_err(|e| format!("repair: {e}"))?;
    if let Some(problem) = mended.iter().find(|p| !p.is_mended && p.kind != ProblemKind::Unresolved) {
        return Err(format!("repair leaves {problem:?}"));
    }
    is_clean(&store)?;
    no_secret_is_open(world)?;
    let repaired = is_one_of(scenario, sights, &store, must_be_done, "after repair")?;
    if repaired < stage {
        return Err(format!("repair went back from {:?} to {:?}", sights[stage].strict, sights[repaired].strict));
    }

    // And life goes on.
    if store.state("device").map_err(|e| e.to_string())?.pending.is_some() {
        store.discard("device").map_err(|e| format!("discarding: {e}"))?;
    }
    let before = store.current("device").ok();
    store.install("device", &issued(6).new_identity()).map_err(|e| format!("the next installation: {e}"))?;
    let (current, previous) = (store.current("device").map_err(|e| e.to_string())?, store.previous("device").ok());
    if !issued(6).is(&current) || before.map(|b| b.generation) != previous.map(|p| p.generation) {
        return Err("the next installation did not take the place of the one in use".to_owned());
    }
    is_clean(&store)?;
    for label in store.pending_keys().map_err(|e| e.to_string())? {
        store.remove_pending_key(&label).map_err(|e| format!("removing {label}: {e}"))?;
    }
    drop(store);
    no_secret_is_left(world)
}

/// One of the sights between two steps, and which one.
fn is_one_of(
    scenario: &Scenario,
    sights: &[Sight],
    store: &Store,
    must_be_done: bool,
    when: &str,
) -> Result<usize, String> {
    let seen = see(store);
    let stage = sights.iter().rposition(|s| s.strict == seen.strict);
    let Some(stage) = stage.filter(|stage| !must_be_done || sights[*stage].strict == sights[sights.len() - 1].strict)
    else {
        let expected = if must_be_done { &sights[sights.len() - 1..] } else { sights };
        return Err(format!(
            "{when}: {:?}, expected one of {:?}",
            seen.strict,
            expected.iter().map(|s| &s.strict).collect::<Vec<_>>()
        ));
    };
    // A key or request that waits is one that waited before or after some step, and is whole.
    if let Some(strange) = seen.waiting.iter().find(|w| !sights.iter().any(|s| s.waiting.contains(w))) {
        return Err(format!("{when}: {strange}"));
    }
    (scenario.always)(store).map_err(|e| format!("{when}: {e}"))?;
    Ok(stage)
}

/// The keys of what is in use sign for their certificates.
fn keys_work(store: &Store) -> Result<(), String> {
    for name in store.identities().map_err(|e| e.to_string())? {
        let Ok((found, _)) = store.last_good(&name) else { continue };
        let number = (1..=7).find(|n| issued(*n).certificate == found.certificate);
        let certified = number.ok_or_else(|| format!("{name}: a certificate that nobody issued"))?;
        if let Some(held) = found.key.held() {
            let algorithm = held.kind().default_signature();
            let signature = held.sign(&algorithm, b"still me").map_err(|e| format!("{name}: {e}"))?;
            let verified = provider().verify(&algorithm, key(certified).spki(), b"still me", &signature, false);
            verified.map_err(|e| format!("{name}: the key does not fit its certificate: {e}"))?;
        }
    }
    Ok(())
}

pub fn is_clean(store: &Store) -> Result<(), String> {
    let left = store.verify().map_err(|e| format!("verify: {e}"))?;
    match left.iter().find(|p| p.kind != ProblemKind::Unresolved) {
        Some(problem) => Err(format!("verify finds {problem:?}")),
        None => Ok(()),
    }
}

/// Nobody else can read anything; a sealed home holds no key in the clear, not even for a moment.
pub fn no_secret_is_open<W: World>(world: &W) -> Result<(), String> {
    for (name, bytes, is_open) in world.contents() {
        if is_open {
            return Err(format!("{name} can be read by others"));
        }
        if let Some(number) = secret_in(&bytes).filter(|_| world.is_sealed()) {
            return Err(format!("{name} holds key {number} in the clear"));
        }
    }
    Ok(())
}

/// Private keys are in key.pem of generations only, there are not more of these than are kept, and nothing is left over.
fn no_secret_is_left<W: World>(world: &W) -> Result<(), String> {
    let mut keys = 0;
    for (name, bytes, _) in world.contents() {
        if name.contains(".tmp-") || name.ends_with('~') {
            return Err(format!("{name} is left"));
        }
        let is_key = name.starts_with("identity/device/gen-") && name.ends_with("/key.pem");
        keys += usize::from(is_key);
        if let Some(number) = secret_in(&bytes).filter(|_| !is_key && !name.starts_with("identity/tls/")) {
            return Err(format!("key {number} is left in {name}"));
        }
    }
    if keys > 2 { Err(format!("{keys} keys are kept")) } else { Ok(()) }
}

/// The number of the key whose private half is in there.
fn secret_in(bytes: &[u8]) -> Option<usize> {
    use std::sync::OnceLock;
    static NEEDLES: OnceLock<Vec<String>> = OnceLock::new();
    let needles = NEEDLES.get_or_init(|| {
        let needle = |number| {
            let pkcs8 = key(number).to_pkcs8().unwrap();
            let pem = devid::asn1::pem::encode("PRIVATE KEY", &pkcs8).to_string();
            // The scalar is in the first line and begins at its 49th character.
            pem.lines().nth(1).unwrap()[48..].to_owned()
        };
        (0..8).map(needle).collect()
    });
    let text = String::from_utf8_lossy(bytes);
    needles.iter().position(|needle| text.contains(needle.as_str()))
}
