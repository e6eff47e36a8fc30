//! A PKCS#10 request that is out, and forgotten, beside an identity that nears its end: the online way goes on, and neither takes
//! anything from the other.

use devid::asn1::cmp::BodyType;
use devid::asn1::pkcs10::CertificationRequest;
use devid::client::renewal::{Alarm, Done, Reason};
use devid::client::{Destination, Import, RequestOptions, Step, abandon, request_into};
use devid::store::AnchorSet;

use crate::certificates::{Builder, key, now};
use crate::mock_ca::Device;
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// An identity of a year with a request that is out, on that day of its life.
fn on_day(day: i64, by_secret: bool) -> (World, CertificationRequest) {
    let mut world = World::new(by_secret);
    world.until_installed(Odd::Right, 0, "the first");
    world.asked.clear();
    let request = request_into(to(&world), &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();
    world.later(day * DAY);
    (world, request)
}

fn to(world: &World) -> Destination<'_> {
    Destination { store: &world.store, name: "router", purpose: "ldevid" }
}

/// The request is out as before, and what comes for it can be imported.
fn brings_its_certificate(world: &World, request: &CertificationRequest, what: &str) {
    assert_eq!(world.store.pending_request("router").unwrap().as_ref(), Some(request), "{what}");
    let leaf = Builder { spki: Some(request.spki().to_vec()), ..Builder::leaf("router-7") };
    let now = world.truth.get();
    let issued = leaf.valid(now.plus(-60), now.plus(365 * DAY)).signed_by(&world.ca.root);
    let anchors = world.store.trust(AnchorSet::Enrolment).unwrap();
    let mut import = Import::new(&world.store, &anchors, "ldevid", now);
    import.acceptance = devid::cmp::Acceptance::AnythingButTheKey;
    import.run(issued.certificate.as_der()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let current = world.store.current("router").unwrap();
    assert_eq!((current.certificate, current.key.spki()), (issued.certificate, request.spki()), "{what}");
    assert!(world.store.pending_keys().unwrap().is_empty(), "{what}: {:?}", world.store.pending_keys());
    assert!(world.store.verify().unwrap().is_empty(), "{what}");
}

#[test]
fn near_the_end_the_online_way_is_taken_beside_the_request_and_both_bring_a_certificate() {
    // Valid, but urgent: kur. Expired: ir.
    for (day, body) in [(350, BodyType::KUR), (400, BodyType::IR)] {
        for lets_wait in [(0, 30), (2, 600)] {
            let what = format!("day {day}, {lets_wait:?}");
            let (mut world, request) = on_day(day, true);
            world.lets_wait = lets_wait;
            let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
            assert!(plan.is_request_out && plan.alarm >= Alarm::Urgent, "{what}: {plan:?}");
            let before = world.store.current("router").unwrap();
            world.until_installed(Odd::Right, DAY, &what);
            assert_eq!(world.count(body), 1, "{what}: {:?}", world.asked);
            let current = world.store.current("router").unwrap();
            assert!(current.key.spki() != request.spki() && current.certificate != before.certificate, "{what}");
            assert_eq!(world.store.pending_keys().unwrap(), ["router"], "{what}: of the request");
            let quiet = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
            assert_eq!((quiet.reason, quiet.alarm), (Reason::RequestOut, Alarm::Quiet), "{what}");
            brings_its_certificate(&world, &request, &what);
        }
    }
}

/// The first certificate, and one that has time: what a person carries is not overtaken.
#[test]
fn as_long_as_there_is_time_and_for_the_first_certificate_the_request_is_the_only_way() {
    let (world, _) = on_day(300, true);
    let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert_eq!((plan.step, plan.reason, plan.alarm), (Step::Nothing, Reason::RequestOut, Alarm::Late));
    let world = World::new(true);
    request_into(to(&world), &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();
    let plan = world.planner.plan(&world.store, "router", Some(now())).unwrap();
    assert_eq!((plan.step, plan.reason, plan.alarm), (Step::Nothing, Reason::RequestOut, Alarm::Unusable));
}

#[test]
fn whatever_becomes_of_the_online_way_the_request_stays() {
    // The CA refuses.
    let (mut world, request) = on_day(350, true);
    world.refuses = Some((BodyType::KUR, 1 << 2));
    assert!(world.run(Some(world.truth.get())).outcome.is_err());
    assert_eq!(world.store.pending_keys().unwrap(), ["router"]);
    brings_its_certificate(&world, &request, "refused");

    // It is interrupted, and the certificate for the request comes first.
    let (mut world, request) = on_day(350, true);
    world.lets_wait = (2, 600);
    assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Waiting)));
    assert_eq!(world.store.pending_keys().unwrap().len(), 2);
    let anchors = world.store.trust(AnchorSet::Enrolment).unwrap();
    let spki = world.store.pending_key("router").unwrap().key.spki().to_vec();
    let now = world.truth.get();
    let leaf = Builder { spki: Some(spki), ..Builder::leaf("router-7") }.valid(now.plus(-60), now.plus(365 * DAY));
    let mut import = Import::new(&world.store, &anchors, "ldevid", now);
    import.acceptance = devid::cmp::Acceptance::AnythingButTheKey;
    import.run(leaf.signed_by(&world.ca.root).certificate.as_der()).unwrap();
    assert_eq!(world.store.current("router").unwrap().key.spki(), request.spki());
    world.later(600);
    world.until_installed(Odd::Right, DAY, "what the CA was asked for goes on");
    assert_eq!(world.count(BodyType::KUR), 1, "{:?}", world.asked);
    assert!(world.store.pending_keys().unwrap().is_empty() && world.store.verify().unwrap().is_empty());

    // The line breaks before anybody has heard of it, again and again: one key, not many.
    let (mut world, request) = on_day(350, true);
    world.is_dead = true;
    for _ in 0..3 {
        let report = world.run(Some(world.truth.get()));
        world.later(i64::from(report.wait_seconds));
        assert!(world.store.pending_keys().unwrap().len() <= 2);
    }
    brings_its_certificate(&world, &request, "the line is dead");
}

