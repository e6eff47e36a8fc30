//! The panic boundary: every exported function runs inside [`guard`] or [`guard_value`].

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::args::{Give, Slot};
use super::error::Failure;
use devid_core::{Code, Error};

/// Runs the body of a fallible function; turns its error, or a panic, into a status and an error object.
///
/// `err` may be NULL. It is written on every path: NULL on success.
///
/// Compiled once: there are hundreds of functions, and each has no more than its body.
#[inline(never)]
pub(super) fn guard(err: *mut *mut Slot<Failure>, body: &mut dyn FnMut() -> Result<(), Error>) -> i32 {
    // SAFETY: by the header, `err` is NULL or points to a writable pointer. What stands there is never looked at,
    // not even by a reference: it need not be initialised.
    let tell = |error| {
        if !err.is_null() {
            // SAFETY: as the header says, `err` is NULL or valid for writing; it is never read.
            unsafe { err.write(error) }
        }
    };
    tell(std::ptr::null_mut());
    let mut result = None;
    caught(&mut || result = Some(body()));
    let failure = match result {
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
#[inline]
pub(super) fn guard_value<T>(otherwise: T, mut body: impl FnMut() -> T) -> T {
    let mut given = None;
    caught(&mut || given = Some(body()));
    given.unwrap_or(otherwise)
}

thread_local! {
    /// How deep the thread is inside guards: a callback may call the library again.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Source location of the last panic inside a guard, without its message: that may hold data.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A body that panics leaves unsaid what it was to say.
#[inline(never)]
fn caught(body: &mut dyn FnMut()) {
    install_quiet_hook();
    DEPTH.set(DEPTH.get() + 1);
    // What a handle holds after a panic is never looked at again: its slot is poisoned by then (args.rs).
    let _ = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
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
        let status = guard(std::ptr::null_mut(), &mut || panic!("on purpose"));
        assert_eq!(status, Code::Panic.number());
        assert_eq!(guard(std::ptr::null_mut(), &mut || Ok(())), 0);
    }
}
