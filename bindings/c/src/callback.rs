//! What a program hands in besides a function: its user data, and how that ends.
//!
//! Functions of programs are called through what `#[callback]` makes beside their type. That such a call is sound is argued here,
//! once for all: by the header, the program's function takes what its type says for the duration of the call, and keeps none of
//! it; text ends with NUL, bytes have their length, handles live in a [`super::args::Slot`] that is lent.

use std::ffi::c_void;

use super::key::devid_destroy_fn;

/// User data of a callback that the library keeps.
pub(super) struct User {
    user: *mut c_void,
    destroy: Option<devid_destroy_fn>,
}

// SAFETY: the header tells the program that its callbacks run in the thread that calls the library, also concurrently where
// a handle is shared as const, and that destroy may run in any thread.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    /// Made first in a registering function, so that `destroy` runs also if the registering fails.
    pub(super) fn new(user: *mut c_void, destroy: Option<devid_destroy_fn>) -> Self {
        User { user, destroy }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.user
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            devid_destroy_fn(destroy, self);
        }
    }
}
