//! Recovery: replays the records of the log, then restores the lists, timers and counts of every job.

use std::time::Duration;

use hashbrown::HashMap;

use super::callers::CallerKey;
use super::effects::Effects;
use super::entry::Entry;
use super::execution::{ActiveAttempt, End};
use super::history::{Detail, Stream, Transition};
use super::keys::{JobKey, SessionKey};
use super::moment::Moment;
use super::record::{Accepted, Link, Record, Running, StateChanged};
use super::recovered::elapses_during_downtime;
use super::state::Core;
use super::tombstones::Tombstone;
use crate::clock::Now;
use crate::job::{Event, EventBody, Failure, FailureReason, JobId, JobState, Peer, SessionSpec, Start};

/// The session of recovered attempts until [`Core::resume`] restores it.
const UNKNOWN_SESSION: SessionKey = SessionKey(0);

impl Core {
    /// Replays one record; records are replayed in log order. Until [`Core::resume`] no other method is called. A
    /// record of an unknown job belongs to a job that was removed later.
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Accepted(accepted) => self.replay_accepted(accepted),
            Record::StateChanged(changed) => self.replay_state_changed(changed),
            Record::Reported(id, event) => self.replay_reported(id, event),
            Record::Dropped(id, gaps) => {
                if let Some(key) = self.table.find(id) {
                    self.table[key].set_gaps(&gaps);
                }
            }
            Record::Removed(removed) => {
                if let Some(key) = self.table.find(removed.id) {
                    self.replay_removed(key);
                }
                if let Some(expire_time) = removed.expire_time {
                    let (tombstone, written) = (Tombstone::new(&removed, expire_time), self.log_entry);
                    self.finished.tombstones(&tombstone).replay(tombstone, written);
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
                    self.table[key].execution_mut().offered = attempt;
                }
            }
            Record::CancelDeadline(id, force_at) => self.replay_cancel_deadline(id, force_at),
            Record::ReportsTaken(instance, 0) => drop(self.recovered.reports_taken.remove(&instance)),
            Record::ReportsTaken(instance, newest) => {
                self.recovered.reports_taken.insert(instance, newest);
            }
        }
    }

    /// Evicts the contents of the jobs that ended in the replayed entry, if they can be loaded from the log.
    pub(crate) fn evict_replayed(&mut self) {
        for key in std::mem::take(&mut self.recovered.ended) {
            if self.table.get(key).is_some_and(|entry| entry.evictable_bytes() > 0) {
                self.evict(key);
            }
        }
    }

    fn replay_accepted(&mut self, accepted: Accepted) {
        let Accepted { id, job, number, create_time, created, first_wait, deadline, owner } = accepted;
        if let Some(earlier) = self.table.find(id) {
            self.replay_removed(earlier);
        }
        // An id with a tombstone is accepted again only by an earlier version, or with a shorter window.
        self.finished.chosen.remove(id);
        self.finished.minted.remove(id);
        let lane = self.lanes.find(job.queue.as_str(), job.kind.as_str());
        let lane = lane.unwrap_or_else(|| {
            self.callers.add_lane(CallerKey::EMBEDDER);
            self.lanes.insert(&job.queue, &job.kind)
        });
        let now = Now { monotonic: created, wall: create_time };
        let entry = Entry::new(now, id, job, lane);
        let deadline = self.recovered.deadline_with_downtime(deadline, entry.state);
        let (written, caller) = (self.log_entry, self.callers.store_recovered(owner));
        let entry = Entry { first_wait, deadline, accepted: number, written, caller, ..entry };
        self.table.insert_numbered(entry, number);
    }

    fn replay_state_changed(&mut self, changed: StateChanged) {
        let Some(key) = self.table.find(changed.id) else { return };
        let Event { sequence, time, attempt, body: EventBody::State(change) } = changed.event else { return };
        let deadline = self.recovered.deadline_with_downtime(changed.deadline, change.state);
        let entry = &mut self.table[key];
        let worker = changed.running.as_ref().map(|running| running.worker.clone());
        let begins = attempt > entry.attempt();
        entry.state = change.state;
        entry.sequence = sequence;
        let execution = entry.execution_mut();
        (execution.attempt, execution.lost, execution.released) = (attempt, changed.lost, changed.released);
        entry.deadline = deadline;
        entry.cancel_requested = changed.cancel_requested;
        entry.set_active(changed.running.as_ref().map(|running| active(running, attempt)));
        match changed.running {
            Some(running) => drop(self.recovered.running.insert(key, running)),
            None => drop(self.recovered.running.remove(&key)),
        }
        if let (Some(outcome), Some(expire_time)) = (change.outcome, changed.expire_time) {
            let written = self.log_entry;
            entry.set_end(End { outcome, finish_time: time, expire_time, written, evicted: None });
            self.recovered.ended.push(key);
        }
        let detail = match (change.failure, worker.filter(|_| begins), change.principal) {
            (Some(failure), ..) => Detail::Failure(failure),
            (None, Some(worker), _) => Detail::Worker(worker),
            (None, None, Some(canceller)) => Detail::Canceller(canceller),
            (None, None, None) => Detail::None,
        };
        entry.execution_mut().history.push(Transition {
            sequence,
            attempt,
            time,
            state: change.state,
            wait_reason: change.wait_reason,
            cancel_requested: change.cancel_requested,
            delay: Transition::delay(time, change.next_attempt_time),
            detail,
        });
    }

    fn replay_reported(&mut self, id: JobId, event: Event) {
        let Some(key) = self.table.find(id) else { return };
        let ring_max = self.options.event_ring_bytes_max;
        let entry = &mut self.table[key];
        entry.sequence = event.sequence;
        let (stream, history) = entry.stream_and_history();
        stream.add(event, ring_max, history);
    }

    fn replay_cancel_deadline(&mut self, id: JobId, force_at: Duration) {
        let Some(key) = self.table.find(id) else { return };
        let active = self.table[key].active_mut();
        if let Some(cancel) = active.and_then(|active| active.cancel.as_deref_mut()) {
            cancel.force_at = force_at;
        }
    }

    fn replay_removed(&mut self, key: JobKey) {
        self.recovered.running.remove(&key);
        let entry = self.table.remove(key);
        self.callers.remove_job(entry.caller);
    }

    /// Restores lists, timers and counts after the last record. Attempts in the server's own workers are lost. Those of
    /// remote workers continue if the worker reconnects within a lease. The monotonic clock did not advance while the
    /// server was `stopped`: the downtime counts for start delays, back-offs and retention, not for leases and
    /// timeouts.
    pub(crate) fn resume(&mut self, now: Now, stopped: Duration, effects: &mut Effects) {
        if !stopped.is_zero() && self.table.len() > 0 {
            self.recovered.stopped = self.recovered.stopped.saturating_add(stopped);
            effects.record(|| Record::Resumed(stopped));
        }
        if !self.recovered.has_secret {
            // This is the first record of a new log. An early version wrote no secret.
            let secret = self.table.tails().secret();
            effects.record(|| Record::Secret(secret));
        }
        self.finished.chosen.sort();
        self.finished.minted.sort();
        let (mut lost, mut finished) = (Vec::new(), Vec::new());
        for key in self.table.in_order() {
            self.subtract_downtime(key);
            self.count_job(key);
            let entry = &self.table[key];
            match entry.state {
                JobState::Scheduled => self.resume_scheduled(key),
                JobState::Queued => {
                    let lane = entry.lane;
                    self.lanes[lane].push_back(&mut self.table, key);
                    self.arm_timer(key);
                }
                JobState::Running => lost.extend(self.resume_running(now, key)),
                JobState::Succeeded | JobState::Failed | JobState::Cancelled => finished.push(key),
            }
        }
        self.recovered.reports_taken = HashMap::new();
        self.shrink_streams(effects);
        self.resume_finished(finished);
        for lane in self.lanes.keys() {
            self.refresh_rank(lane);
            self.remove_lane_if_empty(lane);
        }
        self.lanes.remove_idle_queues();
        self.lanes.begin_stats(now);
        for key in lost {
            let message = "the server ended during the attempt";
            let failure = Failure::new(FailureReason::WorkerLost, message);
            self.attempt_failed(now, key, failure, None, effects);
        }
    }

    /// Converts the deadline of a job to the monotonic clock.
    fn subtract_downtime(&mut self, key: JobKey) {
        let stopped = self.recovered.stopped;
        let entry = &mut self.table[key];
        if elapses_during_downtime(entry.state) && entry.deadline != Moment::NEVER {
            entry.deadline = Duration::from(entry.deadline).saturating_sub(stopped).into();
        }
    }

    /// Drops output and log lines of running jobs, oldest jobs first, while they exceed the bound. The bound may have
    /// been larger before the restart.
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
            effects.record(|| Record::Dropped(entry.id, entry.gaps()));
        }
    }

    /// Restores the finished jobs in the order of their ends.
    fn resume_finished(&mut self, mut finished: Vec<JobKey>) {
        finished.sort_by_key(|key| self.table[*key].end().map(|end| end.finish_time));
        for key in finished {
            self.add_finished(key);
            self.arm_timer(key);
        }
    }

    fn count_job(&mut self, key: JobKey) {
        let entry = &self.table[key];
        self.lanes[entry.lane].counts.add(entry.state);
        if !entry.state.is_final() {
            self.live_jobs += 1;
            self.live_bytes += entry.live_bytes();
            self.submitted_bytes += entry.submitted_bytes();
            self.callers.begin_job(entry.caller, entry.submitted_bytes());
        }
    }

    fn resume_scheduled(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let (lane, accepted) = (entry.lane, entry.accepted);
        if let (Start::At(time), 0) = (entry.start(), entry.attempt()) {
            self.wall_starts.insert((time, accepted, key));
        }
        self.lanes[lane].scheduled.push_back(&mut self.table, key);
        self.arm_timer(key);
    }

    /// Restores the lease of a running attempt. Returns the job if its attempt ran in the server's own workers.
    fn resume_running(&mut self, now: Now, key: JobKey) -> Option<JobKey> {
        let running = self.recovered.running.remove(&key)?;
        let session = match running.link {
            Link::Pool => return Some(key),
            Link::Stream(_) | Link::Unary(_) => {
                let known = self.sessions.of_link(running.link.clone(), running.principal.as_ref());
                known.unwrap_or_else(|| self.resume_session(now, &running))
            }
        };
        self.recovered.leases.insert(running.lease, key);
        let lease = self.options.lease.max(self.options.reconnect_grace);
        let lease_deadline = now.monotonic.saturating_add(lease);
        if let Some(active) = self.table[key].active_mut() {
            (active.session, active.lease_deadline) = (session, lease_deadline.into());
        }
        if let Some(open) = self.sessions.get_mut(session) {
            open.taken += 1;
            open.jobs.push_back(&mut self.table, key);
        }
        self.arm_attempt(key);
        None
    }

    /// Opens the session of a worker that is not connected and may reconnect, or repeat its Lease call.
    fn resume_session(&mut self, now: Now, running: &Running) -> SessionKey {
        let spec =
            SessionSpec { name: running.worker.to_string(), kinds: Vec::new(), queues: None, slots: 0 };
        let peer = Peer { principal: running.principal.clone(), ..Peer::default() };
        let key = self.sessions.open(now, &spec, running.link.clone(), peer);
        let reports_taken = &self.recovered.reports_taken;
        if let Some(session) = self.sessions.get_mut(key) {
            session.connected = false;
            if let Some(instance) = session.instance() {
                session.reports_taken = reports_taken.get(&instance).copied().unwrap_or_default();
                // The log has no refusals.
                session.reports_unknown = session.reports_taken;
            }
        }
        if !running.link.is_unary() {
            let session_timeout = self.options.lease.max(self.options.reconnect_grace);
            self.sessions.set_timer(key, Some(now.monotonic.saturating_add(session_timeout)));
        }
        key
    }
}

fn active(running: &Running, attempt: u32) -> ActiveAttempt {
    ActiveAttempt {
        lease: running.lease,
        attempt,
        session: UNKNOWN_SESSION,
        attempt_deadline: running.attempt_deadline.into(),
        lease_deadline: Moment::NEVER,
        cancel: running.cancel.clone().map(Box::new),
    }
}
