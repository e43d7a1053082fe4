//! The reference model: the same rules over plain vectors, by scanning. No wheel, no lists, no sums.
//!
//! It leaves open what the rules leave open, and takes it from what the core did after checking that it may: which of
//! several free sessions runs a job, which of several things due at once is first, when finished jobs make room.

mod life;
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

/// A job's place among all that were ever accepted.
pub(super) type JobNumber = usize;
/// A lease's place among all that were ever given.
pub(super) type LeaseNumber = usize;

/// An assignment the core made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) session: SessionNumber,
    pub(super) id: JobId,
    pub(super) lease: LeaseId,
    pub(super) attempt: u32,
    pub(super) time_left: Duration,
}

/// What a job that a session has is bound by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) session: SessionNumber,
    pub(super) lease: LeaseNumber,
    /// When the attempt has run too long; nothing runs before it is accepted.
    pub(super) attempt_end: Option<Duration>,
    /// When the lease runs out, or the time to accept it; never in the server's own workers.
    pub(super) lease_end: Option<Duration>,
}

pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) spec: NewJob,
    /// Not removed yet.
    pub(super) present: bool,
    pub(super) state: JobState,
    pub(super) attempt: u32,
    lost: u32,
    released: u32,
    /// The newest number that the worker of a stream was offered.
    offered: u32,
    pub(super) sequence: u32,
    created: Duration,
    /// When it moves on by itself in this state, if no session has it.
    deadline: Option<Duration>,
    pub(super) waits_for: Option<Timestamp>,
    /// Its place in the lane, smaller first.
    place: i64,
    /// While a session has it.
    pub(super) held: Option<Held>,
    pub(super) force_at: Option<Duration>,
    pub(super) cancel_requested: bool,
    pub(super) outcome: Option<Outcome>,
    ended: usize,
    expire_time: Timestamp,
    /// Every event there ever was.
    pub(super) events: Vec<Event>,
    ring: VecDeque<(u32, usize)>,
    dropped: BTreeSet<u32>,
}

/// What workers were told in a command, each kind in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) stops: Vec<(SessionNumber, LeaseId, Stop)>,
    pub(super) drains: Vec<(SessionNumber, Drain)>,
    pub(super) cuts: Vec<SessionNumber>,
}

