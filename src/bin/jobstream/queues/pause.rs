//! `jobstream queues pause`: starts no further attempts of a queue's jobs.

use clap::Args;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::Voice;

const EXAMPLES: &str = "\
Running attempts continue; jobs are still accepted.

Examples:
  jobstream queues pause default
  jobstream queues pause media/high media/low";

/// Pause queues: start no further attempts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Pause {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
    queues: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Pause {
    /// Runs the command.
    pub(super) async fn run(self, voice: Voice) -> Result<Exit> {
        let client = self.client.connect(voice).await?;
        let mut paused = Vec::new();
        for queue in self.queues {
            paused.push(client.call(client.api.pause_queue(queue)).await?);
        }
        super::show(&client, &paused)?;
        Ok(Exit::Ok)
    }
}
