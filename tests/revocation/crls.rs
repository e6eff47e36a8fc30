//! Complete and delta CRLs, their times and numbers.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid::{self, Oid};
use devid::time::Time;
use devid::validation::{
    CheckTime, Checks, Crl, CrlNumberTable, Profile, RevocationPolicy, RevocationScope, StatusSources,
};

use crate::certificates::{Party, date, extension, now, time};
use crate::status::{CrlBuilder, reason_code};
use crate::{World, assert_code, assert_good, assert_revoked, assert_unknown, crl_sources};

const DAY: i64 = 86_400;
const REMOVE_FROM_CRL: u8 = 8;
const HOLD: u8 = 6;

#[test]
fn a_certificate_that_is_not_listed_is_good_and_one_that_is_listed_is_revoked() {
    let world = World::new();
    assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).build()]));
    let report = world.by_crls(&[CrlBuilder::of(&world.ca).revokes_for(&world.device, 1).build()]);
    assert_revoked(&report);
    let text = report.error().unwrap().message().to_owned();
    assert!(text.contains("2025-12-01") && text.contains("keyCompromise"), "{text}");
    assert_eq!(report.error().unwrap().facts().certificate_index, Some(0));
}

#[test]
fn no_status_data_refuses_hard_and_is_a_finding_soft() {
    let world = World::new();
    assert_unknown(&world.by_crls(&[]), "no CRL at hand");
    let mut checks = Checks::at(now());
    checks.revocation = RevocationPolicy::soft_fail();
    let report = world.check(&StatusSources::none(), &checks);
    assert_good(&report);
    let unknown = report.findings().iter().filter(|f| f.code == Code::RevocationUnknown).count();
    assert_eq!(unknown, 2, "one for the device, one for its CA: a check that could not be made is never silent");
    checks.revocation = RevocationPolicy::off();
    assert!(world.check(&StatusSources::none(), &checks).findings().is_empty());
}

#[test]
fn soft_fail_still_refuses_who_is_listed() {
    let world = World::new();
    let mut checks = Checks::at(now());
    checks.revocation = RevocationPolicy::soft_fail();
    let crl = CrlBuilder::of(&world.ca).revokes(&world.device).build();
    assert_revoked(&world.check(&crl_sources(&[crl]), &checks));
}

#[test]
fn the_whole_chain_needs_a_status_unless_the_leaf_alone_is_asked_about() {
    let world = World::new();
    let of_ca = CrlBuilder::of(&world.ca).build();
    assert_good(&world.by_crls(std::slice::from_ref(&of_ca)));
    let report = world.check(&crl_sources(std::slice::from_ref(&of_ca)), &World::chain_checks());
    assert_unknown(&report, "another issuer");
    assert_eq!(report.error().unwrap().facts().certificate_index, Some(1));
    let of_root = CrlBuilder::of(&world.root).build();
    assert_good(&world.check(&crl_sources(&[of_ca.clone(), of_root]), &World::chain_checks()));
    let revoking = CrlBuilder::of(&world.root).revokes(&world.ca).build();
    assert_revoked(&world.check(&crl_sources(&[of_ca, revoking]), &World::chain_checks()));
}

#[test]
fn lists_are_used_from_this_update_to_the_last_second_of_next_update() {
    let world = World::new();
    let list = |from: i64, to: i64| CrlBuilder::of(&world.ca).times(now().plus(from), Some(now().plus(to))).build();
    assert_good(&world.by_crls(&[list(0, 0)]));
    assert_unknown(&world.by_crls(&[list(-10, -1)]), "out of date");
    // Two clocks that are both right may be 300 s apart, and no more. What is over is over.
    assert_good(&world.by_crls(&[list(300, 600)]));
    assert_unknown(&world.by_crls(&[list(301, 600)]), "from the future");
}

