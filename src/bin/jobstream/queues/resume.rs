//! `jobstream queues resume`: starts attempts of paused queues again.

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::Voice;

const EXAMPLES: &str = "\
Resuming a queue that is not paused changes nothing.

Examples:
  jobstream queues resume default
  jobstream queues resume media/high media/low";

/// Resume queues: start attempts again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Resume {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
    queues: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Resume {
    /// Runs the command.
    pub(super) async fn run(self, voice: Voice) -> Result<Exit> {
        let client = self.client.connect(voice).await?;
        let mut resumed = Vec::new();
        for queue in self.queues {
            resumed.push(client.call(client.api.resume_queue(queue)).await?);
        }
        super::show(&client, &resumed)?;
        Ok(Exit::Ok)
    }
}
