//! What is kept against a peer is not forgotten: not for another form of its certificate, an older word, a list of another
//! kind, or a forged one; and a bound that ends a search is not taken for its end.

use std::sync::{Arc, Mutex};

use devid::Code;
use devid::asn1::der::{Cursor, element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::{Certificate, assemble_signed};
use devid::client::StatusFetcher;
use devid::client::status::{
    CrlSubject, FetchOutcome, OcspNonce, StatusAnswer, StatusMemory, StatusQuestion, keep_crl,
};
use devid::store::Store;
use devid::time::Time;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, TransportError};
use devid::validation::{
    Checks, NameCheck, OcspResponse, PeerRequest, Purpose, RevocationMode, RevocationScope, StatusPreference,
    StatusSources, TrustAnchors,
};

use super::certificates::{Builder, Party, key};
use super::status::{CrlBuilder, ONLY_USER_CERTS, OcspBuilder, Single, flag, point_url, points};
use super::{DAY, checks, code_of, later, now, options, pointing, provider, texts};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];
const LIST: &str = "http://pki.example/ca.crl";
/// certificateHold
const ON_HOLD: u8 = 6;
const RESPONDER: &str = "http://ocsp.example/";

/// A fetch that serves what the cell holds at each time; without, nobody answers.
type Wire = Arc<Mutex<Option<Vec<u8>>>>;

fn serving(wire: &Wire) -> impl FnMut(&FetchRequest<'_>, &ExchangeLimits) -> Result<Fetched, TransportError> {
    let wire = wire.clone();
    move |_, _| match wire.lock().unwrap().clone() {
        Some(bytes) => Ok(Fetched::Document(Document { bytes, ..Document::default() })),
        None => Err(TransportError::new(
            devid::transport::TransportErrorKind::Connect,
            devid::transport::Phase::Connect,
            "no network",
        )),
    }
}

/// A device with memory, and a peer with this certificate under the root.
struct Device {
    root: Party,
    peer: Party,
    store: Arc<Store>,
    wire: Wire,
}

impl Device {
    fn meeting(change: impl FnOnce(Builder) -> Builder) -> Self {
        let root = Party::root("Root");
        let peer = change(Builder::leaf("peer")).signed_by(&root);
        Device { root, peer, store: Arc::new(Store::in_memory(provider().clone())), wire: Wire::default() }
    }

    fn anchors(&self) -> TrustAnchors {
        std::iter::once(self.root.certificate.clone()).collect()
    }

    fn sends(&self, bytes: Option<Vec<u8>>) {
        *self.wire.lock().unwrap() = bytes;
    }

    /// A validation with fetching, as of a day; a new process each time.
    fn ask(
        &self,
        leaf: &Certificate,
        pool: &[Certificate],
        staple: &[Arc<OcspResponse>],
        checks: &Checks,
    ) -> StatusAnswer {
        let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), self.store.clone());
        fetcher.options_mut().nonce = OcspNonce::Unused;
        let known = StatusSources { ocsp: staple.to_vec(), ..StatusSources::none() };
        let anchors = self.anchors();
        let question = StatusQuestion { anchors: &anchors, leaf, pool, known: &known, checks };
        fetcher.validate(&question, &mut FetchFn(serving(&self.wire)))
    }

    /// A validation by what is kept alone.
    fn recall(&self, leaf: &Certificate, staple: &[Arc<OcspResponse>], checks: &Checks) -> Option<Code> {
        let memory = Arc::new(StatusMemory::new(provider().clone(), Some(self.store.clone())));
        let (anchors, status) = (self.anchors(), StatusSources { ocsp: staple.to_vec(), ..StatusSources::none() });
        let request = PeerRequest {
            anchors: &anchors,
            certificate: leaf,
            pool: &[],
            status: &status,
            checks: checks.clone(),
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        memory.open_peer(provider(), request).unwrap().0.error().map(|error| error.code())
    }

    fn says(&self, revoked: bool, from: Time, to: Time) -> OcspBuilder {
        let single = Single::good(&self.peer.certificate, &self.root).times(from, Some(to));
        OcspBuilder::by(&self.root).says(if revoked { single.revoked(1) } else { single })
    }

    /// Not for good: what is kept of it is the document alone.
    fn holds(&self, from: Time, to: Time) -> OcspBuilder {
        let single = Single::good(&self.peer.certificate, &self.root).times(from, Some(to));
        OcspBuilder::by(&self.root).says(single.revoked(ON_HOLD))
    }

    /// A genuine word from before the revocation.
    fn old_good(&self) -> OcspBuilder {
        self.says(false, now().plus(-36_000), later(14))
    }
}

