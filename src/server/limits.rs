//! The bounds of the listener, all in one place, each with its unit and default.
//!
//! They are only written down here; `connection` and `listener` enforce them.

use std::time::Duration;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

const MAX_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS_PER_ADDRESS: usize = MAX_CONNECTIONS / 4;
const MAX_CONCURRENT_STREAMS: u32 = 1_024;
const MAX_HEADER_LIST_BYTES: u32 = 8 * KIB;
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
const HTTP1_HEADER_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_AGE: Duration = Duration::from_secs(30 * 60);
const CONNECTION_AGE_GRACE: Duration = Duration::from_secs(5 * 60);
const DRAIN_GRACE: Duration = Duration::from_secs(5);
const CLOSING_LINGER: Duration = Duration::from_secs(5);
const STREAM_WINDOW_BYTES: u32 = 256 * KIB;
const CONNECTION_WINDOW_BYTES: u32 = 8 * MIB;
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
const MAX_PENDING_ACCEPT_RESETS: usize = 64;
const MAX_LOCAL_ERROR_RESETS: usize = 1_024;
const CONNECTION_BYTES_MAX: usize = 64 << 20;
const CONNECTIONS_BYTES_MAX: usize = 1 << 30;
const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(60);
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What one listener grants its peers.
///
/// [`Default`] holds values fit for a public port. At those, one connection holds `connection_bytes_max` of messages and
/// one message more, and beside it what HTTP/2 has received and nobody reads yet, at most `connection_window_bytes`.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections open at once, fewer where the limit of descriptors leaves no more. One more takes the place of the one
    /// that has been idle for longest; it is closed at once if none is idle. 10,000.
    pub max_connections: usize,
    /// Connections open at once from one address, or one IPv6 network of 64 bits; no bound if unset. One more takes the
    /// place of the one of that address that has been idle for longest; it is closed at once if none is idle. A quarter of
    /// 10,000: a proxy or a site behind one address seldom needs more, and it takes several addresses to fill a server.
    pub max_connections_per_address: Option<usize>,
    /// Time without an open request after which a connection is told to go away and closed, even if it answers PINGs.
    /// 5 min.
    pub idle_timeout: Duration,
    /// Requests open at once on one connection; one more is refused and may be retried. 1,024.
    pub max_concurrent_streams: u32,
    /// Bytes of one request's HTTP/2 headers; larger ones are answered with status 431. 8 KiB.
    pub max_header_list_bytes: u32,
    /// Time from accepting a connection to its 24th byte or first request. 5 s.
    pub preface_timeout: Duration,
    /// Time for an HTTP/1 client to send a request's head, which also bounds an idle connection. 15 s.
    pub http1_header_timeout: Duration,
    /// Time between the HTTP/2 PINGs that find dead peers. 30 s.
    pub keepalive_interval: Duration,
    /// Time to answer such a PING. 10 s.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is told to go away, so that balancers can spread clients anew; each
    /// connection varies it by up to 10 % either way. 30 min.
    pub connection_age: Duration,
    /// Time from that GOAWAY until [`ConnectionInfo::closing`](super::ConnectionInfo::closing) fires. 5 min.
    pub connection_age_grace: Duration,
    /// Time from a drain's GOAWAY until `closing` fires. 5 s.
    pub drain_grace: Duration,
    /// Time from `closing` until the connection is cut, whatever is still open on it. 5 s.
    pub closing_linger: Duration,
    /// Unread request bytes a stream may have in flight. 256 KiB.
    pub stream_window_bytes: u32,
    /// Unread request bytes a connection may have in flight. 8 MiB, less beside more than 16 others: an eighth of
    /// `connections_bytes_max` divided by the open connections, but no less than two windows of a stream.
    ///
    /// Also sets the budget for DATA frames below 256 bytes, which is half of it: workers send many.
    pub connection_window_bytes: u32,
    /// Response bytes buffered for a stream whose peer does not read. 64 KiB.
    pub max_send_buffer_bytes: usize,
    /// Bytes that one connection may hold of requests that are not whole and of answers that are not read. At it, reading
    /// and answering wait, and the stream that has been stalled for longest, at least 1 s, is ended. It may be exceeded by
    /// one message. 64 MiB.
    pub connection_bytes_max: usize,
    /// The same for all connections together, with 5,200 bytes for each open stream. When the streams alone use it up, new
    /// calls are refused with RESOURCE_EXHAUSTED. 1 GiB.
    pub connections_bytes_max: usize,
    /// Time for the body of a unary request to come in whole, from when it is waited for; then the call ends with
    /// DEADLINE_EXCEEDED. 60 s.
    pub request_body_timeout: Duration,
    /// Requests a peer may have reset before the server saw them; then the connection is cut. 64.
    pub max_pending_accept_resets: usize,
    /// Malformed requests a connection may cause; then it is cut. 1,024.
    pub max_local_error_resets: usize,
    /// Time sent bytes may stay unacknowledged before the kernel gives the peer up (Linux). 20 s.
    pub tcp_user_timeout: Duration,
    /// Idle time before the kernel probes a peer, whatever its protocol. 60 s.
    pub tcp_keepalive: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: Some(MAX_CONNECTIONS_PER_ADDRESS),
            idle_timeout: IDLE_TIMEOUT,
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            max_header_list_bytes: MAX_HEADER_LIST_BYTES,
            preface_timeout: PREFACE_TIMEOUT,
            http1_header_timeout: HTTP1_HEADER_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            connection_age: CONNECTION_AGE,
            connection_age_grace: CONNECTION_AGE_GRACE,
            drain_grace: DRAIN_GRACE,
            closing_linger: CLOSING_LINGER,
            stream_window_bytes: STREAM_WINDOW_BYTES,
            connection_window_bytes: CONNECTION_WINDOW_BYTES,
            max_send_buffer_bytes: MAX_SEND_BUFFER_BYTES,
            max_pending_accept_resets: MAX_PENDING_ACCEPT_RESETS,
            max_local_error_resets: MAX_LOCAL_ERROR_RESETS,
            connection_bytes_max: CONNECTION_BYTES_MAX,
            connections_bytes_max: CONNECTIONS_BYTES_MAX,
            request_body_timeout: REQUEST_BODY_TIMEOUT,
            tcp_user_timeout: TCP_USER_TIMEOUT,
            tcp_keepalive: TCP_KEEPALIVE,
        }
    }
}
