//! Our client against the test CA, over HTTP: every good way through an enrolment, and every knob that bends an answer.
//!
//! The clock is pretended, so that waits take no time.

#![cfg(feature = "http")]

mod bench;
mod bent;
mod diagnosis;
mod field;
mod good;
mod passphrase;
mod profile;
mod quirks;
mod ra;
mod ra_side;
mod several;
mod wire;

use devid_testca::Knobs;

#[test]
fn every_knob_of_the_table_is_turned_here() {
    // One bends what OCSP answers, which the tests of revocation ask for; one waits for requests that the CA's own
    // tests send; one takes what only TLS protects.
    let elsewhere = ["ocsp-unavailable", "other-waiting", "take-unprotected"];
    let text = [
        include_str!("bent.rs"),
        include_str!("good.rs"),
        include_str!("field.rs"),
        include_str!("quirks.rs"),
        include_str!("ra.rs"),
        include_str!("ra_side.rs"),
        include_str!("several.rs"),
        include_str!("wire.rs"),
        include_str!("../enrolment/encrypted.rs"),
    ]
    .concat();
    for (name, ..) in Knobs::table() {
        let turned = text.contains(&format!("(\"{name}\", ")) || elsewhere.contains(&name);
        assert!(turned, "no test turns {name}");
    }
    let page = include_str!("../../docs/testca.md");
    for (name, default, text) in Knobs::table() {
        let row = format!("| `{name}` | {default} | {text} |\n");
        assert!(page.contains(&row), "docs/testca.md lacks {row}");
    }
    assert!(Knobs::default().set("no-such-knob", "1").is_err());
    assert!(Knobs::default().set("waiting", "often").is_err());
    assert!(Knobs::default().set("error", "perhaps").is_err());
}
