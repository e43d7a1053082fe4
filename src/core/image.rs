//! The records that make what is there now, in place of all that led to it: for a log that forgets its past.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::contents::{Contents, LogPlace};
use super::entry::Entry;
use super::history::Detail;
use super::keys::JobKey;
use super::record::{Accepted, Link, Moved, Record, Running};
use super::state::Core;
use crate::job::{Event, EventTypes, JobId, JobState, LeaseId, WatchItem};

/// Most jobs that are looked at for a piece.
const LOOKS_MAX: usize = 4096;

/// The sequence of a job's first event, which follows from its acceptance.
const FIRST_EVENT: u32 = 1;

/// How much is put in one piece of an image; a job that is larger comes alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageBounds {
    pub(crate) jobs: usize,
    pub(crate) bytes: u64,
}

/// Some of the jobs, by which all are judged: every `step`th, in `PARTS` parts, each for one hold of a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    step: u64,
    part: u64,
}

impl Sample {
    /// About how many jobs are looked at, if there are more.
    const JOBS: u64 = 16_384;
    const PARTS: u64 = 16;

    /// The parts of a sample of so many jobs.
    pub(crate) fn of(jobs: u32) -> impl Iterator<Item = Self> {
        // Odd, so that jobs which come in turns of two sorts are both met.
        let step = u64::from(jobs).div_ceil(Self::JOBS) | 1;
        (0..Self::PARTS).map(move |part| Self { step, part })
    }
}

/// A place among the tombstones.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TombstonePlace {
    /// Among those of ids that callers chose.
    Chosen(u64),
    /// Among the others.
    Minted(u64),
}

impl TombstonePlace {
    pub(crate) const FIRST: Self = Self::Chosen(0);
}

/// A part of an image.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) records: Vec<Record>,
    /// Jobs whose contents have to be read first, for [`Core::image_of`].
    pub(crate) cold: Vec<LogPlace>,
    /// Where the next piece begins; `None` after the last.
    pub(crate) next: Option<u64>,
}

impl Core {
    /// What is not part of any job, but for tombstones: the secret for ids, paused queues, reports that were taken.
    pub(crate) fn image_beside_jobs(&self) -> Vec<Record> {
        let queues = self.lanes.queues.iter().filter(|(_, queue)| queue.paused);
        let paused = queues.map(|(name, _)| Record::QueuePaused(name.clone(), true));
        let sessions = self.sessions.in_order().into_iter().filter_map(|key| self.sessions.get(key));
        let taken = sessions.filter_map(|session| match session.link {
            Link::Stream(instance) if session.reports_taken > 0 => {
                Some(Record::ReportsTaken(instance, session.reports_taken))
            }
            _ => None,
        });
        let secret = Record::Secret(self.table.tails().secret());
        [secret].into_iter().chain(paused).chain(taken).collect()
    }

    /// The next tombstones from this place on that have records before this entry of the log, and the place behind them;
    /// `None` after the last.
    pub(crate) fn tombstone_images(
        &mut self,
        from: TombstonePlace,
        before: Option<NonZeroU64>,
    ) -> Option<(Vec<Record>, TombstonePlace)> {
        let now = self.log_entry;
        let (records, next) = match from {
            TombstonePlace::Chosen(at) => match self.finished.chosen.write_again(at, before, now) {
                Some((records, next)) => (records, TombstonePlace::Chosen(next)),
                None => (Vec::new(), TombstonePlace::Minted(0)),
            },
            TombstonePlace::Minted(at) => {
                let (records, next) = self.finished.minted.write_again(at, before, now)?;
                (records, TombstonePlace::Minted(next))
            }
        };
        Some((records.into_iter().map(Record::Removed).collect(), next))
    }

    /// The next jobs from this place in the order of acceptance on, as many as fit, of those that have records before
    /// this entry of the log.
    pub(crate) fn images(&mut self, from: u64, before: Option<NonZeroU64>, bounds: ImageBounds) -> Piece {
        let (mut piece, mut jobs, mut bytes) = (Piece::default(), 0, 0);
        let mut fitting = Vec::new();
        for (looked_at, key) in self.table.accepted_from(from).enumerate() {
            let entry = &self.table[key];
            if before.is_none_or(|before| entry.written.is_none_or(|written| written < before)) {
                jobs += 1;
                bytes += entry.weight();
                fitting.push(key);
            }
            let is_full = jobs > 1 && (jobs > bounds.jobs || bytes > bounds.bytes);
            if is_full || looked_at == LOOKS_MAX {
                piece.next = Some(entry.accepted);
                fitting.pop_if(|last| *last == key);
                break;
            }
        }
        for key in fitting {
            match self.place(key) {
                Some(place) => piece.cold.push(place),
                None => piece.records.extend(self.write_again(key)),
            }
        }
        piece
    }

