//! What a request carries beside its message: its connection and its deadline, put there by the server.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::Caller;

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

impl ConnectionInfo {
    /// The connection as a caller whose jobs are counted: no two have the same peer at the same time.
    pub(crate) fn caller(&self) -> Caller {
        let mut hasher = DefaultHasher::new();
        self.peer.hash(&mut hasher);
        Caller::numbered(hasher.finish())
    }
}

/// Whose jobs the request of these extensions brings.
pub(super) fn caller(extensions: &http::Extensions) -> Caller {
    extensions.get::<ConnectionInfo>().map_or(Caller::NOBODY, ConnectionInfo::caller)
}

/// When the caller of a request stops waiting. A request without one has no deadline.
///
/// A handler that waits should answer shortly before it: past it the caller gets DEADLINE_EXCEEDED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(
    /// The instant, on the clock of the runtime that serves the call.
    pub Instant,
);
