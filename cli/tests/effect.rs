//! Settings that have no effect beside the others are told, and all others change something.

mod scene;

use std::collections::BTreeMap;

use devid::client::device::keys::{self, Kind};
use devid::client::device::{Device, Loaded, judge};
use scene::{Scene, put};

/// Settings that work, each with another login and another way to the server.
fn worlds(scene: &Scene) -> Vec<(&'static str, toml::Table)> {
    let [key, chain] = ["idevid.key", "idevid.pem"].map(|name| toml::Value::from(scene.path(name)));
    let secret = scene.good();
    let mut file = scene.good();
    file["ca"].as_table_mut().unwrap().remove("login");
    put(&mut file, "ca.login.key", key.clone());
    put(&mut file, "ca.login.certificates", chain.clone());
    let mut https = secret.clone();
    put(&mut https, "ca.server", "https://127.0.0.1:1/cmp".into());
    put(&mut https, "ca.tls.key", key);
    put(&mut https, "ca.tls.certificates", chain);
    let mut mutual = https.clone();
    mutual["ca"].as_table_mut().unwrap().remove("login");
    put(&mut mutual, "ca.login.kind", "mutual-tls".into());
    let mut coap = secret.clone();
    put(&mut coap, "ca.server", "coap://127.0.0.1:1/cmp".into());
    let mut clockless = file.clone();
    put(&mut clockless, "device.clock", "none".into());
    vec![
        ("secret", secret),
        ("file", file),
        ("https", https),
        ("mutual", mutual),
        ("coap", coap),
        ("clockless", clockless),
    ]
}

/// A value other than the default, and other than what the worlds say.
fn other_value(scene: &Scene, key: &keys::Key) -> Option<toml::Value> {
    let [root, crl, key_file, chain] =
        ["supplier-root.pem", "issuing.crl", "idevid-rsa.key", "idevid-rsa.pem"].map(|name| scene.path(name));
    let pin = "sha256:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f";
    let text = match key.path {
        "ca.profile" => "cryptlib",
        "ca.recipient" | "ca.trust.signer-subjects" => "CN=another CA",
        "ca.confirm" => "implicit",
        "ca.root-fingerprints" => &pin[7..],
        "ca.accept" => "exact",
        "ca.tolerate" => "unprotected_errors",
        "ca.refuse" => "null_sender",
        "ca.possession" => "encrCert",
        "ca.login.reference" => "4712",
        "ca.login.mac" => "pbmac1",
        "ca.login.mac-digest" => "SHA512",
        "ca.login.signature" => "ECDSA-SHA512",
        "ca.login.key" | "ca.tls.key" => &key_file,
        "ca.login.certificates" | "ca.tls.certificates" => &chain,
        "ca.trust.crls" | "ca.tls.crls" => &crl,
        "ca.trust.status" | "ca.tls.status" => "hard",
        "ca.tls.pins" => pin,
        "ca.tls.name" => "another.example",
        "ca.http.version" => "1.0",
        "ca.tls.min-version" => "1.3",
        "ca.proxy.url" => "http://proxy.example:1",
        "ca.cert-profile" | "ca.login.factory" => "another",
        "ca.send-time" => return Some(false.into()),
        "ca.coap.block" => return Some(64.into()),
        "ca.limits.certificates" => return Some(9.into()),
        "ca.limits.mac-iterations" => return Some(77_777.into()),
        // Whose file is not there, or one that belongs to others of its table: tried above.
        "ca.login.secret" | "ca.login.password" | "ca.tls.password" | "ca.login.kind" | "ca.server" => return None,
        path if path.starts_with("ca.general-info.") || path.starts_with("ca.proxy.") => return None,
        _ => match key.kind {
            Kind::Number(least) => return Some((least + 777).into()),
            Kind::Switch => return Some(true.into()),
            Kind::Span(..) => "77s",
            Kind::Paths => &root,
            _ => return None,
        },
    };
    Some(match key.kind {
        Kind::Paths | Kind::Texts => toml::Value::Array(vec![text.into()]),
        _ => text.into(),
    })
}

