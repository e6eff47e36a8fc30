//! A key behind a callback that fails once, at each of its calls: that is no word of the CA's and none against its certificate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use devid::asn1::x509::Certificate;
use devid::client::{Binding, Client, Continued, Destination};
use devid::cmp::{ActionKind, CertificateRequest, Operation, Possession, RequestKind, Signer};
use devid::crypto::keys::load_private_key;
use devid::crypto::{CryptoError, ExternalKey, KeyKind, PrivateKey};
use devid::store::Store;
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::{Class, Code, Error};
use devid_testca::KeyType;

use crate::certificates::provider;
use crate::encrypted::{Bench, By, Patience, subject};

/// What the keys' home does at one of its calls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// It is away, once.
    Away(usize),
    /// It is away from this call on, for so many.
    AwayFrom(usize, usize),
    /// Decryption and agreement give something else.
    Wrong,
    /// Decryption and agreement say that it is nothing of theirs.
    Refusing,
}

/// The home of all keys of a device.
struct Home {
    at: At,
    calls: AtomicUsize,
}

impl Home {
    fn new(at: At) -> Arc<Self> {
        Arc::new(Home { at, calls: AtomicUsize::new(0) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn ask(&self) -> Result<(), CryptoError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let is_away = match self.at {
            At::Away(at) => call == at,
            At::AwayFrom(at, count) => (at..at + count).contains(&call),
            At::Wrong | At::Refusing => false,
        };
        // Its own number, or none.
        let number = if call % 2 == 0 { 0 } else { -10_007 };
        if is_away { Err(CryptoError::External(number, "the token is away".to_owned())) } else { Ok(()) }
    }

    fn opened<B: From<Vec<u8>>>(&self, opened: B) -> Result<B, CryptoError> {
        match self.at {
            At::Wrong => Ok(B::from(vec![0x55; 32])),
            At::Refusing => Err(CryptoError::Decrypt),
            At::Away(_) | At::AwayFrom(..) => Ok(opened),
        }
    }

    fn key(self: &Arc<Self>, inner: &Arc<dyn PrivateKey>) -> Arc<dyn PrivateKey> {
        let ((a, b, c), (x, y, z)) =
            ((inner.clone(), inner.clone(), inner.clone()), (self.clone(), self.clone(), self.clone()));
        let key = ExternalKey::new(inner.spki(), move |algorithm, message| {
            x.ask()?;
            a.sign(algorithm, message)
        });
        let key = key.unwrap().with_decrypt(move |scheme, ciphertext| {
            y.ask()?;
            y.opened(b.decrypt(scheme, ciphertext)?)
        });
        Arc::new(key.with_agree(move |point| {
            z.ask()?;
            z.opened(c.agree(point)?)
        }))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// A certificate over a key that signs.
    Signing,
    /// One over a key that the CA makes.
    Central,
    /// One that comes encrypted.
    Encrypted,
    /// One that is given for the answer to a challenge.
    Challenge,
}

/// Who goes on after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// The same operation, a day later.
    Step,
    /// What was saved then, two days later.
    Saved,
    /// Another process, from device memory.
    Bound,
}

/// A key of the device's. RSA keys take long to make: there is one for all.
fn own_key(by: By) -> Arc<dyn PrivateKey> {
    static RSA: OnceLock<Arc<dyn PrivateKey>> = OnceLock::new();
    match by {
        By::Rsa => RSA.get_or_init(|| provider().generate_key(KeyKind::Rsa(2048)).unwrap()).clone(),
        By::Ec | By::Secret => provider().generate_key(KeyKind::P256).unwrap(),
    }
}

const PLACE: &str = "router";

struct Story {
    bench: Bench,
    client: Client,
    home: Arc<Home>,
    /// The new key, where it is ours.
    own: Option<Signer>,
    request: CertificateRequest,
}

impl Story {
    fn new(by: By, wanted: Wanted, kind: RequestKind, at: At, knobs: &[(&str, &str)]) -> Self {
        let mut bench = Bench::new(by).knob("waiting", "1").knob("confirm-waiting", "1");
        for (knob, value) in knobs {
            bench = bench.knob(knob, value);
        }
        let home = Home::new(at);
        let mut old = None;
        if by != By::Secret {
            let key = if by == By::Rsa { KeyType::Rsa2048 } else { KeyType::P256 };
            let idevid = bench.ca.idevid("device 1", key, bench.now.unix());
            let mut key = load_private_key(&**provider(), &idevid.key.pkcs8, None).unwrap();
            let mut certificate = Certificate::from_der(&idevid.certificate).unwrap();
            if kind == RequestKind::KeyUpdate {
                bench.config.protect_with_certificate(Signer::Key(key.clone()), certificate, Vec::new());
                key = own_key(by);
                let first = bench.client().enroll(Signer::Key(key.clone()), &subject()).unwrap();
                certificate = bench.complete(first).unwrap().certificate;
                bench.ca.received.clear();
                bench.ca.confirmed.clear();
            }
            bench.config.protect_with_certificate(Signer::Key(home.key(&key)), certificate.clone(), Vec::new());
            old = Some(certificate);
        }
        bench.config.tolerance.set("pkcs1_key_transport", true).unwrap();
        bench.config.tolerance.set("encrypted_value", true).unwrap();
        let own = (wanted != Wanted::Central).then(|| home.key(&own_key(by)));
        let own = own.map(Signer::Key);
        let template = || subject().to_template().unwrap();
        let mut request = match (&own, kind, &old) {
            (Some(key), RequestKind::KeyUpdate, Some(old)) => CertificateRequest::key_update(key.clone(), old).unwrap(),
            (None, RequestKind::KeyUpdate, Some(old)) => {
                CertificateRequest::central_key_update(Some(KeyKind::P256), old).unwrap()
            }
            (Some(key), ..) => CertificateRequest::new(kind, key.clone(), template()),
            (None, ..) => CertificateRequest::central(kind, Some(KeyKind::P256), template()),
        };
        match wanted {
            Wanted::Encrypted => request.possession = Possession::EncryptedCertificate,
            Wanted::Challenge => request.possession = Possession::Challenge,
            Wanted::Signing | Wanted::Central => {}
        }
        let client = bench.client();
        Story { bench, client, home, own, request }
    }

    /// Steps on, whatever of its own the device cannot do, as long as the operation goes on; how often that was.
    fn run(&mut self, next: Next) -> Result<usize, (Error, usize)> {
        let store = Store::in_memory(provider().clone());
        let to = Destination { store: &store, name: PLACE, purpose: "ldevid" };
        let mut operation = self.client.operation(self.request.clone()).unwrap();
        let reference = self.own.as_ref().map(|_| "chip:1");
        let mut binding = (next == Next::Bound).then(|| Binding::begin(to, &mut operation, reference).unwrap());
        let mut failures = 0;
        loop {
            let now = self.bench.now;
            let stepped = match &mut binding {
                Some(binding) => binding.step(&mut operation, now, &mut |_, _| ()).map(Option::unwrap),
                None => operation.step(now).map(|action| action.kind()),
            };
            match stepped {
                Err(error) if operation.has_failed() => return Err((error, failures)),
                Err(error) => {
                    failures += 1;
                    assert!(failures < 60, "{next:?} goes on for ever: {error}, {:?}", operation.action());
                    let class = error.class();
                    assert!(matches!(class, Class::Crypto | Class::Application), "{error}");
                    assert!(error.message().contains("the external key failed: the token is away"), "{error}");
                    let asked = operation.action().map(|action| action.kind());
                    assert!(matches!(asked, None | Some(ActionKind::Wait)), "nothing is to be sent again: {asked:?}");
                    self.bench.now = now.plus(86_400);
                    (operation, binding) = self.later(next, to, operation, binding);
                }
                Ok(ActionKind::Send) => {
                    let answer = self.bench.ca.answer(operation.output().unwrap(), now.unix());
                    operation.feed(&answer).unwrap();
                }
                Ok(ActionKind::Wait) => {
                    self.bench.now = now.plus(i64::from(crate::mock_ca::wait_seconds(&operation)));
                }
                Ok(ActionKind::Accept) => match &mut binding {
                    Some(binding) => binding.accept(&mut operation).unwrap(),
                    None => operation.accept().unwrap(),
                },
                Ok(ActionKind::Done) => break,
                Ok(other) => panic!("{other:?}"),
            }
        }
        if binding.is_some() {
            assert_eq!(store.current(PLACE).unwrap().certificate, operation.issued().unwrap().certificate);
        }
        Ok(failures)
    }

    /// The operation as whoever goes on has it.
    fn later(
        &mut self,
        next: Next,
        to: Destination<'_>,
        operation: Operation,
        binding: Option<Binding>,
    ) -> (Operation, Option<Binding>) {
        match next {
            Next::Saved if operation.save().is_ok() => {
                let saved = operation.save().unwrap();
                self.bench.now = self.bench.now.plus(86_400);
                let made = operation.issued().and_then(|issued| issued.private_key.clone()).map(Signer::Key);
                let restored = match self.own.clone().or(made) {
                    Some(key) => self.client.restore(key, &saved),
                    None => self.client.restore_keyless(&saved),
                };
                (restored.unwrap(), None)
            }
            Next::Bound if to.unfinished().unwrap().is_some() => {
                drop((operation, binding));
                match Binding::resume(to, &self.client, self.own.clone()).unwrap() {
                    (Continued::Operation(operation), binding) => (*operation, Some(binding)),
                    (Continued::Installed(_), _) => panic!("not done yet"),
                }
            }
            _ => (operation, binding),
        }
    }
}

fn each_call_of(by: By, wanted: Wanted, kind: RequestKind, next: Next, knobs: &[(&str, &str)]) {
    let mut undisturbed = Story::new(by, wanted, kind, At::Away(usize::MAX), knobs);
    assert_eq!(undisturbed.run(next).unwrap(), 0);
    let calls = undisturbed.home.calls();
    assert!(calls >= usize::from(by != By::Secret || wanted != Wanted::Central), "{calls}");
    for call in 0..calls {
        let about = || format!("{by:?}, {wanted:?}, {kind:?}, {next:?}, {knobs:?}: call {call} of {calls}");
        let mut story = Story::new(by, wanted, kind, At::Away(call), knobs);
        let failures = story.run(next).unwrap_or_else(|(error, _)| panic!("{}: {error}", about()));
        assert_eq!(failures, 1, "{}", about());
        assert_eq!(story.bench.ca.bodies(), undisturbed.bench.ca.bodies(), "{}", about());
        assert_eq!((story.bench.ca.rejected.len(), story.bench.ca.confirmed.len()), (0, 1), "{}", about());
        assert_eq!(story.bench.ca.complaints(), [""; 0], "{}", about());
    }
}

const KINDS: [RequestKind; 3] = [RequestKind::Initial, RequestKind::Further, RequestKind::KeyUpdate];
const WAYS: [Next; 3] = [Next::Step, Next::Saved, Next::Bound];

#[test]
fn a_key_that_fails_at_any_one_call_costs_a_step_and_nothing_else() {
    for next in WAYS {
        KINDS.into_iter().for_each(|kind| each_call_of(By::Ec, Wanted::Central, kind, next, &[]));
    }
    for (at, wanted) in [Wanted::Signing, Wanted::Encrypted, Wanted::Challenge].into_iter().enumerate() {
        for (way, next) in WAYS.into_iter().enumerate() {
            each_call_of(By::Ec, wanted, KINDS[(at + way) % KINDS.len()], next, &[]);
        }
        each_call_of(By::Secret, wanted, RequestKind::Initial, WAYS[at], &[]);
    }
}

#[test]
fn so_does_one_that_decrypts_in_every_form() {
    let old = [("encrypted-value", "1")];
    for (wanted, knobs) in [
        (Wanted::Central, &[][..]),
        (Wanted::Central, &[("pkcs1-transport", "1")]),
        (Wanted::Central, &old),
        (Wanted::Encrypted, &[]),
        (Wanted::Encrypted, &old),
        (Wanted::Challenge, &old),
    ] {
        for (next, kind) in WAYS.into_iter().zip(KINDS) {
            each_call_of(By::Rsa, wanted, kind, next, knobs);
        }
    }
}

/// The dark twin: a key that has answered is a word against what came.
#[test]
fn a_key_that_opens_something_else_or_nothing_is_no_key_that_is_away() {
    for by in [By::Rsa, By::Ec] {
        for at in [At::Wrong, At::Refusing] {
            let mut story = Story::new(by, Wanted::Central, RequestKind::Initial, at, &[]);
            let (error, failures) = story.run(Next::Bound).unwrap_err();
            assert_eq!((error.code(), failures), (Code::Decrypt, 0), "{by:?} {at:?}: {error}");
            assert_eq!((story.bench.ca.rejected.len(), story.bench.ca.confirmed.len()), (1, 0), "{by:?} {at:?}");
            let mut story = Story::new(by, Wanted::Encrypted, RequestKind::Initial, at, &[]);
            let (error, failures) = story.run(Next::Step).unwrap_err();
            assert_eq!((error.code(), failures), (Code::Decrypt, 0), "{by:?} {at:?}: {error}");
        }
    }
}

/// Also for longer than an operation may take: the certificate is there.
#[test]
fn a_key_that_stays_away_is_waited_for() {
    const DAYS: usize = 50;
    for next in WAYS {
        // It signs ir, opens the key that has come, and signs certConf; it comes back before the CA is asked again.
        for call in 0..3 {
            let at = At::AwayFrom(call, DAYS);
            let mut story = Story::new(By::Ec, Wanted::Central, RequestKind::Initial, at, &[("waiting", "0")]);
            assert_eq!(story.run(next).unwrap_or_else(|(error, _)| panic!("{next:?} {call}: {error}")), DAYS);
            assert_eq!((story.bench.ca.rejected.len(), story.bench.ca.confirmed.len()), (0, 1), "{next:?} {call}");
            assert_eq!(story.bench.ca.bodies().iter().filter(|body| **body == "ir").count(), 1, "{next:?} {call}");
        }
    }
}

struct Line<'a>(&'a mut Bench);

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        Ok(Reply::from_body(self.0.ca.answer(request, self.0.now.unix())))
    }
}

