//! `jobstream run`: submits a job, watches it and prints its result.

use clap::Args;

use crate::connect::{ClientArgs, ReconnectArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt;
use crate::output::GlobalArgs;
use crate::served;
use crate::spec::JobArgs;
use crate::submit::watch_to_end;

const EXAMPLES: &str = "\
Output and the result go to stdout, progress and logs to stderr. With -o json
the whole end is one object; with -o jsonl every event is a line. The exit code
is the job's outcome (see `jobstream --help`).

Examples:
  jobstream run demo.echo '{\"hi\": \"there\"}'
  jobstream run demo.count '{\"to\": 5}' -o jsonl | jq .event.progress
  jobstream run demo.sleep '{\"seconds\": 60}' --cancel-on-interrupt";

/// Run one job: submit it, watch it, print its result
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    job: JobArgs,
    /// Submit only if a connected worker serves the kind
    #[arg(long)]
    require_worker: bool,
    /// Ctrl-C cancels the job; without it the job continues
    #[arg(long, help_heading = "Waiting")]
    cancel_on_interrupt: bool,
    #[command(flatten, next_help_heading = "Waiting")]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl Run {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let spec = self.job.spec()?;
        let interrupts = interrupt::listen(Exit::Interrupted, None)?;
        let client = self.client.reconnecting(global, self.reconnect).await?;
        if self.require_worker {
            served::require_worker(&client, &spec).await?;
        }
        watch_to_end(&client, spec, self.cancel_on_interrupt, interrupts).await
    }
}
