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
mod history;
mod image;
mod lanes;
mod lifecycle;
mod list;
mod memory;
mod oversize;
#[cfg(test)]
mod planted;
mod queries;
mod record;
mod replay;
mod retention;
mod sessions;
mod slots;
mod submit;
mod suspects;
mod table;
mod tails;
#[cfg(test)]
mod tests;
mod tombstones;
mod wheel;
mod workers;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Now;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Cancellation, Drain, EndCounts, JobId, JobState, Outcome, StateCounts, Timestamp};
use crate::memory::MemoryBudget;
use retention::Removal;
use tombstones::Tombstone;

pub use callers::Caller;
pub(crate) use contents::{Contents, LogPlace};
pub(crate) use effects::{Effect, Effects};
pub(crate) use image::{ImageBounds, Sample, TombstonePlace};
#[cfg(test)]
pub(crate) use planted::Planted;
pub(crate) use queries::ListBounds;
pub(crate) use record::{Accepted, Moved, Record, Removed, Running};
pub(crate) use sessions::Link;
pub use sessions::SessionKey;
pub(crate) use submit::{Standing, Submitted};
pub(crate) use table::JobKey;
pub(crate) use tails::IdSecret;
pub(crate) use workers::{Welcome, worker_id};

/// Bounds and defaults of the state machine.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Largest payload or result, in bytes. Default 1 MiB.
    pub payload_bytes_max: usize,
    /// Most jobs that have not ended. Default 1,000,000.
    pub jobs_max: u32,
    /// Most pairs of queue and kind that hold jobs, and most queues. An eighth more is for callers that hold few. Default 10,000;
    /// at most [`QUEUES_MAX`].
    pub queues_max: u32,
    /// Most bytes of payloads, labels and headers of jobs that have not ended, and of what they added since: output, logs,
    /// progress, failures. Beyond it new jobs are refused. What accepted ones add is at most a quarter of it: at that bound
    /// the oldest output and the earliest attempts of a job are forgotten and its failures are shortened. Default 1 GiB.
    pub job_bytes_max: u64,
    /// How long a finished job is kept unless its spec says otherwise. Default 1 h.
    pub retention: Duration,
    /// Most bytes of finished jobs; beyond it the oldest are removed early. Up to 16 MiB more stay while watches of them are
    /// open. Default 1 GiB.
    pub retention_bytes_max: u64,
    /// Most bytes of payloads, results, failure details, output and logs of finished jobs that an engine with a log keeps
    /// in memory; those of older ones are read from the log. Default 64 MiB.
    pub retention_memory_bytes_max: u64,
    /// Most bytes of all jobs together, so that a log with a bound can keep them: finished ones make room for new ones,
    /// which are refused when that is not enough. Default none.
    pub stored_bytes_max: u64,
    /// How long an id that a caller chose stays known after its job was removed, unless [`idempotency_ids_max`] newer ones
    /// were removed since: a submit that comes again runs nothing. Default 24 h.
    ///
    /// [`idempotency_ids_max`]: CoreOptions::idempotency_ids_max
    pub idempotency_window: Duration,
    /// Most ids of removed jobs that stay known, about 60 bytes each; beyond it the oldest removal is forgotten. Default
    /// 1,000,000.
    pub idempotency_ids_max: u32,
    /// Output and log bytes kept a job. Default 256 KiB.
    pub event_ring_bytes_max: usize,
    /// Longest time of one attempt unless the spec says otherwise. Default 1 h.
    pub attempt_timeout: Duration,
    /// How long a lease of a remote worker lasts after the last heartbeat that named it. Default 30 s.
    pub lease: Duration,
    /// How long a remote worker may take to accept an assignment before it goes to another. Default 5 s.
    pub accept_timeout: Duration,
    /// How often a remote worker is pinged; after three silent intervals it is cut off. Default 10 s.
    pub ping_interval: Duration,
    /// How long the leases of a remote worker last after its connection was seen to break. Within it the worker comes
    /// back and keeps its attempts; after it they are given to others. Default 800 ms.
    pub reconnect_grace: Duration,
    /// Most workers at a time. Default 10,000.
    pub workers_max: usize,
    /// Most bytes of names, kinds and queues of workers. Default 128 MiB.
    pub worker_bytes_max: u64,
    /// A bug that is to be found.
    #[cfg(test)]
    pub(crate) planted: Option<Planted>,
}

