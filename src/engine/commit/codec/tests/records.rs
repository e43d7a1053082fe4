//! Random records of every sort, with every part there and not there. Strategies are boxed, or they would fill a stack.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::clock::Now;
use crate::core::{Accepted, Cancel, Gap, IdSecret, Instance, Link, Record, Removed, Running, StateChanged};
use crate::job::{
    Cancellation, Encoding, Event, EventBody, Failure, FailureReason, JobId, JobOptions, JobState, Kind,
    LeaseId, Log, LogLevel, LogStream, NewJob, Outcome, Output, Payload, Progress, QueueName, RetryPolicy,
    SpecDigest, Start, StateChange, Timestamp, TraceContext, TraceParent, WaitReason,
};

pub(super) const STATES: [JobState; 6] = [
    JobState::Scheduled,
    JobState::Queued,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
];
pub(super) const WAIT_REASONS: [WaitReason; 8] = [
    WaitReason::NotDue,
    WaitReason::BackOff,
    WaitReason::QueuePaused,
    WaitReason::NoWorker,
    WaitReason::WorkersBusy,
    WaitReason::Draining,
    WaitReason::Starting,
    WaitReason::WorkerLimit,
];
pub(super) const FAILURE_REASONS: [FailureReason; 10] = [
    FailureReason::Handler,
    FailureReason::Panic,
    FailureReason::AttemptTimeout,
    FailureReason::WorkerLost,
    FailureReason::Deadline,
    FailureReason::ExitStatus,
    FailureReason::UnknownKind,
    FailureReason::BadPayload,
    FailureReason::ResultTooLarge,
    FailureReason::NotStarted,
];
pub(super) const LEVELS: [LogLevel; 4] = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
pub(super) const STREAMS: [LogStream; 3] = [LogStream::Stdout, LogStream::Stderr, LogStream::Log];
pub(super) const ENCODINGS: [Encoding; 3] = [Encoding::Data, Encoding::Text, Encoding::Json];

/// An entry whose records share times with the entry, and job ids with the record before.
pub(super) fn entry() -> impl Strategy<Value = (Now, Vec<Record>)> {
    let now = (span(), time()).prop_map(|(monotonic, wall)| Now { monotonic, wall });
    let shared = (any::<bool>(), any::<bool>(), any::<u32>());
    (now, vec((record(), shared), 0..6)).prop_map(|(now, records)| {
        let mut job = None;
        let all = records.into_iter().map(|(mut record, shared)| {
            relate_record(&mut record, now, job, shared);
            job = record.job();
            record
        });
        (now, all.collect())
    })
}

/// Sets the job of a record to the one before, and its times to the entry's time or later.
fn relate_record(
    record: &mut Record,
    now: Now,
    job: Option<JobId>,
    (is_of_job, is_now, micros): (bool, bool, u32),
) {
    let before = job.filter(|_| is_of_job);
    match record {
        Record::Accepted(of) if is_now => (of.create_time, of.created) = (now.wall, now.monotonic),
        Record::StateChanged(of) => {
            of.id = before.unwrap_or(of.id);
            if is_now {
                let after = Duration::from_micros(micros.into());
                of.event.time = now.wall;
                of.deadline = now.monotonic.saturating_add(after);
                of.expire_time = Some(now.wall.plus(after));
            }
        }
        Record::Removed(of) => {
            of.id = before.unwrap_or(of.id);
            if is_now {
                of.removed = now.monotonic;
            }
        }
        Record::Reported(id, _)
        | Record::CancelDeadline(id, _)
        | Record::Offered(id, _)
        | Record::Dropped(id, _) => *id = before.unwrap_or(*id),
        _ => {}
    }
}

fn gap() -> impl Strategy<Value = Gap> {
    any::<[u32; 3]>().prop_map(|[state_changes, from, to]| Gap { state_changes, from, to })
}

