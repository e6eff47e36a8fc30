//! Relations between verdicts over generated PKIs: no second implementation is needed, only how a verdict may change when
//! its inputs do.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::status::{StatusMemory, StatusQuestion};
use devid::client::{StatusFetcher, StatusOptions};
use devid::store::Store;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    Crl, KeyUsage, NameCheck, OcspResponse, PeerKey, PeerRequest, Purpose, Report, RevocationMode, StatusSources,
    TrustAnchors, validate,
};

use crate::certificates::{Builder, Party, date, now, provider};
use crate::status::{CrlBuilder, OcspBuilder, Single};
use crate::{MODES, judge};

/// A generator of numbers with a seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn maybe(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

pub struct World {
    anchors: Vec<Party>,
    pub leaf: Party,
    pub issuer: Party,
    pool: Vec<Party>,
    /// Other genuine certificates of the CAs in the pool, which a peer may send beside or before the ones that it needs.
    earlier: Vec<Party>,
    /// Signers of lists in the issuer's name, at hand with the verifier's own.
    signers: Vec<Party>,
    pub crls: Vec<Arc<Crl>>,
    pub ocsp: Vec<Arc<OcspResponse>>,
    /// The same responses as they are sent.
    pub responses: Vec<Vec<u8>>,
}

impl World {
    pub fn random(dice: &mut Dice) -> Self {
        let mut anchors = vec![Party::root("r0")];
        let mut pool: Vec<Party> = Vec::new();
        for depth in 0..dice.below(3) {
            let ca = pool.last().unwrap_or(&anchors[0]).ca(&format!("c{depth}"));
            pool.push(ca);
        }
        let issuer = pool.last().unwrap_or(&anchors[0]).clone();
        if dice.maybe(40) && !pool.is_empty() {
            anchors.push(Party::root("r1"));
            let cross = Builder::ca("c0").key(&pool[0].key).signed_by(&anchors[1]);
            pool.push(cross);
        }
        let leaf = issuer.leaf("leaf");
        let (earlier, signers) = (Vec::new(), Vec::new());
        let (crls, ocsp, responses) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = World { anchors, leaf, issuer, pool, earlier, signers, crls, ocsp, responses };
        world.add_relatives(dice);
        world.add_status(dice);
        world
    }

    /// Earlier certificates of CAs, with or without room below them, and signers of lists with keys of their own.
    fn add_relatives(&mut self, dice: &mut Dice) {
        let parents: Vec<Party> = std::iter::once(self.anchors[0].clone()).chain(self.pool.iter().cloned()).collect();
        for (depth, ca) in self
            .pool
            .iter()
            .enumerate()
            .filter(|(depth, ca)| ca.certificate.issuer() == parents[*depth].certificate.subject())
        {
            if dice.maybe(30) {
                let name = format!("c{depth}");
                let mut builder = Builder::ca(&name).key(&ca.key);
                if dice.maybe(50) {
                    builder = builder.path_len(0);
                }
                self.earlier.push(Self::written_otherwise(builder, dice).signed_by(&parents[depth]));
            }
        }
        if let Some(other) = self.anchors.get(1).filter(|_| dice.maybe(50)) {
            let cross = Builder::ca("c0").key(&self.pool[0].key);
            self.earlier.push(Self::written_otherwise(cross, dice).signed_by(other));
        }
        if dice.maybe(35) && self.issuer.certificate.subject() != self.issuer.certificate.issuer() {
            let above = parents.iter().find(|p| p.certificate.subject() == self.issuer.certificate.issuer());
            if let Some(above) = above {
                let mut builder = Builder::leaf("X").subject(self.issuer.certificate.subject().to_vec());
                builder = builder.key_usage(&[KeyUsage::CrlSign]);
                if dice.maybe(25) {
                    builder = builder.valid(date(2020, 1, 1), now().plus(-3600));
                }
                self.signers.push(builder.signed_by(above));
            }
        }
    }

    /// The same key in another form, or with less in keyUsage.
    fn written_otherwise(mut builder: Builder, dice: &mut Dice) -> Builder {
        if dice.maybe(40) {
            builder = builder.compressed();
        }
        if dice.maybe(30) {
            builder = builder.key_usage(&[KeyUsage::KeyCertSign]);
        }
        builder
    }

