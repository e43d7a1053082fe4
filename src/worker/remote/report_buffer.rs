//! Buffers the reports of one session until the server acknowledges them, and tracks the session's attempts. Reports
//! survive reconnects. [`request`](super::request) builds the request stream from this state.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::client;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{AttemptEnd, AttemptUpdate, Failure, FailureReason, LeaseId, Log, Output, Progress, Report};
use crate::proto::v1;
use crate::worker::report_sink::dropped_lines;
use crate::worker::settled::{self, Settled};

/// Limit for the bytes of unacknowledged progress, output and log lines of a session. When the buffer is full, output
/// waits, and log lines are dropped and counted. Attempt ends are not counted: there is at most one for each slot.
pub(super) const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The end that is sent for an attempt whose lease is lost. The server ignores its contents.
const LOST_LEASE_END: AttemptEnd = AttemptEnd::Cancelled;

/// Unacknowledged reports and attempt state of one session, across reconnects.
pub(in crate::worker) struct ReportBuffer {
    pub(super) state: Mutex<State>,
    /// One permit for each free byte of [`BUFFER_BYTES_MAX`].
    pub(super) free_bytes: Semaphore,
    /// Notified when the last report is acknowledged.
    emptied: Notify,
}

pub(super) struct State {
    /// Unacknowledged reports with consecutive sequence numbers, oldest first.
    pub(super) reports: VecDeque<Entry>,
    /// Sequence number of the first entry of `reports`, or of the next report if `reports` is empty.
    pub(super) first_sequence: u64,
    /// Number of entries of `reports` that were sent on the current stream.
    pub(super) sent: usize,
    /// The running attempts.
    pub(super) attempts: HashMap<LeaseId, Attempt>,
    /// Attempts with progress that has no sequence number yet.
    pub(super) progressed: Vec<LeaseId>,
    /// Attempts whose acceptance was not sent yet.
    pub(super) to_accept: Vec<LeaseId>,
    pub(super) heartbeat_due: bool,
    /// Start of the lease period: the last heartbeat, or the start of a stream without attempts.
    pub(super) leases_renewed_at: Instant,
    /// Most attempts that run at a time.
    slots: u32,
    /// The number of slots that was sent on the current stream.
    pub(super) slots_sent: Option<u32>,
    /// Number of the current stream. Earlier streams end at their next poll.
    pub(super) stream: u64,
    pub(super) phase: Phase,
    /// Waker of the task that polls the current stream.
    pub(super) waker: Option<Waker>,
    limits: ServerLimits,
    /// Whether the session has ended: nothing is acknowledged any more.
    is_closed: bool,
}

/// State of the current request stream.
pub(super) enum Phase {
    /// `Hello` is the next message.
    SendHello(v1::Hello),
    /// `Hello` was sent; nothing is sent before `Welcome` arrives.
    AwaitWelcome,
    /// All messages may be sent.
    Open,
    /// The remaining messages are sent, then the stream ends.
    Closing,
}

pub(super) struct Entry {
    pub(super) lease: LeaseId,
    /// Permits taken from `free_bytes`; 0 for reports that are not counted.
    reserved: u32,
    /// Upper bound of the encoded size.
    pub(super) bytes: usize,
    /// `None` if the report was discarded because its lease is lost. The entry then only holds its sequence number.
    pub(super) update: Option<AttemptUpdate>,
    /// Called when the end of an attempt is acknowledged or refused.
    settled: Settled,
}

#[derive(Default)]
pub(super) struct Attempt {
    /// The newest progress, if it has no sequence number yet.
    pub(super) progress: Option<Progress>,
    /// Number of log lines dropped since the last buffered one.
    dropped: u32,
    /// Whether the server has revoked the lease. Only the end of such an attempt is sent; it frees the slot.
    pub(super) lease_lost: bool,
    /// Whether the server said on this stream that the lease is lost. The attempt is ended as any other.
    is_revoked: bool,
}

/// Limits that the server sends in `Welcome`.
#[derive(Clone, Copy)]
pub(super) struct ServerLimits {
    /// Duration of a lease after a heartbeat that names it.
    pub(super) lease: Duration,
    /// Largest result or chunk of output, in bytes.
    pub(super) payload_bytes_max: usize,
}

/// What the server knows after a reconnect: valid leases, the last processed report, refused ends, and the report up to which
/// other ends may be refused.
#[derive(Default)]
pub(super) struct Resumed {
    pub(super) valid: HashSet<LeaseId>,
    pub(super) acknowledged: u64,
    pub(super) refused: Vec<(u64, client::Error)>,
    pub(super) unknown: u64,
}

