//! Who may sign a CRL: the issuer, another key of it, a signer of its own, and nobody else.

use devid::asn1::oid;
use devid::validation::KeyUsage;

use crate::certificates::{Builder, Party, date, key};
use crate::status::{CrlBuilder, INDIRECT, crl_issuer, flag, points};
use crate::{World, assert_good, assert_revoked, assert_unknown, crl_sources};

/// Another key of the world's CA, certified by the root under the same name.
fn second_key(world: &World, change: impl FnOnce(Builder) -> Builder) -> Party {
    change(Builder::ca("CA")).signed_by(&world.root)
}

#[test]
fn a_list_by_another_key_of_the_ca_is_good_when_that_key_has_a_path_to_the_same_anchor() {
    let world = World::new();
    let fresh = second_key(&world, |b| b);
    let crl = crl_sources(&[CrlBuilder::of(&fresh).build()]);
    assert_good(&world.check_with(&crl, &World::leaf_checks(), &[&fresh]));
    // The list remembers its signer; read anew, it is nobody's.
    assert_good(&world.check(&crl, &World::leaf_checks()));
    let anew = crl_sources(&[CrlBuilder::of(&fresh).build()]);
    assert_unknown(&world.check(&anew, &World::leaf_checks()), "signature");
    // The same name under another root is another CA.
    let stranger = Party::root("CA");
    let elsewhere = Party::root("Elsewhere").ca("CA");
    for signer in [&stranger, &elsewhere] {
        let crl = crl_sources(&[CrlBuilder::of(signer).build()]);
        assert_unknown(&world.check_with(&crl, &World::leaf_checks(), &[signer]), "no valid path");
    }
}

#[test]
fn a_key_for_crls_alone_signs_lists_and_nothing_else() {
    let world = World::new();
    let crl_key = Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(&world.root);
    let crl = crl_sources(&[CrlBuilder::of(&crl_key).build()]);
    assert_good(&world.check_with(&crl, &World::leaf_checks(), &[&crl_key]));
    let no_crl_key = Builder::leaf("CA").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&world.root);
    let crl = crl_sources(&[CrlBuilder::of(&no_crl_key).build()]);
    assert_unknown(&world.check_with(&crl, &World::leaf_checks(), &[&no_crl_key]), "keyUsage");
}

#[test]
fn a_ca_without_crl_sign_signs_no_lists_be_it_the_anchor() {
    let root = Builder::ca("Root").key_usage(&[KeyUsage::KeyCertSign]).self_signed();
    let ca = Builder::ca("CA").key_usage(&[KeyUsage::KeyCertSign]).signed_by(&root);
    let device = ca.leaf("device");
    let world = World { root, ca, device };
    assert_unknown(&world.by_crls(&[CrlBuilder::of(&world.ca).build()]), "keyUsage");
    let world = World { device: world.root.leaf("device"), ..world };
    assert_unknown(&world.by_crls(&[CrlBuilder::of(&world.root).build()]), "keyUsage");
}

#[test]
fn a_signer_that_is_over_or_revoked_signs_no_more() {
    let world = World::new();
    let over = second_key(&world, |b| b.valid(date(2020, 1, 1), date(2021, 1, 1)));
    let crl = crl_sources(&[CrlBuilder::of(&over).build()]);
    assert_unknown(&world.check_with(&crl, &World::leaf_checks(), &[&over]), "no valid path");

    let fresh = second_key(&world, |b| b);
    let by_fresh = CrlBuilder::of(&fresh).build();
    let of_root = CrlBuilder::of(&world.root);
    let both = crl_sources(&[by_fresh.clone(), of_root.clone().build()]);
    assert_good(&world.check_with(&both, &World::chain_checks(), &[&fresh]));
    let revoking = crl_sources(&[by_fresh.clone(), of_root.revokes(&fresh).build()]);
    assert_unknown(&world.check_with(&revoking, &World::chain_checks(), &[&fresh]), "is revoked");
    // Also where only the leaf needs a status: what is known about the signer counts.
    assert_unknown(&world.check_with(&revoking, &World::leaf_checks(), &[&fresh]), "is revoked");
}

