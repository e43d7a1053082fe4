//! What commands and the clock do to the model's jobs and sessions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Job, JobNumber, Model, Session, SessionNumber};
use crate::core::effects::Record;
use crate::core::{AttemptEnd, Stop};
use crate::error::ErrorKind;
use crate::job::{Cancellation, Failure, FailureReason, JobId, JobState, Outcome};

fn failed(reason: FailureReason, attempt: u32) -> Failure {
    Failure { attempt, ..Failure::new(reason, "") }
}

impl Model {
    pub(in super::super) fn open(&mut self, kinds: &[&str], queues: Option<&[&str]>, slots: usize) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (kinds, queues) = (names(kinds), queues.map(names));
        let same = |session: &&Session| session.open && session.kinds == kinds && session.queues == queues;
        let group = self.sessions.iter().find(same).map_or(self.sessions.len(), |session| session.group);
        self.sessions.push(Session { open: true, kinds, queues, slots, revoked: BTreeSet::new(), group });
        self.fill();
    }

    pub(in super::super) fn close(&mut self, session: SessionNumber) {
        let runs =
            |number: &JobNumber| self.jobs[*number].running.is_some_and(|(runner, ..)| runner == session);
        let mut lost: Vec<_> = (0..self.jobs.len()).filter(runs).collect();
        lost.sort_by_key(|number| self.jobs[*number].running.map(|(_, lease, _)| lease));
        for number in &lost {
            self.stop_running(*number, true);
        }
        self.sessions[session].open = false;
        for number in lost.into_iter().rev() {
            self.attempt_failed(number, failed(FailureReason::WorkerLost, 0), None);
        }
    }

    pub(in super::super) fn set_slots(&mut self, session: SessionNumber, slots: usize) {
        self.sessions[session].slots = slots;
        self.fill();
    }

    /// The job whose newest lease this is, if this session holds it.
    pub(in super::super) fn held(
        &self,
        session: SessionNumber,
        id: JobId,
        lease: usize,
    ) -> Option<JobNumber> {
        let holds = |job: &Job| {
            job.id == id
                && job.running.is_some_and(|(runner, newest, _)| (runner, newest) == (session, lease))
        };
        self.jobs.iter().position(holds)
    }

    pub(in super::super) fn end_attempt(
        &mut self,
        session: SessionNumber,
        id: JobId,
        lease: usize,
        end: AttemptEnd,
    ) -> Result<(), ErrorKind> {
        let held = self.held(session, id, lease);
        match held {
            Some(number) => {
                self.stop_running(number, false);
                self.settle(number, end);
            }
            None => drop(self.sessions[session].revoked.remove(&lease)),
        }
        self.fill();
        held.map(|_| ()).ok_or(ErrorKind::LeaseLost)
    }

    fn settle(&mut self, number: JobNumber, end: AttemptEnd) {
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
                self.try_again(number, pause, None);
            }
        }
    }

    fn attempt_failed(&mut self, number: JobNumber, failure: Failure, retry_after: Option<Duration>) {
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
        self.try_again(number, pause, Some(failure));
    }

    fn try_again(&mut self, number: JobNumber, pause: Duration, failure: Option<Failure>) {
        if pause > Duration::ZERO {
            self.jobs[number].deadline = Some(self.now.monotonic + pause);
            return self.transition(number, JobState::Scheduled, failure);
        }
        self.jobs[number].deadline = None;
        self.jobs[number].place = self.place_in_front();
        self.transition(number, JobState::Queued, failure);
        self.fill();
    }

    fn stop_running(&mut self, number: JobNumber, revoke: bool) {
        let Some((session, lease, _)) = self.jobs[number].running.take() else { return };
        if revoke {
            self.sessions[session].revoked.insert(lease);
            self.stops.push((self.leases[lease].lease, Stop::Revoke));
        }
    }

    fn end_cancelled(&mut self, number: JobNumber, forced: bool) {
        self.finish(
            number,
            Outcome::Cancellation(Arc::new(Cancellation { reason: "why".to_owned(), forced })),
        );
    }

    /// The end. It happens once, and only here.
    fn finish(&mut self, number: JobNumber, outcome: Outcome) {
        let state = outcome.state();
        let retention = self.jobs[number].spec.options.as_ref().and_then(|options| options.retention);
        let retention = retention.unwrap_or(self.options.retention);
        self.ends += 1;
        let job = &mut self.jobs[number];
        assert!(job.outcome.is_none() && job.running.is_none());
        job.deadline = Some(self.now.monotonic + retention);
        job.expire_time = self.now.wall.plus(retention);
        job.ended = self.ends;
        job.outcome = Some(outcome);
        self.transition(number, state, None);
        self.make_room(number);
    }

    /// Follows the core in removing the oldest finished jobs. That it must and may is an invariant of its own.
    fn make_room(&mut self, just_ended: JobNumber) {
        while let Some(Record::Removed(removed)) = self.core_records.get(self.records.len()) {
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
        self.expired.insert(self.jobs[number].id, time);
        self.remove(number);
    }

    fn remove(&mut self, number: JobNumber) {
        self.jobs[number].present = false;
        self.records.push(Record::Removed(self.jobs[number].id));
        let lane = self.lane(number);
        if !(0..self.jobs.len()).any(|other| self.jobs[other].present && self.lane(other) == lane) {
            self.served.remove(&lane);
        }
    }

    pub(in super::super) fn cancel(&mut self, id: JobId, grace: Duration) -> Result<(), ErrorKind> {
        let number = self.find(id)?;
        let allowed = "SCHEDULED, QUEUED, RUNNING or CANCELLED";
        match self.jobs[number].state {
            JobState::Scheduled | JobState::Queued => self.end_cancelled(number, false),
            JobState::Running if grace.is_zero() => self.force_cancel(number),
            JobState::Running => self.ask_to_stop(number, grace),
            JobState::Cancelled => {}
            state => return Err(ErrorKind::IllegalState { job_id: id, state, allowed }),
        }
        Ok(())
    }

    fn force_cancel(&mut self, number: JobNumber) {
        self.jobs[number].cancel_requested = true;
        self.stop_running(number, true);
        self.end_cancelled(number, true);
    }

    fn ask_to_stop(&mut self, number: JobNumber, grace: Duration) {
        let force_at = self.now.monotonic + grace;
        let job = &mut self.jobs[number];
        let Some((_, lease, attempt_end)) = job.running else { return };
        if job.force_at.is_some_and(|earlier| earlier <= force_at) {
            return;
        }
        job.force_at = Some(force_at);
        job.deadline = Some(force_at.min(attempt_end));
        if !std::mem::replace(&mut job.cancel_requested, true) {
            self.transition(number, JobState::Running, None);
        }
        self.stops.push((self.leases[lease].lease, Stop::Cancel(grace)));
    }

    pub(in super::super) fn delete(&mut self, id: JobId) -> Result<(), ErrorKind> {
        let number = self.find(id)?;
        let (state, allowed) = (self.jobs[number].state, "SUCCEEDED, FAILED or CANCELLED");
        if !state.is_final() {
            return Err(ErrorKind::IllegalState { job_id: id, state, allowed });
        }
        self.remove(number);
        Ok(())
    }

    fn know_queue(&self, name: &str) -> Result<(), ErrorKind> {
        let holds_jobs = self.jobs.iter().any(|job| job.present && job.spec.queue.as_str() == name);
        match holds_jobs || self.paused.contains(name) {
            true => Ok(()),
            false => Err(ErrorKind::QueueNotFound(name.to_owned())),
        }
    }

    pub(in super::super) fn pause(&mut self, name: &str) {
        self.paused.insert(name.to_owned());
        self.records.push(Record::QueuePaused(name.into(), true));
    }

    pub(in super::super) fn resume(&mut self, name: &str) -> Result<(), ErrorKind> {
        self.know_queue(name)?;
        self.paused.remove(name);
        self.records.push(Record::QueuePaused(name.into(), false));
        self.fill();
        Ok(())
    }

    /// In which order waiting jobs go is not promised: the core chooses.
    pub(in super::super) fn purge(&mut self, name: &str, budget: usize) -> Result<usize, ErrorKind> {
        self.know_queue(name)?;
        let mut purged = 0;
        while purged < budget {
            let waits = |job: &&Job| {
                let waiting = matches!(job.state, JobState::Scheduled | JobState::Queued);
                waiting && job.spec.queue.as_str() == name
            };
            let waiting: Vec<JobId> = self.jobs.iter().filter(waits).map(|job| job.id).collect();
            let Some(id) = self.chosen(&waiting) else { break };
            let number = self.find(id)?;
            let cancellation = Cancellation { reason: "queue purged".to_owned(), forced: false };
            self.finish(number, Outcome::Cancellation(Arc::new(cancellation)));
            purged += 1;
        }
        Ok(purged)
    }

    /// The one of these the core's next record is about.
    fn chosen(&self, candidates: &[JobId]) -> Option<JobId> {
        let next = self.core_records.get(self.records.len()).and_then(|record| match record {
            Record::Event(id, _) | Record::Removed(id) => Some(*id),
            Record::Accepted(_) | Record::QueuePaused(..) => None,
        });
        next.filter(|id| candidates.contains(id)).or(candidates.first().copied())
    }

    /// Does all that is due: start times in order, then timers by their millisecond.
    pub(in super::super) fn tick(&mut self) {
        loop {
            let waiting =
                (0..self.jobs.len()).filter(|number| self.jobs[*number].state == JobState::Scheduled);
            let due = waiting.filter_map(|number| Some((self.jobs[number].waits_for?, number))).min();
            let Some((_, number)) = due.filter(|(time, _)| *time <= self.now.wall) else { break };
            self.come_due(number);
        }
        let now = self.now.monotonic.as_millis();
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= now) {
            let first: Vec<JobId> =
                self.jobs.iter().filter(|job| job.tick() == Some(tick)).map(|job| job.id).collect();
            let Some(number) = self.chosen(&first).and_then(|id| self.find(id).ok()) else { break };
            self.timer_fires(number);
        }
    }

    /// The first millisecond at which anything is due.
    pub(in super::super) fn next_tick(&self) -> Option<u128> {
        self.jobs.iter().filter_map(Job::tick).min()
    }

    fn come_due(&mut self, number: JobNumber) {
        if self.jobs[number].overall_deadline().is_some_and(|end| end <= self.now.monotonic) {
            return self.give_up(number);
        }
        self.jobs[number].waits_for = None;
        self.jobs[number].deadline = None;
        self.jobs[number].place = self.place_behind();
        self.transition(number, JobState::Queued, None);
        self.fill();
    }

    fn timer_fires(&mut self, number: JobNumber) {
        if self.jobs[number].overall_deadline().is_some_and(|end| end <= self.now.monotonic) {
            return self.give_up(number);
        }
        match self.jobs[number].state {
            JobState::Scheduled => self.come_due(number),
            JobState::Running if self.jobs[number].cancel_requested => self.force_cancel(number),
            JobState::Running => {
                self.stop_running(number, true);
                self.attempt_failed(number, failed(FailureReason::AttemptTimeout, 0), None);
            }
            JobState::Queued => unreachable!("a queued job has no timer but its timeout"),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => self.expire(number),
        }
    }

    fn give_up(&mut self, number: JobNumber) {
        self.stop_running(number, true);
        let failure = failed(FailureReason::Deadline, self.jobs[number].attempt).permanent();
        self.finish(number, Outcome::Failure(Arc::new(failure)));
    }
}
