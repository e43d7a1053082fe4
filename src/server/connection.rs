//! One connection: HTTP/1.1 and HTTP/2 on one port, within the limits, up to its orderly end.
//!
//! Two tasks each: the conversation, which is polled on every packet and so carries nothing else, and its
//! guardian, which sleeps until a deadline or a shutdown and then ends the conversation.

mod executor;
mod guardian;
mod hearing;
mod incoming;
mod request;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::rpc::ConnectionInfo;

use super::budget::ConnectionBudget;
use super::edge::Edge;
use super::limits::ListenerLimits;
use super::tally::{Activity, Seat};
use executor::StreamExecutor;
use guardian::Guardian;
use hearing::Hearing;
use request::RequestService;

/// Largest window HTTP/2 can express, in bytes.
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// A connection's window is this part of what all connections may hold, divided by their number when it opens.
const WINDOWS_SHARE: usize = 8;

/// Read buffer of an HTTP/1 connection, which also bounds a request's head, in bytes.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// What a conversation, its requests and its guardian share.
#[derive(Debug)]
struct Shared {
    info: ConnectionInfo,
    /// Whether the peer has shown that it speaks HTTP.
    heard: AtomicBool,
    activity: Arc<Activity>,
    budget: Arc<ConnectionBudget>,
    /// Longest time for the body of a unary request.
    request_timeout: Duration,
}

impl Shared {
    fn mark_heard(&self) {
        self.heard.store(true, Relaxed);
    }
}

/// The window of a connection beside which so many are open: together they take a part of what all may hold.
fn window_bytes(limits: &ListenerLimits, open: usize) -> u32 {
    let share = limits.connections_bytes_max / WINDOWS_SHARE / open.max(1);
    let window = u32::try_from(share).unwrap_or(u32::MAX).max(2 * limits.stream_window_bytes);
    window.min(limits.connection_window_bytes).min(WINDOW_BYTES_MAX)
}

/// The protocol settings of a connection.
fn builder(
    limits: &ListenerLimits,
    window_bytes: u32,
    executor: StreamExecutor,
) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http1_header_timeout)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_list_bytes)
        .initial_stream_window_size(limits.stream_window_bytes.min(WINDOW_BYTES_MAX))
        .initial_connection_window_size(window_bytes)
        .max_send_buf_size(limits.max_send_buffer_bytes)
        .max_pending_accept_reset_streams(limits.max_pending_accept_resets)
        .max_local_error_reset_streams(limits.max_local_error_resets);
    builder
}

/// Starts to serve the stream on the current runtime.
pub(super) fn spawn(edge: &Arc<Edge>, stream: TcpStream, peer: SocketAddr, seat: Seat) {
    // Without one the connection is gone, as its first read will show.
    let local = stream.local_addr().unwrap_or(peer);
    let shared = Arc::new(Shared {
        info: ConnectionInfo { peer, local, closing: CancellationToken::new() },
        heard: AtomicBool::new(false),
        activity: seat.activity().clone(),
        budget: ConnectionBudget::new(&edge.budgets, seat.activity().clone()),
        request_timeout: edge.limits.request_body_timeout,
    });
    let (go_away, told) = oneshot::channel();
    let conversation = tokio::spawn(converse(edge.clone(), stream, shared.clone(), told));
    let guardian =
        Guardian::new(edge.limits.clone(), edge.lifecycle.clone(), shared, seat, conversation, go_away);
    edge.connections.spawn(guardian.run());
}

/// Answers requests until the peer is done, or says goodbye first when told to.
async fn converse(edge: Arc<Edge>, stream: TcpStream, shared: Arc<Shared>, told: oneshot::Receiver<()>) {
    let peer = shared.info.peer;
    let io = TokioIo::new(Hearing::new(stream, shared.clone()));
    let window_bytes = window_bytes(&edge.limits, edge.tally.open());
    let builder = builder(&edge.limits, window_bytes, StreamExecutor { budget: shared.budget.clone() });
    let service = TowerToHyperService::new(RequestService::new(edge.stack.clone(), shared));
    let mut connection = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // An error means that the guardian is gone, which calls for the same.
        _ = told => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "the connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_shrink_with_the_number_of_connections_to_no_less_than_two_streams_have() {
        let limits = ListenerLimits::default();
        let windows = [0, 16, 64, 512, 10_000].map(|open| window_bytes(&limits, open));
        assert_eq!(windows, [8 << 20, 8 << 20, 2 << 20, 512 << 10, 512 << 10]);
    }
}
