//! Certificate policies (RFC 5280 section 6.1, RFC 9618).

use devid::Code;
use devid::asn1::oid::{ANY_POLICY, CE_CERTIFICATE_POLICIES, CE_POLICY_CONSTRAINTS, CE_POLICY_MAPPINGS, Oid};
use devid::validation::{Checks, PolicyInputs, Report};

use crate::certificates::{Builder, Party, list};
use crate::{assert_refused, assert_valid, check, plain};

const GOLD: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.1.1");
const SILVER: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.1.2");
const BRONZE: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.1.3");

/// An explicit policy out of this set is demanded.
fn demanding(set: &[Oid]) -> Checks {
    let policy = PolicyInputs { initial_set: set.to_vec(), require_explicit: true, ..PolicyInputs::default() };
    Checks { policy, ..plain() }
}

fn policies_of(report: &Report) -> Option<Vec<Oid>> {
    assert_valid(report);
    report
        .path()
        .unwrap()
        .policies()
        .map(|found| found.iter().map(|p| Oid::from_bytes(p.as_bytes()).unwrap()).collect())
}

#[test]
fn a_policy_that_runs_through_the_path_is_valid() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[GOLD, SILVER]).signed_by(&root);
    let leaf = Builder::leaf("device").policies(&[GOLD]).signed_by(&ca);
    let pool = [&ca];
    assert_eq!(policies_of(&check(&root, &leaf, &pool, &demanding(&[]))), Some(vec![GOLD]));
    assert_eq!(policies_of(&check(&root, &leaf, &pool, &demanding(&[GOLD, BRONZE]))), Some(vec![GOLD]));
    assert_refused(&check(&root, &leaf, &pool, &demanding(&[SILVER])), Code::Policy);
}

#[test]
fn without_a_demand_a_path_without_policies_is_valid_for_none() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let leaf = Builder::leaf("device").policies(&[GOLD]).signed_by(&ca);
    assert_eq!(policies_of(&check(&root, &leaf, &[&ca], &plain())), Some(vec![]));
    assert_refused(&check(&root, &leaf, &[&ca], &demanding(&[])), Code::Policy);
}

#[test]
fn any_policy_stands_for_every_policy_until_it_is_inhibited() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[ANY_POLICY]).signed_by(&root);
    let leaf = Builder::leaf("device").policies(&[GOLD]).signed_by(&ca);
    let any_leaf = Builder::leaf("device").policies(&[ANY_POLICY]).signed_by(&ca);
    assert_eq!(policies_of(&check(&root, &leaf, &[&ca], &demanding(&[GOLD]))), Some(vec![GOLD]));
    assert_eq!(policies_of(&check(&root, &any_leaf, &[&ca], &demanding(&[]))), None);
    assert_eq!(policies_of(&check(&root, &any_leaf, &[&ca], &demanding(&[SILVER]))), Some(vec![SILVER]));

    let mut inhibited = demanding(&[GOLD]);
    inhibited.policy.inhibit_any = true;
    assert_refused(&check(&root, &leaf, &[&ca], &inhibited), Code::Policy);

    let inhibiting = Builder::ca("CA").policies(&[ANY_POLICY]).inhibit_any(0).signed_by(&root);
    let below = Builder::leaf("device").policies(&[ANY_POLICY]).signed_by(&inhibiting);
    assert_refused(&check(&root, &below, &[&inhibiting], &demanding(&[GOLD])), Code::Policy);
    let below = Builder::leaf("device").policies(&[GOLD]).signed_by(&inhibiting);
    assert_valid(&check(&root, &below, &[&inhibiting], &demanding(&[GOLD])));
}

#[test]
fn a_self_issued_ca_may_use_any_policy_although_it_is_inhibited() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[GOLD]).inhibit_any(0).signed_by(&root);
    let rolled = Builder::ca("CA").policies(&[ANY_POLICY]).signed_by(&ca);
    let leaf = Builder::leaf("device").policies(&[GOLD]).signed_by(&rolled);
    assert_valid(&check(&root, &leaf, &[&ca, &rolled], &demanding(&[GOLD])));
    let other = Builder::ca("Other").policies(&[ANY_POLICY]).signed_by(&ca);
    let leaf = Builder::leaf("device").policies(&[GOLD]).signed_by(&other);
    assert_refused(&check(&root, &leaf, &[&ca, &other], &demanding(&[GOLD])), Code::Policy);
}

