//! Group commit: one thread appends all entries queued since its last append as one batch, then wakes their waiters.
//!
//! It holds the engine's rule of durability: no effect leaves the engine before the records that caused it are durable.

mod closing;
pub(super) mod codec;
mod compaction;
mod entries;
pub(super) mod opening;
mod reading;
pub(super) mod salvage;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};

use crate::clock::Now;
use crate::core::{Core, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{Batch, Log, LogMeter};
pub(super) use compaction::DueCompaction;
use entries::RecordCounts;
pub(super) use reading::missing;
use waiters::Waiters;

/// The high-water mark of the queue, in bytes: callers with new records wait above it. While one batch is appended, as many
/// bytes again may be queued: both together stay within [`crate::wal::Options::reserve_bytes`].
pub(super) const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Most loads of contents at the same time, each of a job or of a page of jobs.
const LOADS_MAX: usize = 64;

/// A log position: the number of entries that were queued before. A state that was read then is durable once they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

impl Position {
    /// After every entry.
    pub(super) const MAX: Self = Self(u64::MAX);
}

/// The queue to the log, and the tasks that wait for it.
pub(super) struct Commit {
    shared: Arc<Shared>,
    log: Arc<dyn Log>,
    /// Receives the result of the writer thread; `None` after it was received.
    writer: Mutex<Option<Receiver<Result<()>>>>,
    /// Permits to load contents from the log.
    loads: Semaphore,
    /// The sequence of the first entry that is queued.
    first_sequence: NonZeroU64,
}

struct Shared {
    queue: Mutex<Queue>,
    /// The number of entries that were ever queued; changed under the queue's lock.
    appended: AtomicU64,
    /// Whether the queue is above its high-water mark; changed under its lock.
    is_full: AtomicBool,
    /// Notified when entries were queued, a compaction ended or the log is to be closed.
    queued: Notify,
    /// Notified when the log is to be closed.
    closing: Notify,
    waiters: Waiters,
    /// Whether the log has capacity only for the outcomes of accepted jobs: new jobs are refused.
    refuses_jobs: AtomicBool,
    /// Most bytes of an entry.
    entry_bytes_max: usize,
    /// Fewest bytes between two compactions.
    compaction_bytes: u64,
    /// The compaction that is due and has not started.
    due: Mutex<Option<DueCompaction>>,
    /// Notified when a compaction is due or the writer thread ended.
    due_changed: Notify,
}

#[derive(Default)]
struct Queue {
    entries: Batch,
    /// Monotonic time of the last entry.
    last_entry_time: Duration,
    /// A compaction that ended: the sequence up to which the log can be trimmed, if it can be.
    compacted: Option<Option<u64>>,
    is_closed: bool,
    /// Whether the writer thread has ended.
    is_ended: bool,
    /// Whether the log has capacity for compaction alone.
    is_critical: bool,
    /// Callers that wait for admission.
    admission_waiters: Vec<Waker>,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.entries.bytes() >= QUEUE_BYTES_MAX || self.is_critical
    }
}

