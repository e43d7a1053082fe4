//! `jobstream result`: shows how a job ended, or waits for its end.

use std::time::Duration;

use clap::Args;

use crate::connect::{ClientArgs, ReconnectArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt;
use crate::job_id::{self, IdArg};
use crate::outcome::JobResult;
use crate::output::GlobalArgs;
use crate::units;
use crate::wait::{get_result, show_outcome_or_state, wait_and_show};

const EXAMPLES: &str = "\
Prints the result itself; with -o json the whole end. The exit code is the
job's outcome, or 6 if the job has not ended (see `jobstream --help`).

Examples:
  id=$(jobstream submit demo.sleep '{\"seconds\": 2}')
  jobstream result $id --wait=30s
  jobstream result $id -o json";

/// Get a job's result
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GetResult {
    /// Id, or at least its last 8 characters
    id: IdArg,
    /// Wait for the end, at most this long if given
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(num_args = 0..=1, require_equals = true)]
    wait: Option<Option<Duration>>,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl GetResult {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.reconnecting(global, self.reconnect).await?;
        let job_id = job_id::resolve_one(&client, &self.id).await?;
        if let Some(limit) = self.wait {
            let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
            return wait_and_show(&client, job_id, limit, &mut interrupts).await;
        }
        let answer = get_result(&client, job_id).await?;
        show_outcome_or_state(&client, &JobResult { job_id, answer })
    }
}
