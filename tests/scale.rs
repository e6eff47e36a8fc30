//! What strangers send costs work in proportion to its length: counted in bytes asked of the allocator, never in time. Copies and
//! comparisons that grow with the square allocate with it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[path = "common/certificates.rs"]
mod certificates;
#[path = "common/status.rs"]
mod status;

use certificates::{Builder, Party, common_name, directory, now, provider};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::peer_certificates::end_entity_of;
use devid::cms::Pkcs12;
use devid::inspect::{Format, inspect};
use devid::validation::{Checks, RevocationPolicy, StatusSources, validate};
use status::{CrlBuilder, point_name, points};

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
