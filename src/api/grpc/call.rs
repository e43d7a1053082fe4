//! The request extensions that the server sets: the connection and the deadline.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::core::Caller;

/// The connection of a request, in the request's extensions.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Address of the peer.
    pub peer: SocketAddr,
    /// Local address.
    pub local: SocketAddr,
    /// Cancelled when the connection is about to be closed for its age or a shutdown.
    ///
    /// A stream should then end with an error that lets the client resume on another connection, within the listener's
    /// `closing_linger`.
    pub closing: CancellationToken,
}

/// The limits of the listener that GetServerInfo reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionLimits {
    /// Memory budget of one connection, in bytes.
    pub(crate) bytes_max: usize,
    /// Memory budget of all connections, in bytes.
    pub(crate) all_bytes_max: usize,
    /// Most open connections.
    pub(crate) max: usize,
    /// Most open connections of one address.
    pub(crate) per_address_max: Option<usize>,
}

impl ConnectionInfo {
    /// The connection as a caller of the engine. No two open connections have the same peer address.
    pub(crate) fn caller(&self) -> Caller {
        let mut hasher = DefaultHasher::new();
        self.peer.hash(&mut hasher);
        Caller::numbered(hasher.finish())
    }
}

/// The caller of a request with these extensions.
pub(super) fn caller(extensions: &http::Extensions) -> Caller {
    extensions.get::<ConnectionInfo>().map_or(Caller::EMBEDDER, ConnectionInfo::caller)
}

/// Whether the connection of a stream is about to be closed. Without a connection it never is.
pub(super) struct Closing(Option<Pin<Box<WaitForCancellationFutureOwned>>>);

impl Closing {
    pub(super) fn new(closing: Option<CancellationToken>) -> Self {
        Self(closing.map(|closing| Box::pin(closing.cancelled_owned())))
    }

    /// Returns whether the closing has begun. If not, wakes the task when it does.
    pub(super) fn has_begun(&mut self, context: &mut Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready())
    }
}

/// The deadline of a call, in the request's extensions. Without it, the call has no deadline.
///
/// A method that waits should respond shortly before the deadline. After it the caller gets DEADLINE_EXCEEDED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(
    /// The instant, on the clock of tokio.
    pub Instant,
);