    fn add_status(&mut self, dice: &mut Dice) {
        let issuers: Vec<Party> = self.anchors.iter().chain(&self.pool).cloned().collect();
        for issuer in &issuers {
            let is_cross = issuer.certificate.issuer() == self.anchors.last().unwrap().certificate.subject();
            if dice.maybe(80)
                && !(is_cross && self.anchors.len() > 1 && issuer.certificate.subject() != issuer.certificate.issuer())
            {
                let mut list = CrlBuilder::of(issuer).number(10);
                for earlier in &self.earlier {
                    if earlier.certificate.issuer() == issuer.certificate.subject() && dice.maybe(50) {
                        list = list.revokes_for(earlier, 4);
                    }
                }
                if issuer.certificate.subject() == issuer.certificate.issuer() && dice.maybe(20) {
                    // About users alone: nothing is known of CAs and signers.
                    list = list.scope(&[crate::status::flag(crate::status::ONLY_USER_CERTS)]);
                }
                if issuer.certificate.subject() == self.issuer.certificate.subject() && dice.maybe(40) {
                    list = list.revokes(&self.leaf);
                }
                self.crls.push(list.build());
            }
        }
        for signer in &self.signers {
            let list = CrlBuilder::of(signer).number(7).times(now().plus(-7200), Some(now().plus(86_400)));
            self.crls.push(if dice.maybe(60) { list.revokes(&self.leaf) } else { list }.build());
        }
        if dice.maybe(30) {
            let mut single = Single::good(&self.leaf.certificate, &self.issuer);
            if dice.maybe(40) {
                single = single.revoked(1);
            }
            let der = OcspBuilder::by(&self.issuer).says(single).der();
            self.ocsp.push(Arc::new(OcspResponse::from_der(&der).unwrap()));
            self.responses.push(der);
        }
    }

    pub fn sent(&self) -> Vec<&Party> {
        std::iter::once(&self.leaf).chain(&self.pool).chain(&self.signers).collect()
    }

    pub fn anchors(&self) -> Vec<&Party> {
        self.anchors.iter().collect()
    }

    /// What a peer can make by its own keys, in the names of others.
    fn junk(&self, dice: &mut Dice) -> Party {
        let names = ["r0", "c0", "c1", "leaf", "X"];
        let builder = match dice.below(2) {
            0 => Builder::ca(names[dice.below(names.len())]),
            _ => Builder::leaf(names[dice.below(names.len())]),
        };
        match dice.below(3) {
            0 => builder.self_signed(),
            1 => builder.signed_by(&self.leaf),
            _ => builder.key(&self.issuer.key).signed_by(&self.leaf),
        }
    }
}

/// The other doors: the gate to a key, a fetcher that nobody answers, its memory, and what is kept from one question to the
/// next. Each has the same facts and answers the same.
fn through_other_doors(world: &World, sent: &[&Party], mode: RevocationMode) -> Vec<(&'static str, bool)> {
    let anchors: TrustAnchors = world.anchors.iter().map(|p| p.certificate.clone()).collect();
    let pool: Vec<Certificate> = sent[1..].iter().map(|p| p.certificate.clone()).collect();
    let status = StatusSources { crls: world.crls.clone(), ocsp: world.ocsp.clone(), ..StatusSources::none() };
    let (leaf, checks) = (&world.leaf.certificate, crate::checks(mode));
    let request = || PeerRequest {
        anchors: &anchors,
        certificate: leaf,
        pool: &pool,
        status: &status,
        checks: checks.clone(),
        purpose: Purpose::Any,
        names: NameCheck::NotChecked,
        use_until: None,
    };
    let question = StatusQuestion { anchors: &anchors, leaf, pool: &pool, known: &status, checks: &checks };
    let mut nobody = FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
        Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody"))
    });
    let store = Arc::new(Store::in_memory(provider().clone()));
    let mut fetcher = StatusFetcher::with_store(provider().clone(), StatusOptions::default(), store);
    let first = fetcher.validate(&question, &mut nobody).report.is_valid();
    let again = fetcher.validate(&question, &mut nobody).report.is_valid();
    let memory = fetcher.memory().clone();
    let gate = PeerKey::open(provider(), request()).unwrap();
    assert_eq!(gate.0.is_valid(), gate.1.is_some(), "the key is there exactly when the verdict is positive");
    vec![
        ("gate", gate.1.is_some()),
        ("fetcher", first),
        ("fetcher again", again),
        ("memory", memory.open_peer(provider(), request()).unwrap().1.is_some()),
    ]
}

