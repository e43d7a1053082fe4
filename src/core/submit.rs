//! Accepting jobs: idempotency, bounds, and the first event.

use super::callers::{Caller, reserve};
use super::effects::Effects;
use super::entry::Entry;
use super::keys::{JobKey, LaneKey};
use super::record::{Accepted, Record};
use super::refusals::{draining, full, kept_for_others, result_expired, reused};
use super::state::Core;
use super::weight::{RECORD_BYTES, spec_bytes};
use crate::clock::Now;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobOptions, JobState, NewJob, SpecDigest, Start};

/// The answer to a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) id: JobId,
    pub(crate) standing: Standing,
    /// Whether the job was there before.
    pub(crate) existing: bool,
}

/// Where a submitted job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Held(JobKey),
    /// It ended in this state and was removed.
    Removed(JobState),
}

impl Core {
    /// Accepts a job, or answers the one that was accepted with this id and the same spec before. An id that the job does
    /// not name itself was minted for it and nobody knows it yet: the answer has the one that it gets.
    ///
    /// # Errors
    ///
    /// `JobIdReused`, `ResultExpired`, `ResourceExhausted`, `Draining`; nothing was kept.
    pub(crate) fn submit(
        &mut self,
        now: Now,
        id: JobId,
        job: NewJob,
        effects: &mut Effects,
    ) -> Result<Submitted> {
        if job.id.is_some()
            && let Some(existing) = self.existing(id, &job)?
        {
            return Ok(existing);
        }
        self.check_room(1, spec_bytes(&job.payload, job.options.as_deref()), 0)?;
        let lane = self.lane_for(&job)?;
        Ok(self.accept(now, id, job, lane, effects))
    }

    /// Accepts all jobs or none. The error names the job it is about by its index.
    pub(crate) fn submit_all(
        &mut self,
        now: Now,
        jobs: Vec<(JobId, NewJob)>,
        effects: &mut Effects,
    ) -> Result<Vec<Submitted>, (usize, Error)> {
        self.check_all(&jobs)?;
        let accept = |(index, (id, job))| self.submit(now, id, job, effects).map_err(|error| (index, error));
        jobs.into_iter().enumerate().map(accept).collect()
    }

    /// Checks everything that could refuse a job of the batch, before any of them is accepted.
    fn check_all(&self, jobs: &[(JobId, NewJob)]) -> Result<(), (usize, Error)> {
        let mut new_jobs = std::collections::HashMap::new();
        let mut new_lanes = std::collections::HashSet::new();
        let mut bytes = 0;
        for (index, (id, job)) in jobs.iter().enumerate() {
            let at = |error| (index, error);
            if self.existing(*id, job).map_err(at)?.is_some() {
                continue;
            }
            match new_jobs.insert(*id, job) {
                Some(earlier) if !same_spec(earlier, job) => return Err(at(reused(*id))),
                Some(_) => continue,
                None => {}
            }
            bytes += spec_bytes(&job.payload, job.options.as_deref());
            if self.lanes.find(job.queue.as_str(), job.kind.as_str()).is_none() {
                new_lanes.insert((&job.queue, &job.kind));
            }
            self.check_room(new_jobs.len() as u32, bytes, new_lanes.len()).map_err(at)?;
        }
        Ok(())
    }

    /// Whether [`Core::submit`] would accept the job now; keeps nothing.
    pub(crate) fn check_submit(&self, id: Option<JobId>, job: &NewJob) -> Result<()> {
        if let Some(id) = id
            && self.existing(id, job)?.is_some()
        {
            return Ok(());
        }
        let is_new_lane = self.lanes.find(job.queue.as_str(), job.kind.as_str()).is_none();
        self.check_room(1, spec_bytes(&job.payload, job.options.as_deref()), usize::from(is_new_lane))
    }

