//! The state machine over all jobs: every rule of the service, as plain functions of (state, command, now).
//!
//! No async, no I/O, no clock and no randomness of its own: time is an argument and lease ids come from a seed. No
//! decision depends on the iteration order of a hash map, so the same commands give the same records.

mod attempts;
mod callers;
mod contents;
mod course;
mod dispatch;
mod effects;
mod entry;
mod events;
mod eviction;
mod finished;
mod history;
mod image;
mod keys;
mod lanes;
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
mod state;
mod submit;
mod table;
mod tails;
#[cfg(test)]
mod tests;
mod tombstones;
mod transitions;
mod weight;
mod wheel;
mod workers;

use std::time::Duration;

use crate::clock::Now;
use crate::error::{Error, Result};
use crate::job::{Drain, EndCounts, JobId, JobState, StateCounts, Timestamp};
use refusals::{illegal_state, queue_not_found};
use retention::Removal;

pub(crate) use callers::Caller;
pub(crate) use contents::{Contents, LogPlace};
pub(crate) use effects::{Effect, Effects};
pub(crate) use image::{ImageBounds, Sample, TombstonePlace};
pub(crate) use keys::{JobKey, SessionKey, worker_id};
pub use options::{CoreOptions, QUEUES_MAX};
pub(crate) use queries::ListBounds;
pub(crate) use record::{Accepted, Link, Moved, Record, Removed, Running};
pub(crate) use state::Core;
pub(crate) use submit::{Standing, Submitted};
pub(crate) use tails::IdSecret;
pub(crate) use workers::Welcome;

impl Core {
    /// Jobs that are submitted from now on are this caller's.
    pub(crate) fn set_caller(&mut self, caller: Caller) {
        self.caller = caller;
    }

    /// Ends a waiting job at once; tells the worker of a running one and forces it after `grace`.
    pub(crate) fn cancel(
        &mut self,
        now: Now,
        id: JobId,
        reason: &str,
        grace: Duration,
        effects: &mut Effects,
    ) -> Result<JobKey> {
        let key = self.find(id)?;
        match self.table[key].state {
            JobState::Scheduled | JobState::Queued => {
                self.leave_waiting(key, effects);
                self.finish_cancelled(now, key, reason.to_owned(), false, effects);
            }
            JobState::Running => self.request_cancel(now, key, reason, grace, effects),
            JobState::Cancelled => {}
            state @ (JobState::Succeeded | JobState::Failed) => {
                return Err(illegal_state(id, state, "SCHEDULED, QUEUED, RUNNING or CANCELLED", "cancelled"));
            }
        }
        Ok(key)
    }

    /// Removes a finished job now.
    pub(crate) fn delete(&mut self, now: Now, id: JobId, effects: &mut Effects) -> Result<()> {
        let key = self.find(id)?;
        let state = self.table[key].state;
        if !state.is_final() {
            return Err(illegal_state(id, state, "SUCCEEDED, FAILED or CANCELLED", "deleted"));
        }
        self.remove(now, key, Removal::Deleted, effects);
        Ok(())
    }

    /// Starts no further attempts of the queue's jobs.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if too many queues exist and this one does not.
    pub(crate) fn pause_queue(&mut self, name: &str, effects: &mut Effects) -> Result<()> {
        self.lanes.check_queue_room(name, self.queues_max())?;
        self.lanes.set_paused(name, true);
        effects.record(|| Record::QueuePaused(name.into(), true));
        self.refresh_queue(name);
        Ok(())
    }

    /// Starts attempts of the queue's jobs again.
    pub(crate) fn resume_queue(&mut self, now: Now, name: &str, effects: &mut Effects) -> Result<()> {
        if !self.lanes.queues.contains_key(name) {
            return Err(queue_not_found(name));
        }
        self.lanes.set_paused(name, false);
        effects.record(|| Record::QueuePaused(name.into(), false));
        self.refresh_queue(name);
        self.dispatch_all(now, effects);
        self.lanes.remove_queue_if_idle(name);
        Ok(())
    }

    /// Cancels up to `budget` waiting jobs of the queue and answers how many; fewer than the budget means all.
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
        self.leave_waiting(key, effects);
        self.finish_cancelled(now, key, "queue purged".to_owned(), false, effects);
    }

    /// Takes no new jobs and starts no attempts from now on; tells remote workers that what they run may take this long.
    pub(crate) fn drain(&mut self, within: Duration, effects: &mut Effects) {
        self.draining = true;
        for lane in self.lanes.keys() {
            self.refresh_standing(lane);
        }
        for key in self.sessions.in_order() {
            effects.push(Effect::Drain(key, Drain { within, server_shutdown: true }));
        }
    }

    /// Jobs that ended so far, removed ones included.
    pub(crate) fn ended(&self) -> EndCounts {
        self.ended
    }

    /// All jobs by state.
    pub(crate) fn counts(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        self.lanes.keys().into_iter().for_each(|lane| counts.add_all(&self.lanes[lane].counts));
        counts
    }

    /// Refuses to retry a job that has not ended.
    pub(crate) fn check_retry(&self, key: JobKey) -> Result<()> {
        let entry = &self.table[key];
        match entry.state.is_final() {
            true => Ok(()),
            false => Err(illegal_state(entry.id, entry.state, "SUCCEEDED, FAILED or CANCELLED", "retried")),
        }
    }

    /// Accepts no new job for this reason from now on, or accepts them again. Those that are known are still answered.
    pub(crate) fn refuse_new(&mut self, why: Option<Error>) {
        self.refusal = why;
    }

    /// Whether [`Core::drain`] was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Has the job's observer told of news from now on; 0 is nobody. A job with an open watch is not removed by its
    /// retention.
    pub(crate) fn set_observer(&mut self, key: JobKey, observer: u32, is_watched: bool) {
        self.table[key].observer = if is_watched { observer | entry::WATCHED } else { observer };
    }

    /// Monotonic time before which no timer is due, if any timer is set.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let job = self.wheel.next_tick().map(Duration::from_millis);
        let session = self.sessions.timers.first().map(|(time, _)| *time);
        job.into_iter().chain(session).min()
    }

    /// Whether a job waits for time to pass.
    pub(crate) fn awaits_time(&self) -> bool {
        self.wheel.next_tick().is_some()
    }

    /// The earliest wall clock time a job waits for.
    pub(crate) fn next_wall_start(&self) -> Option<Timestamp> {
        self.wall_starts.first().map(|(time, ..)| *time)
    }

    /// Does what is due, at most `budget` timers of it. Answers whether more may be due.
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
            match self.wheel.step(&mut self.table, now.monotonic.as_millis() as u64) {
                wheel::Step::Fired(key) => self.timer_fired(now, key, effects),
                wheel::Step::Moved => {}
                wheel::Step::Idle => return false,
            }
        }
        true
    }
}
