//! Keys whose home is away for a while: a token that is pulled out, a service that is not up yet. What the CA has been asked to approve, or
//! has issued, waits for it; what is given up meanwhile leaves no key behind.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Alarm, Done, Standing};
use devid::crypto::{CryptoError, KeyKind, PrivateKey, SignatureAlgorithm};
use devid::store::{KeyMaker, KeyReference, Store};
use devid::{Code, Error, Time};
use zeroize::Zeroizing;

use crate::certificates::provider;
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// How the home of the keys fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It is not there.
    Gone(Code),
    /// Another one is in its place, with another key under the same words.
    Another,
    /// It opens the key, which cannot sign.
    Mute,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Gone(Code::NotFound),
    Trouble::Gone(Code::Signer),
    Trouble::Gone(Code::InvalidArgument),
    Trouble::Gone(Code::WrongSecret),
    Trouble::Another,
    Trouble::Mute,
];

/// Keys outside of device memory, by their references.
#[derive(Default)]
struct Home {
    keys: Mutex<BTreeMap<String, Arc<dyn PrivateKey>>>,
    trouble: Mutex<Option<Trouble>>,
}

impl Home {
    fn trouble(&self) -> Option<Trouble> {
        *self.trouble.lock().unwrap()
    }

    fn check(&self) -> Result<(), Error> {
        match self.trouble() {
            Some(Trouble::Gone(code)) => Err(Error::new(code, "no token fits")),
            _ => Ok(()),
        }
    }

    fn count(&self) -> usize {
        self.keys.lock().unwrap().len()
    }

    fn open(self: &Arc<Self>, reference: &str) -> Result<Arc<dyn PrivateKey>, Error> {
        self.check()?;
        let key = match self.trouble() {
            Some(Trouble::Another) => provider().generate_key(KeyKind::P256)?,
            _ => {
                self.keys.lock().unwrap().get(reference).cloned().ok_or_else(|| Error::new(Code::NotFound, "no key"))?
            }
        };
        Ok(Arc::new(Kept { key, reference: reference.to_owned(), home: Arc::clone(self) }))
    }

    fn new_key(self: &Arc<Self>) -> Result<Arc<dyn PrivateKey>, Error> {
        self.check()?;
        let reference = format!("slot {}", self.count() + 100);
        self.keys.lock().unwrap().insert(reference.clone(), provider().generate_key(KeyKind::P256)?);
        self.open(&reference)
    }

    /// Device memory whose keys are here.
    fn serve(self: &Arc<Self>, store: &Store) {
        let home = Arc::clone(self);
        store.open_keys_with(Arc::new(move |reference: &KeyReference| home.open(&reference.reference).map(Some)));
        store.make_keys_with(Arc::new(Maker(Arc::clone(self))));
    }
}

struct Maker(Arc<Home>);

impl KeyMaker for Maker {
    fn make(&self, _place: &str, _kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        self.0.new_key().map(Some)
    }

    fn destroy(&self, reference: &KeyReference) -> Result<bool, Error> {
        self.0.check()?;
        Ok(self.0.keys.lock().unwrap().remove(&reference.reference).is_some())
    }
}

struct Kept {
    key: Arc<dyn PrivateKey>,
    reference: String,
    home: Arc<Home>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reference)
    }
}

