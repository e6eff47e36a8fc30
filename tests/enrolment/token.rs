//! Enrolment and key update with keys in a PKCS#11 token, by a CA that has a decoder of its own.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::{Client, Config, Destination, Owner, Planner, Renewal, Subject, open_token_keys};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::pkcs11::{TokenKey, forget_refused_pins};
use devid::crypto::{KeyKind, PrivateKey};
use devid::store::{Store, StoreOptions};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Code, Error, Time};
use devid_testca::{KeyType, Options, TestCa};

use crate::certificates::provider;
use crate::softhsm::{PIN, module, new_key, pin};

struct Line<'a>(&'a mut TestCa, Time);

/// After so many exchanges the line is dead.
struct ShortLine<'a>(Line<'a>, u32);

impl Exchange for ShortLine<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.1 == 0 {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        self.1 -= 1;
        self.0.exchange(request, limits)
    }
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        Ok(Reply::from_body(self.0.answer(request, self.1.unix())))
    }
}

struct AtOnce(Time);

impl Owner for AtOnce {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, _seconds: u32, _reason: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

fn client(ca: &TestCa, key: Arc<dyn PrivateKey>, certificate: Certificate, chain: Vec<Certificate>) -> Client {
    let mut config = Config::new();
    config.protect_with_certificate(Signer::Key(key), certificate, chain);
    let root = Certificate::from_der(&ca.root.certificate).unwrap();
    config.cmp_anchors.add(root.clone());
    config.enrolment_anchors.add(root);
    config.build().unwrap()
}

/// The client of a device as it comes from its factory, with a key in software.
fn with_idevid(ca: &mut TestCa, now: Time) -> Client {
    let idevid = ca.idevid("device 1", KeyType::P256, now.unix());
    let key = devid::crypto::keys::load_private_key(&**provider(), &idevid.key.pkcs8, None).unwrap();
    client(ca, key, Certificate::from_der(&idevid.certificate).unwrap(), Vec::new())
}

#[test]
fn a_device_with_its_keys_in_a_token_enrols_restarts_and_renews() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    for kind in [KeyKind::P256, KeyKind::Rsa(2048)] {
        let options = Options::default();
        let now = Time::from_unix(options.now);
        let mut ca = TestCa::new(options);
        let home = std::env::temp_dir().join(format!("devid-token-{}-{kind}", std::process::id()));
        let open = || Store::open_directory(&home, provider().clone(), StoreOptions::default()).unwrap();
        let new = |name: &str| -> Arc<dyn PrivateKey> { Arc::new(new_key(&format!("{name}-{kind}"), kind).unwrap()) };

        let enrolling = with_idevid(&mut ca, now);
        let subject = Subject::new().name("CN=router-7").unwrap();
        {
            let store = open();
            let to = Destination { store: &store, name: "router", purpose: "ldevid" };
            let (mut line, key) = (Line(&mut ca, now), new("enrolled"));
            let identity = enrolling.enroll_into(to, &key, &subject, &mut line, &mut AtOnce(now)).unwrap();
            assert_eq!(identity.key.spki(), key.spki());
        }

        // The program starts anew: device memory says which key it was.
        let store = open();
        let identity = store.current("router").unwrap();
        let Signer::Deferred(reference) = &identity.key else { panic!("the key left its token") };
        let key = Arc::new(TokenKey::open(Some(module), &reference.reference, pin(PIN)).unwrap());
        let renewing = client(&ca, key, identity.certificate.clone(), identity.chain.clone());
        let to = Destination { store: &store, name: "router", purpose: "ldevid" };
        let next = new("renewed");
        let renewed = renewing.renew_into(to, &next, &mut Line(&mut ca, now), &mut AtOnce(now));
        let renewed = renewed.unwrap_or_else(|error| panic!("{kind}: {error} {:?}", ca.complaints()));
        assert_eq!((renewed.generation, renewed.key.spki()), (2, next.spki()));
        assert_eq!(ca.confirmed.len(), 2);
        drop(store);
        std::fs::remove_dir_all(&home).unwrap();
    }
}

