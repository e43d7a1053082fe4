//! Queries: reads of jobs, events, queues and workers. They change nothing.

use std::sync::Arc;
use std::time::Duration;

use super::callers::reserve;
use super::contents::{Contents, LogPosition};
use super::entry::{Entry, WATCHED};
use super::history::Detail;
use super::keys::{JobKey, LaneKey, SessionKey, worker_id};
use super::lanes::Queue;
use super::record::Link;
use super::refusals::queue_not_found;
use super::retention::WATCHED_BYTES_MAX;
use super::sessions::Session;
use super::state::Core;
use super::stats::{PayloadSizes, Stats};
use super::weight::RECORD_BYTES;
use crate::access::{Action, JobAccess, Principal};
use crate::clock::Now;
use crate::error::Result;
use crate::job::{
    AttemptView, EventTypes, JobFilter, JobId, JobState, JobView, Kind, MemoryUse, NewJob, Outcome,
    QueueName, QueueView, SeriesTotals, StateCounts, StatsFilter, StatsPoint, StatsWindow, Timestamp,
    WaitReason, WatchItem, WorkerLink, WorkerState, WorkerView,
};
use crate::memory::{QUEUE_BYTES, REMOVED_ID_BYTES};
use crate::metrics::OTHER;

/// Most kinds, and most queues, shown of one worker.
const NAMES_SHOWN_MAX: usize = 1_000;
/// Most attempts shown with a job.
const ATTEMPTS_SHOWN_MAX: usize = 16;

/// Bounds of a page of the job list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListBounds {
    /// Most jobs.
    pub(crate) jobs: usize,
    /// Most bytes of jobs, about as on the wire. The first job may exceed it.
    pub(crate) bytes: usize,
    /// Whether payloads and results are counted.
    pub(crate) with_payloads: bool,
    /// Most jobs that are scanned.
    pub(crate) scanned: usize,
    /// Whether the page is empty so far. Its first job always fits.
    pub(crate) begins_page: bool,
}

/// The names of a job that decide who may act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobAccessView {
    pub(crate) id: JobId,
    pub(crate) queue: Arc<str>,
    pub(crate) kind: Arc<str>,
    /// The principal that submitted it; `None` if its caller was anonymous.
    pub(crate) owner: Option<Arc<str>>,
}

impl JobAccessView {
    /// The job of an access decision.
    pub(crate) fn as_access(&self) -> JobAccess<'_> {
        JobAccess { id: self.id, queue: &self.queue, kind: &self.kind, owner: self.owner.as_deref() }
    }
}

/// A part of a page of the job list.
pub(crate) struct Page {
    pub(crate) jobs: Vec<JobView>,
    /// Positions of jobs in it whose payloads have to be loaded.
    pub(crate) evicted: Vec<LogPosition>,
    /// Bytes of the jobs, as they count against the bound.
    pub(crate) bytes: usize,
    /// Whether the page ended at its bound of jobs or bytes.
    pub(crate) is_full: bool,
    /// Where the next part begins; `None` after the last.
    pub(crate) next: Option<u64>,
}

impl Core {
    pub(crate) fn state(&self, key: JobKey) -> JobState {
        self.table[key].state
    }

    pub(crate) fn sequence(&self, key: JobKey) -> u32 {
        self.table[key].sequence
    }

    pub(crate) fn observer(&self, key: JobKey) -> u32 {
        self.table[key].observer & !WATCHED
    }

    /// The outcome of the job. `contents` are the loaded contents of an evicted job.
    pub(crate) fn outcome<'a>(&'a self, key: JobKey, contents: Option<&'a Contents>) -> Option<&'a Outcome> {
        self.table[key].outcome(contents)
    }

    pub(crate) fn expire_time(&self, key: JobKey) -> Option<Timestamp> {
        self.table[key].end().map(|end| end.expire_time)
    }

    /// Appends up to `limit` items of the job's stream after the cursor. Returns the new cursor. `contents` are the
    /// loaded contents of an evicted job.
    pub(crate) fn read_events(
        &self,
        key: JobKey,
        contents: Option<&Contents>,
        cursor: u32,
        types: EventTypes,
        limit: usize,
        items: &mut Vec<WatchItem>,
    ) -> u32 {
        self.table[key].read_after(cursor, types, contents, limit, items)
    }

    pub(crate) fn job_count(&self) -> u32 {
        self.table.len()
    }

    pub(crate) fn kinds(&self) -> Vec<Arc<str>> {
        self.sessions.kinds().into_iter().collect()
    }

    /// Why the job is not running now.
    pub(crate) fn wait_reason(&self, key: JobKey) -> Option<WaitReason> {
        let entry = &self.table[key];
        match entry.state {
            JobState::Scheduled if entry.attempt() == 0 => Some(WaitReason::NotDue),
            JobState::Scheduled => Some(WaitReason::BackOff),
            JobState::Queued if entry.is_offered() => Some(WaitReason::Starting),
            JobState::Queued => self.wait_reason_of(key),
            _ => None,
        }
    }

