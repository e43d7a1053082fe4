//! The life of the thread that writes the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::checkpoint::{Mark, Pace};
use super::entries::Entries;
use super::{Log, Lost, Position, Shared, Takes, failed};
use crate::error::{ErrorKind, Result};
use crate::log::Nearness;

/// What nobody waits for is written after so long at the latest, with all that came meanwhile.
const UNASKED_WAIT: Duration = Duration::from_millis(10);
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
    pub(super) entries: Entries,
    pub(super) marks: Vec<Mark>,
}

/// Tells everyone that the writer is gone, when dropped.
struct Farewell<'a> {
    shared: &'a Shared,
    /// The last that it took.
    batch: Batch,
}

impl Shared {
    /// The writer's life.
    pub(super) fn write(&self, mut log: Box<dyn Log>) -> Result<()> {
        let mut farewell = Farewell { shared: self, batch: Batch::default() };
        let ended = self.work(&mut *log, &mut farewell.batch);
        if let Err(error) = &ended {
            tracing::error!(%error, "the log failed: nothing is acknowledged any more");
        }
        drop(farewell);
        ended.and_then(|()| log.close())
    }

    fn work(&self, log: &mut dyn Log, batch: &mut Batch) -> Result<()> {
        let mut pace = Pace::of(log, self.checkpoint_bytes);
        let mut patience = Some(IDLE_AFTER);
        loop {
            match self.next(batch, patience) {
                Next::Write(position) => {
                    self.append(log, &batch.entries)?;
                    self.waiters.reach(position);
                    log.make_ahead();
                    pace.follow(batch, log)?;
                    patience = Some(IDLE_AFTER);
                }
                Next::Idle if log.prepare()? => patience = Some(Duration::ZERO),
                Next::Idle => patience = (!log.has_room()).then_some(FULL_LOOK),
                Next::Close => return Ok(()),
            }
            if let Some(due) = pace.due(log) {
                *self.checkpoint.lock() = Some(due);
                self.due.notify_one();
            }
            self.hold_if(log.nearness() == Nearness::Tight);
            self.take_only(if log.has_room() { Takes::All } else { Takes::Ends });
        }
    }

    /// Takes everything queued, once somebody waits for some of it or it is enough, or gives up when nothing came for as
    /// long as `patience`.
    fn next(&self, batch: &mut Batch, patience: Option<Duration>) -> Next {
        batch.entries.clear();
        batch.marks.clear();
        let mut queue = self.queue.lock();
        let mut dozes = patience != Some(Duration::ZERO);
        while !queue.is_urgent(self.appended()) {
            if queue.is_closed && queue.is_empty() {
                return Next::Close;
            }
            if dozes || !queue.is_empty() {
                // Not told of what nobody waits for: that would be a thread woken for each.
                (queue, dozes) = self.queued.wait(queue, Some(UNASKED_WAIT));
                if !dozes && !queue.is_empty() {
                    break;
                }
                continue;
            }
            queue.is_asleep = true;
            let is_told;
            (queue, is_told) = self.queued.wait(queue, patience);
            queue.is_asleep = false;
            if !is_told && queue.is_empty() && !queue.is_closed {
                return Next::Idle;
            }
        }
        std::mem::swap(&mut queue.entries, &mut batch.entries);
        std::mem::swap(&mut queue.marks, &mut batch.marks);
        self.look_for_room(&queue);
        let (held, position) = (std::mem::take(&mut queue.held), self.appended());
        drop(queue);
        held.into_iter().for_each(std::task::Waker::wake);
        Next::Write(position)
    }

    /// Writes a batch, and waits for a full disk to have room for it.
    fn append(&self, log: &mut dyn Log, entries: &Entries) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (entries, mut is_told) = (entries.iter().collect::<Vec<_>>(), false);
        loop {
            let Err(error) = log.append(&entries) else { return Ok(()) };
            if log.nearness() == Nearness::Tight {
                // What gives back its oldest segment stands behind this.
                log.overdraw();
            }
            // If it failed for good, preparing says so.
            while *error.kind() == ErrorKind::DiskFull && log.prepare()? {}
            if *error.kind() != ErrorKind::DiskFull {
                return Err(error);
            }
            self.take_only(Takes::Ends);
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!(%error, "the disk is full: nothing is acknowledged until it has room");
            }
            let queue = self.queue.lock();
            if queue.is_closed {
                return Err(error);
            }
            drop(self.queued.wait(queue, Some(FULL_LOOK)));
        }
    }

    /// Holds back whoever brings something new, or lets them go on.
    pub(super) fn hold_if(&self, is_tight: bool) {
        let held = {
            let mut queue = self.queue.lock();
            let was_tight = std::mem::replace(&mut queue.is_tight, is_tight);
            self.look_for_room(&queue);
            if was_tight && !is_tight { std::mem::take(&mut queue.held) } else { Vec::new() }
        };
        held.into_iter().for_each(std::task::Waker::wake);
    }

    fn take_only(&self, takes: Takes) {
        let before = self.takes.swap(takes as u8, Ordering::Relaxed);
        match takes {
            Takes::Ends if before == Takes::All as u8 => {
                tracing::warn!("the log has almost no room left: new jobs are refused until it has");
            }
            Takes::All if before == Takes::Ends as u8 => {
                tracing::info!("the log has room again: new jobs are accepted");
            }
            _ => {}
        }
    }
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let Self { shared, batch } = self;
        shared.takes.store(Takes::Nothing as u8, Ordering::Relaxed);
        let (held, entries) = {
            let mut queue = shared.queue.lock();
            let taken = Position(shared.appended().0 - queue.entries.len() as u64);
            let mut lost = Lost::default();
            if !shared.waiters.is_durable(taken) {
                lost.add_entries(&batch.entries);
            }
            lost.add_entries(&queue.entries);
            queue.lost = Some(lost);
            queue.is_tight = false;
            let left = (std::mem::take(&mut queue.held), std::mem::take(&mut queue.entries));
            shared.look_for_room(&queue);
            left
        };
        drop(entries);
        shared.waiters.fail(failed());
        shared.due.notify_one();
        held.into_iter().for_each(std::task::Waker::wake);
    }
}
