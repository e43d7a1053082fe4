//! From messages to records.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Unreadable;
use super::context::Context;
use super::message::{self, Wide};
use super::number::{Numbered, option_of};
use super::write::{POOL, STREAM, UNARY};
use crate::clock::Now;
use crate::core::{Accepted, IdSecret, Link, Moved, Record, Removed, Running};
use crate::error::Error;
use crate::job::{
    Cancellation, Event, EventBody, Failure, JobId, JobOptions, Kind, LeaseId, Log, NewJob, Outcome, Output,
    Payload, Progress, QueueName, RetryPolicy, SpecDigest, Start, StateChange, Timestamp,
};

/// A part that every version writes.
fn part<T>(name: &str, part: Option<T>) -> Result<T, Unreadable> {
    part.ok_or_else(|| Unreadable::without(name))
}

/// A part of which newer versions may have other sorts.
fn known<T>(name: &str, sort: Option<T>) -> Result<T, Unreadable> {
    sort.ok_or_else(|| Unreadable::Newer(format!("a sort of {name}")))
}

fn span_or(span: Option<message::Span>, other: Duration) -> Result<Duration, Unreadable> {
    span.map_or(Ok(other), TryInto::try_into)
}

fn or_never(time: Option<message::Span>) -> Result<Duration, Unreadable> {
    span_or(time, Duration::MAX)
}

fn optional<T, U: TryFrom<T, Error = Unreadable>>(value: Option<T>) -> Result<Option<U>, Unreadable> {
    value.map(TryInto::try_into).transpose()
}

fn invalid(error: Error) -> Unreadable {
    Unreadable::Damaged(error.to_string())
}

impl From<Wide> for u128 {
    fn from(wide: Wide) -> Self {
        u128::from(wide.high) << u64::BITS | u128::from(wide.low)
    }
}

impl From<Wide> for JobId {
    fn from(wide: Wide) -> Self {
        Self::from_bytes(u128::from(wide).to_be_bytes())
    }
}

impl TryFrom<message::Span> for Duration {
    type Error = Unreadable;

    fn try_from(span: message::Span) -> Result<Self, Unreadable> {
        const NANOS_A_SECOND: u32 = 1_000_000_000;
        match span.nanos {
            ..NANOS_A_SECOND => Ok(Self::new(span.seconds, span.nanos)),
            nanos => Err(Unreadable::Damaged(format!("{nanos} ns are more than a second"))),
        }
    }
}

/// A record that stands there.
pub(super) fn record(record: message::Record, context: &Context) -> Result<Record, Unreadable> {
    let job_id = |id| job_id(id, context);
    Ok(match known("record", record.sort)? {
        message::Sort::Accepted(of) => Record::Accepted(accepted(of, context.now)?),
        message::Sort::Moved(of) => Record::Moved(moved(of, context)?),
        message::Sort::Reported(message::Reported { id, event: of }) => {
            Record::Reported(job_id(id)?, event(of, context.now)?)
        }
        message::Sort::Removed(of) => Record::Removed(removed(of, context)?),
        message::Sort::QueuePaused(message::QueuePaused { name, paused }) => {
            Record::QueuePaused(name.into(), paused)
        }
        message::Sort::CancelHastened(message::CancelHastened { id, force_at }) => {
            Record::CancelHastened(job_id(id)?, or_never(force_at)?)
        }
        message::Sort::Offered(message::Offered { id, attempt }) => Record::Offered(job_id(id)?, attempt),
        message::Sort::Resumed(stopped) => Record::Resumed(stopped.try_into()?),
        message::Sort::Secret(bits) => Record::Secret(IdSecret::from_u128(bits.into())),
        message::Sort::Dropped(message::Dropped { id, ranges }) => {
            Record::Dropped(job_id(id)?, ranges.as_chunks().0.into())
        }
        message::Sort::ReportsTaken(message::ReportsTaken { instance, newest }) => {
            Record::ReportsTaken(Uuid::from_u128(part("instance", instance)?.into()), newest)
        }
    })
}

