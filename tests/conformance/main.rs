//! Runs the packs of validation vectors in the folder that `DEVID_VECTORS` names, if it names one: every case must get
//! the verdict that its suite expects. The rules themselves are covered by the tests beside this one.

mod case;

use std::path::Path;

use serde_json::Value;

#[test]
fn every_case_of_the_packs_gets_its_expected_verdict() {
    let Some(folder) = std::env::var_os("DEVID_VECTORS") else {
        eprintln!("DEVID_VECTORS is not set: no packs to run");
        return;
    };
    let provider = devid::crypto::default_provider();
    let packs: Vec<_> = std::fs::read_dir(Path::new(&folder))
        .expect("the folder of DEVID_VECTORS")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    assert!(!packs.is_empty(), "no *.jsonl in DEVID_VECTORS");
    let mut wrong = Vec::new();
    for pack in packs {
        let text = std::fs::read_to_string(&pack).expect("a pack");
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).expect("a case is a JSON object");
            let verdict = case::run(&provider, &case["req"]);
            if verdict.is_valid != (case["expected"] == "ok") {
                wrong.push(format!("{}: expected {}, {}", case["id"], case["expected"], verdict.detail));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
