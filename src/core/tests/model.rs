//! The reference model: the rules of the core as scans over plain vectors, without indexes, lists and sums.
//!
//! Where the rules leave a choice, the model checks the choice of the core and follows it: which free session runs a
//! job, the order of timers due at once, and the removal of finished jobs.

mod lifecycle;
mod reading;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Now;
use crate::core::CoreOptions;
use crate::core::weight::spec_bytes;
use crate::error::ErrorKind;
use crate::job::{
    Drain, Event, EventBody, Failure, JobId, JobState, LeaseId, NewJob, Outcome, Start, StateChange, Stop,
    Timestamp, WaitReason,
};

pub(super) use workers::{Link, Session, SessionNumber};

/// The index of a job among all accepted jobs.
pub(super) type JobNumber = usize;
/// The index of a lease among all assigned leases.
pub(super) type LeaseNumber = usize;

/// An assignment by the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) session: SessionNumber,
    pub(super) id: JobId,
    pub(super) lease: LeaseId,
    pub(super) attempt: u32,
    pub(super) time_left: Duration,
}

/// The lease of a job in a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActiveLease {
    pub(super) session: SessionNumber,
    pub(super) lease: LeaseNumber,
    /// The attempt timeout, once the attempt is accepted.
    pub(super) attempt_end: Option<Duration>,
    /// The end of the lease, or of the time to accept it. Leases of the in-process pool have none.
    pub(super) lease_end: Option<Duration>,
}

pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) spec: NewJob,
    /// Whether the job is not removed.
    pub(super) present: bool,
    pub(super) state: JobState,
    pub(super) attempt: u32,
    lost: u32,
    released: u32,
    /// The newest attempt number that was offered on a stream.
    offered: u32,
    pub(super) sequence: u32,
    created: Duration,
    /// The deadline of the present state, if no session has the job.
    deadline: Option<Duration>,
    pub(super) waits_for: Option<Timestamp>,
    /// The position in the lane, smaller first.
    position: i64,
    /// The lease, while a session has the job.
    pub(super) held: Option<ActiveLease>,
    pub(super) force_at: Option<Duration>,
    pub(super) cancel_requested: bool,
    /// The principal that cancelled the job.
    pub(super) canceller: Option<Arc<str>>,
    pub(super) outcome: Option<Outcome>,
    ended: usize,
    expire_time: Timestamp,
    /// All events, also dropped ones.
    pub(super) events: Vec<Event>,
    ring: VecDeque<(u32, usize)>,
    dropped: BTreeSet<u32>,
}

/// The messages to workers of one command, each kind in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct WorkerMessages {
    pub(super) stops: Vec<(SessionNumber, LeaseId, Stop)>,
    pub(super) drains: Vec<(SessionNumber, Drain)>,
    pub(super) cuts: Vec<SessionNumber>,
}

/// A record as the model predicts it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModelRecord {
    Accepted(Box<NewJob>),
    Event(JobId, Event),
    Removed(JobId),
    QueuePaused(Arc<str>, bool),
    CancelDeadline(JobId, Duration),
    Offered(JobId, u32),
    ReportsTaken(u8, u64),
}

pub(super) struct Model {
    pub(super) options: CoreOptions,
    pub(super) now: Now,
    pub(super) jobs: Vec<Job>,
    pub(super) sessions: Vec<Session>,
    pub(super) paused: BTreeSet<String>,
    pub(super) draining: bool,
    /// Bytes of live jobs as the core counts them. The invariants check this count.
    pub(super) live_bytes: u64,
    /// All leases, past and current.
    pub(super) leases: Vec<Started>,
    /// The expiry time and the spec of each removed job.
    pub(super) expired: BTreeMap<JobId, (Timestamp, NewJob)>,
    /// The turn at which each lane with jobs was served last.
    served: BTreeMap<(String, String), usize>,
    ends: usize,
    last_position: i64,
    first_position: i64,
    /// The assignments by the core in this command.
    pub(super) started: VecDeque<Started>,
    pub(super) core_records: Vec<ModelRecord>,
    pub(super) core_messages: WorkerMessages,
    /// The order in which the core checks sessions.
    pub(super) checked_sessions: Vec<SessionNumber>,
    /// The records that the model predicts for this command.
    pub(super) records: Vec<ModelRecord>,
    pub(super) messages: WorkerMessages,
}

