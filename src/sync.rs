//! What the engine's values share between threads: small memories behind a [`Lock`], and answers that are worked out [`Once`].
//!
//! With the feature `std` both are the standard library's. Without an operating system there is nobody to wait for: what holds a lock
//! may be a task of lower priority or what an interrupt has broken into, and spinning would wait for ever. So a [`Lock`] is a critical
//! section there, of the crate of that name, which the board gives (`cortex-m`, Embassy, ESP-HAL and the RTOS crates do). While one is
//! held interrupts may be off. Nothing slow happens in it, least of all a signature: its only door is [`Lock::with`], and what is done
//! in there is looking up and putting in. A [`Once`] has no lock at all there: whoever is late drops an own answer, which is the same.

#[cfg(not(feature = "std"))]
pub(crate) use bare::{Lock, Once};
#[cfg(feature = "std")]
pub(crate) use hosted::{Lock, Once};

#[cfg(feature = "std")]
mod hosted {
    use std::sync::{Mutex, OnceLock, PoisonError};

    #[derive(Debug, Default)]
    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Lock(Mutex::new(value))
        }

        /// Something short with the value. What is done must not come back to the same lock.
        pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
            use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    #[derive(Debug)]
    pub(crate) struct Once<T>(OnceLock<T>);

    impl<T> Once<T> {
        pub(crate) fn new() -> Self {
            Once(OnceLock::new())
        }

        pub(crate) fn of(value: T) -> Self {
            Once(OnceLock::from(value))
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.0.get()
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            self.0.get_or_init(make)
        }
    }

    impl<T> Default for Once<T> {
        fn default() -> Self {
            Self::new()
        }
    }
}

#[cfg(not(feature = "std"))]
mod bare {
    use core::cell::RefCell;
    use core::fmt;

    use critical_section::Mutex;
    use once_cell::race::OnceBox;

    use crate::prelude::*;

    pub(crate) struct Lock<T>(Mutex<RefCell<T>>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Lock(Mutex::new(RefCell::new(value)))
        }

        /// Something short with the value. What is done must not come back to the same lock.
        pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|section| use_it(&mut self.0.borrow_ref_mut(section)))
        }
    }

    impl<T: Default> Default for Lock<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> fmt::Debug for Lock<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Lock").finish_non_exhaustive()
        }
    }

    pub(crate) struct Once<T>(OnceBox<T>);

    impl<T> Once<T> {
        pub(crate) fn new() -> Self {
            Once(OnceBox::new())
        }

        pub(crate) fn of(value: T) -> Self {
            Once(OnceBox::with_value(Box::new(value)))
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.0.get()
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            self.0.get_or_init(|| Box::new(make()))
        }
    }

    impl<T> fmt::Debug for Once<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Once").finish_non_exhaustive()
        }
    }

    impl<T> Default for Once<T> {
        fn default() -> Self {
            Self::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worked_out_once_stays_and_what_is_put_in_is_seen() {
        let once = Once::default();
        assert_eq!(once.get(), None);
        assert_eq!((once.get_or_init(|| 5), once.get_or_init(|| 6), once.get()), (&5, &5, Some(&5)));
        assert_eq!(Once::of(7).get_or_init(|| 8), &7);
        let lock = Lock::new(vec![1]);
        lock.with(|numbers| numbers.push(2));
        assert_eq!(lock.with(|numbers| numbers.clone()), [1, 2]);
    }
}
