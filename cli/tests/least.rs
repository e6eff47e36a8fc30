//! The least that each number and each span of time in the settings may be: with it a device enrols, with less the settings are refused,
//! and nothing is asked of the CA.

mod scene;

use devid::client::Unattended;
use devid::client::device::keys::{self, Kind};
use devid::client::device::{Device, judge};
use devid_testca::coap::{CoapOptions, CoapServer};
use devid_testca::{Options, Server, TestCa};
use scene::{Scene, put};

/// What a value is written as, and what the next smaller one is.
fn written(kind: Kind, value: u32) -> toml::Value {
    match kind {
        Kind::Span(..) => format!("{value}s").into(),
        _ => i64::from(value).into(),
    }
}

#[test]
fn the_least_of_each_number_enrols_and_with_less_nothing_is_sent() {
    let scene = Scene::new("least");
    let server = Server::start_at(TestCa::new(Options::default()), 0).unwrap();
    let coap = CoapServer::start(&server, CoapOptions::default()).unwrap();
    // Over the material of a CA that is no more.
    server.with(|ca| ca.write_material(&scene.folder)).unwrap();
    // As little as a CA can answer: protected by the secret, and nothing but the certificate in it.
    server.with(|ca| ca.knobs.set("no-extra-certs", "1")).unwrap();
    let mut tried = 0;
    for key in keys::ALL {
        let (Kind::Number(least) | Kind::Span(least, _)) = key.kind else { continue };
        let name = key.path.replace('*', "device");
        let settings = |value: u32| {
            let mut table = scene.good();
            put(
                &mut table,
                "ca.server",
                if name.starts_with("ca.coap") { coap.cmp_url() } else { server.cmp_url() }.into(),
            );
            put(&mut table, "ca.trust.intermediates", toml::Value::Array(vec![scene.path("issuing.pem").into()]));
            put(&mut table, "device.memory", scene.path(&format!("memory-{tried}")).into());
            put(&mut table, key.path, written(key.kind, value));
            scene.load(&table)
        };
        let loaded = settings(least).unwrap_or_else(|e| panic!("{name} = {least}: {e}"));
        let fails: Vec<String> = judge(&loaded).into_iter().filter(|one| one.fails).map(|one| one.words).collect();
        if fails.is_empty() {
            let device = Device::open(&loaded, true).unwrap();
            let kept = device.keep(device.clock(), 30, &mut Unattended);
            kept.unwrap_or_else(|e| panic!("{name} = {least} is taken, and then: {e}"));
            assert!(device.store.state("device").unwrap().current.is_some(), "{name} = {least} brought no certificate");
        } else {
            // By another setting beside it, which says how much it needs.
            assert!(fails.iter().all(|words| words.contains(&name)), "{name} = {least}: {fails:?}");
        }
        if let Some(less) = least.checked_sub(1) {
            let words = settings(less).map(|_| ()).unwrap_err().to_string();
            assert!(words.contains(&name) && words.contains("or more"), "{name} = {less}: {words}");
        }
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}
