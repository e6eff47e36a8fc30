//! Raw pointers to safe values and back: what the attributes of `devid-macros` call, one function for each kind of parameter.
//!
//! They are unsafe to call, and each says why under "Safety". That a call is sound is argued here, once for all rows: an exported
//! function is called by C programs only, and C programs keep the sentences at the top of `include/devid.h` and what the
//! text of the parameter says. By "Inputs", a pointer to text or bytes is NULL or readable up to its NUL or its length, and nobody
//! changes it during the call; by "Handles" and "Ownership", a handle is NULL or came from this library and was not freed; by
//! "Outputs", a place is NULL or may be written. What reaches a row is a safe value.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char};
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::guard::may_panic_on_demand;
use devid_core::{Code, Error, Time};

/// What stands behind each C handle: the value, and its mark.
///
/// The mark comes first for every type, so that what looks at marks is compiled once.
#[repr(C)]
pub struct Slot<T> {
    mark: Mark,
    value: UnsafeCell<T>,
}

/// Who is using a handle, and whether a panic left it in an unknown state.
///
/// The header promises that a handle is used by one thread at a time unless it is passed as `const`. The counter makes
/// breaking that promise, or calling back into a handle in use, an error instead of undefined behaviour.
struct Mark {
    /// Readers, or -1 for one writer.
    users: AtomicI32,
    poisoned: AtomicBool,
    /// Made for the duration of a callback: not the program's to free.
    is_lent: bool,
}

// SAFETY: `users` hands out either shared references or one exclusive one, like RwLock, so T needs what RwLock's T does.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    fn new(value: T) -> Self {
        Slot { mark: Mark::new(false), value: UnsafeCell::new(value) }
    }

    /// A handle that a function of the program may use while it runs.
    pub(super) fn lent(value: T) -> Self {
        Slot { mark: Mark::new(true), value: UnsafeCell::new(value) }
    }

    pub(super) fn into_value(self) -> T {
        self.value.into_inner()
    }
}

impl Mark {
    fn new(is_lent: bool) -> Self {
        Mark { users: AtomicI32::new(0), poisoned: AtomicBool::new(false), is_lent }
    }

    /// One reader more.
    #[inline(never)]
    fn share(&self, name: &str) -> Result<Use<'_>, Error> {
        let entered = self.users.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| (n >= 0).then(|| n + 1));
        entered.map_err(|_| in_use(name))?;
        self.entered(name)
    }

    /// The only user.
    #[inline(never)]
    fn exclude(&self, name: &str) -> Result<Use<'_>, Error> {
        self.users.compare_exchange(0, -1, Ordering::Acquire, Ordering::Relaxed).map_err(|_| in_use(name))?;
        self.entered(name)
    }

    fn entered(&self, name: &str) -> Result<Use<'_>, Error> {
        let entered = Use { mark: self, panicking: std::thread::panicking() };
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Poisoned, format!("an earlier call on {name} failed internally; free it")));
        }
        may_panic_on_demand();
        Ok(entered)
    }

    /// In use from here on and for ever, if nobody uses it now and it is the program's to free.
    fn end(&self) -> Option<()> {
        let mine = !self.is_lent;
        (mine && self.users.compare_exchange(0, -1, Ordering::Acquire, Ordering::Relaxed).is_ok()).then_some(())
    }
}

/// A use of a handle; ends when dropped. One that ends in a panic poisons the handle: later calls refuse it, only free works.
struct Use<'a> {
    mark: &'a Mark,
    panicking: bool,
}

impl Drop for Use<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        if !self.panicking && std::thread::panicking() {
            self.mark.poisoned.store(true, Ordering::Relaxed);
        }
        // The only user, or one of the readers.
        let left = |users: i32| Some(if users < 0 { 0 } else { users - 1 });
        let _ = self.mark.users.fetch_update(Ordering::Release, Ordering::Relaxed, left);
    }
}

/// A number without a sign.
pub(super) trait Whole: Copy + std::fmt::Display {
    /// What C makes of it where the program wrote a small negative number.
    fn as_negative(self) -> Option<i32>;
}

/// The smallest number that is noticed.
const LEAST_NEGATIVE: i32 = -65_536;

impl Whole for u32 {
    fn as_negative(self) -> Option<i32> {
        Some(i32::from_ne_bytes(self.to_ne_bytes())).filter(|number| (LEAST_NEGATIVE..0).contains(number))
    }
}

impl Whole for usize {
    fn as_negative(self) -> Option<i32> {
        i32::try_from(isize::from_ne_bytes(self.to_ne_bytes()))
            .ok()
            .filter(|number| (LEAST_NEGATIVE..0).contains(number))
    }
}

