//! The end of a log: in good order, or of the wait for a disk that is too slow.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Commit;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// What a slow disk gets to take what is queued when the last handle of an engine is dropped that nobody closed.
const DROP_TIME_MAX: Duration = Duration::from_secs(5);

/// A wait that is begun anew until the disk has answered.
const FOREVER: Duration = Duration::from_secs(3_600);

impl Commit {
    /// Writes what is queued and ends the log; blocks until that is done. Only the first call does anything.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before.
    fn close(&self) -> Result<()> {
        while !self.close_within(FOREVER)? {}
        Ok(())
    }

    /// [`Commit::close`], but waits no longer than this. Answers whether the log has ended.
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
    /// Ends the log in good order, once everything queued is written; blocks. Nothing becomes durable after it. Only the
    /// first call does anything.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before: what was not acknowledged since then is not kept.
    pub fn close(&self) -> Result<()> {
        self.0.commit.as_ref().map_or(Ok(()), Commit::close)
    }

    /// [`Engine::close`] for who cannot wait for a slow disk: gives up after this long and answers whether the log has
    /// ended. If it has not, its thread is left behind with what it writes; none of that was acknowledged to anybody. The
    /// directory is in use until the thread ends, or the process.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::close`].
    pub fn close_within(&self, within: Duration) -> Result<bool> {
        self.0.commit.as_ref().map_or(Ok(true), |commit| commit.close_within(within))
    }
}
