//! Certificates made to cost time, stack or memory. Each case must end by the budget, and say so.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::{check_depth, element, sequence};
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::crypto::PrivateKey;
use devid::limits::{MAX_CERTIFICATE_BYTES, PathBudget};
use devid::validation::Checks;

use crate::certificates::{Builder, Party, common_name, dns, key, list, name};
use crate::{assert_refused, assert_valid, check, check_all, plain};

#[test]
fn a_chain_longer_than_anyone_has_ends_at_the_depth() {
    let root = Party::root("Root");
    let mut chain = vec![root.clone()];
    for i in 0..100 {
        let ca = chain[i].ca(&format!("CA {i}"));
        chain.push(ca);
    }
    let leaf = chain[100].leaf("device");
    let pool: Vec<&Party> = chain[1..].iter().collect();
    assert_refused(&check(&root, &leaf, &pool, &plain()), Code::Budget);
    // The same chain is valid for a caller who asks for such depth.
    let deep = Checks { budget: PathBudget { depth: 100, signatures: 101, ..PathBudget::default() }, ..plain() };
    assert_valid(&check(&root, &leaf, &pool, &deep));
}

#[test]
fn cas_that_all_certify_each_other_end_by_the_budget() {
    let root = Party::root("Root");
    let keys: Vec<Arc<dyn PrivateKey>> = (0..12).map(|_| key()).collect();
    let mut pool = Vec::new();
    for (i, issuer) in keys.iter().enumerate() {
        for (j, subject) in keys.iter().enumerate() {
            if i != j {
                pool.push(Builder::ca(&format!("CA {j}")).key(subject).sign(&common_name(&format!("CA {i}")), issuer));
            }
        }
    }
    let leaf = Builder::leaf("device").sign(&common_name("CA 0"), &keys[0]);
    let pool: Vec<&Party> = pool.iter().collect();
    assert_refused(&check(&root, &leaf, &pool, &plain()), Code::Budget);
}

#[test]
fn many_issuers_with_one_name_end_by_the_budget_of_signatures() {
    let root = Party::root("Root");
    let strangers: Vec<Party> =
        (0..150).map(|_| Builder::ca("CA").without_key_identifiers().signed_by(&root)).collect();
    let leaf = Builder::leaf("device").without_key_identifiers().sign(&common_name("CA"), &key());
    let pool: Vec<&Party> = strangers.iter().collect();
    assert_refused(&check(&root, &leaf, &pool, &plain()), Code::Budget);

    // The right one among them is found at once where the key identifiers say which.
    let right = root.ca("CA");
    let mut pool: Vec<&Party> = strangers.iter().collect();
    pool.push(&right);
    assert_valid(&check(&root, &right.leaf("device"), &pool, &plain()));
}

#[test]
fn more_certificates_than_the_budget_are_not_looked_at() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let pool = vec![&ca; 2000];
    assert_refused(&check(&root, &ca.leaf("device"), &pool, &plain()), Code::Budget);
}

#[test]
fn the_same_certificate_many_times_is_no_more_work_than_once() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let leaf = Builder::leaf("device").sign(ca.certificate.subject(), &key());
    let pool = vec![&ca; 500];
    let frugal = Checks { budget: PathBudget { signatures: 2, ..PathBudget::default() }, ..plain() };
    assert_refused(&check(&root, &leaf, &pool, &frugal), Code::SignatureInvalid);
}

#[test]
fn a_signature_is_verified_once_however_many_paths_use_it() {
    let root = Party::root("Root");
    let middle_key = key();
    // Many ways from the middle to the root, all of which fail: the two lower signatures are common to all.
    let ways: Vec<Party> = (0..20)
        .map(|i| {
            Builder::ca("Middle").key(&middle_key).constraints(&[], &[dns(&format!("x{i}.test"))]).signed_by(&root)
        })
        .collect();
    let lower = Builder::ca("Lower").sign(&common_name("Middle"), &middle_key);
    let leaf = Builder::leaf("device").sign(lower.certificate.subject(), &key());
    let pool: Vec<&Party> = ways.iter().chain([&lower]).collect();
    let frugal = Checks { budget: PathBudget { signatures: 1, ..PathBudget::default() }, ..plain() };
    assert_refused(&check(&root, &leaf, &pool, &frugal), Code::SignatureInvalid);
}