/// A token has room for few keys: what device memory does not name any more is not there either, by whichever way it was renewed.
#[test]
fn keys_of_generations_that_are_gone_are_gone_from_the_token_as_well() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let options = Options::default();
    let now = Time::from_unix(options.now);
    let mut ca = TestCa::new(options);
    let store = Store::in_memory(provider().clone());
    open_token_keys(&store, Some(module), pin(PIN));
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let mut by = with_idevid(&mut ca, now);
    let mut made = Vec::new();
    for generation in 1..=5 {
        let key = store.make_key("router", "pkcs11:token=device;object=piled", KeyKind::P256).unwrap().unwrap();
        made.push(key.reference().unwrap().to_owned());
        let (mut line, mut owner) = (Line(&mut ca, now), AtOnce(now));
        let identity = match generation {
            1 => by.enroll_into(to, &key, &Subject::new().name("CN=router-7").unwrap(), &mut line, &mut owner),
            _ => by.renew_into(to, &key, &mut line, &mut owner),
        };
        let identity = identity.unwrap();
        by = client(&ca, key, identity.certificate.clone(), identity.chain.clone());
        let left = made.iter().filter(|uri| TokenKey::open(Some(module), uri, pin(PIN)).is_ok()).count();
        assert_eq!(left, generation.min(2), "the one in use and the one before");
    }
    // The dark twin: a renewal that comes to nothing leaves no key, and takes none.
    let key = store.make_key("router", "pkcs11:token=device;object=piled", KeyKind::P256).unwrap().unwrap();
    let refused = key.reference().unwrap().to_owned();
    ca.knobs.status = 2;
    by.renew_into(to, &key, &mut Line(&mut ca, now), &mut AtOnce(now)).unwrap_err();
    assert!(TokenKey::open(Some(module), &refused, pin(PIN)).is_err());
    assert!(made[3..].iter().all(|uri| TokenKey::open(Some(module), uri, pin(PIN)).is_ok()));
}

#[test]
fn an_enrolment_that_was_interrupted_finds_its_key_in_the_token_by_itself() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let options = Options::default();
    let now = Time::from_unix(options.now);
    let mut ca = TestCa::new(options);
    let factory: Arc<dyn PrivateKey> = Arc::new(new_key("factory", KeyKind::P256).unwrap());
    let client = with_idevid(&mut ca, now);
    let store = Store::in_memory(provider().clone());
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let subject = Subject::new().name("CN=router-7").unwrap();
    for exchanges in 0..2 {
        let mut line = ShortLine(Line(&mut ca, now), exchanges);
        let error = match exchanges {
            0 => client.enroll_into(to, &factory, &subject, &mut line, &mut AtOnce(now)).unwrap_err(),
            _ => client.resume(to, &mut line, &mut AtOnce(now)).unwrap_err(),
        };
        assert_eq!(error.code(), Code::Connect, "{error}");
    }
    // Nobody had said how keys in tokens are opened. Now the program does.
    open_token_keys(&store, Some(module), pin(PIN));
    let identity = client.resume(to, &mut Line(&mut ca, now), &mut AtOnce(now)).unwrap();
    assert_eq!(identity.key.spki(), factory.spki());
    let key = store.open_key(&identity.key).unwrap().expect("opened");
    assert!(key.sign(&key.kind().default_signature(), b"m").is_ok());

    // Another key under the same words is not taken for it.
    let other = new_key("other", KeyKind::P256).unwrap().reference().unwrap().to_owned();
    let reference = devid::store::KeyReference::new(other, factory.spki().to_vec()).unwrap();
    let refused = store.open_key(&Signer::Deferred(reference)).unwrap_err();
    assert_eq!(refused.code(), Code::KeyMismatch);
    let elsewhere = devid::store::KeyReference::new("slot 1", factory.spki().to_vec()).unwrap();
    assert!(store.open_key(&Signer::Deferred(elsewhere)).unwrap().is_none(), "not a URI of a token");
}