impl CoreOptions {
    /// The defaults, with every bound in bytes a share of this budget.
    pub fn within(budget: MemoryBudget) -> Self {
        Self {
            jobs_max: budget.jobs_max(),
            queues_max: budget.queues_max(),
            job_bytes_max: budget.job_bytes_max(),
            retention_bytes_max: budget.retention_bytes_max(),
            retention_memory_bytes_max: budget.retention_memory_bytes_max(),
            idempotency_ids_max: budget.idempotency_ids_max(),
            worker_bytes_max: budget.worker_bytes_max(),
            ..Self::default()
        }
    }
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1 << 20,
            jobs_max: 1_000_000,
            queues_max: 10_000,
            job_bytes_max: 1 << 30,
            retention: Duration::from_secs(3600),
            retention_bytes_max: 1 << 30,
            retention_memory_bytes_max: 64 << 20,
            stored_bytes_max: u64::MAX,
            idempotency_window: Duration::from_secs(24 * 3600),
            idempotency_ids_max: 1_000_000,
            event_ring_bytes_max: 256 << 10,
            attempt_timeout: Duration::from_secs(3600),
            lease: Duration::from_secs(30),
            accept_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(10),
            reconnect_grace: Duration::from_millis(800),
            workers_max: 10_000,
            worker_bytes_max: 128 << 20,
            #[cfg(test)]
            planted: None,
        }
    }
}

/// Largest value of [`CoreOptions::queues_max`].
pub const QUEUES_MAX: u32 = 50_000;

/// All jobs, where they wait, who runs them and when something is due.
pub(crate) struct Core {
    options: CoreOptions,
    table: table::Table,
    wheel: wheel::Wheel,
    /// Jobs that wait for a wall clock time. Apart from the wheel, because the wall clock may be moved.
    /// By time, then in the order of acceptance.
    wall_starts: BTreeSet<(Timestamp, u64, JobKey)>,
    lanes: lanes::Lanes,
    sessions: sessions::Sessions,
    callers: callers::Callers,
    /// Who the present command is from.
    caller: Caller,
    /// Counts dispatches, to take turns between lanes.
    dispatches: u64,
    finished: retention::Finished,
    live_jobs: u32,
    live_bytes: u64,
    /// Of them, what was submitted; the rest was added since.
    submitted_bytes: u64,
    /// Jobs that ended so far, removed ones included.
    ended: EndCounts,
    lease_ids: StdRng,
    /// Attempts of an earlier life.
    recovered: replay::Recovered,
    /// How many streams broke on the assignment of jobs that no worker has accepted since.
    suspects: HashMap<JobKey, u32>,
    draining: bool,
    /// Why no new job is accepted, if none is.
    refusal: Option<Error>,
    /// The entry of the log that is recorded to, if there is a log.
    log_entry: Option<NonZeroU64>,
}

impl Core {
    /// An empty core. Lease ids and, without a log, the secret behind the tails of ids come from the seed, which must not be
    /// guessable.
    pub(crate) fn new(options: CoreOptions, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let secret = IdSecret::from_u128(random.random());
        let finished = retention::Finished::new(options.idempotency_ids_max);
        Self {
            options,
            table: table::Table::new(secret),
            wheel: wheel::Wheel::new(),
            wall_starts: BTreeSet::new(),
            lanes: lanes::Lanes::default(),
            sessions: sessions::Sessions::default(),
            callers: callers::Callers::default(),
            caller: Caller::NOBODY,
            dispatches: 0,
            finished,
            live_jobs: 0,
            live_bytes: 0,
            submitted_bytes: 0,
            ended: EndCounts::default(),
            lease_ids: random,
            recovered: replay::Recovered::default(),
            suspects: HashMap::new(),
            draining: false,
            refusal: None,
            log_entry: None,
        }
    }

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
                self.finish_cancelled(now, key, reason, false, effects);
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
        self.finish_cancelled(now, key, "queue purged", false, effects);
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

    /// The job's key, or why there is none.
    pub(crate) fn find(&self, id: JobId) -> Result<JobKey> {
        if let Some(key) = self.table.find(id) {
            return Ok(key);
        }
        if let Some(stone) = self.finished.tombstone(id) {
            return Err(result_expired(stone));
        }
        Err(Error::new(
            ErrorKind::JobNotFound(id),
            format!("no job {id} here: it was never accepted, or was deleted"),
        ))
    }
}

fn illegal_state(id: JobId, state: JobState, allowed: &'static str, verb: &str) -> Error {
    let message = format!("job {id} is {} and cannot be {verb}: it must be {allowed}", state.name());
    Error::new(ErrorKind::IllegalState { job_id: id, state, allowed }, message)
}

fn result_expired(stone: &Tombstone) -> Error {
    let (id, expire_time) = (stone.id, stone.expire_time);
    let message = format!("job {id} ended and its retention passed, or it was deleted: its result is gone");
    Error::new(ErrorKind::ResultExpired { job_id: id, expire_time }, message)
}

fn queue_not_found(name: &str) -> Error {
    let message = format!("no queue {name} here: a queue exists while it holds jobs or is paused");
    Error::new(ErrorKind::QueueNotFound(name.to_owned()), message)
}

fn cancelled(reason: &str, forced: bool) -> Outcome {
    Outcome::Cancellation(Arc::new(Cancellation { reason: reason.to_owned(), forced }))
}