/// A number that is not negative. C makes 4294967295 of -1 without a word: nobody has that in mind.
pub(super) fn whole<T: Whole>(number: T, name: &str) -> Result<T, Error> {
    match number.as_negative() {
        None => Ok(number),
        Some(negative) => {
            let words = format!("{name} is {number}, which is {negative} as a number without a sign");
            Err(Error::new(Code::InvalidArgument, words))
        }
    }
}

/// A type that stands behind an opaque C type (`#[handle]`): it may move between and be shared by threads.
pub(super) trait Handle: Send + Sync + Sized {}

/// What a function can give to C through an out parameter.
pub(super) trait Give {
    type C: Empty;
    fn give(self) -> Self::C;
}

/// A new handle that C owns from here on.
impl<T: Handle> Give for T {
    type C = *mut Slot<T>;
    fn give(self) -> *mut Slot<T> {
        Box::into_raw(Box::new(Slot::new(self)))
    }
}

/// NULL where there is none.
impl<T: Handle> Give for Option<T> {
    type C = *mut Slot<T>;
    fn give(self) -> *mut Slot<T> {
        self.map_or(ptr::null_mut(), T::give)
    }
}

macro_rules! give_numbers {
    ($($number:ty),*) => {$(
        impl Give for $number {
            type C = $number;
            fn give(self) -> $number {
                self
            }
        }
    )*};
}
give_numbers!(i32, u32, i64, usize);

impl Give for bool {
    type C = i32;
    fn give(self) -> i32 {
        i32::from(self)
    }
}

impl Give for Time {
    type C = i64;
    fn give(self) -> i64 {
        self.unix()
    }
}

/// An out parameter that is also written where the call fails.
pub(super) struct Out<'a, T: Give>(&'a mut T::C);

impl<'a, T: Give> Out<'a, T> {
    pub(super) fn new(place: &'a mut T::C) -> Self {
        Out(place)
    }

    pub(super) fn set(&mut self, value: T) {
        *self.0 = value.give();
    }
}

/// Shared use of a handle; ends when dropped.
pub(super) struct Shared<'a, T> {
    slot: &'a Slot<T>,
    _entered: Use<'a>,
}

/// Exclusive use of a handle; ends when dropped.
pub(super) struct Exclusive<'a, T> {
    slot: &'a Slot<T>,
    _entered: Use<'a>,
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `users` is above zero while this lives, so no exclusive use exists.
        unsafe { &*self.slot.value.get() }
    }
}

impl<T> Deref for Exclusive<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `users` is -1 while this lives, so this is the only use.
        unsafe { &*self.slot.value.get() }
    }
}

impl<T> DerefMut for Exclusive<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.slot.value.get() }
    }
}

/// A handle for reading.
///
/// # Safety
/// `handle` is NULL or came from this library and has not been freed.
pub(super) unsafe fn handle_ref<'a, T>(handle: *const Slot<T>, name: &str) -> Result<Shared<'a, T>, Error> {
    // SAFETY: by the caller's promise.
    let slot = unsafe { handle.as_ref() }.ok_or_else(|| null(name))?;
    Ok(Shared { slot, _entered: slot.mark.share(name)? })
}

/// A handle for reading that C may leave out.
///
/// # Safety
/// As [`handle_ref`].
pub(super) unsafe fn handle_ref_opt<'a, T>(handle: *const Slot<T>, name: &str) -> Result<Option<Shared<'a, T>>, Error> {
    // SAFETY: by the caller's promise.
    (!handle.is_null()).then(|| unsafe { handle_ref(handle, name) }).transpose()
}

/// A handle for changing.
///
/// # Safety
/// As [`handle_ref`].
pub(super) unsafe fn handle_mut<'a, T>(handle: *mut Slot<T>, name: &str) -> Result<Exclusive<'a, T>, Error> {
    // SAFETY: by the caller's promise.
    let slot = unsafe { handle.as_ref() }.ok_or_else(|| null(name))?;
    Ok(Exclusive { slot, _entered: slot.mark.exclude(name)? })
}

/// A handle that ends with the call, by the time this is dropped.
pub(super) struct Owned<T>(*mut Slot<T>);

impl<T> Owned<T> {
    /// None for NULL, and for a handle in use or lent: freeing one from inside its own callback is ignored (it leaks), as the
    /// call further up still uses it.
    ///
    /// # Safety
    /// As [`handle_ref`]; the pointer is not used afterwards.
    pub(super) unsafe fn take(handle: *mut Slot<T>) -> Option<Self> {
        // SAFETY: by the caller's promise.
        let slot = unsafe { handle.as_ref() }?;
        // What its value calls when it ends finds a handle that answers nothing, and whose free is ignored.
        slot.mark.end()?;
        Some(Owned(handle))
    }