/// A record, as far as the model knows what is in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Accepted(Box<NewJob>),
    Event(JobId, Event),
    Removed(JobId),
    QueuePaused(Arc<str>, bool),
    CancelHastened(JobId, Duration),
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
    /// Bytes of jobs that have not ended, as the core counts them: an invariant of its own.
    pub(super) live_bytes: u64,
    /// Every lease there ever was.
    pub(super) leases: Vec<Started>,
    /// When the result of each removed job was gone, and its spec.
    pub(super) expired: BTreeMap<JobId, (Timestamp, NewJob)>,
    /// When each lane that holds jobs was served last.
    served: BTreeMap<(String, String), usize>,
    ends: usize,
    last_place: i64,
    first_place: i64,
    /// What the core did in this command.
    pub(super) started: VecDeque<Started>,
    pub(super) core_records: Vec<Said>,
    pub(super) core_told: Told,
    /// The order in which the core looks at sessions.
    pub(super) looked_at: Vec<SessionNumber>,
    /// What it must have done.
    pub(super) records: Vec<Said>,
    pub(super) told: Told,
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
            last_place: 0,
            first_place: 0,
            started: VecDeque::new(),
            core_records: Vec::new(),
            core_told: Told::default(),
            looked_at: Vec::new(),
            records: Vec::new(),
            told: Told::default(),
        }
    }

    pub(super) fn find(&self, id: JobId) -> Result<JobNumber, ErrorKind> {
        let found = self.jobs.iter().position(|job| job.present && job.id == id);
        found.ok_or_else(|| match self.expired.get(&id) {
            Some((expire_time, _)) => ErrorKind::ResultExpired { job_id: id, expire_time: *expire_time },
            None => ErrorKind::JobNotFound(id),
        })
    }

    /// Accepts all jobs or none. Answers for each whether it was there before.
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

    /// Always true: the job is new.
    fn accept(&mut self, id: JobId, spec: &NewJob) -> bool {
        let spec = NewJob { id: Some(id), ..spec.clone() };
        let start = spec.options.as_ref().map(|options| options.start).unwrap_or_default();
        let (deadline, waits_for) = match start {
            Start::At(time) if time > self.now.wall => (None, Some(time)),
            Start::After(delay) if delay > Duration::ZERO => (Some(self.now.monotonic + delay), None),
            _ => (None, None),
        };
        let is_due = deadline.is_none() && waits_for.is_none();
        self.records.push(Said::Accepted(Box::new(spec.clone())));
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
            place: 0,
            held: None,
            force_at: None,
            cancel_requested: false,
            outcome: None,
            ended: 0,
            expire_time: Timestamp::default(),
            events: Vec::new(),
            ring: VecDeque::new(),
            dropped: BTreeSet::new(),
        });
        let number = self.jobs.len() - 1;
        self.jobs[number].place = self.place_behind();
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

    /// Why the job does not run, by the rules alone.
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

    /// Starts whatever can start: of a group, the first lane of the largest priority served longest ago. Which of several
    /// groups that can start something comes first is open.
    pub(super) fn fill(&mut self) {
        loop {
            let free = (0..self.sessions.len()).filter(|session| self.has_free_slot(*session));
            let groups: BTreeSet<_> = free
                .filter_map(|session| self.group_of(session))
                .filter(|group| self.next_job(*group).is_some())
                .collect();
            let told = self.started.front().and_then(|started| self.group_of(started.session));
            let Some(group) = told.filter(|group| groups.contains(group)).or(groups.first().copied()) else {
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
            |number: JobNumber| (-i16::from(self.jobs[number].spec.priority), self.jobs[number].place);
        for number in (0..self.jobs.len()).filter(ready) {
            let first = lanes.entry(self.lane(number)).or_insert(number);
            if order(number) < order(*first) {
                *first = number;
            }
        }
        let rank = |number: JobNumber| (order(number).0, self.served.get(&self.lane(number)));
        let best = lanes.values().map(|number| rank(*number)).min()?;
        let equals: Vec<_> = lanes.into_values().filter(|number| rank(*number) == best).collect();
        // Lanes never served are equal: any may be first.
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
        assert_eq!(started.id, self.jobs[number].id, "another job is next");
        assert_eq!(self.group_of(started.session), Some(group));
        assert!(self.has_free_slot(started.session), "a slot is free");
        assert!(self.leases.iter().all(|other| other.lease != started.lease), "leases are never used again");
        let options = self.jobs[number].spec.options.clone().unwrap_or_default();
        let timeout = options.attempt_timeout.unwrap_or(self.options.attempt_timeout);
        self.served.insert(self.lane(number), self.leases.len());
        let link = &self.sessions[started.session].link;
        let (is_pool, is_stream) = (*link == Link::Pool, matches!(link, Link::Stream(_)));
        let accept_end = self.now.monotonic + self.options.accept_timeout;
        let job = &mut self.jobs[number];
        // What a stream's worker was offered it may run, though it never said so.
        assert_eq!(started.attempt, job.attempt.max(job.offered) + 1);
        if is_stream {
            job.offered = started.attempt;
            self.records.push(Said::Offered(job.id, started.attempt));
        }
        let end = job
            .overall_deadline()
            .map_or(self.now.monotonic + timeout, |end| end.min(self.now.monotonic + timeout));
        assert_eq!(started.time_left, end.saturating_sub(self.now.monotonic));
        job.held = Some(Held {
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

    /// The attempt runs, and is counted, from here on.
    pub(super) fn begin(&mut self, number: JobNumber) {
        let options = self.jobs[number].spec.options.clone().unwrap_or_default();
        let timeout = options.attempt_timeout.unwrap_or(self.options.attempt_timeout);
        let job = &mut self.jobs[number];
        let held = job.held.as_mut().expect("a session has it");
        held.attempt_end = Some(self.now.monotonic + timeout);
        held.lease_end = held.lease_end.map(|_| self.now.monotonic + self.options.lease);
        let attempt = self.leases[held.lease].attempt;
        job.released += attempt - job.attempt - 1;
        job.attempt = attempt;
        self.transition(number, JobState::Running, None);
    }

    pub(super) fn place_behind(&mut self) -> i64 {
        self.last_place += 1;
        self.last_place
    }

    pub(super) fn place_in_front(&mut self) -> i64 {
        self.first_place -= 1;
        self.first_place
    }

    /// Moves the job on and writes the event and the record of it.
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
        self.records.push(Said::Event(job.id, event));
    }
}

impl Job {
    fn overall_deadline(&self) -> Option<Duration> {
        let timeout = self.spec.options.as_ref().and_then(|options| options.timeout);
        timeout.filter(|_| !self.state.is_final()).map(|timeout| self.created + timeout)
    }

    /// The millisecond at which a timer of it is due.
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
    }
}