impl PrivateKey for Kept {
    fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    fn kind(&self) -> KeyKind {
        self.key.kind()
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self.home.trouble() {
            None => self.key.sign(algorithm, message),
            Some(_) => Err(CryptoError::External(0, "the token was pulled out".to_owned())),
        }
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn reference(&self) -> Option<&str> {
        Some(&self.reference)
    }
}

/// A device whose keys are elsewhere, an hour after its renewal is due.
fn world() -> (World, Arc<Home>) {
    let home = Arc::<Home>::default();
    let mut world = World::new(false);
    home.serve(&world.store);
    let makes = Arc::clone(&home);
    world.makes_keys = Some(Rc::new(move || makes.new_key()));
    world.until_installed(Odd::Right, 0, "the first");
    let due = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap().renewal_at.unwrap();
    world.later(due.since(world.truth.get()) + 3600);
    world.asked.clear();
    (world, home)
}

fn run(world: &mut World) -> Result<Done, Error> {
    let clock: Option<Time> = Some(world.truth.get());
    let report = world.run(clock);
    world.later(i64::from(report.wait_seconds));
    report.outcome
}

/// A request that waits, and a certificate that is issued and not confirmed.
#[test]
fn what_waits_at_the_ca_goes_on_when_the_home_of_its_key_is_back() {
    for is_staged in [false, true] {
        for trouble in TROUBLES {
            let what = format!("{trouble:?}, staged: {is_staged}");
            let (mut world, home) = world();
            match is_staged {
                true => world.loses = Some(BodyType::CERTCONF),
                false => world.lets_wait = (1, 3600),
            }
            let _ = run(&mut world);
            let staged = world.store.pending("router").ok().map(|identity| identity.certificate);
            assert_eq!(staged.is_some(), is_staged, "{what}");

            *home.trouble.lock().unwrap() = Some(trouble);
            for _ in 0..3 {
                let outcome = run(&mut world);
                assert!(outcome.is_err(), "{what}: {outcome:?}");
            }
            assert_eq!(world.store.operations().unwrap(), ["router"], "{what}: nothing is thrown away");

            *home.trouble.lock().unwrap() = None;
            world.until_installed(Odd::Right, DAY, &what);
            assert_eq!(world.count(BodyType::KUR), 1, "{what}: nobody approves twice");
            if let Some(staged) = staged {
                assert_eq!(world.store.current("router").unwrap().certificate, staged, "{what}");
            }
            assert_eq!(home.count(), 2, "{what}: the key in use and the one before");
        }
    }
}

/// The dark twin: what never comes back is not waited for for ever, but for days.
#[test]
fn a_key_that_stays_away_for_days_ends_the_request_and_not_the_device() {
    for trouble in TROUBLES {
        let (mut world, home) = world();
        world.lets_wait = (1, 3600);
        let _ = run(&mut world);
        let begun = world.truth.get();
        *home.trouble.lock().unwrap() = Some(trouble);
        let mut runs = 0;
        while !matches!(run(&mut world), Ok(Done::Abandoned(_))) {
            runs += 1;
            assert!(runs < 50, "{trouble:?}");
        }
        assert!(world.truth.get().since(begun) > 2 * DAY, "{trouble:?}: after {runs} runs");

        *home.trouble.lock().unwrap() = None;
        world.lets_wait = (0, 30);
        world.until_installed(Odd::Right, 2 * DAY, "asked anew");
        assert_eq!(world.count(BodyType::KUR), 2);
        assert_eq!(home.count(), 2, "{trouble:?}: the key that was given up is destroyed as well");
    }
}

/// The dark twin: what device memory itself has lost is given up at once, and its key is destroyed when its home is back.
#[test]
fn a_request_whose_records_are_lost_is_given_up_at_once_and_leaves_no_key_in_the_token() {
    for loses_key in [false, true] {
        let (mut world, home) = world();
        world.lets_wait = (1, 3600);
        let _ = run(&mut world);
        assert_eq!(home.count(), 2);
        match loses_key {
            // With it goes its name: nobody can know that it was there.
            true => world.store.remove_pending_key("router").unwrap(),
            false => {
                world.store.save_operation("router", b"not what was saved").unwrap();
                *home.trouble.lock().unwrap() = Some(Trouble::Gone(Code::NotFound));
            }
        }
        let outcome = run(&mut world);
        assert!(matches!(outcome, Ok(Done::Abandoned(_))), "{outcome:?}");
        assert_eq!(home.count(), 2, "it could not be reached");

        *home.trouble.lock().unwrap() = None;
        world.lets_wait = (0, 30);
        world.until_installed(Odd::Right, 2 * DAY, "asked anew");
        assert_eq!(home.count(), if loses_key { 3 } else { 2 });
        assert_eq!(world.store.blobs().unwrap().iter().filter(|name| *name == "forgotten-keys").count(), 0);
    }
}

/// A token that was exchanged has no key of before: near the end the factory's credential asks in place of the identity's.
#[test]
fn a_key_that_is_gone_for_good_does_not_hold_a_renewal_up_to_the_end() {
    let (mut world, home) = world();
    home.keys.lock().unwrap().clear();
    let (mut seen, mut outcome) = (Vec::new(), run(&mut world));
    while outcome.is_err() {
        let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
        assert_eq!(plan.standing, Standing::Valid, "{seen:?}");
        seen.push(plan.alarm);
        outcome = run(&mut world);
    }
    assert!(seen.contains(&Alarm::Quiet), "until then the key may come back");
    for _ in 0..20 {
        if matches!(outcome, Ok(Done::Installed(_))) {
            break;
        }
        outcome = run(&mut world);
    }
    assert!(matches!(outcome, Ok(Done::Installed(_))), "{outcome:?}");
    assert_eq!((world.count(BodyType::KUR), world.count(BodyType::IR)), (0, 1));
}
