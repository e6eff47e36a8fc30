//! What is asked of each certificate by itself: CA flags, uses, purposes, extensions, algorithms, keys.

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::crypto::algorithm::encode_oid;
use devid::crypto::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use devid::validation::{Checks, KeyUsage, Profile, RevocationMode, RevocationPolicy};

use crate::certificates::{Builder, Party, basic_constraints, dns, key, list, provider};
use crate::{assert_refused, assert_valid, check, plain};

/// An extension nobody knows.
const UNKNOWN: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.7");

#[test]
fn only_a_ca_issues() {
    let root = Party::root("Root");
    let silent = Builder::ca("CA").without(oid::CE_BASIC_CONSTRAINTS).signed_by(&root);
    let denying = Builder::ca("CA").with(oid::CE_BASIC_CONSTRAINTS, true, basic_constraints(false, None));
    let denying = denying.signed_by(&root);
    let old = Builder { version: None, extensions: Vec::new(), ..Builder::leaf("CA") }.signed_by(&root);
    for ca in [&silent, &denying, &old] {
        assert_refused(&check(&root, &ca.leaf("device"), &[ca], &plain()), Code::NotACa);
    }
}

#[test]
fn an_anchor_of_an_old_form_is_taken_but_not_one_that_denies_being_a_ca() {
    let old = Builder { version: None, extensions: Vec::new(), ..Builder::leaf("Root") }.self_signed();
    assert_valid(&check(&old, &old.leaf("device"), &[], &plain()));
    let denying = Builder::leaf("Root").with(oid::CE_BASIC_CONSTRAINTS, true, sequence(&[])).self_signed();
    assert_refused(&check(&denying, &denying.leaf("device"), &[], &plain()), Code::NotACa);
}

#[test]
fn a_ca_whose_key_usage_lacks_key_cert_sign_does_not_issue() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").key_usage(&[KeyUsage::CrlSign, KeyUsage::DigitalSignature]).signed_by(&root);
    assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::KeyUsage);
    let anchor = Builder::ca("Root").key_usage(&[KeyUsage::CrlSign]).self_signed();
    assert_refused(&check(&anchor, &anchor.leaf("device"), &[], &plain()), Code::KeyUsage);
    let silent = Builder::ca("CA").without(oid::CE_KEY_USAGE).signed_by(&root);
    assert_valid(&check(&root, &silent.leaf("device"), &[&silent], &plain()));
}

#[test]
fn every_use_asked_for_must_be_allowed() {
    let root = Party::root("Root");
    let all = [
        KeyUsage::DigitalSignature,
        KeyUsage::ContentCommitment,
        KeyUsage::KeyEncipherment,
        KeyUsage::DataEncipherment,
        KeyUsage::KeyAgreement,
        KeyUsage::CrlSign,
        KeyUsage::EncipherOnly,
        KeyUsage::DecipherOnly,
    ];
    for usage in all {
        let leaf = Builder::leaf("device").key_usage(&[usage]).signed_by(&root);
        for wanted in all {
            let report = check(&root, &leaf, &[], &plain().with_key_usage(wanted));
            assert_eq!(report.is_valid(), wanted == usage, "{usage:?} {wanted:?}");
        }
    }
    let silent = root.leaf("device");
    assert_valid(&check(&root, &silent, &[], &plain().with_key_usage(KeyUsage::DigitalSignature)));
}

#[test]
fn purposes_hold_for_the_certificate_and_for_cas_that_restrict_theirs() {
    let root = Party::root("Root");
    let client = plain().for_purpose(oid::KP_CLIENT_AUTH);
    let with = |purposes: &[Oid]| Builder::leaf("device").purposes(purposes);
    assert_valid(&check(&root, &with(&[oid::KP_SERVER_AUTH, oid::KP_CLIENT_AUTH]).signed_by(&root), &[], &client));
    assert_valid(&check(&root, &with(&[oid::ANY_EXTENDED_KEY_USAGE]).signed_by(&root), &[], &client));
    assert_valid(&check(&root, &root.leaf("device"), &[], &client));
    assert_refused(&check(&root, &with(&[oid::KP_SERVER_AUTH]).signed_by(&root), &[], &client), Code::KeyUsage);
    let both = client.clone().for_purpose(oid::KP_SERVER_AUTH);
    assert_refused(&check(&root, &with(&[oid::KP_CLIENT_AUTH]).signed_by(&root), &[], &both), Code::KeyUsage);

    let server_ca = Builder::ca("CA").purposes(&[oid::KP_SERVER_AUTH]).signed_by(&root);
    let leaf = with(&[oid::KP_CLIENT_AUTH]).signed_by(&server_ca);
    assert_refused(&check(&root, &leaf, &[&server_ca], &client), Code::KeyUsage);
    assert_valid(&check(&root, &leaf, &[&server_ca], &plain()));
}

