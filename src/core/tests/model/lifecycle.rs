//! State changes of the model's jobs by commands and by the clock.

use std::sync::Arc;
use std::time::Duration;

use super::{Job, JobNumber, LeaseNumber, Model, ModelRecord, SessionNumber};
use crate::error::ErrorKind;
use crate::job::{
    AttemptEnd, Cancellation, Failure, FailureReason, JobId, JobState, Outcome, Stop, Timestamp,
};

pub(super) fn failed(reason: FailureReason, attempt: u32) -> Failure {
    Failure { attempt, ..Failure::new(reason, "") }
}

impl Model {
    pub(in super::super) fn end_attempt(
        &mut self,
        session: SessionNumber,
        lease: LeaseNumber,
        end: AttemptEnd,
    ) -> Result<(), ErrorKind> {
        let held = self.held(session, lease);
        match held {
            Some(number) if self.is_offered(number) && end == AttemptEnd::Release(Duration::ZERO) => {
                self.leave_session(number);
                self.requeue_in_front(number);
            }
            Some(number) => {
                self.accept_lease(session, lease)?;
                self.leave_session(number);
                self.apply_end(number, end);
            }
            // A revoked lease can only report that its handler stopped.
            None => drop(self.sessions[session].revoked.remove(&lease)),
        }
        self.fill();
        held.map(|_| ()).ok_or(ErrorKind::LeaseLost)
    }

