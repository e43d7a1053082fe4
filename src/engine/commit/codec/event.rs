//! Events, both ways.

use std::sync::Arc;

use super::Unreadable;
use super::context::Context;
use super::enums::{SchemaEnum, read_optional, write_optional};
use super::schema as pb;
use super::schema::event::Body;
use super::schema::outcome::End;
use super::values::{Read, known, name, optional};
use super::writer::{Sink, Write, Writer};
use crate::job::{
    Cancellation, Event, EventBody, Failure, Log, Outcome, Output, Progress, StateChange, Timestamp,
};

impl Write<pb::Event> for Event {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Event, S>) {
        to.sequence(self.sequence);
        to.time_us(to.context.write_wall(self.time));
        to.attempt(self.attempt);
        match &self.body {
            EventBody::State(change) => to.state(Some(change)),
            EventBody::Progress(progress) => to.progress(Some(&**progress)),
            EventBody::Output(output) => to.output(Some(output)),
            EventBody::Log(log) => to.log(Some(log)),
        }
    }
}

impl Read<pb::Event> for Event {
    fn read(message: pb::Event, context: &Context) -> Result<Self, Unreadable> {
        let body = match known("event", message.body)? {
            Body::State(change) => EventBody::State(Read::read(change, context)?),
            Body::Progress(progress) => EventBody::Progress(Arc::new(Read::read(progress, context)?)),
            Body::Output(output) => EventBody::Output(Read::read(output, context)?),
            Body::Log(log) => EventBody::Log(Read::read(log, context)?),
        };
        let time = context.read_wall(message.time_us);
        Ok(Self { sequence: message.sequence, time, attempt: message.attempt, body })
    }
}

impl Write<pb::StateChange> for StateChange {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::StateChange, S>) {
        to.state(self.state.number());
        to.wait_reason(write_optional(self.wait_reason));
        to.failure(self.failure.as_deref());
        to.next_attempt_time_us(self.next_attempt_time.map(Timestamp::as_micros));
        to.outcome(self.outcome.as_ref());
        to.cancel_requested(self.cancel_requested);
        to.principal(self.principal.as_deref().unwrap_or_default());
    }
}

impl Read<pb::StateChange> for StateChange {
    fn read(message: pb::StateChange, context: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            state: SchemaEnum::from_number(message.state)?,
            wait_reason: read_optional(message.wait_reason)?,
            failure: optional(message.failure, context)?.map(Arc::new),
            next_attempt_time: message.next_attempt_time_us.map(Timestamp::from_micros),
            outcome: optional(message.outcome, context)?,
            cancel_requested: message.cancel_requested,
            principal: name(&message.principal),
        })
    }
}

impl Write<pb::Outcome> for Outcome {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Outcome, S>) {
        match self {
            Self::Result(result) => to.result(Some(result)),
            Self::Failure(failure) => to.failure(Some(&**failure)),
            Self::Cancellation(cancellation) => to.cancellation(Some(&**cancellation)),
        }
    }
}

impl Read<pb::Outcome> for Outcome {
    fn read(message: pb::Outcome, context: &Context) -> Result<Self, Unreadable> {
        Ok(match known("outcome", message.end)? {
            End::Result(result) => Self::Result(Read::read(result, context)?),
            End::Failure(failure) => Self::Failure(Arc::new(Read::read(failure, context)?)),
            End::Cancellation(of) => Self::Cancellation(Arc::new(Read::read(of, context)?)),
        })
    }
}

impl Write<pb::Failure> for Failure {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Failure, S>) {
        to.reason(self.reason.number());
        to.error_type(&self.error_type);
        to.message(&self.message);
        to.details(self.details.as_ref());
        to.attempt(self.attempt);
        to.retryable(self.retryable);
    }
}

impl Read<pb::Failure> for Failure {
    fn read(message: pb::Failure, context: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            reason: SchemaEnum::from_number(message.reason)?,
            error_type: message.error_type,
            message: message.message,
            details: optional(message.details, context)?,
            attempt: message.attempt,
            retryable: message.retryable,
        })
    }
}

impl Write<pb::Cancellation> for Cancellation {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Cancellation, S>) {
        to.reason(&self.reason);
        to.forced(self.forced);
        to.principal(self.principal.as_deref().unwrap_or_default());
    }
}

impl Read<pb::Cancellation> for Cancellation {
    fn read(message: pb::Cancellation, _: &Context) -> Result<Self, Unreadable> {
        let principal = name(&message.principal);
        Ok(Self { reason: message.reason, principal, forced: message.forced })
    }
}

impl Write<pb::Progress> for Progress {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Progress, S>) {
        to.fraction(self.fraction);
        to.done(self.done);
        to.total(self.total);
        to.unit(&self.unit);
        to.message(&self.message);
    }
}

impl Read<pb::Progress> for Progress {
    fn read(message: pb::Progress, _: &Context) -> Result<Self, Unreadable> {
        let pb::Progress { fraction, done, total, unit, message } = message;
        Ok(Self { fraction, done, total, unit, message })
    }
}

impl Write<pb::Output> for Output {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Output, S>) {
        to.payload(Some(&self.payload));
        to.channel(&self.channel);
    }
}

impl Read<pb::Output> for Output {
    fn read(message: pb::Output, context: &Context) -> Result<Self, Unreadable> {
        let payload = Read::read(message.payload.unwrap_or_default(), context)?;
        Ok(Self { payload, channel: message.channel.into() })
    }
}

impl Write<pb::Log> for Log {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Log, S>) {
        to.level(self.level.number());
        to.text(&self.text);
        to.stream(self.stream.number());
    }
}

impl Read<pb::Log> for Log {
    fn read(message: pb::Log, _: &Context) -> Result<Self, Unreadable> {
        Ok(Self {
            level: SchemaEnum::from_number(message.level)?,
            text: message.text.into(),
            stream: SchemaEnum::from_number(message.stream)?,
        })
    }
}
