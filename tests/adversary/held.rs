//! What an entitled source has said against a peer is not lost by a doubt about that source: a doubt takes away the power
//! to clear, never the power to revoke.

use std::sync::Arc;

use devid::Code;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::{CrlSubject, StatusMemory, keep_crl};
use devid::store::Store;
use devid::time::Time;
use devid::validation::{
    Crl, KeyUsage, OcspResponse, Report, RevocationMode, RevocationScope, StatusSources, TrustAnchors, validate,
};

use crate::certificates::{Builder, Party, date, now, provider};
use crate::status::{
    CrlBuilder, INDIRECT, ONLY_CA_CERTS, ONLY_USER_CERTS, OcspBuilder, Single, certificate_issuer, crl_issuer, flag,
    point_url, points,
};
use crate::{MODES, checks};

const DAY: i64 = 86_400;

struct Case {
    root: Party,
    ca: Party,
    peer: Party,
}

impl Case {
    fn new() -> Self {
        let root = Party::root("Root");
        let ca = root.ca("CA");
        let peer = ca.leaf("peer");
        Case { root, ca, peer }
    }

    /// A genuine word from before the peer was revoked, as a peer staples it.
    fn old_good(&self) -> Arc<OcspResponse> {
        let single =
            Single::good(&self.peer.certificate, &self.ca).times(now().plus(-20 * 3600), Some(now().plus(9 * DAY)));
        OcspBuilder::by(&self.ca).says(single).build()
    }

    fn judge(
        &self,
        sent: &[&Party],
        crls: &[Arc<Crl>],
        ocsp: &[Arc<OcspResponse>],
        mode: RevocationMode,
        scope: RevocationScope,
        at: Time,
    ) -> Report {
        let anchors: TrustAnchors = std::iter::once(self.root.certificate.clone()).collect();
        let pool: Vec<Certificate> = sent.iter().map(|p| p.certificate.clone()).collect();
        let status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        let mut checks = checks(mode);
        checks.at = devid::validation::CheckTime::At(at);
        checks.revocation.scope = scope;
        validate(&**provider(), &anchors, &self.peer.certificate, &pool, &status, &checks)
    }
}

fn code(report: &Report) -> Option<Code> {
    report.error().map(|error| error.code())
}

const SCOPES: [RevocationScope; 2] = [RevocationScope::LeafOnly, RevocationScope::WholeChain];

/// A signer of lists in the CA's name.
fn signer_under(above: &Party, change: impl FnOnce(Builder) -> Builder) -> Party {
    change(Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign])).signed_by(above)
}

#[test]
fn a_list_revokes_though_the_status_of_its_signer_is_not_known() {
    let case = Case::new();
    let signer = signer_under(&case.root, |b| b);
    // The root's list is about CAs, so that nothing is known of the signer.
    let of_cas = CrlBuilder::of(&case.root).scope(&[flag(ONLY_CA_CERTS)]).build();
    let revoking = CrlBuilder::of(&signer).number(7).revokes(&case.peer).build();
    let clear = CrlBuilder::of(&signer).number(7).build();
    let users = CrlBuilder::of(&case.ca).number(6).scope(&[flag(ONLY_USER_CERTS)]).build();
    let sent = [&case.ca, &signer];
    for mode in MODES {
        for scope in SCOPES {
            let judge = |crls: &[&Arc<Crl>], ocsp: &[Arc<OcspResponse>]| {
                let crls: Vec<Arc<Crl>> = crls.iter().map(|crl| Arc::clone(crl)).collect();
                code(&case.judge(&sent, &crls, ocsp, mode, scope, now()))
            };
            assert_eq!(judge(&[&of_cas, &revoking], &[]), Some(Code::Revoked), "{mode:?} {scope:?}");
            assert_eq!(judge(&[&of_cas, &revoking], &[case.old_good()]), Some(Code::Revoked), "{mode:?} {scope:?}");
            assert_eq!(judge(&[&of_cas, &revoking, &users], &[]), Some(Code::Revoked), "{mode:?} {scope:?}");
            // The other half of the rule: such a signer clears nobody where its status must be known.
            let needed = mode == RevocationMode::HardFail && scope == RevocationScope::WholeChain;
            assert_eq!(judge(&[&of_cas, &clear], &[]), needed.then_some(Code::RevocationUnknown), "{mode:?} {scope:?}");
            assert_eq!(judge(&[&of_cas, &users], &[]), None, "{mode:?} {scope:?}");
        }
    }
}

