//! What a record does not say, because its entry or the record before it says it: most happen when their command ran, and
//! to the job of the record before.

use std::time::Duration;

use super::Unreadable;
use crate::clock::Now;
use crate::core::Moved;
use crate::job::{JobId, Timestamp};

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// When its command ran.
    pub(super) now: Now,
    /// The job of the record before.
    pub(super) job: Option<JobId>,
}

impl Context {
    /// How long after its command what comes next is, in microseconds, if the job ended and both clocks say the same.
    pub(super) fn retention(&self, of: &Moved) -> Option<u64> {
        let micros = of.expire_time?.as_micros().checked_sub(self.now.wall.as_micros())?;
        let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
        let on_monotonic = of.deadline.checked_sub(self.now.monotonic)?;
        (on_monotonic == Duration::from_micros(micros)).then_some(micros)
    }

    /// What comes next, so many microseconds after its command.
    pub(super) fn after(&self, micros: u64) -> Result<(Duration, Timestamp), Unreadable> {
        let too_late = || Unreadable::Damaged(format!("{micros} us after its command is beyond all time"));
        let monotonic = self.now.monotonic.checked_add(Duration::from_micros(micros));
        let wall = self.now.wall.as_micros().checked_add_unsigned(micros);
        Ok((monotonic.ok_or_else(too_late)?, Timestamp::from_micros(wall.ok_or_else(too_late)?)))
    }
}
