//! What a record does not say, because its entry or the record before it says it: most happen when their command ran, and
//! to the job of the record before.

use std::time::Duration;

use super::Unreadable;
use super::message::{Event, Sort, Span, Wide};
use crate::clock::Now;
use crate::core::Moved;
use crate::job::JobId;

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

    /// Has a record say everything.
    pub(super) fn complete(&self, sort: &mut Sort) -> Result<(), Unreadable> {
        match sort {
            Sort::Accepted(of) => {
                of.create_time.get_or_insert(self.now.wall.as_micros());
                of.created.get_or_insert_with(|| self.now.monotonic.into());
            }
            Sort::Moved(of) => {
                self.complete_id(&mut of.id);
                self.complete_event(&mut of.event);
                if of.retention > 0 {
                    let (deadline, expire_time) = self.after(of.retention)?;
                    of.deadline.get_or_insert(deadline);
                    of.expire_time.get_or_insert(expire_time);
                }
            }
            Sort::Reported(of) => {
                self.complete_id(&mut of.id);
                self.complete_event(&mut of.event);
            }
            Sort::Removed(of) => self.complete_id(&mut of.id),
            Sort::CancelHastened(of) => self.complete_id(&mut of.id),
            Sort::Dropped(of) => self.complete_id(&mut of.id),
            Sort::QueuePaused(_) | Sort::ReportsTaken(_) => {}
        }
        Ok(())
    }

    fn complete_id(&self, id: &mut Option<Wide>) {
        *id = id.take().or(self.job.map(Into::into));
    }

    fn complete_event(&self, event: &mut Option<Event>) {
        if let Some(event) = event {
            event.time.get_or_insert(self.now.wall.as_micros());
        }
    }

    fn after(&self, micros: u64) -> Result<(Span, i64), Unreadable> {
        let too_late = || Unreadable::Damaged(format!("{micros} us after its command is beyond all time"));
        let monotonic = self.now.monotonic.checked_add(Duration::from_micros(micros));
        let wall = self.now.wall.as_micros().checked_add_unsigned(micros);
        Ok((monotonic.ok_or_else(too_late)?.into(), wall.ok_or_else(too_late)?))
    }
}

impl From<JobId> for Wide {
    fn from(id: JobId) -> Self {
        let bits = u128::from_be_bytes(*id.as_bytes());
        Self { high: (bits >> u64::BITS) as u64, low: bits as u64 }
    }
}

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self { seconds: span.as_secs(), nanos: span.subsec_nanos() }
    }
}