fn at(day: i64, mode: RevocationMode, prefer: StatusPreference) -> Checks {
    let mut checks = checks(later(day), mode);
    checks.revocation.prefer = prefer;
    checks
}

/// The same certificate with the other of the two ECDSA signatures that are equal, (r, n - s): anybody can make it.
fn twin(certificate: &Certificate) -> Certificate {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut parts = Cursor::sequence(certificate.signature(), "Ecdsa-Sig-Value").unwrap();
    let r = parts.any("r").unwrap().bytes.to_vec();
    let s = parts.any("s").unwrap().value;
    let mut digits = [0u8; 33];
    digits[33 - s.len()..].copy_from_slice(s);
    let mut other = vec![0u8; 32];
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let digit = i16::from(ORDER[i]) - i16::from(digits[i + 1]) - borrow;
        borrow = i16::from(digit < 0);
        other[i] = (digit & 0xff) as u8;
    }
    while other.len() > 1 && other[0] == 0 {
        other.remove(0);
    }
    if other[0] & 0x80 != 0 {
        other.insert(0, 0);
    }
    let signature = sequence(&[&r, &element(0x02, &[&other])]);
    let made = assemble_signed(certificate.tbs(), certificate.signature_algorithm(), &signature);
    Certificate::from_der(&made).unwrap()
}

#[test]
fn another_form_of_the_same_certificate_is_the_same_peer() {
    let device = Device::meeting(|b| pointing(b, &[], &[RESPONDER.to_owned()], &[]));
    let (leaf, twin) = (&device.peer.certificate, twin(&device.peer.certificate));
    assert_ne!(leaf, &twin);
    device.sends(Some(device.says(true, now().plus(-3600), later(2)).der()));
    for mode in MODES {
        let checks = at(0, mode, StatusPreference::Ocsp);
        assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks)), Some(Code::Revoked));
        device.sends(None);
        for form in [leaf, &twin] {
            let staple = [device.old_good().build()];
            assert_eq!(code_of(&device.ask(form, &[], &staple, &checks)), Some(Code::Revoked));
            assert_eq!(device.recall(form, &staple, &checks), Some(Code::Revoked));
            assert_eq!(device.recall(form, &[], &checks), Some(Code::Revoked));
        }
    }
    // Without what is kept the twin is as good as the other: it is the memory that speaks.
    let stranger = Device { store: Arc::new(Store::in_memory(provider().clone())), ..device };
    let staple = [stranger.old_good().build()];
    assert_eq!(stranger.recall(&twin, &staple, &at(0, RevocationMode::HardFail, StatusPreference::Ocsp)), None);
}

#[test]
fn an_older_answer_that_is_played_back_replaces_no_newer_one() {
    for mode in MODES {
        let device = Device::meeting(|b| pointing(b, &[], &[RESPONDER.to_owned()], &[]));
        let leaf = &device.peer.certificate;
        let checks = |day| at(day, mode, StatusPreference::Ocsp);
        device.sends(Some(device.holds(now().plus(-3600), later(2)).der()));
        assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(0))), Some(Code::Revoked));
        // The kept one is out of date by now, and the older one is not.
        device.sends(Some(device.old_good().der()));
        let answer = device.ask(leaf, &[], &[], &checks(3));
        assert_eq!(code_of(&answer), Some(Code::Revoked), "{}", texts(&answer));
        let is_refused =
            |outcome: &FetchOutcome| matches!(outcome, FetchOutcome::NotStored(e) if e.code() == Code::CrlRollback);
        assert!(answer.log.iter().any(|event| is_refused(&event.outcome)));
        device.sends(None);
        assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(3))), Some(Code::Revoked));
        assert_eq!(device.recall(leaf, &[], &checks(3)), Some(Code::Revoked));
        // A newer word of the same responder is taken: the hold was lifted.
        device.sends(Some(device.says(false, later(3), later(9)).der()));
        assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(4))), None);
        assert_eq!(device.recall(leaf, &[], &checks(4)), None);
    }
}

