//! The lock of the engine's state. Commands hold it for about a microsecond: the standard library's spins that long
//! before it sleeps, where one that yields or sleeps at once pays for two switches of threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that goes on after a panic under it.
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
