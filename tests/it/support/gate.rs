//! A gate at which handlers wait until the test opens it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::wait_for;

/// A handle of a gate. Clones share the gate.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    passes: Arc<Semaphore>,
}

impl Gate {
    /// Creates a closed gate.
    pub(crate) fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), passes: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until the gate is opened. For handlers.
    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        self.passes.acquire().await.expect("the semaphore is never closed").forget();
    }

    /// Waits for the arrival of one more handler. For tests.
    pub(crate) async fn arrival(&self) {
        let arrival = wait_for("a handler arrives at its gate", self.arrived.acquire()).await;
        arrival.expect("the semaphore is never closed").forget();
    }

    /// Lets this many handlers pass. For tests.
    pub(crate) fn open(&self, handlers: usize) {
        self.passes.add_permits(handlers);
    }
}