fn count() -> u64 {
    std::env::var("DEVID_ADVERSARY_PKIS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
}

#[test]
fn verdicts_change_only_as_they_may() {
    let (mut valid, mut revoked) = (0, 0);
    for seed in 0..count() {
        let mut dice = Dice(seed);
        let world = World::random(&mut dice);
        let mode = MODES[dice.below(2)];
        let base = judge(&world.anchors(), &world.sent(), &world.crls, &world.ocsp, mode);
        let is_revoked = base.error().is_some_and(|e| e.code() == devid::Code::Revoked);
        valid += u32::from(base.is_valid());
        revoked += u32::from(is_revoked);

        if seed % 4 == 0 {
            for (door, is_open) in through_other_doors(&world, &world.sent(), mode) {
                assert_eq!(is_open, base.is_valid(), "seed {seed}: {door}: {:?}", base.findings());
            }
        }

        // Where no status is wanted the same are refused as where a missing one is taken, by every door.
        let off = judge(&world.anchors(), &world.sent(), &world.crls, &world.ocsp, RevocationMode::Off);
        let soft = judge(&world.anchors(), &world.sent(), &world.crls, &world.ocsp, RevocationMode::SoftFail);
        let code = |report: &Report| report.error().map(|error| error.code());
        assert_eq!(code(&off), code(&soft), "seed {seed}: {:?} and {:?}", off.findings(), soft.findings());
        if seed % 4 == 1 {
            for (door, is_open) in through_other_doors(&world, &world.sent(), RevocationMode::Off) {
                assert_eq!(is_open, off.is_valid(), "seed {seed}: {door}, off: {:?}", off.findings());
            }
        }

        // Order and duplicates change nothing.
        let (mut pool, mut crls, mut anchors) = (world.sent()[1..].to_vec(), world.crls.clone(), world.anchors());
        if !pool.is_empty() {
            pool.push(pool[dice.below(pool.len())]);
        }
        crls.extend(world.crls.first().cloned());
        dice.shuffle(&mut pool);
        dice.shuffle(&mut crls);
        dice.shuffle(&mut anchors);
        let sent: Vec<&Party> = std::iter::once(&world.leaf).chain(pool).collect();
        let other = judge(&anchors, &sent, &crls, &world.ocsp, mode);
        assert_eq!(other.is_valid(), base.is_valid(), "seed {seed}: {:?} and {:?}", base.findings(), other.findings());

        // What is not valid stays so whatever a peer adds that it can make itself.
        let junk: Vec<Party> = (0..[0, 1, 5, 20][dice.below(4)]).map(|_| world.junk(&mut dice)).collect();
        let mut sent: Vec<&Party> = world.sent()[1..].iter().copied().chain(&junk).collect();
        dice.shuffle(&mut sent);
        sent.insert(0, &world.leaf);
        let forger = Builder::ca("c0").self_signed();
        let forged = CrlBuilder::of(&forger).number(99_999).build();
        let staple = OcspBuilder::by(&forger).says(Single::good(&world.leaf.certificate, &world.issuer)).build();
        let with = judge(
            &world.anchors(),
            &sent,
            &[&[forged][..], &world.crls].concat(),
            &[&[staple][..], &world.ocsp].concat(),
            mode,
        );
        assert!(base.is_valid() || !with.is_valid(), "seed {seed}: {:?}", base.findings());
        // Doubt is no permission: who is valid where a status is needed is valid where it is not.
        if mode == RevocationMode::HardFail && base.is_valid() {
            let soft = judge(&world.anchors(), &world.sent(), &world.crls, &world.ocsp, RevocationMode::SoftFail);
            assert!(soft.is_valid(), "seed {seed}: {:?}", soft.findings());
        }
        if is_revoked {
            // Genuine certificates of the same CAs, before or behind the others, and a genuine good word from before.
            let mut sent = world.sent();
            for earlier in &world.earlier {
                sent.insert(1 + dice.below(sent.len()), earlier);
            }
            let from = now().plus(-20 * 3600);
            let word = Single::good(&world.leaf.certificate, &world.issuer).times(from, Some(now().plus(9 * 86_400)));
            let word = OcspBuilder::by(&world.issuer).says(word).build();
            for ocsp in [&world.ocsp[..], &[&[word.clone()][..], &world.ocsp].concat()] {
                for mode in MODES {
                    let with = judge(&world.anchors(), &sent, &world.crls, ocsp, mode);
                    assert!(!with.is_valid(), "seed {seed} {mode:?}: {:?}", base.findings());
                }
            }
            // What was found is known at the next meeting, when nothing but that good word is at hand.
            let memory = StatusMemory::new(provider().clone(), None);
            let meet = |sent: &[&Party], crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>]| {
                let anchors: TrustAnchors = world.anchors.iter().map(|p| p.certificate.clone()).collect();
                let pool: Vec<Certificate> = sent[1..].iter().map(|p| p.certificate.clone()).collect();
                let mut status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
                memory.join(&mut status);
                let checks = crate::checks(mode);
                validate(&**provider(), &anchors, &world.leaf.certificate, &pool, &status, &checks).is_valid()
            };
            assert!(!meet(&world.sent(), &world.crls, &world.ocsp), "seed {seed}");
            for sent in [&sent, &world.sent()] {
                assert!(!meet(sent, &[], std::slice::from_ref(&word)), "seed {seed} {mode:?}: {:?}", base.findings());
            }
            // Older genuine news takes nothing back.
            let old =
                CrlBuilder::of(&world.issuer).number(9).times(now().plus(-7200), Some(now().plus(86_400))).build();
            let with = judge(&world.anchors(), &world.sent(), &[&[old][..], &world.crls].concat(), &world.ocsp, mode);
            assert!(!with.is_valid(), "seed {seed}");
        }

        // A list that revokes ends every positive verdict, whatever its number or kind.
        let lists = [
            CrlBuilder::of(&world.issuer).number(20),
            CrlBuilder::of(&world.issuer).number(3),
            CrlBuilder::of(&world.issuer).number(3).scope(&[crate::status::flag(1)]),
            CrlBuilder::of(&world.issuer).number(20).delta_to(10),
        ];
        let revoking = lists[dice.below(lists.len())].clone().revokes(&world.leaf).build();
        let with = judge(&world.anchors(), &sent, &[&world.crls[..], &[revoking]].concat(), &world.ocsp, mode);
        assert!(!with.is_valid(), "seed {seed}");
    }
    assert!(valid > 50 && revoked > 50, "the generator makes both: {valid} valid, {revoked} revoked");
}

