//! Who is known to be revoked is so also where nobody wants to know a status: by one rule, whoever is asked, from the first call on.

use std::sync::Arc;

use devid::client::StatusFetcher;
use devid::client::status::StatusQuestion;
use devid::client::validator::Validator;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    CheckTime, Crl, NameCheck, OcspResponse, PeerKey, PeerRequest, Purpose, RevocationMode, StatusSources,
};
use devid::{Code, Error};

use super::record::{Brought, KEY_COMPROMISE, MODES, NOTHING, ON_HOLD, World};
use super::{checks, code_of, now, options, provider};
use crate::certificates::Builder;
use crate::status::{CrlBuilder, OcspBuilder, Single};

/// What is at hand and what the memory holds.
struct Known {
    what: &'static str,
    crls: Vec<Arc<Crl>>,
    ocsp: Vec<Arc<OcspResponse>>,
    /// Whether device memory has met them.
    is_remembered: bool,
}

/// The verdicts of everybody who judges peers, without a status being wanted: by data, validator, fetcher, and of an open handle.
fn verdicts(world: &World, known: &Known, later: &dyn Fn(&World)) -> Vec<(&'static str, Option<Code>)> {
    let code = |error: Option<Error>| error.map(|error| error.code());
    let (anchors, pool) = (world.anchors(), std::slice::from_ref(&world.ca.certificate));
    let status = StatusSources { crls: known.crls.clone(), ocsp: known.ocsp.clone(), ..StatusSources::none() };
    let status = if known.is_remembered { StatusSources::none() } else { status };
    let mut found = Vec::new();
    let mut validator = Validator::new(world.anchors());
    validator.set_memory(world.store.clone());
    (validator.purpose, validator.names) = (Some(Purpose::Any), Some(NameCheck::NotChecked));
    validator.status.crls = status.crls.clone();
    validator.status.ocsp = status.ocsp.clone();
    assert_eq!(validator.checks.revocation.mode, RevocationMode::Off, "nothing is said of revocation");
    let verdict = validator.validate(world.leaf(), pool, None, CheckTime::At(now())).unwrap();
    found.push(("validator", code(verdict.report.error())));

    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), world.store.clone());
    let nobody = || {
        FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
            Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody is asked"))
        })
    };
    let checks = checks(now(), RevocationMode::Off);
    let question = StatusQuestion { anchors: &anchors, leaf: world.leaf(), pool, known: &status, checks: &checks };
    let answer = fetcher.validate(&question, &mut nobody());
    assert!(answer.log.is_empty());
    found.push(("fetcher", code_of(&answer)));
    let request = || PeerRequest {
        anchors: &anchors,
        certificate: world.leaf(),
        pool,
        status: &status,
        checks: checks.clone(),
        purpose: Purpose::Any,
        names: NameCheck::NotChecked,
        use_until: None,
    };
    let (answer, key) = fetcher.open_peer(request(), &mut nobody()).unwrap();
    let before = code_of(&answer);
    found.push(("fetcher's handle", before));
    let (report, direct) = PeerKey::open(provider(), request()).unwrap();
    if !known.is_remembered {
        found.push(("data alone", code(report.error())));
        assert_eq!(direct.is_none(), report.error().is_some());
    }
    // What is written of others changes nothing.
    later(world);
    let used = key.map(|key| key.spki(now()).map(drop));
    found.push(("after an unrelated write", used.map_or(before, |used| code(used.err()))));
    found
}

#[test]
fn who_is_known_to_be_revoked_is_so_from_the_first_call_on() {
    let unrelated = |world: &World| {
        let other = Builder::leaf("other").signed_by(&world.ca);
        let list = [CrlBuilder::of(&world.ca).number(8).revokes(&other).build()];
        world.open(&world.anchors(), &other.certificate, &Brought { crls: &list, ..NOTHING });
    };
    for (reason, expected) in
        [(None, None), (Some(KEY_COMPROMISE), Some(Code::Revoked)), (Some(ON_HOLD), Some(Code::Revoked))]
    {
        for (by_list, is_remembered) in [(true, true), (true, false), (false, true), (false, false)] {
            let world = World::new();
            let single = Single::good(world.leaf(), &world.ca);
            let known = match (by_list, reason) {
                (true, Some(reason)) => (vec![world.list(reason).build()], vec![]),
                (true, None) => (vec![CrlBuilder::of(&world.ca).build()], vec![]),
                (false, reason) => {
                    let single = match reason {
                        Some(reason) => single.revoked(reason),
                        None => single,
                    };
                    (vec![], vec![OcspBuilder::by(&world.ca).says(single).build()])
                }
            };
            let what = if by_list { "list" } else { "response" };
            let known = Known { what, crls: known.0, ocsp: known.1, is_remembered };
            if is_remembered {
                let (crls, ocsp) = (&known.crls[..], &known.ocsp[..]);
                assert_eq!(world.judge(&Brought { crls, ocsp, ..NOTHING }), expected);
            }
            for (who, found) in verdicts(&world, &known, &unrelated) {
                assert_eq!(found, expected, "{who}: {} with {reason:?}, remembered {is_remembered}", known.what);
            }
        }
    }
}

/// Not to know anything is good enough where no status is wanted: nothing is told of it, and nothing bounds the verdict.
#[test]
fn without_a_status_that_is_wanted_nothing_but_a_revocation_counts() {
    let world = World::new();
    let old = [world.old_good()];
    for brought in [NOTHING, Brought { ocsp: &old, ..NOTHING }] {
        let brought = Brought { mode: RevocationMode::Off, ..brought };
        let (report, key) = world.open(&world.anchors(), world.leaf(), &brought);
        assert!(report.findings().is_empty(), "{report:?}");
        assert_eq!(report.path().unwrap().status_until(), None);
        assert_eq!(key.unwrap().expires(), report.path().unwrap().not_after());
    }
    // A memory that cannot be read is told, and refuses whom a status is demanded of alone.
    world.store.put_blob("revoked", b"no record").unwrap();
    let judged = MODES.map(|mode| {
        let (report, _) = world.open(&world.anchors(), world.leaf(), &Brought { ocsp: &old, mode, ..NOTHING });
        assert!(report.findings().iter().any(|finding| finding.text.contains("cannot be read")), "{mode:?}");
        report.error().map(|error| error.code())
    });
    assert_eq!(judged, [None, None, Some(Code::RevocationUnknown)]);
}
