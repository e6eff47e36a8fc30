//! What strangers send costs work in proportion to its length: counted in bytes asked of the allocator, never in time. Copies and
//! comparisons that grow with the square allocate with it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use certificates::{Builder, Party, common_name, directory, now, provider};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::peer_certificates::end_entity_of;
use devid::cms::Pkcs12;
use devid::crypto::KeyKind;
use devid::inspect::{Format, inspect};
use devid::validation::{Checks, Crl, RevocationPolicy, StatusSources, validate};
use devid_test_support::{certificates, status};
use status::{CrlBuilder, OcspBuilder, Single, point_name, points};

struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + layout.size() as u64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes asked for while something runs.
fn work(run: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    run();
    ASKED.get() - before
}

/// Four times the input costs no more than four times the work and a half, and that is no more than so much a byte.
fn is_linear(what: &str, make: impl Fn(usize) -> Vec<u8>, most_per_byte: u64, run: impl Fn(&[u8])) {
    let sizes = [1, 2, 4].map(&make);
    let costs = sizes.each_ref().map(|input| work(|| run(input)));
    let per_byte = [0, 1, 2].map(|i| costs[i] / sizes[i].len() as u64);
    assert!(per_byte[2] <= per_byte[0] + per_byte[0] / 2 + 1, "{what}: {costs:?} for {:?}", sizes.map(|s| s.len()));
    assert!(per_byte.iter().all(|cost| *cost <= most_per_byte), "{what}: {per_byte:?} bytes asked for each byte");
}

/// Indefinite lengths, many, and nested as deep as they may be.
#[test]
fn pkcs12_in_ber() {
    let open = |data: &[u8]| {
        assert!(Pkcs12::open(&**provider(), data, "x").is_err());
    };
    let many = |n: usize| [&[0x30, 0x80][..], &[0x30, 0x80, 0, 0].repeat(n * 4000), &[0, 0]].concat();
    is_linear("many", many, 200, open);
    let deep = |n: usize| {
        let one = [[0x30, 0x80].repeat(20), vec![0; 40]].concat();
        [&[0x30, 0x80][..], &one.repeat(n * 300), &[0, 0]].concat()
    };
    is_linear("deep", deep, 200, open);
    let pieces = |n: usize| [&[0x24, 0x80][..], &[0x04, 0x01, 7].repeat(n * 5000), &[0, 0]].concat();
    is_linear("strings in pieces", pieces, 200, open);
}

/// A container of lists in BER, of nothing but small elements: no more is kept of it than the lists.
#[test]
fn bundles_in_ber() {
    let empty = [&[0x30, 0x80][..], &element(0x06, &[oid::CMS_DATA.as_bytes()]), &[0, 0]].concat();
    let bundle = |choices: &[u8], part: u8| {
        let data = [&[0x02, 0x01, 0x01, 0x31, 0x80, 0, 0][..], &empty, &element(part, &[choices]), &[0x31, 0]].concat();
        [&[0x30, 0x80][..], &data, &[0, 0]].concat()
    };
    for small in [&[0x05, 0x00][..], &[0x30, 0x00], &[0x24, 0x00], &[0x30, 0x80, 0, 0], &[0x24, 0x80, 0, 0]] {
        let lists = |n: usize| bundle(&small.repeat(n * 20_000), 0xa1);
        is_linear("lists", lists, 1, |data| drop(Crl::many_from_bytes(data)));
        let certificates = |n: usize| bundle(&small.repeat(n * 20_000), 0xa0);
        is_linear("certificates", certificates, 1, |data| drop(Certificate::many_from_bytes(data)));
        let deep = |n: usize| bundle(&element(0x30, &[&element(0x30, &[&small.repeat(n * 20_000)])]), 0xa1);
        is_linear("one list of small elements", deep, 3, |data| drop(Crl::many_from_bytes(data)));
        let encapsulated = |n: usize| {
            let content = element(0xa0, &[&element(0x24, &[&small.repeat(n * 20_000)])]);
            let content = [&[0x30, 0x80][..], &element(0x06, &[oid::CMS_DATA.as_bytes()]), &content, &[0, 0]].concat();
            [&[0x30, 0x80, 0x02, 0x01, 0x01, 0x31, 0][..], &content, &[0x31, 0, 0, 0]].concat()
        };
        is_linear("content", encapsulated, 1, |data| drop(Crl::many_from_bytes(data)));
    }
}

/// A SubjectPublicKeyInfo with some abscissa, compressed, or with some ordinate too.
fn some_point(kind: KeyKind, is_compressed: bool, number: u8) -> Vec<u8> {
    let spki = provider().generate_key(kind).unwrap().spki().to_vec();
    let len = if kind == KeyKind::P521 { 66 } else { 32 };
    let mut point = spki[spki.len() - 2 * len - 1..].to_vec();
    point[len] ^= number;
    if is_compressed {
        point.truncate(1 + len);
        point[0] = 2;
    }
    let before = &spki[..spki.len() - 2 * len - 2];
    let identifier = before.windows(2).position(|pair| pair == [0x30, if len == 66 { 0x10 } else { 0x13 }]).unwrap();
    let identifier = &before[identifier..identifier + 2 + usize::from(before[identifier + 1])];
    sequence(&[identifier, &element(0x03, &[&[0], &point])])
}

fn with_key(name: &str, spki: Vec<u8>) -> Certificate {
    let mut builder = Builder::ca(name);
    builder.spki = Some(spki);
    builder.self_signed().certificate
}