#[test]
fn a_ca_can_demand_an_explicit_policy_of_the_path_below_it() {
    let root = Party::root("Root");
    for (skip, expected) in [(0, Some(Code::Policy)), (1, Some(Code::Policy)), (2, None)] {
        let ca = Builder::ca("CA").policies(&[GOLD]).policy_constraints(Some(skip), None).signed_by(&root);
        let leaf = Builder::leaf("device").policies(&[SILVER]).signed_by(&ca);
        let error = check(&root, &leaf, &[&ca], &plain()).error().map(|e| e.code());
        assert_eq!(error, expected, "requireExplicitPolicy {skip}");
    }
    // RFC 5280 section 6.1.5 (b): the end entity can demand it for itself.
    let leaf = Builder::leaf("device").policy_constraints(Some(0), None).signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::Policy);
}

#[test]
fn mapped_policies_are_valid_in_the_terms_of_the_anchors_domain() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[GOLD]).mappings(&[(GOLD, BRONZE)]).signed_by(&root);
    let leaf = Builder::leaf("device").policies(&[BRONZE]).signed_by(&ca);
    assert_eq!(policies_of(&check(&root, &leaf, &[&ca], &demanding(&[GOLD]))), Some(vec![GOLD]));
    assert_refused(&check(&root, &leaf, &[&ca], &demanding(&[BRONZE])), Code::Policy);
    // What is mapped away is not valid below under its old name.
    let old = Builder::leaf("device").policies(&[GOLD]).signed_by(&ca);
    assert_refused(&check(&root, &old, &[&ca], &demanding(&[GOLD])), Code::Policy);
    // One policy to two, and any policy above.
    let ca = Builder::ca("CA").policies(&[ANY_POLICY]).mappings(&[(GOLD, BRONZE), (GOLD, SILVER)]).signed_by(&root);
    for policy in [SILVER, BRONZE] {
        let leaf = Builder::leaf("device").policies(&[policy]).signed_by(&ca);
        let report = check(&root, &leaf, &[&ca], &demanding(&[GOLD]));
        assert!(policies_of(&report).unwrap().contains(&GOLD));
    }
}

#[test]
fn inhibited_mappings_end_the_policy() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").policies(&[GOLD]).mappings(&[(GOLD, BRONZE)]).signed_by(&root);
    let leaf = Builder::leaf("device").policies(&[BRONZE, GOLD]).signed_by(&ca);
    let mut inhibited = demanding(&[]);
    assert_valid(&check(&root, &leaf, &[&ca], &inhibited));
    inhibited.policy.inhibit_mapping = true;
    assert_refused(&check(&root, &leaf, &[&ca], &inhibited), Code::Policy);

    let upper = Builder::ca("Upper").policies(&[GOLD]).policy_constraints(None, Some(0)).signed_by(&root);
    let lower = Builder::ca("Lower").policies(&[GOLD]).mappings(&[(GOLD, BRONZE)]).signed_by(&upper);
    let leaf = Builder::leaf("device").policies(&[BRONZE]).signed_by(&lower);
    assert_refused(&check(&root, &leaf, &[&upper, &lower], &demanding(&[])), Code::Policy);
}

#[test]
fn mappings_from_or_to_any_policy_refuse_even_where_no_policy_is_asked_for() {
    let root = Party::root("Root");
    for mapping in [(ANY_POLICY, GOLD), (GOLD, ANY_POLICY)] {
        let ca = Builder::ca("CA").policies(&[GOLD]).mappings(&[mapping]).signed_by(&root);
        assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::Policy);
        let bare = Builder::ca("CA").mappings(&[mapping]).signed_by(&root);
        assert_refused(&check(&root, &bare.leaf("device"), &[&bare], &plain()), Code::Policy);
    }
}

#[test]
fn the_anchors_policies_and_constraints_are_inputs() {
    let root = Builder::ca("Root").policies(&[GOLD]).policy_constraints(Some(0), None).self_signed();
    let leaf = |policy| Builder::leaf("device").policies(&[policy]).signed_by(&root);
    assert_eq!(policies_of(&check(&root, &leaf(GOLD), &[], &plain())), Some(vec![GOLD]));
    assert_refused(&check(&root, &leaf(SILVER), &[], &plain()), Code::Policy);
    assert_refused(&check(&root, &leaf(GOLD), &[], &demanding(&[SILVER])), Code::Policy);
}

