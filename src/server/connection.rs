//! One connection: HTTP/1.1 and HTTP/2 on one port, its limits and its graceful close. Module `tls` does the handshake.
//!
//! Each connection has two tasks. The HTTP task is polled on every packet and does nothing else. The watchdog sleeps until a
//! deadline or a shutdown, and then ends the HTTP task.

mod call_shape;
mod executor;
#[cfg(feature = "tls")]
mod plain_text;
mod request;
mod request_body;
mod response_body;
#[cfg(feature = "tls")]
mod tls;
mod watchdog;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;

use crate::api::grpc::{ClientCertificate, ConnectionInfo};

use super::budget::ConnectionBudget;
use super::connection_thread::ThreadState;
use super::limits::ListenerLimits;
use super::registry::{Activity, ConnectionPermit};
use executor::StreamExecutor;
use request::RequestService;
use watchdog::Watchdog;

/// Length of the HTTP/2 preface, in bytes. No useful HTTP/1 request is shorter.
const PREFACE_BYTES: usize = 24;

/// Largest window HTTP/2 can express, in bytes.
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// All connection windows together may take this fraction of `connections_bytes_max`: an eighth.
const WINDOWS_SHARE: usize = 8;

/// Read buffer of an HTTP/1 connection, in bytes. It also bounds the head of a request.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// State shared by the HTTP task, its requests and the watchdog of one connection.
#[derive(Debug)]
struct Shared {
    /// Without the client certificate, see [`Shared::info`].
    info: ConnectionInfo,
    /// Set after the handshake.
    client_certificate: OnceLock<Arc<ClientCertificate>>,
    /// Whether the peer has sent [`PREFACE_BYTES`] or a request. The watchdog closes other connections.
    preface_received: AtomicBool,
    activity: Arc<Activity>,
    budget: Arc<ConnectionBudget>,
    /// Longest time for the body of a unary request.
    request_timeout: Duration,
}

impl Shared {
    /// The extension of a request.
    fn info(&self) -> ConnectionInfo {
        let client_certificate = self.client_certificate.get().cloned();
        ConnectionInfo { client_certificate, ..self.info.clone() }
    }

    fn mark_preface_received(&self) {
        self.preface_received.store(true, Relaxed);
    }
}

/// The HTTP/2 window of a new connection while `open` connections are open: its share of [`WINDOWS_SHARE`].
fn window_bytes(limits: &ListenerLimits, open: usize) -> u32 {
    let share = limits.connections_bytes_max / WINDOWS_SHARE / open.max(1);
    let window = u32::try_from(share).unwrap_or(u32::MAX).max(2 * limits.stream_window_bytes);
    window.min(limits.connection_window_bytes).min(WINDOW_BYTES_MAX)
}

/// The HTTP settings of a connection.
fn builder(limits: &ListenerLimits, window_bytes: u32) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor);
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

/// Spawns the two tasks of a connection on the current runtime.
pub(super) fn spawn(
    thread: &Arc<ThreadState>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
) {
    // Without a local address the connection is already closed, which its first read reports.
    let local = stream.local_addr().unwrap_or(peer);
    let shared = Arc::new(Shared {
        info: ConnectionInfo { peer, local, closing: CancellationToken::new(), client_certificate: None },
        client_certificate: OnceLock::new(),
        preface_received: AtomicBool::new(false),
        activity: permit.activity().clone(),
        budget: ConnectionBudget::new(&thread.budgets, permit.activity().clone()),
        request_timeout: thread.limits.request_body_timeout,
    });
    let (go_away, go_away_requested) = oneshot::channel();
    let http_task = spawn_http(thread.clone(), stream, shared.clone(), go_away_requested);
    let watchdog = Watchdog::new(thread, shared, permit, http_task, go_away);
    thread.connections.spawn(watchdog.run());
}

/// Spawns the task that serves the requests, over TLS if it is configured.
fn spawn_http(
    thread: Arc<ThreadState>,
    stream: TcpStream,
    shared: Arc<Shared>,
    go_away_requested: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    #[cfg(feature = "tls")]
    if let Some(tls) = thread.tls.clone() {
        return tokio::spawn(tls::serve(tls, thread, stream, shared, go_away_requested));
    }
    tokio::spawn(serve_http(thread, stream, shared, go_away_requested))
}

/// Serves requests until the peer closes the connection. Sends GOAWAY first when the watchdog requests it.
async fn serve_http(
    thread: Arc<ThreadState>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    go_away_requested: oneshot::Receiver<()>,
) {
    let peer = shared.info.peer;
    let io = TokioIo::new(detect_preface(stream, shared.clone()));
    let builder = builder(&thread.limits, window_bytes(&thread.limits, thread.registry.open()));
    let service = TowerToHyperService::new(RequestService::new(thread.stack.clone(), shared));
    let mut connection = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // An error means that the watchdog has ended; the connection is closed as well.
        _ = go_away_requested => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "the connection failed");
    }
}

/// Marks the connection once the peer has sent [`PREFACE_BYTES`].
fn detect_preface<S: AsyncRead>(stream: S, shared: Arc<Shared>) -> InspectReader<S, impl FnMut(&[u8])> {
    let mut missing = PREFACE_BYTES;
    InspectReader::new(stream, move |received| {
        if missing > 0 {
            missing = missing.saturating_sub(received.len());
            if missing == 0 {
                shared.mark_preface_received();
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_windows_shrink_to_two_stream_windows_as_connections_open() {
        let limits = ListenerLimits::default();
        let windows = [0, 16, 64, 512, 10_000].map(|open| window_bytes(&limits, open));
        assert_eq!(windows, [8 << 20, 8 << 20, 2 << 20, 512 << 10, 512 << 10]);
    }
}
