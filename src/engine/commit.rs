//! Group commit: one thread appends all entries queued since its last append as one batch, then wakes their waiters.
//!
//! It holds the engine's rule of durability: no effect leaves the engine before the records that caused it are durable.

mod closing;
pub(super) mod codec;
mod compaction;
mod entries;
pub(super) mod opening;
mod reading;
pub(super) mod record_buffer;
pub(super) mod salvage;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::lock::{Guard, Lock};
use crate::clock::Now;
use crate::core::{Core, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::wal::{Batch, Log};
pub(super) use compaction::Due;
use compaction::Mark;
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
    /// Behind everything that is ever recorded.
    pub(super) const MAX: Self = Self(u64::MAX);
}

/// The queue to the log, and the tasks that wait for it.
pub(super) struct Commit {
    shared: Arc<Shared>,
    log: Arc<dyn Log>,
    /// How the writer thread ended; `None` once that was answered.
    writer: Lock<Option<Receiver<Result<()>>>>,
    /// Permits to load contents from the log.
    loads: Semaphore,
    /// The sequence of the first entry that is queued.
    first_sequence: NonZeroU64,
}

struct Shared {
    queue: Lock<Queue>,
    /// How many entries were ever queued; changed under the queue's lock.
    appended: AtomicU64,
    /// Whether the queue is above its high-water mark; changed under its lock.
    is_full: AtomicBool,
    /// Notified when there is something to append, or nothing more comes.
    queued: Notify,
    /// Notified when nothing more comes.
    closing: Notify,
    waiters: Waiters,
    /// What the log takes, as a number of [`Takes`].
    takes: AtomicU8,
    /// Most bytes of an entry.
    entry_bytes_max: usize,
    /// Fewest bytes between two compactions.
    checkpoint_bytes: u64,
    /// Notified when a compaction is due.
    due: Notify,
    /// The one that is.
    compaction: Lock<Option<Due>>,
}

/// What the log takes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    /// The ends of what runs, but no new jobs: the disk is full.
    Ends,
    Nothing,
}

#[derive(Default)]
struct Queue {
    entries: Batch,
    /// The buffer of the next batch.
    spare: Batch,
    /// Monotonic time of the newest entry.
    newest: Duration,
    /// Where compactions end.
    marks: Vec<Mark>,
    is_closed: bool,
    /// The writer thread has ended.
    is_ended: bool,
    /// The log has space for compaction alone.
    is_critical: bool,
    /// Callers that wait until the queue is taken.
    held: Vec<Waker>,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.entries.bytes() >= QUEUE_BYTES_MAX || self.is_critical
    }
}