#[test]
fn the_key_to_log_in_with_may_lie_in_a_token() {
    use std::os::unix::fs::PermissionsExt;

    use devid::client::device::{Device, Loaded, judge, load};
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let options = Options::default();
    let now = Time::from_unix(options.now);
    let mut ca = TestCa::new(options);
    let first = with_idevid(&mut ca, now);
    let (store, key): (_, Arc<dyn PrivateKey>) =
        (Store::in_memory(provider().clone()), Arc::new(new_key("to-log-in-with", KeyKind::P256).unwrap()));
    let subject = Subject::new().name("CN=router-7").unwrap();
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let identity = first.enroll_into(to, &key, &subject, &mut Line(&mut ca, now), &mut AtOnce(now)).unwrap();

    let folder = std::env::temp_dir().join(format!("devid-token-login-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("device.cer"), identity.certificate.as_der()).unwrap();
    std::fs::write(folder.join("root.cer"), &ca.root.certificate).unwrap();
    std::fs::write(folder.join("pin"), PIN).unwrap();
    std::fs::set_permissions(folder.join("pin"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = |uri: &str| -> Loaded {
        let text = format!(
            "[device]\nmemory = \"memory\"\npkcs11 = {{ module = {module:?}, pin = \"file:pin\" }}\n[ca]\nserver = \"http://127.0.0.1:1/\"\n\
             trust.all = [\"root.cer\"]\n[ca.login]\nkey = \"{uri}\"\ncertificates = \"device.cer\"\n[identity.device]\nsubject = \"CN=a\"\n"
        );
        std::fs::write(folder.join("devid.toml"), text).unwrap();
        load(Some(&folder.join("devid.toml")), &[], None).unwrap()
    };
    let fails =
        |loaded: &Loaded| judge(loaded).into_iter().filter(|one| one.fails).map(|one| one.words).collect::<Vec<_>>();

    let loaded = settings("pkcs11:token=device;object=to-log-in-with");
    assert_eq!(fails(&loaded), Vec::<String>::new());
    let config = Device::open(&loaded, true).unwrap().config(true).unwrap();
    let mut operation = config
        .build()
        .unwrap()
        .enroll(Signer::Key(new_key("asked-for", KeyKind::P256).map(Arc::new).unwrap()), &subject)
        .unwrap();
    operation.step(now).unwrap();
    assert!(operation.output().is_some(), "it is signed in the token");

    let missing =
        Device::open(&settings("pkcs11:token=device;object=nothing"), true).unwrap().config(true).unwrap_err();
    assert!(missing.message().contains("ca.login.key"), "{missing}");
    assert!(fails(&settings("pkcs11:no-attribute")).iter().any(|words| words.starts_with("ca.login.key")));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A token counts wrong PINs over all processes: what one of them was refused, the next one does not try.
#[test]
fn a_pin_that_was_refused_is_not_tried_by_the_next_process() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let store = Store::in_memory(provider().clone());
    let planner = Planner::new();
    let mut config = Config::new();
    config.protect_with_secret(b"4711", b"secret", MacParameters::PASSWORD_BASED).unwrap();
    let root = Certificate::from_der(&TestCa::new(Options::default()).root.certificate).unwrap();
    config.cmp_anchors.add(root.clone());
    config.enrolment_anchors.add(root);
    let subject = Subject::new().name("CN=router-7").unwrap();
    // A process: what it knows of PINs is what device memory tells it.
    let run = |given: &'static str, at: i64| {
        forget_refused_pins();
        open_token_keys(&store, Some(module), pin(given));
        let make = || -> Result<Arc<dyn PrivateKey>, Error> {
            Ok(store.make_key("router", "pkcs11:token=strict;object=kept", KeyKind::P256)?.expect("it is made there"))
        };
        let renewal = Renewal {
            planner: &planner,
            config: &config,
            to: Destination { store: &store, name: "router", purpose: "ldevid" },
            factory: None,
            subject: Some(&subject),
            new_key: Some(&make),
        };
        let (now, mut ca) = (Time::from_unix(at), TestCa::new(Options::default()));
        let mut line = ShortLine(Line(&mut ca, now), 0);
        renewal.run_due(Some(now), &mut line, &mut AtOnce(now)).unwrap().outcome.unwrap_err().to_string()
    };
    let now = 1_790_000_000;
    assert!(run("0000", now).contains("does not take the PIN"));
    let is_not_tried = |error: &str| {
        assert!(
            error.contains("refused before (CKR_PIN_INCORRECT)") && error.contains("`devid store reset`"),
            "{error}"
        );
    };
    is_not_tried(&run("0000", now + 3_600));
    let kept = store.blob("refused-pins").unwrap();
    for day in 1..10 {
        is_not_tried(&run("0000", now + day * 86_400));
    }
    assert_eq!(store.blob("refused-pins").unwrap(), kept, "and nothing is written for it");
    // A process that has to do with no token takes nothing out.
    forget_refused_pins();
    let plain = Renewal {
        planner: &planner,
        config: &config,
        to: Destination { store: &store, name: "another", purpose: "ldevid" },
        factory: None,
        subject: Some(&subject),
        new_key: None,
    };
    let now = now + 10 * 86_400;
    let (mut ca, clock) = (TestCa::new(Options::default()), Time::from_unix(now));
    plain.run_due(Some(clock), &mut ShortLine(Line(&mut ca, clock), 0), &mut AtOnce(clock)).unwrap();
    assert_eq!(store.blob("refused-pins").unwrap(), kept);
    is_not_tried(&run("0000", now));
    // Somebody logs in with the right one, by another program: the token counts anew, and the one given may be right by now. Once.
    forget_refused_pins();
    let logged_in = TokenKey::generate(Some(module), "pkcs11:token=strict;object=by-another", KeyKind::P256, pin(PIN));
    drop(logged_in.unwrap());
    let given_at = || String::from_utf8(store.blob("refused-pins").unwrap().to_vec()).unwrap();
    let again = now + 4 * 86_400;
    assert!(!given_at().contains(&again.to_string()));
    run("0000", again);
    assert!(given_at().contains(&again.to_string()), "{}", given_at());
    is_not_tried(&run("0000", now + 8 * 86_400));
    assert!(given_at().contains(&again.to_string()), "{}", given_at());
    let now = now + 8 * 86_400;
    // The dark twins: another one is tried, and the right one makes an end of it.
    let error = run(PIN, now + 5 * 86_400);
    assert!(error.contains("dead"), "{error}");
    assert!(store.blob("refused-pins").is_err());
}

/// Who asks for the next certificate now: the identity while its key is there, else the login.
#[test]
fn where_a_key_is_gone_from_its_token_the_next_certificate_is_asked_for_by_the_login() {
    use std::os::unix::fs::PermissionsExt;

    use devid::client::device::{Device, load};
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let options = Options::default();
    let now = Time::from_unix(options.now);
    let mut ca = TestCa::new(options);
    let first = with_idevid(&mut ca, now);
    let folder = std::env::temp_dir().join(format!("devid-token-next-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("root.cer", &ca.root.certificate);
    write("pin", PIN.as_bytes());
    write("secret", b"a secret of some length");
    let settings = |login: &str| {
        let text = format!(
            "[device]\nmemory = \"memory\"\npkcs11 = {{ module = {module:?}, pin = \"file:pin\" }}\n[ca]\nserver = \"http://127.0.0.1:1/\"\n\
             trust.all = [\"root.cer\"]\n{login}[identity.router]\nkey-at = \"pkcs11:token=device;object=next\"\n"
        );
        write("devid.toml", text.as_bytes());
        Device::open(&load(Some(&folder.join("devid.toml")), &[], None).unwrap(), true).unwrap()
    };
    let login = "[ca.login]\nreference = \"4711\"\nsecret = \"file:secret\"\n";
    let device = settings(login);
    let key = device.store.make_key("router", "pkcs11:token=device;object=next", KeyKind::P256).unwrap().unwrap();
    let to = Destination { store: &device.store, name: "router", purpose: "ldevid" };
    let subject = Subject::new().name("CN=router-7").unwrap();
    first.enroll_into(to, &key, &subject, &mut Line(&mut ca, now), &mut AtOnce(now)).unwrap();
    let uri = key.reference().unwrap().to_owned();
    drop((key, device));

    let device = settings(login);
    assert!(device.next_client("router").unwrap().1.is_none());
    TokenKey::destroy(Some(module), &uri, pin(PIN)).unwrap();
    let (client, subject) = settings(login).next_client("router").unwrap();
    let key = device.store.make_key("router", "pkcs11:token=device;object=next", KeyKind::P256).unwrap().unwrap();
    let mut operation = client.enroll(Signer::Key(key), &subject.unwrap()).unwrap();
    operation.step(now).unwrap();
    assert!(operation.output().is_some(), "what the certificate in use says is asked for");
    // The dark twin: nobody else is there to ask.
    let error = settings("").next_client("router").unwrap_err();
    assert!(error.code() == Code::NotFound && error.message().contains("ca.login"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