    /// The job in the form of the API. `contents` are the loaded contents of an evicted job.
    pub(crate) fn view(&self, key: JobKey, contents: Option<&Contents>) -> JobView {
        let entry = &self.table[key];
        let attempts = attempts(entry, contents);
        let scheduled = (entry.state == JobState::Scheduled).then(|| match entry.history().last() {
            Some(transition) => transition.next_attempt_time(),
            None => entry.first_attempt_time(),
        });
        JobView {
            id: entry.id,
            spec: self.spec(key, contents),
            owner: self.owner(key).cloned(),
            state: entry.state,
            wait_reason: self.wait_reason(key),
            attempt: entry.attempt(),
            progress: entry.stream().and_then(|stream| stream.progress_of(entry.attempt())).cloned(),
            outcome: entry.outcome(contents).cloned(),
            cancel_requested: entry.cancel_requested,
            create_time: entry.create_time,
            start_time: attempts.last().map(|attempt| attempt.start_time),
            finish_time: entry.end().map(|end| end.finish_time),
            next_attempt_time: scheduled.flatten(),
            expire_time: self.expire_time(key),
            sequence: entry.sequence,
            attempts,
        }
    }

    /// The names that decide who may act on the job, for decisions after the command.
    pub(crate) fn access_view(&self, key: JobKey) -> JobAccessView {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let (queue, kind) = (lane.queue.clone(), lane.kind.clone());
        JobAccessView { id: entry.id, queue, kind, owner: self.owner(key).cloned() }
    }

    /// The spec of the job.
    pub(crate) fn spec(&self, key: JobKey, contents: Option<&Contents>) -> NewJob {
        let entry = &self.table[key];
        let mut payload = entry.payload.clone();
        if let Some(contents) = contents {
            payload.bytes = contents.payload.clone();
        }
        let lane = &self.lanes[entry.lane];
        NewJob {
            id: Some(entry.id),
            kind: Kind::from_shared(lane.kind.clone()),
            queue: QueueName::from_shared(lane.queue.clone()),
            payload,
            priority: entry.priority,
            options: entry.options.clone(),
        }
    }

    /// The acceptance number before which the first page begins.
    pub(crate) fn list_begin(&self) -> u64 {
        self.table.order.next
    }

    /// The acceptance number before which a page begins that starts with this job, if the job exists.
    pub(crate) fn page_from(&self, id: JobId) -> Option<u64> {
        self.table.find(id).map(|key| self.table[key].accepted + 1)
    }