    fn apply_end(&mut self, number: JobNumber, end: AttemptEnd) {
        let is_cancelled = self.jobs[number].cancel_requested;
        match end {
            AttemptEnd::Success(result) if result.bytes.len() > self.options.payload_bytes_max => {
                let failure = failed(FailureReason::ResultTooLarge, 0).permanent();
                self.attempt_failed(number, failure, None);
            }
            AttemptEnd::Success(result) => self.finish(number, Outcome::Result(result)),
            AttemptEnd::Cancelled | AttemptEnd::Release(_) if is_cancelled => {
                self.end_cancelled(number, false)
            }
            AttemptEnd::Failure(failure, retry_after) => self.attempt_failed(number, failure, retry_after),
            AttemptEnd::Cancelled => {
                self.attempt_failed(number, failed(FailureReason::Handler, 0), None);
            }
            AttemptEnd::Release(pause) => {
                self.jobs[number].released += 1;
                self.retry_after(number, pause, None);
            }
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        number: JobNumber,
        failure: Failure,
        retry_after: Option<Duration>,
    ) {
        if self.jobs[number].cancel_requested {
            return self.end_cancelled(number, false);
        }
        let job = &mut self.jobs[number];
        let failure = Failure { attempt: job.attempt, ..failure };
        let retry = job.spec.options.clone().unwrap_or_default().retry;
        let is_lost = failure.reason == FailureReason::WorkerLost;
        job.lost += u32::from(is_lost);
        let counted = job.attempt - job.lost - job.released;
        let is_over = match is_lost {
            true => job.lost >= retry.max_lost_attempts,
            false => !failure.retryable || counted >= retry.max_attempts,
        };
        if is_over {
            return self.finish(number, Outcome::Failure(Arc::new(failure)));
        }
        let pause = match is_lost {
            true => Duration::ZERO,
            false => retry_after
                .unwrap_or_else(|| (retry.initial_backoff * 2_u32.pow(counted - 1)).min(retry.max_backoff)),
        };
        self.retry_after(number, pause, Some(failure));
    }

    fn retry_after(&mut self, number: JobNumber, pause: Duration, failure: Option<Failure>) {
        if pause > Duration::ZERO {
            self.jobs[number].deadline = Some(self.now.monotonic + pause);
            return self.transition(number, JobState::Scheduled, failure);
        }
        self.jobs[number].deadline = None;
        self.jobs[number].position = self.front_position();
        self.transition(number, JobState::Queued, failure);
        self.fill();
    }

    /// Queues an unaccepted job again, before later jobs.
    pub(super) fn requeue_in_front(&mut self, number: JobNumber) {
        self.jobs[number].position = self.front_position();
        self.fill();
    }

    /// Revokes the lease of a job, if there is one.
    pub(super) fn revoke(&mut self, number: JobNumber) {
        self.send_revoked(&[number]);
        self.leave_session(number);
    }

    pub(super) fn send_revoked(&mut self, jobs: &[JobNumber]) {
        for held in jobs.iter().filter_map(|number| self.jobs[*number].held) {
            self.messages.stops.push((held.session, self.leases[held.lease].lease, Stop::Revoke));
            // The slot is free once the worker reports the stop. Unary workers never do.
            let session = &mut self.sessions[held.session];
            if !session.link.is_unary() {
                session.revoked.insert(held.lease);
            }
        }
    }

    pub(super) fn leave_session(&mut self, number: JobNumber) {
        self.jobs[number].held = None;
    }

    fn end_cancelled(&mut self, number: JobNumber, forced: bool) {
        let (reason, principal) = ("why".to_owned(), self.jobs[number].canceller.clone());
        self.finish(number, Outcome::Cancellation(Arc::new(Cancellation { reason, principal, forced })));
    }

    /// Ends the job. It is the only function that sets an outcome.
    fn finish(&mut self, number: JobNumber, outcome: Outcome) {
        let state = outcome.state();
        let retention = self.jobs[number].spec.options.as_ref().and_then(|options| options.retention);
        let retention = retention.unwrap_or(self.options.retention);
        self.ends += 1;
        let job = &mut self.jobs[number];
        assert!(job.outcome.is_none() && job.held.is_none());
        job.deadline = Some(self.now.monotonic + retention);
        job.expire_time = self.now.wall.plus(retention);
        job.ended = self.ends;
        job.outcome = Some(outcome);
        self.transition(number, state, None);
        self.remove_oldest_finished(number);
    }

    /// Removes the oldest finished jobs like the core. The invariants check that it must and may.
    fn remove_oldest_finished(&mut self, just_ended: JobNumber) {
        while let Some(ModelRecord::Removed(removed)) = self.core_records.get(self.records.len()) {
            let finished = |number: &JobNumber| self.jobs[*number].present && self.jobs[*number].ended > 0;
            let oldest = (0..self.jobs.len()).filter(finished).min_by_key(|number| self.jobs[*number].ended);
            let Some(oldest) = oldest.filter(|oldest| *oldest != just_ended) else { return };
            if self.jobs[oldest].id != *removed {
                return;
            }
            self.expire(oldest);
        }
    }

    fn expire(&mut self, number: JobNumber) {
        let time = self.jobs[number].expire_time.min(self.now.wall);
        self.remove(number, time);
    }

    fn remove(&mut self, number: JobNumber, expire_time: Timestamp) {
        self.jobs[number].present = false;
        let Job { id, spec, .. } = &self.jobs[number];
        self.expired.insert(*id, (expire_time, spec.clone()));
        self.records.push(ModelRecord::Removed(self.jobs[number].id));
        let lane = self.lane(number);
        if !(0..self.jobs.len()).any(|other| self.jobs[other].present && self.lane(other) == lane) {
            self.served.remove(&lane);
        }
    }

    pub(in super::super) fn cancel(
        &mut self,
        id: JobId,
        grace: Duration,
        principal: Option<&Arc<str>>,
    ) -> Result<(), ErrorKind> {
        let number = self.find(id)?;
        let job = &mut self.jobs[number];
        if !job.cancel_requested && !job.state.is_final() {
            job.canceller = principal.cloned();
        }
        let allowed = "SCHEDULED, QUEUED, RUNNING or CANCELLED";
        match self.jobs[number].state {
            JobState::Scheduled | JobState::Queued => {
                self.revoke(number);
                self.end_cancelled(number, false);
            }
            JobState::Running if grace.is_zero() => self.force_cancel(number),
            JobState::Running => self.send_cancel(number, grace),
            JobState::Cancelled => {}
            state => return Err(ErrorKind::IllegalState { job_id: id, state, allowed }),
        }
        Ok(())
    }

    fn force_cancel(&mut self, number: JobNumber) {
        self.jobs[number].cancel_requested = true;
        self.revoke(number);
        self.end_cancelled(number, true);
    }

    fn send_cancel(&mut self, number: JobNumber, grace: Duration) {
        let force_at = self.now.monotonic + grace;
        let job = &mut self.jobs[number];
        let (id, Some(held)) = (job.id, job.held) else { return };
        if job.force_at.is_some_and(|earlier| earlier <= force_at) {
            return;
        }
        job.force_at = Some(force_at);
        match std::mem::replace(&mut job.cancel_requested, true) {
            true => self.records.push(ModelRecord::CancelDeadline(id, force_at)),
            false => self.transition(number, JobState::Running, None),
        }
        self.messages.stops.push((held.session, self.leases[held.lease].lease, Stop::Cancel(grace)));
    }

    pub(in super::super) fn delete(&mut self, id: JobId) -> Result<(), ErrorKind> {
        let number = self.find(id)?;
        let (state, allowed) = (self.jobs[number].state, "SUCCEEDED, FAILED or CANCELLED");
        if !state.is_final() {
            return Err(ErrorKind::IllegalState { job_id: id, state, allowed });
        }
        self.remove(number, self.now.wall);
        Ok(())
    }

    fn check_queue(&self, name: &str) -> Result<(), ErrorKind> {
        let holds_jobs = self.jobs.iter().any(|job| job.present && job.spec.queue.as_str() == name);
        match holds_jobs || self.paused.contains(name) {
            true => Ok(()),
            false => Err(ErrorKind::QueueNotFound(name.to_owned())),
        }
    }

    pub(in super::super) fn pause(&mut self, name: &str) {
        self.paused.insert(name.to_owned());
        self.records.push(ModelRecord::QueuePaused(name.into(), true));
    }

    pub(in super::super) fn resume(&mut self, name: &str) -> Result<(), ErrorKind> {
        self.check_queue(name)?;
        self.paused.remove(name);
        self.records.push(ModelRecord::QueuePaused(name.into(), false));
        self.fill();
        Ok(())
    }

    /// Cancels waiting jobs in the order of the core, which is not specified.
    pub(in super::super) fn purge(&mut self, name: &str, budget: usize) -> Result<usize, ErrorKind> {
        self.check_queue(name)?;
        let mut purged = 0;
        while purged < budget {
            let waits = |job: &&Job| {
                let waiting = matches!(job.state, JobState::Scheduled | JobState::Queued);
                waiting && job.spec.queue.as_str() == name
            };
            let waiting: Vec<JobId> = self.jobs.iter().filter(waits).map(|job| job.id).collect();
            let Some(id) = self.chosen(&waiting) else { break };
            let number = self.find(id)?;
            self.revoke(number);
            let reason = "queue purged".to_owned();
            let cancellation = Cancellation { reason, principal: None, forced: false };
            self.finish(number, Outcome::Cancellation(Arc::new(cancellation)));
            purged += 1;
        }
        Ok(purged)
    }

    /// Returns the candidate of the core's next record.
    fn chosen(&self, candidates: &[JobId]) -> Option<JobId> {
        self.next_record_of().filter(|id| candidates.contains(id)).or(candidates.first().copied())
    }

    fn next_record_of(&self) -> Option<JobId> {
        self.core_records.get(self.records.len()).and_then(|record| match record {
            ModelRecord::Event(id, _) | ModelRecord::Removed(id) => Some(*id),
            ModelRecord::CancelDeadline(id, _) | ModelRecord::Offered(id, _) => Some(*id),
            ModelRecord::Accepted(_) | ModelRecord::QueuePaused(..) | ModelRecord::ReportsTaken(..) => None,
        })
    }

    /// Handles sessions, then start times in order, then timers by millisecond.
    pub(in super::super) fn tick(&mut self) {
        for session in self.checked_sessions.clone() {
            self.check_session(session);
        }
        loop {
            let waiting =
                (0..self.jobs.len()).filter(|number| self.jobs[*number].state == JobState::Scheduled);
            let due = waiting.filter_map(|number| Some((self.jobs[number].waits_for?, number))).min();
            let Some((_, number)) = due.filter(|(time, _)| *time <= self.now.wall) else { break };
            self.start_time_passed(number);
        }
        let now = self.now.monotonic.as_millis();
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= now) {
            let is_first = |number: &JobNumber| self.jobs[*number].tick() == Some(tick);
            let first: Vec<JobNumber> = (0..self.jobs.len()).filter(is_first).collect();
            self.timer_fires(self.first_fired(&first));
        }
    }

