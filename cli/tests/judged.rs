//! Whatever a setting says: either it is refused with the setting's name, or enrolment takes it.

mod scene;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use devid::client::device::keys::{self, Kind};
use devid::client::device::{Device, Judged, Loaded, Settings, Source, judge, load};
use devid::client::run::system_time;
use devid::cmp::Signer;
use devid::crypto::default_provider;
use devid::{Code, Error};
use scene::{Scene, put, value};

/// Everything that enrolment does before it sends something, and what follows it.
fn enrols(loaded: &Loaded) -> Result<(), Error> {
    let device = Device::open(loaded, true)?;
    for name in device.names(&[])? {
        let identity = device.identity(&name);
        let subject = device.subject(&name, &identity)?;
        let subject = subject.ok_or_else(|| Error::new(Code::State, "nobody is named"))?;
        let client = device.config(true)?.build()?;
        client.exchange()?;
        // In a token no key is made here.
        let key = match identity.key_at {
            Some(_) => default_provider().generate_key(device.key_kind(&name, &identity)?)?,
            None => device.new_key(&name, &identity)?,
        };
        client.enroll(Signer::Key(key), &subject)?.step(system_time())?;
        for export in &identity.export {
            device.export_of(|key| format!("identity.{name}.export.{key}"), export)?;
        }
        device.plan(&name, device.clock())?;
    }
    if !loaded.settings.peers.trust.is_empty() {
        device.peer_anchors()?;
    }
    Ok(())
}

/// Whose mistakes stand in files.
const FILES: [Kind; 3] = [Kind::Path, Kind::Paths, Kind::Secret];

const VALUES: &[&str] = &[
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"p256\"",
    "\"EJBCA\"",
    "\"ClientAuth\"",
    "\"device 1\"",
    "\"CN=a\"",
    "\"CN=${hostname}\"",
    "\"127.0.0.1:80/cmp\"",
    "\"http://\"",
    "\"ftp://a.example/\"",
    "\"coap://a.example/x\"",
    "\"https://a.example/x\"",
    "\"sha256:00\"",
    "\"1.2.3\"",
    "\"05\"",
    "\"0500\"",
    "\"256.1.1.1\"",
    "\"a b.example\"",
    "\"RSA-7\"",
    "\"RSA-2048\"",
    "\"ML-KEM-768\"",
    "\"pkcs11:object=x\"",
    "\"pkcs11:nothing\"",
    "\"hex:0\"",
    "\"hex:0a\"",
    "\"/nowhere/at/all.pem\"",
    "\"file:/nowhere/secret\"",
    "\"prompt\"",
    "\"fd:77\"",
    "\"200ms\"",
    "\"7d\"",
    "\"on\"",
    "\"soft\"",
    "\"none\"",
    "\"exact\"",
    "\"null_sender\"",
    "[\"x\", 1]",
    "[]",
    "{ a = 1 }",
    "1979-05-27",
    "-1",
    "0",
    "1",
    "99",
    "70000",
    "99999999999",
    "0.5",
    "1.5",
    "nan",
    "true",
];

