//! A core on a manual clock with one-line commands. Each command checks all invariants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::ProptestConfig;

use super::invariants;
use crate::clock::Now;
use crate::core::Record;
use crate::core::{CancelRequest, Core, CoreOptions, Effect, Effects, JobKey, SessionKey, Submitted};
use crate::error::{ErrorKind, Result};
use crate::job::{
    AttemptEnd, Drain, Event, EventBody, EventTypes, Failure, FailureReason, JobChange, JobId, JobOptions,
    JobState, JobView, Kind, LeaseId, Log, LogLevel, LogStream, NewJob, Output, Payload, Progress, QueueName,
    Report, SessionSpec, Stop, Timestamp, WatchItem,
};

pub(super) const GRACE: Duration = seconds(10);

pub(super) struct Fixture {
    pub(super) core: Core,
    pub(super) now: Now,
    /// Assignments not yet taken by [`Fixture::started`].
    started: Vec<JobId>,
    /// Stops sent to sessions, not yet taken by [`Fixture::stopped`].
    stopped: Vec<(JobId, Stop)>,
    pub(super) woken: Vec<u32>,
    pub(super) drained: Vec<(SessionKey, Drain)>,
    pub(super) cut: Vec<SessionKey>,
    pub(super) records: Vec<Record>,
    pub(super) changes: Vec<Arc<JobChange>>,
    /// The job and the attempt number of each assignment, in order.
    pub(super) assigned: Vec<(JobId, u32)>,
    /// The newest lease of each job.
    leases: HashMap<JobId, (SessionKey, LeaseId)>,
    lease_jobs: HashMap<LeaseId, JobId>,
    ids: u32,
}

/// Returns the proptest configuration: bounded shrinking, no file of earlier failures.
pub(super) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn id(number: u32) -> JobId {
    JobId::from_bytes((u128::from(number) + 1).to_be_bytes())
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::parse("kind", name).unwrap()
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::parse("queue", name).unwrap()
}

pub(super) fn job(name: &str) -> NewJob {
    NewJob::new(kind(name), Payload::default())
}

pub(super) fn prioritized(name: &str, priority: i8) -> NewJob {
    NewJob { priority, ..job(name) }
}

pub(super) fn queued_in(name: &str, queue_name: &str) -> NewJob {
    NewJob { queue: queue(queue_name), ..job(name) }
}

pub(super) fn sized(name: &str, bytes: usize) -> NewJob {
    NewJob { payload: Payload::data(vec![0; bytes]), ..job(name) }
}

pub(super) fn with(name: &str, change: impl FnOnce(&mut JobOptions)) -> NewJob {
    let mut job = job(name);
    change(job.options_mut());
    job
}

/// Returns a job with this many attempts and a back-off of 1, 2, 4, ... seconds.
pub(super) fn retried(name: &str, max_attempts: u32) -> NewJob {
    with(name, |options| {
        options.retry.max_attempts = max_attempts;
        options.retry.jitter = 0.0;
    })
}

pub(super) fn failure(message: &str) -> AttemptEnd {
    AttemptEnd::Failure(Failure::new(FailureReason::Handler, message), None)
}

pub(super) fn success() -> AttemptEnd {
    AttemptEnd::Success(Payload::text("done"))
}

pub(super) fn output(text: &str) -> Report {
    Report::Output(Output { payload: Payload::text(text), channel: "".into() })
}

pub(super) fn log(text: &str) -> Report {
    Report::Log(Log { level: LogLevel::Info, text: text.into(), stream: LogStream::Log })
}

