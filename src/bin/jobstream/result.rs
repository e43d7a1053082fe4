//! `jobstream result`: how a job ended, now or when it does.

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::GetResultRequest;
use uuid::Uuid;

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt;
use crate::outcome::Standing;
use crate::output::Voice;
use crate::units;
use crate::wait::{PatienceArgs, conclude_or_leave, wait_and_conclude};

const EXAMPLES: &str = "\
Prints the result itself; with -o json the whole end. The exit code is the
job's outcome, or 6 while the job goes on (see `jobstream --help`).

Examples:
  id=$(jobstream submit demo.sleep '{\"seconds\": 2}')
  jobstream result $id --wait=30s
  jobstream result $id -o json";

/// Get a job's result
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GetResult {
    /// UUID of the job
    id: Uuid,
    /// Wait for the end, at most this long if given
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(num_args = 0..=1, require_equals = true)]
    wait: Option<Option<Duration>>,
    #[command(flatten)]
    patience: PatienceArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl GetResult {
    /// Runs the command.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit> {
        let job_id = self.id.to_string();
        let client = self.client.connect(voice).await?;
        if let Some(limit) = self.wait {
            let mut interrupts = interrupt::listen(Exit::Interrupted, None)?;
            return wait_and_conclude(&client, &job_id, limit, self.patience.reconnect, &mut interrupts)
                .await;
        }
        let request = GetResultRequest { job_id: job_id.clone(), wait: None };
        let answer = client.retried(request, async |request| client.jobs().get_result(request).await).await?;
        conclude_or_leave(&client, &Standing::new(&job_id, answer))
    }
}