#[test]
fn a_list_without_next_update_counts_for_a_day_or_the_callers_maximum_age() {
    let world = World::new();
    let list = |age: i64| CrlBuilder::of(&world.ca).times(now().plus(-age), None).build();
    assert_good(&world.by_crls(&[list(DAY)]));
    assert_unknown(&world.by_crls(&[list(DAY + 1)]), "no nextUpdate");
    let mut checks = World::leaf_checks();
    checks.revocation.max_age_seconds = Some(7 * DAY as u32);
    assert_good(&world.check(&crl_sources(&[list(7 * DAY)]), &checks));
    assert_unknown(&world.check(&crl_sources(&[list(7 * DAY + 1)]), &checks), "older than");
}

#[test]
fn offline_grace_prolongs_and_is_said() {
    let world = World::new();
    let old = CrlBuilder::of(&world.ca).times(now().plus(-2 * DAY), Some(now().plus(-100))).build();
    let mut checks = World::leaf_checks();
    checks.revocation.offline_grace_seconds = 100;
    let report = world.check(&crl_sources(std::slice::from_ref(&old)), &checks);
    assert_good(&report);
    assert!(report.findings().iter().any(|f| f.text.contains("grace")), "{:?}", report.findings());
    checks.revocation.offline_grace_seconds = 99;
    assert_unknown(&world.check(&crl_sources(&[old]), &checks), "out of date");
}

#[test]
fn without_a_clock_lists_count_and_the_report_says_what_was_not_checked() {
    let world = World::new();
    let mut checks = World::leaf_checks();
    checks.at = CheckTime::Unknown;
    let ancient = CrlBuilder::of(&world.ca).times(date(2021, 1, 1), Some(date(2021, 1, 2))).build();
    let report = world.check(&crl_sources(&[ancient]), &checks);
    assert_good(&report);
    assert!(report.findings().iter().any(|f| f.text.contains("was not checked") && f.code == Code::RevocationUnknown));
}

#[test]
fn who_was_revoked_stays_revoked_after_the_list_is_out_of_date() {
    let world = World::new();
    let old = CrlBuilder::of(&world.ca).revokes(&world.device).times(date(2021, 1, 1), Some(date(2021, 1, 2))).build();
    assert_revoked(&world.by_crls(&[old]));
}

#[test]
fn on_the_list_is_revoked_whatever_the_date_of_the_entry() {
    let world = World::new();
    let serial = element(0x02, &[world.device.certificate.serial()]);
    for when in [time(date(2029, 1, 1)), time(date(2060, 1, 1)), element(0x17, &[b"999999999999Z"])] {
        let crl = CrlBuilder::of(&world.ca).raw_entry(sequence(&[&serial, &when])).build();
        assert_revoked(&world.by_crls(&[crl]));
    }
}

#[test]
fn every_reason_revokes_hold_and_unknown_numbers_too() {
    let world = World::new();
    for reason in [0, 1, 6, 7, 10, 99] {
        assert_revoked(&world.by_crls(&[CrlBuilder::of(&world.ca).revokes_for(&world.device, reason).build()]));
    }
}

#[test]
fn a_serial_number_with_superfluous_leading_bytes_is_the_same_number() {
    let world = World::with_device(|b| devid_serial(b, &[0x00, 0x00, 0x7b]));
    let crl = CrlBuilder::of(&world.ca).entry(&[0x7b], &[]).build();
    assert_revoked(&world.by_crls(&[crl]));
    let other = CrlBuilder::of(&world.ca).entry(&[0x00, 0xfb], &[]).entry(&[0x7b, 0x00], &[]).build();
    assert_good(&world.by_crls(&[other]));
}

fn devid_serial(mut builder: crate::certificates::Builder, serial: &[u8]) -> crate::certificates::Builder {
    builder.serial = serial.to_vec();
    builder
}

