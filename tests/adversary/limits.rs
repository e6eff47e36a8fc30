//! Limits at their boundary, and decisions that one changed line would turn.

use std::sync::Arc;

use devid::Code;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::StatusMemory;
use devid::validation::{
    Checks, KeyUsage, NameCheck, PeerRequest, Purpose, Report, RevocationMode, StatusSources, TrustAnchors, same_name,
    validate,
};

use crate::certificates::{Builder, Party, common_name, list, now, provider};
use crate::status::{CrlBuilder, crl_issuer, points};
use crate::{MODES, checks, judge};

fn by(root: &Party, pool: &[&Party], leaf: &Party, checks: &Checks) -> Report {
    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
    let pool: Vec<_> = pool.iter().map(|p| p.certificate.clone()).collect();
    validate(&**provider(), &anchors, &leaf.certificate, &pool, &StatusSources::none(), checks)
}

fn code(report: &Report) -> Option<Code> {
    report.error().map(|error| error.code())
}

#[test]
fn budgets_end_behind_their_number_and_not_at_it() {
    let root = Party::root("Root");
    let one = root.ca("one");
    let two = one.ca("two");
    let leaf = two.leaf("leaf");
    let with = |change: &dyn Fn(&mut Checks)| {
        let mut checks = Checks::at(now());
        change(&mut checks);
        code(&by(&root, &[&one, &two], &leaf, &checks))
    };
    assert_eq!(with(&|c| c.budget.certificates = 3), None, "an anchor and two of the pool");
    assert_eq!(with(&|c| c.budget.certificates = 2), Some(Code::Budget));
    assert_eq!(with(&|c| c.budget.depth = 2), None);
    assert_eq!(with(&|c| c.budget.depth = 1), Some(Code::Budget));
    assert_eq!(with(&|c| c.budget.signatures = 3), None);
    assert_eq!(with(&|c| c.budget.signatures = 2), Some(Code::Budget));
}

#[test]
fn an_anchors_inhibit_any_policy_counts() {
    let plain = Builder::ca("Root").self_signed();
    let strict = Builder::ca("Root").inhibit_any(0).self_signed();
    let mut checks = Checks::at(now());
    checks.policy.require_explicit = true;
    for (root, refusal) in [(&plain, None), (&strict, Some(Code::Policy))] {
        let leaf = Builder::leaf("leaf").policies(&[oid::ANY_POLICY]).signed_by(root);
        assert_eq!(code(&by(root, &[], &leaf, &checks)), refusal);
    }
}

#[test]
fn nocheck_spares_responders_alone() {
    let root = Party::root("Root");
    let nocheck = |builder: Builder| builder.with(oid::OCSP_NOCHECK, false, vec![5, 0]).signed_by(&root);
    let device = nocheck(Builder::leaf("device"));
    let responder = nocheck(Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]));
    let hard = checks(RevocationMode::HardFail);
    assert_eq!(code(&by(&root, &[], &device, &hard)), Some(Code::RevocationUnknown));
    assert_eq!(code(&by(&root, &[], &responder, &hard)), None);
}

#[test]
fn a_signer_of_the_cas_name_under_another_anchor_clears_nobody() {
    let (root, other) = (Party::root("R0"), Party::root("R1"));
    let (ca, named) =
        (root.ca("CA"), |above: &Party| Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(above));
    let (signer, stranger) = (named(&root), named(&other));
    let peer = ca.leaf("peer");
    let of_ca = [CrlBuilder::of(&root).build(), CrlBuilder::of(&other).build()];
    let hard = |signer: &Party| {
        let crls = [&of_ca[..], &[CrlBuilder::of(signer).build()]].concat();
        code(&judge(&[&root, &other], &[&peer, &ca, signer], &crls, &[], RevocationMode::HardFail))
    };
    assert_eq!(hard(&signer), None);
    assert_eq!(hard(&stranger), Some(Code::RevocationUnknown));
    assert_eq!(MODES.len(), 2);
}

#[test]
fn a_name_with_more_attributes_is_another_name() {
    // Attributes of one RelativeDistinguishedName: a SET, whose order says nothing.
    let attribute = |text: &str| {
        let name = common_name(text);
        name[4..].to_vec()
    };
    let name = |texts: &[&str]| {
        let set: Vec<u8> = texts.iter().flat_map(|text| attribute(text)).collect();
        let mut rdn = list([set]);
        rdn[0] = 0x31;
        list([rdn])
    };
    assert!(same_name(&name(&["a", "b"]), &name(&["B", "A"])));
    assert!(!same_name(&name(&["a"]), &name(&["a", "b"])) && !same_name(&name(&["a", "b"]), &name(&["a"])));
    assert!(!same_name(&name(&["a", "b"]), &name(&["a", "c"])));
}

/// What is kept is looked for by names that the peer chooses: beyond a bound that is a refusal, and never silence.
#[test]
fn names_of_list_issuers_that_a_peer_sends_end_with_a_budget() {
    let root = Party::root("Root");
    let peer = root.leaf("peer");
    let name = common_name(&"\u{e4}".repeat(2_000));
    let point = [crl_issuer(&name)];
    let many: Vec<&[Vec<u8>]> = std::iter::repeat_n(&point[..], 16).collect();
    let junk: Vec<Certificate> = (0..12)
        .map(|n| Builder::leaf(&format!("junk {n}")).with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&many)))
        .map(|builder| builder.self_signed().certificate)
        .collect();
    let memory = Arc::new(StatusMemory::new(provider().clone(), None));
    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
    for mode in MODES {
        let judge = |pool: &[Certificate]| {
            let request = PeerRequest {
                anchors: &anchors,
                certificate: &peer.certificate,
                pool,
                status: &StatusSources { crls: vec![CrlBuilder::of(&root).build()], ..StatusSources::none() },
                checks: checks(mode),
                purpose: Purpose::Any,
                names: NameCheck::NotChecked,
                use_until: None,
            };
            code(&memory.open_peer(provider(), request).unwrap().0)
        };
        assert_eq!(judge(&junk), Some(Code::Budget), "{mode:?}");
        assert_eq!(judge(&junk[..3]), None, "{mode:?}");
    }
}
