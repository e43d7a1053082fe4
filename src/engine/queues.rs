//! Commands for whole queues.

use super::{Engine, LOCK_BUDGET};
use crate::error::Result;
use crate::job::QueueView;

impl Engine {
    /// Pauses a queue: no further attempts of its jobs start.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if too many queues exist and this one does not.
    pub async fn pause_queue(&self, name: &str) -> Result<QueueView> {
        self.call(|state, now, effects| {
            state.core.pause_queue(name, effects)?;
            state.core.queue(now, name)
        })
        .await
    }

    /// Resumes a paused queue.
    ///
    /// # Errors
    ///
    /// `QueueNotFound`.
    pub async fn resume_queue(&self, name: &str) -> Result<QueueView> {
        self.call(|state, now, effects| {
            let before = state.core.queue(now, name)?;
            state.core.resume_queue(now, name, effects)?;
            Ok(state.core.queue(now, name).unwrap_or(QueueView { paused: false, ..before }))
        })
        .await
    }

    /// Cancels every waiting job of the queue and returns their count.
    ///
    /// # Errors
    ///
    /// `QueueNotFound`.
    pub async fn purge_queue(&self, name: &str) -> Result<u32> {
        let mut purged = 0;
        loop {
            let part = self
                .call(|state, now, effects| state.core.purge_queue(now, name, LOCK_BUDGET, effects))
                .await?;
            purged += part as u32;
            if part < LOCK_BUDGET {
                return Ok(purged);
            }
        }
    }
}
