//! `jobstream watch`: shows a job's events, from any sequence, until it ends.

use clap::Args;
use jobstream::client::WatchOptions;

use crate::connect::{ClientArgs, ReconnectArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::follow::{EventDisplay, Stdout, follow};
use crate::interrupt;
use crate::job_id::{self, IdArg};
use crate::output::GlobalArgs;

const EXAMPLES: &str = "\
Output and the result go to stdout, progress and logs to stderr. With -o json
or jsonl every event is a line. A lost stream resumes after the last event.
The exit code is the job's outcome (see `jobstream --help`).

Examples:
  id=$(jobstream submit demo.count '{\"to\": 5}')
  jobstream watch $id
  jobstream watch $id --after-sequence 3 -o jsonl";

/// Watch a job until it ends
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Id, or at least its last 8 characters
    id: IdArg,
    /// Only events after this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    after_sequence: u32,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl Watch {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
        let client = self.client.reconnecting(global, self.reconnect).await?;
        let stdout = match client.output.format.is_json() {
            true => Stdout::Events,
            false => Stdout::Chunks,
        };
        let mut options = WatchOptions::default();
        options.after_sequence = self.after_sequence;
        let job = client.api.attach::<()>(job_id::resolve_one(&client, &self.id).await?);
        let mut display = EventDisplay::new(&client.output, stdout);
        follow(&client, job.watch_with(options), false, &mut display, &mut interrupts).await
    }
}