/// The device dies after the switch, before what is left of the operation is cleared away.
#[test]
fn what_is_left_of_an_installed_renewal_goes_without_the_request() {
    let (mut world, request) = on_day(350, true);
    world.loses = Some(BodyType::CERTCONF);
    assert!(world.run(Some(world.truth.get())).outcome.is_err());
    let installed = world.store.promote("router").unwrap();
    assert_eq!(
        (world.store.operations().unwrap(), world.store.pending_keys().unwrap()),
        (vec!["router".to_owned()], vec!["router".to_owned()])
    );
    world.later(DAY);
    world.until_installed(Odd::Right, DAY, "it is in use");
    assert_eq!(world.store.current("router").unwrap().certificate, installed.certificate);
    assert!(world.store.operations().unwrap().is_empty());
    brings_its_certificate(&world, &request, "after the switch");

    // What is saved cannot be read, or its key is gone: the request is not taken for the operation's.
    for is_readable in [false, true] {
        let (mut world, request) = on_day(350, true);
        world.lets_wait = (2, 600);
        assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Waiting)));
        let labels = world.store.pending_keys().unwrap();
        let beside = labels.iter().find(|label| *label != "router").unwrap();
        match is_readable {
            true => world.store.remove_pending_key(beside).unwrap(),
            false => world.store.save_operation("router", b"scrambled").unwrap(),
        }
        world.later(600);
        assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Abandoned(_))), "{is_readable}");
        brings_its_certificate(&world, &request, "nothing to go on with");
    }
}

/// A person gives up what is there under a name: all of it.
#[test]
fn who_abandons_a_name_gives_up_request_and_operation() {
    let (mut world, _) = on_day(350, true);
    world.lets_wait = (2, 600);
    assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Waiting)));
    abandon(to(&world)).unwrap();
    assert!(world.store.pending_keys().unwrap().is_empty() && world.store.operations().unwrap().is_empty());
    assert!(world.store.pending_request("router").unwrap().is_none());
    world.until_installed(Odd::Right, DAY, "anew");
}
