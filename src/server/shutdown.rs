//! The shutdown signals of a server and of a listener.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::signals::Interrupts;

/// The two shutdown signals to a running [`Server`](super::Server) or [`serve`](super::serve). Clones share them.
///
/// ```
/// use jobstream::server::Shutdown;
///
/// let shutdown = Shutdown::default();
/// let for_server = shutdown.clone();
/// shutdown.graceful.cancel();
/// assert!(for_server.graceful.is_cancelled() && !for_server.now.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// A server accepts no new jobs, lets running jobs finish within the drain timeout, and ends. A listener closes its
    /// socket, sends GOAWAY on every connection, and lets open requests finish.
    pub graceful: CancellationToken,
    /// A server ends within 100 ms. A listener aborts what is still open.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Connects process signals: the first SIGINT or SIGTERM starts a graceful shutdown, the second ends the server at once.
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be registered.
    pub fn on_signals() -> io::Result<Self> {
        let (mut interrupts, shutdown) = (Interrupts::listen()?, Self::default());
        let requested = shutdown.clone();
        tokio::spawn(async move {
            interrupts.next().await;
            tracing::info!("draining: running jobs may finish; another signal ends at once");
            requested.graceful.cancel();
            interrupts.next().await;
            requested.now.cancel();
        });
        Ok(shutdown)
    }
}
