//! Conversion of state changes of jobs and their running attempts.

use std::time::Duration;

use uuid::Uuid;

use super::Unreadable;
use super::context::Context;
use super::schema as pb;
use super::values::{Read, name, optional, read_deadline, required, write_deadline};
use super::writer::{Sink, Write, Writer};
use crate::core::{Cancel, Link, Running, StateChanged};
use crate::job::{LeaseId, Timestamp};

impl Write<pb::Moved> for StateChanged {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Moved, S>) {
        let retention_us = to.context.write_retention(self);
        to.id(to.context.write_id(&self.id));
        to.event(Some(&self.event));
        to.lost(self.lost);
        to.released(self.released);
        to.cancel_requested(self.cancel_requested);
        if retention_us.is_none() {
            to.deadline(write_deadline(&self.deadline));
            to.expire_time_us(self.expire_time.map(Timestamp::as_micros));
        }
        to.running(self.running.as_ref());
        to.retention_us(retention_us.unwrap_or_default());
    }
}

impl Read<pb::Moved> for StateChanged {
    fn read(message: pb::Moved, context: &Context) -> Result<Self, Unreadable> {
        let (deadline, expire_time) = match message.retention_us {
            0 => (Duration::MAX, None),
            micros => context.read_retention(micros).map(|(deadline, time)| (deadline, Some(time)))?,
        };
        Ok(Self {
            id: context.read_id(message.id)?,
            event: Read::read(required("event", message.event)?, context)?,
            lost: message.lost,
            released: message.released,
            cancel_requested: message.cancel_requested,
            deadline: optional(message.deadline, context)?.unwrap_or(deadline),
            expire_time: message.expire_time_us.map(Timestamp::from_micros).or(expire_time),
            running: optional(message.running, context)?,
        })
    }
}

impl Write<pb::Running> for Running {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Running, S>) {
        let (link, instance) = match self.link {
            Link::Pool => (pb::Link::Pool, None),
            Link::Stream(instance) => (pb::Link::Stream, Some(instance.as_u128())),
            Link::Unary(request) => (pb::Link::Unary, request.map(|id| id.as_u128())),
        };
        to.lease(Some(&self.lease.as_u128()));
        to.link(link.into());
        to.instance(instance.as_ref());
        to.worker(&self.worker);
        to.attempt_deadline(write_deadline(&self.attempt_deadline));
        to.cancel(self.cancel.as_ref());
        to.principal(self.principal.as_deref().unwrap_or_default());
    }
}

impl Read<pb::Running> for Running {
    fn read(message: pb::Running, context: &Context) -> Result<Self, Unreadable> {
        let link = match pb::Link::try_from(message.link) {
            Ok(pb::Link::Pool) => Link::Pool,
            Ok(pb::Link::Stream) => {
                Link::Stream(Uuid::from_u128(required("instance", message.instance)?.into()))
            }
            Ok(pb::Link::Unary) => Link::Unary(message.instance.map(|id| Uuid::from_u128(id.into()))),
            _ => return Err(Unreadable::Newer(format!("worker link {}", message.link))),
        };
        Ok(Self {
            lease: LeaseId::from_u128(required("lease", message.lease)?.into()),
            link,
            worker: message.worker.into(),
            principal: name(&message.principal),
            attempt_deadline: read_deadline(message.attempt_deadline, context)?,
            cancel: optional(message.cancel, context)?,
        })
    }
}

impl Write<pb::Cancel> for Cancel {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Cancel, S>) {
        to.force_at(write_deadline(&self.force_at));
        to.reason(&self.reason);
        to.principal(self.principal.as_deref().unwrap_or_default());
    }
}

impl Read<pb::Cancel> for Cancel {
    fn read(message: pb::Cancel, context: &Context) -> Result<Self, Unreadable> {
        let force_at = read_deadline(message.force_at, context)?;
        Ok(Self { force_at, reason: message.reason, principal: name(&message.principal) })
    }
}
