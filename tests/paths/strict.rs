//! The strict profile: what RFC 5280 forbids issuers, refused there and tolerated by default.

use devid::Code;
use devid::asn1::der::element;
use devid::asn1::oid;
use devid::validation::{Checks, KeyUsage, Profile};

use crate::certificates::{Builder, Party, basic_constraints, date, dns, list, name_constraints};
use crate::{assert_refused, assert_valid, check, plain};

fn strict() -> Checks {
    Checks { profile: Profile::Strict, ..plain() }
}

/// Valid by default, refused by the strict profile.
#[track_caller]
fn only_strict_refuses(root: &Party, leaf: &Party, pool: &[&Party]) {
    assert_valid(&check(root, leaf, pool, &plain()));
    assert_refused(&check(root, leaf, pool, &strict()), Code::Malformed);
}

#[test]
fn a_path_by_the_book_passes_the_strict_profile() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").path_len(0).constraints(&[dns("example.com")], &[]).signed_by(&root);
    let leaf = Builder::leaf("device")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CLIENT_AUTH])
        .alt_names([dns("a.example.com")])
        .signed_by(&ca);
    assert_valid(&check(&root, &leaf, &[&ca], &strict().for_purpose(oid::KP_CLIENT_AUTH)));
}

#[test]
fn serial_numbers_are_positive_and_of_at_most_20_octets() {
    let root = Party::root("Root");
    for serial in [vec![0x80], vec![0x00], vec![0x01; 21], vec![0xff, 0x01]] {
        let leaf = Builder { serial, ..Builder::leaf("device") }.signed_by(&root);
        only_strict_refuses(&root, &leaf, &[]);
    }
    let leaf = Builder { serial: vec![0x7f; 20], ..Builder::leaf("device") }.signed_by(&root);
    assert_valid(&check(&root, &leaf, &[], &strict()));
}

#[test]
fn criticality_is_what_the_standard_fixes() {
    let root = Party::root("Root");
    let key_id = vec![0x04, 0x01, 0x07];
    let cas = [
        Builder::ca("CA").with(oid::CE_NAME_CONSTRAINTS, false, name_constraints(&[dns("a.test")], &[])),
        Builder::ca("CA").with(oid::CE_POLICY_CONSTRAINTS, false, vec![0x30, 0x03, 0x81, 0x01, 0x00]),
        Builder::ca("CA").with(oid::CE_INHIBIT_ANY_POLICY, false, vec![0x02, 0x01, 0x00]),
        Builder::ca("CA").with(oid::CE_BASIC_CONSTRAINTS, false, basic_constraints(true, None)),
        Builder::ca("CA").without_key_identifiers().with(oid::CE_SUBJECT_KEY_IDENTIFIER, true, key_id),
    ];
    for builder in cas {
        let ca = builder.signed_by(&root);
        only_strict_refuses(&root, &ca.leaf("device"), &[&ca]);
    }
    let access = list([list([vec![0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, 1], element(0x86, &[b"http://ocsp.test"])])]);
    let leaf = Builder::leaf("device").with(oid::PE_AUTHORITY_INFO_ACCESS, true, access.clone()).signed_by(&root);
    only_strict_refuses(&root, &leaf, &[]);
    let leaf = Builder::leaf("device").with(oid::PE_AUTHORITY_INFO_ACCESS, false, access).signed_by(&root);
    assert_valid(&check(&root, &leaf, &[], &strict()));
}

#[test]
fn key_identifiers_are_there_where_they_must_be() {
    let root = Party::root("Root");
    let leaf = Builder::leaf("device").without_key_identifiers().signed_by(&root);
    only_strict_refuses(&root, &leaf, &[]);
    let ca = Builder::ca("CA").without_key_identifiers().signed_by(&root);
    only_strict_refuses(&root, &ca.leaf("device"), &[&ca]);
    // A self-signed root need not name its own key again.
    let bare = Builder::ca("Root")
        .without_key_identifiers()
        .with(oid::CE_SUBJECT_KEY_IDENTIFIER, false, vec![0x04, 0x01, 0x07])
        .self_signed();
    assert_valid(&check(&bare, &bare.leaf("device"), &[], &strict()));
}

#[test]
fn an_empty_subject_needs_a_critical_alternative_name() {
    let root = Party::root("Root");
    let nameless = || Builder::leaf("x").subject(vec![0x30, 0x00]);
    let names = list([dns("a.test")]);
    let critical = nameless().with(oid::CE_SUBJECT_ALT_NAME, true, names.clone()).signed_by(&root);
    assert_valid(&check(&root, &critical, &[], &strict()));
    only_strict_refuses(&root, &nameless().with(oid::CE_SUBJECT_ALT_NAME, false, names).signed_by(&root), &[]);
    only_strict_refuses(&root, &nameless().signed_by(&root), &[]);
}

#[test]
fn authority_is_stated_consistently() {
    let root = Party::root("Root");
    let leaves = [
        Builder::leaf("device").key_usage(&[KeyUsage::KeyCertSign]),
        Builder::leaf("device").with(oid::CE_BASIC_CONSTRAINTS, true, basic_constraints(false, Some(1))),
        Builder::leaf("device").with(oid::CE_NAME_CONSTRAINTS, true, name_constraints(&[dns("a.test")], &[])),
        Builder::leaf("device").with(oid::CE_KEY_USAGE, true, vec![0x03, 0x01, 0x00]),
    ];
    for builder in leaves {
        only_strict_refuses(&root, &builder.signed_by(&root), &[]);
    }
    let without_usage = Builder::ca("CA").without(oid::CE_KEY_USAGE).signed_by(&root);
    only_strict_refuses(&root, &without_usage.leaf("device"), &[&without_usage]);
    let silent_root = Builder::ca("Root").without(oid::CE_BASIC_CONSTRAINTS).self_signed();
    only_strict_refuses(&silent_root, &silent_root.leaf("device"), &[]);
}

#[test]
fn times_are_in_the_form_that_their_year_demands() {
    let root = Party::root("Root");
    let early = element(0x18, &[date(2020, 1, 1).to_generalized_time().as_bytes()]);
    let leaf = Builder { not_before: early, ..Builder::leaf("device") }.signed_by(&root);
    only_strict_refuses(&root, &leaf, &[]);
    let late = Builder::leaf("device").valid(date(2020, 1, 1), date(2060, 1, 1)).signed_by(&root);
    assert_valid(&check(&root, &late, &[], &strict()));
}
