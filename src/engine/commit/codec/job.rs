//! Accepted jobs, both ways.

use std::sync::Arc;

use super::Unreadable;
use super::context::Context;
use super::enums::{read_optional, write_optional};
use super::schema as pb;
use super::schema::start::When;
use super::values::{Read, known, name, optional, read_deadline, required, write_deadline};
use super::writer::{Sink, Write, Writer};
use crate::core::Accepted;
use crate::error::Error;
use crate::job::{JobOptions, Kind, NewJob, QueueName, RetryPolicy, Start, Timestamp, TraceContext};

impl Write<pb::Accepted> for Accepted {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Accepted, S>) {
        to.id(Some(&self.id));
        to.job(Some(&self.job));
        to.number(self.number);
        to.create_time_us(to.context.write_wall(self.create_time));
        to.created(to.context.write_monotonic(&self.created));
        to.first_wait(write_optional(self.first_wait));
        to.deadline(write_deadline(&self.deadline));
        to.owner(self.owner.as_deref().unwrap_or_default());
    }
}

impl Read<pb::Accepted> for Accepted {
    fn read(message: pb::Accepted, context: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            id: required("job id", message.id)?.into(),
            job: Read::read(required("job", message.job)?, context)?,
            number: message.number,
            create_time: context.read_wall(message.create_time_us),
            created: context.read_monotonic(message.created)?,
            first_wait: read_optional(message.first_wait)?,
            deadline: read_deadline(message.deadline, context)?,
            owner: name(&message.owner),
        })
    }
}

impl Write<pb::Job> for NewJob {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Job, S>) {
        to.id(self.id.as_ref());
        to.kind(self.kind.as_str());
        to.queue(self.queue.as_str());
        to.payload(Some(&self.payload));
        to.priority(self.priority.into());
        to.options(self.options.as_deref());
    }
}

impl Read<pb::Job> for NewJob {
    fn read(message: pb::Job, context: &Context) -> Result<Self, Unreadable> {
        let priority = i8::try_from(message.priority);
        Ok(Self {
            id: message.id.map(Into::into),
            kind: Kind::parse("kind", &message.kind).map_err(invalid)?,
            queue: QueueName::parse("queue", &message.queue).map_err(invalid)?,
            payload: Read::read(message.payload.unwrap_or_default(), context)?,
            priority: priority.map_err(|_| Unreadable::Damaged(format!("priority {}", message.priority)))?,
            options: optional(message.options, context)?.map(Arc::new),
        })
    }
}

fn invalid(error: Error) -> Unreadable {
    Unreadable::Damaged(error.to_string())
}

impl Write<pb::JobOptions> for JobOptions {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::JobOptions, S>) {
        to.start(Some(&self.start).filter(|start| **start != Start::Now));
        to.attempt_timeout(self.attempt_timeout.as_ref());
        to.timeout(self.timeout.as_ref());
        to.retry(Some(&self.retry));
        to.retention(self.retention.as_ref());
        to.labels(&self.labels);
        to.headers(&self.headers);
        to.origin(self.origin.as_ref());
        to.trace_context(self.trace.as_deref());
    }
}

impl Read<pb::JobOptions> for JobOptions {
    fn read(message: pb::JobOptions, context: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            start: optional(message.start, context)?.unwrap_or_default(),
            attempt_timeout: optional(message.attempt_timeout, context)?,
            timeout: optional(message.timeout, context)?,
            retry: Read::read(message.retry.unwrap_or_default(), context)?,
            retention: optional(message.retention, context)?,
            labels: message.labels,
            headers: message.headers,
            origin: message.origin.map(Into::into),
            trace: optional(message.trace_context, context)?.map(Arc::new),
        })
    }
}

impl Write<pb::TraceContext> for TraceContext {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::TraceContext, S>) {
        to.traceparent(&self.traceparent().unwrap_or_default());
        to.tracestate(self.tracestate());
        to.baggage(self.baggage());
    }
}

impl Read<pb::TraceContext> for TraceContext {
    fn read(message: pb::TraceContext, _: &Context) -> Result<Self, Unreadable> {
        let pb::TraceContext { traceparent, tracestate, baggage } = message;
        Self::parse("trace_context", &traceparent, &tracestate, &baggage).map_err(invalid)
    }
}

impl Write<pb::Start> for Start {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Start, S>) {
        match self {
            Self::Now => {}
            Self::At(time) => to.at_us(Some(time.as_micros())),
            Self::After(delay) => to.after(Some(delay)),
        }
    }
}

impl Read<pb::Start> for Start {
    fn read(message: pb::Start, context: &Context) -> Result<Self, Unreadable> {
        Ok(match known("start", message.when)? {
            When::AtUs(micros) => Self::At(Timestamp::from_micros(micros)),
            When::After(delay) => Self::After(Read::read(delay, context)?),
        })
    }
}

impl Write<pb::RetryPolicy> for RetryPolicy {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::RetryPolicy, S>) {
        to.max_attempts(self.max_attempts);
        to.initial_backoff(Some(&self.initial_backoff));
        to.multiplier(self.multiplier);
        to.max_backoff(Some(&self.max_backoff));
        to.jitter(self.jitter);
        to.max_lost_attempts(self.max_lost_attempts);
    }
}

impl Read<pb::RetryPolicy> for RetryPolicy {
    fn read(message: pb::RetryPolicy, context: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            max_attempts: message.max_attempts,
            initial_backoff: Read::read(message.initial_backoff.unwrap_or_default(), context)?,
            multiplier: message.multiplier,
            max_backoff: Read::read(message.max_backoff.unwrap_or_default(), context)?,
            jitter: message.jitter,
            max_lost_attempts: message.max_lost_attempts,
        })
    }
}