#[test]
fn an_unknown_critical_extension_refuses_wherever_it_stands() {
    let root = Party::root("Root");
    let unknown = |builder: Builder, critical| builder.with(UNKNOWN, critical, vec![0x05, 0x00]);
    let leaf = unknown(Builder::leaf("device"), true).signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::CriticalExtension);
    let ca = unknown(Builder::ca("CA"), true).signed_by(&root);
    assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::CriticalExtension);
    let anchor = unknown(Builder::ca("Root"), true).self_signed();
    assert_refused(&check(&anchor, &anchor.leaf("device"), &[], &plain()), Code::CriticalExtension);
    let leaf = unknown(Builder::leaf("device"), false).signed_by(&root);
    assert_valid(&check(&root, &leaf, &[], &plain()));
}

#[test]
fn identifiers_with_a_uuid_in_them_are_extensions_like_others() {
    // 2.25.<128-bit number> (X.667): above what fits 32 bits, and legal.
    let uuid = [&[0x69u8, 0x83][..], &[0xaa; 17], &[0x2a]].concat();
    let root = Party::root("Root");
    let built = |critical: &[u8], oid: &[u8]| {
        let extension = sequence(&[&element(0x06, &[oid]), critical, &element(0x04, &[&[0x05, 0x00]])]);
        let good = root.leaf("device").certificate;
        let fields = [
            &[0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x07][..],
            good.signature_algorithm(),
            good.issuer(),
            good.validity(),
            good.subject(),
            root.key.spki(),
            &element(0xa3, &[&sequence(&[&extension])]),
        ];
        let tbs = sequence(&fields);
        let signature = root.key.sign(&root.key.kind().default_signature(), &tbs).unwrap();
        let der = devid::asn1::x509::assemble_signed(&tbs, good.signature_algorithm(), &signature);
        Certificate::from_der(&der).map(|certificate| Party { certificate, key: root.key.clone() })
    };
    assert_valid(&check(&root, &built(&[], &uuid).unwrap(), &[], &plain()));
    let critical = built(&[0x01, 0x01, 0xff], &uuid).unwrap();
    assert_refused(&check(&root, &critical, &[], &plain()), Code::CriticalExtension);
    for malformed in [&[][..], &[0x2a, 0x80, 0x01], &[0x2a, 0x81]] {
        assert!(built(&[], malformed).is_err(), "{malformed:02x?}");
    }
}

