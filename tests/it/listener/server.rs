//! A server on a free port, with the health service and the probe as its routes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use jobstream::server::{ListenerLimits, ServeOptions, ServeReport, Shutdown, serve};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::service::Routes;

use super::probe::Probe;

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for a value, and fails the test after the timeout.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("waited {TIMEOUT:?} for: {what}"))
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns options with one connection thread and changed limits.
pub(super) fn with_limits(change: impl FnOnce(&mut ListenerLimits)) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.connection_threads = NonZeroUsize::MIN;
    change(&mut options.limits);
    options
}

pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) shutdown: Shutdown,
    serving: JoinHandle<io::Result<ServeReport>>,
}

impl TestServer {
    pub(super) fn start(options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shutdown = Shutdown::default();
        let (_, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(health).add_service(Probe);
        let serving = tokio::spawn(serve(listener, routes, options, shutdown.clone()));
        Self { address, shutdown, serving }
    }

    /// Stops the server and returns the result of `serve`.
    pub(super) async fn report(self) -> ServeReport {
        let report = soon("the server returns", self.serving).await;
        report.expect("serve does not panic").expect("the server started")
    }
}
