//! Property tests: random commands run on the core and on the reference model, and the results must be equal.

mod messages;
mod remote;
mod replay;

use std::num::NonZeroU64;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use self::messages::{item_without_messages, model_record, outcome_without_message};
use super::commands::{Command, PAYLOAD_BYTES_MAX, POOL_NAME, commands};
use super::fixture::{cases, id, millis};
use super::invariants;
use super::model::{Link, Model, SessionNumber, Started, WorkerMessages};
use crate::clock::Now;
use crate::core::{
    CancelRequest, Contents, Core, CoreOptions, Effect, Effects, JobKey, LogPosition, Record, SessionKey,
};
use crate::error::{Error, ErrorKind};
use crate::job::{AttemptEnd, EventBody, EventTypes, JobId, JobState, NewJob, Report, Start, Timestamp};

const CASES: u32 = 300;
/// Timers per tick call. The value is small, so that ticks are split.
const TICK_BUDGET: usize = 3;

struct Machine {
    core: Core,
    model: Model,
    now: Now,
    sessions: Vec<SessionKey>,
    submitted: Vec<(JobId, NewJob)>,
    /// The log: the records of each command are one entry.
    log: Vec<Vec<Record>>,
}

fn options() -> CoreOptions {
    CoreOptions {
        payload_bytes_max: PAYLOAD_BYTES_MAX,
        jobs_max: 12,
        queues_max: 10_000,
        job_bytes_max: 1_500,
        retention: millis(250),
        retention_bytes_max: 4_000,
        retention_memory_bytes_max: 250,
        stored_bytes_max: u64::MAX,
        idempotency_window: std::time::Duration::MAX,
        idempotency_ids_max: u32::MAX,
        event_ring_bytes_max: 400,
        attempt_timeout: millis(120),
        lease: millis(80),
        accept_timeout: millis(50),
        ping_interval: millis(30),
        reconnect_grace: millis(40),
        workers_max: 7,
        worker_bytes_max: 128 << 20,
    }
}

impl Machine {
    fn new() -> Self {
        let now = Now { monotonic: millis(0), wall: Timestamp::from_micros(1_767_225_600_000_000) };
        let (mut core, model) = (Core::new(options(), [3; 32]), Model::new(options(), now));
        core.set_log_entry(entry_number(0));
        Self { core, model, now, sessions: Vec::new(), submitted: Vec::new(), log: Vec::new() }
    }

    /// Runs all commands and returns their records.
    fn run(commands: &[Command]) -> Vec<Record> {
        let mut machine = Self::new();
        for command in commands {
            machine.step(command);
            machine.check();
        }
        machine.log.into_iter().flatten().collect()
    }

    fn step(&mut self, command: &Command) {
        match command {
            Command::Submit(..) | Command::SubmitAgain(_) | Command::Batch(..) => self.step_submit(command),
            Command::Open(..) | Command::Close(_) | Command::SetSlots(..) => self.step_sessions(command),
            Command::End(attempt, end) => {
                let running: Vec<_> = self.running();
                if let Some(started) = select(&running, attempt) {
                    self.end_attempt(started, started.session, end.clone());
                }
            }
            Command::EndStale(attempt, session, end) => {
                if let Some(started) = select(&self.model.leases, attempt) {
                    let numbers: Vec<_> = (0..self.sessions.len()).collect();
                    let session = session.as_ref().and_then(|session| select(&numbers, session));
                    self.end_attempt(started, session.unwrap_or(started.session), end.clone());
                }
            }
            Command::Report(attempt, report) => self.report(attempt, report),
            Command::Remote(command) => self.step_remote(command),
            Command::Cancel(job, grace, principal) => {
                // Running jobs are chosen more often, and cancelled ones most often.
                let running = self.running().into_iter().map(|started| started.id);
                let cancelled =
                    self.model.jobs.iter().filter(|job| job.force_at.is_some() && job.held.is_some());
                let cancelled = cancelled.flat_map(|job| [job.id; 3]);
                let ids: Vec<_> = running.chain(cancelled).chain(self.any_id(job)).collect();
                let Some(id) = select(&ids, job) else { return };
                let (grace, principal) = (*grace, principal.map(Arc::from));
                let request = CancelRequest { reason: "why", grace, principal: principal.as_ref() };
                self.both(
                    |core, now, effects| core.cancel(now, id, request, effects).map(drop).map_err(kind_of),
                    |model| model.cancel(id, grace, principal.as_ref()),
                );
            }
            Command::Delete(job) => {
                let Some(id) = self.any_id(job) else { return };
                self.both(
                    |core, now, effects| core.delete(now, id, effects).map_err(kind_of),
                    |model| model.delete(id),
                );
            }
            Command::Pause(_) | Command::Resume(_) | Command::Purge(..) => self.step_queues(command),
            Command::Read(job, cursor, types) => self.read(job, *cursor, *types),
            Command::Drain => {
                let within = millis(70);
                self.both(|core, _, effects| core.drain(within, effects), |model| model.drain(within));
            }
            Command::Advance(..) | Command::AdvanceToDeadline | Command::MoveWall(_) => {
                self.step_time(command)
            }
        }
    }

