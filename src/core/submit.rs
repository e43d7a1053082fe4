//! Submit: idempotency, admission, and the first event.

use super::callers::{CallerKey, Usage, reserve};
use super::effects::Effects;
use super::entry::Entry;
use super::keys::{JobKey, LaneKey};
use super::record::{Accepted, Record};
use super::refusals::{draining, full, over_quota, reserved, result_expired, reused};
use super::state::Core;
use super::weight::{RECORD_BYTES, spec_bytes};
use crate::clock::Now;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobState, NewJob, SpecDigest, Start};

/// The result of a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) id: JobId,
    pub(crate) job: SubmittedJob,
    /// Whether the job existed before.
    pub(crate) existing: bool,
}

/// The job of a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubmittedJob {
    Present(JobKey),
    /// It ended in this state and was removed.
    Removed(JobState),
}

impl Core {
    /// Accepts a job, or returns the existing job with this id and the same spec. If the job has no id of its own, `id`
    /// was minted for it, and its final id is in the result.
    ///
    /// # Errors
    ///
    /// `JobIdReused`, `ResultExpired`, `ResourceExhausted`, `Draining`; the job is not accepted.
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
            self.count_deduplicated(existing.job, &job);
            return Ok(existing);
        }
        self.check_admission(1, spec_bytes(&job.payload, job.options.as_deref()), 0)?;
        let lane = self.lane_for(&job)?;
        Ok(self.accept(now, id, job, lane, effects))
    }

    /// Accepts all jobs or none. The error has the index of its job.
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

    /// Checks the admission of the whole batch, before any job is accepted.
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
                Some(earlier) if self.digest_of(earlier) != self.digest_of(job) => {
                    return Err(at(reused(*id)));
                }
                Some(_) => continue,
                None => {}
            }
            bytes += spec_bytes(&job.payload, job.options.as_deref());
            if self.lanes.find(job.queue.as_str(), job.kind.as_str()).is_none() {
                new_lanes.insert((&job.queue, &job.kind));
            }
            self.check_admission(new_jobs.len() as u32, bytes, new_lanes.len()).map_err(at)?;
        }
        Ok(())
    }

    /// Whether [`Core::submit`] would accept the job. Changes nothing.
    pub(crate) fn check_submit(&self, id: Option<JobId>, job: &NewJob) -> Result<()> {
        if let Some(id) = id
            && self.existing(id, job)?.is_some()
        {
            return Ok(());
        }
        let is_new_lane = self.lanes.find(job.queue.as_str(), job.kind.as_str()).is_none();
        self.check_admission(1, spec_bytes(&job.payload, job.options.as_deref()), usize::from(is_new_lane))
    }

    fn count_deduplicated(&mut self, existing: SubmittedJob, job: &NewJob) {
        let series = match existing {
            SubmittedJob::Present(key) => self.lanes[self.table[key].lane].series,
            SubmittedJob::Removed(_) => {
                self.lanes.stats.key(&job.queue.as_str().into(), &job.kind.as_str().into())
            }
        };
        self.lanes.stats.deduplicated(series);
    }

    fn existing(&self, id: JobId, job: &NewJob) -> Result<Option<Submitted>> {
        let Some(key) = self.table.find(id) else { return self.removed_before(id, job) };
        match self.spec_digest(key) == self.digest_of(job) {
            true => Ok(Some(Submitted { id, job: SubmittedJob::Present(key), existing: true })),
            false => Err(reused(id)),
        }
    }

    /// The digest of the spec that the caller submits.
    fn digest_of(&self, job: &NewJob) -> SpecDigest {
        SpecDigest::of(job, self.callers.owner(self.callers.current()).map(|owner| &**owner))
    }

    /// The result for a job with this id that was removed within the idempotency window.
    fn removed_before(&self, id: JobId, job: &NewJob) -> Result<Option<Submitted>> {
        let Some(tombstone) = self.finished.tombstone(id) else { return Ok(None) };
        match tombstone.end {
            Some((state, digest)) if digest == self.digest_of(job) => {
                Ok(Some(Submitted { id, job: SubmittedJob::Removed(state), existing: true }))
            }
            Some(_) => Err(reused(id)),
            // The specs cannot be compared, and the job must not run twice.
            None => Err(result_expired(tombstone)),
        }
    }

    fn check_admission(&self, jobs: u32, bytes: usize, new_lanes: usize) -> Result<()> {
        if self.draining {
            return Err(draining());
        }
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.check_quota(jobs, bytes as u64)?;
        self.check_jobs(jobs)?;
        self.check_bytes(bytes as u64)?;
        let weight = self.live_weight() + bytes as u64 + u64::from(jobs) * RECORD_BYTES as u64;
        if weight > self.options.stored_bytes_max {
            let limit = self.options.stored_bytes_max;
            let message = format!(
                "jobs that wait or run would take {weight} bytes, the server's log has capacity for {limit}: try again later"
            );
            return Err(Error::new(ErrorKind::DiskFull, message));
        }
        if new_lanes > 0 {
            self.check_lanes(new_lanes)?;
        }
        Ok(())
    }

    /// Refuses jobs above the quota of the caller's principal.
    fn check_quota(&self, jobs: u32, bytes: u64) -> Result<()> {
        let caller = self.callers.current();
        let Some((name, quota)) = self.callers.quota(caller) else { return Ok(()) };
        let Usage { jobs: own_jobs, bytes: own_bytes, .. } = self.callers.usage(caller);
        if let Some(jobs_max) = quota.waiting_jobs.filter(|jobs_max| own_jobs + jobs > *jobs_max) {
            return Err(over_quota(name, own_jobs.into(), "jobs", "waiting_jobs", jobs_max.into()));
        }
        if let Some(bytes_max) = quota.waiting_bytes.filter(|bytes_max| own_bytes + bytes > *bytes_max) {
            return Err(over_quota(name, own_bytes, "bytes of jobs", "waiting_bytes", bytes_max));
        }
        Ok(())
    }

    /// Refuses jobs above the bound. In the reserve, only callers with few jobs are admitted.
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
        let own = self.callers.usage(self.callers.current()).jobs;
        match self.may_use_reserve(reserve, (own + jobs).into()) {
            true => Ok(()),
            false => Err(reserved("QUEUE_FULL", "jobs", own.into(), reserve, jobs_max.into())),
        }
    }

    /// Refuses bytes above the bound, as [`Core::check_jobs`] does. For callers with few bytes, the bytes that running
    /// jobs added do not count. There is no reserve if it is smaller than the largest payload.
    fn check_bytes(&self, bytes: u64) -> Result<()> {
        let (bytes_max, count) = (self.options.job_bytes_max, self.live_bytes + bytes);
        let reserve = reserve(bytes_max);
        let reserve = if reserve < self.options.payload_bytes_max as u64 { 0 } else { reserve };
        if count <= bytes_max - reserve {
            return Ok(());
        }
        let own = self.callers.usage(self.callers.current()).bytes;
        let holds_little = self.may_use_reserve(reserve, own + bytes);
        let is_caller = self.callers.current() != CallerKey::EMBEDDER && reserve > 0;
        let counted = if is_caller && holds_little { self.submitted_bytes + bytes } else { count };
        if counted > bytes_max {
            let used = self.live_bytes;
            let message = format!(
                "{used} bytes of jobs wait or run and {bytes} more exceed the limit of {bytes_max}: try again later"
            );
            return Err(full("QUEUE_BYTES_FULL", message));
        }
        match holds_little || reserve == 0 {
            true => Ok(()),
            false => Err(reserved("QUEUE_BYTES_FULL", "bytes of jobs", own, reserve, bytes_max)),
        }
    }

    /// Refuses pairs of queue and kind above the bound. The reserve is an eighth more, for callers with few lanes.
    fn check_lanes(&self, more: usize) -> Result<()> {
        let (lanes_max, count) = (self.queues_max() as u64, (self.lanes.len() + more) as u64);
        if count <= lanes_max {
            return Ok(());
        }
        let (reserve, own) =
            (reserve(lanes_max), u64::from(self.callers.usage(self.callers.current()).lanes));
        if count <= lanes_max + reserve
            && self.callers.current() != CallerKey::EMBEDDER
            && self.may_use_reserve(reserve, own + more as u64)
        {
            return Ok(());
        }
        let message = format!(
            "{lanes_max} pairs of queue and kind have jobs, the limit, {own} of them created by this connection: \
             reuse queues and kinds, or raise queues_max"
        );
        Err(full("LANES_FULL", message))
    }

    /// Whether the caller may use a reserve with this usage.
    fn may_use_reserve(&self, reserve: u64, usage: u64) -> bool {
        let caller = self.callers.current();
        caller == CallerKey::EMBEDDER || usage <= self.callers.share(caller, reserve)
    }

    fn lane_for(&mut self, job: &NewJob) -> Result<LaneKey> {
        if let Some(lane) = self.lanes.find(job.queue.as_str(), job.kind.as_str()) {
            return Ok(lane);
        }
        self.check_lanes(1)?;
        let lane = self.lanes.insert(&job.queue, &job.kind);
        let creator = self.callers.current();
        self.callers.add_lane(creator);
        self.lanes[lane].creator = creator;
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
        self.lanes.stats.payloads.input.record(job.payload.bytes.len());
        let recorded = effects.records.is_some().then(|| job.clone());
        let caller = self.callers.current();
        let entry = Entry { written: self.log_entry, caller, ..Entry::new(now, id, job, lane) };
        let (state, start) = (entry.state, entry.start());
        let submitted_bytes = entry.submitted_bytes();
        self.submitted_bytes += submitted_bytes;
        self.callers.store_job(caller);
        self.callers.begin_job(caller, submitted_bytes);
        self.live_jobs += 1;
        self.live_bytes += entry.live_bytes();
        self.lanes.add_accepted(now, lane, state);
        let key = match is_named {
            true => self.table.insert(entry),
            false => self.table.insert_minted(entry),
        };
        let id = self.table[key].id;
        if state == JobState::Queued {
            self.table[key].first_wait = self.wait_reason_of(key);
        }
        if let Some(job) = recorded {
            effects
                .record(|| Record::Accepted(Accepted::of(&self.table[key], job, self.owner(key).cloned())));
        }
        self.push_change(key, effects);
        if state == JobState::Scheduled {
            self.lanes[lane].scheduled.push_back(&mut self.table, key);
            if let Start::At(time) = start {
                self.wall_starts.insert((time, self.table[key].accepted, key));
            }
            self.arm_timer(key);
        } else {
            self.arm_timer(key);
            self.start_or_enqueue(now, key, effects);
        }
        self.enforce_retention(now, None, effects);
        Submitted { id, job: SubmittedJob::Present(key), existing: false }
    }
}
