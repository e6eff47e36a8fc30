//! Verdicts over a small PKI in which every signature is right: the input chooses who says what about whom, and what a peer
//! adds. No second implementation is needed: what is revoked stays not valid whatever a peer sends, and who is valid where a
//! status must be known is valid where it need not be.
#![no_main]
mod made;

use std::cell::OnceCell;
use std::sync::Arc;

use certificates::{Builder, Party, now, provider};
use devid::Code;
use devid::asn1::oid;
use devid::validation::{
    Checks, Crl, KeyUsage, OcspResponse, Report, RevocationMode, RevocationPolicy, RevocationScope, StatusSources,
    TrustAnchors, validate,
};
use devid_test_support::{certificates, status};
use libfuzzer_sys::fuzz_target;
use made::Choices;
use status::{CrlBuilder, ONLY_CA_CERTS, ONLY_USER_CERTS, OcspBuilder, Single, flag};

const DAY: i64 = 86_400;

/// Everybody who has a part, made once: a signature costs more than a verdict.
struct Cast {
    anchors: [Party; 2],
    /// middle, CA; earlier certificates of both, and one under the other anchor.
    cas: Vec<Party>,
    leaf: Party,
    signers: Vec<Party>,
    responders: Vec<Party>,
    /// What the peer makes itself, in the names of others.
    junk: Vec<Party>,
}

impl Cast {
    fn new() -> Self {
        let anchors = [Party::root("root"), Party::root("other root")];
        let middle = anchors[0].ca("middle");
        let ca = middle.ca("CA");
        let leaf = ca.leaf("leaf");
        let again = |party: &Party, name: &str, above: &Party| Builder::ca(name).key(&party.key).signed_by(above);
        let cas = vec![
            middle.clone(),
            ca.clone(),
            Builder::ca("middle").key(&middle.key).path_len(0).signed_by(&anchors[0]),
            again(&ca, "CA", &middle),
            again(&middle, "middle", &anchors[1]),
        ];
        let signer = |above: &Party| Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(above);
        let signers = vec![signer(&middle), signer(&anchors[0]), signer(&anchors[1])];
        let responder = |builder: Builder| builder.purposes(&[oid::KP_OCSP_SIGNING]).signed_by(&ca);
        let responders = vec![
            responder(Builder::leaf("responder")),
            responder(Builder::leaf("responder").with(oid::OCSP_NOCHECK, false, vec![5, 0])),
        ];
        let junk = vec![
            Builder::ca("CA").self_signed(),
            Builder::ca("root").self_signed(),
            Builder::ca("CA").signed_by(&leaf),
            Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]).signed_by(&leaf),
        ];
        Cast { anchors, cas, leaf, signers, responders, junk }
    }

    fn list(&self, choices: &mut Choices<'_>) -> Arc<Crl> {
        let signers: Vec<&Party> =
            self.anchors.iter().chain(&self.cas[..2]).chain(&self.signers).chain(&self.junk[..2]).collect();
        let mut list = CrlBuilder::of(signers[choices.below(signers.len())]).number(choices.below(6) as u64 + 2);
        let from = now().plus(-(choices.below(9) as i64) * DAY / 2);
        list = list.times(from, Some(from.plus((choices.below(8) as i64 + 1) * DAY)));
        match choices.below(6) {
            0 => list = list.scope(&[flag(ONLY_USER_CERTS)]),
            1 => list = list.scope(&[flag(ONLY_CA_CERTS)]),
            2 => list = list.delta_to(choices.below(4) as u64 + 1),
            3 => list = list.without(oid::CE_CRL_NUMBER),
            _ => {}
        }
        let subjects: Vec<&Party> = self.cas.iter().chain([&self.leaf]).chain(&self.signers).chain(&self.responders).collect();
        for _ in 0..choices.below(3) {
            list = list.revokes_for(subjects[choices.below(subjects.len())], [1, 4, 6, 8][choices.below(4)]);
        }
        list.build()
    }

    fn response(&self, choices: &mut Choices<'_>) -> Arc<OcspResponse> {
        let by: Vec<&Party> = self.responders.iter().chain([&self.cas[1], &self.junk[0], &self.junk[3]]).collect();
        let by = by[choices.below(by.len())];
        let from = now().plus(-(choices.below(9) as i64) * DAY / 2);
        let mut single = Single::good(&self.leaf.certificate, &self.cas[1]);
        single = single.times(from, Some(from.plus((choices.below(20) as i64 + 1) * DAY)));
        single = match choices.below(3) {
            0 => single.revoked(1),
            1 => single.unknown(),
            _ => single,
        };
        let builder = if choices.maybe() { OcspBuilder::delegated(by) } else { OcspBuilder::by(by) };
        builder.says(single).build()
    }

    fn judge(&self, pool: &[&Party], crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>], mode: RevocationMode, scope: RevocationScope) -> Report {
        let anchors: TrustAnchors = self.anchors.iter().map(|p| p.certificate.clone()).collect();
        let pool: Vec<_> = pool.iter().map(|p| p.certificate.clone()).collect();
        let status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        let mut checks = Checks::at(now());
        checks.revocation = RevocationPolicy { mode, scope, ..RevocationPolicy::hard_fail() };
        validate(&**provider(), &anchors, &self.leaf.certificate, &pool, &status, &checks)
    }
}