    fn step_queues(&mut self, command: &Command) {
        match command {
            Command::Pause(name) => {
                self.both(
                    |core, _, effects| core.pause_queue(name, effects).unwrap(),
                    |model| model.pause(name),
                );
            }
            Command::Resume(name) => self.both(
                |core, now, effects| core.resume_queue(now, name, effects).map_err(kind_of),
                |model| model.resume(name),
            ),
            Command::Purge(name, budget) => self.both(
                |core, now, effects| core.purge_queue(now, name, *budget, effects).map_err(kind_of),
                |model| model.purge(name, *budget),
            ),
            _ => {}
        }
    }

    /// Runs a command on both and compares replies, records and messages to workers.
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        on_core: impl FnOnce(&mut Core, Now, &mut Effects) -> T,
        on_model: impl FnOnce(&mut Model) -> T,
    ) {
        let mut effects = Effects::recording();
        let answer = on_core(&mut self.core, self.now, &mut effects);
        self.follow(effects, answer, on_model);
    }

    fn follow<T: PartialEq + std::fmt::Debug>(
        &mut self,
        effects: Effects,
        answer: T,
        on_model: impl FnOnce(&mut Model) -> T,
    ) {
        let mut messages = WorkerMessages::default();
        let number =
            |key| self.sessions.iter().position(|session| *session == key).expect("the session is known");
        for effect in effects.items {
            match effect {
                Effect::Assign(session, assignment) => self.model.started.push_back(Started {
                    session: number(session),
                    id: assignment.job_id,
                    lease: assignment.lease,
                    attempt: assignment.attempt,
                    time_left: assignment.time_left,
                }),
                Effect::Stop(session, lease, stop) => messages.stops.push((number(session), lease, stop)),
                Effect::Drain(session, drain) => messages.drains.push((number(session), drain)),
                Effect::Disconnect(session) => messages.cuts.push(number(session)),
                Effect::Changed(_) => unreachable!("there is no feed"),
                Effect::Log(_) => {}
                Effect::Wake(..) | Effect::Ended(..) | Effect::Removed(..) => {
                    unreachable!("there are no observers")
                }
            }
        }
        let records = effects.records.expect("recording");
        self.log.push(records.clone());
        self.evict();
        self.model.now = self.now;
        let (dropped, records): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| matches!(record, Record::Dropped(..)));
        self.model.core_records = records.into_iter().map(model_record).collect();
        self.model.core_messages = messages;
        let expected = on_model(&mut self.model);
        assert_eq!(answer, expected);
        assert_eq!(self.model.core_records, std::mem::take(&mut self.model.records));
        assert_eq!(std::mem::take(&mut self.model.core_messages), std::mem::take(&mut self.model.messages));
        assert!(self.model.started.is_empty(), "the core started more attempts than the model");
        for record in dropped {
            if let Record::Dropped(id, gaps) = record {
                self.model.drop_from(id, &gaps);
            }
        }
        self.model.live_bytes = self.core.live_bytes;
    }

    /// Evicts contents of finished jobs. The records of the eviction follow those of the command.
    fn evict(&mut self) {
        let mut effects = Effects::recording();
        self.core.evict_excess(&mut effects);
        let written = self.log.last_mut().expect("a command appended an entry");
        written.extend(effects.records.expect("recording"));
        self.core.set_log_entry(entry_number(self.log.len()));
    }

    fn step_submit(&mut self, command: &Command) {
        let (jobs, again) = match command {
            Command::Submit(number, job, start) => {
                let mut job = job.clone();
                if let Some(delay) = start {
                    job.options_mut().start = Start::At(self.now.wall.plus(*delay));
                }
                (vec![(id(*number), job)], None)
            }
            Command::Batch(jobs, again) => {
                let jobs = jobs.iter().map(|(number, job)| (id(*number), job.clone())).collect();
                (jobs, again.as_ref())
            }
            Command::SubmitAgain(index) => (Vec::new(), Some(index)),
            _ => return,
        };
        let again = again.and_then(|index| select(&self.submitted, index));
        // A batch may contain its first job twice.
        let twice = jobs.first().cloned().filter(|_| again.is_some());
        let jobs = jobs.into_iter().chain(again).chain(twice);
        let jobs: Vec<_> = jobs.map(|(id, job)| (id, NewJob { id: Some(id), ..job })).collect();
        self.submitted.extend(jobs.iter().cloned());
        if let [(id, job)] = &jobs[..] {
            let first = |answers: Vec<bool>| answers[0];
            return self.both(
                |core, now, effects| {
                    let submitted = core.submit(now, *id, job.clone(), effects);
                    submitted.map(|submitted| submitted.existing).map_err(kind_of)
                },
                |model| model.submit_all(&jobs).map(first).map_err(|(_, kind)| kind),
            );
        }
        self.both(
            |core, now, effects| {
                core.submit_all(now, jobs.clone(), effects)
                    .map(|submitted| submitted.iter().map(|submitted| submitted.existing).collect())
                    .map_err(|(index, error)| (index, kind_of(error)))
            },
            |model| model.submit_all(&jobs),
        );
    }

    fn step_sessions(&mut self, command: &Command) {
        let linked = |may_get_jobs: fn(&Link) -> bool| {
            let may_get_jobs = |session: &SessionNumber| may_get_jobs(&self.model.sessions[*session].link);
            self.model.known().into_iter().filter(may_get_jobs).collect::<Vec<_>>()
        };
        match command {
            Command::Open(serving) => {
                let (spec, session) = (serving.spec(POOL_NAME), serving.session(Link::Pool, POOL_NAME));
                let mut effects = Effects::recording();
                self.sessions.push(self.core.open_session(self.now, &spec, &mut effects));
                self.follow(effects, (), |model| model.open(session));
            }
            Command::Close(session) => {
                let Some(session) = select(&linked(|link| *link == Link::Pool), session) else { return };
                let key = self.sessions[session];
                self.both(
                    |core, now, effects| core.close_session(now, key, effects),
                    |model| model.close(session),
                );
            }
            Command::SetSlots(session, slots) => {
                let Some(session) = select(&linked(|link| !link.is_unary()), session) else { return };
                let key = self.sessions[session];
                self.both(
                    |core, now, effects| core.set_slots(now, key, *slots, effects),
                    |model| model.set_slots(session, *slots),
                );
            }
            _ => {}
        }
    }

    fn step_time(&mut self, command: &Command) {
        let (by, ticks) = match command {
            Command::Advance(by, ticks) => (*by, *ticks),
            Command::AdvanceToDeadline => {
                let next = self.core.next_deadline().unwrap_or_default();
                (next.saturating_sub(self.now.monotonic), true)
            }
            Command::MoveWall(by_ms) => {
                self.now.wall = Timestamp::from_micros(self.now.wall.as_micros() + by_ms * 1000);
                (millis(0), true)
            }
            _ => return,
        };
        self.now.monotonic += by;
        self.now.wall = self.now.wall.plus(by);
        self.model.now = self.now;
        if ticks {
            let timers = self.core.sessions.timers.iter();
            let number =
                |key| self.sessions.iter().position(|session| session == key).expect("the session is known");
            self.model.checked_sessions = timers.map(|(_, key)| number(key)).collect();
            self.both(
                |core, now, effects| {
                    let rounds = 1 + (0..1000).take_while(|_| core.tick(now, TICK_BUDGET, effects)).count();
                    assert!(rounds < 1000, "tick calls end");
                },
                Model::tick,
            );
        }
    }

    /// Returns the running and the offered attempts.
    fn running(&self) -> Vec<Started> {
        let leases = self.model.jobs.iter().filter_map(|job| job.held.map(|held| held.lease));
        leases.map(|lease| self.model.leases[lease]).collect()
    }

    fn any_id(&self, index: &Index) -> Option<JobId> {
        let ids: Vec<_> = self.model.jobs.iter().map(|job| job.id).collect();
        select(&ids, index)
    }

    fn end_attempt(&mut self, started: Started, session: usize, end: AttemptEnd) {
        let Started { lease, .. } = started;
        let key = self.sessions[session];
        let number =
            self.model.leases.iter().position(|other| other.lease == lease).expect("the lease was assigned");
        self.both(
            |core, now, effects| core.end_attempt(now, key, lease, end.clone(), effects).map_err(kind_of),
            |model| model.end_attempt(session, number, end.clone()),
        );
    }

    /// Reports under any lease, past or current.
    fn report(&mut self, attempt: &Index, report: &Report) {
        let candidates: Vec<_> =
            self.running().into_iter().chain(self.model.leases.last().copied()).collect();
        let Some(Started { session, lease, .. }) = select(&candidates, attempt) else { return };
        let key = self.sessions[session];
        let number =
            self.model.leases.iter().position(|other| other.lease == lease).expect("the lease was assigned");
        self.both(
            |core, now, effects| core.report(now, key, lease, report.clone(), effects).map_err(kind_of),
            |model| {
                model.accept_lease(session, number)?;
                let held = model.held(session, number).ok_or(ErrorKind::LeaseLost)?;
                model.report(held, report.clone());
                Ok(())
            },
        );
    }

    fn read(&mut self, job: &Index, cursor: u32, types: EventTypes) {
        let Some(Ok(number)) = self.any_id(job).map(|id| self.model.find(id)) else { return };
        let mut items = Vec::new();
        let id = self.model.jobs[number].id;
        let end = read_with_contents(&self.core, &self.log, id, |core, key, contents| {
            let end = core.read_events(key, contents, cursor, types, usize::MAX, &mut items);
            (end, core.sequence(key))
        });
        assert_eq!(end.0, cursor.max(end.1));
        let items: Vec<_> = items.into_iter().map(item_without_messages).collect();
        self.model.check_read(number, cursor, types, &items);
    }

    fn check(&mut self) {
        for (number, job) in self.model.jobs.iter().enumerate() {
            assert_eq!(
                self.core.find(job.id).map(drop).map_err(kind_of),
                self.model.find(job.id).map(drop),
                "the core and the model have the same jobs"
            );
            if job.present {
                check_job(&self.core, &self.log, &self.model, number);
            }
        }
        assert_eq!(self.core.job_count() as usize, self.model.jobs.iter().filter(|job| job.present).count());
        self.check_clock();
        self.check_workers();
        invariants::check(&self.core);
    }

    /// Checks that the next deadline of the core is not later than the one of the model.
    fn check_clock(&self) {
        let next = self.core.next_deadline();
        assert_eq!(next.is_some(), self.model.next_due().is_some());
        assert!(next <= self.model.next_due());
        let waiting = self.model.jobs.iter().filter(|job| job.present && job.state == JobState::Scheduled);
        assert_eq!(self.core.next_wall_start(), waiting.filter_map(|job| job.waits_for).min());
    }
}

