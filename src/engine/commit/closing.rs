//! Closing the log, with or without a limit for a slow disk.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Commit;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// The time limit for closing the log when the last handle of an engine is dropped that was not closed.
const DROP_TIME_MAX: Duration = Duration::from_secs(5);

/// One wait of a close without a limit.
const FOREVER: Duration = Duration::from_secs(3_600);

impl Commit {
    /// Appends what is queued and closes the log; blocks. Only the first call has an effect.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before.
    fn close(&self) -> Result<()> {
        while !self.close_within(FOREVER)? {}
        Ok(())
    }

    /// [`Commit::close`] with a time limit. Returns whether the log is closed.
    fn close_within(&self, within: Duration) -> Result<bool> {
        self.shared.queue.lock().is_closed = true;
        self.shared.queued.notify_one();
        self.shared.closing.notify_one();
        let mut writer = self.writer.lock();
        let ended = match writer.as_ref() {
            None => return Ok(true),
            Some(ended) => ended.recv_timeout(within),
        };
        if ended == Err(RecvTimeoutError::Timeout) {
            return Ok(false);
        }
        *writer = None;
        let panicked = || Error::new(ErrorKind::Internal, "the writer of the log panicked");
        ended.map_err(|_| panicked())?.map(|()| true)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        // Who has called it before knows, or was not willing to wait.
        if !self.shared.queue.lock().is_closed {
            let _ = self.close_within(DROP_TIME_MAX);
        }
    }
}

impl Engine {
    /// Closes the log in good order, once everything queued is appended; blocks. Nothing becomes durable after it. Only the
    /// first call has an effect.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before. What was not acknowledged since then may not be stored.
    pub fn close(&self) -> Result<()> {
        self.0.commit.as_ref().map_or(Ok(()), Commit::close)
    }

    /// [`Engine::close`] with a time limit for a slow disk. Returns whether the log is closed. If it is not, its thread goes on
    /// with appends that were not acknowledged, and the directory is in use until the thread or the process ends.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::close`].
    pub fn close_within(&self, within: Duration) -> Result<bool> {
        self.0.commit.as_ref().map_or(Ok(true), |commit| commit.close_within(within))
    }
}