/// Everything that the settings come to at the CA: who asks, by which way, under which rules.
fn comes_to(loaded: &Loaded) -> String {
    let device = Device::open(loaded, true).unwrap();
    let config = device.config(true).unwrap_or_else(|error| panic!("{error}: {:?}", loaded.table));
    let way = (
        &config.server.proxy_url,
        config.server.use_http_1_0,
        &config.exchange_limits,
        config.max_retries,
        &config.server.coap,
    );
    let tls =
        format!("{:?} {:?} {:?} {:?}", config.tls, config.tls.intermediates, config.tls.revocation, config.tls.status);
    let secret = config.clone().build().unwrap();
    let (login, rules) = (format!("{:?}", secret.context().credential), format!("{:?}", secret.context()));
    let reference = device.settings.ca.login.reference.as_ref().filter(|_| login.starts_with("Mac"));
    // What belongs to another way or login is there, and is not looked at.
    let is = |scheme: &str| device.settings.ca.server.as_deref().is_some_and(|url| url.starts_with(scheme));
    let mut seen = vec![format!("{login} {reference:?} {:?} {:?}", config.possession, device.factory())];
    if is("https") {
        seen.push(tls);
    }
    if is("coap") {
        seen.push(format!("{:?} {:?} {:?}", way.2, way.3, way.4));
    } else {
        seen.push(format!("{:?} {:?} {:?} {:?}", way.0, way.1, way.2, way.3));
    }
    // Limits of MACs, and roots that come under one, are for MACs.
    let is_of_mac = |part: &str| ["max_mac", "accept_ca_pubs"].iter().any(|name| part.trim_start().starts_with(name));
    seen.extend(rules.split([',', '{']).filter(|part| login.starts_with("Mac") || !is_of_mac(part)).map(str::to_owned));
    seen.join("\n")
}