/// What a partner CA below an anchor can make: the names and keys of other CAs certified once more, signers of lists in their names, and
/// lists of those.
struct Partner {
    certificates: Vec<Party>,
    lists: Vec<Arc<Crl>>,
}

impl Partner {
    fn of(world: &World, dice: &mut Dice) -> Self {
        let partner = world.anchors[0].ca("p");
        let mut certificates = vec![partner.clone()];
        let mut lists = Vec::new();
        for (name, ca) in std::iter::once(("r0", &world.anchors[0]))
            .chain(["c0", "c1"].into_iter().zip(&world.pool))
            .filter(|(_, ca)| ca.certificate.subject() != partner.certificate.subject())
        {
            certificates.push(Builder::ca(name).key(&ca.key).signed_by(&partner));
            // Below the partner, or between it and the CA whose key it has certified.
            let signer = Builder::ca(name).signed_by(&partner);
            let list = CrlBuilder::of(&signer).number(99).times(now().plus(-60), Some(now().plus(86_400)));
            let list = match dice.below(3) {
                0 => list,
                1 => list.revokes(&world.leaf),
                _ => list.revokes(&world.leaf).revokes(&world.issuer),
            };
            lists.push(list.build());
            certificates.push(signer);
        }
        dice.shuffle(&mut certificates);
        Partner { certificates, lists }
    }
}