fn job_id(id: Option<Wide>, context: &Context) -> Result<JobId, Unreadable> {
    part("job id", id.map(Into::into).or(context.job))
}

fn removed(of: message::Removed, context: &Context) -> Result<Removed, Unreadable> {
    let end = match option_of(of.state)? {
        Some(state) => Some((state, SpecDigest::from_u128(part("digest", of.digest)?.into()))),
        None => None,
    };
    Ok(Removed {
        id: job_id(of.id, context)?,
        expire_time: of.expire_time.map(Timestamp::from_micros),
        removed: span_or(of.removed, context.now.monotonic)?,
        end,
        deleted: of.deleted || of.expire_time.is_none(),
    })
}

fn accepted(of: message::Accepted, now: Now) -> Result<Accepted, Unreadable> {
    Ok(Accepted {
        id: part("job id", of.id)?.into(),
        job: part("job", of.job)?.try_into()?,
        number: of.number,
        create_time: of.create_time.map_or(now.wall, Timestamp::from_micros),
        created: span_or(of.created, now.monotonic)?,
        first_wait: option_of(of.first_wait)?,
        deadline: or_never(of.deadline)?,
    })
}

impl TryFrom<message::Job> for NewJob {
    type Error = Unreadable;

    fn try_from(job: message::Job) -> Result<Self, Unreadable> {
        let priority = i8::try_from(job.priority);
        Ok(Self {
            id: job.id.map(Into::into),
            kind: Kind::parse("kind", &job.kind).map_err(invalid)?,
            queue: QueueName::parse("queue", &job.queue).map_err(invalid)?,
            payload: job.payload.try_into()?,
            priority: priority.map_err(|_| Unreadable::Damaged(format!("priority {}", job.priority)))?,
            options: optional(job.options)?.map(Arc::new),
        })
    }
}

impl TryFrom<message::Payload> for Payload {
    type Error = Unreadable;

    fn try_from(payload: message::Payload) -> Result<Self, Unreadable> {
        let mut content = Self::data(payload.content);
        content.encoding = Numbered::of_number(payload.encoding)?;
        Ok(content.with_content_type(&payload.content_type))
    }
}

impl TryFrom<message::Options> for JobOptions {
    type Error = Unreadable;

    fn try_from(options: message::Options) -> Result<Self, Unreadable> {
        Ok(Self {
            start: optional(options.start)?.unwrap_or_default(),
            attempt_timeout: optional(options.attempt_timeout)?,
            timeout: optional(options.timeout)?,
            retry: options.retry.try_into()?,
            retention: optional(options.retention)?,
            labels: options.labels,
            headers: options.headers,
            origin: options.origin.map(Into::into),
        })
    }
}

impl TryFrom<message::Start> for Start {
    type Error = Unreadable;

    fn try_from(start: message::Start) -> Result<Self, Unreadable> {
        match known("start", start.when)? {
            message::When::At(time) => Ok(Self::At(Timestamp::from_micros(time))),
            message::When::After(delay) => Ok(Self::After(delay.try_into()?)),
        }
    }
}

impl TryFrom<message::Retry> for RetryPolicy {
    type Error = Unreadable;

    fn try_from(retry: message::Retry) -> Result<Self, Unreadable> {
        Ok(Self {
            max_attempts: retry.max_attempts,
            initial_backoff: retry.initial_backoff.try_into()?,
            multiplier: retry.multiplier,
            max_backoff: retry.max_backoff.try_into()?,
            jitter: retry.jitter,
            max_lost_attempts: retry.max_lost_attempts,
        })
    }
}

fn moved(of: message::Moved, context: &Context) -> Result<Moved, Unreadable> {
    let next = (of.retention > 0).then(|| context.after(of.retention)).transpose()?;
    let (deadline, expire_time) = next.unzip();
    Ok(Moved {
        id: job_id(of.id, context)?,
        event: event(of.event, context.now)?,
        lost: of.lost,
        released: of.released,
        cancel_requested: of.cancel_requested,
        deadline: span_or(of.deadline, deadline.unwrap_or(Duration::MAX))?,
        expire_time: of.expire_time.map(Timestamp::from_micros).or(expire_time),
        running: optional(of.running)?,
    })
}

