//! One edge: an OS thread with a current-thread runtime that serves its share of the connections.
//!
//! A request is read, handled and answered on the thread that took its connection, and what a handler
//! spawns stays there too, so the hot path never hops threads. Accepting is not done here.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use super::budget::Budgets;
use super::connection;
use super::give_back::keep_giving_back;
use super::limits::ListenerLimits;
use super::listener::Accepted;
use super::serve::{Lifecycle, Stack};
use super::tally::Tally;

/// Sockets that may wait for a busy edge before the listener tries the next one.
const QUEUED_SOCKETS_MAX: usize = 64;

/// How often the time is looked at by which connections are idle.
const TICK: Duration = Duration::from_secs(1);

/// The running thread of one edge.
#[derive(Debug)]
pub(super) struct EdgeThread {
    /// Resolves, to an error, when the thread is about to end.
    ended: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl EdgeThread {
    /// Starts edge number `index`. It ends when the sender is dropped and its connections are closed, or
    /// when `stop` fires.
    pub(super) fn start(
        index: usize,
        stack: Stack,
        limits: Arc<ListenerLimits>,
        lifecycle: Lifecycle,
        shared: (Arc<Tally>, Arc<Budgets>),
    ) -> io::Result<(Self, mpsc::Sender<Accepted>)> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, sockets) = mpsc::channel(QUEUED_SOCKETS_MAX);
        let (end, ended) = oneshot::channel();
        let edge = Arc::new(Edge {
            stack,
            limits,
            lifecycle,
            connections: TaskTracker::new(),
            tally: shared.0,
            budgets: shared.1,
        });
        let thread = thread::Builder::new().name(format!("jobstream-edge-{index}")).spawn(move || {
            runtime.block_on(edge.run(sockets));
            // Drops what handlers spawned and left behind, without waiting for blocking work.
            runtime.shutdown_background();
            drop(end);
        })?;
        Ok((Self { ended, thread }, sender))
    }

    /// Returns once the thread is gone.
    pub(super) async fn join(self) {
        // The sender is only ever dropped, so this is always an error and means the end.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("an edge thread panicked");
        }
    }
}

/// What the connections of one edge share.
pub(super) struct Edge {
    pub(super) stack: Stack,
    pub(super) limits: Arc<ListenerLimits>,
    pub(super) lifecycle: Lifecycle,
    /// The guardians, each of which outlives its connection.
    pub(super) connections: TaskTracker,
    pub(super) tally: Arc<Tally>,
    pub(super) budgets: Arc<Budgets>,
}

impl Edge {
    async fn run(self: Arc<Self>, mut sockets: mpsc::Receiver<Accepted>) {
        tokio::select! {
            biased;
            () = self.lifecycle.stop.cancelled() => {}
            () = self.serve_all(&mut sockets) => {}
            () = keep_giving_back() => {}
            () = self.keep_time() => {}
        }
        drop(sockets);
        self.connections.close();
        // Bounded after stop as well: it makes every guardian end.
        self.connections.wait().await;
    }

    /// Moves the clock by which connections are idle. Never ends.
    async fn keep_time(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tally.tick();
            self.budgets.tick();
        }
    }

    async fn serve_all(self: &Arc<Self>, sockets: &mut mpsc::Receiver<Accepted>) {
        while let Some(accepted) = sockets.recv().await {
            let Accepted { stream, peer, seat } = accepted;
            match prepare(stream, &self.limits) {
                Ok(stream) => connection::spawn(self, stream, peer, seat),
                Err(error) => tracing::debug!(%peer, %error, "the connection was gone before it was served"),
            }
        }
    }
}

/// Sets the socket's options and gives it to this thread's runtime.
fn prepare(stream: std::net::TcpStream, limits: &ListenerLimits) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(limits.tcp_keepalive))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.tcp_user_timeout))?;
    TcpStream::from_std(stream)
}

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    #[tokio::test]
    async fn sockets_carry_the_configured_options() {
        let listener = net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let stream = net::TcpStream::connect(address).expect("a listening socket");
        stream.set_nonblocking(true).expect("a socket");
        let limits = ListenerLimits::default();
        let stream = prepare(stream, &limits).expect("a connected socket");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("an option"));
        assert!(socket.keepalive().expect("an option"));
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(limits.tcp_user_timeout));
    }
}