#[test]
fn long_names_count_for_what_they_cost() {
    let text = vec![b'a'; 60_000];
    let long = name(&[(oid::AT_ORGANIZATION, 0x0c, &text)]);
    let roots: Vec<Party> = (0..4).map(|_| Builder::ca("x").subject(long.clone()).self_signed()).collect();
    let mut upper = text.clone();
    upper[59_999] = b'B';
    let leaf = Builder::leaf("device").sign(&name(&[(oid::AT_ORGANIZATION, 0x0c, &upper)]), &key());
    let roots: Vec<&Party> = roots.iter().collect();
    let frugal = Checks { budget: PathBudget { name_comparisons: 3000, ..PathBudget::default() }, ..plain() };
    assert_refused(&check_all(&roots, &leaf, &[], &frugal), Code::Budget);
    assert_refused(&check_all(&roots, &leaf, &[], &plain()), Code::NoPath);
}

#[test]
fn giant_object_identifiers_are_refused_by_length() {
    let root = Party::root("Root");
    let giant = element(0x06, &[&[0x2a; 60_000]]);
    let extension = sequence(&[&giant, &element(0x04, &[&[0x05, 0x00]])]);
    let good = Builder::leaf("device").der(root.certificate.subject(), &root.key);
    let good = Certificate::from_der(&good).unwrap();
    let fields = [
        good.signature_algorithm(),
        good.issuer(),
        good.validity(),
        good.subject(),
        root.key.spki(),
        &element(0xa3, &[&sequence(&[&extension])]),
    ]
    .concat();
    let tbs = sequence(&[&[0xa0, 0x03, 0x02, 0x01, 0x02], &[0x02, 0x01, 0x01], &fields]);
    let der = devid::asn1::x509::assemble_signed(&tbs, good.signature_algorithm(), good.signature());
    assert!(Certificate::from_der(&der).unwrap_err().to_string().contains("OBJECT IDENTIFIER"));
    // And as a policy, a purpose and an access method, where they are read later.
    for (id, value) in [
        (oid::CE_CERTIFICATE_POLICIES, list([list([giant.clone()])])),
        (oid::PE_AUTHORITY_INFO_ACCESS, list([list([giant.clone(), element(0x86, &[b"http://a.test"])])])),
    ] {
        let leaf = Builder::leaf("device").with(id, false, value).signed_by(&root);
        let code = check(&root, &leaf, &[], &plain()).error().map(|error| error.code());
        // Where issuers and status are found is passed over where it cannot be read.
        let is_passed_over = id == oid::PE_AUTHORITY_INFO_ACCESS && code.is_none();
        assert!(is_passed_over || matches!(code, Some(Code::Malformed | Code::Budget)), "{id}: {code:?}");
    }
}

#[test]
fn nested_constructed_values_do_not_exhaust_the_stack() {
    let root = Party::root("Root");
    let nested = (0..5_000).fold(vec![0x05, 0x00], |inner, _| sequence(&[&inner]));
    assert!(check_depth(&nested, "Nested").is_err());
    for id in [oid::CE_SUBJECT_ALT_NAME, oid::CE_NAME_CONSTRAINTS, oid::CE_CERTIFICATE_POLICIES, oid::CE_EXT_KEY_USAGE]
    {
        let leaf = Builder::leaf("device").with(id, false, nested.clone()).signed_by(&root);
        assert_refused(&check(&root, &leaf, &[], &plain()), Code::Malformed);
    }
    let leaf = Builder::leaf("device").subject(nested).signed_by(&root);
    let _verdict_does_not_matter = check(&root, &leaf, &[], &plain());
}

#[test]
fn declared_lengths_beyond_the_input_are_refused_without_allocating_them() {
    let root = Party::root("Root");
    let der = Builder::leaf("device").der(root.certificate.subject(), &root.key);
    for (at, byte) in [(1, 0x84u8), (1, 0x83), (1, 0x80), (5, 0x84), (5, 0xff)] {
        let mut damaged = der.clone();
        damaged[at] = byte;
        assert!(Certificate::from_der(&damaged).is_err(), "{at} {byte:02x}");
    }
    assert!(Certificate::from_der(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
}

#[test]
fn certificates_beyond_the_size_limit_are_refused() {
    let root = Party::root("Root");
    let unknown = Oid::new_unwrap("1.3.6.1.4.1.99999.7");
    let value = element(0x04, &[&vec![0u8; MAX_CERTIFICATE_BYTES]]);
    let der = Builder::leaf("device").with(unknown, false, value).der(root.certificate.subject(), &root.key);
    assert!(Certificate::from_der(&der).unwrap_err().to_string().contains("size in bytes"));
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused_or_not_valid() {
    let root = Party::root("Root");
    let der = Builder::leaf("device").alt_names([dns("device.test")]).der(root.certificate.subject(), &root.key);
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
    for at in 0..der.len() {
        let mut damaged = der.clone();
        damaged[at] ^= 0x41;
        if let Ok(certificate) = Certificate::from_der(&damaged) {
            let report = check(&root, &Party { certificate, key: root.key.clone() }, &[], &plain());
            assert!(!report.is_valid(), "a byte changed at {at}");
        }
    }
}
