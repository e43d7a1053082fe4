//! The thread that appends to the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::time::sleep;

use super::compaction::Schedule;
use super::{Position, Shared, closed, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{Batch, Log, SpaceLevel};

/// Most bytes for which the buffer of a new batch has capacity.
const NEXT_BATCH_BYTES_MAX: usize = 1 << 20;
/// The delay before the append to a full log is retried.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// Fails every waiter when it is dropped: the thread ended or panicked.
struct FailOnDrop<'a>(&'a Shared);

impl Shared {
    /// Appends the queued entries until the log is closed or fails.
    pub(super) fn write(&self, log: &dyn Log) -> Result<()> {
        let guard = FailOnDrop(self);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| {
            Error::new(ErrorKind::LogFailed, format!("the log's thread cannot start: {error}"))
        })?;
        let result = runtime.block_on(self.run(log));
        match &result {
            Ok(()) => self.waiters.fail(closed()),
            Err(error) => tracing::error!(%error, "the log failed: nothing is acknowledged any more"),
        }
        drop(guard);
        result.and_then(|()| runtime.block_on(log.close()))
    }

    async fn run(&self, log: &dyn Log) -> Result<()> {
        let mut schedule = Schedule::new(self.compaction_bytes, log.space()?.bytes);
        let in_flight_max = log.limits().in_flight_max;
        let mut in_flight = FuturesOrdered::new();
        loop {
            let space = log.space()?;
            self.refuse_jobs(space.level >= SpaceLevel::Full);
            self.set_critical(space.level == SpaceLevel::Critical);
            if let Some(due) = schedule.due(log, space) {
                *self.due.lock() = Some(due);
                self.due_changed.notify_one();
            }
            while in_flight.len() < in_flight_max
                && let Some((batch, position)) = self.take_batch()
            {
                schedule.appended_bytes += batch.bytes() as u64;
                // Called here, not at the first poll: batches are appended in the order of the calls.
                let append = log.append(batch.clone());
                in_flight.push_back(self.finish_append(log, batch, append, position));
            }
            let (compacted, is_closed) = {
                let mut queue = self.queue.lock();
                (queue.compacted.take(), queue.is_closed && queue.entries.is_empty())
            };
            if let Some(trim_before) = compacted {
                schedule.compaction_ended();
                if let Some(sequence) = trim_before {
                    log.trim(sequence).await?;
                }
                continue;
            }
            if in_flight.is_empty() && is_closed {
                return Ok(());
            }
            tokio::select! {
                Some(position) = in_flight.next(), if !in_flight.is_empty() => self.waiters.advance(position?),
                () = self.queued.notified() => {}
                () = sleep(FULL_RETRY), if space.level >= SpaceLevel::Full => {}
            }
        }
    }

    /// Takes everything that is queued, with the position after it; `None` if nothing is.
    fn take_batch(&self) -> Option<(Arc<Batch>, Position)> {
        let mut queue = self.queue.lock();
        if queue.entries.is_empty() {
            return None;
        }
        // The next batch is likely to be as large: growing its buffer would copy it several times.
        let bytes = queue.entries.bytes().min(NEXT_BATCH_BYTES_MAX);
        let next = Batch::with_capacity(queue.entries.iter().len(), bytes);
        let batch = Arc::new(std::mem::replace(&mut queue.entries, next));
        self.update_is_full(&queue);
        let (waiters, position) = (std::mem::take(&mut queue.admission_waiters), self.appended());
        drop(queue);
        waiters.into_iter().for_each(Waker::wake);
        Some((batch, position))
    }

    /// Waits until a batch is durable, and retries its append while the log is full. Returns the position.
    async fn finish_append<'a>(
        &self,
        log: &'a dyn Log,
        batch: Arc<Batch>,
        mut append: BoxFuture<'a, Result<u64>>,
        position: Position,
    ) -> Result<Position> {
        let mut was_full = false;
        loop {
            match append.await {
                Ok(_) => return Ok(position),
                Err(error) if *error.kind() == ErrorKind::DiskFull && !self.queue.lock().is_closed => {
                    self.refuse_jobs(true);
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
            append = log.append(batch.clone());
        }
    }

    /// Makes callers with new records wait for admission while the log has capacity for compaction alone.
    pub(super) fn set_critical(&self, is_critical: bool) {
        let waiters = {
            let mut queue = self.queue.lock();
            let was_critical = std::mem::replace(&mut queue.is_critical, is_critical);
            self.update_is_full(&queue);
            if was_critical && !is_critical {
                std::mem::take(&mut queue.admission_waiters)
            } else {
                Vec::new()
            }
        };
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Refuses new jobs while the log is full.
    fn refuse_jobs(&self, is_full: bool) {
        match (self.refuses_jobs.swap(is_full, Ordering::Relaxed), is_full) {
            (false, true) => {
                tracing::warn!("the log is almost full: new jobs are refused until it has space")
            }
            (true, false) => tracing::info!("the log has space again: new jobs are accepted"),
            _ => {}
        }
    }
}

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        let Self(shared) = self;
        let waiters = {
            let mut queue = shared.queue.lock();
            // Later commands are refused: their callers must not wait for admission.
            (queue.is_critical, queue.is_ended) = (false, true);
            queue.entries = Batch::default();
            shared.update_is_full(&queue);
            std::mem::take(&mut queue.admission_waiters)
        };
        shared.waiters.fail(failed());
        shared.due_changed.notify_one();
        waiters.into_iter().for_each(Waker::wake);
    }
}
