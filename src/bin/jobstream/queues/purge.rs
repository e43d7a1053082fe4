//! `jobstream queues purge`: cancels every waiting job of a queue, after a confirmation.

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::json;

use crate::connect::{Client, ClientArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{GlobalArgs, text};
use crate::stderr;

const EXAMPLES: &str = "\
Prints the number of cancelled jobs. Running jobs continue.

Examples:
  jobstream queues purge default
  jobstream queues purge default --yes";

/// Cancel every waiting job of a queue
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Purge {
    /// Name of the queue
    queue: String,
    /// Do not ask; required without a terminal
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl Purge {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !self.yes && !can_ask {
            return Err(Error::usage(
                "purge cancels jobs and cannot ask for confirmation without a terminal",
            )
            .hint("confirm with --yes"));
        }
        let client = self.client.connect(global).await?;
        if !self.yes && !self.confirm(&client).await? {
            return Err(Error::new(Exit::Other, "not confirmed: nothing was cancelled"));
        }
        let purged = client.call(client.api.purge_queue(&self.queue)).await?;
        match client.output.format.is_json() {
            true => client.output.json(&json!({ "queue": self.queue, "purged": purged }))?,
            false => client.output.line(&format!("{}\t{}", self.queue, purged))?,
        }
        Ok(Exit::Ok)
    }

    async fn confirm(&self, client: &Client) -> Result<bool> {
        let queues = client.call(client.api.queues()).await?;
        let counts =
            queues.into_iter().find(|queue| queue.queue == self.queue).and_then(|queue| queue.counts);
        let waiting = counts.map_or(0, |counts| u64::from(counts.queued) + u64::from(counts.scheduled));
        let question =
            format!("cancel {} waiting jobs of queue {}? [y/N] ", text::count(waiting), self.queue);
        stderr::confirm(&question)
    }
}
