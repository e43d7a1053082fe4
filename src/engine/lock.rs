//! The locks of the engine. A lock is held for about a microsecond, so a thread that finds it held spins a few microseconds
//! before it sleeps: putting a thread to sleep and waking it costs more.

use std::hint::spin_loop;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// How often a lock that is held is tried again before the standard library's own way, which spins a little and sleeps.
const TRIES: u32 = 5;
/// The pause between two tries: each try takes the lock's cache line from the holder.
const SPINS_BETWEEN: u32 = 64;

pub(super) type Guard<'a, T> = MutexGuard<'a, T>;

/// A mutex that goes on after a panic under it.
#[derive(Default)]
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> Guard<'_, T> {
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => (0..SPINS_BETWEEN).for_each(|_| spin_loop()),
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_lock_goes_on_after_a_panic_under_it() {
        let lock = Lock::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut held = lock.lock();
            *held = 2;
            panic!("under the lock");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 2);
    }
}