impl ReportBuffer {
    pub(super) fn new(slots: u32) -> Self {
        let state = State {
            reports: VecDeque::new(),
            first_sequence: 1,
            sent: 0,
            attempts: HashMap::new(),
            progressed: Vec::new(),
            to_accept: Vec::new(),
            heartbeat_due: false,
            leases_renewed_at: Instant::now(),
            slots,
            slots_sent: None,
            stream: 0,
            phase: Phase::Closing,
            waker: None,
            limits: ServerLimits { lease: Duration::ZERO, payload_bytes_max: usize::MAX },
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            free_bytes: Semaphore::new(BUFFER_BYTES_MAX),
            emptied: Notify::new(),
        }
    }

    /// Buffers progress. It replaces progress of the same attempt that has no sequence number yet.
    pub(in crate::worker) fn progress(&self, lease: LeaseId, progress: Progress) {
        let mut state = self.state.lock();
        let Some(attempt) = state.attempts.get_mut(&lease).filter(|attempt| !attempt.lease_lost) else {
            return;
        };
        if attempt.progress.replace(progress.bounded()).is_none() {
            state.progressed.push(lease);
        }
        wake(state);
    }

    /// Buffers a log line. If the buffer is full, the line is dropped, and a later line has the number of dropped ones.
    pub(in crate::worker) fn log(&self, lease: LeaseId, log: Log) {
        let mut state = self.state.lock();
        let Some(attempt) = state.attempts.get_mut(&lease).filter(|attempt| !attempt.lease_lost) else {
            return;
        };
        let update = AttemptUpdate::Report(Report::Log(log.bounded()));
        let Some(reserved) = self.try_reserve(update.bytes()) else {
            attempt.dropped = attempt.dropped.saturating_add(1);
            return;
        };
        let note = attempt.take_note();
        // Not counted: there is at most one such line for each buffered log line.
        note.into_iter().for_each(|note| state.push(lease, note, 0));
        state.push(lease, update, reserved);
        wake(state);
    }

