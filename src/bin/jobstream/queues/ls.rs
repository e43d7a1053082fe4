//! `jobstream queues ls`: lists the queues with their jobs by state.

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::narrowed::{self, List};
use crate::output::GlobalArgs;

const EXAMPLES: &str = "\
Columns: queue, paused, jobs by state, age of the oldest queued job.

Examples:
  jobstream queues ls
  jobstream queues ls -o json | jq '.[] | {queue, counts}'";

/// List queues with their jobs by state
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ls {
    #[command(flatten)]
    client: ClientArgs,
}

impl Ls {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let queues = client.call(client.api.queues()).await?;
        super::show(&client, &queues)?;
        for queue in queues.iter().filter(|queue| !queue.unserved_kinds.is_empty()) {
            let kinds = queue.unserved_kinds.join(", ");
            client.output.notice(&format!("queue {}: no worker serves {kinds}", queue.queue));
        }
        if !narrowed::notice(&client, List::Queues).await && queues.is_empty() {
            client.output.notice("no queue holds a job");
        }
        Ok(Exit::Ok)
    }
}
