//! A PIN that a token refuses: no command gives it twice, and `doctor` tells.
#![cfg(feature = "pkcs11")]

mod common;

use std::process::Output;

use common::Story;
use serde_json::Value;

fn give(story: &Story, pin: &str) {
    std::fs::write(story.path("pin.txt"), pin).unwrap();
    common::private(&story.folder.join("pin.txt"));
}

fn run(story: &Story, arguments: &[&str]) -> Output {
    story.run(arguments)
}

fn row(story: &Story) -> Option<Value> {
    let output = run(story, &["--json", "doctor", "--offline"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "token.pin").cloned()
}

#[test]
fn keys_outside_device_memory_are_opened_by_the_door_that_knows_refused_pins() {
    let story = Story::new("pin");
    story.init_with_secret();
    if !story.has_token() {
        eprintln!("no SoftHSM: nothing is tested with keys in a token");
        return;
    }
    story.good(&["enroll"]);
    give(&story, "1234");
    let uri = "pkcs11:token=device;object=apart";
    assert!(run(&story, &["key", "make", uri]).status.success());
    assert_eq!(row(&story), None);
    give(&story, "0000");
    let fails = |arguments: &[&str], words: &str| {
        let output = run(&story, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(words), "{arguments:?}: {told}");
    };
    fails(&["key", "show", uri], "does not take the PIN (C_Login: CKR_PIN_INCORRECT)");
    for arguments in [["key", "show", uri], ["key", "public", uri], ["key", "make", "pkcs11:token=device;object=more"]]
    {
        fails(&arguments, "refused before (CKR_PIN_INCORRECT)");
    }
    let told = row(&story).unwrap().to_string();
    assert!(told.contains("device") && told.contains("devid store reset"), "{told}");
    // The right one is taken, and makes an end of it.
    give(&story, "1234");
    assert!(run(&story, &["key", "public", uri]).status.success());
    assert_eq!(row(&story), None);
}

#[test]
fn an_identity_that_is_removed_leaves_no_key_of_its_own_in_the_token() {
    let story = Story::new("token-removed");
    story.init_with_secret();
    if !story.has_token() {
        eprintln!("no SoftHSM: nothing is tested with keys in a token");
        return;
    }
    give(&story, "1234");
    let objects = || {
        let tokens = std::fs::read_dir(story.path("tokens")).unwrap().map(|token| token.unwrap().path());
        let files = tokens.flat_map(|token| std::fs::read_dir(token).unwrap().map(|file| file.unwrap().path()));
        files.filter(|file| file.extension().is_some_and(|ending| ending == "object")).count()
    };
    let place = "identity.device.key-at=pkcs11:token=device;object=ldevid";
    let good = |arguments: &[&str]| {
        let output = run(&story, &[&["--json", "-o", place], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    // A key of the owner's own stays whatever happens.
    good(&["key", "make", "pkcs11:token=device;object=apart"]);
    let before = objects();
    for _ in 0..2 {
        good(&["enroll"]);
        good(&["renew", "--now"]);
        good(&["renew", "--now"]);
        assert!(objects() > before);
        assert_eq!(
            good(&["store", "remove", "device", "--yes"])["keys_destroyed"],
            2,
            "the one in use and the one before"
        );
        assert_eq!(objects(), before);
    }
    // The dark twin: what is out of reach now is remembered, and goes with a renewal of who comes next.
    good(&["enroll"]);
    give(&story, "9999");
    assert!(run(&story, &["-o", place, "store", "remove", "device", "--yes"]).status.success());
    assert!(objects() > before);
    give(&story, "1234");
    good(&["store", "reset", "device"]);
    good(&["enroll"]);
    good(&["store", "remove", "device", "--yes"]);
    assert_eq!(objects(), before);
}