#[test]
fn a_kept_list_that_revokes_gives_way_to_none_that_says_less() {
    let hour = 3600;
    type Change = fn(CrlBuilder) -> CrlBuilder;
    let newer: Change = |list| list.times(now().plus(-3600), Some(now().plus(9 * DAY)));
    let older: Change = |list| list.times(now().plus(-108_000), Some(now().plus(9 * DAY)));
    let user = |list: CrlBuilder| list.scope(&[flag(ONLY_USER_CERTS)]);
    let unnumbered = |list: CrlBuilder| list.without(oid::CE_CRL_NUMBER);
    for url in [None, Some(LIST)] {
        let device = || {
            Device::meeting(|b| match url {
                Some(url) => b.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&[point_url(url)]])),
                None => b,
            })
        };
        let case_of = |reason: u8,
                       first: &dyn Fn(CrlBuilder) -> CrlBuilder,
                       second: &dyn Fn(CrlBuilder) -> CrlBuilder| {
            let device = device();
            let anchors = device.anchors();
            let about =
                CrlSubject { certificate: &device.peer.certificate, intermediates: &[], anchors: &anchors, at: now() };
            let keep =
                |list: CrlBuilder| keep_crl(provider(), &device.store, &list.der(), &about).err().map(|e| e.code());
            let first = keep(first(newer(CrlBuilder::of(&device.root))).revokes_for(&device.peer, reason));
            assert_eq!(first, Some(Code::Revoked));
            let second = keep(second(CrlBuilder::of(&device.root)));
            let verdict = |mode| device.recall(&device.peer.certificate, &[], &at(0, mode, StatusPreference::Crl));
            (second, MODES.map(verdict))
        };
        // On hold: the documents alone decide.
        let case = |first: &dyn Fn(CrlBuilder) -> CrlBuilder, second: &dyn Fn(CrlBuilder) -> CrlBuilder| {
            case_of(ON_HOLD, first, second)
        };
        let revoked = [Some(Code::Revoked); 2];
        let number = |number| move |list: CrlBuilder| list.number(number);
        assert_eq!(case(&number(8), &|l| older(l.number(7))), (Some(Code::CrlRollback), revoked), "an older number");
        assert_eq!(case(&unnumbered, &|l| older(unnumbered(l))).1, revoked, "no numbers");
        assert_eq!(case(&|l| user(l.number(8)), &|l| older(l.number(7))).1, revoked, "users, then all, older");
        assert_eq!(case(&number(8), &|l| user(older(l.number(3)))).1, revoked, "all, then users, older");
        assert_eq!(case(&unnumbered, &|l| older(l.number(7))).1, revoked, "without a number, then an older one with");
        let delta =
            |l: CrlBuilder| newer(l.number(9).delta_to(8)).times(now().plus(-hour / 2), Some(now().plus(9 * DAY)));
        assert_eq!(case(&number(8), &delta).1, revoked, "a delta says less than a list");
        // The CA's own later word counts: it takes the place of the other, and of lists about some certificates too.
        assert_eq!(case(&number(8), &|l| l.number(9).times(now(), Some(now().plus(DAY)))), (None, [None; 2]));
        assert_eq!(
            case(&|l| user(l.number(8)), &|l| l.number(9).times(now(), Some(now().plus(DAY)))),
            (None, [None; 2])
        );
        // For good: no later word takes it back.
        let later_word = case_of(1, &number(8), &|l| l.number(9).times(now(), Some(now().plus(DAY))));
        assert_eq!(later_word, (Some(Code::Revoked), revoked));
    }
}

