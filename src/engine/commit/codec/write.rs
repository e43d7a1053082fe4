//! From records to bytes. Each is written as the message of [`message`](super::message) that it is read as.

use std::time::Duration;

use super::Part;
use super::context::Context;
use super::fields::Fields;
use super::number::{Numbered, of_option};
use crate::clock::Now;
use crate::core::{Accepted, Link, Moved, Record, Removed, Running};
use crate::job::{
    Event, EventBody, Failure, JobId, JobOptions, Log, NewJob, Outcome, Output, Payload, Progress,
    RetryPolicy, Start, StateChange, Timestamp,
};

/// Numbers of [`Link`].
pub(super) const POOL: u32 = 1;
pub(super) const STREAM: u32 = 2;
pub(super) const UNARY: u32 = 3;

/// What a message takes beside the payload in it, roughly.
const AROUND_PAYLOAD: usize = 64;

pub(super) fn entry(now: Now, part: Part, records: &[Record], buffer: &mut Vec<u8>) {
    let mut entry = Fields::of(buffer);
    entry.span(1, now.monotonic);
    entry.fixed(2, now.wall.as_micros().cast_unsigned());
    entry.number(4, part.number);
    entry.number(5, part.count);
    let mut context = Context { now, job: None };
    for of in records {
        entry.large(3, size(of), |fields| record(fields, of, context));
        context.job = of.job();
    }
}

/// Bytes of the payload in it, and some around.
fn size(record: &Record) -> usize {
    let payload = match record {
        Record::Accepted(accepted) => accepted.job.payload.bytes.len(),
        Record::Moved(moved) => event_size(&moved.event),
        Record::Reported(_, event) => event_size(event),
        _ => 0,
    };
    payload + AROUND_PAYLOAD
}

fn event_size(event: &Event) -> usize {
    match &event.body {
        EventBody::State(change) => match &change.outcome {
            Some(Outcome::Result(result)) => result.bytes.len(),
            _ => 0,
        },
        EventBody::Output(output) => output.payload.bytes.len(),
        EventBody::Log(log) => log.text.len(),
        EventBody::Progress(_) => 0,
    }
}

fn record(fields: &mut Fields<'_>, record: &Record, context: Context) {
    let size = size(record);
    match record {
        Record::Accepted(of) => fields.large(1, size, |fields| accepted(fields, of, context.now)),
        Record::Moved(of) => fields.large(2, size, |fields| moved(fields, of, context)),
        Record::Reported(id, of) => fields.large(3, size, |fields| {
            other_id(fields, *id, context);
            fields.large(2, event_size(of), |fields| event(fields, of, context.now));
        }),
        Record::Removed(of) => fields.message(4, |fields| removed(fields, of, context)),
        Record::QueuePaused(name, paused) => fields.message(5, |fields| {
            fields.text(1, name);
            fields.number(2, *paused);
        }),
        Record::CancelHastened(id, force_at) => fields.message(6, |fields| {
            other_id(fields, *id, context);
            unless_never(fields, 2, *force_at);
        }),
        Record::Offered(id, attempt) => fields.message(12, |fields| {
            other_id(fields, *id, context);
            fields.number(2, *attempt);
        }),
        Record::ReportsTaken(instance, newest) => fields.message(7, |fields| {
            fields.wide(1, instance.as_u128());
            fields.number(2, *newest);
        }),
        Record::Secret(secret) => fields.wide(9, secret.as_u128()),
        Record::Resumed(stopped) => fields.span(10, *stopped),
        Record::Dropped(id, ranges) => fields.message(8, |fields| {
            other_id(fields, *id, context);
            fields.packed(2, ranges.as_flattened());
        }),
    }
}

fn removed(fields: &mut Fields<'_>, of: &Removed, context: Context) {
    other_id(fields, of.id, context);
    time_option(fields, 2, of.expire_time);
    span_option(fields, 3, Some(of.removed).filter(|removed| *removed != context.now.monotonic));
    if let Some((state, digest)) = of.end {
        fields.number(4, state.number());
        fields.wide(5, digest.as_u128());
    }
    fields.number(6, of.deleted && of.expire_time.is_some());
}

/// The id of a record's job, if it is not that of the record before.
fn other_id(fields: &mut Fields<'_>, id: JobId, context: Context) {
    if context.job != Some(id) {
        job_id(fields, 1, id);
    }
}

fn job_id(fields: &mut Fields<'_>, tag: u32, id: JobId) {
    fields.wide(tag, u128::from_be_bytes(*id.as_bytes()));
}

fn time_unless_now(fields: &mut Fields<'_>, tag: u32, time: Timestamp, now: Now) {
    time_option(fields, tag, Some(time).filter(|time| *time != now.wall));
}

fn time_option(fields: &mut Fields<'_>, tag: u32, time: Option<Timestamp>) {
    if let Some(time) = time {
        fields.fixed_always(tag, time.as_micros().cast_unsigned());
    }
}

/// A time at which something happens; none if it never does.
fn unless_never(fields: &mut Fields<'_>, tag: u32, time: Duration) {
    span_option(fields, tag, Some(time).filter(|time| *time != Duration::MAX));
}

fn span_option(fields: &mut Fields<'_>, tag: u32, span: Option<Duration>) {
    if let Some(span) = span {
        fields.span(tag, span);
    }
}

fn accepted(fields: &mut Fields<'_>, of: &Accepted, now: Now) {
    job_id(fields, 1, of.id);
    fields.large(2, of.job.payload.bytes.len() + AROUND_PAYLOAD, |fields| job(fields, &of.job));
    fields.number(3, of.number);
    time_unless_now(fields, 4, of.create_time, now);
    span_option(fields, 5, Some(of.created).filter(|created| *created != now.monotonic));
    fields.number(6, of_option(of.first_wait));
    unless_never(fields, 7, of.deadline);
}