impl Commit {
    /// Starts the thread that appends to this log, from entry `next_sequence` on. It requests a compaction after
    /// `compaction_bytes`.
    pub(super) fn start(
        log: Arc<dyn Log>,
        next_sequence: u64,
        compaction_bytes: u64,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            appended: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            queued: Notify::new(),
            closing: Notify::new(),
            waiters: Waiters::default(),
            refuses_jobs: AtomicBool::new(false),
            entry_bytes_max: log.limits().entry_bytes_max,
            compaction_bytes,
            due: Mutex::default(),
            due_changed: Notify::new(),
        });
        let (writer_shared, writer_log) = (shared.clone(), log.clone());
        let (sender, writer) = sync_channel(1);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            let result = writer_shared.write(&*writer_log);
            drop(writer_log);
            // The receiver is dropped if the close of the engine timed out.
            let _ = sender.send(result);
        })?;
        let first_sequence = NonZeroU64::new(next_sequence).unwrap_or(NonZeroU64::MIN);
        let (writer, loads) = (Mutex::new(Some(writer)), Semaphore::new(LOADS_MAX));
        Ok(Self { shared, log, writer, loads, first_sequence })
    }

    /// Queues the records of a command. Called under the engine's lock, so that entries have the order of commands; it never
    /// waits for the disk. Entries beyond [`QUEUE_BYTES_MAX`] come from commands that were admitted before the queue was full.
    /// `core` gets the sequence of the next entry and, if the command takes several entries, the sequence of each record.
    pub(super) fn append(&self, core: &mut Core, now: Now, records: Vec<Record>) -> DeferredEncode<'_> {
        let shared = &*self.shared;
        let mut queue = shared.queue.lock();
        queue.last_entry_time = now.monotonic;
        let counts = entries::split(now, &records, shared.entry_bytes_max);
        let first = shared.appended.fetch_add(counts.len() as u64, Ordering::Relaxed);
        core.set_log_entry(self.sequence(first + counts.len() as u64));
        if counts.len() > 1 {
            for (index, part) in (first..).zip(entries::parts(&records, &counts)) {
                core.set_written(part, self.sequence(index));
            }
        }
        DeferredEncode { shared, queue, now, records, counts }
    }

    /// The sequence of the entry after the first `queued`.
    fn sequence(&self, queued: u64) -> NonZeroU64 {
        self.first_sequence.saturating_add(queued)
    }

    /// Monotonic time of the last entry since the start.
    pub(super) fn last_entry_time(&self) -> Duration {
        self.shared.queue.lock().last_entry_time
    }

    /// What the log measures.
    pub(super) fn log_meter(&self) -> Option<&LogMeter> {
        self.log.meter()
    }

    /// Bytes of entries that are queued.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.shared.queue.lock().entries.bytes() as u64
    }

    /// The position after every entry that was queued so far.
    pub(super) fn position(&self) -> Position {
        self.shared.appended()
    }

    /// Waits until the position is durable.
    ///
    /// # Errors
    ///
    /// `LogFailed`: the position will never be durable.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        let durable = self.shared.waiters.poll(position);
        if durable.is_pending() {
            self.shared.wake_at(position, context.waker().clone());
        }
        durable
    }

    /// Wakes the waker once the position is durable or never will be.
    pub(super) fn wake_at(&self, position: Position, waker: Waker) {
        match self.shared.waiters.poll(position) {
            Poll::Ready(_) => waker.wake(),
            Poll::Pending => self.shared.wake_at(position, waker),
        }
    }

    /// Runs the function once the position is durable; never if the position never will be.
    pub(super) fn run_at(&self, position: Position, run: impl FnOnce() + Send + 'static) {
        self.wake_at(position, self.shared.running(position, run));
    }

    /// The position up to which everything is durable.
    pub(super) fn durable(&self) -> Position {
        self.shared.waiters.durable()
    }

    /// # Errors
    ///
    /// `LogFailed` once the log failed or is closed.
    pub(super) fn check(&self) -> Result<()> {
        self.shared.waiters.check()
    }

    /// Waits while the queue is above its high-water mark.
    pub(super) fn poll_admission(&self, context: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        let mut queue = self.shared.queue.lock();
        if !queue.is_full() {
            return Poll::Ready(());
        }
        queue.admission_waiters.push(context.waker().clone());
        Poll::Pending
    }

    /// Whether [`QUEUE_BYTES_MAX`] are queued, or the log is close to its bound.
    pub(super) fn is_full(&self) -> bool {
        self.shared.is_full.load(Ordering::Relaxed)
    }

    /// The error for new jobs while none may be accepted.
    pub(super) fn refusal(&self) -> Option<Error> {
        let is_disk_full = self.shared.refuses_jobs.load(Ordering::Relaxed);
        self.check().err().or_else(|| is_disk_full.then(disk_full))
    }
}

/// Records with a position in the queue that are not encoded yet. Dropping it encodes them, without the engine's lock. It
/// holds the lock of the queue, so that entries keep their order.
#[must_use]
pub(super) struct DeferredEncode<'a> {
    shared: &'a Shared,
    queue: MutexGuard<'a, Queue>,
    now: Now,
    records: Vec<Record>,
    counts: RecordCounts,
}

impl Drop for DeferredEncode<'_> {
    fn drop(&mut self) {
        let Self { shared, queue, now, records, counts } = self;
        // After the writer thread ended, positions still grow: nothing that is recorded then counts as durable.
        if !queue.is_ended {
            entries::add(&mut queue.entries, *now, records, counts);
        }
        shared.update_is_full(queue);
        shared.queued.notify_one();
    }
}

impl Shared {
    fn appended(&self) -> Position {
        Position(self.appended.load(Ordering::Relaxed))
    }

    fn update_is_full(&self, queue: &Queue) {
        self.is_full.store(queue.is_full(), Ordering::Relaxed);
    }
}

fn disk_full() -> Error {
    let message = "the log is full: running jobs can end, new jobs are refused: free disk space and retry";
    Error::new(ErrorKind::DiskFull, message)
}

/// The error of every call after the log was closed in good order.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::LogFailed, "the log is closed: the server is about to end")
}

/// The error of every call after the first failed append or sync. The cause is in the server's own log.
pub(super) fn failed() -> Error {
    let message = "the server cannot write its log: nothing is acknowledged until it is restarted";
    Error::new(ErrorKind::LogFailed, message)
}