    /// Returns the candidate that the core handled first: the one of its next stop, else the one of its next record.
    fn first_fired(&self, candidates: &[JobNumber]) -> JobNumber {
        let next_record = self.next_record_of();
        let is_recorded = |number: &&JobNumber| next_record == Some(self.jobs[**number].id);
        let next_stop = self.core_messages.stops.get(self.messages.stops.len()).map(|(_, lease, _)| *lease);
        let is_stopped = |number: &&JobNumber| {
            let held = self.jobs[**number].held;
            held.is_some_and(|held| next_stop == Some(self.leases[held.lease].lease))
        };
        let recorded = candidates.iter().find(is_recorded).copied();
        let stopped = candidates.iter().find(is_stopped).copied();
        match (recorded, stopped) {
            (Some(recorded), Some(stopped)) if self.jobs[recorded].held.is_none() => {
                // A job that is requeued and leased at once to a unary worker writes no record.
                let id = self.jobs[stopped].id;
                let is_unary = |number: SessionNumber| self.sessions[number].link.is_unary();
                let is_next =
                    self.started.front().is_some_and(|next| next.id == id && is_unary(next.session));
                if is_next && self.is_offered(stopped) { stopped } else { recorded }
            }
            (recorded, stopped) => stopped.or(recorded).unwrap_or(candidates[0]),
        }
    }

