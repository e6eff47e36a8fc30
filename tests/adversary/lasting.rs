//! A verdict lasts no longer than anything that it rests on: with the same data it is the same until its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::time::Time;
use devid::validation::{
    CheckTime, Crl, KeyUsage, OcspResponse, Report, RevocationMode, StatusSources, TrustAnchors, validate,
};

use crate::certificates::{Builder, Party, date, now, provider};
use crate::properties::Dice;
use crate::status::{CrlBuilder, OcspBuilder, Single};

const DAY: i64 = 86_400;

/// A leaf below a CA, each document and each signer with an end of its own.
struct World {
    root: Party,
    leaf: Party,
    /// The CA and signers.
    pool: Vec<Party>,
    crls: Vec<Arc<Crl>>,
    ocsp: Vec<Arc<OcspResponse>>,
    /// When each of them ends: the verdict does at one of these.
    ends: Vec<(&'static str, Time)>,
}

/// In days from now, never twice the same.
struct Ends<'d> {
    dice: &'d mut Dice,
    taken: BTreeSet<usize>,
    given: Vec<(&'static str, Time)>,
}

impl Ends<'_> {
    fn of(&mut self, what: &'static str) -> Time {
        loop {
            let days = 1 + self.dice.below(60);
            if self.taken.insert(days) {
                let end = now().plus(days as i64 * DAY);
                self.given.push((what, end));
                return end;
            }
        }
    }
}

impl World {
    fn random(dice: &mut Dice) -> Self {
        let (by_list, is_below_ca, has_nocheck) = (dice.below(2) == 0, dice.below(2) == 0, dice.below(2) == 0);
        let mut ends = Ends { dice, taken: BTreeSet::new(), given: Vec::new() };
        let root = Party::root("r0");
        let ca = root.ca("c0");
        let leaf = ca.leaf("leaf");
        let from = date(2020, 1, 1);
        let parent = if is_below_ca { &ca } else { &root };
        let mut pool = vec![ca.clone()];
        let mut ocsp = Vec::new();
        let mut list = |of: &Party, what| CrlBuilder::of(of).number(10).times(now(), Some(ends.of(what))).build();
        // The root's word about the CA, and where it has certified the signer, about that.
        let mut crls = vec![list(&root, "the root's list")];
        if by_list {
            let builder = Builder::leaf("X").subject(ca.certificate.subject().to_vec()).key_usage(&[KeyUsage::CrlSign]);
            let signer = builder.valid(from, ends.of("the signer's certificate")).signed_by(parent);
            let end = ends.of("the signer's list");
            crls.push(CrlBuilder::of(&signer).number(7).times(now(), Some(end)).build());
            pool.push(signer);
        } else {
            let builder = Builder::leaf("Responder").purposes(&[oid::KP_OCSP_SIGNING]);
            let builder = if has_nocheck { builder.with(oid::OCSP_NOCHECK, false, vec![5, 0]) } else { builder };
            let responder = builder.valid(from, ends.of("the responder's certificate")).signed_by(&ca);
            if !has_nocheck {
                let single = Single::good(&responder.certificate, &ca);
                let single = single.times(now(), Some(ends.of("the word about the responder")));
                ocsp.push(OcspBuilder::by(&ca).says(single).build());
            }
            let single = Single::good(&leaf.certificate, &ca).times(now(), Some(ends.of("the response")));
            ocsp.push(OcspBuilder::delegated(&responder).says(single).build());
        }
        World { root, leaf, pool, crls, ocsp, ends: ends.given }
    }

    fn judge(&self, at: Time, mode: RevocationMode) -> Report {
        let anchors: TrustAnchors = std::iter::once(self.root.certificate.clone()).collect();
        let pool: Vec<Certificate> = self.pool.iter().map(|p| p.certificate.clone()).collect();
        let status = StatusSources { crls: self.crls.clone(), ocsp: self.ocsp.clone(), ..StatusSources::none() };
        let mut checks = crate::checks(mode);
        checks.at = CheckTime::At(at);
        validate(&**provider(), &anchors, &self.leaf.certificate, &pool, &status, &checks)
    }
}

#[test]
fn a_verdict_is_the_same_until_its_end_and_ends_with_the_first_thing_that_it_rests_on() {
    let mut first = BTreeSet::new();
    for seed in 0..150 {
        let world = World::random(&mut Dice(seed));
        for mode in crate::MODES {
            let report = world.judge(now(), mode);
            assert!(report.is_valid(), "seed {seed}: {:?}", report.findings());
            let until = report.path().and_then(|path| path.status_until()).expect("status data has an end");
            let (what, end) = *world.ends.iter().min_by_key(|(_, end)| *end).expect("ends");
            if mode == RevocationMode::HardFail {
                assert_eq!(until, end, "seed {seed}: it rests on {:?}", world.ends);
                first.insert(what);
            }
            let half = now().plus((until.unix() - now().unix()) / 2);
            for at in [half, until.plus(-1), until] {
                let then = world.judge(at, mode);
                assert!(then.is_valid(), "seed {seed} at {at} of {until}: {:?}", then.findings());
            }
        }
    }
    assert_eq!(first.len(), 6, "each of them ends first in some world: {first:?}");
}
