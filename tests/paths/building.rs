//! From the certificate to an anchor: candidates, backtracking, loops, what the report says.

use devid::Code;
use devid::asn1::oid;
use devid::validation::{Check, Checks, same_name};

use crate::certificates::{Builder, Party, common_name, date, key, name, now};
use crate::{assert_refused, assert_valid, check, check_all, plain};

#[test]
fn a_path_is_found_whatever_the_order_of_the_pool() {
    let root = Party::root("Root");
    let upper = root.ca("Upper");
    let middle = upper.ca("Middle");
    let lower = middle.ca("Lower");
    let leaf = lower.leaf("device");
    for pool in [[&upper, &middle, &lower], [&lower, &upper, &middle], [&middle, &lower, &upper]] {
        let report = check(&root, &leaf, &pool, &plain());
        assert_valid(&report);
        let chain: Vec<&[u8]> = report.path().unwrap().chain().iter().map(|c| c.as_der()).collect();
        let expected = [&leaf, &lower, &middle, &upper, &root].map(|p| p.certificate.as_der());
        assert_eq!(chain, expected);
    }
}

#[test]
fn a_missing_link_is_no_path_and_names_the_issuer_that_is_missing() {
    let root = Party::root("Root");
    let upper = root.ca("Upper");
    let lower = upper.ca("Lower");
    let leaf = lower.leaf("device");
    let report = check(&root, &leaf, &[&lower], &plain());
    assert_refused(&report, Code::NoPath);
    let finding = &report.findings()[0];
    assert_eq!(finding.certificate_index, Some(1));
    assert!(finding.text.contains("CN=Upper"), "{}", finding.text);
}

#[test]
fn without_anchors_nothing_is_valid_not_even_a_self_signed_root() {
    let root = Party::root("Root");
    assert_refused(&check_all(&[], &root, &[&root], &plain()), Code::NoPath);
}

#[test]
fn an_anchor_directly_above_the_certificate_needs_no_pool() {
    let root = Party::root("Root");
    let report = check(&root, &root.leaf("device"), &[], &plain());
    assert_valid(&report);
    assert_eq!(report.path().unwrap().chain().len(), 2);
}

#[test]
fn an_anchor_that_is_itself_issued_by_others_ends_the_path() {
    let root = Party::root("Root");
    let ca = root.ca("Trusted below the root");
    let leaf = ca.leaf("device");
    let report = check(&ca, &leaf, &[&root], &plain());
    assert_valid(&report);
    assert_eq!(report.path().unwrap().anchor(), &ca.certificate);
}

#[test]
fn of_two_issuers_with_one_name_the_one_whose_key_signed_is_found_without_key_identifiers() {
    let root = Party::root("Root");
    let old = Builder::ca("CA").without_key_identifiers().signed_by(&root);
    let new = Builder::ca("CA").without_key_identifiers().signed_by(&root);
    for signer in [&old, &new] {
        let leaf = Builder::leaf("device").without_key_identifiers().signed_by(signer);
        let report = check(&root, &leaf, &[&old, &new], &plain());
        assert_valid(&report);
        assert_eq!(report.path().unwrap().chain()[1], signer.certificate);
    }
}

#[test]
fn wrong_key_identifiers_only_cost_time() {
    let root = Party::root("Root");
    let right = Builder::ca("CA")
        .without_key_identifiers()
        .with(oid::CE_SUBJECT_KEY_IDENTIFIER, false, vec![0x04, 0x01, 0x01])
        .signed_by(&root);
    let wrong = Builder::ca("CA")
        .without_key_identifiers()
        .with(oid::CE_SUBJECT_KEY_IDENTIFIER, false, vec![0x04, 0x01, 0x02])
        .signed_by(&root);
    let leaf = Builder::leaf("device")
        .without_key_identifiers()
        .with(oid::CE_AUTHORITY_KEY_IDENTIFIER, false, vec![0x30, 0x03, 0x80, 0x01, 0x02])
        .signed_by(&right);
    let report = check(&root, &leaf, &[&wrong, &right], &plain());
    assert_valid(&report);
    assert_eq!(report.path().unwrap().chain()[1], right.certificate);
}

#[test]
fn a_branch_that_fails_late_is_left_for_another() {
    // The same CA, certified by an expired root and by a good one.
    let good = Party::root("Good root");
    let expired = Builder::ca("Expired root").valid(date(2019, 1, 1), date(2021, 1, 1)).self_signed();
    let ca_key = key();
    let under_expired = Builder::ca("CA").key(&ca_key).signed_by(&expired);
    let under_good = Builder::ca("CA").key(&ca_key).signed_by(&good);
    let leaf = under_good.leaf("device");
    for pool in [[&under_expired, &under_good], [&under_good, &under_expired]] {
        let report = check_all(&[&expired, &good], &leaf, &pool, &plain());
        assert_valid(&report);
        assert_eq!(report.path().unwrap().anchor(), &good.certificate);
    }
}

