//! From records to the disk: one thread writes whatever was queued since its last sync, then everyone who waits for it
//! goes on.
//!
//! The rule it serves: nothing leaves the engine before the records that caused it are on disk.

mod checkpoint;
mod closing;
pub(super) mod codec;
mod disk;
mod entries;
mod lost;
pub(super) mod opening;
mod reading;
pub(super) mod room;
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

use super::Engine;
use super::lock::{Bell, Guard, Lock};
use crate::clock::Now;
use crate::core::{Core, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Nearness;
use checkpoint::Mark;
pub(crate) use checkpoint::{Cut, Due};
use entries::Entries;
use lost::{Lost, failed};
pub(super) use reading::lost;
use waiters::Waiters;

/// Bytes of entries that may be queued before whoever makes more is held back. While they are written, as many again may
/// be queued: both together stay within what [`crate::log::Options::reserve_bytes`] keeps for the ends of running jobs.
pub(super) const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Reads of contents at the same time, each of a job or of a page of them.
const LOADS_MAX: usize = 64;

/// Bytes of entries that wait for somebody to wait for them: with more, they are written unasked.
const UNASKED_BYTES_MAX: usize = 1 << 20;

/// Where entries go. Calls block, and come from one thread.
pub(crate) trait Log: Send {
    /// Writes the entries and makes them durable, in order.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no room: nothing was written, and it may be tried again if [`Log::prepare`] does not fail.
    /// After any other error nothing is tried again.
    fn append(&mut self, entries: &[&[u8]]) -> Result<()>;

    /// Gets ready for more after an append, if it has to. A failure is that of the next call.
    fn make_ahead(&mut self) {}

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

    /// How close it is to its bound, if it has one.
    fn nearness(&self) -> Nearness;

    /// Whether it has a bound.
    fn is_bounded(&self) -> bool;

    /// Lets it exceed its bound once.
    fn overdraw(&mut self);

    /// Where it may begin once what is needed of what comes before was written again, nearest to its beginning first.
    fn cuts(&self) -> Vec<Cut>;

    /// Most bytes of an entry.
    fn entry_bytes_max(&self) -> usize;

    /// Forgets every segment before this one.
    ///
    /// # Errors
    ///
    /// Those of the file system: nothing more is written then.
    fn trim(&mut self, before: u64) -> Result<()>;

    /// The sequence of the entry that is appended next.
    fn next_sequence(&self) -> u64;

    /// What reads entries again, whatever becomes of the log.
    fn reader(&self) -> Box<dyn Reader>;

    /// Ends the log in good order.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn close(self: Box<Self>) -> Result<()>;
}

/// Reads entries again. Calls block, and come from any thread.
pub(crate) trait Reader: Send + Sync {
    /// The entry with this sequence; `None` if it was trimmed.
    ///
    /// # Errors
    ///
    /// `LogDamaged`, or those of the file system.
    fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>>;
}

/// How many entries were queued before a moment: what was seen then is durable once they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

/// The queue to the log, and who waits for it.
pub(super) struct Commit {
    shared: Arc<Shared>,
    /// How the writer ended; `None` once somebody knows.
    writer: Lock<Option<Receiver<Result<()>>>>,
    reader: Arc<dyn Reader>,
    /// Held by whoever reads contents from the log.
    loads: Semaphore,
    /// The sequence of the first entry that is queued.
    first_sequence: NonZeroU64,
}

struct Shared {
    queue: Lock<Queue>,
    /// How many entries were ever queued; changed under the queue's lock.
    appended: AtomicU64,
    /// Whether the queue has no room; changed under its lock.
    is_crowded: AtomicBool,
    /// Told when there is something to write, or nothing more comes.
    queued: Bell,
    waiters: Waiters,
    /// What the log takes, as a number of [`Takes`].
    takes: AtomicU8,
    /// Most bytes of an entry.
    entry_bytes_max: usize,
    /// Fewest bytes between two checkpoints.
    checkpoint_bytes: u64,
    /// Told when a checkpoint is due.
    due: Notify,
    /// The one that is.
    checkpoint: Lock<Option<Due>>,
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
    entries: Entries,
    /// The latest position that somebody waits for. What comes after it can wait for more to be written with.
    asked: Position,
    /// The writer waits without looking by itself.
    is_asleep: bool,
    /// Monotonic time of the newest entry.
    newest: Duration,
    /// Where checkpoints end.
    marks: Vec<Mark>,
    is_closed: bool,
    /// The log has room for little more than what gives back its oldest segment.
    is_tight: bool,
    /// Once the writer is gone: what it has not written, and what is recorded since then.
    lost: Option<Lost>,
    /// Who waits for the queue to be taken.
    held: Vec<Waker>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.marks.is_empty()
    }

    /// Whether what is queued is to be written now; `appended` is where it ends.
    fn is_urgent(&self, appended: Position) -> bool {
        let first = Position(appended.0 - self.entries.len() as u64);
        let is_asked = self.asked > first || self.is_closed || !self.marks.is_empty();
        (is_asked || self.entries.bytes() > UNASKED_BYTES_MAX) && !self.is_empty()
    }

    fn has_room(&self) -> bool {
        self.entries.bytes() < QUEUE_BYTES_MAX && !self.is_tight
    }
}