impl TryFrom<message::Running> for Running {
    type Error = Unreadable;

    fn try_from(running: message::Running) -> Result<Self, Unreadable> {
        let link = match running.link {
            POOL => Link::Pool,
            STREAM => Link::Stream(Uuid::from_u128(part("instance", running.instance)?.into())),
            UNARY => Link::Unary,
            number => return Err(Unreadable::Newer(format!("worker link {number}"))),
        };
        let cancel = match running.cancel {
            Some(message::Cancel { force_at, reason }) => Some((or_never(force_at)?, reason)),
            None => None,
        };
        Ok(Self {
            lease: LeaseId::from_u128(part("lease", running.lease)?.into()),
            link,
            worker: running.worker.into(),
            attempt_deadline: or_never(running.attempt_deadline)?,
            cancel,
        })
    }
}

fn event(event: Option<message::Event>, now: Now) -> Result<Event, Unreadable> {
    let message::Event { sequence, time, attempt, body } = part("event", event)?;
    let body = match known("event", body)? {
        message::Body::State(change) => EventBody::State(change.try_into()?),
        message::Body::Progress(progress) => EventBody::Progress(Arc::new(progress.into())),
        message::Body::Output(output) => EventBody::Output(output.try_into()?),
        message::Body::Log(log) => EventBody::Log(log.try_into()?),
    };
    Ok(Event { sequence, time: time.map_or(now.wall, Timestamp::from_micros), attempt, body })
}

impl TryFrom<message::State> for StateChange {
    type Error = Unreadable;

    fn try_from(change: message::State) -> Result<Self, Unreadable> {
        Ok(Self {
            state: Numbered::of_number(change.state)?,
            wait_reason: option_of(change.wait_reason)?,
            failure: optional(change.failure)?.map(Arc::new),
            next_attempt_time: change.next_attempt_time.map(Timestamp::from_micros),
            outcome: optional(change.outcome)?,
            cancel_requested: change.cancel_requested,
        })
    }
}

impl TryFrom<message::Outcome> for Outcome {
    type Error = Unreadable;

    fn try_from(outcome: message::Outcome) -> Result<Self, Unreadable> {
        Ok(match known("outcome", outcome.end)? {
            message::End::Result(result) => Self::Result(result.try_into()?),
            message::End::Failure(failure) => Self::Failure(Arc::new(failure.try_into()?)),
            message::End::Cancellation(message::Cancellation { reason, forced }) => {
                Self::Cancellation(Arc::new(Cancellation { reason, forced }))
            }
        })
    }
}

impl TryFrom<message::Failure> for Failure {
    type Error = Unreadable;

    fn try_from(failure: message::Failure) -> Result<Self, Unreadable> {
        Ok(Self {
            reason: Numbered::of_number(failure.reason)?,
            error_type: failure.error_type,
            message: failure.message,
            details: optional(failure.details)?,
            attempt: failure.attempt,
            retryable: failure.retryable,
        })
    }
}

impl From<message::Progress> for Progress {
    fn from(progress: message::Progress) -> Self {
        let message::Progress { fraction, done, total, unit, message } = progress;
        Self { fraction, done, total, unit, message }
    }
}

impl TryFrom<message::Output> for Output {
    type Error = Unreadable;

    fn try_from(output: message::Output) -> Result<Self, Unreadable> {
        Ok(Self { payload: output.payload.try_into()?, channel: output.channel.into() })
    }
}

impl TryFrom<message::Log> for Log {
    type Error = Unreadable;

    fn try_from(log: message::Log) -> Result<Self, Unreadable> {
        Ok(Self {
            level: Numbered::of_number(log.level)?,
            text: log.text.into(),
            stream: Numbered::of_number(log.stream)?,
        })
    }
}