    /// What it holds, until it is dropped.
    pub(super) fn get(&self) -> &T {
        // SAFETY: the value is there until this is dropped, and nobody else uses it, by the mark of `take`.
        unsafe { &*(*self.0).value.get() }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else uses the value, by the mark of `take`, nor will.
        unsafe { ptr::drop_in_place((*self.0).value.get()) };
        // SAFETY: every handle that is not lent comes from `Give`, and the header lets each be freed once; what was in it is
        // gone.
        drop(unsafe { Box::from_raw(self.0.cast::<std::mem::ManuallyDrop<Slot<T>>>()) });
    }
}

/// Bytes that C passes; NULL is fine for a length of 0.
///
/// # Safety
/// `data` is NULL or points to `len` readable bytes that nobody changes during the call.
pub(super) unsafe fn bytes_in<'a>(data: *const u8, len: usize, name: &str) -> Result<&'a [u8], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(name));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::new(Code::InvalidArgument, format!("{name}: invalid length {len}")));
    }
    // SAFETY: by the caller's promise; the length fits.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// Bytes that C may leave out: NULL means "none", an empty value is a value.
///
/// # Safety
/// As [`bytes_in`].
pub(super) unsafe fn bytes_in_opt<'a>(data: *const u8, len: usize, name: &str) -> Result<Option<&'a [u8]>, Error> {
    if data.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: by the caller's promise.
    unsafe { bytes_in(data, len, name) }.map(Some)
}

/// Text that C passes.
///
/// # Safety
/// `text` is NULL or ends with a NUL and is not changed during the call.
pub(super) unsafe fn text_in<'a>(text: *const c_char, name: &str) -> Result<&'a str, Error> {
    // SAFETY: by the caller's promise.
    unsafe { text_in_opt(text, name) }?.ok_or_else(|| null(name))
}

/// Text that C may leave out.
///
/// # Safety
/// As [`text_in`].
pub(super) unsafe fn text_in_opt<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    may_panic_on_demand();
    // SAFETY: by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Error::new(Code::NotUtf8, format!("{name} is not UTF-8")))
}

/// A switch: 1 or 0, nothing else.
pub(super) fn switch(on: i32) -> Result<bool, Error> {
    match on {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::new(Code::InvalidArgument, format!("{other} is neither 0 nor 1"))),
    }
}

/// One of a group of constants in C, one of these values in Rust.
pub(super) trait Choice: Copy + 'static {
    /// The group, as the header names it.
    const GROUP: &'static str;
    const ALL: &'static [(i32, Self)];

    fn chosen(number: i32) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(known, _)| *known == number);
        let unknown = || Error::new(Code::InvalidArgument, format!("{number} is none of {}", Self::GROUP));
        found.map(|(_, choice)| *choice).ok_or_else(unknown)
    }
}

/// Says which constants of C stand for which values.
macro_rules! choice {
    ($group:literal: $name:ident { $($constant:ident => $choice:ident),+ $(,)? }) => {
        impl $crate::args::Choice for $name {
            const GROUP: &'static str = $group;
            const ALL: &'static [(i32, Self)] = &[$(($constant, $name::$choice)),+];
        }
    };
}
pub(super) use choice;

/// A place for a result, zeroed first: it is written on every path. None for NULL.
///
/// # Safety
/// `place` is NULL or writable.
pub(super) unsafe fn out_opt<'a, T: Empty>(place: *mut T) -> Option<&'a mut T> {
    if place.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise; written before a reference is made, as C may pass uninitialised memory.
    unsafe {
        place.write(T::EMPTY);
        Some(&mut *place)
    }
}

/// What an out parameter holds when there is nothing to give.
pub(super) trait Empty {
    const EMPTY: Self;
}

impl<T> Empty for *mut T {
    const EMPTY: Self = ptr::null_mut();
}

impl Empty for i32 {
    const EMPTY: Self = 0;
}

impl Empty for u32 {
    const EMPTY: Self = 0;
}

impl Empty for i64 {
    const EMPTY: Self = 0;
}

impl Empty for usize {
    const EMPTY: Self = 0;
}

/// Text for C to read. A NUL inside, which only a peer's text can hold, is shown as U+FFFD.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).expect("no NUL is left")
}