#[test]
fn malformed_known_extensions_refuse_even_if_they_are_not_asked_for() {
    let root = Party::root("Root");
    let nonsense: &[(Oid, Vec<u8>)] = &[
        (oid::CE_SUBJECT_KEY_IDENTIFIER, vec![0x05, 0x00]),
        (oid::CE_KEY_USAGE, vec![0x03, 0x02, 0x08, 0x80]),
        (oid::CE_KEY_USAGE, vec![0x03, 0x02, 0x07, 0xff]),
        (oid::CE_KEY_USAGE, vec![0x03, 0x00]),
        (oid::CE_KEY_USAGE, vec![0x02, 0x01, 0x80]),
        (oid::CE_SUBJECT_ALT_NAME, list([])),
        (oid::CE_SUBJECT_ALT_NAME, list([vec![0x89, 0x00]])),
        (oid::CE_SUBJECT_ALT_NAME, list([vec![0xa2, 0x00]])),
        (oid::CE_SUBJECT_ALT_NAME, list([vec![0x87, 0x05, 1, 2, 3, 4, 5]])),
        (oid::CE_SUBJECT_ALT_NAME, [list([dns("a.test")]), vec![0x05, 0x00]].concat()),
        (oid::CE_ISSUER_ALT_NAME, list([])),
        (oid::CE_BASIC_CONSTRAINTS, vec![0x30, 0x03, 0x01, 0x01, 0x01]),
        (oid::CE_BASIC_CONSTRAINTS, vec![0x30, 0x03, 0x02, 0x01, 0xff]),
        (oid::CE_NAME_CONSTRAINTS, list([])),
        (oid::CE_CRL_DISTRIBUTION_POINTS, list([])),
        (oid::CE_CERTIFICATE_POLICIES, list([])),
        (oid::CE_AUTHORITY_KEY_IDENTIFIER, vec![0x04, 0x00]),
        (oid::CE_POLICY_CONSTRAINTS, list([])),
        (oid::CE_EXT_KEY_USAGE, list([])),
        (oid::CE_EXT_KEY_USAGE, list([vec![0x05, 0x00]])),
        (oid::CE_INHIBIT_ANY_POLICY, vec![0x02, 0x01, 0x80]),
        (oid::CE_INHIBIT_ANY_POLICY, vec![0x02, 0x02, 0x00, 0x01]),
        (oid::PE_AUTHORITY_INFO_ACCESS, list([])),
        (oid::PE_AUTHORITY_INFO_ACCESS, list([list([vec![0x05, 0x00]])])),
    ];
    for (id, value) in nonsense {
        for critical in [false, true] {
            let builder = Builder::leaf("device").without_key_identifiers();
            let leaf = builder.with(*id, critical, value.clone()).signed_by(&root);
            let error = check(&root, &leaf, &[], &plain()).error().map(|e| e.code());
            // What only helps to find something is as if it were not there, unless the issuer says that it must be understood.
            let only_helps = [
                oid::CE_SUBJECT_KEY_IDENTIFIER,
                oid::CE_ISSUER_ALT_NAME,
                oid::CE_CRL_DISTRIBUTION_POINTS,
                oid::PE_AUTHORITY_INFO_ACCESS,
            ];
            let is_passed_over = only_helps.contains(id) && !critical;
            assert_eq!(error, (!is_passed_over).then_some(Code::Malformed), "{id} {value:02x?} {critical}");
            // The strict profile takes nothing that it cannot read.
            let strict = Checks { profile: Profile::Strict, ..plain() };
            assert_eq!(check(&root, &leaf, &[], &strict).error().map(|e| e.code()), Some(Code::Malformed), "{id}");
        }
    }
}

/// Where a status is demanded, points that cannot be read bring none; and they are points, for what is said to have no status.
#[test]
fn distribution_points_that_cannot_be_read_clear_nobody() {
    let root = Party::root("Root");
    let builder = || Builder::leaf("device").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, list([]));
    let hard = Checks {
        revocation: RevocationPolicy { mode: RevocationMode::HardFail, ..RevocationPolicy::default() },
        ..plain()
    };
    let leaf = builder().signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &hard), Code::RevocationUnknown);
    assert_valid(&check(&root, &leaf, &[], &plain()));
    let leaf = builder().with(oid::CE_NO_REV_AVAIL, false, vec![0x05, 0x00]).signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::Malformed);
}

#[test]
fn the_same_extension_twice_does_not_parse() {
    let root = Party::root("Root");
    let twice = Builder::leaf("device").with(oid::CE_SUBJECT_ALT_NAME, false, list([dns("a.test")])).with_second(
        oid::CE_SUBJECT_ALT_NAME,
        false,
        list([dns("b.test")]),
    );
    let der = twice.der(root.certificate.subject(), &root.key);
    assert!(Certificate::from_der(&der).unwrap_err().to_string().contains("twice"));
}

