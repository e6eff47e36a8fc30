//! Holds end with a later word, whoever has it and in whatever form; and who was revoked stays so when roots change.

use std::sync::Arc;

use devid::Code;
use devid::client::StatusFetcher;
use devid::client::status::{OcspNonce, StatusMemory, StatusQuestion};
use devid::store::Store;
use devid::time::Time;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched};
use devid::validation::{Crl, OcspResponse, RevocationMode, StatusSources, TrustAnchors};

use super::record::{Brought, KEY_COMPROMISE, MODES, NOTHING, ON_HOLD, World};
use super::{checks, code_of, later, now, options, provider};
use crate::certificates::{Builder, Party};
use crate::status::{CrlBuilder, OcspBuilder, Single};

type Words = (Vec<Arc<Crl>>, Vec<Arc<OcspResponse>>);

/// A word about the peer as of then, in one of the forms.
fn word(world: &World, form: usize, reason: Option<u8>, made: Time) -> Words {
    let single = Single::good(world.leaf(), &world.ca).times(made, Some(later(30)));
    let single = match reason {
        Some(reason) => single.revoked(reason),
        None => single,
    };
    let list = CrlBuilder::of(&world.ca).times(made, Some(later(30)));
    let list = match reason {
        Some(reason) => list.revokes_for(&world.peer, reason),
        None => list,
    };
    // Numbers rise with time.
    let number = (made.unix() - now().plus(-100_000).unix()) as u64;
    match form {
        0 => (Vec::new(), vec![OcspBuilder::by(&world.ca).says(single).build()]),
        1 => (vec![list.number(number).build()], Vec::new()),
        // Of no series that could be compared.
        _ => (vec![list.without(devid::asn1::oid::CE_CRL_NUMBER).build()], Vec::new()),
    }
}

#[test]
fn a_hold_ends_with_a_later_word_in_any_form_at_hand() {
    for mode in MODES {
        for (held, lifted) in (0..9).map(|pair| (pair / 3, pair % 3)) {
            for (from, expected) in [(-60, None), (-7200, Some(Code::Revoked)), (-36_000, Some(Code::Revoked))] {
                for turned in [false, true] {
                    let world = World::new();
                    let (mut crls, mut ocsp) = word(&world, held, Some(ON_HOLD), now().plus(-7200));
                    let (more_crls, more_ocsp) = word(&world, lifted, None, now().plus(from));
                    crls.extend(more_crls);
                    ocsp.extend(more_ocsp);
                    if turned {
                        crls.reverse();
                        ocsp.reverse();
                    }
                    let found = world.judge(&Brought { crls: &crls, ocsp: &ocsp, mode, ..NOTHING });
                    assert_eq!(found, expected, "{mode:?}: held by {held}, good by {lifted} from {from}, {turned}");
                }
            }
            // What is for good stays, whatever comes later.
            let world = World::new();
            let (crls, ocsp) = word(&world, held, Some(KEY_COMPROMISE), now().plus(-7200));
            let (more_crls, more_ocsp) = word(&world, lifted, None, now().plus(-60));
            let crls: Vec<_> = crls.into_iter().chain(more_crls).collect();
            let ocsp: Vec<_> = ocsp.into_iter().chain(more_ocsp).collect();
            assert_eq!(world.judge(&Brought { crls: &crls, ocsp: &ocsp, mode, ..NOTHING }), Some(Code::Revoked));
        }
    }
}