#[test]
fn a_setting_either_changes_what_is_done_or_is_told_to_have_no_effect() {
    let scene = Scene::new("effect");
    let (mut wrong, mut counts) = (Vec::new(), BTreeMap::<bool, usize>::new());
    for (world, table) in worlds(&scene) {
        let loaded = scene.load(&table).unwrap();
        let judged = judge(&loaded);
        assert!(!judged.iter().any(|one| one.fails || one.words.contains("no effect")), "{world}: {judged:?}");
        let before = comes_to(&loaded);
        for key in keys::ALL.iter().filter(|key| key.path.starts_with("ca.")) {
            let Some(value) = other_value(&scene, key) else { continue };
            let mut table = table.clone();
            put(&mut table, key.path, value);
            // A key with its certificate.
            for table_of in ["ca.login", "ca.tls"] {
                if [".key", ".certificates"].iter().any(|one| key.path == format!("{table_of}{one}")) {
                    put(&mut table, &format!("{table_of}.key"), scene.path("idevid-rsa.key").into());
                    put(&mut table, &format!("{table_of}.certificates"), scene.path("idevid-rsa.pem").into());
                }
            }
            // One login beside another counts where it is said which.
            if key.path == "ca.login.reference" && world.starts_with(['f', 'c']) {
                put(&mut table, "ca.login.kind", if world == "coap" { "secret" } else { "file" }.into());
            }
            if key.path.starts_with("ca.login.") && world != "mutual" && ["secret", "https"].contains(&world) {
                put(&mut table, "ca.login.kind", "secret".into());
            }
            let loaded = scene.load(&table).unwrap();
            let judged = judge(&loaded);
            let is_told = judged.iter().any(|one| {
                one.words.split([' ', ',', ':']).any(|word| word == key.path)
                    && (one.words.contains("no effect") || one.fails)
            });
            *counts.entry(is_told).or_default() += 1;
            let has_changed = comes_to(&loaded) != before;
            if has_changed == is_told {
                wrong.push(format!("{world}: {} changes something: {has_changed}, is told: {is_told}", key.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts[&true] > 60 && counts[&false] > 100, "{counts:?}");
}

#[test]
fn half_a_login_and_two_of_them_are_refused_and_two_with_a_choice_are_not() {
    let scene = Scene::new("halves");
    let refused = |table: &toml::Table| -> Vec<String> {
        let judged = judge(&scene.load(table).unwrap());
        judged.into_iter().filter(|one| one.fails).map(|one| one.words).collect()
    };
    for (there, missing) in [("secret", "reference"), ("certificates", "key"), ("password", "key")] {
        let mut table = scene.good();
        table["ca"].as_table_mut().unwrap().remove("login");
        let value = if there == "certificates" {
            scene.path("idevid.pem")
        } else {
            format!("file:{}", scene.path("secret.txt"))
        };
        put(&mut table, &format!("ca.login.{there}"), value.into());
        let words = refused(&table).join("; ");
        assert!(words.contains(&format!("ca.login.{there} is set, and ca.login.{missing}")), "{words}");
    }
    let mut table = scene.good();
    put(&mut table, "ca.login.key", scene.path("idevid.key").into());
    put(&mut table, "ca.login.certificates", scene.path("idevid.pem").into());
    assert!(refused(&table).join("; ").contains("ca.login.kind says which"));
    put(&mut table, "ca.login.kind", "file".into());
    assert_eq!(refused(&table), Vec::<String>::new());
    let told = Device::open(&scene.load(&table).unwrap(), true).unwrap().without_effect();
    assert!(
        told[..]
            == [
                "ca.login.reference, ca.login.secret: no effect: expected a login by shared secret, and ca.login.kind is \"file\""
            ],
        "{told:?}"
    );
}

#[test]
fn what_a_setting_says_holds_over_the_profile_also_where_it_says_the_default() {
    let scene = Scene::new("over-profile");
    let with = |settings: &[(&str, toml::Value)]| {
        let mut table = scene.good();
        settings.iter().for_each(|(key, value)| put(&mut table, key, value.clone()));
        Device::open(&scene.load(&table).unwrap(), true).unwrap().config(true).unwrap()
    };
    let mac = |settings: &[(&str, toml::Value)]| format!("{:?}", with(settings).build().unwrap().context().credential);
    let insta = ("ca.profile", toml::Value::from("insta"));
    assert_eq!(mac(std::slice::from_ref(&insta)), "Mac(PasswordBased { owf: Sha256, mac: Sha1, iterations: 1024 })");
    let digest = ("ca.login.mac-digest", toml::Value::from("SHA256"));
    assert_eq!(
        mac(&[insta.clone(), digest.clone()]),
        "Mac(PasswordBased { owf: Sha256, mac: Sha256, iterations: 1024 })"
    );
    let rounds = ("ca.login.mac-iterations", toml::Value::from(10_000));
    assert_eq!(mac(&[insta, rounds.clone()]), "Mac(PasswordBased { owf: Sha256, mac: Sha1, iterations: 10000 })");
    let cryptlib = ("ca.profile", toml::Value::from("cryptlib"));
    assert_eq!(mac(&[cryptlib, digest, rounds]), "Mac(PasswordBased { owf: Sha256, mac: Sha256, iterations: 10000 })");
    let nokia = ("ca.profile", toml::Value::from("nokia-ncm"));
    assert_eq!(with(std::slice::from_ref(&nokia)).max_retries, 3);
    assert_eq!(with(&[nokia, ("ca.http.retries", 0.into())]).max_retries, 0);
}

/// The setting that is told, two settings, and another value of the first with which nothing is.
type Row = (&'static str, [(&'static str, toml::Value); 2], toml::Value);

#[test]
fn values_that_have_no_effect_are_told_and_others_are_not() {
    let scene = Scene::new("values");
    let list = toml::Value::Array(vec![scene.path("issuing.crl").into()]);
    let roots = toml::Value::Array(vec![scene.path("root.pem").into()]);
    let told = |settings: &[(&str, toml::Value)]| {
        let mut table = scene.good();
        settings.iter().for_each(|(key, value)| put(&mut table, key, value.clone()));
        let judged = judge(&scene.load(&table).unwrap());
        assert!(!judged.iter().any(|one| one.fails), "{judged:?}");
        judged.into_iter().map(|one| one.words).filter(|words| words.contains("no effect")).collect::<Vec<_>>()
    };
    let rows: [Row; 8] = [
        ("device.retention", [("device.retention", 1.into()), ("device.id", "x".into())], 2.into()),
        ("ca.trust.status", [("ca.trust.status", "off".into()), ("ca.trust.crls", list)], "soft".into()),
        (
            "ca.trust.signer-any",
            [("ca.trust.signer-any", true.into()), ("ca.trust.signers", roots.clone())],
            false.into(),
        ),
        (
            "identity.device.export.anchors",
            [("identity.*.export.layout", "pem".into()), ("identity.*.export.anchors", roots)],
            "openssl".into(),
        ),
        (
            "identity.device.renew.first-wait",
            [("identity.*.renew.first-wait", "2h".into()), ("identity.*.renew.longest-wait", "1h".into())],
            "30m".into(),
        ),
        ("peers.directory", [("peers.fetch", false.into()), ("peers.directory", "dc.example".into())], true.into()),
        (
            "ca.login.signature",
            [("ca.login.kind", "secret".into()), ("ca.login.signature", "ECDSA-SHA256".into())],
            "".into(),
        ),
        (
            "ca.confirm",
            [("ca.confirm", "explicit".into()), ("ca.tolerate", toml::Value::Array(vec!["never_confirm".into()]))],
            "implicit".into(),
        ),
    ];
    for (setting, mut settings, good) in rows {
        let words = told(&settings);
        assert!(words.len() == 1 && words[0].starts_with(&format!("{setting}: no effect")), "{setting}: {words:?}");
        if good.as_str() != Some("") {
            settings[0].1 = good;
            // The export's layout stands in a list of its own.
            settings.reverse();
            assert_eq!(told(&settings), Vec::<String>::new(), "{setting}");
        }
    }
    let mut key = scene.good();
    key["ca"].as_table_mut().unwrap().remove("login");
    put(&mut key, "ca.login.key", scene.path("idevid.key").into());
    put(&mut key, "ca.login.certificates", scene.path("idevid.pem").into());
    put(&mut key, "ca.login.password", format!("file:{}", scene.path("secret.txt")).into());
    let judged = judge(&scene.load(&key).unwrap());
    assert!(judged.iter().any(|one| one.words.contains("is not encrypted")), "{judged:?}");
}

#[test]
fn that_there_is_no_login_for_a_first_certificate_is_told() {
    let scene = Scene::new("no-login");
    let told = |table: &toml::Table| -> Vec<bool> {
        let judged = judge(&scene.load(table).unwrap());
        judged
            .into_iter()
            .filter(|one| one.words.contains("there is nothing to log in with"))
            .map(|one| one.fails)
            .collect()
    };
    let with = scene.good();
    assert_eq!(told(&with), Vec::<bool>::new());
    let mut without = with;
    without["ca"].as_table_mut().unwrap().remove("login");
    assert_eq!(told(&without), [false], "the factory may still bring one");
    // Nobody is asked: a request goes by file.
    without["ca"].as_table_mut().unwrap().remove("server");
    assert_eq!(told(&without), Vec::<bool>::new());
}

#[test]
fn programs_and_places_that_are_not_there_are_told_with_their_settings() {
    let scene = Scene::new("places");
    let judged = |settings: &[(&str, toml::Value)]| {
        let mut table = scene.good();
        settings.iter().for_each(|(key, value)| put(&mut table, key, value.clone()));
        judge(&scene.load(&table).unwrap())
    };
    let text = |text: &str| toml::Value::from(text);
    let list = |parts: &[&str]| toml::Value::Array(parts.iter().map(|part| toml::Value::from(*part)).collect());
    let there = text(&scene.path("exported"));
    // What is refused, and with what in its words.
    for (key, value, expected) in [
        ("identity.*.export.folder", text(""), "is empty"),
        ("identity.*.export.folder", text(&scene.path("nowhere/exported")), "no folder"),
        ("identity.*.export.folder", text(&scene.path("memory")), "is in device memory"),
        ("identity.*.export.folder", text(&scene.path("memory/identity")), "is in device memory"),
        ("identity.*.export.owner", text("nobody-of-this-name"), "no such user"),
        ("identity.*.export.owner", text("0:no-group-of-this-name"), "no such group"),
        ("identity.*.export.owner", text("4000000000"), "does not say its group"),
        ("run.status-file", text(&scene.path("nowhere/status.json")), "no folder"),
        ("peers.directory", text("ldap://dc.example"), "HOST or HOST:PORT"),
        ("peers.directory", text("a b"), "HOST or HOST:PORT"),
        ("identity.*.extensions.hex", text("ff"), "extnValue"),
        ("ca.proxy.user", text("a:b"), "a user name with a colon"),
    ] {
        let mut settings = vec![(key, value.clone())];
        if key == "ca.proxy.user" {
            settings.push(("ca.proxy.password", text(&format!("file:{}", scene.path("secret.txt")))));
        }
        let found = judged(&settings);
        let setting = key.replace('*', "device").replace(".hex", "");
        let is_told = |one: &devid::client::device::Judged| {
            one.fails && one.words.contains(&setting) && one.words.contains(expected)
        };
        assert!(found.iter().any(is_told), "{key} = {value}: {found:?}");
    }
    // What may come with another package is a warning.
    for (key, value, expected) in [
        (
            "identity.*.export.then",
            list(&["nope-prog"]),
            "no program \"nope-prog\" that can be run (looked for in PATH)",
        ),
        ("hooks.changed", list(&["echo hi"]), "an element of its own: [\"echo\", \"hi\"]"),
        ("hooks.alarm", list(&["/no/such/program", "x"]), "no program"),
        ("device.pkcs11.module", text("/no/such.so"), "no such file"),
        ("ca.proxy.url", text("http://proxy.example:3128/x"), "of its path"),
    ] {
        let found = judged(&[(key, value.clone()), ("identity.*.export.folder", there.clone())]);
        let setting = key.replace('*', "device");
        assert!(!found.iter().any(|one| one.fails), "{key}: {found:?}");
        let is_told = |words: &str| words.starts_with(&setting) && words.contains(expected);
        assert!(found.iter().any(|one| is_told(&one.words)), "{key} = {value}: {found:?}");
    }
    let good = judged(&[
        ("identity.*.export.then", list(&["sh", "-c", "true"])),
        ("identity.*.export.folder", there),
        ("hooks.changed", list(&["/bin/sh"])),
        ("run.status-file", text(&scene.path("status.json"))),
        ("identity.*.extensions.hex", text("0500")),
    ]);
    assert!(good.iter().all(|one| !one.fails && !one.words.contains("program")), "{good:?}");
    let module = [("device.pkcs11.module", text("/no/such.so")), ("identity.*.key-at", text("pkcs11:object=x"))];
    assert!(judged(&module).iter().any(|one| one.fails && one.words.contains("no such file")), "a key is made there");
}
