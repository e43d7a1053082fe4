//! One measurement: the number of calls, their time, and the cost for the server and the load generator.

use std::time::{Duration, Instant};

use super::Result;
use super::child::{ServerProcess, Usage, own_usage};

/// Time under load before a measurement, until caches, pools and windows have grown.
pub(super) const WARM_UP: Duration = Duration::from_millis(400);

/// The result of one measurement.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Calls, jobs or watchers.
    pub(super) count: u64,
    pub(super) seconds: f64,
    /// CPU microseconds of the server for each.
    pub(super) server_micros: f64,
    /// CPU microseconds of the load generator for each.
    pub(super) load_micros: f64,
    /// CPU microseconds of the worker for each, if there is one.
    pub(super) worker_micros: Option<f64>,
    /// Context switches of the server for each.
    pub(super) switches: f64,
    /// Allocations of the server for each, if this build counts them.
    pub(super) allocations: f64,
    /// Growth of the server's memory for each, in bytes.
    pub(super) growth_bytes: f64,
    /// Bytes of the server's log for each.
    pub(super) logged_bytes: f64,
    /// Sorted once complete, in nanoseconds.
    latencies: Vec<u64>,
}

impl Sample {
    /// The difference between two readings of the processes.
    pub(super) fn between(
        count: u64,
        seconds: f64,
        server: (Usage, Usage),
        load: (Usage, Usage),
        worker: Option<(Usage, Usage)>,
    ) -> Self {
        let each = |amount: f64| amount / count.max(1) as f64;
        let micros = |(before, after): (Usage, Usage)| {
            each((after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e6)
        };
        let growth = server.1.anonymous_bytes as f64 - server.0.anonymous_bytes as f64;
        Self {
            count,
            seconds,
            server_micros: micros(server),
            load_micros: micros(load),
            worker_micros: worker.map(micros),
            switches: each(server.1.switches.saturating_sub(server.0.switches) as f64),
            allocations: each(server.1.allocations.saturating_sub(server.0.allocations) as f64),
            growth_bytes: each(growth),
            logged_bytes: each(server.1.logged_bytes.saturating_sub(server.0.logged_bytes) as f64),
            latencies: Vec::new(),
        }
    }

    /// How many a second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Adds latencies of calls, in nanoseconds.
    pub(super) fn add_latencies(&mut self, nanos: &[u64]) {
        self.latencies.extend_from_slice(nanos);
    }

    /// Sorts the latencies, once all of them are added.
    pub(super) fn sort_latencies(&mut self) {
        self.latencies.sort_unstable();
    }

    /// Makes the time of the whole measurement its only latency.
    pub(super) fn once(self) -> Self {
        let nanos = (self.seconds * 1e9) as u64;
        Self { latencies: vec![nanos], ..self }
    }

    /// The latency that this share of the calls did not exceed, in microseconds.
    pub(super) fn latency_micros(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        let index = (last as f64 * share).round() as usize;
        Some(self.latencies[index] as f64 / 1_000.0)
    }
}

/// A measurement that has begun.
pub(super) struct Window {
    begin: Instant,
    count: u64,
    server: Usage,
    load: Usage,
    worker: Option<Usage>,
}

impl Window {
    /// Begins now.
    pub(super) fn begin(server: &ServerProcess, count: u64) -> Result<Self> {
        let worker = server.worker_usage()?;
        Ok(Self { begin: Instant::now(), count, server: server.usage()?, load: own_usage()?, worker })
    }

    /// Begins after the warm-up.
    pub(super) async fn after_warm_up(server: &ServerProcess, count: impl Fn() -> u64) -> Result<Self> {
        tokio::time::sleep(WARM_UP).await;
        Self::begin(server, count())
    }

    /// Ends after this many seconds.
    pub(super) async fn end_after(
        self,
        seconds: f64,
        server: &ServerProcess,
        count: impl Fn() -> u64,
    ) -> Result<Sample> {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        self.end(server, count())
    }

    /// Ends now.
    pub(super) fn end(self, server: &ServerProcess, count: u64) -> Result<Sample> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let worker = server.worker_usage()?;
        let (server, load) = ((self.server, server.usage()?), (self.load, own_usage()?));
        let worker = self.worker.zip(worker);
        Ok(Sample::between(count - self.count, seconds, server, load, worker))
    }
}
