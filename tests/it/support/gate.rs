//! A gate that handlers wait at, so that a test decides when they go on.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::wait_for;

/// Cheap to clone; all clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    passes: Arc<Semaphore>,
}

impl Gate {
    /// Closed.
    pub(crate) fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), passes: Arc::new(Semaphore::new(0)) }
    }

    /// For the handler: waits for a pass.
    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        self.passes.acquire().await.expect("a gate is never closed for good").forget();
    }

    /// For the test: waits until one more handler stands here.
    pub(crate) async fn arrival(&self) {
        let arrival = wait_for("a handler arrives at its gate", self.arrived.acquire()).await;
        arrival.expect("a gate is never closed for good").forget();
    }

    /// For the test: lets this many handlers through.
    pub(crate) fn open(&self, handlers: usize) {
        self.passes.add_permits(handlers);
    }
}