#[test]
fn a_peer_does_not_choose_the_path_on_which_a_signer_is_judged() {
    let root = Party::root("Root");
    let middle = root.ca("middle");
    // Earlier certificates of the same CA, genuine: a signer has room below them, another CA has none.
    let earlier = |serial: u8| {
        let mut builder = Builder::ca("middle").key(&middle.key).path_len(0);
        builder.serial = vec![serial];
        builder.signed_by(&root)
    };
    let old = [earlier(1), earlier(2), earlier(3)];
    let ca = middle.ca("CA");
    let case = Case { peer: ca.leaf("peer"), ca, root };
    let signer = signer_under(&middle, |b| b);
    let of_middle = CrlBuilder::of(&middle).build();
    let superseded = old.iter().fold(CrlBuilder::of(&case.root), |list, party| list.revokes_for(party, 4)).build();
    let unaware = CrlBuilder::of(&case.root).scope(&[flag(ONLY_USER_CERTS)]).build();
    let revoking = CrlBuilder::of(&signer).number(7).revokes(&case.peer).build();
    let clear = CrlBuilder::of(&signer).number(7).build();
    let with_old: Vec<&Party> = [&case.ca].into_iter().chain(&old).chain([&middle, &signer]).collect();
    for mode in MODES {
        for of_root in [&superseded, &unaware] {
            for sent in [&[&case.ca, &middle, &signer][..], &with_old] {
                let judge = |list: &Arc<Crl>, ocsp: &[Arc<OcspResponse>]| {
                    let crls = [Arc::clone(list), of_middle.clone(), Arc::clone(of_root)];
                    code(&case.judge(sent, &crls, ocsp, mode, RevocationScope::WholeChain, now()))
                };
                assert_eq!(judge(&revoking, &[]), Some(Code::Revoked), "{mode:?}");
                assert_eq!(judge(&revoking, &[case.old_good()]), Some(Code::Revoked), "{mode:?}");
                if Arc::ptr_eq(of_root, &superseded) {
                    assert_eq!(judge(&clear, &[]), None, "{mode:?}: a good path is found beside the revoked ones");
                }
            }
        }
    }
    // A signer that is itself revoked has no power at all.
    let of_middle = CrlBuilder::of(&middle).revokes(&signer).build();
    let crls = [revoking, of_middle, superseded];
    let sent = [&case.ca, &middle, &signer];
    assert!(case.judge(&sent, &crls, &[], RevocationMode::SoftFail, RevocationScope::WholeChain, now()).is_valid());
}

#[test]
fn what_a_signer_has_revoked_outlives_its_certificate() {
    let case = Case::new();
    let over = now().plus(5 * DAY);
    let signer = signer_under(&case.root, |b| b.valid(date(2025, 1, 1), over));
    let responder = Builder::leaf("responder")
        .purposes(&[oid::KP_OCSP_SIGNING])
        .with(oid::OCSP_NOCHECK, false, vec![5, 0])
        .valid(date(2025, 1, 1), over)
        .signed_by(&case.ca);
    let list = |change: &dyn Fn(CrlBuilder) -> CrlBuilder| {
        let list = CrlBuilder::of(&signer).number(7).times(now().plus(-3600), Some(now().plus(30 * DAY)));
        [change(list).build(), CrlBuilder::of(&case.root).times(now(), Some(now().plus(30 * DAY))).build()]
    };
    let (revoking, clear) = (list(&|l| l.revokes(&case.peer)), list(&|l| l));
    let word = |single: Single| {
        let single = single.times(now().plus(-3600), Some(now().plus(30 * DAY)));
        OcspBuilder::delegated(&responder).says(single).build()
    };
    let good = Single::good(&case.peer.certificate, &case.ca);
    let (bad, good) = (word(good.clone().revoked(1)), word(good));
    let sent = [&case.ca, &signer];
    let judge = |crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>], days: i64| {
        let at = now().plus(days * DAY);
        code(&case.judge(&sent, crls, ocsp, RevocationMode::HardFail, RevocationScope::LeafOnly, at))
    };
    for days in [0, 6] {
        assert_eq!(judge(&revoking, &[case.old_good()], days), Some(Code::Revoked), "list, {days} days later");
        assert_eq!(
            judge(&[], &[case.old_good(), bad.clone()], days),
            Some(Code::Revoked),
            "response, {days} days later"
        );
        // Who is over clears nobody.
        let refused = (days > 0).then_some(Code::RevocationUnknown);
        assert_eq!(judge(&clear, &[], days), refused);
        assert_eq!(judge(&[], std::slice::from_ref(&good), days), refused);
    }
    // Whoever signs after its certificate is over is nobody.
    let late = CrlBuilder::of(&signer).number(8).times(over.plus(3600), Some(now().plus(30 * DAY))).revokes(&case.peer);
    assert_eq!(judge(&[late.build()], &[case.old_good()], 6), None);
}