impl Model {
    pub(super) fn new(options: CoreOptions, now: Now) -> Self {
        Self {
            options,
            now,
            jobs: Vec::new(),
            sessions: Vec::new(),
            paused: BTreeSet::new(),
            draining: false,
            live_bytes: 0,
            leases: Vec::new(),
            expired: BTreeMap::new(),
            served: BTreeMap::new(),
            ends: 0,
            last_position: 0,
            first_position: 0,
            started: VecDeque::new(),
            core_records: Vec::new(),
            core_messages: WorkerMessages::default(),
            checked_sessions: Vec::new(),
            records: Vec::new(),
            messages: WorkerMessages::default(),
        }
    }

    pub(super) fn find(&self, id: JobId) -> Result<JobNumber, ErrorKind> {
        let found = self.jobs.iter().position(|job| job.present && job.id == id);
        found.ok_or_else(|| match self.expired.get(&id) {
            Some((expire_time, _)) => ErrorKind::ResultExpired { job_id: id, expire_time: *expire_time },
            None => ErrorKind::JobNotFound(id),
        })
    }

    /// Accepts all jobs or none. Returns for each whether it existed.
    pub(super) fn submit_all(&mut self, jobs: &[(JobId, NewJob)]) -> Result<Vec<bool>, (usize, ErrorKind)> {
        let live = || self.jobs.iter().filter(|job| !job.state.is_final());
        let mut count = live().count();
        let mut bytes = self.live_bytes;
        let mut fresh: Vec<&(JobId, NewJob)> = Vec::new();
        for (index, pair) in jobs.iter().enumerate() {
            let (id, job) = pair;
            let present = self.find(*id).ok().map(|number| &self.jobs[number].spec);
            let present = present.or(self.expired.get(id).map(|(_, spec)| spec));
            let earlier = fresh.iter().find(|(other, _)| other == id).map(|(_, job)| job);
            match present.or(earlier) {
                Some(same) if same == job => continue,
                Some(_) => return Err((index, ErrorKind::JobIdReused(*id))),
                None => {}
            }
            count += 1;
            bytes += spec_bytes(&job.payload, job.options.as_deref()) as u64;
            let retry_after = Duration::from_secs(1);
            let subject = "server".to_owned();
            if self.draining {
                return Err((index, ErrorKind::Draining { retry_after }));
            }
            if count > self.options.jobs_max as usize {
                let reason = "QUEUE_FULL";
                return Err((index, ErrorKind::ResourceExhausted { reason, subject, retry_after }));
            }
            if bytes > self.options.job_bytes_max {
                let reason = "QUEUE_BYTES_FULL";
                return Err((index, ErrorKind::ResourceExhausted { reason, subject, retry_after }));
            }
            fresh.push(pair);
        }
        let is_known = |model: &Self, id| model.find(id).is_ok() || model.expired.contains_key(&id);
        Ok(jobs.iter().map(|(id, job)| is_known(self, *id) || !self.accept(*id, job)).collect())
    }

    /// Accepts a new job. Returns true.
    fn accept(&mut self, id: JobId, spec: &NewJob) -> bool {
        let spec = NewJob { id: Some(id), ..spec.clone() };
        let start = spec.options.as_ref().map(|options| options.start).unwrap_or_default();
        let (deadline, waits_for) = match start {
            Start::At(time) if time > self.now.wall => (None, Some(time)),
            Start::After(delay) if delay > Duration::ZERO => (Some(self.now.monotonic + delay), None),
            _ => (None, None),
        };
        let is_due = deadline.is_none() && waits_for.is_none();
        self.records.push(ModelRecord::Accepted(Box::new(spec.clone())));
        self.jobs.push(Job {
            id,
            spec,
            present: true,
            state: if is_due { JobState::Queued } else { JobState::Scheduled },
            attempt: 0,
            lost: 0,
            released: 0,
            offered: 0,
            sequence: 1,
            created: self.now.monotonic,
            deadline,
            waits_for,
            position: 0,
            held: None,
            force_at: None,
            cancel_requested: false,
            canceller: None,
            outcome: None,
            ended: 0,
            expire_time: Timestamp::default(),
            events: Vec::new(),
            ring: VecDeque::new(),
            dropped: BTreeSet::new(),
        });
        let number = self.jobs.len() - 1;
        self.jobs[number].position = self.next_position();
        let next_attempt_time = deadline.map(|_| self.now.wall).or(waits_for).map(|time| match start {
            Start::After(delay) => time.plus(delay),
            _ => time,
        });
        let wait_reason = self.wait_reason(number);
        let change = StateChange { next_attempt_time, wait_reason, ..change(self.jobs[number].state) };
        let body = EventBody::State(change);
        self.jobs[number].events.push(Event { sequence: 1, time: self.now.wall, attempt: 0, body });
        self.fill();
        true
    }

