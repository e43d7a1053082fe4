//! A connection thread: an OS thread with a current-thread runtime that serves a share of the connections.
//!
//! The thread of a connection reads its requests, runs their service calls and writes their responses. Tasks that a call
//! spawns run there too, so a request does not change threads. The listener accepts the sockets.

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
use super::limits::ListenerLimits;
use super::listener::Accepted;
use super::registry::ConnectionRegistry;
use super::serve::Stack;
use super::shutdown::Shutdown;
#[cfg(feature = "tls")]
use super::{handshakes::Handshakes, tls::ServerTls};

/// Accepted sockets that may wait for a busy thread; then the listener tries the next thread.
const QUEUED_SOCKETS_MAX: usize = 64;

/// How often the open streams are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The handle of a running connection thread.
#[derive(Debug)]
pub(super) struct ConnectionThread {
    /// Resolves to an error when the thread is about to end.
    ended: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl ConnectionThread {
    /// Starts thread number `index`. It ends when the sender is dropped and its connections are closed, or at once after
    /// `shutdown.now`.
    pub(super) fn start(index: usize, state: ThreadState) -> io::Result<(Self, mpsc::Sender<Accepted>)> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, sockets) = mpsc::channel(QUEUED_SOCKETS_MAX);
        let (end, ended) = oneshot::channel();
        let state = Arc::new(state);
        let thread = thread::Builder::new().name(format!("connection-{index}")).spawn(move || {
            runtime.block_on(state.run(sockets));
            // Drops tasks that are still running, and does not wait for blocking ones.
            runtime.shutdown_background();
            drop(end);
        })?;
        Ok((Self { ended, thread }, sender))
    }

    /// Returns once the thread has ended.
    pub(super) async fn join(self) {
        // The sender is dropped without a message, so an error is the expected result.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("a connection thread panicked");
        }
    }
}

/// State shared by the connections of one thread.
pub(super) struct ThreadState {
    pub(super) stack: Stack,
    pub(super) limits: Arc<ListenerLimits>,
    pub(super) shutdown: Shutdown,
    /// The watchdogs; each ends after its connection.
    pub(super) connections: TaskTracker,
    pub(super) registry: Arc<ConnectionRegistry>,
    pub(super) budgets: Arc<Budgets>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
    #[cfg(feature = "tls")]
    pub(super) handshakes: Arc<Handshakes>,
}

impl ThreadState {
    /// Longest time for the TLS handshake of a connection; zero without TLS.
    pub(super) fn handshake_time_max(&self) -> Duration {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.limits.tls_handshake_timeout;
        }
        Duration::ZERO
    }

    async fn run(self: Arc<Self>, mut sockets: mpsc::Receiver<Accepted>) {
        tokio::select! {
            biased;
            () = self.shutdown.now.cancelled() => {}
            () = self.serve_all(&mut sockets) => {}
            () = self.count_streams() => {}
        }
        drop(sockets);
        self.connections.close();
        // After `now` this wait is bounded too: it ends every watchdog.
        self.connections.wait().await;
    }

    /// Counts the open streams for the budgets every [`COUNT_INTERVAL`]. Never returns.
    async fn count_streams(&self) {
        let mut ticks = interval(COUNT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.budgets.count_streams();
        }
    }

    async fn serve_all(self: &Arc<Self>, sockets: &mut mpsc::Receiver<Accepted>) {
        while let Some(accepted) = sockets.recv().await {
            let Accepted { stream, peer, permit } = accepted;
            match prepare(stream, &self.limits) {
                Ok(stream) => connection::spawn(self, stream, peer, permit),
                Err(error) => {
                    tracing::debug!(%peer, %error, "the connection was closed before it was served")
                }
            }
        }
    }
}

/// Sets the socket's options and registers it with the current runtime.
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
    async fn sockets_have_the_configured_options() {
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
