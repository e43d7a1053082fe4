//! From records to the disk: one thread writes whatever was queued since its last sync, then everyone who waits for it
//! goes on.
//!
//! The rule it serves: nothing leaves the engine before the records that caused it are on disk.

mod checkpoint;
pub(super) mod codec;
pub(super) mod opening;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::Engine;
use crate::clock::Now;
use crate::core::Record;
use crate::error::{Error, ErrorKind, Result};
use checkpoint::Mark;
use waiters::Waiters;

/// Bytes of entries that may be queued before whoever makes more is held back. While they are written, as many again may
/// be queued: both together stay within what [`crate::log::Options::reserve_bytes`] keeps for the ends of running jobs.
pub(super) const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Where entries go. Calls block, and come from one thread.
pub(crate) trait Log: Send {
    /// Writes the entries and makes them durable, in order.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no room: nothing was written, and it may be tried again if [`Log::prepare`] does not fail.
    /// After any other error nothing is tried again.
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<()>;

    /// Gets ready for what comes, a part at a time, and looks whether a full disk has room again. Answers whether another
    /// part is left.
    ///
    /// # Errors
    ///
    /// Those of the file system, and that of an append that failed for good. A full disk is none.
    fn prepare(&mut self) -> Result<bool>;

    /// Whether new work may be taken on, and not only the ends of what runs.
    fn has_room(&self) -> bool;

    /// Bytes of everything that is kept.
    fn bytes(&self) -> u64;

    /// The segment that entries go to now.
    fn segment(&self) -> u64;

    /// Most bytes of an entry.
    fn entry_bytes_max(&self) -> usize;

    /// Forgets every segment before this one.
    ///
    /// # Errors
    ///
    /// Those of the file system: nothing more is written then.
    fn trim(&mut self, before: u64) -> Result<()>;

    /// Ends the log in good order.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn close(self: Box<Self>) -> Result<()>;
}

/// How many entries were queued before a moment: what was seen then is durable once they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

/// The queue to the log, and who waits for it.
pub(super) struct Commit {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<Result<()>>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to write, or nothing more comes.
    queued: Condvar,
    waiters: Waiters,
    /// What the log takes, as a number of [`Takes`].
    takes: AtomicU8,
    /// Most bytes of an entry.
    entry_bytes_max: usize,
    /// Fewest bytes between two checkpoints.
    checkpoint_bytes: u64,
    /// Told when a checkpoint is due.
    due: Notify,
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
    entries: Vec<Vec<u8>>,
    bytes: usize,
    appended: u64,
    /// Where checkpoints begin and end.
    marks: Vec<Mark>,
    is_closed: bool,
    /// The writer is gone: what is queued is written by nobody.
    is_over: bool,
    /// Who waits for the queue to be taken.
    held: Vec<Waker>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.marks.is_empty()
    }
}

impl Commit {
    /// Starts the writer of this log, which asks for a checkpoint after so many bytes.
    pub(super) fn start(log: Box<dyn Log>, checkpoint_bytes: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queued: Condvar::new(),
            waiters: Waiters::default(),
            takes: AtomicU8::new(Takes::All as u8),
            entry_bytes_max: log.entry_bytes_max(),
            checkpoint_bytes,
            due: Notify::new(),
        });
        let of_writer = shared.clone();
        let writer =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || of_writer.write(log))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Queues what a command recorded. Called under the engine's lock, so that entries stand in the order of commands;
    /// so it never waits, and what is queued beyond [`QUEUE_BYTES_MAX`] is what was on its way before anybody was held.
    pub(super) fn append(&self, now: Now, records: &[Record]) {
        let mut entries = Vec::new();
        encode(now, records, self.shared.entry_bytes_max, &mut entries);
        let mut queue = self.shared.queue.lock();
        queue.appended += entries.len() as u64;
        if queue.is_over {
            return;
        }
        queue.bytes += entries.iter().map(Vec::len).sum::<usize>();
        let was_empty = queue.entries.is_empty();
        queue.entries.append(&mut entries);
        if was_empty {
            self.shared.queued.notify_one();
        }
    }

    /// What is durable once everything queued so far is.
    pub(super) fn position(&self) -> Position {
        Position(self.shared.queue.lock().appended)
    }

    /// Waits until the position is durable.
    ///
    /// # Errors
    ///
    /// `LogFailed`: it never will be.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        self.shared.waiters.poll(position, context)
    }

    /// Whether less than [`QUEUE_BYTES_MAX`] is queued.
    fn has_room(&self) -> bool {
        self.shared.queue.lock().bytes < QUEUE_BYTES_MAX
    }

    /// Waits until less than [`QUEUE_BYTES_MAX`] is queued.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut queue = self.shared.queue.lock();
        if queue.bytes < QUEUE_BYTES_MAX {
            return Poll::Ready(());
        }
        queue.held.push(context.waker().clone());
        Poll::Pending
    }

    /// Why no new job may be accepted, if none may.
    pub(super) fn refusal(&self) -> Option<Error> {
        match self.shared.takes() {
            Takes::All => None,
            Takes::Ends => Some(disk_full()),
            Takes::Nothing => Some(failed()),
        }
    }

    /// Writes what is queued and ends the log; blocks until that is done. Only the first call does anything.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before.
    pub(super) fn close(&self) -> Result<()> {
        self.shared.queue.lock().is_closed = true;
        self.shared.queued.notify_one();
        match self.writer.lock().take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(Error::new(ErrorKind::Internal, "the writer of the log panicked")),
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        // Whoever wants to know has called it before.
        let _ = self.close();
    }
}