#[test]
fn one_among_ten_thousand_is_found_and_its_neighbours_are_not() {
    let world = World::with_device(|b| devid_serial(b, &7_777u32.to_be_bytes()[2..]));
    let listed = |leave_out: Option<u32>| {
        let numbers = (1..10_000u32).filter(|n| Some(*n) != leave_out);
        numbers.fold(CrlBuilder::of(&world.ca), |crl, n| {
            let bytes = n.to_be_bytes();
            let start = bytes.iter().position(|b| *b != 0).unwrap();
            let padded = if bytes[start] & 0x80 != 0 { start - 1 } else { start };
            crl.entry(&bytes[padded..], &if n % 3 == 0 { vec![reason_code(1)] } else { vec![] })
        })
    };
    assert_revoked(&world.by_crls(&[listed(None).build()]));
    assert_good(&world.by_crls(&[listed(Some(7_777)).build()]));
    let crl = listed(Some(5)).build();
    for n in 1..10_000u32 {
        let found = match crl.find(&n.to_be_bytes()) {
            devid::validation::crl::Found::Entries(entries) => entries.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, usize::from(n != 5), "{n}");
    }
    assert!(crl.index_len() < 10_000 * 6, "{} bytes of index", crl.index_len());
}

#[test]
fn an_index_kept_beside_the_list_finds_the_same_and_hides_nothing_when_damaged() {
    let world = World::new();
    let crowd =
        |crl: CrlBuilder| (0..300u32).fold(crl, |crl, n| crl.entry(&[&[1], &n.to_be_bytes()[..]].concat(), &[]));
    let der = crowd(CrlBuilder::of(&world.ca).revokes(&world.device)).der();
    let index = Crl::from_der(der.clone()).unwrap().index_to_bytes().unwrap();
    let with = |index: Vec<u8>| Crl::from_bytes_with_index(Arc::new(der.clone()), Arc::new(index)).map(Arc::new);
    let kept = with(index.clone()).unwrap();
    assert_eq!(kept.index_len(), 0, "nothing of it on the heap");
    assert_revoked(&world.by_crls(&[kept]));
    for position in 0..index.len() {
        for bit in [1, 0x80] {
            let mut damaged = index.clone();
            damaged[position] ^= bit;
            // What passes all the same still finds everything.
            if let Ok(crl) = with(damaged) {
                assert_revoked(&world.by_crls(&[crl]));
            }
        }
    }
    assert!(with(index[..index.len() - 4].to_vec()).is_err() && with(Vec::new()).is_err());
    let other = Crl::from_der(crowd(CrlBuilder::of(&world.ca).entry(&[9], &[])).der()).unwrap();
    assert!(with(other.index_to_bytes().unwrap()).is_err(), "the index of another list");
    assert_eq!(CrlBuilder::of(&world.ca).build().index_to_bytes(), None);
}

#[test]
fn the_newest_list_of_an_issuer_speaks() {
    let world = World::new();
    let held = CrlBuilder::of(&world.ca).number(7).revokes_for(&world.device, HOLD).build();
    let released = CrlBuilder::of(&world.ca).number(8).build();
    assert_good(&world.by_crls(&[held.clone(), released.clone()]));
    let held_again = CrlBuilder::of(&world.ca).number(9).revokes_for(&world.device, HOLD).build();
    assert_revoked(&world.by_crls(&[released, held_again, held]));
}

#[test]
fn a_list_of_version_1_is_used_and_its_entries_count_whatever_they_have() {
    let world = World::new();
    let plain = |b: CrlBuilder| CrlBuilder { version: None, ..b };
    assert_good(&world.by_crls(&[plain(CrlBuilder::of(&world.ca)).build()]));
    assert_revoked(&world.by_crls(&[plain(CrlBuilder::of(&world.ca).revokes(&world.device)).build()]));
    assert_revoked(&world.by_crls(&[plain(CrlBuilder::of(&world.ca).revokes_for(&world.device, 1)).build()]));
    for version in [0u8, 2, 3] {
        // Another version may say things in another way: it clears nobody, and whom it lists is on it.
        let other = |b: CrlBuilder| CrlBuilder { version: Some(version), ..b }.build();
        assert_unknown(&world.by_crls(&[other(CrlBuilder::of(&world.ca))]), "version");
        assert_revoked(&world.by_crls(&[other(CrlBuilder::of(&world.ca).revokes(&world.device))]));
    }
}