/// Keys in compressed form cost no more than others to be looked at: comparing them takes no square root.
#[test]
fn certificates_whose_keys_are_compressed() {
    let root = Party::root("Root");
    let ca = root.ca("CA");
    let leaf = ca.leaf("leaf");
    let anchors = std::iter::once(root.certificate.clone()).collect();
    for kind in [KeyKind::P521, KeyKind::P256] {
        let costs = [false, true].map(|is_compressed| {
            let spkis: Vec<Vec<u8>> = (0..100).map(|n| some_point(kind, is_compressed, n)).collect();
            let junk: Vec<Certificate> = spkis.into_iter().map(|spki| with_key("CA", spki)).collect();
            let pool: Vec<Certificate> = junk.into_iter().chain([ca.certificate.clone()]).collect();
            let (none, checks) = (StatusSources::none(), Checks::at(now()));
            work(|| drop(validate(&**provider(), &anchors, &leaf.certificate, &pool, &none, &checks)))
        });
        assert!(costs[1] <= costs[0] + costs[0] / 4, "{kind}: {costs:?} uncompressed and compressed");
    }
}

/// A staple by the hash of a key that nobody has: what would have to be worked out to look for it is paid for out of the budget.
#[test]
fn responders_that_are_named_by_key() {
    let root = Party::root("Root");
    let leaf = root.leaf("leaf");
    let anchors = std::iter::once(root.certificate.clone()).collect();
    let mut response = OcspBuilder::by(&root).says(Single::good(&leaf.certificate, &root));
    response.responder_id = element(0xa2, &[&element(0x04, &[&[7; 20]])]);
    let response = response.build();
    let mut checks = Checks::at(now());
    checks.revocation = RevocationPolicy::soft_fail();
    let judge = |pool: &[Certificate], responses: usize| {
        let status = StatusSources { ocsp: vec![response.clone(); responses], ..StatusSources::none() };
        let mut code = None;
        let cost = work(|| {
            let report = validate(&**provider(), &anchors, &leaf.certificate, pool, &status, &checks);
            code = report.error().map(|error| error.code());
        });
        (cost, code)
    };
    let strangers = |count: u8, is_compressed: bool| -> Vec<Certificate> {
        (0..count).map(|n| with_key("stranger", some_point(KeyKind::P521, is_compressed, n))).collect()
    };
    assert_eq!(judge(&strangers(200, false), 1).1, None);
    assert_eq!(judge(&strangers(120, true), 1).1, None);
    let pool = strangers(200, true);
    let (one, code) = judge(&pool, 1);
    assert_eq!(code, Some(devid::Code::Budget));
    let pool = strangers(200, true);
    let (many, code) = judge(&pool, 64);
    assert_eq!(code, Some(devid::Code::Budget));
    assert!(many <= one * 2, "{one} and {many}: what was worked out is known");
    let pool = strangers(200, false);
    let (one, many) = (judge(&pool, 1).0, judge(&strangers(200, false), 64).0);
    assert!(many <= one * 3, "{one} and {many}: each key is hashed once");
}

#[test]
fn inspector() {
    let show = |data: &[u8]| drop(inspect(data, Format::Text));
    is_linear("many elements", |n| sequence(&[&[0x05, 0x00].repeat(n * 5000)]), 4000, show);
    is_linear("octets", |n| sequence(&[&element(0x04, &[&vec![7; n * 20_000]])]), 100, show);
    let nested = |n: usize| (0..40).fold(vec![7; n * 5000], |inner, _| sequence(&[&element(0xa0, &[&inner])]));
    is_linear("nested", nested, 2000, show);
}

/// Names that must be prepared to be compared (RFC 4518), each with every other if one is careless.
#[test]
fn certificates_that_a_peer_sends() {
    let costs = [25, 50, 100].map(|count| {
        let sent: Vec<Certificate> = (0..count)
            .map(|i| Builder::ca(&format!("{}{i}", "\u{e4}".repeat(300))).self_signed().certificate.clone())
            .collect();
        work(|| drop(end_entity_of(&sent))) / count
    });
    assert!(costs[2] <= costs[0] + costs[0] / 2, "{costs:?} for each certificate");
}

/// Names in a certificate's distribution points, and in those of a list that nobody signed: each is prepared, and not each with every
/// other.
#[test]
fn names_of_points_and_lists_are_prepared_once_each() {
    let root = Party::root("Root");
    let forger = Party::root("Root");
    let name = |text: &str, number: usize| directory(&common_name(&format!("{}{number}", text.repeat(60))));
    let list = |count: usize| {
        let names: Vec<Vec<u8>> = (0..count).map(|i| name("\u{e4}", i)).collect();
        CrlBuilder::of(&forger).scope(&[point_name(&names)]).build()
    };
    let costs = [2, 4, 8].map(|count| {
        let point = || vec![point_name(&(0..count).map(|i| name("\u{e9}", i)).collect::<Vec<_>>())];
        let all: Vec<Vec<Vec<u8>>> = (0..8).map(|_| point()).collect();
        let all: Vec<&[Vec<u8>]> = all.iter().map(Vec::as_slice).collect();
        let leaf = Builder::leaf("leaf").with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&all)).signed_by(&root);
        let anchors = std::iter::once(root.certificate.clone()).collect();
        let status = StatusSources { crls: vec![list(4 * count)], ..StatusSources::none() };
        let mut checks = Checks::at(now());
        checks.revocation = RevocationPolicy::hard_fail();
        let judge = || assert!(!validate(&**provider(), &anchors, &leaf.certificate, &[], &status, &checks).is_valid());
        work(judge) / count as u64
    });
    assert!(costs[2] <= costs[0] * 2, "{costs:?} for each name");
}
