//! Measures the cost of the server, each figure beside that of a bare gRPC echo in the same run.
//!
//! Each server under test is a child process, so that its CPU time and memory are measured apart from the load
//! generator's. Rounds are interleaved, because the speed of a machine changes over time: trust the ratios first, then
//! the server's CPU time, then the rates.

/// The allocator of the `jobstream` binary.
#[cfg(all(feature = "mimalloc", not(feature = "count-allocations")))]
#[path = "../../src/bin/jobstream/allocator.rs"]
mod allocator;
mod calls;
mod child;
mod echo;
mod http;
mod jobs;
mod overload;
#[path = "../../src/bin/jobstream/pages.rs"]
mod pages;
mod probe;
mod report;
mod restart;
mod sample;
mod server;
mod stream;
mod tls;
mod watch;
mod wire;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use pages::allow_huge_pages;
use probe::Probe;
use report::Report;
use server::ServerKind;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// First argument of a child process, followed by a [`ServerKind`] and its location: the port of a worker's server, or
/// the directory of a log.
const HIDDEN_COMMAND: &str = "__bench-server";

/// Any error, because every error fails the run.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const EXAMPLES: &str = "\
Starts its own servers, each in a process of its own, and takes about half a
minute a scenario. Build with --profile dist. `durable` and `restart` write
below TMPDIR.

Examples:
  jobstream-bench
  jobstream-bench submit run --seconds 5 --rounds 7
  TMPDIR=/var/tmp jobstream-bench durable
  jobstream-bench -o json > figures.json";

/// Measure a jobstream server beside a bare gRPC echo
#[derive(Debug, Clone, Parser)]
#[command(name = "jobstream-bench", after_help = EXAMPLES, max_term_width = 80)]
struct Bench {
    /// submit, enqueue, run, http, tls, identity, submit-stream, remote, durable, restart, backlog, overload, watch, latency or
    /// memory; all of them if none is given
    #[arg(value_enum, hide_possible_values = true, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Length of each measurement
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    seconds: f64,
    /// How often each is measured, in turn with the others
    #[arg(long, default_value = "5", value_name = "COUNT")]
    rounds: NonZeroUsize,
    /// HTTP/2 connections of the load
    #[arg(long, default_value = "4", value_name = "COUNT")]
    connections: NonZeroUsize,
    /// Calls open at a time, on all connections together
    #[arg(long, default_value = "64", value_name = "COUNT")]
    in_flight: NonZeroUsize,
    /// Watchers of one job
    #[arg(long, default_value = "10000", value_name = "COUNT")]
    watchers: NonZeroUsize,
    /// Queued jobs: for their memory, while other calls are measured, and when a server restarts
    #[arg(long, default_value = "1000000", value_name = "COUNT")]
    jobs: NonZeroU32,
    /// json, jsonl or table
    #[arg(short, long, default_value = "table", value_name = "FORMAT", hide_possible_values = true)]
    output: OutputFormat,
    /// No progress on stderr
    #[arg(short, long)]
    quiet: bool,
}

/// The format of the report on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// Indented JSON.
    Json,
    /// JSON on one line.
    Jsonl,
    /// Aligned columns.
    Table,
}

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Submit of jobs that run at once
    Submit,
    /// Submit of jobs that stay queued, and their memory
    Enqueue,
    /// Run: submit to outcome in one call
    Run,
    /// Submit as HTTP/JSON, beside a bare JSON echo of axum
    Http,
    /// Submit over TLS, beside the same in plain text
    Tls,
    /// Submit with a token and grants, beside the same without
    Identity,
    /// SubmitStream with outcomes, 1 and 100 jobs a message
    SubmitStream,
    /// The same with the jobs run by a worker in a process of its own
    Remote,
    /// Submit and SubmitStream in memory and with a log on disk
    Durable,
    /// From the start of a server with a log on disk to its first answer: empty, and after kill -9 with queued jobs
    Restart,
    /// Submit and SubmitStream while many jobs are queued
    Backlog,
    /// Ten times as many jobs as a small server can run: latency of accepted and of refused ones
    Overload,
    /// One event to many watchers, the memory of an idle watch, and how soon it is freed after the watchers left
    Watch,
    /// One call in flight
    Latency,
    /// Memory of queued jobs
    Memory,
}

/// The reason why a measurement failed.
#[derive(Debug)]
struct Failed(String);

impl Failed {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {}

fn main() -> ExitCode {
    let ended = match hidden_server() {
        Some((kind, location)) => server::serve(kind, &location),
        None => Bench::parse().run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The kind of server and its location, if this process is a child of a bench.
fn hidden_server() -> Option<(ServerKind, String)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(HIDDEN_COMMAND) {
        return None;
    }
    let kind = ServerKind::from_str(&arguments.next()?, false).ok()?;
    Some((kind, arguments.next().unwrap_or_default()))
}

impl Bench {
    fn run(self) -> Result<()> {
        let report = self.measure()?;
        let text = match self.output {
            OutputFormat::Json => format!("{:#}", report.to_json()),
            OutputFormat::Jsonl => report.to_json().to_string(),
            OutputFormat::Table => report.to_table(),
        };
        writeln!(io::stdout(), "{text}")?;
        Ok(())
    }

    fn measure(&self) -> Result<Report> {
        allow_huge_pages(false)?;
        // One thread generates the load: more would take the server's cores and measure the scheduler.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut report =
            Report { rounds: self.probes().into_iter().map(|probe| (probe, Vec::new())).collect() };
        for round in 1..=self.rounds.get() {
            for (probe, samples) in &mut report.rounds {
                if !self.quiet {
                    eprintln!("round {round} of {}: {}", self.rounds, probe.name());
                }
                let failed = |error| Failed(format!("{}: {error}", probe.name()));
                samples.push(runtime.block_on(probe.measure(self)).map_err(failed)?);
            }
        }
        Ok(report)
    }

    /// The measurements of the chosen scenarios, each once and after those that it is compared with.
    fn probes(&self) -> Vec<Probe> {
        let all = Scenario::value_variants();
        let wanted = if self.scenarios.is_empty() { all } else { &self.scenarios[..] };
        let wanted = wanted.iter().flat_map(|scenario| scenario.probes());
        let mut probes = Vec::new();
        for probe in wanted.flat_map(|probe| probe.beside().into_iter().chain([probe])) {
            if !probes.contains(&probe) {
                probes.push(probe);
            }
        }
        probes
    }
}