#[test]
fn critical_extensions_that_are_not_understood_make_a_list_useless() {
    let world = World::new();
    let unknown = Oid::new("1.2.3.4").unwrap();
    assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).with(unknown, false, vec![5, 0]).build()]));
    let list = CrlBuilder::of(&world.ca).with(unknown, true, vec![5, 0]).build();
    assert_unknown(&world.by_crls(&[list]), "1.2.3.4");
    // Section 5.3: of any entry, also one about somebody else.
    let entry = CrlBuilder::of(&world.ca).entry(&[1], &[extension(unknown, true, &[5, 0])]).build();
    assert_unknown(&world.by_crls(&[entry]), "1.2.3.4");
    let harmless = CrlBuilder::of(&world.ca).entry(&[1], &[extension(unknown, false, &[5, 0])]).build();
    assert_good(&world.by_crls(&[harmless]));
}

#[test]
fn the_strict_profile_asks_for_what_issuers_owe() {
    let world = World::new();
    let mut checks = World::leaf_checks();
    checks.profile = Profile::Strict;
    let by = |crl: CrlBuilder| world.check(&crl_sources(&[crl.build()]), &checks);
    assert_good(&by(CrlBuilder::of(&world.ca)));
    assert_unknown(&by(CrlBuilder::of(&world.ca).without(oid::CE_CRL_NUMBER)), "CRL number");
    assert_unknown(&by(CrlBuilder::of(&world.ca).with(oid::CE_CRL_NUMBER, true, vec![2, 1, 1])), "critical");
    let unidentified = CrlBuilder { authority_key_identifier: false, ..CrlBuilder::of(&world.ca) };
    assert_unknown(&by(unidentified.clone()), "authority key identifier");
    assert_good(&world.by_crls(&[unidentified.build()]));
}

#[test]
fn a_delta_revokes_and_releases_on_top_of_its_base() {
    let world = World::new();
    let base = CrlBuilder::of(&world.ca).number(10).build();
    let base_held = CrlBuilder::of(&world.ca).number(10).revokes_for(&world.device, HOLD).build();
    let delta =
        |reason: u8| CrlBuilder::of(&world.ca).number(12).delta_to(10).revokes_for(&world.device, reason).build();
    assert_revoked(&world.by_crls(&[base.clone(), delta(1)]));
    assert_good(&world.by_crls(&[base_held.clone(), delta(REMOVE_FROM_CRL)]));
    assert_revoked(&world.by_crls(&[base_held, CrlBuilder::of(&world.ca).number(12).delta_to(10).build()]));
    // For good is for good (RFC 5280 section 5.3.1): a hold alone is taken back.
    for reason in [1, 4] {
        let for_good = CrlBuilder::of(&world.ca).number(10).revokes_for(&world.device, reason).build();
        assert_revoked(&world.by_crls(&[for_good, delta(REMOVE_FROM_CRL)]));
    }
    assert_unknown(&world.by_crls(&[CrlBuilder::of(&world.ca).number(12).delta_to(10).build()]), "");
}

/// RFC 5280 section 5.2.4: a delta has to list whom it releases. One that is silent holds whom the list holds, and neither an older list
/// with which it is good, nor the order, takes anything of that back.
#[test]
fn a_silent_delta_releases_nobody_whatever_older_list_is_at_hand() {
    let world = World::new();
    let of_hour = |number, ago: i64| {
        CrlBuilder::of(&world.ca).number(number).times(now().plus(-3600 * ago), Some(now().plus(86_400)))
    };
    let older: Vec<_> = [(8, 4), (9, 3)].map(|(number, ago)| of_hour(number, ago).build()).to_vec();
    let held = of_hour(10, 2).revokes_for(&world.device, HOLD).build();
    let delta = of_hour(12, 1).delta_to(8);
    let silent = delta.clone().build();
    let releasing = delta.revokes_for(&world.device, REMOVE_FROM_CRL).build();
    let newer = of_hour(11, 1).build();
    for with in [&[][..], &older[..1], &older[1..], &older[..]] {
        let mut lists = [with, &[held.clone(), silent.clone()]].concat();
        for _ in 0..lists.len() {
            lists.rotate_left(1);
            assert_revoked(&world.by_crls(&lists));
        }
        // The list that follows it, or the delta itself, does.
        assert_good(&world.by_crls(&[with, &[held.clone(), releasing.clone()]].concat()));
        assert_good(&world.by_crls(&[with, &[held.clone(), silent.clone(), newer.clone()]].concat()));
    }
    assert_good(&world.by_crls(&[older[1].clone(), silent]));
}

