//! The locks of the engine. They are held for about a microsecond, so who finds one held spins for some of them before it
//! sleeps: to put a thread to sleep and to wake it costs both sides more.

use std::hint::spin_loop;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How often a lock that is held is tried again before the standard library's own way, which spins a little and sleeps.
const TRIES: u32 = 5;
/// The pause between two tries: each takes the lock's cache line from who holds it.
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

/// Tells a thread that waits with a [`Lock`] that what is under it has changed.
#[derive(Default)]
pub(super) struct Bell(Condvar);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits without the lock, for at most so long. Answers whether the bell may have rung.
    pub(super) fn wait<'a, T>(
        &self,
        guard: Guard<'a, T>,
        patience: Option<Duration>,
    ) -> (Guard<'a, T>, bool) {
        let Some(patience) = patience else {
            return (self.0.wait(guard).unwrap_or_else(PoisonError::into_inner), true);
        };
        let waited = self.0.wait_timeout(guard, patience);
        let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (guard, !timeout.timed_out())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

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

    #[test]
    fn a_bell_ends_a_wait_and_so_does_patience() {
        let (lock, bell) = (Lock::new(false), Bell::default());
        let (held, has_rung) = bell.wait(lock.lock(), Some(Duration::ZERO));
        assert!(!has_rung);
        drop(held);
        thread::scope(|scope| {
            scope.spawn(|| {
                *lock.lock() = true;
                bell.ring();
            });
            let mut is_told = lock.lock();
            while !*is_told {
                (is_told, _) = bell.wait(is_told, None);
            }
        });
    }
}