#[test]
fn name_constraints_on_one_branch_do_not_close_another() {
    use crate::certificates::dns;
    let root = Party::root("Root");
    let ca_key = key();
    let closed = Builder::ca("CA").key(&ca_key).constraints(&[dns("elsewhere.test")], &[]).signed_by(&root);
    let open = Builder::ca("CA").key(&ca_key).signed_by(&root);
    let leaf = Builder::leaf("device").alt_names([dns("device.test")]).signed_by(&open);
    assert_valid(&check(&root, &leaf, &[&closed, &open], &plain()));
    assert_refused(&check(&root, &leaf, &[&closed], &plain()), Code::NameConstraints);
}

#[test]
fn cross_signed_cas_in_a_circle_end() {
    let (a_key, b_key) = (key(), key());
    let a_name = common_name("A");
    let b_name = common_name("B");
    let a_by_b = Builder::ca("A").key(&a_key).sign(&b_name, &b_key);
    let b_by_a = Builder::ca("B").key(&b_key).sign(&a_name, &a_key);
    let leaf = Builder::leaf("device").sign(&a_name, &a_key);
    let root = Party::root("Root");
    assert_refused(&check(&root, &leaf, &[&a_by_b, &b_by_a], &plain()), Code::NoPath);

    let a_by_root = Builder::ca("A").key(&a_key).signed_by(&root);
    assert_valid(&check(&root, &leaf, &[&a_by_b, &b_by_a, &a_by_root], &plain()));
    let b_by_root = Builder::ca("B").key(&b_key).signed_by(&root);
    let report = check(&root, &leaf, &[&a_by_b, &b_by_a, &b_by_root], &plain());
    assert_valid(&report);
    assert_eq!(report.path().unwrap().chain().len(), 4);
}

#[test]
fn a_root_that_changed_its_key_is_reached_through_its_own_cross_certificate() {
    let old = Party::root("Root");
    let new = Party::root("Root");
    // RFC 4210 section 4.4: the new key under the old one, a self-issued certificate.
    let new_with_old = Builder::ca("Root").key(&new.key).signed_by(&old);
    let leaf = new.leaf("device");
    assert_refused(&check(&old, &leaf, &[], &plain()), Code::SignatureInvalid);
    assert_valid(&check(&old, &leaf, &[&new_with_old], &plain()));
}

#[test]
fn names_that_differ_in_case_spaces_and_string_type_chain() {
    let utf8 = name(&[(oid::AT_ORGANIZATION, 0x0c, b"Example  Corp"), (oid::AT_COMMON_NAME, 0x0c, b"issuing ca")]);
    let printable =
        name(&[(oid::AT_ORGANIZATION, 0x13, b" example corp"), (oid::AT_COMMON_NAME, 0x13, b"Issuing CA ")]);
    assert!(same_name(&utf8, &printable));
    let root = Party::root("Root");
    let ca = Builder::ca("x").subject(utf8).signed_by(&root);
    let leaf = Builder::leaf("device").sign(&printable, &ca.key);
    assert_valid(&check(&root, &leaf, &[&ca], &plain()));

    let other_order =
        name(&[(oid::AT_COMMON_NAME, 0x13, b"issuing ca"), (oid::AT_ORGANIZATION, 0x13, b"example corp")]);
    let leaf = Builder::leaf("device").sign(&other_order, &ca.key);
    assert_refused(&check(&root, &leaf, &[&ca], &plain()), Code::NoPath);
}

#[test]
fn a_forged_signature_anywhere_on_the_path_refuses() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let forged_leaf = Builder::leaf("device").sign(ca.certificate.subject(), &key());
    let report = check(&root, &forged_leaf, &[&ca], &plain());
    assert_refused(&report, Code::SignatureInvalid);
    assert_eq!(report.findings()[0].certificate_index, Some(0));

    let forged_ca = Builder::ca("CA").sign(root.certificate.subject(), &key());
    let report = check(&root, &forged_ca.leaf("device"), &[&forged_ca], &plain());
    assert_refused(&report, Code::SignatureInvalid);
    assert_eq!(report.findings()[0].certificate_index, Some(1));
}

#[test]
fn the_path_length_counts_cas_but_not_self_issued_ones() {
    let root = Builder::ca("Root").path_len(1).self_signed();
    let ca = Builder::ca("CA").path_len(0).signed_by(&root);
    let rolled = Builder::ca("CA").signed_by(&ca);
    assert_valid(&check(&root, &ca.leaf("device"), &[&ca], &plain()));
    assert_valid(&check(&root, &rolled.leaf("device"), &[&ca, &rolled], &plain()));

    let below = ca.ca("Below");
    assert_refused(&check(&root, &below.leaf("device"), &[&ca, &below], &plain()), Code::PathLength);
}