/// A hold that is kept asks nobody to wait for its end: whoever has lifted it is asked.
#[test]
fn a_kept_hold_is_asked_about_anew() {
    let world = World::new();
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), world.store.clone());
    fetcher.options_mut().nonce = OcspNonce::Unused;
    let mut ask = |response: Vec<u8>, at: Time| {
        let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| {
            Ok(Fetched::Document(Document { bytes: response.clone(), ..Document::default() }))
        });
        let (anchors, known, checks) = (world.anchors(), StatusSources::none(), checks(at, RevocationMode::HardFail));
        let pool = std::slice::from_ref(&world.ca.certificate);
        let question = StatusQuestion { anchors: &anchors, leaf: world.leaf(), pool, known: &known, checks: &checks };
        code_of(&fetcher.validate(&question, &mut fetch))
    };
    let single = |from: i64| Single::good(world.leaf(), &world.ca).times(now().plus(from), Some(later(60)));
    let held = OcspBuilder::by(&world.ca).says(single(-60).revoked(ON_HOLD)).der();
    let good = OcspBuilder::by(&world.ca).says(single(86_400)).der();
    assert_eq!(ask(held.clone(), now()), Some(Code::Revoked));
    assert_eq!(ask(held, later(1)), Some(Code::Revoked));
    assert_eq!(ask(good, later(2)), None);
}

/// A CA that holds and lifts within one second: its lists are told apart by their numbers, at hand and by what was written down.
#[test]
fn a_hold_that_is_lifted_within_a_second_ends_with_the_next_list() {
    let list = |world: &World, number: u64| CrlBuilder::of(&world.ca).number(number).times(now(), Some(later(9)));
    let good_of_then = |world: &World| word(world, 0, None, now()).1;
    for mode in MODES {
        for (number, is_at_hand) in [(6, true), (6, false), (7, true), (7, false), (8, true), (8, false)] {
            let world = World::new();
            let held = list(&world, 7).revokes_for(&world.peer, ON_HOLD).build();
            let judge =
                |crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>]| world.judge(&Brought { crls, ocsp, mode, ..NOTHING });
            assert_eq!(judge(std::slice::from_ref(&held), &[]), Some(Code::Revoked));
            assert_eq!(judge(&[], &good_of_then(&world)), Some(Code::Revoked), "a response has no number");
            let mut crls = vec![list(&world, number).build()];
            crls.extend(is_at_hand.then(|| held.clone()));
            let expected = if number > 7 { None } else { Some(Code::Revoked) };
            assert_eq!(judge(&crls, &[]), expected, "{mode:?}: list {number}, at hand {is_at_hand}");
            // With a word in another form beside it, too, whichever is preferred.
            assert_eq!(judge(&crls, &good_of_then(&world)), expected, "{mode:?}: list {number}");
            assert_eq!(judge(&[], &good_of_then(&world)), expected, "{mode:?}: list {number}, written down");
        }
    }
}

/// A responder that shows a hold of now at each meeting has the record written once an hour, and no more.
#[test]
fn ever_newer_holds_do_not_wear_out_device_memory() {
    let world = World::new();
    let mark = || world.store.number("revoked-mark").unwrap();
    let (mut marks, mut last) = (std::collections::BTreeSet::new(), now());
    for minutes in 0..240 {
        last = now().plus(60 * minutes);
        let (crls, ocsp) = word(&world, 0, Some(ON_HOLD), last);
        assert_eq!(world.judge(&Brought { crls: &crls, ocsp: &ocsp, at: last, ..NOTHING }), Some(Code::Revoked));
        marks.insert(mark());
    }
    assert!(marks.len() <= 6, "{} times in four hours", marks.len());
    let good = |from: Time, at: Time| {
        let (crls, ocsp) = word(&world, 0, None, from);
        world.judge(&Brought { crls: &crls, ocsp: &ocsp, at, ..NOTHING })
    };
    assert_eq!(good(last, later(1)), Some(Code::Revoked), "none is forgotten for that");
    assert_eq!(good(last.plus(3601), later(1)), None);
}

