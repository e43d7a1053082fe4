//! The request stream of a session. Each poll returns one message with everything that is due in the report buffer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tokio_stream::Stream;

use super::convert;
use super::report_buffer::{Phase, ReportBuffer, State};
use crate::job::{AttemptUpdate, LeaseId, Report};
use crate::proto::v1;

/// Limit for the bytes of reports in one message. A larger report is sent in a message of its own.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most leases accepted in one message, about 1 MiB of lease ids. A heartbeat with more leases is sent in a message of
/// its own. Together with the reports, a message stays below the 4 MiB that servers read.
const LEASES_MAX: usize = 30_000;
/// Most leases in a heartbeat: servers reject more. Other leases are renewed by the report that ends their attempt.
const HEARTBEAT_LEASES_MAX: usize = 100_000;

/// The request stream of one connection.
pub(super) struct Requests {
    buffer: Arc<ReportBuffer>,
    stream: u64,
}

impl Requests {
    /// The buffer's stream with this number. It ends when a later one starts.
    pub(super) fn new(buffer: Arc<ReportBuffer>, stream: u64) -> Self {
        Self { buffer, stream }
    }
}

impl Stream for Requests {
    type Item = v1::WorkRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<v1::WorkRequest>> {
        let mut state = self.buffer.state.lock();
        if state.stream != self.stream {
            return Poll::Ready(None);
        }
        let request = match &mut state.phase {
            Phase::SendHello(hello) => {
                let hello = Some(std::mem::take(hello));
                state.phase = Phase::AwaitWelcome;
                Some(v1::WorkRequest { hello, ..v1::WorkRequest::default() })
            }
            Phase::AwaitWelcome => None,
            Phase::Open | Phase::Closing => request(&self.buffer, &mut state),
        };
        if request.is_some() || matches!(state.phase, Phase::Closing) {
            return Poll::Ready(request);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// One message with everything that is due; `None` if nothing is.
fn request(buffer: &ReportBuffer, state: &mut State) -> Option<v1::WorkRequest> {
    let slots = state.slots_due();
    state.slots_sent = slots.or(state.slots_sent);
    let heartbeat = std::mem::take(&mut state.heartbeat_due).then(|| heartbeat(state));
    if heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.lease_ids.len() > LEASES_MAX) {
        return Some(v1::WorkRequest { slots, heartbeat, ..v1::WorkRequest::default() });
    }
    // Ended attempts are left out: the report of their end also accepts them.
    let later = state.to_accept.split_off(state.to_accept.len().min(LEASES_MAX));
    let to_accept = std::mem::replace(&mut state.to_accept, later).into_iter();
    let to_accept =
        to_accept.filter(|lease| state.attempts.get(lease).is_some_and(|attempt| !attempt.lease_lost));
    let accepted_lease_ids: Vec<_> = to_accept.map(|lease| lease.to_string()).collect();
    number_progress(buffer, state);
    let reports = reports(state);
    let is_empty = slots.is_none()
        && heartbeat.is_none()
        && accepted_lease_ids.is_empty()
        && state.to_accept.is_empty()
        && reports.is_empty();
    (!is_empty).then_some(v1::WorkRequest { hello: None, slots, heartbeat, accepted_lease_ids, reports })
}

/// A heartbeat that names the running attempts and the ended ones whose end was not sent.
fn heartbeat(state: &mut State) -> v1::WorkerHeartbeat {
    state.leases_renewed_at = Instant::now();
    let is_end = |update: &Option<AttemptUpdate>| matches!(update, Some(AttemptUpdate::End(_)));
    let unsent = state.reports.iter().skip(state.sent).filter(|entry| is_end(&entry.update));
    let leases = state.running().chain(unsent.map(|entry| entry.lease)).take(HEARTBEAT_LEASES_MAX);
    v1::WorkerHeartbeat { lease_ids: leases.map(|lease: LeaseId| lease.to_string()).collect() }
}

/// Turns the newest progress of each attempt into a numbered report while the buffer has space.
fn number_progress(buffer: &ReportBuffer, state: &mut State) {
    let progressed = std::mem::take(&mut state.progressed);
    for lease in progressed {
        let Some(progress) = state.attempts.get_mut(&lease).and_then(|attempt| attempt.progress.take())
        else {
            continue;
        };
        let bytes = AttemptUpdate::Report(Report::Progress(progress.clone())).bytes();
        match buffer.try_reserve(bytes) {
            Some(reserved) => state.push(lease, AttemptUpdate::Report(Report::Progress(progress)), reserved),
            None => {
                if let Some(attempt) = state.attempts.get_mut(&lease) {
                    attempt.progress = Some(progress);
                }
                state.progressed.push(lease);
            }
        }
    }
}

/// The next unsent reports that fit into one message.
fn reports(state: &mut State) -> Vec<v1::AttemptReport> {
    let mut reports = Vec::new();
    let mut bytes = 0;
    while let Some(entry) = state.reports.get(state.sent) {
        if let Some(update) = &entry.update {
            bytes += entry.bytes;
            if !reports.is_empty() && bytes > REQUEST_BYTES_MAX {
                break;
            }
            reports.push(convert::report(entry.lease, state.first_sequence + state.sent as u64, update));
        }
        state.sent += 1;
    }
    reports
}
