//! The servers under test. Each runs in a child process, so that its CPU time and memory are measured alone.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process;
use std::thread;

use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use clap::ValueEnum;
use jobstream::access::Grants;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{self, Identity, IdentityOptions, Server, ServerOptions, Shutdown, StaticToken};
use jobstream::worker::{RemoteOptions, Worker, demo};
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;

use super::echo::EchoService;
use super::jobs::REMOTE_KIND;
use super::{Failed, Result, http, overload, tls};
use crate::pages::allow_huge_pages;

/// The header of a caller of the server that verifies callers.
pub(super) const AUTHORIZATION: &str = "Bearer jst_bench0123456789abcdefghijklmnopqrstuvwxyz012";
/// Bound of the queue, large enough that no job of a fast run is refused.
const JOBS_MAX: u32 = 50_000_000;

/// The role of a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ServerKind {
    /// The whole job server, as `dev` starts it.
    Jobs,
    /// The job server with a log on disk.
    Durable,
    /// The job server over TLS.
    Tls,
    /// The job server that verifies the token of each call.
    Identity,
    /// The job server with capacity for few jobs.
    Small,
    /// The echo behind our listener: one single-threaded runtime a core.
    Echo,
    /// The echo behind tonic's own server, on the multi-thread runtime.
    EchoStock,
    /// A bare JSON echo of axum, on the multi-thread runtime.
    EchoHttp,
    /// A worker, connected to a job server.
    Worker,
}

/// Serves on a free port and writes the port to standard output. For each line of standard input, writes the number of
/// allocations so far. Ends when standard input closes.
///
/// The location of a worker is the port of its server, that of a durable server the directory of its log, that of a server over
/// TLS the directory of its certificate.
pub(super) fn serve(kind: ServerKind, location: &str) -> Result<()> {
    thread::spawn(|| {
        // The end of the input, or an error, means that the parent has ended or is done.
        for _ in io::stdin().lines().map_while(Result::ok) {
            if send_to_parent(allocations()).is_err() {
                break;
            }
        }
        process::exit(0);
    });
    // As `jobstream serve` does.
    let is_job_server = matches!(
        kind,
        ServerKind::Jobs | ServerKind::Tls | ServerKind::Identity | ServerKind::Durable | ServerKind::Small
    );
    allow_huge_pages(!is_job_server)?;
    if kind == ServerKind::Worker {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(work(location.parse()?));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    send_to_parent(listener.local_addr()?.port())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match kind {
            ServerKind::Jobs => serve_jobs(listener, None).await,
            ServerKind::Durable => serve_jobs(listener, Some(Path::new(location))).await,
            ServerKind::Tls => serve_tls(listener, Path::new(location)).await,
            ServerKind::Identity => serve_identity(listener).await,
            ServerKind::Small => serve_few_jobs(listener).await,
            ServerKind::Echo => serve_echo(listener).await,
            ServerKind::EchoStock => serve_stock_echo(listener).await,
            ServerKind::EchoHttp => serve_http_echo(listener).await,
            ServerKind::Worker => Ok(()),
        }
    })
}

/// Writes a number to the parent process.
fn send_to_parent(number: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{number}")
}

/// Allocations of this process so far, if this build counts them.
fn allocations() -> usize {
    #[cfg(feature = "count-allocations")]
    return stats_alloc::INSTRUMENTED_SYSTEM.stats().allocations;
    #[cfg(not(feature = "count-allocations"))]
    0
}

async fn work(port: u16) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true).connect_lazy();
    let worker = Worker::new().name("bench").inline_handler(REMOTE_KIND, |job| Ok(job.payload));
    let worker = worker.connect(channel, RemoteOptions::default())?;
    if !worker.connected().await {
        return Err(Failed::new("the worker cannot connect").into());
    }
    send_to_parent(port)?;
    worker.wait().await;
    Ok(())
}

async fn serve_jobs(listener: TcpListener, directory: Option<&Path>) -> Result<()> {
    let options = engine_options();
    let engine = match directory {
        Some(directory) => Engine::open(options, directory)?,
        None => Engine::start(options),
    };
    serve_engine(listener, engine, Worker::new(), ServerOptions::default()).await
}

async fn serve_tls(listener: TcpListener, directory: &Path) -> Result<()> {
    let mut options = ServerOptions::default();
    options.serve.tls = Some(tls::load(directory)?);
    serve_engine(listener, Engine::start(engine_options()), Worker::new(), options).await
}

/// Serves one caller, whose grants are checked for each call.
async fn serve_identity(listener: TcpListener) -> Result<()> {
    let mut callers = IdentityOptions::default();
    let grants = Grants::parse(["submit queue=* kind=demo.*", "read own", "list own"])?;
    callers.tokens.push(StaticToken::new("bench", AUTHORIZATION.trim_start_matches("Bearer "), grants)?);
    let mut options = ServerOptions::default();
    options.serve.identity = Some(Identity::new(callers)?);
    serve_engine(listener, Engine::start(engine_options()), Worker::new(), options).await
}

fn engine_options() -> EngineOptions {
    let mut options = EngineOptions::default();
    options.core.jobs_max = JOBS_MAX;
    options.core.job_bytes_max = u64::MAX;
    options
}

async fn serve_few_jobs(listener: TcpListener) -> Result<()> {
    let mut options = EngineOptions::default();
    options.core.jobs_max = overload::JOBS_MAX;
    let worker = Worker::new().slots(overload::SLOTS);
    serve_engine(listener, Engine::start(options), worker, ServerOptions::default()).await
}

async fn serve_engine(
    listener: TcpListener,
    engine: Engine,
    worker: Worker,
    options: ServerOptions,
) -> Result<()> {
    #[cfg(all(feature = "mimalloc", not(feature = "count-allocations")))]
    tokio::spawn(crate::allocator::keep_purging());
    let worker = demo::add_to(worker).start(&engine)?;
    let server = Server::new(engine, options).with_worker(worker);
    server.run(listener, Shutdown::default()).await?;
    Ok(())
}

async fn serve_echo(listener: TcpListener) -> Result<()> {
    let routes = Routes::new(EchoService);
    server::serve(listener, routes, server::ServeOptions::default(), Shutdown::default()).await?;
    Ok(())
}

async fn serve_stock_echo(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder().add_service(EchoService).serve_with_incoming(incoming).await?;
    Ok(())
}

async fn serve_http_echo(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        // An error shows as a slow echo.
        let _ = stream.set_nodelay(true);
    });
    let echo = |Json(value): Json<serde_json::Value>| async { Json(value) };
    axum::serve(listener, Router::new().route(http::ECHO_PATH, post(echo))).await?;
    Ok(())
}