/// What was not looked at to its end closes an open handle, until a look that was.
#[test]
fn an_exhausted_recheck_closes_the_handle_until_another() {
    use devid::validation::{NameCheck, PeerKey, PeerRequest, Purpose};
    let case = Case::new();
    // Names of the CA by keys of the peer: each is tried on a list whose key is none of those at hand.
    let junk: Vec<Party> = (0..130).map(|_| Builder::ca("CA").self_signed()).collect();
    let former = Builder::ca("CA").self_signed();
    let stray = CrlBuilder::of(&former).number(9).build();
    // Made anew each time: a list that was verified once costs nothing the second time.
    let revoking = || CrlBuilder::of(&case.ca).number(7).revokes(&case.peer).build();
    let clear = CrlBuilder::of(&case.ca).number(7).build();
    let anchors: TrustAnchors = std::iter::once(case.root.certificate.clone()).collect();
    for mode in MODES {
        let open = |count: usize| {
            let pool: Vec<Certificate> =
                std::iter::once(&case.ca).chain(&junk[..count]).map(|p| p.certificate.clone()).collect();
            let status = StatusSources { crls: vec![clear.clone()], ..StatusSources::none() };
            let mut checks = checks(mode);
            checks.revocation.scope = RevocationScope::LeafOnly;
            let request = PeerRequest {
                anchors: &anchors,
                certificate: &case.peer.certificate,
                pool: &pool,
                status: &status,
                checks,
                purpose: Purpose::Any,
                names: NameCheck::NotChecked,
                use_until: None,
            };
            PeerKey::open(provider(), request).unwrap().1.expect("a good peer")
        };
        let with = |crls: &[&Arc<Crl>]| {
            let crls = crls.iter().map(|crl| Arc::clone(crl)).collect();
            StatusSources { crls, ..StatusSources::none() }
        };
        for count in [0, 126, 127, 128, 130] {
            let key = open(count);
            assert!(key.spki(now()).is_ok());
            let _ = key.recheck(&with(&[&stray, &revoking()]), now());
            assert!(key.spki(now()).is_err(), "{count} of junk");
            if count == 130 {
                assert_eq!(key.spki(now()).unwrap_err().code(), Code::Budget);
                // Nothing new is no end of it; a look that was whole is.
                let _ = key.recheck(&StatusSources::none(), now());
                let _ = key.recheck(&with(&[&clear]), now());
                assert!(key.spki(now()).is_ok());
            }
        }
    }
}

/// A responder's certificate that does without a status is no licence: what is known against it counts.
#[test]
fn a_responder_with_nocheck_that_a_list_revokes_is_believed_no_more() {
    let case = Case::new();
    let responder = Builder::leaf("responder")
        .purposes(&[oid::KP_OCSP_SIGNING])
        .with(oid::OCSP_NOCHECK, false, vec![5, 0])
        .signed_by(&case.ca);
    let good = OcspBuilder::delegated(&responder).says(Single::good(&case.peer.certificate, &case.ca)).build();
    // Out of date for all whom it does not list.
    let old = |list: CrlBuilder| list.times(now().plus(-9 * DAY), Some(now().plus(-8 * DAY))).build();
    let judge = |crls: &[Arc<Crl>], mode| {
        code(&case.judge(&[&case.ca], crls, std::slice::from_ref(&good), mode, RevocationScope::LeafOnly, now()))
    };
    for mode in MODES {
        assert_eq!(judge(&[], mode), None);
        assert_eq!(judge(&[old(CrlBuilder::of(&case.ca))], mode), None);
        let refused = (mode == RevocationMode::HardFail).then_some(Code::RevocationUnknown);
        assert_eq!(judge(&[old(CrlBuilder::of(&case.ca).revokes(&responder))], mode), refused);
    }
}