fn check_job(core: &Core, log: &[Vec<Record>], model: &Model, number: usize) {
    let job = &model.jobs[number];
    let view = read_with_contents(core, log, job.id, |core, key, contents| core.view(key, contents));
    assert_eq!((view.state, view.sequence, view.attempt), (job.state, job.sequence, job.attempt));
    assert_eq!(view.wait_reason, model.wait_reason(number));
    assert_eq!(view.outcome.map(outcome_without_message), job.outcome);
    assert_eq!(view.spec, job.spec);
    assert_eq!(job.outcome.is_some(), job.state.is_final());
    let ends = job
        .events
        .iter()
        .filter(|event| matches!(&event.body, EventBody::State(change) if change.state.is_final()));
    assert_eq!(ends.count(), usize::from(job.state.is_final()), "one final event");
    assert!((1..).zip(&job.events).all(|(sequence, event)| event.sequence == sequence));
}

/// Returns the number of the entry after this many.
fn entry_number(entries: usize) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(entries as u64)
}

/// Reads a job with its contents. Evicted contents are loaded from the log.
fn read_with_contents<T>(
    core: &Core,
    log: &[Vec<Record>],
    id: JobId,
    read: impl FnOnce(&Core, JobKey, Option<&Contents>) -> T,
) -> T {
    let key = core.find(id).expect("present in both");
    let Some(place) = core.log_position(key) else { return read(core, key, None) };
    assert_eq!(core.job_at(&place), Some(key));
    read(core, key, Some(&load_contents(&place, log)))
}

fn load_contents(place: &LogPosition, log: &[Vec<Record>]) -> Contents {
    let records = place.entries().flat_map(|entry| &log[entry as usize - 1]);
    let of_job = records.filter(|record| record.job() == Some(place.id)).cloned();
    Contents::of(place, of_job).expect("the log has all contents")
}

fn select<T: Clone>(from: &[T], index: &Index) -> Option<T> {
    (!from.is_empty()).then(|| index.get(from).clone())
}

fn kind_of(error: Error) -> ErrorKind {
    error.kind().clone()
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn the_core_matches_the_model(commands in commands()) {
        Machine::run(&commands);
    }

    #[test]
    fn replay_restores_every_job(commands in commands(), every in 1_usize..20) {
        let mut machine = Machine::new();
        for (number, command) in commands.iter().enumerate() {
            machine.step(command);
            if number % every == 0 {
                machine.check_replay();
            }
        }
        machine.check_replay();
    }

    #[test]
    fn equal_commands_write_equal_records(commands in commands()) {
        prop_assert_eq!(Machine::run(&commands), Machine::run(&commands));
    }
}
