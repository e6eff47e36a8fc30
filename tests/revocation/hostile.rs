//! Attacks and malformed input that befell other libraries, each by name.

use std::sync::Arc;

use devid::asn1::der::{element, sequence};
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::assemble_signed;
use devid::validation::{Crl, CrlStream, OcspResponse};

use crate::certificates::{Party, directory, extension, list, now, provider, time};
use crate::status::{CrlBuilder, OcspBuilder, Single, flag, point_url, reason_code};
use crate::{World, assert_good, assert_revoked, assert_unknown};

/// A list with these fields between thisUpdate, nextUpdate and the end of the signed part.
fn crl_with(issuer: &Party, rest: &[&[u8]]) -> Vec<u8> {
    let algorithm = issuer.key.kind().default_signature();
    let identifier = algorithm.to_der();
    let times = [time(now().plus(-10)), time(now().plus(10))].concat();
    let tbs = sequence(&[&[2, 1, 1], &identifier, issuer.certificate.subject(), &times, &rest.concat()]);
    let signature = issuer.key.sign(&algorithm, &tbs).unwrap();
    assemble_signed(&tbs, &identifier, &signature)
}

fn refused(der: Vec<u8>) -> String {
    // Both readers must agree that it is nothing.
    let mut stream = CrlStream::new(provider().clone(), &[&[1]]).unwrap();
    let streamed = stream.feed(&der).and_then(|()| stream.finish().map(|_| ()));
    assert!(streamed.is_err(), "the one-pass reader takes what the other refuses");
    Crl::from_der(der).expect_err("malformed").to_string()
}

/// A list that can be read in part, and by either reader says good of nobody.
fn clears_nobody(world: &World, der: Vec<u8>) {
    let serial = world.device.certificate.serial();
    let mut stream = CrlStream::new(provider().clone(), &[serial]).unwrap();
    if let Ok(crl) = stream.feed(&der).and_then(|()| stream.finish()) {
        assert!(!world.by_crls(&[Arc::new(crl)]).is_valid());
    }
    if let Ok(crl) = Crl::from_der(der) {
        assert!(!world.by_crls(&[Arc::new(crl)]).is_valid());
    }
}

#[test]
fn entries_that_name_nobody_hide_nobody() {
    let world = World::new();
    let date = time(now());
    let own = sequence(&[&element(0x02, &[world.device.certificate.serial()]), &date]);
    let read = |entries: Vec<Vec<u8>>| Arc::new(Crl::from_der(crl_with(&world.ca, &[&list(entries)])).unwrap());
    for odd in [
        vec![0x02, 0x01, 0x01],
        sequence(&[]),
        sequence(&[&[0x04, 1, 5], &date]),
        sequence(&[&[0x02, 0x00], &date]),
        sequence(&[&[2, 1, 5]]),
        [&[0x30, 0x81, 3][..], &[2, 1, 5]].concat(),
        vec![0xbf, 0x81, 0x01, 0x01, 0x00],
    ] {
        for entries in [vec![own.clone(), odd.clone()], vec![odd.clone(), own.clone()]] {
            assert_revoked(&world.by_crls(&[read(entries)]));
        }
        assert_good(&world.by_crls(&[read(vec![odd])]));
    }
    // Where one ends is not known: what stands before it counts, and the list clears nobody.
    for broken in [
        vec![0x30, 0x81, 0x12, 2, 1, 5, 0x17, 13],
        [&[0x30, 0x80, 2, 1, 5][..], &date, &[0, 0]].concat(),
        vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 5],
        vec![0x30, 0x85, 1, 0, 0, 0, 0, 2, 1, 5],
    ] {
        assert_revoked(&world.by_crls(&[read(vec![own.clone(), broken.clone()])]));
        assert_unknown(&world.by_crls(&[read(vec![broken.clone()])]), "clears nobody");
        clears_nobody(&world, crl_with(&world.ca, &[&list([broken])]));
    }
}