    /// Buffers a chunk of output. Waits while the buffer is full.
    ///
    /// # Errors
    ///
    /// `PayloadTooLarge` if the chunk exceeds the server's limit, `LeaseLost` if the lease is lost.
    pub(in crate::worker) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        let limit = self.state.lock().limits.payload_bytes_max;
        check_size("output", output.payload.bytes.len(), limit)?;
        let update = AttemptUpdate::Report(Report::Output(output.bounded()));
        let reserved = permits_for(update.bytes());
        // The semaphore is never closed.
        let Ok(permit) = self.free_bytes.acquire_many(reserved).await else { return Err(lease_lost()) };
        let mut state = self.state.lock();
        if state.attempts.get(&lease).is_none_or(|attempt| attempt.lease_lost) {
            return Err(lease_lost());
        }
        permit.forget();
        state.push(lease, update, reserved);
        wake(state);
        Ok(())
    }

    /// Ends a running attempt. The callbacks are called once the server has acknowledged or refused the end; at once if the
    /// lease is lost or the session has ended.
    pub(in crate::worker) fn end(&self, lease: LeaseId, end: AttemptEnd, settled: Settled) {
        let mut state = self.state.lock();
        let mut unsent = Some(settled);
        let mut is_lost = false;
        if let Some(mut attempt) = state.attempts.remove(&lease) {
            let progress =
                attempt.progress.take().map(|progress| AttemptUpdate::Report(Report::Progress(progress)));
            let note = attempt.take_note();
            // Not counted: there is at most one of each for each slot.
            progress.into_iter().chain(note).for_each(|update| state.push(lease, update, 0));
            is_lost = attempt.lease_lost || attempt.is_revoked;
            let settled = unsent.take_if(|_| !is_lost && !state.is_closed).unwrap_or_default();
            state.push_end(lease, if attempt.lease_lost { LOST_LEASE_END } else { end }, settled);
        }
        wake(state);
        if is_lost && let Some(settled) = unsent {
            settled.call(&Err(settled::lease_lost()));
        }
    }

    /// Notes that the lease of an attempt is lost.
    pub(super) fn revoke(&self, lease: LeaseId) {
        if let Some(attempt) = self.state.lock().attempts.get_mut(&lease) {
            attempt.is_revoked = true;
        }
    }

    /// Adds a running attempt and its acceptance. The caller wakes the stream.
    pub(super) fn begin(&self, lease: LeaseId) {
        let mut state = self.state.lock();
        state.attempts.insert(lease, Attempt::default());
        state.to_accept.push(lease);
    }

    /// Buffers the ends of attempts that were never added with [`begin`](Self::begin). The caller wakes the stream.
    pub(super) fn push_ends(&self, ends: Vec<(LeaseId, AttemptEnd)>) {
        let mut state = self.state.lock();
        ends.into_iter().for_each(|(lease, end)| state.push_end(lease, end, Settled::default()));
    }

    /// Requests a heartbeat. The caller wakes the stream.
    pub(super) fn request_heartbeat(&self) {
        self.state.lock().heartbeat_due = true;
    }

    /// Removes the reports up to this sequence number, of which these were refused. The caller wakes the stream.
    pub(super) fn acknowledge(&self, up_to: u64, refusals: Vec<(u64, client::Error)>) {
        let mut state = self.state.lock();
        let refused = state.take_refused(refusals);
        let accepted = self.remove_acknowledged(&mut state, up_to);
        drop(state);
        refused.into_iter().for_each(|(settled, error)| settled.call(&Err(error)));
        accepted.into_iter().for_each(|settled| settled.call(&Ok(())));
    }

    /// Ends the session: what is not acknowledged now never will be.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let unknown: Vec<_> = state.reports.iter_mut().map(|entry| mem::take(&mut entry.settled)).collect();
        drop(state);
        // Their callbacks are called now, without the lock.
        drop(unknown);
    }

    /// Wakes the request stream.
    pub(super) fn wake(&self) {
        wake(self.state.lock());
    }

    /// Sets the largest number of attempts that run at a time.
    pub(super) fn set_slots(&self, slots: u32) {
        let mut state = self.state.lock();
        state.slots = slots;
        wake(state);
    }

    /// Starts a new request stream with this `Hello`, to which it adds slots and held leases. Earlier streams end.
    /// Returns the number of the stream.
    pub(super) fn open_stream(&self, mut hello: v1::Hello) -> u64 {
        let mut state = self.state.lock();
        hello.slots = state.slots;
        hello.held_lease_ids = state.held().into_iter().map(|lease| lease.to_string()).collect();
        state.slots_sent = Some(hello.slots);
        state.sent = 0;
        state.stream += 1;
        state.phase = Phase::SendHello(hello);
        let stream = state.stream;
        wake(state);
        stream
    }

    /// Opens the stream for reports after `Welcome`. Returns the attempts whose leases are not among the `valid` ones.
    pub(super) fn resume(&self, resumed: Resumed, limits: ServerLimits) -> Vec<LeaseId> {
        let Resumed { valid, acknowledged, refused, unknown } = resumed;
        let mut state = self.state.lock();
        state.limits = limits;
        let mut lost = Vec::new();
        for (lease, attempt) in &mut state.attempts {
            if !valid.contains(lease) && !attempt.lease_lost {
                *attempt = Attempt { lease_lost: true, ..Attempt::default() };
                lost.push(*lease);
            }
        }
        let mut not_recorded = state.take_refused(refused);
        let first_sequence = state.first_sequence;
        for (entry, sequence) in state.reports.iter_mut().zip(first_sequence..) {
            let is_valid = valid.contains(&entry.lease);
            if !is_valid {
                entry.discard_contents();
                self.free_bytes.add_permits(mem::take(&mut entry.reserved) as usize);
            }
            let is_resent = is_valid && sequence > acknowledged;
            if is_resent || entry.settled.is_empty() {
                continue;
            }
            let error = (sequence <= unknown).then(settled::unknown);
            let error = error.or_else(|| (sequence > acknowledged).then(settled::lease_lost));
            not_recorded.extend(error.map(|error| (mem::take(&mut entry.settled), error)));
        }
        let accepted = self.remove_acknowledged(&mut state, acknowledged);
        let open = &mut *state;
        open.progressed.retain(|lease| valid.contains(lease));
        open.to_accept = open.running().collect();
        open.heartbeat_due = !open.to_accept.is_empty();
        // The lease period restarts if no attempt runs, or if the leases expired and their attempts were stopped.
        if open.to_accept.is_empty() || Instant::now() >= open.lease_deadline() {
            open.leases_renewed_at = Instant::now();
        }
        open.phase = Phase::Open;
        wake(state);
        not_recorded.into_iter().for_each(|(settled, error)| settled.call(&Err(error)));
        accepted.into_iter().for_each(|settled| settled.call(&Ok(())));
        lost
    }

    /// Ends the current stream after the remaining messages are sent.
    pub(super) fn close_stream(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Closing;
        wake(state);
    }

    /// Ends the current stream at once, without sending the remaining messages. Its connection is broken.
    pub(super) fn abandon_stream(&self) {
        let mut state = self.state.lock();
        state.stream += 1;
        wake(state);
    }

    /// When the leases expire, unless a heartbeat is sent earlier.
    pub(super) fn lease_deadline(&self) -> Instant {
        self.state.lock().lease_deadline()
    }

    /// Returns once every report is acknowledged.
    pub(super) async fn all_acknowledged(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.state.lock().reports.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Reserves buffer space for this many bytes and returns the number of permits taken; `None` if the buffer is full.
    pub(super) fn try_reserve(&self, bytes: usize) -> Option<u32> {
        let reserved = permits_for(bytes);
        let permit = self.free_bytes.try_acquire_many(reserved).ok()?;
        permit.forget();
        Some(reserved)
    }

    /// Removes the reports up to this sequence number. Returns the callbacks to call without the lock.
    fn remove_acknowledged(&self, state: &mut State, up_to: u64) -> Vec<Settled> {
        let mut accepted = Vec::new();
        while let Some(entry) = state.reports.front()
            && (state.first_sequence <= up_to || entry.update.is_none())
        {
            self.free_bytes.add_permits(entry.reserved as usize);
            let settled = state.reports.pop_front().map(|entry| entry.settled);
            accepted.extend(settled.filter(|settled| !settled.is_empty()));
            state.first_sequence += 1;
            state.sent = state.sent.saturating_sub(1);
        }
        if state.reports.is_empty() {
            self.emptied.notify_waiters();
        }
        accepted
    }
}