    /// Returns the wait reason by the rules.
    pub(super) fn wait_reason(&self, number: JobNumber) -> Option<WaitReason> {
        let job = &self.jobs[number];
        let serving: Vec<_> =
            (0..self.sessions.len()).filter(|session| self.serves(*session, number)).collect();
        match job.state {
            JobState::Scheduled if job.attempt == 0 => Some(WaitReason::NotDue),
            JobState::Scheduled => Some(WaitReason::BackOff),
            JobState::Queued if job.held.is_some() => Some(WaitReason::Starting),
            JobState::Queued if self.draining => Some(WaitReason::Draining),
            JobState::Queued if self.paused.contains(job.spec.queue.as_str()) => {
                Some(WaitReason::QueuePaused)
            }
            JobState::Queued if serving.is_empty() => Some(WaitReason::NoWorker),
            JobState::Queued if !serving.iter().any(|session| self.has_free_slot(*session)) => {
                Some(WaitReason::WorkersBusy)
            }
            _ => None,
        }
    }

    /// Starts attempts while a group has a free slot and a ready lane. In a group, the least recently served lane of
    /// the highest priority is first. The order of the groups is taken from the core.
    pub(super) fn fill(&mut self) {
        loop {
            let free = (0..self.sessions.len()).filter(|session| self.has_free_slot(*session));
            let groups: BTreeSet<_> = free
                .filter_map(|session| self.group_of(session))
                .filter(|group| self.next_job(*group).is_some())
                .collect();
            let chosen = self.started.front().and_then(|started| self.group_of(started.session));
            let Some(group) = chosen.filter(|group| groups.contains(group)).or(groups.first().copied())
            else {
                return;
            };
            let number = self.next_job(group).expect("the group can start a job");
            self.start(number, group);
        }
    }

    fn next_job(&self, group: SessionNumber) -> Option<JobNumber> {
        let ready = |number: &JobNumber| {
            let job = &self.jobs[*number];
            let is_held_back = self.draining || self.paused.contains(job.spec.queue.as_str());
            job.state == JobState::Queued
                && job.held.is_none()
                && !is_held_back
                && self.serves(group, *number)
        };
        let mut lanes: BTreeMap<_, JobNumber> = BTreeMap::new();
        let order =
            |number: JobNumber| (-i16::from(self.jobs[number].spec.priority), self.jobs[number].position);
        for number in (0..self.jobs.len()).filter(ready) {
            let first = lanes.entry(self.lane(number)).or_insert(number);
            if order(number) < order(*first) {
                *first = number;
            }
        }
        let rank = |number: JobNumber| (order(number).0, self.served.get(&self.lane(number)));
        let best = lanes.values().map(|number| rank(*number)).min()?;
        let equals: Vec<_> = lanes.into_values().filter(|number| rank(*number) == best).collect();
        // Lanes that were never served are equal: any may be first.
        let chosen = self.started.front().map(|started| started.id);
        equals
            .iter()
            .copied()
            .find(|number| Some(self.jobs[*number].id) == chosen)
            .or(equals.first().copied())
    }

    pub(super) fn lane(&self, number: JobNumber) -> (String, String) {
        let spec = &self.jobs[number].spec;
        (spec.queue.as_str().to_owned(), spec.kind.as_str().to_owned())
    }

