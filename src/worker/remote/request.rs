//! The stream of requests: whenever it is asked, one message of everything there is to tell.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tokio_stream::Stream;

use super::ledger::{Ledger, Phase, State};
use super::wire;
use crate::job::{AttemptUpdate, LeaseId, Report};
use crate::proto::v1;

/// Bytes after which a message takes no further report. A larger report goes alone.
const REQUEST_BYTES: usize = 1 << 20;
/// Leases that are accepted in one message, at most, and above which a heartbeat goes alone: 1 MiB of lease ids. With the
/// reports beside them a message stays below the 4 MiB that servers read.
const LEASES_MAX: usize = 30_000;
/// Leases that a heartbeat names, at most: servers refuse more. Those left out are renewed by the report that ends them.
const HEARTBEAT_LEASES_MAX: usize = 100_000;

/// The requests of one connection.
pub(super) struct Requests {
    ledger: Arc<Ledger>,
    stream: u64,
}

impl Requests {
    /// Those of the ledger's stream of this number; they end when a later one begins.
    pub(super) fn new(ledger: Arc<Ledger>, stream: u64) -> Self {
        Self { ledger, stream }
    }
}

impl Stream for Requests {
    type Item = v1::WorkRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<v1::WorkRequest>> {
        let mut state = self.ledger.state.lock();
        if state.stream != self.stream {
            return Poll::Ready(None);
        }
        let request = match &mut state.phase {
            Phase::Greeting(hello) => {
                let hello = Some(std::mem::take(hello));
                state.phase = Phase::Greeted;
                Some(v1::WorkRequest { hello, ..v1::WorkRequest::default() })
            }
            Phase::Greeted => None,
            Phase::Open | Phase::Ending => request(&self.ledger, &mut state),
        };
        if request.is_some() || matches!(state.phase, Phase::Ending) {
            return Poll::Ready(request);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// One message of what there is to tell; `None` if there is nothing.
fn request(ledger: &Ledger, state: &mut State) -> Option<v1::WorkRequest> {
    let slots = state.slots_due();
    state.slots_told = slots.or(state.slots_told);
    let heartbeat = std::mem::take(&mut state.heartbeat_due).then(|| heartbeat(state));
    if heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.lease_ids.len() > LEASES_MAX) {
        return Some(v1::WorkRequest { slots, heartbeat, ..v1::WorkRequest::default() });
    }
    // What has ended since is accepted by its report.
    let later = state.accepts.split_off(state.accepts.len().min(LEASES_MAX));
    let accepts = std::mem::replace(&mut state.accepts, later).into_iter();
    let accepts = accepts.filter(|lease| state.attempts.get(lease).is_some_and(|attempt| !attempt.is_void));
    let accepted_lease_ids: Vec<_> = accepts.map(|lease| lease.to_string()).collect();
    number_progress(ledger, state);
    let reports = reports(state);
    let is_empty = slots.is_none()
        && heartbeat.is_none()
        && accepted_lease_ids.is_empty()
        && state.accepts.is_empty()
        && reports.is_empty();
    (!is_empty).then_some(v1::WorkRequest { hello: None, slots, heartbeat, accepted_lease_ids, reports })
}

/// Names what runs, and what has ended without the server having been told.
fn heartbeat(state: &mut State) -> v1::WorkerHeartbeat {
    state.renewed = Instant::now();
    let is_end = |news: &Option<AttemptUpdate>| matches!(news, Some(AttemptUpdate::End(_)));
    let unsent = state.reports.iter().skip(state.sent).filter(|entry| is_end(&entry.news));
    let leases = state.running().chain(unsent.map(|entry| entry.lease)).take(HEARTBEAT_LEASES_MAX);
    v1::WorkerHeartbeat { lease_ids: leases.map(|lease: LeaseId| lease.to_string()).collect() }
}

/// Makes reports of the newest progress of each attempt, while there is room.
fn number_progress(ledger: &Ledger, state: &mut State) {
    let progressed = std::mem::take(&mut state.progressed);
    for lease in progressed {
        let Some(progress) = state.attempts.get_mut(&lease).and_then(|attempt| attempt.progress.take())
        else {
            continue;
        };
        let bytes = AttemptUpdate::Report(Report::Progress(progress.clone())).bytes();
        match ledger.try_take(bytes) {
            Some(room) => state.push(lease, AttemptUpdate::Report(Report::Progress(progress)), room),
            None => {
                if let Some(attempt) = state.attempts.get_mut(&lease) {
                    attempt.progress = Some(progress);
                }
                state.progressed.push(lease);
            }
        }
    }
}

/// The next reports that fit one message.
fn reports(state: &mut State) -> Vec<v1::AttemptReport> {
    let mut reports = Vec::new();
    let mut bytes = 0;
    while let Some(entry) = state.reports.get(state.sent) {
        if let Some(news) = &entry.news {
            bytes += entry.bytes;
            if !reports.is_empty() && bytes > REQUEST_BYTES {
                break;
            }
            reports.push(wire::report(entry.lease, state.first + state.sent as u64, news));
        }
        state.sent += 1;
    }
    reports
}