    /// Returns the millisecond of the earliest timer.
    pub(in super::super) fn next_tick(&self) -> Option<u128> {
        self.jobs.iter().filter_map(Job::tick).min()
    }

    fn start_time_passed(&mut self, number: JobNumber) {
        if self.jobs[number].overall_deadline().is_some_and(|end| end <= self.now.monotonic) {
            return self.job_timed_out(number);
        }
        self.jobs[number].waits_for = None;
        self.jobs[number].deadline = None;
        self.jobs[number].position = self.next_position();
        self.transition(number, JobState::Queued, None);
        self.fill();
    }

    fn timer_fires(&mut self, number: JobNumber) {
        if self.jobs[number].overall_deadline().is_some_and(|end| end <= self.now.monotonic) {
            return self.job_timed_out(number);
        }
        match self.jobs[number].state {
            JobState::Scheduled => self.start_time_passed(number),
            JobState::Running if self.jobs[number].cancel_requested => self.force_cancel(number),
            JobState::Running => {
                let attempt_end = self.jobs[number].held.and_then(|held| held.attempt_end);
                let is_late = attempt_end.is_some_and(|end| end <= self.now.monotonic);
                self.revoke(number);
                let reason = if is_late { FailureReason::AttemptTimeout } else { FailureReason::WorkerLost };
                self.attempt_failed(number, failed(reason, 0), None);
            }
            JobState::Queued => {
                self.revoke(number);
                self.requeue_in_front(number);
            }
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => self.expire(number),
        }
    }

    fn job_timed_out(&mut self, number: JobNumber) {
        self.revoke(number);
        let failure = failed(FailureReason::Deadline, self.jobs[number].attempt).permanent();
        self.finish(number, Outcome::Failure(Arc::new(failure)));
    }
}
