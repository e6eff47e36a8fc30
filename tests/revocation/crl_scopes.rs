//! Partitioned, indirect and limited CRLs: which list speaks about which certificate.

use devid::asn1::der::element;
use devid::asn1::oid;

use crate::certificates::{Builder, Party, common_name, directory, dns, list, name, uri};
use crate::status::{
    CrlBuilder, INDIRECT, ONLY_ATTRIBUTE_CERTS, ONLY_CA_CERTS, ONLY_USER_CERTS, certificate_issuer, crl_issuer, flag,
    point_name, point_relative, point_url, points, reasons,
};
use crate::{World, assert_good, assert_revoked, assert_unknown, crl_sources};

const ONE: &str = "http://ca.example/1.crl";
const TWO: &str = "http://ca.example/2.crl";

/// A device whose certificate has these distribution points.
fn world_with_points(value: Vec<u8>) -> World {
    World::with_device(|b| b.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, value))
}

#[test]
fn a_shard_speaks_only_about_certificates_that_point_at_it() {
    let world = world_with_points(points(&[&[point_url(ONE)]]));
    let shard = |url| CrlBuilder::of(&world.ca).scope(&[point_url(url)]);
    assert_good(&world.by_crls(&[shard(ONE).build()]));
    assert_good(&world.by_crls(&[shard("HTTP://CA.EXAMPLE/1.crl").build()]));
    assert_revoked(&world.by_crls(&[shard(ONE).revokes(&world.device).build()]));
    assert_unknown(&world.by_crls(&[shard(TWO).build()]), "another distribution point");
    assert_unknown(&world.by_crls(&[shard("http://ca.example/1.CRL").build()]), "another distribution point");
    // One shard missing among many.
    assert_unknown(&world.by_crls(&[shard(TWO).number(2).build(), shard("http://x/").build()]), "another");
    assert_good(&world.by_crls(&[shard(TWO).number(2).build(), shard(ONE).build()]));
}

#[test]
fn a_certificate_without_points_takes_no_shard_by_url() {
    let world = World::new();
    let shard = CrlBuilder::of(&world.ca).scope(&[point_url(ONE)]).build();
    assert_unknown(&world.by_crls(&[shard]), "another distribution point");
    // Section 6.3.3: a list of the issuer counts as if named by a point with the issuer's name.
    let by_name = CrlBuilder::of(&world.ca).scope(&[point_name(&[directory(&common_name("ca"))])]).build();
    assert_good(&world.by_crls(&[by_name]));
}

#[test]
fn a_shard_named_by_directory_name_or_relative_to_the_issuer_is_matched() {
    let full = name(&[(oid::AT_COMMON_NAME, 0x0c, b"CA"), (oid::AT_COMMON_NAME, 0x0c, b"shard 1")]);
    let by_full = point_name(&[directory(&full)]);
    for (in_certificate, in_list) in [
        (by_full.clone(), by_full.clone()),
        (by_full.clone(), point_relative("shard 1")),
        (point_relative("shard 1"), by_full),
        (point_relative("shard 1"), point_relative("SHARD  1")),
    ] {
        let world = world_with_points(points(&[&[in_certificate]]));
        assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).scope(&[in_list]).build()]));
        let other = CrlBuilder::of(&world.ca).scope(&[point_relative("shard 2")]).build();
        assert_unknown(&world.by_crls(&[other]), "another distribution point");
    }
}

#[test]
fn all_points_and_all_names_are_compared_not_only_the_first() {
    let names = point_name(&[dns("x.example"), uri("ldap://a/"), uri(TWO)]);
    let world = world_with_points(points(&[&[point_url(ONE)], &[names]]));
    let shard = CrlBuilder::of(&world.ca).scope(&[point_name(&[uri("http://other/"), uri(TWO)])]);
    assert_good(&world.by_crls(&[shard.clone().build()]));
    assert_revoked(&world.by_crls(&[shard.revokes(&world.device).build()]));
}