/// A CA whose clock was ahead for a day holds nobody until that day comes.
#[test]
fn a_hold_from_the_future_ends_with_the_next_word() {
    for form in 0..2 {
        let world = World::new();
        let (crls, ocsp) = word(&world, form, Some(ON_HOLD), later(400));
        assert_eq!(world.judge(&Brought { crls: &crls, ocsp: &ocsp, ..NOTHING }), Some(Code::Revoked));
        assert_eq!(world.judge(&NOTHING), Some(Code::Revoked), "it is known");
        let (crls, ocsp) = word(&world, 0, None, now().plus(-60));
        let before = Brought { crls: &crls, ocsp: &ocsp, mode: RevocationMode::HardFail, ..NOTHING };
        assert_eq!(world.judge(&before), Some(Code::Revoked), "not by a word from before");
        let (crls, ocsp) = word(&world, 0, None, now().plus(86_000));
        let after = Brought { crls: &crls, ocsp: &ocsp, mode: RevocationMode::HardFail, at: later(1) };
        assert_eq!(world.judge(&after), None);
    }
}

/// A signer of lists and its CA are certified by the old root and by the new one.
#[test]
fn a_change_of_roots_forgets_nobody() {
    let roots = [Party::root("Old"), Party::root("New")];
    let ca = roots[0].ca("CA");
    let signer = Builder::ca("CA").signed_by(&roots[0]);
    let of_new = |party: &Party| Builder::ca("CA").key(&party.key).signed_by(&roots[1]);
    let certified = [[ca.clone(), signer.clone()], [of_new(&ca), of_new(&signer)]];
    let peer = ca.leaf("peer");
    let list = CrlBuilder::of(&signer).revokes(&peer).build();
    let single = Single::good(&peer.certificate, &ca).times(now().plus(-36_000), Some(later(60)));
    let good = OcspBuilder::by(&ca).says(single).build();
    let all = [0, 1];
    for (then, with, from_now) in [
        (&all[..], &all[..], 1),
        (&all, &all, 0),
        (&all[..1], &all, 1),
        (&all[1..], &all, 0),
        (&all[..1], &all[..1], 1),
    ] {
        let store = Arc::new(Store::in_memory(provider().clone()));
        let judge = |anchors: &[usize], with: &[usize], crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>]| {
            let memory = StatusMemory::new(provider().clone(), Some(store.clone()));
            let mut status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
            memory.join(&mut status);
            let pool: Vec<_> =
                with.iter().flat_map(|root| &certified[*root]).map(|party| party.certificate.clone()).collect();
            let anchors: TrustAnchors = anchors.iter().map(|root| roots[*root].certificate.clone()).collect();
            let checks = checks(now(), RevocationMode::HardFail);
            let report =
                devid::validation::validate(&**provider(), &anchors, &peer.certificate, &pool, &status, &checks);
            report.error().map(|error| error.code())
        };
        assert_eq!(judge(then, with, std::slice::from_ref(&list), &[]), Some(Code::Revoked));
        let found = judge(&[from_now], &[from_now], &[], std::slice::from_ref(&good));
        assert_eq!(found, Some(Code::Revoked), "noted under {then:?} with {with:?}, judged under {from_now}");
    }
}

/// The CA's devices do not change with the owner of one of them.
#[test]
fn a_factory_reset_forgets_nobody_who_was_revoked() {
    for reason in [KEY_COMPROMISE, ON_HOLD] {
        let world = World::new();
        let list = [world.list(reason).number(7).times(now().plus(-60), Some(later(9))).build()];
        assert_eq!(world.judge(&Brought { crls: &list, ..NOTHING }), Some(Code::Revoked));
        world.store.put_blob("owners-own", b"own").unwrap();
        world.store.factory_reset(&[]).unwrap();
        assert_eq!(world.store.blobs().unwrap(), ["revoked"]);
        for mode in MODES {
            let good = [world.old_good()];
            assert_eq!(world.judge(&Brought { ocsp: &good, mode, ..NOTHING }), Some(Code::Revoked), "{mode:?}");
            let older = [CrlBuilder::of(&world.ca).number(6).build()];
            assert_eq!(world.judge(&Brought { crls: &older, mode, ..NOTHING }), Some(Code::Revoked), "{mode:?}");
        }
    }
}
