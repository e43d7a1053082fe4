//! `jobstream jobs cancel`: cancels jobs.

use clap::Args;
use jobstream::job::JobId;
use jobstream::proto::v1::{CancelRequest, CancelResponse, JobState};
use prost_types::Duration;

use super::selection::{Action, Selection};
use crate::connect::{Client, ClientArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{GlobalArgs, json, text};
use crate::units;

const ACTION: Action =
    Action { verb: "cancel", states: &[JobState::Scheduled, JobState::Queued, JobState::Running] };

const EXAMPLES: &str = "\
Prints each id and its state: CANCELLED, or RUNNING while the handler stops.
Filters select jobs that have not ended.

Examples:
  id=$(jobstream submit demo.sleep '{\"seconds\": 60}')
  jobstream jobs cancel $id --reason 'no longer needed' --grace 2s
  jobstream jobs cancel --queue media --kind resize --dry-run";

/// Cancel jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Cancel {
    #[command(flatten)]
    selection: Selection,
    /// Reason, stored with the job
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, help_heading = None::<&str>)]
    reason: String,
    /// How long a running handler may take to stop [default: 10s]
    #[arg(long, value_name = "SPAN", value_parser = units::proto_duration, help_heading = None::<&str>)]
    grace: Option<Duration>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Cancel {
    /// Runs the command.
    pub(super) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let jobs = self.selection.jobs(&client, ACTION).await?;
        let cancel = |id: JobId| {
            let (job_id, reason, grace) = (id.to_string(), self.reason.clone(), self.grace);
            client.api.rpc().cancel(CancelRequest { job_id, reason, grace })
        };
        super::for_each(&client, &jobs, cancel, |id, answer| show(&client, id, answer)).await
    }
}

fn show(client: &Client, id: JobId, answer: CancelResponse) -> Result<()> {
    if answer.state() == JobState::Running {
        client.output.notice(&format!("job {id} was asked to stop"));
    }
    match client.output.format.is_json() {
        true => {
            let job = ("jobId", id.to_string());
            client.output.json(&json::message_of(job, "CancelResponse", &answer)?)
        }
        false => client.output.line(&format!("{id}\t{}", text::state(answer.state()))),
    }
}
