//! From records to the disk: one thread writes whatever was queued since its last sync, then everyone who waits for it
//! goes on.
//!
//! The rule it serves: nothing leaves the engine before the records that caused it are on disk.

mod checkpoint;
pub(super) mod codec;
mod waiters;

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::{Engine, EngineOptions};
use crate::clock::{Clock, Now};
use crate::core::{Core, Effects, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Timestamp;
use checkpoint::{Mark, Pace};
use codec::Unreadable;
use waiters::Waiters;

/// Where entries go. Calls block, and come from one thread.
pub(crate) trait Log: Send {
    /// Writes the entries and makes them durable, in order. After the first failure nothing is tried again.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<()>;

    /// Bytes of everything that is kept.
    fn bytes(&self) -> u64;

    /// The segment that entries go to now.
    fn segment(&self) -> u64;

    /// Forgets every segment before this one.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
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
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to write, or nothing more comes.
    queued: Condvar,
    waiters: Waiters,
    /// Told when a checkpoint is due.
    due: Notify,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Vec<u8>>,
    appended: u64,
    /// Where checkpoints begin and end.
    marks: Vec<Mark>,
    is_closed: bool,
}

/// What is written at once.
#[derive(Default)]
struct Batch {
    entries: Vec<Vec<u8>>,
    marks: Vec<Mark>,
    position: Position,
}

impl Commit {
    /// Starts the writer of this log.
    pub(super) fn start(log: Box<dyn Log>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queued: Condvar::new(),
            waiters: Waiters::default(),
            due: Notify::new(),
        });
        let of_writer = shared.clone();
        let writer =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || of_writer.write(log))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Queues what a command recorded. Called under the engine's lock, so that entries stand in the order of commands.
    pub(super) fn append(&self, now: Now, records: &[Record]) {
        let mut entry = Vec::new();
        codec::encode(now, records, &mut entry);
        let mut queue = self.shared.queue.lock();
        queue.appended += 1;
        queue.entries.push(entry);
        if queue.entries.len() == 1 {
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

    /// Writes what is queued and ends the log; blocks until that is done.
    pub(super) fn close(&self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.queued.notify_one();
        if let Some(writer) = self.writer.lock().take() {
            // A writer that panicked has failed the log for everyone who waits.
            let _ = writer.join();
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// The writer's life.
    fn write(&self, mut log: Box<dyn Log>) {
        let _failed_unless_closed = self.waiters.fail_when_dropped();
        let mut pace = Pace::of(&*log);
        let mut batch = Batch::default();
        while self.take(&mut batch) {
            let segment = log.segment();
            if let Err(error) = log.append(&batch.entries) {
                tracing::error!(%error, "the log failed: nothing is acknowledged any more");
                return self.waiters.fail(failed(&error));
            }
            self.waiters.reach(batch.position);
            if let Err(error) = pace.follow(&batch, segment, &mut *log) {
                tracing::error!(%error, "the log failed: nothing is acknowledged any more");
                return self.waiters.fail(failed(&error));
            }
            if pace.is_due() {
                self.due.notify_one();
            }
        }
        if let Err(error) = log.close() {
            tracing::error!(%error, "the log was not closed in good order");
        }
    }

    /// Takes everything queued, once there is something; answers false when nothing more comes.
    fn take(&self, batch: &mut Batch) -> bool {
        batch.entries.clear();
        batch.marks.clear();
        let mut queue = self.queue.lock();
        while queue.entries.is_empty() && queue.marks.is_empty() {
            if queue.is_closed {
                return false;
            }
            self.queued.wait(&mut queue);
        }
        std::mem::swap(&mut queue.entries, &mut batch.entries);
        std::mem::swap(&mut queue.marks, &mut batch.marks);
        batch.position = Position(queue.appended);
        true
    }
}

impl Engine {
    /// An engine that keeps its jobs in this directory, with what is in it: see [`Engine::start`].
    ///
    /// # Errors
    ///
    /// Those of [`crate::log::Log::open`]; `LogRefused` if a newer version wrote an entry, `LogDamaged` if one means
    /// nothing.
    pub fn open(options: EngineOptions, directory: &Path) -> Result<Self> {
        let mut core = Core::new(options.core.clone(), rand::random());
        let mut last = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
        let replay = |position, bytes: &[u8]| {
            let entry = codec::decode(bytes).map_err(|why| unreadable(&why, position, directory))?;
            last = entry.now;
            entry.records.into_iter().for_each(|record| core.replay(record));
            Ok(())
        };
        let (log, _) = crate::log::Log::open(directory, &crate::log::Options::default(), replay)?;
        Self::resume(core, last, Box::new(log), options)
            .map_err(|error| failed_to("start its writer", &error))
    }

    /// An engine that keeps its jobs in this log, with its ticker on the present tokio runtime. `core` has taken in what
    /// the log held, the last of it at `last`.
    fn resume(mut core: Core, last: Now, log: Box<dyn Log>, options: EngineOptions) -> std::io::Result<Self> {
        let clock = Clock::system_after(last.monotonic);
        let mut effects = Effects { records: Some(Vec::new()), ..Effects::default() };
        let now = clock.now();
        core.resume(now, &mut effects);
        let commit = Commit::start(log)?;
        if let Some(records) = effects.records.filter(|records| !records.is_empty()) {
            commit.append(now, &records);
        }
        Ok(Self::of(core, options, clock, Some(commit)).ticking())
    }

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
        match &self.0.commit {
            Some(commit) => commit.poll_durable(position, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ends the log in good order, once everything queued is written; blocks. Nothing becomes durable after it.
    pub fn close(&self) {
        if let Some(commit) = &self.0.commit {
            commit.close();
        }
    }

    /// Waits until everything that was seen until now is on disk; at once without a log.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub async fn durable(&self) -> Result<()> {
        let position = self.position();
        std::future::poll_fn(|context| self.poll_durable(position, context)).await
    }
}

impl Log for crate::log::Log {
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.append(entries).map(drop)
    }

    fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.bytes).sum()
    }

    fn segment(&self) -> u64 {
        self.segments().last().map_or(0, |segment| segment.number)
    }

    fn trim(&mut self, before: u64) -> Result<()> {
        self.trim(before)
    }

    fn close(self: Box<Self>) -> Result<()> {
        (*self).close()
    }
}

/// An entry that is whole and yet cannot be read.
fn unreadable(why: &Unreadable, position: crate::log::Position, directory: &Path) -> Error {
    let (file, offset) = (position.file(directory), position.offset);
    let message = format!("{}, byte {offset}: {why}", file.display());
    match why {
        Unreadable::Newer(_) => Error::new(ErrorKind::LogRefused, message),
        Unreadable::Damaged(_) => Error::new(ErrorKind::LogDamaged { file, offset }, message),
    }
}

fn failed_to(what: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::LogFailed, format!("the log cannot {what}: {error}"))
}

fn failed(error: &Error) -> Error {
    let message = format!("the log cannot be written, nothing more is accepted: {error}");
    Error::new(ErrorKind::LogFailed, message)
}
