//! The state machine of all jobs: every rule of the service, as functions of state, command and time.
//!
//! It has no async code, no I/O, no clock and no randomness: time is an argument, and lease ids come from a seed. No
//! decision depends on the iteration order of a hash map, so the same commands give the same records.

mod attempts;
mod callers;
mod changes;
mod contents;
mod dispatch;
mod effects;
mod entry;
mod events;
mod eviction;
mod execution;
mod finished;
mod gauges;
mod history;
mod index;
mod job_log;
mod key_ids;
mod keys;
mod lanes;
mod lease_calls;
mod lifecycle;
mod list;
mod moment;
mod options;
mod queries;
mod queueing;
mod record;
mod recovered;
mod refusals;
mod replay;
mod retention;
mod sessions;
mod slots;
mod snapshot;
mod state;
mod stats;
mod submit;
mod table;
mod tails;
#[cfg(test)]
mod tests;
mod timeline;
mod tombstones;
mod transitions;
mod weight;
mod workers;

use std::time::Duration;

use crate::clock::Now;
use crate::error::{Error, Result};
use crate::job::{Cancellation, Drain, EndCounts, JobId, JobState, StateCounts, Timestamp};
use refusals::{illegal_state, queue_not_found};
use retention::Removal;

pub(crate) use callers::Caller;
pub(crate) use changes::change_bytes;
pub(crate) use contents::{Contents, LogPosition};
pub(crate) use effects::{Effect, Effects, JobLine, JobLogLevel, LogLine, WorkerChange};
pub(crate) use gauges::{FinishedGauge, LaneGauge};
pub(crate) use history::Gap;
pub(crate) use keys::{JobKey, SessionKey, worker_id};
pub(crate) use lifecycle::CancelRequest;
pub use options::{CoreOptions, QUEUES_MAX};
pub(crate) use queries::{JobAccessView, ListBounds};
pub(crate) use record::{Accepted, Cancel, Instance, Link, Record, Removed, Running, StateChanged};
pub(crate) use refusals::{job_not_found, lease_lost};
pub(crate) use snapshot::{Sample, SnapshotBounds, TombstoneCursor};
pub(crate) use state::Core;
pub(crate) use stats::PayloadSizes;
pub(crate) use submit::{Submitted, SubmittedJob};
pub(crate) use tails::IdSecret;
pub(crate) use workers::Welcome;

impl Core {
    /// Sets the caller of the jobs that are submitted next. A principal is their owner.
    pub(crate) fn set_caller(&mut self, caller: Caller) {
        self.callers.set_current(caller);
    }

    /// Cancels a job. A waiting job ends at once. The worker of a running job is asked to stop, and the job ends after
    /// the grace period of the request at the latest.
    pub(crate) fn cancel(
        &mut self,
        now: Now,
        id: JobId,
        request: CancelRequest<'_>,
        effects: &mut Effects,
    ) -> Result<JobKey> {
        let key = self.find(id)?;
        match self.table[key].state {
            JobState::Scheduled | JobState::Queued => {
                self.dequeue(key, effects);
                let CancelRequest { reason, principal, .. } = request;
                let (reason, principal) = (reason.to_owned(), principal.cloned());
                self.finish_cancelled(now, key, Cancellation { reason, principal, forced: false }, effects);
            }
            JobState::Running => self.request_cancel(now, key, request, effects),
            JobState::Cancelled => {}
            state @ (JobState::Succeeded | JobState::Failed) => {
                return Err(illegal_state(id, state, "SCHEDULED, QUEUED, RUNNING or CANCELLED", "cancelled"));
            }
        }
        Ok(key)
    }

    /// Removes a finished job.
    pub(crate) fn delete(&mut self, now: Now, id: JobId, effects: &mut Effects) -> Result<()> {
        let key = self.find(id)?;
        let state = self.table[key].state;
        if !state.is_final() {
            return Err(illegal_state(id, state, "SUCCEEDED, FAILED or CANCELLED", "deleted"));
        }
        self.remove(now, key, Removal::Deleted, effects);
        Ok(())
    }

    /// Pauses a queue: no further attempts of its jobs start.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if too many queues exist and this one does not.
    pub(crate) fn pause_queue(&mut self, name: &str, effects: &mut Effects) -> Result<()> {
        self.lanes.check_queue_limit(name, self.queues_max())?;
        self.set_paused(name, true, effects);
        Ok(())
    }

    fn set_paused(&mut self, name: &str, paused: bool, effects: &mut Effects) {
        self.lanes.set_paused(name, paused);
        effects.record(|| Record::QueuePaused(name.into(), paused));
        self.refresh_queue(name);
    }

