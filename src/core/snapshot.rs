//! Snapshots: records that replace all earlier records of a job, of the tombstones and of the rest of the core.

use std::num::NonZeroU64;
use std::time::Duration;

use super::contents::{Contents, LogPosition};
use super::entry::Entry;
use super::history::Detail;
use super::keys::JobKey;
use super::record::{Accepted, Link, Record, Running, StateChanged};
use super::state::Core;
use crate::job::{Event, EventTypes, JobState, LeaseId, WatchItem};

/// Most jobs that are scanned for one part.
const SCANNED_MAX: usize = 4096;

/// The sequence of the first event, which follows from the acceptance.
const FIRST_EVENT: u32 = 1;

/// The size of one part of a snapshot. A larger job is a part of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotBounds {
    pub(crate) jobs: usize,
    pub(crate) bytes: u64,
}

/// A sample of the jobs, for estimates: every `step`th slot, in `PARTS` parts, each under one hold of a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    step: u64,
    part: u64,
}

impl Sample {
    /// The number of sampled jobs, if there are more.
    const JOBS: u64 = 16_384;
    const PARTS: u64 = 16;

    /// The parts of a sample of so many jobs.
    pub(crate) fn of(jobs: u32) -> impl Iterator<Item = Self> {
        // Odd, so that two alternating sorts of jobs are both sampled.
        let step = u64::from(jobs).div_ceil(Self::JOBS) | 1;
        (0..Self::PARTS).map(move |part| Self { step, part })
    }
}

/// A position in the tombstones.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TombstoneCursor {
    /// In those of ids that callers chose.
    Chosen(u64),
    /// In those of minted ids.
    Minted(u64),
}

impl TombstoneCursor {
    pub(crate) const FIRST: Self = Self::Chosen(0);
}

/// A part of a snapshot.
#[derive(Default)]
pub(crate) struct SnapshotPart {
    pub(crate) records: Vec<Record>,
    /// Positions of evicted jobs, whose contents have to be loaded for [`Core::snapshot_loaded`].
    pub(crate) evicted: Vec<LogPosition>,
    /// The acceptance number at which the next part begins; `None` after the last.
    pub(crate) next: Option<u64>,
}

impl Core {
    /// The snapshot of the state that belongs to no job: the secret of ids, paused queues, report numbers of workers.
    pub(crate) fn snapshot_globals(&self) -> Vec<Record> {
        let queues = self.lanes.queues.iter().filter(|(_, queue)| queue.paused);
        let paused = queues.map(|(name, _)| Record::QueuePaused(name.clone(), true));
        let sessions = self.sessions.in_order().into_iter().filter_map(|key| self.sessions.get(key));
        let taken = sessions.filter(|session| session.reports_taken > 0).filter_map(|session| {
            session.instance().map(|instance| Record::ReportsTaken(instance, session.reports_taken))
        });
        let secret = Record::Secret(self.table.tails().secret());
        [secret].into_iter().chain(paused).chain(taken).collect()
    }

    /// The next tombstones from this position on that have records before the entry `before`, and the next position.
    /// `None` after the last.
    pub(crate) fn tombstone_snapshots(
        &mut self,
        from: TombstoneCursor,
        before: Option<NonZeroU64>,
    ) -> Option<(Vec<Record>, TombstoneCursor)> {
        let now = self.log_entry;
        let (records, next) = match from {
            TombstoneCursor::Chosen(at) => match self.finished.chosen.rewrite(at, before, now) {
                Some((records, next)) => (records, TombstoneCursor::Chosen(next)),
                None => (Vec::new(), TombstoneCursor::Minted(0)),
            },
            TombstoneCursor::Minted(at) => {
                let (records, next) = self.finished.minted.rewrite(at, before, now)?;
                (records, TombstoneCursor::Minted(next))
            }
        };
        Some((records.into_iter().map(Record::Removed).collect(), next))
    }

    /// The next jobs from this acceptance number on that have records before the entry `before`, as many as fit.
    pub(crate) fn snapshots(
        &mut self,
        from: u64,
        before: Option<NonZeroU64>,
        bounds: SnapshotBounds,
    ) -> SnapshotPart {
        let (mut part, mut jobs, mut bytes) = (SnapshotPart::default(), 0, 0);
        let mut fitting = Vec::new();
        for (scanned, key) in self.table.order.from(from).enumerate() {
            let entry = &self.table[key];
            if before.is_none_or(|before| entry.written.is_none_or(|written| written < before)) {
                jobs += 1;
                bytes += entry.weight();
                fitting.push(key);
            }
            let is_full = jobs > 1 && (jobs > bounds.jobs || bytes > bounds.bytes);
            if is_full || scanned == SCANNED_MAX {
                part.next = Some(entry.accepted);
                fitting.pop_if(|last| *last == key);
                break;
            }
        }
        for key in fitting {
            match self.log_position(key) {
                Some(position) => part.evicted.push(position),
                None => part.records.extend(self.snapshot(key, None)),
            }
        }
        part
    }