pub(super) fn record() -> BoxedStrategy<Record> {
    prop_oneof![
        3 => accepted().prop_map(Record::Accepted),
        4 => changed().prop_map(Record::StateChanged),
        2 => (id(), event()).prop_map(|(id, event)| Record::Reported(id, event)),
        1 => removed().prop_map(Record::Removed),
        1 => (text(), any::<bool>()).prop_map(|(name, paused)| Record::QueuePaused(name.into(), paused)),
        1 => (id(), span()).prop_map(|(id, force_at)| Record::CancelDeadline(id, force_at)),
        1 => (id(), any::<u32>()).prop_map(|(id, attempt)| Record::Offered(id, attempt)),
        1 => (id(), vec(gap(), 0..4)).prop_map(|(id, gaps)| Record::Dropped(id, gaps.into())),
        1 => span().prop_map(Record::Resumed),
        1 => any::<u128>().prop_map(|bits| Record::Secret(IdSecret::from_u128(bits))),
        1 => (any::<u128>(), owner(), any::<u64>())
            .prop_map(|(id, principal, newest)| {
                Record::ReportsTaken(Instance { id: Uuid::from_u128(id), principal }, newest)
            }),
    ]
    .boxed()
}

fn removed() -> BoxedStrategy<Removed> {
    let end = (select(&STATES[..]), any::<u128>())
        .prop_map(|(state, digest)| (state, SpecDigest::from_u128(digest)));
    (id(), of(time()), span(), of(end), any::<bool>())
        .prop_map(|(id, expire_time, removed, end, deleted)| Removed {
            id,
            expire_time,
            removed,
            end,
            deleted: deleted || expire_time.is_none(),
        })
        .boxed()
}

fn accepted() -> BoxedStrategy<Accepted> {
    let times = (time(), span(), span());
    (id(), new_job(), any::<u64>(), times, of(select(&WAIT_REASONS[..])), owner())
        .prop_map(|(id, job, number, (create_time, created, deadline), first_wait, owner)| Accepted {
            id,
            job,
            number,
            create_time,
            created,
            first_wait,
            deadline,
            owner,
        })
        .boxed()
}

/// The name of a principal, if there is one.
fn owner() -> BoxedStrategy<Option<Arc<str>>> {
    of("[a-z@/.:]{1,20}".prop_map(Arc::from)).boxed()
}

fn new_job() -> BoxedStrategy<NewJob> {
    let name = || "[A-Za-z0-9._:/-]{1,20}";
    (of(id()), name(), name(), payload(), any::<i8>(), of(options()))
        .prop_map(|(id, kind, queue, payload, priority, options)| NewJob {
            id,
            kind: Kind::parse("kind", &kind).unwrap(),
            queue: QueueName::parse("queue", &queue).unwrap(),
            payload,
            priority,
            options: options.map(Arc::new),
        })
        .boxed()
}

fn options() -> BoxedStrategy<JobOptions> {
    let start = prop_oneof![Just(Start::Now), time().prop_map(Start::At), span().prop_map(Start::After)];
    let pairs = || btree_map(text(), text(), 0..4);
    let spans = (of(span()), of(span()), of(span()));
    let random = (start, spans, retry(), pairs(), pairs(), of(id()), of(trace())).prop_map(
        |(start, (attempt_timeout, timeout, retention), retry, labels, headers, origin, trace)| JobOptions {
            start,
            attempt_timeout,
            timeout,
            retry,
            retention,
            labels,
            headers,
            origin,
            trace: trace.map(Arc::new),
        },
    );
    prop_oneof![1 => Just(JobOptions::default()), 9 => random].boxed()
}

fn trace() -> BoxedStrategy<TraceContext> {
    let parent = (1..u128::MAX, 1..u64::MAX, any::<u8>())
        .prop_map(|(trace_id, span_id, flags)| TraceParent { trace_id, span_id, flags }.to_string());
    (parent, "[ -~]{0,20}", "[ -~]{0,20}")
        .prop_map(|(parent, state, baggage)| TraceContext::parse("", &parent, &state, &baggage).unwrap())
        .boxed()
}

fn retry() -> BoxedStrategy<RetryPolicy> {
    let number = || prop_oneof![Just(0.0), any::<f64>()];
    (any::<u32>(), span(), number(), span(), number(), any::<u32>())
        .prop_map(|(max_attempts, initial_backoff, multiplier, max_backoff, jitter, max_lost_attempts)| {
            RetryPolicy { max_attempts, initial_backoff, multiplier, max_backoff, jitter, max_lost_attempts }
        })
        .boxed()
}

