//! `jobstream workers drain`: drains workers.

use std::time::Duration;

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, text};
use crate::units;

const EXAMPLES: &str = "\
Prints the draining workers and returns at once. They finish running attempts
within the given time, return the others to the server and end. The server's
own worker cannot be drained.

Examples:
  jobstream workers drain w7
  jobstream workers drain resizer --within 5m";

/// Drain a worker: no new jobs, finish, end
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Drain {
    /// Id of a worker, or the name of one or more
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
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let drained = client.call(client.api.drain_worker(self.worker, self.within)).await?;
        super::show(&client, &drained)?;
        let jobs: u32 = drained.iter().map(|worker| worker.slots_taken).sum();
        let (within, jobs) = (text::duration(self.within), text::counted(jobs.into(), "job", "jobs"));
        let workers = text::counted(drained.len() as u64, "worker", "workers");
        client.output.notice(&format!("draining {workers} with {jobs} running, up to {within}"));
        Ok(Exit::Ok)
    }
}
