//! Random commands for the state machine. Spans are small, so that jobs reach every state.

mod remote;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

pub(super) use self::remote::{Claim, DrainTarget, LeaseChoice, POOL_NAME, Remote};
use super::fixture::{job, kind, log, millis, output, progress, queue};
use crate::job::{
    AttemptEnd, EventTypes, Failure, FailureReason, JobOptions, NewJob, Payload, Report, RetryPolicy,
    SessionSpec, Start,
};

pub(super) const KINDS: [&str; 3] = ["a", "b", "c"];
pub(super) const QUEUES: [&str; 2] = ["p", "q"];
/// A larger result is a failure.
pub(super) const PAYLOAD_BYTES_MAX: usize = 60;
/// A small number, so that commands reuse ids.
const IDS: u32 = 60;

#[derive(Debug, Clone)]
pub(super) enum Command {
    /// Submits a job. An optional start time is relative to the current wall clock time.
    Submit(u32, NewJob, Option<Duration>),
    /// Submits a known job again.
    SubmitAgain(Index),
    Batch(Vec<(u32, NewJob)>, Option<Index>),
    /// Opens a session of the in-process pool.
    Open(Serving),
    Close(Index),
    SetSlots(Index, u32),
    /// Ends a running attempt.
    End(Index, AttemptEnd),
    /// Ends any earlier attempt, from its session or from another one.
    EndStale(Index, Option<Index>, AttemptEnd),
    Report(Index, Report),
    Remote(Remote),
    /// Cancels a job, as a principal or an anonymous caller.
    Cancel(Index, Duration, Option<&'static str>),
    Delete(Index),
    Pause(&'static str),
    Resume(&'static str),
    Purge(&'static str, usize),
    /// Moves both clocks, and optionally runs a tick.
    Advance(Duration, bool),
    /// Moves both clocks to the next deadline and runs a tick.
    AdvanceToDeadline,
    /// Moves only the wall clock, in milliseconds, and runs a tick.
    MoveWall(i64),
    Read(Index, u32, EventTypes),
    Drain,
}

/// The kinds, queues and slots of a session.
#[derive(Debug, Clone)]
pub(super) struct Serving {
    pub(super) kinds: &'static [&'static str],
    pub(super) queues: Option<&'static [&'static str]>,
    pub(super) slots: u32,
}

impl Serving {
    pub(super) fn spec(&self, name: &str) -> SessionSpec {
        SessionSpec {
            name: name.to_owned(),
            kinds: self.kinds.iter().map(|name| kind(name)).collect(),
            queues: self.queues.map(|names| names.iter().map(|name| queue(name)).collect()),
            slots: self.slots,
        }
    }
}

pub(super) fn commands() -> impl Strategy<Value = Vec<Command>> {
    vec(command(), 1..160)
}

fn command() -> impl Strategy<Value = Command> {
    let index = any::<Index>;
    prop_oneof![
        12 => submit(),
        2 => index().prop_map(Command::SubmitAgain),
        3 => batch(),
        5 => sessions(),
        40 => remote::remote().prop_map(Command::Remote),
        16 => (index(), end()).prop_map(|(attempt, end)| Command::End(attempt, end)),
        3 => (index(), proptest::option::of(index()), end())
            .prop_map(|(attempt, session, end)| Command::EndStale(attempt, session, end)),
        8 => (index(), report()).prop_map(|(attempt, report)| Command::Report(attempt, report)),
        6 => (index(), span(100), principal())
            .prop_map(|(job, grace, principal)| Command::Cancel(job, grace, principal)),
        2 => index().prop_map(Command::Delete),
        1 => select(&QUEUES[..]).prop_map(Command::Pause),
        2 => select(&QUEUES[..]).prop_map(Command::Resume),
        1 => (select(&QUEUES[..]), 1..4_usize).prop_map(|(queue, budget)| Command::Purge(queue, budget)),
        8 => (span(150), prop::bool::weighted(0.8)).prop_map(|(by, ticks)| Command::Advance(by, ticks)),
        5 => Just(Command::AdvanceToDeadline),
        2 => (-400..400_i64).prop_map(Command::MoveWall),
        6 => (index(), 0..30_u32, types()).prop_map(|(job, cursor, types)| Command::Read(job, cursor, types)),
        1 => prop::bool::weighted(0.1).prop_map(|drain| match drain {
            true => Command::Drain,
            false => Command::AdvanceToDeadline,
        }),
    ]
}

/// The name of a principal, or none for an anonymous caller.
fn principal() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("billing"), Some("ops")])
}