fn changed() -> BoxedStrategy<StateChanged> {
    let counts = (any::<u32>(), any::<u32>(), any::<bool>());
    (id(), event(), counts, span(), of(time()), of(running()))
        .prop_map(|(id, event, (lost, released, cancel_requested), deadline, expire_time, running)| {
            StateChanged { id, event, lost, released, cancel_requested, deadline, expire_time, running }
        })
        .boxed()
}

fn cancel() -> BoxedStrategy<Cancel> {
    (span(), text(), owner())
        .prop_map(|(force_at, reason, principal)| Cancel { force_at, reason, principal })
        .boxed()
}

fn running() -> BoxedStrategy<Running> {
    let stream = any::<u128>().prop_map(|instance| Link::Stream(Uuid::from_u128(instance)));
    let unary = proptest::option::of(any::<u128>()).prop_map(|id| Link::Unary(id.map(Uuid::from_u128)));
    let link = prop_oneof![Just(Link::Pool), stream, unary];
    (any::<u128>(), link, text(), owner(), span(), of(cancel()))
        .prop_map(|(lease, link, worker, principal, attempt_deadline, cancel)| Running {
            lease: LeaseId::from_u128(lease),
            link,
            worker: worker.into(),
            principal,
            attempt_deadline,
            cancel,
        })
        .boxed()
}

fn event() -> BoxedStrategy<Event> {
    let number = || of(any::<f64>());
    let progress = (number(), number(), number(), text(), text())
        .prop_map(|(fraction, done, total, unit, message)| Progress { fraction, done, total, unit, message });
    let log = (select(&LEVELS[..]), text(), select(&STREAMS[..])).prop_map(|(level, text, stream)| Log {
        level,
        text: text.into(),
        stream,
    });
    let body = prop_oneof![
        3 => state_change().prop_map(EventBody::State),
        1 => progress.prop_map(|progress| EventBody::Progress(Arc::new(progress))),
        1 => (payload(), text())
            .prop_map(|(payload, channel)| EventBody::Output(Output { payload, channel: channel.into() })),
        1 => log.prop_map(EventBody::Log),
    ];
    (any::<u32>(), time(), any::<u32>(), body)
        .prop_map(|(sequence, time, attempt, body)| Event { sequence, time, attempt, body })
        .boxed()
}

fn state_change() -> BoxedStrategy<StateChange> {
    let outcome = prop_oneof![
        payload().prop_map(Outcome::Result),
        failure().prop_map(|failure| Outcome::Failure(Arc::new(failure))),
        (text(), owner(), any::<bool>()).prop_map(|(reason, principal, forced)| {
            Outcome::Cancellation(Arc::new(Cancellation { reason, principal, forced }))
        }),
    ];
    let state = (select(&STATES[..]), of(select(&WAIT_REASONS[..])));
    let cancel = (any::<bool>(), owner());
    (state, of(failure()), of(time()), of(outcome), cancel)
        .prop_map(|((state, wait_reason), failure, next_attempt_time, outcome, cancel)| {
            let (cancel_requested, principal) = cancel;
            StateChange {
                state,
                wait_reason,
                failure: failure.map(Arc::new),
                next_attempt_time,
                outcome,
                cancel_requested,
                principal,
            }
        })
        .boxed()
}

fn failure() -> BoxedStrategy<Failure> {
    (select(&FAILURE_REASONS[..]), text(), text(), of(payload()), any::<u32>(), any::<bool>())
        .prop_map(|(reason, error_type, message, details, attempt, retryable)| Failure {
            reason,
            error_type,
            message,
            details,
            attempt,
            retryable,
        })
        .boxed()
}

fn payload() -> BoxedStrategy<Payload> {
    let content_type = prop_oneof![Just(""), Just("image/png"), Just("application/json")];
    (vec(any::<u8>(), 0..40), select(&ENCODINGS[..]), content_type)
        .prop_map(|(bytes, encoding, content_type)| {
            let mut payload = Payload::data(bytes);
            payload.encoding = encoding;
            payload.with_content_type(content_type)
        })
        .boxed()
}

fn id() -> impl Strategy<Value = JobId> {
    any::<[u8; 16]>().prop_map(JobId::from_bytes)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

/// Any span, those that mean "never" and "at once" among them.
fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        any::<u64>().prop_map(Duration::from_nanos),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![1 => Just(0), 9 => any::<i64>()].prop_map(Timestamp::from_micros)
}
