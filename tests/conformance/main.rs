//! Runs the suites of others where they are at hand: every case must get the verdict that its suite expects. The rules
//! themselves are covered by the tests beside this one.
//!
//! `DEVID_VECTORS` names a folder of packs, `DEVID_PKITS` the folder of NIST's PKITS with `certs` and `crls` in it
//! (`make pkits` fetches it).

mod case;

use std::path::Path;
use std::sync::Arc;

use devid::Time;
use devid::asn1::x509::Certificate;
use devid::validation::{Checks, Crl, RevocationPolicy, StatusSources, TrustAnchors, validate};
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

/// End entities of PKITS (version 1.0.1) that are invalid with the default inputs and are not named so: sections 4.8.4,
/// 4.8.5, 4.8.7, 4.8.8, 4.8.9 and 4.8.12.
const INVALID_POLICIES: [&str; 6] = [
    "DifferentPoliciesTest4EE.crt",
    "DifferentPoliciesTest5EE.crt",
    "DifferentPoliciesTest7EE.crt",
    "DifferentPoliciesTest8EE.crt",
    "DifferentPoliciesTest9EE.crt",
    "DifferentPoliciesTest12EE.crt",
];

/// Every end entity with the default inputs, among all the certificates and CRLs of the suite at once.
#[test]
fn every_end_entity_of_pkits_gets_its_verdict_among_all_the_others() {
    let Some(folder) = std::env::var_os("DEVID_PKITS") else {
        eprintln!("DEVID_PKITS is not set: the suite is not run");
        return;
    };
    let files = |name: &str| -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(Path::new(&folder).join(name)).expect("a folder of PKITS");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).expect("a file")))
            .collect()
    };
    let (leaves, others): (Vec<_>, Vec<_>) = files("certs").into_iter().partition(|(name, _)| name.ends_with("EE.crt"));
    let (anchors, pool): (Vec<_>, Vec<_>) = others.into_iter().partition(|(name, _)| name.starts_with("TrustAnchor"));
    let parse = |all: Vec<(String, Vec<u8>)>| -> Vec<Certificate> {
        all.iter().filter_map(|(_, der)| Certificate::from_der(der).ok()).collect()
    };
    let anchors: TrustAnchors = parse(anchors).into_iter().collect();
    let pool = parse(pool);
    let mut status = StatusSources::none();
    status.crls = files("crls").into_iter().filter_map(|(_, der)| Crl::from_der(der).ok()).map(Arc::new).collect();
    let mut checks = Checks::at(Time::from_civil(2011, 4, 15, 0, 0, 0).expect("a date"));
    checks.allow_weak = true;
    checks.revocation = RevocationPolicy::hard_fail();

    assert!(leaves.len() > 200 && pool.len() > 100 && status.crls.len() > 100, "this is not all of PKITS");
    let provider = devid::crypto::default_provider();
    let mut wrong = Vec::new();
    for (name, der) in &leaves {
        let expected = !name.starts_with("Invalid") && !INVALID_POLICIES.contains(&name.as_str());
        let report = Certificate::from_der(der)
            .map(|leaf| validate(&*provider, &anchors, &leaf, &pool, &status, &checks))
            .map_err(|e| e.to_string());
        if report.as_ref().is_ok_and(|r| r.is_valid()) != expected {
            wrong.push(format!("{name}: expected {expected}, {report:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
