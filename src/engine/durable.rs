//! The rule of durability: no effect leaves the engine before the records that caused it are durable.
//!
//! Every response is made together with the log position that it depends on, and waits for that position here. Without a log
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

    /// Waits for admission, runs a command, and returns once its records are durable.
    ///
    /// # Errors
    ///
    /// Those of the command; `LogFailed` after the log failed.
    pub(super) async fn call<T>(
        &self,
        apply: impl FnOnce(&mut State, Now, &mut Effects) -> Result<T>,
    ) -> Result<T> {
        self.admitted().await?;
        let pending = self.command(apply);
        self.release(pending).await
    }

    /// Reads the state, and returns once everything that was read is durable.
    ///
    /// # Errors
    ///
    /// Those of the read; `LogFailed` after the log failed.
    pub(super) async fn read<T>(&self, read: impl FnOnce(&State, Now) -> Result<T>) -> Result<T> {
        let pending = self.read_now(read)?;
        self.release(pending).await
    }

    /// Reads the state.
    pub(super) fn read_now<T>(
        &self,
        read: impl FnOnce(&State, Now) -> Result<T>,
    ) -> Result<Pending<Result<T>>> {
        self.check_log()?;
        let state = self.0.state.lock();
        let value = read(&state, self.now());
        Ok(Pending { value, position: self.position() })
    }

    /// Waits until the position of a value is durable, and returns the value. A refusal for lack of capacity changed nothing:
    /// it does not wait for a disk that may be full.
    pub(super) async fn release<T>(&self, pending: Pending<Result<T>>) -> Result<T> {
        let Pending { value, position } = pending;
        if !value.as_ref().is_err_and(is_refusal) {
            poll_fn(|context| self.poll_durable(position, context)).await?;
        }
        value
    }

    /// Waits until new records are admitted: backpressure of the log. Without a log, it never waits.
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

    /// Runs the function once the position is durable; never if the position never will be.
    pub(super) fn run_at(&self, position: Position, run: impl FnOnce() + Send + 'static) {
        match &self.0.commit {
            Some(commit) => commit.run_at(position, run),
            None => run(),
        }
    }

    /// The position after everything that was recorded so far. To be read under one hold of the engine's lock with the state
    /// that it belongs to.
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

    /// Waits until everything that was recorded so far is durable.
    pub(crate) async fn durable(&self) -> Result<()> {
        let position = self.position();
        poll_fn(|context| self.poll_durable(position, context)).await
    }

    /// Waits until the log failed or was closed: every call is refused from then on. Never returns without a log.
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