#[test]
fn a_list_that_the_peer_signed_itself_is_not_kept_in_place_of_one_that_revokes() {
    for (mode, prefer) in MODES.into_iter().flat_map(|m| [(m, StatusPreference::Ocsp), (m, StatusPreference::Crl)]) {
        let device = Device::meeting(|b| pointing(b, &[LIST.to_owned()], &[], &[]));
        let leaf = &device.peer.certificate;
        let fake = Builder::ca("Root").self_signed();
        let responder = Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]).signed_by(&device.root);
        // A responder whose own status is not known: the device asks for the list once more.
        let word = Single::good(leaf, &device.root).times(now().plus(-36_000), Some(later(14)));
        let staple = [OcspBuilder::delegated(&responder).says(word).build()];
        let checks = |day| at(day, mode, prefer);
        device.sends(Some(
            CrlBuilder::of(&device.root).number(8).times(now(), Some(later(2))).revokes(&device.peer).der(),
        ));
        assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(0))), Some(Code::Revoked));
        device.sends(Some(CrlBuilder::of(&fake).number(99_999).times(now(), Some(later(90))).der()));
        for pool in [vec![], vec![fake.certificate.clone()]] {
            assert_eq!(code_of(&device.ask(leaf, &pool, &staple, &checks(3))), Some(Code::Revoked));
            assert_eq!(device.recall(leaf, &staple, &checks(3)), Some(Code::Revoked));
        }
    }
}

/// A CA with many certificates, all but the last revoked: each path costs requests, and there is a bound.
#[test]
fn a_bound_on_paths_refuses_in_every_mode() {
    let ca_key = key();
    let roots: Vec<Party> = (0..7).map(|n| Party::root(&format!("root {n}"))).collect();
    let url = |n: usize| format!("http://pki.example/{n}.crl");
    let cas: Vec<Party> = roots
        .iter()
        .enumerate()
        .map(|(n, root)| pointing(Builder::ca("CA").key(&ca_key), &[url(n)], &[], &[]).signed_by(root))
        .collect();
    let leaf =
        pointing(Builder::leaf("leaf"), &["http://elsewhere.example/ca.crl".to_owned()], &[], &[]).signed_by(&cas[0]);
    let judged = |paths: usize, mode| {
        let mut fetch = FetchFn(|request: &FetchRequest<'_>, _: &ExchangeLimits| {
            let bytes = match (0..paths).find(|n| request.url == url(*n)) {
                Some(last) if last + 1 == paths => CrlBuilder::of(&roots[last]).der(),
                Some(n) => CrlBuilder::of(&roots[n]).revokes(&cas[n]).der(),
                // The leaf is revoked, and its list does not come.
                None => {
                    return Err(TransportError::new(
                        devid::transport::TransportErrorKind::Connect,
                        devid::transport::Phase::Connect,
                        "no network",
                    ));
                }
            };
            Ok(Fetched::Document(Document { bytes, ..Document::default() }))
        });
        let anchors: TrustAnchors = roots[..paths].iter().map(|root| root.certificate.clone()).collect();
        let pool: Vec<Certificate> = cas[..paths].iter().map(|ca| ca.certificate.clone()).collect();
        let mut checks = checks(now(), mode);
        checks.revocation.scope = RevocationScope::WholeChain;
        let known = StatusSources::none();
        let question =
            StatusQuestion { anchors: &anchors, leaf: &leaf.certificate, pool: &pool, known: &known, checks: &checks };
        let answer = StatusFetcher::new(provider().clone(), options()).validate(&question, &mut fetch);
        if let Some(path) = answer.report.path() {
            assert_eq!(path.anchor(), &roots[paths - 1].certificate, "the path that is not revoked");
        }
        code_of(&answer)
    };
    assert_eq!(
        judged(1, RevocationMode::SoftFail),
        None,
        "the leaf's own status is not known, and nothing was cut short"
    );
    assert_eq!(judged(4, RevocationMode::SoftFail), None);
    for mode in MODES {
        assert!(matches!(judged(6, mode), Some(Code::Revoked | Code::Budget)), "the way round was not looked at");
    }
}

