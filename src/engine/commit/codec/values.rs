//! Conversion between values and messages: ids, times and payloads.

use std::sync::Arc;
use std::time::Duration;

use super::Unreadable;
use super::context::Context;
use super::enums::SchemaEnum;
use super::schema as pb;
use super::writer::{Sink, Write, Writer};
use crate::job::{JobId, Payload};

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A type that is read from the message `M`.
pub(super) trait Read<M>: Sized {
    /// # Errors
    ///
    /// `Newer`, `Damaged`.
    fn read(message: M, context: &Context) -> Result<Self, Unreadable>;
}

pub(super) fn optional<M, T: Read<M>>(
    message: Option<M>,
    context: &Context,
) -> Result<Option<T>, Unreadable> {
    message.map(|message| T::read(message, context)).transpose()
}

/// A message that every version sets.
///
/// # Errors
///
/// `Damaged` if it is not set.
pub(super) fn required<T>(name: &str, message: Option<T>) -> Result<T, Unreadable> {
    message.ok_or_else(|| Unreadable::Damaged(format!("it has no {name}")))
}

/// The set field of a oneof, to which newer versions may add fields.
///
/// # Errors
///
/// `Newer` if no known field is set.
pub(super) fn known<T>(name: &str, field: Option<T>) -> Result<T, Unreadable> {
    field.ok_or_else(|| Unreadable::Newer(format!("a type of {name}")))
}

/// A name that is empty if there is none.
pub(super) fn name(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

impl Write<pb::Uint128> for u128 {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Uint128, S>) {
        to.high((self >> u64::BITS) as u64);
        to.low(*self as u64);
    }
}

impl From<pb::Uint128> for u128 {
    fn from(bits: pb::Uint128) -> Self {
        Self::from(bits.high) << u64::BITS | Self::from(bits.low)
    }
}

impl Write<pb::Uint128> for JobId {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Uint128, S>) {
        u128::from_be_bytes(*self.as_bytes()).write(to);
    }
}

impl From<pb::Uint128> for JobId {
    fn from(bits: pb::Uint128) -> Self {
        Self::from_bytes(u128::from(bits).to_be_bytes())
    }
}

impl Write<pb::Duration> for Duration {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Duration, S>) {
        to.seconds(self.as_secs());
        to.nanos(self.subsec_nanos());
    }
}

impl Read<pb::Duration> for Duration {
    fn read(message: pb::Duration, _: &Context) -> Result<Self, Unreadable> {
        match message.nanos {
            ..NANOS_PER_SECOND => Ok(Self::new(message.seconds, message.nanos)),
            nanos => Err(Unreadable::Damaged(format!("{nanos} ns are not less than a second"))),
        }
    }
}

/// A deadline as it is written: [`Duration::MAX`], which means no deadline, is left out.
pub(super) fn write_deadline(time: &Duration) -> Option<&Duration> {
    Some(time).filter(|time| **time != Duration::MAX)
}

/// A deadline that was written by [`write_deadline`].
pub(super) fn read_deadline(time: Option<pb::Duration>, context: &Context) -> Result<Duration, Unreadable> {
    Ok(optional(time, context)?.unwrap_or(Duration::MAX))
}

impl Write<pb::Payload> for Payload {
    fn write<S: Sink>(&self, to: &mut Writer<'_, pb::Payload, S>) {
        to.content(&self.bytes);
        to.encoding(self.encoding.number());
        to.content_type(self.explicit_content_type().unwrap_or_default());
    }
}

impl Read<pb::Payload> for Payload {
    fn read(message: pb::Payload, _: &Context) -> Result<Self, Unreadable> {
        let mut payload = Self::data(message.content);
        payload.encoding = SchemaEnum::from_number(message.encoding)?;
        Ok(payload.with_content_type(&message.content_type))
    }
}
