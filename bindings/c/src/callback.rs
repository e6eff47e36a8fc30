//! What a program hands in besides a function: its user data, and how that ends.

use std::ffi::c_void;

/// `void (*)(void *user)`: runs exactly once, when the library will not use `user` any more.
pub(super) type Destroy = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// User data of a callback that the library keeps.
pub(super) struct User {
    user: *mut c_void,
    destroy: Destroy,
}

// SAFETY: the header tells the program that its callbacks run in the thread that calls the library, also concurrently where
// a handle is shared as const, and that destroy may run in any thread.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    /// Made first in a registering function, so that `destroy` runs also if the registering fails.
    pub(super) fn new(user: *mut c_void, destroy: Destroy) -> Self {
        User { user, destroy }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.user
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: as the header says: destroy takes this pointer, once.
            unsafe { destroy(self.user) }
        }
    }
}
