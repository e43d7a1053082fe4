//! The life of the thread that writes the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::checkpoint::{Mark, Pace};
use super::{Log, Position, Shared, Takes, failed};
use crate::error::{ErrorKind, Result};

/// After so long without anything to write, the log gets ready for what comes.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How often a full disk is looked at.
const FULL_LOOK: Duration = Duration::from_millis(500);

/// What the writer has to do.
enum Next {
    /// What was queued, up to here.
    Write(Position),
    /// Nothing came.
    Idle,
    /// Nothing more comes.
    Close,
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) marks: Vec<Mark>,
}

/// Tells everyone that the writer is gone, when dropped.
struct Farewell<'a>(&'a Shared);

impl Shared {
    /// The writer's life.
    pub(super) fn write(&self, mut log: Box<dyn Log>) -> Result<()> {
        let farewell = Farewell(self);
        let ended = self.work(&mut *log);
        if let Err(error) = &ended {
            tracing::error!(%error, "the log failed: nothing is acknowledged any more");
        }
        drop(farewell);
        ended.and_then(|()| log.close())
    }

    fn work(&self, log: &mut dyn Log) -> Result<()> {
        let (mut batch, mut pace) = (Batch::default(), Pace::of(log, self.checkpoint_bytes));
        let mut patience = Some(IDLE_AFTER);
        loop {
            match self.next(&mut batch, patience) {
                Next::Write(position) => {
                    let segment = log.segment();
                    self.append(log, &batch.entries)?;
                    self.waiters.reach(position);
                    pace.follow(&batch, segment, log)?;
                    if pace.is_due() {
                        self.due.notify_one();
                    }
                    patience = Some(IDLE_AFTER);
                }
                Next::Idle if log.prepare()? => patience = Some(Duration::ZERO),
                Next::Idle => patience = (!log.has_room()).then_some(FULL_LOOK),
                Next::Close => return Ok(()),
            }
            self.take_only(if log.has_room() { Takes::All } else { Takes::Ends });
        }
    }

    /// Takes everything queued, once there is something, or gives up when nothing came for as long as `patience`.
    fn next(&self, batch: &mut Batch, patience: Option<Duration>) -> Next {
        batch.entries.clear();
        batch.marks.clear();
        let mut queue = self.queue.lock();
        while queue.is_empty() {
            if queue.is_closed {
                return Next::Close;
            }
            match patience {
                None => self.queued.wait(&mut queue),
                Some(patience) if self.queued.wait_for(&mut queue, patience).timed_out() => {
                    if queue.is_empty() && !queue.is_closed {
                        return Next::Idle;
                    }
                }
                Some(_) => {}
            }
        }
        std::mem::swap(&mut queue.entries, &mut batch.entries);
        std::mem::swap(&mut queue.marks, &mut batch.marks);
        queue.bytes = 0;
        let (held, position) = (std::mem::take(&mut queue.held), Position(queue.appended));
        drop(queue);
        held.into_iter().for_each(std::task::Waker::wake);
        Next::Write(position)
    }

    /// Writes a batch, and waits for a full disk to have room for it.
    fn append(&self, log: &mut dyn Log, entries: &[Vec<u8>]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut is_told = false;
        loop {
            let Err(error) = log.append(entries) else { return Ok(()) };
            // If it failed for good, preparing says so.
            while *error.kind() == ErrorKind::DiskFull && log.prepare()? {}
            if *error.kind() != ErrorKind::DiskFull {
                return Err(error);
            }
            self.take_only(Takes::Ends);
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!(%error, "the disk is full: nothing is acknowledged until it has room");
            }
            let mut queue = self.queue.lock();
            if queue.is_closed {
                return Err(error);
            }
            self.queued.wait_for(&mut queue, FULL_LOOK);
        }
    }

    fn take_only(&self, takes: Takes) {
        let before = self.takes.swap(takes as u8, Ordering::Relaxed);
        match takes {
            Takes::Ends if before == Takes::All as u8 => {
                tracing::warn!("the disk is almost full: new jobs are refused until it has room");
            }
            Takes::All if before == Takes::Ends as u8 => {
                tracing::info!("the disk has room again: new jobs are accepted");
            }
            _ => {}
        }
    }
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.takes.store(Takes::Nothing as u8, Ordering::Relaxed);
        let (held, entries) = {
            let mut queue = self.0.queue.lock();
            (queue.is_over, queue.bytes) = (true, 0);
            (std::mem::take(&mut queue.held), std::mem::take(&mut queue.entries))
        };
        drop(entries);
        self.0.waiters.fail(failed());
        held.into_iter().for_each(std::task::Waker::wake);
    }
}
