//! Room in memory is shared by who has certified whom: a CA that makes others in a name of its choice, as many as it likes, pushes
//! out none of what is kept on another's word.

use std::sync::Arc;

use devid::Code;
use devid::asn1::pem;
use devid::client::StatusFetcher;
use devid::client::status::{StatusAnswer, StatusMemory, StatusQuestion};
use devid::store::Store;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    Checks, NameCheck, OcspResponse, PeerRequest, Purpose, RevocationMode, StatusPreference, StatusSources,
    TrustAnchors,
};

use super::certificates::{Builder, Party, now, provider, uri};
use super::status::{CrlBuilder, OcspBuilder, Single, point_name};
use super::{checks, code_of, later, options, pointing, texts};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];
const LIST: &str = "http://pki.example/ca.crl";

/// Where what is kept stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// In device memory; a new process for each meeting.
    Device,
    /// In one process.
    Process,
}

/// What the partner does with its CAs.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// How many CAs, and how many lists each.
    cas: usize,
    lists: usize,
    /// Whether each names a URL of its own, or all the genuine one.
    own_urls: bool,
    /// How many CAs of others stand between the root and both.
    depth: usize,
    /// After how many of them the genuine list comes.
    genuine_after: usize,
}

/// The genuine CA, and a partner beside it below the same CA.
struct World {
    root: Party,
    above: Vec<Party>,
    ca: Party,
    partner: Party,
    /// On the genuine list, and never met.
    revoked: Party,
    /// Certified by the genuine CA, and not on its list.
    good: Party,
    device: Option<Arc<Store>>,
    memory: Arc<StatusMemory>,
}

fn at(mode: RevocationMode) -> Checks {
    let mut checks = checks(now(), mode);
    checks.revocation.prefer = StatusPreference::Crl;
    checks
}

fn named(name: &str, url: &str, by: &Party) -> Party {
    pointing(Builder::leaf(name), &[url.to_owned()], &[], &[]).signed_by(by)
}

impl World {
    fn new(depth: usize, memory: Memory) -> Self {
        let root = Party::root("Root");
        let mut above = Vec::new();
        for level in 0..depth {
            let by = above.last().unwrap_or(&root);
            above.push(by.ca(&format!("level {level}")));
        }
        let by = above.last().unwrap_or(&root);
        let (ca, partner) = (by.ca("CA"), by.ca("partner"));
        let (revoked, good) = (named("revoked", LIST, &ca), named("good", LIST, &ca));
        let device = (memory == Memory::Device).then(|| Arc::new(Store::in_memory(provider().clone())));
        let memory = Arc::new(StatusMemory::new(provider().clone(), device.clone()));
        World { root, above, ca, partner, revoked, good, device, memory }
    }

    fn memory(&self) -> Arc<StatusMemory> {
        match &self.device {
            Some(_) => Arc::new(StatusMemory::new(provider().clone(), self.device.clone())),
            None => self.memory.clone(),
        }
    }

    fn anchors(&self) -> TrustAnchors {
        std::iter::once(self.root.certificate.clone()).collect()
    }

