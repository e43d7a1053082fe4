//! Closing the log, with or without a limit for a slow disk.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Commit;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// The time limit for closing the log when the last handle of an engine is dropped that was not closed.
const DROP_TIME_MAX: Duration = Duration::from_secs(5);

impl Commit {
    /// Appends the queued entries and closes the log within a time limit; blocks. Returns whether the log is closed.
    ///
    /// # Errors
    ///
    /// The failure of the log, for the first call that finds it closed.
    fn close_within(&self, within: Duration) -> Result<bool> {
        self.shared.queue.lock().is_closed = true;
        self.shared.queued.notify_one();
        self.shared.closing.notify_one();
        let mut writer = self.writer.lock();
        let Some(receiver) = writer.as_ref() else { return Ok(true) };
        let result = receiver.recv_timeout(within);
        if result == Err(RecvTimeoutError::Timeout) {
            return Ok(false);
        }
        *writer = None;
        let panicked = || Error::new(ErrorKind::Internal, "the writer of the log panicked");
        result.map_err(|_| panicked())?.map(|()| true)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        // An earlier call returned the result, or timed out.
        if !self.shared.queue.lock().is_closed {
            let _ = self.close_within(DROP_TIME_MAX);
        }
    }
}

impl Engine {
    /// Appends the queued entries and closes the log; blocks. Nothing becomes durable after it. Only the first call has an
    /// effect.
    ///
    /// # Errors
    ///
    /// The failure of the log, now or before. Entries that were not acknowledged may not be stored.
    pub fn close(&self) -> Result<()> {
        self.close_within(Duration::MAX).map(drop)
    }

    /// [`Engine::close`] with a time limit for a slow disk. Returns whether the log is closed. If it is not, the writer thread
    /// continues, and the directory is in use until the thread or the process ends.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::close`].
    pub fn close_within(&self, within: Duration) -> Result<bool> {
        self.0.commit.as_ref().map_or(Ok(true), |commit| commit.close_within(within))
    }
}