    /// Estimates from a part of a sample the bytes of live records before each of these entries, which are in order.
    pub(crate) fn live_log_bytes_before(&self, entries: &[u64], Sample { step, part }: Sample) -> Vec<u64> {
        let mut live_bytes = vec![0; entries.len()];
        if part == 0 {
            for tombstones in [&self.finished.chosen, &self.finished.minted] {
                live_bytes
                    .iter_mut()
                    .zip(tombstones.live_log_bytes_between(entries))
                    .for_each(|(sum, of)| *sum += of);
            }
        }
        let (steps, offset) = (step * Sample::PARTS, step * part);
        for entry in self.table.sample(steps as usize, offset as usize) {
            let written = entry.written.map_or(0, NonZeroU64::get);
            let first = entries.partition_point(|before| *before <= written);
            if let Some(live_bytes) = live_bytes.get_mut(first) {
                *live_bytes += step * entry.snapshot_bytes();
            }
        }
        let mut sum = 0;
        live_bytes.iter_mut().for_each(|live_bytes| {
            sum += *live_bytes;
            *live_bytes = sum;
        });
        live_bytes
    }

    /// Returns the snapshot of a job with its loaded contents. It is empty if the job was removed.
    pub(crate) fn snapshot_loaded(&mut self, position: &LogPosition, contents: &Contents) -> Vec<Record> {
        self.job_at(position).map(|key| self.snapshot(key, Some(contents))).unwrap_or_default()
    }

    /// Returns the snapshot of a job. The caller records it next: the job is loaded from these records later.
    pub(super) fn snapshot(&mut self, key: JobKey, contents: Option<&Contents>) -> Vec<Record> {
        let entry = &self.table[key];
        let accepted = Accepted {
            deadline: if entry.history().is_empty() { snapshot_deadline(entry) } else { Duration::MAX },
            ..Accepted::of(entry, self.spec(key, contents), self.owner(key).cloned())
        };
        let mut items = Vec::new();
        entry.read_after(FIRST_EVENT, EventTypes::ALL, contents, usize::MAX, &mut items);
        let events = items.into_iter().filter_map(|item| match item {
            WatchItem::Event(event) => Some(self.event_record(entry, event)),
            WatchItem::Gap { .. } => None,
        });
        let gaps = Some(entry.gaps()).filter(|gaps| !gaps.is_empty());
        let dropped = gaps.map(|gaps| Record::Dropped(entry.id, gaps));
        let is_offered = entry.offered() > entry.attempt() && !entry.state.is_final();
        let offered = is_offered.then(|| Record::Offered(entry.id, entry.offered()));
        let records = [Record::Accepted(accepted)].into_iter().chain(events).chain(dropped).chain(offered);
        let records = records.collect();
        let (entry, written) = (&mut self.table[key], self.log_entry);
        entry.written = written;
        if let Some(end) = entry.end_mut() {
            end.written = written;
        }
        records
    }

    fn event_record(&self, entry: &Entry, event: Event) -> Record {
        let Some(transition) = entry.transition(event.sequence) else {
            return Record::Reported(entry.id, event);
        };
        let is_last = entry.history().last().is_some_and(|last| last.sequence == event.sequence);
        let active = entry.active().filter(|_| entry.state == JobState::Running);
        Record::StateChanged(match is_last {
            true => StateChanged {
                deadline: snapshot_deadline(entry),
                ..StateChanged::of(entry, event, active.and_then(|active| self.sessions.running(active)))
            },
            false => StateChanged {
                id: entry.id,
                event,
                lost: 0,
                released: 0,
                cancel_requested: false,
                deadline: Duration::MAX,
                expire_time: None,
                running: past_attempt(&transition.detail),
            },
        })
    }
}

/// The deadline of a job that no worker has. The deadlines of an attempt are restored at a restart.
fn snapshot_deadline(entry: &Entry) -> Duration {
    match entry.state {
        JobState::Queued => Duration::MAX,
        _ => entry.deadline.into(),
    }
}

/// The worker of an attempt that ended. The other fields are unused.
fn past_attempt(detail: &Detail) -> Option<Running> {
    let Detail::Worker(worker) = detail else { return None };
    Some(Running {
        lease: LeaseId::from_u128(0),
        link: Link::Pool,
        worker: worker.clone(),
        principal: None,
        attempt_deadline: Duration::ZERO,
        cancel: None,
    })
}
