//! The request extensions that the server sets: the connection and the deadline.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::Principal;
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
    /// The certificate that the client presented in the TLS handshake, after the server has verified it. `None` if it
    /// presented none, and without TLS.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

/// The names of a client certificate that an authority of the server's `client_ca` has issued. Each list is in the order of
/// the certificate and may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The names of type URI, such as `spiffe://example.org/billing`.
    pub uris: Vec<String>,
    /// The names of type DNS, such as `billing.example.org`. A wildcard name is in it as it is: `*.example.org`.
    pub dns_names: Vec<String>,
}

impl ClientCertificate {
    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().chain(&self.dns_names).map(String::as_str)
    }
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
        Caller::Connection(hasher.finish())
    }
}

/// The caller of a request with these extensions: its principal, or the connection if the caller is anonymous.
pub(super) fn caller(extensions: &http::Extensions) -> Caller {
    match principal(extensions).and_then(|principal| Some((principal.owner()?, principal.quota()))) {
        Some((name, quota)) => Caller::Principal(name.clone(), *quota),
        None => extensions.get::<ConnectionInfo>().map_or(Caller::Embedder, ConnectionInfo::caller),
    }
}

/// The name of the principal that sent a request with these extensions; `None` if the caller is anonymous.
pub(in crate::api) fn principal_name(extensions: &http::Extensions) -> Option<&Arc<str>> {
    principal(extensions)?.owner()
}

/// The principal that sent a request with these extensions; `None` if the server identifies no callers.
pub(super) fn principal(extensions: &http::Extensions) -> Option<&Principal> {
    extensions.get::<Arc<Principal>>().map(|principal| &**principal)
}

/// The deadline of a call, in the request's extensions. Without it, the call has no deadline.
///
/// A method that waits should respond shortly before the deadline. After it the caller gets DEADLINE_EXCEEDED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(
    /// The instant, on the clock of tokio.
    pub Instant,
);