#[test]
fn a_delta_that_does_not_belong_to_the_base_releases_nobody() {
    let world = World::new();
    let held = CrlBuilder::of(&world.ca).number(10).revokes_for(&world.device, HOLD);
    let release = CrlBuilder::of(&world.ca).number(12).delta_to(10).revokes_for(&world.device, REMOVE_FROM_CRL);
    let scope = [crate::status::flag(crate::status::ONLY_USER_CERTS)];
    let stranger = Party::root("CA");
    let unfit = [
        ("a base later than the list", release.clone().delta_to(11)),
        ("a number not above the list's", release.clone().number(10)),
        ("another scope", release.clone().scope(&scope)),
        ("another key", release.clone().signed_with(&stranger.key)),
        ("no number", release.clone().without(oid::CE_CRL_NUMBER)),
        ("over", release.clone().times(now().plus(-20), Some(now().plus(-1)))),
        ("not yet", release.clone().times(now().plus(310), Some(now().plus(320)))),
    ];
    for (why, delta) in unfit {
        let report = world.by_crls(&[held.clone().build(), delta.build()]);
        assert!(report.error().is_some_and(|e| e.code() == Code::Revoked), "{why}");
    }
    assert_good(&world.by_crls(&[held.build(), release.build()]));
}

#[test]
fn a_delta_that_came_late_still_revokes() {
    let world = World::new();
    let base = CrlBuilder::of(&world.ca).number(10).build();
    // Its base is later than the list at hand, so that they do not combine; but it is signed, later, and says revoked.
    let delta = CrlBuilder::of(&world.ca).number(30).delta_to(20).revokes(&world.device).build();
    assert_revoked(&world.by_crls(&[base, delta]));
}

#[test]
fn a_current_delta_keeps_an_old_base_in_use() {
    let world = World::new();
    let base = CrlBuilder::of(&world.ca).number(10).times(now().plus(-9 * DAY), Some(now().plus(-DAY))).build();
    assert_unknown(&world.by_crls(std::slice::from_ref(&base)), "out of date");
    let delta = CrlBuilder::of(&world.ca).number(12).delta_to(9).build();
    assert_good(&world.by_crls(&[base, delta]));
}

#[test]
fn the_newest_of_several_deltas_speaks() {
    let world = World::new();
    let base = CrlBuilder::of(&world.ca).number(10).build();
    let at = |seconds: i64| (now().plus(seconds), Some(now().plus(DAY)));
    let delta = |number, reason, (from, to): (Time, Option<Time>)| {
        CrlBuilder::of(&world.ca).number(number).delta_to(10).revokes_for(&world.device, reason).times(from, to).build()
    };
    let held = delta(11, HOLD, at(-100));
    let released = delta(12, REMOVE_FROM_CRL, at(-50));
    assert_good(&world.by_crls(&[held.clone(), released.clone(), base.clone()]));
    let held_again = delta(13, HOLD, at(-10));
    assert_revoked(&world.by_crls(&[held, held_again, released, base]));
}

