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
mod overload;
mod probe;
mod report;
mod restart;
mod sample;
mod server;
mod watch;
mod wire;

use std::error::Error;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::error::Error as CommandError;
use crate::exit::Exit;
use crate::output::{Output, OutputFormat, Voice};
use crate::pages::allow_huge_pages;
use probe::Probe;
use report::Report;
use server::ServerKind;

/// What the children of a bench are started with, followed by a [`ServerKind`] and its place: the port of a worker's
/// server, the directory of a log.
const HIDDEN_COMMAND: &str = "__bench-server";

/// Any error, because every error fails the run.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const EXAMPLES: &str = "\
Starts its own servers, each in a process of its own, and takes about half a
minute a scenario. Build with --release. `durable` and `restart` write below
TMPDIR.

Examples:
  jobstream bench
  jobstream bench submit run --seconds 5 --rounds 7
  TMPDIR=/var/tmp jobstream bench durable
  jobstream bench -o json > figures.json";

/// Measure the server beside a bare gRPC echo
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// submit, enqueue, run, submit-stream, remote, durable, restart, crowded, overload, watch, latency or memory; all of
    /// them if none is given
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
    /// Jobs that wait: for their memory, while others are measured, and when a server restarts
    #[arg(long, default_value = "1000000", value_name = "COUNT")]
    jobs: NonZeroU32,
    /// json, jsonl or table
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<OutputFormat>,
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
    /// The same with the jobs run by a worker in a process of its own
    Remote,
    /// Submit and SubmitStream in memory and with a log on disk
    Durable,
    /// From the start of a server with a log on disk to its first answer: empty, and after kill -9 with queued jobs
    Restart,
    /// Submit and SubmitStream while many jobs wait
    Crowded,
    /// Ten times as many jobs as a small server can run: what becomes of those it takes, and of those it refuses
    Overload,
    /// One event to many watchers, the memory of an idle one, and when it is back after they left
    Watch,
    /// One call in flight
    Latency,
    /// Memory of queued jobs
    Memory,
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

/// What this process is to be, if it is a child of a bench.
pub(crate) fn hidden_server() -> Option<(ServerKind, String)> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some(HIDDEN_COMMAND) {
        return None;
    }
    let kind = ServerKind::from_str(&words.next()?, false).ok()?;
    Some((kind, words.next().unwrap_or_default()))
}

/// Is such a server or worker until the bench is done with it.
pub(crate) fn serve(kind: ServerKind, place: &str) -> ExitCode {
    match server::serve(kind, place) {
        Ok(()) => Exit::Ok.into(),
        Err(_) => Exit::Other.into(),
    }
}

impl Bench {
    /// Runs the command.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, CommandError> {
        let output = Output::new(voice, self.output);
        let failed = |error| CommandError::new(Exit::Other, format!("the bench failed: {error}"));
        let report = self.measure(&output).map_err(failed)?;
        match output.format.is_json() {
            true => output.json(&report.to_json())?,
            false => output.line(&report.to_table())?,
        }
        Ok(Exit::Ok)
    }

    fn measure(&self, output: &Output) -> Result<Report> {
        allow_huge_pages(false);
        // One thread makes the load: more would take the server's cores and measure the scheduler.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut report =
            Report { rounds: self.probes().into_iter().map(|probe| (probe, Vec::new())).collect() };
        for round in 1..=self.rounds.get() {
            for (probe, samples) in &mut report.rounds {
                output.notice(&format!("round {round} of {}: {}", self.rounds, probe.name()));
                let failed = |error| Failed(format!("{}: {error}", probe.name()));
                samples.push(runtime.block_on(probe.measure(self)).map_err(failed)?);
            }
        }
        Ok(report)
    }

    /// What was asked for, each once and behind what it is compared with.
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