/// A distribution point names who issues its list. The name is not the certificate of whoever takes it.
#[test]
fn a_crl_issuer_by_name_alone_clears_nobody() {
    let root = Party::root("Root");
    let (middle, partner) = (root.ca("middle"), root.ca("partner"));
    let ca = middle.ca("CA");
    let point = points(&[&[point_url("http://x.example/"), crl_issuer(&crate::certificates::common_name("Lists"))]]);
    let peer = Builder::leaf("peer").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, point).signed_by(&ca);
    let lists = |above: &Party| Builder::leaf("Lists").key_usage(&[KeyUsage::CrlSign]).signed_by(above);
    let case = Case { root, ca, peer };
    let list = |signer: &Party, revokes: bool| {
        let list = CrlBuilder::of(signer).scope(&[point_url("http://x.example/"), flag(INDIRECT)]);
        let issuer = certificate_issuer(case.ca.certificate.subject());
        match revokes {
            true => list.entry(case.peer.certificate.serial(), &[issuer]),
            false => list,
        }
        .build()
    };
    let judge = |signer: &Party, revokes: bool| {
        let sent = [&case.ca, &middle, &partner, signer];
        let mode = RevocationMode::HardFail;
        code(&case.judge(&sent, &[list(signer, revokes)], &[], mode, RevocationScope::LeafOnly, now()))
    };
    for above in [&case.root, &middle, &case.ca] {
        assert_eq!(judge(&lists(above), false), None, "certified above the peer, or by its issuer");
        assert_eq!(judge(&lists(above), true), Some(Code::Revoked));
    }
    assert_eq!(judge(&lists(&partner), false), Some(Code::RevocationUnknown));
}

/// An issuing CA that is an anchor too: the peer chooses how much of its chain it sends, and that changes nothing.
#[test]
fn a_shorter_chain_does_not_leave_out_a_list() {
    let root = Party::root("Root");
    let middle = root.ca("middle");
    let ca = middle.ca("CA");
    let case = Case { peer: ca.leaf("peer"), ca, root };
    let signer = signer_under(&middle, |b| b);
    let crls = [
        CrlBuilder::of(&signer).revokes(&case.peer).build(),
        CrlBuilder::of(&middle).build(),
        CrlBuilder::of(&case.root).build(),
    ];
    let anchors: TrustAnchors = [&case.root, &case.ca].map(|p| p.certificate.clone()).into_iter().collect();
    for mode in MODES {
        for sent in [&[&middle, &signer][..], &[&case.ca, &middle, &signer]] {
            for ocsp in [vec![], vec![case.old_good()]] {
                let pool: Vec<Certificate> = sent.iter().map(|p| p.certificate.clone()).collect();
                let status = StatusSources { crls: crls.to_vec(), ocsp, ..StatusSources::none() };
                let report = validate(&**provider(), &anchors, &case.peer.certificate, &pool, &status, &checks(mode));
                assert_eq!(code(&report), Some(Code::Revoked), "{mode:?}");
            }
        }
    }
}

