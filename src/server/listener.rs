//! The accept loop: it accepts sockets, applies the connection limits and dispatches to the connection threads in turn.
//!
//! The loop runs inside the `serve` future and needs no thread of its own. Modules `connection_thread` and `connection`
//! serve the sockets.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::descriptors::Descriptors;
use super::registry::{ConnectionBounds, ConnectionPermit, ConnectionRefusal, ConnectionRegistry};
use super::throttle::Throttle;

/// First back-off after a failed accept. It doubles up to [`BACK_OFF_MAX`].
const BACK_OFF_MIN: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_millis(100);

/// An accepted socket with its connection permit.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: ConnectionPermit,
}

/// A source of connections.
pub(super) trait Accept {
    /// Accepts the next connection. The caller may call again after an error.
    fn accept(&self) -> impl Future<Output = io::Result<(std::net::TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        Ok((stream.into_std()?, peer))
    }
}

impl Accept for Vec<TcpListener> {
    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let accepted = poll_fn(|context| {
            // A random order: connections to one address must not delay those to another.
            let first = rand::random_range(..self.len());
            let (before, after) = self.split_at(first);
            for listener in after.iter().chain(before) {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        });
        let (stream, peer) = accepted.await?;
        Ok((stream.into_std()?, peer))
    }
}

/// The sockets that a server accepts connections from: one, or one for each address.
#[derive(Debug)]
pub struct Listeners(pub(super) Vec<std::net::TcpListener>);

impl From<std::net::TcpListener> for Listeners {
    fn from(listener: std::net::TcpListener) -> Self {
        Self(vec![listener])
    }
}

impl From<Vec<std::net::TcpListener>> for Listeners {
    fn from(listeners: Vec<std::net::TcpListener>) -> Self {
        Self(listeners)
    }
}

/// The accept loop. Dropping it closes the listening socket.
#[derive(Debug)]
pub(crate) struct Listener<A> {
    source: A,
    threads: Vec<mpsc::Sender<Accepted>>,
    next_thread: usize,
    bounds: ConnectionBounds,
    descriptors: Descriptors,
    registry: Arc<ConnectionRegistry>,
    back_off: Duration,
    accept_warning: Throttle,
    refusal_warning: Throttle,
}

impl<A: Accept> Listener<A> {
    /// A loop that accepts from `source` and dispatches to `threads`.
    pub(super) fn new(
        source: A,
        threads: Vec<mpsc::Sender<Accepted>>,
        bounds: ConnectionBounds,
        descriptors: Descriptors,
        registry: Arc<ConnectionRegistry>,
    ) -> Self {
        Self {
            source,
            threads,
            next_thread: 0,
            bounds,
            descriptors,
            registry,
            back_off: BACK_OFF_MIN,
            accept_warning: Throttle::default(),
            refusal_warning: Throttle::default(),
        }
    }

    /// Accepts until it is dropped. Accept errors do not end it; it returns only when every connection thread has ended.
    pub(super) async fn run(mut self) {
        loop {
            match self.source.accept().await {
                Ok((stream, peer)) => {
                    self.back_off = BACK_OFF_MIN;
                    if !self.admit(stream, peer).await {
                        return;
                    }
                }
                Err(error) if affects_one_connection(&error) => {
                    tracing::debug!(%error, "a connection failed before it was accepted");
                }
                Err(error) => self.back_off_after(&error).await,
            }
        }
    }

    /// Dispatches the socket to a thread, or closes it if a limit is reached and no connection is idle. Returns false if
    /// every thread has ended.
    async fn admit(&mut self, stream: std::net::TcpStream, peer: SocketAddr) -> bool {
        if self.descriptors.is_reserve_half_used(&stream) {
            self.registry.count_refusal();
            self.warn_of_descriptors(peer);
            return true;
        }
        let is_low_on_descriptors = self.descriptors.reaches_reserve(&stream);
        match self.registry.admit(peer.ip(), self.bounds, is_low_on_descriptors) {
            Ok(permit) => {
                let is_served = self.dispatch(Accepted { stream, peer, permit }).await;
                self.registry.wait_for_evicted(self.bounds.closing_max).await;
                return is_served;
            }
            Err(_) if is_low_on_descriptors => self.warn_of_descriptors(peer),
            Err(refusal) => self.warn_of_limit(refusal, peer),
        }
        true
    }

    fn warn_of_limit(&mut self, refusal: ConnectionRefusal, peer: SocketAddr) {
        let Some(suppressed) = self.refusal_warning.pass() else { return };
        match refusal {
            ConnectionRefusal::Full(limit) => tracing::warn!(
                %peer, limit, suppressed,
                "refused a connection: connections_max are open and none is idle"
            ),
            ConnectionRefusal::AddressFull(limit) => tracing::warn!(
                %peer, limit, suppressed,
                "refused a connection: connections_per_address_max of its address are open and none is idle; \
                 raise it, or set it to 0 if that address is a trusted proxy"
            ),
        }
    }

    fn warn_of_descriptors(&mut self, peer: SocketAddr) {
        let Some(suppressed) = self.refusal_warning.pass() else { return };
        let limit = self.descriptors.limit;
        tracing::warn!(
            %peer, limit, suppressed,
            "refused a connection: only the descriptors reserved for the log and for programs are left; raise the \
             hard limit of open files"
        );
    }

    /// Sends the socket to the next thread with a free queue slot. Returns false if every thread has ended.
    async fn dispatch(&mut self, mut accepted: Accepted) -> bool {
        for _ in 0..self.threads.len() {
            let thread = self.next_thread_index();
            accepted = match self.threads[thread].try_send(accepted) {
                Ok(()) => return true,
                Err(refused) => refused.into_inner(),
            };
        }
        self.threads.retain(|thread| !thread.is_closed());
        if self.threads.is_empty() {
            tracing::error!("every connection thread has ended: no connection can be served");
            return false;
        }
        // Every queue is full. The loop waits, and later sockets stay in the kernel's backlog.
        let thread = self.next_thread_index();
        // If the thread ends during the wait, this socket is closed and the next one is sent to another thread.
        let _ = self.threads[thread].send(accepted).await;
        true
    }

    fn next_thread_index(&mut self) -> usize {
        let thread = self.next_thread % self.threads.len();
        self.next_thread = (thread + 1) % self.threads.len();
        thread
    }

    /// Waits after an error such as a full file table, which would otherwise recur at once.
    async fn back_off_after(&mut self, error: &io::Error) {
        if let Some(suppressed) = self.accept_warning.pass() {
            let delay = self.back_off;
            tracing::warn!(%error, ?delay, suppressed, "could not accept connections");
        }
        sleep(self.back_off).await;
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

/// Whether the error consumed a connection, so that accepting again without a wait is not a busy loop.
fn affects_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