    /// A meeting with a peer that sends these, while the network serves this document, or nothing.
    fn meet(&self, leaf: &Party, sent: &[&Party], served: Option<Vec<u8>>, mode: RevocationMode) -> StatusAnswer {
        let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| match &served {
            Some(bytes) => Ok(Fetched::Document(Document { bytes: bytes.clone(), ..Document::default() })),
            None => Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody")),
        });
        let pool: Vec<_> = sent.iter().copied().chain(&self.above).map(|party| party.certificate.clone()).collect();
        let (anchors, known, checks) = (self.anchors(), StatusSources::none(), at(mode));
        let question =
            StatusQuestion { anchors: &anchors, leaf: &leaf.certificate, pool: &pool, known: &known, checks: &checks };
        let mut options = options();
        options.max_crl_bytes = 1024 * 1024;
        StatusFetcher::with_memory(provider().clone(), options, self.memory()).validate(&question, &mut fetch)
    }

    /// The genuine list comes, for a peer that is not on it and sends these.
    fn genuine_comes(&self, sent: &[&Party]) {
        let list = CrlBuilder::of(&self.ca).number(8).times(now().plus(-3600), Some(later(2)));
        let answer = self.meet(&self.good, sent, Some(list.revokes(&self.revoked).der()), RevocationMode::HardFail);
        assert!(answer.report.is_valid(), "{}", texts(&answer));
    }

    /// What device memory keeps of lists.
    fn records(&self) -> Vec<Vec<u8>> {
        let store = self.device.as_ref().unwrap();
        let names = store.blobs().unwrap().into_iter().filter(|name| name.starts_with("status-"));
        names.map(|name| store.blob(&name).unwrap().to_vec()).collect()
    }

    /// Lists of one more CA in the genuine one's name come, about a certificate of its own: later than the genuine one, and for longer.
    fn another_comes(&self, plan: &Plan, index: usize) {
        let other = self.partner.ca("CA");
        let url = if plan.own_urls { format!("http://x.example/{index}.crl") } else { LIST.to_owned() };
        let theirs = named("theirs", &url, &other);
        let lists: Vec<u8> = (0..plan.lists)
            .flat_map(|n| {
                let names = [url.clone(), format!("http://x.example/{n}")].map(|url| uri(&url));
                let list = CrlBuilder::of(&other).number(99).times(now().plus(-60), Some(later(900)));
                let list = list.scope(&[point_name(&names)]).revokes(&self.good);
                pem::encode("X509 CRL", &list.der()).as_bytes().to_vec()
            })
            .collect();
        // Over the network it comes as it likes to.
        let answer = self.meet(&theirs, &[&other, &self.partner], Some(lists), RevocationMode::SoftFail);
        assert!(answer.report.is_valid(), "{}", texts(&answer));
    }

    /// The verdict on what is kept, by a fetcher that gets nothing and by a validator, where the peer brings a good word from before.
    fn verdicts(&self, peer: &Party, mode: RevocationMode) -> [Option<Code>; 2] {
        let single = Single::good(&peer.certificate, &self.ca).times(now().plus(-36_000), Some(later(14)));
        let staple: Arc<OcspResponse> = OcspBuilder::by(&self.ca).says(single).build();
        let pool: Vec<_> =
            std::iter::once(&self.ca).chain(&self.above).map(|party| party.certificate.clone()).collect();
        let status = StatusSources { ocsp: vec![staple], ..StatusSources::none() };
        let request = PeerRequest {
            anchors: &self.anchors(),
            certificate: &peer.certificate,
            pool: &pool,
            status: &status,
            checks: at(mode),
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        let opened = self.memory().open_peer(provider(), request).unwrap().0;
        let fetched = self.meet(peer, &[&self.ca], None, mode);
        [opened.error().map(|error| error.code()), code_of(&fetched)]
    }

    fn play(&self, plan: &Plan) {
        for index in 0..=plan.cas {
            if index == plan.genuine_after {
                self.genuine_comes(&[&self.ca]);
            }
            if index < plan.cas {
                self.another_comes(plan, index);
            }
        }
        for mode in MODES {
            assert_eq!(self.verdicts(&self.good, mode), [None, None], "good, {mode:?}, {plan:?}");
        }
        for mode in MODES {
            assert_eq!(self.verdicts(&self.revoked, mode), [Some(Code::Revoked); 2], "revoked, {mode:?}, {plan:?}");
        }
    }
}

#[test]
fn any_number_of_cas_in_another_ones_name_push_its_list_out_of_nothing() {
    for memory in [Memory::Device, Memory::Process] {
        for (cas, lists) in [(0, 0), (5, 16), (70, 1)] {
            for own_urls in [false, true] {
                for (depth, genuine_after) in [(0, 0), (1, cas / 2), (0, cas)] {
                    let plan = Plan { cas, lists, own_urls, depth, genuine_after };
                    World::new(plan.depth, memory).play(&plan);
                }
            }
        }
    }
}

/// A list that came first for a peer with a path through the partner, who has certified the genuine CA's key once more.
#[test]
fn a_list_that_came_on_another_ones_word_first_is_not_left_to_that_one() {
    let world = World::new(0, Memory::Device);
    let cross = Builder::ca("CA").key(&world.ca.key).signed_by(&world.partner);
    world.genuine_comes(&[&cross, &world.partner]);
    let on_the_partners_word = world.records();
    assert_eq!(world.verdicts(&world.good, RevocationMode::HardFail), [None, None]);
    assert_ne!(world.records(), on_the_partners_word, "now it is on the root's word too");
    let plan = Plan { cas: 70, lists: 1, own_urls: false, depth: 0, genuine_after: 0 };
    (0..plan.cas).for_each(|index| world.another_comes(&plan, index));
    for mode in MODES {
        assert_eq!(world.verdicts(&world.revoked, mode), [Some(Code::Revoked); 2], "{mode:?}");
    }
}

#[test]
fn a_look_at_what_is_kept_writes_nothing() {
    let world = World::new(1, Memory::Device);
    world.genuine_comes(&[&world.ca]);
    let written = world.records();
    assert_eq!(written.len(), 1);
    for mode in MODES {
        world.verdicts(&world.good, mode);
    }
    assert_eq!(world.records(), written);
}