/// Of several words about a peer the newest counts, and says until when.
#[test]
fn an_older_good_word_lengthens_no_verdict() {
    use devid::validation::{NameCheck, PeerKey, PeerRequest, Purpose};
    let case = Case::new();
    let word = |from: i64, to: i64, change: &dyn Fn(Single) -> Single| {
        let single = Single::good(&case.peer.certificate, &case.ca).times(now().plus(from), Some(now().plus(to)));
        OcspBuilder::by(&case.ca).says(change(single)).build()
    };
    let newest = word(-3600, DAY, &|s| s);
    let older = word(-10 * DAY, 50 * DAY, &|s| s);
    let open = |ocsp: &[&Arc<OcspResponse>], crls: &[Arc<Crl>]| {
        let anchors: TrustAnchors = std::iter::once(case.root.certificate.clone()).collect();
        let status = StatusSources {
            ocsp: ocsp.iter().map(|o| Arc::clone(o)).collect(),
            crls: crls.to_vec(),
            ..StatusSources::none()
        };
        let mut checks = checks(RevocationMode::HardFail);
        checks.revocation.scope = RevocationScope::LeafOnly;
        let request = PeerRequest {
            anchors: &anchors,
            certificate: &case.peer.certificate,
            pool: std::slice::from_ref(&case.ca.certificate),
            status: &status,
            checks,
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        PeerKey::open(provider(), request).unwrap().1
    };
    let until = |key: Option<PeerKey>| key.map(|key| key.expires());
    for order in [[&newest, &older], [&older, &newest]] {
        assert_eq!(until(open(&order, &[])), Some(now().plus(DAY)));
    }
    let key = open(&[&newest], &[]).unwrap();
    let with = |ocsp: &Arc<OcspResponse>| StatusSources { ocsp: vec![ocsp.clone()], ..StatusSources::none() };
    key.recheck(&with(&older), now()).unwrap();
    assert_eq!(key.expires(), now().plus(DAY));
    key.recheck(&with(&word(-60, 3 * DAY, &|s| s)), now()).unwrap();
    assert_eq!(key.expires(), now().plus(3 * DAY), "a newer word does");

    // A responder that knows the peer no longer, and a word that is out of date, are newer words too.
    assert!(open(&[&older, &word(-60, DAY, &|s| s.unknown())], &[]).is_none());
    assert!(open(&[&older, &word(-7200, -3600, &|s| s)], &[]).is_none());
    // A word from the future is none yet.
    assert_eq!(until(open(&[&newest, &word(7200, 60 * DAY, &|s| s)], &[])), Some(now().plus(DAY)));

    // Lists of other series, and the other source, whichever is preferred.
    let list = CrlBuilder::of(&case.ca).number(3).times(now().plus(-3600), Some(now().plus(DAY))).build();
    let users = CrlBuilder::of(&case.ca).number(99).scope(&[flag(ONLY_USER_CERTS)]);
    let users = users.times(now().plus(-20 * DAY), Some(now().plus(40 * DAY))).build();
    assert_eq!(until(open(&[], &[users.clone(), list.clone()])), Some(now().plus(DAY)));
    assert_eq!(until(open(&[&older], &[list])), Some(now().plus(DAY)));
}

/// A list that was made ahead says nothing yet: it lifts no hold, and shuts out no list of today.
#[test]
fn a_list_of_next_month_is_no_later_list() {
    const ON_HOLD: u8 = 6;
    let case = Case::new();
    let held = CrlBuilder::of(&case.ca).number(7).times(now().plus(-60), Some(now().plus(DAY)));
    let held = held.revokes_for(&case.peer, ON_HOLD).build();
    let today = CrlBuilder::of(&case.ca).number(7).build();
    let ahead = |list: CrlBuilder| list.times(now().plus(30 * DAY), Some(now().plus(60 * DAY))).build();
    let next = ahead(CrlBuilder::of(&case.ca).number(8));
    let judge = |crls: &[&Arc<Crl>], ocsp: &[Arc<OcspResponse>], mode| {
        let crls: Vec<Arc<Crl>> = crls.iter().map(|crl| Arc::clone(crl)).collect();
        code(&case.judge(&[&case.ca], &crls, ocsp, mode, RevocationScope::LeafOnly, now()))
    };
    for mode in MODES {
        for ocsp in [vec![], vec![case.old_good()]] {
            assert_eq!(judge(&[&next, &held], &ocsp, mode), Some(Code::Revoked), "{mode:?}");
        }
        assert_eq!(judge(&[&next, &today], &[], mode), None, "{mode:?}");
        let revoking = ahead(CrlBuilder::of(&case.ca).number(8).revokes(&case.peer));
        assert_eq!(judge(&[&revoking, &today], &[], mode), Some(Code::Revoked), "whom it revokes is revoked");
    }
}

/// Two delegated signers that revoke each other clear nobody, and whom either revokes is revoked: whichever list is newer, and in
/// whatever order they are at hand.
#[test]
fn of_signers_that_accuse_each_other_neither_takes_the_others_word_away() {
    let case = Case::new();
    let (thief, honest) = (signer_under(&case.ca, |b| b), signer_under(&case.ca, |b| b));
    for reason in [1, 6] {
        for hours in [-2, 0, 2] {
            let by = |party: &Party, accused: &Party, also: Option<&Party>, at: i64| {
                let list = CrlBuilder::of(party).number(9).times(now().plus(at), Some(now().plus(9 * DAY)));
                let list = list.revokes_for(accused, reason);
                also.into_iter().fold(list, |list, peer| list.revokes_for(peer, 1)).build()
            };
            let a = by(&thief, &honest, None, -7200);
            let b = by(&honest, &thief, Some(&case.peer), -7200 + hours * 3600);
            let clean = CrlBuilder::of(&honest).number(9).revokes_for(&thief, reason).build();
            for mode in MODES {
                for scope in [RevocationScope::LeafOnly, RevocationScope::WholeChain] {
                    let judge = |lists: &[&Arc<Crl>]| {
                        let lists: Vec<Arc<Crl>> = lists.iter().map(|&list| list.clone()).collect();
                        code(&case.judge(&[&case.ca, &thief, &honest], &lists, &[], mode, scope, now()))
                    };
                    for lists in [[&a, &b], [&b, &a]] {
                        assert_eq!(judge(&lists), Some(Code::Revoked), "reason {reason}, {hours} h, {mode:?}");
                    }
                    // Neither says that the peer is revoked: it is not, and neither says that it is good.
                    let unknown = (mode == RevocationMode::HardFail).then_some(Code::RevocationUnknown);
                    for lists in [[&a, &clean], [&clean, &a]] {
                        assert_eq!(judge(&lists), unknown);
                    }
                }
            }
        }
    }
}

/// A signer that is revoked clears nobody any more, and takes nothing of what it has said before along: newer status makes nobody
/// good again.
#[test]
fn what_a_signer_has_revoked_outlives_its_retirement() {
    const SUPERSEDED: u8 = 4;
    const KEY_COMPROMISE: u8 = 1;
    let case = Case::new();
    let signer = signer_under(&case.root, |b| b);
    let responder = Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]).signed_by(&case.ca);
    // The entries of the lists are from the first of December.
    let before = date(2025, 11, 20);
    let long = Some(now().plus(30 * DAY));
    let list = |from: Time| CrlBuilder::of(&signer).number(7).times(from, long);
    let word = |from: Time| Single::good(&case.peer.certificate, &case.ca).times(from, long);
    let said = |single: Single| OcspBuilder::delegated(&responder).says(single).build();
    let good = OcspBuilder::by(&case.ca).says(word(date(2025, 11, 19))).build();
    for reason in [SUPERSEDED, KEY_COMPROMISE] {
        let of_ca = CrlBuilder::of(&case.ca).number(9).scope(&[flag(ONLY_USER_CERTS)]).revokes_for(&responder, reason);
        let of_ca = of_ca.times(now().plus(-9 * DAY), Some(now().plus(-8 * DAY))).build();
        let of_root = CrlBuilder::of(&case.root).revokes_for(&signer, reason).build();
        for mode in MODES {
            let judge = |crls: &[&Arc<Crl>], ocsp: &[&Arc<OcspResponse>]| {
                let crls: Vec<Arc<Crl>> = crls.iter().map(|&crl| crl.clone()).collect();
                let ocsp: Vec<Arc<OcspResponse>> = ocsp.iter().map(|&ocsp| ocsp.clone()).collect();
                let sent = [&case.ca, &signer];
                code(&case.judge(&sent, &crls, &ocsp, mode, RevocationScope::LeafOnly, now()))
            };
            let revoking = list(before).revokes(&case.peer).build();
            let revoked = said(word(before).revoked(1));
            for newer in [&[][..], &[&of_root]] {
                let crls: Vec<&Arc<Crl>> = [&revoking].into_iter().chain(newer.iter().copied()).collect();
                assert_eq!(judge(&crls, &[&good]), Some(Code::Revoked), "list, {mode:?} {reason}");
            }
            for newer in [&[][..], &[&of_ca]] {
                assert_eq!(judge(newer, &[&good, &revoked]), Some(Code::Revoked), "response, {mode:?} {reason}");
            }
            // What it says after it was revoked is nobody's word; and it clears nobody.
            let late = list(now().plus(-DAY)).revokes(&case.peer).build();
            assert_eq!(judge(&[&late, &of_root], &[&good]), None, "{mode:?} {reason}");
            assert_eq!(judge(&[&of_ca], &[&good, &said(word(now().plus(-DAY)).revoked(1))]), None, "{mode:?} {reason}");
            let unknown = (mode == RevocationMode::HardFail).then_some(Code::RevocationUnknown);
            assert_eq!(judge(&[&list(before).build(), &of_root], &[]), unknown, "{mode:?} {reason}");
            assert_eq!(judge(&[&of_ca], &[&said(word(before))]), unknown, "{mode:?} {reason}");
        }
    }
}

