//! What workers say of the attempts they run: reports and ends, by the lease that permits them.

use std::sync::Arc;

use super::effects::Effects;
use super::history::{RingItem, Stream};
use super::keys::{JobKey, SessionKey};
use super::record::Record;
use super::refusals::{REPORTS_END, check_size, too_many_events};
use super::state::Core;
use crate::clock::Now;
use crate::error::Result;
use crate::job::{AttemptEnd, Event, EventBody, LeaseId, Report};

impl Core {
    /// Ends an attempt as its worker says.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease no longer stands: nothing changed but that the worker's slot is free.
    pub(crate) fn end_attempt(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        end: AttemptEnd,
        effects: &mut Effects,
    ) -> Result<()> {
        let held = self.held(session, lease);
        if let Ok(key) = held {
            self.end_held(now, key, end, effects);
        } else {
            let revoked =
                self.sessions.get_mut(session).is_some_and(|session| session.revoked.remove(&lease));
            if revoked {
                self.sessions.free_slot(session);
            }
        }
        self.dispatch_to(now, session, effects);
        held.map(|_| ())
    }

    fn end_held(&mut self, now: Now, key: JobKey, end: AttemptEnd, effects: &mut Effects) {
        if self.table[key].is_offered() {
            // Given back unopened: the attempt never began.
            if let AttemptEnd::Release(pause) = end
                && pause.is_zero()
            {
                self.leave_session(key, false, effects);
                return self.take_back(now, key, effects);
            }
            self.begin(now, key, effects);
        }
        self.leave_session(key, false, effects);
        self.settle(now, key, end, effects);
    }

    /// Adds what a running attempt reports to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease no longer stands; `PayloadTooLarge` for a chunk beyond the payload limit.
    pub(crate) fn report(
        &mut self,
        now: Now,
        session: SessionKey,
        lease: LeaseId,
        report: Report,
        effects: &mut Effects,
    ) -> Result<()> {
        let key = self.held(session, lease)?;
        if self.table[key].is_offered() {
            self.begin(now, key, effects);
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
                let progress = Arc::new(progress);
                stream.set_progress(sequence, attempt, time, progress.clone());
                EventBody::Progress(progress)
            }
            Report::Output(output) => {
                let output = output.bounded();
                stream.push(sequence, attempt, time, RingItem::Output(output.clone()), ring_max, history);
                EventBody::Output(output)
            }
            Report::Log(log) => {
                let log = log.bounded();
                stream.push(sequence, attempt, time, RingItem::Log(log.clone()), ring_max, history);
                EventBody::Log(log)
            }
        };
        // The oldest output of a job goes before it takes what other jobs need.
        let has_dropped = stream.shrink_to(bytes_left, history) || (is_short && stream.has_dropped());
        self.live_bytes = others + stream.bytes() as u64;
        effects.record(|| Record::Reported(id, Event { sequence, time, attempt, body }));
        self.record_dropped(key, has_dropped, effects);
        self.wake(key, effects);
        Ok(())
    }

    /// Records what fell out of the job's events, if something did for want of memory.
    fn record_dropped(&self, key: JobKey, has_dropped: bool, effects: &mut Effects) {
        if has_dropped {
            effects.record(|| Record::Dropped(self.table[key].id, self.table[key].dropped()));
        }
    }
}