    /// About how many bytes of the log the images take of the jobs and tombstones that have records before each of these entries, which
    /// stand in order, as far as this part of a sample tells.
    pub(crate) fn needed_before(&self, entries: &[u64], Sample { step, part }: Sample) -> Vec<u64> {
        let mut needed = vec![0; entries.len()];
        if part == 0 {
            for stones in [&self.finished.chosen, &self.finished.minted] {
                needed.iter_mut().zip(stones.needed_between(entries)).for_each(|(sum, of)| *sum += of);
            }
        }
        for key in self.table.accepted_every(step * Sample::PARTS, step * part) {
            let entry = &self.table[key];
            let written = entry.written.map_or(0, NonZeroU64::get);
            let first = entries.partition_point(|before| *before <= written);
            if let Some(needed) = needed.get_mut(first) {
                *needed += step * entry.image_bytes();
            }
        }
        let mut sum = 0;
        needed.iter_mut().for_each(|needed| {
            sum += *needed;
            *needed = sum;
        });
        needed
    }

    /// The image of a job whose contents are evicted, made with those that were loaded; nothing if the job was removed.
    pub(crate) fn image_of(&mut self, place: &LogPlace, contents: &Contents) -> Vec<Record> {
        let Some(key) = self.job_at(place) else { return Vec::new() };
        let image = self.image(key, Some(contents));
        self.is_written_again(key);
        image
    }

    /// The image of a job, which is where it can be read from now on.
    pub(super) fn write_again(&mut self, key: JobKey) -> Vec<Record> {
        let image = self.image(key, None);
        self.is_written_again(key);
        image
    }

    /// The image of a job is in what is recorded now.
    pub(super) fn is_written_again(&mut self, key: JobKey) {
        let entry = &mut self.table[key];
        entry.written = self.log_entry;
        if let Some(end) = entry.end_mut() {
            end.written = self.log_entry;
        }
    }

    /// A job as it is, as records of a job that was accepted just now and came to this at once.
    pub(super) fn image(&self, key: JobKey, contents: Option<&Contents>) -> Vec<Record> {
        let entry = &self.table[key];
        let accepted = Accepted {
            deadline: if entry.history().is_empty() { resting_deadline(entry) } else { Duration::MAX },
            ..Accepted::of(entry, self.spec(key, contents))
        };
        let mut items = Vec::new();
        entry.read_after(FIRST_EVENT, EventTypes::ALL, contents, usize::MAX, &mut items);
        let events = items.into_iter().filter_map(|item| match item {
            WatchItem::Event(event) => Some(self.event_record(entry, event)),
            WatchItem::Gap { .. } => None,
        });
        let dropped = entry.stream().and_then(|stream| dropped(entry.id, stream.dropped()));
        let is_offered = entry.offered() > entry.attempt() && !entry.state.is_final();
        let offered = is_offered.then(|| Record::Offered(entry.id, entry.offered()));
        [Record::Accepted(accepted)].into_iter().chain(events).chain(dropped).chain(offered).collect()
    }

    fn event_record(&self, entry: &Entry, event: Event) -> Record {
        let Some(transition) = entry.transition(event.sequence) else {
            return Record::Reported(entry.id, event);
        };
        let is_last = entry.history().last().is_some_and(|last| last.sequence == event.sequence);
        let moved = match is_last {
            true => {
                let live = entry.live().filter(|_| entry.state == JobState::Running);
                let running = live.and_then(|live| self.sessions.running(live));
                Moved { deadline: resting_deadline(entry), ..Moved::of(entry, event, running) }
            }
            false => Moved {
                id: entry.id,
                event,
                lost: 0,
                released: 0,
                cancel_requested: false,
                deadline: Duration::MAX,
                expire_time: None,
                running: who_ran(&transition.detail),
            },
        };
        Record::Moved(moved)
    }
}

/// What comes next of a job that no worker has; a worker that has it is another matter after a restart.
fn resting_deadline(entry: &Entry) -> Duration {
    match entry.state {
        JobState::Queued => Duration::MAX,
        _ => entry.deadline.into(),
    }
}

/// Of an attempt that is over only its worker's name is kept.
fn who_ran(detail: &Detail) -> Option<Running> {
    let Detail::Worker(worker) = detail else { return None };
    Some(Running {
        lease: LeaseId::from_u128(0),
        link: Link::Pool,
        worker: worker.clone(),
        attempt_deadline: Duration::ZERO,
        cancel: None,
    })
}

fn dropped(id: JobId, ranges: Vec<[u32; 3]>) -> Option<Record> {
    (!ranges.is_empty()).then(|| Record::Dropped(id, Arc::from(ranges)))
}