thread_local! {
    static CAST: OnceCell<Cast> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    CAST.with(|cast| run(cast.get_or_init(Cast::new), &mut Choices::of(input)));
});

fn run(cast: &Cast, choices: &mut Choices<'_>) {
    let scope = [RevocationScope::WholeChain, RevocationScope::LeafOnly][choices.below(2)];
    let mut crls: Vec<Arc<Crl>> = (0..choices.below(4)).map(|_| cast.list(choices)).collect();
    let mut ocsp: Vec<Arc<OcspResponse>> = (0..choices.below(3)).map(|_| cast.response(choices)).collect();
    let own: Vec<&Party> = cast.cas[..2].iter().chain(&cast.signers).chain(&cast.responders).collect();
    let verdict = |pool: &[&Party], crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>]| {
        let soft = cast.judge(pool, crls, ocsp, RevocationMode::SoftFail, scope);
        let hard = cast.judge(pool, crls, ocsp, RevocationMode::HardFail, scope);
        assert!(soft.is_valid() || !hard.is_valid(), "valid where a status is needed, and not where it is not");
        (soft, hard)
    };
    let (soft, hard) = verdict(&own, &crls, &ocsp);
    // The leaf: around a CA's certificate that is revoked, another of the same CA may lead.
    let is_revoked =
        |report: &Report| report.findings().iter().any(|f| f.fatal && f.code == Code::Revoked && f.certificate_index == Some(0));

    // What a peer adds: certificates, genuine and its own, before and behind, many times; a genuine good word from before.
    let mut sent = own.clone();
    for _ in 0..choices.below(40) {
        let genuine = choices.maybe();
        let list = if genuine { &cast.cas } else { &cast.junk };
        sent.insert(choices.below(sent.len() + 1), &list[choices.below(list.len())]);
    }
    let forged = CrlBuilder::of(&cast.junk[choices.below(2)]).number(99).build();
    if choices.maybe() {
        crls.insert(choices.below(crls.len() + 1), forged);
    }
    if choices.maybe() {
        let from = now().plus(-20 * DAY);
        let old = Single::good(&cast.leaf.certificate, &cast.cas[1]).times(from, Some(now().plus(30 * DAY)));
        ocsp.insert(choices.below(ocsp.len() + 1), OcspBuilder::by(&cast.cas[1]).says(old).build());
    }
    let (soft_after, hard_after) = verdict(&sent, &crls, &ocsp);
    assert!(!is_revoked(&soft) || !soft_after.is_valid(), "soft: {:?}", soft.findings());
    assert!(!is_revoked(&hard) || !hard_after.is_valid(), "hard: {:?}", hard.findings());
    assert!(!is_revoked(&soft) || !hard_after.is_valid(), "hard after soft: {:?}", soft.findings());
}
