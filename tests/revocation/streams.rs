//! Lists read in one pass, for devices that cannot hold them.

use std::sync::Arc;

use devid::Code;
use devid::crypto::{KeyKind, SignatureAlgorithm};
use devid::validation::{Crl, CrlStream};

use crate::certificates::{Builder, common_name, provider};
use crate::status::{CrlBuilder, INDIRECT, certificate_issuer, crl_issuer, flag, points};
use crate::{World, assert_code, assert_good, assert_revoked, assert_unknown};

fn read(der: &[u8], serials: &[&[u8]], chunk_len: usize) -> Result<Arc<Crl>, devid::Error> {
    let mut stream = CrlStream::new(provider().clone(), serials)?;
    for chunk in der.chunks(chunk_len) {
        stream.feed(chunk)?;
    }
    stream.finish().map(Arc::new)
}

#[test]
fn a_list_in_chunks_of_any_size_says_what_the_whole_list_says() {
    let world = World::new();
    let crowd =
        |crl: CrlBuilder| (0..500u32).fold(crl, |crl, n| crl.entry(&[&[1], &n.to_be_bytes()[..]].concat(), &[]));
    let good = crowd(CrlBuilder::of(&world.ca)).der();
    let revoking = crowd(CrlBuilder::of(&world.ca).revokes_for(&world.device, 1)).der();
    let late = crowd(CrlBuilder::of(&world.ca)).revokes(&world.device).der();
    let serial = world.device.certificate.serial();
    for chunk_len in [1, 2, 7, 100, 4096, 1 << 20] {
        assert_good(&world.by_crls(&[read(&good, &[serial], chunk_len).unwrap()]));
        assert_revoked(&world.by_crls(&[read(&revoking, &[serial], chunk_len).unwrap()]));
        assert_revoked(&world.by_crls(&[read(&late, &[&[5], serial], chunk_len).unwrap()]));
    }
}

#[test]
fn every_form_of_a_list_is_read_in_one_pass() {
    let world = World::new();
    let serial = world.device.certificate.serial();
    let unlisted = [
        CrlBuilder::of(&world.ca),
        CrlBuilder::of(&world.ca).entry(&[5], &[]),
        CrlBuilder { version: None, ..CrlBuilder::of(&world.ca) },
        CrlBuilder { version: None, ..CrlBuilder::of(&world.ca) }.entry(&[5], &[]),
        CrlBuilder::of(&world.ca).times(crate::now(), None),
        CrlBuilder { extensions: Vec::new(), authority_key_identifier: false, ..CrlBuilder::of(&world.ca) },
    ];
    for list in unlisted {
        for chunk_len in [1, 1000] {
            assert_good(&world.by_crls(&[read(&list.clone().der(), &[serial], chunk_len).unwrap()]));
        }
    }
}

#[test]
fn a_list_that_was_not_asked_about_a_serial_number_says_nothing_about_it() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).revokes(&world.device).der();
    assert_unknown(&world.by_crls(&[read(&der, &[&[1]], 100).unwrap()]), "not for this serial number");
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).entry(&[5], &[]).der();
    let serial = world.device.certificate.serial();
    for position in 0..der.len() {
        let mut changed = der.clone();
        changed[position] ^= 0x04;
        if let Ok(crl) = read(&changed, &[serial], 64) {
            assert!(!world.by_crls(&[crl]).is_valid(), "byte {position}");
        }
    }
}

#[test]
fn issuers_of_an_indirect_list_are_kept_apart_in_one_pass() {
    let name = common_name("Desk");
    let world = World::with_device(|b| {
        b.with(devid::asn1::oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&[crl_issuer(&name)]]))
    });
    let desk = world.root.ca("Desk");
    let serial = world.device.certificate.serial();
    for (issuer, revoked) in [("CA", true), ("Other", false)] {
        let der = CrlBuilder::of(&desk)
            .scope(&[flag(INDIRECT)])
            .entry(&[1], &[certificate_issuer(&common_name(issuer))])
            .entry(serial, &[])
            .entry(&[2], &[certificate_issuer(&common_name("Third"))])
            .der();
        let status = crate::crl_sources(&[read(&der, &[serial], 33).unwrap()]);
        let report = world.check_with(&status, &World::leaf_checks(), &[&desk]);
        assert_eq!(report.is_valid(), !revoked, "{:?}", report.findings());
    }
}