#[test]
fn names_of_different_types_never_match() {
    let world = world_with_points(points(&[&[point_name(&[dns("ca.example")])]]));
    let crl = CrlBuilder::of(&world.ca).scope(&[point_name(&[uri("ca.example")])]).build();
    assert_unknown(&world.by_crls(&[crl]), "another distribution point");
    let same = CrlBuilder::of(&world.ca).scope(&[point_name(&[dns("ca.example")])]).build();
    assert_good(&world.by_crls(&[same]));
}

#[test]
fn lists_for_users_for_cas_and_for_attribute_certificates_keep_to_their_kind() {
    let world = World::with_device(|b| {
        b.with(oid::CE_BASIC_CONSTRAINTS, true, crate::certificates::basic_constraints(false, None))
    });
    let limited = |party: &Party, number| CrlBuilder::of(party).scope(&[flag(number)]).build();
    assert_good(&world.by_crls(&[limited(&world.ca, ONLY_USER_CERTS)]));
    assert_unknown(&world.by_crls(&[limited(&world.ca, ONLY_CA_CERTS)]), "other kind");
    assert_unknown(&world.by_crls(&[limited(&world.ca, ONLY_ATTRIBUTE_CERTS)]), "attribute certificates");
    let of_device = CrlBuilder::of(&world.ca).build();
    let chain = |of_ca| world.check(&crl_sources(&[of_device.clone(), of_ca]), &World::chain_checks());
    assert_good(&chain(limited(&world.root, ONLY_CA_CERTS)));
    assert_unknown(&chain(limited(&world.root, ONLY_USER_CERTS)), "other kind");
}

#[test]
fn a_certificate_of_version_1_is_in_no_list_that_is_limited_to_a_kind() {
    let world = World::with_device(|mut b| {
        b.version = None;
        b.without_key_identifiers()
    });
    assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).build()]));
    let limited = CrlBuilder::of(&world.ca).scope(&[flag(ONLY_USER_CERTS)]).build();
    assert_unknown(&world.by_crls(&[limited]), "version 3");
}

#[test]
fn lists_by_reasons_prove_good_only_together() {
    let world = World::new();
    let compromise = CrlBuilder::of(&world.ca).number(3).scope(&[reasons(0x83, &[1, 2, 8])]);
    let routine = CrlBuilder::of(&world.ca).number(4).scope(&[reasons(0x83, &[3, 4, 5, 6, 7])]);
    assert_unknown(&world.by_crls(&[compromise.clone().build()]), "only some reasons");
    assert_unknown(&world.by_crls(&[routine.clone().build()]), "only some reasons");
    assert_good(&world.by_crls(&[compromise.clone().build(), routine.clone().build()]));
    assert_revoked(&world.by_crls(&[compromise.clone().revokes(&world.device).build()]));
    assert_revoked(&world.by_crls(&[compromise.revokes(&world.device).build(), routine.build()]));
}

#[test]
fn reasons_of_a_distribution_point_limit_what_its_list_proves() {
    let compromise = [point_url(ONE), reasons(0x81, &[1, 2, 8])];
    let world = world_with_points(points(&[&compromise]));
    let shard = CrlBuilder::of(&world.ca).scope(&[point_url(ONE)]);
    assert_unknown(&world.by_crls(&[shard.clone().build()]), "only some reasons");
    let other = [point_url(TWO), reasons(0x81, &[3, 4, 5, 6, 7])];
    let world = world_with_points(points(&[&compromise, &other]));
    let shard = |url| CrlBuilder::of(&world.ca).scope(&[point_url(url)]);
    assert_good(&world.by_crls(&[shard(ONE).build(), shard(TWO).build()]));
    assert_unknown(&world.by_crls(&[shard(ONE).build()]), "only some reasons");
}

