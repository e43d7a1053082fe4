//! The assembly: socket, edges and layers, from the first connection to the last.
//!
//! When to drain and when to stop is the caller's decision, told through [`Lifecycle`].

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::util::Either;
use tower::{Layer, ServiceBuilder};
use tower_http::cors::{Cors, CorsLayer};

use super::budget::Budgets;
use super::cors::cors_layer;
use super::deadline::{DeadlineLayer, DeadlineService};
use super::descriptors::Descriptors;
use super::edge::EdgeThread;
use super::host::{HostLayer, HostPolicy, HostService};
use super::limits::ListenerLimits;
use super::listener::Listener;
use super::router::Router;
use super::tally::{Places, ServeReport, Tally};

/// Time for the edges to let go after `stop`; past it they are left behind.
const STOP_TIME_MAX: Duration = Duration::from_millis(150);

type Web = GrpcWebService<DeadlineService<Router>>;

/// What a request passes on its way to the services, outermost first.
pub(super) type Stack = HostService<Either<Cors<Web>, Web>>;

/// How [`serve`] serves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Bounds of the listener.
    pub limits: ListenerLimits,
    /// Threads that serve connections. One per core this process may use.
    pub edge_threads: NonZeroUsize,
    /// Web origins (`https://host[:port]`) whose pages may call over gRPC-Web, or a lone `*` for all. None.
    pub cors_origins: Vec<String>,
    /// Hosts (`host[:port]`) that requests may name beside the listener's own address and, on loopback, localhost; or
    /// `*` for all. Behind a proxy that keeps the public host, and where clients reach the server by a name. None.
    pub allowed_hosts: Vec<String>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            limits: ListenerLimits::default(),
            edge_threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
        }
    }
}

/// The caller's two words to a running server. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Close the listening socket, tell every connection to go away, finish what is open.
    pub drain: CancellationToken,
    /// Drop what is still open and return. Implies a drain.
    pub stop: CancellationToken,
}

/// Serves the routes over gRPC and gRPC-Web until drained or stopped.
///
/// After `drain` it returns once every connection is closed, at the latest after
/// [`drain_grace`](ListenerLimits::drain_grace) and [`closing_linger`](ListenerLimits::closing_linger);
/// after `stop` within 200 ms, whatever peers and handlers do. Dropping the future stops the server.
///
/// Accepts on the current runtime, which needs I/O and time; handlers run, and what they spawn runs, on the
/// edge thread of their connection. Each request carries a [`ConnectionInfo`](super::ConnectionInfo) and,
/// when its caller set one, a [`Deadline`](super::Deadline).
///
/// # Errors
///
/// When an origin or allowed host is malformed, or the system refuses a thread or to watch the socket. Nothing is served
/// then.
pub async fn serve(
    listener: std::net::TcpListener,
    routes: Routes,
    options: ServeOptions,
    lifecycle: Lifecycle,
) -> io::Result<ServeReport> {
    serve_router(listener, routes.into(), options, lifecycle).await
}

/// [`serve`], with JobService beside the routes.
pub(super) async fn serve_router(
    listener: std::net::TcpListener,
    router: Router,
    options: ServeOptions,
    lifecycle: Lifecycle,
) -> io::Result<ServeReport> {
    let cors = cors_layer(&options.cors_origins)?;
    let policy = HostPolicy::new(listener.local_addr()?, &options.allowed_hosts, &options.cors_origins)?;
    let hosts = HostLayer::new(policy);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let lifecycle = Lifecycle { drain: lifecycle.drain, stop: lifecycle.stop.child_token() };
    let _stop_when_dropped = lifecycle.stop.clone().drop_guard();

    let tally = Arc::new(Tally::default());
    let limits = Arc::new(options.limits);
    let budgets = Budgets::new(limits.connection_bytes_max, limits.connections_bytes_max);
    let mut threads = Vec::new();
    let mut edges = Vec::new();
    for index in 0..options.edge_threads.get() {
        let stack = stack(router.for_edge(), cors.as_ref(), &hosts);
        let (thread, edge) = EdgeThread::start(
            index,
            stack,
            limits.clone(),
            lifecycle.clone(),
            (tally.clone(), budgets.clone()),
        )?;
        threads.push(thread);
        edges.push(edge);
    }

    let descriptors = Descriptors::now();
    let listener = Listener::new(listener, edges, places(&limits, &descriptors), descriptors, tally.clone());
    tokio::select! {
        biased;
        () = lifecycle.stop.cancelled() => {}
        () = lifecycle.drain.cancelled() => {}
        () = listener.run() => {}
    }
    tokio::select! {
        () = join_all(threads) => {}
        () = past_stop(&lifecycle.stop) => tracing::warn!("an edge thread is busy: left it behind"),
    }
    Ok(tally.report())
}

fn stack(router: Router, cors: Option<&CorsLayer>, hosts: &HostLayer) -> Stack {
    let web = ServiceBuilder::new().layer(GrpcWebLayer::new()).layer(DeadlineLayer).service(router);
    hosts.layer(match cors {
        Some(cors) => Either::Left(cors.layer(web)),
        None => Either::Right(web),
    })
}

/// The connections that the limits allow and the descriptors suffice for.
fn places(limits: &ListenerLimits, descriptors: &Descriptors) -> Places {
    let (wanted, possible) = (limits.max_connections, descriptors.connections_max);
    if let Some(limit) = descriptors.limit.filter(|_| possible < wanted) {
        tracing::warn!(
            "connections_max is {wanted}, but the limit of {limit} open files leaves {possible}: that is the bound now; \
             raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) or lower connections_max"
        );
    }
    Places {
        max: wanted.min(possible),
        per_address_max: limits.max_connections_per_address,
        closing_max: descriptors.closing_max,
    }
}

async fn join_all(threads: Vec<EdgeThread>) {
    for thread in threads {
        thread.join().await;
    }
}

async fn past_stop(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_TIME_MAX).await;
}