#[test]
fn an_invalid_policy_in_the_end_entity_is_not_overlooked() {
    // OpenSSL CVE-2023-0465: policies of the leaf that cannot be read were skipped.
    let root = Party::root("Root");
    for value in [
        list([]),
        vec![0x30, 0x02, 0x30, 0x00],
        vec![0x05, 0x00],
        list([list([vec![0x06, 0x01, 0x2a]]), list([vec![0x06, 0x01, 0x2a]])]),
    ] {
        let leaf = Builder::leaf("device").with(CE_CERTIFICATE_POLICIES, false, value).signed_by(&root);
        assert_refused(&check(&root, &leaf, &[], &plain()), Code::Malformed);
    }
}

#[test]
fn empty_policy_constraints_and_mappings_are_refused() {
    let root = Party::root("Root");
    for (id, value) in [(CE_POLICY_CONSTRAINTS, list([])), (CE_POLICY_MAPPINGS, list([]))] {
        let ca = Builder::ca("CA").policies(&[GOLD]).with(id, true, value).signed_by(&root);
        assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::Malformed);
    }
}

#[test]
fn policies_that_grow_exponentially_as_a_tree_do_not_as_a_graph() {
    // RFC 9618 section 1: at each level every policy is mapped to both.
    let root = Party::root("Root");
    let both = [GOLD, SILVER];
    let crossed = [(GOLD, GOLD), (GOLD, SILVER), (SILVER, GOLD), (SILVER, SILVER)];
    let mut chain = vec![root.clone()];
    for i in 0..14 {
        let ca = Builder::ca(&format!("CA {i}")).policies(&both).mappings(&crossed);
        chain.push(ca.signed_by(&chain[i]));
    }
    let leaf = Builder::leaf("device").policies(&both).signed_by(&chain[14]);
    let pool: Vec<&Party> = chain[1..].iter().collect();
    assert_eq!(policies_of(&check(&root, &leaf, &pool, &demanding(&[GOLD]))), Some(vec![GOLD]));
}

#[test]
fn more_policies_than_anyone_has_are_a_matter_of_budget() {
    let root = Party::root("Root");
    let many: Vec<Oid> = (0..2000).map(|i| Oid::new(&format!("1.3.6.1.4.1.99999.2.{i}")).unwrap()).collect();
    let leaf = Builder::leaf("device").policies(&many).signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::Budget);
}

#[test]
fn a_policy_named_by_a_uuid_is_a_policy_like_any_other() {
    // 2.25 and 128 bits: a number that fits no machine word.
    let policy: devid::asn1::oid::Oid = "2.25.329800735698586629295641978511506172918".parse().unwrap();
    let other: devid::asn1::oid::Oid = "2.25.329800735698586629295641978511506172919".parse().unwrap();
    let of = |policy: &devid::asn1::oid::Oid| {
        let id = devid::asn1::der::element(0x06, &[policy.as_bytes()]);
        devid::asn1::der::sequence(&[&devid::asn1::der::sequence(&[&id])])
    };
    let root = Party::root("root");
    let ca = Builder::ca("CA").with(CE_CERTIFICATE_POLICIES, false, of(&policy)).signed_by(&root);
    let leaf = Builder::leaf("leaf").with(CE_CERTIFICATE_POLICIES, false, of(&policy)).signed_by(&ca);
    let demanding = |set: &[&devid::asn1::oid::Oid]| {
        let initial_set = set.iter().map(|p| **p).collect();
        let policy = PolicyInputs { initial_set, require_explicit: true, ..PolicyInputs::default() };
        Checks { policy, ..plain() }
    };
    let report = check(&root, &leaf, &[&ca], &demanding(&[&policy]));
    assert_eq!(report.path().unwrap().policies(), Some(&[policy][..]));
    let report = check(&root, &leaf, &[&ca], &demanding(&[&other]));
    assert_eq!(report.error().unwrap().code(), Code::Policy);
    let apart = Builder::leaf("leaf").with(CE_CERTIFICATE_POLICIES, false, of(&other)).signed_by(&ca);
    let report = check(&root, &apart, &[&ca], &demanding(&[]));
    assert_eq!(report.error().unwrap().code(), Code::Policy);
}