#[test]
fn crl_number_rollback_is_refused_across_a_restart() {
    let world = World::new();
    let numbers = Arc::new(CrlNumberTable::new());
    let check = |crl: Arc<Crl>, numbers: &Arc<CrlNumberTable>| {
        let status = StatusSources { crl_numbers: vec![numbers.clone()], ..crl_sources(&[crl]) };
        world.check(&status, &World::leaf_checks())
    };
    let list = |number| CrlBuilder::of(&world.ca).number(number).build();
    assert_good(&check(list(300), &numbers));
    assert_good(&check(list(300), &numbers));
    assert_code(&check(list(299), &numbers), Code::CrlRollback);

    let restarted = Arc::new(CrlNumberTable::from_bytes(&numbers.to_bytes()).unwrap());
    assert_code(&check(list(299), &restarted), Code::CrlRollback);
    let unnumbered = CrlBuilder::of(&world.ca).without(oid::CE_CRL_NUMBER).build();
    assert_code(&check(unnumbered, &restarted), Code::CrlRollback);
    assert_good(&check(list(301), &restarted));
    // An old list is no news about who is good, but it remains the CA's word about who is not.
    assert_revoked(&check(CrlBuilder::of(&world.ca).number(5).revokes(&world.device).build(), &restarted));
}

#[test]
fn numbers_of_lists_that_were_not_believed_are_not_recorded() {
    let world = World::new();
    let numbers = Arc::new(CrlNumberTable::new());
    let stranger = Party::root("CA");
    let forged = CrlBuilder::of(&world.ca).number(u64::MAX).signed_with(&stranger.key).build();
    let status = |crl| StatusSources { crl_numbers: vec![numbers.clone()], ..crl_sources(&[crl]) };
    assert_unknown(&world.check(&status(forged), &World::leaf_checks()), "signature");
    assert_good(&world.check(&status(CrlBuilder::of(&world.ca).number(1).build()), &World::leaf_checks()));
}

#[test]
fn the_report_says_until_when_the_status_holds() {
    let world = World::new();
    let of_ca = CrlBuilder::of(&world.ca).times(now(), Some(now().plus(500))).build();
    let of_root = CrlBuilder::of(&world.root).times(now(), Some(now().plus(300))).build();
    let report = world.check(&crl_sources(&[of_ca, of_root]), &World::chain_checks());
    assert_eq!(report.path().unwrap().status_until(), Some(now().plus(300)));
    let mut checks = World::chain_checks();
    checks.revocation = RevocationPolicy { scope: RevocationScope::LeafOnly, ..RevocationPolicy::off() };
    assert_eq!(world.check(&StatusSources::none(), &checks).path().unwrap().status_until(), None);
}

#[test]
fn a_weak_signature_on_a_list_needs_the_weak_switch() {
    use devid::crypto::{DigestAlgorithm, SignatureAlgorithm};
    let world = World::new();
    let sha1 = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha1);
    let Ok(_) = world.ca.key.sign(&sha1, b"probe") else { return };
    let crl = CrlBuilder { algorithm: Some(sha1), ..CrlBuilder::of(&world.ca) }.build();
    assert_code(&world.by_crls(&[crl]), Code::RevocationUnknown);
}

/// What can be read of a list counts, and an odd entry counts as revoked: it hides none of the others.
#[test]
fn an_odd_entry_hides_no_other() {
    let world = World::new();
    let when = time(date(2025, 12, 1));
    let number = element(0x02, &[&[0x55]]);
    let odd: [Vec<u8>; 7] = [
        sequence(&[&number]),
        sequence(&[]),
        sequence(&[&element(0x0c, &[b"55"]), &when]),
        sequence(&[&number, &when, &sequence(&[]), &element(0x05, &[])]),
        sequence(&[&element(0x02, &[]), &when]),
        sequence(&[&number, &element(0x0c, &[b"yesterday"])]),
        sequence(&[&when]),
    ];
    for entry in odd {
        for first in [true, false] {
            let list = CrlBuilder::of(&world.ca);
            let list = if first {
                list.raw_entry(entry.clone()).revokes(&world.device)
            } else {
                list.revokes(&world.device).raw_entry(entry.clone())
            };
            assert_revoked(&world.by_crls(&[list.build()]));
        }
        // And revokes nobody else.
        assert_good(&world.by_crls(&[CrlBuilder::of(&world.ca).raw_entry(entry).build()]));
    }
    // An entry that is about the certificate revokes it, however little else it says.
    let serial = element(0x02, &[world.device.certificate.serial()]);
    assert_revoked(&world.by_crls(&[CrlBuilder::of(&world.ca).raw_entry(sequence(&[&serial])).build()]));
}
