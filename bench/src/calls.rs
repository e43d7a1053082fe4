//! Calls in a closed loop: a fixed number in flight, each followed by the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use tokio::task::JoinSet;

use super::Result;
use super::child::ServerProcess;
use super::sample::{Sample, Window};
use super::server::AUTHORIZATION;
use super::wire::{Call, Connection};

/// Checks the body of an OK response.
pub(super) type Check = fn(&[u8]) -> Result<()>;

/// The concurrency and length of a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// HTTP/2 connections.
    pub(super) connections: usize,
    /// Calls open at a time, on all connections together.
    pub(super) in_flight: usize,
    /// Length of the measurement, in seconds.
    pub(super) seconds: f64,
}

/// State shared by the tasks that call.
#[derive(Default)]
pub(super) struct Progress {
    calls: AtomicU64,
    measuring: AtomicBool,
    stop: AtomicBool,
}

impl Progress {
    /// Whether the tasks have to call again.
    pub(super) fn is_running(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// Counts a call that began then. Adds its latency, in nanoseconds, if it is measured.
    pub(super) fn count(&self, begin: Instant, latencies: &mut Vec<u64>) {
        self.calls.fetch_add(1, Relaxed);
        if self.measuring.load(Relaxed) {
            latencies.push(begin.elapsed().as_nanos() as u64);
        }
    }
}

/// Repeats the call and measures it after a warm-up.
pub(super) async fn measure(server: &ServerProcess, load: Load, call: Call, check: Check) -> Result<Sample> {
    let mut connections = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let connection = match server.tls() {
            Some(connector) => Connection::open_tls(server.port(), connector).await?,
            None => Connection::open(server.port()).await?,
        };
        connections.push(match server.is_identifying() {
            true => connection.with_token(AUTHORIZATION),
            false => connection,
        });
    }
    let progress = Arc::new(Progress::default());
    let mut callers = JoinSet::new();
    for index in 0..load.in_flight {
        let connection = connections[index % connections.len()].clone();
        callers.spawn(repeat(connection, call.clone(), check, progress.clone()));
    }
    measure_callers(server, load, &progress, callers).await
}

/// Measures the tasks that call after a warm-up, and stops them. Each returns the latencies of its measured calls.
pub(super) async fn measure_callers(
    server: &ServerProcess,
    load: Load,
    progress: &Progress,
    mut callers: JoinSet<Result<Vec<u64>>>,
) -> Result<Sample> {
    let window = Window::after_warm_up(server, || progress.calls.load(Relaxed)).await?;
    progress.measuring.store(true, Relaxed);
    let mut sample = window.end_after(load.seconds, server, || progress.calls.load(Relaxed)).await?;
    progress.stop.store(true, Relaxed);
    while let Some(latencies) = callers.join_next().await {
        sample.add_latencies(&latencies??);
    }
    sample.sort_latencies();
    Ok(sample)
}

/// Repeats the call on one connection. Returns the latency of each measured call, in nanoseconds.
async fn repeat(
    mut connection: Connection,
    call: Call,
    check: Check,
    progress: Arc<Progress>,
) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    while progress.is_running() {
        let begin = Instant::now();
        check(&connection.call(&call).await?)?;
        progress.count(begin, &mut latencies);
    }
    Ok(latencies)
}