/// What is odd about an entry behind its serial number makes nobody valid: its certificate is on the list.
#[test]
fn an_odd_entry_counts_as_revoked() {
    let world = World::new();
    let serial = element(0x02, &[world.device.certificate.serial()]);
    let date = time(now());
    let uuid = Oid::new("2.25.329800735698586629295641978511506172918").unwrap();
    let reason = |value: &[u8]| extension(oid::CE_CRL_REASON, false, value);
    let odd: Vec<Vec<u8>> = vec![
        element(0x04, &[b"170201001122Z"]),
        element(0x17, &[b"17020100112Z"]),
        element(0x17, &[b"17020100112xZ"]),
        [&date[..], &[2, 1, 1]].concat(),
        [&date[..], &sequence(&[])].concat(),
        [&date[..], &list([reason_code(1)]), &[2, 1, 1]].concat(),
        [&date[..], &list([reason_code(1), reason_code(4)])].concat(),
        [&date[..], &list([reason(&[0x02, 1, 1])])].concat(),
        [&date[..], &list([reason(&[0x0a, 2, 0, 0xc8])])].concat(),
        [&date[..], &list([reason(&[0x0a, 1, 0xc8])])].concat(),
        [&date[..], &list([reason(&[])])].concat(),
        [&date[..], &list([extension(uuid, false, &[])])].concat(),
    ];
    for rest in odd {
        let der = crl_with(&world.ca, &[&list([sequence(&[&serial, &rest])])]);
        let crl = Crl::from_der(der).unwrap_or_else(|e| panic!("{rest:02x?}: {e}"));
        assert_revoked(&world.by_crls(&[Arc::new(crl)]));
    }
}

/// An empty list of entries, an empty list of extensions, an odd number, an identifier with a UUID: what can be read counts.
#[test]
fn an_odd_list_says_what_it_says() {
    let world = World::new();
    let serial = element(0x02, &[world.device.certificate.serial()]);
    let entries = list([sequence(&[&serial, &time(now())])]);
    let field = |extensions: Vec<u8>| element(0xa0, &[&extensions]);
    let uuid = Oid::new("2.25.329800735698586629295641978511506172918").unwrap();
    for odd in [
        field(sequence(&[])),
        field(list([extension(oid::CE_CRL_NUMBER, false, &[2, 1, 0xff])])),
        field(list([extension(oid::CE_CRL_NUMBER, false, &element(0x02, &[&[0x55; 25]]))])),
        field(list([extension(uuid, false, &[])])),
    ] {
        let read = |entries: &[u8]| Arc::new(Crl::from_der(crl_with(&world.ca, &[entries, &odd])).unwrap());
        assert_revoked(&world.by_crls(&[read(&entries)]));
        assert_good(&world.by_crls(&[read(&sequence(&[]))]));
    }
}

#[test]
fn a_list_that_is_cut_short_is_refused_at_every_length() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).revokes_for(&world.device, 1).der();
    for length in 0..der.len() {
        refused(der[..length].to_vec());
    }
}

#[test]
fn a_delta_without_a_number_revokes_and_clears_nobody() {
    let world = World::new();
    let delta = CrlBuilder::of(&world.ca).delta_to(1).without(oid::CE_CRL_NUMBER).revokes(&world.device).build();
    assert_revoked(&world.by_crls(&[CrlBuilder::of(&world.ca).build(), delta.clone()]));
    assert_revoked(&world.by_crls(&[delta]));
    let silent = CrlBuilder::of(&world.ca).delta_to(1).without(oid::CE_CRL_NUMBER).build();
    assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).build(), silent.clone()]));
    assert_unknown(&world.by_crls(&[silent]), "");
    let base = CrlBuilder::of(&world.ca).without(oid::CE_CRL_NUMBER).build();
    assert_good(&world.by_crls(&[base, CrlBuilder::of(&world.ca).number(2).delta_to(1).build()]));
}

