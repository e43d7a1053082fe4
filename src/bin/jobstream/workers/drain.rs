//! `jobstream workers drain`: gives a worker nothing more and has it end.

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::DrainWorkerRequest;

use crate::connect::ClientArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{Voice, text};
use crate::units;

const EXAMPLES: &str = "\
Prints the workers that drain and returns at once. They finish what they run
within the time given, give back the rest and end; the server's own cannot be
drained.

Examples:
  jobstream workers drain w7
  jobstream workers drain resizer --within 5m";

/// Drain a worker: no further jobs, finish, end
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Drain {
    /// Id of a worker, or a name: then all of that name
    #[arg(value_name = "ID|NAME")]
    worker: String,
    /// How long running jobs may take; at most 24h
    #[arg(long, value_name = "SPAN", value_parser = units::duration, default_value = "30s")]
    within: Duration,
    #[command(flatten)]
    client: ClientArgs,
}

impl Drain {
    /// Runs the command.
    pub(super) async fn run(self, voice: Voice) -> Result<Exit> {
        let within = units::to_proto(self.within).map_err(|why| Error::usage(format!("--within {why}")))?;
        let client = self.client.connect(voice).await?;
        let request = DrainWorkerRequest { worker: self.worker, within: Some(within) };
        let call = async |request| client.admin().drain_worker(request).await;
        let drained = client.retried(request, call).await?.workers;
        super::show(&client, &drained)?;
        let jobs: u32 = drained.iter().map(|worker| worker.slots_taken).sum();
        let (within, jobs) = (text::duration(self.within), text::counted(jobs.into(), "job", "jobs"));
        let workers = text::counted(drained.len() as u64, "worker", "workers");
        client.output.notice(&format!("draining {workers} with {jobs} running, up to {within}"));
        Ok(Exit::Ok)
    }
}