#[test]
fn what_is_not_refused_with_its_name_is_taken_by_enrolment() {
    let scene = Scene::new("all");
    assert!(enrols(&scene.refused("device.retention", &value("3")).unwrap()).is_ok());
    let (mut count, mut wrong) = (BTreeMap::<bool, usize>::new(), Vec::new());
    for key in keys::ALL {
        for text in VALUES {
            let name = key.path.replace('*', "device");
            let outcome = scene.refused(key.path, &value(text));
            *count.entry(outcome.is_ok()).or_default() += 1;
            // What is at hand on the running device alone is not looked for.
            let is_away = key.kind == Kind::Secret && !text.contains("file:");
            match outcome {
                // Roots come into device memory by devid anchors, too.
                Ok(loaded) if judge(&loaded).iter().any(|one| one.words.contains("nobody is trusted")) => {}
                Ok(loaded) if !is_away => {
                    if let Err(error) = enrols(&loaded) {
                        wrong.push(format!("{name} = {text} passes, and then: {error}"));
                    }
                }
                Ok(_) => {}
                // What stands in the settings is not what a file of a command's own is, whatever it should have been.
                Err(_)
                    if !FILES.contains(&key.kind)
                        && scene
                            .enrols_by(key.path, &value(text), enrols)
                            .is_some_and(|code| code != Code::InvalidArgument) =>
                {
                    wrong.push(format!("{name} = {text}: enrolment does not call it the settings' mistake"))
                }
                Err(words) if !words.iter().any(|words| names(words, &name)) => {
                    wrong.push(format!("{name} = {text} is not named: {}", words.join("; ")));
                }
                Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count[&true] > 450 && count[&false] > 2000, "{count:?}");
}

/// The setting itself, or the table that it stands in, where what is wrong is how it stands with its neighbours.
fn names(words: &str, name: &str) -> bool {
    words.contains(name) || name.rsplit_once('.').is_some_and(|(table, _)| words.contains(table))
}

#[test]
fn values_that_no_ca_could_know_are_refused_before_a_device_needs_them() {
    let scene = Scene::new("known");
    for (key, text, expected) in [
        ("ca.profile", "\"EJBCA\"", "ejbca"),
        ("identity.*.key", "\"p256\"", "P-256"),
        ("identity.*.extended-key-usage", "[\"ClientAuth\"]", "clientAuth"),
        ("identity.*.key-usage", "[\"DigitalSignature\"]", "digitalSignature"),
        ("ca.server", "\"127.0.0.1:80/cmp\"", "scheme"),
        ("ca.trust.all", "[\"nope.pem\"]", "nope.pem"),
        ("identity.*.subject", "\"device 1\"", "TYPE=value"),
        ("ca.tolerate", "[\"foo\"]", "unprotected_errors"),
        ("ca.tolerate", "[\"null-sendr\"]", "did you mean null_sender?"),
        ("ca.trust.status", "\"on\"", "\"soft\""),
        ("ca.trust.all", "\"root.pem\"", "[\"root.pem\"]"),
        ("ca.login.reference", "4711", "\"4711\""),
        ("ca.http.read", "\"200ms\"", "90s"),
        ("ca.login.mac-iterations", "7", "100"),
        ("identity.*.key-at", "\"pkcs11:object=x\"", "device.pkcs11"),
        ("identity.*.validity", "\"7 days\"", "90s"),
        ("identity.*.key", "\"X25519\"", "a key that signs"),
        ("identity.*.key", "\"ml-kem-768\"", "found ML-KEM-768"),
    ] {
        let words = scene.refused(key, &value(text)).map(|_| ()).unwrap_err().join("; ");
        assert!(words.contains(&key.replace('*', "device")) && words.contains(expected), "{key} = {text}: {words}");
    }
}

#[test]
fn what_would_be_passed_over_is_refused() {
    let scene = Scene::new("over");
    for (key, text) in [
        ("ca.tls.min-version", "\"1.3\""),
        ("ca.tls.status", "\"hard\""),
        ("ca.tls.name", "\"a.example\""),
        ("ca.tls.pins", "[\"sha256:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"]"),
    ] {
        let words = scene.refused(key, &value(text)).map(|_| ()).unwrap_err().join("; ");
        assert!(words.contains(key) && words.contains("https"), "{words}");
        let mut table = scene.good();
        put(&mut table, key, value(text));
        put(&mut table, "ca.server", "https://127.0.0.1:1/cmp".into());
        let judged = judge(&scene.load(&table).unwrap());
        assert!(!judged.iter().any(|one| one.fails), "{judged:?}");
    }
    let mut table = scene.good();
    put(&mut table, "ca.tolerate", value("[\"null-sender\"]"));
    put(&mut table, "ca.refuse", value("[\"null_sender\"]"));
    let judged = judge(&scene.load(&table).unwrap());
    assert!(judged.iter().any(|one| one.fails && one.words.contains("both have null_sender")), "{judged:?}");
}

/// A file is read as far as it can be, and what is passed over is told with its setting and its place; whose first certificate is
/// the owner's must begin with one that can be read.
#[test]
fn what_cannot_be_read_beside_what_can_is_told_with_its_setting() {
    let scene = Scene::new("passed-over");
    let read = |name: &str| std::fs::read_to_string(scene.path(name)).unwrap();
    let cut = |text: &str| {
        text.lines().filter(|line| !line.contains("END")).flat_map(|line| [line, "\n"]).collect::<String>()
    };
    let crl = devid::asn1::pem::encode("X509 CRL", &std::fs::read(scene.path("issuing.crl")).unwrap()).to_string();
    std::fs::write(scene.path("anchors.pem"), cut(&read("issuing.pem")) + &read("root.pem")).unwrap();
    std::fs::write(scene.path("lists.pem"), cut(&crl) + &crl).unwrap();
    std::fs::write(scene.path("chain.pem"), read("idevid.pem") + &cut(&read("supplier.pem"))).unwrap();
    std::fs::write(scene.path("no-leaf.pem"), cut(&read("idevid.pem")) + &read("supplier.pem")).unwrap();
    let with = |key: &str, file: &str, is_list: bool| {
        let mut table = scene.good();
        put(&mut table, "ca.server", "https://127.0.0.1:1/cmp".into());
        if key == "ca.login.certificates" {
            table["ca"].as_table_mut().unwrap().remove("login");
        }
        for table_of in ["ca.login", "ca.tls"] {
            if key.starts_with(&format!("{table_of}.certificates")) {
                put(&mut table, &format!("{table_of}.key"), scene.path("idevid.key").into());
            }
        }
        if key == "identity.*.export.anchors" {
            put(&mut table, "identity.*.export.folder", scene.path("exported").into());
        }
        let path = toml::Value::from(scene.path(file));
        put(&mut table, key, if is_list { toml::Value::Array(vec![path]) } else { path });
        judge(&scene.load(&table).unwrap())
    };
    for key in keys::ALL.iter().filter(|key| key.kind == Kind::Paths) {
        let file = if key.path.ends_with("crls") { "lists.pem" } else { "anchors.pem" };
        let judged = with(key.path, file, true);
        let name = key.path.replace('*', "device");
        let is_told = |one: &Judged| {
            ["cannot be read", "passed over"].iter().any(|words| one.words.contains(words))
                && one.words.starts_with(&name)
                && one.words.contains("block 1 (")
        };
        assert!(judged.iter().any(|one| !one.fails && is_told(one)), "{name}: {judged:?}");
    }
    for key in ["ca.login.certificates", "ca.tls.certificates"] {
        let judged = with(key, "chain.pem", false);
        assert!(
            judged.iter().any(|one| !one.fails && one.words.contains("block 2 (CERTIFICATE)")),
            "{key}: {judged:?}"
        );
        let judged = with(key, "no-leaf.pem", false);
        let is_told =
            |one: &Judged| one.fails && one.words.starts_with(key) && one.words.contains("block 1 (CERTIFICATE)");
        assert!(judged.iter().any(is_told), "{key}: {judged:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let scene = Scene::new("both");
    let mut table = scene.good();
    put(&mut table, "ca.profile", "EJBCA".into());
    put(&mut table, "identity.*.key", "p256".into());
    put(&mut table, "ca.login.secret", "file:/nowhere/secret".into());
    let judged: Vec<Judged> = judge(&scene.load(&table).unwrap());
    for setting in ["ca.profile", "identity.device.key", "ca.login.secret"] {
        assert!(judged.iter().any(|one| one.fails && one.words.starts_with(setting)), "{setting}: {judged:?}");
    }
}

#[test]
fn relative_paths_of_a_file_lie_beside_it() {
    let scene = Scene::new("beside");
    let file = scene.folder.join("devid.toml");
    let text = "[device]\nmemory = \"memory\"\nid = \"file:id\"\n[device.pkcs11]\nmodule = \"libsofthsm2.so\"\n\
                [ca.login]\nreference = \"1\"\nsecret = \"file:secret\"\nkey = \"pkcs11:object=x\"\n\
                [ca.trust]\nall = [\"root.pem\", \"/etc/root.pem\"]\n";
    std::fs::write(&file, text).unwrap();
    let settings: Settings = load(Some(&file), &["ca.trust.tls=here.pem".to_owned()], None).unwrap().settings;
    assert_eq!(settings.device.memory, scene.folder.join("memory"));
    assert_eq!(settings.device.id, Some(format!("file:{}", scene.path("id"))));
    assert_eq!(settings.device.pkcs11.unwrap().module.as_deref(), Some("libsofthsm2.so"));
    assert_eq!(settings.ca.login.secret, Some(Source::File(scene.folder.join("secret"))));
    assert_eq!(settings.ca.login.key.as_deref(), Some(Path::new("pkcs11:object=x")));
    assert_eq!(settings.ca.trust.all, [scene.folder.join("root.pem"), PathBuf::from("/etc/root.pem")]);
    assert_eq!(settings.ca.trust.tls, [Path::new("here.pem")], "the command line is where it is typed");
}

/// What `devid run` could never write is refused before it begins.
#[test]
fn a_status_file_that_is_none_is_refused() {
    let scene = Scene::new("status-file");
    std::fs::create_dir(scene.folder.join("folder")).unwrap();
    for (value, words) in
        [("", "is empty"), (&scene.path("folder"), "is not a file"), ("/proc/self/fd", "is not a file")]
    {
        let told = scene.refused("run.status-file", &value.into()).map(|_| ()).unwrap_err().join("; ");
        assert!(told.contains("run.status-file") && told.contains(words), "{value}: {told}");
    }
    for value in [scene.path("status.json"), "/dev/null".to_owned()] {
        assert!(scene.refused("run.status-file", &value.clone().into()).is_ok(), "{value}");
    }
}
