//! Jobs from the records of an earlier life: first what was recorded is put together, then every job is given its place.

use std::time::Duration;

use hashbrown::HashMap;

use super::callers::CallerKey;
use super::course::{End, Live};
use super::effects::Effects;
use super::entry::Entry;
use super::history::{Detail, RingItem, Stream, Transition};
use super::keys::{JobKey, SessionKey};
use super::moment::Moment;
use super::record::{Accepted, Link, Moved, Record, Running};
use super::recovered::passes_while_stopped;
use super::state::Core;
use super::tombstones::Tombstone;
use crate::clock::Now;
use crate::job::{Event, EventBody, Failure, FailureReason, JobId, JobState, Peer, SessionSpec, Start};

/// Stands for a session until [`Core::resume`] knows who holds the attempt.
const NOBODY: SessionKey = SessionKey(0);

impl Core {
    /// Takes in one record, in the order in which they were made. Between the first and [`Core::resume`] nothing else is
    /// called. Records of jobs that are not there are of jobs that were removed later.
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Accepted(accepted) => self.replay_accepted(accepted),
            Record::Moved(moved) => self.replay_moved(moved),
            Record::Reported(id, event) => self.replay_reported(id, event),
            Record::Dropped(id, ranges) => self.replay_dropped(id, &ranges),
            Record::Removed(removed) => {
                if let Some(key) = self.table.find(removed.id) {
                    self.replay_removed(key);
                }
                if let Some(expire_time) = removed.expire_time {
                    let (stone, written) = (Tombstone::new(&removed, expire_time), self.log_entry);
                    self.finished.tombstones(&stone).replay(stone, written);
                }
            }
            Record::Resumed(stopped) => {
                self.recovered.stopped = self.recovered.stopped.saturating_add(stopped)
            }
            Record::Secret(secret) => {
                self.recovered.has_secret = true;
                self.table.set_secret(secret);
            }
            Record::QueuePaused(name, paused) => self.lanes.set_paused(&name, paused),
            Record::Offered(id, attempt) => {
                if let Some(key) = self.table.find(id) {
                    self.table[key].course_mut().offered = attempt;
                }
            }
            Record::CancelHastened(id, force_at) => self.replay_hastened(id, force_at),
            Record::ReportsTaken(instance, 0) => drop(self.recovered.reports_taken.remove(&instance)),
            Record::ReportsTaken(instance, newest) => {
                self.recovered.reports_taken.insert(instance, newest);
            }
        }
    }

    /// Drops the contents of the jobs that ended in the entry that was taken in, if they can be read from the log.
    pub(crate) fn replayed_entry(&mut self) {
        for key in std::mem::take(&mut self.recovered.ended) {
            if self.table.get(key).is_some_and(|entry| entry.evictable_bytes() > 0) {
                self.evict(key);
            }
        }
    }

    fn replay_accepted(&mut self, accepted: Accepted) {
        let Accepted { id, job, number, create_time, created, first_wait, deadline } = accepted;
        if let Some(known) = self.table.find(id) {
            self.replay_removed(known);
        }
        // Only a version before, or one with a shorter window, accepted an id again.
        self.finished.chosen.forget(id);
        self.finished.minted.forget(id);
        let lane = self.lanes.find(job.queue.as_str(), job.kind.as_str());
        let lane = lane.unwrap_or_else(|| {
            self.callers.add_lane(CallerKey::default());
            self.lanes.insert(&job.queue, &job.kind)
        });
        let now = Now { monotonic: created, wall: create_time };
        let entry = Entry::new(now, id, job, lane);
        let deadline = self.recovered.on_running_clock(deadline, entry.state);
        let entry = Entry { first_wait, deadline, accepted: number, written: self.log_entry, ..entry };
        self.table.insert_as(entry, number);
    }

    fn replay_moved(&mut self, moved: Moved) {
        let Some(key) = self.table.find(moved.id) else { return };
        let Event { sequence, time, attempt, body: EventBody::State(change) } = moved.event else { return };
        let deadline = self.recovered.on_running_clock(moved.deadline, change.state);
        let entry = &mut self.table[key];
        let worker = moved.running.as_ref().map(|running| running.worker.clone());
        let begins = attempt > entry.attempt();
        entry.state = change.state;
        entry.sequence = sequence;
        let course = entry.course_mut();
        (course.attempt, course.lost, course.released) = (attempt, moved.lost, moved.released);
        entry.deadline = deadline;
        entry.cancel_requested = moved.cancel_requested;
        entry.set_live(moved.running.as_ref().map(|running| live(running, attempt)));
        match moved.running {
            Some(running) => drop(self.recovered.running.insert(key, running)),
            None => drop(self.recovered.running.remove(&key)),
        }
        if let (Some(outcome), Some(expire_time)) = (change.outcome, moved.expire_time) {
            let written = self.log_entry;
            entry.set_end(End { outcome, finish_time: time, expire_time, written, evicted: None });
            self.recovered.ended.push(key);
        }
        let detail = match (change.failure, worker.filter(|_| begins)) {
            (Some(failure), _) => Detail::Failure(failure),
            (None, Some(worker)) => Detail::Worker(worker),
            (None, None) => Detail::None,
        };
        entry.push_transition(Transition {
            sequence,
            attempt,
            time,
            state: change.state,
            wait_reason: change.wait_reason,
            cancel_requested: change.cancel_requested,
            pause: Transition::pause(time, change.next_attempt_time),
            detail,
        });
    }

    fn replay_reported(&mut self, id: JobId, event: Event) {
        let Some(key) = self.table.find(id) else { return };
        let ring_max = self.options.event_ring_bytes_max;
        let entry = &mut self.table[key];
        let Event { sequence, time, attempt, body } = event;
        entry.sequence = sequence;
        let (stream, history) = entry.stream_and_history();
        let item = match body {
            EventBody::Progress(progress) => return stream.set_progress(sequence, attempt, time, progress),
            EventBody::Output(output) => RingItem::Output(output),
            EventBody::Log(log) => RingItem::Log(log),
            EventBody::State(_) => return,
        };
        stream.push(sequence, attempt, time, item, ring_max, history);
    }

    fn replay_hastened(&mut self, id: JobId, force_at: Duration) {
        let Some(key) = self.table.find(id) else { return };
        let live = self.table[key].live_mut();
        if let Some((force, _)) = live.and_then(|live| live.cancel.as_deref_mut()) {
            *force = force_at;
        }
    }

    fn replay_dropped(&mut self, id: JobId, ranges: &[[u32; 3]]) {
        if let Some(key) = self.table.find(id) {
            let entry = &mut self.table[key];
            entry.stream_mut().set_dropped(ranges);
            entry.forget_dropped(ranges);
            // The newest event may have fallen out; its number is not given again.
            entry.sequence = ranges.iter().map(|[.., to]| *to).fold(entry.sequence, u32::max);
        }
    }

    fn replay_removed(&mut self, key: JobKey) {
        self.recovered.running.remove(&key);
        self.table.remove(key);
    }

    /// Gives every job its place after the last record. Attempts that ran in the server itself are lost; those of workers
    /// elsewhere go on if the worker comes back within a lease. The monotonic clock stood still for as long as the server was
    /// `stopped`: start delays, back-offs and retention went on, leases and timeouts did not.
    pub(crate) fn resume(&mut self, now: Now, stopped: Duration, effects: &mut Effects) {
        if !stopped.is_zero() && self.table.len() > 0 {
            self.recovered.stopped = self.recovered.stopped.saturating_add(stopped);
            effects.record(|| Record::Resumed(stopped));
        }
        if !self.recovered.has_secret {
            // The first record of a new log, and in that of a version before the next.
            let secret = self.table.tails().secret();
            effects.record(|| Record::Secret(secret));
        }
        self.finished.chosen.sort();
        self.finished.minted.sort();
        let (mut lost, mut finished) = (Vec::new(), Vec::new());
        for key in self.table.in_order() {
            self.pass_downtime(key);
            self.count_again(key);
            let entry = &self.table[key];
            match entry.state {
                JobState::Scheduled => self.resume_scheduled(key),
                JobState::Queued => {
                    let lane = entry.lane;
                    self.lanes[lane].push_back(&mut self.table, key);
                    self.arm(key);
                }
                JobState::Running => lost.extend(self.resume_running(now, key)),
                JobState::Succeeded | JobState::Failed | JobState::Cancelled => finished.push(key),
            }
        }
        self.recovered.reports_taken = HashMap::new();
        self.shrink_streams(effects);
        self.resume_finished(finished);
        for lane in self.lanes.keys() {
            self.refresh_standing(lane);
            self.remove_lane_if_empty(lane);
        }
        self.lanes.remove_idle_queues();
        for key in lost {
            let message = "the server ended during the attempt";
            let failure = Failure::new(FailureReason::WorkerLost, message);
            self.attempt_failed(now, key, failure, None, effects);
        }
    }

    /// Puts the deadline of a job back on the monotonic clock.
    fn pass_downtime(&mut self, key: JobKey) {
        let stopped = self.recovered.stopped;
        let entry = &mut self.table[key];
        if passes_while_stopped(entry.state) && entry.deadline != Moment::NEVER {
            entry.deadline = Duration::from(entry.deadline).saturating_sub(stopped).into();
        }
    }

    /// Drops output and logs of running jobs, the oldest jobs first, while jobs hold too many bytes: the bound may have been
    /// larger before.
    fn shrink_streams(&mut self, effects: &mut Effects) {
        let live_max = self.submitted_bytes + self.added_bytes_max();
        if self.live_bytes <= live_max {
            return;
        }
        for key in self.table.in_order() {
            let entry = &mut self.table[key];
            let bytes = entry.stream().map_or(0, Stream::bytes);
            if entry.state.is_final() || bytes == 0 || self.live_bytes <= live_max {
                continue;
            }
            let (stream, history) = entry.stream_and_history();
            let surplus = usize::try_from(self.live_bytes - live_max).unwrap_or(usize::MAX);
            stream.shrink_to(bytes.saturating_sub(surplus), history);
            self.live_bytes -= (bytes - stream.bytes()) as u64;
            effects.record(|| Record::Dropped(entry.id, entry.dropped()));
        }
    }

    /// The oldest end goes first.
    fn resume_finished(&mut self, mut finished: Vec<JobKey>) {
        finished.sort_by_key(|key| self.table[*key].end().map(|end| end.finish_time));
        for key in finished {
            self.keep(key);
            self.arm(key);
        }
    }

    fn count_again(&mut self, key: JobKey) {
        let entry = &self.table[key];
        self.lanes[entry.lane].counts.add(entry.state);
        if !entry.state.is_final() {
            self.live_jobs += 1;
            self.live_bytes += entry.live_bytes();
            self.submitted_bytes += entry.submitted_bytes();
            self.callers.add_job(entry.caller, entry.submitted_bytes());
        }
    }

    fn resume_scheduled(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let (lane, accepted) = (entry.lane, entry.accepted);
        if let (Start::At(time), 0) = (entry.start(), entry.attempt()) {
            self.wall_starts.insert((time, accepted, key));
        }
        self.lanes[lane].scheduled.push_back(&mut self.table, key);
        self.arm(key);
    }

    /// The job itself if its attempt ran in the server.
    fn resume_running(&mut self, now: Now, key: JobKey) -> Option<JobKey> {
        let running = self.recovered.running.remove(&key)?;
        let session = match running.link {
            Link::Pool => return Some(key),
            Link::Unary => self.resume_session(now, &running),
            Link::Stream(instance) => {
                self.sessions.of_instance(instance).unwrap_or_else(|| self.resume_session(now, &running))
            }
        };
        self.recovered.leases.insert(running.lease, key);
        let lease = self.options.lease.max(self.options.reconnect_grace);
        let lease_deadline = now.monotonic.saturating_add(lease);
        if let Some(live) = self.table[key].live_mut() {
            (live.session, live.lease_deadline) = (session, lease_deadline.into());
        }
        if let Some(open) = self.sessions.get_mut(session) {
            open.taken += 1;
            open.held.push_back(&mut self.table, key);
        }
        self.await_deadline(key);
        None
    }

    /// A worker that is not connected, and may come back.
    fn resume_session(&mut self, now: Now, running: &Running) -> SessionKey {
        let spec =
            SessionSpec { name: running.worker.to_string(), kinds: Vec::new(), queues: None, slots: 0 };
        let key = self.sessions.open(now, &spec, running.link.clone(), Peer::default());
        let reports_taken = &self.recovered.reports_taken;
        if let Some(session) = self.sessions.get_mut(key) {
            session.connected = false;
            if let Link::Stream(instance) = running.link {
                session.reports_taken = reports_taken.get(&instance).copied().unwrap_or_default();
            }
        }
        if running.link != Link::Unary {
            let kept = self.options.lease.max(self.options.reconnect_grace);
            self.sessions.set_timer(key, Some(now.monotonic.saturating_add(kept)));
        }
        key
    }
}

fn live(running: &Running, attempt: u32) -> Live {
    Live {
        lease: running.lease,
        attempt,
        session: NOBODY,
        attempt_deadline: running.attempt_deadline.into(),
        lease_deadline: Moment::NEVER,
        cancel: running.cancel.clone().map(Box::new),
    }
}
