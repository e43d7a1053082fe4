//! Conversion of records. The message of a record without a type of its own is written from a tuple.

use std::time::Duration;

use uuid::Uuid;

use super::Unreadable;
use super::context::Context;
use super::enums::{read_optional, write_optional};
use super::schema as pb;
use super::schema::record::Change;
use super::values::{Read, known, name, read_deadline, required, write_deadline};
use super::writer::{Sink, Write, Writer};
use crate::core::{Gap, IdSecret, Instance, Record, Removed};
use crate::job::{Event, JobId, SpecDigest, Timestamp};

impl Write<pb::Record> for Record {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Record, S>) {
        match self {
            Self::Accepted(accepted) => to.accepted(Some(accepted)),
            Self::StateChanged(changed) => to.moved(Some(changed)),
            Self::Reported(id, event) => to.reported(Some(&(id, event))),
            Self::Removed(removed) => to.removed(Some(removed)),
            Self::QueuePaused(name, paused) => to.queue_paused(Some(&(&**name, *paused))),
            Self::CancelDeadline(id, force_at) => to.cancel_deadline(Some(&(id, force_at))),
            Self::ReportsTaken(instance, newest) => to.reports_taken(Some(&(instance, *newest))),
            Self::Dropped(id, gaps) => to.dropped(Some(&(id, &**gaps))),
            Self::Secret(secret) => to.secret(Some(&secret.as_u128())),
            Self::Resumed(downtime) => to.resumed(Some(downtime)),
            Self::Offered(id, attempt) => to.offered(Some(&(id, *attempt))),
        }
    }
}

impl Read<pb::Record> for Record {
    fn read(message: pb::Record, context: &Context) -> Result<Self, Unreadable> {
        let job_id = |id| context.read_id(id);
        Ok(match known("record", message.change)? {
            Change::Accepted(accepted) => Self::Accepted(Read::read(accepted, context)?),
            Change::Moved(changed) => Self::StateChanged(Read::read(changed, context)?),
            Change::Reported(of) => {
                Self::Reported(job_id(of.id)?, Read::read(required("event", of.event)?, context)?)
            }
            Change::Removed(removed) => Self::Removed(Read::read(removed, context)?),
            Change::QueuePaused(of) => Self::QueuePaused(of.name.into(), of.paused),
            Change::CancelDeadline(of) => {
                Self::CancelDeadline(job_id(of.id)?, read_deadline(of.force_at, context)?)
            }
            Change::ReportsTaken(of) => {
                let id = Uuid::from_u128(required("instance", of.instance)?.into());
                Self::ReportsTaken(Instance { id, principal: name(&of.principal) }, of.newest)
            }
            Change::Dropped(of) => {
                let gaps = of.ranges.as_chunks::<3>().0.iter();
                let gaps = gaps.map(|&[state_changes, from, to]| Gap { state_changes, from, to });
                Self::Dropped(job_id(of.id)?, gaps.collect())
            }
            Change::Secret(bits) => Self::Secret(IdSecret::from_u128(bits.into())),
            Change::Resumed(downtime) => Self::Resumed(Read::read(downtime, context)?),
            Change::Offered(of) => Self::Offered(job_id(of.id)?, of.attempt),
        })
    }
}

impl Write<pb::Reported> for (&JobId, &Event) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Reported, S>) {
        to.id(to.context.write_id(self.0));
        to.event(Some(self.1));
    }
}

impl Write<pb::Removed> for Removed {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Removed, S>) {
        to.id(to.context.write_id(&self.id));
        to.expire_time_us(self.expire_time.map(Timestamp::as_micros));
        to.removed(to.context.write_monotonic(&self.removed));
        to.state(write_optional(self.end.map(|(state, _)| state)));
        to.digest(self.end.map(|(_, digest)| digest.as_u128()).as_ref());
        // A removed job without an expire time was deleted.
        to.deleted(self.deleted && self.expire_time.is_some());
    }
}

impl Read<pb::Removed> for Removed {
    fn read(message: pb::Removed, context: &Context) -> Result<Self, Unreadable> {
        let end = match read_optional(message.state)? {
            Some(state) => Some((state, SpecDigest::from_u128(required("digest", message.digest)?.into()))),
            None => None,
        };
        Ok(Self {
            id: context.read_id(message.id)?,
            expire_time: message.expire_time_us.map(Timestamp::from_micros),
            removed: context.read_monotonic(message.removed)?,
            end,
            deleted: message.deleted || message.expire_time_us.is_none(),
        })
    }
}

impl Write<pb::QueuePaused> for (&str, bool) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::QueuePaused, S>) {
        to.name(self.0);
        to.paused(self.1);
    }
}

impl Write<pb::CancelDeadline> for (&JobId, &Duration) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::CancelDeadline, S>) {
        to.id(to.context.write_id(self.0));
        to.force_at(write_deadline(self.1));
    }
}

impl Write<pb::ReportsTaken> for (&Instance, u64) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::ReportsTaken, S>) {
        to.instance(Some(&self.0.id.as_u128()));
        to.newest(self.1);
        to.principal(self.0.principal.as_deref().unwrap_or_default());
    }
}

impl Write<pb::Dropped> for (&JobId, &[Gap]) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Dropped, S>) {
        to.id(to.context.write_id(self.0));
        let ranges: Vec<u32> = self.1.iter().flat_map(|gap| [gap.state_changes, gap.from, gap.to]).collect();
        to.ranges(&ranges);
    }
}

impl Write<pb::Offered> for (&JobId, u32) {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Offered, S>) {
        to.id(to.context.write_id(self.0));
        to.attempt(self.1);
    }
}