/// A peer whose distribution point names who issues its lists, and CAs that may each have certified somebody of that name.
struct ListsByName {
    root: Party,
    ca: Party,
    partner: Party,
    peer: Party,
}

impl ListsByName {
    fn new() -> Self {
        let root = Party::root("Root");
        let (ca, partner) = (root.ca("CA"), root.ca("partner"));
        let named = [point_url("http://pki.example/lists.crl"), crl_issuer(&Builder::leaf("lists").subject)];
        let peer = Builder::leaf("peer").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&named])).signed_by(&ca);
        ListsByName { root, ca, partner, peer }
    }

    /// Who signs lists under that name, certified by one of them.
    fn signer_by(above: &Party) -> Party {
        Builder::leaf("lists").key_usage(&[KeyUsage::CrlSign]).signed_by(above)
    }
}

/// The name that a distribution point gives to its lists' issuer is anybody's to take who issues certificates: a list by that name
/// refuses while it is at hand, and is not written down against the peer for the rest of its life.
#[test]
fn a_crl_issuer_by_name_alone_is_not_written_down() {
    let ListsByName { root, ca, partner, peer } = ListsByName::new();
    for (signer, is_written_down) in
        [&root, &ca, &partner].map(ListsByName::signer_by).into_iter().zip([true, true, false])
    {
        for mode in MODES {
            let memory = StatusMemory::new(provider().clone(), None);
            let judge = |crls: &[Arc<Crl>]| {
                let mut status = StatusSources { crls: crls.to_vec(), ..StatusSources::none() };
                memory.join(&mut status);
                let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
                let pool = [&ca, &partner, &signer].map(|party| party.certificate.clone());
                let mut checks = checks(mode);
                checks.revocation.scope = RevocationScope::LeafOnly;
                code(&validate(&**provider(), &anchors, &peer.certificate, &pool, &status, &checks))
            };
            let revoking = indirect_list(&signer, &ca, &peer);
            assert_eq!(judge(&[revoking]), Some(Code::Revoked), "{mode:?}: while it is at hand");
            let later = match (is_written_down, mode) {
                (true, _) => Some(Code::Revoked),
                (false, RevocationMode::HardFail) => Some(Code::RevocationUnknown),
                (false, _) => None,
            };
            assert_eq!(judge(&[]), later, "{mode:?}");
        }
    }
}

