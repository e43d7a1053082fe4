//! What a request carries beside its message: its connection and its deadline, put there by the server.

use std::net::SocketAddr;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The connection a request came in on, found in the request's extensions.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Address of the other end.
    pub peer: SocketAddr,
    /// Address of this end.
    pub local: SocketAddr,
    /// Fires when the connection is about to be cut for age or shutdown.
    ///
    /// A stream that sees it should end itself with an error that tells the client to resume elsewhere; it has the
    /// listener's `closing_linger` to do so.
    pub closing: CancellationToken,
}

/// Bounds of the listener, as the API tells them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionLimits {
    /// Bytes of one connection.
    pub(crate) bytes_max: usize,
    /// Bytes of all connections.
    pub(crate) all_bytes_max: usize,
    pub(crate) max: usize,
    pub(crate) per_address_max: Option<usize>,
}

/// When the caller of a request stops waiting. A request without one has no deadline.
///
/// A handler that waits should answer shortly before it: past it the caller gets DEADLINE_EXCEEDED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(
    /// The instant, on the clock of the runtime that serves the call.
    pub Instant,
);
