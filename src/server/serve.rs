//! Serving: starts the accept loop, the connection threads and the tower layers, and waits until all have ended.
//!
//! The caller ends it through [`Shutdown`].

use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::{self, Ready, join_all};
use http::Response;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::ServiceBuilder;
use tower::util::Either;
use tower_http::cors::{Cors, CorsLayer};

use super::budget::Budgets;
use super::connection_thread::{ConnectionThread, ThreadState};
use super::cors::cors_layer;
use super::deadline::DeadlineService;
use super::descriptors::Descriptors;
use super::host::{HostPolicy, HostService};
use super::limits::ListenerLimits;
use super::listener::{Listener, Listeners};
use super::protocol::ProtocolService;
use super::registry::{ConnectionBounds, ConnectionRegistry, ServeReport};
use super::router::Router;
use super::shutdown::Shutdown;
#[cfg(feature = "tls")]
use super::tls::ServerTls;

/// Longest wait for the connection threads after `stop`. Threads that are still busy then are detached.
const STOP_TIME_MAX: Duration = Duration::from_millis(150);

/// The future of a layer that passes a call on, or responds itself.
pub(super) type CallFuture<F> = future::Either<F, Ready<Result<Response<Body>, Infallible>>>;

/// gRPC and gRPC-Web.
type GrpcStack = GrpcWebService<DeadlineService<Router>>;
type ProtocolStack = ProtocolService<GrpcStack>;

/// The layers around the services, outermost first.
pub(super) type Stack = HostService<Either<Cors<ProtocolStack>, ProtocolStack>>;

/// Options of [`serve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The limits of the listener.
    pub limits: ListenerLimits,
    /// Number of connection threads. Default: one per core that this process may use.
    pub connection_threads: NonZeroUsize,
    /// Web origins (`https://host[:port]`) whose pages may call over gRPC-Web, or a single `*` for all. Default: none.
    pub cors_origins: Vec<String>,
    /// Hosts (`host[:port]`) that requests may name, besides the listener's own address and, on loopback, localhost; `*`
    /// allows all. Needed behind a proxy that forwards the public host, and where clients use a host name. Default: none.
    pub allowed_hosts: Vec<String>,
    /// Serves over TLS only. Default: plain text.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            limits: ListenerLimits::default(),
            connection_threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Serves the routes over gRPC and gRPC-Web until a shutdown is requested.
///
/// After `graceful` it returns once every connection is closed, at the latest after
/// [`drain_grace`](ListenerLimits::drain_grace) and [`closing_linger`](ListenerLimits::closing_linger);
/// after `now` within 200 ms, even if peers or handlers block. Dropping the future stops the server.
///
/// The current runtime accepts connections; it needs I/O and time enabled. Services, and tasks that they spawn, run on the
/// connection thread. Each request has a [`ConnectionInfo`](super::ConnectionInfo) extension and, if the caller set a
/// timeout, a [`Deadline`](super::Deadline).
///
/// # Errors
///
/// If there is no listener, an origin or an allowed host is malformed, or if the system cannot start a thread or register the socket. Nothing is
/// served then.
pub async fn serve(
    listeners: impl Into<Listeners>,
    routes: Routes,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport> {
    serve_router(listeners.into(), routes.into(), options, shutdown).await
}

/// [`serve`] with a [`Router`].
pub(super) async fn serve_router(
    Listeners(listeners): Listeners,
    router: Router,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport> {
    let cors = cors_layer(&options.cors_origins)?;
    let addresses =
        listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let hosts = HostPolicy::new(&addresses, &options.allowed_hosts, &options.cors_origins)?;
    let hosts = Arc::new(hosts);
    let listeners = listeners.into_iter().map(registered).collect::<io::Result<Vec<_>>>()?;
    let shutdown = Shutdown { graceful: shutdown.graceful, now: shutdown.now.child_token() };
    let _stop_when_dropped = shutdown.now.clone().drop_guard();

    let registry = Arc::new(ConnectionRegistry::default());
    let limits = Arc::new(options.limits);
    let budgets = Budgets::new(limits.connection_bytes_max, limits.connections_bytes_max);
    let mut threads = Vec::new();
    let mut senders = Vec::new();
    for index in 0..options.connection_threads.get() {
        let state = ThreadState {
            stack: stack(router.clone(), cors.as_ref(), &hosts),
            limits: limits.clone(),
            shutdown: shutdown.clone(),
            connections: TaskTracker::new(),
            registry: registry.clone(),
            budgets: budgets.clone(),
            #[cfg(feature = "tls")]
            tls: options.tls.clone(),
        };
        let (thread, sender) = ConnectionThread::start(index, state)?;
        threads.push(thread);
        senders.push(sender);
    }

    #[cfg(feature = "tls")]
    let _watching_tls_files = options.tls.map(ServerTls::watch_files);
    let descriptors = Descriptors::now();
    let listener = Listener::new(
        listeners,
        senders,
        connection_bounds(&limits, &descriptors),
        descriptors,
        registry.clone(),
    );
    tokio::select! {
        biased;
        () = shutdown.now.cancelled() => {}
        () = shutdown.graceful.cancelled() => {}
        () = listener.run() => {}
    }
    tokio::select! {
        _ = join_all(threads.into_iter().map(ConnectionThread::join)) => {}
        () = stop_timeout(&shutdown.now) => tracing::warn!("a connection thread did not stop in time: detached it"),
    }
    Ok(registry.report())
}

/// The listener on the current runtime.
fn registered(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn stack(router: Router, cors: Option<&CorsLayer>, hosts: &Arc<HostPolicy>) -> Stack {
    let http = router.http();
    ServiceBuilder::new()
        .layer_fn(|inner| HostService::new(hosts.clone(), inner))
        .option_layer(cors.cloned())
        .layer_fn(|grpc| ProtocolService::new(grpc, http.clone()))
        .layer(GrpcWebLayer::new())
        .layer_fn(DeadlineService::new)
        .service(router)
}

/// The connection limits, reduced to what the descriptor limit allows.
fn connection_bounds(limits: &ListenerLimits, descriptors: &Descriptors) -> ConnectionBounds {
    let (wanted, possible) = (limits.max_connections, descriptors.connections_max);
    if let Some(limit) = descriptors.limit.filter(|_| possible < wanted) {
        tracing::warn!(
            "connections_max is {wanted}, but the limit of {limit} open files allows {possible}, which is used instead; \
             raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) or lower connections_max"
        );
    }
    ConnectionBounds {
        max: wanted.min(possible),
        per_address_max: limits.max_connections_per_address,
        closing_max: descriptors.closing_max,
    }
}

async fn stop_timeout(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_TIME_MAX).await;
}
