//! Lease calls: unary calls of workers for jobs.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Waker;

use uuid::Uuid;

use super::session::Outbox;
use super::{Engine, Pending};
use crate::core::SessionKey;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Assignment, Peer, SessionSpec};

/// A worker's call for jobs. Dropping it releases the jobs that were not taken.
pub(crate) struct LeaseCall {
    engine: Engine,
    key: SessionKey,
    outbox: Arc<Outbox>,
    /// Whether there were jobs when the call was opened.
    is_ready: bool,
}

impl LeaseCall {
    /// Requests as many jobs as `spec` has slots. A repeat of a call, with its request id, gets the jobs that the call
    /// took. If the call still waits, the repeat waits in its place, and the call ends with `WorkerReplaced`.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`, `Draining`; `InvalidField` if the id is that of another request; `LogFailed`.
    pub(crate) async fn open(
        engine: &Engine,
        spec: &SessionSpec,
        peer: Peer,
        request_id: Option<Uuid>,
    ) -> Result<Self> {
        let outbox = Arc::<Outbox>::default();
        let mut replaced = None;
        engine.admitted().await?;
        let Pending { value, position } = engine.command(|state, now, effects| {
            let key = state.core.open_unary(now, spec, peer, request_id, effects)?;
            replaced = state.replace_outbox(key, outbox.clone());
            Ok((key, state.core.has_jobs(key)))
        });
        replaced.into_iter().for_each(Waker::wake);
        match value {
            Ok((key, is_ready)) => Ok(Self { engine: engine.clone(), key, outbox, is_ready }),
            Err(error) => engine.release(Pending { value: Err(error), position }).await,
        }
    }

    /// Waits until there is a job, or no job can follow.
    pub(crate) async fn ready(&self) {
        if !self.is_ready {
            poll_fn(|context| self.outbox.poll_ready(context)).await;
        }
    }

    /// Takes the jobs and starts their attempts. Returns them once they are durable. If the future is dropped, the
    /// attempts run: only a repeat of the call gets them.
    ///
    /// # Errors
    ///
    /// `WorkerReplaced` if a repeat of the call took its place; `LogFailed`.
    pub(crate) async fn take(self) -> Result<Vec<Assignment>> {
        let taken = self.engine.command(|state, now, effects| {
            if !state.is_outbox(self.key, &self.outbox) {
                let message = "another Lease with the same request_id took the place of this one";
                return Err(Error::new(ErrorKind::WorkerReplaced, message));
            }
            state.outboxes.remove(&self.key);
            Ok(state.core.take_leases(now, self.key, effects))
        });
        self.engine.release(taken).await
    }
}

impl Drop for LeaseCall {
    fn drop(&mut self) {
        self.engine.command(|state, now, effects| {
            // Not if the jobs were taken, or by a repeat of the call.
            if state.is_outbox(self.key, &self.outbox) {
                state.outboxes.remove(&self.key);
                state.core.disconnect(now, self.key, effects);
            }
        });
    }
}
