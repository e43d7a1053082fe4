//! The rule of durability: no effect leaves the engine before the records that caused it are durable.
//!
//! Every answer is made together with the log position that it depends on, and waits for that position here. Without a log
//! nothing waits.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use super::delivery::State;
use super::{Engine, Position};
use crate::clock::Now;
use crate::core::Effects;
use crate::error::{Error, ErrorKind, Result};

/// A value, and the log position that must be durable before the value leaves the engine.
#[derive(Debug)]
pub(super) struct Pending<T> {
    pub(super) value: T,
    pub(super) position: Position,
}

impl Engine {
    /// Whether accepted jobs survive a crash of the server: it has a log on disk.
    pub fn is_durable(&self) -> bool {
        self.0.commit.is_some()
    }

    /// Runs a command that changes something: waits until the log takes more, and answers once its records are durable.
    ///
    /// # Errors
    ///
    /// Those of the command; `LogFailed` after the log failed.
    pub(super) async fn call<T>(
        &self,
        apply: impl FnOnce(&mut State, Now, &mut Effects) -> Result<T>,
    ) -> Result<T> {
        self.admitted().await?;
        let answer = self.command(apply);
        self.release(answer).await
    }

    /// Answers a question once everything that the answer shows is durable.
    ///
    /// # Errors
    ///
    /// Those of the question; `LogFailed` after the log failed.
    pub(super) async fn read<T>(&self, look: impl FnOnce(&State, Now) -> Result<T>) -> Result<T> {
        let answer = self.look(look)?;
        self.release(answer).await
    }

    /// What the state shows now.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State, Now) -> Result<T>) -> Result<Pending<Result<T>>> {
        self.check_log()?;
        let state = self.0.state.lock();
        let value = look(&state, self.now());
        Ok(Pending { value, position: self.position() })
    }

    /// The answer, once its position is durable. A refusal for want of capacity kept nothing and shows nothing: it does not
    /// wait, least of all for a full disk.
    pub(super) async fn release<T>(&self, answer: Pending<Result<T>>) -> Result<T> {
        let Pending { value, position } = answer;
        if !value.as_ref().is_err_and(is_refusal) {
            poll_fn(|context| self.poll_durable(position, context)).await?;
        }
        value
    }

    /// Waits until the log takes more records: backpressure. Without a log at once.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_admission(&self, context: &Context<'_>) -> Poll<Result<()>> {
        let Some(commit) = &self.0.commit else { return Poll::Ready(Ok(())) };
        commit.poll_admission(context).map(|()| commit.check())
    }

    /// [`Engine::poll_admission`], as a future.
    pub(super) async fn admitted(&self) -> Result<()> {
        poll_fn(|context| self.poll_admission(context)).await
    }

    /// Whether [`Engine::poll_admission`] would not wait.
    pub(crate) fn has_capacity(&self) -> bool {
        self.0.commit.as_ref().is_none_or(|commit| !commit.is_full())
    }

    /// Waits until the position is durable.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        match &self.0.commit {
            Some(commit) => commit.poll_durable(position, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Wakes the waker once the position is durable or never will be.
    pub(super) fn wake_at(&self, position: Position, waker: Waker) {
        match &self.0.commit {
            Some(commit) => commit.wake_at(position, waker),
            None => waker.wake(),
        }
    }

    /// The position behind everything that was recorded until now. To be read under the engine's lock, together with what it
    /// is the position of.
    pub(super) fn position(&self) -> Position {
        self.0.commit.as_ref().map_or(Position::default(), |commit| commit.position())
    }

    /// The position up to which everything is durable.
    pub(super) fn durable_position(&self) -> Position {
        self.0.commit.as_ref().map_or(Position::MAX, |commit| commit.durable())
    }

    /// # Errors
    ///
    /// `LogFailed` once the log failed or was closed.
    pub(super) fn check_log(&self) -> Result<()> {
        self.0.commit.as_ref().map_or(Ok(()), |commit| commit.check())
    }

    /// Waits until everything recorded until now is durable.
    pub(crate) async fn durable(&self) -> Result<()> {
        let position = self.position();
        poll_fn(|context| self.poll_durable(position, context)).await
    }

    /// Waits until the log failed or was closed: every call is refused from then on. For ever without a log.
    pub async fn log_failure(&self) -> Error {
        match poll_fn(|context| self.poll_durable(Position::MAX, context)).await {
            Err(error) => error,
            Ok(()) => std::future::pending().await,
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ResourceExhausted { .. } | ErrorKind::DiskFull | ErrorKind::Draining { .. }
    )
}
