//! Fields that a record leaves out because its entry or the record before has the same value: times of the command, and the job.

use std::time::Duration;

use super::Unreadable;
use super::schema as pb;
use super::values::{optional, required};
use crate::clock::Now;
use crate::core::StateChanged;
use crate::job::{JobId, Timestamp};

/// The entry of a record, and the record before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// When the command ran.
    pub(super) now: Now,
    /// The job of the record before.
    pub(super) job: Option<JobId>,
}

impl Context {
    pub(super) fn write_id<'a>(&self, id: &'a JobId) -> Option<&'a JobId> {
        Some(id).filter(|id| self.job != Some(**id))
    }

    pub(super) fn read_id(&self, id: Option<pb::Uint128>) -> Result<JobId, Unreadable> {
        required("job id", id.map(Into::into).or(self.job))
    }

    pub(super) fn write_wall(&self, time: Timestamp) -> Option<i64> {
        (time != self.now.wall).then(|| time.as_micros())
    }

    pub(super) fn read_wall(&self, micros: Option<i64>) -> Timestamp {
        micros.map_or(self.now.wall, Timestamp::from_micros)
    }

    pub(super) fn write_monotonic<'a>(&self, time: &'a Duration) -> Option<&'a Duration> {
        Some(time).filter(|time| **time != self.now.monotonic)
    }

    pub(super) fn read_monotonic(&self, time: Option<pb::Duration>) -> Result<Duration, Unreadable> {
        Ok(optional(time, self)?.unwrap_or(self.now.monotonic))
    }

    /// Microseconds from the command to the deadline and the expire time of a job that ended, if both distances are equal.
    pub(super) fn write_retention(&self, of: &StateChanged) -> Option<u64> {
        let micros = of.expire_time?.as_micros().checked_sub(self.now.wall.as_micros())?;
        let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
        let on_monotonic = of.deadline.checked_sub(self.now.monotonic)?;
        (on_monotonic == Duration::from_micros(micros)).then_some(micros)
    }

    /// The deadline and the expire time, so many microseconds after the command.
    pub(super) fn read_retention(&self, micros: u64) -> Result<(Duration, Timestamp), Unreadable> {
        let too_late = || Unreadable::Damaged(format!("{micros} us after its command is out of range"));
        let monotonic = self.now.monotonic.checked_add(Duration::from_micros(micros));
        let wall = self.now.wall.as_micros().checked_add_unsigned(micros);
        Ok((monotonic.ok_or_else(too_late)?, Timestamp::from_micros(wall.ok_or_else(too_late)?)))
    }
}
