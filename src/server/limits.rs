//! The limits of the listener, each with its unit and default.
//!
//! Modules `connection` and `listener` enforce them.

use std::time::Duration;

/// The limits of one listener.
///
/// The defaults are safe for a public port. With them, one connection uses at most `connection_bytes_max`, one more message,
/// and `connection_window_bytes` of received bytes that no service has read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// Most open connections; the descriptor limit may reduce it. A connection above the limit evicts the longest idle one,
    /// and is closed at once if none is idle. Default 10,000.
    pub max_connections: usize,
    /// Most open connections from one address or one IPv6 /64 network; unlimited if unset. A connection above the limit
    /// evicts the longest idle one of that address, and is closed at once if none is idle. Default 2,500, a quarter of
    /// `max_connections`: enough for most proxies, and one address cannot use up all connections.
    pub max_connections_per_address: Option<usize>,
    /// A connection without an open request for this time is closed with a GOAWAY, even if it answers PINGs. Default 5 min.
    pub idle_timeout: Duration,
    /// Most open requests on one connection. A request above the limit is refused and may be retried. Default 1,024.
    pub max_concurrent_streams: u32,
    /// Most bytes of the HTTP/2 headers of one request. Larger headers get HTTP status 431. Default 8 KiB.
    pub max_header_list_bytes: u32,
    /// Longest time for a TLS handshake. Default 5 s.
    pub tls_handshake_timeout: Duration,
    /// Most TLS handshakes at a time. One above the limit ends the oldest. With little memory it is smaller: an eighth of
    /// `connections_bytes_max` divided by 64 KiB. Default 1,024.
    pub max_tls_handshakes: usize,
    /// Longest time from the accept of a connection to its 24th byte or first request. With TLS,
    /// [`tls_handshake_timeout`](Self::tls_handshake_timeout) is added. Default 5 s.
    pub preface_timeout: Duration,
    /// Longest time for the head of an HTTP/1 request. It also bounds idle HTTP/1 connections. Default 15 s.
    pub http1_header_timeout: Duration,
    /// Interval of the HTTP/2 PINGs that detect dead peers. Default 30 s.
    pub keepalive_interval: Duration,
    /// Longest time for the reply to a PING. Default 10 s.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is closed with a GOAWAY, so that load balancers can redistribute clients. Each connection
    /// varies it by up to 10 %. Default 30 min.
    pub connection_age: Duration,
    /// Time from that GOAWAY until [`ConnectionInfo::closing`](super::ConnectionInfo::closing) fires. Default 5 min.
    pub connection_age_grace: Duration,
    /// Time from a drain's GOAWAY until `closing` fires. Default 5 s.
    pub drain_grace: Duration,
    /// Time from `closing` until the connection is aborted, even with open requests. Default 5 s.
    pub closing_linger: Duration,
    /// HTTP/2 window of a stream, in bytes. Default 256 KiB.
    pub stream_window_bytes: u32,
    /// HTTP/2 window of a connection, in bytes. Default 8 MiB. With more than 16 open connections it is smaller: an eighth of
    /// `connections_bytes_max` divided by their number, and at least two stream windows.
    ///
    /// Half of it is the budget for DATA frames below 256 bytes, of which workers send many.
    pub connection_window_bytes: u32,
    /// Most response bytes buffered for a stream whose peer does not read. Default 64 KiB.
    pub max_send_buffer_bytes: usize,
    /// Most bytes of incomplete requests and unread responses on one connection. At the limit, reading and writing wait, and
    /// the longest stalled stream is aborted once it has stalled for 1 s. One message may exceed the limit. Default 64 MiB.
    pub connection_bytes_max: usize,
    /// The same limit for all connections together, plus 5,200 bytes for each open stream. When open streams alone use it
    /// up, new calls get RESOURCE_EXHAUSTED. Default 1 GiB.
    pub connections_bytes_max: usize,
    /// Longest time for the complete body of a unary request; then the call ends with DEADLINE_EXCEEDED. Default 60 s.
    pub request_body_timeout: Duration,
    /// Most requests that a peer may reset before the server has accepted them; then the connection is closed. Default 64.
    pub max_pending_accept_resets: usize,
    /// Most malformed requests of a connection; then it is closed. Default 1,024.
    pub max_local_error_resets: usize,
    /// Longest time for which sent bytes may stay unacknowledged; then the kernel closes the connection (Linux only).
    /// Default 20 s.
    pub tcp_user_timeout: Duration,
    /// Idle time before the first TCP keepalive probe. Default 60 s.
    pub tcp_keepalive: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: Some(2_500),
            idle_timeout: Duration::from_secs(5 * 60),
            max_concurrent_streams: 1_024,
            max_header_list_bytes: 8 << 10,
            tls_handshake_timeout: Duration::from_secs(5),
            max_tls_handshakes: 1_024,
            preface_timeout: Duration::from_secs(5),
            http1_header_timeout: Duration::from_secs(15),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            connection_age: Duration::from_secs(30 * 60),
            connection_age_grace: Duration::from_secs(5 * 60),
            drain_grace: Duration::from_secs(5),
            closing_linger: Duration::from_secs(5),
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 8 << 20,
            max_send_buffer_bytes: 64 << 10,
            max_pending_accept_resets: 64,
            max_local_error_resets: 1_024,
            connection_bytes_max: 64 << 20,
            connections_bytes_max: 1 << 30,
            request_body_timeout: Duration::from_secs(60),
            tcp_user_timeout: Duration::from_secs(20),
            tcp_keepalive: Duration::from_secs(60),
        }
    }
}