/// Hosts and requests that a peer's certificates name for missing issuers are not those that its status needs.
#[test]
fn issuers_that_a_peer_names_do_not_use_up_what_its_status_needs() {
    let root = Party::root("Root");
    let ca = pointing(Builder::ca("CA"), &[], &[], &["http://h0.example/root.cer".to_owned()]).signed_by(&root);
    let leaf = pointing(Builder::leaf("leaf"), &[LIST.to_owned()], &[], &["http://pki.example/ca.cer".to_owned()])
        .signed_by(&ca);
    // Junk in the leaf's issuer's name, each with another issuer that is missing, at another host.
    let junk: Vec<Certificate> = (1..12)
        .map(|n| {
            let urls = [format!("http://h{n}.example/x.cer")];
            let above = Builder::ca(&format!("nobody {n}")).self_signed();
            pointing(Builder::ca("CA"), &[], &[], &urls).signed_by(&above).certificate
        })
        .collect();
    let revoking = CrlBuilder::of(&ca).revokes(&leaf).der();
    let mut asked = Vec::new();
    let mut fetch = FetchFn(|request: &FetchRequest<'_>, _: &ExchangeLimits| {
        asked.push(request.url.to_owned());
        let bytes = match request.url {
            LIST => revoking.clone(),
            _ if asked.len() > 3 => ca.certificate.as_der().to_vec(),
            _ => b"nothing".to_vec(),
        };
        Ok(Fetched::Document(Document { bytes, ..Document::default() }))
    });
    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
    let known = StatusSources::none();
    for mode in MODES {
        let mut fetcher = StatusFetcher::new(provider().clone(), options());
        fetcher.options_mut().issuers = true;
        let pool = [&junk[..], std::slice::from_ref(&ca.certificate)].concat();
        let checks = checks(now(), mode);
        let question =
            StatusQuestion { anchors: &anchors, leaf: &leaf.certificate, pool: &pool, known: &known, checks: &checks };
        assert_eq!(code_of(&fetcher.validate(&question, &mut fetch)), Some(Code::Revoked));
        // Without the CA's certificate at hand the issuers are asked for first.
        let mut fetcher = StatusFetcher::new(provider().clone(), options());
        fetcher.options_mut().issuers = true;
        let question = StatusQuestion { pool: &junk, ..question };
        let answer = fetcher.validate(&question, &mut fetch);
        assert!(!answer.report.is_valid(), "{}", texts(&answer));
        let issuers = answer.log.iter().filter(|event| event.wanted == devid::client::status::Wanted::Issuer);
        assert!(issuers.filter(|event| matches!(event.outcome, FetchOutcome::Fetched)).count() <= 4);
    }
}