#[test]
fn what_is_run_into_device_memory_is_resumed_from_the_answer_that_could_not_be_opened() {
    let wanted = (RequestKind::Initial, Some(KeyKind::P256));
    for call in 0..5 {
        let mut story = Story::new(By::Ec, Wanted::Central, RequestKind::Initial, At::Away(call), &[]);
        let (client, now) = (story.client.clone(), story.bench.now);
        let store = Store::in_memory(provider().clone());
        let to = Destination { store: &store, name: PLACE, purpose: "ldevid" };
        let mut line = Line(&mut story.bench);
        let first = client.enroll_central_into(to, wanted, &subject(), &mut line, &mut Patience(now));
        assert!(first.unwrap_err().message().contains("the external key failed"), "call {call}");
        let again = match to.unfinished().unwrap() {
            Some(_) => client.resume(to, &mut line, &mut Patience(now)),
            None => client.enroll_central_into(to, wanted, &subject(), &mut line, &mut Patience(now)),
        };
        again.unwrap_or_else(|error| panic!("call {call}: {error}"));
        let bodies = story.bench.ca.bodies();
        assert_eq!(bodies.iter().filter(|body| **body == "ir").count(), 1, "call {call}: {bodies:?}");
        assert_eq!((story.bench.ca.rejected.len(), story.bench.ca.confirmed.len()), (0, 1), "call {call}");
    }
}
