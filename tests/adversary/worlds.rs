//! The generated PKIs and their verdicts, written down for other languages: `bindings/python/tests/test_adversary.py` asks the
//! same through the C interface.

use serde_json::{Value, json};

use crate::certificates::{Party, now};
use crate::properties::{Dice, World};
use crate::status::{CrlBuilder, OcspBuilder, Single};
use crate::{MODES, judge};

/// How many; through C each is asked in several ways.
const COUNT: u64 = 150;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a peer can add: a newer list and response of a forger, and a genuine good word from before any revocation.
fn added(world: &World) -> Value {
    let forger = Party::root("c0");
    let forged = CrlBuilder::of(&forger).number(99_999).der();
    let single = Single::good(&world.leaf.certificate, &world.issuer);
    let staple = OcspBuilder::by(&forger).says(single.clone()).der();
    let old = single.times(now().plus(-36_000), Some(now().plus(9_000_000)));
    let old = OcspBuilder::by(&world.issuer).says(old).der();
    json!({ "crls": [hex(&forged)], "ocsp": [hex(&staple), hex(&old)] })
}

/// Into the file that `DEVID_WORLDS` names, one a line.
#[test]
#[ignore = "writes a file for the tests of the Python package"]
fn written_for_other_languages() {
    let path = std::env::var_os("DEVID_WORLDS").expect("DEVID_WORLDS names the file");
    let mut lines = Vec::new();
    let mut verdicts = [0; 3];
    for seed in 0..COUNT {
        let mut dice = Dice(1_000_000 + seed);
        let world = World::random(&mut dice);
        let mode = dice.below(2);
        let report = judge(&world.anchors(), &world.sent(), &world.crls, &world.ocsp, MODES[mode]);
        let code = report.error().map(|error| error.code().name());
        verdicts[code.map_or(0, |code| if code.ends_with("REVOKED") { 1 } else { 2 })] += 1;
        let parties = |all: &[&Party]| all.iter().map(|p| hex(p.certificate.as_der())).collect::<Vec<_>>();
        let line = json!({
            "seed": seed,
            "at": now().unix(),
            "mode": if mode == 0 { "SOFT_FAIL" } else { "HARD_FAIL" },
            "anchors": parties(&world.anchors()),
            "sent": parties(&world.sent()),
            "crls": world.crls.iter().map(|crl| hex(crl.der().unwrap())).collect::<Vec<_>>(),
            "ocsp": world.responses.iter().map(|der| hex(der)).collect::<Vec<_>>(),
            "code": code,
            "added": added(&world),
        });
        lines.push(line.to_string());
    }
    assert!(verdicts.iter().all(|count| *count > 10), "all kinds of verdicts are there: {verdicts:?}");
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}