    /// Jobs accepted before this number that match the filter and that the principal may list, newest first, within the
    /// bounds. Without a principal, it may list all.
    pub(crate) fn list(
        &self,
        filter: &JobFilter,
        principal: Option<&Principal>,
        before: u64,
        bounds: ListBounds,
    ) -> Page {
        let (mut jobs, mut evicted, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (scanned, key) in self.table.order.before(before).enumerate() {
            let next = Some(self.table[key].accepted + 1);
            if scanned == bounds.scanned {
                return Page { jobs, evicted, bytes, is_full: false, next };
            }
            if !self.matches(key, filter) || !self.may_list(key, principal) {
                continue;
            }
            bytes += self.table[key].listed_bytes(bounds.with_payloads);
            if jobs.len() == bounds.jobs || (bytes > bounds.bytes && !(jobs.is_empty() && bounds.begins_page))
            {
                return Page { jobs, evicted, bytes, is_full: true, next };
            }
            jobs.push(self.view(key, None));
            evicted.extend(self.log_position(key).filter(|_| bounds.with_payloads));
        }
        Page { jobs, evicted, bytes, is_full: false, next: None }
    }

    fn may_list(&self, key: JobKey, principal: Option<&Principal>) -> bool {
        principal.is_none_or(|principal| principal.may(Action::List, self.access(key)))
    }

    fn matches(&self, key: JobKey, filter: &JobFilter) -> bool {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let labels = entry.options.as_ref().map(|options| &options.labels);
        let has_label =
            |(name, value): (&String, &String)| labels.and_then(|labels| labels.get(name)) == Some(value);
        filter.states.contains(entry.state)
            && filter.kind.as_ref().is_none_or(|kind| kind.as_str() == &*lane.kind)
            && filter.queue.as_ref().is_none_or(|queue| queue.as_str() == &*lane.queue)
            && filter.created_from.is_none_or(|from| entry.create_time >= from)
            && filter.created_before.is_none_or(|before| entry.create_time < before)
            && filter.labels.iter().all(has_label)
    }

    /// At most `limit` queues after this name, ordered by name, and whether there are more.
    pub(crate) fn queues(&self, now: Now, after: &str, limit: usize) -> (Vec<QueueView>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut following = self.lanes.queues.range::<str, _>((Excluded(after), Unbounded));
        let views =
            following.by_ref().take(limit).map(|(name, queue)| self.queue_view(now, name, queue)).collect();
        (views, following.next().is_some())
    }

    pub(crate) fn queue(&self, now: Now, name: &str) -> Result<QueueView> {
        let (name, queue) = self.lanes.queues.get_key_value(name).ok_or_else(|| queue_not_found(name))?;
        Ok(self.queue_view(now, name, queue))
    }

    fn queue_view(&self, now: Now, name: &Arc<str>, queue: &Queue) -> QueueView {
        // Sorted by kind, so that the result does not depend on the order of a map.
        let mut lanes: Vec<_> = queue.all().collect();
        lanes.sort_unstable();
        let mut counts = StateCounts::default();
        let mut unserved_kinds = Vec::new();
        let mut oldest: Option<Duration> = None;
        let (mut accepted_per_second, mut finished_per_second) = (0.0, 0.0);
        for (kind, lane) in lanes {
            let lane = &self.lanes[lane];
            counts.add_all(&lane.counts);
            accepted_per_second += lane.accepted.per_second(now.monotonic);
            finished_per_second += lane.finished.per_second(now.monotonic);
            if lane.counts.get(JobState::Queued) > 0
                && lane.groups.is_empty()
                && unserved_kinds.last() != Some(kind)
                && (lane.bytes_above == 0 || !self.sessions.any_matches(lane))
            {
                unserved_kinds.push(kind.clone());
            }
            let ages = lane.firsts().map(|key| self.queued_age(now, key));
            oldest = oldest.max(ages.max());
        }
        QueueView {
            name: name.clone(),
            paused: queue.paused,
            counts,
            oldest_queued_age: oldest,
            accepted_per_second,
            finished_per_second,
            unserved_kinds,
        }
    }

    /// The totals of up to `limit` series from this number on.
    pub(crate) fn totals(&self, from: usize, limit: usize) -> Vec<SeriesTotals> {
        self.lanes.stats.totals(from, limit)
    }

    /// The sizes of payloads since the start.
    pub(crate) fn payload_sizes(&self) -> PayloadSizes {
        self.lanes.stats.payloads
    }

    /// Empty points of a window that ends now.
    pub(crate) fn stats_points(&self, now: Now, window: &StatsWindow) -> Vec<StatsPoint> {
        self.lanes.stats.points(now, window)
    }

    /// Adds up to `limit` series from this number on, if the principal may list all their jobs, to the points of a window.
    /// Returns whether there are more series.
    pub(crate) fn add_stats(
        &mut self,
        now: Now,
        filter: &StatsFilter,
        principal: Option<&Principal>,
        (from, limit): (usize, usize),
        points: &mut [StatsPoint],
    ) -> bool {
        // The series of all pairs beyond the limit is about jobs of any queue and kind.
        let may_list = |principal: &Principal, queue: &str, kind: &str| match (queue, kind) {
            (OTHER, OTHER) => principal.may_all_queues(Action::List),
            _ => principal.may_whole_lane(Action::List, queue, kind),
        };
        let is_wanted = |queue: &str, kind: &str| {
            filter.queue.as_ref().is_none_or(|wanted| wanted.as_str() == queue)
                && filter.kind.as_ref().is_none_or(|wanted| wanted.as_str() == kind)
                && principal.is_none_or(|principal| may_list(principal, queue, kind))
        };
        self.lanes.stats.add_to(now, &filter.window, (from, limit), is_wanted, points)
    }

    pub(super) fn queued_age(&self, now: Now, key: JobKey) -> Duration {
        let entry = &self.table[key];
        let since = entry.history().last().map_or(entry.create_time, |transition| transition.time);
        now.wall.since(since)
    }

    /// A waiting job of the queue.
    pub(super) fn first_waiting(&self, queue: &str) -> Result<Option<JobKey>> {
        let queue = self.lanes.queues.get(queue).ok_or_else(|| queue_not_found(queue))?;
        let mut lanes: Vec<LaneKey> = queue.all().map(|(_, lane)| lane).collect();
        lanes.sort_unstable();
        let first = |lane: LaneKey| {
            let lane = &self.lanes[lane];
            lane.first().map(|(_, key)| key).or(lane.scheduled.first())
        };
        Ok(lanes.into_iter().find_map(first))
    }

    /// At most `limit` jobs of the queue that are offered to workers.
    pub(super) fn offered_in(&self, queue: &str, limit: usize) -> Vec<JobKey> {
        let assigned = self.sessions.in_order().into_iter().flat_map(|session| self.jobs_of(session));
        let is_of_queue = |job: &JobKey| *self.lanes[self.table[*job].lane].queue == *queue;
        assigned.filter(|job| self.table[*job].is_offered() && is_of_queue(job)).take(limit).collect()
    }

    /// At most `limit` workers after this number, oldest first, and whether there are more.
    pub(crate) fn workers(&self, now: Now, after: u64, limit: usize) -> (Vec<WorkerView>, bool) {
        let mut following = self.sessions.in_order().into_iter().filter(|key| key.0 > after);
        let views = following.by_ref().take(limit).filter_map(|key| self.worker(now, key)).collect();
        (views, following.next().is_some())
    }

    pub(super) fn worker(&self, now: Now, key: SessionKey) -> Option<WorkerView> {
        let session = self.sessions.get(key)?;
        let link = match session.link {
            Link::Pool => WorkerLink::Pool,
            Link::Stream(_) => WorkerLink::Stream,
            Link::Unary(_) => WorkerLink::Unary,
        };
        let state = match session {
            Session { link: Link::Stream(_), connected: false, .. } => WorkerState::Disconnected,
            Session { drain_deadline: Some(_), .. } => WorkerState::Draining,
            _ => WorkerState::Connected,
        };
        let names = |names: &std::collections::BTreeSet<Arc<str>>| {
            names.iter().take(NAMES_SHOWN_MAX).cloned().collect()
        };
        let queues = session.capabilities.queues.as_ref();
        Some(WorkerView {
            number: key.0,
            id: worker_id(key),
            name: session.name.clone(),
            link,
            state,
            kinds: names(&session.capabilities.kinds),
            kinds_total: session.capabilities.kinds.len(),
            queues: queues.map(names).unwrap_or_default(),
            queues_total: queues.map_or(0, |queues| queues.len()),
            slots: session.slots,
            slots_taken: session.taken,
            create_time: session.create_time,
            last_heard_age: (link != WorkerLink::Pool)
                .then(|| now.monotonic.saturating_sub(session.last_seen)),
            sdk: session.peer.sdk.clone(),
            address: session.peer.address.clone(),
        })
    }

    /// The memory use of jobs and workers.
    pub(crate) fn memory(&self) -> Vec<MemoryUse> {
        let options = &self.options;
        let (chosen, minted) = (&self.finished.chosen, &self.finished.minted);
        let record_bytes = RECORD_BYTES as u64;
        let of = |category, used_bytes, limit_bytes| MemoryUse { category, used_bytes, limit_bytes };
        vec![
            of("jobs", self.live_bytes, options.job_bytes_max.saturating_add(self.added_bytes_max())),
            of(
                "job_records",
                u64::from(self.live_jobs) * record_bytes,
                u64::from(options.jobs_max) * record_bytes,
            ),
            of(
                "queues",
                self.lanes.len() as u64 * QUEUE_BYTES,
                (self.queues_max() as u64 + reserve(self.queues_max() as u64)) * QUEUE_BYTES,
            ),
            of("workers", self.sessions.bytes, options.worker_bytes_max),
            of("statistics", self.lanes.stats.bytes(), Stats::bytes_max()),
            of(
                "finished_jobs",
                self.finished_memory_bytes(),
                options.retention_bytes_max.saturating_add(WATCHED_BYTES_MAX),
            ),
            of(
                "removed_ids",
                (chosen.len() + minted.len()) as u64 * REMOVED_ID_BYTES,
                (u64::from(chosen.max()) + u64::from(minted.max())) * REMOVED_ID_BYTES,
            ),
        ]
    }

    /// With a log, evicted contents do not count.
    pub(super) fn finished_memory_bytes(&self) -> u64 {
        let finished = self.table.len() - self.live_jobs;
        match self.log_entry {
            Some(_) => self.finished.evictable_bytes + u64::from(finished) * RECORD_BYTES as u64,
            None => self.finished.bytes,
        }
    }
}

/// The newest attempts, oldest first.
fn attempts(entry: &Entry, contents: Option<&Contents>) -> Vec<AttemptView> {
    let mut attempts: Vec<AttemptView> = Vec::new();
    for transition in entry.history() {
        if let Detail::Worker(worker) = &transition.detail {
            let (attempt, start_time) = (transition.attempt, transition.time);
            let worker = worker.clone();
            attempts.push(AttemptView { attempt, start_time, finish_time: None, failure: None, worker });
        } else if transition.state != JobState::Running
            && let Some(last) = attempts.last_mut().filter(|last| last.finish_time.is_none())
        {
            last.finish_time = Some(transition.time);
            let ended = match entry.outcome(contents) {
                Some(Outcome::Failure(failure)) if transition.state.is_final() => Some(failure),
                _ => None,
            };
            last.failure = entry.failure(transition, contents).or(ended).cloned();
        }
    }
    let surplus = attempts.len().saturating_sub(ATTEMPTS_SHOWN_MAX);
    attempts.split_off(surplus)
}