#[test]
fn a_declared_length_reserves_no_memory() {
    // A list that says it has 200 MB, and has 30 bytes.
    let der = [&[0x30, 0x84, 0x0b, 0xeb, 0xc2, 0x00, 0x30, 0x84, 0x0b, 0xeb, 0xc1, 0x00][..], &[0; 18]].concat();
    refused(der);
    assert!(OcspResponse::from_der(&[0x30, 0x84, 0x0b, 0xeb, 0xc2, 0x00, 0x0a, 0x01, 0x00]).is_err());
}

#[test]
fn nested_values_do_not_exhaust_the_stack() {
    let nested = (0..10_000).fold(Vec::new(), |inner, _| sequence(&[&inner]));
    let world = World::new();
    let value = element(0xa0, &[&list([extension(oid::CE_ISSUING_DISTRIBUTION_POINT, true, &nested)])]);
    clears_nobody(&world, crl_with(&world.ca, &[&value]));
    assert!(Crl::from_der(nested.clone()).is_err());
    assert!(OcspResponse::from_der(&nested).is_err());
}

#[test]
fn giant_identifiers_and_hordes_of_extensions_clear_nobody() {
    let world = World::new();
    let giant = sequence(&[&element(0x06, &[&[0x81; 200], &[1]]), &element(0x04, &[&[5, 0]])]);
    clears_nobody(&world, crl_with(&world.ca, &[&element(0xa0, &[&list([giant])])]));
    let horde = (1..200u32).map(|n| extension(Oid::new(&format!("1.2.3.{n}")).unwrap(), false, &[5, 0]));
    clears_nobody(&world, crl_with(&world.ca, &[&element(0xa0, &[&list(horde)])]));
}

#[test]
fn names_of_thousands_in_a_distribution_point_clear_nobody() {
    let world = World::new();
    let names: Vec<u8> = (0..1000).flat_map(|n| directory(&crate::certificates::common_name(&n.to_string()))).collect();
    let value = sequence(&[&element(0xa0, &[&element(0xa0, &[&names])])]);
    let field = element(0xa0, &[&list([extension(oid::CE_ISSUING_DISTRIBUTION_POINT, true, &value)])]);
    clears_nobody(&world, crl_with(&world.ca, &[&field]));
}

#[test]
fn many_keys_of_one_name_cost_a_bounded_number_of_signatures() {
    let world = World::new();
    let namesakes: Vec<Party> = (0..200).map(|_| Party::root("CA")).collect();
    let pool: Vec<&Party> = namesakes.iter().collect();
    let crls: Vec<Arc<Crl>> = namesakes.iter().map(|p| CrlBuilder::of(p).build()).collect();
    let status = crate::crl_sources(&crls);
    let mut checks = World::leaf_checks();
    checks.budget.certificates = 1000;
    let report = world.check_with(&status, &checks, &pool);
    assert!(!report.is_valid());
    assert_eq!(report.error().unwrap().code(), devid::Code::Budget, "{:?}", report.error());
}

#[test]
fn a_stapled_response_about_another_certificate_proves_nothing() {
    let world = World::new();
    let neighbour = world.ca.leaf("neighbour");
    let single = Single::good(&neighbour.certificate, &world.ca);
    assert_unknown(&world.by_ocsp(OcspBuilder::by(&world.ca).says(single).build()), "does not speak of");
}

#[test]
fn the_first_entry_of_a_response_does_not_stand_for_the_others() {
    let world = World::new();
    let neighbour = world.ca.leaf("neighbour");
    let response = OcspBuilder::by(&world.ca)
        .says(Single::good(&neighbour.certificate, &world.ca))
        .says(Single::good(&world.device.certificate, &world.ca).revoked(1));
    assert_revoked(&world.by_ocsp(response.build()));
}

#[test]
fn responses_cut_short_or_changed_are_nothing() {
    let world = World::new();
    let der = OcspBuilder::by(&world.ca).says(Single::good(&world.device.certificate, &world.ca)).der();
    for length in 0..der.len() {
        assert!(OcspResponse::from_der(&der[..length]).is_err());
    }
    let mut still_good = 0;
    for position in 0..der.len() {
        let mut changed = der.clone();
        changed[position] ^= 0x04;
        let Ok(response) = OcspResponse::from_der(&changed) else { continue };
        still_good += usize::from(world.by_ocsp(Arc::new(response)).is_valid());
    }
    assert_eq!(still_good, 0, "a response with one bit changed says nothing");
}