/// What is kept is kept with its signer: a peer that leaves certificates out does not undo what they have signed.
#[test]
fn a_peer_that_sends_less_is_revoked_all_the_same() {
    use devid::validation::KeyUsage;
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let signer = Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(&root);
    let responder = Builder::leaf("responder")
        .purposes(&[oid::KP_OCSP_SIGNING])
        .with(oid::OCSP_NOCHECK, false, vec![5, 0])
        .signed_by(&ca);
    let by_list = pointing(Builder::leaf("peer"), &[LIST.to_owned()], &[], &[]).signed_by(&ca);
    let by_ocsp = pointing(Builder::leaf("peer"), &[], &[RESPONDER.to_owned()], &[]).signed_by(&ca);
    let single = |leaf: &Party| Single::good(&leaf.certificate, &ca).times(now().plus(-3600), Some(later(2)));
    // The responder's certificate is not enclosed: the peer has it, and sends it or not.
    let response = OcspBuilder::by(&responder).says(single(&by_ocsp).revoked(1)).der();
    let list = CrlBuilder::of(&signer).number(8).times(now(), Some(later(2))).revokes(&by_list).der();
    for (peer, document, helper) in [(&by_list, list, &signer), (&by_ocsp, response, &responder)] {
        for mode in MODES {
            let device = Device {
                root: root.clone(),
                peer: peer.clone(),
                store: Arc::new(Store::in_memory(provider().clone())),
                wire: Wire::default(),
            };
            let leaf = &device.peer.certificate;
            let checks = at(0, mode, StatusPreference::Ocsp);
            let old = Single::good(leaf, &ca).times(now().plus(-36_000), Some(later(14)));
            let staple = [OcspBuilder::by(&ca).says(old).build()];
            let all = [ca.certificate.clone(), helper.certificate.clone()];
            device.sends(Some(document.clone()));
            assert_eq!(code_of(&device.ask(leaf, &all, &[], &checks)), Some(Code::Revoked), "{mode:?}");
            device.sends(None);
            for staple in [&staple[..], &[]] {
                for pool in [&all[..], &all[..1]] {
                    assert_eq!(code_of(&device.ask(leaf, pool, staple, &checks)), Some(Code::Revoked), "{mode:?}");
                    let memory = Arc::new(StatusMemory::new(provider().clone(), Some(device.store.clone())));
                    let (anchors, known) =
                        (device.anchors(), StatusSources { ocsp: staple.to_vec(), ..StatusSources::none() });
                    let request = PeerRequest {
                        anchors: &anchors,
                        certificate: leaf,
                        pool,
                        status: &known,
                        checks: checks.clone(),
                        purpose: Purpose::Any,
                        names: NameCheck::NotChecked,
                        use_until: None,
                    };
                    let report = memory.open_peer(provider(), request).unwrap().0;
                    assert_eq!(report.error().map(|e| e.code()), Some(Code::Revoked), "{mode:?}");
                }
            }
        }
    }
}

/// Meetings with many other peers do not push out what is known against one.
#[test]
fn good_words_about_others_do_not_push_out_a_bad_one() {
    let device = Device::meeting(|b| pointing(b, &[], &[RESPONDER.to_owned()], &[]));
    let leaf = &device.peer.certificate;
    let checks = |day| at(day, RevocationMode::HardFail, StatusPreference::Ocsp);
    device.sends(Some(device.says(true, now().plus(-3600), later(2)).der()));
    assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(0))), Some(Code::Revoked));
    for n in 0..70 {
        let other =
            pointing(Builder::leaf(&format!("peer {n}")), &[], &[RESPONDER.to_owned()], &[]).signed_by(&device.root);
        let single = Single::good(&other.certificate, &device.root).times(now().plus(-3600), Some(later(9)));
        device.sends(Some(OcspBuilder::by(&device.root).says(single).der()));
        assert_eq!(code_of(&device.ask(&other.certificate, &[], &[], &checks(0))), None);
    }
    device.sends(None);
    let staple = [device.old_good().build()];
    assert_eq!(code_of(&device.ask(leaf, &[], &staple, &checks(3))), Some(Code::Revoked));
    assert_eq!(device.recall(leaf, &staple, &checks(3)), Some(Code::Revoked));
}

/// What somebody on the way appends to a genuine list in the same document is not kept, and the genuine one is.
#[test]
fn a_list_behind_a_genuine_one_takes_nothing_from_it() {
    let pem = |der: &[u8]| devid::asn1::pem::encode("X509 CRL", der).to_string();
    let device = || Device::meeting(|b| b.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&[point_url(LIST)]])));
    for reason in [1, ON_HOLD] {
        for name in ["Root", "Other"] {
            for mode in MODES {
                let device = device();
                let list = |list: CrlBuilder| list.times(now().plus(-3600), Some(later(9)));
                let genuine = list(CrlBuilder::of(&device.root).number(8)).revokes_for(&device.peer, reason).der();
                let forged = list(CrlBuilder::of(&Party::root(name)).number(9)).der();
                let checks = |day| at(day, mode, StatusPreference::Crl);
                device.sends(Some((pem(&genuine) + &pem(&forged)).into_bytes()));
                let leaf = &device.peer.certificate;
                assert_eq!(code_of(&device.ask(leaf, &[], &[], &checks(0))), Some(Code::Revoked), "{name} {mode:?}");
                device.sends(None);
                let old = [device.old_good().build()];
                assert_eq!(code_of(&device.ask(leaf, &[], &old, &checks(1))), Some(Code::Revoked), "{name} {mode:?}");
                // Also by the document alone, without the record of who is revoked.
                device.store.remove_blob("revoked").unwrap();
                let kept = device.recall(leaf, &old, &checks(1));
                assert_eq!(kept, Some(Code::Revoked), "{name} {mode:?}");
            }
        }
    }
}