impl Shared {
    fn takes(&self) -> Takes {
        let now = self.takes.load(Ordering::Relaxed);
        [Takes::All, Takes::Ends].into_iter().find(|takes| *takes as u8 == now).unwrap_or(Takes::Nothing)
    }
}

/// One entry for all records; more only if it would be larger than an entry may be.
fn encode(now: Now, records: &[Record], bytes_max: usize, entries: &mut Vec<Vec<u8>>) {
    let mut entry = Vec::new();
    codec::encode(now, records, &mut entry);
    if entry.len() > bytes_max && records.len() > 1 {
        let (first, second) = records.split_at(records.len() / 2);
        encode(now, first, bytes_max, entries);
        return encode(now, second, bytes_max, entries);
    }
    entries.push(entry);
}

impl Engine {
    /// Whether it keeps a log.
    pub fn is_durable(&self) -> bool {
        self.0.commit.is_some()
    }

    /// What everything that was seen until now is a part of.
    pub(crate) fn position(&self) -> Position {
        self.0.commit.as_ref().map(Commit::position).unwrap_or_default()
    }

    /// Waits until the position is on disk; at once without a log.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        #[cfg(test)]
        if self.0.options.core.planted == Some(crate::core::Planted::AnswersEarly) {
            return Poll::Ready(Ok(()));
        }
        match &self.0.commit {
            Some(commit) => commit.poll_durable(position, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Waits while more is reported than the disk takes; at once without a log. Whoever brings something new asks before
    /// it is read.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        match &self.0.commit {
            Some(commit) => commit.poll_room(context),
            None => Poll::Ready(()),
        }
    }

    /// Whether the disk keeps up with what is reported.
    pub(crate) fn has_room(&self) -> bool {
        self.0.commit.as_ref().is_none_or(Commit::has_room)
    }

    /// Waits until everything that was seen until now is on disk; at once without a log.
    ///
    /// Calls of this handle that change something have waited for it when they answer. Those that read, and watches, may
    /// show what is not on disk yet; a [`Server`](crate::server::Server) holds that back.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn durable(&self) -> Result<()> {
        let position = self.position();
        std::future::poll_fn(|context| self.poll_durable(position, context)).await
    }

    /// Waits until the log has failed, or was closed: nothing becomes durable any more. For good without a log.
    pub async fn log_failure(&self) -> Error {
        let never = Position(u64::MAX);
        if self.is_durable()
            && let Err(error) = std::future::poll_fn(|context| self.poll_durable(never, context)).await
        {
            return error;
        }
        std::future::pending().await
    }

    /// Ends the log in good order, once everything queued is written; blocks. Nothing becomes durable after it. Only the
    /// first call does anything.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before: what was not acknowledged since then is not kept.
    pub fn close(&self) -> Result<()> {
        self.0.commit.as_ref().map_or(Ok(()), Commit::close)
    }
}

impl Log for crate::log::Log {
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<()> {
        self.append(entries).map(drop)
    }

    fn prepare(&mut self) -> Result<bool> {
        self.prepare()
    }

    fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.bytes).sum()
    }

    fn segment(&self) -> u64 {
        self.segments().last().map_or(0, |segment| segment.number)
    }

    fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max()
    }

    fn trim(&mut self, before: u64) -> Result<()> {
        self.trim(before)
    }

    fn has_room(&self) -> bool {
        self.has_room()
    }

    fn close(self: Box<Self>) -> Result<()> {
        (*self).close()
    }
}

/// What callers are told; what happened is in the server's own log.
fn failed() -> Error {
    let message = "the server cannot write its log: nothing more is acknowledged before it is restarted";
    Error::new(ErrorKind::LogFailed, message)
}

fn disk_full() -> Error {
    let message = "the disk of the server's log is full: running jobs may end, new ones must wait for room";
    Error::new(ErrorKind::DiskFull, message)
}
