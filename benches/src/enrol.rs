//! Client CPU of one enrolment: ir, certConf unless implicit, the new certificate validated by everyone.

use serde_json::{Value, json};

use crate::candidate::{Ours, Variant, cryptography};
use crate::clock::{Runner, as_json, in_turns};
use crate::openssl::KeyType;
use crate::{Result, Settings};

const VARIANTS: [(KeyType, Variant, &str); 5] = [
    (KeyType::P256, Variant { use_mac: false, is_implicit: false }, "signature"),
    (KeyType::P256, Variant { use_mac: true, is_implicit: false }, "MAC"),
    (KeyType::Rsa2048, Variant { use_mac: false, is_implicit: false }, "signature"),
    (KeyType::Rsa2048, Variant { use_mac: true, is_implicit: false }, "MAC"),
    (KeyType::P256, Variant { use_mac: false, is_implicit: true }, "signature, implicit confirmation"),
];

pub fn measure(settings: &Settings) -> Result<Value> {
    let rounds = settings.rounds(300);
    let server = settings.server();
    let mut rows = Vec::new();
    for (key_type, variant, label) in VARIANTS {
        let pki = server.make_pki(key_type)?;
        let ca = server.make_ca(&pki, variant.use_mac, variant.is_implicit)?;
        let ours = Ours::new(&pki, variant)?;
        let mut candidates = vec![Runner::new("devid", || ours.enrol(|request| ca.answer(request)))];
        candidates.push(Runner::new("cryptography", cryptography(&pki, variant)?));
        for openssl in &settings.openssl {
            let client = openssl.make_client(&pki, variant.use_mac, variant.is_implicit)?;
            let ca = &ca;
            candidates.push(Runner::new(&openssl.name, move || client.enrol(ca.exchange, ca.handle)));
        }
        let medians = in_turns(rounds, &mut candidates)?;
        eprintln!("enrol {} {label}: {medians:?}", key_type.name());
        rows.push(json!({ "key": key_type.name(), "protection": label, "microseconds": as_json(&medians) }));
    }
    let versions: serde_json::Map<String, Value> =
        settings.openssl.iter().map(|o| (o.name.clone(), json!(o.version()))).collect();
    Ok(json!({ "rounds": rounds, "server": server.name, "versions": versions, "rows": rows }))
}

/// That many enrolments with P-256, or that often the cryptography of one, for whoever counts instructions.
pub fn times(settings: &Settings, protection: &str, what: &str, count: usize) -> Result<()> {
    let variant = Variant { use_mac: protection == "MAC", is_implicit: false };
    let server = settings.server();
    let pki = server.make_pki(KeyType::P256)?;
    let ca = server.make_ca(&pki, variant.use_mac, variant.is_implicit)?;
    let ours = Ours::new(&pki, variant)?;
    let mut alone = cryptography(&pki, variant)?;
    for _ in 0..count {
        match what {
            "devid" => ours.enrol(|request| ca.answer(request))?,
            "cryptography" => alone()?,
            _ => return Err("devid or cryptography".into()),
        };
    }
    Ok(())
}
