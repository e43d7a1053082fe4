//! Reports and ends of attempts, as workers send them with the lease.

use std::sync::Arc;

use super::effects::Effects;
use super::history::{Stream, payload_bytes};
use super::keys::{JobKey, SessionKey};
use super::record::Record;
use super::refusals::{REPORTS_END, check_size, too_many_events};
use super::state::Core;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{AttemptEnd, Event, EventBody, LeaseId, Report};

impl Core {
    /// Ends an attempt.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease is not valid any more. Then only the slot of the worker is freed.
    pub(crate) fn end_attempt(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        end: AttemptEnd,
        effects: &mut Effects,
    ) -> Result<()> {
        let leased = self.leased_job(session, lease);
        if let Ok(key) = leased {
            self.end_leased(now, key, end, effects);
        } else {
            let revoked =
                self.sessions.get_mut(session).is_some_and(|session| session.revoked.remove(&lease));
            if revoked {
                self.sessions.free_slot(session);
            }
        }
        self.dispatch_to(now, session, effects);
        leased.map(|_| ())
    }

    fn end_leased(&mut self, now: Now, key: JobKey, end: AttemptEnd, effects: &mut Effects) {
        if self.table[key].is_offered() {
            // The worker returned it before it accepted it: no attempt began.
            if let AttemptEnd::Release(pause) = end
                && pause.is_zero()
            {
                self.leave_session(key, false, effects);
                return self.requeue_offered(now, key, effects);
            }
            self.begin_attempt(now, key, effects);
        }
        self.leave_session(key, false, effects);
        self.apply_attempt_end(now, key, end, effects);
    }

    /// Adds a report of a running attempt to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease is not valid any more; `PayloadTooLarge` for a chunk above the payload limit.
    pub(crate) fn report(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        report: Report,
        effects: &mut Effects,
    ) -> Result<()> {
        let key = self.leased_job(session, lease)?;
        if self.table[key].is_offered() {
            self.begin_attempt(now, key, effects);
        }
        let id = self.table[key].id;
        let (limit, ring_max) = (self.options.payload_bytes_max, self.ring_bytes_max());
        let is_short = ring_max < self.options.event_ring_bytes_max;
        if let Report::Output(output) = &report {
            check_size("output", output.payload.bytes.len(), limit)?;
        }
        let (added, added_max) = (self.added_bytes(), self.added_bytes_max());
        let entry = &mut self.table[key];
        if entry.sequence >= REPORTS_END {
            return Err(too_many_events(id));
        }
        let bytes_before = entry.stream().map_or(0, Stream::bytes) as u64;
        let others = self.live_bytes - bytes_before;
        let bytes_left =
            usize::try_from(added_max.saturating_sub(added - bytes_before)).unwrap_or(usize::MAX);
        entry.sequence += 1;
        let (sequence, attempt, time) = (entry.sequence, entry.attempt(), now.wall);
        let (stream, history) = entry.stream_and_history();
        let body = match report {
            Report::Progress(progress) => {
                let mut progress = progress.bounded();
                if stream.ring_bytes() + progress.text_bytes() > bytes_left {
                    progress = progress.without_texts();
                }
                EventBody::Progress(Arc::new(progress))
            }
            Report::Output(output) => EventBody::Output(output.bounded()),
            Report::Log(log) => EventBody::Log(log.bounded()),
        };
        self.lanes.stats.payloads.event.record(payload_bytes(&body));
        let event = Event { sequence, time, attempt, body };
        stream.add(event.clone(), ring_max, history);
        // A job drops its own oldest output before it uses the capacity of other jobs.
        let has_dropped = stream.shrink_to(bytes_left, history) || (is_short && stream.has_gaps());
        self.live_bytes = others + stream.bytes() as u64;
        effects.record(|| Record::Reported(id, event));
        if has_dropped {
            effects.record(|| Record::Dropped(id, self.table[key].gaps()));
        }
        self.wake(key, effects);
        Ok(())
    }
}
