//! From records to messages.

use std::time::Duration;

use uuid::Uuid;

use super::message::{self, Wide};
use super::number::{Numbered, of_option};
use crate::clock::Now;
use crate::core::{Accepted, LeaseId, Link, Moved, Record, Running};
use crate::job::{
    Event, EventBody, Failure, JobId, JobOptions, Log, NewJob, Outcome, Output, Payload, Progress,
    RetryPolicy, Start, StateChange, Timestamp,
};

/// Numbers of [`Link`].
pub(super) const POOL: u32 = 1;
pub(super) const STREAM: u32 = 2;
pub(super) const UNARY: u32 = 3;

/// A time at which something happens; none if it never does.
fn unless_never(time: Duration) -> Option<message::Span> {
    (time != Duration::MAX).then(|| time.into())
}

impl From<Now> for message::Entry {
    fn from(now: Now) -> Self {
        Self { monotonic: now.monotonic.into(), wall: now.wall.as_micros(), records: Vec::new() }
    }
}

impl From<u128> for Wide {
    fn from(bits: u128) -> Self {
        Self { high: (bits >> u64::BITS) as u64, low: bits as u64 }
    }
}

impl From<JobId> for Wide {
    fn from(id: JobId) -> Self {
        u128::from_be_bytes(*id.as_bytes()).into()
    }
}

impl From<LeaseId> for Wide {
    fn from(lease: LeaseId) -> Self {
        lease.as_u128().into()
    }
}

impl From<Uuid> for Wide {
    fn from(instance: Uuid) -> Self {
        instance.as_u128().into()
    }
}

impl From<Duration> for message::Span {
    fn from(span: Duration) -> Self {
        Self { seconds: span.as_secs(), nanos: span.subsec_nanos() }
    }
}

impl From<&Record> for message::Record {
    fn from(record: &Record) -> Self {
        let sort = match record {
            Record::Accepted(accepted) => message::Sort::Accepted((&**accepted).into()),
            Record::Moved(moved) => message::Sort::Moved((&**moved).into()),
            Record::Reported(id, event) => message::Sort::Reported(message::Reported {
                id: Some((*id).into()),
                event: Some(event.into()),
            }),
            Record::Removed(id, expire_time) => message::Sort::Removed(message::Removed {
                id: Some((*id).into()),
                expire_time: expire_time.map(Timestamp::as_micros),
            }),
            Record::QueuePaused(name, paused) => message::Sort::QueuePaused(message::QueuePaused {
                name: (**name).to_owned(),
                paused: *paused,
            }),
            Record::CancelHastened(id, force_at) => message::Sort::CancelHastened(message::CancelHastened {
                id: Some((*id).into()),
                force_at: unless_never(*force_at),
            }),
            Record::Dropped(id, ranges) => message::Sort::Dropped(message::Dropped {
                id: Some((*id).into()),
                ranges: ranges.as_flattened().to_vec(),
            }),
            Record::ReportsTaken(instance, newest) => message::Sort::ReportsTaken(message::ReportsTaken {
                instance: Some((*instance).into()),
                newest: *newest,
            }),
        };
        Self { sort: Some(sort) }
    }
}

impl From<&Accepted> for message::Accepted {
    fn from(accepted: &Accepted) -> Self {
        Self {
            id: Some(accepted.id.into()),
            job: Some((&accepted.job).into()),
            number: accepted.number,
            create_time: accepted.create_time.as_micros(),
            created: accepted.created.into(),
            first_wait: of_option(accepted.first_wait),
            deadline: unless_never(accepted.deadline),
        }
    }
}

impl From<&NewJob> for message::Job {
    fn from(job: &NewJob) -> Self {
        Self {
            id: job.id.map(Into::into),
            kind: job.kind.as_str().to_owned(),
            queue: job.queue.as_str().to_owned(),
            payload: (&job.payload).into(),
            priority: job.priority.into(),
            options: job.options.as_deref().map(Into::into),
        }
    }
}

impl From<&Payload> for message::Payload {
    fn from(payload: &Payload) -> Self {
        Self {
            content: payload.bytes.clone(),
            encoding: payload.encoding.number(),
            content_type: payload.explicit_content_type().unwrap_or_default().to_owned(),
        }
    }
}

