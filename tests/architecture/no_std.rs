//! The engine has no operating system under it: it stands on `core` and `alloc`, in every build, so that what compiles on a desk
//! compiles for a board.

use std::fs;
use std::path::{Path, PathBuf};

use super::{code_lines, rust_files};

/// The rooms that are compiled without the feature `std`.
const ROOMS: [&str; 5] = ["asn1", "crypto", "cms", "validation", "cmp"];

/// Parts of them that bring the feature along, by their own features in Cargo.toml.
const HOSTED: [(&str, &str); 2] = [("src/crypto/awslc", "crypto-awslc"), ("src/crypto/pkcs11", "pkcs11")];

const STANDS_FOR_STD: &str = "#[cfg(feature = \"std\")]";

#[test]
fn the_engine_names_the_standard_library_nowhere() {
    let mut found = Vec::new();
    for file in engine_files() {
        for (number, line) in without_hosted_items(code_lines(&file)) {
            if line.contains("std::") || line.contains("extern crate std") {
                found.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "core:: and alloc:: have it, or crate::sync:\n{}", found.join("\n"));
}

/// Which features mean an operating system: what a part that needs one is behind, brings it along.
#[test]
fn what_needs_an_operating_system_brings_the_feature_along() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let features = manifest.split("\n[features]").nth(1).unwrap().split("\n[").next().unwrap();
    let implied = |name: &str| -> Vec<String> {
        let list = features.split(&format!("\n{name} = [")).nth(1).unwrap_or_else(|| panic!("no feature {name}"));
        list.split(']').next().unwrap().split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let brings_std = |name: &str| {
        let mut ahead = vec![name.to_owned()];
        while let Some(next) = ahead.pop() {
            match next.as_str() {
                "std" => return true,
                next if next.contains([':', '/']) => {}
                next => ahead.extend(implied(next)),
            }
        }
        false
    };
    let hosted = HOSTED.iter().map(|(_, feature)| *feature);
    for feature in hosted.chain(["default", "http", "tls", "coap", "ldap", "settings"]) {
        assert!(brings_std(feature), "{feature} needs std");
    }
    for feature in [
        "crypto-rust",
        "crypto-rust-p256",
        "legacy-ciphers",
        "unicode-names",
        "identifier-names",
        "enveloped",
        "pkcs12",
        "ra",
    ] {
        assert!(!brings_std(feature), "{feature} is for boards too");
    }
    for (folder, feature) in HOSTED {
        let name = folder.rsplit('/').next().unwrap();
        let room = fs::read_to_string("src/crypto/mod.rs").unwrap();
        assert!(
            room.contains(&format!("#[cfg(feature = \"{feature}\")]\npub mod {name};")),
            "{folder} is behind {feature}"
        );
    }
}

/// The rooms above the engine are there with `std` alone, and the engine's are there without.
#[test]
fn the_front_door_parts_the_engine_from_what_needs_an_operating_system() {
    let door = fs::read_to_string("src/lib.rs").unwrap();
    assert!(door.contains("#![cfg_attr(not(any(feature = \"std\", test)), no_std)]"));
    for (module, is_hosted) in door.lines().zip(door.lines().skip(1)).filter_map(|(before, line)| {
        let name = line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?;
        Some((name, before == STANDS_FOR_STD))
    }) {
        let is_engine = engine_files()
            .iter()
            .any(|file| file.ends_with(format!("src/{module}.rs")) || file.starts_with(Path::new("src").join(module)));
        assert_ne!(is_hosted, is_engine, "{module}: one or the other");
    }
}

fn engine_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ROOMS.iter().flat_map(|room| rust_files(&Path::new("src").join(room))).collect();
    files.retain(|file| !HOSTED.iter().any(|(folder, _)| file.starts_with(folder)));
    files.extend(
        [
            "codes", "defaults", "error", "features", "limits", "order", "phase", "prelude", "sorted", "sync", "time",
            "words",
        ]
        .map(|name| format!("src/{name}.rs").into()),
    );
    files
}

/// Without the items behind the feature: from the attribute to the end of what it stands above.
fn without_hosted_items(lines: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mut left = Vec::new();
    let mut hosted_at: Option<usize> = None;
    for (number, line) in lines {
        let indent = line.len() - line.trim_start().len();
        match hosted_at {
            None if line.trim() == STANDS_FOR_STD => hosted_at = Some(indent),
            None => left.push((number, line)),
            Some(at) if indent == at && (line.trim_end().ends_with(';') || line.trim() == "}") => hosted_at = None,
            Some(_) => {}
        }
    }
    left
}

#[test]
fn only_items_behind_the_feature_are_passed_over() {
    let file = [
        "use core::fmt;",
        STANDS_FOR_STD,
        "mod hosted {",
        "    use std::fs;",
        "}",
        "use std::env;",
        STANDS_FOR_STD,
        "use std::net;",
        "fn f() {}",
    ];
    let lines = file.iter().enumerate().map(|(index, line)| (index + 1, (*line).to_owned())).collect();
    let left: Vec<usize> = without_hosted_items(lines).into_iter().map(|(number, _)| number).collect();
    assert_eq!(left, [1, 6, 9]);
}