fn submit() -> impl Strategy<Value = Command> {
    let start = proptest::option::weighted(0.15, span(300));
    (0..IDS, new_job(), start).prop_map(|(id, job, start)| Command::Submit(id, job, start))
}

fn batch() -> impl Strategy<Value = Command> {
    let jobs = vec((0..IDS, new_job()), 0..5);
    (jobs, proptest::option::of(any::<Index>())).prop_map(|(jobs, again)| Command::Batch(jobs, again))
}

fn sessions() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => serving().prop_map(Command::Open),
        1 => any::<Index>().prop_map(Command::Close),
        2 => (any::<Index>(), 0..5_u32).prop_map(|(session, slots)| Command::SetSlots(session, slots)),
    ]
}

fn serving() -> impl Strategy<Value = Serving> {
    let kinds = select(vec![&KINDS[..], &KINDS[..], &KINDS[..2], &KINDS[1..], &KINDS[..1]]);
    let queues = select(vec![None, None, Some(&QUEUES[..1]), Some(&QUEUES[1..])]);
    (kinds, queues, 0..4_u32).prop_map(|(kinds, queues, slots)| Serving { kinds, queues, slots })
}

/// A duration up to this many milliseconds, with and without a fraction, often zero.
fn span(most_ms: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        4 => (1..=most_ms).prop_map(millis),
        4 => (1..=most_ms * 1000).prop_map(Duration::from_micros),
    ]
}

fn new_job() -> impl Strategy<Value = NewJob> {
    let lane = (select(&KINDS[..]), select(&QUEUES[..]));
    let options = proptest::option::of(options());
    (lane, -1..=1_i8, 0..40_usize, options).prop_map(|((kind, queue_name), priority, bytes, options)| {
        NewJob {
            queue: queue(queue_name),
            priority,
            payload: Payload::data(vec![0; bytes]),
            options: options.map(Into::into),
            ..job(kind)
        }
    })
}

fn options() -> impl Strategy<Value = JobOptions> {
    let maybe = |most_ms| proptest::option::weighted(0.3, span(most_ms));
    let retry = (1..4_u32, span(50), 0..4_u32);
    (maybe(200), maybe(100), maybe(300), maybe(300), retry).prop_map(
        |(delay, attempt_timeout, timeout, retention, (max_attempts, initial_backoff, max_lost_attempts))| {
            JobOptions {
                start: delay.map_or(Start::Now, Start::After),
                attempt_timeout,
                timeout,
                retention,
                retry: RetryPolicy {
                    max_attempts,
                    initial_backoff,
                    max_lost_attempts,
                    max_backoff: millis(80),
                    jitter: 0.0,
                    ..RetryPolicy::default()
                },
                ..JobOptions::default()
            }
        },
    )
}

fn end() -> impl Strategy<Value = AttemptEnd> {
    let failure =
        (any::<bool>(), proptest::option::weighted(0.3, span(50))).prop_map(|(retryable, after)| {
            AttemptEnd::Failure(Failure { retryable, ..Failure::new(FailureReason::Handler, "") }, after)
        });
    prop_oneof![
        3 => (0..PAYLOAD_BYTES_MAX + 5)
            .prop_map(|bytes| AttemptEnd::Success(Payload::data(vec![1; bytes]))),
        4 => failure,
        2 => span(50).prop_map(AttemptEnd::Release),
        1 => Just(AttemptEnd::Cancelled),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        (0..100_u32).prop_map(|done| progress(f64::from(done))),
        "[a-z]{0,50}".prop_map(|text| output(&text)),
        "[a-z]{0,150}".prop_map(|text| log(&text)),
    ]
}

fn types() -> impl Strategy<Value = EventTypes> {
    let some = any::<(bool, bool, bool, bool)>()
        .prop_map(|(state_change, progress, output, log)| EventTypes { state_change, progress, output, log });
    prop_oneof![Just(EventTypes::ALL), some]
}