/// Another CA below the same anchor clears nobody of whom the genuine one says something else, and what it says against others is not
/// remembered where its list would not be believed.
#[test]
fn a_partner_ca_speaks_for_nobody_elses_devices() {
    let (mut refused, mut remembered) = (0, 0);
    for seed in 0..count() / 4 {
        let mut dice = Dice(7_000_000 + seed);
        let mut world = World::random(&mut dice);
        if world.anchors.len() > 1 {
            continue;
        }
        if dice.maybe(50) {
            // On hold by the issuer itself.
            let list = CrlBuilder::of(&world.issuer).number(11).times(now().plus(-7200), Some(now().plus(86_400)));
            world.crls = vec![list.revokes_for(&world.leaf, 6).build()];
            world.ocsp.clear();
        }
        let partner = Partner::of(&world, &mut dice);
        let anchors: TrustAnchors = world.anchors.iter().map(|p| p.certificate.clone()).collect();
        for mode in [RevocationMode::Off, RevocationMode::SoftFail, RevocationMode::HardFail] {
            let memory = StatusMemory::new(provider().clone(), None);
            let meet =
                |sent: &[&Party], crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>], memory: Option<&StatusMemory>| {
                    let pool: Vec<Certificate> = sent.iter().map(|p| p.certificate.clone()).collect();
                    let mut status =
                        StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
                    memory.into_iter().for_each(|memory| memory.join(&mut status));
                    let checks = crate::checks(mode);
                    validate(&**provider(), &anchors, &world.leaf.certificate, &pool, &status, &checks)
                };
            let code = |report: &Report| report.error().map(|error| error.code());
            let genuine = world.sent()[1..].to_vec();
            let base = meet(&genuine, &world.crls, &world.ocsp, None);
            let with: Vec<&Party> = if dice.maybe(50) {
                genuine.iter().copied().chain(&partner.certificates).collect()
            } else {
                partner.certificates.iter().chain(genuine.iter().copied()).collect()
            };
            let all = [&world.crls[..], &partner.lists].concat();
            if code(&base) == Some(devid::Code::Revoked) {
                refused += 1;
                let found = meet(&with, &all, &world.ocsp, Some(&memory));
                assert_eq!(code(&found), code(&base), "seed {seed} {mode:?}: {:?}", found.findings());
                // On the partner's path alone what counts is the issuer's own word, and its anchor's.
                let found = meet(&partner.certificates.iter().collect::<Vec<_>>(), &all, &world.ocsp, Some(&memory));
                assert!(
                    !found.is_valid() || !world.signers.is_empty(),
                    "seed {seed} {mode:?}: without the genuine path"
                );
                // Nor by what was written down, with a good word from before.
                let from = now().plus(-20 * 3600);
                let word = Single::good(&world.leaf.certificate, &world.issuer).times(from, Some(now().plus(86_400)));
                let word = [OcspBuilder::by(&world.issuer).says(word).build()];
                let found = meet(&with, &partner.lists, &word, Some(&memory));
                assert!(!found.is_valid(), "seed {seed} {mode:?}: {:?}", base.findings());
                assert!(!meet(&genuine, &[], &word, Some(&memory)).is_valid(), "seed {seed} {mode:?}");
            } else {
                // Shown to the device in any way, and gone again.
                meet(&with, &all, &world.ocsp, Some(&memory));
                meet(&partner.certificates.iter().collect::<Vec<_>>(), &partner.lists, &[], Some(&memory));
                remembered += 1;
                let found = meet(&genuine, &world.crls, &world.ocsp, Some(&memory));
                assert_eq!(found.is_valid(), base.is_valid(), "seed {seed} {mode:?}: {:?}", found.findings());
            }
        }
    }
    assert!(refused > 20 && remembered > 20, "both are there: {refused}, {remembered}");
}
