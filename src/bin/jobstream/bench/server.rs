//! The servers under test. Each runs in a child process, so that its CPU time and memory are its own.

use std::io;
use std::net::TcpListener;
use std::process;
use std::thread;

use clap::ValueEnum;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{self, Lifecycle, Server, ServerOptions, Shutdown};
use jobstream::worker::{Worker, demo};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use super::Result;
use super::echo::EchoService;

/// The queue's bound, in jobs, so that a fast run is not refused.
const JOBS_MAX: u32 = 50_000_000;

/// What a child process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerKind {
    /// The whole job server, as `dev` starts it.
    Jobs,
    /// The echo behind our listener: one runtime a core.
    Echo,
    /// The echo behind tonic's own server, on the multi-thread runtime.
    EchoStock,
}

/// Serves on a free port, tells the port on standard output, and ends the process when standard input closes.
pub(crate) fn serve(kind: ServerKind) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(|| {
        // However reading ends, the parent is gone or done.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match kind {
            ServerKind::Jobs => serve_jobs(listener).await,
            ServerKind::Echo => serve_echo(listener).await,
            ServerKind::EchoStock => serve_stock_echo(listener).await,
        }
    })
}

async fn serve_jobs(listener: TcpListener) -> Result<()> {
    let mut options = EngineOptions::default();
    options.core.jobs_max = JOBS_MAX;
    options.core.job_bytes_max = u64::MAX;
    let engine = Engine::start(options);
    let worker = demo::add_to(Worker::new()).start(&engine)?;
    let server = Server::new(engine, ServerOptions::default()).with_worker(worker);
    server.run(listener, Shutdown::default()).await?;
    Ok(())
}

async fn serve_echo(listener: TcpListener) -> Result<()> {
    let routes = Routes::new(EchoService);
    server::serve(listener, routes, server::ServeOptions::default(), Lifecycle::default()).await?;
    Ok(())
}

async fn serve_stock_echo(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder().add_service(EchoService).serve_with_incoming(incoming).await?;
    Ok(())
}