    fn start(&mut self, number: JobNumber, group: SessionNumber) {
        let started = self.started.pop_front().expect("a job that can start does");
        assert_eq!(started.id, self.jobs[number].id, "the core started another job than the model");
        assert_eq!(self.group_of(started.session), Some(group));
        assert!(self.has_free_slot(started.session), "the session has a free slot");
        assert!(self.leases.iter().all(|other| other.lease != started.lease), "leases are unique");
        let options = self.jobs[number].spec.options.clone().unwrap_or_default();
        let timeout = options.attempt_timeout.unwrap_or(self.options.attempt_timeout);
        self.served.insert(self.lane(number), self.leases.len());
        let link = &self.sessions[started.session].link;
        let (is_pool, is_stream) = (*link == Link::Pool, matches!(link, Link::Stream(_)));
        let accept_end = self.now.monotonic + self.options.accept_timeout;
        let job = &mut self.jobs[number];
        // The worker of a stream may run an offered attempt without an accept.
        assert_eq!(started.attempt, job.attempt.max(job.offered) + 1);
        if is_stream {
            job.offered = started.attempt;
            self.records.push(ModelRecord::Offered(job.id, started.attempt));
        }
        let end = job
            .overall_deadline()
            .map_or(self.now.monotonic + timeout, |end| end.min(self.now.monotonic + timeout));
        assert_eq!(started.time_left, end.saturating_sub(self.now.monotonic));
        job.held = Some(ActiveLease {
            session: started.session,
            lease: self.leases.len(),
            attempt_end: None,
            lease_end: (!is_pool).then_some(accept_end),
        });
        self.leases.push(started);
        if is_pool {
            self.begin(number);
        }
    }

    /// Starts and counts the attempt.
    pub(super) fn begin(&mut self, number: JobNumber) {
        let options = self.jobs[number].spec.options.clone().unwrap_or_default();
        let timeout = options.attempt_timeout.unwrap_or(self.options.attempt_timeout);
        let job = &mut self.jobs[number];
        let held = job.held.as_mut().expect("the job has a lease");
        held.attempt_end = Some(self.now.monotonic + timeout);
        held.lease_end = held.lease_end.map(|_| self.now.monotonic + self.options.lease);
        let attempt = self.leases[held.lease].attempt;
        job.released += attempt - job.attempt - 1;
        job.attempt = attempt;
        self.transition(number, JobState::Running, None);
    }

    pub(super) fn next_position(&mut self) -> i64 {
        self.last_position += 1;
        self.last_position
    }

    pub(super) fn front_position(&mut self) -> i64 {
        self.first_position -= 1;
        self.first_position
    }

    /// Changes the state of a job and appends the event and its record.
    fn transition(&mut self, number: JobNumber, state: JobState, failure: Option<Failure>) {
        self.jobs[number].state = state;
        let wait_reason = self.wait_reason(number).map(|reason| match state {
            JobState::Scheduled => WaitReason::BackOff,
            _ => reason,
        });
        let job = &self.jobs[number];
        let pause = job.deadline.map(|deadline| deadline.saturating_sub(self.now.monotonic));
        let next_attempt_time =
            pause.filter(|_| state == JobState::Scheduled).map(|pause| self.now.wall.plus(pause));
        let body = EventBody::State(StateChange {
            wait_reason,
            failure: failure.map(Into::into),
            next_attempt_time,
            outcome: job.outcome.clone(),
            cancel_requested: job.cancel_requested && state == JobState::Running,
            principal: job.canceller.clone().filter(|_| state == JobState::Running),
            ..change(state)
        });
        self.add_event(number, body);
    }

    pub(super) fn add_event(&mut self, number: JobNumber, body: EventBody) {
        let time = self.now.wall;
        let job = &mut self.jobs[number];
        job.sequence += 1;
        let event = Event { sequence: job.sequence, time, attempt: job.attempt, body };
        job.events.push(event.clone());
        self.records.push(ModelRecord::Event(job.id, event));
    }
}

impl Job {
    fn overall_deadline(&self) -> Option<Duration> {
        let timeout = self.spec.options.as_ref().and_then(|options| options.timeout);
        timeout.filter(|_| !self.state.is_final()).map(|timeout| self.created + timeout)
    }

    /// Returns the millisecond of the earliest timer of the job.
    pub(super) fn tick(&self) -> Option<u128> {
        let due = match &self.held {
            Some(held) => held.attempt_end.into_iter().chain(held.lease_end).chain(self.force_at).min(),
            None => self.deadline,
        };
        let first = self.overall_deadline().into_iter().chain(due).min()?;
        self.present.then_some(first.as_nanos().div_ceil(1_000_000))
    }
}

fn change(state: JobState) -> StateChange {
    StateChange {
        state,
        wait_reason: None,
        failure: None,
        next_attempt_time: None,
        outcome: None,
        cancel_requested: false,
        principal: None,
    }
}