#[test]
fn the_anchors_own_path_length_is_kept() {
    let root = Builder::ca("Root").path_len(0).self_signed();
    let ca = root.ca("CA");
    assert_valid(&check(&root, &root.leaf("device"), &[], &plain()));
    assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::PathLength);
}

#[test]
fn the_caller_can_limit_the_number_of_intermediates() {
    let root = Party::root("Root");
    let upper = root.ca("Upper");
    let lower = upper.ca("Lower");
    let leaf = lower.leaf("device");
    let with_limit = |limit| Checks { max_intermediates: Some(limit), ..plain() };
    assert_valid(&check(&root, &leaf, &[&upper, &lower], &with_limit(2)));
    assert_refused(&check(&root, &leaf, &[&upper, &lower], &with_limit(1)), Code::PathLength);
}

#[test]
fn the_most_telling_failure_is_reported_when_several_paths_fail() {
    let root = Party::root("Root");
    let ca_key = key();
    let expired = Builder::ca("CA").key(&ca_key).valid(date(2019, 1, 1), date(2021, 1, 1)).signed_by(&root);
    let stranger = Builder::ca("CA").signed_by(&Party::root("Stranger"));
    let leaf = expired.leaf("device");
    let report = check(&root, &leaf, &[&stranger, &expired], &plain());
    assert_refused(&report, Code::Expired);
    let error = report.error().unwrap();
    assert_eq!(error.facts().certificate_index, Some(1));
    assert!(error.message().contains("2021-01-01"), "{error}");
}

#[test]
fn both_ends_of_validity_are_inclusive_to_the_second() {
    let root = Party::root("Root");
    let leaf = Builder::leaf("device").valid(date(2024, 3, 1), date(2024, 3, 2)).signed_by(&root);
    let at = |time| check(&root, &leaf, &[], &Checks { clock_skew_seconds: 0, ..Checks::at(time) });
    assert_valid(&at(date(2024, 3, 1)));
    assert_valid(&at(date(2024, 3, 2)));
    assert_refused(&at(date(2024, 3, 1).plus(-1)), Code::NotYetValid);
    assert_refused(&at(date(2024, 3, 2).plus(1)), Code::Expired);
    // Two clocks: the issuer's may be ahead by the window that is set everywhere. What has expired has expired by any clock.
    let by_default = |time| check(&root, &leaf, &[], &Checks::at(time));
    assert_valid(&by_default(date(2024, 3, 1).plus(-300)));
    assert_refused(&by_default(date(2024, 3, 1).plus(-301)), Code::NotYetValid);
    assert_refused(&by_default(date(2024, 3, 2).plus(1)), Code::Expired);
}

#[test]
fn a_device_without_a_clock_validates_and_the_report_says_so() {
    let root = Party::root("Root");
    let leaf = Builder::leaf("device").valid(date(2019, 1, 1), date(2021, 1, 1)).signed_by(&root);
    let report = check(&root, &leaf, &[], &Checks::at_unknown_time());
    assert_valid(&report);
    assert_eq!(report.findings()[0].code, Code::ClockMissing);
    assert!(!report.findings()[0].fatal);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::Expired);
}

#[test]
fn the_report_says_per_certificate_what_was_checked() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let leaf = ca.leaf("device");
    let report = check(&root, &leaf, &[&ca], &plain().for_purpose(oid::KP_CLIENT_AUTH));
    let path = report.path().unwrap();
    let of_leaf = path.checks_made(0);
    assert!(of_leaf.contains(&Check::Signature) && of_leaf.contains(&Check::Purposes));
    assert!(!of_leaf.contains(&Check::Names) && !of_leaf.contains(&Check::Status), "nobody asked for these");
    assert!(path.checks_made(1).contains(&Check::Authority));
    assert!(!path.checks_made(2).contains(&Check::Signature), "an anchor is believed without proof");
    assert!(path.checks_made(3).is_empty());
    let timeless = check(&root, &leaf, &[&ca], &Checks::at_unknown_time());
    assert!(!timeless.path().unwrap().checks_made(0).contains(&Check::Validity));
}

#[test]
fn the_verdict_ends_with_the_first_certificate_that_expires() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").valid(date(2020, 1, 1), date(2027, 1, 1)).signed_by(&root);
    let report = check(&root, &ca.leaf("device"), &[&ca], &Checks::at(now()));
    assert_eq!(report.path().unwrap().not_after(), date(2027, 1, 1));
}
