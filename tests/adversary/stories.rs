//! Positions and goals: each attack fails, and the same without the attacker is judged as before.

use devid::Code;
use devid::asn1::der::{Cursor, element, sequence};
use devid::asn1::oid;
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::client::certificates::{certificates_from_bytes, sent_certificates};
use devid::crypto::algorithm::encode_oid;
use devid::validation::{KeyUsage, RevocationMode};

use crate::certificates::{Builder, Party};
use crate::status::{CrlBuilder, OcspBuilder, Single};
use crate::{MODES, judge};

fn code(report: &devid::validation::Report) -> Option<Code> {
    report.error().map(|error| error.code())
}

/// A revoked peer with junk and a forged staple, against a delta that lists it.
#[test]
fn junk_and_a_forged_staple_do_not_hide_a_delta() {
    let root = Party::root("Root");
    let peer = root.leaf("peer");
    let base = CrlBuilder::of(&root).number(7).build();
    let delta = CrlBuilder::of(&root).number(8).delta_to(7).revokes(&peer).build();
    let junk: Vec<Party> = (0..130).map(|_| Builder::leaf("X").self_signed()).collect();
    let staple = OcspBuilder::by(&junk[0]).says(Single::good(&peer.certificate, &root)).build();
    for mode in MODES {
        for count in [0, 100, 125, 126, 127, 130] {
            let sent: Vec<&Party> = std::iter::once(&peer).chain(&junk[..count]).collect();
            let crls = [base.clone(), delta.clone()];
            let report = judge(&[&root], &sent, &crls, std::slice::from_ref(&staple), mode);
            assert_eq!(code(&report), Some(Code::Revoked), "{mode:?} with {count}");
        }
        assert!(judge(&[&root], &[&peer], std::slice::from_ref(&base), &[], mode).is_valid());
    }
}

/// What was not looked at is not good: the staple's forged signers use up a budget, and no list speaks.
#[test]
fn an_exhausted_budget_refuses_in_every_mode() {
    let root = Party::root("Root");
    let peer = root.leaf("peer");
    let junk: Vec<Party> = (0..140).map(|_| Builder::leaf("X").self_signed()).collect();
    let staple =
        OcspBuilder::by(&Builder::leaf("X").self_signed()).says(Single::good(&peer.certificate, &root)).build();
    let sent: Vec<&Party> = std::iter::once(&peer).chain(&junk).collect();
    let list = CrlBuilder::of(&root).build();
    for mode in MODES {
        let report = judge(&[&root], &sent, std::slice::from_ref(&list), std::slice::from_ref(&staple), mode);
        assert_eq!(code(&report), Some(Code::Budget));
        assert!(judge(&[&root], &sent, std::slice::from_ref(&list), &[], mode).is_valid());
    }
}

/// A cross-certificate to another anchor does not lead around a revocation.
#[test]
fn revoked_on_one_path_is_revoked_on_all() {
    let (r0, r1) = (Party::root("R0"), Party::root("R1"));
    let ca = r0.ca("CA");
    let cross = Builder::ca("CA").key(&ca.key).signed_by(&r1);
    let signer = Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(&r0);
    let peer = ca.leaf("peer");
    let crls = [CrlBuilder::of(&signer).revokes(&peer).build()];
    let clear = [CrlBuilder::of(&signer).build()];
    for sent in [&[&peer, &signer, &ca][..], &[&peer, &signer, &ca, &cross], &[&peer, &signer, &cross, &ca]] {
        for anchors in [[&r0, &r1], [&r1, &r0]] {
            let report = judge(&anchors, sent, &crls, &[], RevocationMode::SoftFail);
            assert_eq!(code(&report), Some(Code::Revoked));
            assert!(judge(&anchors, sent, &clear, &[], RevocationMode::SoftFail).is_valid());
        }
    }
    let report = judge(&[&r0, &r1], &[&peer, &signer, &cross], &crls, &[], RevocationMode::SoftFail);
    assert_eq!(code(&report), Some(Code::Revoked), "an anchor vouches for the list's signer");
}

/// A partner CA that takes the name of another neither clears nor revokes for it.
#[test]
fn a_name_entitles_nobody() {
    let root = Party::root("Root");
    let (ca, partner) = (root.ca("CA"), root.ca("partner"));
    let fake = partner.ca("CA");
    let (peer, other) = (ca.leaf("peer"), ca.leaf("other"));
    let list = CrlBuilder::of(&ca).number(7).revokes(&peer).build();
    let forged = CrlBuilder::of(&fake).number(99_999).revokes(&other).build();
    for mode in MODES {
        let about = CrlBuilder::of(&root).build();
        let crls = [list.clone(), forged.clone(), about.clone(), CrlBuilder::of(&partner).build()];
        let pool = [&ca, &fake, &partner];
        let of = |who| judge(&[&root], &[&[who][..], &pool].concat(), &crls, &[], mode);
        assert_eq!(code(&of(&peer)), Some(Code::Revoked));
        assert!(of(&other).is_valid(), "{:?}", of(&other).findings());
    }
    let forged = [CrlBuilder::of(&fake).build(), CrlBuilder::of(&root).build(), CrlBuilder::of(&partner).build()];
    let report = judge(&[&root], &[&peer, &ca, &fake, &partner], &forged, &[], RevocationMode::HardFail);
    assert_eq!(code(&report), Some(Code::RevocationUnknown), "the partner's list alone clears nobody");
}