#[test]
fn algorithms_inside_and_beside_the_signature_are_compared_as_bytes() {
    let root = Party::root("Root");
    let ecdsa = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256).to_der();
    let with_null = sequence(&[&encode_oid(oid::ECDSA_WITH_SHA256), &[0x05, 0x00]]);
    let other = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384).to_der();
    for inner in [with_null.clone(), other] {
        let leaf = Builder { inner_algorithm: Some(inner), ..Builder::leaf("device") }.signed_by(&root);
        assert_refused(&check(&root, &leaf, &[], &plain()), Code::Malformed);
    }
    // Alike, but with parameters that must not be there.
    let leaf = Builder {
        inner_algorithm: Some(with_null.clone()),
        outer_algorithm: Some(with_null),
        ..Builder::leaf("device")
    };
    let report = check(&root, &leaf.signed_by(&root), &[], &plain());
    assert_refused(&report, Code::WeakAlgorithm);
    // The switch is named to validators, who have it, and not to who enrols or speaks TLS.
    assert!(report.refusal().expect("refused").message().contains("allow_weak takes it (peers.allow-weak"));
    assert!(!report.error().expect("refused").message().contains("allow_weak"));
    let leaf = Builder { inner_algorithm: Some(ecdsa), ..Builder::leaf("device") };
    assert_valid(&check(&root, &leaf.signed_by(&root), &[], &plain()));
}

#[test]
fn signatures_of_another_kind_than_the_issuers_key_are_refused() {
    let root = Party::root("Root");
    let ed25519 = SignatureAlgorithm::Ed25519.to_der();
    let leaf =
        Builder { inner_algorithm: Some(ed25519.clone()), outer_algorithm: Some(ed25519), ..Builder::leaf("device") };
    assert_refused(&check(&root, &leaf.signed_by(&root), &[], &plain()), Code::SignatureInvalid);
}

#[test]
fn zero_signatures_are_refused() {
    // r = s = 0 (CVE-2022-21449).
    let root = Party::root("Root");
    let good = root.leaf("device").certificate;
    let zero = sequence(&[&[0x02, 0x01, 0x00], &[0x02, 0x01, 0x00]]);
    for signature in [zero, Vec::new(), sequence(&[])] {
        let der = devid::asn1::x509::assemble_signed(good.tbs(), good.signature_algorithm(), &signature);
        let forged = Party { certificate: Certificate::from_der(&der).unwrap(), key: key() };
        let report = check(&root, &forged, &[], &plain());
        assert!(matches!(report.error().unwrap().code(), Code::SignatureInvalid | Code::BadKey), "{report:?}");
    }
}

#[test]
fn every_kind_of_key_signs_certificates() {
    let kinds = [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::Rsa(2048)];
    for kind in kinds {
        let ca_key = provider().generate_key(kind).unwrap();
        let root = Builder::ca("Root").key(&ca_key).self_signed();
        assert_valid(&check(&root, &root.leaf("device"), &[], &plain()));
    }
    let ca_key = provider().generate_key(KeyKind::Rsa(2048)).unwrap();
    let pss = SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: 32 };
    let root = Builder { algorithm: Some(pss), ..Builder::ca("Root").key(&ca_key) }.self_signed();
    let leaf = Builder { algorithm: Some(pss), ..Builder::leaf("device") }.signed_by(&root);
    assert_valid(&check(&root, &leaf, &[], &plain()));
}

#[test]
fn ml_dsa_certificates_work_where_the_provider_has_the_algorithm() {
    for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
        let Ok(ca_key) = provider().generate_key(kind) else { continue };
        let root = Builder::ca("Root").key(&ca_key).self_signed();
        let ca = Builder::ca("CA").key(&ca_key).signed_by(&root);
        assert_valid(&check(&root, &ca.leaf("device"), &[&ca], &plain()));
        let forged = Builder::leaf("device").sign(root.certificate.subject(), &provider().generate_key(kind).unwrap());
        assert_refused(&check(&root, &forged, &[], &plain()), Code::SignatureInvalid);
    }
}