/// Nor is it kept, with its signer beside it, for all later meetings.
#[test]
fn a_list_by_name_alone_is_not_kept_either() {
    let ListsByName { root, ca, partner, peer } = ListsByName::new();
    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
    for (signer, is_kept) in [&root, &ca, &partner].map(ListsByName::signer_by).into_iter().zip([true, true, false]) {
        let store = Arc::new(Store::in_memory(provider().clone()));
        let intermediates = [&ca, &partner, &signer].map(|party| party.certificate.clone());
        let subject =
            CrlSubject { certificate: &peer.certificate, intermediates: &intermediates, anchors: &anchors, at: now() };
        let list = indirect_list(&signer, &ca, &peer);
        let told = keep_crl(provider(), &store, list.der().unwrap(), &subject).unwrap_err();
        assert_eq!(told.code(), Code::Revoked, "while it is at hand");
        assert_eq!(store.blobs().unwrap().iter().any(|name| name.starts_with("status-")), is_kept);
        let _ = store.remove_blob("revoked");
        for mode in MODES {
            let memory = StatusMemory::new(provider().clone(), Some(store.clone()));
            let mut status = StatusSources::none();
            memory.recall([&peer.certificate, &ca.certificate], &mut status);
            let mut checks = checks(mode);
            checks.revocation.scope = RevocationScope::LeafOnly;
            let pool = std::slice::from_ref(&ca.certificate);
            let verdict = code(&validate(&**provider(), &anchors, &peer.certificate, pool, &status, &checks));
            let unknown = (mode == RevocationMode::HardFail).then_some(Code::RevocationUnknown);
            assert_eq!(verdict, if is_kept { Some(Code::Revoked) } else { unknown }, "{mode:?}");
        }
    }
}

fn indirect_list(signer: &Party, ca: &Party, peer: &Party) -> Arc<Crl> {
    let entry = [certificate_issuer(ca.certificate.subject())];
    CrlBuilder::of(signer)
        .scope(&[point_url("http://pki.example/lists.crl"), flag(INDIRECT)])
        .entry(peer.certificate.serial(), &entry)
        .build()
}
