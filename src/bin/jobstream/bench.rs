//! `jobstream bench`: what the server costs, each figure beside that of a bare gRPC echo of the same run.
//!
//! The server under test is a child process, so its CPU time and memory are measured apart from the load's. Rounds
//! are interleaved, because the machine is not equally quiet all the time: trust the ratios, then the server's CPU
//! time, then rates.

mod calls;
mod child;
mod echo;
mod jobs;
mod lane;
mod probe;
mod report;
mod sample;
mod server;
mod watch;
mod wire;

use std::error::Error;
use std::fmt;

use clap::{Args, ValueEnum};

use probe::Probe;
use report::Report;
pub(crate) use server::{ServerKind, serve};

/// What the children of a bench are started with, followed by a [`ServerKind`].
pub(crate) const HIDDEN_COMMAND: &str = "__bench-server";

/// Any error, because every error fails the run.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const EXAMPLES: &str = "\
Starts its own servers, each in a process of its own, and needs about half a
minute a scenario. Build with --release.

Examples:
  jobstream bench submit
  jobstream bench submit-stream run --rounds 3 --seconds 1 -o json";

/// Measure this machine's job server beside a bare gRPC echo
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// What to measure. Default: everything
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Length of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often each is measured, in turn with the others
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// HTTP/2 connections of the load
    #[arg(long, default_value_t = 4, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    connections: usize,
    /// Calls open at a time, on all connections together
    #[arg(long, default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    in_flight: usize,
    /// Watchers of one job
    #[arg(long, default_value_t = 10_000)]
    watchers: usize,
    /// Queued jobs whose memory is measured
    #[arg(long, default_value_t = 300_000)]
    jobs: u64,
    /// How to print the figures
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Submit of jobs that run at once
    Submit,
    /// Submit of jobs that stay queued, and their memory
    Enqueue,
    /// Run: submit to outcome in one call
    Run,
    /// SubmitStream with outcomes, 1 and 100 jobs a message
    SubmitStream,
    /// One event to many watchers, and the memory of an idle one
    Watch,
    /// One call in flight
    Latency,
    /// Memory of queued jobs
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// A failed measurement: what was wrong.
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

/// Measures and prints.
///
/// # Errors
///
/// The first call that was not answered right, or a server that did not start.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    // One thread makes the load: more would take the server's cores and measure the scheduler.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(args))?;
    match args.output {
        Output::Table => println!("{}", report.to_table()),
        Output::Json => println!("{}", report.to_json()?),
    }
    Ok(())
}

async fn measure(args: &BenchArgs) -> Result<Report> {
    let mut report = Report { rounds: probes(args).into_iter().map(|probe| (probe, Vec::new())).collect() };
    for round in 1..=args.rounds {
        for (probe, samples) in &mut report.rounds {
            eprintln!("round {round} of {}: {}", args.rounds, probe.name());
            let failed = |error| Failed(format!("{}: {error}", probe.name()));
            samples.push(probe.measure(args).await.map_err(failed)?);
        }
    }
    Ok(report)
}

/// What was asked for, each echo once and first.
fn probes(args: &BenchArgs) -> Vec<Probe> {
    let all = Scenario::value_variants();
    let wanted = if args.scenarios.is_empty() { all } else { &args.scenarios[..] };
    let wanted: Vec<_> = wanted.iter().flat_map(|scenario| scenario.probes()).collect();
    let mut probes = Vec::new();
    for probe in wanted.iter().flat_map(|probe| probe.echoes()).chain(wanted.iter().copied()) {
        if !probes.contains(&probe) {
            probes.push(probe);
        }
    }
    probes
}
