//! The board: what the engine needs from one, and what this firmware needs beside it.
//!
//! | the engine needs | here |
//! | --- | --- |
//! | an allocator | [`Heap`], over `embedded-alloc`, which counts its peak |
//! | a random source for `getrandom` | [`Random`]: a hash over a seed and a counter. A real board reads its generator |
//! | a critical section | the feature `critical-section-single-core` of `cortex-m` |
//! | the time | a parameter |
//! | a way for bytes | [`Line`], a UART |

use alloc::vec;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use cortex_m_semihosting::{debug, hprintln};
use critical_section::Mutex;
use embedded_alloc::LlffHeap;
use sha2::{Digest, Sha256};

/// Bytes for the heap.
const HEAP_BYTES: usize = 24 * 1024;

/// An allocator that knows how much it has lent at most.
pub struct Heap {
    inner: LlffHeap,
    peak: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap = Heap { inner: LlffHeap::empty(), peak: AtomicUsize::new(0) };

// SAFETY: everything is passed on to an allocator.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let memory = unsafe { self.inner.alloc(layout) };
        self.peak.fetch_max(self.inner.used(), Ordering::Relaxed);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.dealloc(memory, layout) }
    }
}

/// Gives the heap its memory. Once, before anything is allocated.
pub fn start() {
    static mut MEMORY: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES];
    // SAFETY: called once, at the start of `main`, and nobody else names the memory.
    unsafe { HEAP.inner.init(ptr::addr_of_mut!(MEMORY) as usize, HEAP_BYTES) }
}

/// The most that was lent at one time, in bytes.
pub fn heap_peak() -> usize {
    HEAP.peak.load(Ordering::Relaxed)
}

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The deepest that the stack went, in bytes: what is no longer as `cortex-m-rt` has painted it; and what there is of it.
pub fn stack_peak() -> (usize, usize) {
    let (top, mut at) = (ptr::addr_of!(_stack_start), ptr::addr_of!(_stack_end));
    let all = top as usize - at as usize;
    // SAFETY: between the two symbols of the linker is the stack, which is readable; nothing is read above it.
    while at < top && unsafe { ptr::read_volatile(at) } == cortex_m_rt::STACK_PAINT_VALUE {
        at = at.wrapping_add(1);
    }
    (top as usize - at as usize, all)
}

/// Seed and counter.
static RANDOM: Mutex<Cell<([u8; 32], u64)>> = Mutex::new(Cell::new(([0; 32], 0)));

/// Random numbers for the emulator, where every run with one seed is the same. No generator for a device.
pub struct Random;

impl Random {
    pub fn seed(with: &[u8]) {
        critical_section::with(|section| RANDOM.borrow(section).set((Sha256::digest(with).into(), 0)));
    }

    fn fill(out: &mut [u8]) {
        for piece in out.chunks_mut(32) {
            let (seed, count) = critical_section::with(|section| {
                let (seed, count) = RANDOM.borrow(section).get();
                RANDOM.borrow(section).set((seed, count + 1));
                (seed, count)
            });
            let block = Sha256::new().chain_update(seed).chain_update(count.to_be_bytes()).finalize();
            piece.copy_from_slice(&block[..piece.len()]);
        }
    }
}

/// What `getrandom` calls on a machine that it does not know.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(to: *mut u8, length: usize) -> Result<(), getrandom::Error> {
    // SAFETY: `getrandom` hands over memory of this length, perhaps not initialised.
    unsafe { ptr::write_bytes(to, 0, length) };
    // SAFETY: the same memory, initialised now.
    Random::fill(unsafe { core::slice::from_raw_parts_mut(to, length) });
    Ok(())
}

/// The line to the host: a CMSDK UART, polled.
///
/// A question is a letter, four bytes of length, and the content; an answer is four bytes of length and the content.
pub struct Line;

const UART: usize = 0x4000_4000;
const DATA: *mut u32 = UART as *mut u32;
const STATE: *const u32 = (UART + 0x4) as *const u32;
const CONTROL: *mut u32 = (UART + 0x8) as *mut u32;
const DIVIDER: *mut u32 = (UART + 0x10) as *mut u32;
const SENDER_IS_FULL: u32 = 1;
const RECEIVER_IS_FULL: u32 = 2;

/// Longest answer taken from the host.
const MOST_BYTES: usize = 8 * 1024;
const NOTHING: u32 = u32::MAX;

impl Line {
    pub fn open() -> Self {
        // SAFETY: registers of the UART, whose address is the machine's.
        unsafe {
            ptr::write_volatile(DIVIDER, 16);
            ptr::write_volatile(CONTROL, 3);
        }
        Line
    }

    /// A parameter of this run.
    pub fn parameter(&mut self, name: &str) -> Option<Vec<u8>> {
        self.ask(b'G', name.as_bytes())
    }

    /// A message to the CA and its answer; `None` if it could not be reached.
    #[cfg(feature = "enrolment")]
    pub fn exchange(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.ask(b'C', message)
    }

    fn ask(&mut self, kind: u8, content: &[u8]) -> Option<Vec<u8>> {
        self.put(&[kind]);
        self.put(&(content.len() as u32).to_be_bytes());
        self.put(content);
        let mut length = [0; 4];
        self.take(&mut length);
        let length = u32::from_be_bytes(length);
        if length == NOTHING || length as usize > MOST_BYTES {
            return None;
        }
        let mut answer = vec![0; length as usize];
        self.take(&mut answer);
        Some(answer)
    }

    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // SAFETY: registers of the UART.
            unsafe {
                while ptr::read_volatile(STATE) & SENDER_IS_FULL != 0 {}
                ptr::write_volatile(DATA, u32::from(*byte));
            }
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // SAFETY: registers of the UART.
            unsafe {
                while ptr::read_volatile(STATE) & RECEIVER_IS_FULL == 0 {}
                *byte = ptr::read_volatile(DATA) as u8;
            }
        }
    }
}

/// Ends the emulation, with the status that the script sees.
pub fn end(is_good: bool) -> ! {
    loop {
        debug::exit(if is_good { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => hprintln!("panic: {} line {}", place.file(), place.line()),
        None => hprintln!("panic"),
    }
    end(false)
}