#[test]
fn signatures_over_the_whole_message_cannot_be_checked_in_one_pass() {
    let key = provider().generate_key(KeyKind::Ed25519).unwrap();
    let world = World::new();
    let der = CrlBuilder { algorithm: Some(SignatureAlgorithm::Ed25519), ..CrlBuilder::of(&world.ca) }
        .signed_with(&key)
        .der();
    assert_eq!(read(&der, &[&[1]], 100).unwrap_err().code(), Code::Unsupported);
}

#[test]
fn serial_numbers_and_entries_beyond_the_bounds_are_refused() {
    let world = World::new();
    let serials: Vec<[u8; 2]> = (0..257u16).map(u16::to_be_bytes).collect();
    let serials: Vec<&[u8]> = serials.iter().map(|s| &s[..]).collect();
    assert_eq!(read(&[], &serials, 1).unwrap_err().code(), Code::Limit);
    let same = (0..100).fold(CrlBuilder::of(&world.ca), |crl, _| crl.entry(&[5], &[])).der();
    assert_eq!(read(&same, &[&[5]], 100).unwrap_err().code(), Code::Limit);
    assert!(read(&same, &[&[6]], 100).is_ok());
}

#[test]
fn what_follows_an_error_is_not_taken() {
    let world = World::new();
    let der = CrlBuilder::of(&world.ca).der();
    let mut stream = CrlStream::new(provider().clone(), &[&[1]]).unwrap();
    assert!(stream.feed(&[0x31]).is_err());
    let _ = stream.feed(&der);
    assert!(stream.finish().is_err());
}

#[test]
fn rsa_lists_are_read_in_one_pass_too() {
    let key = provider().generate_key(KeyKind::Rsa(2048)).unwrap();
    let root = crate::Party::root("Root");
    let ca = Builder::ca("CA").key(&key).signed_by(&root);
    let device = ca.leaf("device");
    let world = World { root, ca, device };
    let serial = world.device.certificate.serial();
    let der = CrlBuilder::of(&world.ca).revokes(&world.device).der();
    assert_code(&world.by_crls(&[read(&der, &[serial], 100).unwrap()]), Code::Revoked);
    let good = CrlBuilder::of(&world.ca).der();
    assert_good(&world.by_crls(&[read(&good, &[serial], 100).unwrap()]));
}

#[test]
fn both_readers_agree_on_thousands_of_damaged_lists() {
    let world = World::new();
    let name = common_name("Other");
    let lists = [
        CrlBuilder::of(&world.ca).entry(&[5], &[]).revokes_for(&world.device, 6).der(),
        CrlBuilder { version: None, ..CrlBuilder::of(&world.ca) }.entry(&[5], &[]).entry(&[0, 0x80], &[]).der(),
        CrlBuilder::of(&world.ca).scope(&[flag(INDIRECT)]).entry(&[5], &[certificate_issuer(&name)]).der(),
    ];
    let serials: [&[u8]; 3] = [&[5], &[0, 0x80], world.device.certificate.serial()];
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut taken = 0;
    for round in 0..6000 {
        let mut der = lists[round % lists.len()].clone();
        for _ in 0..1 + random(3) {
            let at = random(der.len());
            match random(4) {
                0 => der[at] = random(256) as u8,
                1 => der[at] ^= 1 << random(8),
                2 => drop(der.remove(at)),
                _ => der.insert(at, random(256) as u8),
            }
        }
        let whole = Crl::from_der(der.clone());
        let streamed = read(&der, &serials, 1 + random(40));
        if let Ok(streamed) = &streamed {
            let whole = whole.as_ref().expect("the one-pass reader takes nothing that the other refuses");
            taken += 1;
            for serial in serials {
                assert_eq!(whole.find(serial), streamed.find(serial));
            }
            assert_eq!((whole.issuer(), whole.next_update()), (streamed.issuer(), streamed.next_update()));
            assert_eq!(whole.issuing_distribution_point(), streamed.issuing_distribution_point());
        } else if let (Err(error), Ok(_)) = (&streamed, &whole) {
            // What the one-pass reader alone refuses: algorithms that it cannot name, and what it would have to see whole.
            assert!(matches!(error.code(), Code::Algorithm | Code::Der | Code::TrailingData | Code::Limit), "{error}");
        }
    }
    assert!(taken > 500, "only {taken} damaged lists were still lists");
}