#[test]
fn sha1_is_taken_only_by_the_weak_switch() {
    let ca_key = provider().generate_key(KeyKind::Rsa(2048)).unwrap();
    let root = Builder::ca("Root").key(&ca_key).self_signed();
    let sha1 = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha1);
    let tbs = root.leaf("device").certificate;
    // Whether a provider still signs with SHA-1 is its own affair; whether it is refused is ours.
    let builder = Builder { algorithm: Some(sha1), ..Builder::leaf("device") };
    if ca_key.sign(&sha1, tbs.tbs()).is_err() {
        let identifier = sha1.to_der();
        let fake = Builder { inner_algorithm: Some(identifier.clone()), outer_algorithm: Some(identifier), ..builder };
        let fake = Builder { algorithm: None, ..fake }.signed_by(&root);
        assert_refused(&check(&root, &fake, &[], &plain()), Code::WeakAlgorithm);
        return;
    }
    let leaf = builder.signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::WeakAlgorithm);
    assert_valid(&check(&root, &leaf, &[], &Checks { allow_weak: true, ..plain() }));
}

#[test]
fn dsa_is_looked_at_only_by_the_weak_switch() {
    let root = Party::root("Root");
    let dsa_with_sha1 = sequence(&[&encode_oid(Oid::new_unwrap("1.2.840.10040.4.3"))]);
    let leaf = Builder {
        inner_algorithm: Some(dsa_with_sha1.clone()),
        outer_algorithm: Some(dsa_with_sha1),
        ..Builder::leaf("device")
    };
    let leaf = leaf.signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::WeakAlgorithm);
    assert_refused(&check(&root, &leaf, &[], &Checks { allow_weak: true, ..plain() }), Code::BadKey);
}

#[test]
fn explicit_curve_parameters_are_refused() {
    // specifiedCurve where a name belongs (RFC 5480 section 2.1.1; CVE-2020-0601, CVE-2022-0778).
    let point = [&[0x00, 0x04][..], &[0x11; 64]].concat();
    let explicit = sequence(&[&encode_oid(oid::EC_PUBLIC_KEY), &sequence(&[&[0x02, 0x01, 0x01]])]);
    let spki = sequence(&[&explicit, &element(0x03, &[&point])]);
    let root = Party::root("Root");
    let leaf = Builder { spki: Some(spki.clone()), ..Builder::leaf("device") }.signed_by(&root);
    assert_refused(&check(&root, &leaf, &[], &plain()), Code::BadKey);
    let ca = Builder { spki: Some(spki), ..Builder::ca("CA") }.signed_by(&root);
    assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::BadKey);
}

#[test]
fn rsa_keys_below_2048_bits_are_refused_and_oversized_ones_cost_nothing() {
    let rsa = |bits: usize| {
        let mut modulus = vec![0x80; bits / 8];
        modulus.insert(0, 0);
        let public = sequence(&[&element(0x02, &[&modulus]), &[0x02, 0x03, 0x01, 0x00, 0x01]]);
        let algorithm = sequence(&[&encode_oid(oid::RSA_ENCRYPTION), &[0x05, 0x00]]);
        sequence(&[&algorithm, &element(0x03, &[&[0], &public])])
    };
    let root = Party::root("Root");
    let small = Builder { spki: Some(rsa(1024)), ..Builder::leaf("device") }.signed_by(&root);
    assert_refused(&check(&root, &small, &[], &plain()), Code::WeakAlgorithm);
    assert_valid(&check(&root, &small, &[], &Checks { allow_weak: true, ..plain() }));

    let signature = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256).to_der();
    for bits in [1024, 65_536] {
        let ca = Builder { spki: Some(rsa(bits)), ..Builder::ca("CA") }.signed_by(&root);
        let leaf = Builder {
            inner_algorithm: Some(signature.clone()),
            outer_algorithm: Some(signature.clone()),
            ..Builder::leaf("device")
        };
        let report = check(&root, &leaf.signed_by(&ca), &[&ca], &plain());
        let code = report.error().unwrap().code();
        let expected: &[Code] = if bits == 1024 { &[Code::WeakAlgorithm] } else { &[Code::BadKey, Code::Algorithm] };
        assert!(expected.contains(&code), "{bits}: {report:?}");
    }
}

#[test]
fn an_issuer_without_a_name_is_no_issuer() {
    let root = Builder::ca("x").subject(vec![0x30, 0x00]).self_signed();
    assert_refused(&check(&root, &root.leaf("device"), &[], &plain()), Code::Malformed);
}
