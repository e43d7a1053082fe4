//! The thread that appends to the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::time::sleep;

use super::compaction::{Mark, Pace};
use super::{Position, Shared, Takes, closed, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{Batch, Log, SpaceLevel};

/// How often a full log is tried again.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// What is appended at once.
pub(super) struct Commit {
    /// Empty if there are only marks.
    pub(super) batch: Arc<Batch>,
    pub(super) marks: Vec<Mark>,
    /// What is durable once it is.
    position: Position,
}

/// Fails every waiter when it is dropped: the thread ends, in whatever way.
struct FailOnDrop<'a>(&'a Shared);

impl Shared {
    /// Appends what is queued until the log is closed or fails.
    pub(super) fn write(&self, log: &dyn Log) -> Result<()> {
        let guard = FailOnDrop(self);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| {
            Error::new(ErrorKind::LogFailed, format!("the log's thread cannot start: {error}"))
        })?;
        let ended = runtime.block_on(self.work(log));
        match &ended {
            Ok(()) => self.waiters.fail(closed()),
            Err(error) => tracing::error!(%error, "the log failed: nothing is acknowledged any more"),
        }
        drop(guard);
        ended.and_then(|()| runtime.block_on(log.close()))
    }

    async fn work(&self, log: &dyn Log) -> Result<()> {
        let mut pace = Pace::of(log, self.checkpoint_bytes)?;
        let in_flight_max = log.limits().in_flight_max;
        let mut in_flight = FuturesOrdered::new();
        loop {
            let space = log.space()?;
            let level = space.level;
            self.take_only(if level < SpaceLevel::Full { Takes::All } else { Takes::Ends });
            self.hold_if(level == SpaceLevel::Critical);
            if let Some(due) = pace.due(log, space) {
                *self.compaction.lock() = Some(due);
                self.due.notify_one();
            }
            while in_flight.len() < in_flight_max
                && let Some(commit) = self.next()
            {
                in_flight.push_back(self.append(log, commit));
            }
            if in_flight.is_empty() && self.queue.lock().is_closed {
                return Ok(());
            }
            tokio::select! {
                Some(appended) = in_flight.next(), if !in_flight.is_empty() => {
                    let commit: Commit = appended?;
                    self.waiters.reach(commit.position);
                    pace.follow(&commit, log).await?;
                    self.reuse(commit.batch);
                }
                () = self.queued.notified() => {}
                () = sleep(FULL_RETRY), if level >= SpaceLevel::Full => {}
            }
        }
    }

    /// Takes everything that is queued, if there is anything.
    fn next(&self) -> Option<Commit> {
        let mut queue = self.queue.lock();
        if queue.entries.is_empty() && queue.marks.is_empty() {
            return None;
        }
        let spare = std::mem::take(&mut queue.spare);
        let batch = Arc::new(std::mem::replace(&mut queue.entries, spare));
        let marks = std::mem::take(&mut queue.marks);
        self.update_is_full(&queue);
        let (held, position) = (std::mem::take(&mut queue.held), self.appended());
        drop(queue);
        held.into_iter().for_each(std::task::Waker::wake);
        Some(Commit { batch, marks, position })
    }

    /// Keeps the buffer of a batch for the next one.
    fn reuse(&self, batch: Arc<Batch>) {
        if let Ok(mut batch) = Arc::try_unwrap(batch) {
            batch.clear();
            self.queue.lock().spare = batch;
        }
    }

    /// Appends a batch, and waits for a full log to have space for it.
    fn append<'a>(&'a self, log: &'a dyn Log, commit: Commit) -> impl Future<Output = Result<Commit>> + 'a {
        // Called here, not at the first poll: batches are appended in the order of the calls.
        let append = (!commit.batch.is_empty()).then(|| log.append(commit.batch.clone()));
        self.appended_or_retried(log, commit, append)
    }

    async fn appended_or_retried(
        &self,
        log: &dyn Log,
        commit: Commit,
        mut append: Option<BoxFuture<'_, Result<u64>>>,
    ) -> Result<Commit> {
        let mut was_full = false;
        while let Some(appending) = append.take() {
            match appending.await {
                Ok(_) => break,
                Err(error) if *error.kind() == ErrorKind::DiskFull && !self.queue.lock().is_closed => {
                    self.take_only(Takes::Ends);
                    if !std::mem::replace(&mut was_full, true) {
                        tracing::error!(%error, "the disk is full: nothing is acknowledged until it has space");
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = sleep(FULL_RETRY) => {}
                () = self.closing.notified() => {}
            }
            append = Some(log.append(commit.batch.clone()));
        }
        Ok(commit)
    }

    /// Holds back callers with new records, or releases them.
    pub(super) fn hold_if(&self, is_critical: bool) {
        let held = {
            let mut queue = self.queue.lock();
            let was_critical = std::mem::replace(&mut queue.is_critical, is_critical);
            self.update_is_full(&queue);
            if was_critical && !is_critical { std::mem::take(&mut queue.held) } else { Vec::new() }
        };
        held.into_iter().for_each(std::task::Waker::wake);
    }

    fn take_only(&self, takes: Takes) {
        let before = self.takes.swap(takes as u8, Ordering::Relaxed);
        match takes {
            Takes::Ends if before == Takes::All as u8 => {
                tracing::warn!("the log has almost no space left: new jobs are refused until it has");
            }
            Takes::All if before == Takes::Ends as u8 => {
                tracing::info!("the log has space again: new jobs are accepted");
            }
            _ => {}
        }
    }
}

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.takes.store(Takes::Nothing as u8, Ordering::Relaxed);
        let held = {
            let mut queue = shared.queue.lock();
            // Callers of later commands are refused, not held back.
            (queue.is_critical, queue.is_ended) = (false, true);
            queue.entries = Batch::default();
            shared.update_is_full(&queue);
            std::mem::take(&mut queue.held)
        };
        shared.waiters.fail(failed());
        shared.due.notify_one();
        held.into_iter().for_each(std::task::Waker::wake);
    }
}
