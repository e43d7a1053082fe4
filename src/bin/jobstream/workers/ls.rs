//! `jobstream workers ls`: lists the workers and their load.

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::narrowed::{self, List};
use crate::output::GlobalArgs;

const EXAMPLES: &str = "\
Columns: id, name, link (POOL is the server's own worker, STREAM and UNARY are
remote), state, slots taken/all, kinds, queues (* is all), time since its last
message, library, address.

Examples:
  jobstream workers ls
  jobstream workers ls -o json | jq '.[] | select(.state == \"DISCONNECTED\")'";

/// List workers, oldest first
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
        let workers = client.call(client.api.workers()).await?;
        super::show(&client, &workers)?;
        if !narrowed::notice(&client, List::Workers).await && workers.is_empty() {
            client.output.notice("no worker is connected: jobs wait");
            client.output.tip("start one with `jobstream worker --exec 'kind=program args'`");
        }
        Ok(Exit::Ok)
    }
}
