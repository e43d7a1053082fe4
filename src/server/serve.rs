//! Serving: starts the accept loop, the connection threads and the tower layers, and waits until all have ended.
//!
//! The caller ends it through [`Shutdown`].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

use super::connection_thread::{ConnectionThread, ThreadState};
use super::cors::cors_layer;
use super::deadline::DeadlineService;
use super::descriptors::Descriptors;
use super::host::{HostPolicy, HostService};
use super::identity::{Identity, IdentityService};
use super::limits::ListenerLimits;
use super::listener::{Listener, Listeners};
use super::metrics::Connections;
use super::protocol::ProtocolService;
use super::registry::{ConnectionBounds, ServeReport};
use super::router::Router;
use super::shutdown::Shutdown;
#[cfg(feature = "otel")]
use super::spans::SpanService;
use super::trace::TraceService;
#[cfg(feature = "tls")]
use super::{handshakes::Handshakes, tls::ServerTls};

/// Longest wait for the connection threads after `stop`. Threads that are still busy then are detached.
const STOP_TIME_MAX: Duration = Duration::from_millis(150);

/// The future of a layer that passes a call on, or responds itself.
pub(super) type CallFuture<F> = future::Either<F, Ready<Result<Response<Body>, Infallible>>>;

/// gRPC and gRPC-Web.
type GrpcStack = GrpcWebService<DeadlineService<Router>>;
type IdentityStack = IdentityService<TraceService<SpanStack>>;
#[cfg(feature = "otel")]
type SpanStack = SpanService<ProtocolService<GrpcStack>>;
#[cfg(not(feature = "otel"))]
type SpanStack = ProtocolService<GrpcStack>;

/// The layers around the services, outermost first.
pub(super) type Stack = HostService<Either<Cors<IdentityStack>, IdentityStack>>;

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
    /// Verifies the callers. Default: every caller may do everything.
    pub identity: Option<Identity>,
    /// Makes a span of each request. Default: none.
    #[cfg(feature = "otel")]
    pub spans: Option<crate::client::Spans>,
    /// Serves over TLS only. Default: plain text.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
}

impl ServeOptions {
    /// Checks origins and allowed hosts, as [`serve`] does.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if one is malformed.
    pub fn check(&self) -> io::Result<()> {
        const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        cors_layer(&self.cors_origins)?;
        HostPolicy::new(&[LOOPBACK], &self.allowed_hosts, &self.cors_origins).map(drop)
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            limits: ListenerLimits::default(),
            connection_threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            identity: None,
            #[cfg(feature = "otel")]
            spans: None,
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
/// If there is no listener, an origin or an allowed host is malformed, or the system cannot start a thread or register the
/// socket. Nothing is served then.
pub async fn serve(
    listeners: impl Into<Listeners>,
    routes: Routes,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport> {
    let connections = Connections::new(&options.limits);
    serve_router(listeners.into(), routes.into(), options, connections, shutdown).await
}

/// [`serve`] with a [`Router`]. `connections` are those of this listener; none is open yet.
pub(super) async fn serve_router(
    Listeners(listeners): Listeners,
    router: Router,
    options: ServeOptions,
    Connections { registry, budgets }: Connections,
    shutdown: Shutdown,
) -> io::Result<ServeReport> {
    let addresses =
        listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let layers = Layers::new(router, &options, &addresses)?;
    let listeners = listeners.into_iter().map(registered).collect::<io::Result<Vec<_>>>()?;
    let shutdown = Shutdown { graceful: shutdown.graceful, now: shutdown.now.child_token() };
    let _stop_when_dropped = shutdown.now.clone().drop_guard();

    let limits = Arc::new(options.limits);
    let (mut threads, mut senders) = (Vec::new(), Vec::new());
    for index in 0..options.connection_threads.get() {
        let state = ThreadState {
            stack: layers.stack(),
            limits: limits.clone(),
            shutdown: shutdown.clone(),
            connections: TaskTracker::new(),
            registry: registry.clone(),
            budgets: budgets.clone(),
            #[cfg(feature = "tls")]
            tls: options.tls.clone(),
            #[cfg(feature = "tls")]
            handshakes: Handshakes::new(&limits, options.connection_threads.get()),
        };
        let (thread, sender) = ConnectionThread::start(index, state)?;
        threads.push(thread);
        senders.push(sender);
    }

    #[cfg(feature = "tls")]
    let _watching_tls_files = options.tls.map(|tls| tls.watch_files(&addresses, &options.allowed_hosts));
    #[cfg(feature = "tls")]
    let _keeping_keys_fresh = options.identity.as_ref().map(Identity::keep_keys_fresh);
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

/// What the stacks of all connection threads are made of.
struct Layers {
    router: Router,
    cors: Option<CorsLayer>,
    hosts: Arc<HostPolicy>,
    identity: Option<Identity>,
    #[cfg(feature = "otel")]
    spans: Option<crate::client::Spans>,
}

impl Layers {
    /// The layers of a server that listens on these addresses.
    ///
    /// # Errors
    ///
    /// If an origin or an allowed host is malformed.
    fn new(router: Router, options: &ServeOptions, addresses: &[SocketAddr]) -> io::Result<Self> {
        let hosts = HostPolicy::new(addresses, &options.allowed_hosts, &options.cors_origins)?;
        let (cors, identity) = (cors_layer(&options.cors_origins)?, options.identity.clone());
        Ok(Self {
            router,
            cors,
            hosts: Arc::new(hosts),
            identity,
            #[cfg(feature = "otel")]
            spans: options.spans.clone(),
        })
    }

    #[cfg(feature = "otel")]
    fn in_span(&self, inner: ProtocolService<GrpcStack>) -> SpanStack {
        SpanService::new(self.spans.clone(), inner)
    }

    #[cfg(not(feature = "otel"))]
    fn in_span(&self, inner: ProtocolService<GrpcStack>) -> SpanStack {
        inner
    }

    fn stack(&self) -> Stack {
        let http = self.router.http();
        ServiceBuilder::new()
            .layer_fn(|inner| HostService::new(self.hosts.clone(), inner))
            .option_layer(self.cors.clone())
            .layer_fn(|inner| IdentityService::new(self.identity.clone(), &self.router, inner))
            .layer_fn(TraceService::new)
            .layer_fn(|grpc| self.in_span(ProtocolService::new(grpc, http.clone())))
            .layer(GrpcWebLayer::new())
            .layer_fn(DeadlineService::new)
            .service(self.router.clone())
    }
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