/// A partner's device that names the genuine URL, and lists of the partner's that are served there once.
#[test]
fn lists_of_another_ca_under_the_same_url_shut_the_genuine_one_out_of_nothing() {
    let root = Party::root("Root");
    let (ca, partner) = (root.ca("CA"), root.ca("partner"));
    let at_url = |name: &str| pointing(Builder::leaf(name), &[LIST.to_owned()], &[], &[]);
    let (device, peer) = (at_url("device").signed_by(&ca), at_url("peer").signed_by(&ca));
    for name in ["partner", "CA"] {
        let other = partner.ca(name);
        let theirs = at_url("theirs").signed_by(&other);
        let store = Arc::new(Store::in_memory(provider().clone()));
        let ask = |leaf: &Party, issuer: &Party, document: &[u8], mode| {
            let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
            let bytes = document.to_vec();
            let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| {
                Ok(Fetched::Document(Document { bytes: bytes.clone(), ..Document::default() }))
            });
            let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
            let pool = [issuer.certificate.clone(), partner.certificate.clone()];
            let (known, checks) = (StatusSources::none(), at(0, mode, StatusPreference::Crl));
            let leaf = &leaf.certificate;
            let question = StatusQuestion { anchors: &anchors, leaf, pool: &pool, known: &known, checks: &checks };
            fetcher.validate(&question, &mut fetch)
        };
        let dates = |list: CrlBuilder| list.times(now().plus(-3600), Some(later(9)));
        let many: String = (0..16)
            .map(|n| {
                let names =
                    [LIST.to_owned(), format!("http://x.example/{n}")].map(|url| crate::certificates::uri(&url));
                let list = dates(CrlBuilder::of(&other)).scope(&[crate::status::point_name(&names)]).revokes(&device);
                devid::asn1::pem::encode("X509 CRL", &list.der()).to_string()
            })
            .collect();
        let first = ask(&theirs, &other, many.as_bytes(), RevocationMode::SoftFail);
        assert!(first.report.is_valid(), "{}", texts(&first));
        let genuine = dates(CrlBuilder::of(&ca).number(8)).revokes(&peer).der();
        let answer = ask(&device, &ca, &genuine, RevocationMode::HardFail);
        assert!(answer.report.is_valid(), "{}", texts(&answer));
        assert!(
            !answer.log.iter().any(|event| matches!(event.outcome, FetchOutcome::NotStored(_))),
            "{:?}",
            answer.log
        );

        let memory = Arc::new(StatusMemory::new(provider().clone(), Some(store.clone())));
        let single = Single::good(&peer.certificate, &ca).times(now().plus(-36_000), Some(later(14)));
        let staple = OcspBuilder::by(&ca).says(single).build();
        for mode in MODES {
            let status = StatusSources { ocsp: vec![staple.clone()], ..StatusSources::none() };
            let request = PeerRequest {
                anchors: &std::iter::once(root.certificate.clone()).collect(),
                certificate: &peer.certificate,
                pool: std::slice::from_ref(&ca.certificate),
                status: &status,
                checks: at(0, mode, StatusPreference::Crl),
                purpose: Purpose::Any,
                names: NameCheck::NotChecked,
                use_until: None,
            };
            let verdict = memory.open_peer(provider(), request).unwrap().0;
            assert_eq!(verdict.error().map(|error| error.code()), Some(Code::Revoked), "{name} {mode:?}");
        }
    }
}