    fn existing(&self, id: JobId, job: &NewJob) -> Result<Option<Submitted>> {
        let Some(key) = self.table.find(id) else { return self.removed_before(id, job) };
        match self.has_spec(key, job) {
            true => Ok(Some(Submitted { id, standing: Standing::Held(key), existing: true })),
            false => Err(reused(id)),
        }
    }

    /// A job of this id that was removed within the idempotency window: it never runs again.
    fn removed_before(&self, id: JobId, job: &NewJob) -> Result<Option<Submitted>> {
        let Some(stone) = self.finished.tombstone(id) else { return Ok(None) };
        match stone.end {
            Some((state, digest)) if digest == SpecDigest::of(job) => {
                Ok(Some(Submitted { id, standing: Standing::Removed(state), existing: true }))
            }
            Some(_) => Err(reused(id)),
            // Whether it is the same job cannot be told, and it must not run twice.
            None => Err(result_expired(stone)),
        }
    }

    fn has_spec(&self, key: JobKey, job: &NewJob) -> bool {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        self.has_payload(key, &job.payload)
            && entry.priority == job.priority
            && same_options(entry.options.as_deref(), job.options.as_deref())
            && *lane.kind == *job.kind.as_str()
            && *lane.queue == *job.queue.as_str()
    }

    fn check_room(&self, jobs: u32, bytes: usize, new_lanes: usize) -> Result<()> {
        if self.draining {
            return Err(draining());
        }
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.check_jobs(jobs)?;
        self.check_bytes(bytes as u64)?;
        let weight = self.live_weight() + bytes as u64 + u64::from(jobs) * RECORD_BYTES as u64;
        if weight > self.options.stored_bytes_max {
            let limit = self.options.stored_bytes_max;
            let message = format!(
                "jobs that wait or run would take {weight} bytes, the server's log has room for {limit}: try again later"
            );
            return Err(Error::new(ErrorKind::DiskFull, message));
        }
        if new_lanes > 0 {
            self.check_lanes(new_lanes)?;
        }
        Ok(())
    }

    /// Refuses jobs beyond the most there may be; those of a caller that holds many already somewhat earlier.
    fn check_jobs(&self, jobs: u32) -> Result<()> {
        let (jobs_max, count) = (self.options.jobs_max, self.live_jobs + jobs);
        let reserve = reserve(jobs_max.into());
        if u64::from(count) <= u64::from(jobs_max) - reserve {
            return Ok(());
        }
        if count > jobs_max {
            let message =
                format!("{} jobs wait or run, the limit is {jobs_max}: try again later", self.live_jobs);
            return Err(full("QUEUE_FULL", message));
        }
        let own = self.callers.held(self.caller).jobs;
        match self.may_use(reserve, (own + jobs).into()) {
            true => Ok(()),
            false => Err(kept_for_others("QUEUE_FULL", "jobs", own.into(), reserve, jobs_max.into())),
        }
    }

    /// As [`Core::check_jobs`] for bytes. What running jobs added counts, but for callers that hold little: it has a bound of
    /// its own. A reserve that does not hold the largest payload is none.
    fn check_bytes(&self, bytes: u64) -> Result<()> {
        let (bytes_max, count) = (self.options.job_bytes_max, self.live_bytes + bytes);
        let reserve = reserve(bytes_max);
        let reserve = if reserve < self.options.payload_bytes_max as u64 { 0 } else { reserve };
        if count <= bytes_max - reserve {
            return Ok(());
        }
        let own = self.callers.held(self.caller).bytes;
        let holds_little = self.may_use(reserve, own + bytes);
        let is_caller = self.caller != Caller::NOBODY && reserve > 0;
        let counted = if is_caller && holds_little { self.submitted_bytes + bytes } else { count };
        if counted > bytes_max {
            let held = self.live_bytes;
            let message = format!(
                "{held} bytes of jobs wait or run and {bytes} more exceed the limit of {bytes_max}: try again later"
            );
            return Err(full("QUEUE_BYTES_FULL", message));
        }
        match holds_little || reserve == 0 {
            true => Ok(()),
            false => Err(kept_for_others("QUEUE_BYTES_FULL", "bytes of jobs", own, reserve, bytes_max)),
        }
    }

