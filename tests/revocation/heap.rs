//! What big lists cost in heap, counted: the claims of the documentation, not of a profiler.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use devid::validation::{Crl, CrlStream};

use crate::certificates::provider;
use crate::status::CrlBuilder;
use crate::{World, assert_good, assert_revoked};

/// The system's allocator, counting what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // While a thread ends its counters may be gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that this thread held above what it holds now, while it does this.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let outcome = work();
    (outcome, (PEAK.get() - before) as usize)
}

const ENTRIES: u32 = 100_000;

fn big_list(world: &World, revokes: bool) -> Vec<u8> {
    let list =
        (0..ENTRIES).fold(CrlBuilder::of(&world.ca), |crl, n| crl.entry(&[&[1], &n.to_be_bytes()[..]].concat(), &[]));
    if revokes { list.revokes(&world.device).der() } else { list.der() }
}

#[test]
fn a_list_of_any_length_in_pieces_takes_less_than_256_kib() {
    let world = World::new();
    let serial = world.device.certificate.serial();
    // As many serial numbers as may be asked about.
    let others: Vec<[u8; 20]> = (0..255u8).map(|n| [n | 1; 20]).collect();
    let serials: Vec<&[u8]> = others.iter().map(|s| &s[..]).chain([serial]).collect();
    for revokes in [false, true] {
        let der = big_list(&world, revokes);
        assert!(der.len() > 2_000_000);
        let (crl, peak) = peak_of(|| {
            let mut stream = CrlStream::new(provider().clone(), &serials).unwrap();
            der.chunks(16 * 1024).for_each(|chunk| stream.feed(chunk).unwrap());
            stream.finish().map(Arc::new).unwrap()
        });
        assert!(peak < 256 * 1024, "{peak} bytes");
        let (report, _) = peak_of(|| world.by_crls(&[crl]));
        if revokes { assert_revoked(&report) } else { assert_good(&report) }
    }
}

#[test]
fn a_list_in_place_takes_its_index_and_a_kept_index_takes_next_to_nothing() {
    let world = World::new();
    let der = Arc::new(big_list(&world, false));
    let look = |crl: &Crl| crl.find(&[1, 0, 0, 0, 7]);
    let (kept, peak) = peak_of(|| {
        let crl = Crl::from_bytes(der.clone()).unwrap();
        look(&crl);
        crl
    });
    assert!(peak < 5 * ENTRIES as usize, "{peak} bytes: four and a half an entry are said");
    let index = Arc::new(kept.index_to_bytes().unwrap());
    let (crl, peak) = peak_of(|| {
        let crl = Crl::from_bytes_with_index(der.clone(), index.clone()).unwrap();
        look(&crl);
        crl
    });
    assert!(peak < 64 * 1024, "{peak} bytes with the index elsewhere");
    assert_eq!(look(&crl), look(&kept));
}