/// A device of CA whose revocation is in the hands of another CA under the same root.
fn world_with_indirect_issuer() -> (World, Party) {
    let name = common_name("Revocation Desk");
    let world = world_with_points(points(&[&[crl_issuer(&name)]]));
    let desk = world.root.ca("Revocation Desk");
    (world, desk)
}

#[test]
fn an_indirect_list_speaks_for_whoever_its_entries_name() {
    let (world, desk) = world_with_indirect_issuer();
    let indirect = || CrlBuilder::of(&desk).scope(&[flag(INDIRECT)]);
    let serial = world.device.certificate.serial();
    let ca_name = certificate_issuer(&common_name("CA"));
    let other_name = certificate_issuer(&common_name("Other CA"));
    let check = |crl: CrlBuilder| world.check_with(&crl_sources(&[crl.build()]), &World::leaf_checks(), &[&desk]);

    assert_good(&check(indirect()));
    assert_revoked(&check(indirect().entry(serial, std::slice::from_ref(&ca_name))));
    // Without a name the entry is about the list's own issuer's certificates.
    assert_good(&check(indirect().entry(serial, &[])));
    assert_good(&check(indirect().entry(serial, std::slice::from_ref(&other_name))));
    // The name stays in force for the entries that follow, until the next one.
    assert_revoked(&check(indirect().entry(&[1], std::slice::from_ref(&ca_name)).entry(&[2], &[]).entry(serial, &[])));
    assert_good(&check(
        indirect().entry(&[1], std::slice::from_ref(&ca_name)).entry(&[2], &[other_name]).entry(serial, &[]),
    ));
}

#[test]
fn an_indirect_list_of_a_thousand_issuers_keeps_them_apart() {
    let (world, desk) = world_with_indirect_issuer();
    let serial = world.device.certificate.serial();
    let many = |ours: bool| {
        (0..1000).fold(CrlBuilder::of(&desk).scope(&[flag(INDIRECT)]), |crl, n| {
            let issuer = if ours && n == 567 { "CA".to_owned() } else { format!("CA {n}") };
            crl.entry(&[1], &[certificate_issuer(&common_name(&issuer))]).entry(serial, &[])
        })
    };
    let check = |crl: CrlBuilder| world.check_with(&crl_sources(&[crl.build()]), &World::leaf_checks(), &[&desk]);
    assert_revoked(&check(many(true)));
    assert_good(&check(many(false)));
}

#[test]
fn a_list_of_another_issuer_must_be_indirect_and_named_by_the_certificate() {
    let (world, desk) = world_with_indirect_issuer();
    let check = |crl: CrlBuilder| world.check_with(&crl_sources(&[crl.build()]), &World::leaf_checks(), &[&desk]);
    assert_unknown(&check(CrlBuilder::of(&desk)), "not an indirect CRL");
    let other = world.root.ca("Somebody");
    let crl = CrlBuilder::of(&other).scope(&[flag(INDIRECT)]).build();
    let report = world.check_with(&crl_sources(&[crl]), &World::leaf_checks(), &[&desk, &other]);
    assert_unknown(&report, "not from the CRL issuer");
    // A certificate that names nobody takes only its own issuer's lists.
    let plain = World::new();
    let desk = plain.root.ca("Revocation Desk");
    let crl = CrlBuilder::of(&desk).scope(&[flag(INDIRECT)]).build();
    assert_unknown(&plain.check_with(&crl_sources(&[crl]), &World::leaf_checks(), &[&desk]), "another issuer");
}

#[test]
fn after_handing_over_the_issuers_own_list_revokes_but_proves_nothing_good() {
    let (world, _) = world_with_indirect_issuer();
    assert_unknown(&world.by_crls(&[CrlBuilder::of(&world.ca).build()]), "hands its revocation over");
    assert_revoked(&world.by_crls(&[CrlBuilder::of(&world.ca).revokes(&world.device).build()]));
}