pub(super) fn progress(done: f64) -> Report {
    Report::Progress(Progress { done: Some(done), ..Progress::default() })
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(CoreOptions::default())
    }

    pub(super) fn with(options: CoreOptions) -> Self {
        let wall = Timestamp::from_micros(1_767_225_600_000_000);
        Self {
            core: Core::new(options, [7; 32]),
            now: Now { monotonic: Duration::ZERO, wall },
            started: Vec::new(),
            stopped: Vec::new(),
            woken: Vec::new(),
            drained: Vec::new(),
            cut: Vec::new(),
            records: Vec::new(),
            changes: Vec::new(),
            assigned: Vec::new(),
            leases: HashMap::new(),
            lease_jobs: HashMap::new(),
            ids: 1000,
        }
    }

    /// Runs a command, collects its effects and records, and checks all invariants.
    pub(super) fn run<T>(&mut self, command: impl FnOnce(&mut Core, Now, &mut Effects) -> T) -> T {
        let mut effects = Effects::recording();
        let answer = command(&mut self.core, self.now, &mut effects);
        self.records.extend(effects.records.unwrap());
        for effect in effects.items {
            match effect {
                Effect::Assign(session, assignment) => {
                    self.started.push(assignment.job_id);
                    self.assigned.push((assignment.job_id, assignment.attempt));
                    self.leases.insert(assignment.job_id, (session, assignment.lease));
                    self.lease_jobs.insert(assignment.lease, assignment.job_id);
                }
                Effect::Stop(_, lease, stop) => self.stopped.push((self.lease_jobs[&lease], stop)),
                Effect::Drain(session, drain) => self.drained.push((session, drain)),
                Effect::Disconnect(session) => self.cut.push(session),
                Effect::Changed(change) => self.changes.push(change),
                Effect::Log(_) => {}
                Effect::Wake(observer) | Effect::Ended(observer, _) | Effect::Removed(observer) => {
                    self.woken.push(observer)
                }
            }
        }
        invariants::check(&self.core);
        answer
    }

    pub(super) fn submit(&mut self, job: NewJob) -> JobId {
        self.ids += 1;
        let id = id(self.ids);
        self.submit_as(id, job).unwrap();
        id
    }

    pub(super) fn submit_as(&mut self, id: JobId, job: NewJob) -> Result<Submitted> {
        let job = NewJob { id: Some(id), ..job };
        self.run(|core, now, effects| core.submit(now, id, job, effects))
    }

    pub(super) fn open(&mut self, kinds: &[&str], slots: u32) -> SessionKey {
        self.open_in(kinds, None, slots)
    }

    pub(super) fn open_in(&mut self, kinds: &[&str], queues: Option<&[&str]>, slots: u32) -> SessionKey {
        let kinds = kinds.iter().map(|name| kind(name)).collect();
        let queues = queues.map(|names| names.iter().map(|name| queue(name)).collect());
        let spec = SessionSpec { name: "w".to_owned(), kinds, queues, slots };
        self.run(|core, now, effects| core.open_session(now, &spec, effects))
    }

    pub(super) fn close(&mut self, session: SessionKey) {
        self.run(|core, now, effects| core.close_session(now, session, effects));
    }

    pub(super) fn set_slots(&mut self, session: SessionKey, slots: u32) {
        self.run(|core, now, effects| core.set_slots(now, session, slots, effects));
    }

    /// Returns the session and the lease of the newest attempt of a job.
    pub(super) fn lease(&self, id: JobId) -> (SessionKey, LeaseId) {
        self.leases[&id]
    }

    /// Ends the newest attempt of a job.
    pub(super) fn end(&mut self, id: JobId, end: AttemptEnd) {
        let (session, lease) = self.lease(id);
        self.end_with(session, lease, end).unwrap();
    }

    pub(super) fn end_with(&mut self, session: SessionKey, lease: LeaseId, end: AttemptEnd) -> Result<()> {
        self.run(|core, now, effects| core.end_attempt(now, session, lease, end, effects))
    }

    pub(super) fn report(&mut self, id: JobId, report: Report) {
        let (session, lease) = self.lease(id);
        self.run(|core, now, effects| core.report(now, session, lease, report, effects)).unwrap();
    }

    pub(super) fn cancel(&mut self, id: JobId, grace: Duration) -> Result<JobKey> {
        let principal = Arc::from("ops");
        let request = CancelRequest { reason: "why", grace, principal: Some(&principal) };
        self.run(|core, now, effects| core.cancel(now, id, request, effects))
    }

    /// Moves both clocks and runs a tick.
    pub(super) fn advance(&mut self, by: Duration) {
        self.now.monotonic += by;
        self.now.wall = self.now.wall.plus(by);
        self.tick();
    }

    /// Moves only the wall clock and runs a tick.
    pub(super) fn move_wall(&mut self, by_seconds: i64) {
        self.now.wall = Timestamp::from_micros(self.now.wall.as_micros() + by_seconds * 1_000_000);
        self.tick();
    }

    pub(super) fn tick(&mut self) {
        const BUDGET: usize = 1000;
        let more = self.run(|core, now, effects| core.tick(now, BUDGET, effects));
        assert!(!more, "one tick handles everything that is due");
    }

    /// Takes the jobs assigned since the last call, in order.
    pub(super) fn started(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.started)
    }

    /// Takes the stops sent to workers since the last call.
    pub(super) fn stopped(&mut self) -> Vec<(JobId, Stop)> {
        std::mem::take(&mut self.stopped)
    }

    pub(super) fn key(&self, id: JobId) -> JobKey {
        self.core.find(id).unwrap()
    }

    pub(super) fn view(&self, id: JobId) -> JobView {
        self.core.view(self.key(id), None)
    }

    pub(super) fn state(&self, id: JobId) -> JobState {
        self.core.state(self.key(id))
    }

    /// Returns the reason of the failure that ended the job.
    pub(super) fn failed_with(&self, id: JobId) -> FailureReason {
        match self.view(id).outcome {
            Some(crate::job::Outcome::Failure(failure)) => failure.reason,
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    pub(super) fn find_error(&self, id: JobId) -> ErrorKind {
        self.core.find(id).unwrap_err().kind().clone()
    }

    /// Reads the events of a job after the cursor.
    pub(super) fn watch(&self, id: JobId, cursor: u32, types: EventTypes) -> Vec<WatchItem> {
        let mut items = Vec::new();
        self.core.read_events(self.key(id), None, cursor, types, usize::MAX, &mut items);
        items
    }

    pub(super) fn events(&self, id: JobId) -> Vec<Event> {
        let event = |item| match item {
            WatchItem::Event(event) => event,
            WatchItem::Gap { first, last } => panic!("unexpected gap: {first} to {last}"),
        };
        self.watch(id, 0, EventTypes::ALL).into_iter().map(event).collect()
    }

    /// Returns all states of the job, in order.
    pub(super) fn states(&self, id: JobId) -> Vec<JobState> {
        let state = |event: Event| match event.body {
            EventBody::State(change) => Some(change.state),
            _ => None,
        };
        self.events(id).into_iter().filter_map(state).collect()
    }
}
