//! Accepting: one loop that takes sockets and hands them to the edge threads in turn.
//!
//! It runs inside the `serve` future: accepting is rare beside serving, and so costs no thread of its own.
//! What happens on a socket is up to `edge` and `connection`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::descriptors::Descriptors;
use super::tally::{Places, Refusal, Seat, Tally};
use super::throttle::Throttle;

/// First pause after a failed accept; it doubles up to [`BACK_OFF_MAX`].
const BACK_OFF_MIN: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_millis(100);

/// A socket on its way to an edge thread, with its place among the open connections.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) seat: Seat,
}

/// Where connections come from.
pub(super) trait Accept {
    /// The next connection; an error says nothing about the one after it.
    fn accept(&self) -> impl Future<Output = io::Result<(std::net::TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        Ok((stream.into_std()?, peer))
    }
}

/// The one accept loop. Dropping it closes the listening socket.
#[derive(Debug)]
pub(crate) struct Listener<A> {
    source: A,
    edges: Vec<mpsc::Sender<Accepted>>,
    next_edge: usize,
    places: Places,
    descriptors: Descriptors,
    tally: Arc<Tally>,
    back_off: Duration,
    accept_warning: Throttle,
    refusal_warning: Throttle,
}

impl<A: Accept> Listener<A> {
    /// A loop that fills these edges from the source.
    pub(super) fn new(
        source: A,
        edges: Vec<mpsc::Sender<Accepted>>,
        places: Places,
        descriptors: Descriptors,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            source,
            edges,
            next_edge: 0,
            places,
            descriptors,
            tally,
            back_off: BACK_OFF_MIN,
            accept_warning: Throttle::default(),
            refusal_warning: Throttle::default(),
        }
    }

    /// Accepts until dropped; no accept error ends it. Returns only when every edge thread has died.
    pub(super) async fn run(mut self) {
        loop {
            match self.source.accept().await {
                Ok((stream, peer)) => {
                    self.back_off = BACK_OFF_MIN;
                    if !self.admit(stream, peer).await {
                        return;
                    }
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection failed before it was accepted");
                }
                Err(error) => self.endure(&error).await,
            }
        }
    }

    /// Hands the socket to the next edge with room, or closes it when too many are open and none of them is idle.
    async fn admit(&mut self, stream: std::net::TcpStream, peer: SocketAddr) -> bool {
        if self.descriptors.is_nearly_gone(&stream) {
            self.tally.count_refusal();
            self.warn_of_descriptors(peer);
            return true;
        }
        let is_short = self.descriptors.reaches_reserve(&stream);
        match self.tally.take_seat(peer.ip(), self.places, is_short) {
            Ok(seat) => {
                let is_served = self.hand_over(Accepted { stream, peer, seat }).await;
                self.tally.settle(self.places.closing_max).await;
                return is_served;
            }
            Err(_) if is_short => self.warn_of_descriptors(peer),
            Err(refusal) => self.warn_of(refusal, peer),
        }
        true
    }

    fn warn_of(&mut self, refusal: Refusal, peer: SocketAddr) {
        let Some(left_out) = self.refusal_warning.pass() else { return };
        match refusal {
            Refusal::Full(limit) => tracing::warn!(
                %peer, limit, left_out,
                "refused a connection: connections_max are open, all with calls on them"
            ),
            Refusal::AddressFull(limit) => tracing::warn!(
                %peer, limit, left_out,
                "refused a connection: connections_per_address_max of its address are open, all with calls on them; \
                 raise it, or set it to 0 if that address is a proxy you trust"
            ),
        }
    }

    fn warn_of_descriptors(&mut self, peer: SocketAddr) {
        let Some(left_out) = self.refusal_warning.pass() else { return };
        let limit = self.descriptors.limit;
        tracing::warn!(
            %peer, limit, left_out,
            "refused a connection: no descriptors are left but those reserved for the log and for programs; raise the \
             hard limit of open files"
        );
    }

    /// False when no edge is left to take it.
    async fn hand_over(&mut self, mut accepted: Accepted) -> bool {
        for _ in 0..self.edges.len() {
            let edge = self.turn();
            accepted = match self.edges[edge].try_send(accepted) {
                Ok(()) => return true,
                Err(refused) => refused.into_inner(),
            };
        }
        self.edges.retain(|edge| !edge.is_closed());
        if self.edges.is_empty() {
            tracing::error!("every edge thread has ended: no connection can be served");
            return false;
        }
        // All are full: wait with it, and leave those behind it in the kernel's queue.
        let edge = self.turn();
        // The edge may die while we wait; then this socket closes and the next one finds another edge.
        let _ = self.edges[edge].send(accepted).await;
        true
    }

    fn turn(&mut self) -> usize {
        let edge = self.next_edge % self.edges.len();
        self.next_edge = (edge + 1) % self.edges.len();
        edge
    }

    /// Waits out an error such as a full file table, which would otherwise come back at once.
    async fn endure(&mut self, error: &io::Error) {
        if let Some(left_out) = self.accept_warning.pass() {
            let pause = self.back_off;
            tracing::warn!(%error, ?pause, left_out, "could not accept connections");
        }
        sleep(self.back_off).await;
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

/// Whether the error used up the connection it is about, so that accepting again is no busy loop.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