#[test]
fn a_signer_covered_by_its_own_list_is_good_until_that_list_says_otherwise() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let desk_name = crate::certificates::common_name("Desk");
    let handed_over = points(&[&[crl_issuer(&desk_name)]]);
    let desk = Builder::leaf("Desk")
        .key_usage(&[KeyUsage::CrlSign])
        .with(oid::CE_CRL_DISTRIBUTION_POINTS, false, handed_over.clone())
        .signed_by(&ca);
    let device = Builder::leaf("device").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, handed_over).signed_by(&ca);
    let world = World { root, ca, device };
    let indirect = CrlBuilder::of(&desk).scope(&[flag(INDIRECT)]);
    let of_root = CrlBuilder::of(&world.root).build();
    let check = |crl: CrlBuilder| {
        world.check_with(&crl_sources(&[crl.build(), of_root.clone()]), &World::chain_checks(), &[&desk])
    };
    assert_good(&check(indirect.clone()));
    let issuer = crate::status::certificate_issuer(&crate::certificates::common_name("CA"));
    let accusing = || indirect.clone().entry(desk.certificate.serial(), std::slice::from_ref(&issuer));
    assert_unknown(&check(accusing()), "it is accused");
    // Whom it lists beside itself is revoked all the same.
    let device = world.device.certificate.serial();
    let both = accusing().entry(device, std::slice::from_ref(&issuer));
    assert_revoked(&check(both));
}

/// A stolen key would sign that it was not stolen: who names a place of its own to ask at is asked about there.
#[test]
fn a_signer_or_responder_with_a_place_of_its_own_does_not_clear_itself() {
    let world = World::new();
    let elsewhere = points(&[&[crate::status::point_url("http://pki.example/signers.crl")]]);
    let named = |own: bool| {
        let builder =
            Builder::leaf("X").subject(world.ca.certificate.subject().to_vec()).key_usage(&[KeyUsage::CrlSign]);
        let builder =
            if own { builder.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, elsewhere.clone()) } else { builder };
        builder.signed_by(&world.ca)
    };
    let of_root = CrlBuilder::of(&world.root).build();
    let check = |signer: &Party, further: &[std::sync::Arc<devid::validation::Crl>]| {
        let lists = [&[CrlBuilder::of(signer).build(), of_root.clone()][..], further].concat();
        world.check_with(&crl_sources(&lists), &World::chain_checks(), &[signer])
    };
    let (plain, own) = (named(false), named(true));
    assert_good(&check(&plain, &[]));
    assert_unknown(&check(&own, &[]), "clears nobody");
    // The CA's own list about signers is a status for it.
    let scope = crate::status::point_url("http://pki.example/signers.crl");
    assert_good(&check(&own, &[CrlBuilder::of(&world.ca).scope(&[scope]).build()]));
}

#[test]
fn signers_that_hang_on_each_other_end() {
    let world = World::new();
    // Each list of a ring is signed by the next key of the same name; none is certified by the root.
    let keys: Vec<Party> = (0..6).map(|_| Builder::ca("CA").sign(world.ca.certificate.subject(), &key())).collect();
    let crls: Vec<_> = keys.iter().map(|k| CrlBuilder::of(k).build()).collect();
    let pool: Vec<&Party> = keys.iter().collect();
    assert_unknown(&world.check_with(&crl_sources(&crls), &World::chain_checks(), &pool), "");
}

#[test]
fn the_signature_of_a_list_is_over_the_bytes_that_came() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).revokes_for(&world.device, 1).der();
    // Where tbsCertList begins and ends.
    let header = |at: usize| if der[at + 1] < 0x80 { 2 } else { 2 + usize::from(der[at + 1] & 0x7f) };
    let start = header(0);
    let content = start + header(start);
    let length = der[start + 2..content].iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    assert!(der[start + 1] > 0x80, "a list of 128 bytes or more");
    let signed = start..content + length;
    let mut valid = 0;
    for position in 0..der.len() {
        let mut damaged = der.clone();
        damaged[position] ^= 0x04;
        let Ok(crl) = devid::validation::Crl::from_der(damaged) else { continue };
        let error = world.by_crls(&[crl.into()]).error();
        let is_signed = signed.contains(&position);
        valid += usize::from(error.is_none_or(|e| is_signed && e.code() == devid::Code::Revoked));
    }
    assert_eq!(valid, 0, "a list with one bit changed says nothing");
}
