//! The panic boundary: every exported function runs inside [`guard`] or [`guard_value`].

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::args::{Give, Slot};
use super::error::Failure;
use devid_core::{Code, Error};

/// A body without its type: a function that knows it, and where it lies. There are hundreds of exported functions, and a table for
/// a trait object of each closure would be as large as what most of them do.
type Run<R> = unsafe fn(*mut ()) -> R;

/// Runs the body of a fallible function; turns its error, or a panic, into a status and an error object.
///
/// `err` may be NULL. It is written on every path: NULL on success.
#[inline(always)]
pub(super) fn guard<F: FnMut() -> Result<(), Error>>(err: *mut *mut Slot<Failure>, mut body: F) -> i32 {
    /// # Safety
    /// `body` is a pointer to an `F` that nobody else uses.
    unsafe fn run<F: FnMut() -> Result<(), Error>>(body: *mut ()) -> Result<(), Error> {
        // SAFETY: by the caller's promise.
        unsafe { (*body.cast::<F>())() }
    }
    // SAFETY: the body lives until the call returns, and nothing else uses it.
    unsafe { guarded(err, run::<F>, (&raw mut body).cast()) }
}

/// Compiled once. It does not unwind, which its callers then need not be ready for: what panics here is not caught by anybody.
///
/// # Safety
/// `run` may be called with `body`.
#[inline(never)]
#[allow(improper_ctypes_definitions, reason = "called from this file alone; extern \"C\" says that nothing unwinds")]
unsafe extern "C" fn guarded(err: *mut *mut Slot<Failure>, run: Run<Result<(), Error>>, body: *mut ()) -> i32 {
    // SAFETY: by the header, `err` is NULL or points to a writable pointer. What stands there is never looked at,
    // not even by a reference: it need not be initialised.
    let tell = |error| {
        if !err.is_null() {
            // SAFETY: as the header says, `err` is NULL or valid for writing; it is never read.
            unsafe { err.write(error) }
        }
    };
    tell(std::ptr::null_mut());
    // SAFETY: by the caller's promise.
    let failure = match caught(|| unsafe { run(body) }) {
        Some(Ok(())) => return 0,
        Some(Err(error)) => error,
        None => {
            Error::new(Code::Panic, format!("internal error at {}", PLACE.try_with(RefCell::take).unwrap_or_default()))
        }
    };
    let number = failure.number();
    if !err.is_null() {
        tell(Failure::from(failure).give());
    }
    number
}

/// Runs the body of a function that has no error to give; a panic becomes `otherwise`.
#[inline(always)]
pub(super) fn guard_value<T, F: FnMut() -> T>(otherwise: T, body: F) -> T {
    /// # Safety
    /// `place` is a pointer to such a pair that nobody else uses.
    unsafe fn run<T, F: FnMut() -> T>(place: *mut ()) {
        // SAFETY: by the caller's promise.
        let (body, given) = unsafe { &mut *place.cast::<(F, T)>() };
        *given = body();
    }
    let mut place = (body, otherwise);
    // SAFETY: the place lives until the call returns, and nothing else uses it.
    unsafe { guarded_value(run::<T, F>, (&raw mut place).cast()) };
    place.1
}

/// Compiled once, and does not unwind.
///
/// # Safety
/// `run` may be called with `place`.
#[inline(never)]
#[allow(improper_ctypes_definitions, reason = "as above")]
unsafe extern "C" fn guarded_value(run: Run<()>, place: *mut ()) {
    // SAFETY: by the caller's promise.
    caught(|| unsafe { run(place) });
}

thread_local! {
    /// How deep the thread is inside guards: a callback may call the library again.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Source location of the last panic inside a guard, without its message: that may hold data.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a body gives; nothing if it panics.
fn caught<R>(body: impl FnOnce() -> R) -> Option<R> {
    install_quiet_hook();
    DEPTH.set(DEPTH.get() + 1);
    // What a handle holds after a panic is never looked at again: its slot is poisoned by then (args.rs).
    let given = catch_unwind(AssertUnwindSafe(body)).ok();
    DEPTH.set(DEPTH.get() - 1);
    given
}

/// The default hook prints message and backtrace to stderr even when the panic is caught. This one keeps quiet inside a
/// guard and leaves everything else to the hook that was there.
fn install_quiet_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let place = info.location().map_or_else(String::new, |l| format!("{}:{}", l.file(), l.line()));
            // Gone where a thread ends: then the place stays unsaid.
            let _ = PLACE.try_with(|p| *p.borrow_mut() = place);
        }));
    });
}

/// Where tests of the boundary have the library panic: at the n-th use of an argument, n from `DEVID_PANIC_AT`.
pub(super) fn may_panic_on_demand() {
    #[cfg(feature = "capi-panic-injection")]
    injection::point();
}

#[cfg(feature = "capi-panic-injection")]
mod injection {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static LEFT: LazyLock<AtomicI64> = LazyLock::new(|| {
        let at = std::env::var("DEVID_PANIC_AT").ok().and_then(|n| n.parse().ok());
        AtomicI64::new(at.unwrap_or(i64::MAX))
    });

    pub fn point() {
        assert_ne!(LEFT.fetch_sub(1, Ordering::Relaxed), 1, "panic on demand");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_where_programs_are_told_so() {
        assert!(devid_core::supports("panic-guard"));
        let status = guard(std::ptr::null_mut(), || panic!("on purpose"));
        assert_eq!(status, Code::Panic.number());
        assert_eq!(guard(std::ptr::null_mut(), || Ok(())), 0);
    }
}