    /// Resumes a queue.
    pub(crate) fn resume_queue(&mut self, now: Now, name: &str, effects: &mut Effects) -> Result<()> {
        if !self.lanes.queues.contains_key(name) {
            return Err(queue_not_found(name));
        }
        self.set_paused(name, false, effects);
        self.dispatch_all(now, effects);
        self.lanes.remove_queue_if_idle(name);
        Ok(())
    }

    /// Cancels up to `budget` waiting jobs of the queue. Returns their number; if it is below the budget, no more jobs
    /// wait.
    pub(crate) fn purge_queue(
        &mut self,
        now: Now,
        name: &str,
        budget: usize,
        effects: &mut Effects,
    ) -> Result<usize> {
        let mut purged = 0;
        while purged < budget {
            let Some(key) = self.first_waiting(name)? else { break };
            self.purge(now, key, effects);
            purged += 1;
        }
        let offered = self.offered_in(name, budget - purged);
        offered.iter().for_each(|key| self.purge(now, *key, effects));
        Ok(purged + offered.len())
    }

    fn purge(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        self.dequeue(key, effects);
        let reason = "queue purged".to_owned();
        self.finish_cancelled(now, key, Cancellation { reason, principal: None, forced: false }, effects);
    }

    /// Drains the server: no job is accepted and no attempt starts. Remote workers are informed that attempts may run
    /// for `within`.
    pub(crate) fn drain(&mut self, within: Duration, effects: &mut Effects) {
        self.draining = true;
        for lane in self.lanes.keys() {
            self.refresh_rank(lane);
        }
        for key in self.sessions.in_order() {
            effects.push(Effect::Drain(key, Drain { within, server_shutdown: true }));
        }
    }

    /// The jobs that ended since the server started, including removed ones.
    pub(crate) fn ended(&self) -> EndCounts {
        self.ended
    }

    /// The number of jobs in each state.
    pub(crate) fn counts(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        self.lanes.keys().into_iter().for_each(|lane| counts.add_all(&self.lanes[lane].counts));
        counts
    }

    /// Returns an error if the job has not ended.
    pub(crate) fn check_retry(&self, key: JobKey) -> Result<()> {
        let entry = &self.table[key];
        match entry.state.is_final() {
            true => Ok(()),
            false => Err(illegal_state(entry.id, entry.state, "SUCCEEDED, FAILED or CANCELLED", "retried")),
        }
    }

    /// Sets the error that refuses new jobs, or removes it. A submit of an existing job still succeeds.
    pub(crate) fn set_refusal(&mut self, why: Option<Error>) {
        self.refusal = why;
    }

    /// Whether [`Core::drain`] was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Sets the observer of the job that receives its effects; 0 is none. A job with an open watch is not removed when
    /// its retention passes.
    pub(crate) fn set_observer(&mut self, key: JobKey, observer: u32, is_watched: bool) {
        self.table[key].observer = if is_watched { observer | entry::WATCHED } else { observer };
    }

    /// The monotonic time before which no timer is due, if any timer is set.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let job = self.timers.first().map(|(time, _)| Duration::from(*time));
        let session = self.sessions.timers.first().map(|(time, _)| *time);
        job.into_iter().chain(session).min()
    }

    /// Whether the timer of any job is set.
    pub(crate) fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// The earliest start time of a job.
    pub(crate) fn next_wall_start(&self) -> Option<Timestamp> {
        self.wall_starts.first().map(|(time, ..)| *time)
    }

    /// Fires at most `budget` due timers. Returns whether more may be due.
    pub(crate) fn tick(&mut self, now: Now, budget: usize, effects: &mut Effects) -> bool {
        self.finished.chosen.prune(now.monotonic, self.options.idempotency_window);
        for _ in 0..budget {
            let due = self.sessions.timers.first().filter(|(time, _)| *time <= now.monotonic);
            if let Some((_, session)) = due.copied() {
                self.session_due(now, session, effects);
                continue;
            }
            let due = self.wall_starts.first().filter(|(time, ..)| *time <= now.wall);
            if let Some((.., key)) = due.copied() {
                self.enqueue_due(now, key, effects);
                continue;
            }
            let due = self.timers.first().filter(|(time, _)| time.is_past(now));
            let Some((time, key)) = due.copied() else { return false };
            self.clear_timer(key);
            match self.due_time(key) > time {
                true => self.arm_timer(key),
                false => self.timer_fired(now, key, effects),
            }
        }
        true
    }
}