impl From<&JobOptions> for message::Options {
    fn from(options: &JobOptions) -> Self {
        let start = match options.start {
            Start::Now => None,
            Start::At(time) => Some(message::When::At(time.as_micros())),
            Start::After(delay) => Some(message::When::After(delay.into())),
        };
        Self {
            start: start.map(|when| message::Start { when: Some(when) }),
            attempt_timeout: options.attempt_timeout.map(Into::into),
            timeout: options.timeout.map(Into::into),
            retry: (&options.retry).into(),
            retention: options.retention.map(Into::into),
            labels: options.labels.clone(),
            headers: options.headers.clone(),
            origin: options.origin.map(Into::into),
        }
    }
}

impl From<&RetryPolicy> for message::Retry {
    fn from(retry: &RetryPolicy) -> Self {
        Self {
            max_attempts: retry.max_attempts,
            initial_backoff: retry.initial_backoff.into(),
            multiplier: retry.multiplier,
            max_backoff: retry.max_backoff.into(),
            jitter: retry.jitter,
            max_lost_attempts: retry.max_lost_attempts,
        }
    }
}

impl From<&Moved> for message::Moved {
    fn from(moved: &Moved) -> Self {
        Self {
            id: Some(moved.id.into()),
            event: Some((&moved.event).into()),
            lost: moved.lost,
            released: moved.released,
            cancel_requested: moved.cancel_requested,
            deadline: unless_never(moved.deadline),
            expire_time: moved.expire_time.map(Timestamp::as_micros),
            running: moved.running.as_ref().map(Into::into),
        }
    }
}

impl From<&Running> for message::Running {
    fn from(running: &Running) -> Self {
        let (link, instance) = match running.link {
            Link::Pool => (POOL, None),
            Link::Stream(instance) => (STREAM, Some(instance.into())),
            Link::Unary => (UNARY, None),
        };
        Self {
            lease: Some(running.lease.into()),
            link,
            instance,
            worker: (*running.worker).to_owned(),
            attempt_deadline: unless_never(running.attempt_deadline),
            cancel: running.cancel.as_ref().map(|(force_at, reason)| message::Cancel {
                force_at: unless_never(*force_at),
                reason: reason.clone(),
            }),
        }
    }
}

impl From<&Event> for message::Event {
    fn from(event: &Event) -> Self {
        let body = match &event.body {
            EventBody::State(change) => message::Body::State(change.into()),
            EventBody::Progress(progress) => message::Body::Progress((&**progress).into()),
            EventBody::Output(output) => message::Body::Output(output.into()),
            EventBody::Log(log) => message::Body::Log(log.into()),
        };
        let Event { sequence, attempt, .. } = *event;
        Self { sequence, time: event.time.as_micros(), attempt, body: Some(body) }
    }
}

impl From<&StateChange> for message::State {
    fn from(change: &StateChange) -> Self {
        Self {
            state: change.state.number(),
            wait_reason: of_option(change.wait_reason),
            failure: change.failure.as_deref().map(Into::into),
            next_attempt_time: change.next_attempt_time.map(Timestamp::as_micros),
            outcome: change.outcome.as_ref().map(Into::into),
            cancel_requested: change.cancel_requested,
        }
    }
}

impl From<&Outcome> for message::Outcome {
    fn from(outcome: &Outcome) -> Self {
        let end = match outcome {
            Outcome::Result(result) => message::End::Result(result.into()),
            Outcome::Failure(failure) => message::End::Failure((&**failure).into()),
            Outcome::Cancellation(cancellation) => message::End::Cancellation(message::Cancellation {
                reason: cancellation.reason.clone(),
                forced: cancellation.forced,
            }),
        };
        Self { end: Some(end) }
    }
}

impl From<&Failure> for message::Failure {
    fn from(failure: &Failure) -> Self {
        Self {
            reason: failure.reason.number(),
            error_type: failure.error_type.clone(),
            message: failure.message.clone(),
            details: failure.details.as_ref().map(Into::into),
            attempt: failure.attempt,
            retryable: failure.retryable,
        }
    }
}

impl From<&Progress> for message::Progress {
    fn from(progress: &Progress) -> Self {
        Self {
            fraction: progress.fraction,
            done: progress.done,
            total: progress.total,
            unit: progress.unit.clone(),
            message: progress.message.clone(),
        }
    }
}

impl From<&Output> for message::Output {
    fn from(output: &Output) -> Self {
        Self { payload: (&output.payload).into(), channel: (*output.channel).to_owned() }
    }
}

impl From<&Log> for message::Log {
    fn from(log: &Log) -> Self {
        Self { level: log.level.number(), text: (*log.text).to_owned(), stream: log.stream.number() }
    }
}