    /// Refuses pairs of queue and kind beyond the most there may be. An eighth more is for callers whose jobs opened few, so
    /// that one who opens many shuts nobody out.
    fn check_lanes(&self, more: usize) -> Result<()> {
        let (lanes_max, count) = (self.queues_max() as u64, (self.lanes.len() + more) as u64);
        if count <= lanes_max {
            return Ok(());
        }
        let (reserve, own) = (reserve(lanes_max), u64::from(self.callers.held(self.caller).lanes));
        if count <= lanes_max + reserve
            && self.caller != Caller::NOBODY
            && self.may_use(reserve, own + more as u64)
        {
            return Ok(());
        }
        let message = format!(
            "{lanes_max} pairs of queue and kind hold jobs, the limit, {own} of them opened by this connection: \
             reuse queues and kinds, or raise queues_max"
        );
        Err(full("LANES_FULL", message))
    }

    /// Whether the caller may use a reserve, holding so much.
    fn may_use(&self, reserve: u64, holding: u64) -> bool {
        self.caller == Caller::NOBODY || holding <= self.callers.share(self.caller, reserve)
    }

    fn lane_for(&mut self, job: &NewJob) -> Result<LaneKey> {
        if let Some(lane) = self.lanes.find(job.queue.as_str(), job.kind.as_str()) {
            return Ok(lane);
        }
        self.check_lanes(1)?;
        let lane = self.lanes.insert(&job.queue, &job.kind);
        let opener = self.callers.key(self.caller);
        self.callers.add_lane(opener);
        self.lanes[lane].opener = opener;
        self.lanes[lane].groups = self.sessions.groups_for(&self.lanes[lane]);
        Ok(lane)
    }

    fn accept(
        &mut self,
        now: Now,
        id: JobId,
        job: NewJob,
        lane: LaneKey,
        effects: &mut Effects,
    ) -> Submitted {
        let is_named = job.id.is_some();
        let recorded = effects.records.is_some().then(|| job.clone());
        let caller = self.callers.key(self.caller);
        let entry = Entry { written: self.log_entry, caller, ..Entry::new(now, id, job, lane) };
        let (state, start) = (entry.state, entry.start());
        let submitted_bytes = entry.submitted_bytes();
        self.submitted_bytes += submitted_bytes;
        self.callers.add_job(caller, submitted_bytes);
        self.live_jobs += 1;
        self.live_bytes += entry.live_bytes();
        self.lanes[lane].counts.add(state);
        self.lanes[lane].accepted.add(now.monotonic);
        let key = match is_named {
            true => self.table.insert(entry),
            false => self.table.insert_minted(entry),
        };
        let id = self.table[key].id;
        if state == JobState::Queued {
            self.table[key].first_wait = self.wait_reason_of(key);
        }
        if let Some(job) = recorded {
            effects.record(|| Record::Accepted(Accepted::of(&self.table[key], job)));
        }
        if state == JobState::Scheduled {
            self.lanes[lane].scheduled.push_back(&mut self.table, key);
            if let Start::At(time) = start {
                self.wall_starts.insert((time, self.table[key].accepted, key));
            }
            self.arm(key);
        } else {
            self.arm(key);
            self.start_or_wait(now, key, effects);
        }
        self.make_room(now, None, effects);
        Submitted { id, standing: Standing::Held(key), existing: false }
    }
}

fn same_spec(one: &NewJob, other: &NewJob) -> bool {
    one.kind == other.kind
        && one.queue == other.queue
        && one.payload == other.payload
        && one.priority == other.priority
        && same_options(one.options.as_deref(), other.options.as_deref())
}

fn same_options(one: Option<&JobOptions>, other: Option<&JobOptions>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one == other,
        (Some(options), None) | (None, Some(options)) => *options == JobOptions::default(),
    }
}