#[test]
fn responses_of_thousands_of_entries_or_certificates_are_refused() {
    let world = World::new();
    let single = Single::good(&world.device.certificate, &world.ca);
    let many = (0..300).fold(OcspBuilder::by(&world.ca), |response, _| response.says(single.clone()));
    assert!(OcspResponse::from_der(&many.der()).is_err());
    let certificates = vec![world.ca.certificate.clone(); 17];
    let crowded = OcspBuilder { certificates, ..OcspBuilder::by(&world.ca) };
    assert!(OcspResponse::from_der(&crowded.says(single).der()).is_err());
    assert!(OcspResponse::from_der(&element(0x30, &[&vec![0; 300 * 1024]])).is_err());
}

#[test]
fn a_response_with_the_same_extension_twice_clears_nobody() {
    let world = World::new();
    let single = Single::good(&world.device.certificate, &world.ca);
    let mut twice = OcspBuilder::by(&world.ca).nonce(&[1; 32]).nonce(&[2; 32]).says(single.clone());
    assert_unknown(&world.by_ocsp(twice.clone().build()), "twice");
    twice.singles = vec![single.clone().revoked(1)];
    assert_revoked(&world.by_ocsp(twice.build()));
    let unknown = Oid::new("1.2.3.4").unwrap();
    let single = single.with(unknown, false, vec![5, 0]).with(unknown, false, vec![5, 0]);
    assert!(OcspResponse::from_der(&OcspBuilder::by(&world.ca).says(single).der()).is_err());
}

#[test]
fn a_list_for_a_url_is_not_a_list_for_a_host_of_that_name() {
    // GeneralName forms are never compared across each other (OpenSSL CVE-2023-0286).
    let world = World::with_device(|b| {
        let value = crate::status::points(&[&[crate::status::point_name(&[element(0xa3, &[b"http://ca.example/1"])])]]);
        b.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, value)
    });
    let crl = CrlBuilder::of(&world.ca).scope(&[point_url("http://ca.example/1")]).build();
    assert_unknown(&world.by_crls(&[crl]), "another distribution point");
    let unlimited = CrlBuilder::of(&world.ca).scope(&[flag(crate::status::ONLY_USER_CERTS)]).build();
    assert_good(&world.by_crls(&[unlimited]));
}

#[test]
fn a_thousand_bad_inputs_leave_the_next_good_one_alone() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).revokes(&world.device).der();
    for n in 0..1000usize {
        let mut bad = der.clone();
        let at = n * 7 % bad.len();
        bad[at] = bad[at].wrapping_add(1 + (n % 251) as u8);
        let _ = Crl::from_der(bad).map(|crl| world.by_crls(&[crl.into()]));
    }
    assert_revoked(&world.by_crls(&[Crl::from_der(der).unwrap().into()]));
}

#[test]
fn many_paths_to_a_revoked_ca_share_one_budget() {
    // Forty CAs of one name and key, certified by as many roots' namesakes: every path ends in the same question.
    let root = Party::root("Root");
    let key = crate::certificates::key();
    let ca = crate::Builder::ca("CA").key(&key).signed_by(&root);
    let device = ca.leaf("device");
    let crossed: Vec<Party> = (0..40).map(|_| crate::Builder::ca("CA").key(&key).signed_by(&root)).collect();
    let world = World { root, ca, device };
    let namesakes: Vec<Party> = (0..40).map(|_| Party::root("CA")).collect();
    let crls: Vec<Arc<Crl>> = namesakes.iter().map(|p| CrlBuilder::of(p).build()).collect();
    let pool: Vec<&Party> = crossed.iter().chain(&namesakes).collect();
    let report = world.check_with(&crate::crl_sources(&crls), &World::leaf_checks(), &pool);
    assert_eq!(report.error().unwrap().code(), devid::Code::Budget, "{:?}", report.error());
}