impl State {
    pub(super) fn push(&mut self, lease: LeaseId, update: AttemptUpdate, reserved: u32) {
        let (bytes, update) = (update.bytes(), Some(update));
        self.reports.push_back(Entry { lease, reserved, bytes, update, settled: Settled::default() });
    }

    fn push_end(&mut self, lease: LeaseId, end: AttemptEnd, settled: Settled) {
        let limit = self.limits.payload_bytes_max;
        let end = match end {
            AttemptEnd::Success(result) => match check_size("result", result.bytes.len(), limit) {
                Ok(()) => AttemptEnd::Success(result),
                Err(error) => {
                    let failure = Failure::new(FailureReason::ResultTooLarge, error.message());
                    AttemptEnd::Failure(failure.permanent(), None)
                }
            },
            AttemptEnd::Failure(failure, retry_after) => AttemptEnd::Failure(failure.bounded(), retry_after),
            other => other,
        };
        let update = AttemptUpdate::End(end);
        let (bytes, update) = (update.bytes(), Some(update));
        self.reports.push_back(Entry { lease, reserved: 0, bytes, update, settled });
    }

    /// Takes the callbacks of refused reports.
    fn take_refused(&mut self, refused: Vec<(u64, client::Error)>) -> Vec<(Settled, client::Error)> {
        let taken = refused.into_iter().filter_map(|(sequence, error)| {
            let index = usize::try_from(sequence.checked_sub(self.first_sequence)?).ok()?;
            Some((mem::take(&mut self.reports.get_mut(index)?.settled), error))
        });
        taken.collect()
    }

    fn lease_deadline(&self) -> Instant {
        self.leases_renewed_at + self.limits.lease
    }

    /// The running attempts whose leases are valid.
    pub(super) fn running(&self) -> impl Iterator<Item = LeaseId> {
        self.attempts.iter().filter(|(_, attempt)| !attempt.lease_lost).map(|(lease, _)| *lease)
    }

    /// The attempts that occupy a slot: all running ones, and ended ones whose end is not acknowledged.
    fn held(&self) -> Vec<LeaseId> {
        let ended = self.reports.iter().filter(|entry| matches!(entry.update, Some(AttemptUpdate::End(_))));
        self.attempts.keys().copied().chain(ended.map(|entry| entry.lease)).collect()
    }

    /// The number of slots, if it changed since it was last sent. The server counts the occupied ones itself.
    pub(super) fn slots_due(&self) -> Option<u32> {
        (self.slots_sent != Some(self.slots)).then_some(self.slots)
    }
}

impl Entry {
    /// Discards a report whose lease is lost. An end is replaced by [`LOST_LEASE_END`], which frees the slot.
    fn discard_contents(&mut self) {
        self.update = self
            .update
            .take()
            .filter(|update| matches!(update, AttemptUpdate::End(_)))
            .map(|_| AttemptUpdate::End(LOST_LEASE_END));
        self.bytes = self.update.as_ref().map_or(0, AttemptUpdate::bytes);
    }
}

impl Attempt {
    /// A log line with the number of dropped lines, if any were; resets the number.
    fn take_note(&mut self) -> Option<AttemptUpdate> {
        let dropped = mem::take(&mut self.dropped);
        (dropped > 0).then(|| AttemptUpdate::Report(Report::Log(dropped_lines(dropped))))
    }
}

/// Wakes the task that polls the stream, after it releases the lock.
fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Permits for this many bytes. A chunk larger than the buffer takes all permits.
fn permits_for(bytes: usize) -> u32 {
    bytes.min(BUFFER_BYTES_MAX) as u32
}

fn check_size(field: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let message =
        format!("{field} is {size} bytes, the limit is {limit}: store it elsewhere and return a reference");
    Err(Error::new(ErrorKind::PayloadTooLarge { field: field.to_owned(), size, limit }, message))
}

fn lease_lost() -> Error {
    Error::new(ErrorKind::LeaseLost, "the lease is lost: stop the attempt and discard its result")
}

#[cfg(test)]
mod tests;