#[test]
fn an_indirect_list_of_the_issuer_itself_is_as_good_as_any() {
    let world = World::new();
    let crl = CrlBuilder::of(&world.ca).scope(&[flag(INDIRECT)]);
    assert_good(&world.by_crls(&[crl.clone().build()]));
    assert_revoked(&world.by_crls(&[crl.revokes(&world.device).build()]));
}

#[test]
fn a_certificate_issuer_means_nothing_in_a_list_that_is_not_indirect() {
    let world = World::new();
    let entry = certificate_issuer(&common_name("Other CA"));
    // Without a meaning in a list that is not indirect: the entry counts.
    let list = CrlBuilder::of(&world.ca).entry(world.device.certificate.serial(), &[entry]).build();
    assert_revoked(&world.by_crls(&[list]));
}

#[test]
fn same_serial_numbers_of_two_issuers_are_two_certificates() {
    let world = World::new();
    let other = world.root.ca("Other CA");
    let of_other = CrlBuilder::of(&other).revokes(&world.device).build();
    let of_ours = CrlBuilder::of(&world.ca).build();
    assert_good(&world.check_with(&crl_sources(&[of_other.clone(), of_ours]), &World::leaf_checks(), &[&other]));
    assert_unknown(&world.check_with(&crl_sources(&[of_other]), &World::leaf_checks(), &[&other]), "another issuer");
}

#[test]
fn issuers_names_are_compared_as_names_not_as_bytes() {
    let world = World::new();
    let mut crl = CrlBuilder::of(&world.ca);
    // PrintableString, other case, white space.
    crl.issuer = name(&[(oid::AT_COMMON_NAME, 0x13, b"  ca ")]);
    assert_good(&world.by_crls(&[crl.build()]));
}

#[test]
fn a_malformed_distribution_point_is_no_way_around_the_check() {
    // Nothing but reasons (section 4.2.1.13); the path check refuses the certificate already.
    let value = list([list([reasons(0x81, &[1])])]);
    let world = world_with_points(value);
    assert!(!world.by_crls(&[CrlBuilder::of(&world.ca).build()]).is_valid());
    let garbage = world_with_points(element(0x04, &[b"x"]));
    assert!(!garbage.by_crls(&[CrlBuilder::of(&garbage.ca).build()]).is_valid());
}

#[test]
fn the_urls_of_a_certificate_are_given_for_fetching() {
    use devid::asn1::der::sequence;
    use devid::asn1::distribution_point::{ca_issuers_urls, cdp_urls, freshest_crl_urls, ocsp_urls};
    use devid::crypto::algorithm::encode_oid;
    let access = |method, url: &str| sequence(&[&encode_oid(method), &uri(url)]);
    let aia = list([
        access(oid::AD_OCSP, "http://ocsp.example/"),
        access(oid::AD_CA_ISSUERS, "http://ca.example/ca.cer"),
        access(oid::AD_OCSP, "http://evil.example/\r\nHost: x"),
    ]);
    let root = Party::root("Root");
    let device = Builder::leaf("device")
        .with(
            oid::CE_CRL_DISTRIBUTION_POINTS,
            false,
            points(&[&[point_url(ONE)], &[point_name(&[uri("ldap://d/"), uri(TWO)])]]),
        )
        .with(oid::CE_FRESHEST_CRL, false, points(&[&[point_url("http://ca.example/d.crl")]]))
        .with(oid::PE_AUTHORITY_INFO_ACCESS, false, aia)
        .signed_by(&root);
    assert_eq!(cdp_urls(&device.certificate), [ONE, "ldap://d/", TWO]);
    assert_eq!(freshest_crl_urls(&device.certificate), ["http://ca.example/d.crl"]);
    assert_eq!(ocsp_urls(&device.certificate), ["http://ocsp.example/"], "a URL with a line break is none");
    assert_eq!(ca_issuers_urls(&device.certificate), ["http://ca.example/ca.cer"]);
    assert!(cdp_urls(&root.certificate).is_empty() && ocsp_urls(&root.certificate).is_empty());
}