impl Commit {
    /// Starts the thread that appends to this log from entry `next_sequence` on. It asks for a compaction after
    /// `checkpoint_bytes`.
    pub(super) fn start(
        log: Arc<dyn Log>,
        next_sequence: u64,
        checkpoint_bytes: u64,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Lock::default(),
            appended: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            queued: Notify::new(),
            closing: Notify::new(),
            waiters: Waiters::default(),
            takes: AtomicU8::new(Takes::All as u8),
            entry_bytes_max: log.limits().entry_bytes_max,
            checkpoint_bytes,
            due: Notify::new(),
            compaction: Lock::default(),
        });
        let (of_writer, its_log) = (shared.clone(), log.clone());
        let (end, writer) = sync_channel(1);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            let ended = of_writer.write(&*its_log);
            drop(its_log);
            // The receiver is gone if the engine gave up on a slow disk.
            let _ = end.send(ended);
        })?;
        let first_sequence = NonZeroU64::new(next_sequence).unwrap_or(NonZeroU64::MIN);
        let (writer, loads) = (Lock::new(Some(writer)), Semaphore::new(LOADS_MAX));
        Ok(Self { shared, log, writer, loads, first_sequence })
    }

    /// Queues what a command recorded. Called under the engine's lock, so that entries are in the order of commands; it
    /// never waits for the disk. Entries beyond [`QUEUE_BYTES_MAX`] come from commands that were admitted before the queue
    /// was full.
    pub(super) fn append(&self, core: &mut Core, now: Now, records: Vec<Record>) -> Writing<'_> {
        let shared = &*self.shared;
        let mut queue = shared.queue.lock();
        let (queued, before) = (shared.appended().0, queue.entries.len());
        queue.newest = now.monotonic;
        let (mut left, mut added) = (None, 1);
        if queue.is_ended {
            // Positions go on, so that nothing recorded after the end is taken for durable.
        } else if codec::bytes_max(&records) <= shared.entry_bytes_max {
            core.write_to(self.sequence(queued + 1));
            left = Some(records);
        } else {
            entries::add(&mut queue.entries, now, &records, shared.entry_bytes_max);
            self.tell_where(core, queued, queue.entries.after(before));
            added = (queue.entries.len() - before) as u64;
        }
        shared.appended.fetch_add(added, Ordering::Relaxed);
        Writing { shared, queue, now, records: left }
    }

    /// Monotonic time of the newest entry since the start.
    pub(super) fn newest(&self) -> Duration {
        self.shared.queue.lock().newest
    }

    /// Bytes of entries that are queued.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.shared.queue.lock().entries.bytes() as u64
    }

    /// What is durable once everything queued so far is.
    pub(super) fn position(&self) -> Position {
        self.shared.appended()
    }

    /// Waits until the position is durable.
    ///
    /// # Errors
    ///
    /// `LogFailed`: it never will be.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        let durable = self.shared.waiters.now(position);
        if durable.is_pending() {
            self.shared.wake_at(position, context.waker().clone());
        }
        durable
    }

    /// Wakes the waker once the position is durable or never will be.
    pub(super) fn wake_at(&self, position: Position, waker: Waker) {
        match self.shared.waiters.now(position) {
            Poll::Ready(_) => waker.wake(),
            Poll::Pending => self.shared.wake_at(position, waker),
        }
    }

    /// Everything up to here is durable.
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
        queue.held.push(context.waker().clone());
        Poll::Pending
    }

    /// Whether [`QUEUE_BYTES_MAX`] are queued, or the log is close to its bound.
    pub(super) fn is_full(&self) -> bool {
        self.shared.is_full.load(Ordering::Relaxed)
    }

    /// Why no new job may be accepted, if none may.
    pub(super) fn refusal(&self) -> Option<Error> {
        match self.shared.takes() {
            Takes::All => None,
            Takes::Ends => Some(disk_full()),
            Takes::Nothing => Some(failed()),
        }
    }
}

/// Records with a position in the queue that are not encoded yet. Dropping it encodes them, without the engine's lock. It holds
/// the lock of the queue, so that entries keep their order.
#[must_use]
pub(super) struct Writing<'a> {
    shared: &'a Shared,
    queue: Guard<'a, Queue>,
    now: Now,
    records: Option<Vec<Record>>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let Self { shared, queue, now, records } = self;
        if let Some(records) = records.take() {
            entries::add_one(&mut queue.entries, *now, &records);
            record_buffer::put_back(records);
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

    fn takes(&self) -> Takes {
        let now = self.takes.load(Ordering::Relaxed);
        [Takes::All, Takes::Ends].into_iter().find(|takes| *takes as u8 == now).unwrap_or(Takes::Nothing)
    }
}

fn disk_full() -> Error {
    let message = "the server's log has no room left: running jobs may end, new ones must wait for room";
    Error::new(ErrorKind::DiskFull, message)
}

/// The error of every call after the log was closed in good order.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::LogFailed, "the log is closed: the server is about to end")
}

/// The error of every call after the first failed append or sync. The cause is in the server's own log.
pub(super) fn failed() -> Error {
    let message = "the server cannot write its log: nothing more is acknowledged before it is restarted";
    Error::new(ErrorKind::LogFailed, message)
}