impl Commit {
    /// Starts the writer of this log, which asks for a checkpoint after so many bytes.
    pub(super) fn start(log: Box<dyn Log>, checkpoint_bytes: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Lock::default(),
            appended: AtomicU64::new(0),
            is_crowded: AtomicBool::new(false),
            queued: Bell::default(),
            waiters: Waiters::default(),
            takes: AtomicU8::new(Takes::All as u8),
            entry_bytes_max: log.entry_bytes_max(),
            checkpoint_bytes,
            due: Notify::new(),
            checkpoint: Lock::default(),
        });
        let (reader, next_sequence) = (log.reader().into(), log.next_sequence());
        let of_writer = shared.clone();
        let (end, writer) = sync_channel(1);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            let ended = of_writer.write(log);
            // The receiver is gone if nobody waits for a slow disk any more.
            let _ = end.send(ended);
        })?;
        let first_sequence = NonZeroU64::new(next_sequence).unwrap_or(NonZeroU64::MIN);
        Ok(Self {
            shared,
            writer: Lock::new(Some(writer)),
            reader,
            loads: Semaphore::new(LOADS_MAX),
            first_sequence,
        })
    }

    /// Takes the place in the queue of what a command recorded. Called under the engine's lock, so that entries stand in the
    /// order of commands; so it never waits for the disk, and what is queued beyond [`QUEUE_BYTES_MAX`] is what was on its
    /// way before anybody was held.
    pub(super) fn append(&self, core: &mut Core, now: Now, records: Vec<Record>) -> Writing<'_> {
        let shared = &*self.shared;
        let mut queue = shared.queue.lock();
        let (queued, before) = (shared.appended().0, queue.entries.len());
        queue.newest = now.monotonic;
        let mut left = None;
        // Positions go on after the end, so that nothing recorded then is taken for durable.
        let mut added = 1;
        match &mut queue.lost {
            Some(lost) => lost.add(now, &records),
            None if codec::bytes_max(&records) <= shared.entry_bytes_max => {
                core.write_to(self.sequence(queued + 1));
                left = Some(records);
            }
            None => {
                queue.entries.add(now, &records, shared.entry_bytes_max);
                self.tell_where(core, queued, queue.entries.after(before));
                added = (queue.entries.len() - before) as u64;
            }
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

    /// Waits until the position is durable, and has it written soon.
    ///
    /// # Errors
    ///
    /// `LogFailed`: it never will be.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        self.poll_durable_until(position, position, context)
    }

    /// Waits until the first position is durable, and has all up to the last one written soon.
    fn poll_durable_until(&self, first: Position, last: Position, context: &Context<'_>) -> Poll<Result<()>> {
        let durable = self.shared.waiters.poll(first, context);
        if durable.is_pending() {
            self.shared.ask(last);
        }
        durable
    }

    /// Whether less than [`QUEUE_BYTES_MAX`] is queued, and the log is not too close to its bound.
    fn has_room(&self) -> bool {
        !self.shared.is_crowded.load(Ordering::Relaxed)
    }

    /// Waits until it has room.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut queue = self.shared.queue.lock();
        if queue.has_room() {
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
}

/// Records whose place in the queue is taken. Dropping it puts them there, for which the engine's lock is needed no more:
/// until then nobody else gets to the queue.
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
            queue.entries.add_one(*now, &records);
            room::keep(records);
        }
        shared.look_for_room(queue);
        if queue.is_asleep || queue.entries.bytes() > UNASKED_BYTES_MAX {
            shared.queued.ring();
        }
    }
}

impl Shared {
    fn appended(&self) -> Position {
        Position(self.appended.load(Ordering::Relaxed))
    }

    /// Somebody waits for the position.
    fn ask(&self, position: Position) {
        let mut queue = self.queue.lock();
        if queue.asked < position {
            queue.asked = position;
            drop(queue);
            self.queued.ring();
        }
    }

    fn look_for_room(&self, queue: &Queue) {
        self.is_crowded.store(!queue.has_room(), Ordering::Relaxed);
    }

    fn takes(&self) -> Takes {
        let now = self.takes.load(Ordering::Relaxed);
        [Takes::All, Takes::Ends].into_iter().find(|takes| *takes as u8 == now).unwrap_or(Takes::Nothing)
    }
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
        self.poll_durable_until(position, position, context)
    }

    /// [`Engine::poll_durable`] for many: until the first position is on disk, and the last one is asked for.
    pub(crate) fn poll_durable_until(
        &self,
        first: Position,
        last: Position,
        context: &Context<'_>,
    ) -> Poll<Result<()>> {
        match &self.0.commit {
            Some(commit) => commit.poll_durable_until(first, last, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Has everything up to the position written soon, without waiting for it.
    pub(crate) fn ask_durable(&self, position: Position) {
        if let Some(commit) = &self.0.commit {
            commit.shared.ask(position);
        }
    }

    /// Whether the position is on disk, or never will be.
    pub(crate) fn durable_now(&self, position: Position) -> Poll<Result<()>> {
        #[cfg(test)]
        if self.0.options.core.planted == Some(crate::core::Planted::AnswersEarly) {
            return Poll::Ready(Ok(()));
        }
        self.0.commit.as_ref().map_or(Poll::Ready(Ok(())), |commit| commit.shared.waiters.now(position))
    }

    /// Whether the position is on disk.
    pub(super) fn is_kept(&self, position: Position) -> bool {
        self.0.commit.as_ref().is_none_or(|commit| commit.shared.waiters.is_durable(position))
    }

    /// Wakes once the position is on disk, or never will be.
    pub(super) fn wake_durable(&self, position: Position, waker: Waker) {
        if self.poll_durable(position, &Context::from_waker(&waker)).is_ready() {
            waker.wake();
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
}

fn disk_full() -> Error {
    let message = "the server's log has no room left: running jobs may end, new ones must wait for room";
    Error::new(ErrorKind::DiskFull, message)
}