fn job(fields: &mut Fields<'_>, of: &NewJob) {
    if let Some(id) = of.id {
        job_id(fields, 1, id);
    }
    fields.text(2, of.kind.as_str());
    fields.text(3, of.queue.as_str());
    payload(fields, 4, &of.payload);
    fields.signed(5, of.priority.into());
    if let Some(of) = &of.options {
        fields.message(6, |fields| options(fields, of));
    }
}

fn payload(fields: &mut Fields<'_>, tag: u32, of: &Payload) {
    fields.large(tag, of.bytes.len(), |fields| {
        fields.bytes(1, &of.bytes);
        fields.number(2, of.encoding.number());
        fields.text(3, of.explicit_content_type().unwrap_or_default());
    });
}

fn options(fields: &mut Fields<'_>, of: &JobOptions) {
    match of.start {
        Start::Now => {}
        Start::At(at) => fields.message(1, |start| time_option(start, 1, Some(at))),
        Start::After(delay) => fields.message(1, |start| start.span(2, delay)),
    }
    span_option(fields, 2, of.attempt_timeout);
    span_option(fields, 3, of.timeout);
    fields.message(4, |fields| retry(fields, &of.retry));
    span_option(fields, 5, of.retention);
    fields.pairs(6, &of.labels);
    fields.pairs(7, &of.headers);
    if let Some(origin) = of.origin {
        job_id(fields, 8, origin);
    }
}

fn retry(fields: &mut Fields<'_>, of: &RetryPolicy) {
    fields.number(1, of.max_attempts);
    fields.span(2, of.initial_backoff);
    fields.real(3, of.multiplier);
    fields.span(4, of.max_backoff);
    fields.real(5, of.jitter);
    fields.number(6, of.max_lost_attempts);
}

fn moved(fields: &mut Fields<'_>, of: &Moved, context: Context) {
    other_id(fields, of.id, context);
    fields.large(2, event_size(&of.event), |fields| event(fields, &of.event, context.now));
    fields.number(3, of.lost);
    fields.number(4, of.released);
    fields.number(5, of.cancel_requested);
    let retention = context.retention(of);
    if retention.is_none() {
        unless_never(fields, 6, of.deadline);
        time_option(fields, 7, of.expire_time);
    }
    if let Some(of) = &of.running {
        fields.message(8, |fields| running(fields, of));
    }
    fields.number(9, retention.unwrap_or_default());
}

fn running(fields: &mut Fields<'_>, of: &Running) {
    let (link, instance) = match of.link {
        Link::Pool => (POOL, None),
        Link::Stream(instance) => (STREAM, Some(instance)),
        Link::Unary => (UNARY, None),
    };
    fields.wide(1, of.lease.as_u128());
    fields.number(2, link);
    if let Some(instance) = instance {
        fields.wide(3, instance.as_u128());
    }
    fields.text(4, &of.worker);
    unless_never(fields, 5, of.attempt_deadline);
    if let Some((force_at, reason)) = &of.cancel {
        fields.message(6, |fields| {
            unless_never(fields, 1, *force_at);
            fields.text(2, reason);
        });
    }
}

fn event(fields: &mut Fields<'_>, of: &Event, now: Now) {
    fields.number(1, of.sequence);
    time_unless_now(fields, 2, of.time, now);
    fields.number(3, of.attempt);
    let size = event_size(of);
    match &of.body {
        EventBody::State(of) => fields.large(4, size, |fields| state(fields, of)),
        EventBody::Progress(of) => fields.message(5, |fields| progress(fields, of)),
        EventBody::Output(of) => fields.large(6, size, |fields| output(fields, of)),
        EventBody::Log(of) => fields.large(7, size, |fields| log(fields, of)),
    }
}

fn state(fields: &mut Fields<'_>, of: &StateChange) {
    fields.number(1, of.state.number());
    fields.number(2, of_option(of.wait_reason));
    if let Some(of) = &of.failure {
        fields.message(3, |fields| failure(fields, of));
    }
    time_option(fields, 4, of.next_attempt_time);
    match &of.outcome {
        None => {}
        Some(Outcome::Result(of)) => fields.large(5, of.bytes.len(), |end| payload(end, 1, of)),
        Some(Outcome::Failure(of)) => fields.message(5, |end| end.message(2, |fields| failure(fields, of))),
        Some(Outcome::Cancellation(of)) => fields.message(5, |end| {
            end.message(3, |fields| {
                fields.text(1, &of.reason);
                fields.number(2, of.forced);
            });
        }),
    }
    fields.number(6, of.cancel_requested);
}

fn failure(fields: &mut Fields<'_>, of: &Failure) {
    fields.number(1, of.reason.number());
    fields.text(2, &of.error_type);
    fields.text(3, &of.message);
    if let Some(details) = &of.details {
        payload(fields, 4, details);
    }
    fields.number(5, of.attempt);
    fields.number(6, of.retryable);
}

fn progress(fields: &mut Fields<'_>, of: &Progress) {
    for (tag, number) in [(1, of.fraction), (2, of.done), (3, of.total)] {
        if let Some(number) = number {
            fields.fixed_always(tag, number.to_bits());
        }
    }
    fields.text(4, &of.unit);
    fields.text(5, &of.message);
}

fn output(fields: &mut Fields<'_>, of: &Output) {
    payload(fields, 1, &of.payload);
    fields.text(2, &of.channel);
}

fn log(fields: &mut Fields<'_>, of: &Log) {
    fields.number(1, of.level.number());
    fields.text(2, &of.text);
    fields.number(3, of.stream.number());
}
