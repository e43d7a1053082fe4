//! Rate limit of warnings that a peer can cause: at most one of a kind per second.

use std::time::Duration;

use http::Request;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic_types::StatusExt;
use tracing::field::display;

use crate::api::grpc::ConnectionInfo;
use crate::error::Error;
use crate::job::truncate;
use crate::proto::status::to_status;

/// Minimum time between two warnings of a kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);
/// Longest path in a warning, in bytes.
const PATH_BYTES_MAX: usize = 128;

/// Passes one warning per [`WARNING_INTERVAL`] and counts the suppressed ones.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

/// Logs the refusal of a request before it reaches a service.
pub(super) fn log_refusal<B>(warning: &Throttle, error: &Error, request: &Request<B>) {
    let Some(suppressed) = warning.pass() else { return };
    let peer = request.extensions().get::<ConnectionInfo>().map(|connection| display(connection.peer));
    let details = to_status(error, "").get_error_details();
    let reason = details.error_info().map_or("", |info| &*info.reason);
    let (method, mut path) = (request.method().as_str(), request.uri().path().to_owned());
    truncate(&mut path, PATH_BYTES_MAX);
    tracing::warn!(peer, method, path, reason, suppressed, "refused: {error}");
}

impl Throttle {
    /// Returns the number of warnings suppressed since the last one if this warning may be logged, else `None`.
    pub(super) fn pass(&self) -> Option<u64> {
        let (mut state, now) = (self.0.lock(), Instant::now());
        if state.last.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}