/// Borrowed bytes for C: the pointer, and the length where it is wanted.
pub(super) fn lend(bytes: Option<&[u8]>, len: Option<&mut usize>) -> *const u8 {
    if let Some(len) = len {
        *len = bytes.map_or(0, <[u8]>::len);
    }
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

#[cold]
#[inline(never)]
pub(super) fn null(name: &str) -> Error {
    Error::new(Code::Null, format!("{name} is NULL"))
}

#[cold]
#[inline(never)]
fn in_use(name: &str) -> Error {
    Error::new(Code::Reentrant, format!("{name} is in use by a call that has not returned"))
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "the handles are made beside their use")]
mod tests {
    use super::*;
    use crate::guard::{guard, guard_value};

    type Sample = Vec<u8>;
    impl Handle for Sample {}

    unsafe fn peek<T>(handle: *const Slot<T>, otherwise: i32, look: impl Fn(&T) -> i32) -> i32 {
        let looked = guard_value(None, || unsafe { handle_ref(handle, "") }.ok().map(|value| look(&value)));
        looked.unwrap_or(otherwise)
    }

    unsafe fn free<T>(handle: *mut Slot<T>) {
        guard_value(None, || unsafe { Owned::take(handle) }.map(drop));
    }

    #[test]
    fn a_panic_in_a_call_poisons_the_handle_and_leaves_others_alone() {
        let handle = Sample::give(vec![1]);
        let other = Sample::give(vec![2]);
        let status = guard(ptr::null_mut(), || {
            let mut value = unsafe { handle_mut(handle, "sample") }?;
            value.push(2);
            panic!("on purpose");
        });
        assert_eq!(status, Code::Panic.number());
        let status = guard(ptr::null_mut(), || unsafe { handle_mut(handle, "sample") }.map(|_| ()));
        assert_eq!(status, Code::Poisoned.number());
        assert_eq!(unsafe { peek(handle, -1, |v| v.len() as i32) }, -1);
        assert_eq!(unsafe { peek(other, -1, |v| v.len() as i32) }, 1);
        unsafe {
            free(handle);
            free(other);
        }
    }

    #[test]
    fn a_handle_in_use_refuses_a_second_user() {
        let handle = Sample::give(vec![]);
        unsafe {
            let writer = handle_mut(handle, "sample").unwrap();
            assert_eq!(handle_ref(handle, "sample").err().unwrap().code(), Code::Reentrant);
            assert_eq!(handle_mut(handle, "sample").err().unwrap().code(), Code::Reentrant);
            free(handle);
            drop(writer);
            let readers = (handle_ref(handle, "sample").unwrap(), handle_ref(handle, "sample").unwrap());
            assert_eq!(handle_mut(handle, "sample").err().unwrap().code(), Code::Reentrant);
            drop(readers);
            assert!(handle_mut(handle, "sample").is_ok());
            free(handle);
        }
    }

    /// What a callback does that is told of the end of its handle.
    struct Ending(std::sync::Arc<std::sync::atomic::AtomicUsize>, AtomicI32);

    impl Handle for Ending {}

    static LAST: std::sync::atomic::AtomicPtr<Slot<Ending>> = std::sync::atomic::AtomicPtr::new(ptr::null_mut());

    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            let handle = LAST.load(Ordering::Relaxed);
            unsafe {
                assert_eq!(
                    peek(handle, -7, |value| value.1.load(Ordering::Relaxed)),
                    -7,
                    "it answers nothing any more"
                );
                assert_eq!(handle_mut(handle, "last").err().unwrap().code(), Code::Reentrant);
                free(handle);
            }
        }
    }

    #[test]
    fn a_handle_that_ends_is_in_use_and_its_free_from_inside_is_ignored() {
        let ended = std::sync::Arc::default();
        let handle = Give::give(Ending(std::sync::Arc::clone(&ended), AtomicI32::new(0)));
        LAST.store(handle, Ordering::Relaxed);
        unsafe { free(handle) };
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_text_of_a_panic_stays_inside() {
        let mut err = ptr::null_mut();
        let secret = "hunter2";
        guard(&mut err, || panic!("{secret}"));
        let failure = unsafe { handle_ref(err, "err") }.unwrap();
        let message = failure.error().message();
        assert!(message.contains("args.rs"));
        assert!(!message.contains(secret));
        drop(failure);
        unsafe { free(err) };
    }

    #[test]
    fn a_handle_that_is_lent_cannot_be_freed() {
        let slot = Slot::lent(vec![1u8]);
        unsafe { free(ptr::from_ref(&slot).cast_mut()) };
        assert_eq!(slot.into_value(), [1]);
    }
}