/// Numbers are compared within one series: a list of another scope that revokes is not passed over.
#[test]
fn a_lower_number_of_another_scope_revokes() {
    let root = Party::root("Root");
    let peer = root.leaf("peer");
    let full = CrlBuilder::of(&root).number(40).build();
    let users = CrlBuilder::of(&root).number(3).scope(&[crate::status::flag(1)]).revokes(&peer).build();
    for mode in MODES {
        assert_eq!(code(&judge(&[&root], &[&peer], &[full.clone(), users.clone()], &[], mode)), Some(Code::Revoked));
    }
}

/// A configured anchor is trusted directly, CA or not; a copy of its name and key by somebody else is not.
#[test]
fn an_anchor_is_its_own_path() {
    let pinned = Builder::leaf("server").self_signed();
    let issued = Party::root("elsewhere").leaf("pinned");
    let forged = Builder::leaf("server").key(&pinned.key).signed_by(&Party::root("server"));
    let remade = Builder::leaf("server").key(&pinned.key).self_signed();
    for mode in MODES {
        assert!(judge(&[&pinned], &[&pinned], &[], &[], mode).is_valid());
        assert!(judge(&[&issued], &[&issued], &[], &[], mode).is_valid());
        assert!(judge(&[&pinned], &[&remade], &[], &[], mode).is_valid());
        assert!(!judge(&[&pinned], &[&forged], &[], &[], mode).is_valid());
        assert!(!judge(&[&pinned], &[&Builder::leaf("server").self_signed()], &[], &[], mode).is_valid());
    }
}

/// The key that was presented first decides who is judged.
#[test]
fn another_partys_certificate_is_not_taken_for_the_first() {
    let root = Party::root("Root");
    let (ca, evil) = (root.ca("CA"), Builder::ca("CA").self_signed());
    let victim = ca.leaf("victim");
    let with_first = |first: &Party| {
        let mut checks = devid::validation::Checks::at(crate::now());
        checks.presented = Some(first.certificate.clone());
        let anchors = std::iter::once(root.certificate.clone()).collect();
        let pool = [ca.certificate.clone(), evil.certificate.clone()];
        let none = devid::validation::StatusSources::none();
        devid::validation::validate(&**crate::provider(), &anchors, &victim.certificate, &pool, &none, &checks)
    };
    assert!(with_first(&victim).is_valid() && with_first(&ca).is_valid());
    assert!(!with_first(&evil).is_valid());
}

/// In none of the forms that certificates are sent in does a first one that cannot be read leave its place to the next.
#[test]
fn a_first_certificate_that_cannot_be_read_is_not_passed_over() {
    let root = Party::root("Root");
    let (first, second) = (Builder::leaf("first").self_signed().certificate, root.leaf("second").certificate);
    let broken = {
        let mut der = first.as_der().to_vec();
        der[4] = 0x31;
        der
    };
    let indefinite = |der: &[u8]| {
        let content = Cursor::new(der, "").unwrap().any("a certificate").unwrap().value.to_vec();
        [&[0x30, 0x80][..], &content, &[0, 0]].concat()
    };
    let other_format = element(0xa3, &[&encode_oid(oid::CMS_DATA)]);
    let bundle = |all: &[u8]| {
        let data = [&[0x02, 0x01, 0x01, 0x31, 0x00][..], &sequence(&[&encode_oid(oid::CMS_DATA)])].concat();
        let data = sequence(&[&data, &element(0xa0, &[all]), &[0x31, 0x00]]);
        sequence(&[&encode_oid(oid::CMS_SIGNED_DATA), &element(0xa0, &[&data])])
    };
    for (what, one) in [("broken", &broken), ("in BER", &indefinite(first.as_der())), ("no certificate", &other_format)]
    {
        let both = [&one[..], second.as_der()].concat();
        let in_ber = indefinite(&bundle(&both));
        let armoured = pem::encode("PKCS7", &bundle(&both)).as_bytes().to_vec();
        for (form, sent) in [("DER", bundle(&both)), ("BER", in_ber), ("PEM", armoured)] {
            sent_certificates(&sent).expect_err(&format!("{what}, {form}"));
            // In a bundle of the owner's it spoils nothing.
            assert_eq!(certificates_from_bytes(&sent).unwrap(), std::slice::from_ref(&second), "{what}, {form}");
            let behind = [second.as_der(), &one[..]].concat();
            assert_eq!(sent_certificates(&bundle(&behind)).unwrap(), std::slice::from_ref(&second), "{what}, behind");
        }
    }
    let nothing = pem::encode("PKCS7", &bundle(&[])).as_bytes().to_vec();
    let behind = [&nothing[..], pem::encode("CERTIFICATE", second.as_der()).as_bytes()].concat();
    sent_certificates(&behind).expect_err("nothing, and a certificate behind it");
    assert_eq!(certificates_from_bytes(&behind).unwrap(), std::slice::from_ref(&second));
    let whole: Vec<Certificate> = vec![first.clone(), second.clone()];
    let both = [first.as_der(), second.as_der()].concat();
    for sent in [bundle(&both), indefinite(&bundle(&both))] {
        assert_eq!(sent_certificates(&sent).unwrap(), whole);
    }
}
